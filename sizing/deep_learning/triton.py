"""What a reader takes to Triton: the model's `config.pbtxt` for the chosen point, the load test, and what to check.

Only what the scenario and the catalog know is written as a value; what only the export knows (names of tensors, sizes of
outputs) is marked FILL IN, or left out where Triton reads it from the model file itself.

Source: model_config.proto of the Triton Inference Server and the ONNX Runtime and PyTorch backends' documents, 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from sizing.deep_learning.graph import Graph
from sizing.plan import Deployment
from sizing.scenario import DeepLearningScenario

TAIL_SAMPLES = 100
"""Requests beyond the percentile that a window should hold [1]: with 100 of n beyond it, its rank is known to about 10 % of
1 - p (standard error sqrt(n p (1 - p)))."""

RATES = (0.5, 1.25)
"""Ends of the request rates tried, as shares of the demanded rate of one machine [1]; in steps of a quarter."""

CLIENTS = (0.5, 1.5)
"""Ends of the concurrency tried, as shares of the users of one machine [1]; in steps of a quarter."""

FILL_IN = "FILL IN"

PLATFORMS = {
    "pytorch_eager": 'platform: "pytorch_libtorch"',
    "torch_compile": 'backend: "python"',
    "onnxruntime": 'platform: "onnxruntime_onnx"',
    "onnxruntime_tensorrt": 'platform: "onnxruntime_onnx"',
    "onnxruntime_cpu": 'platform: "onnxruntime_onnx"',
    "tensorrt": 'platform: "tensorrt_plan"',
}
FILES = {
    "pytorch_eager": "1/model.pt, a TorchScript export: Triton's PyTorch backend runs no eager Python",
    "torch_compile": "1/model.py, a Python backend model that calls torch.compile once, in initialize()",
    "onnxruntime": "1/model.onnx",
    "onnxruntime_tensorrt": "1/model.onnx, in fp32: the TensorRT provider casts it",
    "onnxruntime_cpu": "1/model.onnx",
    "tensorrt": "1/model.plan, built on this kind of GPU with an optimisation profile up to max_batch_size",
}
COMPLETED = frozenset({"onnxruntime", "onnxruntime_tensorrt", "onnxruntime_cpu", "tensorrt"})
"""Runtimes whose file tells Triton names, types and shapes of what the configuration leaves out."""
POSITIONAL = frozenset({"pytorch_eager"})
"""Runtimes whose tensors go by position: INPUT__0, OUTPUT__0."""
PROVIDER_PRECISION = {"fp32": "FP32", "tf32": "FP32", "fp16": "FP16", "int8": "INT8"}


@dataclass(frozen=True)
class Tensor:
    """One input or output: name, Triton data type, dims without the batch (-1 varies), and what the reader must know."""

    name: str
    data_type: str
    dims: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True)
class Serving:
    """One point to serve: the model with its tensors, how it runs, and what one machine is asked for."""

    name: str
    runtime: str
    precision: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    size: int
    max_batch: int
    instances_per_gpu: int
    queue_delay_ms: float
    percentile: int
    requests_per_s: float | None
    clients: float | None
    latency_target_ms: float | None
    utilization: float


def serving(
    scenario: DeepLearningScenario,
    graph: Graph,
    deployment: Deployment,
    *,
    queue_delay_ms: float = 0.0,
    instances_per_gpu: int = 1,
) -> Serving:
    """What one machine of a deployment serves: rates [1/s] and clients are those of the GPUs in use on it.

    `queue_delay_ms` is the longest a request waits for others [ms]; `instances_per_gpu` the copies of the model on a GPU.
    """
    gpus = max(1, deployment.replicas - scenario.spare_replicas)
    share = min(deployment.accelerators_per_instance or 1, gpus) / gpus
    # As it runs, not as it was asked: a CPU machine computes in fp32.
    precision = deployment.weight_format or scenario.precision
    inputs, outputs = _tensors(graph, deployment.runtime, precision)
    return Serving(
        name=re.sub(r"[^A-Za-z0-9_.-]", "_", graph.model.id),
        runtime=deployment.runtime,
        precision=precision,
        inputs=inputs,
        outputs=outputs,
        size=graph.size,
        max_batch=deployment.batch or 1,
        instances_per_gpu=instances_per_gpu,
        queue_delay_ms=queue_delay_ms,
        percentile=scenario.slo_percentile,
        requests_per_s=None if scenario.requests_per_s is None else scenario.requests_per_s * share,
        clients=None if scenario.concurrency is None else scenario.concurrency * share,
        latency_target_ms=scenario.latency_target_ms,
        utilization=deployment.utilization,
    )


def _tensors(graph: Graph, runtime: str, precision: str) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Inputs and outputs as far as the catalog knows them; no output where Triton reads them from the file."""
    half = precision == "fp16" and runtime != "onnxruntime_tensorrt"
    number = "TYPE_FP16" if half else "TYPE_FP32"
    kept = "TYPE_FP32 if the export kept fp32 inputs" if half else ""
    kind, size = graph.model.input_kind, graph.size
    if kind == "tokens":
        inputs = [Tensor("input_ids", "TYPE_INT64", (-1,)), Tensor("attention_mask", "TYPE_INT64", (-1,))]
    elif kind == "image" and "short side" in graph.model.input_unit:
        inputs = [Tensor("input", number, (3, -1, -1), f"short side {size} pixels. {kept}".strip())]
    elif kind == "image":
        inputs = [Tensor("input", number, (3, size, size), kept)]
    elif kind == "latent":
        note = "height and width of the latent; FILL IN the other inputs (timestep, text embedding)"
        inputs = [Tensor("sample", number, (4, size // 8, size // 8), note)]
    elif kind == "video":
        side = re.search(r"frames of (\d+)", graph.model.input_unit)
        inputs = [Tensor("input", number, (3, size, int(side[1]) if side else -1, int(side[1]) if side else -1), kept)]
    elif kind == "audio" and (bins := re.search(r"frames of (\d+) bins", graph.model.input_unit)):
        inputs = [Tensor("input_features", number, (int(bins[1]), size), kept)]
    else:
        inputs = [Tensor("input_values", number, (size,), kept)]
    output = Tensor("output", number, (-1, -1) if kind == "tokens" else (-1,), "FILL IN the shape of your export")
    outputs = [] if runtime in COMPLETED else [output]
    if runtime in POSITIONAL:
        inputs = [Tensor(f"INPUT__{i}", t.data_type, t.dims, t.note) for i, t in enumerate(inputs)]
        outputs = [Tensor(f"OUTPUT__{i}", t.data_type, t.dims, t.note) for i, t in enumerate(outputs)]
    return tuple(inputs), tuple(outputs)


def triton_config(serving: Serving) -> str:
    """Text of `config.pbtxt` (protobuf text format of `inference.ModelConfig`) for one point.

    max_batch_size and the preferred size are the chosen batch; a queue delay of 0 and a batch of 1 are Triton's defaults and
    are left out.
    """
    lines = [
        f"# {serving.name}/config.pbtxt; beside it {FILES[serving.runtime]}.",
        f"# {FILL_IN} marks what only your export knows. Check the names of the tensors against it.",
        f'name: "{serving.name}"',
        PLATFORMS[serving.runtime],
        f"max_batch_size: {serving.max_batch}",
    ]
    lines += _tensor_lines("input", serving.inputs)
    if serving.outputs:
        lines += _tensor_lines("output", serving.outputs)
    else:
        lines.append("# Outputs are read from the model file (Triton completes the configuration).")
    if serving.max_batch > 1:
        lines += ["dynamic_batching {", f"  preferred_batch_size: [ {serving.max_batch} ]"]
        if serving.queue_delay_ms > 0.0:
            lines.append(f"  max_queue_delay_microseconds: {round(serving.queue_delay_ms * 1000)}")
        lines.append("}")
    else:
        lines.append("# Batch 1 is best here, so there is no dynamic batching.")
    kind = "KIND_CPU" if serving.runtime == "onnxruntime_cpu" else "KIND_GPU"
    if kind == "KIND_GPU":
        lines.append("# On every GPU the server sees, as no gpus are named.")
    lines += ["instance_group [", "  {", f"    count: {serving.instances_per_gpu}", f"    kind: {kind}", "  }", "]"]
    lines += _precision_lines(serving)
    return "\n".join(lines) + "\n"


def _tensor_lines(field: str, tensors: Iterable[Tensor]) -> list[str]:
    blocks = []
    for tensor in tensors:
        dims = ", ".join(map(str, tensor.dims))
        note = [f"    # {tensor.note}"] if tensor.note else []
        body = [f'    name: "{tensor.name}"', f"    data_type: {tensor.data_type}", f"    dims: [ {dims} ]", *note]
        blocks.append("\n".join(["  {", *body, "  }"]))
    return [f"{field} [", ",\n".join(blocks), "]"]


def _precision_lines(serving: Serving) -> list[str]:
    """What a precision needs in the configuration; elsewhere it is in the model file."""
    if serving.runtime != "onnxruntime_tensorrt":
        where = {
            "pytorch_eager": "in the exported module",
            "torch_compile": "in model.py (model.to or autocast)",
        }.get(serving.runtime, "in the model file")
        return [f"# {serving.precision} is set {where}, not here."]

    def shapes(batch: int, free: int) -> str:
        """Profile of all inputs at a batch, varying dimensions at `free`."""
        return ",".join(
            f"{t.name}:{'x'.join(str(free if d == -1 else d) for d in (batch, *t.dims))}" for t in serving.inputs
        )

    shortest = 1 if any(t.data_type == "TYPE_INT64" for t in serving.inputs) else serving.size
    parameters = [] if serving.precision == "bf16" else [("precision_mode", PROVIDER_PRECISION[serving.precision])]
    parameters += [
        ("max_workspace_size_bytes", "1073741824"),
        ("trt_engine_cache_enable", "1"),
        ("trt_profile_min_shapes", shapes(1, shortest)),
        ("trt_profile_opt_shapes", shapes(serving.max_batch, serving.size)),
        ("trt_profile_max_shapes", shapes(serving.max_batch, serving.size)),
    ]
    notes = {
        "int8": ["        # FILL IN int8_calibration_table_name, unless the model holds its scales (QDQ nodes)."],
        "bf16": ["        # The provider's precision_mode has no bf16: export the model in bf16."],
    }
    return [
        "optimization {",
        "  execution_accelerators {",
        "    gpu_execution_accelerator: [",
        "      {",
        '        name: "tensorrt"',
        *(f'        parameters {{ key: "{key}" value: "{value}" }}' for key, value in parameters),
        *notes.get(serving.precision, []),
        "      }",
        "    ]",
        "  }",
        "}",
    ]


def requests_needed(percentile: int) -> int:
    """Requests that a window must hold for a percentile (count): `TAIL_SAMPLES` / (1 - p).

    >>> requests_needed(95), requests_needed(99)
    (2000, 10000)
    """
    return TAIL_SAMPLES * 100 // (100 - percentile)


def load_test(serving: Serving) -> str:
    """perf_analyzer command around the chosen point: rates [1/s] of a Poisson stream, or clients, of one machine."""
    if serving.requests_per_s is not None:
        low, high = (_tidy(serving.requests_per_s * share) for share in RATES)
        load = [
            f"--request-rate-range={low}:{high}:{_tidy(serving.requests_per_s * 0.25)}",
            "--request-distribution=poisson",
        ]
    else:
        clients = serving.clients or 1.0
        first, last = max(1, int(clients * CLIENTS[0])), max(1, ceil(clients * CLIENTS[1]))
        load = [f"--concurrency-range={first}:{last}:{max(1, round(clients * 0.25))}"]
    parts = [*load, "-b 1", f"--percentile={serving.percentile}", *_window(requests_needed(serving.percentile))]
    return _command(serving, [*parts, "-f load.csv"])


def batch_sweep(serving: Serving) -> str:
    """Commands that measure the time of a batch by batch size with one client, as one CSV with a column Batch for import."""
    batches = [str(2**i) for i in range(serving.max_batch.bit_length())]
    if str(serving.max_batch) not in batches:
        batches.append(str(serving.max_batch))
    command = _command(serving, ["--concurrency-range=1", "-b $b", *_window(200), "-f batch-$b.csv"])
    body = command.replace("\n", "\n  ")
    return (
        f"for b in {' '.join(batches)}; do\n  {body}\ndone\n"
        'awk -v OFS=, \'FNR == 1 { if (NR == 1) print "Batch", $0; next } NF { b = FILENAME; gsub(/[^0-9]/, "", b);\n'
        "  print b, $0 }' batch-*.csv > measured.csv"
    )


def _window(requests: int) -> list[str]:
    return ["--measurement-mode=count_windows", f"--measurement-request-count={requests}"]


def _command(serving: Serving, parts: list[str]) -> str:
    shapes = [
        f"--shape={t.name}:{','.join(str(serving.size if d == -1 else d) for d in t.dims)}"
        for t in serving.inputs
        if -1 in t.dims
    ]
    start = f"perf_analyzer -m {serving.name} -i grpc -u localhost:8001"
    return " \\\n  ".join([start, *shapes, *parts])


def _tidy(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def checks(serving: Serving) -> tuple[str, ...]:
    """What to look at after the load test, a sentence each."""
    device = "CPU" if serving.runtime == "onnxruntime_cpu" else "GPU"
    said = [
        "Names, types and shapes of the inputs are those of your export; perf_analyzer fills inputs with random values.",
        f"At the rate sized here the p{serving.percentile} latency is within the limit"
        + (f" of {serving.latency_target_ms:g} ms" if serving.latency_target_ms is not None else "")
        + "; the CPU part (decode, tokenise) is not in perf_analyzer's figure unless it runs in Triton.",
        f"{device} utilization is near {serving.utilization:.0%}; well above means that batches are slower than predicted.",
        "Requests a second over nv_inference_exec_count is the mean batch: far under the chosen one, a queue delay may help.",
        "perf_analyzer runs on another machine than the server, or its own CPU time counts against the model's.",
        "Upload the CSV under “Your measurements” and this page sizes with what was measured.",
    ]
    if any(-1 in t.dims for t in serving.inputs):
        said.insert(
            1, "Dimensions of -1 vary; the test sends all requests at the size above, and shorter ones are faster."
        )
    if serving.runtime == "onnxruntime_tensorrt":
        said.insert(1, "The first request of each shape builds an engine, minutes long: warm up before you measure.")
    return tuple(said)
