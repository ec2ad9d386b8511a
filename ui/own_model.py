"""A model of the reader's own: a config.json pasted or uploaded, or the header of a checkpoint, read and taken into the scenario.

An upload or a paste is applied once, when it changes; what it said travels in the scenario, so a link needs no upload.
Text of a file is shown as it stands, never as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

import streamlit as st

from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.inspect import CONFIG, ONNX, Inspection, inspect_file, inspection_text
from sizing.llm.checkpoint import GGUF
from sizing.llm.config import parse_config
from sizing.llm.models import CUSTOM, model_of, parsed
from sizing.llm.rows import architecture_of
from sizing.llm.sharding import checkpoint_weights_bytes
from sizing.scenario import LlmScenario, choices
from sizing.scenario_llm import WeightFormat
from sizing.units import format_bytes
from ui.frame import plain
from ui.inputs import Inputs, words
from ui.results import facts
from ui.state import PageState, adopt, set_fields, widget_key

FILE, TEXT, READ, BEFORE = (widget_key("llm", name) for name in ("own_file", "own_text", "own_read", "catalog_model"))
ENDINGS = ["json", "safetensors", "gguf"]
PASTED = "pasted text"
MATCH = 0.03
"""Relative difference of parameters up to which a checkpoint is taken for the model's own [1]: buffers and rounding of
what files count differ by less, two sizes of one family by more. A rule of this page."""
MOST_BITS, LEAST_BITS = 33.0, 1.5
"""Bits a parameter that a whole checkpoint can have: fp32 with a little beside it, and the densest quantisation (bit)."""
NEAR_NATIVE = 0.05
"""Relative difference of bytes up to which a checkpoint has the model's published format [1]. A rule of this page."""
FORMAT_OF_DTYPE: dict[str, WeightFormat] = {
    "F32": "fp32", "BF16": "bf16", "F16": "fp16", "F8_E4M3": "fp8", "I8": "int8", "I32": "int4",
}  # fmt: skip
GGUF_BITS: dict[WeightFormat, float] = {
    "bf16": 16, "gguf_q8_0": 8.5, "gguf_q6_k": 6.56, "gguf_q5_k_m": 5.7, "gguf_q4_k_m": 4.89, "gguf_q4_0": 4.65,
    "gguf_iq4_xs": 4.46, "gguf_q3_k_m": 4.0, "gguf_q2_k": 3.16,
}  # fmt: skip
"""Bits a parameter of GGUF files (bit). Source: table of the llama.cpp quantize tool for Llama-3.1-8B (2025); it serves
only to pick the nearest format of a file whose type has no format here."""


@dataclass(frozen=True)
class Read:
    """What was read last: its facts, what was made of it, or the sentence that says why it cannot be used."""

    problem: str | None = None
    done: tuple[str, ...] = ()
    found: Inspection | None = None
    config: str | None = None
    not_understood: tuple[str, ...] = ()


def own_model(inputs: Inputs) -> None:
    """The closed section for a model of one's own, and the fields it sets."""
    own = inputs.values["model"] == CUSTOM
    present = st.session_state.get(widget_key("llm", "custom_config"))
    inputs.values["custom_config"] = present if own else None
    stated = inputs.scenario.checkpoint_bytes
    shown = {
        "model": parsed(present).model.hf_id if own and present else "none",
        "bytes": f"weights {format_bytes(stated)} by a checkpoint's header" if stated else "",
    }

    def draw() -> None:
        st.file_uploader(
            "config.json, index or checkpoint",
            type=ENDINGS,
            key=FILE,
            on_change=_take_file,
            help="config.json, model.safetensors.index.json, .safetensors or .gguf. Of a large file its first megabytes "
            "are enough: only the header is read, never the weights.",
        )
        st.text_area(
            "Or paste a config.json",
            key=TEXT,
            on_change=_take_text,
            height=100,
            placeholder='{"model_type": "llama", ...}',
        )
        read: Read = st.session_state.get(READ, Read())
        if read.problem is not None:
            st.markdown(f":red[{plain(read.problem)}]")
        inputs.number("checkpoint_bytes", placeholder="computed from the shape")
        _show(inputs, read, present if own else None)

    inputs.section("Your own model", shown, draw)


def own_label(config: str) -> str:
    """What the list of models calls the one of this config.json: its repository, or its family and size."""
    name = parsed(config).model.hf_id
    return f"your own: {name}" if "/" in name else name


def catalog_model(state: PageState) -> str:
    """The catalog model that was looked at before one's own."""
    before = st.session_state.get(BEFORE)
    return before if before in state.catalog.llm_models else LlmScenario.model_fields["model"].default


def forget_checkpoint() -> None:
    """A checkpoint's bytes are those of one model in one format: another choice is computed anew (a control's callback)."""
    state: PageState = st.session_state["page:llm"]
    state.scenario = state.scenario.model_copy(update={"checkpoint_bytes": None})
    st.session_state[widget_key("llm", "checkpoint_bytes")] = None


def _take_text() -> None:
    text = st.session_state.get(TEXT, "")
    if text.strip():
        _take(text.encode(), PASTED)
    else:
        st.session_state[READ] = Read()


def _take_file() -> None:
    file = st.session_state.get(FILE)
    if file is None:
        st.session_state[READ] = Read()
    else:
        _take(file, file.name)


