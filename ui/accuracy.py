"""The parts of the accuracy page: the sentence, the chart on logarithmic axes, errors by group, the worst, cases of one's own."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from sizing.accuracy import Point, Summary, by_group, summary, worst
from sizing.accuracy_view import AccuracyView, Family
from sizing.errors import InputError
from sizing.score import KINDS, score_with_note
from sizing.score_table import Scored, to_csv
from sizing.score_table import summary as score_summary
from ui.frame import plain
from ui.results import folded, table
from ui.sketch import LIMIT, PALETTE, Sketch, log_ticks, titled

FAMILIES: dict[Family, str] = {
    "llm": "Language models: speed",
    "llm_memory": "Language models: memory",
    "deep_learning": "Deep learning",
    "statistical": "Statistical",
    "queues": "Queues",
}
HOW: dict[Family, str] = {
    "llm": "Fitted on public runs of six engines (benchmarks/LLM_SPEED.md). Each run here is predicted by constants fitted "
    "without the fold of models that it belongs to.",
    "llm_memory": "Rules of the engines with constants read from start-up logs (benchmarks/LLM_MEMORY.md); scored as shipped, so "
    "some of these logs were seen when the constants were made.",
    "deep_learning": "Fitted on public throughputs and batch curves (benchmarks/DEEP_LEARNING_SPEED.md). Throughputs are predicted "
    "without their network, curves without their network, GPU, runtime and precision together.",
    "statistical": "Fitted on timings of this project (benchmarks/STATISTICAL_SPEED.md). Each call is predicted without its model; "
    "one CPU was measured, others are scaled.",
    "queues": "No constant is fitted: formulas against simulations of up to millions of requests (benchmarks/QUEUES.md).",
}
SEEN: dict[Family, str] = {"queues": "from simulations, with no constant fitted"}
MOST_DRAWN = 2000
MOST_COLOURS = 8
MOST_OWN_BYTES, MOST_OWN_ROWS = 2_000_000, 5_000


def percent(share: float) -> str:
    """A share as people read it.

    >>> percent(0.0213), percent(0.381)
    ('2.1 %', '38 %')
    """
    return f"{share * 100:.1f} %" if share < 0.1 else f"{share * 100:.0f} %"


def sentence(view: AccuracyView, some: Sequence[Point]) -> str:
    """The result first: how many runs, how far off in the middle and at nine of ten, and how honest the interval is."""
    found = summary("all", some)
    if found is None:
        return "No measured run matches: take a word out of the search, or a filter away."
    unseen = sum(p.held for p in some)
    what = "that calibration did not see" if unseen == len(some) else f"({unseen:,} of them not seen by calibration)"
    if unseen == 0:
        what = SEEN.get(view.family, "that were seen when the constants were made")
    of = f", {view.quantity}" if view.quantity else ""
    inside = f" {found.inside:.0%} lie inside the stated 80 % interval." if found.inside is not None else ""
    lean = (
        ""
        if abs(found.bias) < 0.02
        else f" The middle prediction is {percent(abs(found.bias))} too {'high' if found.bias > 0 else 'low'}."
    )
    return (
        f"On {found.count:,} measured figures {what}{of}, the prediction is off by {percent(found.median_error)} in the median; nine of "
        f"ten are within {percent(found.p90_error)}.{inside}{lean}"
    )


def drawn(some: Sequence[Point], most: int = MOST_DRAWN) -> tuple[Point, ...]:
    """Points for the chart: all, or a share picked by their content, the worst ten always among them."""
    if len(some) <= most:
        return tuple(some)
    step = -(-len(some) // most)
    kept = [p for p in some if zlib.crc32(f"{p.model}{p.hardware}{p.setting}{p.measured}".encode()) % step == 0]
    return tuple(dict.fromkeys((*kept, *worst(some))))


def scatter(view: AccuracyView, some: Sequence[Point], own: Sequence[Scored] = ()) -> go.Figure:
    """Predicted against measured on logarithmic axes, with the diagonal and the lines of 25 and 50 % error."""
    values = [v for p in some for v in (p.measured, p.predicted)]
    values += [v for s in own for v in (s.measured, s.predicted) if v]
    low, high = min(values), max(values)
    quantity = view.quantity or "figures in their own units"
    ticks = log_ticks([low, high])
    sketch = Sketch(x=titled(f"measured: {quantity}", **ticks), y=titled(f"predicted: {quantity}", **ticks), height=430)
    for factor, dash in ((1.0, "solid"), (1.25, "dash"), (0.8, "dash"), (1.5, "dot"), (1 / 1.5, "dot")):
        line = {"color": LIMIT if factor == 1.0 else "#8A94A3", "width": 1.5 if factor == 1.0 else 1, "dash": dash}
        sketch.shapes.append(
            {
                "type": "line",
                "x0": low,
                "y0": low * factor,
                "x1": high,
                "y1": high * factor,
                "line": line,
                "layer": "below",
            }
        )
    groups: dict[str, list[Point]] = {}
    for point in drawn(some):
        groups.setdefault(str(getattr(point, view.colour)), []).append(point)
    ordered = sorted(groups, key=lambda name: -len(groups[name]))
    named, others = ordered[:MOST_COLOURS], ordered[MOST_COLOURS:]
    shown = [(name, groups[name]) for name in named]
    if others:
        shown.append((f"{len(others)} others", [p for name in others for p in groups[name]]))
    for position, (name, members) in enumerate(shown):
        sketch.traces.append(
            {
                "type": "scattergl",
                "x": [p.measured for p in members],
                "y": [p.predicted for p in members],
                "mode": "markers",
                "name": name,
                "marker": {"size": 6, "color": PALETTE[position % len(PALETTE)], "opacity": 0.65},
                "text": [f"{p.model}, {p.hardware}, {p.engine}<br>{p.setting}" for p in members],
                "hovertemplate": "%{text}<br>measured %{x:.4g}, predicted %{y:.4g}<extra></extra>",
            }
        )
    mine = [s for s in own if s.measured and s.predicted]
    if mine:
        sketch.points(
            [s.measured or 0 for s in mine],
            [s.predicted or 0 for s in mine],
            "your runs",
            symbol="star",
            color="#D55E00",
            size=13,
        )
    return sketch.figure()


def group_table(title: str, rows: Sequence[Summary]) -> None:
    """Errors of groups as a table."""
    if not rows:
        return
    st.dataframe(
        pd.DataFrame(
            {
                title: [r.name for r in rows],
                "Figures": [r.count for r in rows],
                "Median error (%)": [round(r.median_error * 100, 1) for r in rows],
                "9 of 10 within (%)": [round(r.p90_error * 100, 1) for r in rows],
                "Too high or low (%)": [round(r.bias * 100, 1) for r in rows],
                "In 80 % interval (%)": [None if r.inside is None else round(r.inside * 100) for r in rows],
            }
        ),
        hide_index=True,
        height=240,
        alt=f"Errors by {title.lower()}",
    )


def groups(some: Sequence[Point]) -> None:
    """Errors by quantity, model, accelerator and engine, each behind a tab."""
    tabs = st.tabs(["Quantity", "Model", "Machine", "Engine"])
    for tab, title, by in zip(
        tabs,
        ("Quantity", "Model", "Accelerator or CPU", "Engine or runtime"),
        ("quantity", "model", "hardware", "engine"),
        strict=True,
    ):
        with tab:
            group_table(title, by_group(some, by))  # type: ignore[arg-type]


def worst_table(some: Sequence[Point]) -> None:
    """The worst cases by name."""
    table(
        ("Model", "Where", "Engine", "Setting", "Quantity", "Measured", "Predicted", "Error"),
        [
            (
                p.model,
                p.hardware,
                p.engine,
                p.setting,
                p.quantity,
                f"{p.measured:.4g}",
                f"{p.predicted:.4g}",
                f"{p.error:+.0%}",
            )
            for p in worst(some)
        ],
        least_rem=56,
    )


def own_cases() -> tuple[Scored, ...]:
    """Upload a CSV of one's own runs: scored here, drawn beside ours, kept nowhere."""
    found: tuple[Scored, ...] = st.session_state.get("accuracy-own:rows", ())
    folded("Bring your own measurements (CSV)", "accuracy-own", _upload)
    return found


