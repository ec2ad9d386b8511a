"""CPU machines beside GPUs, shares of a GPU, and what requests ask of the host."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from sizing.catalog import load
from sizing.deep_learning import plan
from sizing.deep_learning.graph import graph
from sizing.deep_learning.host import host_work, network_requests_per_s
from sizing.deep_learning.pipeline import facts_of
from sizing.deep_learning.processor import OWN_CORE_GHZ, OWN_RUNS, Core, Session, processor_law, session_on
from sizing.deep_learning.runtimes import Unsupported
from sizing.deep_learning.sharing import given, share_of
from sizing.deep_learning.triton import checks, serving, triton_config
from sizing.plan import Deployment
from sizing.scenario import DeepLearningScenario

CATALOG = load()
SMALL = "timm-mobilenetv3-large-100-224"


def best(**fields: object) -> Deployment:
    found = plan(DeepLearningScenario(**fields), CATALOG).recommended  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_request_a_second_of_mobilenet_needs_no_gpu() -> None:
    found = plan(DeepLearningScenario(model=SMALL, requests_per_s=1.0), CATALOG)
    assert found.recommended is not None
    assert found.recommended.accelerator is None
    assert found.recommended.runtime == "onnxruntime_cpu"
    assert "needs no GPU" in found.headline
    assert "CPU machines are cheaper" in found.caveats[0]
    with_gpu = best(model=SMALL, requests_per_s=1.0, compute="gpu")
    assert with_gpu.accelerator is not None
    assert with_gpu.cost.usd_per_month > found.recommended.cost.usd_per_month


def test_either_is_the_cheaper_of_both_and_named_accelerators_leave_gpus_only() -> None:
    for rate in (1.0, 100.0, 2000.0):
        sides = [best(requests_per_s=rate, compute=side).cost.usd_per_month for side in ("gpu", "cpu")]
        assert best(requests_per_s=rate).cost.usd_per_month == min(sides)
    assert best(model=SMALL, requests_per_s=1.0, accelerators=("t4",)).accelerator == "t4"
    assert best(runtime="onnxruntime_cpu", model=SMALL, requests_per_s=5.0).accelerator is None


def test_time_of_one_core_is_near_our_own_runs() -> None:
    """ONNX Runtime on one core of about 240 GFLOP/s: each network within 25 %, all of them within 12 % in the median."""
    session = Session(load().instance("aws-c7i-4xlarge"), 1.0, 2.0, 1, 2**36, Core(OWN_CORE_GHZ, 64, 4.8))
    errors = []
    for model, one_ms, of_four_ms in OWN_RUNS:
        law = processor_law(graph(CATALOG, model), session, cpu_ms=0.0, precision="fp32")
        errors += [law.latency_ms(1) / one_ms - 1.0, law.latency_ms(4) / 4 / of_four_ms - 1.0]
        assert law.low_ms(1) <= one_ms <= law.high_ms(1)
    assert max(map(abs, errors)) < 0.25
    assert np.median(np.abs(errors)) < 0.12


def test_pytorch_on_fourteen_cores_is_never_faster_than_what_is_predicted() -> None:
    """timm's table: fp32, large batches, i9-10940X of 3.3 GHz with AVX-512 and 94 GB/s."""
    session = Session(load().instance("aws-c7i-4xlarge"), 14.0, 28.0, 1, 2**36, Core(3.3, 64, 94 / 14))
    slower = []
    for model in CATALOG.deep_learning_models.values():
        if model.reference_cpu_i9_10940x_fp32_per_s is not None:
            law = processor_law(graph(CATALOG, model.id), session, cpu_ms=0.0, precision="fp32")
            slower.append(1000.0 / model.reference_cpu_i9_10940x_fp32_per_s / law.k_ms)
            assert law.bound_ms(8) <= law.low_ms(8) < law.latency_ms(8) < law.high_ms(8)
    assert len(slower) == 18
    assert min(slower) > 1.0
    assert 2.0 < np.median(slower) < 6.0


