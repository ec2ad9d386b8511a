"""Least cost of a format on each machine, by arrays over all configurations and without the memory an engine needs.

The true cost is never less: memory is counted as weights and KV cache only, nothing waits and drafting costs nothing. A wide search works out in
full only what these bounds leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sizing.catalog_rows import Accelerator, LlmModel
from sizing.fleet import Offer
from sizing.llm.candidates import (
    MOST_MACHINES_PER_REPLICA,
    degrees,
    scenario_model_work,
    scenario_work,
    split_of,
    unsupported,
)
from sizing.llm.constants import Rates, engine_rates, factors_of, family_of, generation_of
from sizing.llm.formats import compute_peak, scheme_of
from sizing.llm.recalibration import fastest_factors
from sizing.llm.search import MAX_SEARCH_BATCH, Floats, Ints, batch_grid
from sizing.llm.serving import capacity_per_s, uniform_tpot_ms
from sizing.llm.shortage import Miss
from sizing.llm.work import ModelWork, Work, select, stack
from sizing.scenario import LlmScenario

_MODEL_FIELDS = tuple(f.name for f in fields(ModelWork))


@dataclass(frozen=True)
class Table:
    """Configurations of a replica on some accelerators, side by side: what does not depend on the formats."""

    parts: tuple[Accelerator, ...]
    part: Ints  # of each row, place in `parts`
    degree: Ints  # of each row, place in `tensor`
    tensor: tuple[int, ...]
    pipeline: Floats
    accelerators: Ints  # of a replica
    width: Ints
    work: Work


@dataclass(frozen=True)
class Bounds:
    """For one scenario: the fewest replicas of each row (0: it cannot serve), and the limit missed by least if none can."""

    table: Table
    replicas: Floats
    miss: Miss | None

    def usd_per_hour(self, offer: Offer, spare_replicas: int) -> float:
        """Least cost of a machine that serves the load [USD/h]; infinite where it cannot."""
        machines = self._machines(offer, spare_replicas)
        return float(machines) * offer.price.usd_per_hour

    def _machines(self, offer: Offer, spare_replicas: int) -> float:
        table, count = self.table, offer.instance.accelerator_count or 1
        rows = np.flatnonzero((self.replicas > 0) & (table.part == _place(table, offer)) & (table.width <= count))
        each = table.accelerators[rows]
        needed = self.replicas[rows] + spare_replicas
        inside = np.ceil(needed / np.maximum(count // each, 1))
        spread = np.where(-(-each // count) <= MOST_MACHINES_PER_REPLICA, needed * -(-each // count), np.inf)
        return float(np.where(each <= count, inside, spread).min(initial=np.inf))


def _place(table: Table, offer: Offer) -> int:
    return next((i for i, part in enumerate(table.parts) if offer.accelerator is part), -1)


def table_of(scenario: LlmScenario, model: LlmModel, parts: Sequence[Accelerator], largest: dict[str, int]) -> Table:
    """Configurations on these accelerators under the engine of a scenario; its weight format should divide by any degree."""
    tensor: list[int] = []
    works: list[Work] = []
    rows: list[tuple[int, int, int, int, int]] = []
    kept: list[Accelerator] = []
    for part in parts:
        if unsupported(scenario, model, part) is not None:
            continue
        number = len(kept)
        kept.append(part)
        place_of: dict[int, int] = {}
        for tp, pp in degrees(scenario, model, largest[part.id]):
            if tp not in place_of:
                place_of[tp] = len(works)
                works.append(_plain_work(scenario, model, part, tp))
            if tp not in tensor:
                tensor.append(tp)
            split = split_of(scenario, tp, pp)
            rows.append((number, tensor.index(tp), place_of[tp], pp, split.width))
    columns = np.array(rows, dtype=np.intp).reshape(len(rows), 5).T
    pipeline = columns[3].astype(float)
    work = replace(select(stack(works), columns[2]), pipeline_parallel=pipeline[:, None])
    return Table(
        tuple(kept), columns[0], columns[1], tuple(tensor), pipeline, columns[3] * columns[4], columns[4], work
    )


def _plain_work(scenario: LlmScenario, model: LlmModel, part: Accelerator, tp: int) -> Work:
    """Work of one stage, drafting for nothing: what a draft reads and computes depends on the formats, what it yields does
    not."""
    work = scenario_work(scenario, model, None, part, split_of(scenario, tp, 1))
    return replace(work, draft_bytes=0.0, draft_flops_per_token=0.0, draft_layers=0.0)


def bounds_of(scenario: LlmScenario, model: LlmModel, table: Table) -> Bounds:
    """Fewest replicas of each configuration in the formats of a scenario, by an optimistic batch and no wait.

    Batch = what the TPOT limit allows and (utilization x capacity - weights) / KV of a request holds; replicas as the
    utilization cap asks for.
    """
    rates = engine_rates(scenario.runtime, scenario.engine_version)[0]
    work, can_run = _in_formats(scenario, model, table)
    capacity = np.array([part.capacity_bytes for part in table.parts], dtype=float)[table.part]
    flat = {name: np.ravel(getattr(work, name)) for name in ("dense_weight_bytes", "expert_weight_bytes")}
    weights = (flat["dense_weight_bytes"] + flat["expert_weight_bytes"]) / table.pipeline
    if scenario.checkpoint_bytes is not None:
        weights = np.zeros_like(weights)  # the file may be smaller than what is computed
    each = np.ravel(work.kv_bytes_per_sequence) / table.pipeline
    held = np.floor((scenario.gpu_memory_utilization * capacity - weights) / np.maximum(each, 1e-9))
    batch, tpot_ms, ttft_ms = _most_batch(scenario, work, rates)
    batch = np.minimum(batch, held)
    limits = (("TPOT", tpot_ms, scenario.tpot_target_ms), ("TTFT", ttft_ms, scenario.ttft_target_ms))
    holds = can_run & (held >= 1.0)
    meets = holds.copy()
    for _, reached, limit in limits:
        meets &= True if limit is None else reached <= limit
    batch = np.maximum(batch, 1.0)
    per_s = capacity_per_s(work, batch.astype(np.intp), scenario.output_tokens, rates)
    return Bounds(table, np.where(meets, _least(scenario, per_s, batch), 0.0), _miss(limits, holds, meets))


def _in_formats(scenario: LlmScenario, model: LlmModel, table: Table) -> tuple[Work, NDArray[np.bool_]]:
    """Work of each row in the formats of a scenario, and whether the engine runs them on its accelerator."""
    by_degree = [scenario_model_work(scenario, model, split_of(scenario, tp, 1)) for tp in table.tensor]
    columns = {
        name: np.array([getattr(each, name) for each in by_degree])[table.degree][:, None] for name in _MODEL_FIELDS
    }
    generation, scheme = (
        generation_of(scenario.runtime, scenario.engine_version),
        scheme_of(model, scenario.weight_format),
    )
    of_part: list[tuple[float, ...]] = []
    for part in table.parts:
        peak = compute_peak(part, scheme)
        if peak is None or unsupported(scenario, model, part) is not None:
            of_part.append((0.0, 1.0, 1.0, 1.0, 1.0, 1.0))
            continue
        family = family_of(part.architecture, part.memory_type)
        memory, products, gap, step = _factors(generation, family, peak[1], scheme.words, model.id)
        own_step, own_first = fastest_factors(scenario, model, part)
        of_part.append((peak[0], memory, products, gap, step * own_step, own_first))
    named = np.array(of_part)[table.part].T[:, :, None]
    can_run = named[0, :, 0] > 0
    work = replace(
        table.work,
        **columns,
        peak_flops_per_s=np.maximum(named[0], 1.0),
        memory_factor=named[1],
        products_factor=named[2],
        gap_factor=named[3],
        step_factor=named[4],
        first_factor=named[5],
    )
    return work, can_run


@lru_cache(maxsize=1024)
def _factors(generation: str, family: str, unit: str, words: str, model: str) -> tuple[float, float, float, float]:
    found = factors_of(generation, family, unit, words, model)
    return found.memory, found.products, found.gap, found.step


def _most_batch(scenario: LlmScenario, work: Work, rates: Rates) -> tuple[Floats, Floats, Floats]:
    """Largest batch that the search could give each row, and TPOT and TTFT [ms] of one request alone."""
    grid = batch_grid(MAX_SEARCH_BATCH)
    tpot_ms, ttft_ms = uniform_tpot_ms(work, grid.astype(float)[None, :], scenario.output_tokens, rates)
    if scenario.batch is not None:
        return np.full(len(tpot_ms), float(scenario.batch)), tpot_ms[:, 0], ttft_ms[:, 0]
    below_next = np.append(grid[1:] - 1, MAX_SEARCH_BATCH).astype(float)  # memory may stop it between two of the grid
    limit = np.inf if scenario.tpot_target_ms is None else scenario.tpot_target_ms
    most = np.where(tpot_ms <= limit, below_next[None, :], 0.0).max(axis=1)
    return most, tpot_ms[:, 0], ttft_ms[:, 0]


def _least(scenario: LlmScenario, per_s: Floats, batch: Floats) -> Floats:
    """Replicas that the utilization cap asks for, as `search.least_replicas` counts them."""
    if scenario.requests_per_s is not None:
        needed = scenario.requests_per_s / (scenario.utilization_cap * per_s)
    else:
        needed = (scenario.concurrency or 1) * scenario.utilization_cap / (batch + per_s * scenario.think_time_s)
    return np.maximum(np.ceil(needed - 1e-9), 1.0)


def _miss(
    limits: Sequence[tuple[str, Floats, float | None]], holds: NDArray[np.bool_], meets: NDArray[np.bool_]
) -> Miss | None:
    """The limit that the best row misses, if memory holds the model somewhere and no row meets the limits."""
    if meets.any() or not holds.any():
        return None
    stated = [(name, reached, limit) for name, reached, limit in limits if limit is not None]
    ratios = np.array([reached / limit for _, reached, limit in stated])
    worst = np.where(holds, ratios.max(axis=0), np.inf)
    row = int(worst.argmin())
    name, reached, limit = stated[int(ratios[:, row].argmax())]
    return name, float(reached[row]), limit
