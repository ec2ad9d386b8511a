"""Candidate moves of a language model scenario."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sizing.advisor import quality, siblings
from sizing.advisor.moves import Move, Note, place_moves, purchase_moves, relaxing_moves
from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.llm.architecture import MTP
from sizing.llm.candidates import RUNTIME_WORDS
from sizing.llm.disaggregated import pairs
from sizing.llm.formats import GGUF, scheme_of
from sizing.llm.levers import BLOCK_TOKENS
from sizing.llm.models import CUSTOM, OWN_BLOCK, model_of
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import checkpoint_weights_bytes
from sizing.plan import Deployment
from sizing.scenario import LlmScenario
from sizing.scenario_llm import KvFormat, LlmRuntime, WeightFormat
from sizing.units import HOURS_PER_MONTH

SERVER_FORMATS: tuple[WeightFormat, ...] = ("bf16", "fp8", "int8", "int4", "nvfp4", "mxfp4")
GGUF_FORMATS: tuple[WeightFormat, ...] = (
    "gguf_q8_0", "gguf_q6_k", "gguf_q5_k_m", "gguf_q4_k_m", "gguf_iq4_xs", "gguf_q3_k_m"
)  # fmt: skip
LLAMA_CPP_TRIED: tuple[WeightFormat, ...] = ("gguf_q8_0", "gguf_q4_k_m")
KV_FORMATS: dict[LlmRuntime, tuple[KvFormat, ...]] = {
    "vllm": ("fp8",),
    "sglang": ("fp8", "fp4"),
    "tensorrt_llm": ("fp8", "int8", "fp4"),
    "llama_cpp": (),
}
"""Quantised caches by engine. Source: their documentation of KV cache quantisation (vLLM 0.25, SGLang, 2026; TensorRT-LLM
recalled); llama.cpp's own quantised caches are not among the formats here."""
SERVERS: tuple[LlmRuntime, ...] = ("vllm", "sglang", "tensorrt_llm")
SMALLER = 0.98
"""Most bytes of a weight format worth trying against the present one [1]."""
COPIES = (8, 4)
"""Copies of the attention layers tried for models whose KV cache is the same on every rank."""
SHARED_PART = 0.5
"""Share of the prompt taken as shared in the what-if of the prefix cache [1]."""
MTP_DRAFTED, MTP_ACCEPTANCE = 1, 0.85
"""One token drafted by the model's own block, accepted in 85 to 90 % of cases for DeepSeek-V3 (the lower end is taken).
Source: DeepSeek-V3 technical report, section 5.4.3 (arXiv 2412.19437, 2024-12; read in quotation)."""
DRAFT_ACCEPTANCE = 0.7
"""Chance taken for a draft model of the same line [1]: an assumption, as the scenario's own default."""
LEAST_CHUNK, MOST_CHUNK = 1024, 65_536
LIMITS = {"ttft_target_ms": "the first token", "tpot_target_ms": "a token"}


def moves(scenario: LlmScenario, catalog: Catalog, best: Deployment) -> Iterator[Move]:
    """Every move worth a plan for this scenario, under 45 of them."""
    model = model_of(scenario, catalog)
    yield from _weights(scenario, model)
    for cache in KV_FORMATS[scenario.runtime]:
        if cache != scenario.kv_format:
            yield Move(f"kv:{cache}", "kv", f"Keep the KV cache in {cache}", {"kv_format": cache}, quality.KV[cache])
    yield from _runtimes(scenario, model)
    yield from _parallelism(scenario, model)
    yield from _batching(scenario)
    yield from _levers(scenario, model, catalog)
    for row in siblings.smaller_llms(model, catalog):
        yield Move(
            f"model:{row.id}", "model", f"Use the smaller {row.name}", _of_model(scenario, row, model),
            siblings.step_down(model.id, row.id),
        )  # fmt: skip
    yield from purchase_moves(scenario)
    yield from place_moves(scenario)
    yield from relaxing_moves(scenario, LIMITS)


