"""What every engine is told about a deployed language model: the checkpoint, its split, its batch and its room."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from sizing.catalog import Catalog
from sizing.llm.models import CUSTOM, OWN_BLOCK
from sizing.plan import Deployment
from sizing.recipes.recipe import FILL_IN
from sizing.scenario import LlmScenario

LENGTH_STEP = 256
SPREAD_STDS = 3.0
"""Standard deviations of prompt and reply lengths that the context holds beside their means [1]."""

STATIC_PARTS = frozenset(
    {"weights", "weights_copied", "kv_cache", "prefix_cache", "adapters", "draft_model", "draft_kv_cache"}
)
"""Parts of memory that an engine reserves once for weights and cache; the others come and go beside them."""


@dataclass(frozen=True)
class LlmPoint:
    """One deployment of a language model as engines are told of it.

    `model` is the repository or path to load, `published` the repository of the unquantised model; `requests` and
    `tokens_per_step` are limits of one replica; `memory_share` is the share of an accelerator the engine may use [1],
    `static_share` the part of it for weights and cache, `free_share` what the cache takes of what the weights leave.
    """

    scenario: LlmScenario
    deployment: Deployment
    model: str
    published: str
    tp: int
    pp: int
    data: int
    expert_parallel: bool
    context_tokens: int
    requests: int
    tokens_per_step: int
    memory_share: float
    static_share: float
    free_share: float
    weights_gib: float
    draft: str | None
    own_draft: bool
    notes: tuple[str, ...]

    @property
    def accelerators(self) -> int:
        """Accelerators of one replica (count)."""
        return self.tp * self.pp * self.data


def llm_point(scenario: LlmScenario, catalog: Catalog, best: Deployment) -> LlmPoint:
    """The facts of a recommended deployment that engines need."""
    published, limit = _published(scenario, catalog)
    model, notes = _checkpoint(scenario, published)
    split = best.parallelism
    assert split is not None
    memory = best.memory_per_accelerator
    assert memory is not None
    share = scenario.gpu_memory_utilization
    beside = sum(size for name, size in memory.parts.items() if name not in STATIC_PARTS) / memory.capacity_bytes
    weights = sum(memory.parts.get(name, 0) for name in ("weights", "weights_copied", "adapters", "draft_model"))
    budget = float(best.extra["kv_budget_bytes"] or 0)
    free = memory.capacity_bytes * (1.0 - beside) - weights
    context = _context_tokens(scenario)
    if limit is not None and context > limit:
        context = limit
        notes.append(f"The model's own context of {limit:,} tokens is less than the longest requests of this scenario.")
    own = scenario.draft_model == OWN_BLOCK
    draft = None
    if scenario.draft_model is not None and not own:
        draft = catalog.llm_model(scenario.draft_model).hf_id
    return LlmPoint(
        scenario=scenario,
        deployment=best,
        model=model,
        published=published,
        tp=split.tp,
        pp=split.pp,
        data=scenario.attention_data_parallel,
        expert_parallel=scenario.expert_parallel,
        context_tokens=context,
        requests=best.batch or 1,
        tokens_per_step=scenario.max_batched_tokens,
        memory_share=share,
        static_share=floor(100.0 * max(share - beside, 0.01)) / 100.0,
        free_share=floor(100.0 * min(max(budget / free if free > 0 else 0.01, 0.01), 0.99)) / 100.0,
        weights_gib=weights * (best.accelerators_per_replica or 1) / 2**30,
        draft=draft,
        own_draft=own,
        notes=tuple(notes),
    )


def _published(scenario: LlmScenario, catalog: Catalog) -> tuple[str, int | None]:
    if scenario.model == CUSTOM:
        return f"{FILL_IN}_PATH_OF_YOUR_MODEL", None
    row = catalog.llm_model(scenario.model)
    return row.hf_id, row.context_length


def _checkpoint(scenario: LlmScenario, published: str) -> tuple[str, list[str]]:
    """What to load: the published repository where the engine can make the format from it, else one already quantised."""
    form = scenario.weight_format
    if form.startswith("gguf_"):
        return f"{FILL_IN}_{form.removeprefix('gguf_').upper()}.gguf", [
            f"The plan counts {form.removeprefix('gguf_').upper()} weights: put the path of that GGUF file in."
        ]
    if form in ("native", "bf16", "fp16", "fp32"):
        return published, []
    if form == "fp8" and scenario.runtime in ("vllm", "sglang"):
        return published, ["The engine quantises the published weights to fp8 as it loads them."]
    return f"{FILL_IN}_{form.upper()}_CHECKPOINT", [
        f"The plan counts {form} weights: put in a checkpoint of {published} that is quantised so, and check its quality."
    ]


def _context_tokens(scenario: LlmScenario) -> int:
    """Longest request the engine has to take [tokens]: means and three standard deviations, in steps of 256."""
    longest = sum(
        mean * (1.0 + SPREAD_STDS * spread)
        for mean, spread in ((scenario.prompt_tokens, scenario.prompt_cv), (scenario.output_tokens, scenario.output_cv))
    )
    return LENGTH_STEP * ceil(longest / LENGTH_STEP)
