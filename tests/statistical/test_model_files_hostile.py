"""Hostile and broken files: one sentence or facts, never another error; nothing is unpickled, and no length is believed."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sizing.errors import InputError
from sizing.inspect import inspect_file
from sizing.statistical.files import skops_file, tokens
from sizing.statistical.files.tokens import numbers, parse_json
from sizing.statistical.files.ubj import parse_ubj
from tests.deep_learning.onnx_graphs import FLOAT, model, raw
from tests.statistical import model_files as files

ENDINGS = ("x.json", "x.onnx", "x.skops", "x.txt", "x.ubj", "x")


class Danger:
    """Ends the test run if anything unpickles it."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (pytest.exit, ("a pickle was opened",))


def sentence(content: bytes, name: str = "model", *, through: Callable[[bytes, str], object] = files.read) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(InputError) as caught:
        through(content, name)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(".")
    assert len(said) < 700
    return said


def inspected(content: bytes, name: str) -> object:
    """The same through `inspect`."""
    return inspect_file(content, name=name)


PICKLES = {
    **{f"protocol {p}": pickle.dumps(Danger(), p) for p in range(6)},
    "zlib": zlib.compress(pickle.dumps(Danger())),
    "gzip": gzip.compress(pickle.dumps(Danger())),
    "bz2": bz2.compress(pickle.dumps(Danger())),
    "xz": lzma.compress(pickle.dumps(Danger())),
    "lzma": lzma.compress(pickle.dumps(Danger()), lzma.FORMAT_ALONE),
}


@pytest.mark.parametrize("name", ENDINGS)
@pytest.mark.parametrize("content", PICKLES.values(), ids=PICKLES)
def test_a_pickle_is_refused_by_any_name(content: bytes, name: str) -> None:
    for through in (files.read, inspected):
        said = sentence(content, name, through=through)
        assert "pickle" in said
        assert "never opened here" in said


def test_a_numpy_file_of_objects_is_a_pickle() -> None:
    made = io.BytesIO()
    np.save(made, np.array([Danger()], dtype=object), allow_pickle=True)
    assert "pickle" in sentence(made.getvalue(), "x.npy")
    plain = io.BytesIO()
    np.save(plain, np.zeros(3))
    assert "array" in sentence(plain.getvalue(), "x.npy")


@pytest.mark.parametrize(
    ("made", "way"),
    [
        (lambda: pickle.dumps(files.learned("forest")), "skops.io.dump"),
        (lambda: pickle.dumps(files.learned("scaled"), 0), "skl2onnx"),
        (lambda: pickle.dumps(files.boosted("binary")), "save_model('model.json')"),
        (lambda: pickle.dumps(files.light("binary")), "save_model('model.txt')"),
        (lambda: zlib.compress(pickle.dumps(files.learned("linear"))), "skops"),
        (lambda: b"CBM1" + bytes(50), "format='onnx'"),
        (lambda: b"binf" + bytes(50), "save_model('model.json')"),
    ],
)
def test_the_safe_way_is_that_of_the_library(made: Callable[[], bytes], way: str) -> None:
    content = made()
    for through in (files.read, inspected):
        assert way in sentence(content, "model.onnx", through=through)


WANTED = frozenset({"a"})


def test_json_is_bounded_in_depth_and_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for deep in (b"[" * 100_000, b'{"a":' * 100_000, b'{"learner":' * 100_000, b'{"learner":{"a":[' + b"[" * 100_000):
        assert "nested" in _refused(parse_json, deep)
        sentence(deep)
        sentence(deep, "x.json", through=inspected)
    monkeypatch.setattr(tokens, "MOST_VALUES", 100)
    monkeypatch.setattr(tokens.Budget.__init__, "__defaults__", (100,))
    assert "parts" in _refused(parse_json, b"[" + b"{}," * 200 + b"{}]")
    assert parse_json(b'{"a": [' + b"1," * 5000 + b"1]}", WANTED)["a"].size == 5001


