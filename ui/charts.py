"""Figures from plain data: every axis titled with its unit, limits drawn as lines, the chosen point marked.

No Streamlit calls here. Colours come from the theme's palette, the same in light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log10

import plotly.graph_objects as go

from sizing.units import GIB
from ui.sketch import (
    BREAKS,
    CHOSEN,
    HOLDS,
    HOLDS_LINE,
    INTERVAL,
    LIMIT,
    PALETTE,
    Curve,
    Sketch,
    Trace,
    log_ticks,
    titled,
)

SHARE_POINTS = 200  # of a cumulative curve: more are not seen


@dataclass(frozen=True)
class MemoryBar:
    """One bar of the memory chart: named parts [bytes] against a capacity [bytes]."""

    label: str
    parts: Mapping[str, float]
    capacity_bytes: float
    chosen: bool = False
    low_bytes: float | None = None  # 80 % interval of the sum
    high_bytes: float | None = None


def _chosen_label(label: str, chosen: bool) -> str:
    return f"<b>{label}</b> ◀" if chosen else label


def memory_chart(bars: Sequence[MemoryBar], *, per: str, order: Sequence[str] = (), cut: bool = False) -> go.Figure:
    """Stacked bars of memory parts [GiB], each against the capacity drawn beside it; `per` is accelerator or instance.

    `order` names the parts that may be there, so that each keeps its place and colour when another is not. `cut` ends the
    axis at twice the capacity, for bars whose labels say what they need.
    """
    widest = max(max(sum(bar.parts.values()), bar.high_bytes or 0.0, bar.capacity_bytes) for bar in bars) / GIB
    if cut:
        widest = min(widest, 2 * max(bar.capacity_bytes for bar in bars) / GIB)
    sketch = Sketch(
        x=titled(f"memory per {per} (GiB)", range=[0, widest * 1.22]),
        y={"autorange": "reversed", "type": "category"},
        height=110 + 46 * len(bars) + 9 * len(order),
        layout={"barmode": "stack", "bargap": 0.35},
    )
    labels = [_chosen_label(bar.label, bar.chosen) for bar in bars]
    names = list(dict.fromkeys((*order, *(name for bar in bars for name in bar.parts))))
    for position, name in enumerate(names):
        if not any(name in bar.parts for bar in bars):
            continue
        spoken = name.replace("_", " ")
        sketch.traces.append(
            {
                "type": "bar",
                "y": labels,
                "x": [bar.parts.get(name, 0) / GIB for bar in bars],
                "name": spoken,
                "orientation": "h",
                "marker": {"color": PALETTE[position % len(PALETTE)]},
                "hovertemplate": "%{y}<br>" + spoken + ": %{x:.2f} GiB<extra></extra>",
            }
        )
    sums = [(label, bar) for label, bar in zip(labels, bars, strict=True) if bar.high_bytes is not None]
    if sums:
        sketch.traces.append(_whiskers(sums))
    sketch.traces.append(
        {
            "type": "scatter",
            "y": labels,
            "x": [bar.capacity_bytes / GIB for bar in bars],
            "name": "capacity",
            "mode": "markers+text",
            "marker": {"symbol": "line-ns", "size": 30, "line": {"width": 3, "color": LIMIT}, "color": LIMIT},
            "text": [f" {bar.capacity_bytes / GIB:.4g}" for bar in bars],
            "textposition": "middle right",
            "hovertemplate": "capacity: %{x:.2f} GiB<extra></extra>",
        }
    )
    return sketch.figure()


def _whiskers(bars: Sequence[tuple[str, MemoryBar]]) -> Trace:
    """The 80 % interval of each bar's sum."""
    sums = [sum(bar.parts.values()) for _, bar in bars]
    return {
        "type": "scatter",
        "y": [label for label, _ in bars],
        "x": [total / GIB for total in sums],
        "name": "80 % interval of the sum",
        "mode": "markers",
        "marker": {"size": 3, "color": INTERVAL},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [((bar.high_bytes or total) - total) / GIB for total, (_, bar) in zip(sums, bars, strict=True)],
            "arrayminus": [
                (total - (bar.low_bytes or total)) / GIB for total, (_, bar) in zip(sums, bars, strict=True)
            ],
            "color": INTERVAL,
            "thickness": 2,
            "width": 5,
        },
        "hovertemplate": "in all: %{x:.2f} GiB<extra></extra>",
    }


