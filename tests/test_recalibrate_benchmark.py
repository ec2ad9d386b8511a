"""The benchmark of recalibration on made-up errors whose shares are known: it finds them, and what they gain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.recalibrate_llm import Errors, shares_of, tried
from sizing.llm.recalibration import Shares

SD = 0.25
TRUTH = Shares(0.7, 0.4)


def made_up(seed: int = 3) -> Errors:
    """60 groups of 4 servers of 8 runs: variance 0.4 by group, 0.3 by server, 0.3 by run."""
    draw, runs, logs = np.random.default_rng(seed), list[Any](), []
    for group in range(60):
        of_group = draw.normal(0, SD * 0.4**0.5)
        for server in range(4):
            of_server = draw.normal(0, SD * 0.3**0.5)
            work = SimpleNamespace(
                tensor_parallel=float(server), pipeline_parallel=1.0, expert_parallel=0.0, dense_weight_bytes=1.0
            )
            for _ in range(8):
                runs.append(
                    SimpleNamespace(model=f"m{group}", accelerator="a", generation="vllm", kind="fp8", work=work)
                )
                logs.append(of_group + of_server + draw.normal(0, SD * 0.3**0.5))
    return Errors(tuple(runs), {("model", "tpot_ms"): np.array(logs)})


def test_it_finds_the_shares() -> None:
    found = shares_of(made_up(), "model", "tpot_ms")
    assert found.server == pytest.approx(TRUTH.server, abs=0.12)
    assert found.other_split == pytest.approx(TRUTH.other_split, abs=0.15)


def test_a_few_runs_gain_what_the_shares_say() -> None:
    errors = made_up()
    one, three = (tried(errors, "model", "tpot_ms", n, lambda _: TRUTH, elsewhere=False) for n in (1, 3))
    assert one.after[0] < 0.8 * one.before[0]
    assert three.after[0] < one.after[0]
    other = tried(errors, "model", "tpot_ms", 1, lambda _: TRUTH, elsewhere=True)
    assert one.after[0] < other.after[0] < other.before[0]
    assert other.narrower > one.narrower
