"""The report as a file: all sections, the plan's figures, nothing fetched from anywhere, no text that could become markup."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import plotly.graph_objects as go
import pytest

from sizing import catalog as catalogs
from sizing import link as links
from sizing.plan import Plan
from sizing.planner import plan_with_remedies
from sizing.scenario import (
    AnyScenario,
    DeepLearningScenario,
    LlmScenario,
    StatisticalScenario,
    scenario_from_yaml,
    scenario_to_yaml,
)
from sizing.snapshot import plan_digest
from sizing.units import format_ms, format_usd
from ui.answer_chart import AnswerChart
from ui.answer_charts import answer_charts
from ui.report import SECTIONS, main, report_html
from ui.report_html import page
from ui.report_sections import Bullets, Paragraph, Section, Table, Verbatim

BASE = "https://sizing.example.org"
DAY = date(2026, 11, 25)
VOID = {"meta", "br", "link", "img", "input", "hr"}
SCENARIOS: dict[str, AnyScenario] = {
    "llm": LlmScenario(discount_percent=10.0),
    "deep learning": DeepLearningScenario(),
    "statistical": StatisticalScenario(name="Scores"),
    "none meets": LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0),
}
HOSTILE = '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1"> & \'"\\ </style> ]]> -->'


class Read(HTMLParser):
    """Tags, attributes, text and scripts of a page; fails where a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif not self.open or self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.tags if name == tag)


def _plan(scenario: AnyScenario) -> Plan:
    return plan_with_remedies(scenario, catalogs.load())


def _report(found: Plan) -> str:
    return report_html(found, catalogs.load(), base=BASE, created=DAY)


@pytest.fixture(scope="module", params=SCENARIOS)
def made(request: pytest.FixtureRequest) -> tuple[Plan, Read, str]:
    found = _plan(SCENARIOS[request.param])
    text = _report(found)
    return found, Read(text), text


