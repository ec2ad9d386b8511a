"""Statistical models: workers, instances, percentiles and cost for a model of a known family and size."""

import streamlit as st

from sizing.plan import Plan
from sizing.statistical.own import resolved
from sizing.units import format_bytes, format_ms
from ui.architectures import draw_architectures
from ui.autoscaling import draw_autoscaling
from ui.charts_statistical import instances_and_cost, memory_by_parts
from ui.draw import beside, draw_chart
from ui.inputs import Inputs, hardware_and_price, title_and_notes
from ui.inputs_fleet import load_and_terms
from ui.inputs_money import own_money
from ui.load_test import draw_load_test
from ui.measure_here import draw_measure_here
from ui.own_statistical import own_in_use, own_statistical
from ui.pages import sizing_page
from ui.request_reply import from_request_to_reply
from ui.results import facts
from ui.runtimes import draw_runtimes
from ui.serverless import draw_serverless
from ui.state import PageState, widget_key

VISIBLE_SIZES = 3


def controls(inputs: Inputs) -> None:
    """Eight controls in sight; what is left out of sight stands in the titles of the closed sections."""
    catalog, scenario = inputs.state.catalog, inputs.scenario
    own = own_in_use(inputs)
    if own is None:
        inputs.choice(
            "family",
            catalog.statistical_families,
            names=lambda i: getattr(catalog.statistical_families.get(i), "name", i),
        )
    chosen = st.session_state[widget_key("statistical", "family")] if own is None else own.family
    family = catalog.statistical_families.get(chosen) or catalog.statistical_family(scenario.family)
    sizes = [name for name in family.size_fields if name != "rows_per_request"] if own is None else []
    inputs.choice("runtime", [runtime.id for runtime in family.runtimes])
    left, right = st.columns(2, gap="small")
    for position, name in enumerate(sizes[:VISIBLE_SIZES]):
        with left if position % 2 == 0 else right:
            _size(inputs, name)
    inputs.traffic()
    inputs.number("p99_target_ms", placeholder="no limit")
    rest = sizes[VISIBLE_SIZES:]
    shown = {
        name: f"{getattr(scenario, name) if getattr(scenario, name) is not None else 'usual'} {name.replace('_', ' ')}"
        for name in rest
    }
    if shown.get("outputs") == "1 outputs":
        shown["outputs"] = "1 output"
    shown["rows_per_request"] = (
        f"{scenario.rows_per_request} row{'s' if scenario.rows_per_request > 1 else ''} a request"
    )
    shown["utilization_cap"] = f"cap {scenario.utilization_cap:.0%}"
    own_statistical(inputs)
    with inputs.advanced("Requests, limits and workers", shown):
        for name in rest:
            _size(inputs, name)
        inputs.number("rows_per_request")
        inputs.number("p50_target_ms", placeholder="no limit")
        inputs.number("p95_target_ms", placeholder="no limit")
        inputs.number("utilization_cap", step=0.05)
        inputs.number("think_time_s")
        inputs.number("workers_per_instance", placeholder="one a physical core")
        inputs.number("http_overhead_ms", step=0.1)
        inputs.number("service_cv", step=0.1, placeholder="0.3 as measured")
        inputs.number("spare_replicas")
        inputs.number("safety_factor", step=0.05)
        inputs.number("peak_requests_per_s", placeholder="twice the load")
    from_request_to_reply(inputs)
    hardware_and_price(inputs, category="cpu")
    load_and_terms(inputs)
    own_money(inputs)
    title_and_notes(inputs)


def _size(inputs: Inputs, name: str) -> None:
    if name == "hidden_layers":
        inputs.numbers(name)
    else:
        inputs.number(name, placeholder="full tree" if name == "leaves" else "none")


def more(state: PageState, plan: Plan) -> None:
    best = plan.recommended
    if best is None:
        return
    left, right = beside()
    with left:
        draw_chart(instances_and_cost(state.scenario, state.catalog, best))
    with right:
        draw_chart(memory_by_parts(best))
        extra = best.extra
        # The runtime's own format, which need not be that of the file uploaded: skops is kept, a pickle is loaded.
        file_label = next((s.quantity for s in plan.working if s.quantity.startswith("Model file")), "Model file")
        facts(
            [
                (file_label, format_bytes(float(extra["model_file_bytes"] or 0))),
                ("Model in memory, one worker", format_bytes(float(extra["resident_bytes"] or 0))),
                ("Workers per instance", str(extra["workers_per_instance"])),
                ("Model latency (predict call)", format_ms(float(extra["model_latency_ms"] or 0))),
                (
                    "Max invocations per minute, all instances",
                    f"{float(extra['max_invocations_per_minute'] or 0):,.0f}",
                ),
            ]
        )


def below(state: PageState, plan: Plan) -> None:
    if plan.recommended is not None:
        st.subheader("Other ways to run it", anchor="other-ways")
        scenario = resolved(state.scenario)
        for draw in (draw_runtimes, draw_architectures, draw_serverless, draw_autoscaling):
            draw(scenario, state.catalog, plan)
    st.subheader("Measure it", anchor="measure")
    draw_measure_here(state)
    draw_load_test(state, plan)


sizing_page("statistical", "Statistical model", controls=controls, more=more, below=below)
