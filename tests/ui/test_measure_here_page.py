"""The section that measures an uploaded model: what it says while waiting, running and after, and the way into the scenario."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest
from test_measured_upload import html, param
from test_pages_fuzz import ROOT, headline, marks

from sizing import catalog as catalogs
from sizing.measure import process
from sizing.measure.queue import View
from sizing.measure.records import BatchTime, MeasureError, Measurement, Progress, Settings
from sizing.scenario import StatisticalScenario
from sizing.statistical.measured import fingerprint, parse_measured
from ui import measure_here

ONNX = {"runtime": "onnxruntime"}


def timed(rows: int, ms: float) -> BatchTime:
    return BatchTime(rows=rows, calls=100, median_ms=ms, p99_ms=2 * ms, wall_median_ms=ms, wall_p99_ms=3 * ms)


FOUND = Measurement(
    (timed(1, 0.0185), timed(512, 1.2)), (timed(1, 0.0123), timed(64, 0.456)), 7.0, 80 * 2**20, 90 * 2**20, 95 * 2**20, True,
    ("A note of the measurement",),
)  # fmt: skip


class Queue:
    """A queue that says what the test wants it to say."""

    def __init__(self) -> None:
        self.view = View("queued")
        self.submitted: list[tuple[bytes, Settings]] = []
        self.cancelled: list[str] = []
        self.refuse: str | None = None

    def submit(self, model: bytes, settings: Settings) -> str:
        if self.refuse is not None:
            raise MeasureError(self.refuse)
        self.submitted.append((model, settings))
        return "ticket"

    def look(self, ticket: str) -> View:
        assert ticket == "ticket"
        return self.view

    def cancel(self, ticket: str) -> None:
        self.cancelled.append(ticket)
        self.view = View("cancelled", sentence="Cancelled.")


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    fake = Queue()
    monkeypatch.setattr(measure_here, "queue", lambda: fake)
    return fake


def page(**params: str) -> AppTest:
    """The page with the section open."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/statistical.py")
    at.session_state["measure-here"] = True
    for name, value in params.items():
        at.query_params[name] = value
    return at.run()


def upload(at: AppTest, content: bytes = b"model") -> AppTest:
    return at.file_uploader(key=measure_here.FILE).set_value(("m.onnx", content, "application/octet-stream")).run()


def press(at: AppTest, label: str) -> AppTest:
    return next(button for button in at.button if button.label == label).click().run()


def labels(at: AppTest) -> list[str]:
    return [button.label for button in at.button]


def standing(at: AppTest) -> tuple[int, str]:
    """Progress bar: its hundredths and its text."""
    (bar,) = at.get("progress")
    return bar.proto.value, bar.proto.text.replace("\\", "")


def said(at: AppTest) -> str:
    return " ".join(element.value for element in (*at.markdown, *at.caption)).replace("\\", "")


def test_closed_section_asks_nothing(queue: Queue) -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page("pages/statistical.py")
    at.run()
    assert any(expander.label == "Measure it here" for expander in at.expander)
    assert not any(box.key == measure_here.FILE for box in at.file_uploader)
    assert "Start" not in labels(at)


def test_from_the_upload_to_the_scenario(queue: Queue) -> None:
    at = page(**ONNX)
    start = next(button for button in at.button if button.label == "Start")
    assert start.disabled
    upload(at)
    at.multiselect(key=measure_here.ROWS).set_value([64, 1]).run()
    queue.view = View("queued", ahead=2, longest_wait_s=120.0)
    press(at, "Start")
    assert queue.submitted == [(b"model", Settings(batches=(1, 64)))]
    assert standing(at) == (0, "Place 3 in the queue: 2 before you, at most 2 min.")
    assert "Start" not in labels(at)
    queue.view = View("queued", elsewhere=True)
    assert standing(at.run())[1] == "Next in the queue; another server process on this host is measuring."
    queue.view = View("running", progress=Progress("64 rows a call", 0.75, 2.4))
    assert standing(at.run()) == (75, "64 rows a call, about 2 s left.")
    before = headline(at)
    queue.view = View("done", result=FOUND)
    at.run()
    assert not at.exception
    assert not at.get("progress")
    assert headline(at) == before
    for text in ("12.3 µs", "456 µs", "24.6 µs", "80.00 MiB", "10.00 MiB"):
        assert text in html(at)
    assert "CPU time factor of this machine" in said(at)
    assert "A note of the measurement." in said(at)
    assert param(at, "measured_service") == ""
    press(at, "Use these times")
    assert not at.warning
    used = parse_measured(param(at, "measured_service"))
    assert used.fingerprint == fingerprint(StatisticalScenario(runtime="onnxruntime"))
    assert (used.timed, used.rows, used.times_ms) == ("model", (1, 64), (0.0123, 0.456))
    assert "Use these times" not in labels(at)
    assert "These times are in the scenario" in said(at)


