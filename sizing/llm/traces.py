"""Traces of requests: when each arrives and how many tokens it brings and asks for. Every draw has its seed."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from sizing.errors import InputError

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

MAX_ROWS = 100_000
"""Most requests of a trace [1]: simulated in about a second, and a file of some 3 MB."""

MAX_TOKENS = 10_000_000
"""Most tokens of a prompt or an output [1]; no model's context reaches this."""

MAX_ARRIVAL_S = 1e10
"""Latest arrival [s]; seconds since 1970 fit."""

MAX_CV = 10.0
"""Largest coefficient of variation of a length [1]."""

_BISECTIONS = 60


@dataclass(frozen=True, eq=False)
class Trace:
    """Requests in order of arrival [s], with tokens of the prompt, of the output, and of the prompt found cached.

    Arrays of one length; `cached_tokens` is 0 unless given. Raises InputError for arrays that differ in length, have
    no request or more than MAX_ROWS, are not sorted by arrival, or hold values out of range.

    >>> Trace(np.array([0.0, 1.5]), np.array([100, 200]), np.array([10, 20])).cached_tokens
    array([0, 0])
    """

    arrival_s: Floats
    prompt_tokens: Whole
    output_tokens: Whole
    cached_tokens: Whole = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        count = len(self.arrival_s)
        if not 1 <= count <= MAX_ROWS:
            raise InputError("arrival_s", f"{count} requests", f"1 to {MAX_ROWS} requests")
        if len(self.cached_tokens) == 0:
            object.__setattr__(self, "cached_tokens", np.zeros(count, dtype=np.int64))
        for name, least in (("prompt_tokens", 1), ("output_tokens", 1), ("cached_tokens", 0)):
            tokens = np.asarray(getattr(self, name))
            if len(tokens) != count:
                raise InputError(name, f"{len(tokens)} values", f"one value for each of the {count} arrivals")
            wrong = ~((tokens >= least) & (tokens <= MAX_TOKENS) & (tokens == np.floor(tokens)))
            if wrong.any():
                raise InputError(name, tokens[wrong][0], f"a whole number from {least} to {MAX_TOKENS}")
            object.__setattr__(self, name, tokens.astype(np.int64))
        wrong = self.cached_tokens > self.prompt_tokens
        if wrong.any():
            raise InputError("cached_tokens", self.cached_tokens[wrong][0], "no more than the tokens of its prompt")
        arrival = np.asarray(self.arrival_s, dtype=np.float64)
        wrong = ~((arrival >= 0.0) & (arrival <= MAX_ARRIVAL_S))
        if wrong.any():
            raise InputError("arrival_s", arrival[wrong][0], f"a number of seconds from 0 to {MAX_ARRIVAL_S:g}")
        late = np.flatnonzero(np.diff(arrival) < 0.0)
        if len(late):
            raise InputError("arrival_s", arrival[late[0] + 1], f"no earlier than {arrival[late[0]]:g}, the one before")
        object.__setattr__(self, "arrival_s", arrival)


def poisson(rate_per_s: float, count: int, seed: int) -> Floats:
    """Arrival times [s], shape (count,), of a Poisson process: gaps exponential with mean 1 / rate.

    Raises InputError for a rate that is not positive or a count out of 1 to MAX_ROWS.

    >>> arrivals = poisson(5.0, 10_000, seed=1)
    >>> round(float(arrivals[-1]) / 10_000, 2)
    0.2
    """
    return bursty(rate_per_s, count, 1.0, seed)


def bursty(rate_per_s: float, count: int, gap_squared_cv: float, seed: int) -> Floats:
    """Arrival times [s], shape (count,), with gamma gaps: shape 1 / cv^2, mean 1 / rate; 0 evenly spaced, 1 Poisson.

    `gap_squared_cv` is the variance of the gaps over their squared mean, 0 to 100. Raises InputError out of range.
    Source: the "burstiness" of load generators for language models is 1 / cv^2 (vLLM, `vllm bench serve`).

    >>> bursty(2.0, 4, 0.0, seed=1)
    array([0.5, 1. , 1.5, 2. ])
    """
    if not 0.0 < rate_per_s <= 1e6:
        raise InputError("rate_per_s", rate_per_s, "a number above 0 and up to 1000000")
    if not 0.0 <= gap_squared_cv <= 100.0:
        raise InputError("gap_squared_cv", gap_squared_cv, "a number from 0 to 100")
    _check_count(count)
    if gap_squared_cv == 0.0:
        return np.arange(1, count + 1) / rate_per_s
    gaps = np.random.default_rng(seed).gamma(1.0 / gap_squared_cv, gap_squared_cv / rate_per_s, count)
    return np.cumsum(gaps)


def fixed(tokens: int, count: int) -> Whole:
    """Lengths [tokens], shape (count,), all the same. Raises InputError for a length below 1.

    >>> fixed(250, 3)
    array([250, 250, 250])
    """
    return lognormal(tokens, 0.0, count, seed=0)


