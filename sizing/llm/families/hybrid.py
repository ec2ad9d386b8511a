"""Models with state-space layers: Mamba 1 and 2, Jamba, Granite 4, Bamba, Falcon-H1, Nemotron-H."""

from __future__ import annotations

from sizing.llm.architecture import Architecture, Cache, ExtraPart, LayerKind, Tensor
from sizing.llm.blocks import attention, feed_forward, kv_cache, linear
from sizing.llm.families.base import (
    FULL,
    LINEAR,
    Feed,
    Stem,
    attention_layer,
    dense,
    draft_block,
    family,
    norms,
    routed,
    stack,
    stem,
)
from sizing.llm.families.fields import Fields
from sizing.llm.mixers import (
    mamba1,
    mamba1_cache,
    mamba2,
    mamba2_cache,
)

MAMBA, ATTENTION = "mamba", "attention"
NO_FEED: Feed = ("", ())


def _without_attention(f: Fields) -> Stem:
    layers = f.layers("num_hidden_layers", "n_layer")
    return Stem(f.whole("hidden_size", "d_model"), layers, 0, 0, 0, f.whole("vocab_size"), None)


def _rank(f: Fields, name: str, hidden: int) -> int:
    """Rank of Mamba-1's step projection: stated, or hidden / 16 rounded up for "auto"."""
    return -(-hidden // 16) if f.any(name) in (None, "auto") else f.whole(name)


@family("mamba", "falcon_mamba")
def mamba(f: Fields) -> Architecture:
    """Mamba 1; Falcon Mamba adds norms without weights."""
    s = _without_attention(f)
    f.ignore("expand", "conv_kernel")
    inner = f.maybe("intermediate_size", "d_inner") or f.whole("expand", default=2) * s.hidden
    state, kernel = f.whole("state_size", default=16), f.whole("conv_kernel", default=4)
    tensors = mamba1(
        s.hidden, inner, state, kernel, _rank(f, "time_step_rank", s.hidden),
        bias=f.flag("use_bias"), conv_bias=f.flag("use_conv_bias", True),
    )  # fmt: skip
    layer = LayerKind("Mamba", (*tensors, *norms(s, 1)), mamba1_cache(inner, state, kernel))
    return stack(f, s, [layer] * s.layers, tied=True)


@family("mamba2")
def mamba_2(f: Fields) -> Architecture:
    """Mamba 2."""
    s = _without_attention(f)
    heads, head_dim = f.whole("num_heads", default=128), f.whole("head_dim", default=64)
    f.ignore("expand", "intermediate_size", "rms_norm", "norm_before_gate")
    if heads * head_dim != f.whole("expand", default=2) * s.hidden:
        raise f.refuse(
            "num_heads",
            heads,
            f"expand x hidden_size / head_dim, which is {f.whole('expand', default=2) * s.hidden / head_dim:g}",
        )
    groups, state, kernel = (
        f.whole("n_groups", default=8),
        f.whole("state_size", default=128),
        f.whole("conv_kernel", default=4),
    )
    tensors = mamba2(
        s.hidden,
        heads,
        head_dim,
        groups,
        state,
        kernel,
        bias=f.flag("use_bias"),
        conv_bias=f.flag("use_conv_bias", True),
    )
    layer = LayerKind("Mamba-2", (*tensors, *norms(s, 1)), mamba2_cache(heads, head_dim, groups, state, kernel))
    return stack(f, s, [layer] * s.layers)


@family("jamba")
def jamba(f: Fields) -> Architecture:
    """Jamba: one attention layer in eight, Mamba-1 elsewhere, experts on every second layer."""
    s = stem(f, kv_default=8)
    period, offset = f.whole("attn_layer_period", default=8), f.whole("attn_layer_offset", default=4, least=0)
    every, first = f.whole("expert_layer_period", default=2), f.whole("expert_layer_offset", default=1, least=0)
    inner = f.whole("mamba_expand", default=2) * s.hidden
    state, kernel = f.whole("mamba_d_state", default=16), f.whole("mamba_d_conv", default=4)
    mixer = mamba1(
        s.hidden, inner, state, kernel, _rank(f, "mamba_dt_rank", s.hidden),
        bias=f.flag("mamba_proj_bias"), conv_bias=f.flag("mamba_conv_bias", True), norms=True,
    )  # fmt: skip
    f.ignore("mamba_inner_layernorms", "layers_block_type", "layer_types")
    width = f.whole("intermediate_size")
    mixed, used = routed(f, s, width, default_experts=16, default_per_token=2)
    several = f.whole("num_experts", default=16) > 1
    plain = dense(s, width)
    layers = []
    for i in range(s.layers):
        feed = mixed if several and i % every == first % every else plain
        if i % period == offset % period:
            layers.append(attention_layer(s, feed))
        else:
            tensors = (*mixer, *feed[1], *norms(s, 2))
            layers.append(LayerKind(f"Mamba + {feed[0]}", tensors, mamba1_cache(inner, state, kernel)))
    return stack(f, s, layers, experts_per_token=used if several else 0)


def _granite_mamba(
    f: Fields, s: Stem, *, gated_norm: bool = True, inner: int | None = None, out_bias: bool | None = None
) -> tuple[tuple[Tensor, ...], Cache]:
    """Mamba-2 as Granite 4, Bamba and Falcon-H1 name its fields."""
    inner = inner or f.whole("mamba_expand", default=2) * s.hidden
    heads = f.whole("mamba_n_heads", default=128)
    if f.any("mamba_d_head") in (None, "auto"):
        head_dim = f.divided("mamba_n_heads", inner, heads, "the heads of the inner width")
    else:
        head_dim = f.whole("mamba_d_head")
    if heads * head_dim != inner:
        raise f.refuse("mamba_d_head", head_dim, f"a width that makes {heads} heads of {inner} in all")
    groups, state = f.whole("mamba_n_groups", default=1), f.whole("mamba_d_state", default=256)
    kernel = f.whole("mamba_d_conv", default=4)
    tensors = mamba2(
        s.hidden, heads, head_dim, groups, state, kernel,
        bias=f.flag("mamba_proj_bias"), out_bias=out_bias,
        conv_bias=f.flag("mamba_conv_bias", True), gated_norm=gated_norm,
    )  # fmt: skip
    return tensors, mamba2_cache(heads, head_dim, groups, state, kernel)


@family("granitemoehybrid")
def granite_hybrid(f: Fields) -> Architecture:
    """Granite 4: Mamba-2 and attention layers, a shared feed-forward on each, experts beside it where there are any."""
    s = stem(f)
    words = (MAMBA, ATTENTION, LINEAR, FULL)
    kinds = (
        f.words("layer_types", s.layers, words) or f.words("layers_block_type", s.layers, words) or [MAMBA] * s.layers
    )
    f.ignore("layers_block_type")
    bias = f.flag("attention_bias")
    shared = f.whole("shared_intermediate_size", default=1024, least=0)
    if f.whole("num_local_experts", default=8, least=0):
        feed, used = routed(
            f, s, f.whole("intermediate_size"), shared_width=shared, default_experts=8, default_per_token=2
        )
    else:
        f.ignore("num_experts_per_tok", "intermediate_size")
        feed, used = dense(s, shared), 0
    mixer: tuple[tuple[Tensor, ...], Cache] | None = None
    if any(kind in (MAMBA, LINEAR) for kind in kinds):
        mixer = _granite_mamba(f, s)
    f.ignore(*(n for n in f.raw if n.startswith("mamba_")), "position_embedding_type", "normalization_function")
    return stack(f, s, [_either(s, kind, mixer, feed, bias) for kind in kinds], experts_per_token=used)


def _either(s: Stem, kind: str, mixer: tuple[tuple[Tensor, ...], Cache] | None, feed: Feed, bias: bool) -> LayerKind:
    """A layer of attention or of Mamba-2, by its word."""
    if mixer is None or kind in (ATTENTION, FULL):
        return attention_layer(s, feed, bias=bias, out_bias=bias)
    return LayerKind(f"Mamba-2 + {feed[0]}", (*mixer[0], *feed[1], *norms(s, 2)), mixer[1])


@family("bamba")
def bamba(f: Fields) -> Architecture:
    """Bamba: Mamba-2 with attention on the layers listed."""
    s = stem(f, kv_default=8)
    listed = set(f.wholes("attn_layer_indices", most=s.layers - 1) or ())
    bias = f.flag("attention_bias")
    feed = dense(s, f.whole("intermediate_size"), bias=f.flag("mlp_bias"))
    mixer = _granite_mamba(f, s)
    layers = [_either(s, ATTENTION if i in listed else MAMBA, mixer, feed, bias) for i in range(s.layers)]
    return stack(f, s, layers)


@family("falcon_h1")
def falcon_h1(f: Fields) -> Architecture:
    """Falcon-H1: attention and Mamba-2 side by side in every layer."""
    s = stem(f, kv_default=8)
    bias = f.flag("attention_bias")
    inner = f.maybe("mamba_d_ssm") or f.whole("mamba_expand", default=2) * s.hidden
    f.ignore("mamba_expand", "mamba_norm_before_gate", "mamba_use_mlp", "attn_layer_indices")
    tensors, state = _granite_mamba(
        f, s, gated_norm=f.flag("mamba_rms_norm"), inner=inner, out_bias=f.flag("projectors_bias")
    )
    feed = dense(s, f.whole("intermediate_size"), bias=f.flag("mlp_bias"))
    plain = attention_layer(s, feed, bias=bias, out_bias=bias)
    kv = plain.cache
    both = Cache(
        "kv",
        kv.heads,
        kv.key_width,
        kv.value_width,
        conv_elements=state.conv_elements,
        state_elements=state.state_elements,
    )
    layer = LayerKind("attention and Mamba-2 + feed-forward", (*tensors, *plain.tensors), both)
    return stack(f, s, [layer] * s.layers)


LETTERS = {"M": MAMBA, "*": ATTENTION, "-": "mlp", "E": "moe"}
BLOCKS = {LINEAR: MAMBA, FULL: ATTENTION, MAMBA: MAMBA, ATTENTION: ATTENTION, "mlp": "mlp", "moe": "moe"}


@family("nemotron_h")
def nemotron_h(f: Fields) -> Architecture:
    """Nemotron-H and Nemotron 3: each layer is one block of Mamba-2, attention, feed-forward or experts; feed-forwards
    have no gate; experts may work on a narrower latent input."""
    kinds = _nemotron_blocks(f)
    raw = {**f.raw, "num_hidden_layers": len(kinds)}
    inner = Fields(raw, f.path)
    s = stem(inner, kv_default=8, head_dim=f.whole("attention_head_dim", default=128))
    f.read |= inner.read
    f.ignore("expand", "moe_shared_expert_overlap", "mtp_hybrid_override_pattern", "mtp_layers_block_type")
    mlp_bias = f.flag("mlp_bias")
    sizes = (
        f.whole("mamba_num_heads", default=128), f.whole("mamba_head_dim", default=64), f.whole("n_groups", default=8),
        f.whole("ssm_state_size", default=128), f.whole("conv_kernel", default=4),
    )  # fmt: skip
    f.ignore(
        "attention_bias",
        "n_group",
        "sliding_window",
        "time_step_limit",
        "use_bias",
        "mamba_proj_bias",
        "mlp_hidden_act",
    )
    mixed, used = _nemotron_experts(f, s, mlp_bias) if "moe" in kinds else (NO_FEED, 0)
    by_kind = {
        MAMBA: LayerKind(
            "Mamba-2",
            (*mamba2(s.hidden, *sizes, bias=f.flag("use_bias"),
                     conv_bias=f.flag("use_conv_bias", True)), *norms(s, 1)),
            mamba2_cache(*sizes),
        ),
        ATTENTION: LayerKind(
            "full attention",
            (*attention(s.hidden, s.heads, s.kv_heads, s.head_dim), *norms(s, 1)),
            kv_cache(s.kv_heads, s.head_dim),
        ),
        "mlp": LayerKind(
            "feed-forward",
            (*feed_forward(s.hidden, f.whole("intermediate_size", default=21_504), gated=False, bias=mlp_bias), *norms(s, 1)),
            Cache(),
        ),
        "moe": LayerKind("experts", (*mixed[1], *norms(s, 1)), Cache()),
    }  # fmt: skip
    extras: tuple[ExtraPart, ...] = ()
    if count := f.maybe("num_nextn_predict_layers", most=64):
        draft = LayerKind("draft", (*by_kind[ATTENTION].tensors, *by_kind["moe"].tensors), by_kind[ATTENTION].cache)
        extras = (draft_block(s, draft, count=count),)
    return stack(f, s, [by_kind[kind] for kind in kinds], experts_per_token=used, extras=extras)


def _nemotron_blocks(f: Fields) -> list[str]:
    pattern = f.word("hybrid_override_pattern", "")
    if pattern:
        if set(pattern) - set(LETTERS):
            raise f.refuse("hybrid_override_pattern", pattern, "a pattern of the letters M, *, - and E")
        return [LETTERS[letter] for letter in pattern]
    value = f.any("layers_block_type")
    blocks = f.words("layers_block_type", len(value) if isinstance(value, list) else 0, tuple(BLOCKS))
    if not blocks:
        raise f.refuse("hybrid_override_pattern", None, "a pattern of the letters M, *, - and E")
    return [BLOCKS[block] for block in blocks]


def _nemotron_experts(f: Fields, s: Stem, bias: bool) -> tuple[Feed, int]:
    narrow = f.maybe("moe_latent_size")
    width = f.whole("moe_intermediate_size", default=7688)
    shared = f.whole("moe_shared_expert_intermediate_size", default=7688)
    shared *= f.whole("n_shared_experts", default=1, least=0)
    (word, tensors), used = routed(f, s, width, gated=False, expert_input=narrow, default_per_token=2)
    tensors += feed_forward(s.hidden, shared, gated=False, bias=bias, group="shared_experts", prefix="shared_expert.")
    if narrow:
        tensors += (
            *linear("fc1_latent_proj", "shared_experts", narrow, s.hidden, "replicated", bias=bias),
            *linear("fc2_latent_proj", "shared_experts", s.hidden, narrow, "replicated", bias=bias),
        )
    return (word, tensors), used
