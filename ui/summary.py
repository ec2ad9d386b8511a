"""The stakeholder's view: the answer in words, what it costs and how sure it is, without a single control.

It opens from a link with `view=summary`, keeps that in the address, reads on a phone, prints, and stands in an iframe.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from sizing import link as links
from sizing.money import format_money
from sizing.plan import Deployment, Plan
from sizing.planner import remedies
from sizing.scenario import AnyScenario
from ui import plain_words
from ui.answer_chart import AnswerChart
from ui.answer_charts import answer_charts
from ui.draw import draw_chart
from ui.frame import PRODUCT, draw_banners, draw_quiet_frame, plain, same_page_link
from ui.results import facts, limits_table, table
from ui.state import PageState, open_page, settle, write_address

_STYLE = """<style>
.sums {display: flex; flex-wrap: wrap; gap: .6rem; margin: .5rem 0 .2rem;}
.sums div {flex: 1 1 8.5rem; border: 1px solid rgba(127,127,127,.35); border-radius: .5rem; padding: .45rem .7rem;}
.sums b {display: block; font-size: 1.35rem; line-height: 1.3;} .sums span {font-size: .84rem; opacity: .8;}
.said {margin: .2rem 0; padding-left: 1.1rem; font-size: .95rem;} .said li {margin: .25rem 0; overflow-wrap: anywhere;}
.st-key-summary .slo td:first-child {min-width: 7.5rem;} .st-key-summary .answer {font-size: 1.2rem; overflow-wrap: anywhere;}
.st-key-summary {max-width: 860px; margin: 0 auto;} .st-key-summary .answer {margin-top: .35rem;}
@media (max-width: 768px) {.st-key-summary .answer {font-size: 1.05rem;} .sums b {font-size: 1.15rem;}}
@page {margin: 14mm;}
@media print {.st-key-full {display: none !important;} .st-key-summary {width: 860px; max-width: none; zoom: .79;}
  [data-testid="stMainBlockContainer"] {padding: 0 !important;}
  [data-testid="stElementContainer"], tr, li {break-inside: avoid;}
  [data-testid="stElementContainer"]:has(h2, [data-testid="stMarkdown"] strong) {break-after: avoid;}}
</style>"""


def summary_page(kind: str) -> None:
    """Draw the page of a kind of scenario as its reader sees it who decides."""
    state = open_page(kind)
    plan = settle(state, {})
    draw_quiet_frame(plain_words.tab_title(plan))
    if plan.recommended is None:
        with st.spinner("Looking for the nearest change that would serve it"):
            plan = plan.model_copy(update={"remedies": remedies(state.scenario, state.catalog)})
    with st.container(key="summary"):
        st.page_link("app.py", label=PRODUCT)
        draw_banners(state, view=links.SUMMARY)
        draw_summary(plan, answer_charts(state.scenario, state.catalog, plan))
        with st.container(key="full"):
            _to_full_page(state)
    write_address(state, view=links.SUMMARY)


def draw_summary(plan: Plan, charts: Sequence[AnswerChart], *, frozen: str | None = None) -> None:
    """The answer, its cost, limits, certainty, assumptions and charts, from the plan as it is; `frozen` says of what day it
    is where it stands on another page."""
    st.html(_STYLE)
    if frozen is None:
        st.title(plain(plain_words.title(plan)))
    else:
        st.subheader(plain(plain_words.title(plan)), anchor=False)
        st.info(plain(frozen))
    st.html(f'<p class="answer" role="status">{escape(plain_words.answer(plan))}</p>')
    best = plan.recommended
    if best is not None:
        st.html(_sums(best, plan.scenario))
        if plan.scenario.notes:
            st.markdown(plain(plan.scenario.notes))
        st.html(limits_table(best))
        for warning in best.warnings:
            st.caption(f":material/warning: {plain(warning)}")
    else:
        if plan.scenario.notes:
            st.markdown(plain(plan.scenario.notes))
        if plan.remedies:
            st.markdown("**What would lift it**, cheapest first:")
            st.html(_bullets([remedy.sentence for remedy in plan.remedies]))
    for chart in charts:
        draw_chart(chart)
    if best is not None:
        st.header("How sure we are", anchor="certainty")
        st.html(_bullets(plain_words.sureness(plan)))
    st.header("What it assumes", anchor="assumptions")
    facts(plain_words.assumptions(plan))
    if best is not None:
        st.header("What it costs", anchor="cost")
        table(("Cost of", "Amount"), plain_words.costs(best, plan.scenario))
    st.header("What was not checked", anchor="unchecked")
    st.html(_bullets([*plain_words.NOT_CHECKED, *plan.caveats]))
    st.caption(plain(f"In technical terms: {plan.headline}"))


def _sums(best: Deployment, scenario: AnyScenario) -> str:
    """The two amounts a budget has, and what kind of prices they are."""
    cost = best.cost
    a_month = format_money(cost.usd_per_month, scenario)
    a_year = format_money(cost.usd_per_month * plain_words.MONTHS_PER_YEAR, scenario)
    return (
        f'<div class="sums"><div><span>Cost a month</span><b>{escape(a_month)}</b></div>'
        f"<div><span>Cost a year</span><b>{escape(a_year)}</b></div></div>"
        f'<p style="font-size:.84rem;margin:.1rem 0 .4rem">Price: {escape(plain_words.price(best))}.</p>'
    )


def _bullets(items: Sequence[str]) -> str:
    return f'<ul class="said">{"".join(f"<li>{escape(item)}</li>" for item in items)}</ul>'


def _to_full_page(state: PageState) -> None:
    """The way to the page with all controls; out of an iframe it opens in a tab of its own."""
    params = links.to_params(state.scenario, catalog_version=state.catalog_version)
    label = "Open the full page: change any input, see every figure"
    same_page_link(label, params, new_tab=st.context.is_embedded)
