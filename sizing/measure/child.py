"""The measuring process: reads one request from standard input, writes messages as JSON lines to standard output, ends.

Task `check` writes the reference model into the folder it runs in, then says whether the model may be run and what its inputs
are. Task `measure` times the reference, gives up what it does not need (`sizing.measure.confine`), loads the model and times
it. This is the only place that imports onnxruntime; no operator library is ever registered. Not for use in another process.
"""

from __future__ import annotations

import gc
import io
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from sizing.measure import confine
from sizing.measure.records import BATCH_MARK, MODEL

REFERENCE = "reference.onnx"
MOST_REFERENCE_BYTES = 8 * 2**20
REFERENCE_ROWS = (1, 512)
REFERENCE_SECONDS = 1.0
WARM_UP_SHARE = 0.25
"""Share of a batch's time spent before it is timed [1]."""
MOST_WARM_CALLS, LEAST_CALLS, MOST_CALLS = 200, 3, 50_000
SAY_EVERY_S = 0.25
POOL_ROWS, MOST_FEEDS = 4_096, 512
"""Different inputs that calls take in turn, in rows of all and in calls [count]: a processor learns the branches of one row
that comes again and again, and is then up to four times faster in trees than on rows it has not seen (own, 2026-11)."""
TEXTS = tuple(f"v{i}" for i in range(8))
ADDRESS_SPACE_SHARE = 2
"""Address space beyond what is mapped, over the limit of resident memory [1]: the runtime's arena grows by powers of two, and
maps up to twice what it touches."""


class Refused(Exception):
    """Ends the process with one sentence for the reader."""


def main() -> None:
    """Do what the request on standard input asks; the last message is `done` or `failed`."""
    say = _channel()
    try:
        request = json.loads(sys.stdin.buffer.read(2**20))
        confine.begin(
            parent=request["parent"],
            cpu_s=request["cpu_s"],
            file_bytes=MOST_REFERENCE_BYTES if request["task"] == "check" else 0,
        )
        (_check if request["task"] == "check" else _measure)(request, say)
    except Refused as error:
        say({"failed": str(error)})
    except MemoryError:
        say({"failed": _too_much(request)})


def _channel() -> Callable[[dict[str, Any]], None]:
    """A writer of messages to what standard output was; what libraries print goes nowhere from now on."""
    out = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)

    def say(message: dict[str, Any]) -> None:
        os.write(out, json.dumps(message, allow_nan=False).encode() + b"\n")

    return say


def _too_much(request: dict[str, Any]) -> str:
    return f"The model asks for more than the {request['memory_bytes'] / 2**30:.3g} GiB of memory that a measurement may have."


