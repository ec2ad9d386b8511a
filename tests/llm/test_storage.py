"""Bytes of stored matrices: the layouts of real checkpoints, computed by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.llm import storage
from sizing.llm.formats import GGUF, NAMED
from sizing.llm.storage import Storage, grouped_int

ALL = [value for value in vars(storage).values() if isinstance(value, Storage)] + list(storage.GGUF_TYPES.values())


@pytest.mark.parametrize(
    ("stored", "rows", "columns", "size"),
    [
        # AWQ q_proj of Qwen2.5-7B: qweight 3584 x 448 int32, scales 28 x 3584 fp16, qzeros 28 x 448 int32
        (storage.INT4_AWQ, 3584, 3584, 3584 * 448 * 4 + 28 * 3584 * 2 + 28 * 448 * 4),
        # DeepSeek-V3 gate_proj of an expert: 2048 x 7168 fp8, 16 x 56 scales in fp32
        (storage.FP8_BLOCK, 2048, 7168, 2048 * 7168 + 16 * 56 * 4),
        # its latent down-projection, 576 rows, fills 4.5 blocks: 5 x 56 scales
        (storage.FP8_BLOCK, 576, 7168, 576 * 7168 + 5 * 56 * 4),
        # FP8-dynamic: one scale a row
        (storage.FP8_CHANNEL, 4096, 4096, 4096 * 4096 + 4096 * 4),
        # gpt-oss down_proj of an expert: 2880 x 2880 in blocks of 32: 2880 x 90 x 16 bytes and 2880 x 90 scales
        (storage.MXFP4, 2880, 2880, 2880 * 90 * 16 + 2880 * 90),
        # NVFP4: two to a byte, an fp8 scale for each 16, one fp32 scale
        (storage.NVFP4, 4096, 4096, 4096 * 2048 + 4096 * 256 + 4),
        # Kimi-K2.5 expert: 2048 x 7168 int4, 16-bit scale for each 32
        (grouped_int(4, 32, zero_point=False), 2048, 7168, 2048 * 3584 + 2048 * 224 * 2),
        # Q4_K: 144 bytes for 256 weights
        (storage.GGUF_TYPES["Q4_K"], 4096, 4096, 4096 * 16 * 144),
    ],
)
def test_matrices_of_real_checkpoints(stored: Storage, rows: int, columns: int, size: int) -> None:
    assert stored.matrix_bytes(rows, columns) == size


@given(st.sampled_from(ALL), st.integers(1, 5000), st.integers(1, 5000))
def test_scales_only_add_and_more_weights_never_take_less(stored: Storage, rows: int, columns: int) -> None:
    size = stored.matrix_bytes(rows, columns)
    assert size >= rows * columns * stored.bits / 8
    assert stored.matrix_bytes(rows + 1, columns) > size
    assert stored.matrix_bytes(rows, columns + 1) > size


def test_formats_are_ordered_by_size() -> None:
    order = ["fp32", "bf16", "fp8", "nvfp4", "mxfp4"]
    sizes = [NAMED[name].linear.bytes_per_parameter() for name in order]
    assert sizes == sorted(sizes, reverse=True)
    gguf = ["gguf_q8_0", "gguf_q6_k", "gguf_q5_k_m", "gguf_q4_k_m", "gguf_iq4_xs", "gguf_q3_k_m", "gguf_q2_k"]
    assert set(gguf) | {"gguf_q4_0"} == set(GGUF)
    sizes = [GGUF[name].linear.bytes_per_parameter() for name in gguf]
    assert sizes == sorted(sizes, reverse=True)
