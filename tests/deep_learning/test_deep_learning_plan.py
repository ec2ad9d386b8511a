"""Plans of deep learning models: the contract, the worked examples, the limits, and one sentence for each wrong input."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.deep_learning import batch_curve, load_curve, memory_by_batch, plan
from sizing.errors import InputError
from sizing.plan import Deployment, Plan
from sizing.scenario import DeepLearningScenario, scenario_from_yaml
from sizing.units import GIB

CATALOG = load()
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GPU_INSTANCES = sum(i.category == "gpu" for i in CATALOG.instances.values())
CPU_INSTANCES = len(CATALOG.instances) - GPU_INSTANCES
NAMES = ["resnet-50", "bert-base-embeddings", "whisper-large-v3"]


def found_for(**fields: object) -> Plan:
    return plan(DeepLearningScenario(**fields), CATALOG)  # type: ignore[arg-type]


def best(**fields: object) -> Deployment:
    found = found_for(**fields).recommended
    assert found is not None
    return found


def check_contract(found: Plan, scenario: DeepLearningScenario) -> None:
    searched = {"gpu": GPU_INSTANCES, "cpu": CPU_INSTANCES, "either": GPU_INSTANCES + CPU_INSTANCES}[scenario.compute]
    assert found.search.candidates == len(found.ranked) + len(found.rejected) == searched
    assert len({d.instance for d in found.ranked} | {r.instance for r in found.rejected}) == searched
    assert found.search.configurations > 0
    assert (found.search.seconds, found.remedies) == (0.0, ())
    assert found.working
    assert found.caveats
    assert found.headline.endswith(".")
    assert [d.cost.usd_per_month for d in found.ranked] == sorted(d.cost.usd_per_month for d in found.ranked)
    for rejected in found.rejected:
        assert rejected.because
    for deployment in found.ranked:
        on_gpu = deployment.accelerator is not None
        memory = deployment.memory_per_accelerator if on_gpu else deployment.memory_per_instance
        assert memory is not None
        assert sum(memory.parts.values()) == memory.used_bytes <= memory.capacity_bytes
        devices = deployment.accelerators_per_instance if on_gpu else 1
        assert devices is not None
        per_device = int(deployment.extra["workers_per_device"] or 0)
        assert deployment.instances * devices * per_device >= deployment.replicas
        rate = deployment.throughput.requests_per_s
        assert rate.capacity >= rate.demanded > 0
        for latency in deployment.latency_ms.values():
            assert latency.p50 is not None
            assert latency.p95 is not None
            assert latency.p99 is not None
            assert latency.p50 <= latency.p95 <= latency.p99
            assert latency.low is not None
            assert latency.high is not None
            assert latency.low <= getattr(latency, f"p{scenario.slo_percentile}") <= latency.high
        assert all(v.met for v in deployment.verdicts)
        assert all(v.basis == "estimated" for v in deployment.verdicts)
        if scenario.requests_per_s is not None:
            assert deployment.utilization <= scenario.utilization_cap * (1 + 1e-9)
    assert Plan.model_validate(found.as_json()) == found


@pytest.mark.parametrize("name", NAMES)
def test_examples_yield_a_deployment(name: str) -> None:
    scenario = scenario_from_yaml((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(scenario, DeepLearningScenario)
    assert scenario.name
    assert scenario.notes
    found = plan(scenario, CATALOG)
    check_contract(found, scenario)
    assert found.recommended is not None


def test_resnet50_example_fits_a_16_gib_gpu_and_shows_both_figures() -> None:
    scenario = scenario_from_yaml((EXAMPLES / "resnet-50.yaml").read_text(encoding="utf-8"))
    assert isinstance(scenario, DeepLearningScenario)
    found = plan(scenario, CATALOG)
    values = {step.quantity: step.value for step in found.working}
    assert values["Parameters"] == 25_557_032
    assert values["Sum of activations of a sample"] == 91_332_512
    assert values["Peak live activations of a sample"] == 10_436_608
    assert values["Batch at 10 GiB by the sum (fp32)"] == 116
    assert values["Batch at 10 GiB by the peak (fp32)"] == 963
    on_t4 = next(d for d in found.ranked if d.accelerator == "t4")
    assert on_t4.memory_per_accelerator is not None
    assert on_t4.memory_per_accelerator.used_bytes < 16 * GIB
    chart = memory_by_batch(scenario, CATALOG, (1, 116, 963), "t4")
    assert chart.sum_bytes[1] / GIB == pytest.approx(10.0, rel=0.01)
    assert chart.used_bytes[1] == sum(part[1] for part in chart.parts.values())


SCENARIOS = st.builds(
    DeepLearningScenario,
    model=st.sampled_from(
        ["torchvision-resnet50", "bert-base-uncased", "whisper-large-v3", "yolov8m", "flux1-dev-transformer"]
    ),
    precision=st.sampled_from(["fp32", "tf32", "fp16", "bf16", "int8"]),
    runtime=st.sampled_from(["pytorch_eager", "onnxruntime", "tensorrt"]),
    attention=st.sampled_from(["fused", "math"]),
    requests_per_s=st.floats(0.01, 1e5),
    batch=st.none() | st.integers(1, 512),
    latency_target_ms=st.none() | st.floats(1.0, 1e4),
    slo_percentile=st.sampled_from([50, 95, 99]),
    cpu_ms_per_request=st.none() | st.floats(0.0, 100.0),
    compute=st.sampled_from(["gpu", "cpu", "either"]),
    queue_delay_ms=st.sampled_from([0.0, 0.0, 3.0]),
    model_instances_per_gpu=st.sampled_from([1, 1, 2]),
    gpu_share=st.sampled_from(["whole", "whole", "mig_1g", "time_slice_2"]),
    reserved_share=st.sampled_from([0.0, 0.3]),
    request_kib=st.none() | st.floats(1.0, 1e4),
    utilization_cap=st.floats(0.1, 0.9),
    spare_replicas=st.integers(0, 3),
    max_usd_per_month=st.none() | st.floats(100.0, 1e6),
)


@settings(max_examples=25, deadline=None)
@given(SCENARIOS)
def test_contract_holds_for_any_open_loop(scenario: DeepLearningScenario) -> None:
    check_contract(plan(scenario, CATALOG), scenario)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 20_000),
    st.floats(0.0, 30.0),
    st.none() | st.floats(5.0, 500.0),
    st.sampled_from(["onnxruntime", "tensorrt"]),
)
def test_contract_holds_for_any_closed_loop(clients: int, think: float, limit: float | None, runtime: str) -> None:
    scenario = DeepLearningScenario(concurrency=clients, think_time_s=think, latency_target_ms=limit, runtime=runtime)  # type: ignore[arg-type]
    found = plan(scenario, CATALOG)
    check_contract(found, scenario)
    for deployment in found.ranked:
        latency = deployment.latency_ms["latency"].p50
        assert latency is not None
        # Nobody can ask faster than once in think time + CPU + a sample alone.
        alone = (
            float(deployment.extra["cpu_ms_per_request"] or 0)
            + float(deployment.extra["t0_ms"] or 0)
            + float(deployment.extra["k_ms"] or 0)
        )
        assert deployment.throughput.requests_per_s.demanded <= clients / (think + alone / 1000.0) * (1 + 1e-6)


def test_the_same_scenario_gives_the_same_plan() -> None:
    assert found_for(requests_per_s=777.0) == found_for(requests_per_s=777.0)


def test_more_traffic_needs_no_fewer_gpus_and_a_tighter_limit_no_fewer() -> None:
    only = {"instances": ("aws-g4dn-xlarge",), "cpu_ms_per_request": 0.0}
    counts = [best(requests_per_s=rate, **only).replicas for rate in (100, 1000, 5000, 20_000, 100_000)]
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    counts = [best(requests_per_s=20_000, latency_target_ms=limit, **only).replicas for limit in (200, 50, 20, 8)]
    assert counts == sorted(counts)


def test_vcpus_bind_when_requests_need_much_cpu() -> None:
    found = best(instances=("aws-g4dn-xlarge",), requests_per_s=500.0, cpu_ms_per_request=20.0)
    assert found.binding_constraint == "vCPU"
    assert found.extra["vcpus_needed"] == pytest.approx(500 * 0.020 / 0.7)
    assert found.instances == ceil(500 * 0.020 / 0.7 / 4)
    assert found.replicas < found.instances


def test_spares_add_gpus_and_change_no_latency() -> None:
    without, spare = (best(instances=("aws-g4dn-xlarge",), requests_per_s=3000.0, spare_replicas=n) for n in (0, 2))
    assert spare.replicas == without.replicas + 2
    assert spare.latency_ms == without.latency_ms


def test_batch_of_the_user_is_the_largest_batch() -> None:
    assert best(batch=7).batch == 7
    assert best(batch=7).extra["best_batch"] != 7


def test_a_batch_too_large_for_memory_is_rejected_with_what_fits() -> None:
    found = found_for(batch=65_536, precision="fp32", instances=("aws-g4dn-xlarge",))
    said = next(r for r in found.rejected if r.instance == "aws-g4dn-xlarge")
    assert said.constraint == "memory"
    assert said.remedy is not None
    fits = int(said.remedy.rsplit(" ", 1)[1])
    again = found_for(batch=fits, precision="fp32", instances=("aws-g4dn-xlarge",), latency_target_ms=None)
    assert again.recommended is not None


def test_a_limit_out_of_reach_names_latency_and_its_remedy_works() -> None:
    found = found_for(latency_target_ms=1.0)
    assert found.recommended is None
    assert found.binding_constraint == "latency"
    assert "latency binds" in found.headline
    assert len(found.working) >= 6
    late = [r for r in found.rejected if r.constraint == "latency"]
    assert late
    assert all(r.remedy for r in late)


def test_budget_names_the_cheapest_as_nearest() -> None:
    found = found_for(max_usd_per_month=10.0, compute="gpu")
    assert found.binding_constraint == "budget"
    cheapest = found_for().recommended
    assert cheapest is not None
    assert cheapest.instance_type in found.headline


def test_formats_and_runtimes_reject_with_a_reason() -> None:
    reasons = {(r.constraint, r.accelerator): r for r in found_for(precision="bf16").rejected}
    assert reasons["precision", "t4"].remedy == "precision fp16"
    assert reasons["runtime", "inferentia2"].remedy is None
    assert reasons["runtime", "mi300x"].remedy == "runtime pytorch_eager"
    falls_back = next(d for d in found_for(precision="tf32").ranked if d.accelerator == "t4")
    assert any("TF32" in w for w in falls_back.warnings)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": "resnet-fifty"}, "model"),
        ({"accelerators": ("h1000",)}, "accelerator"),
        ({"instances": ("p99.huge",)}, "instance"),
        ({"model": "bert-base-uncased", "input_size": 4096}, "input_size"),
    ],
)
def test_input_that_cannot_be_used_is_one_sentence(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        found_for(**fields)
    assert field in caught.value.field
    assert str(caught.value).count("\n") == 0


def test_curves_rise_and_mark_the_chosen_point() -> None:
    scenario = DeepLearningScenario()
    chosen = best()
    curve = batch_curve(scenario, CATALOG, chosen)
    assert chosen.batch in curve.batch.tolist()
    assert (curve.latency_ms[1:] > curve.latency_ms[:-1]).all()
    assert (curve.requests_per_s[1:] > curve.requests_per_s[:-1]).all()
    assert (curve.latency_low_ms <= curve.latency_ms).all()
    assert (curve.bound_ms <= curve.latency_low_ms).all()
    loads = load_curve(scenario, CATALOG, chosen)
    assert (loads.p50_ms <= loads.p95_ms).all()
    assert loads.p95_ms[-1] > loads.p95_ms[0]


def test_no_limit_takes_the_knee() -> None:
    found = best(latency_target_ms=None)
    t0, k = float(found.extra["t0_ms"] or 0), float(found.extra["k_ms"] or 0)
    assert found.batch == ceil(t0 / k * 19 - 1e-9)
