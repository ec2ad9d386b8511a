"""A network of the reader's own as a summary that travels in a scenario: the file itself is never kept nor sent on.

The summary is JSON of about a thousand characters: parameters, bytes, multiply-adds, work by kind of operator, and the sum and
the peak of activations as a law of the batch. `inspect --summary` prints it; where files may not be uploaded it is pasted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from json import JSONDecodeError, dumps, loads
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sizing.deep_learning.graph import Graph
from sizing.deep_learning.operators import KINDS, OperatorKind, Totals
from sizing.deep_learning_rows import DeepLearningModel, InputKind
from sizing.errors import InputError

CUSTOM = "custom"
"""Model id of a scenario whose network is that of its own summary."""
MOST_CHARACTERS = 6_000
MOST_PASTED_CHARACTERS = 20_000_000
PROFILE_POINTS = 48
SUMMARY = "a summary as `inspect --summary` or `inspect --json` prints it"
MEASURES = 5

Size = Annotated[int, Field(ge=0, le=10**15, strict=True)]
Amount = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
Name = Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BatchLaw(_Frozen):
    """Bytes as a law of the batch: fixed + per_sample x batch [bytes]."""

    fixed: Size = 0
    per_sample: Size

    def at(self, batch: int) -> int:
        """Bytes at a batch."""
        return self.fixed + self.per_sample * batch


class NetworkSummary(_Frozen):
    """Facts of one network at one input size. Activations in fp32: 4 bytes a float, other types as the file stores them."""

    summary: Literal[1] = 1
    name: Name
    parameters: Annotated[int, Field(ge=1, le=10**13, strict=True)]
    weights_bytes: dict[Name, Size] = Field(max_length=12)
    buffers_bytes: Size = 0
    input_kind: Literal["image", "tokens", "audio", "series"]
    input_size: Annotated[int, Field(ge=1, le=10**7, strict=True)]
    input_unit: Name
    input_shape: Name
    input: BatchLaw
    sum_activations: BatchLaw
    peak_live: BatchLaw
    linear_error: Annotated[float, Field(ge=0, le=10)] = 0.0
    macs: Amount
    work: dict[OperatorKind, Annotated[tuple[Amount, ...], Field(min_length=MEASURES, max_length=MEASURES)]]
    reshapes: Size = 0
    live_bytes: Annotated[tuple[Size, ...], Field(max_length=PROFILE_POINTS)] = ()
    peak_at: Name = ""
    unknown_shapes: Size = 0
    dims: dict[Name, Size] = Field(default={}, max_length=32)
    batch_fixed: Size = 0

    @model_validator(mode="after")
    def _peak_within_sum(self) -> NetworkSummary:
        if self.peak_live.at(1) > self.sum_activations.at(1):
            raise ValueError("a peak above the sum")
        return self

    def totals(self) -> dict[OperatorKind, Totals]:
        """Work by kind of operator of one sample [count]."""
        return {kind: Totals(*self.work[kind]) for kind in KINDS if kind in self.work}

    @property
    def launches(self) -> int:
        """Nodes that do some work [count]: kernels of a runtime that fuses nothing."""
        return round(sum(values[0] for values in self.work.values()))

    def text(self) -> str:
        """The summary as compact JSON, as it stands in a scenario; what has its usual value is left out."""
        return dumps(
            {"summary": 1, **self.model_dump(mode="json", exclude_defaults=True)},
            separators=(",", ":"),
            ensure_ascii=True,
        )


@lru_cache(maxsize=16)
def parse_summary(text: str) -> NetworkSummary:
    """The summary in a text: itself, or within what `inspect --json` prints.

    Raises InputError, field custom_network, in one sentence.
    """
    if len(text) > MOST_PASTED_CHARACTERS:
        raise InputError("custom_network", f"{len(text):,} characters", SUMMARY)
    try:
        data = loads(text)
    except (JSONDecodeError, RecursionError, ValueError):
        raise InputError("custom_network", "text that is no JSON", SUMMARY) from None
    found = data.get("summary") if isinstance(data, dict) else None
    if isinstance(found, dict):
        data = found
    elif found is None:
        raise InputError("custom_network", "JSON without a summary", SUMMARY)
    try:
        summary = NetworkSummary.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "a peak above the sum"
        raise InputError("custom_network", f"a summary with an unusable {where}", SUMMARY) from None
    if len(summary.text()) > MOST_CHARACTERS:
        raise InputError(
            "custom_network", f"a summary of {len(summary.text()):,} characters", f"at most {MOST_CHARACTERS:,}"
        )
    return summary


@lru_cache(maxsize=16)
def own_graph(text: str) -> Graph:
    """Graph of a summary given as text, per sample in fp32 [bytes]; raises as `parse_summary`.

    What is alive whatever the batch is counted with the buffers, as both are there once.
    """
    summary = parse_summary(text)
    model = own_model(summary)
    return Graph(
        model=model,
        size=summary.input_size,
        size_unit=summary.input_unit,
        macs=summary.macs,
        operators=max(1, summary.launches),
        input_bytes_fp32=summary.input.per_sample,
        buffers_bytes=summary.buffers_bytes + summary.input.fixed + summary.peak_live.fixed,
        sum_activation_bytes_fp32=max(1, summary.sum_activations.per_sample),
        peak_live_bytes_fp32=max(1, summary.peak_live.per_sample),
        peak_at=summary.peak_at or None,
        error_share=summary.linear_error,
        trust="derived",
        source=model.source,
        work=tuple(summary.totals().items()),
        live_bytes_fp32=summary.live_bytes,
    )


def own_model(summary: NetworkSummary) -> DeepLearningModel:
    """The row that a catalog would have for the network of a summary."""
    notes = []
    if summary.unknown_shapes:
        notes.append(f"{summary.unknown_shapes:,} sizes of its file are unknown, so its figures are lower limits")
    if summary.batch_fixed:
        notes.append(f"its file fixes the batch at {summary.batch_fixed}, other batches are taken in proportion")
    notes.append("attention is as its file has it")
    kind: InputKind = summary.input_kind
    return DeepLearningModel(
        id=CUSTOM,
        name=summary.name or "your own network",
        task="own",
        framework="ONNX",
        params=summary.parameters,
        gmacs=summary.macs / 1e9 or None,
        input_shape=summary.input_shape or "unknown",
        input_note="; ".join(notes),
        input_kind=kind,
        input_default_size=summary.input_size,
        input_unit=summary.input_unit or "elements",
        input_bytes_fp32_per_sample=max(1, summary.input.per_sample),
        licence="unknown",
        source="an ONNX file, read here",
        as_of="undated",
        trust="derived",
    )


def batch_law(bytes_at: Mapping[int, int]) -> tuple[BatchLaw, float]:
    """Law of the batch through figures at 1, 2 and 8 [bytes], and how far it is off at 2 [1].

    >>> batch_law({1: 15, 2: 25, 8: 85})
    (BatchLaw(fixed=5, per_sample=10), 0.0)
    """
    one, two, eight = bytes_at[1], bytes_at[2], bytes_at[8]
    slope = -(-max(0, eight - one) // 7)
    # Faster growth than a line's is taken in proportion to the largest batch, which is never too little up to there.
    law = BatchLaw(fixed=one - slope, per_sample=slope) if one >= slope else BatchLaw(per_sample=-(-eight // 8))
    misfit = max(abs(law.at(b) - value) / max(1, value) for b, value in ((1, one), (2, two), (8, eight)))
    return law, 0.0 if misfit < 1e-4 else round(misfit, 4)
