"""Starts the measuring process, listens to it, watches its time and memory, and ends it whatever happens.

Two processes follow one another: `check` parses the model, `measure` runs it, so that the memory of the parser is not
counted as the model's. Nothing of the model is parsed in this process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sizing.measure import records
from sizing.measure.records import BATCH_MARK, BatchTime, Checked, Limits, MeasureError, Measurement, Progress, Settings

SWITCH = "SIZING_MEASURE"
"""Environment variable of the operator: `off` leaves the measurement out."""
COMMAND = (sys.executable, "-P", "-s", "-m", "sizing.measure.child")
"""The measuring process: without the folder it runs in and the user's own packages on its path."""
LOOK_EVERY_S = 0.05
"""Longest time between two looks at the memory and the deadline of the process [s]."""
ENDING_S = 5.0
"""Longest wait for a process to end after it closed its output [s]."""
CPU_SPARE_S = 5
"""CPU time beyond the total time [s] after which the kernel ends the process by itself, were this one hindered."""
MOST_LINE_BYTES = 2**20
MOST_OUTPUT_BYTES = 8 * 2**20
ROOT = Path(__file__).resolve().parents[2]


class Cancelled(MeasureError):
    """The measurement was ended from outside; the sentence says by what."""


class _OutOfBounds(MeasureError):
    """The process was ended for its time or memory; what it had measured until then counts."""


def unavailable() -> str | None:
    """Why nothing can be measured here, in one sentence, or None: the operator's switch, the system, a missing library."""
    if os.environ.get(SWITCH, "").strip().lower() in ("off", "0", "no", "false"):
        return f"Measuring uploaded models is switched off on this server ({SWITCH}=off)."
    if sys.platform != "linux":
        return "Measuring needs Linux, whose kernel bounds what an uploaded model may do."
    if importlib.util.find_spec("onnxruntime") is None:
        return "Measuring needs ONNX Runtime, which is not installed on this server."
    return None


def measure(
    folder: Path,
    settings: Settings,
    *,
    limits: Limits,
    stop: Callable[[], str | None] = lambda: None,
    hear: Callable[[Progress], None] = lambda progress: None,
) -> Measurement:
    """Measure `model.onnx` in `folder`, which the process may use as its own.

    `stop` gives the reason to end it, asked twenty times a second; `hear` gets the progress. Raises MeasureError with one
    sentence where there is no result, Cancelled where `stop` gave a reason. If time or memory ends after the first number of
    rows was timed, what there is is the result, with a note.
    """
    deadline = time.monotonic() + limits.total_s
    watch = _Watch(folder, limits, deadline, stop)
    hear(Progress("checking the model", 0.0, 0.0))
    checked = _check(watch)
    inputs, batches, notes = _resolved(checked, settings)
    found = _Found(hear, notes)
    request = {
        "task": "measure",
        "inputs": inputs,
        "batches": batches,
        "seconds_per_batch": settings.seconds_per_batch,
        "seed": settings.seed,
        "left_s": deadline - time.monotonic(),
    }
    try:
        peak = watch.run(request, found.take)
    except _OutOfBounds as error:
        if not found.rows:
            raise
        found.notes.append(f"Ended early. {error}".rstrip("."))
        peak = watch.peak_bytes
    return found.measurement(peak)


def _check(watch: _Watch) -> Checked:
    found: list[Checked] = []

    def take(message: Mapping[str, Any]) -> None:
        if "checked" in message:
            found.append(records.checked(message["checked"]))

    watch.run({"task": "check"}, take)
    if not found:
        raise MeasureError("The measuring process said nothing of the model, so nothing was measured.")
    return found[0]


def _resolved(checked: Checked, settings: Settings) -> tuple[list[dict[str, Any]], list[int], list[str]]:
    """Inputs with numbers for their dimensions and a mark for the batch, the numbers of rows, and notes."""
    missing = [name for name in checked.asked if name not in settings.dims]
    if missing:
        names = ", ".join(f"'{name[:40]}'" for name in missing[:8])
        raise NeedsDims(
            f"The model leaves {names} open: give each a whole number (the length of a text, the side of an image).",
            tuple(missing),
        )
    notes = list(checked.notes)
    batches = list(settings.batches)
    fixed = checked.fixed_batch
    if fixed is not None and batches != [fixed]:
        notes.append(
            f"The model takes {fixed:,} row{'s' if fixed > 1 else ''} a call and no other number, so only that is timed"
        )
        batches = [fixed]
    firsts = {one.dims[0] for one in checked.inputs if one.dims}
    inputs = [
        {
            "name": one.name,
            "dtype": one.dtype,
            "dims": [d if isinstance(d, int) else BATCH_MARK if d in firsts else settings.dims[d] for d in one.dims],
        }
        for one in checked.inputs
    ]
    return inputs, batches, notes


class NeedsDims(MeasureError):
    """The model has open dimensions that were not given; `names` are theirs."""

    def __init__(self, sentence: str, names: tuple[str, ...]) -> None:
        super().__init__(sentence)
        self.names = names


