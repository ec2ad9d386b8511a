"""Amounts in another currency beside US dollars, and how a price of one's own is said."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sizing import catalog as catalogs
from sizing.advisor import advise
from sizing.advisor.text import advice_text, machines_words, saved_words
from sizing.cost_over_time.text import sentence
from sizing.cost_over_time.total import cost_over_time
from sizing.money import format_money, in_currency, price_source, price_words, rate_words
from sizing.planner import plan
from sizing.scenario import DeepLearningScenario, LlmScenario, StatisticalScenario, parse_scenario
from sizing.text import plan_text
from sizing.units import format_usd
from sizing.why import answer_interval

CATALOG = catalogs.load()
EURO = LlmScenario(currency="EUR", currency_per_usd=0.92)


def test_amounts_are_multiplied_by_the_rate_and_name_the_currency() -> None:
    assert in_currency(100.0, EURO) == "92.00 EUR"
    assert format_money(28_908.0, EURO) == "$28,908 (26,595 EUR)"
    assert format_money(0.001, LlmScenario(currency="JPY", currency_per_usd=150.0)) == "$0.001 (0.15 JPY)"
    assert format_money(None, EURO) == "–"
    assert rate_words(EURO) == "at 0.92 EUR per USD as you entered it"


@pytest.mark.parametrize(
    "scenario", [EURO, DeepLearningScenario(currency="EUR", currency_per_usd=0.92)], ids=lambda s: s.kind
)
def test_what_the_decision_rests_on_is_said_in_both_currencies(scenario: LlmScenario | DeepLearningScenario) -> None:
    found = plan(scenario, CATALOG)
    best, needed, cost = (
        found.recommended,
        answer_interval(scenario, CATALOG, found),
        cost_over_time(scenario, CATALOG, found),
    )
    assert best is not None
    assert needed is not None
    assert cost is not None
    assert cost.mix is not None
    a_month = f"{format_usd(best.cost.usd_per_month)} ({in_currency(best.cost.usd_per_month, scenario)})"
    assert f"{a_month} a month of 730 h" in plan_text(found, needed)
    assert needed.cost_words(scenario).count("EUR") == needed.cost_words(scenario).count("$")
    of_mix = f"{format_usd(cost.mix.usd_per_month)} ({in_currency(cost.mix.usd_per_month, scenario)})"
    assert f"{of_mix} a month" in sentence(scenario, cost, best)
    advice = advise(scenario, CATALOG)
    assert f"Now: {machines_words(advice.present)}, {a_month} a month." in advice_text(advice)
    saving = next(o for o in advice.outcomes if o.status == "saves")
    assert saving.saves_usd_per_month is not None
    assert f"({in_currency(saving.saves_usd_per_month, scenario)}) less" in saved_words(advice, saving)


def test_us_dollars_stand_alone_whatever_the_rate_says() -> None:
    dollars = LlmScenario(currency_per_usd=0.5)
    assert format_money(10.0, dollars) == "$10.00"
    assert rate_words(dollars) is None


@pytest.mark.parametrize(("field", "value"), [("currency", "eur"), ("currency", "EURO"), ("currency", "€"), ("currency_per_usd", 0.0)])  # fmt: skip
def test_what_is_no_currency_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        LlmScenario.model_validate({field: value})


def test_another_currency_changes_no_figure_of_the_plan() -> None:
    usual, euro = (
        plan(StatisticalScenario(), CATALOG),
        plan(StatisticalScenario(currency="EUR", currency_per_usd=0.9), CATALOG),
    )
    assert usual.ranked == euro.ranked


def test_a_price_is_said_as_list_own_or_discounted() -> None:
    listed = plan(StatisticalScenario(), CATALOG).recommended
    assert listed is not None
    assert price_words(listed.cost) == "on demand price of 2026-07-20 (older than 90 days)"
    own = parse_scenario({"kind": "statistical", "own_prices": [f"{listed.instance}~0.01"]})
    yours = plan(own, CATALOG).recommended
    assert yours is not None
    assert yours.instance == listed.instance
    assert price_words(yours.cost) == "your own on demand price"
    assert price_source(yours.cost) == "entered by the user"
    assert not any(
        "undated" in text for text in (plan(own, CATALOG).headline, *(s.source for s in plan(own, CATALOG).working))
    )
    off = plan(StatisticalScenario(discount_percent=20.0), CATALOG).recommended
    assert off is not None
    assert "less your discount of 20 %" in str(off.cost.price_note)
