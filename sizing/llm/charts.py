"""Figures behind the charts of the page: latency and throughput by batch, latency by load, memory by count, and
holding limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator
from sizing.errors import InputError
from sizing.llm.answers import best_split
from sizing.llm.candidates import memory_of, scenario_work, split_of
from sizing.llm.constants import engine_rates
from sizing.llm.memory import ReplicaMemory
from sizing.llm.models import draft_of, model_of
from sizing.llm.search import MAX_SEARCH_BATCH, batch_grid
from sizing.llm.serving import closed_batch, open_loop, spread_of, uniform_tpot_ms
from sizing.llm.sharding import Split
from sizing.llm.speed import prefill
from sizing.llm.work import Work, select, stack
from sizing.plan import Deployment, Memory
from sizing.scenario import LlmScenario

Floats = NDArray[np.float64]

LOADS = tuple(np.linspace(0.05, 0.98, 24))
"""Shares of a replica's capacity at which `load_curve` is drawn [1]."""


@dataclass(frozen=True)
class BatchCurve:
    """Latency [ms] and output tokens per second of one replica by batch size; low to high is the 80 % interval."""

    batch: NDArray[np.intp]
    ttft_ms: Floats
    ttft_low_ms: Floats
    ttft_high_ms: Floats
    closed_ttft_ms: Floats  # mean with the batch kept full: each request replaced as it ends
    tpot_ms: Floats
    tpot_low_ms: Floats
    tpot_high_ms: Floats
    bound_tpot_ms: Floats  # bytes / peak bandwidth or operations / dense peak, whichever is longer
    output_tokens_per_s: Floats
    requests_per_s: Floats
    memory_bound: NDArray[np.bool_]
    chosen_batch: int
    max_sequences: int

    def ttft_holds_to(self, limit_ms: float | None) -> float | None:
        """Throughput [output tokens/s] up to which the mean TTFT keeps a limit with the batch kept full: that of the
        last batch size before one that misses it; inf where none misses it or there is no limit, None where 1 does."""
        missed = self.closed_ttft_ms > (np.inf if limit_ms is None else limit_ms)
        if not missed.any():
            return np.inf
        first = int(missed.argmax())
        return float(self.output_tokens_per_s[first - 1]) if first else None


@dataclass(frozen=True)
class LoadCurve:
    """Percentiles [ms] of one replica by the rate it is asked for (columns p50, p95, p99)."""

    requests_per_s: Floats  # of the whole deployment, without spares
    ttft_ms: Floats
    tpot_ms: Floats


@dataclass(frozen=True)
class MemoryByCount:
    """Memory of one accelerator when so many share a copy of the model; `max_sequences` 0: it does not hold."""

    accelerators: int
    split: Split
    memory: Memory
    usable_bytes: int
    max_sequences: int
    max_sequences_interval: tuple[int, int]


@dataclass(frozen=True)
class HoldingLimits:
    """What so many accelerators hold: the largest batch at each context, the longest context at each batch; 0: none."""

    accelerators: int
    largest_batch: dict[int, int]
    longest_context_tokens: dict[int, int]


