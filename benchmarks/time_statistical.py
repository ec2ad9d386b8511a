"""Times statistical models on this machine, in the columns of the measured file: python -m benchmarks.time_statistical [OUT.csv]

Each model and runtime is loaded in a process of its own with one thread; times are thread CPU time of a call, repeated. Models
have sizes that the catalog's measurements lack, beside four that they have, which tell how this CPU compares. Needs the test-only
libraries of requirements-dev.txt; about eight minutes. Run again on the same CPU, the file keeps the quieter timing of each cell.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

REFERENCE = (
    "xgb_100_d6_f20",
    "lgbm_100_l31_f20",
    "rf_100_d8_f20",
    "linreg_f100",
    "logreg_f100",
    "pipe_f100",
    "mlp_128x64_f20",
)
OTHERS = (
    "xgb_300_d8_f50", "xgb_200_d5_f20", "xgb_700_d4_f30", "xgb_100_d6_f20_k3", "lgbm_300_l63_f40", "lgbm_200_l15_f20",
    "lgbm_100_l31_f20_k4", "rf_200_d12_f30", "rf_50_d8_f20_k4", "et_60_d14_f20", "dt_d8_f50", "gbc_150_d4_f20",
    "hgb_200_l31_f20", "logreg_f200_k5", "linreg_f300", "mlp_200x100_f50", "svc_f40_sv4000", "kmeans_c40_f50", "gnb_f50",
    "knnb_f20_sv20000", "pipe_f40",
)  # fmt: skip
OUT = Path(__file__).parent / "statistical_other_cpu.csv"
BATCHES = (1, 8, 64, 512, 4096)
COLUMNS = (
    "model_family", "library", "library_version", "runtime", "n_features", "n_estimators", "max_depth", "n_nodes", "n_leaves",
    "n_support", "params", "batch", "size_bytes", "rss_delta_bytes", "median_us", "cpu_model", "model_id", "wall_median_us",
    "min_us", "n_reps", "path_nodes", "n_trees", "n_outputs", "load_ms", "method", "load1", "measured_on",
)  # fmt: skip
SECONDS_A_BATCH, MOST_CALLS, FEWEST_CALLS = 1.0, 600, 5
DIFFERENT_ROWS, ROUNDS = 8192, 4


def timed(call: Any, inputs: Sequence[Any], seconds: float = SECONDS_A_BATCH) -> dict[str, float]:
    """Median and least thread CPU time, and median wall time, of calls with one input after the other [us].

    Inputs have to differ from call to call, as requests do: a modern core learns the branches of rows that it meets again (64 rows
    through 100 trees took a third of the time a visit when they were the same each time).
    """
    for x in inputs[:3]:
        call(x)
    cpu, wall, until = list[float](), list[float](), time.perf_counter() + seconds
    while len(cpu) < FEWEST_CALLS or (time.perf_counter() < until and len(cpu) < MOST_CALLS):
        x = inputs[len(cpu) % len(inputs)]
        a, b = time.perf_counter_ns(), time.thread_time_ns()
        call(x)
        cpu.append((time.thread_time_ns() - b) / 1e3)
        wall.append((time.perf_counter_ns() - a) / 1e3)
    return {"median_us": median(cpu), "min_us": min(cpu), "wall_median_us": median(wall), "n_reps": len(cpu)}


def resident_bytes() -> int:
    """Resident memory of this process [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def loaded(library: str, runtime: str, path: str, method: str) -> Any:
    """A function from rows to answers, of a model file."""
    if runtime == "onnxruntime":
        return onnx_session(Path(path).read_bytes())
    if runtime == "native_booster":
        if library == "xgboost":
            import xgboost

            booster = xgboost.Booster({"nthread": 1})
            booster.load_model(path)
            return booster.inplace_predict
        import lightgbm

        booster = lightgbm.Booster(model_file=path, params={"num_threads": 1})
        return lambda x: booster.predict(x, num_threads=1)
    if library == "xgboost":
        import xgboost

        model = xgboost.XGBClassifier(n_jobs=1)
        model.load_model(path)
        return model.predict_proba
    import pickle

    return getattr(pickle.loads(Path(path).read_bytes()), method)


def onnx_session(content: bytes) -> Any:
    """A function from rows (or a mapping of inputs) to answers, of an ONNX model on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})


def child(library: str, runtime: str, path: str, method: str, features: int) -> dict[str, Any]:
    """Loads one model and times it; runs in a process of its own."""
    import warnings

    import numpy as np

    warnings.simplefilter("ignore")
    if runtime == "onnxruntime":
        import onnxruntime  # noqa: F401
    elif library == "xgboost":
        import xgboost  # noqa: F401
    elif library == "lightgbm":
        import lightgbm  # noqa: F401
    else:
        import sklearn.ensemble  # noqa: F401
    rng = np.random.default_rng(1)
    before, began = resident_bytes(), time.perf_counter()
    predict = loaded(library, runtime, path, method)
    load_ms = (time.perf_counter() - began) * 1e3
    predict(np.zeros((1, features), np.float32))
    found: dict[str, Any] = {"rss_delta_bytes": resident_bytes() - before, "load_ms": round(load_ms, 3), "batches": {}}
    for _ in range(ROUNDS):  # the machine is shared: the round with the least median is the quietest
        for batch in BATCHES:
            many = rng.normal(size=(max(2 * batch, DIFFERENT_ROWS), features)).astype(np.float32)
            inputs = [many[start : start + batch] for start in range(0, len(many) - batch + 1, batch)]
            times = timed(predict, inputs, SECONDS_A_BATCH / ROUNDS)
            found["batches"][batch] = min(times, found["batches"].get(batch, times), key=lambda t: t["median_us"])
    return found


def cpu_name() -> str:
    """The CPU as the system names it, with family and model, which tell its generation where the name does not."""
    said: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        said.setdefault(key.strip(), value.strip())
    return f"{said.get('model name', platform.machine())} (family {said.get('cpu family')} model {said.get('model')})"


def rows_of(name: str) -> list[dict[str, Any]]:
    """The rows of one model: trained here, timed in processes of their own."""
    from importlib.metadata import version

    from benchmarks.statistical_models import files, train

    trained = train(name)
    package = {"xgboost": "xgboost-cpu", "lightgbm": "lightgbm", "scikit-learn": "scikit-learn"}[trained.library]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for runtime, content in files(trained).items():
            path = Path(folder) / f"model-{runtime}.{'ubj' if trained.library == 'xgboost' else 'bin'}"
            path.write_bytes(content)
            asked = [trained.library, runtime, str(path), trained.method, str(trained.facts["n_features"])]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.time_statistical", "child", *asked],
                capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            said = json.loads(done.stdout.splitlines()[-1])
            for batch, times in said["batches"].items():
                found.append({
                    "model_family": trained.family, "library": trained.library, "library_version": version(package),
                    "runtime": runtime, "batch": batch, "size_bytes": len(content), "cpu_model": cpu_name(), "model_id": name,
                    "rss_delta_bytes": said["rss_delta_bytes"], "load_ms": said["load_ms"], "method": trained.method,
                    "load1": round(os.getloadavg()[0], 1), "measured_on": date.today().isoformat(), **trained.facts,
                    **{key: round(value, 2) for key, value in times.items()},
                })  # fmt: skip
    return found


def main(out: Path = OUT) -> None:
    """Time every model and write the file."""
    rows = []
    for name in (*REFERENCE, *OTHERS):
        rows += rows_of(name)
        print(
            name,
            [
                (r["runtime"], r["batch"], r["median_us"])
                for r in rows
                if r["model_id"] == name and r["batch"] in ("1", "512")
            ],
        )
    rows = quietest(rows, out)
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{len(rows)} rows of {len({r['model_id'] for r in rows})} models written to {out.name}")


def quietest(rows: Sequence[dict[str, Any]], earlier: Path) -> list[dict[str, Any]]:
    """Of each cell the row with the least median, of these and of an earlier run on the same CPU."""
    kept = {(row["model_id"], row["runtime"], str(row["batch"])): row for row in rows}
    if earlier.exists():
        with earlier.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                cell = (row["model_id"], row["runtime"], row["batch"])
                now = kept.get(cell)
                if now and row["cpu_model"] == now["cpu_model"] and float(row["median_us"]) < float(now["median_us"]):
                    kept[cell] = row
    return list(kept.values())


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(child(*sys.argv[2:6], int(sys.argv[6]))))  # type: ignore[arg-type]
    else:
        main(*(Path(argument) for argument in sys.argv[1:2]))
