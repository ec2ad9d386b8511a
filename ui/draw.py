"""Charts on a page: each under its title, with text for a reader who does not see it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui.answer_chart import AnswerChart
from ui.frame import plain
from ui.sketch import CONFIG


def draw_chart(shown: AnswerChart | None) -> None:
    """One chart of an answer with its title and caption; nothing for None."""
    if shown is None:
        return
    chart(shown.figure, key=shown.key, alt=shown.alt, title=shown.title)
    if shown.caption is not None:
        st.caption(plain(shown.caption))


def chart(figure: Any, *, key: str, alt: str, title: str) -> None:
    """One chart under its title, with text for a reader who does not see it."""
    st.markdown(f"**{title}**")
    st.plotly_chart(figure, key=key, alt=alt, config=CONFIG, width="stretch")


def beside() -> list[Any]:
    """Two columns for charts on a wide screen, one under the other on a phone."""
    return st.columns(2, gap="medium")
