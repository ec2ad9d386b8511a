"""The shape of a language model: its tensors with their sizes, and what each layer keeps of a sequence.

Everything about memory follows from it: parameters, bytes in any format, shares of one rank, KV cache. It is built from a
catalog row (`sizing.llm.rows`) or from a Hugging Face `config.json` (`sizing.llm.config`), never from the weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Group = Literal[
    "embedding", "attention", "mixer", "dense_ffn", "experts", "shared_experts", "router", "norms", "head", "other"
]
GROUPS: tuple[Group, ...] = (
    "embedding", "attention", "mixer", "dense_ffn", "experts", "shared_experts", "router", "norms", "head", "other",
)  # fmt: skip
Shard = Literal["column", "row", "kv", "vocab", "expert", "replicated"]
"""How tensor parallel splits a tensor: by outputs, by inputs, by KV heads (copied once they are fewer than ranks), by
padded vocabulary rows, by experts (whole experts under expert parallel, their inner width under tensor parallel), not."""
CacheKind = Literal["kv", "window", "chunk", "latent", "state", "compressed", "none"]


MTP = "multi_token_prediction"
"""Name of the extra part that predicts further tokens; loaded only when it drafts."""
VISION = "vision_tower"
"""Name of the extra part that reads images; 16 bit in every format."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One weight of a layer: `rows` outputs x `columns` inputs (columns 1 for a vector), `count` copies of it.

    `linear` marks the matrices that a quantisation scheme may store in fewer bits; embeddings, norms, routers, biases and
    convolutions are not linear. `units` are the KV heads of a tensor split by "kv" (0 otherwise).
    """

    name: str
    group: Group
    rows: int
    columns: int = 1
    count: int = 1
    shard: Shard = "replicated"
    linear: bool = False
    units: int = 0

    @property
    def parameters(self) -> int:
        """Parameters of all copies [count]: rows x columns x count."""
        return self.rows * self.columns * self.count


@dataclass(frozen=True, slots=True)
class Cache:
    """What one layer keeps of each sequence.

    kv, window, chunk: `heads` x (`key_width` + `value_width`) elements a token; window and chunk keep `window` tokens at
    most. latent: `key_width` elements a token (latent + rope), whole on every tensor-parallel rank. state: `conv_elements`
    + `state_elements` a sequence, whatever its length, split over the ranks. compressed: the window as `window`, and
    beyond it `key_width` elements for each `stride` tokens. `index_width` adds elements of one byte a token and
    `index_scale_bytes` for sparse-attention keys (whole on every rank). `picked_tokens`: most that a step reads of what is
    kept; 0 means all.
    """

    kind: CacheKind = "none"
    heads: int = 0
    key_width: int = 0
    value_width: int = 0
    window: int = 0
    stride: int = 1
    conv_elements: int = 0
    state_elements: int = 0
    index_width: int = 0
    index_scale_bytes: int = 0
    picked_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LayerKind:
    """Layers that are alike: a name such as "full attention + experts", their tensors, and what they cache."""

    name: str
    tensors: tuple[Tensor, ...]
    cache: Cache

    @property
    def parameters(self) -> int:
        """Parameters of one such layer [count]."""
        return sum(t.parameters for t in self.tensors)


@dataclass(frozen=True, slots=True)
class ExtraPart:
    """A named part beside the text stack, such as a vision tower or a block for multi-token prediction.

    `loaded`: engines load it when they serve the model as usual.
    """

    name: str
    tensors: tuple[Tensor, ...]
    loaded: bool = True
    cache_layers: tuple[Cache, ...] = ()  # KV layers it adds once used (a draft block)

    @property
    def parameters(self) -> int:
        """Parameters of the part [count]."""
        return sum(t.parameters for t in self.tensors)


@dataclass(frozen=True)
class Architecture:
    """A model's text stack in layer order, with what stands before, after and beside it.

    `kinds[order[i]]` is layer i. `before` is the embedding (and learned positions), `after` the final norm and the head;
    a tied head has no tensor of its own.
    """

    model_type: str
    hidden: int
    vocab: int
    heads: int  # attention heads that tensor parallel has to divide; 0 without attention
    kinds: tuple[LayerKind, ...]
    order: tuple[int, ...]
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    tied_embeddings: bool
    context_length: int | None = None
    experts_per_token: int = 0
    extras: tuple[ExtraPart, ...] = ()
    caveats: tuple[str, ...] = ()

    @property
    def layers(self) -> int:
        """Layers of the text stack [count]."""
        return len(self.order)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Layers of each kind [count]."""
        found = Counter(self.order)
        return tuple(found[i] for i in range(len(self.kinds)))

    @cached_property
    def parameters(self) -> int:
        """Parameters of the text stack [count], without extras."""
        outer = sum(t.parameters for t in (*self.before, *self.after))
        return outer + sum(k.parameters * n for k, n in zip(self.kinds, self.counts, strict=True))

    @cached_property
    def kv_heads(self) -> int:
        """Most KV heads of a layer that shares them out over ranks [count]; 0 if none does."""
        return max((k.cache.heads for k in self.kinds), default=0)

    @cached_property
    def experts(self) -> int:
        """Routed experts of a layer [count]; 0 without experts."""
        return max((t.count for k in self.kinds for t in k.tensors if t.group == "experts"), default=0)

    def tensors(self) -> Iterator[tuple[Tensor, int]]:
        """Each tensor of the text stack with the number of layers that have it."""
        for tensor in (*self.before, *self.after):
            yield tensor, 1
        for kind, count in zip(self.kinds, self.counts, strict=True):
            for tensor in kind.tensors:
                yield tensor, count

    def by_group(self) -> dict[Group, int]:
        """Parameters by group [count]; they sum to `parameters`."""
        found: dict[Group, int] = dict.fromkeys(GROUPS, 0)
        for tensor, count in self.tensors():
            found[tensor.group] += tensor.parameters * count
        return found
