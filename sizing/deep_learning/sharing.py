"""What a model gets of a GPU that it does not have to itself: a MIG slice, a time slice, or what other models leave.

The GPU the search sees is then a smaller one: memory, bandwidth and peak of the share. Launches on the host are not slowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sizing.catalog_rows import Accelerator
from sizing.deep_learning.runtimes import Unsupported
from sizing.scenario import DeepLearningScenario
from sizing.scenario_deep_learning import GpuShare
from sizing.units import GIB, MIB

MIG_SOURCE = "NVIDIA MIG user guide, supported profiles; recalled 2026-11"
MIG_FAMILIES = ("a100", "h100", "h200", "gh200", "b200", "gb200")
"""Accelerators (start of the id) with seven compute and eight memory slices. Source: MIG_SOURCE."""


@dataclass(frozen=True)
class Share:
    """Part of a GPU: shares of compute and of memory (size and bandwidth) [1], and how many fit on one GPU."""

    name: str
    compute: float
    memory: float
    per_gpu: int


WHOLE = Share("", 1.0, 1.0, 1)
MIG: dict[GpuShare, Share] = {
    "mig_1g": Share("1g MIG slice", 1 / 7, 1 / 8, 7),
    "mig_2g": Share("2g MIG slice", 2 / 7, 2 / 8, 3),
    "mig_3g": Share("3g MIG slice", 3 / 7, 4 / 8, 2),
}
MIG_A30: dict[GpuShare, Share] = {
    "mig_1g": Share("1g MIG slice", 1 / 4, 1 / 4, 4),
    "mig_2g": Share("2g MIG slice", 2 / 4, 2 / 4, 2),
}
TIME_SLICES: dict[GpuShare, Share] = {
    "time_slice_2": Share("half of the time", 1 / 2, 1 / 2, 2),
    "time_slice_4": Share("quarter of the time", 1 / 4, 1 / 4, 4),
}
"""All slices are taken as busy, and their memory as divided evenly, which the driver does not enforce."""


def share_of(accelerator: Accelerator, gpu_share: GpuShare) -> Share:
    """The share of a GPU that a scenario asks for. Raises Unsupported where the GPU has no such MIG profile.

    Source: MIG_SOURCE.

    >>> from sizing.catalog import load
    >>> share_of(load().accelerator("a100-sxm-80gb"), "mig_1g").per_gpu, share_of(load().accelerator("a30"), "mig_1g").per_gpu
    (7, 4)
    """
    if gpu_share == "whole":
        return WHOLE
    if gpu_share in TIME_SLICES:
        return TIME_SLICES[gpu_share]
    profiles = MIG_A30 if accelerator.id == "a30" else MIG if accelerator.id.startswith(MIG_FAMILIES) else {}
    if gpu_share not in profiles:
        raise Unsupported(
            constraint="accelerators",
            because=f"{accelerator.name} has no MIG profile of {gpu_share.removeprefix('mig_')}",
            remedy="a time slice, or the whole GPU",
        )
    return profiles[gpu_share]


def given(accelerator: Accelerator, scenario: DeepLearningScenario) -> Accelerator:
    """The part of a GPU that the model may use, as an accelerator of its own: peaks x compute share x free time, and so on.

    Raises Unsupported where the GPU has no such share, or other models hold all its memory.
    """
    if scenario.gpu_share == "whole" and scenario.reserved_gib == 0.0 and scenario.reserved_share == 0.0:
        return accelerator
    return _part(accelerator, scenario.gpu_share, scenario.reserved_gib, scenario.reserved_share)


@lru_cache(maxsize=512)
def _part(accelerator: Accelerator, gpu_share: GpuShare, reserved_gib: float, reserved_share: float) -> Accelerator:
    share = share_of(accelerator, gpu_share)
    time = 1.0 - reserved_share
    free_mib = int((accelerator.capacity_bytes - reserved_gib * GIB) * share.memory / MIB)
    if free_mib < 1:
        raise Unsupported(
            constraint="memory",
            because=f"other models hold {reserved_gib:g} GiB and {accelerator.name} has "
            f"{accelerator.capacity_bytes / GIB:.3g} GiB",
            remedy="less memory for other models",
        )
    peaks = {
        name: None if value is None else value * share.compute * time
        for name in (
            "fp64_tflops",
            "fp32_tflops",
            "tf32_tflops",
            "fp16_tflops",
            "bf16_tflops",
            "fp8_tflops",
            "int8_tops",
            "fp4_tflops",
        )
        for value in (getattr(accelerator, name),)
    }
    return accelerator.model_copy(
        update={
            **peaks,
            "memory_bandwidth_gb_per_s": accelerator.memory_bandwidth_gb_per_s * share.memory * time,
            "memory_mib_reported": free_mib,
            "name": f"{accelerator.name} ({share.name})" if share.name else accelerator.name,
        }
    )
