"""What binds at the recommended deployment and what a little more would buy; without one, the machines that nearly serve."""

from __future__ import annotations

import streamlit as st

from sizing.catalog import Catalog
from sizing.llm.marginal import LESS_OVERHEAD, MORE, Lever, Marginal, marginal
from sizing.llm.misses import near_misses
from sizing.plan import Deployment, Plan
from sizing.scenario import LlmScenario
from sizing.units import format_ms, format_usd
from ui.frame import plain
from ui.results import folded, table
from ui.state import set_fields

TITLE = "What binds, and what more would buy"
NOTHING = 0.0005
"""Changes below this share are shown as none [1]."""


def draw_marginal(scenario: LlmScenario, catalog: Catalog, plan: Plan) -> None:
    """The folded section: levers of the recommended deployment, or the nearest misses."""
    best = plan.recommended

    def draw() -> None:
        if best is not None:
            _levers(scenario, best, marginal(scenario, catalog, best))
        else:
            _misses(scenario, catalog, plan)

    folded(TITLE, "marginal", draw)


def _levers(scenario: LlmScenario, best: Deployment, found: Marginal) -> None:
    st.markdown(plain(binding_words(best, found)))
    percentile = scenario.slo_percentile
    columns = [
        "Change",
        "From what to what",
        "Requests/s within the limits",
        f"TTFT p{percentile}",
        f"TPOT p{percentile}",
    ]
    now = found.now
    rows = [["none", "", f"{now.capacity_per_s:,.4g}", format_ms(now.ttft_ms), format_ms(now.tpot_ms), ""]]
    rows += [
        [
            _change_words(lever),
            lever.amount,
            f"{lever.capacity_per_s:,.4g} ({_percent(lever.capacity_change)})",
            f"{format_ms(lever.ttft_ms)} ({_percent(lever.ttft_change)})",
            f"{format_ms(lever.tpot_ms)} ({_percent(lever.tpot_change)})",
            "" if lever.usd_per_hour is None else f"+{format_usd(lever.usd_per_hour)}",
        ]
        for lever in found.levers
    ]
    table([*columns, "USD/hour"], rows)
    st.caption(
        plain(
            f"Each change alone, on {best.accelerator_name}, from the same model as the answer. Latency is that at "
            f"{best.throughput.requests_per_s.demanded:,.4g} requests/s and the present batch limit of {now.batch}; "
            "requests/s are those within the limits and the utilization cap, at the batch limit that the change allows."
        )
    )


def binding_words(best: Deployment, found: Marginal) -> str:
    """Two sentences: what a step spends its time on, and which change gives most."""
    memory, compute = found.memory_ms, found.compute_ms
    longer = "reading memory" if memory >= compute else "computing"
    spent = (
        f"With {found.in_flight:,.0f} requests in flight a step takes {format_ms(found.step_ms)}: {format_ms(memory)} of "
        f"reading memory, {format_ms(compute)} of computing beside it, {format_ms(found.overhead_ms)} between kernels"
    )
    if found.collective_ms > 0:
        spent += f", {format_ms(found.collective_ms)} between accelerators"
    replica, lever = found.levers[0], found.best
    said = f"Binding: {best.binding_constraint}. {spent}; {longer} takes longer."
    if lever.capacity_change > NOTHING:
        said += f" Of the changes to the part and the engine, {_change_words(lever)} gives the most: {_percent(lever.capacity_change)} requests/s."
    gained = replica.capacity_per_s - found.now.capacity_per_s
    cost = replica.usd_per_hour or 0.0
    price = (
        f"{format_usd(cost)} an hour, {format_usd(cost / gained)} for each of them"
        if cost > 0
        else "no more, on machines already rented"
    )
    return f"{said} One more replica adds {gained:,.3g} requests/s and costs {price}."


def _change_words(lever: Lever) -> str:
    if lever.usd_per_hour is not None:
        return lever.name
    if lever.name == "time between kernels":
        return f"{lever.name} -{(1 - LESS_OVERHEAD) * 100:.0f} %"
    return f"{lever.name} +{MORE * 100:.0f} %"


def _percent(share: float) -> str:
    """A change in percent, with its sign; no more digits than mean something.

    >>> _percent(0.0731), _percent(-0.12), _percent(0.0)
    ('+7.3 %', '-12.0 %', 'none')
    """
    return "none" if abs(share) < NOTHING else f"{share * 100:+.1f} %"


def _misses(scenario: LlmScenario, catalog: Catalog, plan: Plan) -> None:
    found = near_misses(scenario, catalog, plan.rejected)
    if not found:
        st.markdown(
            "No machine misses by a factor: each is dropped by a rule or an engine, see the table of candidates."
        )
        return
    st.markdown(
        plain(
            f"Binding: {plan.binding_constraint}. These machines miss by the smallest factor. Each change and its cost is for that machine; once it "
            "is made, the search may find a cheaper one."
        )
    )
    for position, miss in enumerate(found):
        st.markdown(
            plain(
                f"{position + 1}. {miss.instance_type} ({miss.provider}), by a factor of {miss.factor:.2f}: {miss.because}."
            )
        )
        if not miss.knobs:
            st.caption("No change of limits, formats or replica size that is tried here lifts it.")
        with st.container(horizontal=True):
            for number, knob in enumerate(miss.knobs):
                st.button(
                    plain(f"{knob.words[0].upper()}{knob.words[1:]}: {format_usd(knob.usd_per_hour)} an hour"),
                    key=f"miss:{position}:{number}",
                    on_click=set_fields,
                    args=("llm", dict(knob.changes)),
                )
