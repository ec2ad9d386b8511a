"""A checkpoint by its header: parameters and bytes, by dtype and by part of the model, from safetensors or GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sizing.errors import InputError
from sizing.llm.headers.gguf_facts import GgufFacts, gguf_facts
from sizing.llm.headers.gguf_header import MAGIC, read_gguf_header
from sizing.llm.headers.packing import Unpacked, unpack
from sizing.llm.headers.safetensors_header import (
    LENGTH_BYTES,
    SafetensorsIndex,
    read_safetensors_header,
    read_safetensors_index,
)
from sizing.llm.headers.stored import Source, StoredTensor, opened, short_name, shortfall
from sizing.llm.headers.tensor_names import MTP, SCALES, STORED_GROUPS, VISION, group_of, groups_of

SAFETENSORS, INDEX, GGUF = "safetensors", "safetensors index", "gguf"
HEAD_BYTES = 64


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds; None is unknown."""

    format: str
    name: str
    tensors: int
    parameters: int | None
    """Weights of the model (count): packed ones unpacked; scales, zero points and buffers do not count."""
    weights_bytes: int | None
    """Bytes of all tensors, as stored."""
    scale_overhead_bytes: int | None
    """Bytes of scales, zero points and the like that are tensors of their own; those inside GGUF blocks are not counted."""
    bytes_by_dtype: Mapping[str, int]
    bytes_by_group: Mapping[str, int]
    parameters_by_group: Mapping[str, int]
    has_head: bool | None
    """Whether an output head is stored apart from the embedding; None if there is no embedding to share."""
    file_bytes: int
    notes: tuple[str, ...]
    gguf: GgufFacts | None = None

    @property
    def bits_per_weight(self) -> float | None:
        """Mean bits of a parameter: 8 x weights_bytes / parameters."""
        return 8 * self.weights_bytes / self.parameters if self.parameters and self.weights_bytes is not None else None


def read_checkpoint(source: Source, name: str) -> Checkpoint:
    """Checkpoint of a safetensors file, its index, or a GGUF file, told apart by content; data are not read.

    `name` is shown. Raises InputError for anything else and for a header that breaks its format.

    Source: see `read_safetensors_header`, `read_safetensors_index`, `read_gguf_header`.

    >>> text = b'{"model.embed_tokens.weight": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}'
    >>> read_checkpoint(len(text).to_bytes(8, "little") + text, "model.safetensors").parameters
    6
    """
    with opened(source) as (stream, size_bytes):
        stream.seek(0)
        kind = kind_of(stream.read(HEAD_BYTES))
        if size_bytes == 0:
            raise InputError("file", f"{name}, which is empty", "a safetensors file or index, or a GGUF file")
        if kind == GGUF:
            return _gguf(stream, name)
        if kind == INDEX:
            return _index(read_safetensors_index(stream), name)
        return _safetensors(stream, name)


