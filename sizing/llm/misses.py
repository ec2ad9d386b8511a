"""When nothing meets a scenario: the machines that miss it by least, and the change that would lift each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, log10
from typing import Any

from sizing import fleet
from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.cost import usd_per_month
from sizing.errors import InputError
from sizing.fleet import Offer
from sizing.llm.candidates import check_formats, check_parallelism, configurations, unsupported
from sizing.llm.models import draft_of, model_of
from sizing.llm.search import Sized, parts_of, sized
from sizing.plan import Rejection
from sizing.scenario import LlmScenario
from sizing.scenario_llm import KvFormat, WeightFormat
from sizing.units import format_ms, format_usd

MISSES = 3
LOOKED_AT = 6
"""Accelerators looked at more closely, by the first limit they miss (count): another limit may be missed by more."""
MEASURABLE = ("memory", "TPOT", "TTFT", "utilization cap", "budget")
"""Constraints that are missed by a factor; a rule or an engine is not."""
LIMIT_FIELDS = {"TPOT": "tpot_target_ms", "TTFT": "ttft_target_ms", "utilization cap": "utilization_cap"}
LARGER_REPLICAS = (8, 16, 32, 64)
RAISES = (1.0, 1.1, 1.25, 1.5, 2.0)
"""Limits are raised to these multiples of what a machine reaches at best [1]: there it holds one request at a time."""
LIMITS_RAISED = 4
"""Raises tried on one machine (count): with one limit lifted, another may be the next to miss."""
MOST_UTILIZATION = 0.98
WORTH_SHOWING = 0.9
"""A larger raise is shown beside the smallest if it costs at most this share of it [1]."""


@dataclass(frozen=True, slots=True)
class Knob:
    """A change after which the machine serves the scenario, and what that costs [USD/h]; found by the same search."""

    words: str
    changes: Mapping[str, Any]
    usd_per_hour: float


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A kind of machine that nearly serves: what it takes over what is allowed, and the changes that lift it."""

    instance: str
    instance_type: str
    provider: str
    accelerator: str
    constraint: str
    because: str
    factor: float
    knobs: tuple[Knob, ...]


def near_misses(
    scenario: LlmScenario, catalog: Catalog, rejected: Sequence[Rejection], count: int = MISSES
) -> tuple[NearMiss, ...]:
    """The machines of a plan that miss the scenario by the smallest factor, one for each accelerator, with the knobs
    that would lift each: limits, budget, larger replicas, other formats, cheapest first.

    Raises InputError for a model that is not known.
    """
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    allowed, _ = fleet.offers(scenario, catalog, category="gpu")
    by_id = {offer.instance.id: offer for offer in allowed if offer.accelerator is not None}
    missed = [r for r in rejected if r.constraint in MEASURABLE and r.miss_ratio is not None and r.instance in by_id]
    missed.sort(key=lambda r: (r.miss_ratio or inf, by_id[r.instance].price.usd_per_hour, r.instance))
    nearest = {r.accelerator: r for r in reversed(missed)}
    found = []
    for r in sorted(nearest.values(), key=missed.index)[:LOOKED_AT]:
        machine = _Machine(scenario, model, draft, by_id[r.instance], parts_of(list(by_id.values()))[1])
        raised = machine.raised()
        factor = min((raise_.factor for raise_ in raised), default=r.miss_ratio or inf)
        found.append((factor, r, machine, raised))
    found.sort(key=lambda f: f[0])
    return tuple(
        NearMiss(
            instance=r.instance,
            instance_type=r.instance_type,
            provider=r.provider,
            accelerator=r.accelerator or "",
            constraint=r.constraint,
            because=r.because,
            factor=factor,
            knobs=machine.knobs(raised),
        )
        for factor, r, machine, raised in found[:count]
    )


@dataclass(frozen=True, slots=True)
class _Raise:
    """Limits and budget raised so that a machine serves, and the largest factor among them [1]."""

    factor: float
    changes: dict[str, Any]
    usd_per_hour: float


