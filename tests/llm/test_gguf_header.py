"""GGUF headers: metadata, tensors, the facts that follow, and one sentence for each way in which a header can be wrong."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.errors import InputError
from sizing.llm.headers.gguf_facts import GgufFacts, gguf_facts
from sizing.llm.headers.gguf_header import read_gguf_header
from sizing.llm.headers.gguf_types import GGML_TYPES, GGUF_BITS_PER_WEIGHT, GGUF_MIX_BITS_PER_WEIGHT
from tests.llm.checkpoint_headers import (
    LLAMA_8B_KEYS,
    gguf_head,
    gguf_text,
    gguf_value,
    is_sentence,
    llama_3_1_8b_gguf,
    outcome,
)

SMALL = {
    "general.architecture": "llama",
    "general.alignment": 64,
    "llama.block_count": 2,
    "list": [1, 2, 3],
    "yes": True,
}
TENSORS = [("token_embd.weight", "Q4_K", (10, 256)), ("output_norm.weight", "F32", (256,))]


def head_of(*, tensors: int = 0, keys: int = 0, version: int = 3, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys) + rest


def key(name: str, kind: int, value: bytes) -> bytes:
    return gguf_text(name) + struct.pack("<I", kind) + value


def record(name: str = "w", sizes: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    return gguf_text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)


def facts_of(architecture: str, tensors: Any = (), **keys: object) -> GgufFacts:
    """Facts of two layers of four heads unless said otherwise; a double underscore stands for a dot."""
    stated = {"block_count": 2, "embedding_length": 64, "attention.head_count": 4, "context_length": 4096}
    stated |= {name.replace("__", "."): value for name, value in keys.items()}
    metadata = {"general.architecture": architecture, **{f"{architecture}.{k}": v for k, v in stated.items()}}
    return gguf_facts(read_gguf_header(gguf_head(metadata, tensors)))


def test_metadata_and_tensors_are_read() -> None:
    header = read_gguf_header(gguf_head(SMALL, TENSORS, alignment=64))
    assert header.metadata == {**SMALL, "list": (1, 2, 3)}
    assert header.lengths == {"list": 3}
    assert [(t.name, t.dtype, t.shape, t.size_bytes) for t in header.tensors] == [
        ("token_embd.weight", "Q4_K", (10, 256), 1440),
        ("output_norm.weight", "F32", (256,), 1024),
    ]
    assert header.tensors[1].start_bytes == 1472  # 1,440 rounded up to the alignment
    assert header.data_bytes == 1472 + 1024
    assert header.header_bytes == header.file_bytes


def test_version_2_reads_the_same() -> None:
    old, new = (read_gguf_header(gguf_head(SMALL, TENSORS, version=v, alignment=64)) for v in (2, 3))
    assert old.tensors == new.tensors
    assert (old.version, new.version) == (2, 3)


def test_every_kind_of_value_is_read() -> None:
    values = {0: ("B", 200), 1: ("b", -3), 2: ("H", 60_000), 3: ("h", -9), 4: ("I", 7), 5: ("i", -7), 6: ("f", 0.5),
              10: ("Q", 2**40), 11: ("q", -(2**40)), 12: ("d", 0.1)}  # fmt: skip
    raw = b"".join(key(f"k{kind}", kind, struct.pack(f"<{code}", value)) for kind, (code, value) in values.items())
    assert read_gguf_header(head_of(keys=len(values), rest=raw)).metadata == {
        f"k{k}": v for k, (_, v) in values.items()
    }


def test_long_lists_are_passed_over_and_counted() -> None:
    words = ["word" * (i % 5) for i in range(250_000)]
    header = read_gguf_header(gguf_head({"words": words, "scores": [0.5] * 250_000, "after": 3}, []))
    assert header.metadata == {"after": 3}
    assert header.lengths == {"words": 250_000, "scores": 250_000}


def test_nested_lists_are_passed_over() -> None:
    inner = struct.pack("<IQ", 8, 1) + gguf_text("x")
    raw = key("deep", 9, struct.pack("<IQ", 9, 2) + inner + inner) + key("after", 4, struct.pack("<I", 5))
    assert read_gguf_header(head_of(keys=2, rest=raw)).metadata == {"after": 5}


def test_the_data_are_never_read() -> None:
    head = gguf_head(SMALL, [("w", "F32", (2_000_000,))], alignment=64)

    class Watched(io.BytesIO):
        got = 0

        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            Watched.got += len(found)
            return found

    read_gguf_header(Watched(head + bytes(8_000_000)))
    assert Watched.got <= 1 << 20


@pytest.mark.parametrize(
    ("name", "bits"),
    [("Q4_0", 4.5), ("Q4_1", 5), ("Q5_0", 5.5), ("Q8_0", 8.5), ("Q2_K", 2.625), ("Q3_K", 3.4375), ("Q4_K", 4.5),
     ("Q5_K", 5.5), ("Q6_K", 6.5625), ("IQ1_S", 1.5625), ("IQ1_M", 1.75), ("IQ2_XXS", 2.0625), ("IQ2_XS", 2.3125),
     ("IQ3_XXS", 3.0625), ("IQ4_XS", 4.25), ("IQ4_NL", 4.5), ("TQ1_0", 1.6875), ("TQ2_0", 2.0625), ("MXFP4", 4.25),
     ("BF16", 16), ("F32", 32)],
)  # fmt: skip
def test_bits_per_weight_are_those_that_llama_cpp_names(name: str, bits: float) -> None:
    """Figures of the quantisation options of llama.cpp, b4000 and later, where it states them for a tensor type."""
    assert GGUF_BITS_PER_WEIGHT[name] == bits


@pytest.mark.parametrize("kind", GGML_TYPES.values(), ids=lambda kind: kind.name)
def test_a_tensor_takes_whole_blocks(kind: Any) -> None:
    (tensor,) = read_gguf_header(gguf_head({}, [("w", kind.name, (3, 4 * kind.block_elements))])).tensors
    assert tensor.size_bytes == 12 * kind.block_bytes


@pytest.mark.parametrize(("mix", "file_bytes"), [("Q4_K_M", 4_920_739_232), ("Q8_0", 8_540_775_840)])
def test_llama_3_1_8b_weighs_what_is_published(mix: str, file_bytes: int) -> None:
    """Files of Meta-Llama-3.1-8B-Instruct in circulation; 0.2 % is the vocabulary of some 8 MB. Bits: llama.cpp's table."""
    header = read_gguf_header(gguf_head(LLAMA_8B_KEYS, llama_3_1_8b_gguf(mix)))
    assert header.data_bytes == pytest.approx(file_bytes, rel=0.002)
    bits = 8 * header.data_bytes / sum(t.elements for t in header.tensors)
    assert bits == pytest.approx(GGUF_MIX_BITS_PER_WEIGHT[mix].value, rel=1e-4)


