"""Serverless services and their break-even: bills by hand, the crossing to the digit, and what must never be cheaper."""

from __future__ import annotations

from math import nextafter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sizing import catalog
from sizing.scenario import StatisticalScenario
from sizing.serverless_rows import ServerlessSize
from sizing.statistical import plan
from sizing.statistical.break_even import AlwaysOn, BreakEven, always_on, always_on_usd_per_month, break_even
from sizing.statistical.candidate import model_of
from sizing.statistical.measured import fingerprint
from sizing.statistical.queues import MAX_INSTANCES
from sizing.statistical.serverless import SECONDS_PER_MONTH, Bill, option_at, options

CATALOG = catalog.load()
LAMBDA = CATALOG.serverless["aws-lambda-x86"]
RUN = CATALOG.serverless["gcp-cloud-run"]
TOY = LAMBDA.model_copy(update={"usd_per_gib_s": 1e-5, "usd_per_million_requests": 0.0})
TOY_BILL = Bill(TOY, ServerlessSize(memory_mib=1024, vcpus=1.0), busy_s=0.0095, start_s=0.0, payload_bytes=0)
MACHINE = CATALOG.instance("aws-c7i-large")


def toy(per_instance_per_s: float, usd_per_hour: float = 0.05, spare: int = 0) -> AlwaysOn:
    return AlwaysOn(MACHINE, usd_per_hour, per_instance_per_s, busy_s=0.001, spare=spare)


def at(load: float) -> np.ndarray:
    return np.array([load])


def test_a_bill_by_hand() -> None:
    # 9.5 ms are billed as 10 ms: 1 GiB x 0.01 s x 1e-5 = 1e-7 USD a request; 100/s for 730 h: 262.8 million of them.
    assert TOY_BILL.billed_s == pytest.approx(0.010)
    assert float(TOY_BILL.usd_per_month(at(100.0))[0]) == pytest.approx(26.28, rel=1e-9)


def test_lambda_by_hand() -> None:
    # 512 MiB, 4.2 ms billed as 5 ms: 0.5 x 0.005 x 1.66667e-5 + 0.2e-6 USD = 0.24167 USD a million.
    bill = Bill(LAMBDA, ServerlessSize(memory_mib=512, vcpus=0.2894), busy_s=0.0042, start_s=0.0, payload_bytes=1000)
    assert float(bill.usd_per_month(at(1.0))[0]) / SECONDS_PER_MONTH * 1e6 == pytest.approx(0.241667, rel=1e-5)


def test_starts_are_billed() -> None:
    # A request every 600 s with a time-out of 600 s: exp(-1) of them pay 2 s more at 1e-5 USD/s.
    bill = Bill(TOY, ServerlessSize(memory_mib=1024, vcpus=1.0), busy_s=0.0095, start_s=2.0, payload_bytes=0)
    more = float(bill.usd_per_month(at(1 / 600))[0] - TOY_BILL.usd_per_month(at(1 / 600))[0])
    assert more == pytest.approx(SECONDS_PER_MONTH / 600 * 0.36788 * 2.0 * 1e-5, rel=1e-3)


def test_cloud_run_shares_what_is_paid() -> None:
    size = ServerlessSize(memory_mib=1024, vcpus=1.0)
    bill = Bill(RUN, size, busy_s=0.01, start_s=0.0, payload_bytes=0)
    assert bill.billed_s == pytest.approx(0.1)
    second = 1.0 * 2.5e-6 + 1.0 * 2.4e-5
    apart = float(bill.usd_per_month(at(0.001))[0]) / SECONDS_PER_MONTH / 0.001
    assert apart == pytest.approx(0.1 * second + 0.4e-6, rel=1e-3)
    together = float(bill.usd_per_month(at(5000.0))[0]) / SECONDS_PER_MONTH / 5000.0
    assert together == pytest.approx(0.01 * second + 0.4e-6, rel=0.1)


def test_break_even_solved_by_hand() -> None:
    # 0.05 USD/h / 3600 s / 1e-7 USD a request = 138.888... requests/s, within the first instance of 500/s.
    found = break_even(TOY_BILL, [toy(500.0)])
    assert found.first_per_s == pytest.approx(0.05 / 3600 / 1e-7, rel=1e-12)
    assert found.last_per_s == found.first_per_s


