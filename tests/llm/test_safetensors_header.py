"""Safetensors headers and indexes: what is read, and one sentence for each way in which a header can be wrong."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sizing.errors import InputError
from sizing.llm.headers.safetensors_header import (
    DTYPE_BITS,
    MOST_HEADER_BYTES,
    read_safetensors_header,
    read_safetensors_index,
)
from tests.llm.checkpoint_headers import is_sentence, llama_3_1_8b, outcome, qwen3_0_6b, safetensors_head

GOOD = {
    "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]},
}


def packed(header: object) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def changed(**fields: Any) -> bytes:
    return packed({**GOOD, "b": {**GOOD["b"], **fields}})


def test_a_header_alone_and_a_whole_file_give_the_same_tensors() -> None:
    alone, whole = read_safetensors_header(packed(GOOD)), read_safetensors_header(packed(GOOD) + bytes(32))
    assert alone.tensors == whole.tensors
    assert [(t.name, t.shape, t.size_bytes) for t in whole.tensors] == [("w", (2, 3), 24), ("b", (2,), 8)]
    assert (whole.data_bytes, whole.whole_bytes, whole.file_bytes) == (32, whole.file_bytes, alone.file_bytes + 32)


def test_tensors_come_in_the_order_of_their_data_with_scalars_and_empty_ones() -> None:
    header = read_safetensors_header(
        packed(
            {
                "__metadata__": {"format": "pt"},
                "z": {"dtype": "BF16", "shape": [], "data_offsets": [4, 6]},
                "empty": {"dtype": "I64", "shape": [0, 8], "data_offsets": [4, 4]},
                "a": {"dtype": "F4", "shape": [8], "data_offsets": [0, 4]},
            }
        )
    )
    assert [t.name for t in header.tensors] == ["a", "empty", "z"]
    assert [t.elements for t in header.tensors] == [8, 0, 1]
    assert header.metadata == {"format": "pt"}


@pytest.mark.parametrize(("dtype", "bits"), DTYPE_BITS.items())
def test_every_dtype_takes_its_bits(dtype: str, bits: int) -> None:
    (tensor,) = read_safetensors_header(safetensors_head([("w", dtype, (16, 2))])).tensors
    assert tensor.size_bytes == 4 * bits


def test_a_path_a_stream_and_bytes_are_the_same(tmp_path: Path) -> None:
    raw = safetensors_head(qwen3_0_6b())
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    stream = io.BytesIO(raw)
    stream.seek(11)
    assert read_safetensors_header(path) == read_safetensors_header(stream) == read_safetensors_header(raw)
    assert read_safetensors_header(str(path)).data_bytes == 1_503_264_768


def test_the_data_are_never_read() -> None:
    class Watched(io.BytesIO):
        got = 0

        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            Watched.got += len(found)
            return found

    read_safetensors_header(Watched(safetensors_head([("w", "U8", (10_000_000,))]) + bytes(10_000_000)))
    assert Watched.got < 1000


BAD = {
    "empty file": (b"", "length"),
    "seven bytes": (b"\0" * 7, "length"),
    "header length beyond the file": ((1000).to_bytes(8, "little") + b"{}", "at most 2 bytes"),
    "a header of 2 GB": ((2_000_000_000).to_bytes(8, "little") + b"{}", f"{MOST_HEADER_BYTES:,}"),
    "truncated header": (packed(GOOD)[:-10], "header length"),
    "not UTF-8": (packed(b'{"\xff": 1}'), "UTF-8"),
    "not JSON": (packed(b"{'a': 1}"), "JSON"),
    "NaN": (packed(b'{"a": NaN}'), "JSON"),
    "deep": (packed(b"[" * 200_000), "nesting"),
    "huge number": (packed(b'{"a": ' + b"9" * 10_000 + b"}"), "JSON"),
    "a list": (packed([]), "object"),
    "a name twice": (packed(b'{"a": {}, "a": {}}'), "a twice"),
    "metadata of numbers": (packed({"__metadata__": {"a": 1}}), "__metadata__"),
    "an entry without a shape": (packed({"a": {"dtype": "F32", "data_offsets": [0, 4]}}), "shape"),
    "a tensor that is a text": (packed({"a": "F32"}), "an object of dtype"),
    "unknown dtype": (changed(dtype="F7"), "'F7'"),
    "dtype that is a list": (changed(dtype=[]), "dtype"),
    "negative offset": (changed(data_offsets=[-8, 0]), "whole numbers from 0"),
    "three offsets": (changed(data_offsets=[24, 32, 40]), "two whole numbers"),
    "end before start": (changed(data_offsets=[32, 24]), "8 bytes apart"),
    "overlap": (changed(data_offsets=[16, 24]), "neither overlap"),
    "gap": (changed(data_offsets=[28, 36]), "24, where"),
    "first tensor not at 0": (packed({"b": {**GOOD["b"]}}), "0, where"),
    "size that does not fit the shape": (changed(shape=[3]), "12 bytes apart"),
    "negative dimension": (changed(shape=[-2]), "shape"),
    "true as a dimension": (changed(shape=[True, 2]), "shape"),
    "a dimension over 63 bits": (changed(shape=[2**63]), "shape"),
    "too many dimensions": (changed(shape=[1] * 65), "64"),
    "half a byte": (packed({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}}), "1.5 bytes"),
    "more bytes than the tensors": (packed(GOOD) + bytes(33), "last tensor ends"),
    "a control character in a name": (packed({"a\n\x1b[31m": 1}), "a??[31m"),
    "half a character in a name": (packed(b'{"\\ud800": 1}'), "tensor ?"),
}


@pytest.mark.parametrize(("raw", "says"), BAD.values(), ids=BAD)
def test_a_header_that_breaks_the_format_is_one_sentence(raw: bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_safetensors_header(raw)
    assert is_sentence(str(caught.value))
    assert says in str(caught.value)


def test_a_missing_path_and_a_folder_are_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, "a\0b"):
        with pytest.raises(InputError, match="file that can be read"):
            read_safetensors_header(path)


def test_an_index_gives_its_files_and_totals() -> None:
    stated = {"metadata": {"total_size": 16_060_522_496.0, "total_parameters": 8_030_261_248}, "weight_map": {}}
    stated["weight_map"] = {name: f"model-{i % 4}.safetensors" for i, (name, _, _) in enumerate(llama_3_1_8b())}
    index = read_safetensors_index(json.dumps(stated).encode())
    assert (index.total_size_bytes, index.total_parameters) == (16_060_522_496, 8_030_261_248)
    assert len(index.weight_map) == 291


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[]", "weight_map"),
        (b'{"weight_map": {}}', "weight_map"),
        (b'{"weight_map": {"w": 3}}', "file name"),
        (b'{"weight_map": {"w": "a"}, "metadata": {"total_size": -4}}', "total_size"),
        (b'{"weight_map": {"w": "a"}, "metadata": {"total_size": 1e999}}', "total_size"),
        (b'{"weight_map": {"w": "a"}, "metadata": {"total_size": "4"}}', "total_size"),
        (b'{"weight_map": {"w": "a"}, "metadata": [1]}', "metadata"),
        (b'{"weight_map": {"w": "a", "w": "b"}}', "w twice"),
        (b"\xff", "UTF-8"),
    ],
)
def test_a_bad_index_is_one_sentence(text: bytes, says: str) -> None:
    with pytest.raises(InputError) as caught:
        read_safetensors_index(text)
    assert is_sentence(str(caught.value))
    assert says in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_only_ever_raise_input_errors(raw: bytes) -> None:
    with pytest.raises(InputError):
        read_safetensors_header(raw.replace(b"{", b"["))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_header_is_refused_or_still_adds_up(data: st.DataObject) -> None:
    raw = bytearray(packed(GOOD))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    header, refusal = outcome(read_safetensors_header, bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    if header is None:
        assert is_sentence(refusal)
    else:
        assert sum(t.size_bytes for t in header.tensors) == header.data_bytes


@given(st.lists(st.tuples(st.sampled_from(sorted(DTYPE_BITS)), st.lists(st.integers(0, 9), max_size=4)), max_size=6))
def test_bytes_are_elements_times_bits(listed: list[tuple[str, list[int]]]) -> None:
    tensors = [(f"t{i}", dtype, (8, *shape)) for i, (dtype, shape) in enumerate(listed)]
    header = read_safetensors_header(safetensors_head(tensors))
    assert header.data_bytes == sum(t.elements * DTYPE_BITS[t.dtype] // 8 for t in header.tensors)
    assert {t.name: t.shape for t in header.tensors} == {name: shape for name, _, shape in tensors}
