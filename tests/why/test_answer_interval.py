"""The answer as an interval: by hand for a queue in closed form, in order, wider with a wider error, the 25 pairs in full."""

from __future__ import annotations

import re
from itertools import product
from math import ceil, exp, factorial, inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing import catalog as catalogs
from sizing.deep_learning import moved as deep_learning_moved
from sizing.llm import moved as llm_moved
from sizing.llm.confidence import ErrorLaw, error_laws
from sizing.llm.constants import engine_rates
from sizing.llm.search import sized
from sizing.plan import Deployment
from sizing.planner import plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario
from sizing.statistical import moved as statistical_moved
from sizing.text import plan_text
from sizing.why import answer_interval
from sizing.why import interval as intervals
from sizing.why.interval import cheapest_at_ends, interval_of

CATALOG = catalogs.load()
MANY: tuple[AnyScenario, ...] = (
    StatisticalScenario(),
    StatisticalScenario(requests_per_s=50_000),
    StatisticalScenario(requests_per_s=None, concurrency=400, think_time_s=0.01),
    StatisticalScenario(requests_per_s=5_000, micro_batch_rows=16, spare_replicas=1),
    StatisticalScenario(requests_per_s=4_000, p99_target_ms=2.0),
    DeepLearningScenario(),
    DeepLearningScenario(requests_per_s=50_000, spare_replicas=2),
    DeepLearningScenario(compute="cpu"),
    DeepLearningScenario(requests_per_s=None, concurrency=400),
    LlmScenario(),
    LlmScenario(requests_per_s=60, spare_replicas=1),
    LlmScenario(model="llama-3.1-70b", requests_per_s=20),
    LlmScenario(requests_per_s=200, ttft_target_ms=100),
    LlmScenario(requests_per_s=None, concurrency=400, think_time_s=3),
)


OWN_RUNS = "h100-sxm-80gb~llama-3.1-8b~vllm~native~bf16~1.1.1~c16x1000x250=118.4:11.2~-"


def best_of(scenario: AnyScenario) -> Deployment:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    return best


def served_within(time_ms: float, service_ms: float, rate_per_s: float) -> float:
    """Chance that an M/D/1 queue answers within a time [1]: Erlang's sum for the wait (1909), here by itself."""
    load, wait = rate_per_s * service_ms / 1000.0, (time_ms - service_ms) / service_ms
    if load >= 1.0 or wait < 0.0:
        return 0.0
    terms = ((load * (k - wait)) ** k / factorial(k) * exp(-load * (k - wait)) for k in range(int(wait) + 1))
    return (1.0 - load) * sum(terms)


def test_instances_of_constant_service_are_those_of_erlangs_sum_at_both_ends() -> None:
    """One worker an instance and no spread: every instance is an M/D/1 queue, whose count follows by hand."""
    scenario = StatisticalScenario(
        requests_per_s=6_000, p99_target_ms=3.0, service_cv=0.0, workers_per_instance=1, instances=("aws-c7g-xlarge",)
    )
    best = best_of(scenario)
    service = best.latency_ms["service"]
    assert service.p50 == pytest.approx(service.p99)  # nothing spreads, so these are the times themselves
    assert service.low is not None
    assert service.high is not None

    def by_hand(service_ms: float) -> int:
        return next(
            n
            for n in range(1, 1000)
            if 6_000 / n * service_ms / 1000.0 <= 0.7 and served_within(3.0, service_ms, 6_000 / n) >= 0.99
        )

    found = interval_of(scenario, CATALOG, best)
    wanted = [by_hand(t) for t in (service.low, float(service.p50 or 0.0), service.high)]
    assert [found.low, found.predicted, found.high] == wanted
    assert wanted[0] < wanted[1] < wanted[2]
    # A count in proportion to the time would be another: queues and limits do not grow so.
    assert found.high != ceil(found.predicted * service.high / float(service.p50 or 1.0))


