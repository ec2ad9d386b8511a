"""The real measuring process: good models are timed, hostile ones end in one sentence within the limits they were given."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from onnxruntime.datasets import get_example

from sizing.measure import process
from sizing.measure.process import Cancelled, NeedsDims
from sizing.measure.records import MIB, MODEL, Limits, MeasureError, Measurement, Progress, Settings
from sizing.onnx.reference import DEPTH, FEATURES, TREES, reference_model
from tests.measure import hostile

ROOT = Path(__file__).resolve().parents[2]
QUICK = Settings(batches=(1, 8), seconds_per_batch=0.05)
SMALL = Limits(memory_bytes=400 * MIB, total_s=20.0)
STEPS = 600
FILTERS = Path("/proc/sys/kernel/seccomp/actions_avail").exists() and platform.machine() in ("x86_64", "aarch64")
"""Whether the kernel here takes a filter of system calls."""


def measured(folder: Path, model: bytes, settings: Settings = QUICK, limits: Limits = SMALL) -> Measurement:
    (folder / MODEL).write_bytes(model)
    return process.measure(folder, settings, limits=limits)


def refusal(folder: Path, model: bytes, limits: Limits = SMALL) -> str:
    """The sentence a model is refused with."""
    with pytest.raises(MeasureError) as caught:
        measured(folder, model, limits=limits)
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert "Traceback" not in said
    assert len(said) < 500
    return said


def test_the_reference_is_timed_beside_itself(tmp_path: Path) -> None:
    """The same model as reference and as the reader's: the same times, whatever the machine."""
    settings = Settings(batches=(512, 1), seconds_per_batch=0.5)
    said: list[Progress] = []
    (tmp_path / MODEL).write_bytes(reference_model())
    found = process.measure(tmp_path, settings, limits=SMALL, hear=said.append)
    assert [one.rows for one in found.rows] == [1, 512] == [one.rows for one in found.reference]
    for one, reference in zip(found.rows, found.reference, strict=True):
        assert one.median_ms == pytest.approx(reference.median_ms, rel=0.5)
        assert one.median_ms <= one.p99_ms
        assert one.wall_median_ms <= one.wall_p99_ms
        assert one.calls >= 3
    assert found.rows[1].median_ms > 10 * found.rows[0].median_ms
    assert 2**20 < found.before_bytes <= found.loaded_bytes <= found.peak_bytes < SMALL.memory_bytes
    assert found.load_ms > 0
    assert found.confined == FILTERS or found.confined
    shares = [one.share for one in said]
    assert shares == sorted(shares)
    assert shares[-1] > 0.5
    assert said[-1].doing == "512 rows a call"


def test_the_reference_has_the_structure_that_is_predicted() -> None:
    import onnx

    model = onnx.load_from_string(reference_model())
    onnx.checker.check_model(model)
    values = {a.name: onnx.helper.get_attribute_value(a) for a in model.graph.node[0].attribute}
    assert len(values["nodes_treeids"]) == TREES * (2 ** (DEPTH + 1) - 1)
    assert values["nodes_modes"].count(b"LEAF") == TREES * 2**DEPTH == len(values["target_weights"])
    assert max(values["nodes_featureids"]) == FEATURES - 1
    assert reference_model(seed=1) != reference_model() == reference_model(seed=0)


def test_logistic_regression_of_the_onnxruntime_package(tmp_path: Path) -> None:
    found = measured(tmp_path, Path(get_example("logreg_iris.onnx")).read_bytes())
    assert [one.rows for one in found.rows] == [3]
    assert any("ZipMap" in note for note in found.notes)
    assert any("takes 3 rows a call and no other" in note for note in found.notes)
    assert (tmp_path / "reference.onnx").exists()


def test_texts_whole_numbers_and_open_dimensions_are_made_up(tmp_path: Path) -> None:
    assert [one.rows for one in measured(tmp_path, hostile.texts()).rows] == [1, 8]
    with pytest.raises(NeedsDims, match="'length'") as caught:
        measured(tmp_path, hostile.sequence_length())
    assert caught.value.names == ("length",)
    given = Settings(batches=(4,), dims={"length": 5}, seconds_per_batch=0.05)
    assert [one.rows for one in measured(tmp_path, hostile.sequence_length(), given).rows] == [4]


def test_what_takes_for_ever_is_ended_at_the_limit(tmp_path: Path) -> None:
    said = refusal(tmp_path, hostile.endless_loop(), Limits(memory_bytes=400 * MIB, total_s=3.0))
    assert said == "The measurement took more than the 3 s it may, so it was ended."


def test_memory_ends_at_the_limit(tmp_path: Path) -> None:
    for model in (hostile.wide_expand(), hostile.long_scan(), hostile.slow_bomb()):
        assert "more than the 0.391 GiB of memory" in refusal(tmp_path, model)


