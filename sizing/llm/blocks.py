"""Blocks that language models are made of, as tensors: attention, latent attention, feed-forward, experts, norms."""

from __future__ import annotations

from dataclasses import replace

from sizing.llm.architecture import Cache, Group, Shard, Tensor


def linear(
    name: str,
    group: Group,
    rows: int,
    columns: int,
    shard: Shard,
    *,
    bias: bool = False,
    count: int = 1,
    units: int = 0,
) -> tuple[Tensor, ...]:
    """A matrix of rows outputs x columns inputs, and its bias of `rows` (replicated where the matrix is split by
    inputs)."""
    weight = Tensor(name, group, rows, columns, count, shard, linear=True, units=units)
    if not bias:
        return (weight,)
    side: Shard = "replicated" if shard == "row" else shard
    return weight, Tensor(f"{name}.bias", group, rows, 1, count, side, units=units)


def vector(name: str, group: Group, width: int, *, shard: Shard = "replicated", count: int = 1) -> Tensor:
    """A vector of so many elements."""
    return Tensor(name, group, width, 1, count, shard)


def norm(name: str, width: int, *, bias: bool = False) -> tuple[Tensor, ...]:
    """A normalisation over `width`: its weight, and its bias for a LayerNorm."""
    weight = vector(name, "norms", width)
    return (weight, vector(f"{name}.bias", "norms", width)) if bias else (weight,)


def embedding(vocab: int, hidden: int) -> Tensor:
    """The input embedding: vocabulary x hidden, split by vocabulary rows."""
    return Tensor("embed_tokens", "embedding", vocab, hidden, 1, "vocab")


def head(vocab: int, hidden: int, *, bias: bool = False) -> tuple[Tensor, ...]:
    """An output head of its own: vocabulary x hidden, split by vocabulary rows; engines keep it in 16 bit."""
    weight = Tensor("lm_head", "head", vocab, hidden, 1, "vocab")
    return (weight, Tensor("lm_head.bias", "head", vocab, 1, 1, "vocab")) if bias else (weight,)


def attention(
    hidden: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    *,
    value_dim: int | None = None,
    bias: bool = False,
    out_bias: bool = False,
    qk_norm: str | None = None,
    sinks: bool = False,
    gate: bool = False,
    key_is_value: bool = False,
) -> tuple[Tensor, ...]:
    """Multi-head attention with grouped KV heads: hidden x (query + key + value) and back.

    qk_norm: "per_head" (two vectors of head_dim) or "full" (over all query and all key elements); gate: the query
    projection is twice as wide and its second half gates the output; key_is_value: one projection serves both.
    """
    value = head_dim if value_dim is None else value_dim
    parts = [
        *linear("q_proj", "attention", heads * head_dim * (2 if gate else 1), hidden, "column", bias=bias),
        *linear("k_proj", "attention", kv_heads * head_dim, hidden, "kv", bias=bias, units=kv_heads),
    ]
    if not key_is_value:
        parts += linear("v_proj", "attention", kv_heads * value, hidden, "kv", bias=bias, units=kv_heads)
    parts += linear("o_proj", "attention", hidden, heads * value, "row", bias=out_bias)
    if qk_norm == "per_head":
        parts += [vector("q_norm", "norms", head_dim), vector("k_norm", "norms", head_dim)]
    elif qk_norm == "full":
        parts += [vector("q_norm", "norms", heads * head_dim), vector("k_norm", "norms", kv_heads * head_dim)]
    if sinks:
        parts.append(vector("sinks", "attention", heads, shard="column"))
    return tuple(parts)


def latent_attention(
    hidden: int,
    heads: int,
    *,
    latent: int,
    rope: int,
    nope: int,
    value_dim: int,
    query_latent: int | None = None,
) -> tuple[Tensor, ...]:
    """Multi-head latent attention: down-projections whole on every rank, up-projections split by heads.

    Source: DeepSeek-V2 report, section 2.1 (2024-05); vLLM layer classes (2025).
    """
    parts = [
        *linear("kv_a_proj_with_mqa", "attention", latent + rope, hidden, "replicated"),
        *norm("kv_a_norm", latent),
    ]
    if query_latent is None:
        parts += linear("q_proj", "attention", heads * (nope + rope), hidden, "column")
    else:
        parts += [*linear("q_a_proj", "attention", query_latent, hidden, "replicated"), *norm("q_a_norm", query_latent)]
        parts += linear("q_b_proj", "attention", heads * (nope + rope), query_latent, "column")
    parts += linear("kv_b_proj", "attention", heads * (nope + value_dim), latent, "column")
    parts += linear("o_proj", "attention", hidden, heads * value_dim, "row")
    return tuple(parts)


def feed_forward(
    hidden: int, width: int, *, gated: bool = True, bias: bool = False, group: Group = "dense_ffn", prefix: str = ""
) -> tuple[Tensor, ...]:
    """A feed-forward block: up (twice when gated) and down."""
    if width == 0:
        return ()
    up = linear(f"{prefix}up_proj", group, width, hidden, "column", bias=bias)
    gate = linear(f"{prefix}gate_proj", group, width, hidden, "column", bias=bias) if gated else ()
    return (*gate, *up, *linear(f"{prefix}down_proj", group, hidden, width, "row", bias=bias))


def experts(
    hidden: int,
    width: int,
    count: int,
    *,
    shared_width: int = 0,
    gated: bool = True,
    bias: bool = False,
    router_bias: bool = False,
    correction_bias: bool = False,
    shared_gate: bool = False,
    expert_input: int | None = None,
) -> tuple[Tensor, ...]:
    """A mixture of experts: router, `count` routed experts of `width`, and a shared expert of `shared_width`.

    `expert_input` is the width that routed experts see where it is not hidden (a latent mixture).
    """
    seen = hidden if expert_input is None else expert_input
    routed = [
        replace(t, shard="expert", name=f"experts.{t.name}", count=count)
        for t in feed_forward(seen, width, gated=gated, bias=bias, group="experts")
    ]
    router = [Tensor("router", "router", count, hidden)]
    if router_bias:
        router.append(vector("router.bias", "router", count))
    if correction_bias:
        router.append(vector("router.correction_bias", "router", count))
    shared = feed_forward(hidden, shared_width, gated=gated, group="shared_experts", prefix="shared_expert.")
    extra = (Tensor("shared_expert_gate", "router", 1, hidden),) if shared_gate and shared_width else ()
    return (*router, *routed, *shared, *extra)


def kv_cache(kv_heads: int, head_dim: int, *, value_dim: int | None = None, window: int | None = None) -> Cache:
    """Cache of a layer with key and value heads: all tokens, or the last `window` of them."""
    value = head_dim if value_dim is None else value_dim
    return Cache("kv" if window is None else "window", kv_heads, head_dim, value, window or 0)


def latent_cache(latent: int, rope: int) -> Cache:
    """Cache of a layer of latent attention: latent + rope elements a token, whole on every rank."""
    return Cache("latent", 0, latent + rope)
