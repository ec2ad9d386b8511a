"""A network of one's own on the deep learning page: an ONNX file uploaded, its dimensions asked for, a summary pasted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from onnx import helper
from streamlit.testing.v1 import AppTest
from test_own_model import field, html
from test_pages_fuzz import headline, marks, open_app, open_scenario

from sizing import catalog as catalogs
from sizing.inspect import inspect_file, summary_text
from sizing.planner import plan
from sizing.scenario import DeepLearningScenario
from tests.deep_learning.onnx_graphs import FLOAT, INT64, floats, model, node, raw, small_network

SMALL = raw(small_network())
SUMMARY = summary_text(inspect_file(SMALL, name="small.onnx"))


def upload(at: AppTest, name: str, content: bytes) -> AppTest:
    """Put a file into the upload box."""
    at.file_uploader(key="deep_learning:own_file").set_value((name, content, "application/octet-stream"))
    return at.run()


def paste(at: AppTest, text: str) -> AppTest:
    """Put a text into the box for a summary."""
    return at.text_area(key="deep_learning:own_text").set_value(text).run()


def test_an_uploaded_network_gives_the_answer_of_its_plan_and_travels() -> None:
    at = upload(open_app("deep_learning"), "small.onnx", SMALL)
    expected = plan(DeepLearningScenario(model="custom", custom_network=SUMMARY), catalogs.load())
    assert not at.exception
    assert expected.headline in headline(at)
    assert field(at, "model") == "custom"
    assert "3.00 KiB" in html(at)  # 3,072 bytes alive at the peak
    said = " ".join(caption.value for caption in at.caption).replace("\\", "")
    assert "170 parameters" in said
    assert "Alive at the peak, the largest first: c 1.00 KiB; n 1.00 KiB; r 1.00 KiB." in said
    there = open_app("deep_learning", {key: field(at, key) for key in at.query_params})
    assert not there.warning
    assert headline(there) == headline(at)
    assert "small" in there.selectbox(key="deep_learning:model").options


def test_open_dimensions_are_asked_for_by_name() -> None:
    proto = model(
        [node("Gather", "table ids", "y")], {"ids": (INT64, ["n", "seq_len"])}, ["y"], {"table": floats(50, 8)}
    )
    at = open_app("deep_learning")
    before = headline(at)
    upload(at, "tokens.onnx", raw(proto))
    asked = at.number_input(key="deep_learning:own_dim:seq_len")
    assert "seq_len" in asked.label.replace("\\", "")
    assert headline(at) == before
    asked.set_value(12).run()
    assert not at.exception
    assert "tokens" in headline(at)
    assert "384 bytes" in html(at) or "384 B" in html(at)  # 12 x 8 x 4


def test_a_pasted_summary_and_the_way_back() -> None:
    at = open_scenario(DeepLearningScenario(model="torchvision-vgg16"))
    before = headline(at)
    for text in (SUMMARY, json.dumps({"format": "onnx", "summary": json.loads(SUMMARY)}, indent=2)):
        paste(at, text)
        assert "small" in headline(at)
        assert not marks(at)
        next(button for button in at.button if button.label == "Use the catalog model").click().run()
        assert headline(at) == before
        assert field(at, "custom_network") == ""


def test_choosing_another_model_keeps_ones_own_in_the_list() -> None:
    at = paste(open_app("deep_learning"), SUMMARY)
    own = headline(at)
    at.selectbox(key="deep_learning:model").set_value("torchvision-vgg16").run()
    assert not marks(at)
    assert field(at, "custom_network") == ""
    at.selectbox(key="deep_learning:model").set_value("custom").run()
    assert headline(at) == own


def tree_onnx() -> bytes:
    """An ONNX file of one tree of one leaf."""
    leaf = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", nodes_treeids=[0], nodes_nodeids=[0], nodes_modes=["LEAF"],
        nodes_truenodeids=[0], nodes_falsenodeids=[0], nodes_featureids=[0], nodes_values=[0.0], target_ids=[0],
        target_nodeids=[0], target_treeids=[0], target_weights=[1.0], n_targets=1,
    )  # fmt: skip
    return raw(model([leaf], {"x": (FLOAT, [1, 3])}, ["y"]))


def test_what_cannot_be_used_is_said_and_changes_nothing() -> None:
    at = open_app("deep_learning")
    before = headline(at)
    cyclic = raw(model([node("Add", "x b", "a"), node("Relu", "a", "b")], {"x": (FLOAT, [2, 2])}, ["b"]))
    trees = tree_onnx()
    for content, words in (
        (trees, "statistical model"),
        (b"PK\x03\x04", "no ONNX"),
        (SMALL[:-40], "ends early"),
        (cyclic, "a cycle"),
    ):
        upload(at, "bad.onnx", content)
        assert not at.exception
        assert any(words in text.replace("\\", "") for text in marks(at))
        assert headline(at) == before
    for text in ("no json", "{}", '{"summary": 1}'):
        paste(at, text)
        assert any("a summary as" in said.replace("\\", "") for said in marks(at))
        assert headline(at) == before


def test_the_language_page_says_where_an_onnx_belongs() -> None:
    at = open_app("llm")
    at.file_uploader(key="llm:own_file").set_value(("model.gguf", SMALL, "application/octet-stream"))
    at.run()
    assert not at.exception
    assert any("deep learning page" in text for text in marks(at))


def test_a_spoiled_link_opens_with_a_banner() -> None:
    at = open_scenario(DeepLearningScenario(), model="custom", custom_network="no~such")
    assert not at.exception
    assert "custom_network" in at.warning[0].value.replace("\\", "")


def test_the_page_opens_without_onnx() -> None:
    """The page is quick because onnx is imported with the first file only."""
    root = Path(__file__).resolve().parents[2]
    code = "import sys, ui.own_network; assert 'onnx' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, timeout=60).returncode == 0
