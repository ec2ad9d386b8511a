"""Large language models: accelerators, memory, replicas, latency and cost for a model under load."""

import streamlit as st

from sizing.catalog_rows import LlmModel
from sizing.llm.models import CUSTOM, OWN_BLOCK, parsed
from sizing.plan import Plan
from ui import memory, speed
from ui.answer_charts import cost_of_candidates
from ui.charts_llm import parts_chart
from ui.confidence import draw_confidence
from ui.disaggregated import draw_disaggregated
from ui.draw import draw_chart
from ui.frontier import draw_frontier
from ui.inputs import Inputs, hardware_and_price, title_and_notes, words
from ui.inputs_fleet import load_and_terms
from ui.inputs_money import own_money
from ui.marginal import draw_marginal
from ui.memory_map import draw_map, map_of
from ui.own_model import forget_checkpoint, own_label, own_model
from ui.own_results import draw_own_results
from ui.pages import sizing_page
from ui.replay import draw_replay
from ui.state import PageState, widget_key
from ui.variants import draw_variants


def controls(inputs: Inputs) -> None:
    """Eight controls in sight; what is left out of sight stands in the titles of the closed sections."""
    catalog = inputs.state.catalog
    own = st.session_state.get(widget_key("llm", "custom_config"))
    models = {m.id: m.name for m in catalog.llm_models.values()}
    if own is not None:
        models[CUSTOM] = own_label(own)
    inputs.choice("model", models, names=lambda i: models.get(i, i), on_change=forget_checkpoint)
    inputs.choice("weight_format", on_change=forget_checkpoint)
    inputs.traffic()
    left, right = st.columns(2, gap="small")
    with left:
        inputs.number("prompt_tokens", step=100)
        inputs.number("ttft_target_ms", step=100.0, placeholder="no limit")
    with right:
        inputs.number("output_tokens", step=50)
        inputs.number("tpot_target_ms", step=5.0, placeholder="no limit")
    own_model(inputs)
    _engine(inputs)
    chosen = inputs.values["model"]
    _spread(inputs, parsed(own).model if chosen == CUSTOM and own else catalog.llm_models.get(chosen))
    _levers(inputs)
    hardware_and_price(inputs, category="gpu")
    load_and_terms(inputs)
    own_money(inputs)
    title_and_notes(inputs)


def _engine(inputs: Inputs) -> None:
    scenario = inputs.scenario
    shown = {
        "kv_format": f"{scenario.kv_format} KV",
        "runtime": f"{words(scenario.runtime)} {scenario.engine_version or ''}".strip(),
        "slo_percentile": f"p{scenario.slo_percentile}",
        "utilization_cap": f"cap {scenario.utilization_cap:.0%}",
        "batch": f"batch {scenario.batch or 'searched'}",
    }

    def draw() -> None:
        inputs.choice("kv_format")
        inputs.choice("runtime")
        inputs.text("engine_version", placeholder="newest known")
        inputs.choice("slo_percentile")
        inputs.number("utilization_cap", step=0.05)
        inputs.number("batch", placeholder="searched")
        inputs.number("gpu_memory_utilization", step=0.01)
        inputs.number("max_batched_tokens", step=1024)
        inputs.number("max_sequences", placeholder="engine's default")
        inputs.number("think_time_s")
        inputs.number("spare_replicas")

    inputs.section("Engine and limits", shown, draw)


def _spread(inputs: Inputs, model: LlmModel | None) -> None:
    scenario = inputs.scenario
    data, adapters, draft = scenario.attention_data_parallel, scenario.lora_adapters, scenario.draft_model
    shown = {
        "tensor_parallel": f"tp {scenario.tensor_parallel or 'searched'}",
        "pipeline_parallel": f"pp {scenario.pipeline_parallel or 'searched'}",
        "attention_data_parallel": f"attention dp {data}" if data > 1 else "",
        "expert_parallel": "expert parallel" if scenario.expert_parallel else "",
        "max_accelerators_per_replica": f"at most {scenario.max_accelerators_per_replica}",
        "lora_adapters": f"{adapters} adapters" if adapters else "no adapters",
        "draft_model": f"draft {draft}" if draft else "no draft model",
        "prefix_cache_tokens": f"{scenario.prefix_cache_tokens:,} prefix tokens"
        if scenario.prefix_cache_tokens
        else "",
    }

    def draw() -> None:
        inputs.number("tensor_parallel", placeholder="searched")
        inputs.number("pipeline_parallel", placeholder="searched")
        inputs.number("attention_data_parallel")
        inputs.flag("expert_parallel")
        inputs.number("max_accelerators_per_replica")
        inputs.number("lora_adapters")
        inputs.number("lora_rank", step=8)
        drafts = _drafts(inputs, model)
        inputs.choice("draft_model", drafts, names=lambda i: drafts.get(i, words(i)), placeholder="none")
        inputs.number("drafted_tokens")
        inputs.number("draft_acceptance", step=0.05)
        inputs.number("prefix_cache_tokens", step=1000)

    inputs.section("Parallelism and what is served beside it", shown, draw)


