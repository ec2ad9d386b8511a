"""The parts of the comparison page: differences first, the charts overlaid, and the controls that change what is compared."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape

import plotly.graph_objects as go
import streamlit as st

from sizing import link as links
from sizing.catalog import Catalog
from sizing.comparison import LEAST_CHANGE, Cell, Slot, answer_rows, input_rows, query_of, shown, slot
from sizing.comparison_view import LETTERS, Comparison, comparison_of
from sizing.errors import InputError
from sizing.scenario import AnyScenario, LlmScenario, choices
from sizing.scenario_base import ScenarioBase
from ui import answer_charts, memory
from ui.answer_chart import AnswerChart
from ui.charts import MemoryBar, cost_chart, memory_chart
from ui.frame import plain
from ui.inputs import LABELS, words
from ui.sketch import PALETTE, Curve, Sketch, log_ticks, titled
from ui.state import PageState

MOST_CURVES = 2
"""Most charts of curves: with two, memory is left to the table, so that a page has three charts at most."""


def differences(compared: Sequence[Slot]) -> None:
    """Two tables: the inputs that differ, then the answers with their change against the first scenario."""
    inputs = input_rows(compared)
    st.markdown(f"**Asked differently** ({len(inputs)} input{'' if len(inputs) == 1 else 's'})")
    kinds = {s.scenario.kind for s in compared if s.scenario is not None}
    shared = [row for row in inputs if len(kinds) == 1 or all(v is not None for v in row.values)]
    if inputs:
        _table(compared, [(_label(row.field), [_input(v) for v in row.values]) for row in shared])
        if len(shared) < len(inputs):
            st.caption(f"{len(inputs) - len(shared)} more inputs exist for one kind of model only.")
    else:
        st.caption("All inputs are the same. Change one thing below.")
    st.markdown("**Answered**, with the change against A")
    _table(compared, [(row.quantity, [_cell(cell) for cell in row.cells]) for row in answer_rows(compared)])
    st.caption("“Not decided”: the two 80 % intervals overlap, so the difference is within what we do not know.")


def _label(field: str) -> str:
    return {"kind": "Kind of model", "catalog": "Catalog"}.get(field, LABELS.get(field, field))


def _input(value: object) -> str:
    return escape(words(value) if isinstance(value, str) and value else shown(value))


def _cell(cell: Cell) -> str:
    text = f"<b>{escape(cell.text)}</b>" if cell.value is not None else escape(cell.text)
    if cell.change is None or abs(cell.change) < LEAST_CHANGE:
        return text
    percent = f"{cell.change * 100:+.0f} %" if abs(cell.change) >= 0.01 else f"{cell.change * 100:+.1f} %"
    return f"{text}<br><small>{percent}{', not decided' if cell.decided is False else ''}</small>"


def _table(compared: Sequence[Slot], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    head = "".join(f'<th scope="col">{escape(s.label)}</th>' for s in compared)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    )
    width = 8 + 9 * len(compared)
    st.html(
        f'<div class="scroll" tabindex="0" role="region" aria-label="Comparison"><table class="slo" style="min-width:{width}rem">'
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


@lru_cache(maxsize=8)
def _trade_off(letter: str, query: str) -> AnswerChart | None:
    """The first chart of one scenario's answer, kept with its slot."""
    s = slot(letter, query)
    if s.scenario is None or s.catalog is None or s.plan is None:
        return None
    return answer_charts.trade_off(s.scenario, s.catalog, s.plan)


def charts(compared: Sequence[Slot]) -> tuple[AnswerChart, ...]:
    """The curves of scenarios whose axes agree in one figure each, the memory of what is deployed, and what it costs."""
    groups: dict[tuple[str, str], list[tuple[Slot, AnswerChart]]] = {}
    for s in compared:
        found = _trade_off(s.letter, s.query)
        if found is not None and found.overlay is not None:
            groups.setdefault(found.axes, []).append((s, found))
    curves = [_overlaid(axes, members, number) for number, (axes, members) in enumerate(groups.items())][:MOST_CURVES]
    found_here = [s for s in compared if s.best is not None]
    if not found_here:
        return ()
    bars = () if len(curves) == MOST_CURVES else (_memory(found_here, compared),)
    return (*curves, *bars, _cost(found_here))


def _color(compared_letter: str) -> str:
    return PALETTE[LETTERS.index(compared_letter.lower())]


