"""Decoders before Llama, and those in their manner: biases, LayerNorm, learned positions, an un-gated feed-forward."""

from __future__ import annotations

from sizing.llm.architecture import Architecture, Tensor
from sizing.llm.blocks import norm
from sizing.llm.families.base import Stem, decoder, dense, family, stem
from sizing.llm.families.fields import Fields


def _positions(s: Stem, count: int) -> tuple[Tensor, ...]:
    return (Tensor("embed_positions", "embedding", count, s.hidden),)


@family("gpt2", "gpt_bigcode")
def gpt2(f: Fields) -> Architecture:
    """GPT-2, and StarCoder 1 with one KV head where multi_query."""
    kv = 1 if f.model_type == "gpt_bigcode" and f.flag("multi_query", True) else None
    s = stem(f, kv_default=kv, context="n_positions")
    width = f.maybe("n_inner") or 4 * s.hidden
    return decoder(
        f, s, dense(s, width, gated=False, bias=True), bias=True, out_bias=True, norm_bias=True, tied=True,
        before=_positions(s, f.whole("n_positions", "n_ctx", default=1024)),
    )  # fmt: skip


@family("gpt_neo")
def gpt_neo(f: Fields) -> Architecture:
    """GPT-Neo: biases but on query, key and value; local layers see a window, and engines cache all tokens."""
    s = stem(f)
    f.ignore("attention_types", "attention_layers", "window_size")
    width = f.maybe("intermediate_size") or 4 * s.hidden
    return decoder(
        f, s, dense(s, width, gated=False, bias=True), out_bias=True, norm_bias=True, tied=True,
        before=_positions(s, f.whole("max_position_embeddings", default=2048)),
    )  # fmt: skip


@family("gpt_neox")
def gpt_neox(f: Fields) -> Architecture:
    """GPT-NeoX and Pythia."""
    s = stem(f)
    f.ignore("use_parallel_residual")
    bias = f.flag("attention_bias", True)
    return decoder(
        f, s, dense(s, f.whole("intermediate_size"), gated=False, bias=True), bias=bias, out_bias=bias, norm_bias=True
    )


@family("gptj", "codegen")
def gptj(f: Fields) -> Architecture:
    """GPT-J and CodeGen: no biases in attention, one norm a layer, a bias on the head."""
    s = stem(f, context="n_positions")
    width = f.maybe("n_inner") or 4 * s.hidden
    return decoder(f, s, dense(s, width, gated=False, bias=True), norm_count=1, norm_bias=True, head_bias=True)


@family("opt")
def opt(f: Fields) -> Architecture:
    """OPT: learned positions with two more rows; the 350M model's narrower embedding is projected."""
    s = stem(f)
    bias, affine = f.flag("enable_bias", True), f.flag("layer_norm_elementwise_affine", True)
    f.ignore("do_layer_norm_before", "prefix", "_remove_final_layer_norm")
    narrow = f.whole("word_embed_proj_dim", default=s.hidden)
    if narrow != s.hidden:
        raise f.refuse("word_embed_proj_dim", narrow, f"the hidden size {s.hidden}, as in all models but opt-350m")
    return decoder(
        f, s, dense(s, f.whole("ffn_dim"), gated=False, bias=bias), bias=bias, out_bias=bias, tied=True,
        norm_count=2 if affine else 0, norm_bias=True,
        final_norm=norm("final_norm", s.hidden, bias=True) if affine and f.flag("do_layer_norm_before", True) else (),
        before=_positions(s, f.whole("max_position_embeddings", default=2048) + 2),
    )  # fmt: skip


@family("bloom")
def bloom(f: Fields) -> Architecture:
    """BLOOM: no positions, a norm after the embedding."""
    s = stem(f, context="seq_length")
    return decoder(
        f, s, dense(s, 4 * s.hidden, gated=False, bias=True), bias=True, out_bias=True, norm_bias=True, tied=True,
        before=norm("embed_norm", s.hidden, bias=True),
    )  # fmt: skip


