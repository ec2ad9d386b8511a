"""Time of a batch as a line, t0 + k b, with its 80 % interval and the least time physics allows: of a GPU or of CPU cores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from sizing.deep_learning.runtimes import Format


@dataclass(frozen=True, kw_only=True)
class Law:
    """latency(b) = t0 + k b [ms], its bounds [ms] and the factors of its 80 % interval [1]."""

    t0_ms: float
    k_ms: float
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

    def moved(self, *, fixed: float = 1.0, each: float = 1.0) -> Self:
        """The law [ms] with t0 and k so many times as long [1], k not below the operations at dense peak."""
        least = min(self.k_ms, self.compute_bound_ms)
        return replace(self, t0_ms=self.t0_ms * fixed, k_ms=max(self.k_ms * each, least))

    def largest_batch(self, limit_ms: float) -> int:
        """Largest batch that ends within a time [samples]: (limit - t0) / k, 0 if none does."""
        return max(0, int((limit_ms - self.t0_ms) / self.k_ms + 1e-9))
