"""Amounts of money as the user reads them: US dollars, and beside them the user's own currency at the rate they entered.

All computing is in US dollars; another currency is a way to show an amount, nothing else.
"""

from __future__ import annotations

from sizing.fleet import ENTERED
from sizing.plan import Cost
from sizing.scenario_money import MoneyFields
from sizing.units import format_usd


def in_currency(usd: float, scenario: MoneyFields) -> str | None:
    """An amount of US dollars in the scenario's currency as text, or None where that is the US dollar itself.

    amount = USD x currency per USD; cents from 1 up, four significant digits below, as `format_usd`.

    >>> from sizing.scenario import LlmScenario
    >>> in_currency(1000.0, LlmScenario(currency="EUR", currency_per_usd=0.92)), in_currency(1000.0, LlmScenario())
    ('920.00 EUR', None)
    """
    if scenario.currency == "USD":
        return None
    return f"{format_usd(usd * scenario.currency_per_usd).replace('$', '')} {scenario.currency}"


def format_money(usd: float | None, scenario: MoneyFields) -> str:
    """An amount of US dollars as text, with the scenario's currency in brackets; a dash if unknown.

    >>> from sizing.scenario import LlmScenario
    >>> format_money(1671.7, LlmScenario(currency="EUR", currency_per_usd=0.92)), format_money(2.0, LlmScenario())
    ('$1,672 (1,538 EUR)', '$2.00')
    """
    other = None if usd is None else in_currency(usd, scenario)
    return format_usd(usd) if other is None else f"{format_usd(usd)} ({other})"


def rate_words(scenario: MoneyFields) -> str | None:
    """The rate behind amounts in the scenario's currency, for the caption of what shows them; None in US dollars.

    >>> from sizing.scenario import LlmScenario
    >>> rate_words(LlmScenario(currency="EUR", currency_per_usd=0.92))
    'at 0.92 EUR per USD as you entered it'
    """
    if scenario.currency == "USD":
        return None
    return f"at {scenario.currency_per_usd:.10g} {scenario.currency} per USD as you entered it"


def is_own(cost: Cost) -> bool:
    """Whether the price behind a cost is one that the user entered."""
    return cost.price_source == ENTERED


def price_words(cost: Cost) -> str:
    """Which price a cost rests on, with its date and its marks, in the middle of a sentence."""
    basis = cost.price_basis.replace("_", " ")
    if is_own(cost):
        return f"your own {basis} price"
    marks = f" ({', '.join(cost.price_marks)})" if cost.price_marks else ""
    return f"{basis} price of {cost.price_date}{marks}"


def price_source(cost: Cost) -> str:
    """Where the price behind a cost is from, with its date."""
    return cost.price_source if is_own(cost) else f"{cost.price_source} ({cost.price_date}, {cost.price_region})"
