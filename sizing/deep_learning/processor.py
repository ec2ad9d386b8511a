"""Time of a batch on the cores of a CPU instance, by ONNX Runtime in fp32: t0 + k b from multiply-adds, traffic and cores.

k  = 2 x multiply-adds / (cores^0.9 x clock x FLOPs a cycle x share) + 2 x sum of activations x passes / bandwidth + CPU part / vCPUs
t0 = base + operators x dispatch + what reading the weights takes beyond the computing of one sample

The two efficiencies are fitted to our own timings of six torchvision networks with ONNX Runtime on one core (`OWN_RUNS`). How cores
add up is recalled. timm's table of PyTorch on 14 cores (i9-10940X, large batches) is two to six times slower where activations leave the
caches, which ONNX Runtime at small batches avoids by fusing; the interval's slow end is wide for what was not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from sizing import cpu
from sizing.catalog_rows import Instance
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.law import Law
from sizing.deep_learning.runtimes import Format
from sizing.units import GB, MS_PER_S

COMPUTE_SHARE = 0.9
"""Share of the peak of one core [1]; 80 % range 0.7 to 0.98. Source: `OWN_RUNS`."""
TRAFFIC_PASSES = 0.08
"""Passes over written and read activations at memory bandwidth [1], as most are met in caches; 80 % range 0.05 to 1. Source:
`OWN_RUNS`."""
CORE_POWER = 0.9
"""Power of the cores by which a session's speed grows [1]: 16 cores as fast as 12. Recalled, 0.8 to 1, 2026-11."""
OWN_RUNS: tuple[tuple[str, float, float], ...] = (
    ("timm-resnet18-224", 16.0, 15.1),
    ("torchvision-resnet50", 35.5, 34.2),
    ("timm-mobilenetv3-large-100-224", 3.3, 3.0),
    ("timm-efficientnet-b0-224", 6.1, 6.1),
    ("timm-vit-base-patch16-224-224", 166.3, 165.6),
    ("timm-convnext-tiny-224", 48.6, 47.9),
)
"""CPU time of a sample at batch 1 and at batch 4 [ms]: own timings, best of 8, random weights, ONNX Runtime 1.32.0, one thread on a
virtual AMD EPYC core with AVX-512 of about 240 GFLOP/s, 2026-11-25; other work ran on the machine, so 10 % is their error."""
OWN_CORE_GHZ = 3.8
ALONE = 4.0
"""How much faster than its share of the memory a core reads weights at most [1]: neighbours rest, caches hold part. Recalled, 2 to 8."""
BASE_MS = 0.1
DISPATCH_MS = 0.001
"""Fixed time of a batch, and of each traced operator [ms]; range a third to three times. Source: `OWN_RUNS`, batch 1 against 4."""
FAST, SLOW = 0.6, 2.0
"""80 % interval as factors of time [1]: 0.85 to 1.1 on the runs of the fit, widened by hand for other CPUs and more cores."""
SESSION_CORES = 16
"""Physical cores of one session [count]; a larger machine runs several, as threads across more cores gain little.
Recalled, 8 to 24, 2026-11."""
CHECKED = (
    "own runs of six networks with ONNX Runtime on one core, within 20 %; more cores and cloud CPUs were not compared"
)
CORE_SOURCE = "clock under load, vector width and memory channels by core; recalled 2026-11"


@dataclass(frozen=True)
class Core:
    """One physical core: clock under load [GHz], fp32 operations a cycle, its part of the memory bandwidth [GB/s]."""

    ghz: float
    flops_per_cycle: int
    gb_per_s: float