def _overlaid(axes: tuple[str, str], members: Sequence[tuple[Slot, AnswerChart]], number: int) -> AnswerChart:
    """One figure with the curve of each scenario, its chosen point and its limit."""
    lines = [(s, c, c.overlay) for s, c in members if c.overlay is not None]
    heights = [y for _, _, line in lines for y in line.y] + [c.limit[0] for _, c, _ in lines if c.limit is not None]
    wide = [x for _, _, line in lines for x in line.x]
    linear = any(s.scenario is not None and s.scenario.kind == "statistical" for s, _ in members)
    x = titled(axes[0]) if linear else titled(axes[0], **log_ticks(wide))
    sketch = Sketch(x=x, y=titled(axes[1], **log_ticks(heights)))
    for s, _, line in lines:
        sketch.curve(Curve(s.label, line.x, line.y), _color(s.letter))
    for s, c, _ in lines:
        if c.chosen is not None:
            sketch.points(
                [c.chosen[0]], [c.chosen[1]], f"{s.letter}: chosen", symbol="star", color=_color(s.letter), size=15
            )
    for value, name in dict.fromkeys(c.limit for _, c, _ in lines if c.limit is not None):
        sketch.limit(value, name)
    title = "Latency against load" if linear else "Latency against throughput by batch size"
    letters = ", ".join(s.letter for s, _ in members)
    alt = f"{axes[1]} against {axes[0]} of scenarios {letters}, with the chosen points and the limits"
    return AnswerChart(f"curves-{number}", f"{title}: {letters}", alt, sketch.figure())


def _memory(found: Sequence[Slot], compared: Sequence[Slot]) -> AnswerChart:
    bars = []
    for s in found:
        best = s.best
        assert best is not None
        held = best.memory_per_accelerator or best.memory_per_instance
        if held is None:
            continue
        parts = memory.grouped(held.parts) if isinstance(s.scenario, LlmScenario) else dict(held.parts)
        bars.append(
            MemoryBar(
                f"{s.letter}: {best.accelerator_name or best.instance_type}",
                parts,
                held.capacity_bytes,
                low_bytes=held.used_low_bytes,
                high_bytes=held.used_high_bytes,
            )
        )
    return AnswerChart(
        "memory",
        "Memory of one accelerator or instance, as deployed",
        "Memory parts in GiB against capacity for each scenario",
        memory_chart(bars, per="accelerator or instance", order=memory.ORDER),
    )


def _cost(found: Sequence[Slot]) -> AnswerChart:
    labels = [f"{s.letter}: {s.best.instances} × {s.best.instance_type}" for s in found if s.best is not None]
    hourly = [s.best.cost.usd_per_hour for s in found if s.best is not None]
    figure: go.Figure = cost_chart(labels, hourly, chosen=hourly.index(min(hourly)))
    return AnswerChart("cost", "Cost of each, the cheapest marked", "USD per hour of each scenario", figure)


# Controls: each changes the queries that the page's state holds.


def _set(state: PageState, queries: Sequence[str]) -> None:
    """Take other scenarios into the comparison, unless they do not fit into a link."""
    changed = comparison_of(tuple(queries))
    try:
        links.to_query(changed, catalog_version=state.catalog_version)
    except InputError as error:
        state.said = [str(error)]
        return
    state.scenario, state.said = changed, []


def remove(state: PageState, position: int) -> None:
    """Take one scenario out (a button's callback)."""
    queries = list(state.scenario.queries)
    del queries[position]
    _set(state, queries)


def put_first(state: PageState, position: int) -> None:
    """Make one scenario the one that the others are compared with (a button's callback)."""
    queries = list(state.scenario.queries)
    queries.insert(0, queries.pop(position))
    _set(state, queries)


def add_pasted(state: PageState) -> None:
    """Add the scenario of a pasted link (a text box's callback); what is wrong with it is said."""
    text = str(st.session_state.get("compare:pasted", "")).strip()
    if not text:
        return
    try:
        query = query_of(text)
    except InputError as error:
        state.said = [str(error)]
        return
    st.session_state["compare:pasted"] = ""
    _set(state, [*state.scenario.queries, query])


def changed_query(query: str, field: str, text: str) -> str:
    """Query string of the scenario with one field set to a typed value. Raises InputError for what the field refuses."""
    decoded = links.from_query(query)
    params = links.to_params(decoded.scenario, catalog_version=decoded.catalog or "")
    params[field] = text.strip()
    if field in ("requests_per_s", "concurrency"):
        params["concurrency" if field == "requests_per_s" else "requests_per_s"] = ""
    again = links.from_params(params)
    if again.ignored:
        raise again.ignored[0]
    return links.to_query(again.scenario, catalog_version=decoded.catalog or "")


