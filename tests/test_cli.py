"""The command line: what it prints, its exit codes, and one sentence for each bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sizing import catalog as catalogs
from sizing import link as links
from sizing.__main__ import main
from sizing.scenario import LlmScenario, scenario_from_yaml

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
DEPLOYMENT_KEYS = {
    *("instance", "provider", "region", "accelerator", "accelerators_per_replica", "replicas", "instances"),
    *("parallelism", "runtime", "weight_format", "kv_format", "batch", "memory_per_accelerator", "latency_ms"),
    *("throughput", "utilization", "cost"),
}
COST_KEYS = {
    *("usd_per_hour", "usd_per_month", "usd_per_1k_requests", "usd_per_million_output_tokens"),
    *("price_basis", "price_date"),
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_finds_a_deployment(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(path), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert {"kind", "catalog", "scenario", "recommended", "alternatives", "rejected", "binding_constraint"} <= set(plan)
    assert {"candidates", "seconds"} <= set(plan["search"])
    for deployment in [plan["recommended"], *plan["alternatives"]]:
        assert set(deployment) >= DEPLOYMENT_KEYS
        assert set(deployment["cost"]) >= COST_KEYS
        memory = deployment["memory_per_accelerator"] or deployment["memory_per_instance"]
        assert sum(memory["parts"].values()) == memory["used_bytes"] <= memory["capacity_bytes"]
        for latency in deployment["latency_ms"].values():
            assert latency["p50"] <= latency["p95"] <= latency["p99"]
            assert latency["low"] <= latency[latency["interval_of"]] <= latency["high"]
        assert deployment["cost"]["usd_per_month"] == pytest.approx(730 * deployment["cost"]["usd_per_hour"])
    months = [d["cost"]["usd_per_month"] for d in [plan["recommended"], *plan["alternatives"]]]
    assert months == sorted(months)
    assert plan["search"]["candidates"] == len(months) + len(plan["rejected"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_file_and_its_link_are_the_same_scenario_and_plan(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["link", str(path), "--base", "https://sizing.example"]) == 0
    link = capsys.readouterr().out.strip()
    assert link.startswith("https://sizing.example/")
    assert len(link) < 2000
    assert main(["scenario", link]) == 0
    assert scenario_from_yaml(capsys.readouterr().out) == scenario_from_yaml(path.read_text(encoding="utf-8"))
    plans = []
    for source in (str(path), link, link.split("?", 1)[1]):
        assert main(["plan", source, "--json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        del plan["search"]["seconds"]
        plans.append(plan)
    assert plans[0] == plans[1] == plans[2]


def test_the_text_says_machine_cost_limits_and_alternatives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(ROOT / "examples" / "llama-2-70b.yaml")]) == 0
    said = capsys.readouterr().out
    for words in ("Recommended:", "a month of 730 h", "TTFT", "80 % interval", "Alternatives", "Binding constraint"):
        assert words in said


def test_nothing_that_serves_is_exit_1_with_what_binds_and_what_lifts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = tmp_path / "tight.yaml"
    scenario.write_text("kind: llm\nmodel: llama-2-70b-hf\nmax_usd_per_month: 50\n", encoding="utf-8")
    assert main(["plan", str(scenario)]) == 1
    said = capsys.readouterr().out
    assert "budget" in said
    assert "What would lift it" in said
    assert "a month" in said


@pytest.mark.parametrize(
    ("yaml", "field", "says"),
    [
        ("kind: llm\nmodel: lama-2-70b", "model", "nearest: llama-2-70b"),
        ("kind: llm\nrequests_per_s: -3", "requests_per_s", "-3"),
        ("kind: llm\nmodel: llama-2-70b-hf\ntensor_parallel: 7", "tensor_parallel", "7"),
        ("kind: llm\nextra_key: 1", "extra_key", "only the fields"),
        ("kind: llm\naccelerators: [h100]", "accelerators", "nearest"),
        ("kind: deep_learning\nmodel: nonsense-model", "model", "ids"),
        ("kind: statistical\nfamily: horoscope", "family", "ids"),
        ("kind: statistical\nfamily: linear-regression\nruntime: booster", "runtime", "native"),
        ("kind: llm\nproviders: [aws, moon]", "providers", "moon"),
    ],
)
def test_bad_input_is_exit_2_and_one_line(
    yaml: str, field: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = tmp_path / "bad.yaml"
    scenario.write_text(yaml, encoding="utf-8")
    assert main(["plan", str(scenario)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"{field}: ")
    assert says in said


@pytest.mark.parametrize(
    "link",
    [
        "http://localhost:8501/llm?v=99&kind=llm",
        "http://localhost:8501/llm?%ff%fe%00=%00",
        "kind=llm&prompt_tokens=" + "9" * 10_000_000,
        "kind=llm&v=1&catalog=1999-01-01.00000000",
        "http://localhost:8501/catalogs?v=1&kind=catalogs",
        "no-such-file.yaml",
        "\udcff\udcfe=x",
        "?",
    ],
)
def test_a_bad_link_is_exit_2_and_one_line(link: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", link]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert len(said) < 600


def test_a_binary_file_and_a_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    binary = tmp_path / "model.bin"
    binary.write_bytes(bytes(range(256)))
    assert main(["plan", str(binary)]) == 2
    assert main(["plan", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("kind: statistical\n"))
    assert main(["plan", "-"]) == 0
    assert "Recommended" in capsys.readouterr().out


def test_the_catalog_is_checked_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "check"]) == 0
    said = capsys.readouterr().out
    assert "58 accelerators" in said
    assert "225 instances" in said
    assert "121 llm models" in said
    assert "110 deep learning models" in said
    assert "in 118 rows" in said
    assert main(["catalog", "show", "h100-sxm-80gb"]) == 0
    assert "memory_bandwidth_gb_per_s: 3350" in capsys.readouterr().out
    assert main(["catalog", "show", "llm_models"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 121
    assert main(["catalog", "show", "h1000"]) == 2


def test_a_link_of_an_older_catalog_is_planned_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    shutil.copytree(catalogs.SHIPPED_DIRECTORY, tmp_path / "catalogs")
    home = tmp_path / "catalogs"
    old = catalogs.load(directory=home).version
    prices = home / "instances.yaml"
    text = prices.read_text(encoding="utf-8")
    assert "2.29" in text
    prices.write_text(text.replace("2.29", "9.29"), encoding="utf-8")
    catalogs.freeze(home)
    monkeypatch.setenv(catalogs.DIRECTORY_VARIABLE, str(home))
    catalogs._load.cache_clear()
    try:
        new = catalogs.load().version
        assert old != new
        scenario = LlmScenario(instances=("lambda-gpu-1x-gh200",))
        costs = {}
        for version in (old, new):
            assert main(["plan", links.to_link(scenario, catalog_version=version), "--json"]) == 0
            plan = json.loads(capsys.readouterr().out)
            assert plan["catalog"] == version
            costs[version] = plan["recommended"]["cost"]["usd_per_hour"]
        assert costs == {old: 2.29, new: 9.29}
        changes = catalogs.difference(catalogs.load(old), catalogs.load(new), ids=["lambda-gpu-1x-gh200"])
        assert any("2.29" in change and "9.29" in change for change in changes)
    finally:
        catalogs._load.cache_clear()
