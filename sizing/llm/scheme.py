"""A scheme of storage: which of a model's tensors are kept in which format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sizing.llm.architecture import Group, Tensor
from sizing.llm.storage import BF16, FP32, Storage


@dataclass(frozen=True)
class Scheme:
    """How a checkpoint stores each tensor: linear matrices as `linear`, those of named groups or tensors otherwise, the
    rest (embeddings, norms, routers, biases, the head) as `rest`, and modules that match `ignored` as `rest` too.

    `gguf` schemes quantise the embedding and the head as well, and keep vectors in fp32.
    """

    words: str
    linear: Storage
    rest: Storage = BF16
    groups: tuple[tuple[Group, Storage], ...] = ()
    names: tuple[tuple[str, Storage], ...] = ()
    ignored: tuple[str, ...] = ()
    gguf: bool = False

    def of(self, tensor: Tensor, layer: int | None = None) -> Storage:
        """Storage of a tensor, in one layer or in a layer no rule names."""
        for name, storage in self.names:
            if tensor.name.endswith(name) and tensor.columns > 1:
                return storage
        if not tensor.linear:
            return FP32 if self.gguf and tensor.columns == 1 else self.rest
        if self.ignored and any(map(self.ignores, module_paths(tensor, layer))):
            return self.rest
        for group, storage in self.groups:
            if tensor.group == group:
                return storage
        return self.linear

    def ignores(self, path: str) -> bool:
        """Whether the checkpoint leaves a module as it was: its name is listed, holds a listed name, or matches re:."""
        names, written = _rules(self.ignored)
        return names.search(path) is not None or any(rule.match(path) for rule in written)

    @property
    def by_layer(self) -> bool:
        """Whether a rule names single layers, so that layers of one kind may differ."""
        return any(re.search(r"\d", entry) for entry in self.ignored)

    def bytes_of(self, group: Group) -> float:
        """Bytes of an element of a large linear matrix of a group."""
        return self.of(Tensor("weight", group, 4096, 4096, 1, "column", linear=True)).bytes_per_parameter()


@lru_cache(maxsize=64)
def _rules(ignored: tuple[str, ...]) -> tuple[re.Pattern[str], tuple[re.Pattern[str], ...]]:
    """One pattern that finds any of the names, whose parts stand one after another in a dotted path and where * stands for
    anything; and each re: entry, to be matched from the path's start."""
    names = [re.escape(entry.strip(".")).replace(r"\*", ".*") for entry in ignored if not entry.startswith("re:")]
    found = re.compile(rf"(^|\.)({'|'.join(names)})(\.|$)" if names else r"(?!)")
    return found, tuple(re.compile(entry[3:]) for entry in ignored if entry.startswith("re:"))


_HOUSES: dict[Group, tuple[str, ...]] = {
    "attention": ("self_attn", "attn", "self_attention"),
    "mixer": ("linear_attn", "mixer", "mamba", "self_attn"),
    "dense_ffn": ("mlp", "feed_forward"),
    "experts": ("mlp", "feed_forward", "block_sparse_moe", "mixer"),
    "shared_experts": ("mlp.shared_experts", "mlp.shared_expert", "feed_forward.shared_expert", "mixer.shared_experts"),
}


def module_paths(tensor: Tensor, layer: int | None) -> tuple[str, ...]:
    """Names that checkpoints of Hugging Face give a tensor's module, for the rules of a quantisation config."""
    stem = f"model.layers.{'N' if layer is None else layer}"
    name = tensor.name.removeprefix("shared_expert.")
    return tuple(f"{stem}.{house}.{name}" for house in _HOUSES.get(tensor.group, ())) or (tensor.name,)
