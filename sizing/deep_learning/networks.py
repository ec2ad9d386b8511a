"""Operators of known networks for the speed model: read from a file of traces, scaled to another input size, or borrowed.

`catalogs/deep_learning_operators.csv` holds one line a network at one input size, written by `benchmarks/trace_operators.py`.
A network that is not in it borrows the operators of the nearest that is, scaled to its own multiply-adds, activations and
parameters.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sizing.deep_learning.operators import OperatorKind, Totals
from sizing.deep_learning.speed import AT, CLASSES, PRODUCTS, Network

FILE = Path(__file__).resolve().parents[2] / "catalogs" / "deep_learning_operators.csv"
ATTENTION = tuple(AT[name] for name in CLASSES if name.startswith("attention"))
SOFTMAX = AT["softmax"]
PATCHES = (4, 7, 8, 12, 14, 16, 28, 32)
"""Sides of a patch or of the steps to one token [pixels]: keys that count as many tokens see the whole image."""
ONE_POSITION = 1.5
"""Multiply-adds for each weight up to which a product is taken to run on one position, whatever the image [1]."""
SHORTEST_PREFIX = 4
COLUMNS = 7
"""Figures of a group after its class; width and depth are left out where a class has none."""
SIZE_ERROR, BORROWED_ERROR = 0.06, 0.45
"""Further error of a network scaled to another size, and of a borrowed one [log, 80 %]. Source: held-out traces, 2026-11-25."""
USUAL_DEPTH = 256.0
KIND_CLASS: dict[OperatorKind, str] = {
    "convolution": "convolution", "pointwise": "pointwise", "grouped": "grouped", "depthwise": "depthwise",
    "matmul": "matmul", "attention": "attention_product", "normalisation": "batch_norm", "elementwise": "elementwise",
    "pooling": "pooling", "movement": "movement", "other": "elementwise",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One traced network: name, side or length, whether its branches are merged, parameters, products' outputs, operators."""

    name: str
    size: int
    merged: bool
    tokens: bool
    parameters: float
    outputs: float
    transfer_bytes: float
    family: str
    operators: str


@dataclass(frozen=True)
class Found:
    """Operators of a network, where they come from, and the further error of that [log, 80 %]."""

    network: Network
    family: str
    name: str
    source: str
    error: float
    transfer_bytes: float = 0.0


@lru_cache(maxsize=1)
def lines() -> dict[str, tuple[Line, ...]]:
    """Traced networks by name, as stored."""
    found: dict[str, tuple[Line, ...]] = {}
    with FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            line = Line(
                row["name"], int(row["size"]), row["merged"] == "1", row["unit"] == "tokens", float(row["parameters"]),
                float(row["outputs"]), float(row["transfer_bytes"]), row["family"], row["operators"],
            )  # fmt: skip
            found[line.name] = (*found.get(line.name, ()), line)
    return found


@lru_cache(maxsize=4096)
def parsed(operators: str) -> Network:
    """Operators from the text of a line: groups apart by `;`, of class, launches, macs, moved, wide, weights, width, depth."""
    cells = [group.split(" ") for group in operators.split(";")]
    columns = np.ones((len(cells), COLUMNS))
    columns[:, : COLUMNS - 2] = 0.0
    for row, one in enumerate(cells):
        columns[row, : len(one) - 1] = [float(cell or 0) for cell in one[1:]]
    kind = np.array([int(row[0]) for row in cells], dtype=np.intp)
    return Network(kind, *columns.T)


def _global_keys(network: Network, size: int) -> NDArray[np.bool_]:
    tokens = np.array([(size / side) ** 2 for side in PATCHES])
    extra = network.depth[:, None] - tokens[None, :]
    return np.asarray(((extra >= -1.0) & (extra <= 6.0)).any(axis=1))


def resized(network: Network, old: int, new: int, *, tokens: bool) -> Network:
    """Operators at another input size: activations and products grow with the area of an image or the length of a sequence,
    attention over all tokens with its square, products on one position not at all."""
    if old == new or old <= 0 or new <= 0:
        return network
    growth = (new / old) if tokens else (new / old) ** 2
    attention = np.isin(network.kind, ATTENTION)
    over_all = attention & (True if tokens else _global_keys(network, old))
    fixed = (network.weights > 0) & (network.macs > 0) & (network.macs <= ONE_POSITION * network.weights)
    once = np.where(fixed, 1.0, growth)
    squared = (network.kind == AT["attention_product"]) | (network.kind == SOFTMAX)
    moved = np.where(squared & (over_all | (tokens & squared)), growth**2, once)
    return replace(
        network,
        macs=network.macs * np.where(over_all, growth**2, once),
        moved=network.moved * moved,
        wide=network.wide * moved,
        depth=np.where(over_all, network.depth * growth, network.depth),
    )


