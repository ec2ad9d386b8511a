"""Blocks that mix tokens otherwise than by keys and values of all of them: state spaces, linear and sparse attention.

Each comes as tensors with how engines split them, and as what the layer caches.
"""

from __future__ import annotations

from sizing.llm.architecture import Cache, Shard, Tensor
from sizing.llm.blocks import linear, norm, vector

INDEX_KEY_BYTES_SCALE = 4
"""Bytes of the fp32 scale beside the fp8 index key of a token. Source: DeepSeek-V3.2 technical report (2025-09) and
vLLM's indexer cache of 128 + 4 bytes a token."""


def _conv(
    width: int, kernel: int, shard: Shard, *, bias: bool, name: str = "conv1d", units: int = 0
) -> tuple[Tensor, ...]:
    """A depthwise convolution over the last tokens: width x kernel, split with its channels."""
    weight = Tensor(name, "mixer", width, kernel, 1, shard, units=units)
    return (weight, Tensor(f"{name}.bias", "mixer", width, 1, 1, shard, units=units)) if bias else (weight,)


def mamba1(
    hidden: int,
    inner: int,
    state: int,
    kernel: int,
    rank: int,
    *,
    bias: bool = False,
    conv_bias: bool = True,
    norms: bool = False,
) -> tuple[Tensor, ...]:
    """A Mamba-1 block: hidden -> 2 x inner, convolution, (step, B, C) of each channel, back to hidden.

    `norms`: three norms over step, B and C (Jamba). Split by channels; B and C come out whole on each rank.
    Source: Gu and Dao 2023, section 3; vLLM's MambaMixer (2025).
    """
    parts = [
        *linear("in_proj", "mixer", 2 * inner, hidden, "column", bias=bias),
        *_conv(inner, kernel, "column", bias=conv_bias),
        *linear("x_proj", "mixer", rank + 2 * state, inner, "row"),
        *linear("dt_proj", "mixer", inner, rank, "column", bias=True),
        Tensor("A_log", "mixer", inner, state, 1, "column"),
        vector("D", "mixer", inner, shard="column"),
        *linear("out_proj", "mixer", hidden, inner, "row", bias=bias),
    ]
    if norms:
        parts += [*norm("dt_norm", rank), *norm("b_norm", state), *norm("c_norm", state)]
    return tuple(parts)


def mamba1_cache(inner: int, state: int, kernel: int) -> Cache:
    """State of a Mamba-1 block: inner x (kernel - 1) for the convolution and inner x state."""
    return Cache("state", conv_elements=inner * (kernel - 1), state_elements=inner * state)


def mamba2(
    hidden: int,
    heads: int,
    head_dim: int,
    groups: int,
    state: int,
    kernel: int,
    *,
    bias: bool = False,
    conv_bias: bool = True,
    gated_norm: bool = True,
    out_bias: bool | None = None,
) -> tuple[Tensor, ...]:
    """A Mamba-2 block: gate and input by heads, B and C by groups (copied once groups are fewer than ranks), step by head.

    Source: Dao and Gu 2024, section 7; vLLM's MambaMixer2 (2025).
    """
    inner, shared = heads * head_dim, groups * state
    parts: list[Tensor] = []
    for name, width in (("in_proj.z", inner), ("in_proj.x", inner)):
        parts += linear(name, "mixer", width, hidden, "column", bias=bias)
    for name in ("in_proj.b", "in_proj.c"):
        parts += linear(name, "mixer", shared, hidden, "kv", bias=bias, units=groups)
    parts += linear("in_proj.dt", "mixer", heads, hidden, "column", bias=bias)
    parts += _conv(inner, kernel, "column", bias=conv_bias)
    parts += _conv(2 * shared, kernel, "kv", bias=conv_bias, name="conv1d.bc", units=groups)
    parts += [vector(name, "mixer", heads, shard="column") for name in ("dt_bias", "A_log", "D")]
    if gated_norm:
        parts.append(vector("norm", "norms", inner, shard="column"))
    parts += linear("out_proj", "mixer", hidden, inner, "row", bias=bias if out_bias is None else out_bias)
    return tuple(parts)


