"""Which runtime to pick: time a row of each runtime of the family by rows in a request, and the plan each leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sizing import cpu
from sizing.catalog import Catalog
from sizing.plan import Deployment
from sizing.queueing_law import Floats
from sizing.scenario import StatisticalScenario
from sizing.scenario_statistical import StatisticalRuntime
from sizing.statistical.candidate import model_of
from sizing.statistical.plan import plan
from sizing.statistical.service_time import service_time
from sizing.units import format_usd

MOST_ROWS = 4096
"""Rows in a request to which the timings go [1]; a scenario with more is shown up to its own."""

KEPT = 64
"""Outcomes kept (count): a few short figures each, not the plan they come from."""


@dataclass(frozen=True)
class RowTimes:
    """Time of the predict call over the rows in a request [us a row], with its 80 % interval, on one core."""

    runtime: StatisticalRuntime
    name: str
    rows: tuple[int, ...]
    us_per_row: Floats
    low_us: Floats
    high_us: Floats
    at_scenario_us: float


@dataclass(frozen=True)
class RuntimeOutcome:
    """What the scenario needs in one runtime: instances, cost [USD a month], p99 [ms], bytes; or why nothing serves it.

    `host_ms` is the predict call on the catalog's host, so that runtimes compare whatever their instances.
    """

    runtime: StatisticalRuntime
    name: str
    host_ms: float
    model_ms: float | None
    instance_type: str | None
    instances: int | None
    usd_per_month: float | None
    p99_ms: float | None
    worker_bytes: int
    because: str | None


def row_times(scenario: StatisticalScenario, catalog: Catalog, deployment: Deployment) -> tuple[RowTimes, ...]:
    """Time a row [us] against rows in a request for every runtime of the family, on a core of the deployment's instance."""
    speed = cpu.cpu_speed(catalog.instance(deployment.instance))
    own = scenario.rows_per_request
    grid = tuple(sorted({*(2**i for i in range(13)), own} - ({MOST_ROWS} if own > MOST_ROWS else set())))
    found = []
    for each in catalog.statistical_family(scenario.family).runtimes:
        chosen = scenario.model_copy(update={"runtime": each.id})
        model = model_of(chosen, catalog)
        times = []
        for rows in grid:
            t = service_time(
                scenario=chosen.model_copy(update={"rows_per_request": rows}),
                cost=model.cost,
                size=model.size,
                speed=speed,
                sharing=1.0,
                before=model.before,
            )
            if model.calibration is None:
                times.append([t.model_ms, t.low_ms - t.http_ms, t.high_ms - t.http_ms])
                continue
            # What was measured does not part the two errors: the call has the relative interval of the request.
            t = model.calibration.applied(t, machine=deployment.instance, speed=speed)
            times.append([t.model_ms, t.model_ms * t.low_ms / t.mean_ms, t.model_ms * t.high_ms / t.mean_ms])
        us = np.array(times) * 1000.0 / np.array(grid)[:, None]
        found.append(RowTimes(each.id, each.name, grid, us[:, 0], us[:, 1], us[:, 2], float(us[grid.index(own), 0])))
    return tuple(found)


@lru_cache(maxsize=KEPT)
def outcome(scenario: StatisticalScenario, catalog: Catalog) -> RuntimeOutcome:
    """The plan of a scenario in its own runtime, in a few figures. Raises InputError as `plan` does."""
    found = plan(scenario, catalog)
    model = model_of(scenario, catalog)
    best = found.recommended
    host = cpu.CpuSpeed(1.0, 1.0, 1.0, cpu.HOST)
    times = service_time(
        scenario=scenario, cost=model.cost, size=model.size, speed=host, sharing=1.0, before=model.before
    )
    if model.calibration is not None:
        times = model.calibration.applied(times, machine="", speed=host)
    return RuntimeOutcome(
        runtime=scenario.runtime,
        name=model.cost.name,
        host_ms=times.model_ms,
        model_ms=float(best.extra["model_latency_ms"] or 0.0) if best else None,
        instance_type=best.instance_type if best else None,
        instances=best.instances if best else None,
        usd_per_month=best.cost.usd_per_month if best else None,
        p99_ms=best.latency_ms["time_in_system"].p99 if best else None,
        worker_bytes=sum(model.per_worker_bytes.values()),
        because=None if best else f"no instance serves it: {found.binding_constraint}",
    )


def outcomes(scenario: StatisticalScenario, catalog: Catalog) -> tuple[RuntimeOutcome, ...]:
    """The outcome of the scenario in every runtime of its family, in the order of the catalog.

    Measurements are of the call in the scenario's own runtime; the web server that they found stands before every runtime.
    """
    family = catalog.statistical_family(scenario.family)
    web_ms, calibration = scenario.http_overhead_ms, model_of(scenario, catalog).calibration
    if calibration is not None:
        web_ms *= calibration.web_factor
    found = []
    for each in family.runtimes:
        changes: dict[str, object] = {"runtime": each.id, "name": "", "notes": ""}
        if each.id != scenario.runtime:
            changes |= {"http_overhead_ms": web_ms, "measured_service": None}
        found.append(outcome(scenario.model_copy(update=changes), catalog))
    return tuple(found)


def pick(found: Sequence[RuntimeOutcome]) -> RuntimeOutcome | None:
    """The runtime to pick: least cost, then the shortest predict call; None if no runtime serves the scenario."""
    serving = [o for o in found if o.usd_per_month is not None]
    return min(serving, key=lambda o: (round(o.usd_per_month or 0.0, 2), o.host_ms), default=None)


def pick_words(found: Sequence[RuntimeOutcome], scenario: StatisticalScenario) -> str:
    """Which runtime to pick and what it saves against the chosen one, in a sentence."""
    best = pick(found)
    now = next(o for o in found if o.runtime == scenario.runtime)
    if best is None:
        return "No runtime of this family serves the scenario on any instance."
    if best.runtime == now.runtime:
        return f"{now.name}, the chosen one, costs least here and of those at its cost calls fastest."
    assert best.usd_per_month is not None
    if now.usd_per_month is None:
        return f"Pick {best.name}: it serves the scenario, and {now.name} does not."
    times = now.host_ms / best.host_ms
    change = f"{times:.2g} times as fast" if times > 1 else f"{1 / times:.2g} times as slow"
    saved = now.usd_per_month - best.usd_per_month
    if saved < 0.01:
        return f"Pick {best.name}: it costs the same as {now.name}, and its predict call is {change} on the same core."
    return (
        f"Pick {best.name}: it saves {format_usd(saved)} of {format_usd(now.usd_per_month)} a month against {now.name}; its "
        f"predict call is {change} on the same core."
    )
