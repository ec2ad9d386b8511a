"""Two folded sections of the language model page: what more would buy, and other formats and engines."""

from __future__ import annotations

import re
from dataclasses import replace

from streamlit.testing.v1 import AppTest
from test_own_model import field, html
from test_pages_fuzz import headline, open_scenario

from sizing import catalog as catalogs
from sizing.llm.marginal import marginal
from sizing.llm.variants import variants
from sizing.planner import plan
from sizing.scenario import LlmScenario
from ui.marginal import binding_words
from ui.variants import QUALITY, SHOWN, shown_of, summary

TIGHT = LlmScenario(tpot_target_ms=2.0)


def opened(scenario: LlmScenario, key: str, *, on: bool = False) -> AppTest:
    at = open_scenario(scenario)
    at.session_state[key] = True
    at.run()
    if on:
        at.toggle(key="variants:on").set_value(True).run()
    assert not at.exception
    return at


def test_closed_sections_compute_nothing() -> None:
    at = open_scenario(LlmScenario())
    assert not at.toggle
    assert "one more replica" not in html(at)
    assert QUALITY not in [c.value for c in at.caption]


def test_levers_are_those_of_the_model() -> None:
    at = opened(LlmScenario(), "marginal")
    best = plan(LlmScenario(), catalogs.load()).recommended
    assert best is not None
    found = marginal(LlmScenario(), catalogs.load(), best)
    shown = html(at)
    for lever in found.levers:
        assert lever.amount in shown
        assert f"{lever.capacity_per_s:,.4g}" in shown
    assert "memory bandwidth +10 %" in shown
    assert "time between kernels -50 %" in shown
    assert any("One more replica adds" in text.value for text in at.markdown)


def test_sentence_says_what_takes_longer_and_what_a_replica_costs() -> None:
    catalog = catalogs.load()
    best = plan(LlmScenario(), catalog).recommended
    assert best is not None
    found = marginal(LlmScenario(), catalog, best)
    said = binding_words(best, found)
    assert said.startswith(f"Binding: {best.binding_constraint}.")
    assert "reading memory takes longer" in said
    assert "computing takes longer" in binding_words(best, replace(found, memory_ms=1.0, compute_ms=2.0))
    free = replace(found.levers[0], usd_per_hour=0.0)
    assert "machines already rented" in binding_words(best, replace(found, levers=(free, *found.levers[1:])))


def test_a_near_miss_is_taken_with_one_click() -> None:
    at = opened(TIGHT, "marginal")
    assert "no deployment" in headline(at)
    button = next(b for b in at.button if b.key == "miss:0:0")
    cost = re.search(r"\$([\d,.]+) an hour", button.label.replace("\\", ""))
    assert cost is not None
    button.click().run()
    assert not at.exception
    assert "no deployment" not in headline(at)


def test_nothing_is_searched_until_the_toggle_is_on() -> None:
    at = opened(LlmScenario(), "variants")
    assert at.toggle(key="variants:on").value is False
    assert not [b for b in at.button if str(b.key).startswith("variant:")]
    assert QUALITY in [c.value for c in at.caption]
    at.toggle(key="variants:on").set_value(True).run()
    found = variants(LlmScenario(), catalogs.load())
    assert f"Of {len(found)} pairs" in summary(found)
    assert any(f"Of {len(found)} pairs" in text.value for text in at.markdown)
    assert "(now)" in html(at)


def test_a_pair_is_taken_with_one_click_and_has_the_cost_it_said() -> None:
    at = opened(LlmScenario(), "variants", on=True)
    found = variants(LlmScenario(), catalogs.load())
    first = next(v for v in shown_of(found) if not v.is_present)
    next(b for b in at.button if str(b.key).startswith("variant:")).click().run()
    assert not at.exception
    assert (field(at, "runtime"), field(at, "weight_format"), field(at, "kv_format")) == (
        first.runtime,
        first.weight_format,
        first.kv_format,
    )
    assert at.selectbox(key="llm:weight_format").value == first.weight_format
    assert f"${first.usd_per_hour:,.2f}" in headline(at)


def test_shown_pairs_are_the_cheapest_and_the_present_one() -> None:
    found = variants(LlmScenario(), catalogs.load())
    shown = shown_of(found)
    assert len({(v.runtime, v.weight_format) for v in shown if not v.is_present}) == len(shown) - 1
    assert len(shown) <= SHOWN + 1
    assert any(v.is_present for v in shown)
    assert shown[0] is found[0]


def test_present_pair_may_be_the_cheapest() -> None:
    found = variants(LlmScenario(), catalogs.load())
    alone = tuple(v for v in found if v.is_present)
    assert summary(alone) == "None of 1 pairs of engine and format costs less than the present one."
    none = tuple(replace(v, holds=False) for v in found)
    assert summary(none).startswith(f"None of {len(found)} pairs of engine and format serves")


def test_pairs_that_do_not_serve_are_said_with_their_reason() -> None:
    at = opened(TIGHT, "variants", on=True)
    said = " ".join(c.value for c in at.caption).replace("\\", "")
    assert "do not serve" in said
    assert re.search(r"the best TPOT is [\d.]+ ms against 2 ms", said)
