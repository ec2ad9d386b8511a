"""`score`: files of measured cases, predictions beside them, and what is said of files that cannot be used."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from sizing.__main__ import main
from sizing.errors import InputError
from sizing.llm.score import MEMORY_COLUMNS, vision_parameters
from sizing.score import score_text
from sizing.score_table import COLUMNS, Scored, percentile, read_cases, summary, to_csv

CASE = {
    "id": "a",
    "engine": "vllm",
    "engine_version": "v0.19.0",
    "model": "llama-3.3-70b-instruct",
    "checkpoint": "meta-llama/Llama-3.3-70B-Instruct",
    "accelerator": "h200-sxm-141gb",
    "weight_format": "bf16",
    "kv_format": "bf16",
    "tp": "4",
    "pp": "1",
    "expert_parallel": "False",
    "max_model_len": "8192",
    "gpu_memory_utilization": "0.92",
    "weights_gib": "32.89",
    "kv_cache_gib": "91.57",
    "kv_cache_tokens": "1200192",
}


def table(*cases: dict[str, str], columns: tuple[str, ...] = MEMORY_COLUMNS) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**CASE, **case} for case in cases)
    return out.getvalue()


def scored(**changes: str) -> dict[str, Scored]:
    return {row.quantity: row for row in score_text("llm-memory", table(changes))}


def test_a_public_start_up_is_predicted_within_the_goal() -> None:
    rows = scored()
    assert set(rows) == {"weights_gib", "kv_cache_gib", "kv_cache_tokens"}
    assert rows["weights_gib"].error_percent < 1
    assert rows["kv_cache_gib"].error_percent < 2
    assert rows["kv_cache_tokens"].error_percent < 2
    assert all(row.is_inside for row in rows.values())


# Weights a rank [GiB] that public start-ups state.
@pytest.mark.parametrize(
    ("changes", "weights_gib"),
    [
        ({"weight_format": "fp8", "checkpoint": "RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"}, 16.96),
        (
            {"model": "deepseek-r1", "checkpoint": "deepseek-ai/DeepSeek-R1-0528", "weight_format": "fp8", "tp": "8"},
            79.74,
        ),
        ({"model": "qwen3-30b-a3b", "checkpoint": "Qwen/Qwen3-VL-30B-A3B-Instruct", "tp": "1"}, 58.23),
        ({"model": "qwen3-next-80b-a3b-instruct", "checkpoint": "", "weight_format": "", "tp": "2"}, 74.28),
        ({"model": "llama-3.1-8b", "checkpoint": "", "tp": ""}, 14.99),
    ],
)
def test_weights_of_public_start_ups(changes: dict[str, str], weights_gib: float) -> None:
    assert scored(**changes)["weights_gib"].predicted == pytest.approx(weights_gib, rel=0.01)


def test_an_8_bit_cache_holds_twice_the_tokens_in_the_same_room() -> None:
    full, half = scored(), scored(kv_format="fp8")
    assert half["kv_cache_gib"].predicted == full["kv_cache_gib"].predicted
    assert half["kv_cache_tokens"].predicted == pytest.approx(2 * full["kv_cache_tokens"].predicted)


def test_blank_cells_take_the_engine_defaults() -> None:
    rows = scored(
        engine="", tp="4", pp="", expert_parallel="", max_model_len="", gpu_memory_utilization="", kv_format=""
    )
    stated = scored(gpu_memory_utilization="0.9")
    assert rows["kv_cache_gib"].predicted == stated["kv_cache_gib"].predicted
    newer = scored(engine_version="0.22", gpu_memory_utilization="")["kv_cache_gib"].predicted
    assert newer == scored(engine_version="0.22", gpu_memory_utilization="0.92")["kv_cache_gib"].predicted


def test_unmeasured_quantities_are_predicted_without_an_error() -> None:
    rows = scored(weights_gib="", kv_cache_gib="", kv_cache_tokens="")
    assert all(row.predicted and row.measured is None and row.error_percent is None for row in rows.values())
    assert "nothing to compare" in summary(list(rows.values()))


def test_a_model_is_found_by_the_name_of_its_checkpoint() -> None:
    by_name = scored(model="somebody/else", checkpoint="meta-llama/Llama-3.3-70B-Instruct")
    assert by_name["weights_gib"].predicted == scored()["weights_gib"].predicted


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "no-such-model", "checkpoint": ""}, "model no-such-model is not in the catalog"),
        ({"accelerator": "abacus"}, "accelerator abacus is not in the catalog"),
        ({"engine": "vlm"}, "runtime: 'vlm' is not allowed"),
        ({"engine_version": "nightly"}, "engine_version: 'nightly' is not allowed"),
        ({"weight_format": "fp5"}, "weight format fp5 is not known"),
        ({"kv_format": "fp5"}, "KV format fp5 is not known"),
    ],
)
def test_what_cannot_be_predicted_is_skipped_with_the_reason(changes: dict[str, str], reason: str) -> None:
    rows = score_text("llm-memory", table(changes, {"id": "b"}))
    skipped = [row for row in rows if not row.quantity]
    assert len(skipped) == 1
    assert reason in skipped[0].skipped_because
    assert skipped[0].predicted is None
    text = summary(rows)
    assert text.startswith("2 cases, 1 predicted, 1 skipped.")
    assert reason in text


def test_a_model_too_large_for_its_accelerators_has_no_cache() -> None:
    rows = scored(tp="1", accelerator="h100-sxm-80gb")
    assert rows["kv_cache_gib"].predicted == 0
    assert rows["kv_cache_tokens"].high == 0


def test_vision_towers_by_name() -> None:
    assert vision_parameters("meta-llama/Llama-4-Scout-17B-16E-Instruct") > 8e8
    assert vision_parameters("mistralai/Mistral-Small-3.1-24B-Instruct-2503") > 4e8
    assert vision_parameters("google/gemma-3-1b-it") == 0
    assert vision_parameters("mistralai/Mistral-Small-24B-Instruct-2501") == 0
    with_tower = scored(model="qwen3-30b-a3b", checkpoint="Qwen/Qwen3-VL-30B-A3B-Instruct", tp="1")
    alone = scored(model="qwen3-30b-a3b", checkpoint="Qwen/Qwen3-30B-A3B", tp="1")
    assert with_tower["weights_gib"].predicted > alone["weights_gib"].predicted
    assert with_tower["kv_cache_gib"].predicted < alone["kv_cache_gib"].predicted - 1


def test_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases, out = tmp_path / "cases.csv", tmp_path / "rows.csv"
    cases.write_text("\ufeff" + table({}, {"id": "b", "accelerator": "abacus"}), encoding="utf-8")
    assert main(["score", "llm-memory", str(cases), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "2 cases, 1 predicted, 1 skipped." in printed
    assert "kv_cache_tokens" in printed
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert tuple(rows[0]) == COLUMNS
    assert [row["id"] for row in rows] == ["a", "a", "a", "b"]
    assert rows[3]["predicted"] == ""
    assert rows[3]["skipped_because"]
    assert float(rows[2]["low"]) <= float(rows[2]["predicted"]) <= float(rows[2]["high"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (table({"tp": "four"}), "line 2, tp: 'four' is not allowed"),
        (table({"tp": "1.5"}), "line 2, tp: 1.5 is not allowed"),
        (table({}, {"weights_gib": "nan"}), "line 3, weights_gib: 'nan' is not allowed"),
        (table({"gpu_memory_utilization": "92"}), "line 2, gpu_memory_utilization: '92' is not allowed"),
        (table({"expert_parallel": "maybe"}), "line 2, expert_parallel: 'maybe' is not allowed"),
        (table({}, columns=tuple(c for c in MEMORY_COLUMNS if c != "tp")), "column: 'tp' is not allowed"),
        (table(), "cases: 'a header alone' is not allowed"),
        (table({}) + "1,2\n", "line 3: '2 cells' is not allowed"),
        ("", "cases: empty is not allowed"),
    ],
)
def test_bad_files_are_one_sentence_and_exit_2(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = tmp_path / "cases.csv"
    cases.write_text(text, encoding="utf-8")
    assert main(["score", "llm-memory", str(cases)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(said)
    assert printed.err.count("\n") == 1


def test_unknown_kind_missing_file_and_unwritable_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = tmp_path / "cases.csv"
    cases.write_text(table({}), encoding="utf-8")
    assert main(["score", "horoscopes", str(cases)]) == 2
    assert main(["score", "llm-memory", str(tmp_path / "none.csv")]) == 2
    assert main(["score", "llm-memory", str(cases), "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "allowed is one of llm-memory" in said[0]
    assert "a file that can be read" in said[1]
    assert "a file that can be written" in said[2]


def test_figures_of_the_summary() -> None:
    rows = [Scored(str(i), "x", 100.0, 100.0 + i, 95.0, 105.0) for i in range(1, 11)]
    line = summary(rows).splitlines()[-1].split()
    assert line == ["x", "10", "5.50", "%", "9.00", "%", "100%"]
    assert percentile([3.0], 0.9) == 3.0
    assert to_csv(rows).splitlines()[1] == "1,x,100,101,95,105,"
    outside = Scored("o", "x", 200.0, 100.0, 95.0, 105.0)
    assert outside.is_inside is False
    assert outside.error_percent == 50.0


def test_blank_lines_are_no_cases() -> None:
    assert len(read_cases("a,b\n1,2\n\n , \n3,4\n", ("a",))) == 2
    with pytest.raises(InputError, match="column: 'c'"):
        read_cases("a,b\n1,2\n", ("c",))


def test_summary_counts_cases_not_figures() -> None:
    """One case with two quantities, and two cases with one of different kinds each, are three cases."""
    rows = [
        Scored("a", "ttft_ms", 1.0, 1.0),
        Scored("a", "tpot_ms", 1.0, 1.0),
        Scored("b", "output_tokens_per_s", 1.0, 1.0),
        Scored("c", "batch_latency_s", 1.0, 1.0),
    ]
    assert summary(rows).startswith("3 cases, 3 predicted, 0 skipped.")
