"""Configurations of one replica that a scenario allows: accelerator x tensor x pipeline parallel, and whether memory
holds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.architecture import MTP
from sizing.llm.constants import generation_of
from sizing.llm.formats import ENGINE_MIN_CAPABILITY, GGUF, cannot_run, capability, compute_peak, scheme_of
from sizing.llm.levers import NO_DRAFTING, drafting_of, prompt_work
from sizing.llm.memory import ReplicaMemory, replica_memory
from sizing.llm.models import CUSTOM, OWN_BLOCK
from sizing.llm.recalibration import recalibrated_memory, recalibrated_work
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import Split, not_divided
from sizing.llm.work import ModelWork, Work, model_work, work_of
from sizing.scenario import LlmScenario

TENSOR_PARALLEL = (1, 2, 4, 8, 16)
PIPELINE_PARALLEL = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
MOST_MACHINES_PER_REPLICA = 4
"""Machines over which one replica may be spread, as a pipeline (count): a rule of this search; more are not common in
practice."""
RUNTIME_WORDS = {"vllm": "vLLM", "sglang": "SGLang", "tensorrt_llm": "TensorRT-LLM", "llama_cpp": "llama.cpp"}
RUNTIME_VENDORS: dict[str, tuple[str, ...]] = {
    "vllm": ("NVIDIA", "AMD", "Intel", "Google"),
    "sglang": ("NVIDIA", "AMD"),
    "tensorrt_llm": ("NVIDIA",),
    "llama_cpp": ("NVIDIA", "AMD", "Intel", "Apple"),
}
"""Vendors whose parts an engine serves on, without ports kept by others. Source: the engines' installation notes
(2025)."""
IRRELEVANT_TO_A_REPLICA = (
    "name", "notes", "requests_per_s", "concurrency", "think_time_s", "providers", "accelerators", "instances", "region",
    "price_basis", "max_usd_per_month", "utilization_cap", "spare_replicas", "ttft_target_ms", "tpot_target_ms",
    "slo_percentile", "batch",
)  # fmt: skip
"""Fields of a scenario that neither memory nor the speed of one replica depends on."""
LLAMA_CPP_FORMATS = ("native", "fp32", "bf16", "fp16", *GGUF)
"""Weight formats that llama.cpp reads, as GGUF files. Source: its quantisation types (2025)."""
KV_MIN_CAPABILITY: dict[str, float] = {"fp8": 8.0, "int8": 7.5, "fp4": 10.0}
"""Least NVIDIA compute capability for a quantised KV cache. Source: attention kernels of vLLM and TensorRT-LLM (2025);
fp4 needs Blackwell."""
PORTED_VENDORS = ("Intel", "Google")
"""Vendors on whose parts vLLM runs through a port with its own kernels, which nothing here was compared with."""


@dataclass(frozen=True)
class Configuration:
    """One replica: its accelerator, how it is spread, what memory it needs and how many sequences that leaves room
    for."""

    accelerator: Accelerator
    split: Split
    memory: ReplicaMemory
    max_sequences: int
    work: Work
    accelerators: int  # of a replica


def placeable(item: Configuration, accelerators_per_instance: int) -> bool:
    """Whether machines of this size can hold a replica: each layer within one machine, the pipeline over four at
    most."""
    machines = ceil(item.accelerators / accelerators_per_instance)
    return item.split.width <= accelerators_per_instance and machines <= MOST_MACHINES_PER_REPLICA


def refusal(scenario: LlmScenario, model: LlmModel, split: Split) -> str | None:
    """Why the engine does not split the model so, or None: heads, widths and quantisation groups must divide."""
    if scenario.runtime == "llama_cpp" and split.width > 1:
        return "llama.cpp gives whole layers to each accelerator: only pipeline parallel above 1"
    return not_divided(model, scenario.weight_format, split)


def check_parallelism(scenario: LlmScenario, model: LlmModel) -> None:
    """Raises InputError for a degree of parallelism that the model, the engine or the replica's size does not allow."""
    tp, pp, most = scenario.tensor_parallel, scenario.pipeline_parallel, scenario.max_accelerators_per_replica
    data, layers = scenario.attention_data_parallel, architecture_of(model).layers
    if scenario.expert_parallel and not architecture_of(model).experts:
        raise InputError("expert_parallel", True, f"False, as {_called(model)} has no experts")
    if data > most:
        raise InputError("attention_data_parallel", data, f"at most {most}, the accelerators of a replica")
    if tp is not None and (tp * data > most or refusal(scenario, model, split_of(scenario, tp, 1))):
        allowed = [n for n in range(1, most // data + 1) if refusal(scenario, model, split_of(scenario, n, 1)) is None]
        why = refusal(scenario, model, split_of(scenario, tp, 1)) or f"at most {most} accelerators a replica"
        words = f"one of {', '.join(map(str, allowed))}" if allowed else "none with these formats"
        raise InputError("tensor_parallel", tp, f"{words} ({why})")
    if pp is not None and pp > layers:
        raise InputError("pipeline_parallel", pp, f"a whole number from 1 to {layers}, the layers of {_called(model)}")
    if pp is not None and pp * (tp or 1) * data > most:
        raise InputError(
            "pipeline_parallel", pp, f"at most {most // ((tp or 1) * data)}, for {most} accelerators a replica"
        )


def check_formats(scenario: LlmScenario, model: LlmModel) -> None:
    """Raises InputError for a weight format that the engine does not read, or a draft that the model cannot have."""
    if scenario.runtime == "llama_cpp" and scenario.weight_format not in LLAMA_CPP_FORMATS:
        raise InputError(
            "weight_format", scenario.weight_format, f"one of {', '.join(LLAMA_CPP_FORMATS)} with llama.cpp"
        )
    if scenario.runtime != "llama_cpp" and scenario.weight_format in GGUF:
        words = f"a format other than GGUF with {RUNTIME_WORDS[scenario.runtime]}; GGUF files are for llama.cpp"
        raise InputError("weight_format", scenario.weight_format, words)
    if scenario.draft_model == OWN_BLOCK and not any(part.name == MTP for part in architecture_of(model).extras):
        raise InputError(
            "draft_model", OWN_BLOCK, f"empty or a catalog id: {_called(model)} has no block of its own known here"
        )


def _called(model: LlmModel) -> str:
    """What an error calls the model: its catalog id, or the name of one read from a config.json."""
    return model.name if model.id == CUSTOM else model.id


def split_of(scenario: LlmScenario, tp: int, pp: int) -> Split:
    """How a replica of the scenario is spread at these degrees."""
    return Split(tp, pp, scenario.attention_data_parallel, scenario.expert_parallel)


def check_context(scenario: LlmScenario, model: LlmModel) -> None:
    """Raises InputError when a prompt and its reply are longer than the model's context."""
    longest = model.context_length
    if longest is not None and scenario.prompt_tokens + scenario.output_tokens > longest:
        if scenario.output_tokens < longest:
            room = longest - scenario.output_tokens
            words = (
                f"at most {room} beside {scenario.output_tokens} of output: {_called(model)} has a context of {longest}"
            )
            raise InputError("prompt_tokens", scenario.prompt_tokens, words)
        raise InputError(
            "output_tokens", scenario.output_tokens, f"less than {longest} tokens, the context of {_called(model)}"
        )


def unsupported(scenario: LlmScenario, model: LlmModel, accelerator: Accelerator) -> str | None:
    """Why the engine does not serve this model on a part, or None if it does."""
    engine = RUNTIME_WORDS[scenario.runtime]
    if accelerator.vendor not in RUNTIME_VENDORS[scenario.runtime]:
        return f"{engine} does not run on {accelerator.vendor} accelerators such as {accelerator.name}"
    has = capability(accelerator)
    if has is not None and has < ENGINE_MIN_CAPABILITY:
        return f"{engine} needs compute capability {ENGINE_MIN_CAPABILITY:g}; {accelerator.name} has {has:g}"
    weights = scheme_of(model, scenario.weight_format)
    needed = KV_MIN_CAPABILITY.get(scenario.kv_format)
    if has is not None and needed is not None and has < needed:
        return f"a KV cache in {scenario.kv_format} needs compute capability {needed:g}; {accelerator.name} has {has:g}"
    refused = cannot_run(accelerator, weights)
    if refused is not None:
        return refused
    if compute_peak(accelerator, weights) is None or (accelerator.bf16_tflops or accelerator.fp16_tflops) is None:
        return f"the catalog has no peak rate of {accelerator.name} for {weights.words}"
    return None


def degrees(scenario: LlmScenario, model: LlmModel, largest_instance: int) -> list[tuple[int, int]]:
    """Tensor and pipeline degrees to try on machines of so many accelerators, smallest replicas first."""
    most, data = scenario.max_accelerators_per_replica, scenario.attention_data_parallel
    layers = architecture_of(model).layers
    tensor = (scenario.tensor_parallel,) if scenario.tensor_parallel else TENSOR_PARALLEL
    pipeline = (scenario.pipeline_parallel,) if scenario.pipeline_parallel else PIPELINE_PARALLEL
    legal = [
        tp
        for tp in tensor
        if tp * data <= min(most, largest_instance) and refusal(scenario, model, split_of(scenario, tp, 1)) is None
    ]
    pairs = [(tp, pp) for tp in legal for pp in pipeline if tp * data * pp <= most and pp <= layers]
    return sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair[1]))


