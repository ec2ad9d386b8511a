"""Other engines and formats for the same load: the cheapest plan of each, and a click to take one."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from sizing.catalog import Catalog
from sizing.llm.candidates import RUNTIME_WORDS
from sizing.llm.variants import Variant, variants
from sizing.scenario import LlmScenario
from sizing.units import format_ms, format_usd
from ui.frame import plain
from ui.results import folded, table
from ui.state import set_fields

TITLE = "Other formats and engines"
SHOWN = 10
"""Pairs shown, the cheapest first (count); the present one is always among them."""
QUALITY = (
    "A format with fewer bits can change what the model answers, and by how much depends on the model and the task: "
    "measure quality on your own task before you change it. Nothing here measures it."
)


def draw_variants(scenario: LlmScenario, catalog: Catalog) -> None:
    """The folded section: nothing is searched until its toggle is on."""

    def draw() -> None:
        st.caption(QUALITY)
        if st.toggle("Search every engine and format too (takes under a second with each change)", key="variants:on"):
            _table(scenario, variants(scenario, catalog))

    folded(TITLE, "variants", draw)


def shown_of(found: Sequence[Variant], count: int = SHOWN) -> tuple[Variant, ...]:
    """The first pairs that serve, each weight format with its cheapest KV cache (16 bit where that costs no more), and the
    present pair wherever it stands."""
    once = {(v.runtime, v.weight_format): v for v in reversed(found) if v.holds}
    first = [v for v in found if once.get((v.runtime, v.weight_format)) is v][:count]
    present = [v for v in found if v.is_present and v not in first]
    return tuple(first + present)


def _table(scenario: LlmScenario, found: Sequence[Variant]) -> None:
    serve = [v for v in found if v.holds]
    shown, percentile = shown_of(found), scenario.slo_percentile
    st.markdown(plain(summary(found)))
    columns = ["Engine, weights, KV cache", "Hardware", "USD/hour", "Saves (USD/hour)", f"TTFT p{percentile}",
               f"TPOT p{percentile}", "Binding"]  # fmt: skip
    table(columns, [_row(v) for v in shown])
    with st.container(horizontal=True):
        for position, v in enumerate(shown):
            if v.holds and not v.is_present:
                st.button(
                    plain(f"Use {name_of(v)}"),
                    key=f"variant:{position}",
                    on_click=set_fields,
                    args=("llm", dict(v.changes)),
                )
    rest = [v for v in found if not v.holds]
    if rest:
        said = "; ".join(f"{name_of(v)}: {v.binding}, {v.because}" for v in rest[:SHOWN])
        st.caption(plain(f"{len(rest)} of {len(found)} do not serve. {said}" + ("; ..." if len(rest) > SHOWN else ".")))
    st.caption(f"{len(serve)} of {len(found)} pairs serve; of each weight format the cheapest KV cache is shown.")


def summary(found: Sequence[Variant]) -> str:
    """One sentence: the cheapest pair, and what it saves."""
    serve = [v for v in found if v.holds]
    if not serve:
        return f"None of {len(found)} pairs of engine and format serves this under these rules."
    best, present = serve[0], next(v for v in found if v.is_present)
    if present.holds and not (best.saving_usd_per_hour or 0.0) > 0:
        return f"None of {len(found)} pairs of engine and format costs less than the present one."
    first = f"Of {len(found)} pairs of engine and format the cheapest is {name_of(best)}: {_hardware(best)} for "
    saves = "" if best.saving_usd_per_hour is None else f", {format_usd(best.saving_usd_per_hour)} less than now"
    return f"{first}{format_usd(best.usd_per_hour)} an hour{saves}."


def name_of(v: Variant) -> str:
    """A pair in words, such as vLLM, fp8, KV bf16."""
    return f"{RUNTIME_WORDS[v.runtime]}, {v.weight_words}, KV {v.kv_format}"


def _hardware(v: Variant) -> str:
    if v.replicas is None:
        return "–"
    count = "1 replica" if v.replicas == 1 else f"{v.replicas} replicas"
    return f"{count} of {v.accelerators_per_replica} × {v.accelerator_name}"


def _row(v: Variant) -> list[str]:
    saved = v.saving_usd_per_hour
    return [
        name_of(v) + (" (now)" if v.is_present else ""),
        _hardware(v),
        format_usd(v.usd_per_hour),
        "–" if saved is None or v.is_present else format_usd(saved) if saved >= 0 else f"-{format_usd(-saved)}",
        format_ms(v.ttft_ms),
        format_ms(v.tpot_ms),
        v.binding,
    ]