class _Found:
    """Messages of the measuring process, gathered into a measurement."""

    def __init__(self, hear: Callable[[Progress], None], notes: list[str]) -> None:
        self.hear, self.notes = hear, notes
        self.reference: list[BatchTime] = []
        self.rows: list[BatchTime] = []
        self.values: dict[str, Any] = {}

    def take(self, message: Mapping[str, Any]) -> None:
        """One message; those of no meaning here are passed over."""
        if "progress" in message:
            self.hear(records.progress(message["progress"]))
        elif "reference" in message:
            self.reference.append(records.batch_time(message["reference"]))
        elif "row" in message:
            self.rows.append(records.batch_time(message["row"]))
        elif "note" in message:
            self.notes.append(records.sentence(message["note"]))
        elif "confined" in message:
            self.values["confined"] = message["confined"] is True
            self.values["before_bytes"] = records.whole(message.get("before_bytes"))
        elif "load_ms" in message:
            self.values["load_ms"] = records.time_ms(message["load_ms"])
            self.values["loaded_bytes"] = records.whole(message.get("loaded_bytes"))

    def measurement(self, peak_bytes: int) -> Measurement:
        """All of it; MeasureError if the process left something out."""
        if not self.rows or not self.reference or len(self.values) < 4:
            raise MeasureError("The measuring process ended without times, so nothing was measured.")
        if not self.values["confined"]:
            self.notes.append("The kernel here has no filter of system calls; the limits of time and memory stood")
        found = Measurement(
            reference=tuple(self.reference),
            rows=tuple(self.rows),
            peak_bytes=peak_bytes,
            notes=tuple(self.notes),
            **self.values,
        )
        return replace(found, peak_bytes=max(peak_bytes, found.loaded_bytes))


class _Watch:
    """Runs one process after the other in a folder, under one deadline and one limit of memory."""

    def __init__(self, folder: Path, limits: Limits, deadline: float, stop: Callable[[], str | None]) -> None:
        self.folder, self.limits, self.deadline, self.stop = folder, limits, deadline, stop
        self.peak_bytes = 0

    def run(self, request: Mapping[str, Any], take: Callable[[Mapping[str, Any]], None]) -> int:
        """Run one request to its end and hand each message to `take`; the process's peak of resident memory [bytes]."""
        self.peak_bytes = 0
        bounds = {
            "parent": os.getpid(),
            "cpu_s": int(self.limits.total_s) + CPU_SPARE_S,
            "memory_bytes": self.limits.memory_bytes,
        }
        process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            env=_environment(self.folder),
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({**bounds, **request}).encode())
            process.stdin.close()
            if not self._listen(process, process.stdout.fileno(), take):
                self._unsaid_end(process.wait(timeout=ENDING_S))
        except (BrokenPipeError, subprocess.TimeoutExpired):
            raise MeasureError("The measuring process ended before it began, so nothing was measured.") from None
        finally:
            _end(process)
        return self.peak_bytes

    def _listen(self, process: subprocess.Popen[bytes], pipe: int, take: Callable[[Mapping[str, Any]], None]) -> bool:
        """Messages until the last one; whether there was a last one."""
        os.set_blocking(pipe, False)
        pending, total = b"", 0
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                self._look(process)
                if not selector.select(LOOK_EVERY_S):
                    continue
                got = os.read(pipe, 65_536)
                if not got:
                    return False
                total += len(got)
                *lines, pending = (pending + got).split(b"\n")
                if total > MOST_OUTPUT_BYTES or len(pending) > MOST_LINE_BYTES:
                    raise MeasureError("The measuring process said more than it should, so it was ended.")
                for line in lines:
                    message = _message(line)
                    if "failed" in message:
                        raise MeasureError(records.sentence(message["failed"]))
                    if message.get("done") is True:
                        return True
                    take(message)

    def _look(self, process: subprocess.Popen[bytes]) -> None:
        """End it if somebody says so, if its time is over, or if it holds more memory than it may."""
        reason = self.stop()
        if reason is not None:
            raise Cancelled(reason)
        if time.monotonic() > self.deadline:
            raise _OutOfBounds(f"The measurement took more than the {self.limits.total_s:g} s it may, so it was ended.")
        resident = _resident_bytes(process.pid)
        self.peak_bytes = max(self.peak_bytes, resident)
        if resident > self.limits.memory_bytes:
            raise _OutOfBounds(
                f"The model held more than the {self.limits.memory_bytes / 2**30:.3g} GiB of memory that a measurement may have, "
                "so it was ended."
            )

    def _unsaid_end(self, code: int) -> None:
        """Say why a process ended without a last message."""
        if code == -signal.SIGXCPU:
            raise _OutOfBounds(f"The measurement took more than the {self.limits.total_s:g} s it may, so it was ended.")
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        raise _OutOfBounds(
            f"The measuring process broke off {how}: the model asked for too much memory, or the runtime cannot cope with it."
        )


def _message(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise MeasureError("The measuring process gave no usable answer, so nothing was measured.")
    return found


def _environment(folder: Path) -> dict[str, str]:
    """All that the process inherits: where its code is, one thread for each library, its folder as home."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _resident_bytes(pid: int) -> int:
    """Resident memory of a process [bytes]; 0 once it has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all it may have started, and take its exit code so that nothing of it is left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
