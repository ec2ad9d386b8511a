"""What a reader takes away: the scenario, the ranking and the plan as files, and the link as text."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

import streamlit as st

from sizing import link as links
from sizing.plan import Plan
from sizing.scenario import scenario_to_yaml
from sizing.statistical.recommendations import recommendation
from ui.frame import page_address

_COLUMNS = (
    *("instance", "provider", "region", "accelerator", "instances", "replicas", "batch", "utilization"),
    *("usd_per_hour", "usd_per_month", "usd_per_1k_requests", "price_date", "price_marks"),
    *("status", "reason", "smallest_change"),
)


def ranking_csv(plan: Plan) -> str:
    """CSV of the ranking, dropped kinds of instance included with their reason; costs in USD, month of 730 h.

    Statistical models have the columns of the services that load-test instances beside it.
    """
    rows = [asdict(recommendation(d)) if plan.kind == "statistical" else {} for d in plan.ranked]
    more = [name for name in (rows[0] if rows else {}) if name not in _COLUMNS]
    out = io.StringIO()
    writer = csv.DictWriter(out, [*_COLUMNS, *more], restval="", lineterminator="\n")
    writer.writeheader()
    for d, row in zip(plan.ranked, rows, strict=True):
        known = row | {name: getattr(part, name) for part in (d, d.cost) for name in _COLUMNS if hasattr(part, name)}
        marks = "; ".join(d.cost.price_marks)
        writer.writerow({**known, "instance": d.instance_type, "price_marks": marks, "status": "meets"})
    for r in plan.rejected:
        facts = {"instance": r.instance_type, "provider": r.provider, "accelerator": r.accelerator, "status": "dropped"}
        writer.writerow({**facts, "reason": f"{r.constraint}: {r.because}", "smallest_change": r.remedy or ""})
    return out.getvalue()


def take_away(plan: Plan, *, linkable: bool) -> None:
    """Download buttons (the files are made when asked for) and the link as text."""
    st.subheader("Take away", anchor="take-away")
    stem = plan.scenario.kind.replace("_", "-")
    with st.container(horizontal=True):
        st.download_button(
            "Ranking (CSV)",
            lambda: ranking_csv(plan),
            f"{stem}-ranking.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Scenario (YAML)",
            lambda: scenario_to_yaml(plan.scenario),
            f"{stem}-scenario.yaml",
            "application/yaml",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Plan (JSON)",
            lambda: json.dumps(plan.as_json(), indent=2),
            f"{stem}-plan.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
        )
    if not linkable:
        st.caption("These inputs are more than a link holds; the YAML file has them all.")
        return
    st.caption("The link opens this page with every input as it is now, under the same catalog:")
    st.code(
        links.to_link(plan.scenario, catalog_version=plan.catalog, base=page_address()), language=None, wrap_lines=True
    )
