"""The section that simulates one replica: bursts, spread of lengths or a trace of one's own, beside the closed form."""

from __future__ import annotations

from functools import lru_cache
from math import isnan
from typing import Any

import streamlit as st

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.llm.replay import Load, Replay, replay
from sizing.llm.serving import PERCENTILES
from sizing.llm.traces import Trace, trace_from_csv
from sizing.plan import Plan
from sizing.planner import plan as planned
from sizing.scenario import LlmScenario
from sizing.units import format_ms
from ui.charts import share_chart
from ui.draw import chart
from ui.frame import plain
from ui.results import facts, folded, table
from ui.state import PageState

TITLE = "Simulate: bursts, length spread, your own trace"
REPLAYS_KEPT = 4
MOST_REQUESTS = 20_000
"""Most requests that the page draws itself (count): simulated in about a fifth of a second."""
MOST_MEGABYTES = 4
"""Largest trace file read (MB): the most rows of a trace, at some 30 characters each."""
COLUMNS = "arrival_s, prompt_tokens, output_tokens"
QUANTITIES = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2e_ms": "E2E"}
SHOWN = {"ttft_ms": "time to first token", "e2e_ms": "end to end"}
READ = "replay:read"


def draw_replay(state: PageState, plan: Plan) -> None:
    """The closed section; nothing is simulated until it is open and switched on."""
    if plan.recommended is not None:
        folded(TITLE, "replay", lambda: _draw(state))


@lru_cache(maxsize=REPLAYS_KEPT)
def _replayed(scenario: LlmScenario, catalog: Catalog, load: Load) -> Replay | None:
    best = planned(scenario, catalog).recommended
    return None if best is None else replay(scenario, catalog, best, load)


def _draw(state: PageState) -> None:
    scenario: LlmScenario = state.scenario
    st.caption(
        "Every request of a random load, or of your own trace, on one replica of the recommended deployment, step by step: "
        "continuous batching, chunked prefill, first come first served, preemption when the KV cache is full. "
        "Bursts and the spread of lengths are those under Workload and travel in the link; a trace and this switch do not."
    )
    if not st.toggle("Simulate one replica", key="replay:on"):
        return
    load, place = _controls(scenario)
    if load is None:
        return
    try:
        done = _replayed(scenario, state.catalog, load)
    except InputError as error:
        place.markdown(f":red[{plain(str(error))}]")
        return
    if done is not None:
        _show(scenario, load, done)


def _controls(scenario: LlmScenario) -> tuple[Load | None, Any]:
    """The load that is asked for, None if a file cannot be read; and where to say what is wrong with it."""
    place = st.container(gap="xxsmall")
    file = place.file_uploader(
        "Your own trace (CSV)",
        type=["csv"],
        key="replay:file",
        max_upload_size=MOST_MEGABYTES,
        help=f"Columns {COLUMNS}: a row a request of the whole deployment. At most {MOST_MEGABYTES} MB. Each replica gets "
        "every n-th request, n the number of replicas. It is read in memory and not kept.",
    )
    trace: Trace | None = None
    if file is None:
        st.session_state.pop(READ, None)
    else:
        read = st.session_state.get(READ)
        if read is None or read[0] != file.file_id:
            read = st.session_state[READ] = (file.file_id, _read(file.getvalue()))
        if isinstance(read[1], str):
            place.markdown(f":red[{plain(read[1])}]")
            return None, place
        trace = read[1]
    requests = place.number_input(
        "Requests simulated on one replica",
        min_value=10,
        max_value=MOST_REQUESTS,
        value=1000,
        step=1000,
        key="replay:requests",
        disabled=trace is not None,
    )
    return Load(int(requests), trace=trace), place


def _read(content: bytes) -> Trace | str:
    """The trace of a file, or the sentence that says why there is none."""
    try:
        if len(content) > MOST_MEGABYTES * 1024**2:
            raise InputError("trace", f"{len(content):,} bytes", f"a file of at most {MOST_MEGABYTES} MB")
        return trace_from_csv(content.decode("utf-8"))
    except UnicodeDecodeError:
        return str(InputError("trace", "this file", f"a CSV file in UTF-8 with the columns {COLUMNS}"))
    except InputError as error:
        return str(error)


