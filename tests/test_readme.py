"""The README is true to the code: its generated tables are what the code gives now."""

from __future__ import annotations

import re

from benchmarks.readme import README, ROOT, rendered


def test_the_tables_are_what_the_code_gives() -> None:
    text = README.read_text(encoding="utf-8")
    assert rendered(text) == text, "run `python -m benchmarks.readme`"


def test_every_file_and_command_named_exists() -> None:
    text = README.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", text, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    for path in re.findall(r"\]\(((?:examples|docs)/[^)]+)\)", text):
        assert (ROOT / path).is_file(), path


def test_every_dependency_is_pinned_and_explained() -> None:
    text = README.read_text(encoding="utf-8")
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, pin = line.split("==")
            assert pin
            assert f"| {name} |" in text
