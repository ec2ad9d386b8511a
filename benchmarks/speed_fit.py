"""The fit behind catalogs/llm_speed.yaml: measured runs as columns, the constants as one vector, robust least squares.

The predictions are those of the product (`sizing.llm.score_speed.predict`), with constants as columns.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sizing import catalog as catalogs
from sizing.llm.constants import UNITS, Rates
from sizing.llm.score import SkipError
from sizing.llm.score_speed import SERVING_COLUMNS, THROUGHPUT_COLUMNS, Run, predict, run_of, unit_of
from sizing.llm.work import Work, stack
from sizing.score_table import read_cases

Floats = NDArray[np.float64]

SERVING, THROUGHPUT = "llm_serving.csv", "llm_throughput.csv"
SPREAD = {
    "tpot_ms": 0.05,
    "ttft_ms": 0.15,
    "decode_tokens_per_s": 0.10,
    "prefill_tokens_per_s": 0.30,
    "batch_latency_s": 0.20,
}
"""Error of a figure that the fit takes as ordinary [log]; throughput, which no line names, 0.15."""
OTHERWISE_SPREAD = 0.15


@dataclass(frozen=True)
class Measured:
    """All runs as columns, with the row of each quantity that was measured."""

    runs: tuple[Run, ...]
    work: Work
    batch: Floats
    waiting: Floats
    output: Floats
    unit: Floats
    groups: dict[str, NDArray[np.intp]]  # metric -> rows of runs
    values: dict[str, Floats]  # quantity -> measured, a value a row of its group
    copies: int  # rows left out that repeat another one in every cell but the id
    skipped: dict[str, int]


def quantities(metric: str) -> tuple[str, ...]:
    """Quantities that a run of a metric measures."""
    return ("tpot_ms", "ttft_ms") if metric == "serving" else (metric,)


def _rounded(column: str, cell: str) -> str:
    """A cell as copies of a row share it: measured figures are stated with two digits in one list, four in another."""
    return f"{float(cell):.3g}" if cell and column in ("ttft_ms", "tpot_ms", "value") else cell


def load_measured(folder: Path) -> Measured:
    """The measured runs of a folder, each different row once."""
    catalog = catalogs.load()
    runs: list[Run] = []
    values: dict[str, list[float]] = {}
    seen: set[tuple[str, ...]] = set()
    copies, skipped = 0, dict[str, int]()
    for name, columns in ((SERVING, SERVING_COLUMNS), (THROUGHPUT, THROUGHPUT_COLUMNS)):
        text = (folder / name).read_text(encoding="utf-8")
        cells = list(csv.DictReader(text.splitlines()))
        for case, row in zip(read_cases(text, columns), cells, strict=True):
            key = (name, *(_rounded(k, v) for k, v in row.items() if k not in ("id", "source", "engine_version")))
            if key in seen:
                copies += 1
                continue
            seen.add(key)
            metric = "serving" if name == SERVING else case.text("metric")
            try:
                run = run_of(case, catalog, metric)
            except SkipError as reason:
                skipped[str(reason)] = skipped.get(str(reason), 0) + 1
                continue
            runs.append(run)
            for quantity in quantities(metric):
                cell = case.number(quantity if metric == "serving" else "value")
                values.setdefault(quantity, []).append(cell or np.nan)
    groups = {
        m: np.array([i for i, r in enumerate(runs) if r.metric == m], dtype=np.intp) for m in {r.metric for r in runs}
    }
    column = lambda take: np.array([[take(r)] for r in runs], dtype=float)  # noqa: E731
    return Measured(
        runs=tuple(runs),
        work=stack([r.work for r in runs]),
        batch=column(lambda r: r.batch),
        waiting=column(lambda r: r.waiting),
        output=column(lambda r: r.output_tokens),
        unit=column(unit_of),
        groups=groups,
        values={k: np.array(v) for k, v in values.items()},
        copies=copies,
        skipped=skipped,
    )


@dataclass(frozen=True)
class Prior:
    """What a constant is taken to be before any run is seen: centre and spread on its scale (log, logit or plain)."""

    centre: float
    spread: float
    scale: str = "log"

    def inside(self, value: float) -> float:
        """The constant on the scale of the fit."""
        return {"log": np.log, "logit": lambda v: np.log(v / (1 - v)), "plain": lambda v: v}[self.scale](value)

    def outside(self, x: Floats | float) -> Floats:
        """The constant from the scale of the fit."""
        return {"log": np.exp, "logit": lambda v: 1 / (1 + np.exp(-v)), "plain": np.asarray}[self.scale](x)


PRIORS = {
    "memory": Prior(0.80, 0.7, "logit"),
    "kv": Prior(0.65, 0.7, "logit"),
    "products": Prior(0.60, 0.7, "logit"),
    "half_tokens": Prior(60.0, 0.7),
    "expert_products": Prior(0.6, 0.7, "logit"),
    "not_hidden": Prior(0.30, 1.0, "logit"),
    "attention": Prior(0.40, 0.7, "logit"),
    "link": Prior(0.60, 0.7, "logit"),
    "collective_nvlink_us": Prior(10.0, 0.6),
    "collective_pcie_us": Prior(30.0, 0.6),
    "hop_us": Prior(40.0, 0.7),
    "network_gb_per_s": Prior(12.5, 0.05),
    "layer_us": Prior(12.0, 0.7),
    "expert_layer_us": Prior(20.0, 0.8),
    "mixer_layer_us": Prior(15.0, 0.8),
    "index_layer_us": Prior(20.0, 0.8),
    "expert_parallel_us": Prior(20.0, 1.0),
    "traffic": Prior(20.0, 0.8),
    "expert_traffic": Prior(6.0, 0.8),
    "sequence_us": Prior(8.0, 0.8),
    "step_us": Prior(200.0, 0.8),
    "prefill_layer_us": Prior(40.0, 0.8),
    "poll_steps": Prior(1.0, 1.0),
    "prefill_fixed_ms": Prior(15.0, 0.8),
    "bunch": Prior(-1.0, 1.5, "plain"),
    "bunch_by_load": Prior(0.3, 0.4, "plain"),
    "bunch_by_clients": Prior(0.0, 0.1, "plain"),
}
FACTOR = Prior(1.0, 0.25)
DEVIATION = Prior(1.0, 0.2)
MEMORY_FACTOR = Prior(1.0, 0.12)
"""How a family or a format departs from the reference, and one engine from the others on it; of bandwidth all parts reach
much the same share."""
STEP = Prior(1.0, 0.04)
"""What one model takes longer on a family and in a format than the constants say. Narrow: constants that leave more to it
say less about models never seen (0.02 to 0.04 did best on models held back, 0.15 on rows)."""
OWN = 0.4
"""How far an engine's constant may lie from that of all engines, as a share of the prior's spread."""
POLICY = ("poll_steps", "prefill_fixed_ms", "bunch", "bunch_by_load", "bunch_by_clients")
OWN_POLICY = 2.0
"""Constants of an engine's scheduler, which have little to do with those of another, and how far they may lie apart."""
DERIVATIVE_STEP, MOST_STEPS, COST_TOLERANCE = 1e-5, 300, 1e-7
REFERENCE_FAMILY, REFERENCE_FORMAT = "Hopper HBM", "16 bit"
OF_FAMILY, OF_FORMAT = ("memory", "products", "gap"), ("memory", "products")
Place = tuple[str, str, str]  # engine, or "" for every engine; family or format, or ""; constant


