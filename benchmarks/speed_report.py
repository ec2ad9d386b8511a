"""The table benchmarks/LLM_SPEED.md: error of speed on what was held back, by quantity, engine, model and accelerator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np

from benchmarks.calibrate import HELD_BACK, Figure, Intervals, is_inside
from benchmarks.speed_fit import Measured

SHOWN = ("tpot_ms", "ttft_ms", "output_tokens_per_s", "output_tokens_per_s_per_accelerator", "batch_latency_s",
         "decode_tokens_per_s", "prefill_tokens_per_s", "total_tokens_per_s")  # fmt: skip
WORST = 20
ANCHOR = "AIConfigurator on other rows of the kind: TPOT 22 / 83, TTFT 42 / 89."
REASONS: tuple[tuple[str, Callable[[str, Figure], bool]], ...] = (
    (
        "512 clients at 4 to 6 ms a token after 20 to 120 s: the server's limit of sequences, which the source does not "
        "state, held about a fifth of them in flight",
        lambda id, f: "_c512_" in id and "h100" in id,
    ),
    (
        "requests beyond what memory holds: the wait follows from the KV cache, whose format the source does not state",
        lambda id, f: f.quantity == "ttft_ms" and f.held["rows"] > 10 * f.measured,
    ),
    (
        "prompts of 15,000 tokens at TTFT 0.7 s and 14 ms a token for 400 requests: more than the part's peak allows, "
        "so the prompts were cached",
        lambda id, f: "15000x500" in id,
    ),
    (
        "one accelerator nearly full of weights: fewer requests were held than our KV cache says, the others waited",
        lambda id, f: f.quantity == "ttft_ms" and "_tp1_" in id and f.held["rows"] < f.measured / 3,
    ),
    (
        "first tokens after seconds where neighbours of the same series have fractions of one: compilation or warm-up "
        "within the run",
        lambda id, f: f.quantity == "ttft_ms" and f.held["rows"] < f.measured / 3,
    ),
    (
        "a step several times slower than at twice and half the load of the same series: a disturbed run, or prompts "
        "counted into TPOT",
        lambda id, f: f.quantity == "tpot_ms" and f.held["rows"] < f.measured / 2,
    ),
    (
        "replies of 100 tokens at full load: whether prompts fall before the first token or between tokens decides, and "
        "the source's client paced them",
        lambda id, f: f.quantity == "tpot_ms" and "x100_" in id,
    ),
    (
        "faster than reading the weights allows without multi-token prediction, which the source does not state",
        lambda id, f: f.quantity == "tpot_ms" and "deepseek" in id,
    ),
)
UNEXPLAINED = "not explained"


def report(data: Measured, figures: Sequence[Figure], intervals: Intervals) -> str:
    """The table as Markdown."""
    lines = [
        "# Speed of language models: error on what was held back",
        "",
        f"Made by `python -m benchmarks.calibrate` on {date.today().isoformat()} from {len(data.runs):,} runs. Each figure is "
        "predicted by constants fitted without it: `rows` leaves out a fifth at random, `model` every run of a model, "
        "`accelerator` every run of a part (B200 with GB200). Errors are absolute, % of the measured value, median / P90; "
        "the last number is the share inside the stated 80 % interval, which is wider for a model or part that was not "
        "measured.",
        "",
        f"Left out by rule: {data.copies} rows that repeat another in every cell but name, version and source (figures "
        f"compared at three digits)"
        + "".join(f"; {n} rows: {why}" for why, n in data.skipped.items())
        + ". Nothing else.",
        "",
        f"Goals: TPOT 8 / 30, TTFT 25 / 80, TensorRT-LLM saturated 15, static batches 15, llama.cpp decode 10. {ANCHOR}",
        "",
        "| quantity | figures | " + " | ".join(f"{by} held back" for by in HELD_BACK) + " | fitted to all |",
        "|---|--:|" + "---|" * len(HELD_BACK) + "---|",
    ]
    for quantity in SHOWN:
        mine = [f for f in figures if f.quantity == quantity]
        shipped = [abs(f.shipped / f.measured - 1) * 100 for f in mine]
        cells = [_cell(data, mine, by, intervals) for by in HELD_BACK]
        lines.append(f"| {quantity} | {len(mine):,} | {' | '.join(cells)} | {_two(shipped)} |")
    lines += _by("engine", lambda f: data.runs[f.run].generation, "rows", data, figures, intervals)
    lines += _by("model", lambda f: data.runs[f.run].model, "model", data, figures, intervals)
    lines += _by("accelerator", lambda f: data.runs[f.run].accelerator, "accelerator", data, figures, intervals)
    lines += _worst(data, figures)
    return "\n".join(lines) + "\n"


def _two(errors: Sequence[float]) -> str:
    return f"{np.median(errors):.1f} / {np.quantile(errors, 0.9):.1f}"


def _cell(data: Measured, figures: Sequence[Figure], by: str, intervals: Intervals) -> str:
    inside = np.mean([is_inside(data, f, by, intervals) for f in figures])
    return f"{_two([f.error(by) for f in figures])}, {inside:.0%}"


def _by(
    what: str, key: Callable[[Figure], str], by: str, data: Measured, figures: Sequence[Figure], intervals: Intervals
) -> list[str]:
    lines = [
        "",
        f"## By {what} ({by} held back)",
        "",
        f"| {what} | quantity | figures | error, inside |",
        "|---|---|--:|---|",
    ]
    groups: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures:
        groups.setdefault((key(figure), figure.quantity), []).append(figure)
    for (name, quantity), mine in sorted(groups.items(), key=lambda item: (item[0][0], SHOWN.index(item[0][1]))):
        lines.append(f"| {name} | {quantity} | {len(mine)} | {_cell(data, mine, by, intervals)} |")
    return lines


def _worst(data: Measured, figures: Sequence[Figure]) -> list[str]:
    lines = [
        "",
        f"## The {WORST} worst of TPOT and of TTFT (rows held back), and what explains them",
        "",
        "| run | quantity | measured | predicted | explained by |",
        "|---|---|--:|--:|---|",
    ]
    for quantity in ("tpot_ms", "ttft_ms"):
        mine = [f for f in figures if f.quantity == quantity]
        for f in sorted(mine, key=lambda f: -abs(np.log(f.held["rows"] / f.measured)))[:WORST]:
            run = data.runs[f.run]
            why = next((words for words, test in REASONS if test(run.id, f)), UNEXPLAINED)
            lines.append(f"| {run.id} | {quantity} | {f.measured:.4g} | {f.held['rows']:.4g} | {why} |")
    return lines
