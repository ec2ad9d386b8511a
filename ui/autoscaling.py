"""The section of autoscaling: targets of the recommended kind of instance, and texts to paste."""

from __future__ import annotations

import streamlit as st

from sizing import cpu
from sizing.catalog import Catalog
from sizing.plan import Plan
from sizing.scenario import StatisticalScenario
from sizing.statistical.autoscaling import METRIC_DELAY_S, Snippet, Targets, sagemaker_commands, snippets, targets
from ui.frame import plain
from ui.results import facts, folded

TITLE = "Take away: autoscaling targets and policies to paste"


def draw_autoscaling(scenario: StatisticalScenario, catalog: Catalog, plan: Plan) -> None:
    """The folded section; its texts are made once it is open."""
    if plan.recommended is not None:
        folded(TITLE, "autoscaling", lambda: _draw(scenario, catalog, plan))


def _draw(scenario: StatisticalScenario, catalog: Catalog, plan: Plan) -> None:
    best = plan.recommended
    assert best is not None
    t = targets(scenario, catalog, best)
    made = snippets(t)
    st.markdown(plain(words(t, made[0].platform)))
    facts(figures(t, made[0].platform))
    st.caption(
        plain(
            "The minimum is the demanded load at this target, so it may be more than the instances above, which have no such "
            "reserve; lower it by hand where nights are quieter. Safety factor and peak load are inputs, under Requests, limits "
            "and workers. Start times and metric delays are recalled, from half to twice. For the service of another cloud, "
            "choose that cloud under Hardware and price."
        )
    )
    for tab, snippet in zip(st.tabs([s.title for s in made]), made, strict=True):
        with tab:
            _snippet(snippet, t)


def _snippet(snippet: Snippet, t: Targets) -> None:
    st.caption(plain(snippet.how))
    st.code(snippet.text, language=snippet.language, wrap_lines=True)
    if snippet.platform == "sagemaker":
        st.code(sagemaker_commands(t), language="bash", wrap_lines=True)
    st.download_button(
        snippet.file_name,
        snippet.text,
        snippet.file_name,
        "text/plain",
        icon=":material/download:",
        on_click="ignore",
        key=f"autoscaling:{snippet.file_name}",
    )


def words(t: Targets, platform: str) -> str:
    """The target in words, and what it leaves room for."""
    minutes = (METRIC_DELAY_S[platform] + t.start_s(platform)) / 60.0
    return (
        f"Aim at {t.invocations_per_minute:,.0f} invocations a minute on each {t.deployment.instance_type}. From there the load "
        f"may grow to {t.growth:.2g} times as much before a limit breaks, and a new instance takes about {minutes:.0f} minutes "
        "to serve."
    )


def figures(t: Targets, platform: str) -> list[tuple[str, str]]:
    """The targets as named figures."""
    held = ", held by the utilization cap" if t.held_by_cap else ""
    busy = "–" if t.cpu_target_percent is None else f"{t.cpu_target_percent:.0f} %"
    baseline = cpu.BASELINE_SHARES.get(t.deployment.instance_type)
    if baseline is not None and t.cpu_target_percent is not None and t.cpu_target_percent > baseline * 100.0:
        busy += f", above the {baseline:.0%} that this burstable type may use for ever: the surplus is billed"
    peak = "given" if t.peak_given else "twice the demanded load, as none is given"
    return [
        (
            "Invocations per instance per minute: limits × safety factor × 60",
            f"{t.at_limits_per_s:,.4g} /s × {t.safety_factor:g} × 60 = {t.invocations_per_minute:,.0f}{held}",
        ),
        (
            "The start of AWS: MAX_RPS × 0.5 × 60, which knows no limit on latency",
            f"{t.most_per_s:,.4g} /s × 0.5 × 60 = {t.aws_invocations_per_minute:,.0f}",
        ),
        ("CPU target, busy vCPUs of all vCPUs", busy),
        ("Least instances: demanded load / target", f"{t.min_instances:,} at {t.demanded_per_s:,.4g} requests/s"),
        ("Most instances: peak load / target", f"{t.max_instances:,} at {t.peak_per_s:,.4g} requests/s ({peak})"),
        (
            "Cooldown before one more, and before one less",
            f"{t.scale_out_cooldown_s(platform)} s, {t.scale_in_cooldown_s(platform)} s",
        ),
        (
            "Until it serves: notice the load + machine and container + imports and model",
            f"{METRIC_DELAY_S[platform]:.0f} s + {t.start_s(platform) - t.own_start_s:.0f} s + {t.own_start_s:.1f} s",
        ),
    ]
