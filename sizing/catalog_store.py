"""Catalog files: reads the YAML tables, names a version by their content, keeps frozen versions.

A version is "YYYY-MM-DD.<8 hex>": the newest `as_of` of the file headers and the start of the SHA-256 over the files.
`versions/<version>.json.gz` holds all tables of a version, so that an old link opens with the figures it was made with
and a start need not parse YAML.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from yaml.constructor import ConstructorError

from sizing.api_rows import ApiPrice
from sizing.catalog_rows import Accelerator, CatalogRow, Frozen, Instance, LlmModel
from sizing.deep_learning_rows import DeepLearningModel
from sizing.errors import InputError
from sizing.serverless_rows import ServerlessService
from sizing.statistical_rows import StatisticalFamily, StatisticalStep

TABLES: Mapping[str, type[CatalogRow]] = {
    "accelerators": Accelerator,
    "instances": Instance,
    "llm_models": LlmModel,
    "deep_learning_models": DeepLearningModel,
    "statistical_families": StatisticalFamily,
    "serverless": ServerlessService,
    "statistical_steps": StatisticalStep,
    "api_prices": ApiPrice,
}
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}\.[0-9a-f]{8}")
_HEADER_DATE = re.compile(rb"^as_of: *['\"]?(\d{4}-\d{2}-\d{2})['\"]? *$", re.MULTILINE)


# Old versions are read by the present row models: a field added to one later has to be optional.
class Tables(Frozen):
    """All rows of one version, validated, with what the head of each file says about its units, trust and sources."""

    version: str
    headers: dict[str, dict[str, Any]]
    accelerators: tuple[Accelerator, ...]
    instances: tuple[Instance, ...]
    llm_models: tuple[LlmModel, ...]
    deep_learning_models: tuple[DeepLearningModel, ...]
    statistical_families: tuple[StatisticalFamily, ...]
    serverless: tuple[ServerlessService, ...] = ()
    statistical_steps: tuple[StatisticalStep, ...] = ()  # not in versions before 2026-11-25
    api_prices: tuple[ApiPrice, ...] = ()  # nor these


_TABLES_ADAPTER = TypeAdapter(Tables)


class _TextDates(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe YAML loader that leaves dates as text (a month is a date here too) and refuses a field given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise ConstructorError(None, None, f"{key.value} given twice", key.start_mark)
            seen.add(key.value)
        content: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return content


_TextDates.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _TextDates.yaml_implicit_resolvers.items()
}


@lru_cache(maxsize=2 * len(TABLES))
def parse_yaml(name: str, text: bytes) -> Mapping[str, Any]:
    """Content of one catalog file: its header fields and `rows`. Kept, so that a change of one file parses that one only."""
    try:
        content = yaml.load(text, Loader=_TextDates)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{name}.yaml{where}", getattr(error, "problem", None), "valid YAML") from None
    if not isinstance(content, dict) or not isinstance(content.get("rows"), list):
        raise InputError(f"{name}.yaml", type(content).__name__, "a mapping with a list called rows")
    if content.get("catalog") != name:
        raise InputError(f"{name}.yaml catalog", content.get("catalog"), name)
    return MappingProxyType(content)


def read_files(directory: Path) -> dict[str, bytes]:
    """Bytes of each table's YAML file in a catalog directory."""
    files = {}
    for name in TABLES:
        path = directory / f"{name}.yaml"
        try:
            files[name] = path.read_bytes()
        except OSError:
            raise InputError("catalog directory", path.name, "a directory that has this file") from None
    return files


def version_of(files: Mapping[str, bytes]) -> str:
    """Version of the tables: newest header date and first 8 hex digits of SHA-256 over names and contents."""
    digest = hashlib.sha256()
    dates = []
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name] + b"\0")
        match = _HEADER_DATE.search(files[name])
        if match is None:
            raise InputError(f"{name}.yaml as_of", None, "a date such as 2026-11-22 in the header")
        dates.append(match.group(1).decode())
    return f"{max(dates)}.{digest.hexdigest()[:8]}"


def read_yaml(files: Mapping[str, bytes]) -> Tables:
    """Tables parsed from YAML and validated row by row."""
    document: dict[str, Any] = {"version": version_of(files), "headers": {}}
    for name, text in files.items():
        content = parse_yaml(name, text)
        document[name] = content["rows"]
        document["headers"][name] = {field: value for field, value in content.items() if field != "rows"}
    try:
        encoded = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError("catalog", str(error), "text, finite numbers, true, false, lists and mappings") from None
    return _validated(encoded.encode(), document)


def snapshot_path(directory: Path, version: str) -> Path:
    """Where a frozen version is kept."""
    return directory / "versions" / f"{version}.json.gz"


def read_snapshot(directory: Path, version: str) -> Tables | None:
    """Tables of a frozen version, validated row by row, or None if that version is not kept."""
    if VERSION.fullmatch(version) is None:
        return None
    try:
        encoded = gzip.decompress(snapshot_path(directory, version).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, EOFError) as error:
        raise InputError(f"catalog version {version}", str(error), "a readable gzip file") from None
    return _validated(encoded, None)


def write_snapshot(directory: Path, tables: Tables) -> Path:
    """Write tables as a frozen version; the same tables give the same bytes. Unknown fields are left out."""
    path = snapshot_path(directory, tables.version)
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = json.dumps(tables.model_dump(mode="json", exclude_none=True), sort_keys=True, separators=(",", ":"))
    path.write_bytes(gzip.compress(encoded.encode(), mtime=0))
    return path


def kept_versions(directory: Path) -> tuple[str, ...]:
    """Frozen versions of a catalog directory, oldest first."""
    names = (path.name.removesuffix(".json.gz") for path in (directory / "versions").glob("*.json.gz"))
    return tuple(sorted(name for name in names if VERSION.fullmatch(name)))


def _validated(encoded: bytes, document: Mapping[str, Any] | None) -> Tables:
    try:
        return _TABLES_ADAPTER.validate_json(encoded)
    except ValidationError as error:
        raise _first_problem(error, document or json.loads(encoded)) from None


def _first_problem(error: ValidationError, document: Mapping[str, Any]) -> InputError:
    """The first refused field, said as file, row id and field."""
    problem = error.errors()[0]
    if problem["type"] == "json_invalid":
        return InputError("catalog version", problem["msg"], "a complete JSON document")
    table, *location = problem["loc"]
    row_type = TABLES.get(str(table))
    if row_type is None or not location:
        return InputError(f"catalog {table}", problem["input"], _allowed(problem["msg"]))
    number = int(location[0])
    row = document[str(table)][number]
    name = row.get("id") if isinstance(row, dict) else None
    fields = [str(part) for part in location[1:]]
    what = f"{table}.yaml row {name or f'number {number + 1}'}" + (": " + ".".join(fields) if fields else "")
    if problem["type"] == "missing":
        return InputError(what, None, "a value: every row needs this field")
    if problem["type"] == "extra_forbidden":
        known = (
            f"one of the fields {', '.join(row_type.model_fields)}" if len(fields) == 1 else "a field the catalog knows"
        )
        return InputError(what, problem["input"], known)
    return InputError(what, problem["input"], _allowed(problem["msg"]))


def _allowed(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input should be ")
