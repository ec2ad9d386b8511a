"""Facts of a deep learning model at one input size: parameters, multiply-adds, and activations per sample in fp32.

The catalog holds traces (one forward pass of one sample by the lifetime of each storage). At a traced size the figures are
exact; at another size they follow the law of the operators, y = a + b x + c x^2 with a, b, c >= 0, where x is the area of an
image or the length of a sequence and c is there for attention only. The *sum* of activations adds up everything a forward
pass writes; the *peak live* figure is the most that is alive at one moment, and only that one sizes a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.catalog_rows import Trust
from sizing.deep_learning.operators import OperatorKind, Totals
from sizing.deep_learning_rows import DeepLearningModel, Trace
from sizing.errors import InputError
from sizing.scenario_deep_learning import Attention

Floats = NDArray[np.float64]

BETWEEN_TRACES_SHARE = 0.16
"""80 % error share [1] of the law between traced sizes. Source: each inner trace left out in turn, 2026-11-22 (152 cases a
quantity; P80 0.16 for multiply-adds, 0.004 for the sum, 0.04 for the peak)."""

OUTSIDE_TRACES_SHARE = 0.45
"""80 % error share [1] of the law beyond the traced sizes. Source: each outermost trace left out in turn, 2026-11-22 (200
cases a quantity; P80 0.44 for multiply-adds, 0.19 for the sum, 0.16 for the peak)."""

MIN_DONORS = 5
"""Traced models of the same kind of input needed to estimate one without a trace [1]; fewer show no spread."""

MIN_IMAGE_SIDE = 32
"""Smallest image side accepted [pixels]: the convolutional networks here halve the side five times."""

MAX_IMAGE_GROWTH = 2.0
"""Largest image side accepted, as a multiple of the largest traced side [1]; further out the law is a guess."""


@dataclass(frozen=True)
class Stage:
    """One network of a pipeline: its graph, runs for a request [1], samples of its own for one of the request [1], what it
    keeps while it repeats [bytes in fp32, for one sample], and its precision if that is not the scenario's."""

    name: str
    graph: Graph
    repeats: int
    batch_factor: int
    precision: Literal["fp32"] | None
    state_bytes_fp32: int


@dataclass(frozen=True)
class Graph:
    """One model at one input size, per sample and in fp32 [bytes]; `error_share` is 0 where the figures are exact.

    With `stages` it is a pipeline: multiply-adds, operators and the sum of activations are those of all runs of all stages,
    the peak is the greatest of any stage, and what holds for one stage alone is asked of that stage.
    """

    model: DeepLearningModel
    size: int
    size_unit: str
    macs: float
    operators: int
    input_bytes_fp32: int
    buffers_bytes: int
    sum_activation_bytes_fp32: int
    peak_live_bytes_fp32: int
    peak_at: str | None
    error_share: float
    trust: Trust
    source: str
    stages: tuple[Stage, ...] = ()
    work: tuple[tuple[OperatorKind, Totals], ...] = ()  # by kind of operator, of a network of one's own
    live_bytes_fp32: tuple[int, ...] = ()  # over its forward pass

    @property
    def parameters(self) -> int:
        """Parameters of the whole model (count)."""
        return self.model.params

    @property
    def weights_bytes_fp32(self) -> int:
        """Size of the weights in fp32 [bytes]: 4 x parameters."""
        return 4 * self.model.params

    @property
    def input_is_float(self) -> bool:
        """Whether the input shrinks with the precision; token ids stay 8-byte integers."""
        return self.model.input_kind != "tokens"


def allowed_sizes(model: DeepLearningModel) -> tuple[int, int]:
    """Smallest and largest input size that can be sized.

    Sequences end at the longest traced one (position tables end there); images may grow to `MAX_IMAGE_GROWTH` times the
    largest traced side. Without traces an image scales by area and a sequence has its usual length only.
    """
    usual = model.input_default_size
    sizes = [trace.size for trace in model.traces] or [usual]
    if model.input_kind in ("image", "latent"):
        return min(MIN_IMAGE_SIDE, *sizes), int(MAX_IMAGE_GROWTH * max(*sizes, usual))
    if model.input_kind == "video" or not model.traces:
        return min(sizes), max(sizes)
    return 1, max(*sizes, usual)


