"""The compare page: the difference in a sentence, one card a scenario, what differs, the charts overlaid, what to add."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape

import streamlit as st

from sizing import catalog as catalogs
from sizing import link as links
from sizing.comparison_answers import AnswerRow, Cell, Compared, answer_rows, compared, input_differences
from sizing.comparison_text import details, figure, headline, input_text
from sizing.comparison_view import LETTERS, MAX_LABEL_CHARACTERS
from sizing.errors import InputError
from sizing.errors import shown as quoted
from sizing.units import format_usd
from ui.compare_change import draw_change, error_words
from ui.compare_charts import color_of, cost_bars, memory_bars, trade_offs
from ui.compare_state import (
    CompareState,
    add_link,
    control_key,
    letter,
    make_first,
    open_comparison,
    remove,
    rename,
    use_present_catalog_for,
    write_comparison,
)
from ui.draw import beside, draw_chart
from ui.frame import SHOWN_CHANGES, draw_frame, plain
from ui.inputs import LABELS, words

ABOUT = (
    "Two to four scenarios of any kind, side by side: what differs in the inputs, then in the answers, each against A. "
    "This is an example. Bring your own: press **Compare** under the answer of a sizing page, or paste the link of one below."
)
KINDS = {"llm": "Language model", "deep_learning": "Deep learning model", "statistical": "Statistical model"}
ROW_LABELS = {"kind": "Kind of model", "catalog": "Catalog"}
READING = (
    "In brackets: change against A. 80 %: the interval of a prediction; where those of both overlap, the difference is "
    "not decided. A month is 730 h. A dash: does not apply."
)


def compare_page() -> None:
    """Draw the whole page."""
    draw_frame("Compare")
    state = open_comparison()
    st.title("Compare scenarios")
    _banners(state)
    entries = compared(state.slots)
    if state.example:
        st.caption(ABOUT)
    st.html(f'<p class="answer" role="status">{escape(headline(entries))}</p>')
    for column, (index, entry) in zip(st.columns(len(entries), gap="small"), enumerate(entries), strict=True):
        with column, st.container(border=True, height="stretch", key=f"compare-card-{index}"):
            _card(state, index, entry)
    if len(entries) == 1 and entries[0].answer is not None:
        st.subheader("Duplicate and change one thing", anchor="duplicate")
        left, _ = beside()
        with left:
            draw_change(state, 0, letter(1))
    if len(entries) > 1:
        _differences(entries)
        draw_chart(trade_offs(entries))
        left, right = beside()
        with left:
            draw_chart(memory_bars(entries))
        with right:
            draw_chart(cost_bars(entries))
    _add(state)
    write_comparison(state)


def _banners(state: CompareState) -> None:
    if state.banners:
        said = "\n".join(["This link was not taken as it stands:", *(f"- {b}" for b in state.banners)])
        st.warning(plain(said))
    present = catalogs.load().version
    older: dict[str, list[int]] = {}
    for index, slot in enumerate(state.slots):
        if slot.scenario is not None and slot.catalog != present:
            older.setdefault(slot.catalog, []).append(index)
    for version, indexes in older.items():
        changes = _changes_since(version, present)
        shown = [f"- {sentence}" for sentence in changes[:SHOWN_CHANGES]]
        if len(changes) > SHOWN_CHANGES:
            shown.append(f"- and {len(changes) - SHOWN_CHANGES} more")
        who = " and ".join(letter(index) for index in indexes)
        with st.container(border=True):
            first = f"The figures of {who} are those of catalog {version}; the present one is {present}. What has changed since:"
            st.info(plain("\n".join([first, *(shown or ["- nothing that is shown here"])])))
            with st.container(horizontal=True):
                for index in indexes:
                    key = control_key("catalog", index)
                    label = f"Answer {letter(index)} from the present catalog"
                    st.button(label, key=key, on_click=use_present_catalog_for, args=(index,))
            for index in indexes:
                _error(state, control_key("catalog", index))


@lru_cache(maxsize=8)
def _changes_since(version: str, present: str) -> tuple[str, ...]:
    return tuple(catalogs.difference(catalogs.load(version), catalogs.load(present)))


def _error(state: CompareState, place: str) -> None:
    error = state.errors.get(place)
    if error is not None:
        st.markdown(f":red[{plain(error_words(error))}]")


def _card(state: CompareState, index: int, entry: Compared) -> None:
    """One scenario: what it is and costs, its own page, and what can be done with it."""
    mark = f'<span style="color:{color_of(entry)}" aria-hidden="true">■</span>'
    reference = ' <span style="opacity:.7">(the reference)</span>' if index == 0 and len(state.slots) > 1 else ""
    st.html(f'<p style="margin:0"><b>{mark} {entry.letter}</b>{reference}<br>{escape(entry.title)}</p>')
    st.caption(plain(_summary(entry)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        scenario = entry.slot.scenario
        if scenario is not None:
            st.page_link(
                f"pages/{scenario.kind}.py",
                label=f"Open {entry.letter}",
                icon=":material/open_in_new:",
                query_params=links.to_params(scenario, catalog_version=entry.slot.catalog),
            )
        menu = st.popover("Change", key=control_key("edit", index), on_change="rerun")
        several = scenario is not None and len(state.slots) > 1  # a single one has these controls on the page
        copy = st.popover("Duplicate", key=control_key("copy", index), on_change="rerun") if several else None
    _error(state, control_key("edit", index))
    if menu.open:
        with menu:
            _menu(state, index, entry)
    if copy is not None and copy.open:
        with copy:
            _copy(state, index)


def _summary(entry: Compared) -> str:
    if entry.answer is None:
        return f"Could not be read: {entry.slot.unread}"
    if entry.best is None:
        return entry.answer.headline
    best = entry.best
    return f"{best.instances} × {best.instance_type}, {format_usd(best.cost.usd_per_month)} a month"


def _menu(state: CompareState, index: int, entry: Compared) -> None:
    if entry.slot.scenario is not None:
        key = control_key("label", index)
        st.session_state.setdefault(key, entry.slot.label)
        st.text_input(
            "Label",
            key=key,
            on_change=rename,
            args=(index,),
            max_chars=MAX_LABEL_CHARACTERS,
            placeholder=entry.title[:MAX_LABEL_CHARACTERS],
        )
        _error(state, key)
    with st.container(horizontal=True):
        if index > 0:
            st.button("Make it A", key=control_key("first", index), on_click=make_first, args=(index,))
        if len(state.slots) > 1:
            st.button("Remove", key=control_key("remove", index), on_click=remove, args=(index,))


def _copy(state: CompareState, index: int) -> None:
    """A copy with one thing changed, where there is room for another scenario."""
    if len(state.slots) < len(LETTERS):
        st.markdown("**Duplicate and change one thing**")
        draw_change(state, index, letter(len(state.slots)))
    else:
        st.caption("Remove a scenario to make room for a copy: four are the most.")


def _differences(entries: Sequence[Compared]) -> None:
    """The table: inputs that differ, then the answers."""
    st.subheader("Differences", anchor="differences")
    heads = "".join(f'<th class="wraps">{entry.letter}: {escape(entry.title)}</th>' for entry in entries)
    inputs = input_differences(entries)
    rows = [_section("Inputs that differ", len(entries))]
    for row in inputs:
        label = ROW_LABELS.get(row.field) or LABELS.get(row.field, row.field)
        cells = [_input(row.field, value, held) for value, held in zip(row.values, row.held, strict=True)]
        rows.append(_row(label, [escape(cell) for cell in cells]))
    if not inputs:
        rows.append(_row("none", ["–"] * len(entries)))
    rows.append(_section("Answers", len(entries)))
    rows += [_row(row.quantity, [_cell(cell, row) for cell in row.cells]) for row in answer_rows(entries)]
    least = 5.4 + 8.2 * len(entries)
    st.html(
        f'<div class="scroll"><table class="slo even" style="min-width:{least:g}rem"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    st.caption(plain(READING))


def _section(title: str, columns: int) -> str:
    return f'<tr><th colspan="{columns + 1}" style="padding-top:.6rem">{title}</th></tr>'


def _row(label: str, cells: Sequence[str]) -> str:
    return f"<tr><td>{escape(label)}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _input(field: str, value: object, held: bool) -> str:
    if field == "kind" and held:
        return KINDS[str(value)]
    if isinstance(value, tuple):
        value = tuple(words(part) for part in value)
    elif isinstance(value, str):
        value = words(value)
    return input_text(value, held)


def _cell(cell: Cell, row: AnswerRow) -> str:
    """A figure with its change, interval and verdict below it."""
    shown = escape(figure(cell.value, row.unit))
    if cell.value is None:
        return shown
    more = details(cell, row.unit)
    change = f" ({escape(more.pop(0))})" if cell.change is not None else ""
    small = "".join(f"<br><small>{_judged(text)}</small>" for text in more)
    return f"<b>{shown}</b>{change}{small}"


def _judged(text: str) -> str:
    """A detail as HTML, its verdict marked as on the other pages."""
    for ending, mark, style in ((": pass", "✓ pass", "met"), (": fail", "✗ fail", "missed")):
        if text.endswith(ending):
            return f'{escape(text.removesuffix(ending))} <span class="{style}">{mark}</span>'
    return escape(text)


def _add(state: CompareState) -> None:
    """A text box for the link of another page."""
    if len(state.slots) >= len(LETTERS):
        return
    st.subheader("Add another scenario", anchor="add")
    key = control_key("link")
    st.text_input(
        "Link of a sizing page or of another comparison",
        key=key,
        on_change=add_link,
        placeholder="paste the whole link here and press Enter",
    )
    error = state.errors.get(key)
    if error is not None:
        st.markdown(f":red[{plain(str(_about_link(error)))}]")


def _about_link(error: InputError) -> str:
    what = (
        ""
        if error.field in ("link", "scenarios")
        else f"{LABELS.get(error.field, error.field)} {quoted(error.value)}: "
    )
    return f"This link cannot be added: {what}allowed is {error.allowed}."
