"""A link made under an older catalog opens with the old figures, says what has changed, and moves on when asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page
from screen import answer, assert_whole, field, metric, redraw

from benchmarks.dashboard import serve
from sizing import catalog as catalogs
from sizing import link as links
from sizing.planner import plan
from sizing.scenario import LlmScenario
from sizing.units import format_usd


def _dearer_catalog(folder: Path, instance: str, old: float, new: float) -> Path:
    """A copy of the catalogs with the prices of one instance changed; the old version stays loadable."""
    copy = shutil.copytree(catalogs.SHIPPED_DIRECTORY, folder / "catalogs")
    path = copy / "instances.yaml"
    before, row, after = path.read_text(encoding="utf-8").partition(f"- id: {instance}\n")
    own, rest, others = after.partition("\n- id: ")
    assert f"usd_per_hour: {old:g}," in own
    path.write_text(
        before + row + own.replace(f"usd_per_hour: {old:g},", f"usd_per_hour: {new:g},") + rest + others,
        encoding="utf-8",
    )
    catalogs.freeze(copy)
    return copy


def test_old_link_keeps_its_figures_until_asked(open_page: Callable[..., Page], tmp_path: Path) -> None:
    scenario = LlmScenario()
    old = catalogs.load()
    before = plan(scenario, old)
    assert before.recommended is not None
    price = before.recommended.cost.usd_per_instance_hour
    folder = _dearer_catalog(tmp_path, before.recommended.instance, price, price + 40)
    new = catalogs.load(directory=folder)
    after = plan(scenario, new)
    assert after.headline != before.headline

    with serve({catalogs.DIRECTORY_VARIABLE: str(folder)}) as served:
        page = open_page(links.to_link(scenario, catalog_version=old.version, base=served.address))
        assert answer(page) == before.headline
        assert metric(page, "Cost per hour") == format_usd(before.recommended.cost.usd_per_hour)
        assert field(page, "catalog") == old.version
        said = page.get_by_test_id("stAlert").inner_text()
        assert old.version in said
        assert new.version in said
        assert before.recommended.instance in said
        assert f"{price:g}" in said
        assert f"{price + 40:g}" in said
        redraw(page, page.get_by_role("button", name="Answer from the present catalog").click)
        assert answer(page) == after.headline
        assert field(page, "catalog") == new.version
        assert page.get_by_test_id("stAlert").count() == 0
        assert_whole(page)

        unknown = open_page(links.to_link(scenario, catalog_version="2001-01-01.deadbeef", base=served.address))
        assert answer(unknown) == after.headline
        warned = unknown.get_by_test_id("stAlert").inner_text()
        assert "2001-01-01.deadbeef" in warned
        assert new.version in warned
        assert_whole(unknown)
