"""Dollars against a computation by hand, and which instances the rules let through."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing import catalog as catalogs
from sizing.catalog_rows import Price
from sizing.cost import cost_of
from sizing.errors import InputError
from sizing.fleet import instances_for, offers
from sizing.scenario import LlmScenario, StatisticalScenario

CATALOG = catalogs.load()


def _price(usd_per_hour: float, as_of: str = "2026-11-01") -> Price:
    return Price(
        region_group="us",
        region="us-east-1",
        basis="on_demand",
        usd_per_hour=usd_per_hour,
        as_of=as_of,
        kind="list",
        source="a price list",
    )


def test_cost_by_hand() -> None:
    cost = cost_of(
        instances=3,
        price=_price(4.0),
        on=date(2026, 11, 22),
        demanded_requests_per_s=10.0,
        capacity_requests_per_s=15.0,
        output_tokens_per_request=200,
    )
    assert cost.usd_per_hour == 12.0
    assert cost.usd_per_month == 8760.0
    assert cost.usd_per_1k_requests == pytest.approx(12.0 / 36_000 * 1000)
    assert cost.usd_per_1k_requests_at_capacity == pytest.approx(12.0 / 54_000 * 1000)
    assert cost.usd_per_million_output_tokens == pytest.approx(12.0 / (36_000 * 200) * 1e6)
    assert cost.price_marks == ()


def test_an_old_price_is_marked_and_tokens_may_not_apply() -> None:
    cost = cost_of(
        instances=1,
        price=_price(1.0, "2026-01-01"),
        on=date(2026, 11, 22),
        demanded_requests_per_s=1.0,
        capacity_requests_per_s=1.0,
    )
    assert cost.price_marks == ("older than 90 days",)
    assert cost.usd_per_million_output_tokens is None


@given(st.integers(1, 50), st.sampled_from([1, 2, 4, 8, 16, 32]), st.sampled_from([1, 2, 4, 8]))
def test_instances_hold_all_replicas_and_none_to_spare(replicas: int, per_replica: int, per_instance: int) -> None:
    count = instances_for(
        replicas=replicas, accelerators_per_replica=per_replica, accelerators_per_instance=per_instance
    )
    assert count * per_instance >= replicas * per_replica
    fewer = count - max(1, per_replica // per_instance)
    assert fewer * per_instance < replicas * per_replica


def test_offers_and_drops_are_all_instances_of_the_category() -> None:
    scenario = LlmScenario(providers=("aws",), accelerators=("h100-sxm-80gb",), price_basis="committed_3y")
    allowed, dropped = offers(scenario, CATALOG, category="gpu")
    assert len(allowed) + len(dropped) == sum(i.category == "gpu" for i in CATALOG.instances.values())
    assert {o.instance.provider for o in allowed} <= {"aws"}
    assert {o.instance.accelerator_id for o in allowed} <= {"h100-sxm-80gb"}
    assert {r.constraint for r in dropped} == {"providers", "accelerators", "price"}


def test_a_price_that_is_not_known_is_never_read_as_nothing() -> None:
    for basis in ("on_demand", "spot", "committed_1y", "committed_3y"):
        allowed, _ = offers(StatisticalScenario(price_basis=basis, region="apac"), CATALOG, category="cpu")
        assert all(o.price.usd_per_hour > 0 for o in allowed)
        assert all(o.price.basis == basis and o.price.region_group == "apac" for o in allowed)


@pytest.mark.parametrize("field", ["accelerators", "instances"])
def test_an_unknown_id_is_refused_by_the_name_of_its_field(field: str) -> None:
    with pytest.raises(InputError, match=rf"^{field}: 'h100-sxm'"):
        offers(LlmScenario.model_validate({field: ("h100-sxm",)}), CATALOG, category="gpu")
