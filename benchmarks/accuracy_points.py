"""Measured figures beside predictions by constants that never saw them, family by family: what benchmarks/accuracy.py writes."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import exp
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import (
    calibrate,
    calibrate_deep_learning,
    calibrate_llm_memory,
    calibrate_statistical,
    deep_learning_fit,
    deep_learning_memory,
    speed_fit,
    statistical_fit,
)
from benchmarks.statistical_bytes import Fitted, fit_bytes
from benchmarks.statistical_report import stated
from sizing import catalog as catalogs
from sizing.accuracy_points import Point, Stated
from sizing.catalog import Catalog
from sizing.deep_learning.rates import RUNTIMES
from sizing.llm.nearest import generation_words
from sizing.llm.score import MEMORY_COLUMNS, score_memory
from sizing.score_queues import COLUMNS as QUEUE_COLUMNS
from sizing.score_queues import score_queue
from sizing.score_table import Case, Scored, read_cases
from sizing.statistical.cases import COLUMNS as STATISTICAL_COLUMNS
from sizing.statistical.cases import Run as StatisticalRun
from sizing.statistical.cases import SkipError, run_of

Floats = NDArray[np.float64]
ALL = "nothing"
"""What is left out of the fit where all was fitted."""
NOTHING_FITTED = "everything (no constant is fitted)"
P90_TO_P80 = 1.282 / 1.645
YEARS = {
    "argonne-lcf/LLM-Inference-Bench": "2024", "XiongjieDai/GPU-Benchmarks-on-LLM-Inference": "2024", "ROCm/vllm": "2025",
}  # fmt: skip
"""When sources were published, as benchmarks/calibrate.py names them; the others do not say."""
OWN = "own timings, sizing project"
RUNTIMES_OF_MEMORY = {
    "pytorch_eager": "PyTorch eager", "torch_compile": "torch.compile", "onnxruntime": "ONNX Runtime",
    "onnxruntime_tensorrt": "ONNX Runtime on TensorRT", "tensorrt": "TensorRT",
}  # fmt: skip


@dataclass
class Collected:
    """All points, with the errors of every way of holding back, what was skipped and the names of parts and engines."""

    points: list[Point] = field(default_factory=list)
    stated: list[Stated] = field(default_factory=list)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)


def errors_of(kind: str, quantity: str, left_out: str, error: Floats, inside: Sequence[bool] | None) -> Stated:
    """Errors of figures [% of the measured value] from relative ones."""
    off = abs(error) * 100.0
    return Stated(
        kind=kind, quantity=quantity, left_out=left_out, count=len(error), median_percent=_short(np.median(off)),
        p90_percent=_short(np.quantile(off, 0.9)), bias_percent=_short(np.median(error) * 100.0),
        inside_percent=None if inside is None else _short(100.0 * np.mean(inside)),
    )  # fmt: skip


def marked(rows: Sequence[Stated], ways: dict[str, str]) -> list[Stated]:
    """The rows, those marked whose way of holding back is the one of the points, by quantity or of all."""
    return [r.model_copy(update={"of_points": ways.get(r.quantity, ways.get("")) == r.left_out}) for r in rows]


def _short(value: float | np.floating) -> float:
    return float(f"{float(value):.4g}")


def cells_of(file: Path) -> list[dict[str, str]]:
    """Rows of a CSV."""
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def llm_speed(folder: Path, out: Collected) -> None:
    """Times and rates of language models, by constants fitted without the model's fold."""
    data = speed_fit.load_measured(folder)
    rows = {row["id"]: row for name in (speed_fit.SERVING, speed_fit.THROUGHPUT) for row in cells_of(folder / name)}
    out.skipped["llm", "repeats another row in every cell but name, version and source"] += data.copies
    out.skipped.update({("llm", why): count for why, count in data.skipped.items()})
    model, catalog = speed_fit.Model(data), catalogs.load()
    x, _ = model.fit(speed_fit.keep_where(data, lambda i, run: True))
    held = {by: speed_fit.held_out(model, by) for by in calibrate.HELD_BACK}
    figures = calibrate.figures_of(data, model.predict(x), held)
    intervals = calibrate.intervals_of(data, figures)
    for quantity in dict.fromkeys(f.quantity for f in figures):
        mine = [f for f in figures if f.quantity == quantity]
        measured = np.array([f.measured for f in mine])
        for by in calibrate.HELD_BACK:
            error = np.array([f.held[by] for f in mine]) / measured - 1.0
            inside = [calibrate.is_inside(data, f, by, intervals) for f in mine]
            out.stated.append(errors_of("llm", quantity, {"rows": "the run"}.get(by, f"the {by}"), error, inside))
        error = np.array([f.shipped for f in mine]) / measured - 1.0
        out.stated.append(errors_of("llm", quantity, ALL, error, None))
    for f in figures:
        run, predicted = data.runs[f.run], f.held["model"]
        low, high = (
            intervals[run.generation].first_token
            if f.quantity in calibrate.FIRST_TOKEN
            else intervals[run.generation].step
        )
        if f.quantity in calibrate.RATES:
            low, high = 1.0 / high, 1.0 / low
        out.names[run.accelerator] = catalog.accelerator(run.accelerator).name
        out.names[run.generation] = generation_words(run.generation)
        source, date = _source(rows[run.id])
        out.points.append(
            Point(
                "llm", f.quantity, run.model, "", run.accelerator, run.generation, run.kind, 0.0, run.batch + run.waiting,
                _llm_setting(rows[run.id]), f.measured, predicted, predicted * low, predicted * high, True, source, date,
            )
        )  # fmt: skip


