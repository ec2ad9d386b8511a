"""Every figure: axes titled with their unit, the limit drawn as a line and named, the chosen point marked."""

from __future__ import annotations

import re

import plotly.graph_objects as go
import pytest

from ui.charts import MemoryBar, cost_chart, count_chart, memory_chart, percentile_chart, share_chart, trade_off_chart
from ui.sketch import CHOSEN, LIMIT, Curve

CURVE = Curve("by batch", [10.0, 100.0, 400.0], [2.0, 3.0, 9.0], low=[1.0, 2.0, 6.0], high=[4.0, 5.0, 20.0])
BARS = [
    MemoryBar("1 x", {"weights": 2**33, "kv_cache": 2**32}, 2**34),
    MemoryBar("2 x", {"weights": 2**32}, 2**34, chosen=True),
]
FIGURES = {
    "memory": memory_chart(BARS, per="accelerator"),
    "trade-off": trade_off_chart(
        CURVE,
        x_title="throughput (tokens/s)",
        y_title="time per output token (ms)",
        limit=5.0,
        limit_name="TPOT limit 5 ms",
        chosen=(100.0, 3.0),
        chosen_name="batch 8",
    ),
    "cost": cost_chart(["1 x a", "2 x b"], [1.0, 2.5]),
    "percentiles": percentile_chart(
        [Curve("p99", [0.0, 50.0, 90.0], [1.0, 2.0, 30.0])],
        limits={"p99 limit 20 ms": 20.0},
        load=40.0,
        stable_to=100.0,
        x_title="load (requests/s)",
        y_title="time in system (ms)",
    ),
    "share": share_chart(
        [30.0, 10.0, 20.0],
        closed={50: 15.0, 95: 25.0},
        limit=40.0,
        limit_name="TTFT limit 40 ms",
        percentile=95,
        x_title="time to first token (ms)",
    ),
    "count": count_chart(
        [10.0, 20.0, 30.0], [1, 2, 2], [0.5, 1.0, 1.0], load=15.0, count=2, x_title="load (requests/s)"
    ),
}


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_every_axis_of_numbers_is_titled_with_its_unit(figure: go.Figure) -> None:
    layout = figure.to_dict()["layout"]
    for name in (key for key in layout if key.startswith(("xaxis", "yaxis"))):
        if layout[name].get("type") != "category":
            assert re.search(r"\(.+\)$|^instances$", layout[name]["title"]["text"]), name


def test_a_limit_is_a_line_with_its_name() -> None:
    for figure, value, name in (
        (FIGURES["trade-off"], 5.0, "TPOT limit 5 ms"),
        (FIGURES["percentiles"], 20.0, "p99 limit 20 ms"),
    ):
        lines = [shape for shape in figure.layout.shapes if shape.line.color == LIMIT]
        assert [(line.y0, line.y1) for line in lines] == [(value, value)]
        assert name in [note.text for note in figure.layout.annotations]


def test_cumulative_share_rises_to_all_requests_beside_the_closed_form_and_the_limit() -> None:
    figure = FIGURES["share"]
    curve, points = figure.data
    assert list(curve.x) == [10.0, 20.0, 30.0]
    assert list(curve.y) == pytest.approx([100 / 3, 200 / 3, 100.0])
    assert (list(points.x), list(points.y)) == ([15.0, 25.0], [50, 95])
    assert next((line.x0, line.x1) for line in figure.layout.shapes) == (40.0, 40.0)
    assert any("TTFT limit 40 ms" in note.text for note in figure.layout.annotations)


def test_the_chosen_point_is_marked() -> None:
    star = [trace for trace in FIGURES["trade-off"].data if trace.marker.symbol == "star"]
    assert [(t.x[0], t.y[0], t.name) for t in star] == [(100.0, 3.0, "batch 8")]
    assert "◀" in FIGURES["memory"].data[0].y[1]
    assert FIGURES["cost"].data[0].marker.color[0] == CHOSEN != FIGURES["cost"].data[0].marker.color[1]


