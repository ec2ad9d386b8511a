"""Work of a step: bytes moved and operations done on one rank, and what the accelerator can do at its peak."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from math import ceil
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.architecture import Architecture
from sizing.llm.constants import factors_of, family_of
from sizing.llm.formats import BYTES_16_BIT, compute_peak, scheme_of
from sizing.llm.kv import KV_BITS, kv_by_stage
from sizing.llm.levers import NO_DRAFTING, Drafting
from sizing.llm.parameters import active_matmul_parameters, expert_parameters
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import Split, step_bytes
from sizing.scenario_llm import KvFormat, WeightFormat
from sizing.units import GB

Floats = NDArray[np.float64]
Quantity = float | Floats

OPERATIONS_PER_PARAMETER = 2.0
"""A multiplication and an addition for each parameter and token. Source: Kaplan et al. 2020, section 2.1."""


@dataclass(frozen=True)
class Work:
    """What a step moves and computes on one rank, summed over the pipeline stages, and what the part can do at its
    peak.

    Fields are floats for one candidate, or columns (candidates x 1) for many.
    """

    dense_weight_bytes: Quantity
    expert_weight_bytes: Quantity
    expert_share: Quantity  # experts chosen by a token / experts
    kv_bytes_per_sequence: Quantity  # read at each step, at the mean context of decoding
    decode_flops_per_token: Quantity
    expert_flops_per_token: Quantity  # of them, in experts
    prefill_flops: Quantity  # products of the whole prompt
    prefill_attention_flops: Quantity
    decode_attention_flops: Quantity
    layers: Quantity
    expert_layers: Quantity
    tensor_parallel: Quantity
    pipeline_parallel: Quantity
    prompt_tokens: Quantity  # that are computed
    prompt_chunks: Quantity
    hidden_bytes: Quantity  # of one token's hidden vector, 16 bit
    activation_bytes: Quantity  # one copy of a token's hidden vector in each layer
    expert_activation_bytes: Quantity  # the same for each expert it is sent to
    expert_parallel: Quantity  # 1 or 0
    mixer_layers: Quantity  # of latent or linear attention
    index_layers: Quantity  # with an indexer of sparse attention
    draft_passes: Quantity
    tokens_per_pass: Quantity  # that a sequence gains by a pass, 1 without drafting
    draft_bytes: Quantity  # read by a pass of the draft
    draft_flops_per_token: Quantity
    draft_layers: Quantity
    bandwidth_bytes_per_s: Quantity
    peak_flops_per_s: Quantity
    peak_16_bit_flops_per_s: Quantity
    link_bytes_per_s: Quantity
    is_pcie: Quantity
    memory_factor: Quantity  # of this family of parts, on the engine's share of bandwidth
    products_factor: Quantity  # of this family and format, on the engine's share of the peak
    gap_factor: Quantity  # of this family, on everything between kernels
    step_factor: Quantity  # of this model under this engine, 1 for what nobody measured
    first_factor: Quantity  # of a first token beyond that of a step, 1 but for measurements of one's own
    width: Quantity  # exponent of the interval: below 1 for what was measured, above for what nobody measured
    first_width: Quantity  # the same of a first token; that of a step but for measurements of one's own


_WORK_FIELDS = tuple(f.name for f in fields(Work))
_work_values = attrgetter(*_WORK_FIELDS)


def stack(works: list[Work]) -> Work:
    """Many candidates as one: each field a column."""
    table = np.array([_work_values(w) for w in works], dtype=float).reshape(len(works), len(_WORK_FIELDS))
    return Work(**{name: table[:, i : i + 1] for i, name in enumerate(_WORK_FIELDS)})


def select(work: Work, rows: NDArray[np.intp]) -> Work:
    """Some of the candidates of a stack."""
    return Work(**{name: getattr(work, name)[rows] for name in _WORK_FIELDS})


@dataclass(frozen=True)
class ModelWork:
    """The part of `Work` that does not depend on the accelerator."""

    dense_weight_bytes: float
    expert_weight_bytes: float
    expert_share: float
    kv_bytes_per_sequence: float
    decode_flops_per_token: float
    expert_flops_per_token: float
    prefill_flops: float
    prefill_attention_flops: float
    decode_attention_flops: float


@lru_cache(maxsize=512)
def model_work(
    model: LlmModel,
    *,
    weight_format: WeightFormat,
    kv_format: KvFormat,
    split: Split,
    prompt_tokens: int,
    output_tokens: int,
    cached_tokens: int = 0,
) -> ModelWork:
    """Bytes and operations of a step on one rank, all stages together.

    Decode reads the weights without the input embedding and the KV cache of prompt + output / 2 tokens; products take
    2 operations a parameter; attention 2 x heads x (key + value width) x context. A prompt's first `cached_tokens` are
    found in the prefix cache: they are attended to, not computed.

    Source: Pope et al. 2022, section 2 (cost model of decoding).
    """
    ranks, shape = split.width, architecture_of(model)
    dense, experts = step_bytes(model, weight_format, split)
    context, computed = prompt_tokens + output_tokens // 2, prompt_tokens - cached_tokens
    cache: float = kv_by_stage(model, split)[0].bytes_per_sequence(context_tokens=max(context, 1), kv_format=kv_format)
    cache -= _unread_bytes(shape, context, kv_format)
    active, head_active = active_matmul_parameters(model)
    return ModelWork(
        dense_weight_bytes=dense,
        expert_weight_bytes=experts,
        expert_share=(model.experts_per_token or 0) / model.experts if model.experts else 0.0,
        kv_bytes_per_sequence=cache / split.attention_data,
        decode_flops_per_token=OPERATIONS_PER_PARAMETER * (active + head_active) / ranks,
        expert_flops_per_token=OPERATIONS_PER_PARAMETER * expert_parameters(model) / ranks,
        prefill_flops=OPERATIONS_PER_PARAMETER * (active * computed + head_active) / ranks,
        prefill_attention_flops=_attention_flops(shape, (cached_tokens + prompt_tokens) / 2, prompt=True)
        * computed
        / ranks,
        decode_attention_flops=_attention_flops(shape, context, prompt=False) / ranks,
    )


def _unread_bytes(shape: Architecture, context_tokens: int, kv_format: KvFormat) -> float:
    """KV cache [bytes] that a step leaves unread: with sparse attention what the indexer did not pick."""
    total = 0.0
    for kind, count in zip(shape.kinds, shape.counts, strict=True):
        if kind.cache.picked_tokens:
            unread = max(context_tokens - kind.cache.picked_tokens, 0)
            total += count * kind.cache.key_width * unread * KV_BITS[kv_format] / 8
    return total


def _attention_flops(shape: Architecture, seen_tokens: float, *, prompt: bool) -> float:
    """Operations of one query token against so many seen ones over all layers. Latent attention decodes in the latent
    space and expands it for a prompt; an indexer looks at every token, the attention behind it at those picked."""
    total = 0.0
    for kind, count in zip(shape.kinds, shape.counts, strict=True):
        cache, seen = kind.cache, seen_tokens
        sizes = {t.name: t for t in kind.tensors if t.group == "attention"}
        if cache.kind not in ("kv", "window", "chunk", "latent", "compressed") or "o_proj" not in sizes:
            continue
        if "indexer.wq_b" in sizes:
            total += count * sizes["indexer.wq_b"].rows * seen_tokens
        if cache.picked_tokens:
            seen = min(seen, float(cache.picked_tokens))
        if cache.window:
            seen = min(seen, float(cache.window)) + (seen / cache.stride if cache.kind == "compressed" else 0.0)
        if cache.kind == "latent" and prompt:
            query = sizes.get("q_b_proj") or sizes["q_proj"]
            width = float(query.rows + sizes["o_proj"].columns)
        elif cache.kind in ("latent", "compressed"):
            width = 2.0 * shape.heads * cache.key_width
        else:
            width = sizes["o_proj"].columns / cache.value_width * (cache.key_width + cache.value_width)
        total += count * width * seen
    return 2.0 * total


def work_of(
    model: LlmModel,
    accelerator: Accelerator,
    part: ModelWork,
    *,
    generation: str,
    weight_format: WeightFormat,
    split: Split,
    prompt_tokens: int,
    max_batched_tokens: int,
    drafting: Drafting = NO_DRAFTING,
) -> Work:
    """Work of one candidate: the model's part, the peaks of the accelerator, and how an engine's generation differs on
    its family and format. `prompt_tokens` are those computed."""
    peak = compute_peak(accelerator, scheme_of(model, weight_format))
    half = accelerator.bf16_tflops or accelerator.fp16_tflops
    if peak is None or half is None:
        raise InputError("accelerators", accelerator.id, "an accelerator whose peak rate in this format is known")
    family = family_of(accelerator.architecture, accelerator.memory_type)
    factors = factors_of(generation, family, peak[1], scheme_of(model, weight_format).words, model.id)
    is_pcie = accelerator.scaleup_domain_accelerators < split.width
    link = accelerator.pcie_gb_per_s if is_pcie else accelerator.interconnect_gb_per_s
    return Work(
        dense_weight_bytes=part.dense_weight_bytes,
        expert_weight_bytes=part.expert_weight_bytes,
        expert_share=part.expert_share,
        kv_bytes_per_sequence=part.kv_bytes_per_sequence,
        decode_flops_per_token=part.decode_flops_per_token,
        expert_flops_per_token=part.expert_flops_per_token,
        prefill_flops=part.prefill_flops,
        prefill_attention_flops=part.prefill_attention_flops,
        decode_attention_flops=part.decode_attention_flops,
        layers=model.layers,
        expert_layers=model.moe_layers,
        tensor_parallel=split.width,
        pipeline_parallel=split.pipeline,
        prompt_tokens=prompt_tokens,
        prompt_chunks=ceil(prompt_tokens / max_batched_tokens),
        hidden_bytes=model.hidden * BYTES_16_BIT,
        activation_bytes=model.hidden * BYTES_16_BIT * model.layers,
        expert_activation_bytes=model.hidden * BYTES_16_BIT * model.moe_layers * (model.experts_per_token or 0),
        expert_parallel=split.expert_parallel,
        mixer_layers=_mixer_layers(architecture_of(model)),
        index_layers=_index_layers(architecture_of(model)),
        draft_passes=drafting.passes,
        tokens_per_pass=drafting.tokens_per_pass,
        draft_bytes=drafting.bytes_per_pass,
        draft_flops_per_token=drafting.flops_per_token,
        draft_layers=drafting.layers,
        bandwidth_bytes_per_s=accelerator.memory_bandwidth_bytes_per_s,
        peak_flops_per_s=peak[0],
        peak_16_bit_flops_per_s=half * 1e12,
        link_bytes_per_s=(link or accelerator.pcie_gb_per_s or 1.0) * GB,
        is_pcie=is_pcie,
        memory_factor=factors.memory,
        products_factor=factors.products,
        gap_factor=factors.gap,
        step_factor=factors.step,
        first_factor=1.0,
        width=factors.width,
        first_width=factors.width,
    )


def _mixer_layers(shape: Architecture) -> int:
    """Layers of latent or linear attention [count]."""
    special = ("latent", "compressed", "state")
    return sum(n for kind, n in zip(shape.kinds, shape.counts, strict=True) if kind.cache.kind in special)


def _index_layers(shape: Architecture) -> int:
    """Layers that choose their keys with an indexer [count]."""
    return sum(n for kind, n in zip(shape.kinds, shape.counts, strict=True) if kind.cache.index_width)
