"""The search widened over engines and formats: the cheapest plan of each pair that an engine reads.

Each pair has the answer that `plan` gives for it. Bounds say which machines may be the cheapest; only those are worked
out, all formats of one engine together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sizing import fleet
from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.fleet import Offer
from sizing.llm.bounds import bounds_of, table_of
from sizing.llm.candidates import Configuration, check_formats, check_parallelism, fresh_configurations
from sizing.llm.formats import scheme_of
from sizing.llm.models import draft_of, model_of
from sizing.llm.search import PERCENTILE_COLUMN, Choice, Sized, choices, parts_of, sized
from sizing.llm.shortage import Miss
from sizing.scenario import LlmScenario
from sizing.scenario_llm import KvFormat, LlmRuntime, WeightFormat
from sizing.units import HOURS_PER_MONTH, format_ms

ENGINES: tuple[LlmRuntime, ...] = ("vllm", "sglang", "tensorrt_llm", "llama_cpp")
WEIGHT_FORMATS: tuple[WeightFormat, ...] = ("native", "bf16", "fp8", "fp8_block", "int8", "int4", "nvfp4", "mxfp4")
KV_FORMATS: tuple[KvFormat, ...] = ("bf16", "fp8")
LLAMA_CPP_FORMATS: tuple[WeightFormat, ...] = (
    "native", "gguf_q8_0", "gguf_q6_k", "gguf_q5_k_m", "gguf_q4_k_m", "gguf_q4_0", "gguf_iq4_xs", "gguf_q3_k_m", "gguf_q2_k"
)  # fmt: skip
SIXTEEN_BIT = ("bf16", "fp16", "bf16 (fp8 trained)")
FIRST_OFFERS = 2
"""Machines of each pair worked out at once, by least cost (count): most often the cheapest is among them."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The cheapest plan of one engine, weight format and KV format; costs None and `binding` says why where none serves."""

    runtime: LlmRuntime
    weight_format: WeightFormat
    kv_format: KvFormat
    weight_words: str
    is_present: bool
    holds: bool  # load, limits, cap and budget
    binding: str
    because: str  # what it misses, empty if it holds
    changes: Mapping[str, Any]  # fields of the scenario to set
    instance: str | None = None
    instance_type: str | None = None
    accelerator: str | None = None
    accelerator_name: str | None = None
    accelerators_per_replica: int | None = None
    replicas: int | None = None
    instances: int | None = None
    usd_per_hour: float | None = None
    saving_usd_per_hour: float | None = None  # against the present pair; None if that serves nothing
    ttft_ms: float | None = None  # at the scenario's percentile
    tpot_ms: float | None = None


_Cost = tuple[float, int, str]


@dataclass(frozen=True, slots=True)
class _Best:
    """The cheapest machine of a pair so far: its row among those sized together."""

    cost: _Cost
    offer: Offer
    row: int
    among: Sized


@dataclass(frozen=True, slots=True)
class _Cheapest:
    """The cheapest machine of a pair."""

    usd_per_hour: float
    choice: Choice


def _cost(scenario: LlmScenario, offer: Offer, item: Configuration, replicas: int) -> _Cost:
    """What a plan ranks by: cost [USD/h], machines, and the name of the kind of machine."""
    machines = fleet.instances_for(
        replicas=replicas + scenario.spare_replicas,
        accelerators_per_replica=item.accelerators,
        accelerators_per_instance=offer.instance.accelerator_count or 1,
    )
    return machines * offer.price.usd_per_hour, machines, offer.instance.id


