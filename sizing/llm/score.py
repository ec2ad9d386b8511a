"""Predictions beside measured start-up memory of language model servers: weights, KV cache and its tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import hypot
from typing import get_args

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.architecture import VISION
from sizing.llm.engines.generations import generation_of
from sizing.llm.engines.kv_reported import reported_bytes_per_token
from sizing.llm.engines.runtime_memory import default_batch, runtime_memory, total_bytes
from sizing.llm.formats import scheme_of
from sizing.llm.kv import kv_by_stage
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import Split, extra_bytes, weights_by_stage
from sizing.scenario_llm import KvFormat, WeightFormat
from sizing.score_table import Case, Scored
from sizing.units import GIB

MEMORY_COLUMNS = (
    "id", "engine", "engine_version", "model", "checkpoint", "accelerator", "weight_format", "kv_format", "tp", "pp",
    "expert_parallel", "max_model_len", "gpu_memory_utilization", "weights_gib", "kv_cache_gib", "kv_cache_tokens",
)  # fmt: skip
MEMORY_QUANTITIES = ("weights_gib", "kv_cache_gib", "kv_cache_tokens")

WEIGHTS_LOW, WEIGHTS_HIGH = 0.995, 1.01
WEIGHTS_HIGH_AMD = 1.03
"""80 % interval of weights on a rank, as shares: tables for rotary positions, alignment; on AMD the engine counts used device
memory, caches of the allocator included. Source: 79 public start-up figures (2026-11)."""

VISION_PARAMETERS: tuple[tuple[str, float], ...] = (
    (r"qwen3-vl-(2b|4b)", 0.42e9),
    (r"qwen3-vl", 0.54e9),
    (r"qwen2\.5-vl", 0.68e9),
    (r"qwen3\.5", 0.45e9),
    (r"llama-4", 0.87e9),
    (r"gemma-3-(4b|12b|27b)", 0.42e9),
    (r"gemma-4", 0.57e9),
    (r"mistral-small-(24b-instruct-)?(3\.[12]|25\d\d)", 0.44e9),
    (r"kimi-k2\.5", 0.47e9),
)
"""Parameters of the vision tower and projector of checkpoints by name, 16 bit, whole on every rank. Source: sizes of the
published checkpoints less their text stacks (2026-11)."""
LONGEST_UNKNOWN = 131_072
"""Tokens of the longest context where neither case nor model states it."""
NO_VISION = re.compile(r"mistral-small-24b-instruct-2501", re.IGNORECASE)

_WEIGHT_NAMES: tuple[tuple[str, WeightFormat], ...] = (
    (r"mxfp4", "mxfp4"),
    (r"nvfp4|fp4", "nvfp4"),
    (r"w4a16|int4|awq|gptq", "int4"),
    (r"w8a8|w8a16|int8", "int8"),
    (r"fp8", "fp8"),
)
"""Formats that the names of checkpoints state. Source: naming of published checkpoints (2026)."""
ENGINES = {"trtllm": "tensorrt_llm", "llamacpp": "llama_cpp", "llama.cpp": "llama_cpp"}


class SkipError(Exception):
    """A case that cannot be predicted, with the reason."""


@dataclass(frozen=True, slots=True)
class _Prediction:
    value: float
    low: float
    high: float


def vision_parameters(checkpoint: str) -> float:
    """Parameters of the vision tower that a checkpoint's name implies [count]; 0 for text alone.

    >>> vision_parameters("Qwen/Qwen3-VL-30B-A3B-Instruct"), vision_parameters("Qwen/Qwen3-32B")
    (540000000.0, 0.0)
    """
    if NO_VISION.search(checkpoint):
        return 0.0
    found = (count for name, count in VISION_PARAMETERS if re.search(name, checkpoint, re.IGNORECASE))
    return next(found, 0.0)


def model_of_case(case: Case, catalog: Catalog) -> LlmModel:
    """Model of a case, by its id, or by the name of its checkpoint. Raises SkipError for one not in the catalog."""
    name = case.text("model")
    if name in catalog.llm_models:
        return catalog.llm_models[name]
    wanted = {text.rsplit("/", 1)[-1].lower() for text in (name, case.text("checkpoint")) if text}
    for row in catalog.llm_models.values():
        if row.name.lower() in wanted:
            return row
    raise SkipError(f"model {name or case.text('checkpoint') or 'empty'} is not in the catalog")


def weight_format_of(case: Case, model: LlmModel) -> WeightFormat:
    """Format of a case: the one stated; the published one where that is meant; else what the checkpoint's name says."""
    stated = case.text("weight_format").lower()
    name = case.text("checkpoint").rsplit("/", 1)[-1].lower()
    named = next((form for pattern, form in _WEIGHT_NAMES if re.search(pattern, name)), None)
    if not stated:
        return named or "native"
    if f"gguf_{stated}" in get_args(WeightFormat):
        stated = f"gguf_{stated}"
    if stated not in get_args(WeightFormat):
        raise SkipError(f"weight format {stated} is not known")
    if stated != "native" and model.native_dtype.startswith(stated) and named in (None, stated):
        return "native"
    return stated  # type: ignore[return-value]


def kv_format_of(case: Case) -> KvFormat:
    """KV format of a case; 16 bit where none is stated. Raises SkipError for one that is not known."""
    stated = case.text("kv_format").lower() or "bf16"
    if stated == "auto":
        return "bf16"
    stated = "fp8" if stated.startswith("fp8") else stated
    if stated not in get_args(KvFormat):
        raise SkipError(f"KV format {stated} is not known")
    return stated  # type: ignore[return-value]


