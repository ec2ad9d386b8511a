"""The nearest measured runs: distances as documented, engine before model before accelerator before format."""

from __future__ import annotations

from itertools import product
from math import log2

import pytest

from sizing.catalog import load
from sizing.errors import InputError
from sizing.llm.constants import generation_of, stated
from sizing.llm.nearest import (
    ENGINE,
    QUANTITIES,
    SHOWN,
    Checked,
    Example,
    Group,
    Subject,
    _group,
    distance_words,
    engine_of,
    errors_words,
    measured,
    near,
    nearest,
    runs_of,
    subject_of,
)
from sizing.llm.parameters import active_matmul_parameters
from sizing.planner import plan
from sizing.scenario import LlmScenario

CATALOG = load()
RUN = Example(prompt_tokens=1000, output_tokens=100, batch=8, tensor_parallel=1, measured=10.0, predicted=12.0)
SUBJECT = Subject("vllm", CATALOG.llm_model("llama-3.1-8b"), CATALOG.accelerator("h100-sxm-80gb"), "16 bit")


def group(
    engine: str = "vllm", model: str = "llama-3.1-8b", accelerator: str = "h100-sxm-80gb", format: str = "16 bit"
) -> Group:
    checked = {"tpot_ms": Checked(runs=3, median_error_percent=20.4, example=RUN)}
    return Group(engine=engine, model=model, accelerator=accelerator, format=format, checked=checked)


def active(name: str) -> float:
    return sum(active_matmul_parameters(CATALOG.llm_model(name)))


@pytest.mark.parametrize(
    ("changed", "distance", "words"),
    [
        ({}, 0.0, "same model, same accelerator"),
        ({"format": "fp8"}, 0.4, "same model, same accelerator, another format"),
        ({"accelerator": "h200-sxm-141gb"}, 1.0, "same model, accelerator of its family (Hopper HBM)"),
        ({"accelerator": "a100-sxm-80gb"}, 2.0, "same model, accelerator of another family (Ampere HBM)"),
        ({"accelerator": "mi300x"}, 2.5, "same model, accelerator of another vendor (AMD)"),
        ({"model": "meta-llama-3-8b"}, 0.2, "a model of the same shape, same accelerator"),
        ({"model": "llama-3.1-70b"}, 6.0, "another model, 9.3 times the active parameters, same accelerator"),
        ({"engine": "vllm_2024"}, 12.0, "same model, same accelerator, another version of the engine"),
        ({"engine": "tensorrt_llm"}, 24.0, "same model, same accelerator, another engine"),
        ({"engine": "tensorrt_llm_2024", "format": "fp8", "accelerator": "mi300x"}, 26.9, None),
    ],
)
def test_distance_and_words_of_each_difference(changed: dict[str, str], distance: float, words: str | None) -> None:
    (found,) = near(SUBJECT, [group(**changed)], CATALOG)
    assert found.distance == pytest.approx(distance)
    if words is not None:
        assert found.words == words


def test_experts_against_none_count_beside_the_size() -> None:
    (found,) = near(SUBJECT, [group(model="mixtral-8x7b-v0.1")], CATALOG)
    assert found.distance == pytest.approx(3.0 + 2.0 + log2(active("mixtral-8x7b-v0.1") / active("llama-3.1-8b")))
    assert found.words.startswith("another model with experts, 1.7 times the active parameters")


def test_the_model_on_any_part_comes_before_another_model_and_the_engine_before_all() -> None:
    everything = near(SUBJECT, measured(), CATALOG)
    same = [n.distance for n in everything if n.group.engine == "vllm"]
    generations = [n.distance for n in everything if n.group.engine == "vllm_2024"]
    others = [n.distance for n in everything if engine_of(n.group.engine) != "vllm"]
    assert max(same) < ENGINE["generation"] <= min(generations)
    assert max(generations) < ENGINE["other"] <= min(others)
    own = [group(accelerator=part, format=form) for part, form in product(("mi300x", "rtx-4090"), ("fp8", "16 bit"))]
    other = [group(model=name) for name in {g.model for g in measured()} - {"llama-3.1-8b", "meta-llama-3-8b"}]
    assert max(n.distance for n in near(SUBJECT, own, CATALOG)) < min(n.distance for n in near(SUBJECT, other, CATALOG))


def test_the_file_is_read_once_and_names_what_the_catalogs_have() -> None:
    assert measured() is measured()
    for row in measured():
        assert row.model in CATALOG.llm_models
        assert row.accelerator in CATALOG.accelerators
        assert row.engine in stated()["engines"]
        assert row.format in stated()["formats"]
        assert runs_of(row) >= 1
        assert set(row.checked) <= set(QUANTITIES)
        assert errors_words(row)


def test_a_quantity_that_is_not_known_is_refused() -> None:
    row = {"engine": "vllm", "model": "a", "accelerator": "b", "format": "fp8", "joules": {}}
    with pytest.raises(InputError, match="joules"):
        _group(row)


def test_the_error_of_a_group_in_words() -> None:
    assert errors_words(group()) == "TPOT 20\u00a0%"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "Measured on the same model and accelerator."),
        ({"format": "fp8"}, "Measured on the same model and accelerator, in another format."),
        (
            {"accelerator": "h200-sxm-141gb"},
            "This model was measured, but not on H100 SXM5 80GB: nearest is H200 SXM 141GB.",
        ),
        (
            {"engine": "vllm_2024"},
            "No run of this version of vLLM: nearest is vLLM before 0.7. Measured on the same model and accelerator.",
        ),
        (
            {"engine": "sglang", "model": "qwen3-32b"},
            "No run of vLLM: nearest is SGLang. No run of this model: nearest is Qwen3-32B on H100 SXM5 80GB (",
        ),
    ],
)
def test_one_sentence_says_how_far_the_nearest_is(changed: dict[str, str], sentence: str) -> None:
    assert distance_words(SUBJECT, tuple(near(SUBJECT, [group(**changed)], CATALOG))).startswith(sentence)


@pytest.mark.parametrize(
    "scenario",
    [
        LlmScenario(),
        LlmScenario(model="deepseek-v3", runtime="sglang"),
        LlmScenario(runtime="tensorrt_llm", engine_version="1.0.0", weight_format="fp8"),
        LlmScenario(model="mamba2-2.7b", runtime="vllm"),
    ],
)
def test_three_nearest_are_the_nearest_of_all(scenario: LlmScenario) -> None:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    found = nearest(scenario, CATALOG, best)
    assert len(found) == SHOWN
    everything = sorted(n.distance for n in near(subject_of(scenario, CATALOG, best), measured(), CATALOG))
    assert [n.distance for n in found] == everything[:SHOWN]
    assert found[0].group.engine == generation_of(scenario.runtime, scenario.engine_version)


def test_of_equally_near_groups_the_one_with_more_runs_comes_first() -> None:
    best = plan(LlmScenario(model="mixtral-8x7b-v0.1", engine_version="0.6.3"), CATALOG).recommended
    assert best is not None
    found = nearest(LlmScenario(model="mixtral-8x7b-v0.1", engine_version="0.6.3"), CATALOG, best, count=200)
    pairs = [(n.distance, -runs_of(n.group)) for n in found]
    assert pairs == sorted(pairs)
