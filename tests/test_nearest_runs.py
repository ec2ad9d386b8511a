"""The measured runs nearest to an answer of each family: what counts as near, in which order, and where it leads."""

from __future__ import annotations

import pytest

from sizing import nearest_runs as module
from sizing.accuracy_points import Point
from sizing.catalog import load
from sizing.llm.nearest import nearest
from sizing.nearest_runs import how_far, load_distance, nearest_runs, part_distance, view_of
from sizing.plan import Deployment
from sizing.planner import plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario

CATALOG = load()


def best_of(scenario: AnyScenario) -> Deployment:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    return best


def test_language_models_go_by_their_own_order_with_the_load_nearest() -> None:
    scenario = LlmScenario(model="llama-3.1-8b", accelerators=("h100-sxm-80gb",), weight_format="fp8")
    best = best_of(scenario)
    found = nearest_runs(scenario, CATALOG, best)
    groups = nearest(scenario, CATALOG, best)
    assert [(n.point.model, n.point.hardware, n.point.engine) for n in found] == [
        (g.group.model, g.group.accelerator, g.group.engine) for g in groups
    ]
    first = found[0].point
    same = [
        p for p in module.points_of("llm")
        if (p.model, p.hardware, p.engine, p.format, p.quantity) == (first.model, first.hardware, first.engine, first.format, first.quantity)
    ]  # fmt: skip
    wanted = float(best.extra["batch_in_flight"] or 1)
    assert load_distance(first.batch, wanted) == min(load_distance(p.batch, wanted) for p in same)
    assert "TPOT" in found[0].errors
    assert how_far(scenario, CATALOG, best)


NETWORK = Point(
    "deep_learning",
    "latency_ms",
    "resnet50",
    "resnet",
    "t4",
    "ort",
    "fp16",
    4.09e9,
    28.0,
    "",
    10.0,
    11.0,
    9.0,
    13.0,
    True,
    "s1",
    "",
)


def near_networks(monkeypatch: pytest.MonkeyPatch, *points: Point) -> list[Point]:
    monkeypatch.setattr(module, "points_of", lambda family: points)
    scenario = DeepLearningScenario(model="torchvision-resnet50", accelerators=("t4",))
    best = best_of(scenario)
    assert (best.accelerator, best.batch is not None) == ("t4", True)
    return [n.point for n in nearest_runs(scenario, CATALOG, best, most=9)]


def test_networks_model_before_gpu_before_runtime_before_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    exact = NETWORK
    runtime = replace(NETWORK, engine="pytorch")
    gpu = replace(NETWORK, hardware="v100-sxm2-16gb")
    model = replace(NETWORK, model="bert-base", family="bert", size=11e9)
    found = near_networks(monkeypatch, model, gpu, runtime, exact)
    assert found == [exact, runtime, gpu, model]


def test_of_one_kind_the_run_with_the_nearest_batch_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    batches = [replace(NETWORK, batch=b) for b in (1.0, 4096.0)]
    (shown,) = near_networks(monkeypatch, *batches)
    wanted = float(best_of(DeepLearningScenario(model="torchvision-resnet50", accelerators=("t4",))).batch or 1)
    assert shown.batch == min((1.0, 4096.0), key=lambda b: load_distance(b, wanted))


def test_distances_of_gpus_and_loads() -> None:
    t4, a100 = CATALOG.accelerator("t4"), CATALOG.accelerator("a100-sxm-80gb")
    assert part_distance(t4, t4)[0] == 0
    assert part_distance(a100, CATALOG.accelerator("a100-sxm-40gb"))[0] == 1
    assert part_distance(t4, a100)[0] == 2
    assert part_distance(t4, CATALOG.accelerator("mi300x"))[0] == 2.5
    assert load_distance(8, 8) == 0
    assert load_distance(4, 8) == load_distance(16, 8) == pytest.approx(0.12)
    assert load_distance(0, 8) == load_distance(1, 1e9)


@pytest.mark.parametrize(
    "scenario",
    [DeepLearningScenario(), StatisticalScenario(), StatisticalScenario(family="random-forest"), LlmScenario()],
)
def test_the_nearest_of_what_ships_lead_to_the_accuracy_page(scenario: AnyScenario) -> None:
    best = best_of(scenario)
    found = nearest_runs(scenario, CATALOG, best)
    assert len(found) == 3
    assert [n.distance for n in found] == sorted(n.distance for n in found)
    assert all(n.errors for n in found)
    view = view_of(scenario, found, best)
    assert view.family == scenario.kind
    assert view.quantity == found[0].point.quantity
    from sizing.accuracy import chosen, workable

    assert workable(view) == (view, ())
    assert chosen(view)


def test_statistical_models_of_the_family_come_first_and_by_size() -> None:
    scenario = StatisticalScenario(family="gradient-boosting-xgboost", trees=1000, depth=6, features=20)
    found = nearest_runs(scenario, CATALOG, best_of(scenario))
    assert {n.point.family for n in found} == {"gradient-boosting-xgboost"}
    assert found[0].is_near
    assert found[0].point.setting.startswith("1,000 trees")
    assert "runtime" in found[0].words
