"""Results with one object a run: `vllm bench serve` (and the older benchmark_serving.py) and SGLang's bench_serving.

Sources of the formats, read 2026-11-25: vLLM, vllm/benchmarks/serve.py (0.10 to 0.31; `--save-result`, `--append-result`,
`--percentile-metrics`, `--metric-percentiles`, `--goodput`) and benchmarks/benchmark_serving.py (0.2 to 0.9); SGLang,
python/sglang/bench_serving.py (0.3 to 0.5, a line a run).
"""

from __future__ import annotations

from collections.abc import Mapping

from sizing.llm.results.records import MAX_RATE_PER_S, MAX_TIME_MS, ServingRun, number, positive, text, whole

SGLANG_MARKS = ("total_output_tokens_retokenized", "sharegpt_output_len", "random_range_ratio", "accept_length")
"""Keys that only SGLang writes."""
MARKS = ("request_throughput", "output_throughput", "mean_ttft_ms", "median_ttft_ms", "total_output_tokens")
"""Keys of which such a result has at least two."""


def is_flat(values: Mapping[str, object]) -> bool:
    """Whether an object is such a result."""
    return sum(name in values for name in MARKS) >= 2


def rate_of(values: Mapping[str, object]) -> float | None:
    """Requests per second that were asked for [1/s]; None where they were not spaced ("inf"). Raises InputError for other texts."""
    stated = values.get("request_rate")
    if isinstance(stated, str) and stated.strip().lower() in ("inf", "infinity", "trace", ""):
        return None
    if isinstance(stated, float) and stated == float("inf"):
        return None
    return positive(values, "request_rate", most=MAX_RATE_PER_S)


def read_flat(values: Mapping[str, object]) -> ServingRun:
    """One run. Raises InputError for a figure that is none."""
    is_sglang = any(name in values for name in SGLANG_MARKS)
    completed = whole(values, "completed", "successful_requests") or whole(values, "num_prompts")
    notes: list[str] = []
    failed = number(values, "failed", "num_failed") or 0.0
    if failed:
        notes.append(f"{failed:,.0f} requests failed")
    asked = whole(values, "num_prompts")
    if asked is not None and completed is not None and completed < asked and not failed:
        notes.append(f"{asked - completed:,} of {asked:,} requests did not complete")
    if (accepted := positive(values, "accept_length")) is not None and accepted > 1.05:
        notes.append(f"speculative decoding gained {accepted:.2f} tokens a pass")
    if values.get("ramp_up_strategy") is not None:
        notes.append("the rate was ramped up during the run")

    def mean_length(total: str, *stated: str) -> float | None:
        tokens = positive(values, total)
        return tokens / completed if tokens and completed else positive(values, *stated)

    def middle(name: str) -> float | None:
        return positive(values, f"median_{name}_ms", f"p50_{name}_ms", f"mean_{name}_ms", most=MAX_TIME_MS)

    has_median = any(values.get(f"{of}_ttft_ms") is not None for of in ("median", "p50"))
    return ServingRun(
        tool="SGLang bench_serving" if is_sglang else "vllm bench serve",
        label=text(values, "label", "tag", "backend", "endpoint_type") or "",
        model=text(values, "model_id", "model", "tokenizer_id"),
        date=text(values, "date"),
        rate_per_s=rate_of(values),
        clients=whole(values, "max_concurrency"),
        requests=completed,
        prompt_tokens=mean_length("total_input_tokens", "random_input_len", "input_len"),
        output_tokens=mean_length("total_output_tokens", "random_output_len", "output_len"),
        duration_s=positive(values, "duration", "benchmark_duration"),
        ttft_ms=middle("ttft"),
        # TPOT is the mean of a request; where a run leaves it out, the mean gap between tokens is the same figure.
        tpot_ms=middle("tpot") or positive(values, "mean_itl_ms", "median_itl_ms", most=MAX_TIME_MS),
        ttft_p99_ms=positive(values, "p99_ttft_ms", most=MAX_TIME_MS),
        tpot_p99_ms=positive(values, "p99_tpot_ms", most=MAX_TIME_MS),
        requests_per_s=positive(values, "request_throughput", most=MAX_RATE_PER_S),
        output_tokens_per_s=positive(values, "output_throughput", "output_token_throughput"),
        middle="median" if has_median else "mean",
        notes=tuple(notes),
    )
