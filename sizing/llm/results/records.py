"""What a result file gives, whatever wrote it: runs of a server, and what a start-up log says of memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sizing.errors import InputError

MAX_TIME_MS = 1e8
MAX_COUNT = 1e9
MAX_RATE_PER_S = 1e7
"""Largest times [ms], counts and rates [1/s] accepted: bounds against slips, far above any server."""


@dataclass(frozen=True)
class ServingRun:
    """One run of a load generator against a server: its load, mean lengths [tokens], and what came out; None where it does not say.

    `rate_per_s` is None where all requests were sent as soon as they might (an infinite rate). TPOT is the time of a token after the
    first. `ttft_ms` and `tpot_ms` are medians where the file has them, else means (`middle`).
    """

    tool: str
    label: str
    model: str | None = None
    date: str | None = None
    rate_per_s: float | None = None
    clients: int | None = None
    requests: int | None = None
    prompt_tokens: float | None = None
    output_tokens: float | None = None
    duration_s: float | None = None
    ttft_ms: float | None = None
    tpot_ms: float | None = None
    ttft_p99_ms: float | None = None
    tpot_p99_ms: float | None = None
    requests_per_s: float | None = None
    output_tokens_per_s: float | None = None
    middle: str = "median"
    notes: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether it says enough to be compared: lengths, a load, and a time or a throughput."""
        has_load = self.rate_per_s is not None or self.clients is not None or self.requests is not None
        figures = (self.ttft_ms, self.tpot_ms, self.output_tokens_per_s)
        return bool(self.prompt_tokens and self.output_tokens and has_load and any(v is not None for v in figures))


@dataclass(frozen=True)
class StartupLog:
    """What a start-up log says of one accelerator [GiB] and of the server's settings; None where it does not say."""

    engine: str = "vllm"
    version: str | None = None
    model: str | None = None
    weights_gib: float | None = None
    kv_gib: float | None = None
    kv_tokens: int | None = None
    activation_gib: float | None = None
    non_torch_gib: float | None = None
    graphs_gib: float | None = None
    utilization: float | None = None
    context_tokens: int | None = None
    batched_tokens: int | None = None
    sequences: int | None = None
    max_concurrency: float | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    data_parallel: int | None = None
    expert_parallel: bool | None = None
    quantization: str | None = None
    dtype: str | None = None
    kv_format: str | None = None
    startup_s: float | None = None
    ranks: int = 1
    notes: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether it says anything of memory."""
        return any(v is not None for v in (self.weights_gib, self.kv_gib, self.kv_tokens))


@dataclass(frozen=True)
class Results:
    """All that was read, and one sentence for each thing that was not."""

    runs: tuple[ServingRun, ...] = ()
    logs: tuple[StartupLog, ...] = ()
    left_out: tuple[str, ...] = ()


def number(values: Mapping[str, object], *names: str, most: float = MAX_COUNT, least: float = 0.0) -> float | None:
    """The first of the named values that is there; None where none is, or where it is null. Text that spells a number counts.

    Raises InputError for what is no number from `least` to `most`.
    """
    for name in names:
        value = values.get(name)
        if value is None:
            continue
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                value = math.nan
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise InputError(name, values.get(name), f"a number from {least:g} to {most:g}")
        return float(value)
    return None


def positive(values: Mapping[str, object], *names: str, most: float = MAX_COUNT) -> float | None:
    """As `number`; 0 counts as not stated, as tools write it where nothing was measured."""
    return number(values, *names, most=most) or None


def whole(values: Mapping[str, object], *names: str) -> int | None:
    """As `positive`, as a whole number [1]; None where it is none."""
    value = positive(values, *names)
    return None if value is None else max(1, round(value))


def text(values: Mapping[str, object], *names: str) -> str | None:
    """The first of the named values that is a text with something in it, printable and at most 200 characters long."""
    for name in names:
        value = values.get(name)
        if isinstance(value, str) and value.strip():
            return "".join(c if c.isprintable() else " " for c in value.strip())[:200]
    return None


def mapping(values: Mapping[str, object], *path: str) -> Mapping[str, object]:
    """The object at the end of a path of keys; an empty one where there is none."""
    at: object = values
    for key in path:
        at = at.get(key) if isinstance(at, Mapping) else None
    return at if isinstance(at, Mapping) else {}
