"""What a sizing comes to, in short: for questions that size one scenario many times over."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.plan import Deployment


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many of one kind of machine serve a scenario (count), and their cost [USD a month of 730 h].

    `capacity_per_s` is what they serve within the limits and the utilization cap [requests/s]; None where it was not asked for.
    """

    instance: str
    instance_type: str
    replicas: int
    instances: int
    usd_per_month: float
    capacity_per_s: float | None = None


def outcome_of(deployment: Deployment) -> Outcome:
    """The outcome that a deployment is."""
    return Outcome(
        deployment.instance,
        deployment.instance_type,
        deployment.replicas,
        deployment.instances,
        deployment.cost.usd_per_month,
        deployment.throughput.requests_per_s.capacity,
    )