def graph(
    catalog: Catalog,
    model_id: str,
    *,
    input_size: int | None = None,
    attention: Attention = "fused",
    steps: int | None = None,
    output_tokens: int | None = None,
) -> Graph:
    """Facts of a catalog model at an input size, per sample in fp32. Exact at a traced size, else y = a + b x + c x^2.

    A pipeline repeats its stages by `steps` or `output_tokens` [1], the usual numbers of its row if None.

    Raises InputError for an unknown model or a size outside `allowed_sizes`.

    Source: the traces of the catalog row; without any, the ratios of traced models of the same kind of input.

    >>> from sizing.catalog import load
    >>> g = graph(load(), "torchvision-resnet50")
    >>> g.parameters, g.sum_activation_bytes_fp32, g.peak_live_bytes_fp32
    (25557032, 91332512, 10436608)
    """
    model = catalog.deep_learning_model(model_id)
    usual = model.input_default_size
    size = usual if input_size is None else input_size
    low, high = _allowed_in_pipeline(catalog, model) if model.stages else allowed_sizes(model)
    if not low <= size <= high:
        allowed = f"{low}, the only size known" if low == high else f"a whole number from {low} to {high}"
        raise InputError("input_size", size, f"{allowed} for {model.id} ({model.input_unit})")
    if model.stages:
        runs = {
            "once": 1,
            "steps": steps or model.usual_steps or 1,
            "output_tokens": output_tokens or model.usual_output_tokens or 1,
        }
        return _pipeline(catalog, model, size, attention, runs)
    traces = sorted((t for t in model.traces if t.attention in (None, attention)), key=lambda t: t.size)
    for trace in traces:
        if trace.size == size:
            return _traced(model, trace)
    return _by_law(model, traces, size) if traces else _by_family(catalog, model, size, attention)


def _allowed_in_pipeline(catalog: Catalog, model: DeepLearningModel) -> tuple[int, int]:
    """Smallest and largest input size that every stage without a size of its own accepts."""
    ranges = [allowed_sizes(catalog.deep_learning_model(s.model)) for s in model.stages if s.size is None]
    if not ranges:
        return model.input_default_size, model.input_default_size
    return max(low for low, _ in ranges), min(high for _, high in ranges)


def _pipeline(
    catalog: Catalog, model: DeepLearningModel, size: int, attention: Attention, runs: dict[str, int]
) -> Graph:
    """Graph of a pipeline from those of its stages: sums of all runs, and the greatest peak."""
    stages = tuple(
        Stage(
            name=row.name,
            graph=graph(catalog, row.model, input_size=row.size or size, attention=attention),
            repeats=runs[row.repeats],
            batch_factor=row.batch_factor,
            precision=row.precision,
            state_bytes_fp32=row.state_bytes_fp32 + row.state_bytes_fp32_per_repeat * runs[row.repeats],
        )
        for row in model.stages
    )
    top = max(stages, key=lambda s: s.graph.peak_live_bytes_fp32 * s.batch_factor)
    return Graph(
        model=model,
        size=size,
        size_unit=model.input_unit,
        macs=sum(s.graph.macs * s.repeats * s.batch_factor for s in stages),
        operators=sum(s.graph.operators * s.repeats for s in stages),
        input_bytes_fp32=model.input_bytes_fp32_per_sample,
        buffers_bytes=sum(s.graph.buffers_bytes for s in stages),
        sum_activation_bytes_fp32=sum(s.graph.sum_activation_bytes_fp32 * s.repeats * s.batch_factor for s in stages),
        peak_live_bytes_fp32=top.graph.peak_live_bytes_fp32 * top.batch_factor,
        peak_at=f"{top.name}, {top.graph.peak_at}" if top.graph.peak_at else top.name,
        error_share=max(s.graph.error_share for s in stages),
        trust="derived",
        source="its stages: " + ", ".join(s.name for s in stages),
        stages=stages,
    )


def _traced(model: DeepLearningModel, trace: Trace) -> Graph:
    return Graph(
        model=model,
        size=trace.size,
        size_unit=model.input_unit,
        macs=float(trace.macs),
        operators=trace.operators,
        input_bytes_fp32=trace.input_bytes_fp32,
        buffers_bytes=trace.buffers_bytes_fp32,
        sum_activation_bytes_fp32=trace.sum_activation_bytes_fp32,
        peak_live_bytes_fp32=trace.peak_live_bytes_fp32,
        peak_at=trace.peak_at,
        error_share=0.0,
        trust="single_source",
        source=trace.source,
    )


