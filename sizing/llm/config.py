"""Reading the `config.json` of a Hugging Face model: its architecture and a row that every other module works with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.llm.architecture import Architecture
from sizing.llm.families import FAMILIES
from sizing.llm.families.fields import Fields
from sizing.llm.families.vision import OTHER_INPUTS, with_vision
from sizing.units import format_parameters

MOST_BYTES = 1_000_000
"""Largest config.json that is read (bytes); published ones stay below 200,000 with their lists of modules."""
MOST_PARAMETERS = 10**14
"""Most parameters taken for a real model (count): fifty times the largest published one of 2026."""
CUSTOM = "custom"
INNER = ("text_config", "llm_config", "language_config")
"""Objects that hold the text stack of a model with other inputs."""
KEPT = ("architectures", "_name_or_path", "dtype", "torch_dtype")
"""Fields without effect on the shape that a row keeps."""
REPOSITORY = re.compile(r"(?=.{3,96}$)[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
"""A `_name_or_path` that names a repository, owner/name, and not a folder such as ./out or /data/model."""
QUANTIZATION = ("quantization_config", "compression_config")
DTYPES = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32", "float8_e4m3fn": "fp8",
}  # fmt: skip
IRRELEVANT = re.compile(
    r"_name_or_path|architectures|auto_map|transformers_version|torch_dtype|dtype|use_cache|.*_token(_id)?|.*_token_ids?"
    r"|.*_index|.*rope.*|rotary.*|.*rotary_.*|.*dropout.*|.*pdrop|.*_eps|.*epsilon|.*initiali[sz]er.*|init_.*|hidden_act.*"
    r"|activation.*|.*_act|.*scal(e|ing).*|.*multiplier.*|.*softcap.*|.*_coef|.*jitter.*|router_.*|scoring_func.*"
    r"|topk_.*|n_group|norm_topk_prob|output_.*|return_.*|pretraining_tp|is_.*decoder|.*2label|label2.*|task_.*|attn_impl.*"
    r"|.*chunk_size.*|problem_type|summary_.*|.*_clip|clip_qkv|swiglu_.*|.*_length|seq_length|generation_.*|language"
    r"|_attn_implementation.*|query_pre_attn_scalar|time_step_.*|attn_temperature.*|floor_scale|attn_factor|.*_alpha_factor"
    r"|.*_beta_factor|use_mamba.*|use_associative_scan|alibi.*|.*template.*|bos.*|eos.*|pad.*|unk.*|sep.*|tie_encoder.*"
    r"|tokenizer_class|model_max_length|use_flash.*|ep_size|aux_loss.*|seq_aux|fused_.*|residual_in_fp32|rescale_.*|_.*"
    r"|num_logits_to_keep|.*cache_dtype|.*ssm_dtype|layer_norm_.*|norm_eps.*|cache_implementation|max_.*|mlp_ratio|silent|add_cross_attention|diversity_penalty|do_sample"
    r"|early_stopping|.*ngram_size|length_penalty|num_beam.*|num_return_sequences|pruned_heads|remove_invalid_values"
    r"|temperature|top_k|top_p|typical_p|tf_legacy_loss|torchscript|use_bfloat16|.*placeholder|min_length|prefix|finetuning_task"
    r"|repetition_penalty|use_unified_vision_chunk|language_model_only|mm_tokens_per_image|vision_soft_tokens.*|use_bidirectional_attention|begin_suppress.*|suppress_.*|bad_words.*|unsloth.*"
)
"""Names of fields that change no shape: tokens, positions, activations, dropout, initial values, generation."""


@dataclass(frozen=True)
class ParsedConfig:
    """What a config.json says. `not_understood` are its fields that were neither used nor known to be without effect."""

    architecture: Architecture
    model: LlmModel
    dtype: str
    quantization: Mapping[str, Any] | None
    not_understood: tuple[str, ...]


def parse_config(text: str | bytes | Mapping[str, Any]) -> ParsedConfig:
    """What a config.json says of a model: its architecture, a catalog row of it, number format and quantisation.

    Raises InputError, one sentence, for what is not JSON, an architecture not read here, or a field that is missing or
    cannot be.

    >>> llama = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    ...          "intermediate_size": 128, "vocab_size": 100}
    >>> parse_config(llama).architecture.parameters
    95040
    """
    if isinstance(text, Mapping):
        return _parse(text)
    return _parse_text(text if isinstance(text, str) else _decoded(text))


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("config.json", "bytes that are not UTF-8", "a JSON file in UTF-8") from None


@lru_cache(maxsize=256)
def _parse_text(text: str) -> ParsedConfig:
    if len(text) > MOST_BYTES:
        raise InputError("config.json", f"{len(text):,} characters", f"a file of at most {MOST_BYTES:,} bytes")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("config.json", text.strip()[:60] or None, "the text of a JSON file") from None
    return _parse(raw)


def _parse(raw: object) -> ParsedConfig:
    if not isinstance(raw, Mapping):
        raise InputError("config.json", type(raw).__name__, "a JSON object with the fields of a model")
    whole = Fields(raw)
    fields = _text_part(whole)
    name = fields.model_type or whole.model_type
    known = name if name in FAMILIES else whole.model_type
    if known not in FAMILIES:
        raise InputError(
            "model_type",
            name or None,
            f"one of the {len(FAMILIES)} architectures read from configs, such as llama or qwen3",
        )
    shape = FAMILIES[known](fields)
    if not shape.model_type:
        shape = replace(shape, model_type=known)
    if shape.parameters > MOST_PARAMETERS:
        raise InputError("config.json", f"{shape.parameters:.3g} parameters", f"at most {MOST_PARAMETERS:.0e} of them")
    shape = with_vision(whole, shape)
    quantization = _quantization(whole, fields)
    return ParsedConfig(
        architecture=shape,
        model=_row(whole, fields, shape, quantization, _name(whole, fields, known, shape.parameters)),
        dtype=_dtype(whole, fields),
        quantization=quantization,
        not_understood=tuple(sorted(_left_over(whole))),
    )


def _text_part(whole: Fields) -> Fields:
    """The object that holds the text stack; what it lacks of ties is taken from the whole."""
    if whole.has("thinker_config"):
        whole = whole.inside("thinker_config")
    for name in INNER:
        if whole.has(name):
            part = whole.inside(name)
            if whole.has("tie_word_embeddings"):
                whole.read.add("tie_word_embeddings")
                if not part.has("tie_word_embeddings"):
                    part.raw = {**part.raw, "tie_word_embeddings": whole.raw["tie_word_embeddings"]}
            return part
    return whole


def _quantization(whole: Fields, fields: Fields) -> Mapping[str, Any] | None:
    for part in (whole, fields):
        for name in QUANTIZATION:
            if part.has(name):
                value = part.inside(name).raw
                return MappingProxyType(dict(value))
    return None


def _dtype(whole: Fields, fields: Fields) -> str:
    """Number format of the tensors that no quantisation covers; without one it is fp32, as transformers takes it, or bf16
    beside a quantisation."""
    for part in (fields, whole):
        for name in ("dtype", "torch_dtype"):
            if part.has(name):
                stated = part.word(name, "").removeprefix("torch.")
                if stated not in DTYPES:
                    raise part.refuse(name, stated, f"one of {', '.join(DTYPES)}")
                return DTYPES[stated]
    return "fp32" if _quantization(whole, fields) is None else "bf16"


def _left_over(fields: Fields) -> Iterator[str]:
    used = fields.read | fields.ignored | set(QUANTIZATION) | set(OTHER_INPUTS)
    for name in fields.raw:
        if name not in used and not IRRELEVANT.fullmatch(name) and fields.raw[name] is not None:
            yield fields.path + name
    for name, parts in fields.parts.items():
        if name not in QUANTIZATION and name not in OTHER_INPUTS:
            for part in parts:
                yield from _left_over(part)


def _trimmed(fields: Fields) -> dict[str, Any]:
    """The fields that were read, so that the row parses to the same again."""
    kept: dict[str, Any] = {}
    for name, value in fields.raw.items():
        if value is None:
            continue
        if name in fields.parts and name not in QUANTIZATION:
            parts = [_trimmed(part) for part in fields.parts[name]]
            kept[name] = parts if isinstance(value, list) else parts[0]
        elif name in OTHER_INPUTS and name not in fields.parts:
            kept[name] = {}
        elif name in fields.read or name in (*QUANTIZATION, *KEPT):
            kept[name] = value
    return kept


def _name(whole: Fields, fields: Fields, family: str, parameters: int) -> str:
    """The repository that the config names; without one the family and the size, which follow from what a row keeps."""
    stated = (part.raw.get("_name_or_path") for part in (whole, fields))
    named = next((name for name in stated if isinstance(name, str) and REPOSITORY.fullmatch(name)), None)
    return named or f"own {family.removesuffix('_text')} model, {format_parameters(parameters)}"


def _row(
    whole: Fields, fields: Fields, shape: Architecture, quantization: Mapping[str, Any] | None, name: str
) -> LlmModel:
    """A catalog row with what the architecture says of the flat fields."""
    groups = shape.by_group()
    caches = [shape.kinds[i].cache for i in shape.order]
    kv = next((c for c in caches if c.heads), None)
    latent = any(c.kind == "latent" for c in caches)
    sliding = [c for c in caches if c.kind in ("window", "chunk")]
    linear = [c for c in caches if c.kind != "compressed" and (c.state_elements or c.conv_elements)]
    with_experts = [any(t.group == "experts" for t in shape.kinds[i].tensors) for i in shape.order]
    share = shape.experts_per_token / shape.experts if shape.experts else 0.0
    architectures = whole.raw.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    return LlmModel(
        id=CUSTOM,
        hf_id=name,
        family=shape.model_type,
        architecture=first if isinstance(first, str) and first else shape.model_type,
        model_type=shape.model_type,
        released="unknown",
        params_total=shape.parameters,
        params_active=shape.parameters - round(groups["experts"] * (1 - share)),
        params_embedding=groups["embedding"],
        params_expert_total=groups["experts"] or None,
        count_check="from config.json",
        layers=shape.layers,
        hidden=shape.hidden,
        heads=shape.heads or None,
        kv_heads=kv.heads if kv else None,
        head_dim=kv.key_width if kv else None,
        v_head_dim=kv.value_width if kv and kv.value_width not in (0, kv.key_width) else None,
        vocab=shape.vocab,
        tied_embeddings=shape.tied_embeddings,
        context_length=shape.context_length,
        attention="latent" if latent else "grouped-query" if kv else "none",
        n_full_attn_layers=sum(c.kind in ("kv", "latent") for c in caches),
        n_sliding_layers=len(sliding),
        sliding_window=max((c.window for c in sliding), default=None),
        n_linear_layers=len(linear),
        state_elems_per_seq=sum(c.conv_elements + c.state_elements for c in caches) or None,
        kv_elems_per_token_full=sum(
            c.heads * (c.key_width + c.value_width) if c.kind == "kv" else c.key_width
            for c in caches
            if c.kind in ("kv", "latent")
        ),
        kv_elems_per_token_sliding=sum(c.heads * (c.key_width + c.value_width) for c in sliding),
        moe_layers=sum(with_experts),
        dense_layers=sum(not x for x in with_experts),
        experts=shape.experts or None,
        experts_per_token=shape.experts_per_token or None,
        qkv_bias=_has(shape, "q_proj.bias"),
        o_bias=_has(shape, "o_proj.bias"),
        mlp_bias=_has(shape, "down_proj.bias"),
        lm_head_bias=_has(shape, "lm_head.bias"),
        attn_sinks=_has(shape, "sinks"),
        router_bias=_has(shape, "router.bias"),
        native_dtype=_dtype(whole, fields),
        quantisation=str(quantization["quant_method"]) if quantization and quantization.get("quant_method") else None,
        licence="unknown",
        gated="unknown",
        config_provenance="config.json",
        config_json=json.dumps(_trimmed(whole), separators=(",", ":"), sort_keys=True),
        source="config.json",
        as_of="undated",
        trust="derived",
    )


def _has(shape: Architecture, name: str) -> bool:
    return any(t.name == name for t, _ in shape.tensors())
