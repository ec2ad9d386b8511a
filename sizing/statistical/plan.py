"""Plan for a statistical model: for each kind of instance the workers, the instances and the cost; then the order."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sizing import cpu, fleet
from sizing.catalog import Catalog
from sizing.catalog_rows import Price
from sizing.cost import cost_of
from sizing.fleet import Offer
from sizing.plan import Deployment, LatencyMs, Memory, Plan, Rate, Rejection, Search, Throughput, Verdict, rank, verdict
from sizing.queueing_law import Floats
from sizing.scenario import StatisticalScenario
from sizing.statistical import queues
from sizing.statistical.memory import instance_memory, worker_bytes, workers_that_fit
from sizing.statistical.queues import Group, Sized, Traffic
from sizing.statistical.service_time import ServiceTime, service_cv, service_time
from sizing.statistical.structure import Structure, runtime_cost, structure
from sizing.statistical.working import caveats, headline, working
from sizing.statistical_rows import RuntimeCost, StatisticalFamily
from sizing.units import format_bytes, format_ms, format_usd

INTERVAL_UTILIZATION = 0.98
"""Utilization at which the slow end of an interval is read when it would leave no stable queue [1]."""

LATENCY_SOURCE = "M/G/c per instance over own timings x CPU factor"

Quantity = Literal["p50", "p95", "p99"]


@dataclass(frozen=True)
class Candidate:
    """One kind of instance as it would be run: workers, service time and memory."""

    offer: Offer
    workers: int
    cores: int
    speed: cpu.CpuSpeed
    service: ServiceTime
    memory: Memory
    memory_bound: bool

    @property
    def group(self) -> Group:
        """What the queue sees of it."""
        return Group(service_ms=self.service.mean_ms, workers=self.workers)


@dataclass(frozen=True)
class Model:
    """The scenario's model: its row in the catalog, costs in its runtime, size and bytes of a worker by part."""

    family: StatisticalFamily
    cost: RuntimeCost
    size: Structure
    per_worker_bytes: dict[str, int]


def model_of(scenario: StatisticalScenario, catalog: Catalog) -> Model:
    """The scenario's model, sized. Raises InputError for an unknown family or a runtime it lacks."""
    family = catalog.statistical_family(scenario.family)
    cost = runtime_cost(scenario, family)
    size = structure(scenario=scenario, family=family)
    return Model(family, cost, size, worker_bytes(scenario=scenario, cost=cost, size=size))


def limits_ms(scenario: StatisticalScenario) -> tuple[float | None, float | None, float | None]:
    """Limits on p50, p95 and p99 of the time in system [ms]."""
    return scenario.p50_target_ms, scenario.p95_target_ms, scenario.p99_target_ms


def interval_percentile(scenario: StatisticalScenario) -> Quantity:
    """Percentile whose 80 % interval is given: the highest that has a limit, p99 if none has."""
    names: tuple[Quantity, ...] = ("p50", "p95", "p99")
    limited = [name for name, limit in zip(names, limits_ms(scenario), strict=True) if limit is not None]
    return limited[-1] if limited else "p99"


