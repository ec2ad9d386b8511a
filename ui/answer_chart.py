"""A chart of an answer as plain data: the page, the report, the summary and the comparison draw the same ones."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from ui.sketch import Curve


@dataclass(frozen=True)
class AnswerChart:
    """A figure with its title, and its text for a reader who does not see it.

    `overlay` is the line in it that is laid over that of another scenario whose axes have the same titles, `chosen` the
    chosen point on it, and `limit` a limit of the vertical axis with its name.
    """

    key: str
    title: str
    alt: str
    figure: go.Figure
    caption: str | None = None
    overlay: Curve | None = None
    chosen: tuple[float, float] | None = None
    limit: tuple[float, str] | None = None

    @property
    def axes(self) -> tuple[str, str]:
        """Titles of the two axes, with their units."""
        layout = self.figure.layout
        return str(layout.xaxis.title.text or ""), str(layout.yaxis.title.text or "")
