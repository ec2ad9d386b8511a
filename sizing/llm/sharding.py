"""Weights of one accelerator: how tensor, pipeline, expert and attention data parallel share a model's tensors out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, lcm

from sizing.catalog_rows import LlmModel
from sizing.llm.architecture import VISION, Architecture, ExtraPart, LayerKind, Tensor
from sizing.llm.formats import scheme_of
from sizing.llm.rows import architecture_of
from sizing.llm.scheme import Scheme
from sizing.llm.storage import BF16, INT4_AWQ, MXFP4, Storage
from sizing.scenario_llm import WeightFormat

BOTH_TO_256 = ("Blackwell", "Blackwell Ultra", "CDNA3", "CDNA4")
VOCABULARY_PAD = 64
"""Vocabulary rows are padded to a multiple of this. Source: vLLM's vocabulary-parallel embedding (2025)."""


@dataclass(frozen=True, slots=True)
class Split:
    """How one replica is spread: tensor x attention data parallel accelerators share each layer, pipeline stages the
    layers. Attention, dense feed-forward, embedding and head are split by `tensor`; experts over all accelerators of a
    stage, whole ones with `expert_parallel`, slices of their inner width without."""

    tensor: int = 1
    pipeline: int = 1
    attention_data: int = 1
    expert_parallel: bool = False

    @property
    def width(self) -> int:
        """Accelerators of one pipeline stage [count]."""
        return self.tensor * self.attention_data

    @property
    def accelerators(self) -> int:
        """Accelerators of one replica [count]: tensor x attention data x pipeline."""
        return self.width * self.pipeline


@dataclass(frozen=True, slots=True)
class RankWeights:
    """Weights [bytes] of one accelerator of a stage: its even share of the stage, and what it holds beyond that share
    because tensors are copied to several ranks, padded or kept twice."""

    share_bytes: int
    copied_bytes: int

    @property
    def total_bytes(self) -> int:
        """All weights of the accelerator [bytes]."""
        return self.share_bytes + self.copied_bytes


WHOLE = Split()
"""One accelerator that holds everything."""


