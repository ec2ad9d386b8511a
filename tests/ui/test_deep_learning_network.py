"""Folded sections of the deep learning page: memory over the pass, stages of a pipeline, the batch that fills each GPU."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest
from test_own_model import field, html
from test_pages_fuzz import headline, marks, open_app, open_scenario

from sizing import catalog as catalogs
from sizing.deep_learning.capacity import full_batches
from sizing.deep_learning.graph import graph
from sizing.deep_learning.live import live_pass
from sizing.deep_learning.pipeline import shares
from sizing.scenario import DeepLearningScenario
from ui.frame import plain
from ui.network import full_words, live_chart, peak_words, stage_bars, stage_words

CATALOG = catalogs.load()
SDXL = DeepLearningScenario(
    model="stable-diffusion-xl", runtime="pytorch_eager", requests_per_s=0.05, latency_target_ms=None, batch=4
)
KEYS = ("live", "stages", "full")


def opened(scenario: DeepLearningScenario, *keys: str) -> AppTest:
    at = open_scenario(scenario)
    for key in keys:
        at.session_state[key] = True
    at.run()
    assert not at.exception
    return at


def test_closed_sections_compute_nothing() -> None:
    at = open_scenario(DeepLearningScenario())
    assert "Full at batch" not in html(at)
    assert not [m for m in at.markdown if "the peak of" in m.value]


def test_the_peak_is_marked_and_named() -> None:
    at = opened(DeepLearningScenario(), "live")
    one = live_pass(graph(CATALOG, "torchvision-resnet50"), "fused")
    assert one is not None
    assert "peak of 9.95 MiB is at the operator native_batch_norm in layer1.0.downsample.1" in peak_words(one)
    assert plain(peak_words(one)) in [m.value for m in at.markdown]
    figure = live_chart(one)
    curve, star = figure.data
    assert max(curve.y) == star.y[0] == pytest.approx(9.953, abs=1e-3)
    assert "(MiB)" in figure.layout.yaxis.title.text
    assert "10% into the 337 operators" in peak_words(one) or "9% into the 337 operators" in peak_words(one)


def test_a_pipeline_says_which_stage_sets_the_peak() -> None:
    at = opened(SDXL, *KEYS)
    assert [m for m in at.markdown if "VAE decoder sets the peak" in m.value], [m.value for m in at.markdown]
    assert "sets the peak: VAE decoder" in html(at)
    part = CATALOG.accelerator("a100-sxm-80gb")
    found = shares(graph(CATALOG, SDXL.model), part, runtime="pytorch_eager", precision="fp16", batch=4)
    bars = stage_bars(found, part)
    assert [bar.chosen for bar in bars] == [False, False, False, True]
    assert len({bar.parts["weights of all stages"] for bar in bars}) == 1
    assert "The UNet takes" in stage_words(found, 4)


def test_the_table_says_where_each_gpu_is_full() -> None:
    scenario = DeepLearningScenario(runtime="tensorrt", precision="fp8", model="torchvision-resnet50")
    at = opened(scenario, "full")
    for row in full_batches(scenario, CATALOG):
        assert full_words(row) in html(at)
    assert "has no fp8 units" in html(at)


def test_controls_of_a_pipeline_and_of_the_arena_stand_where_they_apply() -> None:
    at = open_scenario(SDXL)
    labels = [n.label for n in at.number_input]
    assert any(label.startswith("Denoising steps") for label in labels)
    assert not any(label.startswith("Output tokens") for label in labels)
    before = headline(at)
    steps = next(n for n in at.number_input if n.label.startswith("Denoising steps"))
    steps.set_value(20).run()
    assert not at.exception
    assert not marks(at)
    assert field(at, "steps") == "20"
    assert headline(at) != before
    tensorrt = open_scenario(DeepLearningScenario(runtime="tensorrt"))
    assert not any("Arena" in s.label for s in tensorrt.selectbox)


def test_stages_alone_are_not_offered() -> None:
    at = open_scenario(DeepLearningScenario())
    models = next(s for s in at.selectbox if s.label.startswith("Model"))
    assert not any("one token" in option for option in models.options)
    assert any("whole pipeline" in option for option in models.options)


def test_a_part_of_a_pipeline_says_so_in_its_name() -> None:
    options = open_app("deep_learning").selectbox(key="deep_learning:model").options
    assert "whisper-large-v3 (transformers, encoder pass only)" in options
    assert "stable-diffusion-xl-base-1.0 UNet (diffusers, one step only)" in options
    assert "whisper-large-v3, 30 s of speech to text (transformers)" in options
