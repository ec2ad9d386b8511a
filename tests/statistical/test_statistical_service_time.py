"""Service time against the quiet measurements (own, real-time priority, 2026-11), typed in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing import catalog
from sizing.cpu import (
    CPU_SPEEDS,
    SMT_SLOWDOWN,
    UNKNOWN_CPU,
    burst_warning,
    cpu_speed,
    physical_cores,
    sharing_factor,
)
from sizing.scenario import StatisticalScenario
from sizing.statistical.law import model_time_us
from sizing.statistical.service_time import service_time
from sizing.statistical.structure import runtime_cost, structure

CATALOG = catalog.load()
FOREST = {"family": "random-forest", "outputs": 2, "trees": 100, "depth": 8, "leaves": 151}
XGB = {"family": "gradient-boosting-xgboost", "depth": 6}
LGBM = {"family": "gradient-boosting-lightgbm", "trees": 100, "depth": 6, "leaves": 31}


def parts(**fields):
    scenario = StatisticalScenario(**fields)
    family = CATALOG.statistical_family(scenario.family)
    return scenario, runtime_cost(scenario, family), structure(scenario=scenario, family=family)


def host_us(**fields):
    scenario, cost, size = parts(**fields)
    return model_time_us(cost=cost, size=size, rows=scenario.rows_per_request)


@pytest.mark.parametrize(
    ("fields", "rows", "measured_us", "tolerance"),
    [
        (FOREST | {"runtime": "native"}, 1, 19_281, 0.03),
        (FOREST | {"runtime": "native"}, 512, 24_341, 0.05),
        (FOREST | {"runtime": "onnxruntime"}, 1, 45.5, 0.25),
        (XGB | {"runtime": "native", "trees": 100}, 1, 593.5, 0.05),
        (XGB | {"runtime": "native", "trees": 500}, 1, 981.1, 0.05),
        (XGB | {"runtime": "native", "trees": 1000}, 512, 12_900, 0.08),
        (XGB | {"runtime": "booster", "trees": 500}, 1, 775.6, 0.05),
        (XGB | {"runtime": "onnxruntime", "trees": 500}, 1, 73.95, 0.08),
        (XGB | {"runtime": "onnxruntime", "trees": 1000}, 512, 21_716, 0.12),
        (XGB | {"runtime": "compiled", "trees": 100}, 64, 337.1, 0.05),
        (LGBM | {"runtime": "booster"}, 1, 109.7, 0.10),
        (LGBM | {"runtime": "onnxruntime"}, 64, 321.1, 0.15),
        ({"family": "linear-regression", "features": 100, "runtime": "native"}, 1, 298.3, 0.03),
        ({"family": "linear-regression", "features": 100, "runtime": "onnxruntime"}, 512, 63.4, 0.05),
        ({"family": "svm-rbf", "features": 20, "support_vectors": 1355, "runtime": "native"}, 512, 42_947, 0.08),
        (
            {"family": "mlp", "features": 20, "hidden_layers": (128, 64), "outputs": 2, "runtime": "onnxruntime"},
            64,
            95.3,
            0.10,
        ),
        ({"family": "gradient-boosting-catboost", "trees": 1000, "depth": 6, "runtime": "native"}, 64, 465.7, 0.08),
        (
            {
                "family": "k-nearest-neighbours-kdtree",
                "features": 10,
                "training_rows": 10_000,
                "runtime": "onnxruntime",
            },
            1,
            37_125,
            0.05,
        ),
    ],
)
def test_model_time_on_the_measured_host(fields, rows, measured_us, tolerance):
    assert host_us(**fields, rows_per_request=rows) == pytest.approx(measured_us, rel=tolerance)


def test_the_forest_costs_its_library_far_more_than_onnx_runtime_for_one_row():
    assert host_us(**FOREST, runtime="native") > 100 * host_us(**FOREST, runtime="onnxruntime")


@given(
    family=st.sampled_from(list(CATALOG.statistical_families)),
    rows=st.integers(1, 5000),
    more=st.integers(1, 5000),
)
def test_more_rows_cost_more_but_less_than_in_proportion(family, rows, more):
    for runtime in CATALOG.statistical_family(family).runtimes:
        few = host_us(family=family, runtime=runtime.id, rows_per_request=rows)
        many = host_us(family=family, runtime=runtime.id, rows_per_request=rows + more)
        assert few < many <= few * (rows + more) / rows


@given(rows=st.integers(1, 1000), trees=st.integers(1, 3000), depth=st.integers(1, 12))
def test_never_faster_than_two_node_visits_a_nanosecond(rows, trees, depth):
    """A visit is at least a load and a compare; 2 a nanosecond is above any core on rent without vector units."""
    for name in ("random-forest", "gradient-boosting-xgboost", "gradient-boosting-lightgbm"):
        _, _, size = parts(family=name, trees=trees, depth=depth)
        assert (
            host_us(family=name, trees=trees, depth=depth, rows_per_request=rows) * 1000 >= rows * size.work_units / 2
        )


def test_service_time_is_model_times_factors_plus_web_server():
    scenario, cost, size = parts(family="linear-regression", features=1, http_overhead_ms=0.5)
    speed = CPU_SPEEDS[0][1]
    service = service_time(scenario=scenario, cost=cost, size=size, speed=speed, sharing=1.5)
    rows_ms = service.host_model_ms - service.host_call_ms
    there = service.host_call_ms * speed.factor**cost.call_scaling + rows_ms * speed.factor**cost.loop_scaling
    assert service.mean_ms == pytest.approx(there * 1.5 + 0.5)
    assert 0.5 < service.low_ms < service.mean_ms < service.high_ms
    # At least as wide as the CPU factor alone; calls shrink faster than the factor does.
    assert cost.call_scaling > 1
    assert service.high_ms - 0.5 >= service.model_ms * speed.high / speed.factor * (1 - 1e-9)


def test_every_named_cpu_of_the_catalog_has_a_speed_and_every_range_holds_its_factor():
    for instance in CATALOG.instances.values():
        if instance.category == "cpu" and instance.cpu_type is not None:
            assert cpu_speed(instance) is not UNKNOWN_CPU, instance.cpu_type
    for speed in (*(s for _, s in CPU_SPEEDS), UNKNOWN_CPU):
        assert 0 < speed.low < speed.factor < speed.high


def test_cores_and_sharing():
    instances = CATALOG.instances
    assert physical_cores(instances["aws-c7i-2xlarge"]) == 4
    assert physical_cores(instances["aws-c7g-xlarge"]) == 4
    assert physical_cores(instances["gcp-c4a-standard-8"]) == 8  # Arm, cores not listed
    assert physical_cores(instances["lambda-cpu-4x-general"]) == 2  # x86, cores not listed
    assert sharing_factor(workers=3, cores=4) == 1.0
    assert sharing_factor(workers=8, cores=4) == SMT_SLOWDOWN


def test_burstable_machines_warn_with_the_amount_and_others_do_not():
    t3 = CATALOG.instances["aws-t3-medium"]
    assert "stays below" in (burst_warning(t3, vcpus_busy=0.3) or "")
    assert "$0.030 an hour" in (burst_warning(t3, vcpus_busy=1.0) or "")  # (1.0 - 2 x 0.2) x $0.05
    assert burst_warning(CATALOG.instances["aws-c7i-large"], vcpus_busy=1.0) is None
