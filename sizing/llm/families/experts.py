"""Decoders of grouped-query attention with experts: each family's biases, norms, dense layers and windows."""

from __future__ import annotations

from sizing.llm.architecture import Architecture, Cache, LayerKind, Tensor
from sizing.llm.blocks import attention, kv_cache, linear, norm, vector
from sizing.llm.families.base import (
    CHUNKED,
    FULL,
    SLIDING,
    Stem,
    attention_layer,
    decoder,
    dense,
    family,
    norms,
    routed,
    stack,
    stem,
    windows_of,
)
from sizing.llm.families.deepseek import draft, mixed_feeds
from sizing.llm.families.fields import Fields


@family("mixtral", "phimoe", "olmoe", "flex_olmo", "granitemoe", "granitemoeshared", "minimax_m2", "gpt_oss")
def mixture(f: Fields) -> Architecture:
    """Experts on every layer: Mixtral, Phi-3.5-MoE (LayerNorm), OLMoE, Granite, MiniMax M2, gpt-oss (sinks, biases)."""
    kind = f.model_type
    oss, olmo = kind == "gpt_oss", kind in ("olmoe", "flex_olmo")
    s = stem(f, kv_default=8 if kind in ("mixtral", "phimoe", "minimax_m2", "gpt_oss") else None,
             head_dim=64 if oss else 128 if kind == "minimax_m2" else None)  # fmt: skip
    bias = f.flag("attention_bias", oss)
    shared = f.whole("shared_intermediate_size", default=0, least=0) if kind == "granitemoeshared" else 0
    feed, used = routed(
        f, s, f.whole("intermediate_size"), shared_width=shared, bias=oss, router_bias=oss,
        default_per_token=2 if kind == "mixtral" else None,
    )  # fmt: skip
    _ignore_drafts(f)
    window = f.maybe("sliding_window")
    windows = windows_of(f, s.layers, window or 128, every=2) if oss else windows_of(f, s.layers, window)
    return decoder(
        f, s, feed, windows=windows, bias=bias, out_bias=bias, sinks=oss, norm_bias=kind == "phimoe",
        qk_norm="full" if olmo or (kind == "minimax_m2" and f.flag("use_qk_norm", True)) else None,
        head_bias=kind == "phimoe" and f.flag("lm_head_bias"), experts_per_token=used,
    )  # fmt: skip


def _ignore_drafts(f: Fields) -> None:
    """MiniMax M2 states prediction modules that its published checkpoint does not hold."""
    f.ignore("use_mtp", "num_mtp_modules", "mtp_transformer_layers", "qk_norm_type", "use_routing_bias")
    f.ignore("attn_type_list", "shared_intermediate_size")


@family("glm4_moe", "glm4v_moe_text", "dots1", "bailing_moe", "exaone_moe", "solar_open")
def dense_first(f: Fields) -> Architecture:
    """Dense layers first, then experts with shared ones: GLM 4.5 to 4.7, dots.llm1, Ling, EXAONE MoE."""
    kind = f.model_type
    s = stem(f)
    bias = f.flag("attention_bias", kind == "glm4v_moe_text") or (kind == "bailing_moe" and f.flag("use_qkv_bias"))
    qk_norm = "per_head" if kind in ("dots1", "exaone_moe") else None
    if kind in ("glm4_moe", "bailing_moe"):
        qk_norm = "per_head" if f.flag("use_qk_norm") else None
    windows = None
    if kind in ("dots1", "exaone_moe") and f.has("layer_types"):
        windows = windows_of(f, s.layers, f.maybe("sliding_window"))
    elif kind == "exaone_moe" and f.has("sliding_window"):
        windows = windows_of(f, s.layers, f.maybe("sliding_window"), every=f.whole("sliding_window_pattern", default=4))
    f.ignore("sliding_window", "max_window_layers", "sliding_window_pattern")
    default = 1 if kind in ("glm4_moe", "glm4v_moe_text", "exaone_moe") else 0
    if kind == "solar_open":
        f = Fields({**f.raw, "first_k_dense_replace": 0}, f.path)
    feeds, used = mixed_feeds(f, s, default_dense=default)
    out_bias = bias and kind == "dots1"
    layers = [
        attention_layer(s, feed, window=w, bias=bias, out_bias=out_bias, qk_norm=qk_norm)
        for feed, w in zip(feeds, windows or [None] * s.layers, strict=True)
    ]
    return stack(f, s, layers, experts_per_token=used, extras=draft(f, s, layers))


@family("ernie4_5_moe")
def ernie_moe(f: Fields) -> Architecture:
    """ERNIE 4.5 with experts between a first and a last layer, at an interval; a correction bias is a parameter here."""
    s = stem(f, kv_default=4)
    bias = f.flag("use_bias")
    if bias:
        raise f.refuse("use_bias", bias, "false, as in all published models of this family")
    width = f.whole("moe_intermediate_size")
    shared = f.whole("moe_num_shared_experts", default=2, least=0) * width
    (word, tensors), used = routed(f, s, width, shared_width=shared, default_experts=64, default_per_token=6)
    tensors += (vector("router.correction_bias", "router", f.whole("moe_num_experts", default=64)),)
    first = f.whole("moe_layer_start_index", default=1, least=0)
    last = f.any("moe_layer_end_index")
    end = s.layers - 1 if last in (None, -1) else f.whole("moe_layer_end_index", least=0)
    step = f.whole("moe_layer_interval", default=1)
    plain = dense(s, f.whole("intermediate_size"), bias=bias)
    feeds = [(word, tensors) if (i + 1) % step == 0 and first <= i <= end else plain for i in range(s.layers)]
    return decoder(f, s, feeds, bias=bias, out_bias=bias, tied=True, experts_per_token=used)