def plan(scenario: StatisticalScenario, catalog: Catalog) -> Plan:
    """Plan of a statistical scenario: the cheapest instances that keep every limit, the others, and why not the rest.

    Raises InputError for an unknown family, instance or a runtime that the family lacks.
    """
    model = model_of(scenario, catalog)
    offered, rejected = fleet.offers(scenario, catalog, category="cpu")
    broke_rules = len(rejected)
    candidates: list[Candidate] = []
    for offer in offered:
        made = _candidate(scenario, model, offer)
        if isinstance(made, Rejection):
            rejected.append(made)
        else:
            candidates.append(made)
    cv = service_cv(scenario)
    sizes = queues.sized(
        groups=[c.group for c in candidates],
        traffic=traffic_of(scenario),
        cv=cv,
        utilization_cap=scenario.utilization_cap,
        limits_ms=limits_ms(scenario),
        spare=scenario.spare_replicas,
    )
    times = _times_ms(candidates, sizes, cv)
    deployments: list[Deployment] = []
    for candidate in candidates:
        outcome = sizes[candidate.group]
        made_plan: Deployment | Rejection
        if outcome.instances is None:
            made_plan = _too_slow(scenario, candidate, outcome, cv)
        else:
            made_plan = _deployment(
                scenario, catalog, model, candidate, outcome, times[candidate.service, candidate.workers]
            )
        if isinstance(made_plan, Rejection):
            rejected.append(made_plan)
        else:
            deployments.append(made_plan)
    ranked = rank(deployments)
    best = ranked[0] if ranked else None
    by_id = {c.offer.instance.id: c for c in candidates}
    shown = by_id[best.instance] if best else min(candidates, key=lambda c: c.service.mean_ms, default=None)
    binding = best.binding_constraint if best else _commonest(rejected, broke_rules)
    return Plan(
        kind="statistical",
        catalog=catalog.version,
        scenario=scenario,
        headline=headline(scenario, model.family, best, binding, rejected),
        recommended=best,
        alternatives=tuple(ranked[1:]),
        rejected=tuple(rejected),
        binding_constraint=binding,
        working=working(scenario, model.family, model.cost, model.size, model.per_worker_bytes, shown, best),
        caveats=caveats(scenario, model.family, model.cost),
        search=Search(
            candidates=len(ranked) + len(rejected),
            configurations=sum(sizes[c.group].evaluated for c in candidates),
            seconds=0.0,
        ),
    )


def traffic_of(scenario: StatisticalScenario) -> Traffic:
    """The demanded load of a scenario."""
    return Traffic(
        requests_per_s=scenario.requests_per_s, users=scenario.concurrency, think_time_ms=scenario.think_time_s * 1000.0
    )


def _candidate(scenario: StatisticalScenario, model: Model, offer: Offer) -> Candidate | Rejection:
    instance = offer.instance
    cores = cpu.physical_cores(instance)
    if cores is None or instance.memory_gib is None:
        what = "vCPUs" if cores is None else "memory"
        return fleet.rejection(instance, constraint=what, because=f"the catalog does not know its {what}")
    threads = instance.vcpus or cores
    wanted = scenario.workers_per_instance or cores
    if wanted > threads:
        return fleet.rejection(
            instance,
            constraint="workers",
            because=f"{wanted} workers on {threads} vCPUs would wait for each other",
            remedy=f"at most {threads} workers on an instance",
        )
    fitting = workers_that_fit(per_worker_bytes=model.per_worker_bytes, memory_gib=instance.memory_gib)
    workers = min(wanted, fitting)
    if workers == 0 or (scenario.workers_per_instance is not None and workers < wanted):
        asked = scenario.workers_per_instance or 1
        needed = instance_memory(per_worker_bytes=model.per_worker_bytes, workers=asked, memory_gib=instance.memory_gib)
        more = f"{format_bytes(-needed.free_bytes)} more memory"
        return fleet.rejection(
            instance,
            constraint="memory",
            because=f"{asked} {'worker needs' if asked == 1 else 'workers need'} {format_bytes(needed.used_bytes)} "
            f"of {format_bytes(needed.capacity_bytes)}",
            remedy=more if workers == 0 else f"{workers} workers on an instance, or {more}",
        )
    speed = cpu.cpu_speed(instance)
    return Candidate(
        offer=offer,
        workers=workers,
        cores=cores,
        speed=speed,
        service=service_time(
            scenario=scenario,
            cost=model.cost,
            size=model.size,
            speed=speed,
            sharing=cpu.sharing_factor(workers=workers, cores=cores),
        ),
        memory=instance_memory(
            per_worker_bytes=model.per_worker_bytes, workers=workers, memory_gib=instance.memory_gib
        ),
        memory_bound=workers < wanted,
    )


