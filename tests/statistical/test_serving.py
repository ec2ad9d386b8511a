"""From request to reply: payload, worker models, threads, CPU limits, batches and warm-up, by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing import catalog
from sizing.batch_simulation import simulate_batcher
from sizing.cpu import cpu_speed
from sizing.errors import InputError
from sizing.plan import Deployment
from sizing.scenario import StatisticalScenario
from sizing.statistical import (
    instances_curve,
    micro_batching,
    percentile_curve,
    plan,
    processor_sharing,
    warm_up,
    workers,
)
from sizing.statistical.payload import FORMATS, gbit_per_s, payload_of
from sizing.statistical.queues import BatchLaw, Group, Traffic, closed_load
from sizing.statistical.sizes import sized

CATALOG = catalog.load()
FORMS = st.sampled_from(["json", "csv", "binary"])
SLOW = {"family": "random-forest", "trees": 200, "outputs": 2, "requests_per_s": 2000.0, "p99_target_ms": 300.0}


def best(**fields: object) -> Deployment:
    found = plan(StatisticalScenario(**fields), CATALOG).recommended  # type: ignore[arg-type]
    assert found is not None
    return found


def on(instance: str, **fields: object) -> Deployment:
    return best(instances=(instance,), **fields)


def p99(deployment: Deployment) -> float:
    found = deployment.latency_ms["time_in_system"].p99
    assert found is not None
    return found


# Payload


def test_default_payload_by_hand() -> None:
    """100 features: 1,120 bytes at 6.6 ns and one value back at 22.5 ns, over the measured core's factor of 0.44."""
    deployment = best()
    host_ms = (100 * 11.2 * 6.6 + 1 * 11.2 * 22.5) / 0.44 / 1e6
    assert deployment.extra["payload_ms"] == pytest.approx(host_ms * float(deployment.extra["cpu_factor"]), rel=1e-9)
    assert deployment.extra["request_bytes"] == pytest.approx(1520)
    parts = ("model_latency_ms", "http_overhead_ms", "payload_ms", "threads_ms")
    assert deployment.extra["service_ms"] == pytest.approx(sum(float(deployment.extra[name] or 0) for name in parts))
    assert float(deployment.extra["payload_ms"]) < 0.02 * float(deployment.extra["service_ms"])


@given(features=st.integers(1, 5000), rows=st.integers(1, 500), outputs=st.integers(1, 50))
def test_text_is_never_lighter_nor_faster_than_binary(features: int, rows: int, outputs: int) -> None:
    fields = {"features": features, "rows_per_request": rows, "outputs": outputs}
    json, csv, binary = (
        payload_of(StatisticalScenario(payload_format=form, **fields)) for form in ("json", "csv", "binary")
    )
    for text in (json, csv):
        assert text.host_ms > binary.host_ms
        assert text.request_bytes > binary.request_bytes


@given(form=FORMS, features=st.integers(1, 2000))
def test_a_size_given_counts_in_place_of_the_features(form: str, features: int) -> None:
    body = features * FORMATS[form].bytes_a_value
    given_size = StatisticalScenario(payload_format=form, features=1, request_kib=body / 1024)
    computed = StatisticalScenario(payload_format=form, features=features)
    assert payload_of(given_size).request_bytes == pytest.approx(payload_of(computed).request_bytes)
    assert payload_of(given_size).parse_ms == pytest.approx(payload_of(computed).parse_ms)


