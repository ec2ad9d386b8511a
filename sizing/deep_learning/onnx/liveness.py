"""Live bytes over a pass, exactly, by one convention: nodes in stored order, outputs allocated while inputs still live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One node: the tensors it reads, those it makes with their size [bytes], and which of them share storage with a tensor
    read. Constants and graph inputs are tensors that no step makes: they count nowhere."""

    reads: tuple[str, ...]
    makes: tuple[tuple[str, int], ...]
    shares: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Life:
    """What is alive [bytes]: at each step, at most, and in sum; the step of the peak and the tensors alive there."""

    live_bytes: tuple[int, ...]
    peak_bytes: int
    peak_step: int | None
    sum_bytes: int
    alive: tuple[tuple[str, int], ...]


def life(steps: Sequence[Step], outputs: Iterable[str]) -> Life:
    """Life of every storage of a pass [bytes]: made at its step, freed after its last reader, an output never.

    peak = max over steps of the bytes made and not yet freed, those made at the step among them.

    >>> chain = [Step(("x",), (("a", 4),)), Step(("a",), (("b", 2),)), Step(("b",), (("y", 1),))]
    >>> life(chain, ["y"]).live_bytes, life(chain, ["y"]).peak_bytes
    ((4, 6, 3), 6)
    """
    root: dict[str, str] = {}
    size: dict[str, int] = {}
    last: dict[str, int] = {}
    for at, step in enumerate(steps):
        for name in step.reads:
            if name in root:
                last[root[name]] = at
        for name, count in step.makes:
            root[name], size[name], last[name] = name, count, at
        for name, source in step.shares:
            if source in root:
                root[name] = root[source]
                last[root[name]] = at
    for name in outputs:
        if name in root:
            last[root[name]] = len(steps)
    ends: list[list[str]] = [[] for _ in range(len(steps) + 1)]
    for name, at in last.items():
        ends[at].append(name)
    now, peak, peak_step = 0, 0, None
    live: list[int] = []
    for at, step in enumerate(steps):
        now += sum(count for _, count in step.makes)
        live.append(now)
        if now > peak:
            peak, peak_step = now, at
        now -= sum(size[name] for name in ends[at])
    alive: list[tuple[str, int]] = []
    if peak_step is not None:
        made = [name for step in steps[: peak_step + 1] for name, _ in step.makes]
        alive = sorted(((n, size[n]) for n in made if last[n] >= peak_step and size[n]), key=lambda pair: -pair[1])
    return Life(tuple(live), peak, peak_step, sum(size.values()), tuple(alive))
