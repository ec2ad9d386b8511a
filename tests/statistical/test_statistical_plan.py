"""The plan's contract, its worked examples, and what must never happen when an input grows."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sizing import catalog
from sizing.errors import InputError
from sizing.scenario import StatisticalScenario, scenario_from_yaml
from sizing.statistical import plan

CATALOG = catalog.load()
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CPU_INSTANCES = sum(instance.category == "cpu" for instance in CATALOG.instances.values())
PLANS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

scenarios = st.builds(
    StatisticalScenario,
    family=st.sampled_from(list(CATALOG.statistical_families)),
    runtime=st.sampled_from(["native", "onnxruntime"]),
    trees=st.integers(1, 2000),
    depth=st.integers(1, 14),
    rows_per_request=st.sampled_from([1, 10, 1000]),
    requests_per_s=st.floats(0.1, 20_000),
    p50_target_ms=st.none() | st.floats(1, 100),
    p95_target_ms=st.none() | st.floats(1, 200),
    p99_target_ms=st.none() | st.floats(1, 500),
    utilization_cap=st.floats(0.1, 0.95),
    spare_replicas=st.integers(0, 3),
    service_cv=st.none() | st.floats(0, 2),
)
users = st.builds(
    StatisticalScenario,
    family=st.sampled_from(["linear-regression", "gradient-boosting-xgboost", "random-forest"]),
    concurrency=st.integers(1, 3000),
    think_time_s=st.sampled_from([0.0, 0.05, 2.0]),
    p99_target_ms=st.none() | st.floats(5, 500),
    utilization_cap=st.floats(0.3, 0.95),
)


def example(name):
    return scenario_from_yaml((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))


@PLANS
@given(scenario=scenarios | users)
def test_contract(scenario):
    found = plan(scenario, CATALOG)
    assert found.search.candidates == len(found.ranked) + len(found.rejected) == CPU_INSTANCES
    assert found.search.configurations >= len(found.ranked)
    costs = [d.cost.usd_per_month for d in found.ranked]
    assert costs == sorted(costs)
    for deployment in found.ranked:
        memory = deployment.memory_per_instance
        assert sum(memory.parts.values()) == memory.used_bytes <= memory.capacity_bytes
        assert deployment.utilization <= scenario.utilization_cap * (1 + 1e-9)
        assert all(verdict.met for verdict in deployment.verdicts)
        assert deployment.replicas == deployment.instances * deployment.extra["workers_per_instance"]
        assert deployment.instances >= 1 + scenario.spare_replicas
        rate = deployment.throughput.requests_per_s
        assert 0 < rate.demanded <= rate.capacity * (1 + 1e-9)
        for latency in deployment.latency_ms.values():
            assert 0 < latency.p50 <= latency.p95 <= latency.p99
            expected = getattr(latency, latency.interval_of)
            assert latency.low <= expected <= latency.high * (1 + 1e-9)
        assert deployment.latency_ms["time_in_system"].p99 >= deployment.latency_ms["service"].p99 * (1 - 1e-6)
    for rejection in found.rejected:
        assert rejection.because
    assert found.binding_constraint
    assert found.headline


@PLANS
@given(scenario=scenarios, factor=st.floats(1.0, 50.0))
def test_more_load_never_needs_fewer_instances(scenario, factor):
    more = scenario.model_copy(update={"requests_per_s": scenario.requests_per_s * factor})
    before = {d.instance: d.instances for d in plan(scenario, CATALOG).ranked}
    for deployment in plan(more, CATALOG).ranked:
        assert deployment.instances >= before[deployment.instance]


@PLANS
@given(scenario=scenarios, more=st.integers(1, 500))
def test_more_trees_or_rows_never_lower_memory_or_time(scenario, more):
    for field in ("trees", "rows_per_request", "features"):
        larger = scenario.model_copy(update={field: getattr(scenario, field) + more})
        after = {d.instance: d for d in plan(larger, CATALOG).ranked}
        for before in plan(scenario, CATALOG).ranked:
            if before.instance in after:
                grown = after[before.instance]
                assert grown.extra["worker_bytes"] >= before.extra["worker_bytes"]
                assert grown.latency_ms["service"].p50 >= before.latency_ms["service"].p50


def test_same_scenario_same_plan():
    scenario = example("gradient-boosting-500")
    assert plan(scenario, CATALOG) == plan(scenario, CATALOG)


def test_exam_score_example_serves_thousands_a_second_on_a_small_commodity_server():
    found = plan(example("exam-score-linear"), CATALOG)
    best = found.recommended
    assert best.vcpus_per_instance <= 4
    assert best.throughput.requests_per_s.demanded == 2000
    assert best.extra["model_latency_ms"] < 0.05
    assert best.extra["model_file_bytes"] < 1000
    assert best.cost.usd_per_hour < 0.20


def test_gradient_boosting_example():
    """500 trees natively, one row of 3,500 visits: call + trees once, then features and visits, each by its power of the CPU."""
    best = plan(example("gradient-boosting-500"), CATALOG).recommended
    cost, factor = CATALOG.statistical_family("gradient-boosting-xgboost").runtime("native"), best.extra["cpu_factor"]
    call_us = cost.call_us + 500 * cost.tree_us
    # 63,500 nodes take 2.54 MB, 127 a tree: all of them near the core. The row is the first, so its visits are paid cold.
    row_ns = cost.row_ns + 100 * cost.value_ns + 3500 * (cost.unit_ns + cost.first_rows_ns)
    there_us = call_us * factor**cost.call_scaling + row_ns / 1000 * factor**cost.loop_scaling
    assert best.extra["model_latency_ms"] == pytest.approx(there_us / 1000, rel=1e-4)
    assert call_us + row_ns / 1000 == pytest.approx(981, rel=0.05)  # the quiet median of ours for one row, 2026-11
    assert best.instances == 1
    assert best.latency_ms["time_in_system"].p99 < 20
    assert best.extra["model_file_bytes"] == pytest.approx(34 * 500 * 127 + 660 * 500, rel=0.01)
    assert best.utilization == pytest.approx(200 * best.extra["service_ms"] / 1000 / best.replicas)


def test_forest_example_fails_in_the_library_for_its_overhead_alone():
    scenario = example("random-forest-onnx")
    assert plan(scenario, CATALOG).recommended is not None
    native = plan(scenario.model_copy(update={"runtime": "native"}), CATALOG)
    assert native.recommended is None
    assert native.binding_constraint in ("p95 latency", "p99 latency")
    assert "limit" in native.headline
    assert {r.constraint for r in native.rejected} <= {"p95 latency", "p99 latency"}


def test_cost_and_load_test_names_agree():
    best = plan(example("gradient-boosting-500"), CATALOG).recommended
    capacity = best.throughput.requests_per_s.capacity
    assert best.extra["max_invocations_per_minute"] == pytest.approx(capacity * 60)
    assert best.extra["usd_per_inference"] == pytest.approx(best.cost.usd_per_hour / (200 * 3600))
    assert best.cost.usd_per_month == pytest.approx(best.cost.usd_per_hour * 730)


def test_memory_reduces_workers_and_then_rejects():
    """About 5.1 GB a worker: 32 GiB hold 6 of the 8 workers that the cores could run, 4 GiB hold none."""
    forest = StatisticalScenario(
        family="random-forest",
        runtime="onnxruntime",
        trees=3000,
        depth=40,
        leaves=2000,
        p99_target_ms=None,
        requests_per_s=5.0,
    )
    found = plan(forest, CATALOG)
    crowded = next(d for d in found.ranked if d.instance == "aws-c7i-4xlarge")
    assert (crowded.extra["workers_per_instance"], crowded.extra["physical_cores"]) == (6, 8)
    assert any("Memory holds 6 workers" in warning for warning in crowded.warnings)
    small = next(r for r in found.rejected if r.instance == "aws-t3-medium")
    assert small.constraint == "memory"
    assert "more memory" in small.remedy
    asked = plan(forest.model_copy(update={"workers_per_instance": 8}), CATALOG)
    refused = next(r for r in asked.rejected if r.instance == "aws-c7i-4xlarge")
    assert refused.constraint == "memory"
    assert refused.remedy.startswith("6 workers")


def test_more_workers_than_vcpus_is_rejected_with_the_most():
    found = plan(StatisticalScenario(workers_per_instance=8), CATALOG)
    by_id = {r.instance: r for r in found.rejected}
    assert by_id["aws-c7i-large"].constraint == "workers"
    assert by_id["aws-c7i-large"].remedy == "at most 2 workers on an instance"


def test_budget_rejects_with_the_amount():
    found = plan(StatisticalScenario(max_usd_per_month=1.0), CATALOG)
    assert found.recommended is None
    assert found.binding_constraint == "budget"
    assert all("a month" in r.remedy for r in found.rejected if r.constraint == "budget")


def test_rules_drop_and_are_counted():
    found = plan(StatisticalScenario(providers=("gcp",)), CATALOG)
    assert {d.provider for d in found.ranked} == {"gcp"}
    assert found.search.candidates == CPU_INSTANCES


def test_more_than_the_most_instances_is_a_throughput_rejection():
    found = plan(StatisticalScenario(requests_per_s=1e7, rows_per_request=1000), CATALOG)
    assert "throughput" in {r.constraint for r in found.rejected}


def test_users_without_pause_ask_as_fast_as_they_are_answered():
    found = plan(StatisticalScenario(concurrency=12, p99_target_ms=50), CATALOG)
    best = found.recommended
    service_ms = best.extra["service_ms"]
    assert best.throughput.requests_per_s.demanded == pytest.approx(12 / service_ms * 1000, rel=1e-6)
    assert best.utilization <= 0.7


def test_users_with_a_long_pause_ask_about_once_a_pause():
    best = plan(StatisticalScenario(concurrency=1000, think_time_s=10.0), CATALOG).recommended
    assert best.throughput.requests_per_s.demanded == pytest.approx(100, rel=0.01)


def test_spares_add_instances_and_share_the_load():
    without = plan(StatisticalScenario(), CATALOG)
    with_spare = plan(StatisticalScenario(spare_replicas=2), CATALOG)
    before = {d.instance: d for d in without.ranked}
    for deployment in with_spare.ranked:
        assert deployment.instances == before[deployment.instance].instances + 2
        assert deployment.utilization < before[deployment.instance].utilization


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"family": "gradient-boosting"}, "family"),
        ({"family": "random-forest", "runtime": "booster"}, "runtime"),
        ({"instances": ("aws-t9-nano",)}, "instances"),
        ({"depth": 3, "leaves": 9}, "leaves"),
    ],
)
def test_bad_input_names_its_field(fields, field):
    with pytest.raises(InputError) as caught:
        plan(StatisticalScenario(**fields), CATALOG)
    assert caught.value.field == field


def test_every_step_of_the_working_has_numbers_a_unit_and_a_source():
    found = plan(example("random-forest-onnx"), CATALOG)
    steps = {step.quantity: step for step in found.working}
    best = found.recommended
    assert steps["Memory of an instance"].value == best.memory_per_instance.used_bytes
    assert steps["Instances"].value == best.instances
    assert steps["Cost"].value == best.cost.usd_per_hour
    assert steps["Utilization"].value == best.utilization
    for step in found.working:
        assert all((step.formula, step.with_numbers, step.unit, step.source, step.trust)), step.quantity
