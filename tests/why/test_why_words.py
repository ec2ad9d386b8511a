"""The words with their numbers are the plan's; the working stands in groups and its numbers give its results; what binds."""

from __future__ import annotations

import re
from math import ceil, isclose
from pathlib import Path

import pytest

from sizing import catalog as catalogs
from sizing.plan import Plan
from sizing.planner import plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario, scenario_from_yaml
from sizing.units import HOURS_PER_MONTH, format_bytes, format_ms
from sizing.why.binding import relaxations
from sizing.why.steps import COUNT, GROUPS, MEMORY, OTHER, QUEUE, SPEED, group_of, grouped
from sizing.why.words import words

CATALOG = catalogs.load()
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SCENARIOS: dict[str, AnyScenario] = {
    **{path.stem: scenario_from_yaml(path.read_text(encoding="utf-8")) for path in EXAMPLES},
    "default llm": LlmScenario(),
    "default deep learning": DeepLearningScenario(),
    "default statistical": StatisticalScenario(),
    "linear": StatisticalScenario(family="logistic-regression"),
    "batches": StatisticalScenario(requests_per_s=5_000, micro_batch_rows=16),
    "threads": StatisticalScenario(worker_model="thread_pool"),
    "cpu": DeepLearningScenario(compute="cpu"),
    "own runs": LlmScenario(
        accelerators=("h100-sxm-80gb",),
        requests_per_s=200,
        ttft_target_ms=200,
        measured_serving="h100-sxm-80gb~llama-3.1-8b~vllm~native~bf16~1.1.1~c16x1000x250=118.4:11.2~-",
    ),
    "pipeline": LlmScenario(model="mixtral-8x7b-v0.1"),
    "stages": DeepLearningScenario(model="stable-diffusion-xl-base-1.0", requests_per_s=0.1, latency_target_ms=None)
    if "stable-diffusion-xl-base-1.0" in CATALOG.deep_learning_models
    else DeepLearningScenario(precision="fp32"),
}
each = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)


def text_of(scenario: AnyScenario, term: str) -> str:
    return next(w.text for w in words(scenario, CATALOG, plan(scenario, CATALOG)) if w.term.startswith(term))


@each
def test_at_most_ten_terms_of_a_few_sentences(scenario: AnyScenario) -> None:
    found: Plan = plan(scenario, CATALOG)
    told = words(scenario, CATALOG, found)
    assert bool(told) == (found.recommended is not None)
    assert len(told) <= 10
    assert len({word.term for word in told}) == len(told)
    for word in told:
        sentences = re.split(r"[.:?] (?=[A-Z])", word.text)
        assert 2 <= len(sentences) <= 6, word
        assert word.text.endswith(".")
        assert "nan" not in word.text
        assert "e+" not in word.text


def test_the_kv_cache_of_llama_8b_by_hand() -> None:
    """32 layers x 8 heads x 128 wide x 2 (key and value) x 2 bytes = 128 KiB a token; 1,250 tokens in blocks of 16: 1,264."""
    told = text_of(LlmScenario(), "KV cache")
    assert "128.00 KiB" in told
    assert "1,250 tokens takes 158.00 MiB" in told


def test_numbers_of_a_language_model_are_those_of_its_plan() -> None:
    scenario = LlmScenario(model="llama-3.1-70b", requests_per_s=20)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    assert best.parallelism is not None
    steps = {step.quantity: step for step in plan(scenario, CATALOG).working}
    each_request = steps["KV cache of one request on one accelerator"].value
    assert format_bytes(each_request * float(best.extra["batch_in_flight"] or 0.0)) in text_of(scenario, "KV cache")
    assert f"room for {best.extra['max_sequences']:,}" in text_of(scenario, "KV cache")
    assert format_ms(best.latency_ms["ttft"].p50) in text_of(scenario, "TTFT")
    assert format_ms(best.latency_ms["tpot"].p50) in text_of(scenario, "TTFT")
    assert f"Here {best.parallelism.tp} accelerators" in text_of(scenario, "Tensor")
    assert format_bytes(steps["Weights on one accelerator"].value) in text_of(scenario, "Tensor")
    assert f"{best.batch} at once" in text_of(scenario, "Batch")
    assert f"cap here is {scenario.utilization_cap:.0%}" in text_of(scenario, "Utilization")
    assert f"Here they are {best.utilization:.0%} busy" in text_of(scenario, "Utilization")
    first = best.verdicts[0]
    assert f"{format_ms(first.low_ms)} to {format_ms(first.high_ms)}" in text_of(scenario, "80 %")
    assert "2 of 8" in text_of(SCENARIOS["pipeline"], "Mixture")


def test_numbers_of_a_deep_learning_model_are_those_of_its_plan() -> None:
    scenario = DeepLearningScenario(requests_per_s=50_000)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    assert best.batch is not None
    t0, k = float(best.extra["t0_ms"] or 0.0), float(best.extra["k_ms"] or 0.0)
    told = text_of(scenario, "Batch")
    assert format_ms(t0) in told
    assert f"{best.batch} together take {format_ms(t0 + k * best.batch)}" in told
    assert f"{t0 / (t0 + k):.0%} of the time of one sample" in text_of(scenario, "Launch")
    assert format_ms(float(best.extra["cpu_ms_per_request"] or 0.0)) in text_of(scenario, "CPU work")
    assert format_bytes(float(best.extra["gpu_memory_needed_bytes"] or 0.0)) in text_of(scenario, "Weights")


