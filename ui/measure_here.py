"""The section that runs the reader's own ONNX model on the dashboard's host: upload, place in the queue, progress, times.

The model runs in a process of its own (sizing.measure); the page only asks how its ticket stands, from a fragment that draws
itself anew every second while the measurement waits or runs. The times go into the scenario on a click; the file is not kept.
"""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from sizing.catalog import Catalog
from sizing.cpu import CpuSpeed
from sizing.measure.factor import RUNTIME, Compared, compared, machine_speed, measured_text, onnx_scenario
from sizing.measure.process import unavailable
from sizing.measure.queue import MeasureQueue, View, shared
from sizing.measure.records import BATCHES, MIB, Limits, MeasureError, Measurement, Settings
from sizing.measure.table import COLUMNS, fact_rows, speed_text, table_rows
from sizing.scenario import StatisticalScenario
from sizing.statistical.measured import FIELD
from sizing.statistical.own import resolved
from ui.frame import plain
from ui.inputs import words
from ui.results import facts, folded, table
from ui.state import PageState, set_fields

KIND = "statistical"
TITLE = "Measure it here"
FILE, ROWS, START, STOP, TICKET, ENDED, ASKED = (
    f"measure:{name}" for name in ("file", "batches", "start", "cancel", "ticket", "ended", "asked")
)
LOOK_EVERY_S = 1.0
"""Between two looks at a measurement that waits or runs [s]."""
CHOICES = (*BATCHES, 4096)
MOST_DIM = 1_000_000
MOST_DIMS = 12


def draw_measure_here(state: PageState) -> None:
    """The closed section for a measurement on this host."""
    folded(TITLE, "measure-here", lambda: _draw(state))


def queue() -> MeasureQueue:
    """The queue of this server, in which the measurements of all its pages wait."""
    return shared()


def _draw(state: PageState) -> None:
    reason = unavailable()
    if reason is not None:
        st.caption(plain(reason))
        return
    limits = Limits()
    st.caption(
        f"Your ONNX model (at most {limits.model_bytes // MIB} MiB, all its data inside) is run by ONNX Runtime on the host of this "
        f"dashboard: one thread, made-up inputs, at most {limits.total_s:.0f} s and {limits.memory_bytes / 2**30:.0f} GiB of memory, "
        "one measurement at a time. The file is deleted afterwards."
    )
    _runtime(state)
    view = _present()
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.file_uploader(
            "ONNX model",
            type=["onnx"],
            key=FILE,
            on_change=_new_file,
            max_upload_size=limits.model_bytes // MIB,
            help="Export it from scikit-learn, XGBoost or LightGBM with skl2onnx or onnxmltools, without ZipMap.",
        )
    with right:
        st.multiselect("Rows a call", CHOICES, default=BATCHES, key=ROWS, help="Each is timed for about two seconds.")
        for name in st.session_state.get(ASKED, ()):
            st.number_input(
                f"Dimension {plain(name)}",
                min_value=1,
                max_value=MOST_DIM,
                value=None,
                step=1,
                key=_dim_key(name),
                placeholder="required",
                help="The model leaves it open: the length of a text, the side of an image.",
            )
    if view is not None:
        st.fragment(_watch, run_every=LOOK_EVERY_S)()
        return
    missing = st.session_state.get(FILE) is None or not st.session_state.get(ROWS)
    st.button("Start", key=START, on_click=_start, disabled=missing)
    ended: View | None = st.session_state.get(ENDED)
    if ended is None:
        return
    if ended.sentence is not None:
        st.markdown(plain(ended.sentence) if ended.state == "cancelled" else f":red[{plain(ended.sentence)}]")
    if ended.result is not None:
        _show(state, ended.result)


def _runtime(state: PageState) -> None:
    """Say it where the scenario's runtime is another one, and offer to change that."""
    scenario: StatisticalScenario = state.scenario
    if scenario.runtime == RUNTIME:
        return
    name = plain(state.catalog.statistical_family(resolved(scenario).family).name)
    if onnx_scenario(scenario, state.catalog) is None:
        st.markdown(
            f"This measures ONNX Runtime. The catalog has no {name} in ONNX Runtime, so the times will stand for themselves."
        )
        return
    st.markdown(
        f"This measures ONNX Runtime. The answer above is for {plain(words(scenario.runtime))}: the times count once it is for "
        "ONNX Runtime too."
    )
    st.button("Answer for ONNX Runtime", on_click=set_fields, args=(KIND, {"runtime": RUNTIME}))


