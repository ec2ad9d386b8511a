"""Plan for a statistical model: for each kind of instance the workers, the instances and the cost; then the order."""

from __future__ import annotations

from collections import Counter

from sizing import fleet
from sizing.catalog import Catalog
from sizing.plan import Deployment, Plan, Rejection, Search, rank
from sizing.scenario import StatisticalScenario
from sizing.statistical import queues, serving, sizes
from sizing.statistical.candidate import Candidate, candidate_on, limits_ms, model_of, traffic_of
from sizing.statistical.deployment import deployment_of
from sizing.statistical.own import resolved
from sizing.statistical.queues import Sized
from sizing.statistical.recalibration import said_of
from sizing.statistical.service_time import service_cv
from sizing.statistical.working import caveats, headline, working
from sizing.units import format_ms


def plan(scenario: StatisticalScenario, catalog: Catalog) -> Plan:
    """Plan of a statistical scenario: the cheapest instances that keep every limit, the others, and why not the rest.

    Raises InputError for an unknown family, instance or a runtime that the family lacks.
    """
    asked, scenario = scenario, resolved(scenario)
    serving.check(scenario)
    model = model_of(scenario, catalog)
    offered, rejected = fleet.offers(scenario, catalog, category="cpu")
    broke_rules = len(rejected)
    candidates: list[Candidate] = []
    for offer in offered:
        made = candidate_on(scenario, model, offer)
        if isinstance(made, Rejection):
            rejected.append(made)
        else:
            candidates.append(made)
    cv = service_cv(scenario)
    outcomes = sizes.sized(
        groups=[c.group for c in candidates],
        traffic=traffic_of(scenario),
        cv=cv,
        utilization_cap=scenario.utilization_cap,
        limits_ms=limits_ms(scenario),
        spare=scenario.spare_replicas,
    )
    kept = [(c.service, c.group) for c in candidates if outcomes[c.group].instances is not None]
    times = sizes.interval_times_ms(kept, outcomes, cv)
    deployments: list[Deployment] = []
    for candidate in candidates:
        outcome = outcomes[candidate.group]
        made_plan: Deployment | Rejection
        if outcome.instances is None:
            made_plan = _too_slow(scenario, candidate, outcome, cv)
        else:
            made_plan = deployment_of(
                scenario, catalog, model, candidate, outcome, times[candidate.service, candidate.group]
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
    said = said_of(scenario, catalog, model.calibration)
    return Plan(
        kind="statistical",
        catalog=catalog.version,
        scenario=asked,
        headline=headline(scenario, model.family, best, binding, rejected),
        recommended=best,
        alternatives=tuple(ranked[1:]),
        rejected=tuple(rejected),
        binding_constraint=binding,
        working=working(
            scenario, model.family, model.cost, model.size, model.per_worker_bytes, shown, best, model.before
        ),
        caveats=(*caveats(scenario, model.family, model.cost), *([said] if said else [])),
        search=Search(
            candidates=len(ranked) + len(rejected),
            configurations=sum(outcomes[c.group].evaluated for c in candidates),
            seconds=0.0,
        ),
    )


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
    alone = sizes.times_ms(candidate.group, [0.0], cv)[0]
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
    per_instance = outcome.highest_utilization * candidate.workers / candidate.group.service_ms * 1000.0
    return queues.MAX_INSTANCES * per_instance


def _commonest(rejected: list[Rejection], broke_rules: int) -> str:
    """Constraint that dropped most of what the rules allowed; of what the rules dropped, if they allowed nothing."""
    counted = Counter(r.constraint for r in (rejected[broke_rules:] or rejected))
    return min(counted, key=lambda name: (-counted[name], name)) if counted else "instances"
