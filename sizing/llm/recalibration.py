"""Speed and memory recalibrated with the scenario's own measurements (`measured_serving`).

What is fitted is how far a server is off: the mean of e = ln(measured / predicted) of its runs, once for TPOT, which moves every
pass, and once for TTFT. Of our error (variance s^2, the stated interval) a share c is common to all runs of one server, a share o to
servers of one model, part, engine and format that are split otherwise; the rest r = 1 - c differs from run to run. After n runs

    factor = exp(k x mean e),  k = n c / (r + n c)                on a server split alike, n o / (r + n c) on another
    width  = sqrt(r + c - n c^2 / (r + n c))                      of the interval, in logs, over what it was; with o^2 for c^2

Runs that scatter more than r s^2 raise r. Source: best linear prediction with a random effect (Henderson 1975; Robinson 1991, "That BLUP
is a good thing"); c and o from public runs (benchmarks/RECALIBRATE_LLM.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean, variance

import numpy as np

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.constants import Rates, generation_of, rates
from sizing.llm.measured import (
    FIELD,
    MeasuredMemory,
    MeasuredRun,
    MeasuredServing,
    in_use,
    parse_serving,
    reason_unused,
)
from sizing.llm.memory import ReplicaMemory, StageMemory, replica_memory
from sizing.llm.models import CUSTOM
from sizing.llm.rows import architecture_of
from sizing.llm.serving import closed_batch, open_loop
from sizing.llm.sharding import RankWeights, Split
from sizing.llm.speed import decode
from sizing.llm.work import Work, model_work, stack, work_of
from sizing.scenario import LlmScenario
from sizing.units import GIB, MS_PER_S

Z80 = 1.2816
"""Standard deviations from the middle to either end of an 80 % interval of a normal law [1]."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the variance of our error [1]: common to all runs of a server, and to servers split otherwise."""

    server: float
    other_split: float


STEP_NEW, STEP_KNOWN = Shares(0.75, 0.60), Shares(0.30, 0.0)
FIRST_NEW, FIRST_KNOWN = Shares(0.55, 0.25), Shares(0.30, 0.0)
"""Of a step and of a first token, for models and parts that nobody measured, and for those whose runs are in the fit (their common
error is in the constants already). Source: pairs of runs of one server and of servers split otherwise among 1,436 public runs, predicted by
constants fitted without the model or without the row (benchmarks/RECALIBRATE_LLM.md, 2026-11)."""

BATCHED_TOKENS = 8192
UTILIZATION = 0.9
MOST_SEQUENCES = {"vllm": 1024, "sglang": 2048, "tensorrt_llm": 2048, "llama_cpp": 64}
"""Token budget, share of memory and most sequences of a server whose log is not given: defaults of the engines (2025)."""

FASTER_THAN_PHYSICS = 1.3
"""How much faster than one read of the weights and the KV cache at peak bandwidth a measured token may be before it is refused [1]:
lengths are means, and parts are clocked a little differently. A stated choice."""

MORE_THAN_ALL = 1.02
"""How much more than utilization x capacity a log's weights and KV cache may be [1]: parts of one name differ a little in capacity."""

MEMORY_WIDTH = 0.5
"""Interval of the engine's memory beside weights after its own log was read, over what it was [1]: other lengths and budgets than the
log's still move it. A stated choice."""


@dataclass(frozen=True, slots=True)
class Posterior:
    """What a time is multiplied by [1], and the width of its interval in logs over what it was [1]."""

    factor: float = 1.0
    width: float = 1.0
    runs: int = 0


UNCHANGED = Posterior()