def test_break_even_with_steps_back_by_hand() -> None:
    # One instance takes 140/s, so each step is won at n x 138.89 and lost again at n x 140, until the service is dearer
    # even just after a step: (n - 1) x 140 x 1e-7 >= n x 0.05 / 3600 from n = 126 on. The last is that of n = 125.
    found = break_even(TOY_BILL, [toy(140.0)])
    assert found.first_per_s == pytest.approx(138.8888889, rel=1e-9)
    assert found.last_per_s == pytest.approx(125 * 138.8888889, rel=1e-9)


def test_an_instance_too_small_never_breaks_even() -> None:
    assert break_even(TOY_BILL, [toy(100.0)]) == BreakEven(None, None)
    assert break_even(TOY_BILL, []) == BreakEven(None, None)


def test_a_spare_doubles_the_first_step() -> None:
    assert break_even(TOY_BILL, [toy(500.0, spare=1)]).first_per_s == pytest.approx(2 * 138.8888889, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    busy_s=st.floats(0.001, 0.5),
    kinds=st.lists(st.tuples(st.floats(1.0, 2000.0), st.floats(0.01, 2.0)), min_size=1, max_size=4),
    service=st.sampled_from([TOY, LAMBDA, RUN]),
    spare=st.integers(0, 2),
)
def test_just_below_serverless_is_no_dearer_and_just_above_always_on_is_cheaper(busy_s, kinds, service, spare):
    bill = Bill(service, ServerlessSize(memory_mib=1024, vcpus=1.0), busy_s=busy_s, start_s=1.0, payload_bytes=500)
    fleet = [toy(one, price, spare) for one, price in kinds]
    found = break_even(bill, fleet)
    for load in {found.first_per_s, found.last_per_s} - {None}:
        # The very load found, as a step of always-on may follow within a trace of it.
        below, there = at(nextafter(load, 0.0) * (1 - 1e-8)), at(load)
        assert bill.usd_per_month(below)[0] <= always_on_usd_per_month(fleet, below)[0] * (1 + 1e-7)
        assert bill.usd_per_month(there)[0] >= always_on_usd_per_month(fleet, there)[0] * (1 - 1e-9)
    if found.first_per_s is not None:
        for load in np.geomspace(1e-3, found.first_per_s * 0.999, 40):
            assert bill.usd_per_month(at(load))[0] <= always_on_usd_per_month(fleet, at(load))[0] * (1 + 1e-9)
    if found.last_per_s is not None:
        most = MAX_INSTANCES * max(kind.per_instance_per_s for kind in fleet)  # no kind serves more than that
        for load in np.geomspace(
            found.last_per_s * 1.001, max(min(found.last_per_s * 100, most), found.last_per_s * 1.001), 40
        ):
            assert bill.usd_per_month(at(load))[0] >= always_on_usd_per_month(fleet, at(load))[0] * (1 - 1e-9)


def test_always_on_leaves_out_only_what_is_never_cheapest() -> None:
    scenario = StatisticalScenario(requests_per_s=900.0)
    ranked = plan(scenario, CATALOG).ranked
    kept = always_on(scenario, CATALOG, ranked)
    loads = np.geomspace(0.1, 1e5, 300)
    least = always_on_usd_per_month(kept, loads)
    everything = []
    for d in ranked:
        price = CATALOG.instance(d.instance).price("us", "on_demand")
        one = float(d.extra["capacity_requests_per_s_per_instance"])
        everything.append(
            AlwaysOn(CATALOG.instance(d.instance), price.usd_per_hour, one, sum_ms(d) / 1000.0, 0).usd_per_month(loads)
        )
    assert least == pytest.approx(np.min(everything, axis=0))
    # At the demanded load the cheapest always-on is the plan itself.
    here = always_on_usd_per_month(kept, at(900.0))[0]
    assert here == pytest.approx(ranked[0].cost.usd_per_month, rel=1e-6)


