"""A plan in the words of people who decide: what is served, for how much, how sure it is. All of it from the plan alone, so
that a frozen plan reads like a fresh one. No Streamlit calls here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sizing.cost_over_time.curve import shares
from sizing.cost_over_time.text import shape_words
from sizing.money import format_money, rate_words
from sizing.plan import Deployment, Plan, Rejection, Verdict
from sizing.scenario import AnyScenario, LlmScenario, StatisticalScenario
from sizing.scenario_money import own_price
from sizing.units import HOURS_PER_MONTH, format_bytes, format_ms, format_usd
from ui.inputs import LABELS, words

MONTHS_PER_YEAR = 12
WORDS_PER_TOKEN = 0.75
"""English words in a token [1], a rule of thumb of OpenAI's help pages (recalled); other languages have fewer."""
SHARE_WORDS = {50: "half of the requests", 95: "95 of 100 requests", 99: "99 of 100 requests"}
_REACHED = {
    "Time to first token (TTFT)": "get their first token within",
    "Time per output token (TPOT)": "then wait for each further token no longer than",
}
BASIS_WORDS = {
    "measured": "measured: it rests on measurements of this case",
    "calibrated": "calibrated: a formula fitted to measurements",
    "estimated": "estimated: a formula with constants from other models or machines",
}
NOT_CHECKED = (
    "Nothing was run on these machines: the figures are computed. Test with your own requests before you buy.",
    "Whether the cloud has these machines free, and what your account may rent.",
    "Taxes, storage, network traffic and support: the cost is that of the machines.",
    "How good the model's replies are.",
)
_RUNNERS = {
    "native": "the library it was trained with",
    "booster": "its library, by the booster call",
    "compiled": "compiled code",
}
_TRAFFIC = re.compile(r",? at [\d.,e+-]+ (?:requests?/s|concurrent users?)\b")
_SAID = {
    *("kind", "name", "notes", "model", "family", "requests_per_s", "concurrency", "think_time_s", "prompt_tokens"),
    *("output_tokens", "ttft_target_ms", "tpot_target_ms", "latency_target_ms", "p50_target_ms", "p95_target_ms"),
    *("p99_target_ms", "slo_percentile", "providers", "accelerators", "instances", "region", "price_basis"),
    *("max_usd_per_month", "utilization_cap", "spare_replicas", "discount_percent", "own_prices", "runtime"),
    *("currency", "currency_per_usd"),
    *("rows_per_request",),
}
"""Fields that the sentences below speak of; each other one is named where it is not at its usual value."""
_LONG = 60


def served(plan: Plan) -> str:
    """What is served, as the headline says it: model and format, or family and sizes.

    The headline is one sentence that begins with it and goes on with the traffic.
    """
    found = _TRAFFIC.search(plan.headline)
    return plan.headline[: found.start()] if found else words(plan.kind)


def model_name(plan: Plan) -> str:
    """The model's name alone."""
    subject = served(plan)
    if plan.kind == "statistical":
        return subject.partition(", ")[0]
    return subject.partition(" in ")[0] if plan.kind == "llm" else subject.rpartition(" in ")[0] or subject


def traffic(scenario: AnyScenario) -> str:
    """The load in words."""
    if scenario.requests_per_s is not None:
        return f"{scenario.requests_per_s:,.10g} request{'' if scenario.requests_per_s == 1 else 's'} a second"
    return f"{scenario.concurrency:,} user{'' if scenario.concurrency == 1 else 's'} at once"


def machines(best: Deployment) -> str:
    """What is rented: machines, their type and cloud, and what is in them."""
    count = f"{best.instances:,} machine{'' if best.instances == 1 else 's'}"
    parts = f", with {best.accelerators:,} × {best.accelerator_name}" if best.accelerator_name else ""
    in_all = " in all" if parts and best.instances > 1 else ""
    return f"{count} of type {best.instance_type} ({words(best.provider)}){parts}{in_all}"


def short_machines(best: Deployment) -> str:
    """What is rented, as short as a tab title needs it: accelerators, or machines where there are none."""
    if best.accelerator_name is not None:
        return f"{best.accelerators:,} × {best.accelerator_name}"
    return f"{best.instances:,} × {best.instance_type}"


def tab_title(plan: Plan) -> str:
    """The answer as a title: machines, cost a month, model."""
    best = plan.recommended
    if best is None:
        return f"No deployment · {model_name(plan)}"
    return f"{short_machines(best)}: {format_usd(best.cost.usd_per_month)} a month · {model_name(plan)}"


def title(plan: Plan) -> str:
    """What the scenario is called, or what it serves to whom."""
    return plan.scenario.name or f"{model_name(plan)} for {traffic(plan.scenario)}"


def reached(verdict: Verdict) -> str:
    """One percentile in words: how many requests are done within what time."""
    share = SHARE_WORDS.get(verdict.percentile, f"{verdict.percentile} of 100 requests")
    done = _REACHED.get(verdict.quantity, "have their reply within")
    limit = "" if verdict.limit_ms is None else f" ({format_ms(verdict.limit_ms)} allowed)"
    return f"{share} {done} {format_ms(verdict.predicted_ms)}{limit}"