@family("hunyuan_v1_moe", "hunyuan")
def hunyuan_moe(f: Fields) -> Architecture:
    """Hunyuan with experts on every layer, one shared expert, and norms over heads."""
    s = stem(f)
    bias = f.flag("attention_bias")
    raw = {k: v[0] if isinstance(v, list) and v and len(set(map(str, v))) == 1 else v for k, v in f.raw.items()}
    same = Fields(raw, f.path)
    width = same.maybe("moe_intermediate_size") or f.whole("intermediate_size")
    shared = same.whole("num_shared_expert", default=1, least=0) * f.whole("intermediate_size")
    feed, used = routed(same, s, width, shared_width=shared)
    f.read |= same.read
    f.ignore("use_mixed_mlp_moe")
    qk_norm = "per_head" if f.flag("use_qk_norm", True) else None
    return decoder(f, s, feed, bias=bias, out_bias=bias, qk_norm=qk_norm, experts_per_token=used)


@family("llama4_text", "llama4")
def llama4(f: Fields) -> Architecture:
    """Llama 4: experts with a shared one on every interleave_moe_layer_step-th layer; three chunked layers to one full."""
    s = stem(f, kv_default=8, head_dim=128)
    bias = f.flag("attention_bias")
    step = f.whole("interleave_moe_layer_step", default=1, least=0)
    listed = f.wholes("moe_layers", most=s.layers - 1)
    sparse = set(listed if listed is not None else range(step - 1, s.layers, step) if step else ())
    width = f.whole("intermediate_size")
    mixed, used = routed(f, s, width, shared_width=width, default_experts=16, default_per_token=1)
    plain = dense(s, f.whole("intermediate_size_mlp", default=16_384))
    window = f.maybe("attention_chunk_size") or 8192
    f.ignore("no_rope_layer_interval", "use_qk_norm", "for_llm_compressor")
    ropes = f.wholes("no_rope_layers", most=1)
    if not ropes:
        every = f.whole("no_rope_layer_interval", default=4)
        ropes = [int((i + 1) % every != 0) for i in range(s.layers)]
    kinds = f.words("layer_types", s.layers, (FULL, CHUNKED)) or [CHUNKED if r else FULL for r in ropes]
    layers = [
        attention_layer(
            s, mixed if i in sparse else plain, window=window if kind == CHUNKED else None, chunked=True, bias=bias,
            out_bias=bias,
        )
        for i, kind in enumerate(kinds)
    ]  # fmt: skip
    return stack(f, s, layers, experts_per_token=used)


@family("dbrx")
def dbrx(f: Fields) -> Architecture:
    """DBRX: LayerNorm without bias, experts on every layer."""
    attn, ffn = f.inside("attn_config"), f.inside("ffn_config")
    raw = {
        **f.raw,
        "num_key_value_heads": attn.whole("kv_n_heads", default=1),
        "max_position_embeddings": f.maybe("max_seq_len"),
    }
    s = stem(Fields(raw, f.path))
    f.ignore("d_model", "n_layers", "n_heads", "vocab_size")
    inner = Fields(
        {"num_experts": ffn.whole("moe_num_experts"), "num_experts_per_tok": ffn.whole("moe_top_k")}, ffn.path
    )
    feed, used = routed(inner, s, ffn.whole("ffn_hidden_size"))
    return decoder(f, s, feed, experts_per_token=used)


@family("mimo_v2_flash")
def mimo_v2(f: Fields) -> Architecture:
    """MiMo-V2-Flash: sliding layers have KV heads of their own and sinks; values are narrower than keys."""
    s = stem(f)
    kinds = f.wholes("hybrid_layer_pattern", s.layers, most=1)
    if kinds is None:
        words = f.words("layer_types", s.layers, (FULL, SLIDING))
        kinds = [int(w == SLIDING) for w in words] if words else [
            int(not (i == 0 or (i + 1) % 6 == 0)) for i in range(s.layers)
        ]  # fmt: skip
    wide = (s.heads, s.kv_heads, s.head_dim, f.whole("v_head_dim", default=s.head_dim))
    slim = (
        f.whole("swa_num_attention_heads", default=s.heads),
        f.whole("swa_num_key_value_heads", default=2 * s.kv_heads),
        f.whole("swa_head_dim", default=s.head_dim),
        f.whole("swa_v_head_dim", default=wide[3]),
    )
    window = f.whole("sliding_window", "sliding_window_size", default=128)
    sinks = (f.flag("add_full_attention_sink_bias"), f.flag("add_swa_attention_sink_bias", True))
    bias = f.flag("attention_bias")
    f.ignore("sliding_window_size", "attention_projection_layout")
    feeds, used = mixed_feeds(f, s, default_dense=1)
    layers = []
    for sliding, (word, tensors) in zip(kinds, feeds, strict=True):
        heads, kv, keys, values = slim if sliding else wide
        block = attention(s.hidden, heads, kv, keys, value_dim=values, bias=bias, sinks=sinks[sliding])
        cache = kv_cache(kv, keys, value_dim=values, window=window if sliding else None)
        name = f"{'sliding' if sliding else 'full'} attention + {word}"
        layers.append(LayerKind(name, (*block, *tensors, *norms(s, 2)), cache))
    return stack(f, s, layers, experts_per_token=used)


