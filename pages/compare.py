"""Scenarios side by side from their links: differences first, the same charts overlaid, one link for all of it."""

from html import escape

import streamlit as st

from sizing.comparison import headline, slots
from sizing.comparison_view import Comparison
from ui.compare import change_controls, charts, differences, example, heads
from ui.draw import draw_chart
from ui.frame import draw_banners, draw_frame, plain
from ui.keep import KEPT
from ui.state import open_page, write_address

draw_frame("Compare")
state = open_page("compare")
st.title("Compare scenarios")
draw_banners(state)
if not isinstance(state.scenario, Comparison) or not state.scenario.queries:
    state.scenario = example(state.catalog)
    st.caption(
        "An example: one model in two formats. Open Compare from an answer, or paste links below, to compare your own."
    )
compared = slots(state.scenario)
st.html(f'<p class="answer" role="status">{escape(headline(compared))}</p>')
heads(state, compared)
is_copy = len(set(state.scenario.queries)) < len(state.scenario.queries)  # come here to change one thing
if is_copy:
    change_controls(state, compared)
differences(compared)
if not is_copy:
    change_controls(state, compared)
drawn = charts(compared)
if drawn:
    columns = st.columns(2, gap="medium")
    for position, chart in enumerate(drawn):
        with columns[position % 2]:
            draw_chart(chart)
if st.session_state.get(KEPT) is not None:
    st.caption(plain(f"Kept for the next comparison: {st.session_state[KEPT].words}"))
write_address(state)
