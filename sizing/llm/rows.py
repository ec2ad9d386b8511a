"""The architecture of a catalog row: from its config where it has one, from its flat fields where they say all."""

from __future__ import annotations

from functools import lru_cache

from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.llm.architecture import Architecture, Cache, LayerKind, Tensor
from sizing.llm.blocks import (
    attention,
    embedding,
    experts,
    feed_forward,
    head,
    kv_cache,
    latent_attention,
    latent_cache,
    norm,
)
from sizing.llm.config import parse_config

FORMULA_MARK = "formula=="
"""How `count_check` of a row begins when the count from its flat fields was compared with an independent one."""


@lru_cache(maxsize=512)
def architecture_of(model: LlmModel) -> Architecture:
    """Architecture of a catalog row or of a model read from a config.json.

    Raises InputError for a row whose shape is not known.

    >>> from sizing.catalog import load
    >>> architecture_of(load().llm_model("llama-2-7b-hf")).parameters
    6738415616
    """
    if model.config_json is not None:
        return parse_config(model.config_json).architecture
    if not model.count_check.startswith(FORMULA_MARK):
        raise InputError("model", model.id, "a model whose shape is known; the catalog has only a part of this one")
    return from_fields(model)


def from_fields(model: LlmModel) -> Architecture:
    """Architecture from the flat fields of a row: dense, grouped-query, latent or sliding attention, experts.

    Source: the published model code of each family; compared with transformers 5.23.0 on the meta device, 96 rows.
    """
    layers = [_layer(model, i) for i in range(model.layers)]
    kinds = tuple(dict.fromkeys(layers))
    number = {kind: i for i, kind in enumerate(kinds)}
    before = [embedding(model.vocab, model.hidden)]
    if model.learned_positions:
        before.append(Tensor("embed_positions", "embedding", model.learned_positions, model.hidden))
    if model.model_type == "bloom":
        before += norm("embed_norm", model.hidden, bias=True)
    out = () if model.tied_embeddings else head(model.vocab, model.hidden, bias=model.lm_head_bias)
    return Architecture(
        model_type=model.model_type,
        hidden=model.hidden,
        vocab=model.vocab,
        heads=model.heads or 0,
        kinds=kinds,
        order=tuple(number[layer] for layer in layers),
        before=tuple(before),
        after=(*_norm(model, "final_norm"), *out),
        tied_embeddings=model.tied_embeddings,
        context_length=model.context_length,
        experts_per_token=model.experts_per_token or 0,
    )


def _norm(model: LlmModel, name: str) -> tuple[Tensor, ...]:
    return norm(name, model.hidden, bias=model.norm == "ln+bias")


def _layer(model: LlmModel, index: int) -> LayerKind:
    parts, cache, words = _attention(model, index)
    if _has_experts(model, index):
        words += " + experts"
        parts += experts(
            model.hidden,
            model.moe_ffn or 0,
            model.experts or 0,
            shared_width=model.shared_ffn or 0,
            bias=model.router_bias,
            router_bias=model.router_bias,
        )
    else:
        words += " + feed-forward"
        parts += feed_forward(model.hidden, model.ffn or 0, gated=bool(model.ffn_gated), bias=model.mlp_bias)
    for i in range(model.norms_per_layer or 0):
        parts += _norm(model, f"norm_{i + 1}")
    return LayerKind(words, parts, cache)


def _has_experts(model: LlmModel, index: int) -> bool:
    """Dense layers come first, but in Llama 4, where they alternate with layers of experts."""
    if not model.moe_layers:
        return False
    if model.model_type == "llama4":
        step = model.layers // model.moe_layers
        return index % step == step - 1
    return index >= model.dense_layers


def _attention(model: LlmModel, index: int) -> tuple[tuple[Tensor, ...], Cache, str]:
    hidden, heads = model.hidden, model.heads or 0
    if model.kv_lora_rank is not None:
        rope = model.qk_rope_head_dim or 0
        parts = latent_attention(
            hidden,
            heads,
            latent=model.kv_lora_rank,
            rope=rope,
            nope=model.qk_nope_head_dim or 0,
            value_dim=model.v_head_dim or 0,
            query_latent=model.q_lora_rank,
        )
        return parts, latent_cache(model.kv_lora_rank, rope), "latent attention"
    head_dim, kv_heads = model.head_dim or 0, model.kv_heads or 0
    parts = attention(
        hidden,
        heads,
        kv_heads,
        head_dim,
        bias=model.qkv_bias,
        out_bias=model.o_bias,
        qk_norm=model.qk_norm,
        sinks=model.attn_sinks,
    )
    every = "S" if model.n_sliding_layers == model.layers else "F"
    letter = model.layer_pattern[index] if model.layer_pattern else every
    if letter == "F":
        return parts, kv_cache(kv_heads, head_dim), "full attention"
    window = model.sliding_window or 0
    if letter == "C":
        return parts, Cache("chunk", kv_heads, head_dim, head_dim, window), "chunked attention"
    return parts, kv_cache(kv_heads, head_dim, window=window), "sliding attention"
