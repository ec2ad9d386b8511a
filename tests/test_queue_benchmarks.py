"""The truths that the queue benchmark compares with, against textbook queues."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.queue_truth import Phases, erlang, exact_phase_type, hyperexponential
from benchmarks.queues import sample, simulate_turns
from sizing.queueing import erlang_c
from sizing.queueing_constant import constant_service


@pytest.mark.parametrize(("servers", "load"), [(1, 0.5), (2, 0.8), (6, 0.9)])
def test_exponential_phases_are_erlangs_queue(servers: int, load: float) -> None:
    wait, delay = exact_phase_type(servers, load, Phases((1.0,), (1.0,), (None,)))
    assert delay == pytest.approx(erlang_c(servers=servers, offered_load=servers * load), rel=1e-9)
    assert wait == pytest.approx(delay / servers / (1 - load), rel=1e-9)


@pytest.mark.parametrize("phases", [erlang(3), hyperexponential(2.0)])
def test_one_server_is_pollaczek_khinchine(phases: Phases) -> None:
    square = 1 / 3 if len(phases.rates) == 3 else 4.0
    wait, delay = exact_phase_type(1, 0.7, phases)
    assert delay == pytest.approx(0.7, rel=1e-9)
    assert wait == pytest.approx(0.7 / 0.3 * (1 + square) / 2, rel=1e-9)


def test_many_phases_come_near_constant_service() -> None:
    wait, _ = exact_phase_type(2, 0.7, erlang(40))
    _, constant = constant_service(loads=np.array([0.7]), servers=2)
    assert wait == pytest.approx(constant[0] * (1 + 1 / 40), rel=0.01)


def test_samples_have_mean_one_and_the_cv_asked() -> None:
    random = np.random.default_rng(1)
    for name, cv in (("gamma", 0.0), ("gamma", 0.5), ("lognormal", 1.5), ("hyperexponential", 2.0)):
        values = sample(name, cv, (400_000,), random)  # type: ignore[arg-type]
        assert values.mean() == pytest.approx(1.0, abs=0.02)
        assert values.std() == pytest.approx(cv, abs=0.1)


def test_turns_have_the_exact_mean() -> None:
    assert simulate_turns(0.6, 0.0, 60_000, 3).mean() == pytest.approx(1 / 0.4, rel=0.05)
