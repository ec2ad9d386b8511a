"""The ranking of a statistical model in the columns of the services that load-test instances."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from sizing.plan import Deployment
from sizing.statistical.recommendations import DEFINITIONS, Recommendation, recommendation
from ui.frame import folding, plain

INSTANCES_PX = 205
"""Width of the first column [px]: with the longest type in full, the others would not fit a screen of 1,280 px."""

TITLE = "All columns of the table below, and what each means"
KEY = "ranking-columns"
NOTE = (
    "As a load test would list them, but at the demanded load, and before it. Model latency is the predict call on the "
    "instance; in system adds queue and web server; neither has the network in it. CPU is busy vCPUs of all vCPUs."
)


def draw_table(ranked: Sequence[Deployment]) -> None:
    """The table, nine columns wide at first; with the section above it open, all columns, and what each is."""
    if not ranked:
        return
    with folding(TITLE, KEY) as section:
        everything = bool(section.open)
        if everything:
            lines = [f"- **{plain(_HEADS[field])}**: {plain(text)}" for field, text in DEFINITIONS.items()]
            st.markdown("\n".join(lines))
    percentile = ranked[0].verdicts[-1].percentile
    rows = [_row(recommendation(d), percentile, everything=everything) for d in ranked]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        alt="Deployments that meet the scenario, by cost per month, as load-test services list them",
        column_config={"Instances": st.column_config.Column(width=INSTANCES_PX)}
        | {name: _column(name) for name in rows[0] if name != "Instances"},
    )
    st.caption(plain(NOTE))


_HEADS = {
    "initial_instance_count": "Instances",
    "cost_per_hour_usd": "USD/hour",
    "cost_per_inference_usd": "USD/1M inferences",
    "max_invocations_per_minute": "Max invocations/min",
    "model_latency_p99_ms": "Model latency (ms)",
    "time_in_system_p99_ms": "In system (ms)",
    "cpu_utilization_percent": "CPU (%)",
    "memory_utilization_percent": "Memory (%)",
    "workers_per_instance": "Workers each",
}


def _row(r: Recommendation, percentile: int, *, everything: bool) -> dict[str, object]:
    percentiles = (50, 95, 99) if everything else (percentile,)
    row: dict[str, object] = {"Instances": f"{r.initial_instance_count} × {r.instance_type} ({r.provider})"}
    if everything:
        row["Workers each"] = r.workers_per_instance
    row |= {
        "USD/month": r.cost_per_month_usd,
        "USD/hour": r.cost_per_hour_usd,
        "USD/1M inferences": r.cost_per_inference_usd * 1e6,
        "Max invocations/min": round(r.max_invocations_per_minute),
    }
    row |= {f"Model latency p{p} (ms)": getattr(r, f"model_latency_p{p}_ms") for p in percentiles}
    row |= {f"In system p{p} (ms)": getattr(r, f"time_in_system_p{p}_ms") for p in percentiles}
    return row | {"CPU (%)": r.cpu_utilization_percent, "Memory (%)": r.memory_utilization_percent}


_FORMATS = {
    "USD/month": ("dollar", "cost_per_hour_usd"),
    "USD/hour": ("$%.4g", "cost_per_hour_usd"),
    "USD/1M inferences": ("$%.4g", "cost_per_inference_usd"),
    "Max invocations/min": ("localized", "max_invocations_per_minute"),
    "CPU (%)": ("%.0f", "cpu_utilization_percent"),
    "Memory (%)": ("%.0f", "memory_utilization_percent"),
    "Workers each": ("%d", "workers_per_instance"),
}


def _column(name: str) -> object:
    """Format and definition of a column."""
    other = "model_latency_p99_ms" if name.startswith("Model") else "time_in_system_p99_ms"
    form, field = _FORMATS.get(name, ("%.3g", other))
    step = 1 if form == "localized" else None
    return st.column_config.NumberColumn(format=form, help=DEFINITIONS[field], step=step)
