"""Pareto fronts of the whole search space: speed for a user against throughput of an accelerator, and for the money."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import log10
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from sizing.catalog import Catalog
from sizing.llm.frontier import Frontier, Point, frontier
from sizing.plan import Plan
from sizing.planner import plan as planned
from sizing.scenario import LlmScenario
from sizing.units import MS_PER_S, format_ms, format_usd
from ui.draw import beside, chart
from ui.frame import plain
from ui.memory_map import spread
from ui.results import folded
from ui.sketch import LIMIT, PALETTE, Sketch, log_ticks, titled
from ui.state import PageState

USER = "output tokens for one user (tokens/s)"
PER_ACCELERATOR = "throughput (output tokens/s per accelerator)"
PER_DOLLAR = "cost (USD per million output tokens)"
HEIGHT = 380
NAME_WIDTH, NAME_HEIGHT = 0.3, 0.07
"""Room that a name takes beside a front, as shares of its extent [1]."""


@lru_cache(maxsize=2)
def _frontier(scenario: LlmScenario, catalog: Catalog) -> Frontier:
    return frontier(scenario, catalog, planned(scenario, catalog).recommended)


def draw_frontier(state: PageState, plan: Plan) -> None:
    """The section of a page; made once it is open, as its charts cost a redraw more than the search behind them."""

    def draw() -> None:
        if state.scenario.output_tokens < 2:
            st.info("A reply of one token has no time per output token, so there is no speed for a user to compare.")
            return
        found = _frontier(state.scenario, state.catalog)
        if not found.per_accelerator:
            st.info("No allowed accelerator holds this model, so there is nothing to compare.")
            return
        st.markdown(plain(sentence(state.scenario, found)))
        left, right = beside()
        with left:
            chart(
                front_chart(found.per_accelerator, found, throughput, PER_ACCELERATOR, state.scenario.tpot_target_ms),
                key="front-accelerator",
                title="Speed for a user against throughput of an accelerator",
                alt="Pareto front of output tokens per second for one user against output tokens per second per "
                "accelerator, with the TPOT limit and the recommended deployment",
            )
        with right:
            chart(
                front_chart(found.per_dollar, found, cost, PER_DOLLAR, state.scenario.tpot_target_ms),
                key="front-dollar",
                title="Speed for a user against cost (lower is better)",
                alt="Pareto front of output tokens per second for one user against USD per million output tokens, with "
                "the TPOT limit and the recommended deployment",
            )
        st.caption(
            plain(
                f"{found.configurations:,} configurations that memory holds, {found.estimates:,} points of them by batch "
                "size. Each point is a replica kept full by a closed loop, "
                "at its mean; a cost is a replica's share of machines filled with such replicas. The recommended deployment "
                "is sized for its own load and percentile, so its own cost of a token is above that of its point here."
            )
        )
        st.dataframe(pd.DataFrame(rows(found)), hide_index=True, alt="Points of both fronts, fastest for a user first")

    folded("Pareto fronts: speed for a user against throughput for the money", "fronts", draw)


def throughput(point: Point) -> float:
    """Height of a point in the first chart [tokens/s per accelerator]."""
    return point.tokens_per_s_per_accelerator


def cost(point: Point) -> float:
    """Height of a point in the second chart [USD per million tokens]."""
    return point.usd_per_million_tokens


def hardware(point: Point) -> str:
    """Such as 8 × B200 180GB (tp 8)."""
    return f"{point.split.accelerators} × {_short(point.accelerator_name)} ({spread(point.split)})"


def _short(name: str) -> str:
    """An accelerator's name without what stands in brackets and the board it sits on.

    >>> _short("HGX/DGX B300 288GB (Blackwell Ultra)")
    'B300 288GB'
    """
    return re.sub(r" \(.*\)$", "", name).removeprefix("HGX/DGX ")


def sentence(scenario: LlmScenario, found: Frontier) -> str:
    """The end of each front within the limits, and where the recommended deployment stands."""
    limits = [f"TTFT {format_ms(scenario.ttft_target_ms)}"] if scenario.ttft_target_ms is not None else []
    limits += [f"TPOT {format_ms(scenario.tpot_target_ms)}"] if scenario.tpot_target_ms is not None else []
    within = f"Within {' and '.join(limits)}" if limits else "Without limits"
    busy = max((p for p in found.per_accelerator if p.meets), key=throughput, default=None)
    cheap = min((p for p in found.per_dollar if p.meets), key=cost, default=None)
    if busy is None or cheap is None:
        said = f"{within} no point of a front is left."
    else:
        said = (
            f"{within}, an accelerator gives at most {throughput(busy):,.0f} output tokens/s ({hardware(busy)}, batch "
            f"{busy.batch}), and a million tokens cost at least {format_usd(cost(cheap))} ({hardware(cheap)}, batch {cheap.batch}, "
            f"{cheap.instance_type})."
        )
    star = _star(found)
    if star is not None:
        said += (
            f" The recommended replica, kept full: {throughput(star):,.0f} output tokens/s per accelerator and "
            f"{format_usd(cost(star))}, with {star.tokens_per_s_per_user:,.0f} tokens/s for a user."
        )
    return said


def _star(found: Frontier) -> Point | None:
    return next((point for point in found.chosen if point.batch == found.chosen_batch), None)


def _hover(point: Point) -> str:
    return (
        f"{hardware(point)}, batch {point.batch}<br>{point.instance_type}, {point.provider}: "
        f"{format_usd(point.usd_per_hour)} per hour a replica<br>{point.tokens_per_s_per_user:,.3g} tokens/s for a user, "
        f"{throughput(point):,.3g} per accelerator<br>{format_usd(cost(point))} per million, TTFT {format_ms(point.ttft_ms)}"
    )


def front_chart(
    front: Sequence[Point], found: Frontier, value: Callable[[Point], float], y_title: str, tpot_limit_ms: float | None
) -> go.Figure:
    """A front with the points that meet both limits filled, the TPOT limit as a line, the recommended one marked."""
    everyone, least = [*front, *found.chosen], None if tpot_limit_ms is None else MS_PER_S / tpot_limit_ms
    speeds = [point.tokens_per_s_per_user for point in everyone]
    sketch = Sketch(
        x=titled(USER, **log_ticks([*speeds, *([least] if least else [])])),
        y=titled(y_title, **log_ticks([value(point) for point in everyone])),
        height=HEIGHT,
    )
    line = {"mode": "lines", "hoverinfo": "skip"}
    sketch.traces.append(
        _trace(front, value, "front", **line, line={"color": PALETTE[0], "width": 1}, showlegend=False)
    )
    for is_met, name, symbol in (
        (True, "front, limits met", "circle"),
        (False, "front, a limit missed", "circle-open"),
    ):
        points = [point for point in front if point.meets == is_met]
        if points:
            marker = {"color": PALETTE[0], "size": 8, "symbol": symbol}
            sketch.traces.append(_trace(points, value, name, mode="markers", marker=marker))
    if found.chosen:
        marker = {"color": PALETTE[1], "size": 5}
        drawn = {"mode": "lines+markers", "line": {"color": PALETTE[1], "width": 2}, "marker": marker}
        sketch.traces.append(_trace(found.chosen, value, "recommended replica, by batch", **drawn))
    star = _star(found)
    if star is not None:
        sketch.star(star.tokens_per_s_per_user, value(star), f"recommended, batch {star.batch}")
        sketch.traces[-1]["hovertemplate"] = _hover(star) + "<extra></extra>"
    # Throughput falls with speed and leaves the corner at the bottom empty; cost rises with it and leaves the one above.
    falls = value(front[0]) <= value(front[-1])
    for point in _named(front, value):
        place: dict[str, Any] = {"x": log10(point.tokens_per_s_per_user), "y": log10(value(point))}
        place |= {"ax": 30, "ay": -20 if falls else 20, "arrowwidth": 1, "arrowhead": 0}
        sketch.notes.append({**place, "text": _short(point.accelerator_name)})
    if least is not None:
        ends: dict[str, Any] = {"x0": least, "x1": least, "y0": 0, "y1": 1, "yref": "paper"}
        sketch.shapes.append({"type": "line", **ends, "line": {"color": LIMIT, "dash": "dash", "width": 2}})
        place = {"x": log10(least), "y": 0 if falls else 1, "yref": "paper", "xanchor": "left"}
        place |= {"yanchor": "bottom" if falls else "top", "showarrow": False, "font": {"color": LIMIT}}
        sketch.notes.append({**place, "text": f" TPOT limit {format_ms(tpot_limit_ms)}: faster is right"})
    return sketch.figure()


def _trace(points: Sequence[Point], value: Callable[[Point], float], name: str, **more: Any) -> dict[str, Any]:
    shown = {"text": [_hover(point) for point in points], "hovertemplate": "%{text}<extra></extra>"}
    return {
        "type": "scatter",
        "x": [point.tokens_per_s_per_user for point in points],
        "y": [value(point) for point in points],
        "name": name,
        **({} if "hoverinfo" in more else shown),
        **more,
    }


def _named(front: Sequence[Point], value: Callable[[Point], float]) -> list[Point]:
    """The first point of each stretch of one accelerator along a front, without those whose names would overlap."""
    places = [(log10(point.tokens_per_s_per_user), log10(value(point))) for point in front]
    wide, high = (max(axis) - min(axis) or 1.0 for axis in zip(*places, strict=True))
    named: list[int] = []
    for i, point in enumerate(front):
        starts = i == 0 or front[i - 1].accelerator != point.accelerator
        if starts and all(
            abs(places[i][0] - places[j][0]) > NAME_WIDTH * wide
            or abs(places[i][1] - places[j][1]) > NAME_HEIGHT * high
            for j in named
        ):
            named.append(i)
    return [front[i] for i in named]


def rows(found: Frontier) -> list[dict[str, object]]:
    """Points of both fronts as rows of a table, fastest for a user first."""
    on = dict.fromkeys(found.per_accelerator, "throughput")
    for point in found.per_dollar:
        on[point] = "both" if point in on else "cost"
    return [
        {
            "Tokens/s, one user": round(point.tokens_per_s_per_user, 1),
            "Tokens/s per accelerator": round(throughput(point), 1),
            "USD/1M tokens": round(cost(point), 4),
            "Replica": hardware(point),
            "Batch": point.batch,
            "Instance": point.instance_type,
            "TTFT, mean (ms)": round(point.ttft_ms, 1),
            "Limits": "met" if point.meets else "missed",
            "Front": name,
        }
        for point, name in sorted(on.items(), key=lambda item: -item[0].tokens_per_s_per_user)
    ]