def kind_of(head: bytes) -> str | None:
    """Format by the first bytes of a file, or None; `safetensors index` stands for any JSON text.

    >>> kind_of(b"GGUF\\x03\\0\\0\\0"), kind_of(b' {"a": 1}'), kind_of(b"PK")
    ('gguf', 'safetensors index', None)
    """
    if head.startswith(MAGIC):
        return GGUF
    is_text = 0 not in head and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    if head[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" and not is_text:
        return SAFETENSORS
    if is_text:
        return INDEX
    return None


def _safetensors(stream: Source, name: str) -> Checkpoint:
    header = read_safetensors_header(stream)
    return _of_tensors(
        SAFETENSORS,
        name,
        header.tensors,
        unpack(header.tensors),
        file_bytes=header.file_bytes,
        notes=_texts(shortfall(header.file_bytes, header.whole_bytes), _part_of_name(name)),
    )


def _gguf(stream: Source, name: str) -> Checkpoint:
    header = read_gguf_header(stream)
    facts = gguf_facts(header)
    part = (
        f"This is part {facts.part} of {facts.parts}: tensors and bytes are of this part alone"
        if facts.parts > 1
        else None
    )
    return _of_tensors(
        GGUF,
        name,
        header.tensors,
        unpack(header.tensors, block_types=True),
        file_bytes=header.file_bytes,
        notes=_texts(shortfall(header.file_bytes, header.whole_bytes), part),
        gguf=facts,
    )


def _of_tensors(
    kind: str,
    name: str,
    tensors: tuple[StoredTensor, ...],
    unpacked: Unpacked,
    *,
    file_bytes: int,
    notes: tuple[str, ...],
    gguf: GgufFacts | None = None,
) -> Checkpoint:
    if not tensors:
        raise InputError("file", f"{name}, without a tensor", "a checkpoint with at least one tensor")
    groups = groups_of(tensor.name for tensor in tensors)
    bytes_by_dtype: dict[str, int] = {}
    bytes_by_group = dict.fromkeys(STORED_GROUPS, 0)
    parameters_by_group = dict.fromkeys(STORED_GROUPS, 0)
    for tensor in tensors:
        group = SCALES if tensor.name in unpacked.scales else groups[tensor.name]
        bytes_by_dtype[tensor.dtype] = bytes_by_dtype.get(tensor.dtype, 0) + tensor.size_bytes
        bytes_by_group[group] += tensor.size_bytes
        parameters_by_group[group] += unpacked.parameters.get(tensor.name, 0)
    has_head, shared = _head(groups, bytes_by_group)
    known = not unpacked.unknown
    return Checkpoint(
        format=kind,
        name=name,
        tensors=len(tensors),
        parameters=sum(unpacked.parameters.values()) if known else None,
        weights_bytes=sum(t.size_bytes for t in tensors),
        scale_overhead_bytes=bytes_by_group[SCALES],
        bytes_by_dtype=dict(sorted(bytes_by_dtype.items(), key=lambda pair: -pair[1])),
        bytes_by_group=_without_empty(bytes_by_group),
        parameters_by_group=_without_empty(parameters_by_group) if known else {},
        has_head=has_head,
        file_bytes=file_bytes,
        notes=(*notes, *_texts(shared, _unknown(unpacked)), *(f"Taken as given: {text}" for text in unpacked.assumed)),
        gguf=gguf,
    )


def _head(groups: Mapping[str, str], bytes_by_group: Mapping[str, int]) -> tuple[bool | None, str | None]:
    """Whether a head is stored apart, and what to say where it may be the embedding over again."""
    if "embedding" not in groups.values():
        return None, None
    if "head" not in groups.values():
        return False, "No output head is stored: the embedding serves as the head, or another file has it"
    head = bytes_by_group["head"]
    if head != bytes_by_group["embedding"]:
        return True, None
    return (
        True,
        f"Embedding and head are stored apart; if the configuration ties them, engines keep {head:,} bytes less",
    )


def _unknown(unpacked: Unpacked) -> str | None:
    if not unpacked.unknown:
        return None
    return f"Parameters are unknown: {len(unpacked.unknown)} tensors such as {short_name(unpacked.unknown[0])} are packed in a way not known here"


def _part_of_name(name: str) -> str | None:
    """A word on file names such as model-00001-of-00004.safetensors; the header does not say that there are others."""
    stem = name.removesuffix(".safetensors")
    part, _, parts = stem[-14:].partition("-of-")
    if len(part) == 5 and part.isdecimal() and len(parts) == 5 and parts.isdecimal() and int(parts) > 1:
        return f"By its name this is part {int(part)} of {int(parts)}: figures are of this part alone"
    return None


def _index(index: SafetensorsIndex, name: str) -> Checkpoint:
    groups = [group_of(tensor) for tensor in index.weight_map]
    files = len(set(index.weight_map.values()))
    named = [
        f"{label} are among the tensors"
        for group, label in ((VISION, "Encoders"), (MTP, "Blocks for several tokens"))
        if group in groups
    ]
    return Checkpoint(
        format=INDEX,
        name=name,
        tensors=len(groups),
        parameters=index.total_parameters,
        weights_bytes=index.total_size_bytes,
        scale_overhead_bytes=None,
        bytes_by_dtype={},
        bytes_by_group={},
        parameters_by_group={},
        has_head="head" in groups if "embedding" in groups else None,
        file_bytes=index.file_bytes,
        notes=(f"The index names {files} files; it has totals, not shapes", *named),
    )


def _without_empty(found: Mapping[str, int]) -> dict[str, int]:
    return {group: count for group, count in found.items() if count}


def _texts(*found: str | None) -> tuple[str, ...]:
    return tuple(text for text in found if text)
