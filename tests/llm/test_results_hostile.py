"""Hostile result files: whatever stands in them, the reader gives runs with sane figures or one InputError, never another error."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_files import AIPERF, GENAI_PERF, GUIDELLM_NEW, GUIDELLM_OLD, LOG_V0, LOG_V1, SGLANG, VLLM, content

from sizing import catalog as catalogs
from sizing.errors import InputError
from sizing.llm.results.compare import compare
from sizing.llm.results.read import read_results
from sizing.llm.results.records import Results
from sizing.llm.results.setup import guess
from sizing.scenario import LlmScenario

CATALOG = catalogs.load()
OBJECTS = (VLLM, SGLANG, GUIDELLM_NEW, GUIDELLM_OLD, AIPERF, GENAI_PERF)
POISON = (
    None,
    True,
    -1,
    0,
    1e308,
    -1e308,
    10**400,
    "",
    "inf",
    "x" * 5000,
    [],
    [[]],
    {},
    {"successful": 3},
    [None],
    "\x00\u202e",
    0.5,
)


def judged(content: bytes) -> Results | None:
    """What is read, checked; None for an InputError in one line."""
    said = ""
    try:
        found = read_results(content)
    except InputError as error:
        said = str(error)
        found = Results()
    assert "\n" not in said
    if said:
        return None
    for run in found.runs:
        assert run.is_usable
        for value in (run.ttft_ms, run.tpot_ms, run.output_tokens_per_s, run.rate_per_s, run.prompt_tokens):
            assert value is None or 0 < value < 1e15
    return found


def compared(found: Results | None) -> None:
    """The comparison with the default scenario: rows, or one InputError."""
    if found is None:
        return
    scenario = LlmScenario()
    try:
        done = compare(scenario, CATALOG, guess(scenario, None, found, CATALOG), found)
    except InputError:
        return
    assert len(done.rows) == len(found.runs)
    for row in done.rows:
        for cell in row.cells.values():
            assert 0 < cell.low <= cell.predicted <= cell.high


def poisoned(value: Any, draw: random.Random) -> Any:
    """A copy with one place replaced by something else."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        return {**value, key: poisoned(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        at = draw.randrange(len(value))
        return [*value[:at], poisoned(value[at], draw), *value[at + 1 :]]
    return draw.choice(POISON)


@pytest.mark.parametrize("seed", range(len(OBJECTS)))
def test_any_place_of_any_file_may_hold_anything(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(120):
        bad = poisoned(OBJECTS[seed], draw)
        for _ in range(draw.randrange(3)):
            bad = poisoned(bad, draw)
        compared(judged(json.dumps(bad).encode()))


def test_files_cut_or_changed_anywhere() -> None:
    draw = random.Random(7)
    whole = [*(content(one) for one in OBJECTS), content(VLLM, SGLANG), LOG_V1.encode(), LOG_V0.encode()]
    for good in whole:
        for _ in range(40):
            at = draw.randrange(len(good))
            judged(good[:at])
            judged(good[:at] + bytes([draw.randrange(256)]) + good[at + 1 :])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.text(max_size=80), st.sampled_from(LOG_V1.splitlines() + LOG_V0.splitlines())), max_size=12)
)
def test_any_lines_of_a_log(lines: list[str]) -> None:
    judged("\n".join(lines).encode())


@pytest.mark.parametrize(
    "line",
    [
        "Model loading took " + "9" * 400 + " GiB",
        "GPU KV cache size: " + "9," * 5000 + " tokens",
        "KV cache (((((" + "(Worker " * 20_000,
        "non-default args: {" + "'model': '" * 50_000,
        "LLM engine (v" * 50_000,
        "init engine (" + "(" * 100_000 + "KV cache",
        "# GPU blocks: 0, KV cache",
    ],
)
def test_lines_made_to_be_slow_or_large(line: str) -> None:
    judged((line + "\nAvailable KV cache memory: 5 GiB").encode())
    judged(line.encode())


def test_a_log_of_as_many_lines_as_are_allowed_is_read_line_by_line() -> None:
    assert judged((LOG_V1 + "INFO engine is fine\n" * 150_000).encode()) is not None
