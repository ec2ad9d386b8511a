"""A scenario's own measurements: times of batches on one accelerator, and the law recalibrated with them.

They travel in one text field of the scenario, with what they were measured on:

    t4~torchvision-resnet50~224~onnxruntime~fp16~fused~1=2.1,8=9.4

accelerator, model, input size, runtime, precision, attention, then batch=milliseconds. They count where all of these are the
scenario's own, and nowhere else. The fit moves t0 and k by factors u and v that minimise

    sum of (ln(law(b) / measured) / noise)^2 + prior of (ln u, ln v),

the prior being centred on the prediction and as wide as its interval; so one row already scales the whole law, and many rows leave little of the prior.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.latency import BatchLaw
from sizing.deep_learning.own import CUSTOM
from sizing.deep_learning.perf_csv import Point
from sizing.errors import InputError
from sizing.plan import Step
from sizing.scenario import DeepLearningScenario

Floats = NDArray[np.float64]

FIELD = "measured_curve"

MOST_POINTS = 24
"""Most batches kept [1]; more are drawn together with their neighbours, so that the link stays short."""

NOISE = 0.07
"""Relative error of t0 + k b on a measured curve [1]. Source: public batch curves of 2019 to 2026 with five batches or more,
fitted with 1, 2 and 3 of their rows from a law that was off by its own interval: the rows left out fall inside the 80 %
interval in 79, 77 and 82 % of cases (0.05: 76, 67, 77 %), at a median error of 11, 9 and 8 % (before: 31 to 42 %)."""

PRIOR_CORRELATION = 0.7
"""Correlation of the errors of t0 and k under the prior [1]: a stated choice. Runtimes that are slow at one tend to be slow
at the other; at 0 one row would not move the part of the law that it does not show, at 1 the curve could only be scaled."""

LEAST_PRIOR = 0.6
"""Least standard deviation of t0 and of k alone before anything is measured [log]: the interval of a prediction is that of whole
batches, in which errors of t0 and k of opposite sign cancel; each alone is off by more. A stated choice, wide enough that
three rows decide."""

Z80 = 1.2816
"""Standard deviations from the middle to either end of an 80 % interval of a normal law [1]."""

FASTER_THAN_PHYSICS = 1.5
"""How much faster than operations at dense peak or one read of the weights a measurement may be before it is refused [1]:
peaks are stated for boost clocks, and a graph's multiply-adds may have been reduced."""

STEPS = 30


@dataclass(frozen=True)
class MeasuredCurve:
    """Times of batches measured on one accelerator [ms], and what they were measured on."""

    accelerator: str
    model: str
    input_size: int
    runtime: str
    precision: str
    attention: str
    batches: tuple[float, ...]
    times_ms: tuple[float, ...]

    def text(self) -> str:
        """The curve as the scenario's field has it; `parse_curve` reads it back.

        >>> parse_curve("t4~bert-base-uncased~512~tensorrt~fp16~fused~1=2.1,8=9.4").text()
        't4~bert-base-uncased~512~tensorrt~fp16~fused~1=2.1,8=9.4'
        """
        what = (self.accelerator, self.model, str(self.input_size), self.runtime, self.precision, self.attention)
        points = (f"{_short(b)}={_short(t)}" for b, t in zip(self.batches, self.times_ms, strict=True))
        return "~".join((*what, ",".join(points)))


@dataclass(frozen=True)
class Compared:
    """One measured batch beside the law before and after it was recalibrated [ms]."""

    batch: float
    measured_ms: float
    before_ms: float
    after_ms: float

    @property
    def error_before(self) -> float:
        """Relative error of the prediction [1]: predicted / measured - 1."""
        return self.before_ms / self.measured_ms - 1.0

    @property
    def error_after(self) -> float:
        """Relative error of the recalibrated law [1]."""
        return self.after_ms / self.measured_ms - 1.0


def _short(value: float) -> str:
    """Four significant digits, without an exponent."""
    digits = max(0, 3 - math.floor(math.log10(value)))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=64)
def parse_curve(text: str) -> MeasuredCurve:
    """Curve of the scenario's field (times in ms). Raises InputError where batches do not rise or a time is 0."""
    accelerator, model, size, runtime, precision, attention, points = text.split("~")
    pairs = [tuple(map(float, point.split("="))) for point in points.split(",")]
    batches, times = tuple(b for b, _ in pairs), tuple(t for _, t in pairs)
    if not 1 <= len(pairs) <= MOST_POINTS:
        raise InputError(FIELD, f"{len(pairs)} batches", f"1 to {MOST_POINTS} batches")
    if batches[0] < 1 or any(b >= c for b, c in pairwise(batches)):
        raise InputError(FIELD, points, "batches of at least 1 in rising order")
    if min(times) <= 0.0:
        raise InputError(FIELD, points, "times above 0 ms")
    return MeasuredCurve(accelerator, model, int(size), runtime, precision, attention, batches, times)


