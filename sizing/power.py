"""Electric power of a machine that serves a model: its accelerator boards, and the host around them.

Boards. While a board serves, it draws a share of its rated power (TDP) that grows with the requests in flight:
share(n) = 0.465 + 0.044 log2(n), at most 0.95. Without a request it idles at 0.20 of it. Fitted by least squares to the
66 runs of benchmarks/board_power.csv (ML.ENERGY leaderboard, github.com/ml-energy/leaderboard, vLLM and diffusion on H100
and B200, 2026; read 2026-11-25): eight of ten runs lie within 0.21 below and 0.18 above it. Runs by others at small batch
lie lower: 137 to 300 W of 700 W while decoding on an H200 (arXiv:2605.11999, 2026-05); long prefills draw more.
Idle: a CUDA context adds 26 to 66 W to a bare board (H100, A100, L40S; arXiv:2605.23918, 2026-04); bare boards of 35 to
75 W are recalled; 0.14 to 0.30 of the TDP of those parts.

Host. SPECpower servers by generation, idle and full, per hardware thread at the wall (Cloud Carbon Footprint,
ccf-coefficients, coefficients-aws-use.csv of 2026-03); memory beyond what those servers had at 0.392 W per GB (the same
project's methodology). Fans, switches, network cards and conversion losses of the boards: 0.25 of their TDP, so that eight
H100 at training load come to the measured 76 % of 10.2 kW (arXiv:2506.14551, 2025-06; a test does the sum).
"""

from __future__ import annotations

from math import exp, log2

from sizing.catalog_rows import Accelerator, Instance

BUSY_SHARE_ONE, BUSY_SHARE_PER_DOUBLING, BUSY_SHARE_MOST = 0.465, 0.044, 0.95
BUSY_BELOW, BUSY_ABOVE = 0.21, 0.18
IDLE_SHARE, IDLE_LOW, IDLE_HIGH = 0.20, 0.14, 0.30
LEAST_SHARE, MOST_SHARE = 0.10, 1.0
BOARD_EXTRA, BOARD_EXTRA_LOW, BOARD_EXTRA_HIGH = 0.25, 0.10, 0.45
PCIE_EXTRA, PCIE_EXTRA_LOW, PCIE_EXTRA_HIGH = 0.10, 0.05, 0.20
"""Around PCIe boards there is neither a switch board nor a card for each: recalled, 2026-11."""

CPU_WATTS = (
    ("Turin", 0.74, 2.28), ("Genoa", 0.74, 2.28), ("Milan", 0.46, 1.96), ("Rome", 0.47, 1.69), ("Granite", 0.58, 2.53),
    ("Emerald", 0.81, 4.48), ("Sapphire", 1.04, 4.16), ("Ice Lake", 0.77, 3.76), ("Cascade", 0.69, 4.06),
    ("Skylake", 0.61, 4.10), ("Broadwell", 0.71, 3.69), ("Neoverse", 0.47, 1.69), ("arm64", 0.47, 1.69),
)  # fmt: skip
"""Generation, idle and full power per hardware thread [W]. Arm stands as EPYC Rome there for want of results. Turin's own
entry (3.7 and 9.0 W) rests on small servers: Genoa's is taken."""
OTHER_CPU_WATTS = (0.67, 3.06)
"""Mean of those generations [W], for a processor not known."""
CPU_FACTORS = (0.6, 1.8)
"""Other machines of the generation over its mean [1], 80 %: Intel's and AMD's means differ by 2.3 at full load."""
GRACE = "Grace"
SUPERCHIPS = ("gh200",)
"""Accelerators whose TDP is that of the module, its CPU in it."""

GB_PER_VCPU_MEASURED = 1.5
"""Memory per hardware thread of the SPECpower servers [GB]: 106 to 152 GB a chip over 56 to 128 threads a chip."""
WATTS_PER_GB = 0.392


def busy_share(in_flight: float) -> float:
    """Power of a serving board / its TDP [1] with so many requests in flight: 0.465 + 0.044 log2(n), at most 0.95.

    >>> busy_share(1.0), round(busy_share(64.0), 3), busy_share(1e6)
    (0.465, 0.729, 0.95)
    """
    return min(BUSY_SHARE_MOST, BUSY_SHARE_ONE + BUSY_SHARE_PER_DOUBLING * log2(max(1.0, in_flight)))


def board_shares(in_flight: float, busy: float | None = None) -> tuple[float, float, float]:
    """Mean power of a board / its TDP [1], low, central and high (80 %): busy x share(n) + (1 - busy) x idle share.

    `in_flight` is the mean number of requests on a replica, `busy` the share of time in which it serves one; without it
    1 - exp(-n), as for arrivals at random.

    >>> [round(share, 3) for share in board_shares(64.0)]
    [0.519, 0.729, 0.909]
    """
    serving = 1.0 - exp(-in_flight) if busy is None else min(1.0, max(0.0, busy))
    centre = busy_share(in_flight)
    low, high = max(LEAST_SHARE, centre - BUSY_BELOW), min(MOST_SHARE, centre + BUSY_ABOVE)
    ends = ((low, IDLE_LOW), (centre, IDLE_SHARE), (high, IDLE_HIGH))
    a, b, c = (serving * full + (1.0 - serving) * idle for full, idle in ends)
    return a, b, c


def board_extra(part: Accelerator) -> tuple[float, float, float]:
    """Power around a board / its TDP [1], low, central and high: fans, switches, network cards, conversion losses."""
    if part.form_factor == "PCIe":
        return PCIE_EXTRA_LOW, PCIE_EXTRA, PCIE_EXTRA_HIGH
    return BOARD_EXTRA_LOW, BOARD_EXTRA, BOARD_EXTRA_HIGH


def cpu_watts(instance: Instance) -> tuple[float, float]:
    """Power of a hardware thread of an instance [W], idle and full; the mean of generations where its own is not known.

    >>> from sizing.catalog import load
    >>> cpu_watts(load().instance("aws-p5-48xlarge")), cpu_watts(load().instance("lambda-gpu-1x-gh200"))
    ((0.46, 1.96), (0.0, 0.0))
    """
    name = instance.cpu_type or ""
    if GRACE in name or (instance.accelerator_id or "").startswith(SUPERCHIPS):
        return 0.0, 0.0
    for word, idle, full in CPU_WATTS:
        if word in name or word == instance.cpu_arch:
            return idle, full
    return OTHER_CPU_WATTS


def memory_watts(instance: Instance) -> float:
    """Power of an instance's memory beyond what the servers behind `cpu_watts` had [W]: 0.392 W per GB; 0 where the TDP of a
    superchip has it in."""
    if instance.memory_gib is None or instance.vcpus is None or cpu_watts(instance)[1] == 0.0:
        return 0.0
    return WATTS_PER_GB * max(0.0, instance.memory_gib * 2**30 / 1e9 - GB_PER_VCPU_MEASURED * instance.vcpus)
