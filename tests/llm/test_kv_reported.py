"""Tokens of KV cache as vLLM reports them, against public start-up logs of models with several kinds of cache."""

from __future__ import annotations

import pytest

from sizing import catalog as catalogs
from sizing.llm.engines.kv_reported import reported_bytes_per_token
from sizing.llm.kv import kv_bytes_per_token
from sizing.llm.sharding import Split
from sizing.units import GIB

CATALOG = catalogs.load()


def _reported(model: str, version: str | None, context: int, degree: int = 1) -> float:
    found = reported_bytes_per_token(
        CATALOG.llm_model(model),
        Split(degree),
        "bf16",
        engine_version=version,
        context_tokens=context,
        batched_tokens=8192,
    )
    assert found is not None
    return found


def test_a_log_of_qwen3_next() -> None:
    """vLLM 0.10.2, 2 x H200: 44.59 GiB of KV cache reported as 973,760 tokens."""
    assert 44.59 * GIB / _reported("qwen3-next-80b-a3b-instruct", "0.10.2", 262_144, 2) == pytest.approx(
        973_760, rel=1e-3
    )


def test_both_rules_on_one_log_of_qwen3_5() -> None:
    """vLLM 0.19 (issue 40691): 290,864 tokens reported beside 33.04 requests of 32,768 tokens."""
    old, new = (_reported("qwen3.5-27b", version, 32_768) for version in ("0.19", None))
    assert old / new == pytest.approx(33.04 * 32_768 / 290_864, rel=0.01)


def test_a_log_of_llama() -> None:
    """vLLM 0.31, A100: 56.21 GiB reported as 460,496 tokens."""
    for version in ("0.18", "0.31"):
        assert 56.21 * GIB / _reported("llama-3.1-8b", version, 131_072) == pytest.approx(460_496, rel=1e-3)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "deepseek-v3", "qwen3-30b-a3b"])
def test_one_kind_of_cache_is_bytes_a_token(model: str) -> None:
    assert _reported(model, "0.18", 8192) == kv_bytes_per_token(CATALOG.llm_model(model), "bf16")


def test_a_short_group_is_filled_up() -> None:
    """gemma-3-27b: 10 full and 52 sliding layers make groups of 10, so 70 layers' worth of pages."""
    assert _reported("gemma-3-27b-it", "0.18", 131_072) == 70 * 2 * 16 * 128 * 2


def test_windows_weigh_less_in_a_longer_context() -> None:
    assert _reported("gpt-oss-120b", None, 131_072) < _reported("gpt-oss-120b", None, 16_384)


def test_no_figure_for_compressed_or_stateful_caches_alone() -> None:
    for model in ("deepseek-v4-pro", "mamba2-2.7b"):
        found = reported_bytes_per_token(
            CATALOG.llm_model(model),
            Split(),
            "bf16",
            engine_version=None,
            context_tokens=8192,
            batched_tokens=8192,
        )
        assert found is None
