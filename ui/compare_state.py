"""The comparison on screen, kept in step between the address bar, the controls and the session; and what is kept of a page.

As in `ui.state`: the address is read when it differs from what was last written here, and written when the comparison
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from sizing import catalog as catalogs
from sizing import link as links
from sizing.catalog import Catalog
from sizing.comparison_answers import answer_of
from sizing.comparison_slots import (
    Slot,
    changed,
    comparison_of,
    read_comparison,
    renamed,
    slot_of,
    slots_of_link,
)
from sizing.comparison_view import LETTERS, MAX_LABEL_CHARACTERS, Comparison
from sizing.errors import InputError
from sizing.scenario import AnyScenario, LlmScenario
from ui.address import Address, controls_of
from ui.inputs import LABELS, words
from ui.state import workable

KEY = "page:compare"
KEPT = "kept-for-comparison"
CONTROLS = "compare:"
EXAMPLE = (("as published", "native"), ("fp8 weights", "fp8"))
"""What the page shows when it is opened empty: the usual language model in two weight formats."""


@dataclass
class CompareState:
    """What the page knows of its comparison across reruns. `errors` are shown beside the control they name."""

    slots: tuple[Slot, ...] = ()
    example: bool = False
    address: Address = field(default_factory=Address)
    banners: list[str] = field(default_factory=list)
    errors: dict[str, InputError] = field(default_factory=dict)


def letter(index: int) -> str:
    """Letter of a scenario by its position.

    >>> letter(1)
    'B'
    """
    return LETTERS[index].upper()


def control_key(name: str, index: int = 0) -> str:
    """Session key of a control of one scenario."""
    return f"{CONTROLS}{name}:{index}"


def open_comparison() -> CompareState:
    """State of this page for this run: taken from the address when that is new, else from the session."""
    state: CompareState | None = st.session_state.get(KEY)
    if state is None:
        state = st.session_state[KEY] = CompareState()
    if state.address.is_new(_controls(state)):
        _read_address(state)
        state.address.taken()
    if not state.slots:
        present = catalogs.load().version
        state.slots = tuple(
            slot_of(LlmScenario(weight_format=form), catalog_version=present, label=label) for label, form in EXAMPLE
        )
        state.example = True
    return state


def _controls(state: CompareState) -> dict[str, Any]:
    return {"slots": state.slots, **controls_of(CONTROLS)}


def _read_address(state: CompareState) -> None:
    pairs = [(name, value) for name in st.query_params for value in st.query_params.get_all(name)]
    state.slots, state.example, state.errors = (), False, {}
    _forget_controls()
    try:
        size = sum(len(name) + len(value) + 2 for name, value in pairs)
        if size > links.MAX_LINK_CHARACTERS:
            allowed = f"a link of at most {links.MAX_LINK_CHARACTERS:,} characters"
            raise InputError("link", f"{size:,} characters", allowed)
        decoded = links.from_params(pairs, kind="compare")
    except InputError as error:
        state.banners = [str(error)]
        return
    state.banners = list(decoded.messages)
    assert isinstance(decoded.scenario, Comparison)
    state.slots = tuple(
        _workable(slot, letter(i), state.banners) for i, slot in enumerate(read_comparison(decoded.scenario))
    )


def _workable(slot: Slot, name: str, banners: list[str], *, strict: bool = False) -> Slot:
    """The slot as the page can answer it: a field that its plan refuses has its usual value. Adds a banner for each thing.

    With `strict` such a field is raised as the InputError it is: what somebody adds by hand is not exchanged for another.
    """
    banners += [f"{name}: {said}" for said in slot.said]
    if slot.scenario is not None:
        refused: list[InputError] = []
        try:
            scenario = workable(slot.scenario, slot.loaded, refused)
            slot = slot_of(scenario, catalog_version=slot.catalog, label=slot.label)
        except InputError as error:
            slot = Slot(text=slot.text, unread=str(error))
        if strict and refused:
            raise refused[0]
        banners += [f"{name}: {error}" for error in refused]
    if slot.unread is not None:
        banners.append(f"{name} could not be read, so its place is empty: {slot.unread}")
    return slot


def write_comparison(state: CompareState) -> None:
    """Put the comparison on screen into the address bar, if it is not there already."""
    state.address.write(links.to_params(comparison_of(state.slots), catalog_version=""), _controls(state))


def params_of(slots: Sequence[Slot]) -> dict[str, str]:
    """Query parameters of a comparison. Raises InputError where it does not fit into a link."""
    return links.to_params(comparison_of(slots), catalog_version="")


def _forget_controls() -> None:
    """Forget what the page's controls show, so that they start from the comparison as it is now."""
    for key in [key for key in st.session_state if str(key).startswith(CONTROLS)]:
        del st.session_state[key]
    # Said outright: a box that is only forgotten still has its text in the browser, which would send it once more.
    st.session_state[control_key("link")] = ""


