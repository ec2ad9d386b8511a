"""A statistical model of the reader's own as a summary that travels in a scenario: the file itself is never kept nor sent on.

The summary is JSON of a few hundred characters: the family in the catalog, the sizes that its file has, and the steps before the
model. `inspect --summary` prints it; where files may not be uploaded it is pasted. With it, nodes, visited nodes, parameters and
stored vectors are those of the file, in place of the sizes typed in.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from json import JSONDecodeError, dumps, loads
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from sizing.errors import InputError
from sizing.scenario import StatisticalScenario
from sizing.scenario_statistical import StatisticalRuntime
from sizing.scenario_words import CATALOG_ID
from sizing.statistical.structure import Structure, sized
from sizing.statistical_rows import RuntimeCost, StatisticalFamily

FIELD = "custom_model"
MOST_CHARACTERS = 3_000
MOST_PASTED_CHARACTERS = 5_000_000
MOST_STEPS = 24
SUMMARY = "a summary as `inspect --summary` or `inspect --json` prints it"

FileFormat = Literal["xgboost-json", "xgboost-ubj", "lightgbm-text", "onnx", "skops"]
StepKind = Literal["scale", "impute", "one_hot", "ordinal", "select", "normalize", "polynomial", "other"]
_FORMATS_OF_CATALOG = {"xgboost-ubj": "UBJ", "lightgbm-text": "text", "onnx": "ONNX"}
"""What the catalog calls the format of a file, where it counts bytes of just that format."""
_NATURAL: dict[str, tuple[StatisticalRuntime, ...]] = {
    "onnx": ("onnxruntime",),
    "skops": ("native",),
    "xgboost-json": ("booster", "native"),
    "xgboost-ubj": ("booster", "native"),
    "lightgbm-text": ("booster", "native"),
}
"""Runtimes that load a file as it is, the first being what its library's own loader gives."""

