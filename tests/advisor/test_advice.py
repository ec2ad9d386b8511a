"""Advice of every family: each move is a plan of its own, keeps the limits, is ranked by saving, and says what is known of quality."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from sizing import catalog as catalogs
from sizing import link as links
from sizing.advisor import Advice, advise, best_path, deep_learning_moves, evaluate, llm_moves, quality, siblings
from sizing.advisor import path as paths
from sizing.advisor.evaluate import MOST_MOVES, SHOWN, SHOWN_OF_GROUP, candidates, changed
from sizing.advisor.text import advice_text, as_json, latency_words, sentence
from sizing.errors import InputError
from sizing.plan import Plan
from sizing.planner import plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario, scenario_from_yaml
from sizing.units import format_ms, format_usd

CATALOG = catalogs.load()
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*.yaml"))}
MORE: dict[str, AnyScenario] = {
    "llama.cpp": LlmScenario(model="llama-3.1-8b", runtime="llama_cpp", weight_format="gguf_q8_0", requests_per_s=1.0),
    "pinned": LlmScenario(model="llama-3.1-70b", tensor_parallel=8, batch=16, max_sequences=64, providers=("aws",), spare_replicas=1),
    "cpu only": DeepLearningScenario(requests_per_s=20.0, compute="cpu"),
    "pipeline": DeepLearningScenario(model="stable-diffusion-xl", requests_per_s=0.5, latency_target_ms=30_000.0, precision="fp16"),
    "forest": StatisticalScenario(family="random-forest", trees=400, depth=12, requests_per_s=100.0, rows_per_request=4, p99_target_ms=400.0),
    "users": StatisticalScenario(concurrency=500, think_time_s=1.0, requests_per_s=None),
}  # fmt: skip


def scenario_of(name: str) -> AnyScenario:
    return MORE[name] if name in MORE else scenario_from_yaml(EXAMPLES[name].read_text(encoding="utf-8"))


@cache
def advice_of(name: str) -> Advice:
    found = advise(scenario_of(name), CATALOG)
    assert found is not None
    return found


@pytest.mark.parametrize("name", [*EXAMPLES, *MORE])
def test_what_is_promised_is_what_an_independent_plan_gives(name: str) -> None:
    scenario, advice = scenario_of(name), advice_of(name)
    now = plan(scenario, CATALOG).recommended
    assert now is not None
    assert advice.present.usd_per_month == now.cost.usd_per_month
    ids = [o.move.id for o in advice.outcomes]
    assert len(ids) == len(set(ids))
    for outcome in advice.outcomes:
        if outcome.figures is None:
            continue
        fields = {**scenario.model_dump(), **outcome.move.changes}
        again = plan(type(scenario).model_validate(fields), CATALOG).recommended
        assert again is not None
        assert outcome.figures.usd_per_month == again.cost.usd_per_month
        assert outcome.figures.verdicts == again.verdicts
        assert (outcome.figures.instance, outcome.figures.instances) == (again.instance, again.instances)
        assert outcome.saves_usd_per_month == now.cost.usd_per_month - again.cost.usd_per_month


@pytest.mark.parametrize("name", [*EXAMPLES, *MORE])
def test_no_suggested_move_breaks_a_limit_or_costs_more(name: str) -> None:
    scenario, advice = scenario_of(name), advice_of(name)
    limits = {v.percentile: v for v in advice.present.verdicts if v.limit_ms is not None}
    for outcome in advice.suggested:
        assert outcome.holds
        assert not outcome.move.relaxes
        assert outcome.figures is not None
        assert outcome.saves_usd_per_month is not None
        assert outcome.saves_usd_per_month >= -0.01
        for verdict in outcome.figures.verdicts:
            if verdict.limit_ms is not None and verdict.percentile in limits:
                assert verdict.predicted_ms <= verdict.limit_ms
        kept = changed(scenario, outcome.move.changes)
        assert kept.utilization_cap == scenario.utilization_cap
        assert kept.spare_replicas == scenario.spare_replicas
        for field in (
            "ttft_target_ms",
            "tpot_target_ms",
            "latency_target_ms",
            "p50_target_ms",
            "p95_target_ms",
            "p99_target_ms",
        ):
            assert getattr(kept, field, None) == getattr(scenario, field, None)


@pytest.mark.parametrize("name", [*EXAMPLES, *MORE])
def test_moves_are_ranked_by_saving_and_the_table_is_short_and_mixed(name: str) -> None:
    advice = advice_of(name)
    saving = [round(o.saves_usd_per_month or 0.0, 2) for o in advice.outcomes if o.status == "saves"]
    assert saving == sorted(saving, reverse=True)
    assert [o.status for o in advice.suggested] == sorted(
        (o.status for o in advice.suggested), key=("saves", "leaner").index
    )
    assert len(advice.shown) <= SHOWN
    groups = [o.move.group for o in advice.shown]
    assert max(map(groups.count, groups), default=0) <= SHOWN_OF_GROUP
    assert {o.move.id for o in advice.shown} | {o.move.id for o in advice.rest} == {o.move.id for o in advice.outcomes}
    if advice.suggested:
        assert advice.shown[0] == advice.suggested[0]


@pytest.mark.parametrize("name", [*EXAMPLES, *MORE])
def test_each_note_on_quality_has_a_source_and_a_date_and_no_move_stays_unsaid(name: str) -> None:
    advice = advice_of(name)
    for outcome in advice.outcomes:
        note = outcome.move.quality
        assert len(note.source) > 5
        assert re.fullmatch(r"20\d\d(-\d\d(-\d\d)?)?", note.as_of), note
        assert note.words[0].isupper()
        assert note.words.endswith(".")
        assert note.effect != "unknown" or "easure it" in note.words
        if outcome.status == "fails":
            assert outcome.because
            assert outcome.figures is None
    assert advice_text(advice).count("\n") > len(advice.outcomes)
    assert as_json(advice)["plans"] == advice.plans


def test_a_lossless_move_changes_neither_the_model_nor_a_number_format() -> None:
    touching = {
        "model", "weight_format", "precision", "input_size", "steps", "trees", "depth", "leaves", "payload_format", "kv_format",
    }  # fmt: skip
    for name in (*EXAMPLES, *MORE):
        for outcome in advice_of(name).outcomes:
            if outcome.move.quality.lossless:
                assert not touching & set(outcome.move.changes), outcome.move
    kinds = {o.move.id: o.move.quality.lossless for name in (*EXAMPLES, *MORE) for o in advice_of(name).outcomes}
    for id_ in (
        "purchase:spot",
        "prefix:half",
        "speculation:draft",
        "speculation:mtp",
        "runtime:booster",
        "rules:accelerators",
    ):
        assert kinds[id_], id_
    for id_ in ("weights:fp8", "weights:int4", "kv:fp8", "model:trees", "precision:fp16", "runtime:tensorrt_llm"):
        assert not kinds[id_], id_


def test_a_move_that_rests_on_an_assumption_says_so() -> None:
    moves = {o.move.id: o.move for name in ("llama-2-70b", "deepseek-v3") for o in advice_of(name).outcomes}
    assert moves["prefix:half"].condition == "if your prompts share their first 992 of 2,000 tokens"
    assert "70" in str(moves["speculation:draft"].condition)
    assert "85" in str(moves["speculation:mtp"].condition)
    assert moves["weights:int4"].condition is None


@pytest.mark.parametrize("name", ["llama-2-70b", "resnet-50", "gradient-boosting-500", "deepseek-v3", "pinned"])
def test_the_plans_made_are_few_and_none_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, made = scenario_of(name), []
    family: Callable[..., Plan] = evaluate.plan_unkept
    monkeypatch.setattr(evaluate, "plan_unkept", lambda s, c: made.append(s) or family(s, c))
    plan(scenario, CATALOG)
    kept = plan.cache_info()
    advise.cache_clear()
    advice = advise(scenario, CATALOG)
    assert advice is not None
    assert len(made) == advice.plans <= MOST_MOVES + 2
    assert len(set(made)) == len(advice.outcomes) + 1
    assert made[0] == made[-1] == scenario
    assert advise(scenario, CATALOG) is advice
    assert len(made) == advice.plans
    assert plan.cache_info() == kept


def test_a_move_that_serves_nothing_says_why() -> None:
    tight = LlmScenario(model="llama-3.1-8b", weight_format="fp8", ttft_target_ms=60.0, tpot_target_ms=6.0)
    advice = advise(tight, CATALOG)
    assert advice is not None
    failed = [o for o in advice.outcomes if o.status == "fails"]
    assert failed
    assert all("binds" in str(o.because) or "allowed" in str(o.because) for o in failed)
    assert any("TPOT" in str(o.because) or "TTFT" in str(o.because) for o in failed)
    text = advice_text(advice)
    assert all(str(o.because) in text for o in failed)


def test_a_refused_move_says_what_the_field_allows() -> None:
    long = LlmScenario(model="meta-llama-3-70b", prompt_tokens=7_000, output_tokens=500, requests_per_s=0.5)
    smaller = evaluate.evaluate(
        long,
        llm_moves.Move("model:tiny", "model", "Use TinyLlama", {"model": "tinyllama-1.1b-chat-v1.0"}),
        CATALOG,
        evaluate.figures_of(plan(long, CATALOG).recommended),  # type: ignore[arg-type]
    )
    assert smaller.status == "fails"
    assert "context of 2048" in str(smaller.because)
    with pytest.raises(InputError, match="utilization_cap"):
        changed(long, {"utilization_cap": 2.0})


def test_nothing_is_advised_where_nothing_serves() -> None:
    assert advise(LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0), CATALOG) is None
    assert best_path(LlmScenario(model="llama-2-70b-hf", tpot_target_ms=2.0), CATALOG) == ()


def test_the_sentence_names_the_best_change_of_the_same_model_then_other_terms() -> None:
    advice = advice_of("llama-2-70b")
    saved = next(o.saves_usd_per_month for o in advice.outcomes if o.move.id == "weights:fp8")
    said = sentence(advice)
    assert said.startswith(f"Store the weights in fp8: {format_usd(saved)} less")
    assert "arXiv 2411.02355" in said
    assert "at spot prices would save" in said
    assert sentence(advice_of("gradient-boosting-500")).startswith("Only other terms of rent were found to cost less")


def test_a_difference_is_decided_only_where_the_intervals_lie_apart() -> None:
    for name in (*EXAMPLES, *MORE):
        advice = advice_of(name)
        for outcome in (o for o in advice.outcomes if o.figures is not None):
            for before, change in zip(advice.present.verdicts, outcome.latency, strict=True):
                apart = change.after_high_ms < before.low_ms or before.high_ms < change.after_low_ms
                assert change.decided == apart
                said = latency_words(change)
                same = format_ms(change.before_ms) == format_ms(change.after_ms)
                assert ("not decided" in said) == (not apart and change.met and not same)
                assert ("as before" in said) == same


def test_of_moves_that_save_the_same_the_better_known_to_be_harmless_stands_first() -> None:
    ids = [o.move.id for o in advise(LlmScenario(), CATALOG).outcomes]  # type: ignore[union-attr]
    saved = {o.move.id: o.saves_usd_per_month for o in advise(LlmScenario(), CATALOG).outcomes}  # type: ignore[union-attr]
    assert saved["weights:fp8"] == saved["weights:int8"]
    assert ids.index("weights:fp8") < ids.index("weights:int8")
    assert sentence(advise(LlmScenario(), CATALOG)).startswith("Store the weights in fp8")  # type: ignore[arg-type]


@pytest.mark.parametrize("allowed", ["same", "formats", "all"])
def test_a_combination_saves_more_with_every_step_and_each_step_is_a_plan(allowed: paths.Allowed) -> None:
    for name in ("llama-2-70b", "resnet-50", "random-forest-onnx"):
        scenario = scenario_of(name)
        advice, steps = advice_of(name), best_path(scenario, CATALOG, allowed=allowed)
        assert len(steps) <= paths.MOST_STEPS
        saved = [step.saved_usd_per_month for step in steps]
        assert saved == sorted(saved)
        groups = [step.outcome.move.group for step in steps]
        assert len(set(groups)) == len(groups)
        for step in steps:
            best = plan(changed(scenario, step.changes), CATALOG).recommended
            assert best is not None
            assert best.cost.usd_per_month == step.figures.usd_per_month
            assert step.saved_usd_per_month == pytest.approx(advice.present.usd_per_month - best.cost.usd_per_month)
            assert all(v.met for v in best.verdicts)
            assert step.outcome.move.condition is None
            assert not step.outcome.move.relaxes
            assert allowed != "same" or step.outcome.move.quality.lossless
            assert allowed == "all" or step.outcome.move.group not in paths.OTHER_PRODUCT


def test_the_first_step_of_a_combination_is_the_best_single_move_of_its_kind() -> None:
    advice, steps = advice_of("llama-2-70b"), best_path(scenario_of("llama-2-70b"), CATALOG, allowed="all")
    assert steps[0].outcome == advice.outcomes[0]
    fewer = best_path(scenario_of("llama-2-70b"), CATALOG, allowed="formats")
    assert fewer[0].outcome.move.id == "weights:fp8"
    assert fewer[-1].saved_usd_per_month <= steps[-1].saved_usd_per_month


@pytest.mark.parametrize("name", [*EXAMPLES, *MORE])
def test_every_changed_scenario_travels_in_a_link(name: str) -> None:
    scenario = scenario_of(name)
    for outcome in advice_of(name).outcomes:
        if outcome.figures is not None:
            moved = changed(scenario, outcome.move.changes)
            query = links.to_query(moved, catalog_version=CATALOG.version)
            assert links.from_link(query).scenario == moved


def test_formats_offered_are_smaller_and_read_by_the_engine() -> None:
    moves = {
        m.id
        for m in candidates(scenario_of("deepseek-v3"), CATALOG, plan(scenario_of("deepseek-v3"), CATALOG).recommended)
    }  # type: ignore[arg-type]
    assert "weights:fp8" not in moves  # it is published in fp8
    assert {"weights:int4", "weights:nvfp4"} <= moves
    gguf = {o.move.id for o in advice_of("llama.cpp").outcomes}
    assert {"weights:gguf_q6_k", "weights:gguf_q4_k_m"} <= gguf
    assert not {"weights:fp8", "weights:gguf_q8_0", "kv:fp8"} & gguf
    assert "runtime:vllm" in gguf


def test_pinned_settings_are_offered_to_be_freed() -> None:
    outcomes = {o.move.id: o.move for o in advice_of("pinned").outcomes}
    assert outcomes["parallelism:open"].changes == {"tensor_parallel": None}
    assert outcomes["batching:open"].changes == {"batch": None}
    assert outcomes["batching:half"].changes == {"batch": 8}
    assert outcomes["rules:providers"].changes == {"providers": ()}
    assert outcomes["headroom:spare"].relaxes


def test_measurements_do_not_outlive_what_they_measured() -> None:
    scenario = StatisticalScenario(measured_service="host-1~00000000~model~1=2.5")
    moves = {o.move.id: o.move for o in advise(scenario, CATALOG).outcomes}  # type: ignore[union-attr]
    for id_ in ("runtime:onnxruntime", "model:trees", "model:depth"):
        assert moves[id_].changes["measured_service"] is None
    assert "measured_service" not in moves["purchase:spot"].changes


def test_siblings_are_smaller_models_of_the_same_line() -> None:
    def smaller(id_: str) -> list[str]:
        return [row.id for row in siblings.smaller_llms(CATALOG.llm_models[id_], CATALOG)]

    assert smaller("llama-3.1-405b") == ["llama-3.1-70b", "llama-3.1-8b"]
    assert smaller("llama-3.1-8b") == ["llama-3.2-3b", "llama-3.2-1b"]
    assert smaller("qwen2.5-72b") == ["qwen2.5-32b", "qwen2.5-14b"]
    assert "qwen3-30b-a3b" in smaller("qwen3-32b")
    assert smaller("gemma-2-9b") == ["gemma-2-2b"]
    assert smaller("deepseek-v3") == []
    draft = siblings.draft_for(CATALOG.llm_models["llama-3.1-70b"], CATALOG)
    assert draft is not None
    assert draft.id == "llama-3.1-8b"
    assert siblings.draft_for(CATALOG.llm_models["llama-3.2-1b"], CATALOG) is None


def test_lines_name_models_of_the_catalog_from_large_to_small() -> None:
    for line in siblings.DEEP_LINES:
        sizes = [CATALOG.deep_learning_models[id_].params for id_ in line]
        # Whisper's turbo has the encoder of the large one: as many parameters there, fewer in the decoder.
        assert sizes == sorted(sizes, reverse=True), line
    for table in siblings.SCORES:
        assert set(table) <= set(CATALOG.llm_models) | set(CATALOG.deep_learning_models)
        assert len({score.benchmark for score in table.values()}) == 1
    assert all(name in deep_learning_moves.LOWER for name in ("fp32", "fp16", "int8"))


def test_published_scores_are_said_as_they_are() -> None:
    said = siblings.step_down("torchvision-resnet152", "torchvision-resnet50")
    assert said.words == "ImageNet top-1, weights tv_in1k: 78.322 falls to 76.13 %."
    assert (
        siblings.step_down("whisper-large-v3", "whisper-medium").words
        == "Mean word error rate on ESB: 10.1 rises to 14.8 %."
    )
    assert siblings.step_down("whisper-large-v3", "whisper-large-v3-turbo").words.endswith("10.1 stays at 10.1 %.")
    assert siblings.step_down("yolo11x", "yolo11m").effect == "unknown"
    assert quality.weights("gguf_q8_0").effect == "unknown"
    assert quality.weights("gguf_q3_k_m").words.startswith("Perplexity of Llama 2 70B rises by 4.72 %")


@pytest.mark.parametrize("name", ["chat-llama-3.1-8b", "resnet-50", "gradient-boosting-500"])
def test_leaner_is_a_hundredth_of_memory_or_a_tenth_of_time_and_nothing_is_less(name: str) -> None:
    advice = advise(scenario_of(name), CATALOG)
    assert advice is not None
    seen = 0
    for outcome in advice.outcomes:
        if outcome.status not in ("leaner", "nothing") or outcome.figures is None or outcome.move.relaxes:
            continue
        saved = (outcome.memory_saved_bytes or 0) / advice.present.memory_bytes
        factors = [change.after_ms / change.before_ms for change in outcome.latency]
        gains = (saved > 0.01 or min(factors) < 0.9) and max(factors) <= 1.1
        assert (outcome.status == "leaner") == gains, outcome.move.title
        seen += 1
    assert seen
