"""Predict, load-test with the generated Locust file, import, recalibrate: a real server on loopback; writes CLOSE_THE_LOOP.md.

python -m benchmarks.close_the_loop            about 4 minutes
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from math import inf
from pathlib import Path
from statistics import median

from sizing import catalog
from sizing.inspect import inspect_file, summary_text
from sizing.scenario import StatisticalScenario
from sizing.statistical.load_compare import Setup, measurement, predicted
from sizing.statistical.load_locust import DRAIN_S, FILE, PREFIX, RESULT, locust_file
from sizing.statistical.load_records import LoadRecord
from sizing.statistical.load_results import read_load_results
from sizing.statistical.load_test import Load, LoadTest
from sizing.statistical.load_test_length import Precision, precision_of

HERE = Path(__file__).resolve().parent
TREES, DEPTH, FEATURES, ROWS = 200, 8, 10, 500
HOST_FACTOR = 0.44
"""Time factor [1] of this machine's core (Zen 5) in sizing/cpu.py, for the prediction before anything is measured."""
LOADS = (0.3, 0.5, 0.7)
LOAD_S = 40.0
WARM_UP_S = 5.0
PROBES = 150
START_S = 60.0
"""Longest wait for the server [s]."""


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def make_model(path: Path, *, trees: int, depth: int, features: int) -> None:
    """Write a trained model as ONNX, in a process of its own."""
    words = ["make", str(path), str(trees), str(depth), str(features)]
    subprocess.run([sys.executable, "-m", "benchmarks.loop_server", *words], check=True, timeout=180, cwd=HERE.parent)


@contextmanager
def served(model: Path, *, core: int | None = None) -> Iterator[int]:
    """A server of a model on a free port of loopback, killed at the end whatever happens."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.loop_server", "serve", str(model), str(port)]
    with started(command, core=core) as process:
        end = time.monotonic() + START_S
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}")
            try:
                _ask(port, "GET", "/ready", None)
                break
            except OSError:
                if time.monotonic() > end:
                    raise RuntimeError("the server did not come up") from None
                time.sleep(0.1)
        yield port


@contextmanager
def started(
    command: Sequence[str], *, core: int | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, killed with its children at the end."""
    process = subprocess.Popen(
        command,
        cwd=cwd or HERE.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    if core is not None:
        _alone_on(process.pid, core)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _alone_on(pid: int, core: int) -> bool:
    """Keep a process to one core, before other work there; whether the system allowed it."""
    try:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, {cores[core % len(cores)]})
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):
        return False
    return True


def _ask(port: int, method: str, path: str, body: bytes | None) -> float:
    """Time of one request on a fresh connection [ms]; OSError if it fails."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        began = time.perf_counter()
        connection.request(method, path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise OSError(f"status {reply.status}")
        return (time.perf_counter() - began) * 1000.0
    finally:
        connection.close()


def alone_ms(port: int, *, rows: int, features: int, probes: int) -> float:
    """Median time of requests one after the other [ms]."""
    body = json.dumps({"instances": [[round(random.uniform(-3, 3), 5) for _ in range(features)] for _ in range(rows)]})
    times = [_ask(port, "POST", "/predict", body.encode()) for _ in range(probes)]
    return median(times)


def test_of(
    rates: Sequence[tuple[float, float]], *, rows: int, features: int, warm_up_s: float, machine: str
) -> LoadTest:
    """A load test of one worker at given (rate [1/s], seconds)."""
    loads = tuple(Load(rate, seconds, 0.0, 0.0, 0.0, 0.0, Precision(0.0, 0.0)) for rate, seconds in rates)
    return LoadTest(
        instance=machine,
        instance_type="this machine",
        instances=1,
        workers=1,
        rows=rows,
        features=features,
        quantity="p99",
        limits_ms=(None, None, None),
        warm_up_s=warm_up_s,
        loads=loads,
        needed=0,
        service_ms=1.0,
        service_cv=0.3,
    )


def run_locust(test: LoadTest, port: int, folder: Path, *, core: int | None = None) -> tuple[bytes, bytes, str]:
    """Run the generated file headless against a port; its own CSV, Locust's `_stats.csv`, and what it printed."""
    (folder / FILE).write_text(locust_file(test), encoding="utf-8")
    seconds = test.seconds + DRAIN_S
    command = [sys.executable, "-m", "locust", "-f", FILE, "--headless", "-u", "1", "-r", "1", "-t", f"{seconds:.0f}s"]
    command += ["--host", f"http://127.0.0.1:{port}", "--csv", PREFIX, "--only-summary"]
    with started(command, core=core, cwd=folder) as process:
        said, _ = process.communicate(timeout=seconds + 60.0)
    for name in (RESULT, f"{PREFIX}_stats.csv"):
        if not (folder / name).exists():
            raise RuntimeError(f"Locust wrote no {name}: {said[-2000:]}")
    return (folder / RESULT).read_bytes(), (folder / f"{PREFIX}_stats.csv").read_bytes(), said


