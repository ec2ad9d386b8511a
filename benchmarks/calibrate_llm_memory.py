"""Calibrate the memory of vLLM beside weights and KV cache: refit on all cases but some, predict those, write the table.

`python -m benchmarks.calibrate_llm_memory [--cases FILE] [--out FILE]`. What ships are the constants of
sizing/llm/engines/generations.py; here the same constants start from what physics alone says and are fitted to the cases that
are not held out, so that the printed error is that of a model or part never seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from sizing import catalog as catalogs
from sizing.catalog import Catalog
from sizing.llm.engines import generations as engines
from sizing.llm.engines.generations import Generation, Measured, generation_of
from sizing.llm.engines.runtime_memory import drift, runtime_memory
from sizing.llm.score import MEMORY_COLUMNS, score_memory
from sizing.score_table import Case, Scored, percentile, read_cases
from sizing.units import GIB

DEFAULT_CASES = "../shared/measured/llm_memory.csv"
DEFAULT_OUT = "benchmarks/LLM_MEMORY.md"
LOSS_CAP_GIB = 1.0
OUTLIER_PERCENT = 3.5

PRIOR: dict[str, tuple[float, tuple[float, ...]]] = {
    "SORT": (38.0, (34, 36, 37, 38, 38.2, 39, 40, 42)),
    "PIVOT": (14.0, (10, 12, 13, 14, 15, 16, 18)),
    "EXPERTS_OLD": (2.5, (1.5, 2.5, 3.5, 4, 4.5, 5, 5.5, 6, 7, 8)),
    "EXPERTS": (2.5, (1.5, 2.5, 3, 3.5, 4, 5, 6)),
    "EXPERTS_FUSED": (1.5, (0.5, 1, 1.5, 2, 2.5, 3.5)),
    "EXPERTS_AMD": (2.5, (2.5, 4, 5, 6, 7, 7.5, 8, 9)),
    "CONTEXT_AMD": (0.5, (0.25, 0.5, 0.75, 1, 1.2, 1.3, 1.4, 1.6)),
    "COLLECTIVES": (0.5, (0.2, 0.4, 0.5, 0.6, 0.75, 0.9, 1.1, 1.4)),
    "COLLECTIVES_AMD": (0.5, (0.1, 0.2, 0.3, 0.5, 0.8, 1.1)),
    "FUSION": (0.0, (0, 0.3, 0.6, 0.9, 1.1, 1.2, 1.3, 1.5, 1.8)),
    "ENCODER": (1.0, (1, 2, 3, 4, 5)),
}
"""Constants that the cases may move: what physics alone says, and the values tried."""


@dataclass(frozen=True)
class Log:
    """Memory beside weights and KV cache [GiB] that a public start-up log states."""

    what: str
    model: str
    accelerator: str
    version: str
    gib: float
    source: str
    tensor_parallel: int = 1
    data_parallel: int = 1
    tokens: int | None = None
    sequences: int | None = None
    vision: bool = False


LOGS: tuple[Log, ...] = (
    Log("Qwen3-8B-FP8, 24 GB part", "qwen3-8b", "rtx-4090", "0.10.2", 1.42, "notes of 2025-09"),
    Log("Qwen3-Next-80B-A3B tp 2", "qwen3-next-80b-a3b-instruct", "h200-sxm-141gb", "0.10.2", 6.96, "log of 2025-10", 2),
    Log("Qwen3-30B-A3B, 2 ranks", "qwen3-30b-a3b", "h100-sxm-80gb", "0.12.0", 6.19, "vLLM issue of 2025-12", 1, 2),
    Log(
        "gemma-3-4b-it, offline", "gemma-3-4b-it", "b200-sxm-180gb", "0.10.0", 10.03, "vLLM PR 21489", tokens=16384,
        vision=True,
    ),
    Log(
        "LLaVA on Mistral-7B, offline", "mistral-7b-v0.1", "h100-sxm-80gb", "0.10.2", 2.04, "log of 2025-09",
        tokens=16384, vision=True,
    ),
    Log("Llama-3.1-8B, part under 70 GiB", "llama-3.1-8b", "l40s", "0.11.2", 1.23, "two notes of 2025"),
    Log("Llama-3.1-8B", "llama-3.1-8b", "h100-sxm-80gb", "0.19.0", 2.14, "log parser's notes of 2026"),
    Log("Llama-3.1-8B", "llama-3.1-8b", "a100-sxm-80gb", "0.31.0", 1.70, "notes of 2026-10"),
    Log("gpt-oss-20b", "gpt-oss-20b", "a100-sxm-80gb", "0.19.0", 1.17, "blog of 2026-04"),
    Log("Llama-3.1-8B", "llama-3.1-8b", "l40s", "0.8.5", 5.62, "vLLM PR 17122", sequences=1024),
)  # fmt: skip
"""Public logs; those of 0.10 to 0.31 set the bytes of sampling and the context, so they check the form, not the constants."""


def predicted_log_gib(log: Log, catalog: Catalog) -> tuple[float, float, float]:
    """Predicted memory beside weights and KV cache [GiB] of a log's configuration, with its 80 % interval."""
    found = runtime_memory(
        catalog.llm_model(log.model),
        catalog.accelerator(log.accelerator),
        runtime="vllm",
        engine_version=log.version,
        tensor_parallel=log.tensor_parallel,
        attention_data_parallel=log.data_parallel,
        expert_parallel=log.data_parallel > 1,
        max_batched_tokens=log.tokens,
        max_sequences=log.sequences,
        vision=log.vision,
    )
    return found.total_bytes / GIB, found.low_bytes / GIB, found.high_bytes / GIB