def _upload() -> None:
    st.caption(
        "Columns as the command `python -m sizing score KIND` takes them. The file is read in this session only: it is neither stored nor "
        "put into the link. Runs of vLLM, SGLang or GuideLLM go to “Your own measurements” on the LLM page."
    )
    kind = st.selectbox("Kind of cases", list(KINDS), key="accuracy-own:kind")
    header = ",".join(KINDS[kind].columns) + "\n"
    st.download_button(
        "Empty table with these columns",
        header,
        f"{kind}.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
    file = st.file_uploader("Your CSV (at most 2 MB, 5,000 rows)", type=["csv"], key="accuracy-own:file")
    if file is None:
        st.session_state.pop("accuracy-own:rows", None)
        return
    try:
        rows, note = _scored(kind, file.getvalue())
    except InputError as error:
        st.session_state.pop("accuracy-own:rows", None)
        st.warning(plain(str(error)))
        return
    st.session_state["accuracy-own:rows"] = rows
    st.code(score_summary(rows) + note, language=None)
    st.download_button(
        "Every row with its prediction (CSV)",
        to_csv(rows),
        "scored.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _scored(kind: str, data: bytes) -> tuple[tuple[Scored, ...], str]:
    if len(data) > MOST_OWN_BYTES:
        raise InputError("file", f"{len(data):,} bytes", f"at most {MOST_OWN_BYTES:,} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("file", "bytes that are not text", "a CSV file in UTF-8") from None
    if text.count("\n") > MOST_OWN_ROWS + 1:
        raise InputError("file", f"{text.count(chr(10)):,} rows", f"at most {MOST_OWN_ROWS:,} rows")
    rows, note = score_with_note(kind, text)
    return tuple(rows), note
