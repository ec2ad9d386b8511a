"""The three charts of a comparison: trade-off curves overlaid, memory against capacity, cost per month.

Curves whose axes have the same titles share a panel; others stand below each other in the same figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log10
from typing import Any

import plotly.graph_objects as go

from sizing.catalog import Catalog
from sizing.comparison_answers import Compared
from sizing.planner import plan
from sizing.scenario import AnyScenario, StatisticalScenario
from sizing.units import format_usd
from ui.answer_chart import AnswerChart
from ui.answer_charts import trade_off
from ui.charts import MemoryBar, memory_chart
from ui.sketch import LIMIT, PALETTE, Curve, Sketch, log_ticks, titled

PANEL_HEIGHT = 280
GAP = 0.16  # between panels, of the height of the figure
BAND_ALPHA = 0.13
LEGEND_HEIGHT = 50  # for the legend of the memory chart on a phone
PARTS = ("weights or model", "KV cache", "activations and requests", "runtime and system")
"""Parts of memory that all kinds of scenario share, in the order of the bars."""
_NAMES = (
    {"kv_cache", "draft_kv_cache", "prefix_cache"},
    {"activations", "activations_peak", "logits", "input", "requests", "workspace"},
    {"context", "driver", "collectives", "runtime_floor", "arena", "operating_system", "processes"},
)
"""Names of what belongs to each part but the first, which has all others."""


@dataclass(frozen=True)
class Line:
    """What a comparison draws of one scenario's trade-off: one curve, its axes, the limit on it and the chosen point."""

    axes: tuple[str, str]
    log_x: bool
    curve: Curve
    limit: tuple[float, str] | None
    chosen: tuple[float, float] | None


@lru_cache(maxsize=16)
def line_of(scenario: AnyScenario, catalog: Catalog) -> Line | None:
    """Curve of a scenario's answer, made once; None where nothing is recommended."""
    found = plan(scenario, catalog)
    chart = trade_off(scenario, catalog, found)
    if chart is None or chart.overlay is None:
        return None
    log_x = not isinstance(scenario, StatisticalScenario)
    return Line(chart.axes, log_x, chart.overlay, chart.limit, chart.chosen)


def color_of(entry: Compared) -> str:
    """Colour of a scenario in all charts."""
    return PALETTE[ord(entry.letter) - ord("A")]


def _band_color(color: str) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND_ALPHA})"


def trade_offs(entries: Sequence[Compared]) -> AnswerChart | None:
    """Latency against throughput or load of all scenarios; None where nothing serves any."""
    panels: dict[tuple[str, str], list[tuple[Compared, Line]]] = {}
    for entry in entries:
        if entry.slot.scenario is not None and entry.best is not None:
            line = line_of(entry.slot.scenario, entry.slot.loaded)
            if line is not None:
                panels.setdefault(line.axes, []).append((entry, line))
    if not panels:
        return None
    shared = len(panels) == 1
    which = "Latency against throughput or load" if shared else "Latency against throughput or load, by kind of axis"
    return AnswerChart(
        "compare-trade-off",
        f"{which} (stars: what is recommended)",
        f"{which} of the scenarios {', '.join(e.letter for group in panels.values() for e, _ in group)}, with their "
        "limits and the chosen points",
        _figure(list(panels.items())),
        caption=None
        if shared
        else "Scenarios whose axes differ have a panel each: their curves cannot be laid over each other.",
    )


def _figure(panels: Sequence[tuple[tuple[str, str], list[tuple[Compared, Line]]]]) -> go.Figure:
    sketch = Sketch(x={}, y={}, height=PANEL_HEIGHT * len(panels) + 20)
    room = (1.0 - GAP * (len(panels) - 1)) / len(panels)
    for position, (axes, group) in enumerate(panels):
        number = "" if position == 0 else str(position + 1)
        top = 1.0 - position * (room + GAP)
        ends: dict[str, Any] = {"automargin": True, "zeroline": False}
        heights = [v for _, line in group for v in (*line.curve.y, *(line.curve.low or ()), *(line.curve.high or ()))]
        heights += [line.limit[0] for _, line in group if line.limit is not None]
        loads = [v for _, line in group for v in line.curve.x]
        across = log_ticks(loads) if group[0][1].log_x else {"rangemode": "tozero"}
        low, high = log10(min(v for v in heights if v > 0)), log10(max(heights))
        margin = max(0.08 * (high - low), 0.05)
        sketch.layout[f"xaxis{number}"] = {**ends, **titled(axes[0], **across), "anchor": f"y{number}"}
        sketch.layout[f"yaxis{number}"] = {
            **ends,
            **titled(axes[1], **log_ticks(heights), range=[low - margin, high + margin]),
            **{"domain": [max(0.0, top - room), top], "anchor": f"x{number}"},
        }
        for entry, line in group:
            _add_line(sketch, entry, line, number)
        _add_limits(sketch, group, number)
    return sketch.figure()


