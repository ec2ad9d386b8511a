"""How far the percentiles of a load test are off by its length; writes LOAD_TEST_LENGTH.md and the table of the sizing core.

python -m benchmarks.load_test_length          about 10 minutes on one core
python -m benchmarks.load_test_length --quick  one setting, to see that it runs

Each setting is an M/G/c queue (Poisson arrivals, gamma service up to CV 1 and lognormal above) run 200 times side by side from
empty, five relaxation times discarded. Of the first n requests of each run the percentiles are taken as a load test takes them;
the truth is that of all runs together.
"""

from __future__ import annotations

import argparse
import time
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np

from sizing.queueing_law import Floats, service_law

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent / "sizing" / "statistical" / "load_test_table.py"
RUNS = 200
SEED = 20_261_125
WORKERS = (1, 2, 4, 8, 16)
CVS = (0.0, 0.3, 1.0, 2.0)
LOADS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000)
SHARES = (0.50, 0.95, 0.99)
NAMES = ("p50", "p95", "p99", "mean")
BLOCK = 2_000
SATURATED = 0.15
"""Standard deviation of a percentile [1] above which it says little of V: short tests stay near 25 % whatever V is."""

EDGES = (0.0, 0.15, 0.25, 0.35, 0.5, 0.7, 1.0, 1.5, 2.5)
"""Edges of classes of the nominal standard deviation sqrt(V / n) [1], for the curves of bias and true standard deviation."""


def times(*, workers: int, cv: float, load: float, count: int, runs: int = RUNS, spread: float | None = None) -> Floats:
    """Times in system [mean service times], a row a request and a column a run, warm-up discarded.

    `spread` None: Poisson arrivals; else evenly spaced ones, each moved by a uniform time of up to `spread` [mean service times].
    """
    random = np.random.default_rng(SEED)
    law = service_law("gamma" if cv <= 1.0 else "lognormal", cv)
    gap = 1.0 / (load * workers)
    warm_up = int(5.0 * relaxation(cv, load)) + 50
    free = np.zeros((runs, workers))
    now = np.zeros(runs)
    run = np.arange(runs)
    found = np.empty((count, runs), dtype=np.float32)
    if spread is not None:
        even = gap * np.arange(warm_up + count)[:, None] + spread * random.random((warm_up + count, runs))
        arrivals = np.sort(even, axis=0)
    for start in range(-warm_up, count, BLOCK):
        size = min(BLOCK, count - start)
        gaps = random.standard_exponential((size, runs)) * gap
        services = law.quantile(random.random((size, runs)))
        for step in range(size):
            now = now + gaps[step] if spread is None else arrivals[start + warm_up + step]
            first = free.argmin(axis=1)
            done = np.maximum(now, free[run, first]) + services[step]
            free[run, first] = done
            if start + step >= 0:
                found[start + step] = done - now
    return found.astype(np.float64) if found.size < 5e6 else found


def relaxation(cv: float, load: float) -> float:
    """Requests [1] over which a queue forgets: (1 + cv^2) u^2 / (1 - u)^2, from the diffusion limit."""
    return (1.0 + cv**2) * load**2 / (1.0 - load) ** 2


