"""The search: for each kind of instance the configuration and the fewest replicas that meet load, limits and cap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sizing.catalog_rows import Accelerator, LlmModel
from sizing.fleet import Offer, instances_for, rejection
from sizing.llm.candidates import Configuration, configurations, placeable, unsupported
from sizing.llm.constants import Rates, engine_rates
from sizing.llm.serving import Loaded, capacity_per_s, closed_loop, open_loop, spread_of, uniform_tpot_ms
from sizing.llm.shortage import MemoryShortages, Miss, limit_rejection
from sizing.llm.work import Work, select, stack
from sizing.plan import Rejection
from sizing.scenario import LlmScenario

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

MAX_SEARCH_BATCH = 512
"""Largest batch searched [sequences]: engines' default limit is 256 to 1,024. Source: vLLM max_num_seqs (2025)."""
TRIED_PER_INSTANCE = 2
"""Configurations of an instance whose percentiles are computed, by fewest machines at the utilization cap (count)."""
MOST_REPLICAS_FACTOR = 16
"""Replicas tried at most, over what the utilization cap asks for [1]; at a sixteenth of that load little waits."""
SLOW_CASE_LOAD = 0.97
"""Utilization to which the slow end of an interval is limited, as waits have no end beyond 1 [1]."""
CAPACITY_STEPS = 6
PERCENTILE_COLUMN = {50: 0, 95: 1, 99: 2}


@dataclass(frozen=True)
class Group:
    """Configurations side by side: their work as columns, and the batch limit and capacity of each."""

    items: tuple[Configuration, ...]
    work: Work
    batch: Ints
    capacity_per_s: Floats

    def some(self, rows: Ints) -> Group:
        """Some of the configurations."""
        items = tuple(self.items[i] for i in rows) if self.items else ()
        return Group(items, select(self.work, rows), self.batch[rows], self.capacity_per_s[rows])


@dataclass(frozen=True)
class Choice:
    """The configuration chosen for one kind of instance, with its replicas and what they then do."""

    offer: Offer
    configuration: Configuration
    batch: int
    replicas: int  # without spares
    instances: int
    replica_capacity_per_s: float  # at the batch limit, without utilization cap
    allowed_per_s: float  # of one replica, within cap and limits
    centre: Loaded
    slow: Loaded
    fast: Loaded
    index: int  # row in the three loads
    binding: str
    slow_overload: bool


@dataclass(frozen=True)
class Found:
    """Outcome of a search."""

    choices: tuple[Choice, ...]
    rejected: tuple[Rejection, ...]
    evaluated: int


@dataclass(frozen=True)
class Sized:
    """Replicas that some machines need: the configurations tried side by side, and for each machine the row of the best
    or the limits that all miss (none: memory holds no request)."""

    group: Group
    replicas: Ints
    rows: tuple[int | None, ...]
    misses: tuple[tuple[Miss, ...], ...]
    points: int  # configurations x batches evaluated


def batch_grid(most: int) -> Ints:
    """Batch sizes tried: 1, 2, 3, 4, 6, 8, 12, ... up to `most`."""
    steps = sorted({1, *(2**k for k in range(13)), *(3 * 2**k for k in range(11))})
    return np.array([b for b in steps if b <= most] or [1], dtype=np.intp)


def search(scenario: LlmScenario, model: LlmModel, offers: Sequence[Offer], draft: LlmModel | None = None) -> Found:
    """Best configuration of each offered kind of instance, or the reason why it has none."""
    rejected: list[Rejection] = []
    usable: list[Offer] = []
    for offer in offers:
        part = offer.accelerator
        if part is None or offer.instance.accelerator_count is None:
            continue
        reason = unsupported(scenario, model, part)
        if reason is not None:
            rejected.append(
                rejection(offer.instance, constraint="runtime", because=reason, remedy=_runtime_remedy(scenario))
            )
            continue
        usable.append(offer)
    parts, largest = parts_of(usable)
    by_part = {id: configurations(scenario, model, draft, part, largest[id]) for id, part in parts.items()}
    entries = [(offer, by_part[offer.instance.accelerator_id or ""]) for offer in usable]
    found = sized(scenario, entries)
    short = MemoryShortages(scenario, model, draft)
    for (offer, items), row, misses in zip(entries, found.rows, found.misses, strict=True):
        if row is None and misses:
            rejected.append(limit_rejection(offer, misses))
        elif row is None:
            rejected.append(short.rejection_of(offer, items))
    picked = [(offer, row) for offer, row in zip(usable, found.rows, strict=True) if row is not None]
    evaluated = sum(len(items) for items in by_part.values()) + found.points
    chosen = choices(scenario, found.group, found.replicas, picked) if picked else []
    return Found(tuple(chosen), tuple(rejected), evaluated)


