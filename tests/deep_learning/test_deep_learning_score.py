"""Scores of speed: rows of both kinds, names never seen, cells that are no numbers, and what is skipped with which reason."""

from __future__ import annotations

import pytest

from sizing.deep_learning.cases import runtime_of
from sizing.errors import InputError
from sizing.score import score_text
from sizing.score_table import Scored

HEAD = "id,model,accelerator,precision,framework,img_size,batch_size,samples_per_sec,step_time_ms,param_count_m,gmacs,macts,source\n"
CURVES = (
    "id,model,accelerator,runtime,precision,section,batch,seq_len,resolution,concurrency,latency_ms,samples_per_s\n"
)
EAGER, COMPILED = "PyTorch 2.9.1 cu128 nchw eager/ts", "PyTorch 2.9.1 cu130 nchw torch.compile(dynamo)"


def throughput(*rows: str) -> list[Scored]:
    return score_text("dl-throughput", HEAD + "\n".join(rows) + "\n")


def curves(*rows: str) -> list[Scored]:
    return score_text("dl-curves", CURVES + "\n".join(rows) + "\n")


@pytest.mark.parametrize(
    ("row", "within"),
    [
        # timm inference tables @aa4b5850: throughput in the catalog's reference columns.
        (f"a,resnet50,rtx-4090,amp,{EAGER},224,1024,4797,,25.56,4.11,11.11,x", 0.25),
        (f"b,vit_base_patch16_224,rtx-3090,amp,{EAGER},224,1024,1260,,86.57,17.58,23.9,x", 0.35),
    ],
)
def test_throughput_near_what_was_measured(row: str, within: float) -> None:
    (found,) = throughput(row)
    assert found.predicted is not None
    assert found.measured is not None
    assert found.low is not None
    assert found.high is not None
    assert found.predicted == pytest.approx(found.measured, rel=within)
    assert found.low < found.predicted < found.high


def test_names_never_seen_are_predicted_with_a_wider_interval_or_skipped_with_a_reason() -> None:
    rows = throughput(
        f"a,resnet50,rtx-4090,amp,{EAGER},224,256,1,,25.56,4.11,11.11,x",
        f"b,resnet50_of_tomorrow,rtx-4090,amp,{EAGER},224,256,1,,25.56,4.11,11.11,x",
        f"c,resnet50,h100-sxm-80gb,amp,{COMPILED},224,256,1,,25.56,4.11,11.11,x",
        f"d,nothing_known,rtx-4090,amp,{EAGER},224,256,1,,,,,x",
        f"e,resnet50,abacus,amp,{EAGER},224,256,1,,25.56,4.11,11.11,x",
        f"f,resnet50,rtx-4090,ternary,{EAGER},224,256,1,,25.56,4.11,11.11,x",
    )
    width = {r.id: r.high / r.low for r in rows if r.high and r.low}
    assert set(width) == {"a", "b", "c"}
    assert width["b"] > width["a"]
    assert width["c"] > width["a"]
    reasons = {r.id: r.skipped_because for r in rows if r.skipped_because}
    assert set(reasons) == {"d", "e", "f"}
    assert "no operators are known of nothing_known" in reasons["d"]
    assert "abacus is not in the catalog" in reasons["e"]
    assert "ternary is not modelled" in reasons["f"]


def test_a_curve_has_latency_and_throughput_by_littles_law() -> None:
    alone, crowd = (
        "RN50v1.5,a30,PaddlePaddle,FP16,TensorRT,64,,,,8.2,7800",
        "BERT/triton/large,a30,Triton/PyTorch,FP16,,1,384,,4,9,100",
    )
    rows = curves(f"a,{alone}", f"b,{crowd}")
    assert [(r.id, r.quantity) for r in rows] == [(i, q) for i in "ab" for q in ("latency_ms", "samples_per_s")]
    latency, rate = rows[0].predicted, rows[1].predicted
    assert latency is not None
    assert rate is not None
    assert latency * rate == pytest.approx(64e3)
    assert rows[2].predicted is not None
    assert rows[3].predicted is not None
    assert rows[2].predicted * rows[3].predicted == pytest.approx(4e3)
    # ResNet-50 in TensorRT on an A30: 0.69 + 0.117 b, NVIDIA DeepLearningExamples.
    assert latency == pytest.approx(8.2, rel=0.25)


def test_curves_grow_with_batch_and_clients() -> None:
    row = "TFT/triton,t4,Triton/NVIDIA TensorRT,FP16,,{},,,{},1,1"
    found = [r.predicted for r in curves(*(f"{i},{row.format(b, c)}" for i, (b, c) in enumerate(((1, 1), (64, 1), (64, 8))))) if r.quantity == "latency_ms"]  # fmt: skip
    assert found == sorted(found)  # type: ignore[type-var]
    assert len(set(found)) == 3


def test_models_without_a_graph_and_runtimes_without_constants_are_skipped() -> None:
    rows = curves(
        "a,GNMT,t4,TensorFlow1,FP16,,1,,,,1,1",
        "b,SSD,t4,Abacus,FP16,,1,,,,1,1",
        "c,SSD,tpu-v5e,TensorFlow1,INT8,,1,,,,1,1",
    )
    assert [r.quantity for r in rows] == ["", "", ""]
    assert "no operator graph of GNMT" in rows[0].skipped_because
    assert "runtime Abacus is not modelled" in rows[1].skipped_because
    assert rows[2].skipped_because


def test_cells_that_are_no_numbers_are_named() -> None:
    with pytest.raises(InputError, match="batch_size"):
        throughput(f"a,resnet50,rtx-4090,amp,{EAGER},224,many,1,,25.56,4.11,11.11,x")
    with pytest.raises(InputError, match="latency_ms"):
        curves("a,SSD,t4,TensorFlow1,FP16,,1,,,,soon,1")


@pytest.mark.parametrize(
    ("name", "heading", "runtime"),
    [
        ("Triton/NVIDIA TensorRT", "", "triton_trt"), ("Triton/PyTorch", "", "triton_torch"),
        ("Triton/TensorFlow + NVIDIA TensorRT", "", "triton_tftrt"), ("Triton/?+TensorRT", "", "triton_tftrt"),
        ("PaddlePaddle", "TensorRT FP16", "paddle_trt"), ("PaddlePaddle", "TF32", "paddle"), ("MXNet", "", "mxnet"),
        ("TensorFlow2", "XLA", "tf2_xla"), ("onnxruntime/CUDAExecutionProvider", "", "ort"), ("", "", None),
    ],
)  # fmt: skip
def test_runtimes_by_name(name: str, heading: str, runtime: str | None) -> None:
    assert runtime_of(name, heading) == runtime
