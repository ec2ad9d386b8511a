"""The section of hosting the model oneself against paying an API by use: a sentence, cost over load, and the prices."""

from __future__ import annotations

from functools import lru_cache
from math import inf, isfinite

import numpy as np
import streamlit as st

from sizing.api_price import SECONDS_PER_MONTH, ApiOffer, billed
from sizing.catalog import Catalog
from sizing.catalog_rows import UNDATED
from sizing.money import format_money, rate_words
from sizing.plan import Plan
from sizing.scenario import AnyScenario, LlmScenario
from sizing.self_host import BreakEven, Comparison, compare
from sizing.units import format_usd, three_digits
from ui.answer_chart import AnswerChart
from ui.draw import draw_chart
from ui.frame import plain
from ui.results import folded, table
from ui.sketch import CHOSEN, PALETTE, Sketch, log_ticks, titled
from ui.state import PageState

KEY = "self-host"
POINTS = 160
MOST_EDGES = 200
LOAD_SHARES = (1.0, 0.5, 0.25, 0.1)
"""Mean load / demanded load of the small table [1]: what traffic is through a day and a week when sized for its peak."""

LEFT_OUT = (
    "Left out: an API's rate limits and quotas, where your data may go, the quality of hosts that serve a smaller number "
    "format, prices for batches and volume; on your side the people who run the machines, storage and network. Your machines "
    "are the recommended ones at every load; at another load another kind may be cheaper."
)


@lru_cache(maxsize=4)
def _compared(scenario: AnyScenario, catalog: Catalog) -> Comparison | None:
    return compare(scenario, catalog)


def draw_self_host(state: PageState, plan: Plan) -> None:
    """The closed section, where a deployment is recommended; computed once it is open."""
    if plan.recommended is not None:
        title = "Self-host or pay per token" if plan.kind == "llm" else "Self-host or pay an API by the request"
        folded(title, KEY, lambda: _draw(state.scenario, state.catalog))


def _draw(scenario: AnyScenario, catalog: Catalog) -> None:
    found = _compared(scenario, catalog)
    if found is None:
        return
    if not found.offers:
        st.markdown(plain(nothing_to_compare(scenario, found)))
        if found.others:
            _prices_table(scenario, found, found.others, "Other models behind an API, for scale")
        return
    st.markdown(plain(sentence(scenario, found)))
    draw_chart(cost_chart(found))
    _prices_table(scenario, found, found.offers, "API prices for this traffic")
    _load_table(scenario, found)
    if found.others:
        title = "Other models" if found.offers[0].serves_the_model else "Other APIs"
        _prices_table(scenario, found, found.others, f"{title} behind an API, for scale")
    for text in captions(scenario, found):
        st.caption(plain(text))


def nothing_to_compare(scenario: AnyScenario, found: Comparison) -> str:
    """What the section says where no API price is known."""
    where = "in the section “Prices and energy of your own”"
    what = "of this model" if scenario.kind != "statistical" else "of a service like this"
    return (
        f"The catalog has no API price {what}. Enter one {where} to see the load from which these machines "
        f"({format_money(found.usd_per_month, scenario)} a month) cost no more."
    )


def _ends(found: Comparison) -> tuple[int, ...]:
    """Positions of the cheapest and the dearest offer; one where there is one."""
    return (0,) if len(found.offers) == 1 else (0, len(found.offers) - 1)


def sentence(scenario: AnyScenario, found: Comparison) -> str:
    """The outcome: both costs at this load, which is cheaper, and from which load on self-hosting is."""
    load, own = found.load_per_s, found.usd_per_month
    costs = [found.api_usd_per_month(found.offers[i]) for i in _ends(found)]
    names = [found.offers[i].provider for i in _ends(found)]
    uneven = found.mean_share < 1.0
    at = f"At {load:,.4g} requests/s"
    if uneven:
        at += f" in the busiest hour, {three_digits(load * found.mean_share)} on average over the week,"
    said = f"{at} these machines cost {format_money(own, scenario)} a month; "
    if len(costs) == 1:
        said += f"{names[0]} makes it {format_money(costs[0], scenario)}: "
    else:
        said += (
            f"the same traffic through an API costs {format_money(costs[0], scenario)} ({names[0]}) to "
            f"{format_money(costs[-1], scenario)} ({names[-1]}): "
        )
    if costs[0] >= own:
        said += "self-hosting is cheaper. "
    elif costs[-1] < own:
        said += "the API is cheaper. "
    else:
        fewer = sum(found.api_usd_per_month(offer) < own for offer in found.offers)
        said += f"{fewer} of {len(found.offers)} APIs are cheaper than self-hosting, the others are not. "
    ends = [found.break_evens[i] for i in _ends(found)]
    if len(ends) == 1 or ends[0] == ends[-1]:
        words = _from_words(found, ends[0])
        return f"{said}{words[0].upper()}{words[1:]}."
    return (
        said
        + f"Against the cheapest: {_from_words(found, ends[0])}. Against the dearest: {_from_words(found, ends[-1])}."
    )


