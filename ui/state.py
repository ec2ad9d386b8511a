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
from sizing.errors import InputError
from sizing.plan import Plan
from sizing.planner import plan
from sizing.scenario import problems
from sizing.scenario_base import ScenarioBase
from ui.address import Address, controls_of

TOGETHER = {
    "model": ("model", "custom_config", "checkpoint_bytes", "custom_network"),
    "custom_config": ("model", "custom_config"),
    "custom_network": ("model", "custom_network"),
}
"""Fields that name the model between them: refused together, set to their usual values together."""


@dataclass
class PageState:
    """What a page knows of its scenario across reruns; one for each kind, in the session."""

    kind: str
    scenario: Any
    catalog_version: str
    address: Address = field(default_factory=Address)
    banners: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # what a button could not do or did beside; shown once
    errors: dict[str, InputError] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)

    loaded: Catalog | None = None

    @property
    def catalog(self) -> Catalog:
        """The catalog the page answers from: the link's own version, or the present one."""
        if self.loaded is None or self.loaded.version != self.catalog_version:
            self.loaded = catalogs.load(self.catalog_version)
        return self.loaded


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
    if state.address.is_new(controls_of(f"{kind}:")):
        _read_address(state)
        state.address.taken()
    else:
        # An address without parameters is a page come back to: what the session still holds of its controls may be old.
        _seed_controls(state, keep=state.drawn if st.query_params else set())
    return state


def _read_address(state: PageState) -> None:
    pairs = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    state.banners, state.said, state.errors = [], [], {}
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
    if not isinstance(scenario, ScenarioBase):
        return scenario
    refused: list[InputError] = []
    try:
        scenario = workable(scenario, state.catalog, refused)
    except InputError as error:
        scenario, refused = links.LINK_TYPES[state.kind](), [*refused, error]
    state.banners += map(str, refused)
    return scenario


def workable(scenario: Any, catalog: Catalog, refused: list[InputError], *, keep: Collection[str] = ()) -> Any:
    """The scenario, each field that its plan refuses set to its usual value; the errors are added to `refused`.

    Raises InputError for a field of `keep`, for one that no usual value mends, and for what is no field of a scenario.
    """
    fields = type(scenario).model_fields
    while True:
        try:
            plan(scenario, catalog)
            return scenario
        except InputError as error:
            name = error.field if error.field in fields else "custom_config"
            names = [n for n in TOGETHER.get(name, (name,)) if n in fields]
            usual = {n: fields[n].get_default() for n in names if n not in keep}
            if name in keep or not usual or all(getattr(scenario, n) == value for n, value in usual.items()):
                raise
            refused.append(error)
            scenario = scenario.model_copy(update=usual)


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
    """Change fields of the scenario and show it in the controls (a button's callback); what cannot work is said."""
    state: PageState = st.session_state[f"page:{kind}"]
    try:
        adopt(state, changes, keep=type(state.scenario).model_fields)
    except InputError as error:
        state.said = [f"That change cannot be made. {error}"]


def adopt(state: PageState, changes: dict[str, Any], *, keep: Collection[str]) -> list[InputError]:
    """Take changed fields into the scenario and the controls; fields outside `keep` that do not go with them get their
    usual values. The errors of those. Raises InputError where the rest cannot work either; then nothing has changed."""
    try:
        changed = type(state.scenario).model_validate({**state.scenario.model_dump(), **changes})
    except ValidationError as error:
        raise problems(error)[0] from None
    refused: list[InputError] = []
    state.scenario = workable(changed, state.catalog, refused, keep=keep)
    state.errors = {}
    _seed_controls(state)
    return refused


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
    if not isinstance(state.scenario, ScenarioBase):
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
    if values.get("engine_version") == "":
        values["engine_version"] = None
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


def settle_view(state: PageState, values: dict[str, Any]) -> Any:
    """View of the catalogs or of the measured runs that the controls ask for."""
    state.scenario, state.drawn = links.LINK_TYPES[state.kind].model_validate(values), set(values)
    return state.scenario


def write_address(state: PageState, *, view: str | None = None) -> None:
    """Put the scenario of the answer on screen into the address bar, if it is not there already, with the view it is in."""
    params = links.to_params(state.scenario, catalog_version=state.catalog_version, view=view)
    state.address.write(params, controls_of(f"{state.kind}:"))


def unlinkable(state: PageState) -> str | None:
    """Why the scenario on screen does not fit into a link, or None if it does."""
    try:
        links.to_query(state.scenario, catalog_version=state.catalog_version)
    except InputError as error:
        return str(error)
    return None
