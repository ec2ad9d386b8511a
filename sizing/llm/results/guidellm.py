"""GuideLLM's benchmark report (JSON): a list of benchmarks, each with the strategy of its load and distributions of its metrics.

Source, read 2026-11-25: vllm-project/guidellm, reports of 0.2 and 0.3 (strategy below `args`, figures below `successful`) and of 0.4 to
0.7 (strategy below `config`). `inter_token_latency_ms` is the time of a token after the first; `time_per_output_token_ms` counts the
first token too and is not used. `request_latency` is in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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

MAX_BENCHMARKS = 200
"""Most benchmarks read of one report [1]."""


def is_report(values: Mapping[str, object]) -> bool:
    """Whether an object is a report of GuideLLM."""
    found = values.get("benchmarks")
    return isinstance(found, list) and any(isinstance(b, Mapping) and "metrics" in b for b in found[:MAX_BENCHMARKS])


def read_report(values: Mapping[str, object]) -> list[ServingRun]:
    """Runs of a report. Raises InputError for a figure that is none."""
    found = values.get("benchmarks")
    benchmarks = found[:MAX_BENCHMARKS] if isinstance(found, Sequence) else []
    args = mapping(values, "args")
    model = text(args, "model") or text(mapping(args, "backend_kwargs"), "model")
    version = text(mapping(values, "metadata"), "guidellm_version")
    return [_run(one, model, version) for one in benchmarks if isinstance(one, Mapping) and "metrics" in one]


def _strategy(one: Mapping[str, object]) -> Mapping[str, object]:
    return (
        mapping(one, "config", "strategy") or mapping(one, "args", "strategy") or mapping(one, "scheduler", "strategy")
    )


def _load(strategy: Mapping[str, object]) -> tuple[str, int | None, float | None]:
    """Kind of load, clients and rate [1/s]; a throughput strategy sends all it may."""
    kind = text(strategy, "type_", "type", "kind") or ""
    if kind == "synchronous":
        return kind, 1, None
    if kind == "concurrent":
        return kind, whole(strategy, "streams", "max_concurrency"), None
    if kind in ("constant", "poisson", "async"):
        return kind, None, positive(strategy, "rate", most=MAX_RATE_PER_S)
    return kind, whole(strategy, "max_concurrency", "streams"), None


def _run(one: Mapping[str, object], model: str | None, version: str | None) -> ServingRun:
    metrics = mapping(one, "metrics")

    def summary(name: str) -> Mapping[str, object]:
        return mapping(metrics, name, "successful") or mapping(metrics, name, "total") or mapping(metrics, name)

    def figure(name: str, of: str, most: float) -> float | None:
        at = summary(name)
        return positive(at, of, most=most) or positive(
            mapping(at, "percentiles"), "p50" if of == "median" else of, most=most
        )

    def tokens(*names: str) -> float | None:
        return next((v for name in names if (v := positive(summary(name), "mean")) is not None), None)

    kind, clients, rate = _load(_strategy(one))
    notes = []
    totals = (
        mapping(metrics, "request_totals")
        or mapping(one, "request_totals")
        or mapping(one, "run_stats", "requests_made")
    )
    failed = number(totals, "errored") or 0.0
    if failed:
        notes.append(f"{failed:,.0f} requests failed")
    if kind == "constant":
        notes.append("evenly spaced requests, which wait less than random ones")
    if kind == "throughput":
        notes.append("all requests at once")
    ttft, itl = "time_to_first_token_ms", "inter_token_latency_ms"
    has_median = figure(ttft, "median", MAX_TIME_MS) is not None
    middle = "median" if has_median else "mean"
    return ServingRun(
        tool=f"GuideLLM {version}" if version else "GuideLLM",
        label=kind,
        model=text(mapping(one, "config", "backend"), "model")
        or text(mapping(one, "worker"), "backend_model")
        or model,
        rate_per_s=rate,
        clients=clients,
        requests=whole(totals, "successful", "total"),
        prompt_tokens=tokens("prompt_token_count", "prompt_tokens"),
        output_tokens=tokens("output_token_count", "output_tokens"),
        duration_s=positive(one, "duration"),
        ttft_ms=figure(ttft, middle, MAX_TIME_MS),
        tpot_ms=figure(itl, middle, MAX_TIME_MS),
        ttft_p99_ms=figure(ttft, "p99", MAX_TIME_MS),
        tpot_p99_ms=figure(itl, "p99", MAX_TIME_MS),
        requests_per_s=figure("requests_per_second", "mean", MAX_RATE_PER_S),
        output_tokens_per_s=figure("output_tokens_per_second", "mean", 1e9),
        middle=middle,
        notes=tuple(notes),
    )
