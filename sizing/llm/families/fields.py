"""Reading the fields of a `config.json`: each by its name and type, within limits, and with a note of which were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sizing.errors import InputError

MOST_LAYERS = 1_000
MOST = 10_000_000
"""Most layers, and most of any other count or width, that is taken for a real model (counts). The largest published ones
of 2026 have 126 layers and a vocabulary of 290,943."""


class Fields:
    """The fields of one object of a config, with the path to it; `read` collects the names that were read, `ignored` those
    known to change no shape.

    A field that is absent or null takes the default of the reader's call; without a default it is required.
    """

    def __init__(self, raw: Mapping[str, Any], path: str = "") -> None:
        self.raw = raw
        self.path = path
        self.read: set[str] = {"model_type"}
        self.ignored: set[str] = set()
        self.parts: dict[str, list[Fields]] = {}

    @property
    def model_type(self) -> str:
        """The family that the object names; empty if it names none."""
        value = self.raw.get("model_type")
        return value if isinstance(value, str) else ""

    def ignore(self, *names: str) -> None:
        """Marks fields of the family that change neither tensors nor caches."""
        self.ignored.update(names)

    def any(self, name: str) -> Any:
        """The value of a field, whatever it is; None if absent."""
        return self._get((name,))[1]

    def refuse(self, name: str, value: object, allowed: str) -> InputError:
        """The error that says what is wrong with a field, by its full path."""
        return InputError(self.path + name, value, allowed)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.raw.get(name) is not None

    def _get(self, names: Sequence[str]) -> tuple[str, Any]:
        """The first of several spellings that is there, and its value; None if none is."""
        self.read.update(names)
        for name in names:
            if self.has(name):
                return name, self.raw[name]
        return names[0], None

    def whole(self, *names: str, default: int | None = None, least: int = 1, most: int = MOST) -> int:
        """A whole number from `least` to `most`; required without a default."""
        name, value = self._get(names)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.refuse(name, value, f"a whole number from {least} to {most}")
        return value

    def maybe(self, *names: str, most: int = MOST) -> int | None:
        """A whole number of at least 1; None if it is absent, null or 0."""
        name, value = self._get(names)
        return None if value is None else self.whole(name, least=0, most=most) or None

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        _, value = self._get((name,))
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.refuse(name, value, "true or false")
        return value

    def word(self, name: str, default: str) -> str:
        """A word."""
        _, value = self._get((name,))
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.refuse(name, value, "a word")
        return value

    def wholes(self, name: str, length: int | None = None, *, least: int = 0, most: int = MOST) -> list[int] | None:
        """A list of whole numbers, of at least `length` of them where one is given (cut to it); None if absent."""
        _, value = self._get((name,))
        if value is None:
            return None
        whole = isinstance(value, list) and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
        if not whole or not all(least <= v <= most for v in value) or len(value) < (length or 0):
            words = f"{length} whole numbers" if length else "whole numbers"
            raise self.refuse(name, value, f"a list of {words} from {least} to {most}")
        return list(value[:length])

    def words(self, name: str, length: int, allowed: Sequence[str]) -> list[str] | None:
        """A list of at least `length` words out of `allowed`, cut to that length; None if absent."""
        _, value = self._get((name,))
        if value is None:
            return None
        if not isinstance(value, list) or len(value) < length:
            raise self.refuse(name, value, f"a list of {length} entries, one a layer")
        for entry in value:
            if entry not in allowed:
                raise self.refuse(name, entry, f"entries out of {', '.join(allowed)}")
        return list(value[:length])

    def inside(self, *names: str) -> Fields:
        """The fields of an object inside this one; one without fields if it is absent."""
        name, value = self._get(names)
        if name not in self.parts:
            if value is not None and not isinstance(value, Mapping):
                raise self.refuse(name, value, "an object with fields")
            self.parts[name] = [Fields(value or {}, f"{self.path}{name}.")]
        return self.parts[name][0]

    def objects(self, name: str, length: int) -> list[Fields]:
        """A list of `length` objects; required."""
        _, value = self._get((name,))
        if not isinstance(value, list) or len(value) != length or not all(isinstance(v, Mapping) for v in value):
            raise self.refuse(name, value, f"a list of {length} objects, one a layer")
        self.parts[name] = [Fields(entry, f"{self.path}{name}.{i}.") for i, entry in enumerate(value)]
        return self.parts[name]

    def layers(self, *names: str) -> int:
        """Layers of the stack [count]: required."""
        return self.whole(*(names or ("num_hidden_layers",)), most=MOST_LAYERS)

    def divided(self, name: str, value: int, by: int, of: str) -> int:
        """value / by, which has to be whole. Raises InputError for `name` otherwise."""
        if by <= 0 or value % by:
            raise self.refuse(name, value, f"a multiple of {of}, which is {by}")
        return value // by
