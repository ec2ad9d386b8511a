"""Analysis of ONNX graphs: figures derived by hand, liveness against brute force, shapes that graphs compute themselves."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from sizing.deep_learning.onnx.analysis import Analysis, analyse
from sizing.deep_learning.onnx.liveness import Step, life
from sizing.deep_learning.operators import totals
from sizing.errors import InputError
from sizing.llm.headers.stored import opened
from sizing.onnx.reader import read_network
from tests.deep_learning.onnx_graphs import BOOL, FLOAT, INT64, floats, model, node, raw, small_network


def analysed(proto: onnx.ModelProto, **dims: int) -> Analysis:
    with opened(raw(proto)) as (stream, size):
        return analyse(read_network(stream, size, "test.onnx"), dims)


def test_a_small_network_by_hand() -> None:
    """Each map of 4 x 8 x 8 floats has 1,024 bytes. Live: c; c n; c n r; c r s; s p; f (= p); f y."""
    found = analysed(small_network())
    assert found.parameters == 4 * 27 + 4 + 8 + 40 + 10  # mean and var of the batch norm are not parameters
    assert found.weights.buffers_bytes == 2 * 4 * 4
    assert dict(found.weights.bytes_by_dtype) == {"float32": 4 * 170}
    assert found.macs == 4 * 64 * 27 + 40
    assert found.macs_by_op() == {"Conv": 6912, "Gemm": 40}
    assert found.input_bytes == 3 * 64 * 4
    assert found.life.live_bytes == (1024, 2048, 3072, 3072, 1040, 16, 56)
    assert (found.life.peak_bytes, found.peak_at) == (3072, "at_r (Relu)")
    assert dict(found.life.alive) == {"c": 1024, "n": 1024, "r": 1024}
    assert found.life.sum_bytes == 4 * 1024 + 16 + 40
    assert found.reshapes == 1
    assert found.complete


def test_activations_grow_with_the_batch_and_weights_do_not() -> None:
    one, eight = analysed(small_network(), batch=1), analysed(small_network(), batch=8)
    assert eight.life.peak_bytes == 8 * one.life.peak_bytes
    assert eight.life.sum_bytes == 8 * one.life.sum_bytes
    assert eight.macs == 8 * one.macs
    assert eight.parameters == one.parameters


def test_work_by_kind() -> None:
    nodes = [
        node("Conv", "x dense", "a", pads=[1, 1, 1, 1]),
        node("Conv", "a point", "b"),
        node("Conv", "b depth", "c", pads=[1, 1, 1, 1], group=8),
        node("Conv", "c grouped", "d", pads=[1, 1, 1, 1], group=2),
        node("Softmax", "d", "e"),
        node("MaxPool", "e", "f", kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", "f", "g", perm=[0, 1, 3, 2]),
        node("MatMul", "f g", "h"),
        node("MatMul", "h w", "y"),
    ]
    weights = {
        "dense": floats(8, 2, 3, 3), "point": floats(8, 8, 1, 1), "depth": floats(8, 1, 3, 3),
        "grouped": floats(8, 4, 3, 3), "w": floats(4, 5),
    }  # fmt: skip
    found = totals(analysed(model(nodes, {"x": (FLOAT, [1, 2, 8, 8])}, ["y"], weights)).operators())
    assert {kind: total.macs for kind, total in found.items()} == {
        "convolution": 8 * 64 * 2 * 9, "pointwise": 8 * 64 * 8, "depthwise": 8 * 64 * 9, "grouped": 8 * 64 * 4 * 9,
        "attention": 8 * 4 * 4 * 4, "matmul": 8 * 4 * 5 * 4, "normalisation": 0, "pooling": 0, "movement": 0,
    }  # fmt: skip
    assert found["matmul"].weight_elements == 20
    assert (found["attention"].read_elements, found["attention"].weight_elements) == (2 * 8 * 16, 0)
    assert found["pooling"].written_elements == 8 * 16


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "weights", "expected"),
    [
        ("ConvTranspose", {"strides": [2, 2]}, "x w", {"w": (3, 5, 2, 2)}, 3 * 64 * 5 * 4),
        ("Einsum", {"equation": "bchw,dw->bchd"}, "x w", {"w": (7, 8)}, 3 * 8 * 8 * 7),
        ("Einsum", {"equation": "...w,wd->...d"}, "x w", {"w": (8, 7)}, 3 * 8 * 8 * 7),
        ("Gemm", {"transA": 1}, "t w", {"w": (6, 5)}, 4 * 6 * 5),
        ("MatMul", {}, "x w", {"w": (8, 5)}, 3 * 8 * 8 * 5),
        ("LSTM", {"hidden_size": 6}, "q w r", {"w": (1, 24, 4), "r": (1, 24, 6)}, 10 * 2 * 24 * (4 + 6)),
        ("GRU", {"hidden_size": 6}, "q w r", {"w": (1, 18, 4), "r": (1, 18, 6)}, 10 * 2 * 18 * (4 + 6)),
        ("Relu", {}, "x", {}, 0),
    ],
)
def test_multiply_adds_by_hand(
    op: str, attributes: dict[str, Any], inputs: str, weights: dict[str, tuple[int, ...]], expected: int
) -> None:
    given_inputs = {"x": (FLOAT, [1, 3, 8, 8]), "t": (FLOAT, [6, 4]), "q": (FLOAT, [10, 2, 4])}
    proto = model(
        [node(op, inputs, "y", **attributes)], given_inputs, ["y"], {n: floats(*shape) for n, shape in weights.items()}
    )
    found = analysed(proto)
    assert found.macs == expected
    assert found.complete


def test_attention_of_onnx_runtime() -> None:
    """Projection 2 x 5 x 16 x 48; scores and values 2 x 5 x 5 x (16 + 16); the other kind has keys of 7."""
    nodes = [
        node("Attention", "x w b", "a", domain="com.microsoft", num_heads=4),
        node("MultiHeadAttention", "a k k", "m", domain="com.microsoft", num_heads=4),
        node("SkipLayerNormalization", "m a g", "y", domain="com.microsoft"),
    ]
    weights = {"w": floats(16, 48), "b": floats(48), "g": floats(16)}
    proto = model(nodes, {"x": (FLOAT, [2, 5, 16]), "k": (FLOAT, [2, 7, 16])}, ["y"], weights)
    found = analysed(proto)
    assert found.macs == 2 * 5 * 16 * 48 + 2 * 5 * 5 * 32 + 2 * 5 * 7 * 32
    assert found.parameters == 16 * 48 + 48 + 16
    assert found.complete


def test_a_quantised_layer_counts_weights_and_not_scales() -> None:
    """QDQ and QLinear forms: int8 weights and int32 bias are parameters, scales and zero points are not."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QLinearConv", "q s z w s z s z b", "c"),
        node("DequantizeLinear", "c s z", "d"),
        node("DequantizeLinear", "v s z", "e"),
        node("MatMul", "d e", "y"),
    ]
    weights = {
        "s": np.array(0.1, dtype=np.float32), "z": np.array(3, dtype=np.int8), "w": np.ones((4, 3, 1, 1), dtype=np.int8),
        "b": np.ones(4, dtype=np.int32), "v": np.ones((8, 5), dtype=np.int8),
    }  # fmt: skip
    found = analysed(model(nodes, {"x": (FLOAT, [1, 3, 8, 8])}, ["y"], weights))
    assert found.parameters == 12 + 4 + 40
    assert dict(found.weights.bytes_by_dtype) == {"int8": 52, "int32": 16}
    assert found.weights.buffers_bytes == 4 + 1
    assert found.macs == 4 * 64 * 3 + 4 * 8 * 5 * 8
    # An int8 map has a quarter of the bytes: q 192, c 256, d 1,024, y 640; e follows from constants alone.
    assert found.life.sum_bytes == 192 + 256 + 1024 + 640