def test_twice_the_cores_take_little_more_than_half_the_time_a_sample() -> None:
    facts = graph(CATALOG, SMALL)
    small, large = (session_on(CATALOG.instance(f"aws-c7i-{size}xlarge")) for size in (2, 4))
    assert small is not None
    assert large is not None
    slow, fast = (processor_law(facts, s, cpu_ms=2.0, precision="fp32") for s in (small, large))
    assert 1.8 * fast.k_ms < slow.k_ms < 2.0 * fast.k_ms


def test_slices_split_memory_and_count_on_one_gpu() -> None:
    a100 = CATALOG.accelerator("a100-sxm-80gb")
    part = given(a100, DeepLearningScenario(gpu_share="mig_1g", reserved_share=0.5))
    assert part.capacity_bytes == pytest.approx(a100.capacity_bytes / 8, rel=1e-3)
    assert part.fp16_tflops == pytest.approx((a100.fp16_tflops or 0) / 14)
    with pytest.raises(Unsupported, match="no MIG profile"):
        share_of(CATALOG.accelerator("t4"), "mig_1g")
    found = best(gpu_share="mig_1g", requests_per_s=20_000.0, compute="gpu", instances=("aws-p4d-24xlarge",))
    assert found.extra["workers_per_device"] == 7
    assert found.instances == ceil(found.replicas / (7 * 8))


def test_memory_of_others_is_taken_off_and_instances_hold_their_own() -> None:
    alone, beside = (
        best(instances=("aws-g4dn-xlarge",), reserved_gib=gib).memory_per_accelerator for gib in (0.0, 6.0)
    )
    assert alone is not None
    assert beside is not None
    assert alone.capacity_bytes - beside.capacity_bytes == pytest.approx(6 * 2**30, abs=2**21)
    twice = best(instances=("aws-g4dn-xlarge",), batch=8, model_instances_per_gpu=2).memory_per_accelerator
    once = best(instances=("aws-g4dn-xlarge",), batch=8).memory_per_accelerator
    assert twice is not None
    assert once is not None
    assert twice.parts["weights"] == 2 * once.parts["weights"]
    assert twice.parts["runtime_floor"] == once.parts["runtime_floor"]


def test_host_work_by_kind_of_input_and_the_scenarios_own() -> None:
    work = host_work(DeepLearningScenario(), graph(CATALOG, "torchvision-resnet50"))
    # 0.2 megapixels decoded at 8 ms each, 224 x 224 resized at 4 ms a megapixel.
    assert work.cpu_ms == pytest.approx(0.2 * 8 + 224 * 224 / 1e6 * 4)
    text = host_work(DeepLearningScenario(), graph(CATALOG, "bert-base-uncased"))
    assert text.cpu_ms < work.cpu_ms
    assert text.request_kib < 5 < work.request_kib
    own = host_work(DeepLearningScenario(cpu_ms_per_request=9.0, request_kib=7.0), graph(CATALOG, "bert-base-uncased"))
    assert (own.cpu_ms, own.request_kib) == (9.0, 7.0)


def test_the_network_binds_for_large_requests_and_unknown_is_not_zero() -> None:
    found = best(instances=("aws-g4dn-xlarge",), requests_per_s=500.0, request_kib=2_000.0, cpu_ms_per_request=0.0)
    carried = network_requests_per_s(CATALOG.instance("aws-g4dn-xlarge"), 2_000.0)
    assert carried is not None
    assert found.binding_constraint == "network"
    assert found.instances == ceil(500.0 / carried)
    assert network_requests_per_s(CATALOG.instance("gcp-c3-standard-4"), 10.0) is None


