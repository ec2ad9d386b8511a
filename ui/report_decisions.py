"""The report's sections on the decision: how many with which interval, cost over a year, an API instead, energy."""

from __future__ import annotations

from sizing import self_host
from sizing.catalog import Catalog
from sizing.cost_over_time import text as over_time
from sizing.cost_over_time.total import MONTHS, by_year, cost_over_time
from sizing.energy import energy
from sizing.money import format_money
from sizing.plan import Plan
from sizing.scenario import AnyScenario
from sizing.why import answer_interval
from ui import energy as energy_words
from ui import self_host as api_words
from ui.report_sections import Paragraph, Part, Section, Table


def needed(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section | None:
    """The count and the cost as intervals."""
    found = answer_interval(scenario, catalog, plan)
    if found is None:
        return None
    return Section(
        "needed",
        "How many, and how sure",
        [Paragraph(f"Needed: {found.words}."), Paragraph(f"At the price of the plan: {found.cost_words(scenario)}.")],
    )


def over_a_year(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section | None:
    """The load over the week and what each way to pay costs."""
    cost, best = cost_over_time(scenario, catalog, plan), plan.recommended
    if cost is None or best is None:
        return None
    rows = [
        (name, format_money(usd, scenario), format_money(usd * MONTHS, scenario)) for name, usd in over_time.ways(cost)
    ]
    others = over_time.cheaper_machines(scenario, by_year(scenario, catalog, plan), best, cost)
    parts: list[Part] = [
        Paragraph(over_time.sentence(scenario, cost, best)),
        *([] if others is None else [Paragraph(others)]),
        Table(("Way to pay", "A month", "A year"), rows, "Cost over time", frozenset((1, 2))),
    ]
    if cost.mix is not None:
        by_term = [
            (over_time.TERM_WORDS[term], format_money(usd, scenario), format_money(usd * MONTHS, scenario))
            for term, usd in cost.mix.usd_per_month_by_term.items()
        ]
        parts.append(Table(("Part of the best mix", "A month", "A year"), by_term, "The best mix", frozenset((1, 2))))
    return Section("over-a-year", "Cost over a day and a year", parts)


def api(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section | None:
    """Self-hosting against an API that serves the same model, where a price is known."""
    found = None if plan.recommended is None else self_host.compare(scenario, catalog)
    if found is None or not found.offers:
        return None
    return Section("api", "Self-host or an API", [Paragraph(api_words.sentence(scenario, found))])


def power(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section | None:
    """Energy and CO2 of the recommended deployment."""
    found = None if plan.recommended is None else energy(scenario, catalog, plan.recommended)
    return None if found is None else Section("energy", "Energy and CO2", [Paragraph(energy_words.sentence(found))])
