"""The tornado as figures: for each change a bar from its low to its high end, of dollars a month and of latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, log10
from typing import Any

import plotly.graph_objects as go

from sizing.units import format_ms, format_usd
from sizing.why.tornado import Bar, Side, Tornado
from ui.sketch import INTERVAL, LIMIT, PALETTE, Sketch, log_ticks, titled

INPUT, OWN = PALETTE[0], PALETTE[1]
ROW = 26
MOST_BARS = 12
OVER = 1.15
"""What lies past the end of the axis is drawn so much longer than the longest bar [1]."""

Value = Callable[[Side], float]


def usd(side: Side) -> float:
    """Dollars a month at a side; infinite where no count serves."""
    return inf if side.outcome is None else side.outcome.usd_per_month


def latency(side: Side) -> float:
    """Latency at a side [ms]; infinite under overload and where the model no longer fits."""
    return inf if side.latency_ms is None else side.latency_ms


def cost_figure(found: Tornado, bars: Sequence[Bar]) -> go.Figure:
    """Dollars a month of each change on the recommended kind of machine."""
    x = titled("cost (USD per month)", tickprefix="$", tickformat="~s", nticks=6)
    return _figure(bars, usd, found.now.usd_per_month, x, format_usd, "no count serves")


def latency_figure(found: Tornado, bars: Sequence[Bar]) -> go.Figure:
    """Latency of each change with the deployment left as it is, on a logarithmic axis."""
    times = [latency(side) for bar in bars for side in bar.sides]
    known = [time for time in times if time < inf]
    x = titled("latency (ms)", **log_ticks([*known, found.now_ms]))
    return _figure(bars, latency, found.now_ms, x, format_ms, "overload")


def _figure(
    bars: Sequence[Bar], of: Value, now: float, x: dict[str, Any], said: Callable[[float], str], beyond: str
) -> go.Figure:
    log_axis = x.get("type") == "log"
    known = [v for bar in bars for side in bar.sides if (v := of(side)) < inf] + [now]
    low, high = min(known), max(known)
    room = (high / low) ** (OVER - 1.0) if log_axis else 1.0
    end = high * max(room, 1.08) if log_axis else high + (OVER - 1.0) * max(high - low, 0.05 * high)
    # The largest is on top, so that the axis runs upwards from the smallest.
    names = [bar.name for bar in reversed(bars)]
    y = {"type": "category", "categoryorder": "array", "categoryarray": names, "tickfont": {"size": 12}}
    sketch = Sketch(x=x, y=y, height=ROW * len(bars) + 84)
    for is_own, color, legend in ((False, INPUT, "your inputs"), (True, OWN, "our own constants")):
        those = [bar for bar in bars if bar.is_own == is_own]
        if those:
            sketch.traces.append(_trace(those, of, now, end, color, legend, said, beyond))
    lines = {
        "type": "line",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "x0": now,
        "x1": now,
        "line": {"color": INTERVAL, "width": 2},
    }
    sketch.shapes.append(lines)
    for bar in bars:
        for side in bar.sides:
            if of(side) == inf:
                at = log10(end) if log_axis else end
                text = f"{side.words}: {beyond}"
                note = {"x": at, "y": bar.name, "text": text, "showarrow": False, "xanchor": "right"}
                sketch.notes.append({**note, "font": {"color": "white", "size": 11}, "bgcolor": LIMIT, "borderpad": 1})
    span = [log10(low) if log_axis else low, log10(end) if log_axis else end]
    pad = 0.03 * (span[1] - span[0])
    sketch.x["range"] = [span[0] - pad, span[1] + pad]
    sketch.layout |= {"barmode": "overlay", "bargap": 0.25}
    return sketch.figure()


def _trace(
    bars: Sequence[Bar],
    of: Value,
    now: float,
    end: float,
    color: str,
    legend: str,
    said: Callable[[float], str],
    beyond: str,
) -> dict[str, Any]:
    """The bars of one colour: from the least to the most of both sides and the present answer."""
    base, length, texts = [], [], []
    for bar in bars:
        values = [min(of(side), end) for side in bar.sides]
        least, most = min([*values, now]), max([*values, now])
        base.append(least)
        length.append(most - least)
        told = [f"{side.words}: {said(of(side)) if of(side) < inf else beyond}" for side in bar.sides]
        texts.append(f"{bar.name}<br>{'<br>'.join(told)}<br>now: {said(now)}")
    return {
        "type": "bar",
        "orientation": "h",
        "x": length,
        "base": base,
        "y": [bar.name for bar in bars],
        "name": legend,
        "marker": {"color": color},
        "customdata": texts,
        "hovertemplate": "%{customdata}<extra></extra>",
    }
