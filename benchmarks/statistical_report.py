"""The report benchmarks/STATISTICAL_SPEED.md: what the fit of the statistical models is off by, on models held back whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibrate_statistical import PYTHON, Times, held_parts, host_times
from benchmarks.statistical_bytes import LARGE_BYTES, Fitted
from benchmarks.statistical_fit import Floats, Scalings, fit_scalings, key_of
from sizing.cpu_names import speed_of
from sizing.statistical.calibration import factor_after
from sizing.statistical.cases import Run
from sizing.statistical.law import on_cpu
from sizing.statistical.score import calibration_point

Bools = NDArray[np.bool_]
XGBOOST = "gradient-boosting-xgboost"
WORST = 20
VARIANTS = 44
TRIED = (
    ("Rows that pay for a cold model", "4, 8, 12, 16, 32", "8"),
    ("Nodes of a tree near the core", "100, 150, 200, 250, 300, 400, 600", "200"),
    ("Nodes of the whole model near the core", "none, 5,000, 13,107 (512 KiB), 20,000", "13,107"),
    ("Exponent of cold rows with the model's size, forests and ONNX Runtime", "0, 0.15, 0.3, 0.45, 0.6", "0.3"),
    ("The same, XGBoost's own engine", "0, 0.3", "0"),
    ("Exponent of LightGBM's work a row", "0.2, 0.25, 0.3, 0.35, 0.4", "0.3"),
    ("Work a row from which it grows, LightGBM", "300, 500, 700", "500"),
    ("Loss turns from squares to straight at [spreads]", "0.7, 1.0, 1.5", "1.0"),
    (
        "Ordinary error of quiet medians and of busy least times",
        "0.05 and 0.12, 0.05 and 0.18, 0.03 and 0.12, 0.03 and 0.18",
        "0.03 and 0.12",
    ),
    ("Cold rows as one number for all trees in ONNX Runtime", "yes, no", "yes"),
    ("Busy least times of cells that were timed quietly too", "kept, left out", "left out"),
    (
        "Prior of a row in small ONNX graphs, and of the scaler's share",
        "10 ns and the linear model's; 100 ns and by feature",
        "the second",
    ),
    ("Prior of resident bytes of neighbours", "wide, as the pickle", "as the pickle"),
)
WHY = (
    (lambda r: r.model.startswith("pipe_"), "the only pipeline measured: held back, nothing but priors speaks for it"),
    (lambda r: r.model.startswith("gbc_"), "the only model of its family: held back, it is taken for another kind of scikit-learn trees"),
    (lambda r: r.model.startswith(("kmeans", "gnb")), "one of two models: a cost a row and a cost a parameter cannot be told apart by the other"),
    (lambda r: r.model.startswith("mlp") and r.cost.id in PYTHON, "busy host only: BLAS beside other work; the same model at other batches agrees"),
    (lambda r: r.cost.id == "onnxruntime" and r.rows in (1, 8, 64) and r.size.trees > 1, "what of the model other work leaves in the caches, at few rows"),
    (lambda r: r.cost.id in PYTHON and r.rows <= 64, "busy host only: its least time of a Python call is still high (quiet models agree within 4 %)"),
)  # fmt: skip


@dataclass(frozen=True)
class Everything:
    """What the report is of."""

    busy: Sequence[Run]
    quiet: Sequence[Run]
    times: Times
    files: Fitted
    resident: Fitted
    load: Fitted
    call: Floats
    rest: Floats
    law: dict[str, float]
    other: Sequence[Run]
    scalings: Scalings


def line(name: str, errors: Floats, inside: Bools | None = None) -> str:
    """One row of a table of errors."""
    if not len(errors):
        return f"| {name} | 0 | | | |"
    share = f"{inside.mean():.0%}" if inside is not None else ""
    return (
        f"| {name} | {len(errors):,} | {np.median(abs(errors)):.1%} | {np.quantile(abs(errors), 0.9):.1%} | {share} |"
    )


def _pair(errors: Floats) -> str:
    return f"{np.median(abs(errors)):.1%} / {np.quantile(abs(errors), 0.9):.1%}"


HEAD = "| | cells | median error | P90 error | in the 80 % interval |\n|---|---|---|---|---|"


def stated(run: Run) -> float:
    """Half-width of the 80 % interval of the constants alone [log], as the catalog now states it."""
    from sizing.statistical.service_time import constants_error

    return constants_error(run.cost)


def one_point(
    call: Floats, loop: Floats, runs: Sequence[Run], powers: Sequence[tuple[float, float]], more: float = 0.0
) -> tuple[Floats, Bools, Run]:
    """Relative errors after the one point that `score statistical` takes, which rows they are of (the point is left out), the point.

    `call` and `loop` are predictions on the measured host [us], `powers` those of the CPU's factor, `more` the error of a busy host.
    """
    fresh = [_fresh(run) for run in runs]
    costs = [
        run.cost.model_copy(update={"call_scaling": a, "loop_scaling": b})
        for run, (a, b) in zip(fresh, powers, strict=True)
    ]
    point = calibration_point(runs)
    assert point is not None
    at = next(i for i, run in enumerate(runs) if run is point)
    error = float(np.hypot(stated(fresh[at]), more))
    speed = factor_after(
        speed_of(point.cpu), costs[at], (float(call[at]), float(loop[at])), point.median_us or 1.0, error
    )
    found = np.array([
        on_cpu(cost=cost, call_us=float(a), loop_us=float(b), speed=speed).us / (run.median_us or 1.0) - 1.0
        for cost, a, b, run in zip(costs, call, loop, runs, strict=True)
    ])  # fmt: skip
    left = np.arange(len(runs)) != at
    return found[left], left, point


def report(of: Everything) -> str:
    """The report in Markdown."""
    times = of.times
    errors, runs = times.errors, times.runs
    quiet = np.arange(len(runs)) < times.quiet
    xgboost = np.array([run.family.id == XGBOOST for run in runs])
    inside = np.array([abs(np.log1p(e)) <= stated(_fresh(run)) for e, run in zip(errors, runs, strict=True)])
    busy_xgboost = np.array([run.family.id == XGBOOST for run in of.busy])
    python = np.array([run.cost.id in PYTHON for run in of.busy])
    medians = np.array([run.median_us or 1.0 for run in of.busy])
    plain = of.call + of.rest
    law = np.where(python, of.law["library_call"], of.law["rest"]) * of.call + of.law["rest"] * of.rest
    powers = {key_of(run): of.scalings.of(key_of(run)) for run in of.busy}
    quiet_powers, busy_powers = ([powers[key_of(run)] for run in some] for some in (of.quiet, of.busy))
    after, left, point = one_point(*held_parts(times, of.quiet), of.quiet, quiet_powers)
    quiet_xgboost = xgboost[quiet][left]
    busy_call = np.where(python, of.law["library_call"], of.law["rest"]) * of.call
    busy_after, left, busy_point = one_point(busy_call, of.law["rest"] * of.rest, of.busy, busy_powers, of.law["error"])
    busy_left = busy_xgboost[left]
    large = of.resident.problem.measured >= LARGE_BYTES
    said = [
        "# Statistical models: fitted constants and what they are off by", "",
        f"Written by `python -m benchmarks.calibrate_statistical` on {date.today().isoformat()}. {len(runs):,} times of "
        f"{len({run.model for run in runs})} models, {len(times.x)} constants with priors; the law is in sizing/statistical/law.py. "
        "Every error is of a model whose rows, in all runtimes, the fit had not seen (leave one model out), except where said.", "",
        "What a time is: the median thread CPU time of a cell timed quietly (19 models, 135 cells), else the least time of a cell "
        "that was timed on a busy host only. Busy medians are 1.12 times quiet ones (median of cells timed both ways), 1.55 times at P90, "
        "by call and at random; no model of the hardware can follow that, so they are not what constants are fitted to.", "",
        "## Goals", "", "| goal, on models held back whole | reached |", "|---|---|",
        f"| XGBoost, median at most 10 % after one point | {_pair(after[quiet_xgboost])} on quiet medians, {_pair(busy_after[busy_left])} on busy ones |",
        f"| all families, median at most 25 % and P90 at most 60 % after one point | {_pair(after)} on quiet medians, {_pair(busy_after)} on busy ones; "
        "another CPU below |",
        f"| file within 3 % | {_pair(of.files.errors)}, {np.mean(abs(of.files.errors) <= 0.03):.0%} of files within |",
        f"| resident within 15 % above 20 MB | {_pair(of.resident.errors[large])}, {np.mean(abs(of.resident.errors[large]) <= 0.15):.0%} within |",
        "", "Pairs are median and P90 of absolute errors.", "",
        "## Held back by model", "", HEAD,
        line("all families, quiet medians", errors[quiet], inside[quiet]),
        line("all families, least times on the busy host", errors[~quiet], inside[~quiet]),
        line("XGBoost, quiet medians", errors[quiet & xgboost], inside[quiet & xgboost]),
        line("XGBoost, least times on the busy host", errors[~quiet & xgboost], inside[~quiet & xgboost]),
        "", "Against medians, as `score statistical` compares them, and after one point of each file "
        f"({point.id} of the quiet file, {busy_point.id} of the busy one):", "", HEAD,
        line("all families, quiet medians, one point", after),
        line("XGBoost, quiet medians, one point", after[quiet_xgboost]),
        line("all families, busy medians, as they are", plain / medians - 1.0),
        line("XGBoost, busy medians, as they are", (plain / medians - 1.0)[busy_xgboost]),
        line("all families, busy medians, busy-host law", law / medians - 1.0),
        line("XGBoost, busy medians, busy-host law", (law / medians - 1.0)[busy_xgboost]),
        line("all families, busy medians, law and one point", busy_after),
        line("XGBoost, busy medians, law and one point", busy_after[busy_left]),
        "", f"The busy-host law: calls of Python libraries take {of.law['library_call']:g} times as long, all else {of.law['rest']:g} "
        "times, where the clock shows that other work had the CPU. Cells timed both ways differ from it by "
        f"{_floor(of):.0%} in the median even with the quiet median known: that is the noise of the busy file, which no prediction beats.",
        "", "## By family and runtime, quiet medians and busy least times together, held back", "",
        "| | models | cells | median error | P90 error | in the 80 % interval | stated P90 |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for key in dict.fromkeys((run.family.id, run.cost.id) for run in runs):
        mine = np.array([(run.family.id, run.cost.id) == key for run in runs])
        one = next(run for run, yes in zip(runs, mine, strict=True) if yes)
        models = len({run.model for run, yes in zip(runs, mine, strict=True) if yes})
        e = abs(errors[mine])
        said.append(
            f"| {one.family.name}, {key[1]} | {models} | {len(e)} | {np.median(e):.1%} | {np.quantile(e, 0.9):.1%} "
            f"| {inside[mine].mean():.0%} | {_fresh(one).cost.error_p90_share:.0%} |"
        )
    said += [
        "",
        "With one model a family's row shows what the priors alone say; with two, what one model says of the other.",
        "",
    ]
    said += _worst(times)
    said += _bytes(of)
    said += _chosen()
    said += _other(of)
    return "\n".join(said) + "\n"


def _fresh(run: Run) -> Run:
    """The run with the constants just written."""
    from dataclasses import replace

    from sizing.catalog import SHIPPED_DIRECTORY, _catalog
    from sizing.catalog_store import read_files, read_yaml

    global _CATALOG
    if _CATALOG is None:
        _CATALOG = _catalog(read_yaml(read_files(SHIPPED_DIRECTORY)))
    family = _CATALOG.statistical_family(run.family.id)
    return replace(run, family=family, cost=family.runtime(run.cost.id) or run.cost)


_CATALOG = None


def _floor(of: Everything) -> float:
    known = {run.id: run.median_us for run in of.quiet}
    both = [run for run in of.busy if run.id in known]
    ratio = np.array([(run.median_us or 1.0) / (known[run.id] or 1.0) for run in both])
    python = np.array([run.cost.id in PYTHON for run in both])
    usual = np.where(python, np.median(ratio[python]), np.median(ratio[~python]))
    return float(np.median(abs(usual / ratio - 1.0)))


def _worst(times: Times) -> list[str]:
    said = [
        "## Worst cells, held back",
        "",
        "| cell | measured (µs) | predicted / measured | seen by the fit | why |",
        "|---|---|---|---|---|",
    ]
    fitted = np.exp(times.problem.logs(times.x)) / times.problem.measured
    for i in np.argsort(-abs(np.log1p(times.errors)))[:WORST]:
        run, measured, _ = times.rows[i]
        said.append(f"| {run.id} | {measured:,.0f} | {times.errors[i] + 1:.2f} | {fitted[i]:.2f} | {why(run)} |")
    return [*said, ""]


def why(run: Run) -> str:
    """What is known of why a cell is off."""
    return next((said for test, said in WHY if test(run)), "not known")


def _bytes(of: Everything) -> list[str]:
    head = "| | models x runtimes | median error | P90 error | worst |\n|---|---|---|---|---|"

    def row(name: str, errors: Floats) -> str:
        e = abs(errors)
        return f"| {name} | {len(e)} | {np.median(e):.2%} | {np.quantile(e, 0.9):.1%} | {e.max():.1%} |"

    large = of.resident.problem.measured >= LARGE_BYTES
    said = ["## Files and memory, held back by model", "", head, row("file", of.files.errors)]
    said += [row("file of 20 kB and more", of.files.errors[of.files.problem.measured >= 2e4])]
    said += [
        row("resident above 20 MB", of.resident.errors[large]),
        row("resident below 20 MB", of.resident.errors[~large]),
    ]
    said += ["", "Beyond 3 % of a file or 15 % of resident bytes above 20 MB:", ""]
    for fit, limit, chosen in ((of.files, 0.03, of.files.problem.measured > 0), (of.resident, 0.15, large)):
        for run, error, yes in zip(fit.rows, fit.errors, chosen, strict=True):
            if yes and abs(error) > limit:
                said.append(
                    f"- {run.model} in {run.cost.id}, {'file' if fit is of.files else 'resident'}: {error:+.1%}"
                )
    load = of.load
    said += [
        "", "Load time, quiet runs, the file in the page cache: off by "
        f"{np.median(abs(load.errors)):.0%} in the median and {np.quantile(abs(load.errors), 0.9):.0%} at P90 "
        f"({len(load.rows)} models x runtimes); under 1 ms it is noise, and a first load pays for code not met before.", "",
    ]  # fmt: skip
    return said


def _chosen() -> list[str]:
    said = [
        "## What was chosen with the folds in view", "",
        f"Constants are never chosen by hand; {VARIANTS} variants of the law and of the loss were fitted and held back, and these were taken "
        "by the held-back error of all families together. Their choice flatters the figures above a little.", "",
        "| choice | tried | taken |", "|---|---|---|",
    ]  # fmt: skip
    return [*said, *(f"| {name} | {tried} | {taken} |" for name, tried, taken in TRIED), ""]


def _other(of: Everything) -> list[str]:
    """How another CPU compares, and the errors there with and without one point."""
    runs = list(of.other)
    factor = speed_of(runs[0].cpu).factor
    call, loop = host_times(of.times, runs)
    measured = np.array([run.median_us or 1.0 for run in runs])
    keys, models = [key_of(run) for run in runs], np.array([run.model for run in runs])
    held, powers = np.zeros(len(runs)), list[tuple[float, float]]([of.scalings.usual] * len(runs))
    usual = np.array([of.scalings.usual] * len(runs))
    for name in dict.fromkeys(models):
        out = models == name
        rest = [key for key, gone in zip(keys, out, strict=True) if not gone]
        scalings = fit_scalings(rest, call[~out], loop[~out], measured[~out], factor)
        for i in np.flatnonzero(out):
            a, b = scalings.of(keys[i])
            held[i], powers[i] = call[i] * factor**a + loop[i] * factor**b, (a, b)
    one = call * factor ** usual[:, 0] + loop * factor ** usual[:, 1]
    xgboost = np.array([key[0] == XGBOOST for key in keys])
    share = call / (call + loop)
    ratio = measured / (call + loop)
    plain, _, point = one_point(call, loop, runs, [(1.0, 1.0)] * len(runs))
    after, left, _ = one_point(call, loop, runs, powers)
    said = [
        "## Another CPU", "",
        f"`benchmarks/statistical_other_cpu.csv`, written by `python -m benchmarks.time_statistical`: {len(set(models))} models, most of sizes "
        f"that the catalog's measurements lack, {len(runs)} cells on {runs[0].cpu} (2 vCPU of a shared machine, Zen 5, L2 1 MB a core, L3 32 MB), "
        "thread CPU time, other rows in every call, each cell the quietest of eight rounds in two runs, as others used the machine.", "",
        "Against the measured host (Zen, 2.0 GHz) the same call takes:", "",
        "| | cells | P10 | median | P90 |", "|---|---|---|---|---|",
        *(_ratios(name, ratio[which]) for name, which in (
            ("calls decide (over 80 % of the time on the host)", share > 0.8), ("rows decide (under 20 %)", share < 0.2), ("all", share >= 0))),
        "", f"The table of sizing/cpu.py has {factor:g} for Zen 5 (recalled: clock x work per clock). Neither calls nor loops keep to one factor, "
        "so each runtime has two powers of it, one for what a call costs and one for its rows "
        f"(usual {of.scalings.usual[0]:.2f} and {of.scalings.usual[1]:.2f}), fitted on this one CPU. On others they are an extrapolation, "
        "which the interval says.", "",
        HEAD,
        line("one factor for all, as recalled", factor * (call + loop) / measured - 1.0),
        line("one factor for all, after one point", plain),
        line("two usual powers for all runtimes", one / measured - 1.0),
        line("powers by runtime, model held back", held / measured - 1.0),
        line("powers by runtime, model held back, one point", after),
        line("XGBoost, powers by runtime, model held back", (held / measured - 1.0)[xgboost]),
        line("XGBoost, powers by runtime, model held back, one point", after[xgboost[left]]),
        "", f"The point is {point.id}. The constants of the host were fitted without any of these rows.", "",
        "Powers by runtime:", "", "| | calls | loops |", "|---|---|---|",
        *(f"| {family}, {runtime} | {a:.2f} | {b:.2f} |" for (family, runtime), (a, b) in of.scalings.by_key.items()), "",
    ]  # fmt: skip
    said += _other_bytes(of)
    return said


def _ratios(name: str, ratio: Floats) -> str:
    return f"| {name} | {len(ratio)} | {np.quantile(ratio, 0.1):.2f} | {np.median(ratio):.2f} | {np.quantile(ratio, 0.9):.2f} |"


def _other_bytes(of: Everything) -> list[str]:
    """Files and memory of the models trained here: their files held back by model, their memory by rules that never saw it."""
    models = {run.model for run in of.other} - {run.model for run in of.busy}
    files = of.files.errors[[run.model in models for run in of.files.rows]]
    once = {(run.model, run.cost.id): run for run in of.other}.values()
    resident = np.array([
        _resident_bytes(_fresh(run)) / run.resident_bytes - 1.0
        for run in once
        if run.resident_bytes and run.resident_bytes >= LARGE_BYTES
    ])  # fmt: skip
    return [
        f"Files of these models, held back: off by {np.median(abs(files)):.2%} in the median, {np.quantile(abs(files), 0.9):.1%} at P90, "
        f"{abs(files).max():.1%} at worst ({len(files)}). Resident bytes above 20 MB here: {np.median(resident):+.0%} in the median, "
        f"{np.quantile(abs(resident), 0.9):.0%} at P90 ({len(resident)}): what a runtime takes with its first call, whatever the model, is 10 MB "
        "on this machine and was 17 MB on the other.",
        "",
    ]  # fmt: skip


def _resident_bytes(run: Run) -> int:
    from sizing.statistical.structure import model_bytes

    names = ("trees", "nodes", "parameters", "outputs", "features", "vectors")
    return model_bytes(run.cost.resident, **{name: getattr(run.size, name) for name in names})
