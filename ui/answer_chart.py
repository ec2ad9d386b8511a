"""A chart of an answer as plain data: the page, the report, the summary and the comparison draw the same ones."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from ui.sketch import Curve


@dataclass(frozen=True)
class AnswerChart:
    """A figure with its title, and its text for a reader who does not see it.

    `curves` are the lines in it that can be laid over those of another scenario whose axes have the same titles.
    """

    key: str
    title: str
    alt: str
    figure: go.Figure
    curves: tuple[Curve, ...] = ()
    caption: str | None = None

    @property
    def axes(self) -> tuple[str, str]:
        """Titles of the two axes, with their units."""
        layout = self.figure.layout
        return str(layout.xaxis.title.text or ""), str(layout.yaxis.title.text or "")