def _from_words(found: Comparison, even: BreakEven) -> str:
    """From which load on self-hosting costs no more."""
    steps = found.steps
    if even.first_per_s is None:
        return f"self-hosting never gets cheaper, not even with each {steps.unit} full"
    share = even.first_per_s / steps.unit_per_s
    filled = f"{share:.0%} of what one {steps.unit} may serve" if share <= 1.0 else f"{share:,.1f} {steps.unit}s full"
    hour = " in the busiest hour" if found.mean_share < 1.0 else ""
    said = f"self-hosting costs no more from {three_digits(even.first_per_s)} requests/s{hour} on ({filled})"
    if even.for_good_per_s is None:
        return said + f", with a step back at each further {steps.unit}"
    if even.for_good_per_s > even.first_per_s * 1.001:
        said += f", and for good from {three_digits(even.for_good_per_s)} requests/s"
    return said


def _prices_table(scenario: AnyScenario, found: Comparison, offers: tuple[ApiOffer, ...], title: str) -> None:
    st.markdown(f"**{title}**")
    tokens, compared = scenario.kind == "llm", offers is found.offers
    head = ["API", "Prompt, cached, reply ($/1M)" if tokens else "$/1k requests", "Month, this load"]
    if compared:
        head += ["Self-hosting from", "API cheaper below"]
    rows = []
    for position, offer in enumerate(offers):
        by_token = (offer.usd_per_million_input, offer.usd_per_million_cached, offer.usd_per_million_output)
        listed = [format_usd(price) for price in (by_token if tokens else ())]
        if not tokens or offer.usd_per_1k_requests is not None:
            listed.append(format_usd(offer.usd_per_1k_requests) + (" per 1k requests" if tokens else ""))
        cells = [offer.name, ", ".join(listed), format_money(found.api_usd_per_month(offer), scenario)]
        if compared:
            first, share = found.break_evens[position].first_per_s, found.even_load_share(offer)
            cells.append("no load" if first is None else f"{three_digits(first)} requests/s")
            cells.append("this load and less" if share >= 1.0 else f"{share:.0%} of this load")
        dated = [] if offer.as_of == UNDATED else [offer.as_of]
        notes = [] if offer.note is None else [offer.note]
        rows.append([*cells, ", ".join([*dated, *offer.marks, *notes, offer.source])])
    table([*head, "Date, marks, source"], rows, least_rem=52)


def _load_table(scenario: AnyScenario, found: Comparison) -> None:
    """What both cost when the mean load is a part of the load that the machines are sized for; nothing where the scenario
    says how its load runs."""
    if found.mean_share < 1.0:
        return
    st.markdown("**If this load is your peak and the mean is lower**")
    ends = [found.offers[i] for i in _ends(found)]
    heads = ("cheapest API", "dearest API") if len(ends) > 1 else ("API",)
    rows = []
    for share in LOAD_SHARES:
        load = share * found.load_per_s
        rows.append(
            [
                f"{share:.0%}: {three_digits(load)} requests/s, {three_digits(load * SECONDS_PER_MONTH)} a month",
                f"{format_money(found.usd_per_month, scenario)} (always on)",
                *(format_money(offer.usd_per_month(load), scenario) for offer in ends),
            ]
        )
    table(("Mean load", "These machines", *(f"{head[0].upper()}{head[1:]}" for head in heads)), rows)


