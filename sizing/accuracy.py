"""Predicted against measured: which of the measured figures a view looks at, and what their errors sum up to.

A point of a thinned table stands for several figures; counts, medians and shares weigh it so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sizing.accuracy_points import Point, Skipped, Stated, book
from sizing.accuracy_view import AccuracyView, Family
from sizing.errors import InputError

WORST = 10
LEAST_GROUP = 3
"""Fewest figures of which an error is stated in a table (count)."""

By = Literal["quantity", "model", "hardware", "engine", "format"]
FILTERS: tuple[tuple[str, By], ...] = (("models", "model"), ("hardware", "hardware"), ("engines", "engine"))
"""Lists of a view, and what of a point each holds."""


@dataclass(frozen=True)
class Quantity:
    """A measured quantity in words, with its unit."""

    words: str
    unit: str

    @property
    def titled(self) -> str:
        """Words with the unit in brackets."""
        return f"{self.words} ({self.unit})"


QUANTITIES: dict[str, Quantity] = {
    "tpot_ms": Quantity("time per output token (TPOT)", "ms"),
    "ttft_ms": Quantity("time to first token (TTFT)", "ms"),
    "output_tokens_per_s": Quantity("output of all accelerators", "tokens/s"),
    "output_tokens_per_s_per_accelerator": Quantity("output of an accelerator", "tokens/s"),
    "total_tokens_per_s": Quantity("tokens, prompts included", "tokens/s"),
    "batch_latency_s": Quantity("time of a whole batch", "s"),
    "decode_tokens_per_s": Quantity("decode rate of one sequence", "tokens/s"),
    "prefill_tokens_per_s": Quantity("prefill rate of one prompt", "tokens/s"),
    "kv_cache_tokens": Quantity("tokens the KV cache holds", "tokens"),
    "kv_cache_gib": Quantity("KV cache on a rank", "GiB"),
    "weights_gib": Quantity("weights on a rank", "GiB"),
    "latency_ms": Quantity("time of a request of one batch", "ms"),
    "samples_per_s": Quantity("throughput of batch curves", "samples/s"),
    "samples_per_sec": Quantity("throughput of a large batch", "samples/s"),
    "memory_mb": Quantity("GPU memory", "MB"),
    "service_time_us": Quantity("CPU time of a call", "µs"),
    "service_time_us_calibrated": Quantity("CPU time of a call after one timing", "µs"),
    "least_time_busy_us": Quantity("least CPU time of a call, busy host", "µs"),
    "file_bytes": Quantity("model file", "bytes"),
    "resident_bytes": Quantity("memory of a loaded model", "bytes"),
    "mean_wait": Quantity("mean wait", "mean service times"),
    "p_wait": Quantity("chance of a wait", "share"),
    "mean_sojourn": Quantity("mean time in system", "mean service times"),
}
"""Measured quantities by the names that `score` gives them, in the order in which they are offered; percentiles of queues are
read from their name."""
IN_FLIGHT = {
    "llm": "concurrency {:,.6g}", "deep_learning": "batch {:,.6g}", "deep_learning_memory": "batch {:,.6g}",
    "statistical": "{:,.6g} rows a call",
}  # fmt: skip
"""What the batch of a point stands for, by family."""


def quantity_of(name: str) -> Quantity:
    """A quantity in words.

    >>> quantity_of("p95_sojourn").titled, quantity_of("joules").titled
    ('p95 time in system (mean service times)', 'joules (unit not known)')
    """
    start, _, end = name.partition("_")
    if start[:1] == "p" and start[1:].isdigit() and end in ("sojourn", "wait"):
        return Quantity(f"{start} {'time in system' if end == 'sojourn' else 'wait'}", "mean service times")
    return QUANTITIES.get(name, Quantity(name.replace("_", " "), "unit not known"))


@dataclass(frozen=True, slots=True)
class Summary:
    """Errors of some figures: how many, median and P90 of the absolute error [1], median of the signed one [1], share inside."""

    name: str
    count: int
    median_error: float
    p90_error: float
    bias: float
    inside: float | None


@lru_cache(maxsize=len(get_args(Family)))
def points_of(family: Family) -> tuple[Point, ...]:
    """The points of a family."""
    return tuple(p for p in book().points if p.kind == family)


def load_words(point: Point) -> str:
    """What was in flight, in words; blank where the point says nothing of it."""
    words = IN_FLIGHT[point.kind].format(point.batch) if point.batch and point.kind in IN_FLIGHT else ""
    return words.replace("rows", "row") if point.batch == 1 else words


@lru_cache(maxsize=64)
def counts(family: Family, by: By) -> dict[str, int]:
    """Figures of each quantity, model, accelerator, engine or format of a family [count]; quantities in the order in which they are
    offered, of the others the one with most first."""
    found: dict[str, float] = {}
    for point in points_of(family):
        found[getattr(point, by)] = found.get(getattr(point, by), 0.0) + point.stands_for
    places = {name: place for place, name in enumerate(QUANTITIES)} if by == "quantity" else {}
    ordered = sorted(found, key=lambda name: (places.get(name, len(places)), -found[name], name))
    return {name: round(found[name]) for name in ordered}


def workable(view: AccuracyView) -> tuple[AccuracyView, tuple[InputError, ...]]:
    """The view with each name that the points of its family lack left out, and a sentence for each of those; a view without a
    quantity gets the first."""
    refused: list[InputError] = []
    known = counts(view.family, "quantity")
    changes: dict[str, object] = {}
    if view.quantity not in known:
        if view.quantity is not None:
            refused.append(InputError("quantity", view.quantity, f"one of {', '.join(list(known)[:12])}"))
        changes["quantity"] = next(iter(known))
    for field, by in FILTERS:
        names: tuple[str, ...] = getattr(view, field)
        usable = tuple(name for name in names if name in counts(view.family, by))
        refused += [
            InputError(field, name, f"a name that was measured in {view.family}")
            for name in names
            if name not in usable
        ]
        changes[field] = usable
    return view.model_copy(update=changes), tuple(refused)


@lru_cache(maxsize=32)
def chosen(view: AccuracyView) -> tuple[Point, ...]:
    """The points that a view looks at; where calibration had seen every one of a quantity, those too."""
    words = view.search.lower().split()
    held_only = view.held_only and any(p.held for p in points_of(view.family) if view.quantity in (None, p.quantity))
    return tuple(
        p
        for p in points_of(view.family)
        if (view.quantity is None or p.quantity == view.quantity)
        and all(not getattr(view, field) or getattr(p, by) in getattr(view, field) for field, by in FILTERS)
        and (p.held or not held_only)
        and all(
            word in f"{p.model} {p.hardware} {p.engine} {p.format} batch {p.batch:g} {p.setting}".lower()
            for word in words
        )
    )


def quantile(values: NDArray[np.float64], stand_for: NDArray[np.float64], share: float) -> float:
    """Quantile of values that each stand for several, as numpy has it of each value repeated so often.

    >>> quantile(np.array([1.0, 2.0]), np.array([1.0, 3.0]), 0.5), float(np.quantile([1, 2, 2, 2], 0.5))
    (2.0, 2.0)
    """
    order = np.argsort(values)
    ends = np.cumsum(stand_for[order])
    places = np.stack([ends - stand_for[order], ends - 1.0], axis=1).ravel()
    return float(np.interp(share * (ends[-1] - 1.0), places, np.repeat(values[order], 2)))


def summary(name: str, some: Sequence[Point]) -> Summary | None:
    """Errors of some points; None where there are none.

    >>> p = Point("llm", "q", "m", "", "h", "e", "f", 0.0, 1.0, "s", 10.0, 12.0, 9.0, 13.0, True, "x", "")
    >>> s = summary("all", [p])
    >>> round(s.median_error, 3), s.inside
    (0.2, 1.0)
    """
    if not some:
        return None
    errors, stand_for = np.array([p.error for p in some]), np.array([p.stands_for for p in some])
    off = np.asarray(abs(errors), dtype=np.float64)
    inside = [(bool(p.inside), p.stands_for) for p in some if p.inside is not None]
    share = sum(yes * n for yes, n in inside) / sum(n for _, n in inside) if inside else None
    return Summary(
        name, round(float(stand_for.sum())), quantile(off, stand_for, 0.5), quantile(off, stand_for, 0.9),
        quantile(errors, stand_for, 0.5), share,
    )  # fmt: skip


def overall(view: AccuracyView) -> Summary | None:
    """Errors of what a view looks at: of all figures, as calibration stated them, where nothing but the quantity is chosen; else
    of the points."""
    filtered = view.search.strip() or any(getattr(view, field) for field, _ in FILTERS)
    rows = [r for r in stated_of(view.family, view.quantity) if r.of_points] if not filtered and chosen(view) else []
    if len(rows) != 1:
        return summary("all", chosen(view))
    (row,) = rows
    inside = None if row.inside_percent is None else row.inside_percent / 100.0
    return Summary(
        "all", row.count, row.median_percent / 100.0, row.p90_percent / 100.0, row.bias_percent / 100.0, inside
    )


def by_group(some: Sequence[Point], by: By) -> tuple[Summary, ...]:
    """Errors by quantity, model, accelerator, engine or format, most figures first; groups of fewer than three are left out."""
    groups: dict[str, list[Point]] = {}
    for point in some:
        groups.setdefault(getattr(point, by), []).append(point)
    found = [s for name, members in groups.items() if len(members) >= LEAST_GROUP and (s := summary(name, members))]
    return tuple(sorted(found, key=lambda s: (-s.count, s.name)))


def ratio(point: Point) -> float:
    """How many times prediction and measurement differ, either way [1]."""
    return max(point.predicted / point.measured, point.measured / point.predicted)


def worst(some: Iterable[Point], most: int = WORST) -> tuple[Point, ...]:
    """The points with the largest ratio between prediction and measurement, either way, largest first."""
    return tuple(sorted(some, key=ratio, reverse=True)[:most])


def by_source(some: Iterable[Point]) -> tuple[tuple[str, int], ...]:
    """Figures by the source in full, most first [count]."""
    found: dict[str, float] = {}
    for point in some:
        found[point.source] = found.get(point.source, 0.0) + point.stands_for
    sources = book().head.sources
    return tuple((sources[s], round(found[s])) for s in sorted(found, key=lambda s: (-found[s], s)))


def stated_of(family: Family, quantity: str | None) -> tuple[Stated, ...]:
    """Errors that calibration stated for a quantity, by what was left out of the fit."""
    return tuple(r for r in book().head.stated if r.kind == family and r.quantity == quantity)


def skipped_of(family: Family) -> tuple[Skipped, ...]:
    """Measured rows of a family without a prediction, most first."""
    return tuple(sorted((s for s in book().head.skipped if s.kind == family), key=lambda s: -s.count))
