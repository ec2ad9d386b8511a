"""The loop closed for real and small: a server with a model, the generated Locust file against it, its result imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks import close_the_loop as loop
from sizing import catalog
from sizing.scenario import StatisticalScenario
from sizing.statistical.load_compare import Setup, measurement, service_on
from sizing.statistical.load_results import LoadResults, read_load_results

ROWS, FEATURES, TREES, DEPTH = 20, 8, 30, 4
RATES = ((15.0, 3.0), (25.0, 3.0))
MACHINE = "host-0.5"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadResults, LoadResults, float, str]:
    """Result of the generated file, Locust's own, the time of requests one after the other [ms], and what was printed."""
    folder = tmp_path_factory.mktemp("loop")
    model = folder / "model.onnx"
    loop.make_model(model, trees=TREES, depth=DEPTH, features=FEATURES)
    with loop.served(model) as port:
        alone = loop.alone_ms(port, rows=ROWS, features=FEATURES, probes=20)
        test = loop.test_of(RATES, rows=ROWS, features=FEATURES, warm_up_s=1.0, machine=MACHINE)
        result, stats, said = loop.run_locust(test, port, folder)
    return read_load_results(result), read_load_results(stats), alone, said


def test_both_files_say_what_was_sent(run: tuple[LoadResults, LoadResults, float, str]) -> None:
    ours, locusts, _, said = run
    assert [r.offered_per_s for r in ours.records] == [15.0, 25.0]
    assert [r.requests for r in ours.records] == [r.requests for r in locusts.records]
    assert sum(r.failures + r.dropped for r in ours.records) == 0, said
    for (rate, seconds), record in zip(RATES, ours.records, strict=True):
        # Random arrivals: within five standard deviations of their number.
        assert abs((record.requests or 0) - rate * seconds) < 5.0 * (rate * seconds) ** 0.5
        assert (record.rows, record.instance, record.workers) == (ROWS, MACHINE, 1)


def test_exact_times_and_those_of_locust_are_the_same_requests(
    run: tuple[LoadResults, LoadResults, float, str],
) -> None:
    ours, locusts, _, _ = run
    for one, other in zip(ours.records, locusts.records, strict=True):
        assert one.mean_ms == pytest.approx(other.mean_ms, rel=1e-3)
        assert 0.0 < (one.p50_ms or 0.0) <= (one.p95_ms or 0.0) <= (one.p99_ms or 0.0)
        assert other.p50_ms == pytest.approx(one.p50_ms, abs=1.0 + 0.1 * (one.p50_ms or 0.0))
        assert one.late_p99_ms is not None


def test_the_service_time_found_is_between_physical_bounds(run: tuple[LoadResults, LoadResults, float, str]) -> None:
    """No more than the mean that was measured, and more than nothing; and the scenario takes it in."""
    ours, _, _, _ = run
    scenario = StatisticalScenario(
        runtime="onnxruntime", trees=TREES, depth=DEPTH, features=FEATURES, rows_per_request=ROWS
    )
    setups = [Setup(MACHINE, 1, 1, ROWS, "open") for _ in ours.records]
    found, how = measurement(scenario, ours.records, setups)
    means = [r.mean_ms or 0.0 for r in ours.records]
    assert 0.0 < how.service_ms <= max(means)
    assert how.service_ms > 0.02
    after = scenario.model_copy(update={"measured_service": found.text()})
    known = catalog.load()
    setup = Setup(MACHINE, 1, 1, ROWS, "open")
    before_ms, after_ms = (service_on(s, known, setup).mean_ms for s in (scenario, after))
    low, high = sorted((before_ms, how.service_ms))
    assert low * 0.999 <= after_ms <= high * 1.001


def test_a_server_is_gone_when_its_block_ends_however_it_ends(tmp_path: Path) -> None:
    pids: list[int] = []

    def stopped_in_the_middle() -> None:
        with loop.started([sys.executable, "-c", "import time; time.sleep(600)"], cwd=tmp_path) as process:
            pids.append(process.pid)
            raise KeyError("stopped in the middle")

    with pytest.raises(KeyError):
        stopped_in_the_middle()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
