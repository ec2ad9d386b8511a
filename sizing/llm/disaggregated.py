"""Prefill and decode on machines of their own: how many of each, on which accelerators, and what it costs.

The KV cache of a prompt goes over the network from one to the other; neither phase disturbs the other. Both phases may run on
different accelerators of one cloud and region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from sizing import fleet
from sizing.catalog import Catalog
from sizing.fleet import Offer, instances_for
from sizing.llm.candidates import Configuration, configurations, placeable, unsupported
from sizing.llm.constants import Rates, engine_rates
from sizing.llm.models import draft_of, model_of
from sizing.llm.search import MAX_SEARCH_BATCH, PERCENTILE_COLUMN, batch_grid
from sizing.llm.speed import decode, prefill
from sizing.llm.work import Floats, Work, stack
from sizing.scenario import LlmScenario
from sizing.units import GB, MS_PER_S

TAILS = (0.5, 0.05, 0.01)
MOST_REPLICAS = 4096


@dataclass(frozen=True, slots=True)
class Phase:
    """Machines of one phase: `ms` is the time of a prompt alone, or of a decode step at `batch`."""

    instance: str
    instance_type: str
    accelerator: str
    tensor_parallel: int
    pipeline_parallel: int
    replicas: int
    instances: int
    usd_per_hour: float
    ms: float
    batch: int
    utilization: float


@dataclass(frozen=True, slots=True)
class Pair:
    """A deployment in two phases: TTFT at the scenario's percentile, TPOT at the batch limit, cost of both."""

    provider: str
    region: str
    prefill: Phase
    decode: Phase
    transfer_ms: float
    ttft_ms: float
    tpot_ms: float

    @property
    def usd_per_hour(self) -> float:
        """Cost of both phases [USD/h]."""
        return self.prefill.usd_per_hour + self.decode.usd_per_hour

    @property
    def is_mixed(self) -> bool:
        """Whether the phases run on different accelerators."""
        return self.prefill.accelerator != self.decode.accelerator


def transfer_ms(work: Work, network_gb_per_s: float) -> Floats:
    """Time to send the KV cache of one request to the other phase [ms]: bytes of a rank / its share of the network.

    Every rank sends what it holds, over a network of so many GB/s for each accelerator.
    """
    return np.asarray(work.kv_bytes_per_sequence / (network_gb_per_s * GB) * MS_PER_S)


def prefill_wait_ms(prompt_ms: float, load_per_s: float, replicas: int, percentile: int) -> float:
    """Wait of a prompt for those before it [ms] at a percentile, each replica a queue of its own.

    M/D/1: chance rho of waiting, mean wait of those who wait S / (2 (1 - rho)), exponential tail. Infinite when overloaded.

    Source: Kleinrock 1975, section 5.9 (mean); the tail is an approximation.
    """
    busy = load_per_s / replicas * prompt_ms / MS_PER_S
    if busy >= 1.0:
        return float("inf")
    tail = TAILS[PERCENTILE_COLUMN[percentile]]
    return 0.0 if busy <= tail else prompt_ms / (2.0 * (1.0 - busy)) * log(busy / tail)


def pairs(scenario: LlmScenario, catalog: Catalog, *, load_per_s: float, most: int = 8) -> tuple[Pair, ...]:
    """Cheapest deployments in two phases that keep the limits under a load [requests/s], the cheapest first.

    Each cloud and region gives its cheapest pair, and its cheapest on one accelerator where that differs. Raises InputError
    as `plan` does.
    """
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    offers, _ = fleet.offers(scenario, catalog, category="gpu")
    places: dict[tuple[str, str], list[Offer]] = {}
    largest: dict[str, int] = {}
    for offer in offers:
        part = offer.accelerator
        if part is None or not offer.instance.accelerator_count or unsupported(scenario, model, part):
            continue
        places.setdefault((offer.instance.provider, offer.price.region), []).append(offer)
        largest[part.id] = max(largest.get(part.id, 0), offer.instance.accelerator_count)
    by_part = {
        id: [
            c for c in configurations(scenario, model, draft, catalog.accelerators[id], most_of) if c.max_sequences > 0
        ]
        for id, most_of in largest.items()
    }
    items = [c for found in by_part.values() for c in found]
    if not items:
        return ()
    speeds = _Speeds(scenario, items, engine_rates(scenario.runtime, scenario.engine_version)[0])
    rows = {id: [i for i, c in enumerate(items) if c.accelerator.id == id] for id in by_part}
    found: list[Pair] = []
    for (provider, region), here in places.items():
        first = [p for o in here if (p := speeds.phase(scenario, o, rows, load_per_s, decoding=False))]
        second = [p for o in here if (p := speeds.phase(scenario, o, rows, load_per_s, decoding=True))]
        found += _cheapest(provider, region, first, second)
    return tuple(sorted(found, key=lambda pair: pair.usd_per_hour)[:most])


