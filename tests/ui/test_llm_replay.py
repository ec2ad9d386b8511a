"""The simulation on the language model page: off at first, a trace of one's own, errors beside the field."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest
from test_own_model import html
from test_pages_fuzz import headline, open_app, open_scenario

from sizing.llm.replay import Replay, replay
from sizing.llm.traces import Trace
from sizing.scenario import LlmScenario
from ui import replay as section
from ui.frame import plain
from ui.replay import MOST_MEGABYTES, _read

TRACE = "arrival_s,prompt_tokens,output_tokens\n" + "".join(f"{i * 0.5},{300 + i},{20 + i % 7}\n" for i in range(120))


@pytest.fixture(scope="module")
def page() -> AppTest:
    """The page with the section open and switched on."""
    return switched_on(open_app("llm"))


def switched_on(at: AppTest) -> AppTest:
    """Open the section and switch the simulation on."""
    at.session_state["replay"] = True
    at.run()
    return at.toggle(key="replay:on").set_value(True).run()


def rows(at: AppTest) -> dict[str, list[str]]:
    """The table of percentiles by its first cell."""
    found = re.findall(r"<tr>(.*?)</tr>", next(body for body in html(at).split("<table") if "Simulation" in body))
    cells = [re.findall("<td>(.*?)</td>", row) for row in found]
    return {row[0]: row[1:] for row in cells if row}


def red(at: AppTest) -> list[str]:
    return [text.value for text in at.markdown if text.value.startswith(":red[")]


def upload(at: AppTest, text: bytes, name: str = "trace.csv") -> AppTest:
    """Give the section a file."""
    return at.file_uploader(key="replay:file").upload(name, text, "text/csv").run()


def test_nothing_is_simulated_until_it_is_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> Replay:
        raise AssertionError("simulated without being asked")

    monkeypatch.setattr(section, "_replayed", never)
    at = open_app("llm")
    assert not at.exception
    at.session_state["replay"] = True
    at.run()
    assert not at.exception
    assert at.toggle(key="replay:on").value is False


def test_table_shows_both_and_judges_the_limit(page: AppTest) -> None:
    found = rows(page)
    assert list(found) == [f"{name}\u00a0p{p}" for name in ("TTFT", "TPOT", "E2E") for p in (50, 95, 99)]
    assert found["TTFT\u00a0p95"][3] == "✓ 1 s"
    assert found["TTFT\u00a0p99"][3] == ""
    assert all(cell != "–" for row in found.values() for cell in row[:3])
    assert "this switch do not" in " ".join(caption.value for caption in page.caption)
    assert not [name for name in page.query_params if "replay" in name]


def test_bursts_of_the_workload_change_both() -> None:
    before = rows(switched_on(open_scenario(LlmScenario())))
    after = rows(switched_on(open_scenario(LlmScenario(arrival_squared_cv=4.0))))
    assert after["TTFT\u00a0p95"][0] != before["TTFT\u00a0p95"][0]
    assert after["TTFT\u00a0p95"][1] != before["TTFT\u00a0p95"][1]


def test_a_trace_replaces_the_random_load() -> None:
    at = switched_on(open_app("llm"))
    before = rows(at)
    upload(at, TRACE.encode())
    assert not at.exception
    assert not red(at)
    assert rows(at)["E2E\u00a0p50"][1] != before["E2E\u00a0p50"][1]
    assert "<td><b>120</b></td>" in html(at)
    assert at.number_input(key="replay:requests").disabled
    assert "trace's mean rate" in " ".join(caption.value.replace("\\", "") for caption in at.caption)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n", "a header that has arrival_s, prompt_tokens, output_tokens"),
        (b"arrival_s,prompt_tokens,output_tokens\n0,-3,1\n", "a whole number from 1"),
        (b"\xff\xfe\x00", "a CSV file in UTF-8"),
        (b"", "a header that has"),
        (b"arrival_s,prompt_tokens,output_tokens\n0,9000000,1\n", "for one request on this replica"),
        (b"arrival_s,prompt_tokens,output_tokens\n0,*[x](y)*,1\n", "a whole number from 1"),
    ],
)
def test_a_bad_trace_is_one_sentence_at_the_field(content: bytes, said: str) -> None:
    at = switched_on(open_app("llm"))
    upload(at, content)
    assert not at.exception
    assert len(red(at)) == 1
    assert plain(said) in red(at)[0]
    assert headline(at)


def test_a_file_too_large_is_refused() -> None:
    answer = _read(b"0" * (MOST_MEGABYTES * 1024**2 + 1))
    assert isinstance(answer, str)
    assert f"at most {MOST_MEGABYTES} MB" in answer
    assert isinstance(_read(TRACE.encode()), Trace)


def test_users_are_simulated() -> None:
    at = switched_on(open_scenario(LlmScenario(requests_per_s=None, concurrency=20)))
    assert not at.exception
    assert rows(at)["TPOT\u00a0p50"][1] != "–"


def test_one_token_replies_have_no_tpot() -> None:
    at = switched_on(open_scenario(LlmScenario(output_tokens=1)))
    assert not at.exception
    assert rows(at)["TPOT\u00a0p95"][1] == "–"
    assert "nan" not in html(at).lower()


def test_without_a_deployment_there_is_no_section() -> None:
    at = open_scenario(LlmScenario(max_usd_per_month=1.0))
    assert not at.exception
    assert not any("Simulate" in expander.label for expander in at.expander)


def test_the_same_settings_are_simulated_once(page: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def counted(*arguments: object) -> Replay:
        calls.append(arguments)
        return replay(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(section, "replay", counted)
    page.segmented_control(key="replay:shown").set_value("e2e_ms").run()
    page.segmented_control(key="replay:shown").set_value("ttft_ms").run()
    assert calls == []
