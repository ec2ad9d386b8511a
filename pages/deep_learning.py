"""Deep learning models: GPU memory, batch size, GPU count, vCPUs and cost for a model under load."""

import streamlit as st

from sizing.deep_learning.own import CUSTOM, own_graph
from sizing.plan import Deployment, Plan
from sizing.units import format_bytes, format_ms
from ui.answer_charts import cost_of_candidates
from ui.charts_deep_learning import chosen_batch_words, memory_by_parts
from ui.draw import beside, draw_chart
from ui.inputs import Inputs, hardware_and_price, title_and_notes, words
from ui.inputs_fleet import load_and_terms
from ui.inputs_money import own_money
from ui.load import draw_load
from ui.measured import draw_measured
from ui.network import draw_network
from ui.own_network import own_label, own_network
from ui.pages import sizing_page
from ui.results import facts, figures
from ui.state import PageState, widget_key
from ui.triton import draw_triton

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
    load_and_terms(inputs)
    own_money(inputs)
    title_and_notes(inputs)


def _sharing(inputs: Inputs) -> None:
    inputs.number("queue_delay_ms", step=1.0)
    inputs.number("model_instances_per_gpu")
    inputs.choice("gpu_share")
    inputs.number("reserved_gib", step=1.0)
    inputs.number("reserved_share", step=0.05)
    inputs.number("request_kib", step=10.0, placeholder="by kind of input")


def more(state: PageState, plan: Plan) -> None:
    best = plan.recommended
    if best is not None:
        left, right = beside()
        with left:
            draw_chart(memory_by_parts(state.scenario, state.catalog, best))
        with right:
            draw_chart(cost_of_candidates(plan))
    st.subheader("The model and its machine", anchor="model")
    left, right = beside()
    with left:
        figures(plan, MODEL_FIGURES)
        st.caption("The peak live activations size the GPU. Their sum is what a training step or a layer table shows.")
    with right:
        if best is not None:
            _machine(state, best)


def _machine(state: PageState, best: Deployment) -> None:
    extra = best.extra
    vcpus = f" of {best.vcpus_per_instance * best.instances}" if best.vcpus_per_instance else ""
    on_gpu = best.accelerator is not None
    rows = [
        ("GPU memory needed at this batch" if on_gpu else "Memory of a session at this batch",
         format_bytes(float(extra["gpu_memory_needed_bytes"] or 0))),
        ("Sum of activations at this batch", format_bytes(float(extra["sum_activation_bytes"] or 0))),
        (chosen_batch_words(state.scenario), f"{best.batch:,}"),
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


sizing_page("deep_learning", "Deep learning model", controls=controls, more=more, below=below)
