"""The language model page shows memory to the bottom: new controls, a model of one's own, the map, answers, one-click changes."""

from __future__ import annotations

import json
import re

import pytest
from streamlit.testing.v1 import AppTest
from test_own_model import CONFIG, NEW, control, field, html, paste
from test_pages_fuzz import headline, marks, open_app, open_scenario

from sizing import catalog as catalogs
from sizing.errors import InputError
from sizing.planner import plan
from sizing.scenario import LlmScenario
from ui.frame import plain
from ui.inputs import LABELS
from ui.memory import by_count, grouped, hardware_of
from ui.memory_map import MARKS, map_of, replica_scenario
from ui.state import PageState, adopt


@pytest.fixture(scope="module")
def page() -> AppTest:
    """One page for the tests that bring it back to where it was."""
    return open_app("llm")


@pytest.mark.parametrize("name", NEW)
def test_new_control_changes_the_scenario_and_comes_back_by_link(page: AppTest, name: str) -> None:
    value, before = NEW[name][1], control(page, name).value
    control(page, name).set_value(value).run()
    assert not page.exception
    assert not marks(page)
    assert field(page, name) == str(value)
    assert plan(LlmScenario(**{name: value}), catalogs.load()).headline in headline(page)
    there = open_app("llm", {key: field(page, key) for key in page.query_params})
    assert control(there, name).value == value
    assert headline(there) == headline(page)
    control(page, name).set_value(before).run()
    assert field(page, name) == ("" if before is None else str(before))


def test_expert_parallel_is_a_box_to_tick() -> None:
    at = open_scenario(LlmScenario(model="deepseek-v3"))
    at.checkbox(key="llm:expert_parallel").check().run()
    assert field(at, "expert_parallel") == "True"
    assert not marks(at)
    at.selectbox(key="llm:model").set_value("llama-3.1-8b").run()
    assert any("Expert parallel" in text for text in marks(at))


def test_drafts_are_smaller_models_of_the_same_vocabulary(page: AppTest) -> None:
    catalog = catalogs.load()
    offered = page.selectbox(key="llm:draft_model").options
    named = {row.name: row for row in catalog.llm_models.values()}
    drafts = [named[name] for name in offered if name in named]
    assert catalog.llm_model("llama-3.2-1b") in drafts
    assert {row.vocab for row in drafts} == {catalog.llm_model("llama-3.1-8b").vocab}
    assert all((row.params_total or 0) < 8e9 for row in drafts)


def test_degrees_that_do_not_go_with_a_new_model_are_reset_and_said() -> None:
    at = open_scenario(LlmScenario(model="llama-2-70b-hf", tensor_parallel=8))
    small = {**CONFIG, "num_attention_heads": 6, "num_key_value_heads": 6, "hidden_size": 768, "head_dim": 128}
    paste(at, json.dumps(small))
    assert not marks(at)
    assert field(at, "model") == "custom"
    assert field(at, "tensor_parallel") == ""
    assert any("Set to its usual value" in caption.value for caption in at.caption)


def test_chosen_count_is_shown_as_it_is_spread() -> None:
    scenario, catalog = LlmScenario(model="deepseek-v3", tensor_parallel=8, pipeline_parallel=2), catalogs.load()
    at = hardware_of(scenario, catalog, plan(scenario, catalog))
    assert at is not None
    rows = by_count(scenario, catalog, at)
    assert [row.accelerators for row in rows] == [1, 2, 4, 8, 16]
    assert (rows[-1].split.tensor, rows[-1].split.pipeline) == (8, 2)
    assert all(sum(grouped(row.memory.parts).values()) == row.memory.used_bytes for row in rows)


def test_the_map_says_by_word_and_sign_where_the_model_fits() -> None:
    scenario, catalog = LlmScenario(model="llama-2-70b-hf"), catalogs.load()
    texts = map_of(scenario, catalog, requests=8, chosen=("h100-sxm-80gb", 4))
    rows = re.findall("<tr>(.*?)</tr>", texts.shown)[1:]
    assert len(rows) == 12
    h100 = next(row for row in rows if "H100 SXM5" in row)
    cells = re.findall("<td.*?</td>", h100)
    assert MARKS["no"] in cells[0]
    assert "weights" in cells[0]
    assert MARKS["room"] in cells[2]
    assert re.search(r"[\d.]+[kM] tokens", cells[2])
    assert "chosen" in cells[2]
    sizes = [float(size) for size in re.findall(r"<small>([\d.]+) GiB</small>", texts.shown)]
    nvidia = [name for name in re.findall(r'<th scope="row">(.*?)<br>', texts.shown) if "Instinct" not in name]
    assert sizes[: len(nvidia)] == sorted(sizes[: len(nvidia)])
    shown = texts.shown.count('scope="row"') + texts.rest.count('scope="row"')
    assert shown == 12 + texts.more > 40
    least = [cell.count * cell.capacity_bytes for cell in texts.smallest]
    assert least == sorted(least)
    assert all(cell.requests >= 8 for cell in texts.smallest)


def test_the_map_does_not_depend_on_traffic_or_price() -> None:
    one = LlmScenario(requests_per_s=3, max_usd_per_month=10, name="a", region="eu")
    assert replica_scenario(one) == replica_scenario(LlmScenario(concurrency=7))
    assert replica_scenario(one) != replica_scenario(LlmScenario(kv_format="fp8"))


