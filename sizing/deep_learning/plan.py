"""From a deep learning scenario to its plan: machines ranked by cost, each with its reason, and the rest with theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from sizing import fleet
from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator
from sizing.cost import cost_of
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.host import host_work, network_requests_per_s, vcpus_needed
from sizing.deep_learning.measured import check_curve, in_use, parse_curve, said_of
from sizing.deep_learning.memory import sample_bytes, smallest_accelerator
from sizing.deep_learning.pipeline import facts_of
from sizing.deep_learning.processor import CHECKED, session_on
from sizing.deep_learning.rates import constants
from sizing.deep_learning.runtime_memory import memory_rule
from sizing.deep_learning.search import Choice, Found, search
from sizing.deep_learning.workers import Miss
from sizing.deep_learning.working import model_steps, working
from sizing.fleet import Offer
from sizing.plan import Deployment, LatencyMs, Parallelism, Plan, Rate, Rejection, Search, Throughput, rank, verdict
from sizing.scenario import DeepLearningScenario, Percentile
from sizing.units import MS_PER_S, format_ms, format_usd

RULE_CONSTRAINTS = ("providers", "instances", "accelerators", "price", "runtime", "precision")
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
        headline=_headline(scenario, facts, best, closest, rejected),
        recommended=best,
        alternatives=tuple(ranked[1:]),
        rejected=tuple(rejected),
        binding_constraint=best.binding_constraint if best else _binding_of(closest, rejected),
        working=(
            working(_as_run(scenario, best), facts, choices[best.accelerator or best.instance], best)
            if best
            else model_steps(scenario, facts)
        ),
        caveats=(*side_by_side(*sides), *_caveats(scenario, facts)),
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


def _as_run(scenario: DeepLearningScenario, deployment: Deployment) -> DeepLearningScenario:
    """The scenario as the deployment runs it: on a CPU by ONNX Runtime in fp32, one instance a session."""
    if deployment.accelerator is not None:
        return scenario
    return scenario.model_copy(update={"runtime": "onnxruntime_cpu", "precision": "fp32", "model_instances_per_gpu": 1})


def _side(scenario: DeepLearningScenario, catalog: Catalog, facts: Graph, category: str) -> Side:
    """All machines of a category under the scenario: deployments, misses with their size, and those a rule dropped."""
    offers, rejected = fleet.offers(scenario, catalog, category=category)
    if category == "gpu":
        kinds = {offer.accelerator.id: offer.accelerator for offer in offers if offer.accelerator is not None}
        found = search(scenario, facts, list(kinds.values()))
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
        found = search(scenario, facts, [], sessions)
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
        f"CPU times are compared with {CHECKED}.",
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
    run = scenario
    if part is None:
        run = scenario.model_copy(update={"runtime": "onnxruntime_cpu", "precision": "fp32"})
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
                else "speed model fitted to public runs, and batch queue",
            ),
        ),
        binding_constraint=bound,
        warnings=_warnings(offer, choice),
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
                facts, runtime=scenario.runtime, precision=scenario.precision, activations="sum"
            )[1]
            * choice.batch,
            "t0_ms": law.t0_ms,
            "k_ms": law.k_ms,
            "gpu_capacity_requests_per_s": choice.capacity_per_s,
            "spare_replicas": scenario.spare_replicas,
        },
    )


def _warnings(offer: Offer, choice: Choice) -> tuple[str, ...]:
    said = list(choice.law.format.notes)
    if offer.instance.network_gbps_baseline is None:
        said.append("The catalog does not know this instance's network, so it was not checked.")
    if offer.instance.vcpus is None:
        said.append("The catalog does not know this instance's vCPUs, so the CPU time of requests was not checked.")
    if choice.utilization * choice.law.slow >= 1.0:
        said.append(
            "At the slow end of the interval these GPUs would be overloaded; measure before relying on this count."
        )
    if choice.worker.accelerator is not None and choice.worker.accelerator.vendor == "AMD":
        said.append("The constants of PyTorch were compared on NVIDIA GPUs only.")
    return tuple(said)


def _caveats(scenario: DeepLearningScenario, facts: Graph) -> tuple[str, ...]:
    said = [
        f"Speed is a roofline over the network's operators with constants fitted to public runs: {constants().checked}. Waits are "
        "scaled with its 80 % interval, not recomputed.",
        "CPU work of GPU machines is added without a queue of its own; copies of inputs and the server's own time are not counted (31 end-to-end "
        "Triton runs took a median 2.9 times the batch time predicted here).",
        "Ranges are for models unlike those compared; measure yours before buying.",
    ]
    if scenario.measured_curve is not None:
        said.append(said_of(scenario, parse_curve(scenario.measured_curve), facts))
    if facts.error_share > 0.0:
        said.append(
            f"The activations at {facts.size:,} {facts.size_unit} are derived ({facts.source}); 80 % error up to {facts.error_share:.0%}."
        )
    if facts.model.input_note:
        said.append(f"Model: {facts.model.input_note}.")
    if scenario.concurrency is not None:
        said.append(
            "Users wait for replies, so the utilization cap does not set the count here; p95 is a rough mean-value estimate, more often too high than too low."
        )
    rule = memory_rule(scenario.runtime)
    if rule.arena is not None and scenario.ort_arena == "power_of_two":
        said.append("The arena is taken to double as it grows; the option kSameAsRequested needs less.")
    if rule.planned_for_largest_batch:
        said.append("The engine plans its buffers for the largest batch, so smaller batches use as much memory.")
    if scenario.model_instances_per_gpu > 1:
        said.append(
            "Instances on one GPU: a third of t0 overlaps (Triton's guide, one model, 80 % range 0.1 to 0.8), the rest is done in turn."
        )
    if scenario.spare_replicas:
        said.append("Latency and utilization are those of the GPUs without the spares.")
    return tuple(said)


def _binding_of(closest: Rejection | None, rejected: Sequence[Rejection]) -> str:
    """Constraint of the nearest miss; with none, the most frequent beyond the rules, else the most frequent."""
    if closest is not None:
        return closest.constraint
    names = [r.constraint for r in rejected if r.constraint not in RULE_CONSTRAINTS] or [r.constraint for r in rejected]
    return Counter(names).most_common(1)[0][0] if names else "instances"


def _headline(
    scenario: DeepLearningScenario,
    facts: Graph,
    best: Deployment | None,
    closest: Rejection | None,
    rejected: Sequence[Rejection],
) -> str:
    """One sentence: what it needs, what it costs and how fast it replies; or what binds, and by how much."""
    traffic = (
        f"{scenario.requests_per_s:,g} requests/s"
        if scenario.requests_per_s is not None
        else f"{scenario.concurrency:,} concurrent users"
    )
    subject = f"{facts.model.name} in {scenario.precision} at {traffic}"
    if best is None:
        name = _binding_of(closest, rejected)
        example = closest or next((r for r in rejected if r.constraint == name), None)
        detail = f"; on {example.instance_type}, {example.because}" if example else ""
        return f"{subject} has no deployment under these rules: {name} binds{detail}."
    cost = f"{format_usd(best.cost.usd_per_hour)} per hour"
    reply = format_ms(getattr(best.latency_ms["latency"], f"p{scenario.slo_percentile}"))
    machines = "1 machine" if best.instances == 1 else f"{best.instances} machines"
    latency = f"p{scenario.slo_percentile} latency {reply}."
    if best.accelerator is None:
        return f"{subject} needs no GPU: {machines} of {best.instance_type}, {cost}, {latency}"
    gpus = f"{best.replicas} x {best.accelerator_name}"
    return f"{subject} needs {gpus} ({machines}, {best.instance_type}): {cost}, {latency}"
