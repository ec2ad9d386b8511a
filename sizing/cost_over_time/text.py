"""Cost over time in words: one sentence for whoever decides, lines for the terminal, plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sizing.cost_over_time.curve import SHAPES
from sizing.cost_over_time.total import MONTHS, CostOverTime
from sizing.money import format_money
from sizing.plan import Deployment
from sizing.scenario import AnyScenario
from sizing.scenario_words import PriceBasis
from sizing.units import format_usd

LEAST_SAVING = 0.01
"""Saving over the year from which other machines are named [1]."""

TERM_WORDS: dict[PriceBasis, str] = {
    "committed_3y": "committed for three years",
    "committed_1y": "committed for one year",
    "spot": "on spot",
    "on_demand": "on demand",
}


def shape_words(scenario: AnyScenario) -> str:
    """The shape of the load in words."""
    if scenario.load_shape == "custom":
        return "your own table" if scenario.load_table else "the same at every hour (no table given)"
    return SHAPES[scenario.load_shape][0]


def mix_words(cost: CostOverTime) -> str:
    """The best mix in words.

    Such as "2 committed for three years, 1 committed for one year, up to 3 more on demand".
    """
    if cost.mix is None:
        return "no term has a price"
    committed = cost.mix.three_year + cost.mix.one_year
    parts = []
    if cost.mix.three_year:
        parts.append(f"{cost.mix.three_year} {TERM_WORDS['committed_3y']}")
    if cost.mix.one_year:
        parts.append(f"{cost.mix.one_year} {TERM_WORDS['committed_1y']}")
    more = cost.week.peak - committed
    if more > 0:
        rented = [TERM_WORDS[t] for t in cost.mix.usd_per_month_by_term if t in ("spot", "on_demand")]
        parts.append(f"up to {more} {'more ' if committed else ''}{' and '.join(rented)}")
    return ", ".join(parts)


def sentence(scenario: AnyScenario, cost: CostOverTime, best: Deployment) -> str:
    """The result first: what the load over the week makes of the plan's monthly cost."""
    machines = f"{cost.week.peak} × {best.instance_type}"
    least, most = int(cost.week.instances.min()), cost.week.peak
    runs = (
        f"{least} to {most} machines run"
        if least < most
        else f"{machines} run{'s' if cost.week.peak == 1 else ''} all the time"
    )
    begin = f"Load: {shape_words(scenario)}. {runs[0].upper()}{runs[1:]}, used to {cost.week.utilization:.0%} of what limits and utilization cap allow."
    if cost.mix is None:
        return f"{begin} The catalog has no price for it on the chosen terms."
    saved = cost.as_planned - cost.mix.usd_per_month
    compared = (
        f"{format_money(saved, scenario)} less than"
        if saved > 0.005
        else "no less than"
        if saved < -0.005
        else "the same as"
    )
    return (
        f"{begin} Cheapest way to pay for {best.instance_type}: {mix_words(cost)}, {format_money(cost.mix.usd_per_month, scenario)} a month, "
        f"{format_money(cost.mix.usd_per_month * MONTHS, scenario)} a year; that is {compared} the plan's {format_money(cost.as_planned, scenario)}."
    )


def cheaper_machines(
    scenario: AnyScenario, ranked: Sequence[tuple[Deployment, float]], best: Deployment, cost: CostOverTime
) -> str | None:
    """Which other machines cost less over the year [USD], each in its best mix; None where none does."""
    if not ranked or cost.mix is None:
        return None
    (first, usd), own = ranked[0], cost.mix.usd_per_month * MONTHS
    if first.instance == best.instance or usd > own * (1.0 - LEAST_SAVING):
        return None
    return (
        f"Other machines are cheaper over the year: up to {first.instances} × {first.instance_type} ({first.provider}), "
        f"{format_money(usd, scenario)} a year, {1.0 - usd / own:.0%} less."
    )


def cost_text(scenario: AnyScenario, cost: CostOverTime, best: Deployment) -> str:
    """Lines for the terminal: the sentence, each way by month and year, the parts of the mix and of owning."""
    lines = [sentence(scenario, cost, best), ""]
    for name, usd in ways(cost):
        lines.append(f"{name:45s} {format_usd(usd):>12} a month {format_usd(usd * MONTHS):>12} a year")
    if cost.mix is not None:
        lines += [f"  {TERM_WORDS[t]:43s} {format_usd(usd):>12}" for t, usd in cost.mix.usd_per_month_by_term.items()]
    if cost.owned is not None:
        lines += [f"  {part:43s} {format_usd(usd):>12}" for part, usd in cost.owned.usd_per_month_by_part.items()]
    start = cost.week.start
    lines.append(f"A new machine serves {start.minutes:.1f} min after the decision.")
    if cost.interruptions_per_month is not None:
        lines.append(f"A spot machine is taken back {cost.interruptions_per_month:.2g} times a month.")
    return "\n".join(lines) + "\n"


def ways(cost: CostOverTime) -> tuple[tuple[str, float], ...]:
    """The ways to pay and what each costs a month [USD]; those without a price are left out."""
    found = (
        ("the plan, at every hour", cost.as_planned),
        ("same machines at every hour, on demand", cost.steady),
        ("machines follow the load, on demand", cost.following),
        ("machines follow the load, best mix of terms", None if cost.mix is None else cost.mix.usd_per_month),
        ("servers of your own", None if cost.owned is None else cost.owned.usd_per_month),
    )
    return tuple((name, usd) for name, usd in found if usd is not None)


def as_json(cost: CostOverTime, best: Deployment) -> dict[str, Any]:
    """Cost over time as plain data; what does not apply is null."""
    mix, own = cost.mix, cost.owned
    return {
        "instance": best.instance,
        "week": {
            "requests_per_s": cost.week.loads_per_s.tolist(),
            "instances": cost.week.instances.tolist(),
            "replicas": cost.week.replicas.tolist(),
            "start_minutes": cost.week.start.minutes,
            "start_hours": cost.week.start_hours,
            "utilization": cost.week.utilization,
        },
        "requests_per_month": cost.requests_per_month,
        "usd_per_month": dict(ways(cost)),
        "best_mix": None
        if mix is None
        else {
            "committed_3y": mix.three_year,
            "committed_1y": mix.one_year,
            "spot_hours_per_week": mix.spot_hours,
            "on_demand_hours_per_week": mix.on_demand_hours,
            "usd_per_month": mix.usd_per_month,
            "usd_per_month_by_term": dict(mix.usd_per_month_by_term),
        },
        "owned": None
        if own is None
        else {
            "servers": own.servers,
            "watts_per_server": own.watts_per_server,
            "usd_per_month": own.usd_per_month,
            "usd_per_month_by_part": dict(own.usd_per_month_by_part),
        },
    }
