"""A load replayed on one replica of a deployment: bursts, spread of lengths or a trace, beside the closed form.

The speed model says what a step costs (`step_cost`), the event simulation (sizing.llm.simulation) which steps are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, nan

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.llm.batching import MAX_LIMIT, Limits, StepCost
from sizing.llm.charts import replica_of
from sizing.llm.constants import Rates, engine_rates
from sizing.llm.levers import prompt_work
from sizing.llm.models import model_of
from sizing.llm.serving import PERCENTILES, Loaded, closed_loop, open_loop, spread_of
from sizing.llm.simulation import QUANTITIES, Simulated, simulate, simulate_closed
from sizing.llm.speed import decode, prefill
from sizing.llm.traces import Trace, make_trace
from sizing.llm.work import Quantity, Work
from sizing.plan import Deployment
from sizing.scenario import LlmScenario
from sizing.units import MS_PER_S

Floats = NDArray[np.float64]

HALF_A_STEP = 0.5
"""What a request waits for the step under way when it comes, in the mean [steps]: arrivals do not know of steps."""


@dataclass(frozen=True)
class Load:
    """What reaches one replica: so many random requests of the scenario's spread, or a trace.

    A trace is of the whole deployment: every n-th request reaches one of n replicas (round robin).
    """

    requests: int = 1000
    seed: int = 1
    trace: Trace | None = None


@dataclass(frozen=True, eq=False)
class Replay:
    """Latency [ms] of each request on one replica, its percentiles (p50, p95, p99), and those of the closed form.

    Keys are ttft_ms, tpot_ms and e2e_ms. `closed` is empty where the closed form has no steady state: more arrives than
    the replica serves, or the trace has no mean rate. Rates are of one replica [1/s]; `refused` requests [1] were
    longer than the model's context or the KV cache, and were not served.
    """

    latency_ms: dict[str, Floats]
    simulated: dict[str, tuple[float, ...]]
    closed: dict[str, tuple[float, ...]]
    requests_per_s: float
    closed_requests_per_s: float | None
    goodput_per_s: float
    good_share: float
    utilization: float  # of the time from first arrival to last reply, in steps
    preemptions: int
    preempted_requests: int
    peak_kv_tokens: int
    kv_tokens: int
    refused: int
    replicas: int


def _one(value: Quantity) -> float:
    """The value of a single candidate."""
    return float(np.asarray(value, dtype=float).reshape(-1)[0])


def step_cost(work: Work, rates: Rates, max_batch: int, *, context_tokens: float) -> StepCost:
    """Cost of a step [ms] of one candidate, so that at the mean lengths it is what `decode` and `prefill` say.

    D(n) = step(n) - n x kv, with kv = max(K, A) of one sequence at the mean context [tokens] of decoding, spread evenly
    over its tokens; prompts cost what they occupy, their attention growing with the square of their length; a step of
    prompts alone adds (alone - fixed) / pp - occupied for each chunk: weights and gaps that nothing hides. Outside the
    engine pass the fixed time of a request and the (pp - 1) / pp of a pass in which other stages do other work.
    At other lengths than the mean it is linear (quadratic for attention in prompts), also for models with windows.

    Raises InputError for a batch below 1. Source: sizing.llm.speed; own.
    """
    if max_batch < 1:
        raise InputError("max_batch", max_batch, "a whole number from 1")
    sequences = np.arange(1, max_batch + 1, dtype=float)
    step, prompt = decode(work, sequences[None, :], rates), prefill(work, rates)
    scale, stages = _one(rates.scale) ** _one(work.width), _one(work.pipeline_parallel)
    kv_ms = scale * max(_one(step.kv_ms[:, -1]), _one(step.attention_ms[:, -1])) / max_batch
    occupied_ms, tokens = _one(prompt.occupied_ms), _one(work.prompt_tokens)
    attention_ms = min(scale * _one(prompt.attention_ms) / stages, occupied_ms)
    fixed_ms = min(scale * _one(rates.prefill_fixed_ms), _one(prompt.alone_ms))
    pass_ms = _one(prompt.alone_ms) - fixed_ms
    alone_ms = max(pass_ms / stages - occupied_ms, 0.0) / _one(work.prompt_chunks)
    return StepCost(
        decode_ms=np.concatenate([[alone_ms], np.maximum(step.step_ms[0] - sequences * kv_ms, 0.0)]),
        kv_ms_per_token=kv_ms / context_tokens,
        prompt_ms_per_token=(occupied_ms - attention_ms) / tokens,
        attention_ms_per_token2=2.0 * attention_ms / tokens**2,
        request_ms=fixed_ms + pass_ms * (1.0 - 1.0 / stages),
    )


def first_token_ms(cost: StepCost, context_tokens: float, chunks: float, found: Floats, rates: Rates) -> Floats:
    """What a first token takes beside the simulated steps [ms], for a request that finds so many others in flight.

    Alone: D(1), the step after the prompt. With others: (poll - 1/2) x D(n) + the unhidden part of its own pass, n the
    others and itself. So a request that waits for no other's prompt takes P_alone + D + poll x D as in
    `sizing.llm.serving`, which is fitted to measured first tokens; the half step is what the simulation counts already.
    """
    n = np.minimum(found + 1.0, len(cost.decode_ms) - 1.0)
    step_ms = cost.decode_ms[n.astype(np.intp)] + n * cost.kv_ms_per_token * context_tokens
    with_others = (_one(rates.poll_steps) - HALF_A_STEP) * step_ms + chunks * cost.decode_ms[0]
    return np.where(found > 0, np.maximum(with_others, 0.0), step_ms)


def replay(scenario: LlmScenario, catalog: Catalog, deployment: Deployment, load: Load) -> Replay:
    """Latencies [ms] of a load on one replica of the deployment, at its share of the demand, beside the closed form.

    Batch limit, KV tokens and token budget of a step are the deployment's, prompts are chunked. With users instead of a
    rate each sends again after its reply and think time, and the gaps of `load` do not count. A trace is taken as it
    stands: its own rate and lengths, and the closed form at their means.

    Raises InputError for a load out of range, or if every request is too long for the model or the KV cache.
    """
    replicas = max(1, deployment.replicas - scenario.spare_replicas)
    batch = deployment.batch or 1
    trace, rate_per_s = _demand(scenario, replicas, load)
    fits, kv_tokens = _fitting(scenario, catalog, deployment, trace)
    prompt, output, cached = (
        tokens[fits] for tokens in (trace.prompt_tokens, trace.output_tokens, trace.cached_tokens)
    )
    if load.trace is not None:
        scenario = scenario.model_copy(update=_means(prompt, output))
    work, _ = replica_of(scenario, catalog, deployment)
    rates = engine_rates(scenario.runtime, scenario.engine_version)[0]
    context = float(scenario.prompt_tokens + scenario.output_tokens // 2)
    cost = step_cost(work, rates, batch, context_tokens=context)
    limits = Limits(batch, max(scenario.max_batched_tokens, batch), kv_tokens)
    users = None if rate_per_s is not None or load.trace is not None else (scenario.concurrency or 1) / replicas
    form = _closed_form(scenario, work, rates, batch, rate_per_s, users)
    if users is None:
        done = simulate(cost, limits, Trace(trace.arrival_s[fits], prompt, output, cached))
    else:
        clients = max(1, ceil(users))
        cycle_s = scenario.think_time_s + (float(form.e2e_ms[0, 0]) / MS_PER_S if form is not None else 0.0)
        done = simulate_closed(
            cost,
            limits,
            clients=clients,
            requests=len(prompt),
            prompt_tokens=prompt,
            output_tokens=output,
            think_s=scenario.think_time_s,
            stagger_s=cycle_s / clients,
        )
    more_ms = first_token_ms(cost, context, _one(work.prompt_chunks), in_flight_found(done), rates)
    more_ms = more_ms + (_one(work.first_factor) - 1.0) * (
        done.ttft_ms + more_ms
    )  # 1 but for measurements of one's own
    latency = {"ttft_ms": done.ttft_ms + more_ms, "tpot_ms": done.tpot_ms, "e2e_ms": done.e2e_ms + more_ms}
    ttft_limit, tpot_limit = scenario.ttft_target_ms or inf, scenario.tpot_target_ms or inf
    good = (latency["ttft_ms"] <= ttft_limit) & ~(latency["tpot_ms"] > tpot_limit)
    return Replay(
        latency_ms=latency,
        simulated={name: _percentiles(values) for name, values in latency.items()},
        closed={} if form is None else {name: tuple(getattr(form, name)[0].tolist()) for name in QUANTITIES},
        requests_per_s=done.throughput_per_s(),
        closed_requests_per_s=None if form is None else float(form.requests_per_s[0]),
        goodput_per_s=done.throughput_per_s() * float(good.mean()),
        good_share=float(good.sum()) / len(fits),
        utilization=done.busy_s / done.horizon_s,
        preemptions=int(done.preemptions.sum()),
        preempted_requests=int((done.preemptions > 0).sum()),
        peak_kv_tokens=done.peak_kv_tokens,
        kv_tokens=kv_tokens,
        refused=int((~fits).sum()),
        replicas=replicas,
    )


def _means(prompt: NDArray[np.int64], output: NDArray[np.int64]) -> dict[str, object]:
    """What the closed form takes of a trace: its mean lengths and their spread, nothing else shared between requests."""
    lengths = {"prompt": prompt, "output": output}
    found: dict[str, object] = {f"{name}_tokens": max(1, round(float(x.mean()))) for name, x in lengths.items()}
    found |= {f"{name}_cv": min(float(x.std() / max(x.mean(), 1.0)), 5.0) for name, x in lengths.items()}
    return {**found, "shared_prefix_tokens": 0, "turns_per_conversation": 1.0}


def in_flight_found(done: Simulated) -> Floats:
    """Requests that each one finds in flight as it is sent [1]: those sent before it and not yet answered."""
    sent_s = done.finished_s - done.e2e_ms / MS_PER_S
    return np.arange(len(sent_s)) - np.searchsorted(np.sort(done.finished_s), sent_s, side="right").astype(float)


def _percentiles(values: Floats) -> tuple[float, ...]:
    known = values[~np.isnan(values)]
    return tuple(np.percentile(known, PERCENTILES).tolist()) if len(known) else (nan,) * len(PERCENTILES)


def _demand(scenario: LlmScenario, replicas: int, load: Load) -> tuple[Trace, float | None]:
    """Requests that reach one replica, and their mean rate [1/s]; None for users, or a trace without one."""
    if load.trace is not None:
        whole = load.trace
        names = ("arrival_s", "prompt_tokens", "output_tokens", "cached_tokens")
        mine = Trace(*(getattr(whole, name)[::replicas] for name in names))
        span_s = float(whole.arrival_s[-1] - whole.arrival_s[0])
        return mine, (len(whole.arrival_s) - 1) / span_s / replicas if span_s > 0.0 else None
    rate_per_s = None if scenario.requests_per_s is None else scenario.requests_per_s / replicas
    trace = make_trace(
        rate_per_s=rate_per_s or 1.0,
        count=load.requests,
        prompt_tokens=scenario.prompt_tokens,
        output_tokens=scenario.output_tokens,
        seed=load.seed,
        prompt_cv=scenario.prompt_cv,
        output_cv=scenario.output_cv,
        gap_squared_cv=scenario.arrival_squared_cv,
        cached_tokens=prompt_work(scenario).cached_tokens,
    )
    return trace, rate_per_s


def _fitting(
    scenario: LlmScenario, catalog: Catalog, deployment: Deployment, trace: Trace
) -> tuple[NDArray[np.bool_], int]:
    """Which requests are no longer than the model's context and the KV cache, and the tokens that it holds."""
    context = scenario.prompt_tokens + scenario.output_tokens
    kv_tokens = int(deployment.extra["kv_tokens_capacity"] or 0) - scenario.prefix_cache_tokens
    if kv_tokens < context:  # no cache that grows with the context: what is kept for each sequence bounds their number
        kv_tokens = int(deployment.extra["max_sequences"] or 1) * context
    kv_tokens = min(kv_tokens, MAX_LIMIT)
    block = Limits(1, 1, kv_tokens).block_tokens
    longest = kv_tokens // block * block
    of_model = model_of(scenario, catalog).context_length
    longest = longest if of_model is None else min(longest, of_model)
    fits = trace.prompt_tokens + trace.output_tokens <= longest
    if not fits.any():
        shortest = int((trace.prompt_tokens + trace.output_tokens).min())
        raise InputError(
            "prompt_tokens + output_tokens", shortest, f"at most {longest} for one request on this replica"
        )
    return fits, kv_tokens


def _closed_form(
    scenario: LlmScenario, work: Work, rates: Rates, batch: int, rate_per_s: float | None, users: float | None
) -> Loaded | None:
    """The same load in closed form, every length at its mean; None where it has no steady state."""
    cap = np.array([batch], dtype=np.intp)
    if users is not None:
        return closed_loop(
            work,
            clients=np.array([users]),
            think_time_s=scenario.think_time_s,
            batch_cap=cap,
            output_tokens=scenario.output_tokens,
            rates=rates,
            spread=spread_of(scenario),
        )
    if rate_per_s is None:
        return None
    arrival = np.array([rate_per_s])
    form = open_loop(
        work,
        arrival_per_s=arrival,
        batch_cap=cap,
        output_tokens=scenario.output_tokens,
        rates=rates,
        spread=spread_of(scenario),
    )
    return None if form.full[0] else form
