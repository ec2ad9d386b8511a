"""Memory rules of runtimes, formats on GPUs, live bytes over a pass, the batch that fills a GPU, and the memory report."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import pytest

from benchmarks.deep_learning_memory import held_back, predict, report
from sizing.catalog import load
from sizing.deep_learning.capacity import full_batches
from sizing.deep_learning.graph import graph
from sizing.deep_learning.live import live_pass, live_passes
from sizing.deep_learning.memory import gpu_memory
from sizing.deep_learning.runtime_memory import doubled_extents_bytes, memory_rules
from sizing.deep_learning.runtimes import Unsupported, element_bytes, format_on
from sizing.scenario import DeepLearningScenario
from sizing.scenario_deep_learning import DeepLearningRuntime
from sizing.units import GIB, MB, MIB

CATALOG = load()
BGE = graph(CATALOG, "bge-base-en-v1.5", input_size=256, attention="math")


def test_every_runtime_has_a_memory_rule_with_its_sources() -> None:
    assert set(memory_rules()) == set(get_args(DeepLearningRuntime))
    for name, rule in memory_rules().items():
        for figure in (rule.floor, rule.workspace, *([rule.arena] if rule.arena else [])):
            assert figure.low <= figure.value <= figure.high, name
            assert figure.source
            assert figure.as_of


def test_the_arena_jumps_at_the_batches_at_which_the_measured_process_jumps() -> None:
    # optimum-benchmark, A100, onnxruntime CUDA fp16: 3,500 MB at 2; 3,765 at 4 to 16; 4,304 at 32 and 64; 5,583; 8,152; 13,263;
    # 23,700; 44,135 at 128 to 2,048.
    batches = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
    parts = [
        gpu_memory(BGE, runtime="onnxruntime", precision="fp16", batch=b, capacity_bytes=GIB).parts for b in batches
    ]
    held = [p["weights"] + p["activations_peak"] + p["arena"] for p in parts]
    jumps = [batch for batch, (before, after) in zip(batches[1:], pairwise(held), strict=True) if after > before]
    assert jumps == [4, 32, 128, 256, 512, 1024, 2048]
    assert [(size + MIB) // MIB for size in held[:3]] == [256, 256, 512]


@pytest.mark.parametrize(("batch", "above_mb"), [(4, 265), (32, 804), (64, 804), (128, 2083), (256, 4652), (512, 9763), (1024, 20200), (2048, 40635)])  # fmt: skip
def test_what_onnxruntime_holds_above_batch_2_is_within_20_percent(batch: int, above_mb: float) -> None:
    large, small = (
        gpu_memory(BGE, runtime="onnxruntime", precision="fp16", batch=b, capacity_bytes=GIB).used_bytes for b in (batch, 2)
    )  # fmt: skip
    assert (large - small) / MB == pytest.approx(above_mb, rel=0.2)


def test_same_as_requested_never_needs_more_and_has_no_steps() -> None:
    def used(batch: int, arena: str) -> int:
        return gpu_memory(BGE, runtime="onnxruntime", precision="fp16", batch=batch, capacity_bytes=GIB, ort_arena=arena).used_bytes  # type: ignore[arg-type]  # fmt: skip

    assert all(used(b, "same_as_requested") <= used(b, "power_of_two") for b in (1, 7, 64, 300))
    steps = {used(b + 1, "same_as_requested") - used(b, "same_as_requested") for b in range(1, 50)}
    assert max(steps) - min(steps) <= 2


@pytest.mark.parametrize("needed", [1, MIB, MIB + 1, 10**9, 2**34])
def test_extents_double_from_one_mebibyte(needed: int) -> None:
    held = doubled_extents_bytes(needed)
    assert held >= needed
    assert (held + MIB).bit_count() == 1
    assert held == MIB or (held + MIB) // 2 - MIB < needed


@pytest.mark.parametrize(("batch", "measured_mb"), [(64, 4150), (128, 4612), (256, 5514)])
def test_tensorrt_in_onnxruntime_grows_as_measured(batch: int, measured_mb: float) -> None:
    # Same source, TensorRT provider: 3,838 MB at batch 1.
    large, one = (
        gpu_memory(BGE, runtime="onnxruntime_tensorrt", precision="fp16", batch=b, capacity_bytes=GIB).used_bytes for b in (batch, 1)
    )  # fmt: skip
    assert (large - one) / MB == pytest.approx(measured_mb - 3838, rel=0.35)


def test_fp8_runs_where_the_catalog_knows_its_peak() -> None:
    h100, a100 = CATALOG.accelerator("h100-sxm-80gb"), CATALOG.accelerator("a100-sxm-80gb")
    assert format_on(h100, runtime="tensorrt", precision="fp8").compute == "fp8"
    assert element_bytes("tensorrt", "fp8") == (1, 2)
    with pytest.raises(Unsupported, match="no fp8 units") as caught:
        format_on(a100, runtime="tensorrt", precision="fp8")
    assert caught.value.remedy == "precision fp16"
    with pytest.raises(Unsupported, match="nothing in fp8"):
        format_on(h100, runtime="onnxruntime", precision="fp8")


def test_live_bytes_reach_the_peak_where_the_trace_says() -> None:
    found = live_pass(graph(CATALOG, "torchvision-resnet50"), "fused")
    assert found is not None
    assert found.operators == 337
    assert max(found.live_bytes) == found.live_bytes[found.peak_point] == 10_436_608
    assert (found.peak_operator, found.peak_module) == ("native_batch_norm", "layer1.0.downsample.1")
    assert found.after_operators[-1] == 337
    assert len(found.live_bytes) <= 48


def test_another_size_scales_the_curve_and_attention_picks_its_own() -> None:
    large = live_pass(graph(CATALOG, "torchvision-resnet50", input_size=448), "fused")
    assert large is not None
    assert large.traced_size == 224
    assert max(large.live_bytes) == graph(CATALOG, "torchvision-resnet50", input_size=448).peak_live_bytes_fp32
    facts = [graph(CATALOG, "bert-base-uncased", attention=a) for a in ("fused", "math")]  # type: ignore[arg-type]
    fused, math = (live_pass(g, a) for g, a in zip(facts, ("fused", "math"), strict=True))  # type: ignore[arg-type]
    assert fused is not None
    assert math is not None
    assert (fused.peak_operator, math.peak_operator) == ("gelu", "add")


def test_a_pipeline_shows_each_stage_and_an_untraced_network_none() -> None:
    stages = [one.name for one in live_passes(graph(CATALOG, "stable-diffusion-xl"), "fused")]
    assert stages == ["text encoder", "second text encoder", "UNet", "VAE decoder"]
    assert live_passes(graph(CATALOG, "yolov8m"), "fused") == ()


def test_the_batch_that_fills_a_gpu_follows_from_its_memory() -> None:
    rows = full_batches(DeepLearningScenario(precision="fp32", runtime="pytorch_eager"), CATALOG)
    by_name = {row.accelerator: row for row in rows}
    # T4: 15,360 MiB; (16.11e9 - 1.1e9 - 102.2e6 - 0.2e6) / (10.437e6 x 1.13 + 0.602e6) = 1,202.
    t4 = by_name["t4"]
    assert t4.largest_batch == int(
        (t4.capacity_bytes - 1_100_000_000 - 102_228_128 - 212_904) / (10_436_608 * 1.13 + 602_112)
    )
    assert len({row.accelerator for row in rows}) == 12
    fp8 = full_batches(DeepLearningScenario(precision="fp8", runtime="tensorrt"), CATALOG)
    assert {row.accelerator: row.because for row in fp8}["t4"] == "Tesla T4 has no fp8 units in the catalog"


def test_the_report_counts_what_it_cannot_predict_and_holds_models_back() -> None:
    def cells(**changed: str) -> dict[str, str]:
        row = {"source": "x", "model": "BAAI/bge-base-en-v1.5", "gpu": "A100", "framework": "pytorch", "precision": "fp32", "batch": "64",
               "seq_or_img": "seq256", "memory_mb": "2689", "memory_kind": "process peak", "notes": ""}  # fmt: skip
        return {**row, **changed}

    bge = predict(CATALOG, cells())
    assert abs(bge.error) < 0.15
    assert bge.inside
    resnet = predict(CATALOG, cells(model="resnet50_libtorch", batch="1", seq_or_img="3x224x224", memory_mb="1099"))
    unknown = predict(CATALOG, cells(model="BirdNET v2.4"))
    assert unknown.because == "the catalog has no trace of the model"
    apart = held_back([bge, resnet])
    # ResNet-50 leaves 1,099 - (its prediction - 1,100) as floor; bge-base is then predicted with it.
    floor = 1099 - (resnet.predicted_mb - 1100)
    assert apart[0] == pytest.approx((bge.predicted_mb - 1100 + floor) / 2689 - 1.0)
    text = report([bge, resnet, unknown])
    assert "3 rows, 2 predicted, 1 not" in text
    assert "| 1 | the catalog has no trace of the model |" in text
