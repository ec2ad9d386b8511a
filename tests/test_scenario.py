"""Scenario files: read exactly, refused in one sentence that names the field, the value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sizing.errors import InputError
from sizing.scenario import SCENARIO_TYPES, LlmScenario, parse_scenario, scenario_from_yaml, scenario_to_yaml

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_read_and_written_exactly(path: Path) -> None:
    scenario = scenario_from_yaml(path.read_text(encoding="utf-8"))
    assert scenario_from_yaml(scenario_to_yaml(scenario)) == scenario
    assert scenario.name


@pytest.mark.parametrize("kind", list(SCENARIO_TYPES))
def test_a_kind_alone_is_a_whole_scenario(kind: str) -> None:
    scenario = scenario_from_yaml(f"kind: {kind}")
    assert scenario == SCENARIO_TYPES[kind]()


@pytest.mark.parametrize("kind", list(SCENARIO_TYPES))
def test_every_field_says_what_it_is(kind: str) -> None:
    silent = [
        name for name, field in SCENARIO_TYPES[kind].model_fields.items() if name != "kind" and not field.description
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("kind: llm\nrequests_per_s: -1", "requests_per_s", "-1"),
        ("kind: llm\ncolour: red", "colour", "red"),
        ("kind: llm\nmodel: [1]", "model", "text"),
        ("kind: llm\nmodel: a b", "model", "a catalog id"),
        ("kind: llm\nengine_version: abc", "engine_version", "a version such as 0.18"),
        ("kind: llm\nprompt_tokens: 1.5", "prompt_tokens", "whole number"),
        ("kind: llm\nconcurrency: 3\nrequests_per_s: 2", "requests_per_s", "exactly one"),
        ("kind: llm\nrequests_per_s: null", "requests_per_s", "exactly one"),
        ("kind: fruit", "kind", "statistical, deep_learning, llm"),
        ("- 1\n- 2", "scenario", "mapping"),
        ("kind: [", "scenario", "parses"),
        ("", "scenario", "mapping"),
        ("kind: llm\nname: !!python/object/apply:os.system ['true']", "scenario", "parses"),
        ("kind: statistical\nhidden_layers: [0]", "hidden_layers", "from 1"),
    ],
)
def test_a_bad_file_is_answered_in_one_sentence(text: str, field: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        scenario_from_yaml(text)
    assert error.value.field == field
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_naming_users_sets_the_rate_aside() -> None:
    scenario = parse_scenario({"kind": "llm", "concurrency": 12})
    assert isinstance(scenario, LlmScenario)
    assert (scenario.concurrency, scenario.requests_per_s) == (12, None)
