"""The queue with a runner that does as it is told: order, places, cancelling, leaving, limits, what is left on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sizing.measure.host_lock import HostLock
from sizing.measure.process import Cancelled, NeedsDims
from sizing.measure.queue import ABANDONED_AFTER_S, KEPT_S, STALE_S, MeasureQueue, View
from sizing.measure.records import MODEL, BatchTime, Limits, MeasureError, Measurement, Progress, Settings
from tests.measure import hostile

ROOT = Path(__file__).resolve().parents[2]
TIME = BatchTime(rows=1, calls=3, median_ms=1.0, p99_ms=1.0, wall_median_ms=1.0, wall_p99_ms=1.0)
FOUND = Measurement((TIME,), (TIME,), 1.0, 1, 2, 3, True)
STEPS = 500


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Runner:
    """Stands for the real measurement: each waits until `go` is set, and says what it was given."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.order: list[bytes] = []
        self.at_once, self.most_at_once = 0, 0
        self.error: Exception | None = None

    def __call__(
        self,
        folder: Path,
        settings: Settings,
        *,
        limits: Limits,
        stop: Callable[[], str | None],
        hear: Callable[[Progress], None],
    ) -> Measurement:
        self.order.append((folder / MODEL).read_bytes())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        hear(Progress("8 rows a call", 0.5, 2.0))
        try:
            while not self.go.wait(0.01):
                if (reason := stop()) is not None:
                    raise Cancelled(reason)
            if self.error is not None:
                raise self.error
            return FOUND
        finally:
            self.at_once -= 1


class Free:
    """A lock that nobody else has."""

    def take(self) -> bool:
        return True

    def release(self) -> None:
        pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock, runner: Runner) -> MeasureQueue:
    return MeasureQueue(most=3, runner=runner, lock=Free(), clock=clock, parent=tmp_path)


def until(queue: MeasureQueue, ticket: str, holds: Callable[[View], bool]) -> View:
    """The first view of a ticket for which something holds; fails if that does not come."""
    for _ in range(STEPS):
        view = queue.look(ticket)
        if holds(view):
            return view
        time.sleep(0.02)
    raise AssertionError(view)


def ended(queue: MeasureQueue, ticket: str) -> View:
    return until(queue, ticket, lambda view: view.ended)


def running(queue: MeasureQueue, ticket: str) -> View:
    return until(queue, ticket, lambda view: view.progress is not None)


def test_one_at_a_time_in_order_with_places(queue: MeasureQueue, runner: Runner, tmp_path: Path) -> None:
    tickets = [queue.submit(name, Settings()) for name in (b"a", b"b", b"c")]
    first = running(queue, tickets[0])
    assert (first.state, first.progress) == ("running", Progress("8 rows a call", 0.5, 2.0))
    assert [queue.look(t).ahead for t in tickets] == [0, 1, 2]
    assert queue.look(tickets[2]).longest_wait_s == 2 * queue.limits.total_s
    assert [queue.look(t).state for t in tickets[1:]] == ["queued", "queued"]
    runner.go.set()
    assert [ended(queue, t).state for t in tickets] == ["done"] * 3
    assert queue.look(tickets[1]).result == FOUND
    assert runner.order == [b"a", b"b", b"c"]
    assert runner.most_at_once == 1
    queue.close()
    assert list(tmp_path.iterdir()) == []


def test_full_queue_and_large_file_are_refused_in_a_sentence(queue: MeasureQueue, tmp_path: Path) -> None:
    for name in (b"a", b"b", b"c"):
        queue.submit(name, Settings())
    with pytest.raises(MeasureError, match="3 measurements wait already, the most there may be"):
        queue.submit(b"d", Settings())
    with pytest.raises(MeasureError, match=r"has 100\.0 MiB; models of at most 100 MiB"):
        queue.submit(bytes(queue.limits.model_bytes + 1), Settings())
    assert len(list(tmp_path.iterdir())) == 3
    queue.close()
    assert list(tmp_path.iterdir()) == []


def test_cancelling_what_runs_and_what_waits(queue: MeasureQueue, runner: Runner, tmp_path: Path) -> None:
    a, b, c = (queue.submit(name, Settings()) for name in (b"a", b"b", b"c"))
    running(queue, a)
    queue.cancel(b)
    view = queue.look(b)
    assert (view.state, view.sentence) == ("cancelled", "Cancelled.")
    assert queue.look(c).ahead == 1
    queue.cancel(a)
    assert ended(queue, a).state == "cancelled"
    runner.go.set()
    assert ended(queue, c).state == "done"
    queue.cancel(c)
    assert queue.look(c).state == "done"
    queue.cancel("no such ticket")
    assert runner.order == [b"a", b"c"]
    queue.close()
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_watches_is_ended(queue: MeasureQueue, runner: Runner, clock: Clock, tmp_path: Path) -> None:
    a, b, c = (queue.submit(name, Settings()) for name in (b"a", b"b", b"c"))
    running(queue, a)
    clock.now = ABANDONED_AFTER_S
    queue.look(c)
    clock.now = ABANDONED_AFTER_S + 1.0
    running(queue, c)
    assert "nobody looked at it for 30 s" in str(queue.look(a).sentence)
    assert "nobody looked at it for 30 s" in str(queue.look(b).sentence)
    runner.go.set()
    assert ended(queue, c).state == "done"
    assert runner.order == [b"a", b"c"]
    clock.now += KEPT_S + 1.0
    queue.submit(b"d", Settings())
    assert "no longer known" in str(queue.look(c).sentence)
    queue.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "said", "asked"),
    [
        (MeasureError("It cannot be."), "It cannot be.", ()),
        (NeedsDims("Give length.", ("length",)), "Give length.", ("length",)),
        (OSError("no more processes"), "The measuring process could not be started, so nothing was measured.", ()),
    ],
)
def test_failure_is_a_sentence_and_the_next_one_runs(
    queue: MeasureQueue, runner: Runner, tmp_path: Path, error: Exception, said: str, asked: tuple[str, ...]
) -> None:
    runner.error = error
    runner.go.set()
    view = ended(queue, queue.submit(b"a", Settings()))
    assert (view.state, view.sentence, view.asked, view.result) == ("failed", said, asked, None)
    runner.error = None
    assert ended(queue, queue.submit(b"b", Settings())).state == "done"
    queue.close()
    assert list(tmp_path.iterdir()) == []


