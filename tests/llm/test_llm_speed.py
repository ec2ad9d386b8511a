"""Speed of language models: never faster than physics, never slower with a better part, and queues that behave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.llm.constants import UNITS, rates, stated
from sizing.llm.formats import compute_peak, scheme_of
from sizing.llm.serving import (
    Loaded,
    Spread,
    _prompt_wait,
    _wait_quantiles,
    capacity_per_s,
    closed_batch,
    closed_loop,
    open_loop,
)
from sizing.llm.sharding import Split
from sizing.llm.speed import decode, prefill
from sizing.llm.work import Work, model_work, select, stack, work_of

CATALOG = load()
PARTS = ["h100-sxm-80gb", "a100-sxm-80gb", "l4", "t4", "mi300x", "b200-sxm-180gb"]
MODELS = ["llama-3.1-8b", "llama-2-70b-hf", "mixtral-8x7b-v0.1", "deepseek-v3", "qwen3-next-80b-a3b-instruct"]


def work(
    model: str = "llama-3.1-8b",
    part: str = "h100-sxm-80gb",
    *,
    tp: int = 1,
    pp: int = 1,
    weights: str = "bf16",
    prompt: int = 1000,
    output: int = 250,
    **changes: object,
) -> Work:
    row, accelerator = CATALOG.llm_model(model), CATALOG.accelerator(part).model_copy(update=changes)
    shape = model_work(
        row, weight_format=weights, kv_format="bf16", split=Split(tp), prompt_tokens=prompt, output_tokens=output
    )
    one = work_of(
        row,
        accelerator,
        shape,
        generation="vllm",
        weight_format=weights,
        split=Split(tp, pp),
        prompt_tokens=prompt,
        max_batched_tokens=8192,
    )
    return stack([one])


BATCHES = np.array([[1.0, 4.0, 16.0, 64.0, 256.0]])
CENTRE, SLOW, FAST = rates("vllm")


@settings(max_examples=40, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    part=st.sampled_from(PARTS),
    tp=st.sampled_from([1, 2, 4, 8]),
    pp=st.sampled_from([1, 2]),
    prompt=st.integers(1, 20_000),
    gain=st.floats(1.0, 4.0),
)
def test_physics_and_order(model: str, part: str, tp: int, pp: int, prompt: int, gain: float) -> None:
    base = work(model, part, tp=tp, pp=pp, prompt=prompt)
    row = CATALOG.accelerator(part)
    for case in (CENTRE, SLOW, FAST):
        step = decode(base, BATCHES, case)
        assert (step.step_ms >= step.bound_ms).all()
        assert (np.diff(step.step_ms, axis=1) >= -1e-9).all()
        prompt_time = prefill(base, case)
        assert (prompt_time.alone_ms >= prompt_time.bound_ms).all()
    assert (decode(base, BATCHES, FAST).step_ms <= decode(base, BATCHES, CENTRE).step_ms).all()
    assert (decode(base, BATCHES, CENTRE).step_ms <= decode(base, BATCHES, SLOW).step_ms).all()
    wider = work(
        model, part, tp=tp, pp=pp, prompt=prompt, memory_bandwidth_gb_per_s=row.memory_bandwidth_gb_per_s * gain
    )
    assert (decode(wider, BATCHES, CENTRE).step_ms <= decode(base, BATCHES, CENTRE).step_ms + 1e-9).all()
    assert (prefill(wider, CENTRE).alone_ms <= prefill(base, CENTRE).alone_ms + 1e-9).all()


def test_bound_is_weights_over_bandwidth() -> None:
    """Llama-3.1-8B at batch 1: its matrices and head, 2 bytes each, over 3,350 GB/s, and a little KV cache."""
    bound = decode(work(), np.array([[1.0]]), CENTRE).bound_ms[0, 0]
    weights_ms = (8_030_261_248 - 525_336_576) * 2 / 3350e9 * 1000
    assert weights_ms < bound < weights_ms * 1.02


def test_no_constant_beats_physics() -> None:
    for engine in stated()["engines"].values():
        assert engine["constants"].keys() == UNITS.keys()
        for name, row in engine["constants"].items():
            assert row["low"] <= row["value"] <= row["high"]
            if UNITS[name][0].startswith("share of"):
                assert 0.0 < row["high"] <= 1.0
        for slow_side, fast_side in (engine["interval"]["step"][::-1], engine["interval"]["first_token"][::-1]):
            assert fast_side < 1.0 < slow_side


def test_experts_read_grow_with_batch() -> None:
    mixtral = work("mixtral-8x7b-v0.1")
    step = decode(mixtral, np.array([[1.0, 64.0]]), CENTRE)
    grown = float(np.ravel(mixtral.expert_weight_bytes)[0]) * 0.75  # 2 of 8 experts at batch 1, all of them at 64
    cache = 63 * float(np.ravel(mixtral.kv_bytes_per_sequence)[0])
    per_byte_ms = 1000 / 3350e9
    assert step.weights_ms[0, 1] - step.weights_ms[0, 0] == pytest.approx(grown * per_byte_ms / CENTRE.memory, rel=1e-6)
    assert step.kv_ms[0, 1] - step.kv_ms[0, 0] == pytest.approx(cache * per_byte_ms / CENTRE.kv, rel=1e-6)


def test_eight_bit_weights_compute_where_units_exist() -> None:
    fp8 = scheme_of(CATALOG.llm_model("llama-3.1-8b"), "fp8")
    int4 = scheme_of(CATALOG.llm_model("llama-3.1-8b"), "int4")
    h100, a100 = CATALOG.accelerator("h100-sxm-80gb"), CATALOG.accelerator("a100-sxm-80gb")
    assert compute_peak(h100, fp8) == (1979e12, "fp8")
    assert compute_peak(a100, fp8) == (312e12, "bf16")
    assert compute_peak(h100, int4) == (989e12, "bf16")


def test_steady_state_keeps_every_prompt() -> None:
    """Little's law: batch = throughput x time in system, and time = output steps + each prompt once."""
    base = work()
    done = closed_batch(base, BATCHES, 250.0, CENTRE)
    others = (BATCHES - 1) * done.prefill.occupied_ms
    poll = CENTRE.poll_steps * done.decode.step_ms * (BATCHES > 1)
    expected = done.prefill.alone_ms + 250 * done.decode.step_ms + poll + others
    assert done.e2e_ms == pytest.approx(expected, rel=1e-9)
    assert (done.requests_per_s * done.e2e_ms / 1000) == pytest.approx(BATCHES, rel=1e-9)
    assert (done.requests_per_s < 1000 / done.prefill.occupied_ms).all()


