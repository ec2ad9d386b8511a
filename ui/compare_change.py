"""Duplicate and change one thing: a field of a scenario, labelled as on its page, and a new value for it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from sizing.comparison_slots import Slot
from sizing.errors import InputError
from sizing.errors import shown as quoted
from sizing.scenario import AnyScenario, LlmScenario, choices
from ui.compare_state import CompareState, control_key, duplicate, letter
from ui.frame import plain
from ui.inputs import LABELS, words

FIRST = {"llm": "weight_format", "deep_learning": "precision", "statistical": "runtime"}
"""The field that is offered first."""
NOT_CHANGED = ("kind", "name", "notes", "custom_", "measured_", "checkpoint_bytes")
"""Starts of fields that describe something uploaded or only name the scenario: their own page changes them."""


def fields_of(scenario: AnyScenario) -> list[str]:
    """Fields that can be changed here, the one offered first on top, then in the order of the labels."""
    names = [n for n in LABELS if n in type(scenario).model_fields and not n.startswith(NOT_CHANGED)]
    return sorted(names, key=lambda name: name != FIRST[scenario.kind])


def draw_change(state: CompareState, index: int, new: str) -> None:
    """The two controls and the button that adds the copy as scenario `new`; the error of a value beside it."""
    slot = state.slots[index]
    assert slot.scenario is not None
    fields, key = fields_of(slot.scenario), control_key("field", index)
    if st.session_state.get(key) not in fields:
        st.session_state[key] = fields[0]
    name = st.selectbox("Change", fields, key=key, format_func=lambda n: LABELS[n])
    value_key = f"{control_key('value', index)}:{name}"
    with st.container(gap="xxsmall"):
        _value(slot, str(name), value_key)
        error = state.errors.get(control_key("value", index))
        if error is not None:
            st.markdown(f":red[{plain(error_words(error))}]")
    st.button(
        f"Add as {new}",
        key=control_key("duplicate", index),
        on_click=duplicate,
        args=(index, name, value_key),
        help=f"Scenario {letter(index)} with this one change, as a further scenario.",
    )


def error_words(error: InputError) -> str:
    """An error in one sentence with the field's label."""
    return f"{LABELS.get(error.field, error.field)}: {error.allowed} (not {quoted(error.value)})"


def _value(slot: Slot, name: str, key: str) -> None:
    """The control of a new value; it starts from the present one."""
    scenario = slot.scenario
    assert scenario is not None
    info = type(scenario).model_fields[name]
    annotation, present = str(info.annotation), getattr(scenario, name)
    several = isinstance(present, tuple)
    known = _known(slot, name)
    if several and (known or choices(type(scenario), name)):
        start: Any = list(present)
    elif several:
        start = ", ".join(map(str, present))
    else:
        start = "" if present is None and not ("int" in annotation or "float" in annotation or known) else present
    st.session_state.setdefault(key, start)
    listed = list(known or choices(type(scenario), name))
    hint = info.description
    if several and listed:
        st.multiselect("New value", listed, key=key, format_func=lambda v: known.get(v, words(v)), help=hint)
    elif listed:
        empty = "None" in annotation
        options = [None, *listed] if empty else listed
        if present not in options:
            options.append(present)
        st.selectbox(
            "New value",
            options,
            key=key,
            format_func=lambda v: "none" if v is None else known.get(v, words(v)),
            help=hint,
        )
    elif "bool" in annotation:
        st.selectbox("New value", [False, True], key=key, format_func=lambda v: "on" if v else "off", help=hint)
    elif not several and ("int" in annotation or "float" in annotation):
        whole = "int" in annotation
        present, kind = st.session_state[key], int if whole else float
        if isinstance(present, (int, float)) and type(present) is not kind:
            st.session_state[key] = kind(present)
        step = 1 if whole else 1.0
        st.number_input(
            "New value", key=key, value=None, step=step, format=None if whole else "%g", help=hint, placeholder="none"
        )
    else:
        st.text_input("New value", key=key, help=hint)


def _known(slot: Slot, name: str) -> dict[Any, str]:
    """Names by id of what a field picks from the catalog; empty for other fields."""
    scenario, catalog = slot.scenario, slot.loaded
    if name == "model":
        if isinstance(scenario, LlmScenario):
            return {row.id: row.name for row in catalog.llm_models.values()}
        return {row.id: row.name for row in catalog.deep_learning_models.values() if not row.stage_only}
    if name == "draft_model":
        return {"mtp": words("mtp"), **{row.id: row.name for row in catalog.llm_models.values()}}
    if name == "family":
        return {row.id: row.name for row in catalog.statistical_families.values()}
    if name == "accelerators":
        return {row.id: row.name for row in catalog.accelerators.values()}
    if name == "instances":
        return {row.id: f"{row.instance_type} ({words(row.provider)})" for row in catalog.instances.values()}
    return {}
