"""Nemotron's pruned Llamas, whose layers differ one by one."""

from __future__ import annotations

from sizing.llm.architecture import Architecture, Cache, LayerKind, Tensor
from sizing.llm.blocks import attention, feed_forward, kv_cache, linear, norm
from sizing.llm.families.base import (
    Feed,
    Stem,
    family,
    stack,
)
from sizing.llm.families.fields import Fields


@family("nemotron-nas", "nemotron_nas", "deci")
def nemotron_nas(f: Fields) -> Architecture:
    """Llama pruned layer by layer: block_configs says of each layer whether it has attention, with which KV heads, and
    how wide its feed-forward is; either may be replaced by one matrix."""
    hidden, layers, heads = f.whole("hidden_size"), f.layers(), f.whole("num_attention_heads")
    vocab, context = f.whole("vocab_size"), f.maybe("max_position_embeddings", most=1_000_000_000)
    head_dim = f.maybe("head_dim") or f.divided("hidden_size", hidden, heads, "num_attention_heads")
    f.ignore("num_key_value_heads", "intermediate_size", "attention_bias", "mlp_bias")
    found = []
    for block in f.objects("block_configs", layers):
        tensors, cache, name = _nas_attention(block.inside("attention"), hidden, heads, head_dim)
        feed = _nas_feed(block.inside("ffn"), hidden)
        block.ignore("parallel_blocks")
        found.append(LayerKind(f"{name} + {feed[0]}", (*tensors, *feed[1]), cache))
    s = Stem(hidden, layers, heads, max(k.cache.heads for k in found) or heads, head_dim, vocab, context)
    return stack(f, s, found)


def _nas_attention(at: Fields, hidden: int, heads: int, head_dim: int) -> tuple[tuple[Tensor, ...], Cache, str]:
    at.ignore(*at.raw)
    if at.flag("no_op"):
        return (), Cache(), "no attention"
    if at.flag("replace_with_linear"):
        return (
            (*linear("linear_attn", "attention", hidden, hidden, "replicated"), *norm("norm_1", hidden)),
            Cache(),
            "one matrix",
        )
    kv = at.divided("n_heads_in_group", heads, at.whole("n_heads_in_group"), "the heads")
    tensors = (*attention(hidden, heads, kv, head_dim), *norm("norm_1", hidden))
    return tensors, kv_cache(kv, head_dim), "full attention"


def _nas_feed(at: Fields, hidden: int) -> Feed:
    at.ignore(*at.raw)
    if at.flag("no_op"):
        return "nothing", ()
    if at.flag("replace_with_linear"):
        return "one matrix", (*linear("linear_mlp", "dense_ffn", hidden, hidden, "replicated"), *norm("norm_2", hidden))
    ratio = at.any("ffn_mult")
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= 100:
        raise at.refuse("ffn_mult", ratio, "a number above 0 up to 100")
    width = -(-int(2 * ratio * hidden / 3) // 256) * 256
    return f"feed-forward of {width}", (*feed_forward(hidden, width), *norm("norm_2", hidden))
