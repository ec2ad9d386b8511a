"""The section with what a reader takes to Triton: the configuration of the chosen point, the load test, what to check."""

from __future__ import annotations

import streamlit as st

from sizing.deep_learning.pipeline import facts_of
from sizing.deep_learning.triton import batch_sweep, checks, load_test, serving, triton_config
from sizing.plan import Deployment, Plan
from sizing.scenario import DeepLearningScenario
from ui.frame import plain
from ui.results import folded
from ui.state import PageState

TITLE = "Take away: Triton configuration and load test"


def draw_triton(state: PageState, plan: Plan) -> None:
    """The closed section; its texts are made once it is open."""
    best = plan.recommended
    if best is not None:
        folded(TITLE, "triton", lambda: _draw(state, best))


def _draw(state: PageState, best: Deployment) -> None:
    scenario: DeepLearningScenario = state.scenario
    facts = facts_of(scenario, state.catalog)
    if facts.stages:
        st.caption(
            f"{plain(facts.model.name)} is a pipeline of {len(facts.stages)} stages. Triton serves one as an ensemble, with a "
            "configuration for each stage; choose a stage as the model to get its configuration."
        )
        return
    point = serving(
        scenario,
        facts,
        best,
        queue_delay_ms=scenario.queue_delay_ms,
        instances_per_gpu=scenario.model_instances_per_gpu if best.accelerator is not None else 1,
    )
    config, load, sweep = triton_config(point), load_test(point), batch_sweep(point)
    st.markdown(
        f"**The model at batch {point.max_batch:,} on one {plain(best.accelerator_name or best.instance_type)}**"
    )
    st.code(config, language="protobuf", wrap_lines=True)
    _download("config.pbtxt", config)
    rate = "the rate" if point.requests_per_s is not None else "the users"
    st.markdown(f"**Load test around {rate} of one machine**")
    st.code(load, language="bash", wrap_lines=True)
    _download("load_test.sh", _script(load))
    st.markdown("**Time of a batch by batch size**, to recalibrate this page")
    st.code(sweep, language="bash", wrap_lines=True)
    _download("batch_sweep.sh", _script(sweep))
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in checks(point)))


def _script(commands: str) -> str:
    return f"#!/bin/sh\nset -e\n{commands}\n"


def _download(name: str, text: str) -> None:
    st.download_button(
        name, text, name, "text/plain", icon=":material/download:", on_click="ignore", key=f"triton:{name}"
    )