def _times_ms(
    candidates: list[Candidate], sizes: dict[Group, Sized], cv: float
) -> dict[tuple[ServiceTime, int], Floats]:
    """Exact p50, p95, p99 [ms] of all sized candidates: rows expected, fast end and slow end of the service time."""
    by_workers: dict[int, list[Candidate]] = {}
    for candidate in {(c.service, c.workers): c for c in candidates if sizes[c.group].instances is not None}.values():
        by_workers.setdefault(candidate.workers, []).append(candidate)
    found: dict[tuple[ServiceTime, int], Floats] = {}
    for workers, members in by_workers.items():
        services = np.array([[c.service.mean_ms, c.service.low_ms, c.service.high_ms] for c in members])
        seen = np.array([[sizes[c.group].seen_utilization] for c in members])
        loads = np.minimum(seen * services / services[:, :1], np.maximum(INTERVAL_UTILIZATION, seen))
        unit = queues.unit_times(utilizations=loads.ravel(), workers=workers, cv=cv).reshape(len(members), 3, 3)
        for candidate, rows in zip(members, unit * services[:, :, None], strict=True):
            found[candidate.service, workers] = rows
    return found


def _too_slow(scenario: StatisticalScenario, candidate: Candidate, outcome: Sized, cv: float) -> Rejection:
    instance, service = candidate.offer.instance, candidate.service
    if outcome.limited_by == "throughput":
        return fleet.rejection(
            instance,
            constraint="throughput",
            because=f"more than {queues.MAX_INSTANCES:,} instances would be needed "
            f"({outcome.requests_per_s:g} requests/s of {format_ms(service.mean_ms)} each)",
            remedy=f"at most {_most_requests_per_s(candidate, outcome):,.0f} requests/s",
        )
    alone = queues.curve(candidate.workers, cv)[0] * service.mean_ms
    percentile = int(outcome.limited_by.removeprefix("p").split()[0])
    index = queues.PERCENTILES.index(percentile)
    limit = limits_ms(scenario)[index]
    return fleet.rejection(
        instance,
        constraint=outcome.limited_by,
        because=f"p{percentile} of the service alone is {format_ms(float(alone[index]))}, "
        f"over the limit of {format_ms(limit)}",
        remedy=f"a p{percentile} limit above {format_ms(float(alone[index]))}",
        miss_ratio=float(alone[index]) / limit if limit else None,
    )


def _most_requests_per_s(candidate: Candidate, outcome: Sized) -> float:
    per_instance = outcome.highest_utilization * candidate.workers / candidate.service.mean_ms * 1000.0
    return queues.MAX_INSTANCES * per_instance


def _deployment(
    scenario: StatisticalScenario, catalog: Catalog, model: Model, candidate: Candidate, outcome: Sized, times: Floats
) -> Deployment | Rejection:
    instance = candidate.offer.instance
    price = _price(candidate, outcome)
    count = outcome.instances or 1
    service = candidate.service
    per_instance = outcome.highest_utilization * candidate.workers / service.mean_ms * 1000.0
    capacity = max(per_instance * count, outcome.requests_per_s)
    cost = cost_of(
        instances=count,
        price=price,
        on=catalog.as_of,
        demanded_requests_per_s=outcome.requests_per_s,
        capacity_requests_per_s=capacity,
    )
    if scenario.max_usd_per_month is not None and cost.usd_per_month > scenario.max_usd_per_month:
        return fleet.rejection(
            instance,
            constraint="budget",
            because=f"{count} instances cost {format_usd(cost.usd_per_month)} a month, "
            f"over {format_usd(scenario.max_usd_per_month)}",
            remedy=f"a budget of {format_usd(cost.usd_per_month)} a month",
            miss_ratio=cost.usd_per_month / scenario.max_usd_per_month,
        )
    which = interval_percentile(scenario)
    alone = queues.curve(candidate.workers, service_cv(scenario))[0]
    latency = _latency(times, which)
    rows = scenario.rows_per_request
    return Deployment(
        instance=instance.id,
        instance_type=instance.instance_type,
        provider=instance.provider,
        service=instance.service,
        region=price.region,
        accelerator=None,
        accelerator_name=None,
        accelerators_per_instance=None,
        accelerators_per_replica=None,
        vcpus_per_instance=instance.vcpus,
        replicas=candidate.workers * count,
        instances=count,
        parallelism=None,
        runtime=model.cost.name,
        weight_format=None,
        kv_format=None,
        batch=None,
        memory_per_accelerator=None,
        memory_per_instance=candidate.memory,
        latency_ms={
            "service": _latency(np.outer([service.mean_ms, service.low_ms, service.high_ms], alone), which),
            "time_in_system": latency,
        },
        throughput=Throughput(
            requests_per_s=Rate(demanded=outcome.requests_per_s, capacity=capacity),
            rows_per_s=Rate(demanded=outcome.requests_per_s * rows, capacity=capacity * rows),
        ),
        utilization=outcome.utilization,
        cost=cost,
        verdicts=_verdicts(scenario, latency, times),
        binding_constraint="memory" if candidate.memory_bound and count > 1 else outcome.limited_by,
        warnings=_warnings(candidate, outcome, times),
        extra={
            "workers_per_instance": candidate.workers,
            "max_invocations_per_minute": capacity * 60.0,
            "model_latency_ms": service.model_ms,
            "usd_per_inference": cost.usd_per_1k_requests / 1000.0,
            "http_overhead_ms": service.http_ms,
            "service_cv": service_cv(scenario),
            "model_file_bytes": model.size.file_bytes,
            "resident_bytes": model.size.resident_bytes,
            "worker_bytes": sum(model.per_worker_bytes.values()),
            "cpu_factor": candidate.speed.factor,
            "cpu_factor_low": candidate.speed.low,
            "cpu_factor_high": candidate.speed.high,
            "physical_cores": candidate.cores,
            "capacity_requests_per_s_per_instance": per_instance,
        },
    )


