"""JSON of a model file, walked in one pass: long lists of numbers become arrays where they are wanted, and are else stepped over.

A model of a million nodes is a dozen lists of a million numbers; the standard library would make an object of each number.
Depth, values and memory are bounded.
"""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import numpy as np

from sizing.errors import InputError

MOST_LEVELS = 24
"""Deepest nesting read here [levels]; an XGBoost model has 7."""
MOST_VALUES = 4_000_000
"""Most values outside of lists of numbers [count]: 20 for each of 200,000 trees."""
_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"([^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*)"')
_SCALAR = re.compile(rb"-?(?:[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|[Nn]a[Nn]|[Ii]nf(?:inity)?)|true|false|null")
_NUMBER_BYTES = b"0123456789+-.eE, \t\r\nNaInfityrulsn"
_WORDS = {b"true": True, b"false": False, b"null": None}


class Budget:
    """What is left of the values that one file may have [count]."""

    def __init__(self, values: int = MOST_VALUES) -> None:
        self.left = values

    def take(self, count: int = 1) -> None:
        """Count values; raises InputError once there are too many."""
        self.left -= count
        if self.left < 0:
            raise InputError("file", "a model of too many parts", f"at most {MOST_VALUES:,} values outside of lists")


def parse_json(data: bytes, wanted: frozenset[str]) -> Any:
    """The value of a JSON text: objects and lists as Python has them, lists of numbers as arrays or as their length.

    A list of numbers below a name of `wanted` is an array, any other the number of its elements [count]. Raises InputError for
    text that is no JSON, ends early, or is nested or long beyond the limits.

    >>> parse_json(b'{"left": [1, -1], "gain": [0.5, 2E-1], "name": ["a"]}', frozenset({"left"}))
    {'left': array([ 1, -1]), 'gain': 2, 'name': ['a']}
    """
    walk = _Walk(data, wanted)
    found = walk.value(0, keep=False)
    walk.skip_space()
    if walk.at != len(data) and data[walk.at :].strip(b"\x00"):
        raise _broken("text after its end")
    return found


def numbers(text: bytes) -> Any:
    """An array of the numbers in a text [1], between commas; whole numbers where all are. Raises InputError for others.

    >>> numbers(b"1, 2")
    array([1, 2])
    """
    whole = not text.translate(None, b"0123456789-+, \t\r\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = np.fromstring(text, dtype=np.int64 if whole else np.float64, sep=",")
    except (ValueError, DeprecationWarning, OverflowError):
        raise _broken("a list that is no list of numbers") from None
    if found.size != text.count(b",") + 1:
        raise _broken("a list that is no list of numbers")
    return found


class _Walk:
    def __init__(self, data: bytes, wanted: frozenset[str]) -> None:
        self.data, self.wanted, self.at, self.budget = data, wanted, 0, Budget()

    def skip_space(self) -> None:
        match = _SPACE.match(self.data, self.at)
        assert match is not None  # the pattern takes nothing, too
        self.at = match.end()

    def peek(self) -> bytes:
        self.skip_space()
        if self.at >= len(self.data):
            raise _broken("a text that ends early")
        return self.data[self.at : self.at + 1]

    def value(self, level: int, *, keep: bool) -> Any:
        if level > MOST_LEVELS:
            raise InputError("file", "JSON nested too deep", f"at most {MOST_LEVELS} levels, as model files have")
        self.budget.take()
        start = self.peek()
        if start == b"{":
            return self.mapping(level)
        if start == b"[":
            return self.list_of(level, keep=keep)
        if start == b'"':
            return self.text()
        match = _SCALAR.match(self.data, self.at)
        if match is None:
            raise _broken("text that is no JSON")
        self.at = match.end()
        word = match.group()
        return _WORDS[word] if word in _WORDS else _number(word)

    def text(self) -> str:
        match = _STRING.match(self.data, self.at)
        if match is None:
            raise _broken("a text that ends early, or no JSON")
        self.at = match.end()
        content = match.group(1)
        try:
            return str(json.loads(match.group())) if b"\\" in content else content.decode()
        except (ValueError, UnicodeDecodeError):
            raise _broken("a text that is not UTF-8") from None

    def mapping(self, level: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self.at += 1
        if self.peek() == b"}":
            self.at += 1
            return found
        while True:
            if self.peek() != b'"':
                raise _broken("text that is no JSON")
            name = self.text()
            if self.peek() != b":":
                raise _broken("text that is no JSON")
            self.at += 1
            found[name] = self.value(level + 1, keep=name in self.wanted)
            if self.after(b"}"):
                return found

    def list_of(self, level: int, *, keep: bool) -> Any:
        self.at += 1
        start = self.peek()
        if start == b"]":
            self.at += 1
            return np.zeros(0, dtype=np.int64) if keep else []
        if start not in b'{["':
            return self.plain(keep=keep)
        found: list[Any] = []
        while True:
            found.append(self.value(level + 1, keep=False))
            if self.after(b"]"):
                return found

    def plain(self, *, keep: bool) -> Any:
        """A list without lists, texts or objects in it."""
        end = self.data.find(b"]", self.at)
        if end < 0:
            raise _broken("a text that ends early")
        text = self.data[self.at : end]
        if text.translate(None, _NUMBER_BYTES):
            raise _broken("a list that is no list of numbers")
        self.at = end + 1
        return numbers(text) if keep else text.count(b",") + 1

    def after(self, closing: bytes) -> bool:
        """Step over what stands between two elements; whether it was the end."""
        mark = self.peek()
        self.at += 1
        if mark not in (b",", closing):
            raise _broken("text that is no JSON")
        return mark == closing


def _number(word: bytes) -> int | float:
    text = word.decode()
    if len(text) > 400:
        raise _broken("a number of too many digits")
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _broken(what: str) -> InputError:
    return InputError("file", what, "a whole model as XGBoost's save_model writes it")
