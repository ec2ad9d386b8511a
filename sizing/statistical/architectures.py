"""x86 against Arm: the best deployment of each, and whether their difference is more than the CPU speeds may be wrong by.

Two machines run the same model, so an error of the model's own time moves both alike and is left out. What differs is the
CPU factor, which is recalled with an 80 % interval. At its fast and its slow end each side is sized anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sizing import cpu
from sizing.catalog import Catalog
from sizing.fleet import price_of
from sizing.plan import Deployment
from sizing.scenario import StatisticalScenario
from sizing.statistical import micro_batching, sizes
from sizing.statistical.candidate import limits_ms, traffic_of
from sizing.statistical.queues import Group
from sizing.statistical.service_time import service_cv
from sizing.statistical.serving import group_of
from sizing.units import HOURS_PER_MONTH

Arch = Literal["x86_64", "arm64"]
ARCH_WORDS: dict[Arch, str] = {"x86_64": "x86", "arm64": "Arm"}

ARM_PACKAGES = (
    "Arm needs a container image and packages built for it (linux/arm64). scikit-learn 1.9.1, xgboost 3.2.0, lightgbm 4.7.0, "
    "catboost 1.2.10 and onnxruntime 1.32.0 publish wheels for Arm (package index, 2026-11-25); tl2cgen does not, and a "
    "compiled model has to be compiled on Arm."
)


@dataclass(frozen=True)
class Side:
    """The cheapest deployment of one architecture (of one cloud), with its cost [USD a month] at both ends of its CPU factor.

    A cost of None: at that end no number of instances keeps the limits.
    """

    arch: Arch
    deployment: Deployment
    core: str
    cpu_factor: float
    cpu_factor_low: float
    cpu_factor_high: float
    usd_per_month_fast: float | None
    usd_per_month_slow: float | None


@dataclass(frozen=True)
class Comparison:
    """Both sides (None where no machine of it meets the scenario), every cloud's best of each, and who is cheaper.

    `cheaper` is None when the intervals of the two costs overlap: not decided.
    """

    x86: Side | None
    arm: Side | None
    by_provider: tuple[Side, ...]
    cheaper: Arch | None

    @property
    def latency_decided(self) -> bool:
        """Whether the 80 % intervals of the two predicted times lie apart."""
        if self.x86 is None or self.arm is None:
            return False
        a, b = self.x86.deployment.verdicts[-1], self.arm.deployment.verdicts[-1]
        return a.high_ms < b.low_ms or b.high_ms < a.low_ms


def compare(scenario: StatisticalScenario, catalog: Catalog, ranked: Sequence[Deployment]) -> Comparison:
    """x86 against Arm among ranked deployments of a scenario [USD a month]."""
    first: dict[tuple[str, Arch], Deployment] = {}
    for d in ranked:
        first.setdefault((d.provider, catalog.instance(d.instance).cpu_arch), d)
    sides = {key: _side(scenario, catalog, key[1], d) for key, d in first.items()}
    best: dict[Arch, Side] = {}
    for (_, arch), side in sides.items():  # in order of cost, so that the first of an architecture is its best
        best.setdefault(arch, side)
    x86, arm = best.get("x86_64"), best.get("arm64")
    return Comparison(x86, arm, tuple(sides.values()), _cheaper(x86, arm))


def _side(scenario: StatisticalScenario, catalog: Catalog, arch: Arch, d: Deployment) -> Side:
    instance = catalog.instance(d.instance)
    speed = cpu.cpu_speed(instance)
    return Side(
        arch=arch,
        deployment=d,
        core=speed.core,
        cpu_factor=speed.factor,
        cpu_factor_low=speed.low,
        cpu_factor_high=speed.high,
        usd_per_month_fast=_cost_at(scenario, catalog, d, speed.low / speed.factor),
        usd_per_month_slow=_cost_at(scenario, catalog, d, speed.high / speed.factor),
    )


def _cost_at(scenario: StatisticalScenario, catalog: Catalog, d: Deployment, stretch: float) -> float | None:
    """Cost [USD a month] with the model's call `stretch` times as long, sized anew; None if no count suffices."""
    instance = catalog.instance(d.instance)
    price = price_of(scenario, instance)
    workers = d.replicas // d.instances
    group = _stretched(d, stretch)
    outcome = sizes.sized(
        groups=[group],
        traffic=traffic_of(scenario),
        cv=service_cv(scenario),
        utilization_cap=scenario.utilization_cap,
        limits_ms=limits_ms(scenario),
        spare=scenario.spare_replicas,
    )[group]
    if outcome.instances is None or price is None:
        return None
    surplus = cpu.surplus_usd_per_hour(instance, vcpus_busy=outcome.utilization * workers)
    return outcome.instances * (price.usd_per_hour + surplus) * HOURS_PER_MONTH


def _stretched(d: Deployment, stretch: float) -> Group:
    """What the queue sees with all but the web server's time [ms] `stretch` times as long."""
    group = group_of(d)
    if group.batch is not None:
        law = micro_batching.scaled(group.batch, stretch)
        return replace(group, service_ms=micro_batching.service_ms(law), batch=law)
    http_ms = float(d.extra["http_overhead_ms"] or 0.0)
    return replace(group, service_ms=(group.service_ms - http_ms) * stretch + http_ms)


def _cheaper(x86: Side | None, arm: Side | None) -> Arch | None:
    """The architecture whose cost at its slow end is below the other's at its fast end; None if neither is."""
    if x86 is None or arm is None:
        return None
    for one, other in ((x86, arm), (arm, x86)):
        slow, fast = one.usd_per_month_slow, other.usd_per_month_fast
        if slow is not None and (fast is None or slow < fast):
            return one.arch
    return None


def verdict_words(found: Comparison) -> str:
    """Who is cheaper and whether that is certain, in a few sentences."""
    if found.x86 is None or found.arm is None:
        missing = "an Arm" if found.arm is None else "an x86"
        return f"There is nothing to compare: no deployment on {missing} machine meets this scenario and its rules."
    x86, arm = found.x86.deployment, found.arm.deployment
    a, b = x86.cost.usd_per_month, arm.cost.usd_per_month
    less, more = ("Arm", "x86") if b < a else ("x86", "Arm")
    gap = abs(a - b) / max(a, b)
    said = f"{less} is {gap:.0%} cheaper here than {more}. " if gap >= 0.005 else "x86 and Arm cost the same here. "
    if x86.instances == arm.instances == 1:
        said += "One instance of each is enough at this load, so the smallest machine on offer decides, not the core. "
    costs = {s.usd_per_month_fast for s in (found.x86, found.arm)} | {
        s.usd_per_month_slow for s in (found.x86, found.arm)
    }
    if found.cheaper is not None or len(costs) == 1:
        return said + "Decided: it is so at both ends of the recalled CPU speeds."
    return (
        said
        + "Not decided: the CPU speeds are recalled, not measured, and within their intervals either may be cheaper. "
        "Time one call on a machine of each kind."
    )
