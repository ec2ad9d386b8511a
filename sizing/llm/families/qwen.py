"""Qwen with experts, and Qwen with gated DeltaNet layers (Qwen3-Next, Qwen3.5)."""

from __future__ import annotations

from sizing.llm.architecture import Architecture, ExtraPart, LayerKind
from sizing.llm.families.base import (
    FULL,
    LINEAR,
    Feed,
    Stem,
    attention_layer,
    decoder,
    dense,
    draft_block,
    family,
    norms,
    routed,
    stack,
    stem,
)
from sizing.llm.families.fields import Fields
from sizing.llm.families.llama import qwen_windows
from sizing.llm.mixers import gated_delta, gated_delta_cache


def qwen_feeds(f: Fields, s: Stem) -> tuple[list[Feed], int]:
    """Feed-forward halves: experts on every decoder_sparse_step-th layer but those of mlp_only_layers, dense elsewhere."""
    step = f.whole("decoder_sparse_step", default=1)
    only = set(f.wholes("mlp_only_layers") or ())
    shared = f.maybe("shared_expert_intermediate_size") or 0
    mixture, used = routed(f, s, f.whole("moe_intermediate_size"), shared_width=shared, shared_gate=True)
    sparse = [i not in only and (i + 1) % step == 0 for i in range(s.layers)]
    if all(sparse):
        f.ignore("intermediate_size")
        return [mixture] * s.layers, used
    plain = dense(s, f.whole("intermediate_size"))
    return [mixture if at else plain for at in sparse], used


@family("qwen2_moe", "qwen3_moe", "qwen3_omni_moe_text", "qwen3_vl_moe_text", "qwen3_vl_moe")
def qwen_moe(f: Fields) -> Architecture:
    """Qwen 1.5 and 2 with experts (biases, a gated shared expert) and Qwen 3 with experts (norms over heads)."""
    second = f.model_type == "qwen2_moe"
    s = stem(f, head_dim=None if second or f.model_type == "qwen3_moe" else 128)
    feeds, used = qwen_feeds(f, s)
    bias = f.flag("qkv_bias", True) if second else f.flag("attention_bias")
    f.ignore("qkv_bias", "use_qk_norm")
    return decoder(
        f, s, feeds, bias=bias, out_bias=False if second else bias, qk_norm=None if second else "per_head",
        windows=qwen_windows(f, s.layers), experts_per_token=used,
    )  # fmt: skip


@family("qwen3_next", "qwen3_5_text", "qwen3_5", "qwen3_5_moe_text", "qwen3_5_moe")
def qwen_next(f: Fields) -> Architecture:
    """Qwen3-Next and Qwen3.5: three gated-DeltaNet layers to one of attention with an output gate."""
    s = stem(f, head_dim=256)
    every = f.whole("full_attention_interval", default=4)
    kinds = f.words("layer_types", s.layers, (FULL, LINEAR)) or [
        FULL if (i + 1) % every == 0 else LINEAR for i in range(s.layers)
    ]
    mixed = f.has("num_experts") or f.has("num_local_experts")
    feeds, used = qwen_feeds(f, s) if mixed else ([dense(s, f.whole("intermediate_size"))] * s.layers, 0)
    sizes = (
        f.whole("linear_num_key_heads", default=16),
        f.whole("linear_num_value_heads", default=32),
        f.whole("linear_key_head_dim", default=128),
        f.whole("linear_value_head_dim", default=128),
        f.whole("linear_conv_kernel_dim", default=4),
    )
    bias = f.flag("attention_bias")
    f.ignore("attn_output_gate", "output_gate_type", "mlp_only_layers", "decoder_sparse_step")
    layers = []
    for kind, feed in zip(kinds, feeds, strict=True):
        if kind == FULL:
            layers.append(attention_layer(s, feed, bias=bias, out_bias=bias, qk_norm="per_head", gate=True))
        else:
            tensors = (*gated_delta(s.hidden, *sizes), *feed[1], *norms(s, 2))
            layers.append(LayerKind(f"gated DeltaNet + {feed[0]}", tensors, gated_delta_cache(*sizes)))
    return stack(f, s, layers, experts_per_token=used, extras=_draft(f, s, feeds[-1], bias))


def _draft(f: Fields, s: Stem, feed: Feed, bias: bool) -> tuple[ExtraPart, ...]:
    """One layer of attention with an output gate, where the config states it or the family always ships it."""
    count = f.maybe("mtp_num_hidden_layers", "num_nextn_predict_layers")
    f.ignore("mtp_use_dedicated_embeddings")
    if count is None and f.model_type == "qwen3_next":
        count = 1
    if not count:
        return ()
    layer = attention_layer(s, feed, bias=bias, out_bias=bias, qk_norm="per_head", gate=True)
    return (draft_block(s, layer, count=count),)
