"""Time of one batch on one GPU: latency(b) = t0 + k b, the chord of the times that the speed model predicts.

The speed model (`speed.py`) takes the operators of the network: of the file of traces where it is known, of its own totals, or
borrowed from the nearest network. Its constants are fitted to measured runs (`catalogs/deep_learning_speed.yaml`). The line goes
through its times at batches 1 and `MAX_BATCH`, so that between them it is a mean of two times with positive weights: where both
fall, as with more bandwidth, it falls at every batch. A line of least squares tilts instead. How far the chord misses the times
between widens the interval. It is never faster than the dense peak or than one read of the weights at peak bandwidth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.law import Law
from sizing.deep_learning.memory import MAX_BATCH
from sizing.deep_learning.networks import Found, borrowed, known, of_totals
from sizing.deep_learning.rates import Use, interval, sustained_flops, use_of
from sizing.deep_learning.runtimes import Format, format_on
from sizing.deep_learning.speed import Floats, Network, Rates, Runs, Times, batch_times, join
from sizing.scenario_deep_learning import DeepLearningPrecision, DeepLearningRuntime
from sizing.units import MS_PER_S

BATCHES = (*(2.0**power for power in range(10)), float(MAX_BATCH))
"""Batches whose times are predicted [samples]: the line goes through the first and the last."""
RUNTIME_OF: dict[str, tuple[str, ...]] = {
    "pytorch_eager": ("eager",),
    "torch_compile": ("compile",),
    "tensorrt": ("paddle_trt",),
    "onnxruntime": ("ort",),
    "onnxruntime_tensorrt": ("ort_trt", "triton_orttrt"),
}
"""Measured runtimes whose constants a runtime of the page has: their geometric mean, without the server."""
NAMES: dict[str, str] = {
    "bert-base-uncased": "bert-base", "roberta-base": "bert-base", "bert-large-uncased": "bert-large",
    "bge-large-en-v1.5": "bert-large", "bge-m3": "bert-large", "multilingual-e5-large": "bert-large",
    "distilbert-base-uncased": "bert-dist-6l", "clip-vit-base-patch32": "vit_base_patch32_224",
    "clip-vit-large-patch14": "vit_large_patch14_clip_224",
}  # fmt: skip
"""Catalog models whose operators are those of another network of the file, up to scale."""
OUTPUTS_SHARE = 0.45
"""Outputs of convolutions and products as a share of all activations written [1]: ResNet-50 0.49, ViT-B 0.43 (traces)."""
SAME_SHARE = 0.05
"""Difference in multiply-adds that needs no scaling [1]."""
NO_CURVES = ("eager", "compile")
"""Runtimes whose constants come from throughput tables alone."""
FEW_NETWORKS_ERROR = 0.3
"""Further error of runtimes that were measured on a few networks only [log, 80 %]; about how far one network's factor lies off."""
LAUNCHES_PER_OPERATOR = (0.23, 0.84)
"""Least and most launches for each operator of a trace [1], of the 33 catalog models whose operators are known by name: a trace also
counts views. A borrowed network is brought within: one of like work may be cut in a few large operators or in many small ones."""
EAGER_HOST_US = 30.0
"""Host time of one launch in eager PyTorch [us]. The tables behind its other constants hold full GPUs only, so that they do not
tell it: BERT base takes 6.5 to 7.3 ms at batch 1 whether of 16 or 256 tokens, on A100 (optimum-benchmark, fast-mteb)."""
MEASURED_PRECISIONS: dict[str, tuple[str, ...]] = {
    "pytorch_eager": ("fp16", "bf16"), "torch_compile": ("fp16", "bf16"), "tensorrt": ("tf32", "fp16", "bf16", "int8"),
    "onnxruntime": ("fp16", "bf16"), "onnxruntime_tensorrt": ("fp16", "bf16"),
}  # fmt: skip
"""Formats that products of a runtime were measured in; bf16 stands with fp16."""
NEW_PRECISION_ERROR = 0.23
"""Further error of another format [log, 80 %]: the spread of the fitted factor of fp32, 1.87 to 2.99 (deep_learning_speed.yaml)."""
NO_VECTOR_SHARE = 1 / 16
"""Vector rate of a GPU whose fp32 rate is not known, as a share of its dense rate [1]; depthwise convolutions run on it."""

