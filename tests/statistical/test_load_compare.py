"""A load test beside the prediction: what is found alike, and what is said of what differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sizing import catalog
from sizing.errors import InputError
from sizing.scenario import StatisticalScenario
from sizing.statistical import plan
from sizing.statistical.load_compare import (
    Setup,
    compared,
    machine_of,
    measurement,
    predicted,
    service_on,
    workers_on,
)
from sizing.statistical.load_records import LoadRecord

CATALOG = catalog.load()
BASE = StatisticalScenario()
C7I = "aws-c7i-large"
SETUP = Setup(C7I, 1, 1, 1, "open")


def as_predicted(rate: float, setup: Setup = SETUP, scale: float = 1.0, **more: object) -> LoadRecord:
    """A record that says what is predicted, or a multiple of it."""
    bare = LoadRecord("load", "open_loop", loop="open", requests=100_000, requests_per_s=rate)
    times = predicted(BASE, CATALOG, bare, setup)
    found = replace(
        bare,
        mean_ms=times.mean_ms * scale,
        p50_ms=times.p50_ms * scale,
        p95_ms=times.p95_ms * scale,
        p99_ms=times.p99_ms * scale,
    )
    return replace(found, **more)


def said(record: LoadRecord, setup: Setup = SETUP) -> str:
    (row,) = compared(BASE, CATALOG, [record], [setup])
    return " ".join(row.causes)


def test_the_prediction_is_that_of_the_plan() -> None:
    best = next(d for d in plan(BASE, CATALOG).ranked if d.instance == C7I)
    record = LoadRecord("load", "open_loop", requests_per_s=best.throughput.requests_per_s.demanded)
    setup = Setup(C7I, best.instances, best.replicas // best.instances, 1, "open")
    times = predicted(BASE, CATALOG, record, setup)
    assert times.p99_ms == pytest.approx(best.latency_ms["time_in_system"].p99, rel=1e-3)
    assert times.utilization == pytest.approx(best.utilization, rel=1e-6)
    assert times.most_per_s * times.utilization == pytest.approx(best.throughput.requests_per_s.demanded)
    (row,) = compared(BASE, CATALOG, [record], [setup])
    assert row.usd_per_hour == pytest.approx(best.cost.usd_per_hour)
    assert row.usd_per_inference == pytest.approx(best.cost.usd_per_1k_requests / 1000.0, rel=1e-6)


def test_what_is_as_predicted_has_no_cause() -> None:
    assert said(as_predicted(300.0)) == ""


def test_a_measurement_of_what_is_predicted_gives_the_predicted_service_time() -> None:
    found, how = measurement(BASE, [as_predicted(300.0)], [SETUP])
    assert how.service_ms == pytest.approx(service_on(BASE, CATALOG, SETUP).mean_ms, rel=0.01)
    assert found.where == C7I
    assert found.timed == "request"


def test_recalibrated_with_a_load_another_load_is_predicted_by_it() -> None:
    """The server is twice as slow as predicted: measured at one load, the other one comes out right."""
    slow = 2.0 * service_on(BASE, CATALOG, SETUP).mean_ms
    low, high = (_mgc_record(rate, slow) for rate in (150.0, 300.0))
    found, how = measurement(BASE, [low], [SETUP])
    after = BASE.model_copy(update={"measured_service": found.text(), "service_cv": how.cv})
    times = predicted(after, CATALOG, high, SETUP)
    assert times.p99_ms == pytest.approx(high.p99_ms, rel=0.1)
    assert predicted(BASE, CATALOG, high, SETUP).p99_ms < 0.5 * (high.p99_ms or 0.0)


def _mgc_record(rate: float, service: float) -> LoadRecord:
    from sizing.queueing import mgc

    found = mgc(arrival_per_s=rate, service_mean_ms=service, service_cv=0.3, servers=1)
    return LoadRecord(
        "load", "open_loop", loop="open", requests=100_000, requests_per_s=rate, mean_ms=found.time_in_system_mean_ms,
        p50_ms=found.p50_ms, p95_ms=found.p95_ms, p99_ms=found.p99_ms,
    )  # fmt: skip


def test_a_short_test_is_named_and_within_chance() -> None:
    record = as_predicted(650.0, requests=500)
    assert "The test was short: 500 requests" in said(replace(record, p99_ms=0.7 * (record.p99_ms or 0)))
    assert "within that" in said(replace(record, p99_ms=0.8 * (record.p99_ms or 0)))


def test_a_late_generator_failures_and_drops_are_named() -> None:
    record = as_predicted(300.0)
    assert "late" in said(replace(record, late_p99_ms=record.p50_ms))
    assert "late" not in said(replace(record, late_p99_ms=0.01))
    assert "failed" in said(replace(record, failures=5000))
    assert "dropped" in said(replace(record, dropped=300))


def test_slower_service_a_longer_tail_and_even_arrivals_are_named() -> None:
    assert "service itself is slower" in said(as_predicted(300.0, scale=1.8))
    assert "service itself is faster" in said(as_predicted(300.0, scale=0.5))
    record = as_predicted(300.0)
    assert "varies more" in said(replace(record, p99_ms=3 * (record.p99_ms or 0)))
    assert "evenly spaced" in said(record, replace(SETUP, loop="even"))
    assert "users wait" in said(replace(record, users=4), replace(SETUP, loop="closed", users=4))


def test_fewer_workers_than_stated_are_seen_in_the_mean() -> None:
    """A server of four workers of which one runs: the mean is that of one."""
    big = Setup("aws-c7i-2xlarge", 1, 4, 1, "open")
    service = service_on(BASE, CATALOG, big).mean_ms
    rate = 0.6 / service * 1000.0
    alone = _mgc_record(rate, service)
    assert "1 worker better than 4" in said(alone, big)
    assert "better than" not in said(as_predicted(rate, big), big)


def test_a_load_beyond_prediction_says_so() -> None:
    record = LoadRecord("load", "locust", requests=5000, requests_per_s=5000.0, mean_ms=3.0, p50_ms=2.0)
    assert "cannot be kept up with" in said(record)


def test_machines_are_found_by_id_by_type_and_by_their_sagemaker_name() -> None:
    def named(instance: str | None) -> str | None:
        return machine_of(LoadRecord("x", "k6", instance=instance), CATALOG)

    assert named("aws-c7i-large") == "aws-c7i-large"
    assert named("c7i.large") == "aws-c7i-large"
    assert named("ml.c5.xlarge") == "sagemaker-ml-c5-xlarge"
    assert named("ml.c7i.large") == "aws-c7i-large"
    assert named("ml.p3.2xlarge") is None
    assert named(None) is None
    assert workers_on(BASE, CATALOG, "aws-c7i-2xlarge") == 4
    assert workers_on(BASE, CATALOG, "host-0.5") == 1


def test_loads_of_several_machines_make_no_one_measurement() -> None:
    record = as_predicted(300.0)
    with pytest.raises(InputError, match="one machine"):
        measurement(BASE, [record, record], [SETUP, replace(SETUP, machine="aws-c7i-xlarge")])


@pytest.mark.parametrize("machine", ["host-", "host-0", "host-x", "nowhere"])
def test_a_machine_that_nobody_knows_is_refused(machine: str) -> None:
    with pytest.raises(InputError):
        predicted(BASE, CATALOG, as_predicted(300.0), replace(SETUP, machine=machine))


def test_rows_of_several_sizes_make_a_point_each() -> None:
    small, large = as_predicted(100.0), as_predicted(100.0, replace(SETUP, rows=50))
    found, _ = measurement(BASE, [small, large], [SETUP, replace(SETUP, rows=50)])
    assert found.rows == (1, 50)
    assert found.times_ms[1] > found.times_ms[0]


@pytest.mark.parametrize("worker_model", ["async", "thread_pool"])
def test_the_prediction_is_that_of_the_plan_where_each_worker_is_a_queue(worker_model: str) -> None:
    scenario = StatisticalScenario(
        instances=("aws-c7i-2xlarge",), requests_per_s=1500, p99_target_ms=200, worker_model=worker_model
    )
    best = plan(scenario, CATALOG).recommended
    setup = Setup(best.instance, best.instances, best.replicas // best.instances, 1, "open")
    record = LoadRecord("load", "open_loop", loop="open", requests=100_000, requests_per_s=1500.0)
    times = predicted(scenario, CATALOG, record, setup)
    assert setup.workers > 1
    assert times.utilization == pytest.approx(best.utilization, rel=1e-6)
    assert times.p99_ms == pytest.approx(best.latency_ms["time_in_system"].p99, rel=1e-3)


def test_a_test_of_event_loops_is_inverted_as_queues_of_their_own() -> None:
    scenario = StatisticalScenario(worker_model="async")
    setup = Setup("aws-c7i-2xlarge", 1, 4, 1, "open")
    bare = LoadRecord("load", "open_loop", loop="open", requests=100_000, requests_per_s=2500.0)
    times = predicted(scenario, CATALOG, bare, setup)
    record = replace(bare, mean_ms=times.mean_ms, p50_ms=times.p50_ms, p95_ms=times.p95_ms, p99_ms=times.p99_ms)
    _, how = measurement(scenario, [record], [setup])
    assert how.service_ms == pytest.approx(service_on(scenario, CATALOG, setup).mean_ms, rel=0.02)


def test_an_own_model_on_a_machine_by_factor_has_the_payload_of_its_own_columns() -> None:
    own = StatisticalScenario(
        custom_model='{"summary":1,"name":"m","library":"XGBoost","format":"xgboost-json",'
        '"family":"gradient-boosting-xgboost","features":10,"outputs":1,"trees":2,"nodes":6,"leaves":4,"max_depth":1,'
        '"visited_nodes_per_row":4.0,"file_bytes":3000}',
        features=1000,
    )
    typed = StatisticalScenario(features=10, trees=2, depth=1)
    on = Setup("host-0.5", 1, 1, 500, "open")
    assert service_on(own, CATALOG, on).payload_ms == service_on(typed, CATALOG, on).payload_ms > 0.0
