"""Memory answers both ways and what-ifs: each is checked against the memory of the changed scenario itself."""

from __future__ import annotations

from math import ceil

import pytest

from sizing.catalog import load
from sizing.llm.answers import ROOMY_REQUESTS, best_split, compare_splits, memory_map, reverse, smallest_holding
from sizing.llm.candidates import memory_of, unsupported
from sizing.llm.sharding import Split
from sizing.llm.whatif import smaller_sibling, what_ifs
from sizing.planner import plan
from sizing.scenario import LlmScenario

CATALOG = load()
LLAMA = LlmScenario(model="llama-2-70b-hf", prompt_tokens=3500, output_tokens=500)
DEEPSEEK = LlmScenario(model="deepseek-v3", prompt_tokens=3500, output_tokens=500)


def test_the_map_says_of_every_part_and_count_whether_it_fits() -> None:
    cells = memory_map(LLAMA, CATALOG)
    model = CATALOG.llm_model(LLAMA.model)
    parts = [a for a in CATALOG.accelerators.values() if unsupported(LLAMA, model, a) is None]
    assert len(cells) == 5 * len(parts)
    for cell in cells:
        assert (cell.fit == "no") == (cell.requests == 0)
        assert cell.fit != "room" or cell.requests >= ROOMY_REQUESTS
        assert (cell.kv_tokens > 0) == (cell.requests > 0)
        assert cell.requests_interval[0] <= cell.requests <= cell.requests_interval[1]
    at = {(c.accelerator, c.count): c for c in cells}
    assert at["h100-sxm-80gb", 1].fit == "no"
    assert at["h100-sxm-80gb", 1].because == "weights"
    assert at["h100-sxm-80gb", 4].fit == "room"


@pytest.mark.parametrize(
    "fields",
    [{}, {"tensor_parallel": 4, "pipeline_parallel": 2}, {"tensor_parallel": 8, "pipeline_parallel": 2}],
)
def test_the_map_agrees_with_the_plan(fields: dict[str, int]) -> None:
    scenario = LLAMA.model_copy(update=fields)
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    at = {(c.accelerator, c.count): c for c in memory_map(scenario, CATALOG)}
    cell = at[best.accelerator or "", best.accelerators_per_replica or 0]
    assert cell.requests == best.extra["max_sequences"]
    assert cell.kv_tokens == best.extra["kv_tokens_capacity"]