def test_groups_of_the_chart_sum_to_the_parts() -> None:
    best = plan(LlmScenario(model="deepseek-v3", lora_adapters=2), catalogs.load()).recommended
    assert best is not None
    memory = best.memory_per_accelerator
    assert memory is not None
    parts = grouped(memory.parts)
    assert sum(parts.values()) == memory.used_bytes
    assert {"weights copied to every rank", "adapters", "runtime and driver"} <= set(parts)
    assert len(parts) <= 10


def test_a_what_if_is_taken_with_one_click_and_the_answer_follows(page: AppTest) -> None:
    button = next(button for button in page.button if button.label == "Weights in fp8")
    button.click().run()
    assert not page.exception
    assert field(page, "weight_format") == "fp8"
    assert plan(LlmScenario(weight_format="fp8"), catalogs.load()).headline in headline(page)
    assert page.selectbox(key="llm:weight_format").value == "fp8"
    page.selectbox(key="llm:weight_format").set_value("native").run()


def test_what_saves_nothing_is_said_in_a_sentence(page: AppTest) -> None:
    said = " ".join(caption.value for caption in page.caption).replace("\\", "")
    assert "2:4 structured pruning: " in said
    assert "Unstructured pruning: " in said


def test_a_change_that_cannot_be_made_leaves_the_scenario_as_it_was() -> None:
    scenario = LlmScenario(model="llama-2-70b-hf")
    state = PageState(kind="llm", scenario=scenario, catalog_version=catalogs.load().version)
    with pytest.raises(InputError, match="tensor_parallel: 7"):
        adopt(state, {"tensor_parallel": 7, "kv_format": "fp8"}, keep=LlmScenario.model_fields)
    with pytest.raises(InputError, match="batch: -1"):
        adopt(state, {"batch": -1}, keep=())
    assert state.scenario == scenario


def test_what_a_button_could_not_do_is_said_once_as_plain_text() -> None:
    at = open_app("llm")
    at.session_state["page:llm"].said.append("That change cannot be made. <b>x</b>")
    at.run()
    assert [warning.value for warning in at.warning] == [plain("That change cannot be made. <b>x</b>")]
    at.run()
    assert not at.warning


def test_spreads_are_compared_and_taken_where_tensor_parallel_copies_the_cache() -> None:
    at = open_scenario(LlmScenario(model="deepseek-v3"))
    assert "Tensor parallel or attention data parallel" in [text.value for text in at.subheader]
    button = next(button for button in at.button if button.label.startswith("Use tp 1, attention dp"))
    degree = int(re.findall(r"attention dp (\d+)", button.label)[0])
    button.click().run()
    assert not at.exception
    assert field(at, "tensor_parallel") == "1"
    assert field(at, "attention_data_parallel") == str(degree)
    assert f"attention dp {degree}" in html(at)


def test_spreads_are_compared_at_the_pipeline_degree_of_the_plan() -> None:
    scenario = LlmScenario(model="deepseek-v3", tensor_parallel=4, pipeline_parallel=2)
    at = open_scenario(scenario)
    assert not at.exception
    degrees = [(tp, 4 // tp) for tp in (4, 2, 1)]
    table = next(body for body in html(at).split("<table") if "KV of a request, all ranks" in body)
    spreads = re.findall(r"tp (\d+), pp 2(?:, attention dp (\d+), ep)?", table)
    assert [(int(tp), int(data or 1)) for tp, data in spreads] == degrees
    assert "tp 4, pp 2 (now)" in table
    assert any("a pipeline of 2 stages with 4 accelerators each" in caption.value for caption in at.caption)
    next(button for button in at.button if button.label == "Use tp 1, pp 2, attention dp 4, ep").click().run()
    assert not at.exception
    names = ("tensor_parallel", "pipeline_parallel", "attention_data_parallel", "expert_parallel")
    assert [field(at, name) for name in names] == ["1", "2", "4", "True"]
    changed = dict(zip(names, (1, 2, 4, True), strict=True))
    assert plan(scenario.model_copy(update=changed), catalogs.load()).headline in headline(at)
    assert "tp 1, pp 2, attention dp 4, ep (now)" in html(at)


def test_a_model_that_shares_its_cache_out_has_no_such_table(page: AppTest) -> None:
    assert "Tensor parallel or attention data parallel" not in [text.value for text in page.subheader]


def test_memory_is_shown_when_no_deployment_meets_the_scenario() -> None:
    at = open_scenario(LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0))
    assert "no deployment" in headline(at)
    assert 'class="slo map"' in html(at)
    assert "Where it fits" in [text.value for text in at.subheader]


@pytest.mark.parametrize("key", ["parts", "held", "drift", "map-rest"])
def test_closed_tables_are_made_once_opened(key: str) -> None:
    at = open_app("llm")
    closed = len(at.get("html"))
    at.session_state[key] = True
    at.run()
    assert not at.exception
    assert len(at.get("html")) == closed + 1


@pytest.mark.parametrize("name", ["max_sequences", "checkpoint_bytes", "lora_rank"])
def test_labels_of_new_fields_are_words(name: str) -> None:
    assert " " in LABELS[name]
