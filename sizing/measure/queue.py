"""The queue of measurements of one server process: one runs, the others wait, each is watched by whoever asked for it.

A ticket that nobody looks at for a while is ended. Models lie in a folder of their own until they are measured, and are
deleted then, whatever happened; results are kept for a few minutes.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

from sizing.measure import process
from sizing.measure.host_lock import HostLock
from sizing.measure.process import Cancelled, NeedsDims
from sizing.measure.records import MIB, MODEL, Limits, MeasureError, Measurement, Progress, Settings

MOST_WAITING = 8
"""Most measurements that wait or run at once [count]; together their files take at most 800 MB."""
ABANDONED_AFTER_S = 30.0
"""A measurement that nobody looked at for so long is ended [s]."""
KEPT_S = 600.0
"""A finished ticket is forgotten this long after it was last looked at [s]."""
STALE_S = 3600.0
"""A folder of a measurement older than this was left by a process that was killed [s]: the longest queue is far shorter."""
WAIT_S = 0.25
"""Between two looks at a queue that waits for another process [s]."""

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class View:
    """A ticket as its owner sees it: state, measurements ahead of it [count] and the longest they may take [s], progress once
    it runs, the sentence or the result it ended with, the open dimensions it lacked."""

    state: State
    ahead: int = 0
    longest_wait_s: float = 0.0
    elsewhere: bool = False
    progress: Progress | None = None
    sentence: str | None = None
    result: Measurement | None = None
    asked: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more will change."""
        return self.state in ENDED


class Runner(Protocol):
    """What measures a model in a folder: `process.measure`, or what stands for it in a test."""

    def __call__(
        self,
        folder: Path,
        settings: Settings,
        *,
        limits: Limits,
        stop: Callable[[], str | None],
        hear: Callable[[Progress], None],
    ) -> Measurement: ...


class Lock(Protocol):
    """What keeps two server processes of a host from measuring at once."""

    def take(self) -> bool:
        """Take it if it is free; whether it is held now."""

    def release(self) -> None:
        """Let it go."""


@dataclass
class _Job:
    ticket: str
    folder: Path
    settings: Settings
    seen: float
    state: State = "queued"
    stop: str | None = None
    progress: Progress | None = None
    sentence: str | None = None
    result: Measurement | None = None
    asked: tuple[str, ...] = ()


