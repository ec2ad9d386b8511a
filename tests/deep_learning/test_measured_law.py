"""Measured times in a scenario: what the fit moves and by how much, where it counts, and that it travels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing import link as links
from sizing.catalog import load
from sizing.deep_learning import batch_curve, measured_chart, plan
from sizing.deep_learning.charts import knee
from sizing.deep_learning.graph import graph
from sizing.deep_learning.latency import BatchLaw, batch_law
from sizing.deep_learning.measured import (
    MOST_POINTS,
    MeasuredCurve,
    compared,
    curve_of,
    median_errors,
    parse_curve,
    recalibrated,
)
from sizing.deep_learning.perf_csv import Point
from sizing.errors import InputError
from sizing.scenario import DeepLearningScenario, parse_scenario

CATALOG = load()
CURVE = "t4~torchvision-resnet50~224~onnxruntime~fp16~fused~1=2.5,8=6,32=18"
"""2 ms + 0.5 ms a sample."""
LAW = replace(
    batch_law(graph(CATALOG, "torchvision-resnet50"), CATALOG.accelerator("t4"), runtime="onnxruntime", precision="fp16"),
    t0_ms=1.0, k_ms=0.25, fast=0.5, slow=2.0,
)  # fmt: skip


def scenario(**fields: object) -> DeepLearningScenario:
    return DeepLearningScenario(**{"measured_curve": CURVE, **fields})  # type: ignore[arg-type]


def width(law: BatchLaw) -> float:
    return law.slow / law.fast


def test_one_row_scales_the_law_and_narrows_it() -> None:
    fitted = recalibrated(LAW, (4.0,), (4.0,))  # predicted 1 + 0.25 x 4 = 2 ms, half of it t0
    assert fitted.latency_ms(4) == pytest.approx(4.0, rel=0.03)
    assert fitted.t0_ms / LAW.t0_ms == pytest.approx(fitted.k_ms / LAW.k_ms, rel=1e-6)  # both shares alike: a factor
    assert width(fitted) < width(LAW)
    low = recalibrated(LAW, (1.0,), (2.5,))  # four fifths of this is t0, so t0 takes most of it
    assert low.t0_ms / LAW.t0_ms > low.k_ms / LAW.k_ms > 1.2


def test_many_rows_find_the_law_they_were_made_of() -> None:
    batches = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
    times = tuple(3.0 + 0.1 * b for b in batches)
    fitted = recalibrated(LAW, batches, times)
    assert fitted.t0_ms == pytest.approx(3.0, rel=0.05)
    assert fitted.k_ms == pytest.approx(0.1, rel=0.12)  # the prior, 2.5 times as much, still pulls a little
    assert width(fitted) < 1.3
    again = recalibrated(LAW, (*batches, *batches), (*times, *times))
    assert 0.1 < again.k_ms < fitted.k_ms
    assert width(again) <= width(fitted)


def test_a_measurement_as_predicted_moves_nothing() -> None:
    fitted = recalibrated(LAW, (1.0, 16.0), (LAW.latency_ms(1), LAW.latency_ms(16)))
    assert (fitted.t0_ms, fitted.k_ms) == pytest.approx((LAW.t0_ms, LAW.k_ms))


def test_rows_that_scatter_leave_a_wider_interval() -> None:
    batches = tuple(float(2**i) for i in range(7))
    smooth = tuple(2.0 + 0.2 * b for b in batches)
    rough = tuple(t * (1.4 if i % 2 else 0.7) for i, t in enumerate(smooth))
    assert width(recalibrated(LAW, batches, smooth)) < width(recalibrated(LAW, batches, rough)) <= width(LAW) + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(0.01, 1e5)), min_size=1, max_size=8))
def test_any_rows_give_a_positive_law_no_wider_than_before(rows: list[tuple[float, float]]) -> None:
    fitted = recalibrated(LAW, [b for b, _ in rows], [t for _, t in rows])
    assert fitted.t0_ms > 0.0
    assert fitted.k_ms > 0.0
    assert fitted.fast <= 1.0 <= fitted.slow
    assert width(fitted) <= width(LAW) * (1 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.4, 2.5), st.floats(0.4, 2.5), st.integers(0, 2**32 - 1))
def test_intervals_cover_the_true_law(u: float, v: float, seed: int) -> None:
    """Three noisy rows: the truth at their batches is within three times the (log) interval, whatever the law was."""
    chance = np.random.default_rng(seed)
    batches = (1.0, 8.0, 32.0)
    truth = replace(LAW, t0_ms=LAW.t0_ms * u, k_ms=LAW.k_ms * v)
    times = [truth.latency_ms(b) * float(np.exp(0.04 * chance.standard_normal())) for b in batches]
    fitted = recalibrated(LAW, batches, times)
    for b in batches:
        assert abs(np.log(fitted.latency_ms(b) / truth.latency_ms(b))) < 3 * np.log(fitted.slow)


def test_it_counts_for_what_was_measured_and_for_nothing_else() -> None:
    usual = {d.instance: d for d in plan(DeepLearningScenario(), CATALOG).ranked}
    found = plan(scenario(), CATALOG)
    for d in found.ranked:
        basis = d.verdicts[0].basis
        if d.accelerator == "t4":
            assert basis == "measured"
            assert d.extra["k_ms"] == pytest.approx(0.5, rel=0.08)
            assert d.extra["t0_ms"] == pytest.approx(2.0, rel=0.12)  # predicted: 0.5
        else:
            assert basis == usual[d.instance].verdicts[0].basis
            assert d.extra["k_ms"] == usual[d.instance].extra["k_ms"]
    assert any("recalibrated with 3 measured batches" in c for c in found.caveats)
    for other in ({"runtime": "tensorrt"}, {"precision": "fp32"}, {"input_size": 256}, {"attention": "math"},
                  {"model": "timm-resnet18-224"}):  # fmt: skip
        elsewhere = plan(scenario(**other), CATALOG)
        assert not any(d.verdicts[0].basis == "measured" for d in elsewhere.ranked), other
        assert any("do not count" in c for c in elsewhere.caveats), other


def test_working_shows_the_fit_where_it_is_used() -> None:
    found = plan(scenario(accelerators=("t4",)), CATALOG)
    steps = {s.quantity: s for s in found.working}
    assert "32: 18 ms" in steps["k of a sample"].with_numbers
    assert found.recommended is not None
    assert steps["k of a sample"].value == found.recommended.extra["k_ms"]
    curve = batch_curve(scenario(accelerators=("t4",)), CATALOG, found.recommended)
    at = list(curve.batch).index(8)
    assert curve.latency_ms[at] == pytest.approx(6.0, rel=0.03)


def test_prediction_and_measurement_stand_side_by_side() -> None:
    shown = measured_chart(scenario(), CATALOG)
    assert [r.measured_ms for r in shown.rows] == [2.5, 6.0, 18.0]
    before, after = median_errors(shown.rows)
    assert after < 0.05 < before
    assert shown.batch[0] == 1
    assert shown.batch[-1] == 64
    assert (shown.before_low_ms <= shown.before_ms).all()
    moved_on = measured_chart(scenario(model="timm-resnet18-224", precision="fp32"), CATALOG)
    assert moved_on.rows == shown.rows
    with pytest.raises(InputError, match="measured_curve"):
        measured_chart(DeepLearningScenario(), CATALOG)
    assert compared(LAW, parse_curve(CURVE))[0].before_ms == 1.25


def test_rows_become_a_short_curve() -> None:
    s, facts = DeepLearningScenario(), graph(CATALOG, "torchvision-resnet50")
    same = curve_of(s, facts, accelerator="t4", points=[Point(2, 8.0, 4.0, ""), Point(3, 8.0, 9.0, "")])
    assert (same.batches, same.times_ms) == ((8.0,), (6.0,))  # geometric mean
    many = curve_of(s, facts, accelerator="t4", points=[Point(i, 1.0 + i, 2.0 + i, "") for i in range(500)])
    assert len(many.batches) == MOST_POINTS
    assert parse_curve(many.text()) == many
    assert DeepLearningScenario(measured_curve=many.text()).measured_curve == many.text()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 65_536), st.floats(0.001, 1e6)), min_size=1, max_size=60))
def test_any_rows_make_a_field_that_a_scenario_takes(rows: list[tuple[float, float]]) -> None:
    facts = graph(CATALOG, "torchvision-resnet50")
    points = [Point(i, b, t, "") for i, (b, t) in enumerate(rows)]
    curve = curve_of(DeepLearningScenario(), facts, accelerator="a100-40gb-sxm", points=points)
    assert parse_curve(DeepLearningScenario(measured_curve=curve.text()).measured_curve or "") == curve


def test_it_travels_in_the_link() -> None:
    query = links.to_query(scenario(), catalog_version=CATALOG.version)
    back = links.from_query(query)
    assert back.scenario == scenario()
    assert back.messages == ()
    assert plan(scenario(), CATALOG) == plan(back.scenario, CATALOG)  # type: ignore[arg-type]
    longest = MeasuredCurve(
        "a" * 30, "m" * 60, 10_000_000, "onnxruntime_tensorrt", "fp16", "fused",
        tuple(1000.1 + i for i in range(MOST_POINTS)), (1234.5,) * MOST_POINTS,
    ).text()  # fmt: skip
    assert len(links.to_query(scenario(measured_curve=longest), catalog_version=CATALOG.version)) < 2_000


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        ("nonsense", "accelerator~model~size"),
        ("", "accelerator~model~size"),
        (CURVE + ",", "accelerator~model~size"),
        (CURVE.replace("1=2.5", "1=-2.5"), "accelerator~model~size"),
        (CURVE.replace("1=2.5", "1=1e9"), "accelerator~model~size"),
        (CURVE + ",4=5" * 300, "800 characters"),
    ],
)
def test_a_malformed_field_is_refused_by_name(curve: str, said: str) -> None:
    with pytest.raises(InputError, match="measured_curve") as error:
        parse_scenario({"kind": "deep_learning", "measured_curve": curve})
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        (CURVE.replace("8=6", "0.5=6"), "rising order"),
        (CURVE.replace("1=2.5", "0=2.5"), "at least 1"),
        (CURVE.replace("32=18", "8=18"), "rising order"),
        (CURVE.replace("32=18", "32=0"), "above 0"),
        (CURVE.replace("t4~", "t5~"), "'t5'"),
        (CURVE.replace("~torchvision-resnet50", "~none-such"), "'none-such'"),
        (CURVE.replace("32=18", "32=0.01"), "measured on another"),
        (CURVE + "".join(f",{33 + i}=19" for i in range(MOST_POINTS)), "1 to 24 batches"),
    ],
)
def test_a_curve_that_cannot_be_is_one_sentence_of_the_plan(curve: str, said: str) -> None:
    with pytest.raises(InputError, match="measured_curve") as error:
        plan(scenario(measured_curve=curve), CATALOG)
    assert said in str(error.value)
    assert str(error.value).count("\n") == 0


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 100), st.floats(0.001, 10), st.integers(1, 2000))
def test_knee_has_the_most_throughput_per_latency(t0: float, k: float, most: int) -> None:
    law = replace(LAW, t0_ms=t0, k_ms=k)
    found = knee(law, most)
    power = [b / law.latency_ms(b) ** 2 for b in range(1, most + 1)]
    assert power[found - 1] == pytest.approx(max(power), rel=1e-12)


def test_knee_is_where_t0_is_k_times_batch() -> None:
    law = replace(LAW, t0_ms=4.0, k_ms=0.25)
    assert knee(law, 1000) == 16
    assert law.latency_ms(16) == 2 * 4.0
    assert 16 / law.latency_ms(16) == 0.5 / 0.25
    assert knee(law, 10) == 10
    assert knee(replace(LAW, t0_ms=0.1, k_ms=1.0), 1000) == 1
