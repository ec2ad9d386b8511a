"""Figures from plain data: every axis titled with its unit, limits drawn as lines, the chosen point marked.

No Streamlit calls here. Colours come from the theme's palette, the same in light and dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log10

import plotly.graph_objects as go

from sizing.units import GIB

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#8C6D31", "#5254A3", "#B5CF6B")
CHOSEN = "#D55E00"
LIMIT = "#B3261E"
BAND = "rgba(0,114,178,0.16)"
HEIGHT = 300
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "svg"},
}


@dataclass(frozen=True)
class MemoryBar:
    """One bar of the memory chart: named parts [bytes] against a capacity [bytes]."""

    label: str
    parts: Mapping[str, float]
    capacity_bytes: float
    chosen: bool = False


@dataclass(frozen=True)
class Curve:
    """A named line with an optional band of its 80 % interval."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    labels: Sequence[str] = field(default_factory=tuple)


def _figure(*, x_title: str, y_title: str, height: int = HEIGHT) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 26, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"size": 12}},
        xaxis={"title": {"text": x_title, "standoff": 6}, "automargin": True, "zeroline": False},
        yaxis={"title": {"text": y_title, "standoff": 6}, "automargin": True, "zeroline": False},
        hovermode="closest",
        bargap=0.35,
        uirevision="keep",
    )
    return figure


def memory_chart(bars: Sequence[MemoryBar], *, per: str) -> go.Figure:
    """Stacked bars of memory parts [GiB], each against the capacity drawn beside it; `per` is accelerator or instance."""
    figure = _figure(x_title=f"memory per {per} (GiB)", y_title="", height=110 + 46 * len(bars))
    labels = [f"<b>{bar.label}</b> ◀" if bar.chosen else bar.label for bar in bars]
    names = list(dict.fromkeys(name for bar in bars for name in bar.parts))
    for position, name in enumerate(names):
        sizes = [bar.parts.get(name, 0) / GIB for bar in bars]
        figure.add_bar(
            y=labels,
            x=sizes,
            name=name.replace("_", " "),
            orientation="h",
            marker_color=PALETTE[position % len(PALETTE)],
            hovertemplate="%{y}<br>" + name.replace("_", " ") + ": %{x:.2f} GiB<extra></extra>",
        )
    figure.add_scatter(
        y=labels,
        x=[bar.capacity_bytes / GIB for bar in bars],
        name="capacity",
        mode="markers+text",
        marker={"symbol": "line-ns", "size": 30, "line": {"width": 3, "color": LIMIT}, "color": LIMIT},
        text=[f" {bar.capacity_bytes / GIB:.4g}" for bar in bars],
        textposition="middle right",
        hovertemplate="capacity: %{x:.2f} GiB<extra></extra>",
    )
    widest = max(max(sum(bar.parts.values()), bar.capacity_bytes) for bar in bars) / GIB
    figure.update_layout(barmode="stack", xaxis_range=[0, widest * 1.14], yaxis={"autorange": "reversed", "type": "category"})
    return figure


def trade_off_chart(
    curve: Curve,
    *,
    x_title: str,
    y_title: str,
    limit: float | None,
    limit_name: str,
    chosen: tuple[float, float] | None,
    chosen_name: str,
) -> go.Figure:
    """Latency against throughput by batch size: the curve with its 80 % band, the limit as a line, the chosen point marked."""
    figure = _figure(x_title=x_title, y_title=y_title)
    _add_curve(figure, curve, PALETTE[0], band=True)
    if limit is not None:
        figure.add_hline(y=limit, line={"color": LIMIT, "dash": "dash", "width": 2})
        figure.add_annotation(
            x=0, xref="paper", y=_log(limit), text=limit_name, showarrow=False, xanchor="left", yanchor="bottom", font={"color": LIMIT}
        )
    if chosen is not None:
        figure.add_scatter(
            x=[chosen[0]],
            y=[chosen[1]],
            name=chosen_name,
            mode="markers",
            marker={"symbol": "star", "size": 17, "color": CHOSEN, "line": {"width": 1, "color": "white"}},
            hovertemplate=chosen_name + "<br>%{x:.4g}, %{y:.4g}<extra></extra>",
        )
    figure.update_layout(xaxis_type="log", yaxis_type="log")
    return figure


def _log(value: float) -> float:
    """Where an annotation stands on a logarithmic axis."""
    return log10(value)