@pytest.mark.parametrize("scenario", MANY, ids=lambda s: f"{s.kind}-{s.requests_per_s}-{s.concurrency}")
def test_the_interval_holds_the_count_of_the_plan_and_costs_with_it(scenario: AnyScenario) -> None:
    best = best_of(scenario)
    found = answer_interval(scenario, CATALOG, plan(scenario, CATALOG))
    assert found is not None
    assert found.predicted == (best.instances if scenario.kind == "statistical" else best.replicas)
    assert scenario.spare_replicas < found.low <= found.predicted
    assert found.high is None or found.high >= found.predicted
    low, high = found.usd_per_month
    assert low <= best.cost.usd_per_month + 1e-9
    assert high is None or high >= best.cost.usd_per_month - 1e-9
    assert (found.high is None) == (high is None) == (found.instances[1] is None)
    assert f"{found.predicted:,}" in found.words


def test_where_the_slow_end_cannot_be_met_the_words_say_so() -> None:
    found = interval_of(MANY[4], CATALOG, best_of(MANY[4]))
    assert found.high is None
    assert "no count keeps the limits" in found.words
    assert found.cost_words(MANY[4]).startswith("from ")


def test_nothing_recommended_has_no_interval() -> None:
    scenario = LlmScenario(tpot_target_ms=0.01)
    assert answer_interval(scenario, CATALOG, plan(scenario, CATALOG)) is None


@pytest.mark.parametrize(
    "scenario", [s for s in MANY if isinstance(s, StatisticalScenario)], ids=lambda s: str(s.requests_per_s)
)
def test_slower_service_never_needs_fewer_instances(scenario: StatisticalScenario) -> None:
    on = best_of(scenario).instance
    counts = []
    for factor in (0.5, 0.8, 1.0, 1.25, 2.0):
        found = statistical_moved.resized(scenario, CATALOG, lambda candidate, model, f=factor: f, instance=on)
        counts.append(found[0].instances if found else inf)
    assert counts == sorted(counts)
    assert counts[2] == best_of(scenario).instances


@pytest.mark.parametrize("scenario", [s for s in MANY if isinstance(s, DeepLearningScenario)], ids=lambda s: s.compute)
def test_slower_batches_never_need_fewer_workers(scenario: DeepLearningScenario) -> None:
    on = best_of(scenario).instance
    counts = []
    for factor in (0.5, 0.8, 1.0, 1.25, 2.0):
        found = deep_learning_moved.resized(
            scenario, CATALOG, lambda law, f=factor: law.moved(fixed=f, each=f), instance=on
        )
        counts.append(found[0].replicas if found else inf)
    assert counts == sorted(counts)
    assert counts[2] == best_of(scenario).replicas


def test_a_wider_error_of_the_engine_makes_a_wider_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = LlmScenario(requests_per_s=400)
    best = best_of(scenario)
    step, first = error_laws(scenario)
    spans = []
    for width in (0.2, 1.0, 2.0):
        laws = (step.widened(width), first.widened(width))
        monkeypatch.setattr(llm_moved, "error_laws", lambda s, laws=laws: laws)
        low, high = llm_moved.counts_at_ends(scenario, CATALOG, best)
        assert low is not None
        assert high is not None
        spans.append((low, high))
    assert spans[0][0] >= spans[1][0] >= spans[2][0]
    assert spans[0][1] <= spans[1][1] <= spans[2][1]
    assert spans[0] != spans[2]


def test_no_error_makes_the_interval_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for scenario in (LlmScenario(requests_per_s=400), LlmScenario(requests_per_s=200, ttft_target_ms=100)):
        monkeypatch.setattr(
            llm_moved, "error_laws", lambda s: (ErrorLaw(1 - 1e-9, 1 + 1e-9), ErrorLaw(1 - 1e-9, 1 + 1e-9))
        )
        count = best_of(scenario).replicas
        assert llm_moved.counts_at_ends(scenario, CATALOG, best_of(scenario)) == (count, count)


