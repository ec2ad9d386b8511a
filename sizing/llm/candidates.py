"""Configurations of one replica that a scenario allows: accelerator x tensor x pipeline parallel, and whether memory
holds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.formats import ENGINE_MIN_CAPABILITY, cannot_run, capability, compute_peak
from sizing.llm.memory import RankMemory, max_concurrent_sequences, rank_memory, weights_of
from sizing.llm.speed import Work, model_work, work_of
from sizing.scenario import LlmScenario

TENSOR_PARALLEL = (1, 2, 4, 8, 16)
PIPELINE_PARALLEL = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
MOST_MACHINES_PER_REPLICA = 4
"""Machines over which one replica may be spread, as a pipeline (count): a rule of this search; more are not common in
practice."""
RUNTIME_WORDS = {"vllm": "vLLM", "sglang": "SGLang", "tensorrt_llm": "TensorRT-LLM"}
RUNTIME_VENDORS: dict[str, tuple[str, ...]] = {
    "vllm": ("NVIDIA", "AMD", "Intel", "Google"),
    "sglang": ("NVIDIA", "AMD"),
    "tensorrt_llm": ("NVIDIA",),
}
"""Vendors whose parts an engine serves on, without ports kept by others. Source: the engines' installation notes
(2025)."""
IRRELEVANT_TO_A_REPLICA = (
    "name", "notes", "requests_per_s", "concurrency", "think_time_s", "providers", "accelerators", "instances", "region",
    "price_basis", "max_usd_per_month", "utilization_cap", "spare_replicas", "ttft_target_ms", "tpot_target_ms",
    "slo_percentile", "batch",
)  # fmt: skip
"""Fields of a scenario that neither memory nor the speed of one replica depends on."""
PORTED_VENDORS = ("Intel", "Google")
"""Vendors on whose parts vLLM runs through a port with its own kernels, which nothing here was compared with."""


@dataclass(frozen=True)
class Configuration:
    """One replica: its accelerator, how it is spread, what memory it needs and how many sequences that leaves room
    for."""

    accelerator: Accelerator
    tensor_parallel: int
    pipeline_parallel: int
    rank: RankMemory
    max_sequences: int
    work: Work

    @property
    def accelerators(self) -> int:
        """Accelerators of a replica (count): tensor x pipeline parallel."""
        return self.tensor_parallel * self.pipeline_parallel


def placeable(item: Configuration, accelerators_per_instance: int) -> bool:
    """Whether machines of this size can hold a replica: each layer within one machine, the pipeline over four at
    most."""
    machines = ceil(item.accelerators / accelerators_per_instance)
    return item.tensor_parallel <= accelerators_per_instance and machines <= MOST_MACHINES_PER_REPLICA


def legal_tensor_parallel(model: LlmModel, degree: int) -> bool:
    """Whether engines split the model so: the degree divides the heads, and KV heads divide it or are divided by it.

    Source: vLLM and Megatron-LM checks (2025).
    """
    if not model.heads:
        return True
    kv_heads = model.kv_heads or model.heads
    splits_kv = model.kv_lora_rank is not None or kv_heads % degree == 0 or degree % kv_heads == 0
    return model.heads % degree == 0 and splits_kv


def check_parallelism(scenario: LlmScenario, model: LlmModel) -> None:
    """Raises InputError for a tensor- or pipeline-parallel degree that the model or the replica's size does not
    allow."""
    tp, pp, most = scenario.tensor_parallel, scenario.pipeline_parallel, scenario.max_accelerators_per_replica
    if tp is not None and (tp > most or not legal_tensor_parallel(model, tp)):
        allowed = [str(n) for n in range(1, most + 1) if legal_tensor_parallel(model, n)]
        heads = f"({model.heads} heads, {model.kv_heads} KV heads, at most {most} accelerators a replica)"
        raise InputError("tensor_parallel", tp, f"one of {', '.join(allowed)} {heads}")
    if pp is not None and pp > model.layers:
        raise InputError("pipeline_parallel", pp, f"a whole number from 1 to {model.layers}, the layers of {model.id}")
    if pp is not None and pp * (tp or 1) > most:
        raise InputError("pipeline_parallel", pp, f"at most {most // (tp or 1)}, for {most} accelerators a replica")


def check_context(scenario: LlmScenario, model: LlmModel) -> None:
    """Raises InputError when a prompt and its reply are longer than the model's context."""
    longest = model.context_length
    if longest is not None and scenario.prompt_tokens + scenario.output_tokens > longest:
        if scenario.output_tokens < longest:
            room = longest - scenario.output_tokens
            words = f"at most {room} beside {scenario.output_tokens} of output: {model.id} has a context of {longest}"
            raise InputError("prompt_tokens", scenario.prompt_tokens, words)
        raise InputError(
            "output_tokens", scenario.output_tokens, f"less than {longest} tokens, the context of {model.id}"
        )