@dataclass(frozen=True, slots=True)
class Recalibration:
    """Factors of a step and of a first token for a server split as measured, and for one split otherwise."""

    step: Posterior
    first: Posterior
    step_elsewhere: Posterior
    first_elsewhere: Posterior
    runs: int

    def of(self, split: Split, measured: Split) -> tuple[Posterior, Posterior]:
        """The two that count for a split."""
        return (self.step, self.first) if split == measured else (self.step_elsewhere, self.first_elsewhere)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run gives: TTFT and TPOT [ms], output tokens [1/s] of the server, requests in flight, and whether others wait for a slot."""

    ttft_ms: float
    tpot_ms: float
    output_tokens_per_s: float
    batch: float
    waits: bool


def posterior(logs: Sequence[float], shares: Shares, spread: float, *, elsewhere: bool = False) -> Posterior:
    """Factor and width [1] after runs that were off by these logs, `spread` being the standard deviation of our error [log].

    Equations: see the module.

    >>> found = posterior([0.1], Shares(0.8, 0.6), 0.25)
    >>> round(found.factor, 4), round(found.width, 4)
    (1.0833, 0.6)
    """
    n = len(logs)
    if not n:
        return UNCHANGED
    rest = 1.0 - shares.server
    if n > 1:
        rest = max(rest, variance(logs) / spread**2)
    common = shares.other_split if elsewhere else shares.server
    known = n / (rest + n * shares.server)
    left = rest + shares.server - known * common**2
    return Posterior(math.exp(known * common * fmean(logs)), math.sqrt(min(left, 1.0)), n)


def _spread(ends: tuple[float, float], width: float) -> float:
    """Standard deviation of our error [log] from the ends of its 80 % interval."""
    return width * math.log(ends[1] / ends[0]) / (2.0 * Z80)


def memory_at(measured: MeasuredServing, model: LlmModel, part: Accelerator, context_tokens: int) -> ReplicaMemory:
    """Memory of the measured server as predicted, under its log's settings or the engine's defaults."""
    log = measured.memory
    return replica_memory(
        model,
        part,
        weight_format=measured.weight_format,
        kv_format=measured.kv_format,
        split=measured.split,
        runtime=measured.runtime,
        engine_version=measured.version,
        gpu_memory_utilization=log.utilization if log else UTILIZATION,
        max_batched_tokens=log.batched_tokens if log else None,
        max_sequences=log.sequences if log else None,
        context_tokens=(log.context_tokens if log else None) or context_tokens,
    )


@lru_cache(maxsize=512)
def _work(measured: MeasuredServing, model: LlmModel, part: Accelerator, prompt: int, output: int) -> Work:
    split = measured.split
    if split.expert_parallel and not architecture_of(model).experts:
        raise InputError(
            FIELD, "expert parallel", "tensor, pipeline and attention data parallel, as the model has no experts"
        )
    shape = model_work(
        model,
        weight_format=measured.weight_format,
        kv_format=measured.kv_format,
        split=Split(split.tensor, 1, split.attention_data, split.expert_parallel),
        prompt_tokens=prompt,
        output_tokens=output,
    )
    budget = measured.memory.batched_tokens if measured.memory else None
    work = work_of(
        model,
        part,
        shape,
        generation=generation_of(measured.runtime, measured.version),
        weight_format=measured.weight_format,
        split=split,
        prompt_tokens=prompt,
        max_batched_tokens=budget or BATCHED_TOKENS,
    )
    return stack([work])


def work_of_run(measured: MeasuredServing, model: LlmModel, part: Accelerator, run: MeasuredRun) -> Work:
    """Work of the measured server at the lengths of a run, as predicted without any measurement."""
    return _work(replace(measured, runs=()), model, part, run.prompt_tokens, run.output_tokens)


def figures(
    measured: MeasuredServing, model: LlmModel, part: Accelerator, run: MeasuredRun, use: Rates, work: Work
) -> Figures | None:
    """TTFT, TPOT [ms] and output tokens [1/s] of a run on the measured server; None where more arrives than it serves.

    Clients in a closed loop: `serving.closed_batch` at the batch that memory and engine hold, what is beyond it waits for a slot.
    A rate: the medians of `serving.open_loop`. Raises InputError where memory does not hold one request.
    """
    context = run.prompt_tokens + run.output_tokens // 2
    held = held_memory(measured, model, part, context).held(context)
    if held < 1:
        raise InputError(
            FIELD, f"{run.prompt_tokens + run.output_tokens} tokens", f"a request that {part.name} can hold"
        )
    most = min(held, (measured.memory.sequences if measured.memory else None) or MOST_SEQUENCES[measured.runtime])
    output = float(run.output_tokens)
    if run.is_rate:
        done = open_loop(
            work,
            arrival_per_s=np.array([run.load]),
            batch_cap=np.array([min(most, MOST_SEQUENCES["vllm"])], dtype=np.intp),
            output_tokens=run.output_tokens,
            rates=use,
        )
        if done.full[0]:
            return None
        return Figures(
            float(done.ttft_ms[0, 0]),
            float(done.tpot_ms[0, 0]),
            float(done.requests_per_s[0]) * output,
            float(done.in_flight[0]),
            False,
        )
    batch = min(run.load, float(most))
    steady = closed_batch(work, np.array([[batch]]), output, use)
    per_s = float(steady.requests_per_s[0, 0])
    wait_ms = (run.load - batch) / per_s * MS_PER_S
    ttft_ms = float(steady.ttft_ms[0, 0]) + wait_ms
    return Figures(ttft_ms, float(steady.tpot_ms[0, 0]), per_s * output, batch, wait_ms > 0.0)


def moved(work: Work, step: Posterior, first: Posterior) -> Work:
    """Work with the times of a pass and of a first token moved, and their intervals narrowed."""
    return replace(
        work,
        step_factor=work.step_factor * step.factor,
        first_factor=work.first_factor * first.factor / step.factor,
        width=work.width * step.width,
        first_width=work.first_width * first.width,
    )


@lru_cache(maxsize=256)
def recalibration(measured: MeasuredServing, model: LlmModel, part: Accelerator) -> Recalibration:
    """Factors that runs measured on an accelerator give. Raises InputError for a run that cannot be, such as a token faster than
    reading weights and KV cache at peak bandwidth allows, which says that it was measured on something else."""
    centre, slow, fast = rates(generation_of(measured.runtime, measured.version))
    steps: list[float] = []
    firsts: list[float] = []
    width = 1.0
    for run in measured.runs:
        work = work_of_run(measured, model, part, run)
        width = float(np.ravel(work.width)[0])
        predicted = figures(measured, model, part, run, centre, work)
        if run.tpot_ms is not None:
            _check_physics(work, run, part, centre)
        if predicted is None:
            continue
        if run.tpot_ms is not None and run.output_tokens > 1:
            steps.append(math.log(run.tpot_ms / predicted.tpot_ms))
        if run.ttft_ms is not None and not predicted.waits:
            firsts.append(math.log(run.ttft_ms / predicted.ttft_ms))
    known = width < 1.0
    step_shares, first_shares = (STEP_KNOWN, FIRST_KNOWN) if known else (STEP_NEW, FIRST_NEW)
    step_spread = _spread((float(fast.scale), float(slow.scale)), width)
    ends = (float(fast.scale * fast.first_scale), float(slow.scale * slow.first_scale))
    first_spread = _spread(ends, width)
    return Recalibration(
        posterior(steps, step_shares, step_spread),
        posterior(firsts, first_shares, first_spread),
        posterior(steps, step_shares, step_spread, elsewhere=True),
        posterior(firsts, first_shares, first_spread, elsewhere=True),
        len(measured.runs),
    )


def _check_physics(work: Work, run: MeasuredRun, part: Accelerator, centre: Rates) -> None:
    alone = decode(work, np.ones((1, 1)), centre)
    least = float(alone.bound_ms[0, 0]) / FASTER_THAN_PHYSICS
    if run.tpot_ms is not None and run.tpot_ms < least:
        raise InputError(
            FIELD,
            f"{run.tpot_ms:g} ms a token",
            f"at least {least:.3g} ms, in which {part.name} can read the weights once; another accelerator or split, another format or "
            "speculative decoding would explain it",
        )


def recalibrated_work(work: Work, scenario: LlmScenario, model: LlmModel, part: Accelerator, split: Split) -> Work:
    """Work of a replica of the scenario, moved where the scenario has measurements of this accelerator that count."""
    measured = in_use(scenario, model, part.id)
    if measured is None or not measured.runs:
        return work
    return moved(work, *recalibration(measured, model, part).of(split, measured.split))


def fastest_factors(scenario: LlmScenario, model: LlmModel, part: Accelerator) -> tuple[float, float]:
    """Least factors of a step and of a first token beyond it [1] that measurements give any split: what a bound may count on."""
    measured = in_use(scenario, model, part.id)
    if measured is None or not measured.runs:
        return 1.0, 1.0
    found = recalibration(measured, model, part)
    pairs = ((found.step, found.first), (found.step_elsewhere, found.first_elsewhere))
    return min(step.factor for step, _ in pairs), min(first.factor / step.factor for step, first in pairs)


def recalibrated_memory(
    memory: ReplicaMemory, scenario: LlmScenario, model: LlmModel, part: Accelerator, split: Split
) -> ReplicaMemory:
    """Memory of a replica of the scenario; as its log says where there is one of this accelerator and split."""
    measured = in_use(scenario, model, part.id)
    if measured is None or measured.memory is None or measured.split != split:
        return memory
    return as_logged(
        memory, memory_at(measured, model, part, scenario.prompt_tokens + scenario.output_tokens), measured.memory
    )


def held_memory(measured: MeasuredServing, model: LlmModel, part: Accelerator, context_tokens: int) -> ReplicaMemory:
    """Memory of the measured server, as its log says where there is one."""
    memory = memory_at(measured, model, part, context_tokens)
    return memory if measured.memory is None else as_logged(memory, memory, measured.memory)


def as_logged(memory: ReplicaMemory, predicted: ReplicaMemory, log: MeasuredMemory) -> ReplicaMemory:
    """Memory moved by what a log differs from its prediction: weights by their ratio, what runs beside them by the rest of the
    difference in KV cache, part by part in proportion. Logs of pipelines differ by stage and are not used."""
    if len(memory.stages) != 1 or len(predicted.stages) != 1:
        return memory
    at = predicted.stages[0]
    ratio = log.weights_gib * GIB / at.fixed_bytes if log.weights_gib else 1.0
    weights_more = (ratio - 1.0) * at.fixed_bytes
    kv_less = predicted.budget_bytes(at) - log.kv_gib * GIB
    before = memory.runtime.total_bytes
    after = max(before + kv_less - weights_more, 0.0)
    scale = after / before if before else 1.0
    parts = {f"{name}_bytes": int(size * scale) for name, size in memory.runtime.parts().items()}
    total = sum(parts.values())
    runtime = replace(
        memory.runtime,
        **parts,
        low_bytes=max(0, int(total - MEMORY_WIDTH * (before - memory.runtime.low_bytes))),
        high_bytes=math.ceil(total + MEMORY_WIDTH * (memory.runtime.high_bytes - before)),
    )
    stages = tuple(_weighed(stage, ratio) for stage in memory.stages)
    return replace(memory, runtime=runtime, stages=stages)


def _weighed(stage: StageMemory, ratio: float) -> StageMemory:
    """A stage with its weights and extra parts so many times as large."""
    weights = RankWeights(math.ceil(stage.weights.share_bytes * ratio), math.ceil(stage.weights.copied_bytes * ratio))
    extras = tuple((name, math.ceil(size * ratio)) for name, size in stage.extras)
    return replace(
        stage, weights=weights, extras=extras, fixed_bytes=weights.total_bytes + sum(size for _, size in extras)
    )


def check_serving(scenario: LlmScenario, model: LlmModel, catalog: Catalog) -> None:
    """Raises InputError where the scenario's measurements do not parse, name an accelerator or model nobody knows, or cannot be."""
    if scenario.measured_serving is None:
        return
    measured = parse_serving(scenario.measured_serving)
    if measured.accelerator not in catalog.accelerators:
        raise InputError(FIELD, measured.accelerator, "measurements on an accelerator of the catalog")
    if measured.model not in catalog.llm_models and not measured.model.startswith(f"{CUSTOM}-"):
        raise InputError(FIELD, measured.model, "measurements of a model of the catalog")
    if reason_unused(scenario, model) is None:
        part = catalog.accelerator(measured.accelerator)
        recalibration(measured, model, part)
        if measured.memory is not None:
            check_memory(measured.memory, part)


def check_memory(log: MeasuredMemory, part: Accelerator) -> None:
    """Raises InputError for a log of more weights and KV cache [GiB] than the accelerator has."""
    stated, room = log.kv_gib + (log.weights_gib or 0.0), log.utilization * part.capacity_bytes / GIB
    if stated > room * MORE_THAN_ALL:
        raise InputError(
            FIELD,
            f"{stated:.4g} GiB of weights and KV cache",
            f"at most {room:.4g} GiB, {log.utilization:g} of {part.name}; another accelerator or split would explain it",
        )
