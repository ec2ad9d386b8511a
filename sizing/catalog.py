"""The catalogs in memory: load a version, look a thing up, say what changed between versions, check the facts.

catalog = load()
catalog.accelerator("h100-sxm-80gb").memory_bandwidth_gb_per_s
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from sizing import catalog_store
from sizing.api_rows import ApiPrice
from sizing.catalog_rows import Accelerator, CatalogRow, Instance, LlmModel, earliest_day
from sizing.deep_learning_rows import DeepLearningModel
from sizing.errors import InputError
from sizing.serverless_rows import ServerlessService
from sizing.statistical_rows import StatisticalFamily, StatisticalStep

DIRECTORY_VARIABLE = "SIZING_CATALOG_DIR"
SHIPPED_DIRECTORY = Path(__file__).resolve().parent.parent / "catalogs"

AnyRow = CatalogRow | StatisticalFamily
Row = TypeVar("Row", bound=AnyRow)


@dataclass(frozen=True, eq=False)
class Catalog:
    """All tables of one version, each a mapping from id to row in the order of the file."""

    version: str
    headers: Mapping[str, Mapping[str, Any]]
    accelerators: Mapping[str, Accelerator]
    instances: Mapping[str, Instance]
    llm_models: Mapping[str, LlmModel]
    deep_learning_models: Mapping[str, DeepLearningModel]
    statistical_families: Mapping[str, StatisticalFamily]
    serverless: Mapping[str, ServerlessService]
    statistical_steps: Mapping[str, StatisticalStep]
    api_prices: Mapping[str, ApiPrice]

    @property
    def as_of(self) -> date:
        """Day of the catalog: the newest header date of its files."""
        return date.fromisoformat(self.version.split(".")[0])

    def accelerator(self, id: str) -> Accelerator:
        """Accelerator with this id; InputError naming the nearest ids if there is none."""
        return _found("accelerator", id, self.accelerators)

    def instance(self, id: str) -> Instance:
        """Instance with this id; InputError naming the nearest ids if there is none."""
        return _found("instance", id, self.instances)

    def llm_model(self, id: str) -> LlmModel:
        """Large language model with this id; InputError naming the nearest ids if there is none."""
        return _found("model", id, self.llm_models)

    def deep_learning_model(self, id: str) -> DeepLearningModel:
        """Deep learning model with this id; InputError naming the nearest ids if there is none."""
        return _found("model", id, self.deep_learning_models)

    def statistical_family(self, id: str) -> StatisticalFamily:
        """Family of statistical models with this id; InputError naming the nearest ids if there is none."""
        return _found("family", id, self.statistical_families)

    def tables(self) -> dict[str, Mapping[str, AnyRow]]:
        """Every table by name."""
        return {name: getattr(self, name) for name in catalog_store.TABLES}


def load(version: str | None = None, directory: Path | None = None) -> Catalog:
    """Catalog of a version (None: the one in the YAML files), read once a process for each version and directory.

    Comes from the frozen version if that is kept, else from YAML. `directory` defaults to the environment variable
    SIZING_CATALOG_DIR, else to the catalogs that ship with the project.

    >>> load().accelerator("h100-sxm-80gb").capacity_bytes // 2**20
    81559
    >>> load("2020-01-01.00000000")
    Traceback (most recent call last):
    ...
    sizing.errors.InputError: catalog: '2020-01-01.00000000' is not allowed; allowed is ...
    """
    return _load(version, directory_of(directory))


def available_versions(directory: Path | None = None) -> tuple[str, ...]:
    """Versions that `load` can open, oldest day first; the present one is the last."""
    home = directory_of(directory)
    present = _load(None, home).version
    return (*(v for v in catalog_store.kept_versions(home) if v != present), present)


def freeze(directory: Path | None = None) -> Path:
    """Keep the present YAML as a frozen version, checked; the path of the file written.

    Parses the YAML anew and raises InputError if the catalog has problems.
    """
    home = directory_of(directory)
    tables = catalog_store.read_yaml(catalog_store.read_files(home))
    problems = check(_catalog(tables))
    if problems:
        raise InputError("catalog", problems[0], "a catalog that passes every check")
    return catalog_store.write_snapshot(home, tables)


def difference(old: Catalog, new: Catalog, ids: Collection[str] | None = None) -> list[str]:
    """Sentences on what changed from one catalog to another, row by row and field by field.

    `ids` limits them to the rows that matter to one scenario; None means all rows.
    """
    sentences = []
    for table, new_rows in new.tables().items():
        old_rows = old.tables()[table]
        for id in dict.fromkeys((*old_rows, *new_rows)):
            if ids is not None and id not in ids:
                continue
            if id not in new_rows:
                sentences.append(f"{id} is no longer in {table}.")
            elif id not in old_rows:
                sentences.append(f"{id} is new in {table}.")
            elif old_rows[id] != new_rows[id]:
                sentences.extend(_field_changes(id, old_rows[id], new_rows[id]))
    return sentences


def check(catalog: Catalog) -> list[str]:
    """Problems with the facts of a catalog, one sentence each; empty if there are none.

    Looks for what a row's own type cannot see: implausible figures, parts that do not add up, dates to come. Rows
    without source or date, two rows of one id, a 0 for a blank and unknown accelerators are refused by `load` already.
    """
    return [
        *_date_problems(catalog),
        *_accelerator_problems(catalog.accelerators.values()),
        *_instance_problems(catalog.instances.values()),
        *_llm_problems(catalog.llm_models.values()),
        *_deep_learning_problems(catalog.deep_learning_models.values()),
        *_serverless_problems(catalog.serverless.values()),
        *_api_problems(catalog),
    ]


def directory_of(directory: Path | None = None) -> Path:
    """Where the catalogs are: `directory`, else the environment variable SIZING_CATALOG_DIR, else those that ship."""
    return Path(directory or os.environ.get(DIRECTORY_VARIABLE) or SHIPPED_DIRECTORY).resolve()


@lru_cache(maxsize=16)
def _load(version: str | None, directory: Path) -> Catalog:
    if version is not None:
        kept = catalog_store.read_snapshot(directory, version)
        if kept is not None:
            return _catalog(kept)
    files = catalog_store.read_files(directory)
    present = catalog_store.version_of(files)
    if version is None:
        tables = catalog_store.read_snapshot(directory, present) or catalog_store.read_yaml(files)
        return _catalog(tables)
    if version == present:
        return _load(None, directory)
    known = (*catalog_store.kept_versions(directory), present)
    raise InputError("catalog", version, f"one of the versions kept: {', '.join(dict.fromkeys(known))}")


def _catalog(tables: catalog_store.Tables) -> Catalog:
    """Tables by id; refuses two rows of one id and references to an accelerator that is not there."""
    accelerators = _by_id("accelerators", tables.accelerators)
    for instance in tables.instances:
        if instance.accelerator_id is not None and instance.accelerator_id not in accelerators:
            allowed = _ids_allowed(instance.accelerator_id, accelerators)
            raise InputError(f"instances.yaml row {instance.id}: accelerator_id", instance.accelerator_id, allowed)
    return Catalog(
        version=tables.version,
        headers=MappingProxyType(tables.headers),
        accelerators=accelerators,
        instances=_by_id("instances", tables.instances),
        llm_models=_by_id("llm_models", tables.llm_models),
        deep_learning_models=_by_id("deep_learning_models", tables.deep_learning_models),
        statistical_families=_by_id("statistical_families", tables.statistical_families),
        serverless=_by_id("serverless", tables.serverless),
        statistical_steps=_by_id("statistical_steps", tables.statistical_steps),
        api_prices=_by_id("api_prices", tables.api_prices),
    )


def _by_id(table: str, rows: tuple[Row, ...]) -> Mapping[str, Row]:
    repeated = [id for id, count in Counter(row.id for row in rows).items() if count > 1]
    if repeated:
        raise InputError(f"{table}.yaml row {repeated[0]}: id", repeated[0], "an id that no other row has")
    return MappingProxyType({row.id: row for row in rows})


def _found(field: str, id: str, rows: Mapping[str, Row]) -> Row:
    row = rows.get(id)
    if row is None:
        raise InputError(field, id, _ids_allowed(id, rows))
    return row


def _ids_allowed(id: str, rows: Mapping[str, AnyRow]) -> str:
    nearest = get_close_matches(id.lower(), rows, n=3, cutoff=0.3)
    return f"one of {len(rows)} ids" + (f", nearest: {', '.join(nearest)}" if nearest else "")


def _field_changes(id: str, old: AnyRow, new: AnyRow) -> Iterator[str]:
    before, after = _flat(old), _flat(new)
    for field in dict.fromkeys((*before, *after)):
        was, now = before.get(field), after.get(field)
        if was != now:
            yield f"{id}: {field} was {_said(was)}, is {_said(now)}."


def _flat(row: AnyRow) -> dict[str, object]:
    """Fields of a row by a name to say; of a price or a trace, by what identifies it."""
    flat: dict[str, object] = {}
    for field, value in row.model_dump(exclude={"prices", "traces"}).items():
        flat[field] = value
    for price in getattr(row, "prices", ()):
        for field in ("usd_per_hour", "region", "as_of", "kind", "note", "source"):
            flat[f"{price.region_group} {price.basis} {field}"] = getattr(price, field)
    for trace in getattr(row, "traces", ()):
        name = f"trace at {trace.size}" + (f" {trace.attention}" if trace.attention else "")
        for field, value in trace.model_dump(exclude={"size", "attention"}).items():
            flat[f"{name} {field}"] = value
    return flat


def _said(value: object) -> str:
    return "not known" if value is None else str(value)


def _date_problems(catalog: Catalog) -> Iterator[str]:
    for table, rows in catalog.tables().items():
        for row in rows.values():
            dates = [row.as_of, *(p.as_of for p in getattr(row, "prices", ()))]
            for as_of in dates:
                day = earliest_day(as_of)
                if day is not None and day > catalog.as_of:
                    yield f"{table} {row.id}: as_of {as_of} is later than the catalog's {catalog.as_of}."


# Plausible ranges [low, high] of one accelerator or instance: wide enough for every part on sale, narrow enough that a
# wrong unit (MB for GB, bits for bytes, TFLOPS for PFLOPS) falls outside.
ACCELERATOR_RANGES = {
    "release_year": (2014, 2030),
    "memory_gb_nominal": (4, 1024),
    "memory_bandwidth_gb_per_s": (10, 20_000),
    "fp64_tflops": (0.1, 500),
    "fp32_tflops": (1, 1000),
    "tf32_tflops": (1, 5000),
    "fp16_tflops": (5, 10_000),
    "bf16_tflops": (5, 10_000),
    "fp8_tflops": (10, 20_000),
    "int8_tops": (10, 20_000),
    "fp4_tflops": (100, 50_000),
    "interconnect_gb_per_s": (5, 5000),
    "pcie_gb_per_s": (4, 256),
    "tdp_w": (10, 3000),
}
INSTANCE_RANGES = {
    "vcpus": (1, 1024),
    "memory_gib": (0.5, 32_768),
    "accelerator_count": (1, 128),
    "network_gbps_baseline": (0.05, 10_000),
    "local_ssd_gb": (10, 500_000),
}
USD_PER_HOUR_RANGE = (0.001, 1000)
SERVERLESS_RANGES = {
    "usd_per_gib_s": (1e-7, 1e-3),
    "usd_per_vcpu_s": (1e-6, 1e-3),
    "usd_per_million_requests": (0, 20),
    "usd_per_gb_transferred": (0.001, 1),
    "payload_limit_mib": (0.1, 1024),
    "timeout_s": (1, 86_400),
    "idle_timeout_s": (10, 7200),
}
API_RANGES = {
    "usd_per_million_input_tokens": (0.001, 1000),
    "usd_per_million_output_tokens": (0.001, 1000),
    "usd_per_million_cached_tokens": (0.0001, 1000),
    "usd_per_1k_requests": (0.001, 10_000),
}
MEMORY_REPORTED_SHARE = (0.9, 1.1)
"""Reported or usable bytes over nominal GB: a driver keeps up to 7 % back, a GiB read as GB is 7 % too much."""


def _out_of_range(row: CatalogRow, ranges: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    for field, (low, high) in ranges.items():
        value = getattr(row, field)
        if value is not None and not low <= value <= high:
            yield f"{row.id}: {field} {value} is outside {low} to {high}; check its unit."


def _accelerator_problems(rows: Iterable[Accelerator]) -> Iterator[str]:
    low, high = MEMORY_REPORTED_SHARE
    for row in rows:
        yield from _out_of_range(row, ACCELERATOR_RANGES)
        share = row.capacity_bytes / (row.memory_gb_nominal * 1e9)
        if not low <= share <= high:
            yield f"{row.id}: {row.capacity_basis} is {share:.2f} of the nominal memory."
        one_way, both_ways = row.interconnect_gb_per_s, row.interconnect_bidirectional_gb_per_s
        if one_way is not None and both_ways is not None and abs(both_ways - 2 * one_way) > 0.02 * both_ways:
            yield f"{row.id}: interconnect both ways {both_ways} GB/s is not twice one way {one_way} GB/s."


def _instance_problems(rows: Iterable[Instance]) -> Iterator[str]:
    low, high = USD_PER_HOUR_RANGE
    for row in rows:
        yield from _out_of_range(row, INSTANCE_RANGES)
        for price in row.prices:
            if not low <= price.usd_per_hour <= high:
                yield f"{row.id}: {price.region_group} {price.basis} {price.usd_per_hour} USD an hour is implausible."


def _llm_problems(rows: Iterable[LlmModel]) -> Iterator[str]:
    for row in rows:
        mixers = row.n_full_attn_layers + row.n_sliding_layers + row.n_linear_layers
        if mixers > row.layers or (mixers < row.layers and row.doubts is None and row.layer_pattern is None):
            yield f"{row.id}: {mixers} of {row.layers} layers mix tokens, with no layer_pattern or doubts to say why."
        if row.moe_layers + row.dense_layers > row.layers:
            yield f"{row.id}: {row.moe_layers} expert and {row.dense_layers} dense layers are more than {row.layers}."
        if row.n_sliding_layers and row.sliding_window is None:
            yield f"{row.id}: sliding layers without a sliding_window."
        if row.moe_layers and (row.experts is None or row.experts_per_token is None or row.moe_ffn is None):
            yield f"{row.id}: expert layers without experts, experts_per_token or moe_ffn."
        if row.heads is not None and row.kv_heads is not None and row.heads % row.kv_heads:
            yield f"{row.id}: {row.heads} heads do not divide into {row.kv_heads} KV heads."
        if row.params_total is not None and row.params_active is not None and row.params_active > row.params_total:
            yield f"{row.id}: more parameters active than in all."


def _deep_learning_problems(models: Iterable[DeepLearningModel]) -> Iterator[str]:
    rows = tuple(models)
    by_id = {row.id: row for row in rows}
    for row in rows:
        for trace in row.traces:
            if trace.peak_live_bytes_fp32 > trace.sum_activation_bytes_fp32:
                yield f"{row.id}: the trace at {trace.size} has a peak above its sum of activations."
        parts = [by_id.get(stage.model) for stage in row.stages]
        for stage, part in zip(row.stages, parts, strict=True):
            if part is None or part.stages:
                yield f"{row.id}: stage {stage.name} names {stage.model}, which is no network of the catalog."
        if row.stages and None not in parts and sum({p.id: p.params for p in parts if p}.values()) != row.params:
            yield f"{row.id}: its parameters are not the sum of its stages'."


def _serverless_problems(rows: Iterable[ServerlessService]) -> Iterator[str]:
    for row in rows:
        yield from _out_of_range(row, SERVERLESS_RANGES)
        for size in row.sizes:
            if size.memory_mib / size.vcpus > 4096:
                yield f"{row.id}: {size.memory_mib} MiB with {size.vcpus} vCPUs is implausible; check the units."


def _api_problems(catalog: Catalog) -> Iterator[str]:
    for row in catalog.api_prices.values():
        yield from _out_of_range(row, API_RANGES)
        known = catalog.llm_models if row.kind == "llm" else catalog.deep_learning_models
        for model in row.models:
            if model not in known:
                yield f"{row.id}: {model} is no model of the catalog."
