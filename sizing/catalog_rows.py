"""Rows of the catalogs: what is known of one accelerator, instance or model, each with its source, date and trust.

A blank field of a catalog is None here and means "not known"; it is never read as 0. GB is 10^9 bytes, GiB is 2^30.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sizing.errors import InputError
from sizing.scenario_words import PriceBasis, RegionGroup
from sizing.units import GB, GIB, MIB

Trust = Literal["cross_checked", "single_source", "recalled", "derived"]
PriceKind = Literal["list", "observed", "derived", "secondary", "own"]

UNDATED = "undated"
DATE_ALLOWED = "a date such as 2026-07-20, 2026-07, 2026-H1 or 2026, or 'undated'"
PRICE_STALE_DAYS = 90
"""Days after which a price counts as old: the project's rule; most list prices change less often than this."""

TERA = 1e12

_DATE = re.compile(r"(\d{4})(?:-H([12])|-(\d{2})(?:-(\d{2}))?)?")


def earliest_day(as_of: str) -> date | None:
    """First day that a date of any precision can mean, or None if there is no date.

    >>> earliest_day("2025-H2"), earliest_day("2026-07"), earliest_day("undated")
    (datetime.date(2025, 7, 1), datetime.date(2026, 7, 1), None)
    """
    match = _DATE.fullmatch(as_of)
    if match is None:
        return None
    year, half, month, day = match.groups()
    return date(int(year), (1 if half == "1" else 7) if half else int(month or 1), int(day or 1))