def _take(source: bytes | BinaryIO, name: str) -> None:
    """Read a file or a text and change the scenario by it; if that cannot be, say so and change nothing."""
    state: PageState = st.session_state["page:llm"]
    try:
        found = inspect_file(source, name=name)
        if found.format == ONNX:
            raise InputError(
                "file", "an ONNX file", "a config.json or a checkpoint; ONNX is read on the deep learning page"
            )
        if found.format == CONFIG:
            text = source if isinstance(source, bytes) else source.getvalue()  # type: ignore[attr-defined]
            st.session_state[READ] = _take_config(state, text)
        else:
            st.session_state[READ] = _take_checkpoint(state, found)
    except InputError as error:
        st.session_state[READ] = Read(problem=str(error))


def _take_config(state: PageState, text: bytes) -> Read:
    read = parse_config(text)
    config = read.model.config_json
    changes = {"model": CUSTOM, "custom_config": config, "checkpoint_bytes": None, "weight_format": "native"}
    before = state.scenario.model
    refused = adopt(state, changes, keep=changes)
    if before != CUSTOM:
        st.session_state[BEFORE] = before
    done = [f"This answer is of the model that was read, {read.architecture.parameters:,} parameters."]
    done += [f"Set to its usual value: {error}" for error in refused]
    return Read(done=tuple(done), config=config, not_understood=read.not_understood)


def _take_checkpoint(state: PageState, found: Inspection) -> Read:
    changes = checkpoint_changes(found, state.scenario, state.catalog)
    refused = adopt(state, changes, keep=("model", "custom_config", *changes))
    name = model_of(state.scenario, state.catalog).name
    done = [f"The weights of {name} are taken as {format_bytes(found.weights_bytes)}, as the file states them."]
    if "runtime" in changes:
        done.append(f"Engine and format follow the file: llama.cpp, {words(changes['weight_format'])}.")
    done += [f"Set to its usual value: {error}" for error in refused]
    return Read(done=tuple(done), found=found)


def checkpoint_changes(found: Inspection, scenario: LlmScenario, catalog: Catalog) -> dict[str, Any]:
    """Fields that a checkpoint's header sets. Raises InputError where it is not one of the scenario's model."""
    model, size = model_of(scenario, catalog), found.weights_bytes
    if not size:
        raise InputError("file", "a header without a size", "a header that states how large the weights are")
    _check_belongs(found, size, model)
    if found.format == GGUF:
        named = f"gguf_{str(found.details['file_type']).lower()}"
        formats = choices(LlmScenario, "weight_format")
        return {
            "checkpoint_bytes": size,
            "runtime": "llama_cpp",
            "weight_format": named if named in formats else _nearest_gguf(found),
        }
    try:
        native = checkpoint_weights_bytes(model, "native")
    except InputError:
        native = 0.0
    dtypes = found.details["bytes_by_dtype"]
    main = max(dtypes, key=lambda dtype: dtypes[dtype], default="")
    if abs(size - native) <= NEAR_NATIVE * size or main not in FORMAT_OF_DTYPE:
        return {"checkpoint_bytes": size, "weight_format": "native"}
    return {"checkpoint_bytes": size, "weight_format": FORMAT_OF_DTYPE[main]}


def _nearest_gguf(found: Inspection) -> WeightFormat:
    bits = found.details["bits_per_weight"] or 16.0
    return min(GGUF_BITS, key=lambda name: abs(GGUF_BITS[name] - bits))


def _check_belongs(found: Inspection, size_bytes: int, model: LlmModel) -> None:
    """Raises InputError where the parameters, or with those unknown the bytes, are not of this model."""
    shape = architecture_of(model)
    least = shape.parameters
    twice = shape.by_group()["embedding"] if shape.tied_embeddings else 0
    most = least + twice + sum(part.parameters for part in shape.extras)
    allowed = f"a whole checkpoint of the chosen model, {model.name} with {least:,} parameters; choose its model first"
    if found.parameters is not None:
        if not least * (1 - MATCH) <= found.parameters <= most * (1 + MATCH):
            raise InputError("file", f"{found.parameters:,} parameters", allowed)
    elif not LEAST_BITS <= 8 * size_bytes / least <= MOST_BITS:
        raise InputError("file", format_bytes(size_bytes), allowed)


def _show(inputs: Inputs, read: Read, config: str | None) -> None:
    """What was read of a file or of the config.json in use, and the way back."""
    current = read.found is not None or (config is not None and read.config == config)
    for sentence in read.done if current else ():
        st.caption(plain(sentence))
    if read.found is not None:
        facts(_rows(inspection_text(read.found)))
    if config is None:
        return
    facts(_config_rows(config))
    if read.config == config and read.not_understood:
        st.caption(plain(f"Fields of the file that were not understood: {', '.join(read.not_understood)}."))
    back = catalog_model(inputs.state)
    st.button(
        "Use the catalog model",
        on_click=set_fields,
        args=("llm", {"model": back, "custom_config": None, "checkpoint_bytes": None}),
        help=f"Back to {inputs.state.catalog.llm_models[back].name}",
    )


@lru_cache(maxsize=16)
def _config_rows(config: str) -> tuple[tuple[str, str], ...]:
    found = inspect_file(config.encode(), name=CONFIG)
    return tuple(row for row in _rows(inspection_text(found)) if row[0] not in ("format", "file bytes"))


def _rows(text: str) -> list[tuple[str, str]]:
    """Lines such as `layers: 32` as rows; indented ones belong to the line before."""
    rows, parent = [], ""
    for line in text.splitlines():
        name, _, value = line.strip().partition(": ")
        if not line.startswith(" "):
            parent = name.rstrip(":").replace("kv bytes", "KV bytes")
        if value:
            rows.append((f"{parent}, {name}" if line.startswith(" ") else parent, value))
    return rows
