"""A scenario's own measurements of its model: mean times of calls by rows, with where and of what they were taken.

They travel in one text field of the scenario:

    aws-c6i-large~3f09ab12~request~1=1.9,64=4.2      a load test of a deployment on that instance
    host-0.45~3f09ab12~model~1=0.031,64=0.2          calls timed on some machine of time factor 0.45

where, fingerprint of model and runtime, what was timed, then rows=milliseconds, with the relative standard deviation of that mean
behind a colon where it is known (1=1.9:0.08). `request` is a reply as the server gives it
(model and web server), `model` the predict call alone. The time factor of a machine is that of `sizing.cpu`: time of its core
over that of the catalog's host. Measurements count where the fingerprint is the scenario's own, and nowhere else.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Literal

from sizing.errors import InputError
from sizing.scenario import StatisticalScenario
from sizing.scenario_words import MEASURED_SERVICE, PATTERN_WORDS
from sizing.statistical.own import resolved

FIELD = "measured_service"

HOST = "host-"
"""What stands before the time factor where the machine is not one of the catalog."""

_FACTOR = r"\d{1,2}(\.\d{1,4})?"

MODEL_FIELDS = (
    "family",
    "runtime",
    "features",
    "outputs",
    "trees",
    "depth",
    "leaves",
    "support_vectors",
    "training_rows",
    "clusters",
    "hidden_layers",
    "custom_model",
)
"""Fields of a scenario that say which model runs in what; the fingerprint is of their values."""

Timed = Literal["model", "request"]


@dataclass(frozen=True)
class MeasuredService:
    """Mean times [ms] of calls with so many rows, on a catalog instance or on a machine of a time factor."""

    where: str
    fingerprint: str
    timed: Timed
    rows: tuple[int, ...]
    times_ms: tuple[float, ...]
    errors: tuple[float, ...] = ()

    @property
    def cpu_factor(self) -> float | None:
        """Time factor of the machine [1] where it is not one of the catalog; None where it is."""
        return float(self.where.removeprefix(HOST)) if self.where.startswith(HOST) else None

    def text(self) -> str:
        """The measurements as the scenario's field has them; `parse_measured` reads them back.

        >>> parse_measured("host-0.45~3f09ab12~model~1=0.031,64=0.2").text()
        'host-0.45~3f09ab12~model~1=0.031,64=0.2'
        """
        errors = self.errors or (0.0,) * len(self.rows)
        points = (
            f"{rows}={_short(ms)}" + (f":{min(error, 0.999):.3f}" if error >= 0.0005 else "")
            for rows, ms, error in zip(self.rows, self.times_ms, errors, strict=True)
        )
        return "~".join((self.where, self.fingerprint, self.timed, ",".join(points)))


def parse_measured(text: str) -> MeasuredService:
    """Measurements from the scenario's text. Raises InputError if it does not follow the pattern or repeats a row count.

    >>> parse_measured("aws-c6i-large~3f09ab12~request~1=1.9,64=4.2").rows
    (1, 64)
    """
    if not re.fullmatch(MEASURED_SERVICE.strip("^$"), text):
        raise InputError(FIELD, text, PATTERN_WORDS[MEASURED_SERVICE])
    where, fingerprint, timed, points = text.split("~")
    if where.startswith(HOST) and not re.fullmatch(HOST + _FACTOR, where):
        raise InputError(FIELD, where, "an instance, or host-<time factor from 0.0001 to 99>")
    pairs = [point.split("=") for point in points.split(",")]
    rows = tuple(int(left) for left, _ in pairs)
    times = tuple(float(right.partition(":")[0]) for _, right in pairs)
    errors = tuple(float(right.partition(":")[2] or 0.0) for _, right in pairs)
    if len(set(rows)) < len(rows) or min(times) <= 0 or min(rows) < 1:
        raise InputError(FIELD, text, "each number of rows once, rows and times above 0")
    return MeasuredService(
        where, fingerprint, "model" if timed == "model" else "request", rows, times, errors if any(errors) else ()
    )


def fingerprint(scenario: StatisticalScenario) -> str:
    """Eight hexadecimal digits that stand for the scenario's model and runtime; with a model of its own, what is typed beside it
    does not count. Raises InputError for a summary that is none.

    >>> fingerprint(StatisticalScenario()) == fingerprint(StatisticalScenario(requests_per_s=1))
    True
    >>> fingerprint(StatisticalScenario()) == fingerprint(StatisticalScenario(trees=99))
    False
    """
    of = resolved(scenario)
    values = repr([getattr(of, name) for name in MODEL_FIELDS])
    return hashlib.sha256(values.encode()).hexdigest()[:8]


def _short(value: float) -> str:
    """Four significant digits, without an exponent."""
    digits = max(0, 3 - math.floor(math.log10(value)))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
