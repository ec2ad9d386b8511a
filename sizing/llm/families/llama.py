"""Decoders in the manner of Llama: RMS norms, a gated feed-forward, grouped-query attention; what each family varies."""

from __future__ import annotations

from sizing.llm.architecture import Architecture, Cache, LayerKind, Tensor
from sizing.llm.blocks import norm, vector
from sizing.llm.families.base import (
    FULL,
    SLIDING,
    attention_layer,
    decoder,
    dense,
    draft_block,
    family,
    stack,
    stem,
    windows_of,
)
from sizing.llm.families.fields import Fields


@family("llama", "aquila")
def llama(f: Fields) -> Architecture:
    """Llama 1 to 3 and what is built alike."""
    s = stem(f)
    bias = f.flag("attention_bias")
    return decoder(
        f, s, dense(s, f.whole("intermediate_size"), bias=f.flag("mlp_bias")), bias=bias, out_bias=bias
    )  # fmt: skip


@family("internlm3")
def internlm3(f: Fields) -> Architecture:
    """InternLM 3: Llama whose biases are stated apart for query, key and value and for the rest."""
    s = stem(f)
    bias = f.flag("bias")
    return decoder(
        f, s, dense(s, f.whole("intermediate_size"), bias=bias), bias=f.flag("qkv_bias"), out_bias=bias
    )  # fmt: skip


@family("mimo")
def mimo(f: Fields) -> Architecture:
    """MiMo 7B: Qwen2 with blocks for multi-token prediction."""
    s = stem(f)
    feed, bias = dense(s, f.whole("intermediate_size")), f.flag("attention_bias", True)
    count = f.maybe("num_nextn_predict_layers", most=64)
    extras = (draft_block(s, attention_layer(s, feed, bias=bias), count=count),) if count else ()
    return decoder(f, s, feed, bias=bias, windows=qwen_windows(f, s.layers), extras=extras)


@family("mistral", "ministral", "ministral3")
def mistral(f: Fields) -> Architecture:
    """Mistral: a sliding window on all layers where the config states one, or by layer_types."""
    s = stem(f, kv_default=8, head_dim=128 if f.model_type == "ministral3" else None)
    windows = windows_of(f, s.layers, f.maybe("sliding_window"))
    return decoder(f, s, dense(s, f.whole("intermediate_size")), windows=windows)


def qwen_windows(f: Fields, layers: int) -> list[int | None]:
    """Qwen's sliding window: only with use_sliding_window, and on the layers from max_window_layers on."""
    window = f.maybe("sliding_window") if f.flag("use_sliding_window") else None
    first = f.whole("max_window_layers", default=28, least=0)
    kinds = f.words("layer_types", layers, (FULL, SLIDING))
    if kinds is not None and f.has("sliding_window"):
        window = f.maybe("sliding_window")
        return [window if kind == SLIDING else None for kind in kinds]
    return [window if window and i >= first else None for i in range(layers)]


@family("qwen2", "qwen2_5_omni_text", "qwen2_vl_text", "qwen2_5_vl_text", "qwen2_vl", "qwen2_5_vl")
def qwen2(f: Fields) -> Architecture:
    """Qwen 2 and 2.5, with their text stacks of vision models: biases on query, key and value."""
    s = stem(f)
    return decoder(f, s, dense(s, f.whole("intermediate_size")), bias=True, windows=qwen_windows(f, s.layers))


@family("qwen3", "qwen3_vl_text", "qwen3_vl")
def qwen3(f: Fields) -> Architecture:
    """Qwen 3: no biases unless stated, norms over the heads of query and key."""
    s = stem(f, head_dim=128)
    bias = f.flag("attention_bias")
    return decoder(
        f, s, dense(s, f.whole("intermediate_size")), bias=bias, out_bias=bias, qk_norm="per_head",
        windows=qwen_windows(f, s.layers),
    )  # fmt: skip


@family("phi3", "phi4mm", "phi4_multimodal")
def phi3(f: Fields) -> Architecture:
    """Phi 3 and 4: fused projections of the same sizes; of Phi 4 multimodal the text stack."""
    s = stem(f)
    f.ignore("original_max_position_embeddings", "sliding_window")
    return decoder(
        f, s, dense(s, f.whole("intermediate_size")), windows=windows_of(f, s.layers, f.maybe("sliding_window"))
    )


