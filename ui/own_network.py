"""A network of the reader's own on the deep learning page: an ONNX file uploaded, or the summary of one pasted.

An upload or a paste is applied once, when it or a dimension changes; what was read travels in the scenario as a summary, so a
link needs no upload and the file is kept nowhere. Text of a file is shown as it stands, never as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import streamlit as st

from sizing.deep_learning.own import CUSTOM, parse_summary
from sizing.errors import InputError
from sizing.errors import shown as quoted
from sizing.inspect import MOST_DIM, Inspection, inspect_file, summary_text
from sizing.onnx.wire import is_onnx
from sizing.scenario import DeepLearningScenario
from sizing.units import format_bytes
from ui.frame import plain
from ui.inputs import Inputs
from ui.results import facts
from ui.state import PageState, adopt, set_fields, widget_key

KIND = "deep_learning"
FILE, TEXT, READ, BEFORE = (widget_key(KIND, name) for name in ("own_file", "own_text", "own_read", "catalog_model"))
TITLE = "Your own model (ONNX)"
MOST_UPLOAD_MB = 400
MOST_DIMS = 12
SHOWN_TENSORS = 4


@dataclass(frozen=True)
class Read:
    """What was read last: the open dimensions that have to be given, what was made of it, what the file is said to have, or
    the sentence that says why it cannot be used."""

    problem: str | None = None
    asked: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    alive: tuple[tuple[str, int], ...] = ()
    summary: str | None = None


def own_network(inputs: Inputs) -> None:
    """The closed section for a network of one's own, and the fields it sets."""
    own = inputs.values["model"] == CUSTOM
    present = st.session_state.get(widget_key(KIND, "custom_network"))
    inputs.values["custom_network"] = present if own else None
    shown = {"model": own_label(present) if own and present else "none"}

    def draw() -> None:
        st.file_uploader(
            "ONNX file",
            type=["onnx"],
            key=FILE,
            on_change=_take_file,
            max_upload_size=MOST_UPLOAD_MB,
            help="The graph is enough: a file whose weights are in another file is read without it. It is kept nowhere.",
        )
        read: Read = st.session_state.get(READ, Read())
        for name in read.asked:
            st.number_input(
                f"Dimension {plain(name)}",
                min_value=1,
                max_value=MOST_DIM,
                value=None,
                step=1,
                key=_dim_key(name),
                on_change=_take_file,
                placeholder="required",
                help="The file leaves it open: the length of a sequence, the side of an image.",
            )
        st.text_area(
            "Or paste its summary",
            key=TEXT,
            on_change=_take_text,
            height=100,
            placeholder="what python -m sizing inspect model.onnx --summary prints",
            help="For who may not upload: the command runs where the file is, and its summary holds counts, no weights.",
        )
        if read.problem is not None:
            st.markdown(f":red[{plain(read.problem)}]")
        _show(inputs, read, present if own else None)

    inputs.section(TITLE, shown, draw)


@lru_cache(maxsize=16)
def own_label(text: str) -> str:
    """What the list of models calls the one of this summary."""
    return parse_summary(text).name or "your own network"


def _dim_key(name: str) -> str:
    return widget_key(KIND, f"own_dim:{name}")


def _take_text() -> None:
    text = st.session_state.get(TEXT, "")
    if not text.strip():
        st.session_state[READ] = Read()
        return
    try:
        st.session_state[READ] = _taken(parse_summary(text.strip()).text())
    except InputError as error:
        st.session_state[READ] = Read(problem=str(error))


