"""Facts of a model file that somebody uploads, told by its content: the same for the command line and for the pages.

Files are read, never run: a pickle is refused, and of a checkpoint only the header is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, BinaryIO

from sizing.errors import InputError
from sizing.llm.architecture import Architecture
from sizing.llm.checkpoint import GGUF, INDEX, SAFETENSORS, Checkpoint, kind_of, read_checkpoint
from sizing.llm.headers.safetensors_header import MOST_INDEX_BYTES, loads, read_safetensors_header
from sizing.llm.headers.stored import Source, opened, short_name
from sizing.onnx.wire import is_onnx
from sizing.statistical.files.read import format_of
from sizing.statistical.files.refused import HEAD_BYTES as PICKLE_HEAD_BYTES
from sizing.statistical.files.refused import pickle_refusal, refusal
from sizing.units import format_bytes

READ_HERE = (
    "an ONNX file, XGBoost JSON or UBJ, LightGBM text, skops, a safetensors file or index, a GGUF file or a Hugging Face "
    "config.json"
)
HEAD_BYTES = 512
MOST_DIM = 1_000_000_000
NOT_IN_TEXT = frozenset(
    {"notes", "layers", "tensors", "summary", "live_bytes_profile", "unknown_shape_names", "model_summary", "steps", "types",
     "hidden_layers", "base_score"}
)  # fmt: skip
"""Facts that the text leaves to the JSON: long lists, and what is told as a note."""
KV_BYTES = 2
"""Bytes of an element of a key-value cache in 16 bit."""
_BY_NAME = ("bytes_by_dtype", "dims", "inputs", "nodes_by_operator", "macs_by_operator", "peak_tensors_bytes", "splits")
"""Facts whose parts have names from the file, which are shown as they are."""
CONFIG, ONNX = "config.json", "onnx"
PICKLE_ENDINGS = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".ckpt")
_STARTS = (
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"<", "a web page or XML"),
    (b"tjgg", "a GGJT file, the ancestor of GGUF"),
    (b"fmgg", "a GGMF file, the ancestor of GGUF"),
    (b"lmgg", "a GGML file, the ancestor of GGUF"),
)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Facts of a model file. What does not apply or is not known is None; `details` and `notes` add what a kind has more."""

    format: str
    parameters: int | None = None
    weights_bytes: int | None = None
    macs: int | None = None
    input_bytes: int | None = None
    sum_activation_bytes: int | None = None
    peak_live_bytes: int | None = None
    peak_at: str | None = None
    unknown_shapes: int | None = None
    library: str | None = None
    features: int | None = None
    outputs: int | None = None
    trees: int | None = None
    nodes: int | None = None
    leaves: int | None = None
    max_depth: int | None = None
    visited_nodes_per_row: float | None = None
    file_bytes: int | None = None
    resident_bytes: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All facts by name, None where they do not apply; details stand beside them."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("details", "notes")}
        return {**plain, **self.details, "notes": list(self.notes)}


def inspect_file(source: Source, *, name: str, dims: Mapping[str, int] | None = None) -> Inspection:
    """Facts of a model file by its content; `name` is only shown. `dims` gives symbolic dimensions a value [count].

    Raises InputError for a file that is not read here, or that breaks its format.

    >>> inspect_file(b'{"metadata": {"total_size": 4}, "weight_map": {"w": "a"}}', name="index.json").weights_bytes
    4
    """
    with opened(source) as (stream, file_bytes):
        if file_bytes == 0:
            raise InputError("file", f"an empty file ({name})", READ_HERE)
        stream.seek(0)
        head = stream.read(HEAD_BYTES)
        kind = kind_of(head)
        statistical = format_of(stream, file_bytes) if kind != GGUF else None
        if statistical is not None:
            # Imported here: it loads the catalog, for the bytes of the model in memory.
            from sizing.inspect_statistical import inspect_statistical

            found = inspect_statistical(stream, file_bytes, name, statistical)
        elif kind == INDEX:
            found = _json(stream, name, file_bytes)
        elif kind in (SAFETENSORS, GGUF):
            found = _of_checkpoint(read_checkpoint(stream, name))
        elif _is_onnx(stream, file_bytes, head):
            # Imported here: onnx takes a fifth of a second, and other files need none of it.
            from sizing.inspect_onnx import inspect_onnx

            return inspect_onnx(stream, file_bytes, name, dims or {})
        else:
            raise _refusal(stream, head, name)
    if not dims:
        return found
    unused = ", ".join(f"{key}={value}" for key, value in dims.items())
    return replace(found, notes=(*found.notes, f"{unused} has no effect: the file has no symbolic dimensions"))


