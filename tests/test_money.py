"""Amounts in another currency beside US dollars, and how a price of one's own is said."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sizing import catalog as catalogs
from sizing.money import format_money, in_currency, price_source, price_words, rate_words
from sizing.planner import plan
from sizing.scenario import LlmScenario, StatisticalScenario, parse_scenario

CATALOG = catalogs.load()
EURO = LlmScenario(currency="EUR", currency_per_usd=0.92)


def test_amounts_are_multiplied_by_the_rate_and_name_the_currency() -> None:
    assert in_currency(100.0, EURO) == "92.00 EUR"
    assert format_money(28_908.0, EURO) == "$28,908 (26,595 EUR)"
    assert format_money(0.001, LlmScenario(currency="JPY", currency_per_usd=150.0)) == "$0.001 (0.15 JPY)"
    assert format_money(None, EURO) == "–"
    assert rate_words(EURO) == "at 0.92 EUR per USD as you entered it"


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
