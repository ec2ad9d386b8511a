"""Own prices, currency, API prices and energy on the pages: added, refused, taken away, shown; closed they cost nothing."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import headline, open_scenario

from sizing import catalog as catalogs
from sizing.planner import plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario, parse_scenario
from sizing.self_host import compare
from ui import energy as energy_section
from ui import self_host
from ui.frame import plain

CATALOG = catalogs.load()


def opened(scenario: AnyScenario, *keys: str) -> AppTest:
    at = open_scenario(scenario)
    for key in keys:
        at.session_state[key] = True
    at.run()
    assert not at.exception
    return at


def texts(at: AppTest) -> list[str]:
    return [m.value for m in at.markdown]


def captions(at: AppTest) -> list[str]:
    return [c.value for c in at.caption]


def html(at: AppTest) -> str:
    return "".join(part.proto.body for part in at.get("html"))


def test_closed_sections_compute_nothing() -> None:
    self_host._compared.cache_clear()
    energy_section._energy.cache_clear()
    at = open_scenario(LlmScenario())
    assert "Self-host or pay per token" in [section.label for section in at.expander]
    assert self_host._compared.cache_info().misses == energy_section._energy.cache_info().misses == 0


@pytest.mark.parametrize("scenario", [
    LlmScenario(), LlmScenario(requests_per_s=200.0, currency="EUR", currency_per_usd=0.92),
    LlmScenario(api_usd_per_million_input_tokens=0.5, api_usd_per_million_output_tokens=2.0),
    DeepLearningScenario(model="whisper-large-v3-turbo-speech-to-text", latency_target_ms=8000.0, requests_per_s=5.0),
    DeepLearningScenario(api_usd_per_1k_requests=0.002), StatisticalScenario(api_usd_per_1k_requests=0.0),
])  # fmt: skip
def test_the_comparison_says_its_outcome_and_lists_its_prices(scenario: AnyScenario) -> None:
    at = opened(scenario, self_host.KEY)
    found = compare(scenario, CATALOG)
    assert found is not None
    assert plain(self_host.sentence(scenario, found)) in texts(at)
    for offer in found.offers:
        assert offer.name in html(at)
    assert plain(self_host.LEFT_OUT) in captions(at)
    if scenario.currency == "EUR":
        assert " EUR)" in html(at)
        assert any("0\\.92" in text or "0.92 EUR per USD" in text for text in captions(at))


@pytest.mark.parametrize(("usd", "says"), [
    (0.01, "the API is cheaper. Self-hosting never gets cheaper"),
    (100.0, "self-hosting is cheaper. Self-hosting costs no more from"),
])  # fmt: skip
def test_always_and_never_are_said(usd: float, says: str) -> None:
    scenario = LlmScenario(api_usd_per_million_input_tokens=usd, api_usd_per_million_output_tokens=usd)
    found = compare(scenario, CATALOG)
    assert found is not None
    assert says in self_host.sentence(scenario, found)


def test_without_an_api_price_the_section_says_where_to_enter_one() -> None:
    at = opened(StatisticalScenario(), self_host.KEY)
    assert any("Enter one in the section" in text for text in texts(at))


@pytest.mark.parametrize("scenario", [LlmScenario(), DeepLearningScenario(), StatisticalScenario()])
def test_energy_is_said_with_its_parts(scenario: AnyScenario) -> None:
    at = opened(scenario, energy_section.KEY)
    found = energy_section._energy(scenario, CATALOG)
    assert found is not None
    assert plain(energy_section.sentence(found)) in texts(at)
    for part in found.parts:
        assert part.with_numbers in html(at)


def test_a_price_is_added_counts_and_is_taken_away() -> None:
    scenario = StatisticalScenario()
    at = open_scenario(scenario)
    before = headline(at)
    dearest = plan(scenario, CATALOG).ranked[-1]
    at.selectbox(key="statistical:own_price_instance").set_value(dearest.instance)
    at.number_input(key="statistical:own_price_usd").set_value(0.001)
    at.button(key="statistical:own_price_add").click().run()
    assert not at.exception
    text = f"{dearest.instance}~on_demand~0.001"
    assert at.multiselect(key="statistical:own_prices").value == [text]
    assert dearest.instance_type in headline(at)
    assert at.query_params["own_prices"] in (text, [text])
    assert any("your own on demand price" in said for said in captions(at))
    # The same instance again takes the place of the former price.
    at.selectbox(key="statistical:own_price_instance").set_value(dearest.instance)
    at.number_input(key="statistical:own_price_usd").set_value(0.002)
    at.button(key="statistical:own_price_add").click().run()
    assert at.multiselect(key="statistical:own_prices").value == [f"{dearest.instance}~on_demand~0.002"]
    at.multiselect(key="statistical:own_prices").set_value([]).run()
    assert headline(at) == before


@pytest.mark.parametrize(("instance", "usd", "says"), [(None, 1.0, "Choose the instance"), ("aws-t3-medium", None, "a number above 0"), ("aws-t3-medium", -1.0, "a number above 0")])  # fmt: skip
def test_a_price_that_is_none_is_refused_beside_its_controls(
    instance: str | None, usd: float | None, says: str
) -> None:
    at = open_scenario(StatisticalScenario())
    before = headline(at)
    at.selectbox(key="statistical:own_price_instance").set_value(instance)
    at.number_input(key="statistical:own_price_usd").set_value(usd)
    at.button(key="statistical:own_price_add").click().run()
    assert not at.exception
    assert any(says in text for text in texts(at) if text.startswith(":red["))
    assert headline(at) == before
    at.selectbox(key="statistical:own_price_instance").set_value("aws-t3-medium")
    at.number_input(key="statistical:own_price_usd").set_value(0.04)
    at.button(key="statistical:own_price_add").click().run()
    assert not any(text.startswith(":red[") for text in texts(at))


def test_another_currency_stands_beside_the_answer_and_a_wrong_one_is_refused() -> None:
    at = open_scenario(LlmScenario())
    month = next(m for m in at.metric if m.label == "Cost per month")
    assert month.delta == ""
    at.text_input(key="llm:currency").set_value("eur").run()
    at.number_input(key="llm:currency_per_usd").set_value(0.5).run()
    best = plan(LlmScenario(), CATALOG).recommended
    assert best is not None
    shown = next(m for m in at.metric if m.label == "Cost per month")
    assert shown.value == month.value
    assert shown.delta == f"{best.cost.usd_per_month / 2:,.2f} EUR"
    assert any(plain("at 0.5 EUR per USD as you entered it") in text for text in captions(at))
    at.text_input(key="llm:currency").set_value("euros").run()
    assert any("three capital letters" in text for text in texts(at) if text.startswith(":red["))


def test_a_discount_is_said_beside_the_answer_and_the_table() -> None:
    at = open_scenario(parse_scenario({"kind": "llm", "discount_percent": 25.0}))
    assert any(plain("less your discount of 25 %") in text for text in captions(at))
    assert any("List prices are less your discount" in text for text in captions(at))