def plain_name(name: str) -> str:
    """Name of an architecture without its hub and its weights' tag.

    >>> plain_name("timm/resnet50.a1_in1k"), plain_name("google-bert/bert-base-uncased")
    ('resnet50', 'bert-base-uncased')
    """
    return name.strip().rsplit("/", 1)[-1].split(".", 1)[0]


@lru_cache(maxsize=4096)
def known(name: str, size: int | None = None, parameters: float | None = None) -> Found | None:
    """Operators of a network in the file at an input size, or None for a name that is not there.

    Branches that can be merged are taken as merged where the stated number of parameters says so.
    """
    candidates = lines().get(name) or lines().get(plain_name(name))
    if not candidates:
        return None
    wanted = size or candidates[0].size

    def distance(line: Line) -> tuple[float, float]:
        own = abs(np.log(line.parameters / parameters)) if parameters else float(line.merged)
        return round(float(own), 2), abs(np.log(max(line.size, 1) / max(wanted, 1)))

    line = min(candidates, key=distance)
    network = resized(parsed(line.operators), line.size, wanted, tokens=line.tokens)
    exact = line.size == wanted or line.size <= 0
    growth = 1.0 if exact else wanted / line.size if line.tokens else (wanted / line.size) ** 2
    return Found(
        network, line.family, line.name, f"operators of {line.name} at {line.size}", 0.0 if exact else SIZE_ERROR,
        line.transfer_bytes * growth,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def borrowed(name: str, macs: float, outputs: float | None, parameters: float | None) -> Found:
    """Operators of the nearest network by name and figures, scaled to these multiply-adds, outputs of products and parameters."""
    plain = re.sub(r"[^a-z0-9]", "", plain_name(name).lower())

    def distance(line: Line) -> float:
        other = re.sub(r"[^a-z0-9]", "", line.name.lower())
        same = next(
            (i for i, (a, b) in enumerate(zip(plain, other, strict=False)) if a != b), min(len(plain), len(other))
        )
        far = abs(np.log(_macs(line) / macs))
        if outputs:
            far += abs(np.log(line.outputs / _macs(line) * macs / outputs))
        if parameters:
            far += 0.5 * abs(np.log(line.parameters / _macs(line) * macs / parameters))
        return float(far - (0.4 * min(same, 12) if same >= SHORTEST_PREFIX else 0.0))

    line = min((one for many in lines().values() for one in many if one.outputs > 0 and _macs(one) > 0), key=distance)
    base = parsed(line.operators)
    by_macs = macs / _macs(line)
    by_outputs = outputs / line.outputs if outputs else by_macs
    by_weights = parameters / line.parameters if parameters else 1.0
    network = replace(
        base, macs=base.macs * by_macs, moved=base.moved * by_outputs, wide=base.wide * by_outputs,
        weights=base.weights * by_weights,
    )  # fmt: skip
    return Found(network, line.family, "", f"operators of {line.name}, scaled", BORROWED_ERROR, line.transfer_bytes)


@lru_cache(maxsize=8192)
def _macs_of(operators: str) -> float:
    network = parsed(operators)
    return float((network.macs * network.launches).sum())


def _macs(line: Line) -> float:
    return max(_macs_of(line.operators), 1.0)


def of_totals(totals: Mapping[OperatorKind, Totals], *, attention_fused: bool = True) -> Network:
    """Operators of an own network from its totals by kind: one group a kind, with usual widths."""
    rows = []
    sequence = "attention" in totals
    for kind, one in totals.items():
        name = KIND_CLASS[kind]
        if kind == "attention" and attention_fused:
            name = "attention"
        if kind == "normalisation" and sequence:
            name = "layer_norm"
        launches = max(one.launches, 1.0)
        depth = 9.0 if name == "depthwise" else USUAL_DEPTH if name in PRODUCTS else 1.0
        moved = (one.read_elements + one.written_elements) / launches
        rows.append(
            (AT[name], launches, one.macs / launches, moved, 0.0, one.weight_elements / launches,
             USUAL_DEPTH if name in PRODUCTS else 1.0, depth)
        )  # fmt: skip
    columns = np.array(rows, dtype=np.float64).reshape(-1, 8).T
    return Network(columns[0].astype(np.intp), *columns[1:])