def mamba2_cache(heads: int, head_dim: int, groups: int, state: int, kernel: int) -> Cache:
    """State of a Mamba-2 block: (inner + 2 x groups x state) x (kernel - 1) for the convolution, inner x state."""
    inner = heads * head_dim
    return Cache(
        "state",
        conv_elements=(inner + 2 * groups * state) * (kernel - 1),
        state_elements=inner * state,
    )


def gated_delta(
    hidden: int, key_heads: int, value_heads: int, key_dim: int, value_dim: int, kernel: int
) -> tuple[Tensor, ...]:
    """Gated DeltaNet: query, key, value and gate projections, two numbers a value head, a convolution, a norm a head.

    Source: Yang et al. 2024 (Gated Delta Networks); Qwen3-Next model code (2025-09).
    """
    keys, values = key_heads * key_dim, value_heads * value_dim
    return (
        *linear("in_proj_qk", "mixer", 2 * keys, hidden, "column"),
        *linear("in_proj_v", "mixer", values, hidden, "column"),
        *linear("in_proj_z", "mixer", values, hidden, "column"),
        *linear("in_proj_ba", "mixer", 2 * value_heads, hidden, "column"),
        *_conv(2 * keys + values, kernel, "column", bias=False),
        vector("dt_bias", "mixer", value_heads, shard="column"),
        vector("A_log", "mixer", value_heads, shard="column"),
        *norm("norm", value_dim),
        *linear("out_proj", "mixer", hidden, values, "row"),
    )


def gated_delta_cache(key_heads: int, value_heads: int, key_dim: int, value_dim: int, kernel: int) -> Cache:
    """State of gated DeltaNet: (2 x keys + values) x (kernel - 1), and key x value elements a value head."""
    return Cache(
        "state",
        conv_elements=(2 * key_heads * key_dim + value_heads * value_dim) * (kernel - 1),
        state_elements=value_heads * key_dim * value_dim,
    )


def kimi_delta(
    hidden: int, heads: int, head_dim: int, kernel: int, *, full_forget: bool = False, full_gate: bool = False
) -> tuple[Tensor, ...]:
    """Kimi delta attention: query, key, value with a convolution each, a forget gate a channel and an output gate.

    The gates are projections through `head_dim`, or whole ones where the family says so.
    Source: Kimi Linear report (2025-10), section 3; its model code.
    """
    width = heads * head_dim
    parts: list[Tensor] = []
    for name in ("q_proj", "k_proj", "v_proj"):
        parts += linear(name, "mixer", width, hidden, "column")
    parts += _conv(3 * width, kernel, "column", bias=False)
    parts += [vector("dt_bias", "mixer", width, shard="column"), vector("A_log", "mixer", heads, shard="column")]
    for name, full in (("f", full_forget), ("g", full_gate)):
        if full:
            parts += linear(f"{name}_proj", "mixer", width, hidden, "column")
        else:
            parts += linear(f"{name}_a_proj", "mixer", head_dim, hidden, "replicated")
            parts += linear(f"{name}_b_proj", "mixer", width, head_dim, "column")
    parts += [*linear("b_proj", "mixer", heads, hidden, "column"), *norm("o_norm", head_dim)]
    parts += linear("o_proj", "mixer", hidden, width, "row")
    return tuple(parts)


def kimi_delta_cache(heads: int, head_dim: int, kernel: int) -> Cache:
    """State of Kimi delta attention: 3 x width x (kernel - 1) and head_dim x head_dim a head."""
    return Cache(
        "state",
        conv_elements=3 * heads * head_dim * (kernel - 1),
        state_elements=heads * head_dim * head_dim,
    )