def _by_law(model: DeepLearningModel, traces: list[Trace], size: int) -> Graph:
    """Graph between or beyond the traced sizes, by the law fitted to them."""
    at = _extent(model, np.array([trace.size for trace in traces], dtype=np.float64))
    here = float(_extent(model, np.array([size], dtype=np.float64))[0])
    terms = 3 if traces[0].attention is not None else 2

    def law(values: list[int]) -> float:
        return law_value(at=at, values=np.array(values, dtype=np.float64), here=here, terms=terms)

    inside = traces[0].size < size < traces[-1].size
    nearest = min(traces, key=lambda trace: abs(trace.size - size))
    return Graph(
        model=model,
        size=size,
        size_unit=model.input_unit,
        macs=law([t.macs for t in traces]),
        operators=nearest.operators,
        input_bytes_fp32=round(law([t.input_bytes_fp32 for t in traces])),
        buffers_bytes=nearest.buffers_bytes_fp32,
        sum_activation_bytes_fp32=round(law([t.sum_activation_bytes_fp32 for t in traces])),
        peak_live_bytes_fp32=round(law([t.peak_live_bytes_fp32 for t in traces])),
        peak_at=None,
        error_share=BETWEEN_TRACES_SHARE if inside else OUTSIDE_TRACES_SHARE,
        trust="derived",
        source=f"law of the operators fitted to traces at {', '.join(str(t.size) for t in traces)} {model.input_unit}",
    )


def _extent(model: DeepLearningModel, sizes: Floats) -> Floats:
    """What activations grow with: the area of an image, the length of a sequence."""
    return sizes**2 if model.input_kind in ("image", "latent") else sizes


def law_value(*, at: Floats, values: Floats, here: float, terms: int) -> float:
    """Value at `here` of the law y = a + b x + c x^2 (`terms` of them, none negative) through traced values, in their unit.

    Relative least squares; kept between the neighbouring traced values, so that more input never gives less.

    >>> round(law_value(at=np.array([1.0, 2.0, 4.0]), values=np.array([3.0, 5.0, 9.0]), here=3.0, terms=2), 6)
    7.0
    """
    scale = at.max()
    columns = np.stack([(at / scale) ** power for power in range(terms)], axis=1) / values[:, None]
    best, least = np.zeros(terms), np.inf
    for count in range(1, terms + 1):
        for chosen in combinations(range(terms), count):
            solved = np.linalg.lstsq(columns[:, chosen], np.ones(len(at)), rcond=None)[0]
            misfit = float(((columns[:, chosen] @ solved - 1.0) ** 2).sum())
            if (solved >= 0.0).all() and misfit < least - 1e-12:
                best, least = np.zeros(terms), misfit
                best[list(chosen)] = solved
    value = float(best @ np.array([(here / scale) ** power for power in range(terms)]))
    below, above = values[at <= here], values[at >= here]
    return float(np.clip(value, below.max() if len(below) else 0.0, above.min() if len(above) else np.inf))


def _by_family(catalog: Catalog, model: DeepLearningModel, size: int, attention: Attention) -> Graph:
    """Graph of a model without traces, from ratios of traced models with the same kind of input.

    Activations of an image network are taken as proportional to sqrt(multiply-adds x input bytes), which grows with the area
    as they do; those of a sequence model as proportional to its multiply-adds. The median ratio counts; its spread is stated.
    """
    if model.gmacs is None:
        raise InputError("model", model.id, "a model whose multiply-adds or trace the catalog has")
    growth = (size / model.input_default_size) ** 2
    macs, input_bytes = model.gmacs * 1e9 * growth, model.input_bytes_fp32_per_sample * growth
    image = model.input_kind == "image"

    def yardstick(macs: float, input_bytes: float) -> float:
        return (macs * input_bytes) ** 0.5 if image else macs

    donors = [
        trace
        for other in catalog.deep_learning_models.values()
        if other.input_kind == model.input_kind and not other.stage_only
        for trace in other.traces
        if trace.size == other.input_default_size and trace.attention == (None if image else attention)
    ]
    if len(donors) < MIN_DONORS:
        raise InputError("model", model.id, f"a model with a trace, or of a kind that has {MIN_DONORS} traced models")
    scales = np.array([yardstick(t.macs, t.input_bytes_fp32) for t in donors])
    sums = np.array([t.sum_activation_bytes_fp32 for t in donors]) / scales
    peaks = np.array([t.peak_live_bytes_fp32 for t in donors]) / scales
    here = yardstick(macs, input_bytes)
    middles = [float(np.median(ratios)) for ratios in (sums, peaks)]
    spread = max(
        max(float(np.quantile(ratios, 0.9)) / middle, middle / float(np.quantile(ratios, 0.1)))
        for ratios, middle in zip((sums, peaks), middles, strict=True)
    )
    return Graph(
        model=model,
        size=size,
        size_unit=model.input_unit,
        macs=macs,
        operators=round(float(np.median([t.operators for t in donors]))),
        input_bytes_fp32=round(input_bytes),
        buffers_bytes=0,
        sum_activation_bytes_fp32=round(middles[0] * here),
        peak_live_bytes_fp32=round(middles[1] * here),
        peak_at=None,
        error_share=spread - 1.0,
        trust="derived",
        source=f"median ratio of {len(donors)} traced {model.input_kind} models to multiply-adds and input",
    )
