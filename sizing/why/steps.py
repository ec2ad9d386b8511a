"""The working in groups that people look for: the model, memory, speed, the queue, and count and cost."""

from __future__ import annotations

from collections.abc import Sequence

from sizing.plan import Step

MODEL, MEMORY, SPEED, QUEUE, COUNT = "The model", "Memory", "Speed", "Queue and latency", "Count and cost"
GROUPS = (MODEL, MEMORY, SPEED, QUEUE, COUNT)
OTHER = "Other"

_STARTS: tuple[tuple[str, str], ...] = (
    ("Parameters", MODEL), ("Multiply-adds", MODEL), ("Work of one row", MODEL), ("Model file", MODEL),
    ("Weights", MEMORY), ("KV ", MEMORY), ("Requests held", MEMORY), ("Sum of activations", MEMORY), ("Peak live", MEMORY),
    ("Input of a sample", MEMORY), ("Batch at 10 GiB", MEMORY), ("Runtime floor", MEMORY), ("Memory of", MEMORY),
    ("Model in memory", MEMORY), ("Workers on an instance", MEMORY),
    ("Decode step", SPEED), ("Prompt alone", SPEED), ("t0 ", SPEED), ("k ", SPEED), ("Time of the ", SPEED),
    ("Time of a full batch", SPEED), ("Throughput of", SPEED), ("Model time", SPEED), ("Steps before", SPEED),
    ("Request and reply", SPEED), ("Parsing", SPEED), ("CPU time factor", SPEED), ("Service time", SPEED),
    ("Time of a request in full batches", SPEED), ("Own factor", SPEED),
    ("TPOT", QUEUE), ("TTFT", QUEUE), ("Latency", QUEUE), ("Queues", QUEUE), ("Demanded load", QUEUE), ("Utilization", QUEUE),
    ("p50 ", QUEUE), ("p95 ", QUEUE), ("p99 ", QUEUE),
    ("Capacity", COUNT), ("Replicas", COUNT), ("Machines", COUNT), ("Cost", COUNT), ("GPUs", COUNT), ("Sessions", COUNT),
    ("vCPUs", COUNT), ("Instances", COUNT), ("Network", COUNT), ("Time until", COUNT),
)  # fmt: skip
"""What the name of a step begins with, and its group."""


def group_of(step: Step) -> str:
    """Group of a step, by its name; `OTHER` for a step that no group expects."""
    return next((group for start, group in _STARTS if step.quantity.startswith(start)), OTHER)


def grouped(steps: Sequence[Step]) -> tuple[tuple[str, tuple[Step, ...]], ...]:
    """The steps by group, in the order of the groups and of the steps; groups without a step are left out."""
    found = {name: tuple(step for step in steps if group_of(step) == name) for name in (*GROUPS, OTHER)}
    return tuple((name, those) for name, those in found.items() if those)