def _changed(generation: Generation, values: dict[str, float]) -> Generation:
    """A generation whose constants have other values, each recognised by being the module's constant of that name."""
    named = {id(getattr(engines, name)): value for name, value in values.items()}
    changes: dict[str, Any] = {}
    for field in fields(generation):
        constant = getattr(generation, field.name)
        if isinstance(constant, Measured) and id(constant) in named:
            changes[field.name] = replace(constant, value=named[id(constant)])
    return replace(generation, **changes)


@contextmanager
def constants(values: dict[str, float]) -> Iterator[None]:
    """Other values of vLLM's constants while the block runs."""
    kept = engines.ENGINE_GENERATIONS["vllm"]
    engines.ENGINE_GENERATIONS["vllm"] = tuple(_changed(each, values) for each in kept)
    _forget()
    try:
        yield
    finally:
        engines.ENGINE_GENERATIONS["vllm"] = kept
        _forget()


def _forget() -> None:
    generation_of.cache_clear()
    runtime_memory.cache_clear()


@dataclass(frozen=True)
class Outcome:
    """One case: error of what is beside weights and KV cache [GiB], error of KV tokens [%], whether inside its interval."""

    case: Case
    rest_gib: float | None
    tokens_percent: float | None
    measured_kv_gib: float | None
    inside: bool | None


def outcome(case: Case, catalog: Catalog) -> Outcome:
    """Prediction of a case beside its measurement."""
    rows: dict[str, Scored] = {row.quantity: row for row in score_memory(case, catalog)}
    weights, kv, tokens = (rows.get(name) for name in ("weights_gib", "kv_cache_gib", "kv_cache_tokens"))
    rest = None
    if weights and kv and None not in (weights.measured, kv.measured, weights.predicted, kv.predicted):
        rest = (weights.measured or 0) + (kv.measured or 0) - (weights.predicted or 0) - (kv.predicted or 0)
    return Outcome(
        case,
        rest,
        tokens.error_percent if tokens else None,
        kv.measured if kv else None,
        tokens.is_inside if tokens else None,
    )


def loss(cases: Sequence[Case], catalog: Catalog) -> float:
    """Sum over cases of |error of the rest| [GiB], each capped so that one odd build does not pull."""
    found = (outcome(case, catalog).rest_gib for case in cases)
    return sum(min(abs(rest), LOSS_CAP_GIB) for rest in found if rest is not None)


def fit(cases: Sequence[Case], catalog: Catalog) -> dict[str, float]:
    """Values of the constants for these cases: from the prior, one after another on its grid, until nothing improves.

    Cases that differ only in what the prediction does not use count once each time they occur.
    """
    values = {name: start for name, (start, _) in PRIOR.items()}

    def at(trial: dict[str, float]) -> float:
        with constants(trial):
            return loss(cases, catalog)

    best, improved = at(values), True
    while improved:
        improved = False
        for name, (_, grid) in PRIOR.items():
            for value in grid:
                trial = {**values, name: float(value)}
                found = at(trial)
                if found < best - 1e-9:
                    values, best, improved = trial, found, True
    return values


def held_out(cases: Sequence[Case], catalog: Catalog, key: Callable[[Case], str]) -> dict[str, list[Outcome]]:
    """Outcomes of the cases of each group when the constants were fitted to all the others."""
    found = {}
    for group in dict.fromkeys(map(key, cases)):
        with constants(fit([c for c in cases if key(c) != group], catalog)):
            found[group] = [outcome(c, catalog) for c in cases if key(c) == group]
    return found


def _row(name: str, found: Sequence[Outcome]) -> str:
    rest = [abs(o.rest_gib) for o in found if o.rest_gib is not None]
    tokens = [o.tokens_percent for o in found if o.tokens_percent is not None]
    inside = [o.inside for o in found if o.inside is not None]
    middle = f"{median(rest):.2f}" if rest else "–"
    return (
        f"| {name} | {len(found)} | {middle} | {median(tokens):.2f} | {percentile(tokens, 0.9):.2f} | "
        f"{sum(inside) / len(inside):.0%} |"
    )


HEAD = (
    "| | cases | median error of the rest, GiB | KV tokens, median error % | P90 % | inside 80 % interval |\n"
    "|---|--:|--:|--:|--:|--:|"
)


