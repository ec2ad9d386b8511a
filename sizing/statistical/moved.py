"""A scenario sized anew with the service time moved, and the latency of a deployment that is left as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import exp, inf

from sizing import fleet
from sizing.catalog import Catalog
from sizing.cpu import CpuSpeed
from sizing.outcome import Outcome, outcome_of
from sizing.plan import Deployment, Rejection, rank
from sizing.scenario import StatisticalScenario
from sizing.statistical import micro_batching, queues, sizes
from sizing.statistical.candidate import Candidate, Model, candidate_on, limits_ms, model_of, traffic_of
from sizing.statistical.deployment import deployment_of
from sizing.statistical.own import resolved
from sizing.statistical.queues import PERCENTILES
from sizing.statistical.service_time import constants_error, service_cv

Factor = Callable[[Candidate, Model], float]
"""Factor on the whole service time of a kind of instance [1]."""


def as_predicted(candidate: Candidate, model: Model) -> float:
    """No change [1]."""
    return 1.0


def fast_end(candidate: Candidate, model: Model) -> float:
    """Low end of the 80 % interval of the service time over its middle [1]."""
    return candidate.service.low_ms / candidate.service.mean_ms


def slow_end(candidate: Candidate, model: Model) -> float:
    """High end of the 80 % interval of the service time over its middle [1]."""
    return candidate.service.high_ms / candidate.service.mean_ms


def model_time(sign: float) -> Factor:
    """The constants of the model's call at an end (-1 or 1) of what models held back left as error."""

    def factor(candidate: Candidate, model: Model) -> float:
        return _whole(candidate, exp(sign * constants_error(model.cost)))

    return factor


def cpu_factor(end: Callable[[CpuSpeed], float]) -> Factor:
    """The speed of the CPU at a value of its range; calls and rows follow it by their powers (`law.on_cpu`)."""

    def factor(candidate: Candidate, model: Model) -> float:
        ratio, call = end(candidate.speed) / candidate.speed.factor, candidate.service.call_share
        moved = call * ratio**model.cost.call_scaling + (1.0 - call) * ratio**model.cost.loop_scaling
        return _whole(candidate, moved)

    return factor


def _whole(candidate: Candidate, of_model: float) -> float:
    """Factor on the whole service time where the model's part is so many times as long [1]."""
    s = candidate.service
    return 1.0 + (of_model - 1.0) * s.model_ms / (s.model_ms + s.http_ms + s.payload_ms)


def moved(candidate: Candidate, factor: float) -> Candidate:
    """The candidate with every part of its service time so many times as long [1]."""
    if factor == 1.0:
        return candidate
    names = ("model_ms", "http_ms", "payload_ms", "threads_ms", "low_ms", "high_ms")
    service = replace(candidate.service, **{name: getattr(candidate.service, name) * factor for name in names})
    law = candidate.serving.batch
    serving = replace(candidate.serving, batch=None if law is None else micro_batching.scaled(law, factor))
    return replace(candidate, service=service, serving=serving)


def resized(
    scenario: StatisticalScenario, catalog: Catalog, factor: Factor = as_predicted, *, instance: str | None = None
) -> tuple[Outcome, ...]:
    """What serves the scenario, ranked, with the service time moved; on one kind of instance, or on all that are allowed.

    The budget is left aside: it says what may be rented, not what is needed. Raises InputError as `plan` does.
    """
    scenario = resolved(scenario).model_copy(update={"max_usd_per_month": None})
    model, candidates = _candidates(scenario, catalog, instance)
    candidates = [moved(each, factor(each, model)) for each in candidates]
    cv = service_cv(scenario)
    found = sizes.sized(
        groups=[c.group for c in candidates],
        traffic=traffic_of(scenario),
        cv=cv,
        utilization_cap=scenario.utilization_cap,
        limits_ms=limits_ms(scenario),
        spare=scenario.spare_replicas,
    )
    kept = [c for c in candidates if found[c.group].instances is not None]
    times = sizes.interval_times_ms([(c.service, c.group) for c in kept], found, cv)
    made = [deployment_of(scenario, catalog, model, c, found[c.group], times[c.service, c.group]) for c in kept]
    return tuple(outcome_of(d) for d in rank([d for d in made if isinstance(d, Deployment)]))


def latency_ms(
    scenario: StatisticalScenario, catalog: Catalog, deployment: Deployment, factor: Factor = as_predicted
) -> float | None:
    """Time in system [ms] at the percentile of the first verdict, with the deployment's count left as it is.

    Infinite where the load is more than it serves; None where the model no longer fits on the instance.
    """
    scenario = resolved(scenario)
    model, candidates = _candidates(scenario, catalog, deployment.instance)
    if not candidates:
        return None
    group, cv = moved(candidates[0], factor(candidates[0], model)).group, service_cv(scenario)
    _, _, seen = queues.loads(group, traffic_of(scenario), deployment.instances, cv)
    if seen >= 1.0:
        return inf
    return float(sizes.times_ms(group, [seen], cv)[0, PERCENTILES.index(deployment.verdicts[0].percentile)])


def _candidates(scenario: StatisticalScenario, catalog: Catalog, instance: str | None) -> tuple[Model, list[Candidate]]:
    model = model_of(scenario, catalog)
    allowed = scenario if instance is None else scenario.model_copy(update={"instances": (instance,)})
    offers, _ = fleet.offers(allowed, catalog, category="cpu")
    made = [candidate_on(scenario, model, offer) for offer in offers]
    return model, [one for one in made if not isinstance(one, Rejection)]
