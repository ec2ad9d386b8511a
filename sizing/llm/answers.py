"""Memory answers in both directions: what given hardware holds, and the smallest hardware that holds what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.llm.candidates import memory_of, refusal, split_of, unsupported
from sizing.llm.kv import cache_is_copied
from sizing.llm.memory import ReplicaMemory
from sizing.llm.models import draft_of, model_of
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import Split
from sizing.scenario import LlmScenario

Fit = Literal["room", "tight", "no"]
MAP_COUNTS = (1, 2, 4, 8, 16)
ROOMY_REQUESTS = 4
"""Requests of full length from which a replica is said to fit with room [count]: fewer hardly batch. A rule of this map."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One accelerator type at one count: whether the model fits, and the room left."""

    accelerator: str
    accelerator_name: str
    count: int
    split: Split | None
    fit: Fit
    kv_tokens: int
    requests: int
    requests_interval: tuple[int, int]
    capacity_bytes: int
    need_bytes: int  # of one accelerator for one request
    because: str


@dataclass(frozen=True, slots=True)
class Reverse:
    """What a replica on given hardware holds: the answers that engines' settings ask for."""

    longest_context_tokens: int  # with the requests wanted
    most_requests: int
    most_requests_interval: tuple[int, int]
    kv_tokens: int
    kv_tokens_interval: tuple[int, int]
    gpu_memory_utilization: float | None  # least that holds the requests wanted; None if none does
    binds: str


def best_split(scenario: LlmScenario, model: LlmModel, part: Accelerator, count: int) -> Split | None:
    """How a count of accelerators shares the model, as the search would: the largest tensor degree within one machine
    that engines allow, the rest as a pipeline; degrees that the scenario sets are kept where the count has room for
    them. None if the count cannot be shared out so."""
    data = scenario.attention_data_parallel
    if count % data:
        return None
    each, layers = count // data, architecture_of(model).layers
    within = min(each, part.max_accelerators_per_node // data)
    splits = [
        split_of(scenario, tp, each // tp) for tp in range(within, 0, -1) if each % tp == 0 and each // tp <= layers
    ]
    allowed = [split for split in splits if refusal(scenario, model, split) is None]
    return next((split for split in allowed if _as_set(scenario, split)), next(iter(allowed), None))


def _as_set(scenario: LlmScenario, split: Split) -> bool:
    """Whether a split has the tensor and pipeline degrees that the scenario sets."""
    tensor, pipeline = scenario.tensor_parallel, scenario.pipeline_parallel
    return tensor in (None, split.tensor) and pipeline in (None, split.pipeline)


def memory_map(scenario: LlmScenario, catalog: Catalog, counts: Sequence[int] = MAP_COUNTS) -> tuple[Cell, ...]:
    """Every accelerator against every count: fits with room, fits tight or does not fit, with tokens of KV cache left.

    With room: at least four requests of full length, and one at the high end of the runtime's interval.
    """
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    context = scenario.prompt_tokens + scenario.output_tokens
    splits: dict[tuple[int, int], Split | None] = {}
    cells = []
    for part in catalog.accelerators.values():
        if unsupported(scenario, model, part) is not None:
            continue
        for count in counts:
            key = (part.max_accelerators_per_node, count)
            if key not in splits:
                splits[key] = best_split(scenario, model, part, count)
            split = splits[key]
            if split is None:
                cells.append(_refused(part, count))
                continue
            memory = memory_of(scenario, model, part, split, draft)
            cells.append(_cell(part, count, split, memory, context))
    return tuple(cells)


def _refused(part: Accelerator, count: int) -> Cell:
    because = "the model cannot be shared out so"
    return Cell(part.id, part.name, count, None, "no", 0, 0, (0, 0), part.capacity_bytes, 0, because)


def _cell(part: Accelerator, count: int, split: Split, memory: ReplicaMemory, context: int) -> Cell:
    held, interval, need = memory.held(context), memory.held_interval(context), memory.need_bytes(1, context)
    fit: Fit = "no" if held == 0 else "room" if held >= ROOMY_REQUESTS and interval[0] > 0 else "tight"
    stage = memory.binding_stage(context)
    because = "weights" if memory.budget_bytes(stage) <= 0 else "KV cache" if held == 0 else ""
    return Cell(
        part.id, part.name, count, split, fit, memory.kv_tokens() if held else 0, held, interval,
        part.capacity_bytes, need, because,
    )  # fmt: skip


def smallest_holding(cells: Sequence[Cell], requests: int) -> tuple[Cell, ...]:
    """For each accelerator the smallest count that holds so many requests at once, least memory in all first."""
    found: dict[str, Cell] = {}
    for cell in sorted(cells, key=lambda c: c.count):
        if cell.requests >= requests and cell.accelerator not in found:
            found[cell.accelerator] = cell
    return tuple(sorted(found.values(), key=lambda c: (c.count * c.capacity_bytes, c.count, c.accelerator)))


def reverse(memory: ReplicaMemory, *, requests: int, context_tokens: int, longest_context_tokens: int) -> Reverse:
    """What a replica holds [requests, tokens], and the least memory share [1] that holds so many requests."""
    needed = memory.needed_utilization(requests, context_tokens)
    low, high = memory.runtime.high_bytes, memory.runtime.low_bytes
    stage = memory.binding_stage(context_tokens)
    fixed, cache = stage.fixed_bytes, requests * stage.sequence_bytes(context_tokens, memory.kv_format)
    names = {"weights": fixed, "KV cache": cache, "activations and runtime": memory.runtime.total_bytes}
    return Reverse(
        longest_context_tokens=memory.longest_context_tokens(requests, longest_context_tokens),
        most_requests=memory.held(context_tokens),
        most_requests_interval=memory.held_interval(context_tokens),
        kv_tokens=memory.kv_tokens(),
        kv_tokens_interval=(memory.kv_tokens(low), memory.kv_tokens(high)),
        gpu_memory_utilization=needed if needed <= 1.0 else None,
        binds=max(names, key=lambda name: names[name]),
    )


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One way to spread a replica over the same accelerators, and what it holds. Bytes are those of the pipeline stage
    that holds the fewest requests."""

    split: Split
    weights_bytes: int
    copied_bytes: int
    sequence_bytes: int  # of one request over the accelerators of the stage that keep its KV cache
    kv_tokens: int
    requests: int


def compare_splits(
    scenario: LlmScenario, catalog: Catalog, accelerator: str, count: int, pipeline: int = 1
) -> tuple[SplitRow, ...]:
    """Bytes, KV tokens and requests [count] of tensor parallel against attention data parallel, over `count` accelerators
    in each of so many pipeline stages, for a model whose KV cache tensor parallel copies; empty for one whose cache it
    shares out."""
    model, part, draft = model_of(scenario, catalog), catalog.accelerator(accelerator), draft_of(scenario, catalog)
    if not cache_is_copied(model, count) or scenario.runtime == "llama_cpp":
        return ()
    context = scenario.prompt_tokens + scenario.output_tokens
    experts, rows = bool(architecture_of(model).experts), []
    for tensor in (n for n in range(count, 0, -1) if count % n == 0):
        split = Split(tensor, pipeline, count // tensor, expert_parallel=experts and tensor < count)
        if refusal(scenario, model, split) is not None:
            continue
        memory = memory_of(scenario, model, part, split, draft)
        stage = memory.binding_stage(context)
        rows.append(
            SplitRow(
                split,
                stage.weights.total_bytes,
                stage.weights.copied_bytes,
                stage.sequence_bytes(context, scenario.kv_format) * tensor,
                memory.kv_tokens(),
                memory.held(context),
            )
        )
    return tuple(rows)
