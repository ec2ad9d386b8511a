"""The parts of the accuracy page: the sentence, errors by group, the worst by name, how it was calibrated and what is not covered."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from sizing.accuracy import (
    By,
    Summary,
    by_group,
    by_source,
    chosen,
    counts,
    load_words,
    overall,
    quantity_of,
    skipped_of,
    stated_of,
    worst,
)
from sizing.accuracy_points import Point, book
from sizing.accuracy_view import AccuracyView, Family
from sizing.catalog import load
from ui.frame import plain
from ui.nearest_runs import of_unit
from ui.results import folded, table

FAMILIES: dict[Family, str] = {
    "llm": "LLM speed",
    "llm_memory": "LLM memory",
    "deep_learning": "Deep learning speed",
    "deep_learning_memory": "Deep learning memory",
    "statistical": "Statistical",
    "queues": "Queues",
}
HOW: dict[Family, str] = {
    "llm": "Constants of six generations of engines, fitted on public runs. Each run here is predicted by constants fitted without the "
    "fold of models that it belongs to. Report: benchmarks/LLM_SPEED.md.",
    "llm_memory": "Weights follow from the model's tensors, nothing is fitted. What an engine holds beside weights and KV cache is fitted on "
    "start-up logs; each log here is predicted by constants fitted without its model. Report: benchmarks/LLM_MEMORY.md.",
    "deep_learning": "A roofline over the operators of a network, fitted on public tables. Throughputs of large batches are predicted without "
    "their network, batch curves without their network, GPU, runtime and precision together. Report: benchmarks/DEEP_LEARNING_SPEED.md.",
    "deep_learning_memory": "Weights, live activations and the floor of each runtime, as they ship; the floors were set with these figures in "
    "sight, so they are not unseen. Report: benchmarks/DEEP_LEARNING_MEMORY.md.",
    "statistical": "Cost of a call, a tree, a row and a node by library and runtime, fitted on our own timings. Each is predicted without its "
    "model in any runtime. Report: benchmarks/STATISTICAL_SPEED.md.",
    "queues": "Formulas against event simulations of up to millions of requests. No constant is fitted to these. Report: benchmarks/QUEUES.md.",
}
NOT_COVERED: dict[Family, str] = {
    "llm": "Means of closed loops and static batches were measured: percentiles under random arrivals, speculative decoding, prefix caches and "
    "servers split into prefill and decode were not.",
    "llm_memory": "vLLM 0.9 to 0.20 on four kinds of accelerator; SGLang, TensorRT-LLM and llama.cpp have no logs here.",
    "deep_learning": "GPUs of 2017 to 2025 with the runtimes named; transformers for speech and diffusion have no runs here, and a CPU has none.",
    "deep_learning_memory": "Seven models; one GPU and one model for ONNX Runtime and TensorRT.",
    "statistical": "One CPU; others are scaled from it by published benchmarks, with a wider interval.",
    "queues": "Arrivals at random and first come first served; bursts are simulated apart.",
}
NO_BREAK = "\u00a0"


def percent(share: float) -> str:
    """A share as people read it.

    >>> percent(0.0213), percent(0.381)
    ('2.1 %', '38 %')
    """
    return f"{share * 100:.1f} %" if abs(share) < 0.0995 else f"{share * 100:.0f} %"


def sentence(view: AccuracyView) -> str:
    """The result first: how many figures, how far off in the middle and at nine of ten, and how honest the interval is."""
    some, found = chosen(view), overall(view)
    if found is None:
        return "No measured run matches: take a word out of the search, or a filter away."
    unseen = sum(p.held for p in some)
    seen = "that calibration had seen" if not unseen else f"({unseen:,} of them unseen by calibration)"
    which = "that calibration did not see" if unseen == len(some) else seen
    inside = f" {found.inside:.0%} lie inside the stated 80 % interval." if found.inside is not None else ""
    side = "high" if found.bias > 0 else "low"
    lean = "" if abs(found.bias) < 0.02 else f" The middle prediction is {percent(abs(found.bias))} too {side}."
    figures = f"{found.count:,} {'simulated' if view.family == 'queues' else 'measured'} figure{'' if found.count == 1 else 's'}"
    return (
        (
            f"On {figures} {which}, {quantity_of(view.quantity or '').words} is predicted with a median error of "
            f"{percent(found.median_error)}; nine of ten are within {percent(found.p90_error)}.{inside}{lean}"
        )
        .replace("%", " %")
        .replace("  %", " %")
    )


def group_table(title: str, rows: Sequence[Summary], *, quantity: bool) -> None:
    """Errors of groups as a table."""
    if not rows:
        st.caption("No group has three figures or more.")
        return
    names = [quantity_of(r.name).titled if quantity else book().name(r.name) for r in rows]
    st.dataframe(
        pd.DataFrame(
            {
                title: names,
                "Figures": [r.count for r in rows],
                "Median error (%)": [round(r.median_error * 100, 1) for r in rows],
                "9 of 10 within (%)": [round(r.p90_error * 100, 1) for r in rows],
                "Leans high/low (%)": [round(r.bias * 100, 1) for r in rows],
                "In 80 % interval (%)": [None if r.inside is None else round(r.inside * 100) for r in rows],
            }
        ),
        hide_index=True,
        height=min(38 + 35 * len(rows), 300),
        alt=f"Errors by {title.lower()}",
    )


def groups(view: AccuracyView) -> None:
    """Errors by model, accelerator, engine, format, and of all quantities under the same filters; made for the open tab only."""
    some = chosen(view)
    wanted: tuple[tuple[str, By], ...] = (
        ("Model", "model"),
        ("Accelerator or CPU", "hardware"),
        ("Engine or runtime", "engine"),
        ("Kind of model" if view.family == "statistical" else "Format", "format"),
        ("Quantity", "quantity"),
    )
    short = ("Model", "Machine", "Engine", wanted[3][0], "Quantity")
    tabs = st.tabs(short, key="accuracy-by", on_change="rerun")
    for tab, (title, by) in zip(tabs, wanted, strict=True):
        if tab.open:
            shown = chosen(view.model_copy(update={"quantity": None})) if by == "quantity" else some
            with tab:
                group_table(title, by_group(shown, by), quantity=by == "quantity")


def worst_table(some: Sequence[Point]) -> None:
    """The worst cases by name."""
    rows = [
        (
            p.model, book().name(p.hardware), book().name(p.engine), ", ".join(part for part in (load_words(p), p.setting) if part),
            of_unit(p.measured, quantity_of(p.quantity).unit), of_unit(p.predicted, quantity_of(p.quantity).unit), f"{p.error:+,.0%}",
            book().source(p),
        )
        for p in worst(some)
    ]  # fmt: skip
    columns = ("Model", "Where", "Engine", "Setting", "Measured", "Predicted", "Error", "Source")
    table(columns, rows, least_rem=60)


def how(view: AccuracyView) -> None:
    """From what the constants come, how far off they are when more or less is left out of the fit, and what is not covered."""
    st.markdown(plain(HOW[view.family]))
    parts = load().accelerators
    measured = [name for name in counts(view.family, "hardware") if name in parts]
    not_measured = (
        f" Of the {len(parts)} accelerators of the catalog {len(measured)} were measured." if measured else ""
    )
    st.markdown(
        plain(
            f"Not covered: {NOT_COVERED[view.family]}{not_measured} An answer without a run behind it has a wider interval."
        )
    )
    folded(
        "Error by what was left out of the fit, sources, rows without a prediction", "accuracy-how", lambda: _how(view)
    )


def _how(view: AccuracyView) -> None:
    rows = [
        (
            row.left_out, f"{row.count:,}", f"{row.median_percent:.1f} %", f"{row.p90_percent:.1f} %",
            "" if row.inside_percent is None else f"{row.inside_percent:.0f} %",
        )
        for row in stated_of(view.family, view.quantity)
    ]  # fmt: skip
    st.markdown(plain(f"All figures of {quantity_of(view.quantity or '').words}, by what was left out of the fit:"))
    table(("Left out", "Figures", "Median error", "9 of 10 within", "In 80 % interval"), rows)
    st.markdown("Sources of what is chosen above:")
    table(("Source", "Figures"), [(text, f"{count:,}") for text, count in by_source(chosen(view))])
    skipped = skipped_of(view.family)
    if skipped:
        st.markdown("Measured rows of this kind without a prediction:")
        table(("Rows", "Because"), [(f"{s.count:,}", s.because) for s in skipped])
    kept = sum(p.kind == view.family for p in book().points)
    st.caption(
        f"Of {sum(counts(view.family, 'quantity').values()):,} figures of this kind {kept:,} are kept and drawn: small tables and the worst predicted eighth of each "
        "other quantity whole, of the rest evenly spaced ones in the order of their errors, each standing for its neighbours. Written "
        f"{book().head.as_of} by benchmarks/accuracy.py."
    )