def setting(workers: int, cv: float, load: float) -> tuple[list[float], list[tuple[int, list[float], list[float]]]]:
    """Truth (p50, p95, p99, mean) [mean service times], and by n the relative bias and standard deviation of each [1]."""
    largest = SIZES[-1] if load >= 0.9 and workers == 1 else SIZES[-2]
    found = times(workers=workers, cv=cv, load=load, count=largest)
    truth = np.append(np.quantile(found[:: max(1, largest // 100_000)].ravel(), SHARES), found.mean(dtype=np.float64))
    by_size = []
    for size in (n for n in SIZES if n <= largest):
        seen = np.vstack([np.quantile(found[:size], SHARES, axis=0), found[:size].mean(axis=0, dtype=np.float64)])
        bias, sd = seen.mean(axis=1) / truth - 1.0, seen.std(axis=1) / truth
        by_size.append((size, bias.tolist(), sd.tolist()))
    return truth.tolist(), by_size


def settled(
    ends: dict[tuple[int, float, float], list[tuple[int, float]]],
) -> dict[tuple[int, float, float], list[float]]:
    """V = n sd^2 of each quantity from the longest n [1]; at CV 2 near saturation, at least that of the load below, grown.

    A standard deviation above SATURATED no longer grows with V. There V is carried on from the load below as (1 - u)^-2, which is
    on the safe side.
    """
    found: dict[tuple[int, float, float], list[float]] = {}
    for (workers, cv, load), quantities in ends.items():
        values = [size * sd**2 for size, sd in quantities]
        at = LOADS.index(load)
        if cv > 1.0 and at > 0:
            grown = ((1.0 - LOADS[at - 1]) / (1.0 - load)) ** 2
            below = found[workers, cv, LOADS[at - 1]]
            values = [
                max(v, grown * b) if sd > SATURATED else v
                for v, b, (_, sd) in zip(values, below, quantities, strict=True)
            ]
        found[workers, cv, load] = values
    return found


def kinds_of_arrivals() -> list[tuple[float, int, float, float, list[float]]]:
    """p99 with evenly spaced arrivals, and moved at random, over that with Poisson arrivals: load, workers, cv, Poisson, ratios."""
    rows = []
    for load, workers, cv in (
        (0.5, 1, 0.3),
        (0.7, 1, 0.3),
        (0.7, 4, 0.3),
        (0.85, 1, 0.3),
        (0.7, 1, 1.0),
        (0.85, 4, 1.0),
    ):
        some = {"workers": workers, "cv": cv, "load": load, "count": 20_000, "runs": 100}
        poisson = np.quantile(times(**some), 0.99)
        relaxed = max(1.0, relaxation(cv, load)) / (load * workers)
        ratios = [
            float(np.quantile(times(**some, spread=s), 0.99) / poisson)
            for s in (0.0, 3.0 * relaxed, 10.0 * relaxed, 30.0 * relaxed, 100.0 * relaxed)
        ]
        rows.append((load, workers, cv, float(poisson), ratios))
    return rows


def main() -> None:
    """Simulate, and write the report and the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    if parser.parse_args().quick:
        print(setting(1, 0.3, 0.5))
        return
    began = time.time()
    cells = {(c, cv, u): setting(c, cv, u) for c in WORKERS for cv in CVS for u in LOADS}
    spread = settled({key: [(by[-1][0], by[-1][2][q]) for q in range(4)] for key, (_, by) in cells.items()})
    curve = _curve(cells, spread)
    TABLE.write_text(_module(spread, curve), encoding="utf-8")
    report = _report(cells, spread, curve, kinds_of_arrivals(), time.time() - began)
    (HERE / "LOAD_TEST_LENGTH.md").write_text(report, encoding="utf-8")
    print(report)


def _curve(cells: dict, spread: dict) -> list[tuple[float, float, float]]:
    """Median nominal sd, bias and true sd of p99 [1] in each class of sqrt(V / n), over all settings and lengths."""
    points = np.array(
        [
            ((spread[key][2] / size) ** 0.5, bias[2], sd[2])
            for key, (_, by) in cells.items()
            if key[1] <= 1.0
            for size, bias, sd in by[:-1]
        ]
    )
    kept = [points[(points[:, 0] >= low) & (points[:, 0] < high)] for low, high in pairwise(EDGES)]
    return [tuple(np.median(part, axis=0)) for part in kept if len(part) >= 5]


def _module(spread: dict, curve: list[tuple[float, float, float]]) -> str:
    lines = [
        '"""Table of how precise a load test of n requests is. Written by `python -m benchmarks.load_test_length`; do not edit.',
        "",
        "VARIANCES[quantity][workers][cv] are n x (relative standard deviation)^2 [1] at LOADS, for n large; see LOAD_TEST_LENGTH.md.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        f"LOADS = {LOADS}",
        f"CVS = {CVS}",
        f"WORKERS = {WORKERS}",
        "",
        "VARIANCES: dict[str, dict[int, dict[float, tuple[float, ...]]]] = {",
    ]
    for q, name in enumerate(NAMES):
        lines.append(f'    "{name}": {{')
        for c in WORKERS:
            rows = ", ".join(f"{cv}: ({', '.join(f'{spread[c, cv, u][q]:.3g}' for u in LOADS)})" for cv in CVS)
            lines.append(f"        {c}: {{{rows}}},")
        lines.append("    },")
    lines += ["}", "", "SHORT_TESTS: tuple[tuple[float, float, float], ...] = ("]
    lines += [f"    ({x:.3f}, {bias:.3f}, {sd:.3f})," for x, bias, sd in curve]
    lines += [")", '"""Nominal sqrt(V / n), bias and true standard deviation of p99 [1], medians up to CV 1."""', ""]
    return _formatted("\n".join(lines))


def _formatted(text: str) -> str:
    import subprocess
    import sys

    command = [sys.executable, "-m", "ruff", "format", "--config", str(HERE.parent / "pyproject.toml"), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def _report(cells: dict, spread: dict, curve: list, arrivals: list, seconds: float) -> str:
    lines = [
        "# How long a load test must be",
        "",
        f"Written by `python -m benchmarks.load_test_length` on {date.today()} in {seconds:.0f} s. M/G/c queues, {RUNS} runs of each setting "
        "from empty, five relaxation times discarded; gamma service up to CV 1, lognormal above; Poisson arrivals.",
        "",
        "The relative variance of a percentile or mean taken from n requests is V / n once n is large. So n = V / sd². V grows as "
        "(1 + CV²) / (1 − load)², because what one request finds depends on those before it. V itself is known to about 15 %; at CV 2 from load 0.9 on, where "
        "the runs are still too short, it is carried on from the load below and high.",
        "",
        "## Requests that give p99 to ±10 % (one standard deviation)",
        "",
        "| workers | CV | " + " | ".join(f"load {u:g}" for u in LOADS) + " |",
        "|---" * (2 + len(LOADS)) + "|",
    ]
    for c in WORKERS:
        for cv in CVS:
            counts = [_round(spread[c, cv, u][2] / 0.01) for u in LOADS]
            lines.append(f"| {c} | {cv:g} | " + " | ".join(f"{n:,}" for n in counts) + " |")
    lines += [
        "",
        "The counts below 1,000 are those of the sampling error alone; a plan takes 1,000 at least, ten beyond p99.",
        "",
        "## Short tests: what n requests report for p99 (bias / standard deviation, % of the truth)",
        "",
        "| workers | CV | load | p99 (service times) | " + " | ".join(f"n = {n:,}" for n in SIZES) + " |",
        "|---" * (4 + len(SIZES)) + "|",
    ]
    for (c, cv, u), (truth, by) in cells.items():
        if c in (1, 4) and u >= 0.7:
            shown = [f"{b[2] * 100:+.0f} / {s[2] * 100:.0f}" for _, b, s in by] + ["–"] * (len(SIZES) - len(by))
            lines.append(f"| {c} | {cv:g} | {u:g} | {truth[2]:.1f} | " + " | ".join(shown) + " |")
    lines += [
        "",
        "## One curve for all of them",
        "",
        "With x = sqrt(V / n), the nominal standard deviation, bias and true standard deviation of p99 fall together (medians up to "
        "CV 1). A test of x = 10 % has no bias to speak of; one of x = 50 % reports p99 too low.",
        "",
        "| x (%) | bias (%) | standard deviation (%) |",
        "|---|---|---|",
    ]
    lines += [f"| {x * 100:.0f} | {b * 100:+.1f} | {s * 100:.0f} |" for x, b, s in curve]
    lines += [
        "",
        "## Evenly spaced arrivals (k6 constant-arrival-rate), and the same moved at random",
        "",
        "p99 over that with Poisson arrivals. Each arrival is moved by a uniform random time of up to D; in relaxation times of the "
        "queue, (1 + CV²) load² / (1 − load)² mean gaps, one at least.",
        "",
        "| load | workers | CV | p99 Poisson (service times) | even | D = 3 | D = 10 | D = 30 | D = 100 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for load, workers, cv, poisson, ratios in arrivals:
        lines.append(
            f"| {load:g} | {workers} | {cv:g} | {poisson:.2f} | " + " | ".join(f"{r:.2f}" for r in ratios) + " |"
        )
    return "\n".join(lines) + "\n"


def _round(count: float) -> int:
    """Two significant digits, upwards."""
    step = 10 ** max(0, len(str(int(count))) - 2)
    return int(-(-count // step) * step)


if __name__ == "__main__":
    main()
