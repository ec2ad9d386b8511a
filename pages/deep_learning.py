"""Deep learning models: GPU memory, batch size, GPU count, vCPUs and cost for a model under load."""

import streamlit as st

from sizing.deep_learning import batch_curve, memory_by_batch
from sizing.deep_learning.own import CUSTOM, own_graph
from sizing.plan import Deployment, Memory, Plan
from sizing.units import format_bytes, format_ms
from ui.charts import MemoryBar, memory_chart, trade_off_chart
from ui.inputs import Inputs, hardware_and_price, title_and_notes, words
from ui.load import draw_load
from ui.measured import draw_measured
from ui.network import draw_network
from ui.own_network import own_label, own_network
from ui.pages import beside, chart, cost_of_candidates, sizing_page
from ui.results import facts, figures
from ui.sketch import Curve
from ui.state import PageState, widget_key
from ui.triton import draw_triton

MEMORY_BATCHES = (1, 8, 32, 128, 256)
SMALL_BATCHES = (1, 2, 4, 8, 16)
"""Batches drawn where the GPU is full before 32: those of a large model beyond would squeeze the bars that fit."""
PARTS = {"decoder is autoregressive": "encoder pass only", "x steps": "one step only"}
MODEL_FIGURES = (
    "Parameters",
    "Weights",
    "Input of a sample",
    "Peak live activations of a sample",
    "Sum of activations of a sample",
    "Multiply-adds of a sample",
    "Runtime floor",
    "Batch at 10 GiB by the peak (fp32)",
    "Batch at 10 GiB by the sum (fp32)",
)


def _part_of(note: str | None) -> str:
    """What of a pipeline a model is, by its note; the whole pipeline is a model of its own."""
    return next((f", {words}" for start, words in PARTS.items() if (note or "").startswith(start)), "")


def controls(inputs: Inputs) -> None:
    """Eight controls in sight; what is left out of sight stands in the titles of the closed sections."""
    catalog, scenario = inputs.state.catalog, inputs.scenario
    models = {
        m.id: f"{m.name.split('/')[-1]} ({m.framework.split()[0]}{_part_of(m.input_note)})"
        for m in catalog.deep_learning_models.values()
        if not m.stage_only
    }
    own = st.session_state.get(widget_key("deep_learning", "custom_network"))
    if own is not None:
        models[CUSTOM] = own_label(own)
    inputs.choice("model", models, names=lambda i: models.get(i, i))
    chosen = st.session_state[widget_key("deep_learning", "model")]
    if chosen == CUSTOM and own is not None:
        model = own_graph(own).model
    else:
        model = catalog.deep_learning_models.get(chosen) or catalog.deep_learning_model(scenario.model)
    left, right = st.columns(2, gap="small")
    with left:
        unit = model.input_unit.split(" (")[0].split(" of ")[0]
        inputs.number("input_size", label=f"Input size ({unit})", placeholder=str(model.input_default_size))
        inputs.choice("precision")
    with right:
        inputs.number("batch", placeholder="best")
        inputs.choice("runtime")
    inputs.traffic()
    inputs.number("latency_target_ms", step=10.0, placeholder="no limit")
    own_network(inputs)
    shown = {
        "attention": f"{scenario.attention} attention",
        "slo_percentile": f"p{scenario.slo_percentile}",
        "utilization_cap": f"cap {scenario.utilization_cap:.0%}",
        "cpu_ms_per_request": "CPU work by kind of input"
        if scenario.cpu_ms_per_request is None
        else f"{scenario.cpu_ms_per_request:g} ms CPU a request",
    }
    with inputs.advanced("Attention, limits and CPU work", shown):
        inputs.choice("attention")
        if scenario.runtime == "onnxruntime":
            inputs.choice("ort_arena")
        if model.usual_steps is not None:
            inputs.number("steps", placeholder=str(model.usual_steps))
        if model.usual_output_tokens is not None:
            inputs.number("output_tokens", placeholder=str(model.usual_output_tokens))
        inputs.choice("slo_percentile")
        inputs.number("utilization_cap", step=0.05)
        inputs.number("cpu_ms_per_request", step=0.5, placeholder="by kind of input")
        inputs.number("think_time_s")
        inputs.number("spare_replicas")
    batching = {
        "queue_delay_ms": f"delay {scenario.queue_delay_ms:g} ms",
        "model_instances_per_gpu": f"{scenario.model_instances_per_gpu} instance(s)",
        "gpu_share": words(scenario.gpu_share).lower(),
    }
    inputs.section("Batching and sharing of a GPU", batching, lambda: _sharing(inputs))
    hardware_and_price(inputs, category="either")
    title_and_notes(inputs)


def _sharing(inputs: Inputs) -> None:
    inputs.number("queue_delay_ms", step=1.0)
    inputs.number("model_instances_per_gpu")
    inputs.choice("gpu_share")
    inputs.number("reserved_gib", step=1.0)
    inputs.number("reserved_share", step=0.05)
    inputs.number("request_kib", step=10.0, placeholder="by kind of input")


