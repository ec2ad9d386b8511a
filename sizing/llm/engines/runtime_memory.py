"""Memory of an engine on one accelerator beside weights and KV cache, in bytes, part by part, with its 80 % interval.

A trial run at start-up finds the peak of activations: the larger of a forward pass over the token budget and of sampling
one token for the most sequences. Context, collectives' buffers and, in some versions, CUDA graphs are added.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, sqrt
from typing import NamedTuple

from sizing.catalog_rows import Accelerator, LlmModel
from sizing.llm.architecture import LayerKind
from sizing.llm.engines.generations import ENGINE_GENERATIONS, Generation, Measured, generation_of
from sizing.llm.rows import architecture_of
from sizing.units import GIB, MIB

CHECKED_MEMORY = (
    "Memory of the engine beside weights and KV cache follows its trial run at start-up, with constants from 79 public "
    "start-up figures of vLLM and ten public logs (KV tokens of models left out of the fit: median error 1.0 %, P90 4.7 %; of "
    "accelerators left out: 0.7 % and 3.7 %); for other engines it is an estimate"
)
"""How the constants compare with measurements; shown beside the plan."""

DRIVER_GIB: dict[str, float] = {
    "t4": 0.36,
    "v100-sxm2-32gb": 0.02,
    "v100-sxm2-16gb": 0.01,
    "v100-pcie-16gb": 0.01,
    "a10": 0.42,
    "a10g": 0.42,
    "l4": 0.45,
    "rtx-3090": 0.42,
    "rtx-4090": 0.43,
    "rtx-5090": 0.49,
    "a100-sxm-40gb": 0.51,
    "a100-pcie-40gb": 0.51,
    "l40s": 0.53,
    "l40": 0.53,
    "a40": 0.53,
    "a100-sxm-80gb": 0.80,
    "a100-pcie-80gb": 0.80,
    "h100-sxm-80gb": 0.47,
    "h100-pcie-80gb": 0.47,
    "h100-nvl-94gb": 0.47,
    "h20-96gb": 0.50,
    "rtx-pro-6000-blackwell-server": 0.60,
    "rtx-pro-6000-blackwell-ws": 0.60,
    "h200-sxm-141gb": 0.59,
    "h200-nvl-141gb": 0.59,
    "b200-sxm-180gb": 0.71,
    "gb200-186gb": 0.72,
}
"""GiB of each part that the driver keeps: what nvidia-smi reports less what cudaMemGetInfo says. Source: "Free memory on
device (x/y GiB)" and out-of-memory messages in public logs, 2024 to 2026; other figures differ by up to 0.1 GiB."""
DRIVER_SHARE = 0.006
DRIVER_NVIDIA_GIB = 0.3
DRIVER_AMD_GIB = 0.0
"""Where a part was not seen: 0.3 GiB + 0.6 % of its memory on NVIDIA (within 0.3 GiB of those seen), none on AMD (MI300X:
0 to 0.3 GiB in public logs)."""

LARGE_GIB = 70.0
LARGE_TOKENS, SMALL_TOKENS = 8192, 2048
LARGE_SEQUENCES, SMALL_SEQUENCES = 1024, 256
"""vLLM's server defaults: 8192 tokens and 1024 sequences from 70 GiB on, 2048 and 256 below and on A100 (before 0.28).
Source: vLLM arg_utils, get_batch_defaults (2026-08); A100 0.31 by its log."""
A100_LARGE_SINCE = (0, 28)
LATENT_PREFILL_TOKENS = 65_536
"""Tokens of earlier context that latent attention expands at once. Source: vLLM MLA prefill workspace (2025)."""
ACTIVATION_BYTES = 2
FUSED_ARCHITECTURES = ("Blackwell", "Blackwell Ultra")
FUSION_ARCHITECTURES = ("Hopper", *FUSED_ARCHITECTURES)
LINKED_GB_PER_S = 200.0
"""Interconnects from this rate [GB/s, one direction] on count as NVLink-like."""

VISION_ITEM_TOKENS: dict[str, int] = {"qwen": 16_384}
"""Most tokens of one image by family, where they exceed the token budget; 0 otherwise. Source: vLLM profiling logs (2026)."""
VISION_LEVELS: dict[str, int] = {"qwen3": 4, "qwen3_moe": 4, "qwen3_vl": 4, "qwen3_vl_moe": 4}
"""Widths of hidden that the encoder hands over, with Qwen3-VL's three deepstack levels. Source: its config."""

