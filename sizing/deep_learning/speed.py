"""Time of batches of networks on GPUs: a roofline a kind of operator, with the host's launches beside it.

One operator takes (compute^p + memory^p)^(1/p) + kernel, where
compute = 2 x macs x (batch + first tile) / (peak x efficiency x width / (width + w0) x depth / (depth + d0))
memory  = (elements moved x bytes x batch + weights x bytes) / (bandwidth x share)
The GPU's time is the sum over operators, the host's is launches x time of one; a batch takes the greater of the two, rounded
where they meet, and the base of the runtime.

Source: roofline model (Williams, Waterman, Patterson 2009, CACM 52(4)); constants: `catalogs/deep_learning_speed.yaml`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLASSES = (
    "convolution", "pointwise", "grouped", "depthwise", "depthwise_strided", "matmul", "attention", "attention_mask",
    "attention_math", "attention_product", "softmax", "batch_norm", "layer_norm", "activation", "elementwise", "cast", "pooling",
    "movement", "step",
)  # fmt: skip
"""Classes of operators that the law tells apart: those of `operators.OperatorKind`, some of them split. attention_mask: fused, with
a mask; attention_math: falls back on separate products; attention_product: written as products; cast: copies that autocast makes;
step: one step of a recurrent layer."""
PRODUCTS = CLASSES[:10]
AT = {name: index for index, name in enumerate(CLASSES)}
VECTOR = (AT["depthwise"], AT["depthwise_strided"])
TILE_MACS = 1.0e6
TILE_FLOPS_PER_S = 1.0e14
"""Multiply-adds that run side by side for each step of a sum on a GPU of this rate [count, operations/s]: the steps of one tile
follow one another, however many units a GPU has, so that a product takes at least so long."""
MEET = 4.0
"""Sharpness of the corner where host and GPU take equally long [1]."""


@dataclass(frozen=True)
class Network:
    """Operators of one network, like ones together, per sample: a column an array over groups [count]."""

    kind: NDArray[np.intp]
    launches: Floats
    macs: Floats
    moved: Floats  # elements read and written
    wide: Floats  # of these, elements that autocast keeps in fp32
    weights: Floats
    width: Floats  # output channels of a group, head size
    depth: Floats  # input channels of a group, keys; kernel area of a depthwise convolution

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True)
class Rates:
    """Constants of runs: a row a run; a column a class of operators where there is one."""

    efficiency: Floats
    share: Floats
    width: Floats
    depth: Floats
    launched: Floats  # share of an operator's launches that is left after fusion
    kernel_us: Floats
    tile: Floats
    power: Floats
    kernel_area: Floats
    host_us: Floats
    base_ms: Floats
    work: Floats  # factor on the GPU's time: what a graph written from a description leaves out


@dataclass(frozen=True)
class Runs:
    """Operators of many runs one after another, with what each run has: GPU peaks, bytes an element, batch."""

    network: Network
    run: NDArray[np.intp]  # run of each group
    start: NDArray[np.intp]  # first group of each run
    batch: Floats
    peak_flops_per_s: Floats
    vector_flops_per_s: Floats
    bandwidth_bytes_per_s: Floats
    element_bytes: Floats
    weight_bytes: Floats
    wide_bytes: Floats  # more bytes of an element that autocast keeps in fp32; casts count where it is above 0


def join(networks: Sequence[Network]) -> tuple[Network, NDArray[np.intp], NDArray[np.intp]]:
    """Networks one after another, with the run of each group and the first group of each run."""
    lengths = np.array([len(one) for one in networks], dtype=np.intp)
    columns = {name: np.concatenate([getattr(one, name) for one in networks]) for name in Network.__dataclass_fields__}
    run = np.repeat(np.arange(len(networks), dtype=np.intp), lengths)
    return Network(**columns), run, np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp)


@dataclass(frozen=True)
class Times:
    """Parts of the time of a batch [ms], an array over runs."""

    compute: Floats
    memory: Floats
    gpu: Floats
    host: Floats
    total: Floats


def batch_times(runs: Runs, rates: Rates, most: float = math.inf) -> Times:
    """Time of one batch of each run and its parts [ms], by the law at the head of this module. No product takes more than the
    share `most` [1] of the peak: fitted factors multiply to more of it where they were not measured together."""
    net, run, kind = runs.network, runs.run, runs.network.kind
    batch = runs.batch[run]
    vector = np.isin(kind, VECTOR)
    peak = np.where(vector, runs.vector_flops_per_s[run], runs.peak_flops_per_s[run])
    shape = net.width / (net.width + rates.width[run, kind]) * net.depth / (net.depth + rates.depth[run, kind])
    shape = np.where(vector, (net.depth / 9.0) ** rates.kernel_area[run], shape)
    written = np.maximum(net.moved, 1.0)
    first = np.where(vector, 0.0, TILE_MACS * rates.tile[run] * net.macs / written * peak / TILE_FLOPS_PER_S)
    fitted = rates.efficiency[run, kind] * shape
    reached = np.where(vector, fitted, np.minimum(fitted, most))
    # The first tile does not get slower where the peak is higher than what is reached of it.
    compute = 2e3 * (net.macs * batch / reached + first / fitted) / peak
    held = np.where((kind == AT["cast"]) & (runs.wide_bytes[run] <= 0.0), 0.0, 1.0)
    size = net.moved * runs.element_bytes[run] + net.wide * runs.wide_bytes[run]
    memory = 1e3 * (held * size * batch + net.weights * runs.weight_bytes[run])
    memory = memory / (runs.bandwidth_bytes_per_s[run] * rates.share[run, kind])
    power = rates.power[run]
    both = (compute**power + memory**power) ** (1.0 / power)
    launched = net.launches * rates.launched[run, kind] * held
    one = np.where(kind == AT["step"], 0.0, rates.kernel_us[run] / 1e3)
    add = np.add.reduceat
    gpu = rates.work * add(both * net.launches + one * launched, runs.start)
    host = add(launched, runs.start) * rates.host_us / 1e3
    steps = add(np.where(kind == AT["step"], net.launches * rates.kernel_us[run] / 1e3, 0.0), runs.start)
    steps = rates.work * steps
    total = rates.base_ms + steps + (gpu**MEET + host**MEET) ** (1.0 / MEET)
    return Times(add(compute * net.launches, runs.start), add(memory * net.launches, runs.start), gpu, host, total)
