"""Files to take away: named by kind and model, and the ranking complete for each kind."""

from __future__ import annotations

import csv
import io

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import ROOT

from sizing import catalog as catalogs
from sizing.planner import plan
from sizing.scenario import SCENARIO_TYPES, AnyScenario, LlmScenario, StatisticalScenario, parse_scenario
from sizing.units import GIB
from ui.downloads import file_stem, ranking_csv

SHARED = {
    *("instance", "provider", "region", "instances", "replicas", "utilization", "requests_per_s", "runtime"),
    *("capacity_requests_per_s", "memory_used_gib", "memory_capacity_gib", "usd_per_hour", "usd_per_month"),
    *("usd_per_1k_requests", "price_basis", "price_date", "price_source", "status"),
}
OWN = {
    "llm": {"accelerator", "accelerators", "tp", "pp", "batch", "weight_format", "kv_format", "ttft_p95_ms", "tpot_p50_ms",
            "e2e_p99_ms", "ttft_p95_low_ms", "ttft_p95_high_ms", "usd_per_million_output_tokens"},
    "deep_learning": {"batch", "latency_p95_ms", "latency_p95_low_ms", "model_p50_ms"},
    "statistical": {"time_in_system_p99_ms", "time_in_system_p99_low_ms", "service_p50_ms"},
}  # fmt: skip


@pytest.mark.parametrize("kind", SCENARIO_TYPES)
def test_the_ranking_has_every_figure_of_its_kind(kind: str) -> None:
    found = plan(parse_scenario({"kind": kind}), catalogs.load())
    rows = list(csv.DictReader(io.StringIO(ranking_csv(found))))
    assert len(rows) == len(found.ranked) + len(found.rejected)
    kept = rows[: len(found.ranked)]
    for name in SHARED | OWN[kind]:
        assert kept[0][name] != "", name
    for row, d in zip(kept, found.ranked, strict=True):
        memory = d.memory_per_accelerator or d.memory_per_instance
        assert memory is not None
        assert row["instance"] == d.instance_type
        assert float(row["usd_per_month"]) == d.cost.usd_per_month
        assert float(row["memory_used_gib"]) == memory.used_bytes / GIB
        assert float(row["capacity_requests_per_s"]) == d.throughput.requests_per_s.capacity
        for name, latency in d.latency_ms.items():
            assert row[f"{name}_p95_ms"] == ("" if latency.p95 is None else str(latency.p95))
        assert row["price_marks"] == "; ".join(d.cost.price_marks)
    for row, r in zip(rows[len(kept) :], found.rejected, strict=True):
        assert row["status"] == "dropped"
        assert row["reason"] == f"{r.constraint}: {r.because}"
        assert row["usd_per_month"] == ""
    assert None not in rows[0]


def test_where_nothing_fits_the_ranking_has_the_dropped_ones() -> None:
    found = plan(LlmScenario(model="llama-2-70b-hf", max_usd_per_month=50.0), catalogs.load())
    rows = list(csv.DictReader(io.StringIO(ranking_csv(found))))
    assert {row["status"] for row in rows} == {"dropped"}
    assert len(rows) == len(found.rejected)


@pytest.mark.parametrize(
    ("scenario", "stem"),
    [
        (LlmScenario(), "llm-llama-3.1-8b"),
        (parse_scenario({"kind": "deep_learning"}), "deep-learning-torchvision-resnet50"),
        (StatisticalScenario(family="svm-rbf"), "statistical-svm-rbf"),
        (StatisticalScenario(custom_model="{}"), "statistical-gradient-boosting-xgboost-own-file"),
        (LlmScenario(model="custom", custom_config="{}"), "llm-custom"),
    ],
)
def test_files_are_named_by_kind_and_model(scenario: AnyScenario, stem: str) -> None:
    assert file_stem(scenario) == stem


@pytest.mark.parametrize("kind", SCENARIO_TYPES)
def test_each_page_offers_all_files(kind: str) -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page(f"pages/{kind}.py")
    at.run()
    labels = [button.proto.label for button in at.get("download_button")]
    for label in ("Report (HTML)", "Snapshot (JSON)", "Ranking (CSV)", "Scenario (YAML)", "Plan (JSON)"):
        assert label in labels