def notes(scenario: LlmScenario, catalog: Catalog, best: Deployment) -> tuple[Note, ...]:
    """Ways beyond the fields: the two phases on machines of their own."""
    load = best.throughput.requests_per_s.demanded
    found = pairs(scenario, catalog, load_per_s=load, most=1)
    if not found:
        return ()
    usd = found[0].usd_per_hour * HOURS_PER_MONTH
    words = "prompts and tokens never disturb each other; no public run of such a pair was compared (see its section)"
    return (Note("Prefill and decode on machines of their own", words, usd),)


def _weights(scenario: LlmScenario, model: LlmModel) -> Iterator[Move]:
    """Formats that the engine reads and that are smaller than the present one."""
    read = GGUF_FORMATS if scenario.runtime == "llama_cpp" else SERVER_FORMATS
    now = checkpoint_weights_bytes(model, scenario.weight_format)
    for name in read:
        if checkpoint_weights_bytes(model, name) > SMALLER * now:
            continue
        title = f"Store the weights in {scheme_of(model, name).words}"
        changes = {"weight_format": name, "checkpoint_bytes": None}
        note = quality.PRECISION["bf16"] if name == "bf16" else quality.weights(name)
        yield Move(f"weights:{name}", "weights", title, changes, note)


def _runtimes(scenario: LlmScenario, model: LlmModel) -> Iterator[Move]:
    has_gguf = scenario.weight_format in GGUF
    for engine in SERVERS:
        if engine == scenario.runtime:
            continue
        changes: dict[str, Any] = {"runtime": engine, "engine_version": None}
        if has_gguf:
            changes |= {"weight_format": "native", "checkpoint_bytes": None}
        if scenario.kv_format not in ("bf16", "fp16", *KV_FORMATS[engine]):
            changes["kv_format"] = "bf16"
        title = f"Serve with {RUNTIME_WORDS[engine]}" + (", weights as published" if has_gguf else "")
        yield Move(f"runtime:{engine}", "runtime", title, changes, quality.ENGINE)
    if scenario.runtime != "llama_cpp":
        for name in LLAMA_CPP_TRIED:
            changes = {"runtime": "llama_cpp", "engine_version": None, "weight_format": name, "checkpoint_bytes": None}
            changes |= {"kv_format": "bf16", "tensor_parallel": None}
            title = f"Serve {scheme_of(model, name).words} with llama.cpp"
            yield Move(f"runtime:llama_cpp:{name}", "runtime", title, changes, quality.weights(name))


def _parallelism(scenario: LlmScenario, model: LlmModel) -> Iterator[Move]:
    """Degrees left open, copies of the attention for latent or few KV heads, whole experts on a rank."""
    pinned = {n: None for n in ("tensor_parallel", "pipeline_parallel") if getattr(scenario, n) is not None}
    if pinned:
        yield Move(
            "parallelism:open",
            "parallelism",
            "Let the search choose tensor and pipeline parallel",
            pinned,
            quality.SPLIT,
        )
    if scenario.runtime == "llama_cpp":
        return
    experts = bool(architecture_of(model).experts)
    if model.kv_lora_rank is not None and scenario.attention_data_parallel == 1:
        for copies in COPIES:
            changes: dict[str, Any] = {"attention_data_parallel": copies, "tensor_parallel": None}
            changes |= {"expert_parallel": True} if experts else {}
            title = f"Run {copies} copies of the attention layers" + (
                ", whole experts on each accelerator" if experts else ""
            )
            yield Move(f"parallelism:copies{copies}", "parallelism", title, changes, quality.SPLIT)
    if experts and not scenario.expert_parallel:
        yield Move(
            "parallelism:experts", "parallelism", "Put whole experts on each accelerator", {"expert_parallel": True}, quality.SPLIT
        )  # fmt: skip


