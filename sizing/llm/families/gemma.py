"""Gemma 1 to 4: tied embeddings, wide heads, sliding windows by pattern, KV shared between layers in the small ones."""

from __future__ import annotations

from dataclasses import replace

from sizing.llm.architecture import Architecture, Cache, LayerKind, Tensor
from sizing.llm.blocks import attention, experts, feed_forward, kv_cache, linear, norm, vector
from sizing.llm.families.base import (
    FULL,
    SLIDING,
    Stem,
    attention_layer,
    decoder,
    dense,
    family,
    norms,
    stack,
    stem,
    windows_of,
)
from sizing.llm.families.fields import Fields


@family("gemma")
def gemma(f: Fields) -> Architecture:
    """Gemma 1."""
    s = stem(f, head_dim=256)
    bias = f.flag("attention_bias")
    return decoder(f, s, dense(s, f.whole("intermediate_size")), bias=bias, out_bias=bias, tied=True)


@family("gemma2", "gemma3_text", "gemma3")
def gemma2(f: Fields) -> Architecture:
    """Gemma 2 (every second layer full) and 3 (every sixth, norms over heads): four norms a layer.

    A text part of Gemma 3 may leave out what equals the class defaults of transformers; they are taken then.
    """
    third = f.model_type != "gemma2"
    if third:
        defaults = {
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262_208,
            "max_position_embeddings": 131_072,
        }  # fmt: skip
        inner = Fields({**defaults, **{k: v for k, v in f.raw.items() if v is not None}}, f.path)
    else:
        inner = f
    s = stem(inner, head_dim=256)
    f.read |= inner.read
    every = f.whole("sliding_window_pattern", "_sliding_window_pattern", default=6 if third else 2)
    windows = windows_of(f, s.layers, f.maybe("sliding_window") or 4096, every=every)
    bias = f.flag("attention_bias")
    return decoder(
        f, s, dense(s, f.whole("intermediate_size")), windows=windows, norm_count=4, bias=bias, out_bias=bias,
        qk_norm="per_head" if third else None, tied=True,
    )  # fmt: skip


def _without_keys(layer: LayerKind, *, values_too: bool = True) -> LayerKind:
    """A layer that reads the keys and values of an earlier one: it has neither their projections nor a cache."""
    gone = ("k_proj", "v_proj", "k_proj.bias", "v_proj.bias", "k_norm")
    kept = tuple(t for t in layer.tensors if t.name not in gone)
    return LayerKind(f"{layer.name}, KV of an earlier layer", kept, Cache())


def _per_layer_input(s: Stem, width: int) -> tuple[Tensor, ...]:
    """The gate, projection and norm by which a layer takes its own embedding in."""
    return (
        *linear("per_layer_input_gate", "other", width, s.hidden, "replicated"),
        *linear("per_layer_projection", "other", s.hidden, width, "replicated"),
        *norm("post_per_layer_input_norm", s.hidden),
    )


def _per_layer_embedding(s: Stem, vocab: int, width: int) -> tuple[Tensor, ...]:
    """Embeddings of their own for each layer: vocabulary x layers x width, and the projection of the usual one."""
    return (
        Tensor("embed_tokens_per_layer", "embedding", vocab, s.layers * width, 1, "vocab"),
        *linear("per_layer_model_projection", "other", s.layers * width, s.hidden, "column"),
        *norm("per_layer_projection_norm", width),
    )


