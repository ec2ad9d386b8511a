"""A model measured on the dashboard's host, in a real browser: upload, progress, place in the queue, times into the link."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from onnxruntime.datasets import get_example
from playwright.sync_api import Page, expect
from screen import assert_answers_its_link, assert_whole, field, redraw, type_number

from benchmarks.dashboard import settle
from sizing import catalog as catalogs
from sizing import link as links
from sizing.scenario import StatisticalScenario
from sizing.statistical.measured import fingerprint, parse_measured
from tests.measure.hostile import endless_loop

OpenPage = Callable[..., Page]
IRIS = StatisticalScenario(family="logistic-regression", runtime="onnxruntime", features=2, outputs=3)
DONE_MS = 60_000


def open_section(page: Page) -> None:
    """Open the section and wait for its upload box."""
    page.locator("summary").filter(has_text="Measure it here").click()
    page.get_by_text("ONNX model", exact=True).wait_for()


def start(page: Page, file: Path) -> None:
    """Upload a model and start its measurement."""
    uploader = page.get_by_test_id("stFileUploader").filter(has_text="ONNX model")
    uploader.locator("input[type=file]").set_input_files(file)
    button = page.get_by_role("button", name="Start", exact=True)
    expect(button).to_be_enabled()
    button.click()
    page.get_by_role("button", name="Cancel", exact=True).wait_for()


def test_times_of_an_uploaded_model_go_into_the_link_while_another_page_answers(
    open_page: OpenPage, dashboard: str, tmp_path: Path
) -> None:
    version = catalogs.load().version
    page = open_page(links.to_link(IRIS, catalog_version=version, base=dashboard))
    other = open_page(
        f"{dashboard}/statistical?{links.to_query(StatisticalScenario(runtime='onnxruntime'), catalog_version=version)}"
    )
    endless = tmp_path / "endless.onnx"
    endless.write_bytes(endless_loop())
    open_section(other)
    start(other, endless)
    bar = other.get_by_test_id("stProgress")
    expect(bar).to_contain_text("1 row a call", timeout=DONE_MS)

    open_section(page)
    start(page, Path(get_example("logreg_iris.onnx")))
    expect(page.get_by_test_id("stProgress")).to_contain_text("Place 2 in the queue: 1 before you")

    shown = page.locator(".answer")
    before = shown.inner_text()
    type_number(page, "Features", 9_000)  # the progress draws itself anew too, so wait for the answer
    expect(shown).not_to_have_text(before)
    settle(page)
    assert_answers_its_link(page)
    expect(bar).to_be_visible()
    type_number(page, "Features", 2)
    expect(shown).to_have_text(before)

    other.get_by_role("button", name="Cancel", exact=True).click()
    expect(other.get_by_text("Cancelled.")).to_be_visible()
    use = page.get_by_role("button", name="Use these times", exact=True)
    use.wait_for(timeout=DONE_MS)
    expect(page.get_by_text("CPU time factor of this machine")).to_be_visible()
    assert_whole(page)
    redraw(page, use.click)
    used = parse_measured(field(page, "measured_service"))
    assert (used.rows, used.fingerprint) == ((3,), fingerprint(IRIS))
    assert_answers_its_link(page)
    expect(page.get_by_text("These times are in the scenario and its link.")).to_be_visible()
