"""The law of the time of a call, worked out by hand; the same on another CPU; and load time."""

from math import log, log2, sqrt

import pytest

from sizing import catalog
from sizing.cpu import CpuSpeed
from sizing.statistical.calibration import POINT_ERROR, factor_after
from sizing.statistical.law import SCALING_ERROR, call_and_loop_us, levels_beyond, model_time_us, on_cpu, parts_us
from sizing.statistical.structure import Structure, id_bytes_per_node, load_ms, model_bytes
from sizing.statistical_rows import ByteRule, LoadRule, RuntimeCost

CATALOG = catalog.load()
RULE = ByteRule(error_p90_share=0.1)


def cost_of(**constants):
    more = {"id": "native", "name": "n", "models_measured": 3, "held_out": True, "base_mib": 1.0, "file_format": "f"}
    errors = {"error_median_share": 0.1, "error_p90_share": 0.1, "file": RULE, "resident": RULE}
    return RuntimeCost(**more, **errors, source="s", as_of="2026-11-25", **constants)


def size_of(**fields):
    plain = {"trees": 0, "leaves_per_tree": 0, "nodes": 0, "parameters": 0, "vectors": 0, "work_units": 0.0}
    words = {"work_unit": "u", "work_formula": "f", "file_bytes": 0, "resident_bytes": 0}
    return Structure(**{**plain, **words, **fields})


def test_forest_by_hand():
    cost = cost_of(
        call_us=100.0, tree_us=2.0, first_rows_ns=10.0, row_ns=50.0, value_ns=3.0, unit_ns=5.0, level_ns=20.0
    )
    # 32 trees of 800 nodes take 1,024,000 B at 40 B each, of which 524,288 are near: 0.488 of log2(800 / 200) = 2 levels are far.
    size = size_of(trees=32, nodes=25_600, work_units=320.0, features=10)
    assert levels_beyond(size) == pytest.approx(2 * (1 - 524_288 / 1_024_000))
    # 100 + 2 x 32; 8 rows of 320 visits x 10 ns; 100 rows of 50 + 3 x 10 + 5 x 320 + 20 x 32 x 0.976 ns.
    expected = 100 + 64 + 8 * 320 * 10 / 1000 + 100 * (50 + 30 + 1600 + 20 * 32 * 0.976) / 1000
    assert model_time_us(cost=cost, size=size, rows=100) == pytest.approx(expected)
    assert call_and_loop_us(cost=cost, size=size, rows=100) == pytest.approx((164.0, expected - 164.0))


