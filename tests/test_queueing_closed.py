"""Closed loop: machine repair by hand, an independent event simulation, and bounds."""

from __future__ import annotations

import heapq
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.errors import InputError
from sizing.queueing import closed_loop


def simulated(*, clients: int, think: float, cv: float, servers: int, requests: int) -> tuple[float, ...]:
    """Throughput, mean and p50, p95, p99 of the time in system, mean service time 1; two heaps."""
    rng = random.Random(5)
    variance = math.log1p(cv**2)

    def service() -> float:
        if cv == 0:
            return 1.0
        if cv > 1:
            return rng.lognormvariate(-variance / 2, math.sqrt(variance))
        return rng.gammavariate(cv**-2, cv**2)

    def thought() -> float:
        return rng.expovariate(1 / think) if think else 0.0

    asking, free = [thought() for _ in range(clients)], [0.0] * servers
    heapq.heapify(asking)
    asked, done = np.empty(requests), np.empty(requests)
    for number in range(requests):
        asked[number] = heapq.heappop(asking)
        done[number] = max(asked[number], heapq.heappop(free)) + service()
        heapq.heappush(free, float(done[number]))
        heapq.heappush(asking, float(done[number]) + thought())
    skip = requests // 10
    spent = (done - asked)[skip:]
    return (len(spent) / (asked[-1] - asked[skip]), spent.mean(), *np.quantile(spent, [0.5, 0.95, 0.99]))


@pytest.mark.parametrize("cv", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("clients", "think", "servers"), [(2, 1.0, 1), (16, 3.0, 4), (24, 5.0, 4), (40, 0.5, 16)])
def test_against_an_event_simulation(clients: int, think: float, servers: int, cv: float) -> None:
    truth = simulated(clients=clients, think=think, cv=cv, servers=servers, requests=60_000)
    answer = closed_loop(
        clients=clients, think_time_ms=1000 * think, service_mean_ms=1000, service_cv=cv, servers=servers
    )
    assert answer.throughput_per_s == pytest.approx(truth[0], rel=0.03)
    assert answer.time_in_system_mean_ms / 1000 == pytest.approx(truth[1], rel=0.05)
    assert answer.p50_ms / 1000 == pytest.approx(truth[2], rel=0.06)
    assert answer.p95_ms / 1000 == pytest.approx(truth[3], rel=0.08)
    assert answer.p99_ms / 1000 == pytest.approx(truth[4], rel=0.15)


def test_machine_repair_by_hand() -> None:
    # 3 clients, 1 server, Z = 2 S: weights 1, 3/2, 3/2, 3/4 for 0..3 present; busy 15/19.
    answer = closed_loop(clients=3, think_time_ms=20, service_mean_ms=10, service_cv=1, servers=1)
    assert answer.utilization == pytest.approx(15 / 19)
    assert answer.throughput_per_s == pytest.approx(1500 / 19)
    assert answer.time_in_system_mean_ms == pytest.approx(3 * 190 / 15 - 20)
    assert answer.method == "exact"


def test_saturated_exponential_percentiles_are_erlang() -> None:
    # No thinking, one server, N clients: the time in system is the sum of N exponential services.
    answer = closed_loop(clients=4, think_time_ms=0, service_mean_ms=1000, service_cv=1, servers=1)
    # Erlang of 4 stages: half of chi-squared with 8 degrees, percentiles 7.3441, 15.5073, 20.0902.
    assert [answer.p50_ms, answer.p95_ms, answer.p99_ms] == pytest.approx([3672.1, 7753.7, 10045.1], rel=3e-3)


def test_percentiles_of_two_thousand_clients() -> None:
    # No thinking, one server: a sum of 2,000 exponential services, near normal with sd sqrt(2000).
    answer = closed_loop(clients=2000, think_time_ms=0, service_mean_ms=1, service_cv=1, servers=1)
    assert answer.p99_ms - answer.p50_ms == pytest.approx(2.326 * math.sqrt(2000), rel=0.06)


def test_many_clients_at_saturation_wait_their_turn() -> None:
    for cv in (0.3, 1.0):
        answer = closed_loop(clients=1000, think_time_ms=50, service_mean_ms=10, service_cv=cv, servers=4)
        assert answer.throughput_per_s == pytest.approx(400.0, rel=0.01)
        assert answer.time_in_system_mean_ms == pytest.approx(1000 / 0.4 - 50, rel=0.01)
        assert answer.p50_ms == pytest.approx(1000 / 0.4 - 50, rel=0.02)


@pytest.mark.parametrize("cv", [0.0, 1.0, 2.0])
def test_no_more_clients_than_servers_never_wait(cv: float) -> None:
    answer = closed_loop(clients=4, think_time_ms=30, service_mean_ms=10, service_cv=cv, servers=4)
    assert answer.method == "exact"
    assert answer.time_in_system_mean_ms == pytest.approx(10.0)
    assert answer.throughput_per_s == pytest.approx(100.0)


@settings(deadline=None, max_examples=15)
@given(
    clients=st.integers(1, 60),
    think=st.sampled_from([0.0, 1.0, 20.0]),
    cv=st.sampled_from([0.0, 0.3, 1.0, 1.7]),
    servers=st.integers(1, 16),
)
def test_bounds_and_order(clients: int, think: float, cv: float, servers: int) -> None:
    answer = closed_loop(
        clients=clients, think_time_ms=1000 * think, service_mean_ms=1000, service_cv=cv, servers=servers
    )
    assert answer.throughput_per_s <= min(clients / (1 + think), servers) * (1 + 1e-9)
    assert answer.utilization == pytest.approx(answer.throughput_per_s / servers)
    assert answer.p50_ms <= answer.p95_ms <= answer.p99_ms
    # Little's law over the whole loop.
    assert answer.throughput_per_s * (answer.time_in_system_mean_ms / 1000 + think) == pytest.approx(clients)


def test_same_inputs_same_figures_and_more_clients_more_throughput() -> None:
    rates = [
        closed_loop(clients=n, think_time_ms=50, service_mean_ms=10, service_cv=0.3, servers=2).throughput_per_s
        for n in (1, 3, 6, 12, 24, 12)
    ]
    assert rates[3] == rates[5]
    assert rates[:5] == sorted(rates[:5])


@pytest.mark.parametrize(
    ("field", "value"),
    [("clients", 0), ("clients", 10**6), ("think_time_ms", -1.0), ("service_mean_ms", 0.0), ("servers", 0)],
)
def test_bad_input_names_the_field(field: str, value: float) -> None:
    good = {"clients": 4, "think_time_ms": 1.0, "service_mean_ms": 10.0, "service_cv": 0.3, "servers": 2}
    with pytest.raises(InputError, match=f"^{field}: "):
        closed_loop(**{**good, field: value})  # type: ignore[arg-type]
