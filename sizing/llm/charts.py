"""Figures behind the charts of the page: latency and throughput by batch, latency by load, memory by count, and
holding limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.candidates import legal_tensor_parallel, rank_of, sequences_held
from sizing.llm.constants import rates
from sizing.llm.memory import RankMemory, max_context_tokens, memory_parts
from sizing.llm.search import MAX_SEARCH_BATCH, batch_grid
from sizing.llm.serving import open_loop, uniform_tpot_ms
from sizing.llm.speed import Work, decode, model_work, prefill, select, stack, work_of
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
    tpot_ms: Floats
    tpot_low_ms: Floats
    tpot_high_ms: Floats
    bound_tpot_ms: Floats  # bytes / peak bandwidth or operations / dense peak, whichever is longer
    output_tokens_per_s: Floats
    requests_per_s: Floats
    memory_bound: NDArray[np.bool_]
    chosen_batch: int
    max_sequences: int


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
    tensor_parallel: int
    pipeline_parallel: int
    memory: Memory
    usable_bytes: int
    max_sequences: int


@dataclass(frozen=True)
class HoldingLimits:
    """What so many accelerators hold: the largest batch at each context, the longest context at each batch; 0: none."""

    accelerators: int
    largest_batch: dict[int, int]
    longest_context_tokens: dict[int, int]


def _work(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> tuple[Work, RankMemory, Accelerator]:
    model, part, degree = catalog.llm_model(scenario.model), _accelerator(catalog, deployment), deployment.parallelism
    if degree is None:
        raise InputError("deployment", deployment.instance, "a deployment of a language model")
    shape = model_work(
        model,
        weight_format=scenario.weight_format,
        kv_format=scenario.kv_format,
        tensor_parallel=degree.tp,
        prompt_tokens=scenario.prompt_tokens,
        output_tokens=scenario.output_tokens,
    )
    work = work_of(
        model,
        part,
        shape,
        weight_format=scenario.weight_format,
        tensor_parallel=degree.tp,
        pipeline_parallel=degree.pp,
        prompt_tokens=scenario.prompt_tokens,
        max_batched_tokens=scenario.max_batched_tokens,
    )
    return stack([work]), rank_of(scenario, model, part.capacity_bytes, degree.tp, degree.pp), part


def _accelerator(catalog: Catalog, deployment: Deployment) -> Accelerator:
    return catalog.accelerator(deployment.accelerator or "")


def batch_curve(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> BatchCurve:
    """Latency [ms] and throughput of one replica of the deployment by batch size, up to what memory holds."""
    work, rank, part = _work(scenario, catalog, deployment)
    held = sequences_held(scenario, rank, part.capacity_bytes)
    chosen = deployment.batch or 1
    grid = batch_grid(min(held, max(MAX_SEARCH_BATCH, chosen)))
    batch = np.union1d(grid, [chosen]).astype(np.intp)
    columns = batch.astype(float)[None, :]
    tokens = scenario.output_tokens
    tpot, ttft = [], []
    for case in rates(scenario.runtime):
        each, first = uniform_tpot_ms(work, columns, tokens, case)
        tpot.append(each[0])
        ttft.append((first + (columns - 1.0) * prefill(work, case).occupied_ms / tokens)[0])
    step = decode(work, columns, rates(scenario.runtime)[0])
    e2e_ms = ttft[0] + (tokens - 1) * tpot[0]
    per_s = batch / e2e_ms * 1000.0
    return BatchCurve(
        batch=batch,
        ttft_ms=ttft[0],
        ttft_low_ms=ttft[2],
        ttft_high_ms=ttft[1],
        tpot_ms=tpot[0],
        tpot_low_ms=tpot[2],
        tpot_high_ms=tpot[1],
        bound_tpot_ms=step.bound_ms[0],
        output_tokens_per_s=per_s * tokens,
        requests_per_s=per_s,
        memory_bound=step.memory_bound[0],
        chosen_batch=chosen,
        max_sequences=held,
    )


def load_curve(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> LoadCurve:
    """Percentiles [ms] of the deployment by the rate it is asked for, requests arriving at random."""
    work, _, _ = _work(scenario, catalog, deployment)
    replicas = deployment.replicas - scenario.spare_replicas
    capacity = float(deployment.extra["replica_capacity_requests_per_s"] or 0.0)
    per_replica = np.array(LOADS) * capacity
    many = select(work, np.zeros(len(LOADS), dtype=np.intp))
    done = open_loop(
        many,
        arrival_per_s=per_replica,
        batch_cap=np.full(len(LOADS), deployment.batch or 1, dtype=np.intp),
        output_tokens=scenario.output_tokens,
        rates=rates(scenario.runtime)[0],
    )
    return LoadCurve(requests_per_s=per_replica * replicas, ttft_ms=done.ttft_ms, tpot_ms=done.tpot_ms)


def _split(model: LlmModel, count: int) -> tuple[int, int]:
    """Tensor and pipeline degrees of a count: the largest tensor degree that engines allow, the rest as a pipeline."""
    tensor = max(n for n in range(1, count + 1) if count % n == 0 and legal_tensor_parallel(model, n))
    return tensor, count // tensor


def memory_parts_by_count(
    scenario: LlmScenario, catalog: Catalog, accelerator: str, counts: Sequence[int] = (1, 2, 4, 8)
) -> tuple[MemoryByCount, ...]:
    """Parts [bytes] of one accelerator when 1, 2, 4, ... share a copy, filled with the requests that fit (at least
    one is shown)."""
    model, part = catalog.llm_model(scenario.model), catalog.accelerator(accelerator)
    context = scenario.prompt_tokens + scenario.output_tokens
    found = []
    for count in counts:
        tp, pp = _split(model, count)
        rank = rank_of(scenario, model, part.capacity_bytes, tp, pp)
        held = sequences_held(scenario, rank, part.capacity_bytes)
        memory = memory_parts(
            rank,
            sequences=max(1, min(held, scenario.batch or MAX_SEARCH_BATCH)),
            context_tokens=context,
            kv_format=scenario.kv_format,
            capacity_bytes=part.capacity_bytes,
        )
        usable = int(part.capacity_bytes * scenario.gpu_memory_utilization)
        found.append(MemoryByCount(count, tp, pp, memory, usable, held))
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
    model, part = catalog.llm_model(scenario.model), catalog.accelerator(accelerator)
    longest = model.context_length or max(contexts)
    found = []
    for count in counts:
        rank = rank_of(scenario, model, part.capacity_bytes, *_split(model, count))
        found.append(
            HoldingLimits(
                accelerators=count,
                largest_batch={
                    c: sequences_held(scenario, rank, part.capacity_bytes, c) for c in contexts if c <= longest
                },
                longest_context_tokens={
                    b: max_context_tokens(
                        rank,
                        capacity_bytes=part.capacity_bytes,
                        gpu_memory_utilization=scenario.gpu_memory_utilization,
                        sequences=b,
                        kv_format=scenario.kv_format,
                        longest=longest,
                    )
                    for b in batches
                },
            )
        )
    return tuple(found)