def test_the_smallest_that_holds_what_is_asked_for_holds_it_and_half_of_it_does_not() -> None:
    cells = memory_map(LLAMA, CATALOG)
    found = smallest_holding(cells, 32)
    assert found
    at = {(c.accelerator, c.count): c for c in cells}
    for cell in found:
        assert cell.requests >= 32
        assert cell.count == 1 or at[cell.accelerator, cell.count // 2].requests < 32
    total = [c.count * c.capacity_bytes for c in found]
    assert total == sorted(total)
    assert smallest_holding(cells, 10**9) == ()


def test_reverse_answers_hold_when_put_back_in() -> None:
    part, split = CATALOG.accelerator("h100-sxm-80gb"), Split(tensor=4)
    memory = memory_of(LLAMA, CATALOG.llm_model(LLAMA.model), part, split)
    said = reverse(memory, requests=8, context_tokens=4000, longest_context_tokens=100_000)
    assert memory.held(said.longest_context_tokens) >= 8 > memory.held(said.longest_context_tokens + 16)
    assert said.gpu_memory_utilization is not None
    set_so = memory_of(
        LLAMA.model_copy(update={"gpu_memory_utilization": said.gpu_memory_utilization + 1e-6}),
        CATALOG.llm_model(LLAMA.model),
        part,
        split,
    )
    assert set_so.held(4000) == 8
    assert said.kv_tokens_interval[0] <= said.kv_tokens <= said.kv_tokens_interval[1]
    assert (
        reverse(memory, requests=10**6, context_tokens=4000, longest_context_tokens=4096).gpu_memory_utilization is None
    )


def test_spreads_are_compared_only_where_the_cache_is_copied() -> None:
    assert compare_splits(LLAMA, CATALOG, "h100-sxm-80gb", 8) == ()
    rows = compare_splits(DEEPSEEK, CATALOG, "h200-sxm-141gb", 8)
    assert [(r.split.tensor, r.split.attention_data) for r in rows] == [(8, 1), (4, 2), (2, 4), (1, 8)]
    assert [r.copied_bytes for r in rows] == sorted(r.copied_bytes for r in rows)
    assert [r.kv_tokens for r in rows] == sorted(r.kv_tokens for r in rows)
    assert rows[0].sequence_bytes == pytest.approx(8 * rows[3].sequence_bytes)
    copied = compare_splits(LlmScenario(model="meta-llama-3-70b"), CATALOG, "h100-sxm-80gb", 16)
    assert copied[0].split.tensor == 16


def fp8(rows: int, columns: int) -> int:
    """Bytes of a matrix in fp8 with a 4-byte scale for each block of 128 x 128."""
    return rows * columns + 4 * ceil(rows / 128) * ceil(columns / 128)


def deepseek_rank(dense: int, routed: int, tensor: int, data: int) -> tuple[int, int]:
    """Bytes on a rank of so many layers of DeepSeek-V3 as published, and of an embedding or head there.

    Latent projections whole, the rest of attention / tensor; experts / (tensor x data), by whole ones or by their width;
    kv_b_proj once more in 16 bit; norms of 512, 1,536 and twice 7,168, and the router, in 16 bit.
    """
    attention = fp8(576, 7168) + fp8(1536, 7168) + fp8(24576 // tensor, 1536) + fp8(32768 // tensor, 512)
    attention += fp8(7168, 16384 // tensor) + 2 * 512 * 32768 // tensor + 2 * (512 + 1536 + 2 * 7168)
    feed = 2 * fp8(18432 // tensor, 7168) + fp8(7168, 18432 // tensor)
    shared = 2 * fp8(2048 // tensor, 7168) + fp8(7168, 2048 // tensor)
    if data == 1:
        experts = 256 * (2 * fp8(2048 // tensor, 7168) + fp8(7168, 2048 // tensor))
    else:
        experts = 256 // (tensor * data) * (2 * fp8(2048, 7168) + fp8(7168, 2048))
    layers = dense * (attention + feed) + routed * (attention + experts + shared + 2 * 256 * 7168)
    return layers, 2 * 129_280 // tensor * 7168  # 129,280 rows are 2,020 x 64: no padding


@pytest.mark.parametrize(("tensor", "data"), [(8, 1), (2, 4), (1, 8)])
def test_spreads_within_two_stages_hold_what_their_fuller_stage_holds(tensor: int, data: int) -> None:
    """61 layers on 2 stages are 31 (3 of them dense) and 30. The second weighs more, two experts' layers against three
    dense ones and one of experts; yet the first holds fewer requests, for it keeps 31 layers of each."""
    rows = compare_splits(DEEPSEEK, CATALOG, "h200-sxm-141gb", 8, 2)
    assert [(r.split.tensor, r.split.attention_data, r.split.pipeline) for r in rows] == [
        (8, 1, 2), (4, 2, 2), (2, 4, 2), (1, 8, 2)
    ]  # fmt: skip
    row = next(r for r in rows if r.split.tensor == tensor)
    memory = memory_of(DEEPSEEK, CATALOG.llm_model("deepseek-v3"), CATALOG.accelerator("h200-sxm-141gb"), row.split)
    (first, embedding), (last, head) = deepseek_rank(3, 28, tensor, data), deepseek_rank(0, 30, tensor, data)
    weights = first + embedding, last + head + 2 * 7168
    room = [memory.usable_bytes - memory.runtime.total_bytes - size for size in weights]
    each = 31 * 576 * 2 * 4000, 30 * 576 * 2 * 4000  # 4,000 tokens are 250 blocks of 16
    held = [room[0] // each[0], room[1] // each[1]]
    assert weights[0] < weights[1]
    assert held[0] < held[1]
    assert row.requests == data * held[0]
    assert row.kv_tokens == data * (room[0] // (31 * 576 * 2))
    assert row.weights_bytes == weights[0]
    assert row.sequence_bytes == tensor * each[0]


def test_spreads_within_two_stages_are_of_the_last_stage_where_that_binds() -> None:
    """In 16 bit two more layers of experts outweigh one more layer of cache."""
    half = DEEPSEEK.model_copy(update={"weight_format": "bf16"})
    rows = compare_splits(half, CATALOG, "h200-sxm-141gb", 8, 2)
    assert [row.sequence_bytes for row in rows] == [tensor * 30 * 576 * 2 * 4000 for tensor in (8, 4, 2, 1)]
    assert all(row.requests > 0 for row in rows)


@pytest.mark.parametrize(("scenario", "count"), [(LLAMA, 4), (DEEPSEEK, 8)])
def test_each_what_if_saves_what_it_says_when_its_change_is_made(scenario: LlmScenario, count: int) -> None:
    part, split = CATALOG.accelerator("h200-sxm-141gb"), Split(tensor=count)
    model = CATALOG.llm_model(scenario.model)
    found = what_ifs(scenario, CATALOG, part.id, split)
    before = memory_of(scenario, model, part, split)
    made = [w for w in found if w.changes]
    assert {"weights in fp8", "KV cache in fp8"} & {w.words for w in made}
    for what in made:
        changed = LlmScenario.model_validate({**scenario.model_dump(), **what.changes})
        other = CATALOG.llm_model(changed.model)
        spread = Split(
            what.changes.get("tensor_parallel", count), 1, changed.attention_data_parallel, changed.expert_parallel
        )
        after = memory_of(changed, other, part, spread)
        assert after.held(4000) == what.requests_after
        assert before.need_bytes(what.requests_before, 4000) - after.need_bytes(
            what.requests_before, 4000
        ) == pytest.approx(what.saved_bytes, abs=2)
    pruned = [w for w in found if not w.changes]
    assert [w.saved_bytes for w in pruned] == [0, 0]
    assert all("nothing is saved" in w.said for w in pruned)


def test_a_smaller_sibling_is_of_the_family_and_smaller() -> None:
    row = CATALOG.llm_model("qwen3-32b")
    found = smaller_sibling(row, CATALOG, 4000)
    assert found is not None
    assert found.family == row.family
    assert (found.params_total or 0) < (row.params_total or 0) * 2 / 3


def test_a_count_that_cannot_be_shared_out_is_none() -> None:
    odd = LLAMA.model_copy(update={"attention_data_parallel": 3})
    assert best_split(odd, CATALOG.llm_model(LLAMA.model), CATALOG.accelerator("h100-sxm-80gb"), 4) is None


@pytest.mark.parametrize(
    ("fields", "count", "spread"),
    [
        ({}, 8, (8, 1)),
        ({}, 16, (8, 2)),  # tensor parallel stays within a machine
        ({"tensor_parallel": 4}, 8, (4, 2)),
        ({"pipeline_parallel": 4}, 8, (2, 4)),
        ({"tensor_parallel": 8}, 4, (4, 1)),  # the count has no room for what is set
    ],
)
def test_a_count_is_spread_as_the_search_would_spread_it(
    fields: dict[str, int], count: int, spread: tuple[int, int]
) -> None:
    scenario = LLAMA.model_copy(update=fields)
    split = best_split(scenario, CATALOG.llm_model(LLAMA.model), CATALOG.accelerator("h100-sxm-80gb"), count)
    assert split is not None
    assert (split.tensor, split.pipeline) == spread


def test_sixteen_parts_hold_about_twice_what_eight_do_although_the_model_has_eight_kv_heads() -> None:
    at = {(c.accelerator, c.count): c for c in memory_map(LLAMA, CATALOG)}
    eight, sixteen = at["h100-sxm-80gb", 8], at["h100-sxm-80gb", 16]
    assert 1.9 * eight.kv_tokens < sixteen.kv_tokens < 2.6 * eight.kv_tokens