@family("falcon")
def falcon(f: Fields) -> Architecture:
    """Falcon: many KV heads with new_decoder_architecture, one with multi_query; one norm a layer in the 7B, two in the
    40B and where the halves are not parallel."""
    new, single = f.flag("new_decoder_architecture"), f.flag("multi_query", True)
    heads = f.whole("num_attention_heads", "n_head")
    stated = f.whole("num_kv_heads", "n_head_kv", default=heads)
    kv = stated if new or not single else 1
    raw = {**f.raw, "num_key_value_heads": kv if new or single else heads}
    inner = Fields(raw, f.path)
    s = stem(inner)
    f.read |= inner.read
    bias = f.flag("bias")
    parallel = f.flag("parallel_attn", True)
    two = f.whole("num_ln_in_parallel_attn", default=2 if new else 1) == 2 or not parallel
    width = f.whole("ffn_hidden_size", default=4 * s.hidden)
    return decoder(
        f, s, dense(s, width, gated=False, bias=bias), bias=bias, out_bias=bias, norm_count=2 if two else 1,
        norm_bias=True, tied=True,
    )  # fmt: skip


@family("mpt")
def mpt(f: Fields) -> Architecture:
    """MPT: no biases at all, ALiBi positions."""
    attn = f.inside("attn_config")
    attn.ignore(*attn.raw)
    kv = attn.maybe("kv_n_heads")
    raw = {**f.raw, "num_key_value_heads": kv} if kv else f.raw
    inner = Fields(raw, f.path)
    s = stem(inner, context="max_seq_len")
    f.read |= inner.read
    f.ignore("learned_pos_emb", "no_bias", "norm_type", "embedding_fraction", "init_config", "init_device",
                            "verbose", "logit_scale", "use_norm_bias")  # fmt: skip
    ratio = f.whole("expansion_ratio", default=4)
    return decoder(f, s, dense(s, ratio * s.hidden, gated=False), tied=True)


@family("starcoder2")
def starcoder2(f: Fields) -> Architecture:
    """StarCoder 2: biases throughout, LayerNorm, a sliding window in the published models."""
    s = stem(f, kv_default=2)
    bias = f.flag("use_bias", True)
    window = f.maybe("sliding_window")
    f.ignore("norm_type", "mlp_type")
    return decoder(
        f, s, dense(s, f.whole("intermediate_size"), gated=False, bias=bias), bias=bias, out_bias=bias, norm_bias=True,
        tied=True, windows=[window] * s.layers,
    )  # fmt: skip


@family("phi")
def phi(f: Fields) -> Architecture:
    """Phi 1 and 2: one norm a layer, biases throughout, also on the head."""
    s = stem(f)
    extra: tuple[Tensor, ...] = ()
    if f.flag("qk_layernorm"):
        extra = (*norm("q_norm", s.head_dim, bias=True), *norm("k_norm", s.head_dim, bias=True))
    return decoder(
        f, s, dense(s, f.whole("intermediate_size"), gated=False, bias=True), bias=True, out_bias=True, norm_count=1,
        norm_bias=True, head_bias=True, extra=extra,
    )  # fmt: skip


@family("persimmon")
def persimmon(f: Fields) -> Architecture:
    """Persimmon: biases and LayerNorm throughout, norms over heads."""
    s = stem(f)
    extra: tuple[Tensor, ...] = ()
    if f.flag("qk_layernorm", True):
        extra = (*norm("q_norm", s.head_dim, bias=True), *norm("k_norm", s.head_dim, bias=True))
    return decoder(
        f, s, dense(s, f.whole("intermediate_size"), gated=False, bias=True), bias=True, out_bias=True, norm_bias=True,
        extra=extra,
    )  # fmt: skip


@family("nemotron")
def nemotron(f: Fields) -> Architecture:
    """Nemotron 4 and Minitron: LayerNorm with bias, an un-gated feed-forward."""
    s = stem(f)
    bias = f.flag("attention_bias")
    return decoder(
        f, s, dense(s, f.whole("intermediate_size"), gated=False, bias=f.flag("mlp_bias")), bias=bias, out_bias=bias,
        norm_bias=True,
    )  # fmt: skip
