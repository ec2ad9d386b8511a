"""A Locust file for a load test: open loop, random arrivals, times measured from when a request was due.

Locust's users wait for their reply, so a slow server is asked less often and its slowest times are never seen. This file has one
Locust user that only keeps the clock: it starts each request at a random moment, whether or not others have been answered.
"""

from __future__ import annotations

import math

from sizing.statistical.load_test import LoadTest

FILE = "locust_load_test.py"
PREFIX = "load_test"
RESULT = f"{PREFIX}_open_loop.csv"
DRAIN_S = 5
"""Time after the last request for replies still under way [s]."""


def locust_file(test: LoadTest) -> str:
    """Text of the Locust file of a test, with its loads, payload and limits filled in."""
    loads = "".join(f"    ({load.requests_per_s:.6g}, {load.seconds:g}),\n" for load in test.loads)
    limits = {f"p{p}": limit for p, limit in zip((50, 95, 99), test.limits_ms, strict=True) if limit is not None}
    filled = {
        "WHAT": f"{test.instances} x {test.instance_type}, {test.workers} workers each",
        "WARM_UP": f"{test.warm_up_s:g}",
        "LOADS": loads,
        "ROWS": str(test.rows),
        "FEATURES": str(test.features),
        "LIMITS": repr(limits),
        "INSTANCE": repr(test.instance),
        "INSTANCES": str(test.instances),
        "WORKERS": str(test.workers),
        "COMMAND": locust_command(test).replace("\n", "\n    "),
        "RESULT": RESULT,
        "PREFIX": PREFIX,
    }
    text = _TEMPLATE
    for name, value in filled.items():
        text = text.replace(f"@{name}@", value)
    return text


def locust_command(test: LoadTest, *, path: str = "/predict") -> str:
    """Command lines that run the file without a browser and write its CSV files; on several machines a master and its workers.

    The address is in the environment variable ENDPOINT (scheme, host and port).
    """
    each = math.ceil(test.locust_processes / test.locust_machines)
    users = each * test.locust_machines
    seconds = math.ceil(test.seconds) + DRAIN_S
    what = f"PREDICT_PATH={path} locust -f {FILE}"
    run = f'--headless -u {users} -r {users} -t {seconds}s --host "$ENDPOINT" --csv {PREFIX}'
    if users == 1:
        return f"{what} {run}"
    if test.locust_machines == 1:
        return f"SENDERS={users} {what} {run} --processes {users}"
    return (
        f"SENDERS={users} {what} {run} --master --expect-workers {users}\n"
        f"# on each of {test.locust_machines} client machines:\n"
        f"SENDERS={users} {what} --worker --processes {each} --master-host ADDRESS-OF-THE-FIRST"
    )


