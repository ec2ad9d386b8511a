"""Facts of networks by running them without data: multiply-adds, sum and peak of live activations, live bytes by operator.

One forward pass of one sample in fp32 under torch's FakeTensorMode: shapes are propagated, nothing is computed, no weights are
downloaded (networks are built from their configurations). Each storage that an operator makes counts from the operator that
makes it until nothing refers to it any more; what lives is read after every operator, while its inputs still live. Operators
that change a tensor in place or return a view make no storage. Parameters, buffers and inputs do not count. Workspaces of
kernels, an allocator's rounding and what a compiler fuses are not in these figures: they belong to the runtime profile.

Multiply-adds come from torch's own counter, with attention as plain products (its fused form counts nothing on a CPU).

    python benchmarks/trace_networks.py > traces.jsonl    # all networks of network_list.py, one JSON line a pass
    python benchmarks/trace_networks.py resnet50          # only those whose id contains a word
    python -m benchmarks.trace_catalog traces.jsonl       # new rows for the catalog and catalogs/deep_learning_live.yaml

Needs torch 2.14.1, torchvision 0.29.1, timm 1.0.31, transformers 5.23.0 and diffusers, none of which the product uses; it is
not run by the tests. The check: `resnet50` gives 91,332,512 bytes in sum and 10,436,608 at the peak (DESIGN, section 4).
"""

from __future__ import annotations

import gc
import itertools
import json
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

POINTS = 48
"""Points of a live-bytes profile [1]: each the most that is alive in its share of the operators."""


@dataclass(eq=False)
class Tracing(TorchDispatchMode):  # type: ignore[misc]
    """Watches the storages that operators make and lose."""

    known: set[int]
    where: list[str]
    live_bytes: int = 0
    sum_bytes: int = 0
    peak_bytes: int = 0
    peak_at: str = ""
    peak_module: str = ""
    operators: int = 0
    live: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.operators += 1
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._watch(tensor.untyped_storage())
        self.live.append(self.live_bytes)
        if self.live_bytes > self.peak_bytes:
            self.peak_bytes = self.live_bytes
            self.peak_at = func._schema.name
            self.peak_module = self.where[-1] if self.where else ""
        return out

    def _watch(self, storage: Any) -> None:
        key = storage._cdata
        if key in self.known:
            return
        size = storage.nbytes()
        self.known.add(key)
        self.live_bytes += size
        self.sum_bytes += size
        weakref.finalize(storage, self._lose, key, size)

    def _lose(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.live_bytes -= size


@dataclass(frozen=True)
class Traced:
    """What one pass shows, in the units of the catalog's traces."""

    params: int
    buffers_bytes: int
    macs: int
    operators: int
    sum_bytes: int
    peak_bytes: int
    peak_at: str
    peak_module: str
    input_bytes: int
    live: tuple[int, ...]

    def profile(self) -> list[int]:
        """Most alive in each share of the operators, in per mille of the peak."""
        count = min(POINTS, len(self.live))
        edges = [round(i * len(self.live) / count) for i in range(count + 1)]
        return [round(1000 * max(self.live[a:b]) / self.peak_bytes) for a, b in itertools.pairwise(edges)]


@contextmanager
def _named(module: torch.nn.Module, where: list[str]) -> Iterator[None]:
    """Keeps the name of the innermost module that runs at the end of a list."""
    hooks = []
    for name, child in module.named_modules():
        hooks.append(child.register_forward_pre_hook(lambda *_, name=name: where.append(name)))
        hooks.append(child.register_forward_hook(lambda *_: where.pop() and None, always_call=True))
    yield
    for hook in hooks:
        hook.remove()


def _built(build: Callable[[], torch.nn.Module], mode: FakeTensorMode) -> torch.nn.Module:
    """The network without data; one that reads numbers while it is built is built with data first."""
    try:
        with mode:
            return build()
    except DataDependentOutputException:
        module = build()
    for part in module.modules():
        for table in (part._parameters, part._buffers):
            for name, tensor in table.items():
                if tensor is not None:
                    fake = mode.from_tensor(tensor.detach())
                    table[name] = torch.nn.Parameter(fake, False) if table is part._parameters else fake
    return module


def trace(
    build: Callable[[], torch.nn.Module], inputs: Callable[[], Any], *, math: bool, prepare: Any = None
) -> Traced:
    """One pass of a network over its inputs; `prepare` runs first and unwatched (a cache to fill)."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    module = _built(build, mode).eval()
    with mode, torch.no_grad():
        arguments = inputs()
        if prepare is not None:
            arguments = prepare(module, arguments)
        keywords = arguments if isinstance(arguments, dict) else {}
        positional = () if isinstance(arguments, dict) else arguments
        tensors = [t for t in tree_leaves(arguments) if isinstance(t, torch.Tensor)]
        tensors += getattr(module, "cached_tensors", [])
        known = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers(), *tensors)}
        where: list[str] = []
        with sdpa_kernel([SDPBackend.MATH]), FlopCounterMode(display=False) as flops:
            out = module(*positional, **keywords)
        del out
        gc.collect()
        if prepare is not None:
            arguments = prepare(module, inputs())
            keywords = arguments if isinstance(arguments, dict) else {}
            known |= {t.untyped_storage()._cdata for t in getattr(module, "cached_tensors", [])}
            known |= {t.untyped_storage()._cdata for t in tree_leaves(arguments) if isinstance(t, torch.Tensor)}
        gc.disable()
        watch = Tracing(known, where)
        kernels = [SDPBackend.MATH] if math else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
        with _named(module, where), sdpa_kernel(kernels), watch:
            module(*positional, **keywords)
        gc.enable()
        return Traced(
            params=sum(p.numel() for p in module.parameters()),
            buffers_bytes=sum(b.numel() * b.element_size() for b in module.buffers()),
            macs=round(flops.get_total_flops() / 2),
            operators=watch.operators,
            sum_bytes=watch.sum_bytes,
            peak_bytes=watch.peak_bytes,
            peak_at=watch.peak_at,
            peak_module=watch.peak_module,
            input_bytes=sum(t.numel() * t.element_size() for t in tree_leaves(inputs()) if isinstance(t, torch.Tensor)),
            live=tuple(watch.live),
        )


def main(words: list[str]) -> None:
    """Trace the networks whose id contains one of the words (none: all) and print catalog traces and profiles as YAML."""
    from network_list import NETWORKS

    for network in NETWORKS:
        if words and not any(word in network.id for word in words):
            continue
        for size in network.sizes:
            for math in (False, True) if network.attention else (False,):
                try:
                    found = trace(
                        lambda network=network, size=size: network.build(size),
                        lambda network=network, size=size: network.inputs(size),
                        math=math,
                        prepare=network.prepare,
                    )
                except Exception as error:  # one network that cannot run without data must not cost the others
                    print(f"{network.id} at {size}: {type(error).__name__} {str(error)[:200]}", file=sys.stderr)
                    break
                attention = ("math" if math else "fused") if network.attention else None
                record = {"id": network.id, "size": size, "attention": attention, **found.__dict__}
                record["live"] = found.profile()
                print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
