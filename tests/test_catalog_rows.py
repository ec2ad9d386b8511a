"""Properties of dates and prices of catalog rows."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sizing.catalog_rows import Price, earliest_day

DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


def price(as_of: str, kind: str = "list") -> Price:
    """A price of that date and kind."""
    fields = {"region_group": "us", "region": "x", "basis": "on_demand", "usd_per_hour": 1.0, "source": "s"}
    return Price.model_validate({**fields, "as_of": as_of, "kind": kind})


@given(day=DAYS, age=st.integers(0, 400))
def test_age_counts_from_the_day(day: date, age: int) -> None:
    assert price(day.isoformat()).older_than_days(day + timedelta(days=age)) == (age > 90)


@given(day=DAYS)
def test_a_coarser_date_is_never_younger(day: date) -> None:
    half = f"{day.year}-H{1 if day.month <= 6 else 2}"
    days = [earliest_day(text) for text in (str(day.year), half, f"{day:%Y-%m}", day.isoformat())]
    known = [d for d in days if d is not None]
    assert len(known) == 4
    assert known == sorted(known)
    assert known[-1] == day


@pytest.mark.parametrize(
    ("as_of", "kind", "marks"),
    [
        ("2026-11-01", "list", ()),
        ("2026-08-24", "observed", ()),
        ("2026-08-23", "observed", ("older than 90 days",)),
        ("2026-11", "derived", ("derived",)),
        ("2026-H2", "secondary", ("older than 90 days", "secondary source", "undated")),
        ("2026", "list", ("older than 90 days", "undated")),
        ("undated", "list", ("older than 90 days", "undated")),
    ],
)
def test_marks(as_of: str, kind: str, marks: tuple[str, ...]) -> None:
    assert price(as_of, kind).marks(date(2026, 11, 22)) == marks


@pytest.mark.parametrize("as_of", ["", "22.11.2026", "2026-02-30", "2026-H3", "2026-7-1", "yesterday"])
def test_what_is_no_date_is_refused(as_of: str) -> None:
    with pytest.raises(ValidationError, match="a date such as"):
        price(as_of)