def memory_of(
    scenario: LlmScenario, model: LlmModel, accelerator: Accelerator, split: Split, draft: LlmModel | None = None
) -> ReplicaMemory:
    """Memory of a replica under the scenario's formats, engine, budgets and what is served beside the model; where the
    scenario has a start-up log of this accelerator and split, as that says."""
    memory = replica_memory(
        model,
        accelerator,
        weight_format=scenario.weight_format,
        kv_format=scenario.kv_format,
        split=split,
        runtime=scenario.runtime,
        engine_version=scenario.engine_version,
        gpu_memory_utilization=scenario.gpu_memory_utilization,
        max_batched_tokens=scenario.max_batched_tokens,
        max_sequences=scenario.max_sequences,
        context_tokens=_length_limit(scenario.prompt_tokens + scenario.output_tokens),
        adapters=scenario.lora_adapters,
        adapter_rank=scenario.lora_rank,
        draft=draft,
        with_mtp=scenario.draft_model == OWN_BLOCK,
        prefix_tokens=scenario.prefix_cache_tokens,
        checkpoint_bytes=scenario.checkpoint_bytes,
    )
    return recalibrated_memory(memory, scenario, model, accelerator, split)


def _length_limit(context_tokens: int) -> int:
    """Longest request the engine is set up for [tokens]: the next power of two, so that a moved control finds memory
    kept that does not depend on the exact length."""
    return 1 << (context_tokens - 1).bit_length()


