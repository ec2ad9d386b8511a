"""A scenario's own measurements of a server: its runs, and what its start-up log said of memory, with what they are of.

They travel in one text field of the scenario:

    h100-sxm-80gb~llama-3.1-8b~vllm-0.11~native~bf16~1.1.1~c16x1000x250=120:14.2,r5x1000x250=95:11~m14.99:50.1:0.9:8192:8192:256

accelerator, model, engine (with its version where known), weight format, KV format, tensor.pipeline.attention-data parallel (e
behind them: experts parallel), runs, memory. A run is its load (c: clients, each waiting for its reply; r: requests per second),
x prompt tokens x output tokens = TTFT:TPOT in ms, either left out where it was not measured or does not count. Memory is of one
accelerator: weights, KV cache [GiB], utilization, longest context, token budget, most sequences. They count where model, engine,
both formats and accelerator are the scenario's own, and nowhere else.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.llm.constants import generation_of
from sizing.llm.formats import scheme_of
from sizing.llm.models import CUSTOM
from sizing.llm.sharding import Split
from sizing.scenario import LlmScenario
from sizing.scenario_llm import KvFormat, LlmRuntime, WeightFormat
from sizing.scenario_words import MEASURED_SERVING, PATTERN_WORDS

FIELD = "measured_serving"

MOST_RUNS = 16
"""Most runs kept [1]; of more, those at evenly spread loads, so that the link stays short."""

_EMPTY = "-"


@dataclass(frozen=True)
class MeasuredRun:
    """One run: clients that each wait for their reply, or requests per second; mean lengths [tokens]; TTFT and TPOT [ms]."""

    load: float
    is_rate: bool
    prompt_tokens: int
    output_tokens: int
    ttft_ms: float | None
    tpot_ms: float | None

    def text(self) -> str:
        """The run as the scenario's field has it."""
        times = ":".join("" if ms is None else _short(ms) for ms in (self.ttft_ms, self.tpot_ms))
        return f"{'r' if self.is_rate else 'c'}{_short(self.load)}x{self.prompt_tokens}x{self.output_tokens}={times}"


@dataclass(frozen=True)
class MeasuredMemory:
    """What a start-up log says of one accelerator [GiB], and the settings it was said under; None where it does not say."""

    weights_gib: float | None
    kv_gib: float
    utilization: float
    context_tokens: int | None
    batched_tokens: int | None
    sequences: int | None

    def text(self) -> str:
        """The memory as the scenario's field has it."""
        sizes = (self.weights_gib, self.kv_gib, self.utilization)
        counts = (self.context_tokens, self.batched_tokens, self.sequences)
        parts = ["" if size is None else _short(size) for size in sizes] + ["" if n is None else str(n) for n in counts]
        return "m" + ":".join(parts)


@dataclass(frozen=True)
class MeasuredServing:
    """Runs of one server and its memory at start-up, and what they were measured on."""

    accelerator: str
    model: str
    runtime: LlmRuntime
    version: str | None
    weight_format: WeightFormat
    kv_format: KvFormat
    split: Split
    runs: tuple[MeasuredRun, ...] = ()
    memory: MeasuredMemory | None = None

    def text(self) -> str:
        """The measurements as the scenario's field has them; `parse_serving` reads them back.

        >>> parse_serving("l4~gpt2~vllm~native~bf16~1.1.1~c16x1000x250=120:14.2~-").text()
        'l4~gpt2~vllm~native~bf16~1.1.1~c16x1000x250=120:14.2~-'
        """
        engine = self.runtime if self.version is None else f"{self.runtime}-{self.version}"
        split = f"{self.split.tensor}.{self.split.pipeline}.{self.split.attention_data}"
        return "~".join(
            (
                self.accelerator,
                self.model,
                engine,
                self.weight_format,
                self.kv_format,
                split + ("e" if self.split.expert_parallel else ""),
                ",".join(run.text() for run in self.runs) or _EMPTY,
                _EMPTY if self.memory is None else self.memory.text(),
            )
        )


def _short(value: float) -> str:
    """Four significant digits, without an exponent."""
    if value == 0:
        return "0"
    digits = max(0, 3 - math.floor(math.log10(value)))
    text = f"{value:.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@lru_cache(maxsize=64)