def _add_curve(figure: go.Figure, curve: Curve, color: str, *, band: bool = False) -> None:
    if band and curve.low is not None and curve.high is not None:
        figure.add_scatter(
            x=[*curve.x, *list(curve.x)[::-1]],
            y=[*curve.high, *list(curve.low)[::-1]],
            fill="toself",
            fillcolor=BAND,
            line={"width": 0},
            name="80 % interval",
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=list(curve.x),
        y=list(curve.y),
        name=curve.name,
        mode="lines+markers+text" if curve.labels else "lines",
        text=list(curve.labels) or None,
        textposition="top left",
        line={"color": color, "width": 2},
        marker={"size": 6},
        hovertemplate="%{x:.4g}, %{y:.4g}<extra>" + curve.name + "</extra>",
    )


def cost_chart(labels: Sequence[str], usd_per_hour: Sequence[float], *, chosen: int = 0) -> go.Figure:
    """Cost of the candidates [USD/h] as bars, the chosen one marked, cheapest on top."""
    figure = _figure(x_title="cost (USD per hour)", y_title="", height=110 + 30 * len(labels))
    figure.add_bar(
        y=[f"<b>{label}</b> ◀" if i == chosen else label for i, label in enumerate(labels)],
        x=list(usd_per_hour),
        orientation="h",
        marker_color=[CHOSEN if i == chosen else PALETTE[0] for i in range(len(labels))],
        text=[f"${value:,.4g}" for value in usd_per_hour],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: $%{x:,.4g} per hour<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(
        yaxis={"autorange": "reversed", "type": "category"}, xaxis_range=[0, max(usd_per_hour) * 1.2], bargap=0.25
    )
    return figure


def percentile_chart(
    curves: Sequence[Curve], *, limits: Mapping[str, float], load: float, stable_to: float, x_title: str, y_title: str
) -> go.Figure:
    """Percentiles of latency against load: limits as lines, the demanded load and the end of stability marked."""
    figure = _figure(x_title=x_title, y_title=y_title)
    for position, curve in enumerate(curves):
        _add_curve(figure, curve, PALETTE[position])
    for name, limit in limits.items():
        figure.add_hline(y=limit, line={"color": LIMIT, "dash": "dash", "width": 2})
        figure.add_annotation(
            x=0, xref="paper", y=_log(limit), text=name, showarrow=False, xanchor="left", yanchor="bottom", font={"color": LIMIT}
        )
    figure.add_vline(x=load, line={"color": CHOSEN, "width": 2})
    figure.add_annotation(x=load, y=1, yref="paper", text=" demanded", showarrow=False, xanchor="left", font={"color": CHOSEN})
    figure.add_vline(x=stable_to, line={"color": "#7F7F7F", "dash": "dot", "width": 1.5})
    figure.add_annotation(x=stable_to, y=0.08, yref="paper", text="unstable beyond ", showarrow=False, xanchor="right")
    figure.update_layout(yaxis_type="log", xaxis_range=[0, max(stable_to, load) * 1.06])
    return figure


def count_chart(
    loads: Sequence[float], instances: Sequence[float], usd_per_hour: Sequence[float], *, load: float, count: int, x_title: str
) -> go.Figure:
    """Instances and cost [USD/h] against load as one step line with two axes: the cost is the count times the price."""
    figure = _figure(x_title=x_title, y_title="instances")
    figure.add_scatter(
        x=list(loads),
        y=list(instances),
        name="instances needed",
        line={"shape": "hv", "color": PALETTE[0], "width": 2},
        customdata=list(usd_per_hour),
        hovertemplate="%{x:,.4g}: %{y} instances, $%{customdata:,.4g} per hour<extra></extra>",
    )
    price = next((usd / n for usd, n in zip(usd_per_hour, instances, strict=True) if n), 0.0)
    top = max(max(instances), count) * 1.12
    figure.add_scatter(x=list(loads), y=list(usd_per_hour), yaxis="y2", line={"width": 0}, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        x=[load],
        y=[count],
        name="chosen",
        mode="markers",
        marker={"symbol": "star", "size": 16, "color": CHOSEN, "line": {"width": 1, "color": "white"}},
        hovertemplate=f"demanded load: {count} instances<extra></extra>",
    )
    figure.update_layout(
        yaxis_range=[0, top],
        yaxis2={
            "title": {"text": "cost (USD per hour)", "standoff": 6},
            "overlaying": "y",
            "side": "right",
            "range": [0, top * price],
            "showgrid": False,
            "automargin": True,
        },
    )
    return figure
