"""The load-test services' table, and x86 against Arm: columns that agree with the plan, verdicts that can be undone."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from sizing import catalog, cpu
from sizing.planner import plan
from sizing.queueing_law import service_law
from sizing.scenario import StatisticalScenario
from sizing.statistical.architectures import Comparison, compare, verdict_words
from sizing.statistical.recommendations import DEFINITIONS, Recommendation, recommendation
from ui.downloads import ranking_csv

CATALOG = catalog.load()
SCENARIO = StatisticalScenario(requests_per_s=3000.0, p99_target_ms=8.0)


def test_a_row_agrees_with_the_plan() -> None:
    for d in plan(SCENARIO, CATALOG).ranked:
        row = recommendation(d)
        assert row.initial_instance_count == d.instances
        assert row.cost_per_inference_usd * 3600 * 3000 == pytest.approx(row.cost_per_hour_usd)
        assert row.max_invocations_per_minute >= 3000 * 60
        assert row.time_in_system_p99_ms == d.latency_ms["time_in_system"].p99
        assert row.model_latency_p50_ms < row.model_latency_p95_ms < row.model_latency_p99_ms
        assert row.model_latency_p99_ms < row.time_in_system_p99_ms
        memory = d.memory_per_instance
        assert row.memory_utilization_percent == pytest.approx(100 * memory.used_bytes / memory.capacity_bytes)


def test_model_latency_is_the_predict_call_spread_by_the_service_law() -> None:
    best = plan(SCENARIO.model_copy(update={"service_cv": 1.0}), CATALOG).recommended
    mean = float(best.extra["model_latency_ms"])
    assert recommendation(best).model_latency_p99_ms == pytest.approx(4.605 * mean, rel=0.01)  # exponential: ln 100
    law = service_law("gamma", 0.3)
    row = recommendation(plan(SCENARIO, CATALOG).recommended)
    assert row.model_latency_p95_ms / row.model_latency_p50_ms == pytest.approx(
        float(law.quantile(0.95) / law.quantile(0.5)), rel=0.01
    )


def test_cpu_is_what_the_machine_shows() -> None:
    # A worker a core: full workers on two threads a core are half of the vCPUs, on one thread all of them.
    by_type = {d.instance_type: d for d in plan(SCENARIO, CATALOG).ranked}
    x86, arm = by_type["c7i.xlarge"], by_type["c7g.xlarge"]
    assert recommendation(x86).cpu_utilization_percent == pytest.approx(50 * x86.utilization)
    assert recommendation(arm).cpu_utilization_percent == pytest.approx(100 * arm.utilization)


def test_every_kind_of_column_is_defined() -> None:
    columns = [name for name in Recommendation.__dataclass_fields__ if name not in ("instance_type", "provider")]
    for name in columns:
        stem = name.replace("_p50_", "_p99_").replace("_p95_", "_p99_").replace("month", "hour")
        assert stem in DEFINITIONS, name


def test_the_csv_has_all_columns_and_all_rows() -> None:
    found = plan(SCENARIO.model_copy(update={"providers": ("aws",)}), CATALOG)
    rows = list(csv.DictReader(io.StringIO(ranking_csv(found))))
    assert len(rows) == len(found.ranked) + len(found.rejected)
    assert set(Recommendation.__dataclass_fields__) <= set(rows[0])
    assert float(rows[0]["model_latency_p99_ms"]) == recommendation(found.ranked[0]).model_latency_p99_ms
    assert rows[0]["instance"] == rows[0]["instance_type"]
    assert rows[-1]["status"] == "dropped"
    assert rows[-1]["model_latency_p99_ms"] == ""


def test_sides_are_the_cheapest_of_their_kind() -> None:
    ranked = plan(SCENARIO, CATALOG).ranked
    found = compare(SCENARIO, CATALOG, ranked)
    for side, arch in ((found.x86, "x86_64"), (found.arm, "arm64")):
        same = [d for d in ranked if CATALOG.instance(d.instance).cpu_arch == arch]
        assert side.deployment == same[0]
        assert (side.usd_per_month_fast or 0) <= side.deployment.cost.usd_per_month <= (side.usd_per_month_slow or 1e9)
    keys = [(s.deployment.provider, s.arch) for s in found.by_provider]
    assert len(keys) == len(set(keys))
    costs = [s.deployment.cost.usd_per_month for s in found.by_provider]
    assert costs == sorted(costs)


def test_overlapping_intervals_decide_nothing() -> None:
    found = compare(SCENARIO, CATALOG, plan(SCENARIO, CATALOG).ranked)
    assert found.cheaper is None
    assert "Not decided" in verdict_words(found)
    heavy = SCENARIO.model_copy(update={"requests_per_s": 50_000.0, "p99_target_ms": 20.0})
    apart = compare(heavy, CATALOG, plan(heavy, CATALOG).ranked)
    assert apart.cheaper == "arm64"
    assert apart.arm.usd_per_month_slow < apart.x86.usd_per_month_fast
    assert "Decided" in verdict_words(apart)


def test_exact_speeds_would_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = tuple((word, replace(s, low=s.factor, high=s.factor)) for word, s in cpu.CPU_SPEEDS)
    monkeypatch.setattr(cpu, "CPU_SPEEDS", exact)
    unknown = replace(cpu.UNKNOWN_CPU, low=cpu.UNKNOWN_CPU.factor, high=cpu.UNKNOWN_CPU.factor)
    monkeypatch.setattr(cpu, "UNKNOWN_CPU", unknown)
    found = compare(SCENARIO, CATALOG, plan(SCENARIO, CATALOG).ranked)
    assert found.cheaper == "arm64"


def test_one_side_alone_is_said() -> None:
    only = SCENARIO.model_copy(update={"providers": ("oci",)})
    found = compare(only, CATALOG, plan(only, CATALOG).ranked)
    assert found.arm is None
    assert "no deployment on an Arm machine" in verdict_words(found)
    assert "an x86" in verdict_words(Comparison(None, found.x86, (), None))
