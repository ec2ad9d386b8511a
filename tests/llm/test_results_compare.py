"""Results of one's own beside the prediction: which runs count and why, what is guessed, memory, and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from result_files import LOG_V1, SGLANG, VLLM, content

from sizing import catalog as catalogs
from sizing.__main__ import main
from sizing.errors import InputError
from sizing.llm.measured import parse_serving
from sizing.llm.results.compare import compare, measured_text
from sizing.llm.results.read import read_all, read_results
from sizing.llm.results.records import Results
from sizing.llm.results.setup import Setup, guess, stored_results
from sizing.llm.score_speed import score_serving
from sizing.llm.sharding import Split
from sizing.planner import plan
from sizing.scenario import LlmScenario, scenario_from_yaml, scenario_to_yaml
from sizing.score_table import Case

CATALOG = catalogs.load()
SCENARIO = LlmScenario(accelerators=("h100-sxm-80gb",))
SETUP = Setup("h100-sxm-80gb", "vllm", None, "native", "bf16", Split())


def results(**changed: Any) -> Results:
    return read_results(content({**VLLM, **changed}))


def test_the_prediction_beside_a_run_is_that_of_the_score() -> None:
    """An independent path to the same closed loop: `score llm-serving` of a row with the same figures."""
    (row,) = compare(SCENARIO, CATALOG, SETUP, results()).rows
    cells = {
        "id": "x", "engine": "vllm", "model": "llama-3.1-8b", "accelerator": "h100-sxm-80gb", "weight_format": "bf16", "tp": "1",
        "isl": "1000", "osl": "250", "concurrency": "16", "ttft_ms": "118.4", "tpot_ms": "11.2",
    }  # fmt: skip
    scored = {each.quantity: each for each in score_serving(Case(2, cells), CATALOG)}
    for name, column in (("TTFT", "ttft_ms"), ("TPOT", "tpot_ms")):
        cell, of = row.cells[name], scored[column]
        assert (cell.measured, cell.predicted, cell.low, cell.high) == pytest.approx(
            (of.measured, of.predicted, of.low, of.high)
        )
    assert row.cells["TPOT"].error == pytest.approx(row.cells["TPOT"].predicted / 11.2 - 1)
    per_s = 16 / (row.cells["TTFT"].predicted + 249 * row.cells["TPOT"].predicted) * 1000 * 250
    assert row.cells["Output"].predicted == pytest.approx(per_s)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"num_prompts": 40, "completed": 40, "total_input_tokens": 40000, "total_output_tokens": 10000}, "fewer than 3 requests a client"),
        ({"max_concurrency": None}, "all requests at once"),
        ({"request_rate": 8.0, "max_concurrency": None, "request_throughput": 5.35}, "did not keep up"),
        ({"request_rate": 5.4, "max_concurrency": None, "num_prompts": 20, "completed": 20, "total_input_tokens": 20000, "total_output_tokens": 5000}, "fewer than 30"),
        ({"ramp_up_strategy": "linear"}, "ramped"),
        ({"request_rate": 9000.0, "max_concurrency": None, "request_throughput": 9000.0}, "more arrives"),
    ],
)  # fmt: skip
def test_runs_without_a_steady_state_are_shown_and_do_not_count(changed: dict[str, Any], why: str) -> None:
    found = compare(SCENARIO, CATALOG, SETUP, results(**changed))
    (row,) = found.rows
    assert why in row.why
    assert not row.counts
    assert found.measured is None
    with pytest.raises(InputError, match="measured_serving"):
        measured_text(found)


def test_a_rate_that_was_kept_is_an_open_loop_and_one_that_was_not_the_clients() -> None:
    kept = compare(SCENARIO, CATALOG, SETUP, results(request_rate=5.4, max_concurrency=200)).measured
    limited = compare(SCENARIO, CATALOG, SETUP, results(request_rate=50.0)).measured
    assert kept is not None
    assert limited is not None
    assert (kept.runs[0].is_rate, kept.runs[0].load) == (True, 5.4)
    assert (limited.runs[0].is_rate, limited.runs[0].load) == (False, 16.0)


def test_requests_far_beyond_what_is_held_are_a_full_server() -> None:
    many = {
        "max_concurrency": None,
        "num_prompts": 4000,
        "completed": 4000,
        "total_input_tokens": 4_000_000,
        "total_output_tokens": 1_000_000,
    }
    found = compare(SCENARIO, CATALOG, SETUP, results(**many, median_tpot_ms=60.0))
    assert found.rows[0].counts
    assert found.measured is not None
    assert found.measured.runs[0].ttft_ms is None


def test_memory_beside_the_log() -> None:
    setup = Setup("h100-sxm-80gb", "vllm", "0.11.0", "native", "fp8", Split(2))
    found = compare(SCENARIO, CATALOG, setup, read_results(LOG_V1.encode()))
    parts = {(row.part, row.unit): row.cell for row in found.memory}
    assert set(parts) == {("Weights", "GiB"), ("KV cache", "GiB"), ("KV cache", "tokens")}
    assert abs(parts["Weights", "GiB"].error) < 0.01
    tokens = parts["KV cache", "tokens"]
    assert tokens.predicted == pytest.approx(
        parts["KV cache", "GiB"].predicted * 2**30 / (32 * 2 * 8 / 2 * 128), rel=1e-3
    )
    assert found.measured is not None
    assert found.measured.text().endswith("~-~m7.513:58.1:0.85:65536:2048:256")
    assert found.measured.runs == ()


def test_what_it_ran_on_is_guessed_from_the_files_then_from_the_answer() -> None:
    best = plan(SCENARIO, CATALOG).recommended
    both = read_all([("a", content(VLLM)), ("b", LOG_V1.encode())])
    assert guess(SCENARIO, best, both, CATALOG) == Setup("h100-sxm-80gb", "vllm", "0.11.0", "native", "fp8", Split(2))
    assert guess(SCENARIO, best, results(), CATALOG) == SETUP
    assert guess(SCENARIO, best, read_results(content(SGLANG)), CATALOG).runtime == "sglang"


def test_another_model_named_by_the_files_is_said() -> None:
    assert compare(SCENARIO, CATALOG, SETUP, results()).notes == ()
    (note,) = compare(SCENARIO, CATALOG, SETUP, results(model_id="Qwen/Qwen3-32B")).notes
    assert "Qwen/Qwen3-32B" in note


def test_a_split_that_does_not_divide_the_model_is_refused() -> None:
    with pytest.raises(InputError, match="divides the model"):
        compare(SCENARIO, CATALOG, Setup("h100-sxm-80gb", "vllm", None, "native", "bf16", Split(3)), results())


def test_many_runs_are_thinned_and_the_table_comes_back_from_the_link() -> None:
    runs = [{**VLLM, "max_concurrency": n, "num_prompts": 10 * n, "completed": 160} for n in range(1, 41)]
    found = compare(SCENARIO, CATALOG, SETUP, read_results(content(*runs)))
    assert found.measured is not None
    assert len(found.measured.runs) == 16
    assert "16 of 40 runs" in found.notes[-1]
    setup, stored = stored_results(parse_serving(measured_text(found)))
    again = compare(SCENARIO, CATALOG, setup, stored)
    assert again.measured == found.measured
    assert again.found == found.found


def write(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def test_the_command_prints_the_table_and_the_recalibrated_scenario(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = write(tmp_path, "s.yaml", scenario_to_yaml(SCENARIO).encode())
    files = [write(tmp_path, "a.json", content(VLLM)), "--scenario", scenario]
    assert main(["results", *files]) == 0
    shown = capsys.readouterr().out
    assert "16 clients, 1,000 + 250 tokens" in shown
    assert "TPOT: median error" in shown
    assert "Recalibrated with 1 of your runs on H100 SXM5 80GB, vLLM: steps" in shown
    assert main(["results", *files, "--recalibrate"]) == 0
    made = scenario_from_yaml(capsys.readouterr().out)
    assert isinstance(made, LlmScenario)
    assert made.measured_serving == "h100-sxm-80gb~llama-3.1-8b~vllm~native~bf16~1.1.1~c16x1000x250=118.4:11.2~-"
    assert made.model_copy(update={"measured_serving": None}) == SCENARIO
    assert main(["results", *files, "--recalibrate", "--accelerator", "h200-sxm-141gb"]) == 0
    assert "measured_serving: h200-sxm-141gb~" in capsys.readouterr().out.replace("'", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.json"], "a file that can be read"),
        (["{good}", "--tp", "0"], "tp: 0"),
        (["{good}", "--accelerator", "abacus"], "abacus"),
        (["{bad}"], "bad.json"),
    ],
)
def test_the_command_says_in_one_line_what_cannot_be_used(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"{good}": write(tmp_path, "a.json", content(VLLM)), "{bad}": write(tmp_path, "bad.json", b"{}")}
    given = [names.get(argument, argument) for argument in arguments]
    assert main(["results", *given, "--scenario", "llm?model=llama-3.1-8b"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_command_exits_1_where_no_run_counts_and_refuses_other_kinds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write(tmp_path, "a.json", json.dumps({**VLLM, "max_concurrency": None}).encode())
    assert main(["results", name, "--scenario", "llm?model=llama-3.1-8b"]) == 1
    assert main(["results", name, "--scenario", "statistical?trees=5"]) == 2
    assert "kind: 'statistical'" in capsys.readouterr().err
