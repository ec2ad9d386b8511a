"""What of the catalogs is looked at: a table, a search, filters; and the rows that it shows, units in the column names."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sizing.catalog import Catalog
from sizing.catalog_rows import Instance
from sizing.scenario_base import Provider

Table = Literal[
    "accelerators",
    "instances",
    "llm_models",
    "deep_learning_models",
    "statistical_families",
    "serverless",
    "statistical_steps",
    "api_prices",
]
TrustWord = Literal["cross_checked", "single_source", "recalled", "derived"]

UNIT_ENDINGS = (
    ("_gb_per_s", "GB/s"),
    ("_usd_per_hour", "USD/h"),
    ("_tflops", "dense TFLOPS"),
    ("_tops", "dense TOPS"),
    ("_gb_nominal", "GB"),
    ("_gib_usable", "GiB"),
    ("_mib_reported", "MiB"),
    ("_gb_native", "GB"),
    ("_gb_fp32", "GB"),
    ("_gb_fp16", "GB"),
    ("_gib", "GiB"),
    ("_gb", "GB"),
    ("_gbps_baseline", "Gbit/s"),
    ("_gbps_max", "Gbit/s"),
    ("_w", "W"),
    ("_img_s", "images/s"),
    ("_bytes_fp32_per_sample", "bytes"),
    ("_us", "µs"),
    ("_ns", "ns"),
    ("_bytes", "bytes"),
)
COLUMN_UNITS = {
    "usd_per_hour": "USD/h",
    "usd_per_gib_s": "USD/GiB-s",
    "usd_per_vcpu_s": "USD/vCPU-s",
    "usd_per_million_requests": "USD",
    "usd_per_gb_transferred": "USD/GB",
    "usd_per_million_input_tokens": "USD",
    "usd_per_million_output_tokens": "USD",
    "usd_per_million_cached_tokens": "USD",
    "usd_per_1k_requests": "USD",
    "payload_limit_mib": "MiB",
    "timeout_s": "s",
    "idle_timeout_s": "s",
    "billed_step_ms": "ms",
    "billed_minimum_ms": "ms",
    "platform_start_ms": "ms",
    "invoke_overhead_ms": "ms",
    "gmacs": "10⁹ MACs",
    "params": "count",
    "params_total": "count",
    "params_active": "count",
    "params_embedding": "count",
    "params_expert_total": "count",
    "params_published": "count",
    "activations_m": "10⁶ elements",
    "context_length": "tokens",
    "sliding_window": "tokens",
    "kv_elems_per_token_full": "elements/token",
    "kv_elems_per_token_sliding": "elements/token",
    "state_elems_per_seq": "elements",
}
FIRST_COLUMNS = (
    "id",
    "name",
    "provider",
    "instance_type",
    "region",
    "basis",
    "usd_per_hour",
    "as_of",
    "marks",
    "trust",
)
LAST_COLUMNS = ("note", "price_note", "doubts", "source")


class CatalogView(BaseModel):
    """What the catalogs page shows; every control of the page is a field, so that a link restores it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["catalogs"] = "catalogs"
    table: Table = Field("accelerators", description="The table shown.")
    search: str = Field("", max_length=100, description="Words that a row must contain, in any column.")
    trust: tuple[TrustWord, ...] = Field((), description="How far the facts can be trusted; none named means all.")
    providers: tuple[Provider, ...] = Field((), description="Clouds, for instances; none named means all.")
    marked_only: bool = Field(False, description="Only what is old, derived, from a secondary source, or in doubt.")


def column_name(field: str) -> str:
    """A field's name as a column header, its unit in brackets.

    >>> column_name("memory_bandwidth_gb_per_s"), column_name("gmacs"), column_name("vcpus")
    ('memory bandwidth (GB/s)', 'gmacs (10⁹ MACs)', 'vcpus')
    """
    if field in COLUMN_UNITS:
        return f"{field.replace('_', ' ')} ({COLUMN_UNITS[field]})"
    for ending, unit in UNIT_ENDINGS:
        if field.endswith(ending):
            stem = field.removesuffix(ending)
            kept = next(
                (
                    w
                    for w in ("nominal", "usable", "reported", "native", "fp32", "fp16", "baseline", "max")
                    if ending.endswith(w)
                ),
                "",
            )
            return f"{stem.replace('_', ' ')} {kept}".strip() + f" ({unit})"
    return field.replace("_", " ")


def rows(catalog: Catalog, view: CatalogView, *, on: date) -> list[dict[str, Any]]:
    """Rows of the table that match, by field name; instances have one row a price, so that each figure has its date.

    `on` is the day against which the age of a price is judged.
    """
    found = []
    needles = view.search.lower().split()
    for row in catalog.tables()[view.table].values():
        if view.trust and row.trust not in view.trust:
            continue
        for flat in _flat(row, on):
            if view.providers and flat.get("provider") not in (None, *view.providers):
                continue
            if view.marked_only and not (flat.get("marks") or flat.get("doubts")):
                continue
            text = " ".join(str(value) for value in flat.values()).lower() if needles else ""
            if all(needle in text for needle in needles):
                found.append(flat)
    return found


def _flat(row: Any, on: date) -> list[dict[str, Any]]:
    if isinstance(row, Instance):
        machine = row.model_dump(exclude={"prices", "source", "as_of"}, exclude_none=True)
        return [
            {
                **machine,
                "region": price.region,
                "basis": price.basis,
                "usd_per_hour": price.usd_per_hour,
                "as_of": price.as_of,
                "marks": ", ".join(price.marks(on)),
                "source": price.source,
                "price_note": price.note,
            }
            for price in row.prices
        ]
    flat: dict[str, Any] = {}
    for name, value in row.model_dump(mode="json").items():
        if name == "traces":
            flat["traced_sizes"] = ", ".join(dict.fromkeys(str(trace["size"]) for trace in value))
        elif isinstance(value, (list, dict)):
            flat[name] = _said(value)
        else:
            flat[name] = value
    return [flat]


def _said(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{k} {_said(v)}" for k, v in value.items() if v is not None)
    if isinstance(value, list):
        return ", ".join(_said(v) for v in value)
    return str(value)


def columns(found: list[dict[str, Any]]) -> list[str]:
    """Fields of the rows in the order of the table: what identifies and dates a row first; those always empty left out."""
    present = dict.fromkeys(name for row in found for name, value in row.items() if value not in (None, ""))
    first = [name for name in FIRST_COLUMNS if name in present]
    last = [name for name in LAST_COLUMNS if name in present]
    return [*first, *(name for name in present if name not in (*first, *last)), *last]