@dataclass(frozen=True, slots=True)
class _Sized:
    """One phase on one kind of instance, with what the other phase needs to know."""

    phase: Phase
    ttft_ms: float  # of the prefill phase, with transfer and one step of its own
    transfer_ms: float


def _cheapest(provider: str, region: str, first: Sequence[_Sized], second: Sequence[_Sized]) -> list[Pair]:
    def pair(a: _Sized, b: _Sized) -> Pair:
        return Pair(provider, region, a.phase, b.phase, a.transfer_ms, a.ttft_ms, b.phase.ms)

    if not first or not second:
        return []
    cost = lambda sized: sized.phase.usd_per_hour  # noqa: E731
    best = pair(min(first, key=cost), min(second, key=cost))
    same = [pair(a, b) for a in first for b in second if a.phase.accelerator == b.phase.accelerator]
    alone = min(same, key=lambda p: p.usd_per_hour, default=None)
    return [best] if alone is None or not best.is_mixed else [best, alone]


class _Speeds:
    """Times of all configurations: of a prompt alone, of a decode step by batch, of the transfer."""

    def __init__(self, scenario: LlmScenario, items: Sequence[Configuration], use: Rates) -> None:
        work = stack([c.work for c in items])
        self.items = items
        self.grid = batch_grid(MAX_SEARCH_BATCH)
        self.step_ms = decode(work, self.grid[None, :].astype(float), use).step_ms
        prompt = prefill(work, use)
        self.alone_ms = prompt.alone_ms[:, 0]
        self.first_factor = np.asarray(work.first_factor)[:, 0]
        self.occupied_ms = prompt.occupied_ms[:, 0]
        self.transfer_ms = transfer_ms(work, float(np.asarray(use.network_gb_per_s)))[:, 0]
        fits = self.grid[None, :] <= np.array([[c.max_sequences] for c in items])
        limit = scenario.tpot_target_ms
        good = fits & (self.step_ms <= limit) if limit is not None else fits
        self.last = np.where(good.any(axis=1), good.shape[1] - 1 - np.argmax(good[:, ::-1], axis=1), -1)

    def phase(
        self, scenario: LlmScenario, offer: Offer, rows: dict[str, list[int]], load_per_s: float, *, decoding: bool
    ) -> _Sized | None:
        """The cheapest way to run one phase on one kind of instance, or None."""
        count = offer.instance.accelerator_count or 1
        best: _Sized | None = None
        for row in rows.get(offer.instance.accelerator_id or "", []):
            item = self.items[row]
            if not placeable(item, count):
                continue
            sized = self._decode(scenario, row, load_per_s) if decoding else self._prefill(scenario, row, load_per_s)
            if sized is None:
                continue
            replicas, ms, batch, utilization, ttft_ms = sized
            machines = instances_for(
                replicas=replicas + scenario.spare_replicas,
                accelerators_per_replica=item.accelerators,
                accelerators_per_instance=count,
            )
            usd = machines * offer.price.usd_per_hour
            if best is None or usd < best.phase.usd_per_hour:
                instance = offer.instance
                phase = Phase(
                    instance.id,
                    instance.instance_type,
                    item.accelerator.id,
                    item.split.tensor,
                    item.split.pipeline,
                    replicas,
                    machines,
                    usd,
                    ms,
                    batch,
                    utilization,
                )
                best = _Sized(phase, ttft_ms, float(self.transfer_ms[row]))
        return best

    def _decode(
        self, scenario: LlmScenario, row: int, load_per_s: float
    ) -> tuple[int, float, int, float, float] | None:
        at = int(self.last[row])
        if at < 0:
            return None
        batch, step = int(self.grid[at]), float(self.step_ms[row, at])
        capacity = batch / (max(scenario.output_tokens - 1, 1) * step) * MS_PER_S
        replicas = max(1, int(np.ceil(load_per_s / (capacity * scenario.utilization_cap) - 1e-9)))
        return replicas, step, batch, load_per_s / (replicas * capacity), 0.0

    def _prefill(
        self, scenario: LlmScenario, row: int, load_per_s: float
    ) -> tuple[int, float, int, float, float] | None:
        prompt, alone = float(self.occupied_ms[row]), float(self.alone_ms[row])
        fixed = (alone + float(self.step_ms[row, 0])) * float(self.first_factor[row]) + float(self.transfer_ms[row])
        limit = scenario.ttft_target_ms
        if limit is not None and fixed > limit:
            return None
        least = max(1, int(np.ceil(load_per_s * prompt / MS_PER_S / scenario.utilization_cap - 1e-9)))
        replicas = least
        while replicas <= MOST_REPLICAS:
            ttft = fixed + prefill_wait_ms(prompt, load_per_s, replicas, scenario.slo_percentile)
            if limit is None or ttft <= limit:
                return replicas, alone, 1, load_per_s / replicas * prompt / MS_PER_S, ttft
            replicas = max(replicas + 1, int(replicas * 1.1))
        return None