SGLANG_TOKEN_MIB = 1.5
SGLANG_SEQUENCE_MIB = 2.0
SGLANG_METADATA_MIB = 512.0
SGLANG_RANK_MIB = 128.0
SGLANG_SLACK = 0.1
"""SGLang sets aside 512 MiB + 1.5 MiB a token of the prefill chunk + 2 MiB a sequence of its graphs + 128 MiB a rank; what
exceeds the tenth that a utilization of 0.9 leaves free counts here. Source: SGLang server_args, mem_fraction_static (2025)."""
LLAMA_MICRO_BATCH = 512
"""Tokens of llama.cpp's compute buffer, fp32. Source: llama.cpp n_ubatch (2025)."""


@dataclass(frozen=True, slots=True)
class RuntimeMemory:
    """Bytes on one accelerator, each part named; `low_bytes` and `high_bytes` the 80 % interval of their sum.

    `logits_bytes` is what sampling needs beyond the forward pass's peak.
    """

    activations_bytes: int
    logits_bytes: int
    encoder_bytes: int
    context_bytes: int
    collectives_bytes: int
    graphs_bytes: int
    low_bytes: int
    high_bytes: int

    @property
    def total_bytes(self) -> int:
        """Sum of the parts [bytes]."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        """The parts by name [bytes]."""
        return {
            "activations": self.activations_bytes,
            "logits": self.logits_bytes,
            "encoder": self.encoder_bytes,
            "context": self.context_bytes,
            "collectives": self.collectives_bytes,
            "graphs": self.graphs_bytes,
        }


@lru_cache(maxsize=256)
def total_bytes(accelerator: Accelerator) -> int:
    """Memory of an accelerator that an engine sees [bytes]: what the driver reports less what it keeps.

    Source: `DRIVER_GIB`.

    >>> from sizing.catalog import load
    >>> round(total_bytes(load().accelerator("h200-sxm-141gb")) / 2**30, 1)
    139.8
    """
    capacity = accelerator.capacity_bytes
    if accelerator.id in DRIVER_GIB:
        kept = DRIVER_GIB[accelerator.id]
    elif accelerator.vendor == "NVIDIA":
        kept = DRIVER_NVIDIA_GIB + DRIVER_SHARE * capacity / GIB
    else:
        kept = DRIVER_AMD_GIB
    return capacity - int(kept * GIB)


@dataclass(frozen=True, slots=True)
class _Widths:
    """Elements a token that the layers of a model need on one rank."""

    hidden: int
    vocab: int
    layer: float  # widest of attention and feed-forward, without experts
    experts: float  # products of the experts of a token
    expert_inputs: int  # experts a token x their input width
    latent_expansion: float  # elements a token of context that latent attention expands
    latent: int


@lru_cache(maxsize=2048)
def _widths(model: LlmModel, tensor_parallel: int, width: int, expert_parallel: bool) -> _Widths:
    shape = architecture_of(model)
    chosen = shape.experts_per_token
    per_kind = [_kind_widths(kind, tensor_parallel, 1 if expert_parallel else width) for kind in shape.kinds]
    routed = [(t.columns, t) for k in shape.kinds for t in k.tensors if t.group == "experts" and t.linear]
    inputs = max((columns for columns, t in routed if not t.name.endswith("down_proj")), default=0)
    return _Widths(
        hidden=shape.hidden,
        vocab=shape.vocab,
        layer=max(each[0] for each in per_kind),
        experts=chosen * max(each[1] for each in per_kind),
        expert_inputs=chosen * inputs,
        latent_expansion=max(each[2] for each in per_kind),
        latent=max((k.cache.key_width for k in shape.kinds if k.cache.kind == "latent"), default=0),
    )


def _kind_widths(kind: LayerKind, tensor_parallel: int, width: int) -> tuple[float, float, float]:
    """Widest of attention and feed-forward, one expert's products, and expansion of the latent cache [elements a token]."""
    blocks: dict[str, float] = {}
    expert = latent = 0.0
    for t in kind.tensors:
        if not t.linear:
            continue
        made = t.rows if t.shard in ("column", "kv") else t.columns if t.shard == "row" else 0
        if t.group == "experts":
            expert += (t.columns if t.name.endswith("down_proj") else t.rows) / width
        elif t.name == "kv_b_proj":
            latent = t.rows / tensor_parallel
        else:
            blocks[t.group] = blocks.get(t.group, 0.0) + made / tensor_parallel
    return max(blocks.values(), default=0.0), expert, latent


