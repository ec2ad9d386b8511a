"""A load test's result beside the prediction, load by load, with what differs in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import streamlit as st

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.scenario import StatisticalScenario
from sizing.statistical.invert import Inverted
from sizing.statistical.load_compare import Row, Setup, Times, compared, predicted
from sizing.statistical.load_records import LoadRecord, LoadResults
from sizing.statistical.measured import FIELD
from sizing.units import format_ms, format_usd
from ui.frame import plain
from ui.results import table
from ui.state import PageState

SHOWN_LOADS = 12
SHOWN_LEFT_OUT = 4

Pairs = tuple[tuple[LoadRecord, Setup], ...]


@dataclass(frozen=True)
class Read:
    """What was read last and what it gave, or the sentence that says why it cannot be used."""

    problem: str | None = None
    found: LoadResults | None = None
    seeds: tuple[tuple[str, object], ...] = ()
    text: str | None = None
    inverted: Inverted | None = None


def without_test(scenario: StatisticalScenario, how: Inverted | None) -> StatisticalScenario:
    """The scenario without what the test gave it."""
    changes: dict[str, object] = {FIELD: None}
    if how is not None and how.cv_fitted and how.cv == scenario.service_cv:
        changes["service_cv"] = None
    return scenario.model_copy(update=changes)


@lru_cache(maxsize=8)
def _rows(
    plain_scenario: StatisticalScenario,
    scenario: StatisticalScenario,
    catalog: Catalog,
    pairs: Pairs,
) -> tuple[tuple[Row, Times], ...]:
    """Each load beside the prediction without and with the scenario's measurements."""
    before = compared(plain_scenario, catalog, [r for r, _ in pairs], [s for _, s in pairs])
    return tuple((row, predicted(scenario, catalog, row.record, row.setup)) for row in before)


def draw_result(state: PageState, read: Read, pairs: Pairs) -> None:
    """The comparison, load by load, and what differs."""
    assert read.found is not None
    pairs = pairs[:SHOWN_LOADS]
    try:
        rows = _rows(without_test(state.scenario, read.inverted), state.scenario, state.catalog, pairs)
    except InputError as error:
        st.markdown(f":red[{plain(str(error))}]")
        return
    how = read.inverted
    if how is not None:
        outside = f", and {format_ms(how.outside_ms)} outside the workers" if how.outside_ms else ""
        spread = (
            f"a spread (CV) of {how.cv:g} fits its percentiles" if how.cv_fitted else f"taken at the CV of {how.cv:g}"
        )
        st.markdown(
            f"Service time of a request: **{format_ms(how.service_ms)}** ± {how.sd:.0%} (one standard deviation){plain(outside)}; "
            f"{spread}. It is the measured time at this load less the time spent waiting, as the queue model gives it."
        )
    outside_ms = 0.0 if how is None else how.outside_ms
    lines = [line for row, after in rows for line in _lines(row, after, outside_ms)]
    table(("Load", "", "Mean", "p50", "p95", "p99", "Utilization", "USD per hour", "USD per 1M"), lines, least_rem=44)
    for row, _ in rows:
        said = [*row.causes, *([row.record.note] if row.record.note else [])]
        if said:
            st.markdown(f"**{plain(row.record.label)}**\n" + "\n".join(f"- {plain(sentence)}" for sentence in said))
    left_out = [*read.found.left_out, *(how.left_out if how else ())]
    for sentence in left_out[:SHOWN_LEFT_OUT]:
        st.caption(plain(f"Left out: {sentence}."))
    if len(left_out) > SHOWN_LEFT_OUT:
        st.caption(f"{len(left_out) - SHOWN_LEFT_OUT:,} more loads are left out.")


def _lines(row: Row, after: Times, outside_ms: float) -> list[tuple[str, ...]]:
    """Measured, predicted and recalibrated, a line each."""
    record = row.record
    answered = "" if record.requests is None else f", {record.requests:,} replies"
    rate = "" if record.requests_per_s is None else f"{record.requests_per_s:,.4g}/s"
    cpu = "–" if record.cpu_percent is None else f"{record.cpu_percent:.0f} % CPU"
    measured = (*(format_ms(x) for x in (record.mean_ms, record.p50_ms, record.p95_ms, record.p99_ms)), cpu)
    predicted_usd = _usd(row.usd_per_hour, row.usd_per_inference)
    measured_usd = _usd(record.usd_per_hour, record.usd_per_inference)
    return [
        (f"{rate or record.label}{answered}", "measured", *measured, *measured_usd),
        (_most(row.predicted), "predicted", *_cells(row.predicted, 0.0), *predicted_usd),
        (_most(after), "recalibrated", *_cells(after, outside_ms), "", ""),
    ]


def _most(times: Times) -> str:
    return f"stable below {times.most_per_s:,.4g}/s"


def _cells(times: Times, outside_ms: float) -> tuple[str, ...]:
    if not math.isfinite(times.mean_ms):
        return ("not stable",) * 4 + (f"{times.utilization:.0%}",)
    found = (times.mean_ms, times.p50_ms, times.p95_ms, times.p99_ms)
    return (*(format_ms(value + outside_ms) for value in found), f"{times.utilization:.0%}")


def _usd(hourly: float | None, each: float | None) -> tuple[str, str]:
    """USD per hour and per million requests."""
    return format_usd(hourly), format_usd(None if each is None else each * 1e6)
