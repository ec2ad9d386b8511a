"""The measured runs nearest to a deployment, with our held-out error on them: how far an answer is from evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log2
from pathlib import Path
from typing import Any

import yaml

from sizing.catalog import Catalog, load
from sizing.catalog_rows import Accelerator, Frozen, LlmModel, Positive, Text
from sizing.errors import InputError
from sizing.llm.candidates import RUNTIME_WORDS
from sizing.llm.constants import GENERATIONS, family_of, format_kind, generation_of
from sizing.llm.formats import compute_peak, scheme_of
from sizing.llm.models import model_of
from sizing.llm.parameters import active_matmul_parameters
from sizing.plan import Deployment
from sizing.scenario import LlmScenario

FILE = Path(__file__).resolve().parents[2] / "catalogs" / "llm_speed_errors.yaml"
SHOWN = 3
"""Groups shown (count)."""

ENGINE = {"same": 0.0, "generation": 12.0, "other": 24.0}
"""Distance of the same engine, of another generation of it, of another engine: more than all that follows together."""
SAME_SHAPE = 0.2
"""Distance of another model with the same layers, widths and active parameters: to a step it is the same."""
OTHER_MODEL, OTHER_KIND, MOST_DOUBLINGS = 3.0, 2.0, 3.0
"""Distance of any other model; more when one has experts and the other none; and |log2| of the ratio of active
parameters, 3 at most. The model itself on any part comes before another model."""
PART = {"same": 0.0, "family": 1.0, "vendor": 2.0, "other": 2.5}
"""Distance of the same accelerator, of one of its family (architecture and kind of memory), of its vendor, of another."""
OTHER_FORMAT = 0.4
SAME_ACTIVE = 0.01
"""Relative difference of active parameters within which two shapes are the same [1]."""

QUANTITIES = {
    "tpot_ms": ("TPOT", "ms"),
    "ttft_ms": ("TTFT", "ms"),
    "output_tokens_per_s_per_accelerator": ("throughput", "output tokens/s per accelerator"),
    "output_tokens_per_s": ("throughput", "output tokens/s"),
    "total_tokens_per_s": ("throughput", "tokens/s, prompts included"),
    "batch_latency_s": ("time of a batch", "s"),
    "decode_tokens_per_s": ("decode", "tokens/s"),
    "prefill_tokens_per_s": ("prefill", "tokens/s"),
}
"""What was measured, in the order in which it is shown: name and unit."""


class Example(Frozen):
    """One run of a group, measured and as predicted by constants fitted without it."""

    prompt_tokens: int
    output_tokens: int
    batch: int
    tensor_parallel: int
    measured: Positive
    predicted: Positive


class Checked(Frozen):
    """How one quantity of a group was predicted: runs [count], median absolute error [%], and the run in the middle."""

    runs: int
    median_error_percent: float
    example: Example


class Group(Frozen):
    """Measured runs of one model on one accelerator by one engine's generation in one format, by quantity."""

    engine: Text
    model: Text
    accelerator: Text
    format: Text
    checked: Mapping[str, Checked]


@dataclass(frozen=True)
class Near:
    """One measured group and how far it is from a deployment."""

    group: Group
    distance: float
    model_name: str
    accelerator_name: str
    words: str  # what of it is the same and what is not


@dataclass(frozen=True)
class Subject:
    """What is compared with the groups: an engine's generation, a model, a part, a kind of format."""

    generation: str
    model: LlmModel
    part: Accelerator
    format: str