@dataclass(frozen=True)
class Layout:
    """Where each constant lies in the vector."""

    engines: tuple[str, ...]
    families: tuple[str, ...]
    formats: tuple[str, ...]
    on_family: tuple[tuple[str, str], ...]  # pairs of engine and family that were measured
    in_format: tuple[tuple[str, str], ...]
    groups: tuple[tuple[str, str], ...]  # of engine and what `group_of` says

    @cached_property
    def places(self) -> dict[Place, int]:
        """The place of each constant."""
        names: list[Place] = [(e, "", c) for e in ("", *self.engines) for c in UNITS]
        names += [("", f, c) for f in self.families for c in OF_FAMILY]
        names += [("", k, c) for k in self.formats for c in OF_FORMAT]
        names += [(e, f, c) for e, f in self.on_family for c in OF_FAMILY]
        names += [(e, k, "products") for e, k in self.in_format]
        names += [(e, g, "step") for e, g in self.groups]
        return {name: i for i, name in enumerate(names)}

    def priors(self) -> list[Prior]:
        """Prior of each place."""
        return [_prior(*place) for place in self.places]


def _prior(engine: str, of: str, constant: str) -> Prior:
    if constant == "step":
        return STEP
    if not of:
        return PRIORS[constant]
    if constant == "memory":
        return MEMORY_FACTOR
    return DEVIATION if engine else FACTOR


def group_of(run: Run) -> str:
    """Model, family of parts and format of a run: what has a step factor of its own."""
    return "|".join((run.model, run.family, run.kind))


