"""Bytes of weights and KV cache derived by hand from published shapes, digit for digit: a change of a rule shows here.

Expected values are integer arithmetic of the tests alone. What the engine itself takes (fitted constants) is given, not
derived: `BESIDE` bytes, or what the memory under test states.
"""

from __future__ import annotations

from math import ceil

import pytest

from sizing.catalog import load
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.llm.config import parse_config
from sizing.llm.kv import kv_by_stage
from sizing.llm.memory import ReplicaMemory, replica_memory
from sizing.llm.sharding import WHOLE, Split, stage_layers, step_bytes, weights_by_stage, weights_bytes_per_rank
from sizing.llm.storage import INT4_AWQ

CATALOG = load()
H100: Accelerator = CATALOG.accelerator("h100-sxm-80gb")
BESIDE = 2 * 2**30
"""Memory of the engine beside weights and cache where a test sets it (bytes)."""
LLAMA_PARAMETERS = 8_030_261_248
"""Of Llama-3.1-8B: 32 layers of 218,112,000, twice 128,256 x 4,096 and a norm of 4,096, as Hugging Face counts them."""
TENSOR_AND_HEADS = [(1, 8), (2, 4), (4, 2), (8, 1), (16, 1)]
"""Tensor parallel, and how many of 8 KV heads are then on a rank."""


def row(name: str) -> LlmModel:
    return CATALOG.llm_model(name)


def memory(name: str, split: Split = WHOLE, **beside) -> ReplicaMemory:
    return replica_memory(row(name), H100, split=split, **beside)


def llama_layer(tensor: int, kv_heads: int) -> int:
    """Parameters of a layer of Llama-3.1-8B on a rank: q and o of 4,096 x 4,096 and three of 14,336 x 4,096 are split, k
    and v have 128 rows for each KV head on the rank, two norms are whole."""
    return (2 * 4096 * 4096 + 3 * 14336 * 4096) // tensor + 2 * kv_heads * 128 * 4096 + 2 * 4096


