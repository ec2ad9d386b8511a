"""What the parts of a prediction make of each other: steps before a model, an own model in the load test, a recalibrated call."""

from __future__ import annotations

import json
from math import log

import numpy as np
import pytest

from sizing import catalog
from sizing.cpu import CpuSpeed
from sizing.scenario import StatisticalScenario
from sizing.statistical import plan
from sizing.statistical.candidate import model_of
from sizing.statistical.load_test import load_test
from sizing.statistical.recalibration import Calibration
from sizing.statistical.runtimes import row_times
from sizing.statistical.service_time import ServiceTime, service_time
from sizing.statistical.steps import Preparation

CATALOG = catalog.load()
HOST = CpuSpeed(1.0, 1.0, 1.0, "")
SUMMARY = {
    "summary": 1,
    "name": "m",
    "library": "XGBoost",
    "format": "xgboost-json",
    "family": "gradient-boosting-xgboost",
    "features": 10,
    "outputs": 1,
    "trees": 2,
    "nodes": 6,
    "leaves": 4,
    "max_depth": 1,
    "visited_nodes_per_row": 4.0,
    "file_bytes": 3000,
}


def own(**more: object) -> StatisticalScenario:
    return StatisticalScenario(custom_model=json.dumps(SUMMARY | more), features=1000)


def test_steps_add_their_call_once_and_their_row_for_every_row() -> None:
    scenario = StatisticalScenario(rows_per_request=10)
    model = model_of(scenario, CATALOG)
    bare, after = (
        service_time(scenario=scenario, cost=model.cost, size=model.size, speed=HOST, sharing=1.0, before=before)
        for before in (Preparation(), Preparation(call_us=100.0, row_us=2.0))
    )
    assert after.model_ms - bare.model_ms == pytest.approx((100.0 + 10 * 2.0) / 1000.0)
    assert after.host_call_ms - bare.host_call_ms == pytest.approx(0.1)


def test_the_times_of_runtimes_hold_the_steps_of_a_file() -> None:
    with_step, without = own(steps=[["scale", 10, 10]]), own()
    best = plan(without, CATALOG).recommended
    assert best is not None
    for slow, fast in zip(row_times(with_step, CATALOG, best), row_times(without, CATALOG, best), strict=True):
        assert np.all(slow.us_per_row > fast.us_per_row)


def test_a_load_test_sends_the_columns_of_the_file() -> None:
    scenario = own()
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    assert load_test(scenario, best).features == 10


def test_a_recalibrated_call_takes_its_new_share() -> None:
    service = ServiceTime(host_model_ms=2.0, model_ms=2.0, http_ms=0.5, low_ms=1.0, high_ms=9.0, call_share=0.5)
    calibration = Calibration("host-1", None, np.array([log(2.0), 0.0, 0.0, 0.0]), np.zeros((4, 4)), ())
    moved = calibration.applied(service, machine="host-1", speed=HOST)
    assert moved.model_ms == pytest.approx(3.0)  # 1 ms of call doubled, 1 ms of rows as it was
    assert moved.call_share == pytest.approx(2.0 / 3.0)
