"""How far the predicted GPU memory of deep learning models is from what others measured: writes DEEP_LEARNING_MEMORY.md.

    python -m benchmarks.deep_learning_memory deep_learning_memory.csv

The columns of the file: source, model, gpu, framework, precision, batch, seq_or_img, memory_mb, memory_kind, notes. A row is
predicted where its model, runtime, batch and what was measured are known; others are counted with the reason. Two errors are
given: with the constants of catalogs/deep_learning_runtimes.yaml, which saw these rows, and held back by model: the floor of a
runtime is then the median of what the other models leave, and a model with no other of its runtime keeps no such figure.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from sizing.catalog import Catalog, load
from sizing.deep_learning.graph import Graph, graph
from sizing.deep_learning.memory import gpu_memory
from sizing.deep_learning.runtime_memory import memory_rule
from sizing.plan import Memory
from sizing.scenario_deep_learning import Attention, DeepLearningPrecision, DeepLearningRuntime
from sizing.units import MB, MIB

OUT = Path(__file__).with_name("DEEP_LEARNING_MEMORY.md")
MODELS = {
    "BAAI/bge-base-en-v1.5": "bge-base-en-v1.5",
    "bert-base-uncased": "bert-base-uncased",
    "bert-base (random cfg)": "bert-base-uncased",
    "resnet50_libtorch": "torchvision-resnet50",
    "whisper-large-v2": "whisper-large-v2-speech-to-text",
    "whisper-large-v3": "whisper-large-v3-speech-to-text",
    "whisper-large-v3-turbo": "whisper-large-v3-turbo-speech-to-text",
    "SDXL base 1.0 pipeline": "stable-diffusion-xl",
}
UNFUSED = ("BAAI/bge-base-en-v1.5", "bert-base-uncased", "bert-base (random cfg)")
"""Measured with software that writes the attention scores out (transformers 2.11 and 4.34)."""

WITH_PYTORCH = "optimum-benchmark"
"""Source whose ONNX Runtime runs pass tensors of PyTorch on the GPU: the process holds PyTorch's floor too."""


@dataclass(frozen=True)
class Row:
    """One measured row and what is predicted for it [MB]; `because` says why nothing is."""

    model: str
    runtime: str
    gpu: str
    setting: str
    measured_mb: float
    memory: Memory | None = None
    because: str | None = None

    @property
    def predicted_mb(self) -> float:
        """Predicted memory [MB]."""
        return self.memory.used_bytes / MB if self.memory else 0.0

    @property
    def error(self) -> float:
        """Predicted over measured - 1 [1]."""
        return self.predicted_mb / self.measured_mb - 1.0

    @property
    def inside(self) -> bool:
        """Whether the measured figure is inside the 80 % interval."""
        low, high = (self.memory.used_low_bytes, self.memory.used_high_bytes) if self.memory else (None, None)
        return low is not None and high is not None and low <= self.measured_mb * MB <= high


def runtime_of(framework: str, notes: str) -> tuple[DeepLearningRuntime | None, str]:
    """The runtime of a row, or None and why."""
    name = framework.lower()
    if "tensorrtexecution" in name:
        return "onnxruntime_tensorrt", ""
    if name.startswith("onnxruntime"):
        return "onnxruntime", ""
    if "tensorflow" in name:
        return None, "TensorFlow is not modelled"
    if "tensorrt" in name:
        return "tensorrt", ""
    if "whisper.cpp" in name:
        return None, "whisper.cpp is not modelled"
    if "diffusers" in name and "compile" in notes:
        return "torch_compile", ""
    if any(word in name for word in ("pytorch", "libtorch", "diffusers", "transformers", "whisper", "infinity")):
        return "pytorch_eager", ""
    return None, f"{framework} is not modelled"


def refused(cells: dict[str, str]) -> str | None:
    """Why a row is not predicted, by what it says; None if it may be."""
    model, notes, kind = cells["model"], cells["notes"], cells["memory_kind"]
    if "host RAM" in kind or "CPU" in cells["gpu"]:
        return "host memory of a CPU run"
    if "rounded" in kind:
        return "rounded by the vendor"
    if model.startswith(("(none)", "add_sub")):
        return "no model: it is the floor itself"
    if "assumed" in notes:
        return "the batch is assumed, not stated"
    if any(word in notes for word in ("offload", "slicing", "Tiny", "precomputed")):
        return "a technique that is not modelled (offloading, slicing, another decoder)"
    if "nf4" in notes or "nf4" in cells["precision"]:
        return "nf4 weights are not modelled"
    if "weights (engine" in kind or "execution-context" in kind or "activation device memory" in kind:
        return "a part of the memory, or a profile's largest batch that is not stated"
    if model not in MODELS:
        return "the catalog has no trace of the model"
    if not cells["batch"].isdigit():
        return "the batch is not stated"
    return None


def facts_of_row(catalog: Catalog, cells: dict[str, str]) -> Graph:
    """The graph of a row at its input size."""
    id, size = MODELS[cells["model"]], None
    if (found := re.search(r"seq(\d+)", cells["seq_or_img"])) is not None:
        size = int(found[1])
    attention: Attention = "math" if cells["model"] in UNFUSED else "fused"
    return graph(catalog, id, input_size=size, attention=attention)


