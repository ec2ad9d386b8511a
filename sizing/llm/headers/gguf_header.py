"""The header of a GGUF file: its metadata and the list of its tensors, without their data or its long word lists."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import BinaryIO

from sizing.errors import InputError
from sizing.llm.headers.gguf_types import GGML_TYPES
from sizing.llm.headers.stored import MOST_ELEMENTS, Source, StoredTensor, opened, short_name

Value = int | float | bool | str | tuple[int | float | bool | str, ...]

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_HEAD_BYTES = 256_000_000
"""Longest header read here [bytes]; those of published files have at most some 20 million, nearly all vocabulary."""
READ_BYTES = 1 << 20
MOST_KEYS = 100_000
MOST_TENSORS = 200_000
"""Most metadata keys and tensors read here (count); published files have some 50 keys and some thousand tensors."""
MOST_LISTED = 5_000_000
"""Most texts and lists inside metadata lists (count); the largest vocabularies have about 300,000 words."""
MOST_KEPT = 4_096
"""Longest list [elements] and text [bytes] whose value is kept: lists of one value a layer, names."""
MOST_NAME_BYTES = 65_535
MOST_DIMENSIONS = 4
"""Most dimensions of a tensor (count). Source: ggml, docs/gguf.md (2025)."""
MOST_NESTED = 4
DEFAULT_ALIGNMENT_BYTES = 32
TENSOR_BYTES, KEY_BYTES = 24, 13
"""Least bytes of the record of a tensor (name length, dimensions, type, offset) and of a key (length, type, a value)."""

BOOL, STRING, ARRAY = 7, 8, 9
FIXED: dict[int, struct.Struct] = {
    number: struct.Struct(f"<{code}")
    for number, code in ((0, "B"), (1, "b"), (2, "H"), (3, "h"), (4, "I"), (5, "i"), (6, "f"), (7, "B"), (10, "Q"),
                         (11, "q"), (12, "d"))
}  # fmt: skip
"""Value types of fixed size by their number. Source: ggml, docs/gguf.md (2025)."""


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says before its data. Values too long to keep have their length in `lengths` alone."""

    version: int
    metadata: Mapping[str, Value]
    lengths: Mapping[str, int]
    """Elements of each list of the metadata."""
    tensors: tuple[StoredTensor, ...]
    header_bytes: int  # up to the data, padding included
    data_bytes: int  # up to the end of the last tensor
    file_bytes: int  # as it is, which is less if the source holds only the head

    @property
    def whole_bytes(self) -> int:
        """Least bytes of the whole file: header + data."""
        return self.header_bytes + self.data_bytes


def read_gguf_header(source: Source) -> GgufHeader:
    """Header of a GGUF file of version 2 or 3, little-endian; data are not read, and a source may end before them.

    Raises InputError for a header that breaks the format.

    Source: ggml, docs/gguf.md (2025).

    >>> head = MAGIC + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIB", 1, b"a", 0, 7)
    >>> read_gguf_header(head).metadata
    {'a': 7}
    """
    with opened(source) as (stream, file_bytes):
        cursor = _Cursor(stream, file_bytes)
        version = _version(cursor)
        tensor_count, key_count = cursor.number("Q", "tensor count"), cursor.number("Q", "metadata count")
        _check_count("metadata count", key_count, MOST_KEYS, KEY_BYTES, cursor)
        _check_count("tensor count", tensor_count, MOST_TENSORS, TENSOR_BYTES, cursor)
        metadata: dict[str, Value] = {}
        lengths: dict[str, int] = {}
        for _ in range(key_count):
            key = cursor.text("metadata key", MOST_NAME_BYTES)
            if key in metadata or key in lengths:
                raise InputError("GGUF metadata", f"{short_name(key)} twice", "each key once")
            value = _value(cursor, key, lengths)
            if value is not None:
                metadata[key] = value
        records = [_record(cursor) for _ in range(tensor_count)]
        alignment = _alignment(metadata)
        header_bytes = cursor.at + -cursor.at % alignment if records else cursor.at
    tensors = _placed(records, alignment)
    data_bytes = max((t.start_bytes + t.size_bytes for t in tensors), default=0)
    return GgufHeader(version, metadata, lengths, tensors, header_bytes, data_bytes, file_bytes)


