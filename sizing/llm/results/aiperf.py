"""NVIDIA's AIPerf and genai-perf: the summary of one run (profile_export_aiperf.json, profile_export_genai_perf.json).

Source, read 2026-11-25: the JSON export schema of AIPerf 0.5 to 0.13 (docs.nvidia.com/aiperf/reference/json-export-schema): a block of
`avg`, `p50`, `p99`, ... with its `unit` for each metric, and the settings below `input_config`; genai-perf writes the same blocks.
`inter_token_latency` is the time of a token after the first.
"""

from __future__ import annotations

from collections.abc import Mapping

from sizing.llm.results.records import (
    MAX_RATE_PER_S,
    MAX_TIME_MS,
    ServingRun,
    mapping,
    number,
    positive,
    text,
    whole,
)

UNITS_MS = {"ms": 1.0, "s": 1000.0, "sec": 1000.0, "us": 0.001, "ns": 1e-6}
"""Milliseconds of a unit of time; where none is stated, milliseconds."""


def is_summary(values: Mapping[str, object]) -> bool:
    """Whether an object is such a summary."""
    return "avg" in mapping(values, "time_to_first_token") and "request_throughput" in values


def read_summary(values: Mapping[str, object]) -> ServingRun:
    """The run of a summary. Raises InputError for a figure that is none."""
    config = mapping(values, "input_config")
    loadgen = mapping(config, "loadgen")
    settings = {**{k: _one(v) for k, v in config.items()}, **{k: _one(v) for k, v in loadgen.items()}}
    names = mapping(config, "endpoint").get("model_names")
    model = _one(names) if names is not None else settings.get("model")
    failed = number(mapping(values, "error_request_count"), "avg") or 0.0

    def time_ms(name: str, of: str) -> float | None:
        block = mapping(values, name)
        value = positive(block, of, most=MAX_TIME_MS * 1e6)
        unit = text(block, "unit") or "ms"
        return None if value is None else value * UNITS_MS.get(unit, 1.0)

    def average(name: str, most: float = 1e9) -> float | None:
        return positive(mapping(values, name), "avg", most=most)

    has_median = mapping(values, "time_to_first_token").get("p50") is not None
    middle = "p50" if has_median else "avg"
    count = average("request_count")
    return ServingRun(
        tool="AIPerf" if "aiperf_version" in values else "genai-perf or AIPerf",
        label="",
        model=model[:200] if isinstance(model, str) else None,
        date=text(values, "start_time"),
        rate_per_s=positive(settings, "request_rate", most=MAX_RATE_PER_S),
        clients=whole(settings, "concurrency"),
        requests=None if count is None else round(count),
        prompt_tokens=average("input_sequence_length"),
        output_tokens=average("output_sequence_length") or average("output_token_count"),
        duration_s=average("benchmark_duration"),
        ttft_ms=time_ms("time_to_first_token", middle),
        tpot_ms=time_ms("inter_token_latency", middle) or time_ms("inter_token_latency", "avg"),
        ttft_p99_ms=time_ms("time_to_first_token", "p99"),
        tpot_p99_ms=time_ms("inter_token_latency", "p99"),
        requests_per_s=average("request_throughput", MAX_RATE_PER_S),
        output_tokens_per_s=average("output_token_throughput"),
        middle="median" if has_median else "mean",
        notes=(f"{failed:,.0f} requests failed",) if failed else (),
    )


def _one(value: object) -> object:
    """The first of a list; what is none, as it is."""
    if isinstance(value, list):
        return value[0] if value else None
    return value
