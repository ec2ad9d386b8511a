"""Result files written by hand in the published formats, and files that are not what they say."""

from __future__ import annotations

import json

import pytest

from sizing.errors import InputError
from sizing.statistical.load_results import MAX_BYTES, latency_ms, read_load_results

STATS_HEADER = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,Max Response Time,"
    "Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%\n"
)
STATS = STATS_HEADER + (
    "POST,/predict,6000,12,4,5.25,1.9,88.1,24.0,100.2,0.2,4,5,6,7,9,12,18,25,60,88,88\n"
    ",Aggregated,6000,12,4,5.25,1.9,88.1,24.0,100.2,0.2,4,5,6,7,9,12,18,25,60,88,88\n"
)
OURS = STATS_HEADER + (
    "POST,load 1: 54.8/s,2192,0,7,8.08,4.1,40.0,24.0,18.2,0.0,7,8,9,10,12,14,18,20,30,40,40\n"
    "POST,load 2: 91.4/s,3657,0,7,8.50,4.0,45.0,24.0,30.4,0.0,7,9,10,11,13,16,20,23,35,45,45\n"
    "POST,warm-up,274,0,7,9.80,4.0,90.0,24.0,2.3,0.0,7,9,10,11,13,16,20,80,90,90,90\n"
    ",Aggregated,6123,0,7,8.41,4.0,90.0,24.0,50.9,0.0,7,9,10,11,13,16,20,23,35,90,90\n"
)
HISTORY_HEADER = (
    "Timestamp,User Count,Type,Name,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%,"
    "Total Request Count,Total Failure Count,Total Median Response Time,Total Average Response Time,Total Min Response Time,"
    "Total Max Response Time,Total Average Content Size\n"
)


def history_row(at: int, users: int, total: int, mean: float, p50: str = "10", p99: str = "30") -> str:
    middle = f"{p50},11,12,13,15,20,25,{p99},40,50,50" if p50 != "N/A" else ",".join(["N/A"] * 11)
    return f"{at},{users},,Aggregated,5.000000,0.000000,{middle},{total},0,10,{mean},1,50,24.0\n"


OPEN_LOOP = (
    "Load,Offered Requests/s,Seconds,Sent,Answered,Failed,Unanswered,Mean (ms),50% (ms),90% (ms),95% (ms),99% (ms),99.9% (ms),"
    "Max (ms),Late 50% (ms),Late 99% (ms),Rows,Instance,Instances,Workers\n"
    "1,100.0,60.0,6060,6050,7,3,3.1500,2.4000,4.4000,6.6000,9.9000,12.0,14.0,0.0200,0.1100,8,aws-c7i-large,2,1\n"
)
K6 = {
    "metrics": {
        "http_req_duration": {
            "type": "trend",
            "contains": "time",
            "values": {"avg": 4.5, "min": 1.0, "med": 4.0, "max": 80.0, "p(90)": 7.0, "p(95)": 9.0, "p(99)": 20.0},
            "thresholds": {"p(99)<20": {"ok": False}},
        },
        "http_reqs": {"type": "counter", "contains": "default", "values": {"count": 6000, "rate": 99.5}},
        "http_req_failed": {
            "type": "rate",
            "contains": "default",
            "values": {"rate": 0.01, "passes": 60, "fails": 5940},
        },
        "dropped_iterations": {"type": "counter", "contains": "default", "values": {"count": 17, "rate": 0.3}},
        "vus_max": {"type": "gauge", "contains": "default", "values": {"value": 50, "min": 50, "max": 50}},
    },
    "root_group": {"name": "", "path": "", "id": "d41d8cd98f00b204e9800998ecf8427e", "groups": [], "checks": []},
    "state": {"isStdOutTTY": True, "testRunDurationMs": 60300.0},
}
GUIDE = {
    "JobName": "job-name",
    "JobType": "Default",
    "Status": "COMPLETED",
    "InferenceRecommendations": [
        {
            "Metrics": {
                "CostPerHour": 0.20399999618530273,
                "CostPerInference": 5.246913588052848e-06,
                "MaximumInvocations": 648,
                "ModelLatency": 263596,
            },
            "EndpointConfiguration": {
                "EndpointName": "endpoint-name",
                "VariantName": "variant-name",
                "InstanceType": "ml.c5.xlarge",
                "InitialInstanceCount": 1,
            },
            "ModelConfiguration": {"Compiled": False, "EnvironmentParameters": []},
        }
    ],
}
"""The example of the Inference Recommender guide (aws docs, instance recommendation)."""


def test_stats_of_locust() -> None:
    found = read_load_results(STATS.encode())
    assert found.tool == "locust"
    (one,) = found.records
    assert (one.requests, one.failures, one.requests_per_s) == (6000, 12, 100.2)
    assert (one.mean_ms, one.p50_ms, one.p95_ms, one.p99_ms) == (5.25, 4.0, 12.0, 25.0)
    assert one.rounded
    assert one.loop == "unknown"


def test_stats_of_the_generated_file_have_a_load_a_row_and_no_warm_up() -> None:
    found = read_load_results(OURS.encode())
    assert [r.requests_per_s for r in found.records] == [54.8, 91.4]
    assert [r.requests for r in found.records] == [2192, 3657]
    assert {r.loop for r in found.records} == {"open"}


