"""Predicted against measured: figures by hand on a few points, what ships against the reports, thinning, and views."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.accuracy import SMALL, table, thinned
from sizing import accuracy_points
from sizing.accuracy import (
    by_group,
    by_source,
    chosen,
    counts,
    overall,
    points_of,
    quantile,
    stated_of,
    summary,
    workable,
    worst,
)
from sizing.accuracy_points import COLUMNS, Point, book, check, read_points
from sizing.accuracy_view import AccuracyView, Family
from sizing.catalog import load
from sizing.errors import InputError

REPORTS = Path(__file__).resolve().parents[1] / "benchmarks"
ONE = Point(
    "llm", "tpot_ms", "m", "", "gpu", "vllm", "fp8", 0.0, 8.0, "tp 1", 10.0, 12.0, 9.0, 13.0, True, "s1", "2026-04-06"
)


def point(measured: float, predicted: float, **changed: object) -> Point:
    return replace(ONE, measured=measured, predicted=predicted, low=predicted * 0.8, high=predicted * 1.2, **changed)  # type: ignore[arg-type]


FIVE = [
    point(100.0, 110.0, model="a"),  # +10 %
    point(100.0, 95.0, model="a"),  # -5 %
    point(100.0, 130.0, model="a"),  # +30 %, its interval 104 to 156 misses 100
    point(100.0, 50.0, model="b"),  # -50 %, twice too low, misses
    point(100.0, 180.0, model="b"),  # +80 %, misses
]


def test_figures_by_hand() -> None:
    found = summary("five", FIVE)
    assert found is not None
    assert found.count == 5
    assert found.median_error == pytest.approx(0.30)  # of 5, 10, 30, 50, 80 %
    assert found.p90_error == pytest.approx(0.68)  # six tenths of the way from 50 to 80 %
    assert found.bias == pytest.approx(0.10)  # of -50, -5, +10, +30, +80 %
    assert found.inside == pytest.approx(0.4)
    assert summary("none", []) is None


def test_the_worst_go_by_ratio_either_way() -> None:
    assert [p.predicted for p in worst(FIVE, 3)] == [50.0, 180.0, 130.0]  # 2, 1.8 and 1.3 times off


def test_groups_have_three_figures_at_least_and_the_largest_comes_first() -> None:
    assert [(g.name, g.count) for g in by_group(FIVE, "model")] == [("a", 3)]
    more = [*FIVE, *(replace(p, model="c", stands_for=2.0) for p in FIVE[:2])]
    assert [(g.name, g.count) for g in by_group(more, "model")] == [("a", 3)]  # two that stand for four are two


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0.0, 9.0), st.integers(1, 6)), min_size=1, max_size=12),
    st.sampled_from((0.0, 0.1, 0.5, 0.9, 1.0)),
)
def test_a_weighted_quantile_is_that_of_repeated_values(pairs: list[tuple[float, int]], share: float) -> None:
    values, times = np.array([v for v, _ in pairs]), np.array([n for _, n in pairs])
    repeated = np.quantile(np.repeat(values, times), share)
    assert quantile(values, times.astype(float), share) == pytest.approx(float(repeated), abs=1e-9)


def test_thinning_keeps_the_bad_ones_and_the_counts() -> None:
    rng = np.random.default_rng(7)
    many = [
        point(100.0 + i / 1000, 100.0 * float(np.exp(e)), model=f"m{i % 7}", setting=f"run {i}")
        for i, e in enumerate(rng.normal(0, 0.3, 3000))
    ]
    kept = thinned(many, most=1200)
    assert 1000 < len(kept) <= 1250
    assert kept == thinned(many, most=1200)
    off = sorted(many, key=lambda p: -abs(p.error))
    bad = {p.setting for p in (*off[:300], *worst(many, 90))}  # by error, as P90 counts it, and by ratio either way
    assert bad <= {p.setting for p in kept}
    assert thinned(many[:SMALL], most=100) == many[:SMALL]
    named = thinned(many, most=1200, always={"m3"})
    assert {p.setting for p in many if p.model == "m3"} <= {p.setting for p in named}
    for name in ("m0", "m6"):
        assert sum(p.stands_for for p in kept if p.model == name) == pytest.approx(sum(p.model == name for p in many))
    before, after = summary("", many), summary("", kept)
    assert before is not None
    assert after is not None
    assert after.p90_error == pytest.approx(before.p90_error, rel=0.02)
    assert after.median_error == pytest.approx(before.median_error, rel=0.1)
    assert thinned(many, most=5000) == many


def test_the_table_reads_back_and_refuses_what_it_is_not() -> None:
    text = table(FIVE)
    assert read_points(text) == tuple(FIVE)
    for wrong in (
        text.replace("measured", "measurd", 1),
        text.replace(",100,", ",-100,", 1),
        text.replace(",100,", ",nan,", 1),
        text.replace(",100,", ",", 1),
        ",".join(COLUMNS) + "\nllm\n",
    ):
        with pytest.raises(InputError):
            read_points(wrong)


# What ships.


def test_what_ships_is_whole() -> None:
    assert check() == []
    assert 3_000 < len(book().points) < 7_500
    assert accuracy_points.FILE.stat().st_size < 400_000
    assert {p.kind for p in book().points} == {
        "llm",
        "llm_memory",
        "deep_learning",
        "deep_learning_memory",
        "statistical",
        "queues",
    }
    parts = load().accelerators
    for p in points_of("llm"):
        assert p.hardware in parts
        assert p.model in load().llm_models
    assert all(p.hardware in parts for p in points_of("deep_learning"))


def test_a_changed_table_is_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "accuracy.csv.gz"
    changed.write_bytes(accuracy_points.gzip.compress(table(FIVE).encode()))
    monkeypatch.setattr(accuracy_points, "FILE", changed)
    assert "not the table" in check()[0]


def numbers(line: str) -> list[float]:
    return [float(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?:\.\d+)?", line)]


def row(report: str, start: str) -> str:
    text = (REPORTS / report).read_text(encoding="utf-8")
    return next(line for line in text.splitlines() if line.startswith(start))


def stated(family: Family, quantity: str, left_out: str) -> tuple[float, ...]:
    (found,) = [r for r in stated_of(family, quantity) if r.left_out == left_out]
    share = () if found.inside_percent is None else (found.inside_percent,)
    return (found.count, found.median_percent, found.p90_percent, *share)


@pytest.mark.parametrize(
    "quantity",
    [
        "tpot_ms", "ttft_ms", "output_tokens_per_s", "output_tokens_per_s_per_accelerator", "batch_latency_s", "decode_tokens_per_s",
        "prefill_tokens_per_s", "total_tokens_per_s",
    ],
)  # fmt: skip
def test_speed_of_language_models_is_that_of_its_report(quantity: str) -> None:
    count, *rest = numbers(row("LLM_SPEED.md", f"| {quantity} |").split("|", 2)[2])
    by_way = {"the run": rest[0:3], "the model": rest[3:6], "the accelerator": rest[6:9]}
    for way, (middle, p90, inside) in by_way.items():
        assert stated("llm", quantity, way) == pytest.approx((count, middle, p90, inside), abs=0.51, rel=0.002)
    assert stated("llm", quantity, "nothing") == pytest.approx((count, *rest[9:11]), abs=0.06, rel=0.002)


@pytest.mark.parametrize(
    ("start", "quantity", "left_out"),
    [
        ("| timm tables, held back by network |", "samples_per_sec", "the network"),
        ("| timm tables, held back by family |", "samples_per_sec", "the family"),
        ("| timm tables, held back by GPU |", "samples_per_sec", "the GPU"),
        ("| batch curves, held back by curve |", "latency_ms", "the curve"),
        (
            "| batch curves, held back by network, GPU, runtime and precision together |", "latency_ms",
            "the network, GPU, runtime and precision together",
        ),
        ("| batch curves, held back by GPU |", "latency_ms", "the GPU"),
    ],
)  # fmt: skip
def test_speed_of_networks_is_that_of_its_report(start: str, quantity: str, left_out: str) -> None:
    expected = numbers(row("DEEP_LEARNING_SPEED.md", start)[len(start) :])
    assert stated("deep_learning", quantity, left_out) == pytest.approx(expected, abs=0.51)


def test_the_others_are_those_of_their_reports() -> None:
    for start, quantity in (
        ("| all families, quiet medians |", "service_time_us"),
        ("| all families, least times on the busy host |", "least_time_busy_us"),
    ):
        expected = numbers(row("STATISTICAL_SPEED.md", start)[len(start) :])
        assert stated("statistical", quantity, "the model") == pytest.approx(expected, abs=0.51)
    for start, left_out in (
        ("| **leave one model out, all** |", "the model"),
        ("| **leave one part out, all** |", "the accelerator"),
    ):
        count, _, middle, p90, inside = numbers(row("LLM_MEMORY.md", start)[len(start) :])
        found = stated("llm_memory", "kv_cache_tokens", left_out)
        assert found[:2] == pytest.approx((count, middle), abs=0.01)
        assert found[2] == pytest.approx(p90, abs=0.5)  # P90 by interpolation here, by rank there
        assert found[3] == pytest.approx(inside, abs=0.51)
    count, _, middle, p90 = numbers(row("DEEP_LEARNING_MEMORY.md", "| all |"))[:4]
    assert stated("deep_learning_memory", "memory_mb", "nothing")[:3] == pytest.approx((count, middle, p90), abs=0.5)


def test_the_kept_points_say_what_all_figures_say() -> None:
    """Counts exactly, errors within what thinning costs."""
    for row_ in book().head.stated:
        if not row_.of_points:
            continue
        mine = [p for p in points_of(row_.kind) if p.quantity == row_.quantity]  # type: ignore[arg-type]
        found = summary("", mine)
        assert found is not None
        assert found.count == row_.count
        assert found.median_error * 100 == pytest.approx(row_.median_percent, rel=0.03, abs=0.2)
        assert found.p90_error * 100 == pytest.approx(row_.p90_percent, rel=0.03, abs=0.1)
        if row_.inside_percent is not None and found.inside is not None:
            assert found.inside * 100 == pytest.approx(row_.inside_percent, abs=7.0)


def test_the_error_of_each_model_is_that_of_the_report() -> None:
    text = (REPORTS / "LLM_SPEED.md").read_text(encoding="utf-8")
    part = text.split("## By model")[1].split("##")[0]
    found = {s.name: s for s in by_group(chosen(AccuracyView(quantity="tpot_ms")), "model")}
    rows = re.findall(r"\| ([\w.-]+) \| tpot_ms \| (\d+) \| ([\d.]+) / ([\d.]+), (\d+)%", part)
    assert len(rows) > 8
    for name, count, middle, p90, inside in rows:
        assert found[name].count == int(count)
        assert found[name].median_error * 100 == pytest.approx(float(middle), rel=0.1, abs=0.5)
        assert found[name].p90_error * 100 == pytest.approx(float(p90), rel=0.08)
        assert (found[name].inside or 0) * 100 == pytest.approx(float(inside), abs=5)


# Views.


def test_a_view_looks_at_what_it_names() -> None:
    whole = AccuracyView(quantity="tpot_ms")
    some = chosen(AccuracyView(quantity="tpot_ms", hardware=("h100-sxm-80gb",), engines=("vllm",), search="8192"))
    assert some
    assert {(p.hardware, p.engine) for p in some} == {("h100-sxm-80gb", "vllm")}
    assert all("8192" in p.setting for p in some)
    assert len(some) < len(chosen(whole))
    assert overall(whole) != summary("all", chosen(whole))  # as calibration stated it, of all figures
    narrowed = AccuracyView(quantity="tpot_ms", models=("llama-3.1-8b",))
    assert overall(narrowed) == summary("all", chosen(narrowed))
    assert chosen(
        AccuracyView(family="deep_learning_memory", quantity="memory_mb")
    )  # none of them unseen: shown all the same
    assert chosen(AccuracyView(quantity="tpot_ms", search="no such run")) == ()
    assert overall(AccuracyView(quantity="tpot_ms", search="no such run")) is None


def test_a_name_that_was_not_measured_is_left_out_and_said() -> None:
    view = AccuracyView(family="statistical", quantity="tpot_ms", models=("xgb_1000_d6_f20", "gpt-2"))
    found, refused = workable(view)
    assert found.models == ("xgb_1000_d6_f20",)
    assert found.quantity == next(iter(counts("statistical", "quantity")))
    assert [error.field for error in refused] == ["quantity", "models"]
    assert workable(AccuracyView()) == (AccuracyView(quantity=next(iter(counts("llm", "quantity")))), ())


def test_sources_are_counted_in_full() -> None:
    sources = by_source(chosen(AccuracyView(quantity="tpot_ms")))
    assert [text for text, _ in sources] == [
        "NVIDIA AIConfigurator silicon sample 0.12.0 (Apache-2.0): InferenceX runs and NVIDIA's own"
    ]
    assert sum(n for _, n in sources) == 1_436
