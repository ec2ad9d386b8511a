"""The section for benchmark results and start-up logs of one's own: read, set beside the prediction, and on a button taken into the
scenario, whose link then carries them. Nothing of a file is kept on the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

import streamlit as st

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.llm.measured import FIELD, model_key, parse_serving
from sizing.llm.models import model_of
from sizing.llm.own_runs import said_of
from sizing.llm.results.compare import (
    QUANTITIES,
    Cell,
    Comparison,
    compare,
)
from sizing.llm.results.read import MAX_BYTES, read_all
from sizing.llm.results.records import Results
from sizing.llm.results.setup import Setup, guess, stored_results
from sizing.llm.sharding import Split
from sizing.planner import plan as planned
from sizing.scenario import LlmScenario
from sizing.scenario_llm import KvFormat, LlmRuntime, WeightFormat
from ui.draw import chart
from ui.frame import plain
from ui.inputs import words
from ui.results import folded, table
from ui.sketch import CHOSEN, INTERVAL, PALETTE, Curve, Sketch, log_ticks, titled
from ui.state import PageState, set_fields

TITLE = "Your own measurements (vLLM, SGLang, GuideLLM, AIPerf)"
FILES, PASTED, READ, PART, TENSOR, ENGINE, WEIGHTS, CACHE = (
    f"own:{name}" for name in ("files", "pasted", "read", "accelerator", "tp", "engine", "weights", "kv")
)
COMMAND = (
    "vllm bench serve --model {model} --dataset-name random \\\n"
    "  --random-input-len {prompt} --random-output-len {output} --ignore-eos \\\n"
    "  --max-concurrency 16 --num-prompts 160 --save-result"
)
"""Flags as vLLM 0.10 to 0.31 has them. Source: vllm/benchmarks/serve.py, read 2026-11-25."""
SHOWN_RUNS = 24
SHOWN_NOTES = 6
MOST_PASTED = 200_000
TIMES = ("TTFT", "TPOT")
NO_BREAK = "\u00a0"
NAMES = {"TTFT": "TTFT (ms)", "TPOT": "TPOT (ms)", "Output": "Output (tokens/s)"}


NOTHING = Results()


@dataclass(frozen=True)
class Read:
    """What was read last and what else of it was most likely so, or the sentence that says why it cannot be used."""

    results: Results = NOTHING
    setup: Setup | None = None
    problem: str | None = None


def draw_own_results(state: PageState) -> None:
    """The closed section; its title says whether measurements are in use."""
    text = state.scenario.measured_serving
    title = TITLE
    if text is not None:
        measured = parse_serving(text)
        part = state.catalog.accelerators.get(measured.accelerator)
        count = len(measured.runs)
        what = f"{count} run{'s' if count != 1 else ''}" if count else "a start-up log"
        title = f"Your own measurements: {what} on {part.name if part else measured.accelerator}"
    folded(plain(title), "own-results", lambda: _draw(state))


def _draw(state: PageState) -> None:
    scenario: LlmScenario = state.scenario
    read: Read = st.session_state.get(READ, Read())
    if scenario.measured_serving is not None:
        _in_use(state)
    _upload(state)
    if read.problem is not None:
        st.markdown(f":red[{plain(read.problem)}]")
        return
    if read.setup is not None:
        results, setup = read.results, _chosen(read.setup)
    elif scenario.measured_serving is not None:
        setup, results = stored_results(parse_serving(scenario.measured_serving))
        if parse_serving(scenario.measured_serving).model != model_key(scenario):
            return
    else:
        return
    try:
        found = _compared(scenario.model_copy(update={FIELD: None}), state.catalog, setup, results)
    except InputError as error:
        st.markdown(f":red[{plain(str(error))}]")
        return
    _shown(state, found, results, is_new=read.setup is not None)


@lru_cache(maxsize=8)
def _compared(scenario: LlmScenario, catalog: Catalog, setup: Setup, results: Results) -> Comparison:
    return compare(scenario, catalog, setup, results)


def _in_use(state: PageState) -> None:
    """What is in use, and the button that takes it away."""
    scenario: LlmScenario = state.scenario
    said = said_of(scenario, model_of(scenario, state.catalog), state.catalog)
    st.markdown(plain(said or ""))
    st.button("Remove", key="own:remove", on_click=_forget, help="Back to the prediction without measurements.")


def _upload(state: PageState) -> None:
    scenario: LlmScenario = state.scenario
    st.caption(
        "Results of a load test of your own server with this model, and the log that vLLM prints as it starts. They are read in memory "
        "and not kept; what you take from them goes into the scenario and its link."
    )
    model = model_of(scenario, state.catalog)
    with st.popover("How to make such a file"):
        st.markdown("With the server running, this sends 160 requests, 16 at a time, and writes a JSON file:")
        command = COMMAND.format(
            model=model.hf_id or "MODEL", prompt=scenario.prompt_tokens, output=scenario.output_tokens
        )
        st.code(command, language="bash", wrap_lines=True)
        st.markdown(
            "Repeat it with other values of `--max-concurrency` (ten times as many prompts each) and upload all files together: the more "
            "loads, the surer. Add the server's start-up log and its memory is checked too."
        )
    st.file_uploader(
        "Result files (JSON, JSON lines) and start-up logs (text)",
        type=["json", "jsonl", "log", "txt"],
        accept_multiple_files=True,
        key=FILES,
        on_change=_take,
        max_upload_size=MAX_BYTES // 1_000_000,
    )
    with st.popover("Or paste one"):
        st.text_area("A result or a log, as text", key=PASTED, on_change=_take, max_chars=MOST_PASTED, height=160)
    if st.session_state.get(READ, Read()).setup is not None:
        _setup(state)


def _setup(state: PageState) -> None:
    """What it ran on: filled in from the files, for the reader to confirm."""
    parts = {a.id: a.name for a in state.catalog.accelerators.values()}
    columns = st.columns(5, gap="small")
    with columns[0]:
        st.selectbox("Ran on", list(parts), key=PART, format_func=parts.get)
    with columns[1]:
        st.number_input("Tensor parallel", min_value=1, max_value=128, key=TENSOR)
    with columns[2]:
        st.selectbox("Engine", list(get_args(LlmRuntime)), key=ENGINE, format_func=words)
    with columns[3]:
        st.selectbox("Weights in", list(get_args(WeightFormat)), key=WEIGHTS, format_func=words)
    with columns[4]:
        st.selectbox("KV cache in", list(get_args(KvFormat)), key=CACHE, format_func=words)


def _chosen(setup: Setup) -> Setup:
    """The setup as the controls have it."""
    chosen = st.session_state
    split = setup.split
    tensor = int(chosen.get(TENSOR) or split.tensor)
    runtime = chosen.get(ENGINE, setup.runtime)
    return Setup(
        chosen.get(PART, setup.accelerator),
        runtime,
        setup.version if runtime == setup.runtime else None,
        chosen.get(WEIGHTS, setup.weight_format),
        chosen.get(CACHE, setup.kv_format),
        split if tensor == split.tensor else Split(tensor, split.pipeline, split.attention_data, split.expert_parallel),
    )


def _take() -> None:
    """Read what was uploaded and pasted (a widget's callback); the controls beside it then show what the files say."""
    state: PageState = st.session_state["page:llm"]
    files: Sequence[Any] = st.session_state.get(FILES) or ()
    given = [(file.name, file.getvalue()) for file in files]
    if pasted := (st.session_state.get(PASTED) or "").strip():
        given.append(("pasted text", pasted.encode()))
    if not given:
        st.session_state.pop(READ, None)
        return
    try:
        results = read_all(given)
    except InputError as error:
        st.session_state[READ] = Read(problem=str(error))
        return
    setup = guess(state.scenario, planned(state.scenario, state.catalog).recommended, results, state.catalog)
    st.session_state[READ] = Read(results, setup)
    values = (setup.accelerator, setup.split.tensor, setup.runtime, setup.weight_format, setup.kv_format)
    for key, value in zip((PART, TENSOR, ENGINE, WEIGHTS, CACHE), values, strict=True):
        st.session_state[key] = value


def _forget() -> None:
    set_fields("llm", {FIELD: None})


def _shown(state: PageState, found: Comparison, results: Results, *, is_new: bool) -> None:
    """The result in a sentence, the button, the chart, the tables, and what was left out."""
    st.markdown(plain(sentence(found)))
    scenario: LlmScenario = state.scenario
    if is_new and found.measured is not None and found.measured.text() != scenario.measured_serving:
        st.button(
            "Recalibrate this scenario with them",
            key="own:recalibrate",
            type="primary",
            on_click=set_fields,
            args=("llm", {FIELD: found.measured.text()}),
        )
        if note := _will_not_count(scenario, state.catalog, found):
            st.caption(plain(note))
    times = [(name, row.cells[name]) for row in found.rows for name in TIMES if row.counts and name in row.cells]
    if times:
        left, right = st.columns([1, 1], gap="medium")
        with left:
            chart(
                _figure(times),
                key="own-chart",
                title="Predicted against measured",
                alt="Predicted time in ms against measured time in ms, for time to first token and time per output token of each run that "
                "counts, before and after the recalibration; on the line both agree",
            )
        with right:
            _memory_table(found)
    else:
        _memory_table(found)
    _run_table(found)
    for said in (*found.notes, *results.left_out)[:SHOWN_NOTES]:
        st.caption(plain(said.rstrip(".") + "."))
    st.caption(
        plain(
            "In brackets the 80 % interval; error is predicted / measured - 1, now: after the recalibration. It goes only part of the way to "
            "a few runs, as runs differ among themselves, and the interval narrows but does not vanish. How far follows from public runs "
            "(benchmarks/RECALIBRATE_LLM.md)."
        )
    )


def _will_not_count(scenario: LlmScenario, catalog: Catalog, found: Comparison) -> str | None:
    """Why the measurements would not count for the scenario as it is, if so."""
    if found.measured is None:
        return None
    trial = scenario.model_copy(update={FIELD: found.measured.text()})
    said = said_of(trial, model_of(scenario, catalog), catalog)
    return said if said and "do not count" in said else None


def sentence(found: Comparison) -> str:
    """What the files say of the prediction, in one or two sentences."""
    parts = []
    for name in ("TPOT", "TTFT", "Output"):
        cells = found.cells(name)
        if cells:
            middle = sorted(cell.error for cell in cells)[len(cells) // 2]
            way = "too high" if middle > 0 else "too low"
            called = {"TPOT": "time per output token", "TTFT": "time to first token", "Output": "output"}[name]
            parts.append(f"{called} {abs(middle) * 100:.0f} % {way}" if abs(middle) >= 0.005 else f"{called} right")
    count = sum(row.counts for row in found.rows)
    said = ""
    if parts:
        inside = [cell.is_inside for name in TIMES for cell in found.cells(name)]
        said = (
            f"In {'your run' if count == 1 else f'the median of {count} runs'} the prediction is {', '.join(parts)}; {sum(inside)} of "
            f"{len(inside)} measured times lie inside its 80 % interval."
        )
    elif found.rows:
        said = "None of these runs counts for a recalibration; the table says why."
    kv = next((row.cell for row in found.memory if row.part == "KV cache"), None)
    if kv is not None:
        said += f"{' ' if said else ''}KV cache is predicted {abs(kv.error) * 100:.1f} % {'above' if kv.error > 0 else 'below'} the log."
    return said


def _run_table(found: Comparison) -> None:
    """A line a run: each figure measured, predicted with its interval, and the error before and after; below, why one counts not."""
    if not found.rows:
        return
    names = [name for name in QUANTITIES if any(name in row.cells for row in found.rows)]
    head = ["Run (prompt + reply)"]
    for name in names:
        head += [NAMES[name], "predicted", "error"]
    shown = found.rows[:SHOWN_RUNS]
    lines = []
    for row in shown:
        cells = [part for name in names for part in _cells(row.cells.get(name))]
        run = (row.load + ("" if row.counts else " *")).replace(" ", NO_BREAK).replace(f",{NO_BREAK}", ", ")
        lines.append((run, *cells))
    table(head, lines, least_rem=10 + 14 * len(names))
    for row in [row for row in shown if row.why][:SHOWN_NOTES]:
        mark = "" if row.counts else "* does not count: "
        st.caption(plain(f"{mark}{row.load}: {row.why}."))
    if len(found.rows) > SHOWN_RUNS:
        st.caption(f"{len(found.rows) - SHOWN_RUNS:,} more runs are not shown.")


def _cells(cell: Cell | None) -> tuple[str, str, str]:
    if cell is None:
        return ("–", "–", "–")
    after = "" if cell.error_after is None else f", now {_percent(cell.error_after)}"
    predicted = f"{_short(cell.predicted)} ({_short(cell.low)} to {_short(cell.high)})"
    return _short(cell.measured), predicted, (_percent(cell.error) + after).replace(" %", f"{NO_BREAK}%")


def _short(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{share * 100:+.0f} %"


def _memory_table(found: Comparison) -> None:
    if not found.memory:
        return

    def text(value: float, unit: str) -> str:
        return f"{value:,.0f}" if unit == "tokens" else f"{value:,.2f}"

    table(
        ("Memory of one accelerator", "In the log", "Predicted", "80 % interval", "Error"),
        [
            (
                f"{row.part} ({row.unit})",
                text(row.cell.measured, row.unit),
                text(row.cell.predicted, row.unit),
                f"{text(row.cell.low, row.unit)} to {text(row.cell.high, row.unit)}"
                if row.cell.low < row.cell.high
                else "not stated by part",
                f"{row.cell.error * 100:+.1f} %",
            )
            for row in found.memory
        ],
    )


def _figure(times: Sequence[tuple[str, Cell]]) -> object:
    every = [value for _, c in times for value in (c.measured, c.predicted, c.after) if value is not None]
    low, high = min(every) / 1.2, max(every) * 1.2
    sketch = Sketch(
        x=titled("measured (ms)", **log_ticks([low, high])), y=titled("predicted (ms)", **log_ticks([low, high]))
    )
    sketch.curve(Curve("as measured", [low, high], [low, high]), INTERVAL)
    for name, symbol, colour in (("TTFT", "square", PALETTE[0]), ("TPOT", "circle", PALETTE[2])):
        cells = [c for what, c in times if what == name]
        if not cells:
            continue
        sketch.points(
            [c.measured for c in cells], [c.predicted for c in cells], f"{name} predicted", symbol=symbol, color=colour
        )
        after = [(c.measured, c.after) for c in cells if c.after is not None]
        if after:
            x, y = zip(*after, strict=True)
            sketch.points(x, y, f"{name} recalibrated", symbol=f"{symbol}-open", color=CHOSEN)
    return sketch.figure()
