"""What requests ask of the host: CPU time to decode, resize or tokenise, and bytes on the network, by the kind of input."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.catalog_rows import Instance
from sizing.deep_learning.graph import Graph
from sizing.scenario import DeepLearningScenario
from sizing.units import MS_PER_S

NETWORK_SHARE = 0.8
"""Share of an instance's baseline network that payload may use [1]; headers and bursts take the rest. Ours, 2026-11."""

JPEG_MS_PER_MEGAPIXEL = 8.0
"""Decoding on one core [ms]: 577 to 864 ImageNet images a second with Pillow and torchvision on cloud CPUs of 2023 to 2025, about
0.2 megapixels each. Source: arXiv:2605.08731 (2026-05); 80 % range 5 to 14."""
RESIZE_MS_PER_MEGAPIXEL = 4.0
"""Resize, scale and lay out, per megapixel of input [ms]. Recalled, 80 % range 2 to 10, 2026-11."""
IMAGE_MEGAPIXELS = 0.2
"""Size of a sent image where the network's input is smaller [megapixels]: ImageNet's mean, 500 x 375."""
JPEG_KIB_PER_MEGAPIXEL = 550.0
"""Size of a JPEG [KiB]: about 110 KiB for an ImageNet image. Recalled, 80 % range 200 to 1,200, 2026-11."""
TOKENISE_MS_PER_TOKEN = 0.003
"""Tokenising on one core [ms]. Hugging Face states under 20 s a GB on a whole server, 0.1 us a token at best; one short text at a
time takes far longer. Recalled, 80 % range 0.001 to 0.010, 2026-11."""
TEXT_MS = 0.2
KIB_PER_TOKEN = 0.004
REQUEST_KIB = 1.0
FEATURES_MS_PER_KIB = 0.02
"""Spectrogram or normalisation of a series, per KiB of it [ms]. Recalled, 80 % range 0.005 to 0.1, 2026-11."""


@dataclass(frozen=True)
class HostWork:
    """CPU time [ms] and network bytes [KiB] of one request, and how they were found."""

    cpu_ms: float
    request_kib: float
    source: str


def host_work(scenario: DeepLearningScenario, graph: Graph) -> HostWork:
    """CPU time [ms] and size [KiB] of a request: as the scenario says, else by the kind of input.

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> work = host_work(DeepLearningScenario(), graph(load(), "torchvision-resnet50"))
    >>> round(work.cpu_ms, 2), round(work.request_kib)
    (1.8, 110)
    """
    kind = graph.model.input_kind
    kib = graph.input_bytes_fp32 / 1024.0
    if kind in ("image", "video"):
        frame = graph.input_bytes_fp32 / 12.0 / 1e6  # 3 channels of 4 bytes
        sent = max(IMAGE_MEGAPIXELS, frame)
        cpu = JPEG_MS_PER_MEGAPIXEL * sent + RESIZE_MS_PER_MEGAPIXEL * frame
        size = JPEG_KIB_PER_MEGAPIXEL * sent
        words = f"decode {sent:.3g} megapixels of JPEG, resize to {frame:.3g} megapixels"
    elif kind == "tokens":
        cpu, size = TEXT_MS + TOKENISE_MS_PER_TOKEN * graph.size, REQUEST_KIB + KIB_PER_TOKEN * graph.size
        words = f"tokenise {graph.size:,} tokens"
    else:
        cpu, size = TEXT_MS + FEATURES_MS_PER_KIB * kib, REQUEST_KIB + kib / 2.0
        words = f"prepare {kib:,.0f} KiB of {kind}"
    return HostWork(
        cpu_ms=cpu if scenario.cpu_ms_per_request is None else scenario.cpu_ms_per_request,
        request_kib=size if scenario.request_kib is None else scenario.request_kib,
        source="the scenario"
        if scenario.cpu_ms_per_request is not None
        else f"{words}; constants of sizing/deep_learning/host.py",
    )


def network_requests_per_s(instance: Instance, request_kib: float) -> float | None:
    """Requests that the network of one instance carries [1/s]: baseline x share / size; None where the catalog has no baseline."""
    if instance.network_gbps_baseline is None:
        return None
    return instance.network_gbps_baseline * 1e9 / 8.0 * NETWORK_SHARE / (request_kib * 1024.0)


def vcpus_needed(rate_per_s: float, cpu_ms: float, utilization_cap: float) -> float:
    """vCPUs that the CPU part of requests needs [vCPU]: rate x CPU time / utilization cap."""
    return rate_per_s * cpu_ms / MS_PER_S / utilization_cap
