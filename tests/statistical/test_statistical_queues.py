"""Counts of instances against the queue module's own search, and users against its simulated closed loop."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.queueing import closed_loop, mgc, minimum_instances
from sizing.statistical.queues import Group, Traffic, closed_load, sized, unit_times


@settings(max_examples=60, deadline=None)
@given(
    service_ms=st.floats(0.2, 200.0),
    workers=st.sampled_from([1, 2, 4, 16]),
    load=st.floats(0.01, 300.0),
    cap=st.floats(0.1, 0.98),
    p95_factor=st.floats(1.0, 20.0),
    p99_factor=st.floats(1.0, 20.0),
    cv=st.sampled_from([0.0, 0.3, 1.0, 1.5]),
)
def test_open_counts_are_those_of_minimum_instances(service_ms, workers, load, cap, p95_factor, p99_factor, cv):
    rate = load / service_ms * 1000.0
    limits = {50: None, 95: p95_factor * service_ms, 99: p99_factor * service_ms}
    group = Group(service_ms=service_ms, workers=workers)
    found = sized(
        groups=[group],
        traffic=Traffic(requests_per_s=rate, users=None, think_time_ms=0.0),
        cv=cv,
        utilization_cap=cap,
        limits_ms=list(limits.values()),
        spare=0,
    )[group]
    exact = minimum_instances(
        arrival_per_s=rate,
        service_mean_ms=service_ms,
        service_cv=cv,
        servers_per_instance=workers,
        utilization_cap=cap,
        percentile_targets_ms=limits,
        max_instances=10_000,
    )
    assert found.instances == exact


def test_times_do_not_depend_on_the_speed_of_the_machine():
    slow = mgc(arrival_per_s=60.0, service_mean_ms=40.0, service_cv=0.3, servers=4)
    unit = unit_times(utilizations=[slow.utilization], workers=4, cv=0.3)[0]
    assert [t * 40.0 for t in unit] == pytest.approx([slow.p50_ms, slow.p95_ms, slow.p99_ms])


@pytest.mark.parametrize("cv", [0.3, 1.0])
@pytest.mark.parametrize(("users", "pause", "workers"), [(8, 4.0, 2), (30, 40.0, 1), (50, 20.0, 4), (100, 16.0, 8)])
def test_users_against_the_closed_loop_of_the_queue_module(users, pause, workers, cv):
    """Exact at CV 1, simulated below: rate within 3 %, p99 not low and at most 22 % high."""
    truth = closed_loop(clients=users, think_time_ms=pause * 10.0, service_mean_ms=10.0, service_cv=cv, servers=workers)
    rate, seen = closed_load(users=users, pause=pause, workers=workers, cv=cv)
    assert rate * 100.0 == pytest.approx(truth.throughput_per_s, rel=0.03)
    p99 = unit_times(utilizations=[seen], workers=workers, cv=cv)[0, 2] * 10.0
    assert 0.97 * truth.p99_ms <= p99 <= 1.22 * truth.p99_ms


@given(users=st.integers(1, 300), pause=st.floats(0.0, 1e4), workers=st.sampled_from([1, 4, 16]))
def test_users_never_outrun_the_machine_or_their_own_pauses(users, pause, workers):
    rate, seen = closed_load(users=users, pause=pause, workers=workers, cv=0.3)
    assert 0 < rate <= min(workers, users / (pause + 1.0)) * (1 + 1e-9)
    assert 0.0 <= seen < 1.0
    more, seen_by_more = closed_load(users=users + 1, pause=pause, workers=workers, cv=0.3)
    assert more >= rate * 0.99
    assert seen_by_more >= seen * (1 - 1e-9)


@pytest.mark.parametrize("shared", [False, True])
def test_users_of_a_slower_service_never_need_fewer_instances(shared):
    """A think time far above the service leaves the rate as it is, so that only the limit on p99 moves the count."""
    counts = []
    for service_ms in (43.0, 44.25, 45.5, 46.75, 48.0, 49.25, 50.5):
        group = Group(service_ms, workers=1, shared=shared)
        (found,) = sized(
            groups=[group],
            traffic=Traffic(None, 123, 5000.0),
            cv=0.3,
            utilization_cap=0.9,
            limits_ms=[100.0, None, 100.0],
            spare=0,
        ).values()
        counts.append(found.instances)
    assert counts == sorted(counts)
    # 123 users on 21 are at most 6 each: the reach is that of the limit itself, not of a rough look at it.
    assert counts[0] <= 21


def test_a_slow_network_takes_no_more_instances_than_users():
    """3 users without a pause on a line for 0.5 % of what a worker can do: it slows them, so a fourth instance has no one to serve."""

    def count(users, cap):
        group = Group(0.05, workers=1, cap=cap)
        (found,) = sized(
            groups=[group],
            traffic=Traffic(None, users, 0.0),
            cv=0.3,
            utilization_cap=0.9,
            limits_ms=[None, None, 100.0],
            spare=0,
        ).values()
        return found.instances

    # The utilization cap alone: 3 users keep 3 of 4 instances busy.
    assert count(3, 0.005) == count(3, 1.0) == 4
    # With a pause-free user an instance, the line's cap is what sets counts below that of the users.
    assert count(1000, 0.005) == count(1000, 1.0) == 1112