def lognormal(mean: float, cv: float, count: int, seed: int) -> Whole:
    """Lengths [tokens], shape (count,), lognormal with sigma^2 = ln(1 + cv^2), rounded to whole tokens from 1 up.

    The draw is scaled so that its own mean is `mean`, as near as whole tokens allow (under 2 %): otherwise the load
    of a short trace hangs on a few long requests. Raises InputError for a mean below 1 or a cv out of 0 to MAX_CV.

    >>> lengths = lognormal(1000.0, 0.8, 500, seed=3)
    >>> round(lengths.mean()), int(lengths.min()) >= 1
    (1000, True)
    """
    if not 1.0 <= mean <= MAX_TOKENS:
        raise InputError("mean", mean, f"a number of tokens from 1 to {MAX_TOKENS}")
    if not 0.0 <= cv <= MAX_CV:
        raise InputError("cv", cv, f"a number from 0 to {MAX_CV:g}")
    _check_count(count)
    shape = np.exp(math.sqrt(math.log1p(cv**2)) * np.random.default_rng(seed).standard_normal(count))
    # Rounding up to 1 lifts the mean of short lengths, so the scale is found on the rounded lengths.
    low, high = 0.0, 2.0 * mean / shape.mean()
    for _ in range(_BISECTIONS):
        scale = (low + high) / 2.0
        low, high = (scale, high) if _rounded(scale * shape).mean() < mean else (low, scale)
    return min(_rounded(low * shape), _rounded(high * shape), key=lambda lengths: abs(lengths.mean() - mean))


def _rounded(lengths: Floats) -> Whole:
    return np.clip(np.rint(lengths), 1, MAX_TOKENS).astype(np.int64)


def make_trace(
    *,
    rate_per_s: float,
    count: int,
    prompt_tokens: float,
    output_tokens: float,
    seed: int,
    prompt_cv: float = 0.0,
    output_cv: float = 0.0,
    gap_squared_cv: float = 1.0,
    cached_tokens: int = 0,
) -> Trace:
    """Trace of `count` requests: arrivals [s] as `bursty`, lengths [tokens] as `lognormal` with these means.

    `cached_tokens` is a prefix that all prompts share and the cache holds (at most the prompt). Arrivals, prompts and
    outputs have a stream each, so that a change to one law leaves the other draws as they were. Raises InputError.

    >>> trace = make_trace(rate_per_s=2.0, count=100, prompt_tokens=1000, output_tokens=250, output_cv=0.5, seed=1)
    >>> trace.prompt_tokens[:3], round(trace.output_tokens.mean())
    (array([1000, 1000, 1000]), 250)
    """
    gaps, prompts, outputs = (int(stream.generate_state(1)[0]) for stream in np.random.SeedSequence(seed).spawn(3))
    prompt = lognormal(prompt_tokens, prompt_cv, count, prompts)
    return Trace(
        arrival_s=bursty(rate_per_s, count, gap_squared_cv, gaps),
        prompt_tokens=prompt,
        output_tokens=lognormal(output_tokens, output_cv, count, outputs),
        cached_tokens=np.minimum(cached_tokens, prompt),
    )


def trace_from_csv(text: str) -> Trace:
    """Trace from CSV with the columns arrival_s [s], prompt_tokens and output_tokens [tokens], in any order of rows.

    A column cached_tokens is read if there is one; others are ignored. Raises InputError, which names line, column,
    value and what is allowed, for anything that is not such a table of 1 to MAX_ROWS rows.

    >>> trace_from_csv("arrival_s,prompt_tokens,output_tokens\\n2.5,100,20\\n0,50,10\\n").prompt_tokens
    array([ 50, 100])
    >>> trace_from_csv("arrival_s,prompt_tokens,output_tokens\\n0,many,10\\n")
    Traceback (most recent call last):
    sizing.errors.InputError: line 2, prompt_tokens: 'many' is not allowed; allowed is a whole number from 1 to 10000000.
    """
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), skipinitialspace=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        columns = _COLUMNS if "cached_tokens" in header else _COLUMNS[:3]
        if any(header.count(name) != 1 for name in columns):
            raise InputError("line 1", ",".join(header), f"a header that has {', '.join(columns)}, each once")
        places = [(name, header.index(name)) for name in columns]
        rows: list[list[float]] = []
        for cells in reader:
            if not any(cells):
                continue
            if len(rows) == MAX_ROWS:
                raise InputError(f"line {reader.line_num}", "one more row", f"up to {MAX_ROWS} rows")
            row = [_cell(cells, place, name, reader.line_num) for name, place in places]
            if len(row) > 3 and row[3] > row[1]:
                raise InputError(
                    f"line {reader.line_num}, cached_tokens", row[3], f"no more than its prompt, {row[1]:g}"
                )
            rows.append(row)
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}", str(error), "comma-separated values") from error
    if not rows:
        raise InputError("line 2", None, "at least one row under the header")
    rows.sort(key=itemgetter(0))
    arrival, *tokens = np.array(rows).T
    return Trace(arrival, *(column.astype(np.int64) for column in tokens))


_COLUMNS = ("arrival_s", "prompt_tokens", "output_tokens", "cached_tokens")


def _cell(cells: list[str], place: int, column: str, line: int) -> float:
    text = cells[place].strip() if place < len(cells) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if column == "arrival_s":
        if not 0.0 <= value <= MAX_ARRIVAL_S:
            raise InputError(f"line {line}, {column}", text or None, f"a number of seconds from 0 to {MAX_ARRIVAL_S:g}")
        return value
    least = 0 if column == "cached_tokens" else 1
    if not (least <= value <= MAX_TOKENS and value.is_integer()):
        raise InputError(f"line {line}, {column}", text or None, f"a whole number from {least} to {MAX_TOKENS}")
    return value


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_ROWS:
        raise InputError("count", count, f"a whole number from 1 to {MAX_ROWS}")