def parse_serving(text: str) -> MeasuredServing:
    """Measurements of the scenario's field. Raises InputError where it does not follow the pattern, or has neither a run with a
    time nor memory, or a time of 0.

    >>> parse_serving("l4~gpt2~vllm-0.11~fp16~bf16~2.1.1~r2.5x100x50=80:~-").runs[0].load
    2.5
    """
    if not re.fullmatch(MEASURED_SERVING.strip("^$"), text):
        raise InputError(FIELD, text, PATTERN_WORDS[MEASURED_SERVING])
    accelerator, model, engine, weights, kv, split, runs, memory = text.split("~")
    runtime, _, version = engine.partition("-")
    degrees = [int(n) for n in split.removesuffix("e").split(".")]
    found = tuple(_run(part) for part in runs.split(",")) if runs != _EMPTY else ()
    held = _memory(memory) if memory != _EMPTY else None
    if len(found) > MOST_RUNS or not (found or held):
        raise InputError(FIELD, f"{len(found)} runs", f"1 to {MOST_RUNS} runs, or the memory of a start-up log")
    for stated, known in ((weights, get_args(WeightFormat)), (kv, get_args(KvFormat))):
        if stated not in known:
            raise InputError(FIELD, stated, f"one of {', '.join(known)}")
    if min(degrees) < 1:
        raise InputError(FIELD, split, "degrees of parallelism of at least 1")
    return MeasuredServing(
        accelerator,
        model,
        runtime,  # type: ignore[arg-type]  # the pattern has the engines
        version or None,
        weights,  # type: ignore[arg-type]  # both looked up above
        kv,  # type: ignore[arg-type]
        Split(degrees[0], degrees[1], degrees[2], split.endswith("e")),
        found,
        held,
    )


def _run(text: str) -> MeasuredRun:
    what, times = text.split("=")
    load, prompt, output = what[1:].split("x")
    ttft, tpot = (float(ms) if ms else None for ms in times.split(":"))
    least = min((ms for ms in (ttft, tpot) if ms is not None), default=0.0)
    if least <= 0.0 or min(float(load), int(prompt), int(output)) <= 0:
        raise InputError(FIELD, text, "loads, lengths and times above 0, and at least one time a run")
    return MeasuredRun(float(load), what[0] == "r", int(prompt), int(output), ttft, tpot)


def _memory(text: str) -> MeasuredMemory:
    weights, kv, utilization, *counts = text[1:].split(":")
    context, batched, sequences = (int(n) if n else None for n in counts)
    found = MeasuredMemory(
        float(weights) if weights else None, float(kv), float(utilization), context, batched, sequences
    )
    if not 0.1 <= found.utilization <= 1.0 or 0 in (context, batched, sequences):
        raise InputError(FIELD, text, "a utilization from 0.1 to 1, and counts above 0")
    return found


def model_key(scenario: LlmScenario) -> str:
    """What measurements name as their model: the catalog id, or for a model of one's own custom and a checksum of its config."""
    if scenario.custom_config is None:
        return scenario.model
    return f"{CUSTOM}-{zlib.crc32(scenario.custom_config.encode()):08x}"


def differs(measured: MeasuredServing, scenario: LlmScenario, same_words: bool) -> str | None:
    """What of the scenario is not as measured, in words, or None where all is; `same_words`: the weights are stored alike.

    Engines count by generation: constants of speed do not tell versions within one apart.
    """
    if measured.model != model_key(scenario):
        return "another model"
    if measured.runtime != scenario.runtime:
        return "another engine"
    if generation_of(measured.runtime, measured.version) != generation_of(scenario.runtime, scenario.engine_version):
        return "another generation of the engine"
    if not same_words:
        return "another weight format"
    if measured.kv_format != scenario.kv_format:
        return "another KV cache format"
    return "speculative decoding, which was not measured" if scenario.draft_model is not None else None


def in_use(scenario: LlmScenario, model: LlmModel, accelerator_id: str) -> MeasuredServing | None:
    """The scenario's measurements if they are of this model, engine, formats and accelerator; None otherwise."""
    if scenario.measured_serving is None:
        return None
    measured = parse_serving(scenario.measured_serving)
    if measured.accelerator != accelerator_id or reason_unused(scenario, model) is not None:
        return None
    return measured


def reason_unused(scenario: LlmScenario, model: LlmModel) -> str | None:
    """Why the scenario's measurements count on no accelerator, in words; None where they count on theirs, or there are none."""
    if scenario.measured_serving is None:
        return None
    measured = parse_serving(scenario.measured_serving)
    alike = measured.weight_format == scenario.weight_format or (
        scheme_of(model, measured.weight_format).words == scheme_of(model, scenario.weight_format).words
    )
    return differs(measured, scenario, alike)
