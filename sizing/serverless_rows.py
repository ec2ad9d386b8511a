"""Row of a serverless service: what it bills for, which sizes it offers, what it refuses, and how its environments start."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sizing.catalog_rows import PRICE_STALE_DAYS, CatalogRow, Count, Frozen, Positive, PriceKind, Text, earliest_day

Billing = Literal["request", "active_instance"]


class ServerlessSize(Frozen):
    """One size of an environment: memory [MiB] and the vCPUs that come with it."""

    memory_mib: Count
    vcpus: Positive


class ServerlessService(CatalogRow):
    """One service that bills by use. A GiB-second is 1,024 MiB for one second; prices are USD, on demand, without grants.

    `billing` says whose time is rounded up: each request's by itself (`request`), or that of an environment, in which
    requests that follow each other closely share what is paid already (`active_instance`).
    """

    provider: Text
    service: Text
    name: Text
    cpu_arch: Literal["x86_64", "arm64"]
    cpu_type: Text | None = None
    region: Text
    usd_per_gib_s: Positive
    usd_per_vcpu_s: Positive | None = None
    usd_per_million_requests: Annotated[float, Field(ge=0)]
    usd_per_gb_transferred: Positive | None = None
    price_kind: PriceKind
    billing: Billing
    billed_step_ms: Positive
    billed_minimum_ms: Positive
    sizes: tuple[ServerlessSize, ...] = Field(min_length=1)
    payload_limit_mib: Positive
    timeout_s: Positive
    max_concurrency: Count
    idle_timeout_s: Positive
    platform_start_ms: Positive
    full_cpu_at_start: bool
    invoke_overhead_ms: Positive
    note: Text | None = None

    @model_validator(mode="after")
    def _sizes_once(self) -> ServerlessService:
        if len({(size.memory_mib, size.vcpus) for size in self.sizes}) < len(self.sizes):
            raise ValueError("each size once")
        return self

    def marks(self, on: date) -> tuple[str, ...]:
        """Warnings to show beside the price on a given day; empty if there is nothing to warn of."""
        words = []
        day = earliest_day(self.as_of)
        if day is None or (on - day).days > PRICE_STALE_DAYS:
            words.append("undated" if day is None else f"older than {PRICE_STALE_DAYS} days")
        if self.price_kind == "secondary":
            words.append("secondary source")
        if self.trust == "recalled":
            words.append("recalled")
        return tuple(words)