def _change(place: str, make: Callable[[tuple[Slot, ...]], Sequence[Slot]]) -> None:
    """Replace the slots, or keep them and say at `place` why that cannot be."""
    state: CompareState = st.session_state[KEY]
    state.errors = {}
    try:
        slots = tuple(make(state.slots))
        comparison_of(slots)
    except InputError as error:
        state.errors[place] = error
        return
    state.slots, state.example, state.banners = slots, False, []
    _forget_controls()


def remove(index: int) -> None:
    """Take a scenario out (a button's callback)."""
    _change(control_key("edit", index), lambda slots: slots[:index] + slots[index + 1 :])


def make_first(index: int) -> None:
    """Make a scenario the one the others are measured against (a button's callback)."""
    _change(control_key("edit", index), lambda slots: (slots[index], *slots[:index], *slots[index + 1 :]))


def rename(index: int) -> None:
    """Take the label that was typed (a control's callback)."""
    key = control_key("label", index)
    label = str(st.session_state.get(key) or "")
    _change(key, lambda slots: [renamed(slot, label) if i == index else slot for i, slot in enumerate(slots)])


def use_present_catalog_for(index: int) -> None:
    """Answer a scenario from the present catalog from now on (a button's callback)."""

    def make(slots: tuple[Slot, ...]) -> list[Slot]:
        old = slots[index]
        assert old.scenario is not None
        present = catalogs.load()
        answer_of(old.scenario, present)
        new = slot_of(old.scenario, catalog_version=present.version, label=old.label)
        return [new if i == index else slot for i, slot in enumerate(slots)]

    _change(control_key("catalog", index), make)


def duplicate(index: int, name: str, value_key: str) -> None:
    """Add a copy of a scenario with the field and value that were picked (a button's callback)."""

    def make(slots: tuple[Slot, ...]) -> list[Slot]:
        base = slots[index]
        assert base.scenario is not None
        value = field_value(base.scenario, name, st.session_state.get(value_key))
        scenario = changed(base.scenario, name, value)
        answer_of(scenario, base.loaded)
        label = f"{LABELS[name]}: {said_value(value)}"
        short = label if len(label) <= MAX_LABEL_CHARACTERS else label[: MAX_LABEL_CHARACTERS - 1] + "…"
        return [*slots, slot_of(scenario, catalog_version=base.catalog, label=short)]

    _change(control_key("value", index), make)


def field_value(scenario: AnyScenario, name: str, shown: Any) -> Any:
    """What a control's value is as a field: a list is a tuple, an emptied text what the field has by default."""
    if isinstance(shown, list):
        return tuple(shown)
    if shown == "":
        return type(scenario).model_fields[name].get_default()
    if isinstance(getattr(scenario, name), tuple) and isinstance(shown, str):
        return tuple(part for part in shown.replace(",", " ").split() if part)
    return shown


def said_value(value: Any) -> str:
    """A field's value as people read it."""
    if isinstance(value, tuple):
        return ", ".join(words(part) for part in value) or "any"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return f"{value:,.10g}"
    return "none" if value is None else words(value)


def add_link() -> None:
    """Add the scenario of the link that was pasted, or all of a comparison's (a control's callback)."""
    key = control_key("link")
    text = str(st.session_state.get(key) or "").strip()
    if not text:
        return

    def make(slots: tuple[Slot, ...]) -> list[Slot]:
        banners: list[str] = []
        first = len(slots)
        found = [
            _workable(slot, letter(min(first + i, len(LETTERS) - 1)), banners, strict=True)
            for i, slot in enumerate(slots_of_link(text))
        ]
        made = [*slots, *found]
        comparison_of(made)
        added.extend(banners)
        return made

    added: list[str] = []
    _change(key, make)
    state: CompareState = st.session_state[KEY]
    if not state.errors:
        state.banners = added


@dataclass(frozen=True)
class Kept:
    """A scenario kept on a page to be compared with, and what it costs [USD a month]; None where nothing serves it."""

    slot: Slot
    title: str
    usd_per_month: float | None


def kept() -> Kept | None:
    """What is kept in this session."""
    found = st.session_state.get(KEPT)
    return found if isinstance(found, Kept) else None


def keep(scenario: AnyScenario, catalog: Catalog) -> None:
    """Keep a scenario as A of a comparison to come (a button's callback)."""
    answer = answer_of(scenario, catalog)
    usd = None if answer.best is None else answer.best.cost.usd_per_month
    slot = slot_of(scenario, catalog_version=catalog.version)
    st.session_state[KEPT] = Kept(slot, scenario.name or answer.subject, usd)


def drop() -> None:
    """Keep nothing any more (a button's callback)."""
    st.session_state.pop(KEPT, None)