@family("gemma3n_text", "gemma3n")
def gemma3n(f: Fields) -> Architecture:
    """Gemma 3n: embeddings for each layer, alternating updates of four streams, KV shared by the last layers."""
    s = stem(f, kv_default=2, head_dim=256)
    every = 5
    windows = windows_of(f, s.layers, f.maybe("sliding_window") or 512, every=every)
    streams = f.whole("altup_num_inputs", default=4)
    rank = f.whole("laurel_rank", default=64)
    per_layer = f.whole("hidden_size_per_layer_input", default=256)
    shared = f.whole("num_kv_shared_layers", default=15, least=0)
    widths = f.wholes("intermediate_size", s.layers) if isinstance(f.any("intermediate_size"), list) else None
    f.ignore("activation_sparsity_pattern", "altup_active_idx", "altup_coef_clip", "altup_correct_scale")
    extra = (
        vector("altup.correct_output_scale", "other", s.hidden),
        Tensor("altup.correction_coefs", "other", streams, streams),
        Tensor("altup.prediction_coefs", "other", streams * streams, streams),
        Tensor("altup.modality_router", "other", streams, s.hidden),
        *norm("altup.router_norm", s.hidden),
        *linear("laurel.linear_left", "other", rank, s.hidden, "replicated"),
        *linear("laurel.linear_right", "other", s.hidden, rank, "replicated"),
        *norm("laurel.post_laurel_norm", s.hidden),
        *_per_layer_input(s, per_layer),
    )
    layers = []
    for i in range(s.layers):
        width = widths[i] if widths else f.whole("intermediate_size")
        layer = attention_layer(s, dense(s, width), window=windows[i], norm_count=4, qk_norm="per_head", extra=extra)
        layers.append(_without_keys(layer) if shared and i >= s.layers - shared else layer)
    outer = (
        *_per_layer_embedding(s, f.whole("vocab_size_per_layer_input", default=262_144), per_layer),
        *(Tensor(f"altup_projections.{i}", "other", s.hidden, s.hidden) for i in range(streams - 1)),
        *(Tensor(f"altup_unembed_projections.{i}", "other", s.hidden, s.hidden) for i in range(streams - 1)),
    )
    return stack(f, s, layers, tied=True, before=outer)


@family("gemma4_text", "gemma4")
def gemma4(f: Fields) -> Architecture:
    """Gemma 4: full layers have their own head dimension and KV heads, and may use their keys as values; experts stand
    beside the dense half. Both keys and values are cached even where one projection makes them: vLLM's attention layer
    stores both (2026)."""
    s = stem(f, kv_default=4, head_dim=256)
    kinds = f.words("layer_types", s.layers, (FULL, SLIDING)) or [
        FULL if (i + 1) % 6 == 0 or i == s.layers - 1 else SLIDING for i in range(s.layers)
    ]
    window = f.maybe("sliding_window") or 512
    same = f.flag("attention_k_eq_v")
    wide = f.whole("global_head_dim", default=512)
    stated = f.maybe("num_global_key_value_heads")
    few = (stated if same else None) or s.kv_heads
    bias = f.flag("attention_bias")
    shared = f.whole("num_kv_shared_layers", default=0, least=0)
    doubled = f.flag("use_double_wide_mlp")
    per_layer = f.whole("hidden_size_per_layer_input", default=256, least=0)
    width = f.whole("intermediate_size")
    mixture, used = _gemma4_experts(f, s)
    f.ignore("vocab_size_per_layer_input")
    layers = []
    for i, kind in enumerate(kinds):
        full, reads = kind == FULL, bool(shared) and i >= s.layers - shared
        at = replace(s, head_dim=wide, kv_heads=few) if full else s
        tensors = (
            *attention(
                s.hidden, s.heads, at.kv_heads, at.head_dim, bias=bias, out_bias=bias, qk_norm="per_head",
                key_is_value=same and full,
            ),
            *feed_forward(s.hidden, width * (2 if doubled and reads else 1)),
            *mixture,
            *norms(s, 4),
            *(_per_layer_input(s, per_layer) if per_layer else ()),
        )  # fmt: skip
        cache = kv_cache(at.kv_heads, at.head_dim, window=None if full else window)
        words = f"{'full' if full else 'sliding'} attention + {'experts' if mixture else 'feed-forward'}"
        layer = LayerKind(words, tensors, cache)
        layers.append(_without_keys(layer) if reads else layer)
    before: tuple[Tensor, ...] = ()
    if per_layer:
        before = _per_layer_embedding(s, f.whole("vocab_size_per_layer_input", default=262_144), per_layer)
    return stack(f, s, layers, tied=True, before=before, experts_per_token=used)


def _gemma4_experts(f: Fields, s: Stem) -> tuple[tuple[Tensor, ...], int]:
    """Experts beside the dense half, with the three norms and the scales they bring."""
    if not f.flag("enable_moe_block"):
        return (), 0
    count, used = f.whole("num_experts", most=100_000), f.whole("top_k_experts")
    tensors = (
        *experts(s.hidden, f.whole("moe_intermediate_size"), count),
        vector("router.scale", "router", s.hidden),
        vector("router.per_expert_scale", "router", count),
        *(t for name in ("post_1", "post_2", "pre_2") for t in norm(f"experts.{name}_norm", s.hidden)),
    )
    return tensors, used
