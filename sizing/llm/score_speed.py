"""Predictions beside measured speed of language model servers: TTFT, TPOT, throughput, batch latency."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.constants import Rates, family_of, format_kind, generation_of, rates
from sizing.llm.formats import compute_peak, scheme_of
from sizing.llm.memory import replica_memory
from sizing.llm.rows import architecture_of
from sizing.llm.score import ENGINES, SkipError, accelerator_of, kv_format_of, model_of_case, weight_format_of
from sizing.llm.serving import closed_batch, first_token_scale
from sizing.llm.sharding import Split
from sizing.llm.speed import decode, prefill
from sizing.llm.work import Floats, Work, model_work, stack, work_of
from sizing.scenario_llm import KvFormat, WeightFormat
from sizing.score_table import Case, Scored
from sizing.units import MS_PER_S

SERVING_COLUMNS = ("id", "engine", "model", "accelerator", "weight_format", "tp", "isl", "osl", "concurrency",
                   "ttft_ms", "tpot_ms")  # fmt: skip
THROUGHPUT_COLUMNS = ("id", "engine", "model", "accelerator", "accelerator_count", "tp", "pp", "weight_format", "isl",
                      "osl", "concurrency", "metric", "value")  # fmt: skip
METRICS = ("output_tokens_per_s", "output_tokens_per_s_per_accelerator", "total_tokens_per_s", "batch_latency_s",
           "decode_tokens_per_s", "prefill_tokens_per_s")  # fmt: skip
BATCHED_TOKENS = 8192
"""Token budget of a step taken for every run [tokens]: the default of vLLM and TensorRT-LLM (2025)."""
UTILIZATION = 0.95
"""Share of memory taken for every run [1]: what public benchmarks set, more than the engines' default of 0.9. Requests are
held at their mean length, as paged caches grow with them."""
ENGINE_BATCH = {"vllm": 1024, "sglang": 2048, "tensorrt_llm": 2048, "llama_cpp": 1}
"""Most sequences an engine decodes together where a case says nothing [count]: defaults and benchmark settings (2025)."""
DEFAULT_TOKENS = 512
"""Prompt or reply of a case that states none [tokens]."""


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run as the model sees it: a replica, its batch, and what a figure of it counts."""

    id: str
    runtime: str
    generation: str
    model: str
    accelerator: str
    family: str
    kind: str  # of product: 16 bit, fp8, fp4, unpacked
    work: Work
    batch: float
    waiting: float  # requests beyond the batch, in a closed loop
    output_tokens: float
    accelerators: int
    replicas: float
    metric: str