@pytest.mark.parametrize("delay", [0.0, 4.0])
def test_more_load_never_takes_fewer_gpus_and_spares_are_added(delay: float) -> None:
    common: dict[str, object] = {"instances": ("aws-g4dn-xlarge",), "cpu_ms_per_request": 0.0, "request_kib": 1.0}
    counts = [
        best(requests_per_s=rate, queue_delay_ms=delay, **common).replicas
        for rate in (100.0, 1500.0, 4000.0, 9000.0, 30000.0)
    ]
    assert counts == sorted(counts)
    assert best(requests_per_s=9000.0, queue_delay_ms=delay, spare_replicas=1, **common).replicas == counts[3] + 1


def test_the_delay_shows_in_the_latency_and_stays_in_the_limit() -> None:
    common: dict[str, object] = {"instances": ("aws-g4dn-xlarge",), "requests_per_s": 20.0}
    none, some = (best(queue_delay_ms=d, **common).latency_ms["latency"].p50 for d in (0.0, 20.0))
    assert none is not None
    assert some is not None
    assert some - none == pytest.approx(20.0, rel=0.05)
    tight = best(queue_delay_ms=20.0, latency_target_ms=30.0, **common)
    assert tight.verdicts[0].met


def test_texts_of_a_cpu_answer_tell_what_the_cpu_runs() -> None:
    """MobileNetV3 at 1 request/s, asked for in int8 by TensorRT with 3 instances: a CPU machine in fp32 is the answer."""
    scenario = DeepLearningScenario(
        model="timm-mobilenetv3-large-100-224", requests_per_s=1.0, runtime="tensorrt", precision="int8",
        model_instances_per_gpu=3,
    )  # fmt: skip
    found = plan(scenario, CATALOG)
    best = found.recommended
    assert best is not None
    assert best.accelerator is None
    assert best.batch == 1
    # fp32 sum of activations of one sample as the trace has it, not its quarter
    facts = facts_of(scenario, CATALOG)
    assert best.extra["sum_activation_bytes"] == facts.sum_activation_bytes_fp32
    config = triton_config(serving(scenario, facts, best))
    assert "TYPE_FP32" in config
    assert "KIND_CPU" in config
    assert "fp32 is set" in config
    assert any(said.startswith("CPU utilization") for said in checks(serving(scenario, facts, best)))
    said = " ".join(found.caveats)
    assert "Speed on a CPU" in said
    assert "engine plans" not in said
    assert "Instances on one GPU" not in said
    steps = {step.quantity: step for step in found.working}
    assert "Throughput of a session at full batches" in steps
    assert "GPU" not in steps["Instances"].formula
    assert best.verdicts[0].source == "roofline of the cores, and batch queue"


def test_headline_of_a_cpu_only_search_without_an_answer_names_fp32() -> None:
    found = plan(DeepLearningScenario(compute="cpu", precision="int8", latency_target_ms=0.01), CATALOG)
    assert found.recommended is None
    assert "in fp32 at 500 requests/s" in found.headline


def test_users_that_wait_cannot_overload_a_machine() -> None:
    """One user on one machine: it is busy almost all the time, and no rate can outrun it."""
    found = plan(DeepLearningScenario(requests_per_s=None, concurrency=1), CATALOG)
    assert found.recommended is not None
    assert not any("overloaded" in said for said in found.recommended.warnings)
    assert "at 1 concurrent user needs" in found.headline


@pytest.mark.parametrize(
    ("rate", "said"), [(1.0, "1 request/s"), (1234567.0, "1,234,567 requests/s"), (0.5, "0.5 requests/s")]
)
def test_headline_writes_the_rate_in_full(rate: float, said: str) -> None:
    assert f"at {said} needs" in plan(DeepLearningScenario(requests_per_s=rate), CATALOG).headline


def test_a_named_accelerator_that_the_runtime_does_not_run_is_the_reason() -> None:
    """Not the 200 machines that the filter left out."""
    headline = plan(DeepLearningScenario(accelerators=("mi300x",)), CATALOG).headline
    assert "runtime binds" in headline
    assert "ONNX Runtime (CUDA) is not modelled on AMD" in headline