def first_chart(state: PageState, plan: Plan) -> None:
    best = plan.recommended
    if best is None:
        return
    curve = batch_curve(state.scenario, state.catalog, best)
    at = list(curve.batch).index(curve.chosen_batch)
    bend = list(curve.batch).index(curve.knee_batch)
    limit = state.scenario.latency_target_ms
    worker = "one GPU" if best.accelerator is not None else "one session"
    figure = trade_off_chart(
        Curve(
            f"{worker}, by batch size",
            curve.requests_per_s.tolist(),
            curve.latency_ms.tolist(),
            low=curve.latency_low_ms.tolist(),
            high=curve.latency_high_ms.tolist(),
            labels=[str(b) for b in curve.batch.tolist()],
        ),
        x_title=f"throughput of {worker} (samples/s)",
        y_title="time of a batch (ms)",
        limit=limit,
        limit_name=f"latency limit {format_ms(limit)}",
        chosen=(float(curve.requests_per_s[at]), float(curve.latency_ms[at])),
        chosen_name=f"{_chosen(state).lower()}: {curve.chosen_batch:,}",
        knee=(float(curve.requests_per_s[bend]), float(curve.latency_ms[bend])),
        knee_name=f"knee: {curve.knee_batch}",
    )
    chart(
        figure,
        key="trade-off",
        title=f"Latency against throughput by batch size on one {best.accelerator_name or best.instance_type} (numbers are batch sizes)",
        alt="Time of a batch against samples per second of one worker by batch size, with the limit, the chosen batch and the knee",
    )
    # Power has its peak at t0 = k × batch; where that is under batch 1 or over the last batch drawn, the end is the knee.
    exact = float(best.extra["t0_ms"] or 0.0) / float(best.extra["k_ms"] or 1.0)
    where = (
        "its fixed time t0 is already shorter than the time k of one sample"
        if exact < 1.0
        else "t0 = k × batch lies beyond the batches shown"
        if exact > curve.knee_batch + 1
        else "t0 ≈ k × batch, about half of the most samples/s possible at twice the shortest time"
    )
    st.caption(
        f"The knee, batch {curve.knee_batch:,}, has the most throughput for its latency: {where}. "
        "Beyond it latency grows faster than throughput."
    )


def _chosen(state: PageState) -> str:
    """What the batch of the answer is: what was typed, or the best that was found."""
    if state.scenario.batch is not None:
        return "Largest batch, as set"
    return "Best batch" if state.scenario.latency_target_ms is None else "Best batch under the limit"


def more(state: PageState, plan: Plan) -> None:
    best = plan.recommended
    if best is not None:
        left, right = beside()
        with left:
            if best.accelerator is not None:
                _memory(state, best, best.accelerator)
            elif best.memory_per_instance is not None:
                _session_memory(best, best.memory_per_instance)
        with right:
            cost_of_candidates(plan)
    st.subheader("The model and its machine", anchor="model")
    left, right = beside()
    with left:
        figures(plan, MODEL_FIGURES)
        st.caption("The peak live activations size the GPU. Their sum is what a training step or a layer table shows.")
    with right:
        if best is not None:
            _machine(state, best)


def _memory(state: PageState, best: Deployment, accelerator: str) -> None:
    chosen = best.batch or 1
    full = memory_by_batch(state.scenario, state.catalog, (), accelerator).largest_batch
    batches = tuple(sorted({*(MEMORY_BATCHES if full >= 32 else SMALL_BATCHES), chosen}))
    found = memory_by_batch(state.scenario, state.catalog, batches, accelerator)
    bars = [
        MemoryBar(
            f"batch {batch:,}",
            {name: sizes[i] for name, sizes in found.parts.items()},
            found.capacity_bytes,
            chosen=batch == chosen,
            low_bytes=found.used_low_bytes[i],
            high_bytes=found.used_high_bytes[i],
        )
        for i, batch in enumerate(batches)
    ]
    chart(
        memory_chart(bars, per="GPU"),
        key="memory",
        title=f"Memory of one {best.accelerator_name} by batch: full at {found.largest_batch:,}",
        alt="Memory parts of one GPU in GiB by batch size, against its capacity",
    )


def _session_memory(best: Deployment, memory: Memory) -> None:
    bar = MemoryBar(f"batch {best.batch:,}", dict(memory.parts), memory.capacity_bytes, chosen=True)
    chart(
        memory_chart([bar], per="session"),
        key="memory",
        title=f"Memory of one session on {best.instance_type}",
        alt="Memory parts of one session in GiB, against the memory the machine has for it",
    )


def _machine(state: PageState, best: Deployment) -> None:
    extra = best.extra
    vcpus = f" of {best.vcpus_per_instance * best.instances}" if best.vcpus_per_instance else ""
    on_gpu = best.accelerator is not None
    rows = [
        ("GPU memory needed at this batch" if on_gpu else "Memory of a session at this batch",
         format_bytes(float(extra["gpu_memory_needed_bytes"] or 0))),
        ("Sum of activations at this batch", format_bytes(float(extra["sum_activation_bytes"] or 0))),
        (_chosen(state), f"{best.batch:,}"),
        ("Samples in flight on a GPU" if on_gpu else "Samples in a batch on average", f"{float(extra['batch_in_flight'] or 0):.3g}"),
        ("vCPUs for pre- and post-processing", f"{float(extra['vcpus_needed'] or 0):.2g}{vcpus}"),
        ("Time of a batch of b", f"{format_ms(float(extra['t0_ms'] or 0))} + {format_ms(float(extra['k_ms'] or 0))} × b"),
    ]  # fmt: skip
    if on_gpu:
        parts = state.catalog.accelerators
        ids = (str(extra["smallest_gpu"]), str(extra["smallest_rentable_gpu"]))
        smallest = [parts[i].name if i in parts else "none" for i in ids]
        rows += [
            ("Smallest GPU that holds it", f"{smallest[0]} (for rent: {smallest[1]})"),
            ("GPUs in use", f"{best.replicas} of {(best.accelerators or 0) * int(extra['workers_per_device'] or 1)}"),
        ]
    facts(rows)


def below(state: PageState, plan: Plan) -> None:
    draw_network(state.scenario, state.catalog, plan.recommended)
    draw_load(state.scenario, plan)
    draw_triton(state, plan)
    draw_measured(state, plan)


sizing_page("deep_learning", "Deep learning model", controls=controls, first_chart=first_chart, more=more, below=below)
