"""What is told of one kind of instance that serves: count, memory, percentiles with intervals, cost, and warnings."""

from __future__ import annotations

from typing import Literal

import numpy as np

from sizing import cpu, fleet
from sizing.catalog import Catalog
from sizing.catalog_rows import Price
from sizing.cost import cost_of
from sizing.plan import Basis, Deployment, LatencyMs, Rate, Rejection, Throughput, Verdict, verdict
from sizing.queueing_law import Floats
from sizing.scenario import StatisticalScenario
from sizing.statistical import micro_batching, queues, serving, serving_words, warm_up, workers
from sizing.statistical.candidate import Candidate, Model, limits_ms
from sizing.statistical.queues import Sized
from sizing.statistical.service_time import service_cv
from sizing.statistical.sizes import INTERVAL_UTILIZATION
from sizing.units import format_usd

LATENCY_SOURCES: dict[Basis, str] = {
    "estimated": "M/G/c per instance over own timings x CPU factor",
    "measured": "M/G/c per instance over your measured time",
    "calibrated": "M/G/c per instance over your measurements x ratio of CPU factors",
}

Quantity = Literal["p50", "p95", "p99"]


def interval_percentile(scenario: StatisticalScenario) -> Quantity:
    """Percentile whose 80 % interval is given: the highest that has a limit, p99 if none has."""
    names: tuple[Quantity, ...] = ("p50", "p95", "p99")
    limited = [name for name, limit in zip(names, limits_ms(scenario), strict=True) if limit is not None]
    return limited[-1] if limited else "p99"


def deployment_of(
    scenario: StatisticalScenario, catalog: Catalog, model: Model, candidate: Candidate, outcome: Sized, times: Floats
) -> Deployment | Rejection:
    """The deployment of one candidate at the count found, or the rejection of one over the budget."""
    instance = candidate.offer.instance
    price = _price(candidate, outcome)
    count = outcome.instances or 1
    service = candidate.service
    group = candidate.group
    per_instance = outcome.highest_utilization * candidate.workers / group.service_ms * 1000.0
    ready = warm_up.of_model(model.cost, model.size, candidate.speed.factor)
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
        verdicts=_verdicts(scenario, latency, times, service.basis),
        binding_constraint="memory" if candidate.memory_bound and count > 1 else outcome.limited_by,
        warnings=(
            *_warnings(candidate, outcome, times),
            *workers.warnings(scenario, instance, workers=candidate.workers, cores=candidate.cores),
            *serving_words.warnings(
                candidate.serving,
                p99_ms=float(times[0, 2]),
                requests_per_s=outcome.requests_per_s / count,
                baseline_gbps=instance.network_gbps_baseline,
            ),
        ),
        extra={
            "workers_per_instance": candidate.workers,
            "max_invocations_per_minute": capacity * 60.0,
            "model_latency_ms": service.model_ms,
            "usd_per_inference": cost.usd_per_1k_requests / 1000.0,
            "http_overhead_ms": service.http_ms,
            "payload_ms": service.payload_ms,
            "threads_ms": service.threads_ms,
            **serving.extras(candidate.serving, group),
            "seconds_to_serve": ready.usual_s,
            "seconds_to_serve_low": ready.low_s,
            "seconds_to_serve_high": ready.high_s,
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
    surplus = cpu.surplus_usd_per_hour(instance, vcpus_busy=_vcpus_busy(candidate, outcome))
    if surplus == 0.0:
        return price
    return price.model_copy(update={"usd_per_hour": price.usd_per_hour + surplus, "kind": "derived"})


def _vcpus_busy(candidate: Candidate, outcome: Sized) -> float:
    """CPU that one instance uses [vCPU]: busy workers, less the pauses under a CPU limit, more where batches are not full."""
    serving = candidate.serving
    busy = outcome.utilization * candidate.workers / serving.quota
    if serving.batch is None or candidate.offer.instance.instance_type not in cpu.BASELINE_SHARES:
        return busy
    return busy * micro_batching.busy_factor(serving.batch, outcome.utilization)


def _latency(times: Floats, which: Quantity) -> LatencyMs:
    p50, p95, p99 = (float(t) for t in times[0])
    column = ("p50", "p95", "p99").index(which)
    return LatencyMs(
        p50=p50, p95=p95, p99=p99, low=float(times[1, column]), high=float(times[2, column]), interval_of=which
    )


def _verdicts(scenario: StatisticalScenario, latency: LatencyMs, times: Floats, basis: Basis) -> tuple[Verdict, ...]:
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
            basis=basis,
            source=LATENCY_SOURCES[basis],
        )
        for name in names
        if name in asked
    )


def _warnings(candidate: Candidate, outcome: Sized, times: Floats) -> tuple[str, ...]:
    found = []
    if burst := cpu.burst_warning(candidate.offer.instance, vcpus_busy=_vcpus_busy(candidate, outcome)):
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
