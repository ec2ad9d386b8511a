"""Section of the language model page: prefill and decode on machines of their own."""

from __future__ import annotations

import streamlit as st

from sizing.catalog import Catalog
from sizing.llm.disaggregated import Pair, Phase, pairs
from sizing.plan import Plan
from sizing.scenario import LlmScenario
from sizing.units import format_ms, format_usd
from ui.frame import plain
from ui.results import folded, table

SHOWN = 6


def draw_disaggregated(scenario: LlmScenario, catalog: Catalog, plan: Plan) -> None:
    """The cheapest pairs of prefill and decode machines beside the deployment that does both."""

    def draw() -> None:
        best = plan.recommended
        load = best.throughput.requests_per_s.demanded if best else scenario.requests_per_s
        if load is None:
            st.caption("For users instead of a rate this needs a deployment first: its rate is what they ask for.")
            return
        found = pairs(scenario, catalog, load_per_s=load, most=SHOWN)
        if not found:
            st.caption("No pair of machines keeps the limits: a prompt alone, or a step alone, is too slow on each.")
            return
        table(
            ["Cloud", "Prefill", "Decode", "TTFT", "TPOT", "KV sent in", "Cost per hour"],
            [_row(catalog, pair, scenario) for pair in found],
        )
        st.caption(plain(_sentence(found[0], plan)))
        st.caption(
            "Each prompt is computed on one machine and its KV cache sent to another, over 100 Gbit/s for each accelerator "
            "(assumed); decoding is never disturbed by prompts. TTFT is that of the percentile asked for, TPOT that of a full "
            "batch. The two phases lie in one cloud and region; no public run of such a pair was compared with these figures."
        )

    folded("Prefill and decode on machines of their own", "llm:disaggregated", draw)


def _row(catalog: Catalog, pair: Pair, scenario: LlmScenario) -> list[str]:
    return [
        f"{pair.provider} {pair.region}",
        _phase(catalog, pair.prefill),
        f"{_phase(catalog, pair.decode)}, batch {pair.decode.batch}",
        f"p{scenario.slo_percentile} {format_ms(pair.ttft_ms)}",
        format_ms(pair.tpot_ms),
        format_ms(pair.transfer_ms),
        format_usd(pair.usd_per_hour),
    ]


def _phase(catalog: Catalog, phase: Phase) -> str:
    each = phase.tensor_parallel * phase.pipeline_parallel
    machines = "1 machine" if phase.instances == 1 else f"{phase.instances} machines"
    return f"{phase.replicas} x {each} {catalog.accelerator(phase.accelerator).name} ({machines} {phase.instance_type})"


def _sentence(pair: Pair, plan: Plan) -> str:
    best = plan.recommended
    if best is None:
        return f"The cheapest pair costs {format_usd(pair.usd_per_hour)} per hour."
    gained = best.cost.usd_per_hour - pair.usd_per_hour
    words = f"{format_usd(abs(gained))} per hour {'less' if gained > 0 else 'more'} than" if gained else "as much as"
    return f"The cheapest pair costs {words} the recommended deployment, which does both phases on each machine."
