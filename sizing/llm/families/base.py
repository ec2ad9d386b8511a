"""What the families share: the registry by model_type, the decoder of attention and feed-forward, sliding windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sizing.llm.architecture import MTP, Architecture, Cache, ExtraPart, LayerKind, Tensor
from sizing.llm.blocks import attention, embedding, experts, feed_forward, head, kv_cache, norm
from sizing.llm.families.fields import Fields

Family = Callable[[Fields], Architecture]
FAMILIES: dict[str, Family] = {}
"""Reader of each model_type."""
"""Names of the extra parts."""
FULL, SLIDING, CHUNKED, LINEAR = "full_attention", "sliding_attention", "chunked_attention", "linear_attention"


def family(*model_types: str) -> Callable[[Family], Family]:
    """Registers a reader for these model types."""

    def register(reader: Family) -> Family:
        for name in model_types:
            FAMILIES[name] = reader
        return reader

    return register


@dataclass(frozen=True, slots=True)
class Stem:
    """The widths that every layer of a decoder shares."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int | None


def stem(
    f: Fields, *, kv_default: int | None = None, head_dim: int | None = None, context: str = "max_position_embeddings"
) -> Stem:
    """Reads the widths; KV heads default to the heads, or to `kv_default`; the head dimension to hidden / heads, or to
    `head_dim`."""
    hidden = f.whole("hidden_size", "n_embd", "d_model")
    layers = f.layers("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    heads = f.whole("num_attention_heads", "n_head", "n_heads", "num_heads")
    kv_heads = f.whole("num_key_value_heads", default=kv_default or heads)
    f.divided("num_attention_heads", heads, kv_heads, "num_key_value_heads")
    width = f.maybe("head_dim") or head_dim or f.divided("hidden_size", hidden, heads, "num_attention_heads")
    return Stem(hidden, layers, heads, kv_heads, width, f.whole("vocab_size"), f.maybe(context, most=1_000_000_000))


Feed = tuple[str, tuple[Tensor, ...]]
"""The second half of a layer: a word for its name, and its tensors."""


def stack(
    f: Fields,
    s: Stem,
    layers: Sequence[LayerKind],
    *,
    tied: bool = False,
    final_norm: tuple[Tensor, ...] | None = None,
    before: Sequence[Tensor] = (),
    after: Sequence[Tensor] = (),
    head_bias: bool = False,
    experts_per_token: int = 0,
    extras: Sequence[ExtraPart] = (),
    caveats: Sequence[str] = (),
) -> Architecture:
    """The architecture of these layers; `tied` is the family's default for tie_word_embeddings."""
    tied = f.flag("tie_word_embeddings", tied)
    kinds = tuple(dict.fromkeys(layers))
    number = {kind: i for i, kind in enumerate(kinds)}
    last = norm("final_norm", s.hidden) if final_norm is None else final_norm
    out = () if tied else head(s.vocab, s.hidden, bias=head_bias)
    return Architecture(
        model_type=f.model_type,
        hidden=s.hidden,
        vocab=s.vocab,
        heads=s.heads,
        kinds=kinds,
        order=tuple(number[layer] for layer in layers),
        before=(embedding(s.vocab, s.hidden), *before),
        after=(*last, *after, *out),
        tied_embeddings=tied,
        context_length=s.context,
        experts_per_token=experts_per_token,
        extras=tuple(extras),
        caveats=tuple(caveats),
    )


def norms(s: Stem, count: int, *, bias: bool = False) -> tuple[Tensor, ...]:
    """The normalisations of a layer over the hidden width."""
    return tuple(t for i in range(count) for t in norm(f"norm_{i + 1}", s.hidden, bias=bias))


def attention_layer(
    s: Stem,
    feed: Feed,
    *,
    window: int | None = None,
    chunked: bool = False,
    norm_count: int = 2,
    norm_bias: bool = False,
    bias: bool = False,
    out_bias: bool = False,
    qk_norm: str | None = None,
    sinks: bool = False,
    gate: bool = False,
    extra: tuple[Tensor, ...] = (),
) -> LayerKind:
    """A layer of grouped-query attention and a feed-forward half."""
    tensors = (
        *attention(
            s.hidden, s.heads, s.kv_heads, s.head_dim,
            bias=bias, out_bias=out_bias, qk_norm=qk_norm, sinks=sinks, gate=gate,
        ),
        *extra,
        *feed[1],
        *norms(s, norm_count, bias=norm_bias),
    )  # fmt: skip
    cache = kv_cache(s.kv_heads, s.head_dim, window=window)
    if chunked and window is not None:
        cache = Cache("chunk", s.kv_heads, s.head_dim, s.head_dim, window)
    kind = "full" if window is None else "chunked" if chunked else "sliding"
    return LayerKind(f"{kind} attention + {feed[0]}", tensors, cache)


def dense(s: Stem, width: int, *, gated: bool = True, bias: bool = False) -> Feed:
    """A dense feed-forward half."""
    return "feed-forward", feed_forward(s.hidden, width, gated=gated, bias=bias)


def decoder(
    f: Fields,
    s: Stem,
    feed: Feed | Sequence[Feed],
    *,
    windows: Sequence[int | None] | None = None,
    norm_count: int = 2,
    norm_bias: bool = False,
    bias: bool = False,
    out_bias: bool = False,
    qk_norm: str | None = None,
    sinks: bool = False,
    extra: tuple[Tensor, ...] = (),
    tied: bool = False,
    final_norm: tuple[Tensor, ...] | None = None,
    before: Sequence[Tensor] = (),
    head_bias: bool = False,
    experts_per_token: int = 0,
    extras: Sequence[ExtraPart] = (),
    caveats: Sequence[str] = (),
) -> Architecture:
    """A decoder whose layers all have grouped-query attention: one feed-forward half for all layers, or one for each."""
    feeds = [feed] * s.layers if isinstance(feed, tuple) else list(feed)
    spans = windows or [None] * s.layers
    layers = [
        attention_layer(
            s, half, window=span, norm_count=norm_count, norm_bias=norm_bias, bias=bias, out_bias=out_bias,
            qk_norm=qk_norm, sinks=sinks, extra=extra,
        )
        for half, span in zip(feeds, spans, strict=True)
    ]  # fmt: skip
    return stack(
        f, s, layers, tied=tied,
        final_norm=norm("final_norm", s.hidden, bias=norm_bias) if final_norm is None else final_norm,
        before=before, head_bias=head_bias, experts_per_token=experts_per_token, extras=extras, caveats=caveats,
    )  # fmt: skip


def routed(
    f: Fields,
    s: Stem,
    width: int,
    *,
    shared_width: int = 0,
    default_experts: int | None = None,
    default_per_token: int | None = None,
    shared_gate: bool = False,
    gated: bool = True,
    bias: bool = False,
    router_bias: bool = False,
    expert_input: int | None = None,
) -> tuple[Feed, int]:
    """A feed-forward half of experts, and the experts of each token; each token uses at most as many as there are."""
    count = f.whole(
        "num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts",
        default=default_experts, most=100_000,
    )  # fmt: skip
    used = f.whole(
        "num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "top_k_experts",
        default=default_per_token, most=count,
    )  # fmt: skip
    tensors = experts(
        s.hidden, width, count, shared_width=shared_width, shared_gate=shared_gate, gated=gated, bias=bias,
        router_bias=router_bias, expert_input=expert_input,
    )  # fmt: skip
    return ("experts", tensors), used


def windows_of(
    f: Fields, layers: int, window: int | None, *, every: int | None = None, usual: Sequence[str] = (FULL, SLIDING)
) -> list[int | None]:
    """Window of each layer [tokens], None for full attention: by layer_types, else one full layer in `every` (the last of
    each group), else the window on all."""
    kinds = f.words("layer_types", layers, usual)
    if kinds is None:
        kinds = [FULL if every and (i + 1) % every == 0 else SLIDING for i in range(layers)]
        if window is None:
            kinds = [FULL] * layers
    if window is None and any(kind != FULL for kind in kinds):
        raise f.refuse("sliding_window", None, "a whole number of tokens, as layers have sliding attention")
    return [None if kind == FULL else window for kind in kinds]


def draft_block(s: Stem, layer: LayerKind, *, count: int = 1, loaded: bool = False) -> ExtraPart:
    """Blocks for multi-token prediction: a layer like the last, the projection of two states to one, and three norms.

    Its embedding and head are the model's own: engines share them even where checkpoints repeat them.
    Source: DeepSeek-V3 report, section 2.2 (2024-12); vLLM's MTP layers (2025).
    """
    tensors = (
        *layer.tensors,
        Tensor("eh_proj", "other", s.hidden, 2 * s.hidden),
        *norm("enorm", s.hidden),
        *norm("hnorm", s.hidden),
        *norm("shared_head.norm", s.hidden),
    )
    return ExtraPart(MTP, tensors * count, loaded=loaded, cache_layers=(layer.cache,) * count)
