"""The worked example Llama-2-70B is what the code says today, and estimates come many to a call."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from benchmarks import llama_2_70b as example
from benchmarks import llm_speed
from sizing.catalog import load
from sizing.llm import plan, serving
from sizing.scenario import LlmScenario


def _without_date(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("Written by ")]


@pytest.fixture(scope="module")
def examples() -> list[example.Example]:
    return [example.example(part, count) for part, count in example.SIZES]


def test_the_page_is_what_the_code_says() -> None:
    written = example.FILE.read_text(encoding="utf-8")
    fresh = example.text(date(2000, 1, 1))
    assert _without_date(written) == _without_date(fresh), "run python -m benchmarks.llama_2_70b"
    assert "2000-01-01" in fresh


def test_every_size_of_the_example_meets_its_limits(examples: list[example.Example]) -> None:
    assert [(e.accelerator[:4], e.count) for e in examples] == [
        ("a100", 4),
        ("a100", 8),
        ("h100", 2),
        ("h100", 4),
        ("h100", 8),
    ]
    for e in examples:
        assert e.best.parallelism is not None
        assert (e.best.parallelism.tp, e.best.parallelism.pp) == (e.count, 1)
        assert e.best.latency_ms["ttft"].p95 <= 2000.0
        assert e.best.latency_ms["tpot"].p95 <= 50.0
        assert e.best.throughput.requests_per_s.capacity >= 5.0
        assert (e.choice.replicas, e.choice.instances) == (e.best.replicas, e.best.instances)


def test_memory_and_least_step_by_hand(examples: list[example.Example]) -> None:
    """68,976,648,192 parameters of 2 bytes over N; the embedding of 32,000 x 8,192 is looked up, not read."""
    rows = example.memory_rows(examples)
    for e, row in zip(examples, rows, strict=True):
        bandwidth = {"a100-sxm-80gb": 2039e9, "h100-sxm-80gb": 3350e9}[e.accelerator]
        read = (68_976_648_192 - 32_000 * 8_192) * 2 / e.count
        assert float(str(row[6])) == pytest.approx(read / bandwidth * 1000, abs=0.06)
        assert float(str(row[2])) == pytest.approx(68_976_648_192 * 2 / e.count / 2**30, abs=0.06)
        tpot = float(str(example.batch_rows([e])[0][2]).split(" ms")[0])
        assert tpot > float(str(row[6]))


def test_published_figures_are_all_predicted_and_each_has_one_reason() -> None:
    found = example.scored()
    assert len(found) == 39
    assert all(s.predicted and not s.skipped_because for _, s in found)
    assert all(sum(belongs(cells) for _, belongs, _ in example.GROUPS) == 1 for cells, _ in found)
    assert {cells["accelerator"] for cells, _ in found} == {"a100-sxm-80gb", "h100-sxm-80gb"}


def test_estimates_are_counted_and_come_many_to_a_call() -> None:
    made = llm_speed.estimates(repeats=2)
    rows = len(np.ravel(llm_speed.candidates(LlmScenario()).layers))
    assert rows > 200
    assert [t.count for t in made] == [rows * 18, rows * 18, rows, 1]
    together, alone = made[1], made[3]
    assert together.per_s > 50 * alone.per_s


def test_a_search_asks_the_model_a_few_times_whatever_is_on_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    plain = serving.decode

    def counted(*arguments: object) -> object:
        found = plain(*arguments)  # type: ignore[arg-type]
        calls.append(found.step_ms.size)
        return found

    monkeypatch.setattr(serving, "decode", counted)
    found = plan(LlmScenario(requests_per_s=5.25), load())
    assert found.search.candidates > 100
    assert 0 < len(calls) < 60
    assert sum(calls) > found.search.configurations


def test_the_report_of_times_states_goal_count_and_machine() -> None:
    made = (llm_speed.Timed("a", 1000, 2.0), llm_speed.Timed("b", 1, 0.5))
    text = llm_speed.report(made, made, "2026-01-01, 2 cores, Python 3.11")
    assert "| a | 1,000 | 2 | 500,000 |" in text
    assert "Goals: 50,000 estimates a second, the default search under 500 ms." in text
    assert "2 cores, Python 3.11" in text
    assert "2 cores" in llm_speed.FILE.read_text(encoding="utf-8")
