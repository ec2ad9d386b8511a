"""Where the time of a decode step goes: parts that sum to the predicted step, by batch size, and which one dominates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.llm.charts import replica_of
from sizing.llm.constants import Rates, engine_rates
from sizing.llm.search import MAX_SEARCH_BATCH, batch_grid
from sizing.llm.serving import uniform_tpot_ms
from sizing.llm.speed import Decode, decode
from sizing.plan import Deployment
from sizing.scenario import LlmScenario
from sizing.units import format_ms

Floats = NDArray[np.float64]

PARTS = ("weights", "matrix products", "KV cache", "attention products", "collectives", "overhead")
"""Parts of a step in the order in which they are stacked; overhead is kernel gaps, sequences and activations."""


@dataclass(frozen=True)
class StepCurve:
    """Parts of one decode step [ms] by batch size; at each batch they sum to `step_ms`."""

    batch: NDArray[np.intp]
    parts_ms: Mapping[str, Floats]
    step_ms: Floats
    prompts_ms: Floats  # what prompts of others add to each output token beyond the step
    chosen: int  # position of the deployment's batch limit


def step_parts(step: Decode, rates: Rates) -> dict[str, Floats]:
    """Parts of a step [ms] that sum to it, each of the shape of the step.

    Of weights W and matrix products P the longer counts in full, the other by u x its time, the share that is not
    hidden; of KV cache K and attention products A only the longer: W >= P gives W + u x P, else u x W + P; K >= A gives
    K, else A. Collectives and overhead as they are. All are scaled by step / sum, which is the interval's factor, or
    what the physical bound adds.

    Source: the sum in `sizing.llm.speed.decode`; the split is a choice of this product: what dominates is what a faster
    part would shorten.
    """
    by_weights, by_cache = step.weights_ms >= step.products_ms, step.kv_ms >= step.attention_ms
    hidden = rates.not_hidden
    raw = {
        "weights": np.where(by_weights, step.weights_ms, hidden * step.weights_ms),
        "matrix products": np.where(by_weights, hidden * step.products_ms, step.products_ms),
        "KV cache": np.where(by_cache, step.kv_ms, 0.0),
        "attention products": np.where(by_cache, 0.0, step.attention_ms),
        "collectives": step.collective_ms,
        "overhead": step.overhead_ms,
    }
    scale = step.step_ms / sum(raw.values())
    return {name: np.asarray(part * scale) for name, part in raw.items()}


def dominant(parts_ms: Mapping[str, float]) -> tuple[str, float]:
    """The longest part of a step and its share of all [1].

    >>> dominant({"weights": 6.0, "KV cache": 2.0})
    ('weights', 0.75)
    """
    name = max(parts_ms, key=lambda part: parts_ms[part])
    return name, parts_ms[name] / sum(parts_ms.values())


def step_curve(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> StepCurve:
    """Parts of a decode step [ms] of one replica of the deployment by batch size, up to what memory holds.

    Raises InputError for a deployment that is none of a language model.
    """
    work, memory = replica_of(scenario, catalog, deployment)
    rates = engine_rates(scenario.runtime, scenario.engine_version)[0]
    chosen = deployment.batch or 1
    held = memory.held(scenario.prompt_tokens + scenario.output_tokens)
    powers = [b for b in batch_grid(min(held, MAX_SEARCH_BATCH)) if b & (b - 1) == 0]
    batch = np.union1d(powers, [chosen, max(chosen, min(held, MAX_SEARCH_BATCH))]).astype(np.intp)
    columns = batch.astype(float)[None, :]
    step = decode(work, columns, rates)
    tpot_ms, _ = uniform_tpot_ms(work, columns, scenario.output_tokens, rates)
    return StepCurve(
        batch=batch,
        parts_ms={name: part[0] for name, part in step_parts(step, rates).items()},
        step_ms=step.step_ms[0],
        prompts_ms=tpot_ms[0] - step.step_ms[0],
        chosen=int(np.searchsorted(batch, chosen)),
    )


def step_words(curve: StepCurve) -> str:
    """One sentence: what dominates a step at the chosen batch, and what at the largest."""
    first, last = curve.chosen, len(curve.batch) - 1
    here, share = dominant(_at(curve, first))
    said = f"At batch {curve.batch[first]:,}, the batch limit, a step takes {format_ms(float(curve.step_ms[first]))}; "
    said += f"its largest part is {_SENTENCE[here]} ({share * 100:.0f} %)"
    if last == first:
        return f"{said}. No larger batch fits or is searched."
    there, most = dominant(_at(curve, last))
    still = "still " if here == there else ""
    whole = format_ms(float(curve.step_ms[last]))
    return f"{said}; at batch {curve.batch[last]:,}, the largest, it is {still}{_SENTENCE[there]} ({most * 100:.0f} % of {whole})."


def _at(curve: StepCurve, position: int) -> dict[str, float]:
    return {name: float(part[position]) for name, part in curve.parts_ms.items()}


_SENTENCE = {
    "weights": "reading weights",
    "matrix products": "computing matrix products",
    "KV cache": "reading the KV cache",
    "attention products": "computing attention",
    "collectives": "traffic between accelerators",
    "overhead": "overhead (kernel gaps, sequences, activations)",
}
