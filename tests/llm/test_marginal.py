"""What more would buy: no change changes nothing, more is never worse, and what binds is what gains."""

from __future__ import annotations

import pytest

from sizing.catalog import load
from sizing.errors import InputError
from sizing.llm import plan
from sizing.llm.marginal import Lever, Marginal, marginal, raised
from sizing.llm.misses import LIMIT_FIELDS, near_misses
from sizing.plan import Deployment
from sizing.scenario import LlmScenario

CATALOG = load()
SCENARIOS = {
    "default": LlmScenario(),
    "large": LlmScenario(
        model="llama-2-70b-hf", weight_format="fp16", ttft_target_ms=2000.0, accelerators=("a100-sxm-80gb",)
    ),
    "experts": LlmScenario(model="deepseek-v3", requests_per_s=40, tpot_target_ms=100),
    "prompts": LlmScenario(requests_per_s=200, prompt_tokens=8000, output_tokens=1, tpot_target_ms=None),
    "users": LlmScenario(concurrency=300),
    "p99, spare": LlmScenario(requests_per_s=60, slo_percentile=99, ttft_target_ms=200, spare_replicas=2),
    "levers": LlmScenario(
        model="llama-3.1-70b",
        requests_per_s=10,
        prompt_tokens=3000,
        shared_prefix_tokens=1500,
        turns_per_conversation=3,
        draft_model="llama-3.1-8b",
        prompt_cv=0.5,
        ttft_target_ms=3000,
        accelerators=("h100-sxm-80gb", "b200-sxm-180gb"),
    ),
    "fixed batch": LlmScenario(batch=8, requests_per_s=20),
}


def best(scenario: LlmScenario) -> Deployment:
    found = plan(scenario, CATALOG).recommended
    assert found is not None
    return found


def levers(found: Marginal) -> dict[str, Lever]:
    return {lever.name: lever for lever in found.levers}


@pytest.mark.parametrize("name", SCENARIOS)
def test_now_is_the_plan(name: str) -> None:
    scenario = SCENARIOS[name]
    d = best(scenario)
    now = marginal(scenario, CATALOG, d).now
    percentile = f"p{scenario.slo_percentile}"
    assert now.ttft_ms == pytest.approx(getattr(d.latency_ms["ttft"], percentile))
    assert now.tpot_ms == pytest.approx(getattr(d.latency_ms["tpot"], percentile))
    assert now.capacity_per_s == d.throughput.requests_per_s.capacity
    assert now.batch == d.batch


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_change_changes_nothing(name: str) -> None:
    scenario = SCENARIOS[name]
    found = marginal(scenario, CATALOG, best(scenario), more=0.0, overhead=1.0)
    assert sum(abs(v.capacity_change) + abs(v.ttft_change) + abs(v.tpot_change) for v in found.levers[1:]) == 0.0


@pytest.mark.parametrize("name", SCENARIOS)
def test_more_is_never_worse_and_much_more_is_no_worse_than_more(name: str) -> None:
    scenario = SCENARIOS[name]
    d = best(scenario)
    some, much = marginal(scenario, CATALOG, d), marginal(scenario, CATALOG, d, more=1.0, overhead=0.1)
    for lever, larger in zip(some.levers, much.levers, strict=True):
        assert lever.capacity_change >= -1e-5
        assert larger.capacity_change >= lever.capacity_change - 1e-5
        if lever.name != "memory capacity":  # a larger batch is for more requests, not for a faster one
            assert lever.tpot_change <= 1e-9
            assert lever.ttft_change <= 1e-9
            assert larger.tpot_change <= lever.tpot_change + 1e-9


def test_reading_binds_so_bandwidth_gains() -> None:
    """One request at a time on an A100: a step reads 16 GB of weights and computes next to nothing."""
    scenario = LlmScenario(accelerators=("a100-sxm-80gb",), requests_per_s=0.01, prompt_tokens=10, output_tokens=1000)
    found = marginal(scenario, CATALOG, best(scenario))
    by = levers(found)
    assert found.memory_ms > 3 * found.compute_ms
    assert by["memory bandwidth"].tpot_change < -0.06
    assert by["peak compute"].tpot_change > -0.02
    assert by["link between accelerators"].tpot_change == 0.0
    assert by["memory bandwidth"].tpot_change > -0.1  # 10 % more bandwidth cannot save more than 1 - 1 / 1.1


def test_prompts_bind_so_compute_gains() -> None:
    scenario = SCENARIOS["prompts"]
    by = levers(marginal(scenario, CATALOG, best(scenario)))
    assert by["peak compute"].capacity_change > 0.05
    assert by["peak compute"].capacity_change > 3 * by["memory bandwidth"].capacity_change


def test_memory_binds_so_memory_gains() -> None:
    """Two H100 hold 138 GB of weights and little beside: a tenth more memory is half as many sequences again, or more."""
    scenario = LlmScenario(
        model="llama-2-70b-hf", weight_format="fp16", accelerators=("h100-sxm-80gb",), tensor_parallel=2,
        pipeline_parallel=1, requests_per_s=1.0, ttft_target_ms=None, tpot_target_ms=None,
    )  # fmt: skip
    d = best(scenario)
    by = levers(marginal(scenario, CATALOG, d))
    assert d.binding_constraint == "memory"
    assert by["memory capacity"].batch > 1.5 * (d.batch or 0)
    assert by["memory capacity"].capacity_change > 0.3
    assert (
        max(by.values(), key=lambda v: v.capacity_change if v.name != "one more replica" else 0).name
        == "memory capacity"
    )


