"""Machines and dollars by load for one kind of machine, and the event simulation of a deployment beside its formula."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sizing.batch_gather import OVERLAP_SHARE
from sizing.batch_simulation import BatcherRun, simulate_batcher
from sizing.deep_learning.host import vcpus_needed
from sizing.plan import Deployment
from sizing.scenario import DeepLearningScenario
from sizing.units import MS_PER_S

POINTS = 160
"""Loads of the step curve [1], spaced geometrically."""
SIMULATED_REQUESTS = 40_000
SIMULATED_GPUS = 8
"""Most workers simulated [count]: more of them behind a random balancer change nothing, each has its own queue."""


@dataclass(frozen=True)
class LoadSteps:
    """Workers (GPUs, slices or sessions), machines and USD per hour of one kind of machine, by load [1/s]."""

    requests_per_s: tuple[float, ...]
    workers: tuple[int, ...]
    machines: tuple[int, ...]
    usd_per_hour: tuple[float, ...]


def loads_around(rate_per_s: float, *, factor: float = 10.0) -> tuple[float, ...]:
    """Loads from a tenth of a rate to ten times it [1/s], the rate among them."""
    between: NDArray[np.float64] = np.geomspace(rate_per_s / factor, rate_per_s * factor, POINTS)
    return tuple(sorted({*between.tolist(), rate_per_s}))


def steps_by_load(scenario: DeepLearningScenario, deployment: Deployment, loads_per_s: tuple[float, ...]) -> LoadSteps:
    """Machines of the deployment's kind by load (count): the greatest of workers, vCPUs and network, each rounded up.

    A worker carries what keeps the utilization cap and the limit: `gpu_capacity_requests_per_s` of the deployment.
    """
    extra = deployment.extra
    each = float(extra["gpu_capacity_requests_per_s"] or 0.0)
    on_machine = (deployment.accelerators_per_instance or 1) * int(extra["workers_per_device"] or 1)
    network = extra["network_requests_per_s"]
    carried = None if network is None else float(network) / deployment.instances
    cpu = float(extra["cpu_ms_per_request"] or 0.0) if deployment.accelerator is not None else 0.0
    workers, machines = [], []
    for load in loads_per_s:
        count = max(1, ceil(load / each - 1e-9)) + scenario.spare_replicas
        needs = [ceil(count / on_machine)]
        if deployment.vcpus_per_instance:
            needs.append(ceil(vcpus_needed(load, cpu, scenario.utilization_cap) / deployment.vcpus_per_instance - 1e-9))
        if carried is not None:
            needs.append(ceil(load / carried - 1e-9))
        workers.append(count)
        machines.append(max(needs))
    price = deployment.cost.usd_per_instance_hour
    return LoadSteps(loads_per_s, tuple(workers), tuple(machines), tuple(price * count for count in machines))


def simulated(scenario: DeepLearningScenario, deployment: Deployment) -> BatcherRun:
    """The deployment's workers at the demanded load by event simulation, without the CPU part [ms]; open loop only."""
    extra = deployment.extra
    workers = max(1, deployment.replicas - scenario.spare_replicas)
    shown = min(workers, SIMULATED_GPUS)
    on_gpu = deployment.accelerator is not None
    instances = scenario.model_instances_per_gpu if on_gpu else 1
    t0 = float(extra["t0_ms"] or 0.0)
    return simulate_batcher(
        t0_ms=t0,
        k_ms=float(extra["k_ms"] or 0.0),
        max_batch=deployment.batch or 1,
        rate_per_ms=deployment.throughput.requests_per_s.demanded / MS_PER_S * shown / workers,
        delay_ms=scenario.queue_delay_ms if on_gpu else 0.0,
        instances=instances,
        overlap_ms=t0 * OVERLAP_SHARE if instances > 1 else 0.0,
        gpus=shown,
        requests=SIMULATED_REQUESTS,
    )
