"""`quantization_config` of published checkpoints: what is stored how, what is left alone, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from sizing.errors import InputError
from sizing.llm.architecture import Tensor
from sizing.llm.quantization import scheme_of_config
from sizing.llm.scheme import Scheme

QUERY = Tensor("q_proj", "attention", 4096, 4096, 1, "column", linear=True)
UP = Tensor("up_proj", "dense_ffn", 14336, 4096, 1, "column", linear=True)
EXPERT = Tensor("experts.up_proj", "experts", 2048, 4096, 64, "expert", linear=True)
ROUTER = Tensor("router", "router", 64, 4096)
EMBEDDING = Tensor("embed_tokens", "embedding", 128256, 4096, 1, "vocab")


def bits(scheme: Scheme, tensor: Tensor, layer: int | None = None) -> float:
    return scheme.of(tensor, layer).bits


@pytest.mark.parametrize(
    ("stated", "linear_bits", "words"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8, "fp8 in blocks of 128 x 128"),
        ({"quant_method": "fp8", "activation_scheme": "static"}, 8, "fp8, one scale a tensor"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, 4, "AWQ int4 in groups of 128"),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1, "sym": True}, 8, "GPTQ int8, a scale a row"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4, "nf4 (bitsandbytes)"),
        ({"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head"]}, 8, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}, 4, "nvfp4"),
    ],
)
def test_methods(stated: dict[str, Any], linear_bits: float, words: str) -> None:
    scheme = scheme_of_config(stated)
    assert scheme.words == words
    assert bits(scheme, QUERY) == bits(scheme, UP) == bits(scheme, EXPERT) == linear_bits
    assert bits(scheme, ROUTER) == bits(scheme, EMBEDDING) == 16


def test_mxfp4_stores_only_experts_in_four_bits() -> None:
    stated = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router"],
    }
    scheme = scheme_of_config(stated)
    assert (bits(scheme, EXPERT), bits(scheme, QUERY), bits(scheme, UP)) == (4, 16, 16)


def compressed(weights: dict[str, Any], ignore: list[str]) -> dict[str, Any]:
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ignore}


@pytest.mark.parametrize(
    ("weights", "bytes_per_parameter"),
    [
        ({"num_bits": 8, "type": "float", "strategy": "channel"}, 1 + 4 / 4096),
        ({"num_bits": 8, "type": "int", "strategy": "channel"}, 1 + 4 / 4096),
        ({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": True}, 0.5 + 2 / 32),
        ({"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": False}, 0.5 + 2.5 / 128),
        ({"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}, 0.5 + 1 / 16),
        ({"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32}, 0.5 + 1 / 32),
    ],
)
def test_compressed_tensors(weights: dict[str, Any], bytes_per_parameter: float) -> None:
    scheme = scheme_of_config(compressed(weights, ["lm_head"]))
    assert scheme.linear.bytes_per_parameter() == pytest.approx(bytes_per_parameter, abs=1e-6)


def test_ignored_modules_stay_in_16_bit_by_name_by_pattern_and_by_layer() -> None:
    weights = {"num_bits": 8, "type": "float", "strategy": "channel"}
    attention = scheme_of_config(compressed(weights, ["re:.*self_attn.*", "lm_head"]))
    assert (bits(attention, QUERY, 3), bits(attention, UP, 3)) == (16, 8)
    assert not attention.by_layer
    layers = scheme_of_config(compressed(weights, ["model.layers.0.mlp.up_proj", "model.layers.31"]))
    assert layers.by_layer
    found = {layer: (bits(layers, UP, layer), bits(layers, QUERY, layer)) for layer in (0, 1, 3, 31)}
    assert found == {0: (16, 8), 1: (8, 8), 3: (8, 8), 31: (16, 16)}


@pytest.mark.parametrize(
    ("stated", "field"),
    [
        ({}, "quant_method"),
        ({"quant_method": "aqlm"}, "quant_method"),
        ({"quant_method": 4}, "quant_method"),
        ({"quant_method": "awq", "bits": "four"}, "bits"),
        ({"quant_method": "awq", "bits": 5}, "bits"),
        ({"quant_method": "fp8", "weight_block_size": [128, 64]}, "weight_block_size"),
        ({"quant_method": "fp8", "weight_block_size": "128"}, "weight_block_size"),
        ({"quant_method": "bitsandbytes"}, "load_in_4bit"),
        ({"quant_method": "modelopt", "quant_algo": "W3A3"}, "quant_algo"),
        ({"quant_method": "compressed-tensors", "config_groups": []}, "config_groups"),
        (compressed({"num_bits": 5, "type": "int"}, []), "weights"),
        (compressed({"num_bits": 8, "type": "float", "strategy": "channel"}, ["re:["]), "ignore"),
        (compressed({"num_bits": 8, "type": "float", "strategy": "channel"}, [7]), "ignore"),
    ],
)
def test_what_is_not_understood_is_refused_by_field(stated: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        scheme_of_config(stated)
    assert caught.value.field.endswith(field)
