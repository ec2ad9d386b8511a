"""Chunked prefill and continuous batching on one replica: throughput and latency by sequences in flight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.llm.constants import Rates
from sizing.llm.speed import Decode, Prefill, Work, decode, prefill
from sizing.units import MS_PER_S

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Steady:
    """Mean latency [ms] and throughput [1/s] of one replica that holds `batch` sequences all the time."""

    ttft_ms: Floats
    tpot_ms: Floats
    e2e_ms: Floats
    requests_per_s: Floats
    decode: Decode
    prefill: Prefill


def closed_batch(work: Work, batch: Floats, output_tokens: Floats | float, rates: Rates) -> Steady:
    """Latency [ms] and throughput [1/s] with `batch` sequences in flight, each replaced as it ends.

    While a request stays, batch - 1 other prompts are processed beside it, a share s of them before its first token:
    TTFT = P_alone + D + s x (batch - 1) x P, TPOT = D + (1 - s) x (batch - 1) x P / (output - 1),
    throughput = batch / (TTFT + (output - 1) x TPOT). With one output token all of them come before it (s = 1).

    Source: work conservation (each prompt is processed once) and Little's law; own.
    """
    step = decode(work, batch, rates)
    prompt = prefill(work, rates)
    others_ms = (batch - 1.0) * prompt.occupied_ms
    before = np.where(np.asarray(output_tokens) > 1.0, rates.prompts_before_first_token, 1.0)
    ttft_ms = prompt.alone_ms + step.step_ms + before * others_ms
    tpot_ms = step.step_ms + (1.0 - before) * others_ms / np.maximum(np.asarray(output_tokens) - 1.0, 1.0)
    e2e_ms = ttft_ms + (output_tokens - 1.0) * tpot_ms
    return Steady(
        ttft_ms=ttft_ms,
        tpot_ms=tpot_ms,
        e2e_ms=e2e_ms,
        requests_per_s=batch / e2e_ms * MS_PER_S,
        decode=step,
        prefill=prompt,
    )
