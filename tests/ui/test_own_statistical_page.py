"""A model file on the statistical page: uploaded or its summary pasted, in use at once, and the way back to sizes."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from pathlib import Path

from streamlit.testing.v1 import AppTest
from test_own_model import field, html
from test_pages_fuzz import headline, marks, open_app, open_scenario

from sizing import catalog as catalogs
from sizing.planner import plan
from sizing.scenario import StatisticalScenario
from sizing.statistical.files.read import read_model
from tests.statistical import model_files as files

TREE = json.dumps(files.tiny_xgboost()).encode()
SUMMARY = read_model(io.BytesIO(TREE), len(TREE), "risk.json").summary("risk").text()


def upload(at: AppTest, name: str, content: bytes) -> AppTest:
    """Put a file into the upload box."""
    at.file_uploader(key="statistical:own_file").set_value((name, content, "application/octet-stream"))
    return at.run()


def paste(at: AppTest, text: str) -> AppTest:
    """Put a text into the box for a summary."""
    return at.text_area(key="statistical:own_text").set_value(text).run()


def test_an_uploaded_model_gives_the_answer_of_its_plan_and_travels() -> None:
    at = upload(open_app("statistical"), "risk.json", TREE)
    assert not at.exception
    assert not marks(at)
    expected = plan(StatisticalScenario(custom_model=SUMMARY), catalogs.load())
    assert expected.headline in headline(at)
    assert "risk: Gradient boosting (XGBoost), 1 tree, up to 2 levels" in headline(at)
    assert "2.7 (2.70 a tree)" in html(at)
    assert field(at, "runtime") == "native"
    assert not [box for box in at.selectbox if box.label == "Model family"]
    assert not [box for box in at.number_input if box.label in ("Trees", "Depth of a tree", "Features")]
    there = open_app("statistical", {key: field(at, key) for key in at.query_params})
    assert not there.warning
    assert headline(there) == headline(at)


def test_the_way_back_leaves_the_sizes_of_the_file_in_the_fields() -> None:
    at = paste(open_app("statistical"), SUMMARY)
    next(button for button in at.button if button.label == "Type sizes instead").click().run()
    assert not at.exception
    assert field(at, "custom_model") == ""
    boxes = {box.label: box.value for box in at.number_input}
    assert (boxes["Trees"], boxes["Depth of a tree"], boxes["Leaves of a tree"]) == (1, 2, 3)
    assert "risk" not in headline(at)


def test_only_runtimes_of_the_family_are_offered() -> None:
    at = upload(open_app("statistical"), "forest.skops", files.skops_file("forest"))
    runtime = next(box for box in at.selectbox if box.label == "Runtime")
    assert runtime.value == "native"
    assert len(runtime.options) == 2
    runtime.set_value("onnxruntime").run()
    assert not at.exception
    assert "forest: Random forest" in headline(at)
    at = upload(at, "columns.onnx", files.onnx_file("columns"))
    assert next(box for box in at.selectbox if box.label == "Runtime").value == "onnxruntime"
    assert "one hot (1 to 5 columns)" in html(at)
    said = " ".join(caption.value for caption in at.caption).replace("\\", "")
    assert "does not say how many rows took each branch" in said


def test_what_cannot_be_used_is_said_and_changes_nothing() -> None:
    at = open_app("statistical")
    before = headline(at)
    bad = json.dumps(files.tiny_xgboost(left_children=[1, 0, 3, -1, -1])).encode()
    for name, content, words in (
        ("model.pkl", pickle.dumps({"a": 1}), "pickle"),
        ("model.json", pickle.dumps(files.learned("tree")), "skops.io.dump"),
        ("model.json", bad, "none of its nodes"),
        ("model.json", TREE[:-30], "ends early"),
        ("model.bin", b"hello", "another kind"),
    ):
        upload(at, name, content)
        assert not at.exception
        assert any(words in text.replace("\\", "") for text in marks(at)), marks(at)
        assert headline(at) == before
    for text in ("no json", "{}", '{"summary": 1, "family": "mlp"}'):
        paste(at, text)
        assert any("a summary" in said.replace("\\", "") for said in marks(at))
        assert headline(at) == before


def test_an_error_keeps_the_model_in_use() -> None:
    at = paste(open_app("statistical"), SUMMARY)
    own = headline(at)
    upload(at, "other.json", b"{")
    assert marks(at)
    assert headline(at) == own


def test_a_spoiled_link_opens_with_a_banner() -> None:
    at = open_scenario(StatisticalScenario(), custom_model="no~such")
    assert not at.exception
    assert "custom_model" in at.warning[0].value.replace("\\", "")
    other = SUMMARY.replace("gradient-boosting-xgboost", "horoscope")
    at = open_scenario(StatisticalScenario(custom_model=other))
    assert not at.exception
    assert "horoscope" in at.warning[0].value.replace("\\", "")


def test_a_link_whose_fields_say_another_model_is_set_right() -> None:
    at = open_scenario(StatisticalScenario(custom_model=SUMMARY, family="mlp", trees=77))
    assert not at.exception
    assert "risk: Gradient boosting (XGBoost), 1 tree" in headline(at)
    assert (field(at, "family"), field(at, "trees")) == ("gradient-boosting-xgboost", "1")


def test_the_page_opens_without_onnx() -> None:
    root = Path(__file__).resolve().parents[2]
    code = "import sys, ui.own_statistical; assert not {'onnx', 'sklearn', 'skops', 'xgboost'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60).returncode == 0