def predict(catalog: Catalog, cells: dict[str, str]) -> Row:
    """One row of the file, predicted where it can be."""
    scale = MIB / MB if "MiB" in cells["memory_kind"] or "whisper" in cells["model"] else 1.0
    measured = float(cells["memory_mb"]) * scale
    setting = f"{cells['precision']}, batch {cells['batch']}, {cells['seq_or_img']}"
    runtime, because = runtime_of(cells["framework"], cells["notes"])
    why = (None if runtime else because) or refused(cells)
    name = "none" if runtime is None else runtime
    if why or runtime is None:
        return Row(cells["model"], name, cells["gpu"], setting, measured, because=why)
    precision: DeepLearningPrecision = (
        "fp16" if cells["precision"] == "fp16" else "int8" if cells["precision"] == "int8" else "fp32"
    )
    memory = gpu_memory(
        facts_of_row(catalog, cells),
        runtime=runtime,
        precision=precision,
        batch=int(cells["batch"]),
        capacity_bytes=1,
    )
    if runtime.startswith("onnxruntime") and WITH_PYTORCH in cells["source"]:
        memory = _with_pytorch(memory)
    return Row(MODELS[cells["model"]], name, cells["gpu"], setting, measured, memory=memory)


def _with_pytorch(memory: Memory) -> Memory:
    """The memory with the floor of eager PyTorch beside."""
    floor = memory_rule("pytorch_eager").floor
    low, high = memory.used_low_bytes or memory.used_bytes, memory.used_high_bytes or memory.used_bytes
    beside = round(floor.value)
    return replace(
        memory,
        parts={**memory.parts, "runtime_floor": memory.parts["runtime_floor"] + beside},
        used_bytes=memory.used_bytes + beside,
        used_low_bytes=low + round(floor.low),
        used_high_bytes=high + round(floor.high),
    )


def held_back(rows: list[Row]) -> dict[int, float]:
    """Error of each row with the floor of its runtime from the other models [1], by its place in the list."""
    left = {
        (r.runtime, r.model): median(
            o.measured_mb - o.predicted_mb + _floor_mb(o) for o in rows if (o.runtime, o.model) == (r.runtime, r.model)
        )
        for r in rows
    }
    found = {}
    for position, row in enumerate(rows):
        others = [floor for (runtime, model), floor in left.items() if runtime == row.runtime and model != row.model]
        if others:
            found[position] = (row.predicted_mb - _floor_mb(row) + median(others)) / row.measured_mb - 1.0
    return found


def _floor_mb(row: Row) -> float:
    return row.memory.parts["runtime_floor"] / MB if row.memory else 0.0


def report(rows: list[Row]) -> str:
    """The table as Markdown."""
    done = [row for row in rows if row.memory is not None]
    skipped = Counter(row.because for row in rows if row.memory is None)
    free = held_back(done)
    lines = [
        "# GPU memory of deep learning models: predicted against measured",
        "",
        "Made by `python -m benchmarks.deep_learning_memory deep_learning_memory.csv`; not edited by hand.",
        "",
        f"{len(rows)} rows, {len(done)} predicted, {len(rows) - len(done)} not. MB are 10^6 bytes. The ONNX Runtime rows are of one "
        "model on one GPU whose process held PyTorch too, so PyTorch's floor is added to them; the rows of faster-whisper and "
        "transformers are predicted as eager PyTorch.",
        "",
        "| Runtime | Rows | Models | Median error | P90 | Rows held back by model | Median error held back | In the 80 % interval |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups = [(name, [r for r in done if r.runtime == name]) for name in dict.fromkeys(r.runtime for r in done)]
    for name, group in [*groups, ("all", done)]:
        errors = sorted(abs(r.error) for r in group)
        apart = [abs(free[i]) for i, r in enumerate(done) if r in group and i in free]
        lines.append(
            f"| {name} | {len(group)} | {len({r.model for r in group})} | {median(errors):.1%} | "
            f"{errors[min(len(errors) - 1, int(0.9 * len(errors)))]:.1%} | {len(apart)} | "
            f"{f'{median(apart):.1%}' if apart else 'one model only'} | {sum(r.inside for r in group) / len(group):.0%} |"
        )
    lines += ["", "## Not predicted", "", "| Rows | Because |", "|---|---|"]
    lines += [f"| {count} | {because} |" for because, count in skipped.most_common()]
    lines += [
        "",
        "## Every predicted row",
        "",
        "| Model | Runtime | GPU | Setting | Measured MB | Predicted MB | Error |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.model} | {r.runtime} | {r.gpu} | {r.setting} | {r.measured_mb:,.0f} | {r.predicted_mb:,.0f} | {r.error:+.1%} |"
        for r in done
    ]
    return "\n".join(lines) + "\n"


def main(path: str) -> None:
    """Predict the rows of a file and write the table."""
    catalog = load()
    with open(path, newline="", encoding="utf-8") as file:
        rows = [predict(catalog, cells) for cells in csv.DictReader(file)]
    OUT.write_text(report(rows), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
