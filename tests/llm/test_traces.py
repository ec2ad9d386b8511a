"""Traces: the laws they are drawn from, the same seed the same trace, and a file that says what is wrong with it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.errors import InputError
from sizing.llm.traces import MAX_ROWS, Trace, bursty, fixed, lognormal, make_trace, poisson, trace_from_csv

HEADER = "arrival_s,prompt_tokens,output_tokens\n"


@pytest.mark.parametrize("squared_cv", [0.0, 0.25, 1.0, 4.0])
def test_gaps_have_the_rate_and_the_burstiness(squared_cv: float) -> None:
    gaps = np.diff(bursty(4.0, 50_000, squared_cv, seed=1), prepend=0.0)
    assert gaps.min() >= 0
    assert gaps.mean() == pytest.approx(0.25, rel=0.03)
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(squared_cv, rel=0.06, abs=1e-9)


def test_poisson_counts_have_the_variance_of_their_mean() -> None:
    counts = np.bincount(poisson(5.0, 50_000, seed=2).astype(int))[:-1]
    assert counts.mean() == pytest.approx(5.0, rel=0.03)
    assert counts.var() == pytest.approx(5.0, rel=0.05)


@settings(max_examples=100, deadline=None)
@given(st.floats(1, 20_000), st.floats(0, 3), st.integers(20, 2000), st.integers(0, 2**32))
def test_lengths_keep_their_mean(mean: float, cv: float, count: int, seed: int) -> None:
    lengths = lognormal(mean, cv, count, seed)
    assert lengths.shape == (count,)
    assert lengths.min() >= 1
    # Equal lengths cannot have a mean between two whole numbers.
    assert abs(lengths.mean() - mean) <= (0.02 * mean if cv > 0.1 else 0.5)


def test_lengths_have_the_spread_of_the_law() -> None:
    lengths = lognormal(1000, 0.8, 50_000, seed=3)
    assert lengths.std() / lengths.mean() == pytest.approx(0.8, rel=0.05)
    assert np.median(lengths) == pytest.approx(1000 / np.sqrt(1 + 0.8**2), rel=0.03)
    assert (fixed(7, 4) == 7).all()


def test_a_seed_is_a_trace_and_laws_are_drawn_apart() -> None:
    given_ = {"rate_per_s": 3, "count": 200, "prompt_tokens": 500, "output_tokens": 100, "output_cv": 1.0}
    one, same = make_trace(**given_, seed=1), make_trace(**given_, seed=1)  # type: ignore[arg-type]
    other = make_trace(**given_, seed=2)  # type: ignore[arg-type]
    longer = make_trace(**{**given_, "output_tokens": 300}, seed=1, prompt_cv=1.0)  # type: ignore[arg-type]
    assert (one.arrival_s == same.arrival_s).all()
    assert (one.output_tokens == same.output_tokens).all()
    assert (one.arrival_s != other.arrival_s).all()
    assert (one.arrival_s == longer.arrival_s).all()
    assert np.corrcoef(one.output_tokens, longer.output_tokens)[0, 1] > 0.999
    assert abs(np.corrcoef(longer.prompt_tokens, longer.output_tokens)[0, 1]) < 0.2
    cached = make_trace(**given_, seed=1, prompt_cv=1.0, cached_tokens=400)  # type: ignore[arg-type]
    assert (cached.cached_tokens == np.minimum(cached.prompt_tokens, 400)).all()


def test_csv_is_sorted_and_reads_what_spreadsheets_write() -> None:
    text = "\ufeffid, arrival_s ,output_tokens,prompt_tokens,cached_tokens\r\na,1.5,10,200.0,\r\n\r\nb,0,20,1e3,50\r\n"
    with pytest.raises(InputError, match=r"^line 2, cached_tokens: empty is not allowed"):
        trace_from_csv(text)
    trace = trace_from_csv(text.replace("200.0,", "200.0,0"))
    assert trace.arrival_s.tolist() == [0.0, 1.5]
    assert trace.prompt_tokens.tolist() == [1000, 200]
    assert trace.output_tokens.tolist() == [20, 10]
    assert trace.cached_tokens.tolist() == [50, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^line 1: .* a header that has arrival_s, prompt_tokens, output_tokens"),
        ("arrival_s,prompt_tokens\n0,1\n", r"^line 1: 'arrival_s,prompt_tokens' .* output_tokens, each once"),
        ("arrival_s,arrival_s,prompt_tokens,output_tokens\n", r"^line 1: "),
        (HEADER, r"^line 2: empty is not allowed; allowed is at least one row"),
        (HEADER + "0,1,1\nsoon,1,1\n", r"^line 3, arrival_s: 'soon' .* a number of seconds from 0"),
        (HEADER + "-1,1,1\n", r"^line 2, arrival_s: '-1' "),
        (HEADER + "nan,1,1\n", r"^line 2, arrival_s: 'nan' "),
        (HEADER + "0,0,1\n", r"^line 2, prompt_tokens: '0' .* a whole number from 1"),
        (HEADER + "0,1.5,1\n", r"^line 2, prompt_tokens: '1.5' "),
        (HEADER + "0,1,inf\n", r"^line 2, output_tokens: 'inf' "),
        (HEADER + "0,1\n", r"^line 2, output_tokens: empty is not allowed"),
        (HEADER.strip() + ",cached_tokens\n0,5,1,6\n", r"^line 2, cached_tokens: 6.* no more than its prompt, 5"),
        (HEADER + '0,1,"' + "9" * 200_000, r"^line 2: 'field larger than field limit"),
        (HEADER + "0,1,1\n" * (MAX_ROWS + 1), rf"^line {MAX_ROWS + 2}: .* up to {MAX_ROWS} rows"),
    ],
)
def test_bad_csv_names_line_column_value_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        trace_from_csv(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("arrival_s", ([], [], [])),
        ("arrival_s", ([1.0, 0.5], [1, 1], [1, 1])),
        ("arrival_s", ([-1.0], [1], [1])),
        ("arrival_s", ([float("nan")], [1], [1])),
        ("prompt_tokens", ([0.0], [0], [1])),
        ("prompt_tokens", ([0.0, 1.0], [1], [1, 1])),
        ("output_tokens", ([0.0], [1], [1.5])),
        ("cached_tokens", ([0.0], [1], [1], [2])),
        ("cached_tokens", ([0.0], [1], [1], [-1])),
    ],
)
def test_a_bad_trace_names_the_field(field: str, values: tuple[list[float], ...]) -> None:
    with pytest.raises(InputError, match=rf"^{field}: "):
        Trace(*(np.array(column) for column in values))


def test_bad_laws_name_the_field() -> None:
    for field, call in (
        ("rate_per_s", lambda: poisson(0.0, 5, 1)),
        ("count", lambda: poisson(1.0, 0, 1)),
        ("gap_squared_cv", lambda: bursty(1.0, 5, -1.0, 1)),
        ("mean", lambda: lognormal(0.5, 1.0, 5, 1)),
        ("cv", lambda: lognormal(5.0, 11.0, 5, 1)),
        ("count", lambda: fixed(5, MAX_ROWS + 1)),
    ):
        with pytest.raises(InputError, match=rf"^{field}: "):
            call()