@pytest.mark.parametrize(("tensor", "kv_heads"), TENSOR_AND_HEADS)
def test_weights_of_llama_on_a_rank(tensor: int, kv_heads: int) -> None:
    """128,256 rows of the vocabulary are 2,004 x 64 and 16 x 8,016, so nothing is padded."""
    weights, layers = weights_by_stage(row("llama-3.1-8b"), "bf16", Split(tensor))[0]
    on_rank = 2 * (32 * llama_layer(tensor, kv_heads) + 2 * (128_256 // tensor) * 4096 + 4096)
    assert weights.total_bytes == on_rank
    assert weights.share_bytes == 2 * LLAMA_PARAMETERS // tensor
    assert weights.copied_bytes == on_rank - 2 * LLAMA_PARAMETERS // tensor
    assert (weights.copied_bytes > 0) == (tensor > 1)  # norms, and from 16 ranks k and v
    assert len(layers) == 32


@pytest.mark.parametrize(("tensor", "kv_heads"), TENSOR_AND_HEADS)
def test_requests_that_llama_holds(tensor: int, kv_heads: int) -> None:
    """What 0.9 of the memory leaves beside the weights and 2 GiB, in whole requests of 32 x 2 x heads x 128 x 2 bytes x
    4,096 tokens; a prefix of 1,000 tokens, the same for all, takes its part first."""
    found, cached = memory("llama-3.1-8b", Split(tensor)), memory("llama-3.1-8b", Split(tensor), prefix_tokens=1000)
    weights = 2 * (32 * llama_layer(tensor, kv_heads) + 2 * (128_256 // tensor) * 4096 + 4096)
    token = 32 * 2 * kv_heads * 128 * 2
    room = int(0.9 * found.total_bytes) - weights - BESIDE
    assert found.held(4096, BESIDE) == room // (token * 4096)
    assert cached.held(4096, BESIDE) == (room - 1000 * token) // (token * 4096)
    assert found.kv_tokens(BESIDE) == room // token
    parts = found.parts(sequences=7, context_tokens=4096)
    assert parts.parts["weights"] + parts.parts.get("weights_copied", 0) == weights
    assert parts.parts["kv_cache"] == 7 * token * 4096
    needed = (weights + found.runtime.total_bytes + 7 * token * 4096) / found.total_bytes
    assert found.needed_utilization(7, 4096) == pytest.approx(needed, rel=1e-12)
    assert parts.used_bytes == pytest.approx(needed * found.total_bytes + H100.capacity_bytes - found.total_bytes)


@pytest.mark.parametrize(("tokens", "kept"), [(1, 16), (16, 16), (17, 32), (4095, 4096), (4097, 4112)])
@pytest.mark.parametrize(("kv_format", "eighths"), [("bf16", 128), ("fp8", 64), ("int8", 66), ("fp4", 36)])
def test_cache_fills_whole_blocks_of_16_tokens_in_its_format(
    tokens: int, kept: int, kv_format: str, eighths: int
) -> None:
    """Eighths of a bit an element: 16 bit, 8, 8 with an fp32 scale for 128 (8.25), 4 with an fp8 scale for 16 (4.5)."""
    stage = memory("llama-3.1-8b", kv_format=kv_format).stages[0]
    assert stage.sequence_bytes(tokens, kv_format) == 32 * 2 * 8 * 128 * kept * eighths // 64


@pytest.mark.parametrize(
    ("tokens", "kept", "windowed"),
    [(1000, 1008, 1008), (1024, 1024, 1024), (1025, 1040, 1024), (5000, 5008, 1024)],
)
@pytest.mark.parametrize(("tensor", "kv_heads"), [(1, 16), (4, 4), (32, 1)])
def test_cache_of_gemma_below_and_beyond_its_window(
    tokens: int, kept: int, windowed: int, tensor: int, kv_heads: int
) -> None:
    """gemma-3-27b: 52 layers with a window of 1,024 and 10 without, 16 KV heads of 128. vLLM keeps groups of ten layers:
    six of windowed ones, so it pays for 60 of them; others pay for 52."""
    element = 2 * kv_heads * 128 * 2
    for runtime, layers in (("sglang", 52), ("vllm", 60)):
        stage = memory("gemma-3-27b-it", Split(tensor), runtime=runtime).stages[0]
        assert stage.sequence_bytes(tokens, "bf16") == element * (10 * kept + layers * windowed)


def test_window_that_is_no_whole_number_of_blocks_is_rounded_up() -> None:
    """A window of 100 tokens takes 7 blocks of 16; two layers of one KV head of 64."""
    config = {
        "model_type": "mistral", "hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 100,
        "num_key_value_heads": 1, "intermediate_size": 256, "sliding_window": 100,
    }  # fmt: skip
    kept = kv_by_stage(parse_config(config).model, Split())[0]
    sizes = [kept.bytes_per_sequence(context_tokens=n, kv_format="bf16") for n in (90, 100, 105, 500)]
    assert sizes == [2 * 2 * 64 * 2 * tokens for tokens in (96, 112, 112, 112)]


def mla_parameters(tensor: int) -> int:
    """Parameters of a latent attention of DeepSeek-V3 on a rank, with two norms of 7,168: kv_a 576 and q_a 1,536 rows whole
    with norms of 512 and 1,536; q_b 24,576 x 1,536, kv_b 32,768 x 512 and o 7,168 x 16,384 split, kv_b kept twice."""
    whole = (576 + 1536) * 7168 + 512 + 1536 + 2 * 7168
    return whole + (24576 * 1536 + 2 * 32768 * 512 + 7168 * 16384) // tensor


@pytest.mark.parametrize("split", [Split(8), Split(16), Split(2, 1, 4, True), Split(1, 1, 8, True)])
def test_latent_cache_is_whole_on_each_tensor_rank_and_shared_out_by_attention_data_parallel(split: Split) -> None:
    """61 layers x (512 + 64) x 2 bytes a token on every rank. Each group of tensor ranks has requests of its own; experts,
    256 x 3 x 2,048 x 7,168, are shared by all, the shared one and the three dense layers by the tensor ranks."""
    found = replica_memory(row("deepseek-v3"), CATALOG.accelerator("mi355x"), weight_format="bf16", split=split)
    tp, each = split.tensor, 61 * 576 * 2 * 4096
    dense = 3 * 3 * 18432 * 7168 // tp
    routed = 58 * (256 * 3 * 2048 * 7168 // (tp * split.attention_data) + 3 * 2048 * 7168 // tp + 256 * 7168)
    weights = 2 * (61 * mla_parameters(tp) + dense + routed + 2 * 129_280 // tp * 7168 + 7168)
    stage = found.stages[0]
    assert stage.weights.total_bytes == weights
    assert stage.weights.share_bytes == 2 * 671_026_404_352 // (tp * split.attention_data)
    assert stage.sequence_bytes(4096, "bf16") == each
    assert stage.sequence_bytes(4096, "fp8") == each // 2
    room = int(0.9 * found.total_bytes) - weights - BESIDE
    assert room > 0
    assert found.held(4096, BESIDE) == split.attention_data * (room // each)
    assert found.kv_tokens(BESIDE) == split.attention_data * (room // (61 * 576 * 2))
    requests = 5 * split.attention_data + 1  # six on the fullest group
    groups = 6 if split.attention_data > 1 else requests
    assert found.parts(sequences=requests, context_tokens=4096).parts["kv_cache"] == groups * each


def test_sparse_attention_keeps_its_index_keys_on_every_rank_whatever_the_cache_format() -> None:
    """DeepSeek-V3.2: beside the latent 128 keys of one byte and a scale of 4 bytes a token in each of 61 layers."""
    for tensor in (1, 8):
        stage = memory("deepseek-v3.2", Split(tensor)).stages[0]
        assert stage.sequence_bytes(4096, "bf16") == 61 * (576 * 2 + 132) * 4096
        assert stage.sequence_bytes(4090, "fp8") == 61 * (576 + 132) * 4096


def test_state_of_linear_layers_beside_the_cache_of_the_others() -> None:
    """Qwen3-Next on 2 ranks: 36 layers keep 32 x 128 x 128 elements of 4 bytes and 3 x 8,192 of 2 bytes a request, halved;
    12 keep one of 2 KV heads of 256. vLLM makes blocks as large as such a state: 1,073,152 bytes / (512 x 2) = 1,048 tokens,
    so 66 blocks of 16."""
    state = (32 * 128 * 128 * 4 + 3 * 8192 * 2) // 2
    assert state == 1_073_152
    token = 12 * 2 * 256 * 2
    for runtime, kept in (("sglang", 2000), ("vllm", 2 * 1056)):
        stage = memory("qwen3-next-80b-a3b-instruct", Split(2), runtime=runtime).stages[0]
        assert stage.sequence_bytes(2000, "bf16") == token * kept + 36 * state


def int4(rows: int, columns: int) -> int:
    """Bytes of a matrix in AWQ: half a byte each, and 2 + 0.5 bytes for each row and 128 of its inputs."""
    return rows * columns // 2 + rows * ceil(columns / 128) * 5 // 2


def test_int4_weights_carry_group_scales_and_leave_embedding_head_and_norms_in_16_bit() -> None:
    """Llama-3.1-8B on 2 ranks: outputs of q, k, v, gate and up halved, inputs of o (4,096) and down (14,336) halved."""
    layer = int4(2048, 4096) + 2 * int4(512, 4096) + int4(4096, 2048) + 2 * int4(7168, 4096) + int4(4096, 7168)
    expected = 32 * (layer + 2 * 2 * 4096) + 2 * (2 * 64_128 * 4096 + 4096)
    assert weights_bytes_per_rank(row("llama-3.1-8b"), weight_format="int4", tensor_parallel=2) == expected
    assert INT4_AWQ.matrix_bytes(2, 129) == 129 + 2 * 2 * 2.5  # a group begun is a group stored


@pytest.mark.parametrize(("tensor", "rows"), [(1, 50_304), (5, 50_560)])
def test_vocabulary_is_padded_to_64_and_to_the_ranks(tensor: int, rows: int) -> None:
    """gpt2-xl: 50,257 rows of 1,600 become 786 x 64, on 5 ranks 158 x 320; tied, so once. 48 layers of 1,600: q, k, v, o and
    up and down of 6,400, all with biases (those of o and down whole), two norms with biases; 1,024 positions whole."""
    weights = weights_by_stage(row("gpt2-xl"), "bf16", Split(tensor))[0][0]
    split = (4 * 1600 * 1600 + 2 * 6400 * 1600 + 3 * 1600 + 6400) // tensor
    whole = 48 * (2 * 1600 + 4 * 1600) + 1024 * 1600 + 2 * 1600
    assert weights.total_bytes == 2 * (48 * split + rows // tensor * 1600 + whole)
    alone = 48 * tensor * split + 50_304 * 1600 + whole  # one accelerator pads as well: no copy
    assert weights.share_bytes == 2 * alone // tensor


def test_vocabulary_of_an_odd_number_of_64_rows_is_not_padded() -> None:
    """gemma-3-27b, 27,009,346,304 parameters without its vision tower: 262,208 rows are 4,097 x 64."""
    assert weights_bytes_per_rank(row("gemma-3-27b-it"), weight_format="bf16") == 2 * 27_009_346_304


def test_pipeline_stages_of_unequal_layers() -> None:
    """32 layers on 3 stages: 11, 11, 10, for the last has the head; the first has the embedding, the middle one neither.
    What is left over of 61 on 4 goes to the third."""
    vocabulary, layer = 128_256 * 4096, llama_layer(1, 8)
    found = weights_by_stage(row("llama-3.1-8b"), "bf16", Split(1, 3))
    assert [(w.total_bytes, layers) for w, layers in found] == [
        (2 * (11 * layer + vocabulary), range(11)),
        (2 * 11 * layer, range(11, 22)),
        (2 * (10 * layer + vocabulary + 4096), range(22, 32)),
    ]
    replica, token = memory("llama-3.1-8b", Split(1, 3)), 2 * 8 * 128 * 2
    assert [s.sequence_bytes(4096, "bf16") for s in replica.stages] == [n * token * 4096 for n in (11, 11, 10)]
    usable = int(0.9 * replica.total_bytes) - BESIDE
    rooms = [(usable - w.total_bytes) // (n * token * 4096) for (w, _), n in zip(found, (11, 11, 10), strict=True)]
    assert replica.held(4096, BESIDE) == min(rooms) == rooms[0]
    assert [(stage.start, stage.stop) for stage in stage_layers(61, 4)] == [(0, 15), (15, 30), (30, 46), (46, 61)]


def test_tied_head_is_held_on_the_first_and_the_last_stage() -> None:
    """Qwen3-0.6B on 2 stages of 14 layers: q and o of 2,048 x 1,024, k and v of 1,024 x 1,024, three of 3,072 x 1,024, norms
    of 128 and 1,024 twice each. 151,936 rows are 2,374 x 64."""
    layer = 2 * 2048 * 1024 + 2 * 1024 * 1024 + 3 * 3072 * 1024 + 2 * 128 + 2 * 1024
    vocabulary = 151_936 * 1024
    found = weights_by_stage(row("qwen3-0.6b"), "bf16", Split(1, 2))
    assert [w.total_bytes for w, _ in found] == [2 * (14 * layer + vocabulary), 2 * (14 * layer + vocabulary + 1024)]
    assert step_bytes(row("qwen3-0.6b"), "bf16", Split()) == (2 * (28 * layer + vocabulary + 1024), 0)


def fp8(rows: int, columns: int) -> int:
    """Bytes of a matrix in fp8 with a 4-byte scale a row."""
    return rows * columns + 4 * rows


@pytest.mark.parametrize(
    ("split", "whole", "width"),
    [
        (Split(4), 128, 192),  # a quarter of each expert
        (Split(4, expert_parallel=True), 32, 768),
        (Split(4, 1, 2), 128, 96),  # an eighth: attention data parallel shares experts too
        (Split(4, 1, 2, True), 16, 768),
        (Split(4, 1, 3, True), 11, 768),  # 128 / 12, rounded up
    ],
)
def test_experts_are_split_by_width_or_given_out_whole(split: Split, whole: int, width: int) -> None:
    """Qwen3-30B-A3B in fp8 with 4 tensor ranks: 48 layers of 128 experts of 3 x 768 x 2,048; q and o of 4,096 x 2,048 and k
    and v of 4 heads of 128; router 128 x 2,048, norms of 2,048 and 128 twice each and the vocabulary in 16 bit. Slices of an
    expert repeat the scales of down's 2,048 rows on each rank, whole experts do not."""
    experts = whole * (2 * fp8(width, 2048) + fp8(2048, width))
    attention = fp8(1024, 2048) + 2 * fp8(128, 2048) + fp8(2048, 1024)
    beside = 2 * (128 * 2048 + 2 * 2048 + 2 * 128)
    outer = 2 * (2 * 151_936 // 4 * 2048 + 2048)
    weights = weights_by_stage(row("qwen3-30b-a3b"), "fp8", split)[0][0]
    assert weights.total_bytes == 48 * (experts + attention + beside) + outer
    assert step_bytes(row("qwen3-30b-a3b"), "fp8", split)[1] == 48 * experts


def mxfp4(rows: int, columns: int) -> int:
    """Bytes of a matrix in mxfp4: half a byte each and a byte for each 32 inputs of a row."""
    return rows * columns // 2 + rows * columns // 32


@pytest.mark.parametrize(
    ("architecture", "added"),
    [
        ("", 0),
        ("Hopper", (3072 * 1472 - 2880 * 1440) // 2),  # 1,440 to 23 x 64, values alone
        ("Ampere", mxfp4(3072, 1536) - mxfp4(2880, 1440)),  # 1,440 to 12 x 128
        ("Blackwell", mxfp4(3072, 1536) - mxfp4(2880, 1440)),  # 1,440 to 6 x 256
    ],
)
def test_mxfp4_experts_with_biases_and_the_padding_of_kernels(architecture: str, added: int) -> None:
    """gpt-oss-20b on 2 ranks: 24 layers of 32 experts, three matrices of 2,880 x 2,880 halved by width to 1,440, with
    biases in 16 bit of which down's is whole; attention of 64 heads and 8 KV heads of 64 with biases and a sink a head;
    router of 32 with bias. 2,880 is padded to 12 x 256 in kernels. 201,088 rows are 3,142 x 64."""
    experts = 32 * (2 * mxfp4(1440, 2880) + mxfp4(2880, 1440) + 3 * added + 2 * (2 * 1440 + 2880))
    attention = (2048 + 2 * 256) * 2881 + 2880 * 2048 + 2880 + 32
    layer = experts + 2 * (attention + 32 * 2881 + 2 * 2880)
    outer = 2 * (2 * 201_088 // 2 * 2880 + 2880)
    weights = weights_by_stage(row("gpt-oss-20b"), "native", Split(2), architecture)[0][0]
    assert weights.total_bytes == 24 * layer + outer


def test_draft_and_adapters_sit_on_the_stages_they_serve() -> None:
    """On 2 ranks x 2 stages: Llama-3.2-1B as the draft is split over the ranks of the last stage, k and v of 8 heads of 64,
    embedding tied, and keeps 16 x 2 x 4 x 64 x 2 bytes a token there. Four adapters of rank 8 on all seven matrices."""
    plain = memory("llama-3.1-8b", Split(2, 2))
    drafted = memory("llama-3.1-8b", Split(2, 2), draft=row("llama-3.2-1b"), adapters=4, adapter_rank=8)
    layer = (2 * 2048 * 2048 + 2 * 512 * 2048 + 3 * 8192 * 2048) // 2 + 2 * 2048
    draft = 2 * (16 * layer + 128_256 // 2 * 2048 + 2048)
    ends = (
        2 * (4096 + 2048) + 2 * (4096 + 512) + 2 * (4096 + 7168) + (7168 + 4096)
    )  # q and o, k and v, gate and up, down
    adapters = 4 * 16 * 8 * ends * 2
    assert [dict(stage.extras) for stage in drafted.stages] == [
        {"adapters": adapters}, {"adapters": adapters, "draft_model": draft}
    ]  # fmt: skip
    more = [d.fixed_bytes - p.fixed_bytes for d, p in zip(drafted.stages, plain.stages, strict=True)]
    assert more == [adapters, adapters + draft]
    own, its = 16 * 2 * 4 * 128 * 2, 16 * 2 * 4 * 64 * 2
    assert [stage.sequence_bytes(4096, "bf16") for stage in drafted.stages] == [own * 4096, (own + its) * 4096]
    assert drafted.stages[1].token_bytes("bf16") == own + its


def test_bytes_of_a_checkpoint_scale_every_rank() -> None:
    """A file twice as large as the shape says makes each rank's weights twice as large, copies included."""
    stated = memory("llama-3.1-8b", Split(2), checkpoint_bytes=4 * LLAMA_PARAMETERS).stages[0].weights
    copied = 2 * (32 * llama_layer(2, 4) + 128_256 * 4096 + 4096) - LLAMA_PARAMETERS
    assert (stated.share_bytes, stated.copied_bytes) == (2 * LLAMA_PARAMETERS, 2 * copied)


@pytest.mark.parametrize(
    ("name", "part", "stage"), [("gemma-3-27b-it", "vision_tower", 0), ("deepseek-v3", "multi_token_prediction", 1)]
)
def test_parts_beside_the_text_stack_sit_on_one_stage(name: str, part: str, stage: int) -> None:
    """A vision tower feeds the first stage; a block for several tokens follows the last, and only where it is used."""
    used = memory(name, Split(8, 2), with_mtp=True)
    assert [part in dict(at.extras) for at in used.stages] == [stage == 0, stage == 1]
    unused = memory(name, Split(8, 2))
    assert any(part in dict(at.extras) for at in unused.stages) == (part == "vision_tower")