def scenario_of(model: Path) -> StatisticalScenario:
    """The scenario of a model file as the page makes it: its structure as read, served by one worker."""
    summary = summary_text(inspect_file(model, name=model.name))
    return StatisticalScenario(
        custom_model=summary, runtime="onnxruntime", rows_per_request=ROWS, workers_per_instance=1
    )


def main() -> None:
    """Run it and write the report."""
    known = catalog.load()
    machine = f"host-{HOST_FACTOR:g}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.onnx"
        make_model(model, trees=TREES, depth=DEPTH, features=FEATURES)
        scenario = scenario_of(model)
        with served(model, core=1) as port:
            alone = alone_ms(port, rows=ROWS, features=FEATURES, probes=PROBES)
            rates = [(share / alone * 1000.0, LOAD_S) for share in LOADS]
            test = test_of(rates, rows=ROWS, features=FEATURES, warm_up_s=WARM_UP_S, machine=machine)
            result, stats, _ = run_locust(test, port, folder, core=0)
    records = read_load_results(result).records
    setups = [Setup(machine, 1, 1, ROWS, "open") for _ in records]
    measured, first = measurement(scenario, records[:1], setups[:1])
    two, both = measurement(scenario, records[:2], setups[:2])
    after = scenario.model_copy(update={"measured_service": measured.text(), "service_cv": first.cv})
    later = scenario.model_copy(update={"measured_service": two.text(), "service_cv": both.cv})
    lines = [
        "# The loop closed on loopback",
        "",
        f"Written by `python -m benchmarks.close_the_loop` on {date.today()}. XGBoost of {TREES} trees of depth {DEPTH} in ONNX Runtime "
        f"behind FastAPI and uvicorn (one worker, async handler), {ROWS} rows of {FEATURES} features a request, on one core of "
        f"{_cpu()}; the generated Locust file on the other core, {LOAD_S:g} s a load after {WARM_UP_S:g} s of warm-up. Requests one after "
        f"the other take {alone:.2f} ms. Both have real-time priority where the system allows it, as the "
        "machine is shared with other work.",
        "",
        f"Before: the structure read from the model file, the catalog's time law with a CPU factor of {HOST_FACTOR:g} (recalled) and the usual 0.8 ms of web server, CV 0.3. "
        f"After: recalibrated with the first load alone (service {first.service_ms:.3f} ms ± {first.sd:.1%}, CV {first.cv:g}), then "
        f"with the first two (service {both.service_ms:.3f} ms ± {both.sd:.1%}, CV {both.cv:g}, and {both.outside_ms:.2f} ms outside the "
        "worker, which one load cannot tell from service). Loads not used for it are predictions.",
        "",
        "| load (requests/s) | | mean (ms) | p50 (ms) | p95 (ms) | p99 (ms) | utilization |",
        "|---|---|---|---|---|---|---|",
    ]
    for record, setup in zip(records, setups, strict=True):
        rows = (
            ("measured", None, 0.0),
            ("before", scenario, 0.0),
            ("after the first load", after, 0.0),
            ("after the first two", later, both.outside_ms),
        )
        for said, asked, outside in rows:
            if asked is None:
                cells = [f"{v:.2f}" for v in (record.mean_ms, record.p50_ms, record.p95_ms, record.p99_ms)] + [""]
            else:
                t = predicted(asked, known, record, setup)
                pairs = (
                    (t.mean_ms + outside, record.mean_ms),
                    (t.p50_ms + outside, record.p50_ms),
                    (t.p95_ms + outside, record.p95_ms),
                    (t.p99_ms + outside, record.p99_ms),
                )
                cells = [f"{p:.2f} ({p / m - 1:+.0%})" if p < inf else "no end" for p, m in pairs]
                cells.append(f"{t.utilization:.0%}")
            label = f"{record.requests_per_s:.1f}" if said == "measured" else ""
            lines.append(f"| {label} | {said} | " + " | ".join(cells) + " |")
    lines += ["", *_notes(records, both.cv, both.service_ms), ""]
    own = {r.label: r for r in read_load_results(stats).records}
    lines += [
        f"Locust's own `_stats.csv` imports as {len(own)} loads with the same counts and means; its percentiles are whole milliseconds."
    ]
    text = "\n".join(lines) + "\n"
    (HERE / "CLOSE_THE_LOOP.md").write_text(text, encoding="utf-8")
    print(text)


def _notes(records: Sequence[LoadRecord], cv: float, service_ms: float) -> list[str]:
    lines = ["What the length of the test alone leaves open in p99, and how late the generator was:", ""]
    for record in records:
        u = (record.requests_per_s or 0.0) * service_ms / 1000.0
        known = precision_of("p99", record.requests or 1, workers=1, cv=cv, utilization=u)
        lines.append(
            f"- {record.requests_per_s:.1f}/s: {record.requests:,} replies, {record.failures} failed, p99 ± {known.sd:.0%} with a bias of "
            f"{known.bias:+.0%}; generator late by {record.late_p99_ms:.2f} ms (p99)."
        )
    return lines


def _cpu() -> str:
    try:
        found = [
            x for x in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if x.startswith("model name")
        ]
        return found[0].split(":")[1].strip()
    except (OSError, IndexError):
        return "an unknown CPU"


if __name__ == "__main__":
    main()
