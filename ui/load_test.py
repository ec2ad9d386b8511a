"""The section on the load test: what to run and why so long, and its result beside the prediction, taken into the scenario.

An upload is applied when it or what was said of it changes; what it gave travels in the scenario, so a link needs no upload.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import streamlit as st

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.plan import Deployment, Plan
from sizing.scenario import StatisticalScenario
from sizing.statistical import load_k6, load_locust
from sizing.statistical.candidate import model_of
from sizing.statistical.load_compare import (
    Setup,
    catalog_machines,
    machine_of,
    measurement,
    workers_on,
)
from sizing.statistical.load_records import LoadRecord, LoadResults
from sizing.statistical.load_results import MAX_BYTES, read_load_results
from sizing.statistical.load_test import LoadTest, load_test, reasons
from sizing.statistical.measured import FIELD, HOST, parse_measured
from sizing.statistical.plan import plan as plan_of
from sizing.statistical.recalibration import said_of
from sizing.units import format_ms, format_usd
from ui.frame import plain
from ui.load_result import Read, draw_result, without_test
from ui.results import folded
from ui.state import PageState, adopt, set_fields

TITLE = "Load test: run it, and bring the result back"
OWN = "own"
FILE, READ, SUBJECT, STAGED, PRECISION = (f"load:{name}" for name in ("file", "read", "subject", "staged", "precision"))
MACHINE, FACTOR, COUNT, WORKERS, ROWS, LOOP, USERS, OUTSIDE = (
    f"load:{name}" for name in ("machine", "factor", "count", "workers", "rows", "loop", "users", "outside")
)
LOOPS = {
    "open": "At random, not waiting for replies",
    "even": "Evenly spaced (k6 arrival rate)",
    "closed": "Users who each wait for their reply",
}
PRECISIONS = {0.2: "±20 %", 0.1: "±10 %", 0.05: "±5 %"}


def draw_load_test(state: PageState, plan: Plan) -> None:
    """The closed section; its title says whether measurements are in use."""
    title = TITLE if state.scenario.measured_service is None else f"{TITLE} (measurements in use)"
    folded(plain(title), "load_test", lambda: _draw(state, plan))


def _draw(state: PageState, plan: Plan) -> None:
    best = plan.recommended
    if best is not None:
        _take_away(state.scenario, best)
    st.markdown("**The result**")
    st.caption(
        f"Upload {load_locust.RESULT} or {load_k6.RESULT} of the files above, Locust's _stats.csv or _stats_history.csv, the JSON of "
        "any k6 run (handleSummary or --summary-export), or that of a SageMaker Inference Recommender job "
        "(describe-inference-recommendations-job). It is read in memory and not kept; the service time found goes into the scenario "
        "and its link, and the plan above is made with it."
    )
    st.file_uploader(
        "Result of a load test (CSV or JSON)", type=["csv", "json"], key=FILE, on_change=_take, max_upload_size=2
    )
    read: Read = st.session_state.get(READ, Read())
    if read.found is not None:
        _controls(state, read)
    if read.problem is not None:
        st.markdown(f":red[{plain(read.problem)}]")
    elif read.found is not None:
        draw_result(state, read, tuple(_setups(state, read.found)))
    if state.scenario.measured_service is not None:
        _in_use(state, plan, read)


def _take_away(scenario: StatisticalScenario, best: Deployment) -> None:
    left, middle, right = st.columns(3, gap="small", vertical_alignment="bottom")
    whole = f"All {best.instances} instances" if best.instances > 1 else "The instance"
    with left:
        names = (
            {"deployment": whole, "instance": "One instance, its share"}
            if best.instances > 1
            else {"deployment": whole}
        )
        if st.session_state.get(SUBJECT) not in names:
            st.session_state[SUBJECT] = "deployment"
        subject: Literal["deployment", "instance"] = st.selectbox(
            "Test of", list(names), key=SUBJECT, format_func=names.get
        )
    with middle:
        precision = st.selectbox(
            "Percentile known to",
            list(PRECISIONS),
            index=1,
            key=PRECISION,
            format_func=PRECISIONS.get,
            help="One standard deviation of what a test of this length reports. Half of it needs four times as many requests.",
        )
    with right:
        staged = st.toggle(
            "Steps up to 90 % of capacity",
            key=STAGED,
            help="Five loads one after the other, to find where p99 leaves the prediction.",
        )
    test = load_test(scenario, best, subject=subject, staged=staged, precision=precision)
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in reasons(scenario, test, precision=precision)))
    st.caption("ENDPOINT in the commands is the address of your server: scheme, host and port.")
    locust, k6 = st.columns(2, gap="medium")
    with locust:
        _file(
            "Locust", load_locust.FILE, load_locust.locust_file(test), load_locust.locust_command(test), "text/x-python"
        )
        st.caption(
            "Open loop: one Locust user keeps the clock and starts requests at random moments (Poisson), whether or not others have "
            "been answered; times count from when a request was due, and its own lateness is reported."
        )
    with k6:
        _file("k6", load_k6.FILE, load_k6.k6_script(test), load_k6.k6_command(), "text/javascript")
        st.caption(_k6_said(test))


def _k6_said(test: LoadTest) -> str:
    return (
        "k6 spaces arrivals evenly, and p99 of such traffic is 0.15 to 0.7 of that of random traffic. So each iteration first waits a "
        f"random time of up to {load_k6.spread_s(test):.3g} s, which makes arrivals random; p99 is then 2 to 6 % low. Limits of the "
        "scenario are thresholds of the script."
    )


def _file(tool: str, name: str, text: str, command: str, mime: str) -> None:
    st.markdown(f"**{tool}**")
    st.code(command, language="bash", wrap_lines=True)
    st.download_button(name, text, name, mime, icon=":material/download:", on_click="ignore", key=f"load:{name}")


def _machine_names(catalog: Catalog) -> dict[str, str]:
    named = {i.id: f"{i.instance_type} ({i.provider})" for i in catalog_machines(catalog).values()}
    return {**named, OWN: "A machine of your own"}


def _controls(state: PageState, read: Read) -> None:
    """What was tested: seeded from the file, to be corrected by the reader."""
    for key, value in read.seeds:
        st.session_state.setdefault(key, value)
    names = _machine_names(state.catalog)
    first, second, third = st.columns(3, gap="small")
    with first:
        st.selectbox("Measured on", list(names), key=MACHINE, format_func=names.get, on_change=_apply)
        if st.session_state[MACHINE] == OWN:
            st.number_input(
                "Its time factor",
                min_value=0.05,
                max_value=20.0,
                step=0.05,
                key=FACTOR,
                on_change=_apply,
                help="Time of its core over that of the catalog's host (AMD EPYC of 2017, 2.0 GHz); 0.44 is a Zen 5, 0.64 a Zen 3.",
            )
        st.number_input(
            "Time outside the workers (ms), if known",
            min_value=0.0,
            max_value=60_000.0,
            value=None,
            key=OUTSIDE,
            placeholder="told by several loads, else 0",
            on_change=_apply,
            help="Network round trip and the client's own time, in which no worker is busy. Loads of different rates tell it from service; one load alone cannot, and counts all of it as service.",
        )
    with second:
        st.number_input("Instances behind the address", min_value=1, max_value=10_000, key=COUNT, on_change=_apply)
        st.number_input("Workers on each", min_value=1, max_value=1024, key=WORKERS, on_change=_apply)
    with third:
        st.number_input("Rows in a request", min_value=1, max_value=1_000_000, key=ROWS, on_change=_apply)
        st.selectbox("Requests were sent", list(LOOPS), key=LOOP, format_func=LOOPS.get, on_change=_apply)
        if st.session_state[LOOP] == "closed":
            st.number_input("Users in all", min_value=1, max_value=1_000_000, key=USERS, on_change=_apply)


def _take() -> None:
    """Read the file, fill in what it says of the test, and apply it; if that cannot be, say so and change nothing."""
    state: PageState = st.session_state["page:statistical"]
    file = st.session_state.get(FILE)
    if file is None:
        st.session_state.pop(READ, None)
        return
    try:
        content = file.getvalue()
        if len(content) > MAX_BYTES:
            raise InputError("file", f"{len(content):,} bytes", f"at most {MAX_BYTES:,} bytes")
        found = read_load_results(content)
    except InputError as error:
        st.session_state[READ] = Read(problem=str(error))
        return
    seeds = _seeds(state, found.records[0])
    for key, value in seeds:
        st.session_state[key] = value
    st.session_state.pop(OUTSIDE, None)
    st.session_state[READ] = Read(found=found, seeds=seeds)
    _apply()


def _seeds(state: PageState, record: LoadRecord) -> tuple[tuple[str, object], ...]:
    """What the file says of the test, and where it does not, what the plan has."""
    scenario, catalog = state.scenario, state.catalog
    best = plan_of(scenario, catalog).recommended
    machine = machine_of(record, catalog)
    factor = 1.0
    if record.instance is not None and record.instance.startswith(HOST):
        machine, factor = OWN, _factor_of(record.instance)
    if machine is None:
        machine = best.instance if best is not None else next(iter(catalog_machines(catalog)))
    same = best is not None and best.instance == machine
    count = best.instances if same and best is not None else 1
    return (
        (MACHINE, machine),
        (FACTOR, factor),
        (COUNT, record.instances or count),
        (WORKERS, min(1024, record.workers or workers_on(scenario, catalog, machine))),
        (ROWS, record.rows or scenario.rows_per_request),
        (LOOP, "closed" if record.loop == "closed" else "even" if record.evenly_spaced else "open"),
        (USERS, record.users or 1),
    )


def _factor_of(machine: str) -> float:
    try:
        return min(20.0, max(0.05, float(machine.removeprefix(HOST))))
    except ValueError:
        return 1.0


def _apply() -> None:
    """Find the service time of what was read and change the scenario by it."""
    state: PageState = st.session_state["page:statistical"]
    read: Read = st.session_state.get(READ, Read())
    if read.found is None:
        return
    try:
        chosen = [(r, s) for r, s in _setups(state, read.found) if s.machine == _machine()]
        if not chosen:
            raise InputError("Measured on", _machine(), "a machine that the file has a load of")
        outside = st.session_state.get(OUTSIDE)
        found, how = measurement(state.scenario, [r for r, _ in chosen], [s for _, s in chosen], outside_ms=outside)
        text = parse_measured(found.text()).text()
        changes: dict[str, object] = {FIELD: text}
        if how.cv_fitted:
            changes["service_cv"] = how.cv
        adopt(state, changes, keep=type(state.scenario).model_fields)
    except InputError as error:
        st.session_state[READ] = Read(problem=str(error), found=read.found, seeds=read.seeds)
    else:
        st.session_state[READ] = Read(found=read.found, seeds=read.seeds, text=text, inverted=how)


def _machine() -> str:
    """The machine chosen, as the scenario's measurement names it."""
    chosen = str(st.session_state[MACHINE])
    if chosen != OWN:
        return chosen
    return f"{HOST}{round(float(st.session_state.get(FACTOR) or 1.0), 4):g}"