def trade_off_chart(
    curve: Curve,
    *,
    x_title: str,
    y_title: str,
    limit: float | None,
    limit_name: str,
    chosen: tuple[float, float] | None,
    chosen_name: str,
    shaded_to: float | None = None,
    knee: tuple[float, float] | None = None,
    knee_name: str = "",
) -> go.Figure:
    """Latency against throughput by batch size: the curve with its 80 % band, the limit as a line, the chosen point marked,
    and the knee where one is given.

    `shaded_to` is the throughput up to which other limits hold too: up to there, and under the limit, the plot is shaded.
    """
    heights = [*curve.y, *(curve.low or ()), *(curve.high or ()), *([limit] if limit else [])]
    wide, high = _log_range(curve.x), _log_range(heights)
    x = titled(x_title, **log_ticks(curve.x), range=wide)
    sketch = Sketch(x=x, y=titled(y_title, **log_ticks(heights), range=high))
    if shaded_to is not None:
        top = limit if limit is not None else 10.0 ** high[1]
        sketch.region(10.0 ** wide[0], min(shaded_to, 10.0 ** wide[1]), 10.0 ** high[0], top)
    sketch.curve(curve, PALETTE[0])
    if limit is not None:
        sketch.limit(limit, limit_name)
    if knee is not None:
        sketch.points([knee[0]], [knee[1]], knee_name, symbol="diamond", color=PALETTE[2], size=13)
    if chosen is not None:
        sketch.star(*chosen, chosen_name)
    return sketch.figure()


def share_chart(
    values: Sequence[float],
    *,
    closed: Mapping[int, float],
    limit: float | None,
    limit_name: str,
    percentile: int,
    x_title: str,
) -> go.Figure:
    """Cumulative share [%] of requests by a latency, percentiles of the closed form as points, the limit as a line."""
    ordered = sorted(values)
    places = sorted({round(i * (len(ordered) - 1) / SHARE_POINTS) for i in range(SHARE_POINTS + 1)})
    x = [ordered[i] for i in places]
    known = [*x, *closed.values(), *([limit] if limit is not None else [])]
    sketch = Sketch(
        x=titled(x_title, **log_ticks(known)),
        y=titled("requests (%)", range=[0, 103]),
        layout={"margin": {"l": 8, "r": 18, "t": 26, "b": 8}},
    )
    sketch.curve(Curve("simulation", x, [100.0 * (i + 1) / len(ordered) for i in places]), PALETTE[0])
    if closed:
        sketch.traces.append(
            {
                "type": "scatter",
                "x": list(closed.values()),
                "y": list(closed),
                "name": "closed form",
                "mode": "markers",
                "marker": {"symbol": "diamond", "size": 10, "color": CHOSEN},
                "hovertemplate": "p%{y}: %{x:,.4g} ms<extra>closed form</extra>",
            }
        )
    line = {"color": LIMIT, "dash": "dash", "width": 2}
    if limit is not None:
        ends = {"yref": "paper", "y0": 0, "y1": 1, "x0": limit, "x1": limit}
        sketch.shapes.append({"type": "line", **ends, "line": line})
        place = {"yref": "paper", "y": 0.06, "x": log10(limit), "xanchor": "right"}
        sketch.notes.append({**place, "text": f"{limit_name} ", "showarrow": False, "font": {"color": LIMIT}})
        ends = {"xref": "paper", "x0": 0, "x1": 1, "y0": percentile, "y1": percentile}
        sketch.shapes.append({"type": "line", **ends, "line": {"color": LIMIT, "dash": "dot", "width": 1}})
    return sketch.figure()


def _log_range(values: Iterable[float], margin: float = 0.06) -> list[float]:
    """Ends of a logarithmic axis (exponents of 10) that show all values with a share of their span on both sides, whatever
    is drawn beside them."""
    logs = [log10(v) for v in values if v > 0]
    room = max(margin * (max(logs) - min(logs)), 0.03)
    return [min(logs) - room, max(logs) + room]


