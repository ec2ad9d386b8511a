"""`python -m sizing measure`: the measurement of the page on the command line, with the same process, limits and queue."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.measure.factor import Compared, compared, machine_speed, measured_text
from sizing.measure.process import unavailable
from sizing.measure.queue import MeasureQueue
from sizing.measure.records import MOST_BATCHES, MOST_ROWS, Limits, MeasureError, Measurement, Settings
from sizing.measure.table import text
from sizing.scenario import StatisticalScenario

LOOK_EVERY_S = 0.2


def parse_batches(written: str) -> tuple[int, ...]:
    """Numbers of rows from a text with commas.

    >>> parse_batches("1,8, 64")
    (1, 8, 64)
    """
    parts = [part.strip() for part in written.split(",")]
    allowed = f"1 to {MOST_BATCHES} different whole numbers from 1 to {MOST_ROWS:,}, such as 1,8,64"
    if not all(part.isascii() and part.isdecimal() and len(part) <= 6 for part in parts):
        raise InputError("batches", written, allowed)
    batches = tuple(map(int, parts))
    try:
        Settings(batches=batches)
    except MeasureError:
        raise InputError("batches", written, allowed) from None
    return batches


def run(
    file: str, *, batches: Sequence[int], dims: dict[str, int], scenario: StatisticalScenario | None, catalog: Catalog
) -> int:
    """Measure a file and print the table; progress goes to standard error. Exit 0, or 1 where nothing could be measured."""
    reason = unavailable()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    limit = Limits().model_bytes
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(limit + 1)
    except (OSError, ValueError):
        raise InputError("file", file, "an ONNX file that can be read") from None
    queue = MeasureQueue()
    try:
        found = _wait(queue, queue.submit(content, Settings(batches=tuple(batches), dims=dims)), _teller())
        speed = machine_speed(found, catalog)
    except MeasureError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        queue.close()
    rows = (
        tuple(Compared(one, None, None, None) for one in found.rows)
        if scenario is None
        else compared(found, scenario, catalog)
    )
    print(text(found, rows, speed, catalog), end="")
    if scenario is not None:
        print(f"measured_service: {measured_text(found, scenario, catalog)}")
    return 0


def _wait(queue: MeasureQueue, ticket: str, tell: Callable[[str], None]) -> Measurement:
    while True:
        view = queue.look(ticket)
        if view.result is not None:
            return view.result
        if view.ended:
            how = "".join(f" --dim {name}=N" for name in view.asked)
            raise MeasureError(f"{view.sentence}{how and ' Here:'}{how}")
        if view.state == "queued":
            tell("waiting for another measurement on this machine" if view.elsewhere else "waiting")
        elif view.progress is not None:
            tell(view.progress.doing)
        time.sleep(LOOK_EVERY_S)


def _teller() -> Callable[[str], None]:
    """Says each new thing once."""
    last: list[str] = []

    def tell(doing: str) -> None:
        if last != [doing]:
            last[:] = [doing]
            print(f"{doing} ...", file=sys.stderr)

    return tell
