"""The batch at which each kind of GPU is full, for a scenario's model, runtime and precision."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sizing.catalog import Catalog
from sizing.deep_learning.memory import MAX_BATCH, gpu_memory, largest_batch
from sizing.deep_learning.pipeline import facts_of
from sizing.deep_learning.runtimes import Unsupported, format_on
from sizing.scenario import DeepLearningScenario

COMMON = (
    "t4", "l4", "a10g", "a30", "rtx-4090", "rtx-5090", "l40s", "a100-sxm-40gb", "a100-sxm-80gb", "h100-sxm-80gb",
    "h200-sxm-141gb", "mi300x",
)  # fmt: skip
"""GPUs of the table, by memory; those the catalog does not have are left out."""


@dataclass(frozen=True)
class Full:
    """One GPU: its capacity and what one sample needs [bytes], the batch that fills it [samples], or why it does not run."""

    accelerator: str
    name: str
    capacity_bytes: int
    one_sample_bytes: int
    largest_batch: int  # 0: not even one sample; MAX_BATCH: the most that is searched
    because: str | None

    @property
    def beyond_search(self) -> bool:
        """Whether the GPU holds even the largest batch searched."""
        return self.largest_batch >= MAX_BATCH


@lru_cache(maxsize=64)
def full_batches(scenario: DeepLearningScenario, catalog: Catalog) -> tuple[Full, ...]:
    """The largest batch [samples] that each common GPU holds, by memory alone.

    >>> from sizing.catalog import load
    >>> rows = {f.accelerator: f for f in full_batches(DeepLearningScenario(precision="fp32", runtime="pytorch_eager"), load())}
    >>> rows["l4"].largest_batch < rows["l40s"].largest_batch
    True
    """
    facts = facts_of(scenario, catalog)
    runtime, precision, arena = scenario.runtime, scenario.precision, scenario.ort_arena
    found = []
    for id in COMMON:
        part = catalog.accelerators.get(id)
        if part is None:
            continue
        capacity, because, held = part.capacity_bytes, None, 0
        try:
            format_on(part, runtime=runtime, precision=precision)
            held = largest_batch(facts, runtime=runtime, precision=precision, capacity_bytes=capacity, ort_arena=arena)
        except Unsupported as error:
            because = error.because
        one = gpu_memory(
            facts, runtime=runtime, precision=precision, batch=1, capacity_bytes=capacity, ort_arena=arena
        ).used_bytes
        found.append(Full(id, part.name, capacity, one, held, because))
    return tuple(sorted(found, key=lambda full: full.capacity_bytes))