def sum_ms(deployment):
    return float(deployment.extra["service_ms"])


def test_less_than_a_vcpu_takes_longer_and_more_than_one_does_not_help() -> None:
    scenario = StatisticalScenario(family="random-forest", trees=300, p99_target_ms=None)
    model = model_of(scenario, CATALOG)
    by_size = {s.memory_mib: option_at(scenario, model, LAMBDA, s, 1.0) for s in LAMBDA.sizes}
    assert by_size[512].duration_ms == pytest.approx(by_size[1769].duration_ms / 0.2894, rel=1e-9)
    assert by_size[10240].duration_ms == by_size[1769].duration_ms


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    family=st.sampled_from(["random-forest", "gradient-boosting-xgboost", "linear-regression"]),
    trees=st.integers(1, 800),
    rows=st.sampled_from([1, 20, 400]),
    load=st.floats(0.001, 500.0),
)
def test_more_memory_than_one_vcpu_is_never_cheaper(family, trees, rows, load):
    scenario = StatisticalScenario(family=family, trees=trees, rows_per_request=rows, p99_target_ms=None)
    model = model_of(scenario, CATALOG)
    for service in (LAMBDA, CATALOG.serverless["aws-lambda-arm"]):
        full = [s for s in service.sizes if s.vcpus >= 1.0]
        costs = [option_at(scenario, model, service, s, load).usd_per_month for s in full]
        assert costs == sorted(costs)


def test_what_stands_in_the_way_is_said() -> None:
    def reasons(**fields):
        scenario = StatisticalScenario(**{"p99_target_ms": None, **fields})
        return {o.service.id: o.because for o in options(scenario, CATALOG, requests_per_s=1.0)}

    assert set(reasons().values()) == {None}
    wide = reasons(features=10_000, rows_per_request=50)
    assert "over the 4 MiB allowed" in wide["sagemaker-serverless"]
    assert wide["gcp-cloud-run"] is None
    large = reasons(family="random-forest", trees=4000, depth=14)
    assert large["azure-functions-flex"] is not None
    assert large["azure-functions-flex"].startswith("needs ")
    late = reasons(p99_target_ms=2.0)
    assert all(because is not None and "p99" in because for because in late.values())


def test_rare_requests_meet_starts_and_miss_a_limit_of_milliseconds() -> None:
    scenario = StatisticalScenario(requests_per_s=0.001, p99_target_ms=100.0)
    rare = options(scenario, CATALOG, requests_per_s=0.001)
    often = options(scenario, CATALOG, requests_per_s=5.0)
    assert all(o.because is not None and o.latency_ms[99] > o.start_ms for o in rare)
    assert {o.because for o in often} == {None}
    assert often[0].latency_ms[99] < 100.0


def test_order_rules_and_littles_law() -> None:
    found = options(StatisticalScenario(providers=("aws",)), CATALOG, requests_per_s=50.0)
    assert {o.service.provider for o in found} == {"aws"}
    open_costs = [o.usd_per_month for o in found if o.because is None]
    assert open_costs == sorted(open_costs)
    for o in found:
        assert o.concurrency == pytest.approx(50.0 * o.duration_ms / 1000.0)
        low, high = o.usd_per_month_interval
        assert low <= o.usd_per_month <= high
        assert o.needed_bytes <= o.bill.size.memory_mib * 2**20


def test_a_measured_time_counts_on_serverless_too() -> None:
    # Requests that take 3 times as long as predicted on a machine are slower on a share of a vCPU as well.
    scenario = StatisticalScenario()
    size = LAMBDA.sizes[-1]
    took = 3.0 * float(plan(scenario, CATALOG).recommended.extra["service_ms"])
    where = plan(scenario, CATALOG).recommended.instance
    slow = scenario.model_copy(update={"measured_service": f"{where}~{fingerprint(scenario)}~request~1={took:.6f}"})
    before, after = (option_at(s, model_of(s, CATALOG), LAMBDA, size, 100.0) for s in (scenario, slow))
    assert 2.0 < after.duration_ms / before.duration_ms < 4.0
    assert after.usd_per_month > 1.5 * before.usd_per_month