def captions(scenario: AnyScenario, found: Comparison) -> list[str]:
    """The basis of the comparison: what is billed, how sure the machines are, the rate of another currency, what is left out."""
    texts = []
    if isinstance(scenario, LlmScenario):
        each = billed(scenario)
        texts.append(
            f"An API bills {each.input_tokens:,} prompt tokens, {each.cached_tokens:,} of the prompt found in its cache "
            f"(where it has no price for them, at the prompt's) and {each.output_tokens:,} of the reply for each request."
        )
    steps, low, high = found.steps, found.usd_per_month_low, found.usd_per_month_high
    cap = f"at the {scenario.utilization_cap:.0%} utilization cap and within the limits"
    texts.append(
        f"One {steps.unit} serves up to {three_digits(steps.unit_per_s)} requests/s {cap}; by the error of its speed (80 %) "
        f"{three_digits(steps.unit_per_s / steps.slow)} to {three_digits(steps.unit_per_s / steps.fast)}, so these machines cost "
        + (f"{format_usd(low)} to {format_usd(high)} a month." if high > low else "the same a month at either end.")
        + _range_words(found)
    )
    if found.mean_share < 1.0:
        texts.append(
            f"The API is billed for the week's volume, {found.mean_share:.0%} of the busiest hour at every hour; the machines for the "
            "hours that they run on the plan's terms, as in the section on cost over a day and a year. At other loads the same shares "
            "are taken."
        )
    rate = rate_words(scenario)
    if rate is not None:
        texts.append(f"Amounts in {scenario.currency} {rate}.")
    return [*texts, LEFT_OUT]


def _range_words(found: Comparison) -> str:
    """The break-even at the ends of the capacity's interval, against the cheapest API, where it moves."""
    firsts = {even.first_per_s for even in (found.break_evens_fast[0], found.break_evens_slow[0])}
    ends = sorted(inf if first is None else first for first in firsts)
    if len(ends) == 1:
        return ""
    said = [three_digits(end) if isfinite(end) else "no load" for end in ends]
    which = "the cheapest API" if len(found.offers) > 1 else "the API"
    return f" The load from which {which} costs as much lies between {said[0]} and {said[1]} requests/s."


def cost_chart(found: Comparison) -> AnswerChart:
    """Cost of a month [USD] against load [requests/s], both logarithmic: API lines, self-hosting as steps."""
    steps, load = found.steps, found.load_per_s
    firsts = [found.break_evens[i].first_per_s for i in _ends(found)]
    around = [load, steps.unit_per_s, *(first for first in firsts if first is not None)]
    low, high = min(around) / 20.0, max(around) * 6.0
    edges = np.arange(1, min(MOST_EDGES, int(high / steps.unit_per_s)) + 1) * steps.unit_per_s
    loads = np.unique(np.concatenate([np.geomspace(low, high, POINTS), edges[edges > low] * (1.0 + 1e-6)]))
    own = [steps.usd_per_month(float(x)) for x in loads]
    lines = [
        (found.offers[i].provider, [found.api_usd_per_month(found.offers[i], float(x)) for x in loads])
        for i in _ends(found)
    ]
    shown = [*own, *(value for _, line in lines for value in line if value > 0.0)]
    floor = max(min(shown), min(own) / 100.0)
    y = titled("cost (USD per month)", **log_ticks([floor, max(shown)]))
    y["range"] = [float(np.log10(floor)), float(np.log10(max(shown) * 1.5))]
    x_title = "load (requests/s)" if found.mean_share == 1.0 else "load of the busiest hour (requests/s)"
    sketch = Sketch(x=titled(x_title, **log_ticks([low, high])), y=y, height=380)
    sketch.traces.append(_line("self-hosting, these machines", loads, own, PALETTE[9], width=3, shape="hv"))
    for position, (name, line) in enumerate(lines):
        sketch.traces.append(_line(name, loads, line, PALETTE[position]))
    sketch.mark(load, " this load", CHOSEN, dash="solid", height=0.97, anchor="left")
    if low < steps.unit_per_s < high:
        sketch.mark(steps.unit_per_s, f" one {steps.unit} full", "#7F7F7F", dash="dot", height=0.86, anchor="left")
    for position, first in enumerate(firsts):
        if first is not None:
            cost = found.api_usd_per_month(found.offers[_ends(found)[position]], first)
            sketch.points(
                [first], [cost], f"break-even {three_digits(first)}/s", symbol="diamond", color=PALETTE[position]
            )
    return AnswerChart(
        f"{KEY}-cost",
        "Cost of a month against load",
        "USD per month against requests per second: the recommended machines as steps, the cheapest and the dearest API as "
        "lines, with the load of this scenario and the break-even",
        sketch.figure(),
    )


def _line(
    name: str, x: np.ndarray, y: list[float], color: str, *, width: int = 2, shape: str = "linear"
) -> dict[str, object]:
    return {
        "type": "scatter",
        "x": x.tolist(),
        "y": y,
        "name": name,
        "mode": "lines",
        "line": {"color": color, "width": width, "shape": shape},
        "hovertemplate": "%{three_digits(x)} requests/s: $%{y:,.4g} a month<extra>" + name + "</extra>",
    }
