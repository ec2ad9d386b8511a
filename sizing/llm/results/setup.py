"""What results of one's own were measured on, as their files say or the reader confirms, and a run as a scenario keeps it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.llm.measured import MeasuredRun, MeasuredServing
from sizing.llm.results.records import Results, ServingRun, StartupLog
from sizing.llm.sharding import Split
from sizing.plan import Deployment
from sizing.scenario import LlmScenario
from sizing.scenario_llm import KvFormat, LlmRuntime, WeightFormat

LEAST_ROUNDS = 3
"""Requests a client must have sent for a run to count as steady [1]: all start at once, and the last ones have company no more."""
LEAST_REQUESTS = 30
"""Requests at a rate for a run to count [1]."""
KEPT_UP = 0.95
"""Share of the rate asked for that must have been served [1]; below, clients at their limit or the server decided the load."""


@dataclass(frozen=True)
class Setup:
    """What the runs were measured on, as the reader confirms it."""

    accelerator: str
    runtime: LlmRuntime
    version: str | None
    weight_format: WeightFormat
    kv_format: KvFormat
    split: Split


def guess(scenario: LlmScenario, best: Deployment | None, results: Results, catalog: Catalog) -> Setup:
    """What the results were most likely measured on: as the files say, else as recommended, else as the scenario has it."""
    log = results.logs[-1] if results.logs else StartupLog()
    degree = best.parallelism if best is not None else None
    part = best.accelerator if best is not None and best.accelerator else next(iter(catalog.accelerators))
    stated = log.tensor_parallel is not None
    split = Split(
        log.tensor_parallel or (degree.tp if degree else scenario.tensor_parallel or 1),
        (log.pipeline_parallel or 1) if stated else (degree.pp if degree else scenario.pipeline_parallel or 1),
        (log.data_parallel or 1) if stated else (degree.attention_dp if degree else scenario.attention_data_parallel),
        bool(log.expert_parallel) if stated else scenario.expert_parallel,
    )
    runtime = scenario.runtime
    if results.logs:
        runtime = "vllm"
    elif results.runs and all(run.tool.startswith("SGLang") for run in results.runs):
        runtime = "sglang"
    version = log.version or (scenario.engine_version if runtime == scenario.runtime else None)
    kv: KvFormat = "fp8" if (log.kv_format or "").startswith("fp8") else scenario.kv_format
    return Setup(part, runtime, version, scenario.weight_format, kv, split)


def names_another(model: LlmModel, stated: str | None) -> bool:
    """Whether a file names a model that does not look like this one; paths and vendors do not count.

    >>> from sizing.catalog import load
    >>> row = load().llm_model("llama-3.1-8b")
    >>> names_another(row, "meta-llama/Llama-3.1-8B-Instruct"), names_another(row, "Qwen/Qwen3-32B"), names_another(row, None)
    (False, True, False)
    """
    if not stated:
        return False
    plain = re.sub(r"[^a-z0-9]", "", stated.rstrip("/").rsplit("/", 1)[-1].lower()).replace("meta", "")
    own = (
        re.sub(r"[^a-z0-9]", "", name.lower()).replace("meta", "")
        for name in (model.name, model.hf_id.rsplit("/", 1)[-1], model.id)
    )
    known = [re.sub(r"(instruct|chat|it|hf)$", "", name) for name in own if name]
    return not any(name and (name in plain or plain in name) for name in known)


def as_measured(run: ServingRun) -> tuple[MeasuredRun | None, str]:
    """The run as a scenario keeps it, and why it does not count, if so."""
    prompt, output = round(run.prompt_tokens or 0), round(run.output_tokens or 0)
    if prompt < 1 or output < 1:
        return None, "its lengths are below one token"
    rate, clients, requests = run.rate_per_s, run.clients, run.requests
    kept_up = rate is None or run.requests_per_s is None or run.requests_per_s >= KEPT_UP * rate
    why = ""
    if rate is not None and (kept_up or clients is None):
        load, is_rate = rate, True
        if not kept_up:
            why = "the server did not keep up with the rate, so there is no steady state"
        elif requests is not None and requests < LEAST_REQUESTS:
            why = f"fewer than {LEAST_REQUESTS} requests"
    else:
        load, is_rate = float(clients or requests or 1), False
        if requests is not None and requests < LEAST_ROUNDS * load and clients is not None:
            why = f"fewer than {LEAST_ROUNDS} requests a client, so its start and end count too much"
    if not why:
        why = next((note for note in run.notes if note.startswith(("speculative", "the rate was ramped"))), "")
    return MeasuredRun(load, is_rate, prompt, output, run.ttft_ms, run.tpot_ms), why


def load_words(run: ServingRun) -> str:
    """The load of a run in words: clients or a rate, and the lengths.

    >>> load_words(ServingRun("x", "", clients=16, prompt_tokens=1000.2, output_tokens=250))
    '16 clients, 1,000 + 250 tokens'
    """
    if run.rate_per_s is not None:
        load = f"{run.rate_per_s:g} requests/s"
    elif run.clients is not None:
        load = "1 client" if run.clients == 1 else f"{run.clients:,} clients"
    else:
        load = f"{run.requests or 0:,} requests at once"
    return f"{load}, {run.prompt_tokens or 0:,.0f} + {run.output_tokens or 0:,.0f} tokens"


def stored_results(measured: MeasuredServing) -> tuple[Setup, Results]:
    """What a scenario carries, as if it had been read from files: a link shows the same table."""
    setup = Setup(
        measured.accelerator,
        measured.runtime,
        measured.version,
        measured.weight_format,
        measured.kv_format,
        measured.split,
    )
    runs = tuple(
        ServingRun(
            tool="scenario",
            label="",
            rate_per_s=run.load if run.is_rate else None,
            clients=None if run.is_rate else round(run.load),
            prompt_tokens=float(run.prompt_tokens),
            output_tokens=float(run.output_tokens),
            ttft_ms=run.ttft_ms,
            tpot_ms=run.tpot_ms,
        )
        for run in measured.runs
    )
    log = measured.memory
    if log is None:
        return setup, Results(runs)
    logs = (
        StartupLog(
            weights_gib=log.weights_gib,
            kv_gib=log.kv_gib,
            utilization=log.utilization,
            context_tokens=log.context_tokens,
            batched_tokens=log.batched_tokens,
            sequences=log.sequences,
        ),
    )
    return setup, Results(runs, logs)
