"""Results of one's own on the page of language models: upload, paste, recalibrate, remove, and what a link shows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import ROOT, headline

from sizing import catalog as catalogs
from sizing.planner import plan
from sizing.scenario import LlmScenario

VLLM: dict[str, Any] = {
    "date": "20260617-164242", "backend": "openai", "model_id": "meta-llama/Llama-3.1-8B-Instruct", "num_prompts": 160,
    "request_rate": "inf", "max_concurrency": 16, "duration": 29.9, "completed": 160, "total_input_tokens": 160000,
    "total_output_tokens": 40000, "request_throughput": 5.35, "output_throughput": 1337.8, "median_ttft_ms": 118.4,
    "median_tpot_ms": 11.2,
}  # fmt: skip
LOG = (
    "INFO [core.py:77] Initializing a V1 LLM engine (v0.11.0) with config: model='meta-llama/Llama-3.1-8B', max_seq_len=8192, "
    "tensor_parallel_size=1, pipeline_parallel_size=1, kv_cache_dtype=auto\nModel loading took 14.99 GiB and 3.2 seconds\n"
    "Available KV cache memory: 52.1 GiB\nGPU KV cache size: 426,800 tokens\n"
)
TEXT = "h100-sxm-80gb~llama-3.1-8b~vllm~native~bf16~1.1.1~c16x1000x250=118.4:11.2~-"
PARTS = ("h100-sxm-80gb",)


def page(**params: str) -> AppTest:
    """The page with the section open."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/llm.py")
    at.session_state["own-results"] = True
    for name, value in {"accelerators": PARTS[0], **params}.items():
        at.query_params[name] = value
    return at.run()


def upload(at: AppTest, *files: tuple[str, str]) -> AppTest:
    at.file_uploader(key="own:files").set_value([(name, text.encode(), "text/plain") for name, text in files])
    return at.run()


def param(at: AppTest, name: str) -> str:
    value = at.query_params[name]
    return value if isinstance(value, str) else value[0]


def html(at: AppTest) -> str:
    return " ".join(element.proto.body for element in at.get("html")).replace("\u00a0", " ")


def said(at: AppTest) -> str:
    return " ".join(text.value for text in (*at.markdown, *at.caption)).replace("\\", "")


def expected(**fields: Any) -> str:
    return plan(LlmScenario(accelerators=PARTS, **fields), catalogs.load()).headline


def press(at: AppTest, label: str) -> AppTest:
    next(b for b in at.button if b.label == label).click()
    return at.run()


def test_an_upload_is_compared_and_a_button_recalibrates() -> None:
    at = upload(page(), ("a.json", json.dumps(VLLM)))
    assert not at.exception
    assert "In your run the prediction is time per output token 17 % too low" in said(at)
    assert "16 clients, 1,000 + 250 tokens" in html(at)
    assert param(at, "measured_serving") == ""
    assert expected() in headline(at)
    press(at, "Recalibrate this scenario with them")
    assert not at.exception
    assert param(at, "measured_serving") == TEXT
    assert expected(measured_serving=TEXT) in headline(at)
    assert expected() not in headline(at)
    assert "measured: with 1 of your runs" in html(at)
    assert "Recalibrated with 1 of your runs on H100 SXM5 80GB, vLLM: steps 6 % slower" in said(at)
    assert not [b for b in at.button if b.label == "Recalibrate this scenario with them"]
    press(at, "Remove")
    assert param(at, "measured_serving") == ""
    assert expected() in headline(at)
    assert not at.exception


def test_a_link_shows_the_same_table_without_an_upload() -> None:
    at = page(measured_serving=TEXT)
    assert not at.exception
    assert not at.warning
    assert expected(measured_serving=TEXT) in headline(at)
    assert "16 clients, 1,000 + 250 tokens" in html(at)
    assert any("Your own measurements: 1 run on H100" in e.label.replace("\\", "") for e in at.expander)


def test_what_it_ran_on_can_be_set_right() -> None:
    at = upload(page(), ("a.json", json.dumps(VLLM)))
    assert at.selectbox(key="own:accelerator").value == "h100-sxm-80gb"
    at.selectbox(key="own:accelerator").set_value("h200-sxm-141gb").run()
    at.number_input(key="own:tp").set_value(2).run()
    press(at, "Recalibrate this scenario with them")
    assert param(at, "measured_serving").startswith("h200-sxm-141gb~llama-3.1-8b~vllm~native~bf16~2.1.1~")
    assert not at.exception
    at.number_input(key="own:tp").set_value(3).run()
    assert "divides the model" in said(at)


def test_a_log_and_results_together() -> None:
    at = upload(page(), ("a.json", json.dumps(VLLM)), ("server.log", LOG))
    assert not at.exception
    assert "KV cache is predicted" in said(at)
    assert "Weights (GiB)" in html(at)
    press(at, "Recalibrate this scenario with them")
    assert param(at, "measured_serving").endswith("~m14.99:52.1:0.9:8192::")
    assert "memory as its start-up log says" in said(at)


def test_text_can_be_pasted() -> None:
    at = page()
    at.text_area(key="own:pasted").set_value(json.dumps(VLLM)).run()
    assert "16 clients" in html(at)
    assert not at.exception


@pytest.mark.parametrize(
    ("content", "words"),
    [("hello", "this text"), ("{}", "empty object"), (json.dumps({**VLLM, "median_ttft_ms": "x"}), "median_ttft_ms")],
)
def test_a_file_that_cannot_be_used_is_said_and_changes_nothing(content: str, words: str) -> None:
    at = upload(page(), ("bad.json", content))
    assert not at.exception
    assert words in said(at)
    assert expected() in headline(at)


def test_another_format_leaves_them_aside_and_says_so() -> None:
    at = page(measured_serving=TEXT)
    at.selectbox(key="llm:weight_format").set_value("fp8").run()
    assert expected(weight_format="fp8") in headline(at)
    assert param(at, "measured_serving") == TEXT
    assert "this scenario has another weight format, so they do not count" in said(at)
    at.selectbox(key="llm:model").set_value("qwen3-8b").run()
    assert not at.exception
    assert "another model" in said(at)


def test_a_text_that_is_none_opens_with_a_banner() -> None:
    at = page(measured_serving="nonsense")
    assert any("measured_serving" in w.value.replace("\\", "") for w in at.warning)
    fast = page(measured_serving=TEXT.replace("11.2", "0.1"))
    assert any("measured_serving" in w.value.replace("\\", "") for w in fast.warning)
    assert expected() in headline(fast)
