"""The event simulation: equal to a plain one step by step, and to what queueing theory and hand calculation say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.errors import InputError
from sizing.llm.batching import duration, steps_until
from sizing.llm.simulation import Limits, Simulated, StepCost, simulate, simulate_closed
from sizing.llm.traces import Trace, fixed, make_trace, poisson
from sizing.queueing import mgc
from tests.llm.simulation_reference import StepByStep

# Sums of eighths are exact in floats too, so that the schedule is the same where an arrival meets the end of a step.
EXACT = st.integers(0, 40).map(lambda eighths: eighths / 8)
# Multiples of numbers without a common measure: there the float reference has no ties to decide by rounding.
ANY = st.integers(1, 10**6).map(lambda n: n * 5e-6 / math.sqrt(1.1))


@st.composite
def cases(draw: st.DrawFn, exact: bool) -> tuple[StepCost, Limits, Trace]:
    """Small traces with all there is: preemption, both ways with prompts, speculative and cached tokens, one token.

    `exact` numbers have few binary digits, so that arrivals often fall on the boundary of a step.
    """
    costs = EXACT if exact else ANY
    batch, block = draw(st.sampled_from([1, 2, 3, 5, 8])), draw(st.sampled_from([1, 4, 16]))
    longest_prompt, longest_output = draw(st.sampled_from([(5, 40), (20, 20), (60, 5), (60, 40)]))
    limits = Limits(
        max_batch=batch,
        token_budget=batch + draw(st.sampled_from([0, 1, 7, 50])),
        kv_tokens=longest_prompt + longest_output + 2 + block + draw(st.integers(0, 150)),
        block_tokens=block,
        chunked=draw(st.booleans()),
        tokens_per_step=draw(st.sampled_from([1.0, 1.25, 1.5, 3.0] if exact else [1.0, 1.07, 1.7, 2.33])),
    )
    cost = StepCost(
        decode_ms=np.array(draw(st.lists(costs, min_size=batch + 1, max_size=batch + 1))) + 0.125,
        kv_ms_per_token=draw(costs) / 64,
        prompt_ms_per_token=draw(costs) / 4,
        attention_ms_per_token2=draw(st.sampled_from([0.0, 1 / 64])),
        request_ms=draw(st.sampled_from([0.0, 2.5])),
    )
    count = draw(st.integers(1, 25))
    spread = draw(st.sampled_from([1, 20, 400])) * count
    moments = (
        st.integers(0, spread).map(lambda n: n / 1024)
        if exact
        else st.integers(0, spread * 100).map(lambda n: n * 1e-5 / math.pi)
    )
    prompt = np.array(draw(st.lists(st.integers(1, longest_prompt), min_size=count, max_size=count)))
    return (
        cost,
        limits,
        Trace(
            arrival_s=np.sort(draw(st.lists(moments, min_size=count, max_size=count))),
            prompt_tokens=prompt,
            output_tokens=np.array(draw(st.lists(st.integers(1, longest_output), min_size=count, max_size=count))),
            cached_tokens=np.minimum(draw(st.sampled_from([0, 0, 3, 60])), prompt),
        ),
    )


def assert_same(found: Simulated, reference: StepByStep, *, relative: float) -> None:
    sequences, outside = reference.sequences, reference.cost.request_ms
    assert found.steps == reference.steps
    assert found.preemptions.tolist() == [sequence.preemptions for sequence in sequences]
    assert found.peak_kv_tokens == reference.peak_blocks * reference.limits.block_tokens
    ttft = np.array([sequence.first_ms - sequence.arrival_ms + outside for sequence in sequences])
    e2e = np.array([sequence.end_ms - sequence.arrival_ms + outside for sequence in sequences])
    np.testing.assert_allclose(found.ttft_ms, ttft, rtol=relative)
    np.testing.assert_allclose(found.e2e_ms, e2e, rtol=relative)
    assert found.busy_s * 1000 == pytest.approx(reference.busy_ms, rel=max(relative, 1e-15))


@settings(max_examples=300, deadline=None)
@given(cases(exact=True))
def test_equal_to_step_by_step_with_ties(case: tuple[StepCost, Limits, Trace]) -> None:
    assert_same(simulate(*case), StepByStep(*case), relative=0.0)


@settings(max_examples=300, deadline=None)
@given(cases(exact=False))
def test_equal_to_step_by_step(case: tuple[StepCost, Limits, Trace]) -> None:
    assert_same(simulate(*case), StepByStep(*case), relative=1e-9)


@settings(max_examples=150, deadline=None)
@given(cases(exact=True), st.integers(1, 12), st.sampled_from([0, 5, 300]), st.sampled_from([0, 64, 1024]))
def test_closed_loop_equal_to_step_by_step(
    case: tuple[StepCost, Limits, Trace], clients: int, think_ms: int, stagger_1024ths: int
) -> None:
    cost, limits, trace = case
    count, stagger_s = len(trace.arrival_s), stagger_1024ths / 1024
    found = simulate_closed(
        cost,
        limits,
        clients=clients,
        requests=count,
        prompt_tokens=trace.prompt_tokens,
        output_tokens=trace.output_tokens,
        cached_tokens=trace.cached_tokens,
        think_s=think_ms / 1000,
        stagger_s=stagger_s,
    )
    sent = Trace(np.arange(count) * stagger_s, trace.prompt_tokens, trace.output_tokens, trace.cached_tokens)
    assert_same(found, StepByStep(cost, limits, sent, clients=clients, think_ms=think_ms), relative=1e-12)


def linear_cost(batch: int, *, kv: float = 3e-5, prompt: float = 0.03, request: float = 0.0) -> StepCost:
    return StepCost(8.0 + 0.05 * np.arange(batch + 1), kv, prompt, 1e-6, request)


def test_equal_to_step_by_step_at_real_size() -> None:
    # A card that is short of memory: 60 % of load, long replies, many preemptions.
    trace = make_trace(
        rate_per_s=8, count=150, prompt_tokens=800, output_tokens=300, prompt_cv=1.0, output_cv=1.0, seed=5
    )
    limits = Limits(max_batch=64, token_budget=512, kv_tokens=12_000)
    found, reference = simulate(linear_cost(64), limits, trace), StepByStep(linear_cost(64), limits, trace)
    assert found.preemptions.sum() > 20
    assert_same(found, reference, relative=1e-9)


def test_preemption_by_hand() -> None:
    # Two sequences of 4 + 4 tokens in 3 blocks of 4: both need a second block in the first decoding step, the second
    # gives way, and comes back with a prompt of 5 (two blocks) when the first has ended.
    cost = StepCost(np.array([1.0, 10.0, 10.0]), kv_ms_per_token=0.0, prompt_ms_per_token=0.5)
    limits = Limits(max_batch=2, token_budget=100, kv_tokens=12, block_tokens=4)
    done = simulate(cost, limits, Trace(np.zeros(2), fixed(4, 2), fixed(4, 2)))
    assert done.preemptions.tolist() == [0, 1]
    assert done.ttft_ms.tolist() == [5.0, 5.0]
    # 5 + 3 x 10 for the first; then 1 + 5 x 0.5 for the prompt again, which gives a token, and two more steps.
    assert done.e2e_ms.tolist() == [35.0, 35.0 + 3.5 + 20.0]
    assert done.peak_kv_tokens == 8


def test_whole_prompts_stop_decoding_and_chunks_do_not() -> None:
    cost = StepCost(np.array([1.0, 10.0, 10.0]), kv_ms_per_token=0.0, prompt_ms_per_token=0.5)
    trace = Trace(np.array([0.0, 0.0215]), fixed(20, 2), np.array([5, 1]))
    whole = simulate(cost, Limits(2, 12, 1000, chunked=False), trace)
    # First token at 11, steps to 21 and 31, then the prompt of the second, 11 ms, then two more steps.
    assert whole.e2e_ms.tolist() == [11 + 2 * 10 + 11 + 2 * 10, 31 + 11 - 21.5]
    chunked = simulate(cost, Limits(2, 12, 1000), trace)
    # Chunks of 12 and 8 to 12 ms; a decoding step to 22, two with chunks of 11 and 9 beside, one more to 62.
    assert chunked.ttft_ms.tolist() == [(1 + 6) + (1 + 4), 22 + (10 + 5.5) + (10 + 4.5) - 21.5]
    assert chunked.e2e_ms[0] == 62
    assert chunked.steps == 2 + 1 + 2 + 1


def test_nobody_waits_without_load() -> None:
    cost = StepCost(np.array([2.0, 10.0, 11.0]), 0.25, 0.5, 1 / 64, request_ms=5.0)
    done = simulate(cost, Limits(2, 40, 1000), Trace(np.arange(5) * 100.0, fixed(100, 5), fixed(3, 5), fixed(20, 5)))
    # 80 tokens after 20 cached ones, in two chunks of 40.
    prompt_ms = 2 * 2 + 80 * 0.5 + (40 * (20 + 20) + 40 * (60 + 20)) / 64
    assert (done.ttft_ms == 5 + prompt_ms).all()
    assert (done.tpot_ms == 10 + 0.25 * 101.5).all()
    assert done.busy_s == pytest.approx(5 * (prompt_ms + 20 + 0.25 * 203) / 1000)


@pytest.mark.parametrize("utilization", [0.5, 0.8])
def test_one_at_a_time_is_md1(utilization: float) -> None:
    # Prompt step 12 ms and four decoding steps of 10 ms: a constant service of 52 ms.
    cost = StepCost(np.array([2.0, 10.0]), kv_ms_per_token=0.0, prompt_ms_per_token=0.1)
    rate, count = utilization / 0.052, 60_000
    done = simulate(
        cost, Limits(1, 200, 10_000), Trace(poisson(rate, count, seed=7), fixed(100, count), fixed(5, count))
    )
    waits = done.ttft_ms - 12.0
    assert waits.mean() == pytest.approx(utilization / (2 * (1 - utilization)) * 52.0, rel=0.05)
    theory = mgc(arrival_per_s=rate, service_mean_ms=52.0, service_cv=0.0, servers=1)
    assert done.percentile("e2e_ms", 95) == pytest.approx(theory.p95_ms, rel=0.05)
    assert done.percentile("e2e_ms", 99) == pytest.approx(theory.p99_ms, rel=0.08)
    assert done.busy_s == pytest.approx(count * 0.052)
    assert done.busy_s / done.horizon_s == pytest.approx(utilization, rel=0.02)


def test_what_goes_in_comes_out() -> None:
    trace = make_trace(
        rate_per_s=9, count=600, prompt_tokens=900, output_tokens=200, prompt_cv=0.8, output_cv=0.8, seed=2
    )
    cost = StepCost(np.full(33, 0.0), 0.0, 1.0, request_ms=4.0)
    done = simulate(cost, Limits(32, 2048, 500_000), trace)
    # Only prompt tokens cost time here, so that busy time counts them.
    assert done.busy_s * 1000 == pytest.approx(trace.prompt_tokens.sum())
    # Only sequences that decode cost time here: of a batch of any size, one millisecond each.
    done = simulate(StepCost(np.arange(33.0), 0.0, 0.0), Limits(32, 2048, 500_000), trace)
    assert done.busy_s * 1000 == pytest.approx((trace.output_tokens - 1).sum())
    assert done.busy_s <= done.horizon_s
    assert (done.finished_s >= trace.arrival_s).all()
    assert done.finished_s == pytest.approx(trace.arrival_s + done.e2e_ms / 1000)
    assert np.isnan(done.tpot_ms).tolist() == (trace.output_tokens == 1).tolist()


def test_events_are_few_where_decoding_is_long() -> None:
    trace = make_trace(rate_per_s=0.5, count=200, prompt_tokens=500, output_tokens=2000, output_cv=0.5, seed=3)
    done = simulate(linear_cost(64), Limits(64, 2048, 1_000_000), trace)
    assert done.steps > 30_000
    assert done.events <= 5 * 200  # arrival, prompt, end: however many steps lie between


@pytest.mark.parametrize("gain", [1.0, 0.9, 0.5])
def test_faster_is_never_slower(gain: float) -> None:
    # One at a time, and when all arrive together (then no time decides what goes into a step), each reply is earlier.
    # With arrivals during steps a faster replica may pack prompts otherwise and delay a single request.
    def times(batch: int, arrival_s: np.ndarray, factor: float) -> Simulated:
        slow = linear_cost(batch)
        cost = StepCost(slow.decode_ms * factor, 3e-5 * factor, 0.03 * factor, 1e-6)
        limits = Limits(batch, 300, 6_000)
        return simulate(cost, limits, Trace(arrival_s, fixed(700, 60), fixed(90, 60)))

    for batch, arrival_s in ((1, poisson(0.9, 60, seed=1)), (16, np.zeros(60))):
        slow, fast = times(batch, arrival_s, 1.0), times(batch, arrival_s, gain)
        assert (fast.e2e_ms <= slow.e2e_ms).all()
        assert (fast.ttft_ms <= slow.ttft_ms).all()
        assert gain == 1.0 or fast.e2e_ms.mean() < slow.e2e_ms.mean()


def test_a_slower_clock_changes_nothing_but_the_unit() -> None:
    trace = make_trace(rate_per_s=10, count=300, prompt_tokens=900, output_tokens=150, prompt_cv=1, output_cv=1, seed=4)
    slow_trace = Trace(trace.arrival_s * 4, trace.prompt_tokens, trace.output_tokens)
    base, limits = linear_cost(32), Limits(32, 1024, 20_000)
    slow = StepCost(base.decode_ms * 4, 3e-5 * 4, 0.03 * 4, 1e-6 * 4)
    one, four = simulate(base, limits, trace), simulate(slow, limits, slow_trace)
    assert one.preemptions.sum() > 0
    assert (four.steps, four.events, four.preemptions.tolist()) == (one.steps, one.events, one.preemptions.tolist())
    assert four.e2e_ms == pytest.approx(one.e2e_ms * 4)


@pytest.mark.parametrize(("clients", "think_s", "request_ms"), [(1, 0.0, 0.0), (8, 0.0, 20.0), (40, 2.0, 5.0)])
def test_little_in_a_closed_loop(clients: int, think_s: float, request_ms: float) -> None:
    done = simulate_closed(
        linear_cost(32, request=request_ms),
        Limits(32, 1024, 200_000),
        clients=clients,
        requests=150 * clients,
        prompt_tokens=500,
        output_tokens=100,
        think_s=think_s,
        stagger_s=0.05,
    )
    stay_s = done.e2e_ms.mean() / 1000 + think_s
    assert done.throughput_per_s() * stay_s == pytest.approx(clients, rel=0.02)


@pytest.mark.parametrize("clients", [1, 4, 16, 64])
def test_closed_loop_capacity_by_hand(clients: int) -> None:
    # While a client goes round once, all clients' prompts are processed and it decodes output - 1 times beside others.
    prompt, output = 800, 200
    cost = StepCost(8.0 + 0.05 * np.arange(65), 3e-5, 0.03)
    done = simulate_closed(
        cost,
        Limits(64, 2048, 1_000_000),
        clients=clients,
        requests=60 * clients,
        prompt_tokens=prompt,
        output_tokens=output,
        stagger_s=0.02,
    )
    step_ms = 8.0 + 0.05 * clients + 3e-5 * clients * (prompt + output / 2)
    turn_ms = clients * 0.03 * prompt + output * step_ms
    assert done.throughput_per_s() * output == pytest.approx(clients * output / turn_ms * 1000, rel=0.05)


def test_goodput_counts_requests_that_meet_both_targets() -> None:
    def simulated(ttft: list[float], tpot: list[float]) -> Simulated:
        n = np.zeros(len(ttft))
        return Simulated(np.array(ttft), np.array(tpot), n, n.astype(int), n, 1, 1.0, 2.0, 16, 1)

    done = simulated([10, 10, 90, 90, 10], [5, 50, 5, 50, np.nan])
    assert done.throughput_per_s() == 2.5
    assert done.goodput_per_s(ttft_target_ms=10, tpot_target_ms=5) == 1.0
    assert done.percentile("tpot_ms", 100) == 50
    assert np.isnan(simulated([1.0], [np.nan]).percentile("tpot_ms", 50))


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 10**22), st.floats(0, 1), st.integers(1, 10**7), st.integers(-2, 2))
def test_steps_until_is_the_least(first: int, share: float, about: int, off: int) -> None:
    growth = int(first * share)
    gap = max(1, duration(about, first, growth) + off)
    steps = steps_until(gap, first, growth)
    assert duration(steps, first, growth) >= gap
    assert steps == 1 or duration(steps - 1, first, growth) < gap


def test_bad_input_names_the_field() -> None:
    cost, limits = linear_cost(4), Limits(4, 64, 320)
    trace = Trace(np.zeros(1), fixed(200, 1), fixed(120, 1))
    assert simulate(cost, limits, trace).peak_kv_tokens == 320
    too_long = Trace(np.zeros(1), fixed(200, 1), fixed(121, 1))
    with pytest.raises(InputError, match=r"^kv_tokens: 320 .* 336 or more"):
        simulate(cost, limits, too_long)
    with pytest.raises(InputError, match=r"^decode_ms: "):
        simulate(linear_cost(3), limits, trace)
    with pytest.raises(InputError, match=r"^kv_ms_per_token: nan "):
        StepCost(np.ones(2), float("nan"), 0.1)
    with pytest.raises(InputError, match=r"^decode_ms: -1.0 "):
        StepCost(np.array([1.0, -1.0]), 0.0, 0.1)
    for field, values in (
        ("max_batch", (0, 64, 320)),
        ("token_budget", (8, 7, 320)),
        ("kv_tokens", (8, 64, 0)),
        ("block_tokens", (8, 64, 320, 0)),
        ("tokens_per_step", (8, 64, 320, 16, True, 0.5)),
    ):
        with pytest.raises(InputError, match=rf"^{field}: "):
            Limits(*values)  # type: ignore[arg-type]
    good = {"clients": 1, "requests": 2, "prompt_tokens": 10, "output_tokens": 10, "think_s": 0.0, "stagger_s": 0.0}
    for field, value in (
        ("clients", 0),
        ("requests", 0),
        ("prompt_tokens", 0),
        ("output_tokens", np.array([1, 2, 3])),
        ("think_s", -1.0),
        ("stagger_s", float("inf")),
    ):
        with pytest.raises(InputError, match=rf"^{field}: "):
            simulate_closed(cost, limits, **{**good, field: value})  # type: ignore[arg-type]
    done = simulate(cost, limits, trace)
    with pytest.raises(InputError, match=r"^name: "):
        done.percentile("steps", 50)
    with pytest.raises(InputError, match=r"^p: "):
        done.percentile("e2e_ms", 101)