def cost_chart(labels: Sequence[str], usd_per_hour: Sequence[float], *, chosen: int = 0) -> go.Figure:
    """Cost of the candidates [USD/h] as bars, the chosen one marked, cheapest on top."""
    sketch = Sketch(
        x=titled("cost (USD per hour)", range=[0, max(usd_per_hour) * 1.2]),
        y={"autorange": "reversed", "type": "category"},
        height=110 + 30 * len(labels),
        layout={"bargap": 0.25},
    )
    sketch.traces.append(
        {
            "type": "bar",
            "y": [_chosen_label(label, i == chosen) for i, label in enumerate(labels)],
            "x": list(usd_per_hour),
            "orientation": "h",
            "marker": {"color": [CHOSEN if i == chosen else PALETTE[0] for i in range(len(labels))]},
            "text": [f"${value:,.4g}" for value in usd_per_hour],
            "textposition": "outside",
            "cliponaxis": False,
            "hovertemplate": "%{y}: $%{x:,.4g} per hour<extra></extra>",
            "showlegend": False,
        }
    )
    return sketch.figure()


def percentile_chart(
    curves: Sequence[Curve],
    *,
    limits: Mapping[str, float],
    load: float,
    stable_to: float,
    x_title: str,
    y_title: str,
    breaks_at: float | None = None,
    holds_to: float | None = None,
    holds_name: str = "limits kept ",
    chosen: tuple[float, str] | None = None,
) -> go.Figure:
    """Percentiles of latency against load: limits as lines, the demanded load and the end of stability marked, and the
    load at which the limit breaks where it is known.

    `holds_to` is the load up to which all limits hold: shaded up to there, and beyond stability in another colour. `chosen` is
    the height of the chosen point at the demanded load, and its name.
    """
    heights = [value for curve in curves for value in curve.y] + list(limits.values())
    low, high = _log_range(heights, margin=0.2)  # names of the marks stand above and below all curves
    end = max(stable_to, load) * 1.06
    y = titled(y_title, **log_ticks(heights), range=[low, high])
    sketch = Sketch(x=titled(x_title, range=[0, end]), y=y)
    if holds_to is not None:
        sketch.stripe(0, min(holds_to, stable_to), HOLDS)
        sketch.stripe(stable_to, end, BREAKS)
        sketch.mark(min(holds_to, stable_to), holds_name, HOLDS_LINE, dash="dot", height=0.02, anchor="right")
    for position, curve in enumerate(curves):
        sketch.curve(curve, PALETTE[position])
    if chosen is not None:
        sketch.star(load, *chosen)
    for name, limit in limits.items():
        sketch.limit(limit, name)
    sketch.mark(load, " demanded", CHOSEN, dash="solid", height=0.98, anchor="left")
    if breaks_at is not None:
        # At the break one curve is at the limit, so a low limit leaves room above it and a high one at the bottom.
        place = (log10(min(limits.values(), default=1.0)) - low) / (high - low)
        height, anchor = place + 0.2 if place < 0.6 else 0.2, "right" if breaks_at > 0.35 * end else "left"
        sketch.mark(breaks_at, f" breaks at {breaks_at:,.3g} ", LIMIT, dash="dot", height=height, anchor=anchor)
    # Two names at the foot of the plot stand one above the other, so that neither runs into the other on a phone.
    foot = 0.02 if holds_to is None else 0.1
    sketch.mark(stable_to, "unstable beyond ", "#7F7F7F", dash="dot", height=foot, anchor="right")
    return sketch.figure()


def count_chart(
    loads: Sequence[float],
    instances: Sequence[float],
    usd_per_hour: Sequence[float],
    *,
    load: float,
    count: int,
    x_title: str,
) -> go.Figure:
    """Instances and cost [USD/h] against load as one step line with two axes: the cost is the count times the price."""
    price = next((usd / n for usd, n in zip(usd_per_hour, instances, strict=True) if n), 0.0)
    top = max(max(instances), count) * 1.12
    cost_axis = titled("cost (USD per hour)", overlaying="y", side="right", range=[0, top * price], showgrid=False)
    sketch = Sketch(
        x=titled(x_title),
        y=titled("instances", range=[0, top], dtick=max(1, round(top / 6))),
        layout={"yaxis2": {**cost_axis, "automargin": True}},
    )
    sketch.traces.append(
        {
            "type": "scatter",
            "x": list(loads),
            "y": list(instances),
            "name": "instances needed",
            "mode": "lines",
            "line": {"shape": "hv", "color": PALETTE[0], "width": 2},
            "customdata": list(usd_per_hour),
            "hovertemplate": "%{x:,.4g}: %{y} instances, $%{customdata:,.4g} per hour<extra></extra>",
        }
    )
    hidden = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip", "yaxis": "y2"}
    sketch.traces.append({"type": "scatter", "x": list(loads), "y": list(usd_per_hour), **hidden})
    sketch.star(load, count, "chosen")
    return sketch.figure()
