"""Memory of a language model to the bottom: parts against capacity, answers both ways, other spreads, what would save some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

import streamlit as st

from sizing.catalog import Catalog
from sizing.llm import holding_limits, memory_parts_by_count
from sizing.llm.answers import Cell, compare_splits, reverse
from sizing.llm.candidates import RUNTIME_WORDS, memory_of
from sizing.llm.charts import MemoryByCount
from sizing.llm.engines.runtime_memory import drift
from sizing.llm.memory import ReplicaMemory
from sizing.llm.models import draft_of, model_of
from sizing.llm.search import MAX_SEARCH_BATCH
from sizing.llm.sharding import Split
from sizing.llm.whatif import what_ifs
from sizing.plan import Deployment, Plan
from sizing.scenario import LlmScenario
from sizing.units import GIB, format_bytes
from ui.frame import plain
from ui.memory_map import MapTexts, cells_of, replica_scenario, short_count, spread
from ui.results import facts, folded, table
from ui.state import set_fields

COUNTS = (1, 2, 4, 8)
NAMES = {"weights_copied": "weights copied to every rank", "kv_cache": "KV cache", "prefix_cache": "prefix cache"}
"""Parts whose words are not just their name; the others are their name with spaces."""
GROUPS = {
    "weights": "weights",
    "weights_copied": "weights copied to every rank",
    "adapters": "adapters",
    "draft_model": "draft model and its KV",
    "kv_cache": "KV cache",
    "draft_kv_cache": "draft model and its KV",
    "prefix_cache": "prefix cache",
    "activations": "activations and logits",
    "logits": "activations and logits",
    "encoder": "activations and logits",
    "context": "runtime and driver",
    "collectives": "runtime and driver",
    "graphs": "runtime and driver",
    "driver": "runtime and driver",
}
BESIDE = "parts beside the text stack"
"""What the chart calls vision towers, blocks for several tokens and the like."""
ORDER = ("weights", "KV cache", "activations and logits", "runtime and driver", "weights copied to every rank", BESIDE,
         "adapters", "draft model and its KV", "prefix cache")  # fmt: skip


@dataclass(frozen=True)
class Hardware:
    """The replica that the memory sections speak of: the one recommended, else the smallest that holds one request."""

    accelerator: str
    name: str
    split: Split
    requests: int  # wanted at once
    memory: ReplicaMemory

    @property
    def words(self) -> str:
        """Such as 4 × H100 SXM5 80GB (tp 4)."""
        return f"{self.split.accelerators} × {self.name} ({spread(self.split)})"


def hardware_of(scenario: LlmScenario, catalog: Catalog, plan: Plan) -> Hardware | None:
    """The replica to show; None if the model fits nowhere, not even by its weights."""
    best = plan.recommended
    model = model_of(scenario, catalog)
    if best is not None and best.accelerator is not None and best.parallelism is not None:
        degree = best.parallelism
        split = Split(degree.tp, degree.pp, scenario.attention_data_parallel, scenario.expert_parallel)
        name, flight = best.accelerator, float(best.extra["batch_in_flight"] or 1)
        requests = scenario.batch or max(1, ceil(flight))
    else:
        cell = nearest(cells_of(replica_scenario(scenario), catalog))
        if cell is None or cell.split is None:
            return None
        name, split, requests = cell.accelerator, cell.split, scenario.batch or 1
    part = catalog.accelerator(name)
    memory = memory_of(scenario, model, part, split, draft_of(scenario, catalog))
    return Hardware(name, part.name, split, requests, memory)


def nearest(cells: Sequence[Cell]) -> Cell | None:
    """The cell with the least memory in all that holds a request; if none does, the one with the most memory in all."""
    possible = [cell for cell in cells if cell.split is not None]
    fits = [cell for cell in possible if cell.fit != "no"]
    if fits:
        return min(fits, key=lambda c: (c.count * c.capacity_bytes, c.count, c.accelerator))
    return max(possible, key=lambda c: (c.count * c.capacity_bytes, c.accelerator), default=None)


def grouped(parts: Mapping[str, int]) -> dict[str, float]:
    """Parts as the chart stacks them [bytes]: small ones of the runtime together.

    >>> grouped({"weights": 10, "context": 1, "driver": 2, "vision_tower": 3})
    {'weights': 10.0, 'runtime and driver': 3.0, 'parts beside the text stack': 3.0}
    """
    found: dict[str, float] = {}
    for name, size in parts.items():
        group = GROUPS.get(name, BESIDE)
        found[group] = found.get(group, 0.0) + size
    return {name: found[name] for name in ORDER if name in found}


def by_count(scenario: LlmScenario, catalog: Catalog, at: Hardware) -> tuple[MemoryByCount, ...]:
    """Memory at one, two, four, eight accelerators and at the chosen count, the chosen one spread as chosen."""
    chosen, context = at.split.accelerators, scenario.prompt_tokens + scenario.output_tokens
    others = memory_parts_by_count(scenario, catalog, at.accelerator, [n for n in COUNTS if n != chosen])
    held = at.memory.held(context)
    parts = at.memory.parts(sequences=max(1, min(held, scenario.batch or MAX_SEARCH_BATCH)), context_tokens=context)
    own = MemoryByCount(chosen, at.split, parts, at.memory.usable_bytes, held, at.memory.held_interval(context))
    return tuple(sorted((*others, own), key=lambda row: row.accelerators))


def draw_parts_table(at: Hardware, counts: Sequence[MemoryByCount]) -> None:
    """The exact parts of the chart."""

    def draw() -> None:
        names = list(dict.fromkeys(name for row in counts for name in row.memory.parts))
        rows = [[_spoken(name), *(format_bytes(row.memory.parts.get(name)) for row in counts)] for name in names]
        for label, sizes in (
            ("in all", [row.memory.used_bytes for row in counts]),
            ("80 % interval, low", [row.memory.used_low_bytes for row in counts]),
            ("80 % interval, high", [row.memory.used_high_bytes for row in counts]),
            ("capacity", [row.memory.capacity_bytes for row in counts]),
        ):
            rows.append([label, *map(format_bytes, sizes)])
        table(["Part", *(f"{row.accelerators} × ({spread(row.split)})" for row in counts)], rows)

    folded(f"Exact parts of one {at.name}", "parts", draw)


def _spoken(name: str) -> str:
    return NAMES.get(name, name.replace("_", " "))


def draw_answers(
    scenario: LlmScenario, catalog: Catalog, at: Hardware, texts: MapTexts, best: Deployment | None
) -> None:
    """Both ways: what this hardware holds, and what the requests wanted take."""
    context = scenario.prompt_tokens + scenario.output_tokens
    longest = model_of(scenario, catalog).context_length or 10 * context
    held = reverse(at.memory, requests=at.requests, context_tokens=context, longest_context_tokens=longest)
    wanted = f"{at.requests:,} at once"
    share = held.gpu_memory_utilization
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("What this hardware holds", anchor="holds")
        st.caption(plain(f"{at.words}, {scenario.gpu_memory_utilization:.0%} of the memory given to the engine."))
        facts(
            [
                *_at_this_load(best),
                (f"Longest request, {wanted}", _tokens(held.longest_context_tokens, cut_at=longest)),
                (f"Most requests of {context:,} tokens", _between(held.most_requests, held.most_requests_interval)),
                ("KV cache, tokens as the engine reports them", _between(held.kv_tokens, held.kv_tokens_interval)),
                (
                    f"Memory share to give the engine for {wanted}",
                    "more than all of it"
                    if share is None
                    else f"{ceil(share * 100) / 100:.2f} (gpu_memory_utilization)",
                ),
                ("Largest part", held.binds),
            ]
        )
    with right:
        st.subheader("What it takes", anchor="takes")
        st.caption(plain(f"Least memory in all that holds {at.requests:,} requests of {context:,} tokens at once."))
        rows = [
            [
                f"{cell.count} × {cell.accelerator_name}",
                spread(cell.split),
                f"{cell.count * cell.capacity_bytes / GIB:,.4g}",
                short_count(cell.kv_tokens),
                f"{cell.requests:,} ({cell.requests_interval[0]:,} to {cell.requests_interval[1]:,})",
            ]
            for cell in texts.smallest
        ]
        if rows:
            table(["Hardware", "Spread", "Memory (GiB)", "KV tokens", "Holds (80 %)"], rows)
        else:
            st.info("No accelerator of the catalog holds that many; a smaller format or a shorter request is below.")


def _at_this_load(best: Deployment | None) -> list[tuple[str, str]]:
    """What the recommended deployment uses while it serves the demanded load."""
    used = best.memory_per_accelerator if best is not None else None
    if best is None or used is None:
        return []
    share = f"{format_bytes(used.used_bytes)} of {format_bytes(used.capacity_bytes)}"
    return [
        ("Requests in flight, one replica", f"{float(best.extra['batch_in_flight'] or 0):,.3g}"),
        ("Used per accelerator at the batch limit", share),
    ]


def _between(value: int, interval: tuple[int, int]) -> str:
    return f"{value:,} ({interval[0]:,} to {interval[1]:,})"


def _tokens(tokens: int, *, cut_at: int) -> str:
    if not tokens:
        return "none"
    return f"{tokens:,} tokens" + (", the model's own limit" if tokens >= cut_at else "")


def draw_limits(scenario: LlmScenario, catalog: Catalog, at: Hardware) -> None:
    """At which batch and context each count stops holding."""
    counts = tuple(sorted({*COUNTS, at.split.accelerators}))

    def draw() -> None:
        limits = holding_limits(scenario, catalog, at.accelerator, counts)
        columns = ["Accelerators"]
        columns += [f"batch at {context:,} tokens" for context in limits[0].largest_batch] if limits else []
        columns += [f"context at batch {batch}" for batch in limits[0].longest_context_tokens] if limits else []
        rows = [
            [
                str(row.accelerators),
                *(f"{batch:,}" if batch else "none" for batch in row.largest_batch.values()),
                *(f"{tokens:,}" if tokens else "none" for tokens in row.longest_context_tokens.values()),
            ]
            for row in limits
        ]
        table(columns, rows)

    title = f"What {', '.join(map(str, counts))} × {at.name} hold: largest batch by context, longest context by batch"
    folded(title, "held", draw)


def draw_splits(scenario: LlmScenario, catalog: Catalog, at: Hardware) -> None:
    """Tensor parallel against attention data parallel, where tensor parallel copies the KV cache."""
    count, stages = at.split.width, at.split.pipeline
    rows = compare_splits(scenario, catalog, at.accelerator, count, stages)
    if len(rows) < 2:
        return
    st.subheader("Tensor parallel or attention data parallel", anchor="splits")
    said = (
        "Tensor parallel copies this model's KV cache to several ranks; attention data parallel copies the attention "
        "weights instead and gives each rank its own requests."
    )
    if stages > 1:
        said += (
            f" Each row is a pipeline of {stages} stages with {count} accelerators each; its weights and KV are those of "
            "the stage that holds the fewest requests."
        )
    st.caption(said)
    table(
        ["Spread", "Weights on each", "of that, copied", "KV of a request, all ranks", "KV tokens", "Requests held"],
        [
            [
                spread(row.split) + (" (now)" if row.split == at.split else ""),
                format_bytes(row.weights_bytes),
                format_bytes(row.copied_bytes),
                format_bytes(row.sequence_bytes),
                f"{row.kv_tokens:,}",
                f"{row.requests:,}",
            ]
            for row in rows
        ],
    )
    with st.container(horizontal=True):
        for position, row in enumerate(rows):
            if row.split == at.split or not row.requests:
                continue
            changes = {
                "tensor_parallel": row.split.tensor,
                "pipeline_parallel": stages,
                "attention_data_parallel": row.split.attention_data,
                "expert_parallel": row.split.expert_parallel,
                "max_accelerators_per_replica": max(row.split.accelerators, scenario.max_accelerators_per_replica),
            }
            st.button(f"Use {spread(row.split)}", key=f"split:{position}", on_click=set_fields, args=("llm", changes))


def draw_what_ifs(scenario: LlmScenario, catalog: Catalog, at: Hardware) -> None:
    """Changes that would save memory on this hardware, each taken with a click, and those that save none."""
    found = what_ifs(scenario, catalog, at.accelerator, at.split)
    st.subheader("What would save memory", anchor="what-if")
    st.caption(plain(f"On {at.words}; a click changes the inputs, and the search for hardware begins anew."))
    changes = [what_if for what_if in found if what_if.changes]
    if changes:
        table(
            ["Change", "Saved on each accelerator (GiB)", "Requests held now", "then"],
            [
                [_capital(w.words), f"{w.saved_bytes / GIB:,.1f}", f"{w.requests_before:,}", f"{w.requests_after:,}"]
                for w in changes
            ],
        )
        with st.container(horizontal=True):
            for position, w in enumerate(changes):
                arguments = ("llm", dict(w.changes))
                st.button(_capital(w.words), key=f"whatif:{position}", on_click=set_fields, args=arguments)
    st.caption("  \n".join(plain(f"{_capital(w.words)}: {w.said}") for w in found if w.said))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def binds_words(scenario: LlmScenario, at: Hardware) -> str:
    """One sentence: what takes most of an accelerator, of what it has."""
    context = scenario.prompt_tokens + scenario.output_tokens
    memory = at.memory.parts(sequences=at.requests, context_tokens=context)
    parts = grouped(memory.parts)
    name = max(parts, key=lambda part: parts[part])
    return (
        f"On {at.words} the largest part is {name}: {format_bytes(parts[name])} of {format_bytes(memory.used_bytes)} needed; "
        f"it has {format_bytes(memory.capacity_bytes)}."
    )


def draw_drift(scenario: LlmScenario, catalog: Catalog, at: Hardware) -> None:
    """How far the engine's own memory moved between its versions, for this model on this part."""
    part, model = catalog.accelerator(at.accelerator), model_of(scenario, catalog)

    def draw() -> None:
        found = drift(model, part, runtime=scenario.runtime, tensor_parallel=at.split.tensor)
        versions = list(dict.fromkeys(row.generation for row in found))
        names = list(dict.fromkeys(row.part for row in found if row.gib > 0))
        sizes = {(row.part, row.generation): row.gib for row in found}
        table(
            ["Part (GiB)", *versions],
            [[_spoken(name), *(f"{sizes.get((name, version), 0.0):.2f}" for version in versions)] for name in names],
        )
        st.caption(
            plain(f"{model.name} on {part.name}, tensor parallel {at.split.tensor}, the engine's defaults throughout.")
        )

    folded(f"How the memory of {RUNTIME_WORDS[scenario.runtime]} itself moved between its versions", "drift", draw)
