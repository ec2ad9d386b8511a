"""A model of one's own on the LLM page: pasted or uploaded configs and checkpoint headers."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from test_pages_fuzz import headline, marks, open_app, open_scenario

from sizing import catalog as catalogs
from sizing import link as links
from sizing.errors import InputError
from sizing.inspect import Inspection
from sizing.llm.config import parse_config
from sizing.planner import plan
from sizing.scenario import LlmScenario
from ui.own_model import checkpoint_changes

CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 2048, "intermediate_size": 8192,
    "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "max_position_embeddings": 131072,
    "_name_or_path": "somebody/small-llama", "made_up_<b>field</b>": 3,
}  # fmt: skip
"""Shape of a published one-billion model, 1,235,814,400 parameters; its KV cache takes 16 x 8 x 64 x 2 x 2 bytes a token."""
NEW = {
    "engine_version": ("text_input", "0.18"), "max_sequences": ("number_input", 64),
    "tensor_parallel": ("number_input", 2), "pipeline_parallel": ("number_input", 2),
    "attention_data_parallel": ("number_input", 2), "max_accelerators_per_replica": ("number_input", 8),
    "lora_adapters": ("number_input", 4), "lora_rank": ("number_input", 32),
    "draft_model": ("selectbox", "llama-3.2-1b"), "prefix_cache_tokens": ("number_input", 5000),
    "checkpoint_bytes": ("number_input", 16_000_000_000),
}  # fmt: skip
"""Kind of control and a value for each field that the memory of a model added."""


def control(at: AppTest, name: str) -> Any:
    """The control of a field."""
    kind = NEW[name][0] if name in NEW else "selectbox"
    return getattr(at, kind)(key=f"llm:{name}")


def html(at: AppTest) -> str:
    return " ".join(element.proto.body for element in at.get("html"))


def field(at: AppTest, name: str) -> str:
    value = at.query_params[name]
    return value if isinstance(value, str) else value[0]


def paste(at: AppTest, text: str) -> AppTest:
    """Put a text into the box for a config.json."""
    return at.text_area(key="llm:own_text").set_value(text).run()


def upload(at: AppTest, name: str, content: bytes) -> AppTest:
    """Put a file into the upload box."""
    at.file_uploader(key="llm:own_file").set_value((name, content, "application/octet-stream"))
    return at.run()


def safetensors(shapes: dict[str, list[int]]) -> bytes:
    """A safetensors header of bf16 tensors, without their data."""
    header, start = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def llama_tensors(config: dict[str, Any]) -> dict[str, list[int]]:
    """Names and shapes of a dense Llama's tensors with a tied head, as Hugging Face stores them."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    narrow = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    found = {"model.embed_tokens.weight": [config["vocab_size"], hidden], "model.norm.weight": [hidden]}
    for i in range(config["num_hidden_layers"]):
        stem = f"model.layers.{i}."
        for name, shape in (
            ("self_attn.q_proj", [hidden, hidden]), ("self_attn.k_proj", [narrow, hidden]),
            ("self_attn.v_proj", [narrow, hidden]), ("self_attn.o_proj", [hidden, hidden]),
            ("mlp.gate_proj", [inner, hidden]), ("mlp.up_proj", [inner, hidden]), ("mlp.down_proj", [hidden, inner]),
            ("input_layernorm", [hidden]), ("post_attention_layernorm", [hidden]),
        ):  # fmt: skip
            found[f"{stem}{name}.weight"] = shape
    return found


def test_pasted_config_gives_the_answer_of_its_plan_and_travels() -> None:
    at = paste(open_app("llm"), json.dumps(CONFIG, indent=2))
    config = parse_config(json.dumps(CONFIG)).model.config_json
    expected = plan(LlmScenario(model="custom", custom_config=config), catalogs.load())
    assert not at.exception
    assert expected.headline in headline(at)
    assert field(at, "model") == "custom"
    assert len(links.to_link(expected.scenario, catalog_version=catalogs.load().version)) < 2_000
    said = html(at)
    assert "1,235,814,400" in said
    assert "32,768 (32.00 KiB)" in said
    left_out = next(caption.value for caption in at.caption if "not understood" in caption.value)
    assert "made_up_<b>field</b>" in left_out.replace("\\", "")
    assert "<b>" not in left_out
    there = open_app("llm", {key: field(at, key) for key in at.query_params})
    assert not there.warning
    assert headline(there) == headline(at)
    assert "1,235,814,400" in html(there)


