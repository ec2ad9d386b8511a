"""What a reader takes away: report, snapshot, scenario, ranking and plan as files, and the links as text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from html import escape
from typing import Any

import streamlit as st

from sizing import link as links
from sizing import snapshot
from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.plan import Deployment, Plan
from sizing.scenario import AnyScenario, StatisticalScenario, scenario_to_yaml
from sizing.statistical.recommendations import recommendation
from sizing.units import GIB
from ui import plain_words
from ui.frame import page_address
from ui.report import report_html
from ui.results import folded

_COLUMNS = (
    *("instance", "provider", "region", "accelerator", "accelerators", "instances", "replicas", "tp", "pp", "batch"),
    *("runtime", "weight_format", "kv_format", "utilization", "requests_per_s", "capacity_requests_per_s"),
    *("memory_used_gib", "memory_capacity_gib"),
    *("usd_per_hour", "usd_per_month", "usd_per_1k_requests", "usd_per_million_output_tokens"),
    *("price_basis", "price_date", "price_marks", "price_source"),
)
_LAST_COLUMNS = ("status", "reason", "smallest_change")
IFRAME_HEIGHT_PX = 900


def file_stem(scenario: AnyScenario) -> str:
    """Begin of the names of all files of a scenario: its kind and its model.

    >>> from sizing.scenario import LlmScenario
    >>> file_stem(LlmScenario())
    'llm-llama-3.1-8b'
    """
    model = scenario.family if isinstance(scenario, StatisticalScenario) else scenario.model
    own = isinstance(scenario, StatisticalScenario) and scenario.custom_model is not None
    parts = (scenario.kind.replace("_", "-"), model, "own-file" if own else "")
    return re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(filter(None, parts)))


def ranking_csv(plan: Plan) -> str:
    """CSV of the ranking, dropped kinds of instance included with their reason; costs in USD, month of 730 h.

    Each latency has its percentiles and 80 % interval [ms]; statistical models have the columns of the services that
    load-test instances beside it.
    """
    statistical = plan.kind == "statistical"
    rows = [(asdict(recommendation(d)) if statistical else {}) | _row(d) for d in plan.ranked]
    columns = dict.fromkeys((*_COLUMNS, *(name for row in rows for name in row), *_LAST_COLUMNS))
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    for r in plan.rejected:
        facts = {"instance": r.instance_type, "provider": r.provider, "accelerator": r.accelerator, "status": "dropped"}
        writer.writerow({**facts, "reason": f"{r.constraint}: {r.because}", "smallest_change": r.remedy or ""})
    return out.getvalue()


def _row(d: Deployment) -> dict[str, Any]:
    """One deployment by column; None, what does not apply, is an empty cell."""
    row: dict[str, Any] = {
        name: getattr(part, name) for part in (d.cost, d) for name in _COLUMNS if hasattr(part, name)
    }
    rate, memory, degrees = (
        d.throughput.requests_per_s,
        d.memory_per_accelerator or d.memory_per_instance,
        d.parallelism,
    )
    row |= {
        "instance": d.instance_type,
        "tp": degrees.tp if degrees else None,
        "pp": degrees.pp if degrees else None,
        "requests_per_s": rate.demanded,
        "capacity_requests_per_s": rate.capacity,
        "memory_used_gib": memory.used_bytes / GIB if memory else None,
        "memory_capacity_gib": memory.capacity_bytes / GIB if memory else None,
        "price_marks": "; ".join(d.cost.price_marks),
        "status": "meets",
    }
    for name, latency in d.latency_ms.items():
        row |= {f"{name}_{of}_ms": getattr(latency, of) for of in ("p50", "p95", "p99")}
        row |= {f"{name}_{latency.interval_of}_{end}_ms": getattr(latency, end) for end in ("low", "high")}
    return row


def take_away(plan: Plan, catalog: Catalog, *, linkable: bool) -> None:
    """Download buttons (the files are made when asked for, from the plan as it is on screen) and the links as text."""
    st.subheader("Take away", anchor="take-away")
    base, today, stem = page_address(), date.today(), file_stem(plan.scenario)
    files: tuple[tuple[str, Callable[[], str], str, str, str], ...] = (
        (
            "Report (HTML)",
            lambda: report_html(plan, catalog, base=base, created=today),
            "report.html",
            "text/html",
            "One page with everything, charts included: opens offline, prints to PDF..",
        ),
        (
            "Snapshot (JSON)",
            lambda: snapshot.to_json(plan, created=today),
            "snapshot.json",
            "application/json",
            "All figures frozen, with a checksum: opens on the start page without being computed again.",
        ),
        (
            "Ranking (CSV)",
            lambda: ranking_csv(plan),
            "ranking.csv",
            "text/csv",
            "Every machine type searched, also the dropped ones, with costs, latencies and reasons.",
        ),
        (
            "Scenario (YAML)",
            lambda: f"# catalog: {plan.catalog}\n{scenario_to_yaml(plan.scenario)}",
            "scenario.yaml",
            "application/yaml",
            "Every input: opens on the start page and on the command line.",
        ),
        (
            "Plan (JSON)",
            lambda: json.dumps(plan.as_json(), indent=2, allow_nan=False),
            "plan.json",
            "application/json",
            "The whole answer for programs, as python -m sizing plan --json prints it.",
        ),
    )
    with st.container(horizontal=True):
        for label, made, name, mime, hint in files:
            st.download_button(
                label,
                made,
                f"{stem}-{name}",
                mime,
                icon=":material/download:",
                on_click="ignore",
                help=hint,
            )
    if not linkable:
        st.caption("These inputs are more than a link holds; the YAML file has them all.")
        return
    st.caption("**The page**, for whoever works on it: every input as it is now, under the same catalog.")
    st.code(links.to_link(plan.scenario, catalog_version=plan.catalog, base=base), language=None)
    summary = _summary_link(plan, base)
    if summary is None:
        return
    st.caption("**The summary**, for whoever decides: the same answer in plain words, without controls.")
    st.code(summary, language=None)
    folded("Embed the summary in a wiki page", "embed", lambda: _embed(plan, summary))


def _summary_link(plan: Plan, base: str) -> str | None:
    """Link of the summary; None where its few more characters are too many."""
    try:
        return links.to_link(plan.scenario, catalog_version=plan.catalog, base=base, view=links.SUMMARY)
    except InputError:
        return None


def iframe(plan: Plan, summary: str) -> str:
    """HTML that shows the summary within another page."""
    title = escape(plain_words.tab_title(plan))
    address = escape(f"{summary}&embed=true")
    return (
        f'<iframe src="{address}" title="{title}"\n'
        f'  width="100%" height="{IFRAME_HEIGHT_PX}" style="border:0" loading="lazy"></iframe>'
    )


def _embed(plan: Plan, summary: str) -> None:
    st.caption("Paste this where the wiki takes HTML. It shows these figures, and always under the same catalog.")
    st.code(iframe(plan, summary), language="html", wrap_lines=True)
