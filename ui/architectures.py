"""The section of x86 against Arm: the best of each side by side, every cloud's best, and whether it is decided."""

from __future__ import annotations

import streamlit as st

from sizing.catalog import Catalog
from sizing.plan import Plan
from sizing.scenario import StatisticalScenario
from sizing.statistical.architectures import ARCH_WORDS, ARM_PACKAGES, Side, compare, verdict_words
from sizing.units import format_ms, format_usd
from ui.frame import plain
from ui.inputs import words
from ui.results import folded, table

TITLE = "x86 against Arm"


def draw_architectures(scenario: StatisticalScenario, catalog: Catalog, plan: Plan) -> None:
    """The folded section; both sides are sized anew at the ends of their CPU speeds once it is open."""
    if plan.recommended is not None:
        folded(TITLE, "architectures", lambda: _draw(scenario, catalog, plan))


def _draw(scenario: StatisticalScenario, catalog: Catalog, plan: Plan) -> None:
    found = compare(scenario, catalog, plan.ranked)
    st.markdown(plain(verdict_words(found)))
    sides = [side for side in (found.x86, found.arm) if side is not None]
    if len(sides) == 2:
        table(("", *(f"Best on {ARCH_WORDS[side.arch]}" for side in sides)), _side_by_side(sides))
        p = sides[0].deployment.verdicts[-1].percentile
        st.caption(
            plain(
                f"p{p} in system: the 80 % intervals {'lie apart' if found.latency_decided else 'overlap, so not decided'}. "
                "In brackets, the cost from the fast to the slow end of the CPU speed, each sized anew on the same type of instance."
            )
        )
    st.markdown("**The best of each cloud**, by cost")
    table(
        ("Cloud", "Kind", "Instances", "$/month (fast to slow CPU)", "p99 in system", "CPU"),
        [
            (
                words(side.deployment.provider),
                ARCH_WORDS[side.arch],
                f"{side.deployment.instances} × {side.deployment.instance_type}",
                f"{format_usd(side.deployment.cost.usd_per_month)} ({_ends(side)})",
                format_ms(side.deployment.latency_ms["time_in_system"].p99),
                side.core,
            )
            for side in found.by_provider
        ],
        least_rem=40,
    )
    st.caption(plain(ARM_PACKAGES))


def _ends(side: Side) -> str:
    fast, slow = side.usd_per_month_fast, side.usd_per_month_slow
    if fast is None:
        return "not served at either end"
    if fast == slow:
        return "at both ends"
    return f"{format_usd(fast)} to " + ("not served" if slow is None else format_usd(slow))


def _side_by_side(sides: list[Side]) -> list[list[str]]:
    rows: list[list[str]] = []

    def row(name: str, *texts: str) -> None:
        rows.append([name, *texts])

    both = [side.deployment for side in sides]
    row("Instances", *(f"{d.instances} × {d.instance_type} ({words(d.provider)})" for d in both))
    row("Cost a month", *(f"{format_usd(s.deployment.cost.usd_per_month)} ({_ends(s)})" for s in sides))
    row("Cost per million inferences", *(format_usd(d.cost.usd_per_1k_requests * 1000) for d in both))
    shown = [d.verdicts[-1] for d in both]
    row(
        f"p{shown[0].percentile} in system (80 % interval)",
        *(f"{format_ms(v.predicted_ms)} ({format_ms(v.low_ms)} to {format_ms(v.high_ms)})" for v in shown),
    )
    row("Model latency, mean", *(format_ms(float(d.extra["model_latency_ms"] or 0.0)) for d in both))
    row("Core", *(s.core for s in sides))
    row(
        "CPU time factor (recalled)",
        *(f"{s.cpu_factor:g} ({s.cpu_factor_low:g} to {s.cpu_factor_high:g})" for s in sides),
    )
    row(
        "vCPUs and workers of an instance",
        *(f"{d.vcpus_per_instance or '–'} and {d.replicas // d.instances}" for d in both),
    )
    return rows