def _source(row: dict[str, str]) -> tuple[str, str]:
    """Source of a row without its folder, and the date of the run, which names of InferenceX start with."""
    source = row["source"].split(":")[0] if "@" in row["source"] else row["source"]
    found = re.match(r"(\d{4})_(\d\d)_(\d\d)_", row.get("id", ""))
    return source, "-".join(found.groups()) if found else YEARS.get(source.split("@")[0], "")


def _llm_setting(row: dict[str, str]) -> str:
    said = [f"{words} {row[name]}" for words, name in (("prompt", "isl"), ("output", "osl")) if row.get(name)]
    said += [f"{name} {row[name]}" for name in ("tp", "pp") if row.get(name) and row[name] != "1"]
    said += [f"attention dp {row['attention_dp']}"] if row.get("attention_dp", "1") not in ("", "1") else []
    said += [f"{row['accelerator_count']} accelerators"] if row.get("accelerator_count", "1") not in ("", "1") else []
    return ", ".join(
        [*said, f"{row['weight_format']} weights", *([row["engine_version"]] if row["engine_version"] else [])]
    )


def llm_memory(folder: Path, out: Collected) -> None:
    """Weights, KV cache and its tokens at start-up, by constants fitted without the model."""
    catalog = catalogs.load()
    cases = read_cases((folder / "llm_memory.csv").read_text(encoding="utf-8"), MEMORY_COLUMNS)
    for column, left_out in (("accelerator", "the accelerator"), ("model", "the model")):
        found = list[tuple[Case, Scored]]()
        for group in dict.fromkeys(case.text(column) for case in cases):
            rest = [case for case in cases if case.text(column) != group]
            with calibrate_llm_memory.constants(calibrate_llm_memory.fit(rest, catalog)):
                mine = [case for case in cases if case.text(column) == group]
                found += [(case, row) for case in mine for row in score_memory(case, catalog)]
        _state_scored("llm_memory", left_out, [row for _, row in found], out)
    _state_scored("llm_memory", ALL, [row for case in cases for row in score_memory(case, catalog)], out)
    for case, row in found:
        if not row.quantity:
            out.skipped["llm_memory", row.skipped_because] += 1
        elif row.measured and row.predicted:
            part = case.text("accelerator")
            out.names[part], out.names["vllm_logs"] = catalog.accelerator(part).name, "vLLM"
            setting = [f"tp {case.text('tp')}", f"context {case.text('max_model_len')}", case.text("engine_version")]
            log = case.text("id").split("#")[0].split("|")[0]
            out.points.append(
                Point(
                    "llm_memory", row.quantity, case.text("model"), "", part, "vllm_logs", case.text("weight_format"), 0.0, 0.0,
                    ", ".join(s for s in setting if s.split()[-1:]), row.measured, row.predicted, row.low, row.high, True, log, "",
                )
            )  # fmt: skip


def _state_scored(kind: str, left_out: str, rows: Sequence[Scored], out: Collected) -> None:
    for quantity in dict.fromkeys(row.quantity for row in rows if row.quantity):
        mine = [row for row in rows if row.quantity == quantity and row.measured and row.predicted]
        error = np.array([(row.predicted or 0.0) / (row.measured or 1.0) - 1.0 for row in mine])
        out.stated.append(errors_of(kind, quantity, left_out, error, [bool(row.is_inside) for row in mine]))