@family("step3p7", "step3p5")
def step(f: Fields) -> Architecture:
    """Step 3.5 and 3.7 Flash: an output gate and a norm a head; sliding layers may have more heads; experts after the
    first dense layers."""
    s = stem(f, kv_default=8, head_dim=128)
    kinds = f.words("layer_types", s.layers, (FULL, SLIDING)) or [FULL] * s.layers
    other = f.inside("attention_other_setting")
    slim = f.whole("num_sliding_attention_heads", default=other.whole("num_attention_heads", default=s.heads))
    other.ignore("attention_type", "num_attention_groups", "head_dim", "true_head_dim")
    window = f.maybe("sliding_window") or 512
    width = f.whole("moe_intermediate_size")
    mixed, used = routed(f, s, width, shared_width=f.whole("share_expert_dim", default=width))
    plain = dense(s, f.whole("intermediate_size"))
    first = f.whole("first_k_dense_replace", default=3, least=0)
    words = f.words("mlp_layer_types", s.layers, ("dense", "sparse"))
    sparse = [w == "sparse" for w in words] if words else [i >= first for i in range(s.layers)]
    layers = []
    for kind, at in zip(kinds, sparse, strict=True):
        heads = slim if kind == SLIDING else s.heads
        here = Stem(s.hidden, s.layers, heads, s.kv_heads, s.head_dim, s.vocab, s.context)
        gate = linear("g_proj", "attention", heads, s.hidden, "column")
        layers.append(
            attention_layer(
                here, mixed if at else plain, window=window if kind == SLIDING else None, qk_norm="per_head", extra=gate
            )
        )
    f.ignore("n_shared_experts", "use_moe_router_bias", "moe_router_scaling_factor")
    caveat = "Step Flash: sliding layers have as many heads as full ones unless the config says otherwise"
    return stack(f, s, layers, experts_per_token=used, extras=draft(f, s, layers), caveats=(caveat,))


@family("minimax_m3", "minimax_m3_vl_text", "minimax_m3_vl")
def minimax_m3(f: Fields) -> Architecture:
    """MiniMax M3: dense layers first, then experts, with block-sparse attention by an indexer of few heads."""
    s = stem(f, kv_default=4, head_dim=128)
    sparse_at = f.inside("sparse_attention_config")
    freq = sparse_at.wholes("sparse_attention_freq", s.layers, most=1) or [0] * s.layers
    index_heads = sparse_at.whole("sparse_num_index_heads", default=4)
    index_width = sparse_at.whole("sparse_index_dim", default=128)
    sparse_at.ignore(*sparse_at.raw)
    width = f.whole("moe_intermediate_size", "intermediate_size", default=3072)
    shared = f.whole("shared_intermediate_size", default=3072) * f.whole("n_shared_experts", default=1, least=0)
    mixed, used = routed(f, s, width, shared_width=shared, default_experts=128, default_per_token=4)
    listed = f.wholes("moe_layer_freq", s.layers, most=1)
    first = f.whole("first_k_dense_replace", default=0, least=0)
    plain = dense(s, f.whole("dense_intermediate_size", default=12_288))
    f.ignore("intermediate_size", "use_gemma_norm", "use_qk_norm", "qk_norm_type", "use_routing_bias",
               "attention_output_gate", "num_mtp_modules")  # fmt: skip
    layers = []
    for i in range(s.layers):
        feed = mixed if (listed[i] if listed else i >= first) else plain
        layer = attention_layer(
            s, feed, qk_norm="per_head", extra=_m3_index(s, index_heads, index_width) if freq[i] else ()
        )
        if freq[i]:
            cache = Cache("kv", s.kv_heads, s.head_dim, s.head_dim, index_width=2 * index_width)
            layer = LayerKind(f"block-sparse {layer.name.removeprefix('full ')}", layer.tensors, cache)
        layers.append(layer)
    return stack(f, s, layers, experts_per_token=used, extras=draft(f, s, layers))


def _m3_index(s: Stem, heads: int, width: int) -> tuple[Tensor, ...]:
    """Queries and one key a token to score blocks of keys, each with a norm."""
    return (
        *linear("index_q_proj", "attention", heads * width, s.hidden, "replicated"),
        *linear("index_k_proj", "attention", width, s.hidden, "replicated"),
        *norm("index_q_norm", width),
        *norm("index_k_norm", width),
    )
