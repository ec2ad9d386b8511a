"""The charts of an answer of any kind: latency against throughput or load, memory by parts, cost of the candidates."""

from __future__ import annotations

from sizing.catalog import Catalog
from sizing.plan import Plan
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario
from ui import charts_deep_learning, charts_llm, charts_statistical
from ui.answer_chart import AnswerChart
from ui.charts import cost_chart

COST_BARS = 8


def trade_off(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> AnswerChart | None:
    """The first chart of the answer; None where nothing is recommended."""
    best = plan.recommended
    if best is None:
        return None
    if isinstance(scenario, LlmScenario):
        return charts_llm.trade_off(scenario, catalog, best)
    if isinstance(scenario, DeepLearningScenario):
        return charts_deep_learning.trade_off(scenario, catalog, best)
    return charts_statistical.trade_off(scenario, catalog, best)


def memory(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> AnswerChart | None:
    """Memory by parts against capacity; None where there is nothing to show."""
    if isinstance(scenario, LlmScenario):
        return charts_llm.memory_by_parts(scenario, catalog, plan)
    best = plan.recommended
    if best is None:
        return None
    if isinstance(scenario, DeepLearningScenario):
        return charts_deep_learning.memory_by_parts(scenario, catalog, best)
    return charts_statistical.memory_by_parts(best)


def cost_of_candidates(plan: Plan) -> AnswerChart | None:
    """What the cheapest candidates cost an hour; None where there are none."""
    shown = plan.ranked[:COST_BARS]
    if not shown:
        return None
    labels = [f"{d.instances} × {d.instance_type}" for d in shown]
    return AnswerChart(
        "cost",
        "Cost of the candidates",
        "USD per hour of the cheapest candidates",
        cost_chart(labels, [d.cost.usd_per_hour for d in shown]),
    )


def answer_charts(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> tuple[AnswerChart, ...]:
    """The three charts of an answer, as far as there is something to show: latency, memory, cost."""
    found = (trade_off(scenario, catalog, plan), memory(scenario, catalog, plan), cost_of_candidates(plan))
    return tuple(chart for chart in found if chart is not None)
