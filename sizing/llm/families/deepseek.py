"""Latent attention: DeepSeek 2, 3, 3.2 and 4, Kimi K2, Kimi Linear, GLM with sparse attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sizing.llm.architecture import Architecture, ExtraPart, LayerKind, Tensor
from sizing.llm.blocks import feed_forward, latent_attention, latent_cache, linear, norm, vector
from sizing.llm.families.base import (
    FULL,
    LINEAR,
    Feed,
    Stem,
    dense,
    draft_block,
    family,
    norms,
    routed,
    stack,
)
from sizing.llm.families.fields import Fields
from sizing.llm.mixers import (
    compressed_cache,
    compressor,
    indexed_latent_cache,
    indexer,
    kimi_delta,
    kimi_delta_cache,
)

DENSE, SPARSE = "dense", "sparse"


def latent_stem(f: Fields) -> Stem:
    """Widths of a decoder with latent attention; KV heads say nothing there."""
    f.ignore("num_key_value_heads", "head_dim", "qk_head_dim")
    heads = f.whole("num_attention_heads")
    context = f.maybe("max_position_embeddings", "model_max_length", most=1_000_000_000)
    return Stem(f.whole("hidden_size"), f.layers(), heads, heads, 0, f.whole("vocab_size"), context)


def latent(f: Fields, s: Stem) -> tuple[tuple[Tensor, ...], int, int]:
    """Tensors of latent attention, and the widths of its latent and of its rotary part."""
    width, rope, query = f.whole("kv_lora_rank"), f.whole("qk_rope_head_dim"), f.maybe("q_lora_rank")
    tensors = latent_attention(
        s.hidden, s.heads, latent=width, rope=rope, nope=f.whole("qk_nope_head_dim"),
        value_dim=f.whole("v_head_dim"), query_latent=query,
    )  # fmt: skip
    if f.flag("attention_bias"):
        sizes = {"kv_a_proj_with_mqa.bias": width + rope, "q_a_proj.bias": query or 0, "o_proj.bias": s.hidden}
        tensors += tuple(vector(name, "attention", size) for name, size in sizes.items() if size)
    return tensors, width, rope


def sparse_layers(f: Fields, layers: int, *, default_dense: int = 0) -> list[bool]:
    """Which layers have experts: by mlp_layer_types, else all but the first dense ones, at the frequency stated."""
    kinds = f.words("mlp_layer_types", layers, (DENSE, SPARSE))
    first = f.whole("first_k_dense_replace", default=default_dense, least=0)
    listed = f.wholes("moe_layer_freq", layers, most=1) if isinstance(f.any("moe_layer_freq"), list) else None
    every = 1 if listed else f.whole("moe_layer_freq", default=1)
    if kinds is not None:
        return [kind == SPARSE for kind in kinds]
    if listed is not None:
        return [bool(at) for at in listed]
    return [i >= first and i % every == 0 for i in range(layers)]


def mixed_feeds(f: Fields, s: Stem, *, default_dense: int = 0, bias: bool = False) -> tuple[list[Feed], int]:
    """Feed-forward halves of the DeepSeek kind: dense first, then experts with shared ones of the same width each."""
    if not (f.has("n_routed_experts") or f.has("num_experts") or f.has("num_local_experts")):
        return [dense(s, f.whole("intermediate_size"), bias=bias)] * s.layers, 0
    width = f.whole("moe_intermediate_size")
    shared = f.whole("n_shared_experts", "num_shared_experts", default=0, least=0) * width
    mixture, used = routed(f, s, width, shared_width=shared)
    sparse = sparse_layers(f, s.layers, default_dense=default_dense)
    f.ignore("intermediate_size")
    if all(sparse):
        return [mixture] * s.layers, used
    plain = dense(s, f.whole("intermediate_size"), bias=bias)
    return [mixture if at else plain for at in sparse], used


def draft(f: Fields, s: Stem, layers: Sequence[LayerKind]) -> tuple[ExtraPart, ...]:
    """The block for multi-token prediction that the config states."""
    count = f.maybe("num_nextn_predict_layers", most=64)
    return (draft_block(s, layers[-1], count=count),) if count else ()


@family("deepseek_v2", "deepseek_v3", "kimi_k2", "glm4_moe_lite")
def deepseek(f: Fields) -> Architecture:
    """DeepSeek 2, 3 and R1, Kimi K2, GLM-4.7-Flash."""
    s = latent_stem(f)
    attention, width, rope = latent(f, s)
    feeds, used = mixed_feeds(f, s, default_dense=1 if f.model_type == "glm4_moe_lite" else 0)
    layers = [
        LayerKind(f"latent attention + {word}", (*attention, *tensors, *norms(s, 2)), latent_cache(width, rope))
        for word, tensors in feeds
    ]
    return stack(f, s, layers, experts_per_token=used, extras=draft(f, s, layers))


@family("deepseek_v32", "glm_moe_dsa")
def sparse_latent(f: Fields) -> Architecture:
    """DeepSeek 3.2 and GLM-5: latent attention on the tokens that an indexer picks; a layer may share the picks of an
    earlier one and then has neither an indexer nor index keys."""
    s = latent_stem(f)
    attention, width, rope = latent(f, s)
    feeds, used = mixed_feeds(f, s, default_dense=3)
    query = f.whole("q_lora_rank")
    index_width = f.whole("index_head_dim", default=128)
    index_heads = f.whole("index_n_heads", default=64 if f.model_type == "deepseek_v32" else 32)
    index = indexer(s.hidden, query, index_heads, index_width)
    picked = f.whole("index_topk", default=2048)
    layers = []
    for (word, tensors), own in zip(feeds, _own_index(f, s.layers), strict=True):
        cache = indexed_latent_cache(width, rope, index_width) if own else latent_cache(width, rope)
        cache = replace(cache, picked_tokens=picked)
        name = f"sparse latent attention{'' if own else ' (picks shared)'} + {word}"
        layers.append(LayerKind(name, (*attention, *(index if own else ()), *tensors, *norms(s, 2)), cache))
    f.ignore(
        "index_share_for_mtp_iteration",
        "indexer_rope_interleave",
        "layer_types",
        "mlp_bias",
        "moe_router_dtype",
    )
    last = next((layer for layer in reversed(layers) if layer.cache.index_width), layers[-1])
    return stack(f, s, layers, experts_per_token=used, extras=draft(f, s, [last]))


def _own_index(f: Fields, layers: int) -> list[bool]:
    """Which layers have an indexer of their own: by list, by pattern of F and S, or every so many after the first."""
    kinds = f.words("indexer_types", layers, ("full", "shared"))
    pattern = f.word("index_topk_pattern", "")
    every, offset = f.whole("index_topk_freq", default=1), f.whole("index_skip_topk_offset", default=2, least=0)
    if kinds is not None:
        return [kind == "full" for kind in kinds]
    if pattern:
        if len(pattern) < layers or set(pattern) - set("FS"):
            raise f.refuse("index_topk_pattern", pattern, f"{layers} letters F or S, one a layer")
        return [letter == "F" for letter in pattern[:layers]]
    return [max(i - offset + 1, 0) % every == 0 for i in range(layers)]


RATIOS = {0: "sliding_attention", 4: "compressed_sparse_attention", 128: "heavily_compressed_attention"}


@family("deepseek_v4", "deepseek_ref")
def deepseek_v4(f: Fields) -> Architecture:
    """DeepSeek 4: one shared key-value head, a window, and beyond it entries that each stand for 4 or 128 tokens; four
    residual streams that are mixed at each half of a layer."""
    s = latent_stem(f)
    f.ignore(
        "index_topk",
        "compress_rope_theta",
        "hc_sinkhorn_iters",
        "swiglu_limit",
        "num_hash_layers",
        "expert_dtype",
        "attention_bias",
    )
    width, window = f.whole("head_dim", default=512), f.whole("sliding_window", default=128)
    query, streams = f.whole("q_lora_rank", default=1024), f.whole("hc_mult", default=4, most=64)
    groups, out = f.whole("o_groups", default=8), f.whole("o_lora_rank", default=1024)
    index_heads, index_width = f.whole("index_n_heads", default=64), f.whole("index_head_dim", default=128)
    per_group = f.divided("num_attention_heads", s.heads * width, groups, "o_groups")
    mixture, used = routed(
        f, s, f.whole("moe_intermediate_size", default=2048),
        shared_width=f.whole("moe_intermediate_size", default=2048)
        * min(f.whole("n_shared_experts", default=1, least=0), 1),
    )  # fmt: skip
    attention = (
        vector("sinks", "attention", s.heads, shard="column"),
        *linear("q_a_proj", "attention", query, s.hidden, "replicated"),
        *norm("q_a_norm", query),
        *linear("q_b_proj", "attention", s.heads * width, query, "column"),
        *linear("kv_proj", "attention", width, s.hidden, "replicated"),
        *norm("kv_norm", width),
        *linear("o_a_proj", "attention", groups * out, per_group, "column"),
        *linear("o_b_proj", "attention", s.hidden, groups * out, "row"),
    )
    mixing = tuple(
        t for half in ("attn", "ffn") for t in _streams(f"{half}_hc", (streams + 2) * streams, streams, s.hidden, 3)
    )
    layers = []
    for ratio in _ratios(f, s.layers):
        extra: tuple[Tensor, ...] = ()
        if ratio:
            extra = compressor(s.hidden, width, ratio, overlap=ratio == 4)
        if ratio == 4:
            extra += (
                *compressor(s.hidden, index_width, ratio, overlap=True, prefix="compressor.indexer"),
                *linear("indexer.wq_b", "attention", index_heads * index_width, query, "replicated"),
                Tensor("indexer.weights_proj", "attention", index_heads, s.hidden),
            )
        cache = compressed_cache(width, window, ratio, index_width=index_width if ratio == 4 else 0)
        name = f"{RATIOS[ratio].replace('_', ' ')} + experts"
        layers.append(LayerKind(name, (*attention, *extra, *mixture[1], *mixing, *norms(s, 2)), cache))
    plain = LayerKind("draft", (*attention, *mixture[1], *mixing, *norms(s, 2)), compressed_cache(width, window, 0))
    return stack(
        f, s, layers, experts_per_token=used, after=_streams("hc_head", streams, streams, s.hidden, 1),
        extras=draft(f, s, [plain]),
    )  # fmt: skip


def _streams(name: str, outputs: int, streams: int, hidden: int, scales: int) -> tuple[Tensor, ...]:
    """How residual streams are mixed: a matrix over all of them, a base and scales."""
    return (
        Tensor(f"{name}.fn", "other", outputs, streams * hidden),
        vector(f"{name}.base", "other", outputs),
        vector(f"{name}.scale", "other", scales),
    )


def _ratios(f: Fields, layers: int) -> list[int]:
    """Tokens that an entry of each layer stands for, 0 for a window alone: by layer_types, by compress_ratios, or the
    default of two heavy layers and then both in turn."""
    kinds = f.words("layer_types", layers, tuple(RATIOS.values()))
    listed = f.wholes("compress_ratios", layers, most=128)
    if kinds is not None:
        by_word = {word: ratio for ratio, word in RATIOS.items()}
        return [by_word[kind] for kind in kinds]
    if listed is None:
        return [128 if i < 2 or i % 2 == 0 else 4 for i in range(layers)]
    for ratio in listed:
        if ratio not in RATIOS:
            raise f.refuse("compress_ratios", ratio, "0, 4 or 128 for each layer")
    return listed


@family("kimi_linear")
def kimi_linear(f: Fields) -> Architecture:
    """Kimi Linear and the text stack of Kimi K3: three layers of delta attention to one of latent attention."""
    s = latent_stem(f)
    lin = f.inside("linear_attn_config")
    heads = lin.whole("num_heads", default=f.whole("linear_num_heads", default=32))
    head_dim = lin.whole("head_dim", default=f.whole("linear_head_dim", default=128))
    kernel = lin.whole("short_conv_kernel_size", default=f.whole("linear_conv_kernel_dim", default=4))
    lin.ignore("gate_lower_bound")
    full = lin.flag("use_full_rank_gate")
    attention, width, rope = latent(f, s)
    gated = f.flag("mla_use_output_gate")
    if gated:
        attention += linear("g_proj", "attention", s.heads * f.whole("v_head_dim"), s.hidden, "column")
    feeds, used = _kimi_feeds(f, s)
    f.ignore("mla_use_nope", "moe_renormalize", "moe_router_activation_func", "use_grouped_topk", "num_expert_group",
               "attn_res_block_size")  # fmt: skip
    layers = []
    for linear_here, (word, tensors) in zip(_delta_layers(f, lin, s.layers), feeds, strict=True):
        if linear_here:
            mixer = kimi_delta(s.hidden, heads, head_dim, kernel, full_gate=full)
            cache, name = kimi_delta_cache(heads, head_dim, kernel), "delta attention"
        else:
            mixer, cache, name = attention, latent_cache(width, rope), "latent attention"
        layers.append(LayerKind(f"{name} + {word}", (*mixer, *tensors, *norms(s, 2)), cache))
    return stack(f, s, layers, experts_per_token=used, extras=draft(f, s, layers), caveats=_k3_caveats(f))


def _delta_layers(f: Fields, lin: Fields, layers: int) -> list[bool]:
    kinds = f.words("layer_types", layers, (FULL, LINEAR))
    full, delta = lin.wholes("full_attn_layers", least=1, most=layers), lin.wholes("kda_layers", least=1, most=layers)
    if kinds is not None:
        return [kind == LINEAR for kind in kinds]
    if full is None or delta is None:
        return [i == 0 or i % 4 != 0 for i in range(layers)]
    if sorted((*full, *delta)) != list(range(1, layers + 1)):
        raise lin.refuse("kda_layers", delta, "with full_attn_layers each layer once, counted from 1")
    return [i + 1 in set(delta) for i in range(layers)]


def _kimi_feeds(f: Fields, s: Stem) -> tuple[list[Feed], int]:
    """Experts; with routed_expert_hidden_size they work on a narrower input, to which all tokens are projected."""
    narrow = f.maybe("routed_expert_hidden_size")
    if narrow is None:
        return mixed_feeds(f, s, default_dense=1)
    width = f.whole("moe_intermediate_size")
    shared = f.whole("num_shared_experts", default=1, least=0) * width
    (word, tensors), used = routed(f, s, width, shared_width=shared, expert_input=narrow)
    tensors += (
        *linear("latent_down", "shared_experts", narrow, s.hidden, "replicated"),
        *linear("latent_up", "shared_experts", s.hidden, narrow, "replicated"),
        *(norm("latent_norm", narrow) if f.flag("latent_moe_use_norm") else ()),
    )
    plain = ("feed-forward", feed_forward(s.hidden, f.whole("intermediate_size")))
    return [(word, tensors) if at else plain for at in sparse_layers(f, s.layers, default_dense=1)], used


def _k3_caveats(f: Fields) -> tuple[str, ...]:
    if not f.has("routed_expert_hidden_size"):
        return ()
    return ("Kimi K3: the projections to its narrow experts and its gates follow the config's names; nobody has counted "
            "its parameters independently",)  # fmt: skip
