"""Fit the constants of the speed of networks on measured runs and say how far they are off on runs held back.

python -m benchmarks.calibrate_deep_learning [MEASURED_FOLDER]

Writes catalogs/deep_learning_speed.yaml and benchmarks/DEEP_LEARNING_SPEED.md. Held back are, in turn: quarters of the networks
of the throughput table, quarters of its families, each of its GPUs; quarters of the rows of the batch curves, eighths of the
curves, eighths of what they measure (network, GPU, runtime and precision together), quarters of their networks, each GPU.
"""

from __future__ import annotations

import math
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.deep_learning_fit import Floats, Model, load_runs
from sizing.deep_learning.cases import Run
from sizing.deep_learning.rates import RUNTIMES, architecture

ROOT = Path(__file__).resolve().parents[1]
SPEED, REPORT = ROOT / "catalogs" / "deep_learning_speed.yaml", ROOT / "benchmarks" / "DEEP_LEARNING_SPEED.md"
MEASURED = ROOT.parent / "shared" / "measured"
PARTS, CURVE_PARTS, INSIDE, NORMAL_80 = 4, 8, 0.80, 1.2816
TOGETHER, NETWORKS = 5, 6
"""Places among the ways of holding back of what sets the intervals of batch curves, and of networks without one."""
LEAST = 15
"""Fewest held-out runs that set an interval of their own [count]."""
FEW = 50
"""Held-out runs at which a runtime's own interval counts as much as that of all batch curves [count]."""
UNITS = {
    "efficiency": "share of the rate that can be held, products; factors beyond the first",
    "share": "share of peak bandwidth, above 1 where operators are fused into others; factors beyond the first",
    "width": "output channels at which half the rate is reached",
    "depth": "input channels or keys at which half the rate is reached",
    "kernel_us": "us for each kernel on the GPU",
    "tile": "multiples of 1e6 multiply-adds side by side for each step of a sum",
    "power": "sharpness of the corner of the roofline",
    "kernel_area": "power of (kernel area / 9) by which the rate of depthwise convolutions grows",
    "host_us": "us for each launch on the host",
    "base_ms": "ms for each batch",
    "work": "factor on the GPU's time of a network whose graph was written from its description",
    "transfer_gb_per_s": "GB/s of inputs and outputs through a server",
    "client_ms": "ms of a request when several clients wait, at one",
    "client_power": "power of the clients by which that grows",
}


@dataclass(frozen=True)
class Held:
    """Log errors of runs that were held back in one way."""

    name: str
    curves: bool
    errors: Floats


def part_of(text: str, parts: int = PARTS) -> int:
    """Which part of the data a text falls in; the same on any machine."""
    return zlib.crc32(text.encode()) % parts


def held_back(model: Model, x: Floats) -> list[Held]:
    """Errors of runs held back in each of the ways."""
    gpus = sorted({run.part.id.replace("-16gb", "").replace("-32gb", "").replace("-40gb", "").replace("-80gb", "")
                   for run in model.runs})  # fmt: skip

    def gpu(run: Run) -> int:
        return next(i for i, name in enumerate(gpus) if run.part.id.startswith(name))

    def only(curves: bool, group: Callable[[Run], int]) -> Callable[[Run], int]:
        return lambda run: group(run) if bool(run.network) == curves else -1

    def all_of(run: Run) -> str:
        return f"{run.network}|{run.part.id}|{run.runtime}|{run.precision}"

    ways: list[tuple[str, bool, Callable[[Run], int]]] = [
        ("network", False, lambda run: part_of(run.model)),
        ("family", False, lambda run: part_of(run.found.family + "+")),
        ("GPU", False, gpu),
        ("network, GPU, runtime and precision together", True, lambda run: part_of(all_of(run), CURVE_PARTS)),
        ("network", True, lambda run: part_of(run.network + "+")),
        ("GPU", True, gpu),
    ]
    ways.insert(3, ("rows", True, lambda run: part_of(run.id)))
    ways.insert(
        4,
        (
            "curve",
            True,
            lambda run: part_of(f"{all_of(run)}|{run.clients > 1}|{run.batch if run.clients > 1 else 0}", CURVE_PARTS),
        ),
    )
    return [Held(name, curves, model.held_out(only(curves, group), x)) for name, curves, group in ways]


