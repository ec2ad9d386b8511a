"""Time of one engine step: a roofline over weights, KV cache, products and attention, plus collectives and overhead.

Everything is an array over candidates and batch sizes, so that one call answers for a whole search. Never faster than
bytes / peak bandwidth or operations / dense peak.
"""

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
from sizing.llm.constants import Rates, factors_of, family_of
from sizing.llm.formats import BYTES_16_BIT, compute_peak, scheme_of
from sizing.llm.kv import kv_by_stage
from sizing.llm.parameters import active_matmul_parameters, expert_parameters
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import Split, step_bytes
from sizing.scenario import KvFormat, WeightFormat
from sizing.units import GB, MS_PER_S

Floats = NDArray[np.float64]
Quantity = float | Floats

US_PER_MS = 1000.0
ALL_REDUCES_PER_LAYER = 2
"""Sums over the tensor-parallel group in each layer: after attention and after the feed-forward. Source: Megatron-LM
(2019)."""
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
    prompt_tokens: Quantity
    prompt_chunks: Quantity
    hidden_bytes: Quantity  # of one token's hidden vector, 16 bit
    activation_bytes: Quantity  # one copy of a token's hidden vector in each layer
    expert_activation_bytes: Quantity  # the same for each expert it is sent to
    expert_parallel: Quantity  # 1 or 0
    mixer_layers: Quantity  # of latent or linear attention
    index_layers: Quantity  # with an indexer of sparse attention
    bandwidth_bytes_per_s: Quantity
    peak_flops_per_s: Quantity
    peak_16_bit_flops_per_s: Quantity
    link_bytes_per_s: Quantity
    is_pcie: Quantity
    memory_factor: Quantity  # of this family of parts, on the engine's share of bandwidth
    products_factor: Quantity  # of this family and format, on the engine's share of the peak
    gap_factor: Quantity  # of this family, on everything between kernels
    width: Quantity  # exponent of the interval: 1, more for parts that nobody measured


_WORK_FIELDS = tuple(f.name for f in fields(Work))
_work_values = attrgetter(*_WORK_FIELDS)


def stack(works: list[Work]) -> Work:
    """Many candidates as one: each field a column."""
    table = np.array([_work_values(w) for w in works], dtype=float)
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
) -> ModelWork:
    """Bytes and operations of a step on one rank, all stages together.

    Decode reads the weights without the input embedding and the KV cache of prompt + output / 2 tokens; products take
    2 operations a parameter; attention 2 x heads x (key + value width) x context.

    Source: Pope et al. 2022, section 2 (cost model of decoding).
    """
    ranks, shape = split.width, architecture_of(model)
    dense, experts = step_bytes(model, weight_format, split)
    context = prompt_tokens + output_tokens // 2
    cache = kv_by_stage(model, split)[0].bytes_per_sequence(context_tokens=max(context, 1), kv_format=kv_format)
    active, head_active = active_matmul_parameters(model)
    return ModelWork(
        dense_weight_bytes=dense,
        expert_weight_bytes=experts,
        expert_share=(model.experts_per_token or 0) / model.experts if model.experts else 0.0,
        kv_bytes_per_sequence=cache / split.attention_data,
        decode_flops_per_token=OPERATIONS_PER_PARAMETER * (active + head_active) / ranks,
        expert_flops_per_token=OPERATIONS_PER_PARAMETER * expert_parameters(model) / ranks,
        prefill_flops=OPERATIONS_PER_PARAMETER * (active * prompt_tokens + head_active) / ranks,
        prefill_attention_flops=_attention_flops(shape, prompt_tokens, causal_mean=True) * prompt_tokens / ranks,
        decode_attention_flops=_attention_flops(shape, context, causal_mean=False) / ranks,
    )


def _attention_flops(shape: Architecture, context_tokens: int, *, causal_mean: bool) -> float:
    """Operations of one query token against its context over all layers; the mean over a causal prompt is half the
    context. Latent attention decodes in the latent space and expands it for a prompt."""
    share, total = (0.5 if causal_mean else 1.0), 0.0
    for kind, count in zip(shape.kinds, shape.counts, strict=True):
        cache, seen = kind.cache, context_tokens * share
        sizes = {t.name: t for t in kind.tensors if t.group == "attention"}
        if cache.kind not in ("kv", "window", "chunk", "latent", "compressed") or "o_proj" not in sizes:
            continue
        if cache.window:
            seen = min(seen, float(cache.window)) + (seen / cache.stride if cache.kind == "compressed" else 0.0)
        if cache.kind == "latent" and causal_mean:
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
) -> Work:
    """Work of one candidate: the model's part, the peaks of the accelerator, and how an engine's generation differs on
    its family and format."""
    peak = compute_peak(accelerator, scheme_of(model, weight_format))
    half = accelerator.bf16_tflops or accelerator.fp16_tflops
    if peak is None or half is None:
        raise InputError("accelerators", accelerator.id, "an accelerator whose peak rate in this format is known")
    family = family_of(accelerator.architecture, accelerator.memory_type)
    factors = factors_of(generation, family, peak[1], scheme_of(model, weight_format).words)
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
        bandwidth_bytes_per_s=accelerator.memory_bandwidth_bytes_per_s,
        peak_flops_per_s=peak[0],
        peak_16_bit_flops_per_s=half * 1e12,
        link_bytes_per_s=(link or accelerator.pcie_gb_per_s or 1.0) * GB,
        is_pcie=is_pcie,
        memory_factor=factors.memory,
        products_factor=factors.products,
        gap_factor=factors.gap,
        width=factors.width,
    )


