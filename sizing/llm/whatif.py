"""What would save memory: other formats, another spread, a smaller sibling, pruning; each with its saving in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.llm.candidates import RUNTIME_WORDS, check_formats, memory_of, refusal, unsupported
from sizing.llm.kv import cache_is_copied
from sizing.llm.memory import ReplicaMemory
from sizing.llm.models import CUSTOM, draft_of, model_of
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import Split
from sizing.scenario import LlmScenario

SPARSE_24_BYTES = 0.5 + 2 / 16
"""Share of a 16-bit matrix kept by 2:4 sparsity: half the values and 2 bits of index for each kept one [1]. Source:
NVIDIA sparse tensor core layout (2020)."""
WEIGHT_FORMATS = ("fp8", "int4", "nvfp4")
GGUF_FORMATS = ("gguf_q8_0", "gguf_q4_k_m", "gguf_q2_k")
KV_FORMATS = ("fp8", "fp4")


@dataclass(frozen=True, slots=True)
class WhatIf:
    """One change: the fields it sets (none if no engine gains from it), what one accelerator then saves, what is held."""

    words: str
    changes: Mapping[str, Any]
    saved_bytes: int
    requests_before: int
    requests_after: int
    said: str = ""


def what_ifs(scenario: LlmScenario, catalog: Catalog, accelerator: str, split: Split) -> tuple[WhatIf, ...]:
    """Changes that save memory on this hardware, the most requests held first; then those that save none, with why.

    Saved [bytes] = weights + extra parts + KV cache of the requests held before, on one accelerator.
    """
    model, part = model_of(scenario, catalog), catalog.accelerator(accelerator)
    context = scenario.prompt_tokens + scenario.output_tokens
    before = memory_of(scenario, model, part, split, draft_of(scenario, catalog))
    held = before.held(context)
    found: list[WhatIf] = []
    for words, changes in _changes(scenario, catalog, model, split):
        try:
            changed = scenario.model_copy(update=dict(changes))
            other = model_of(changed, catalog)
            spread = Split(
                changes.get("tensor_parallel", split.tensor),
                split.pipeline,
                changed.attention_data_parallel,
                changed.expert_parallel,
            )
            check_formats(changed, other)
            if unsupported(changed, other, part) or refusal(changed, other, spread):
                continue
            after = memory_of(changed, other, part, spread, draft_of(changed, catalog))
        except InputError:
            continue
        saved = _size(before, max(held, 1), context) - _size(after, max(held, 1), context)
        if after.held(context) > held or saved > 0:
            found.append(WhatIf(words, changes, saved, held, after.held(context)))
    found.sort(key=lambda w: (-w.requests_after, -w.saved_bytes))
    return (*found, *_pruning(scenario, model, before, held))


def _size(memory: ReplicaMemory, requests: int, context_tokens: int) -> int:
    return memory.need_bytes(requests, context_tokens)


def _changes(
    scenario: LlmScenario, catalog: Catalog, model: LlmModel, split: Split
) -> list[tuple[str, dict[str, Any]]]:
    formats = GGUF_FORMATS if scenario.runtime == "llama_cpp" else WEIGHT_FORMATS
    found: list[tuple[str, dict[str, Any]]] = [
        (f"weights in {name}", {"weight_format": name, "checkpoint_bytes": None})
        for name in formats
        if name != scenario.weight_format
    ]
    found += [(f"KV cache in {name}", {"kv_format": name}) for name in KV_FORMATS if name != scenario.kv_format]
    experts = architecture_of(model).experts
    if split.tensor > 1 and cache_is_copied(model, split.tensor):
        found.append(
            (
                f"attention data parallel {split.width} instead of tensor parallel {split.tensor}",
                {
                    "tensor_parallel": 1,
                    "attention_data_parallel": split.width,
                    "expert_parallel": bool(experts),
                    "pipeline_parallel": split.pipeline,
                },
            )
        )
    sibling = smaller_sibling(model, catalog, scenario.prompt_tokens + scenario.output_tokens)
    if sibling is not None and scenario.model != CUSTOM:
        found.append(
            (f"the smaller {sibling.name}", {"model": sibling.id, "weight_format": "native", "checkpoint_bytes": None})
        )
    return found


def smaller_sibling(model: LlmModel, catalog: Catalog, context_tokens: int) -> LlmModel | None:
    """The largest model of the same family with less than two thirds of the parameters, or None.

    Whether its answers are good enough only an evaluation says.
    """
    total = architecture_of(model).parameters
    family = [
        row
        for row in catalog.llm_models.values()
        if row.family == model.family
        and row.id != model.id
        and row.params_total
        and row.params_total < total * 2 / 3
        and (row.context_length or context_tokens) >= context_tokens
    ]
    return max(family, key=lambda row: (row.params_total or 0, row.id), default=None)


def _pruning(scenario: LlmScenario, model: LlmModel, memory: ReplicaMemory, held: int) -> tuple[WhatIf, ...]:
    """What pruning saves: nothing in memory unless the engine keeps the compressed form."""
    engine = RUNTIME_WORDS[scenario.runtime]
    weights = memory.stages[0].weights.total_bytes
    could = int(weights * (1 - SPARSE_24_BYTES))
    structured = (
        f"{engine} loads 2:4 pruned weights in dense form, as far as is known here (2026-11): nothing is saved. An engine "
        f"that keeps the compressed form would save up to {could / 2**30:.1f} GiB on each accelerator in 16 bit."
    )
    unstructured = f"{engine} stores zeros like any other value: nothing is saved, whatever the share of zeros."
    return (
        WhatIf("2:4 structured pruning", {}, 0, held, held, structured),
        WhatIf("unstructured pruning", {}, 0, held, held, unstructured),
    )
