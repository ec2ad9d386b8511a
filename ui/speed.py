"""Speed of a language model to the bottom: a step by parts, latency against load with its breaks."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from sizing.catalog import Catalog
from sizing.llm import load_curve
from sizing.llm.breaks import breaks, breaks_words
from sizing.llm.charts import BatchCurve
from sizing.llm.serving import PERCENTILES
from sizing.llm.steps import PARTS, StepCurve, step_curve, step_words
from sizing.plan import Deployment
from sizing.scenario import LlmScenario
from sizing.units import format_ms
from ui.charts import percentile_chart
from ui.draw import beside, chart
from ui.frame import plain
from ui.results import folded
from ui.sketch import CHOSEN, PALETTE, Curve, layout_of


def draw_speed(scenario: LlmScenario, catalog: Catalog, best: Deployment | None) -> None:
    """Two closed sections on the recommended deployment; nothing without one."""
    if best is None:
        return
    st.subheader("Why it is this fast", anchor="speed")
    folded("Step time by parts as the batch grows", "steps", lambda: _steps(scenario, catalog, best))
    folded("TTFT and TPOT against the load, and where limits break", "breaks", lambda: _load(scenario, catalog, best))


def _steps(scenario: LlmScenario, catalog: Catalog, best: Deployment) -> None:
    curve = step_curve(scenario, catalog, best)
    st.markdown(plain(step_words(curve)))
    chart(
        step_chart(curve),
        key="step-parts",
        title=f"Step time by parts as the batch grows: {best.accelerators_per_replica} × {best.accelerator_name}",
        alt="Parts of the time of a decode step in ms by batch size, stacked to the predicted step time, the batch limit "
        "marked. " + step_words(curve),
    )
    added = float(curve.prompts_ms[curve.chosen])
    st.caption(
        plain(
            "A step gives each sequence of the batch one token. Of what overlaps the longer is shown in full and the other "
            "by what is not hidden behind it: weights against matrix products, KV cache against attention products. "
            f"Prompts of others add {format_ms(added)} to each token at the batch limit, on top of the step."
        )
    )


def step_chart(curve: StepCurve) -> go.Figure:
    """Stacked bars of the parts of a step [ms] by batch size, the batch limit marked."""
    labels = [f"<b>{b:,}</b><br>▲" if i == curve.chosen else f"{b:,}" for i, b in enumerate(curve.batch.tolist())]
    traces = [
        {
            "type": "bar",
            "x": labels,
            "y": curve.parts_ms[name].tolist(),
            "name": name,
            "marker": {"color": PALETTE[position]},
            "hovertemplate": "batch %{x}<br>" + name + ": %{y:.3g} ms<extra></extra>",
        }
        for position, name in enumerate(PARTS)
        if curve.parts_ms[name].any()
    ]
    total = float(curve.step_ms[curve.chosen])
    place = {
        "x": curve.chosen,
        "y": total,
        "xanchor": "right",
        "xshift": 14,
        "yanchor": "bottom",
    }  # lower bars are left
    note = {**place, "text": f"<b>{total:.3g} ms</b>", "showarrow": False, "font": {"color": CHOSEN}}
    layout = layout_of(
        {"title": {"text": "batch (sequences in a step; ▲ batch limit)"}, "type": "category"},
        {"title": {"text": "time of a decode step (ms)"}, "range": [0, float(curve.step_ms.max()) * 1.12]},
        height=340,
    )
    more = {"barmode": "stack", "bargap": 0.25, "annotations": [note]}
    return go.Figure(data=traces, layout=layout | more)


def _load(scenario: LlmScenario, catalog: Catalog, best: Deployment) -> None:
    found, curve = breaks(scenario, catalog, best), load_curve(scenario, catalog, best)
    st.markdown(plain(breaks_words(found, scenario.utilization_cap)))
    limits = {"TTFT": scenario.ttft_target_ms, "TPOT": scenario.tpot_target_ms}
    words = {"TTFT": "time to first token (ms)", "TPOT": "time per output token (ms)"}
    loads = curve.requests_per_s.tolist()
    for side, (name, table_ms) in zip(beside(), (("TTFT", curve.ttft_ms), ("TPOT", curve.tpot_ms)), strict=True):
        limit = limits[name]
        figure = percentile_chart(
            [Curve(f"p{p}", loads, table_ms[:, column].tolist()) for column, p in enumerate(PERCENTILES)],
            limits={} if limit is None else {f"p{found.percentile} limit {format_ms(limit)}": limit},
            load=found.demanded_per_s,
            stable_to=found.capacity_per_s,
            breaks_at=found.by_limit.get(name) or None,
            x_title="load on all replicas (requests/s)",
            y_title=words[name],
        )
        with side:
            chart(
                figure,
                key=f"load-{name}",
                title=f"{name} against load, requests arriving at random",
                alt=f"Median, 95th and 99th percentile of {name} in ms against requests per second, with the limit, the load "
                "at which it breaks, the demanded load and the capacity",
            )


def full_batch_words(curve: BatchCurve, best: Deployment, scenario: LlmScenario) -> str | None:
    """Why the chosen point lies outside the shading: the batch limit is not kept full at the demanded load. None if it
    does not."""
    at = list(curve.batch).index(curve.chosen_batch)
    means = (
        ("TTFT", float(curve.closed_ttft_ms[at]), scenario.ttft_target_ms),
        ("TPOT", float(curve.tpot_ms[at]), scenario.tpot_target_ms),
    )
    over = [
        f"the mean {name} would be {format_ms(mean_ms)}, over the limit of {format_ms(limit)}"
        for name, mean_ms, limit in means
        if limit is not None and mean_ms > limit
    ]
    if not over:
        return None
    flight = float(best.extra["batch_in_flight"] or 0)
    return (
        f"The chosen point lies outside the shading: with {curve.chosen_batch:,} sequences always in flight "
        f"{' and '.join(over)}; at your load {flight:,.3g} are in flight."
    )