def _mixer_layers(shape: Architecture) -> int:
    """Layers of latent or linear attention [count]."""
    special = ("latent", "compressed", "state")
    return sum(n for kind, n in zip(shape.kinds, shape.counts, strict=True) if kind.cache.kind in special)


def _index_layers(shape: Architecture) -> int:
    """Layers that choose their keys with an indexer [count]."""
    return sum(n for kind, n in zip(shape.kinds, shape.counts, strict=True) if kind.cache.index_width)


@dataclass(frozen=True)
class Decode:
    """Time of one decode step [ms] by batch, its parts, and the least time physics allows."""

    step_ms: Floats
    memory_ms: Floats
    weights_ms: Floats
    kv_ms: Floats
    compute_ms: Floats
    products_ms: Floats
    attention_ms: Floats
    collective_ms: Floats
    overhead_ms: Floats
    bound_ms: Floats

    @property
    def memory_bound(self) -> NDArray[np.bool_]:
        """Where reading memory takes longer than computing."""
        return np.asarray(self.memory_ms >= self.compute_ms)


def _share(share: Quantity, factor: Quantity) -> Quantity:
    """An engine's share of a peak on this family of parts; never more than the peak."""
    return np.minimum(share * factor, 1.0)


def _products_ms(work: Work, tokens: Quantity, flops: Quantity, rates: Rates) -> tuple[Floats, Floats]:
    """Products of a pass of so many tokens [ms]: at the peak, and as kernels do them.

    Kernels work on whole tiles: a matrix takes the time of tokens + h tokens, an expert that of its tokens + h, h the
    tokens at which half the share is reached; share = the engine's x the family's, x that of grouped products in
    experts.
    """
    chosen = np.maximum(work.expert_share, 1e-9)
    touched = np.where(work.expert_share > 0, 1.0 - (1.0 - work.expert_share) ** tokens, 0.0)
    in_experts = work.expert_flops_per_token / work.decode_flops_per_token
    dense = work.decode_flops_per_token - work.expert_flops_per_token
    tiles = dense + work.expert_flops_per_token * touched / chosen / rates.expert_products
    as_done = flops * (1.0 - in_experts + in_experts / rates.expert_products) + rates.half_tokens * tiles
    share = _share(rates.products, work.products_factor)
    to_ms = MS_PER_S / work.peak_flops_per_s
    return np.asarray(flops * to_ms), np.asarray(as_done * to_ms / share)


def _weights_bytes(work: Work, tokens: Quantity) -> Quantity:
    """Weights that a pass of so many tokens reads [bytes]: all but experts, and the experts that a token chose."""
    touched = 1.0 - (1.0 - work.expert_share) ** tokens
    return work.dense_weight_bytes + work.expert_weight_bytes * touched


def _traffic_ms(work: Work, tokens: Quantity, rates: Rates) -> Quantity:
    """Reading and writing activations between products [ms]: norms, residuals, quantisation, and the copies that go to
    experts and come back; every tensor-parallel rank does it for all tokens."""
    copies = rates.traffic * work.activation_bytes + rates.expert_traffic * work.expert_activation_bytes
    return tokens * copies / work.bandwidth_bytes_per_s * MS_PER_S


def _together_ms(memory_ms: Quantity, compute_ms: Quantity, rates: Rates) -> Floats:
    """Reading and computing [ms]: the longer of them, and the share of the shorter that is not hidden behind it."""
    return np.maximum(memory_ms, compute_ms) + rates.not_hidden * np.minimum(memory_ms, compute_ms)