def pairs(scenario: LlmScenario, model: LlmModel) -> tuple[LlmScenario, ...]:
    """The scenario under each engine and each format that it reads, its own first, names for the same storage once.

    llama.cpp keeps its KV cache in 16 bit here: its own quantised caches are not among the formats. Raises InputError where
    the engine does not read the scenario's own formats.
    """
    found: dict[tuple[str, str, str], LlmScenario] = {}
    engines = (scenario.runtime, *(e for e in ENGINES if e != scenario.runtime))
    caches = (scenario.kv_format, *KV_FORMATS)
    for runtime in engines:
        read = LLAMA_CPP_FORMATS if runtime == "llama_cpp" else WEIGHT_FORMATS
        for weights in (scenario.weight_format, *read):
            for cache in caches:
                own = (runtime, weights, cache) == (scenario.runtime, scenario.weight_format, scenario.kv_format)
                if runtime == "llama_cpp" and cache not in SIXTEEN_BIT and not own:
                    continue
                pair = scenario.model_copy(update=_changes(scenario, runtime, weights, cache))
                try:
                    check_formats(pair, model)
                    check_parallelism(pair, model)
                    words = scheme_of(model, weights).words
                except InputError:
                    if own:
                        raise
                    continue
                found.setdefault((runtime, _storage(words), _storage(cache)), pair)
    return tuple(found.values())


def _storage(words: str) -> str:
    return "16 bit" if words in SIXTEEN_BIT else words


def _changes(scenario: LlmScenario, runtime: LlmRuntime, weights: WeightFormat, cache: KvFormat) -> dict[str, Any]:
    """Fields that lead to a pair: a version belongs to its engine, and the size of a file to its format."""
    changes: dict[str, Any] = {"runtime": runtime, "weight_format": weights, "kv_format": cache}
    if runtime != scenario.runtime:
        changes["engine_version"] = None
    if weights != scenario.weight_format:
        changes["checkpoint_bytes"] = None
    return changes


@lru_cache(maxsize=4)
def variants(scenario: LlmScenario, catalog: Catalog) -> tuple[Variant, ...]:
    """The cheapest plan of each pair [USD/h], those that hold first, by cost.

    Raises InputError as `plan` does.
    """
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    offers, _ = fleet.offers(scenario, catalog, category="gpu")
    offers = _distinct(offers)
    tried = pairs(scenario, model)
    found: dict[LlmScenario, _Cheapest | Miss | None] = {}
    for runtime in ENGINES:
        of_engine = [pair for pair in tried if pair.runtime == runtime]
        if of_engine:
            found.update(zip(of_engine, _of_engine(of_engine, model, draft, offers), strict=True))
    present = found[tried[0]]
    now = present.usd_per_hour if isinstance(present, _Cheapest) and _in_budget(scenario, present) else None
    rows = [_row(scenario, pair, model, found[pair], now, is_present=pair is tried[0]) for pair in tried]
    return tuple(sorted(rows, key=lambda v: (not v.holds, v.usd_per_hour if v.usd_per_hour is not None else np.inf)))


def _distinct(offers: Sequence[Offer]) -> list[Offer]:
    """Of machines with equally many of the same accelerator only the cheapest: they need equally many."""
    cheapest: dict[tuple[str, int], Offer] = {}
    for offer in sorted(offers, key=lambda o: (o.price.usd_per_hour, o.instance.id)):
        if offer.accelerator is not None and offer.instance.accelerator_count:
            cheapest.setdefault((offer.accelerator.id, offer.instance.accelerator_count), offer)
    return list(cheapest.values())


