"""Pipelines: which stage sets the memory, how times add up, and what is measured of SDXL and Whisper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.deep_learning import plan
from sizing.deep_learning.graph import graph
from sizing.deep_learning.latency import batch_law
from sizing.deep_learning.memory import gpu_memory, largest_batch, sample_bytes, stage_bytes, weights_bytes
from sizing.deep_learning.pipeline import law_of, shares
from sizing.errors import InputError
from sizing.scenario import DeepLearningScenario
from sizing.units import GB, GIB, MB

CATALOG = load()
A100 = CATALOG.accelerator("a100-sxm-80gb")
SDXL = graph(CATALOG, "stable-diffusion-xl")
PIPELINES = [m.id for m in CATALOG.deep_learning_models.values() if m.stages]


@pytest.mark.parametrize(("precision", "measured_gb"), [("fp16", 21.72), ("fp32", 28.09)])
def test_sdxl_four_images_within_8_percent_of_the_measured(precision: str, measured_gb: float) -> None:
    # Hugging Face blog simple_sdxl_optimizations: A100 40 GB, 4 images of 1024 x 1024, peak of PyTorch.
    memory = gpu_memory(SDXL, runtime="pytorch_eager", precision=precision, batch=4, capacity_bytes=40 * GIB)  # type: ignore[arg-type]
    assert memory.used_bytes / GB == pytest.approx(measured_gb, rel=0.08)
    assert memory.used_low_bytes is not None
    assert memory.used_high_bytes is not None
    assert memory.used_low_bytes <= measured_gb * GB <= memory.used_high_bytes


def test_the_vae_sets_the_peak_of_sdxl_and_takes_little_of_its_time() -> None:
    found = shares(SDXL, A100, runtime="pytorch_eager", precision="fp16", batch=4)
    by_name = {stage.name: stage for stage in found}
    assert [stage.name for stage in found if stage.sets_peak] == ["VAE decoder"]
    vae, unet = by_name["VAE decoder"], by_name["UNet"]
    assert vae.precision == "fp32"
    assert vae.activation_bytes == 4 * 3_221_487_616
    assert unet.activation_bytes == 4 * 2 * 330_312_960 // 2  # guidance doubles the batch, fp16 halves the bytes
    assert unet.runs == 50
    assert vae.time_ms is not None
    assert unet.time_ms is not None
    assert vae.time_ms < 0.5 * unet.time_ms


def test_weights_of_all_stages_stay_loaded() -> None:
    # SDXL: UNet, two text encoders in fp16 (2 bytes), VAE in fp32.
    expected = 2 * (2_567_463_684 + 694_659_840 + 123_650_304) + 4 * 83_653_863
    assert weights_bytes(SDXL, runtime="pytorch_eager", precision="fp16") == expected


def test_times_of_stages_add_up() -> None:
    law = law_of(SDXL, A100, runtime="pytorch_eager", precision="fp16")
    parts = [
        stage.repeats
        * batch_law(stage.graph, A100, runtime="pytorch_eager", precision=stage.precision or "fp16").latency_ms(
            3 * stage.batch_factor
        )
        for stage in SDXL.stages
    ]
    assert law.latency_ms(3) == pytest.approx(sum(parts))
    shown = shares(SDXL, A100, runtime="pytorch_eager", precision="fp16", batch=3)
    assert law.latency_ms(3) == pytest.approx(sum(stage.time_ms or 0.0 for stage in shown))


def test_steps_scale_the_denoiser_alone() -> None:
    twenty, forty = (graph(CATALOG, "stable-diffusion-xl", steps=steps) for steps in (20, 40))
    unet = SDXL.stages[2]
    assert unet.name == "UNet"
    assert forty.macs - twenty.macs == pytest.approx(20 * 2 * unet.graph.macs)
    assert forty.peak_live_bytes_fp32 == twenty.peak_live_bytes_fp32


def test_whisper_keeps_the_keys_of_the_audio_for_each_sample() -> None:
    # 32 layers x 2 x 1500 positions x 1280 x 2 bytes = 245.76 MB, and 100 tokens x 32 x 2 x 1280 x 2 bytes = 16.4 MB.
    facts = graph(CATALOG, "whisper-large-v2-speech-to-text")
    decoder = stage_bytes(facts, runtime="pytorch_eager", precision="fp16")[1]
    assert decoder.state == 32 * 2 * 1500 * 1280 * 2 + 100 * 32 * 2 * 1280 * 2
    one, eight = (
        gpu_memory(facts, runtime="pytorch_eager", precision="fp16", batch=b, capacity_bytes=GIB).used_bytes for b in (1, 8)
    )  # fmt: skip
    # faster-whisper 1.1.0 on RTX 3070 Ti: 4,525 MB at batch 1 (reported as MiB), 224 MB for each further sample.
    assert one / MB == pytest.approx(4525 * 1.048576, rel=0.1)
    assert (eight - one) / 7 / MB == pytest.approx(224 * 1.048576, rel=0.2)


def test_int8_whisper_keeps_the_slope_of_fp16() -> None:
    # The same runs in int8: 225 MB for each further sample, activations and keys are not quantised.
    facts = graph(CATALOG, "whisper-large-v2-speech-to-text")
    slopes = [sum(sample_bytes(facts, runtime="pytorch_eager", precision=p, activations="peak")) for p in ("fp16", "int8")]  # fmt: skip
    assert slopes[0] == slopes[1]


def test_more_tokens_are_slower_and_keep_more() -> None:
    short, long = (graph(CATALOG, "whisper-small-speech-to-text", output_tokens=n) for n in (50, 200))
    times = [law_of(g, A100, runtime="pytorch_eager", precision="fp16").latency_ms(4) for g in (short, long)]
    kept = [gpu_memory(g, runtime="pytorch_eager", precision="fp16", batch=4, capacity_bytes=GIB).parts["kv_cache"] for g in (short, long)]  # fmt: skip
    assert times[0] * 2 < times[1] < times[0] * 4
    assert kept[1] - kept[0] == 4 * 150 * 2 * 12 * 768 * 2


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_is_planned(name: str) -> None:
    scenario = DeepLearningScenario(
        model=name, requests_per_s=0.5, latency_target_ms=None, precision="fp16", runtime="pytorch_eager", compute="gpu"
    )
    found = plan(scenario, CATALOG)
    assert found.recommended is not None
    stages = {stage.name for stage in CATALOG.deep_learning_model(name).stages}
    assert {f"Time of the {stage}" for stage in stages} <= {step.quantity for step in found.working}


def test_a_pipeline_takes_sizes_that_all_its_stages_take() -> None:
    with pytest.raises(InputError, match="3000, the only size known"):
        graph(CATALOG, "whisper-small-speech-to-text", input_size=1500)
    assert graph(CATALOG, "stable-diffusion-v1-5", input_size=768).size == 768


@given(
    st.sampled_from(PIPELINES), st.sampled_from(["fp32", "fp16", "int8", "fp8"]), st.integers(1, 64), st.integers(1, 8)
)
def test_memory_of_a_pipeline_is_its_weights_and_its_greatest_stage(name: str, precision: str, batch: int, instances: int) -> None:  # fmt: skip
    facts = graph(CATALOG, name)
    sizes = stage_bytes(facts, runtime="pytorch_eager", precision=precision)  # type: ignore[arg-type]
    one = gpu_memory(facts, runtime="pytorch_eager", precision=precision, batch=batch, capacity_bytes=GIB)  # type: ignore[arg-type]
    parts = one.parts
    assert parts["input"] + parts["activations_peak"] + parts.get("kv_cache", 0) == max(s.sample for s in sizes) * batch
    assert sum(parts.values()) == one.used_bytes
    assert one.used_low_bytes is not None
    assert one.used_high_bytes is not None
    assert one.used_low_bytes <= one.used_bytes <= one.used_high_bytes
    several = gpu_memory(facts, runtime="pytorch_eager", precision=precision, batch=batch, capacity_bytes=GIB, instances=instances)  # type: ignore[arg-type]  # fmt: skip
    floor = parts["runtime_floor"]
    assert several.used_bytes - floor == instances * (one.used_bytes - floor)


def test_instances_of_tensorrt_share_the_weights() -> None:
    facts = graph(CATALOG, "torchvision-resnet50")
    one, four = (
        gpu_memory(facts, runtime="tensorrt", precision="fp16", batch=8, capacity_bytes=GIB, instances=n).parts for n in (1, 4)
    )  # fmt: skip
    assert four["weights"] == one["weights"] == 2 * 25_557_032
    assert four["activations_peak"] == 4 * one["activations_peak"]


def test_more_instances_hold_a_smaller_batch() -> None:
    facts = graph(CATALOG, "bert-base-uncased")
    held = [largest_batch(facts, runtime="onnxruntime", precision="fp16", capacity_bytes=16 * GIB, instances=n) for n in (1, 2, 4)]  # fmt: skip
    assert held[0] > held[1] > held[2] > 0
