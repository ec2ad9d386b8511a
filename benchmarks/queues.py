"""Queue forms against own event simulations and exact solutions; written to QUEUES.md.

python -m benchmarks.queues            # own settings (a few minutes)
python -m benchmarks.queues CASES.csv  # and a file as `score queues` takes it

Many short independent runs of a queue are simulated side by side, every customer, with seeds of their own. Constant, Erlang and
hyperexponential service at few servers is also solved exactly, which has no noise.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.queue_truth import Phases, erlang, exact_phase_type, hyperexponential
from sizing.batch_simulation import simulate_batcher
from sizing.queueing_constant import constant_service
from sizing.queueing_law import ServiceLaw
from sizing.score import score_with_note
from sizing.score_queues import predicted
from sizing.score_table import summary
from sizing.statistical import micro_batching, processor_sharing
from sizing.statistical.queues import BatchLaw

Floats = NDArray[np.float64]

OUT = Path(__file__).with_name("QUEUES.md")
SEED = 20_261_125
SERVERS = (1, 2, 3, 6, 12, 24)
LOADS = (0.35, 0.55, 0.75, 0.88, 0.93)
LAWS: tuple[tuple[ServiceLaw, float], ...] = (
    ("gamma", 0.0), ("gamma", 0.3), ("gamma", 0.7), ("gamma", 1.0), ("lognormal", 0.3), ("lognormal", 0.8),
    ("lognormal", 1.5), ("lognormal", 2.5), ("hyperexponential", 1.5), ("hyperexponential", 2.5), ("gamma", 1.5),
)  # fmt: skip
METRICS = (
    "mean_wait", "p_wait", "mean_sojourn", "p50_sojourn", "p95_sojourn", "p99_sojourn", "p95_wait", "p99_wait",
)  # fmt: skip
RUNS = 1000
"""Runs of a queue side by side [1]."""
COUNTED = 2500
"""Customers of a run that are counted [1], after as many as the queue needs to forget its start."""
PARTS = 10
"""Parts of the runs between which the spread of a figure is taken [1]."""
CASES = 90


@dataclass(frozen=True)
class Row:
    """One figure: metric, class of CV, error [1], and the simulation's own 95 % half-width over its value [1]."""

    metric: str
    group: str
    error: float
    noise: float
    words: str


def sample(name: ServiceLaw, cv: float, shape: tuple[int, ...], random: np.random.Generator) -> Floats:
    """Service times with mean 1."""
    if name == "lognormal":
        variance = np.log1p(cv**2)
        return random.lognormal(-variance / 2.0, np.sqrt(variance), shape)
    if name == "hyperexponential":
        phases = hyperexponential(cv)
        fast = random.random(shape) < phases.start[0]
        return random.standard_exponential(shape) / np.where(fast, phases.rates[0], phases.rates[1])
    return np.ones(shape) if cv == 0.0 else random.gamma(cv**-2, cv**2, shape)


def simulate(servers: int, load: float, name: ServiceLaw, cv: float, seed: int) -> tuple[Floats, Floats]:
    """Waits and times in system [mean service times]: (customer, run). Each customer takes the server that is free first."""
    random = np.random.default_rng(seed)
    # The start is forgotten in about (1 + cv^2) / (1 - load)^2 services of the whole.
    warm_up = int(min(30_000, 100 * servers + 8 * (1 + cv**2) / (1 - load) ** 2))
    free, now = np.zeros((RUNS, servers)), np.zeros(RUNS)
    run = np.arange(RUNS)
    waits, services = np.empty((COUNTED, RUNS)), np.empty((COUNTED, RUNS))
    for step in range(-warm_up, COUNTED):
        now = now + random.standard_exponential(RUNS) / (load * servers)
        first = free.argmin(axis=1)
        start = np.maximum(now, free[run, first])
        service = sample(name, cv, (RUNS,), random)
        free[run, first] = start + service
        if step >= 0:
            waits[step], services[step] = start - now, service
    return waits, waits + services