def layout_of(data: Measured) -> Layout:
    """The engines, families and formats that the runs have."""
    runs = data.runs
    return Layout(
        engines=tuple(sorted({r.generation for r in runs})),
        families=tuple(sorted({r.family for r in runs} - {REFERENCE_FAMILY})),
        formats=tuple(sorted({r.kind for r in runs} - {REFERENCE_FORMAT})),
        on_family=tuple(sorted({(r.generation, r.family) for r in runs if r.family != REFERENCE_FAMILY})),
        in_format=tuple(sorted({(r.generation, r.kind) for r in runs if r.kind != REFERENCE_FORMAT})),
        groups=tuple(sorted({(r.generation, group_of(r)) for r in runs})),
    )


class Model:
    """Predictions of all runs for a vector of constants."""

    def __init__(self, data: Measured) -> None:
        self.data, self.layout = data, layout_of(data)
        self.priors, places = self.layout.priors(), self.layout.places
        self.centre = np.array([p.inside(p.centre) for p in self.priors])
        self.spread = np.array([p.spread for p in self.priors])
        shared = [places[self._parent(engine), "", c] if engine and not of else -1 for engine, of, c in places]
        self._shared, self._own = np.array(shared), np.array(shared) >= 0
        policy = np.array([c in POLICY and not of for _, of, c in places])
        self.spread[self._own] *= np.where(policy[self._own], OWN_POLICY, OWN)
        scales = np.array([p.scale for p in self.priors])
        self._log, self._logit = scales == "log", scales == "logit"
        runs, one = data.runs, len(self.priors)  # the last place holds the factor 1
        first = next(iter(UNITS))
        self._engine = np.array([places[r.generation, "", first] for r in runs])
        self._factors: dict[str, list[NDArray[np.intp]]] = {}
        self._slots = [self._engine + i for i in range(len(UNITS))]
        for c in OF_FAMILY:
            keys = [[("", r.family, c), (r.generation, r.family, c)] for r in runs]
            if c in OF_FORMAT:
                keys = [[*k, ("", r.kind, c), (r.generation, r.kind, c)] for k, r in zip(keys, runs, strict=True)]
            found = np.array([[places.get(name, one) for name in k] for k in keys], dtype=np.intp)
            self._factors[c] = list(found.T)
            self._slots += self._factors[c]
        self._factors["step"] = [np.array([places[r.generation, group_of(r), "step"] for r in runs], dtype=np.intp)]
        self._slots += self._factors["step"]
        self._works = {m: _rows(data.work, rows) for m, rows in data.groups.items()}

    def _parent(self, engine: str) -> str:
        """Engine whose constants those of a generation are expected near: the engine of today, for that all engines."""
        return next((e for e in self.layout.engines if engine.startswith(f"{e}_")), "")

    def values(self, x: Floats) -> Floats:
        """The constants themselves."""
        out = x.copy()
        out[self._log] = np.exp(x[self._log])
        out[self._logit] = 1.0 / (1.0 + np.exp(-x[self._logit]))
        return out

    def predict(self, x: Floats) -> dict[str, Floats]:
        """Each quantity for the runs of its group."""
        v, data = np.append(self.values(x), 1.0), self.data
        factor = {c: np.prod([v[place] for place in places], axis=0) for c, places in self._factors.items()}
        found: dict[str, Floats] = {}
        for metric, rows in data.groups.items():
            use = Rates(**{name: v[self._engine[rows] + i][:, None] for i, name in enumerate(UNITS)})
            work = replace(self._works[metric], **{f"{c}_factor": f[rows][:, None] for c, f in factor.items()})
            done = predict(
                metric, work, data.batch[rows], data.waiting[rows], data.output[rows], work.prompt_tokens, use
            )
            scale = 1.0 if metric == "serving" else data.unit[rows]
            found |= {name: (figure * scale)[:, 0] for name, figure in done.items()}
        return found

    def residuals(self, x: Floats, keep: dict[str, NDArray[np.bool_]]) -> Floats:
        """Log errors over their ordinary size, and the distance from the priors."""
        expected = np.where(self._own, x[self._shared], self.centre)
        parts = [(x - expected) / self.spread]
        found = self.predict(x)
        for name in (q for metric in self.data.groups for q in quantities(metric)):
            figure, values = found[name], self.data.values[name]
            use = keep[name] & (values > 0)
            parts.append(np.log(figure[use] / values[use]) / SPREAD.get(name, OTHERWISE_SPREAD))
        return np.concatenate(parts)

    def _kept(self, keep: dict[str, NDArray[np.bool_]]) -> NDArray[np.intp]:
        """The run of each residual."""
        data = self.data
        parts = [
            rows[keep[q] & (data.values[q] > 0)] for metric, rows in data.groups.items() for q in quantities(metric)
        ]
        return np.concatenate(parts)

    def jacobian(self, x: Floats, keep: dict[str, NDArray[np.bool_]]) -> Floats:
        """Derivatives of the residuals: a constant is moved for all engines or families at once, since a run sees the
        constants of one of each."""
        size, base, runs = len(x), self.residuals(x, keep), self._kept(keep)
        out = np.zeros((len(base), size))
        every = np.arange(size)
        out[every, every] = 1.0 / self.spread
        out[every[self._own], self._shared[self._own]] = -1.0 / self.spread[self._own]
        for slot in self._slots:
            places = np.unique(slot[slot < size])
            moved = x.copy()
            moved[places] += DERIVATIVE_STEP
            change = (self.residuals(moved, keep) - base)[size:] / DERIVATIVE_STEP
            place = slot[runs]
            seen = np.flatnonzero(place < size)
            out[size + seen, place[seen]] = change[seen]
        return out

    def fit(self, keep: dict[str, NDArray[np.bool_]]) -> tuple[Floats, Floats]:
        """The constants that fit the kept runs best and their standard errors, both on the scale of the fit.

        Minimises sum of prior residuals squared + sum of 2 (sqrt(1 + r^2) - 1) over runs, by Levenberg-Marquardt steps
        on reweighted least squares. Source: Huber 1981, chapter 7 (reweighting); More 1978 (damping).
        """
        x, damping = self.centre.copy(), 1e-2
        size = len(x)
        residual = self.residuals(x, keep)
        cost = _cost(residual, size)
        for _ in range(MOST_STEPS):
            jac = self.jacobian(x, keep)
            weight = np.ones(len(residual))
            weight[size:] = 1.0 / np.sqrt(1.0 + residual[size:] ** 2)
            normal, slope = (jac.T * weight) @ jac, (jac.T * weight) @ residual
            gained = 0.0
            while damping < 1e6:
                step = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), slope)
                trial = self.residuals(x - step, keep)
                gained = cost - _cost(trial, size)
                if gained > 0:
                    x, residual, cost, damping = x - step, trial, cost - gained, damping / 5.0
                    break
                damping *= 4.0
            if gained < COST_TOLERANCE * cost:
                break
        return x, np.sqrt(np.diag(np.linalg.inv(normal)))


