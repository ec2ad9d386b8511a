"""Measured runs as the speed model sees them: rows of a throughput table or of a file of batch curves become `Run`s."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator
from sizing.deep_learning import networks
from sizing.deep_learning.networks import Found
from sizing.deep_learning.rates import RUNTIMES, sustained_flops
from sizing.deep_learning.speed import Runs, join
from sizing.errors import InputError
from sizing.score_table import Case

Floats = NDArray[np.float64]

THROUGHPUT_COLUMNS = (
    "id",
    "model",
    "accelerator",
    "precision",
    "framework",
    "img_size",
    "batch_size",
    "samples_per_sec",
)
CURVE_COLUMNS = ("id", "model", "accelerator", "runtime", "precision", "batch", "latency_ms")
OTHER_LAYOUT_ERROR = 0.25
"""Further error of runs in channels-last order, which was not measured [log, 80 %]; a guess."""
PRECISIONS = {
    "amp": "amp", "fp16": "fp16", "float16": "fp16", "half": "fp16", "amp/mixed": "amp", "mixed": "amp", "bf16": "bf16",
    "bfloat16": "bf16", "fp32": "fp32", "float32": "fp32", "tf32": "tf32", "int8": "int8", "": "fp16",
}  # fmt: skip
NETWORK_OF: tuple[tuple[str, str, int | None], ...] = (
    (r"gpunet.*05ms-d", "gpunet-p0", None), (r"gpunet.*065ms", "gpunet-0", None), (r"gpunet.*085ms", "gpunet-1", None),
    (r"gpunet.*08ms-d", "gpunet-p1", None), (r"gpunet.*125ms-d", "gpunet-d1", None), (r"gpunet.*175ms", "gpunet-2", None),
    (r"gpunet.*225ms-d", "gpunet-d2", None), (r"se-?resnext101", "seresnext101_32x4d", 224),
    (r"resnext101", "resnext101_32x4d", 224), (r"rn50|resnet-?50|convnets/triton$", "resnet50", 224),
    (r"efficientnet.*(-b4|_b4)|efficientnet_v1.*380", "efficientnet_b4", 380), (r"efficientnet_v2", "efficientnetv2_s", 384),
    (r"efficientnet.*(-b0|_b0)|efficientnet_v1", "efficientnet_b0", 224), (r"bert.*dist4l", "bert-dist-4l", 384),
    (r"bert.*dist6l|distilbert", "bert-dist-6l", 384), (r"electra.*base|bert.*base", "bert-base", 384),
    (r"bge-base", "bert-base", 384), (r"^bert|bert-?large", "bert-large", 384), (r"^tft|temporal.?fusion", "tft", None),
    (r"wide.?and.?deep|wide.?&.?deep", "wide-and-deep", None), (r"dcn", "dcnv2", None), (r"dlrm", "dlrm", None),
    (r"^ncf", "ncf", None), (r"^ssd", "ssd320", None), (r"^unet_medical", "unet-medical", None),
    (r"unet_3d|unet3d|3d.?unet", "unet3d-medical", None), (r"nnunet.*2d", "nnunet-2d", None), (r"nnunet", "nnunet-3d", None),
)  # fmt: skip
"""Names of NVIDIA DeepLearningExamples, as patterns, and the network of the file at its size."""


AUTOCAST = ("eager", "pytorch")
"""Runtimes that cast at run time where the precision is mixed; the others convert the graph."""


class SkipError(Exception):
    """A case that cannot be predicted, and why."""


@dataclass(frozen=True)
class Run:
    """One run: its network, where and how it ran, samples in a batch, requests in flight; measured time of a batch [ms]."""

    id: str
    model: str
    found: Found
    part: Accelerator
    runtime: str
    precision: str
    batch: float
    clients: float
    size: int
    measured_ms: float | None
    further: float = 0.0
    network: str = ""  # of batch curves

    @property
    def samples(self) -> float:
        """Samples in flight: what the server has to work off for one of its clients [count]."""
        return self.batch * self.clients


def _part(case: Case, catalog: Catalog) -> Accelerator:
    name = case.text("accelerator")
    try:
        return catalog.accelerator(name)
    except InputError:
        raise SkipError(f"accelerator {name or 'without a name'} is not in the catalog") from None


def _precision(case: Case, part: Accelerator) -> str:
    text = case.text("precision").lower()
    if text not in PRECISIONS:
        raise SkipError(f"precision {text} is not modelled")
    precision = PRECISIONS[text]
    if sustained_flops(part, precision) is None or not part.fp32_tflops:
        raise SkipError(f"{part.name} has no rate for {precision} in the catalog")
    return precision


def throughput_run(case: Case, catalog: Catalog) -> Run:
    """A row of a table of throughputs. Raises SkipError for one that cannot be predicted, InputError for bad cells."""
    part = _part(case, catalog)
    precision = _precision(case, part)
    model, framework = case.text("model"), case.text("framework").lower()
    size = int(case.number("img_size") or 0) or None
    batch = case.number("batch_size") or 1.0
    parameters, macs, outputs = (_amount(case, name) for name in ("param_count_m", "gmacs", "macts"))
    found = networks.known(model, size, parameters * 1e6 if parameters else None)
    if found is None:
        if not macs:
            raise SkipError(f"no operators are known of {model}, and the row states no gmacs")
        found = networks.borrowed(
            model, macs * 1e9, outputs * 1e6 if outputs else None, parameters * 1e6 if parameters else None
        )
    rate = case.number("samples_per_sec")
    compiled = any(word in framework for word in ("compile", "dynamo", "inductor"))
    other = OTHER_LAYOUT_ERROR if "nhwc" in framework or "channels_last" in framework else 0.0
    return Run(
        case.text("id"), model, found, part, "compile" if compiled else "eager", precision, batch, 1.0, size or 0,
        batch / rate * 1e3 if rate else None, float(np.hypot(found.error, other)),
    )  # fmt: skip


def _amount(case: Case, column: str) -> float | None:
    return case.number(column) if case.text(column) else None


def runtime_of(text: str, section: str) -> str | None:
    """Measured runtime by the name in a file of batch curves and the heading of its table, or None.

    >>> runtime_of("Triton/ONNX Runtime+NVIDIA TensorRT", ""), runtime_of("TensorFlow1", "Mixed Precision + XLA")
    ('triton_orttrt', 'tf1_xla')
    """
    name, heading = text.lower().replace(" ", ""), section.lower()
    if "triton" in name:
        if "hps" in name:
            return "triton_hps"
        if "onnx" in name or "ort" in name:
            return "triton_orttrt" if "tensorrt" in name or "trt" in name else "triton_ort"
        if "tensorflow" in name or "?+tensorrt" in name:
            return "triton_tftrt" if "tensorrt" in name else "triton_tf"
        return "triton_trt" if "tensorrt" in name else "triton_torch"
    xla = "_xla" if "xla" in heading or "xla" in name else ""
    for word, runtime in (
        ("tensorflow1", "tf1" + xla),
        ("tensorflow2", "tf2" + xla),
        ("tensorflow", "tf2" + xla),
        ("mxnet", "mxnet"),
    ):
        if word in name:
            return runtime
    if "paddle" in name:
        return "paddle_trt" if "tensorrt" in heading or "trt" in heading or "trt" in name else "paddle"
    if "onnx" in name:
        return "ort_trt" if "tensorrt" in name else "ort"
    if "tensorrt" in name:
        return "paddle_trt"
    if "compile" in name:
        return "compile"
    return "pytorch" if "torch" in name else None


def curve_network(case: Case) -> Found | None:
    """Operators of the model of a row of batch curves, or None where no graph is to be had."""
    model, section = case.text("model"), case.text("section")
    length, resolution = case.text("seq_len"), case.text("resolution")
    words = f"{model} {resolution}".lower().strip()
    if "bert" in words and re.search(r"bert-?base", section, re.IGNORECASE):
        words = "bert-base"
    if "dlrm" in words:
        words = "dcnv2" if "dcn" in section.split(">")[-1].lower() else "dlrm"
    for pattern, name, size in NETWORK_OF:
        if re.search(pattern, words):
            if length and size is not None and "bert" in name:
                size = int(float(length))
            return networks.known(name, size)
    return networks.known(model.rsplit(":", 1)[-1].strip())


def curve_run(case: Case, catalog: Catalog) -> Run:
    """A row of a file of batch curves. Raises SkipError for one that cannot be predicted, InputError for bad cells."""
    part = _part(case, catalog)
    precision = _precision(case, part)
    runtime = runtime_of(case.text("runtime"), case.text("section"))
    if runtime is None:
        raise SkipError(f"runtime {case.text('runtime') or 'without a name'} is not modelled")
    if precision == "fp32" and part.tf32_tflops:
        precision = (
            "tf32"  # TensorFlow, TensorRT and PyTorch of these years computed fp32 in tf32 where the GPU has it.
        )
    found = curve_network(case)
    if found is None:
        raise SkipError(f"no operator graph of {case.text('model') or 'a model without a name'}")
    return Run(
        case.text("id"), case.text("model"), found, part, runtime, precision, case.number("batch") or 1.0,
        case.number("concurrency") or 1.0 if case.text("concurrency") else 1.0, 0, case.number("latency_ms"), found.error, found.name,
    )  # fmt: skip


def stacked(runs: Sequence[Run]) -> Runs:
    """Runs as columns for the law."""
    network, run, start = join([one.found.network for one in runs])
    size = {"fp32": 4.0, "tf32": 4.0, "int8": 1.0}
    bytes_ = np.array([size.get(one.precision, 2.0) for one in runs])
    flops = [sustained_flops(one.part, one.precision) or np.nan for one in runs]
    return Runs(
        network, run, start,
        batch=np.array([one.samples for one in runs]),
        peak_flops_per_s=np.array(flops),
        vector_flops_per_s=np.array([(one.part.fp32_tflops or np.nan) * 1e12 for one in runs]),
        bandwidth_bytes_per_s=np.array([one.part.memory_bandwidth_bytes_per_s for one in runs]),
        element_bytes=bytes_, weight_bytes=bytes_,
        wide_bytes=np.array([2.0 if one.precision == "amp" and one.runtime in AUTOCAST else 0.0 for one in runs]),
    )  # fmt: skip


def served_ms(
    runs: Sequence[Run], total_ms: Floats, transfer: Floats, client_ms: Floats, client_power: Floats
) -> Floats:
    """Latency of runs [ms]: the batch, the copies of inputs and outputs through a server, and the work for its clients.

    latency = batch time of all samples in flight + bytes / transfer rate + client_ms x clients^client_power (above one client)
    """
    moved = np.array([r.found.transfer_bytes * r.samples if RUNTIMES[r.runtime].server else 0.0 for r in runs])
    clients = np.array([r.clients for r in runs])
    return total_ms + moved / (transfer * 1e6) + np.where(clients > 1.0, client_ms * clients**client_power, 0.0)
