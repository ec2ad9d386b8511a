"""Live bytes over one forward pass by operator, from catalogs/deep_learning_live.yaml, which is read when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from sizing.deep_learning.graph import Graph
from sizing.scenario_deep_learning import Attention

FILE = Path(__file__).resolve().parents[2] / "catalogs" / "deep_learning_live.yaml"
PER_MILLE = 1000.0


@dataclass(frozen=True)
class LivePass:
    """Live bytes of one sample in fp32 over the operators of a pass; `peak_point` is the point where most is alive.

    `traced_size` is the input size of the pass: other sizes scale it to their own peak.
    """

    name: str
    operators: int
    after_operators: tuple[int, ...]
    live_bytes: tuple[int, ...]
    peak_point: int
    peak_operator: str
    peak_module: str
    traced_size: int


@lru_cache(maxsize=1)
def _profiles() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.load(
        FILE.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return found


def live_pass(graph: Graph, attention: Attention, *, name: str | None = None) -> LivePass | None:
    """Live bytes over the pass of one network [bytes of one sample in fp32]: per mille of the profile x peak of the graph.

    Taken from the traced size nearest to the graph's; None where there is no profile of the network.

    Source: own traces (benchmarks/trace_networks.py).

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> found = live_pass(graph(load(), "torchvision-resnet50"), "fused")
    >>> found.peak_module, max(found.live_bytes)
    ('layer1.0.downsample.1', 10436608)
    """
    if graph.live_bytes_fp32:
        return _own(graph, name)
    keys = []
    for key in _profiles():
        model, size, *kind = key.split("@")
        if model == graph.model.id and kind in ([], [attention]):
            keys.append((abs(int(size) - graph.size), int(size), key))
    if not keys:
        return None
    _, traced_size, key = min(keys)
    row = _profiles()[key]
    shares = [int(text) for text in row["live"].split()]
    count, operators = len(shares), int(row["operators"])
    return LivePass(
        name=name or graph.model.name,
        operators=operators,
        after_operators=tuple(round((i + 1) * operators / count) for i in range(count)),
        live_bytes=tuple(round(share / PER_MILLE * graph.peak_live_bytes_fp32) for share in shares),
        peak_point=shares.index(max(shares)),
        peak_operator=row["peak_at"].removeprefix("aten::"),
        peak_module=row["peak_in"],
        traced_size=traced_size,
    )


def _own(graph: Graph, name: str | None) -> LivePass:
    """The pass of a network of one's own, from its summary."""
    live = graph.live_bytes_fp32
    where, _, operator = (graph.peak_at or "").rpartition(" (")
    return LivePass(
        name=name or graph.model.name,
        operators=graph.operators,
        after_operators=tuple(round((i + 1) * graph.operators / len(live)) for i in range(len(live))),
        live_bytes=live,
        peak_point=live.index(max(live)),
        peak_operator=operator.rstrip(")"),
        peak_module=where,
        traced_size=graph.size,
    )


def live_passes(facts: Graph, attention: Attention) -> tuple[LivePass, ...]:
    """The passes of a model, or of each stage of a pipeline [bytes of one sample in fp32]; those without a profile left out."""
    if not facts.stages:
        found = live_pass(facts, attention)
        return (found,) if found else ()
    passes = (live_pass(stage.graph, attention, name=stage.name) for stage in facts.stages)
    return tuple(one for one in passes if one)