def lightning(hidden: int, heads: int, head_dim: int) -> tuple[Tensor, ...]:
    """Lightning attention: query, key, value, an output gate and a norm over all heads.

    Source: MiniMax-01 report (2025-01), section 2.2; its model code.
    """
    width = heads * head_dim
    return (
        *linear("qkv_proj", "mixer", 3 * width, hidden, "column"),
        *linear("output_gate", "mixer", width, hidden, "column"),
        vector("norm", "norms", width, shard="column"),
        *linear("out_proj", "mixer", hidden, width, "row"),
    )


def lightning_cache(heads: int, head_dim: int) -> Cache:
    """State of lightning attention: head_dim x head_dim elements a head."""
    return Cache("state", state_elements=heads * head_dim * head_dim)


def short_conv(hidden: int, kernel: int, *, bias: bool = False) -> tuple[Tensor, ...]:
    """A gated short convolution: hidden -> 3 x hidden, convolution, back. Source: LFM2 model code (2025-07)."""
    return (
        *linear("in_proj", "mixer", 3 * hidden, hidden, "column", bias=bias),
        *_conv(hidden, kernel, "column", bias=bias),
        *linear("out_proj", "mixer", hidden, hidden, "row", bias=bias),
    )


def short_conv_cache(hidden: int, kernel: int) -> Cache:
    """State of a short convolution: hidden x (kernel - 1), as engines keep it."""
    return Cache("state", conv_elements=hidden * (kernel - 1))


def indexer(hidden: int, query_latent: int, heads: int, width: int) -> tuple[Tensor, ...]:
    """The lightning indexer of sparse attention: queries from their latent, one key a token, a weight a head. Whole on
    every rank, as it picks the tokens for all heads.

    Source: DeepSeek-V3.2 report (2025-09), section 2; vLLM's indexer (2025).
    """
    return (
        *linear("indexer.wq_b", "attention", heads * width, query_latent, "replicated"),
        *linear("indexer.wk", "attention", width, hidden, "replicated"),
        *norm("indexer.k_norm", width, bias=True),
        Tensor("indexer.weights_proj", "attention", heads, hidden),
    )


def indexed_latent_cache(latent: int, rope: int, index_width: int) -> Cache:
    """Cache of latent attention with an indexer: latent + rope, and an index key of one byte an element with its scale."""
    return Cache("latent", 0, latent + rope, index_width=index_width, index_scale_bytes=INDEX_KEY_BYTES_SCALE)


def compressor(hidden: int, width: int, ratio: int, *, overlap: bool, prefix: str = "compressor") -> tuple[Tensor, ...]:
    """Compresses each `ratio` tokens to one entry of `width`; with overlap each entry sees two groups.

    Source: DeepSeek-V4 model code in transformers 5.23 (2026).
    """
    wide = width * (2 if overlap else 1)
    return (
        Tensor(f"{prefix}.position_bias", "attention", ratio, wide),
        *linear(f"{prefix}.kv_proj", "attention", wide, hidden, "replicated"),
        *linear(f"{prefix}.gate_proj", "attention", wide, hidden, "replicated"),
        *norm(f"{prefix}.kv_norm", width),
    )


def compressed_cache(width: int, window: int, ratio: int, *, index_width: int = 0) -> Cache:
    """Cache of compressed attention: the window's tokens, one entry for each `ratio` tokens (none when 0), index keys an
    entry, and the tokens that are not yet compressed: values and gates of a group, of two groups where they overlap.

    Overlapping groups are those with index keys; the open groups are whole on every rank.
    Source: DeepSeek-V4 inference code (2026): fp32 buffers of values and scores of a group.
    """
    overlap = 2 if index_width else 1
    return Cache(
        "compressed",
        key_width=width,
        window=window,
        stride=ratio,
        index_width=index_width,
        index_scale_bytes=INDEX_KEY_BYTES_SCALE if index_width else 0,
        state_elements=2 * overlap * ratio * overlap * (width + index_width),
    )
