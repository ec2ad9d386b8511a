"""Readers of result files: each format as its tool writes it, older names, parts that are missing, and what is left out."""

from __future__ import annotations

import json

import pytest
from result_files import (
    AIPERF,
    GENAI_PERF,
    GUIDELLM_NEW,
    GUIDELLM_OLD,
    LOG_V0,
    LOG_V1,
    SGLANG,
    VLLM,
    VLLM_OLD,
    content,
)

from sizing.errors import InputError
from sizing.llm.results.read import read_all, read_results


def test_vllm_bench_serve() -> None:
    (run,) = read_results(content(VLLM)).runs
    assert run.tool == "vllm bench serve"
    assert (run.rate_per_s, run.clients, run.requests) == (None, 16, 160)
    assert (run.prompt_tokens, run.output_tokens) == (1000.0, 250.0)
    assert (run.ttft_ms, run.tpot_ms, run.output_tokens_per_s) == (118.4, 11.2, 1337.8)
    assert (run.ttft_p99_ms, run.tpot_p99_ms, run.duration_s) == (320.0, 12.1, 29.9)
    assert (run.model, run.date, run.middle) == ("meta-llama/Llama-3.1-8B-Instruct", "20260617-164242", "median")
    assert run.notes == ()


def test_vllm_of_older_versions_and_a_rate() -> None:
    (run,) = read_results(content(VLLM_OLD)).runs
    assert (run.rate_per_s, run.clients) == (4.0, None)
    assert (run.prompt_tokens, run.output_tokens) == (215.0, 195.0)


def test_percentiles_and_metrics_that_were_not_asked_for_are_done_without() -> None:
    bare = {k: v for k, v in VLLM.items() if "tpot" not in k and "median" not in k}
    (run,) = read_results(content({**bare, "p50_ttft_ms": 117.0, "p95_ttft_ms": 200.0})).runs
    assert (run.ttft_ms, run.tpot_ms, run.middle) == (117.0, 11.4, "median")
    (run,) = read_results(content(bare)).runs
    assert (run.ttft_ms, run.middle) == (131.2, "mean")


def test_json_lines_lists_and_several_files() -> None:
    other = {**VLLM, "max_concurrency": 32, "num_prompts": 320, "completed": 320}
    assert [run.clients for run in read_results(content(VLLM, other)).runs] == [16, 32]
    assert [run.clients for run in read_results(json.dumps([VLLM, other], indent=1).encode()).runs] == [16, 32]
    found = read_all([("a.json", content(VLLM)), ("b.log", LOG_V1.encode()), ("c.txt", b"hello")])
    assert (len(found.runs), len(found.logs), len(found.left_out)) == (1, 1, 1)
    assert found.left_out[0].startswith("c.txt: 'this text' is not allowed")


def test_failed_and_missing_requests_are_said() -> None:
    assert read_results(content({**VLLM, "failed": 3})).runs[0].notes == ("3 requests failed",)
    assert "did not complete" in read_results(content({**VLLM, "completed": 150})).runs[0].notes[0]


def test_sglang() -> None:
    (run,) = read_results(content(SGLANG)).runs
    assert run.tool == "SGLang bench_serving"
    assert (run.rate_per_s, run.clients, run.requests) == (2.0, None, 600)
    assert (run.prompt_tokens, run.ttft_ms, run.tpot_ms) == (1024.0, 71.0, 11.5)
    fast = read_results(content({**SGLANG, "accept_length": 2.4})).runs[0]
    assert "speculative decoding gained 2.40 tokens a pass" in fast.notes