def _dim_key(name: str) -> str:
    return f"measure:dim:{name}"


def _new_file() -> None:
    """Another file ends what was asked of the last one."""
    _cancel()
    st.session_state.pop(TICKET, None)
    st.session_state.pop(ASKED, None)
    st.session_state.pop(ENDED, None)


def _start() -> None:
    """Put the uploaded model into the queue (a button's callback)."""
    file = st.session_state.get(FILE)
    st.session_state.pop(ENDED, None)
    if file is None:
        return
    given = {name: st.session_state.get(_dim_key(name)) for name in st.session_state.get(ASKED, ())}
    dims = {name: int(value) for name, value in given.items() if value is not None}
    try:
        settings = Settings(batches=tuple(sorted(st.session_state[ROWS])), dims=dims)
        st.session_state[TICKET] = queue().submit(file.getvalue(), settings)
    except MeasureError as error:
        st.session_state[ENDED] = View("failed", sentence=str(error))


def _cancel() -> None:
    ticket = st.session_state.get(TICKET)
    if ticket is not None:
        queue().cancel(ticket)


def _present() -> View | None:
    """The measurement that waits or runs; one that has ended becomes the last result."""
    ticket = st.session_state.get(TICKET)
    if ticket is None:
        return None
    view = queue().look(ticket)
    if not view.ended:
        return view
    del st.session_state[TICKET]
    st.session_state[ENDED] = view
    if view.asked:
        st.session_state[ASKED] = view.asked[:MOST_DIMS]
    return None


def _watch() -> None:
    """How the measurement stands; drawn anew by itself, and the whole page once it has ended."""
    view = _present()
    if view is None:
        st.rerun()
        return
    st.progress(0.0 if view.progress is None else view.progress.share, text=plain(_standing(view)))
    st.button("Cancel", key=STOP, on_click=_cancel)
    st.caption("Leave this section open: a measurement that nobody watches is ended after 30 s.")


def _standing(view: View) -> str:
    if view.state == "queued":
        if view.elsewhere and view.ahead == 0:
            return "Next in the queue; another server process on this host is measuring."
        if view.ahead == 0:
            return "Starting."
        return (
            f"Place {view.ahead + 1} in the queue: {view.ahead} before you, at most {view.longest_wait_s / 60:.0f} min."
        )
    if view.progress is None:
        return "Starting."
    left = f", about {view.progress.seconds_left:.0f} s left" if view.progress.seconds_left >= 1 else ""
    return f"{view.progress.doing[:1].upper()}{view.progress.doing[1:]}{left}."


@lru_cache(maxsize=8)
def _found(
    measurement: Measurement, scenario: StatisticalScenario, catalog: Catalog
) -> tuple[tuple[Compared, ...], CpuSpeed]:
    return compared(measurement, scenario, catalog), machine_speed(measurement, catalog)


def _show(state: PageState, measurement: Measurement) -> None:
    """Times by rows beside the prediction, speed of this machine, memory, and the way into the scenario."""
    scenario: StatisticalScenario = state.scenario
    try:
        rows, speed = _found(measurement, scenario, state.catalog)
    except MeasureError as error:
        st.markdown(f":red[{plain(str(error))}]")
        return
    table(COLUMNS, table_rows(rows), least_rem=44)
    st.caption(
        "Median and p99 are CPU time of the call, which neighbours on the host disturb little. Predicted is the answer's model in "
        "ONNX Runtime on this machine: a large difference says that the model is not the one described above, that made-up "
        "inputs take other paths through it than your data, or that the processor gains more or less on it than on trees."
    )
    facts(fact_rows(measurement))
    st.caption(plain(speed_text(measurement, speed, state.catalog)))
    for note in measurement.notes:
        st.caption(plain(f"{note}."))
    if scenario.runtime != RUNTIME:
        return
    text = measured_text(measurement, scenario, state.catalog)
    if getattr(scenario, FIELD) == text:
        st.caption("These times are in the scenario and its link.")
    else:
        st.button(
            "Use these times", on_click=set_fields, args=(KIND, {FIELD: text}), help="For the answer on this page."
        )
