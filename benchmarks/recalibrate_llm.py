"""Does recalibration with one's own runs help? Public runs, some of a group shown, the rest predicted; and the shares it rests on.

`python -m benchmarks.recalibrate_llm [--cases FOLDER]` writes benchmarks/RECALIBRATE_LLM.md. Predictions come from constants fitted
without the model, without the accelerator, or without the row, so nothing shown here was fitted to what it is judged on; the shares of
each case are estimated without the model it judges. It takes about five minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibrate import CASES
from benchmarks.speed_fit import Floats, Measured, Model, held_out, load_measured
from sizing.llm.constants import rates, stated
from sizing.llm.recalibration import (
    FIRST_KNOWN,
    FIRST_NEW,
    STEP_KNOWN,
    STEP_NEW,
    Shares,
    posterior,
)
from sizing.llm.score_speed import Run

TABLE = Path("benchmarks/RECALIBRATE_LLM.md")
NORMAL_80 = 1.2816
LEAST_RUNS = 4
SHOWN = (1, 2, 3)
DRAWS = 20
PAIRS = 60
"""Runs of a group at least, runs shown, random choices of them, and pairs taken of a group, so that large groups do not decide."""
QUANTITIES = ("tpot_ms", "ttft_ms")
HELD = {"model": "the model is new", "accelerator": "the accelerator is new", "rows": "model and accelerator are known"}

Key = Callable[[Run], Hashable]


def base_of(run: Run) -> Hashable:
    """What recalibration is bound to: model, accelerator, engine and kind of format."""
    return (run.model, run.accelerator, run.generation, run.kind)


def server_of(run: Run) -> Hashable:
    """The same, split alike."""
    work = run.work
    split = (work.tensor_parallel, work.pipeline_parallel, work.expert_parallel, work.dense_weight_bytes)
    return (base_of(run), *(float(np.asarray(value)) for value in split))


@dataclass(frozen=True)
class Errors:
    """ln(measured / predicted) of the serving runs for each quantity and way of holding back; NaN where it does not count."""

    runs: tuple[Run, ...]
    logs: dict[tuple[str, str], Floats]


def errors_of(data: Measured, held: dict[str, dict[str, Floats]]) -> Errors:
    """Errors of the serving runs; TTFT counts where no request waits for a slot, as in the product."""
    rows = data.groups["serving"]
    runs = tuple(data.runs[i] for i in rows)
    waits = np.array([run.waiting > 0 for run in runs])
    logs = {}
    for by, table in held.items():
        for quantity in QUANTITIES:
            found = np.log(data.values[quantity] / table[quantity])
            logs[by, quantity] = np.where(waits, np.nan, found) if quantity == "ttft_ms" else found
    return Errors(runs, logs)


def groups(errors: Errors, logs: Floats, key: Key, least: int = LEAST_RUNS) -> dict[Hashable, NDArray[np.intp]]:
    """Runs with a figure by group, of groups with enough of them."""
    found: dict[Hashable, list[int]] = {}
    for i, run in enumerate(errors.runs):
        if np.isfinite(logs[i]):
            found.setdefault(key(run), []).append(i)
    return {k: np.array(v) for k, v in found.items() if len(v) >= least}


def _width(values: Floats) -> float:
    """Half of the central 80 %, in standard deviations of a normal law: blind to the few runs that are off by a factor."""
    low, high = np.quantile(values, [0.1, 0.9])
    return float(high - low) / (2 * NORMAL_80)


def shares_of(errors: Errors, by: str, quantity: str, without: str = "") -> Shares:
    """Shares of the variance [1] common to runs of one server, and of servers split otherwise: 1 - var(e_i - e_j) / (2 var e) over
    pairs of runs, each group with the same number of them. Models but one (`without`), for judging that one."""
    logs, draw = errors.logs[by, quantity], np.random.default_rng(0)
    mine = np.array([np.nan if run.model == without else x for run, x in zip(errors.runs, logs, strict=True)])
    found = []
    for key, is_same in ((server_of, True), (base_of, False)):
        apart: list[Floats] = []
        every: list[Floats] = []
        for rows in groups(errors, mine, key).values():
            pairs = draw.choice(rows, (4 * PAIRS, 2))
            servers = [[server_of(errors.runs[i]) for i in pair] for pair in pairs]
            good = np.array([a != b and (sa == sb) == is_same for (a, b), (sa, sb) in zip(pairs, servers, strict=True)])
            pairs = pairs[good][:PAIRS]
            if len(pairs) >= 5:
                apart.append(mine[pairs[:, 0]] - mine[pairs[:, 1]])
                every.append(draw.choice(mine[rows], PAIRS))
        total = _width(np.concatenate(every))
        found.append(1.0 - (_width(np.concatenate(apart)) ** 2 / 2.0) / total**2)
    server, other = (min(max(share, 0.0), 0.95) for share in found)
    return Shares(server, min(other, server))


@dataclass(frozen=True)
class Tried:
    """Absolute errors [%] before and after, and the share inside the 80 % interval, of the runs that were not shown."""

    cases: int
    groups: int
    before: Floats
    after: Floats
    inside_before: float
    inside_after: float
    narrower: float


def tried(
    errors: Errors, by: str, quantity: str, shown: int, shares: Callable[[str], Shares], *, elsewhere: bool
) -> Tried:
    """Show some runs of one server, predict the others: of the same server, or of the same base split otherwise."""
    logs, draw = errors.logs[by, quantity], np.random.default_rng(1)
    before: list[Floats] = []
    after: list[Floats] = []
    inside: list[tuple[float, float]] = []
    widths: list[float] = []
    count = 0
    for rows in groups(errors, logs, base_of).values():
        servers = [server_of(errors.runs[i]) for i in rows]
        used = False
        for _ in range(DRAWS):
            first = int(draw.integers(len(rows)))
            same = np.array([server == servers[first] for server in servers])
            if same.sum() < shown + (0 if elsewhere else 1) or (elsewhere and same.all()):
                continue
            picked = draw.choice(np.flatnonzero(same), shown, replace=False)
            rest = ~same if elsewhere else same & ~np.isin(np.arange(len(rows)), picked)
            run = errors.runs[rows[0]]
            low, high = ends_of(run, quantity, by)
            spread = (high - low) / (2 * NORMAL_80)
            found = posterior(logs[rows[picked]].tolist(), shares(run.model), spread, elsewhere=elsewhere)
            left = logs[rows[rest]]
            moved = left - np.log(found.factor)
            before.append(np.abs(np.exp(-left) - 1) * 100)
            after.append(np.abs(np.exp(-moved) - 1) * 100)
            inside.append(
                (
                    float(((left >= low) & (left <= high)).mean()),
                    float(((moved >= found.width * low) & (moved <= found.width * high)).mean()),
                )
            )
            widths.append(found.width)
            used = True
        count += used
    # Each draw counts once, so that a group with many runs does not decide.
    weights = np.concatenate([np.full(len(x), 1.0 / len(x)) for x in before])
    order = [np.concatenate(x) for x in (before, after)]
    spread_before, spread_after = (_weighted(x, weights) for x in order)
    share = np.array(inside).mean(axis=0)
    return Tried(
        len(before), count, spread_before, spread_after, float(share[0]), float(share[1]), float(np.mean(widths))
    )


def ends_of(run: Run, quantity: str, by: str) -> tuple[float, float]:
    """Ends of the stated 80 % interval of a figure [log]."""
    _, slow, fast = rates(run.generation)
    low, high = float(fast.scale), float(slow.scale)
    if quantity == "ttft_ms":
        low, high = low * float(fast.first_scale), high * float(slow.first_scale)
    width = float(stated()["engines"][run.generation]["interval"]["known_width"]) if by == "rows" else 1.0
    return width * float(np.log(low)), width * float(np.log(high))


def _weighted(values: Floats, weights: Floats) -> Floats:
    """Weighted median and P90."""
    order = np.argsort(values)
    at = np.cumsum(weights[order]) / weights.sum()
    return np.array([values[order][np.searchsorted(at, q)] for q in (0.5, 0.9)])


def report(errors: Errors) -> str:
    """The page of figures."""
    lines = [
        "# Recalibration with one's own runs",
        "",
        f"Made by `python -m benchmarks.recalibrate_llm` on {date.today().isoformat()}. Public server runs ({len(errors.runs):,}, those of "
        "LLM_SPEED.md) in groups of one model, accelerator, engine and format; a server is the runs of a group that are split alike. Some runs of "
        "a server are shown, at random, 20 times a group, and the others predicted, each draw counting once. Constants are fitted without the "
        "model, without the accelerator, or without the row; shares without the model judged. Errors are absolute, % of the measured value, "
        "median / P90, then the share inside the stated 80 % interval. TTFT counts where no request waits for a slot.",
        "",
        "## Shares of the variance of our error",
        "",
        "`server`: common to all runs of a server; `other split`: common to servers of the group that are split otherwise. In use: step "
        f"{STEP_NEW.server} and {STEP_NEW.other_split} (known: {STEP_KNOWN.server}, {STEP_KNOWN.other_split}), first token {FIRST_NEW.server} and "
        f"{FIRST_NEW.other_split} (known: {FIRST_KNOWN.server}, {FIRST_KNOWN.other_split}), rounded down.",
        "",
        "| held back | quantity | server | other split |",
        "|---|---|--:|--:|",
    ]
    for by in HELD:
        for quantity in QUANTITIES:
            found = shares_of(errors, by, quantity)
            lines.append(f"| {by} | {quantity} | {found.server:.2f} | {found.other_split:.2f} |")
    for elsewhere, title in (
        (False, "Other runs of the same server"),
        (True, "Servers of the group that are split otherwise"),
    ):
        lines += [
            "",
            f"## {title}",
            "",
            "| held back | quantity | shown | groups | before | after, shares in use | after, shares without the model | interval |",
            "|---|---|--:|--:|---|---|---|--:|",
        ]
        for by in HELD:
            for quantity in QUANTITIES:
                lines += _rows(errors, by, quantity, elsewhere)
    lines += [
        "",
        "`interval` is how wide the interval is after, over what it was, in logs. What it says: where the model or the part was not measured "
        "before, one run of a server takes about a third off the median error of TPOT on its other runs, three about two fifths; on other splits "
        "a third to a half of that. Where both were measured before it gains next to nothing, as what runs have in common is in the constants already. "
        "TTFT gains a fifth to a third: more of its error differs from run to run.",
    ]
    return "\n".join(lines) + "\n"


def _rows(errors: Errors, by: str, quantity: str, elsewhere: bool) -> list[str]:
    in_use = {
        ("tpot_ms", False): STEP_NEW,
        ("tpot_ms", True): STEP_KNOWN,
        ("ttft_ms", False): FIRST_NEW,
        ("ttft_ms", True): FIRST_KNOWN,
    }[quantity, by == "rows"]
    known: dict[str, Shares] = {}

    def without(model: str) -> Shares:
        if model not in known:
            known[model] = shares_of(errors, by, quantity, model)
        return known[model]

    lines = []
    for shown in SHOWN:
        a = tried(errors, by, quantity, shown, lambda _: in_use, elsewhere=elsewhere)
        b = tried(errors, by, quantity, shown, without, elsewhere=elsewhere)
        lines.append(
            f"| {by} | {quantity} | {shown} | {a.groups} | {_three(a.before, a.inside_before)} | {_three(a.after, a.inside_after)} | "
            f"{_three(b.after, b.inside_after)} | {a.narrower:.2f} |"
        )
    return lines


def _three(figures: Floats, inside: float) -> str:
    return f"{figures[0]:.1f} / {figures[1]:.1f}, {inside:.0%}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, hold back, show some runs, write; returns the exit code."""
    parser = argparse.ArgumentParser(description="What recalibration with one's own runs gains.")
    parser.add_argument("--cases", type=Path, default=CASES, help="folder of llm_serving.csv and llm_throughput.csv")
    folder = parser.parse_args(arguments).cases
    data = load_measured(folder)
    model = Model(data)
    errors = errors_of(data, {by: held_out(model, by) for by in HELD})
    TABLE.write_text(report(errors), encoding="utf-8")
    print(f"{TABLE} written.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
