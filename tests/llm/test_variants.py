"""Other engines and formats: each pair has the plan's own answer, only legal pairs are tried, and bounds bound."""

from __future__ import annotations

import pytest

from sizing import fleet
from sizing.catalog import load
from sizing.errors import InputError
from sizing.llm import plan
from sizing.llm.bounds import bounds_of, table_of
from sizing.llm.formats import GGUF
from sizing.llm.search import parts_of
from sizing.llm.variants import Variant, pairs, variants
from sizing.scenario import LlmScenario

CATALOG = load()
BIG = {"model": "llama-2-70b-hf", "weight_format": "fp16", "ttft_target_ms": 2000.0}
SCENARIOS = {
    "default": LlmScenario(),
    "large, spare": LlmScenario(**BIG, spare_replicas=1, accelerators=("a100-sxm-80gb", "h100-sxm-80gb", "l4")),
    "users": LlmScenario(**BIG, concurrency=60, think_time_s=3.0, accelerators=("h100-sxm-80gb", "gh200-96gb", "a10g")),
    "experts": LlmScenario(model="gpt-oss-120b", kv_format="fp8"),
    "tight": LlmScenario(tpot_target_ms=2.0),
    "levers": LlmScenario(
        model="llama-3.1-70b",
        requests_per_s=10,
        prompt_tokens=3000,
        shared_prefix_tokens=1500,
        turns_per_conversation=3,
        draft_model="llama-3.1-8b",
        prompt_cv=0.5,
        ttft_target_ms=3000,
        accelerators=("h100-sxm-80gb", "b200-sxm-180gb"),
    ),
    "fixed batch": LlmScenario(batch=8, engine_version="0.18", checkpoint_bytes=16 * 10**9),
}


def of(found: tuple[Variant, ...], runtime: str, weights: str, cache: str = "bf16") -> Variant:
    return next(v for v in found if (v.runtime, v.weight_format, v.kv_format) == (runtime, weights, cache))


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_pair_has_the_answer_of_its_plan(name: str) -> None:
    scenario = SCENARIOS[name]
    found = variants(scenario, CATALOG)
    for v in found[:: 4 if name != "default" else 2]:
        best = plan(scenario.model_copy(update=dict(v.changes)), CATALOG).recommended
        assert v.holds == (best is not None), v
        if best is None:
            assert v.because
            continue
        assert (v.instance, v.replicas, v.instances) == (best.instance, best.replicas, best.instances)
        assert v.usd_per_hour == pytest.approx(best.cost.usd_per_hour)
        assert v.binding == best.binding_constraint
        assert v.ttft_ms == pytest.approx(best.latency_ms["ttft"].p95)
        assert v.tpot_ms == pytest.approx(best.latency_ms["tpot"].p95)


def test_order_and_saving() -> None:
    found = variants(SCENARIOS["default"], CATALOG)
    now = next(v for v in found if v.is_present)
    costs = [v.usd_per_hour or 0.0 for v in found if v.holds]
    assert costs == sorted(costs)
    assert [v.holds for v in found] == sorted((v.holds for v in found), reverse=True)
    assert now.saving_usd_per_hour == 0.0
    assert all(
        v.saving_usd_per_hour == pytest.approx((now.usd_per_hour or 0) - (v.usd_per_hour or 0))
        for v in found
        if v.holds
    )


def test_only_formats_that_an_engine_reads() -> None:
    scenario = LlmScenario()
    tried = pairs(scenario, CATALOG.llm_model(scenario.model))
    assert tried[0] == scenario
    for pair in tried:
        assert (pair.weight_format in GGUF) == (pair.runtime == "llama_cpp" and pair.weight_format != "native")
        assert pair.runtime != "llama_cpp" or pair.kv_format == "bf16"
    assert {p.weight_format for p in tried if p.runtime == "llama_cpp"} == {"native", *GGUF}
    named = [(p.runtime, p.weight_format, p.kv_format) for p in tried]
    assert len(named) == len(set(named)) == 3 * 7 * 2 + 9  # native is bf16 here, so seven storages, two caches


def test_a_published_eight_bit_model_is_listed_once() -> None:
    tried = pairs(LlmScenario(model="deepseek-v3"), CATALOG.llm_model("deepseek-v3"))
    storages = [p.weight_format for p in tried if p.runtime == "vllm" and p.kv_format == "bf16"]
    assert storages == ["native", "bf16", "fp8", "int8", "int4", "nvfp4", "mxfp4"]


def test_own_formats_that_the_engine_does_not_read_are_refused() -> None:
    scenario = LlmScenario(runtime="llama_cpp", weight_format="fp8")
    with pytest.raises(InputError, match="weight_format"):
        variants(scenario, CATALOG)


def test_version_and_file_size_do_not_follow_to_another_engine_or_format() -> None:
    found = variants(SCENARIOS["fixed batch"], CATALOG)
    assert "engine_version" not in of(found, "vllm", "fp8").changes
    assert of(found, "vllm", "fp8").changes["checkpoint_bytes"] is None
    assert of(found, "sglang", "fp8").changes["engine_version"] is None
    assert "checkpoint_bytes" not in of(found, "sglang", "native").changes


def test_a_pair_over_the_budget_says_so() -> None:
    found = variants(LlmScenario(max_usd_per_month=850.0), CATALOG)
    over = [v for v in found if v.binding == "budget"]
    assert over
    assert all(not v.holds and (v.usd_per_hour or 0) * 730 > 850 for v in over)
    assert all((v.usd_per_hour or 0) * 730 <= 850 for v in found if v.holds)
    assert any(v.holds for v in found)


def test_no_machine_on_offer() -> None:
    found = variants(LlmScenario(model="deepseek-v3", accelerators=("t4",)), CATALOG)
    assert not any(v.holds for v in found)
    assert {v.binding for v in found} == {"memory"}


@pytest.mark.parametrize("name", ["default", "users", "experts"])
def test_bounds_are_never_above_the_plan(name: str) -> None:
    scenario = SCENARIOS[name]
    model = CATALOG.llm_model(scenario.model)
    offers, _ = fleet.offers(scenario, CATALOG, category="gpu")
    parts, largest = parts_of(offers)
    base = scenario.model_copy(update={"weight_format": "bf16"})
    bounds = bounds_of(scenario, model, table_of(base, model, tuple(parts.values()), largest))
    by_id = {offer.instance.id: offer for offer in offers}
    whole: list[bool] = []
    for d in plan(scenario, CATALOG).ranked:
        least = bounds.usd_per_hour(by_id[d.instance], scenario.spare_replicas)
        assert least <= d.cost.usd_per_hour + 1e-9
        # Replicas over several machines stand at the edge of the TPOT limit, where waits count, which no bound has.
        if d.instances <= d.replicas:
            whole.append(least > 0.5 * d.cost.usd_per_hour)
    assert sum(whole) > 0.5 * len(whole) > 2


def test_few_configurations_are_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds leave less than a third of what plans of all pairs would look at."""
    from sizing.llm import variants as module

    made: list[int] = []
    plain = module.fresh_configurations

    def counted(*arguments: object) -> object:
        found = plain(*arguments)  # type: ignore[arg-type]
        made.append(len(found))
        return found

    monkeypatch.setattr(module, "fresh_configurations", counted)
    scenario = LlmScenario(requests_per_s=5.5)
    found = variants(scenario, CATALOG)
    parts = {o.accelerator.id for o in fleet.offers(scenario, CATALOG, category="gpu")[0] if o.accelerator}
    assert 0 < len(made) < len(found) * len(parts) / 3