_TEMPLATE = '''"""Open-loop load test of @WHAT@, for Locust 2.20 or newer (pip install locust).

    @COMMAND@

Requests start at random moments (Poisson) at the rates in LOADS, whether or not earlier ones have been answered, and a reply's
time counts from the moment the request was due. So a slow server is not asked less often, and waiting in this program counts too.
How late this program itself was stands in its own columns: if "Late 99% (ms)" is more than a tenth of the median time, use more
processes or another machine.

Change body() and the path to what your endpoint takes. @PREFIX@_stats.csv is Locust's own file, rounded to whole milliseconds;
@RESULT@ has the exact times and is the better one to upload.
"""

import csv
import json
import os
import random
import time

import gevent
from locust import FastHttpUser, events, task

PATH = os.environ.get("PREDICT_PATH", "/predict")
ROWS = @ROWS@
FEATURES = @FEATURES@
WARM_UP_S = @WARM_UP@
LOADS = [  # (requests a second in all, seconds)
@LOADS@]
LIMITS_MS = @LIMITS@
INSTANCE, INSTANCES, WORKERS = @INSTANCE@, @INSTANCES@, @WORKERS@
SENDERS = int(os.environ.get("SENDERS", "1"))  # Locust users in all; each sends its share of the rate
BODIES = max(1, min(100, 2_000_000 // (ROWS * FEATURES)))
SPIN_S = 0.002  # the clock is watched, not slept, this long before a request is due

SCHEDULE = [(LOADS[0][0], WARM_UP_S), *LOADS]
samples = {load: [] for load in range(1, len(SCHEDULE))}  # (late ms, time ms or None if it failed) by load
waiting = {}  # requests under way by load
of_workers = {}  # the same of each worker process, in the master


def body():
    """One request: random rows of features."""
    rows = [[round(random.uniform(-3.0, 3.0), 5) for _ in range(FEATURES)] for _ in range(ROWS)]
    return json.dumps({"instances": rows}).encode()


class OpenLoop(FastHttpUser):
    """Keeps the clock, and starts each request in a greenlet of its own."""

    concurrency = 10_000  # connections; what is beyond them waits here, and that wait counts
    network_timeout = 60.0
    connection_timeout = 60.0
    max_retries = 0

    def on_start(self):
        self.bodies = [body() for _ in range(BODIES)]

    @task
    def run_schedule(self):
        due = end = time.perf_counter()
        for load, (rate, seconds) in enumerate(SCHEDULE):
            due, end = end, end + seconds
            while True:
                due += random.expovariate(rate / SENDERS)
                if due >= end:
                    break
                ahead = due - time.perf_counter()
                if ahead > SPIN_S:
                    gevent.sleep(ahead - SPIN_S)
                while time.perf_counter() < due:
                    gevent.sleep(0)
                waiting[load] = waiting.get(load, 0) + 1
                gevent.spawn(self.send, load, due)
        gevent.sleep(1e9)  # until Locust's own run time ends

    def send(self, load, due):
        late = time.perf_counter() - due
        name = "warm-up" if load == 0 else f"load {load}: {SCHEDULE[load][0]:g}/s"
        with self.client.post(
            PATH,
            data=random.choice(self.bodies),
            headers={"Content-Type": "application/json"},
            name=name,
            catch_response=True,
        ) as reply:
            taken = (time.perf_counter() - due) * 1000.0
            reply.request_meta["response_time"] = taken
            good = reply.status_code is not None and 200 <= reply.status_code < 300
            if good:
                reply.success()
            else:
                reply.failure(f"status {reply.status_code}")
        waiting[load] -= 1
        if load > 0:
            samples[load].append((late * 1000.0, taken if good else None))


@events.report_to_master.add_listener
def to_master(client_id, data):
    """A worker process hands over what it has measured."""
    data["open_loop"] = {load: list(some) for load, some in samples.items()}
    data["open_loop_waiting"] = dict(waiting)
    for some in samples.values():
        some.clear()


@events.worker_report.add_listener
def from_worker(client_id, data):
    for load, some in data.get("open_loop", {}).items():
        samples[int(load)].extend(some)
    of_workers[client_id] = data.get("open_loop_waiting", {})


def quantile(ordered, share):
    """Value below which a share of the ordered values lies, straight between neighbours."""
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


COLUMNS = [
    *("Load", "Offered Requests/s", "Seconds", "Sent", "Answered", "Failed", "Unanswered", "Mean (ms)"),
    *("50% (ms)", "90% (ms)", "95% (ms)", "99% (ms)", "99.9% (ms)", "Max (ms)", "Late 50% (ms)", "Late 99% (ms)"),
    *("Rows", "Instance", "Instances", "Workers"),
]


@events.quitting.add_listener
def write_result(environment, **_):
    """One row a load, exact times, in the file that the sizing page takes."""
    if environment.runner is None or type(environment.runner).__name__ == "WorkerRunner":
        return
    prefix = getattr(environment.parsed_options, "csv_prefix", None) or "@PREFIX@"
    with open(f"{prefix}_open_loop.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for load, found in samples.items():
            rate, seconds = SCHEDULE[load]
            times = sorted(taken for _, taken in found if taken is not None)
            late = sorted(at for at, _ in found)
            left = sum(int(some.get(load, some.get(str(load), 0))) for some in (waiting, *of_workers.values()))
            row = [load, rate, seconds, len(found) + left, len(times), len(found) - len(times), left]
            if times:
                shares = [quantile(times, share) for share in (0.5, 0.9, 0.95, 0.99, 0.999)]
                row += [f"{value:.4f}" for value in (sum(times) / len(times), *shares, times[-1])]
                row += [f"{quantile(late, share):.4f}" for share in (0.5, 0.99)]
                for name, limit in LIMITS_MS.items():
                    value = quantile(times, float(name[1:]) / 100)
                    print(f"load {load}: {name} {value:.2f} ms, limit {limit:g} ms: {'kept' if value <= limit else 'MISSED'}")
            else:
                row += ["N/A"] * 9
            out.writerow([*row, ROWS, INSTANCE, INSTANCES, WORKERS])
'''