def duplicate(state: PageState, compared: Sequence[Slot]) -> None:
    """Add a copy with one thing changed, or change it in the last copy when it is still the same (a button's callback)."""
    letter, field = st.session_state.get("compare:of"), st.session_state.get("compare:field")
    source = next((s for s in compared if s.letter == letter), None)
    if source is None or source.scenario is None or field is None:
        return
    key = "compare:choice" if options_of(source.scenario, field) else "compare:value"
    text = str(st.session_state.get(key) or "")
    try:
        query = changed_query(source.query, field, text)
    except InputError as error:
        state.said = [f"{LABELS.get(error.field, error.field)}: {error.allowed} (not {shown(error.value)})."]
        return
    queries = list(state.scenario.queries)
    twin = next((i for i, q in enumerate(queries) if i > 0 and q in queries[:i]), None)
    if twin is not None:
        queries[twin] = query
    elif len(queries) < len(LETTERS):
        queries.append(query)
    else:
        state.said = [f"A comparison holds at most {len(LETTERS)} scenarios: remove one first."]
        return
    st.session_state["compare:value"] = ""
    _set(state, queries)


def fields_of(scenario: AnyScenario) -> dict[str, str]:
    """Fields that a copy can have changed, with their labels; texts of models of one's own are left to their pages."""
    left_out = links.COMPRESSED | {"kind"}
    names = [name for name in type(scenario).model_fields if name not in left_out]
    own_first = sorted(names, key=lambda name: name in ScenarioBase.model_fields and name != "requests_per_s")
    return {name: LABELS.get(name, name) for name in own_first}


def options_of(scenario: AnyScenario, field: str) -> list[str]:
    """The values a field may take, where they are a few words; none for numbers and lists."""
    annotation = str(type(scenario).model_fields[field].annotation) if field in type(scenario).model_fields else ""
    if annotation == "<class 'bool'>":
        return ["True", "False"]
    return [] if "tuple" in annotation else [str(value) for value in choices(type(scenario), field)]


def heads(state: PageState, compared: Sequence[Slot]) -> None:
    """One card a scenario: its sentence, the way to its own page, and what can be done with it."""
    for position, (s, column) in enumerate(zip(compared, st.columns(len(compared)), strict=True)):
        with column, st.container(border=True, height="stretch", gap="xsmall"):
            st.markdown(f"**{plain(s.label)}**")
            for text in s.said:
                st.caption(f":material/info: {plain(text)}")
            if s.plan is not None:
                st.caption(plain(s.plan.headline))
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                if s.scenario is not None and s.catalog is not None:
                    params = links.to_params(s.scenario, catalog_version=s.catalog.version)
                    st.page_link(f"pages/{s.scenario.kind}.py", label=f"Open {s.letter}", query_params=params)
                if position:
                    st.button(
                        "Make it A",
                        key=f"first-{position}",
                        on_click=put_first,
                        args=(state, position),
                        type="tertiary",
                    )
                if len(compared) > 1:
                    st.button(
                        "Remove", key=f"remove-{position}", on_click=remove, args=(state, position), type="tertiary"
                    )


def change_controls(state: PageState, compared: Sequence[Slot]) -> None:
    """Duplicate and change one thing; add the scenario of a link."""
    readable = [s for s in compared if s.scenario is not None]
    with st.container(key="compare-inputs", border=True, gap="small"):
        if readable:
            st.markdown("**Duplicate and change one thing**")
            with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
                names = {s.letter: s.label for s in readable}
                letter = st.selectbox(
                    "Of scenario", list(names), key="compare:of", format_func=lambda i: names.get(i, i)
                )
                source = next((s for s in readable if s.letter == letter), readable[0])
                assert source.scenario is not None
                fields = fields_of(source.scenario)
                field = st.selectbox(
                    "Change", list(fields), key="compare:field", format_func=lambda n: fields.get(n, n)
                )
            now = shown(getattr(source.scenario, field, None)) if field in fields else "–"
            label = f"New value (now {words(now)})"
            with (
                st.form("compare-copy", border=False),
                st.container(horizontal=True, vertical_alignment="bottom", gap="small"),
            ):
                if options := options_of(source.scenario, field):
                    st.selectbox(label, options, key="compare:choice", format_func=words)
                else:
                    st.text_input(label, key="compare:value", placeholder="left empty: none")
                st.form_submit_button("Add the copy", on_click=duplicate, args=(state, compared))
        st.text_input(
            "Add the scenario of a link",
            key="compare:pasted",
            placeholder="paste the whole link of a page",
            on_change=add_pasted,
            args=(state,),
            disabled=len(compared) >= len(LETTERS),
        )


def example(catalog: Catalog) -> Comparison:
    """What an empty page shows: the usual language model as published, and in fp8."""
    scenarios = (LlmScenario(name="As published"), LlmScenario(name="Weights in fp8", weight_format="fp8"))
    return comparison_of(tuple(links.to_query(s, catalog_version=catalog.version) for s in scenarios))
