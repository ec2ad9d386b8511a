"""The scenario of a page, kept in step between the address bar, the controls and the session.

The address is read when it differs from what was last written here, and written when the scenario changed; so a deep
link, the Back button, a reload and a page switch all restore every control.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from pydantic import ValidationError

from sizing import catalog as catalogs
from sizing import link as links
from sizing.catalog import Catalog
from sizing.catalog_view import CatalogView
from sizing.errors import InputError
from sizing.plan import Plan
from sizing.planner import plan
from sizing.scenario import problems


@dataclass
class PageState:
    """What a page knows of its scenario across reruns; one for each kind, in the session."""

    kind: str
    scenario: Any
    catalog_version: str
    written: dict[str, str] = field(default_factory=dict)
    banners: list[str] = field(default_factory=list)
    errors: dict[str, InputError] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)

    @property
    def catalog(self) -> Catalog:
        """The catalog the page answers from: the link's own version, or the present one."""
        return catalogs.load(self.catalog_version)


def widget_key(kind: str, name: str) -> str:
    """Session key of the control of one field."""
    return f"{kind}:{name}"


def open_page(kind: str) -> PageState:
    """State of this page for this run: taken from the address when that is new, else from the session."""
    key = f"page:{kind}"
    state: PageState | None = st.session_state.get(key)
    if state is None:
        state = PageState(kind=kind, scenario=links.LINK_TYPES[kind](), catalog_version=catalogs.load().version)
        st.session_state[key] = state
    params = st.query_params.to_dict()
    if params and params != state.written:
        _read_address(state)
    else:
        # An address without parameters is a page come back to: what the session still holds of its controls may be old.
        _seed_controls(state, keep=state.drawn if params else set())
    return state


def _read_address(state: PageState) -> None:
    pairs = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    state.banners, state.errors = [], {}
    present = catalogs.load().version
    try:
        size = sum(len(name) + len(value) + 2 for name, value in pairs)
        if size > links.MAX_LINK_CHARACTERS:
            allowed = f"a link of at most {links.MAX_LINK_CHARACTERS:,} characters"
            raise InputError("link", f"{size:,} characters", allowed)
        decoded = links.from_params(pairs, kind=state.kind)
    except InputError as error:
        state.banners = [str(error)]
        state.scenario = links.LINK_TYPES[state.kind]()
        state.catalog_version = present
    else:
        state.banners = list(decoded.messages)
        state.catalog_version = present
        if decoded.catalog not in (None, present):
            _use_catalog_of_link(state, str(decoded.catalog), present)
        state.scenario = _workable(state, decoded.scenario)
    _seed_controls(state)


def _workable(state: PageState, scenario: Any) -> Any:
    """The scenario with each field that the catalog or the model refuses set to its usual value, and said in a banner."""
    if isinstance(scenario, CatalogView):
        return scenario
    for _ in type(scenario).model_fields:
        try:
            plan(scenario, state.catalog)
            return scenario
        except InputError as error:
            state.banners.append(str(error))
            usual = type(scenario).model_fields.get(error.field)
            if usual is None:
                break
            scenario = scenario.model_copy(update={error.field: usual.get_default()})
    return links.LINK_TYPES[state.kind]()


def _use_catalog_of_link(state: PageState, version: str, present: str) -> None:
    try:
        catalogs.load(version)
        state.catalog_version = version
    except InputError as error:
        state.banners.append(f"{error} The figures below are of {present}.")


def use_present_catalog(kind: str) -> None:
    """Answer from the present catalog from now on (a button's callback)."""
    state: PageState = st.session_state[f"page:{kind}"]
    state.catalog_version = catalogs.load().version


def set_fields(kind: str, changes: dict[str, Any]) -> None:
    """Change fields of the scenario and show it in the controls (a button's callback)."""
    state: PageState = st.session_state[f"page:{kind}"]
    state.scenario = type(state.scenario).model_validate({**state.scenario.model_dump(), **changes})
    state.errors = {}
    _seed_controls(state)


def _seed_controls(state: PageState, *, keep: Collection[str] = ()) -> None:
    """Show the scenario in the controls; those in `keep`, drawn in the last run, have their value from the user."""
    for name in type(state.scenario).model_fields:
        key = widget_key(state.kind, name)
        if name in keep and key in st.session_state:
            continue
        value = getattr(state.scenario, name)
        if isinstance(value, tuple):
            value = ", ".join(str(v) for v in value) if name == "hidden_layers" else list(value)
        st.session_state[key] = value
    if isinstance(state.scenario, CatalogView):
        return
    traffic = widget_key(state.kind, "traffic")
    if not (keep and traffic in st.session_state):
        st.session_state[traffic] = "requests_per_s" if state.scenario.requests_per_s is not None else "concurrency"


def typed(state: PageState) -> Any:
    """Scenario that the controls spell at the start of a run, before they are drawn; the last good one if they spell none."""
    keys = {name: widget_key(state.kind, name) for name in type(state.scenario).model_fields}
    values = {name: st.session_state[key] for name, key in keys.items() if key in st.session_state}
    open_loop = st.session_state[widget_key(state.kind, "traffic")] == "requests_per_s"
    values["concurrency" if open_loop else "requests_per_s"] = None
    if "hidden_layers" in values:
        values["hidden_layers"] = whole_numbers(values["hidden_layers"])
    try:
        return type(state.scenario).model_validate({**state.scenario.model_dump(), **values})
    except ValidationError:
        return state.scenario


def whole_numbers(text: str) -> tuple[str, ...]:
    """The parts of a typed list, between commas or spaces."""
    return tuple(part for part in re.split(r"[,\s]+", text.strip()) if part)


def settle(state: PageState, values: dict[str, Any]) -> Plan:
    """Plan of the controls' values if they make one; else each field's error, and the plan of the last good scenario."""
    state.errors, state.drawn = {}, set(values)
    try:
        scenario = type(state.scenario).model_validate({**state.scenario.model_dump(), **values})
        found = plan(scenario, state.catalog)
    except ValidationError as error:
        state.errors = {problem.field: problem for problem in problems(error)}
    except InputError as error:
        state.errors = {error.field: error}
    else:
        state.scenario = scenario
        return found
    return plan(state.scenario, state.catalog)


def settle_view(state: PageState, values: dict[str, Any]) -> CatalogView:
    """View of the catalogs that the controls ask for."""
    state.scenario, state.drawn = CatalogView.model_validate(values), set(values)
    return state.scenario


def write_address(state: PageState) -> None:
    """Put the scenario of the answer on screen into the address bar, if it is not there already."""
    try:
        params = links.to_params(state.scenario, catalog_version=state.catalog_version)
        links.to_query(state.scenario, catalog_version=state.catalog_version)
    except InputError as error:
        state.banners = [f"{error} The address bar keeps the last link that fits."]
        return
    if st.query_params.to_dict() != params:
        st.query_params.from_dict(params)
    state.written = params