def test_a_network_that_onnx_runtime_quantised_on_the_fly() -> None:
    """An int8 table that is looked up before it is scaled, and a scale that only a Mul reads."""
    nodes = [
        node("Gather", "t_quantized ids", "q"),
        node("DequantizeLinear", "q t_scale t_zero_point", "d"),
        node("DynamicQuantizeLinear", "d", "e es ez"),
        node("MatMulInteger", "e w_quantized ez w_zero_point", "i"),
        node("Cast", "i", "f", to=1),
        node("Mul", "es w_scale", "s"),
        node("Mul", "f s", "y"),
    ]
    weights = {
        "t_quantized": np.ones((50, 8), dtype=np.int8), "w_quantized": np.ones((8, 4), dtype=np.int8),
        "t_scale": np.array(0.1, dtype=np.float32), "t_zero_point": np.array(0, dtype=np.int8),
        "w_scale": np.full(4, 0.1, dtype=np.float32), "w_zero_point": np.array(0, dtype=np.int8),
    }  # fmt: skip
    found = analysed(model(nodes, {"ids": (INT64, [1, 5])}, ["y"], weights))
    assert found.parameters == 400 + 32
    assert found.weights.buffers_bytes == 4 + 1 + 16 + 1
    assert found.macs == 5 * 8 * 4
    assert found.complete


