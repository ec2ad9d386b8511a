"""Data of the charts: percentiles against load, and instances and dollars against load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.plan import Deployment
from sizing.queueing_law import Floats
from sizing.scenario import StatisticalScenario
from sizing.statistical import queues, serving, sizes
from sizing.statistical.candidate import limits_ms
from sizing.statistical.plan import plan
from sizing.statistical.service_time import service_cv

CURVE_POINTS = 40
"""Loads on the percentile chart [1]; closer together near saturation, where the curves bend."""

LAST_UTILIZATION = 0.98
"""Utilization at which the percentile chart ends [1]: beyond it a real queue is not stable for long."""


@dataclass(frozen=True)
class PercentileCurve:
    """p50, p95, p99 of the time in system [ms] against the load of the whole deployment [requests/s]."""

    loads_per_s: Floats
    utilization: Floats
    p50_ms: Floats
    p95_ms: Floats
    p99_ms: Floats
    demanded_per_s: float
    capacity_per_s: float
    stable_below_per_s: float


@dataclass(frozen=True)
class InstancesCurve:
    """Instances (count) and dollars per hour that each load [requests/s] needs, of one kind of instance."""

    instance_type: str
    loads_per_s: Floats
    instances: Floats
    usd_per_hour: Floats
    per_instance_per_s: float


def percentile_curve(scenario: StatisticalScenario, catalog: Catalog, deployment: Deployment) -> PercentileCurve:
    """Time in system [ms] against load on the deployment's instances, up to 98 % of what they can do."""
    group = serving.group_of(deployment)
    stable = deployment.instances * group.queues * group.workers / group.service_ms * 1000.0
    # Equal steps of the logarithm of what is left of capacity put the points where the curve bends.
    utilization = 1.0 - np.geomspace(1.0, 1.0 - LAST_UTILIZATION, CURVE_POINTS)
    times = sizes.times_ms(group, utilization, service_cv(scenario))
    return PercentileCurve(
        loads_per_s=utilization * stable,
        utilization=utilization,
        p50_ms=times[:, 0],
        p95_ms=times[:, 1],
        p99_ms=times[:, 2],
        demanded_per_s=deployment.throughput.requests_per_s.demanded,
        capacity_per_s=deployment.throughput.requests_per_s.capacity,
        stable_below_per_s=stable,
    )


def instances_curve(
    scenario: StatisticalScenario,
    catalog: Catalog,
    loads_per_s: Sequence[float],
    *,
    deployment: Deployment | None = None,
) -> InstancesCurve:
    """Instances and dollars per hour against open load, for one kind of instance.

    The kind is the deployment's (None: the recommended one). n = ceil(load / highest load of one instance) + spares.
    Raises InputError if no deployment serves the scenario.
    """
    shown = deployment or plan(scenario, catalog).recommended
    if shown is None:
        raise InputError("scenario", scenario.name or scenario.family, "a scenario that some instance serves")
    group = serving.group_of(shown)
    reach = sizes.highest_utilization(group, limits_ms(scenario), service_cv(scenario), scenario.utilization_cap)
    one = reach * group.queues * group.workers / group.service_ms * 1000.0
    loads = np.asarray(loads_per_s, dtype=np.float64)
    counts = np.array([max(1, ceil(load / one - queues.ROUNDING)) for load in loads]) + scenario.spare_replicas
    return InstancesCurve(
        instance_type=shown.instance_type,
        loads_per_s=loads,
        instances=counts.astype(np.float64),
        usd_per_hour=counts * shown.cost.usd_per_instance_hour,
        per_instance_per_s=one,
    )
