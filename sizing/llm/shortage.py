"""Why memory does not hold a model on a kind of instance, by how much, and the smallest change that would."""

from __future__ import annotations

from collections.abc import Sequence

from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.fleet import Offer, rejection
from sizing.llm.candidates import (
    MOST_MACHINES_PER_REPLICA,
    Configuration,
    degrees,
    placeable,
    rank_of,
    sequences_held,
    unsupported,
)
from sizing.plan import Rejection
from sizing.scenario import LlmScenario
from sizing.units import format_bytes

LARGER_REPLICAS = (32, 64, 128)


def memory_rejection(scenario: LlmScenario, model: LlmModel, offer: Offer, items: Sequence[Configuration]) -> Rejection:
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
    need, usable = need_bytes(scenario, best), int(part.capacity_bytes * scenario.gpu_memory_utilization)
    because = (
        f"one request needs {format_bytes(need)} on each of {best.accelerators} x {part.name}, "
        f"{format_bytes(need - usable)} more than the {format_bytes(usable)} it may use"
    )
    remedy = _remedy(scenario, model, offer)
    return rejection(offer.instance, constraint="memory", because=because, remedy=remedy, miss_ratio=need / usable)


def need_bytes(scenario: LlmScenario, item: Configuration) -> int:
    """Bytes that one accelerator needs for one request: weights + activations + runtime + one sequence of KV cache."""
    sequence = item.rank.kv.bytes_per_sequence(
        context_tokens=scenario.prompt_tokens + scenario.output_tokens, kv_format=scenario.kv_format
    )
    return item.rank.weights_bytes + item.rank.activation_bytes + item.rank.runtime_bytes + sequence


def _remedy(scenario: LlmScenario, model: LlmModel, offer: Offer) -> str | None:
    """The first of these that holds a request: fp8 weights, int4 weights, a larger replica."""
    for name in ("fp8", "int4"):
        if name != scenario.weight_format and _holds(scenario.model_copy(update={"weight_format": name}), model, offer):
            return f"store the weights in {name}"
    for most in LARGER_REPLICAS:
        if most > scenario.max_accelerators_per_replica:
            larger = scenario.model_copy(update={"max_accelerators_per_replica": most})
            if (used := _holds(larger, model, offer)) is not None:
                return f"allow {used} accelerators a replica"
    return None


def _holds(scenario: LlmScenario, model: LlmModel, offer: Offer) -> int | None:
    """Accelerators of the smallest replica that holds one request on this kind of instance, or None."""
    part = offer.accelerator
    try:
        if part is None or unsupported(scenario, model, part) is not None:
            return None
    except InputError:
        return None
    count = offer.instance.accelerator_count or 1
    for tp, pp in degrees(scenario, model, count):
        if tp * pp > count * MOST_MACHINES_PER_REPLICA:
            continue
        if sequences_held(scenario, rank_of(scenario, model, part.capacity_bytes, tp, pp), part.capacity_bytes) > 0:
            return tp * pp
    return None
