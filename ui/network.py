"""The network from within: live bytes over the forward pass, the stages of a pipeline, and the batch that fills each GPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import plotly.graph_objects as go
import streamlit as st

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator
from sizing.deep_learning.capacity import Full, full_batches
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.live import LivePass, live_passes
from sizing.deep_learning.pipeline import StageShare, facts_of, shares
from sizing.deep_learning.runtimes import Unsupported
from sizing.plan import Deployment
from sizing.scenario import DeepLearningScenario
from sizing.units import GIB, MIB, format_bytes, format_ms
from ui.charts import MemoryBar, memory_chart
from ui.draw import chart
from ui.frame import plain
from ui.results import folded, table
from ui.sketch import PALETTE, Sketch, titled


def draw_network(scenario: DeepLearningScenario, catalog: Catalog, best: Deployment | None) -> None:
    """Closed sections: memory over the pass, stages where it is a pipeline, and the batch at which each GPU is full."""
    st.subheader("Where the memory goes", anchor="network")
    folded("Memory over the forward pass, operator by operator", "live", lambda: _live(scenario, catalog))
    if _facts(scenario, catalog).stages:
        folded("Stages of the pipeline: memory and time of each", "stages", lambda: _stages(scenario, catalog, best))
    folded("The batch at which each GPU is full", "full", lambda: _full(scenario, catalog))


@lru_cache(maxsize=64)
def _facts(scenario: DeepLearningScenario, catalog: Catalog) -> Graph:
    return facts_of(scenario, catalog)


def _live(scenario: DeepLearningScenario, catalog: Catalog) -> None:
    facts = _facts(scenario, catalog)
    passes = live_passes(facts, scenario.attention)
    if not passes:
        st.markdown("No pass of this network was traced operator by operator, so there is no curve to draw.")
        return
    one = max(passes, key=lambda p: max(p.live_bytes))
    if len(passes) > 1:
        names = [p.name for p in passes]
        chosen = st.radio(
            "Stage", names, index=names.index(one.name), horizontal=True, key=f"live-stage:{scenario.model}"
        )
        one = passes[names.index(chosen)]
    st.markdown(plain(peak_words(one)))
    chart(
        live_chart(one),
        key="live-pass",
        title=f"Live memory over the forward pass of {one.name}",
        alt=f"Live activations in MiB of one sample in fp32 after each operator. {peak_words(one)}",
    )
    other = not facts.stages and one.traced_size != facts.size
    scaled = (
        f" The curve was traced at {one.traced_size:,} and is scaled to the peak at {facts.size:,}." if other else ""
    )
    st.caption(
        plain(
            "One sample in fp32, operators in the order in which eager PyTorch runs them, without weights, workspaces and what "
            f"compilers fuse. fp16 halves it; a batch multiplies it.{scaled}"
        )
    )


def peak_words(one: LivePass) -> str:
    """Which operator of which part is at the peak, how much is alive there, and how far into the pass."""
    most, after = max(one.live_bytes), one.after_operators[one.peak_point]
    inside = f" in {one.peak_module}" if one.peak_module else ""
    usual = sorted(one.live_bytes)[len(one.live_bytes) // 2]
    return (
        f"{one.name}: the peak of {format_bytes(most)} is at the operator {one.peak_operator}{inside}, about "
        f"{after / one.operators:.0%} into the {one.operators:,} operators; in half of the pass at most "
        f"{format_bytes(usual)} live."
    )


def live_chart(one: LivePass) -> go.Figure:
    """Live bytes [MiB] after each share of the operators as steps, the peak marked."""
    sketch = Sketch(
        x=titled("operators run (count)", rangemode="tozero"),
        y=titled("live activations of a sample (MiB)", rangemode="tozero"),
        height=260,
    )
    sketch.traces.append(
        {
            "type": "scatter",
            "x": [0, *one.after_operators],
            "y": [size / MIB for size in (one.live_bytes[0], *one.live_bytes)],
            "name": "most alive",
            "mode": "lines",
            "line": {"color": PALETTE[0], "width": 2, "shape": "vh"},
            "fill": "tozeroy",
            "hovertemplate": "up to operator %{x}: %{y:.3g} MiB<extra></extra>",
        }
    )
    before = (0, *one.after_operators)[one.peak_point]
    sketch.star(
        (before + one.after_operators[one.peak_point]) / 2, max(one.live_bytes) / MIB, f"peak: {one.peak_operator}"
    )
    return sketch.figure()


def _stages(scenario: DeepLearningScenario, catalog: Catalog, best: Deployment | None) -> None:
    batch = (best.batch if best else scenario.batch) or 1
    part = catalog.accelerator(best.accelerator) if best is not None and best.accelerator else None
    found = _shares(_facts(scenario, catalog), part, scenario, batch)
    st.markdown(plain(stage_words(found, batch)))
    if part is not None:
        chart(
            memory_chart(stage_bars(found, part), per="GPU"),
            key="stage-memory",
            title=f"Memory of one {part.name} while each stage runs, batch {batch:,}",
            alt="Memory in GiB by stage: weights of all stages and what the stage that runs needs, against the capacity",
        )
    rows = [
        [
            ("sets the peak: " if s.sets_peak else "") + s.name,
            f"{s.runs:,} × in {s.precision}",
            format_bytes(s.weights_bytes),
            format_bytes(s.activation_bytes + s.input_bytes + s.state_bytes),
            "not known" if s.time_ms is None else format_ms(s.time_ms),
        ]
        for s in found
    ]
    table(("Stage", "Runs", "Weights", f"While it runs, batch {batch:,}", "Time of all runs"), rows, least_rem=34)


def _shares(
    facts: Graph, part: Accelerator | None, scenario: DeepLearningScenario, batch: int
) -> tuple[StageShare, ...]:
    try:
        return shares(facts, part, runtime=scenario.runtime, precision=scenario.precision, batch=batch)
    except Unsupported:  # a stage in a format that this GPU lacks: memory still says something
        return shares(facts, None, runtime=scenario.runtime, precision=scenario.precision, batch=batch)


def stage_bars(found: Sequence[StageShare], part: Accelerator) -> list[MemoryBar]:
    """A bar a stage: weights of all, and what that stage needs while it runs [bytes]."""
    weights = sum({stage.model: stage.weights_bytes for stage in found}.values())
    return [
        MemoryBar(
            stage.name,
            {
                "weights of all stages": weights,
                "input": stage.input_bytes,
                "activations_peak": stage.activation_bytes,
                "kept keys and values": stage.state_bytes,
            },
            part.capacity_bytes,
            chosen=stage.sets_peak,
        )
        for stage in found
    ]


def stage_words(found: Sequence[StageShare], batch: int) -> str:
    """Which stage sets the memory and which takes the time."""
    top = next(stage for stage in found if stage.sets_peak)
    need = top.activation_bytes + top.input_bytes + top.state_bytes
    words = f"The {top.name} sets the peak: {need / GIB:,.3g} GiB beside the weights at batch {batch:,}."
    timed = [stage for stage in found if stage.time_ms is not None]
    if timed:
        longest = max(timed, key=lambda stage: stage.time_ms or 0.0)
        total = sum(stage.time_ms or 0.0 for stage in timed)
        words += f" The {longest.name} takes {(longest.time_ms or 0.0) / total:.0%} of the time."
    return words


def _full(scenario: DeepLearningScenario, catalog: Catalog) -> None:
    found = full_batches(scenario, catalog)
    table(
        ("GPU", "Memory", "One sample needs", "Full at batch"),
        [[f.name, format_bytes(f.capacity_bytes), format_bytes(f.one_sample_bytes), full_words(f)] for f in found],
    )
    st.caption(
        "By memory alone: a latency limit may ask for a smaller batch. Runtime floor, workspace and arena are counted."
    )


def full_words(full: Full) -> str:
    """The batch that fills a GPU, or why there is none."""
    if full.because:
        return full.because
    if full.beyond_search:
        return f"over {full.largest_batch:,}"
    return f"{full.largest_batch:,}" if full.largest_batch else "does not hold one sample"
