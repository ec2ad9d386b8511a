"""Memory of one GPU: the claims about ResNet-50, measured cases of others, and what must hold for any input."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.deep_learning.graph import graph
from sizing.deep_learning.memory import batch_at_bytes, gpu_memory, largest_batch, sample_bytes, smallest_accelerator
from sizing.deep_learning.runtime_memory import memory_rules
from sizing.units import GIB, MB, MIB

CATALOG = load()
RESNET = graph(CATALOG, "torchvision-resnet50")
BGE = graph(CATALOG, "bert-base-uncased", input_size=256, attention="math")  # bge-base has BERT-base's shape

MODELS = st.sampled_from(
    ["torchvision-resnet50", "bert-base-uncased", "whisper-large-v3", "yolov8m", "timm-vit-base-patch16-224-224"]
)
RUNTIMES = st.sampled_from(list(memory_rules()))
PRECISIONS = st.sampled_from(["fp32", "tf32", "fp16", "bf16", "int8"])


def test_ten_gib_is_batch_116_by_the_sum_and_963_by_the_peak() -> None:
    assert batch_at_bytes(RESNET, bytes_=10 * GIB, activations="sum") == 116
    assert batch_at_bytes(RESNET, bytes_=10 * GIB, activations="peak") == 963
    assert batch_at_bytes(RESNET, bytes_=10 * GIB, activations="peak", precision="fp16") == 1936


def test_a_16_gib_gpu_serves_resnet50() -> None:
    for runtime in memory_rules():
        memory = gpu_memory(RESNET, runtime=runtime, precision="fp32", batch=256, capacity_bytes=16 * GIB)
        assert memory.used_bytes < 15 * GIB


@pytest.mark.parametrize(
    ("batch", "measured_mb"),
    [(64, 2689), (128, 3494), (256, 5107), (512, 8328), (1024, 15576), (2048, 29283)],
)
def test_bge_base_eager_on_a100_within_15_percent(batch: int, measured_mb: int) -> None:
    # optimum-benchmark full_report.csv: A100-SXM4-80GB, PyTorch fp32, 256 tokens, whole process (nvml).
    memory = gpu_memory(BGE, runtime="pytorch_eager", precision="fp32", batch=batch, capacity_bytes=80 * GIB)
    assert memory.used_bytes / MB == pytest.approx(measured_mb, rel=0.15)


def test_bge_base_eager_slope_is_the_measured_12_6_to_13_4_mb() -> None:
    one, many = (
        gpu_memory(BGE, runtime="pytorch_eager", precision="fp32", batch=b, capacity_bytes=80 * GIB).used_bytes
        for b in (64, 2048)
    )
    assert 12.6 * 0.95 <= (many - one) / (2048 - 64) / MB <= 13.4


@pytest.mark.parametrize(("batch", "measured_mb"), [(512, 13263), (1024, 23700), (2048, 44135)])
def test_arena_of_onnxruntime_grows_like_the_measured_one(batch: int, measured_mb: int) -> None:
    # Same source, onnxruntime CUDA fp16: what the process holds above batch 1 (3,500 MB).
    memory = gpu_memory(BGE, runtime="onnxruntime", precision="fp16", batch=batch, capacity_bytes=80 * GIB)
    single = gpu_memory(BGE, runtime="onnxruntime", precision="fp16", batch=1, capacity_bytes=80 * GIB)
    assert (memory.used_bytes - single.used_bytes) / MB == pytest.approx(measured_mb - 3500, rel=0.2)


def test_arena_steps_double() -> None:
    used = [
        sum(gpu_memory(RESNET, runtime="onnxruntime", precision="fp32", batch=b, capacity_bytes=80 * GIB).parts[n]
            for n in ("weights", "activations_peak", "arena"))
        for b in range(1, 200)
    ]  # fmt: skip
    assert {u + MIB for u in used} == {2**n for n in range(27, 34)}


def test_only_the_peak_sizes_the_gpu() -> None:
    doubled = replace(RESNET, sum_activation_bytes_fp32=2 * RESNET.sum_activation_bytes_fp32)
    same = [gpu_memory(g, runtime="tensorrt", precision="fp16", batch=8, capacity_bytes=GIB) for g in (RESNET, doubled)]
    assert same[0] == same[1]


def test_token_ids_do_not_shrink_with_the_precision() -> None:
    tokens = [sample_bytes(BGE, runtime="tensorrt", precision=p, activations="peak") for p in ("fp32", "fp16")]
    assert tokens[0][0] == tokens[1][0] == BGE.input_bytes_fp32
    assert tokens[0][1] == 2 * tokens[1][1]


def test_smallest_accelerator_is_the_least_that_holds_it() -> None:
    found = smallest_accelerator(CATALOG.accelerators.values(), runtime="onnxruntime", used_bytes=20 * GIB)
    assert found is not None
    assert found.vendor == "NVIDIA"
    assert found.capacity_bytes >= 20 * GIB
    for other in CATALOG.accelerators.values():
        if other.vendor == "NVIDIA" and other.capacity_bytes >= 20 * GIB:
            assert other.capacity_bytes >= found.capacity_bytes
    assert smallest_accelerator(CATALOG.accelerators.values(), runtime="tensorrt", used_bytes=10**15) is None


@given(MODELS, RUNTIMES, PRECISIONS, st.integers(1, 4096))
def test_parts_sum_to_used(model: str, runtime: str, precision: str, batch: int) -> None:
    memory = gpu_memory(graph(CATALOG, model), runtime=runtime, precision=precision, batch=batch, capacity_bytes=GIB)  # type: ignore[arg-type]
    assert sum(memory.parts.values()) == memory.used_bytes
    assert min(memory.parts.values()) >= 0


@given(MODELS, RUNTIMES, PRECISIONS, st.integers(1, 4096), st.integers(1, 4096))
def test_a_larger_batch_never_needs_less(model: str, runtime: str, precision: str, one: int, other: int) -> None:
    facts = graph(CATALOG, model)
    small, large = (
        gpu_memory(facts, runtime=runtime, precision=precision, batch=b, capacity_bytes=GIB).used_bytes  # type: ignore[arg-type]
        for b in sorted((one, other))
    )
    assert small <= large


@given(MODELS, RUNTIMES, PRECISIONS, st.integers(1, 200 * GIB))
def test_largest_batch_fits_and_one_more_does_not(model: str, runtime: str, precision: str, capacity: int) -> None:
    facts = graph(CATALOG, model)

    def used(batch: int) -> int:
        return gpu_memory(facts, runtime=runtime, precision=precision, batch=batch, capacity_bytes=capacity).used_bytes  # type: ignore[arg-type]

    batch = largest_batch(facts, runtime=runtime, precision=precision, capacity_bytes=capacity)  # type: ignore[arg-type]
    assert batch == 0 or used(batch) <= capacity
    assert batch == 65_536 or used(batch + 1) > capacity
