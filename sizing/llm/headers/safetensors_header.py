"""The header of a safetensors file, and the index of a checkpoint in several files: tensors without their data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from sizing.errors import InputError
from sizing.llm.headers.stored import MOST_ELEMENTS, Source, StoredTensor, opened, short_name

LENGTH_BYTES = 8
MOST_HEADER_BYTES = 100_000_000
"""Longest header [bytes] that the format allows. Source: safetensors, format description (2025)."""
MOST_INDEX_BYTES = 100_000_000
"""Longest index read here [bytes]; that of a 685-billion-parameter model in 91,991 tensors has about 9 million."""
MOST_DIMENSIONS = 64
"""Most dimensions of a tensor read here (count), which is PyTorch's own limit (2025)."""

DTYPE_BITS: dict[str, int] = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16,
    "U16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I8": 8, "U8": 8,
    "BOOL": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
"""Bits of an element by type name. Source: the types that safetensors 0.8 accepts (2026)."""


@dataclass(frozen=True)
class SafetensorsHeader:
    """What a safetensors file says before its data: tensors in order of their data, and free text."""

    tensors: tuple[StoredTensor, ...]
    metadata: Mapping[str, str]
    header_bytes: int  # with the eight bytes that hold its length
    data_bytes: int  # as the header states it
    file_bytes: int  # as it is, which is less if the source holds only the head

    @property
    def whole_bytes(self) -> int:
        """Bytes of the whole file: header + data."""
        return self.header_bytes + self.data_bytes


@dataclass(frozen=True)
class SafetensorsIndex:
    """The index of a checkpoint in several files: which file has each tensor, and totals where it states them."""

    weight_map: Mapping[str, str]
    total_size_bytes: int | None
    total_parameters: int | None
    file_bytes: int


def read_safetensors_header(source: Source) -> SafetensorsHeader:
    """Header of a safetensors file: 8 bytes with the length of a JSON text, then that text; data are not read.

    Raises InputError for a header that breaks the format. A source may end after the header; one that is longer than its
    tensors is refused, as the format does.

    Source: safetensors, format description (2025).

    >>> text = b'{"w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}'
    >>> header = read_safetensors_header(len(text).to_bytes(8, "little") + text)
    >>> header.tensors[0].elements, header.data_bytes
    (6, 12)
    """
    with opened(source) as (stream, file_bytes):
        text, length = _header_text(stream, file_bytes)
    stated = loads(text, "safetensors header")
    if not isinstance(stated, dict):
        raise InputError("safetensors header", _kind(stated), "a JSON object of tensors")
    metadata = stated.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError("safetensors __metadata__", _kind(metadata), "a mapping of names to texts")
    tensors = sorted(
        (_tensor(name, entry) for name, entry in stated.items()), key=lambda t: (t.start_bytes, t.size_bytes)
    )
    data_bytes = 0
    for tensor in tensors:
        if tensor.start_bytes != data_bytes:
            raise InputError(
                f"safetensors data_offsets of {short_name(tensor.name)}",
                tensor.start_bytes,
                f"{data_bytes}, where the tensor before it ends (tensors neither overlap nor leave gaps)",
            )
        data_bytes += tensor.size_bytes
    header_bytes = LENGTH_BYTES + length
    if file_bytes > header_bytes + data_bytes:
        raise InputError(
            "safetensors file length", file_bytes, f"{header_bytes + data_bytes} bytes, where its last tensor ends"
        )
    return SafetensorsHeader(tuple(tensors), metadata, header_bytes, data_bytes, file_bytes)


def read_safetensors_index(source: Source) -> SafetensorsIndex:
    """Index of a checkpoint in several files (`model.safetensors.index.json`): file of each tensor, total bytes.

    Totals that the index does not state are None.

    >>> index = read_safetensors_index(b'{"metadata": {"total_size": 12}, "weight_map": {"w": "a.safetensors"}}')
    >>> index.total_size_bytes, index.total_parameters
    (12, None)
    """
    with opened(source) as (stream, file_bytes):
        if file_bytes > MOST_INDEX_BYTES:
            raise InputError("safetensors index length", file_bytes, f"at most {MOST_INDEX_BYTES:,} bytes")
        stream.seek(0)
        stated = loads(stream.read(file_bytes), "safetensors index")
    weight_map = stated.get("weight_map") if isinstance(stated, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError("safetensors index weight_map", _kind(weight_map), "a mapping of tensors to file names")
    for name, file in weight_map.items():
        if not isinstance(file, str) or not file:
            raise InputError(f"safetensors index weight_map of {short_name(name)}", _kind(file), "a file name")
    metadata = stated.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InputError("safetensors index metadata", _kind(metadata), "a mapping")
    return SafetensorsIndex(
        weight_map, _total(metadata, "total_size"), _total(metadata, "total_parameters"), file_bytes
    )


def loads(text: bytes, field: str) -> Any:
    """Value of a JSON text; InputError naming `field` if it is not strict JSON in UTF-8 or says a name twice.

    >>> loads(b'{"a": [1, 2]}', "config")
    {'a': [1, 2]}
    """
    try:
        return json.loads(text.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InputError(field, f"byte {error.start} of it", "text in UTF-8") from None
    except _SaidTwice as error:
        raise InputError(field, f"{short_name(error.name)} twice", "each name once") from None
    except RecursionError:
        raise InputError(field, "very deep nesting", "JSON of a few levels") from None
    except ValueError:
        raise InputError(field, _text(text), "JSON") from None


class _SaidTwice(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _SaidTwice(name)
            seen.add(name)
    return found


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _header_text(stream: BinaryIO, file_bytes: int) -> tuple[bytes, int]:
    if file_bytes < LENGTH_BYTES:
        raise InputError("safetensors file length", file_bytes, f"at least {LENGTH_BYTES} bytes and a header")
    stream.seek(0)
    length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    if length > MOST_HEADER_BYTES:
        raise InputError(
            "safetensors header length", length, f"at most {MOST_HEADER_BYTES:,} bytes, the format's limit"
        )
    if LENGTH_BYTES + length > file_bytes:
        raise InputError(
            "safetensors header length", length, f"at most {file_bytes - LENGTH_BYTES} bytes, which is all the file has"
        )
    return stream.read(length), length


def _tensor(name: str, entry: Any) -> StoredTensor:
    field = f"safetensors tensor {short_name(name)}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise InputError(field, _kind(entry), "an object of dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise InputError(f"{field}: dtype", dtype, f"one of {', '.join(DTYPE_BITS)}")
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS or not all(map(_is_count, shape)):
        raise InputError(f"{field}: shape", shape, f"a list of at most {MOST_DIMENSIONS} whole numbers from 0")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise InputError(f"{field}: data_offsets", offsets, "two whole numbers from 0, start and end")
    start, end = offsets
    tensor = StoredTensor(name, dtype, tuple(shape), end - start, start)
    bits = tensor.elements * DTYPE_BITS[dtype]
    if bits % 8 or end - start != bits // 8:
        raise InputError(
            f"{field}: data_offsets", offsets, f"{bits / 8:.15g} bytes apart, as its shape and {dtype} need"
        )
    return tensor


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_ELEMENTS


def _total(metadata: Mapping[str, Any], key: str) -> int | None:
    value = metadata.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not _is_count(value):
        raise InputError(f"safetensors index {key}", value, "a whole number from 0")
    return int(value)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def _text(text: bytes) -> str:
    return text[:40].decode("utf-8", "replace") or "nothing"
