"""The queue inverted: golden values by hand, and what was put into a model comes back out of it."""

from __future__ import annotations

import math

import pytest

from sizing.errors import InputError
from sizing.queueing import closed_loop, mgc
from sizing.statistical.invert import (
    RanOn,
    closed_service_ms,
    inverted,
    open_service_from_p50_ms,
    open_service_ms,
)
from sizing.statistical.load_records import LoadRecord


def record(rate: float, *, mean: float | None, requests: int = 100_000, **more: object) -> LoadRecord:
    return LoadRecord(
        f"{rate:g}/s", "open_loop", loop="open", requests=requests, requests_per_s=rate, mean_ms=mean, **more
    )


def simulated(rate: float, *, service: float, cv: float, workers: int = 1, outside: float = 0.0) -> LoadRecord:
    """A record as the open queue predicts it, with so much time outside the workers."""
    found = mgc(arrival_per_s=rate, service_mean_ms=service, service_cv=cv, servers=workers)
    return record(
        rate,
        mean=found.time_in_system_mean_ms + outside,
        p50_ms=found.p50_ms + outside,
        p95_ms=found.p95_ms + outside,
        p99_ms=found.p99_ms + outside,
    )


@pytest.mark.parametrize("load", [0.0001, 0.1, 0.5, 0.8, 0.95])
def test_mm1_by_hand(load: float) -> None:
    """M/M/1: mean = S / (1 - rate x S), so S = mean / (1 + rate x mean)."""
    service, rate = 4.0, load / 4.0 * 1000.0
    mean = service / (1.0 - load)
    found = open_service_ms(mean_ms=mean, rate_per_s=rate, workers=1, cv=1.0)
    assert float(found) == pytest.approx(service, rel=1e-3)
    assert float(found) == pytest.approx(mean / (1.0 + rate / 1000.0 * mean), rel=1e-3)


def test_constant_service_by_hand() -> None:
    """M/D/1 at load 0.5: mean = S (1 + 0.5 / (2 x 0.5)) = 1.5 S."""
    found = open_service_ms(mean_ms=15.0, rate_per_s=50.0, workers=1, cv=0.0)
    assert float(found) == pytest.approx(10.0, rel=1e-3)


def test_two_workers_by_hand() -> None:
    """M/M/2 at load u: mean = S / (1 - u^2); at 0.6 it is S / 0.64."""
    found = open_service_ms(mean_ms=10.0 / 0.64, rate_per_s=120.0, workers=2, cv=1.0)
    assert float(found) == pytest.approx(10.0, rel=1e-3)


def test_even_arrivals_at_constant_service_do_not_wait() -> None:
    assert float(open_service_ms(mean_ms=10.0, rate_per_s=80.0, workers=1, cv=0.0, even=True)) == pytest.approx(10.0)
    assert float(open_service_ms(mean_ms=10.0, rate_per_s=80.0, workers=1, cv=0.0)) < 9.0


def test_median_of_mm1_by_hand() -> None:
    """Time in system of M/M/1 is exponential: median = ln 2 x mean."""
    found = open_service_from_p50_ms(p50_ms=math.log(2.0) * 20.0, rate_per_s=50.0, workers=1, cv=1.0)
    assert found == pytest.approx(10.0, rel=2e-3)


@pytest.mark.parametrize(("users", "workers", "think"), [(1, 4, 0.0), (3, 1, 0.0), (8, 2, 0.0), (6, 2, 30.0)])
def test_closed_loop_gives_back_the_service_time(users: int, workers: int, think: float) -> None:
    """Against the closed loop of the core, exact at exponential service."""
    seen = closed_loop(clients=users, think_time_ms=think, service_mean_ms=5.0, service_cv=1.0, servers=workers)
    found = closed_service_ms(mean_ms=seen.time_in_system_mean_ms, users=users, think_ms=think, workers=workers, cv=1.0)
    assert found == pytest.approx(5.0, rel=0.02)


@pytest.mark.parametrize(("cv", "workers"), [(0.1, 1), (0.3, 1), (0.8, 4), (1.2, 2)])
def test_service_and_spread_come_back_from_mean_and_percentiles(cv: float, workers: int) -> None:
    load = simulated(0.7 * workers / 0.005, service=5.0, cv=cv, workers=workers)
    found = inverted([load], [RanOn(1, workers)], cv=0.5)
    assert found.cv_fitted
    assert found.cv == pytest.approx(cv, abs=0.05)
    assert found.service_ms == pytest.approx(5.0, rel=0.02)
    assert found.outside_ms == 0.0


def test_loads_of_different_rates_tell_the_network_from_service() -> None:
    """3 ms of network beside 5 ms of service: one load takes both for service, three tell them apart."""
    loads = [simulated(rate, service=5.0, cv=0.2, outside=3.0) for rate in (40.0, 100.0, 160.0)]
    one = inverted(loads[:1], [RanOn(1, 1)], cv=0.3)
    three = inverted(loads, [RanOn(1, 1)] * 3, cv=0.3)
    assert one.service_ms > 6.5
    assert not one.outside_fitted
    assert three.outside_fitted
    assert three.service_ms == pytest.approx(5.0, rel=0.06)
    assert three.outside_ms == pytest.approx(3.0, rel=0.2)
    assert abs(math.log(three.service_ms / 5.0)) < 3.0 * three.sd


def test_a_known_network_time_is_taken_off() -> None:
    load = simulated(100.0, service=5.0, cv=0.2, outside=3.0)
    found = inverted([load], [RanOn(1, 1)], cv=0.3, outside_ms=3.0)
    assert found.service_ms == pytest.approx(5.0, rel=0.02)
    assert found.outside_ms == pytest.approx(3.0)


def test_no_network_is_made_up_where_there_is_none() -> None:
    loads = [simulated(rate, service=5.0, cv=0.3) for rate in (40.0, 100.0, 160.0)]
    found = inverted(loads, [RanOn(1, 1)] * 3, cv=0.3)
    assert found.outside_ms < 0.5
    assert found.service_ms == pytest.approx(5.0, rel=0.06)


def test_fewer_requests_and_a_higher_load_know_the_time_less_well() -> None:
    def sd(rate: float, requests: int) -> float:
        return inverted([record(rate, mean=30.0, requests=requests)], [RanOn(1, 1)], cv=0.3).sd

    assert sd(20.0, 300) > sd(20.0, 3000) >= sd(20.0, 300_000)


def test_instances_share_the_load() -> None:
    one = inverted([record(50.0, mean=15.0)], [RanOn(1, 1)], cv=0.0).service_ms
    four = inverted([record(200.0, mean=15.0)], [RanOn(4, 1)], cv=0.0).service_ms
    assert one == pytest.approx(four) == pytest.approx(10.0, rel=1e-3)


def test_loads_that_say_nothing_are_left_out_with_their_reason() -> None:
    good = record(50.0, mean=15.0)
    failing = record(60.0, mean=15.0, failures=20_000)
    lost = record(70.0, mean=15.0, dropped=50_000, offered_per_s=70.0)
    found = inverted([good, failing, lost], [RanOn(1, 1)] * 3, cv=0.0)
    assert found.used == 1
    assert "failed" in found.left_out[0]
    assert "not answered" in found.left_out[1]
    with pytest.raises(InputError, match="kept up with"):
        inverted([failing], [RanOn(1, 1)], cv=0.0)