def test_it_needs_nothing_but_itself(made: tuple[Plan, Read, str]) -> None:
    _, read, text = made
    for tag, attributes in read.tags:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base", "form")
        assert not {"src", "srcset", "poster", "data", "action"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    addresses = [attributes["href"] for attributes in read.all("a")]
    assert len(addresses) == 1
    assert addresses[0] is not None
    assert addresses[0].startswith(f"{BASE}/")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert len(text) < 6_000_000


def test_its_policy_allows_its_own_scripts_only(made: tuple[Plan, Read, str]) -> None:
    _, read, _ = made
    [policy] = [a["content"] for a in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    scripts = policy.partition("script-src ")[2].split()
    kinds = [attributes.get("type") for attributes in read.all("script")]
    run = [text for text, kind in zip(read.scripts, kinds, strict=True) if kind != "application/json"]
    assert scripts == [f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" for text in run]
    assert "unsafe-inline" not in " ".join(scripts)


def test_all_sections_stand_in_their_order(made: tuple[Plan, Read, str]) -> None:
    found, read, _ = made
    sections = [attributes["id"] for attributes in read.all("section")]
    decided = ["needed", "cost", "over-a-year", "api", "energy"]
    expected = ["answer", *decided, "assumptions", "certainty", "charts", "ranking", "working", "sources", "scenario"]
    left_out = {"" if found.kind == "llm" else "api"}  # only language models have an API price without entering one
    if found.recommended is None:
        left_out |= {*decided, "working" if not found.working else ""}
    assert sections == [name for name in expected if name not in left_out]
    assert len(SECTIONS) == len(expected)
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_its_figures_are_those_of_the_plan(made: tuple[Plan, Read, str]) -> None:
    found, read, _ = made
    text = read.text
    assert found.headline in text
    assert found.catalog in text
    assert "2026-11-25" in text
    assert plan_digest(found) in text
    for caveat in found.caveats:
        assert caveat in text
    for remedy in found.remedies:
        assert remedy.sentence in text
    best = found.recommended
    if best is None:
        assert found.remedies
        return
    assert best.instance_type in text
    for usd in (best.cost.usd_per_hour, best.cost.usd_per_month, best.cost.usd_per_month * 12):
        assert format_usd(usd) in text
    for mark in (best.cost.price_source, best.cost.price_date, *best.cost.price_marks):
        assert mark in text
    for verdict in best.verdicts:
        for ms in (verdict.limit_ms, verdict.predicted_ms, verdict.low_ms, verdict.high_ms, verdict.margin_ms):
            assert format_ms(ms) in text
        assert verdict.basis in text
    for d in found.ranked[:10]:
        assert f"{d.instances} × {d.instance_type}" in text
    for step in found.working:
        assert step.quantity in text
        assert step.with_numbers in text


def test_the_scenario_in_it_comes_back_and_the_link_opens_it(made: tuple[Plan, Read, str]) -> None:
    found, read, _ = made
    assert scenario_to_yaml(found.scenario) in read.text
    [address] = [attributes["href"] for attributes in read.all("a")]
    decoded = links.from_link(str(address))
    assert decoded.scenario == found.scenario
    assert decoded.catalog == found.catalog
    assert decoded.messages == ()


def test_its_charts_are_the_charts_of_the_page_with_their_texts(made: tuple[Plan, Read, str]) -> None:
    found, read, _ = made
    shown = answer_charts(found.scenario, catalogs.load(), found)
    places = [attributes for attributes in read.all("div") if attributes.get("class") == "chart"]
    assert [place["aria-label"] for place in places] == [chart.alt for chart in shown]
    assert all(place["role"] == "img" for place in places)
    [data] = [t for t, a in zip(read.scripts, read.all("script"), strict=True) if a.get("type") == "application/json"]
    figures = json.loads(data)
    assert [figure["id"] for figure in figures] == [place["id"] for place in places]
    for figure, chart in zip(figures, shown, strict=True):
        assert [trace.get("x") for trace in figure["data"]] == [
            trace.get("x") for trace in json.loads(chart.figure.to_json())["data"]
        ]
        assert figure["layout"]["template"]["layout"]["paper_bgcolor"] == "white"


def test_hostile_text_stays_text_wherever_it_comes_from() -> None:
    found = _plan(LlmScenario(name=HOSTILE, notes=f"{HOSTILE}\nsecond line"))
    assert found.recommended is not None
    cost = replace(found.recommended.cost, price_source=HOSTILE, price_note=HOSTILE, price_marks=(HOSTILE,))
    best = replace(found.recommended, instance_type=HOSTILE, provider=HOSTILE, warnings=(HOSTILE,), cost=cost)
    step = replace(found.working[0], quantity=HOSTILE, formula=HOSTILE, source=HOSTILE)
    dropped = replace(found.rejected[0], instance_type=HOSTILE, because=HOSTILE, constraint="memory")
    hostile = found.model_copy(
        update={
            "recommended": best,
            "headline": HOSTILE,
            "caveats": (HOSTILE,),
            "working": (step,),
            "rejected": (dropped,),
        }
    )
    calm = Read(_report(found.model_copy(update={"working": found.working[:1], "rejected": found.rejected[:1]})))
    text = _report(hostile)
    read = Read(text)
    assert read.text.count("window.hacked=1") >= 10
    assert len(list(read.all("script"))) == 3
    assert {tag for tag, _ in read.tags} == {tag for tag, _ in calm.tags}
    assert text.count("</style>") == 1
    for _, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on")]


def test_a_section_of_somebody_else_is_drawn_where_it_is_listed() -> None:
    figure = go.Figure(data=[{"type": "bar", "x": ["<b>a</b>"], "y": [3]}])

    def extra(scenario: AnyScenario, catalog: catalogs.Catalog, found: Plan) -> Section:
        table = Table(("A", "B"), [("one\ntwo", "<i>3</i>")], "Title of it", frozenset({1}))
        chart = AnswerChart("x", "Chart of it", "three <b>", figure, caption="Below it")
        return Section(
            "extra", "Extra & more", [Paragraph("Said.", "note"), Bullets(["b1"]), table, Verbatim("  v"), chart]
        )

    def nothing(scenario: AnyScenario, catalog: catalogs.Catalog, found: Plan) -> None:
        return None

    found = _plan(StatisticalScenario())
    text = report_html(found, catalogs.load(), base=BASE, created=DAY, sections=(extra, nothing))
    assert '<section id="extra"><h2>Extra &amp; more</h2><p class="note">Said.</p><ul><li>b1</li></ul>' in text
    assert '<td>one<br>two</td><td class="number">&lt;i&gt;3&lt;/i&gt;</td>' in text
    assert "<pre>  v</pre>" in text
    assert '"x": ["\\u003cb\\u003ea\\u003c/b\\u003e"]' in text
    assert "<figcaption>Below it</figcaption>" in text


def test_without_charts_there_is_no_script_at_all() -> None:
    text = page("T", [], [Section("s", "S", [Paragraph("x")])], head="T")
    assert "<script" not in text
    assert "script-src 'none'" in text
    assert len(text) < 10_000


def test_a_scenario_too_long_for_a_link_is_said() -> None:
    every = tuple(catalogs.load().instances)
    long = LlmScenario(instances=every, own_prices=tuple(f"{id}~spot~1.23456789" for id in every))
    text = _report(_plan(long))
    assert "does not fit into a link" in text
    assert not list(Read(text).all("a"))


def test_command_line_writes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario, out = tmp_path / "s.yaml", tmp_path / "r.html"
    scenario.write_text("kind: statistical\nname: By hand\n", encoding="utf-8")
    assert main([str(scenario), "-o", str(out), "--base", BASE]) == 0
    text = out.read_text(encoding="utf-8")
    assert "<h1>By hand</h1>" in text
    yaml = Read(text).text.partition("# catalog:")[2].partition("\n")[2].partition("Checksum of")[0]
    assert scenario_from_yaml(yaml).name == "By hand"
    scenario.write_text("kind: llm\nmodel: llama-2-70b-hf\nmax_usd_per_month: 50\n", encoding="utf-8")
    assert main([str(scenario), "-o", str(out)]) == 1
    assert main(["no-such.yaml", "-o", str(out)]) == 2
    assert main([str(scenario), "-o", str(tmp_path / "no" / "such" / "place.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 2
