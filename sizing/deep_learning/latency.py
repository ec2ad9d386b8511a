"""Time of one batch on one GPU: latency(b) = t0 + k b, the line through the times that the speed model predicts.

The speed model (`speed.py`) takes the operators of the network: of the file of traces where it is known, of its own totals, or
borrowed from the nearest network. Its constants are fitted to measured runs (`catalogs/deep_learning_speed.yaml`). The line goes
through its times at batches of 1 to `LARGEST`; how far it misses them widens the interval. It is never faster than the dense
peak or than one read of the weights at peak bandwidth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.networks import Found, borrowed, known, of_totals
from sizing.deep_learning.rates import Use, interval, sustained_flops, use_of
from sizing.deep_learning.runtimes import Format, format_on
from sizing.deep_learning.speed import Floats, Rates, Runs, Times, batch_times, join
from sizing.scenario import DeepLearningPrecision, DeepLearningRuntime
from sizing.units import MS_PER_S

BATCHES = tuple(2.0**power for power in range(10))
"""Batches whose times the line goes through [samples]."""
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
NO_VECTOR_SHARE = 1 / 16
"""Vector rate of a GPU whose fp32 rate is not known, as a share of its dense rate [1]; depthwise convolutions run on it."""


@dataclass(frozen=True)
class BatchLaw:
    """latency(b) = t0 + k b [ms] with the parts it is made of and the factors of its 80 % interval."""

    t0_ms: float
    k_ms: float
    base_ms: float
    launch_ms: float
    weights_ms: float
    compute_ms: float
    traffic_ms: float
    compute_bound_ms: float
    weights_bound_ms: float
    fast: float
    slow: float
    format: Format
    network: str = ""

    def latency_ms(self, batch: float) -> float:
        """Time of one batch [ms]: t0 + k b."""
        return self.t0_ms + self.k_ms * batch

    def bound_ms(self, batch: float) -> float:
        """Least time physics allows [ms]: the greater of operations at dense peak and one read of the weights."""
        return max(self.compute_bound_ms * batch, self.weights_bound_ms)

    def low_ms(self, batch: float) -> float:
        """Lower end of the 80 % interval [ms], not under the physical bound."""
        return max(self.latency_ms(batch) * self.fast, min(self.bound_ms(batch), self.latency_ms(batch)))

    def high_ms(self, batch: float) -> float:
        """Upper end of the 80 % interval [ms]."""
        return self.latency_ms(batch) * self.slow

    def largest_batch(self, limit_ms: float) -> int:
        """Largest batch that ends within a time [samples]: (limit - t0) / k, 0 if none does."""
        return max(0, int((limit_ms - self.t0_ms) / self.k_ms + 1e-9))


def network_of(graph: Graph) -> Found:
    """Operators of a catalog model at its input size: known by name, of its own totals, or borrowed; scaled to its own
    multiply-adds where they differ."""
    if graph.work:
        return Found(of_totals(dict(graph.work)), "", "", "own operators by kind", 0.2)
    outputs = OUTPUTS_SHARE * graph.sum_activation_bytes_fp32 / 4
    return _network(graph.model.id, graph.model.name, graph.size, graph.macs, outputs, float(graph.parameters))


@lru_cache(maxsize=1024)
def _network(id_: str, name: str, size: int, macs: float, outputs: float, parameters: float) -> Found:
    found = known(NAMES.get(id_, name), size) if macs > 0 else None
    if found is None:
        return borrowed(name, max(macs, 1.0), outputs, parameters)
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
    return batch_times(runs, repeated)


def batch_law(
    graph: Graph, accelerator: Accelerator, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision
) -> BatchLaw:
    """Law of the time of a batch [ms] on one accelerator; raises `Unsupported` where runtime or precision do not run.

    t0 and k minimise sum over batches of ((t0 + k b) / time(b) - 1)^2; k is not under the operations at dense peak, t0 + k not
    under one read of the weights.

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
    last = len(batch) - 1
    t0, k = _line(batch, times.total)
    k = max(k, compute_bound, 1e-9)
    t0 = max(t0, weights_bound - k, 1e-6)
    missed = float(np.sort(np.abs(np.log((t0 + k * batch) / times.total)))[int(0.8 * last)])
    base = rates_on(accelerator, runtime, format_.compute, found.name).base_ms[0]
    measured = RUNTIME_OF[runtime]
    few = 0.0 if measured[0] in NO_CURVES else FEW_NETWORKS_ERROR
    further = math.hypot(found.error, graph.error_share, missed, few)
    ends = [interval(accelerator, one, further=further) for one in measured]
    return BatchLaw(
        t0_ms=t0,
        k_ms=k,
        base_ms=float(base),
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


def _line(batch: Floats, times: Floats) -> tuple[float, float]:
    """t0 and k of the line that misses the times least, as shares of them; neither is negative."""
    columns = np.stack([1.0 / times, batch / times], axis=1)
    t0, k = np.linalg.solve(columns.T @ columns, columns.T @ np.ones(len(batch)))
    if t0 < 0.0:
        t0, k = 0.0, float((columns[:, 1]).sum() / (columns[:, 1] ** 2).sum())
    return float(t0), float(k)
