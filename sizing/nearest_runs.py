"""The measured runs nearest to an answer: the same model before the same accelerator before the same engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sizing.accuracy import Point, points
from sizing.accuracy_view import AccuracyView, Family
from sizing.plan import Deployment
from sizing.scenario import AnyScenario, StatisticalScenario

SHOWN = 5
OTHER_MODEL, OTHER_HARDWARE, OTHER_ENGINE = 4.0, 2.0, 1.0
"""Distance that a difference counts; any two together less than another model with a third."""


@dataclass(frozen=True, slots=True)
class Near:
    """A measured run and what it shares with the answer."""

    point: Point
    same_model: bool
    same_hardware: bool
    same_engine: bool

    @property
    def distance(self) -> float:
        """Sum of what differs [1]."""
        return (
            OTHER_MODEL * (not self.same_model)
            + OTHER_HARDWARE * (not self.same_hardware)
            + OTHER_ENGINE * (not self.same_engine)
        )

    @property
    def words(self) -> str:
        """What is the same, in words."""
        names = (("model", self.same_model), ("machine", self.same_hardware), ("engine", self.same_engine))
        same = [name for name, is_same in names if is_same]
        return f"same {', '.join(same)}" if same else "nothing the same"


def nearest_runs(scenario: AnyScenario, best: Deployment, most: int = SHOWN) -> tuple[Near, ...]:
    """The nearest measured runs of a scenario's family, at most one of each model, machine and engine.

    Where the batch of the answer is known, of runs as near as each other that with the nearest batch comes first.
    """
    family: Family = scenario.kind
    names = _plain(getattr(scenario, "model", "")), _plain(getattr(scenario, "family", ""))
    hardware, engine, batch = best.accelerator or "", _plain(best.runtime), best.batch or 1
    found: dict[tuple[str, str, str], tuple[float, float, Near]] = {}
    for point in _of(family):
        if isinstance(scenario, StatisticalScenario):
            same = point.setting.startswith(f"{scenario.family},")
        else:
            mine, theirs = names[0], _plain(point.model)
            same = bool(mine) and mine == theirs
        theirs_engine = _plain(point.engine)
        near = Near(
            point,
            same,
            point.hardware == hardware,
            bool(engine) and (engine in theirs_engine or theirs_engine in engine),
        )
        key = (point.model, point.hardware, point.engine)
        off = abs(_number(point.setting) / batch - 1.0)
        if key not in found or (near.distance, off) < found[key][:2]:
            found[key] = (near.distance, off, near)
    ordered = sorted(found.values(), key=lambda item: item[:2])
    return tuple(near for distance, _, near in ordered[:most] if distance < OTHER_MODEL + OTHER_HARDWARE)


def view_of(scenario: AnyScenario, near: tuple[Near, ...]) -> AccuracyView:
    """The accuracy page at the models of the nearest runs, or at the whole family."""
    models = tuple(dict.fromkeys(n.point.model for n in near if n.same_model))[:8]
    quantity = near[0].point.quantity if near else None
    return AccuracyView(family=scenario.kind, models=models, quantity=quantity)


@lru_cache(maxsize=3)
def _of(family: Family) -> tuple[Point, ...]:
    return tuple(p for p in points() if p.kind == family)


def _plain(name: str) -> str:
    """A name without its maker, input size, version 1.5 of ResNet (the one all libraries ship) and punctuation.

    >>> _plain("torchvision-resnet50"), _plain("ConvNets/resnet50v1.5"), _plain("timm-resnet18-224")
    ('resnet50', 'resnet50', 'resnet18')
    """
    last = re.sub(r"-\d{3}$", "", name.lower().rsplit("/", 1)[-1])
    plain = re.sub(r"[^a-z0-9]+", "", last.removeprefix("timm-").removeprefix("torchvision-"))
    return re.sub(r"^rn50", "resnet50", plain).removesuffix("v15")


def _number(setting: str) -> float:
    match = re.search(r"batch (\d+(?:\.\d+)?)", setting)
    return float(match.group(1)) if match else 1.0
