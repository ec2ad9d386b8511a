"""Measurements of one's own and the Triton take-away on the deep learning page."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import ROOT, headline, marks, open_app

from sizing import catalog as catalogs
from sizing.deep_learning.measured import parse_curve
from sizing.planner import plan
from sizing.scenario import DeepLearningScenario

CSV = (
    "Batch,Concurrency,Inferences/Second,Server Compute Input,Server Compute Infer,Server Compute Output,p95 latency\n"
    "1,1,300,100,2300,100,3000\n8,1,1200,300,5600,100,7000\n32,1,1700,900,17000,100,20000\n"
)
"""2.5, 6 and 18 ms at batches of 1, 8 and 32: 2 ms + 0.5 ms a sample."""
CURVE = "t4~torchvision-resnet50~224~onnxruntime~fp16~fused~1=2.5,8=6,32=18"
GPU_CSV = "Model,Batch,Concurrency,Instance Group,GPU Memory Usage (MB)\nr,8,1,1:GPU,2000\n"


def page(section: str = "measured", **params: str) -> AppTest:
    """The page with one of the two sections open."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/deep_learning.py")
    at.session_state[section] = True
    for name, value in params.items():
        at.query_params[name] = value
    return at.run()


def upload(at: AppTest, text: str | bytes) -> AppTest:
    content = text.encode() if isinstance(text, str) else text
    at.file_uploader(key="measured:file").set_value(("perf.csv", content, "text/csv"))
    return at.run()


def param(at: AppTest, name: str) -> str:
    value = at.query_params[name]
    return value if isinstance(value, str) else value[0]


def html(at: AppTest) -> str:
    return " ".join(element.proto.body for element in at.get("html"))


def expected(**fields: Any) -> str:
    return plan(DeepLearningScenario(**fields), catalogs.load()).headline


def test_an_upload_recalibrates_the_answer_and_travels_in_the_link() -> None:
    at = upload(page(), CSV)
    assert not at.exception
    assert param(at, "measured_curve") == CURVE
    assert expected(measured_curve=CURVE) in headline(at)
    assert expected() not in headline(at)
    assert "measured: your measurements" in html(at)
    assert "3 rows used" in " ".join(c.value for c in at.caption)
    there = page(**{key: param(at, key) for key in at.query_params})
    assert not there.warning
    assert headline(there) == headline(at)
    assert "2.50 ms" in html(there) or "2.5 ms" in html(there)


def test_removing_the_measurements_gives_the_prediction_back() -> None:
    at = page(measured_curve=CURVE)
    next(b for b in at.button if b.label == "Remove the measurements").click().run()
    assert param(at, "measured_curve") == ""
    assert expected() in headline(at)
    assert not at.exception


def test_batch_and_accelerator_said_beside_the_file_are_applied_to_it() -> None:
    at = upload(page(), CSV.replace("Batch,", "Note,"))
    assert parse_curve(param(at, "measured_curve")).batches == (1.0,)
    at.number_input(key="measured:request_batch").set_value(16).run()
    assert parse_curve(param(at, "measured_curve")).batches == (16.0,)
    at.selectbox(key="measured:accelerator").set_value("l4").run()
    assert parse_curve(param(at, "measured_curve")).accelerator == "l4"
    assert not at.exception


def test_another_precision_leaves_the_measurements_aside_and_says_so() -> None:
    at = page(measured_curve=CURVE)
    at.selectbox(key="deep_learning:precision").set_value("fp32").run()
    assert expected(precision="fp32") in headline(at)
    assert param(at, "measured_curve") == CURVE
    assert any("do not count" in text.value for text in (*at.caption, *at.markdown))


def test_memory_of_model_analyzer_is_set_beside_the_prediction() -> None:
    at = upload(page(), GPU_CSV)
    assert not at.exception
    assert param(at, "measured_curve") == ""
    assert "Memory measured" in html(at)
    assert "1.86 GiB" in html(at)  # 2000 MB


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe\x00", b"a,b\n1,2\n", CSV.replace("2300", "<b>no</b>").encode(), b"x" * 1_000_001,
        CSV.replace("2300", "nan").encode(), CSV.replace(",2300,", ",1,").replace(",100,", ",0,").encode(),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_said_and_changes_nothing(content: bytes) -> None:
    at = page()
    good = headline(at)
    upload(at, content)
    assert not at.exception
    assert headline(at) == good
    assert param(at, "measured_curve") == ""
    assert len(marks(at)) == 1
    assert "<b>" not in marks(at)[0].replace("\\", "") or "\\<b" in marks(at)[0]


@pytest.mark.parametrize(
    "curve", ["nonsense", CURVE.replace("t4~", "t5~"), CURVE.replace("8=6", "0.5=6"), CURVE + ",40=0.001"]
)
def test_a_link_with_a_curve_that_cannot_be_opens_with_the_prediction(curve: str) -> None:
    at = page(measured_curve=curve)
    assert not at.exception
    assert expected() in headline(at)
    assert any("measured" in w.value for w in at.warning)


def test_triton_section_shows_the_chosen_point_with_its_files() -> None:
    at = page("triton")
    best = plan(DeepLearningScenario(), catalogs.load()).recommended
    assert best is not None
    assert not at.exception
    code = [block.value for block in at.code]
    assert f"max_batch_size: {best.batch}" in code[0]
    assert code[1].startswith("perf_analyzer -m torchvision-resnet50")
    assert "for b in 1 2" in code[2]
    names = {button.proto.label for button in at.get("download_button")}
    assert {"config.pbtxt", "load_test.sh", "batch_sweep.sh"} <= names


def test_closed_sections_draw_nothing_and_the_knee_is_said() -> None:
    at = open_app("deep_learning")
    assert not any(b.proto.label == "config.pbtxt" for b in at.get("download_button"))
    assert not any(upload.key == "measured:file" for upload in at.file_uploader)
    assert any("The knee, batch" in c.value for c in at.caption)


def test_a_pipeline_is_said_to_need_a_configuration_for_each_stage() -> None:
    at = page("triton", model="stable-diffusion-xl", requests_per_s="0.5", latency_target_ms="")
    assert not at.exception
    assert any("is a pipeline of" in c.value for c in at.caption)
    assert not any("instance_group" in code.value for code in at.code)