def deep_learning(folder: Path, out: Collected) -> None:
    """Throughput of one batch by constants fitted without the network; latency of batch curves without network, GPU, runtime and
    precision together."""
    runs, skipped = deep_learning_fit.load_runs(folder)
    out.skipped.update({("deep_learning", why): count for why, count in skipped.items()})
    sources = {row["id"]: row["source"].split(":")[0] for name in (deep_learning_fit.THROUGHPUT, deep_learning_fit.CURVES)
               for row in cells_of(folder / name)}  # fmt: skip
    model = calibrate_deep_learning.Model(runs)
    x, _ = model.fit()
    held = calibrate_deep_learning.held_back(model, x)
    stated_widths = calibrate_deep_learning.intervals(model, held)
    names = {False: "samples_per_sec", True: "latency_ms"}
    for one in held:
        ok = (model.is_curve == one.curves) & np.isfinite(one.errors)
        inside = calibrate_deep_learning.inside(model, one, stated_widths)[ok]
        error = np.expm1(one.errors[ok] if one.curves else -one.errors[ok])
        out.stated.append(errors_of("deep_learning", names[one.curves], f"the {one.name}", error, list(inside)))
    fitted = model.errors(x)
    for curves, name in names.items():
        mine = fitted[model.is_curve == curves]
        out.stated.append(errors_of("deep_learning", name, ALL, np.expm1(mine if curves else -mine), None))
    for curves, one in ((False, held[0]), (True, held[calibrate_deep_learning.TOGETHER])):
        below, above = calibrate_deep_learning.widths(model, one, stated_widths)
        for i in np.flatnonzero((model.is_curve == curves) & np.isfinite(one.errors)):
            run, measured_ms = runs[i], runs[i].measured_ms or 0.0
            time = measured_ms * exp(one.errors[i])
            ends = (time * exp(-below[i]), time * exp(above[i]))
            measured, predicted = measured_ms, time
            if not curves:
                done = 1e3 * run.samples
                measured, predicted, ends = done / measured_ms, done / time, (done / ends[1], done / ends[0])
            out.names[run.part.id], out.names[run.runtime] = run.part.name, RUNTIMES[run.runtime].name
            setting = [f"{run.size} px"] if run.size and not curves else [run.model] if curves else []
            setting += [f"{run.clients:g} clients"] if run.clients > 1 else []
            out.points.append(
                Point(
                    "deep_learning", names[curves], run.network or run.model, run.found.family, run.part.id, run.runtime, run.precision,
                    _short((run.found.network.macs * run.found.network.launches).sum()), run.batch, ", ".join(setting), measured,
                    predicted, *ends, True, sources.get(run.id, "huggingface/optimum-benchmark@aaececf1e3"), "",
                )
            )  # fmt: skip


def deep_learning_gpu_memory(folder: Path, out: Collected) -> None:
    """GPU memory of networks as it ships: floors of runtimes were set with these figures in sight."""
    catalog, rows = catalogs.load(), list[tuple[deep_learning_memory.Row, str]]()
    for cells in cells_of(folder / "deep_learning_memory.csv"):
        row = deep_learning_memory.predict(catalog, cells)
        if row.memory is None:
            out.skipped["deep_learning_memory", row.because or ""] += 1
        else:
            rows.append((row, cells["source"].split(":")[0]))
    error = np.array([row.error for row, _ in rows])
    inside = [row.inside for row, _ in rows]
    out.stated.append(errors_of("deep_learning_memory", "memory_mb", ALL, error, inside))
    for row, source in rows:
        memory, mb = row.memory, deep_learning_memory.MB
        assert memory is not None
        format_, batch, size = row.setting.split(", ", 2)
        out.names[row.runtime] = RUNTIMES_OF_MEMORY[row.runtime]
        out.points.append(
            Point(
                "deep_learning_memory", "memory_mb", row.model, "", row.gpu, row.runtime, format_, 0.0, float(batch.split()[1]), size,
                row.measured_mb, row.predicted_mb, (memory.used_low_bytes or 0) / mb, (memory.used_high_bytes or 0) / mb, False,
                source, "",
            )
        )  # fmt: skip


def statistical(folder: Path, out: Collected) -> None:
    """Times of a call, files and memory by constants fitted without the model."""
    busy, quiet = (statistical_fit.load_runs(folder / name) for name in (statistical_fit.BUSY, statistical_fit.QUIET))
    catalog = catalogs.load()
    for name in (statistical_fit.BUSY, statistical_fit.QUIET):
        for case in read_cases((folder / name).read_text(encoding="utf-8"), STATISTICAL_COLUMNS):
            _skip_statistical(case, catalog, out)
    times = calibrate_statistical.fit_times(busy, quiet)
    quietly = np.arange(len(times.runs)) < times.quiet
    out.skipped["statistical", "timed on the busy host too, where only the quiet median counts"] += (
        len(busy) + len(quiet) - len(times.runs)
    )
    widths = np.array([stated(run) for run in times.runs])
    for name, mine in (("service_time_us", quietly), ("least_time_busy_us", ~quietly)):
        error = times.errors[mine]
        inside = abs(np.log1p(error)) <= widths[mine]
        out.stated.append(errors_of("statistical", name, "the model", error, list(inside)))
    for i, run in enumerate(times.runs):
        quantity = "service_time_us" if quietly[i] else "least_time_busy_us"
        measured, width = float(times.problem.measured[i]), float(widths[i])
        _add_statistical(run, quantity, measured, exp(float(times.held[i])), exp(width), run.rows, out)
    files = fit_bytes(busy, lambda run: run.file_bytes, file=True)
    resident = fit_bytes(busy, lambda run: run.resident_bytes, file=False)
    for name, found in (("file_bytes", files), ("resident_bytes", resident)):
        _bytes(name, found, out)