def _show(scenario: LlmScenario, load: Load, done: Replay) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        table(["", "Closed form", "Simulation", "Difference", "Limit"], _rows(scenario, done))
        facts(_facts(load, done))
    with right:
        _chart(scenario, done)
    st.caption(plain(" ".join(_notes(scenario, load, done))))


def _rows(scenario: LlmScenario, done: Replay) -> list[list[str]]:
    """Percentiles of each latency, and at the percentile of the limits whether the simulation holds them."""
    limits = {"ttft_ms": scenario.ttft_target_ms, "tpot_ms": scenario.tpot_target_ms}
    rows = []
    for name, words in QUANTITIES.items():
        closed = done.closed.get(name, (None,) * len(PERCENTILES))
        for percentile, form, simulated in zip(PERCENTILES, closed, done.simulated[name], strict=True):
            limit = limits.get(name) if percentile == scenario.slo_percentile else None
            judged = "" if limit is None or isnan(simulated) else "✓ " if simulated <= limit else "✗ "
            rows.append(
                [
                    f"{words}\u00a0p{percentile}",
                    "–" if form is None else format_ms(form),
                    "–" if isnan(simulated) else format_ms(simulated),
                    "–" if form is None or isnan(simulated) else f"{simulated / form - 1.0:+.0%}",
                    "" if limit is None else f"{judged}{format_ms(limit)}",
                ]
            )
    return rows


def _facts(load: Load, done: Replay) -> list[tuple[str, str]]:
    served = len(done.latency_ms["ttft_ms"])
    form = done.closed_requests_per_s
    rate = f"{done.requests_per_s:,.3g} requests/s" + ("" if form is None else f" (closed form {form:,.3g})")
    counted = [
        (f"Requests simulated, on one replica (of {done.replicas:,})", f"{served:,}"),
        ("Served by it, from first arrival to last reply", rate),
        ("Goodput: within both limits", f"{done.goodput_per_s:,.3g} requests/s"),
        ("Share of requests within both limits", f"{done.good_share:.1%}"),
        (
            "Preemptions",
            f"{done.preemptions:,}, of {done.preempted_requests:,} requests" if done.preemptions else "none",
        ),
        ("Peak of the KV cache", f"{done.peak_kv_tokens:,} of {done.kv_tokens:,} tokens"),
    ]
    if done.refused:
        counted.append(("Refused: longer than context or KV cache", f"{done.refused:,}"))
    return counted


def _chart(scenario: LlmScenario, done: Replay) -> None:
    shown = st.segmented_control(
        "Cumulative share of requests by",
        list(SHOWN),
        default="ttft_ms",
        format_func=lambda name: QUANTITIES[name],
        key="replay:shown",
        required=True,
    )
    limit = scenario.ttft_target_ms if shown == "ttft_ms" else None
    closed = done.closed.get(shown, ())
    chart(
        share_chart(
            done.latency_ms[shown].tolist(),
            closed=dict(zip(PERCENTILES, closed, strict=False)),
            limit=limit,
            limit_name=f"{QUANTITIES[shown]} limit {format_ms(limit)}" if limit is not None else "",
            percentile=scenario.slo_percentile,
            x_title=f"{SHOWN[shown]} (ms)",
        ),
        key="replay-chart",
        title=f"Share of requests by {SHOWN[shown]}",
        alt=f"Cumulative share of simulated requests by {SHOWN[shown]} in ms, with the percentiles of the closed form and "
        "the limit",
    )


def _notes(scenario: LlmScenario, load: Load, done: Replay) -> list[str]:
    said = []
    if not done.closed:
        said.append("There is no closed form here: requests come faster than the replica can serve them for long.")
    elif load.trace is not None:
        said.append(
            "The closed form takes the trace's mean rate, its mean lengths and their spread, and the burstiness under Workload."
        )
    elif scenario.requests_per_s is None:
        said.append(
            "The closed form takes lengths at their mean. Measured clients come in bunches, which the closed form has and "
            "the simulation has not: its first tokens come sooner."
        )
    else:
        said.append("The closed form is what the answer above rests on; bursts and spread enter it by approximation.")
    said.append(
        "Both take the centre of the speed model; its interval is not drawn here. Bursts are those that reach one replica."
    )
    return said
