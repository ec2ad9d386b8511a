"""How long the event simulation takes, beside the same simulation step by step; written to SIMULATION.md.

python -m benchmarks.simulation
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from sizing.llm.simulation import Limits, Simulated, StepCost, simulate, simulate_closed
from sizing.llm.traces import fixed, make_trace
from tests.llm.simulation_reference import StepByStep

REPEATS = 7
TARGET_MS = 100.0
BATCH = 64
COST = StepCost(8.0 + 0.05 * np.arange(BATCH + 1), 3e-5, 0.03, 1e-6, 5.0)  # about an 8B model on an H100
ROOMY, TIGHT = Limits(BATCH, 2048, 400_000), Limits(BATCH, 2048, 40_000)
SHORT_CHUNKS, WHOLE = Limits(BATCH, 256, 400_000), Limits(BATCH, 2048, 400_000, chunked=False)
SPECULATIVE = Limits(BATCH, 2048, 400_000, tokens_per_step=2.37)


def open_loop(
    limits: Limits, rate_per_s: float, *, count: int = 1000, output: int = 250
) -> tuple[Callable[[], Simulated], Callable[[], object]]:
    """The event simulation of a trace, and the one step by step."""
    trace = make_trace(
        rate_per_s=rate_per_s,
        count=count,
        prompt_tokens=1000,
        output_tokens=output,
        prompt_cv=0.8,
        output_cv=0.8,
        seed=1,
    )
    return lambda: simulate(COST, limits, trace), lambda: StepByStep(COST, limits, trace)


def closed_loop(clients: int) -> tuple[Callable[[], Simulated], None]:
    """The event simulation of a closed loop of 1,000 requests."""
    return (
        lambda: simulate_closed(
            COST, ROOMY, clients=clients, requests=1000, prompt_tokens=fixed(1000, 1000), output_tokens=250
        ),
        None,
    )


CASES = {
    "70 % of load": open_loop(ROOMY, 7.7),
    "40 % of load": open_loop(ROOMY, 4.4),
    "130 % of load": open_loop(ROOMY, 14.3),
    "70 %, KV short, preempting": open_loop(TIGHT, 7.7),
    "70 %, chunks of 256": open_loop(SHORT_CHUNKS, 7.7),
    "70 %, whole prompts": open_loop(WHOLE, 7.7),
    "70 %, 2.37 tokens a step": open_loop(SPECULATIVE, 7.7),
    "replies of 2,000 tokens": open_loop(ROOMY, 1.2, output=2000),
    "20,000 requests, 70 %": open_loop(ROOMY, 7.7, count=20_000),
    "closed loop, 48 clients": closed_loop(48),
}


def best_ms(run: Callable[[], object], repeats: int) -> tuple[float, object]:
    """Least wall time [ms] of some runs, and the result of the last."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = run()
        times.append((time.perf_counter() - start) * 1000.0)
    return min(times), result


def main() -> None:
    """Measure and write the table."""
    lines = [
        "# Event simulation of one replica",
        "",
        f"Written by `python -m benchmarks.simulation` on {date.today()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}. 1,000 requests unless said, prompt 1,000 and output 250 tokens in the mean, both "
        f"lognormal with CV 0.8, batch up to {BATCH}; best of {REPEATS} runs. Target: under {TARGET_MS:g} ms.",
        "",
        "| case | event simulation (ms) | events | steps | preemptions | per event (µs) | step by step (ms) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (fast, slow) in CASES.items():
        fast_ms, done = best_ms(fast, REPEATS)
        assert isinstance(done, Simulated)
        slow_text = "–" if slow is None or len(done.e2e_ms) > 1000 else f"{best_ms(slow, 1)[0]:,.0f}"
        lines.append(
            f"| {name} | {fast_ms:.1f} | {done.events:,} | {done.steps:,} | {done.preemptions.sum():,} "
            f"| {fast_ms * 1000 / done.events:.1f} | {slow_text} |"
        )
    text = "\n".join(lines) + "\n"
    Path(__file__).with_name("SIMULATION.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