class _Cursor:
    """Reads the head of a stream piece by piece; running past its end is an InputError naming what was being read."""

    def __init__(self, stream: BinaryIO, file_bytes: int) -> None:
        self.stream, self.file_bytes = stream, file_bytes
        self.head = bytearray()
        self.at = 0
        self.listed = 0
        stream.seek(0)

    def need(self, end: int, what: str) -> None:
        """Make the head reach `end` [bytes from the start]."""
        if end <= len(self.head):
            return
        if end > self.file_bytes:
            raise InputError(
                f"GGUF {what}",
                f"{end - self.at} bytes at byte {self.at}",
                f"a file that reaches byte {end}, or less of it",
            )
        if end > MOST_HEAD_BYTES:
            raise InputError(
                "GGUF header length", f"over {MOST_HEAD_BYTES:,} bytes", f"at most {MOST_HEAD_BYTES:,} bytes"
            )
        self.head += self.stream.read(max(end - len(self.head), READ_BYTES))
        if end > len(self.head):
            raise InputError(
                "file", f"{len(self.head)} bytes", f"a stream that gives the {self.file_bytes} bytes it states"
            )

    def number(self, code: str, what: str) -> int:
        """A whole number of a struct code."""
        size = struct.calcsize(f"<{code}")
        self.need(self.at + size, what)
        (value,) = struct.unpack_from(f"<{code}", self.head, self.at)
        self.at += size
        return int(value)

    def bytes(self, length: int, what: str) -> bytes:
        """So many bytes."""
        self.need(self.at + length, what)
        self.at += length
        return bytes(self.head[self.at - length : self.at])

    def text(self, what: str, longest: int) -> str:
        """A text of at most `longest` bytes."""
        length = self.number("Q", f"length of a {what}")
        if length > longest:
            raise InputError(f"GGUF length of a {what}", length, f"at most {longest} bytes")
        try:
            return self.bytes(length, what).decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"GGUF {what}", "bytes that are no text", "text in UTF-8") from None

    def skip_texts(self, count: int, what: str) -> None:
        """Move past so many texts: a tight loop, since vocabularies have some hundred thousand."""
        at = self.at
        unpack = struct.Struct("<Q").unpack_from
        for _ in range(count):
            if at + 8 > len(self.head):
                self.at = at
                self.need(at + 8, what)
            (length,) = unpack(self.head, at)
            at += 8 + length
            if at > self.file_bytes:
                raise InputError(
                    f"GGUF length of a text in {what}", length, f"within the {self.file_bytes} bytes of the file"
                )
        self.need(at, what)
        self.at = at


def _version(cursor: _Cursor) -> int:
    if cursor.file_bytes < len(MAGIC) + 4 or cursor.bytes(len(MAGIC), "magic") != MAGIC:
        raise InputError("GGUF file", f"{cursor.file_bytes} bytes that do not begin so", "a file that begins with GGUF")
    version = cursor.number("I", "version")
    if version in VERSIONS:
        return version
    if version.to_bytes(4, "big") in (v.to_bytes(4, "little") for v in (1, *VERSIONS)):
        raise InputError(
            "GGUF byte order", "big-endian", "little-endian; convert the file on the machine it was made for"
        )
    if version == 1:
        raise InputError("GGUF version", 1, "2 or 3; convert the file again with a llama.cpp of 2023-10 or newer")
    raise InputError("GGUF version", version, "2 or 3")


def _check_count(what: str, count: int, most: int, least_bytes: int, cursor: _Cursor) -> None:
    fits = max(cursor.file_bytes - cursor.at, 0) // least_bytes
    if count > most or count > fits:
        raise InputError(f"GGUF {what}", count, f"at most {min(most, fits):,}, for which the file has room")


def _value(cursor: _Cursor, key: str, lengths: dict[str, int]) -> Value | None:
    """The value of a key, or None where it is too long to keep."""
    kind = cursor.number("I", f"type of {short_name(key)}")
    if kind == STRING:
        length = cursor.number("Q", f"length of {short_name(key)}")
        raw = cursor.bytes(length, short_name(key))
        return raw.decode("utf-8", "replace") if length <= MOST_KEPT else None
    if kind == ARRAY:
        return _list(cursor, key, lengths, depth=0)
    (value,) = _fixed(cursor, kind, 1, key)
    return value


