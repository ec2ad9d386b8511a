"""Times preprocessing steps on this machine: python -m benchmarks.time_statistical_steps [OUT.csv]

A step costs what a pipeline of the step and a linear model takes more than the linear model alone on what the step gives, in
scikit-learn and in ONNX Runtime, by rows a call and features. Thread CPU time, one thread, other rows in each call. Needs the
test-only libraries of requirements-dev.txt; about ten minutes.
"""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.time_statistical import cpu_name, onnx_session, timed

OUT = Path(__file__).parent / "statistical_steps_other_cpu.csv"
BATCHES, FEATURES = (1, 64, 1024), (5, 20, 80)
WORDS = np.array(["red", "green", "blue", "black", "white", "yellow", "brown", "violet"], dtype=object)
SECONDS = 0.5
COLUMNS = (
    "kind",
    "step",
    "runtime",
    "features_in",
    "features_out",
    "batch",
    "step_us",
    "pipeline_us",
    "model_us",
    "cpu_model",
    "measured_on",
)
WIDEST_POLYNOMIAL = 20


def steps() -> dict[str, Callable[[], Any]]:
    """The step measured for each kind."""
    from sklearn.feature_selection import SelectKBest
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import Normalizer, OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler

    return {
        "scale": StandardScaler,
        "impute": SimpleImputer,
        "one_hot": lambda: OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
        "ordinal": OrdinalEncoder,
        "select": lambda: SelectKBest(k="all"),
        "normalize": Normalizer,
        "polynomial": lambda: PolynomialFeatures(2),
    }


def table(kind: str, rows: int, features: int, rng: Any) -> Any:
    """Rows of input: words for encoders, numbers otherwise, one in twenty of them missing for an imputer."""
    if kind in ("one_hot", "ordinal"):
        return WORDS[rng.integers(0, len(WORDS), (rows, features))]
    x = rng.normal(size=(rows, features)).astype(np.float32)
    if kind == "impute":
        x[rng.random(x.shape) < 0.05] = np.nan
    return x


def measured(kind: str, make: Callable[[], Any], features: int) -> list[dict[str, Any]]:
    """Rows of one kind at one width, in both runtimes."""
    from skl2onnx import to_onnx
    from sklearn.feature_selection import SelectKBest
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import Pipeline

    rng = np.random.default_rng(3)
    x, y = table(kind, 2000, features, rng), rng.normal(size=2000)
    step = make()
    if isinstance(step, SelectKBest):
        step.k, step.score_func = max(1, features // 2), lambda x, y: abs((x * y[:, None]).mean(axis=0))
    given = np.asarray(step.fit_transform(x, y))
    alone = LinearRegression().fit(given, y)
    whole = Pipeline([("step", step), ("model", alone)])
    # scikit-learn hands the model what the step gives; ONNX Runtime computes in float32 throughout.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onnx_whole = onnx_session(
            bytes(to_onnx(whole, x[:1], target_opset={"": 18, "ai.onnx.ml": 3}).SerializeToString())
        )
        onnx_alone = onnx_session(
            bytes(
                to_onnx(alone, given[:1].astype(np.float32), target_opset={"": 18, "ai.onnx.ml": 3}).SerializeToString()
            )
        )
    found = []
    for batch in BATCHES:
        many = table(kind, max(2 * batch, 4096), features, rng)
        inputs = [many[i : i + batch] for i in range(0, len(many) - batch + 1, batch)]
        outputs = [np.asarray(step.transform(one)) for one in inputs]
        halves = [one.astype(np.float32) for one in outputs]
        pairs = {
            "native": ((whole.predict, inputs), (alone.predict, outputs)),
            "onnxruntime": ((onnx_whole, inputs), (onnx_alone, halves)),
        }
        for runtime, (with_step, without) in pairs.items():
            # Least of repeats taken in turn: what other work on the machine adds is left out of both sides of the difference.
            a, b = (
                min(timed(call, xs, SECONDS / 3)["median_us"] for _ in range(3)) for call, xs in (with_step, without)
            )
            found.append({
                "kind": kind, "step": type(step).__name__, "runtime": runtime, "features_in": features,
                "features_out": given.shape[1], "batch": batch, "step_us": round(a - b, 3), "pipeline_us": a, "model_us": b,
                "cpu_model": cpu_name(), "measured_on": date.today().isoformat(),
            })  # fmt: skip
    return found


def main(out: Path = OUT) -> None:
    """Time every kind and write the file."""
    rows = []
    for kind, make in steps().items():
        for features in FEATURES:
            if kind == "polynomial" and features > WIDEST_POLYNOMIAL:
                continue
            try:
                rows += measured(kind, make, features)
            except Exception as problem:
                print(f"{kind} of {features} features: left out, {type(problem).__name__} {str(problem)[:200]}")
        print(kind, [(r["runtime"], r["features_in"], r["batch"], r["step_us"]) for r in rows if r["kind"] == kind])
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
