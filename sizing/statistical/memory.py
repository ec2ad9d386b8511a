"""Memory of one instance: the operating system, and for each worker its process, its model and its request."""

from __future__ import annotations

from sizing.plan import Memory
from sizing.scenario import StatisticalScenario
from sizing.statistical.structure import Structure
from sizing.statistical_rows import RuntimeCost
from sizing.units import GIB, MIB

OPERATING_SYSTEM_BYTES = 512 * MIB
"""Linux with its services and a monitoring agent [bytes]. Recalled, range 300 to 900 MiB, 2026-11-22."""

REQUEST_BYTES_PER_VALUE = 16
"""Bytes a value of a request takes while it is served: decoded as a float64, and copied once by the library.
By design of NumPy-based servers; JSON text of it, about as much again, is freed by then."""


def worker_bytes(*, scenario: StatisticalScenario, cost: RuntimeCost, size: Structure) -> dict[str, int]:
    """Bytes of one worker by part: process with library and web server, model once loaded, one request's values.

    Nothing is shared between processes: each loads its own copy. Source: own resident-memory measurements, untrimmed.
    """
    return {
        "processes": round(cost.base_mib * MIB),
        "models": size.resident_bytes,
        "requests": scenario.rows_per_request * scenario.features * REQUEST_BYTES_PER_VALUE,
    }


def instance_memory(*, per_worker_bytes: dict[str, int], workers: int, memory_gib: float) -> Memory:
    """Memory of one instance [bytes]: operating system + workers x (process + model + request).

    >>> parts = {"processes": 2**28, "models": 2**27}
    >>> instance_memory(per_worker_bytes=parts, workers=2, memory_gib=2).used_bytes // 2**20
    1280
    """
    parts = {"operating_system": OPERATING_SYSTEM_BYTES}
    parts |= {name: bytes_ * workers for name, bytes_ in per_worker_bytes.items()}
    return Memory(parts=parts, used_bytes=sum(parts.values()), capacity_bytes=round(memory_gib * GIB))


def workers_that_fit(*, per_worker_bytes: dict[str, int], memory_gib: float) -> int:
    """Most workers that memory holds (count): (capacity - operating system) / bytes of a worker, rounded down."""
    return max(0, (round(memory_gib * GIB) - OPERATING_SYSTEM_BYTES) // sum(per_worker_bytes.values()))