def replica_of(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> tuple[Work, ReplicaMemory]:
    """Work of one replica of a deployment, as a stack of one, and its memory."""
    model, part, degree = model_of(scenario, catalog), _accelerator(catalog, deployment), deployment.parallelism
    if degree is None:
        raise InputError("deployment", deployment.instance, "a deployment of a language model")
    split, draft = split_of(scenario, degree.tp, degree.pp), draft_of(scenario, catalog)
    work = scenario_work(scenario, model, draft, part, split)
    return stack([work]), memory_of(scenario, model, part, split, draft)


def _accelerator(catalog: Catalog, deployment: Deployment) -> Accelerator:
    return catalog.accelerator(deployment.accelerator or "")


def batch_curve(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> BatchCurve:
    """Latency [ms] and throughput of one replica of the deployment by batch size, up to what memory holds."""
    work, memory = replica_of(scenario, catalog, deployment)
    held = memory.held(scenario.prompt_tokens + scenario.output_tokens)
    chosen = deployment.batch or 1
    grid = batch_grid(min(held, max(MAX_SEARCH_BATCH, chosen)))
    batch = np.union1d(grid, [chosen]).astype(np.intp)
    columns = batch.astype(float)[None, :]
    tokens = scenario.output_tokens
    tpot, ttft = [], []
    for case in engine_rates(scenario.runtime, scenario.engine_version):
        each, first = uniform_tpot_ms(work, columns, tokens, case)
        tpot.append(each[0])
        ttft.append((first + (columns - 1.0) * prefill(work, case).occupied_ms / tokens)[0])
    full = closed_batch(work, columns, float(tokens), engine_rates(scenario.runtime, scenario.engine_version)[0])
    e2e_ms = ttft[0] + (tokens - 1) * tpot[0]
    per_s = batch / e2e_ms * 1000.0
    return BatchCurve(
        batch=batch,
        ttft_ms=ttft[0],
        ttft_low_ms=ttft[2],
        ttft_high_ms=ttft[1],
        closed_ttft_ms=full.ttft_ms[0],
        tpot_ms=tpot[0],
        tpot_low_ms=tpot[2],
        tpot_high_ms=tpot[1],
        bound_tpot_ms=full.decode.bound_ms[0],
        output_tokens_per_s=per_s * tokens,
        requests_per_s=per_s,
        memory_bound=full.decode.memory_bound[0],
        chosen_batch=chosen,
        max_sequences=held,
    )


def load_curve(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> LoadCurve:
    """Percentiles [ms] of the deployment by the rate it is asked for, requests arriving at random."""
    work, _ = replica_of(scenario, catalog, deployment)
    replicas = deployment.replicas - scenario.spare_replicas
    capacity = float(deployment.extra["replica_capacity_requests_per_s"] or 0.0)
    per_replica = np.array(LOADS) * capacity
    many = select(work, np.zeros(len(LOADS), dtype=np.intp))
    done = open_loop(
        many,
        arrival_per_s=per_replica,
        batch_cap=np.full(len(LOADS), deployment.batch or 1, dtype=np.intp),
        output_tokens=scenario.output_tokens,
        rates=engine_rates(scenario.runtime, scenario.engine_version)[0],
        spread=spread_of(scenario),
    )
    return LoadCurve(requests_per_s=per_replica * replicas, ttft_ms=done.ttft_ms, tpot_ms=done.tpot_ms)


def memory_parts_by_count(
    scenario: LlmScenario, catalog: Catalog, accelerator: str, counts: Sequence[int] = (1, 2, 4, 8)
) -> tuple[MemoryByCount, ...]:
    """Parts [bytes] of one accelerator when 1, 2, 4, ... share a copy, filled with the requests that fit (at least
    one is shown)."""
    model, part, draft = model_of(scenario, catalog), catalog.accelerator(accelerator), draft_of(scenario, catalog)
    context = scenario.prompt_tokens + scenario.output_tokens
    found = []
    for count in counts:
        split = best_split(scenario, model, part, count)
        if split is None:
            continue
        memory = memory_of(scenario, model, part, split, draft)
        held = memory.held(context)
        shown = memory.parts(sequences=max(1, min(held, scenario.batch or MAX_SEARCH_BATCH)), context_tokens=context)
        found.append(MemoryByCount(count, split, shown, memory.usable_bytes, held, memory.held_interval(context)))
    return tuple(found)


def holding_limits(
    scenario: LlmScenario,
    catalog: Catalog,
    accelerator: str,
    counts: Sequence[int] = (1, 2, 4, 8),
    contexts: Sequence[int] = (1024, 2048, 4096, 8192, 32768, 131072),
    batches: Sequence[int] = (1, 8, 32, 128),
) -> tuple[HoldingLimits, ...]:
    """For each count the largest batch at several contexts and the longest context [tokens] at several batches.

    Contexts beyond the model's own are left out.
    """
    model, part, draft = model_of(scenario, catalog), catalog.accelerator(accelerator), draft_of(scenario, catalog)
    longest = model.context_length or max(contexts)
    found = []
    for count in counts:
        split = best_split(scenario, model, part, count)
        if split is None:
            continue
        memory = memory_of(scenario, model, part, split, draft)
        found.append(
            HoldingLimits(
                accelerators=count,
                largest_batch={c: memory.held(c) for c in contexts if c <= longest},
                longest_context_tokens={b: memory.longest_context_tokens(b, longest) for b in batches},
            )
        )
    return tuple(found)