def decode(work: Work, batch: Floats, rates: Rates) -> Decode:
    """Time of one decode step [ms] for each candidate and batch size.

    Step = max(W, P) + u x min(W, P) + max(K, A) + collectives + gaps, with W the weights read (experts touched at this
    batch) over e_w x bandwidth, P the products over e_p x peak in tiles, K the KV cache over e_k x bandwidth, A the
    attention over e_a x peak; m = batch / pp sequences in each of pp microbatches. Never less than physics allows.

    Source: roofline of Williams et al. 2009; expected experts touched: independent choices; own.
    """
    micro = np.maximum(batch / work.pipeline_parallel, 1.0)
    weights_peak_ms = _weights_bytes(work, micro) / work.bandwidth_bytes_per_s * MS_PER_S
    kv_peak_ms = micro * work.kv_bytes_per_sequence / work.bandwidth_bytes_per_s * MS_PER_S
    products_peak_ms, products_ms = _products_ms(work, micro, micro * work.decode_flops_per_token, rates)
    attention_peak_ms = micro * work.decode_attention_flops / work.peak_16_bit_flops_per_s * MS_PER_S
    weights_ms = weights_peak_ms / _share(rates.memory, work.memory_factor)
    kv_ms = kv_peak_ms / _share(rates.kv, work.memory_factor)
    attention_ms = attention_peak_ms / _share(rates.attention, work.products_factor)
    collective_ms = _collective_ms(work, micro, rates) + _hops_ms(work, micro, rates)
    expert_layer_us = rates.expert_layer_us + work.expert_parallel * rates.expert_parallel_us
    overhead_us = rates.step_us + work.layers * rates.layer_us + work.expert_layers * expert_layer_us
    overhead_us = overhead_us + work.mixer_layers * rates.mixer_layer_us + work.index_layers * rates.index_layer_us
    overhead_ms = work.gap_factor * (overhead_us + micro * rates.sequence_us) / US_PER_MS + _traffic_ms(
        work, micro, rates
    )
    bound_ms = np.maximum(weights_peak_ms + kv_peak_ms, products_peak_ms + attention_peak_ms)
    step_ms = _together_ms(weights_ms, products_ms, rates) + np.maximum(kv_ms, attention_ms)
    step_ms = np.maximum((step_ms + collective_ms + overhead_ms) * rates.scale**work.width, bound_ms)
    return Decode(
        step_ms=step_ms,
        memory_ms=weights_ms + kv_ms,
        weights_ms=np.asarray(weights_ms),
        kv_ms=kv_ms,
        compute_ms=products_ms + attention_ms,
        products_ms=products_ms,
        attention_ms=attention_ms,
        collective_ms=collective_ms,
        overhead_ms=np.broadcast_to(overhead_ms, step_ms.shape),
        bound_ms=bound_ms,
    )


@dataclass(frozen=True)
class Prefill:
    """Time of one prompt [ms]: alone on the replica, as a share of it when others follow, and the least physics
    allows."""

    alone_ms: Floats
    occupied_ms: Floats
    bound_ms: Floats


def prefill(work: Work, rates: Rates) -> Prefill:
    """Time to process one prompt [ms] for each candidate.

    Alone = max(W, P) + u x min(W, P) + attention + collectives + gaps of each chunk, and what a request takes outside;
    occupied = (P + attention + collectives) / pp: weights are shared with the decode steps it travels with.

    Source: roofline of Williams et al. 2009; chunked prefill: Agrawal et al. 2023 (Sarathi).
    """
    tokens = work.prompt_tokens
    products_peak_ms, products_ms = _products_ms(work, tokens, work.prefill_flops, rates)
    attention_peak_ms = work.prefill_attention_flops / work.peak_16_bit_flops_per_s * MS_PER_S
    attention_ms = attention_peak_ms / _share(rates.attention, work.products_factor)
    weights_peak_ms = _weights_bytes(work, tokens) / work.bandwidth_bytes_per_s * MS_PER_S
    weights_ms = weights_peak_ms / _share(rates.memory, work.memory_factor)
    collective_ms = _collective_ms(work, tokens, rates)
    overhead_us = rates.step_us + (work.layers + work.expert_layers) * rates.prefill_layer_us
    gaps_ms = work.gap_factor * work.prompt_chunks * overhead_us / US_PER_MS
    traffic_ms = _traffic_ms(work, tokens, rates)
    alone_ms = _together_ms(weights_ms, products_ms, rates) + attention_ms + collective_ms
    alone_ms = alone_ms + _hops_ms(work, tokens, rates) + rates.prefill_fixed_ms + gaps_ms + traffic_ms
    bound_ms = np.maximum(products_peak_ms + attention_peak_ms, weights_peak_ms)
    occupied_ms = (products_ms + attention_ms + collective_ms + traffic_ms) / work.pipeline_parallel
    scale = rates.scale**work.width
    return Prefill(
        alone_ms=np.maximum(alone_ms * scale, bound_ms),
        occupied_ms=np.maximum(occupied_ms * scale, (products_peak_ms + attention_peak_ms) / work.pipeline_parallel),
        bound_ms=bound_ms,
    )


def _collective_ms(work: Work, tokens: Quantity, rates: Rates) -> Floats:
    """All-reduces of one pass [ms]: 2 x layers x (latency + 2 (tp - 1) / tp x bytes / link); 0 without tensor
    parallel."""
    latency_us = np.where(work.is_pcie > 0, rates.collective_pcie_us, rates.collective_nvlink_us)
    moved = 2.0 * (work.tensor_parallel - 1.0) / work.tensor_parallel * tokens * work.hidden_bytes
    each_ms = latency_us / US_PER_MS + moved / (work.link_bytes_per_s * rates.link) * MS_PER_S
    return np.where(work.tensor_parallel > 1, ALL_REDUCES_PER_LAYER * work.layers * each_ms, 0.0)


def _hops_ms(work: Work, tokens: Quantity, rates: Rates) -> Floats:
    """Sends between pipeline stages in one pass [ms]: (pp - 1) x (latency + bytes / network)."""
    each_ms = rates.hop_us / US_PER_MS + tokens * work.hidden_bytes / (rates.network_gb_per_s * GB) * MS_PER_S
    return np.asarray((work.pipeline_parallel - 1.0) * each_ms)