def test_resident_memory_is_watched_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that sets itself no limit and holds 300 MiB is ended by the one that watches it."""
    script = "import sys, time; sys.stdin.read(); held = b'x' * (300 * 2**20); time.sleep(60)"
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", script))
    said = refusal(tmp_path, b"", Limits(memory_bytes=150 * MIB, total_s=50.0))
    assert said == "The model held more than the 0.146 GiB of memory that a measurement may have, so it was ended."


def test_a_large_constant_counts_as_the_models_memory(tmp_path: Path) -> None:
    found = measured(tmp_path, hostile.large_constant(40), Settings(batches=(1,), seconds_per_batch=0.05))
    assert 30 * MIB < found.model_bytes < 200 * MIB
    assert "GiB of memory" in refusal(
        tmp_path, hostile.large_constant(90), Limits(memory_bytes=150 * MIB, total_s=20.0)
    )


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (hostile.external("/etc/passwd"), "data in another file"),
        (hostile.external("../../etc/passwd", inside=True), "data in another file"),
        (hostile.custom_operator(), "an operator of its own, 'Run' of 'evil.corp'"),
        (hostile.custom_operator("com.microsoft", "EPContext"), "an operator of its own"),
        (hostile.unknown_operator(), "No Op registered for NoSuchThing"),
        (hostile.deep_graphs(60), "nested at most 30 deep"),
        (hostile.matrix()[:-5], "ends early"),
        (b"\x80\x04\x95pickle", "no ONNX"),
        (b"", "no ONNX"),
    ],
    ids=("external", "external-inside", "custom", "context", "unknown", "deep", "cut", "pickle", "empty"),
)
def test_hostile_file_is_refused_in_a_sentence(tmp_path: Path, model: bytes, said: str) -> None:
    assert said in refusal(tmp_path, model)


def test_graphs_that_are_nested_a_little_run(tmp_path: Path) -> None:
    assert [one.rows for one in measured(tmp_path, hostile.deep_graphs(6)).rows] == [1, 8]


def test_what_was_timed_before_the_end_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that breaks off in its second batch: the first stands, with a note."""
    script = (
        "import json, os, sys\n"
        "request = json.loads(sys.stdin.read())\n"
        "row = {'rows': 1, 'calls': 3, 'median_ms': 1.0, 'p99_ms': 1.0, 'wall_median_ms': 1.0, 'wall_p99_ms': 1.0}\n"
        "say = lambda m: print(json.dumps(m), flush=True)\n"
        "if request['task'] == 'check':\n"
        "    say({'checked': {'inputs': [], 'notes': []}}); say({'done': True}); sys.exit()\n"
        "say({'reference': row}); say({'confined': False, 'before_bytes': 1}); say({'load_ms': 1.0, 'loaded_bytes': 2})\n"
        "say({'row': row})\n"
        "os.abort()\n"
    )
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", script))
    found = measured(tmp_path, b"", Settings(batches=(1,)))
    assert [one.rows for one in found.rows] == [1]
    early, unfiltered = found.notes
    assert early.startswith("Ended early. The measuring process broke off by signal SIGABRT")
    assert unfiltered.startswith("The kernel here has no filter of system calls")
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", script.replace("say({'row': row})", "pass")))
    assert "broke off by signal SIGABRT" in refusal(tmp_path, b"")


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"checked": {"inputs": 1}}',
        '{"checked": 3}',
        "[" * 100_000,
        '{"done": true}',
        "x" * 2_000_000,
    ],
)
def test_a_process_that_was_taken_over_cannot_say_nonsense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    (tmp_path / "line").write_text(line)
    script = "import sys; sys.stdin.read(); print(open('line').read(), flush=True)"
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", script))
    assert "measuring process" in refusal(tmp_path, b"")


def test_a_reason_from_outside_ends_it(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(hostile.endless_loop())
    heard: list[Progress] = []

    def stop() -> str | None:
        return "Cancelled." if heard and heard[-1].doing == "1 row a call" else None

    with pytest.raises(Cancelled, match=r"^Cancelled\.$"):
        process.measure(tmp_path, QUICK, limits=SMALL, stop=stop, hear=heard.append)
    assert children(os.getpid()) == []


def children(pid: int) -> list[int]:
    """Processes that this one started and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(parent) == pid and state != "Z" and b"sizing.measure.child" in command:
                found.append(int(entry.name))
    return found


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_process_dies_with_its_server(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(hostile.endless_loop())
    code = (
        "from pathlib import Path; from sizing.measure import process; from sizing.measure.records import *\n"
        f"process.measure(Path({str(tmp_path)!r}), Settings(batches=(1,)), limits=Limits(total_s=30),\n"
        "    hear=lambda progress: print(progress.doing, flush=True))"
    )
    server = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        # The endless loop has begun: from here the process neither reads nor writes.
        assert any(line.strip() == "1 row a call" for line in server.stdout)
        started = children(server.pid)
    finally:
        server.send_signal(signal.SIGKILL)
        server.communicate()
    assert started
    for _ in range(STEPS):
        if not running(started[0]):
            break
        time.sleep(0.02)
    assert not running(started[0])


def test_what_is_shut_stays_shut() -> None:
    """From `shut` on no file, process or socket, and an allocation beyond the address space fails at once."""
    code = """
import os, socket
from sizing.measure import confine
confine.begin(parent=os.getppid(), cpu_s=20, file_bytes=0)
out = []
held = confine.shut(mapped_bytes=2**30, extra_bytes=2**28)
for name, act in (("open", lambda: open("/etc/passwd")), ("fork", os.fork), ("socket", socket.socket),
                  ("kill", lambda: os.kill(os.getppid(), 0)), ("exec", lambda: os.execv("/bin/true", ["true"]))):
    try:
        act()
        out.append(name)
    except PermissionError:
        pass
try:
    bytearray(2**31)
    out.append("memory")
except MemoryError:
    pass
print(held, os.getpriority(os.PRIO_PROCESS, 0) >= 10, out)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    held, nice, rest = done.stdout.strip().split(" ", 2)
    if not FILTERS and held == "False":
        pytest.skip("the kernel here takes no filter of system calls")
    assert (held, nice, rest) == ("True", "True", "[]")