def test_numbers_of_a_statistical_model_are_those_of_its_plan() -> None:
    scenario = StatisticalScenario(requests_per_s=50_000)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    service = float(best.extra["service_ms"] or 0.0)
    assert format_ms(service) in text_of(scenario, "Service time")
    assert f"{1000.0 / service:,.0f} requests" in text_of(scenario, "Service time")
    assert f"{best.extra['workers_per_instance']} on {best.extra['physical_cores']} physical cores" in text_of(
        scenario, "Worker"
    )
    # 100 trees x 127 nodes x 40 bytes = 508,000 bytes, below 512 KiB; ten times as many are not.
    assert "496.09 KiB" in text_of(scenario, "Trees")
    assert text_of(scenario, "Trees").endswith("so they fit.")
    assert text_of(scenario.model_copy(update={"trees": 1000}), "Trees").endswith("so they do not fit.")
    assert not any(
        w.term.startswith("Trees") for w in words(SCENARIOS["linear"], CATALOG, plan(SCENARIOS["linear"], CATALOG))
    )


def test_the_queue_grows_without_end_near_full() -> None:
    """The p99 at 95 % of an M/G/1 queue is several times that at a fifth of it."""
    told = text_of(StatisticalScenario(instances=("aws-t3-medium",)), "Utilization")
    here, full = (float(re.findall(pattern, told)[0]) for pattern in (r"p99 is ([\d.]+) ms", r"would be ([\d.]+) ms"))
    assert full > 3 * here


@each
def test_every_step_of_the_working_has_a_group_and_every_group_a_step(scenario: AnyScenario) -> None:
    found = plan(scenario, CATALOG)
    assert [s.quantity for s in found.working if group_of(s) == OTHER] == []
    if found.recommended is not None:
        names = [name for name, _ in grouped(found.working)]
        assert names == [name for name in GROUPS if name in names]
        assert {MEMORY, SPEED, QUEUE, COUNT} <= set(names)
    assert sum(len(steps) for _, steps in grouped(found.working)) == len(found.working)


@pytest.mark.parametrize(
    "scenario", [LlmScenario(), LlmScenario(model="llama-3.1-70b", requests_per_s=20), LlmScenario(batch=1)]
)
def test_the_capacity_of_a_replica_follows_from_its_numbers(scenario: LlmScenario) -> None:
    step = next(s for s in plan(scenario, CATALOG).working if s.quantity == "Capacity of one replica")
    batch, prompt, output, before, pass_ms, others, share = map(
        float, re.findall(r"[\d.]+(?:e-?\d+)?", step.with_numbers)
    )
    assert isclose(step.value, 1000 * batch / (prompt + (output + before) * pass_ms + others * share), rel_tol=2e-3)


def test_count_and_cost_of_a_statistical_model_follow_from_their_numbers() -> None:
    steps = {s.quantity: s for s in plan(StatisticalScenario(requests_per_s=50_000, spare_replicas=2), CATALOG).working}
    load, one = map(float, re.findall(r"[\d.]+(?= /s)", steps["Instances"].with_numbers))
    assert steps["Instances"].value == ceil(load / one) + 2
    assert isclose(steps["Cost per month"].value, steps["Cost"].value * HOURS_PER_MONTH)


@pytest.mark.parametrize(
    ("scenario", "binding"),
    [
        (DeepLearningScenario(compute="cpu"), "utilization cap +10 %"),
        (StatisticalScenario(requests_per_s=50_000), "utilization cap +10 %"),
        (
            StatisticalScenario(requests_per_s=10_000, p99_target_ms=2.0, instances=("aws-c7g-xlarge",)),
            "p99 limit +10 %",
        ),
    ],
)
def test_what_binds_is_relaxed_first_and_saves_what_a_new_plan_costs_less(scenario: AnyScenario, binding: str) -> None:
    assert isinstance(scenario, (DeepLearningScenario, StatisticalScenario))
    found = relaxations(scenario, CATALOG)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    assert found[0].name == binding
    assert found[0].binds
    assert sum(row.binds for row in found) == 1
    changed = {"utilization_cap": 0.77} if "cap" in binding else {"p99_target_ms": 2.2}
    again = plan(scenario.model_copy(update={**changed, "instances": (best.instance,)}), CATALOG).recommended
    assert again is not None
    assert isclose(found[0].saved_usd_per_month, best.cost.usd_per_month - again.cost.usd_per_month, abs_tol=1e-6)
    assert found[0].instances == again.instances
    more = found[-1]
    assert more.instances == best.instances + 1
    assert isclose(more.saved_usd_per_month, -best.cost.usd_per_instance_hour * HOURS_PER_MONTH)
    for row in found[:-1]:
        assert row.saved_usd_per_month >= -1e-6
        assert row.capacity_change >= -1e-6


def test_a_tenth_more_cap_serves_a_tenth_more_where_the_cap_binds() -> None:
    first = relaxations(StatisticalScenario(requests_per_s=50_000), CATALOG)[0]
    assert isclose(first.capacity_change, 0.1, abs_tol=1e-3)