def parts_of(offers: Sequence[Offer]) -> tuple[dict[str, Accelerator], dict[str, int]]:
    """Accelerators on offer by id, and how many of each the largest machine has."""
    parts: dict[str, Accelerator] = {}
    largest: dict[str, int] = {}
    for offer in offers:
        if (part := offer.accelerator) is not None:
            parts[part.id] = part
            largest[part.id] = max(largest.get(part.id, 0), offer.instance.accelerator_count or 0)
    return parts, largest


def sized(
    scenario: LlmScenario, entries: Sequence[tuple[Offer, tuple[Configuration, ...]]], use: Rates | None = None
) -> Sized:
    """Fewest replicas on each machine, of the configurations that go with it; those of one engine together.

    Batch limit and capacity of all configurations first, then the replicas of the few that need the fewest machines.
    `use` are constants in place of the engine's.
    """
    centre = use or engine_rates(scenario.runtime, scenario.engine_version)[0]
    places: dict[int, list[int]] = {}
    fitting: list[Configuration] = []
    for _, items in entries:
        if id(items) not in places:
            held = [item for item in items if item.max_sequences > 0]
            places[id(items)] = list(range(len(fitting), len(fitting) + len(held)))
            fitting += held
    if not fitting:
        none = Group((), stack([]), np.zeros(0, dtype=np.intp), np.zeros(0))
        return Sized(none, none.batch, (None,) * len(entries), ((),) * len(entries), 0)
    group, failures, points = with_batch(scenario, fitting, centre)
    tried: list[list[int]] = []
    missed: list[tuple[Miss, ...]] = []
    for offer, items in entries:
        rows = _eligible(offer, group, places[id(items)])
        good = [row for row in rows if failures[row] is None]
        tried.append(_fewest_machines(scenario, offer, group, good) if good else [])
        missed.append(() if good else tuple(f for row in rows if (f := failures[row]) is not None))
    used = sorted({row for rows in tried for row in rows})
    small = group.some(np.array(used, dtype=np.intp))
    replicas, misses = fewest_replicas(scenario, small, centre)
    at = {row: i for i, row in enumerate(used)}
    best: list[int | None] = []
    for number, ((offer, _), rows) in enumerate(zip(entries, tried, strict=True)):
        met = [at[row] for row in rows if replicas[at[row]] > 0]
        best.append(min(met, key=lambda i: _size(scenario, offer, small.items[i], int(replicas[i]))) if met else None)
        if rows and not met:
            missed[number] = tuple(misses[at[row]] for row in rows)
    return Sized(small, replicas, tuple(best), tuple(missed), points)


def _runtime_remedy(scenario: LlmScenario) -> str | None:
    return "use vLLM" if scenario.runtime == "tensorrt_llm" else None


def _eligible(offer: Offer, group: Group, rows: list[int]) -> list[int]:
    """Configurations that this machine can hold; spread over several machines only where none fits in one."""
    count = offer.instance.accelerator_count or 1
    inside = [r for r in rows if group.items[r].accelerators <= count]
    return inside or [r for r in rows if placeable(group.items[r], count)]


def _size(scenario: LlmScenario, offer: Offer, item: Configuration, replicas: int) -> tuple[int, int, int, int]:
    """Order of preference: fewest machines, then fewest pipeline stages, accelerators in use, and smallest replicas."""
    machines = instances_for(
        replicas=replicas + scenario.spare_replicas,
        accelerators_per_replica=item.accelerators,
        accelerators_per_instance=offer.instance.accelerator_count or 1,
    )
    return machines, item.split.pipeline, replicas * item.accelerators, item.accelerators


def _fewest_machines(scenario: LlmScenario, offer: Offer, group: Group, rows: list[int]) -> list[int]:
    least = {row: least_replicas(scenario, float(group.capacity_per_s[row]), int(group.batch[row])) for row in rows}
    return sorted(rows, key=lambda row: _size(scenario, offer, group.items[row], least[row]))[:TRIED_PER_INSTANCE]


def least_replicas(scenario: LlmScenario, capacity: float, batch: int) -> int:
    """Replicas that the utilization cap alone asks for (count), a lower bound for the limits to raise."""
    if scenario.requests_per_s is not None:
        return max(1, ceil(scenario.requests_per_s / (scenario.utilization_cap * capacity) - 1e-9))
    users = batch + capacity * scenario.think_time_s
    return max(1, ceil((scenario.concurrency or 1) * scenario.utilization_cap / users - 1e-9))