def test_stats_with_the_aggregate_alone() -> None:
    alone = STATS_HEADER + STATS.splitlines()[-1] + "\n"
    assert read_load_results(alone.encode()).records[0].mean_ms == 5.25


def test_history_gives_a_record_for_each_number_of_users() -> None:
    """10 users for 40 s: 400 requests of 10 ms after the window; then 20 users at 14 ms: totals take the mean apart."""
    text = HISTORY_HEADER + history_row(1000, 0, 0, 0.0, "N/A")
    text += "".join(history_row(1001 + s, 10, 10 * (s + 1), 10.0) for s in range(40))
    # After the switch 20 requests a second of 14 ms each are added to 400 of 10 ms.
    rows = [(20 * (s + 1), s) for s in range(40)]
    text += "".join(
        history_row(1041 + s, 20, 400 + n, (400 * 10.0 + n * 14.0) / (400 + n), "14", "44") for n, s in rows
    )
    first, second = read_load_results(text.encode()).records
    assert (first.users, first.requests, first.requests_per_s) == (10, 290, 10.0)
    assert first.mean_ms == pytest.approx(10.0)
    assert (second.users, second.requests, second.requests_per_s) == (20, 580, 20.0)
    assert second.mean_ms == pytest.approx(14.0)
    assert second.p50_ms is None  # Locust's percentiles are of all requests so far, of both loads
    assert first.think_ms == pytest.approx(990.0)  # 10 users / 10 per s - 10 ms


def test_result_of_the_generated_file() -> None:
    (one,) = read_load_results(OPEN_LOOP.encode()).records
    assert (one.requests, one.failures, one.dropped) == (6050, 7, 3)
    assert one.requests_per_s == 101.0  # what arrived: 6,060 in 60 s
    assert one.offered_per_s == 100.0
    assert (one.rows, one.instance, one.instances, one.workers) == (8, "aws-c7i-large", 2, 1)
    assert one.late_p99_ms == 0.11


def test_k6_of_handle_summary() -> None:
    (one,) = read_load_results(json.dumps(K6).encode()).records
    assert (one.mean_ms, one.p50_ms, one.p95_ms, one.p99_ms) == (4.5, 4.0, 9.0, 20.0)
    assert (one.requests, one.failures, one.dropped, one.requests_per_s) == (6000, 60, 17, 99.5)
    assert one.evenly_spaced
    assert one.loop == "unknown"


def test_k6_of_summary_export() -> None:
    flat = {
        "root_group": {},
        "metrics": {
            "http_req_duration": {"avg": 480.0, "min": 1.0, "med": 470.0, "max": 900.0, "p(90)": 500.0, "p(95)": 510.0},
            "http_reqs": {"count": 6000, "rate": 100.0},
            "http_req_failed": {"passes": 0, "fails": 6000, "value": 0, "thresholds": {"rate<0.01": False}},
            "vus_max": {"value": 50, "min": 50, "max": 50},
        },
    }
    (one,) = read_load_results(json.dumps(flat).encode()).records
    assert (one.mean_ms, one.p95_ms, one.p99_ms, one.requests, one.failures) == (480.0, 510.0, None, 6000, 0)
    # 100/s x 480 ms = 48 of 50 users in flight: they wait for replies without a pause.
    assert (one.loop, one.users, one.evenly_spaced) == ("closed", 50, False)


def test_k6_of_the_generated_script_has_its_loads_apart() -> None:
    tagged = {"avg": 3.0, "med": 2.5, "p(90)": 4.0, "p(95)": 5.0, "p(99)": 9.0, "count": 3000}
    whole = {
        **K6,
        "metrics": {
            **K6["metrics"],
            "http_req_duration{scenario:load_1}": {"values": tagged},
            "http_reqs{scenario:load_1}": {"values": {"count": 3000, "rate": 42.0}},
            "http_req_failed{scenario:load_1}": {"values": {"rate": 0, "passes": 0, "fails": 3000}},
        },
        "sizing": {
            "loads": [{"name": "warm_up", "rate": 50, "seconds": 10}, {"name": "load_1", "rate": 50, "seconds": 60}],
            "rows": 4, "instance": "aws-c7i-large", "instances": 3, "workers": 2,
        },
    }  # fmt: skip
    (one,) = read_load_results(json.dumps(whole).encode()).records
    # k6 spreads a count over the whole run; the rate is that of the load.
    assert (one.requests_per_s, one.requests, one.p99_ms, one.loop) == (50.0, 3000, 9.0, "open")
    assert (one.rows, one.instance, one.instances, one.workers, one.evenly_spaced) == (4, "aws-c7i-large", 3, 2, False)


def test_recommender_job_of_the_guide_is_in_microseconds() -> None:
    (one,) = read_load_results(json.dumps(GUIDE).encode()).records
    assert one.mean_ms == pytest.approx(263.596)
    assert one.requests_per_s == pytest.approx(10.8)
    assert one.users == 3  # 10.8/s x 0.2636 s = 2.85 in flight
    assert one.loop == "closed"
    assert one.instance == "ml.c5.xlarge"
    assert one.usd_per_inference == pytest.approx(one.usd_per_hour / 648 / 60, rel=1e-3)
    assert "microseconds" in (one.note or "")


