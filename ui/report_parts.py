"""The report's own sections, in the order in which a reader asks: answer, cost, assumptions, certainty, charts, the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from sizing.catalog import Catalog
from sizing.catalog_rows import PRICE_STALE_DAYS
from sizing.money import format_money, rate_words
from sizing.plan import Deployment, Plan, Rejection, Step
from sizing.scenario import AnyScenario, scenario_to_yaml
from sizing.snapshot import plan_digest
from sizing.units import format_bytes, format_ms
from ui import plain_words
from ui.answer_charts import answer_charts
from ui.inputs import words
from ui.report_sections import Bullets, Paragraph, Part, Section, Table, Verbatim

RANKED = 10
DROPPED = 30
"""Dropped kinds of instance shown, those that miss by the least first; the CSV of the ranking has them all."""
RULES = ("providers", "instances", "accelerators", "price")
"""Constraints that are the reader's own choice of machines: counted, not listed."""


def answer(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section:
    """The answer in plain words and as the page says it, each limit, and what would lift it where nothing fits."""
    parts: list[Part] = [Paragraph(plain_words.answer(plan), "lead")]
    if scenario.notes:
        parts.append(Paragraph(scenario.notes))
    best = plan.recommended
    if best is None:
        if plan.remedies:
            parts += [
                Paragraph("What would lift it, cheapest first:"),
                Bullets([remedy.sentence for remedy in plan.remedies]),
            ]
        return Section("answer", "The answer", parts)
    parts += [
        Paragraph(f"In technical terms: {plan.headline}"),
        limits(best),
        Paragraph(f"Binding, that is, what sets the count: {best.binding_constraint}."),
        *(Paragraph(f"Warning: {warning}", "note") for warning in best.warnings),
    ]
    return Section("answer", "The answer", parts)


def limits(best: Deployment) -> Table:
    """Each limit with its prediction, interval, margin and verdict."""
    columns = ("Verdict", "Quantity", "Limit", "Predicted", "80 % interval", "Margin", "Basis")
    return Table(columns, [plain_words.verdict_cells(v) for v in best.verdicts], "Limits and predictions")


def cost(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section | None:
    """What it costs, with the terms and date of the price."""
    if plan.recommended is None:
        return None
    rate = rate_words(scenario)
    caption = "Cost in US dollars" + (f", and in {scenario.currency} {rate}" if rate else "")
    table = Table(("Cost of", "Amount"), plain_words.costs(plan.recommended, scenario), caption)
    return Section("cost", "What it costs", [table])


def assumed(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section:
    """What the answer assumes, in words."""
    return Section(
        "assumptions",
        "What it assumes",
        [Table(("Assumption", "In words"), plain_words.assumptions(plan), "Assumptions")],
    )


def certainty(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section:
    """How sure it is, what it leaves out and what was not checked."""
    parts: list[Part] = [Bullets(plain_words.sureness(plan))] if plan.recommended is not None else []
    if plan.caveats:
        parts += [Paragraph("What the figures rest on:"), Bullets(plan.caveats)]
    return Section(
        "certainty",
        "How sure we are",
        [*parts, Paragraph("Not checked:"), Bullets(plain_words.NOT_CHECKED)],
    )


def charts(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section | None:
    """The charts of the page."""
    found = answer_charts(scenario, catalog, plan)
    return Section("charts", "Charts", found) if found else None


def ranking(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section:
    """The cheapest deployments that meet the scenario, then what was dropped and why."""
    kept, dropped = len(plan.ranked), len(plan.rejected)
    text = (
        f"{plan.search.candidates} kinds of instance were searched: {kept} meet the scenario, {dropped} were dropped."
    )
    if kept > RANKED:
        text += f" The {RANKED} cheapest:"
    parts: list[Part] = [Paragraph(text)]
    if kept:
        columns = ("", "Machines", "Accelerators", "A month", "An hour", "Latency", "Load", "Price of")
        rows = [_ranked(plan.scenario, place, d) for place, d in enumerate(plan.ranked[:RANKED], start=1)]
        parts.append(Table(columns, rows, "Ranking by cost a month", frozenset({3, 4, 5, 6})))
        if any(d.cost.price_marks for d in plan.ranked[:RANKED]):
            parts.append(Paragraph("* The price is marked: see Sources.", "note"))
    if dropped:
        reasons = Counter(r.constraint for r in plan.rejected).most_common()
        parts.append(Paragraph(f"Dropped: {', '.join(f'{count} by {name}' for name, count in reasons)}."))
        tried = [r for r in plan.rejected if r.constraint not in RULES]
        if tried:
            parts.append(_dropped(tried, len(plan.rejected)))
    return Section("ranking", "Ranking, and what was dropped", parts)


def _ranked(scenario: AnyScenario, place: int, d: Deployment) -> tuple[str, ...]:
    first = d.verdicts[0] if d.verdicts else None
    short = first.quantity.split("(")[-1].rstrip(")") if first else ""
    spread = f" (tp {d.parallelism.tp}, pp {d.parallelism.pp})" if d.parallelism and d.memory_per_accelerator else ""
    return (
        str(place),
        f"{d.instances} × {d.instance_type} ({words(d.provider)})",
        f"{d.accelerators} × {d.accelerator_name}{spread}" if d.accelerator else f"{d.vcpus_per_instance} vCPU each",
        format_money(d.cost.usd_per_month, scenario),
        format_money(d.cost.usd_per_hour, scenario),
        f"{short} p{first.percentile} {format_ms(first.predicted_ms)}" if first else "–",
        f"{d.utilization:.0%}",
        d.cost.price_date + ("*" if d.cost.price_marks else ""),
    )


def _dropped(tried: Sequence[Rejection], dropped: int) -> Table:
    nearest = sorted(tried, key=lambda r: (r.miss_ratio is None, r.miss_ratio or 0.0))[:DROPPED]
    rows = [
        (f"{r.instance_type} ({words(r.provider)})", r.accelerator or "–", r.constraint, r.because, r.remedy or "–")
        for r in nearest
    ]
    more = dropped - len(nearest)
    rest = f"; {more} more are in the ranking's CSV" if more else ""
    columns = ("Instance", "Accelerator", "Constraint", "Because", "Smallest change")
    return Table(columns, rows, f"Dropped, nearest to the limits first{rest}")


def working(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section | None:
    """Each figure with its formula and the numbers put in."""
    if not plan.working:
        return None
    rows = [
        (s.quantity, f"{s.formula}\n= {s.with_numbers}", step_value(s), f"{s.source}\n{s.trust.replace('_', ' ')}")
        for s in plan.working
    ]
    columns = ("Quantity", "Formula, and with the numbers", "Result", "Source, and trust")
    return Section("working", "The working", [Table(columns, rows, "Formulas with this scenario's numbers")])


def step_value(step: Step) -> str:
    """Result of a step with its unit."""
    if step.unit in ("bytes", "B"):
        return format_bytes(step.value)
    if step.unit == "ms":
        return format_ms(step.value)
    whole = float(step.value).is_integer() or abs(step.value) >= 1000
    text = f"{step.value:,.0f}" if whole else f"{step.value:,.4g}"
    return text if step.unit == "1" else f"{text} {step.unit}"


def sources(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section:
    """Where prices and constants come from, with the dates of the prices."""
    shown = plan.ranked[:RANKED]
    priced = dict.fromkeys(
        (words(d.provider), d.cost.price_source, d.cost.price_date, ", ".join(d.cost.price_marks) or "–") for d in shown
    )
    parts: list[Part] = []
    if priced:
        parts.append(Table(("Cloud", "Source of the price", "Of", "Marked"), list(priced), "Prices of the ranking"))
        parts.append(
            Paragraph(
                f"A price is marked where it is older than {PRICE_STALE_DAYS} days on the day of the catalog, derived, from a "
                "secondary source, undated, or your own.",
                "note",
            )
        )
    verdicts = chain.from_iterable(d.verdicts for d in shown[:1])
    named = dict.fromkeys([*(s.source for s in plan.working), *(f"{v.quantity}: {v.source}" for v in verdicts)])
    if named:
        parts += [Paragraph("Facts, constants and formulas:"), Bullets(list(named))]
    return Section("sources", "Sources", parts)


def inputs(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> Section:
    """Every field of the scenario, as the file that brings it back, and the checksum of the figures."""
    return Section(
        "scenario",
        "The scenario in full, and checksum",
        [
            Paragraph("Saved as a file, this opens on the start page and on the command line (python -m sizing plan)."),
            Verbatim(f"# catalog: {plan.catalog}\n{scenario_to_yaml(scenario)}"),
            Paragraph(
                f"Checksum of the figures (SHA-256): {plan_digest(plan)}. A snapshot of the same answer names the same one "
                "(python -m sizing snapshot --check).",
                "note",
            ),
        ],
    )
