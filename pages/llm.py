"""Large language models: accelerators, replicas, latency and cost for a model under load."""

import streamlit as st

from sizing.llm import batch_curve, holding_limits, memory_parts_by_count
from sizing.plan import Plan
from sizing.units import format_bytes, format_ms
from ui.charts import Curve, MemoryBar, memory_chart, trade_off_chart
from ui.inputs import Inputs, hardware_and_price, title_and_notes, words
from ui.pages import beside, chart, cost_of_candidates, sizing_page
from ui.results import facts, table
from ui.state import PageState

COUNTS = (1, 2, 4, 8)


def controls(inputs: Inputs) -> None:
    """Eight controls in sight; what is left out of sight stands in the titles of the closed sections."""
    catalog, scenario = inputs.state.catalog, inputs.scenario
    models = {m.id: m.hf_id.split("/")[-1] for m in catalog.llm_models.values()}
    inputs.choice("model", models, names=lambda i: models.get(i, i))
    inputs.choice("weight_format")
    inputs.traffic()
    left, right = st.columns(2, gap="small")
    with left:
        inputs.number("prompt_tokens", step=100)
        inputs.number("ttft_target_ms", step=100.0, placeholder="no limit")
    with right:
        inputs.number("output_tokens", step=50)
        inputs.number("tpot_target_ms", step=5.0, placeholder="no limit")
    shown = {
        "kv_format": f"{scenario.kv_format} KV",
        "runtime": words(scenario.runtime),
        "slo_percentile": f"p{scenario.slo_percentile}",
        "utilization_cap": f"cap {scenario.utilization_cap:.0%}",
        "tensor_parallel": f"tp {scenario.tensor_parallel or 'searched'}",
        "batch": f"batch {scenario.batch or 'searched'}",
    }
    with inputs.advanced("Engine and limits", shown):
        inputs.choice("kv_format")
        inputs.choice("runtime")
        inputs.choice("slo_percentile")
        inputs.number("utilization_cap", step=0.05)
        inputs.number("tensor_parallel", placeholder="searched")
        inputs.number("pipeline_parallel", placeholder="searched")
        inputs.number("max_accelerators_per_replica")
        inputs.number("batch", placeholder="searched")
        inputs.number("gpu_memory_utilization", step=0.01)
        inputs.number("max_batched_tokens", step=1024)
        inputs.number("think_time_s")
        inputs.number("spare_replicas")
    hardware_and_price(inputs, category="gpu")
    title_and_notes(inputs)


def first_chart(state: PageState, plan: Plan) -> None:
    best = plan.recommended
    if best is None:
        return
    scenario = state.scenario
    curve = batch_curve(scenario, state.catalog, best)
    at = list(curve.batch).index(curve.chosen_batch)
    limit = scenario.tpot_target_ms
    figure = trade_off_chart(
        Curve(
            "one replica, by batch size",
            curve.output_tokens_per_s.tolist(),
            curve.tpot_ms.tolist(),
            low=curve.tpot_low_ms.tolist(),
            high=curve.tpot_high_ms.tolist(),
            labels=[str(b) if b & (b - 1) == 0 else "" for b in curve.batch.tolist()],
        ),
        x_title="throughput of one replica (output tokens/s)",
        y_title="time per output token (ms)",
        limit=limit,
        limit_name=f"TPOT limit {format_ms(limit)}",
        chosen=(float(curve.output_tokens_per_s[at]), float(curve.tpot_ms[at])),
        chosen_name=f"batch limit: {curve.chosen_batch}",
    )
    chart(
        figure,
        key="trade-off",
        title="Latency against throughput by batch size (numbers are batch sizes)",
        alt="Time per output token against output tokens per second of one replica by batch size, with the limit and the chosen batch",
    )


def more(state: PageState, plan: Plan) -> None:
    best = plan.recommended
    if best is None or best.accelerator is None or best.parallelism is None:
        return
    scenario, catalog = state.scenario, state.catalog
    chosen = best.parallelism.tp * best.parallelism.pp
    counts = tuple(sorted({*COUNTS, chosen}))
    left, right = beside()
    with left:
        bars = []
        for at in memory_parts_by_count(scenario, catalog, best.accelerator, counts):
            held = f"holds {at.max_sequences:,}" if at.max_sequences else "does not fit"
            label = f"{at.accelerators} × (tp {at.tensor_parallel}, pp {at.pipeline_parallel}): {held}"
            bars.append(MemoryBar(label, at.memory.parts, at.memory.capacity_bytes, chosen=at.accelerators == chosen))
        chart(
            memory_chart(bars, per="accelerator"),
            key="memory",
            title=f"Memory per {best.accelerator_name} when so many share one copy",
            alt="Memory parts per accelerator in GiB against its capacity for one, two, four and eight accelerators",
        )
    with right:
        cost_of_candidates(plan)
    _held(state, best.accelerator, best.accelerator_name or "", counts)
    memory = best.memory_per_accelerator
    if memory is not None:
        facts(
            [
                ("Used per accelerator", f"{format_bytes(memory.used_bytes)} of {format_bytes(memory.capacity_bytes)}"),
                ("KV cache of one replica", f"{int(best.extra['kv_tokens_capacity'] or 0):,} tokens"),
                ("Most requests at once, one replica", f"{int(best.extra['max_sequences'] or 0):,}"),
                ("Requests in flight, one replica", f"{float(best.extra['batch_in_flight'] or 0):,.3g}"),
            ]
        )


def _held(state: PageState, accelerator: str, name: str, counts: tuple[int, ...]) -> None:
    """At which batch and context each count stops holding."""
    limits = holding_limits(state.scenario, state.catalog, accelerator, counts)
    with st.expander(
        f"What {', '.join(map(str, counts))} × {name} hold: largest batch by context, longest context by batch",
        key="held",
    ):
        first = limits[0]
        columns = [
            "Accelerators",
            *(f"batch at {context:,} tokens" for context in first.largest_batch),
            *(f"context at batch {batch}" for batch in first.longest_context_tokens),
        ]
        rows = [
            [
                str(at.accelerators),
                *(f"{batch:,}" if batch else "none" for batch in at.largest_batch.values()),
                *(f"{tokens:,}" if tokens else "none" for tokens in at.longest_context_tokens.values()),
            ]
            for at in limits
        ]
        table(columns, rows)


sizing_page("llm", "Large language model", controls=controls, first_chart=first_chart, more=more)