def unsupported(scenario: LlmScenario, model: LlmModel, accelerator: Accelerator) -> str | None:
    """Why the engine does not serve this model on a part, or None if it does."""
    engine = RUNTIME_WORDS[scenario.runtime]
    if accelerator.vendor not in RUNTIME_VENDORS[scenario.runtime]:
        return f"{engine} does not run on {accelerator.vendor} accelerators such as {accelerator.name}"
    has = capability(accelerator)
    if has is not None and has < ENGINE_MIN_CAPABILITY:
        return f"{engine} needs compute capability {ENGINE_MIN_CAPABILITY:g}; {accelerator.name} has {has:g}"
    weights = weights_of(model, scenario.weight_format)
    refused = cannot_run(accelerator, weights)
    if refused is not None:
        return refused
    if compute_peak(accelerator, weights) is None or (accelerator.bf16_tflops or accelerator.fp16_tflops) is None:
        return f"the catalog has no peak rate of {accelerator.name} for {weights.words}"
    return None


def degrees(scenario: LlmScenario, model: LlmModel, largest_instance: int) -> list[tuple[int, int]]:
    """Tensor and pipeline degrees to try on machines of so many accelerators, smallest replicas first."""
    most = scenario.max_accelerators_per_replica
    tensor = (scenario.tensor_parallel,) if scenario.tensor_parallel else TENSOR_PARALLEL
    pipeline = (scenario.pipeline_parallel,) if scenario.pipeline_parallel else PIPELINE_PARALLEL
    pairs = [
        (tp, pp)
        for tp in tensor
        for pp in pipeline
        if tp * pp <= most and tp <= largest_instance and pp <= model.layers and legal_tensor_parallel(model, tp)
    ]
    return sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair[1]))


def rank_of(scenario: LlmScenario, model: LlmModel, capacity_bytes: int, tp: int, pp: int) -> RankMemory:
    """Memory of one accelerator before any sequence, under the scenario's formats, engine and token budget."""
    return rank_memory(
        model,
        weight_format=scenario.weight_format,
        runtime=scenario.runtime,
        tensor_parallel=tp,
        pipeline_parallel=pp,
        max_batched_tokens=scenario.max_batched_tokens,
        capacity_bytes=capacity_bytes,
    )


def sequences_held(
    scenario: LlmScenario, rank: RankMemory, capacity_bytes: int, context_tokens: int | None = None
) -> int:
    """Requests of the scenario's full length held at once by one replica [count]."""
    return max_concurrent_sequences(
        rank,
        capacity_bytes=capacity_bytes,
        gpu_memory_utilization=scenario.gpu_memory_utilization,
        context_tokens=context_tokens or scenario.prompt_tokens + scenario.output_tokens,
        kv_format=scenario.kv_format,
    )


def configurations(
    scenario: LlmScenario, model: LlmModel, accelerator: Accelerator, largest_instance: int
) -> tuple[Configuration, ...]:
    """Configurations of a replica on one accelerator, those that memory does not hold included (max_sequences 0).

    They depend on neither traffic nor limits, which are put at their defaults so that a moved control finds them kept.
    """
    defaults = LlmScenario.model_fields
    plain = scenario.model_copy(update={name: defaults[name].default for name in IRRELEVANT_TO_A_REPLICA})
    return _configurations(plain, model, accelerator, largest_instance)


@lru_cache(maxsize=128)
def _configurations(
    scenario: LlmScenario, model: LlmModel, accelerator: Accelerator, largest_instance: int
) -> tuple[Configuration, ...]:
    found = []
    for tp, pp in degrees(scenario, model, largest_instance):
        part = model_work(
            model,
            weight_format=scenario.weight_format,
            kv_format=scenario.kv_format,
            tensor_parallel=tp,
            prompt_tokens=scenario.prompt_tokens,
            output_tokens=scenario.output_tokens,
        )
        rank = rank_of(scenario, model, accelerator.capacity_bytes, tp, pp)
        work = work_of(
            model,
            accelerator,
            part,
            weight_format=scenario.weight_format,
            tensor_parallel=tp,
            pipeline_parallel=pp,
            prompt_tokens=scenario.prompt_tokens,
            max_batched_tokens=scenario.max_batched_tokens,
        )
        held = sequences_held(scenario, rank, accelerator.capacity_bytes)
        found.append(Configuration(accelerator, tp, pp, rank, held, work))
    return tuple(found)