@pytest.mark.parametrize(
    ("mix", "file_bytes", "parameters"),
    [("Q4_K_M", 42_520_395_584, 70_553_706_496), ("Q4_K_M", 2_019_377_696, 3_212_749_888), ("Q4_K_M", 807_694_464, 1_235_814_432)],
)  # fmt: skip
def test_the_range_of_a_mix_holds_other_models(mix: str, file_bytes: int, parameters: int) -> None:
    """Files of Llama-3.1-70B, Llama-3.2-3B and 1B in circulation, less 8 MB of vocabulary."""
    known = GGUF_MIX_BITS_PER_WEIGHT[mix]
    assert known.low < 8 * (file_bytes - 8e6) / parameters < known.high


def test_facts_of_llama_3_1_8b() -> None:
    facts = gguf_facts(read_gguf_header(gguf_head(LLAMA_8B_KEYS, llama_3_1_8b_gguf("Q4_K_M"))))
    assert (facts.architecture, facts.file_type, facts.layers, facts.vocabulary) == ("llama", "Q4_K_M", 32, 128_256)
    assert (facts.key_length, facts.kv_heads, facts.context_length) == (128, (8,) * 32, 131_072)
    assert facts.kv_elements_per_token == 65_536
    assert facts.kv_elements(1000) == 65_536_000


