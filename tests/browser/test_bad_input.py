"""Rule 7: bad input is stopped at its field, in words, keeping the last good answer; remedies have amounts, prices, a button."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import Page
from screen import (
    SIZING_PAGES,
    answer,
    assert_answers_its_link,
    assert_whole,
    field,
    number,
    open_sections,
    redraw,
    type_number,
    type_numbers,
)

from sizing import catalog as catalogs
from sizing import link as links
from sizing.planner import plan_with_remedies
from sizing.scenario import SCENARIO_TYPES, LlmScenario

OpenPage = Callable[..., Page]


_MARKS = """labels => labels.map(label => {
  const box = [...document.querySelectorAll('input[type=number]')].find(e => e.getAttribute('aria-label') === label);
  const marks = box.closest('[data-testid=stVerticalBlock]').querySelectorAll('[data-testid=stMarkdown]');
  return [marks.length, marks[0]?.innerText, marks[0]?.getBoundingClientRect().y - box.getBoundingClientRect().y];
})"""


@pytest.mark.parametrize("name", SIZING_PAGES)
def test_each_bad_number_is_marked_at_its_field_and_the_answer_stays(
    open_page: OpenPage, dashboard: str, name: str
) -> None:
    page = open_page(f"{dashboard}/{name}")
    open_sections(page)
    good, link = answer(page), page.url
    marked = page.locator(".st-key-inputs [data-testid=stMarkdown]").filter(has_text=" (not ")
    labels = [box.get_attribute("aria-label") or "" for box in page.get_by_test_id("stNumberInputField").all()]
    assert len(labels) >= 9
    type_number(page, labels[0], -1)
    assert marked.count() == 1
    type_numbers(page, dict.fromkeys(labels[1:], -1))
    assert marked.count() == len(labels)
    for label, (marks, told, below) in zip(labels, page.evaluate(_MARKS, labels), strict=True):
        assert marks == 1, label
        assert re.fullmatch(r".+: a number (above|from) .+ \(not -1(\.0)?\)", told), label
        assert 0 < below < 90, label
    assert page.get_by_text("this is still the answer to the last inputs that can").is_visible()
    assert answer(page) == good
    assert page.url == link
    assert_whole(page)
    page.reload()
    page.wait_for_selector(".answer")
    assert answer(page) == good
    assert page.get_by_test_id("stAlert").count() == 0


@pytest.mark.parametrize("name", SIZING_PAGES)
def test_odd_typing_in_the_traffic_field(open_page: OpenPage, dashboard: str, name: str) -> None:
    page = open_page(f"{dashboard}/{name}")
    good = answer(page)
    box = number(page, "Requests per second")
    for value, allowed in (
        ("0", "a number above 0"),
        ("1e300", "a number up to"),
        ("", "a number above 0 is required"),
    ):
        type_number(page, "Requests per second", value)
        said = page.locator(".st-key-inputs").get_by_text(re.compile(r"^Requests per second: "))
        assert allowed in said.inner_text()
        assert answer(page) == good
        assert_whole(page)
    type_number(page, "Requests per second", 6)
    box.click()
    box.press("Control+a")
    box.press_sequentially("many")  # a box for numbers takes no letters
    assert box.input_value() in ("", "6")
    box.fill("8")
    redraw(page, lambda: box.press("Enter"))
    assert field(page, "requests_per_s") == "8.0"
    assert page.get_by_test_id("stAlert").count() == 0
    assert_answers_its_link(page)


def test_whole_number_beyond_the_browser_is_refused_by_the_box(open_page: OpenPage, dashboard: str) -> None:
    page = open_page(f"{dashboard}/llm")
    good = answer(page)
    box = number(page, "Prompt tokens")
    box.fill("99999999999999999999")
    box.press("Enter")
    assert box.evaluate("e => e.validationMessage") != ""
    assert answer(page) == good
    assert field(page, "prompt_tokens") == "1000"
    box.fill("10000001")
    redraw(page, lambda: box.press("Enter"))
    assert page.get_by_text("Prompt tokens: a number up to 10000000 (not 10000001)").is_visible()
    assert_whole(page)


def _link(dashboard: str, kind: str, **changed: object) -> str:
    params = links.to_params(SCENARIO_TYPES[kind](), catalog_version=catalogs.load().version)
    params |= {name: str(value) for name, value in changed.items()}
    return f"{dashboard}/{kind}?" + "&".join(f"{name}={quote(value)}" for name, value in params.items())


BAD_LINKS = {
    "llm": [
        ({"model": "no-such-model"}, "model: 'no-such-model' is not allowed"),
        ({"tensor_parallel": 7}, "tensor_parallel: 7 is not allowed"),
        ({"requests_per_s": -4}, "requests_per_s: '-4' is not allowed; allowed is a number above 0"),
        ({"v": 99}, "v: '99' is not allowed; allowed is schema version 1"),
        ({"prompt_tokens": "nan", "surprise": "<b>x</b>"}, "surprise: '<b>x</b>' is not allowed"),
        ({"notes": "x" * 7_000}, "at most 7,000 characters"),
    ],
    "deep_learning": [({"model": "resnet-9000", "batch": 0}, "model: 'resnet-9000' is not allowed")],
    "statistical": [({"family": "oracle", "trees": "many"}, "trees: 'many' is not allowed; allowed is a whole number")],
}


@pytest.mark.parametrize(
    ("name", "changed", "said"), [(name, *case) for name, cases in BAD_LINKS.items() for case in cases]
)
def test_bad_link_says_what_was_not_taken(
    open_page: OpenPage, dashboard: str, name: str, changed: dict[str, object], said: str
) -> None:
    page = open_page(_link(dashboard, name, **changed))
    warnings = page.get_by_test_id("stAlert")
    assert warnings.count() == 1
    assert "This link was not taken as it stands:" in warnings.inner_text()
    assert said in warnings.inner_text()
    assert_answers_its_link(page)
    assert_whole(page)


@pytest.mark.parametrize("name", [*SIZING_PAGES, "catalogs"])
def test_link_of_random_bytes_opens_a_page_that_works(open_page: OpenPage, dashboard: str, name: str) -> None:
    page = open_page(f"{dashboard}/{name}?%ff%fe%00=%f0%9f&v=%00%01&&==&kind=%27%22%3E%3Cimg+src=x+onerror=alert(1)%3E")
    assert page.get_by_test_id("stAlert").count() == 1
    assert page.locator("img[src=x]").count() == 0
    if name != "catalogs":
        assert_answers_its_link(page)
    assert_whole(page)


def test_what_nothing_serves_shows_remedies_and_applies_one(open_page: OpenPage, dashboard: str) -> None:
    scenario = LlmScenario(model="llama-3.1-8b", max_usd_per_month=500, ttft_target_ms=900)
    catalog = catalogs.load()
    expected = plan_with_remedies(scenario, catalog)
    assert expected.recommended is None
    assert len(expected.remedies) >= 1
    page = open_page(links.to_link(scenario, catalog_version=catalog.version, base=dashboard))
    assert answer(page) == expected.headline
    shown = page.get_by_text(re.compile(r": \d+ x .+, \$[\d,.]+ a month\.$")).all_inner_texts()
    assert shown == [remedy.sentence for remedy in expected.remedies]
    assert [r.usd_per_month for r in expected.remedies] == sorted(r.usd_per_month for r in expected.remedies)
    assert re.search(r"\d+ kinds of instance searched: 0 meet the scenario, \d+ dropped\.", page.inner_text("body"))
    assert_whole(page)

    first = expected.remedies[0]
    redraw(page, page.get_by_role("button", name="Apply").first.click)
    plan_now = assert_answers_its_link(page)
    assert plan_now.recommended is not None
    assert plan_now.recommended.cost.usd_per_month == pytest.approx(first.usd_per_month)
    changed = first.value if isinstance(first.value, dict) else {first.field: first.value}
    assert plan_now.scenario == scenario.model_copy(update=changed)
    assert page.get_by_role("button", name="Apply").count() == 0
    if "max_usd_per_month" in changed:
        open_sections(page)
        assert float(number(page, "Budget (USD per month)").input_value()) == pytest.approx(first.usd_per_month)