def default_batch(accelerator: Accelerator, generation: Generation) -> tuple[int, int]:
    """Token budget and most sequences of vLLM's server where nobody sets them [count]. Source: `LARGE_GIB`."""
    a100 = accelerator.id.startswith("a100") and generation.from_version < A100_LARGE_SINCE
    if total_bytes(accelerator) >= LARGE_GIB * GIB and not a100:
        return LARGE_TOKENS, LARGE_SEQUENCES
    return SMALL_TOKENS, SMALL_SEQUENCES


class _Part(NamedTuple):
    """One part [bytes] with its 80 % range."""

    value: float
    low: float
    high: float


def _plus(*parts: _Part) -> _Part:
    """Sum of independent parts; each end of its 80 % interval is the root of the sum of squared deviations away."""
    centre = down = up = 0.0
    for value, low, high in parts:
        centre += value
        down += (value - low) ** 2
        up += (high - value) ** 2
    return _Part(centre, centre - sqrt(down), centre + sqrt(up))


def _scaled(constant: Measured, unit: float) -> _Part:
    return _Part(constant.value * unit, constant.low * unit, constant.high * unit)


def _expert_copies(generation: Generation, accelerator: Accelerator) -> Measured:
    if accelerator.vendor == "AMD":
        return generation.expert_copies_amd
    fused = accelerator.architecture in FUSED_ARCHITECTURES
    return generation.expert_copies_fused if fused else generation.expert_copies


def _forward(
    widths: _Widths, generation: Generation, accelerator: Accelerator, tokens: int, context_tokens: int | None
) -> _Part:
    """Peak of a forward pass over so many tokens [bytes]: one layer's products and what lives beside them.

    Bytes = tokens x 2 x (copies x hidden + widest block + experts) + expanded context of latent attention.
    """
    unit = tokens * ACTIVATION_BYTES
    exact = unit * (widths.layer + widths.experts)
    if widths.latent_expansion:
        cached = min(LATENT_PREFILL_TOKENS, max(8 * (context_tokens or LATENT_PREFILL_TOKENS), tokens))
        expanded = (cached + tokens) * ACTIVATION_BYTES * widths.latent_expansion
        exact = max(exact, unit * widths.layer + expanded) + cached * ACTIVATION_BYTES * widths.latent
    return _plus(
        _Part(exact, 0.9 * exact, 1.25 * exact),
        _scaled(generation.hidden_copies, unit * widths.hidden),
        _scaled(_expert_copies(generation, accelerator), unit * widths.expert_inputs),
    )


def _sampling(widths: _Widths, generation: Generation, tokens: int, sequences: int) -> _Part:
    """Peak of sampling [bytes]: sequences x vocabulary x bytes, and the hidden state of every token of the trial run."""
    kept = tokens * ACTIVATION_BYTES * widths.hidden
    part = _scaled(generation.sampler_bytes, min(sequences, tokens) * widths.vocab)
    return _Part(part.value + kept, part.low + kept, part.high + kept)


def _encoder(model: LlmModel, generation: Generation, tokens: int) -> _Part:
    """Outputs of the vision encoder kept during the trial run [bytes]: copies x tokens x hidden x levels x 2."""
    item = next((n for family, n in VISION_ITEM_TOKENS.items() if model.model_type.startswith(family)), 0)
    levels = VISION_LEVELS.get(model.model_type, 1)
    return _scaled(generation.encoder_copies, max(tokens, item) * model.hidden * levels * ACTIVATION_BYTES)


def _collectives(generation: Generation, accelerator: Accelerator, ranks: int) -> _Part:
    """Buffers of collectives [bytes]: none alone, by link otherwise, with the fused all-reduce's workspace."""
    if ranks == 1:
        return _Part(0, 0, 0)
    if accelerator.vendor == "AMD":
        return _scaled(generation.collectives_amd_gib, GIB)
    linked = (accelerator.interconnect_gb_per_s or 0) >= LINKED_GB_PER_S
    base = _scaled(generation.collectives_gib if linked else generation.collectives_pcie_gib, GIB)
    if not linked or accelerator.architecture not in FUSION_ARCHITECTURES:
        return base
    return _plus(base, _scaled(generation.fusion_gib, GIB))