CORES: tuple[tuple[str, Core], ...] = (
    ("mixed", Core(2.6, 32, 4.0)),
    ("Skylake", Core(2.7, 64, 5.0)),
    ("Cascade", Core(2.8, 64, 5.0)),
    ("Ice Lake", Core(2.9, 64, 6.0)),
    ("Sapphire", Core(3.0, 64, 6.0)),
    ("Emerald", Core(3.0, 64, 6.0)),
    ("Granite", Core(3.2, 64, 6.5)),
    ("Rome/Milan", Core(3.1, 32, 3.5)),
    ("Milan", Core(3.2, 32, 3.5)),
    ("Genoa", Core(3.5, 32, 4.8)),
    ("Turin", Core(3.8, 64, 4.8)),
    ("Neoverse-N1", Core(2.7, 16, 3.2)),
    ("Neoverse-V1", Core(2.6, 32, 4.8)),
    ("Neoverse-V2", Core(2.8, 32, 5.6)),
    ("Axion", Core(3.0, 32, 5.6)),
)
UNKNOWN_CORE = Core(2.6, 32, 4.0)


@dataclass(frozen=True)
class Session:
    """One ONNX Runtime session on its part of an instance: physical cores, vCPUs, sessions on the machine, memory of each [bytes]."""

    instance: Instance
    cores: float
    vcpus: float
    sessions: int
    capacity_bytes: int
    core: Core

    @property
    def figures(self) -> tuple[object, ...]:
        """All that the time of a batch depends on: instances that agree in it are solved once."""
        return self.cores, self.vcpus, self.sessions, self.capacity_bytes, self.core


def core_of(instance: Instance) -> Core:
    """Figures of the instance's core; the unknown one is taken as old and narrow. Source: CORE_SOURCE."""
    words = instance.cpu_type or ""
    return next((core for word, core in CORES if word in words), UNKNOWN_CORE)


def session_on(instance: Instance) -> Session | None:
    """The sessions that an instance runs, or None where the catalog knows neither its cores nor its memory.

    A machine of a known burstable type counts only the share of its CPU that may be used for ever.

    >>> from sizing.catalog import load
    >>> found = session_on(load().instance("aws-c7i-16xlarge"))
    >>> found.sessions, found.cores
    (2, 16.0)
    """
    cores = cpu.physical_cores(instance)
    if cores is None or instance.vcpus is None or instance.memory_gib is None:
        return None
    sessions = ceil(cores / SESSION_CORES)
    share = cpu.BASELINE_SHARES.get(instance.instance_type, 1.0)
    memory = int(instance.memory_gib * 2**30 * MEMORY_SHARE / sessions)
    return Session(
        instance, cores * share / sessions, instance.vcpus * share / sessions, sessions, memory, core_of(instance)
    )


MEMORY_SHARE = 0.85
"""Share of an instance's memory for the sessions [1]; the system has the rest. Ours, 2026-11."""


def processor_law(graph: Graph, session: Session, *, cpu_ms: float, precision: str) -> Law:
    """Law of the time of a batch [ms] of one session; the CPU part of each request takes its turn on the same cores.

    Source: roofline model; constants of the module.

    >>> from sizing.catalog import load
    >>> from sizing.deep_learning.graph import graph
    >>> law = processor_law(graph(load(), "torchvision-resnet50"), session_on(load().instance("aws-c7i-4xlarge")), cpu_ms=0.0, precision="fp32")
    >>> 4.0 < law.k_ms < 20.0
    True
    """
    core = session.core
    peak = session.cores * core.ghz * 1e9 * core.flops_per_cycle
    bandwidth = session.cores * core.gb_per_s * GB
    compute = 2.0 * graph.macs / peak * MS_PER_S
    together = session.cores ** (CORE_POWER - 1.0) if session.cores > 1.0 else 1.0
    traffic = 2.0 * graph.sum_activation_bytes_fp32 / bandwidth * MS_PER_S
    weights = graph.weights_bytes_fp32 / (ALONE * bandwidth) * MS_PER_S
    notes = () if precision == "fp32" else (f"On a CPU the model is computed in fp32, not {precision}.",)
    widened = 1.0 + graph.error_share
    run = compute / (COMPUTE_SHARE * together) + traffic * TRAFFIC_PASSES
    return Law(
        t0_ms=BASE_MS + DISPATCH_MS * graph.operators + max(0.0, weights - run),
        k_ms=run + cpu_ms / session.vcpus,
        compute_bound_ms=compute,
        weights_bound_ms=weights,
        format=Format(4, 4, "fp32", peak, notes),
        fast=FAST / widened,
        slow=SLOW * widened,
    )
