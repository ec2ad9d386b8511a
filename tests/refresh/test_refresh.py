"""New prices: matched to the right rows, shown before they are written, written without touching anything else."""

from __future__ import annotations

import shutil
import sys
from datetime import date
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sizing import catalog as catalogs
from sizing.__main__ import main
from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.fleet import price_of
from sizing.refresh.changes import diff, diff_text
from sizing.refresh.offers import Offer, from_csv, from_items
from sizing.refresh.write import rewritten, write
from sizing.scenario import StatisticalScenario

CATALOG = catalogs.load()
TODAY = date(2026, 12, 24)
T3 = "t3.medium"
T3_PRICE = 0.0416


def offer(place: str, usd: float, *, basis: Any = "on_demand", kind: str = T3, provider: str = "aws") -> Offer:
    return Offer(provider, kind, place, basis, usd)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Catalogs of one's own, which the command line then uses."""
    copy = shutil.copytree(catalogs.SHIPPED_DIRECTORY, tmp_path / "catalogs")
    monkeypatch.setenv(catalogs.DIRECTORY_VARIABLE, str(copy))
    return copy


def test_an_offer_belongs_to_the_row_of_its_instance_place_and_terms() -> None:
    offers = [
        offer("us-east-1", 0.05), offer("us-east-2", 0.01), offer("us-east-1a", 0.02, basis="spot"),
        offer("us-east-1b", 0.03, basis="spot"), offer("us-east-1c", 0.07, basis="spot"), offer("us-east-1", 0.001, kind="t3.mega"),
    ]  # fmt: skip
    found = diff(CATALOG, offers, providers=["aws"])
    by_basis = {c.price.basis: c for c in found.changes}
    assert {c.instance for c in found.changes} == {"aws-t3-medium"}
    assert set(by_basis) == {"on_demand", "spot"}
    assert by_basis["on_demand"].usd_per_hour == 0.05
    assert by_basis["on_demand"].ratio == pytest.approx(0.05 / T3_PRICE - 1)
    assert (by_basis["spot"].usd_per_hour, by_basis["spot"].places) == (0.03, 3)  # the median of the three zones
    missing = {(i.id, p.region_group, p.basis) for i, p in found.missing}
    assert ("aws-t3-medium", "us", "committed_1y") in missing
    assert not any(i.provider != "aws" or i.service.startswith("sagemaker") for i, _ in found.missing)


@pytest.mark.parametrize(
    ("provider", "kind", "place", "id"),
    [("gcp", "n2d-standard-8", "us-central1-a", "gcp-n2d-standard-8"), ("lambda", "gpu_1x_gh200", "us-east-3", "lambda-gpu-1x-gh200"),
     ("nebius", "gpu-h200-sxm 8gpu-128vcpu-1600gb", "eu-north1", "nebius-gpu-h200-sxm-8gpu-128vcpu-1600gb")],
)  # fmt: skip
def test_names_and_places_of_each_cloud_are_understood(provider: str, kind: str, place: str, id: str) -> None:
    found = diff(CATALOG, [offer(place, 1.0, kind=kind, provider=provider)], providers=[provider])
    assert {c.instance for c in found.changes} == {id}


def test_a_region_is_not_taken_for_one_that_starts_alike() -> None:
    assert diff(CATALOG, [offer("us-east-10", 1.0), offer("us-east", 1.0)], providers=["aws"]).changes == ()


def test_large_changes_are_marked_and_the_diff_says_old_and_new() -> None:
    found = diff(CATALOG, [offer("us-east-1", 0.0832)], providers=["aws"])
    text = diff_text(found, source="gpuhunt")
    line = next(line for line in text.splitlines() if line.startswith("aws-t3-medium"))
    assert line.split() == [
        "aws-t3-medium",
        "on_demand",
        "us-east-1",
        "0.0416",
        "(2026-07-20)",
        "->",
        "0.0832",
        "+100.0%",
        "LOOK",
    ]
    small = diff_text(diff(CATALOG, [offer("us-east-1", 0.045)], providers=["aws"]), source="gpuhunt")
    assert "LOOK" not in small


def test_only_the_changed_lines_and_the_header_are_written(folder: Path) -> None:
    before = (folder / "instances.yaml").read_text(encoding="utf-8")
    found = diff(CATALOG, [offer("us-east-1", 0.05), offer("us-east-1a", 0.02, basis="spot")], providers=["aws"])
    kept = write(found.changes, source="gpuhunt", about="price lists", on=TODAY, directory=folder)
    after = (folder / "instances.yaml").read_text(encoding="utf-8")
    new = [line for line in after.splitlines() if line not in before.splitlines()]
    assert new == [
        "as_of: 2026-12-24",
        "  gpuhunt: price lists",
        "    - {region_group: us, region: us-east-1, basis: on_demand, usd_per_hour: 0.05, as_of: 2026-12-24, kind: list, source: gpuhunt}",
        "    - {region_group: us, region: us-east-1, basis: spot, usd_per_hour: 0.02, as_of: 2026-12-24, kind: observed, source: gpuhunt}",
    ]
    assert len(after.splitlines()) == len(before.splitlines()) + 1
    version = kept.name.removesuffix(".json.gz")
    assert version.startswith("2026-12-24.")
    fresh, old = catalogs.load(version, folder), catalogs.load(CATALOG.version, folder)
    assert _price(fresh) == 0.05
    assert _price(old) == T3_PRICE
    own = StatisticalScenario(own_prices=("aws-t3-medium~0.9",))
    paid = price_of(own, fresh.instance("aws-t3-medium"))
    assert paid is not None
    assert paid.usd_per_hour == 0.9