def check_curve(scenario: DeepLearningScenario, catalog: Catalog) -> None:
    """Raises InputError where the scenario's measurements do not parse, or name an accelerator or model nobody knows."""
    if scenario.measured_curve is None:
        return
    curve = parse_curve(scenario.measured_curve)
    for name, known in ((curve.accelerator, catalog.accelerators), (curve.model, catalog.deep_learning_models)):
        if name not in known and not name.startswith(f"{CUSTOM}-"):
            raise InputError(FIELD, name, "measurements of an accelerator and a model of the catalog")


def curve_of(
    scenario: DeepLearningScenario, graph: Graph, *, accelerator: str, points: Iterable[Point]
) -> MeasuredCurve:
    """Curve [samples, ms] of the rows of a file, measured on an accelerator with the scenario's model, size and runtime.

    Rows of the same batch count by their geometric mean; beyond `MOST_POINTS` so do neighbours.
    """
    rows = sorted((p.batch, p.time_ms) for p in points)
    groups: dict[str, list[tuple[float, float]]] = {}
    for batch, time_ms in rows:
        groups.setdefault(_short(batch), []).append((batch, time_ms))
    parts = list(groups.values())
    if len(parts) > MOST_POINTS:
        split = np.array_split(np.arange(len(parts)), MOST_POINTS)
        parts = [[pair for i in some for pair in parts[i]] for some in split]
    means = np.exp([np.log(part).mean(axis=0) for part in parts])
    return MeasuredCurve(
        accelerator=accelerator,
        model=model_key(scenario),
        input_size=graph.size,
        runtime=scenario.runtime,
        precision=scenario.precision,
        attention=scenario.attention,
        batches=tuple(float(_short(float(b))) for b in means[:, 0]),
        times_ms=tuple(float(_short(float(t))) for t in means[:, 1]),
    )


def model_key(scenario: DeepLearningScenario) -> str:
    """What a curve names as its model: the catalog id, or for a network of one's own custom and a checksum of its summary."""
    if scenario.custom_network is None:
        return scenario.model
    return f"{scenario.model}-{zlib.crc32(scenario.custom_network.encode()):08x}"


def in_use(scenario: DeepLearningScenario, graph: Graph, accelerator_id: str) -> MeasuredCurve | None:
    """The scenario's measurements if they were made on this accelerator with this model, size, runtime and precision."""
    if scenario.measured_curve is None or scenario.gpu_share != "whole" or scenario.reserved_share > 0.0:
        return None  # times were measured on a whole GPU
    curve = parse_curve(scenario.measured_curve)
    here = (model_key(scenario), graph.size, scenario.runtime, scenario.precision, scenario.attention, accelerator_id)
    there = (curve.model, curve.input_size, curve.runtime, curve.precision, curve.attention, curve.accelerator)
    return curve if here == there else None


def measured_law(law: BatchLaw, scenario: DeepLearningScenario, graph: Graph, accelerator: Accelerator) -> BatchLaw:
    """The law [ms] that counts on an accelerator: recalibrated where the scenario has measurements of it, else as it is.

    Raises InputError for a time shorter than physics allows, which says that it was measured on something else.
    """
    curve = in_use(scenario, graph, accelerator.id)
    if curve is None:
        return law
    for batch, time_ms in zip(curve.batches, curve.times_ms, strict=True):
        least = law.bound_ms(batch) / FASTER_THAN_PHYSICS
        if time_ms < least:
            raise InputError(
                FIELD,
                f"{time_ms:g} ms at batch {batch:g}",
                f"at least {least:.3g} ms, which {accelerator.name} needs at its peak for this model and precision: "
                "was it measured on another?",
            )
    return recalibrated(law, curve.batches, curve.times_ms)