@lru_cache(maxsize=1)
def measured() -> tuple[Group, ...]:
    """The measured groups of catalogs/llm_speed_errors.yaml, read once.

    >>> len(measured()) > 100
    True
    """
    content = yaml.load(FILE.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return tuple(_group(row) for row in content["rows"])


def _group(row: Mapping[str, Any]) -> Group:
    named = {name: row[name] for name in ("engine", "model", "accelerator", "format")}
    rest = {name: value for name, value in row.items() if name not in named}
    unknown = sorted(rest.keys() - QUANTITIES.keys())
    if unknown:
        raise InputError("quantity", unknown[0], f"one of {', '.join(QUANTITIES)}")
    return Group(**named, checked={name: Checked(**rest[name]) for name in QUANTITIES if name in rest})


def nearest(scenario: LlmScenario, catalog: Catalog, deployment: Deployment, count: int = SHOWN) -> tuple[Near, ...]:
    """The measured groups nearest to a deployment, nearest first; of equal ones the group with more runs first.

    Raises InputError for a deployment on no accelerator of the catalog.
    """
    found = near(subject_of(scenario, catalog, deployment), measured(), load())
    found.sort(key=lambda n: (n.distance, -runs_of(n.group), n.group.model, n.group.accelerator, n.group.format))
    return tuple(found[:count])


def subject_of(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> Subject:
    """What of a deployment is compared with the measured groups."""
    model, part = model_of(scenario, catalog), catalog.accelerator(deployment.accelerator or "")
    scheme = scheme_of(model, scenario.weight_format)
    peak = compute_peak(part, scheme)
    return Subject(
        generation=generation_of(scenario.runtime, scenario.engine_version),
        model=model,
        part=part,
        format=format_kind(peak[1] if peak else "", scheme.words),
    )


def near(subject: Subject, groups: Sequence[Group], catalog: Catalog) -> list[Near]:
    """How far each group is from a subject: the sum of the distances of engine, model, accelerator and format [1].

    Raises InputError for a group whose model or accelerator the catalog lacks.

    Source: the order is a choice of this product, after what moves the error most: engine, model, part, format.
    """
    models = {name: catalog.llm_model(name) for name in {group.model for group in groups}}
    parts = {name: catalog.accelerator(name) for name in {group.accelerator for group in groups}}
    by_model = {name: _model_distance(subject.model, row) for name, row in models.items()}
    by_part = {name: _part_distance(subject.part, row) for name, row in parts.items()}
    found = []
    for group in groups:
        (far, model_words), (apart, part_words) = by_model[group.model], by_part[group.accelerator]
        by_engine = _engine_distance(subject.generation, group.engine)
        by_format = OTHER_FORMAT if group.format != subject.format else 0.0
        said = [model_words, part_words]
        if by_engine:
            said.append("another version of the engine" if by_engine == ENGINE["generation"] else "another engine")
        if by_format:
            said.append("another format")
        found.append(
            Near(
                group=group,
                distance=by_engine + far + apart + by_format,
                model_name=models[group.model].name,
                accelerator_name=parts[group.accelerator].name,
                words=", ".join(said),
            )
        )
    return found


def _engine_distance(wanted: str, other: str) -> float:
    if wanted == other:
        return ENGINE["same"]
    return ENGINE["generation"] if engine_of(wanted) == engine_of(other) else ENGINE["other"]


def _model_distance(wanted: LlmModel, other: LlmModel) -> tuple[float, str]:
    if wanted.id == other.id:
        return 0.0, "same model"
    ratio = _active(other) / _active(wanted)
    kind = bool(wanted.experts) != bool(other.experts)
    sizes = (wanted.layers, wanted.hidden, wanted.experts) == (other.layers, other.hidden, other.experts)
    if sizes and abs(ratio - 1.0) <= SAME_ACTIVE:
        return SAME_SHAPE, "a model of the same shape"
    distance = OTHER_MODEL + min(abs(log2(ratio)), MOST_DOUBLINGS) + (OTHER_KIND if kind else 0.0)
    size = "as many" if abs(ratio - 1.0) < 0.05 else f"{ratio:.2g} times the"
    shape = (" with experts" if other.experts else " without experts") if kind else ""
    return distance, f"another model{shape}, {size} active parameters"


def _active(model: LlmModel) -> float:
    return sum(active_matmul_parameters(model))


def _part_distance(wanted: Accelerator, other: Accelerator) -> tuple[float, str]:
    if wanted.id == other.id:
        return PART["same"], "same accelerator"
    families = [family_of(part.architecture, part.memory_type) for part in (wanted, other)]
    if families[0] == families[1]:
        return PART["family"], f"accelerator of its family ({families[0]})"
    if wanted.vendor == other.vendor:
        return PART["vendor"], f"accelerator of another family ({families[1]})"
    return PART["other"], f"accelerator of another vendor ({other.vendor})"


def runs_of(group: Group) -> int:
    """Runs of a group [count]: the most of any quantity, as one run gives several."""
    return max(checked.runs for checked in group.checked.values())


def engine_of(generation: str) -> str:
    """Engine that a generation belongs to.

    >>> engine_of("tensorrt_llm_1_0"), engine_of("vllm")
    ('tensorrt_llm', 'vllm')
    """
    return next((e for e, steps in GENERATIONS.items() if generation in {name for _, name in steps}), generation)


def generation_words(generation: str) -> str:
    """An engine's generation as people know it: its name and its versions.

    >>> generation_words("vllm_2024"), generation_words("vllm"), generation_words("sglang")
    ('vLLM before 0.7', 'vLLM from 0.7', 'SGLang')
    >>> generation_words("tensorrt_llm_1_0")
    'TensorRT-LLM 0.10 to before 1.1'
    """
    engine = engine_of(generation)
    steps, name = GENERATIONS.get(engine, ()), RUNTIME_WORDS[engine]
    ends = [".".join(map(str, first)) for first, _ in steps]
    position = next((i for i, (_, older) in enumerate(steps) if older == generation), len(steps))
    if not steps:
        return name
    if position == len(steps):
        return f"{name} from {ends[-1]}"
    return f"{name} before {ends[0]}" if position == 0 else f"{name} {ends[position - 1]} to before {ends[position]}"


def errors_words(group: Group) -> str:
    """Median held-out error [%] of each quantity of a group, number and unit kept on one line.

    >>> errors_words(next(g for g in measured() if "tpot_ms" in g.checked)).startswith("TPOT ")
    True
    """
    return ", ".join(
        f"{QUANTITIES[name][0]} {checked.median_error_percent:.0f}\u00a0%" for name, checked in group.checked.items()
    )


def distance_words(subject: Subject, found: tuple[Near, ...]) -> str:
    """One sentence: how far the nearest measured group is from what was asked."""
    first = found[0]
    engine = RUNTIME_WORDS[engine_of(subject.generation)]
    by_engine = _engine_distance(subject.generation, first.group.engine)
    start = ""
    if by_engine:
        what = "this version of " if by_engine == ENGINE["generation"] else ""
        start = f"No run of {what}{engine}: nearest is {generation_words(first.group.engine)}. "
    if first.group.model == subject.model.id:
        if first.group.accelerator == subject.part.id:
            alike = "" if first.group.format == subject.format else ", in another format"
            return f"{start}Measured on the same model and accelerator{alike}."
        return f"{start}This model was measured, but not on {subject.part.name}: nearest is {first.accelerator_name}."
    return f"{start}No run of this model: nearest is {first.model_name} on {first.accelerator_name} ({first.words})."
