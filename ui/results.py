"""What a plan looks like: the answer in a sentence, each limit on a line, the figures, the ranked table, the working."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from html import escape

import pandas as pd
import streamlit as st

from sizing.money import in_currency, is_own, price_words, rate_words
from sizing.plan import Cost, Deployment, Plan, Step, Verdict
from sizing.scenario import AnyScenario
from sizing.units import format_bytes, format_ms, format_usd
from sizing.why.steps import grouped
from ui.frame import folding, plain
from ui.inputs import words
from ui.state import set_fields
from ui.statistical_table import draw_table

_WORKING_COLUMNS = ("Quantity", "Formula", "With the numbers", "Result", "Source", "Trust")


def answer(plan: Plan, *, errors: bool, count: str = "") -> None:
    """The first block: headline, each limit with prediction, interval, margin and verdict, and the figures people ask for.

    `count` is the number needed, with its interval, in a phrase.
    """
    if errors:
        st.warning("The marked input cannot be used, so this is still the answer to the last inputs that can.")
    name = plan.scenario.name
    title = f'<span style="opacity:.7">{escape(name)}: </span>' if name else ""
    st.html(f'<p class="answer" role="status">{title}{escape(plan.headline)}</p>')
    if plan.scenario.notes:
        st.caption(plain(plan.scenario.notes))
    best = plan.recommended
    if best is None:
        return
    if plan.scenario.currency != "USD":
        st.caption(plain(_currency_words(plan.scenario, best.cost)))
    st.html(limits_table(best, count))
    _metrics(plan.scenario, best)


def _currency_words(scenario: AnyScenario, cost: Cost) -> str:
    """The costs of the answer in the user's own currency, with the rate."""
    month, hour = in_currency(cost.usd_per_month, scenario), in_currency(cost.usd_per_hour, scenario)
    return f"In {scenario.currency}: {month} a month, {hour} an hour, {rate_words(scenario)}."


def limits_table(deployment: Deployment, count: str = "") -> str:
    """HTML of each limit with its prediction, interval, margin and verdict, and what binds."""
    rows = "".join(_limit_row(v) for v in deployment.verdicts)
    return (
        '<table class="slo"><thead><tr><th></th><th>Limit</th><th>Predicted</th><th class="wide">80 % interval</th>'
        '<th class="wide">Margin</th><th>Basis</th></tr></thead><tbody>'
        f"{rows}</tbody></table>"
        f'<p style="font-size:.86rem;margin:.2rem 0 0 0">Binding: <b>{escape(deployment.binding_constraint)}</b>.'
        f"{f' Needed: {escape(count)}.' if count else ''}</p>"
    )


def _limit_row(v: Verdict) -> str:
    word, style = ("✓ pass", "met") if v.met else ("✗ fail", "missed")
    limit = "none" if v.limit_ms is None else format_ms(v.limit_ms)
    interval = f"{format_ms(v.low_ms)} to {format_ms(v.high_ms)}"
    margin = "–" if v.margin_ms is None else format_ms(v.margin_ms)
    if v.limit_ms is not None and v.met and v.high_ms > v.limit_ms:
        margin += ", interval reaches past it"
    return (
        f'<tr><td><span class="{style}">{word}</span> {escape(v.quantity)} p{v.percentile}</td><td>{limit}</td>'
        f"<td><b>{format_ms(v.predicted_ms)}</b>"
        f'<span class="narrow">80 %: {interval}<br>margin {margin}</span></td>'
        f'<td class="wide">{interval}</td><td class="wide">{margin}</td>'
        f"<td>{v.basis}: {escape(v.source)}</td></tr>"
    )


