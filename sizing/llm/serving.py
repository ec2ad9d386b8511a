"""Chunked prefill and continuous batching on one replica: throughput and latency by sequences in flight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.llm.constants import Rates
from sizing.llm.speed import Decode, Prefill, decode, prefill
from sizing.llm.work import Quantity, Work
from sizing.scenario import LlmScenario
from sizing.units import MS_PER_S

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Steady:
    """Mean latency [ms] and throughput [1/s] of one replica that holds `batch` sequences all the time."""

    ttft_ms: Floats
    tpot_ms: Floats
    e2e_ms: Floats
    requests_per_s: Floats
    decode: Decode
    prefill: Prefill


def first_share(
    prompt_ms: Floats, step_ms: Floats, output_tokens: Floats | float, batch: Floats, rates: Rates
) -> Floats:
    """Share of the others' prompts that are processed before one's own first token [1], in a closed loop.

    Odds = exp(a + b ln(time in prompts / time in steps) + c ln batch): clients that start together stay bunched, and a
    server busy with prompts hardly decodes between them. With one output token all of them come before it.

    Source: fitted on public runs, own form.
    """
    busy = np.log(np.maximum(batch * prompt_ms, 1e-9) / np.maximum(output_tokens * step_ms, 1e-9))
    odds = rates.bunch + rates.bunch_by_load * busy + rates.bunch_by_clients * np.log(np.maximum(batch, 1.0))
    share = 1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))
    return np.where(np.asarray(output_tokens) > 1.0, share, 1.0)


def _poll_ms(step_ms: Floats, batch: Floats, rates: Rates) -> Floats:
    """Wait of a request until its prompt is begun [ms]: so many decode steps where others are decoding, 0 alone."""
    return step_ms * rates.poll_steps * np.clip(batch - 1.0, 0.0, 1.0)


def first_token_scale(work: Work, rates: Rates) -> Quantity:
    """What a first token is multiplied by [1]: its own measured factor, and at an end of the interval what it is off beyond a
    step: first_scale^w x scale^(w - w_step), w the widths of first token and step."""
    return work.first_factor * rates.first_scale**work.first_width * rates.scale ** (work.first_width - work.width)


def closed_batch(work: Work, batch: Floats, output_tokens: Floats | float, rates: Rates) -> Steady:
    """Latency [ms] and throughput [1/s] with `batch` sequences in flight, each replaced as it ends.

    While a request stays, batch - 1 other prompts are processed beside it, a share s of them before its first token:
    TTFT = P_alone + D + poll x D + s x (batch - 1) x P, TPOT = D + (1 - s) x (batch - 1) x P / (output - 1),
    throughput = batch / (TTFT + (output - 1) x TPOT). With one output token all of them come before it (s = 1).

    Source: work conservation (each prompt is processed once) and Little's law; own.
    """
    step = decode(work, batch, rates)
    prompt = prefill(work, rates)
    others_ms = np.maximum(batch - 1.0, 0.0) * prompt.occupied_ms
    before = first_share(prompt.occupied_ms, step.step_ms, output_tokens, batch, rates)
    poll_ms = _poll_ms(step.step_ms, batch, rates)
    ttft_ms = prompt.alone_ms + step.step_ms + poll_ms + before * others_ms
    tpot_ms = step.step_ms + (1.0 - before) * others_ms / np.maximum(np.asarray(output_tokens) - 1.0, 1.0)
    e2e_ms = ttft_ms + (output_tokens - 1.0) * tpot_ms
    return Steady(
        ttft_ms=ttft_ms * first_token_scale(work, rates),
        tpot_ms=tpot_ms,
        e2e_ms=e2e_ms,
        requests_per_s=batch / e2e_ms * MS_PER_S,
        decode=step,
        prefill=prompt,
    )


PERCENTILES = (50, 95, 99)
_TAILS = np.array([1.0 - p / 100.0 for p in PERCENTILES])
_NORMAL_QUANTILES = np.array([0.0, 1.6449, 2.3263])  # of the standard normal law at PERCENTILES
_BISECTIONS = 24


@dataclass(frozen=True, slots=True)
class Spread:
    """How requests differ: CV of prompt and of reply lengths [1], squared CV of the gaps between arrivals [1]."""

    prompt_cv: float = 0.0
    output_cv: float = 0.0
    arrival_squared_cv: float = 1.0


EVEN = Spread()
"""Every prompt and reply of one length, arrivals at random (Poisson)."""


def spread_of(scenario: LlmScenario) -> Spread:
    """The spread that a scenario states."""
    return Spread(scenario.prompt_cv, scenario.output_cv, scenario.arrival_squared_cv)


@dataclass(frozen=True)
class Loaded:
    """Latency [ms] at p50, p95, p99 (columns) of each candidate under a load, and the rate it then serves [1/s]."""

    ttft_ms: Floats
    tpot_ms: Floats
    e2e_ms: Floats
    requests_per_s: Floats
    in_flight: Floats
    utilization: Floats
    full: NDArray[np.bool_]  # more arrives than the replica serves


@dataclass(frozen=True)
class _States:
    """Latency [ms] with n = 1, 2, ... sequences in flight (columns), and the rate at which they end [1/s]."""

    base_ms: Floats
    alone_ms: Floats
    step_ms: Floats
    tpot_ms: Floats
    ends_per_s: Floats
    prompt_ms: Floats  # of one prompt, occupied (candidates x 1)
    cap: NDArray[np.intp]


def _states(work: Work, batch_cap: NDArray[np.intp], output_tokens: int, rates: Rates) -> _States:
    n = np.arange(1, int(batch_cap.max()) + 1, dtype=float)[None, :]
    step = decode(work, n, rates)
    prompt = prefill(work, rates)
    share_ms = (n - 1.0) * prompt.occupied_ms / output_tokens
    base_ms = prompt.alone_ms + step.step_ms + _poll_ms(step.step_ms, n, rates)
    e2e_ms = base_ms + (output_tokens - 1) * step.step_ms + (n - 1.0) * prompt.occupied_ms
    ends = np.maximum.accumulate(n / e2e_ms * MS_PER_S, axis=1)
    return _States(
        base_ms=base_ms,
        alone_ms=prompt.alone_ms,
        step_ms=step.step_ms,
        tpot_ms=step.step_ms + (share_ms if output_tokens > 1 else 0.0),
        ends_per_s=ends,
        prompt_ms=prompt.occupied_ms,
        cap=batch_cap,
    )


def _at(table: Floats, count: NDArray[np.intp]) -> Floats:
    """Columns of a table over n = 1, 2, ... at given counts, row by row."""
    return np.take_along_axis(table, np.maximum(count, 1) - 1, axis=1)


def capacity_per_s(work: Work, batch_cap: NDArray[np.intp], output_tokens: int, rates: Rates) -> Floats:
    """Requests that each candidate can finish at most [1/s]: batch / (P_alone + output x D + (batch - 1) x P) at the
    batch limit."""
    batch = batch_cap[:, None].astype(float)
    return closed_batch(work, batch, float(output_tokens), rates).requests_per_s[:, 0]


def open_loop(
    work: Work,
    *,
    arrival_per_s: Floats,
    batch_cap: NDArray[np.intp],
    output_tokens: int,
    rates: Rates,
    spread: Spread = EVEN,
) -> Loaded:
    """Latency percentiles [ms] of each candidate when requests arrive at random.

    Sequences in flight are a birth-death chain: P(n) ~ product of arrival / (k / E2E(k)), k up to the batch limit,
    geometric beyond. TPOT is that of the batch which an arrival finds, plus itself. TTFT = its prompt + a step + the
    wait for other prompts (`_prompt_wait`) + the wait for a free slot: exponential with mean (ca^2 + co^2) / (2 x spare
    rate), ca^2 that of the gaps, co the CV of replies: half of what exponential service would give where all are alike.
    Bursts widen the number in flight by the square root of their peakedness (1 + ca^2) / 2; one's own prompt adds its
    variance.

    Source: Kleinrock 1975, chapter 3 (birth-death); Poisson arrivals see time averages (Wolff 1982); slot wait:
    Kingman 1962 in heavy traffic; peakedness: Whitt 1984, "Heavy-traffic approximations for service systems with
    blocking"; own combination, compared with the simulation in benchmarks/REPLAY.md.
    """
    states = _states(work, batch_cap, output_tokens, rates)
    arrival = np.maximum(arrival_per_s, 1e-12)[:, None]
    cap = batch_cap[:, None]
    at_cap = _at(states.ends_per_s, cap)
    utilization = arrival / at_cap
    full = utilization[:, 0] >= 1.0
    ratio = np.minimum(utilization, 1.0 - 1e-9)
    counts = np.arange(1, states.ends_per_s.shape[1] + 1)[None, :]
    logs = np.cumsum(np.log(arrival) - np.log(states.ends_per_s), axis=1)
    logs = np.where(counts <= cap, logs, -np.inf)
    logs = np.concatenate([np.zeros((logs.shape[0], 1)), logs], axis=1)
    law = np.exp(logs - logs.max(axis=1, keepdims=True))
    at_limit = np.take_along_axis(law, cap, axis=1)
    np.put_along_axis(law, cap, at_limit / (1.0 - ratio), axis=1)
    law /= law.sum(axis=1, keepdims=True)
    below = np.cumsum(law, axis=1)
    found = np.stack([(below < 1.0 - tail - 1e-12).sum(axis=1) for tail in _TAILS], axis=1)
    mean_in_flight = (law * np.minimum(np.arange(law.shape[1])[None, :], cap)).sum(axis=1)
    peaked = (1.0 + spread.arrival_squared_cv) / 2.0
    if peaked != 1.0:
        mean = mean_in_flight[:, None]
        found = np.maximum(np.ceil(mean + (found - mean) * np.sqrt(peaked)), 0.0).astype(np.intp)
    with_self = np.minimum(found + 1, cap)
    waits_slot = np.take_along_axis(law, cap, axis=1) ** (1.0 / peaked)
    uneven = spread.arrival_squared_cv + spread.prompt_cv**2
    mean_ms, squared_cv = _prompt_wait(arrival / MS_PER_S, states.prompt_ms, _at(states.step_ms, with_self), uneven)
    squared_cv = squared_cv + (spread.prompt_cv * states.alone_ms / mean_ms) ** 2
    slot_wait_ms = MS_PER_S / (at_cap * (1.0 - ratio)) / 2.0 * (spread.arrival_squared_cv + spread.output_cv**2)
    wait_ms = _wait_quantiles(mean_ms, squared_cv, waits_slot, slot_wait_ms)
    half_step_ms = _at(states.step_ms, with_self) / 2.0  # in the mean wait for the step under way: poll has it already
    own_ms = states.alone_ms * _longer(spread.prompt_cv)
    wait_ms = np.where(with_self > 1, np.maximum(wait_ms - half_step_ms, own_ms), own_ms)
    ttft_ms = (_at(states.base_ms, with_self) + wait_ms) * first_token_scale(work, rates)
    tpot_ms = _at(states.tpot_ms, with_self)
    return Loaded(
        ttft_ms=ttft_ms,
        tpot_ms=tpot_ms,
        e2e_ms=ttft_ms + (output_tokens * (1.0 + _longer(spread.output_cv)) - 1.0) * tpot_ms,
        requests_per_s=np.minimum(arrival_per_s, at_cap[:, 0]),
        in_flight=mean_in_flight,
        utilization=utilization[:, 0],
        full=full,
    )


def _longer(cv: float) -> Floats:
    """How much longer than the mean a lognormal length is at PERCENTILES, as a share of the mean [1]; at least 0."""
    log_variance = np.log1p(cv**2)
    return np.maximum(np.exp(_NORMAL_QUANTILES * np.sqrt(log_variance) - log_variance / 2.0) - 1.0, 0.0)


def _prompt_wait(
    arrival_per_ms: Floats, prompt_ms: Floats, step_ms: Floats, uneven: float = 1.0
) -> tuple[Floats, Floats]:
    """Wait [ms] for the step under way and for the prompts in one's own step: mean, and squared CV [1].

    A step takes in all that came during the one before: S' = D + P x Poisson(arrival x S). So with r = arrival x P its
    mean is m = D / (1 - r), its variance v = r P m / (1 - r^2), its third central moment t = (r P^2 m + 3 r^2 P v) /
    (1 - r^3). An arrival falls into a step of mean L = m + v / m and variance V = t / m + v - (v / m)^2. It waits for
    the rest of that, uniform, and for the prompts of all others who came in it, before or after: mean L (1/2 + r),
    variance (L^2 + V) / 12 + r P L + (1/2 + r)^2 V. Where gaps or prompts are uneven, what a stretch of time brings varies
    k = ca^2 + cp^2 times as much: P becomes k P in each variance.

    Source: own; gated service as in Takagi 1986, "Analysis of Polling Systems", with one queue.
    """
    r = np.minimum(arrival_per_ms * prompt_ms, 1.0 - 1e-9)
    m = step_ms / (1.0 - r)
    jump_ms = uneven * prompt_ms
    v = r * jump_ms * m / (1.0 - r**2)
    third = (r * jump_ms**2 * m + 3.0 * r**2 * jump_ms * v) / (1.0 - r**3)
    met, met_variance = m + v / m, third / m + v - (v / m) ** 2
    mean_ms = met * (0.5 + r)
    variance = (met**2 + met_variance) / 12.0 + r * jump_ms * met + (0.5 + r) ** 2 * met_variance
    return mean_ms, variance / mean_ms**2


def _wait_quantiles(mean_a_ms: Floats, squared_cv: Floats, chance_b: Floats, mean_b_ms: Floats) -> Floats:
    """Quantiles [ms] at PERCENTILES of a gamma wait plus one that is exponential with a chance, else 0; by bisection.

    Tail = (1 - c) G(t) + c exp(-(t - a) / b), the gamma wait taken at its mean a where the other counts.
    Source: gamma tail by Wilson and Hilferty 1931, normal tail by Page 1977 (to 0.0002).
    """
    high = mean_a_ms * (1.0 + 8.0 * squared_cv + 8.0 * np.sqrt(squared_cv)) + np.log(4.0 / _TAILS) * mean_b_ms
    low = np.zeros_like(high)
    third = squared_cv / 9.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        z = np.clip((np.cbrt(middle / mean_a_ms) - 1.0 + third) / np.sqrt(third), -6.0, 6.0)
        gamma = 1.0 / (1.0 + np.exp(1.5976 * z + 0.07056 * z**3))
        slot = np.exp(np.minimum((mean_a_ms - middle) / mean_b_ms, 0.0))
        above = (1.0 - chance_b) * gamma + chance_b * slot > _TAILS
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.asarray(high)


def closed_loop(
    work: Work,
    *,
    clients: Floats,
    think_time_s: float,
    batch_cap: NDArray[np.intp],
    output_tokens: int,
    rates: Rates,
    spread: Spread = EVEN,
) -> Loaded:
    """Latency percentiles [ms] of each candidate when so many clients each wait for their reply, then think.

    The batch n solves n + think x n / E2E(n) = clients; above the batch limit the rest queue for a slot. Others'
    prompts delay the
    first token by 0 to twice their mean share; with think time the batch varies like a binomial law. Long prompts and
    replies add what they take beyond the mean.

    Source: Little's law; spread: normal approximation, own.
    """
    states = _states(work, batch_cap, output_tokens, rates)
    cap = batch_cap[:, None]
    counts = np.arange(1, states.ends_per_s.shape[1] + 1)[None, :]
    held = counts + states.ends_per_s * think_time_s
    users = clients[:, None]
    batch = np.minimum((held < users - 1e-9).sum(axis=1, keepdims=True) + 1, cap)
    ends = _at(states.ends_per_s, batch)
    rate = np.minimum(ends, users / (think_time_s + batch / ends))
    at_cap = _at(states.ends_per_s, cap)
    share = np.clip(batch / users, 0.0, 1.0)
    deviation = np.sqrt(users * share * (1.0 - share)) if think_time_s > 0 else np.zeros_like(users)
    most = np.minimum(np.ceil(users), cap)
    seen = np.clip(np.ceil(batch + deviation * _NORMAL_QUANTILES), 1, most).astype(np.intp)
    others_ms = (seen - 1.0) * states.prompt_ms
    quantile = np.array(PERCENTILES) / 100.0
    queue_ms = np.maximum(users / at_cap - think_time_s, 0.0) * MS_PER_S - cap / at_cap * MS_PER_S
    wait_ms = np.where(users > cap, np.maximum(queue_ms, 0.0), 0.0)
    step_ms = _at(states.tpot_ms, seen) - (others_ms / output_tokens if output_tokens > 1 else 0.0)
    before = first_share(states.prompt_ms, step_ms, output_tokens, seen.astype(float), rates)
    ahead_ms = np.minimum(2.0 * before * quantile, 1.0) * others_ms
    own_ms = states.alone_ms * _longer(spread.prompt_cv)
    ttft_ms = (_at(states.base_ms, seen) + ahead_ms + wait_ms + own_ms) * first_token_scale(work, rates)
    tpot_ms = step_ms + (1.0 - before) * others_ms / max(output_tokens - 1, 1)
    return Loaded(
        ttft_ms=ttft_ms,
        tpot_ms=tpot_ms,
        e2e_ms=ttft_ms + (output_tokens * (1.0 + _longer(spread.output_cv)) - 1.0) * tpot_ms,
        requests_per_s=rate[:, 0],
        in_flight=batch[:, 0].astype(float),
        utilization=(rate / at_cap)[:, 0],
        full=np.zeros(len(batch_cap), dtype=bool),
    )


def uniform_tpot_ms(work: Work, batch: Floats, output_tokens: int, rates: Rates) -> tuple[Floats, Floats]:
    """TPOT [ms] at each batch, and TTFT [ms] without any wait, of each candidate (columns: batch sizes).

    TPOT = D + (batch - 1) x P / output: other prompts fall evenly over the stay of a request.
    """
    step = decode(work, batch, rates)
    prompt = prefill(work, rates)
    share_ms = (batch - 1.0) * prompt.occupied_ms / output_tokens if output_tokens > 1 else 0.0
    return step.step_ms + share_ms, (prompt.alone_ms + step.step_ms) * work.first_factor
