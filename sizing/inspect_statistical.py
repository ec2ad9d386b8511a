"""Facts of a statistical model's file for `inspect`: under the keys that every kind of file has, and what its kind has more."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, BinaryIO

from sizing import catalog as catalogs
from sizing.inspect import Inspection
from sizing.onnx.records import Network
from sizing.statistical.files.facts import ModelFile
from sizing.statistical.files.read import read_as
from sizing.statistical.files.trees import EVEN_LEAVES
from sizing.statistical.own import FileFormat, ModelSummary, natural_runtime, steps_words, structure_of


def inspect_statistical(stream: BinaryIO, size: int, name: str, file_format: FileFormat) -> Inspection:
    """Facts of a model in XGBoost JSON or UBJ, LightGBM text or skops [count, bytes]; raises InputError as its reader."""
    return _told(read_as(stream, size, file_format), name, Inspection(format=file_format, file_bytes=size))


def with_model(found: Inspection, network: Network, size: int, name: str) -> Inspection:
    """The facts of an ONNX file with those of the statistical model in it; as they are where it is a network and no more.

    Parameters are then those of the model, in place of those of the graph: ONNX-ML keeps them in attributes. Raises InputError
    for a model whose lists make none.
    """
    # Imported here: they import onnx, which other files need not.
    from sizing.statistical.files.onnx_models import is_statistical, onnx_model

    if not is_statistical(network):
        return found
    model = onnx_model(network, size)
    return found if model is None else _told(model, name, found)


def _told(model: ModelFile, name: str, before: Inspection) -> Inspection:
    summary = model.summary(name.rpartition(".")[0] or name)
    forest = model.forest
    plain = {note for note in before.notes if note.startswith(("No summary for a scenario", "ONNX-ML operators"))}
    notes = [note for note in before.notes if note not in plain]
    if forest is not None and not forest.by_cover:
        notes.append(EVEN_LEAVES)
    resident, runtime = resident_bytes(summary)
    details: dict[str, Any] = {
        "model": model.model,
        "family": model.family,
        "model_features": summary.columns,
        "vectors": model.vectors or None,
        "hidden_layers": list(model.hidden_layers) or None,
        "pipeline": steps_words(model.steps) or None,
        "steps": [
            {"kind": s.kind, "features_in": s.features_in, "features_out": s.features_out, "name": s.name}
            for s in model.steps
        ],
        "objective": model.objective,
        "base_score": list(model.base_score) or None,
        "visits_by": None if forest is None else "cover" if forest.by_cover else "even leaves",
        "resident_in": runtime,
        **model.details,
        "model_summary": json.loads(summary.text()),
    }
    return replace(
        before,
        library=model.library,
        parameters=model.parameters or None,
        features=model.features,
        outputs=model.outputs,
        trees=None if forest is None else forest.trees,
        nodes=None if forest is None else forest.nodes,
        leaves=None if forest is None else forest.leaves,
        max_depth=None if forest is None else forest.max_depth,
        visited_nodes_per_row=None if forest is None else forest.visited_nodes_per_row,
        file_bytes=model.file_bytes,
        resident_bytes=resident,
        details={**before.details, **details},
        notes=(*notes, *model.notes),
    )


def resident_bytes(summary: ModelSummary) -> tuple[int, str]:
    """Resident memory of the model [bytes] by the catalog's rule, and the runtime that loads its file, by name."""
    family = catalogs.load().statistical_family(summary.family)
    cost = family.runtime(natural_runtime(summary.format, family))
    assert cost is not None  # it is one of the family's own
    return structure_of(summary, family=family, cost=cost).resident_bytes, cost.name