def test_a_model_without_a_name_is_called_by_family_and_size_on_both_sides_of_a_link() -> None:
    unnamed = {
        "model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48, "num_attention_heads": 32,
        "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936, "intermediate_size": 6144, "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 768, "torch_dtype": "bfloat16", "decoder_sparse_step": 1,
        "_name_or_path": "./checkpoints/last",
    }  # fmt: skip
    name = "own qwen3_moe model, 30.5 B"
    at = paste(open_app("llm"), json.dumps(unnamed))
    there = open_app("llm", {key: field(at, key) for key in at.query_params})
    for page in (at, there):
        assert not page.exception
        assert name in headline(page)
        assert name in page.selectbox(key="llm:model").options
    link = links.to_link(at.session_state["page:llm"].scenario, catalog_version=catalogs.load().version)
    assert "30.5" not in link
    assert name in plan(links.from_link(link).scenario, catalogs.load()).headline


def test_errors_call_a_model_of_ones_own_by_its_name() -> None:
    at = paste(open_app("llm"), json.dumps({key: value for key, value in CONFIG.items() if key != "_name_or_path"}))
    at.checkbox(key="llm:expert_parallel").check().run()
    assert any("own llama model, 1.24 B has no experts" in text.replace("\\", "") for text in marks(at))


def test_way_back_from_a_model_of_ones_own() -> None:
    at = open_scenario(LlmScenario(model="llama-2-7b-hf"))
    before = headline(at)
    paste(at, json.dumps(CONFIG))
    next(button for button in at.button if button.label == "Use the catalog model").click().run()
    assert headline(at) == before
    assert field(at, "model") == "llama-2-7b-hf"
    assert field(at, "custom_config") == ""
    assert not [button for button in at.button if button.label == "Use the catalog model"]


def test_choosing_another_model_keeps_ones_own_in_the_list() -> None:
    at = paste(open_app("llm"), json.dumps(CONFIG))
    own = headline(at)
    at.selectbox(key="llm:model").set_value("llama-3.2-3b").run()
    assert not marks(at)
    assert field(at, "custom_config") == ""
    at.selectbox(key="llm:model").set_value("custom").run()
    assert headline(at) == own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "config.json|file"),
        ('{"model_type": "never-heard-of", "hidden_size": 3}', "model_type"),
        (json.dumps({**CONFIG, "hidden_size": -4}), "hidden_size"),
        (json.dumps({**CONFIG, "quantization_config": {"quant_method": "nobodys"}}), "quant"),
        ("<script>alert(1)</script>", "file"),
    ],
    ids=["cut", "unknown", "negative", "quantised", "markup"],
)
def test_config_that_cannot_be_read_is_one_sentence_and_the_answer_stays(text: str, said: str) -> None:
    at = paste(open_app("llm"), json.dumps(CONFIG))
    before, address = headline(at), {key: field(at, key) for key in at.query_params}
    paste(at, text)
    assert not at.exception
    assert headline(at) == before
    assert {key: field(at, key) for key in at.query_params} == address
    assert len(marks(at)) == 1
    assert re.search(said, marks(at)[0].replace("\\", ""))
    assert "<script>" not in marks(at)[0].replace("\\<script\\>", "")
    paste(at, json.dumps(CONFIG))
    assert not marks(at)


