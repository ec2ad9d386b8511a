"""Writes catalogs/statistical_families.yaml anew with fitted constants; names, descriptions and notes stay as they are."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from sizing import catalog_store

HEADER_BLOCKS = ("units", "trust_rule")
INLINE = ("file", "resident", "load", "busy_host")
PLACES = 4
STRETCH = "nodes visited a tree = 1 + path_stretch x log2(leaves), at most depth + 1; median of the measured models"


def short(value: float, digits: int = PLACES) -> float | int:
    """A number to so many significant digits; whole where that loses nothing.

    >>> short(12345.6), short(0.0123456), short(3.0)
    (12350, 0.01235, 3)
    """
    if not value:
        return 0
    rounded = round(float(value), digits - 1 - math.floor(math.log10(abs(value))))
    return int(rounded) if rounded == int(rounded) else rounded


def read(path: Path) -> dict[str, Any]:
    """The catalog file as it is."""
    return deepcopy(dict(catalog_store.parse_yaml("statistical_families", path.read_bytes())))


def write(document: dict[str, Any], path: Path) -> None:
    """Write the catalog file: the header, then a row a family with its runtimes."""
    lines = []
    for key, value in document.items():
        if key == "rows":
            continue
        if key == "about":
            lines += ["about: >-", *("  " + line for line in _wrapped(value))]
        elif isinstance(value, list):
            lines += [f"{key}:", *(f"- {_scalar(one)}" for one in value)]
        elif isinstance(value, dict) and key not in INLINE:
            lines += [f"{key}:", *(f"  {name}: {_scalar(one)}" for name, one in value.items())]
        else:
            lines.append(f"{key}: {_scalar(value)}")
    lines.append("rows:")
    for row in document["rows"]:
        lines += _block({key: value for key, value in row.items() if key != "runtimes"}, "")
        lines.append("  runtimes:")
        for runtime in row["runtimes"]:
            lines += _block(runtime, "  ")
        lines.append("")
    path.write_text("\n".join(lines).rstrip("\n") + "\n", encoding="utf-8")


def _block(fields: dict[str, Any], indent: str) -> list[str]:
    lines = []
    for number, (key, value) in enumerate(fields.items()):
        comment = f"  # {STRETCH}" if key == "path_stretch" else ""
        lines.append(f"{indent}{'- ' if number == 0 else '  '}{key}: {_scalar(value)}{comment}")
    return lines


def _scalar(value: object) -> str:
    if _is_day(value):  # a day is text to the catalog, quoted or not
        return str(value)
    said = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True).strip()
    return said.removesuffix("...").strip()


def _is_day(value: object) -> bool:
    return isinstance(value, str) and len(value) == 10 and value[:4].isdigit() and value[4] == value[7] == "-"


def _wrapped(text: str, width: int = 130) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]
