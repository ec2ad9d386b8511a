"""Exact M/PH/c: mean wait and chance of waiting where the service time is a network of exponential phases, by Neuts' matrix method."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
State = tuple[int, ...]

DOUBLINGS = 60


@dataclass(frozen=True)
class Phases:
    """Chance to start in each phase, rate of each, and the phase that follows (None: the service ends). Mean 1."""

    start: tuple[float, ...]
    rates: tuple[float, ...]
    following: tuple[int | None, ...]


def erlang(count: int) -> Phases:
    """A sum of `count` equal exponential times, CV = count^-0.5."""
    following = (*range(1, count), None)
    return Phases((1.0, *(0.0,) * (count - 1)), (float(count),) * count, following)


def hyperexponential(cv: float) -> Phases:
    """One of two exponential times with balanced means, CV above 1."""
    first = (1.0 + ((cv**2 - 1.0) / (cv**2 + 1.0)) ** 0.5) / 2.0
    return Phases((first, 1.0 - first), (2.0 * first, 2.0 * (1.0 - first)), (None, None))


def _states(busy: int, phases: int) -> list[State]:
    return (
        [state for state in product(range(busy + 1), repeat=phases) if sum(state) == busy]
        if phases <= 3
        else list(_compositions(busy, phases))
    )


def _compositions(total: int, parts: int) -> list[State]:
    if parts == 1:
        return [(total,)]
    return [(first, *rest) for first in range(total + 1) for rest in _compositions(total - first, parts - 1)]


def _moved(state: State, phase: int, by: int) -> State:
    return tuple(count + by * (index == phase) for index, count in enumerate(state))


def exact_phase_type(servers: int, load: float, phases: Phases) -> tuple[float, float]:
    """Mean wait [mean service times] and chance of waiting [1], first come, first served.

    Source: Neuts, Matrix-Geometric Solutions in Stochastic Models (1981); logarithmic reduction of Latouche and Ramaswami (1993).

    >>> wait, delay = exact_phase_type(2, 0.5, Phases((1.0,), (1.0,), (None,)))  # M/M/2
    >>> round(wait, 6), round(delay, 6)
    (0.333333, 0.333333)
    """
    arrival, kinds = servers * load, len(phases.rates)
    states = [_states(busy, kinds) for busy in range(servers + 1)]
    index = [{state: at for at, state in enumerate(level)} for level in states]

    def within_and_down(busy: int) -> tuple[Floats, Floats]:
        within, down = np.zeros((len(states[busy]),) * 2), np.zeros((len(states[busy]), len(states[busy - 1])))
        for state, at in index[busy].items():
            for phase in range(kinds):
                if state[phase]:
                    rate, left = phases.rates[phase] * state[phase], _moved(state, phase, -1)
                    onward = phases.following[phase]
                    if onward is None:
                        down[at, index[busy - 1][left]] += rate
                    else:
                        within[at, index[busy][_moved(left, onward, 1)]] += rate
        return within, down

    def started(busy: int) -> Floats:
        found = np.zeros((len(states[busy]), len(states[busy + 1])))
        for state, at in index[busy].items():
            for phase, chance in enumerate(phases.start):
                if chance:
                    found[at, index[busy + 1][_moved(state, phase, 1)]] += chance
        return found

    within, out = within_and_down(servers)
    down = out @ started(servers - 1)
    size = len(states[servers])
    up = arrival * np.eye(size)
    local = within - np.diag(within.sum(axis=1) + down.sum(axis=1) + arrival)
    inverse = np.linalg.inv(-local)
    high, low = inverse @ up, inverse @ down
    first, product_of = low.copy(), high.copy()
    for _ in range(DOUBLINGS):
        both = np.linalg.inv(np.eye(size) - high @ low - low @ high)
        high, low = both @ high @ high, both @ low @ low
        first = first + product_of @ low
        product_of = product_of @ high
        if np.abs(1.0 - first.sum(axis=1)).max() < 1e-12 or np.abs(high).max() < 1e-200:
            break
    rate_matrix = up @ np.linalg.inv(-(local + up @ first))
    steps: dict[int, Floats] = {}
    for busy in range(servers, 0, -1):
        if busy == servers:
            balance = local + rate_matrix @ down
        else:
            inside, leaving = within_and_down(busy)
            balance = inside - np.diag(inside.sum(axis=1) + leaving.sum(axis=1) + arrival)
            balance = balance + steps[busy + 1] @ within_and_down(busy + 1)[1]
        steps[busy] = arrival * started(busy - 1) @ np.linalg.inv(-balance)
    level = np.array([1.0])
    below = 0.0
    for busy in range(1, servers + 1):
        below += float(level.sum())
        level = level @ steps[busy]
    geometric = np.linalg.inv(np.eye(size) - rate_matrix)
    all_busy = float((level @ geometric).sum())
    waiting = float((level @ rate_matrix @ geometric @ geometric).sum())
    return waiting / (below + all_busy) / arrival, all_busy / (below + all_busy)
