"""Files of perf_analyzer and Model Analyzer: rows of a load test as batches and their time, or as GPU memory.

What a row says of the model: with the server's own times (perf_analyzer) the time of a batch is compute input + infer +
output; without them (Model Analyzer's default columns) it is batch / throughput, for a GPU that is never idle. The batch that
ran is not in these files. It follows from Little's law (samples in a stage = throughput x time in it): samples in compute =
throughput x compute time, at least the batch of a request, at most what the clients have in flight and the server's largest
batch. Without compute times a closed loop of c clients keeps half of c x (batch of a request) in the running batch, as the
other half waits for it. Both take one model instance a GPU; rows that would need another assumption are left out, with the reason.

Source of the columns: report writer of perf_analyzer (times in us) and `result_table_manager.py` of Model Analyzer (ms, MB).
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from typing import Literal

from sizing.errors import InputError

MAX_BYTES = 1_000_000
"""Largest file read [bytes]: some 10,000 rows of 100 characters."""

MAX_ROWS = 5_000
"""Most rows of a file [1]; Model Analyzer's whole search is a few hundred."""

MAX_BATCH = 65_536
MAX_TIME_MS = 1e6

FileKind = Literal["perf_analyzer", "model_analyzer", "model_analyzer_gpu"]

INFERENCES = ("Inferences/Second", "Throughput (infer/sec)")
COMPUTE = ("Input", "Infer", "Output")
GPU_MEMORY = "GPU Memory Usage (MB)"
NEEDED = (
    "Inferences/Second (perf_analyzer), Throughput (infer/sec) or GPU Memory Usage (MB) (Model Analyzer), and Concurrency or "
    "Request Rate"
)


@dataclass(frozen=True)
class Point:
    """One row used: the batch that ran [samples] and its time [ms], and by which rule they follow from the row."""

    line: int
    batch: float
    time_ms: float
    rule: str


@dataclass(frozen=True)
class GpuRow:
    """One row of GPU metrics: the largest batch that was possible [samples] and the memory used [bytes]."""

    line: int
    batch: float
    used_bytes: float


@dataclass(frozen=True)
class Measured:
    """A file read: its kind, the rows used, GPU memory if it has it, and the lines left out with their reason."""

    kind: FileKind
    points: tuple[Point, ...]
    gpu: tuple[GpuRow, ...]
    left_out: tuple[tuple[int, str], ...]


def read_measured(content: bytes, *, request_batch: int = 1, largest_batch: int = 1) -> Measured:
    """Rows of a CSV as batches [samples] and times [ms].

    `request_batch` is perf_analyzer's -b and `largest_batch` the server's max_batch_size [samples], 1 with no dynamic batching;
    a column Batch or Max Batch Size replaces them. Raises InputError, which names line, column, value and what is allowed.

    >>> text = "Concurrency,Inferences/Second,Server Compute Input,Server Compute Infer,Server Compute Output\\n4,1000,100,3800,100"
    >>> [(p.batch, p.time_ms) for p in read_measured(text.encode(), largest_batch=8).points]
    [(4.0, 4.0)]
    """
    for name, value in (("request_batch", request_batch), ("largest_batch", largest_batch)):
        if not 1 <= value <= MAX_BATCH:
            raise InputError(name, value, f"a whole number from 1 to {MAX_BATCH}")
    table = _table(content)
    kind: FileKind = (
        "perf_analyzer" if INFERENCES[0] in table.header
        else "model_analyzer" if INFERENCES[1] in table.header
        else "model_analyzer_gpu"
    )  # fmt: skip
    points: list[Point] = []
    gpu: list[GpuRow] = []
    left_out: list[tuple[int, str]] = []
    models = {row.text("Model") for row in table.rows}
    if len(models) > 1:
        names = ", ".join(sorted(models))
        raise InputError("Model", names, "one model a file: keep the rows of the one that is sized here")
    for row in table.rows:
        load = _load(row, request_batch, largest_batch)
        if kind == "model_analyzer_gpu":
            gpu.append(GpuRow(row.line, load.possible, row.number(GPU_MEMORY, low=0.0, high=1e7) * 1e6))
            continue
        found = _point(row, kind, load)
        if isinstance(found, Point):
            points.append(found)
        else:
            left_out.append((row.line, found))
    if not points and not gpu:
        line, why = left_out[0]
        raise InputError(f"line {line}", "this row", f"a file with a row that can be used; {why}")
    return Measured(kind, tuple(points), tuple(gpu), tuple(left_out))


