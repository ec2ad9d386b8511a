"""Model files cut short or changed at random: one sentence or facts, never another error."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from sizing.errors import InputError
from tests.statistical import model_files as files

MUTATIONS = 300

WHOLE: dict[str, Callable[[], bytes]] = {
    "xgboost json": lambda: files.xgboost_file("classes", "json"),
    "xgboost ubj": lambda: files.xgboost_file("classes", "ubj"),
    "lightgbm": lambda: files.light_file("categories"),
    "onnx trees": lambda: files.onnx_file("forest"),
    "onnx pipeline": lambda: files.onnx_file("columns"),
    "onnx network": lambda: files.onnx_file("perceptron"),
    "skops": lambda: files.skops_file("columns"),
    "skops forest": lambda: files.skops_file("forest"),
}


def _tried(content: bytes) -> bool:
    """Whether a file gives facts; a sentence is as good, anything else ends the test."""
    try:
        found = files.read(content)
        found.summary("x").text()
    except InputError as error:
        if "\n" in str(error):
            raise
        return False
    return True


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_short_gives_a_sentence_or_facts(kind: str) -> None:
    content = WHOLE[kind]()
    cuts = list(range(0, len(content), max(1, len(content) // 60)))
    told = [_tried(content[:cut]) for cut in cuts]
    assert not any(told[: len(cuts) // 2])
    assert _tried(content)


@pytest.mark.parametrize("kind", WHOLE)
def test_random_changes_give_a_sentence_or_facts(kind: str) -> None:
    content = WHOLE[kind]()
    rng = random.Random(kind)
    told = 0
    for _ in range(MUTATIONS if len(content) < 60_000 else MUTATIONS // 3):
        changed = bytearray(content)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(changed))
            what = rng.randrange(4)
            if what == 0:
                changed[at] = rng.randrange(256)
            elif what == 1:
                changed[at] ^= 1 << rng.randrange(8)
            elif what == 2:
                del changed[at : at + rng.randrange(1, 9)]
            else:
                changed[at:at] = bytes(rng.choice(b'[]{}-0,9"\x00\xff') for _ in range(rng.randrange(1, 9)))
        told += _tried(bytes(changed))
    assert told < MUTATIONS


PLACED: tuple[Any, ...] = (None, -1, 0, 1, 2**62, 1e99, "x", "", [], {}, [[]], True, "9" * 30, "null", "-5")


def _shuffled(document: Any, rng: random.Random) -> None:
    """Take out, replace or exchange some part of a document."""
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        at = waiting.pop()
        keys = list(at) if isinstance(at, dict) else range(len(at))
        places += [(at, key) for key in keys]
        waiting += [at[key] for key in keys if isinstance(at[key], dict | list)]
    at, key = rng.choice(places)
    other, there = rng.choice(places)
    what = rng.random()
    if what < 0.2:
        del at[key]
    elif what < 0.6:
        at[key] = rng.choice(PLACED)
    else:
        at[key] = json.loads(json.dumps(other[there]))


@pytest.mark.parametrize("kind", ["classes", "linear", "dart"])
def test_a_document_with_parts_exchanged_gives_a_sentence_or_facts(kind: str) -> None:
    rng = random.Random(kind)
    for _ in range(MUTATIONS):
        document = json.loads(files.xgboost_file(kind, "json"))
        _shuffled(document, rng)
        _tried(json.dumps(document).encode())


@pytest.mark.parametrize("kind", ["columns", "vectors", "perceptron"])
def test_a_schema_with_parts_exchanged_gives_a_sentence_or_facts(kind: str) -> None:
    rng = random.Random(kind)

    def change(schema: Any) -> Any:
        _shuffled(schema, rng)
        return schema

    for _ in range(MUTATIONS // 10):
        _tried(files.changed(files.skops_file(kind), change))