def _refused(parse: Callable[[bytes, frozenset[str]], object], content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        parse(content, WANTED)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}', b"[1,", b"[1", b'{"a":[1 2]}', b'{"a":[1,,2]}', b'{"a":[--1]}', b'{"a":[1,]}', b'["a]',
        b'["a', b'{"a":[tru]}', b"nul", b'{"a" 1}', b"{1:2}", b"[1]x", b'"\\u12"', b'"\xff"', b"\x00", b'["a" "b"]', b"[[1],", b"1e",
        b'{"a": [1, "x"]}', b"-", b'{"a":[1;2]}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: bytes) -> None:
    assert _refused(parse_json, text).startswith("file: ")


def test_json_reads_what_the_standard_library_reads() -> None:
    for value in (
        {"b": 'ä"\\\n\u20ac', "c": [{"d": None}, {"e": True}], "f": -1.5e-3, "g": {}, "h": [], "i": [[1], [2]]},
        "x",
        5,
    ):
        text = json.dumps(value, indent=1).encode()
        expected = {**value, "i": [1, 1]} if isinstance(value, dict) else value
        assert parse_json(text, frozenset()) == expected
    assert numbers(b"1.5,-2E3, 7").tolist() == [1.5, -2000.0, 7.0]
    assert parse_json(b'{"a": [true, false, NaN]}', frozenset()) == {"a": 3}


def _typed(count: bytes, kind: bytes = b"l", data: bytes = bytes(8)) -> bytes:
    return b"{i\x01a[$" + kind + b"#" + count + data + b"}"


LIES = {
    "negative": _typed(b"L" + struct.pack(">q", -1)),
    "very negative": _typed(b"L" + struct.pack(">q", -(2**63))),
    "2^62": _typed(b"L" + struct.pack(">q", 2**62)),
    "beyond by one": _typed(b"i\x03"),
    "of no type": _typed(b"i\x01", kind=b"Z"),
    "of objects": _typed(b"i\x01", kind=b"{"),
    "a length in halves": _typed(b"d" + bytes(4)),
    "a name of 2^62": b"{L" + struct.pack(">q", 2**62) + b"learner",
    "a name of -1": b"{i\xff",
    "many of one": b"{i\x01a[#L" + struct.pack(">q", 2**62) + b"Z",
    "no end": b"{i\x01a[ZZZ",
    "no value": b"{i\x01a",
    "a text of 2^62": b"{i\x01aSL" + struct.pack(">q", 2**62),
    "no UTF-8": b"{i\x01aSi\x01\xff}",
    "high precision": b"{i\x01aHi\x011}",
    "more after": b"{}x",
    "empty": b"",
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES)
def test_ubj_that_lies_about_lengths_is_refused(content: bytes) -> None:
    tracemalloc.start()
    try:
        assert _refused(parse_ubj, content).startswith("file: ")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_ubj_is_bounded_in_depth() -> None:
    for deep in (b"[" * 100_000, b"{i\x07learner" * 100_000):
        assert "nested" in _refused(parse_ubj, deep)
        sentence(deep)


def test_ubj_reads_every_kind_of_value() -> None:
    content = (
        b"{i\x01aSi\x02xyU\x01bZi\x01cTi\x01dFi\x01eI\x01\x00i\x01fl\x00\x01\x00\x00i\x01gL" + struct.pack(">q", -5)
        + b"i\x01hd" + struct.pack(">f", 1.5) + b"i\x01jD" + struct.pack(">d", 2.5) + b"i\x01k[i\x01U\xff]i\x01m[#i\x02i\x01i\x02}"
    )  # fmt: skip
    assert parse_ubj(content, frozenset()) == {
        "a": "xy", "b": None, "c": True, "d": False, "e": 256, "f": 65536, "g": -5, "h": 1.5, "j": 2.5, "k": [1, 255], "m": [1, 2],
    }  # fmt: skip


def _zip(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return made.getvalue()


def test_a_zip_bomb_is_not_unpacked() -> None:
    bomb = _zip({"schema.json": b" " * (skops_file.MOST_SCHEMA_BYTES + 1)})
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        assert "unpacked" in sentence(bomb, "x.skops")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    crowd = _zip({"schema.json": b"[" + b"{}," * skops_file.MOST_CONTAINERS + b"{}]"})
    assert "parts" in sentence(crowd, "x.skops")


def test_an_array_that_unpacks_to_too_much_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skops_file, "MOST_ARRAY_BYTES", 1_000)
    assert "arrays of over 1,000 bytes" in sentence(files.skops_file("forest"))


def test_a_directory_of_too_many_entries_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skops_file, "MOST_DIRECTORY_BYTES", 100)
    with pytest.raises(InputError, match="too many entries"):
        skops_file.SkopsFile(io.BytesIO(files.skops_file("forest")), len(files.skops_file("forest")))