def test_recommender_job_in_milliseconds_with_what_is_missing() -> None:
    entry = {
        "Metrics": {
            "CostPerHour": 0.23, "CostPerInference": 6.4e-7, "MaxInvocations": 6000, "ModelLatency": 12,
            "CpuUtilization": float("nan"), "MemoryUtilization": 21.5,
        },
        "EndpointConfiguration": {"InstanceType": "ml.c5.xlarge", "InitialInstanceCount": 1},
    }  # fmt: skip
    empty = {"Metrics": {"CostPerHour": 1.0}, "EndpointConfiguration": {"InstanceType": "ml.m5.large"}}
    found = read_load_results(json.dumps({"InferenceRecommendations": [entry, empty]}).encode())
    (one,) = found.records
    assert one.mean_ms == 12.0
    assert (one.cpu_percent, one.memory_percent) == (None, 21.5)
    assert "milliseconds" in (one.note or "")
    assert "no ModelLatency" in found.left_out[0]


def test_performance_of_an_endpoint() -> None:
    job = {
        "EndpointPerformances": [
            {"Metrics": {"MaxInvocations": 600, "ModelLatency": 40}, "EndpointInfo": {"EndpointName": "mine"}}
        ]
    }
    assert read_load_results(json.dumps(job).encode()).records[0].requests_per_s == 10.0


@pytest.mark.parametrize(
    ("value", "per_s", "ms"), [(263596, 10.8, 263.596), (100000, 18.55, 100.0), (12, 100, 12.0), (900, 3, 900.0)]
)
def test_unit_of_model_latency_follows_from_what_is_in_flight(value: float, per_s: float, ms: float) -> None:
    assert latency_ms(value, per_s)[0] == pytest.approx(ms)


deep = "[" * 100_000
HOSTILE = {
    "nothing": b"",
    "not text": b"\xff\xfe\x00\x01",
    "huge": b"x" * (MAX_BYTES + 1),
    "another csv": b"a,b\n1,2\n",
    "a header alone": STATS_HEADER.encode(),
    "missing columns": b"Type,Name,Request Count\nPOST,/p,5\n",
    "a short row": (STATS_HEADER + "POST,/predict,6000\n").encode(),
    "a column twice": STATS.replace("Failures/s", "Requests/s").encode(),
    "NaN": STATS.replace("5.25", "nan").encode(),
    "infinite": STATS.replace("5.25", "inf").encode(),
    "negative": STATS.replace("5.25", "-5.25").encode(),
    "words": STATS.replace("5.25", "<script>").encode(),
    "a huge number": STATS.replace("6000", "9" * 400).encode(),
    "no request": STATS.replace("6000", "0").encode(),
    "an open quote": (STATS_HEADER + '"POST,/predict\n').encode(),
    "too many rows": (OPEN_LOOP + "1\n" * 30_000).encode(),
    "negative in ours": OPEN_LOOP.replace("3.1500", "-1").encode(),
    "no seconds": OPEN_LOOP.replace("60.0", "0").encode(),
    "deep JSON": deep.encode(),
    "deep object": ('{"a":' * 100_000).encode(),
    "cut JSON": json.dumps(K6)[:-5].encode(),
    "a huge integer": b'{"metrics": {"http_req_duration": {"avg": 1' + b"0" * 5000 + b"}}}",
    "a list": b"[1, 2]",
    "other JSON": b'{"hello": "world"}',
    "no durations": b'{"metrics": {"http_reqs": {"count": 5, "rate": 1}}}',
    "durations of text": b'{"metrics": {"http_req_duration": {"avg": "fast"}, "http_reqs": {"count": 5, "rate": 1}}}',
    "durations that are true": b'{"metrics": {"http_req_duration": {"avg": true}, "http_reqs": {"count": 5, "rate": 1}}}',
    "durations of NaN": b'{"metrics": {"http_req_duration": {"avg": NaN}, "http_reqs": {"count": 5, "rate": 1}}}',
    "negative durations": b'{"metrics": {"http_req_duration": {"avg": -1}, "http_reqs": {"count": 5, "rate": 1}}}',
    "a script of ours with wrong loads": json.dumps({**K6, "sizing": {"loads": "all"}}).encode(),
    "a job without results": b'{"InferenceRecommendations": []}',
    "a job of numbers": b'{"InferenceRecommendations": [1, 2]}',
    "a job that is no list": b'{"InferenceRecommendations": {"a": 1}}',
    "a job of negative latency": json.dumps(GUIDE).replace("263596", "-5").encode(),
    "a job of no instances": json.dumps(GUIDE).replace('"InitialInstanceCount": 1', '"InitialInstanceCount": 0').encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_cannot_be_used_gives_one_sentence(content: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_load_results(content)
    said = str(caught.value)
    assert said.count("\n") == 0
    assert len(said) < 400
    assert said.endswith(".")
