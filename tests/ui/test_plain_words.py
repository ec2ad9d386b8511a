"""A plan in plain words: the figures are the plan's, and whatever is not usual is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sizing import catalog as catalogs
from sizing.plan import Plan
from sizing.planner import plan
from sizing.scenario import (
    SCENARIO_TYPES,
    AnyScenario,
    DeepLearningScenario,
    LlmScenario,
    StatisticalScenario,
    parse_scenario,
)
from sizing.units import format_ms, format_usd
from ui import plain_words
from ui.examples import FOLDER
from ui.inputs import LABELS


def _plan(scenario: AnyScenario) -> Plan:
    return plan(scenario, catalogs.load())


@pytest.mark.parametrize("kind", SCENARIO_TYPES)
def test_the_answer_says_machines_cost_and_what_users_see(kind: str) -> None:
    found = _plan(parse_scenario({"kind": kind}))
    best = found.recommended
    assert best is not None
    said = plain_words.answer(found)
    assert f"{best.instances} machine" in said
    assert best.instance_type in said
    assert f"{format_usd(best.cost.usd_per_month)} a month" in said
    for verdict in best.verdicts:
        assert f"{format_ms(verdict.predicted_ms)} ({format_ms(verdict.limit_ms)} allowed)" in said
    title = plain_words.tab_title(found)
    assert f"{format_usd(best.cost.usd_per_month)} a month · " in title
    assert len(title) < 90


@pytest.mark.parametrize(
    ("scenario", "name"),
    [
        (LlmScenario(), "Llama-3.1-8B"),
        (LlmScenario(model="deepseek-v3", requests_per_s=1.5e-3), "DeepSeek-V3"),
        (LlmScenario(requests_per_s=None, concurrency=2000), "Llama-3.1-8B"),
        (DeepLearningScenario(model="whisper-small-speech-to-text", requests_per_s=1.0),
         "whisper-small, 30 s of speech to text"),
        (StatisticalScenario(), "Gradient boosting (XGBoost)"),
        (StatisticalScenario(family="linear-regression", features=1, requests_per_s=2000.0), "Linear regression"),
    ],
)  # fmt: skip
def test_the_model_is_called_as_the_catalog_calls_it(scenario: AnyScenario, name: str) -> None:
    assert plain_words.model_name(_plan(scenario)) == name


def test_every_shipped_example_has_a_subject_and_a_title() -> None:
    for path in FOLDER.glob("*.yaml"):
        from sizing.scenario import scenario_from_yaml

        found = _plan(scenario_from_yaml(path.read_text(encoding="utf-8")))
        assert found.headline.startswith(plain_words.served(found)), path.stem
        assert plain_words.served(found) != found.kind, path.stem
        assert plain_words.title(found) == found.scenario.name


def test_a_year_is_twelve_months_of_730_hours() -> None:
    best = _plan(StatisticalScenario()).recommended
    assert best is not None
    rows = dict(plain_words.costs(replace(best, cost=replace(best.cost, usd_per_month=1000.0)), StatisticalScenario()))
    assert rows["A year"] == "$12,000 (12 months)"
    assert rows["A month"] == "$1,000 (730 h)"
    for per_1k, row, amount in (
        (0.05, "1,000 requests, at this load", "$0.05"),
        (2.5e-5, "1,000,000 requests, at this load", "$0.025"),
    ):
        rows = dict(
            plain_words.costs(replace(best, cost=replace(best.cost, usd_per_1k_requests=per_1k)), StatisticalScenario())
        )
        assert rows[row] == amount


def test_traffic_and_limits_are_said_in_words() -> None:
    rows = dict(plain_words.assumptions(_plan(LlmScenario(requests_per_s=2.0, ttft_target_ms=None, slo_percentile=50))))
    assert rows["Traffic"] == "2 requests a second on average, at random times (about 173,000 a day)"
    assert rows["Limits"] == "each further token within 50 ms for half of the requests"
    users = dict(plain_words.assumptions(_plan(LlmScenario(requests_per_s=None, concurrency=40, think_time_s=9))))
    assert (
        users["Traffic"]
        == "40 users at once, each waiting for the reply before asking again; 9 s pause before the next"
    )
    budget = dict(plain_words.assumptions(_plan(StatisticalScenario(p50_target_ms=9, max_usd_per_month=5000))))
    assert budget["Limits"] == (
        "reply within 9 ms for half of the requests; reply within 20 ms for 99 of 100 requests; at most $5,000 a month"
    )


def test_prices_name_discount_and_own_prices() -> None:
    scenario = LlmScenario(
        discount_percent=12.5, own_prices=("aws-p5-48xlarge~spot~31.5",), region="eu", price_basis="spot"
    )
    said = dict(plain_words.assumptions(_plan(scenario)))["Prices"]
    assert said == (
        "spot in Europe; your discount of 12.5 %; prices of your own: p5.48xlarge (AWS) $31.50 an hour spot"
    )


SAID = {
    **{"requests_per_s": 77.0, "utilization_cap": 0.51, "spare_replicas": 3, "region": "apac", "price_basis": "spot"},
    **{"max_usd_per_month": 4321.0, "providers": ("oci",), "discount_percent": 33.0, "prompt_tokens": 4567},
    **{
        "output_tokens": 789,
        "ttft_target_ms": 765.0,
        "tpot_target_ms": 43.0,
        "runtime": "sglang",
        "tensor_parallel": 2,
    },
    **{"think_time_s": 12.0, "gpu_memory_utilization": 0.83, "expert_parallel": True, "own_prices": ("x~spot~1.5",)},
}


@pytest.mark.parametrize("name", SAID)
def test_every_changed_field_changes_what_is_said(name: str) -> None:
    usual = _plan(LlmScenario(requests_per_s=None, concurrency=32) if name == "think_time_s" else LlmScenario())
    changed = usual.model_copy(update={"scenario": usual.scenario.model_copy(update={name: SAID[name]})})
    assert plain_words.assumptions(changed) != plain_words.assumptions(usual)


@pytest.mark.parametrize("kind", SCENARIO_TYPES)
def test_no_field_is_left_unsaid(kind: str) -> None:
    """A field is in a sentence of its own, or named with its label once it is not at its usual value."""
    usual = SCENARIO_TYPES[kind]()
    assert plain_words.changed(usual) == ()
    for name in set(SCENARIO_TYPES[kind].model_fields) - plain_words._SAID:
        [(label, _)] = plain_words.changed(usual.model_copy(update={name: "something else"}))
        assert label == LABELS[name]


def test_an_interval_past_the_limit_is_said() -> None:
    found = _plan(LlmScenario())
    assert found.recommended is not None
    verdict = replace(
        found.recommended.verdicts[0], limit_ms=100.0, predicted_ms=90.0, low_ms=70.0, high_ms=120.0, met=True
    )
    found = found.model_copy(update={"recommended": replace(found.recommended, verdicts=(verdict,))})
    said = plain_words.sureness(found)[0]
    assert "In 8 of 10 cases the true value lies between 70 ms and 120 ms." in said
    assert "past the limit of 100 ms" in said
    calm = replace(verdict, high_ms=99.0)
    found = found.model_copy(update={"recommended": replace(found.recommended, verdicts=(calm,))})
    assert "past the limit" not in plain_words.sureness(found)[0]


def test_another_currency_stands_beside_the_dollars_everywhere() -> None:
    scenario = LlmScenario(currency="EUR", currency_per_usd=0.5)
    found = _plan(scenario)
    best = found.recommended
    assert best is not None
    best = replace(best, cost=replace(best.cost, usd_per_month=1000.0, usd_per_hour=2.0))
    found = found.model_copy(update={"recommended": best})
    assert "for $1,000 (500.00 EUR) a month." in plain_words.answer(found)
    rows = dict(plain_words.costs(best, scenario))
    assert rows["A year"] == "$12,000 (6,000 EUR) (12 months)"
    assert rows["An hour"] == "$2.00 (1.00 EUR)"
    assert dict(plain_words.assumptions(found))["Prices"].endswith(
        "amounts in EUR at 0.5 EUR per USD as you entered it"
    )
    assert "EUR" not in "".join(text for _, text in plain_words.costs(best, LlmScenario()))
