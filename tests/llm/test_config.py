"""Reading config.json: parameter counts against an independent count, caches of each kind, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sizing.errors import InputError
from sizing.llm.config import parse_config
from sizing.llm.families import FAMILIES

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 128_256,
    "num_key_value_heads": 8, "intermediate_size": 14_336, "max_position_embeddings": 131_072, "torch_dtype": "bfloat16",
}  # fmt: skip
GEMMA_27B = {
    "hidden_size": 5376, "num_hidden_layers": 62, "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128,
    "intermediate_size": 21504, "vocab_size": 262_208, "sliding_window": 1024,
}  # fmt: skip
WIDTHS = {"num_hidden_layers": 7, "vocab_size": 101, "intermediate_size": 48}
LATENT = {"kv_lora_rank": 20, "q_lora_rank": 22, "qk_rope_head_dim": 16, "qk_nope_head_dim": 12, "v_head_dim": 8}
FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"

# Parameters of models built by transformers 5.23.0 on the meta device, 2026-11-23 (buffers are not counted there).
SMALL: dict[str, tuple[dict[str, Any], int]] = {
    "qwen3_next": ({
        "hidden_size": 72, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": 101,
        "intermediate_size": 70, "tie_word_embeddings": False, "head_dim": 16, "linear_num_key_heads": 2,
        "linear_num_value_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 8, "linear_conv_kernel_dim": 4,
        "num_experts": 3, "num_experts_per_tok": 1, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 30,
        "decoder_sparse_step": 1}, 108_060),
    "gemma3n_text": ({
        "hidden_size": 24, "num_hidden_layers": 10, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": 999,
        "intermediate_size": 48, "head_dim": 8, "num_kv_shared_layers": 0, "hidden_size_per_layer_input": 12,
        "vocab_size_per_layer_input": 77, "laurel_rank": 6, "altup_num_inputs": 3}, 100_156),
    "gemma4_text": ({
        "hidden_size": 24, "num_hidden_layers": 7, "num_attention_heads": 12, "num_key_value_heads": 4, "vocab_size": 101,
        "intermediate_size": 128, "head_dim": 16, "attention_k_eq_v": False, "global_head_dim": 8,
        "num_global_key_value_heads": 1, "num_kv_shared_layers": 1, "use_double_wide_mlp": True,
        "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 55, "attention_bias": True}, 151_248),
    "deepseek_v4": ({
        "hidden_size": 40, "num_hidden_layers": 5, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 256,
        "tie_word_embeddings": False, "head_dim": 32, "n_routed_experts": 3, "num_experts_per_tok": 3,
        "moe_intermediate_size": 24, "q_lora_rank": 12, "n_shared_experts": 1, "o_groups": 2, "o_lora_rank": 10,
        "index_n_heads": 2, "index_head_dim": 8, "hc_mult": 4, "sliding_window": 16, "qk_rope_head_dim": 8,
        "compress_ratios": [128, 128, 4, 0, 4, 4]}, 165_945),
    "glm_moe_dsa": ({
        "hidden_size": 16, "num_hidden_layers": 7, "num_attention_heads": 2, "vocab_size": 999, "intermediate_size": 48,
        "tie_word_embeddings": True, "kv_lora_rank": 12, "q_lora_rank": 22, "qk_rope_head_dim": 16, "qk_nope_head_dim": 8,
        "v_head_dim": 14, "n_routed_experts": 4, "num_experts_per_tok": 1, "moe_intermediate_size": 24,
        "n_shared_experts": 1, "index_n_heads": 4, "index_head_dim": 16, "first_k_dense_replace": 0,
        "indexer_types": ["full", "full", "shared", "shared", "full", "shared", "full"]}, 84_094),
    "kimi_linear": ({
        **LATENT, "hidden_size": 36, "num_hidden_layers": 7, "num_attention_heads": 3, "vocab_size": 256,
        "intermediate_size": 48, "num_experts": 8, "num_experts_per_token": 1, "moe_intermediate_size": 10,
        "num_shared_experts": 2, "first_k_dense_replace": 0,
        "linear_attn_config": {"head_dim": 16, "num_heads": 2, "short_conv_kernel_size": 4, "full_attn_layers": [3, 6],
                               "kda_layers": [1, 2, 4, 5, 7]}}, 145_122),
    "falcon": ({
        "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 101,
        "new_decoder_architecture": True, "multi_query": False, "parallel_attn": False}, 40_544),
    "falcon_h1": ({
        "hidden_size": 144, "num_hidden_layers": 7, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 999,
        "intermediate_size": 48, "tie_word_embeddings": True, "mamba_n_heads": 18, "mamba_d_head": 16, "mamba_n_groups": 1,
        "mamba_d_state": 4, "mamba_d_conv": 4, "mamba_expand": 2, "mamba_conv_bias": False, "attention_bias": True,
        "mlp_bias": True, "mamba_rms_norm": True, "projectors_bias": True, "mamba_d_ssm": None}, 1_591_418),
    "nemotron_h": ({
        "hidden_size": 56, "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 256, "intermediate_size": 70,
        "head_dim": 24, "hybrid_override_pattern": "-EM***", "n_routed_experts": 8, "num_experts_per_tok": 1,
        "moe_intermediate_size": 10, "mamba_num_heads": 4, "mamba_head_dim": 4, "n_groups": 2, "ssm_state_size": 4,
        "conv_kernel": 4, "moe_shared_expert_intermediate_size": 10, "n_shared_experts": 1}, 148_196),
    "llama4_text": ({
        "hidden_size": 72, "num_hidden_layers": 2, "num_attention_heads": 3, "num_key_value_heads": 1, "vocab_size": 256,
        "intermediate_size": 70, "tie_word_embeddings": True, "head_dim": 24, "num_local_experts": 8,
        "num_experts_per_tok": 1, "intermediate_size_mlp": 50, "interleave_moe_layer_step": 2, "attention_chunk_size": 32,
        "attention_bias": True}, 194_280),
    "qwen2_moe": ({
        "hidden_size": 144, "num_hidden_layers": 3, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 256,
        "intermediate_size": 48, "num_experts": 3, "num_experts_per_tok": 3, "moe_intermediate_size": 17,
        "shared_expert_intermediate_size": 12, "decoder_sparse_step": 2, "qkv_bias": False}, 309_888),
    "cohere": ({
        "hidden_size": 16, "num_hidden_layers": 5, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 101,
        "intermediate_size": 70, "use_qk_norm": True}, 22_472),
    "minimax": ({
        "hidden_size": 40, "num_hidden_layers": 3, "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": 256,
        "intermediate_size": 48, "head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 1,
        "layer_types": [LINEAR, FULL, FULL]}, 98_696),
    "mimo_v2_flash": ({
        "hidden_size": 56, "num_hidden_layers": 7, "num_attention_heads": 16, "num_key_value_heads": 4, "vocab_size": 101,
        "intermediate_size": 128, "head_dim": 8, "n_routed_experts": 3, "num_experts_per_tok": 1,
        "moe_intermediate_size": 10, "v_head_dim": 8, "sliding_window": 16,
        "layer_types": [SLIDING, FULL, FULL, FULL, SLIDING, FULL, FULL],
        "mlp_layer_types": ["dense", "sparse", "dense", "dense", "sparse", "sparse", "sparse"]}, 230_136),
    "gpt_oss": ({
        "hidden_size": 56, "num_hidden_layers": 5, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256,
        "intermediate_size": 48, "head_dim": 32, "num_local_experts": 4, "num_experts_per_tok": 2}, 303_848),
    "bamba": ({
        "hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 3, "vocab_size": 101,
        "intermediate_size": 48, "mamba_n_heads": 12, "mamba_d_head": "auto", "mamba_n_groups": 1, "mamba_d_state": 8,
        "mamba_d_conv": 4, "mamba_expand": 2, "attn_layer_indices": [1]}, 207_688),
    "jamba": ({
        "hidden_size": 24, "num_hidden_layers": 5, "num_attention_heads": 3, "num_key_value_heads": 1, "vocab_size": 101,
        "intermediate_size": 70, "tie_word_embeddings": True, "num_experts": 1, "num_experts_per_tok": 1,
        "expert_layer_period": 2, "expert_layer_offset": 0, "attn_layer_period": 3, "attn_layer_offset": 1,
        "mamba_d_state": 4, "mamba_d_conv": 3, "mamba_expand": 2, "mamba_dt_rank": 3, "mamba_conv_bias": False}, 44_673),
    "opt": ({
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 50, "vocab_size": 101,
        "max_position_embeddings": 64, "word_embed_proj_dim": 16, "enable_bias": False}, 8_080),
}  # fmt: skip

# Totals that the model hubs list for published checkpoints (recalled), with the fields of their configs.
PUBLISHED: list[tuple[dict[str, Any], int]] = [
    ({"model_type": "internlm2", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "bias": False,
      "num_key_value_heads": 8, "intermediate_size": 14_336, "vocab_size": 92_544}, 7_737_708_544),
    ({"model_type": "chatglm", "hidden_size": 4096, "num_layers": 28, "num_attention_heads": 32, "kv_channels": 128,
      "multi_query_attention": True, "multi_query_group_num": 2, "ffn_hidden_size": 13_696, "padded_vocab_size": 65_024,
      "add_qkv_bias": True, "add_bias_linear": False, "seq_length": 8192}, 6_243_584_000),
    ({"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40, "vocab_size": 100_352, "max_seq_len": 32_768,
      "attn_config": {"kv_n_heads": 8, "clip_qkv": 8},
      "ffn_config": {"ffn_hidden_size": 10_752, "moe_num_experts": 16, "moe_top_k": 4}}, 131_596_523_520),
    ({"model_type": "exaone", "hidden_size": 4096, "num_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
      "intermediate_size": 14_336, "vocab_size": 102_400}, 7_818_448_896),
    ({"model_type": "baichuan", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
      "intermediate_size": 11_008, "vocab_size": 125_696}, 7_505_973_248),
]  # fmt: skip
QWEN_TEXT = {
    "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
    "intermediate_size": 18_944, "vocab_size": 152_064,
}  # fmt: skip
# Vision models: published total with the tower (facts collected 2026-11-22; Qwen totals recalled).
WITH_TOWERS: list[tuple[dict[str, Any], int]] = [
    ({"model_type": "qwen2_vl", **QWEN_TEXT, "vision_config": {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4}},
     8_291_375_616),
    ({"model_type": "qwen2_5_vl", **QWEN_TEXT,
      "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 3584}},
     8_292_166_656),
    ({"model_type": "gemma3", "text_config": {"hidden_size": 2560, "num_hidden_layers": 34, "intermediate_size": 10_240,
                                              "sliding_window": 1024, "model_type": "gemma3_text"},
      "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27, "intermediate_size": 4304, "patch_size": 14,
                        "image_size": 896}}, 4_300_079_472),
    ({"model_type": "mistral3", "text_config": {"model_type": "mistral", "hidden_size": 5120, "num_hidden_layers": 40,
                                                "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
                                                "intermediate_size": 32_768, "vocab_size": 131_072},
      "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "patch_size": 14}},
     24_011_361_280),
]  # fmt: skip


@pytest.mark.parametrize("kind", SMALL)
def test_parameters_are_those_of_the_model_built(kind: str) -> None:
    fields, count = SMALL[kind]
    assert parse_config({"model_type": kind, **fields}).architecture.parameters == count


@pytest.mark.parametrize(("config", "count"), PUBLISHED, ids=lambda x: x["model_type"] if isinstance(x, dict) else "")
def test_parameters_are_those_published(config: dict[str, Any], count: int) -> None:
    assert parse_config(config).architecture.parameters == count


@pytest.mark.parametrize(("config", "count"), WITH_TOWERS, ids=lambda x: x["model_type"] if isinstance(x, dict) else "")
def test_text_and_vision_tower_make_the_published_total(config: dict[str, Any], count: int) -> None:
    shape = parse_config(config).architecture
    tower = next(part for part in shape.extras if part.name == "vision_tower")
    assert shape.parameters + tower.parameters == count
    assert tower.loaded
    assert not any(t.linear for t in tower.tensors)


@pytest.mark.parametrize("kind", SMALL)
def test_the_row_parses_to_the_same_again(kind: str) -> None:
    first = parse_config({"model_type": kind, "torch_dtype": "bfloat16", "rope_theta": 1e4, **SMALL[kind][0]})
    assert first.model.config_json is not None
    again = parse_config(first.model.config_json)
    assert again.architecture == first.architecture
    assert again.model == first.model
    assert again.dtype == first.dtype == "bf16"
    assert "rope_theta" not in json.loads(first.model.config_json)
    assert first.not_understood == ()


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (LLAMA, "own llama model, 8.03 B"),
        ({**LLAMA, "_name_or_path": "meta-llama/Llama-3.1-8B"}, "Llama-3.1-8B"),
        ({**LLAMA, "_name_or_path": "./out"}, "own llama model, 8.03 B"),
        ({**LLAMA, "_name_or_path": "../runs/last"}, "own llama model, 8.03 B"),
        ({**LLAMA, "_name_or_path": "/data/models/mine"}, "own llama model, 8.03 B"),
        ({**LLAMA, "_name_or_path": f"somebody/{'x' * 200}"}, "own llama model, 8.03 B"),
        ({**LLAMA, "_name_or_path": ["org/list"]}, "own llama model, 8.03 B"),
        ({**LLAMA, "num_hidden_layers": 1, "vocab_size": 100, "hidden_size": 64}, "own llama model, 2.78 M"),
        ({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", **GEMMA_27B}}, "own gemma3 model, 27 B"),
        ({"model_type": "gemma3", "text_config": {**GEMMA_27B, "_name_or_path": "google/mine"}}, "mine"),
    ],
)  # fmt: skip
def test_a_model_without_a_name_is_called_by_its_family_and_size(config: dict[str, Any], name: str) -> None:
    """The same name follows from the fields that the row keeps, which are those that travel."""
    row = parse_config(config).model
    assert row.name == name
    assert row.config_json is not None
    assert parse_config(row.config_json).model.name == name


def test_row_of_a_known_model() -> None:
    parsed = parse_config({**LLAMA, "_name_or_path": "org/model-8b", "architectures": ["LlamaForCausalLM"]})
    row = parsed.model
    assert (row.id, row.name, row.architecture, row.source) == ("custom", "model-8b", "LlamaForCausalLM", "config.json")
    assert (row.params_total, row.params_active) == (8_030_261_248, 8_030_261_248)
    assert (row.kv_heads, row.head_dim, row.kv_elems_per_token_full, row.context_length) == (8, 128, 65_536, 131_072)


def test_active_parameters_leave_out_the_experts_not_chosen() -> None:
    mixtral = {
        **LLAMA, "model_type": "mixtral", "vocab_size": 32_000, "num_local_experts": 8, "num_experts_per_tok": 2,
        "intermediate_size": 14_336, "tie_word_embeddings": False,
    }  # fmt: skip
    row = parse_config(mixtral).model
    assert (row.params_total, row.params_active) == (46_702_792_704, 12_879_925_248)


def test_head_dimension_is_not_always_hidden_over_heads() -> None:
    assert parse_config({**LLAMA, "head_dim": 64}).model.head_dim == 64


def test_sliding_windows() -> None:
    qwen = {**LLAMA, "model_type": "qwen2", "sliding_window": 4096, "max_window_layers": 28}
    off, on = parse_config(qwen), parse_config({**qwen, "use_sliding_window": True})
    assert (off.model.n_full_attn_layers, off.model.n_sliding_layers) == (32, 0)
    assert (on.model.n_full_attn_layers, on.model.n_sliding_layers, on.model.sliding_window) == (28, 4, 4096)
    mistral = parse_config({**LLAMA, "model_type": "mistral", "sliding_window": 4096})
    assert mistral.model.n_sliding_layers == 32
    gemma = {"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34, "intermediate_size": 10_240}
    shape = parse_config(gemma).architecture
    assert "".join("F" if shape.kinds[i].cache.kind == "kv" else "S" for i in shape.order[:12]) == "SSSSSFSSSSSF"


def test_chunks_and_experts_of_llama_4() -> None:
    text = {
        "model_type": "llama4_text", "hidden_size": 64, "num_hidden_layers": 8, "num_attention_heads": 4, "head_dim": 16,
        "num_key_value_heads": 2, "intermediate_size": 32, "intermediate_size_mlp": 96, "num_local_experts": 4,
        "num_experts_per_tok": 1, "interleave_moe_layer_step": 2, "attention_chunk_size": 8192, "vocab_size": 100,
    }  # fmt: skip
    shape = parse_config(text).architecture
    kinds = [shape.kinds[i] for i in shape.order]
    assert [k.cache.kind for k in kinds] == ["chunk", "chunk", "chunk", "kv"] * 2
    assert ["experts" in k.name for k in kinds] == [False, True] * 4


def test_layers_that_read_earlier_keys_cache_nothing() -> None:
    fields, _ = SMALL["gemma4_text"]
    shape = parse_config({"model_type": "gemma4_text", **fields}).architecture
    last = shape.kinds[shape.order[-1]]
    assert last.cache.kind == "none"
    assert not {"k_proj", "v_proj"} & {t.name for t in last.tensors}


def test_keys_used_as_values_are_cached_twice() -> None:
    fields = {**SMALL["gemma4_text"][0], "attention_k_eq_v": True, "num_kv_shared_layers": 0}
    shape = parse_config({"model_type": "gemma4_text", **fields}).architecture
    full = next(k for k in shape.kinds if k.cache.kind == "kv")
    assert "v_proj" not in {t.name for t in full.tensors}
    assert (full.cache.heads, full.cache.key_width, full.cache.value_width) == (1, 8, 8)


def test_layers_that_share_picks_have_no_index_keys() -> None:
    fields, _ = SMALL["glm_moe_dsa"]
    shape = parse_config({"model_type": "glm_moe_dsa", **fields}).architecture
    caches = [shape.kinds[i].cache for i in shape.order]
    assert [bool(c.index_width) for c in caches] == [True, True, False, False, True, False, True]
    assert {c.index_width + c.index_scale_bytes for c in caches if c.index_width} == {16 + 4}
    assert {c.key_width for c in caches} == {28}


def test_draft_block_of_deepseek_v3() -> None:
    config = {
        **LATENT, "model_type": "deepseek_v3", "hidden_size": 48, "num_attention_heads": 4, "n_routed_experts": 8,
        "num_experts_per_tok": 1, "moe_intermediate_size": 24, "n_shared_experts": 1, "first_k_dense_replace": 2,
        "num_nextn_predict_layers": 1, **WIDTHS,
    }  # fmt: skip
    shape = parse_config(config).architecture
    (block,) = shape.extras
    assert (block.name, block.loaded) == ("multi_token_prediction", False)
    assert block.parameters == shape.kinds[shape.order[-1]].parameters + 2 * 48 * 48 + 3 * 48
    assert [c.key_width for c in block.cache_layers] == [36]


def test_quantisation_and_number_format_are_handed_on() -> None:
    stated = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    parsed = parse_config({**LLAMA, "quantization_config": stated})
    assert dict(parsed.quantization or {}) == stated
    assert parsed.model.quantisation == "fp8"
    assert parse_config({**LLAMA, "torch_dtype": None}).dtype == "fp32"
    assert parse_config({**LLAMA, "torch_dtype": None, "compression_config": stated}).dtype == "bf16"


def test_what_is_not_understood_is_listed() -> None:
    assert parse_config({**LLAMA, "window_of_mystery": 3}).not_understood == ("window_of_mystery",)


def test_a_tower_nobody_knows_is_a_caveat() -> None:
    shape = parse_config(
        {"model_type": "llava", "text_config": LLAMA, "vision_config": {"hidden_size": 9}}
    ).architecture
    assert shape.parameters == 8_030_261_248
    assert shape.caveats == ("its parts for images or sound are not counted",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "unheard_of"}, f"model_type: 'unheard_of' is not allowed; allowed is one of the {len(FAMILIES)}"),
        ({"model_type": None}, "model_type: empty"),
        ({"hidden_size": None}, "hidden_size: empty is not allowed"),
        ({"hidden_size": "4096"}, "hidden_size: '4096'"),
        ({"num_hidden_layers": -3}, "num_hidden_layers: -3"),
        ({"num_hidden_layers": 5_000}, "num_hidden_layers: 5000 is not allowed; allowed is a whole number from 1 to 1000"),
        ({"vocab_size": 1e5}, "vocab_size: 100000.0"),
        ({"vocab_size": True}, "vocab_size: True"),
        ({"num_key_value_heads": 5}, "num_attention_heads: 32 is not allowed; allowed is a multiple of num_key_value_heads"),
        ({"hidden_size": 4097}, "hidden_size: 4097 is not allowed; allowed is a multiple of num_attention_heads"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings: 'yes' is not allowed; allowed is true or false"),
        ({"model_type": "gemma2", "layer_types": ["round"] * 32}, "layer_types: 'round'"),
        ({"model_type": "gemma2", "layer_types": [FULL]}, "layer_types"),
        ({"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 9}, "num_experts_per_tok: 9"),
        ({"torch_dtype": "int3"}, "torch_dtype: 'int3'"),
        ({"text_config": [1]}, "text_config: "),
        ({"hidden_size": 10**7, "intermediate_size": 10**7, "head_dim": 10**6}, "config.json"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_sentence(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_config({**LLAMA, **change})
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "3", "null", b"\xff\xfe", "[" * 100_000, '{"a": "' + "x" * 1_000_001 + '"}']
)
def test_what_is_no_config_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError, match=r"config\.json"):
        parse_config(text)


def test_required_fields_are_never_guessed() -> None:
    for kind, (fields, _) in SMALL.items():
        for name in ("hidden_size", "num_hidden_layers", "vocab_size"):
            if name in fields:
                with pytest.raises(InputError, match=name):
                    parse_config({"model_type": kind, **fields, name: None})


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 10**9), st.floats(), st.text(max_size=5),
    st.lists(st.integers(-1, 5), max_size=4), st.just({}), st.just({"a": [1]}), st.just([{}]),
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(SMALL)), data=st.data())
def test_nothing_but_an_input_error_comes_of_odd_values(kind: str, data: st.DataObject) -> None:
    fields = dict(SMALL[kind][0])
    for name in data.draw(st.lists(st.sampled_from([*sorted(fields), "architectures", "vision_config"]), max_size=3)):
        fields[name] = data.draw(VALUES)
    try:
        parsed = parse_config({"model_type": kind, **fields})
    except InputError:
        return
    assert sum(parsed.architecture.by_group().values()) == parsed.architecture.parameters > 0