def _levers(inputs: Inputs) -> None:
    """What the workload allows: prompts shared between requests, and how lengths and arrivals spread."""
    scenario = inputs.scenario
    shared, turns = scenario.shared_prefix_tokens, scenario.turns_per_conversation
    uneven = scenario.prompt_cv or scenario.output_cv or scenario.arrival_squared_cv != 1.0
    shown = {
        "shared_prefix_tokens": f"{shared:,} tokens shared" if shared else "nothing shared",
        "turns_per_conversation": f"{turns:g} turns" if turns > 1 else "single turns",
        "prompt_cv": "uneven lengths or arrivals" if uneven else "",
    }

    def draw() -> None:
        inputs.number("shared_prefix_tokens", step=100)
        inputs.number("turns_per_conversation", step=1.0)
        inputs.number("history_kept_share", step=0.05)
        inputs.number("seconds_between_turns", step=5.0)
        inputs.number("kv_offload_gib", step=16.0)
        inputs.number("prompt_cv", step=0.1)
        inputs.number("output_cv", step=0.1)
        inputs.number("arrival_squared_cv", step=0.5)

    inputs.section("Workload: shared prompts, turns, spread", shown, draw)


def _drafts(inputs: Inputs, model: LlmModel | None) -> dict[str, str]:
    """Models that can draft for this one: of its vocabulary, and smaller."""
    found = {OWN_BLOCK: words(OWN_BLOCK)}
    for row in inputs.state.catalog.llm_models.values():
        if model is not None and row.vocab == model.vocab and (row.params_total or 0) < (model.params_total or 0):
            found[row.id] = row.name
    return found


def more(state: PageState, plan: Plan) -> None:
    """The parts of memory by count, also when no deployment meets the scenario, and what the candidates cost."""
    scenario, catalog, best = state.scenario, state.catalog, plan.recommended
    at = memory.hardware_of(scenario, catalog, plan)
    if at is None:
        return
    counts = memory.by_count(scenario, catalog, at)
    if best is not None:
        left, right = st.columns([1.6, 1], gap="medium")
        with left:
            draw_chart(parts_chart(at, counts))
        with right:
            draw_chart(cost_of_candidates(plan))
    else:
        draw_chart(parts_chart(at, counts))
    memory.draw_parts_table(at, counts)


def below(state: PageState, plan: Plan) -> None:
    """How sure it is, then speed and memory to the bottom: why it is so fast, where it fits, what is held, what would save some."""
    scenario, catalog, best = state.scenario, state.catalog, plan.recommended
    draw_confidence(state, plan)
    draw_own_results(state)
    speed.draw_speed(scenario, catalog, best)
    draw_replay(state, plan)
    draw_disaggregated(scenario, catalog, plan)
    draw_marginal(scenario, catalog, plan)
    draw_variants(scenario, catalog)
    draw_frontier(state, plan)
    at = memory.hardware_of(scenario, catalog, plan)
    if at is None:
        return
    chosen = (at.accelerator, at.split.accelerators) if best is not None else None
    texts = map_of(scenario, catalog, requests=at.requests, chosen=chosen)
    draw_map(scenario, texts, requests=at.requests, binds=memory.binds_words(scenario, at))
    memory.draw_answers(scenario, catalog, at, texts, best)
    memory.draw_limits(scenario, catalog, at)
    memory.draw_splits(scenario, catalog, at)
    memory.draw_what_ifs(scenario, catalog, at)
    memory.draw_drift(scenario, catalog, at)


sizing_page("llm", "Large language model", controls=controls, more=more, below=below)
