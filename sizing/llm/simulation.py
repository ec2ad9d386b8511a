"""Event simulation of one replica under a load: each request's TTFT, TPOT and E2E, exact to the step.

An open loop is a trace of arrivals; in a closed loop each client sends its next request after a reply. The rules of
the replica, and how it jumps from event to event, are in sizing.llm.batching.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.errors import InputError
from sizing.llm.batching import TICKS_PER_MS, Limits, Replica, StepCost, ticks_of
from sizing.llm.traces import MAX_ROWS, Trace
from sizing.units import MS_PER_S

__all__ = ["Limits", "Simulated", "StepCost", "simulate", "simulate_closed"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

QUANTITIES = ("ttft_ms", "tpot_ms", "e2e_ms")


@dataclass(frozen=True, eq=False)
class Simulated:
    """Per request, in order of arrival: TTFT, TPOT and E2E [ms], preemptions [1], end of the reply [s]; and the run.

    TPOT = (E2E - TTFT) / (output - 1), NaN for one output token. `steps` of the engine [1] took `busy_s` of the
    `horizon_s` from first arrival to last reply; `events` [1] is how often the simulation had to look.
    `peak_kv_tokens` counts whole blocks.

    >>> cost = StepCost(np.array([2.0, 10.0]), kv_ms_per_token=0.0, prompt_ms_per_token=0.5)
    >>> trace = Trace(np.array([0.0, 0.5]), np.array([100, 200]), np.array([11, 11]))
    >>> done = simulate(cost, Limits(max_batch=1, token_budget=500, kv_tokens=1000), trace)
    >>> done.percentile("ttft_ms", 50), done.percentile("tpot_ms", 99), done.horizon_s  # TTFT 52 and 102 ms
    (77.0, 10.0, 0.702)
    >>> round(done.throughput_per_s(), 2), round(done.goodput_per_s(ttft_target_ms=100, tpot_target_ms=20), 2)
    (2.85, 1.42)
    """

    ttft_ms: Floats
    tpot_ms: Floats
    e2e_ms: Floats
    preemptions: Whole
    finished_s: Floats
    steps: int
    busy_s: float
    horizon_s: float
    peak_kv_tokens: int
    events: int

    def percentile(self, name: str, p: float) -> float:
        """Percentile p of a quantity of QUANTITIES over all requests that have it [ms]; NaN if none has.

        Linear between order statistics. Raises InputError for another name or p out of 0 to 100.
        """
        if name not in QUANTITIES:
            raise InputError("name", name, ", ".join(QUANTITIES))
        if not 0.0 <= p <= 100.0:
            raise InputError("p", p, "a number from 0 to 100")
        values: Floats = getattr(self, name)
        values = values[~np.isnan(values)]
        return float(np.percentile(values, p)) if len(values) else math.nan

    def throughput_per_s(self) -> float:
        """Requests per second [1/s]: count / horizon, filling and draining included."""
        return len(self.e2e_ms) / self.horizon_s if self.horizon_s > 0.0 else math.inf

    def goodput_per_s(self, ttft_target_ms: float, tpot_target_ms: float) -> float:
        """Requests per second [1/s] whose own TTFT and TPOT both meet their target; one output token has no TPOT."""
        good = (self.ttft_ms <= ttft_target_ms) & ~(self.tpot_ms > tpot_target_ms)
        return self.throughput_per_s() * float(good.mean())


def simulate(cost: StepCost, limits: Limits, trace: Trace) -> Simulated:
    """Latencies [ms] of each request of a trace on one replica, first come first served; see the module for the rules.

    Raises InputError if `cost.decode_ms` is too short for the batch or a request can never fit the KV cache.
    Source: see the module; checked against a simulation step by step (tests/llm/simulation_reference.py).

    >>> cost = StepCost(np.array([2.0, 10.0]), kv_ms_per_token=0.0, prompt_ms_per_token=0.5)
    >>> trace = Trace(np.array([0.0, 0.01]), np.array([100, 100]), np.array([11, 1]))
    >>> done = simulate(cost, Limits(max_batch=1, token_budget=50, kv_tokens=1000), trace)
    >>> done.ttft_ms, done.tpot_ms  # two chunks of 2 + 50 x 0.5 ms; the second waits for 54 + 10 x 10 - 10 ms
    (array([ 54., 198.]), array([10., nan]))
    """
    arrival = [ticks_of(second * MS_PER_S) for second in trace.arrival_s.tolist()]
    return _run(cost, limits, trace, arrival)


def simulate_closed(
    cost: StepCost,
    limits: Limits,
    *,
    clients: int,
    requests: int,
    prompt_tokens: int | Whole,
    output_tokens: int | Whole,
    cached_tokens: int | Whole = 0,
    think_s: float = 0.0,
    stagger_s: float = 0.0,
) -> Simulated:
    """Latencies [ms] of `requests` requests in order of sending, when each client sends its next after its reply.

    A client sends again `think_s` after its reply is complete; client k sends first at k x `stagger_s`. Lengths
    [tokens] are one for all, or arrays of shape (requests,) in order of sending. Raises InputError.
    Source: as `simulate`.

    >>> cost = StepCost(np.array([2.0, 10.0, 10.0]), kv_ms_per_token=0.0, prompt_ms_per_token=0.5)
    >>> limits = Limits(max_batch=2, token_budget=500, kv_tokens=1000)
    >>> done = simulate_closed(cost, limits, clients=1, requests=3, prompt_tokens=100, output_tokens=5)
    >>> done.e2e_ms, round(done.throughput_per_s(), 2)
    (array([92., 92., 92.]), 10.87)
    """
    for name, count in (("clients", clients), ("requests", requests)):
        if not 1 <= count <= MAX_ROWS:
            raise InputError(name, count, f"a whole number from 1 to {MAX_ROWS}")
    for name, seconds in (("think_s", think_s), ("stagger_s", stagger_s)):
        if not 0.0 <= seconds < math.inf:
            raise InputError(name, seconds, "a finite number of seconds, 0 or more")
    prompt, output, cached = (_each(tokens, requests) for tokens in (prompt_tokens, output_tokens, cached_tokens))
    trace = Trace(np.zeros(requests), prompt, output, cached)
    sent_first = [ticks_of(client * stagger_s * MS_PER_S) for client in range(min(clients, requests))]
    resend = ticks_of(cost.request_ms + think_s * MS_PER_S)
    return _run(cost, limits, trace, sent_first, resend)


def _run(cost: StepCost, limits: Limits, trace: Trace, arrival: list[int], resend: int = 0) -> Simulated:
    replica = Replica(cost, limits, trace, arrival, resend)
    replica.run()
    sent, first, end = (np.array(times, dtype=object) for times in (replica.arrival, replica.first, replica.end))
    outside = ticks_of(cost.request_ms)
    more = trace.output_tokens > 1
    tpot_ms = np.full(len(more), np.nan)
    tpot_ms[more] = _ms(end - first)[more] / (trace.output_tokens[more] - 1)
    return Simulated(
        ttft_ms=_ms(first - sent + outside),
        tpot_ms=tpot_ms,
        e2e_ms=_ms(end - sent + outside),
        preemptions=np.array(replica.preemptions),
        finished_s=_ms(end + outside) / MS_PER_S,
        steps=replica.steps,
        busy_s=replica.busy / TICKS_PER_MS / MS_PER_S,
        horizon_s=(max(replica.end) + outside - replica.arrival[0]) / TICKS_PER_MS / MS_PER_S,
        peak_kv_tokens=(replica.blocks.total - replica.blocks.least_free) * limits.block_tokens,
        events=replica.events,
    )


def _ms(ticks: NDArray[np.object_]) -> Floats:
    return np.asarray(ticks / TICKS_PER_MS, dtype=np.float64)


def _each(tokens: int | Whole, count: int) -> Whole:
    return np.full(count, tokens) if np.ndim(tokens) == 0 else np.asarray(tokens)