def _of_engine(
    tried: Sequence[LlmScenario], model: LlmModel, draft: LlmModel | None, offers: Sequence[Offer]
) -> list[_Cheapest | Miss | None]:
    """For each pair of one engine the cheapest machine, the limit missed by least, or None where memory holds none."""
    parts, largest = parts_of(offers)
    base = tried[0].model_copy(update={"weight_format": "bf16", "kv_format": "bf16", "checkpoint_bytes": None})
    table = table_of(base, model, tuple(parts.values()), largest)
    if not table.parts:
        return [None] * len(tried)
    bounds = [bounds_of(pair, model, table) for pair in tried]
    least = [
        [b.usd_per_hour(offer, pair.spare_replicas) for offer in offers] for b, pair in zip(bounds, tried, strict=True)
    ]
    best: list[_Best | None] = [None] * len(tried)
    missed: list[list[Miss]] = [[] if b.miss is None else [b.miss] for b in bounds]
    made: dict[tuple[int, str], tuple[Configuration, ...]] = {}

    def work_out(wanted: Sequence[tuple[int, int]]) -> None:
        entries = []
        for number, place in wanted:
            part = offers[place].accelerator
            assert part is not None
            key = number, part.id
            if key not in made:
                made[key] = fresh_configurations(tried[number], model, draft, part, largest[part.id])
            entries.append((offers[place], made[key]))
        done = sized(tried[0], entries)
        for (number, _), (offer, _), row, misses in zip(wanted, entries, done.rows, done.misses, strict=True):
            if row is None:
                missed[number] += misses
                continue
            cost = _cost(tried[0], offer, done.group.items[row], int(done.replicas[row]))
            if (so_far := best[number]) is None or cost < so_far.cost:
                best[number] = _Best(cost, offer, row, done)

    ranked = [sorted((cost, place) for place, cost in enumerate(costs) if cost < np.inf) for costs in least]
    first, many = 0, FIRST_OFFERS
    while first < len(offers):
        wanted = [
            (number, place)
            for number, costs in enumerate(ranked)
            for cost, place in costs[first : first + many]
            if (so_far := best[number]) is None or cost <= so_far.cost[0]
        ]
        if not wanted:
            break
        work_out(wanted)
        first, many = first + many, many * 3
    found: list[_Cheapest | Miss | None] = [min(m, key=_factor, default=None) for m in missed]
    for done in {id(b.among): b.among for b in best if b is not None}.values():
        of_it = [(number, b) for number, b in enumerate(best) if b is not None and b.among is done]
        chosen = choices(tried[0], done.group, done.replicas, [(b.offer, b.row) for _, b in of_it])
        for (number, b), choice in zip(of_it, chosen, strict=True):
            found[number] = _Cheapest(b.cost[0], choice)
    return found


def _factor(miss: Miss) -> float:
    return miss[1] / miss[2] if miss[2] else np.inf


def _in_budget(scenario: LlmScenario, found: _Cheapest) -> bool:
    budget = scenario.max_usd_per_month
    return budget is None or found.usd_per_hour * HOURS_PER_MONTH <= budget


def _row(
    scenario: LlmScenario,
    pair: LlmScenario,
    model: LlmModel,
    found: _Cheapest | Miss | None,
    now: float | None,
    *,
    is_present: bool,
) -> Variant:
    plain: dict[str, Any] = {
        "runtime": pair.runtime,
        "weight_format": pair.weight_format,
        "kv_format": pair.kv_format,
        "weight_words": scheme_of(model, pair.weight_format).words,
        "is_present": is_present,
        "changes": _changes(scenario, pair.runtime, pair.weight_format, pair.kv_format),
    }
    if not isinstance(found, _Cheapest):
        binding, because = _why_none(found)
        return Variant(**plain, holds=False, binding=binding, because=because)
    choice, column = found.choice, PERCENTILE_COLUMN[scenario.slo_percentile]
    part, holds = choice.configuration.accelerator, _in_budget(scenario, found)
    return Variant(
        **plain,
        holds=holds,
        binding=choice.binding if holds else "budget",
        because="" if holds else f"its {found.usd_per_hour * HOURS_PER_MONTH:,.0f} USD a month are over the budget",
        instance=choice.offer.instance.id,
        instance_type=choice.offer.instance.instance_type,
        accelerator=part.id,
        accelerator_name=part.name,
        accelerators_per_replica=choice.configuration.accelerators,
        replicas=choice.replicas + scenario.spare_replicas,
        instances=choice.instances,
        usd_per_hour=found.usd_per_hour,
        saving_usd_per_hour=None if now is None else now - found.usd_per_hour,
        ttft_ms=float(choice.centre.ttft_ms[choice.index, column]),
        tpot_ms=float(choice.centre.tpot_ms[choice.index, column]),
    )


def _why_none(miss: Miss | None) -> tuple[str, str]:
    """What binds where no machine serves a pair, and by how much the best of them misses it."""
    if miss is None:
        return "memory", "no machine on offer runs this format and holds one request"
    name, reached, limit = miss
    if name == "utilization cap":
        return name, f"no replica count keeps it at {limit:.0%}"
    return name, f"the best {name} is {format_ms(reached)} against {format_ms(limit)}"
