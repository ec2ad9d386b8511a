"""Universal Binary JSON as XGBoost writes it: read strictly, lists of numbers as arrays where wanted, else stepped over.

A marker of one byte, then the value: lengths are numbers with markers of their own, whole numbers stand with their highest byte
first, `[$d#L` opens a list of one type and a stated length. Source: ubjson.org, specification draft 12 (recalled); checked
against files of XGBoost 3.2.0.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from sizing.errors import InputError
from sizing.statistical.files.tokens import MOST_LEVELS, Budget

_WHOLE = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8"}
_SIZES = {b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8, b"d": 4, b"D": 8}
_TYPES = {**_WHOLE, b"d": ">f4", b"D": ">f8"}
_FORMATS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
_WORDS = {b"Z": None, b"T": True, b"F": False}
MOST_TEXT_BYTES = 1_000_000


def parse_ubj(data: bytes, wanted: frozenset[str]) -> Any:
    """The value of a UBJ file, as `tokens.parse_json` gives it: lists of numbers are arrays or their length [count].

    Raises InputError for a file that breaks the format, ends early, or states a length that it does not have.

    >>> parse_ubj(b"{i\\x01a[$i#i\\x02\\x01\\x02i\\x01bSi\\x01x}", frozenset({"a"}))
    {'a': array([1, 2]), 'b': 'x'}
    """
    walk = _Walk(data, wanted)
    found = walk.value(walk.marker(), 0, keep=False)
    if data[walk.at :].strip(b"\x00"):
        raise _broken("bytes after its end")
    return found


class _Walk:
    def __init__(self, data: bytes, wanted: frozenset[str]) -> None:
        self.data, self.wanted, self.at, self.budget = data, wanted, 0, Budget()

    def marker(self) -> bytes:
        return self.take(1)

    def take(self, length: int) -> bytes:
        if length > len(self.data) - self.at:
            raise _broken("a file that ends early, or a length that lies")
        self.at += length
        return self.data[self.at - length : self.at]

    def length(self, marker: bytes) -> int:
        """A length [count], which cannot be negative nor beyond what is left of the file."""
        if marker not in _WHOLE:
            raise _broken("a length that is no whole number")
        value: int = struct.unpack(_FORMATS[marker], self.take(_SIZES[marker]))[0]
        if value < 0 or value > len(self.data) - self.at:
            raise _broken("a file that ends early, or a length that lies")
        return value

    def text(self, marker: bytes) -> str:
        length = self.length(marker)
        if length > MOST_TEXT_BYTES:
            raise InputError("file", f"a text of {length:,} bytes", f"texts of at most {MOST_TEXT_BYTES:,} bytes")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError:
            raise _broken("a text that is not UTF-8") from None

    def value(self, marker: bytes, level: int, *, keep: bool) -> Any:
        if level > MOST_LEVELS:
            raise InputError("file", "UBJ nested too deep", f"at most {MOST_LEVELS} levels, as model files have")
        self.budget.take()
        if marker == b"{":
            return self.mapping(level)
        if marker == b"[":
            return self.list_of(level, keep=keep)
        if marker == b"S":
            return self.text(self.marker())
        if marker in _FORMATS:
            return struct.unpack(_FORMATS[marker], self.take(_SIZES[marker]))[0]
        if marker in _WORDS:
            return _WORDS[marker]
        raise _broken("a marker that XGBoost does not write")

    def mapping(self, level: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (marker := self.marker()) != b"}":
            name = self.text(marker)
            found[name] = self.value(self.marker(), level + 1, keep=name in self.wanted)
        return found

    def list_of(self, level: int, *, keep: bool) -> Any:
        marker = self.marker()
        if marker == b"$":
            return self.typed(keep=keep)
        found: list[Any] = []
        if marker == b"#":
            for _ in range(self.length(self.marker())):
                found.append(self.value(self.marker(), level + 1, keep=False))
        else:
            while marker != b"]":
                found.append(self.value(marker, level + 1, keep=False))
                marker = self.marker()
        return np.asarray(found, dtype=np.int64) if keep and _all_whole(found) else found

    def typed(self, *, keep: bool) -> Any:
        """A list of one type and a stated length: its bytes must be there."""
        kind = self.marker()
        if kind not in _TYPES:
            raise _broken("a list of a type that XGBoost does not write")
        if self.marker() != b"#":
            raise _broken("a list of one type without a length")
        count = self.length(self.marker())
        raw = self.take(count * _SIZES[kind])
        if not keep:
            return count
        found = np.frombuffer(raw, dtype=_TYPES[kind])
        return found.astype(np.int64 if kind in _WHOLE else np.float64)


def _all_whole(values: list[Any]) -> bool:
    return all(isinstance(v, int) and abs(v) < 2**62 for v in values)


def _broken(what: str) -> InputError:
    return InputError("file", what, "a whole model as XGBoost's save_model writes it")