def _layout(case: Case, model_experts: bool) -> tuple[Split, int]:
    """How a run spreads its model, from the columns of public runs: experts over moe_tp x moe_ep ranks. With attention
    data parallel the ranks are its copies; tp beside an equal attention_dp names the same ranks once more."""
    tp, pp = case.whole("tp", most=1024), case.whole("pp", most=1024) or 1
    data = case.whole("attention_dp", most=4096) or 1
    ep = case.whole("moe_ep", most=4096) or case.whole("ep", most=4096) or 1
    moe_tp = case.whole("moe_tp", most=4096) or 1
    count = case.whole("accelerator_count", most=4096)
    tp = tp or (count // pp if count else 1)
    if data > 1:
        width = tp if data == tp else ep if data == moe_tp * ep and moe_tp == ep else tp * data
        return Split(
            1 if width <= data else width // data, pp, min(data, width), model_experts and ep > 1
        ), count or width * pp
    return Split(tp, pp, 1, model_experts and ep > 1), count or tp * pp


@lru_cache(maxsize=4096)
def _held(
    model: LlmModel, part: Accelerator, split: Split, weights: WeightFormat, kv: KvFormat, runtime: str, context: int
) -> int:
    """Requests of a mean length that memory holds at once [count]."""
    memory = replica_memory(
        model, part, weight_format=weights, kv_format=kv, split=split, runtime=runtime, engine_version=None,
        gpu_memory_utilization=UTILIZATION, max_batched_tokens=BATCHED_TOKENS, context_tokens=context,
    )  # fmt: skip
    return memory.held(context)


def _kv_format(case: Case, runtime: str, weights: WeightFormat) -> KvFormat:
    """KV format of a run; where none is stated, TensorRT-LLM keeps fp8 beside fp8 and nvfp4 weights, as the published
    checkpoints for it ask."""
    if not case.text("kv_format") and runtime == "tensorrt_llm" and weights in ("fp8", "fp8_block", "nvfp4"):
        return "fp8"
    if not case.text("kv_format") and weights == "nvfp4":
        return "fp8"
    return kv_format_of(case)


def run_of(case: Case, catalog: Catalog, metric: str) -> Run:
    """A case as a run. Raises SkipError for one that cannot be predicted, InputError for cells that are not numbers."""
    model, part = model_of_case(case, catalog), accelerator_of(case, catalog)
    engine = case.text("engine").lower().replace("-", "_") or "vllm"
    runtime = ENGINES.get(engine, engine)
    if runtime not in ENGINE_BATCH:
        raise SkipError(f"engine {engine} is not known")
    weights = weight_format_of(case, model)
    kv = _kv_format(case, runtime, weights)
    prompt, output = case.whole("isl") or DEFAULT_TOKENS, case.whole("osl") or 1
    if metric == "decode_tokens_per_s":
        prompt, output = case.whole("isl") or case.whole("osl") or DEFAULT_TOKENS, 1
    version = case.text("engine_version") or ("2024" if metric == "batch_latency_s" else "")
    generation = generation_of(runtime, version)
    try:
        split, accelerators = _layout(case, bool(architecture_of(model).experts))
        if runtime == "llama_cpp":
            split = Split(1, accelerators)
        width = Split(split.tensor, 1, split.attention_data, split.expert_parallel)
        shape = model_work(
            model, weight_format=weights, kv_format=kv, split=width, prompt_tokens=prompt, output_tokens=output
        )
        work = work_of(
            model, part, shape, generation=generation, weight_format=weights, split=split, prompt_tokens=prompt,
            max_batched_tokens=BATCHED_TOKENS,
        )  # fmt: skip
        stated = case.text("concurrency").lower()
        most = ENGINE_BATCH[runtime]
        if metric in ("decode_tokens_per_s", "prefill_tokens_per_s"):
            wanted, batch = 1.0, 1.0
        elif metric == "batch_latency_s":
            wanted = batch = float(case.whole("concurrency") or 1)
        else:
            held = max(1, _held(model, part, split, weights, kv, runtime, prompt + output // 2))
            wanted = float(most) if stated in ("max", "") else float(case.whole("concurrency") or 1)
            batch = float(min(wanted, held, most))
            wanted = batch if stated in ("max", "") else wanted
    except InputError as error:
        raise SkipError(str(error)) from None
    scheme = scheme_of(model, weights)
    peak = compute_peak(part, scheme)
    kind = format_kind(peak[1] if peak else "", scheme.words)
    return Run(
        case.text("id"), runtime, generation, model.id, part.id, family_of(part.architecture, part.memory_type), kind, work, batch,
        wanted - batch, float(output), accelerators, max(1.0, accelerators / split.accelerators), metric,
    )  # fmt: skip


def predict(
    metric: str, work: Work, batch: Floats, waiting: Floats, output: Floats, prompt: Floats, use: Rates
) -> dict[str, Floats]:
    """Figures of runs of one metric, as columns: each by its name in the file of cases."""
    if metric == "serving":
        done = closed_batch(work, batch, output, use)
        wait_ms = np.where(waiting > 0, waiting / done.requests_per_s * MS_PER_S, 0.0)
        return {"ttft_ms": done.ttft_ms + wait_ms, "tpot_ms": done.tpot_ms}
    if metric == "decode_tokens_per_s":
        return {metric: MS_PER_S / decode(work, batch, use).step_ms}
    if metric == "prefill_tokens_per_s":
        return {metric: prompt / (prefill(work, use).alone_ms * first_token_scale(work, use)) * MS_PER_S}
    if metric == "batch_latency_s":
        first, step = prefill(work, use), decode(work, batch, use)
        total_ms = first.alone_ms + (batch - 1.0) * first.occupied_ms + (output - 1.0) * step.step_ms
        return {metric: total_ms / MS_PER_S}
    done = closed_batch(work, batch, output, use)
    return {metric: done.requests_per_s * output}


def _scored(case: Case, catalog: Catalog, metric: str, measured: dict[str, float | None]) -> list[Scored]:
    try:
        run = run_of(case, catalog, metric)
    except SkipError as reason:
        return [Scored(case.text("id"), "", skipped_because=str(reason))]
    work, batch = stack([run.work]), np.array([[run.batch]])
    output, waiting = np.array([[run.output_tokens]]), np.array([[run.waiting]])
    cases = [
        predict(metric, work, batch, waiting, output, work.prompt_tokens, use)  # type: ignore[arg-type]
        for use in rates(run.generation)
    ]
    rows = []
    for name, value in measured.items():
        three = sorted(float(found[name][0, 0]) * unit_of(run) for found in cases)
        centre = float(cases[0][name][0, 0]) * unit_of(run)
        rows.append(Scored(run.id, name, value, centre, three[0], three[2]))
    return rows


def unit_of(run: Run) -> float:
    """What a figure of one replica is multiplied by to be the one that is stated."""
    if run.metric == "output_tokens_per_s":
        return run.replicas
    if run.metric == "output_tokens_per_s_per_accelerator":
        return run.replicas / run.accelerators
    if run.metric == "total_tokens_per_s":
        return run.replicas * (1.0 + float(run.work.prompt_tokens) / run.output_tokens)
    return 1.0


def score_serving(case: Case, catalog: Catalog) -> list[Scored]:
    """TTFT and TPOT [ms] of a server under so many clients beside what was measured.

    A case that cannot be predicted becomes one row with the reason. Raises InputError for cells that are not numbers.
    """
    return _scored(case, catalog, "serving", {name: case.number(name) for name in ("ttft_ms", "tpot_ms")})


def score_throughput(case: Case, catalog: Catalog) -> list[Scored]:
    """Throughput [tokens/s] or latency of a static batch [s], named by `metric`, beside what was measured.

    A case that cannot be predicted becomes one row with the reason. Raises InputError for cells that are not numbers.
    """
    metric = case.text("metric")
    if metric not in METRICS:
        raise InputError(f"line {case.line}, metric", metric, f"one of {', '.join(METRICS)}")
    return _scored(case, catalog, metric, {metric: case.number("value")})