def _skip_statistical(case: Case, catalog: Catalog, out: Collected) -> None:
    try:
        run_of(case, catalog)
    except SkipError as reason:
        out.skipped["statistical", str(reason)] += 1


def _bytes(name: str, found: Fitted, out: Collected) -> None:
    rules = [run.cost.file if name == "file_bytes" else run.cost.resident for run in found.rows]
    by = [1.0 + rule.error_p90_share * P90_TO_P80 for rule in rules]
    measured = found.problem.measured
    predicted = measured * (1.0 + found.errors)
    inside = [p / b <= m <= p * b for m, p, b in zip(measured, predicted, by, strict=True)]
    out.stated.append(errors_of("statistical", name, "the model", found.errors, inside))
    for run, m, p, b in zip(found.rows, measured, predicted, by, strict=True):
        _add_statistical(run, name, float(m), float(p), b, 0.0, out)


def _add_statistical(
    run: StatisticalRun, quantity: str, measured: float, predicted: float, by: float, rows: float, out: Collected
) -> None:
    size = run.size
    said = [
        f"{count:,} {word}"
        for count, word in ((size.trees, "trees"), (size.nodes, "nodes"), (size.vectors, "stored vectors"))
        if count
    ]
    out.names[run.cost.id] = {"native": "its own library", "booster": "its own library, booster"}.get(
        run.cost.id, run.cost.name
    )
    out.points.append(
        Point(
            "statistical", quantity, run.model, run.family.id, run.cpu or "not stated", run.cost.id, run.family.name,
            _short(size.work_units), float(rows), ", ".join([*said, f"{size.features} features"]), measured, predicted, predicted / by,
            predicted * by, True, OWN, "2026-11",
        )
    )  # fmt: skip


def queues(folder: Path, out: Collected) -> None:
    """Waits and times in system of M/G/c against simulations; no constant is fitted to them."""
    catalog, found = catalogs.load(), list[Scored]()
    for case in read_cases((folder / "queues.csv").read_text(encoding="utf-8"), QUEUE_COLUMNS):
        (row,) = score_queue(case, catalog)
        found.append(row)
        if not row.quantity:
            out.skipped["queues", row.skipped_because] += 1
        elif not row.measured or not row.predicted:
            out.skipped["queues", "a figure of 0, which has no relative error"] += 1
        else:
            setting = f"load {case.text('rho')}, service CV {case.text('service_cv')}"
            law = case.text("service_law")
            out.names["simulation"] = "event simulation"
            out.points.append(
                Point(
                    "queues", row.quantity.split(",")[0], f"M/G/{case.text('c')}", law, "simulation", f"{law} law", row.quantity.split(", ")[1],
                    0.0, float(case.text("c")), setting, row.measured, row.predicted, row.low, row.high, True,
                    "simulations of M/G/c queues, sizing project", "2026-11",
                )
            )  # fmt: skip
    simple = [
        Scored(r.id, r.quantity.split(",")[0], r.measured, r.predicted, r.low, r.high) for r in found if r.quantity
    ]
    _state_scored("queues", NOTHING_FITTED, simple, out)


def collect(folder: Path) -> Iterator[tuple[str, Collected]]:
    """Each family's points as they are ready."""
    curves = "the network, GPU, runtime and precision together"
    for name, gather, ways in (
        ("queues", queues, {"": NOTHING_FITTED}),
        ("deep learning memory", deep_learning_gpu_memory, {"": ALL}),
        ("statistical", statistical, {"": "the model"}),
        ("language models, memory", llm_memory, {"": "the model"}),
        ("language models, speed", llm_speed, {"": "the model"}),
        ("deep learning", deep_learning, {"samples_per_sec": "the network", "latency_ms": curves}),
    ):
        out = Collected()
        gather(folder, out)
        out.stated = marked(out.stated, ways)
        yield name, out
