"""Calibrate the speed of language models: fit all runs, hold some back to measure the error, write catalog and table.

`python -m benchmarks.calibrate [--cases FOLDER]` writes catalogs/llm_speed.yaml (constants with their 80 % range, and the
interval of a prediction), catalogs/llm_speed_errors.yaml (measured groups with our error on them) and
benchmarks/LLM_SPEED.md (the error on what was held back). It takes two to five minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.speed_fit import (
    OF_FAMILY,
    OF_FORMAT,
    REFERENCE_FAMILY,
    REFERENCE_FORMAT,
    Floats,
    Measured,
    Model,
    held_out,
    keep_where,
    load_measured,
    quantities,
)
from sizing.llm.constants import UNITS

CASES = Path("../shared/measured")
CONSTANTS, ERRORS, TABLE = (
    Path("catalogs/llm_speed.yaml"),
    Path("catalogs/llm_speed_errors.yaml"),
    Path("benchmarks/LLM_SPEED.md"),
)
HELD_BACK = ("rows", "model", "accelerator")
INSIDE = 0.80
NORMAL_80 = 1.2816  # half width of the central 80 % of a normal law, in standard deviations
FIRST_TOKEN = ("ttft_ms", "prefill_tokens_per_s")
RATES = ("output_tokens_per_s", "output_tokens_per_s_per_accelerator", "total_tokens_per_s", "decode_tokens_per_s",
         "prefill_tokens_per_s")  # fmt: skip
SOURCE = (
    "fitted by benchmarks/calibrate.py on public runs: NVIDIA AIConfigurator's sample 0.12.0 (InferenceX runs and NVIDIA's "
    "own), TensorRT-LLM performance pages 0.5 to 1.2, Argonne LLM-Inference-Bench (2024), ROCm vLLM notes (2025), "
    "GPU-Benchmarks-on-LLM-Inference (llama.cpp, 2024)"
)


@dataclass(frozen=True)
class Figure:
    """One measured figure beside what constants say that never saw it, by what was held back."""

    run: int
    quantity: str
    measured: float
    shipped: float
    held: dict[str, float]

    def error(self, by: str) -> float:
        """Absolute error [% of the measured value]."""
        return abs(self.held[by] / self.measured - 1.0) * 100.0


def figures_of(data: Measured, shipped: dict[str, Floats], held: dict[str, dict[str, Floats]]) -> list[Figure]:
    """All measured figures with their predictions."""
    found = []
    for metric, rows in data.groups.items():
        for quantity in quantities(metric):
            for k, run in enumerate(rows):
                value = float(data.values[quantity][k])
                if value > 0:
                    each = {by: float(table[quantity][k]) for by, table in held.items()}
                    found.append(Figure(int(run), quantity, value, float(shipped[quantity][k]), each))
    return found


def slowdown(figure: Figure, by: str) -> float:
    """Log of measured over predicted time [1]; rates count upside down."""
    ratio = float(np.log(figure.measured / figure.held[by]))
    return -ratio if figure.quantity in RATES else ratio


@dataclass(frozen=True)
class Interval:
    """Central 80 % of measured over predicted time under one engine, of a step and of a first token, for models and parts
    never seen; raised to `known_width` for those that were measured."""

    step: tuple[float, float]
    first_token: tuple[float, float]
    known_width: float


Intervals = dict[str, Interval]


def intervals_of(data: Measured, figures: Sequence[Figure]) -> Intervals:
    """Interval of each engine; `known_width` is the mean of what the ends held back by row are to the others, in logs."""
    found: Intervals = {}
    for engine in sorted({r.generation for r in data.runs}):
        mine = [f for f in figures if data.runs[f.run].generation == engine]
        first = [f for f in mine if f.quantity in FIRST_TOKEN] or mine
        steps = [f for f in mine if f.quantity not in FIRST_TOKEN]
        new = [_central(kind, HELD_BACK[1:]) for kind in (steps, first)]
        known = [_central(kind, HELD_BACK[:1]) for kind in (steps, first)]
        ratio = float(np.mean(np.log(known) / np.log(new)))
        found[engine] = Interval(new[0], new[1], round(min(max(ratio, 0.2), 1.0), 3))
    return found


def _central(figures: Sequence[Figure], held_back: Sequence[str]) -> tuple[float, float]:
    spread = np.array([slowdown(f, by) for f in figures for by in held_back])
    low, high = np.quantile(spread, [(1 - INSIDE) / 2, (1 + INSIDE) / 2])
    return round(float(np.exp(min(low, -0.01))), 3), round(float(np.exp(max(high, 0.01))), 3)


def is_inside(data: Measured, figure: Figure, by: str, intervals: Intervals) -> bool:
    """Whether a measurement lies in the stated interval around a held-out prediction."""
    stated = intervals[data.runs[figure.run].generation]
    low, high = stated.first_token if figure.quantity in FIRST_TOKEN else stated.step
    width = stated.known_width if by == "rows" else 1.0
    return bool(width * np.log(low) <= slowdown(figure, by) <= width * np.log(high))


def constants_of(model: Model, x: Floats, errors: Floats, intervals: Intervals, checked: str) -> dict[str, Any]:
    """The content of catalogs/llm_speed.yaml."""
    places, values = model.layout.places, model.values(x)
    low, high = model.values(x - NORMAL_80 * errors), model.values(x + NORMAL_80 * errors)

    def factor(engine: str, of: str, name: str) -> float:
        keys = (("", of, name), (engine, of, name)) if engine else (("", of, name),)
        return float(np.prod([values[places[key]] for key in keys if key in places]))

    def table(engine: str, names: Iterable[str], constants: Sequence[str]) -> dict[str, dict[str, float]]:
        return {of: {c: _short(factor(engine, of, c)) for c in constants} for of in names}

    layout, today = model.layout, date.today().isoformat()
    engines = {}
    for engine in layout.engines:
        at = {c: places[engine, "", c] for c in UNITS}
        engines[engine] = {
            "interval": {
                "step": list(intervals[engine].step),
                "first_token": list(intervals[engine].first_token),
                "known_width": intervals[engine].known_width,
            },
            "measured": {
                "models": sorted({r.model for r in model.data.runs if r.generation == engine}),
                "families": sorted({r.family for r in model.data.runs if r.generation == engine}),
                "step_factors": _by_model({g: values[places[e, g, "step"]] for e, g in layout.groups if e == engine}),
            },
            "constants": {
                c: {"value": _short(values[i]), "low": _short(low[i]), "high": _short(high[i])} for c, i in at.items()
            },
            "families": table(engine, [f for e, f in layout.on_family if e == engine], OF_FAMILY),
            "formats": table(engine, [k for e, k in layout.in_format if e == engine], OF_FORMAT),
        }
    return {
        "catalog": "llm_speed",
        "as_of": today,
        "source": SOURCE,
        "trust": "fitted",
        "checked": checked,
        "units": {name: {"unit": unit, "stands_for": words} for name, (unit, words) in UNITS.items()},
        "families": {REFERENCE_FAMILY: dict.fromkeys(OF_FAMILY, 1.0), **table("", layout.families, OF_FAMILY)},
        "formats": {REFERENCE_FORMAT: dict.fromkeys(OF_FORMAT, 1.0), **table("", layout.formats, OF_FORMAT)},
        "engines": engines,
    }


def _by_model(factors: dict[str, float]) -> dict[str, dict[str, dict[str, float]]]:
    """Step factors by model, family and format."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for group, value in factors.items():
        model, family, kind = group.split("|")
        found.setdefault(model, {}).setdefault(family, {})[kind] = _short(value)
    return found


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def errors_of(data: Measured, figures: Sequence[Figure]) -> dict[str, Any]:
    """The content of catalogs/llm_speed_errors.yaml: measured groups, our held-out error on each, and one run of it."""
    groups: dict[tuple[str, ...], list[Figure]] = {}
    for figure in figures:
        run = data.runs[figure.run]
        groups.setdefault((run.generation, run.model, run.accelerator, run.kind), []).append(figure)
    rows = []
    for (engine, model, part, kind), mine in sorted(groups.items()):
        row: dict[str, Any] = {"engine": engine, "model": model, "accelerator": part, "format": kind}
        for quantity in sorted({f.quantity for f in mine}):
            these = [f for f in mine if f.quantity == quantity]
            middle = sorted(these, key=lambda f: f.error("rows"))[len(these) // 2]
            run = data.runs[middle.run]
            row[quantity] = {
                "runs": len(these),
                "median_error_percent": round(float(np.median([f.error("rows") for f in these])), 1),
                "example": {
                    "prompt_tokens": int(float(run.work.prompt_tokens)),
                    "output_tokens": int(run.output_tokens),
                    "batch": int(run.batch),
                    "tensor_parallel": int(float(run.work.tensor_parallel)),
                    "measured": _short(middle.measured),
                    "predicted": _short(middle.held["rows"]),
                },
            }
        rows.append(row)
    return {"catalog": "llm_speed_errors", "as_of": date.today().isoformat(), "source": SOURCE, "rows": rows}


def checked_words(figures: Sequence[Figure]) -> str:
    """The error on held-out figures in one sentence."""

    def median(quantity: str, by: str) -> float:
        return float(np.median([f.error(by) for f in figures if f.quantity == quantity]))

    return (
        f"on runs held back, TPOT is off by {median('tpot_ms', 'rows'):.0f} % and TTFT by {median('ttft_ms', 'rows'):.0f} % "
        f"in the median, {median('tpot_ms', 'model'):.0f} % and {median('ttft_ms', 'model'):.0f} % on models never seen"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, hold back, write; returns the exit code."""
    parser = argparse.ArgumentParser(description="Calibrate the speed of language models.")
    parser.add_argument("--cases", type=Path, default=CASES, help="folder of llm_serving.csv and llm_throughput.csv")
    folder = parser.parse_args(arguments).cases
    from benchmarks.speed_report import report  # after the parser, so that --help is quick

    data = load_measured(folder)
    model = Model(data)
    everything: dict[str, NDArray[np.bool_]] = keep_where(data, lambda i, run: True)
    x, errors = model.fit(everything)
    held = {by: held_out(model, by) for by in HELD_BACK}
    figures = figures_of(data, model.predict(x), held)
    intervals = intervals_of(data, figures)
    content = constants_of(model, x, errors, intervals, checked_words(figures))
    _write(CONSTANTS, content)
    _write(ERRORS, errors_of(data, figures))
    TABLE.write_text(report(data, figures, intervals), encoding="utf-8")
    print(f"{CONSTANTS}, {ERRORS} and {TABLE} written: {content['checked']}.")
    return 0


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False, width=118), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
