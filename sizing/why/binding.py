"""What binds a deep learning or statistical deployment, and what a tenth more room would buy. Of a language model it is
`sizing.llm.marginal` that says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sizing.catalog import Catalog
from sizing.deep_learning.law import Law
from sizing.errors import InputError
from sizing.outcome import outcome_of
from sizing.plan import Deployment
from sizing.planner import plan as planned
from sizing.scenario import DeepLearningScenario, StatisticalScenario
from sizing.units import HOURS_PER_MONTH, format_ms
from sizing.why.changes import Own
from sizing.why.sizer import resized

MORE = 0.1
"""Share by which a limit is relaxed, and a time shortened [1]."""


@dataclass(frozen=True, slots=True)
class Relaxed:
    """One change of a tenth by itself: what it is, whether it is what binds, the machines it then takes, and dollars saved.

    `capacity_per_s` is what the present count serves within limits and cap after it [requests/s], `capacity_change` that over
    what it serves now, less 1.
    """

    name: str
    amount: str
    binds: bool
    instances: int
    saved_usd_per_month: float
    capacity_per_s: float
    capacity_change: float


def relaxations(scenario: DeepLearningScenario | StatisticalScenario, catalog: Catalog) -> tuple[Relaxed, ...]:
    """What each change of a tenth would save or serve on the recommended kind of machine, what binds first; the last is one
    machine more. Nothing where nothing is recommended. Kept."""
    return _relaxations(scenario, catalog)


@lru_cache(maxsize=4)
def _relaxations(scenario: DeepLearningScenario | StatisticalScenario, catalog: Catalog) -> tuple[Relaxed, ...]:
    best = planned(scenario, catalog).recommended
    if best is None:
        return ()
    now = outcome_of(best)
    serving = best.throughput.requests_per_s.capacity
    each = serving / _in_use(scenario, best.replicas, best.instances)
    found = []
    for name, amount, binds, fields, own in _changes(scenario, best):
        try:
            changed = type(scenario).model_validate({**scenario.model_dump(), **fields})
            outcome = next(iter(resized(changed, catalog, own, instance=best.instance)), None)
        except InputError:
            continue
        if outcome is None or outcome.capacity_per_s is None:
            continue
        gain = outcome.capacity_per_s / _in_use(changed, outcome.replicas, outcome.instances) / each
        saved = now.usd_per_month - outcome.usd_per_month
        found.append(Relaxed(name, amount, binds, outcome.instances, saved, serving * gain, gain - 1.0))
    found.sort(key=lambda row: (not row.binds, -row.saved_usd_per_month, -row.capacity_change))
    share = (best.instances + 1) / best.instances
    one_more = Relaxed(
        "one more machine",
        f"{best.instances:,} to {best.instances + 1:,}",
        False,
        best.instances + 1,
        -best.cost.usd_per_instance_hour * HOURS_PER_MONTH,
        serving * share,
        share - 1.0,
    )
    return (*found, one_more)


def _in_use(scenario: DeepLearningScenario | StatisticalScenario, replicas: int, instances: int) -> int:
    """What a capacity is shared by (count): instances of a statistical model, spares included; workers without spares else."""
    return instances if isinstance(scenario, StatisticalScenario) else max(1, replicas - scenario.spare_replicas)


Row = tuple[str, str, bool, dict[str, Any], Own | None]


def _changes(scenario: DeepLearningScenario | StatisticalScenario, best: Deployment) -> Iterator[Row]:
    bound = best.binding_constraint
    limits = {"latency_target_ms": "latency limit", **{f"p{p}_target_ms": f"p{p} limit" for p in (50, 95, 99)}}
    for field, name in limits.items():
        limit = getattr(scenario, field, None)
        if limit is not None:
            is_it = bound == "latency" or bound == f"{name.split()[0]} latency"
            more = limit * (1 + MORE)
            yield f"{name} +10 %", f"{format_ms(limit)} to {format_ms(more)}", is_it, {field: more}, None
    cap = scenario.utilization_cap
    more = min(0.98, cap * (1 + MORE))
    if more > cap:
        words = f"{cap:g} to {more:.3g}"
        yield "utilization cap +10 %", words, bound == "utilization cap", {"utilization_cap": more}, None
    less = 1 - MORE
    if isinstance(scenario, StatisticalScenario):
        service = float(best.extra["service_ms"] or 0.0)
        words = f"{format_ms(service)} to {format_ms(service * less)}"
        yield "service time -10 %", words, False, {}, lambda candidate, model: less
        if scenario.http_overhead_ms > 0:
            http = scenario.http_overhead_ms
            words = f"{format_ms(http)} to {format_ms(http * less)}"
            yield "web server time -10 %", words, False, {"http_overhead_ms": http * less}, None
        return

    def faster(law: Law) -> Law:
        return law.moved(fixed=less, each=less)

    batch = best.latency_ms["model"].p50 or 0.0
    yield "time of a batch -10 %", f"{format_ms(batch)} to {format_ms(batch * less)}", False, {}, faster
    work = float(best.extra["cpu_ms_per_request"] or 0.0)
    if work > 0:
        words = f"{format_ms(work)} to {format_ms(work * less)}"
        yield "CPU work of a request -10 %", words, bound == "vCPU", {"cpu_ms_per_request": work * less}, None
