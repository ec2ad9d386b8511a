"""Predicted against measured as a figure: logarithmic axes, the diagonal, the lines of 25 and 50 % error, a colour a group."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from math import log10
from typing import Any

import plotly.graph_objects as go

from sizing.accuracy import load_words, quantity_of, worst
from sizing.accuracy_points import Point, book
from sizing.accuracy_view import ColourBy
from sizing.score_table import Scored
from ui.sketch import INTERVAL, LIMIT, PALETTE, Sketch, log_ticks, titled

MOST_DRAWN = 2_000
MOST_COLOURS = 8
MOST_OWN = 2_000
ERRORS = ((1.25, "dash"), (0.75, "dash"), (1.5, "dot"), (0.5, "dot"))
"""Predicted over measured [1] of the lines beside the diagonal."""
MARGIN = 1.15
OWN = "#D55E00"


def drawn(some: Sequence[Point], most: int = MOST_DRAWN) -> tuple[Point, ...]:
    """Points for the chart: all, or about `most` picked by their content, the worst ten always among them."""
    if len(some) <= most:
        return tuple(some)
    step = -(-len(some) // most)
    kept = [p for p in some if zlib.crc32(f"{p.model}{p.hardware}{p.setting}{p.measured:g}".encode()) % step == 0]
    return tuple(dict.fromkeys((*kept, *worst(some))))


def own_of(quantity: str, own: Sequence[Scored]) -> tuple[Scored, ...]:
    """Scored cases of one's own that the chart of a quantity can show; queues' names carry their class of CV."""
    return tuple(s for s in own if s.quantity.split(",")[0] == quantity and s.measured and s.predicted)


def scatter(quantity: str, some: Sequence[Point], colour: ColourBy, own: Sequence[Scored] = ()) -> go.Figure:
    """Predicted against measured of one quantity; cases of one's own as stars over ours."""
    said, mine = quantity_of(quantity), own_of(quantity, own)[:MOST_OWN]
    shown = drawn(some)
    values = [v for p in shown for v in (p.measured, p.predicted)]
    values += [v for s in mine for v in (s.measured, s.predicted) if v]
    low, high = min(values) / MARGIN, max(values) * MARGIN
    axis = {**log_ticks([low, high]), "range": [log10(low), log10(high)]}
    sketch = Sketch(
        x=titled(f"measured {said.titled}", **axis), y=titled(f"predicted {said.titled}", **axis), height=440
    )
    _lines(sketch, low, high)
    for position, (name, members) in enumerate(_groups(shown, colour)):
        sketch.traces.append(_trace(name, members, PALETTE[position]))
    if mine:
        x, y = [s.measured or 0.0 for s in mine], [s.predicted or 0.0 for s in mine]
        sketch.points(x, y, "yours", symbol="star", color=OWN, size=15)
        sketch.traces[-1]["type"] = "scattergl"  # the others are drawn over whatever is not
    return sketch.figure()


def _lines(sketch: Sketch, low: float, high: float) -> None:
    """The diagonal, and the lines on which a prediction is off by 25 and 50 %."""
    for factor, dash in ((1.0, "solid"), *ERRORS):
        x0, x1 = max(low, low / factor), min(high, high / factor)
        line = {"color": LIMIT if factor == 1.0 else INTERVAL, "width": 1.5, "dash": dash}
        ends = {"x0": x0, "y0": x0 * factor, "x1": x1, "y1": x1 * factor}
        sketch.shapes.append({"type": "line", **ends, "line": line, "layer": "below"})


def _groups(shown: Sequence[Point], colour: ColourBy) -> list[tuple[str, list[Point]]]:
    groups: dict[str, list[Point]] = {}
    for point in shown:
        groups.setdefault(getattr(point, colour), []).append(point)
    ordered = sorted(groups, key=lambda name: (-len(groups[name]), name))
    named = ordered if len(ordered) <= MOST_COLOURS else ordered[: MOST_COLOURS - 1]
    rest = [p for name in ordered[len(named) :] for p in groups[name]]
    first = [(book().name(name), groups[name]) for name in named]
    return [*first, *([(f"{len(ordered) - len(named)} others", rest)] if rest else [])]


def _trace(name: str, members: Sequence[Point], color: str) -> dict[str, Any]:
    return {
        "type": "scattergl",
        "x": [p.measured for p in members],
        "y": [p.predicted for p in members],
        "mode": "markers",
        "name": name,
        "marker": {"size": 6, "color": color, "opacity": 0.65},
        "text": [_hover(p) for p in members],
        "hovertemplate": "%{text}<br>measured %{x:.4g}, predicted %{y:.4g}<extra></extra>",
    }


def _hover(p: Point) -> str:
    said = ", ".join(part for part in (load_words(p), p.setting) if part)
    return f"{p.model}<br>{book().name(p.hardware)}, {book().name(p.engine)}<br>{said}"