def test_guidellm_of_both_layouts() -> None:
    found = read_results(content(GUIDELLM_NEW))
    first, second = found.runs
    assert (first.tool, first.clients, first.rate_per_s, first.requests) == ("GuideLLM 0.5.3", 8, None, 80)
    assert (first.prompt_tokens, first.output_tokens, first.model) == (1000.0, 500.0, "deepseek-ai/DeepSeek-R1")
    assert (first.ttft_ms, first.tpot_ms, first.ttft_p99_ms) == (66.0, 20.9, 140.0)
    assert (first.output_tokens_per_s, first.requests_per_s) == (375.0, 0.75)
    assert first.notes == ("2 requests failed",)
    assert second.rate_per_s == 0.75
    assert "evenly spaced" in second.notes[1]
    assert found.left_out == ("1 runs without their load, lengths or times",)
    (old,) = read_results(content(GUIDELLM_OLD)).runs
    assert (old.clients, old.model, old.label) == (1, "Qwen/Qwen3-32B", "synchronous")


def test_aiperf_and_genai_perf() -> None:
    (run,) = read_results(content(AIPERF)).runs
    assert (run.clients, run.requests, run.model) == (32, 256, "Qwen/Qwen3-32B")
    assert (run.ttft_ms, run.tpot_ms, run.output_tokens, run.middle) == (386.0, 29.1, 126.5, "median")
    (run,) = read_results(content(GENAI_PERF)).runs
    assert (run.clients, run.ttft_ms, run.middle, run.model) == (16, 300.0, "mean", "gpt2")
    seconds = {**AIPERF, "time_to_first_token": {"avg": 0.54, "unit": "s"}}
    assert read_results(content(seconds)).runs[0].ttft_ms == pytest.approx(540.0)


def test_start_up_log_of_v1_takes_the_fullest_rank() -> None:
    (log,) = read_results(LOG_V1.encode()).logs
    assert (log.version, log.model) == ("0.11.0", "meta-llama/Llama-3.1-8B-Instruct")
    assert (log.weights_gib, log.kv_gib, log.kv_tokens) == (7.5125, 58.1, 1_903_000)
    assert (log.tensor_parallel, log.pipeline_parallel, log.data_parallel, log.ranks) == (2, 1, 1, 2)
    assert (log.utilization, log.batched_tokens, log.sequences, log.context_tokens) == (0.85, 2048, 256, 65_536)
    assert (log.graphs_gib, log.max_concurrency, log.startup_s) == (0.56, 29.04, 30.21)
    assert (log.kv_format, log.dtype, log.quantization) == ("fp8_e4m3", "bfloat16", None)


def test_start_up_log_of_v0_counts_blocks() -> None:
    (log,) = read_results(LOG_V0.encode()).logs
    assert (log.version, log.weights_gib, log.kv_gib) == ("0.7.3", 2.88, 15.52)
    assert (log.activation_gib, log.non_torch_gib, log.utilization) == (1.40, 0.05, 0.9)
    assert log.kv_tokens == 36_332 * 16
    assert "16" in log.notes[0]


def test_of_several_starts_the_last_counts() -> None:
    (log,) = read_results((LOG_V1 + LOG_V0).encode()).logs
    assert (log.version, log.kv_gib) == ("0.7.3", 15.52)
    assert "several starts" in log.notes[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "this text"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"{}", "empty object"),
        (b"{", "JSON"),
        (b'{"benchmarks": []}', "benchmarks"),
        (content({**VLLM, "median_ttft_ms": "fast"}), "median_ttft_ms"),
        (content({**VLLM, "max_concurrency": -1}), "max_concurrency"),
        (content({**VLLM, "median_ttft_ms": True}), "median_ttft_ms"),
        (b'{"request_throughput": 1e999, "output_throughput": 2}', "request_throughput"),
        (b"[" * 100_000, "JSON"),
        (b"[" + b"9" * 100_000 + b"]", "JSON"),
        (b"INFO Available KV cache memory: -0.94 GiB", "no memory left"),
        (b"INFO KV cache is fine", "no memory in it"),
    ],
)
def test_what_cannot_be_used_gives_one_sentence(given: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read_results(given, "mine.json")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_files_too_large_are_refused_before_they_are_read() -> None:
    with pytest.raises(InputError, match="at most 20,000,000 bytes"):
        read_results(b" " * 20_000_001)
    with pytest.raises(InputError, match="its start is enough"):
        read_results(b"KV cache\n" * 500_000)