def _add_line(sketch: Sketch, entry: Compared, line: Line, number: str) -> None:
    color, place = color_of(entry), {"xaxis": f"x{number}", "yaxis": f"y{number}", "legendgroup": entry.letter}
    curve = line.curve
    if curve.low is not None and curve.high is not None:
        x, y = [*curve.x, *reversed(curve.x)], [*curve.high, *reversed(curve.low)]
        band = {"fill": "toself", "fillcolor": _band_color(color), "line": {"width": 0}, "mode": "lines"}
        sketch.traces.append(
            {
                **{"type": "scatter", "x": x, "y": y, "name": f"{entry.letter}: 80 % interval", "hoverinfo": "skip"},
                **{"showlegend": False},
                **band,
                **place,
            }
        )
    name = f"{entry.letter}: {curve.name}"
    sketch.traces.append(
        {
            **{"type": "scatter", "x": list(curve.x), "y": list(curve.y), "name": name, "mode": "lines"},
            **{"line": {"color": color, "width": 2}, "hovertemplate": "%{x:.4g}, %{y:.4g}<extra>" + name + "</extra>"},
            **place,
        }
    )
    if line.chosen is not None:
        star = {"symbol": "star", "size": 17, "color": color, "line": {"width": 1, "color": "white"}}
        sketch.traces.append(
            {
                **{"type": "scatter", "x": [line.chosen[0]], "y": [line.chosen[1]], "mode": "markers"},
                **{"name": f"{entry.letter}: chosen", "marker": star, "showlegend": False},
                **place,
            }
        )


def _add_limits(sketch: Sketch, group: Sequence[tuple[Compared, Line]], number: str) -> None:
    """Each limit once, with the letters of the scenarios that have it."""
    letters: dict[tuple[float, str], list[str]] = {}
    for entry, line in group:
        if line.limit is not None:
            letters.setdefault(line.limit, []).append(entry.letter)
    for (value, name), of in letters.items():
        ends = {"xref": f"x{number} domain", "x0": 0, "x1": 1, "yref": f"y{number}", "y0": value, "y1": value}
        sketch.shapes.append({"type": "line", **ends, "line": {"color": LIMIT, "dash": "dash", "width": 2}})
        whose = "" if len(of) == len(group) else f"{', '.join(of)}: "
        place = {"xref": f"x{number} domain", "x": 0, "yref": f"y{number}", "y": log10(value)}
        sketch.notes.append(
            {
                **place,
                **{"xanchor": "left", "yanchor": "bottom", "text": f"{whose}{name}", "showarrow": False},
                **{"font": {"color": LIMIT}},
            }
        )


def memory_bars(entries: Sequence[Compared]) -> AnswerChart | None:
    """Memory of each recommended deployment by parts, against the capacity it has; None where none has a memory."""
    bars = []
    for entry in entries:
        best = entry.best
        memory = None if best is None else best.memory_per_accelerator or best.memory_per_instance
        if best is None or memory is None or entry.slot.scenario is None:
            continue
        bars.append(
            MemoryBar(
                entry.letter,
                _grouped(memory.parts),
                memory.capacity_bytes,
                low_bytes=memory.used_low_bytes,
                high_bytes=memory.used_high_bytes,
            )
        )
    if not bars:
        return None
    figure = memory_chart(bars, per="accelerator or instance", order=PARTS)
    figure.layout.height += LEGEND_HEIGHT
    return AnswerChart(
        "compare-memory",
        "Memory of the recommended deployments against capacity",
        "Memory parts in GiB of one accelerator or instance of each scenario, against its capacity",
        figure,
    )


def _grouped(parts: Mapping[str, float]) -> dict[str, float]:
    """Parts of a memory by what they are in any kind of scenario [bytes]."""
    sums: dict[str, float] = {}
    for name, size in parts.items():
        sums[_part(name)] = sums.get(_part(name), 0) + size
    return {name: sums[name] for name in PARTS if name in sums}


def _part(name: str) -> str:
    return next((part for part, names in zip(PARTS[1:], _NAMES, strict=True) if name in names), PARTS[0])


def cost_bars(entries: Sequence[Compared]) -> AnswerChart | None:
    """Cost per month of each scenario as bars; None where nothing serves any."""
    served = [(entry, entry.best.cost.usd_per_month) for entry in entries if entry.best is not None]
    if not served:
        return None
    sketch = Sketch(
        x=titled("cost (USD per month of 730 h)", range=[0, max(usd for _, usd in served) * 1.25]),
        y={"autorange": "reversed", "type": "category"},
        height=110 + 34 * len(served),
        layout={"bargap": 0.3},
    )
    sketch.traces.append(
        {
            "type": "bar",
            "y": [entry.letter for entry, _ in served],
            "x": [usd for _, usd in served],
            "orientation": "h",
            "marker": {"color": [color_of(entry) for entry, _ in served]},
            "text": [format_usd(usd) for _, usd in served],
            "textposition": "outside",
            "cliponaxis": False,
            "hovertemplate": "%{y}: $%{x:,.4g} per month<extra></extra>",
            "showlegend": False,
        }
    )
    return AnswerChart(
        "compare-cost", "Cost per month", "USD per month of 730 hours of each scenario as bars", sketch.figure()
    )
