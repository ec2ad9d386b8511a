"""Time of a batch: measured cases of others inside the interval, physical bounds, and formats that a GPU lacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.deep_learning.graph import graph
from sizing.deep_learning.latency import batch_law
from sizing.deep_learning.runtime_memory import memory_rules
from sizing.deep_learning.runtimes import Unsupported, format_on

CATALOG = load()
PARTS = [a for a in CATALOG.accelerators.values() if a.vendor == "NVIDIA"]
ON_GPU = [name for name, profile in memory_rules().items() if profile.vendors]


@pytest.mark.parametrize(
    ("part", "precision", "batch", "measured_ms"),
    [
        # ResNet-50 v1.5 in TensorRT: t0 + k b as fitted to NVIDIA DeepLearningExamples (PaddlePaddle README).
        ("a30", "fp16", 128, 0.69 + 0.117 * 128),
        ("a10", "fp16", 128, 0.71 + 0.188 * 128),
        ("a10", "fp16", 1, 0.71 + 0.188),
        ("a100-sxm-80gb", "fp16", 128, 0.70 + 0.055 * 128),
        ("a100-sxm-80gb", "int8", 128, 0.68 + 0.034 * 128),
    ],
)
def test_resnet50_in_tensorrt_within_the_interval(part: str, precision: str, batch: int, measured_ms: float) -> None:
    facts = graph(CATALOG, "torchvision-resnet50")
    law = batch_law(facts, CATALOG.accelerator(part), runtime="tensorrt", precision=precision)  # type: ignore[arg-type]
    assert law.low_ms(batch) <= measured_ms <= law.high_ms(batch)


@pytest.mark.parametrize(("batch", "measured_ms"), [(1, 1.45), (8, 4.86), (64, 32.4), (128, 63.9)])
def test_bge_base_in_onnxruntime_within_the_interval(batch: int, measured_ms: float) -> None:
    # optimum-benchmark full_report.csv: A100-SXM4-80GB, onnxruntime CUDA fp16, 256 tokens.
    facts = graph(CATALOG, "bert-base-uncased", input_size=256, attention="math")
    law = batch_law(facts, CATALOG.accelerator("a100-sxm-80gb"), runtime="onnxruntime", precision="fp16")
    assert law.low_ms(batch) <= measured_ms <= law.high_ms(batch)


def test_t4_has_no_bf16_and_tf32_falls_back() -> None:
    t4 = CATALOG.accelerator("t4")
    with pytest.raises(Unsupported, match="bf16") as caught:
        format_on(t4, runtime="onnxruntime", precision="bf16")
    assert caught.value.remedy == "precision fp16"
    found = format_on(t4, runtime="onnxruntime", precision="tf32")
    assert found.compute == "fp32"
    assert "TF32" in found.notes[0]


def test_int8_multiplies_in_int8_in_tensorrt_only() -> None:
    a10 = CATALOG.accelerator("a10")
    assert format_on(a10, runtime="tensorrt", precision="int8").compute == "int8"
    other = format_on(a10, runtime="onnxruntime", precision="int8")
    assert (other.compute, other.weight_bytes, other.activation_bytes) == ("fp16", 1, 2)


def test_runtimes_run_where_they_can() -> None:
    amd, tpu = CATALOG.accelerator("mi300x"), CATALOG.accelerator("tpu-v5e")
    assert format_on(amd, runtime="pytorch_eager", precision="bf16").compute == "bf16"
    for runtime in ("onnxruntime", "tensorrt"):
        with pytest.raises(Unsupported) as caught:
            format_on(amd, runtime=runtime, precision="fp16")  # type: ignore[arg-type]
        assert (caught.value.constraint, caught.value.remedy) == ("runtime", "runtime pytorch_eager")
    with pytest.raises(Unsupported) as caught:
        format_on(tpu, runtime="pytorch_eager", precision="bf16")
    assert (caught.value.constraint, caught.value.remedy) == ("runtime", None)


@given(
    st.sampled_from(list(CATALOG.deep_learning_models)),
    st.sampled_from(PARTS),
    st.sampled_from(ON_GPU),
    st.sampled_from(["fp32", "tf32", "fp16", "bf16", "int8"]),
    st.integers(1, 2048),
)
def test_never_faster_than_physics_and_more_is_never_sooner(
    model: str, part: object, runtime: str, precision: str, batch: int
) -> None:
    try:
        law = batch_law(graph(CATALOG, model), part, runtime=runtime, precision=precision)  # type: ignore[arg-type]
    except Unsupported:
        return
    assert law.bound_ms(batch) <= law.low_ms(batch) <= law.latency_ms(batch) <= law.high_ms(batch)
    assert law.latency_ms(batch + 1) > law.latency_ms(batch)
    assert (batch + 1) / law.latency_ms(batch + 1) > batch / law.latency_ms(batch)


@given(st.sampled_from(PARTS), st.floats(1.0, 8.0), st.sampled_from(ON_GPU), st.integers(1, 512))
def test_more_bandwidth_is_never_slower(part: object, factor: float, runtime: str, batch: int) -> None:
    facts = graph(CATALOG, "torchvision-resnet50")
    faster = part.model_copy(update={"memory_bandwidth_gb_per_s": part.memory_bandwidth_gb_per_s * factor})  # type: ignore[attr-defined]
    one, other = (batch_law(facts, p, runtime=runtime, precision="fp16") for p in (part, faster))  # type: ignore[arg-type]
    # The times themselves never grow (test_deep_learning_speed); the line through them tilts by less than a tenth.
    assert other.latency_ms(batch) <= 1.1 * one.latency_ms(batch)