def padded_vocabulary(vocab: int, tensor_parallel: int) -> int:
    """Vocabulary rows held in all [count]: the next multiple of 64 that tensor parallel divides.

    Source: `VOCABULARY_PAD`.

    >>> padded_vocabulary(50257, 2)
    50304
    """
    unit = lcm(VOCABULARY_PAD, tensor_parallel)
    return -(-vocab // unit) * unit


def on_rank(tensor: Tensor, split: Split) -> tuple[int, int, int]:
    """Rows, columns and copies of a tensor on one accelerator [count].

    KV heads fewer than ranks are copied: ceil(heads / tensor) of them are on each.

    Source: Shoeybi et al. 2019 (Megatron-LM), section 3; vLLM layer classes (2025).

    >>> on_rank(Tensor("k_proj", "attention", 1024, 8192, 1, "kv", True, 8), Split(tensor=16))
    (128, 8192, 1)
    """
    rows, columns, count, tp = tensor.rows, tensor.columns, tensor.count, split.tensor
    if tensor.shard == "column":
        rows = ceil(rows / tp)
    elif tensor.shard == "row":
        columns = ceil(columns / tp)
    elif tensor.shard == "kv":
        rows = rows // tensor.units * ceil(tensor.units / tp)
    elif tensor.shard == "vocab":
        rows = padded_vocabulary(rows, tp) // tp
    elif tensor.shard == "expert":
        if split.expert_parallel:
            count = ceil(count / split.width)
        elif tensor.name.endswith("down_proj"):
            columns = ceil(columns / split.width)
        elif not tensor.name.endswith("down_proj.bias"):
            rows = ceil(rows / split.width)
    return rows, columns, count


def _tensor_bytes(tensor: Tensor, storage: Storage, split: Split) -> float:
    rows, columns, count = on_rank(tensor, split)
    return storage.matrix_bytes(rows, columns) * count


def _multiple(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def kernel_padding_bytes(model: LlmModel, weight_format: WeightFormat, split: Split, architecture: str) -> float:
    """What vLLM's kernels for mxfp4 experts add to one layer of experts on a rank [bytes], by GPU architecture.

    Hopper: hidden to a multiple of 256 (values alone), inner width to 64. Blackwell and AMD: both to 256. Others (Marlin):
    hidden to 256, inner width to 128.

    Source: vLLM, mxfp4 mixture of experts (2025 to 2026); start-up logs of gpt-oss: 64.38 GiB on H100 (here 64.3), 13.72 on
    A100 (here 13.7). Blackwell and AMD: not compared.
    """
    shape, scheme = architecture_of(model), scheme_of(model, weight_format)
    tensors = [t for k in shape.kinds for t in k.tensors if t.group == "experts" and t.linear]
    if not tensors or scheme.of(tensors[0]) is not MXFP4:
        return 0.0
    added = 0.0
    for tensor in {t.name: t for t in tensors}.values():
        rows, columns, count = on_rank(tensor, split)
        by_input = tensor.name.endswith("down_proj")
        hidden, inner = (rows, columns) if by_input else (columns, rows)
        unit = 64 if architecture == "Hopper" else 256 if architecture in BOTH_TO_256 else 128
        wide, deep = _multiple(hidden, 256), _multiple(inner, unit)
        bits = MXFP4.bits if architecture == "Hopper" else MXFP4.bytes_per_parameter() * 8
        added += (wide * deep - hidden * inner) * count * bits / 8
    return added


def _kind_bytes(kind: LayerKind, scheme: Scheme, split: Split, layer: int | None = None) -> float:
    return sum(_tensor_bytes(t, scheme.of(t, layer), split) for t in kind.tensors)


def _absorbed_bytes(kind: LayerKind, split: Split) -> float:
    """What engines keep of a latent layer a second time [bytes]: its up-projections in 16 bit, to decode in the latent
    space without expanding the cache.

    Source: DeepSeek-V2 report, section 2.1.2 (absorption); vLLM and SGLang prepare both at load (2025).
    """
    if kind.cache.kind != "latent":
        return 0.0
    return sum(_tensor_bytes(t, BF16, split) for t in kind.tensors if t.name == "kv_b_proj")


def stage_layers(layers: int, pipeline: int) -> tuple[range, ...]:
    """Layers of each pipeline stage: equal shares; what is left over goes to the stages before the last.

    Source: vLLM's partition of layers (2025).

    >>> [len(stage) for stage in stage_layers(61, 4)]
    [15, 15, 16, 15]
    """
    sizes = [layers // pipeline] * pipeline
    for i in range(layers - sum(sizes)):
        sizes[-2 - i if pipeline > 1 else 0] += 1
    starts = [sum(sizes[:i]) for i in range(pipeline)]
    return tuple(range(start, start + size) for start, size in zip(starts, sizes, strict=True))


@lru_cache(maxsize=1024)
def _per_kind(model: LlmModel, weight_format: WeightFormat, split: Split) -> tuple[float, ...]:
    """Bytes of each layer on one rank; layers of one kind are computed once unless the scheme names layers."""
    shape, scheme = architecture_of(model), scheme_of(model, weight_format)
    if not scheme.by_layer:
        kinds = tuple(_kind_bytes(kind, scheme, split) for kind in shape.kinds)
        return tuple(kinds[i] for i in shape.order)
    return tuple(_kind_bytes(shape.kinds[i], scheme, split, layer) for layer, i in enumerate(shape.order))


def checkpoint_weights_bytes(model: LlmModel, weight_format: WeightFormat) -> float:
    """Bytes of the weights as a checkpoint holds them, without extra parts: no padding, nothing kept twice."""
    shape, scheme = architecture_of(model), scheme_of(model, weight_format)
    outer = sum(scheme.of(t).matrix_bytes(t.rows, t.columns) * t.count for t in (*shape.before, *shape.after))
    return outer + sum(_per_kind(model, weight_format, WHOLE))


def _outer_bytes(shape: Architecture, scheme: Scheme, split: Split, *, first: bool, last: bool) -> float:
    """Embedding, final norm and head of a stage: first holds the embedding, last the head (a tied one is copied)."""
    total = 0.0
    if first:
        total += sum(_tensor_bytes(t, scheme.of(t), split) for t in shape.before)
    if last:
        total += sum(_tensor_bytes(t, scheme.of(t), split) for t in shape.after)
        if shape.tied_embeddings and not first:
            total += sum(_tensor_bytes(t, scheme.of(t), split) for t in shape.before if t.group == "embedding")
    return total


def extra_bytes(part: ExtraPart, scheme: Scheme, split: Split) -> float:
    """Bytes of an extra part on one accelerator; a vision tower stays in 16 bit and is split like the text stack.

    Source: vLLM, mm_encoder_tp_mode "weights" by default (2025).
    """
    if part.name == VISION:
        return sum(_tensor_bytes(t, BF16, split) for t in part.tensors)
    return sum(_tensor_bytes(t, scheme.of(t), split) for t in part.tensors)


@lru_cache(maxsize=4096)
def weights_by_stage(
    model: LlmModel, weight_format: WeightFormat, split: Split, architecture: str = ""
) -> tuple[tuple[RankWeights, range], ...]:
    """Weights [bytes] of one accelerator of each pipeline stage, and the layers of the stage. Extra parts are apart.

    With a GPU `architecture` what vLLM's kernels pad there is counted too. Share = bytes of the stage on one accelerator / accelerators of the stage; copied = what is held beyond it.

    Raises InputError for a model whose shape, or whose published format, is not known.
    """
    shape, scheme = architecture_of(model), scheme_of(model, weight_format)
    whole, here = _per_kind(model, weight_format, WHOLE), _per_kind(model, weight_format, split)
    padded = kernel_padding_bytes(model, weight_format, split, architecture) if architecture else 0.0
    routed = [any(t.group == "experts" for t in shape.kinds[i].tensors) for i in shape.order] if padded else []
    found = []
    stages = stage_layers(shape.layers, split.pipeline)
    for number, layers in enumerate(stages):
        ends = {"first": number == 0, "last": number == len(stages) - 1}
        total = sum(here[i] for i in layers) + _outer_bytes(shape, scheme, split, **ends)
        total += sum(_absorbed_bytes(shape.kinds[shape.order[i]], split) for i in layers)
        total += padded * sum(routed[i] for i in layers) if padded else 0.0
        alone = sum(whole[i] for i in layers) + _outer_bytes(shape, scheme, WHOLE, **ends)
        share = min(ceil(alone / split.width), ceil(total))
        found.append((RankWeights(share, ceil(total) - share), layers))
    return tuple(found)


def weights_bytes_per_rank(
    model: LlmModel,
    *,
    weight_format: WeightFormat,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    attention_data_parallel: int = 1,
    expert_parallel: bool = False,
) -> int:
    """Weights on one accelerator of the heaviest stage [bytes], extra parts apart.

    Bytes = sum over tensors of their share on the rank, each in its own storage; embedding on the first stage, head on
    the last.

    Source: Shoeybi et al. 2019 (Megatron-LM), section 3; vLLM layer classes (2025).

    >>> from sizing.catalog import load
    >>> weights_bytes_per_rank(load().llm_model("llama-2-70b-hf"), weight_format="fp16")
    137953296384
    """
    split = Split(tensor_parallel, pipeline_parallel, attention_data_parallel, expert_parallel)
    return max(weights.total_bytes for weights, _ in weights_by_stage(model, weight_format, split))


def not_divided(model: LlmModel, weight_format: WeightFormat, split: Split) -> str | None:
    """Why engines refuse this split of the model, or None: heads, KV heads, widths and quantisation groups must divide.

    Source: checks of vLLM's parallel layers and quantisation methods (2025): heads % tp, KV heads % tp or tp % KV heads,
    inputs of a rank % group size, outputs and inputs of a rank % 128 for fp8 blocks.
    """
    shape, scheme, tp = architecture_of(model), scheme_of(model, weight_format), split.tensor
    if shape.heads and shape.heads % tp:
        return f"{tp} does not divide its {shape.heads} attention heads"
    for heads in {kind.cache.heads for kind in shape.kinds if kind.cache.heads}:
        if heads % tp and tp % heads:
            return f"{tp} neither divides nor is a multiple of its {heads} KV heads"
    if split.expert_parallel and not shape.experts:
        return "it has no experts to spread"
    for kind in shape.kinds:
        for tensor in kind.tensors:
            if not tensor.linear or tensor.shard in ("replicated", "vocab"):
                continue
            said = _does_not_split(tensor, scheme.of(tensor), split)
            if said is not None:
                return said
    return None


def _does_not_split(tensor: Tensor, storage: Storage, split: Split) -> str | None:
    degree = split.width if tensor.shard == "expert" else split.tensor
    if degree == 1 or (tensor.shard == "expert" and split.expert_parallel):
        return None
    by_input = tensor.shard == "row" or tensor.name.endswith("down_proj")
    size = tensor.columns if by_input else tensor.rows
    if tensor.shard != "kv" and size % degree:
        return f"{degree} does not divide the width {size:,} of {tensor.name}"
    rows, columns, _ = on_rank(tensor, split)
    if storage.block and tensor.group in ("experts", "dense_ffn", "shared_experts"):
        part = columns if by_input else rows
        if part % storage.block:
            return f"{degree} leaves {part:,} of {tensor.name} on a rank, not a multiple of the {storage.block}-wide fp8 block"
    if storage.group == INT4_AWQ.group and by_input and columns % storage.group:
        return f"{degree} leaves {columns:,} inputs of {tensor.name} on a rank, not a multiple of the group of {storage.group}"
    return None


@lru_cache(maxsize=1024)
def step_bytes(model: LlmModel, weight_format: WeightFormat, split: Split) -> tuple[float, float]:
    """Weights that one accelerator reads in a decode step, all stages together [bytes]: all but experts, and experts.

    The input embedding is a lookup; a tied one is read as the head.
    """
    shape, scheme = architecture_of(model), scheme_of(model, weight_format)
    dense = experts = 0.0
    for kind, count in zip(shape.kinds, shape.counts, strict=True):
        for tensor in kind.tensors:
            size = _tensor_bytes(tensor, scheme.of(tensor), split) * count
            if tensor.group == "experts":
                experts += size
            else:
                dense += size
    read = list(shape.after)
    if shape.tied_embeddings:
        read += [t for t in shape.before if t.group == "embedding"]
    return dense + sum(_tensor_bytes(t, scheme.of(t), split) for t in read), experts
