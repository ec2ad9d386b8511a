"""Memory of the accelerators of one replica of a language model, in bytes, and what it holds: requests, context, tokens.

The rule of engines: KV budget = utilization x total - weights - activations - runtime. The stage of a pipeline that holds
the fewest requests counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import ceil

from sizing.catalog_rows import Accelerator, LlmModel
from sizing.llm.architecture import MTP, VISION, Architecture, ExtraPart
from sizing.llm.engines.kv_reported import reported_bytes_per_token
from sizing.llm.engines.runtime_memory import LARGE_TOKENS, RuntimeMemory, runtime_memory, total_bytes
from sizing.llm.formats import scheme_of
from sizing.llm.kv import KvLayout, kv_by_stage
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import (
    WHOLE,
    RankWeights,
    Split,
    checkpoint_weights_bytes,
    extra_bytes,
    on_rank,
    weights_by_stage,
)
from sizing.plan import Memory
from sizing.scenario_llm import KvFormat, LlmRuntime, WeightFormat

LORA_BYTES = 2
"""Bytes of a parameter of an adapter: 16 bit. Source: vLLM, lora_dtype auto (2025)."""
LORA_GROUPS = ("attention", "dense_ffn", "shared_experts")
"""Matrices that an adapter changes: all linear ones but the experts. Source: usual target modules (2025)."""
LONGEST_TOKENS = 131_072
"""Longest request an engine is set up for where neither scenario nor model says (tokens)."""
UNLIMITED = 10**6
"""Requests said to be held by a model that keeps nothing of a sequence (count)."""


@dataclass(frozen=True, slots=True)
class StageMemory:
    """What one accelerator of a pipeline stage holds before any sequence [bytes], and what it keeps of one."""

    weights: RankWeights
    extras: tuple[tuple[str, int], ...]
    kv: KvLayout
    draft_kv: KvLayout | None
    fixed_bytes: int  # weights and extra parts
    number: int = field(compare=False)  # of the stage, the first of those that are alike

    def sequence_bytes(self, context_tokens: int, kv_format: KvFormat) -> int:
        """KV cache and state of one sequence [bytes], those of a draft model included."""
        own = self.kv.bytes_per_sequence(context_tokens=context_tokens, kv_format=kv_format)
        return own + self.draft_bytes(context_tokens, kv_format)

    def draft_bytes(self, context_tokens: int, kv_format: KvFormat) -> int:
        """KV cache that a draft model keeps of one sequence [bytes]; 0 without one."""
        if self.draft_kv is None:
            return 0
        return self.draft_kv.bytes_per_sequence(context_tokens=context_tokens, kv_format=kv_format)

    def token_bytes(self, kv_format: KvFormat) -> float:
        """KV cache of one more token [bytes], that of a draft model included."""
        own = self.kv.bytes_per_token(kv_format)
        return own if self.draft_kv is None else own + self.draft_kv.bytes_per_token(kv_format)


@dataclass(frozen=True)
class ReplicaMemory:
    """Memory of the accelerators of one replica: its distinct stages, the runtime beside them, and the room they share."""

    stages: tuple[StageMemory, ...]
    runtime: RuntimeMemory
    capacity_bytes: int  # what the driver reports
    total_bytes: int  # what the engine sees
    gpu_memory_utilization: float
    kv_format: KvFormat
    attention_data: int
    prefix_tokens: int
    reported_bytes: tuple[float, ...]  # of each stage: what the engine divides its room by to report tokens

    @cached_property
    def usable_bytes(self) -> int:
        """Memory the engine may use [bytes]: utilization x total."""
        return int(self.total_bytes * self.gpu_memory_utilization)

    def budget_bytes(self, stage: StageMemory, runtime_bytes: int | None = None) -> int:
        """Room for KV cache on an accelerator of a stage [bytes]; negative if even the weights do not fit."""
        beside = self.runtime.total_bytes if runtime_bytes is None else runtime_bytes
        return self.usable_bytes - stage.fixed_bytes - beside

    def prefix_bytes(self, stage: StageMemory) -> int:
        """KV cache of the prefixes kept for reuse [bytes]: prefix tokens x bytes a token."""
        return ceil(self.prefix_tokens * stage.token_bytes(self.kv_format)) if self.prefix_tokens else 0

    def held(self, context_tokens: int, runtime_bytes: int | None = None) -> int:
        """Requests of one length held at once by the replica [count]; 0 if the weights do not fit.

        Requests = attention data parallel x least over stages of floor((budget - prefix) / bytes of a sequence).
        """
        found = [self._held(stage, context_tokens, runtime_bytes) for stage in self.stages]
        return self.attention_data * min(found)

    def _held(self, stage: StageMemory, context_tokens: int, runtime_bytes: int | None) -> int:
        room = self.budget_bytes(stage, runtime_bytes) - self.prefix_bytes(stage)
        each = stage.sequence_bytes(context_tokens, self.kv_format)
        if room < 0:
            return 0
        return room // each if each else UNLIMITED

    def held_interval(self, context_tokens: int) -> tuple[int, int]:
        """80 % interval of `held` [count], from that of the runtime's memory."""
        return self.held(context_tokens, self.runtime.high_bytes), self.held(context_tokens, self.runtime.low_bytes)

    def binding_stage(self, context_tokens: int) -> StageMemory:
        """The stage that holds the fewest requests of this length, the fullest one if none holds any."""
        if len(self.stages) == 1:
            return self.stages[0]
        return min(self.stages, key=lambda at: (self._held(at, context_tokens, None), self.budget_bytes(at)))

    def longest_context_tokens(self, sequences: int, longest: int) -> int:
        """Longest context [tokens], up to `longest`, that so many sequences can have at once; 0 if none. By bisection."""
        low, high = 0, longest + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.held(middle) >= sequences else (low, middle)
        return low

    def kv_tokens(self, runtime_bytes: int | None = None) -> int:
        """Tokens of KV cache [count] of the replica as the engine reports them: budget / bytes a token. For models whose
        layers are of several kinds engines report a figure of their own, which changed between versions."""
        found = []
        for stage, each in zip(self.stages, self.reported_bytes, strict=True):
            room = self.budget_bytes(stage, runtime_bytes)
            found.append(int(room // each) if each and room > 0 else 0)
        return self.attention_data * min(found)

    def needed_utilization(self, sequences: int, context_tokens: int) -> float:
        """Least share of the memory [1] that holds so many requests of this length; above 1 means it cannot. The stage that
        needs most counts: with few requests that need not be the one that holds the fewest."""
        count = ceil(sequences / self.attention_data)
        return max(self._need_bytes(stage, count, context_tokens) for stage in self.stages) / self.total_bytes

    def _need_bytes(self, stage: StageMemory, count: int, context_tokens: int) -> int:
        each = stage.sequence_bytes(context_tokens, self.kv_format)
        return stage.fixed_bytes + self.runtime.total_bytes + self.prefix_bytes(stage) + count * each

    def need_bytes(self, sequences: int, context_tokens: int) -> int:
        """Memory that one accelerator of the fullest stage needs for so many requests of the replica [bytes]."""
        return ceil(self.needed_utilization(sequences, context_tokens) * self.total_bytes)

    def parts(self, *, sequences: int, context_tokens: int) -> Memory:
        """Parts of the memory of one accelerator of the binding stage [bytes] when the replica holds so many sequences."""
        stage = self.binding_stage(context_tokens)
        count, kv_format = ceil(sequences / self.attention_data), self.kv_format
        parts = {
            "weights": stage.weights.share_bytes,
            "weights_copied": stage.weights.copied_bytes,
            **dict(stage.extras),
            "kv_cache": count * stage.kv.bytes_per_sequence(context_tokens=context_tokens, kv_format=kv_format),
            "draft_kv_cache": count * stage.draft_bytes(context_tokens, kv_format),
            "prefix_cache": self.prefix_bytes(stage),
            **self.runtime.parts(),
            "driver": self.capacity_bytes - self.total_bytes,
        }
        kept = {name: size for name, size in parts.items() if size or name in ("weights", "kv_cache")}
        used = sum(kept.values())
        return Memory(
            parts=kept,
            used_bytes=used,
            capacity_bytes=self.capacity_bytes,
            used_low_bytes=used - self.runtime.total_bytes + self.runtime.low_bytes,
            used_high_bytes=used - self.runtime.total_bytes + self.runtime.high_bytes,
        )


def lora_bytes(shape: Architecture, split: Split, layers: range, *, adapters: int, rank: int) -> int:
    """Adapters kept beside the base on one accelerator of a stage [bytes].

    Bytes = adapters x sum over matrices of rank x (inputs + outputs on this accelerator) x 2.

    Source: Hu et al. 2021 (LoRA), section 4.1; vLLM allocates every slot at the largest rank (2025).
    """
    total = 0
    for i in layers:
        for tensor in shape.kinds[shape.order[i]].tensors:
            if tensor.linear and tensor.group in LORA_GROUPS:
                rows, columns, count = on_rank(tensor, split)
                total += count * rank * (rows + columns)
    return adapters * total * LORA_BYTES


@lru_cache(maxsize=2048)
def _stages(
    model: LlmModel,
    weight_format: WeightFormat,
    split: Split,
    lora: tuple[int, int],
    draft: LlmModel | None,
    with_mtp: bool,
    checkpoint_bytes: int | None,
    architecture: str,
) -> tuple[StageMemory, ...]:
    shape, scheme = architecture_of(model), scheme_of(model, weight_format)
    weights = weights_by_stage(model, weight_format, split, architecture)
    if checkpoint_bytes is not None:
        weights = _scaled(weights, checkpoint_bytes / checkpoint_weights_bytes(model, weight_format))
    layouts = kv_by_stage(model, split, grouped=bool(architecture))
    last, found = len(weights) - 1, []
    for number, ((held, layers), kv) in enumerate(zip(weights, layouts, strict=True)):
        extras: list[tuple[str, int]] = []
        for part in shape.extras:
            if _is_loaded(part, with_mtp) and number == (last if part.name == MTP else 0):
                extras.append((part.name, ceil(extra_bytes(part, scheme, split))))
        if lora[0]:
            extras.append(("adapters", lora_bytes(shape, split, layers, adapters=lora[0], rank=lora[1])))
        draft_kv = None
        if draft is not None and number == last:
            alone = Split(tensor=split.tensor)
            extras.append(("draft_model", weights_by_stage(draft, "native", alone)[0][0].total_bytes))
            draft_kv = kv_by_stage(draft, alone)[0]
        fixed = held.total_bytes + sum(size for _, size in extras)
        found.append(StageMemory(held, tuple(extras), kv, draft_kv, fixed, number))
    return tuple(dict.fromkeys(found))


def _is_loaded(part: ExtraPart, with_mtp: bool) -> bool:
    return with_mtp if part.name == MTP else part.loaded


def _scaled(weights: tuple[tuple[RankWeights, range], ...], factor: float) -> tuple[tuple[RankWeights, range], ...]:
    """Weights scaled to the size that a checkpoint's header states."""
    return tuple(
        (RankWeights(ceil(w.share_bytes * factor), ceil(w.copied_bytes * factor)), layers) for w, layers in weights
    )


@lru_cache(maxsize=4096)
def replica_memory(
    model: LlmModel,
    accelerator: Accelerator,
    *,
    weight_format: WeightFormat = "native",
    kv_format: KvFormat = "bf16",
    split: Split = WHOLE,
    runtime: LlmRuntime = "vllm",
    engine_version: str | None = None,
    gpu_memory_utilization: float = 0.9,
    max_batched_tokens: int | None = None,
    max_sequences: int | None = None,
    context_tokens: int | None = None,
    adapters: int = 0,
    adapter_rank: int = 16,
    draft: LlmModel | None = None,
    with_mtp: bool = False,
    prefix_tokens: int = 0,
    checkpoint_bytes: int | None = None,
) -> ReplicaMemory:
    """Memory of a replica of the model on accelerators of one type, spread by `split`.

    Raises InputError for a model or format whose shape is not known.

    >>> from sizing.catalog import load
    >>> catalog = load()
    >>> h100 = catalog.accelerator("h100-sxm-80gb")
    >>> at = replica_memory(catalog.llm_model("llama-3.1-8b"), h100)
    >>> 90 < at.held(4096) < 120
    True
    """
    shape = architecture_of(model)
    gpu = accelerator.architecture if runtime == "vllm" else ""
    lora = (adapters, adapter_rank)
    stages = _stages(model, weight_format, split, lora, draft, with_mtp, checkpoint_bytes, gpu)
    reported = []
    for stage in stages:
        own = None
        if runtime == "vllm":
            own = reported_bytes_per_token(
                model,
                split,
                kv_format,
                engine_version=engine_version,
                context_tokens=context_tokens or model.context_length or LONGEST_TOKENS,
                batched_tokens=max_batched_tokens or LARGE_TOKENS,
                stage=stage.number,
            )
        drafted = stage.draft_kv.bytes_per_token(kv_format) if stage.draft_kv is not None else 0.0
        reported.append(stage.token_bytes(kv_format) if own is None else own + drafted)
    return ReplicaMemory(
        stages=stages,
        runtime=runtime_memory(
            model,
            accelerator,
            runtime=runtime,
            engine_version=engine_version,
            tensor_parallel=split.tensor,
            pipeline_parallel=split.pipeline,
            attention_data_parallel=split.attention_data,
            expert_parallel=split.expert_parallel,
            max_batched_tokens=max_batched_tokens,
            max_sequences=max_sequences,
            context_tokens=context_tokens,
            vision=any(part.name == VISION and part.loaded for part in shape.extras),
        ),
        capacity_bytes=accelerator.capacity_bytes,
        total_bytes=total_bytes(accelerator),
        gpu_memory_utilization=gpu_memory_utilization,
        kv_format=kv_format,
        attention_data=split.attention_data,
        prefix_tokens=prefix_tokens,
        reported_bytes=tuple(reported),
    )
