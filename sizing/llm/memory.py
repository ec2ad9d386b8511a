"""Memory of one accelerator that serves a language model: weights, KV cache, activations and runtime, in bytes.

The rule of vLLM: KV budget = utilization x capacity - weights - activations - runtime. The heaviest pipeline stage
counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.llm.formats import BYTES_16_BIT, WeightBytes, weight_bytes
from sizing.llm.parameters import ParameterGroups, parameter_groups
from sizing.plan import Memory
from sizing.scenario import KvFormat, LlmRuntime, WeightFormat
from sizing.units import GIB

KV_BYTES: dict[str, int] = {"bf16": 2, "fp16": 2, "fp8": 1}
"""Bytes an element of the KV cache. Source: number formats."""
BLOCK_TOKENS = 16
"""Tokens of a KV block; a sequence fills whole blocks. Source: vLLM default block size on GPUs (2025)."""
VOCABULARY_PAD = 64
"""Vocabulary rows are padded to a multiple of this on each rank. Source: vLLM's vocabulary-parallel embedding
(2025)."""
CHECKED_MEMORY = (
    "The room for KV cache rests on stated constants: on 79 vLLM start-up logs it is off by 1.6 % at the median and 9.6 % at "
    "the 90th percentile, mostly too high (6 to 8 % for DeepSeek-R1); the constants were chosen with these logs in view."
)
"""Source: vLLM 0.9 to 0.20, four models, H100, H200, B200, MI300X (2026-11)."""
EXPERTS_FILL_STAGES_FROM = 0.8
"""Share of layers with experts above which a pipeline stage may hold nothing else [1]. Source: catalog rows (1 to 3
dense layers
first, or every second layer dense; none between)."""
STATE_BYTES = 4
"""Bytes an element of linear-attention or Mamba state: fp32. Source: vLLM mamba cache default for the recurrent part
(2025);
the convolution part is often 16 bit, so this is an upper bound by up to x2."""

NON_TORCH_SINGLE_BYTES = int(0.27 * GIB)
"""Context and buffers outside the allocator, one accelerator [bytes]. Source: llm-d-planner, vLLM 0.19.0, H100, 28
models
(2026-04); range 0.2 to 0.6 GiB."""
NON_TORCH_PARALLEL_BYTES = int(2.10 * GIB)
"""The same with collectives' buffers, two or more accelerators [bytes]. Source: as above; range 1.0 to 3.0 GiB."""
ENGINE_RUNTIME_FACTOR: dict[str, float] = {"vllm": 1.0, "sglang": 1.0, "tensorrt_llm": 1.0}
"""Runtime bytes against vLLM's [1]. Not measured for SGLang and TensorRT-LLM: taken as equal, range 0.7 to 1.5
(2026-11)."""
ACTIVATION_WIDTHS = (6, 3)
"""Live 16-bit copies of (hidden, feed-forward) vectors at the peak [1]. With the sampler below it gives 4.7 GiB for
Llama-3.3-70B
at tp 4, where public vLLM 0.11 to 0.19 start-up logs on H200 leave 4.7 to 6.0 GiB; Llama-3.1-8B 2.5 GiB against 1.9
(2026-11)."""
SAMPLER_COPIES = 3
"""fp32 copies of the logits live while sampling [1]. Source: logits, probabilities and sort buffer; same check as
above."""
SAMPLER_ROWS = (256, 1024)
"""Sequences profiled by the engine on parts below and from 70 GiB [count]. Source: vLLM's default max_num_seqs
(2025)."""
SAMPLER_ROWS_FROM_BYTES = 70 * GIB


@dataclass(frozen=True)
class KvLayout:
    """KV elements a token and state elements a sequence, on one rank of the heaviest stage."""

    full_elements_per_token: int
    sliding_elements_per_token: int
    sliding_window: int
    state_elements: int

    def bytes_per_sequence(self, *, context_tokens: int, kv_format: KvFormat) -> int:
        """KV cache and state of one sequence [bytes]: whole blocks of the context, of the window for sliding layers.

        Bytes = (full x blocks(context) + sliding x blocks(min(context, window))) x element size + state x 4.
        """
        elements = self.full_elements_per_token * _whole_blocks(context_tokens)
        elements += self.sliding_elements_per_token * _whole_blocks(min(context_tokens, self.sliding_window))
        return elements * KV_BYTES[kv_format] + self.state_elements * STATE_BYTES