def explanation(case: Case) -> str:
    """Why a case lies off, where it is known."""
    version, accelerator = case.text("engine_version"), case.text("accelerator")
    if "0.20" in version and case.text("gpu_memory_utilization") == "0.9":
        return (
            "states 0.9; vLLM's default is 0.92 since PR 38284, and at 0.92 the rest is 3.6 GiB against 3.7 predicted"
        )
    if accelerator == "mi300x" and float(case.text("weights_gib") or 0) > 79 and "Qwen3-VL" in case.text("checkpoint"):
        return (
            "states 79.3 GiB of weights against 58.2 on H200: on AMD the engine counts used device memory, with what the "
            "allocator kept from preparing the experts; its rest is as predicted"
        )
    if ".dev" in version:
        return "development build on AMD; its rest is that of sampling without a sort (AITER)"
    if version.startswith("0.9"):
        return "before 0.10 and with a KV connector; version, token budget and weights are not stated"
    if case.text("model") == "deepseek-r1":
        return "peak of the experts' workspaces moves between versions (5.8 to 7.5 GiB on H200, 8.2 to 10.1 on MI300X)"
    return "not explained"


def report(cases: Sequence[Case], catalog: Catalog) -> str:
    """The report as Markdown."""
    shipped = [outcome(case, catalog) for case in cases]
    lines = [
        "# Memory of vLLM beside weights and KV cache",
        "",
        f"Made by `python -m benchmarks.calibrate_llm_memory` on {date.today().isoformat()} from {len(cases)} public start-up "
        "figures (4 models and one stated partly; H200, MI300X, B200, H100; vLLM 0.9 to 0.20). Rest = utilization x total - "
        "weights - KV cache. KV tokens are predicted end to end, with the weights predicted too.",
        "",
        "## Error on what was held out",
        "",
        "Constants start from what physics alone says and are fitted to the other cases. A constant that only the held-out "
        "cases would show (the experts' workspaces for DeepSeek-R1, AMD's context for MI300X) stays at its start. Intervals keep the ranges that ship, around the fitted value.",
        "",
        HEAD,
    ]
    for title, key in (("model", "model"), ("part", "accelerator")):
        found = held_out(cases, catalog, lambda case, column=key: case.text(column))  # type: ignore[misc]
        lines += [_row(f"without the {title} {name}", outcomes) for name, outcomes in found.items()]
        lines.append(_row(f"**leave one {title} out, all**", [o for each in found.values() for o in each]))
    lines.append(_row("constants as shipped (fitted to all)", shipped))
    with constants({name: start for name, (start, _) in PRIOR.items()}):
        lines.append(_row("physics alone, nothing fitted", [outcome(case, catalog) for case in cases]))
    lines += [
        "",
        "## Other public logs",
        "",
        "| log | vLLM | stated GiB | predicted GiB | 80 % interval |",
        "|---|---|--:|--:|--:|",
    ]
    for log in LOGS:
        value, low, high = predicted_log_gib(log, catalog)
        lines.append(
            f"| {log.what} ({log.source}) | {log.version} | {log.gib:.2f} | {value:.2f} | {low:.2f} to {high:.2f} |"
        )
    lines += [
        "",
        f"## Cases off by more than {OUTLIER_PERCENT} % or explained by name",
        "",
        "| case | KV tokens error % | why |",
        "|---|--:|---|",
    ]
    seen = set()
    for o in shipped:
        case = o.case
        name = " ".join(case.text(c) for c in ("checkpoint", "accelerator", "engine_version", "tp"))
        off = o.tokens_percent is not None and o.tokens_percent > OUTLIER_PERCENT
        if (off or ".dev" in name) and name not in seen:
            seen.add(name)
            lines.append(f"| {name} | {o.tokens_percent:.1f} | {explanation(case)} |")
    lines += [
        "",
        "Builds of others (a version with a +) are predicted as the project's, but for 0.11.0, whose own build sampled with "
        "FlashInfer: 2.6 GiB of rest against 5.8 in 0.11.0+rhai5.",
        "",
        "## How far it moved between versions",
        "",
    ]
    for model, part, degree in (("llama-3.1-8b", "h100-sxm-80gb", 1), ("llama-3.3-70b-instruct", "h200-sxm-141gb", 4)):
        rows = drift(catalog.llm_model(model), catalog.accelerator(part), tensor_parallel=degree)
        names = list(dict.fromkeys(row.part for row in rows))
        lines += [
            f"{model} on {part}, tp {degree}, GiB:",
            "",
            f"| generation | {' | '.join(names)} |",
            "|---|" + "--:|" * len(names),
        ]
        for words in dict.fromkeys(row.generation for row in rows):
            cells = [f"{row.gib:.2f}" for row in rows if row.generation == words]
            lines.append(f"| {words} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Read the cases, fit, print and write the report."""
    parser = argparse.ArgumentParser(description="Calibrate vLLM's memory and write the report.")
    parser.add_argument("--cases", default=DEFAULT_CASES)
    parser.add_argument("--out", default=DEFAULT_OUT)
    arguments = parser.parse_args()
    cases = read_cases(Path(arguments.cases).read_text(encoding="utf-8"), MEMORY_COLUMNS)
    text = report(cases, catalogs.load())
    Path(arguments.out).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
