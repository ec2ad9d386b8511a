"""Open queue: textbook values, simulated settings, and what must hold for every load."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.errors import InputError
from sizing.queueing import (
    P99_ERROR_SHARE,
    QueueResult,
    ServiceLaw,
    Unstable,
    erlang_b,
    erlang_c,
    mgc,
    minimum_instances,
    percentile_curve,
    time_in_system_quantile,
)

ROUNDING = 1.005
"""Lattice quantiles are within 0.5 %; orderings are asked for up to that."""

CVS = st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.0, 1.5, 2.5])
SERVERS = st.integers(1, 24)


def one(*, load: float, cv: float, servers: int, law: ServiceLaw | None = None) -> QueueResult:
    """Queue with a mean service time of 1 s, so that times in ms are 1000 x mean service times."""
    return mgc(arrival_per_s=load * servers, service_mean_ms=1000.0, service_cv=cv, servers=servers, law=law)


# Erlang tables, any textbook: B and C at offered load a.
@pytest.mark.parametrize(
    ("servers", "offered_load", "blocked", "delayed"),
    [
        (1, 0.5, 1 / 3, 1 / 2),
        (2, 1.0, 1 / 5, 1 / 3),
        (3, 2.0, 4 / 19, 4 / 9),
        (10, 5.0, 0.018385, 0.036105),
    ],
)
def test_erlang(servers: int, offered_load: float, blocked: float, delayed: float) -> None:
    assert erlang_b(servers=servers, offered_load=offered_load) == pytest.approx(blocked, rel=1e-4)
    assert erlang_c(servers=servers, offered_load=offered_load) == pytest.approx(delayed, rel=1e-4)


def test_erlang_does_not_overflow() -> None:
    # At a = c the continuous approximation is B = sqrt(2 / (pi c)) for large c.
    assert erlang_b(servers=4000, offered_load=4000) == pytest.approx(math.sqrt(2 / math.pi / 4000), rel=0.02)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9, 0.99])
def test_one_exponential_server(load: float) -> None:
    answer = one(load=load, cv=1.0, servers=1)
    assert answer.p99_ms == pytest.approx(1000 * math.log(100) / (1 - load), rel=1e-9)
    assert answer.wait_mean_ms == pytest.approx(1000 * load / (1 - load), rel=1e-3)
    assert answer.wait_probability == pytest.approx(load)
    assert answer.method == "exact"


def test_exponential_quantile_when_both_rates_coincide() -> None:
    # Two servers at load 1/2: waiting time and service time have the same rate, P(T > t) = e^-t (1 + t / 3).
    t = time_in_system_quantile(percentile=99, arrival_per_s=1, service_mean_ms=1000, service_cv=1, servers=2) / 1000
    assert math.exp(-t) * (1 + t / 3) == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize("law", ["gamma", "lognormal"])
@pytest.mark.parametrize("cv", [0.25, 0.8, 1.5])
@pytest.mark.parametrize("load", [0.2, 0.8, 0.97])
def test_pollaczek_khinchine_mean(load: float, cv: float, law: ServiceLaw) -> None:
    wait_ms = 1000 * load / (1 - load) * (1 + cv**2) / 2
    assert one(load=load, cv=cv, servers=1, law=law).wait_mean_ms == pytest.approx(wait_ms, rel=2e-3)


def test_constant_service_at_one_server_has_erlangs_distribution() -> None:
    # P(wait <= t) = (1 - u) sum_k (-u (t - k))^k / k! e^(u (t - k)), Erlang (1909), mean service time 1.
    load = 0.6
    for share in (50, 90, 99):
        in_system = time_in_system_quantile(
            percentile=share, arrival_per_s=load, service_mean_ms=1000, service_cv=0, servers=1
        )
        t = in_system / 1000 - 1
        terms = [
            (-load * (t - k)) ** k / math.factorial(k) * math.exp(load * (t - k)) for k in range(math.floor(t) + 1)
        ]
        assert (1 - load) * sum(terms) == pytest.approx(share / 100, abs=2e-3)


@pytest.mark.parametrize("load", [0.05, 0.5, 0.95, 0.999])
@pytest.mark.parametrize("servers", [1, 4, 32])
def test_lattice_meets_the_exact_answer_for_exponential_service(servers: int, load: float) -> None:
    by_lattice, exact = one(load=load, cv=1 - 1e-6, servers=servers), one(load=load, cv=1.0, servers=servers)
    for name in ("p50_ms", "p95_ms", "p99_ms"):
        assert getattr(by_lattice, name) == pytest.approx(getattr(exact, name), rel=0.006)


# Simulated for this project, 2 to 9 million customers a setting, mean service time 1: servers, load, CV, law,
# then mean wait, p50, p95, p99 of the time in system, each with the half-width of its 95 % interval.
SIMULATED = [
    (1, 0.90, 0.00, "gamma", (4.514, 0.094), (4.015, 0.035), (15.181, 0.396), (23.062, 1.11)),
    (4, 0.80, 0.00, "gamma", (0.3855, 0.0052), (1.1372, 0.0055), (2.517, 0.0214), (3.4529, 0.0568)),
    (16, 0.95, 0.00, "gamma", (0.4971, 0.0125), (1.3011, 0.0045), (2.7064, 0.0626), (3.7208, 0.146)),
    (2, 0.70, 0.25, "gamma", (0.5225, 0.0077), (1.2859, 0.0040), (3.1193, 0.0289), (4.3857, 0.0619)),
    (8, 0.90, 0.25, "gamma", (0.4832, 0.0084), (1.3129, 0.0050), (2.8101, 0.0347), (3.8762, 0.0892)),
    (4, 0.85, 0.50, "gamma", (0.7296, 0.0096), (1.4706, 0.0057), (3.8613, 0.0358), (5.531, 0.0911)),
    (1, 0.80, 0.50, "lognormal", (2.5006, 0.0215), (2.5706, 0.0154), (9.56, 0.0985), (14.464, 0.158)),
    (8, 0.80, 1.00, "gamma", (0.2828, 0.0065), (0.983, 0.0070), (3.4989, 0.0187), (5.1402, 0.041)),
    (8, 0.80, 1.00, "lognormal", (0.2743, 0.0067), (0.9619, 0.0043), (3.3399, 0.0291), (5.4097, 0.0585)),
    (1, 0.85, 2.00, "lognormal", (14.801, 0.694), (7.928, 0.182), (56.538, 1.58), (104.74, 14.1)),
    (1, 0.85, 2.00, "hyperexponential", (14.205, 0.496), (9.032, 0.287), (51.536, 2.07), (81.619, 4.26)),
    (4, 0.70, 2.00, "hyperexponential", (0.7706, 0.0225), (0.8402, 0.006), (6.8274, 0.105), (12.811, 0.322)),
    (8, 0.90, 2.00, "lognormal", (1.9768, 0.0688), (1.7136, 0.0326), (10.043, 0.317), (17.238, 1.5)),
]


@pytest.mark.parametrize(("servers", "load", "cv", "law", "wait", "p50", "p95", "p99"), SIMULATED)
def test_against_simulation(
    servers: int,
    load: float,
    cv: float,
    law: ServiceLaw,
    wait: tuple[float, float],
    p50: tuple[float, float],
    p95: tuple[float, float],
    p99: tuple[float, float],
) -> None:
    answer = one(load=load, cv=cv, servers=servers, law=law)
    assert answer.error_share == P99_ERROR_SHARE[cv <= 1.0, True]
    found_ms = (answer.wait_mean_ms, answer.p50_ms, answer.p95_ms, answer.p99_ms)
    for found, (value, half_width) in zip(found_ms, (wait, p50, p95, p99), strict=True):
        assert found / 1000 == pytest.approx(value, abs=1.5 * half_width + value * answer.error_share)


def test_cv_is_not_ignored() -> None:
    # M/M/1 would say the same p99 for both; real model servers are nearly constant (1.6 to 2.7 times lower).
    ratio = one(load=0.8, cv=1.0, servers=1).p99_ms / one(load=0.8, cv=0.1, servers=1).p99_ms
    assert 1.6 < ratio < 2.7


@given(cv=CVS, servers=SERVERS)
def test_no_load_means_no_wait(cv: float, servers: int) -> None:
    answer = one(load=0.0, cv=cv, servers=servers)
    assert (answer.wait_mean_ms, answer.wait_probability, answer.method) == (0.0, 0.0, "exact")
    if cv == 0.0:
        assert [answer.p50_ms, answer.p99_ms] == pytest.approx([1000.0, 1000.0], rel=1e-6)
    if cv == 1.0:
        assert answer.p99_ms == pytest.approx(1000 * math.log(100))


@settings(deadline=None, max_examples=60)
@given(load=st.floats(0.0, 0.99), cv=CVS, servers=SERVERS)
def test_percentiles_are_ordered_and_never_under_the_service_time(load: float, cv: float, servers: int) -> None:
    answer, idle = one(load=load, cv=cv, servers=servers), one(load=0.0, cv=cv, servers=servers)
    assert answer.p50_ms <= answer.p95_ms <= answer.p99_ms
    assert answer.p50_ms >= idle.p50_ms * (1 - 1e-9)
    assert answer.p99_ms >= idle.p99_ms * (1 - 1e-9)
    assert answer.time_in_system_mean_ms == pytest.approx(1000 + answer.wait_mean_ms)
    assert 0.0 <= answer.wait_probability <= 1.0


@settings(deadline=None, max_examples=60)
@given(loads=st.lists(st.floats(0.0, 0.99), min_size=2, max_size=2), cv=CVS, servers=SERVERS)
def test_times_grow_with_load(loads: list[float], cv: float, servers: int) -> None:
    low, high = sorted(loads)
    lighter, heavier = one(load=low, cv=cv, servers=servers), one(load=high, cv=cv, servers=servers)
    assert lighter.wait_mean_ms <= heavier.wait_mean_ms * (1 + 1e-9)
    assert lighter.p50_ms <= heavier.p50_ms * ROUNDING
    assert lighter.p99_ms <= heavier.p99_ms * ROUNDING


@settings(deadline=None, max_examples=60)
@given(load=st.floats(0.05, 0.97), cv=CVS, servers=SERVERS, more=st.integers(1, 8))
def test_times_fall_with_servers(load: float, cv: float, servers: int, more: int) -> None:
    arrival = load * servers
    few = mgc(arrival_per_s=arrival, service_mean_ms=1000, service_cv=cv, servers=servers)
    many = mgc(arrival_per_s=arrival, service_mean_ms=1000, service_cv=cv, servers=servers + more)
    assert many.wait_mean_ms <= few.wait_mean_ms * (1 + 1e-9)
    assert many.p99_ms <= few.p99_ms * ROUNDING


@settings(deadline=None, max_examples=30)
@given(load=st.floats(0.0, 0.98), cv=CVS, servers=SERVERS, scale=st.sampled_from([1e-3, 7.0, 1e4]))
def test_only_ratios_of_times_matter(load: float, cv: float, servers: int, scale: float) -> None:
    base = one(load=load, cv=cv, servers=servers)
    scaled = mgc(arrival_per_s=load * servers / scale, service_mean_ms=1000 * scale, service_cv=cv, servers=servers)
    assert scaled.p99_ms == pytest.approx(base.p99_ms * scale, rel=1e-6)


@pytest.mark.parametrize("cv", [0.0, 0.3, 1.0, 2.0])
def test_curve_agrees_with_single_answers_and_ends_in_infinity(cv: float) -> None:
    arrivals = [0.0, 1.0, 3.0, 3.9, 4.0, 9.0]
    curve = percentile_curve(arrivals_per_s=arrivals, service_mean_ms=1000, service_cv=cv, servers=4)
    for row, arrival in zip(curve[:4], arrivals, strict=False):
        single = mgc(arrival_per_s=arrival, service_mean_ms=1000, service_cv=cv, servers=4)
        assert row == pytest.approx([single.p50_ms, single.p95_ms, single.p99_ms], rel=1e-9)
    assert np.isinf(curve[4:]).all()


def test_unstable_names_the_rate_below_which_it_is_stable() -> None:
    with pytest.raises(Unstable) as caught:
        mgc(arrival_per_s=500, service_mean_ms=10, service_cv=0.3, servers=4)
    assert caught.value.utilization == pytest.approx(1.25)
    assert caught.value.stable_below_per_s == pytest.approx(400.0)
    with pytest.raises(Unstable):
        time_in_system_quantile(percentile=50, arrival_per_s=400, service_mean_ms=10, service_cv=1, servers=4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("arrival_per_s", -1.0),
        ("arrival_per_s", math.nan),
        ("service_mean_ms", 0.0),
        ("service_cv", -0.1),
        ("servers", 0),
    ],
)
def test_bad_input_names_the_field(field: str, value: float) -> None:
    good = {"arrival_per_s": 1.0, "service_mean_ms": 10.0, "service_cv": 0.3, "servers": 2}
    with pytest.raises(InputError, match=f"^{field}: "):
        mgc(**{**good, field: value})  # type: ignore[arg-type]


def instances(arrival_per_s: float, **changes: object) -> int | None:
    usual: dict[str, object] = {
        "service_mean_ms": 10.0,
        "service_cv": 0.3,
        "servers_per_instance": 2,
        "utilization_cap": 0.7,
        "percentile_targets_ms": {50: None, 95: None, 99: 25.0},
        "max_instances": 500,
    }
    return minimum_instances(arrival_per_s=arrival_per_s, **{**usual, **changes})  # type: ignore[arg-type]


@settings(deadline=None, max_examples=40)
@given(arrival=st.floats(1.0, 20_000.0), cv=CVS, target_ms=st.floats(12.0, 200.0), cap=st.floats(0.2, 0.95))
def test_instances_are_the_fewest_that_meet_cap_and_target(
    arrival: float, cv: float, target_ms: float, cap: float
) -> None:
    found = instances(
        arrival, service_cv=cv, utilization_cap=cap, percentile_targets_ms={99: target_ms}, max_instances=5000
    )

    def meets(count: int) -> bool:
        if arrival * 0.01 / (2 * count) > cap * (1 + 1e-9):
            return False
        alone = mgc(arrival_per_s=arrival / count, service_mean_ms=10, service_cv=cv, servers=2)
        return alone.p99_ms <= target_ms

    if found is None:
        idle_p99_ms = mgc(arrival_per_s=0, service_mean_ms=10, service_cv=cv, servers=2).p99_ms
        assert idle_p99_ms > target_ms or not meets(5000)
    else:
        assert meets(found)
        assert found == 1 or not meets(found - 1)


def test_instances_need_more_than_a_pool_would() -> None:
    # One pooled M/M/c with all workers would need fewer; n queues behind a random split need this many.
    # Each M/M/1 needs ln(100) / (100 - 1000/n) <= 0.1 s, so n >= 1000 / (100 - 46.05) = 18.5.
    changes = {"service_cv": 1.0, "servers_per_instance": 1, "utilization_cap": 0.9}
    assert instances(1000.0, percentile_targets_ms={99: 100.0}, **changes) == 19
    pooled = mgc(arrival_per_s=1000, service_mean_ms=10, service_cv=1, servers=14)
    assert pooled.p99_ms <= 100.0


def test_instances_by_the_cap_alone() -> None:
    # 700 /s x 10 ms / 2 workers / 0.7 is 5 exactly: rounding must not ask for a sixth.
    assert instances(700.0, percentile_targets_ms={99: None}) == 5
    assert instances(700.1, percentile_targets_ms={}) == 6
    assert instances(0.0, percentile_targets_ms={}) == 1


def test_no_number_of_instances_is_enough() -> None:
    assert instances(1.0, percentile_targets_ms={50: 9.0}) is None
    assert instances(7000.0, percentile_targets_ms={}, max_instances=49) is None
    assert instances(7000.0, percentile_targets_ms={}, max_instances=50) == 50


def test_instances_between_the_last_doubling_and_the_limit() -> None:
    needed = instances(3000.0, percentile_targets_ms={99: 20.0})
    assert needed is not None
    assert instances(3000.0, percentile_targets_ms={99: 20.0}, max_instances=needed) == needed
    assert instances(3000.0, percentile_targets_ms={99: 20.0}, max_instances=needed - 1) is None


def test_tighter_target_never_needs_fewer() -> None:
    counts = [instances(5000.0, percentile_targets_ms={99: limit}) for limit in (200.0, 60.0, 30.0, 20.0, 19.0)]
    assert None not in counts
    assert counts == sorted(c for c in counts if c is not None)
    assert counts[-1] != counts[0]
