"""From a deep learning scenario to its plan: machines ranked by cost, each with its reason, and the rest with theirs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Literal

from sizing import fleet
from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator
from sizing.cost import cost_of
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.host import host_work, network_requests_per_s, vcpus_needed
from sizing.deep_learning.measured import check_curve, in_use
from sizing.deep_learning.memory import sample_bytes, smallest_accelerator
from sizing.deep_learning.pipeline import facts_of
from sizing.deep_learning.processor import CHECKED, session_on
from sizing.deep_learning.search import Choice, Found, search
from sizing.deep_learning.words import as_run, binding_of, caveats_of, headline_of, warnings_of
from sizing.deep_learning.workers import Miss, Retime, as_predicted
from sizing.deep_learning.working import model_steps, working
from sizing.fleet import Offer
from sizing.plan import Deployment, LatencyMs, Parallelism, Plan, Rate, Rejection, Search, Throughput, rank, verdict
from sizing.scenario import DeepLearningScenario
from sizing.scenario_base import Percentile
from sizing.units import MS_PER_S, format_usd

COLUMN: dict[Percentile, int] = {50: 0, 95: 1, 99: 2}


def plan(scenario: DeepLearningScenario, catalog: Catalog) -> Plan:
    """Plan of a deep learning scenario: GPUs by queue and cap, instances by GPUs and vCPUs, ranked by cost.

    Raises InputError for an unknown model, accelerator or instance, or an input size that cannot be sized.

    >>> from sizing.catalog import load
    >>> plan(DeepLearningScenario(), load()).recommended.binding_constraint
    'one GPU is the least'
    """
    facts = facts_of(scenario, catalog)
    check_curve(scenario, catalog)
    sides = [_side(scenario, catalog, facts, category) for category in ("gpu", "cpu")]
    allowed = [side for side in sides if _counts(scenario, side.category)]
    choices = {id_: choice for side in allowed for id_, choice in side.found.choices.items()}
    rejected = [said for side in allowed for said in side.rejected]
    misses = [miss for side in allowed for miss in side.misses]
    rejected += [said for _, said in misses]
    ranked = rank([deployment for side in allowed for deployment in side.deployments])
    best = ranked[0] if ranked else None
    nearest = min(
        ((miss.excess_share, index) for index, (miss, _) in enumerate(misses) if miss.excess_share is not None),
        default=None,
    )
    closest = misses[nearest[1]][1] if nearest is not None else None
    return Plan(
        kind=scenario.kind,
        catalog=catalog.version,
        scenario=scenario,
        headline=headline_of(scenario, facts, best, closest, rejected),
        recommended=best,
        alternatives=tuple(ranked[1:]),
        rejected=tuple(rejected),
        binding_constraint=best.binding_constraint if best else binding_of(closest, rejected),
        working=(
            working(
                as_run(scenario, on_gpu=best.accelerator is not None),
                facts,
                choices[best.accelerator or best.instance],
                best,
            )
            if best
            else model_steps(scenario, facts)
        ),
        caveats=(
            *side_by_side(*sides),
            *caveats_of(scenario, facts, on_gpu=best is None or best.accelerator is not None),
        ),
        search=Search(
            candidates=len(ranked) + len(rejected),
            configurations=sum(side.found.evaluated for side in allowed) + len(ranked),
            seconds=0.0,
        ),
    )


@dataclass(frozen=True)
class Side:
    """What was found among the machines of one category, gpu or cpu."""

    category: str
    found: Found
    deployments: tuple[Deployment, ...]
    misses: tuple[tuple[Miss, Rejection], ...]
    rejected: tuple[Rejection, ...]

    @property
    def best(self) -> Deployment | None:
        """The cheapest deployment of this side, or None."""
        return next(iter(rank(self.deployments)), None)


def _counts(scenario: DeepLearningScenario, category: str) -> bool:
    """Whether machines of a category may be the answer: as `compute` says; named accelerators and the CPU runtime decide too."""
    if category == "gpu":
        return scenario.compute != "cpu" and (scenario.runtime != "onnxruntime_cpu" or scenario.compute == "gpu")
    return scenario.compute == "cpu" or (scenario.compute == "either" and not scenario.accelerators)


def deployments(
    scenario: DeepLearningScenario, catalog: Catalog, retime: Retime = as_predicted
) -> tuple[Deployment, ...]:
    """What serves the scenario, ranked, if every batch took the time that `retime` makes of its law.

    Raises InputError as `plan` does.
    """
    facts = facts_of(scenario, catalog)
    check_curve(scenario, catalog)
    sides = [_side(scenario, catalog, facts, name, retime) for name in ("gpu", "cpu") if _counts(scenario, name)]
    return tuple(rank([deployment for side in sides for deployment in side.deployments]))


def _side(
    scenario: DeepLearningScenario, catalog: Catalog, facts: Graph, category: str, retime: Retime = as_predicted
) -> Side:
    """All machines of a category under the scenario: deployments, misses with their size, and those a rule dropped."""
    offers, rejected = fleet.offers(scenario, catalog, category=category)
    if category == "gpu":
        kinds = {offer.accelerator.id: offer.accelerator for offer in offers if offer.accelerator is not None}
        found = search(scenario, facts, list(kinds.values()), (), retime)
    else:
        sessions = [s for offer in offers if (s := session_on(offer.instance)) is not None]
        known = {session.instance.id for session in sessions}
        rejected = [
            *rejected,
            *(
                fleet.rejection(
                    o.instance, constraint="instances", because="the catalog does not know its cores and memory"
                )
                for o in offers
                if o.instance.id not in known
            ),
        ]
        offers = [offer for offer in offers if offer.instance.id in known]
        found = search(scenario, facts, [], sessions, retime)
    smallest = _smallest_gpus(scenario, catalog, found.choices)
    deployments: list[Deployment] = []
    misses: list[tuple[Miss, Rejection]] = []
    for offer in offers:
        key = offer.accelerator.id if offer.accelerator is not None else offer.instance.id
        choice, miss = found.choices.get(key), found.misses.get(key)
        if choice is not None:
            deployment = _deployment(scenario, catalog, facts, offer, choice, smallest[key])
            miss = _over_budget(deployment, scenario.max_usd_per_month)
            if miss is None:
                deployments.append(deployment)
        if miss is not None:
            said = fleet.rejection(offer.instance, constraint=miss.constraint, because=miss.because, remedy=miss.remedy)
            misses.append((miss, said))
    return Side(category, found, tuple(deployments), tuple(misses), tuple(rejected))


def side_by_side(gpu: Side, cpu: Side) -> tuple[str, ...]:
    """One sentence that sets the cheapest deployment with GPUs beside the cheapest without, where both exist."""
    with_gpu, without = gpu.best, cpu.best
    if with_gpu is None or without is None:
        if (with_gpu or without) is None:
            return ()
        there, missing = ("GPU", "CPU") if with_gpu is not None else ("CPU", "GPU")
        return (f"Only {there} machines meet this scenario; no {missing} machine does.",)
    dear, cheap = (
        (with_gpu, without) if without.cost.usd_per_month < with_gpu.cost.usd_per_month else (without, with_gpu)
    )
    winner = "CPU machines are" if cheap is without else "a GPU is"
    return (
        f"Side by side, {winner} cheaper: {with_gpu.instances} x {with_gpu.instance_type} with GPUs "
        f"{format_usd(with_gpu.cost.usd_per_month)} a month, {without.instances} x {without.instance_type} without "
        f"{format_usd(without.cost.usd_per_month)}, {dear.cost.usd_per_month / cheap.cost.usd_per_month:.3g} times apart. "
        f"CPU times rest on {CHECKED}.",
    )


def _smallest_gpus(
    scenario: DeepLearningScenario, catalog: Catalog, choices: dict[str, Choice]
) -> dict[str, tuple[str | None, str | None]]:
    """For each choice the ids of the smallest GPU that holds it: of the whole catalog, and among those to rent."""
    rentable = {
        i.accelerator_id: catalog.accelerators[i.accelerator_id] for i in catalog.instances.values() if i.accelerator_id
    }

    def least(among: Iterable[Accelerator], used_bytes: int) -> str | None:
        part = smallest_accelerator(among, runtime=scenario.runtime, used_bytes=used_bytes)
        return None if part is None else part.id

    nowhere: tuple[str | None, str | None] = (None, None)
    return {
        id_: nowhere
        if choice.worker.accelerator is None
        else (
            least(catalog.accelerators.values(), choice.memory.used_bytes),
            least(rentable.values(), choice.memory.used_bytes),
        )
        for id_, choice in choices.items()
    }


def _over_budget(deployment: Deployment, budget: float | None) -> Miss | None:
    usd = deployment.cost.usd_per_month
    if budget is None or usd <= budget:
        return None
    return Miss(
        "budget",
        f"it costs {format_usd(usd)} a month, {format_usd(usd - budget)} over the budget of {format_usd(budget)}",
        f"raise the budget to {format_usd(usd)} a month",
        usd / budget - 1.0,
    )


def _latency(values_ms: tuple[float, float, float], low: float, high: float, percentile: Percentile) -> LatencyMs:
    p50, p95, p99 = values_ms
    names: dict[Percentile, Literal["p50", "p95", "p99"]] = {50: "p50", 95: "p95", 99: "p99"}
    return LatencyMs(p50=p50, p95=p95, p99=p99, low=low, high=high, interval_of=names[percentile])


def _deployment(
    scenario: DeepLearningScenario,
    catalog: Catalog,
    facts: Graph,
    offer: Offer,
    choice: Choice,
    smallest: tuple[str | None, str | None],
) -> Deployment:
    instance, part, law, worker = offer.instance, choice.worker.accelerator, choice.law, choice.worker
    percentile, cpu = scenario.slo_percentile, choice.cpu_ms
    each = (instance.accelerator_count or 1) * worker.per_device
    replicas = choice.gpus + scenario.spare_replicas
    work = host_work(scenario, facts)
    # On a CPU machine the CPU part takes its turn on the session's cores, so that it is in the count of sessions already.
    need = 0.0 if part is None else vcpus_needed(choice.demanded_per_s, cpu, scenario.utilization_cap)
    carried = network_requests_per_s(instance, work.request_kib)
    by_gpu = ceil(replicas / each)
    by_cpu = ceil(need / instance.vcpus - 1e-9) if instance.vcpus else 0
    by_network = ceil(choice.demanded_per_s / carried - 1e-9) if carried is not None else 0
    instances = max(by_gpu, by_cpu, by_network)
    capacity = choice.capacity_per_s * choice.gpus
    if instance.vcpus and need > 0:
        capacity = min(capacity, instances * instance.vcpus * scenario.utilization_cap / cpu * MS_PER_S)
    if carried is not None:
        capacity = min(capacity, instances * carried)
    run = as_run(scenario, on_gpu=part is not None)
    # Rounding must not put what is possible under what is asked for and served.
    capacity = max(capacity, choice.demanded_per_s)
    running = law.latency_ms(choice.batch_in_flight)
    model = (running, running, running)
    waited = choice.percentiles_ms[COLUMN[percentile]] - cpu
    by_hand = part is not None and in_use(scenario, facts, part.id) is not None
    latency = {
        "model": _latency(model, law.low_ms(choice.batch_in_flight), law.high_ms(choice.batch_in_flight), percentile),
        "latency": _latency(
            choice.percentiles_ms, cpu + max(waited * law.fast, law.bound_ms(1)), cpu + waited * law.slow, percentile
        ),
    }
    names = (("network", by_network), ("vCPU", by_cpu))
    bound = next((name for name, count in names if count == instances and count > by_gpu), choice.binding)
    return Deployment(
        instance=instance.id,
        instance_type=instance.instance_type,
        provider=instance.provider,
        service=instance.service,
        region=offer.price.region,
        accelerator=None if part is None else part.id,
        accelerator_name=None if part is None else part.name,
        accelerators_per_instance=instance.accelerator_count,
        accelerators_per_replica=None if part is None else 1,
        vcpus_per_instance=instance.vcpus,
        replicas=replicas,
        instances=instances,
        parallelism=Parallelism(),
        runtime=run.runtime,
        weight_format=run.precision,
        kv_format=None,
        batch=choice.batch,
        memory_per_accelerator=choice.memory if part is not None else None,
        memory_per_instance=choice.memory if part is None else None,
        latency_ms=latency,
        throughput=Throughput(requests_per_s=Rate(demanded=choice.demanded_per_s, capacity=capacity)),
        utilization=choice.utilization,
        cost=cost_of(
            instances=instances,
            price=offer.price,
            on=catalog.as_of,
            demanded_requests_per_s=choice.demanded_per_s,
            capacity_requests_per_s=capacity,
        ),
        verdicts=(
            verdict(
                quantity="Latency",
                percentile=percentile,
                limit_ms=scenario.latency_target_ms,
                latency=latency["latency"],
                basis="measured" if by_hand else "estimated",
                source="your measurements and batch queue"
                if by_hand
                else "speed model fitted to public runs, and batch queue"
                if part is not None
                else "roofline of the cores, and batch queue",
            ),
        ),
        binding_constraint=bound,
        warnings=warnings_of(offer, choice, closed=scenario.requests_per_s is None),
        extra={
            "vcpus_needed": need
            if part is not None
            else choice.demanded_per_s * cpu / MS_PER_S / scenario.utilization_cap,
            "cpu_ms_per_request": cpu,
            "request_kib": work.request_kib,
            "network_requests_per_s": None if carried is None else carried * instances,
            "workers_per_device": worker.per_device,
            "host_source": work.source,
            "best_batch": choice.best_batch,
            "batch_in_flight": choice.batch_in_flight,
            "gpu_memory_needed_bytes": choice.memory.used_bytes,
            "smallest_gpu": smallest[0],
            "smallest_rentable_gpu": smallest[1],
            "sum_activation_bytes": sample_bytes(
                facts, runtime=run.runtime, precision=run.precision, activations="sum"
            )[1]
            * choice.batch,
            "t0_ms": law.t0_ms,
            "k_ms": law.k_ms,
            "gpu_capacity_requests_per_s": choice.capacity_per_s,
            "spare_replicas": scenario.spare_replicas,
        },
    )
