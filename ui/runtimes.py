"""The section of runtimes: time a row against rows in a request for each runtime, and the plan that each leads to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from sizing.catalog import Catalog
from sizing.plan import Plan
from sizing.scenario import StatisticalScenario
from sizing.statistical.runtimes import RowTimes, RuntimeOutcome, outcomes, pick, pick_words, row_times
from sizing.units import format_bytes, format_ms, format_usd
from ui.draw import beside, chart
from ui.frame import plain
from ui.inputs import words
from ui.results import folded, table
from ui.sketch import CHOSEN, PALETTE, Sketch, log_ticks, titled

TITLE = "Which runtime to pick, and what it saves"


def draw_runtimes(scenario: StatisticalScenario, catalog: Catalog, plan: Plan) -> None:
    """The folded section; the plans of the other runtimes are made once it is open."""
    if plan.recommended is not None:
        folded(TITLE, "runtimes", lambda: _draw(scenario, catalog, plan))


def _draw(scenario: StatisticalScenario, catalog: Catalog, plan: Plan) -> None:
    best = plan.recommended
    assert best is not None
    found = outcomes(scenario, catalog)
    st.markdown(plain(pick_words(found, scenario)))
    left, right = beside()
    with left:
        chart(
            time_chart(row_times(scenario, catalog, best), scenario.rows_per_request),
            key="runtime-times",
            title=f"Time of a row by rows in a request, on one core of {best.instance_type}",
            alt="Microseconds a row of the predict call against rows in a request, a line a runtime, with the scenario's rows",
        )
    with right:
        table(
            ("Runtime", "Predict call", "Instances", "$/month", "Saves", "Worker memory"),
            [_cells(o, found, scenario) for o in found],
            least_rem=34,
        )
        st.caption(
            "The predict call alone, without web server and queue; point at a line for its 80 % interval. Small requests pay "
            "for the call, large ones for the rows: sending more rows in a request is often worth more than a faster runtime."
        )
        if scenario.measured_service is not None:
            st.caption(
                "Your measurements count for the predict call of the chosen runtime only; the web server's time that they gave "
                "counts for every runtime."
            )


def _cells(o: RuntimeOutcome, found: Sequence[RuntimeOutcome], scenario: StatisticalScenario) -> list[str]:
    best = pick(found)
    now = next(each for each in found if each.runtime == scenario.runtime)
    marks = (["pick"] if best is not None and o.runtime == best.runtime else []) + (["chosen"] if o is now else [])
    name = words(o.runtime) + (f" ({', '.join(marks)})" if marks else "")
    if o.usd_per_month is None:
        return [name, "–", o.because or "", "–", "–", format_bytes(o.worker_bytes)]
    saved = None if now.usd_per_month is None else now.usd_per_month - o.usd_per_month
    return [
        name,
        format_ms(o.model_ms),
        f"{o.instances:,} × {o.instance_type}",
        format_usd(o.usd_per_month),
        "–" if o is now or saved is None else saving_words(saved),
        format_bytes(o.worker_bytes),
    ]


def saving_words(usd: float) -> str:
    """A saving [USD] as a table has it.

    >>> saving_words(0.0), saving_words(12.5), saving_words(-3.0)
    ('nothing', '$12.50', '$3.00 dearer')
    """
    if abs(usd) < 0.005:
        return "nothing"
    return format_usd(usd) if usd > 0 else f"{format_usd(-usd)} dearer"


def time_chart(found: Sequence[RowTimes], rows: int) -> go.Figure:
    """Time of a row [us] against rows in a request, both logarithmic, a line a runtime."""
    values = np.concatenate([each.us_per_row for each in found])
    sketch = Sketch(
        x=titled("rows in a request (count)", **log_ticks(found[0].rows)),
        y=titled("predict call (µs per row)", **log_ticks(values.tolist())),
    )
    for position, each in enumerate(found):
        sketch.traces.append(
            {
                "type": "scatter",
                "x": list(each.rows),
                "y": each.us_per_row.tolist(),
                "customdata": np.stack([each.low_us, each.high_us], axis=1).tolist(),
                "name": words(each.runtime),
                "mode": "lines+markers",
                "line": {"color": PALETTE[position], "width": 2},
                "marker": {"size": 5},
                "hovertemplate": "%{x:,} rows: %{y:.3g} µs a row (80 %: %{customdata[0]:.3g} to %{customdata[1]:.3g})"
                "<extra>" + words(each.runtime) + "</extra>",
            }
        )
    sketch.mark(rows, " this scenario", CHOSEN, dash="solid", height=0.97, anchor="left")
    return sketch.figure()
