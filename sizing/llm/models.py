"""The model that a scenario names: a row of the catalog, or a row made from a config.json that travels in the scenario."""

from __future__ import annotations

from functools import lru_cache

from sizing.catalog import Catalog, load
from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.llm.config import ParsedConfig, parse_config
from sizing.llm.parameters import has_formula
from sizing.scenario import LlmScenario

CUSTOM = "custom"
"""Model id of a scenario whose shape is that of its own config.json."""
OWN_BLOCK = "mtp"
"""Draft model id that means the model's own block for multi-token prediction."""


@lru_cache(maxsize=16)
def parsed(config: str) -> ParsedConfig:
    """Facts of a config.json given as text. Raises InputError as `parse_config`."""
    return parse_config(config)


def model_of(scenario: LlmScenario, catalog: Catalog) -> LlmModel:
    """The language model of a scenario.

    Raises InputError for an unknown id, or for a config.json that is missing, not wanted or not understood.
    """
    if scenario.custom_config is not None:
        if scenario.model != CUSTOM:
            raise InputError("model", scenario.model, f"{CUSTOM}, as the scenario carries a config.json of its own")
        return parsed(scenario.custom_config).model
    if scenario.model == CUSTOM:
        raise InputError("custom_config", None, "the config.json of the model, as the model is custom")
    return _with_shape(catalog.llm_model(scenario.model))


@lru_cache(maxsize=256)
def _with_shape(row: LlmModel) -> LlmModel:
    """The row; one of an older catalog that lacks its config borrows that of the present catalog, so that a link made
    before goes on answering. The same count of parameters says that it is the same model."""
    if row.config_json is not None or has_formula(row):
        return row
    present = load().llm_models.get(row.id)
    if present is None or present.config_json is None or present.params_total != row.params_total:
        return row
    return row.model_copy(update={"config_json": present.config_json})


def draft_of(scenario: LlmScenario, catalog: Catalog) -> LlmModel | None:
    """The draft model of a scenario; None without one and for the model's own block.

    Raises InputError for an unknown id, or for a draft whose vocabulary is not that of the model.
    """
    name = scenario.draft_model
    if name is None or name == OWN_BLOCK:
        return None
    if name not in catalog.llm_models:
        raise InputError("draft_model", name, "the id of a language model of the catalog, or mtp")
    draft, vocabulary = catalog.llm_models[name], model_of(scenario, catalog).vocab
    if draft.vocab != vocabulary:
        words = f"a model of the same vocabulary ({vocabulary:,} entries); {name} has {draft.vocab:,}"
        raise InputError("draft_model", name, words)
    return _with_shape(draft)
