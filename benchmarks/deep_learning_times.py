"""How fast deep learning scenarios are planned; written to DEEP_LEARNING_TIMES.md.

python -m benchmarks.deep_learning_times
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path

from sizing import batch_gather as batcher
from sizing import catalog as catalogs
from sizing.deep_learning.plan import plan
from sizing.scenario import DeepLearningScenario

REPEATS = 9
FILE = Path(__file__).with_name("DEEP_LEARNING_TIMES.md")
CATALOG = catalogs.load()
KINDS: dict[str, tuple[dict[str, object], float]] = {
    "default": ({}, 35.0),
    "queue delay 2 ms": ({"queue_delay_ms": 2.0}, 120.0),
    "2 instances a GPU": ({"model_instances_per_gpu": 2}, 120.0),
    "delay and instances": ({"queue_delay_ms": 2.0, "model_instances_per_gpu": 2}, 120.0),
    "40 clients": ({"requests_per_s": None, "concurrency": 40}, 60.0),
}
"""Fields changed and the goal [ms]."""


@dataclass(frozen=True)
class Timed:
    """One kind of scenario: configurations, goal, and least times [ms] with nothing kept, another rate or client count, another limit."""

    name: str
    configurations: int
    goal_ms: float
    anew_ms: float
    load_ms: float
    limit_ms: float


def best_ms(scenarios: Callable[[int], DeepLearningScenario], repeats: int, *, anew: bool = False) -> float:
    """Least time of a plan [ms] over scenarios that were not planned before."""
    times = []
    for number in range(repeats):
        scenario = scenarios(number)
        if anew:
            batcher.forget()
        start = time.perf_counter()
        plan(scenario, CATALOG)
        times.append((time.perf_counter() - start) * 1000.0)
    return min(times)


def measure(repeats: int = REPEATS) -> tuple[Timed, ...]:
    """Every kind; each plan has a load or a limit of its own, so that none is repeated."""
    fresh, rows = count(1), []
    for name, (fields, goal) in KINDS.items():
        base = DeepLearningScenario.model_validate(fields)

        def loaded(_: int, base: DeepLearningScenario = base) -> DeepLearningScenario:
            if base.concurrency is not None:
                return base.model_copy(update={"concurrency": base.concurrency + next(fresh)})
            return base.model_copy(update={"requests_per_s": (base.requests_per_s or 0.0) + next(fresh)})

        def limited(_: int, base: DeepLearningScenario = base) -> DeepLearningScenario:
            return base.model_copy(update={"latency_target_ms": 90.0 + next(fresh) / 10.0})

        found = plan(base, CATALOG)
        again = best_ms(loaded, repeats, anew=True)
        rows.append(
            Timed(
                name,
                found.search.configurations,
                goal,
                again,
                best_ms(loaded, repeats),
                best_ms(limited, repeats),
            )
        )
    return tuple(rows)


def report(rows: Sequence[Timed], on: str) -> str:
    """The page of figures."""
    lines = [
        "# Speed of deep learning plans",
        "",
        f"Written by `python -m benchmarks.deep_learning_times` on {on}: least of {REPEATS} runs, one process. "
        "Nothing kept: the queues of every load tried are solved. Another load or limit: as when one control is moved, the "
        "queues of loads that were tried before are kept.",
        "",
        "| scenario | configurations | goal (ms) | nothing kept (ms) | another load (ms) | another limit (ms) |",
        "|---|--:|--:|--:|--:|--:|",
        *(
            f"| {r.name} | {r.configurations:,} | {r.goal_ms:.0f} | {r.anew_ms:.1f} | {r.load_ms:.1f} | {r.limit_ms:.1f} |"
            for r in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page."""
    on = f"{date.today()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    text = report(measure(), on)
    FILE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