def test_network_sets_the_count_where_requests_are_large() -> None:
    """1 MiB binary: 0.75 Gbit/s x 0.8 carries 71.5 a second; 500 need 7 instances, though the CPU is hardly busy."""
    fields = {"payload_format": "binary", "request_kib": 1024.0, "requests_per_s": 500.0, "p99_target_ms": 100.0}
    instance = CATALOG.instances["aws-c7i-large"]
    assert instance.network_gbps_baseline is not None
    carries = instance.network_gbps_baseline * 1e9 * 0.8 / 8 / (1024 * 1024 + 400)
    deployment = on(instance.id, **fields)
    assert deployment.instances == -(-500 // carries)
    assert deployment.binding_constraint == "network"
    assert any("Gbit/s of its baseline" in text for text in deployment.warnings)
    load = payload_of(StatisticalScenario(**fields))
    assert gbit_per_s(load, 500 / deployment.instances) <= 0.8 * instance.network_gbps_baseline * (1 + 1e-9)


# Worker models


def test_event_loops_are_queues_of_their_own_and_never_faster_than_a_shared_one() -> None:
    fields = {"requests_per_s": 3000.0, "p99_target_ms": 20.0}
    shared, split = on("aws-m7g-2xlarge", **fields), on("aws-m7g-2xlarge", worker_model="async", **fields)
    assert split.instances >= shared.instances
    assert split.extra["queues_per_instance"] == split.extra["workers_per_instance"] == 8
    same = on("aws-m7g-2xlarge", worker_model="async", workers_per_instance=1, requests_per_s=100.0)
    assert p99(same) == p99(on("aws-m7g-2xlarge", workers_per_instance=1, requests_per_s=100.0))


def test_thread_pool_as_it_was_measured() -> None:
    """18.8 ms a request (forest and web server), 28 requests/s: mean 65.9 ms, p99 301 ms; overload at 43.6/s. Own, 2026-11."""
    busy_ms = 18.8 * workers.SWITCHING_FACTOR
    load = 28 * busy_ms / 1000
    assert load == pytest.approx(0.66, abs=0.01)
    assert busy_ms / (1 - load) == pytest.approx(65.9, rel=0.07)
    found = processor_sharing.quantiles(loads=np.array([load]), cv=0.2, shares=np.array([0.99]))[0, 0] * busy_ms
    assert found == pytest.approx(301, rel=0.10)
    assert 43.6 * busy_ms / 1000 > 1


def test_no_load_no_wait_and_more_load_never_faster() -> None:
    loads = np.array([0.0, 1e-6, 0.3, 0.6, 0.9, 0.99, 1.0, 1.5])
    shares = np.array([0.5, 0.95, 0.99])
    for cv in (0.0, 0.3, 1.0, 2.0):
        times = processor_sharing.quantiles(loads=loads, cv=cv, shares=shares)
        alone = processor_sharing.service_law("gamma" if cv <= 1 else "lognormal", cv).quantile(shares)
        assert times[0] == pytest.approx(alone, rel=0.03)
        assert np.all(np.diff(times[:6], axis=0) >= -1e-9)
        assert np.all(np.isinf(times[6:]))


def test_users_of_thread_pools_are_those_of_the_exponential_queue() -> None:
    fields = {"concurrency": 40, "requests_per_s": None, "think_time_s": 0.5, "p99_target_ms": 200.0}
    deployment = on("aws-c7g-xlarge", worker_model="thread_pool", workers_per_instance=1, **fields)
    service = float(deployment.extra["service_ms"])
    rate, _ = closed_load(users=40 // deployment.instances, pause=500 / service, workers=1, cv=1.0)
    assert deployment.throughput.requests_per_s.demanded == pytest.approx(
        deployment.instances * rate / service * 1000, rel=0.02
    )


@settings(max_examples=15, deadline=None)
@given(model=st.sampled_from(["processes", "async", "thread_pool"]), count=st.integers(1, 7))
def test_more_workers_never_need_more_instances(model: str, count: int) -> None:
    fields = {"worker_model": model, "requests_per_s": 900.0, "p99_target_ms": 60.0}
    few = on("aws-m7g-2xlarge", workers_per_instance=count, **fields)
    more = on("aws-m7g-2xlarge", workers_per_instance=count + 1, **fields)
    assert more.instances <= few.instances


# Threads and CPU limits


def test_a_limit_takes_cores_away_and_names_the_trap() -> None:
    whole, limited = (
        on("aws-c7i-4xlarge", requests_per_s=8000.0),
        on("aws-c7i-4xlarge", requests_per_s=8000.0, cpu_limit_vcpus=4),
    )
    assert limited.extra["workers_per_instance"] == 4
    assert limited.instances > whole.instances
    (said,) = [text for text in limited.warnings if "libraries count the 16" in text]
    assert "OMP_NUM_THREADS=1" in said
    assert "xgboost#7653" in said
    other = on("aws-c7i-4xlarge", cpu_limit_vcpus=4, runtime="onnxruntime")
    assert any("intra_op_num_threads = 1" in text for text in other.warnings)
    assert not [text for text in whole.warnings if "libraries" in text]


def test_half_a_vcpu_takes_twice_as_long() -> None:
    whole, half = (
        on("aws-c7i-large", requests_per_s=50.0),
        on("aws-c7i-large", requests_per_s=50.0, cpu_limit_vcpus=0.5),
    )
    assert half.extra["service_ms"] == pytest.approx(2 * float(whole.extra["service_ms"]))
    assert any("50 ms of each 100 ms" in text for text in half.warnings)


def test_threads_beyond_the_cores_cost_what_was_measured() -> None:
    """4 workers x 8 threads on 4 cores: 7 too many a worker, 0.0227 ms each on the host."""
    fields = {"requests_per_s": 200.0, "workers_per_instance": 4}
    one, many = on("aws-c7g-xlarge", **fields), on("aws-c7g-xlarge", threads_per_worker=8, **fields)
    lost = 7 * 0.010 / 0.44 * float(many.extra["cpu_factor"])
    assert many.extra["threads_ms"] == pytest.approx(lost)
    assert float(many.extra["service_ms"]) - float(one.extra["service_ms"]) == pytest.approx(lost)
    assert any("4 workers x 8 threads = 32 on 4 physical cores" in text for text in many.warnings)
    assert on("aws-c7g-xlarge", threads_per_worker=2).extra["workers_per_instance"] == 2


# Micro-batching


def test_off_is_the_answer_without() -> None:
    plain = plan(StatisticalScenario(), CATALOG)
    for fields in (
        {"micro_batch_rows": 1, "micro_batch_delay_ms": 5.0},
        {"micro_batch_rows": 7, "rows_per_request": 4},
    ):
        off = plan(StatisticalScenario(**fields), CATALOG)
        other = plan(StatisticalScenario(rows_per_request=fields.get("rows_per_request", 1)), CATALOG)
        assert off.recommended.latency_ms == other.recommended.latency_ms
    assert plain.recommended.extra["largest_batch_requests"] is None


def test_batches_pay_where_the_call_is_dear() -> None:
    one_by_one, gathered = best(**SLOW), best(micro_batch_rows=16, **SLOW)
    assert gathered.cost.usd_per_hour < 0.4 * one_by_one.cost.usd_per_hour
    call, each = float(gathered.extra["batch_call_ms"]), float(gathered.extra["batch_each_ms"])
    assert call > 10 * each
    assert gathered.extra["service_ms"] == pytest.approx(call / 16 + each)


def test_batches_of_calls_that_spread_widely_are_refused_at_the_field() -> None:
    assert best(micro_batch_rows=16, service_cv=0.5, **SLOW).extra["batch_call_ms"]
    with pytest.raises(InputError, match=r"micro_batch_rows.*service CV above 0\.5"):
        plan(StatisticalScenario(micro_batch_rows=16, service_cv=0.6), CATALOG)


def test_users_with_batches_are_refused_at_the_field() -> None:
    with pytest.raises(InputError, match="micro_batch_rows"):
        plan(StatisticalScenario(concurrency=8, micro_batch_rows=8), CATALOG)


@pytest.mark.parametrize("delay", [0.0, 4.0])
@pytest.mark.parametrize("load", [0.2, 0.6, 0.8])
def test_percentiles_of_batches_against_the_event_simulation(load: float, delay: float) -> None:
    law = BatchLaw(call_ms=6.0, each_ms=0.9, largest=16, delay_ms=delay)
    run = simulate_batcher(
        t0_ms=6.0,
        k_ms=0.9,
        max_batch=16,
        rate_per_ms=load / micro_batching.service_ms(law),
        delay_ms=delay,
        requests=120_000,
    )
    found = micro_batching.times_ms([law], [load])[0]
    for value, percentile in zip(found, (50, 95, 99), strict=True):
        assert value == pytest.approx(run.percentile_ms(percentile), rel=0.10)


@settings(max_examples=25, deadline=None)
@given(
    rate=st.floats(20.0, 20_000.0),
    largest=st.sampled_from([2, 8, 32]),
    delay=st.sampled_from([0.0, 3.0]),
    limit=st.floats(8.0, 80.0),
    call=st.floats(0.2, 6.0),
)
def test_counts_of_batches_keep_the_limit_and_one_less_does_not(
    rate: float, largest: int, delay: float, limit: float, call: float
) -> None:
    law = BatchLaw(call_ms=call, each_ms=0.8, largest=largest, delay_ms=delay)
    group = Group(service_ms=micro_batching.service_ms(law), workers=1, queues=2, batch=law)
    found = sized(
        groups=[group],
        traffic=Traffic(requests_per_s=rate, users=None, think_time_ms=0.0),
        cv=0.3,
        utilization_cap=0.7,
        limits_ms=[None, None, limit],
        spare=0,
    )[group]
    if found.instances is None:
        assert micro_batching.times_ms([law], [0.0])[0, 2] + delay > limit
        return
    load = rate * group.service_ms / 1000 / 2
    assert load / found.instances <= 0.7 * (1 + 1e-9)
    assert micro_batching.times_ms([law], [load / found.instances])[0, 2] <= limit
    if found.instances > 1 and load / (found.instances - 1) <= 0.7:
        assert micro_batching.times_ms([law], [load / (found.instances - 1)])[0, 2] > limit


@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_curves_of_batches_agree_with_the_plan(delay: float) -> None:
    scenario = StatisticalScenario(micro_batch_rows=16, micro_batch_delay_ms=delay, **SLOW)  # type: ignore[arg-type]
    shown = plan(scenario, CATALOG).recommended
    assert shown is not None
    curve = percentile_curve(scenario, CATALOG, shown)
    assert np.interp(curve.demanded_per_s, curve.loads_per_s, curve.p99_ms) == pytest.approx(p99(shown), rel=0.05)
    counts = instances_curve(scenario, CATALOG, [2000.0], deployment=shown)
    assert counts.instances[0] == shown.instances


def test_a_burstable_machine_bills_the_cpu_that_is_used() -> None:
    """Batches of one at a low load keep the CPU busy for the whole call; half a vCPU stretches a reply, not the work."""
    law = BatchLaw(call_ms=8.0, each_ms=1.0, largest=64, delay_ms=0.0)
    assert micro_batching.busy_factor(law, 0.0) == pytest.approx(9.0 / (8.0 / 64 + 1.0))
    assert 1.0 < micro_batching.busy_factor(law, 0.9) < 1.15
    fields = {"requests_per_s": 650.0, "family": "random-forest", "runtime": "onnxruntime", "outputs": 2}
    limited, whole = on("aws-t3-medium", cpu_limit_vcpus=0.9, **fields), on("aws-t3-medium", **fields)
    assert limited.utilization == pytest.approx(whole.utilization / 0.9)
    assert limited.cost.usd_per_hour == pytest.approx(whole.cost.usd_per_hour)
    assert whole.cost.usd_per_hour > 0.0416  # above the baseline, so that the surplus counts


# Warm-up


def test_seconds_to_serve_add_up_and_a_known_load_time_counts() -> None:
    deployment = best()
    assert float(deployment.extra["seconds_to_serve_low"]) < float(deployment.extra["seconds_to_serve"])
    cost = CATALOG.statistical_family("random-forest").runtime("native")
    assert cost is not None
    factor = cpu_speed(CATALOG.instances["aws-c7g-xlarge"]).factor
    guessed = warm_up.seconds_to_serve(cost=cost, file_bytes=500e6, cpu_factor=factor)
    known = warm_up.seconds_to_serve(cost=cost, file_bytes=500e6, cpu_factor=factor, load_ms=4000.0)
    assert guessed.parts["model"][1] == pytest.approx(factor * (0.01 + 10.0))
    assert known.parts["model"] == pytest.approx((2 * factor, 4 * factor, 8 * factor))
    assert guessed.usual_s - known.usual_s == pytest.approx(factor * 6.01)


def test_the_working_shows_each_part_with_numbers() -> None:
    found = plan(StatisticalScenario(worker_model="async", micro_batch_rows=8), CATALOG)
    steps = {step.quantity: step for step in found.working}
    for name in ("Request and reply", "Parsing and writing", "Queues on an instance", "Time of a request in full batches",
                 "Network of an instance", "Time until a new instance serves"):  # fmt: skip
        assert any(digit in steps[name].with_numbers for digit in "0123456789"), name
    assert "queue of batches" in next(step.formula for name, step in steps.items() if name.endswith("time in system"))


@pytest.mark.parametrize("delay_ms", [0.0, 2.0])
def test_percentiles_of_batches_are_in_order_to_the_last_digit(delay_ms):
    laws = [BatchLaw(c, e, 256, delay_ms) for c in (0.1, 0.37, 1.0) for e in (0.05, 0.9, 2.37)]
    for load in (0.001, 0.01, 0.1, 0.3, 0.6):
        times = micro_batching.times_ms(laws, [load] * len(laws))
        assert (times[:, 0] <= times[:, 1]).all()
        assert (times[:, 1] <= times[:, 2]).all()
