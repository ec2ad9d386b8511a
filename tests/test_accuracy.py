"""Predicted against measured: the points are those of the reports, the sums are right, filters and the worst are honest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sizing import catalog as catalogs
from sizing.accuracy import (
    Point,
    by_group,
    choices_of,
    chosen,
    points,
    quantities,
    read_points,
    summary,
    worst,
    write_points,
)
from sizing.accuracy_view import AccuracyView
from sizing.nearest_runs import nearest_runs, view_of
from sizing.planner import plan
from sizing.scenario import parse_scenario
from ui.accuracy import drawn, sentence

ROOT = Path(__file__).resolve().parents[1]


def point(
    measured: float,
    predicted: float,
    *,
    model: str = "m",
    held: bool = True,
    low: float | None = None,
    high: float | None = None,
) -> Point:
    return Point("llm", "q", model, "gpu", "engine", "batch 1", measured, predicted, low, high, held, "s")


def test_sums_by_hand() -> None:
    some = [
        point(10, 12, low=9, high=13),
        point(10, 8, low=9, high=13),
        point(100, 130, low=110, high=120),
        point(10, 10),
    ]
    found = summary("all", some)
    assert found is not None
    assert (found.count, found.median_error, found.bias) == (4, pytest.approx(0.2), pytest.approx(0.1))
    assert found.p90_error == pytest.approx(0.3)
    assert found.inside == pytest.approx(2 / 3)
    assert summary("none", []) is None


def test_the_worst_are_by_ratio_either_way() -> None:
    some = [point(10, 30), point(10, 2), point(10, 11)]
    assert [p.predicted for p in worst(some, 2)] == [2, 30]


def test_groups_of_fewer_than_three_state_no_error() -> None:
    some = [point(1, 1, model="a")] * 3 + [point(1, 1, model="b")] * 2
    assert [s.name for s in by_group(some, "model")] == ["a"]


def test_points_are_read_as_written(tmp_path: Path) -> None:
    import gzip

    some = (point(1.5, 2.5, low=1.0), point(3.0, 4.0, held=False))
    path = tmp_path / "points.csv.gz"
    write_points(some, path)
    assert read_points(gzip.decompress(path.read_bytes()).decode()) == some


@pytest.mark.parametrize(
    ("family", "quantity", "report", "pattern"),
    [
        ("llm", "TPOT (ms)", "LLM_SPEED.md", r"\| tpot_ms \| ([\d,]+) \| [^|]+ \| ([\d.]+) / ([\d.]+), (\d+)%"),
        ("llm", "TTFT (ms)", "LLM_SPEED.md", r"\| ttft_ms \| ([\d,]+) \| [^|]+ \| ([\d.]+) / ([\d.]+), (\d+)%"),
        ("deep_learning", "time of a full batch (ms)", "DEEP_LEARNING_SPEED.md", r"\| timm tables, held back by network \| ([\d,]+) \| ([\d.]+)% \| ([\d.]+)% \| (\d+)%"),
        ("deep_learning", "time of a batch (ms)", "DEEP_LEARNING_SPEED.md", r"precision together \| ([\d,]+) \| ([\d.]+)% \| ([\d.]+)% \| (\d+)%"),
    ],
)  # fmt: skip
def test_the_page_says_what_the_reports_say(family: str, quantity: str, report: str, pattern: str) -> None:
    match = re.search(pattern, (ROOT / "benchmarks" / report).read_text(encoding="utf-8"))
    assert match is not None
    count, middle, nine_of_ten, inside = match.groups()
    found = summary("all", chosen(AccuracyView(family=family, quantity=quantity)))
    assert found is not None
    assert found.count == int(count.replace(",", ""))
    assert found.median_error * 100 == pytest.approx(float(middle), abs=0.3)
    assert found.p90_error * 100 == pytest.approx(float(nine_of_ten), rel=0.02)
    assert found.inside is not None
    assert found.inside * 100 == pytest.approx(float(inside), abs=1.0)


def test_filters_keep_what_they_name_and_nothing_else() -> None:
    model = choices_of("llm", "model")[0]
    some = chosen(AccuracyView(family="llm", models=(model,)))
    assert some
    assert {p.model for p in some} == {model}
    both = chosen(AccuracyView(family="llm", search="vllm h100"))
    assert both
    assert all("vllm" in p.engine and "h100" in p.hardware for p in both)
    assert chosen(AccuracyView(family="llm", search="no such words")) == ()


def test_every_family_has_points_that_can_be_drawn() -> None:
    for family in ("llm", "llm_memory", "deep_learning", "statistical", "queues"):
        view = AccuracyView(family=family)
        some = chosen(view)
        assert len(some) > 100
        assert quantities(family)
        assert all(p.measured > 0 and p.predicted > 0 for p in some)
        shown = drawn(some, 200)
        assert set(worst(some)) <= set(shown)
        assert len(shown) <= 230
        assert f"{len(some):,} measured figures" in sentence(view, some)
    assert len(points()) > 10_000


@pytest.mark.parametrize("fields", [{"kind": "deep_learning"}, {"kind": "statistical"}])
def test_the_nearest_runs_share_most_with_the_answer(fields: dict[str, str]) -> None:
    scenario = parse_scenario(fields)
    best = plan(scenario, catalogs.load()).recommended
    assert best is not None
    near = nearest_runs(scenario, best)
    assert near
    assert [n.distance for n in near] == sorted(n.distance for n in near)
    assert near[0].same_model
    assert all(p in chosen(view_of(scenario, near).model_copy(update={"quantity": None})) for p in (near[0].point,))
