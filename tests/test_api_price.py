"""What an API bills for a request, by hand; more tokens never cost less; which rows fit a model."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sizing import catalog as catalogs
from sizing.api_price import Billed, api_offers, billed, own_offer, usd_per_request
from sizing.api_rows import ApiPrice
from sizing.catalog_view import CatalogView, rows
from sizing.scenario import DeepLearningScenario, LlmScenario, StatisticalScenario

CATALOG = catalogs.load()
PRICE = st.floats(0.0, 1000.0)
TOKENS = st.integers(0, 10**6)


def test_a_request_by_hand() -> None:
    # 800 x 0.50 + 200 x 0.05 + 300 x 1.50 = 400 + 10 + 450 = 860 USD for a million requests; and a fee of 2 for 1,000.
    tokens = Billed(800, 200, 300)
    assert usd_per_request(tokens, input_usd=0.5, output_usd=1.5, cached_usd=0.05) == pytest.approx(860e-6)
    # Without a price for cached tokens the whole prompt costs the same: 1000 x 0.50 + 450.
    assert usd_per_request(tokens, input_usd=0.5, output_usd=1.5) == pytest.approx(950e-6)
    assert usd_per_request(tokens, input_usd=0.5, output_usd=1.5, usd_per_1k_requests=2.0) == pytest.approx(2950e-6)


def test_a_month_is_load_x_730_hours() -> None:
    offer = own_offer(LlmScenario(api_usd_per_million_input_tokens=1.0, api_usd_per_million_output_tokens=4.0))
    assert offer is not None
    assert offer.usd_per_request == pytest.approx((1000 * 1.0 + 250 * 4.0) / 1e6)
    assert offer.usd_per_month(5.0) == pytest.approx(5.0 * 730 * 3600 * 0.002)


@given(PRICE, PRICE, PRICE, TOKENS, TOKENS, TOKENS, st.integers(0, 1000))
def test_more_tokens_never_cost_less(a: float, b: float, c: float, i: int, k: int, o: int, more: int) -> None:
    cost = usd_per_request(Billed(i, k, o), input_usd=a, output_usd=b, cached_usd=c)
    for grown in (Billed(i + more, k, o), Billed(i, k + more, o), Billed(i, k, o + more)):
        assert usd_per_request(grown, input_usd=a, output_usd=b, cached_usd=c) >= cost


def test_shared_prompts_are_billed_as_cached_by_who_has_a_price_for_them() -> None:
    alone = LlmScenario(model="gpt-oss-120b", prompt_tokens=4000)
    shared = LlmScenario(model="gpt-oss-120b", prompt_tokens=4000, shared_prefix_tokens=3200)
    assert billed(shared) == Billed(800, 3200, 250)
    before, after = ({o.id: o for o in api_offers(s, CATALOG)} for s in (alone, shared))
    for id, offer in before.items():
        if offer.usd_per_million_cached is None:
            assert after[id].usd_per_request == pytest.approx(offer.usd_per_request)
        else:
            assert after[id].usd_per_request < offer.usd_per_request


def test_offers_of_the_model_come_first_by_cost_and_others_are_told_apart() -> None:
    found = api_offers(LlmScenario(), CATALOG)
    own = [offer for offer in found if offer.serves_the_model]
    assert len(own) >= 5
    assert found[: len(own)] == tuple(own)
    assert [o.usd_per_request for o in own] == sorted(o.usd_per_request for o in own)
    assert all("llama-3.1-8b" in CATALOG.api_prices[o.id].models for o in own)
    assert all(not CATALOG.api_prices[o.id].models for o in found[len(own) :])


def test_a_model_of_ones_own_has_no_price_but_others_for_scale() -> None:
    config = '{"model_type": "llama"}'
    found = api_offers(LlmScenario(model="custom", custom_config=config), CATALOG)
    assert found
    assert not any(offer.serves_the_model for offer in found)


def test_speech_is_billed_by_the_request_and_a_tree_not_at_all() -> None:
    speech = api_offers(DeepLearningScenario(model="whisper-large-v3-turbo-speech-to-text"), CATALOG)
    # Cloudflare: 0.00051 USD a minute of audio, half a minute: 0.255 USD for 1,000.
    assert speech[0].usd_per_request == pytest.approx(0.000255)
    assert api_offers(StatisticalScenario(), CATALOG) == ()
    fee = own_offer(StatisticalScenario(api_usd_per_1k_requests=0.5))
    assert fee is not None
    assert (fee.usd_per_request, fee.marks) == (0.0005, ("your own price",))


def test_a_price_left_out_beside_one_entered_is_said() -> None:
    offer = own_offer(LlmScenario(api_usd_per_million_input_tokens=1.0))
    assert offer is not None
    assert offer.usd_per_request == pytest.approx(0.001)
    assert offer.note == "no price of reply tokens was entered: they count as free"


def test_the_catalog_names_models_it_has_and_marks_every_price() -> None:
    priced = {model for row in CATALOG.api_prices.values() for model in row.models}
    assert len(priced & set(CATALOG.llm_models)) >= 40
    assert priced <= set(CATALOG.llm_models) | set(CATALOG.deep_learning_models)
    for row in CATALOG.api_prices.values():
        assert "secondary source" in row.marks(CATALOG.as_of), row.id
        assert "older than 90 days" in row.marks(date(2027, 6, 1)), row.id


def test_the_check_finds_an_unknown_model_and_a_price_in_the_wrong_unit() -> None:
    row = next(iter(CATALOG.api_prices.values()))
    for change, word in (({"models": ("nothing",)}, "no model"), ({"usd_per_million_input_tokens": 2e-8}, "unit")):
        wrong = replace(CATALOG, api_prices=MappingProxyType({row.id: row.model_copy(update=change)}))
        assert any(word in problem for problem in catalogs.check(wrong))


def test_a_row_without_a_whole_price_is_refused() -> None:
    row = next(row for row in CATALOG.api_prices.values() if row.kind == "llm")
    with pytest.raises(ValidationError, match="price of input and of output"):
        ApiPrice.model_validate({**row.model_dump(), "usd_per_million_output_tokens": None})


def test_versions_from_before_the_table_still_open() -> None:
    old = [version for version in catalogs.available_versions() if version < "2026-11-25"]
    assert old
    for version in old:
        assert not catalogs.load(version).api_prices
        assert api_offers(LlmScenario(), catalogs.load(version)) == ()


def test_the_page_of_catalogs_shows_them() -> None:
    found = rows(CATALOG, CatalogView(table="api_prices", search="bedrock llama3-1-8b"), on=date(2026, 11, 25))
    assert [row["id"] for row in found] == ["bedrock-meta.llama3-1-8b-instruct-v1-0"]