def _with_type(module: str, name: str, loader: str = "ObjectNode") -> bytes:
    def change(schema: Any) -> Any:
        schema["content"]["content"]["estimator"] = {"__class__": name, "__module__": module, "__loader__": loader}
        return schema

    return files.changed(files.skops_file("forest"), change)


@pytest.mark.parametrize(
    ("module", "name", "loader"),
    [
        ("os", "system", "FunctionNode"),
        ("builtins", "eval", "TypeNode"),
        ("sklearn.externals.joblib", "load", "ObjectNode"),
        ("my_package.models", "Forest", "ObjectNode"),
        ("sklearn.tree._classes", "DecisionTreeClassifier", "ConstructorFromReduceNode"),
        ("operator", "attrgetter", "OperatorFuncNode"),
        ("functools", "partial", "PartialNode"),
    ],
)
def test_skops_with_a_type_off_the_list_names_it(module: str, name: str, loader: str) -> None:
    content = _with_type(module, name, loader)
    for through in (files.read, inspected):
        assert f"{module}.{name}" in sentence(content, "x.skops", through=through)


def _schema(change: Callable[[dict[str, Any]], None], kind: str = "forest") -> bytes:
    def applied(schema: Any) -> Any:
        change(schema["content"]["content"])
        return schema

    return files.changed(files.skops_file(kind), applied)


def test_skops_with_parts_missing_or_changed_is_refused() -> None:
    sentence(_schema(lambda parts: parts.pop("estimators_")))
    sentence(_schema(lambda parts: parts.pop("n_features_in_")))
    sentence(_schema(lambda parts: parts["estimators_"].update(content=[])))
    sentence(_schema(lambda parts: parts["estimators_"].update(content=[{}])))
    sentence(_schema(lambda parts: parts["estimators_"].update(content={"a": 1})))
    sentence(_schema(lambda parts: parts.update(n_features_in_={"__loader__": "JsonNode", "content": "1e99",
                                                                  "__class__": "str", "__module__": "builtins"})))  # fmt: skip
    sentence(_schema(lambda parts: parts["coef_"].update(file="../../etc/passwd"), "logistic"))
    sentence(_schema(lambda parts: parts["coef_"].update(type="json"), "logistic"))
    sentence(_schema(lambda parts: parts.pop("coef_"), "logistic"))


def _with_nodes(change: Callable[[Any], None]) -> bytes:
    """The skops file of a tree whose array of nodes was changed."""
    archive = zipfile.ZipFile(io.BytesIO(files.skops_file("tree")))
    entries = {name: archive.read(name) for name in archive.namelist()}
    for name, data in entries.items():
        if name.endswith(".npy") and b"left_child" in data[:300]:
            array = np.load(io.BytesIO(data), allow_pickle=False)
            change(array)
            made = io.BytesIO()
            np.save(made, array, allow_pickle=False)
            entries[name] = made.getvalue()
    return _zip(entries)


def test_a_tree_of_scikit_learn_with_a_cycle_or_a_child_beyond_is_refused() -> None:
    def cycle(array: Any) -> None:
        array["left_child"][1 if array["left_child"][1] >= 0 else 2] = 0

    def beyond(array: Any) -> None:
        array["left_child"][0] = 2**40

    def itself(array: Any) -> None:
        array["right_child"][0] = 0

    for change in (cycle, beyond, itself):
        sentence(_with_nodes(change))
    files.read(_with_nodes(lambda array: None))


def test_arrays_of_objects_and_arrays_with_long_shapes_are_refused() -> None:
    def swapped(descr: str, shape: str) -> bytes:
        archive = zipfile.ZipFile(io.BytesIO(files.skops_file("tree")))
        header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
        header += b" " * (-(len(header) + 11) % 64) + b"\n"
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickle.dumps(Danger())
        return _zip({n: data if n.endswith(".npy") else archive.read(n) for n in archive.namelist()})

    assert "objects" in sentence(swapped("'|O'", "(1,)"))
    sentence(swapped("'<f8'", f"({2**39}, {2**39})"))
    sentence(swapped("'<f8'", "(-1,)"))
    sentence(swapped("__import__('os').system('true')", "(1,)"))
    sentence(swapped("'<f8'", "(" * 200 + ")" * 200))


