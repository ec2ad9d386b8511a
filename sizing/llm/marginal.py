"""What a little more would buy at a deployment: a replica, bandwidth, compute, link, memory, less overhead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator
from sizing.errors import InputError
from sizing.fleet import instances_for
from sizing.llm.candidates import memory_of, scenario_work, split_of
from sizing.llm.constants import Rates, engine_rates
from sizing.llm.models import draft_of, model_of
from sizing.llm.search import MAX_SEARCH_BATCH, PERCENTILE_COLUMN, Floats, Group, Ints, load, meets
from sizing.llm.serving import capacity_per_s, uniform_tpot_ms
from sizing.llm.speed import decode
from sizing.llm.work import Work, stack
from sizing.plan import Deployment
from sizing.scenario import LlmScenario
from sizing.units import GB, GIB

MORE = 0.1
"""Share by which each property of the accelerator is raised [1]."""
LESS_OVERHEAD = 0.5
CAPACITY_STEPS = 18
"""Halvings of the range in which the most requests lie (count): 1 in 260,000, far finer than what 10 % more changes."""
COMPUTE_FIELDS = ("fp64_tflops", "fp32_tflops", "tf32_tflops", "fp16_tflops", "bf16_tflops", "fp8_tflops", "int8_tops",
                  "fp4_tflops")  # fmt: skip
LINK_FIELDS = ("interconnect_gb_per_s", "pcie_gb_per_s")


@dataclass(frozen=True, slots=True)
class Lever:
    """What the deployment does after one change: requests/s within cap and limits, and latency at the demanded load."""

    name: str
    amount: str  # from what to what, with its unit
    capacity_per_s: float
    ttft_ms: float  # at the scenario's percentile
    tpot_ms: float
    batch: int
    capacity_change: float  # share of the figure without the change [1]
    ttft_change: float
    tpot_change: float
    usd_per_hour: float | None = None  # what it adds; None: nobody sells it alone


@dataclass(frozen=True, slots=True)
class Marginal:
    """A deployment as it is, and after each change; and what a step of decoding spends on memory and on computing."""

    now: Lever
    levers: tuple[Lever, ...]
    in_flight: float
    step_ms: float
    memory_ms: float
    compute_ms: float
    collective_ms: float
    overhead_ms: float

    @property
    def best(self) -> Lever:
        """Of the changes to the part itself, the one that gives the most requests/s, then the lowest TPOT."""
        return max(self.levers[1:], key=lambda lever: (lever.capacity_change, -lever.tpot_change))


@dataclass(frozen=True)
class _Change:
    """A change of the accelerator, of the work as engines do it, or of the replicas."""

    name: str
    part: Callable[[Accelerator], Accelerator] = lambda part: part
    work: Callable[[Work], Work] = lambda work: work
    replicas: int = 0


def raised(part: Accelerator, names: tuple[str, ...], share: float) -> Accelerator:
    """The accelerator with some of its figures raised by a share [1]; unknown ones stay unknown."""
    now = {name: getattr(part, name) for name in names}
    return part.model_copy(
        update={name: type(value)(value * (1.0 + share)) for name, value in now.items() if value is not None}
    )


def changes(more: float = MORE, overhead: float = LESS_OVERHEAD) -> tuple[_Change, ...]:
    """The changes looked at, the replica first."""
    memory = ("memory_gb_nominal", "memory_mib_reported", "memory_gib_usable")
    return (
        _Change("one more replica", replicas=1),
        _Change("memory bandwidth", lambda part: raised(part, ("memory_bandwidth_gb_per_s",), more)),
        _Change("peak compute", lambda part: raised(part, COMPUTE_FIELDS, more)),
        _Change("link between accelerators", lambda part: raised(part, LINK_FIELDS, more)),
        _Change("memory capacity", lambda part: raised(part, memory, more)),
        _Change("time between kernels", work=lambda work: replace(work, gap_factor=work.gap_factor * overhead)),
    )


def marginal(
    scenario: LlmScenario,
    catalog: Catalog,
    deployment: Deployment,
    *,
    more: float = MORE,
    overhead: float = LESS_OVERHEAD,
) -> Marginal:
    """What each change gives at a deployment of the scenario: capacity [requests/s], TTFT and TPOT [ms].

    Latency is that at the demanded load and the present batch limit (memory: the limit it then holds). Capacity is the
    most that cap and limits let through, at the batch limit that the change allows: what memory holds where that binds,
    else the largest with no higher a TPOT than now. Engine overhead is what passes between kernels.

    Raises InputError for a deployment that is not one of a language model.

    >>> from sizing.catalog import load as load_catalog
    >>> from sizing.llm.plan import plan
    >>> found = plan(LlmScenario(), load_catalog())
    >>> marginal(LlmScenario(), load_catalog(), found.recommended, more=0.0, overhead=1.0).levers[1].tpot_change
    0.0
    """
    degree, batch = deployment.parallelism, deployment.batch
    if degree is None or batch is None or deployment.accelerator is None or "tpot" not in deployment.latency_ms:
        raise InputError("deployment", deployment.instance, "a deployment of a language model")
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    split = split_of(scenario, degree.tp, degree.pp)
    part, context = catalog.accelerator(deployment.accelerator), scenario.prompt_tokens + scenario.output_tokens
    tried = (_Change("now"), *changes(more, overhead))
    parts = [change.part(part) for change in tried]
    works = [c.work(scenario_work(scenario, model, draft, p, split)) for c, p in zip(tried, parts, strict=True)]
    held = [memory_of(scenario, model, p, split, draft).held(context) for p in parts]
    work, rates = stack(works), engine_rates(scenario.runtime, scenario.engine_version)[0]
    wider = _batches(scenario, work, np.array(held, dtype=np.intp), batch, rates)
    same = np.where(np.array(held) > held[0], wider, batch).astype(np.intp)
    serving = deployment.replicas - scenario.spare_replicas
    replicas = np.array([serving + change.replicas for change in tried], dtype=float)
    done = load(scenario, _group(scenario, work, same, rates), replicas, rates)
    column = PERCENTILE_COLUMN[scenario.slo_percentile]
    ttft_ms, tpot_ms = done.ttft_ms[:, column], done.tpot_ms[:, column]
    most = _most_per_s(scenario, _group(scenario, work, wider, rates), done.requests_per_s, rates) * replicas
    gain, capacity = most / most[0] - 1.0, deployment.throughput.requests_per_s.capacity
    levers = [
        Lever(
            name=change.name,
            amount=_amount(change.name, serving, parts[0], parts[i], works[0], works[i]),
            capacity_per_s=capacity * (1.0 + float(gain[i])),
            ttft_ms=float(ttft_ms[i]),
            tpot_ms=float(tpot_ms[i]),
            batch=int(wider[i]),
            capacity_change=float(gain[i]),
            ttft_change=float(ttft_ms[i] / ttft_ms[0] - 1.0),
            tpot_change=float(tpot_ms[i] / tpot_ms[0] - 1.0),
            usd_per_hour=_added_usd_per_hour(deployment, change.replicas) if change.replicas else None,
        )
        for i, change in enumerate(tried)
    ]
    in_flight = max(float(done.in_flight[0]), 1.0)
    step = decode(stack(works[:1]), np.array([[in_flight]]), rates)
    return Marginal(
        now=levers[0],
        levers=tuple(levers[1:]),
        in_flight=in_flight,
        step_ms=float(step.step_ms[0, 0]),
        memory_ms=float(step.memory_ms[0, 0]),
        compute_ms=float(step.compute_ms[0, 0]),
        collective_ms=float(step.collective_ms[0, 0]),
        overhead_ms=float(step.overhead_ms[0, 0]),
    )


def _amount(name: str, replicas: int, before: Accelerator, after: Accelerator, now: Work, then: Work) -> str:
    """How much a change is, in the unit of what it changes."""
    sizes: dict[str, tuple[float, float, str]] = {
        "one more replica": (replicas, replicas + 1, "replicas"),
        "memory bandwidth": (before.memory_bandwidth_gb_per_s, after.memory_bandwidth_gb_per_s, "GB/s"),
        "peak compute": (float(now.peak_flops_per_s) / 1e12, float(then.peak_flops_per_s) / 1e12, "TFLOP/s"),
        "link between accelerators": (float(now.link_bytes_per_s) / GB, float(then.link_bytes_per_s) / GB, "GB/s"),
        "memory capacity": (before.capacity_bytes / GIB, after.capacity_bytes / GIB, "GiB"),
    }
    if name not in sizes:
        return ""
    low, high, unit = sizes[name]
    return f"{low:,.4g} to {high:,.4g} {unit}"


def _batches(scenario: LlmScenario, work: Work, held: Ints, batch: int, rates: Rates) -> Ints:
    """Batch limit of each row, the first being the deployment as it is: `batch` there, and as much more as fits.

    Whole numbers, not the search's grid: 10 % more of anything seldom reaches its next step.
    """
    if scenario.batch is not None:
        return np.minimum(held, scenario.batch)
    sizes = np.arange(1, max(MAX_SEARCH_BATCH, batch) + 1)
    tpot_ms, _ = uniform_tpot_ms(work, sizes.astype(float)[None, :], scenario.output_tokens, rates)
    level = np.inf if scenario.tpot_target_ms is None else scenario.tpot_target_ms
    if batch < min(int(held[0]), MAX_SEARCH_BATCH):
        level = float(tpot_ms[0, batch - 1])
    reached = ((tpot_ms <= level) & (sizes[None, :] <= held[:, None])).sum(axis=1)
    return np.clip(batch + reached - reached[0], 1, np.maximum(held, 1)).astype(np.intp)


def _group(scenario: LlmScenario, work: Work, batch: Ints, rates: Rates) -> Group:
    return Group((), work, batch, capacity_per_s(work, batch, scenario.output_tokens, rates))


def _most_per_s(scenario: LlmScenario, group: Group, served_per_s: Floats, rates: Rates) -> Floats:
    """Most requests/s of one replica within the utilization cap and the limits, by halving."""
    high = group.capacity_per_s * scenario.utilization_cap
    if scenario.concurrency is not None:
        return np.maximum(high, served_per_s)
    good = meets(scenario, load(scenario, group, served_per_s, rates, per_replica=high))
    low = np.where(good, high, 0.0)
    for _ in range(0 if good.all() else CAPACITY_STEPS):
        middle = (low + high) / 2.0
        good = meets(scenario, load(scenario, group, middle, rates, per_replica=middle))
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return low


def _added_usd_per_hour(deployment: Deployment, replicas: int) -> float:
    """What more replicas cost [USD/h]: nothing where the machines rented have room."""
    machines = instances_for(
        replicas=deployment.replicas + replicas,
        accelerators_per_replica=deployment.accelerators_per_replica or 1,
        accelerators_per_instance=deployment.accelerators_per_instance or 1,
    )
    return (machines - deployment.instances) * deployment.cost.usd_per_instance_hour
