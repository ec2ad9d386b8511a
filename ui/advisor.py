"""What would make it cheaper or faster: changes tried with a plan each, taken with one click and undone with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import streamlit as st

from sizing.advisor import Advice, Outcome, PathStep, advise, best_path
from sizing.advisor.path import Allowed
from sizing.advisor.text import (
    EFFECT_WORDS,
    STATUS_WORDS,
    latency_words,
    machines_words,
    memory_words,
    note_words,
    quality_words,
    saved_words,
    sentence,
)
from sizing.money import format_money
from sizing.plan import Plan
from sizing.scenario import AnyScenario
from ui.frame import plain
from ui.inputs import LABELS, words
from ui.keep import compare_link
from ui.results import folded, table
from ui.state import PageState, set_fields

TITLE = "What would make it cheaper or faster"
ALLOWED: dict[Allowed, str] = {
    "same": "keep every answer as it is",
    "formats": "allow other formats and engines",
    "all": "allow a smaller model or input too",
}
_STYLE = """<style>
.move {border-top: 1px solid rgba(127,127,127,.3); padding-top: .45rem; font-size: .88rem; line-height: 1.35;}
.move b.title {font-size: .95rem;} .move .if {opacity: .85; font-style: italic;}
.move dl {display: grid; grid-template-columns: 1.5fr .8fr 1.1fr 2fr 1.6fr; gap: .1rem .9rem; margin: .25rem 0 .2rem 0 !important;
  padding: 0 !important;}
