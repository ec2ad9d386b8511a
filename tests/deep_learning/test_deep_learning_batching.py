"""Dynamic batching against an event simulation, the exact single-server queue, and what must hold for any load."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.batch_queue import batch_queue
from sizing.deep_learning.closed import closed_batch_loop

CUSTOMERS = 60_000
PERCENTILES = (50, 95, 99)


def simulated_open(t0: float, k: float, limit: int, rate: float) -> tuple[np.ndarray, float]:
    """p50, p95, p99 and mean latency of a GPU that takes all that wait (at most `limit`) whenever it is free."""
    arrivals = np.cumsum(np.random.default_rng(7).exponential(1.0 / rate, CUSTOMERS))
    latency, first, free = np.empty(CUSTOMERS), 0, 0.0
    while first < CUSTOMERS:
        start = max(free, arrivals[first])
        last = min(int(np.searchsorted(arrivals, start, side="right")), first + limit)
        free = start + t0 + k * (last - first)
        latency[first:last] = free - arrivals[first:last]
        first = last
    settled = latency[CUSTOMERS // 20 :]
    return np.percentile(settled, PERCENTILES), float(settled.mean())


def simulated_closed(t0: float, k: float, limit: int, clients: int, away: float) -> tuple[np.ndarray, float]:
    """p50, p95, p99 latency and throughput with exponential pauses."""
    random = np.random.default_rng(7)
    waiting = sorted(random.exponential(away, clients).tolist())
    heapq.heapify(waiting)
    latency: list[float] = []
    free = 0.0
    while len(latency) < CUSTOMERS:
        start, batch = max(free, waiting[0]), []
        while waiting and waiting[0] <= start and len(batch) < limit:
            batch.append(heapq.heappop(waiting))
        free = start + t0 + k * len(batch)
        for arrival in batch:
            latency.append(free - arrival)
            heapq.heappush(waiting, free + random.exponential(away))
    settled = np.array(latency[CUSTOMERS // 10 :])
    return np.percentile(settled, PERCENTILES), clients / (float(settled.mean()) + away)


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("limit", [1, 4, 16, 64, 256])
@pytest.mark.parametrize(("t0", "k"), [(1.0, 0.1), (1.0, 1.0), (5.0, 0.05)])
def test_percentiles_agree_with_an_event_simulation(t0: float, k: float, limit: int, load: float) -> None:
    rate = load * limit / (t0 + k * limit)
    expected, mean = simulated_open(t0, k, limit, rate)
    queue = batch_queue(t0_ms=t0, k_ms=k, max_batch=limit, rate_per_ms=rate)
    found = np.array([queue.percentile_ms(p)[0] for p in PERCENTILES])
    assert np.abs(found / expected - 1.0).max() < 0.12
    assert queue.mean_ms[0] == pytest.approx(mean, rel=0.06)


@pytest.mark.parametrize("load", [0.2, 0.5, 0.7, 0.85])
def test_batch_one_has_the_mean_of_pollaczek_and_khinchine(load: float) -> None:
    queue = batch_queue(t0_ms=1.5, k_ms=0.5, max_batch=1, rate_per_ms=load / 2.0)
    assert queue.mean_ms[0] == pytest.approx(2.0 * (1.0 + load / (2.0 * (1.0 - load))), rel=0.04)


def test_no_load_means_no_wait_and_overload_is_infinite() -> None:
    queue = batch_queue(t0_ms=2.0, k_ms=0.5, max_batch=8, rate_per_ms=[1e-9, 8.0 / 6.0, 5.0])
    assert queue.p50_ms[0] == queue.p99_ms[0] == 2.5
    assert queue.mean_batch[0] == pytest.approx(1.0)
    assert np.isinf(queue.p99_ms[1:]).all()
    assert queue.load[1] == pytest.approx(1.0)


def test_gpus_side_by_side_get_the_answers_they_get_alone() -> None:
    t0, limit, rate = [1.0, 5.0, 0.3], [16, 64, 1], [3.0, 2.0, 0.5]
    together = batch_queue(t0_ms=t0, k_ms=0.1, max_batch=limit, rate_per_ms=rate)
    for row in range(3):
        alone = batch_queue(t0_ms=t0[row], k_ms=0.1, max_batch=limit[row], rate_per_ms=rate[row])
        assert together.p95_ms[row] == pytest.approx(alone.p95_ms[0], rel=1e-9)


times = st.floats(0.05, 50.0)


@settings(max_examples=40, deadline=None)
@given(times, times, st.integers(1, 512), st.floats(0.02, 0.45), st.floats(2.0, 2.2))
def test_percentiles_are_ordered_and_rise_with_load(
    t0: float, k: float, limit: int, load: float, factor: float
) -> None:
    full = limit / (t0 + k * limit)
    queue = batch_queue(t0_ms=t0, k_ms=k, max_batch=limit, rate_per_ms=[load * full, load * factor * full])
    assert (queue.p50_ms <= queue.p95_ms).all()
    assert (queue.p95_ms <= queue.p99_ms).all()
    assert (queue.p50_ms >= t0 + k - 1e-9).all()
    assert queue.mean_ms[1] >= queue.mean_ms[0]
    assert queue.p95_ms[1] >= queue.p95_ms[0] * 0.999


@pytest.mark.parametrize("clients", [2, 16, 64])
@pytest.mark.parametrize(("t0", "k"), [(1.0, 0.1), (1.0, 1.0), (5.0, 0.05)])
def test_closed_loop_serves_what_a_simulation_serves(t0: float, k: float, clients: int) -> None:
    for away in (20.0, 200.0):
        expected, throughput = simulated_closed(t0, k, 64, clients, away)
        loop = closed_batch_loop(t0_ms=t0, k_ms=k, max_batch=64, clients=clients, away_ms=away)
        assert loop.throughput_per_ms[0] == pytest.approx(throughput, rel=0.08)
        assert loop.p50_ms[0] == pytest.approx(expected[0], rel=0.25)
        assert expected[1] * 0.85 <= loop.p95_ms[0] <= expected[1] * 1.6
        assert expected[2] * 0.75 <= loop.p99_ms[0] <= expected[2] * 2.0


def test_one_client_never_waits() -> None:
    loop = closed_batch_loop(t0_ms=2.0, k_ms=0.5, max_batch=8, clients=1, away_ms=[0.0, 100.0])
    assert loop.p99_ms.tolist() == [2.5, 2.5]
    assert loop.throughput_per_ms.tolist() == pytest.approx([1 / 2.5, 1 / 102.5], rel=1e-6)


@given(times, times, st.integers(1, 512), st.integers(1, 100_000), st.floats(0.0, 1e4))
def test_closed_loop_keeps_its_bounds(t0: float, k: float, limit: int, clients: int, away: float) -> None:
    loop = closed_batch_loop(t0_ms=t0, k_ms=k, max_batch=limit, clients=clients, away_ms=away)
    full = limit / (t0 + k * limit)
    assert loop.throughput_per_ms[0] <= min(full, clients / (away + t0 + k)) * (1 + 1e-9)
    assert loop.p50_ms[0] <= loop.p95_ms[0] <= loop.p99_ms[0]
    assert 1.0 <= loop.batch[0] <= limit


def test_thousands_of_arrivals_a_batch_keep_their_load_on_the_grid() -> None:
    """Once a coarse grid rounded a load of 0.62 to 1 and the chain had no single solution."""
    queue = batch_queue(t0_ms=44.94, k_ms=0.000168, max_batch=65_536, rate_per_ms=[300.0, 910.25])
    assert np.all(np.isfinite(queue.p99_ms))
    assert queue.p50_ms[0] <= queue.p50_ms[1]
    assert np.all(queue.mean_ms < 4 * (44.94 + 0.000168 * 65_536))