def accelerator_of(case: Case, catalog: Catalog) -> Accelerator:
    """Accelerator of a case. Raises SkipError for one not in the catalog."""
    name = case.text("accelerator")
    if name not in catalog.accelerators:
        raise SkipError(f"accelerator {name or 'empty'} is not in the catalog")
    return catalog.accelerators[name]


@lru_cache(maxsize=1024)
def _stages(
    model: LlmModel, weight_format: WeightFormat, split: Split, kv_format: KvFormat, tower: float, architecture: str
) -> tuple[tuple[float, float], ...]:
    """Weights [bytes] and KV bytes a token on one rank of each stage; `architecture` is empty for engines whose kernels'
    padding is not known."""
    scheme, shape = scheme_of(model, weight_format), architecture_of(model)
    layouts, weights = kv_by_stage(model, split), weights_by_stage(model, weight_format, split, architecture)
    found = []
    for number, ((held, _), kv) in enumerate(zip(weights, layouts, strict=True)):
        extra = 0.0
        if number == 0:
            extra = sum(
                extra_bytes(part, scheme, split) for part in shape.extras if part.loaded and part.name == VISION
            )
            extra = extra or 2 * tower / split.tensor
        found.append((held.total_bytes + extra, kv.bytes_per_token(kv_format)))
    return tuple(found)


def _memory(case: Case, catalog: Catalog) -> dict[str, _Prediction]:
    model, accelerator = model_of_case(case, catalog), accelerator_of(case, catalog)
    engine = case.text("engine").lower().replace("-", "_") or "vllm"
    engine, version = ENGINES.get(engine, engine), case.text("engine_version") or None
    try:
        generation = generation_of(engine, version, own_build=accelerator.vendor != "AMD")
    except InputError as error:
        raise SkipError(str(error)) from None
    split = Split(
        case.whole("tp", most=128) or 1,
        case.whole("pp", most=128) or 1,
        case.whole("attention_dp", most=128) or 1,
        case.flag("expert_parallel"),
    )
    utilization = case.number("gpu_memory_utilization", least=0.01, most=1.0) or generation.utilization
    tower = vision_parameters(case.text("checkpoint") or model.hf_id)
    context, batched = case.whole("max_model_len"), case.whole("max_batched_tokens")
    sequences = case.whole("max_sequences")
    try:
        architecture = accelerator.architecture if engine == "vllm" else ""
        stages = _stages(model, weight_format_of(case, model), split, kv_format_of(case), tower, architecture)
    except InputError as error:
        raise SkipError(str(error)) from None
    beside = runtime_memory(
        model,
        accelerator,
        runtime=engine,
        engine_version=version,
        tensor_parallel=split.tensor,
        pipeline_parallel=split.pipeline,
        attention_data_parallel=split.attention_data,
        expert_parallel=split.expert_parallel,
        max_batched_tokens=batched,
        max_sequences=sequences,
        context_tokens=context,
        vision=tower > 0,
    )
    amd = accelerator.vendor == "AMD"
    number = max(range(len(stages)), key=lambda i: stages[i][0])
    weights, each = stages[number]
    if engine == "vllm":
        reported = reported_bytes_per_token(
            model,
            split,
            kv_format_of(case),
            engine_version=version,
            context_tokens=context or model.context_length or LONGEST_UNKNOWN,
            batched_tokens=batched or default_batch(accelerator, generation)[0],
            stage=number,
        )
        each = reported or each
    high_weights = weights * (WEIGHTS_HIGH_AMD if amd else WEIGHTS_HIGH)
    low_weights = weights * WEIGHTS_LOW
    centre = utilization * total_bytes(accelerator) - weights - beside.total_bytes
    down = hypot(high_weights - weights, beside.high_bytes - beside.total_bytes)
    up = hypot(weights - low_weights, beside.total_bytes - beside.low_bytes)
    room = _Prediction(max(0.0, centre), max(0.0, centre - down), max(0.0, centre + up))
    found = {
        "weights_gib": _scale(_Prediction(weights, low_weights, high_weights), 1 / GIB),
        "kv_cache_gib": _scale(room, 1 / GIB),
    }
    if each:
        found["kv_cache_tokens"] = _scale(room, 1 / each)
    return found


def _scale(prediction: _Prediction, unit: float) -> _Prediction:
    return _Prediction(prediction.value * unit, prediction.low * unit, prediction.high * unit)


def score_memory(case: Case, catalog: Catalog) -> list[Scored]:
    """Weights [GiB a rank], KV cache [GiB a rank] and KV tokens of a case beside what was measured.

    KV cache = utilization x total - weights - runtime; tokens = KV cache / bytes a token. A case that cannot be predicted
    becomes one row with the reason. Raises InputError for cells that are not numbers.
    """
    measured = {name: case.number(name) for name in MEMORY_QUANTITIES}
    try:
        found = _memory(case, catalog)
    except SkipError as reason:
        return [Scored(case.text("id"), "", skipped_because=str(reason))]
    rows = []
    for name in MEMORY_QUANTITIES:
        at = found.get(name)
        if at is None:
            rows.append(Scored(case.text("id"), name, measured[name], skipped_because="the model keeps no KV cache"))
        else:
            rows.append(Scored(case.text("id"), name, measured[name], at.value, at.low, at.high))
    return rows
