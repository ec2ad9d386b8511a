"""How many parameters a language model has, by named group, from the fields of its catalog row."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.errors import InputError

FORMULA_MARK = "formula=="
"""How `count_check` of a row begins when the formula of this module was compared with an independent count."""


@dataclass(frozen=True)
class ParameterGroups:
    """Parameters [count] by group; `other` holds what a row without a formula does not let us split."""

    embedding: int = 0
    attention: int = 0
    attention_replicated: int = 0  # MLA down-projections: every tensor-parallel rank keeps them whole
    dense_ffn: int = 0
    experts: int = 0
    shared_experts: int = 0
    router: int = 0
    norms: int = 0
    head: int = 0
    other: int = 0
    from_formula: bool = True

    @property
    def total(self) -> int:
        """Parameters in all [count]: the sum of the groups."""
        return sum(self.named().values())

    def named(self) -> dict[str, int]:
        """Groups by name [count]."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "from_formula"}


def has_formula(model: LlmModel) -> bool:
    """Whether the formula covers this architecture and has been compared with an independent count."""
    return model.count_check.startswith(FORMULA_MARK)


def parameter_count(model: LlmModel) -> int | None:
    """Parameters by the formula [count], or None where no formula applies.

    Total = embedding + layers x (attention + feed-forward + norms) + final norm + head.

    Source: the published model code of each family; compared with transformers 5.23.0 on the meta device, 96 rows.

    >>> from sizing.catalog import load
    >>> parameter_count(load().llm_model("llama-2-7b-hf"))
    6738415616
    """
    return formula_groups(model).total if has_formula(model) else None


@lru_cache(maxsize=256)
def parameter_groups(model: LlmModel) -> ParameterGroups:
    """Parameters by group [count]: by formula where one applies, else split as far as the catalog knows.

    Rows without a formula: embedding, head, experts, MLA down-projections and the rest, whose sum is the catalog's
    `params_total`.
    Raises InputError for a model whose parameters nobody has counted.

    Source: see `parameter_count`; catalog row otherwise.

    >>> from sizing.catalog import load
    >>> parameter_groups(load().llm_model("llama-2-7b-hf")).head
    131072000
    """
    if has_formula(model):
        return formula_groups(model)
    if model.params_total is None:
        raise InputError(
            "model", model.id, "a model whose parameters are counted; the catalog has no count for this one"
        )
    embedding = model.params_embedding or model.vocab * model.hidden
    head = 0 if model.tied_embeddings else model.vocab * model.hidden
    experts = model.params_expert_total or 0
    replicated = 0 if model.kv_lora_rank is None else model.n_full_attn_layers * _attention(model)[1]
    rest = model.params_total - embedding - head - experts - replicated
    return ParameterGroups(
        embedding=embedding,
        head=head,
        experts=experts,
        attention_replicated=replicated,
        other=rest,
        from_formula=False,
    )


def formula_groups(model: LlmModel) -> ParameterGroups:
    """Parameters by group [count] from layer shapes alone. Source: see `parameter_count`."""
    hidden, layers = model.hidden, model.layers
    norm_width = hidden * (2 if model.norm == "ln+bias" else 1)
    attention, replicated, attention_norms = _attention(model)
    extra_norms = norm_width if model.model_type == "bloom" else 0  # BLOOM normalises its embedding
    moe_ffn = model.moe_ffn or 0
    experts_a_layer = (model.experts or 0) * _ffn(hidden, moe_ffn, gated=True, bias=model.router_bias)
    return ParameterGroups(
        embedding=(model.vocab + (model.learned_positions or 0)) * hidden,
        attention=layers * attention,
        attention_replicated=layers * replicated,
        dense_ffn=model.dense_layers * _ffn(hidden, model.ffn or 0, gated=bool(model.ffn_gated), bias=model.mlp_bias),
        experts=model.moe_layers * experts_a_layer,
        shared_experts=model.moe_layers * _ffn(hidden, model.shared_ffn or 0, gated=True, bias=False),
        router=model.moe_layers * (model.experts or 0) * (hidden + (1 if model.router_bias else 0)),
        norms=layers * ((model.norms_per_layer or 0) * norm_width + attention_norms) + norm_width + extra_norms,
        head=0 if model.tied_embeddings else model.vocab * (hidden + (1 if model.lm_head_bias else 0)),
    )


def _ffn(hidden: int, width: int, *, gated: bool, bias: bool) -> int:
    """Parameters of one feed-forward block: two matrices, three when gated, and their biases."""
    if width == 0:
        return 0
    into = 2 if gated else 1
    return (into + 1) * hidden * width + (into * width + hidden if bias else 0)


def _attention(model: LlmModel) -> tuple[int, int, int]:
    """Parameters of one layer's attention: sharded by tensor parallel, replicated, and norms inside attention."""
    hidden, heads = model.hidden, model.heads or 0
    if model.kv_lora_rank is not None:
        rope, nope = model.qk_rope_head_dim or 0, model.qk_nope_head_dim or 0
        value = model.v_head_dim or 0
        down = hidden * (model.kv_lora_rank + rope)
        up = model.kv_lora_rank * heads * (nope + value) + heads * value * hidden
        if model.q_lora_rank is None:
            return up + hidden * heads * (nope + rope), down, model.kv_lora_rank
        up += model.q_lora_rank * heads * (nope + rope)
        return up, down + hidden * model.q_lora_rank, model.kv_lora_rank + model.q_lora_rank
    head_dim, kv_heads = model.head_dim or 0, model.kv_heads or 0
    query, key_value = heads * head_dim, 2 * kv_heads * head_dim
    count = hidden * (query + key_value) + query * hidden
    count += (query + key_value if model.qkv_bias else 0) + (hidden if model.o_bias else 0)
    count += heads if model.attn_sinks else 0
    norms = {"per_head": 2 * head_dim, "full": query + key_value // 2}.get(model.qk_norm or "", 0)
    return count, 0, norms


def active_matmul_parameters(model: LlmModel) -> tuple[float, float]:
    """Parameters that multiply each token [count]: those of the layers, and those of the output head.

    Layers = attention + dense and shared feed-forward + router + experts x (experts per token / experts); the input
    embedding is a lookup, not a product. Rows without a formula: catalog `params_active` less embeddings.

    Source: Kaplan et al. 2020, section 2.1 (2 operations per parameter and token), counted per group here.

    >>> from sizing.catalog import load
    >>> layers, head = active_matmul_parameters(load().llm_model("mixtral-8x7b-v0.1"))
    >>> round(layers / 1e9, 2), head
    (12.62, 131072000)
    """
    groups = parameter_groups(model)
    head = groups.head or model.vocab * model.hidden
    share = 0.0 if not model.experts else (model.experts_per_token or 0) / model.experts
    if groups.from_formula:
        dense = (
            groups.attention + groups.attention_replicated + groups.dense_ffn + groups.shared_experts + groups.router
        )
        return dense + share * groups.experts, head
    if model.params_active is not None:
        return float(model.params_active - groups.embedding - groups.head), head
    return groups.other + share * groups.experts, head


def checked_count(catalog: Catalog) -> int:
    """Models whose count the formula covers [count]."""
    return sum(has_formula(model) for model in catalog.llm_models.values())


def check(catalog: Catalog) -> list[str]:
    """Sentences on models whose count by formula differs from the catalog's `params_total`; empty if all agree."""
    problems = []
    for model in catalog.llm_models.values():
        count = parameter_count(model)
        if count is not None and count != model.params_total:
            problems.append(
                f"llm_models {model.id}: the formula counts {count:,} parameters, params_total is {model.params_total}."
            )
    return problems