def test_one_output_token_is_bound_by_prefill() -> None:
    base = work(output=1)
    done = closed_batch(base, np.array([[256.0]]), 1.0, CENTRE)
    assert done.requests_per_s[0, 0] < 1000 / done.prefill.occupied_ms[0, 0]


def rows(base: Work, count: int) -> Work:
    return select(base, np.zeros(count, dtype=np.intp))


@settings(max_examples=20, deadline=None)
@given(cap=st.integers(1, 200), output=st.sampled_from([1, 2, 50, 400]), part=st.sampled_from(PARTS))
def test_percentiles_rise_with_load(cap: int, output: int, part: str) -> None:
    base = work(part=part, output=output)
    caps = np.full(12, cap, dtype=np.intp)
    peak = capacity_per_s(rows(base, 12), caps, output, CENTRE)
    load = np.linspace(1e-6, 0.98, 12) * peak
    done = open_loop(rows(base, 12), arrival_per_s=load, batch_cap=caps, output_tokens=output, rates=CENTRE)
    for table in (done.ttft_ms, done.tpot_ms, done.e2e_ms):
        assert (np.diff(table, axis=0) >= -1e-6 * table[:-1]).all()
        assert (np.diff(table, axis=1) >= -1e-6 * table[:, :-1]).all()
    assert not done.full.any()


def test_no_load_no_wait() -> None:
    base = work()
    done = open_loop(base, arrival_per_s=np.array([1e-6]), batch_cap=np.array([64]), output_tokens=250, rates=CENTRE)
    alone = prefill(base, CENTRE).alone_ms[0, 0] + decode(base, np.array([[1.0]]), CENTRE).step_ms[0, 0]
    assert done.ttft_ms[0] == pytest.approx([alone] * 3)


def test_overload_is_said() -> None:
    done = open_loop(work(), arrival_per_s=np.array([1e4]), batch_cap=np.array([8]), output_tokens=250, rates=CENTRE)
    assert done.full[0]


def test_closed_loop_follows_littles_law() -> None:
    clients = np.array([1.0, 8.0, 60.0, 400.0])
    for think in (0.0, 10.0):
        done = closed_loop(
            rows(work(), 4),
            clients=clients,
            think_time_s=think,
            batch_cap=np.full(4, 64, dtype=np.intp),
            output_tokens=250,
            rates=CENTRE,
        )
        assert (np.diff(done.requests_per_s) >= 0).all()
        assert (done.requests_per_s * think <= clients).all()
        assert (done.utilization <= 1 + 1e-9).all()
        assert (done.ttft_ms[-1] > done.ttft_ms[0]).all()


