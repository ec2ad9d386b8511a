"""Why a kind of instance does not serve a model: what memory lacks or a limit is missed by, and the smallest change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.fleet import Offer, of_instance, rejection
from sizing.llm.candidates import (
    MOST_MACHINES_PER_REPLICA,
    Configuration,
    check_formats,
    degrees,
    memory_of,
    placeable,
    split_of,
    unsupported,
)
from sizing.plan import Rejection
from sizing.scenario import LlmScenario
from sizing.units import format_bytes, format_ms

LARGER_REPLICAS = (32, 64, 128)
Miss = tuple[str, float, float]
"""A limit that is broken: name, predicted, limit."""


@dataclass(frozen=True)
class MemoryShortages:
    """What memory lacks for a scenario on each machine, worked out once for all machines of as many of one accelerator."""

    scenario: LlmScenario
    model: LlmModel
    draft: LlmModel | None
    known: dict[tuple[str | None, int | None], Rejection] = field(default_factory=dict)

    def rejection_of(self, offer: Offer, items: Sequence[Configuration]) -> Rejection:
        """Rejection of a machine, as `memory_rejection` gives it."""
        machine = offer.instance
        alike = machine.accelerator_id, machine.accelerator_count
        if alike not in self.known:
            self.known[alike] = memory_rejection(self.scenario, self.model, self.draft, offer, items)
        return of_instance(self.known[alike], machine)


def memory_rejection(
    scenario: LlmScenario, model: LlmModel, draft: LlmModel | None, offer: Offer, items: Sequence[Configuration]
) -> Rejection:
    """Rejection of a machine on which no configuration holds even one request, with what is missing in bytes."""
    count = offer.instance.accelerator_count or 1
    tried = [c for c in items if placeable(c, count)]
    part = offer.accelerator
    if not tried or part is None:
        because = (
            f"a replica of tensor parallel {scenario.tensor_parallel or 'any'} and pipeline parallel "
            f"{scenario.pipeline_parallel or 'any'} has no place on {MOST_MACHINES_PER_REPLICA} machines of {count}"
        )
        return rejection(
            offer.instance, constraint="parallelism", because=because, remedy="leave the degrees of parallelism open"
        )
    best = min(tried, key=lambda c: need_bytes(scenario, c))
    need, usable = need_bytes(scenario, best), best.memory.usable_bytes
    because = (
        f"one request needs {format_bytes(need)} on each of {best.accelerators} x {part.name}, "
        f"{format_bytes(need - usable)} more than the {format_bytes(usable)} it may use"
    )
    remedy = _remedy(scenario, model, draft, offer)
    return rejection(offer.instance, constraint="memory", because=because, remedy=remedy, miss_ratio=need / usable)


def need_bytes(scenario: LlmScenario, item: Configuration) -> int:
    """Bytes that one accelerator needs for one request: weights + activations + runtime + one sequence of KV cache."""
    return item.memory.need_bytes(1, scenario.prompt_tokens + scenario.output_tokens)


def _remedy(scenario: LlmScenario, model: LlmModel, draft: LlmModel | None, offer: Offer) -> str | None:
    """The first of these that holds a request: fp8 weights, int4 weights, a larger replica."""
    smaller = ("gguf_q8_0", "gguf_q4_k_m") if scenario.runtime == "llama_cpp" else ("fp8", "int4")
    for name in smaller:
        changed = scenario.model_copy(update={"weight_format": name, "checkpoint_bytes": None})
        if name != scenario.weight_format and _holds(changed, model, draft, offer):
            return f"store the weights in {name}"
    for most in LARGER_REPLICAS:
        if most > scenario.max_accelerators_per_replica:
            larger = scenario.model_copy(update={"max_accelerators_per_replica": most})
            if (used := _holds(larger, model, draft, offer)) is not None:
                return f"allow {used} accelerators a replica"
    return None


def _holds(scenario: LlmScenario, model: LlmModel, draft: LlmModel | None, offer: Offer) -> int | None:
    """Accelerators of the smallest replica that holds one request on this kind of instance, or None."""
    part = offer.accelerator
    try:
        check_formats(scenario, model)
        if part is None or unsupported(scenario, model, part) is not None:
            return None
    except InputError:
        return None
    count = offer.instance.accelerator_count or 1
    for tp, pp in degrees(scenario, model, count):
        split = split_of(scenario, tp, pp)
        if split.accelerators > count * MOST_MACHINES_PER_REPLICA:
            continue
        held = memory_of(scenario, model, part, split, draft).held(scenario.prompt_tokens + scenario.output_tokens)
        if held > 0:
            return split.accelerators
    return None


def limit_rejection(offer: Offer, failures: Sequence[Miss]) -> Rejection:
    """Rejection by the limit that the best configuration misses by least."""
    name, predicted, limit = min(failures, key=lambda f: f[1] / f[2] if f[2] else inf)
    if name == "utilization cap":
        because = f"no replica count keeps the utilization at {limit:.0%}; the nearest needs {predicted:.0%}"
        return rejection(
            offer.instance,
            constraint=name,
            because=because,
            remedy=f"raise the cap to {min(predicted, 0.98):.0%}",
            miss_ratio=predicted / limit,
        )
    because = f"the best {name} is {format_ms(predicted)} against a limit of {format_ms(limit)}"
    remedy = f"raise the {name} limit to {format_ms(predicted)}"
    return rejection(
        offer.instance, constraint=name, because=because, remedy=remedy, miss_ratio=predicted / limit if limit else None
    )
