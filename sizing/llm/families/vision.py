"""Parts of a model for other inputs than text: vision towers whose shape is known, a word of caution for the others.

Towers are kept in 16 bit and split over tensor-parallel ranks as the text stack is. Source: the model code of each family
in transformers 5.23 (2026) and vLLM's encoders (2025); compared on the meta device and with published totals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sizing.llm.architecture import VISION, Architecture, ExtraPart, Shard, Tensor
from sizing.llm.families.fields import Fields

NOT_COUNTED = "its parts for images or sound are not counted"
OTHER_INPUTS = ("vision_config", "audio_config", "visual", "vision_tower_config", "speech_config", "img_processor",
                "audio_processor", "thinker_config")  # fmt: skip
PATCH_CHANNELS = 3


def _matrix(
    name: str, rows: int, columns: int, shard: Shard = "replicated", *, bias: bool = False, count: int = 1
) -> tuple[Tensor, ...]:
    weight = Tensor(name, "other", rows, columns, count, shard)
    side: Shard = "replicated" if shard == "row" else shard
    return (weight, Tensor(f"{name}.bias", "other", rows, 1, count, side)) if bias else (weight,)


def _vectors(name: str, width: int, *, bias: bool = False, count: int = 1) -> tuple[Tensor, ...]:
    """Norms of a width: their weights, and biases for a LayerNorm."""
    return (Tensor(name, "norms", width, 1, count * (2 if bias else 1)),)


def _encoder(
    depth: int,
    width: int,
    ffn: int,
    *,
    attention_bias: bool = True,
    gated: bool = False,
    ffn_bias: bool = True,
    norms: int = 2,
    norm_bias: bool = True,
) -> tuple[Tensor, ...]:
    """So many layers of attention over all heads and a feed-forward."""
    return (
        *_matrix("qkv", 3 * width, width, "column", bias=attention_bias, count=depth),
        *_matrix("proj", width, width, "row", bias=attention_bias, count=depth),
        *_matrix("fc1", ffn * (2 if gated else 1), width, "column", bias=ffn_bias, count=depth),
        *_matrix("fc2", width, ffn, "row", bias=ffn_bias, count=depth),
        *_vectors("layer_norms", width, bias=norm_bias, count=norms * depth),
    )


def _patches(v: Fields, width: int, *, size: int, frames: int = 1, bias: bool = True) -> tuple[Tensor, ...]:
    patch = v.whole("patch_size", default=size, most=1024)
    return _matrix("patch_embed", width, PATCH_CHANNELS * frames * patch * patch, bias=bias)


def _positions(v: Fields, width: int, *, image: int, patch: int, more: int = 0) -> tuple[Tensor, ...]:
    side = v.whole("image_size", default=image) // v.whole("patch_size", default=patch, most=1024)
    return (Tensor("positions", "other", side * side + more, width),)


def siglip(v: Fields, hidden: int) -> tuple[Tensor, ...]:
    """Gemma 3: SigLIP without its pooling head, and a projection."""
    width = v.whole("hidden_size", default=1152)
    depth, ffn = v.whole("num_hidden_layers", default=27), v.whole("intermediate_size", default=4304)
    return (
        *_patches(v, width, size=14),
        *_positions(v, width, image=896, patch=14),
        *_encoder(depth, width, ffn),
        *_vectors("post_layernorm", width, bias=True),
        *_matrix("projector", hidden, width),
        *_vectors("projector.norm", width),
    )


def llama4(v: Fields, hidden: int) -> tuple[Tensor, ...]:
    """Llama 4: an encoder with a class token, an adapter over groups of four patches, and a projection."""
    width, depth = v.whole("hidden_size", default=768), v.whole("num_hidden_layers", default=34)
    ffn, out = v.whole("intermediate_size", default=5632), v.whole("projector_output_dim", default=7680)
    inner = v.whole("projector_input_dim", default=4096)
    shuffled = round(width / 0.5**2)
    v.ignore("pixel_shuffle_ratio")
    return (
        *_patches(v, width, size=14, bias=False),
        *_positions(v, width, image=448, patch=14, more=1),
        *_vectors("class_embedding", width),
        *_encoder(depth, width, ffn),
        *_vectors("outer_norms", width, bias=True, count=2),
        *_matrix("adapter.fc1", inner, v.maybe("adapter_input_dim") or shuffled, "column"),
        *_matrix("adapter.fc2", out, inner, "row"),
        *_matrix("projector", hidden, v.whole("vision_output_dim", default=out)),
    )


def _merger(width: int, merged: int, out: int, *, norm: int, norm_bias: bool, count: int = 1) -> tuple[Tensor, ...]:
    return (
        *_vectors("merger.norm", norm, bias=norm_bias, count=count),
        *_matrix("merger.fc1", merged, merged, "column", bias=True, count=count),
        *_matrix("merger.fc2", out, merged, "row", bias=True, count=count),
    )


def qwen2(v: Fields, hidden: int) -> tuple[Tensor, ...]:
    """Qwen2-VL (LayerNorm, mlp_ratio) and Qwen2.5-VL (RMS norms, gated): patches of two frames, merged two by two."""
    old = v.has("embed_dim") or v.has("mlp_ratio")
    width = v.whole("embed_dim", default=1280) if old else v.whole("hidden_size", default=1280)
    depth, merged = v.whole("depth", default=32), width * v.whole("spatial_merge_size", default=2, most=64) ** 2
    ffn = width * v.whole("mlp_ratio", default=4) if old else v.whole("intermediate_size", default=3420)
    return (
        *_patches(v, width, size=14, frames=v.whole("temporal_patch_size", default=2), bias=False),
        *_encoder(depth, width, ffn, gated=not old, norm_bias=old),
        *_merger(width, merged, hidden, norm=width, norm_bias=old),
    )


def qwen3(v: Fields, hidden: int) -> tuple[Tensor, ...]:
    """Qwen3-VL and Qwen3.5: learned positions, and further mergers where patches are fed to inner layers of the text."""
    width, depth = v.whole("hidden_size", default=1152), v.whole("depth", default=27)
    merged = width * v.whole("spatial_merge_size", default=2, most=64) ** 2
    deep = v.wholes("deepstack_visual_indexes")
    out = v.whole("out_hidden_size", default=hidden)
    return (
        *_patches(v, width, size=16, frames=v.whole("temporal_patch_size", default=2)),
        Tensor("positions", "other", v.whole("num_position_embeddings", default=2304), width),
        *_encoder(depth, width, v.whole("intermediate_size", default=4304)),
        *_merger(width, merged, out, norm=width, norm_bias=True),
        *(_merger(width, merged, out, norm=merged, norm_bias=True, count=len(deep)) if deep else ()),
    )


def pixtral(v: Fields, hidden: int) -> tuple[Tensor, ...]:
    """Mistral Small 3.1 and later: Pixtral without biases, patches merged two by two."""
    width, depth = v.whole("hidden_size", default=1024), v.whole("num_hidden_layers", default=24)
    ffn = v.whole("intermediate_size", default=4096)
    return (
        *_patches(v, width, size=14, bias=False),
        *_encoder(depth, width, ffn, attention_bias=False, gated=True, ffn_bias=False, norm_bias=False),
        *_vectors("outer_norms", width, count=2),
        *_matrix("patch_merger", width, 4 * width),
        *_matrix("projector.1", hidden, width, "column"),
        *_matrix("projector.2", hidden, hidden, "row"),
    )


def moonvit(v: Fields, hidden: int) -> tuple[Tensor, ...]:
    """Kimi K2.5: MoonViT with learned positions, and a projector over groups of patches."""
    width = v.whole("vt_hidden_size", "hidden_size", default=1152)
    depth = v.whole("vt_num_hidden_layers", "num_hidden_layers", default=27)
    ffn = v.whole("vt_intermediate_size", "intermediate_size", default=4304)
    rows, columns = v.whole("init_pos_emb_height", default=64), v.whole("init_pos_emb_width", default=64)
    kernel = v.wholes("merge_kernel_size", 2, least=1, most=64) or [2, 2]
    merged = width * kernel[0] * kernel[1]
    return (
        *_patches(v, width, size=14),
        Tensor("positions", "other", rows * columns, width),
        *_encoder(depth, width, ffn),
        *_vectors("outer_norms", width, bias=True, count=2),
        *_matrix("projector.1", merged, merged, "column", bias=True),
        *_matrix("projector.2", hidden, merged, "row", bias=True),
    )


def gemma4(v: Fields, hidden: int) -> tuple[Tensor, ...]:
    """Gemma 4: four norms a layer and norms over heads, no biases, positions by two tables."""
    width, depth = v.whole("hidden_size", default=768), v.whole("num_hidden_layers", default=16)
    head = v.whole("head_dim", default=64)
    return (
        *_patches(v, width, size=16, bias=False),
        Tensor("positions", "other", 2 * v.whole("position_embedding_size", default=10_240), width),
        *_encoder(
            depth, width, v.whole("intermediate_size", default=3072), attention_bias=False, gated=True, ffn_bias=False,
            norms=4, norm_bias=False,
        ),
        *_vectors("head_norms", head, count=2 * depth),
        *_matrix("projector", hidden, width),
    )  # fmt: skip


TOWERS: dict[str, Callable[[Fields, int], tuple[Tensor, ...]]] = {
    "gemma3": siglip, "llama4": llama4, "qwen2_vl": qwen2, "qwen2_5_vl": qwen2, "qwen3_vl": qwen3, "qwen3_vl_moe": qwen3,
    "qwen3_5": qwen3, "qwen3_5_moe": qwen3, "mistral3": pixtral, "kimi_k25": moonvit, "gemma4": gemma4,
}  # fmt: skip
"""Towers by the model_type of the whole config."""


def with_vision(whole: Fields, shape: Architecture) -> Architecture:
    """The architecture with the tower that the config describes beside its text stack."""
    names = [name for name in OTHER_INPUTS if whole.has(name)]
    tower = TOWERS.get(whole.model_type)
    if tower is not None and "vision_config" in names:
        tensors = tower(whole.inside("vision_config"), shape.hidden)
        shape = replace(shape, extras=(*shape.extras, ExtraPart(VISION, tensors)))
        names.remove("vision_config")
    if names or shape.model_type in ("phi4mm", "phi4_multimodal"):
        shape = replace(shape, caveats=(*shape.caveats, NOT_COUNTED))
    return shape
