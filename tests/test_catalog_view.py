"""What the catalogs page shows: every figure with unit, source and date; search and filters lose nothing else."""

from __future__ import annotations

from datetime import date

import pytest

from sizing import catalog as catalogs
from sizing.catalog_view import CatalogView, column_name, columns, rows
from sizing.scenario import choices

CATALOG = catalogs.load()
TODAY = date(2026, 11, 22)
TABLES = choices(CatalogView, "table")
DIMENSIONLESS = {
    *("id", "name", "vendor", "architecture", "form_factor", "release_year", "memory_type", "interconnect"),
    *(
        "scaleup_domain_accelerators",
        "max_accelerators_per_node",
        "pcie_generation",
        "pcie_lanes",
        "compute_capability",
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_every_row_is_shown_with_source_and_date(table: str) -> None:
    found = rows(CATALOG, CatalogView(table=table), on=TODAY)
    expected = CATALOG.tables()[table]
    prices = sum(len(getattr(row, "prices", "x")) for row in expected.values())
    assert len(found) == prices
    assert {row["id"] for row in found} == set(expected)
    assert all(row["source"] and row["as_of"] and row["trust"] for row in found)
    shown = columns(found)
    assert len(shown) == len(set(shown))
    assert shown[0] == "id"
    assert shown[-1] == "source"


def test_physical_figures_of_accelerators_carry_their_unit() -> None:
    found = rows(CATALOG, CatalogView(table="accelerators"), on=TODAY)
    for name in columns(found):
        if name not in DIMENSIONLESS and isinstance(found[0].get(name), float):
            assert column_name(name).endswith(")"), name


def test_search_takes_all_words_in_any_column() -> None:
    found = rows(CATALOG, CatalogView(table="instances", search="H100 spot aws"), on=TODAY)
    assert found
    for row in found:
        text = " ".join(map(str, row.values())).lower()
        assert "h100" in text
        assert "spot" in text
        assert "aws" in text
    assert rows(CATALOG, CatalogView(table="instances", search="no-such-machine"), on=TODAY) == []


def test_filters_keep_what_they_say() -> None:
    view = CatalogView(table="instances", providers=("gcp",), marked_only=True)
    found = rows(CATALOG, view, on=TODAY)
    assert found
    assert {row["provider"] for row in found} == {"gcp"}
    assert all(row["marks"] for row in found)
    recalled = rows(CATALOG, CatalogView(table="llm_models", trust=("recalled",)), on=TODAY)
    assert recalled
    assert {row["trust"] for row in recalled} == {"recalled"}


def test_a_price_grows_old_with_the_day_it_is_looked_at() -> None:
    view = CatalogView(table="instances", search="2026-07-20")
    fresh = rows(CATALOG, view, on=date(2026, 7, 21))
    later = rows(CATALOG, view, on=date(2026, 11, 22))
    old = "older than 90 days"
    assert sum(old in row["marks"] for row in fresh) < sum(old in row["marks"] for row in later) == len(later)
