"""The section of energy and CO2: one sentence, the figures with their intervals, and the parts with formula and source."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from sizing.catalog import Catalog
from sizing.energy import PUE_HIGH, PUE_LOW, Energy, Part, Range, energy, own_pue
from sizing.plan import Plan
from sizing.planner import plan as planned
from sizing.scenario import AnyScenario
from sizing.units import format_scaled, three_digits
from ui.frame import plain
from ui.results import folded, table
from ui.state import PageState

TITLE = "Energy and CO2"
KEY = "energy"


@lru_cache(maxsize=4)
def _energy(scenario: AnyScenario, catalog: Catalog) -> Energy | None:
    best = planned(scenario, catalog).recommended
    return None if best is None else energy(scenario, catalog, best)


def draw_energy(state: PageState, plan: Plan) -> None:
    """The closed section, where a deployment is recommended; computed once it is open."""
    if plan.recommended is not None:
        folded(TITLE, KEY, lambda: _draw(state.scenario, state.catalog, plan))


def _draw(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> None:
    best = plan.recommended
    assert best is not None
    found = _energy(scenario, catalog)
    if found is None:
        st.markdown(plain(f"The rated power of {best.accelerator_name} is not known, so its energy is not either."))
        return
    st.markdown(plain(sentence(found)))
    table(("Quantity", "Value", "Interval"), figures(found))
    rows = [
        [part.name, part.formula, part.with_numbers, format_scaled(part.watts, "W"), _between(part, "W"), part.source]
        for part in found.parts
    ]
    table(("Power of", "Formula", "With the numbers", "Power", "Interval", "Source"), rows, least_rem=52)
    for text in captions(scenario, found):
        st.caption(plain(text))


def _between(found: Range | Part, unit: str) -> str:
    return f"{format_scaled(found.low, unit)} to {format_scaled(found.high, unit)}"


def sentence(found: Energy) -> str:
    """Power, energy of a month and of a request, and their CO2."""
    tokens = found.wh_per_1k_output_tokens
    per_tokens = "" if tokens is None else f" ({format_scaled(tokens.value, 'Wh')} for 1,000 tokens of replies)"
    drawn = f"{format_scaled(found.watts.value, 'W')} ({_between(found.watts, 'W')})"
    if found.mean_watts != found.watts:
        mean = f"{format_scaled(found.mean_watts.value, 'W')} ({_between(found.mean_watts, 'W')})"
        drawn += f" in the busiest hour and {mean} on average over the week"
    return (
        f"These machines draw about {drawn}: "
        f"{three_digits(found.kwh_per_month.value)} kWh a month, {format_scaled(found.wh_per_request.value, 'Wh')} a request{per_tokens}. "
        f"With {found.grid.g_per_kwh:,.4g} g of CO2 per kWh ({found.grid.place}) that is "
        f"{three_digits(found.kg_co2_per_month.value)} kg of CO2 a month and {format_scaled(found.g_co2_per_request.value, 'g')} a request."
    )


def figures(found: Energy) -> list[list[str]]:
    """Rows of the table of figures."""
    rows = [["Power, with the building", format_scaled(found.watts.value, "W"), _between(found.watts, "W")]]
    if found.mean_watts != found.watts:
        rows[0][0] = "Power in the busiest hour, with the building"
        mean = found.mean_watts
        rows.append(["Mean power of the week", format_scaled(mean.value, "W"), _between(mean, "W")])
    rows += [
        ["Energy of a month (730 h)", *_plain(found.kwh_per_month, "kWh")],
        ["Energy of a request", format_scaled(found.wh_per_request.value, "Wh"), _between(found.wh_per_request, "Wh")],
    ]
    if found.wh_per_1k_output_tokens is not None:
        tokens = found.wh_per_1k_output_tokens
        rows.append(["Energy of 1,000 reply tokens", format_scaled(tokens.value, "Wh"), _between(tokens, "Wh")])
    grams = found.g_co2_per_request
    return [
        *rows,
        ["CO2 of a month", *_plain(found.kg_co2_per_month, "kg")],
        ["CO2 of a request", format_scaled(grams.value, "g"), _between(grams, "g")],
    ]


def _plain(found: Range, unit: str) -> tuple[str, str]:
    value, low, high = map(three_digits, (found.value, found.low, found.high))
    return f"{value} {unit}", f"{low} to {high} {unit}"


def captions(scenario: AnyScenario, found: Energy) -> list[str]:
    """The basis: the building, the grid, and what is left out."""
    entered = own_pue(scenario) is not None
    building = "as you entered it" if entered else f"of clouds, between {PUE_LOW:g} and {PUE_HIGH:g} by provider"
    return [
        f"Power = sum of the parts x {found.pue:g} for cooling and losses of the building (PUE, {building}). "
        "The interval adds up those of the parts; own measurements beat it: enter your share of the rated power.",
        f"CO2: {found.grid.g_per_kwh:,.4g} g per kWh, {found.grid.source}"
        + (
            f"; {found.grid.low:,.0f} to {found.grid.high:,.0f} by region and hour."
            if found.grid.high > found.grid.low
            else "."
        ),
        "Left out: making the machines, the network to your users, and clean power that a provider buys elsewhere.",
    ]
