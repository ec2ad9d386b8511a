"""`inspect`: kinds told by content, facts of each, and one sentence for every file that is not read."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.__main__ import main
from sizing.errors import InputError
from sizing.inspect import Inspection, inspect_file, inspection_text, parse_dims
from tests.llm import checkpoint_headers as headers
from tests.llm.checkpoint_headers import gguf_head, is_sentence, outcome, safetensors_head

KEYS = {
    *("format", "parameters", "weights_bytes", "macs", "input_bytes", "sum_activation_bytes", "peak_live_bytes"),
    *("peak_at", "unknown_shapes", "library", "features", "outputs", "trees", "nodes", "leaves", "max_depth"),
    *("visited_nodes_per_row", "file_bytes", "resident_bytes"),
}
LLAMA_8B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14_336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
    "max_position_embeddings": 131_072,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
SMALL = [("model.embed_tokens.weight", "BF16", (64, 8)), ("model.layers.0.mlp.up_proj.weight", "BF16", (16, 8))]
SMALL_GGUF = gguf_head(
    {**headers.LLAMA_8B_KEYS, "tokenizer.ggml.tokens": ["a", "b"]}, [("token_embd.weight", "Q8_0", (64, 32))]
)


def inspected(raw: bytes, name: str = "file") -> Inspection:
    return inspect_file(raw, name=name)


def config(**changes: Any) -> bytes:
    return json.dumps({**LLAMA_8B, **changes}).encode()


def test_a_safetensors_file_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "anything.onnx"  # the name does not matter
    path.write_bytes(safetensors_head(headers.llama_3_1_8b()))
    assert main(["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) >= KEYS
    assert (found["format"], found["parameters"], found["weights_bytes"]) == (
        "safetensors",
        8_030_261_248,
        16_060_522_496,
    )
    assert found["file_bytes"] == path.stat().st_size
    assert all(found[key] is None for key in KEYS - {"format", "parameters", "weights_bytes", "file_bytes"})
    assert sum(found["bytes_by_group"].values()) == found["weights_bytes"]


def test_the_text_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_head(headers.LLAMA_8B_KEYS, headers.llama_3_1_8b_gguf("Q4_K_M")))
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    for line in (
        "format: gguf",
        "parameters: 8,030,261,248",
        "kv bytes per token bf16: 131,072",
        "Q4_K: 3,655,139,328",
    ):
        assert line in out
    assert "None" not in out


def test_an_index_and_a_gguf_file() -> None:
    index = {"metadata": {"total_size": 93_405_585_408}, "weight_map": {"lm_head.weight": "model-1.safetensors"}}
    found = inspected(json.dumps(index, indent=2).encode()).as_json()
    assert (found["format"], found["weights_bytes"], found["parameters"]) == ("safetensors index", 93_405_585_408, None)
    gguf = inspected(SMALL_GGUF).as_json()
    assert (gguf["format"], gguf["parameters"], gguf["weights_bytes"]) == ("gguf", 2048, 2176)
    assert (gguf["architecture"], gguf["file_type"], gguf["layers"]) == ("llama", "Q4_K_M", 32)


def test_a_config_of_hugging_face() -> None:
    """Llama-3.1-8B: 8,030,261,248 parameters, 16,060,522,496 bytes in bf16, 131,072 bytes of cache a token."""
    found = inspected(config()).as_json()
    assert set(found) >= KEYS
    assert (found["format"], found["parameters"], found["weights_bytes"]) == (
        "config.json",
        8_030_261_248,
        16_060_522_496,
    )
    assert found["kv_bytes_per_token_bf16"] == 131_072
    assert (
        found["parameters_by_group"]
        == inspected(safetensors_head(headers.llama_3_1_8b())).details["parameters_by_group"]
    )


def test_a_quantised_config_weighs_what_its_checkpoint_does() -> None:
    """Qwen2.5-7B-Instruct-AWQ: the same bytes from its config.json as from the shapes of its tensors."""
    stated = config(
        model_type="qwen2", architectures=["Qwen2ForCausalLM"], hidden_size=3584, intermediate_size=18_944,
        num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4, vocab_size=152_064, torch_dtype="float16",
        quantization_config=AWQ,
    )  # fmt: skip
    found = inspected(stated)
    assert found.parameters == 7_615_616_512
    assert found.weights_bytes == 5_570_747_392


def test_a_config_with_an_unknown_quantisation_has_no_bytes() -> None:
    found = inspected(config(quantization_config={"quant_method": "own"}))
    assert (found.parameters, found.weights_bytes) == (8_030_261_248, None)
    assert any("quant_method" in note for note in found.notes)


class Danger:
    """Ends the test run if anything unpickles it."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (pytest.exit, ("a pickle was opened",))


