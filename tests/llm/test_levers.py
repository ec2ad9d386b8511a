"""Levers: what the prefix cache spares, what drafting yields, and what both do to a step and a plan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.errors import InputError
from sizing.llm import plan
from sizing.llm.candidates import scenario_work
from sizing.llm.constants import rates
from sizing.llm.levers import history_demand_tokens, prompt_work, tokens_per_pass
from sizing.llm.serving import closed_batch
from sizing.llm.sharding import Split
from sizing.llm.speed import decode, prefill
from sizing.llm.work import Work, model_work, stack
from sizing.scenario import LlmScenario

CATALOG = load()
CENTRE = rates("vllm")[0]


def work(**changes: object) -> Work:
    scenario = LlmScenario.model_validate({"prompt_tokens": 4000, "output_tokens": 200, **changes})
    draft = CATALOG.llm_model("llama-3.1-8b") if changes.get("draft_model") == "llama-3.1-8b" else None
    model = CATALOG.llm_model(scenario.model)
    return stack([scenario_work(scenario, model, draft, CATALOG.accelerator("h100-sxm-80gb"), Split(4))])


def test_turns_by_hand() -> None:
    """Prefix 500, messages u, replies 200, 3 turns: prompts 500 + u, 700 + 2u, 900 + 3u; their mean is 700 + 2u = 1,900
    for u = 600. History = 1,900 - 500 - 600 = 800; half of it kept: 500 + 400 = 900 found, 896 in whole blocks."""
    chat = LlmScenario(
        prompt_tokens=1900,
        output_tokens=200,
        shared_prefix_tokens=500,
        turns_per_conversation=3,
        history_kept_share=0.5,
    )
    found = prompt_work(chat)
    assert (found.new_tokens, found.history_tokens) == (600.0, 800.0)
    assert (found.cached_tokens, found.computed_tokens) == (896, 1004)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"shared_prefix_tokens": 1000}, "shared_prefix_tokens"),
        ({"turns_per_conversation": 20}, "turns_per_conversation"),
    ],
)
def test_a_prompt_too_short_is_refused(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as refused:
        plan(LlmScenario.model_validate({"prompt_tokens": 1000, **changes}), CATALOG)
    assert refused.value.field == field


def test_least_prompt_that_the_refusal_names_is_accepted() -> None:
    with pytest.raises(InputError) as refused:
        prompt_work(LlmScenario(prompt_tokens=1000, turns_per_conversation=20))
    least = int(refused.value.allowed.split("prompts of ")[1].split(" ")[0].replace(",", ""))
    assert prompt_work(LlmScenario(prompt_tokens=least, turns_per_conversation=20)).computed_tokens > 0


def test_waiting_conversations_by_hand() -> None:
    """4 requests/s in conversations of 4 turns: 3 of 4 replies are followed by a wait of 30 s: 90 conversations wait."""
    chat = LlmScenario(prompt_tokens=4000, output_tokens=200, turns_per_conversation=4, seconds_between_turns=30)
    assert history_demand_tokens(chat, 4.0) == pytest.approx(90 * 4200)


@given(k=st.integers(0, 16), a=st.floats(0, 1))
def test_tokens_of_a_pass(k: int, a: float) -> None:
    expected = k + 1 if a == 1 else (1 - a ** (k + 1)) / (1 - a)
    assert tokens_per_pass(k, a) == pytest.approx(expected, rel=1e-6)
    assert 1.0 <= tokens_per_pass(k, a) <= k + 1


def test_cached_tokens_are_not_computed_but_attended() -> None:
    """Of 4,000 tokens 2,000 cached: products halve; attention of the rest sees 3,000 tokens in the mean instead of 2,000:
    2,000 x 3,000 against 4,000 x 2,000, three quarters."""
    whole, half = work(), work(shared_prefix_tokens=2000)
    head = 2.0 * 128256 * 4096 / 4
    products = lambda w: float(np.ravel(w.prefill_flops)[0]) - head  # noqa: E731
    assert products(half) / products(whole) == pytest.approx(0.5, rel=1e-6)
    attention = [float(np.ravel(w.prefill_attention_flops)[0]) for w in (whole, half)]
    assert attention[1] / attention[0] == pytest.approx(0.75, rel=1e-6)
    assert float(np.ravel(half.kv_bytes_per_sequence)[0]) == float(np.ravel(whole.kv_bytes_per_sequence)[0])
    assert prefill(half, CENTRE).occupied_ms[0, 0] < 0.6 * prefill(whole, CENTRE).occupied_ms[0, 0]


def test_drafting_helps_small_batches_and_not_large_ones() -> None:
    """At batch 1 a step reads weights and 4 tokens cost little more than one; at batch 512 products bind and the tokens
    that are refused are paid for."""
    plain = work(model="llama-3.1-70b")
    drafted = work(model="llama-3.1-70b", draft_model="llama-3.1-8b", drafted_tokens=3, draft_acceptance=0.5)
    batches = np.array([[1.0, 512.0]])
    ratio = (decode(drafted, batches, CENTRE).step_ms / decode(plain, batches, CENTRE).step_ms)[0]
    assert ratio[0] < 0.95
    assert ratio[1] > 1.0


def test_own_block_drafts_cheaply() -> None:
    plain = work(model="deepseek-v3")
    drafted = work(model="deepseek-v3", draft_model="mtp", drafted_tokens=1, draft_acceptance=0.85)
    ratio = decode(drafted, np.array([[8.0]]), CENTRE).step_ms / decode(plain, np.array([[8.0]]), CENTRE).step_ms
    assert 1 / 1.85 < ratio[0, 0] < 0.9


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.9])
def test_more_acceptance_is_never_slower(acceptance: float) -> None:
    less = work(draft_model="llama-3.1-8b", model="llama-3.1-70b", draft_acceptance=acceptance)
    more = work(draft_model="llama-3.1-8b", model="llama-3.1-70b", draft_acceptance=acceptance + 0.1)
    batch = np.array([[16.0]])
    done = [closed_batch(w, batch, 200.0, CENTRE) for w in (less, more)]
    assert done[1].tpot_ms[0, 0] < done[0].tpot_ms[0, 0]
    assert done[1].requests_per_s[0, 0] > done[0].requests_per_s[0, 0]


def test_short_memory_for_conversations_is_said() -> None:
    chat = {"prompt_tokens": 20_000, "output_tokens": 200, "turns_per_conversation": 10, "requests_per_s": 5.0}
    base = {**chat, "ttft_target_ms": 5000.0, "seconds_between_turns": 600}
    found = plan(LlmScenario.model_validate(base), CATALOG).recommended
    assert found is not None
    said = next(text for text in found.warnings if text.startswith("Conversations between turns"))
    more = float(said.rsplit("replica ", 1)[1].split(" GiB")[0].replace(",", ""))
    relieved = plan(LlmScenario.model_validate({**base, "kv_offload_gib": more + 1}), CATALOG).recommended
    assert relieved is not None
    assert not [text for text in relieved.warnings if text.startswith("Conversations between turns")]


def test_sparse_attention_reads_what_it_picks() -> None:
    """DeepSeek-V3.2 at 32,000 + 50 tokens (2,004 blocks of 16): 61 layers read 2,048 latents of 576 x 2 bytes and the keys of
    all tokens at 132 bytes; a whole block holds a few tokens beyond the context, which the difference leaves in."""
    shape = model_work(
        CATALOG.llm_model("deepseek-v3.2"),
        weight_format="native",
        kv_format="bf16",
        split=Split(8),
        prompt_tokens=32_000,
        output_tokens=100,
    )
    blocks = 2004 * 16
    kept = 61 * (blocks * 1152 + blocks * 132)
    assert shape.kv_bytes_per_sequence == pytest.approx(kept - 61 * (32_050 - 2048) * 1152, rel=1e-9)
