"""Prices of the user's own and a discount: what is paid, what is said beside it, what is refused."""

from __future__ import annotations

import pytest

from sizing import catalog as catalogs
from sizing.errors import InputError
from sizing.fleet import price_of
from sizing.planner import plan
from sizing.scenario import parse_scenario
from sizing.scenario_money import own_price, own_price_text

CATALOG = catalogs.load()
T3 = CATALOG.instance("aws-t3-medium")


def test_a_discount_is_taken_off_list_prices_on_all_terms() -> None:
    scenario = parse_scenario({"kind": "statistical", "discount_percent": 25.0})
    for basis in ("on_demand", "spot", "committed_1y"):
        listed, paid = T3.price("us", basis), price_of(scenario, T3, basis)
        assert listed is not None
        assert paid is not None
        assert paid.usd_per_hour == pytest.approx(0.75 * listed.usd_per_hour)
        assert "discount of 25 %" in str(paid.note)
        assert paid.marks(CATALOG.as_of) == listed.marks(CATALOG.as_of)


def test_an_own_price_holds_on_its_terms_only_and_without_the_discount() -> None:
    scenario = parse_scenario(
        {"kind": "statistical", "discount_percent": 50.0, "own_prices": ["aws-t3-medium~committed_1y~0.02"]}
    )
    own, other = price_of(scenario, T3, "committed_1y"), price_of(scenario, T3)
    assert own is not None
    assert other is not None
    assert (own.usd_per_hour, own.marks(CATALOG.as_of)) == (0.02, ("your own price",))
    assert other.usd_per_hour == pytest.approx(0.5 * 0.0416)


def test_an_own_price_decides_the_plan() -> None:
    usual = plan(parse_scenario({"kind": "llm"}), CATALOG)
    dearest = usual.ranked[-1]
    own = own_price_text(dearest.instance, "on_demand", 0.001)
    changed = plan(parse_scenario({"kind": "llm", "own_prices": [own]}), CATALOG).recommended
    assert changed is not None
    assert changed.instance == dearest.instance
    assert changed.cost.usd_per_hour == pytest.approx(0.001 * changed.instances)
    assert changed.cost.price_marks == ("your own price",)


def test_a_price_is_read_back_as_it_was_written() -> None:
    for value in (1e-5, 0.1 + 0.2, 40.0):
        assert own_price(own_price_text("a", "spot", value)) == ("a", "spot", value)


@pytest.mark.parametrize(
    "prices", [["aws-t3-medium"], ["aws-t3-medium~0"], ["aws-t3-medium~-1"], ["aws-t3-medium~yearly~1"],
               ["aws-t3-medium~1", "aws-t3-medium~on_demand~2"], ["no-such~1"]],
)  # fmt: skip
def test_what_is_no_price_of_an_instance_is_refused_with_its_field(prices: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        plan(parse_scenario({"kind": "statistical", "own_prices": prices}), CATALOG)
    assert refused.value.field == "own_prices"
