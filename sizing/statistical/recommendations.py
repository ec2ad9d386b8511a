"""Deployments in the words of the services that load-test instances, and as their table: one row an instance type.

The names are those of SageMaker Inference Recommender (RecommendationMetrics of its API). Its figures are at the most
invocations it reached; these are at the demanded load, so that they can be held against the limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from sizing.plan import Deployment
from sizing.statistical import queues

DEFINITIONS: dict[str, str] = {
    "initial_instance_count": "Instances to start with: the least that keep every limit at the demanded load.",
    "cost_per_hour_usd": "All instances for one hour [USD].",
    "cost_per_inference_usd": "Cost of an hour / requests of an hour at the demanded load [USD].",
    "max_invocations_per_minute": "Most requests a minute that all instances serve within the limits and the utilization cap.",
    "model_latency_p99_ms": "Time of the predict call on the instance [ms], without web server, queue and network. A load test "
    "calls ModelLatency what the container takes in all, at the most invocations it reached.",
    "time_in_system_p99_ms": "From the arrival of a request at the instance to its reply [ms], with queue and web server, "
    "without the network.",
    "cpu_utilization_percent": "Busy vCPUs / vCPUs [%] at the demanded load, as the machine's own meter shows it. With one "
    "worker a core, a machine of two threads a core does not pass 50 %.",
    "memory_utilization_percent": "Memory of operating system and workers / memory of the instance [%].",
    "workers_per_instance": "Processes on an instance, each with its own copy of the model.",
}
"""What each column is here, with its unit. Percentiles p50 and p95 are as p99."""


@dataclass(frozen=True)
class Recommendation:
    """One row: an instance type with its initial count, cost, rates, times [ms] and utilization [%] at the demanded load."""

    instance_type: str
    provider: str
    initial_instance_count: int
    workers_per_instance: int
    cost_per_hour_usd: float
    cost_per_month_usd: float
    cost_per_inference_usd: float
    max_invocations_per_minute: float
    model_latency_p50_ms: float
    model_latency_p95_ms: float
    model_latency_p99_ms: float
    time_in_system_p50_ms: float
    time_in_system_p95_ms: float
    time_in_system_p99_ms: float
    cpu_utilization_percent: float | None
    memory_utilization_percent: float


def recommendation(deployment: Deployment) -> Recommendation:
    """A deployment of a statistical model as a row.

    Model latency = quantile of the service law x mean of the predict call; CPU = utilization x workers / vCPUs.
    """
    d, extra = deployment, deployment.extra
    workers = d.replicas // d.instances
    memory, system = d.memory_per_instance, d.latency_ms["time_in_system"]
    assert memory is not None
    # Times in mean service times at no load are the quantiles of the service law itself.
    alone = queues.curve(workers, float(extra["service_cv"] or 0.0))[0] * float(extra["model_latency_ms"] or 0.0)
    return Recommendation(
        instance_type=d.instance_type,
        provider=d.provider,
        initial_instance_count=d.instances,
        workers_per_instance=workers,
        cost_per_hour_usd=d.cost.usd_per_hour,
        cost_per_month_usd=d.cost.usd_per_month,
        cost_per_inference_usd=d.cost.usd_per_1k_requests / 1000.0,
        max_invocations_per_minute=d.throughput.requests_per_s.capacity * 60.0,
        model_latency_p50_ms=float(alone[0]),
        model_latency_p95_ms=float(alone[1]),
        model_latency_p99_ms=float(alone[2]),
        time_in_system_p50_ms=system.p50 or 0.0,
        time_in_system_p95_ms=system.p95 or 0.0,
        time_in_system_p99_ms=system.p99 or 0.0,
        cpu_utilization_percent=cpu_percent(d, d.utilization),
        memory_utilization_percent=memory.used_bytes / memory.capacity_bytes * 100.0,
    )


def cpu_percent(deployment: Deployment, utilization: float) -> float | None:
    """CPU utilization as the machine shows it [%] at a utilization of its workers: utilization x workers / vCPUs.

    None where the catalog does not know the vCPUs.
    """
    vcpus = deployment.vcpus_per_instance
    return None if not vcpus else utilization * (deployment.replicas // deployment.instances) / vcpus * 100.0