@dataclass(frozen=True, slots=True)
class _Machine:
    """One kind of machine on offer, and what it costs to serve the scenario on it under changes."""

    scenario: LlmScenario
    model: LlmModel
    draft: LlmModel | None
    offer: Offer
    largest: Mapping[str, int]

    def sized(self, scenario: LlmScenario) -> Sized | None:
        """Replicas that it needs, or None where the engine does not run the model on it."""
        part = self.offer.accelerator
        assert part is not None
        if unsupported(scenario, self.model, part) is not None:
            return None
        return sized(
            scenario, [(self.offer, configurations(scenario, self.model, self.draft, part, self.largest[part.id]))]
        )

    def usd_per_hour(self, scenario: LlmScenario, found: Sized | None) -> float | None:
        """Cost of the machines [USD/h], or None if they do not serve."""
        if found is None or (row := found.rows[0]) is None:
            return None
        machines = fleet.instances_for(
            replicas=int(found.replicas[row]) + scenario.spare_replicas,
            accelerators_per_replica=found.group.items[row].accelerators,
            accelerators_per_instance=self.offer.instance.accelerator_count or 1,
        )
        return machines * self.offer.price.usd_per_hour

    def raised(self) -> list[_Raise]:
        """Raises of limits and budget after which it serves, none if another constraint stands in the way."""
        raises = [self._raised_by(multiple) for multiple in RAISES]
        return [r for r in raises if r is not None and r.changes]

    def _raised_by(self, multiple: float) -> _Raise | None:
        now = self.scenario
        changes: dict[str, Any] = {}
        found = self.sized(now)
        for _ in range(LIMITS_RAISED):
            if found is None or found.rows[0] is not None or not found.misses[0]:
                break
            name, reached, _ = min(found.misses[0], key=lambda miss: miss[1] / miss[2] if miss[2] else inf)
            changes[LIMIT_FIELDS[name]] = (
                min(MOST_UTILIZATION, ceil(reached * 100) / 100)
                if name == "utilization cap"
                else _rounded_up(reached * multiple)
            )
            found = self.sized(now.model_copy(update=changes))
        cost = self.usd_per_hour(now, found)
        if cost is None:
            return None
        if not _in_budget(now, cost):
            changes["max_usd_per_month"] = _rounded_up(usd_per_month(cost))
        factors = [value / getattr(now, name) for name, value in changes.items()]
        return _Raise(max(factors, default=1.0), changes, cost)

    def knobs(self, raised: Sequence[_Raise]) -> tuple[Knob, ...]:
        """Changes that lift this machine, cheapest first: the smallest raise, a larger one that costs less, and each
        single change that does it alone."""
        found: list[Knob] = []
        if raised:
            smallest = min(raised, key=lambda r: r.factor)
            cheapest = min(raised, key=lambda r: (r.usd_per_hour, r.factor))
            shown = [smallest]
            if cheapest.usd_per_hour <= WORTH_SHOWING * smallest.usd_per_hour:
                shown.append(cheapest)
            found += [Knob(_words(self.scenario, r.changes), r.changes, r.usd_per_hour) for r in shown]
        larger_found = False
        for words, changes in _single(self.scenario):
            is_larger = "max_accelerators_per_replica" in changes
            if is_larger and larger_found:
                continue
            changed = self.scenario.model_copy(update=changes)
            try:
                check_formats(changed, self.model)
                check_parallelism(changed, self.model)
                cost = self.usd_per_hour(changed, self.sized(changed))
            except InputError:
                continue
            if cost is not None and _in_budget(changed, cost):
                found.append(Knob(words, changes, cost))
                larger_found = larger_found or is_larger
        return tuple(sorted(found, key=lambda knob: knob.usd_per_hour))


def _single(scenario: LlmScenario) -> Iterator[tuple[str, dict[str, Any]]]:
    """Larger replicas and formats of fewer bits."""
    formats: tuple[WeightFormat, ...] = ("fp8", "int4", "nvfp4")
    if scenario.runtime == "llama_cpp":
        formats = ("gguf_q8_0", "gguf_q4_k_m")
    for name in formats:
        if name != scenario.weight_format:
            yield f"weights in {name}", {"weight_format": name, "checkpoint_bytes": None}
    cache: KvFormat = "fp8"
    if scenario.kv_format != cache and scenario.runtime != "llama_cpp":
        yield f"KV cache in {cache}", {"kv_format": cache}
    free = {"tensor_parallel": None, "pipeline_parallel": None}
    if scenario.tensor_parallel or scenario.pipeline_parallel:
        yield "degrees of parallelism left open", free
    for most in LARGER_REPLICAS:
        if most > scenario.max_accelerators_per_replica:
            yield f"replicas of up to {most} accelerators", {**free, "max_accelerators_per_replica": most}


def _words(scenario: LlmScenario, changes: Mapping[str, Any]) -> str:
    said = []
    for name, value in changes.items():
        now = getattr(scenario, name)
        if name == "max_usd_per_month":
            said.append(f"budget {format_usd(now)} to {format_usd(value)} a month")
        elif name == "utilization_cap":
            said.append(f"utilization cap {now:.0%} to {value:.0%}")
        else:
            said.append(f"{name.split('_')[0].upper()} limit {format_ms(now)} to {format_ms(value)}")
    return " and ".join(said)


def _rounded_up(value: float) -> float:
    """A limit rounded up to three significant digits, so that it reads well and still suffices.

    >>> _rounded_up(52.341), _rounded_up(1000.0)
    (52.4, 1000.0)
    """
    step = 10.0 ** (floor(log10(value)) - 2)
    return round(ceil(value / step - 1e-9) * step, 9)


def _in_budget(scenario: LlmScenario, usd_per_hour: float) -> bool:
    return scenario.max_usd_per_month is None or usd_per_month(usd_per_hour) <= scenario.max_usd_per_month
