"""A recipe: one text to paste or apply for a chosen deployment, and what its reader has to know."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

FILL_IN = "FILL_IN"
"""Starts every value that neither the scenario nor the catalog knows."""

WIDTH = 110


@dataclass(frozen=True)
class Recipe:
    """One text for one tool: its file name and language, what to do with it, and what it leaves open."""

    key: str
    title: str
    file_name: str
    language: str
    text: str
    how: str
    notes: tuple[str, ...] = ()


def command(program: str, arguments: Sequence[tuple[str, ...]]) -> str:
    r"""A shell command, an option a line, quoted where the shell needs it.

    >>> print(command("vllm serve my/model", [("--port", "8000"), ("--enable-lora",)]))
    vllm serve my/model \
      --port 8000 \
      --enable-lora
    """
    lines = [program, *(" ".join([option[0], *map(shlex.quote, option[1:])]) for option in arguments)]
    return " \\\n  ".join(lines)


def as_json(content: object) -> str:
    """JSON text of a recipe's content, as its readers write it."""
    return json.dumps(content, indent=2) + "\n"


def as_yaml(*documents: object) -> str:
    """YAML text of one or several documents."""
    return yaml.safe_dump_all(documents, sort_keys=False, width=WIDTH)


def plain_name(text: str, *, most: int = 50) -> str:
    """A name as Kubernetes and SageMaker take it: lower case letters, digits and dashes.

    >>> plain_name("Llama-3.1-8B (fp8)")
    'llama-3-1-8b-fp8'
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:most].rstrip("-")
    return name if name and name[0].isalpha() else f"model-{name}".rstrip("-")
