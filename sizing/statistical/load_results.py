"""Results of a load test as records: from Locust and the generated Locust file (CSV), k6 and SageMaker Inference Recommender (JSON).

Only numbers are taken from a file. A file that cannot be used gives one sentence with the line or key, the value and what is allowed.

Sources of the formats: locust/stats.py of Locust 2.47; k6 documentation of handleSummary and of --summary-export; the SageMaker API's
DescribeInferenceRecommendationsJob and the examples of its guide.
"""

from __future__ import annotations

import json
import math
from typing import Any

from sizing.errors import InputError
from sizing.statistical.load_records import MAX_COUNT, MAX_RATE_PER_S, MAX_TIME_MS, LoadRecord, LoadResults, number
from sizing.statistical.load_results_csv import read_csv

MAX_BYTES = 2_000_000
"""Largest file read [bytes]: Locust's history of an hour is 0.5 MB."""

MAX_RECORDS = 60
"""Most loads kept of one file [1]."""

IN_FLIGHT = (0.2, 200.0)
"""Requests in flight [1] that a Recommender job may have had on one instance, for telling milliseconds from microseconds."""

ALL_BUSY = 0.7
"""Share of k6's virtual users in flight [1] from which they are taken to loop without a pause."""


def read_load_results(content: bytes) -> LoadResults:
    """Records of a result file. Raises InputError, which names line or key, value and what is allowed.

    >>> text = '{"metrics": {"http_req_duration": {"avg": 4.0, "med": 3.5, "p(95)": 8.0}, "http_reqs": {"count": 600, "rate": 10.0}}}'
    >>> [(r.mean_ms, r.p95_ms, r.requests_per_s) for r in read_load_results(text.encode()).records]
    [(4.0, 8.0, 10.0)]
    """
    if len(content) > MAX_BYTES:
        raise InputError("file", f"{len(content):,} bytes", f"at most {MAX_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("file", "this file", "a CSV of Locust or a JSON of k6 or SageMaker, in UTF-8") from None
    found = _read_json(text) if text.lstrip()[:1] in ("{", "[") else read_csv(text)
    usable = [record for record in found.records if record.has_times]
    if not usable:
        raise InputError("file", "no load with a time", "at least one load with answered requests and their times")
    left_out = list(found.left_out)
    if len(usable) > MAX_RECORDS:
        left_out.append(f"{len(usable) - MAX_RECORDS:,} more loads: {MAX_RECORDS} are kept")
    return LoadResults(found.tool, tuple(usable[:MAX_RECORDS]), tuple(left_out))


def _read_json(text: str) -> LoadResults:
    try:
        data = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise InputError("file", "this file", "JSON that can be read (k6 or SageMaker Inference Recommender)") from None
    if isinstance(data, dict) and isinstance(data.get("metrics"), dict):
        return _k6(data)
    if isinstance(data, dict) and ("InferenceRecommendations" in data or "EndpointPerformances" in data):
        return _recommender(data)
    raise InputError(
        "file",
        "JSON without these keys",
        "metrics (k6: handleSummary or --summary-export) or InferenceRecommendations (describe-inference-recommendations-job)",
    )


def _values(metrics: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Values of a k6 metric: below `values` in handleSummary's data, at once in --summary-export."""
    metric = metrics.get(name)
    if not isinstance(metric, dict):
        return None
    inner = metric.get("values")
    return inner if isinstance(inner, dict) else metric


def _k6(data: dict[str, Any]) -> LoadResults:
    metrics = data["metrics"]
    ours = data.get("sizing")
    drops = _values(metrics, "dropped_iterations") or {}
    dropped = int(number("dropped_iterations", drops.get("count", 0), low=0, high=MAX_COUNT))
    if not isinstance(ours, dict):
        if _values(metrics, "http_req_duration") is None:
            raise InputError("metrics", "no http_req_duration", "the summary of a k6 run with HTTP requests")
        return LoadResults("k6", (_k6_record(metrics, "", "all requests", dropped, None, {}),))
    loads = ours.get("loads")
    if not isinstance(loads, list) or not all(isinstance(load, dict) for load in loads) or len(loads) > MAX_RECORDS:
        raise InputError(
            "sizing.loads", loads, f"the list of at most {MAX_RECORDS} loads that the generated script writes"
        )
    records = []
    for load in loads:
        name = str(load.get("name"))
        if name == "warm_up" or _values(metrics, f"http_req_duration{{scenario:{name}}}") is None:
            continue
        rate = number("sizing.loads.rate", load.get("rate"), low=0.0, high=MAX_RATE_PER_S)
        records.append(_k6_record(metrics, f"{{scenario:{name}}}", f"{name}: {rate:g}/s", dropped, rate, ours))
    return LoadResults("k6", tuple(records))


def _k6_record(
    metrics: dict[str, Any], tag: str, label: str, dropped: int, rate: float | None, ours: dict[str, Any]
) -> LoadRecord:
    times = _values(metrics, f"http_req_duration{tag}") or {}
    counts = _values(metrics, f"http_reqs{tag}") or {}
    failed = _values(metrics, f"http_req_failed{tag}") or {}

    def ms(key: str) -> float | None:
        value = times.get(key)
        return None if value is None else number(f"http_req_duration.{key}", value, low=0.0, high=MAX_TIME_MS)

    count = None if counts.get("count") is None else number("http_reqs.count", counts["count"], low=0, high=MAX_COUNT)
    seen = None if counts.get("rate") is None else number("http_reqs.rate", counts["rate"], low=0, high=MAX_RATE_PER_S)
    share = failed.get("rate", failed.get("value"))
    wrong = 0.0 if share is None else number("http_req_failed", share, low=0.0, high=1.0)
    some = count is None or count > 0
    most = _values(metrics, "vus_max") or {}
    vus = most.get("max", most.get("value"))
    users = None if vus is None or rate is not None else int(number("vus_max", vus, low=0, high=1e6)) or None
    mean = ms("avg") if some else None
    # Users without a pause are all in flight (Little's law); with an arrival rate most of them wait for work.
    busy = users is not None and bool(seen) and bool(mean) and (seen or 0.0) * (mean or 0.0) / 1000.0 > ALL_BUSY * users
    return LoadRecord(
        label=label,
        tool="k6",
        loop="open" if rate is not None else "closed" if busy else "unknown",
        users=users,
        requests=None if count is None else int(count),
        failures=round(wrong * (count or 0)),
        requests_per_s=rate if rate is not None else seen,
        offered_per_s=rate,
        mean_ms=mean,
        p50_ms=(ms("med") if times.get("med") is not None else ms("p(50)")) if some else None,
        p95_ms=ms("p(95)") if some else None,
        p99_ms=ms("p(99)") if some else None,
        evenly_spaced=rate is None and not busy,
        dropped=dropped,
        rows=_count(ours, "rows"),
        instance=str(ours["instance"])[:100] if isinstance(ours.get("instance"), str) else None,
        instances=_count(ours, "instances"),
        workers=_count(ours, "workers"),
    )


def _count(data: dict[str, Any], key: str) -> int | None:
    """A whole number of 1 or more [1], None where it is not given."""
    return None if data.get(key) is None else int(number(f"sizing.{key}", data[key], low=1, high=1_000_000))


def _recommender(data: dict[str, Any]) -> LoadResults:
    records, left_out = [], []
    for key in ("InferenceRecommendations", "EndpointPerformances"):
        entries = data.get(key) or []
        if not isinstance(entries, list) or len(entries) > 1000:
            raise InputError(key, "this value", "a list of at most 1,000 recommendations")
        for position, entry in enumerate(entries):
            where = f"{key}[{position}]"
            metrics = entry.get("Metrics") if isinstance(entry, dict) else None
            if not isinstance(metrics, dict):
                raise InputError(where, "no Metrics", "Metrics with ModelLatency and MaxInvocations")
            most = metrics.get("MaxInvocations", metrics.get("MaximumInvocations"))
            if most in (None, 0) or metrics.get("ModelLatency") in (None, 0):
                left_out.append(f"{where}: no ModelLatency or no MaxInvocations")
                continue
            records.append(_recommended(where, entry, metrics, most))
    if not records and not left_out:
        raise InputError("InferenceRecommendations", "empty", "a completed job with at least one recommendation")
    return LoadResults("recommender", tuple(records), tuple(left_out))


def _recommended(where: str, entry: dict[str, Any], metrics: dict[str, Any], most: object) -> LoadRecord:
    endpoint = entry.get("EndpointConfiguration") or entry.get("EndpointInfo") or {}
    endpoint = endpoint if isinstance(endpoint, dict) else {}
    per_minute = number(f"{where}.MaxInvocations", most, low=1e-3, high=MAX_RATE_PER_S * 60)
    latency = number(f"{where}.ModelLatency", metrics["ModelLatency"], low=1e-6, high=1e12)
    given = endpoint.get("InitialInstanceCount")
    instances = 1 if given is None else int(number(f"{where}.InitialInstanceCount", given, low=1, high=10_000))
    mean_ms, note = latency_ms(latency, per_minute / 60.0 / instances)
    kind = endpoint.get("InstanceType")

    def optional(key: str, high: float) -> float | None:
        value = metrics.get(key)
        return None if value is None else number(f"{where}.{key}", value, low=0.0, high=high)

    return LoadRecord(
        label=f"{kind[:60] if isinstance(kind, str) else 'endpoint'}, {per_minute:,.0f} invocations a minute",
        tool="recommender",
        loop="closed",
        requests_per_s=per_minute / 60.0,
        users=max(1, round(per_minute / 60.0 * mean_ms / 1000.0)),
        mean_ms=mean_ms,
        instance=kind[:100] if isinstance(kind, str) else None,
        instances=instances,
        usd_per_hour=optional("CostPerHour", 1e6),
        usd_per_inference=optional("CostPerInference", 1e6),
        cpu_percent=optional("CpuUtilization", 1e5),
        memory_percent=optional("MemoryUtilization", 1e5),
        note=note,
    )


def latency_ms(model_latency: float, per_instance_per_s: float) -> tuple[float, str]:
    """ModelLatency of a Recommender job in ms, and why it is taken so.

    The guide says milliseconds; the guide's own example (648 invocations a minute, ModelLatency 263596) and the metric of the
    same name in CloudWatch are microseconds. Rate x latency is the number of requests in flight (Little's law); the unit is the
    one that makes it nearer to what a load test of one instance has, 0.2 to 200.

    >>> latency_ms(263596, 10.8)[0], latency_ms(12.0, 100.0)[0]
    (263.596, 12.0)
    """
    middle = math.sqrt(IN_FLIGHT[0] * IN_FLIGHT[1])

    def distance(ms: float) -> float:
        return abs(math.log(per_instance_per_s * ms / 1000.0 / middle))

    as_ms = distance(model_latency) <= distance(model_latency / 1000.0)
    ms = model_latency if as_ms else model_latency / 1000.0
    flight = per_instance_per_s * ms / 1000.0
    unit = "milliseconds" if as_ms else "microseconds"
    return ms, (
        f"ModelLatency {model_latency:g} is taken as {unit}: {per_instance_per_s:.3g} requests/s then have {flight:.2g} in flight "
        "on an instance."
    )