def test_clients_beyond_the_batch_wait() -> None:
    def ttft(clients: float) -> float:
        done = closed_loop(
            work(),
            clients=np.array([clients]),
            think_time_s=0.0,
            batch_cap=np.array([16]),
            output_tokens=250,
            rates=CENTRE,
        )
        return float(done.ttft_ms[0, 0])

    capacity = float(capacity_per_s(work(), np.array([16]), 250, CENTRE)[0])
    assert ttft(48) - ttft(16) == pytest.approx(32 / capacity * 1000, rel=0.05)


def test_wait_for_the_step_under_way_and_its_prompts() -> None:
    one = np.ones((1, 1))
    mean, squared_cv = _prompt_wait(1e-12 * one, 20.0 * one, 10.0 * one)  # nobody else: uniform over a step of 10 ms
    assert float(mean[0, 0]) == pytest.approx(5.0)
    assert float(squared_cv[0, 0]) == pytest.approx(1 / 3)
    # r = 0.5: E[S] = 20, Var = 0.5 x 20 x 20 / 0.75, L = 20 + 0.5 x 20 / 0.75 = 33.3, mean = L x (1/2 + r)
    mean, _ = _prompt_wait(0.025 * one, 20.0 * one, 10.0 * one)
    assert float(mean[0, 0]) == pytest.approx(100 / 3)


def test_steps_that_take_in_what_came_before_wait_as_stated() -> None:
    """The gated queue itself, drawn at random: steps of D + P for each arrival of the step before."""
    rng, rate, prompt, step = np.random.default_rng(4), 0.02, 20.0, 10.0
    lengths, counts = [step], [0]
    for _ in range(100_000):
        counts.append(int(rng.poisson(rate * lengths[-1])))
        lengths.append(step + prompt * counts[-1])
    waits = []
    for length, came in zip(lengths[:-1], counts[1:], strict=True):
        rest = length * (1.0 - rng.random(came))
        waits += (rest + prompt * (came - 1)).tolist()
    mean, squared_cv = _prompt_wait(np.array([[rate]]), np.array([[prompt]]), np.array([[step]]))
    assert float(mean[0, 0]) == pytest.approx(np.mean(waits), rel=0.02)
    assert float(squared_cv[0, 0]) == pytest.approx(np.var(waits) / np.mean(waits) ** 2, rel=0.15)
    quantiles = _wait_quantiles(mean, squared_cv, np.zeros((1, 1)), np.ones((1, 1)))[0]
    assert quantiles == pytest.approx(np.percentile(waits, (50, 95, 99)), rel=0.12)


def test_quantiles_of_a_wait_for_a_slot() -> None:
    one = np.ones((1, 1))
    exponential = _wait_quantiles(4.0 * one, one, 0.0 * one, one)[0]
    assert exponential == pytest.approx(4.0 * np.log([2.0, 20.0, 100.0]), rel=0.03)
    # half of all wait 30 ms in the mean for a slot: P(W > t) = 0.5 exp(-t / 30)
    slot = _wait_quantiles(1e-6 * one, one / 3, 0.5 * one, 30.0 * one)[0]
    assert slot[1:] == pytest.approx(30.0 * np.log([10.0, 50.0]), rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(
    share=st.floats(1e-4, 0.95),
    cap=st.integers(1, 120),
    prompt_cv=st.floats(0, 3),
    output_cv=st.floats(0, 3),
    bursts=st.floats(0.1, 20),
)
def test_percentiles_stay_in_order_and_spread_never_helps(
    share: float, cap: int, prompt_cv: float, output_cv: float, bursts: float
) -> None:
    base, caps = work(), np.array([cap], dtype=np.intp)
    arrival = capacity_per_s(base, caps, 250, CENTRE) * share

    def loaded(spread: Spread) -> Loaded:
        return open_loop(base, arrival_per_s=arrival, batch_cap=caps, output_tokens=250, rates=CENTRE, spread=spread)

    done = loaded(Spread(prompt_cv, output_cv, bursts))
    for table in (done.ttft_ms, done.tpot_ms, done.e2e_ms):
        assert (np.diff(table, axis=1) >= -1e-6 * table[:, :-1]).all()
    if bursts >= 1.0:
        even = loaded(Spread())
        assert (done.ttft_ms[:, 1:] >= even.ttft_ms[:, 1:] * (1 - 1e-6)).all()
        assert (done.tpot_ms[:, 1:] >= even.tpot_ms[:, 1:] * (1 - 1e-6)).all()