@dataclass(frozen=True)
class RankMemory:
    """What one accelerator holds before any sequence [bytes], and the KV layout; of the heaviest stage."""

    weights_bytes: int
    activation_bytes: int
    runtime_bytes: int
    kv: KvLayout

    def kv_budget_bytes(self, *, capacity_bytes: int, gpu_memory_utilization: float) -> int:
        """Room for KV cache [bytes], negative if even the weights do not fit: utilization x capacity - the rest."""
        usable = int(capacity_bytes * gpu_memory_utilization)
        return usable - self.weights_bytes - self.activation_bytes - self.runtime_bytes


def _whole_blocks(tokens: int) -> int:
    return -(-tokens // BLOCK_TOKENS) * BLOCK_TOKENS


def padded_vocabulary(vocab: int, tensor_parallel: int) -> int:
    """Vocabulary rows held in all [count]: the next multiple of 64 x tensor parallel.

    Source: `VOCABULARY_PAD`.

    >>> padded_vocabulary(50257, 2)
    50304
    """
    unit = VOCABULARY_PAD * tensor_parallel
    return -(-vocab // unit) * unit


def kv_bytes_per_token(model: LlmModel, kv_format: KvFormat) -> int:
    """KV cache of one token over all layers, one copy [bytes], sliding layers included as within their window.

    Source: catalog fields kv_elems_per_token_full and _sliding.

    >>> from sizing.catalog import load
    >>> kv_bytes_per_token(load().llm_model("llama-2-70b-hf"), "fp16")
    327680
    """
    full, sliding = _kv_elements(model)
    return (full + sliding) * KV_BYTES[kv_format]


def _kv_elements(model: LlmModel) -> tuple[int, int]:
    if model.kv_elems_per_token_full is None:
        words = f"a model whose KV cache is known; that of {model.id} ({model.attention}) is not modelled"
        raise InputError("model", model.id, words)
    return model.kv_elems_per_token_full, model.kv_elems_per_token_sliding or 0


def kv_caveat(model: LlmModel) -> str | None:
    """What the KV figures of this model leave out, or None."""
    if "DSA" in model.attention:
        return "Index keys of the sparse attention are not in the KV cache figure, which is therefore low."
    if model.model_type == "minimax_m3":
        return "Block-sparse attention: the KV cache is counted as stored in full."
    if model.n_linear_layers and model.state_elems_per_seq is None:
        return "The state of the linear layers is not known and not counted."
    return None


@lru_cache(maxsize=4096)
def kv_layout(model: LlmModel, *, tensor_parallel: int, pipeline_parallel: int) -> KvLayout:
    """KV elements a token on one rank of the heaviest stage [count].

    GQA: layers x ceil(kv heads / tp) x (key + value width); MLA: latent + rope whole on every rank; state shared by tp.

    Source: DeepSeek-V2 report, section 2.1 (MLA cache); vLLM KV-head replication (2025).
    """
    full, sliding = _kv_elements(model)
    is_mla = model.kv_lora_rank is not None
    width = (model.head_dim or 0) + (model.v_head_dim or model.head_dim or 0)

    def on_rank(elements: int, layers: int) -> int:
        if not elements or not layers:
            return 0
        stage_layers = ceil(layers / pipeline_parallel)
        each = elements // layers
        if is_mla or each % width:
            return each * stage_layers
        heads = each // width
        return ceil(heads / tensor_parallel) * width * stage_layers

    # A NAS-pruned model states no attention layers in some rows; its elements then spread over all layers.
    full_layers = model.n_full_attn_layers or (model.layers if full else 0)
    stage_linear = (
        ceil(model.n_linear_layers / pipeline_parallel) / model.n_linear_layers if model.n_linear_layers else 0.0
    )
    return KvLayout(
        full_elements_per_token=on_rank(full, full_layers),
        sliding_elements_per_token=on_rank(sliding, model.n_sliding_layers),
        sliding_window=model.sliding_window or 0,
        state_elements=ceil((model.state_elems_per_seq or 0) * stage_linear / tensor_parallel),
    )


@lru_cache(maxsize=4096)
def weights_bytes_per_rank(
    model: LlmModel, *, weight_format: WeightFormat, tensor_parallel: int = 1, pipeline_parallel: int = 1
) -> int:
    """Weights on one accelerator of the heaviest stage [bytes].

    Bytes = sharded matrices / tp + replicated (norms, routers, MLA down-projections, KV heads beyond their number) +
    vocabulary, padded / tp; layers of a stage = ceil(layers / pp).

    Source: Shoeybi et al. 2019 (Megatron-LM), section 3; vLLM layer classes (2025).

    >>> from sizing.catalog import load
    >>> weights_bytes_per_rank(load().llm_model("llama-2-70b-hf"), weight_format="fp16")
    137953296384
    """
    groups = parameter_groups(model)
    each = weight_bytes(model, weight_format)
    stage_layers = ceil(model.layers / pipeline_parallel)
    stage_share = stage_layers / model.layers
    expert_layers = _expert_layers(model, stage_layers)
    expert_share = expert_layers / model.moe_layers if model.moe_layers else 0.0
    dense_share = (
        min(stage_layers - expert_layers, model.dense_layers) / model.dense_layers if model.dense_layers else 0.0
    )
    linear = groups.attention * stage_share * _query_key_value_share(model, groups, tensor_parallel)
    linear += (groups.dense_ffn * dense_share + groups.shared_experts * expert_share) / tensor_parallel
    linear += groups.other * stage_share / tensor_parallel + groups.attention_replicated * stage_share
    experts = groups.experts * expert_share / tensor_parallel
    replicated = groups.norms * stage_share + groups.router * expert_share
    vocabulary = _vocabulary_parameters(model, groups, tensor_parallel, pipeline_parallel)
    total = linear * each.linear + experts * each.experts + (replicated + vocabulary) * each.unquantised
    return ceil(total)


def _expert_layers(model: LlmModel, stage_layers: int) -> int:
    """Layers with experts in the heaviest stage: all of it where dense layers are few and come first, else their mean
    share."""
    if model.moe_layers >= EXPERTS_FILL_STAGES_FROM * model.layers:
        return min(stage_layers, model.moe_layers)
    return ceil(model.moe_layers * stage_layers / model.layers)


def _query_key_value_share(model: LlmModel, groups: ParameterGroups, tensor_parallel: int) -> float:
    """Share of the attention matrices on one rank: 1 / tp, more once KV heads are copied to several ranks."""
    kv_heads, heads = model.kv_heads or 0, model.heads or 0
    if model.kv_lora_rank is not None or not kv_heads or not heads:
        return 1.0 / tensor_parallel
    here = heads / tensor_parallel * 2 + 2 * ceil(kv_heads / tensor_parallel)
    return here / (heads * 2 + 2 * kv_heads)


def _vocabulary_parameters(
    model: LlmModel, groups: ParameterGroups, tensor_parallel: int, pipeline_parallel: int
) -> float:
    """Embedding and head on one rank [count]: both with one stage, the larger of them when stages hold one each."""
    padded = padded_vocabulary(model.vocab, tensor_parallel) if tensor_parallel > 1 else model.vocab
    growth = padded / model.vocab / tensor_parallel
    positions = (model.learned_positions or 0) * model.hidden
    embedding = (groups.embedding - positions) * growth + positions
    head = groups.head * growth
    if pipeline_parallel == 1:
        return embedding + head
    return max(embedding, head if head else embedding)


def activation_bytes(model: LlmModel, *, tensor_parallel: int, max_batched_tokens: int, capacity_bytes: int) -> int:
    """Peak activations and logits of one engine step on one accelerator [bytes].

    Bytes = tokens x 2 x (6 hidden + 3 feed-forward / tp) + 3 x 4 x profiled sequences x vocabulary.

    Source: `ACTIVATION_WIDTHS`, `SAMPLER_COPIES`, `SAMPLER_ROWS`.
    """
    width = max(model.ffn or 0, (model.moe_ffn or 0) * (model.experts_per_token or 0) + (model.shared_ffn or 0))
    rows = SAMPLER_ROWS[capacity_bytes >= SAMPLER_ROWS_FROM_BYTES]
    vector = ACTIVATION_WIDTHS[0] * model.hidden + ceil(ACTIVATION_WIDTHS[1] * width / tensor_parallel)
    return (
        int(max_batched_tokens * BYTES_16_BIT * vector)
        + SAMPLER_COPIES * 4 * min(rows, max_batched_tokens) * model.vocab
    )


@lru_cache(maxsize=4096)
def rank_memory(
    model: LlmModel,
    *,
    weight_format: WeightFormat,
    runtime: LlmRuntime,
    tensor_parallel: int,
    pipeline_parallel: int,
    max_batched_tokens: int,
    capacity_bytes: int,
) -> RankMemory:
    """What one accelerator of the heaviest stage holds before any sequence [bytes]."""
    several = tensor_parallel * pipeline_parallel > 1
    base = NON_TORCH_PARALLEL_BYTES if several else NON_TORCH_SINGLE_BYTES
    return RankMemory(
        weights_bytes=weights_bytes_per_rank(
            model, weight_format=weight_format, tensor_parallel=tensor_parallel, pipeline_parallel=pipeline_parallel
        ),
        activation_bytes=activation_bytes(
            model, tensor_parallel=tensor_parallel, max_batched_tokens=max_batched_tokens, capacity_bytes=capacity_bytes
        ),
        runtime_bytes=int(base * ENGINE_RUNTIME_FACTOR[runtime]),
        kv=kv_layout(model, tensor_parallel=tensor_parallel, pipeline_parallel=pipeline_parallel),
    )


def max_concurrent_sequences(
    rank: RankMemory, *, capacity_bytes: int, gpu_memory_utilization: float, context_tokens: int, kv_format: KvFormat
) -> int:
    """Sequences of one length held at once [count]: floor(KV budget / bytes a sequence); 0 if the weights do not
    fit."""
    budget = rank.kv_budget_bytes(capacity_bytes=capacity_bytes, gpu_memory_utilization=gpu_memory_utilization)
    each = rank.kv.bytes_per_sequence(context_tokens=context_tokens, kv_format=kv_format)
    return max(0, budget // each) if each else (10**6 if budget >= 0 else 0)


def max_context_tokens(
    rank: RankMemory,
    *,
    capacity_bytes: int,
    gpu_memory_utilization: float,
    sequences: int,
    kv_format: KvFormat,
    longest: int,
) -> int:
    """Longest context [tokens], up to `longest`, that so many sequences can hold at once; 0 if none. By bisection."""

    def holds(tokens: int) -> bool:
        most = max_concurrent_sequences(
            rank,
            capacity_bytes=capacity_bytes,
            gpu_memory_utilization=gpu_memory_utilization,
            context_tokens=tokens,
            kv_format=kv_format,
        )
        return most >= sequences

    low, high = 0, longest + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def memory_parts(
    rank: RankMemory, *, sequences: int, context_tokens: int, kv_format: KvFormat, capacity_bytes: int
) -> Memory:
    """Parts of the memory of one accelerator [bytes] when it holds so many sequences."""
    parts = {
        "weights": rank.weights_bytes,
        "kv_cache": sequences * rank.kv.bytes_per_sequence(context_tokens=context_tokens, kv_format=kv_format),
        "activations": rank.activation_bytes,
        "runtime": rank.runtime_bytes,
    }
    return Memory(parts=parts, used_bytes=sum(parts.values()), capacity_bytes=capacity_bytes)


def fits(
    rank: RankMemory, *, capacity_bytes: int, gpu_memory_utilization: float, context_tokens: int, kv_format: KvFormat
) -> bool:
    """Whether at least one sequence of this length is held."""
    return (
        max_concurrent_sequences(
            rank,
            capacity_bytes=capacity_bytes,
            gpu_memory_utilization=gpu_memory_utilization,
            context_tokens=context_tokens,
            kv_format=kv_format,
        )
        > 0
    )


def allowed_tensor_parallel(model: LlmModel, counts: Sequence[int]) -> tuple[int, ...]:
    """Those of the counts that divide the attention heads (all, for a model without attention)."""
    return tuple(n for n in counts if not model.heads or model.heads % n == 0)


@lru_cache(maxsize=256)
def weights_of(model: LlmModel, weight_format: WeightFormat) -> WeightBytes:
    """Bytes a parameter of the model in this format, after checking that both its parameters and its KV cache are
    known."""
    parameter_groups(model)
    _kv_elements(model)
    return weight_bytes(model, weight_format)