@lru_cache(maxsize=4096)
def runtime_memory(
    model: LlmModel,
    accelerator: Accelerator,
    *,
    runtime: str,
    engine_version: str | None = None,
    tensor_parallel: int = 1,
    pipeline_parallel: int = 1,
    attention_data_parallel: int = 1,
    expert_parallel: bool = False,
    max_batched_tokens: int | None = None,
    max_sequences: int | None = None,
    context_tokens: int | None = None,
    vision: bool = False,
) -> RuntimeMemory:
    """What an engine holds on one accelerator beside weights and KV cache [bytes], with its 80 % interval.

    Total = max(forward pass, sampling) + encoder outputs + context + collectives + CUDA graphs where the engine counts them.

    Unset budgets take the engine's defaults. Source: vLLM gpu_worker and gpu_model_runner (0.10 to 0.31), whose constants
    are `ENGINE_GENERATIONS`; Kwon et al. 2023, section 4 for the trial run. Raises InputError for an unknown engine.

    >>> from sizing.catalog import load
    >>> catalog = load()
    >>> of = catalog.llm_model("llama-3.1-8b"), catalog.accelerator("h100-sxm-80gb")
    >>> round(runtime_memory(*of, runtime="vllm", engine_version="0.19").total_bytes / 2**30, 1)
    2.1
    """
    amd = accelerator.vendor == "AMD"
    generation = generation_of(runtime, engine_version, own_build=not amd)
    default_tokens, default_sequences = default_batch(accelerator, generation)
    tokens, sequences = max_batched_tokens or default_tokens, max_sequences or default_sequences
    ranks = tensor_parallel * attention_data_parallel
    widths = _widths(model, tensor_parallel, ranks, expert_parallel)
    context = _scaled(generation.context_amd_gib if amd else generation.context_gib, GIB)
    collectives = _collectives(generation, accelerator, ranks * pipeline_parallel)
    nothing = _Part(0, 0, 0)
    encoder, graphs = _encoder(model, generation, tokens) if vision else nothing, _scaled(generation.graphs_gib, GIB)
    if generation.rule == "buffer":
        forward = _compute_buffer(widths)
        sampling = forward
    elif generation.rule == "reserve":
        forward = _reserve(accelerator, ranks, tokens, sequences)
        sampling = forward
    else:
        forward = _forward(widths, generation, accelerator, tokens, context_tokens)
        sampling = _sampling(widths, generation, tokens, sequences)
    peak = _Part(max(forward.value, sampling.value), max(forward.low, sampling.low), max(forward.high, sampling.high))
    _, low, high = _plus(peak, encoder, context, collectives, graphs)
    return RuntimeMemory(
        activations_bytes=ceil(forward.value),
        logits_bytes=ceil(peak.value) - ceil(forward.value),
        encoder_bytes=ceil(encoder.value),
        context_bytes=ceil(context.value),
        collectives_bytes=ceil(collectives.value),
        graphs_bytes=ceil(graphs.value),
        low_bytes=max(0, int(low)),
        high_bytes=ceil(high),
    )


def _reserve(accelerator: Accelerator, ranks: int, tokens: int, sequences: int) -> _Part:
    """What SGLang sets aside beyond the tenth left free [bytes]. Source: `SGLANG_SLACK`."""
    graphs = min(sequences, SMALL_SEQUENCES if ranks < 4 else 2 * SMALL_SEQUENCES)
    mib = SGLANG_METADATA_MIB + SGLANG_TOKEN_MIB * tokens + SGLANG_SEQUENCE_MIB * graphs + SGLANG_RANK_MIB * ranks
    beyond = max(0.0, mib * MIB - SGLANG_SLACK * total_bytes(accelerator))
    return _Part(beyond, 0.6 * beyond, beyond + 0.3 * mib * MIB)


def _compute_buffer(widths: _Widths) -> _Part:
    """llama.cpp's compute buffer [bytes]: micro-batch x (vocabulary + copies x hidden + widest block) x 4."""
    elements = widths.vocab + 4 * widths.hidden + widths.layer + widths.experts + widths.expert_inputs
    size = LLAMA_MICRO_BATCH * 4 * elements
    return _Part(size, 0.6 * size, 1.5 * size)


@dataclass(frozen=True, slots=True)
class DriftRow:
    """Memory of one part [GiB] in one generation of an engine, for a reference model and part."""

    generation: str
    part: str
    gib: float


def drift(
    model: LlmModel, accelerator: Accelerator, *, runtime: str = "vllm", tensor_parallel: int = 1
) -> tuple[DriftRow, ...]:
    """How far each part [GiB] moved between the generations of an engine, defaults of the engine throughout."""
    rows = []
    for generation in ENGINE_GENERATIONS[runtime]:
        version = ".".join(str(n) for n in generation.from_version)
        found = runtime_memory(
            model, accelerator, runtime=runtime, engine_version=version, tensor_parallel=tensor_parallel
        )
        rows += [DriftRow(generation.words, name, size / GIB) for name, size in found.parts().items()]
        rows.append(DriftRow(generation.words, "all", found.total_bytes / GIB))
    return tuple(rows)