MOST_OF_PEAK = 0.9
"""Share of the dense peak that no product exceeds where the catalog has no measured one [1]. The best measured reach 0.87 on A100,
0.80 on H100, 0.78 on B200 (catalogs/accelerators.yaml); fp32 has no tensor units to feed and comes nearer its peak."""


@dataclass(frozen=True, kw_only=True)
class BatchLaw(Law):
    """The law of a GPU with the parts it is made of [ms], and where the network's operators are from."""

    base_ms: float
    launch_ms: float
    weights_ms: float
    compute_ms: float
    traffic_ms: float
    network: str = ""


def network_of(graph: Graph) -> Found:
    """Operators of a catalog model at its input size: known by name, of its own totals, or borrowed; scaled to its own
    multiply-adds where they differ."""
    if graph.work:
        return Found(of_totals(dict(graph.work)), "", "", "own operators by kind", 0.2)
    outputs = OUTPUTS_SHARE * graph.sum_activation_bytes_fp32 / 4
    parameters, operators = float(graph.parameters), graph.operators
    return _network(graph.model.id, graph.model.name, graph.size, graph.macs, outputs, parameters, operators)


@lru_cache(maxsize=1024)
def _network(id_: str, name: str, size: int, macs: float, outputs: float, parameters: float, operators: int) -> Found:
    found = known(NAMES.get(id_, name), size) if macs > 0 else None
    if found is None:
        found = borrowed(name, max(macs, 1.0), outputs, parameters)
        return replace(found, network=_cut(found.network, operators))
    own = float((found.network.macs * found.network.launches).sum())
    ratio = macs / own if own else 1.0
    if abs(math.log(ratio)) <= SAME_SHARE:
        return found
    network = replace(
        found.network,
        macs=found.network.macs * ratio,
        moved=found.network.moved * ratio,
        wide=found.network.wide * ratio,
    )
    return replace(found, network=network, error=math.hypot(found.error, min(0.4, 0.5 * abs(math.log(ratio)))))


def _cut(network: Network, operators: int) -> Network:
    """The same work in as many launches as a trace of so many operators makes at least or at most."""
    made, (least, most) = float(network.launches.sum()), LAUNCHES_PER_OPERATOR
    times = min(max(made, least * operators), most * operators) / made if operators else 1.0
    each = {name: getattr(network, name) / times for name in ("macs", "moved", "wide", "weights")}
    return replace(network, launches=network.launches * times, **each)


@lru_cache(maxsize=1024)
def rates_on(part: Accelerator, runtime: str, precision: str, network: str) -> Rates:
    """Constants of a runtime of the page on an accelerator: the geometric mean of those measured that are like it. What batch
    curves said of a network counts for the runtimes they were measured in."""
    uses: list[Use] = [
        use_of(part, one, precision, "" if one in NO_CURVES else network or "any") for one in RUNTIME_OF[runtime]
    ]
    columns = {
        name: np.exp(np.mean([np.log(getattr(use.rates, name)) for use in uses], axis=0))
        for name in Rates.__dataclass_fields__
        if name not in ("launched", "kernel_area")
    }
    if runtime == "pytorch_eager":
        columns["host_us"] = np.full_like(columns["host_us"], EAGER_HOST_US)
    area = np.mean([use.rates.kernel_area for use in uses], axis=0)
    return Rates(**columns, launched=uses[0].rates.launched, kernel_area=area)


