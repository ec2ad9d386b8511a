"""The catalog of serverless services: what a row must have, what the check finds, and old versions without the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from types import MappingProxyType

import pytest
from pydantic import ValidationError

from sizing import catalog as catalogs
from sizing.catalog_view import CatalogView, column_name, rows
from sizing.serverless_rows import ServerlessService

CATALOG = catalogs.load()
LAMBDA = CATALOG.serverless["aws-lambda-x86"]


def test_cpu_of_lambda_is_its_memory_over_1769_mib() -> None:
    for size in LAMBDA.sizes:
        assert size.vcpus == pytest.approx(size.memory_mib / 1769, abs=5e-5)


def test_every_row_says_where_it_is_from_and_how_sure() -> None:
    assert len(CATALOG.serverless) == 5
    for row in CATALOG.serverless.values():
        assert row.source
        assert row.marks(date(2026, 11, 25)), f"{row.id}: no price here is a fresh list price"
        assert [size.memory_mib for size in row.sizes if size.vcpus == row.sizes[-1].vcpus]
    assert "recalled" in CATALOG.serverless["sagemaker-serverless"].marks(CATALOG.as_of)


def test_a_size_twice_and_an_unknown_field_are_refused() -> None:
    content = LAMBDA.model_dump()
    size = content["sizes"][0]
    with pytest.raises(ValidationError, match="each size once"):
        ServerlessService.model_validate({**content, "sizes": (size, size)})
    with pytest.raises(ValidationError, match="usd_per_gb_s"):
        ServerlessService.model_validate({**content, "usd_per_gb_s": 1e-5})


def test_the_check_finds_a_price_in_the_wrong_unit() -> None:
    per_hour = LAMBDA.model_copy(update={"usd_per_gib_s": LAMBDA.usd_per_gib_s * 3600})
    wrong = replace(CATALOG, serverless=MappingProxyType({per_hour.id: per_hour}))
    assert any("usd_per_gib_s" in problem for problem in catalogs.check(wrong))


def test_versions_from_before_the_table_still_open() -> None:
    old = [version for version in catalogs.available_versions() if version < "2026-11-23"]
    assert old
    for version in old:
        assert not catalogs.load(version).serverless


def test_the_page_of_catalogs_shows_units_and_sizes() -> None:
    found = rows(CATALOG, CatalogView(table="serverless", providers=("gcp",)), on=date(2026, 11, 25))
    assert [row["id"] for row in found] == ["gcp-cloud-run"]
    assert "memory_mib 512" in found[0]["sizes"]
    assert column_name("usd_per_gib_s") == "usd per gib s (USD/GiB-s)"
