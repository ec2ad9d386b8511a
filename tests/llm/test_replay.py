"""The speed model in the event simulation: costs that say what it says, agreement with the closed form, and replays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.replay import BUNCHED, CLOSED, H100, OPEN, Case, closed_pair, open_pair, single_server_waits
from sizing.catalog import load
from sizing.errors import InputError
from sizing.llm.replay import Load, Replay, first_token_ms, in_flight_found, replay, step_cost
from sizing.llm.simulation import Limits, StepCost, simulate
from sizing.llm.speed import decode, prefill
from sizing.llm.traces import Trace, make_trace
from sizing.plan import Deployment
from sizing.planner import plan
from sizing.scenario import LlmScenario

CATALOG = load()
AGREES = 0.05


def best_of(scenario: LlmScenario) -> Deployment:
    found = plan(scenario, CATALOG).recommended
    assert found is not None
    return found


def replayed(scenario: LlmScenario, at: Load) -> Replay:
    return replay(scenario, CATALOG, best_of(scenario), at)


@pytest.mark.parametrize("case", CLOSED, ids=lambda case: case.name)
def test_a_step_costs_what_the_speed_model_says(case: Case) -> None:
    work, cost, n = case.work(), case.cost(), np.arange(1, case.batch + 1)
    simulated = cost.decode_ms[1:] + n * cost.kv_ms_per_token * case.context
    assert simulated == pytest.approx(decode(work, n[None, :].astype(float), case.rates).step_ms[0], rel=1e-9)
    prompt, stages = prefill(work, case.rates), case.pp
    own = case.prompt * cost.prompt_ms_per_token + cost.attention_ms_per_token2 * case.prompt**2 / 2
    assert own == pytest.approx(float(prompt.occupied_ms[0, 0]), rel=1e-9)
    alone = cost.request_ms + cost.decode_ms[0] + own
    assert alone == pytest.approx(float(prompt.alone_ms[0, 0]), rel=1e-9)
    fixed = float(case.rates.prefill_fixed_ms)
    if stages == 1:
        assert cost.request_ms == pytest.approx(fixed, rel=1e-9)
    else:
        assert cost.request_ms - fixed == pytest.approx((alone - fixed) * (stages - 1) / stages, rel=1e-9)


def test_a_longer_prompt_costs_its_products_in_proportion_and_its_attention_squared() -> None:
    case = OPEN[0]
    cost, twice = case.cost(), replace(case, prompt=2 * case.prompt)
    assert cost.attention_ms_per_token2 > 0.0
    own = twice.prompt * cost.prompt_ms_per_token + cost.attention_ms_per_token2 * twice.prompt**2 / 2
    assert own == pytest.approx(float(prefill(twice.work(), case.rates).occupied_ms[0, 0]), rel=0.03)  # whole tiles


def test_a_batch_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="max_batch"):
        step_cost(OPEN[0].work(), OPEN[0].rates, 0, context_tokens=1.0)


@pytest.mark.parametrize("case", CLOSED, ids=lambda case: case.name)
def test_closed_loop_agrees_with_the_closed_form(case: Case) -> None:
    (rate, rate_simulated), (tpot, tpot_simulated) = closed_pair(case)
    assert rate == pytest.approx(rate_simulated, rel=AGREES)
    assert tpot == pytest.approx(tpot_simulated, rel=AGREES)


def test_where_prompts_share_steps_the_closed_form_has_the_longer_tpot() -> None:
    """The known exception: throughput still agrees, and TPOT is off to one side, by less than a tenth."""
    (rate, rate_simulated), (tpot, tpot_simulated) = closed_pair(BUNCHED)
    assert rate == pytest.approx(rate_simulated, rel=AGREES)
    assert tpot_simulated < tpot < 1.1 * tpot_simulated


def test_the_closed_cases_are_varied() -> None:
    assert len({case.generation for case in CLOSED}) >= 4
    assert len({case.part for case in CLOSED}) >= 5
    assert {case.tp for case in CLOSED} >= {1, 2, 4, 8}
    assert max(case.batch for case in CLOSED) >= 256
    models = {case.model: CATALOG.llm_model(case.model).experts for case in CLOSED}
    assert any(models.values())
    assert not all(models.values())


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_batch_limit_of_one_is_an_m_d_1_queue(share: float) -> None:
    predicted, simulated = single_server_waits(Case("llama-3.1-8b", H100, 1, 1, 1000, 250), share, 100_000, seed=1)
    assert predicted == pytest.approx(simulated, rel=AGREES)


@pytest.mark.parametrize("case", OPEN, ids=lambda case: case.name)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.8])
def test_open_loop_percentiles_are_near_the_simulation(case: Case, share: float) -> None:
    found = open_pair(case, share, requests=8000)
    for name, within in (("TTFT", 0.2), ("TPOT", 0.15)):
        form, simulated = found[name]
        assert form[:2] == pytest.approx(simulated[:2], rel=within), name


def test_requests_found_in_flight() -> None:
    cost = StepCost(np.array([0.0, 10.0, 10.0]), kv_ms_per_token=0.0, prompt_ms_per_token=0.1)
    # 10 ms of prompt each; replies of 11 tokens end 110 ms after an undisturbed start
    trace = Trace(np.array([0.0, 0.05, 1.0]), np.array([100, 100, 100]), np.array([11, 11, 11]))
    done = simulate(cost, Limits(max_batch=2, token_budget=500, kv_tokens=10_000), trace)
    assert in_flight_found(done).tolist() == [0.0, 1.0, 0.0]


def test_the_fitted_part_of_a_first_token() -> None:
    cost = StepCost(np.array([4.0, 10.0, 12.0]), kv_ms_per_token=0.01, prompt_ms_per_token=0.1)
    rates = replace(OPEN[0].rates, poll_steps=2.5)
    # alone: D(1) = 10 + 0.01 x 100; with others: 2 x D(2) + 4 = 2 x (12 + 2) + 4, the batch being limited to two
    more = first_token_ms(cost, 100.0, 1.0, np.array([0.0, 1.0, 7.0]), rates)
    assert more.tolist() == pytest.approx([11.0, 32.0, 32.0])
    none = first_token_ms(cost, 100.0, 1.0, np.array([1.0]), replace(rates, poll_steps=0.0))
    assert none.tolist() == [0.0]  # 4 - 14 / 2 is below 0


def test_a_replay_at_mean_lengths_is_near_the_plan_itself() -> None:
    scenario = LlmScenario()
    best, found = best_of(scenario), replayed(scenario, Load(requests=8000))
    for name in ("ttft", "tpot", "e2e"):
        stated = best.latency_ms[name]
        assert found.closed[f"{name}_ms"] == pytest.approx((stated.p50, stated.p95, stated.p99), rel=1e-9)
        assert found.simulated[f"{name}_ms"][1] == pytest.approx(stated.p95, rel=0.15)
    assert found.requests_per_s == pytest.approx(5.0, rel=0.05)
    assert (found.refused, found.preemptions, found.replicas) == (0, 0, 1)
    assert found.kv_tokens == best.extra["kv_tokens_capacity"]
    assert 0 < found.peak_kv_tokens < found.kv_tokens


def test_bursts_and_long_replies_make_the_tail_longer() -> None:
    even, bursts, spread = (
        replay(LlmScenario(**changes), CATALOG, best_of(LlmScenario()), Load()).simulated
        for changes in ({}, {"arrival_squared_cv": 8.0}, {"prompt_cv": 1.0, "output_cv": 1.0})
    )
    assert bursts["ttft_ms"][1] > 1.3 * even["ttft_ms"][1]
    assert spread["ttft_ms"][1] > even["ttft_ms"][1]
    assert spread["e2e_ms"][1] > 1.5 * even["e2e_ms"][1]


def test_one_replica_gets_its_share_of_a_trace_by_turns() -> None:
    scenario = LlmScenario(model="llama-2-70b-hf", requests_per_s=20.0)
    best = best_of(scenario)
    assert best.replicas > 1
    whole = make_trace(rate_per_s=20.0, count=900, prompt_tokens=400, output_tokens=50, seed=5)
    found = replay(scenario, CATALOG, best, Load(trace=whole))
    assert len(found.latency_ms["ttft_ms"]) == len(range(0, 900, best.replicas))
    assert found.closed_requests_per_s == pytest.approx(20.0 / best.replicas, rel=0.1)
    shorter = replay(scenario, CATALOG, best, Load())  # the scenario's own, longer requests
    assert found.simulated["e2e_ms"][0] < shorter.simulated["e2e_ms"][0]


def test_without_a_steady_state_there_is_no_closed_form() -> None:
    scenario = LlmScenario()
    for arrivals in (np.zeros(200), np.arange(200) * 1e-3):  # all at once; a thousand a second
        trace = Trace(arrivals, np.full(200, 1000), np.full(200, 250))
        found = replayed(scenario, Load(trace=trace))
        assert found.closed == {}
        assert found.closed_requests_per_s is None
        assert found.simulated["ttft_ms"][1] > 1000.0
        assert found.good_share < 0.5


def test_requests_longer_than_the_context_are_refused_and_count_as_not_served() -> None:
    scenario = LlmScenario(model="llama-2-70b-hf")  # 4,096 tokens of context
    prompts = np.array([1000, 4000, 1000, 5000])
    trace = Trace(np.arange(4) * 10.0, prompts, np.full(4, 100))
    best = replace(best_of(scenario), replicas=1)
    found = replay(scenario, CATALOG, best, Load(trace=trace))
    assert found.refused == 2
    assert found.good_share == pytest.approx(0.5)
    assert len(found.latency_ms["ttft_ms"]) == 2
    with pytest.raises(InputError, match="at most 4096 for one request"):
        replay(scenario, CATALOG, best, Load(trace=Trace(np.zeros(1), np.array([5000]), np.array([1]))))


def test_a_short_kv_cache_preempts() -> None:
    best = best_of(LlmScenario())
    tight = replace(best, extra={**best.extra, "kv_tokens_capacity": 16_000})
    found = replay(LlmScenario(output_cv=1.0), CATALOG, tight, Load())
    assert found.preemptions >= found.preempted_requests > 0
    assert found.peak_kv_tokens <= 16_000


def test_users_send_again_after_their_reply() -> None:
    scenario = LlmScenario(requests_per_s=None, concurrency=40, think_time_s=2.0)
    found = replayed(scenario, Load(requests=2000))
    assert found.closed_requests_per_s is not None
    assert found.requests_per_s == pytest.approx(found.closed_requests_per_s, rel=0.15)
    cycle_s = found.latency_ms["e2e_ms"].mean() / 1000.0 + 2.0
    assert found.requests_per_s == pytest.approx(40 / found.replicas / cycle_s, rel=0.1)  # Little's law


def test_no_limits_means_all_that_is_served_is_good() -> None:
    scenario = LlmScenario(ttft_target_ms=None, tpot_target_ms=None)
    found = replayed(scenario, Load())
    assert found.good_share == 1.0
    assert found.goodput_per_s == found.requests_per_s


@pytest.mark.parametrize("changes", [{"prompt_cv": 1.0, "output_cv": 1.0}, {"arrival_squared_cv": 4.0}])
def test_closed_form_follows_spread_and_bursts(changes: dict[str, float]) -> None:
    """On the deployment of an even load: TTFT and TPOT at p95 rise with the simulation's, and lie within 35 % of them."""
    best = best_of(LlmScenario())
    even = replay(LlmScenario(), CATALOG, best, Load(requests=8000))
    uneven = replay(LlmScenario(**changes), CATALOG, best, Load(requests=8000))
    assert uneven.closed["ttft_ms"][1] > even.closed["ttft_ms"][1]
    for name in ("ttft_ms", "tpot_ms"):
        assert uneven.closed[name][1] == pytest.approx(uneven.simulated[name][1], rel=0.35)


def test_cached_prompts_are_simulated_too() -> None:
    best = best_of(LlmScenario())
    plain, cached = (
        replay(LlmScenario(shared_prefix_tokens=shared), CATALOG, best, Load()).simulated["ttft_ms"][0]
        for shared in (0, 800)
    )
    assert cached < 0.9 * plain
