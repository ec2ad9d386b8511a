"""The walls of the house: who may import whom, how long a module may be, what a public name owes its reader."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FAMILIES = ("statistical", "deep_learning", "llm")
ALLOWED_OUTSIDE = {"numpy", "pydantic", "pydantic_core", "yaml"}
MODULES = sorted(path for folder in ("sizing", "ui", "pages") for path in (ROOT / folder).rglob("*.py"))
CORE = [path for path in MODULES if path.is_relative_to(ROOT / "sizing")]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CORE, ids=_name)
def test_the_core_uses_only_itself_and_four_libraries(path: Path) -> None:
    import sys

    tops = {name.split(".")[0] for name in _imports(path)}
    folders = (ROOT / "sizing" / "onnx", ROOT / "sizing" / "deep_learning" / "onnx")
    more = {"onnx", "google"} if path.parent in folders else set()
    if path == ROOT / "sizing" / "measure" / "child.py":
        more = {"onnxruntime"}  # a process of its own: no other module runs a model
    if path == ROOT / "sizing" / "refresh" / "offers.py":
        more = {"gpuhunt"}  # optional, imported once the command asks for it
    assert tops - set(sys.stdlib_module_names) - ALLOWED_OUTSIDE - more <= {"sizing"}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_families_do_not_import_each_other(family: str) -> None:
    others = tuple(f"sizing.{other}" for other in FAMILIES if other != family)
    for path in (ROOT / "sizing" / family).glob("*.py"):
        for name in _imports(path):
            assert not any(name == other or name.startswith(other + ".") for other in others), _name(path)


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "ui")], ids=_name)
def test_the_screen_does_not_reach_into_pages(path: Path) -> None:
    assert not any(name.split(".")[0] in ("pages", "app") for name in _imports(path))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", CORE, ids=_name)
def test_public_functions_say_what_they_give(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), _name(path)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{_name(path)}: {node.name}"


def test_nothing_outside_the_core_is_fetched() -> None:
    """No script, style, font or data from another host is named anywhere the page is drawn."""
    for path in [*MODULES, ROOT / "app.py", ROOT / ".streamlit" / "config.toml"]:
        hosts = set(re.findall(r"https?://([^/\s\"')?]+)", path.read_text(encoding="utf-8")))
        assert hosts <= {"localhost:8501"}, _name(path)