def _price(candidate: Candidate, outcome: Sized) -> Price:
    """The instance's price [USD per hour], with what a burstable one bills for CPU above its baseline."""
    instance, price = candidate.offer.instance, candidate.offer.price
    surplus = cpu.surplus_usd_per_hour(instance, vcpus_busy=outcome.utilization * candidate.workers)
    if surplus == 0.0:
        return price
    return price.model_copy(update={"usd_per_hour": price.usd_per_hour + surplus, "kind": "derived"})


def _latency(times: Floats, which: Quantity) -> LatencyMs:
    p50, p95, p99 = (float(t) for t in times[0])
    column = ("p50", "p95", "p99").index(which)
    return LatencyMs(
        p50=p50, p95=p95, p99=p99, low=float(times[1, column]), high=float(times[2, column]), interval_of=which
    )


def _verdicts(scenario: StatisticalScenario, latency: LatencyMs, times: Floats) -> tuple[Verdict, ...]:
    """A verdict on each limit set, each with the interval of its own percentile; p99 without limit if none is set."""
    names: tuple[Quantity, ...] = ("p50", "p95", "p99")
    limits = dict(zip(names, limits_ms(scenario), strict=True))
    asked = [name for name in names if limits[name] is not None] or ["p99"]
    return tuple(
        verdict(
            quantity="Time in system",
            percentile=int(name[1:]),
            limit_ms=limits[name],
            latency=_latency(times, name),
            basis="estimated",
            source=LATENCY_SOURCE,
        )
        for name in names
        if name in asked
    )


def _warnings(candidate: Candidate, outcome: Sized, times: Floats) -> tuple[str, ...]:
    found = []
    busy = outcome.utilization * candidate.workers
    if burst := cpu.burst_warning(candidate.offer.instance, vcpus_busy=busy):
        found.append(burst)
    if candidate.speed is cpu.UNKNOWN_CPU:
        found.append("The catalog does not know its CPU: the speed is that of a middling core, with a wide interval.")
    slow = outcome.seen_utilization * candidate.service.high_ms / candidate.service.mean_ms
    if slow > INTERVAL_UTILIZATION:
        found.append(
            f"At the slow end of the interval the load is {slow:.0%} of what the workers can do: "
            "measure before relying on this count."
        )
    if candidate.memory_bound:
        found.append(f"Memory holds {candidate.workers} workers on {candidate.cores} cores.")
    if candidate.workers > candidate.cores:
        found.append("More workers than physical cores: each runs slower, by a recalled factor of up to 1.6.")
    return tuple(found)


def _commonest(rejected: list[Rejection], broke_rules: int) -> str:
    """Constraint that dropped most of what the rules allowed; of what the rules dropped, if they allowed nothing."""
    counted = Counter(r.constraint for r in (rejected[broke_rules:] or rejected))
    return min(counted, key=lambda name: (-counted[name], name)) if counted else "instances"