def _setups(state: PageState, found: LoadResults) -> list[tuple[LoadRecord, Setup]]:
    """Each load with what it ran on: as the controls say; a Recommender's loads on the instance each names."""
    value = st.session_state.get
    made = []
    for record in found.records:
        machine, count = _machine(), int(value(COUNT) or 1)
        workers, users = int(value(WORKERS) or 1), int(value(USERS) or 1)
        if found.tool == "recommender":
            own = machine_of(record, state.catalog)
            if own is not None and own != machine:
                machine, workers = own, workers_on(state.scenario, state.catalog, own)
            count = record.instances or count
            users = record.users or users
        if found.tool == "locust_history":
            users = record.users or users
        loop: Literal["open", "even", "closed"] = value(LOOP, "open")
        setup = Setup(machine, count, workers, int(value(ROWS) or 1), loop, users if loop == "closed" else None)
        made.append((record, setup))
    return made


_without = lru_cache(maxsize=4)(plan_of)


def _in_use(state: PageState, plan: Plan, read: Read) -> None:
    """The measurement that counts, what it changed, and the way to take it out."""
    scenario: StatisticalScenario = state.scenario
    measured = parse_measured(scenario.measured_service or "")
    said = said_of(scenario, state.catalog, model_of(scenario, state.catalog).calibration)
    points = ", ".join(
        f"{rows:,} row{'' if rows == 1 else 's'}: {format_ms(ms)}"
        for rows, ms in zip(measured.rows, measured.times_ms, strict=True)
    )
    st.markdown(plain(f"{said} In use: {points}."))
    before, after = _without(without_test(scenario, read.inverted), state.catalog).recommended, plan.recommended
    st.caption(plain(f"Without it the answer would be {_answer(before)}; with it, {_answer(after)}."))
    st.button("Remove the measurement", key="load:remove", on_click=_forget)


def _answer(best: Deployment | None) -> str:
    if best is None:
        return "none, as no instance serves it"
    return f"{best.instances} × {best.instance_type} at {format_usd(best.cost.usd_per_month)} a month"


def _forget() -> None:
    """Take the measurement out, and the spread that came with it."""
    read: Read = st.session_state.pop(READ, Read())
    state: PageState = st.session_state["page:statistical"]
    before = without_test(state.scenario, read.inverted)
    set_fields("statistical", {FIELD: None, "service_cv": before.service_cv})
