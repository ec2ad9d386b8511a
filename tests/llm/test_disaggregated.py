"""Prefill and decode on machines of their own: queue and transfer by hand, limits kept, mixed accelerators never dearer."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from sizing.catalog import load
from sizing.llm.candidates import scenario_work
from sizing.llm.disaggregated import pairs, prefill_wait_ms, transfer_ms
from sizing.llm.sharding import Split
from sizing.llm.work import stack
from sizing.scenario import LlmScenario

CATALOG = load()
LONG = LlmScenario(model="llama-3.1-70b", prompt_tokens=6000, output_tokens=300, ttft_target_ms=2000, tpot_target_ms=40)


def test_wait_by_hand() -> None:
    """100 ms a prompt at 8/s on one replica: rho 0.8; p95 wait = 100 / (2 x 0.2) x ln(0.8 / 0.05)."""
    assert prefill_wait_ms(100.0, 8.0, 1, 95) == pytest.approx(250.0 * log(16.0))
    assert prefill_wait_ms(100.0, 0.4, 1, 95) == 0.0
    assert prefill_wait_ms(100.0, 10.0, 1, 95) == float("inf")
    assert prefill_wait_ms(100.0, 8.0, 2, 95) < prefill_wait_ms(100.0, 8.0, 1, 95)


def test_transfer_by_hand() -> None:
    """Llama-3.1-8B: 131,072 bytes a token in bf16; at tp 4 a rank holds a quarter of 1,125 tokens (71 blocks of 16)."""
    model, part = CATALOG.llm_model("llama-3.1-8b"), CATALOG.accelerator("h100-sxm-80gb")
    work = stack([scenario_work(LlmScenario(), model, None, part, Split(4))])
    assert float(np.ravel(transfer_ms(work, 12.5))[0]) == pytest.approx(131_072 / 4 * 71 * 16 / 12.5e9 * 1000, rel=1e-9)


def test_pairs_keep_the_limits_and_come_cheapest_first() -> None:
    found = pairs(LONG, CATALOG, load_per_s=10.0)
    assert found
    costs = [pair.usd_per_hour for pair in found]
    assert costs == sorted(costs)
    for pair in found:
        assert pair.ttft_ms <= 2000
        assert pair.tpot_ms <= 40
        assert pair.prefill.utilization <= LONG.utilization_cap + 1e-9
        assert pair.decode.utilization <= LONG.utilization_cap + 1e-9


def test_a_mixed_pair_is_never_dearer_than_one_accelerator() -> None:
    found = pairs(LONG, CATALOG, load_per_s=10.0, most=100)
    places = {(p.provider, p.region) for p in found}
    for place in places:
        here = [p for p in found if (p.provider, p.region) == place]
        mixed, alone = [p for p in here if p.is_mixed], [p for p in here if not p.is_mixed]
        if mixed and alone:
            assert min(p.usd_per_hour for p in mixed) <= min(p.usd_per_hour for p in alone)


@pytest.mark.parametrize("change", [{"ttft_target_ms": 500.0}, {"tpot_target_ms": 15.0}])
def test_a_tighter_limit_is_never_cheaper(change: dict[str, float]) -> None:
    loose = pairs(LONG, CATALOG, load_per_s=10.0)[0].usd_per_hour
    tight = pairs(LONG.model_copy(update=change), CATALOG, load_per_s=10.0)
    assert not tight or tight[0].usd_per_hour >= loose


def test_more_load_needs_no_less() -> None:
    low, high = (pairs(LONG, CATALOG, load_per_s=rate)[0] for rate in (2.0, 40.0))
    assert high.usd_per_hour >= low.usd_per_hour
    assert high.prefill.replicas + high.decode.replicas > low.prefill.replicas + low.decode.replicas


def test_nothing_is_found_where_a_prompt_alone_is_too_slow() -> None:
    assert pairs(LONG.model_copy(update={"ttft_target_ms": 1.0}), CATALOG, load_per_s=1.0) == ()
