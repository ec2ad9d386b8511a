"""The section for a load test of the reader's own: read, taken into the scenario, and shown beside the prediction.

An upload is applied when it or what was said of it changes; what it gave travels in the scenario, so a link needs no upload.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import streamlit as st

from sizing.catalog import Catalog
from sizing.deep_learning.charts import MeasuredChart, measured_chart
from sizing.deep_learning.measured import FIELD, curve_of, median_errors, parse_curve, said_of
from sizing.deep_learning.memory import gpu_memory
from sizing.deep_learning.perf_csv import MAX_BYTES, GpuRow, Measured, read_measured
from sizing.deep_learning.pipeline import facts_of
from sizing.errors import InputError
from sizing.plan import Plan
from sizing.scenario import DeepLearningScenario
from sizing.units import format_bytes, format_ms
from ui.draw import chart
from ui.frame import plain
from ui.results import folded, table
from ui.sketch import CHOSEN, PALETTE, Curve, Sketch, log_ticks, titled
from ui.state import PageState, adopt, set_fields

TITLE = "Your measurements (perf_analyzer, Model Analyzer)"
FILE, PART, REQUEST_BATCH, LARGEST_BATCH, READ = (
    f"measured:{name}" for name in ("file", "accelerator", "request_batch", "largest_batch", "read")
)
SHOWN_LEFT_OUT = 5
SHOWN_GPU_ROWS = 12


@dataclass(frozen=True)
class Read:
    """What was read last, or the sentence that says why it cannot be used."""

    problem: str | None = None
    found: Measured | None = None
    curve: str | None = None


def draw_measured(state: PageState, plan: Plan) -> None:
    """The closed section; its title says whether measurements are in use."""
    text = state.scenario.measured_curve
    title = (
        TITLE
        if text is None
        else f"{TITLE}: {len(parse_curve(text).batches)} batches on {parse_curve(text).accelerator}"
    )
    folded(plain(title), "measured", lambda: _draw(state, plan))


def _draw(state: PageState, plan: Plan) -> None:
    scenario: DeepLearningScenario = state.scenario
    st.caption(
        "A CSV of perf_analyzer (-f), or metrics-model-inference.csv or metrics-model-gpu.csv of Model Analyzer, measured with "
        "the model, input size, runtime and precision above. It is read in memory and not kept; the times of the batches go "
        "into the scenario and its link."
    )
    _controls(state, plan)
    read: Read = st.session_state.get(READ, Read())
    if read.problem is not None:
        st.markdown(f":red[{plain(read.problem)}]")
    if read.found is not None and (read.found.gpu or read.curve == scenario.measured_curve):
        _said(state, read.found)
    if scenario.measured_curve is not None:
        _compared(state)


def _controls(state: PageState, plan: Plan) -> None:
    parts = {a.id: a.name for a in state.catalog.accelerators.values()}
    best = plan.recommended
    if st.session_state.get(PART) not in parts:
        st.session_state[PART] = best.accelerator if best is not None and best.accelerator else next(iter(parts))
    st.session_state.setdefault(REQUEST_BATCH, 1)
    st.session_state.setdefault(LARGEST_BATCH, (best.batch if best is not None else None) or 1)
    left, middle, right = st.columns(3, gap="small")
    with left:
        st.selectbox("Measured on", list(parts), key=PART, format_func=parts.get, on_change=_take)
    with middle:
        st.number_input(
            "Samples in a request (-b)",
            min_value=1,
            max_value=65_536,
            key=REQUEST_BATCH,
            on_change=_take,
            help="A column Batch in the file replaces it.",
        )
    with right:
        st.number_input(
            "max_batch_size of the server",
            min_value=1,
            max_value=65_536,
            key=LARGEST_BATCH,
            on_change=_take,
            help="Largest batch the dynamic batcher forms; 1 without dynamic batching. A column Max Batch Size replaces it. "
            "The batch that ran is throughput × compute time (Little's law), between the two; where the file has no compute "
            "times it is half of what the clients have in flight.",
        )
    st.file_uploader("Measurements (CSV)", type=["csv"], key=FILE, on_change=_take, max_upload_size=1)


def _take() -> None:
    """Read the file and change the scenario by it; if that cannot be, say so and change nothing."""
    state: PageState = st.session_state["page:deep_learning"]
    file = st.session_state.get(FILE)
    if file is None:
        st.session_state.pop(READ, None)
        return
    try:
        st.session_state[READ] = _taken(state, file.getvalue())
    except InputError as error:
        st.session_state[READ] = Read(problem=str(error))


def _taken(state: PageState, content: bytes) -> Read:
    scenario: DeepLearningScenario = state.scenario
    if len(content) > MAX_BYTES:
        raise InputError("file", f"{len(content):,} bytes", f"at most {MAX_BYTES:,} bytes")
    found = read_measured(
        content,
        request_batch=int(st.session_state.get(REQUEST_BATCH) or 1),
        largest_batch=int(st.session_state.get(LARGEST_BATCH) or 1),
    )
    if not found.points:
        return Read(found=found)
    facts = facts_of(scenario, state.catalog)
    curve = curve_of(scenario, facts, accelerator=st.session_state[PART], points=found.points).text()
    adopt(state, {FIELD: curve}, keep=type(scenario).model_fields)
    return Read(found=found, curve=curve)


def _said(state: PageState, found: Measured) -> None:
    """What of the file was used, what was not, and GPU memory beside the prediction."""
    if found.points:
        rules = sorted({point.rule for point in found.points})
        st.caption(plain(f"{len(found.points)} rows used (batch and time by {' and '.join(rules)})."))
    for line, why in found.left_out[:SHOWN_LEFT_OUT]:
        st.caption(plain(f"Line {line} is left out: {why}."))
    if len(found.left_out) > SHOWN_LEFT_OUT:
        st.caption(f"{len(found.left_out) - SHOWN_LEFT_OUT:,} more lines are left out.")
    if found.gpu:
        columns = ("Line", "Largest batch possible", "Memory measured", "Memory predicted", "Error")
        table(columns, [_memory_row(state, row) for row in found.gpu[:SHOWN_GPU_ROWS]])
        st.caption("This file has no times, so it changes nothing; measured memory includes all that runs on the GPU.")


def _memory_row(state: PageState, row: GpuRow) -> tuple[str, ...]:
    scenario: DeepLearningScenario = state.scenario
    facts = facts_of(scenario, state.catalog)
    predicted = gpu_memory(
        facts,
        runtime=scenario.runtime,
        precision=scenario.precision,
        batch=max(1, int(row.batch)),
        capacity_bytes=state.catalog.accelerator(st.session_state[PART]).capacity_bytes,
    ).used_bytes
    error = f"{predicted / row.used_bytes - 1.0:+.0%}" if row.used_bytes else "–"
    return (str(row.line), f"{row.batch:,.4g}", format_bytes(row.used_bytes), format_bytes(predicted), error)


@lru_cache(maxsize=4)
def _chart_of(scenario: DeepLearningScenario, catalog: Catalog) -> MeasuredChart:
    return measured_chart(scenario, catalog)


def _compared(state: PageState) -> None:
    """Prediction and measurement together: the curves, each row, the median error before and after."""
    scenario: DeepLearningScenario = state.scenario
    curve = parse_curve(scenario.measured_curve or "")
    try:
        shown = _chart_of(scenario, state.catalog)
    except InputError as error:
        st.markdown(f":red[{plain(str(error))}]")
        return
    facts = facts_of(scenario, state.catalog)
    before, after = median_errors(shown.rows)
    st.markdown(
        plain(said_of(scenario, curve, facts, name=state.catalog.accelerator(curve.accelerator).name))
        + f" Median error before **{before:.0%}**, after **{after:.0%}**; 80 % interval at batch "
        f"{max(curve.batches):g} now × {_low(shown):.2f} to × {_high(shown):.2f}."
    )
    left, right = st.columns([3, 2], gap="medium")
    with left:
        chart(
            _figure(shown),
            key="measured-chart",
            title="Time of a batch: predicted, measured, recalibrated",
            alt="Time of a batch in ms by batch size: the prediction with its 80 % interval, the measured points and the "
            "recalibrated law",
        )
    with right:
        table(
            ("Batch", "Measured", "Predicted", "Error", "Recalibrated", "Error"),
            [
                (
                    f"{row.batch:,.4g}",
                    format_ms(row.measured_ms),
                    format_ms(row.before_ms),
                    f"{row.error_before:+.0%}",
                    format_ms(row.after_ms),
                    f"{row.error_after:+.0%}",
                )
                for row in shown.rows
            ],
        )
    st.button("Remove the measurements", on_click=_forget)


def _forget() -> None:
    st.session_state.pop(READ, None)
    set_fields("deep_learning", {FIELD: None})


def _low(shown: MeasuredChart) -> float:
    return float(shown.after_low_ms[-1] / shown.after_ms[-1])


def _high(shown: MeasuredChart) -> float:
    return float(shown.after_high_ms[-1] / shown.after_ms[-1])


def _figure(shown: MeasuredChart) -> object:
    batch = [float(b) for b in shown.batch]
    x = [row.batch for row in shown.rows]
    y = [row.measured_ms for row in shown.rows]
    heights = [*shown.before_low_ms.tolist(), *shown.before_high_ms.tolist(), *shown.after_ms.tolist(), *y]
    sketch = Sketch(
        x=titled("batch (samples)", **log_ticks([*batch, *x])), y=titled("time of a batch (ms)", **log_ticks(heights))
    )
    predicted = Curve(
        "predicted",
        batch,
        shown.before_ms.tolist(),
        low=shown.before_low_ms.tolist(),
        high=shown.before_high_ms.tolist(),
    )
    sketch.curve(predicted, PALETTE[0])
    sketch.curve(Curve("recalibrated", batch, shown.after_ms.tolist()), PALETTE[2])
    sketch.points(x, y, "measured", symbol="circle", color=CHOSEN)
    return sketch.figure()