def _torch_zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Danger()))
    return made.getvalue()


@pytest.mark.parametrize(
    ("raw", "name"),
    [(pickle.dumps(Danger(), protocol), "x") for protocol in (2, 3, 4, 5)]
    + [(_torch_zip(), "x"), (b"anything at all", "pytorch_model.bin"), (b"(dp0\n.", "model.JOBLIB")],
)
def test_a_pickle_is_refused_and_never_opened(raw: bytes, name: str) -> None:
    with pytest.raises(InputError) as caught:
        inspected(raw, name)
    assert is_sentence(str(caught.value))
    assert "pickle" in str(caught.value)
    assert "saved as safetensors" in str(caught.value)


NOT_READ = {
    "empty": (b"", "empty"),
    "ONNX": (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:", "ONNX"),
    "XGBoost": (b'{"learner": {}, "version": [2, 1, 0]}', "XGBoost"),
    "LightGBM": (b"tree\nversion=v4\n", "LightGBM"),
    "zip": (b"PK\x03\x04" + bytes(40), "zip"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(20), "TensorFlow Lite"),
    "Git LFS": (b"version of git-lfs spec\noid sha256:0\nsize 3\n", "Git LFS"),
    "web page": (b"<!DOCTYPE html>", "web page"),
    "old GGML": (b"tjgg" + bytes(20), "GGJT"),
    "another JSON": (b'{"a": 1}', "JSON of another kind"),
    "JSON that stops": (b'{"model_type": "llama"', "JSON"),
    "no UTF-8": (b'{"a": "\xff"}', "UTF-8"),
    "text": (b"hello", "another kind"),
    "one byte": (b"\0", "another kind"),
}


@pytest.mark.parametrize(("raw", "says"), NOT_READ.values(), ids=NOT_READ)
def test_what_is_not_read_is_one_sentence(raw: bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        inspected(raw, "a\nname")
    assert is_sentence(str(caught.value))
    assert says in str(caught.value)


def test_a_file_named_safetensors_hears_what_is_wrong_with_it() -> None:
    with pytest.raises(InputError, match="safetensors file length"):
        inspected(b"\0" * 7, "model.safetensors")
    with pytest.raises(InputError, match="header length"):
        inspected((2_000_000_000).to_bytes(8, "little") + b"{}", "x")


@pytest.mark.parametrize("path", ["missing.gguf", ".", "bad.gguf"])
def test_bad_files_exit_2_with_one_line(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.gguf").write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 16)
    assert main(["inspect", path, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1


def test_dims_are_read_and_said_to_have_no_effect_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(SMALL_GGUF)
    assert main(["inspect", str(path), "--dim", "batch=8", "--dim", "tokens=16", "--json"]) == 0
    assert any("batch=8, tokens=16" in note for note in json.loads(capsys.readouterr().out)["notes"])
    assert main(["inspect", str(path), "--dim", "batch"]) == 2
    assert "NAME=N" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["batch", "=3", "batch=", "batch=x", "batch=-1", "batch=0", "batch=1.5", "b=9999999999", "b=²"]
)
def test_bad_dims_are_one_sentence(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_dims([text])
    assert is_sentence(str(caught.value))


def test_a_dim_said_twice_is_refused() -> None:
    with pytest.raises(InputError, match="each name once"):
        parse_dims(["a=1", "a=2"])


def test_names_from_a_file_cannot_speak_to_the_terminal() -> None:
    raw = gguf_head({**headers.LLAMA_8B_KEYS, "general.name": "a\x1b[31m\nb"}, [("x\ny", "F32", (1,))])
    text = inspection_text(inspected(raw))
    assert "\x1b" not in text
    assert "a?[31m?b" in text


SEEDS = [safetensors_head(SMALL), SMALL_GGUF, config(), b'{"weight_map": {"a": "b"}, "metadata": {"total_size": 8}}']


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([b"", b"GGUF", b"{", *SEEDS]), st.data())
def test_damaged_files_only_ever_raise_input_errors(seed: bytes, data: st.DataObject) -> None:
    raw = bytearray(seed + data.draw(st.binary(max_size=60)))
    if raw:
        for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=5)):
            raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    found, refusal = outcome(inspected, bytes(raw[:cut]))
    if found is None:
        assert is_sentence(refusal)
    else:
        json.dumps(found.as_json(), allow_nan=False)
        assert inspection_text(found).encode()
