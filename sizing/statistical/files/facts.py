"""Facts of a statistical model as its file has them: what every reader gives, whatever the format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sizing.errors import InputError, shown
from sizing.statistical.files.trees import Forest
from sizing.statistical.own import FileFormat, ModelSummary, Step

MOST_FEATURES = 1_000_000
MOST_OUTPUTS = 100_000


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """One model file: its family in the catalog, sizes, the steps before the model, and what had to be assumed.

    `features` are the columns of a request, `model_features` those that reach the model after its steps; `vectors` are support
    vectors, stored rows or centres.
    """

    format: FileFormat
    library: str
    model: str
    family: str
    features: int
    outputs: int
    file_bytes: int
    model_features: int | None = None
    forest: Forest | None = None
    parameters: int = 0
    vectors: int = 0
    hidden_layers: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()
    objective: str | None = None
    base_score: tuple[float, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def summary(self, name: str) -> ModelSummary:
        """What of it travels in a scenario; `name` is what the model is called there."""
        forest = self.forest
        return ModelSummary(
            summary=1,
            name=printable(name)[:80],
            library=printable(self.library)[:60],
            format=self.format,
            family=self.family,
            model=printable(self.model)[:60],
            features=self.features,
            model_features=self.model_features,
            outputs=self.outputs,
            trees=0 if forest is None else forest.trees,
            nodes=0 if forest is None else forest.nodes,
            leaves=0 if forest is None else forest.leaves,
            max_depth=0 if forest is None else forest.max_depth,
            visited_nodes_per_row=0.0 if forest is None else round(forest.visited_nodes_per_row, 4),
            by_cover=forest is None or forest.by_cover,
            parameters=self.parameters,
            vectors=self.vectors,
            hidden_layers=self.hidden_layers,
            steps=self.steps,
            file_bytes=self.file_bytes,
        )


def printable(text: str) -> str:
    """A text of a file as it is shown: one line, so that it cannot speak to a terminal.

    >>> printable("a\\nb")
    'a?b'
    """
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def count_of(value: Any, what: str, *, least: int, most: int) -> int:
    """A whole number of a file within limits [count], stated as a number or as a text. Raises InputError otherwise.

    >>> count_of("12", "features", least=1, most=100)
    12
    """
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if text.isascii() and text.isdecimal() and len(text) < 16 and least <= int(text) <= most:
        return int(text)
    raise InputError("file", f"{what} {shown(value)}", f"a whole number of {what} from {least:,} to {most:,}")


def text_of(value: Any) -> str | None:
    """A text of a file, shortened to be shown, or None where there is none."""
    return printable(value)[:80] if isinstance(value, str) and value else None