def test_first_rows_grow_with_a_model_beyond_the_cache_and_stop_at_eight():
    cost = cost_of(call_us=1.0, first_rows_ns=10.0, first_rows_exponent=0.5)
    size = size_of(trees=1, nodes=4 * 2**19 // 40, work_units=100.0)  # four times the cache: twice as dear
    for rows, paying in ((1, 1), (8, 8), (9, 8), (4096, 8)):
        assert parts_us(cost=cost, size=size, rows=rows)["first_rows_ns"] == pytest.approx(
            paying * 100 * 10 * 2 / 1000, rel=1e-4
        )


def test_work_of_a_row_grows_from_five_hundred_visits():
    cost = cost_of(call_us=1.0, unit_ns=10.0, work_exponent=0.5)
    assert model_time_us(cost=cost, size=size_of(work_units=2000.0), rows=1) == pytest.approx(1 + 2000 * 10 * 2 / 1000)
    assert model_time_us(cost=cost, size=size_of(work_units=400.0), rows=1) == pytest.approx(1 + 400 * 10 / 1000)


def test_networks_vectors_and_outputs_by_hand():
    cost = cost_of(
        call_us=10.0, call_vector_ns=2.0, call_unit_ns=1.0, output_ns=7.0, hidden_ns=0.5, vector_ns=3.0, unit_ns=0.1
    )
    size = size_of(vectors=1000, work_units=5000.0, outputs=4, hidden_units=192)
    expected = 10 + 2 + 5 + 2 * (28 + 96 + 3000 + 500) / 1000
    assert model_time_us(cost=cost, size=size, rows=2) == pytest.approx(expected)


def test_catalogs_from_before_the_law_keep_their_cache_exponent():
    cost = cost_of(call_us=1.0, unit_ns=10.0, cache_exponent=0.5)
    size = size_of(work_units=100.0, file_bytes=4 * 2**19)
    assert model_time_us(cost=cost, size=size, rows=10) == pytest.approx(1 + 10 * 100 * 10 * 2 / 1000)


def test_another_cpu_by_hand():
    cost, speed = cost_of(call_us=1.0, call_scaling=2.0, loop_scaling=1.0), CpuSpeed(0.5, 0.4, 0.6, "c")
    there = on_cpu(cost=cost, call_us=100.0, loop_us=200.0, speed=speed, constants_error=0.1)
    assert there.us == pytest.approx(100 * 0.25 + 200 * 0.5)
    power = (25 * 2 + 100) / 125
    own = 0.01 + (SCALING_ERROR * log(0.5)) ** 2
    assert there.below == pytest.approx(sqrt(own + (power * log(0.5 / 0.4)) ** 2))
    assert there.above == pytest.approx(sqrt(own + (power * log(0.6 / 0.5)) ** 2))


def test_a_catalog_without_powers_multiplies_by_the_factor():
    there = on_cpu(cost=cost_of(call_us=1.0), call_us=100.0, loop_us=200.0, speed=CpuSpeed(0.5, 0.4, 0.6, "c"))
    assert there.us == pytest.approx(150)
    assert there.below == pytest.approx(log(0.5 / 0.4))


def test_one_timing_moves_an_unknown_cpu_nearly_all_the_way_and_a_known_one_hardly():
    cost = cost_of(call_us=1.0, call_scaling=2.0, loop_scaling=1.0)
    measured = on_cpu(cost=cost, call_us=100.0, loop_us=200.0, speed=CpuSpeed(0.3, 0.3, 0.3, "c")).us
    unknown = factor_after(CpuSpeed(0.8, 0.1, 6.4, "?"), cost, (100.0, 200.0), measured, 0.1)
    known = factor_after(CpuSpeed(0.8, 0.79, 0.81, "k"), cost, (100.0, 200.0), measured, 0.1)
    assert unknown.factor == pytest.approx(0.3, rel=0.1)
    assert known.factor == pytest.approx(0.8, rel=0.01)
    assert unknown.high / unknown.low < 6.4 / 0.1
    assert unknown.high / unknown.factor < 1.6  # about the error of the timing
    assert POINT_ERROR < log(unknown.high / unknown.factor) < 0.5


def test_numbers_above_127_cost_onnx_more():
    # 256 trees of 256 nodes: half of both numbers take a second byte. 2.5 x 0.5 + 1.5 x 0.5.
    assert id_bytes_per_node(trees=256, nodes=256 * 256) == pytest.approx(2.0)
    assert id_bytes_per_node(trees=100, nodes=100 * 127) == 0.0
    rule = ByteRule(fixed_bytes=10, node_bytes=30, counts_ids=True, error_p90_share=0.01)
    assert model_bytes(rule, trees=256, nodes=65_536, parameters=0, outputs=2) == 10 + 32 * 65_536


def test_bytes_by_hand():
    rule = ByteRule(
        fixed_bytes=1, tree_bytes=2, node_bytes=3, node_output_bytes=4, node_class_bytes=5, parameter_bytes=6,
        vector_bytes=7, output_bytes=8, feature_bytes=9, feature_output_bytes=10, error_p90_share=0.01,
    )  # fmt: skip
    counts = {"trees": 2, "nodes": 10, "parameters": 3, "features": 4, "vectors": 5}
    assert model_bytes(rule, outputs=2, **counts) == 1 + 4 + 30 + 80 + 18 + 35 + 16 + 36 + 80
    assert model_bytes(rule, outputs=3, **counts) == 1 + 4 + 30 + 120 + 100 + 18 + 35 + 24 + 36 + 120


def test_load_time_by_hand_and_none_in_old_catalogs():
    rule = LoadRule(fixed_ms=10.0, ms_per_mb=30.0, models_measured=3, error_p90_share=0.3)
    assert load_ms(cost_of(call_us=1.0, load=rule), size_of(file_bytes=2_000_000)) == pytest.approx(70.0)
    assert load_ms(cost_of(call_us=1.0), size_of(file_bytes=2_000_000)) is None


def test_every_runtime_of_the_catalog_says_how_it_loads_and_how_it_scales():
    for family in CATALOG.statistical_families.values():
        for cost in family.runtimes:
            assert cost.load is not None
            assert cost.call_scaling > cost.loop_scaling > 0.4 or cost.call_scaling > 1.5, (family.id, cost.id)


def test_trees_in_onnx_runtime_share_what_a_call_and_a_far_level_cost():
    shared = {"call_us", "level_ns", "first_rows_ns"}
    ids = ("decision-tree", "random-forest", "gradient-boosting-xgboost", "gradient-boosting-lightgbm")
    costs = [CATALOG.statistical_family(name).runtime("onnxruntime") for name in ids]
    for name in shared:
        assert len({getattr(cost, name) for cost in costs}) == 1, name


def test_deeper_trees_cost_more_than_their_longer_paths_once_they_leave_the_cache():
    near, far = (size_of(trees=100, nodes=nodes, work_units=1400.0) for nodes in (20_000, 640_000))
    cost = CATALOG.statistical_family("random-forest").runtime("onnxruntime")
    ratio = model_time_us(cost=cost, size=far, rows=4096) / model_time_us(cost=cost, size=near, rows=4096)
    assert ratio > 1 + 0.5 * log2(640_000 / 100 / 200) * cost.level_ns * 100 / (cost.unit_ns * 1400)
