"""Architectures of the catalog's rows: they count what others counted, and say the same as the flat fields."""

from __future__ import annotations

import pytest

from sizing.catalog import load
from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.llm.rows import FORMULA_MARK, architecture_of, from_fields

CATALOG = load()
ROWS = list(CATALOG.llm_models.values())
COUNTED = [row.id for row in ROWS if row.params_total is not None]
BOTH = [row.id for row in ROWS if row.config_json is not None and row.count_check.startswith(FORMULA_MARK)]


def test_all_rows_that_somebody_counted_have_a_shape() -> None:
    assert len(COUNTED) == 118
    assert {row.id for row in ROWS} - set(COUNTED) == {"kimi-k3", "step-3.7-flash", "llama-3_3-nemotron-super-49b-v1"}


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_match_to_the_last(name: str) -> None:
    row = CATALOG.llm_model(name)
    shape = architecture_of(row)
    assert shape.parameters == row.params_total == sum(shape.by_group().values())
    assert shape.by_group()["experts"] == (row.params_expert_total or 0)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_caches_say_what_the_flat_fields_say(row: LlmModel) -> None:
    shape = architecture_of(row)
    caches = [shape.kinds[i].cache for i in shape.order]
    full = sum(c.heads * (c.key_width + c.value_width) for c in caches if c.kind == "kv")
    full += sum(c.key_width for c in caches if c.kind == "latent")
    sliding = sum(c.heads * (c.key_width + c.value_width) for c in caches if c.kind in ("window", "chunk"))
    state = sum(c.conv_elements + c.state_elements for c in caches)
    said = (row.layers, row.vocab, row.tied_embeddings)
    assert (shape.layers, shape.vocab, shape.tied_embeddings) == said
    if row.kv_elems_per_token_full is not None:
        assert full == row.kv_elems_per_token_full
    if row.kv_elems_per_token_sliding is not None:
        assert sliding == row.kv_elems_per_token_sliding
    assert (state or None) == row.state_elems_per_seq


@pytest.mark.parametrize("name", BOTH)
def test_config_and_flat_fields_agree(name: str) -> None:
    row = CATALOG.llm_model(name)
    config, flat = architecture_of(row), from_fields(row)
    assert (config.order, config.before, config.after) == (flat.order, flat.before, flat.after)
    assert config.kinds == flat.kinds
    assert config.extras


# Hub totals with the parts beside the text stack (facts collected 2026-11-22), repeated embedding and head taken off.
EXTRAS = {
    "qwen3-next-80b-a3b-instruct": (81_324_862_720, "multi_token_prediction", 0),
    "glm-4.5": (358_337_791_296, "multi_token_prediction", 2 * 151_552 * 5120 + 160),
    "glm-4.5-air": (110_468_824_832, "multi_token_prediction", 2 * 151_552 * 4096 + 128),
    "gemma-3-27b-it": (27_432_406_640, "vision_tower", 0),
    "gemma-3-12b-it": (12_187_325_040, "vision_tower", 0),
    "llama-4-scout-17b-16e-instruct": (108_641_793_536, "vision_tower", 0),
}


@pytest.mark.parametrize("name", EXTRAS)
def test_parts_beside_the_text_stack_make_the_hub_total(name: str) -> None:
    total, part, repeated = EXTRAS[name]
    shape = architecture_of(CATALOG.llm_model(name))
    extra = next(e for e in shape.extras if e.name == part)
    buffers = shape.counts[-1] * shape.experts if name.startswith("glm") else 0
    stored = shape.parameters + extra.parameters + repeated + buffers
    assert stored == total


def test_a_row_whose_shape_is_not_known_is_refused_by_name() -> None:
    row = CATALOG.llm_model("kimi-k3").model_copy(update={"config_json": None})
    with pytest.raises(InputError, match="kimi-k3"):
        architecture_of(row)


def test_what_nobody_counted_says_so() -> None:
    assert architecture_of(CATALOG.llm_model("kimi-k3")).caveats
    assert architecture_of(CATALOG.llm_model("step-3.7-flash")).caveats
    assert round(architecture_of(CATALOG.llm_model("llama-3_3-nemotron-super-49b-v1")).parameters / 1e9, 1) == 49.9
