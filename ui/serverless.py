"""The section of serverless against always-on: cost over load with the break-even, and a table of the services."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from sizing.catalog import Catalog
from sizing.money import format_money
from sizing.plan import Plan
from sizing.planner import plan as planned
from sizing.scenario import StatisticalScenario
from sizing.statistical.break_even import AlwaysOn, BreakEven, always_on, always_on_usd_per_month, break_even
from sizing.statistical.serverless import ServerlessOption, assumptions, options
from sizing.units import format_ms, format_usd
from ui.draw import chart
from ui.frame import plain
from ui.results import folded, table
from ui.sketch import CHOSEN, PALETTE, Sketch, log_ticks, titled

TITLE = "Serverless against always-on: the load at which instances become cheaper"
POINTS = 240
Found = tuple[tuple[ServerlessOption, BreakEven], ...]


def draw_serverless(scenario: StatisticalScenario, catalog: Catalog, plan: Plan) -> None:
    """The folded section; the services are looked at once it is open."""
    if plan.recommended is not None:
        folded(TITLE, "serverless", lambda: _draw(scenario, catalog, plan))


def _draw(scenario: StatisticalScenario, catalog: Catalog, plan: Plan) -> None:
    if not catalog.serverless:
        st.markdown("The catalog of this link has no serverless services; answer from the present catalog to see them.")
        return
    found, kinds = compared(scenario, catalog)
    if not found:
        st.markdown("The allowed clouds have no serverless service in the catalog.")
        return
    best = plan.recommended
    assert best is not None
    load = best.throughput.requests_per_s.demanded
    st.markdown(plain(words(scenario, found, best.cost.usd_per_month, load)))
    chart(
        cost_chart(found, kinds, load),
        key="serverless-cost",
        title="Cost of a month against load",
        alt="USD per month against requests per second: each serverless service and the cheapest instances always on, with "
        "the break-even and the demanded load",
    )
    table(
        (
            "Service",
            "Size",
            "A call (80 %)",
            "$/1M requests",
            "$/month at this load (80 %)",
            "At once: mean, peak",
            "A start, and who meets one",
            "p99",
            "Always-on cheaper from",
        ),
        [_cells(option, even) for option, even in found],
        least_rem=56,
    )
    if scenario.discount_percent:
        st.caption(
            f"Your discount of {scenario.discount_percent:g} % is on machines: always-on has it, serverless stands at its list price."
        )
    for text in assumptions(scenario):
        st.caption(plain(text))
    st.caption(
        plain(
            "Intervals are those of the CPU speed and of the model's time. Prices: "
            + "; ".join(
                f"{o.service.name} {', '.join(o.service.marks(catalog.as_of)) or 'list price'}" for o, _ in found
            )
            + ". Sources are in the catalog, table Serverless."
        )
    )


@lru_cache(maxsize=16)
def compared(scenario: StatisticalScenario, catalog: Catalog) -> tuple[Found, tuple[AlwaysOn, ...]]:
    """Every service with its break-even against the cheapest instances always on; nothing if no instance serves."""
    plan = planned(scenario, catalog)
    if plan.recommended is None:
        return (), ()
    load = plan.recommended.throughput.requests_per_s.demanded
    kinds = always_on(scenario, catalog, plan.ranked)
    found = options(scenario, catalog, requests_per_s=load)
    return tuple((option, break_even(option.bill, kinds)) for option in found), kinds


def words(scenario: StatisticalScenario, found: Found, always_on_usd: float, load: float) -> str:
    """The outcome in a sentence or two: cheapest service against always-on here, and where they break even."""
    option, even = found[0]
    if option.because is not None:
        return (
            f"No serverless service keeps the scenario. The nearest, {option.service.name}: {option.because}. "
            f"Always-on costs {format_money(always_on_usd, scenario)} a month."
        )
    cheaper = option.usd_per_month < always_on_usd
    said = (
        f"At {load:,.4g} requests/s {option.service.name} costs {format_money(option.usd_per_month, scenario)} a month and always-on "
        f"{format_money(always_on_usd, scenario)}: {'serverless' if cheaper else 'always-on'} is cheaper. "
    )
    if even.first_per_s is None:
        return said + "Serverless stays cheaper at every load looked at."
    said += f"Always-on becomes cheaper from {even.first_per_s:,.4g} requests/s on"
    if even.last_per_s is None or even.last_per_s > even.first_per_s * 1.001:
        end = f", and for good from {even.last_per_s:,.4g} requests/s" if even.last_per_s else ""
        return said + f", with a step back each time one more instance is needed{end}."
    return said + "."


def _cells(option: ServerlessOption, even: BreakEven) -> list[str]:
    size, warm = option.bill.size, option.warm_p99_ms
    p99 = option.latency_ms[99]
    low, high = option.usd_per_month_interval
    return [
        option.service.name + (f" – misses: {option.because}" if option.because else ""),
        f"{size.memory_mib:,} MiB, {size.vcpus:.2g} vCPU",
        f"{format_ms(option.duration_ms)} ({format_ms(option.duration_low_ms)} to {format_ms(option.duration_high_ms)}), "
        f"billed {format_ms(option.bill.billed_s * 1000.0)}",
        format_usd(option.usd_per_million),
        f"{format_usd(option.usd_per_month)} ({format_usd(low)} to {format_usd(high)})",
        f"{option.concurrency:.2g}, {option.concurrency_at_peak:,}",
        f"{format_ms(option.start_ms)}, {share_words(option.cold_share)}",
        format_ms(p99) + (f", warm {format_ms(warm)}" if p99 > 1.05 * warm else ""),
        "no load" if even.first_per_s is None else f"{even.first_per_s:,.3g} requests/s",
    ]


def share_words(share: float) -> str:
    """A share of requests as people read small ones.

    >>> share_words(0.02), share_words(0.0004), share_words(1e-9)
    ('2%', '1 in 2,500', 'fewer than 1 in a million')
    """
    if share < 1e-6:
        return "fewer than 1 in a million"
    return f"{share:.0%}" if share >= 0.01 else f"1 in {float(f'{1 / share:.2g}'):,.0f}"


def cost_chart(found: Found, kinds: Sequence[AlwaysOn], load: float) -> go.Figure:
    """Cost of a month [USD] against load [requests/s], both logarithmic: a line a service, always-on as steps."""
    first = found[0][1].first_per_s
    around = [load, *([first] if first is not None else [])]
    loads = np.geomspace(min(around) / 30.0, max(around) * 10.0, POINTS)
    steps = always_on_usd_per_month(kinds, loads)
    lines = [option.bill.usd_per_month(loads) for option, _ in found]
    shown = np.concatenate([steps[np.isfinite(steps)], lines[0]])
    floor = float(steps.min()) / 100.0
    y = titled("cost (USD per month)", **log_ticks([max(float(shown.min()), floor), float(shown.max())]))
    y["range"] = [np.log10(max(float(shown.min()), floor)), np.log10(float(shown.max()) * 1.6)]
    sketch = Sketch(x=titled("load (requests/s)", **log_ticks(loads)), y=y, height=380)
    sketch.traces.append(_line("always on, cheapest instances", loads, steps, PALETTE[9], width=3, shape="hv"))
    for position, ((option, _), cost) in enumerate(zip(found, lines, strict=True)):
        dash = "solid" if option.because is None else "dot"
        name = option.service.name if option.because is None else f"{option.service.name} (misses)"
        sketch.traces.append(_line(name, loads, cost, PALETTE[position], dash=dash))
    sketch.mark(load, " demanded", CHOSEN, dash="solid", height=0.97, anchor="left")
    if first is not None:
        # The name stands on the side away from the demanded load.
        place = "left" if first > load else "right"
        text = f" break-even {first:,.3g} "
        sketch.mark(first, text, PALETTE[0], dash="dash", height=0.05, anchor=place)
        sketch.star(first, float(found[0][0].bill.usd_per_month(np.array([first]))[0]), "break-even")
    return sketch.figure()


def _line(
    name: str, x: np.ndarray, y: np.ndarray, color: str, *, width: int = 2, dash: str = "solid", shape: str = "linear"
) -> dict[str, object]:
    return {
        "type": "scatter",
        "x": x.tolist(),
        "y": y.tolist(),
        "name": name,
        "mode": "lines",
        "line": {"color": color, "width": width, "dash": dash, "shape": shape},
        "hovertemplate": "%{x:,.3g} requests/s: $%{y:,.4g} a month<extra>" + name + "</extra>",
    }