def recalibrated(law: BatchLaw, batches: Sequence[float], times_ms: Sequence[float]) -> BatchLaw:
    """The law [ms] with t0 and k fitted to measured times [ms], and the 80 % interval that is left.

    minimise |ln(law(b) / measured) / noise|^2 + p' C^-1 p with p = (ln u, ln v), t0 = u t0', k = v k'; C is the model's own
    interval with `PRIOR_CORRELATION`. The interval is that of the fit at batch 1 or at twice the largest measured batch,
    whichever is wider, with the scatter of the rows (`NOISE` at least); never wider than the model's own.

    Source: linearised Gaussian posterior (Gauss-Newton), as in any text on Bayesian least squares.
    """
    at, measured = np.array(batches, dtype=np.float64), np.array(times_ms, dtype=np.float64)
    prior_sd = math.log(law.slow / law.fast) / (2.0 * Z80)
    inverse = np.linalg.inv(
        max(prior_sd, LEAST_PRIOR) ** 2 * np.array([[1.0, PRIOR_CORRELATION], [PRIOR_CORRELATION, 1.0]])
    )

    def parts(p: Floats, b: Floats) -> tuple[Floats, Floats]:
        """ln of the law and its slopes in p."""
        fixed, per = law.t0_ms * math.exp(p[0]), law.k_ms * math.exp(p[1]) * b
        total = fixed + per
        return np.log(total), np.stack([fixed / total, per / total], axis=1)

    def posterior(noise: float) -> tuple[Floats, Floats]:
        p = np.zeros(2)
        for _ in range(STEPS):
            value, slope = parts(p, at)
            normal = slope.T @ slope / noise**2 + inverse
            pull = slope.T @ (np.log(measured) - value) / noise**2 - inverse @ p
            p = p + np.clip(np.linalg.solve(normal, pull), -1.0, 1.0)
        slope = parts(p, at)[1]
        return p, np.linalg.inv(slope.T @ slope / noise**2 + inverse)

    p, _ = posterior(NOISE)
    left = np.log(measured) - parts(p, at)[0]
    scatter = max(NOISE, float(np.sqrt((left**2).sum() / max(1, len(at) - 2))))
    p, spread = posterior(scatter)
    ends = parts(p, np.array([1.0, 2.0 * at.max()]))[1]
    variance = float(np.einsum("bi,ij,bj->b", ends, spread, ends).max()) + scatter**2
    width = math.exp(min(Z80 * math.sqrt(variance), Z80 * prior_sd))
    return replace(law, t0_ms=law.t0_ms * math.exp(p[0]), k_ms=law.k_ms * math.exp(p[1]), fast=1.0 / width, slow=width)


def said_of(scenario: DeepLearningScenario, curve: MeasuredCurve, graph: Graph, *, name: str | None = None) -> str:
    """One sentence on where the scenario's measurements count; `name` is the accelerator as people call it."""
    what = f"{curve.model} at {curve.input_size:,}, {curve.runtime}, {curve.precision}, {curve.attention} attention"
    if in_use(scenario, graph, curve.accelerator) is None:
        return f"The measurements in this scenario are of {what}, so they do not count for what is sized here."
    count = len(curve.batches)
    return (
        f"The speed of {name or curve.accelerator} is recalibrated with {count} measured batch{'es' if count > 1 else ''}; "
        "other accelerators stay as predicted."
    )


def compared(before: BatchLaw, curve: MeasuredCurve) -> tuple[Compared, ...]:
    """Each measured batch beside the law as predicted and as recalibrated [ms]."""
    after = recalibrated(before, curve.batches, curve.times_ms)
    return tuple(
        Compared(b, t, before.latency_ms(b), after.latency_ms(b))
        for b, t in zip(curve.batches, curve.times_ms, strict=True)
    )


def median_errors(rows: Sequence[Compared]) -> tuple[float, float]:
    """Median absolute relative error [1] before and after.

    >>> median_errors([Compared(1, 2.0, 3.0, 2.1), Compared(8, 4.0, 5.0, 4.0)])
    (0.375, 0.025000000000000022)
    """
    return median(abs(r.error_before) for r in rows), median(abs(r.error_after) for r in rows)


def measured_steps(
    scenario: DeepLearningScenario, graph: Graph, law: BatchLaw, accelerator_id: str, batch: int
) -> tuple[Step, ...]:
    """Lines of the working for a law that was recalibrated [ms]; none where it was not."""
    curve = in_use(scenario, graph, accelerator_id)
    if curve is None:
        return ()
    shown = ", ".join(f"{b:g}: {t:g} ms" for b, t in zip(curve.batches, curve.times_ms, strict=True))

    def step(quantity: str, formula: str, numbers: str, value: float) -> Step:
        return Step(
            quantity=quantity,
            formula=formula,
            with_numbers=numbers,
            value=value,
            unit="ms",
            source="your measurements, sizing/deep_learning/measured.py",
            trust="measured",
        )

    fit = "least squares on ln(predicted / measured), with the prediction as prior"
    return (
        step("t0 of a batch", fit, f"batch: time {shown}", law.t0_ms),
        step("k of a sample", fit, f"batch: time {shown}", law.k_ms),
        step(
            "Time of a full batch",
            "t0 + k x batch",
            f"{law.t0_ms:.4g} + {law.k_ms:.4g} x {batch}",
            law.latency_ms(batch),
        ),
    )
