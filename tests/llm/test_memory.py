"""Memory of language models: the faults of other planners, each with the right answer, and what must always hold."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.errors import InputError
from sizing.llm.config import parse_config
from sizing.llm.kv import BLOCK_TOKENS, kv_by_stage, kv_bytes_per_token, kv_layout
from sizing.llm.memory import ReplicaMemory, replica_memory
from sizing.llm.models import model_of
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import WHOLE, Split, not_divided, weights_by_stage, weights_bytes_per_rank
from sizing.scenario import LlmScenario
from sizing.units import GIB

CATALOG = load()
H100, H200 = CATALOG.accelerator("h100-sxm-80gb"), CATALOG.accelerator("h200-sxm-141gb")


def known(model: str) -> bool:
    try:
        architecture_of(CATALOG.llm_model(model))
    except InputError:
        return False
    return True


MODELS = [name for name in CATALOG.llm_models if known(name)]


def memory(model: str, split: Split = WHOLE, part=H100, **beside) -> ReplicaMemory:
    return replica_memory(CATALOG.llm_model(model), part, split=split, **beside)


def sequence_bytes(model: str, context: int, tp: int = 1) -> int:
    layout = kv_layout(CATALOG.llm_model(model), tensor_parallel=tp, pipeline_parallel=1)
    return layout.bytes_per_sequence(context_tokens=context, kv_format="bf16")


# The faults of other planners (popular ones, as of 2026-11), each with the right answer and how it follows.


def test_deepseek_v3_on_16_parts_keeps_its_latent_on_every_rank() -> None:
    """61 layers x (512 + 64) x 2 = 70,272 bytes a token on each rank: 0.268 GiB for 4,096 tokens. Of 0.9 x 79.2 GiB on
    each part 40.3 are weights. With 1.5 GiB beside them 110 requests fit; engines hold some 6 GiB (as they do for
    DeepSeek-R1 in public logs): 92. Dividing the latent by 16 shows 1,770."""
    found = memory("deepseek-v3", Split(tensor=16))
    assert found.held(4096, runtime_bytes=int(1.5 * GIB)) == pytest.approx(110, abs=3)
    assert 85 <= found.held(4096) <= 112
    one, sixteen = (kv_by_stage(CATALOG.llm_model("deepseek-v3"), Split(tensor=n)) for n in (1, 16))
    assert one == sixteen
    assert sequence_bytes("deepseek-v3", 4096, tp=16) == 61 * 576 * 2 * 4096


def test_the_latent_cache_includes_its_rotary_part() -> None:
    """512 + 64 elements a layer: 70,272 bytes; without the rotary 64 it would be 62,464, with full heads 1.75 million."""
    assert kv_bytes_per_token(CATALOG.llm_model("deepseek-v3"), "bf16") == 70_272


@pytest.mark.parametrize(("context", "overstated"), [(4096, 2.70), (131_072, 5.96)])
def test_gemma_3_keeps_a_window_of_1024_in_five_of_six_layers(context: int, overstated: float) -> None:
    """52 sliding and 10 full layers of 2 x 16 x 128 elements: (10 x context + 52 x 1,024) against 62 x context."""
    right = 2 * 16 * 128 * 2 * (10 * context + 52 * 1024)
    assert sequence_bytes("gemma-3-27b-it", context) == right
    assert 62 * context * 2 * 16 * 128 * 2 / right == pytest.approx(overstated, rel=0.01)


def test_gpt_oss_keeps_128_tokens_in_every_second_layer() -> None:
    """18 full and 18 sliding layers of 2 x 8 x 64 elements at 4,096 tokens: counting all as full shows 1.94 times."""
    right = 2 * 8 * 64 * 2 * 18 * (4096 + 128)
    assert sequence_bytes("gpt-oss-120b", 4096) == right
    assert 36 * 4096 * 2 * 8 * 64 * 2 / right == pytest.approx(1.94, abs=0.01)


def test_qwen3_next_has_keys_and_values_in_twelve_of_48_layers_and_a_state_in_the_others() -> None:
    layout = kv_layout(CATALOG.llm_model("qwen3-next-80b-a3b-instruct"), tensor_parallel=1, pipeline_parallel=1)
    assert layout.full_elements_per_token == 12 * 2 * 2 * 256
    assert 48 * 2 * 2 * 256 / layout.full_elements_per_token == 4.0
    assert layout.state_elements == 36 * 32 * 128 * 128
    grown = layout.bytes_per_sequence(context_tokens=8192, kv_format="bf16")
    assert grown - layout.bytes_per_sequence(context_tokens=4096, kv_format="bf16") == 4096 * 12 * 1024 * 2


def test_mixtral_needs_memory_for_all_its_experts() -> None:
    """46.7 billion parameters are held, though 12.9 billion work on a token."""
    assert weights_bytes_per_rank(CATALOG.llm_model("mixtral-8x7b-v0.1"), weight_format="bf16") == 2 * 46_702_792_704


def test_sixteen_ranks_copy_the_eight_kv_heads_of_llama_3_70b() -> None:
    """80 layers x 2 x 128 x 2 bytes a token on a rank, at 8 ranks and at 16: a planner that divides by 16 holds twice too
    many (788 against about 394 requests of 4k)."""
    assert sequence_bytes("meta-llama-3-70b", 4096, tp=8) == sequence_bytes("meta-llama-3-70b", 4096, tp=16)
    assert sequence_bytes("meta-llama-3-70b", 4096, tp=16) == 80 * 2 * 128 * 2 * 4096
    assert memory("meta-llama-3-70b", Split(tensor=16)).held(4096) == pytest.approx(394, rel=0.08)


def test_deepseek_r1_in_int4_counts_the_scales_and_leaves_the_rest_in_16_bit() -> None:
    """654 billion parameters in experts and the rest of the matrices at 0.5 + 2.5 / 128 bytes; embedding and head 2 bytes."""
    row = CATALOG.llm_model("deepseek-r1")
    groups = architecture_of(row).by_group()
    left = groups["embedding"] + groups["head"] + groups["norms"] + groups["router"]
    expected = (sum(groups.values()) - left) * (0.5 + 2.5 / 128) + left * 2
    absorbed = 61 * 128 * 256 * 512 * 2
    assert weights_bytes_per_rank(row, weight_format="int4") == pytest.approx(expected + absorbed, rel=1e-3)
    assert memory("deepseek-r1", Split(tensor=8), weight_format="int4").held(4096) > 0


def test_a_tied_head_is_held_once() -> None:
    assert weights_bytes_per_rank(CATALOG.llm_model("qwen3-0.6b"), weight_format="bf16") == 2 * 596_049_920


def test_activations_count_on_every_part_of_a_replica() -> None:
    """A planner that subtracts them once a replica overstates the room of 8 parts by seven times them."""
    eight = memory("deepseek-v3", Split(tensor=1, attention_data=8, expert_parallel=True), H200)
    stage = eight.stages[0]
    each = stage.sequence_bytes(4096, "bf16")
    once = (8 * (eight.usable_bytes - stage.fixed_bytes) - eight.runtime.total_bytes) // each
    assert once - eight.held(4096) == pytest.approx(7 * eight.runtime.total_bytes / each, abs=8)


@pytest.mark.parametrize(
    ("model", "gigabytes"),
    [("llama-2-7b-hf", 13.5), ("llama-2-13b-hf", 26.0), ("llama-2-70b-hf", 138.0), ("gpt-3-175b-paper", 349.2)],
)
def test_weights_in_fp16(model: str, gigabytes: float) -> None:
    found = weights_bytes_per_rank(CATALOG.llm_model(model), weight_format="fp16") / 1e9
    assert found == pytest.approx(gigabytes, abs=0.06)


@pytest.mark.parametrize(
    ("model", "bytes_"),
    [("llama-2-7b-hf", 524_288), ("llama-2-13b-hf", 819_200), ("llama-2-70b-hf", 327_680), ("llama-3.1-8b", 131_072)],
)
def test_kv_bytes_of_a_token(model: str, bytes_: int) -> None:
    assert kv_bytes_per_token(CATALOG.llm_model(model), "fp16") == bytes_


@pytest.mark.parametrize(
    ("model", "tp", "weights", "measured_gib"),
    [
        ("llama-3.3-70b-instruct", 4, "bf16", 32.89),
        ("llama-3.3-70b-instruct", 4, "fp8", 16.96),
        ("deepseek-r1", 8, "native", 79.74),
    ],
)
def test_weights_of_a_rank_against_start_up_logs(model: str, tp: int, weights: str, measured_gib: float) -> None:
    """Figures of public vLLM 0.11 to 0.19 start-up logs on H200."""
    found = weights_bytes_per_rank(CATALOG.llm_model(model), weight_format=weights, tensor_parallel=tp)
    assert found / GIB == pytest.approx(measured_gib, rel=0.005)


def test_seventy_billion_in_fp16_fits_two_parts_not_one() -> None:
    held = [memory("llama-2-70b-hf", Split(tensor=n), weight_format="fp16").held(4096) for n in (1, 2)]
    assert held[0] == 0 < held[1]


def test_attention_data_parallel_holds_more_of_a_model_whose_cache_is_copied() -> None:
    """Eight copies of attention keep eight times the requests of one latent cache, less the copied weights."""
    tensor = memory("deepseek-v3", Split(tensor=8), H200)
    data = memory("deepseek-v3", Split(tensor=1, attention_data=8, expert_parallel=True), H200)
    assert data.stages[0].weights.total_bytes > tensor.stages[0].weights.total_bytes
    assert data.stages[0].weights.copied_bytes > tensor.stages[0].weights.copied_bytes
    assert 3 * tensor.held(4096) < data.held(4096) < 8 * tensor.held(4096)


def test_what_is_served_beside_the_model_takes_its_room() -> None:
    plain = memory("llama-3.1-70b", Split(tensor=4))
    draft = CATALOG.llm_model("llama-3.2-1b")
    adapters = memory("llama-3.1-70b", Split(tensor=4), adapters=8, adapter_rank=16)
    drafted = memory("llama-3.1-70b", Split(tensor=4), draft=draft)
    cached = memory("llama-3.1-70b", Split(tensor=4), prefix_tokens=100_000)
    assert max(m.held(4096) for m in (adapters, drafted, cached)) < plain.held(4096)
    # rank 16 on q, k, v, o, gate, up, down of 80 layers, split over 4 ranks: in x 16 whole or out x 16 / 4, and so on
    q, kv, ffn, h = 8192 // 4, 1024 // 4, 28672 // 4, 8192
    one = 80 * 16 * ((h + q) + 2 * (h + kv) + (q + h) + 2 * (h + ffn) + (ffn + h)) * 2
    assert dict(adapters.stages[0].extras)["adapters"] == 8 * one
    assert dict(drafted.stages[0].extras)["draft_model"] == pytest.approx(1_235_814_400 * 2 / 4, rel=0.02)
    each = plain.stages[0].kv.bytes_per_token("bf16")
    assert cached.parts(sequences=1, context_tokens=16).parts["prefix_cache"] == 100_000 * each


def test_a_checkpoint_header_replaces_the_computed_weights() -> None:
    stated = memory("llama-3.1-8b", checkpoint_bytes=20_000_000_000)
    assert stated.stages[0].weights.total_bytes == pytest.approx(20e9, rel=1e-3)


def test_answers_in_both_directions_agree() -> None:
    found = memory("llama-3.1-8b")
    most = found.held(4096)
    assert found.needed_utilization(most, 4096) <= 0.9 < found.needed_utilization(most + 1, 4096)
    longest = found.longest_context_tokens(most, 131_072)
    assert found.held(longest) >= most > found.held(longest + BLOCK_TOKENS)
    low, high = found.held_interval(4096)
    assert low <= most <= high


@pytest.mark.parametrize(
    ("model", "architecture", "measured_gib"), [("gpt-oss-120b", "Hopper", 64.38), ("gpt-oss-20b", "Ampere", 13.72)]
)
def test_mxfp4_kernels_pad_experts(model: str, architecture: str, measured_gib: float) -> None:
    """Public vLLM 0.14 and 0.19 logs; the checkpoints alone are 60.8 and 12.8 GiB."""
    held = weights_by_stage(CATALOG.llm_model(model), "native", Split(), architecture)[0][0].total_bytes / GIB
    bare = weights_by_stage(CATALOG.llm_model(model), "native", Split())[0][0].total_bytes / GIB
    assert held == pytest.approx(measured_gib, rel=0.005)
    assert bare < 0.96 * measured_gib


def test_vllm_fills_up_groups_of_unlike_layers() -> None:
    """gemma-3-1b: 22 sliding and 4 full layers are kept as 24 and 4: it pays for 28 layers, not 26."""
    row = CATALOG.llm_model("gemma-3-1b-it")
    bare, grouped = kv_by_stage(row, Split())[0], kv_by_stage(row, Split(), grouped=True)[0]
    assert grouped.full_elements_per_token == bare.full_elements_per_token == 4 * 2 * 256
    assert (bare.windows, grouped.windows) == (((512, 22 * 2 * 256),), ((512, 24 * 2 * 256),))


def test_reported_tokens_of_hybrids_follow_the_rule_of_the_engine_version() -> None:
    """Qwen3-Next: vLLM up to 0.20 divides by all 48 layers, later ones by what a request takes; one kind is the same."""
    old, new = (
        memory("qwen3-next-80b-a3b-instruct", Split(tensor=2), H200, engine_version=v) for v in ("0.19", "0.28")
    )
    ratio = (new.kv_tokens() / new.budget_bytes(new.stages[0])) / (old.kv_tokens() / old.budget_bytes(old.stages[0]))
    assert 3.5 < ratio < 4.0
    for version in ("0.19", "0.28"):
        plain = memory("llama-3.1-8b", engine_version=version)
        assert plain.kv_tokens() == plain.budget_bytes(plain.stages[0]) // 131_072


def test_a_vision_tower_is_split_over_the_ranks_and_stays_in_16_bit() -> None:
    tower = {
        (weights, tp): dict(memory("gemma-3-27b-it", Split(tensor=tp), weight_format=weights).stages[0].extras)
        for weights in ("bf16", "fp8")
        for tp in (1, 2)
    }
    assert tower["bf16", 1] == tower["fp8", 1]
    assert tower["bf16", 2]["vision_tower"] < 0.6 * tower["bf16", 1]["vision_tower"]


def test_a_row_of_an_older_catalog_borrows_its_shape_from_the_present_one() -> None:
    old = load("2026-11-22.ea7ed328")
    assert old.llm_model("qwen3-next-80b-a3b-instruct").config_json is None
    row = model_of(LlmScenario(model="qwen3-next-80b-a3b-instruct"), old)
    assert architecture_of(row).parameters == old.llm_model("qwen3-next-80b-a3b-instruct").params_total


# What must hold for every model, split and format.

SPLITS = st.builds(
    Split,
    tensor=st.sampled_from([1, 2, 4, 8, 16]),
    pipeline=st.integers(1, 4),
    attention_data=st.sampled_from([1, 2, 8]),
    expert_parallel=st.booleans(),
)
FORMATS = st.sampled_from(["bf16", "fp8", "int4", "nvfp4", "gguf_q4_k_m"])
KV_FORMATS = st.sampled_from(["bf16", "fp8", "int8", "fp4"])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MODELS), SPLITS, FORMATS, KV_FORMATS, st.integers(1, 200_000), st.integers(1, 64))
def test_properties_of_any_replica(
    model: str, split: Split, weights: str, kv_format: str, context: int, sequences: int
) -> None:
    shape = architecture_of(CATALOG.llm_model(model))
    assume(split.pipeline <= shape.layers and (shape.experts or not split.expert_parallel))
    found = memory(model, split, weight_format=weights, kv_format=kv_format)
    parts = found.parts(sequences=sequences, context_tokens=context)
    assert sum(parts.parts.values()) == parts.used_bytes
    assert min(parts.parts.values()) >= 0
    assert parts.used_low_bytes <= parts.used_bytes <= parts.used_high_bytes
    assert found.parts(sequences=sequences + 1, context_tokens=context).used_bytes >= parts.used_bytes
    assert found.need_bytes(sequences, context + 1) >= found.need_bytes(sequences, context)
    assert found.held(context + 1) <= found.held(context)
    whole = memory(model, weight_format=weights, kv_format=kv_format)
    over_ranks = sum(stage.weights.total_bytes for stage in found.stages) * split.width
    if split.pipeline == 1:
        assert over_ranks >= whole.stages[0].weights.total_bytes * 0.999999


@settings(max_examples=60, deadline=None)
@given(
    layers=st.integers(1, 80),
    kv_heads=st.sampled_from([1, 2, 4, 8]),
    experts=st.sampled_from([0, 8]),
    tensor=st.sampled_from([1, 2, 4]),
    field=st.sampled_from(["num_hidden_layers", "intermediate_size", "vocab_size", "hidden_size"]),
    context=st.integers(1, 100_000),
)
def test_more_of_a_model_never_takes_less(
    layers: int, kv_heads: int, experts: int, tensor: int, field: str, context: int
) -> None:
    """One more layer, or a wider one, on the same parts: no fewer bytes of weights, of cache or in all."""
    small = {
        "model_type": "mixtral" if experts else "llama",
        "num_hidden_layers": layers,
        "hidden_size": 1024,
        "intermediate_size": 2048,
        "num_attention_heads": 8,
        "num_key_value_heads": kv_heads,
        "head_dim": 128,
        "vocab_size": 32_000,
    }
    if experts:
        small |= {"num_local_experts": experts, "num_experts_per_tok": 2}
    large = {**small, field: small[field] + (1 if field == "num_hidden_layers" else 1024)}
    found = [replica_memory(parse_config(c).model, H100, split=Split(tensor)) for c in (small, large)]
    fixed = [m.stages[0].fixed_bytes for m in found]
    kept = [m.stages[0].sequence_bytes(context, "bf16") for m in found]
    assert fixed[0] < fixed[1]
    assert kept[0] <= kept[1]
    assert (kept[0] < kept[1]) == (field == "num_hidden_layers")
    assert found[0].need_bytes(1, context) <= found[1].need_bytes(1, context)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MODELS), st.sampled_from([(1, 2), (2, 4), (8, 16)]))
def test_tensor_parallel_beyond_the_kv_heads_saves_no_cache(model: str, degrees: tuple[int, int]) -> None:
    row = CATALOG.llm_model(model)
    heads = architecture_of(row).kv_heads
    few, many = (kv_layout(row, tensor_parallel=n, pipeline_parallel=1) for n in degrees)
    assert many.full_elements_per_token <= few.full_elements_per_token
    if degrees[0] >= heads:
        assert many.full_elements_per_token == few.full_elements_per_token


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MODELS), st.integers(1, 200_000))
def test_a_smaller_format_never_takes_more(model: str, context: int) -> None:
    sizes = [
        memory(model, weight_format=name).stages[0].weights.total_bytes for name in ("fp32", "bf16", "fp8", "nvfp4")
    ]
    assert sizes == sorted(sizes, reverse=True)
    layout = kv_layout(CATALOG.llm_model(model), tensor_parallel=1, pipeline_parallel=1)
    kept = [
        layout.bytes_per_sequence(context_tokens=context, kv_format=name) for name in ("bf16", "int8", "fp8", "fp4")
    ]
    assert kept == sorted(kept, reverse=True)


@pytest.mark.parametrize(
    ("model", "weights", "split", "says"),
    [
        ("llama-3.1-8b", "bf16", Split(tensor=3), "32 attention heads"),
        ("qwen2.5-14b", "bf16", Split(tensor=16), "40 attention heads"),
        ("qwen3-235b-a22b", "fp8_block", Split(tensor=8), "128-wide fp8 block"),
        ("llama-3.1-8b", "bf16", Split(tensor=2, expert_parallel=True), "no experts"),
    ],
)
def test_splits_that_engines_refuse(model: str, weights: str, split: Split, says: str) -> None:
    """Qwen3-235B-FP8 on 8: 1,536 / 8 = 192 inputs of an expert on a rank, no multiple of its 128-wide scale blocks."""
    assert says in str(not_divided(CATALOG.llm_model(model), weights, split))


def test_expert_parallel_lifts_the_limit_of_quantisation_blocks() -> None:
    row = CATALOG.llm_model("qwen3-235b-a22b")
    assert not_divided(row, "fp8_block", Split(tensor=8, expert_parallel=True)) is None
    assert not_divided(row, "fp8_block", Split(tensor=4)) is None
