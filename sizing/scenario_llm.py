"""Scenario of a large language model: the model, its tokens, its engine and how it is split."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sizing.scenario_base import CatalogId, Percentile, ScenarioBase
from sizing.scenario_money import TokenPriceFields
from sizing.scenario_words import MEASURED_SERVING, VERSION

WeightFormat = Literal[
    "native", "fp32", "bf16", "fp16", "fp8", "fp8_block", "int8", "int4", "nvfp4", "mxfp4",
    "gguf_q8_0", "gguf_q6_k", "gguf_q5_k_m", "gguf_q4_k_m", "gguf_q4_0", "gguf_iq4_xs", "gguf_q3_k_m", "gguf_q2_k",
]  # fmt: skip
KvFormat = Literal["bf16", "fp16", "fp8", "int8", "fp4"]
LlmRuntime = Literal["vllm", "sglang", "tensorrt_llm", "llama_cpp"]


class LlmScenario(TokenPriceFields, ScenarioBase):
    """A large language model under load."""

    kind: Literal["llm"] = "llm"
    model: CatalogId = Field(
        "llama-3.1-8b", description="Catalog id of the language model; custom with a config.json of your own."
    )
    custom_config: str | None = Field(
        None, max_length=20_000, description="config.json of a model of your own (Hugging Face), as text."
    )
    checkpoint_bytes: int | None = Field(
        None,
        ge=1,
        le=10**14,
        description="Bytes of the weights as a checkpoint's header states them; empty means computed from the shape.",
    )
    weight_format: WeightFormat = Field("native", description="Format of the weights; native is the published one.")
    kv_format: KvFormat = Field("bf16", description="Format of the KV cache.")
    requests_per_s: float | None = Field(
        5.0, gt=0, le=1e7, description="Mean rate of requests [1/s], arriving at random (Poisson)."
    )
    prompt_tokens: int = Field(1000, ge=1, le=10_000_000, description="Mean tokens of a prompt.")
    output_tokens: int = Field(250, ge=1, le=1_000_000, description="Mean tokens of a reply.")
    ttft_target_ms: float | None = Field(
        1000.0, gt=0, le=1e7, description="Limit for time to first token [ms]; empty means none."
    )
    tpot_target_ms: float | None = Field(
        50.0, gt=0, le=1e6, description="Limit for time per output token [ms]; empty means none."
    )
    slo_percentile: Percentile = Field(95, description="Percentile at which the limits must hold.")
    tensor_parallel: int | None = Field(
        None, ge=1, le=128, description="Accelerators that share each layer; empty means search."
    )
    pipeline_parallel: int | None = Field(
        None, ge=1, le=64, description="Groups that share the layers in sequence; empty means search."
    )
    attention_data_parallel: int = Field(
        1, ge=1, le=128, description="Copies of the attention layers, each with its own requests and KV cache."
    )
    expert_parallel: bool = Field(False, description="Whole experts on each accelerator instead of slices of all.")
    max_accelerators_per_replica: int = Field(
        16, ge=1, le=128, description="Largest product of the degrees of parallelism searched."
    )
    runtime: LlmRuntime = Field("vllm", description="Serving engine.")
    engine_version: str | None = Field(
        None,
        pattern=VERSION,
        description="Version of the engine, such as 0.18; empty means the newest known here.",
    )
    batch: int | None = Field(
        None, ge=1, le=4096, description="Most sequences decoded together in a replica; empty means search."
    )
    gpu_memory_utilization: float = Field(
        0.9, ge=0.1, le=0.99, description="Share of accelerator memory the engine may use."
    )
    max_batched_tokens: int = Field(8192, ge=128, le=1_000_000, description="Token budget of one engine step.")
    max_sequences: int | None = Field(
        None, ge=1, le=65_536, description="Most sequences the engine sets room aside for; empty means its default."
    )
    prefix_cache_tokens: int = Field(
        0, ge=0, le=1_000_000_000, description="Tokens of shared prefixes kept in the KV cache of a replica."
    )
    lora_adapters: int = Field(0, ge=0, le=1000, description="LoRA adapters kept on the accelerator beside the base.")
    lora_rank: int = Field(16, ge=1, le=512, description="Rank of the adapters.")
    draft_model: CatalogId | None = Field(
        None, description="Catalog id of a draft model for speculative decoding; mtp means the model's own block."
    )
    drafted_tokens: int = Field(3, ge=1, le=64, description="Tokens drafted before each pass, with a draft model.")
    draft_acceptance: float = Field(
        0.7, ge=0, le=1, description="Chance that a drafted token is accepted, those before it being accepted."
    )
    shared_prefix_tokens: int = Field(
        0, ge=0, le=10_000_000, description="Tokens at the start of every prompt that all share: instructions, tools."
    )
    turns_per_conversation: float = Field(
        1.0, ge=1, le=1000, description="Requests of a conversation, each with the earlier turns in its prompt."
    )
    seconds_between_turns: float = Field(
        30.0, ge=0, le=86_400, description="Time from a reply to the next turn of its conversation [s]."
    )
    history_kept_share: float = Field(
        1.0, ge=0, le=1, description="Share of earlier turns still in the prefix cache when the next turn comes."
    )
    kv_offload_gib: float = Field(
        0.0,
        ge=0,
        le=100_000,
        description="Host memory of a replica that keeps KV cache of waiting conversations [GiB].",
    )
    prompt_cv: float = Field(0.0, ge=0, le=5, description="Spread of prompt lengths (std / mean).")
    output_cv: float = Field(0.0, ge=0, le=5, description="Spread of reply lengths (std / mean).")
    arrival_squared_cv: float = Field(
        1.0, ge=0.1, le=100, description="Burstiness: squared CV of the gaps between requests; 1 is Poisson."
    )
    measured_serving: str | None = Field(
        None,
        pattern=MEASURED_SERVING,
        max_length=1000,
        description="Runs measured on a server of your own (TTFT, TPOT) and its memory, with what they are of; they recalibrate it.",
    )