def test_shared_weights_count_once_and_indices_not() -> None:
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "a w", "b"), node("Gather", "b i", "y", axis=1)]
    weights = {"w": floats(8, 8), "i": np.arange(100, dtype=np.int64) % 8, "val_1": np.array(1.5, dtype=np.float32)}
    found = analysed(model(nodes, {"x": (FLOAT, [2, 8])}, ["y"], weights))
    assert found.parameters == 64
    assert found.weights.buffers_bytes == 800 + 4


def test_what_follows_from_constants_counts_nowhere() -> None:
    nodes = [
        node("Transpose", "w", "v"),
        node("Reshape", "v shape", "u"),
        node("MatMul", "x u", "y"),
    ]
    weights = {"w": floats(4, 6), "shape": np.array([6, 4], dtype=np.int64)}
    found = analysed(model(nodes, {"x": (FLOAT, [2, 6])}, ["y"], weights))
    assert found.life.live_bytes == (0, 0, 32)
    assert [o.name for o in found.operators()] == ["at_y"]


def test_a_reshape_of_the_input_allocates_nothing_and_an_output_lives_on() -> None:
    nodes = [node("Flatten", "x", "f"), node("Relu", "f", "a"), node("Identity", "a", "i"), node("Neg", "f", "y")]
    found = analysed(model(nodes, {"x": (FLOAT, [2, 3, 4])}, ["i", "y"]))
    assert found.life.live_bytes == (0, 96, 96, 192)  # a lives under the name of i, an output
    assert found.life.sum_bytes == 192


