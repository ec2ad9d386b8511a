"""One door to the three families for questions that size a scenario many times: anew, or with the deployment left as it is."""

from __future__ import annotations

from typing import cast

from sizing.catalog import Catalog
from sizing.deep_learning import moved as deep_learning_moved
from sizing.deep_learning.workers import Retime, as_predicted
from sizing.llm import moved as llm_moved
from sizing.llm.constants import Rates
from sizing.outcome import Outcome
from sizing.plan import Deployment
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario
from sizing.statistical import moved as statistical_moved
from sizing.why.changes import Own


def resized(
    scenario: AnyScenario, catalog: Catalog, own: Own | None = None, *, instance: str | None = None
) -> tuple[Outcome, ...]:
    """What serves a scenario, ranked, without its budget; on one kind of instance, or on all allowed. `own` moves our constants.

    Raises InputError where the scenario cannot be sized.
    """
    if isinstance(scenario, LlmScenario):
        return llm_moved.resized(scenario, catalog, cast("Rates | None", own), instance=instance)
    if isinstance(scenario, DeepLearningScenario):
        retime = cast("Retime", own or as_predicted)
        return deep_learning_moved.resized(scenario, catalog, retime, instance=instance)
    factor = cast("statistical_moved.Factor", own or statistical_moved.as_predicted)
    return statistical_moved.resized(scenario, catalog, factor, instance=instance)


def latency_ms(scenario: AnyScenario, catalog: Catalog, deployment: Deployment, own: Own | None = None) -> float | None:
    """Latency of the first verdict [ms] with the deployment left as it is; infinite under overload, None where it does not fit.

    Raises InputError where the scenario cannot be sized.
    """
    if isinstance(scenario, LlmScenario):
        return llm_moved.latency_ms(scenario, catalog, deployment, [cast("Rates | None", own)])[0]
    if isinstance(scenario, DeepLearningScenario):
        retime = cast("Retime", own or as_predicted)
        return deep_learning_moved.latency_ms(scenario, catalog, deployment, retime)
    factor = cast("statistical_moved.Factor", own or statistical_moved.as_predicted)
    return statistical_moved.latency_ms(scenario, catalog, deployment, factor)
