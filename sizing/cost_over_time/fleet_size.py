"""Machines of each hour: what the load of that hour needs, kept ready before it comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.cost_over_time.curve import WEEK, Floats, shares
from sizing.plan import Deployment
from sizing.scenario import AnyScenario
from sizing.scenario_words import PriceBasis

Ints = NDArray[np.int64]
ROUNDING = 1e-9

BOOT_MINUTES = 3.0
"""From the request for a machine to its operating system and driver [min]. Recalled, 1 to 7 min by cloud, 2026-11-25."""
IMAGE_GB = {"llm": 12.0, "deep_learning": 8.0, "statistical": 1.0}
"""Container image of a server [GB of 10^9 bytes]: engines with CUDA 8 to 20, a Python server about 1. Recalled, 2026-11-25."""
DOWNLOAD_GB_PER_S = 0.5
"""Rate at which an image and weights come to a machine [GB/s of 10^9 bytes]. Recalled, 0.2 to 2 by storage, 2026-11-25."""
ENGINE_MINUTES = {"llm": 1.0, "deep_learning": 0.3, "statistical": 0.1}
"""From weights in memory to the first answer: compilation, CUDA graphs, warm-up [min]. Recalled, 2026-11-25."""


@dataclass(frozen=True)
class Start:
    """Parts of the time from the decision to a replica that serves [min]."""

    boot: float
    image: float
    weights: float
    engine: float
    given: float | None = None

    @property
    def minutes(self) -> float:
        """All of it [min]: as given, else the sum of the parts."""
        return self.boot + self.image + self.weights + self.engine if self.given is None else self.given


@dataclass(frozen=True)
class FleetWeek:
    """One deployment over a week: load, replicas and machines of each hour, and the hours paid while machines start.

    `capacity_per_s` is what one replica serves within limits and cap [1/s]; `start_hours` are machine-hours of a week.
    """

    loads_per_s: Floats
    replicas: Ints
    instances: Ints
    capacity_per_s: float
    replicas_per_instance: float
    start: Start
    start_hours: float

    @property
    def peak(self) -> int:
        """Machines of the busiest hour (count)."""
        return int(self.instances.max())

    @property
    def utilization(self) -> float:
        """Load served over what the machines that run could serve [1], over the week."""
        able = self.instances.sum() * self.replicas_per_instance * self.capacity_per_s
        return float(self.loads_per_s.sum() / able) if able else 0.0


HOURLY: frozenset[PriceBasis] = frozenset(("on_demand", "spot"))
"""Terms on which a machine is paid for the hours that it runs; a commitment is paid at every hour."""


@dataclass(frozen=True, slots=True)
class OverWeek:
    """What a week makes of figures of the busiest hour: mean load over it [1], and machine-hours paid over those of the plan's
    machines at every hour [1]. Both 1 where the load is the same at every hour and no headroom is kept."""

    load: float
    paid: float


def over_week(scenario: AnyScenario, catalog: Catalog, best: Deployment) -> OverWeek:
    """Shares of the busiest hour that a week has, on the plan's own terms.

    paid = (machine-hours that run + hours of machines on their way) / (168 x machines of the plan); on commitments those of the
    busiest hour run at every hour.

    >>> from sizing.catalog import load
    >>> from sizing.planner import plan
    >>> from sizing.scenario import StatisticalScenario
    >>> usual = StatisticalScenario()
    >>> over_week(usual, load(), plan(usual, load()).recommended)
    OverWeek(load=1.0, paid=1.0)
    """
    week = fleet_week(scenario, catalog, best)
    follows = scenario.price_basis in HOURLY
    hours = float(week.instances.sum()) + week.start_hours if follows else float(WEEK * week.peak)
    return OverWeek(float(shares(scenario).mean()), hours / (WEEK * best.instances))


def start_of(scenario: AnyScenario, catalog: Catalog, best: Deployment) -> Start:
    """Time until a new replica serves: boot + image and weights / download rate + engine."""
    memory = best.memory_per_accelerator or best.memory_per_instance
    held = {} if memory is None else memory.parts
    weights = sum(size for name, size in held.items() if name.startswith(("weights", "model", "workers")))
    on_all = weights * (best.accelerators_per_replica or 1) if best.memory_per_accelerator is not None else weights
    return Start(
        boot=BOOT_MINUTES,
        image=IMAGE_GB[scenario.kind] / DOWNLOAD_GB_PER_S / 60.0,
        weights=on_all / 1e9 / DOWNLOAD_GB_PER_S / 60.0,
        engine=ENGINE_MINUTES[scenario.kind],
        given=scenario.start_minutes,
    )


def fleet_week(scenario: AnyScenario, catalog: Catalog, best: Deployment) -> FleetWeek:
    """Replicas and machines of each hour of a week.

    replicas = max(least, ceil(load x (1 + headroom) / capacity of a replica)) + spares; machines hold whole replicas. The
    busiest hour has the plan's own count; without scaling every hour has. A machine added from one hour to the next is paid
    for `start` before it is needed.
    """
    busiest = best.throughput.requests_per_s
    loads = shares(scenario) * busiest.demanded
    per_instance = best.replicas / best.instances
    if best.accelerators_per_replica and best.accelerators_per_instance:
        per_instance = best.accelerators_per_instance / best.accelerators_per_replica
    spare = scenario.spare_replicas
    statistical = scenario.kind == "statistical"  # its spares are instances, and count in its capacity
    serving = best.instances * per_instance if statistical else max(best.replicas - spare, 1)
    capacity = busiest.capacity / serving
    wanted = np.ceil(loads * (1.0 + scenario.headroom_percent / 100.0) / capacity - ROUNDING)
    wanted = np.maximum(wanted, scenario.min_replicas)
    if statistical:
        instances = np.ceil(wanted / per_instance - ROUNDING) + spare
        planned = best.instances
    else:
        instances = np.ceil((wanted + spare) / per_instance - ROUNDING)
        planned = best.instances
    # The plan's count may be above what throughput alone asks for, by a limit that only more replicas keep.
    at_busiest = loads >= loads.max() * (1.0 - ROUNDING)
    instances = np.where(at_busiest, np.maximum(instances, planned), instances)
    if not scenario.scale_with_load:
        instances = np.full(WEEK, instances.max())
    counts = instances.astype(np.int64)
    start = start_of(scenario, catalog, best)
    risen = np.maximum(counts - np.roll(counts, 1), 0)
    return FleetWeek(
        loads_per_s=loads,
        replicas=np.minimum((wanted + spare).astype(np.int64), (counts * per_instance).astype(np.int64)),
        instances=counts,
        capacity_per_s=capacity,
        replicas_per_instance=per_instance,
        start=start,
        start_hours=float(risen.sum() * start.minutes / 60.0),
    )
