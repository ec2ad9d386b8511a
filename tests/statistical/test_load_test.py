"""How long a load test is, and the files that run it."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing import catalog
from sizing.plan import Deployment
from sizing.scenario import StatisticalScenario
from sizing.statistical import plan
from sizing.statistical.load_k6 import k6_script, spread_s
from sizing.statistical.load_locust import DRAIN_S, locust_command, locust_file
from sizing.statistical.load_test import LONGEST_S, LoadTest, load_test, reasons
from sizing.statistical.load_test_length import precision_of, requests_needed, variance, warm_up_requests

CATALOG = catalog.load()
ANCHORS = [  # cv, load, n, bias, sd of p99: anchors of this project, simulated apart from the table (2026-11)
    (1.0, 0.8, 2_000, -0.08, 0.26),
    (1.0, 0.8, 10_000, 0.00, 0.19),
    (1.0, 0.8, 50_000, 0.01, 0.10),
    (1.0, 0.9, 600, -0.49, 0.18),
    (1.0, 0.9, 2_000, -0.30, 0.23),
    (1.0, 0.9, 10_000, -0.10, 0.23),
    (1.0, 0.9, 50_000, -0.04, 0.17),
    (1.0, 0.95, 50_000, -0.12, 0.22),
    (0.0, 0.9, 600, -0.36, 0.21),
    (0.0, 0.9, 2_000, -0.19, 0.26),
    (0.0, 0.9, 10_000, -0.03, 0.24),
    (0.0, 0.9, 50_000, 0.02, 0.14),
]


def deployment(**fields: object) -> tuple[StatisticalScenario, Deployment]:
    scenario = StatisticalScenario(**fields)
    found = plan(scenario, CATALOG).recommended
    assert found is not None
    return scenario, found


def test_of(**fields: object) -> LoadTest:
    return load_test(*deployment(**fields))


test_of.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize(("cv", "load", "n", "bias", "sd"), ANCHORS)
def test_the_table_agrees_with_another_simulation(cv: float, load: float, n: int, bias: float, sd: float) -> None:
    found = precision_of("p99", n, workers=1, cv=cv, utilization=load)
    assert found.bias == pytest.approx(bias, abs=0.10)
    assert found.sd == pytest.approx(sd, abs=0.08)


def test_sampling_alone_sets_the_length_at_no_load() -> None:
    """p99 of gamma service of CV 0.3 by hand: sd = sqrt(q (1 - q) / n) / (density x p99)."""
    from sizing.queueing_law import service_law

    law = service_law("gamma", 0.3)
    low, middle, high = (float(law.quantile(q)) for q in (0.985, 0.99, 0.995))
    density = 0.01 / (high - low)
    by_hand = 0.99 * 0.01 / (density * middle) ** 2
    assert by_hand < variance("p99", workers=16, cv=0.3, utilization=0.3) * 1.5
    assert by_hand == pytest.approx(variance("p99", workers=16, cv=0.3, utilization=0.3), rel=0.5)


@settings(max_examples=60, deadline=None)
@given(
    cv=st.floats(0, 2), workers=st.integers(1, 64), load=st.floats(0.05, 0.97), more=st.floats(0.001, 0.02),
    quantity=st.sampled_from(["p50", "p95", "p99", "mean"]),
)  # fmt: skip
def test_a_higher_load_needs_more_requests_and_more_requests_know_more(
    cv: float, workers: int, load: float, more: float, quantity: str
) -> None:
    some = {"workers": workers, "cv": cv}
    one = requests_needed(quantity, utilization=load, precision=0.1, **some)
    assert requests_needed(quantity, utilization=load, precision=0.05, **some) >= one
    # The table is simulated: neighbours may stand out of line by its own error of 15 %.
    assert requests_needed(quantity, utilization=min(load + more, 0.99), **some) >= 0.8 * one
    few, many = (precision_of(quantity, n, utilization=load, **some) for n in (one, 100 * one))
    assert many.sd <= few.sd <= 0.11
    assert -0.031 <= few.bias <= many.bias <= 0.0


def test_near_saturation_the_length_grows_as_one_over_the_square_of_what_is_left() -> None:
    at = [variance("p99", workers=1, cv=0.3, utilization=u) * (1 - u) ** 2 for u in (0.8, 0.9, 0.95, 0.98)]
    assert max(at) < 2.0 * min(at)


def test_warm_up_by_hand() -> None:
    """5 relaxation times: 5 x (1 + 0.3^2) x 0.7^2 / 0.3^2 = 29.7."""
    assert warm_up_requests(cv=0.3, utilization=0.7) == 30


def test_the_test_is_at_the_load_of_the_plan() -> None:
    scenario, best = deployment(requests_per_s=2000, p99_target_ms=30)
    whole, one = load_test(scenario, best), load_test(scenario, best, subject="instance")
    assert whole.loads[0].requests_per_s == pytest.approx(2000)
    assert one.loads[0].requests_per_s == pytest.approx(2000 / best.instances)
    assert whole.loads[0].utilization == one.loads[0].utilization == best.utilization
    assert whole.loads[0].p99_ms == pytest.approx(best.latency_ms["time_in_system"].p99, rel=1e-6)
    assert whole.loads[0].requests >= whole.needed
    assert whole.loads[0].precision.sd <= 0.10
    assert whole.loads[0].precision.bias >= -0.03


def test_the_percentile_with_a_limit_counts() -> None:
    tail = test_of(utilization_cap=0.9, requests_per_s=500)
    median = test_of(utilization_cap=0.9, requests_per_s=500, p99_target_ms=None, p50_target_ms=20)
    assert (tail.quantity, median.quantity) == ("p99", "p50")
    assert median.needed < tail.needed


def test_a_rate_too_low_for_an_hour_is_cut_and_said() -> None:
    scenario, best = deployment(requests_per_s=0.05)
    test = load_test(scenario, best)
    assert test.loads[0].seconds == LONGEST_S
    assert any("cut to an hour" in sentence for sentence in reasons(scenario, test))


def test_steps_end_at_90_percent_of_what_the_workers_do() -> None:
    scenario, best = deployment()
    test = load_test(scenario, best, staged=True)
    assert [load.utilization for load in test.loads] == [0.3, 0.5, 0.7, 0.8, 0.9]
    rates = [load.requests_per_s / load.utilization for load in test.loads]
    assert rates == pytest.approx([best.replicas / test.service_ms * 1000.0] * 5)
    assert any("knee" in sentence for sentence in reasons(scenario, test))


def test_a_rate_beyond_one_generator_takes_several_machines_and_says_so() -> None:
    scenario, best = deployment(requests_per_s=50_000, p99_target_ms=50)
    test = load_test(scenario, best)
    assert test.locust_processes == 100
    assert test.locust_machines == 13
    assert test.k6_machines == 10
    assert any("more than one client machine" in sentence for sentence in reasons(scenario, test))
    first, _, other = locust_command(test).splitlines()
    assert "SENDERS=104" in first
    assert "--expect-workers 104" in first
    assert "--processes 8" in other
    wide = test_of(requests_per_s=50, rows_per_request=10_000, p99_target_ms=None)
    assert wide.k6_machines == wide.locust_machines > 1


def test_users_who_wait_are_tested_at_their_rate_at_random() -> None:
    scenario, best = deployment(concurrency=20, think_time_s=0.5)
    test = load_test(scenario, best)
    assert test.loads[0].requests_per_s == pytest.approx(best.throughput.requests_per_s.demanded)
    assert any("Your users wait" in sentence for sentence in reasons(scenario, test))


@pytest.mark.parametrize("staged", [False, True])
def test_the_locust_file_compiles_and_has_the_scenario_in_it(staged: bool) -> None:
    scenario, best = deployment(rows_per_request=16, features=12, p95_target_ms=15)
    test = load_test(scenario, best, staged=staged)
    text = locust_file(test)
    tree = ast.parse(text)
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert ast.literal_eval(values["ROWS"]) == 16
    assert ast.literal_eval(values["FEATURES"]) == 12
    assert ast.literal_eval(values["LIMITS_MS"]) == {"p95": 15.0, "p99": 20.0}
    loads = ast.literal_eval(values["LOADS"])
    assert len(loads) == len(test.loads)
    assert [rate for rate, _ in loads] == pytest.approx([load.requests_per_s for load in test.loads], rel=1e-5)
    assert not re.search(r"@[A-Z_]+@", text)
    assert f"-t {round(test.seconds) + DRAIN_S}s" in locust_command(test)
    assert max(map(len, text.splitlines())) < 240


@pytest.mark.parametrize("staged", [False, True])
def test_the_k6_script_has_the_scenario_in_it_and_reads_as_javascript(staged: bool, tmp_path: Path) -> None:
    scenario, best = deployment(rows_per_request=16, features=12, p95_target_ms=15)
    test = load_test(scenario, best, staged=staged)
    text = k6_script(test)
    loads = json.loads(re.search(r"const LOADS = (.*);", text)[1])  # type: ignore[index]
    assert loads[0]["name"] == "warm_up"
    assert [load["rate"] for load in loads[1:]] == pytest.approx([x.requests_per_s for x in test.loads], rel=1e-3)
    assert json.loads(re.search(r"const LIMITS_MS = (.*);", text)[1]) == {"p(95)": 15.0, "p(99)": 20.0}  # type: ignore[index]
    assert not re.search(r"@[A-Z_]+@", text)
    bare = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"|//[^\n]*", "", text)
    assert all(bare.count(a) == bare.count(b) for a, b in ("()", "[]", "{}"))
    node = shutil.which("node")
    if node is not None:
        (tmp_path / "k6.mjs").write_text(text, encoding="utf-8")
        subprocess.run([node, "--check", str(tmp_path / "k6.mjs")], check=True, capture_output=True, timeout=60)


def test_the_random_wait_of_k6_is_long_against_the_memory_of_the_queue() -> None:
    test = test_of(requests_per_s=20, p99_target_ms=None, utilization_cap=0.9)
    assert 0.5 <= spread_s(test) <= 20.0
    assert spread_s(test) >= min(20.0, 100.0 * test.relaxation_s) - 1e-9


def test_another_payload_than_the_files_send_is_said() -> None:
    scenario = StatisticalScenario(payload_format="binary", request_kib=500)
    best = plan(scenario, CATALOG).recommended
    told = " ".join(reasons(scenario, load_test(scenario, best)))
    assert "binary float32" in told
    assert "change body()" in told
    usual = StatisticalScenario()
    assert "change body()" not in " ".join(reasons(usual, load_test(usual, plan(usual, CATALOG).recommended)))
