"""What is asked of a measurement and what it finds, and the messages of the measuring process made into them.

The process has read a stranger's file, so its messages are checked as such: wrong types, sizes or numbers end in MeasureError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

BATCHES = (1, 8, 64, 512)
"""Rows of a call that are timed where nothing else is asked [rows]."""
MOST_BATCHES = 10
MOST_ROWS = 100_000
MOST_INPUTS = 4_096
MOST_TEXT = 400
MIB = 2**20
MODEL = "model.onnx"
"""The model's file in the folder of a measurement."""
BATCH_MARK = -1
"""Stands in a request for a dimension that is the batch."""
T = TypeVar("T")


class MeasureError(ValueError):
    """A measurement that cannot be made or was ended. `str()` is one sentence for the reader."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one measurement: model file and resident memory [bytes], time of all of it [s]."""

    model_bytes: int = 100 * MIB
    memory_bytes: int = 2048 * MIB
    total_s: float = 60.0


@dataclass(frozen=True)
class Settings:
    """What is measured: rows of a call, values of open dimensions, time for each number of rows [s], seed of the inputs."""

    batches: tuple[int, ...] = BATCHES
    dims: Mapping[str, int] = field(default_factory=dict)
    seconds_per_batch: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = not self.batches or len(self.batches) > MOST_BATCHES or len(set(self.batches)) < len(self.batches)
        if wrong or min(self.batches) < 1 or max(self.batches) > MOST_ROWS:
            raise MeasureError(
                f"Batches are 1 to {MOST_BATCHES} different whole numbers from 1 to {MOST_ROWS:,}, such as 1, 8, 64."
            )


@dataclass(frozen=True)
class BatchTime:
    """Calls with so many rows: thread CPU time and wall-clock time of a call, median and 99th percentile [ms]."""

    rows: int
    calls: int
    median_ms: float
    p99_ms: float
    wall_median_ms: float
    wall_p99_ms: float


@dataclass(frozen=True)
class Progress:
    """How far a measurement is: what it does, share done [1], time left if all goes as planned [s]."""

    doing: str
    share: float
    seconds_left: float


@dataclass(frozen=True)
class ModelInput:
    """An input of the model: element type as ONNX calls it, dimensions; a name stands for one that is open."""

    name: str
    dtype: str
    dims: tuple[int | str, ...]


@dataclass(frozen=True)
class Checked:
    """A model that may be run: its inputs, and what is to be said of it."""

    inputs: tuple[ModelInput, ...]
    notes: tuple[str, ...]

    @property
    def asked(self) -> tuple[str, ...]:
        """Open dimensions that need a value: all that never stand first, where the batch does."""
        first = {one.dims[0] for one in self.inputs if one.dims}
        rest = (d for one in self.inputs for d in one.dims[1:] if isinstance(d, str) and d not in first)
        return tuple(dict.fromkeys(rest))

    @property
    def fixed_batch(self) -> int | None:
        """Rows of a call where the model allows no other [rows]: no input has its first dimension open. None if one has."""
        firsts = [one.dims[0] for one in self.inputs if one.dims]
        if any(isinstance(first, str) for first in firsts):
            return None
        return next((int(first) for first in firsts if not isinstance(first, str)), 1)


@dataclass(frozen=True)
class Measurement:
    """Result of a measurement: times of the reference model and of the reader's by rows, load time [ms], resident memory of
    the process before and after the model was loaded and at its peak [bytes], whether the filter of system calls stood."""

    reference: tuple[BatchTime, ...]
    rows: tuple[BatchTime, ...]
    load_ms: float
    before_bytes: int
    loaded_bytes: int
    peak_bytes: int
    confined: bool
    notes: tuple[str, ...] = ()

    @property
    def model_bytes(self) -> int:
        """Resident memory that loading the model added [bytes]."""
        return max(0, self.loaded_bytes - self.before_bytes)


def batch_time(message: Any) -> BatchTime:
    """Times of a batch from a message of the process; MeasureError if they are none."""
    return _read(
        lambda: BatchTime(
            rows=_whole(message["rows"], MOST_ROWS),
            calls=_whole(message["calls"], 10**9),
            median_ms=_time(message["median_ms"]),
            p99_ms=_time(message["p99_ms"]),
            wall_median_ms=_time(message["wall_median_ms"]),
            wall_p99_ms=_time(message["wall_p99_ms"]),
        )
    )


def progress(message: Any) -> Progress:
    """Progress from a message of the process; MeasureError if it is none."""
    return _read(
        lambda: Progress(
            doing=_text(message["doing"]),
            share=min(1.0, max(0.0, _number(message["share"]))),
            seconds_left=max(0.0, _number(message["seconds_left"])),
        )
    )


def checked(message: Any) -> Checked:
    """Inputs and notes of a model from a message of the process; MeasureError if they are none."""
    return _read(
        lambda: Checked(
            inputs=tuple(_input(one) for one in _listed(message["inputs"], MOST_INPUTS)),
            notes=tuple(_text(one) for one in _listed(message["notes"], 16)),
        )
    )


def whole(message: Any) -> int:
    """A whole number from 0 to 2^62, such as bytes; MeasureError if it is none."""
    return _read(lambda: _whole(message, 2**62, least=0))


def time_ms(message: Any) -> float:
    """A time [ms]; MeasureError if it is none."""
    return _read(lambda: _time(message))


def sentence(message: Any) -> str:
    """A text of the process on one line: printable characters, shortened."""
    return _read(lambda: _text(message))


_Unusable = (KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError)


def _read(make: Callable[[], T]) -> T:
    try:
        return make()
    except _Unusable:
        raise MeasureError("The measuring process gave no usable answer, so nothing was measured.") from None


def _input(message: Any) -> ModelInput:
    dims = tuple(d if isinstance(d, int) else str(d) for d in _listed(message["dims"], 64))
    return ModelInput(str(message["name"]), str(message["dtype"]), dims)


def _listed(message: Any, most: int) -> list[Any]:
    if not isinstance(message, list) or len(message) > most:
        raise ValueError
    return message


def _number(message: Any) -> float:
    if isinstance(message, bool) or not isinstance(message, int | float) or not math.isfinite(message):
        raise ValueError
    return float(message)


def _time(message: Any) -> float:
    value = _number(message)
    if not 0 < value < 1e9:
        raise ValueError
    return value


def _whole(message: Any, most: int, *, least: int = 1) -> int:
    if isinstance(message, bool) or not isinstance(message, int) or not least <= message <= most:
        raise ValueError
    return message


def _text(message: Any) -> str:
    if not isinstance(message, str):
        raise ValueError
    text = "".join(c if c.isprintable() else " " for c in message[: 4 * MOST_TEXT])
    text = " ".join(text.split())
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."