def test_a_replica_adds_its_share_and_costs_what_machines_cost() -> None:
    scenario = SCENARIOS["large"]
    d = best(scenario)
    replica = marginal(scenario, CATALOG, d).levers[0]
    assert replica.capacity_change == pytest.approx(1 / d.replicas)
    assert d.accelerators_per_instance == 2 * (d.accelerators_per_replica or 0)
    full = d.replicas % 2 == 0
    assert replica.usd_per_hour == pytest.approx(d.cost.usd_per_instance_hour if full else 0.0)
    assert replica.amount == f"{d.replicas} to {d.replicas + 1} replicas"


def test_spares_serve_nothing() -> None:
    scenario = SCENARIOS["p99, spare"]
    d = best(scenario)
    assert marginal(scenario, CATALOG, d).levers[0].capacity_change == pytest.approx(1 / (d.replicas - 2))


def test_amounts_carry_their_unit() -> None:
    by = levers(marginal(SCENARIOS["large"], CATALOG, best(SCENARIOS["large"])))
    assert by["memory bandwidth"].amount == "2,039 to 2,243 GB/s"
    assert by["peak compute"].amount == "312 to 343.2 TFLOP/s"
    assert by["link between accelerators"].amount == "300 to 330 GB/s"


def test_unknown_figures_stay_unknown() -> None:
    part = CATALOG.accelerator("t4")
    assert part.bf16_tflops is None
    more = raised(part, ("bf16_tflops", "fp16_tflops", "memory_mib_reported"), 0.1)
    assert more.bf16_tflops is None
    assert more.fp16_tflops == pytest.approx(1.1 * (part.fp16_tflops or 0))
    assert isinstance(more.memory_mib_reported, int | None)


def test_a_deployment_of_another_family_is_refused() -> None:
    from sizing.deep_learning import plan as other
    from sizing.scenario import DeepLearningScenario

    d = other(DeepLearningScenario(), CATALOG).recommended
    assert d is not None
    with pytest.raises(InputError, match="deployment"):
        marginal(LlmScenario(), CATALOG, d)


IMPOSSIBLE = {
    "TPOT": LlmScenario(tpot_target_ms=2.0),
    "TTFT": LlmScenario(ttft_target_ms=15.0),
    "budget": LlmScenario(max_usd_per_month=300.0),
    "memory": LlmScenario(model="deepseek-v3", weight_format="bf16", accelerators=("h100-sxm-80gb", "a100-sxm-80gb"),
                          max_accelerators_per_replica=8),
    "all": LlmScenario(tpot_target_ms=2.0, ttft_target_ms=15.0, max_usd_per_month=300.0),
}  # fmt: skip


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_each_knob_lifts_the_machine_it_stands_beside(name: str) -> None:
    scenario = IMPOSSIBLE[name]
    found = plan(scenario, CATALOG)
    assert found.recommended is None
    misses = near_misses(scenario, CATALOG, found.rejected)
    assert 0 < len(misses) <= 3
    assert [m.factor for m in misses] == sorted(m.factor for m in misses)
    assert len({m.accelerator for m in misses}) == len(misses)
    assert any(m.knobs for m in misses)
    for miss in misses:
        assert miss.factor > 1.0
        costs = [knob.usd_per_hour for knob in miss.knobs]
        assert costs == sorted(costs)
        for knob in miss.knobs:
            lifted = plan(
                scenario.model_copy(update={**knob.changes, "instances": (miss.instance,)}), CATALOG
            ).recommended
            assert lifted is not None, knob
            assert lifted.cost.usd_per_hour == pytest.approx(knob.usd_per_hour)


def test_a_raised_limit_is_just_above_what_is_reached() -> None:
    scenario = IMPOSSIBLE["TPOT"]
    miss = near_misses(scenario, CATALOG, plan(scenario, CATALOG).rejected)[0]
    raised_to = [knob.changes["tpot_target_ms"] for knob in miss.knobs if "tpot_target_ms" in knob.changes]
    assert min(raised_to) / 2.0 == pytest.approx(miss.factor)
    assert f"{min(raised_to):.3g}"[:3] in miss.because or min(raised_to) < 1.02 * miss.factor * 2.0
    assert set(LIMIT_FIELDS.values()) <= set(LlmScenario.model_fields)


def test_larger_replicas_are_offered_where_memory_misses() -> None:
    scenario = IMPOSSIBLE["memory"]
    misses = near_misses(scenario, CATALOG, plan(scenario, CATALOG).rejected)
    assert {m.constraint for m in misses} == {"memory"}
    words = {knob.words for m in misses for knob in m.knobs}
    assert "weights in int4" in words
    assert any(w.startswith("replicas of up to") for w in words)


def test_rules_alone_leave_no_near_miss() -> None:
    scenario = LlmScenario(providers=("nebius",), region="apac")
    found = plan(scenario, CATALOG)
    assert found.recommended is None
    assert near_misses(scenario, CATALOG, found.rejected) == ()
