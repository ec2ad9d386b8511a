"""How many parameters a language model has, by named group: sums over its architecture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.llm.rows import architecture_of


@dataclass(frozen=True)
class ParameterGroups:
    """Parameters [count] by group."""

    embedding: int = 0
    attention: int = 0
    attention_replicated: int = 0  # matrices of attention that every tensor-parallel rank keeps whole
    mixer: int = 0
    dense_ffn: int = 0
    experts: int = 0
    shared_experts: int = 0
    router: int = 0
    norms: int = 0
    head: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """Parameters in all [count]: the sum of the groups."""
        return sum(self.named().values())

    def named(self) -> dict[str, int]:
        """Groups by name [count]."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def has_formula(model: LlmModel) -> bool:
    """Whether the model's shape is known, so that its parameters are a sum over its tensors."""
    try:
        architecture_of(model)
    except InputError:
        return False
    return True


def parameter_count(model: LlmModel) -> int | None:
    """Parameters by the sum over tensors [count], or None where the shape is not known.

    Total = embedding + sum over layers of rows x columns x copies + final norm + head.

    Source: the published model code of each family; compared with transformers 5.23.0 on the meta device.

    >>> from sizing.catalog import load
    >>> parameter_count(load().llm_model("llama-2-7b-hf"))
    6738415616
    """
    return architecture_of(model).parameters if has_formula(model) else None


@lru_cache(maxsize=256)
def parameter_groups(model: LlmModel) -> ParameterGroups:
    """Parameters by group [count]: sums of rows x columns x copies over the tensors of each.

    Raises InputError for a model whose shape is not known.

    Source: see `parameter_count`.

    >>> from sizing.catalog import load
    >>> parameter_groups(load().llm_model("llama-2-7b-hf")).head
    131072000
    """
    shape = architecture_of(model)
    found: dict[str, int] = {str(group): count for group, count in shape.by_group().items()}
    replicated = sum(t.parameters * n for t, n in shape.tensors() if t.group == "attention" and t.shard == "replicated")
    found["attention"] -= replicated
    return ParameterGroups(attention_replicated=replicated, **found)


def active_matmul_parameters(model: LlmModel) -> tuple[float, float]:
    """Parameters that multiply each token [count]: those of the layers, and those of the output head.

    Layers = attention + mixers + dense and shared feed-forward + router + other matrices + experts x (experts per token /
    experts); the input embedding is a lookup, not a product.

    Source: Kaplan et al. 2020, section 2.1 (2 operations per parameter and token), counted per group here.

    >>> from sizing.catalog import load
    >>> layers, head = active_matmul_parameters(load().llm_model("mixtral-8x7b-v0.1"))
    >>> round(layers / 1e9, 2), head
    (12.62, 131072000)
    """
    groups, shape = parameter_groups(model), architecture_of(model)
    share = shape.experts_per_token / shape.experts if shape.experts else 0.0
    whole = groups.attention + groups.attention_replicated + groups.mixer + groups.dense_ffn
    whole += groups.shared_experts + groups.router + groups.other
    return whole + share * groups.experts, groups.head or model.vocab * model.hidden


def expert_parameters(model: LlmModel) -> float:
    """Parameters of routed experts that multiply each token [count]: experts x experts per token / experts."""
    shape = architecture_of(model)
    return parameter_groups(model).experts * shape.experts_per_token / shape.experts if shape.experts else 0.0


def checked_count(catalog: Catalog) -> int:
    """Models whose sum over tensors is compared with an independent count [count]."""
    return sum(has_formula(model) and model.params_total is not None for model in catalog.llm_models.values())


def check(catalog: Catalog) -> list[str]:
    """Sentences on models whose sum over tensors differs from the catalog's `params_total`; empty if all agree."""
    problems = []
    for model in catalog.llm_models.values():
        count = parameter_count(model)
        if count is not None and model.params_total is not None and count != model.params_total:
            problems.append(
                f"llm_models {model.id}: its tensors have {count:,} parameters, params_total is {model.params_total}."
            )
    return problems
