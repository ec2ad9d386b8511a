"""KV cache and state of a sequence on one accelerator, by layer kind and as engines allocate them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import TypeVar

from sizing.catalog_rows import LlmModel
from sizing.llm.architecture import Architecture, Cache
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import Split, stage_layers
from sizing.scenario_llm import KvFormat

Key = TypeVar("Key")
KV_BITS: dict[str, float] = {"bf16": 16, "fp16": 16, "fp8": 8, "int8": 8.25, "fp4": 4.5}
"""Bits an element of the KV cache, scales included: int8 with an fp32 scale a token and head of 128, fp4 with an fp8
scale for each 16. Source: number formats; vLLM and TensorRT-LLM KV quantisation (2025)."""
BLOCK_TOKENS = 16
"""Tokens of a KV block; a sequence fills whole blocks. Source: vLLM default block size on GPUs (2025)."""
SAME_SIZE = 1.5
"""Groups get the size of the largest kind while it is under this times the smallest. Source: vLLM KV cache manager (2026);
1.25 in 2025."""
CONV_BYTES = 2
STATE_BYTES = 4
"""Bytes an element of the recurrent state (fp32) and of the convolution window before it (16 bit). Source: vLLM's Mamba
cache: `mamba_ssm_dtype` float32 in the configs of Qwen3-Next and Nemotron-H (2025); a 16-bit state would be half."""


@dataclass(frozen=True, slots=True)
class KvLayout:
    """What one accelerator of one pipeline stage keeps of a sequence, its layers together.

    `full_elements_per_token` (with latent ones), `window` = (window tokens, elements a token) for each sliding or chunked
    kind, `compressed` = (tokens a stored entry stands for, elements an entry), `index_bytes_per_token` for sparse
    attention, convolution and state elements a sequence.
    """

    full_elements_per_token: int = 0
    windows: tuple[tuple[int, int], ...] = ()
    compressed: tuple[tuple[int, int], ...] = ()
    index_bytes_per_token: int = 0
    conv_elements: int = 0
    state_elements: int = 0
    block_tokens: int = BLOCK_TOKENS

    @property
    def sliding_elements_per_token(self) -> int:
        """Elements a token of all windows, while within them [count]."""
        return sum(elements for _, elements in self.windows)

    @property
    def state_bytes(self) -> int:
        """State of one sequence whatever its length [bytes]: convolution x 2 + recurrent state x 4."""
        return self.conv_elements * CONV_BYTES + self.state_elements * STATE_BYTES

    def bytes_per_sequence(self, *, context_tokens: int, kv_format: KvFormat) -> int:
        """KV cache and state of one sequence [bytes]: whole blocks of the context, of the window for sliding layers.

        Bytes = (full x blocks(context) + sum of window x blocks(min(context, window)) + compressed x entries) x bits / 8
        + index keys x blocks(context) + state.
        """
        block = self.block_tokens
        context = -(-context_tokens // block) * block
        elements: float = self.full_elements_per_token * context
        for window, width in self.windows:
            elements += width * min(context, -(-window // block) * block)
        for stride, width in self.compressed:
            elements += width * ceil(context / stride)
        kept = elements * KV_BITS[kv_format] / 8
        return ceil(kept) + self.index_bytes_per_token * context + self.state_bytes

    def bytes_per_token(self, kv_format: KvFormat) -> float:
        """KV cache of one more token [bytes] while every window has room."""
        elements: float = self.full_elements_per_token
        for _, width in self.windows:
            elements += width
        for stride, width in self.compressed:
            elements += width / stride
        return elements * KV_BITS[kv_format] / 8 + self.index_bytes_per_token


def _width(cache: Cache, tensor: int) -> int:
    """Elements a token that a layer keeps on one rank [count]."""
    if cache.kind in ("latent", "compressed"):
        return cache.key_width
    return ceil(cache.heads / tensor) * (cache.key_width + cache.value_width)


def filled_groups(counts: Mapping[Key, int]) -> dict[Key, int]:
    """Layers of each kind [count] once vLLM has filled its groups up: ceil(layers / size) x size.

    Size = fewest layers of a kind; the most, if less than `SAME_SIZE` times the fewest.

    Source: vLLM v1 KV cache manager, grouping of hybrid models (2026).

    >>> filled_groups({"sliding": 52, "full": 10})
    {'sliding': 60, 'full': 10}
    """
    fewest, most = min(counts.values()), max(counts.values())
    size = most if most < SAME_SIZE * fewest else fewest
    return {key: ceil(count / size) * size for key, count in counts.items()}


def _grouped(caches: Sequence[Cache], layout: KvLayout, split: Split, whole: Sequence[Cache]) -> KvLayout:
    """The layout as vLLM allocates it: layers of unlike kinds in groups of equal size, padded; one block size for all.

    Sizes are those of `filled_groups`. Blocks grow until one holds the state of a linear layer.

    Source: vLLM v1 KV cache manager, grouping of hybrid models (2026).
    """
    counts = Counter((c.kind, c.window) for c in whole if c.kind != "none")
    if len(counts) < 2 or not {kind for kind, _ in counts} <= {"kv", "window", "chunk", "state"}:
        return layout
    growth = {key: padded / counts[key] for key, padded in filled_groups(counts).items()}
    width = max((_width(c, split.tensor) for c in whole), default=0)
    states = [c for c in caches if c.kind == "state"]
    block, state, conv = layout.block_tokens, layout.state_elements, layout.conv_elements
    if states and width:
        held = max(c.conv_elements * CONV_BYTES + c.state_elements * STATE_BYTES for c in states) / split.tensor
        block = max(block, ceil(held / (width * 2 * BLOCK_TOKENS)) * BLOCK_TOKENS)
    full = round(layout.full_elements_per_token * growth.get(("kv", 0), 1.0))
    windows = tuple(
        (window, round(elements * max(growth.get((kind, window), 1.0) for kind in ("window", "chunk"))))
        for window, elements in layout.windows
    )
    if states:
        more = growth["state", 0]
        state, conv = ceil(state * more), ceil(conv * more)
    return replace(
        layout,
        full_elements_per_token=full,
        windows=windows,
        state_elements=state,
        conv_elements=conv,
        block_tokens=block,
    )


def _layout(caches: Sequence[Cache], split: Split) -> KvLayout:
    full = index = conv = state = 0
    windows: dict[int, int] = {}
    compressed: dict[int, int] = {}
    tp = split.tensor
    for cache in caches:
        width = _width(cache, tp)
        if cache.kind == "kv":
            full += width
        elif cache.kind in ("window", "chunk"):
            windows[cache.window] = windows.get(cache.window, 0) + width
        elif cache.kind == "latent":
            full += width
        elif cache.kind == "compressed":
            # one shared key-value head: its window and its compressed entries are whole on every rank
            if cache.window:
                windows[cache.window] = windows.get(cache.window, 0) + cache.key_width
            if cache.stride:
                compressed[cache.stride] = compressed.get(cache.stride, 0) + cache.key_width
        if cache.kind != "compressed" or cache.stride:
            index += ceil((cache.index_width + cache.index_scale_bytes) / max(cache.stride, 1))
        ranks = 1 if cache.kind == "compressed" else tp  # its groups not yet compressed are whole on every rank
        conv += ceil(cache.conv_elements / ranks)
        state += ceil(cache.state_elements / ranks)
    return KvLayout(full, tuple(sorted(windows.items())), tuple(sorted(compressed.items())), index, conv, state)


@lru_cache(maxsize=4096)
def kv_by_stage(model: LlmModel, split: Split, *, grouped: bool = False) -> tuple[KvLayout, ...]:
    """KV layout on one accelerator of each pipeline stage; `grouped` as vLLM pads and groups unlike layers.

    GQA: layers x ceil(KV heads / tp) x (key + value width), copied once tp exceeds the heads; MLA: latent + rope whole on
    every rank; state split by tp.

    Source: DeepSeek-V2 report, section 2.1 (MLA cache); vLLM KV-head replication (2025).
    """
    shape = architecture_of(model)
    whole, found = _caches(shape), []
    for layers in stage_layers(shape.layers, split.pipeline):
        caches = [whole[i] for i in layers]
        layout = _layout(caches, split)
        found.append(_grouped(caches, layout, split, whole) if grouped else layout)
    return tuple(found)


def kv_layout(model: LlmModel, *, tensor_parallel: int, pipeline_parallel: int) -> KvLayout:
    """KV layout on one accelerator of the stage that keeps most of a sequence."""
    stages = kv_by_stage(model, Split(tensor_parallel, pipeline_parallel))
    return max(stages, key=lambda at: at.bytes_per_sequence(context_tokens=4096, kv_format="bf16"))


def kv_bytes_per_token(model: LlmModel, kv_format: KvFormat) -> int:
    """KV cache of one token over all layers, one copy [bytes], sliding layers included as within their window.

    >>> from sizing.catalog import load
    >>> kv_bytes_per_token(load().llm_model("llama-2-70b-hf"), "fp16")
    327680
    """
    return round(_layout(_caches(architecture_of(model)), Split()).bytes_per_token(kv_format))


def _caches(shape: Architecture) -> list[Cache]:
    return [shape.kinds[i].cache for i in shape.order]


def cache_is_copied(model: LlmModel, tensor_parallel: int) -> bool:
    """Whether ranks hold copies of the same KV cache: latent attention, or fewer KV heads than ranks."""
    caches = _caches(architecture_of(model))
    return tensor_parallel > 1 and any(
        c.kind in ("latent", "compressed") or 0 < c.heads < tensor_parallel for c in caches
    )
