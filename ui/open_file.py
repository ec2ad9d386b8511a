"""The way back in for files saved here: a scenario opens its page, a snapshot shows its figures as they were frozen."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from sizing import catalog as catalogs
from sizing import link as links
from sizing import snapshot
from sizing.errors import InputError
from sizing.plan import Plan
from sizing.scenario import AnyScenario, parse_scenario, scenario_from_yaml
from ui.answer_chart import AnswerChart
from ui.answer_charts import cost_of_candidates
from ui.charts import MemoryBar, memory_chart
from ui.frame import plain
from ui.memory import grouped
from ui.results import folded
from ui.state import PageState, workable
from ui.summary import draw_summary

TITLE = "Open a snapshot or a scenario file"
FILE = "open:file"
MAX_BYTES = 12_000_000
MAX_SCENARIO_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Opened:
    """What a file holds: a frozen answer or a scenario, or the sentence that says why it cannot be opened."""

    frozen: snapshot.Snapshot | None = None
    scenario: AnyScenario | None = None
    problem: str | None = None


def opened(content: bytes) -> Opened:
    """What is in a file: a snapshot, or a scenario (YAML or JSON), also that of a plan (JSON)."""
    try:
        if len(content) > MAX_BYTES:
            raise InputError("file", f"{len(content):,} bytes", f"a file of at most {MAX_BYTES:,} bytes")
        text = content.decode("utf-8-sig")
        document = snapshot.parsed(text)
        if isinstance(document, dict) and {"format", "checksum"} & set(document):
            return Opened(frozen=snapshot.from_json(text))
        if isinstance(document, dict) and "recommended" in document:
            return Opened(scenario=parse_scenario(document.get("scenario")))
        if len(text) > MAX_SCENARIO_CHARACTERS:
            allowed = f"a scenario of at most {MAX_SCENARIO_CHARACTERS:,} characters"
            raise InputError("file", f"{len(text):,} characters", allowed)
        return Opened(scenario=scenario_from_yaml(text))
    except UnicodeDecodeError:
        return Opened(problem="This is not a text file: a snapshot (JSON) or a scenario (YAML or JSON) is.")
    except InputError as error:
        return Opened(problem=str(error))


def draw_open_file() -> None:
    """The closed section of the start page."""
    folded(TITLE, "open", _draw)


def _draw() -> None:
    st.caption(
        "Files that were saved under *Take away*: a snapshot shows its figures as they were, without computing them again; a "
        "scenario opens its page. The file is read in memory and not kept."
    )
    file = st.file_uploader("Snapshot (JSON) or scenario (YAML)", type=["json", "yaml", "yml"], key=FILE)
    if file is None:
        return
    found = opened(file.getvalue())
    if found.problem is not None:
        st.markdown(f":red[{plain(found.problem)}]")
    elif found.scenario is not None:
        _draw_scenario(found.scenario)
    elif found.frozen is not None:
        _draw_frozen(found.frozen)


def _draw_scenario(scenario: AnyScenario) -> None:
    present = catalogs.load()
    refused: list[InputError] = []
    try:
        scenario = workable(scenario, present, refused)
    except InputError as error:
        st.markdown(f":red[{plain(str(error))}]")
        return
    if refused:
        st.warning(
            plain("\n".join(["Not all of it can be used; the usual values stand in:", *(f"- {e}" for e in refused)]))
        )
    _link_to(scenario, present.version, f"Open {scenario.name or 'this scenario'}")


def _link_to(scenario: AnyScenario, version: str, label: str) -> None:
    """Link to the live page. A scenario too long for a link is put into the session instead, where its page looks for it."""
    page, icon = f"pages/{scenario.kind}.py", ":material/arrow_forward:"
    try:
        links.to_query(scenario, catalog_version=version)
    except InputError:
        st.session_state[f"page:{scenario.kind}"] = PageState(scenario.kind, scenario, version)
        st.page_link(page, label=plain(label), icon=icon)
        return
    params = links.to_params(scenario, catalog_version=version)
    st.page_link(page, label=plain(label), icon=icon, query_params=params)


def _draw_frozen(frozen: snapshot.Snapshot) -> None:
    plan, kept = frozen.plan, catalogs.available_versions()

    said = (
        f"Frozen on {frozen.created.isoformat()} under catalog {plan.catalog}, not recomputed. The checksum matches the "
        f"content: {frozen.checksum}."
    )
    with st.container(key="summary"):
        draw_summary(plan, frozen_charts(plan), frozen=said)
        if plan.catalog in kept:
            _link_to(plan.scenario, plan.catalog, "Open the live scenario: computed today, under the same catalog")
        else:
            st.caption(
                plain(f"Catalog {plan.catalog} is not kept here; the live scenario is answered from the present one.")
            )
            _link_to(plan.scenario, kept[-1], "Open the live scenario: computed today, under the present catalog")


def frozen_charts(plan: Plan) -> tuple[AnswerChart, ...]:
    """The charts that need nothing but the plan: memory of the deployment by parts, cost of the candidates."""
    best, cost = plan.recommended, cost_of_candidates(plan)
    memory = (best.memory_per_accelerator or best.memory_per_instance) if best is not None else None
    if best is None or memory is None or cost is None:
        return ()
    per = "accelerator" if best.memory_per_accelerator is not None else "instance"
    parts = grouped(memory.parts) if plan.kind == "llm" else memory.parts
    bar = MemoryBar(
        best.accelerator_name or best.instance_type,
        parts,
        memory.capacity_bytes,
        chosen=True,
        low_bytes=memory.used_low_bytes,
        high_bytes=memory.used_high_bytes,
    )
    text = f"Memory parts of one {per} in GiB against its capacity"
    shown = AnswerChart(
        "memory", f"Memory of one {per} by parts", text, memory_chart([bar], per=per, order=tuple(parts))
    )
    return shown, cost
