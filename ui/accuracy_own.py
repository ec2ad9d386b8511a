"""Cases of one's own on the accuracy page: a CSV in the columns of `score`, uploaded or pasted, scored here and kept nowhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import streamlit as st

from sizing.accuracy_view import Family
from sizing.errors import InputError
from sizing.score import KINDS, score_with_note
from sizing.score_table import Scored, summary, to_csv
from ui.frame import plain
from ui.results import folded

TITLE, KEY = "Bring your own measurements (CSV)", "accuracy-own"
ROWS = "accuracy-own:rows"
MOST_BYTES, MOST_ROWS = 2_000_000, 5_000
FAMILY_OF: dict[str, Family] = {
    "llm-memory": "llm_memory", "llm-serving": "llm", "llm-throughput": "llm", "dl-throughput": "deep_learning",
    "dl-curves": "deep_learning", "queues": "queues", "statistical": "statistical",
}  # fmt: skip
KIND_WORDS = {
    "llm-serving": "Language models: TTFT and TPOT of a server",
    "llm-throughput": "Language models: throughput, time of a batch",
    "llm-memory": "Language models: memory at start-up",
    "dl-curves": "Deep learning: latency by batch",
    "dl-throughput": "Deep learning: throughput",
    "statistical": "Statistical: time of a call",
    "queues": "Queues: waits and times in system",
}
TEMPLATES: dict[str, dict[str, str]] = {
    "llm-serving": {"engine": "vllm", "model": "llama-3.1-8b", "accelerator": "h100-sxm-80gb", "weight_format": "bf16", "tp": "1",
                    "isl": "1000", "osl": "200", "concurrency": "32", "ttft_ms": "250", "tpot_ms": "11"},
    "llm-throughput": {"engine": "vllm", "model": "llama-3.1-8b", "accelerator": "h100-sxm-80gb", "accelerator_count": "1", "tp": "1",
                       "pp": "1", "weight_format": "bf16", "isl": "128", "osl": "128", "concurrency": "max",
                       "metric": "output_tokens_per_s", "value": "9000"},
    "llm-memory": {"engine": "vllm", "engine_version": "0.19.0", "model": "llama-3.1-8b", "accelerator": "h100-sxm-80gb",
                   "weight_format": "bf16", "kv_format": "bf16", "tp": "1", "pp": "1", "expert_parallel": "false",
                   "max_model_len": "8192", "gpu_memory_utilization": "0.9", "weights_gib": "14.99", "kv_cache_tokens": "430000"},
    "dl-throughput": {"model": "resnet50", "accelerator": "rtx-4090", "precision": "amp", "framework": "PyTorch 2.4 eager",
                      "img_size": "224", "batch_size": "256", "samples_per_sec": "3500", "param_count_m": "25.56", "gmacs": "4.11",
                      "macts": "11.11"},
    "dl-curves": {"model": "resnet50", "accelerator": "a100-sxm-80gb", "runtime": "Triton/TensorRT", "precision": "FP16", "batch": "8",
                  "concurrency": "1", "latency_ms": "3.1", "samples_per_s": "2580"},
    "statistical": {"model_family": "xgboost", "library": "xgboost", "runtime": "native", "n_features": "20", "n_estimators": "500",
                    "max_depth": "6", "batch": "1", "median_us": "700", "cpu_model": "AMD EPYC", "model_id": "mine"},
    "queues": {"c": "4", "rho": "0.7", "service_cv": "0.5", "metric": "p95_sojourn", "value": "2.1"},
}  # fmt: skip
"""One row of each kind as an example, its figures invented."""

Show = Callable[[Family, str], None]


def template(kind: str) -> str:
    """A CSV with the columns of a kind and one row, to be replaced."""
    row = {"id": "example", **TEMPLATES[kind]}
    columns = (*KINDS[kind].columns, *(name for name in TEMPLATES[kind] if name not in KINDS[kind].columns))
    return f"{','.join(columns)}\n{','.join(row.get(name, '') for name in columns)}\n"


def scored(kind: str, data: bytes) -> tuple[tuple[Scored, ...], str]:
    """Cases of a CSV beside their predictions, and the kind's note on them all.

    Raises InputError for more than 2 MB or 5,000 rows, for bytes that are no text, and as `sizing.score` does.
    """
    if len(data) > MOST_BYTES:
        raise InputError("file", f"{len(data):,} bytes", f"at most {MOST_BYTES:,} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("file", "bytes that are not text", "a CSV file in UTF-8") from None
    rows = text.rstrip().count("\n")
    if rows > MOST_ROWS:
        raise InputError("file", f"{rows:,} rows", f"at most {MOST_ROWS:,} rows")
    found, note = score_with_note(kind, text)
    return tuple(found), note


@lru_cache(maxsize=2)
def _scored_once(kind: str, data: bytes) -> tuple[tuple[Scored, ...], str]:
    return scored(kind, data)


def own_cases(quantity: str, show: Show) -> tuple[Scored, ...]:
    """The folded section; returns the cases scored in this session. `show` opens the family and quantity they are of."""
    folded(TITLE, KEY, lambda: _draw(quantity, show))
    found: tuple[Scored, ...] = st.session_state.get(ROWS, ())
    return found


def _draw(quantity: str, show: Show) -> None:
    st.caption(
        "The columns are those of the command `python -m sizing score`. The file is scored in this session only: it is neither stored on the "
        "server nor put into the link. Result files of vLLM, SGLang, GuideLLM and AIPerf go to “Your own measurements” on the LLM page, "
        "which also recalibrates the answer."
    )
    kind = st.selectbox(
        "What was measured", list(KIND_WORDS), format_func=KIND_WORDS.__getitem__, key="accuracy-own:kind"
    )
    st.download_button(
        "Download a template with these columns", template(kind), f"{kind}.csv", "text/csv", icon=":material/download:",
        on_click="ignore",
    )  # fmt: skip
    file = st.file_uploader(
        f"Your CSV (at most 2 MB and {MOST_ROWS:,} rows)",
        type=["csv"],
        key="accuracy-own:file",
        max_upload_size=MOST_BYTES // 1_000_000,
    )
    pasted = st.text_area(
        "or paste it here, header first", key="accuracy-own:pasted", max_chars=MOST_BYTES // 10, height=90
    )
    data = file.getvalue() if file is not None else pasted.strip().encode()
    st.session_state[ROWS] = ()
    if not data:
        return
    try:
        rows, note = _scored_once(kind, data)
    except InputError as error:
        st.markdown(f":red[{plain(str(error))}]")
        return
    st.session_state[ROWS] = rows
    _result(kind, rows, note, quantity, show)


def _result(kind: str, rows: tuple[Scored, ...], note: str, quantity: str, show: Show) -> None:
    names = [name for name in dict.fromkeys(row.quantity.split(",")[0] for row in rows) if name]
    st.code(summary(rows) + note, language=None)
    if quantity in names:
        st.caption("Yours are the stars in the chart above.")
    elif names:
        st.button("Show mine in the chart", key="accuracy-own:show", on_click=show, args=(FAMILY_OF[kind], names[0]))
    st.download_button(
        "Each row with its prediction (CSV)", to_csv(rows), f"{kind}-scored.csv", "text/csv", icon=":material/download:",
        on_click="ignore",
    )  # fmt: skip
