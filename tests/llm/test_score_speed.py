"""Speed of measured runs: how a row becomes a replica under load, what each figure counts, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from sizing.catalog import load
from sizing.errors import InputError
from sizing.llm.constants import rates
from sizing.llm.score import SkipError
from sizing.llm.score_speed import predict, run_of, unit_of
from sizing.llm.work import stack
from sizing.score import score_text
from sizing.score_table import Case, read_cases

CATALOG = load()
SERVING = (
    "id,engine,engine_version,model,accelerator,weight_format,tp,pp,attention_dp,moe_tp,moe_ep,isl,osl,concurrency,"
    "ttft_ms,tpot_ms"
)
THROUGHPUT = (
    "id,engine,engine_version,model,accelerator,accelerator_count,tp,pp,ep,weight_format,kv_format,isl,osl,concurrency,"
    "metric,value"
)


def serving(line: str) -> Case:
    return read_cases(f"{SERVING}\n{line}\n", ("id",))[0]


def throughput(line: str) -> Case:
    return read_cases(f"{THROUGHPUT}\n{line}\n", ("id",))[0]


@pytest.mark.parametrize(
    ("degrees", "accelerators", "copies"),
    [
        ("8,1,1,8,1", 8, 1),  # plain tensor parallel
        ("4,1,4,1,16", 4, 4),  # four ranks, each a copy of attention; 16 says experts of four such groups
        ("2,1,2,1,4", 2, 2),
        ("1,1,64,8,8", 8, 8),  # moe_tp = moe_ep = 8 of a row that states 64 copies: the eight ranks twice over
        ("1,1,16,4,4", 4, 4),
    ],
)
def test_spread_of_public_rows(degrees: str, accelerators: int, copies: int) -> None:
    run = run_of(serving(f"x,vllm,0.19.0,minimax-m2.5,b200-sxm-180gb,fp8,{degrees},1024,1024,64,,"), CATALOG, "serving")
    assert run.accelerators == accelerators
    whole = run_of(
        serving(f"x,vllm,0.19.0,minimax-m2.5,b200-sxm-180gb,fp8,{accelerators},1,1,1,1,1024,1024,64,,"),
        CATALOG,
        "serving",
    )
    expected = float(whole.work.kv_bytes_per_sequence) / min(copies, 1) if copies == 1 else None
    if expected is not None:
        assert float(run.work.kv_bytes_per_sequence) == expected
    else:  # a copy's requests are held by one rank: all ranks together read less than with heads copied to each
        assert float(run.work.kv_bytes_per_sequence) <= float(whole.work.kv_bytes_per_sequence) * 1.001


def test_requests_beyond_memory_wait() -> None:
    row = "x,vllm,0.19.0,llama-3.1-70b,h200-sxm-141gb,fp8,1,1,1,1,1,8192,1024,{},,"
    few, many = (run_of(serving(row.format(n)), CATALOG, "serving") for n in (4, 256))
    assert (few.batch, few.waiting) == (4.0, 0.0)
    assert 10 < many.batch < 60
    assert many.batch + many.waiting == 256.0
    columns = lambda run: (stack([run.work]), np.array([[run.batch]]), np.array([[run.waiting]]))  # noqa: E731
    ttft = []
    for run in (few, many):
        work, batch, waiting = columns(run)
        done = predict("serving", work, batch, waiting, np.array([[1024.0]]), work.prompt_tokens, rates("vllm")[0])  # type: ignore[arg-type]
        ttft.append(float(done["ttft_ms"][0, 0]))
    assert ttft[1] > 20 * ttft[0]


def test_published_checkpoints_keep_fp8_cache() -> None:
    row = "x,{},,llama-3.1-70b,b200-sxm-180gb,{},2,1,1,1,1,1024,1024,8,,"
    cache = {
        (engine, form): float(run_of(serving(row.format(engine, form)), CATALOG, "serving").work.kv_bytes_per_sequence)
        for engine in ("vllm", "tensorrt-llm")
        for form in ("fp8", "nvfp4")
    }
    assert cache["tensorrt-llm", "fp8"] * 2 == cache["vllm", "fp8"]
    assert cache["vllm", "nvfp4"] == cache["tensorrt-llm", "nvfp4"] == cache["tensorrt-llm", "fp8"]


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("output_tokens_per_s", 2.0),
        ("output_tokens_per_s_per_accelerator", 0.25),
        ("total_tokens_per_s", 2.0 * (1 + 128 / 512)),
    ],
)
def test_unit_of_a_figure(metric: str, unit: float) -> None:
    """8 accelerators as two replicas of four; 128 tokens in, 512 out."""
    line = f"x,tensorrt-llm,1.0,llama-3.1-70b,h100-sxm-80gb,8,4,1,,fp8,fp8,128,512,max,{metric},1"
    assert unit_of(run_of(throughput(line), CATALOG, metric)) == pytest.approx(unit)


@pytest.mark.parametrize(
    ("engine", "version", "metric", "generation"),
    [
        ("vllm", "", "batch_latency_s", "vllm_2024"),
        ("vllm", "0.9.1", "batch_latency_s", "vllm"),
        ("vllm", "", "output_tokens_per_s", "vllm"),
        ("tensorrt-llm", "0.17", "output_tokens_per_s", "tensorrt_llm_1_0"),
        ("tensorrt-llm", "1.2-era", "output_tokens_per_s", "tensorrt_llm"),
    ],
)
def test_generation_of_a_run(engine: str, version: str, metric: str, generation: str) -> None:
    line = f"x,{engine},{version},llama-3.1-8b,h100-sxm-80gb,1,1,1,,fp16,fp16,128,128,16,{metric},1"
    assert run_of(throughput(line), CATALOG, metric).generation == generation


def test_what_cannot_be_predicted_is_said() -> None:
    for line in (
        "x,vllm,0.19.0,no-such-model,b200-sxm-180gb,fp8,1,1,1,1,1,1024,1024,8,1,1",
        "x,vllm,0.19.0,llama-3.1-8b,no-such-part,fp8,1,1,1,1,1,1024,1024,8,1,1",
        "x,no-such-engine,,llama-3.1-8b,h100-sxm-80gb,fp8,1,1,1,1,1,1024,1024,8,1,1",
    ):
        with pytest.raises(SkipError, match=r"no-such|no_such"):
            run_of(serving(line), CATALOG, "serving")
        rows = score_text("llm-serving", f"{SERVING}\n{line}\n", CATALOG)
        assert [bool(row.skipped_because) for row in rows] == [True]


def test_unknown_metric_is_refused_by_name() -> None:
    line = "x,vllm,,llama-3.1-8b,h100-sxm-80gb,1,1,1,,fp16,fp16,128,128,16,tokens,1"
    with pytest.raises(InputError, match="one of output_tokens_per_s"):
        score_text("llm-throughput", f"{THROUGHPUT}\n{line}\n", CATALOG)


def test_a_case_gives_centre_and_interval_of_each_figure() -> None:
    line = "x,vllm,0.19.0,minimax-m2.5,b200-sxm-180gb,fp8,4,1,1,1,1,1024,1024,32,106.0,13.6"
    rows = score_text("llm-serving", f"{SERVING}\n{line}\n", CATALOG)
    assert [row.quantity for row in rows] == ["ttft_ms", "tpot_ms"]
    for row in rows:
        assert row.low is not None
        assert row.predicted is not None
        assert row.high is not None
        assert row.low < row.predicted < row.high
        assert row.predicted == pytest.approx(row.measured, rel=0.5)