def test_kv_of_each_kind_of_attention() -> None:
    assert facts_of("llama").kv_elements_per_layer == (128, 128)  # as many KV heads as heads
    assert facts_of("llama", attention__head_count_kv=1).kv_elements_per_layer == (32, 32)
    assert facts_of("x", attention__head_count_kv=[2, 0]).kv_elements_per_layer == (64, 0)
    assert facts_of("x", attention__key_length=48, attention__value_length=32).kv_elements_per_layer == (320, 320)
    latent = {"attention__kv_lora_rank": 512, "rope__dimension_count": 64, "attention__key_length_mla": 192}
    assert facts_of("deepseek2", **latent).kv_elements_per_layer == (576, 576)
    assert facts_of("gemma3n", attention__shared_kv_layers=1).kv_elements_per_layer == (128, 0)


def test_sliding_layers_stop_at_their_window() -> None:
    listed = facts_of("x", attention__sliding_window=100, attention__sliding_window_pattern=[True, False])
    assert listed.sliding_layers == (True, False)
    assert listed.kv_elements(1000) == 128 * 100 + 128 * 1000
    assert listed.kv_elements(50) == 2 * 128 * 50
    by_architecture = facts_of("gemma3", block_count=12, attention__sliding_window=100)
    assert by_architecture.sliding_layers == ((True,) * 5 + (False,)) * 2
    assert facts_of("phi9", attention__sliding_window=100).kv_elements(1000) is None  # which layers slide is not said
    assert facts_of("phi3", attention__sliding_window=4096).sliding_layers == (False, False)  # as long as the context