def configurations(
    scenario: LlmScenario, model: LlmModel, draft: LlmModel | None, accelerator: Accelerator, largest_instance: int
) -> tuple[Configuration, ...]:
    """Configurations of a replica on one accelerator, those that memory does not hold included (max_sequences 0).

    They depend on neither traffic nor limits, which are put at their defaults so that a moved control finds them kept.
    """
    defaults = LlmScenario.model_fields
    plain = scenario.model_copy(update={name: defaults[name].default for name in IRRELEVANT_TO_A_REPLICA})
    return _configurations(plain, model, draft, accelerator, largest_instance)


def fresh_configurations(
    scenario: LlmScenario, model: LlmModel, draft: LlmModel | None, accelerator: Accelerator, largest_instance: int
) -> tuple[Configuration, ...]:
    """The same, neither looked up nor kept: for a wide search that would push out what a page comes back to."""
    found = []
    context = scenario.prompt_tokens + scenario.output_tokens
    for tp, pp in degrees(scenario, model, largest_instance):
        split = split_of(scenario, tp, pp)
        memory = memory_of(scenario, model, accelerator, split, draft)
        work = scenario_work(scenario, model, draft, accelerator, split)
        found.append(Configuration(accelerator, split, memory, memory.held(context), work, split.accelerators))
    return tuple(found)


def scenario_model_work(scenario: LlmScenario, model: LlmModel, split: Split) -> ModelWork:
    """The part of `scenario_work` that does not depend on the accelerator: the formats of the scenario, and its prompt
    without what the prefix cache holds."""
    return model_work(
        model,
        weight_format=scenario.weight_format,
        kv_format=scenario.kv_format,
        split=Split(split.tensor, 1, split.attention_data, split.expert_parallel),
        prompt_tokens=scenario.prompt_tokens,
        output_tokens=scenario.output_tokens,
        cached_tokens=prompt_work(scenario).cached_tokens,
    )


def scenario_work(
    scenario: LlmScenario, model: LlmModel, draft: LlmModel | None, accelerator: Accelerator, split: Split
) -> Work:
    """What a step of the scenario moves and computes on one rank: its prompt without what the prefix cache holds, its
    engine's generation, the drafting it asks for, and measurements of its own that count here."""
    drafting = NO_DRAFTING
    if scenario.draft_model is not None:
        drafting = drafting_of(
            model,
            draft,
            drafted=scenario.drafted_tokens,
            acceptance=scenario.draft_acceptance,
            weight_format=scenario.weight_format,
            split=Split(split.tensor, 1, split.attention_data, split.expert_parallel),
        )
    work = work_of(
        model,
        accelerator,
        scenario_model_work(scenario, model, split),
        generation=generation_of(scenario.runtime, scenario.engine_version),
        weight_format=scenario.weight_format,
        split=split,
        prompt_tokens=prompt_work(scenario).computed_tokens,
        max_batched_tokens=scenario.max_batched_tokens,
        drafting=drafting,
    )
    return recalibrated_work(work, scenario, model, accelerator, split)


_configurations = lru_cache(maxsize=128)(fresh_configurations)