def figures(waits: Floats, times: Floats) -> dict[str, tuple[float, float]]:
    """Each metric with the 95 % half-width of the simulation."""
    parts = np.array_split(np.arange(waits.shape[1]), PARTS)

    def both(of: Floats, measure: object) -> tuple[float, float]:
        assert callable(measure)
        each = [measure(of[:, part]) for part in parts]
        return float(measure(of)), float(2.26 * np.std(each, ddof=1) / np.sqrt(PARTS))

    return {
        "mean_wait": both(waits, np.mean),
        "p_wait": both(waits, lambda w: (w > 1e-12).mean()),
        "mean_sojourn": both(times, np.mean),
        **{f"p{p}_sojourn": both(times, lambda t, p=p: np.percentile(t, p)) for p in (50, 95, 99)},
        **{f"p{p}_wait": both(waits, lambda t, p=p: np.percentile(t, p)) for p in (95, 99)},
    }


def simulated_rows() -> list[Row]:
    """Random settings of the grid, other than those of any file."""
    random = np.random.default_rng(SEED)
    found = []
    for case in range(CASES):
        servers, load = int(random.choice(SERVERS)), float(random.choice(LOADS))
        name, cv = LAWS[int(random.integers(len(LAWS)))]
        truth = figures(*simulate(servers, load, name, cv, SEED + case))
        for metric in METRICS:
            value, noise = truth[metric]
            guess = predicted(metric, servers, load, name, cv)
            if value > 0.005 and guess is not None:
                group = "CV up to 1" if cv <= 1.0 else "CV above 1"
                words = f"{name} CV {cv:g}, {servers} servers, load {load:g}"
                found.append(Row(metric, group, guess / value - 1.0, noise / value, words))
    return found


def exact_rows() -> list[Row]:
    """Mean wait and chance of waiting against exact solutions."""
    found = []

    def add(name: ServiceLaw, cv: float, servers: int, load: float, wait: float, delay: float) -> None:
        for metric, value in (("mean_wait", wait), ("p_wait", delay)):
            guess = predicted(metric, servers, load, name, cv)
            assert guess is not None
            words = f"{name} CV {cv:.2g}, {servers} servers, load {load:g}"
            found.append(Row(metric, "CV up to 1" if cv <= 1.0 else "CV above 1", guess / value - 1.0, 0.0, words))

    for load in LOADS:
        for servers in (1, 2, 4, 8, 16, 32, 64):
            if servers <= 16 or load > 0.5:
                delay, wait = constant_service(loads=np.array([load]), servers=servers)
                add("gamma", 0.0, servers, load, float(wait[0]), float(delay[0]))
        for count, most in ((2, 16), (4, 8), (9, 4)):
            for servers in (2, 4, 8, 16):
                if servers <= most:
                    phases: Phases = erlang(count)
                    wait_of, delay_of = exact_phase_type(servers, load, phases)
                    add("gamma", count**-0.5, servers, load, wait_of, delay_of)
        for cv in (1.5, 2.0, 3.0):
            for servers in (2, 4, 8, 16, 32):
                wait_of, delay_of = exact_phase_type(servers, load, hyperexponential(cv))
                if np.isfinite(wait_of):
                    add("hyperexponential", cv, servers, load, wait_of, delay_of)
    return found