def _date_text(value: object) -> object:
    """A bare year is a number to YAML; any other text has to be a date that exists."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and value != UNDATED:
        try:
            known = earliest_day(value) is not None
        except ValueError:
            known = False
        if not known:
            raise ValueError(DATE_ALLOWED)
    return value


AsOf = Annotated[str, BeforeValidator(_date_text)]
Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]


class Frozen(BaseModel):
    """Base of everything in a catalog: no unknown field, no change after load, no infinity, no guessed types."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class CatalogRow(Frozen):
    """One thing of a catalog. `source` and `as_of` are required: a fact without them is refused."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    source: Text
    as_of: AsOf
    trust: Trust
    doubts: Text | None = None


class Accelerator(CatalogRow):
    """One accelerator as software sees it. All rates are dense (no structured sparsity) peaks of the vendor."""

    vendor: Text
    name: Text
    architecture: Text
    form_factor: Text
    release_year: int
    memory_gb_nominal: Positive
    memory_type: Text
    memory_mib_reported: Count | None = None
    memory_gib_usable: Positive | None = None
    memory_bandwidth_gb_per_s: Positive
    fp64_tflops: Positive | None = None
    fp32_tflops: Positive | None = None
    tf32_tflops: Positive | None = None
    fp16_tflops: Positive | None = None
    bf16_tflops: Positive | None = None
    fp8_tflops: Positive | None = None
    int8_tops: Positive | None = None
    fp4_tflops: Positive | None = None
    interconnect: Text
    interconnect_gb_per_s: Positive | None = None  # one direction
    interconnect_bidirectional_gb_per_s: Positive | None = None
    scaleup_domain_accelerators: Count
    max_accelerators_per_node: Count
    pcie_generation: Count | None = None
    pcie_lanes: Count | None = None
    pcie_gb_per_s: Positive | None = None  # one direction
    tdp_w: Positive | None = None
    compute_capability: Text | None = None
    measured_bf16_tflops: Positive | None = None  # best matrix multiplication somebody measured
    measured_fp8_tflops: Positive | None = None
    note: Text | None = None

    @property
    def capacity_bytes(self) -> int:
        """Memory [bytes] that software can address: what the driver reports, else usable GiB, else nominal GB."""
        if self.memory_mib_reported is not None:
            return self.memory_mib_reported * MIB
        if self.memory_gib_usable is not None:
            return int(self.memory_gib_usable * GIB)
        return int(self.memory_gb_nominal * GB)

    @property
    def capacity_basis(self) -> str:
        """Which of the three memory figures `capacity_bytes` is."""
        if self.memory_mib_reported is not None:
            return "memory the driver reports (MiB)"
        if self.memory_gib_usable is not None:
            return "usable memory (GiB)"
        return "nominal memory (GB of 10^9 bytes)"

    @property
    def memory_bandwidth_bytes_per_s(self) -> float:
        """Peak memory bandwidth [bytes/s]: GB/s x 10^9."""
        return self.memory_bandwidth_gb_per_s * GB

    def peak_flops_per_s(self, format: str) -> float | None:
        """Dense peak [operations/s] in a number format, or None where the part has no such unit or it is unknown.

        Peak = catalog TFLOPS (TOPS for int8) x 10^12. bf16 does not fall back to fp16: the caller decides.

        Source: the row's own `source`.

        >>> from sizing.catalog import load
        >>> load().accelerator("h100-sxm-80gb").peak_flops_per_s("bf16")
        989000000000000.0
        >>> load().accelerator("t4").peak_flops_per_s("bf16") is None
        True
        """
        peaks = {
            "fp32": self.fp32_tflops,
            "tf32": self.tf32_tflops,
            "fp16": self.fp16_tflops,
            "bf16": self.bf16_tflops,
            "fp8": self.fp8_tflops,
            "int8": self.int8_tops,
            "fp4": self.fp4_tflops,
        }
        if format not in peaks:
            raise InputError("format", format, f"one of {', '.join(peaks)}")
        peak = peaks[format]
        return None if peak is None else peak * TERA


class Price(Frozen):
    """One price [USD per hour] of one instance: where, on which terms, of which day, how it came about."""

    region_group: RegionGroup
    region: Text
    basis: PriceBasis
    usd_per_hour: Positive
    as_of: AsOf
    kind: PriceKind
    note: Text | None = None
    source: Text

    def older_than_days(self, on: date, days: int = PRICE_STALE_DAYS) -> bool:
        """Whether the price may be older than so many days on a given day; True if its date is unknown.

        >>> price = Price(region_group="us", region="us-east-1", basis="on_demand", usd_per_hour=1.0,
        ...               as_of="2026-H2", kind="list", source="example")
        >>> price.older_than_days(date(2026, 9, 1)), price.older_than_days(date(2026, 11, 22))
        (False, True)
        """
        day = earliest_day(self.as_of)
        return day is None or (on - day).days > days

    def marks(self, on: date) -> tuple[str, ...]:
        """Warnings to show beside the price on a given day; empty if there is nothing to warn of.

        "undated" means that the source names no month: only a year, a half-year, or nothing.
        """
        if self.kind == "own":
            return ("your own price",)
        words = []
        if self.older_than_days(on):
            words.append(f"older than {PRICE_STALE_DAYS} days")
        if self.kind == "derived":
            words.append("derived")
        if self.kind == "secondary":
            words.append("secondary source")
        if re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", self.as_of) is None:
            words.append("undated")
        return tuple(words)


class Instance(CatalogRow):
    """One machine that can be rented: CPU, memory, accelerators, network and prices by region group and terms."""

    provider: Text
    service: Text
    instance_type: Text
    category: Literal["cpu", "gpu"]
    vcpus: Count | None = None
    physical_cores: Count | None = None
    memory_gib: Positive | None = None
    cpu_type: Text | None = None
    cpu_arch: Literal["x86_64", "arm64"]
    accelerator_id: Text | None = None
    accelerator_count: Count | None = None
    network_gbps_baseline: Positive | None = None
    network_gbps_max: Positive | None = None
    local_ssd_gb: Positive | None = None
    prices: tuple[Price, ...] = Field(min_length=1)
    spot_interruption: Text | None = None
    committed_kind: Text | None = None
    note: Text | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Instance:
        has = self.accelerator_id is not None
        if has != (self.accelerator_count is not None) or has != (self.category == "gpu"):
            raise ValueError("accelerator_id with accelerator_count for category gpu, neither for category cpu")
        if len({(p.region_group, p.basis) for p in self.prices}) < len(self.prices):
            raise ValueError("one price for each region_group and basis")
        return self

    def price(self, region_group: RegionGroup, basis: PriceBasis) -> Price | None:
        """Price [USD per hour] in a part of the world on given terms, or None if it is not known."""
        return next((p for p in self.prices if p.region_group == region_group and p.basis == basis), None)


class LlmModel(CatalogRow):
    """Shape of one large language model, as its config states it. `*_elems_*` count elements, not bytes."""

    hf_id: Text
    family: Text
    architecture: Text
    model_type: Text
    released: Text
    params_total: Count | None = None
    params_active: Count | None = None  # with embeddings and lm_head
    params_embedding: Count | None = None
    params_expert_total: Count | None = None
    params_published: Count | None = None
    published_evidence: Text | None = None
    count_check: Text
    layers: Count
    hidden: Count
    heads: Count | None = None
    kv_heads: Count | None = None
    head_dim: Count | None = None
    v_head_dim: Count | None = None
    ffn: Count | None = None
    ffn_gated: bool | None = None
    vocab: Count
    tied_embeddings: bool
    learned_positions: Count | None = None
    context_length: Count | None = None
    attention: Text
    kv_lora_rank: Count | None = None
    q_lora_rank: Count | None = None
    qk_nope_head_dim: Count | None = None
    qk_rope_head_dim: Count | None = None
    n_full_attn_layers: CountOrZero
    n_sliding_layers: CountOrZero
    sliding_window: Count | None = None
    n_linear_layers: CountOrZero
    linear_kind: Text | None = None
    layer_pattern: Text | None = None  # F full, S sliding, L linear, C compressed, E experts, - plain FFN, ? unknown
    state_elems_per_seq: Count | None = None
    kv_elems_per_token_full: CountOrZero | None = None
    kv_elems_per_token_sliding: CountOrZero | None = None
    moe_layers: CountOrZero
    dense_layers: CountOrZero
    experts: Count | None = None
    experts_per_token: Count | None = None
    shared_experts: Count | None = None
    moe_ffn: Count | None = None
    shared_ffn: Count | None = None
    norm: Text | None = None
    norms_per_layer: Count | None = None
    qk_norm: Text | None = None
    qkv_bias: bool
    o_bias: bool
    mlp_bias: bool
    lm_head_bias: bool
    attn_sinks: bool
    router_bias: bool
    native_dtype: Text
    quantisation: Text | None = None
    weights_gb_native: Positive | None = None
    licence: Text
    gated: Text
    note: Text | None = None
    config_provenance: Text
    config_json: Text | None = (
        None  # structural fields as a Hugging Face config.json, where the flat ones do not say all
    )

    @property
    def name(self) -> str:
        """Name to show: the last part of the Hugging Face id."""
        return self.hf_id.rsplit("/", 1)[-1]
