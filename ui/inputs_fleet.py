"""Controls of the load over the week, the terms of purchase and servers of one's own: one section of every sizing page."""

from __future__ import annotations

import streamlit as st

from sizing.cost_over_time.curve import parsed
from sizing.errors import InputError
from sizing.errors import shown as quoted
from ui.frame import plain
from ui.inputs import LABELS, Inputs, words
from ui.state import widget_key

CUSTOM = "custom"


def load_and_terms(inputs: Inputs) -> None:
    """How the load runs, how machines follow it, and on which terms they are paid."""
    scenario = inputs.scenario
    owned = scenario.owned_usd_per_server
    shown = {
        "load_shape": words(scenario.load_shape).lower(),
        "scale_with_load": "" if scenario.scale_with_load else "machines do not follow",
        "terms": ", ".join(words(t).lower() for t in scenario.terms) or "on demand",
        "owned": f"own servers at ${owned:,.0f}" if owned else "",
    }
    inputs.section("Load over time and terms", shown, lambda: _draw(inputs))


def _draw(inputs: Inputs) -> None:
    st.caption("The load above is that of the busiest hour. Here: how the other hours compare with it.")
    inputs.choice("load_shape")
    kind = inputs.state.kind
    if st.session_state.get(widget_key(kind, "load_shape")) == CUSTOM:
        _table(inputs)
    inputs.flag("scale_with_load")
    inputs.number("min_replicas")
    inputs.number("headroom_percent", step=5.0)
    inputs.number("start_minutes", step=1.0, placeholder="estimated")
    inputs.several("terms")
    inputs.number("three_year_most_percent", step=5.0)
    inputs.number("spot_most_percent", step=5.0)
    inputs.number("spot_interruptions_per_month", step=0.1, placeholder="as the catalog knows")
    inputs.number("owned_usd_per_server", step=1000.0, placeholder="not considered")
    inputs.number("owned_years", step=1.0)
    inputs.number("owned_watts_per_server", step=100.0, placeholder="from its parts")
    inputs.number("colocation_usd_per_server_month", step=50.0)
    inputs.number("people_usd_per_year", step=1000.0)
    inputs.number("usd_per_kwh", step=0.01)
    inputs.number("pue", step=0.05)


def _table(inputs: Inputs) -> None:
    """The table as text: 24 or 168 numbers, or rows pasted from a sheet; kept as shares of the busiest hour."""
    key, pasted = widget_key(inputs.state.kind, "load_table"), f"{inputs.state.kind}:load-pasted"
    now = inputs.state.scenario.load_table
    seen = f"{inputs.state.kind}:load-shown"
    if st.session_state.get(seen) != now or pasted not in st.session_state:
        st.session_state[pasted] = " ".join(f"{v:g}" for v in now)
        st.session_state[seen] = now
    place = st.container(gap="xxsmall")
    text = place.text_area(
        "Load of each hour",
        key=pasted,
        placeholder="24 numbers (a day) or 168 (a week from Monday), in any unit; or two columns pasted from a sheet",
        help="Requests/s, users or percent: what counts is each hour over the busiest one.",
    )
    values = now
    if text.strip():
        try:
            values = parsed(text)
        except InputError as error:
            at = error.field.removeprefix("load_table")
            kept = (
                "the last table that can be used stays"
                if now
                else "no table is used yet, so the load is taken as constant"
            )
            said = f"{LABELS['load_table']}{at}: {error.allowed} (not {quoted(error.value)}); {kept}"
            place.markdown(f":red[{plain(said)}]")
    else:
        values = ()
    st.session_state[seen] = values
    st.session_state[key] = list(values)
    inputs.values["load_table"] = values
