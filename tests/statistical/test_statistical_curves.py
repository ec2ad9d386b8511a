"""Chart data: curves that rise, end before saturation, and agree with the plan."""

import numpy as np
import pytest

from sizing import catalog
from sizing.errors import InputError
from sizing.scenario import StatisticalScenario
from sizing.statistical import instances_curve, percentile_curve, plan

CATALOG = catalog.load()
SCENARIO = StatisticalScenario(requests_per_s=3000, p99_target_ms=8)


def test_percentiles_rise_with_load_and_stop_before_saturation():
    best = plan(SCENARIO, CATALOG).recommended
    found = percentile_curve(SCENARIO, CATALOG, best)
    for percentile in (found.p50_ms, found.p95_ms, found.p99_ms):
        assert np.all(np.isfinite(percentile))
        assert np.all(np.diff(percentile) >= -1e-9)
    assert np.all(found.p50_ms <= found.p95_ms)
    assert np.all(found.p95_ms <= found.p99_ms)
    assert found.loads_per_s[-1] == pytest.approx(0.98 * found.stable_below_per_s)
    assert found.capacity_per_s < found.stable_below_per_s
    at_demand = np.interp(found.demanded_per_s, found.loads_per_s, found.p99_ms)
    assert at_demand == pytest.approx(best.latency_ms["time_in_system"].p99, rel=0.02)


@pytest.mark.parametrize("p99_target_ms", [2.5, 4.0, 8.0, None])
def test_instances_curve_agrees_with_a_plan_at_each_load(p99_target_ms):
    scenario = SCENARIO.model_copy(update={"p99_target_ms": p99_target_ms})
    shown = next(d for d in plan(scenario, CATALOG).ranked if d.instance == "aws-c7i-xlarge")
    loads = [50.0, 700.0, 2300.0, 9100.0, 40_000.0]
    found = instances_curve(scenario, CATALOG, loads, deployment=shown)
    for load, count in zip(loads, found.instances, strict=True):
        at_load = plan(scenario.model_copy(update={"requests_per_s": load}), CATALOG)
        same = next(d for d in at_load.ranked if d.instance == shown.instance)
        assert count == same.instances
    assert found.usd_per_hour == pytest.approx(found.instances * shown.cost.usd_per_instance_hour)


def test_instances_curve_takes_the_recommended_kind():
    found = instances_curve(SCENARIO, CATALOG, [10.0, 100.0])
    assert found.instance_type == plan(SCENARIO, CATALOG).recommended.instance_type


def test_no_curve_without_a_deployment():
    with pytest.raises(InputError, match="some instance serves"):
        instances_curve(SCENARIO.model_copy(update={"max_usd_per_month": 0.01}), CATALOG, [10.0])