def _times(found: Found, part: Accelerator, format_: Format, runtime: str, batches: tuple[float, ...]) -> Times:
    """Predicted times of batches of a network [ms]."""
    network, run, start = join([found.network] * len(batches))
    compute = format_.compute
    peak = sustained_flops(part, compute) or format_.peak_flops_per_s
    vector = part.fp32_tflops * 1e12 if part.fp32_tflops else NO_VECTOR_SHARE * peak
    ones = np.ones(len(batches))
    rates = rates_on(part, runtime, compute, found.name)
    repeated = Rates(
        **{name: np.repeat(getattr(rates, name), len(batches), axis=0) for name in Rates.__dataclass_fields__}
    )
    runs = Runs(
        network, run, start, batch=np.array(batches), peak_flops_per_s=peak * ones, vector_flops_per_s=vector * ones,
        bandwidth_bytes_per_s=part.memory_bandwidth_bytes_per_s * ones, element_bytes=format_.activation_bytes * ones,
        weight_bytes=format_.weight_bytes * ones, wide_bytes=0.0 * ones,
    )  # fmt: skip
    return batch_times(runs, repeated, _most_of_peak(part, compute, peak))


def _most_of_peak(part: Accelerator, compute: str, peak_flops_per_s: float) -> float:
    """Share of a rate [1] that no product exceeds: the best product measured on the GPU, else `MOST_OF_PEAK`."""
    of_format = {"fp16": part.measured_bf16_tflops, "bf16": part.measured_bf16_tflops, "fp8": part.measured_fp8_tflops}
    measured = of_format.get(compute)
    return min(MOST_OF_PEAK, measured * 1e12 / peak_flops_per_s) if measured else MOST_OF_PEAK


def batch_law(
    graph: Graph, accelerator: Accelerator, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision
) -> BatchLaw:
    """Law of the time of a batch [ms] on one accelerator; raises `Unsupported` where runtime or precision do not run.

    k = (time(B) - time(1)) / (B - 1) and t0 = time(1) - k with B = `MAX_BATCH`; neither time is under the operations at dense peak
    or under one read of the weights, so that no batch between them is.

    Source: `speed.py`; constants of catalogs/deep_learning_speed.yaml.

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> law = batch_law(graph(load(), "torchvision-resnet50"), load().accelerator("a30"), runtime="tensorrt", precision="fp16")
    >>> law.latency_ms(32) > law.bound_ms(32)
    True
    """
    format_ = format_on(accelerator, runtime=runtime, precision=precision)
    bandwidth = accelerator.memory_bandwidth_bytes_per_s
    compute_bound = 2.0 * graph.macs / format_.peak_flops_per_s * MS_PER_S
    weights_bound = graph.parameters * format_.weight_bytes / bandwidth * MS_PER_S
    found = network_of(graph)
    times = _times(found, accelerator, format_, runtime, BATCHES)
    batch = np.array(BATCHES)
    base = float(rates_on(accelerator, runtime, format_.compute, found.name).base_ms[0])
    t0, k = _chord(batch, np.maximum(times.total, base + np.maximum(compute_bound * batch, weights_bound)))
    # The batches between the ends; the chord meets the ends themselves.
    last = len(batch) - 2
    off = np.abs(np.log((t0 + k * batch) / times.total))[: last + 1]
    missed = float(np.sort(off)[int(0.8 * last)])
    measured = RUNTIME_OF[runtime]
    few = 0.0 if measured[0] in NO_CURVES else FEW_NETWORKS_ERROR
    other = 0.0 if format_.compute in MEASURED_PRECISIONS[runtime] else NEW_PRECISION_ERROR
    further = math.hypot(found.error, graph.error_share, missed, few, other)
    ends = [interval(accelerator, one, further=further) for one in measured]
    return BatchLaw(
        t0_ms=t0,
        k_ms=k,
        base_ms=base,
        launch_ms=float(times.host[0]),
        weights_ms=weights_bound,
        compute_ms=float(times.compute[last] / batch[last]),
        traffic_ms=float(times.memory[last] / batch[last]),
        compute_bound_ms=compute_bound,
        weights_bound_ms=weights_bound,
        fast=min(low for low, _ in ends),
        slow=max(high for _, high in ends),
        format=format_,
        network=found.source,
    )


def _chord(batch: Floats, times: Floats) -> tuple[float, float]:
    """t0 and k of the line through the first and the last time. t0 is not negative: a larger batch takes no longer a sample."""
    k = float(times[-1] - times[0]) / float(batch[-1] - batch[0])
    return max(float(times[0]) - k * float(batch[0]), 0.0), k