.move dl div {min-width: 0; overflow-wrap: anywhere;}
.move dt {font-size: .74rem; opacity: .72; margin: 0 !important; padding: 0 !important;}
.move dd {margin: 0 !important; padding: 0 !important;}
.move p {margin: 0; font-size: .82rem; opacity: .9;}
@media (max-width: 768px) {.move dl {grid-template-columns: 1fr 1fr;} .move dl .wide {grid-column: 1 / -1;}}
</style>"""


@dataclass(frozen=True)
class Applied:
    """A move that was taken: its title, the scenario before, and the fields it changed, as they were and as they are."""

    title: str
    former: AnyScenario
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def stands(self, scenario: AnyScenario) -> bool:
        """Whether the scenario is still the one it was applied to, in the fields it changed and in its name and model."""
        if any(getattr(scenario, name) != value for name, value in self.after.items()):
            return False
        same = (name for name in ("name", "model", "family") if name not in self.after)
        return all(getattr(scenario, name, None) == getattr(self.former, name, None) for name in same)


def draw_advisor(state: PageState, plan: Plan) -> None:
    """The section: what was applied last with its undo in sight, the moves once it is open."""
    former = st.session_state.get(f"former:{state.kind}")
    if former is not None:
        after_apply(state, former)
    if plan.recommended is not None:
        folded(TITLE, "advisor", lambda: _draw(state))


def after_apply(state: PageState, former: AnyScenario) -> None:
    """What the last applied move changed against the former scenario, with a button that undoes it."""
    taken: list[Applied] = st.session_state.get(f"applied:{state.kind}", [])
    if not taken or taken[-1].former is not former or not taken[-1].stands(state.scenario):
        _forget(state.kind)
        return
    last = taken[-1]
    changes = "; ".join(
        f"{LABELS.get(name, name)} {_said(last.before[name])} → {_said(value)}" for name, value in last.after.items()
    )
    with st.container(horizontal=True, vertical_alignment="center", key="advisor-applied"):
        st.button("Undo", key="advisor:undo", on_click=undo, args=(state.kind,))
        compare_link("Compare with the former", (former, state.scenario), state.catalog_version)
        st.markdown(plain(f"Applied: {last.title}. {changes}."))


def _said(value: Any) -> str:
    if value is None or value == ():
        return "open"
    if isinstance(value, tuple):
        return f"{len(value)} named" if len(value) > 3 else ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else words(value)


def apply(kind: str, title: str, changes: Mapping[str, Any]) -> None:
    """Take a move (a button's callback): change the fields, and keep the former scenario for Undo and for comparing."""
    state: PageState = st.session_state[f"page:{kind}"]
    former = state.scenario
    set_fields(kind, dict(changes))
    after = {name: getattr(state.scenario, name) for name in changes}
    before = {name: getattr(former, name) for name in changes}
    differing = [name for name in changes if before[name] != after[name]]
    if not differing:
        return  # refused: set_fields has said why
    st.session_state[f"former:{kind}"] = former
    st.session_state.setdefault(f"applied:{kind}", []).append(
        Applied(title, former, {n: before[n] for n in differing}, {n: after[n] for n in differing})
    )
    st.toast(plain(f"Applied: {title}"))


def undo(kind: str) -> None:
    """Give the fields of the last applied move their former values (a button's callback)."""
    taken: list[Applied] = st.session_state[f"applied:{kind}"]
    last = taken.pop()
    set_fields(kind, dict(last.before))
    st.session_state[f"former:{kind}"] = taken[-1].former if taken else None


def _forget(kind: str) -> None:
    st.session_state[f"former:{kind}"] = None
    st.session_state[f"applied:{kind}"] = []


def _draw(state: PageState) -> None:
    with st.spinner("Trying about thirty changes, each with a plan of its own"):
        advice = advise(state.scenario, state.catalog)
    if advice is None:
        return
    st.html(_STYLE)
    st.markdown(plain(sentence(advice)))
    st.caption(
        plain(
            f"Now: {machines_words(advice.present)}, {format_money(advice.present.usd_per_month, advice.scenario)} a month. Each change is tried "
            "alone; Apply takes it over into the inputs and the link."
        )
    )
    for outcome in advice.shown:
        _row(state.kind, advice, outcome)
    _combination(state)
    rest = advice.rest
    if rest and st.toggle(f"Show the other {len(rest)} changes that were tried", key="advisor:rest"):
        _rest(state.kind, advice, rest)
    for note in advice.notes:
        st.caption(plain(note_words(note, advice)))
    st.caption(
        plain(
            "Saved: USD a month of 730 h against the present plan, at the middle of the prediction. A difference in time is "
            "not decided where the two 80 % intervals overlap. Memory is what is used at the batch that each plan chooses. "
            "What is said of quality is published by others, not measured here."
        )
    )


def _row(kind: str, advice: Advice, outcome: Outcome) -> None:
    """One move: its figures under their names, beside each other on a wide screen, then its button (on a phone below them)."""
    move = outcome.move
    left, right = st.columns([11, 1], gap="small", vertical_alignment="center")
    with left:
        st.html(row_html(advice, outcome))
    with right:
        st.button("Apply", key=f"advisor:{move.id}", on_click=apply, args=(kind, move.title, dict(move.changes)))


def row_html(advice: Advice, outcome: Outcome) -> str:
    """The figures of one move as HTML."""
    move, figures = outcome.move, outcome.figures
    assert figures is not None
    latency = "<br>".join(escape(latency_words(change)) for change in outcome.latency)
    cells = (
        ("", "Machines", escape(machines_words(figures))),
        ("", "A month", escape(format_money(figures.usd_per_month, advice.scenario))),
        ("", "Saved", f"<b>{escape(saved_words(advice, outcome))}</b>"),
        ("wide", "Latency before → after", latency),
        ("wide", "Memory in use", escape(memory_words(advice, outcome))),
    )
    shown = "".join(f'<div class="{css}"><dt>{name}</dt><dd>{text}</dd></div>' for css, name, text in cells)
    effect = "" if move.quality.effect == "same" else f"<b>{EFFECT_WORDS[move.quality.effect].capitalize()}.</b> "
    given = f' <span class="if">{escape(move.condition)}</span>' if move.condition is not None else ""
    return (
        f'<div class="move"><b class="title">{escape(move.title)}</b>{given}<dl>{shown}</dl>'
        f"<p>{effect}{escape(quality_words(move.quality))}</p></div>"
    )


def _rest(kind: str, advice: Advice, rest: Sequence[Outcome]) -> None:
    """What is not in the table: moves that help stay clickable, the others say what came of them."""
    for outcome in rest:
        if outcome.status in ("saves", "leaner", "relaxes"):
            _row(kind, advice, outcome)
            if outcome.status == "relaxes":
                st.caption("This gives up some of what you asked for.")
    others = [o for o in rest if o.status not in ("saves", "leaner", "relaxes")]
    if others:
        table(("Change", "Result", "A month", "Latency, or why not"), [_other(advice, o) for o in others], least_rem=30)


def _other(advice: Advice, outcome: Outcome) -> tuple[str, str, str, str]:
    month = None if outcome.figures is None else format_money(outcome.figures.usd_per_month, advice.scenario)
    usd = "–" if month is None else f"{month}, {saved_words(advice, outcome)}"
    detail = outcome.because or "; ".join(map(latency_words, outcome.latency))
    return outcome.move.title, STATUS_WORDS[outcome.status], usd, detail


def _combination(state: PageState) -> None:
    """The best moves one after the other, worked out on request."""
    st.markdown("**Several changes together**")
    asked = st.selectbox(
        "What they may touch",
        list(ALLOWED),
        index=1,
        key="advisor:allowed",
        format_func=lambda name: ALLOWED[name],
        width=420,
    )
    pressed: AnyScenario | None = st.session_state.get("advisor:combined")
    if st.button("Work out the best combination", key="advisor:combine"):
        pressed = st.session_state["advisor:combined"] = state.scenario
    if pressed != state.scenario:
        return
    with st.spinner("Taking the best change, then the best on top of it"):
        steps = best_path(state.scenario, state.catalog, allowed=asked)
    if not steps:
        st.markdown("No change of this kind saves anything.")
        return
    for number, step in enumerate(steps, start=1):
        _step(state, number, step, steps)
    st.caption(
        "Each step takes what saves most on top of the steps before it, without assumptions and with every limit kept; two "
        "changes that pay only together are not found."
    )


def _step(state: PageState, number: int, step: PathStep, steps: Sequence[PathStep]) -> None:
    title = " + ".join(s.outcome.move.title for s in steps[:number])
    latency = "; ".join(map(latency_words, step.outcome.latency))
    said = (
        f"Step {number}, {step.outcome.move.title}: {format_money(step.figures.usd_per_month, state.scenario)} a month with "
        f"{machines_words(step.figures)}; {format_money(step.saved_usd_per_month, state.scenario)} ({step.saved_share:.0%}) saved in all. {latency}."
    )
    label = "Apply" if number == 1 else f"Apply 1 to {number}"
    left, right = st.columns([10, 1.4], gap="small", vertical_alignment="center")
    with left:
        st.markdown(plain(said))
    with right:
        st.button(label, key=f"advisor:step{number}", on_click=apply, args=(state.kind, title, dict(step.changes)))
