"""The Triton take-away: the configuration parses as a ModelConfig, the commands say what was sized, the sweep can be read."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from sizing.catalog import load
from sizing.deep_learning import plan
from sizing.deep_learning.graph import graph
from sizing.deep_learning.perf_csv import read_measured
from sizing.deep_learning.triton import FILES, Serving, batch_sweep, checks, load_test, serving, triton_config
from sizing.scenario import DeepLearningScenario

CATALOG = load()
FIELD = descriptor_pb2.FieldDescriptorProto
MESSAGES: dict[str, dict[str, tuple[str, str]]] = {
    "ModelConfig": {
        "name": ("one", "string"), "platform": ("one", "string"), "backend": ("one", "string"),
        "max_batch_size": ("one", "int32"), "input": ("many", "ModelInput"), "output": ("many", "ModelOutput"),
        "instance_group": ("many", "ModelInstanceGroup"), "optimization": ("one", "ModelOptimizationPolicy"),
        "dynamic_batching": ("one", "ModelDynamicBatching"),
    },
    "ModelInput": {"name": ("one", "string"), "data_type": ("one", "DataType"), "dims": ("many", "int64")},
    "ModelOutput": {"name": ("one", "string"), "data_type": ("one", "DataType"), "dims": ("many", "int64")},
    "ModelInstanceGroup": {"count": ("one", "int32"), "kind": ("one", "Kind")},
    "ModelOptimizationPolicy": {"execution_accelerators": ("one", "ExecutionAccelerators")},
    "ExecutionAccelerators": {"gpu_execution_accelerator": ("many", "Accelerator")},
    "Accelerator": {"name": ("one", "string"), "parameters": ("many", "Entry")},
    "Entry": {"key": ("one", "string"), "value": ("one", "string")},
    "ModelDynamicBatching": {
        "preferred_batch_size": ("many", "int32"), "max_queue_delay_microseconds": ("one", "uint64"),
    },
}  # fmt: skip
"""The part of model_config.proto that may be written here, by the names of that file."""
ENUMS = {
    "DataType": ["TYPE_INVALID", "TYPE_INT64", "TYPE_FP16", "TYPE_FP32"],
    "Kind": ["KIND_AUTO", "KIND_GPU", "KIND_CPU"],
}
BASIC = {"string": FIELD.TYPE_STRING, "int32": FIELD.TYPE_INT32, "int64": FIELD.TYPE_INT64, "uint64": FIELD.TYPE_UINT64}


def _model_config() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="t", syntax="proto3")
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, (label, kind)) in enumerate(fields.items(), start=1):
            made = message.field.add(name=field, number=number)
            made.label = FIELD.LABEL_REPEATED if label == "many" else FIELD.LABEL_OPTIONAL
            if kind in BASIC:
                made.type = BASIC[kind]
            else:
                made.type = FIELD.TYPE_ENUM if kind in ENUMS else FIELD.TYPE_MESSAGE
                made.type_name = f".t.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.ModelConfig"))


MODEL_CONFIG = _model_config()


def parsed(point: Serving) -> Any:
    return text_format.Parse(triton_config(point), MODEL_CONFIG())


def point_of(**fields: object) -> Serving:
    scenario = DeepLearningScenario(**fields)  # type: ignore[arg-type]
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    facts = graph(CATALOG, scenario.model, input_size=scenario.input_size, attention=scenario.attention)
    return serving(scenario, facts, best)


def test_the_parser_of_this_test_refuses_what_is_no_model_config() -> None:
    for wrong in ("max_batch: 3", 'name: "a', "input [ { dims: [ 1 ] }", "instance_group [ { kind: KIND_TPU } ]"):
        with pytest.raises(text_format.ParseError):
            text_format.Parse(wrong, MODEL_CONFIG())


@pytest.mark.parametrize("runtime", FILES)
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16", "int8"])
def test_configuration_of_every_runtime_parses_and_says_the_chosen_point(runtime: str, precision: str) -> None:
    point = replace(point_of(batch=16), precision=precision, runtime=runtime, instances_per_gpu=2, queue_delay_ms=1.5)
    config = parsed(point)
    assert config.name == "torchvision-resnet50"
    assert config.max_batch_size == 16
    assert list(config.dynamic_batching.preferred_batch_size) == [16]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1500
    assert bool(config.platform) != bool(config.backend)
    (group,) = config.instance_group
    assert group.count == 2
    assert ENUMS["Kind"][group.kind] == ("KIND_CPU" if runtime == "onnxruntime_cpu" else "KIND_GPU")
    used = {a.name: {p.key: p.value for p in a.parameters} for a in
            config.optimization.execution_accelerators.gpu_execution_accelerator}  # fmt: skip
    assert list(used) == (["tensorrt"] if runtime == "onnxruntime_tensorrt" else [])
    if used:
        modes = {"fp32": "FP32", "tf32": "FP32", "fp16": "FP16", "int8": "INT8", "bf16": None}
        assert used["tensorrt"].get("precision_mode") == modes[precision]
        assert used["tensorrt"]["trt_profile_max_shapes"] == "input:16x3x224x224"
        assert used["tensorrt"]["trt_profile_min_shapes"] == "input:1x3x224x224"


def test_every_catalog_model_has_a_configuration() -> None:
    kinds = set()
    for model in CATALOG.deep_learning_models.values():
        if model.stages:  # a pipeline is an ensemble, which has one configuration a stage
            continue
        point = point_of(model=model.id, latency_target_ms=None, requests_per_s=1.0, precision="fp32")
        config = parsed(point)
        assert config.input, model.id
        assert all(tensor.dims for tensor in config.input), model.id
        assert all(d == -1 or d > 0 for tensor in config.input for d in tensor.dims), model.id
        kinds.add(model.input_kind)
        if model.input_kind in ("image", "audio", "series") and not any(-1 in tensor.dims for tensor in point.inputs):
            elements = sum(prod(tensor.dims) for tensor in point.inputs)
            assert 4 * elements == graph(CATALOG, model.id).input_bytes_fp32, model.id
    assert kinds >= {"image", "tokens", "audio", "video", "latent", "series"}


@pytest.mark.parametrize(
    ("model", "names", "dims", "kind"),
    [
        ("bert-base-uncased", ["input_ids", "attention_mask"], [[-1], [-1]], "TYPE_INT64"),
        ("whisper-small", ["input_features"], [[80, 3000]], "TYPE_FP16"),
        ("torchvision-r3d_18", ["input"], [[3, 16, 112, 112]], "TYPE_FP16"),
        ("torchvision-fasterrcnn_resnet50_fpn", ["input"], [[3, -1, -1]], "TYPE_FP16"),
        ("stable-diffusion-v1-5-unet", ["sample"], [[4, 64, 64]], "TYPE_FP16"),
    ],
)
def test_inputs_are_those_of_the_kind_of_model(model: str, names: list[str], dims: list[list[int]], kind: str) -> None:
    config = parsed(point_of(model=model, requests_per_s=1.0, latency_target_ms=None, compute="gpu"))
    assert [tensor.name for tensor in config.input] == names
    assert [list(tensor.dims) for tensor in config.input] == dims
    assert {ENUMS["DataType"][tensor.data_type] for tensor in config.input} == {kind}


def test_pytorch_goes_by_position_and_states_its_output() -> None:
    config = parsed(point_of(model="bert-base-uncased", runtime="pytorch_eager", requests_per_s=1.0))
    assert [tensor.name for tensor in config.input] == ["INPUT__0", "INPUT__1"]
    assert [tensor.name for tensor in config.output] == ["OUTPUT__0"]
    assert config.platform == "pytorch_libtorch"


def test_what_does_not_apply_is_left_out() -> None:
    config = parsed(point_of(batch=1))
    assert not config.HasField("dynamic_batching")
    assert not config.HasField("optimization")
    assert not config.output
    assert parsed(point_of(batch=4)).dynamic_batching.max_queue_delay_microseconds == 0
    assert "max_queue_delay" not in triton_config(point_of(batch=4))


def test_load_test_is_around_the_rate_of_one_machine() -> None:
    words = shlex.split(load_test(point_of(requests_per_s=400.0, slo_percentile=99)).replace("\\\n", " "))
    assert "--request-rate-range=200:500:100" in words
    assert "--request-distribution=poisson" in words
    assert "--percentile=99" in words
    assert "--measurement-request-count=10000" in words
    two = point_of(requests_per_s=400.0, accelerators=("t4",), instances=("aws-g4dn-xlarge",), spare_replicas=1)
    assert two.requests_per_s == pytest.approx(400.0)
    many = point_of(requests_per_s=20_000.0, instances=("aws-g4dn-xlarge",))
    best = plan(DeepLearningScenario(requests_per_s=20_000.0, instances=("aws-g4dn-xlarge",)), CATALOG).recommended
    assert best is not None
    assert many.requests_per_s == pytest.approx(20_000.0 / best.replicas)


def test_load_test_of_users_is_a_range_of_clients_and_states_free_shapes() -> None:
    text = load_test(point_of(model="bert-base-uncased", input_size=128, concurrency=16))
    assert "--concurrency-range=8:24:4" in text
    assert "--shape=input_ids:128" in text
    assert "request-rate" not in text


def test_the_sweep_writes_one_file_that_can_be_read(tmp_path: Path) -> None:
    """The loop runs with a stand-in for perf_analyzer that takes 2 ms + 0.5 ms a sample."""
    fake = tmp_path / "perf_analyzer"
    fake.write_text(
        "#!/bin/sh\nfor a; do case $a in batch-*) f=$a; b=${a#batch-}; b=${b%.csv};; esac; done\n"
        'echo "Concurrency,Inferences/Second,Server Compute Infer,p50 latency" > $f\n'
        'echo "1,100,$((2000 + 500 * b)),9000" >> $f\n'
    )
    fake.chmod(0o755)
    sweep = batch_sweep(point_of(batch=12))
    subprocess.run(["sh", "-ec", sweep], cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True)
    found = read_measured((tmp_path / "measured.csv").read_bytes())
    assert {p.batch: p.time_ms for p in found.points} == {1: 2.5, 2: 3.0, 4: 4.0, 8: 6.0, 12: 8.0}


def test_checks_are_sentences_about_this_point() -> None:
    said = checks(point_of(model="bert-base-uncased", latency_target_ms=80.0))
    assert any("80 ms" in s for s in said)
    assert any("-1" in s for s in said)
    assert all(s.endswith(".") for s in said)
    assert any("engine" in s for s in checks(replace(point_of(), runtime="onnxruntime_tensorrt")))
