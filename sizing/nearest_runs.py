"""The measured runs nearest to an answer: how far its model, machine, engine and load are from what was measured.

Distances add up [1]. Language models go by sizing/llm/nearest.py; for the others a model of another family counts most, then another
kind of GPU, then another runtime, then format and batch. They are choices of this product, after what moves the error most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import log2

from sizing.accuracy import points_of, summary
from sizing.accuracy_points import Point
from sizing.accuracy_view import AccuracyView
from sizing.catalog import Catalog, load
from sizing.catalog_rows import Accelerator
from sizing.deep_learning.latency import RUNTIME_OF, network_of
from sizing.deep_learning.pipeline import facts_of
from sizing.deep_learning.rates import RUNTIMES, architecture
from sizing.llm import nearest as llm
from sizing.plan import Deployment
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario
from sizing.statistical.candidate import model_of

SHOWN = 3
SAME_SIZE = 0.1
"""Relative difference of work within which two statistical models of a family count as the same [1]."""
OTHER_MODEL, OTHER_FAMILY, MOST_DOUBLINGS, A_DOUBLING = 2.0, 4.0, 3.0, 0.5
"""Distance of another model of the family, of another family; of each doubling of work, three at most."""
PART = {"same": 0.0, "architecture": 1.0, "vendor": 2.0, "other": 2.5}
"""Distance of the same GPU, of one of its architecture and kind of memory, of its vendor, of another."""
RUNTIME = {"same": 0.0, "family": 0.5, "other": 1.5}
"""Distance of the same runtime, of one modelled with the same constants, of another."""
OTHER_FORMAT, A_LOAD_DOUBLING, MOST_LOAD_DOUBLINGS = 0.4, 0.12, 6.0
"""Distance of another format, and of each doubling of what is in flight, six at most."""
TIMES = ("service_time_us", "least_time_busy_us")


@dataclass(frozen=True, slots=True)
class Near:
    """A measured run, how far it is from the answer [1], what is the same and what is not, whether it says much of the answer
    (the model was measured, or one like it, or the machine with the engine), and our median error on the runs of its kind."""

    point: Point
    distance: float
    words: str
    is_near: bool
    errors: str = ""


def nearest_runs(scenario: AnyScenario, catalog: Catalog, best: Deployment, most: int = SHOWN) -> tuple[Near, ...]:
    """The measured runs nearest to a recommended deployment, nearest first; one of each model, machine, engine and format."""
    if isinstance(scenario, LlmScenario):
        return tuple(_llm(scenario, catalog, best)[:most])
    if isinstance(scenario, DeepLearningScenario):
        found = _deep_learning(scenario, catalog, best)
    else:
        found = _statistical(scenario, catalog)
    return _one_of_each(found, most)


def _one_of_each(found: Iterable[Near], most: int) -> tuple[Near, ...]:
    nearest: dict[tuple[str, ...], Near] = {}
    for near in found:
        p = near.point
        key = _group(p)
        if key not in nearest or near.distance < nearest[key].distance:
            nearest[key] = near
    ordered = sorted(nearest.values(), key=lambda n: (n.distance, n.point.model, n.point.hardware, n.point.format))
    return tuple(replace(n, errors=_errors(n.point)) for n in ordered[:most])


def _errors(of: Point) -> str:
    alike = [p for p in points_of(of.kind) if _group(p) == _group(of)]
    found = summary("", alike)
    return (
        ""
        if found is None
        else f"{found.median_error * 100:.0f}\u00a0% ({found.count} run{'' if found.count == 1 else 's'})"
    )


def _group(p: Point) -> tuple[str, ...]:
    return p.quantity, p.model, p.hardware, p.engine, p.format


def load_distance(measured: float, wanted: float) -> float:
    """Distance of what was in flight from what is wanted [1].

    >>> load_distance(16, 32), load_distance(1, 10_000)
    (0.12, 0.72)
    """
    if measured <= 0 or wanted <= 0:
        return A_LOAD_DOUBLING * MOST_LOAD_DOUBLINGS
    return A_LOAD_DOUBLING * min(abs(log2(measured / wanted)), MOST_LOAD_DOUBLINGS)


def _llm(scenario: LlmScenario, catalog: Catalog, best: Deployment) -> list[Near]:
    subject = llm.subject_of(scenario, catalog, best)
    wanted = float(best.extra.get("batch_in_flight") or best.batch or 1)
    names, found = list(llm.QUANTITIES), []
    for near in llm.nearest(scenario, catalog, best):
        g = near.group
        mine = [
            p
            for p in points_of("llm")
            if (p.engine, p.model, p.hardware, p.format) == (g.engine, g.model, g.accelerator, g.format)
        ]
        if not mine:
            continue
        point = min(mine, key=lambda p: (names.index(p.quantity), load_distance(p.batch, wanted), p.setting))
        same_machine = g.accelerator == subject.part.id and g.engine == subject.generation
        is_near = near.words.startswith(("same model", "a model of the same shape")) or same_machine
        found.append(Near(point, near.distance, near.words, is_near, llm.errors_words(g)))
    return found


def _deep_learning(scenario: DeepLearningScenario, catalog: Catalog, best: Deployment) -> list[Near]:
    if best.accelerator is None:
        return []
    graph = facts_of(scenario, catalog)
    network, part = network_of(graph), catalog.accelerator(best.accelerator)
    runtimes = RUNTIME_OF.get(scenario.runtime, ())
    families = {RUNTIMES[one].family for one in runtimes}
    present, apart, found = load(), dict[str, tuple[float, str]](), []
    for p in points_of("deep_learning"):
        if p.hardware not in apart:
            apart[p.hardware] = part_distance(part, present.accelerator(p.hardware))
        alike = bool(network.family) and p.family == network.family
        size = A_DOUBLING * _doublings(p.size, graph.macs)
        if network.name and p.model == network.name:
            model, said = 0.0, "same network"
        elif alike:
            model, said = OTHER_MODEL + size, "network of the same family"
        else:
            model, said = OTHER_FAMILY + size, "another network"
        kind = "same" if p.engine in runtimes else "family" if RUNTIMES[p.engine].family in families else "other"
        far, machine = apart[p.hardware]
        engine = {"same": "same runtime", "family": "a runtime like it", "other": "another runtime"}[kind]
        other_format = OTHER_FORMAT * (_rounded(p.format) != _rounded(best.weight_format or ""))
        distance = model + far + RUNTIME[kind] + other_format + load_distance(p.batch, float(best.batch or 1))
        is_near = model < OTHER_FAMILY or (far == 0 and kind == "same")
        found.append(Near(p, distance, f"{said}, {machine}, {engine}", is_near))
    return found


def how_far(scenario: AnyScenario, catalog: Catalog, best: Deployment) -> str:
    """One sentence on how far the nearest measured runs of a language model are; blank for the others, whose runs say it."""
    if not isinstance(scenario, LlmScenario):
        return ""
    return llm.distance_words(llm.subject_of(scenario, catalog, best), llm.nearest(scenario, catalog, best))


def part_distance(wanted: Accelerator, other: Accelerator) -> tuple[float, str]:
    """Distance of a GPU from another [1], and what is the same, in words."""
    if wanted.id == other.id:
        return PART["same"], "same GPU"
    if architecture(wanted) == architecture(other):
        return PART["architecture"], f"GPU of its architecture ({architecture(other)})"
    if wanted.vendor == other.vendor:
        return PART["vendor"], f"GPU of another architecture ({architecture(other)})"
    return PART["other"], f"GPU of another vendor ({other.vendor})"


def _doublings(size: float, wanted: float) -> float:
    return min(abs(log2(size / wanted)), MOST_DOUBLINGS) if size > 0 and wanted > 0 else MOST_DOUBLINGS


def _rounded(format_: str) -> str:
    return {"amp": "fp16", "bf16": "fp16"}.get(format_, format_)


def _statistical(scenario: StatisticalScenario, catalog: Catalog) -> list[Near]:
    model = model_of(scenario, catalog)
    family, work, cost = model.family, model.size.work_units, model.cost
    found = []
    for p in points_of("statistical"):
        if p.quantity not in TIMES:
            continue
        doublings = _doublings(p.size, work)
        if p.family != family.id:
            far, said = OTHER_FAMILY + A_DOUBLING * doublings, "another kind of model"
        elif abs(p.size / work - 1.0) <= SAME_SIZE:
            far, said = 0.0, "same kind and size of model"
        else:
            far, said = A_DOUBLING * doublings, f"same kind of model, {p.size / work:.2g} times the work a row"
        engine = 0.0 if p.engine == cost.id else RUNTIME["other"]
        words = f"{said}, {'same' if not engine else 'another'} runtime"
        distance = far + engine + load_distance(p.batch, float(scenario.rows_per_request))
        found.append(Near(p, distance, words, p.family == family.id))
    return found


def view_of(scenario: AnyScenario, near: tuple[Near, ...], best: Deployment | None) -> AccuracyView:
    """The accuracy page at the models of the nearest runs, else at the machine of the answer, else at the whole family."""
    quantity = near[0].point.quantity if near else None
    mine = [n.point for n in near if n.is_near and n.point.quantity == quantity]
    models = tuple(dict.fromkeys(p.model for p in mine))
    same = tuple(p for p in mine if best is not None and p.hardware == best.accelerator)
    hardware = (same[0].hardware,) if same and len(models) > 1 else ()
    return AccuracyView(family=scenario.kind, models=() if hardware else models, hardware=hardware, quantity=quantity)
