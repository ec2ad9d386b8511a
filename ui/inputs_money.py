"""The section of what is the user's own: discount, prices, an API to compare with, currency, and energy."""

from __future__ import annotations

from typing import Any

import streamlit as st

from sizing.catalog_rows import Instance
from sizing.errors import InputError
from sizing.errors import shown as quoted
from sizing.fleet import BASIS_WORDS
from sizing.scenario import LlmScenario
from sizing.scenario_money import own_price, own_price_text
from sizing.scenario_words import PriceBasis
from sizing.units import format_usd
from ui.frame import plain
from ui.inputs import Inputs, words
from ui.state import PageState, adopt, widget_key

TITLE = "Prices and energy of your own"
NEW = ("own_price_instance", "own_price_basis", "own_price_usd")
"""Controls of a price to be added: no fields of the scenario until the button is pressed."""
MOST_USD_PER_HOUR = 1e6
SAID = "own_price_said"
TOKEN_PRICES = (
    "api_usd_per_million_input_tokens",
    "api_usd_per_million_output_tokens",
    "api_usd_per_million_cached_tokens",
)


def own_money(inputs: Inputs) -> None:
    """The closed section beside the answer; its title says what is the user's own at present."""
    scenario = inputs.scenario
    prices, api = len(scenario.own_prices), _api_prices(scenario)
    shown = {
        "discount_percent": f"{scenario.discount_percent:g} % off" if scenario.discount_percent else "list prices",
        "own_prices": f"{prices} own price{'s' if prices > 1 else ''}" if prices else "",
        "api": "own API price" if api else "",
        "currency": "USD" if scenario.currency == "USD" else f"{scenario.currency} beside USD",
        "energy": "own energy figures" if _has_energy(scenario) else "",
    }

    def draw() -> None:
        inputs.number("discount_percent", step=1.0)
        _prices(inputs)
        left, right = st.columns(2, gap="small")
        with left:
            inputs.text("currency", placeholder="USD")
            inputs.values["currency"] = inputs.values["currency"].strip().upper()
        with right:
            inputs.number("currency_per_usd", step=0.01)
        if scenario.currency != "USD":
            st.caption(
                "Beside dollars in the answer, the sections on the decision, the summary and the report; charts, the ranking "
                "and technical tables stay in dollars."
            )
        st.caption("To compare with an API that bills by use; left empty, prices of the catalog count.")
        if isinstance(scenario, LlmScenario):
            for name in TOKEN_PRICES:
                inputs.number(name, step=0.05, placeholder="of the catalog")
        inputs.number("api_usd_per_1k_requests", step=0.1)
        st.caption("For energy and CO2; left empty, both are estimated.")
        inputs.number("power_share_of_tdp", step=0.05, placeholder="estimated")
        inputs.number("grid_g_co2_per_kwh", step=10.0, placeholder="mean of the country")

    inputs.section(TITLE, shown, draw)


def _api_prices(scenario: Any) -> bool:
    names = ("api_usd_per_1k_requests", *(TOKEN_PRICES if isinstance(scenario, LlmScenario) else ()))
    return any(getattr(scenario, name) is not None for name in names)


def _has_energy(scenario: Any) -> bool:
    return scenario.power_share_of_tdp is not None or scenario.grid_g_co2_per_kwh is not None


def _prices(inputs: Inputs) -> None:
    """The prices there are, each taken away by its cross; and one more from three controls and a button."""
    state = inputs.state
    inputs.several(
        "own_prices",
        inputs.scenario.own_prices,
        names=lambda text: price_words(state, text),
        placeholder="none; add one below",
    )
    machines = state.catalog.instances
    key = widget_key(state.kind, "own_price_instance")
    if st.session_state.get(key) not in (None, *machines):
        st.session_state[key] = None
    basis: PriceBasis = st.session_state.get(widget_key(state.kind, "own_price_basis")) or "on_demand"
    st.selectbox(
        "Add a price of your own for",
        list(machines),
        key=key,
        index=None,
        placeholder="instance",
        format_func=lambda id: _listed(state, machines[id], basis),
        help="The present list price in your region is shown behind each.",
    )
    left, right = st.columns(2, gap="small")
    with left:
        st.selectbox("Terms", list(BASIS_WORDS), key=widget_key(state.kind, "own_price_basis"), format_func=words)
    with right, st.container(gap="xxsmall"):
        usd = st.number_input(
            "Your price (USD per hour)",
            key=widget_key(state.kind, "own_price_usd"),
            value=None,
            step=0.1,
            format="%g",
            placeholder="price",
        )
        if usd is not None and not 0 < usd < MOST_USD_PER_HOUR:
            allowed = f"a number above 0 and below {MOST_USD_PER_HOUR:,.0f}"
            st.markdown(f":red[{plain(f'Your price (USD per hour): {allowed} (not {quoted(usd)})')}]")
    said = st.session_state.get(widget_key(state.kind, SAID))
    if said:
        st.markdown(f":red[{plain(said)}]")
    st.button("Add this price", key=widget_key(state.kind, "own_price_add"), on_click=_add, args=(state.kind,))


def price_words(state: PageState, text: str) -> str:
    """One own price as people read it: the machine, terms and what it costs."""
    try:
        price = own_price(text)
    except ValueError:
        return text
    instance = state.catalog.instances.get(price.instance)
    name = price.instance if instance is None else f"{instance.instance_type} ({words(instance.provider)})"
    terms = "" if price.basis == "on_demand" else f", {BASIS_WORDS[price.basis]}"
    return f"{format_usd(price.usd_per_hour)}/h {name}{terms}"


def _listed(state: PageState, instance: Instance, basis: PriceBasis) -> str:
    price = instance.price(state.scenario.region, basis)
    listed = "no list price" if price is None else f"list {format_usd(price.usd_per_hour)}/h"
    return f"{instance.instance_type} ({words(instance.provider)}), {listed}"


def _add(kind: str) -> None:
    """Take the price of the three controls into the scenario (a button's callback); what is wrong is said beside them."""
    state: PageState = st.session_state[f"page:{kind}"]
    instance, basis, usd = (st.session_state.get(widget_key(kind, name)) for name in NEW)
    said = widget_key(kind, SAID)
    if instance is None:
        st.session_state[said] = "Choose the instance that the price is for."
        return
    if usd is None or not 0 < usd < MOST_USD_PER_HOUR:
        st.session_state[said] = (
            "Your price: a number above 0 is needed." if usd is None else None
        )  # others are marked there
        return
    terms: PriceBasis = basis or "on_demand"
    kept = [text for text in state.scenario.own_prices if own_price(text)[:2] != (instance, terms)]
    try:
        adopt(
            state,
            {"own_prices": [*kept, own_price_text(instance, terms, float(usd))]},
            keep=type(state.scenario).model_fields,
        )
    except InputError as error:
        st.session_state[said] = str(error)
        return
    st.session_state[said] = None
    for name in ("own_price_instance", "own_price_usd"):
        st.session_state[widget_key(kind, name)] = None