def test_shapes_that_the_graph_computes_itself() -> None:
    """Heads split as exporters write it: Shape, Gather, Unsqueeze, Concat, Reshape; a slice to the end of 64 bits."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Slice", "s one big", "rest"),
        node("Gather", "rest zero", "t", axis=0),
        node("Unsqueeze", "n axis", "n1"),
        node("Unsqueeze", "t axis", "t1"),
        node("Div", "width heads", "each"),
        node("Concat", "n1 t1 heads each", "shape", axis=0),
        node("Reshape", "x shape", "r"),
        node("Transpose", "r", "y", perm=[0, 2, 1, 3]),
    ]
    whole = {"zero": 0, "axis": [0], "one": [1], "big": [2**63 - 1], "width": [12], "heads": [3]}
    weights = {name: np.array(value, dtype=np.int64) for name, value in whole.items()}
    found = analysed(model(nodes, {"x": (FLOAT, ["batch", "seq", 12])}, ["y"], weights), batch=2, seq=5)
    assert found.shapes.tensors["y"].shape == (2, 3, 5, 4)
    assert found.complete
    assert [o.name for o in found.operators()] == ["at_y"]  # arithmetic of shapes is no work


def test_a_branch_with_a_known_condition_is_written_out_and_another_is_said() -> None:
    then = helper.make_graph(
        [node("Relu", "x", "inside")], "then", [], [helper.make_tensor_value_info("inside", FLOAT, None)]
    )
    other = helper.make_graph(
        [node("MatMul", "x inner", "outside")], "else", [], [helper.make_tensor_value_info("outside", FLOAT, None)],
        [numpy_helper.from_array(floats(4, 4), "inner")],
    )  # fmt: skip
    branch = node("If", "c", "i", then_branch=then, else_branch=other)
    given_inputs = {"x": (FLOAT, [2, 4]), "flag": (BOOL, [])}
    known = [
        node("Shape", "x", "s"),
        node("Size", "s", "k"),
        node("Equal", "k two", "c"),
        branch,
        node("Neg", "i", "y"),
    ]
    found = analysed(model(known, given_inputs, ["y"], {"two": np.array(2, dtype=np.int64)}))
    assert found.complete
    assert found.shapes.tensors["y"].shape == (2, 4)
    unknown = [node("Identity", "flag", "c"), branch, node("Neg", "i", "y")]
    found = analysed(model(unknown, given_inputs, ["y"]))
    assert not found.complete
    assert found.parameters == 16
    assert "Control flow (1 If)" in " ".join(found.notes)


def test_unknown_sizes_are_listed_not_guessed() -> None:
    nodes = [node("NonZero", "x", "z"), node("Relu", "x", "y")]
    found = analysed(model(nodes, {"x": (FLOAT, [2, 4])}, ["y", "z"]))
    assert found.unknown == ("z",)
    assert "lower limits" in " ".join(found.notes)


def test_open_dimensions_are_asked_for_by_name_all_at_once() -> None:
    proto = model([node("Relu", "x", "y")], {"x": (FLOAT, ["n", "seq", None])}, ["y"])
    with pytest.raises(InputError) as refused:
        analysed(proto)
    assert "seq, input_0_dim_2" in str(refused.value)
    assert analysed(proto, seq=3, input_0_dim_2=4).life.peak_bytes == 48  # the batch takes 1


def test_ten_times_the_nodes_take_about_ten_times_as_long() -> None:
    def seconds(count: int) -> float:
        nodes = [node("Relu", f"t{i}", f"t{i + 1}") for i in range(count)]
        proto = model(nodes, {"t0": (FLOAT, [1, 64])}, [f"t{count}"])
        start = time.process_time()
        assert analysed(proto).life.peak_bytes == 512
        return time.process_time() - start

    assert seconds(10_000) < 25.0 * min(seconds(1_000) for _ in range(3))  # a square law would give 100


def brute_force(steps: list[Step], outputs: list[str]) -> tuple[list[int], int]:
    """Live bytes at each step, by asking of every storage at every step whether it is made and still needed."""
    owner: dict[str, str] = {}
    made: dict[str, tuple[int, int]] = {}
    for at, step in enumerate(steps):
        for name, size in step.makes:
            owner[name], made[name] = name, (at, size)
        for name, source in step.shares:
            if source in owner:
                owner[name] = owner[source]
    live = []
    for at in range(len(steps)):
        total = 0
        for storage, (born, size) in made.items():
            names = {n for n, o in owner.items() if o == storage}
            later = any(names & ({*s.reads} | {n for n, _ in s.shares}) for s in steps[at:])
            needed = later or names & set(outputs) or born == at
            total += size if born <= at and needed else 0
        live.append(total)
    return live, sum(size for _, size in made.values())


@st.composite
def dags(draw: st.DrawFn) -> tuple[list[Step], list[str]]:
    names, steps = ["input", "weight"], []
    for at in range(draw(st.integers(1, 14))):
        reads = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)))
        new = [f"t{at}_{k}" for k in range(draw(st.integers(1, 2)))]
        share = draw(st.booleans())
        makes = tuple((name, draw(st.integers(1, 9))) for name in (new[1:] if share else new))
        steps.append(Step(reads, makes, ((new[0], reads[0]),) if share else ()))
        names += new
    return steps, draw(st.lists(st.sampled_from(names[2:]), max_size=3, unique=True))


@given(dags())
def test_liveness_is_that_of_brute_force(case: tuple[list[Step], list[str]]) -> None:
    steps, outputs = case
    found = life(steps, outputs)
    live, total = brute_force(steps, outputs)
    assert list(found.live_bytes) == live
    assert (found.peak_bytes, found.sum_bytes) == (max(live), total)
    if found.peak_step is not None:
        assert sum(size for _, size in found.alive) == found.peak_bytes
    assert found.peak_bytes <= found.sum_bytes


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_random_graphs_have_the_sizes_that_running_them_has(data: st.DataObject) -> None:
    """Random ONNX graphs against onnx's reference evaluator: every tensor's size, their sum, and the peak by brute force."""
    shapes, nodes = {"x": (2, 3, 4)}, []
    for at in range(data.draw(st.integers(1, 8))):
        name, source = f"t{at}", data.draw(st.sampled_from(sorted(shapes)))
        op = data.draw(st.sampled_from(["Relu", "Flatten", "Transpose", "Concat", "ReduceMean", "Unsqueeze"]))
        more = {"Concat": {"axis": 0}, "ReduceMean": {"axes": [0]}}.get(op, {})
        if len(shapes[source]) > 5 and op == "Unsqueeze":
            op = "Relu"
        inputs = {"Concat": f"{source} {source}", "Unsqueeze": f"{source} axes"}.get(op, source)
        nodes.append(node(op, inputs, name, **more))
        shapes[name] = (0,) * (len(shapes[source]) + (op == "Unsqueeze"))
    outputs = [f"t{len(nodes) - 1}"]
    proto = model(nodes, {"x": (FLOAT, [2, 3, 4])}, outputs, {"axes": np.array([0], dtype=np.int64)})
    named = [n.output[0] for n in nodes]
    values = ReferenceEvaluator(proto).run(None, {"x": floats(2, 3, 4)}, intermediate=True)
    found = analysed(proto)
    assert {n: found.shapes.tensors[n].bytes for n in named} == {n: values[n].nbytes for n in named}
    sharing = ("Flatten", "Unsqueeze")
    steps = [
        Step(
            tuple(n.input),
            () if n.op_type in sharing else ((n.output[0], values[n.output[0]].nbytes),),
            ((n.output[0], n.input[0]),) if n.op_type in sharing else (),
        )
        for n in nodes
    ]
    live, total = brute_force(steps, outputs)
    assert (list(found.life.live_bytes), found.life.sum_bytes) == (live, total)