def intervals(model: Model, held: list[Held]) -> dict[str, tuple[float, float]]:
    """80 % interval of each runtime from runs held back [log below, log above the prediction]; with what a GPU or an
    architecture never measured adds."""
    found: dict[str, tuple[float, float]] = {}
    usual = {False: held[0].errors, True: held[TOGETHER].errors}
    every = _central(-usual[True][model.is_curve])
    for runtime in RUNTIMES:
        mine = np.array([run.runtime == runtime for run in model.runs])
        errors = np.concatenate([usual[curves][mine & (model.is_curve == curves)] for curves in (False, True)])
        if len(errors) >= LEAST:
            own, share = _central(-errors), len(errors) / (len(errors) + FEW)
            found[runtime] = tuple(round(share * a + (1.0 - share) * b, 3) for a, b in zip(own, every, strict=True))
    found["any"] = every

    def more(new: Floats, old: Floats) -> tuple[float, float]:
        far, near = (float(np.quantile(abs(errors[np.isfinite(errors)]), INSIDE)) for errors in (new, old))
        return (round(math.sqrt(max(0.0, far**2 - near**2)), 3),) * 2

    def joined(timm: Held, curves: Held) -> Floats:
        return np.where(model.is_curve, curves.errors, timm.errors)

    found["new gpu"] = more(joined(held[2], held[-1]), joined(held[0], held[TOGETHER]))
    found["new network"] = more(held[NETWORKS].errors, usual[True])
    found["new architecture"] = (0.2, 0.2)
    return found


def _central(spread: Floats) -> tuple[float, float]:
    low, high = np.quantile(spread[np.isfinite(spread)], [(1 - INSIDE) / 2, (1 + INSIDE) / 2])
    return round(max(0.02, -float(low)), 3), round(max(0.02, float(high)), 3)


def widths(model: Model, held: Held, stated: dict[str, tuple[float, float]]) -> tuple[Floats, Floats]:
    """How far each run's interval reaches below and above its prediction [log], as the product states it."""
    gpu = stated["new gpu"][0] if held.name == "GPU" else 0.0
    network = np.where(model.is_curve, stated["new network"][0] if held.name == "network" else 0.0, 0.0)
    further = np.array([run.further for run in model.runs])
    low, high = (
        np.sqrt(
            np.array([stated.get(r.runtime, stated["any"])[end] for r in model.runs]) ** 2
            + further**2
            + network**2
            + gpu**2
        )
        for end in (0, 1)
    )
    return low, high


def inside(model: Model, held: Held, stated: dict[str, tuple[float, float]]) -> NDArray[np.bool_]:
    """Whether each measurement lies in the interval around its prediction."""
    low, high = widths(model, held, stated)
    return np.asarray((-held.errors >= -low) & (-held.errors <= high))


