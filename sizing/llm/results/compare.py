"""Results of one's own beside the prediction: each run and each part of memory, its error, and what of it recalibrates a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.errors import InputError
from sizing.llm.constants import Rates, generation_of, rates
from sizing.llm.measured import (
    FIELD,
    MOST_RUNS,
    MeasuredMemory,
    MeasuredRun,
    MeasuredServing,
    model_key,
)
from sizing.llm.models import model_of
from sizing.llm.recalibration import (
    UTILIZATION,
    Figures,
    Recalibration,
    check_memory,
    figures,
    memory_at,
    moved,
    recalibration,
    work_of_run,
)
from sizing.llm.results.records import Results, ServingRun, StartupLog
from sizing.llm.results.setup import LEAST_ROUNDS, Setup, as_measured, load_words, names_another
from sizing.llm.score import WEIGHTS_HIGH, WEIGHTS_LOW
from sizing.llm.sharding import not_divided
from sizing.llm.work import Work
from sizing.scenario import LlmScenario
from sizing.units import GIB

QUANTITIES = ("TTFT", "TPOT", "Output")


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure: measured, predicted with its 80 % interval, and what the recalibrated law says."""

    measured: float
    predicted: float
    low: float
    high: float
    after: float | None = None

    @property
    def error(self) -> float:
        """Relative error of the prediction [1]: predicted / measured - 1."""
        return self.predicted / self.measured - 1.0

    @property
    def error_after(self) -> float | None:
        """Relative error after the recalibration [1]."""
        return None if self.after is None else self.after / self.measured - 1.0

    @property
    def is_inside(self) -> bool:
        """Whether the measurement lies in the stated interval."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True)
class RunRow:
    """One run beside the prediction: TTFT, TPOT [ms], output tokens [1/s] by name, and why it counts for less, if it does."""

    run: ServingRun
    load: str
    cells: dict[str, Cell]
    counts: bool
    why: str = ""


@dataclass(frozen=True)
class MemoryRow:
    """One part of the memory of an accelerator beside the prediction; `unit` is GiB or tokens."""

    part: str
    unit: str
    cell: Cell


@dataclass(frozen=True)
class Comparison:
    """All rows, what recalibrates a scenario (None where nothing counts), and how far it does."""

    rows: tuple[RunRow, ...]
    memory: tuple[MemoryRow, ...]
    measured: MeasuredServing | None
    found: Recalibration | None
    notes: tuple[str, ...]

    def cells(self, name: str) -> list[Cell]:
        """The cells of a quantity in the runs that count."""
        return [row.cells[name] for row in self.rows if row.counts and name in row.cells]

    def median_errors(self, name: str) -> tuple[float, float] | None:
        """Median absolute error [1] of a quantity before and after; None without such a cell."""
        found = self.cells(name)
        if not found:
            return None
        after = [abs(c.error_after) for c in found if c.error_after is not None]
        return median(abs(c.error) for c in found), median(after) if after else float("nan")


@dataclass(frozen=True)
class _Seen:
    """A run with its prediction and both ends of the interval."""

    run: ServingRun
    as_run: MeasuredRun
    work: Work
    three: tuple[Figures, Figures | None, Figures | None]
    why: str
    counts_ttft: bool

    @property
    def kept(self) -> MeasuredRun | None:
        """What of it a scenario keeps."""
        ttft = self.as_run.ttft_ms if self.counts_ttft else None
        if self.why or (ttft is None and self.as_run.tpot_ms is None):
            return None
        return replace(self.as_run, ttft_ms=ttft)


def compare(scenario: LlmScenario, catalog: Catalog, setup: Setup, results: Results) -> Comparison:
    """Each run and part of memory beside the prediction for what the setup says, and the measurements that count.

    Raises InputError for a setup that the model does not allow or memory does not hold, or a run faster than physics allows.
    """
    model, part = model_of(scenario, catalog), catalog.accelerator(setup.accelerator)
    if refused := not_divided(model, setup.weight_format, setup.split):
        raise InputError("tensor_parallel", setup.split.tensor, f"a degree that divides the model ({refused})")
    base = MeasuredServing(
        setup.accelerator,
        model_key(scenario),
        setup.runtime,
        setup.version,
        setup.weight_format,
        setup.kv_format,
        setup.split,
    )
    log = results.logs[-1] if results.logs else None
    notes: list[str] = []
    named = (*(r.model for r in results.runs), log.model if log else None)
    stated = sorted({name for name in named if name and names_another(model, name)})
    if stated:
        said = ", ".join(stated[:3])
        notes.append(f"The files name {said}; this scenario is {model.name}: check that they are the same model")
    memory_rows: tuple[MemoryRow, ...] = ()
    if log is not None:
        base = replace(base, memory=_memory_of(base, model, part, log))
        if base.memory is not None:
            check_memory(base.memory, part)
        memory_rows = tuple(_memory_rows(base, model, part, log))
        notes += log.notes
        if log.utilization is None:
            notes.append(f"The log does not state gpu_memory_utilization: {UTILIZATION:g}, vLLM's default, is taken")
    three = rates(generation_of(setup.runtime, setup.version))
    seen: list[_Seen] = []
    rows: list[RunRow] = []
    for run in results.runs:
        found = _seen(base, model, part, run, three)
        if isinstance(found, str):
            rows.append(RunRow(run, load_words(run), {}, False, found))
        else:
            seen.append(found)
    kept_runs = [kept for one in seen if (kept := one.kept) is not None]
    measured = replace(base, runs=tuple(_spread_out(kept_runs)))
    usable = bool(measured.runs) or measured.memory is not None
    moved_by = recalibration(measured, model, part) if measured.runs else None
    rows += [_row(base, model, part, one, moved_by, three[0]) for one in seen]
    order = {id(run): i for i, run in enumerate(results.runs)}
    rows.sort(key=lambda row: order[id(row.run)])
    if len(kept_runs) > MOST_RUNS:
        notes.append(
            f"{MOST_RUNS} of {len(kept_runs)} runs are kept, at evenly spread loads, so that the link stays short"
        )
    return Comparison(tuple(rows), memory_rows, measured if usable else None, moved_by, tuple(notes))


def _spread_out(runs: Sequence[MeasuredRun]) -> list[MeasuredRun]:
    if len(runs) <= MOST_RUNS:
        return list(runs)
    ordered = sorted(runs, key=lambda run: (run.prompt_tokens, run.output_tokens, run.load))
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, MOST_RUNS).round().astype(int)]


def _seen(
    base: MeasuredServing, model: LlmModel, part: Accelerator, run: ServingRun, three: tuple[Rates, Rates, Rates]
) -> _Seen | str:
    as_run, why = as_measured(run)
    if as_run is None:
        return why
    work = work_of_run(base, model, part, as_run)
    centre, slow, fast = (figures(base, model, part, as_run, use, work) for use in three)
    if centre is None:
        return "more arrives than the prediction can serve, so it has no steady state to compare"
    at_once = run.rate_per_s is None and run.clients is None
    if not why and at_once and (run.requests or 0) < LEAST_ROUNDS * centre.batch:
        why = "all requests at once, most of them held together: their prompts come first, and none is replaced"
    return _Seen(run, as_run, work, (centre, slow, fast), why, not centre.waits)


def _row(
    base: MeasuredServing,
    model: LlmModel,
    part: Accelerator,
    seen: _Seen,
    moved_by: Recalibration | None,
    centre: Rates,
) -> RunRow:
    after = None
    if moved_by is not None:
        work = moved(seen.work, moved_by.step, moved_by.first)
        after = figures(base, model, part, seen.as_run, centre, work)
    pairs = (
        ("TTFT", seen.run.ttft_ms, "ttft_ms"),
        ("TPOT", seen.run.tpot_ms, "tpot_ms"),
        ("Output", seen.run.output_tokens_per_s, "output_tokens_per_s"),
    )
    cells = {}
    for name, value, field in pairs:
        if value is None or value <= 0.0:
            continue
        found = [getattr(f, field) for f in seen.three if f is not None]
        cells[name] = Cell(value, found[0], min(found), max(found), None if after is None else getattr(after, field))
    why = seen.why
    if not why and not seen.counts_ttft:
        why = "requests wait for a slot: TTFT is shown, but does not count"
    return RunRow(seen.run, load_words(seen.run), cells, seen.kept is not None, why)


def _memory_of(base: MeasuredServing, model: LlmModel, part: Accelerator, log: StartupLog) -> MeasuredMemory | None:
    """What of a log a scenario keeps: nothing where it does not say how much KV cache there is."""
    plain = MeasuredMemory(
        log.weights_gib, 1.0, log.utilization or UTILIZATION, log.context_tokens, log.batched_tokens, log.sequences
    )
    if not 0.1 <= plain.utilization <= 1.0:
        raise InputError("gpu_memory_utilization", plain.utilization, "a share from 0.1 to 1")
    kv = log.kv_gib
    if kv is None and log.kv_tokens is not None:
        each = memory_at(replace(base, memory=plain), model, part, 1).reported_bytes[0]
        kv = log.kv_tokens * each / GIB if each else None
    return None if kv is None or kv <= 0.0 else replace(plain, kv_gib=kv)


def _memory_rows(base: MeasuredServing, model: LlmModel, part: Accelerator, log: StartupLog) -> list[MemoryRow]:
    settings = (
        base
        if base.memory is not None
        else replace(
            base,
            memory=MeasuredMemory(
                None, 1.0, log.utilization or UTILIZATION, log.context_tokens, log.batched_tokens, log.sequences
            ),
        )
    )
    memory = memory_at(settings, model, part, log.context_tokens or 1)
    stage = memory.stages[0]
    weights, beside = stage.fixed_bytes / GIB, memory.runtime
    budget = [memory.budget_bytes(stage, size) / GIB for size in (None, beside.high_bytes, beside.low_bytes)]
    tokens = [memory.kv_tokens(size) / memory.attention_data for size in (None, beside.high_bytes, beside.low_bytes)]
    sampled = (beside.activations_bytes + beside.logits_bytes + beside.encoder_bytes) / GIB
    outside = (beside.context_bytes + beside.collectives_bytes) / GIB
    found = [
        ("Weights", "GiB", log.weights_gib, (weights, weights * WEIGHTS_LOW, weights * WEIGHTS_HIGH)),
        ("KV cache", "GiB", log.kv_gib, tuple(budget)),
        ("KV cache", "tokens", log.kv_tokens, tuple(tokens)),
        ("Activations and logits", "GiB", log.activation_gib, (sampled, sampled, sampled)),
        ("Context and collectives", "GiB", log.non_torch_gib, (outside, outside, outside)),
        ("CUDA graphs", "GiB", log.graphs_gib if beside.graphs_bytes else None, (beside.graphs_bytes / GIB,) * 3),
    ]
    rows = []
    for name, unit, value, (centre, low, high) in found:
        if value is not None and value > 0:
            rows.append(MemoryRow(name, unit, Cell(float(value), centre, min(low, centre), max(high, centre))))
    return rows


def measured_text(comparison: Comparison) -> str:
    """The field of the scenario that carries what counts. Raises InputError where nothing does."""
    if comparison.measured is None:
        raise InputError(FIELD, "no run that counts", "at least one steady run, or a start-up log with its KV cache")
    return comparison.measured.text()
