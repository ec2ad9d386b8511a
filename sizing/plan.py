"""What the user needs: a recommended deployment, the alternatives, what was rejected and why. None means it does not apply.

`Plan.as_json()` is the contract of the command line; the pages draw the same object. The parts are plain dataclasses with
slots: a plan has thousands of them, and they are computed here, not read from anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sizing.scenario import AnyScenario

Basis = Literal["measured", "calibrated", "estimated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyMs:
    """Percentiles of one latency [ms]; `low` to `high` is the 80 % interval of percentile `interval_of`."""

    p50: float | None
    p95: float | None
    p99: float | None
    low: float | None
    high: float | None
    interval_of: Literal["p50", "p95", "p99"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A rate at the demanded load, and the most that meets the utilization cap and the limits [1/s]."""

    demanded: float
    capacity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """What the whole deployment serves."""

    requests_per_s: Rate
    output_tokens_per_s: Rate | None = None
    rows_per_s: Rate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Named parts [bytes] that sum to `used_bytes`, of `capacity_bytes`; low to high is the 80 % interval of the sum."""

    parts: dict[str, int]
    used_bytes: int
    capacity_bytes: int
    used_low_bytes: int | None = None
    used_high_bytes: int | None = None

    @property
    def free_bytes(self) -> int:
        """Room left [bytes]: capacity - used."""
        return self.capacity_bytes - self.used_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallelism:
    """How one replica is spread: tensor, pipeline, expert and attention data parallel degrees."""

    tp: int = 1
    pp: int = 1
    ep: int = 1
    attention_dp: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of the whole deployment [USD]: a month is 730 h; `_at_capacity` spreads the same cost over all it could serve."""

    usd_per_hour: float
    usd_per_month: float
    usd_per_1k_requests: float
    usd_per_1k_requests_at_capacity: float
    usd_per_million_output_tokens: float | None
    usd_per_million_output_tokens_at_capacity: float | None
    usd_per_instance_hour: float
    price_basis: str
    price_date: str
    price_region: str
    price_source: str
    price_marks: tuple[str, ...]
    price_note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One limit against its prediction [ms]: margin is limit - predicted; basis says how the prediction was made."""

    quantity: str
    percentile: int
    limit_ms: float | None
    predicted_ms: float
    low_ms: float
    high_ms: float
    margin_ms: float | None
    met: bool
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One way to serve the scenario on one kind of instance."""

    instance: str
    instance_type: str
    provider: str
    service: str
    region: str
    accelerator: str | None
    accelerator_name: str | None
    accelerators_per_instance: int | None
    accelerators_per_replica: int | None
    vcpus_per_instance: int | None
    replicas: int
    instances: int
    parallelism: Parallelism | None
    runtime: str
    weight_format: str | None
    kv_format: str | None
    batch: int | None
    memory_per_accelerator: Memory | None
    memory_per_instance: Memory | None = None
    latency_ms: dict[str, LatencyMs]
    throughput: Throughput
    utilization: float
    cost: Cost
    verdicts: tuple[Verdict, ...]
    binding_constraint: str
    warnings: tuple[str, ...] = ()
    extra: dict[str, float | int | str | None] = field(default_factory=dict)

    @property
    def accelerators(self) -> int | None:
        """Accelerators rented in all (count)."""
        return None if self.accelerators_per_instance is None else self.accelerators_per_instance * self.instances


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A kind of instance that does not serve the scenario, with the reason and the smallest change that would."""

    instance: str
    instance_type: str
    provider: str
    accelerator: str | None
    constraint: str
    because: str
    remedy: str | None = None
    miss_ratio: float | None = None  # what it needs or takes / what is allowed: 1 would just do


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One change of one field after which a deployment is found, with its monthly cost [USD]."""

    field: str
    value: Any
    sentence: str
    usd_per_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of the working: a quantity, its formula, the same with numbers put in, and where they come from."""

    quantity: str
    formula: str
    with_numbers: str
    value: float
    unit: str
    source: str
    trust: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How much was searched: kinds of instance ranked or rejected, configurations evaluated, and the time it took [s]."""

    candidates: int
    configurations: int
    seconds: float


class Plan(BaseModel):
    """The answer to one scenario under one version of the catalogs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    catalog: str
    scenario: AnyScenario = Field(discriminator="kind")
    headline: str
    recommended: Deployment | None
    alternatives: tuple[Deployment, ...]
    rejected: tuple[Rejection, ...]
    binding_constraint: str
    remedies: tuple[Remedy, ...] = ()
    working: tuple[Step, ...] = ()
    caveats: tuple[str, ...] = ()
    search: Search

    def as_json(self) -> dict[str, Any]:
        """Plain data of the plan, as `python -m sizing plan --json` prints it."""
        return self.model_dump(mode="json")

    @property
    def ranked(self) -> tuple[Deployment, ...]:
        """All deployments that meet the scenario, the recommended one first."""
        return () if self.recommended is None else (self.recommended, *self.alternatives)


def rank(deployments: Sequence[Deployment]) -> list[Deployment]:
    """Deployments by monthly cost, then fewer instances, then name, so that the order is the same everywhere."""
    return sorted(deployments, key=lambda d: (d.cost.usd_per_month, d.instances, d.instance))


def nearest_miss(rejected: Sequence[Rejection], constraint: str) -> Rejection | None:
    """Of the rejections by a constraint, the one that misses it by the least; None if there is none."""
    of_it = [r for r in rejected if r.constraint == constraint]
    return min(of_it, key=lambda r: inf if r.miss_ratio is None else r.miss_ratio, default=None)


def verdict(
    *, quantity: str, percentile: int, limit_ms: float | None, latency: LatencyMs, basis: Basis, source: str
) -> Verdict:
    """Verdict on one limit [ms]: met when the predicted percentile is at most the limit; no limit is always met.

    >>> t = LatencyMs(p50=10.0, p95=40.0, p99=60.0, low=30.0, high=55.0, interval_of="p95")
    >>> v = verdict(quantity="TTFT", percentile=95, limit_ms=50.0, latency=t, basis="estimated", source="roofline")
    >>> v.met, v.margin_ms
    (True, 10.0)
    """
    predicted = getattr(latency, f"p{percentile}")
    return Verdict(
        quantity=quantity,
        percentile=percentile,
        limit_ms=limit_ms,
        predicted_ms=predicted,
        low_ms=latency.low if latency.low is not None else predicted,
        high_ms=latency.high if latency.high is not None else predicted,
        margin_ms=None if limit_ms is None else limit_ms - predicted,
        met=limit_ms is None or predicted <= limit_ms,
        basis=basis,
        source=source,
    )
