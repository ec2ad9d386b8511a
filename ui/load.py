"""GPUs and dollars against load, with and without GPUs; what binds on the host; and the deployment simulated request by request."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from sizing.deep_learning.load import LoadSteps, loads_around, simulated, steps_by_load
from sizing.plan import Deployment, Plan
from sizing.scenario import DeepLearningScenario
from sizing.units import format_ms, format_usd
from ui.frame import plain
from ui.results import facts, folded, table
from ui.sketch import CHOSEN, CONFIG, PALETTE, Sketch, log_ticks, titled

TITLE = "GPUs and dollars against load, with and without GPUs"


def draw_load(scenario: DeepLearningScenario, plan: Plan) -> None:
    """The folded section; the simulation runs only while its toggle is on."""
    best = plan.recommended
    if best is None:
        return

    def draw() -> None:
        sides = [next((d for d in plan.ranked if (d.accelerator is not None) == gpu), None) for gpu in (True, False)]
        shown = [side for side in sides if side is not None]
        st.markdown(plain(plan.caveats[0]))
        rate = best.throughput.requests_per_s.demanded
        loads = loads_around(rate)
        found = [steps_by_load(scenario, side, loads) for side in shown]
        names = [_name(side) for side in shown]
        st.markdown("**Cost by load** (a tenth to ten times the present load)")
        st.plotly_chart(
            step_chart(names, found, rate, dollars=True),
            key="load:usd",
            alt="USD per hour by requests per second, for the cheapest machine with GPUs and the cheapest without",
            config=CONFIG,
            width="stretch",
        )
        st.markdown("**GPUs, or CPU sessions, by load**")
        st.plotly_chart(
            step_chart(names, found, rate, dollars=False),
            key="load:count",
            alt="Number of GPUs or CPU sessions by requests per second",
            config=CONFIG,
            width="stretch",
        )
        st.caption(
            "Each line keeps its kind of machine and its batch; at another load another machine can be cheaper. "
            "Spares are included."
        )
        facts(host_facts(best))
        if scenario.requests_per_s is not None and st.toggle(
            "Simulate this deployment request by request (about a tenth of a second)", key="load:simulate"
        ):
            _simulation(scenario, best)

    folded(TITLE, "load", draw)


def _name(deployment: Deployment) -> str:
    return deployment.accelerator_name or f"CPU, {deployment.instance_type}"


def step_chart(names: Sequence[str], found: Sequence[LoadSteps], rate: float, *, dollars: bool) -> go.Figure:
    """Steps of dollars per hour, or of workers, by load, with the present load marked."""
    values = [steps.usd_per_hour if dollars else steps.workers for steps in found]
    sketch = Sketch(
        x=titled("load (requests/s)", **log_ticks(found[0].requests_per_s)),
        y=titled(
            "cost (USD/hour)" if dollars else "GPUs or CPU sessions (count)", **log_ticks(v for y in values for v in y)
        ),
    )
    for position, (name, steps, y) in enumerate(zip(names, found, values, strict=True)):
        sketch.traces.append(
            {
                "type": "scatter",
                "x": list(steps.requests_per_s),
                "y": list(y),
                "name": name,
                "mode": "lines",
                "line": {"shape": "hv", "width": 2, "color": PALETTE[position]},
                "hovertemplate": "%{x:.4g} requests/s: %{y:.4g}<extra>" + name + "</extra>",
            }
        )
        at = steps.requests_per_s.index(rate)
        sketch.star(rate, float(y[at]), "present load" if position == 0 else "")
        sketch.traces[-1]["showlegend"] = position == 0
        sketch.traces[-1]["marker"] |= {"color": CHOSEN, "size": 13}
    return sketch.figure()


def host_facts(best: Deployment) -> list[tuple[str, str]]:
    """What each request asks of the host, and which of GPU, CPU and network is nearest to its limit."""
    extra, rate = best.extra, best.throughput.requests_per_s.demanded
    network = extra["network_requests_per_s"]
    use = {("GPU" if best.accelerator is not None else "CPU (model)"): best.utilization}
    if best.vcpus_per_instance and best.accelerator is not None:
        cpu_ms = float(extra["cpu_ms_per_request"] or 0.0)
        use["CPU"] = rate * cpu_ms / 1000.0 / (best.vcpus_per_instance * best.instances)
    if network is not None:
        use["network"] = rate / float(network)
    first = max(use, key=lambda name: use[name])
    cost = best.cost
    return [
        ("CPU time of a request outside the model", format_ms(float(extra["cpu_ms_per_request"] or 0.0))),
        ("Size of a request", f"{float(extra['request_kib'] or 0.0):,.3g} KiB"),
        ("In use", ", ".join(f"{name} {share:.0%}" for name, share in use.items())),
        ("Nearest to its limit", first + ("" if network is not None else " (network not in the catalog)")),
        ("Maximum invocations per minute", f"{best.throughput.requests_per_s.capacity * 60:,.0f}"),
        ("Cost per 1,000 inferences", format_usd(cost.usd_per_1k_requests)),
    ]


def _simulation(scenario: DeepLearningScenario, best: Deployment) -> None:
    run, cpu = simulated(scenario, best), float(best.extra["cpu_ms_per_request"] or 0.0)
    said = best.latency_ms["latency"]
    rows = []
    for percentile, value in ((50, said.p50), (95, said.p95), (99, said.p99)):
        here = run.percentile_ms(percentile) + cpu
        change = "" if value is None else f"{value / here - 1.0:+.1%}"
        rows.append([f"p{percentile}", format_ms(here), "" if value is None else format_ms(value), change])
    table(["Latency", "Simulated", "Formula", "Formula against simulation"], rows)
    st.caption(
        plain(f"{len(run.latency_ms):,} requests, {run.mean_batch:.3g} in a batch on average, random balancer, seed 7.")
    )