def _metrics(scenario: AnyScenario, best: Deployment) -> None:
    cost = best.cost
    machines = f"{best.instances} × {best.instance_type}"
    with st.container(horizontal=True, gap="small"):
        detail = (
            f"{best.accelerators} × {best.accelerator_name}"
            if best.accelerator_name
            else f"{best.replicas} worker{'s' if best.replicas > 1 else ''}"
        )
        st.metric("Machines", machines, help=f"{best.provider}, {best.region}: {detail}", width="stretch")
        st.metric(
            "Cost per month",
            format_usd(cost.usd_per_month),
            in_currency(cost.usd_per_month, scenario),
            delta_color="off",
            delta_arrow="off",
            help="Hourly price x 730 h.",
            width="stretch",
        )
        st.metric("Cost per hour", format_usd(cost.usd_per_hour), width="stretch")
        if cost.usd_per_million_output_tokens is not None:
            st.metric(
                "Per million tokens",
                format_usd(cost.usd_per_million_output_tokens),
                help=f"Output tokens at the demanded load; {format_usd(cost.usd_per_million_output_tokens_at_capacity)} at capacity.",
                width="stretch",
            )
        else:
            st.metric(
                "Per million requests",
                format_usd(cost.usd_per_1k_requests * 1000),
                help=f"At the demanded load; {format_usd(cost.usd_per_1k_requests_at_capacity * 1000)} at capacity.",
                width="stretch",
            )
    rate, plan_cap = best.throughput.requests_per_s, scenario.utilization_cap
    st.caption(
        plain(
            f"{detail}, {words(best.runtime)}; {words(best.provider)} {best.region}, {price_words(cost)}. "
            f"Serves {rate.demanded:,.4g} of the {rate.capacity:,.4g} requests/s that the limits and the "
            f"{plan_cap:.0%} utilization cap allow ({best.utilization:.0%} utilization)."
            + (f" Price: {cost.price_note}." if cost.price_note else "")
        )
    )
    for warning in best.warnings:
        st.caption(f":material/warning: {plain(warning)}")


def remedies(plan: Plan) -> None:
    """When nothing fits: the single changes that would, cheapest first, each applied with a click."""
    if plan.recommended is not None:
        return
    if not plan.remedies:
        st.info("No single change of an input lifts this; see what dropped each kind of instance below.")
        return
    st.markdown("**What would lift it**, cheapest first:")
    for position, remedy in enumerate(plan.remedies):
        changes = remedy.value if isinstance(remedy.value, dict) else {remedy.field: remedy.value}
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Apply", key=f"remedy:{position}", on_click=set_fields, args=(plan.kind, changes))
            st.markdown(plain(remedy.sentence))


def ranking(plan: Plan) -> None:
    """The table at the centre: what meets the scenario by cost a month, then what was dropped and why."""
    st.subheader("Candidates", anchor="candidates")
    tokens, deep = plan.kind == "llm", plan.kind == "deep_learning"
    kept, dropped = len(plan.ranked), len(plan.rejected)
    st.caption(f"{plan.search.candidates} kinds of instance searched: {kept} meet the scenario, {dropped} dropped.")
    if plan.kind == "statistical":
        draw_table(plan.ranked)
    elif plan.ranked:
        rows = [_deep_row(d) if deep else _row(d, tokens=tokens) for d in plan.ranked]
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            alt="Deployments that meet the scenario, by cost per month",
            column_config={
                "USD/month": st.column_config.NumberColumn(format="dollar"),
                "USD/hour": st.column_config.NumberColumn(format="$%.4g"),
                "USD/1M tokens": st.column_config.NumberColumn(format="$%.4g"),
                "USD/1M requests": st.column_config.NumberColumn(format="$%.4g"),
                "USD/1k inferences": st.column_config.NumberColumn(format="$%.4g"),
                "Max invocations/min": st.column_config.NumberColumn(format="%.0f"),
                "GPU use (%)": st.column_config.NumberColumn(format="%.0f"),
                "Load (%)": st.column_config.NumberColumn(format="%.0f"),
            },
        )
    off = plan.scenario.discount_percent
    if off and not all(is_own(d.cost) for d in plan.ranked):
        st.caption(
            plain(f"List prices are less your discount of {off:g} %; prices of your own are as you entered them.")
        )
    if plan.rejected:
        reasons = Counter(r.constraint for r in plan.rejected).most_common()
        title = f"Dropped: {dropped} ({', '.join(f'{n} by {plain(name)}' for name, n in reasons)})"
        folded(title, "dropped", lambda: _dropped(plan))


def _dropped(plan: Plan) -> None:
    columns = {
        "Instance": [r.instance_type for r in plan.rejected],
        "Cloud": [r.provider for r in plan.rejected],
        "Accelerator": [r.accelerator or "–" for r in plan.rejected],
        "Constraint": [r.constraint for r in plan.rejected],
        "Because": [r.because for r in plan.rejected],
        "Smallest change": [r.remedy or "–" for r in plan.rejected],
    }
    alt = "Kinds of instance that were dropped, with the reason"
    st.dataframe(pd.DataFrame(columns), hide_index=True, alt=alt)


