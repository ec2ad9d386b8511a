"""From a scenario to its plan: the family that answers, the time it took, and what would lift the limit if none fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from math import ceil, floor, log10
from time import perf_counter
from typing import Any

from pydantic import ValidationError

from sizing import deep_learning, llm, statistical
from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.plan import Plan, Remedy
from sizing.scenario import AnyScenario
from sizing.units import format_usd

_FAMILIES: dict[str, Callable[[Any, Catalog], Plan]] = {
    "statistical": statistical.plan,
    "deep_learning": deep_learning.plan,
    "llm": llm.plan,
}
PLANS_KEPT = 4
"""Plans kept (count): what a few readers look at now. A plan is about 1,700 objects, and the collector walks every kept
one after every redraw of a page (about 0.7 us an object): one more kept plan costs each redraw over 1 ms, one not kept
costs its own reader 40 ms."""

LATENCY_LIMITS = (
    "ttft_target_ms",
    "tpot_target_ms",
    "latency_target_ms",
    "p50_target_ms",
    "p95_target_ms",
    "p99_target_ms",
)
LIMIT_SEARCH_STEPS = 7
LIMIT_SEARCH_FACTOR = 64.0
LARGER_RAISES = (1.25, 2.0, 4.0)
"""Multiples of the smallest raise of a limit that are shown too where they cost at least a tenth less [1]."""


@lru_cache(maxsize=PLANS_KEPT)
def plan(scenario: AnyScenario, catalog: Catalog) -> Plan:
    """Plan of a scenario under a catalog, without remedies; computed once for each pair.

    Raises InputError when a field names something the catalog lacks or that cannot work (a tensor-parallel degree that
    does not divide the heads, say).
    """
    start = perf_counter()
    found = plan_unkept(scenario, catalog)
    return found.model_copy(update={"search": replace(found.search, seconds=perf_counter() - start)})


def plan_unkept(scenario: AnyScenario, catalog: Catalog) -> Plan:
    """The same, neither looked up nor kept: for many plans of which only a few figures are wanted."""
    return _FAMILIES[scenario.kind](scenario, catalog)


def plan_with_remedies(scenario: AnyScenario, catalog: Catalog) -> Plan:
    """Plan of a scenario; when nothing serves it, with the single changes that would, cheapest first."""
    found = plan(scenario, catalog)
    if found.recommended is not None:
        return found
    return found.model_copy(update={"remedies": remedies(scenario, catalog)})


def remedies(scenario: AnyScenario, catalog: Catalog) -> tuple[Remedy, ...]:
    """Single changes after which a deployment is found, by monthly cost [USD]; with none, changes of two fields.

    Latency limits are raised to the smallest value found by bisection over factors up to 64 that some deployment meets.
    """
    found = [r for changes in _single_changes(scenario) if (r := _try(scenario, catalog, changes))]
    limits = [name for name in LATENCY_LIMITS if getattr(scenario, name, None) is not None]
    for name in limits:
        found.extend(_raised_limits(scenario, catalog, name))
    if not found:
        freed: dict[str, Any] = {
            name: None for name in (*limits, "max_usd_per_month") if getattr(scenario, name) is not None
        }
        if freed and (r := _try(scenario, catalog, freed)):
            found.append(r)
        else:
            found.extend(r for c in _single_changes(scenario) if (r := _try(scenario, catalog, {**freed, **c})))
    found.sort(key=lambda r: r.usd_per_month)
    first = {r.field: r for r in reversed(found)}
    return tuple(r for r in found if r.field in LATENCY_LIMITS or first[r.field] is r)


def _single_changes(scenario: AnyScenario) -> Iterator[dict[str, Any]]:
    """Changes of one field worth trying, without those that change nothing."""
    options: dict[str, tuple[Any, ...]] = {
        "max_usd_per_month": (None,),
        "providers": ((),),
        "accelerators": ((),),
        "instances": ((),),
        "price_basis": ("on_demand",),
        "region": ("us", "eu", "apac"),
        "tensor_parallel": (None,),
        "pipeline_parallel": (None,),
        "batch": (None,),
        "workers_per_instance": (None,),
        "max_accelerators_per_replica": (16, 32, 64),
        "weight_format": ("fp8", "int4"),
        "kv_format": ("fp8",),
        "precision": ("fp16", "int8"),
        "runtime": ("vllm", "onnxruntime", "pytorch_eager"),
        "gpu_memory_utilization": (0.95,),
        "utilization_cap": (0.9,),
    }
    for name, values in options.items():
        if name not in type(scenario).model_fields:
            continue
        now = getattr(scenario, name)
        for value in values:
            grows = not isinstance(value, (int, float)) or value > now
            if value != now and grows:
                yield {name: value}


def _try(scenario: AnyScenario, catalog: Catalog, changes: dict[str, Any]) -> Remedy | None:
    try:
        changed = type(scenario).model_validate({**scenario.model_dump(), **changes})
        best = plan(changed, catalog).recommended
    except (ValidationError, InputError):
        return None
    if best is None:
        return None
    wording = " and ".join(
        _wording(name, getattr(scenario, name), value, best.cost.usd_per_month) for name, value in changes.items()
    )
    sentence = f"{wording[0].upper()}{wording[1:]}: {best.instances} x {best.instance_type}, {format_usd(best.cost.usd_per_month)} a month."
    field = " + ".join(changes)
    value = next(iter(changes.values())) if len(changes) == 1 else dict(changes)
    if changes == {"max_usd_per_month": None}:
        value = best.cost.usd_per_month
    return Remedy(field=field, value=value, sentence=sentence, usd_per_month=best.cost.usd_per_month)


def _wording(name: str, now: Any, value: Any, usd_per_month: float) -> str:
    label = name.replace("_", " ")
    if name == "max_usd_per_month":
        return f"raise the budget from {format_usd(now)} to {format_usd(usd_per_month)} a month"
    if name in LATENCY_LIMITS:
        limit = name.removesuffix("_target_ms").replace("tpot", "TPOT").replace("ttft", "TTFT")
        return (
            f"drop the {limit} limit of {now:g} ms"
            if value is None
            else f"raise the {limit} limit from {now:g} to {value:g} ms"
        )
    if value in (None, ()):
        return f"leave {label} open (now {', '.join(now) if isinstance(now, tuple) else now})"
    return f"set {label} to {value} (now {now})"


def _raised_limits(scenario: AnyScenario, catalog: Catalog, name: str) -> list[Remedy]:
    """The smallest raise of one latency limit that some deployment meets (by bisection), and larger ones that cost less."""
    now = getattr(scenario, name)
    if _try(scenario, catalog, {name: None}) is None:
        return []
    low, high = 1.0, LIMIT_SEARCH_FACTOR
    smallest = _try(scenario, catalog, {name: _rounded(now * high)})
    if smallest is None:
        dropped = _try(scenario, catalog, {name: None})
        return [dropped] if dropped else []
    for _ in range(LIMIT_SEARCH_STEPS):
        middle = (low * high) ** 0.5
        tried = _try(scenario, catalog, {name: _rounded(now * middle)})
        if tried is None:
            low = middle
        else:
            high, smallest = middle, tried
    found = [smallest]
    for factor in LARGER_RAISES:
        raised = _try(scenario, catalog, {name: _rounded(smallest.value * factor)})
        if raised is not None and raised.usd_per_month < 0.9 * found[-1].usd_per_month:
            found.append(raised)
    return found


def _rounded(value: float) -> float:
    """A limit rounded up to three significant digits, so that it reads well and still suffices."""
    step = 10.0 ** (floor(log10(value)) - 2)
    return round(ceil(value / step) * step, 12)
