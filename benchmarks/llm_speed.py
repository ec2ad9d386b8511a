"""How fast language models are estimated and searched; written to LLM_SPEED_TIMES.md.

python -m benchmarks.llm_speed
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from sizing import catalog as catalogs
from sizing import fleet
from sizing.llm import plan
from sizing.llm.candidates import configurations
from sizing.llm.constants import engine_rates
from sizing.llm.marginal import marginal
from sizing.llm.misses import near_misses
from sizing.llm.models import model_of
from sizing.llm.search import MAX_SEARCH_BATCH, batch_grid, parts_of
from sizing.llm.serving import closed_batch, open_loop
from sizing.llm.speed import decode
from sizing.llm.variants import pairs, variants
from sizing.llm.work import Work, stack
from sizing.scenario import LlmScenario

REPEATS = 7
ESTIMATES_GOAL_PER_S = 50_000
SEARCH_GOAL_MS = 500.0
FILE = Path(__file__).with_name("LLM_SPEED_TIMES.md")
CATALOG = catalogs.load()


@dataclass(frozen=True)
class Timed:
    """One kind of work: how many estimates it makes and its least time."""

    name: str
    count: int
    best_ms: float

    @property
    def per_s(self) -> float:
        """Estimates a second."""
        return self.count / self.best_ms * 1000.0


def candidates(scenario: LlmScenario) -> Work:
    """Every configuration that the scenario's search looks at, as columns."""
    model = model_of(scenario, CATALOG)
    offers = [o for o in fleet.offers(scenario, CATALOG, category="gpu")[0] if o.accelerator is not None]
    parts, largest = parts_of(offers)
    found = [c.work for part in parts.values() for c in configurations(scenario, model, None, part, largest[part.id])]
    return stack(found)


def best_ms(run: Callable[[], object], repeats: int = REPEATS) -> float:
    """Least time of some runs [ms]."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1000.0)
    return min(times)


def estimates(repeats: int = REPEATS) -> tuple[Timed, ...]:
    """Candidates x batch sizes through one call, and one candidate alone."""
    scenario, rates = LlmScenario(), engine_rates("vllm", None)[0]
    work, grid = candidates(scenario), batch_grid(MAX_SEARCH_BATCH).astype(float)[None, :]
    rows = len(np.ravel(work.layers))
    one = Work(**{name: value[:1] for name, value in vars(work).items()})
    load, cap = np.full(rows, 0.01), np.full(rows, 64, dtype=np.intp)
    alone = np.array([[16.0]])
    kinds: Sequence[tuple[str, int, Callable[[], object]]] = (
        (
            f"a decode step, {rows} candidates x {grid.size} batches",
            rows * grid.size,
            lambda: decode(work, grid, rates),
        ),
        (
            "closed loop: TTFT, TPOT, requests/s, the same",
            rows * grid.size,
            lambda: closed_batch(work, grid, 250.0, rates),
        ),
        (
            f"open loop: p50, p95, p99 of TTFT and TPOT, {rows} candidates at a batch limit of 64",
            rows,
            lambda: open_loop(work, arrival_per_s=load, batch_cap=cap, output_tokens=250, rates=rates),
        ),
        (
            "closed loop, one candidate and batch in a call of its own",
            1,
            lambda: closed_batch(one, alone, 250.0, rates),
        ),
    )
    return tuple(Timed(name, count, best_ms(run, repeats)) for name, count, run in kinds)


def searches(repeats: int = REPEATS) -> tuple[Timed, ...]:
    """The default search as a page meets it, each run with a scenario that was not seen before."""
    fresh = iter(range(10_000))

    def changed(**fields: object) -> LlmScenario:
        number = next(fresh)
        return LlmScenario(**{"requests_per_s": 5.0 + number / 1e4, **fields})

    def longer() -> LlmScenario:
        number = next(fresh)
        return LlmScenario(prompt_tokens=1001 + number)

    first = LlmScenario()
    searched = plan(first, CATALOG).search.configurations
    best = plan(first, CATALOG).recommended
    none = LlmScenario(tpot_target_ms=2.0)
    rejected = plan(none, CATALOG).rejected
    assert best is not None
    tried = len(pairs(first, model_of(first, CATALOG)))
    return (
        Timed("plan, another rate (configurations kept)", searched, best_ms(lambda: plan(changed(), CATALOG), repeats)),
        Timed(
            "plan, another prompt length (all made anew)", searched, best_ms(lambda: plan(longer(), CATALOG), repeats)
        ),
        Timed("every engine and format (pairs)", tried, best_ms(lambda: variants(longer(), CATALOG), repeats)),
        Timed("what more would buy (changes)", 6, best_ms(lambda: marginal(first, CATALOG, best), repeats)),
        Timed("nearest misses with their knobs", 3, best_ms(lambda: near_misses(none, CATALOG, rejected), repeats)),
    )


def report(made: Sequence[Timed], found: Sequence[Timed], on: str) -> str:
    """The page of figures."""
    lines = [
        "# Speed of the estimates of language models",
        "",
        f"Written by `python -m benchmarks.llm_speed` on {on}: best of {REPEATS} runs, one process, numpy on one thread "
        "where OMP_NUM_THREADS=1 is set. "
        f"Goals: {ESTIMATES_GOAL_PER_S:,} estimates a second, the default search under {SEARCH_GOAL_MS:g} ms.",
        "",
        "| estimates | count | time (ms) | per second |",
        "|---|--:|--:|--:|",
        *(f"| {t.name} | {t.count:,} | {t.best_ms:.3g} | {t.per_s:,.0f} |" for t in made),
        "",
        "| default page | of | time (ms) |",
        "|---|--:|--:|",
        *(f"| {t.name} | {t.count:,} | {t.best_ms:.3g} |" for t in found),
        "",
        f"The default search evaluates {found[0].count:,} configurations x batch sizes over "
        f"{plan(LlmScenario(), CATALOG).search.candidates} kinds of machine.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page."""
    on = f"{date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    text = report(estimates(), searches(), on)
    FILE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