def write_constants(
    model: Model, x: Floats, spread: Floats, stated: dict[str, tuple[float, float]], checked: str, path: Path
) -> None:
    """Write the fitted constants: term, value, 80 % range."""
    lines = [
        "catalog: deep_learning_speed", f"as_of: '{date.today().isoformat()}'",
        "source: fitted by benchmarks/calibrate_deep_learning.py on the timm inference tables (huggingface/pytorch-image-models",
        "  @aa4b5850, RTX 3090, 4090, 5090, RTX PRO 6000) and NVIDIA DeepLearningExamples @729963dd (V100, T4, A100, A30, A40, A10)",
        "trust: fitted", f"checked: {checked}", "units:",
    ]  # fmt: skip
    lines += [f'  {name}: "{unit}"' for name, unit in UNITS.items()]
    lines += [
        "measured:",
        "  gpus:",
        *(f"    {runtime}: [{', '.join(ids)}]" for runtime, ids in seen(model.runs, lambda r: r.part.id)),
    ]
    lines += [f"  networks: [{', '.join(sorted({r.network for r in model.runs if r.network}))}]"]
    lines += ["  architectures:"]
    lines += [
        f"    {runtime}: [{', '.join(names)}]" for runtime, names in seen(model.runs, lambda r: architecture(r.part))
    ]
    lines += ["errors:"]
    lines += [f"  {name}: [{low}, {high}]" for name, (low, high) in stated.items()]
    lines += ["# quantity, level, class of operators, value, low, high; the logs of a run's terms add up", "constants:"]
    for (quantity, level, name), i in sorted(model.places.items()):
        ends = (x[i], x[i] - NORMAL_80 * spread[i], x[i] + NORMAL_80 * spread[i])
        values = ends if quantity == "kernel_area" else tuple(np.exp(ends))
        if abs(x[i] - model.centre[i]) < 1e-3 and spread[i] > 0.999 * model.spread[i]:
            continue  # nothing was learned: the prior says it
        lines.append(f'- [{quantity}, "{level}", "{name}", {", ".join(f"{v:.4g}" for v in values)}]')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def seen(runs: Sequence[Run], of: Callable[[Run], str]) -> list[tuple[str, list[str]]]:
    """What of the GPUs was measured under each runtime."""
    found: dict[str, set[str]] = {}
    for run in runs:
        found.setdefault(run.runtime, set()).add(of(run))
    return [(runtime, sorted(names)) for runtime, names in sorted(found.items())]


def off(run: Run, error: float) -> float:
    """Absolute error of the figure that was measured [1]: latency of a curve, throughput otherwise."""
    return abs(float(np.expm1(error if run.network else -error)))


def _row(name: str, runs: Iterable[Run], errors: Floats, within: NDArray[np.bool_] | None) -> str:
    values = np.array([off(run, e) for run, e in zip(runs, errors, strict=True)])
    share = f"{within.mean():.0%}" if within is not None else ""
    return f"| {name} | {len(values):,} | {np.median(values):.1%} | {np.quantile(values, 0.9):.1%} | {share} |"


def report(
    model: Model, x: Floats, held: list[Held], stated: dict[str, tuple[float, float]], skipped: dict[str, int]
) -> str:
    """The report in Markdown."""
    runs = np.array(model.runs, dtype=object)
    fitted = model.errors(x)
    head = "| | runs | median error | P90 error | in the 80 % interval |\n|---|---|---|---|---|"
    said = [
        "# Speed of networks: fitted constants and what they are off by", "",
        f"Written by `python -m benchmarks.calibrate_deep_learning` on {date.today().isoformat()}. {len(runs):,} runs, "
        f"{len(model.places)} constants with priors, most of them small departures of one GPU or runtime.",
        "Errors are absolute, of throughput for the timm tables and of latency for batch curves.", "",
        "## Held back", "", head,
    ]  # fmt: skip
    for curves, title in ((False, "timm tables"), (True, "batch curves")):
        mine = model.is_curve == curves
        said.append(_row(f"{title}, fitted rows", runs[mine], fitted[mine], None))
        for one in (h for h in held if h.curves == curves):
            ok = mine & np.isfinite(one.errors)
            within = inside(model, one, stated)
            said.append(_row(f"{title}, held back by {one.name}", runs[ok], one.errors[ok], within[ok]))
    for number, title, of in ((2, "Each GPU held back, timm tables", lambda r: r.part.id), (-1, "Each GPU held back, batch curves", lambda r: r.part.id),
                              (TOGETHER, "Batch curves by runtime, held back together", lambda r: RUNTIMES[r.runtime].name),
                              (TOGETHER, "Batch curves by network, held back together", lambda r: r.network)):  # fmt: skip
        one = held[number]
        within = inside(model, one, stated)
        names = np.array([of(run) for run in model.runs])
        said += ["", f"## {title}", "", head]
        for name in sorted(set(names[(model.is_curve == one.curves)])):
            ok = (names == name) & (model.is_curve == one.curves) & np.isfinite(one.errors)
            said.append(_row(name, runs[ok], one.errors[ok], within[ok]))
    said += ["", "## Families of the timm tables, held back, worst first", "", head]
    one = held[1]
    families = np.array([run.found.family for run in model.runs])
    within = inside(model, one, stated)
    rows = []
    for name in sorted(set(families[~model.is_curve])):
        ok = (families == name) & ~model.is_curve
        rows.append((float(np.median(abs(one.errors[ok]))), _row(name, runs[ok], one.errors[ok], within[ok])))
    said += [row for _, row in sorted(rows, reverse=True)[:25]]
    said += [
        "",
        "## Twenty worst networks of the timm tables, held back",
        "",
        "| network | GPU | predicted / measured time | why |",
        "|---|---|---|---|",
    ]
    seen: set[str] = set()
    for i in np.argsort(-abs(np.where(model.is_curve, 0.0, held[0].errors))):
        run = model.runs[i]
        if run.model in seen:
            continue
        seen.add(run.model)
        said.append(f"| {run.model} at {run.size} | {run.part.name} | {np.exp(held[0].errors[i]):.2f} | {why(run)} |")
        if len(seen) == 20:
            break
    said += ["", "## Left out", "", "A row is left out only where no operator graph of its model is to be had.", ""]
    said += [f"- {count} rows: {reason}" for reason, count in sorted(skipped.items(), key=lambda item: -item[1])]
    return "\n".join(said) + "\n"