def _take_file() -> None:
    """Read the file at the dimensions given and change the scenario by it; if that cannot be, say so and change nothing."""
    file = st.session_state.get(FILE)
    if file is None:
        st.session_state[READ] = Read()
        return
    asked: tuple[str, ...] = ()
    try:
        if not is_onnx(file, file.size):
            raise InputError(
                "file", f"a file that is no ONNX ({file.name})", "an ONNX file, or its summary in the box below"
            )
        asked, found = _inspected(file)
        if found is None:
            st.session_state[READ] = Read(asked=asked)
            return
        read = _taken(summary_text(found, network=True))
        # The scenario's batch is its own, whatever the file was read at.
        notes = tuple(note for note in found.notes if not note.startswith("The batch"))
        alive = tuple(found.details["peak_tensors_bytes"].items())[:SHOWN_TENSORS]
        st.session_state[READ] = Read(asked=asked, done=read.done, notes=notes, alive=alive, summary=read.summary)
    except InputError as error:
        st.session_state[READ] = Read(problem=str(error), asked=asked)


def _inspected(file: object) -> tuple[tuple[str, ...], Inspection | None]:
    """Open dimensions that have to be given, and the facts of the file once they are."""
    # Imported here: onnx takes a fifth of a second, and the page needs it for a file only.
    from sizing.onnx.reader import read_network

    network = read_network(file, file.size, file.name)  # type: ignore[arg-type, attr-defined]
    asked = tuple(name for name in network.open_dims if name not in network.batch_dims)
    if len(asked) > MOST_DIMS:
        raise InputError(
            "file", f"{len(asked)} open dimensions", f"at most {MOST_DIMS} here; `inspect --dim` takes more"
        )
    given = {name: st.session_state.get(_dim_key(name)) for name in asked}
    if any(value is None for value in given.values()):
        return asked, None
    dims = {name: int(value) for name, value in given.items() if value is not None}
    return asked, inspect_file(file, name=file.name, dims=dims)  # type: ignore[arg-type, attr-defined]


def _taken(text: str) -> Read:
    state: PageState = st.session_state[f"page:{KIND}"]
    summary = parse_summary(text)
    changes = {"model": CUSTOM, "custom_network": summary.text(), "input_size": None}
    before = state.scenario.model
    refused = adopt(state, changes, keep=changes)
    if before != CUSTOM:
        st.session_state[BEFORE] = before
    done = [f"This answer is of the model that was read, {summary.parameters:,} parameters."]
    done += [f"Set to its usual value: {error}" for error in refused]
    return Read(done=tuple(done), summary=summary.text())


def _show(inputs: Inputs, read: Read, present: str | None) -> None:
    """What was read of the file or of the summary in use, and the way back."""
    if present is None:
        return
    current = read.summary == present
    for sentence in (*read.done, *(f"{note}." for note in read.notes)) if current else ():
        st.caption(plain(sentence))
    facts(_rows(present))
    if current and read.alive:
        named = "; ".join(f"{quoted(name).strip(chr(39))} {format_bytes(size)}" for name, size in read.alive)
        st.caption(plain(f"Alive at the peak, the largest first: {named}."))
    models = inputs.state.catalog.deep_learning_models
    before = st.session_state.get(BEFORE)
    back = before if before in models else DeepLearningScenario.model_fields["model"].default
    st.button(
        "Use the catalog model",
        on_click=set_fields,
        args=(KIND, {"model": back, "custom_network": None, "input_size": None}),
        help=f"Back to {models[back].name}",
    )


@lru_cache(maxsize=16)
def _rows(text: str) -> tuple[tuple[str, str], ...]:
    found = parse_summary(text)
    rows = [
        ("input", f"{found.input_shape} ({found.input_kind})"),
        ("parameters", f"{found.parameters:,}"),
        *((f"weights, {dtype}", format_bytes(size)) for dtype, size in found.weights_bytes.items()),
        ("multiply-adds of a sample", f"{found.macs / 1e9:,.4g} G"),
        ("peak live activations of a sample (fp32)", format_bytes(found.peak_live.per_sample)),
        ("sum of activations of a sample (fp32)", format_bytes(found.sum_activations.per_sample)),
        ("peak at", found.peak_at or "unknown"),
    ]
    if found.peak_live.fixed:
        rows.append(("activations whatever the batch (fp32)", format_bytes(found.peak_live.fixed)))
    if found.unknown_shapes:
        rows.append(("parts whose size is unknown", f"{found.unknown_shapes:,}: the figures are lower limits"))
    return tuple(rows)
