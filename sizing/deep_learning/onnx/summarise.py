"""From an ONNX file to the summary that travels in a scenario: the same analysis at batch 1, 2 and 8."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Literal

from pydantic import ValidationError

from sizing.deep_learning.onnx.analysis import Analysis, analyse
from sizing.deep_learning.operators import totals
from sizing.deep_learning.own import PROFILE_POINTS, BatchLaw, NetworkSummary, batch_law
from sizing.errors import InputError, shown
from sizing.onnx.records import Network

BATCHES = (1, 2, 8)
FP32 = 4
LONGEST_NAME = 100
MOST_DIMS = 32


def summarise(network: Network, dims: Mapping[str, int], *, name: str) -> NetworkSummary:
    """Summary of a network at these values of its open dimensions, the batch left open.

    Raises InputError where a dimension is missing, or where the network has no parameters.
    """
    if network.batch_dims:
        found = {b: analyse(network, {**dims, **dict.fromkeys(network.batch_dims, b)}) for b in BATCHES}
        fixed = 0
    else:
        only = analyse(network, dims)
        fixed = max((t.shape[0] for t in only.shapes.inputs if t.shape), default=1) or 1
        found = {1: only}
    first = found[1]
    if first.parameters < 1:
        raise InputError("file", "a network without parameters", "a network with at least one weight")
    lives = {b: one.life_in(FP32) for b, one in found.items()}
    inputs, input_error = _law({b: _input_bytes(one) for b, one in found.items()}, fixed)
    sums, sum_error = _law({b: life.sum_bytes for b, life in lives.items()}, fixed)
    peaks, peak_error = _law({b: life.peak_bytes for b, life in lives.items()}, fixed)
    share = fixed or 1
    operators = (
        replace(
            o, macs=o.macs / share, read_elements=o.read_elements / share, written_elements=o.written_elements / share
        )
        for o in first.operators()
    )
    kind, size, unit = _input_of(first)
    at = lives[1].peak_step
    facts = {
        "name": _short(name),
        "parameters": first.parameters,
        "weights_bytes": dict(first.weights.bytes_by_dtype),
        "buffers_bytes": first.weights.buffers_bytes,
        "input_kind": kind,
        "input_size": size,
        "input_unit": unit,
        "input_shape": _short(", ".join("x".join(map(str, (t.shape or ())[1:] or (1,))) for t in first.shapes.inputs)),
        "input": inputs,
        "sum_activations": sums,
        "peak_live": peaks,
        "linear_error": max(input_error, sum_error, peak_error),
        "macs": first.macs / share,
        "work": {k: tuple(_round(v) for v in astuple(t)) for k, t in totals(operators).items()},
        "reshapes": first.reshapes,
        "live_bytes": profile([v // share for v in lives[1].live_bytes]),
        "peak_at": "" if at is None else _short(first.shapes.nodes[at].label),
        "unknown_shapes": len(first.unknown) + len(first.unknown_macs) + len(first.shapes.control),
        "dims": {_short(k): v for k, v in list(first.shapes.dims.items())[:MOST_DIMS] if k not in network.batch_dims},
        "batch_fixed": fixed,
    }
    try:
        return NetworkSummary.model_validate(facts)
    except ValidationError as error:
        wrong = str(error.errors()[0]["loc"][0])
        raise InputError(
            "file", f"{wrong} out of range", "a network of at most 10^13 parameters and 10^15 bytes"
        ) from None


def profile(live_bytes: Sequence[int]) -> tuple[int, ...]:
    """Live bytes over the pass at no more than 48 points, each the largest of its stretch [bytes].

    >>> profile([1, 5, 2])
    (1, 5, 2)
    """
    count = len(live_bytes)
    if count <= PROFILE_POINTS:
        return tuple(live_bytes)
    edges = [count * i // PROFILE_POINTS for i in range(PROFILE_POINTS + 1)]
    return tuple(max(live_bytes[a:b]) for a, b in itertools.pairwise(edges))


def _law(bytes_at: Mapping[int, int], fixed_batch: int) -> tuple[BatchLaw, float]:
    if fixed_batch:
        return BatchLaw(per_sample=-(-bytes_at[1] // fixed_batch)), 0.0
    return batch_law(bytes_at)


def _input_bytes(found: Analysis) -> int:
    """Size of the inputs with floats in fp32 [bytes]."""
    return sum(
        (t.elements or 0) * FP32 if t.dtype.startswith(("float", "bfloat")) else (t.bytes or 0)
        for t in found.shapes.inputs
    )


def _input_of(found: Analysis) -> tuple[Literal["image", "tokens", "audio", "series"], int, str]:
    """Kind, size and unit of the input that counts: the largest."""
    main = max(found.shapes.inputs, key=lambda t: t.elements or 0, default=None)
    if main is None or main.shape is None or not main.shape:
        return "series", 1, "elements"
    if all(t.dtype.startswith(("int", "uint", "bool")) for t in found.shapes.inputs):
        return "tokens", _bounded(main.shape[1] if len(main.shape) > 1 else 1), "tokens"
    if len(main.shape) == 4 and (main.shape[1] in (1, 3, 4) or main.shape[3] in (1, 3, 4)):
        return "image", _bounded(main.shape[2]), "pixels a side"
    return "series", _bounded(main.shape[-1]), "elements of the last dimension"


def _bounded(size: int) -> int:
    return min(max(size, 1), 10**7)


def _round(value: float) -> float:
    """Counts stay whole; a value that was shared out keeps seven digits, so that the text stays short."""
    return float(int(value)) if value == int(value) else float(f"{value:.7g}")


def _short(text: str) -> str:
    clean = shown(text).strip("'") if len(text) <= 60 else "".join(c if c.isprintable() else "?" for c in text)
    return clean[:LONGEST_NAME]