def _price(catalog: Catalog) -> float:
    price = catalog.instance("aws-t3-medium").price("us", "on_demand")
    assert price is not None
    return price.usd_per_hour


def test_a_file_that_is_not_as_we_write_it_is_left_alone() -> None:
    found = diff(CATALOG, [offer("us-east-1", 0.05)], providers=["aws"])
    with pytest.raises(InputError, match="price lines"):
        rewritten("as_of: 2026-01-01\nrows:\n- id: other\n", found.changes, source="x", about="y", on=TODAY)


def test_the_command_shows_first_and_writes_when_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text(
        "provider,instance_type,region,basis,usd_per_hour\naws,t3.medium,us-east-1,on_demand,0.045\naws,t3.large,us-east-1,on_demand,9\n",
        encoding="utf-8",
    )
    before = (folder / "instances.yaml").read_text(encoding="utf-8")
    call = ["catalog", "refresh", "--from", str(prices), "--provider", "aws"]
    assert main(call) == 0
    assert "Nothing is written" in capsys.readouterr().out
    assert (folder / "instances.yaml").read_text(encoding="utf-8") == before
    assert main([*call, "--write"]) == 0
    assert "Wrote 1 prices" in capsys.readouterr().out
    text = (folder / "instances.yaml").read_text(encoding="utf-8")
    assert "usd_per_hour: 0.045, " in text
    assert "usd_per_hour: 9, " not in text  # 100 times dearer: somebody has to look
    assert main([*call, "--write", "--accept-large"]) == 0
    assert "usd_per_hour: 9, " in (folder / "instances.yaml").read_text(encoding="utf-8")


def test_without_the_optional_package_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "gpuhunt", None)
    assert main(["catalog", "refresh"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "requirements-refresh.txt" in said


def _pretend(monkeypatch: pytest.MonkeyPatch, query: Any) -> None:
    module = ModuleType("gpuhunt")
    module.query = query  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gpuhunt", module)


def test_without_a_network_one_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(**_: object) -> list[object]:
        raise ConnectionError("name resolution failed")

    _pretend(monkeypatch, refused)
    assert main(["catalog", "refresh"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "network" in said
    assert "Traceback" not in said


def test_items_of_the_package_become_offers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def item(provider: str, name: str, place: str, price: float, *, spot: bool) -> SimpleNamespace:
        return SimpleNamespace(provider=provider, instance_name=name, location=place, price=price, spot=spot)

    items = [
        item("lambdalabs", "gpu_1x_gh200", "us-east-3", 2.5, spot=False), item("aws", T3, "us-east-1", 0.04, spot=False),
        item("vastai", "x", "us", 1.0, spot=False), item("aws", T3, "us-east-1a", float("nan"), spot=True),
    ]  # fmt: skip
    assert from_items(items) == [
        offer("us-east-3", 2.5, kind="gpu_1x_gh200", provider="lambda"),
        offer("us-east-1", 0.04),
    ]
    asked: list[object] = []

    def query(provider: list[str]) -> list[SimpleNamespace]:
        asked.extend(provider)
        return items

    _pretend(monkeypatch, query)
    assert main(["catalog", "refresh", "--provider", "lambda", "--provider", "aws"]) == 0
    assert asked == ["lambdalabs", "aws"]
    assert "aws-t3-medium" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "field"),
    [("provider,price\naws,1\n", "prices"), ("", "prices"),
     ("provider,instance_type,region,basis,usd_per_hour\nmars,a,b,spot,1\n", "prices line 2, provider"),
     ("provider,instance_type,region,basis,usd_per_hour\naws,a,b,weekly,1\n", "prices line 2, basis"),
     ("provider,instance_type,region,basis,usd_per_hour\naws,a,b,spot,free\n", "prices line 2, usd_per_hour"),
     ("provider,instance_type,region,basis,usd_per_hour\naws,a,b,spot,inf\n", "prices line 2, usd_per_hour")],
)  # fmt: skip
def test_a_file_that_cannot_be_used_names_line_and_column(text: str, field: str) -> None:
    with pytest.raises(InputError) as refused:
        from_csv(text)
    assert refused.value.field == field


def test_an_unknown_cloud_and_a_missing_file_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "refresh", "--provider", "coreweave"]) == 2
    assert "coreweave" in capsys.readouterr().err
    assert main(["catalog", "refresh", "--from", "no-such.csv"]) == 2
    assert "no-such.csv" in capsys.readouterr().err
