"""Plans are the same everywhere, are computed once, and say what would lift a limit that nothing meets."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sizing import catalog as catalogs
from sizing import planner
from sizing.plan import Plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario

CATALOG = catalogs.load()
KINDS = [LlmScenario, DeepLearningScenario, StatisticalScenario]


def _without_time(plan: Plan) -> dict[str, object]:
    data = plan.as_json()
    del data["search"]["seconds"]
    return data


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_is_few_objects_because_the_collector_walks_kept_plans_after_every_redraw(
    kind: Callable[..., AnyScenario],
) -> None:
    planner.plan(kind(requests_per_s=7.0), CATALOG)
    gc.collect()
    before = len(gc.get_objects())
    kept = planner.plan(kind(requests_per_s=7.5), CATALOG)
    gc.collect()
    candidates = len(kept.ranked) + len(kept.rejected)
    assert len(gc.get_objects()) - before < 20 * candidates


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_is_computed_once_and_always_the_same(
    kind: Callable[..., AnyScenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = kind(requests_per_s=7.25)
    calls = []
    family = planner._FAMILIES[scenario.kind]
    monkeypatch.setitem(planner._FAMILIES, scenario.kind, lambda s, c: calls.append(s) or family(s, c))
    planner.plan.cache_clear()
    first = planner.plan(scenario, CATALOG)
    assert planner.plan(kind(requests_per_s=7.25), CATALOG) is first
    assert len(calls) == 1
    planner.plan.cache_clear()
    assert _without_time(planner.plan(scenario, CATALOG)) == _without_time(first)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rate=st.floats(0.05, 400), factor=st.floats(1.1, 8))
def test_more_traffic_never_costs_less(kind: Callable[..., AnyScenario], rate: float, factor: float) -> None:
    little = planner.plan(kind(requests_per_s=rate), CATALOG).recommended
    much = planner.plan(kind(requests_per_s=rate * factor), CATALOG).recommended
    assert little is not None
    if much is not None:
        assert much.cost.usd_per_hour >= little.cost.usd_per_hour - 1e-9


@pytest.mark.parametrize("kind", KINDS)
def test_kept_and_dropped_are_all_that_was_searched(kind: Callable[..., AnyScenario]) -> None:
    for scenario in (kind(), kind(region="eu"), kind(price_basis="spot"), kind(providers=("aws",))):
        plan = planner.plan(scenario, CATALOG)
        categories = {"statistical": ("cpu",), "deep_learning": ("gpu", "cpu"), "llm": ("gpu",)}[plan.kind]
        searched = {i.id for i in CATALOG.instances.values() if i.category in categories}
        kept = {d.instance for d in plan.ranked}
        dropped = {r.instance for r in plan.rejected}
        assert kept | dropped == searched
        assert not kept & dropped
        assert plan.search.candidates == len(searched)
        assert all(r.because for r in plan.rejected)


@pytest.mark.parametrize("kind", KINDS)
def test_every_deployment_keeps_the_rules_and_the_limits(kind: Callable[..., AnyScenario]) -> None:
    scenario = kind(providers=("aws", "gcp"), region="eu", max_usd_per_month=20_000.0, spare_replicas=1)
    plan = planner.plan(scenario, CATALOG)
    assert plan.recommended is not None
    for d in plan.ranked:
        assert d.provider in ("aws", "gcp")
        assert d.cost.usd_per_month <= 20_000.0
        assert all(v.met for v in d.verdicts)
        assert d.utilization <= scenario.utilization_cap + 1e-9
        assert d.throughput.requests_per_s.capacity >= d.throughput.requests_per_s.demanded * (1 - 1e-9)


@pytest.mark.parametrize(
    ("scenario", "field"),
    [
        (LlmScenario(model="llama-2-70b-hf", max_usd_per_month=10.0), "max_usd_per_month"),
        (LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0), "tpot_target_ms"),
        (LlmScenario(accelerators=("t4",), model="llama-2-70b-hf"), "accelerators"),
        (DeepLearningScenario(latency_target_ms=0.5), "latency_target_ms"),
        (DeepLearningScenario(max_usd_per_month=1.0), "max_usd_per_month"),
        (StatisticalScenario(p99_target_ms=0.9), "p99_target_ms"),
        (StatisticalScenario(price_basis="spot", providers=("lambda",)), "providers"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_a_remedy_applied_gives_a_deployment_at_its_price(scenario: AnyScenario, field: str) -> None:
    plan = planner.plan_with_remedies(scenario, CATALOG)
    assert plan.recommended is None
    assert plan.binding_constraint
    assert field in {part for remedy in plan.remedies for part in remedy.field.split(" + ")}
    assert [r.usd_per_month for r in plan.remedies] == sorted(r.usd_per_month for r in plan.remedies)
    for remedy in plan.remedies:
        changes = remedy.value if isinstance(remedy.value, dict) else {remedy.field: remedy.value}
        changed = type(scenario).model_validate({**scenario.model_dump(), **changes})
        best = planner.plan(changed, CATALOG).recommended
        assert best is not None
        assert best.cost.usd_per_month == pytest.approx(remedy.usd_per_month)
        assert "$" in remedy.sentence


def test_a_raised_limit_is_the_smallest_that_is_met_and_larger_raises_cost_less() -> None:
    scenario = LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0)
    raises = [r for r in planner.remedies(scenario, CATALOG) if r.field == "tpot_target_ms"]
    assert [r.value for r in raises] == sorted((r.value for r in raises), reverse=True)
    less = scenario.model_copy(update={"tpot_target_ms": raises[-1].value * 0.9})
    assert planner.plan(less, CATALOG).recommended is None
