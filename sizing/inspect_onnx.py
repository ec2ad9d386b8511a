"""Facts of an ONNX file for `inspect` and for the upload box: the whole analysis under the keys that every kind of file has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, BinaryIO

from sizing.deep_learning.onnx.analysis import FLOPS_PER_MAC, Analysis, analyse
from sizing.deep_learning.onnx.summarise import profile, summarise
from sizing.errors import InputError, shown
from sizing.inspect import ONNX, Inspection
from sizing.inspect_statistical import with_model
from sizing.llm.headers.stored import short_name
from sizing.onnx.reader import read_network
from sizing.onnx.records import Network, Tensor

SHOWN_PEAK = 12
MOST_LISTED = 5_000


def inspect_onnx(stream: BinaryIO, size: int, name: str, dims: Mapping[str, int]) -> Inspection:
    """Facts of an ONNX file [count, bytes] at these values of its open dimensions; raises InputError as its parts."""
    network = read_network(stream, size, name)
    found = analyse(network, dims)
    notes = [*_dims_notes(network, dims), *found.notes]
    summary: dict[str, Any] | None = None
    try:
        made = summarise(network, dims, name=name.removesuffix(".onnx"))
        summary = {"summary": 1, **made.model_dump(mode="json", exclude_defaults=True)}
        if made.linear_error:
            notes.append(
                f"Memory does not grow in proportion to the batch: a straight line is off by {made.linear_error:.1%}"
            )
    except InputError as error:
        notes.append(f"No summary for a scenario: {error}".rstrip("."))
    life = found.life
    told = Inspection(
        format=ONNX,
        parameters=found.parameters,
        weights_bytes=found.weights.weights_bytes,
        macs=found.macs,
        input_bytes=found.input_bytes,
        sum_activation_bytes=life.sum_bytes,
        peak_live_bytes=life.peak_bytes,
        peak_at=None if found.peak_at is None else short_name(found.peak_at),
        unknown_shapes=len(found.unknown),
        library=short_name(network.producer) or None,
        file_bytes=size,
        details={
            "opset": network.opsets[""],
            "dims": {short_name(k): v for k, v in found.shapes.dims.items()},
            "inputs": {short_name(t.name): _form(t) for t in found.shapes.inputs},
            "flops": FLOPS_PER_MAC * found.macs,
            "bytes_by_dtype": dict(found.weights.bytes_by_dtype),
            "buffers_bytes": found.weights.buffers_bytes,
            "macs_by_operator": {short_name(k): v for k, v in found.macs_by_op().items()},
            "nodes_by_operator": _nodes(found),
            "reshape_like_nodes": found.reshapes,
            "peak_tensors_bytes": {short_name(k): v for k, v in life.alive[:SHOWN_PEAK]},
            "unknown_shape_names": [short_name(n) for n in found.unknown[:MOST_LISTED]],
            "live_bytes_profile": list(profile(life.live_bytes)),
            "layers": [
                {"name": short_name(w.name), "op": short_name(w.op), "macs": w.macs, "output_bytes": w.written_bytes,
                 "output_shape": None if w.shape is None else list(w.shape)}
                for w in found.works[:MOST_LISTED]
            ],
            "tensors": [
                {"name": short_name(t.name), "dtype": t.dtype, "shape": None if t.shape is None else list(t.shape),
                 "bytes": t.bytes}
                for t in found.intermediates()[:MOST_LISTED]
            ],
            "summary": summary,
        },
        notes=tuple(notes),
    )  # fmt: skip
    return with_model(told, network, size, name)


def _form(tensor: Tensor) -> str:
    return f"{'x'.join(map(str, tensor.shape or ())) or 'one'} {tensor.dtype}"


def _nodes(found: Analysis) -> dict[str, int]:
    return {short_name(op): count for op, count in Counter(n.op for n in found.shapes.nodes).most_common()}


def _dims_notes(network: Network, given: Mapping[str, int]) -> list[str]:
    said = []
    taken = [name for name in network.batch_dims if name not in given]
    if taken:
        said.append(f"The batch ({', '.join(shown(n).strip(chr(39)) for n in taken)}) was taken as 1")
    unused = [f"{name}={value}" for name, value in given.items() if name not in network.open_dims]
    if unused:
        has = ", ".join(shown(n).strip("'") for n in network.open_dims) or "none"
        said.append(
            f"{', '.join(shown(n).strip(chr(39)) for n in unused)} has no effect: the open dimensions of the file are: {has}"
        )
    return said
