"""A skops file opened: a zip with `schema.json` and arrays of NumPy. Only text and numbers are read; nothing is unpickled or made.

Every type that the schema names has to be one of `sklearn_types.ALLOWED`. Sizes are checked before anything is unpacked.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sizing.errors import InputError
from sizing.statistical.files.facts import printable
from sizing.statistical.files.sklearn_types import ALLOWED, LOADERS

SCHEMA = "schema.json"
MOST_DIRECTORY_BYTES = 16 * 2**20
MOST_SCHEMA_BYTES = 32 * 2**20
"""Largest schema read here [bytes]: about 1,500 trees of scikit-learn."""
MOST_CONTAINERS = 400_000
MOST_ARRAY_BYTES = 2**30
"""Most bytes of arrays that are unpacked from one file [bytes]; those of parts that are not needed stay packed."""
MOST_HEADER_BYTES = 4_096
MOST_LEVELS = 60
_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"
_ALLOWED = "a whole file as skops.io.dump writes it"


class Header(NamedTuple):
    """Type and shape of a stored array."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class SkopsFile:
    """The schema of a file and its arrays."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        """Open and check a file; raises InputError for one that breaks the format or holds a type not allowed."""
        _check_directory(stream, size)
        try:
            self._zip = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, UnicodeError, EOFError):
            raise _broken("a zip archive that cannot be opened") from None
        self._entries = {info.filename: info for info in self._zip.infolist()}
        self._left = MOST_ARRAY_BYTES
        text = self._unpacked(SCHEMA, MOST_SCHEMA_BYTES)
        if text.count(b"{") + text.count(b"[") > MOST_CONTAINERS:
            raise InputError("file", "a schema of too many parts", f"at most {MOST_CONTAINERS:,} parts")
        try:
            self.root = json.loads(text)
        except (ValueError, RecursionError):
            raise _broken("a schema that is no JSON") from None
        self.types: set[str] = set()
        self._check(self.root)

    def node(self, value: Any) -> dict[str, Any]:
        """A part of the schema. Raises InputError for what is none."""
        if not isinstance(value, dict):
            raise _broken("a schema with a part missing")
        return value

    def type_of(self, value: Any) -> str:
        """Module and name of a part's type."""
        part = self.node(value)
        return f"{part.get('__module__')}.{part.get('__class__')}"

    def attributes(self, value: Any) -> dict[str, Any]:
        """Attributes of an object of scikit-learn by name."""
        found = self.node(value).get("content")
        inner = found.get("content") if isinstance(found, dict) else None
        if not isinstance(inner, dict):
            raise _broken("a schema with a part missing")
        return inner

    def items(self, value: Any) -> list[Any]:
        """Parts of a list or tuple, or of an array of objects row by row."""
        part = self.node(value)
        found = part.get("content")
        if not isinstance(found, list):
            raise _broken("a schema with a list missing")
        if part.get("__loader__") != "NdArrayNode":
            return found
        return list(self._flat(found, 0))

    def _flat(self, parts: list[Any], level: int) -> Iterator[Any]:
        for part in parts:
            inner = self.node(part)
            if inner.get("__loader__") == "ListNode" and isinstance(inner.get("content"), list) and level < 8:
                yield from self._flat(inner["content"], level + 1)
            else:
                yield inner

    def plain(self, value: Any) -> Any:
        """A number, text, truth value or None that stands in the schema itself; None for anything else."""
        part = self.node(value) if isinstance(value, dict) else {}
        if (
            part.get("__loader__") != "JsonNode"
            or not isinstance(part.get("content"), str)
            or len(part["content"]) > 10_000
        ):
            return None
        try:
            return json.loads(part["content"])
        except (ValueError, RecursionError):
            return None

    def header(self, value: Any) -> Header:
        """Type and shape of an array, whose numbers stay packed. Raises InputError for what is no array of numbers."""
        part = self.node(value)
        if part.get("type") == "json":
            shape = [self.plain(n) for n in self.items(part.get("shape"))]
            if all(isinstance(n, int) and 0 <= n < 2**40 for n in shape):
                return Header(np.dtype("O"), tuple(shape))
            raise _broken("an array without a shape")
        header, _, _ = self._opened(part)
        return header

    def array(self, value: Any) -> NDArray[Any]:
        """An array of numbers, or of named fields of numbers. Raises InputError above the limits."""
        header, start, name = self._opened(self.node(value))
        size = self._entries[name].file_size
        count = 1
        for side in header.shape:
            count *= side
        if count * header.dtype.itemsize != size - start:
            raise _broken(f"an array whose data are not as long as its shape says ({printable(name)[:40]})")
        self._left -= size
        if self._left < 0:
            raise InputError(
                "file", f"arrays of over {MOST_ARRAY_BYTES:,} bytes", f"at most {MOST_ARRAY_BYTES:,} bytes"
            )
        data = self._unpacked(name, size)
        return np.frombuffer(data, dtype=header.dtype, offset=start)

    def _opened(self, part: dict[str, Any]) -> tuple[Header, int, str]:
        name = part.get("file")
        if part.get("type") != "numpy" or not isinstance(name, str) or name not in self._entries:
            raise _broken("an array that is not in the file")
        head = io.BytesIO(self._unpacked(name, MOST_HEADER_BYTES, whole=False))
        try:
            version = np.lib.format.read_magic(head)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(head)
        except Exception:
            # The header is a literal of Python that NumPy parses; what it raises for a broken one is not one kind.
            raise _broken(f"an array with a broken header ({printable(name)[:40]})") from None
        if dtype.hasobject or any(not isinstance(n, int) or n < 0 or n > 2**40 for n in shape):
            raise InputError(
                "file", "an array of Python objects", "arrays of numbers: objects can run code when they are loaded"
            )
        return Header(dtype, shape), head.tell(), name

    def _unpacked(self, name: str, most: int, *, whole: bool = True) -> bytes:
        """Bytes of an entry, never more than allowed."""
        info = self._entries.get(name)
        if info is None:
            raise _broken(f"a file without {name}")
        if whole and info.file_size > most:
            raise InputError("file", f"{name} of {info.file_size:,} bytes", f"at most {most:,} bytes unpacked")
        try:
            with self._zip.open(info) as stream:
                return stream.read(min(most, info.file_size))
        except Exception:
            # zipfile passes on the errors of each way to compress.
            raise _broken(f"an entry that cannot be unpacked ({printable(name)[:40]})") from None

    def _check(self, root: Any) -> None:
        """Look at every part of the schema: its type has to be allowed, and its loader one that calls nothing."""
        waiting: list[tuple[Any, int]] = [(root, 0)]
        while waiting:
            value, level = waiting.pop()
            if level > MOST_LEVELS:
                raise InputError("file", "a schema nested too deep", f"at most {MOST_LEVELS} levels")
            if isinstance(value, list):
                waiting.extend((part, level + 1) for part in value)
            elif isinstance(value, dict):
                if "__loader__" in value or "__class__" in value:
                    self._allow(value)
                waiting.extend((part, level + 1) for part in value.values() if isinstance(part, dict | list))

    def _allow(self, part: dict[str, Any]) -> None:
        loader, name = str(part.get("__loader__")), f"{part.get('__module__')}.{part.get('__class__')}"
        if loader not in LOADERS or name not in ALLOWED:
            what = name if loader in LOADERS else f"{name} by {loader}"
            raise InputError(
                "file",
                "a skops file with a type that is not read here",
                f"types of scikit-learn, NumPy and Python that are on our list, which {printable(what)[:120]} is not",
            )
        self.types.add(name)


def _check_directory(stream: BinaryIO, size: int) -> None:
    """Refuse a zip whose list of entries is too large, before zipfile reads it; and the long form, which a model does not need."""
    tail_at = max(0, size - 65_557 - 20)
    stream.seek(tail_at)
    tail = stream.read(size - tail_at)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise _broken("a zip archive that ends early")
    entries, length = struct.unpack("<HI", tail[at + 10 : at + 16])
    if tail[at - 20 : at - 16] == _END_64 or entries == 0xFFFF or length > MOST_DIRECTORY_BYTES or length > size:
        raise InputError("file", "a zip archive of too many entries", "a skops file of at most 65,534 entries")
    stream.seek(0)


def is_skops(stream: BinaryIO, size: int) -> bool:
    """Whether a zip archive has the schema of a skops file."""
    try:
        _check_directory(stream, size)
        return SCHEMA in zipfile.ZipFile(stream).NameToInfo
    except (
        InputError,
        zipfile.BadZipFile,
        OSError,
        ValueError,
        NotImplementedError,
        struct.error,
        UnicodeError,
        EOFError,
    ):
        return False


def _broken(what: str) -> InputError:
    return InputError("file", what, _ALLOWED)