def _ensemble(**changed: Any) -> bytes:
    """An ONNX file with the tree of `tiny_xgboost`."""
    from onnx import helper

    attributes: dict[str, Any] = {
        "nodes_treeids": [0] * 5, "nodes_nodeids": [0, 1, 2, 3, 4], "nodes_featureids": [0] * 5, "nodes_values": [0.0] * 5,
        "nodes_modes": ["BRANCH_LT", "LEAF", "BRANCH_LT", "LEAF", "LEAF"], "nodes_truenodeids": [1, 0, 3, 0, 0],
        "nodes_falsenodeids": [2, 0, 4, 0, 0], "n_targets": 1, "target_ids": [0] * 3, "target_nodeids": [1, 3, 4],
        "target_treeids": [0] * 3, "target_weights": [1.0] * 3, **changed,
    }  # fmt: skip
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    return raw(model([node], {"x": (FLOAT, ["n", 3])}, ["y"]))


def test_trees_of_onnx_are_checked_like_the_others() -> None:
    good = files.read(_ensemble()).forest
    assert good is not None
    assert (good.trees, good.nodes, good.leaves, good.max_depth) == (1, 5, 3, 2)
    assert good.visited_nodes_per_row == pytest.approx(8 / 3)
    for changed in (
        {"nodes_truenodeids": [1, 0, 0, 0, 0]},
        {"nodes_truenodeids": [1, 0, 2, 0, 0]},
        {"nodes_truenodeids": [1, 0, 1, 0, 0]},
        {"nodes_truenodeids": [1, 0, 9, 0, 0]},
        {"nodes_truenodeids": [1, 0, -3, 0, 0]},
        {"nodes_truenodeids": [1, 0, 2**62, 0, 0]},
        {"nodes_nodeids": [0, 1, 2, 3, 3]},
        {"nodes_nodeids": [-(2**63), 1, 2, 3, 4]},
        {"nodes_treeids": [0, 0, 0, 1, 1]},
        {"nodes_modes": ["LEAF"]},
        {"nodes_falsenodeids": [2]},
    ):
        for through in (files.read, inspected):
            sentence(_ensemble(**changed), through=through)


def test_trees_of_version_5() -> None:
    from onnx import TensorProto, helper

    def made(**changed: Any) -> bytes:
        attributes: dict[str, Any] = {
            "nodes_featureids": [0, 1], "nodes_truenodeids": [0, 1], "nodes_trueleafs": [1, 1], "nodes_falsenodeids": [1, 2],
            "nodes_falseleafs": [0, 1], "tree_roots": [0], "leaf_targetids": [0, 0, 0], "n_targets": 1,
            "nodes_modes": helper.make_tensor("m", TensorProto.UINT8, [2], bytes([1, 1]), raw=True),
            "nodes_splits": helper.make_tensor("s", TensorProto.FLOAT, [2], [0.5, 0.5]),
            "leaf_weights": helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0]), **changed,
        }  # fmt: skip
        node = helper.make_node("TreeEnsemble", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
        return raw(model([node], {"x": (FLOAT, ["n", 3])}, ["y"]))

    found = files.read(made())
    assert found.forest is not None
    assert (found.forest.trees, found.forest.nodes, found.forest.leaves) == (1, 5, 3)
    assert found.family == "gradient-boosting-xgboost"
    for changed in ({"nodes_falsenodeids": [0, 2]}, {"nodes_falsenodeids": [7, 2]}, {"tree_roots": [9]},
                    {"nodes_trueleafs": [1]}, {"nodes_truenodeids": [-1, 1]}):  # fmt: skip
        sentence(made(**changed))


def test_a_custom_operator_is_said() -> None:
    from onnx import helper

    scorer = helper.make_node("Score", ["x"], ["z"], domain="my.company")
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["z"], ["y"], domain="ai.onnx.ml", nodes_treeids=[0], nodes_nodeids=[0], nodes_modes=["LEAF"],
        nodes_truenodeids=[0], nodes_falsenodeids=[0], nodes_featureids=[0], nodes_values=[0.0], target_ids=[0],
        target_nodeids=[0], target_treeids=[0], target_weights=[1.0], n_targets=1,
    )  # fmt: skip
    found = files.read(raw(model([scorer, trees], {"x": (FLOAT, ["n", 3])}, ["y"])))
    assert any("my.company.Score" in note for note in found.notes)
    sentence(raw(model([scorer], {"x": (FLOAT, ["n", 3])}, ["z"])))