def test_recurrent_layers_cache_no_keys() -> None:
    mamba = [("blk.0.ssm_in.weight", "F32", (8, 8)), ("blk.1.attn_k.weight", "F32", (8, 8))]
    assert facts_of("jamba", mamba).kv_elements_per_layer == (0, 128)
    assert facts_of("jamba", mamba[:1]).kv_elements_per_layer is None  # the other layer is in another part
    both = [*mamba, ("blk.0.attn_k.weight", "F32", (8, 8))]
    assert facts_of("falcon-h1", both).kv_elements_per_layer == (128, 128)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"block_count": "two"}, "block_count"),
        ({"block_count": 4_000_000_000}, "block_count"),
        ({"attention__head_count_kv": [1]}, "one for each of 2 layers"),
        ({"attention__head_count": 0.5}, "head_count"),
        ({"expert_count": True}, "expert_count"),
    ],
)
def test_facts_that_make_no_sense_are_one_sentence(keys: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        facts_of("llama", **keys)


def test_a_file_without_an_architecture_is_refused() -> None:
    with pytest.raises(InputError, match=r"general\.architecture"):
        gguf_facts(read_gguf_header(gguf_head({"a": 1}, [])))


LONG = struct.pack("<Q", 2**50)
BAD = {
    "empty": (b"", "begins with GGUF"),
    "another magic": (b"GGML" + bytes(20), "begins with GGUF"),
    "magic alone": (b"GGUF", "begins with GGUF"),
    "version 1": (head_of(version=1), "2023-10"),
    "version 9": (head_of(version=9), "2 or 3"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "2^60 tensors": (head_of(tensors=2**60), "tensor count"),
    "2^60 keys": (head_of(keys=2**60), "metadata count"),
    "a tensor more than there are": (gguf_head({}, TENSORS)[:8] + struct.pack("<Q", 3) + gguf_head({}, TENSORS)[16:], "GGUF"),
    "a key longer than the file": (head_of(keys=1, rest=struct.pack("<Q", 60_000) + bytes(20)), "metadata key"),
    "a key too long": (head_of(keys=1, rest=LONG + bytes(20)), "at most 65535"),
    "a key that is no text": (head_of(keys=1, rest=struct.pack("<Q", 2) + b"\xff\xfe" + bytes(20)), "UTF-8"),
    "a key twice": (head_of(keys=2, rest=key("a", 4, bytes(4)) * 2), "a twice"),
    "a text longer than the file": (head_of(keys=1, rest=key("a", 8, LONG)), "GGUF a"),
    "a list longer than the file": (head_of(keys=1, rest=key("a", 9, struct.pack("<I", 4) + LONG)), "GGUF a"),
    "texts longer than the file": (head_of(keys=1, rest=key("a", 9, struct.pack("<IQ", 8, 1) + LONG)), "text in a"),
    "2^50 texts": (head_of(keys=1, rest=key("a", 9, struct.pack("<I", 8) + LONG)), "texts in all lists"),
    "lists in lists in lists": (head_of(keys=1, rest=key("a", 9, struct.pack("<IQ", 9, 1) * 9 + bytes(9))), "nested"),
    "unknown value type": (head_of(keys=1, rest=key("a", 13, bytes(8))), "value type of a: 13"),
    "unknown type of a list": (head_of(keys=1, rest=key("a", 9, struct.pack("<IQ", 99, 1) + bytes(9))), "99"),
    "neither yes nor no": (head_of(keys=1, rest=key("a", 7, b"\x02")), "0 or 1"),
    "unknown ggml type": (head_of(tensors=1, rest=record(kind=4)), "type: 4"),
    "five dimensions": (head_of(tensors=1, rest=record(sizes=(1,) * 5)), "dimensions: 5"),
    "2^63 elements": (head_of(tensors=1, rest=record(sizes=(2**32, 2**31))), "shape"),
    "half a block": (head_of(tensors=1, rest=record(sizes=(48,), kind=8)), "multiple of 32"),
    "off the alignment": (head_of(tensors=1, rest=record(offset=8)), "multiple of 32"),
    "overlap": (head_of(tensors=2, rest=record("a", (64,)) + record("b", offset=128)), "at least 256"),
    "a tensor twice": (head_of(tensors=2, rest=record("a") + record("a", offset=128)), "a twice"),
    "alignment of 48": (gguf_head({"general.alignment": 48}, TENSORS), "power of two"),
    "alignment in words": (gguf_head({"general.alignment": "32"}, TENSORS), "power of two"),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "says"), BAD.values(), ids=BAD)
def test_a_header_that_breaks_the_format_is_one_sentence(raw: bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_gguf_header(raw)
    assert is_sentence(str(caught.value))
    assert says in str(caught.value)


def test_a_header_cut_anywhere_is_one_sentence() -> None:
    raw = gguf_head({**SMALL, "words": ["a", "bc"]}, TENSORS, alignment=64)
    end = raw.rindex(b"output_norm.weight") + len(b"output_norm.weight") + 4 + 8 + 4 + 8
    read_gguf_header(raw[:end])
    for cut in range(end):
        with pytest.raises(InputError):
            read_gguf_header(raw[:cut])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_only_ever_raise_input_errors(raw: bytes) -> None:
    for start in (b"", b"GGUF", b"GGUF\x03\0\0\0", head_of(tensors=1), head_of(keys=1)):
        header, refusal = outcome(read_gguf_header, start + raw)
        assert header is not None or is_sentence(refusal)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_header_is_refused_or_still_adds_up(data: st.DataObject) -> None:
    raw = bytearray(gguf_head({**SMALL, "llama.embedding_length": 64, "words": ["a", "bc"]}, TENSORS, alignment=64))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    header, refusal = outcome(read_gguf_header, bytes(raw))
    if header is None:
        assert is_sentence(refusal)
        return
    assert sum(t.size_bytes for t in header.tensors) <= header.data_bytes
    facts, refusal = outcome(lambda _: gguf_facts(header), b"")
    assert facts is not None or is_sentence(refusal)


@given(
    st.dictionaries(
        st.text(max_size=20), st.one_of(st.booleans(), st.integers(0, 2**32 - 1), st.text(max_size=40)), max_size=8
    )
)
def test_metadata_come_back_as_they_were_written(metadata: dict[str, object]) -> None:
    raw = b"".join(gguf_text(name) + gguf_value(value) for name, value in metadata.items())
    assert read_gguf_header(head_of(keys=len(metadata), rest=raw)).metadata == metadata
