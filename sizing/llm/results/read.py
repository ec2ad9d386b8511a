"""Reading results of one's own, whatever wrote them: JSON, JSON lines or a start-up log, told apart by what is in them.

Only numbers, dates and names are taken from a file. A file that cannot be used gives one sentence; so does each part of a file
that can be used in part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from sizing.errors import InputError, shown
from sizing.llm.results.aiperf import is_summary, read_summary
from sizing.llm.results.flat import is_flat, read_flat
from sizing.llm.results.guidellm import is_report, read_report
from sizing.llm.results.records import Results, ServingRun, StartupLog
from sizing.llm.results.startup_log import is_log, read_log

MAX_BYTES = 20_000_000
"""Largest file read [bytes]: a report of GuideLLM with all its requests has some 10 MB."""
MAX_LOG_BYTES = 4_000_000
MAX_RUNS = 200
"""Most runs kept of all files [1]."""
MAX_LINES = 2_000
KNOWN = "the JSON of vllm bench serve, SGLang bench_serving, GuideLLM or AIPerf, or a start-up log of vLLM"


def read_results(content: bytes, name: str = "file") -> Results:
    """Runs and start-up logs of one file. Raises InputError for a file that gives neither.

    >>> text = '{"request_rate": "inf", "max_concurrency": 8, "completed": 80, "total_input_tokens": 80000,'
    >>> text += '"total_output_tokens": 20000, "output_throughput": 700.0, "median_ttft_ms": 90.0, "median_tpot_ms": 10.5}'
    >>> [(r.clients, r.prompt_tokens, r.tpot_ms) for r in read_results(text.encode()).runs]
    [(8, 1000.0, 10.5)]
    """
    if len(content) > MAX_BYTES:
        raise InputError(name, f"{len(content):,} bytes", f"at most {MAX_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(name, "this file", f"text in UTF-8: {KNOWN}") from None
    if text.lstrip()[:1] in ("{", "["):
        found = _read_json(text, name)
    elif is_log(text):
        if len(text) > MAX_LOG_BYTES:
            raise InputError(
                name, f"{len(text):,} characters", f"a log of at most {MAX_LOG_BYTES:,}: its start is enough"
            )
        found = Results(logs=(read_log(text),))
    else:
        raise InputError(name, "this text", KNOWN)
    if not found.runs and not found.logs:
        said = found.left_out[0] if found.left_out else "no run with its load, lengths and times"
        raise InputError(name, said, KNOWN)
    return found


def read_all(files: Iterable[tuple[str, bytes]]) -> Results:
    """Results of several files together, what cannot be used said by file. Raises InputError where none can."""
    runs: list[ServingRun] = []
    logs: list[StartupLog] = []
    left_out: list[str] = []
    first: InputError | None = None
    for name, content in files:
        try:
            found = read_results(content, shown(name).strip("'"))
        except InputError as error:
            left_out.append(str(error))
            first = first or error
            continue
        runs += found.runs
        logs += found.logs
        left_out += found.left_out
    if first is not None and not runs and not logs:
        raise first
    if len(runs) > MAX_RUNS:
        left_out.append(f"{len(runs) - MAX_RUNS:,} more runs: {MAX_RUNS} are kept")
    if len(logs) > 1:
        left_out.append(f"{len(logs) - 1} more start-up logs: the last one counts")
    return Results(tuple(runs[:MAX_RUNS]), tuple(logs[-1:]), tuple(left_out))


def _loads(text: str) -> object:
    """JSON, with NaN and infinities as nothing. Raises ValueError for anything else, also too deep or too long a number."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("too deep") from None


def _read_json(text: str, name: str) -> Results:
    try:
        return _collected(_objects(_loads(text)))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
    runs: list[ServingRun] = []
    left_out: list[str] = []
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines[:MAX_LINES], 1):
        try:
            found = _collected(_objects(_loads(line)))
        except InputError as error:
            left_out.append(f"line {number}: {error}")
            continue
        except ValueError:
            raise InputError(name, f"line {number}" if len(lines) > 1 else "this file", "JSON, or JSON lines") from None
        runs += found.runs
        left_out += [f"line {number}: {said}" for said in found.left_out]
    if len(lines) > MAX_LINES:
        left_out.append(f"{len(lines) - MAX_LINES:,} more lines")
    return Results(tuple(runs), (), tuple(left_out))


def _objects(data: object) -> list[Mapping[str, object]]:
    """The objects of a file: one, or those of a list."""
    many = data if isinstance(data, list) else [data]
    return [one for one in many[:MAX_LINES] if isinstance(one, Mapping)]


def _collected(objects: Iterable[Mapping[str, object]]) -> Results:
    """Runs of the objects of a file, with a sentence for each that cannot be used."""
    runs: list[ServingRun] = []
    left_out: list[str] = []
    for one in objects:
        try:
            found = _read_one(one)
        except InputError as error:
            left_out.append(str(error))
            continue
        usable = [run for run in found if run.is_usable]
        runs += usable
        if len(found) > len(usable):
            left_out.append(f"{len(found) - len(usable)} runs without their load, lengths or times")
    return Results(tuple(runs), (), tuple(left_out))


def _read_one(one: Mapping[str, object]) -> list[ServingRun]:
    if is_report(one):
        return read_report(one)
    if is_summary(one):
        return [read_summary(one)]
    if is_flat(one):
        return [read_flat(one)]
    raise InputError("JSON", ", ".join(map(str, list(one)[:4])) or "an empty object", f"the keys of {KNOWN}")