def parse_dims(texts: Iterable[str]) -> dict[str, int]:
    """Values of symbolic dimensions [count] from texts such as batch=8.

    >>> parse_dims(["batch=8", "tokens=128"])
    {'batch': 8, 'tokens': 128}
    """
    found: dict[str, int] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        if not equals or not name or not (number.isascii() and number.isdecimal() and len(number) <= 10):
            raise InputError("dim", text, f"NAME=N with a whole number from 1 to {MOST_DIM}, such as batch=8")
        if not 1 <= int(number) <= MOST_DIM or name in found:
            raise InputError("dim", text, f"each name once, with a whole number from 1 to {MOST_DIM}")
        found[name] = int(number)
    return found


def inspection_text(found: Inspection) -> str:
    """Facts of a model file as lines for a reader; what does not apply is left out.

    >>> print(inspection_text(Inspection(format="gguf", parameters=1000)), end="")
    format: gguf
    parameters: 1,000
    """
    return "".join(f"{line}\n" for line in _lines(found))


def summary_text(found: Inspection, *, network: bool = False) -> str:
    """Summary of a model as compact JSON, which the pages and a scenario take in place of the file.

    That of the statistical model where the file holds one, unless `network` asks for the other. Raises InputError for a file
    that has none.
    """
    own = None if network else found.details.get("model_summary")
    summary = own or found.details.get("summary")
    if summary is None:
        what = "a statistical model" if "model_summary" in found.details else f"{found.format} without a summary"
        wanted = (
            "a network with weights; a statistical model belongs on its own page" if network else "a model with weights"
        )
        raise InputError("file", what, wanted)
    return json.dumps(summary, separators=(",", ":"))


def _lines(found: Inspection) -> Iterator[str]:
    for key, value in found.as_json().items():
        words = key.replace("_", " ")
        if value is None or value == {} or key in NOT_IN_TEXT:
            continue
        if isinstance(value, Mapping):
            yield f"{words}:"
            for part, amount in value.items():
                yield f"  {part if key in _BY_NAME else part.replace('_', ' ')}: {_amount(key, amount)}"
        else:
            yield f"{words}: {_amount(key, value)}"
    for note in found.notes:
        yield f"Note: {note}."


def _amount(key: str, value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,} ({format_bytes(value)})" if "bytes" in key and value >= 1000 else f"{value:,}"


def _of_checkpoint(found: Checkpoint) -> Inspection:
    details: dict[str, Any] = {
        "tensors": found.tensors,
        "bits_per_weight": found.bits_per_weight,
        "scale_overhead_bytes": found.scale_overhead_bytes,
        "bytes_by_dtype": dict(found.bytes_by_dtype),
        "bytes_by_group": dict(found.bytes_by_group),
        "parameters_by_group": dict(found.parameters_by_group),
        "has_head": found.has_head,
    }
    facts = found.gguf
    if facts is not None:
        elements = facts.kv_elements_per_token
        details |= {
            "architecture": short_name(facts.architecture),
            "model_name": None if facts.name is None else short_name(facts.name),
            "file_type": facts.file_type,
            "layers": facts.layers,
            "sliding_layers": None if facts.sliding_layers is None else sum(facts.sliding_layers),
            "sliding_window_tokens": facts.sliding_window,
            "context_length_tokens": facts.context_length,
            "vocabulary": facts.vocabulary,
            "experts": facts.experts,
            "experts_per_token": facts.experts_per_token,
            "kv_bytes_per_token_bf16": None if elements is None else elements * KV_BYTES,
        }
    return Inspection(
        format=found.format,
        parameters=found.parameters,
        weights_bytes=found.weights_bytes,
        file_bytes=found.file_bytes,
        details=details,
        notes=found.notes,
    )


def _json(stream: BinaryIO, name: str, file_bytes: int) -> Inspection:
    if file_bytes > MOST_INDEX_BYTES:
        raise InputError(
            "file", f"a text of {file_bytes:,} bytes ({name})", f"JSON of at most {MOST_INDEX_BYTES:,} bytes"
        )
    stream.seek(0)
    text = stream.read(file_bytes)
    stated = loads(text, "file")
    if isinstance(stated, dict) and "weight_map" in stated:
        return _of_checkpoint(read_checkpoint(stream, name))
    if isinstance(stated, dict) and ("model_type" in stated or "architectures" in stated):
        return _of_config(text)
    raise InputError("file", f"JSON of another kind ({name})", READ_HERE)


