"""Constant service at several servers: limits, textbook cases and orderings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.queueing_constant import EXACT_SERVERS, constant_over_exponential, constant_service


@given(load=st.floats(0.01, 0.99))
def test_one_server_is_pollaczek_khinchine(load: float) -> None:
    delay, wait = constant_service(loads=np.array([load]), servers=1)
    assert delay[0] == pytest.approx(load)
    assert wait[0] == pytest.approx(load / 2 / (1 - load))


def test_two_servers_by_the_one_zero_on_the_real_axis() -> None:
    """z = -exp(u (z - 1)) by halving; E[L] and P(no wait) from it as in the module."""
    load = 0.6
    low, high = -1.0, 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if middle + np.exp(load * (middle - 1)) < 0 else (low, middle)
    present = 1.2 / (2 * 0.8) + (1.2 - 1) / 2 + 1 / (1 - low)
    delay, wait = constant_service(loads=np.array([load]), servers=2)
    assert wait[0] == pytest.approx((present - 1.2) / 1.2)
    assert delay[0] == pytest.approx(1 - 0.8 / (1 - low))


@given(load=st.floats(0.0, 1.0), servers=st.sampled_from([1, 2, 5, 16, 64, 1000]))
def test_constant_service_waits_half_to_all_of_what_exponential_does(load: float, servers: int) -> None:
    delay, wait = constant_over_exponential(np.array([load]), servers)
    assert 0.5 - 1e-6 <= wait[0] <= 1.0
    assert 0.6 <= delay[0] <= 1.0 + 1e-6


def test_many_servers_are_taken_as_the_most_that_are_solved() -> None:
    loads = np.array([0.9, 0.99])
    assert np.array_equal(constant_over_exponential(loads, 4096), constant_over_exponential(loads, EXACT_SERVERS))
