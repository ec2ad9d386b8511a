"""How fast the cores of an instance are, relative to the host of the measurements, and how many processes they take."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.catalog_rows import Instance

HOST = "AMD EPYC (family 23 model 1, 2.0 GHz), 2 shared vCPU"
"""Host of the service-time measurements; its time factor is 1 by definition."""

CPU_SOURCE = (
    "recalled: clock x work per clock of the core's generation, 2026-11-22; checked on one CPU (Zen 5, own, 2026-11-25), which also "
    "gave the powers by which calls and loops follow the factor"
)


@dataclass(frozen=True)
class CpuSpeed:
    """Time of plain single-thread arithmetic relative to the host [1] (below 1 is faster), with its 80 % interval.

    What a call costs and what its rows cost follow it by powers of their own, see `sizing.statistical.law.on_cpu`.
    """

    factor: float
    low: float
    high: float
    core: str


# Searched in this order, so that a mixed pool is found before its parts. All rows are CPU_SOURCE; the ranges are wide
# for that reason, and because library calls (Python, memory) do not speed up as arithmetic does.
CPU_SPEEDS: tuple[tuple[str, CpuSpeed], ...] = (
    ("mixed", CpuSpeed(0.90, 0.55, 1.20, "mixed pool")),
    ("Skylake", CpuSpeed(0.85, 0.65, 1.05, "Skylake or Cascade Lake")),
    ("Cascade/Ice", CpuSpeed(0.78, 0.55, 1.00, "Cascade Lake or Ice Lake")),
    ("Cascade Lake", CpuSpeed(0.85, 0.65, 1.05, "Cascade Lake")),
    ("Ice Lake", CpuSpeed(0.68, 0.50, 0.90, "Ice Lake")),
    ("Sapphire", CpuSpeed(0.60, 0.42, 0.80, "Sapphire Rapids")),
    ("Emerald/Granite", CpuSpeed(0.54, 0.37, 0.75, "Emerald or Granite Rapids")),
    ("Emerald", CpuSpeed(0.56, 0.40, 0.76, "Emerald Rapids")),
    ("Granite", CpuSpeed(0.50, 0.35, 0.70, "Granite Rapids")),
    ("Rome/Milan", CpuSpeed(0.72, 0.50, 0.95, "Zen 2 or Zen 3")),
    ("Milan", CpuSpeed(0.64, 0.46, 0.85, "Zen 3")),
    ("Genoa", CpuSpeed(0.54, 0.38, 0.75, "Zen 4")),
    # Own timings of 28 models on Zen 5 (benchmarks/STATISTICAL_SPEED.md): calls take 0.2 of the host's time and loops 0.2 to 0.6. The
    # powers were fitted with 0.44 for it, so the range left is that between machines of the generation.
    ("Turin", CpuSpeed(0.44, 0.37, 0.52, "Zen 5")),
    ("Neoverse-N1", CpuSpeed(0.85, 0.62, 1.15, "Neoverse N1")),
    ("Neoverse-V1", CpuSpeed(0.66, 0.47, 0.90, "Neoverse V1")),
    ("Neoverse-V2", CpuSpeed(0.55, 0.40, 0.77, "Neoverse V2")),
    ("Axion", CpuSpeed(0.55, 0.40, 0.77, "Neoverse V2")),
)
UNKNOWN_CPU = CpuSpeed(0.80, 0.45, 1.10, "not known")
"""Taken for a CPU the catalog does not name or this table does not know: from the newest to the oldest core on rent."""

SMT_SLOWDOWN = 1.6
"""Time factor [1] of a thread whose core runs a second one: two threads do about 1.25 times the work of one.
Recalled, range 1.4 to 1.9, 2026-11-22."""

BASELINE_SHARES: dict[str, float] = {"t3.medium": 0.20, "t3.large": 0.30, "t3.xlarge": 0.40, "t4g.large": 0.30}
"""Share of each vCPU [1] that burstable instances may use for ever.
Source: AWS EC2 burstable instances table, recalled 2026-11."""

SURPLUS_USD_PER_VCPU_HOUR: dict[str, float] = {"t3": 0.05, "t4g": 0.04}
"""Price of CPU above the baseline in unlimited mode, Linux [USD]. Source: AWS EC2 on-demand page, recalled 2026-11."""


def cpu_speed(instance: Instance) -> CpuSpeed:
    """Time factor [1] of one core against the host, with its 80 % interval; wide if the CPU is not known."""
    return speed_named(instance.cpu_type)


def speed_named(cpu_type: str | None) -> CpuSpeed:
    """Time factor [1] of a CPU by its name, as `cpu_speed` has it.

    >>> speed_named("AWS Graviton3 Neoverse-V1").factor, speed_named(None).core
    (0.66, 'not known')
    """
    for word, speed in CPU_SPEEDS:
        if cpu_type is not None and word in cpu_type:
            return speed
    return UNKNOWN_CPU


def physical_cores(instance: Instance) -> int | None:
    """Physical cores (count): as listed, else vCPUs on Arm and half of them on x86; None if vCPUs are not known."""
    if instance.physical_cores is not None:
        return instance.physical_cores
    if instance.vcpus is None:
        return None
    return instance.vcpus if instance.cpu_arch == "arm64" else max(1, instance.vcpus // 2)


def sharing_factor(*, workers: int, cores: int) -> float:
    """Time factor [1] of workers that share cores: 1 up to one a core, growing to SMT_SLOWDOWN at two a core.

    >>> sharing_factor(workers=4, cores=4), sharing_factor(workers=8, cores=4)
    (1.0, 1.6)
    """
    share = min(max(workers / cores - 1.0, 0.0), 1.0)
    return 1.0 + share * (SMT_SLOWDOWN - 1.0)


def surplus_usd_per_hour(instance: Instance, *, vcpus_busy: float) -> float:
    """Price of the CPU used above the baseline of a burstable instance [USD per hour]: surplus vCPUs x their price.

    0 where the instance is not burstable or `vcpus_busy` vCPUs stay below its baseline.
    """
    baseline = BASELINE_SHARES.get(instance.instance_type)
    if baseline is None or instance.vcpus is None:
        return 0.0
    surplus = max(vcpus_busy - baseline * instance.vcpus, 0.0)
    return SURPLUS_USD_PER_VCPU_HOUR[instance.instance_type.split(".")[0]] * surplus


def burst_warning(instance: Instance, *, vcpus_busy: float) -> str | None:
    """What is to be known of a burstable or shared machine at a mean of `vcpus_busy` busy vCPUs, or None."""
    if instance.cpu_type is not None and "mixed" in instance.cpu_type:
        return "The CPU behind this type varies, so speed does too: measure on the machine you get."
    baseline = BASELINE_SHARES.get(instance.instance_type)
    if baseline is None:
        return None
    text = f"Burstable: {baseline:.0%} of each vCPU may be used for ever"
    surplus = surplus_usd_per_hour(instance, vcpus_busy=vcpus_busy)
    if surplus == 0.0:
        return f"{text}; this load stays below it."
    return f"{text}; this load is above it, so ${surplus:.3f} an hour each for the surplus is in the cost (unlimited mode, recalled price)."