@dataclass(frozen=True)
class _Row:
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        return self.cells.get(column, "").strip()

    def number(self, column: str, *, low: float, high: float) -> float:
        """Number of a cell, from `low` to `high`. Raises InputError."""
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            allowed = f"a number from {low:g} to {high:,.10g}"
            raise InputError(f"line {self.line}, {column}", text or None, allowed)
        return value


@dataclass(frozen=True)
class _Table:
    header: tuple[str, ...]
    rows: tuple[_Row, ...]


@dataclass(frozen=True)
class _Load:
    """What a row ran under: samples a request, clients (None for a request rate), and the largest batch possible."""

    request_batch: float
    clients: float | None
    largest_batch: float
    instances: int

    @property
    def possible(self) -> float:
        """Largest batch that can have run [samples]: what is in flight, at most what the server forms."""
        held = max(self.largest_batch, self.request_batch)
        return held if self.clients is None else min(held, self.clients * self.request_batch)


def _table(content: bytes) -> _Table:
    if len(content) > MAX_BYTES:
        raise InputError("file", f"{len(content):,} bytes", f"at most {MAX_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            "file", "this file", "a CSV file in UTF-8 as perf_analyzer or Model Analyzer writes it"
        ) from None
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    header: tuple[str, ...] = ()
    rows: list[_Row] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = tuple(cell.strip() for cell in cells)
                _check_header(header)
                continue
            if len(rows) == MAX_ROWS:
                raise InputError(f"line {reader.line_num}", "one more row", f"at most {MAX_ROWS:,} rows")
            rows.append(_Row(reader.line_num, dict(zip(header, cells, strict=False))))
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}", str(error), "comma-separated values") from None
    if not rows:
        raise InputError("file", "no row", "a header and at least one row under it")
    return _Table(header, tuple(rows))


def _check_header(header: tuple[str, ...]) -> None:
    known = (*INFERENCES, GPU_MEMORY)
    if not any(name in header for name in known) or not any(n in header for n in ("Concurrency", "Request Rate")):
        raise InputError("header", ",".join(header), f"a header with {NEEDED}")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise InputError("header", twice, "each column once")


def _load(row: _Row, request_batch: int, largest_batch: int) -> _Load:
    batch_column = next((name for name in ("Batch", "Batch Size") if row.text(name)), None)
    batch = row.number(batch_column, low=1, high=MAX_BATCH) if batch_column else float(request_batch)
    largest = (
        row.number("Max Batch Size", low=0, high=MAX_BATCH) if row.text("Max Batch Size") else float(largest_batch)
    )
    clients = row.number("Concurrency", low=0, high=1e6) if row.text("Concurrency") else 0.0
    if clients == 0.0:
        row.number("Request Rate", low=1e-6, high=1e9)
    group = re.match(r"\d+", row.text("Instance Group"))
    return _Load(batch, clients or None, largest, int(group[0]) if group and len(group[0]) < 5 else 1)


def _point(row: _Row, kind: FileKind, load: _Load) -> Point | str:
    """The batch and time of a row, or why it says neither."""
    per_s = row.number(INFERENCES[kind == "model_analyzer"], low=0.0, high=1e9)
    if per_s == 0.0:
        return "nothing was served"
    if load.instances > 1:
        return f"{load.instances} instances share the GPU, and the law is that of one"
    compute = _compute_ms(row, kind)
    if load.clients is None and load.possible > load.request_batch:
        return "at a request rate the batch that the server formed is not in the file; measure with concurrency"
    if compute > 0.0:
        batch = min(max(load.request_batch, per_s * compute / 1000.0), load.possible)
        return _checked(row, batch, compute, "compute times")
    if load.clients is None:
        return "without the server's compute times, a request rate says nothing of the time of a batch"
    batch = min(max(load.request_batch, load.clients * load.request_batch / 2.0), load.possible)
    return _checked(row, batch, batch / per_s * 1000.0, "batch / throughput")


def _checked(row: _Row, batch: float, time_ms: float, rule: str) -> Point:
    if not 1e-3 <= time_ms <= MAX_TIME_MS:
        raise InputError(
            f"line {row.line}, time of a batch", f"{time_ms:.4g} ms", f"from 0.001 to {MAX_TIME_MS:,.0f} ms"
        )
    return Point(row.line, batch, time_ms, rule)


def _compute_ms(row: _Row, kind: FileKind) -> float:
    """Time of a request in the model [ms]: compute input + infer + output; 0 where the file does not have it."""
    unit, suffix = (1000.0, "") if kind == "perf_analyzer" else (1.0, " time (ms)")
    names = [f"Server Compute {part}{suffix}" for part in COMPUTE]
    if not row.text(names[1]):
        return 0.0
    return sum(row.number(name, low=0.0, high=1e9) / unit for name in names if row.text(name))
