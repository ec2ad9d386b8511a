"""The address bar against inputs that come faster than it: what was typed stays, and the Back button still goes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from sizing.scenario import SCENARIO_TYPES
from ui.compare_state import control_key

ROOT = Path(__file__).resolve().parents[2]


def opened(page: str) -> AppTest:
    """A page after its first run."""
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.switch_page(f"pages/{page}.py")
    titles = ("Title and notes", "Hardware and price", "Load over time and terms", "Prices and energy of your own")
    for part in (*(f"{page}:{title}" for title in titles), control_key("edit", 0), control_key("edit", 1)):
        at.session_state[part] = True
    return at.run()


def address(at: AppTest) -> dict[str, str]:
    """The parameters in the address bar."""
    return {name: value if isinstance(value, str) else value[0] for name, value in at.query_params.items()}


def stand_at(at: AppTest, params: dict[str, str]) -> AppTest:
    """Let the browser's address be this one."""
    at.query_params.clear()
    for name, value in params.items():
        at.query_params[name] = value
    return at


def opened_and_changed(kind: str) -> tuple[AppTest, dict[str, str], dict[str, str]]:
    """A page with its rate changed, the address before that and the one since."""
    at = opened(kind)
    first = address(at)
    at.number_input(key=f"{kind}:requests_per_s").set_value(7.0).run()
    return at, first, address(at)


@pytest.mark.parametrize("kind", SCENARIO_TYPES)
def test_an_input_that_comes_with_the_address_of_before_undoes_nothing(kind: str) -> None:
    at, first, second = opened_and_changed(kind)
    at.text_input(key=f"{kind}:name").set_value("mine")
    stand_at(at, first).run()
    assert address(at) == {**second, "name": "mine"}
    at.number_input(key=f"{kind}:requests_per_s").set_value(8.0)
    stand_at(at, first).run()  # two inputs behind
    assert address(at) == {**second, "name": "mine", "requests_per_s": "8.0"}
    assert at.number_input(key=f"{kind}:requests_per_s").value == 8.0


@pytest.mark.parametrize("kind", SCENARIO_TYPES)
def test_back_and_forward_and_another_link_are_read(kind: str) -> None:
    at, first, second = opened_and_changed(kind)
    stand_at(at, first).run()
    assert address(at) == first
    assert at.number_input(key=f"{kind}:requests_per_s").value == float(first["requests_per_s"])
    stand_at(at, second).run()
    assert at.number_input(key=f"{kind}:requests_per_s").value == 7.0
    stand_at(at, first).run()
    assert address(at) == first
    at.number_input(key=f"{kind}:requests_per_s").set_value(9.0)  # with an address never seen here, the link wins
    stand_at(at, {**first, "requests_per_s": "31.0"}).run()
    assert address(at) == {**first, "requests_per_s": "31.0"}
    assert at.number_input(key=f"{kind}:requests_per_s").value == 31.0


def test_a_comparison_keeps_its_change_when_the_address_is_of_before() -> None:
    at = opened("compare")
    first = address(at)
    at.text_input(key=control_key("label", 0)).set_value("the small one").run()
    second = address(at)
    assert second != first
    at.session_state[control_key("edit", 1)] = True  # a change closes the menus
    stand_at(at, first).run()
    assert address(at) == second
    at.text_input(key=control_key("label", 1)).set_value("the large one")
    stand_at(at, first).run()
    third = address(at)
    assert third not in (first, second)
    page = " ".join(caption.proto.body for caption in at.get("html"))
    assert "the small one" in page
    assert "the large one" in page
    stand_at(at, second).run()
    assert address(at) == second


COMMON = {
    "region": "eu", "price_basis": "spot", "max_usd_per_month": 900000.5, "load_shape": "office_hours",
    "min_replicas": 2, "headroom_percent": 15.5, "start_minutes": 4.5, "terms": ["on_demand", "committed_1y"],
    "three_year_most_percent": 25.5, "spot_most_percent": 40.5, "spot_interruptions_per_month": 0.3,
    "owned_usd_per_server": 9000.5, "owned_years": 3.5, "owned_watts_per_server": 700.5,
    "colocation_usd_per_server_month": 80.5, "people_usd_per_year": 5000.5, "usd_per_kwh": 0.2, "pue": 1.4,
    "discount_percent": 12.5, "currency_per_usd": 0.92, "currency": "EUR", "api_usd_per_1k_requests": 0.75,
    "power_share_of_tdp": 0.55, "grid_g_co2_per_kwh": 120.5, "scale_with_load": False,
}  # fmt: skip
"""A new value for each control of price, load over time and money, which are the same on all pages."""


@pytest.mark.parametrize("kind", SCENARIO_TYPES)
def test_every_control_of_money_lives_in_the_address(kind: str) -> None:
    at = opened(kind)
    before = address(at)
    boxes = (*at.number_input, *at.selectbox, *at.multiselect, *at.text_input, *at.checkbox)
    controls = {str(box.key).removeprefix(f"{kind}:"): box for box in boxes}
    for name, value in COMMON.items():
        controls[name].set_value(value)  # type: ignore[arg-type]
    at.run()
    assert not at.exception
    after = address(at)
    for name, value in COMMON.items():
        text = "~".join(value) if isinstance(value, list) else str(value)
        assert before[name] != after[name], name
        assert after[name] in (text, text.replace("~", ",")), name
    there = stand_at(AppTest.from_file(str(ROOT / "app.py"), default_timeout=60), after)
    there.switch_page(f"pages/{kind}.py")
    assert address(there.run()) == after