@given(st.lists(st.integers(0, 3), min_size=25, max_size=25))
def test_the_third_of_25_is_found_from_four(steps: list[int]) -> None:
    """Grids that grow along rows and columns: sums of steps that are not negative."""
    grid = np.cumsum(np.cumsum(np.array(steps).reshape(5, 5), axis=0), axis=1)
    every = sorted(grid.ravel().tolist())
    fewest, most = ([float(grid[i, j]) for i, j in pairs] for pairs in (llm_moved.LOWEST, llm_moved.HIGHEST))
    assert llm_moved._third(*fewest, sign=-1) == every[2]
    assert llm_moved._third(*most, sign=1) == every[-3]


def test_runs_of_ones_own_narrow_both_errors() -> None:
    """One run says little, but something: each end of both errors comes nearer to 1 or stays."""
    plain = LlmScenario(accelerators=("h100-sxm-80gb",), requests_per_s=400, ttft_target_ms=300)
    ends = []
    for scenario in (plain, plain.model_copy(update={"measured_serving": OWN_RUNS})):
        found = interval_of(scenario, CATALOG, best_of(scenario))
        assert found.high is not None
        assert found.low < found.predicted < found.high
        ends.append([float(text) for text in re.findall(r"\d\.\d\d", found.basis)])
    before, after = ends
    assert len(before) == len(after) == 4
    assert all(abs(a - 1.0) <= abs(b - 1.0) for a, b in zip(after, before, strict=True))
    assert after[1] < before[1]
    assert after[3] < before[3]


@pytest.mark.parametrize(
    "scenario",
    [
        LlmScenario(requests_per_s=200, ttft_target_ms=100),
        LlmScenario(requests_per_s=100, tpot_target_ms=15),
        LlmScenario(requests_per_s=None, concurrency=900, ttft_target_ms=150),
    ],
    ids=["ttft", "tpot", "users"],
)
def test_the_ends_are_quantiles_of_all_25_pairs(scenario: LlmScenario) -> None:
    """Each pair by the search itself, the errors put into the engine's constants instead of into the work."""
    best = best_of(scenario)
    item = llm_moved.configuration_of(scenario, CATALOG, best)
    assert best.parallelism is not None
    fixed = scenario.model_copy(
        update={"tensor_parallel": best.parallelism.tp, "pipeline_parallel": best.parallelism.pp}
    )
    offer = llm_moved._offers(fixed, CATALOG, CATALOG.llm_model(scenario.model), best.instance)[0]
    step, first = error_laws(scenario)
    centre = engine_rates(scenario.runtime, scenario.engine_version)[0]
    levels = np.array(llm_moved.LEVELS)
    counts = []
    for s, f in product(step.quantile(levels), first.quantile(levels)):
        use = type(centre)(**{**vars(centre), "scale": float(s), "first_scale": float(f / s)})
        found = sized(fixed, [(offer, (item,))], use)
        counts.append(inf if found.rows[0] is None else int(found.replicas[found.rows[0]]))
    counts.sort()
    assert llm_moved.counts_at_ends(scenario, CATALOG, best) == tuple(
        None if n == inf else n for n in (counts[2], counts[-3])
    )


@pytest.mark.parametrize("scenario", [MANY[1], MANY[6], MANY[11]], ids=lambda s: s.kind)
def test_the_cheapest_at_the_ends_brackets_the_answer(scenario: AnyScenario) -> None:
    ends = cheapest_at_ends(scenario, CATALOG)
    usd = best_of(scenario).cost.usd_per_month
    assert ends.fast is not None
    assert ends.slow is not None
    assert ends.fast.usd_per_month <= usd <= ends.slow.usd_per_month


def test_the_text_of_a_plan_says_the_count_as_an_interval() -> None:
    scenario = LlmScenario(requests_per_s=60)
    found = plan(scenario, CATALOG)
    needed = answer_interval(scenario, CATALOG, found)
    assert needed is not None
    assert f"needed: {needed.words}; {needed.cost_words(scenario)}" in plan_text(found, needed)
    assert "needed:" not in plan_text(found)


def test_the_interval_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, calls = LlmScenario(requests_per_s=61), []
    original = intervals.interval_of
    monkeypatch.setattr(intervals, "interval_of", lambda *a: calls.append(a) or original(*a))
    for _ in range(3):
        answer_interval(scenario, CATALOG, plan(scenario, CATALOG))
    assert len(calls) == 1