class MeasureQueue:
    """Measurements in the order they were asked for; every method may be called from any thread and returns at once."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        most: int = MOST_WAITING,
        runner: Runner = process.measure,
        lock: Lock | None = None,
        clock: Callable[[], float] = time.monotonic,
        parent: Path | None = None,
    ) -> None:
        self.limits, self.most = limits or Limits(), most
        self._runner, self._lock, self._clock = runner, lock or HostLock(), clock
        self._parent = parent or Path(tempfile.gettempdir())
        self._prefix = f"inference-sizing-measure-{os.getuid() if hasattr(os, 'getuid') else 0}-"
        self._jobs: dict[str, _Job] = {}
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._elsewhere = False
        self._remove_stale()

    def submit(self, model: bytes, settings: Settings) -> str:
        """Put a model into the queue; its ticket. MeasureError for one that is too large, or if too many wait."""
        if len(model) > self.limits.model_bytes:
            raise MeasureError(
                f"The file has {len(model) / MIB:.1f} MiB; models of at most {self.limits.model_bytes / MIB:.0f} MiB are measured here."
            )
        with self._changed:
            self._room()
        # Written outside the lock, so that a large file holds up nobody who looks.
        folder = self._stored(model)
        try:
            with self._changed:
                self._room()
                job = _Job(secrets.token_urlsafe(12), folder, settings, self._clock())
                self._jobs[job.ticket] = job
                if self._worker is None:
                    self._worker = threading.Thread(target=self._work, name="measure", daemon=True)
                    self._worker.start()
                self._changed.notify_all()
                return job.ticket
        except MeasureError:
            _delete(folder)
            raise

    def _room(self) -> None:
        """MeasureError if as many wait as may."""
        self._sweep()
        live = sum(job.state not in ENDED for job in self._jobs.values())
        if live >= self.most:
            raise MeasureError(f"{live} measurements wait already, the most there may be: try again in a minute.")

    def _stored(self, model: bytes) -> Path:
        """A new folder with the model in it."""
        folder: Path | None = None
        try:
            folder = Path(tempfile.mkdtemp(prefix=self._prefix, dir=self._parent))
            (folder / MODEL).write_bytes(model)
        except OSError:
            if folder is not None:
                _delete(folder)
            raise MeasureError("The server has no room for the file at the moment, so nothing was measured.") from None
        return folder

    def look(self, ticket: str) -> View:
        """How a ticket stands; looking also says that somebody still wants it."""
        with self._changed:
            job = self._jobs.get(ticket)
            if job is None:
                return View("cancelled", sentence="This measurement is no longer known here; start it again.")
            job.seen = self._clock()
            ahead = 0
            if job.state == "queued":
                before = list(self._jobs)[: list(self._jobs).index(ticket)]
                ahead = sum(self._jobs[name].state not in ENDED for name in before)
            return View(
                state=job.state,
                ahead=ahead,
                longest_wait_s=ahead * self.limits.total_s,
                elsewhere=self._elsewhere and job.state == "queued",
                progress=job.progress,
                sentence=job.sentence,
                result=job.result,
                asked=job.asked,
            )

    def cancel(self, ticket: str) -> None:
        """End a measurement that waits or runs; nothing happens to one that has ended."""
        with self._changed:
            job = self._jobs.get(ticket)
            if job is not None:
                self._stop(job, "Cancelled.")
                self._changed.notify_all()

    def close(self) -> None:
        """End everything and wait until the process that runs is gone."""
        with self._changed:
            for job in self._jobs.values():
                self._stop(job, "The server is closing.")
            worker = self._worker
            self._changed.notify_all()
        if worker is not None:
            worker.join(timeout=10)

    def _stop(self, job: _Job, reason: str) -> None:
        if job.state == "queued":
            job.state, job.sentence = "cancelled", reason
            _delete(job.folder)
        elif job.state == "running":
            job.stop = job.stop or reason

    def _sweep(self) -> None:
        """End what nobody looks at, forget what ended long ago."""
        now = self._clock()
        for job in list(self._jobs.values()):
            if job.state in ENDED:
                if now - job.seen > KEPT_S:
                    del self._jobs[job.ticket]
            elif now - job.seen > ABANDONED_AFTER_S:
                self._stop(job, f"Ended: nobody looked at it for {ABANDONED_AFTER_S:.0f} s.")

    def _work(self) -> None:
        """Measure what waits, one after the other; the thread ends with the last."""
        while True:
            with self._changed:
                job = self._next()
                if job is None:
                    self._worker = None
                    return
            try:
                self._measure(job)
            finally:
                self._lock.release()
                _delete(job.folder)

    def _next(self) -> _Job | None:
        """The first that waits, once the host is free, marked as running; None if nobody waits."""
        while True:
            self._sweep()
            waiting = next((job for job in self._jobs.values() if job.state == "queued"), None)
            if waiting is None:
                self._elsewhere = False
                return None
            self._elsewhere = not self._lock.take()
            if not self._elsewhere:
                waiting.state = "running"
                return waiting
            self._changed.wait(WAIT_S)

    def _measure(self, job: _Job) -> None:
        def stop() -> str | None:
            with self._changed:
                self._sweep()
                return job.stop

        def hear(progress: Progress) -> None:
            with self._changed:
                job.progress = progress

        state: State = "failed"
        sentence: str | None = None
        result: Measurement | None = None
        try:
            result = self._runner(job.folder, job.settings, limits=self.limits, stop=stop, hear=hear)
            state = "done"
        except Cancelled as error:
            state, sentence = "cancelled", str(error)
        except MeasureError as error:
            sentence = str(error)
            job.asked = error.names if isinstance(error, NeedsDims) else ()
        except Exception:
            sentence = "The measuring process could not be started, so nothing was measured."
        with self._changed:
            job.state, job.sentence, job.result = state, sentence, result

    def _remove_stale(self) -> None:
        """Delete folders that a killed process left behind."""
        for folder in self._parent.glob(f"{self._prefix}*"):
            try:
                old = folder.is_dir() and time.time() - folder.lstat().st_mtime > STALE_S
            except OSError:
                continue
            if old:
                _delete(folder)


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


@lru_cache(maxsize=1)
def shared() -> MeasureQueue:
    """The one queue of this server process; it is closed with the process."""
    queue = MeasureQueue()
    atexit.register(queue.close)
    return queue
