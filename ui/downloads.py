"""What a reader takes away: the scenario, the ranking and the plan as files, and the link as text."""

from __future__ import annotations

import csv
import io
import json

import streamlit as st

from sizing import link as links
from sizing.plan import Plan
from sizing.scenario import scenario_to_yaml
from ui.frame import page_address


def ranking_csv(plan: Plan) -> str:
    """CSV of the ranking, dropped kinds of instance included with their reason; costs in USD, month of 730 h."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["instance", "provider", "region", "accelerator", "instances", "replicas", "batch", "utilization", "usd_per_hour"]
        + ["usd_per_month", "usd_per_1k_requests", "price_date", "price_marks", "status", "reason", "smallest_change"]
    )
    for d in plan.ranked:
        c = d.cost
        writer.writerow(
            [d.instance_type, d.provider, d.region, d.accelerator or "", d.instances, d.replicas, d.batch or "", d.utilization]
            + [c.usd_per_hour, c.usd_per_month, c.usd_per_1k_requests, c.price_date, "; ".join(c.price_marks), "meets", "", ""]
        )
    for r in plan.rejected:
        writer.writerow(
            [r.instance_type, r.provider, "", r.accelerator or "", *[""] * 9, "dropped", f"{r.constraint}: {r.because}", r.remedy or ""]
        )
    return out.getvalue()


def take_away(plan: Plan) -> None:
    """Download buttons and the link as text."""
    st.subheader("Take away", anchor="take-away")
    stem = plan.scenario.kind.replace("_", "-")
    with st.container(horizontal=True):
        st.download_button(
            "Ranking (CSV)", ranking_csv(plan), f"{stem}-ranking.csv", "text/csv", icon=":material/download:", on_click="ignore"
        )
        st.download_button(
            "Scenario (YAML)",
            scenario_to_yaml(plan.scenario),
            f"{stem}-scenario.yaml",
            "application/yaml",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Plan (JSON)",
            json.dumps(plan.as_json(), indent=2),
            f"{stem}-plan.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
        )
    st.caption("The link opens this page with every input as it is now, under the same catalog:")
    st.code(links.to_link(plan.scenario, catalog_version=plan.catalog, base=page_address()), language=None, wrap_lines=True)