def test_another_model_makes_the_times_offered_anew(queue: Queue) -> None:
    at = page(**ONNX)
    queue.view = View("done", result=FOUND)
    press(upload(at), "Start")
    press(at, "Use these times")
    first = html(at)
    at.number_input(key="statistical:trees").set_value(1000).run()
    assert "Use these times" in labels(at)
    assert html(at) != first
    upload(at, b"another")
    assert "Use these times" not in labels(at)


def test_cancel(queue: Queue) -> None:
    at = page(**ONNX)
    queue.view = View("running", progress=Progress("8 rows a call", 0.1, 5.0))
    press(upload(at), "Start")
    press(at, "Cancel")
    assert queue.cancelled == ["ticket"]
    at.run()
    assert "Cancelled." in said(at)
    assert "Start" in labels(at)
    assert not marks(at)


def test_another_file_ends_the_measurement_of_the_first(queue: Queue) -> None:
    at = page(**ONNX)
    press(upload(at), "Start")
    assert at.get("progress")
    upload(at, b"another")
    assert queue.cancelled == ["ticket"]
    assert not at.get("progress")
    assert not at.exception
    assert "Start" in labels(at)


def test_other_runtime_is_said_and_switched(queue: Queue) -> None:
    at = page()
    assert "This measures ONNX Runtime. The answer above is for" in said(at)
    queue.view = View("done", result=FOUND)
    press(upload(at), "Start")
    assert "12.3 µs" in html(at)
    assert "Use these times" not in labels(at)
    press(at, "Answer for ONNX Runtime")
    assert param(at, "runtime") == "onnxruntime"
    assert "This measures ONNX Runtime" not in said(at)
    assert "Use these times" in labels(at)


def test_family_without_onnx_runtime(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_here, "onnx_scenario", lambda scenario, catalog: None)
    at = page()
    assert "so the times will stand for themselves" in said(at)
    assert "Answer for ONNX Runtime" not in labels(at)


def test_failure_is_one_sentence_and_open_dimensions_are_asked_for(queue: Queue) -> None:
    at = page(**ONNX)
    good = headline(at)
    queue.view = View("failed", sentence="The model leaves '<b>len</b>' open.", asked=("<b>len</b>",))
    press(upload(at), "Start")
    assert marks(at) == [":red[The model leaves '\\<b\\>len\\</b\\>' open.]"]
    assert headline(at) == good
    at.number_input(key="measure:dim:<b>len</b>").set_value(12).run()
    press(at, "Start")
    assert queue.submitted[-1][1].dims == {"<b>len</b>": 12}
    assert not at.exception


def test_full_queue_is_said(queue: Queue) -> None:
    at = page(**ONNX)
    queue.refuse = "8 measurements wait already, the most there may be: try again in a minute."
    press(upload(at), "Start")
    assert marks(at) == [":red[8 measurements wait already, the most there may be\\: try again in a minute.]"]
    assert not at.get("progress")


def test_a_machine_that_cannot_be_is_said(queue: Queue) -> None:
    at = page(**ONNX)
    slow = Measurement((timed(1, 1e4), timed(512, 1e6)), FOUND.rows, 1.0, 1, 2, 3, True)
    queue.view = View("done", result=slow)
    press(upload(at), "Start")
    assert "which no machine does" in marks(at)[0]
    assert not at.exception


def test_operator_can_switch_it_off(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(process.SWITCH, "off")
    at = page(**ONNX)
    assert "switched off on this server (SIZING_MEASURE=off)" in said(at)
    assert not any(box.key == measure_here.FILE for box in at.file_uploader)


def test_the_catalog_has_every_figure_of_the_reference() -> None:
    assert catalogs.load().statistical_family("gradient-boosting-xgboost").runtime("onnxruntime") is not None