def _cost(residual: Floats, size: int) -> float:
    """Cost of residuals [1], the first `size` of which are those of the priors."""
    return float((residual[:size] ** 2).sum() + 2.0 * (np.sqrt(1.0 + residual[size:] ** 2) - 1.0).sum())


def _rows(work: Work, rows: NDArray[np.intp]) -> Work:
    return Work(**{k: np.asarray(v)[rows] for k, v in vars(work).items()})


def keep_where(data: Measured, test: Callable[[int, Run], bool]) -> dict[str, NDArray[np.bool_]]:
    """Which measured figures a fit sees: those whose run passes the test."""
    flags = np.array([test(i, r) for i, r in enumerate(data.runs)])
    return {q: flags[rows] for metric, rows in data.groups.items() for q in quantities(metric)}


def folds(data: Measured, by: str, parts: int = 5, seed: int = 4) -> list[tuple[str, NDArray[np.bool_]]]:
    """Runs held out together, a part a fold: `rows` at random, whole `model`s (base names), whole `accelerator`s; B200
    and GB200 are one chip and go together."""
    if by == "rows":
        place = np.random.default_rng(seed).integers(0, parts, len(data.runs))
        return [(f"fold {k + 1}", place == k) for k in range(parts)]
    chip = {"gb200-186gb": "b200-sxm-180gb"}
    keys = np.array([chip.get(k, k) for k in (getattr(r, by) for r in data.runs)])
    return [(str(k), keys == k) for k in np.unique(keys)]


def held_out(model: Model, by: str) -> dict[str, Floats]:
    """Predictions of every figure by constants fitted without the fold it belongs to."""
    data = model.data
    found = {q: np.full(len(v), np.nan) for q, v in data.values.items()}
    for _, out in folds(data, by):
        keep = keep_where(data, lambda i, _, out=out: not out[i])  # type: ignore[misc]
        x, _ = model.fit(keep)
        for quantity, figure in model.predict(x).items():
            found[quantity] = np.where(keep[quantity], found[quantity], figure)
    return found
