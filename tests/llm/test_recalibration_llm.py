"""Recalibration with one's own runs: by hand, what stays untouched, memory by the log, and the text that travels."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing import catalog as catalogs
from sizing import fleet
from sizing import link as links
from sizing.errors import InputError
from sizing.llm.bounds import bounds_of, table_of
from sizing.llm.candidates import memory_of, scenario_work
from sizing.llm.confidence import confidence
from sizing.llm.constants import rates
from sizing.llm.measured import (
    FIELD,
    MeasuredMemory,
    MeasuredRun,
    MeasuredServing,
    model_key,
    parse_serving,
    reason_unused,
)
from sizing.llm.models import model_of
from sizing.llm.plan import plan
from sizing.llm.recalibration import STEP_KNOWN, STEP_NEW, Shares, memory_at, posterior, recalibration
from sizing.llm.search import parts_of
from sizing.llm.serving import closed_batch
from sizing.llm.sharding import WHOLE, Split
from sizing.llm.work import stack
from sizing.scenario import LlmScenario
from sizing.units import GIB

CATALOG = catalogs.load()
H100, L40S = CATALOG.accelerator("h100-sxm-80gb"), CATALOG.accelerator("l40s")
KNOWN, NEW = CATALOG.llm_model("llama-3.1-8b"), CATALOG.llm_model("qwen3-8b")
RUN = MeasuredRun(16.0, False, 1000, 250, 120.0, 11.2)


def measured(model: str = "qwen3-8b", *runs: MeasuredRun, memory: MeasuredMemory | None = None) -> MeasuredServing:
    return MeasuredServing(H100.id, model, "vllm", None, "native", "bf16", Split(), runs or (RUN,), memory)


def scenario(serving: MeasuredServing | None, **fields: object) -> LlmScenario:
    text = None if serving is None else serving.text()
    given = {"model": "qwen3-8b" if serving is None else serving.model, "accelerators": (H100.id,), FIELD: text}
    return LlmScenario.model_validate({**given, **fields})


def closed(
    of: LlmScenario, batch: float, part: object = H100, case: int = 0, split: Split = WHOLE
) -> tuple[float, float]:
    """TTFT and TPOT [ms] of a replica of a scenario with so many clients."""
    work = stack([scenario_work(of, model_of(of, CATALOG), None, part, split)])  # type: ignore[arg-type]
    done = closed_batch(work, np.array([[batch]]), float(of.output_tokens), rates("vllm")[case])
    return float(done.ttft_ms[0, 0]), float(done.tpot_ms[0, 0])


@pytest.mark.parametrize(("model", "step", "first"), [("qwen3-8b", 0.75, 0.55), ("llama-3.1-8b", 0.30, 0.30)])
def test_one_run_moves_the_prediction_by_its_share_of_the_way(model: str, step: float, first: float) -> None:
    """One run: k = c / (r + c) = c, as r + c = 1: predicted^(1 - c) x measured^c, c by hand as published."""
    before = closed(scenario(None, model=model), 16.0)
    after = closed(scenario(measured(model)), 16.0)
    assert after[1] == pytest.approx(before[1] ** (1 - step) * 11.2**step, rel=1e-3)
    assert after[0] == pytest.approx(before[0] ** (1 - first) * 120.0**first, rel=1e-3)


def test_posterior_by_hand() -> None:
    """c = 0.6, o = 0.3, r = 0.4, s = 0.5, two runs off by 0.1 and 0.3, whose variance 0.02 is below r s^2 = 0.1:
    k = 2 x 0.6 / (0.4 + 1.2) = 0.75, mean 0.2; left = 1 - 2 x 0.36 / 1.6 = 0.55; elsewhere k = 0.375, left = 1 - 2 x 0.09 / 1.6."""
    found = posterior([0.1, 0.3], Shares(0.6, 0.3), 0.5)
    assert found.factor == pytest.approx(math.exp(0.75 * 0.2))
    assert found.width == pytest.approx(math.sqrt(0.55))
    other = posterior([0.1, 0.3], Shares(0.6, 0.3), 0.5, elsewhere=True)
    assert other.factor == pytest.approx(math.exp(0.375 * 0.2))
    assert other.width == pytest.approx(math.sqrt(0.8875))


def test_runs_that_scatter_count_for_less() -> None:
    """Variance 0.5 is 2 s^2: r = 2 instead of 0.4, so k = 1.2 / 3.2, and the interval is as wide as before."""
    found = posterior([-0.5, 0.5], Shares(0.6, 0.3), 0.5)
    assert found.width == 1.0
    away = posterior([0.0, 1.0], Shares(0.6, 0.3), 0.5)
    assert away.factor == pytest.approx(math.exp(1.2 / 3.2 * 0.5))


@settings(deadline=None)
@given(st.integers(1, 60), st.sampled_from([STEP_NEW, STEP_KNOWN]), st.booleans())
def test_more_runs_narrow_the_interval_and_never_to_nothing(count: int, shares: Shares, elsewhere: bool) -> None:
    fewer = posterior([0.1] * count, shares, 0.3, elsewhere=elsewhere)
    more = posterior([0.1] * (count + 1), shares, 0.3, elsewhere=elsewhere)
    least = 1 - (shares.other_split**2 / shares.server if elsewhere else shares.server)
    assert math.sqrt(least) - 1e-12 <= more.width <= fewer.width <= 1.0
    assert 1.0 <= fewer.factor <= more.factor <= math.exp(0.1)


def test_the_interval_narrows_around_the_moved_prediction() -> None:
    of = scenario(measured())
    ends = [closed(of, 16.0, case=case) for case in (0, 1, 2)]
    plain = [closed(scenario(None), 16.0, case=case) for case in (0, 1, 2)]
    width = math.sqrt(0.25 + 0.75 - 0.75**2)
    for i, share in ((1, width), (0, math.sqrt(1 - 0.55**2))):
        assert math.log(ends[1][i] / ends[0][i]) == pytest.approx(share * math.log(plain[1][i] / plain[0][i]), rel=2e-3)
        assert math.log(ends[2][i] / ends[0][i]) == pytest.approx(share * math.log(plain[2][i] / plain[0][i]), rel=2e-3)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"model": "qwen3-14b"}, "another model"),
        ({"runtime": "sglang"}, "another engine"),
        ({"engine_version": "0.6.3"}, "another generation"),
        ({"weight_format": "fp8"}, "another weight format"),
        ({"kv_format": "fp8"}, "another KV cache format"),
        ({"draft_model": "qwen3-0.6b"}, "speculative decoding"),
    ],
)
def test_what_differs_leaves_the_measurements_aside_and_says_so(fields: dict[str, object], reason: str) -> None:
    of, without = scenario(measured(), **fields), scenario(None, **fields)
    model = model_of(of, CATALOG)
    assert reason in (reason_unused(of, model) or "")
    with_them, plain = plan(of, CATALOG), plan(without, CATALOG)
    assert with_them.ranked == plain.ranked
    assert any("do not count" in caveat for caveat in with_them.caveats)


def test_the_published_format_by_its_name_is_the_same_format() -> None:
    assert reason_unused(scenario(measured(), weight_format="bf16"), NEW) is None
    assert reason_unused(scenario(measured(), engine_version="0.11"), NEW) is None


def test_other_accelerators_stay_and_other_splits_move_less() -> None:
    of, plain = scenario(measured()), scenario(None)
    assert closed(of, 16.0, L40S) == closed(plain, 16.0, L40S)
    two = Split(2)
    alone, wide = (math.log(closed(of, 16.0, split=s)[1] / closed(plain, 16.0, split=s)[1]) for s in (Split(), two))
    assert wide / alone == pytest.approx(0.60 / 0.75, rel=2e-2)
    both = {d.instance: d for d in plan(scenario(measured(), accelerators=()), CATALOG).ranked}
    before = {d.instance: d for d in plan(scenario(None, accelerators=()), CATALOG).ranked}
    for name, deployment in before.items():
        assert (both[name] == deployment) == (deployment.accelerator != H100.id), name


def test_the_answer_says_measured_and_the_working_shows_it() -> None:
    found = plan(scenario(measured()), CATALOG)
    assert found.recommended is not None
    assert {v.basis for v in found.recommended.verdicts} == {"measured"}
    assert {v.source for v in found.recommended.verdicts} == {"with 1 of your runs"}
    own = [step for step in found.working if step.trust == "measured"]
    assert [step.quantity for step in own] == ["Own factor of a step", "Own factor of a first token"]
    assert any(
        caveat.startswith("Recalibrated with 1 of your runs on H100 SXM5 80GB, vLLM: steps") for caveat in found.caveats
    )


def test_runs_that_contradict_each_other_are_not_called_measured() -> None:
    apart = measured("qwen3-8b", RUN, replace(RUN, ttft_ms=2.0), replace(RUN, ttft_ms=9000.0))
    best = plan(scenario(apart), CATALOG).recommended
    assert best is not None
    assert [v.basis for v in best.verdicts] == ["estimated", "measured"]
    assert "your runs scatter widely" in best.verdicts[0].source


def test_only_what_was_measured_moves() -> None:
    plain = closed(scenario(None), 16.0)
    ttft_alone = closed(scenario(measured("qwen3-8b", replace(RUN, tpot_ms=None))), 16.0)
    tpot_alone = closed(scenario(measured("qwen3-8b", replace(RUN, ttft_ms=None))), 16.0)
    assert ttft_alone[1] == plain[1]
    assert ttft_alone[0] > plain[0]
    assert tpot_alone[0] == pytest.approx(plain[0])
    assert tpot_alone[1] > plain[1]


def test_a_rate_is_compared_with_the_open_loop() -> None:
    of = measured("qwen3-8b", MeasuredRun(2.0, True, 1000, 250, 80.0, 9.0))
    found = recalibration(of, NEW, H100)
    assert (found.step.runs, found.first.runs) == (1, 1)
    overloaded = measured("qwen3-8b", MeasuredRun(5000.0, True, 1000, 250, 80.0, 9.0))
    assert recalibration(overloaded, NEW, H100).step.runs == 0


def test_requests_that_wait_for_a_slot_say_nothing_of_a_first_token() -> None:
    many = measured("qwen3-8b", MeasuredRun(5000.0, False, 1000, 250, 60_000.0, 40.0))
    found = recalibration(many, NEW, H100)
    assert (found.step.runs, found.first.runs) == (1, 0)


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        (measured("qwen3-8b", replace(RUN, tpot_ms=1.0)), "speculative decoding"),
        (replace(measured(), accelerator="abacus"), "accelerator of the catalog"),
        (measured("gpt-9"), "model of the catalog"),
        (measured(memory=MeasuredMemory(15.3, 100.0, 0.9, None, None, None)), "at most 71.68 GiB"),
        (measured("qwen3-8b", MeasuredRun(1.0, False, 9_000_000, 250, 1.0, 50.0)), "can hold"),
    ],
)
def test_measurements_that_cannot_be_are_refused_by_field(serving: MeasuredServing, said: str) -> None:
    of = scenario(serving, model="qwen3-8b")
    with pytest.raises(InputError, match=said) as caught:
        plan(of, CATALOG)
    assert caught.value.field == FIELD


def test_kv_cache_follows_the_log() -> None:
    """The log has 4 GiB less KV cache than predicted under its settings: the budget is 4 GiB less, weights as logged."""
    plain = scenario(None, max_batched_tokens=8192, max_sequences=256, prompt_tokens=8000, output_tokens=192)
    base = memory_of(plain, NEW, H100, Split())
    settings = MeasuredMemory(None, 1.0, 0.9, 8192, 8192, 256)
    predicted = memory_at(measured(memory=settings), NEW, H100, 8192)
    kv = predicted.budget_bytes(predicted.stages[0]) / GIB
    weights = predicted.stages[0].fixed_bytes / GIB
    log = replace(settings, weights_gib=weights * 1.02, kv_gib=kv - 4.0)
    of = scenario(
        measured(memory=log), max_batched_tokens=8192, max_sequences=256, prompt_tokens=8000, output_tokens=192
    )
    after = memory_of(of, NEW, H100, Split())
    assert after.budget_bytes(after.stages[0]) / GIB == pytest.approx(kv - 4.0, abs=0.01)
    assert after.stages[0].fixed_bytes == pytest.approx(base.stages[0].fixed_bytes * 1.02, rel=1e-3)
    assert after.runtime.low_bytes < after.runtime.total_bytes < after.runtime.high_bytes
    assert (
        sum(after.parts(sequences=1, context_tokens=8192).parts.values())
        == after.parts(sequences=1, context_tokens=8192).used_bytes
    )
    assert memory_of(of, NEW, H100, Split(2)) == memory_of(plain, NEW, H100, Split(2))
    assert memory_of(of, NEW, L40S, Split()) == memory_of(plain, NEW, L40S, Split())


@pytest.mark.parametrize(("weights", "kv"), [(None, 0.5), (0.001, 71.9), (70.9, 1.0), (1.0, 1.0)])
def test_any_log_that_fits_the_accelerator_gives_memory_that_adds_up(weights: float | None, kv: float) -> None:
    of = scenario(measured(memory=MeasuredMemory(weights, kv, 0.9, None, None, None)))
    plan(of, CATALOG)
    memory = memory_of(of, NEW, H100, Split())
    parts = memory.parts(sequences=1, context_tokens=1250)
    assert min(parts.parts.values()) >= 0
    assert sum(parts.parts.values()) == parts.used_bytes
    assert parts.used_low_bytes <= parts.used_bytes <= parts.used_high_bytes


@pytest.mark.parametrize("tpot", [8.0, 25.0])
def test_bounds_of_a_wide_search_stay_below_a_recalibrated_cost(tpot: float) -> None:
    of = scenario(measured("qwen3-8b", replace(RUN, tpot_ms=tpot, ttft_ms=20.0)), accelerators=(), requests_per_s=60.0)
    offers, _ = fleet.offers(of, CATALOG, category="gpu")
    parts, largest = parts_of(offers)
    model = model_of(of, CATALOG)
    bounds = bounds_of(of, model, table_of(of, model, list(parts.values()), largest))
    by_id = {offer.instance.id: offer for offer in offers}
    seen = 0
    for deployment in plan(of, CATALOG).ranked:
        if deployment.accelerator == H100.id:
            seen += 1
            assert bounds.usd_per_hour(by_id[deployment.instance], 0) <= deployment.cost.usd_per_hour * (1 + 1e-9)
    assert seen


def test_the_chance_that_limits_hold_follows_the_narrower_interval() -> None:
    sure, plain = scenario(measured()), scenario(None)
    found, before = (confidence(s, CATALOG, b) for s in (sure, plain) if (b := plan(s, CATALOG).recommended))
    width, first = math.sqrt(1 - 0.75**2), math.sqrt(1 - 0.55**2)
    assert math.log(found.step_factors[1]) == pytest.approx(width * math.log(before.step_factors[1]))
    assert math.log(found.first_token_factors[0]) == pytest.approx(first * math.log(before.first_token_factors[0]))


RUNS = st.builds(
    MeasuredRun,
    st.integers(1, 9999).map(float),
    st.booleans(),
    st.integers(1, 10**6),
    st.integers(1, 10**5),
    st.one_of(st.none(), st.integers(1, 9999).map(lambda n: n / 10)),
    st.integers(1, 9999).map(lambda n: n / 100),
)


@settings(deadline=None)
@given(st.lists(RUNS, min_size=1, max_size=16), st.booleans(), st.booleans())
def test_the_text_holds_everything_and_the_link_carries_it(runs: list[MeasuredRun], log: bool, experts: bool) -> None:
    memory = MeasuredMemory(14.99, 50.1, 0.9, 8192, None, 256) if log else None
    serving = MeasuredServing(
        H100.id, "qwen3-8b", "vllm", "0.11.0", "native", "fp8", Split(2, 1, 4, experts), tuple(runs), memory
    )
    assert parse_serving(serving.text()) == serving
    of = LlmScenario(measured_serving=serving.text())
    query = links.to_query(of, catalog_version=CATALOG.version)
    assert links.from_query(query).scenario == of
    assert len(query) < 3_000


def test_an_older_link_says_so_and_answers_as_before() -> None:
    query = links.to_query(LlmScenario(), catalog_version=CATALOG.version)
    older = "&".join(pair for pair in query.split("&") if not pair.startswith(FIELD))
    decoded = links.from_query(older)
    assert decoded.scenario == LlmScenario()
    assert decoded.messages == (
        "The link is older than measured_serving: their usual values leave its answer as it was.",
    )


@pytest.mark.parametrize(
    "text",
    [
        "h100~x~vllm~native~bf16~1.1.1~-~-",
        "h100~x~vllm~native~bf16~0.1.1~c1x1x1=1:1~-",
        "h100~x~vllm~native~bf16~1.1.1~c1x1x1=:~-",
        "h100~x~vllm~native~bf16~1.1.1~c1x1x1=0:1~-",
        "h100~x~vllm~native~bf16~1.1.1~c1x0x1=1:1~-",
        "h100~x~vllm~native~bf16~1.1.1~-~m:5:2:::",
        "h100~x~vllm~native~bf16~1.1.1~" + ",".join(["c1x1x1=1:1"] * 17) + "~-",
        "h100~x~ollama~native~bf16~1.1.1~c1x1x1=1:1~-",
        "h100~x~vllm~bf17~bf16~1.1.1~c1x1x1=1:1~-",
        "h100~x~vllm~bf16~bf17~1.1.1~c1x1x1=1:1~-",
        "nonsense",
    ],
)
def test_texts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=FIELD):
        parse_serving(text)


def test_a_custom_model_is_known_by_its_config() -> None:
    config = json.dumps(
        {
            "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
            "num_key_value_heads": 8, "intermediate_size": 8192, "vocab_size": 128256, "torch_dtype": "bfloat16",
            "max_position_embeddings": 131072,
        }
    )  # fmt: skip
    of = scenario(None, model="custom", custom_config=config)
    with_it = scenario(replace(measured(), model=model_key(of)), model="custom", custom_config=config)
    assert reason_unused(with_it, model_of(with_it, CATALOG)) is None
    other = scenario(
        replace(measured(), model=model_key(of)), model="custom", custom_config=config.replace("8192", "9216")
    )
    assert reason_unused(other, model_of(other, CATALOG)) == "another model"