def answer(plan: Plan) -> str:
    """The answer in plain words: what to rent, what it costs a month, what the users see."""
    best = plan.recommended
    if best is None:
        return f"Nothing in the catalog serves this within its limits. {plan.headline}"
    month = format_money(best.cost.usd_per_month, plan.scenario)
    return (
        f"{served(plan)} for {traffic(plan.scenario)}: rent {machines(best)}, for {month} a month. "
        f"{_capital('; '.join(map(reached, best.verdicts)))}."
    )


def costs(best: Deployment, scenario: AnyScenario) -> tuple[tuple[str, str], ...]:
    """What the deployment costs, each amount with what it is for, and in the scenario's currency where that is another."""
    cost = best.cost

    def money(usd: float | None) -> str:
        return format_money(usd, scenario)

    this = "this load" if scenario.load_shape == "constant" else "the busiest hour's load all the time"
    many = 1_000 if cost.usd_per_1k_requests >= 0.01 else 1_000_000  # whichever gives an amount that reads well
    rows = [
        ("A month", f"{money(cost.usd_per_month)} ({HOURS_PER_MONTH} h)"),
        ("A year", f"{money(cost.usd_per_month * MONTHS_PER_YEAR)} ({MONTHS_PER_YEAR} months)"),
        ("An hour", money(cost.usd_per_hour)),
        (f"{many:,} requests, at {this}", money(cost.usd_per_1k_requests * many / 1000)),
        (f"{many:,} requests, machines full", money(cost.usd_per_1k_requests_at_capacity * many / 1000)),
    ]
    if cost.usd_per_million_output_tokens is not None:
        rows += [
            ("Million output tokens, at this load", money(cost.usd_per_million_output_tokens)),
            ("Million output tokens, machines full", money(cost.usd_per_million_output_tokens_at_capacity)),
        ]
    rows += [
        ("One machine, an hour", money(cost.usd_per_instance_hour)),
        ("Price", price(best)),
        ("Source of the price", cost.price_source + (f"; {cost.price_note}" if cost.price_note else "")),
    ]
    return tuple(rows)


def price(best: Deployment) -> str:
    """Terms, region and date of the price, with what to be wary of."""
    cost = best.cost
    marks = f"; {', '.join(cost.price_marks)}" if cost.price_marks else ""
    return f"{words(cost.price_basis)}, {cost.price_region}, of {cost.price_date}{marks}"


def assumptions(plan: Plan) -> tuple[tuple[str, str], ...]:
    """What the answer assumes, each with its name."""
    scenario = plan.scenario
    each: list[Deployment | Rejection] = [*plan.ranked, *plan.rejected]
    names = {d.instance: f"{d.instance_type} ({words(d.provider)})" for d in each}
    rows = [
        ("What is served", f"{served(plan)}, run by {_RUNNERS.get(scenario.runtime, words(scenario.runtime))}"),
        ("Traffic", _traffic_in_full(scenario)),
        *_lengths(scenario),
        ("Limits", _limits(scenario)),
        ("Headroom", _headroom(scenario)),
        ("Machines to choose from", _choice(scenario, names)),
        ("Prices", _terms(scenario, names)),
        ("Facts and prices", f"catalog {plan.catalog}, of {plan.catalog.partition('.')[0]}"),
    ]
    others = changed(scenario)
    if others:
        rows.append(("Also set for this scenario", "; ".join(f"{name}: {text}" for name, text in others)))
    return tuple(rows)


def changed(scenario: AnyScenario) -> tuple[tuple[str, str], ...]:
    """Fields not at their usual value that no other sentence speaks of, with their value as people read it."""
    found = []
    for name, info in type(scenario).model_fields.items():
        value = getattr(scenario, name)
        if name not in _SAID and value != info.get_default(call_default_factory=True):
            found.append((LABELS.get(name, name.replace("_", " ")), _value(value)))
    return tuple(found)


def sureness(plan: Plan) -> tuple[str, ...]:
    """How sure each predicted time is: its 80 % interval and its basis in words."""
    best = plan.recommended
    if best is None:
        return ()
    said = []
    for v in best.verdicts:
        share = SHARE_WORDS.get(v.percentile, f"{v.percentile} of 100 requests")
        text = (
            f"{v.quantity}, {share}: predicted {format_ms(v.predicted_ms)}. In 8 of 10 cases the true value lies between "
            f"{format_ms(v.low_ms)} and {format_ms(v.high_ms)}. It is {BASIS_WORDS[v.basis]} ({v.source})."
        )
        if v.limit_ms is not None and v.met and v.high_ms > v.limit_ms:
            text += f" The upper end is past the limit of {format_ms(v.limit_ms)}: confirm it with a load test."
        said.append(text)
    memory = best.memory_per_accelerator or best.memory_per_instance
    if memory is not None and memory.used_low_bytes is not None and memory.used_high_bytes is not None:
        of = "accelerator" if best.memory_per_accelerator is not None else "machine"
        said.append(
            f"Memory of one {of}: {format_bytes(memory.used_bytes)} of {format_bytes(memory.capacity_bytes)}; in 8 of 10 cases "
            f"between {format_bytes(memory.used_low_bytes)} and {format_bytes(memory.used_high_bytes)}."
        )
    return tuple(said)


