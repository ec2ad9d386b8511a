"""Time of one engine step: a roofline over weights, KV cache, products and attention, plus collectives and overhead.

Everything is an array over candidates and batch sizes, so that one call answers for a whole search. Never faster than
bytes / peak bandwidth or operations / dense peak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.llm.constants import Rates
from sizing.llm.work import Floats, Quantity, Work
from sizing.units import GB, MS_PER_S

US_PER_MS = 1000.0
ALL_REDUCES_PER_LAYER = 2
"""Sums over the tensor-parallel group in each layer: after attention and after the feed-forward. Source: Megatron-LM
(2019)."""


@dataclass(frozen=True)
class Decode:
    """Time of one decode step [ms] by batch, its parts, and the least time physics allows; with drafting, all of a pass
    over the tokens it yields."""

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

    Step = f x (max(W, P) + u x min(W, P) + max(K, A) + collectives + gaps + drafting) / tokens a pass, with f what this model
    takes longer than the constants say where it was measured, W the weights read
    (experts touched at this batch) over e_w x bandwidth, P the products over e_p x peak in tiles, K the KV cache over
    e_k x bandwidth, A the attention over e_a x peak; m = batch / pp sequences in each of pp microbatches, each with the
    drafted tokens to check. Never less than physics allows.

    Source: roofline of Williams et al. 2009; expected experts touched: independent choices; own.
    """
    micro = np.maximum(batch / work.pipeline_parallel, 1.0)
    tokens = micro * (1.0 + work.draft_passes)
    weights_peak_ms = _weights_bytes(work, tokens) / work.bandwidth_bytes_per_s * MS_PER_S
    kv_peak_ms = micro * work.kv_bytes_per_sequence / work.bandwidth_bytes_per_s * MS_PER_S
    products_peak_ms, products_ms = _products_ms(work, tokens, tokens * work.decode_flops_per_token, rates)
    attention_peak_ms = tokens * work.decode_attention_flops / work.peak_16_bit_flops_per_s * MS_PER_S
    weights_ms = weights_peak_ms / _share(rates.memory, work.memory_factor)
    kv_ms = kv_peak_ms / _share(rates.kv, work.memory_factor)
    attention_ms = attention_peak_ms / _share(rates.attention, work.products_factor)
    collective_ms = _collective_ms(work, tokens, rates) + _hops_ms(work, tokens, rates)
    expert_layer_us = rates.expert_layer_us + work.expert_parallel * rates.expert_parallel_us
    overhead_us = rates.step_us + work.layers * rates.layer_us + work.expert_layers * expert_layer_us
    overhead_us = overhead_us + work.mixer_layers * rates.mixer_layer_us + work.index_layers * rates.index_layer_us
    overhead_ms = work.gap_factor * (overhead_us + micro * rates.sequence_us) / US_PER_MS
    overhead_ms = overhead_ms + _traffic_ms(work, tokens, rates) + _drafting_ms(work, micro, rates)
    bound_ms = np.maximum(weights_peak_ms + kv_peak_ms, products_peak_ms + attention_peak_ms)
    pass_ms = _together_ms(weights_ms, products_ms, rates) + np.maximum(kv_ms, attention_ms)
    all_ms = (pass_ms + collective_ms + overhead_ms) * work.step_factor
    pass_ms = np.maximum(all_ms * rates.scale**work.width, bound_ms)
    yielded = 1.0 / work.tokens_per_pass
    each = work.step_factor * yielded
    return Decode(
        step_ms=pass_ms * yielded,
        memory_ms=np.asarray((weights_ms + kv_ms) * each),
        weights_ms=np.asarray(weights_ms * each),
        kv_ms=np.asarray(kv_ms * each),
        compute_ms=(products_ms + attention_ms) * each,
        products_ms=products_ms * each,
        attention_ms=attention_ms * each,
        collective_ms=collective_ms * each,
        overhead_ms=np.broadcast_to(overhead_ms * each, pass_ms.shape),
        bound_ms=bound_ms * yielded,
    )


def _drafting_ms(work: Work, micro: Quantity, rates: Rates) -> Quantity:
    """Passes of the draft before one of the model [ms]: each the longer of reading and computing, and its gaps."""
    read_ms = work.draft_bytes / work.bandwidth_bytes_per_s / _share(rates.memory, work.memory_factor) * MS_PER_S
    products = micro * work.draft_flops_per_token / work.peak_16_bit_flops_per_s
    compute_ms = products / _share(rates.products, work.products_factor) * MS_PER_S
    sums_us = np.where(work.tensor_parallel > 1, ALL_REDUCES_PER_LAYER * _latency_us(work, rates), 0.0)
    gaps_ms = work.draft_layers * (work.gap_factor * rates.layer_us + sums_us) / US_PER_MS
    return work.draft_passes * (np.maximum(read_ms, compute_ms) + gaps_ms)


@dataclass(frozen=True)
class Prefill:
    """Time of one prompt [ms]: alone on the replica, as a share of it when others follow, and the least physics
    allows."""

    alone_ms: Floats
    occupied_ms: Floats
    attention_ms: Floats  # its part of both that grows with the square of the prompt, before scale and pipeline
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
    scale = rates.scale**work.width * work.step_factor
    return Prefill(
        alone_ms=np.maximum(alone_ms * scale, bound_ms),
        occupied_ms=np.maximum(occupied_ms * scale, (products_peak_ms + attention_peak_ms) / work.pipeline_parallel),
        attention_ms=np.asarray(attention_ms * work.step_factor),
        bound_ms=bound_ms,
    )


def _collective_ms(work: Work, tokens: Quantity, rates: Rates) -> Floats:
    """All-reduces of one pass [ms]: 2 x layers x (latency + 2 (tp - 1) / tp x bytes / link); 0 without tensor
    parallel."""
    latency_us = _latency_us(work, rates)
    moved = 2.0 * (work.tensor_parallel - 1.0) / work.tensor_parallel * tokens * work.hidden_bytes
    each_ms = latency_us / US_PER_MS + moved / (work.link_bytes_per_s * rates.link) * MS_PER_S
    return np.where(work.tensor_parallel > 1, ALL_REDUCES_PER_LAYER * work.layers * each_ms, 0.0)


def _latency_us(work: Work, rates: Rates) -> Quantity:
    """Latency of one all-reduce with its launch [us]."""
    return np.where(work.is_pcie > 0, rates.collective_pcie_us, rates.collective_nvlink_us)


def _hops_ms(work: Work, tokens: Quantity, rates: Rates) -> Floats:
    """Sends between pipeline stages in one pass [ms]: (pp - 1) x (latency + bytes / network)."""
    each_ms = rates.hop_us / US_PER_MS + tokens * work.hidden_bytes / (rates.network_gb_per_s * GB) * MS_PER_S
    return np.asarray((work.pipeline_parallel - 1.0) * each_ms)