@family("mllama_text_model", "mllama")
def mllama(f: Fields) -> Architecture:
    """Text stack of Llama 3.2 Vision: some layers attend to the image instead of the text, and cache nothing of it."""
    s = stem(f, kv_default=8)
    crossed = set(f.wholes("cross_attention_layers", most=s.layers - 1) or ())
    feed = dense(s, f.whole("intermediate_size"))
    gates = (vector("cross_attn_attn_gate", "other", 1), vector("cross_attn_mlp_gate", "other", 1))
    text = attention_layer(s, feed)
    cross = attention_layer(s, feed, qk_norm="per_head", extra=gates)
    image = LayerKind("attention to the image + feed-forward", cross.tensors, Cache())
    more = Tensor("embed_tokens.image_tokens", "embedding", 8, s.hidden)
    caveat = "keys and values of its images are not in the KV cache counted here"
    layers = [image if i in crossed else text for i in range(s.layers)]
    return stack(f, s, layers, before=(more,), caveats=(caveat,))


@family("granite", "seed_oss", "arcee", "apertus", "hunyuan_v1_dense")
def plain(f: Fields) -> Architecture:
    """Granite, Seed-OSS, Arcee (no gate), Apertus (no gate, norms over heads, two numbers in its activation), Hunyuan
    dense (norms over heads)."""
    kind = f.model_type
    s = stem(f, head_dim=128 if kind == "seed_oss" else None)
    bias = f.flag("attention_bias", kind == "seed_oss")
    out_bias = f.flag("attention_out_bias") if kind == "seed_oss" else bias
    feed = dense(s, f.whole("intermediate_size"), gated=kind not in ("arcee", "apertus"), bias=f.flag("mlp_bias"))
    if kind == "apertus":
        feed = (feed[0], (*feed[1], *norm("activation.alpha_p", 1), *norm("activation.alpha_n", 1)))
    qk_norm = "per_head" if kind == "apertus" or (kind == "hunyuan_v1_dense" and f.flag("use_qk_norm", True)) else None
    return decoder(f, s, feed, bias=bias, out_bias=out_bias, qk_norm=qk_norm)


@family("smollm3")
def smollm3(f: Fields) -> Architecture:
    """SmolLM3: tied embeddings; rotary positions on three layers of four change no size."""
    s = stem(f, kv_default=4)
    for name in ("no_rope_layers", "no_rope_layer_interval"):
        f.ignore(name)
    bias = f.flag("attention_bias")
    return decoder(
        f, s, dense(s, f.whole("intermediate_size"), bias=f.flag("mlp_bias")), bias=bias, out_bias=bias, tied=True,
        windows=qwen_windows(f, s.layers),
    )  # fmt: skip


@family("ernie4_5")
def ernie(f: Fields) -> Architecture:
    """ERNIE 4.5 dense: tied embeddings, biases where stated."""
    s = stem(f, head_dim=128)
    bias = f.flag("use_bias")
    return decoder(f, s, dense(s, f.whole("intermediate_size"), bias=bias), bias=bias, out_bias=bias, tied=True)


@family("olmo", "olmo2", "olmo3")
def olmo(f: Fields) -> Architecture:
    """OLMo 1 (norms without weights), 2 (norms after the blocks, over all of query and key), 3 (sliding window on three
    layers of four)."""
    s = stem(f)
    bias = f.flag("attention_bias")
    first = f.model_type == "olmo"
    windows = None
    if f.model_type == "olmo3":
        windows = windows_of(f, s.layers, f.maybe("sliding_window") or 4096, every=4)
    return decoder(
        f, s, dense(s, f.whole("intermediate_size")), bias=bias, out_bias=bias, windows=windows,
        norm_count=0 if first else 2, final_norm=() if first else None, qk_norm=None if first else "full",
    )  # fmt: skip