def with_batch(
    scenario: LlmScenario, items: list[Configuration], centre: Rates
) -> tuple[Group, list[Miss | None], int]:
    """Largest batch of each configuration that holds the TPOT limit and memory; the limit that even a batch of 1
    breaks."""
    work = stack([item.work for item in items])
    most = np.array([item.max_sequences for item in items], dtype=np.intp)
    most = np.minimum(most, scenario.batch if scenario.batch is not None else MAX_SEARCH_BATCH)
    grid = batch_grid(int(most.max()))
    tpot_ms, ttft_ms = uniform_tpot_ms(work, grid.astype(float)[None, :], scenario.output_tokens, centre)
    limit = scenario.tpot_target_ms
    holds = grid[None, :] <= most[:, None]
    slow = tpot_ms > (limit if limit is not None else np.inf)
    if scenario.batch is None:
        good = holds & ~slow
        batch = np.where(good.any(axis=1), (good * grid[None, :]).max(axis=1), 1).astype(np.intp)
        batch = np.where(~(holds & slow).any(axis=1), most, batch)
    else:
        batch = most
    failures: list[Miss | None] = []
    for row in range(len(items)):
        if limit is not None and slow[row, 0]:
            failures.append(("TPOT", float(tpot_ms[row, 0]), limit))
        elif scenario.ttft_target_ms is not None and ttft_ms[row, 0] > scenario.ttft_target_ms:
            failures.append(("TTFT", float(ttft_ms[row, 0]), scenario.ttft_target_ms))
        else:
            failures.append(None)
    capacity = capacity_per_s(work, batch, scenario.output_tokens, centre)
    return Group(tuple(items), work, batch, capacity), failures, int(holds.sum())


def load(
    scenario: LlmScenario, group: Group, replicas: Floats, use: Rates, per_replica: Floats | None = None
) -> Loaded:
    """What each configuration does with its share of the demanded load (or with `per_replica` requests/s)."""
    if scenario.concurrency is not None and per_replica is None:
        return closed_loop(
            group.work,
            clients=scenario.concurrency / replicas,
            think_time_s=scenario.think_time_s,
            batch_cap=group.batch,
            output_tokens=scenario.output_tokens,
            rates=use,
            spread=spread_of(scenario),
        )
    share = per_replica if per_replica is not None else (scenario.requests_per_s or 0.0) / replicas
    return open_loop(
        group.work,
        arrival_per_s=share,
        batch_cap=group.batch,
        output_tokens=scenario.output_tokens,
        rates=use,
        spread=spread_of(scenario),
    )


def meets(scenario: LlmScenario, done: Loaded) -> NDArray[np.bool_]:
    """Which configurations keep the utilization cap and both limits at the scenario's percentile."""
    column = PERCENTILE_COLUMN[scenario.slo_percentile]
    good = ~done.full & (done.utilization <= scenario.utilization_cap + 1e-9)
    if scenario.ttft_target_ms is not None:
        good &= done.ttft_ms[:, column] <= scenario.ttft_target_ms
    if scenario.tpot_target_ms is not None:
        good &= done.tpot_ms[:, column] <= scenario.tpot_target_ms
    return good


