"""A statistical model of the reader's own: its file uploaded, or the summary of one pasted.

An upload or a paste is applied once, when it changes; what was read travels in the scenario as a summary, so a link needs no
upload and the file is kept nowhere. Text of a file is shown as it stands, never as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import streamlit as st

from sizing.errors import InputError
from sizing.statistical.files.read import read_model
from sizing.statistical.files.trees import EVEN_LEAVES
from sizing.statistical.own import ModelSummary, natural_runtime, parse_summary, size_fields, steps_words
from sizing.units import format_bytes
from ui.frame import plain
from ui.inputs import Inputs
from ui.results import facts
from ui.state import PageState, adopt, set_fields, widget_key

KIND = "statistical"
FIELD = "custom_model"
FILE, TEXT, READ = (widget_key(KIND, name) for name in ("own_file", "own_text", "own_read"))
TITLE = "Your model file"
MOST_UPLOAD_MB = 400
FORMATS = {
    "xgboost-json": "XGBoost JSON",
    "xgboost-ubj": "XGBoost UBJ",
    "lightgbm-text": "LightGBM text",
    "onnx": "ONNX",
    "skops": "skops",
}


@dataclass(frozen=True)
class Read:
    """What was read last: what was done and assumed, the summary, or the sentence that says why it cannot be used."""

    problem: str | None = None
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    summary: str | None = None


def own_in_use(inputs: Inputs) -> ModelSummary | None:
    """The summary of the scenario's own model, if it has one, and its name and the way back in place of the size controls."""
    present = st.session_state.get(widget_key(KIND, FIELD))
    inputs.values[FIELD] = present
    summary = _summary(present)
    if summary is None:
        return None
    # Whatever a link has in the fields, the page's scenario says the same in them as in the summary.
    inputs.values |= size_fields(summary)
    family = inputs.state.catalog.statistical_families.get(summary.family)
    st.markdown(f"**{plain(summary.name or 'Your model')}**, {plain(family.name if family else summary.family)}")
    st.button(
        "Type sizes instead",
        on_click=set_fields,
        args=(KIND, {FIELD: None}),
        help="Back to family and sizes as fields, which begin with those of the file.",
    )
    return summary


def own_statistical(inputs: Inputs) -> None:
    """The closed section for a model file of one's own."""
    present = st.session_state.get(widget_key(KIND, FIELD))
    summary = _summary(present)
    shown = {FIELD: "none" if summary is None else summary.name or "in use"}

    def draw() -> None:
        st.file_uploader(
            "Model file",
            key=FILE,
            on_change=_take_file,
            max_upload_size=MOST_UPLOAD_MB,
            help="XGBoost JSON or UBJ, LightGBM text, ONNX, or skops for scikit-learn. It is read as data, never run, and kept "
            "nowhere.",
        )
        st.text_area(
            "Or paste its summary",
            key=TEXT,
            on_change=_take_text,
            height=100,
            placeholder="what python -m sizing inspect model.json --summary prints",
            help="For who may not upload: the command runs where the file is, and its summary holds counts, no weights.",
        )
        read: Read = st.session_state.get(READ, Read())
        if read.problem is not None:
            st.markdown(f":red[{plain(read.problem)}]")
        if summary is not None and present is not None:
            current = read.summary == present
            for sentence in (*read.done, *(f"{note}." for note in read.notes)) if current else ():
                st.caption(plain(sentence))
            facts(_rows(present))

    inputs.section(TITLE, shown, draw)


def _summary(text: Any) -> ModelSummary | None:
    try:
        return parse_summary(text) if isinstance(text, str) and text else None
    except InputError:
        return None  # what a link brought and the plan refuses is said in the page's banner


def _take_text() -> None:
    text = st.session_state.get(TEXT, "").strip()
    if not text:
        st.session_state[READ] = Read()
        return
    try:
        st.session_state[READ] = _taken(parse_summary(text), ())
    except InputError as error:
        st.session_state[READ] = Read(problem=str(error))


def _take_file() -> None:
    """Read the file and change the scenario by it; if that cannot be, say so and change nothing."""
    file = st.session_state.get(FILE)
    if file is None:
        st.session_state[READ] = Read()
        return
    try:
        found = read_model(file, file.size, file.name)
        st.session_state[READ] = _taken(found.summary(file.name.rpartition(".")[0] or file.name), found.notes)
    except InputError as error:
        st.session_state[READ] = Read(problem=str(error))


def _taken(summary: ModelSummary, notes: tuple[str, ...]) -> Read:
    state: PageState = st.session_state[f"page:{KIND}"]
    family = state.catalog.statistical_family(summary.family)
    runtime = natural_runtime(summary.format, family, state.scenario.runtime)
    text = parse_summary(summary.text()).text()
    changes = {**size_fields(summary), FIELD: text, "runtime": runtime}
    refused = adopt(state, changes, keep=changes)
    chosen = family.runtime(runtime)
    done = [
        f"This answer is of the file that was read, run by {chosen.name if chosen else runtime}, which loads it as it is."
    ]
    done += [f"Set to its usual value: {error}" for error in refused]
    if summary.trees and not summary.by_cover:
        done.append(f"{EVEN_LEAVES}.")
    return Read(done=tuple(done), notes=notes, summary=text)


@lru_cache(maxsize=16)
def _rows(text: str) -> tuple[tuple[str, str], ...]:
    found = parse_summary(text)
    rows = [
        ("file", f"{FORMATS[found.format]}, {format_bytes(found.file_bytes)}"),
        ("library", found.library or "unknown"),
        ("model", found.model or found.family),
        ("columns of a row", f"{found.features:,}"),
    ]
    if found.steps:
        rows.append(("steps before the model", steps_words(found.steps)))
    if found.columns != found.features:
        rows.append(("columns that reach the model", f"{found.columns:,}"))
    rows.append(("classes or targets", f"{found.outputs:,}"))
    if found.trees:
        visits = found.visited_nodes_per_row
        rows += [
            ("trees", f"{found.trees:,}"),
            ("nodes", f"{found.nodes:,}, of which leaves {found.leaves:,}"),
            ("deepest tree", f"{found.max_depth:,} levels"),
            ("nodes visited by a row", f"{visits:,.1f} ({visits / found.trees:,.2f} a tree)"),
        ]
    if found.vectors:
        rows.append(("centres" if found.family == "k-means" else "stored vectors", f"{found.vectors:,}"))
    if found.hidden_layers:
        rows.append(("hidden layers", " x ".join(map(str, found.hidden_layers))))
    if found.parameters:
        rows.append(("parameters", f"{found.parameters:,}"))
    return tuple(rows)
