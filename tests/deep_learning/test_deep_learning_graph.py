"""Graph facts against an independent count: torch 2.14.1, storage lifetimes, fp32, batch 1 (2026-11-22)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.catalog import Catalog, load
from sizing.deep_learning.graph import allowed_sizes, graph, law_value
from sizing.errors import InputError

CATALOG = load()
MIB = 2**20

GOLDEN = [
    # id, size, attention, parameters, GMACs, sum bytes, peak bytes
    ("torchvision-resnet50", 224, "fused", 25_557_032, 4.0892, 91_332_512, 10_436_608),
    ("timm-resnet18-224", 224, "fused", 11_689_512, 1.8141, 22_284_192, 6_422_528),
    ("timm-resnet101-224", 224, "fused", 44_549_160, 7.8014, 132_276_128, 10_436_608),
    ("torchvision-densenet121", 224, "fused", 7_978_856, 2.8342, 135_583_648, 10_035_200),
    ("timm-efficientnet-b0-224", 224, "fused", 5_288_548, 0.3858, 64_086_288, 12_042_240),
    ("timm-mobilenetv3-large-100-224", 224, "fused", 5_483_032, 0.2166, 39_347_264, 8_028_160),
    ("timm-vit-large-patch16-224-224", 224, "fused", 304_326_632, 61.5547, 352_193_352, 9_682_944),
    ("timm-vit-large-patch16-224-224", 224, "math", 304_326_632, 61.5547, 529_209_672, 10_615_936),
    ("timm-eva02-large-patch14-448-448", 448, "math", 305_080_232, 361.7472, 7_001_267_368, 159_670_400),
    ("bert-base-uncased", 128, "fused", 109_482_240, 11.1742, 88_207_985, 4_341_760),
    ("bert-base-uncased", 512, "math", 109_482_240, 48.3190, 871_759_985, 35_913_728),
    ("bert-large-uncased", 384, "fused", 335_141_888, 123.2129, 703_983_313, 17_448_960),
    ("distilbert-base-uncased", 512, "fused", 66_362_880, 24.1592, 182_933_569, 17_563_648),
    ("all-minilm-l6-v2", 256, "math", 22_713_216, 3.0200, 110_207_041, 8_978_432),
    ("whisper-small", 3000, "math", 241_734_912, 172.0812, 4_016_184_000, 248_268_000),
    ("whisper-large-v3", 3000, "fused", 1_543_490_560, 1136.8858, 5_726_232_000, 92_172_000),
    ("stable-diffusion-v1-5-unet", 512, "math", 859_520_964, 401.6367, 8_503_323_904, 1_136_662_784),
]


@pytest.mark.parametrize(("model", "size", "attention", "parameters", "gmacs", "total", "peak"), GOLDEN)
def test_traced_figures_equal_the_independent_count(
    model: str, size: int, attention: str, parameters: int, gmacs: float, total: int, peak: int
) -> None:
    facts = graph(CATALOG, model, input_size=size, attention=attention)  # type: ignore[arg-type]
    assert facts.parameters == parameters
    assert facts.macs == pytest.approx(gmacs * 1e9, rel=1e-4)
    assert facts.sum_activation_bytes_fp32 == total
    assert facts.peak_live_bytes_fp32 == peak
    assert facts.error_share == 0.0


def test_resnet50_figures_of_the_page() -> None:
    facts = graph(CATALOG, "torchvision-resnet50")
    assert facts.weights_bytes_fp32 == 102_228_128
    assert facts.sum_activation_bytes_fp32 / MIB == pytest.approx(87.1, abs=0.05)
    assert facts.peak_live_bytes_fp32 / MIB == pytest.approx(9.95, abs=0.005)
    assert facts.input_bytes_fp32 == 602_112


def test_every_catalog_model_has_facts_at_its_usual_size() -> None:
    for name in CATALOG.deep_learning_models:
        facts = graph(CATALOG, name)
        assert 0 < facts.peak_live_bytes_fp32 < facts.sum_activation_bytes_fp32, name
        assert facts.macs > 0, name
        assert facts.operators > 0, name


def without_traces(name: str) -> Catalog:
    """The catalog as if it had no trace of one model."""
    models = dict(CATALOG.deep_learning_models)
    models[name] = models[name].model_copy(update={"traces": ()})
    return replace(CATALOG, deep_learning_models=models)


def test_a_model_without_trace_is_derived_with_a_wide_interval() -> None:
    facts = graph(without_traces("yolov8m"), "yolov8m")
    assert facts.trust == "derived"
    assert facts.error_share > 0.3
    doubled = graph(without_traces("yolov8m"), "yolov8m", input_size=1280)
    assert doubled.sum_activation_bytes_fp32 == pytest.approx(4 * facts.sum_activation_bytes_fp32, rel=1e-6)
    with pytest.raises(InputError, match="512, the only size known"):
        graph(without_traces("deberta-v3-base"), "deberta-v3-base", input_size=128)


def test_the_estimate_without_trace_covers_most_traced_models() -> None:
    inside = []
    for model in CATALOG.deep_learning_models.values():
        if model.gmacs is None or model.input_kind not in ("image", "tokens", "audio"):
            continue
        guess, exact = graph(without_traces(model.id), model.id), graph(CATALOG, model.id)
        for name in ("sum_activation_bytes_fp32", "peak_live_bytes_fp32"):
            ratio = getattr(exact, name) / getattr(guess, name)
            inside.append(1 / (1 + guess.error_share) <= ratio <= 1 + guess.error_share)
    assert len(inside) >= 100
    assert sum(inside) / len(inside) >= 0.75


@pytest.mark.parametrize(
    ("model", "size", "words"),
    [
        ("bert-base-uncased", 513, "from 1 to 512"),
        ("torchvision-resnet50", 8, "from 32 to 1024"),
        ("whisper-large-v3", 3001, "from 1 to 3000"),
    ],
)
def test_a_size_that_cannot_be_sized_is_refused(model: str, size: int, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        graph(CATALOG, model, input_size=size)
    assert caught.value.field == "input_size"


def test_unknown_model_is_refused() -> None:
    with pytest.raises(InputError, match="model"):
        graph(CATALOG, "resnet-fifty")


def test_video_counts_frames() -> None:
    usual, longer = graph(CATALOG, "torchvision-r3d_18"), graph(CATALOG, "torchvision-r3d_18", input_size=32)
    assert usual.size == 16
    assert longer.input_bytes_fp32 == 2 * usual.input_bytes_fp32


def test_law_recovers_a_quadratic_between_and_beyond_its_points() -> None:
    at = np.array([64.0, 128.0, 512.0])
    values = 3.0 + 2.0 * at + 0.1 * at**2
    for here in (100.0, 300.0, 600.0):
        expected = 3.0 + 2.0 * here + 0.1 * here**2
        assert law_value(at=at, values=values, here=here, terms=3) == pytest.approx(expected, rel=1e-6)


def test_convolutions_between_traces_follow_the_area() -> None:
    small, large = graph(CATALOG, "torchvision-resnet50"), graph(CATALOG, "torchvision-resnet50", input_size=448)
    assert large.peak_live_bytes_fp32 == pytest.approx(4 * small.peak_live_bytes_fp32, rel=0.03)
    assert large.error_share > 0.0


@given(
    st.sampled_from(["torchvision-resnet50", "bert-base-uncased", "whisper-base", "timm-vit-base-patch16-224-224"]),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from(["fused", "math"]),
)
def test_a_larger_input_never_needs_less(model: str, one: int, other: int, attention: str) -> None:
    low, high = allowed_sizes(CATALOG.deep_learning_models[model])
    sizes = sorted((low + one % (high - low + 1), low + other % (high - low + 1)))
    small, large = (graph(CATALOG, model, input_size=s, attention=attention) for s in sizes)  # type: ignore[arg-type]
    assert small.macs <= large.macs * (1 + 1e-9)
    assert small.sum_activation_bytes_fp32 <= large.sum_activation_bytes_fp32 + 1
    assert small.peak_live_bytes_fp32 <= large.peak_live_bytes_fp32 + 1
    assert small.input_bytes_fp32 <= large.input_bytes_fp32 + 1