def simulate_turns(load: float, cv: float, requests: int, seed: int) -> Floats:
    """Times in system [mean service times] at one core that serves all by turns, every arrival and departure."""
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1.0 / load, requests)).tolist()
    sizes = sample("gamma", cv, (requests,), random).tolist()
    now, served, at = 0.0, 0.0, 0
    there: list[tuple[float, int]] = []
    times = np.empty(requests)
    while at < requests or there:
        ends = now + (there[0][0] - served) * len(there) if there else np.inf
        if at < requests and arrivals[at] <= ends:
            served += (arrivals[at] - now) / len(there) if there else 0.0
            now = arrivals[at]
            heapq.heappush(there, (served + sizes[at], at))
            at += 1
        else:
            served, now = there[0][0], ends
            _, who = heapq.heappop(there)
            times[who] = now - arrivals[who]
    return times[requests // 10 :]


def turns_rows() -> list[Row]:
    """Processor sharing against its simulation."""
    found = []
    for cv in (0.0, 0.3, 1.0):
        for load in (0.2, 0.4, 0.6, 0.8, 0.9):
            times = simulate_turns(load, cv, 400_000, SEED)
            guess = processor_sharing.quantiles(loads=np.array([load]), cv=cv, shares=np.array([0.5, 0.95, 0.99]))[0]
            for p, value in zip((50, 95, 99), guess, strict=True):
                error = float(value / np.percentile(times, p) - 1.0)
                found.append(Row(f"p{p}_sojourn", "by turns", error, 0.0, f"CV {cv:g}, load {load:g}"))
    return found


def batch_rows() -> list[Row]:
    """Micro-batching against the event simulation of the batcher."""
    found = []
    for call, each, largest in ((0.6, 0.9, 8), (0.6, 0.9, 32), (19.0, 0.9, 16), (0.05, 0.9, 16), (0.5, 0.2, 64)):
        for delay in (0.0, 2.0, 10.0):
            law = BatchLaw(call_ms=call, each_ms=each, largest=largest, delay_ms=delay)
            for load in (0.1, 0.3, 0.5, 0.7, 0.85):
                run = simulate_batcher(
                    t0_ms=call,
                    k_ms=each,
                    max_batch=largest,
                    rate_per_ms=load / micro_batching.service_ms(law),
                    delay_ms=delay,
                    requests=300_000,
                    seed=SEED,
                )
                guess = micro_batching.times_ms([law], [load])[0]
                words = f"{call:g} ms + {each:g} ms a request, up to {largest}, delay {delay:g} ms, load {load:g}"
                for p, value in zip((50, 95, 99), guess, strict=True):
                    found.append(Row(f"p{p}_sojourn", "batches", float(value / run.percentile_ms(p) - 1.0), 0.0, words))
    return found


def table(rows: Sequence[Row]) -> list[str]:
    """Errors by metric and class: n, median, P80, P90, worst, and the median of the simulations' own half-widths."""
    lines = [
        "| metric | class | n | median | P80 | P90 | worst | own 95 % half-width, median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for metric, group in dict.fromkeys((row.metric, row.group) for row in rows):
        chosen = [row for row in rows if (row.metric, row.group) == (metric, group)]
        errors = np.abs([row.error for row in chosen])
        worst = chosen[int(errors.argmax())]
        lines.append(
            f"| {metric} | {group} | {len(chosen)} | {np.median(errors):.2%} | {np.quantile(errors, 0.8):.2%} | "
            f"{np.quantile(errors, 0.9):.2%} | {worst.error:+.1%} ({worst.words}) | {np.median([row.noise for row in chosen]):.2%} |"
        )
    return lines


def file_lines(path: str) -> list[str]:
    """What `score queues` says of a file."""
    scored, note = score_with_note("queues", Path(path).read_text(encoding="utf-8"))
    return ["", f"## {Path(path).name}", "", "```", *(summary(scored) + note).splitlines(), "```"]


def main() -> None:
    """Run all and write the tables."""
    simulated = sorted(simulated_rows(), key=lambda row: (METRICS.index(row.metric), row.group[3] == "a"))
    lines = [
        "# Queues: forms against simulations and exact solutions",
        "",
        f"Generated by `python -m benchmarks.queues`, {date.today()}. Errors are form / truth - 1.",
        "",
        "## M/G/c, own simulation",
        "",
        f"{CASES} random settings: servers {SERVERS}, loads {LOADS}, laws {', '.join(f'{n} CV {c:g}' for n, c in LAWS)}; the law is given. "
        f"{RUNS:,} runs of {COUNTED:,} counted customers each; values under 0.005 mean service times are left out.",
        "",
        *table(simulated),
        "",
        "## M/G/c, exact solutions",
        "",
        "Constant service by Crommelin's zeros, Erlang and hyperexponential service by matrix-geometric solution (benchmarks/queue_truth.py).",
        "",
        *table(exact_rows()),
        "",
        "## Served by turns (thread pools)",
        "",
        *table(turns_rows()),
        "",
        "## Micro-batching",
        "",
        "Event simulations of 300,000 requests at one worker.",
        "",
        *table(batch_rows()),
    ]
    for path in sys.argv[1:]:
        lines += file_lines(path)
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