def _list(cursor: _Cursor, key: str, lengths: dict[str, int], *, depth: int) -> Value | None:
    kind, count = cursor.number("I", f"type of {short_name(key)}"), cursor.number("Q", f"length of {short_name(key)}")
    if depth == 0:
        lengths[key] = count
    if kind in (STRING, ARRAY):
        cursor.listed += count
        if cursor.listed > MOST_LISTED:
            raise InputError(f"GGUF length of {short_name(key)}", count, f"at most {MOST_LISTED:,} texts in all lists")
    if kind == STRING:
        cursor.skip_texts(count, short_name(key))
        return None
    if kind == ARRAY:
        if depth == MOST_NESTED:
            raise InputError(f"GGUF list {short_name(key)}", "nested deeper", f"lists in at most {MOST_NESTED} lists")
        for _ in range(count):
            _list(cursor, key, lengths, depth=depth + 1)
        return None
    if count <= MOST_KEPT and depth == 0:
        return _fixed(cursor, kind, count, key)
    _skip_fixed(cursor, kind, count, key)
    return None


def _size(kind: int, key: str) -> int:
    if kind not in FIXED:
        raise InputError(f"GGUF value type of {short_name(key)}", kind, "a type from 0 to 12")
    return FIXED[kind].size


def _skip_fixed(cursor: _Cursor, kind: int, count: int, key: str) -> None:
    end = cursor.at + count * _size(kind, key)
    cursor.need(end, short_name(key))
    cursor.at = end


def _fixed(cursor: _Cursor, kind: int, count: int, key: str) -> tuple[int | float | bool, ...]:
    raw = cursor.bytes(count * _size(kind, key), short_name(key))
    values = tuple(value for (value,) in FIXED[kind].iter_unpack(raw))
    if kind != BOOL:
        return values
    if any(value > 1 for value in values):
        raise InputError(f"GGUF {short_name(key)}", max(values), "0 or 1, as a yes or no")
    return tuple(map(bool, values))


def _record(cursor: _Cursor) -> StoredTensor:
    name = cursor.text("tensor name", MOST_NAME_BYTES)
    field = f"GGUF tensor {short_name(name)}"
    dimensions = cursor.number("I", f"dimensions of {short_name(name)}")
    if dimensions > MOST_DIMENSIONS:
        raise InputError(f"{field}: dimensions", dimensions, f"at most {MOST_DIMENSIONS}")
    sizes = [cursor.number("Q", f"shape of {short_name(name)}") for _ in range(dimensions)]
    if prod(sizes) > MOST_ELEMENTS or max(sizes, default=0) > MOST_ELEMENTS:
        raise InputError(f"{field}: shape", " x ".join(map(str, sizes)), f"at most {MOST_ELEMENTS} elements")
    number, start = (
        cursor.number("I", f"type of {short_name(name)}"),
        cursor.number("Q", f"offset of {short_name(name)}"),
    )
    if number not in GGML_TYPES:
        raise InputError(f"{field}: type", number, f"one of {', '.join(map(str, GGML_TYPES))}")
    kind = GGML_TYPES[number]
    row = sizes[0] if sizes else 1
    if row % kind.block_elements:
        raise InputError(f"{field}: row length", row, f"a multiple of {kind.block_elements}, the block of {kind.name}")
    size_bytes = prod(sizes) // kind.block_elements * kind.block_bytes
    return StoredTensor(name, kind.name, tuple(reversed(sizes)), size_bytes, start)


def _alignment(metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT_BYTES)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1 << 20 or value & (value - 1):
        raise InputError("GGUF general.alignment", value, "a power of two up to 1048576")
    return value


def _placed(records: list[StoredTensor], alignment: int) -> tuple[StoredTensor, ...]:
    """Tensors in order of their data; each begins on the alignment, none overlaps the one before it, names differ."""
    names: set[str] = set()
    end = 0
    tensors = sorted(records, key=lambda t: (t.start_bytes, t.size_bytes))
    for tensor in tensors:
        field = f"GGUF tensor {short_name(tensor.name)}"
        if tensor.name in names:
            raise InputError("GGUF tensors", f"{short_name(tensor.name)} twice", "each name once")
        names.add(tensor.name)
        if tensor.start_bytes % alignment:
            raise InputError(f"{field}: offset", tensor.start_bytes, f"a multiple of {alignment}")
        if tensor.start_bytes < end:
            raise InputError(f"{field}: offset", tensor.start_bytes, f"at least {end}, where the tensor before it ends")
        end = tensor.start_bytes + tensor.size_bytes
    return tuple(tensors)