WHY = (
    ("efficientformerv2", "attention mixed over heads by pointwise convolutions of a few channels: slow kernels in eager PyTorch"),
    ("convmixer", "depthwise 9 x 9 in channels-last order: a kernel of its own, seen in two networks only"),
    ("_cc_", "weights computed for each sample: grouped convolutions over the batch, which a trace of one sample does not show"),
    ("nest", "attention over five dimensions falls back on separate products"),
    ("hiera", "attention over five dimensions falls back on separate products"),
    ("mobileone", "measured with merged branches on some GPUs, with all of them on others"),
    ("repvgg", "measured with merged branches on some GPUs, with all of them on others"),
    ("focalnet", "large depthwise convolutions on long rows, slow when compiled"),
    ("regnet", "groups whose width is no power of two, slow when compiled"),
    ("dla", "groups whose width is no power of two, slow when compiled"),
    ("dpn", "groups whose width is no power of two, slow when compiled"),
    ("swinv2_cr", "windows over a long image: attention in products, partly fused"),
    ("lambda", "a layer of its own that few networks have"),
    ("test_", "too small for the GPU: launches decide"),
)  # fmt: skip


def why(run: Run) -> str:
    """What is known of why a network is off."""
    return next((said for word, said in WHY if word in run.model), "not known")


def main(folder: Path = MEASURED) -> None:
    """Fit, hold back, write the constants and the report."""
    began = time.perf_counter()
    runs, skipped = load_runs(folder)
    model = Model(runs)
    x, spread = model.fit()
    held = held_back(model, x)
    stated = intervals(model, held)
    error = lambda one: np.median([off(r, e) for r, e in zip(runs, one.errors, strict=True) if np.isfinite(e)])  # noqa: E731
    checked = (
        f"throughput is off by {error(held[0]):.0%} in the median on networks held back, {error(held[1]):.0%} on families and "
        f"{error(held[2]):.0%} on GPUs; latency of batch curves by {error(held[TOGETHER]):.0%} where network, GPU and runtime were not seen together"
    )
    write_constants(model, x, spread, stated, checked, SPEED)
    REPORT.write_text(report(model, x, held, stated, dict(skipped)), encoding="utf-8")
    print(f"{len(runs):,} runs, {len(x)} constants, {time.perf_counter() - began:.0f} s; {checked}")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
