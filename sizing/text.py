"""A plan as plain text for the terminal: the answer, the limits, the cost, the alternatives, then what was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches

import yaml

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.money import format_money, price_words
from sizing.plan import Deployment, Plan, Verdict
from sizing.scenario import AnyScenario
from sizing.units import format_bytes, format_ms, format_usd
from sizing.why.interval import AnswerInterval

SHOWN_ALTERNATIVES = 8


def plan_text(plan: Plan, needed: AnswerInterval | None = None) -> str:
    """Text of a plan, as `python -m sizing plan` prints it; `needed` is its count as an interval."""
    return "\n".join(_lines(plan, needed)) + "\n"


def verdict_text(verdict: Verdict) -> str:
    """One limit on one line: limit, predicted percentile with its 80 % interval, margin, pass or fail, basis."""
    limit = "no limit" if verdict.limit_ms is None else f"limit {format_ms(verdict.limit_ms)}"
    margin = "" if verdict.margin_ms is None else f", margin {format_ms(verdict.margin_ms)}"
    return (
        f"{'pass' if verdict.met else 'FAIL'}  {verdict.quantity} p{verdict.percentile}: {limit}, "
        f"predicted {format_ms(verdict.predicted_ms)} (80 % interval {format_ms(verdict.low_ms)} to "
        f"{format_ms(verdict.high_ms)}){margin}, {verdict.basis}"
    )


def catalog_text(catalog: Catalog, name: str) -> str:
    """Rows of a table by id, or one row in full as YAML. Raises InputError for a name that is neither."""
    tables = catalog.tables()
    if name in tables:
        return "".join(f"{id:42s} {getattr(row, 'trust', '')}, {row.as_of}\n" for id, row in tables[name].items())
    for rows in tables.values():
        if name in rows:
            plain = rows[name].model_dump(mode="json", exclude_none=True)
            return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)
    nearest = get_close_matches(name, [id for rows in tables.values() for id in rows], n=3, cutoff=0.3)
    hint = f", nearest: {', '.join(nearest)}" if nearest else ""
    raise InputError("name", name, f"a table ({', '.join(tables)}) or the id of a row{hint}")


def _lines(plan: Plan, needed: AnswerInterval | None) -> Iterator[str]:
    yield plan.headline
    yield ""
    if plan.recommended is not None:
        yield from _deployment(plan.scenario, plan.recommended, needed)
    if plan.alternatives:
        yield ""
        yield "Alternatives, by cost a month:"
        for other in plan.alternatives[:SHOWN_ALTERNATIVES]:
            yield f"  {format_money(other.cost.usd_per_month, plan.scenario):>10}  {_machines(other)}"
        if len(plan.alternatives) > SHOWN_ALTERNATIVES:
            yield f"  and {len(plan.alternatives) - SHOWN_ALTERNATIVES} more"
    if plan.remedies:
        yield ""
        yield "What would lift it:"
        for remedy in plan.remedies:
            yield f"  {remedy.sentence}"
    yield ""
    reasons = ", ".join(
        f"{count} by {name}" for name, count in Counter(r.constraint for r in plan.rejected).most_common()
    )
    yield f"Searched {plan.search.candidates} kinds of instance: {len(plan.ranked)} serve it, {len(plan.rejected)} dropped ({reasons or 'none'})."
    yield f"Binding constraint: {plan.binding_constraint}. Catalog {plan.catalog}."
    for caveat in plan.caveats:
        yield f"Note: {caveat}"


def _machines(deployment: Deployment) -> str:
    parts = f"{deployment.instances} x {deployment.instance_type} ({deployment.provider}, {deployment.region})"
    if deployment.accelerator_name is not None:
        parts += f", {deployment.accelerators} x {deployment.accelerator_name}"
    return parts


def _deployment(scenario: AnyScenario, deployment: Deployment, needed: AnswerInterval | None) -> Iterator[str]:
    cost = deployment.cost
    yield f"Recommended: {_machines(deployment)}"
    replicas = f"{deployment.replicas} replica{'s' if deployment.replicas > 1 else ''}, {deployment.runtime}"
    if deployment.parallelism is not None and deployment.parallelism.tp * deployment.parallelism.pp > 1:
        replicas += f", tensor parallel {deployment.parallelism.tp}, pipeline parallel {deployment.parallelism.pp}"
    if deployment.batch is not None:
        replicas += f", batch up to {deployment.batch}"
    yield f"  {replicas}"
    if needed is not None:
        yield f"  needed: {needed.words}; {needed.cost_words(scenario)} ({needed.basis})"
    for item in deployment.verdicts:
        yield f"  {verdict_text(item)}"
    memory = deployment.memory_per_accelerator or deployment.memory_per_instance
    if memory is not None:
        per = "accelerator" if deployment.memory_per_accelerator is not None else "instance"
        parts = ", ".join(f"{name.replace('_', ' ')} {format_bytes(size)}" for name, size in memory.parts.items())
        yield f"  memory per {per}: {format_bytes(memory.used_bytes)} of {format_bytes(memory.capacity_bytes)} ({parts})"
    rate = deployment.throughput.requests_per_s
    yield f"  serves {rate.demanded:,.4g} requests/s of {rate.capacity:,.4g} possible; utilization {deployment.utilization:.0%}"
    yield f"  {format_money(cost.usd_per_hour, scenario)} an hour, {format_money(cost.usd_per_month, scenario)} a month of 730 h"
    yield f"  {format_usd(cost.usd_per_1k_requests)} per 1,000 requests ({format_usd(cost.usd_per_1k_requests_at_capacity)} at capacity)"
    if cost.usd_per_million_output_tokens is not None:
        yield (
            f"  {format_usd(cost.usd_per_million_output_tokens)} per million output tokens "
            f"({format_usd(cost.usd_per_million_output_tokens_at_capacity)} at capacity)"
        )
    note = f"; {cost.price_note}" if cost.price_note else ""
    yield f"  price: {price_words(cost)}, in {cost.price_region}{note}"
    for warning in deployment.warnings:
        yield f"  Warning: {warning}"
