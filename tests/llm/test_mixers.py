"""Blocks of state spaces, linear and sparse attention: sizes against published models, states against their papers."""

from __future__ import annotations

import pytest

from sizing.llm import mixers
from sizing.llm.architecture import Tensor


def total(tensors: tuple[Tensor, ...]) -> int:
    return sum(t.parameters for t in tensors)


# One layer of each published model less its norms of the hidden width: transformers 5.23.0, meta device, 2026-11-23.
LAYERS = [
    ("mamba-130m", mixers.mamba1(768, 1536, 16, 4, 48), 3_770_880),
    ("mamba-codestral-7b", mixers.mamba2(4096, 128, 64, 8, 128, 4), 109_635_968),
    ("qwen3-next gated DeltaNet", mixers.gated_delta(2048, 16, 32, 128, 128, 4), 33_718_464),
    ("kimi-linear delta attention", mixers.kimi_delta(2304, 32, 128, 4), 39_514_272),
    ("minimax class default, lightning", mixers.lightning(4096, 32, 128), 83_890_176),
    ("deepseek-v3.2 indexer", mixers.indexer(7168, 1536, 64, 128), 13_959_424),
]


@pytest.mark.parametrize(("name", "tensors", "count"), LAYERS, ids=[name for name, *_ in LAYERS])
def test_parameters_of_a_block(name: str, tensors: tuple[Tensor, ...], count: int) -> None:
    assert total(tensors) == count


def test_states_of_a_sequence() -> None:
    """Catalog facts of 2026-11-22: state elements a sequence over all layers of the model."""
    next_ = mixers.gated_delta_cache(16, 32, 128, 128, 4)
    assert 36 * (next_.conv_elements + next_.state_elements) == 19_759_104
    codestral = mixers.mamba2_cache(128, 64, 8, 128, 4)
    assert 64 * (codestral.conv_elements + codestral.state_elements) == 69_074_944
    jamba = mixers.mamba1_cache(8192, 16, 4)
    assert 28 * (jamba.conv_elements + jamba.state_elements) == 4_358_144
    m1 = mixers.lightning_cache(64, 128)
    assert 70 * m1.state_elements == 73_400_320


def test_groups_of_mamba_2_are_copied_once_they_are_fewer_than_ranks() -> None:
    tensors = {t.name: t for t in mixers.mamba2(64, 8, 16, 2, 4, 4)}
    assert (tensors["in_proj.b"].shard, tensors["in_proj.b"].units) == ("kv", 2)
    assert (tensors["in_proj.x"].shard, tensors["out_proj"].shard) == ("column", "row")


def test_index_keys_are_fp8_with_a_scale() -> None:
    cache = mixers.indexed_latent_cache(512, 64, 128)
    assert (cache.key_width, cache.index_width + cache.index_scale_bytes) == (576, 132)


def test_compressed_cache_keeps_a_window_and_sparse_entries() -> None:
    heavy, alone = mixers.compressed_cache(512, 128, 128), mixers.compressed_cache(512, 128, 0)
    assert (heavy.kind, heavy.window, heavy.stride, heavy.index_width) == ("compressed", 128, 128, 0)
    assert alone.stride == alone.state_elements == 0
    assert heavy.state_elements == 2 * 128 * 512
    assert mixers.compressed_cache(512, 128, 4, index_width=128).state_elements == 2 * 8 * (1024 + 256)


def test_index_parts_are_whole_on_every_rank() -> None:
    assert {t.shard for t in mixers.indexer(64, 32, 4, 16)} == {"replicated"}
    assert {t.shard for t in mixers.compressor(64, 32, 4, overlap=True)} == {"replicated"}
