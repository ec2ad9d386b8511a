"""Score predictions on measured cases: which kinds of cases there are, and the command that scores a file of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sizing import catalog as catalogs
from sizing import score_queues
from sizing.catalog import Catalog
from sizing.deep_learning import score as deep_learning
from sizing.errors import InputError
from sizing.llm.score import MEMORY_COLUMNS, score_memory
from sizing.llm.score_speed import SERVING_COLUMNS, THROUGHPUT_COLUMNS, score_serving, score_throughput
from sizing.score_table import Case, Scored, read_cases, summary, to_csv
from sizing.statistical import score as statistical

MAX_CASES_BYTES = 50_000_000
SCORED = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of cases: the columns its file must have and what scores one case.

    `score_all` scores a file at once, where cases bear on each other; `more` is what its summary says besides.
    """

    columns: tuple[str, ...]
    score: Callable[[Case, Catalog], list[Scored]] | None = None
    score_all: Callable[[Sequence[Case], Catalog], list[Scored]] | None = None
    more: Callable[[Sequence[Case], Sequence[Scored], Catalog], str] | None = None

    def scored(self, cases: Sequence[Case], catalog: Catalog) -> list[Scored]:
        """Rows of all cases of a file."""
        if self.score_all is not None:
            return self.score_all(cases, catalog)
        return [row for case in cases for row in (self.score(case, catalog) if self.score else ())]


KINDS: dict[str, Kind] = {
    "llm-memory": Kind(MEMORY_COLUMNS, score_memory),
    "llm-serving": Kind(SERVING_COLUMNS, score_serving),
    "llm-throughput": Kind(THROUGHPUT_COLUMNS, score_throughput),
    "dl-throughput": Kind(deep_learning.THROUGHPUT_COLUMNS, deep_learning.score_throughput),
    "dl-curves": Kind(deep_learning.CURVE_COLUMNS, deep_learning.score_curve),
    "queues": Kind(score_queues.COLUMNS, score_queues.score_queue, more=score_queues.note),
    "statistical": Kind(statistical.COLUMNS, score_all=statistical.score_cases, more=statistical.summary_by_family),
}
"""Kinds of cases by the name the command takes."""


def score_text(kind: str, text: str, catalog: Catalog | None = None) -> list[Scored]:
    """Predictions beside the measurements of a CSV given as text, a row a case and quantity.

    Raises InputError for an unknown kind, a missing column, or a cell that is not what its column holds.
    """
    return score_with_note(kind, text, catalog)[0]


def score_with_note(kind: str, text: str, catalog: Catalog | None = None) -> tuple[list[Scored], str]:
    """As `score_text`, and the kind's note on all rows together."""
    if kind not in KINDS:
        raise InputError("kind", kind, f"one of {', '.join(KINDS)}")
    chosen = KINDS[kind]
    against = catalog or catalogs.load()
    cases = read_cases(text, chosen.columns)
    scored = chosen.scored(cases, against)
    return scored, chosen.more(cases, scored, against) if chosen.more else ""


def run(kind: str, cases: str, out: str | None = None) -> int:
    """Score a file of cases, print the summary and write the rows as CSV to `out`; returns the exit code 0.

    Raises InputError, as `score_text`, and for files that cannot be read or written.
    """
    if kind not in KINDS:
        raise InputError("kind", kind, f"one of {', '.join(KINDS)}")
    scored, note = score_with_note(kind, _read(cases))
    print(summary(scored) + note, end="")
    if out is not None:
        try:
            Path(out).write_text(to_csv(scored), encoding="utf-8")
        except OSError:
            raise InputError("out", out, "a file that can be written") from None
        print(f"Rows written to {out}.")
    return SCORED


def _read(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            text = file.read(MAX_CASES_BYTES + 1)
    except UnicodeDecodeError:
        raise InputError("cases", path, "a CSV file in UTF-8") from None
    except (OSError, ValueError):
        raise InputError("cases", path, "a file that can be read") from None
    if len(text) > MAX_CASES_BYTES:
        raise InputError("cases", path, f"a file of at most {MAX_CASES_BYTES:,} characters")
    return text