def fewest_replicas(scenario: LlmScenario, group: Group, use: Rates) -> tuple[Ints, list[Miss]]:
    """Fewest replicas of each configuration that meet the scenario (0: none does), and the limit each misses otherwise.

    From the count that the cap asks for: doubled until it passes, then halved between; one vectorised evaluation a
    round.
    """
    size = len(group.items)
    low = np.array(
        [least_replicas(scenario, c, b) for c, b in zip(group.capacity_per_s, group.batch, strict=True)], dtype=np.int64
    )
    most = low * MOST_REPLICAS_FACTOR
    if scenario.concurrency is not None:
        most = np.maximum(low, np.minimum(most, scenario.concurrency))
    trial, passed, failed = low.copy(), np.zeros(size, dtype=np.int64), low - 1
    misses: list[Miss] = [("utilization cap", 0.0, 0.0)] * size
    active = np.arange(size, dtype=np.intp)
    while len(active):
        part = group.some(active)
        done = load(scenario, part, trial[active].astype(float), use.some(active))
        good = meets(scenario, done)
        for i, row in enumerate(active):
            if good[i]:
                passed[row] = trial[row]
            else:
                failed[row] = trial[row]
                misses[row] = _miss(scenario, done, i)
        ended = (passed > 0) & (passed - failed <= 1) | (passed == 0) & (failed >= most)
        trial = np.where(passed > 0, (passed + failed) // 2, np.minimum(failed * 2, most))
        active = active[~ended[active]]
    return passed.astype(np.intp), misses


def _miss(scenario: LlmScenario, done: Loaded, row: int) -> Miss:
    """The limit that a load misses by the largest factor: name, predicted, limit."""
    column = PERCENTILE_COLUMN[scenario.slo_percentile]
    candidates = [("utilization cap", float(done.utilization[row]), scenario.utilization_cap)]
    if scenario.ttft_target_ms is not None:
        candidates.append(("TTFT", float(done.ttft_ms[row, column]), scenario.ttft_target_ms))
    if scenario.tpot_target_ms is not None:
        candidates.append(("TPOT", float(done.tpot_ms[row, column]), scenario.tpot_target_ms))
    if done.full[row]:
        return candidates[0]
    return max(candidates, key=lambda item: item[1] / item[2])


def choices(scenario: LlmScenario, group: Group, replicas: Ints, picked: list[tuple[Offer, int]]) -> list[Choice]:
    """The chosen configurations under load: percentiles, both ends of the interval, and the most they could serve."""
    rows = sorted({i for _, i in picked})
    index = np.array(rows, dtype=np.intp)
    part = group.some(index)
    count = replicas[index].astype(float)
    centre, slow, fast = engine_rates(scenario.runtime, scenario.engine_version)
    done = load(scenario, part, count, centre)
    served = done.requests_per_s
    slow_capacity = capacity_per_s(part.work, part.batch, scenario.output_tokens, slow)
    overload = np.zeros(len(rows), dtype=bool)
    if scenario.requests_per_s is not None:
        overload = served >= slow_capacity
        at_slow = load(scenario, part, count, slow, per_replica=np.minimum(served, SLOW_CASE_LOAD * slow_capacity))
    else:
        at_slow = load(scenario, part, count, slow)
    at_fast = load(scenario, part, count, fast)
    allowed = _allowed(scenario, part, served, centre)
    place = {row: i for i, row in enumerate(rows)}
    bindings = [_binding(scenario, part, i, int(count[i])) for i in range(len(rows))]
    return [
        Choice(
            offer=offer,
            configuration=part.items[(i := place[row])],
            batch=int(part.batch[i]),
            replicas=int(count[i]),
            instances=_size(scenario, offer, part.items[i], int(count[i]))[0],
            replica_capacity_per_s=float(part.capacity_per_s[i]),
            allowed_per_s=float(allowed[i]),
            centre=done,
            slow=at_slow,
            fast=at_fast,
            index=i,
            binding=bindings[i],
            slow_overload=bool(overload[i]),
        )
        for offer, row in picked
    ]


def _allowed(scenario: LlmScenario, group: Group, served: Floats, use: Rates) -> Floats:
    """Most requests [1/s] that one replica may take within the cap and the limits, by halving where the limits bind."""
    high = np.maximum(group.capacity_per_s * scenario.utilization_cap, served)
    if scenario.concurrency is not None:
        return high
    low = served.copy()
    good = meets(scenario, load(scenario, group, served, use, per_replica=high))
    low = np.where(good, high, low)
    active = np.flatnonzero(~good)
    for _ in range(CAPACITY_STEPS if len(active) else 0):
        part = group.some(active)
        middle = (low[active] + high[active]) / 2.0
        good = meets(scenario, load(scenario, part, middle, use, per_replica=middle))
        low[active] = np.where(good, middle, low[active])
        high[active] = np.where(good, high[active], middle)
    return low


def _binding(scenario: LlmScenario, group: Group, row: int, replicas: int) -> str:
    """What sets the count: a limit that asks for more replicas than the cap does, else memory or TPOT by the batch,
    else the cap."""
    item = group.items[row]
    if replicas > least_replicas(scenario, float(group.capacity_per_s[row]), int(group.batch[row])):
        part = group.some(np.array([row], dtype=np.intp))
        fewer = load(
            scenario, part, np.array([replicas - 1.0]), engine_rates(scenario.runtime, scenario.engine_version)[0]
        )
        return _miss(scenario, fewer, 0)[0]
    if replicas == 1:
        return "memory" if item.accelerators > 1 else "one replica is the least"
    if int(group.batch[row]) == item.max_sequences:
        return "memory"
    if scenario.batch is None and int(group.batch[row]) < MAX_SEARCH_BATCH and scenario.tpot_target_ms is not None:
        return "TPOT"
    return "utilization cap"
