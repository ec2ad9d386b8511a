"""Models that mix attention with layers of linear attention or short convolutions: MiniMax-01 and M1, LFM2."""

from __future__ import annotations

from collections.abc import Sequence

from sizing.llm.architecture import Architecture, LayerKind
from sizing.llm.families.base import (
    FULL,
    LINEAR,
    Feed,
    Stem,
    attention_layer,
    dense,
    family,
    norms,
    routed,
    stack,
    stem,
)
from sizing.llm.families.fields import Fields
from sizing.llm.mixers import lightning, lightning_cache, short_conv, short_conv_cache


@family("minimax", "minimax_text_01", "minimax_m1")
def minimax(f: Fields) -> Architecture:
    """MiniMax-01 and M1: lightning attention on seven layers of eight, experts on every layer."""
    s = stem(f, kv_default=8)
    words = f.words("layer_types", s.layers, (FULL, LINEAR))
    listed = f.wholes("attn_type_list", s.layers, most=1)
    if words:
        full = [word == FULL for word in words]
    elif listed:
        full = [bool(at) for at in listed]
    else:
        full = [i % 2 == 0 for i in range(s.layers)]
    f.ignore(*(n for n in f.raw if n.startswith(("layernorm_", "shared_"))), "postnorm", "block_size", "sliding_window")
    (word, tensors), used = routed(f, s, f.whole("intermediate_size"), default_experts=8, default_per_token=2)
    mixer, cache = lightning(s.hidden, s.heads, s.head_dim), lightning_cache(s.heads, s.head_dim)
    layers = [
        attention_layer(s, (word, tensors))
        if at
        else LayerKind(f"lightning attention + {word}", (*mixer, *tensors, *norms(s, 2)), cache)
        for at in full
    ]
    return stack(f, s, layers, experts_per_token=used)


@family("lfm2", "lfm2_moe")
def lfm2(f: Fields) -> Architecture:
    """LFM2: gated short convolutions, attention on the layers named, experts in the mixture models."""
    s = stem(f, kv_default=8)
    words = f.words("layer_types", s.layers, (FULL, "conv"))
    listed = f.wholes("full_attn_idxs", most=s.layers - 1)
    full = [w == FULL for w in words] if words else [listed is None or i in listed for i in range(s.layers)]
    kernel, bias = f.whole("conv_L_cache", default=3), f.flag("conv_bias")
    feeds, used = _lfm2_feeds(f, s)
    f.ignore("conv_dim", "conv_dim_out", "conv_use_xavier_init", "block_dim", "block_mlp_init_scale", "block_norm_eps",
               "block_out_init_scale", "block_use_swiglu", "block_use_xavier_init", "use_pos_enc", "tie_embedding")  # fmt: skip
    layers = []
    for at, feed in zip(full, feeds, strict=True):
        if at:
            layers.append(attention_layer(s, feed, qk_norm="per_head"))
        else:
            tensors = (*short_conv(s.hidden, kernel, bias=bias), *feed[1], *norms(s, 2))
            layers.append(LayerKind(f"short convolution + {feed[0]}", tensors, short_conv_cache(s.hidden, kernel)))
    return stack(f, s, layers, tied=f.flag("tie_embedding", True), experts_per_token=used)


def _lfm2_feeds(f: Fields, s: Stem) -> tuple[Sequence[Feed], int]:
    width = f.whole("intermediate_size", "block_ff_dim")
    if f.model_type == "lfm2_moe":
        mixed, used = routed(f, s, f.whole("moe_intermediate_size"), default_experts=32, default_per_token=4)
        first = f.whole("num_dense_layers", default=2, least=0)
        f.ignore("use_expert_bias")
        return [dense(s, width) if i < first else mixed for i in range(s.layers)], used
    if f.flag("block_auto_adjust_ff_dim", True):
        factor = f.any("block_ffn_dim_multiplier")
        multiple = f.whole("block_multiple_of", default=256)
        width = int(2 * width / 3)
        if factor is not None or not f.has("block_ffn_dim_multiplier"):
            factor = 1.0 if factor is None else factor
            if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= 100:
                raise f.refuse("block_ffn_dim_multiplier", factor, "a number above 0 up to 100")
            width = multiple * -(-int(factor * width) // multiple)
    return [dense(s, width)] * s.layers, 0
