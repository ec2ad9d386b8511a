"""What a plan costs, by counts and not by the clock: queues solved, calls, and states followed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks import deep_learning_times
from sizing import batch_gather as batcher
from sizing import batch_queue as batching
from sizing import catalog as catalogs
from sizing.batch_gather import capacity_per_ms
from sizing.deep_learning.plan import plan
from sizing.deep_learning.search import LOADS_BELOW_CAP, _loads_within
from sizing.scenario import DeepLearningScenario

CATALOG = catalogs.load()


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Queues solved by each call, starting with nothing kept."""
    counts: list[int] = []
    real, followed = batching._solve, batcher._follow

    def solve(t0: np.ndarray, *rest: object) -> np.ndarray:
        counts.append(len(t0))
        return real(t0, *rest)  # type: ignore[arg-type]

    def follow(t0: np.ndarray, *rest: object, **named: object) -> np.ndarray:
        counts.append(len(t0))
        return followed(t0, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(batching, "_solve", solve)
    monkeypatch.setattr(batcher, "_follow", follow)
    batcher.forget()
    yield counts
    batcher.forget()


@pytest.mark.parametrize("changed", [{}, {"queue_delay_ms": 2.0}, {"model_instances_per_gpu": 2}])
def test_a_plan_solves_few_queues_and_another_rate_fewer(changed: dict[str, object], solved: list[int]) -> None:
    scenario = DeepLearningScenario.model_validate(changed)
    found = plan(scenario, CATALOG)
    kinds = len({d.accelerator or d.instance for d in (found.recommended, *found.alternatives) if d is not None})
    first = sum(solved)
    assert first <= 5 * kinds
    assert len(solved) <= 12
    solved.clear()
    plan(scenario.model_copy(update={"requests_per_s": 510.0}), CATALOG)
    assert 0 < sum(solved) < first / 2
    solved.clear()
    plan(scenario.model_copy(update={"max_usd_per_month": 1e9}), CATALOG)
    assert solved == []


def test_only_what_is_still_over_the_limit_is_solved_again(solved: list[int]) -> None:
    """The last calls correct counts that were too hopeful; each asks for no more than the one before."""
    plan(DeepLearningScenario(), CATALOG)
    assert solved[-1] < solved[-4] / 2


def test_a_load_is_found_by_halving() -> None:
    asked = []

    def reached(rows: np.ndarray, load: np.ndarray) -> np.ndarray:
        asked.extend(load.tolist())
        return np.where(rows == 9, 200.0, 10.0 + 100.0 * load)

    loads = np.array([0.02, *(0.7 * share for share in LOADS_BELOW_CAP), 0.7])
    found, lightest = _loads_within(np.array([3, 4, 9]), loads, np.array([80.0, 80.0, 300.0]), 45.0, reached)
    assert found[:2] == pytest.approx([0.35, 0.35])  # 10 + 100 x load = 45
    assert (found[2], lightest[2]) == (0.0, 200.0)
    assert len(asked) <= 3 * 3


def test_rare_states_are_left_out_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    k, limit = np.array([0.1, 1.0, 0.3, 0.02]), np.array([64.0, 1.0, 3.0, 300.0])
    rate = np.array([0.1, 0.5, 0.7, 0.85]) * capacity_per_ms(t0_ms=1.0, k_ms=k, max_batch=limit)
    sizes: list[int] = []
    real = batching._latencies

    def latencies(stationary: np.ndarray, *rest: object) -> np.ndarray:
        sizes.append(stationary.size)
        return real(stationary, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(batching, "_latencies", latencies)
    few = batching.batch_queue(t0_ms=1.0, k_ms=k, max_batch=limit, rate_per_ms=rate)
    followed = sum(sizes)
    monkeypatch.setattr(batching, "RARE", 0.0)
    every = batching.batch_queue(t0_ms=1.0, k_ms=k, max_batch=limit, rate_per_ms=rate)
    assert followed < 0.75 * (sum(sizes) - followed)
    for percentile in (50, 95, 99):
        assert few.percentile_ms(percentile) == pytest.approx(every.percentile_ms(percentile), rel=1e-3)


def test_a_gpu_with_delay_has_the_same_answer_alone_and_in_company() -> None:
    k, limit = np.array([0.1, 1.0, 0.3, 0.02]), np.array([64.0, 2.0, 8.0, 300.0])
    rate = np.array([0.1, 0.4, 0.7, 0.85]) * capacity_per_ms(t0_ms=1.0, k_ms=k, max_batch=limit, instances=2)
    together = batcher.batcher(t0_ms=1.0, k_ms=k, max_batch=limit, rate_per_ms=rate, delay_ms=1.0, instances=2)
    for row in range(4):
        alone = batcher.batcher(
            t0_ms=1.0, k_ms=k[row], max_batch=limit[row], rate_per_ms=rate[row], delay_ms=1.0, instances=2
        )
        assert alone.p99_ms[0] == pytest.approx(together.p99_ms[row], rel=1e-9)


def test_what_is_kept_cannot_be_changed_from_outside() -> None:
    first = batcher.batcher(t0_ms=1.0, k_ms=0.1, max_batch=4, rate_per_ms=1.0)
    before = float(first.p99_ms[0])
    first.p99_ms[0] = 0.0
    assert batcher.batcher(t0_ms=1.0, k_ms=0.1, max_batch=4, rate_per_ms=1.0).p99_ms[0] == before


def test_factorials_of_counts_that_need_not_be_whole() -> None:
    found = batching.log_factorial(np.array([0.0, 1.0, 4.0, 0.5]))
    assert np.exp(found) == pytest.approx([1.0, 1.0, 24.0, np.sqrt(np.pi) / 2.0], rel=1e-9)


def test_the_page_of_times_is_written_from_measurements() -> None:
    rows = deep_learning_times.measure(repeats=1)
    text = deep_learning_times.report(rows, "2026-01-01, 2 cores, Python 3.11")
    for row in rows:
        assert f"| {row.name} | {row.configurations:,} |" in text
        assert f"| {row.name} |" in deep_learning_times.FILE.read_text(encoding="utf-8")
