"""The wait to fill a batch and several instances on one GPU, against the event simulation and against what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.batch_gather import OVERLAP_SHARE, batcher, capacity_per_ms, fill_ms
from sizing.batch_queue import batch_queue
from sizing.batch_simulation import simulate_batcher, simulate_closed_batcher
from sizing.deep_learning.closed import closed_batch_loop


@pytest.mark.parametrize("load", [0.3, 0.7])
@pytest.mark.parametrize(("t0", "k", "limit"), [(1.0, 0.02, 16), (1.0, 0.2, 8), (4.0, 0.1, 64)])
@pytest.mark.parametrize(("delay", "instances"), [(0.5, 1), (4.0, 1), (0.0, 2), (2.0, 4)])
def test_p99_agrees_with_the_event_simulation(
    t0: float, k: float, limit: int, load: float, delay: float, instances: int
) -> None:
    rate = load * float(capacity_per_ms(t0_ms=t0, k_ms=k, max_batch=limit, instances=instances))
    run = simulate_batcher(
        t0_ms=t0,
        k_ms=k,
        max_batch=limit,
        rate_per_ms=rate,
        delay_ms=delay,
        instances=instances,
        overlap_ms=t0 * OVERLAP_SHARE if instances > 1 else 0.0,
        requests=80_000,
    )
    queue = batcher(t0_ms=t0, k_ms=k, max_batch=limit, rate_per_ms=rate, delay_ms=delay, instances=instances)
    for percentile in (50, 95, 99):
        assert queue.percentile_ms(percentile)[0] == pytest.approx(run.percentile_ms(percentile), rel=0.1)
    assert queue.mean_batch[0] == pytest.approx(run.mean_batch, rel=0.1)


def test_three_arrivals_by_hand() -> None:
    """Arrivals of seed 7 at rate 1; batch of at most 2, delay 10: the first two go together when the second comes."""
    arrivals = np.cumsum(np.random.default_rng(7).exponential(1.0, 3))
    run = simulate_batcher(t0_ms=1.0, k_ms=0.5, max_batch=2, rate_per_ms=1.0, delay_ms=10.0, requests=3)
    first = arrivals[1] + 2.0
    last = max(first, arrivals[2] + 10.0) + 1.5
    assert run.latency_ms.tolist() == pytest.approx([first - arrivals[0], first - arrivals[1], last - arrivals[2]])


def test_round_robin_waits_less_than_random() -> None:
    common = {"t0_ms": 1.0, "k_ms": 0.1, "max_batch": 4, "rate_per_ms": 8.0, "gpus": 5, "requests": 60_000}
    random = simulate_batcher(**common, balancer="random")  # type: ignore[arg-type]
    robin = simulate_batcher(**common, balancer="round_robin")  # type: ignore[arg-type]
    assert robin.percentile_ms(99) < random.percentile_ms(99)


def test_no_delay_and_one_instance_is_the_queue_of_batches() -> None:
    same = {"t0_ms": [1.0, 2.0], "k_ms": 0.1, "max_batch": 16, "rate_per_ms": [2.0, 3.0]}
    assert batcher(**same).p99_ms.tolist() == batch_queue(**same).p99_ms.tolist()  # type: ignore[arg-type]


times = st.floats(0.05, 20.0)


@settings(max_examples=20, deadline=None)
@given(times, times, st.integers(2, 128), st.floats(0.0, 10.0), st.integers(1, 4))
def test_no_load_waits_the_delay_only_and_load_waits_more(
    t0: float, k: float, limit: int, delay: float, instances: int
) -> None:
    full = float(capacity_per_ms(t0_ms=t0, k_ms=k, max_batch=limit, instances=instances))
    rate = [1e-7, 0.3 * full, 0.7 * full, 1.01 * full]
    q = batcher(t0_ms=t0, k_ms=k, max_batch=limit, rate_per_ms=rate, delay_ms=delay, instances=instances)
    assert q.p50_ms[0] == pytest.approx(t0 + k + delay, rel=0.02)
    assert q.p99_ms[0] == pytest.approx(t0 + k + delay, rel=0.02)
    assert (q.p50_ms[:3] <= q.p95_ms[:3]).all()
    assert (q.p95_ms[:3] <= q.p99_ms[:3]).all()
    assert (q.p50_ms[:3] >= (t0 + k) * 0.99).all()
    assert np.isinf(q.p99_ms[3])


def test_instances_add_what_overlaps() -> None:
    """Triton's guide: 73.2 requests/s with one instance of Inception, 110.2 with two, batches of one."""
    one, two = (float(capacity_per_ms(t0_ms=13.3, k_ms=0.35, max_batch=1, instances=n)) for n in (1, 2))
    assert one == pytest.approx(1 / 13.65)
    assert two / one == pytest.approx(110.2 / 73.2, rel=0.03)


def test_a_batch_is_filled_or_the_delay_ends() -> None:
    assert fill_ms(rate_per_ms=2.0, max_batch=9, delay_ms=100.0) == 4.0
    assert fill_ms(rate_per_ms=2.0, max_batch=9, delay_ms=1.0) == 1.0


@pytest.mark.parametrize("clients", [1, 4, 32])
def test_closed_loop_serves_what_the_simulation_serves(clients: int) -> None:
    run = simulate_closed_batcher(t0_ms=2.0, k_ms=0.2, max_batch=16, clients=clients, think_ms=50.0)
    loop = closed_batch_loop(t0_ms=2.0, k_ms=0.2, max_batch=16, clients=clients, away_ms=50.0)
    assert loop.throughput_per_ms[0] == pytest.approx(run.throughput_per_ms, rel=0.06)
    assert loop.p95_ms[0] == pytest.approx(run.percentile_ms(95), rel=0.4)