def verdict_cells(v: Verdict) -> tuple[str, ...]:
    """One limit as the cells of a table: verdict, quantity, limit, prediction, interval, margin, basis."""
    return (
        "✓ pass" if v.met else "✗ fail",
        f"{v.quantity} p{v.percentile}",
        "none" if v.limit_ms is None else format_ms(v.limit_ms),
        format_ms(v.predicted_ms),
        f"{format_ms(v.low_ms)} to {format_ms(v.high_ms)}",
        format_ms(v.margin_ms),
        f"{v.basis}: {v.source}",
    )


def _traffic_in_full(scenario: AnyScenario) -> str:
    uneven = scenario.load_shape != "constant"
    mean = float(shares(scenario).mean())
    over = f"; the load over the week: {shape_words(scenario)}, {mean:.0%} of that on average" if uneven else ""
    when = " in the busiest hour" if uneven else ""
    if scenario.requests_per_s is not None:
        a_day = float(f"{scenario.requests_per_s * mean * 86_400:.3g}")
        rate = when if uneven else " on average"
        return f"{traffic(scenario)}{rate}, at random times (about {a_day:,.10g} a day){over}"
    pause = f"; {scenario.think_time_s:g} s pause before the next" if scenario.think_time_s else ""
    return f"{traffic(scenario)}{when}, each waiting for the reply before asking again{pause}{over}"


def _lengths(scenario: AnyScenario) -> list[tuple[str, str]]:
    if isinstance(scenario, LlmScenario):
        asked, given = scenario.prompt_tokens, scenario.output_tokens
        about = f"about {_round(asked)} and {_round(given)} English words"
        return [("Lengths", f"{asked:,} tokens in and {given:,} tokens out a request on average ({about})")]
    if isinstance(scenario, StatisticalScenario):
        rows = scenario.rows_per_request
        return [("A request", f"{rows:,} row{'' if rows == 1 else 's'} of {scenario.features:,} features")]
    return [("A request", "one sample")]


def _round(tokens: int) -> str:
    """Words of so many tokens, to two digits."""
    return f"{float(f'{tokens * WORDS_PER_TOKEN:.2g}'):,.0f}"


def _limits(scenario: AnyScenario) -> str:
    said = []
    for name, what in (
        ("ttft_target_ms", "first token within"),
        ("tpot_target_ms", "each further token within"),
        ("latency_target_ms", "reply within"),
        ("p50_target_ms", "reply within"),
        ("p95_target_ms", "reply within"),
        ("p99_target_ms", "reply within"),
    ):
        limit = getattr(scenario, name, None)
        if limit is not None:
            percentile = int(name[1:3]) if name[1:3].isdigit() else getattr(scenario, "slo_percentile", 95)
            said.append(f"{what} {format_ms(limit)} for {SHARE_WORDS[percentile]}")
    budget = scenario.max_usd_per_month
    if budget is not None:
        said.append(f"at most {format_usd(budget)} a month")
    return "; ".join(said) or "none"


def _headroom(scenario: AnyScenario) -> str:
    spare = scenario.spare_replicas
    spares = f"; {spare:,} spare beyond the need" if spare else "; no spare"
    return f"the load may use {scenario.utilization_cap:.0%} of what the machines can do{spares}"


def _choice(scenario: AnyScenario, names: Mapping[str, str]) -> str:
    clouds = ", ".join(map(words, scenario.providers)) or "any cloud"
    parts = ", ".join(scenario.accelerators) or ("" if scenario.kind == "statistical" else "any accelerator")
    types = ", ".join(names.get(id, id) for id in scenario.instances) or "any machine type"
    return "; ".join(filter(None, (clouds, parts, types)))


def _terms(scenario: AnyScenario, names: Mapping[str, str]) -> str:
    said = [f"{words(scenario.price_basis).lower()} in {words(scenario.region)}"]
    if scenario.discount_percent:
        said.append(f"your discount of {scenario.discount_percent:g} %")
    if scenario.own_prices:
        own = ", ".join(
            f"{names.get(p.instance, p.instance)} {format_usd(p.usd_per_hour)} an hour {words(p.basis).lower()}"
            for p in map(own_price, scenario.own_prices)
        )
        said.append(f"prices of your own: {own}")
    rate = rate_words(scenario)
    if rate is not None:
        said.append(f"amounts in {scenario.currency} {rate}")
    return "; ".join(said)


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(words, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    text = f"{value:,.10g}" if isinstance(value, (int, float)) else words(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