def _batching(scenario: LlmScenario) -> Iterator[Move]:
    if scenario.batch is not None:
        for id_, batch, title in (
            ("open", None, "Let the search choose the batch"),
            (
                "double",
                min(4096, scenario.batch * 2),
                f"Decode up to {min(4096, scenario.batch * 2):,} sequences together",
            ),
            ("half", max(1, scenario.batch // 2), f"Decode at most {max(1, scenario.batch // 2):,} sequences together"),
        ):
            if batch != scenario.batch:
                yield Move(f"batching:{id_}", "batching", title, {"batch": batch}, quality.BATCHING)
    if scenario.max_sequences is not None:
        yield Move(
            "batching:sequences", "batching", "Let the engine choose how many sequences it sets aside for", {"max_sequences": None},
            quality.BATCHING,
        )  # fmt: skip
    for id_, tokens in (("larger", scenario.max_batched_tokens * 2), ("smaller", scenario.max_batched_tokens // 2)):
        if LEAST_CHUNK <= tokens <= MOST_CHUNK:
            title = f"Set the token budget of a step to {tokens:,} (now {scenario.max_batched_tokens:,})"
            yield Move(f"batching:chunk-{id_}", "batching", title, {"max_batched_tokens": tokens}, quality.BATCHING)
    if scenario.gpu_memory_utilization < 0.95:
        title = f"Give the engine 95 % of the memory (now {scenario.gpu_memory_utilization:.0%})"
        yield Move("batching:memory", "batching", title, {"gpu_memory_utilization": 0.95}, quality.BATCHING)


def _levers(scenario: LlmScenario, model: LlmModel, catalog: Catalog) -> Iterator[Move]:
    """What drafting and shared prompts would bring, each with its assumption."""
    shared = int(scenario.prompt_tokens * SHARED_PART) // BLOCK_TOKENS * BLOCK_TOKENS
    if scenario.shared_prefix_tokens == 0 and scenario.turns_per_conversation == 1.0 and shared:
        yield Move(
            "prefix:half", "prefix", "Keep the shared start of the prompts in the prefix cache", {"shared_prefix_tokens": shared},
            quality.PREFIX, condition=f"if your prompts share their first {shared:,} of {scenario.prompt_tokens:,} tokens",
        )  # fmt: skip
    if scenario.draft_model is not None or scenario.runtime == "llama_cpp":
        return
    if any(part.name == MTP for part in architecture_of(model).extras):
        yield Move(
            "speculation:mtp", "speculation", "Draft one token with the model's own block (MTP)",
            {"draft_model": OWN_BLOCK, "drafted_tokens": MTP_DRAFTED, "draft_acceptance": MTP_ACCEPTANCE}, quality.SPECULATION,
            condition=f"if {MTP_ACCEPTANCE:.0%} of drafted tokens are accepted, as DeepSeek-V3 reports of its own block",
        )  # fmt: skip
    if (draft := siblings.draft_for(model, catalog)) is not None:
        yield Move(
            "speculation:draft", "speculation", f"Draft {scenario.drafted_tokens} tokens with {draft.name}",
            {"draft_model": draft.id, "draft_acceptance": DRAFT_ACCEPTANCE}, quality.SPECULATION,
            condition=f"if {DRAFT_ACCEPTANCE:.0%} of drafted tokens are accepted (assumed: measure it)",
        )  # fmt: skip


def _of_model(scenario: LlmScenario, row: LlmModel, model: LlmModel) -> dict[str, Any]:
    """Fields that lead to another model: what belongs to the present one alone is emptied."""
    changes: dict[str, Any] = {"model": row.id, "checkpoint_bytes": None}
    if model.id == CUSTOM:
        changes["custom_config"] = None
    if scenario.draft_model is not None:
        changes["draft_model"] = None
    if scenario.tensor_parallel is not None:
        changes["tensor_parallel"] = None
    return changes