def test_config_too_long_for_a_link_answers_and_says_so() -> None:
    names = [hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(500)]  # nothing in them to compress
    stated = {"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": names}
    at = open_app("llm")
    good, address = headline(at), {key: field(at, key) for key in at.query_params}
    paste(at, json.dumps({**CONFIG, "quantization_config": stated}))
    assert not at.exception
    assert headline(at) != good
    assert any("do not travel in a link" in warning.value for warning in at.warning)
    assert {key: field(at, key) for key in at.query_params} == address


def test_uploaded_config_is_applied_once() -> None:
    at = upload(open_app("llm"), "config.json", json.dumps(CONFIG).encode())
    assert field(at, "model") == "custom"
    at.selectbox(key="llm:model").set_value("llama-3.2-3b").run()
    at.number_input(key="llm:prompt_tokens").set_value(700).run()
    assert field(at, "model") == "llama-3.2-3b"


def test_checkpoint_header_of_the_model_sets_its_bytes_and_shows_its_facts() -> None:
    at = paste(open_app("llm"), json.dumps(CONFIG))
    upload(at, "model.safetensors", safetensors(llama_tensors(CONFIG)))
    assert not at.exception
    assert not marks(at)
    assert field(at, "checkpoint_bytes") == str(2 * 1_235_814_400)
    assert field(at, "weight_format") == "native"
    assert "bytes by dtype, BF16" in html(at)
    at.selectbox(key="llm:model").set_value("llama-3.2-3b").run()
    assert field(at, "checkpoint_bytes") == ""


def test_checkpoint_of_another_model_is_refused_in_words() -> None:
    at = upload(open_app("llm"), "model.safetensors", safetensors(llama_tensors(CONFIG)))
    assert field(at, "checkpoint_bytes") == ""
    assert len(marks(at)) == 1
    assert "1,235,814,400 parameters" in marks(at)[0].replace("\\", "")
    assert "choose its model first" in marks(at)[0]


@pytest.mark.parametrize(
    ("kind", "size", "details", "expected"),
    [
        ("gguf", 4_920_734_752, {"file_type": "Q4_K_M", "bits_per_weight": 4.9}, ("gguf_q4_k_m", "llama_cpp")),
        ("gguf", 4_015_000_000, {"file_type": "Q3_K_S", "bits_per_weight": 4.0}, ("gguf_q3_k_m", "llama_cpp")),
        ("safetensors", 16_060_522_496, {"bytes_by_dtype": {"BF16": 1}}, ("native", None)),
        ("safetensors", 9_080_000_000, {"bytes_by_dtype": {"F8_E4M3": 2, "BF16": 1}}, ("fp8", None)),
        ("safetensors index", 9_080_000_000, {"bytes_by_dtype": {}}, ("native", None)),
    ],
)
def test_format_and_engine_follow_the_checkpoint(
    kind: str, size: int, details: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    found = Inspection(format=kind, parameters=8_030_261_248, weights_bytes=size, details=details)
    changes = checkpoint_changes(found, LlmScenario(), catalogs.load())
    assert changes["checkpoint_bytes"] == size
    assert (changes["weight_format"], changes.get("runtime")) == expected
    plan(LlmScenario(**changes), catalogs.load())


def test_size_that_no_format_gives_is_not_of_the_model() -> None:
    found = Inspection(format="safetensors", weights_bytes=500_000_000, details={"bytes_by_dtype": {}})
    with pytest.raises(InputError, match="choose its model first"):
        checkpoint_changes(found, LlmScenario(), catalogs.load())


def test_file_that_is_no_model_is_refused_in_words() -> None:
    at = upload(open_app("llm"), "weights.gguf", b"\x80\x04\x95 a pickle by another name")
    assert len(marks(at)) == 1
    assert "pickle" in marks(at)[0]


def test_link_with_a_broken_config_is_one_banner_and_the_usual_model() -> None:
    at = open_scenario(LlmScenario(), model="custom", custom_config="no~such")
    assert not at.exception
    assert len(at.warning) == 1
    assert "custom_config" in at.warning[0].value.replace("\\", "")
    assert field(at, "model") == "llama-3.1-8b"