def test_memory_parts_and_capacity_are_in_gib() -> None:
    data = {trace.name: list(trace.x) for trace in FIGURES["memory"].data}
    assert data == {"weights": [8.0, 4.0], "kv cache": [4.0, 0.0], "capacity": [16.0, 16.0]}


def test_the_two_axes_of_the_count_chart_tell_the_same() -> None:
    layout = FIGURES["count"].layout
    assert layout.yaxis2.range[1] == pytest.approx(layout.yaxis.range[1] * 0.5)


def test_the_band_runs_there_and_back() -> None:
    band = FIGURES["trade-off"].data[0]
    assert band.name == "80 % interval"
    assert list(band.y) == [4.0, 5.0, 20.0, 6.0, 2.0, 1.0]


def trade_off(*, shaded_to: float | None, limit: float | None = 5.0) -> go.Figure:
    return trade_off_chart(
        CURVE, x_title="a (b)", y_title="c (d)", limit=limit, limit_name="", chosen=None, chosen_name="",
        shaded_to=shaded_to,
    )  # fmt: skip


def test_the_shading_ends_at_the_limit_and_never_stretches_an_axis() -> None:
    ranges = set()
    for shaded_to, right in ((None, None), (100.0, 100.0), (1e9, 400.0)):
        layout = trade_off(shaded_to=shaded_to).layout
        ranges.add((*layout.xaxis.range, *layout.yaxis.range))
        regions = [shape for shape in layout.shapes if shape.type == "rect"]
        assert len(regions) == (shaded_to is not None)
        for region in regions:
            assert region.y1 == 5.0
            assert region.x1 == pytest.approx(right, rel=0.3)
            assert region.x1 <= 10.0 ** layout.xaxis.range[1]
    assert len(ranges) == 1
    low, high, bottom, top = ranges.pop()
    assert 10.0**low < 10.0 < 400.0 < 10.0**high < 800.0
    assert 10.0**bottom < 1.0 < 20.0 < 10.0**top


def test_without_a_latency_limit_the_shading_goes_to_the_top() -> None:
    layout = trade_off(shaded_to=100.0, limit=None).layout
    (region,) = layout.shapes
    assert region.y1 == pytest.approx(10.0 ** layout.yaxis.range[1])


def test_the_load_at_which_a_limit_breaks_is_marked_with_its_number() -> None:
    figure = percentile_chart(
        [Curve("p99", [0.0, 50.0, 90.0], [1.0, 2.0, 30.0])],
        limits={"p99 limit 20 ms": 20.0}, load=40.0, stable_to=100.0, breaks_at=81.25, x_title="a (b)", y_title="c (d)",
    )  # fmt: skip
    assert 81.25 in [shape.x0 for shape in figure.layout.shapes]
    assert "breaks at 81.2" in [note.text.strip() for note in figure.layout.annotations]
    low, high = figure.layout.yaxis.range
    assert 10.0**low < 1.0 < 30.0 < 10.0**high


def test_regions_where_limits_hold_and_where_the_queue_is_not_stable_are_shaded() -> None:
    figure = percentile_chart(
        [Curve("p99", [0.0, 50.0, 90.0], [1.0, 2.0, 30.0])],
        limits={"p99 limit 20 ms": 20.0}, load=40.0, stable_to=100.0, x_title="a (b)", y_title="c (d)", holds_to=70.0,
        holds_name="targets and 70% cap kept ", chosen=(1.8, "this plan, p99"),
    )  # fmt: skip
    holds, breaks = (shape for shape in figure.layout.shapes if shape.type == "rect")
    assert (holds.x0, holds.x1) == (0, 70.0)
    assert (breaks.x0, breaks.x1) == (100.0, figure.layout.xaxis.range[1])
    assert holds.fillcolor != breaks.fillcolor
    assert "targets and 70% cap kept" in [note.text.strip() for note in figure.layout.annotations]
    (star,) = (trace for trace in figure.data if trace.marker.symbol == "star")
    assert (star.x[0], star.y[0], star.name) == (40.0, 1.8, "this plan, p99")