def test_batches_that_cannot_be_are_refused() -> None:
    for batches in ((), (0,), (1, 1), (10**6,), tuple(range(1, 12))):
        with pytest.raises(MeasureError, match="whole numbers"):
            Settings(batches=batches)


HOLD = """
import sys
from pathlib import Path
from sizing.measure.host_lock import HostLock
print(HostLock(Path(sys.argv[1])).take(), flush=True)
sys.stdin.read()
"""


def test_two_servers_of_a_host_measure_one_after_the_other(tmp_path: Path, runner: Runner) -> None:
    """Another process has the lock: the queue says so and waits; it goes on once that process has been killed."""
    path = tmp_path / "lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "True"
        folder = tmp_path / "models"
        folder.mkdir()
        queue = MeasureQueue(runner=runner, lock=HostLock(path), parent=folder)
        runner.go.set()
        ticket, second = queue.submit(b"a", Settings()), queue.submit(b"b", Settings())
        assert until(queue, ticket, lambda view: view.elsewhere).state == "queued"
        queue.cancel(second)
        assert queue.look(second).state == "cancelled"
        assert runner.order == []
    finally:
        other.kill()
        other.communicate()
    assert ended(queue, ticket).state == "done"
    queue.close()
    assert HostLock(path).take()
    assert list(folder.iterdir()) == []


def test_what_a_killed_server_left_is_removed(tmp_path: Path, runner: Runner) -> None:
    queue = MeasureQueue(runner=runner, lock=Free(), parent=tmp_path)
    ticket = queue.submit(b"a", Settings())
    running(queue, ticket)
    live = next(iter(tmp_path.iterdir()))
    old, foreign = tmp_path / (live.name[:-8] + "leftover"), tmp_path / "somebody-elses"
    for folder in (old, foreign):
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"x")
        os.utime(folder, (0, time.time() - STALE_S - 60))
    MeasureQueue(runner=runner, lock=Free(), parent=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((live.name, foreign.name))
    queue.close()


def test_the_real_thing_from_end_to_end(tmp_path: Path) -> None:
    """A real process behind the queue: a small model is measured, an endless one is cancelled; nothing is left."""
    folder = tmp_path / "models"
    folder.mkdir()
    queue = MeasureQueue(limits=Limits(total_s=30.0), lock=HostLock(tmp_path / "lock"), parent=folder)
    settings = Settings(batches=(1,), seconds_per_batch=0.05)
    endless, small = queue.submit(hostile.endless_loop(), settings), queue.submit(hostile.matrix(), settings)
    until(queue, endless, lambda view: view.progress is not None and view.progress.doing == "1 row a call")
    assert queue.look(small).ahead == 1
    queue.cancel(endless)
    assert ended(queue, endless).state == "cancelled"
    result = ended(queue, small).result
    assert result is not None
    assert [one.rows for one in result.rows] == [1]
    queue.close()
    assert list(folder.iterdir()) == []


CLOSING = """
import sys, time
from pathlib import Path
from sizing.measure import queue
from sizing.measure.host_lock import HostLock
from sizing.measure.records import Settings
from tests.measure import hostile
folder = Path(sys.argv[1])
queue.MeasureQueue = lambda made=queue.MeasureQueue: made(parent=folder / "models", lock=HostLock(folder / "lock"))
shared = queue.shared()
assert shared is queue.shared()
ticket = shared.submit(hostile.endless_loop(), Settings(batches=(1,)))
shared.submit(hostile.matrix(), Settings())
while shared.look(ticket).progress is None:
    time.sleep(0.02)
print(len(list((folder / "models").iterdir())))
"""


def test_a_server_that_closes_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", CLOSING, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "2"
    assert list((tmp_path / "models").iterdir()) == []


def test_no_room_on_the_disk_is_said(tmp_path: Path) -> None:
    queue = MeasureQueue(lock=Free(), parent=tmp_path / "missing")
    with pytest.raises(MeasureError, match="has no room for the file"):
        queue.submit(b"a", Settings())