@family("cohere", "cohere2")
def cohere(f: Fields) -> Architecture:
    """Command R: one norm a layer before both halves; Cohere 2 has a sliding window on three layers of four."""
    s = stem(f)
    bias = f.flag("attention_bias")
    windows: list[int | None] | None = None
    extra: tuple[Tensor, ...] = ()
    if f.model_type == "cohere2":
        every = f.whole("sliding_window_pattern", default=4)
        windows = windows_of(f, s.layers, f.maybe("sliding_window") or 4096, every=every)
    elif f.flag("use_qk_norm"):
        width = (s.heads + s.kv_heads) * s.head_dim
        extra = norm("qk_norm", width)
    return decoder(
        f, s, dense(s, f.whole("intermediate_size")), bias=bias, out_bias=bias, windows=windows, extra=extra,
        norm_count=1, tied=True,
    )  # fmt: skip


@family("exaone4")
def exaone4(f: Fields) -> Architecture:
    """EXAONE 4: norms after the blocks and over the heads; sliding windows by pattern, none in the small models."""
    s = stem(f)
    pattern = f.any("sliding_window_pattern")
    window = f.maybe("sliding_window")
    every = len(pattern) if isinstance(pattern, str) and pattern else f.whole("sliding_window_pattern", default=4)
    windows = windows_of(f, s.layers, window, every=every) if window else None
    return decoder(f, s, dense(s, f.whole("intermediate_size")), qk_norm="per_head", windows=windows)


@family("exaone")
def exaone(f: Fields) -> Architecture:
    """EXAONE 3: Llama under other names."""
    s = stem(f)
    return decoder(f, s, dense(s, f.whole("intermediate_size")))


@family("internlm2", "baichuan")
def fused(f: Fields) -> Architecture:
    """InternLM 2 and Baichuan 2: Llama with query, key and value in one matrix."""
    s = stem(f)
    bias = f.flag("bias") if f.model_type == "internlm2" else False
    return decoder(f, s, dense(s, f.whole("intermediate_size")), bias=bias, out_bias=bias)


@family("stablelm")
def stablelm(f: Fields) -> Architecture:
    """StableLM: LayerNorm with bias; norms of each head where qk_layernorm; one norm a layer when in parallel."""
    s = stem(f)
    parallel = f.flag("use_parallel_residual")
    extra: tuple[Tensor, ...] = ()
    if f.flag("qk_layernorm"):
        extra = norm("qk_norm", (s.heads + s.kv_heads) * s.head_dim)
    return decoder(
        f, s, dense(s, f.whole("intermediate_size")), bias=f.flag("use_qkv_bias"), norm_bias=True,
        norm_count=1 if parallel else 2, extra=extra,
    )  # fmt: skip


@family("glm", "glm4", "glm4v_text")
def glm(f: Fields) -> Architecture:
    """GLM 4 (9B, 32B) of transformers: biases on query, key and value; GLM-4-0414 adds two norms a layer."""
    s = stem(f, kv_default=2, head_dim=128 if f.model_type != "glm4v_text" else None)
    four = f.model_type != "glm"
    bias = True if f.model_type == "glm4v_text" else f.flag("attention_bias", True)
    return decoder(f, s, dense(s, f.whole("intermediate_size")), bias=bias, norm_count=4 if four else 2)


@family("chatglm")
def chatglm(f: Fields) -> Architecture:
    """ChatGLM 2, 3 and GLM-4-9B with their own code: other names for Llama's parts."""
    raw = {
        **f.raw,
        "num_hidden_layers": f.whole("num_layers"),
        "intermediate_size": f.whole("ffn_hidden_size"),
        "vocab_size": f.whole("padded_vocab_size", "vocab_size"),
        "num_key_value_heads": f.whole("multi_query_group_num", default=1) if f.flag("multi_query_attention") else None,
        "head_dim": f.maybe("kv_channels"),
        "max_position_embeddings": f.maybe("seq_length"),
    }
    inner = Fields(raw, f.path)
    s = stem(inner)
    f.read |= inner.read
    bias = f.flag("add_bias_linear")
    return decoder(
        inner, s, dense(s, inner.whole("intermediate_size"), bias=bias), bias=f.flag("add_qkv_bias") or bias,
        out_bias=bias,
    )  # fmt: skip
