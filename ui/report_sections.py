"""What a report is made of: sections of paragraphs, tables and charts as plain data, without a word of HTML.

A section comes from a function (scenario, catalog, plan) -> Section, or None where it has nothing to say. ui/report.py lists
them in their order; whoever has something to add adds a function there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sizing.catalog import Catalog
from sizing.plan import Plan
from sizing.scenario import AnyScenario
from ui.answer_chart import AnswerChart


@dataclass(frozen=True)
class Paragraph:
    """Text: the answer itself (`lead`), running text, or a remark (`note`)."""

    text: str
    role: Literal["lead", "text", "note"] = "text"


@dataclass(frozen=True)
class Bullets:
    """Short texts, one under the other."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of texts; a line break in a text is one on the page. `numeric` are the columns set to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Verbatim:
    """Text as it stands, white space included: a file."""

    text: str


@dataclass(frozen=True)
class Link:
    """An address of this dashboard, with what it opens."""

    text: str
    address: str


Part = Paragraph | Bullets | Table | Verbatim | Link | AnswerChart


@dataclass(frozen=True)
class Section:
    """One part of the report under its title; `key` is its anchor (letters, digits and dashes)."""

    key: str
    title: str
    parts: Sequence[Part]


SectionMaker = Callable[[AnyScenario, Catalog, Plan], Section | None]
