"""Plans of language models: the contract, the worked examples, the limits, and one sentence for each wrong input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.errors import InputError
from sizing.llm import batch_curve, holding_limits, load_curve, memory_parts_by_count, plan, shortage
from sizing.plan import Deployment, Plan, Rejection
from sizing.scenario import LlmScenario, scenario_from_yaml

CATALOG = load()
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GPU_INSTANCES = sum(i.category == "gpu" for i in CATALOG.instances.values())
NAMES = ["llama-2-7b", "llama-2-13b", "llama-2-70b", "gpt-3-175b", "chat-llama-3.1-8b", "deepseek-v3"]


def best(**fields: object) -> Deployment:
    found = plan(LlmScenario(**fields), CATALOG).recommended
    assert found is not None
    return found


def check_contract(found: Plan, scenario: LlmScenario) -> None:
    assert found.search.candidates == len(found.ranked) + len(found.rejected) == GPU_INSTANCES
    assert len({d.instance for d in found.ranked} | {r.instance for r in found.rejected}) == GPU_INSTANCES
    assert found.search.configurations > 0
    months = [d.cost.usd_per_month for d in found.ranked]
    assert months == sorted(months)
    for d in found.ranked:
        memory, shape = d.memory_per_accelerator, d.parallelism
        assert memory is not None
        assert shape is not None
        assert sum(memory.parts.values()) == memory.used_bytes
        seen = memory.capacity_bytes - memory.parts.get("driver", 0)
        assert memory.used_bytes - memory.parts.get("driver", 0) <= seen * scenario.gpu_memory_utilization
        assert (
            d.accelerators_per_replica
            == shape.tp * shape.pp * shape.attention_dp
            <= scenario.max_accelerators_per_replica
        )
        assert d.utilization <= scenario.utilization_cap + 1e-9
        assert d.throughput.requests_per_s.capacity >= d.throughput.requests_per_s.demanded > 0
        assert all(v.met and v.low_ms <= v.predicted_ms <= v.high_ms for v in d.verdicts)
        for latency in d.latency_ms.values():
            assert latency.p50 <= latency.p95 <= latency.p99
        assert (d.accelerators or 0) >= d.replicas * (d.accelerators_per_replica or 0)
    for r in found.rejected:
        assert r.because
        assert not r.because.endswith(".")
    assert found.headline.count(". ") == 0
    assert found.headline.endswith(".")
    assert found.working
    assert found.as_json()["kind"] == "llm"


@pytest.mark.parametrize("name", NAMES)
def test_worked_examples_have_a_deployment(name: str) -> None:
    scenario = scenario_from_yaml((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(scenario, LlmScenario)
    found = plan(scenario, CATALOG)
    assert found.recommended is not None
    check_contract(found, scenario)


def test_same_scenario_same_plan() -> None:
    assert plan(LlmScenario(), CATALOG) == plan(LlmScenario(), CATALOG)


@settings(max_examples=15, deadline=None)
@given(
    model=st.sampled_from(["llama-3.1-8b", "llama-2-70b-hf", "gpt-oss-20b", "mamba2-2.7b", "qwen3-30b-a3b"]),
    weights=st.sampled_from(["native", "bf16", "fp8", "int4"]),
    load=st.one_of(st.floats(0.01, 300), st.integers(1, 2000)),
    output=st.sampled_from([1, 20, 500]),
    ttft=st.sampled_from([None, 50.0, 1000.0]),
    tpot=st.sampled_from([None, 15.0, 60.0]),
    runtime=st.sampled_from(["vllm", "sglang", "tensorrt_llm"]),
    spare=st.integers(0, 2),
)
def test_contract_holds(
    model: str,
    weights: str,
    load: float | int,
    output: int,
    ttft: float | None,
    tpot: float | None,
    runtime: str,
    spare: int,
) -> None:
    traffic = {"concurrency": load} if isinstance(load, int) else {"requests_per_s": load}
    scenario = LlmScenario(
        model=model,
        weight_format=weights,
        output_tokens=output,
        ttft_target_ms=ttft,
        tpot_target_ms=tpot,
        runtime=runtime,
        spare_replicas=spare,
        **traffic,
    )
    check_contract(plan(scenario, CATALOG), scenario)


@settings(max_examples=10, deadline=None)
@given(load=st.floats(0.1, 100), factor=st.floats(1.0, 5.0))
def test_more_load_never_costs_less(load: float, factor: float) -> None:
    few, many = best(requests_per_s=load), best(requests_per_s=load * factor)
    assert many.cost.usd_per_month >= few.cost.usd_per_month


def test_seventy_billion_needs_two_parts_of_80_gb() -> None:
    scenario = LlmScenario(model="llama-2-70b-hf", weight_format="fp16")
    limits = {h.accelerators: h for h in holding_limits(scenario, CATALOG, "a100-sxm-80gb")}
    assert set(limits[1].largest_batch.values()) == {0}
    assert limits[2].largest_batch[4096] >= 1
    assert limits[2].longest_context_tokens[128] < 1024
    assert limits[8].largest_batch[4096] > limits[4].largest_batch[4096] > 8 * limits[2].largest_batch[4096]
    parts = memory_parts_by_count(scenario, CATALOG, "a100-sxm-80gb")
    assert [p.max_sequences > 0 for p in parts] == [False, True, True, True]
    assert parts[0].memory.used_bytes > parts[0].usable_bytes
    assert all(sum(p.memory.parts.values()) == p.memory.used_bytes for p in parts)


def test_which_machines_hold_gpt_3() -> None:
    scenario = LlmScenario(
        model="gpt-3-175b-paper", weight_format="fp16", requests_per_s=0.1, ttft_target_ms=None, tpot_target_ms=None
    )
    found = plan(scenario, CATALOG)
    held = {d.accelerator for d in found.ranked}
    assert {"a100-sxm-80gb", "h100-sxm-80gb", "h200-sxm-141gb"} <= held
    assert "t4" not in held
    short = [r for r in found.rejected if r.constraint == "memory"]
    assert short
    assert all("GiB" in r.because for r in short)


def test_user_degrees_are_kept() -> None:
    found = best(model="llama-2-70b-hf", weight_format="fp16", tensor_parallel=4, pipeline_parallel=2, requests_per_s=1)
    assert found.parallelism is not None
    assert (found.parallelism.tp, found.parallelism.pp) == (4, 2)


def test_spares_add_replicas() -> None:
    scenario = {"accelerators": ("l40s",), "model": "llama-3.1-8b", "weight_format": "fp8"}
    assert best(spare_replicas=2, **scenario).replicas == best(**scenario).replicas + 2


def test_closed_loop_rate_is_what_users_produce() -> None:
    found = best(concurrency=100, think_time_s=10.0)
    rate = found.throughput.requests_per_s.demanded
    p50 = found.latency_ms["e2e"].p50
    assert p50 is not None
    assert rate == pytest.approx(100 / (10.0 + p50 / 1000), rel=0.15)


def test_budget_and_impossible_limits_are_explained() -> None:
    poor = plan(LlmScenario(max_usd_per_month=10.0), CATALOG)
    assert poor.recommended is None
    assert poor.binding_constraint == "budget"
    fast = plan(LlmScenario(tpot_target_ms=0.5), CATALOG)
    assert fast.recommended is None
    assert fast.binding_constraint == "TPOT"
    assert "limit of 500" in fast.headline
    assert {s.quantity for s in fast.working} >= {"Parameters", "KV cache of one token"}


def test_rejections_name_what_runs_where() -> None:
    found = plan(LlmScenario(runtime="tensorrt_llm"), CATALOG)
    reasons = {r.accelerator: r.constraint for r in found.rejected}
    assert reasons["mi300x"] == reasons["trainium1"] == reasons["inferentia2"] == "runtime"
    fp8 = plan(LlmScenario(weight_format="fp8", tpot_target_ms=None, ttft_target_ms=None), CATALOG)
    refused = {r.accelerator for r in fp8.rejected if r.constraint == "runtime"}
    assert {"t4", "v100-sxm2-16gb"} <= refused
    assert "a100-sxm-80gb" not in refused


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": "llama-9"}, "model"),
        ({"model": "custom"}, "custom_config"),
        ({"custom_config": "{}"}, "model"),
        ({"model": "custom", "custom_config": "[]"}, "config.json"),
        ({"model": "custom", "custom_config": '{"model_type": "none-such"}'}, "model_type"),
        ({"draft_model": "none-such"}, "draft_model"),
        ({"draft_model": "qwen2.5-0.5b"}, "draft_model"),  # of another vocabulary
        ({"draft_model": "mtp"}, "draft_model"),
        ({"expert_parallel": True}, "expert_parallel"),
        ({"attention_data_parallel": 64}, "attention_data_parallel"),
        ({"runtime": "llama_cpp", "weight_format": "fp8"}, "weight_format"),
        ({"weight_format": "gguf_q4_k_m"}, "weight_format"),
        ({"model": "qwen3-235b-a22b", "weight_format": "fp8_block", "tensor_parallel": 8}, "tensor_parallel"),
        ({"tensor_parallel": 3}, "tensor_parallel"),
        ({"pipeline_parallel": 33, "max_accelerators_per_replica": 64}, "pipeline_parallel"),
        ({"model": "gpt2"}, "prompt_tokens"),
        ({"accelerators": ("h101",)}, "accelerators"),
        ({"instances": ("nowhere",)}, "instances"),
    ],
)
def test_bad_input_is_one_sentence(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as error:
        plan(LlmScenario(**fields), CATALOG)
    assert error.value.field == field
    assert "\n" not in str(error.value)


def test_batch_curve_rises_and_stays_above_physics() -> None:
    scenario = LlmScenario()
    found = best()
    curve = batch_curve(scenario, CATALOG, found)
    assert found.batch in curve.batch
    assert (curve.tpot_ms >= curve.bound_tpot_ms).all()
    assert (curve.tpot_low_ms >= curve.bound_tpot_ms).all()
    assert (curve.tpot_low_ms <= curve.tpot_ms).all()
    assert (curve.tpot_ms <= curve.tpot_high_ms).all()
    assert (curve.tpot_ms[1:] >= curve.tpot_ms[:-1]).all()
    assert (curve.output_tokens_per_s[1:] >= curve.output_tokens_per_s[:-1]).all()
    assert curve.memory_bound[0]


def test_load_curve_rises() -> None:
    found = best()
    curve = load_curve(LlmScenario(), CATALOG, found)
    assert (curve.ttft_ms[1:] >= curve.ttft_ms[:-1] - 1e-6).all()
    assert curve.requests_per_s[-1] > found.throughput.requests_per_s.demanded


@pytest.mark.parametrize(("part", "basis"), [("h100-sxm-80gb", "calibrated"), ("a100-sxm-80gb", "estimated")])
def test_basis_says_whether_this_model_was_measured(part: str, basis: str) -> None:
    """Qwen3-32B was measured with vLLM on Hopper, not on Ampere; the interval is narrower where it was."""
    best = plan(LlmScenario(model="qwen3-32b", accelerators=(part,), requests_per_s=1.0), CATALOG).recommended
    assert best is not None
    assert {verdict.basis for verdict in best.verdicts} == {basis}
    spread = best.latency_ms["tpot"].high / best.latency_ms["tpot"].low
    assert spread < 1.6 if basis == "calibrated" else spread > 1.6


def test_what_memory_lacks_is_worked_out_once_for_machines_of_as_many_of_one_accelerator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str | None, int | None]] = []
    alone = shortage.memory_rejection

    def counted(*given: Any) -> Rejection:
        asked.append((given[3].instance.accelerator_id, given[3].instance.accelerator_count))
        return alone(*given)

    monkeypatch.setattr(shortage, "memory_rejection", counted)
    scenario = LlmScenario(model="llama-2-70b-hf")
    short = [r for r in plan(scenario, CATALOG).rejected if r.constraint == "memory"]
    assert len(set(asked)) == len(asked) < len(short)
    for rejected in short[:: len(short) // 8]:
        only = scenario.model_copy(update={"instances": (rejected.instance,)})
        assert rejected in plan(only, CATALOG).rejected