def _row(d: Deployment, *, tokens: bool) -> dict[str, object]:
    latency = d.verdicts[0] if d.verdicts else None
    per_million = d.cost.usd_per_million_output_tokens if tokens else d.cost.usd_per_1k_requests * 1000
    parallel = f" (tp {d.parallelism.tp}, pp {d.parallelism.pp})" if d.parallelism and tokens else ""
    return {
        "Instances": f"{d.instances} × {d.instance_type}",
        "Cloud": d.provider,
        "Accelerators": f"{d.accelerators} × {d.accelerator}{parallel}"
        if d.accelerator
        else f"{d.vcpus_per_instance} vCPU each",
        "USD/month": d.cost.usd_per_month,
        "USD/hour": d.cost.usd_per_hour,
        "USD/1M tokens" if tokens else "USD/1M requests": per_million,
        f"{_short(latency.quantity)} p{latency.percentile} (ms)" if latency else "Latency (ms)": (
            round(latency.predicted_ms, 3) if latency else None
        ),
        "Load (%)": d.utilization * 100,
        "Price date": "your own" if is_own(d.cost) else d.cost.price_date + ("*" if d.cost.price_marks else ""),
    }


def _deep_row(d: Deployment) -> dict[str, object]:
    """A candidate in the words of load-test services: cost per inference, invocations a minute, model latency, GPU use."""
    latency, model = d.verdicts[0], d.latency_ms["model"].p50
    return {
        "Instances": f"{d.instances} × {d.instance_type} ({d.provider})",
        "Accelerators": f"{d.accelerators} × {d.accelerator}" if d.accelerator else f"{d.vcpus_per_instance} vCPU each",
        "USD/month": d.cost.usd_per_month,
        "USD/hour": d.cost.usd_per_hour,
        "USD/1k inferences": d.cost.usd_per_1k_requests,
        "Max invocations/min": d.throughput.requests_per_s.capacity * 60.0,
        "Model latency (ms)": None if model is None else round(model, 3),
        f"Latency p{latency.percentile} (ms)": round(latency.predicted_ms, 3),
        "GPU use (%)": d.utilization * 100 if d.accelerator else None,
    }


def _short(quantity: str) -> str:
    """The abbreviation in brackets, when a quantity has one."""
    return quantity.split("(")[-1].rstrip(")") if "(" in quantity else quantity


def working(plan: Plan) -> None:
    """Each figure with its formula, the same with the numbers put in, its source and how far it can be trusted."""
    if plan.working:
        st.subheader("The working", anchor="working")
        st.caption(f"{len(plan.working)} steps: formula, numbers put in, source.")
        for group, steps in grouped(plan.working):
            title = f"{group}: {len(steps)} step{'s' if len(steps) > 1 else ''}"
            folded(title, f"working:{group}", partial(_steps, steps))
    for caveat in plan.caveats:
        st.caption(plain(caveat))


def _steps(steps: Sequence[Step]) -> None:
    rows = [(s.quantity, s.formula, s.with_numbers, _value(s.value, s.unit), s.source, s.trust) for s in steps]
    table(_WORKING_COLUMNS, rows)


def _value(value: float, unit: str) -> str:
    if unit in ("bytes", "B"):
        return f"{format_bytes(value)} ({value:,.0f} B)"
    if unit == "ms":
        return format_ms(value)
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"
    if unit == "1":
        return text
    if value == 1 and len(unit) > 1 and "/" not in unit:
        unit = unit.removesuffix("s")
    return f"{text} {unit}".strip()


def folded(title: str, key: str, draw: Callable[[], None]) -> None:
    """A closed section whose content is made only once it is open, so that it costs a changed control nothing."""
    with folding(title, key) as section:
        if section.open:
            draw()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, least_rem: int = 0) -> None:
    """A plain table of texts that wrap; wider than the screen, it scrolls by itself. `least_rem` is a width below which it
    does not shrink, for long texts in many columns [rem]."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    style = f' style="min-width: {least_rem}rem"' if least_rem else ""
    st.html(
        f'<div class="scroll"><table class="slo"{style}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def facts(rows: Sequence[tuple[str, str]]) -> None:
    """A short list of named figures."""
    cells = "".join(f"<tr><td>{escape(name)}</td><td><b>{escape(text)}</b></td></tr>" for name, text in rows)
    st.html(f'<table class="slo"><tbody>{cells}</tbody></table>')


def figures(plan: Plan, quantities: Sequence[str]) -> None:
    """Some figures of the working as a short list."""
    by_name = {step.quantity: step for step in plan.working}
    facts([(name, _value(by_name[name].value, by_name[name].unit)) for name in quantities if name in by_name])
