"""The wire form of an ONNX file (protobuf) walked without its weights, so that a file of gigabytes needs little memory.

Only what a graph is made of is kept; the data of an initializer above 32 KiB are stepped over. What was left out is known by
its length, which must be that of the tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from sizing.errors import InputError

MOST_FILE_BYTES = 2**31
"""Largest file [bytes]: protobuf, which ONNX is written in, ends at 2 GiB."""
MOST_GRAPH_BYTES = 128 * 2**20
"""Most bytes of nodes, names and small tensors [bytes], the weights left out."""
MOST_KEPT_BYTES = 32 * 2**10
"""Longest data of an initializer that are kept [bytes]: 4,096 whole numbers of a shape."""
MOST_FIELDS = 2_000_000
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
DATA_FIELDS = frozenset({4, 5, 6, 7, 9, 10, 11})
"""Fields of a TensorProto that hold its elements."""
MODEL_FIELDS = {1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES, 8: BYTES, 14: BYTES, 20: BYTES,
                25: BYTES, 26: BYTES}  # fmt: skip
"""Fields of a ModelProto and how they are stored. Source: onnx.proto, IR version 13."""
ALLOWED = "a whole ONNX file, as an exporter writes it"


class Field(NamedTuple):
    """One field of a message: its number, its wire type, where its tag and its content begin, where it ends [bytes]."""

    number: int
    wire: int
    tag_at: int
    start: int
    end: int


class Reader:
    """A window of fields over a stream that can seek; bounded in fields."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.stream, self.size, self.fields_left = stream, size, MOST_FIELDS

    def _byte(self, end: int) -> int:
        if self.stream.tell() >= end:
            raise _broken("a file that ends early")
        got = self.stream.read(1)
        if not got:
            raise _broken("a file that ends early")
        return got[0]

    def varint(self, end: int) -> int:
        """A variable-length integer at the present place (count)."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte(end)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise _broken("a number of more than 64 bits")

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """Fields of the message between two places [bytes]; raises InputError where they do not fit into it."""
        at = start
        while at < end:
            self.fields_left -= 1
            if self.fields_left < 0:
                raise _broken(f"a file of over {MOST_FIELDS:,} fields")
            self.stream.seek(at)
            tag = self.varint(end)
            number, wire = tag >> 3, tag & 7
            if number == 0:
                raise _broken("a field without a number")
            if wire == VARINT:
                begin = self.stream.tell()
                self.varint(end)
                stop = self.stream.tell()
            elif wire in (FIXED64, FIXED32):
                begin = self.stream.tell()
                stop = begin + (8 if wire == FIXED64 else 4)
            elif wire == BYTES:
                length = self.varint(end)
                begin = self.stream.tell()
                stop = begin + length
            else:
                raise _broken(f"a field of wire type {wire}")
            if stop > end:
                raise _broken("a file that ends early, or a length that lies")
            yield Field(number, wire, at, begin, stop)
            at = stop

    def bytes_of(self, start: int, end: int) -> bytes:
        """Bytes between two places."""
        self.stream.seek(start)
        return self.stream.read(end - start)


def _broken(what: str) -> InputError:
    return InputError("file", what, ALLOWED)


def is_onnx(stream: BinaryIO, size: int) -> bool:
    """Whether the stream holds an ONNX model: fields of a ModelProto and nothing else, with a graph; cut short also counts
    where it begins with the IR version, as exporters write it."""
    stream.seek(0)
    head = stream.read(3)
    if len(head) == 3 and head[0] == 0x08 and 0 < head[1] < 32 and head[2] >> 3 in MODEL_FIELDS:
        return head[2] & 7 == MODEL_FIELDS[head[2] >> 3]
    graph = False
    try:
        for count, field in enumerate(Reader(stream, size).fields(0, size)):
            if MODEL_FIELDS.get(field.number) != field.wire or count > 10_000:
                return False
            graph = graph or field.number == GRAPH
    except InputError:
        return False
    return graph


def encoded(number: int, content: bytes) -> bytes:
    """A field of bytes in wire form.

    >>> encoded(7, b"ab")
    b':\\x02ab'
    """
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def without_weights(stream: BinaryIO, size: int) -> tuple[bytes, dict[int, int]]:
    """The model in wire form with the data of large initializers left out, and the lengths of what was left out or raw.

    The lengths [bytes] are those of `raw_data`, by the position of the initializer in the graph.

    Raises InputError for a file that is too large, cut short, or whose lengths lie.
    """
    if size > MOST_FILE_BYTES:
        raise InputError(
            "file",
            f"{size:,} bytes",
            f"an ONNX file of at most {MOST_FILE_BYTES:,} bytes, where protobuf ends; a larger model has its weights in "
            "a file of its own, which is not needed here",
        )
    reader = Reader(stream, size)
    kept: list[bytes] = []
    graphs: list[bytes] = []
    lengths: dict[int, int] = {}
    total = 0

    def keep(into: list[bytes], content: bytes) -> None:
        nonlocal total
        total += len(content)
        into.append(content)

    def room(field: Field) -> None:
        if total + field.end - field.tag_at > MOST_GRAPH_BYTES:
            raise InputError(
                "file",
                "a graph whose nodes and names are larger than read here",
                f"at most {MOST_GRAPH_BYTES:,} bytes without the weights, and weights as initializers",
            )

    position = 0
    for field in reader.fields(0, size):
        if field.number != GRAPH or field.wire != BYTES:
            room(field)
            keep(kept, reader.bytes_of(field.tag_at, field.end))
            continue
        for part in reader.fields(field.start, field.end):
            if part.number != INITIALIZER or part.wire != BYTES:
                room(part)
                keep(graphs, reader.bytes_of(part.tag_at, part.end))
                continue
            tensor: list[bytes] = []
            for piece in reader.fields(part.start, part.end):
                if piece.number == RAW_DATA:
                    lengths[position] = piece.end - piece.start
                if piece.number in DATA_FIELDS and piece.end - piece.start > MOST_KEPT_BYTES:
                    continue
                room(piece)
                tensor.append(reader.bytes_of(piece.tag_at, piece.end))
            keep(graphs, encoded(INITIALIZER, b"".join(tensor)))
            position += 1
    return b"".join(kept) + encoded(GRAPH, b"".join(graphs)), lengths
