"""One kind of instance as it would run the model: workers as far as memory reaches, and the service time of a request."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sizing import cpu, fleet
from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.fleet import Offer
from sizing.plan import Memory, Rejection
from sizing.scenario import StatisticalScenario
from sizing.statistical import serving
from sizing.statistical import workers as worker_models
from sizing.statistical.memory import instance_memory, worker_bytes, workers_that_fit
from sizing.statistical.own import Step, own_model, resolved, structure_of
from sizing.statistical.queues import Group, Traffic
from sizing.statistical.recalibration import Calibration, calibration_of
from sizing.statistical.service_time import ServiceTime, service_time
from sizing.statistical.steps import NOTHING, Preparation, preparation_of
from sizing.statistical.structure import Structure, runtime_cost, structure
from sizing.statistical_rows import RuntimeCost, StatisticalFamily
from sizing.units import format_bytes


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
    serving: serving.Serving

    @cached_property
    def group(self) -> Group:
        """What the queue sees of it."""
        return self.serving.group(self.service)


@dataclass(frozen=True)
class Model:
    """The scenario's model: its row in the catalog, costs in its runtime, size, bytes of a worker by part, its measurements, and
    the steps before it, where its file is known."""

    family: StatisticalFamily
    cost: RuntimeCost
    size: Structure
    per_worker_bytes: dict[str, int]
    calibration: Calibration | None = None
    steps: tuple[Step, ...] = ()
    before: Preparation = NOTHING


def model_of(scenario: StatisticalScenario, catalog: Catalog) -> Model:
    """The scenario's model, sized, by the summary of its file where it has one. Raises InputError for an unknown family, a
    runtime it lacks, or a summary that is none."""
    summary = own_model(scenario)
    scenario = resolved(scenario)
    if summary is not None and summary.family not in catalog.statistical_families:
        raise InputError("custom_model", f"a summary of family {summary.family}", "a family of the catalog")
    family = catalog.statistical_family(scenario.family)
    cost = runtime_cost(scenario, family)
    if summary is None:
        size = structure(scenario=scenario, family=family)
    else:
        size = structure_of(summary, family=family, cost=cost)
    bytes_ = worker_bytes(scenario=scenario, cost=cost, size=size)
    steps = () if summary is None else summary.steps
    before = preparation_of(steps, runtime=cost.id, catalog=catalog)
    return Model(family, cost, size, bytes_, calibration_of(scenario, catalog, cost, size, before), steps, before)


def limits_ms(scenario: StatisticalScenario) -> tuple[float | None, float | None, float | None]:
    """Limits on p50, p95 and p99 of the time in system [ms]."""
    return scenario.p50_target_ms, scenario.p95_target_ms, scenario.p99_target_ms


def traffic_of(scenario: StatisticalScenario) -> Traffic:
    """The demanded load of a scenario."""
    return Traffic(
        requests_per_s=scenario.requests_per_s, users=scenario.concurrency, think_time_ms=scenario.think_time_s * 1000.0
    )


def candidate_on(scenario: StatisticalScenario, model: Model, offer: Offer) -> Candidate | Rejection:
    """The model on one kind of instance, or why it cannot run there: unknown size, too many workers, too little memory."""
    instance = offer.instance
    cores = cpu.physical_cores(instance)
    if cores is None or instance.memory_gib is None:
        what = "vCPUs" if cores is None else "memory"
        return fleet.rejection(instance, constraint=what, because=f"the catalog does not know its {what}")
    threads = worker_models.usable_threads(scenario, instance.vcpus or cores)
    cores = worker_models.usable_cores(scenario, cores)
    wanted = scenario.workers_per_instance or worker_models.default_workers(scenario, cores)
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
    sharing = cpu.sharing_factor(workers=workers, cores=cores)
    called = service_time(
        scenario=scenario, cost=model.cost, size=model.size, speed=speed, sharing=sharing, before=model.before
    )
    if model.calibration is not None:
        called = model.calibration.applied(called, machine=instance.id, speed=speed)
    service, around = serving.served(
        scenario=scenario,
        cost=model.cost,
        instance=instance,
        speed=speed,
        sharing=sharing,
        service=called,
        workers_per_instance=workers,
        cores=cores,
    )
    return Candidate(
        offer=offer,
        workers=workers,
        cores=cores,
        speed=speed,
        service=service,
        memory=instance_memory(
            per_worker_bytes=model.per_worker_bytes, workers=workers, memory_gib=instance.memory_gib
        ),
        memory_bound=workers < wanted,
        serving=around,
    )
