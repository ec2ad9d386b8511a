"""Time of one batch on one GPU: latency(b) = t0 + k b, prefilled from a roofline over launches, bytes and operations.

t0 = base + operators x launch + weights / bandwidth
k  = 2 x multiply-adds / (dense peak x share) + 2 x sum of activations x passes / bandwidth

The centre is an estimate with stated constants; its 80 % interval is a factor of the runtime, wider where the graph is not
exact. It is never faster than the dense peak or than one read of the weights at peak bandwidth.
"""

from __future__ import annotations

from dataclasses import dataclass

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.runtimes import PROFILES, WEIGHT_READ_SHARE, Format, format_on
from sizing.scenario import DeepLearningPrecision, DeepLearningRuntime
from sizing.units import MS_PER_S

US_PER_MS = 1000.0


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


def batch_law(
    graph: Graph, accelerator: Accelerator, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision
) -> BatchLaw:
    """Law of the time of a batch [ms] on one accelerator; raises `Unsupported` where runtime or precision do not run.

    Source: roofline model (Williams, Waterman, Patterson 2009, CACM 52(4)); constants of `runtimes.PROFILES`.

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> law = batch_law(graph(load(), "torchvision-resnet50"), load().accelerator("a30"), runtime="tensorrt", precision="fp16")
    >>> law.latency_ms(32) > law.bound_ms(32)
    True
    """
    profile = PROFILES[runtime]
    format_ = format_on(accelerator, runtime=runtime, precision=precision)
    bandwidth = accelerator.memory_bandwidth_bytes_per_s
    compute_bound = 2.0 * graph.macs / format_.peak_flops_per_s * MS_PER_S
    weights_bound = graph.parameters * format_.weight_bytes / bandwidth * MS_PER_S
    activation_bytes = graph.sum_activation_bytes_fp32 * format_.activation_bytes / 4
    compute = compute_bound / profile.compute_share[format_.compute].value
    traffic = 2.0 * activation_bytes * profile.traffic_passes.value / bandwidth * MS_PER_S
    launch = graph.operators * profile.launch_us.value / US_PER_MS
    weights = weights_bound / WEIGHT_READ_SHARE.value
    return BatchLaw(
        t0_ms=profile.base_ms.value + launch + weights,
        k_ms=compute + traffic,
        base_ms=profile.base_ms.value,
        launch_ms=launch,
        weights_ms=weights,
        compute_ms=compute,
        traffic_ms=traffic,
        compute_bound_ms=compute_bound,
        weights_bound_ms=weights_bound,
        fast=profile.fast / (1.0 + graph.error_share),
        slow=profile.slow * (1.0 + graph.error_share),
        format=format_,
    )
