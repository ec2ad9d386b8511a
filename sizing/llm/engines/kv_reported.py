"""Tokens of KV cache as vLLM reports them at start-up, which for models with several kinds of cache is not bytes / bytes a token.

Layers are sorted into groups of one kind and one size, a short group filled up; all groups share one pool of pages.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from math import ceil

from sizing.catalog_rows import LlmModel
from sizing.llm.architecture import Cache
from sizing.llm.engines.generations import version_of
from sizing.llm.kv import BLOCK_TOKENS, CONV_BYTES, KV_BITS, STATE_BYTES, filled_groups
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import Split, stage_layers
from sizing.scenario_llm import KvFormat

BY_CONCURRENCY_SINCE = (0, 21, 0)
"""vLLM from here on reports concurrency x longest context; before, pages / groups x block. Source: vLLM issue 40691 (old
rule in 0.19, 2026-04) and logs of 0.26 (new rule); the change lies between."""


def _per_token(cache: Cache, tensor_parallel: int, bits: float) -> float:
    """Bytes that a token adds in one layer while it stays in the window."""
    if cache.kind == "latent":
        return cache.key_width * bits / 8 + cache.index_width + cache.index_scale_bytes
    return ceil(cache.heads / tensor_parallel) * (cache.key_width + cache.value_width) * bits / 8


def _state(cache: Cache, tensor_parallel: int) -> float:
    """Bytes of a layer's state, whatever the length of the sequence."""
    conv, state = ceil(cache.conv_elements / tensor_parallel), ceil(cache.state_elements / tensor_parallel)
    return conv * CONV_BYTES + state * STATE_BYTES


@lru_cache(maxsize=1024)
def reported_bytes_per_token(
    model: LlmModel,
    split: Split,
    kv_format: KvFormat,
    *,
    engine_version: str | None,
    context_tokens: int,
    batched_tokens: int,
    stage: int = 0,
) -> float | None:
    """Bytes of KV cache for each token that vLLM reports, or None where the kinds of cache have no such figure.

    One kind: bytes a token. Several, before 0.21: layers filled up to whole groups x largest layer; since: bytes of a
    request of the longest context / that context, where a window holds window + step tokens at most.

    Source: vLLM kv_cache_utils, get_max_concurrency_for_kv_cache_config (2025 to 2026).

    >>> from sizing.catalog import load
    >>> model = load().llm_model("qwen3-next-80b-a3b-instruct")
    >>> asked = {"context_tokens": 262144, "batched_tokens": 8192}
    >>> reported_bytes_per_token(model, Split(2), "bf16", engine_version="0.10.2", **asked)
    49152.0
    """
    shape = architecture_of(model)
    layers = stage_layers(shape.layers, split.pipeline)[stage]
    kinds = Counter(c for c in (shape.kinds[shape.order[i]].cache for i in layers) if c.kind != "none")
    if not kinds or any(c.kind == "compressed" for c in kinds):
        return None
    bits, tp = KV_BITS[kv_format], split.tensor
    widths = [_per_token(c, tp, bits) for c in kinds if c.kind != "state"]
    if not widths:
        return None
    if len(kinds) == 1:
        return widths[0] * kinds.total()
    filled = filled_groups(kinds)
    if version_of(engine_version) < BY_CONCURRENCY_SINCE:
        return sum(filled.values()) * max(widths)
    request = 0.0
    for cache, count in filled.items():
        if cache.kind == "state":
            request += count * _state(cache, tp)
        else:
            held = context_tokens
            if cache.kind in ("window", "chunk"):
                held = min(context_tokens, cache.window - 1 + batched_tokens + BLOCK_TOKENS)
            request += count * _per_token(cache, tp, bits) * held
    return request / context_tokens
