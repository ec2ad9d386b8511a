"""Checkpoints by their headers: published parameters and bytes, packed weights, and which part of a model a tensor is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

import pytest

from sizing.errors import InputError
from sizing.llm.checkpoint import Checkpoint, kind_of, read_checkpoint
from sizing.llm.headers.tensor_names import group_of, groups_of
from tests.llm import checkpoint_headers as headers
from tests.llm.checkpoint_headers import Listed, gguf_head, safetensors_head


def read(tensors: Iterable[Listed]) -> Checkpoint:
    return read_checkpoint(safetensors_head(tensors), "model.safetensors")


PUBLISHED: dict[str, tuple[Callable[[], Iterator[Listed]], int, int]] = {
    # bytes: metadata.total_size of the published index, or the file's length less its header
    "Llama-3.1-8B": (headers.llama_3_1_8b, 8_030_261_248, 16_060_522_496),
    "Qwen3-0.6B": (headers.qwen3_0_6b, 751_632_384, 1_503_264_768),
    "Mixtral-8x7B-v0.1": (headers.mixtral_8x7b, 46_702_792_704, 93_405_585_408),
    "gpt-oss-20b": (headers.gpt_oss_20b, 20_914_757_184, 13_761_264_768),
    "Qwen2.5-7B-Instruct-AWQ": (headers.qwen2_5_7b_awq, 7_615_616_512, 5_570_747_392),
}


@pytest.mark.parametrize(("tensors", "parameters", "weights_bytes"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_checkpoints(tensors: Callable[[], Iterator[Listed]], parameters: int, weights_bytes: int) -> None:
    found = read(tensors())
    assert found.parameters == parameters
    assert found.weights_bytes == weights_bytes
    assert sum(found.bytes_by_dtype.values()) == sum(found.bytes_by_group.values()) == weights_bytes
    assert sum(found.parameters_by_group.values()) == parameters
    assert "other" not in found.bytes_by_group


def test_deepseek_v3_has_the_elements_that_its_hub_page_counts() -> None:
    """Elements by dtype of deepseek-ai/DeepSeek-V3 (2025): F8 680,571,043,840, BF16 3,918,786,560, F32 41,555,600; the card
    says 671 billion for the main model and 14 billion for the block that predicts a second token, embedding and head apart."""
    found = read(headers.deepseek_v3())
    assert found.tensors == 91_991
    assert found.bytes_by_dtype == {"F8_E4M3": 680_571_043_840, "BF16": 2 * 3_918_786_560, "F32": 4 * 41_555_600}
    corrections = 59 * 256  # the only F32 elements that are no scales
    assert found.scale_overhead_bytes == 4 * (41_555_600 - corrections)
    assert found.parameters == 680_571_043_840 + 3_918_786_560 + corrections
    main = found.parameters - found.parameters_by_group["mtp"]
    assert main == 671_026_419_200  # as transformers counts the text model
    assert found.parameters_by_group["mtp"] == pytest.approx(14e9, rel=0.05)


def test_groups_of_mixtral() -> None:
    groups = read(headers.mixtral_8x7b()).parameters_by_group
    assert groups["experts"] == 32 * 8 * 3 * 4096 * 14_336
    assert groups["router"] == 32 * 8 * 4096
    assert groups["attention"] == 32 * 2 * 4096 * (4096 + 1024)
    assert groups["norms"] == 65 * 4096
    assert groups["embedding"] == groups["head"] == 32_000 * 4096


def test_scales_of_gpt_oss_are_overhead() -> None:
    """4 bits a weight and 8 bits for each 32: a scale byte for each 16 bytes of blocks (OCP Microscaling Formats v1.0)."""
    found = read(headers.gpt_oss_20b())
    assert found.scale_overhead_bytes == found.bytes_by_group["scales"] == 24 * 32 * (5760 + 2880) * 90
    assert found.parameters_by_group["experts"] == 24 * 32 * (5760 + 2880) * (2880 + 1)


def test_scales_of_awq_are_overhead() -> None:
    """A 16-bit scale and a 4-bit zero point for each 128 of the 6.5 billion weights in layers."""
    found = read(headers.qwen2_5_7b_awq())
    in_layers = 28 * 3584 * (2 * 3584 + 2 * 512 + 3 * 18_944)
    assert found.scale_overhead_bytes == in_layers * (16 + 4) // (8 * 128)


NORM: Listed = ("model.layers.0.input_layernorm.weight", "BF16", (4096,))
UP = "model.layers.0.mlp.up_proj"
DOWN = "model.layers.0.mlp.down_proj"
PACKED: dict[str, list[Listed]] = {
    # every entry stores one matrix of 14,336 outputs x 4,096 inputs
    "GPTQ 4 bit": [(f"{UP}.qweight", "I32", (512, 14_336)), (f"{UP}.qzeros", "I32", (32, 1792)),
                   (f"{UP}.scales", "F16", (32, 14_336)), (f"{UP}.g_idx", "I32", (4096,))],
    "GPTQ 8 bit": [(f"{UP}.qweight", "I32", (1024, 14_336)), (f"{UP}.qzeros", "I32", (32, 3584)),
                   (f"{UP}.scales", "F16", (32, 14_336)), (f"{UP}.g_idx", "I32", (4096,))],
    "GPTQ 3 bit": [(f"{UP}.qweight", "I32", (384, 14_336)), (f"{UP}.qzeros", "I32", (32, 1344)),
                   (f"{UP}.scales", "F16", (32, 14_336))],
    "compressed-tensors 4 bit": [(f"{UP}.weight_packed", "I32", (14_336, 512)), (f"{UP}.weight_scale", "BF16", (14_336, 32)),
                                 (f"{UP}.weight_shape", "I64", (2,))],
    "compressed-tensors 8 bit": [(f"{UP}.weight_packed", "I32", (14_336, 1024)), (f"{UP}.weight_scale", "BF16", (14_336, 1)),
                                 (f"{UP}.weight_shape", "I64", (2,))],
    "nvfp4, compressed-tensors": [(f"{UP}.weight_packed", "U8", (14_336, 2048)), (f"{UP}.weight_scale", "F8_E4M3", (14_336, 256)),
                                  (f"{UP}.weight_global_scale", "F32", (1,)), (f"{UP}.input_global_scale", "F32", (1,))],
    "nvfp4, ModelOpt": [(f"{UP}.weight", "U8", (14_336, 2048)), (f"{UP}.weight_scale", "F8_E4M3", (14_336, 256)),
                        (f"{UP}.weight_scale_2", "F32", ()), (f"{UP}.input_scale", "F32", ())],
    "fp4 in bytes": [(f"{UP}.weight", "I8", (14_336, 2048)), (f"{UP}.scale", "F8_E8M0", (14_336, 128))],
    "fp8 in blocks": [(f"{UP}.weight", "F8_E4M3", (14_336, 4096)), (f"{UP}.weight_scale_inv", "F32", (112, 32))],
    "fp8, compressed-tensors": [(f"{UP}.weight", "F8_E4M3", (14_336, 4096)), (f"{UP}.weight_scale", "BF16", (14_336, 1)),
                                (f"{UP}.input_scale", "BF16", (1,))],
    "int8": [(f"{UP}.weight", "I8", (14_336, 4096)), (f"{UP}.weight_scale", "F32", (14_336, 1))],
    "bitsandbytes 8 bit": [(f"{UP}.weight", "I8", (14_336, 4096)), (f"{UP}.SCB", "F32", (14_336,)), (f"{UP}.weight_format", "U8", ())],
    "bitsandbytes nf4": [(f"{UP}.weight", "U8", (29_360_128, 1)), (f"{UP}.weight.absmax", "U8", (917_504,)),
                         (f"{UP}.weight.nested_absmax", "F32", (3584,)), (f"{UP}.weight.nested_quant_map", "F32", (256,)),
                         (f"{UP}.weight.quant_map", "F32", (16,)), (f"{UP}.weight.quant_state.bitsandbytes__nf4", "U8", (90,))],
    "MLX 4 bit": [(f"{UP}.weight", "U32", (14_336, 512)), (f"{UP}.scales", "F16", (14_336, 64)), (f"{UP}.biases", "F16", (14_336, 64))],
    "MLX 6 bit": [(f"{UP}.weight", "U32", (14_336, 768)), (f"{UP}.scales", "F16", (14_336, 64)), (f"{UP}.biases", "F16", (14_336, 64))],
}  # fmt: skip


@pytest.mark.parametrize("tensors", PACKED.values(), ids=PACKED)
def test_packed_weights_are_unpacked_and_their_scales_set_apart(tensors: list[Listed]) -> None:
    found = read([NORM, *tensors])
    assert found.parameters_by_group == {"dense_ffn": 14_336 * 4096, "norms": 4096}
    described = read(tensors[:1]).weights_bytes
    assert found.weights_bytes is not None
    assert described is not None
    assert found.scale_overhead_bytes == found.weights_bytes - described - 2 * 4096
    assert not any("given" in note for note in found.notes)


def test_what_the_header_does_not_say_is_named() -> None:
    found = read([(f"{DOWN}.weight_packed", "I32", (4096, 1792)), (f"{DOWN}.weight_scale", "BF16", (4096, 112))])
    assert found.parameters == 4096 * 14_336
    assert any("four bits" in note for note in found.notes)


def test_the_bits_of_other_layers_serve_where_a_layer_does_not_tell() -> None:
    packed = [*PACKED["compressed-tensors 8 bit"], (f"{DOWN}.weight_packed", "I32", (4096, 3584))]
    assert read([NORM, *packed]).parameters_by_group["dense_ffn"] == 2 * 4096 * 14_336


def test_an_unknown_packing_leaves_parameters_unknown() -> None:
    found = read([("model.embed_tokens.weight", "F16", (8, 8)), (f"{UP}.q_perm_weird", "I32", (512, 1024))])
    assert found.parameters is None
    assert found.parameters_by_group == {}
    assert found.weights_bytes == 128 + 4 * 512 * 1024
    assert any("q_perm_weird" in note for note in found.notes)


def test_shapes_that_make_no_whole_bits_leave_parameters_unknown() -> None:
    odd = [(f"{UP}.qweight", "I32", (512, 64)), (f"{UP}.qzeros", "I32", (4, 9)), (f"{UP}.scales", "F16", (4, 64))]
    assert read(odd).parameters is None


def test_mlx_without_a_norm_takes_the_usual_group_as_given() -> None:
    found = read(PACKED["MLX 4 bit"])
    assert found.parameters == 14_336 * 4096
    assert any("scale for each 64 inputs" in note for note in found.notes)


def test_byte_matrices_without_a_scale_for_few_weights_are_not_unpacked() -> None:
    channel = [(f"{UP}.weight", "I8", (64, 4096)), (f"{UP}.weight_scale", "U8", (64, 1))]
    assert read(channel).parameters == 64 * 4096


def test_buffers_are_bytes_but_no_parameters() -> None:
    found = read(
        [
            ("h.0.attn.bias", "F32", (1, 1, 1024, 1024)),
            ("h.0.attn.c_attn.bias", "F32", (2304,)),
            ("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", (64,)),
            ("embeddings.position_ids", "I64", (1, 512)),
        ]
    )
    assert found.parameters == 2304
    assert found.weights_bytes == 4 * (1024 * 1024 + 2304 + 64) + 8 * 512


def test_a_name_that_ends_in_scale_alone_is_a_weight() -> None:
    assert read([("model.layers.0.layer_scale", "F32", (64,)), ("norm.scale", "F32", (8,))]).parameters == 72


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("model.embed_tokens.weight", "embedding"),
        ("transformer.wte.weight", "embedding"),
        ("model.language_model.embed_tokens.weight", "embedding"),
        ("token_embd.weight", "embedding"),
        ("lm_head.weight", "head"),
        ("language_model.lm_head.weight", "head"),
        ("output.weight", "head"),
        ("output_norm.weight", "norms"),
        ("model.norm.weight", "norms"),
        ("transformer.h.3.ln_2.weight", "norms"),
        ("blk.0.attn_q_norm.weight", "norms"),
        ("model.layers.3.post_feedforward_layernorm.weight", "norms"),
        ("model.layers.3.self_attn.q_norm.weight", "norms"),
        ("model.layers.3.self_attn.o_proj.weight", "attention"),
        ("model.layers.3.self_attn.kv_a_proj_with_mqa.weight", "attention"),
        ("model.layers.3.self_attn.sinks", "attention"),
        ("model.layers.3.self_attn.indexer.wq_b.weight", "attention"),
        ("transformer.h.3.attn.c_proj.weight", "attention"),
        ("blk.3.attn_output.weight", "attention"),
        ("backbone.layers.3.mixer.q_proj.weight", "attention"),
        ("backbone.layers.3.mixer.up_proj.weight", "dense_ffn"),
        ("backbone.layers.3.mixer.in_proj.weight", "mixer"),
        ("backbone.layers.3.mixer.A_log", "mixer"),
        ("model.layers.3.linear_attn.in_proj_qkvz.weight", "mixer"),
        ("model.layers.3.mamba.conv1d.weight", "mixer"),
        ("blk.3.ssm_in.weight", "mixer"),
        ("model.layers.3.mlp.gate_proj.weight", "dense_ffn"),
        ("transformer.h.3.mlp.c_fc.weight", "dense_ffn"),
        ("blk.3.ffn_down.weight", "dense_ffn"),
        ("model.layers.3.mlp.gate.weight", "router"),
        ("model.layers.3.mlp.gate.e_score_correction_bias", "router"),
        ("model.layers.3.block_sparse_moe.gate.weight", "router"),
        ("model.layers.3.mlp.shared_expert_gate.weight", "router"),
        ("blk.3.ffn_gate_inp.weight", "router"),
        ("model.layers.3.mlp.experts.17.up_proj.weight", "experts"),
        ("model.layers.3.mlp.experts.gate_up_proj_blocks", "experts"),
        ("blk.3.ffn_up_exps.weight", "experts"),
        ("model.layers.3.mlp.shared_experts.up_proj.weight", "shared_experts"),
        ("blk.3.ffn_up_shexp.weight", "shared_experts"),
        ("visual.blocks.0.attn.qkv.weight", "vision"),
        ("model.vision_tower.encoder.layers.0.self_attn.q_proj.weight", "vision"),
        ("multi_modal_projector.linear_1.weight", "vision"),
        ("v.blk.0.attn_q.weight", "vision"),
        ("mtp.layers.0.self_attn.q_proj.weight", "mtp"),
        ("blk.61.nextn.eh_proj.weight", "mtp"),
        ("something.else", "other"),
    ],
)
def test_names_of_tensors(name: str, group: str) -> None:
    assert group_of(name) == group


def test_a_module_with_a_state_is_a_mixer() -> None:
    names = ["layers.0.self_attn.A_log", "layers.0.self_attn.q_proj.weight", "layers.1.self_attn.q_proj.weight"]
    assert list(groups_of(names).values()) == ["mixer", "mixer", "attention"]


def test_heads_stored_tied_or_over_again() -> None:
    embedding: Listed = ("model.embed_tokens.weight", "BF16", (64, 8))
    assert read([embedding]).has_head is False
    assert "embedding serves as the head" in " ".join(read([embedding]).notes)
    twice = read([embedding, ("lm_head.weight", "BF16", (64, 8))])
    assert twice.has_head is True
    assert "1,024 bytes less" in " ".join(twice.notes)
    assert read([(f"{UP}.weight", "BF16", (64, 8))]).has_head is None


def test_a_whole_file_has_no_note_and_a_part_says_so() -> None:
    head = safetensors_head([(f"{UP}.weight", "BF16", (64, 8))])
    assert read_checkpoint(head + bytes(1024), "model.safetensors").notes == ()
    (short,) = read_checkpoint(head + bytes(1000), "model.safetensors").notes
    assert "24 bytes before" in short
    (part,) = read_checkpoint(head + bytes(1024), "model-00002-of-00004.safetensors").notes
    assert "part 2 of 4" in part


def test_gguf_gives_parameters_bits_and_facts() -> None:
    found = read_checkpoint(gguf_head(headers.LLAMA_8B_KEYS, headers.llama_3_1_8b_gguf("Q4_K_M")), "x.gguf")
    assert found.parameters == 8_030_261_248
    assert found.bits_per_weight == pytest.approx(4.8944, abs=1e-4)  # llama.cpp, quantize tool, table of Llama-3.1-8B
    assert found.bytes_by_dtype.keys() == {"Q4_K", "Q6_K", "F32"}
    assert found.parameters_by_group == read(headers.llama_3_1_8b()).parameters_by_group
    assert found.gguf is not None
    assert found.gguf.kv_elements_per_token == 65_536


def test_a_part_of_a_split_gguf_says_so() -> None:
    keys = {**headers.LLAMA_8B_KEYS, "split.no": 1, "split.count": 3}
    found = read_checkpoint(gguf_head(keys, [("blk.0.attn_q.weight", "F16", (8, 8))]), "x.gguf")
    assert any("part 2 of 3" in note for note in found.notes)


def test_an_index_has_totals_and_no_shapes() -> None:
    names = [name for name, _, _ in headers.deepseek_v3()]
    stated = {"metadata": {"total_size": 688_574_839_360}, "weight_map": dict.fromkeys(names, "model-1.safetensors")}
    found = read_checkpoint(json.dumps(stated).encode(), "model.safetensors.index.json")
    assert (found.weights_bytes, found.parameters, found.tensors) == (688_574_839_360, None, 91_991)
    assert found.bytes_by_group == {}


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04" + bytes(40), b"hello", b"{}", (2).to_bytes(8, "little") + b"{}"])
def test_what_is_no_checkpoint_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError):
        read_checkpoint(raw, "file")


def test_a_header_whose_length_looks_like_json_is_still_safetensors() -> None:
    """123 is the code of {: a length of 123 bytes begins as a JSON text does."""
    text = b'{"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}'.ljust(123)
    assert kind_of(len(text).to_bytes(8, "little") + text) == "safetensors"
    assert read_checkpoint(len(text).to_bytes(8, "little") + text, "x").tensors == 1
