"""What all figures share: colours, axes, and a sketch to which lines, limits, marks and regions are added.

No Streamlit calls here. Colours come from the theme's palette, the same in light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Any

import plotly.graph_objects as go

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#8C6D31", "#5254A3", "#B5CF6B")
CHOSEN = "#D55E00"
LIMIT = "#D9483B"  # readable on white and on the dark background
INTERVAL = "#8A94A3"  # a line over bars, readable on white and on the dark background
BAND = "rgba(0,114,178,0.16)"
HOLDS = "rgba(0,158,115,0.13)"  # where all limits hold
HOLDS_LINE = "#178A68"  # the end of that, readable on white and on the dark background
BREAKS = "rgba(217,72,59,0.13)"  # where a queue grows without end
HEIGHT = 300
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "svg"},
}


@dataclass(frozen=True)
class Curve:
    """A named line with an optional band of its 80 % interval."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    labels: Sequence[str] = field(default_factory=tuple)


Trace = dict[str, Any]


def layout_of(x: Mapping[str, Any], y: Mapping[str, Any], height: int = HEIGHT) -> dict[str, Any]:
    """What all figures have in common: margins, the legend above, and two axes."""
    axis = {"automargin": True, "zeroline": False}
    return {
        "height": height,
        "margin": {"l": 8, "r": 8, "t": 26, "b": 8},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        "xaxis": {**axis, **x},
        "yaxis": {**axis, **y},
        "hovermode": "closest",
        "uirevision": "keep",
    }


@dataclass
class Sketch:
    """A figure in the making, as plain data: Plotly checks it once, at the end, which is several times faster."""

    x: dict[str, Any]
    y: dict[str, Any]
    height: int = HEIGHT
    traces: list[Trace] = field(default_factory=list)
    shapes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    layout: dict[str, Any] = field(default_factory=dict)

    def figure(self) -> go.Figure:
        """The figure as Plotly takes it."""
        notes = {"shapes": self.shapes, "annotations": self.notes}
        return go.Figure(data=self.traces, layout=layout_of(self.x, self.y, self.height) | notes | self.layout)

    def limit(self, value: float, name: str) -> None:
        """A limit as a dashed horizontal line with its name, on a logarithmic axis."""
        line = {"color": LIMIT, "dash": "dash", "width": 2}
        self.shapes.append({"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line})
        place = {"xref": "paper", "x": 0, "y": log10(value), "xanchor": "left", "yanchor": "bottom"}
        self.notes.append({**place, "text": name, "showarrow": False, "font": {"color": LIMIT}})

    def mark(self, x: float, text: str, color: str, *, dash: str, height: float, anchor: str) -> None:
        """A vertical line with its name at a height of the plot [0 to 1]."""
        line = {"color": color, "dash": dash, "width": 2}
        self.shapes.append({"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": x, "x1": x, "line": line})
        at = log10(x) if self.x.get("type") == "log" else x
        place = {"yref": "paper", "y": height, "x": at, "xanchor": anchor}
        self.notes.append({**place, "text": text, "showarrow": False, "font": {"color": color}})

    def stripe(self, x0: float, x1: float, color: str) -> None:
        """A shaded stripe over the full height, below everything else."""
        corners = {"yref": "paper", "x0": x0, "x1": x1, "y0": 0, "y1": 1}
        self.shapes.append({"type": "rect", **corners, "line": {"width": 0}, "fillcolor": color, "layer": "below"})

    def region(self, x0: float, x1: float, y0: float, y1: float) -> None:
        """A shaded rectangle below everything else."""
        corners = {"x0": x0, "x1": x1, "y0": y0, "y1": y1}
        self.shapes.append({"type": "rect", **corners, "line": {"width": 0}, "fillcolor": HOLDS, "layer": "below"})

    def curve(self, curve: Curve, color: str) -> None:
        """A line, with the band of its 80 % interval where it has one."""
        if curve.low is not None and curve.high is not None:
            band = {"fill": "toself", "fillcolor": BAND, "line": {"width": 0}, "mode": "lines", "hoverinfo": "skip"}
            x, y = [*curve.x, *reversed(curve.x)], [*curve.high, *reversed(curve.low)]
            self.traces.append({"type": "scatter", "x": x, "y": y, "name": "80 % interval", **band})
        line = {
            "type": "scatter",
            "x": list(curve.x),
            "y": list(curve.y),
            "name": curve.name,
            "mode": "lines+markers+text" if curve.labels else "lines",
            "line": {"color": color, "width": 2},
            "marker": {"size": 6},
            "hovertemplate": "%{x:.4g}, %{y:.4g}<extra>" + curve.name + "</extra>",
        }
        if curve.labels:
            line |= {"text": list(curve.labels), "textposition": "top left"}
        self.traces.append(line)

    def star(self, x: float, y: float, name: str) -> None:
        """The chosen point."""
        self.traces.append(
            {
                "type": "scatter",
                "x": [x],
                "y": [y],
                "name": name,
                "mode": "markers",
                "marker": {"symbol": "star", "size": 17, "color": CHOSEN, "line": {"width": 1, "color": "white"}},
                "hovertemplate": name + "<br>%{x:.4g}, %{y:.4g}<extra></extra>",
            }
        )

    def points(
        self, x: Sequence[float], y: Sequence[float], name: str, *, symbol: str, color: str, size: int = 11
    ) -> None:
        """Points beside the lines: what was measured, or a place on a curve."""
        self.traces.append(
            {
                "type": "scatter",
                "x": list(x),
                "y": list(y),
                "name": name,
                "mode": "markers",
                "marker": {"symbol": symbol, "size": size, "color": color, "line": {"width": 1, "color": "white"}},
                "hovertemplate": name + "<br>%{x:.4g}, %{y:.4g}<extra></extra>",
            }
        )


def titled(text: str, **more: Any) -> dict[str, Any]:
    """An axis with its title, unit in brackets, and what else it has."""
    return {"title": {"text": text, "standoff": 6}, **more}


def log_ticks(values: Iterable[float]) -> dict[str, Any]:
    """Ticks of a logarithmic axis, written in full: closer together the fewer decades there are."""
    shown = [v for v in values if v > 0]
    low, high = floor(log10(min(shown))), ceil(log10(max(shown)))
    decades = log10(max(shown) / min(shown))
    digits = (1, 1.5, 2, 3, 4, 5, 6, 8) if decades <= 1 else (1, 2, 5) if decades <= 3 else (1,)
    ticks = [digit * 10.0**power for power in range(low, high + 1) for digit in digits]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}