def _of_config(text: bytes) -> Inspection:
    # Imported here: a checkpoint needs no table of architectures.
    from sizing.llm.config import parse_config
    from sizing.llm.kv import kv_bytes_per_token

    parsed = parse_config(text)
    shape = parsed.architecture
    words, weights_bytes, note = _stored(shape, parsed.dtype, parsed.quantization)
    unread = ", ".join(short_name(key) for key in parsed.not_understood[:8])
    notes = [*shape.caveats, note, f"Keys that are not read: {unread}" if unread else None]
    return Inspection(
        format=CONFIG,
        parameters=shape.parameters,
        weights_bytes=weights_bytes,
        file_bytes=len(text),
        details={
            "architecture": shape.model_type,
            "weight_format": words,
            "layers": shape.layers,
            "layer_kinds": {kind.name: count for kind, count in zip(shape.kinds, shape.counts, strict=True)},
            "context_length_tokens": shape.context_length,
            "vocabulary": shape.vocab,
            "experts": shape.experts or None,
            "experts_per_token": shape.experts_per_token or None,
            "has_head": not shape.tied_embeddings,
            "parameters_by_group": {group: count for group, count in shape.by_group().items() if count},
            "extra_parameters": {part.name: part.parameters for part in shape.extras},
            "kv_bytes_per_token_bf16": kv_bytes_per_token(parsed.model, "bf16"),
        },
        notes=tuple(text for text in notes if text),
    )


def _stored(
    shape: Architecture, dtype: str, quantization: Mapping[str, Any] | None
) -> tuple[str, int | None, str | None]:
    """Format in words and bytes of the text stack's weights as the config says they are stored, or why they are unknown."""
    from sizing.llm.quantization import PLAIN, scheme_of_config
    from sizing.llm.scheme import Scheme

    try:
        if quantization:
            scheme = scheme_of_config(quantization, dtype=dtype)
        elif dtype in PLAIN:
            scheme = Scheme(dtype, PLAIN[dtype], PLAIN[dtype])
        else:
            return dtype, None, f"Bytes of weights are unknown: {dtype} is not a format read here"
    except InputError as error:
        return "unknown", None, f"Bytes of weights are unknown: {error}".rstrip(".")
    total = sum(scheme.of(t).matrix_bytes(t.rows, t.columns) * t.count for t in (*shape.before, *shape.after))
    for layer, kind in enumerate(shape.order):
        at = layer if scheme.by_layer else None
        total += sum(scheme.of(t, at).matrix_bytes(t.rows, t.columns) * t.count for t in shape.kinds[kind].tensors)
    return scheme.words, round(total), None


def _is_onnx(stream: BinaryIO, file_bytes: int, head: bytes) -> bool:
    """Whether the file is ONNX by its content; what begins as another kind never is."""
    if head[:2] == b"PK" or head[4:8] == b"TFL3" or any(head.startswith(start) for start, _ in _STARTS):
        return False
    return is_onnx(stream, file_bytes)


def _refusal(stream: BinaryIO, head: bytes, name: str) -> InputError:
    """Why a file is not read: what it looks like, and what is read instead."""
    if name.lower().endswith(".safetensors") and not head.startswith((b"PK", b"version", b"<")):
        try:
            read_safetensors_header(stream)
        except InputError as error:
            return error
    archived = head[30 : 30 + int.from_bytes(head[26:28], "little")] if head.startswith(b"PK\x03\x04") else b""
    stream.seek(0)
    longer = stream.read(PICKLE_HEAD_BYTES)
    refused = refusal(longer, name)
    if refused is not None:
        return refused
    if archived.endswith(b".pkl") or name.lower().endswith(PICKLE_ENDINGS):
        return pickle_refusal(b"" if archived else longer, name)
    return InputError("file", f"{_looks_like(head)} ({name})", READ_HERE)


def _looks_like(head: bytes) -> str:
    if head.startswith(b"version ") and b"git-lfs" in head:
        return "a pointer of Git LFS, not the file itself"
    if head.startswith(b"PK"):
        return "a zip archive"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    return next((words for start, words in _STARTS if head.startswith(start)), "a file of another kind")