Count = Annotated[int, Field(ge=0, le=10**13, strict=True)]
Name = Annotated[str, Field(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Step:
    """One step of a pipeline before its model: what it does, columns in and out [count], and its name in the file."""

    kind: StepKind
    features_in: Annotated[int, Field(ge=0, le=10**7, strict=True)]
    features_out: Annotated[int, Field(ge=0, le=10**7, strict=True)]
    name: Name = ""


class ModelSummary(BaseModel):
    """Facts of one statistical model. Counts as its file has them; see `sizing.statistical.files` for how they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    summary: Literal[1] = 1
    name: Name
    library: Name
    format: FileFormat
    family: Annotated[str, Field(pattern=CATALOG_ID, max_length=100)]
    model: Name = ""
    features: Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
    model_features: Annotated[int, Field(ge=1, le=10**7, strict=True)] | None = None
    outputs: Annotated[int, Field(ge=1, le=100_000, strict=True)]
    trees: Count = 0
    nodes: Count = 0
    leaves: Count = 0
    max_depth: Annotated[int, Field(ge=0, le=10_000, strict=True)] = 0
    visited_nodes_per_row: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    by_cover: bool = True
    parameters: Count = 0
    vectors: Count = 0
    hidden_layers: Annotated[
        tuple[Annotated[int, Field(ge=1, le=100_000, strict=True)], ...], Field(max_length=16)
    ] = ()
    steps: Annotated[tuple[Step, ...], Field(max_length=MOST_STEPS)] = ()
    file_bytes: Annotated[int, Field(ge=1, le=10**13, strict=True)]

    @model_validator(mode="before")
    @classmethod
    def _steps_as_lists(cls, data: Any) -> Any:
        """Steps stand in the text as [kind, columns in, columns out, name]."""
        steps = data.get("steps") if isinstance(data, dict) else None
        if not isinstance(steps, list | tuple):
            return data
        names = ("kind", "features_in", "features_out", "name")
        told = [
            dict(zip(names, step, strict=False)) if isinstance(step, list) and len(step) in (3, 4) else step
            for step in steps
        ]
        return {**data, "steps": tuple(told)}

    @model_validator(mode="after")
    def _sizes_agree(self) -> ModelSummary:
        if self.trees:
            if not self.trees <= self.leaves <= self.nodes or self.nodes > 2 * self.leaves - self.trees:
                raise ValueError("trees, leaves and nodes that no trees have")
            if not self.trees <= self.visited_nodes_per_row <= self.trees * (self.max_depth + 1) * 1.001:
                raise ValueError("visited nodes that no trees have")
        elif not self.parameters:
            raise ValueError("neither trees nor parameters")
        return self

    @property
    def columns(self) -> int:
        """Columns that reach the model after its steps [count]."""
        return self.model_features or self.features

    def text(self) -> str:
        """The summary as compact JSON, as it stands in a scenario; what has its usual value is left out."""
        plain: dict[str, Any] = {"summary": 1, **self.model_dump(mode="json", exclude_defaults=True)}
        if self.steps:
            plain["steps"] = [[s.kind, s.features_in, s.features_out, s.name] for s in self.steps]
        return dumps(plain, separators=(",", ":"), ensure_ascii=True)


def parse_summary(text: str) -> ModelSummary:
    """The summary in a text: itself, or within what `inspect --json` prints.

    Raises InputError, field custom_model, in one sentence.
    """
    if len(text) > MOST_PASTED_CHARACTERS:
        raise InputError(FIELD, f"{len(text):,} characters", SUMMARY)
    return _parsed(text)


@lru_cache(maxsize=16)
def _parsed(text: str) -> ModelSummary:
    try:
        data = loads(text)
    except (JSONDecodeError, RecursionError, ValueError):
        raise InputError(FIELD, "text that is no JSON", SUMMARY) from None
    if isinstance(data, dict) and isinstance(data.get("model_summary"), dict):
        data = data["model_summary"]
    if not isinstance(data, dict) or "summary" not in data or "family" not in data:
        raise InputError(FIELD, "JSON without the summary of a statistical model", SUMMARY)
    try:
        summary = ModelSummary.model_validate(data)
    except (ValidationError, RecursionError) as error:
        where = "part"
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            said = str(first["msg"]).removeprefix("Value error, ")
            where = ".".join(str(part) for part in first["loc"]) or said
        raise InputError(FIELD, f"a summary with an unusable {where}", SUMMARY) from None
    if len(summary.text()) > MOST_CHARACTERS:
        raise InputError(FIELD, f"a summary of {len(summary.text()):,} characters", f"at most {MOST_CHARACTERS:,}")
    return summary


def own_model(scenario: StatisticalScenario) -> ModelSummary | None:
    """The summary that the scenario carries, or None where sizes are typed in. Raises InputError as `parse_summary`."""
    return None if scenario.custom_model is None else parse_summary(scenario.custom_model)


def resolved(scenario: StatisticalScenario) -> StatisticalScenario:
    """The scenario with family and sizes of its own model in place of those typed in; as it is where it has none."""
    summary = own_model(scenario)
    return scenario if summary is None else scenario.model_copy(update=size_fields(summary))


def size_fields(summary: ModelSummary) -> dict[str, Any]:
    """Fields of a scenario that say the same as a summary, as nearly as they can.

    A row's path is exact in the summary alone; `depth` and `leaves` are the deepest tree and the mean leaves of one.
    """
    found: dict[str, Any] = {"family": summary.family, "features": summary.features, "outputs": summary.outputs}
    if summary.trees:
        depth = min(max(summary.max_depth, 1), 64)
        mean = max(2, round(summary.leaves / summary.trees))
        found |= {"trees": summary.trees, "depth": depth, "leaves": min(mean, 2**depth)}
    if summary.vectors:
        name = {"svm-rbf": "support_vectors", "k-means": "clusters"}.get(summary.family, "training_rows")
        found[name] = summary.vectors
    if summary.family == "mlp":
        found["hidden_layers"] = summary.hidden_layers
    return found


def natural_runtime(file_format: str, family: StatisticalFamily, present: str | None = None) -> StatisticalRuntime:
    """The runtime that loads such a file as it is: the present one if it does, or compiled trees; else the library's own."""
    have = [runtime.id for runtime in family.runtimes]
    choices = [runtime for runtime in _NATURAL.get(file_format, ()) if runtime in have]
    compiled = file_format != "onnx" and present == "compiled" and "compiled" in have
    chosen = next((r for r in have if r == present and (r in choices or compiled)), None)
    return chosen or (choices[0] if choices else have[0])


def structure_of(summary: ModelSummary, *, family: StatisticalFamily, cost: RuntimeCost) -> Structure:
    """Size of the model of a summary in a runtime: exact counts; bytes of the file where the runtime loads that very format,
    else by the catalog's rule [bytes]. Raises InputError where the summary has not the sizes of its family."""
    stored = family.shape in ("support_vectors", "neighbours_brute", "neighbours_tree")
    if (family.shape in ("trees", "oblivious_trees")) != bool(summary.trees) or (stored and not summary.vectors):
        raise InputError(FIELD, f"sizes that a {family.name} does not have", SUMMARY)
    work, unit, formula = float(summary.parameters), "parameters", "parameters of the file"
    if summary.trees:
        work, unit, formula = summary.visited_nodes_per_row, "nodes visited", "trees x mean nodes on a path of the file"
    elif family.shape == "support_vectors":
        work, unit = float(summary.vectors * summary.columns), "kernel terms"
        formula = "support vectors of the file x features"
    elif stored:
        unit, formula = "stored values", "stored rows of the file x features"
    same = _FORMATS_OF_CATALOG.get(summary.format) == cost.file_format
    return sized(
        cost,
        trees=summary.trees,
        leaves=summary.leaves,
        nodes=summary.nodes,
        parameters=summary.parameters,
        vectors=summary.vectors if stored else 0,
        features=summary.columns,
        outputs=summary.outputs,
        hidden_units=sum(summary.hidden_layers),
        work=(work, unit, formula),
        file_bytes=summary.file_bytes if same else None,
    )


def steps_words(steps: Iterable[Step]) -> str:
    """Steps in words, in their order.

    >>> steps_words([Step("one_hot", 2, 9), Step("scale", 9, 9)])
    'one hot (2 to 9 columns), scale (9 columns)'
    """
    return ", ".join(
        f"{step.kind.replace('_', ' ')} ({step.features_in:,}"
        + (f" to {step.features_out:,} columns)" if step.features_out != step.features_in else " columns)")
        for step in steps
    )