def _check(request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
    from sizing.errors import InputError
    from sizing.onnx.reference import reference_model
    from sizing.onnx.runnable import runnable_inputs

    with open(REFERENCE, "wb") as file:
        file.write(reference_model())  # with it onnx is loaded, before the files are shut off
    content = _content(MODEL)
    confine.shut(mapped_bytes=_memory()[0], extra_bytes=ADDRESS_SPACE_SHARE * request["memory_bytes"])
    try:
        inputs, notes = runnable_inputs(io.BytesIO(content), len(content), "the model")
    except InputError as error:
        raise Refused(str(error)) from None
    say(
        {
            "checked": {
                "inputs": [{"name": one.name, "dtype": one.dtype, "dims": list(one.dims)} for one in inputs],
                "notes": list(notes),
            }
        }
    )
    say({"done": True})


def _measure(request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
    import numpy as np
    import onnxruntime as ort

    from sizing.onnx.reference import FEATURES

    plan = _Plan(request, say)
    _status()
    reference, content = _content(REFERENCE), _content(MODEL)
    rng = np.random.default_rng(request["seed"])
    session = _session(ort, reference)
    reference_input = {"name": "x", "dtype": "float32", "dims": [BATCH_MARK, FEATURES]}
    for rows in REFERENCE_ROWS:
        feeds = _pool(np, rng, {**request, "inputs": [reference_input]}, rows)
        seconds = min(REFERENCE_SECONDS, request["seconds_per_batch"])
        say({"reference": _time(session, feeds, rows, seconds, plan.part(f"the reference, {_rows(rows)}", seconds))})
    del session, reference
    gc.collect()
    mapped, before = _memory()
    confined = confine.shut(mapped_bytes=mapped, extra_bytes=ADDRESS_SPACE_SHARE * request["memory_bytes"])
    say({"confined": confined, "before_bytes": before})
    plan.said("loading the model", plan.done_s)
    start = time.perf_counter()
    session = _guarded(request, "load", partial(_session, ort, content))
    load_ms = (time.perf_counter() - start) * 1e3
    say({"load_ms": load_ms, "loaded_bytes": _memory()[1]})
    del content
    last: tuple[int, float] | None = None
    for rows in sorted(request["batches"]):
        per_call_s = None if last is None else last[1] * rows / last[0]
        if per_call_s is not None and per_call_s * (LEAST_CALLS + 1) > plan.time_left():
            say(
                {
                    "note": f"{rows:,} rows are left out: a call would take about {per_call_s:.2g} s, too long for the time left"
                }
            )
            continue
        feeds = _pool(np, rng, request, rows)
        progress = plan.part(f"{_rows(rows)} a call", request["seconds_per_batch"])
        call = partial(_time, session, feeds, rows, request["seconds_per_batch"], progress)
        found = _guarded(request, "run", call)
        say({"row": found})
        last = (rows, found["median_ms"] / 1e3)
    say({"done": True})


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count > 1 else ''}"


class _Plan:
    """How the time of the measurement is laid out, so that its progress is a share of all of it [s]."""

    def __init__(self, request: dict[str, Any], say: Callable[[dict[str, Any]], None]) -> None:
        each, reference = request["seconds_per_batch"], min(REFERENCE_SECONDS, request["seconds_per_batch"])
        self.total_s = len(REFERENCE_ROWS) * reference + len(request["batches"]) * each
        self.done_s, self.say = 0.0, say
        self.ends = time.monotonic() + request["left_s"]

    def time_left(self) -> float:
        """Until the whole measurement is ended [s]."""
        return self.ends - time.monotonic()

    def said(self, doing: str, at_s: float) -> None:
        """Tell how far it is: `at_s` of its time are over [s]."""
        left = max(0.0, self.total_s - at_s)
        self.say({"progress": {"doing": doing, "share": 1.0 - left / self.total_s, "seconds_left": left}})

    def part(self, doing: str, seconds: float) -> Callable[[float], None]:
        """How to tell, from inside a part that is to take so long [s], that so much of it is over [s]; told now and then."""
        before, told = self.done_s, [-SAY_EVERY_S]
        self.done_s += seconds

        def tell(since_s: float) -> None:
            if since_s - told[0] >= SAY_EVERY_S:
                told[0] = since_s
                self.said(doing, before + min(since_s, seconds))

        return tell


def _session(ort: Any, content: bytes) -> Any:
    """One session of the runtime: one thread, its own operators only, the CPU, its usual optimisations and arena."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    return ort.InferenceSession(content, sess_options=options, providers=["CPUExecutionProvider"])


def _time(
    session: Any, pool: list[dict[str, Any]], rows: int, seconds: float, tell: Callable[[float], None]
) -> dict[str, Any]:
    """Calls, each with the next inputs of the pool, for about so long [s] after a warm-up: median and 99th percentile of thread CPU time and of wall-clock time [ms]."""
    import numpy as np

    start, calls = time.perf_counter(), 0
    while calls < 1 or (calls < MOST_WARM_CALLS and time.perf_counter() - start < seconds * WARM_UP_SHARE):
        tell(time.perf_counter() - start)
        session.run(None, pool[calls % len(pool)])
        calls += 1
    cpu: list[int] = []
    wall: list[int] = []
    while len(cpu) < LEAST_CALLS or (len(cpu) < MOST_CALLS and time.perf_counter() - start < seconds):
        tell(time.perf_counter() - start)
        feeds = pool[len(cpu) % len(pool)]
        wall_0, cpu_0 = time.perf_counter_ns(), time.thread_time_ns()
        session.run(None, feeds)
        cpu.append(time.thread_time_ns() - cpu_0)
        wall.append(time.perf_counter_ns() - wall_0)
    return {
        "rows": rows,
        "calls": len(cpu),
        "median_ms": float(np.median(cpu)) / 1e6,
        "p99_ms": float(np.percentile(cpu, 99)) / 1e6,
        "wall_median_ms": float(np.median(wall)) / 1e6,
        "wall_p99_ms": float(np.percentile(wall, 99)) / 1e6,
    }


def _pool(np: Any, rng: Any, request: dict[str, Any], rows: int) -> list[dict[str, Any]]:
    """Inputs of several calls, at random: standard normal numbers, whole numbers 0 and 1 (safe as categories and places), short
    texts. As many calls as memory allows; Refused if it does not allow one."""
    shapes = {one["name"]: [rows if d == BATCH_MARK else d for d in one["dims"]] for one in request["inputs"]}
    # Eight bytes a number are drawn before they are cast; a text has an object of its own.
    weights = {one["name"]: 64 if one["dtype"] == "string" else 16 for one in request["inputs"]}
    call_bytes = sum(math.prod(shape) * weights[name] for name, shape in shapes.items())
    room = request["memory_bytes"] // 8
    if call_bytes > room:
        raise Refused(
            f"Inputs of {rows:,} rows are too large to be measured here: ask for fewer rows or smaller dimensions."
        )
    count = max(1, min(MOST_FEEDS, POOL_ROWS // rows, room // max(call_bytes, 1)))
    return [
        {one["name"]: _made_up(np, rng, one["dtype"], shapes[one["name"]]) for one in request["inputs"]}
        for _ in range(count)
    ]


def _made_up(np: Any, rng: Any, dtype: str, shape: list[int]) -> Any:
    if dtype.startswith("float"):
        return rng.standard_normal(shape).astype(dtype)
    if dtype == "string":
        return np.array(TEXTS, dtype=object)[rng.integers(0, len(TEXTS), size=shape)]
    return rng.integers(0, 2, size=shape).astype(dtype)


def _guarded(request: dict[str, Any], what: str, act: Callable[[], Any]) -> Any:
    """Do something with the model; what the runtime says against it becomes one sentence."""
    try:
        return act()
    except MemoryError:
        raise Refused(_too_much(request)) from None
    except Exception as error:
        said = str(error)
        if re.search(r"bad.?alloc|failed to allocate|out of memory|array_new_length", said, flags=re.IGNORECASE):
            raise Refused(_too_much(request)) from None
        raise Refused(f"ONNX Runtime cannot {what} this model: {_runtime_words(said)}.") from None


def _runtime_words(said: str) -> str:
    """What the runtime says, without its codes and the paths of its sources.

    >>> _runtime_words("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Foo(1) node with name ''")
    "Could not find an implementation for Foo(1) node with name ''"
    """
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", said.split("\n")[0])
    text = text.split("Status Message: ")[-1]
    text = re.sub(r"\S*/\S*\.(cc|h|cpp|onnx):?(\d+)?", "", text)
    return text.strip().rstrip(".")[:200] or "it gives no reason"


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


_STATUS: list[int] = []


def _status() -> int:
    """The kernel's account of this process's memory, opened while files can be."""
    if not _STATUS:
        _STATUS.append(os.open("/proc/self/statm", os.O_RDONLY))
    return _STATUS[0]


def _memory() -> tuple[int, int]:
    """Memory mapped and memory resident [bytes]."""
    pages = os.pread(_status(), 256, 0).split()
    size = os.sysconf("SC_PAGE_SIZE")
    return int(pages[0]) * size, int(pages[1]) * size


if __name__ == "__main__":
    main()
