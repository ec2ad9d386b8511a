"""The answer as an interval: how many would be needed if our speed model is off by as much as is known of it.

Each family is sized anew with its times at either end of their 80 % interval, on the recommended kind of machine: a count follows
queues, limits and whole machines, so it does not grow in proportion to a time. What is uncertain is our own error alone; load,
lengths and limits are as the scenario says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from sizing.catalog import Catalog
from sizing.deep_learning import moved as deep_learning_moved
from sizing.deep_learning.workers import Retime
from sizing.fleet import instances_for
from sizing.llm import moved as llm_moved
from sizing.llm.confidence import error_laws
from sizing.llm.constants import engine_rates
from sizing.money import format_money
from sizing.outcome import Outcome
from sizing.plan import Deployment, LatencyMs, Plan
from sizing.planner import plan as planned
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario
from sizing.statistical import moved as statistical_moved
from sizing.units import HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class AnswerInterval:
    """A count with its 80 % interval, spares included, and what machines and dollars a month go with its ends.

    None at the high end: no count of this kind of machine keeps the limits there. `low` <= `predicted` <= `high`.
    """

    quantity: str  # what is counted, in the plural
    predicted: int
    low: int
    high: int | None
    instances: tuple[int, int | None]
    usd_per_month: tuple[float, float | None]
    basis: str

    @property
    def words(self) -> str:
        """The count in a phrase: predicted, and the interval where it is one.

        >>> AnswerInterval("replicas", 8, 7, 9, (7, 9), (700.0, 900.0), "").words
        '8 replicas, 80 % interval 7 to 9'
        >>> AnswerInterval("GPUs", 1, 1, 1, (1, 1), (100.0, 100.0), "").words
        '1 GPU, the same over the whole 80 % interval of our error'
        """
        name = self.quantity.removesuffix("s") if self.predicted == 1 else self.quantity
        if self.high is None:
            return f"{self.predicted:,} {name}; at the slow end of our 80 % interval no count keeps the limits"
        if self.low == self.high:
            return f"{self.predicted:,} {name}, the same over the whole 80 % interval of our error"
        return f"{self.predicted:,} {name}, 80 % interval {self.low:,} to {self.high:,}"

    def cost_words(self, scenario: AnyScenario) -> str:
        """What the ends cost a month, in a phrase.

        >>> AnswerInterval("replicas", 8, 7, 9, (7, 9), (700.0, 900.0), "").cost_words(LlmScenario())
        '$700.00 to $900.00 a month'
        """
        low, high = self.usd_per_month
        if high is None:
            return f"from {format_money(low, scenario)} a month"
        first, last = format_money(low, scenario), format_money(high, scenario)
        return f"{first} a month" if low == high else f"{first} to {last} a month"


def answer_interval(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> AnswerInterval | None:
    """The count of the plan's recommended deployment with its 80 % interval; None where nothing is recommended. Kept."""
    return None if plan.recommended is None else _interval(scenario, catalog)


@lru_cache(maxsize=16)
def _interval(scenario: AnyScenario, catalog: Catalog) -> AnswerInterval | None:
    best = planned(scenario, catalog).recommended
    return None if best is None else interval_of(scenario, catalog, best)


def interval_of(scenario: AnyScenario, catalog: Catalog, deployment: Deployment) -> AnswerInterval:
    """The count of a deployment of the scenario with its 80 % interval (count), sized anew at both ends of our error.

    Raises InputError for a deployment that is not one of the scenario.
    """
    if isinstance(scenario, LlmScenario):
        return _of_llm(scenario, catalog, deployment)
    if isinstance(scenario, DeepLearningScenario):
        return _of_deep_learning(scenario, catalog, deployment)
    return _of_statistical(scenario, catalog, deployment)


def _of_llm(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> AnswerInterval:
    """Two independent errors, on a step and on a first token: quantiles of the count over both."""
    low, high = llm_moved.counts_at_ends(scenario, catalog, deployment)
    count, usd = deployment.replicas, deployment.cost.usd_per_instance_hour * HOURS_PER_MONTH
    low = count if low is None else min(low, count)
    high = None if high is None else max(high, count)

    def machines(replicas: int) -> int:
        return instances_for(
            replicas=replicas,
            accelerators_per_replica=deployment.accelerators_per_replica or 1,
            accelerators_per_instance=deployment.accelerators_per_instance or 1,
        )

    work, (of_step, of_first) = llm_moved.configuration_of(scenario, catalog, deployment).work, error_laws(scenario)
    step, first = of_step.widened(float(work.width)), of_first.widened(float(work.first_width))
    fewest, most = machines(low), None if high is None else machines(high)
    return AnswerInterval(
        "replicas",
        count,
        low,
        high,
        (fewest, most),
        (fewest * usd, None if most is None else most * usd),
        f"of ten steps, eight take {step.low:.2f} to {step.high:.2f} of the time predicted, of ten first tokens {first.low:.2f} "
        f"to {first.high:.2f}, independently (public runs, catalogs/llm_speed.yaml); replicas stay spread over "
        f"{deployment.accelerators_per_replica} accelerator{'s' if (deployment.accelerators_per_replica or 1) > 1 else ''}",
    )


def _between(
    quantity: str, count: int, deployment: Deployment, fast: Outcome | None, slow: Outcome | None, basis: str
) -> AnswerInterval:
    """The interval from the outcomes at the two ends; where one is rented in whole machines, dollars follow those."""
    by_instances = quantity == "instances"

    def of(outcome: Outcome) -> int:
        return outcome.instances if by_instances else outcome.replicas

    now = deployment.cost.usd_per_month
    low = count if fast is None else min(of(fast), count)
    high = None if slow is None else max(of(slow), count)
    machines = (
        deployment.instances if fast is None else min(fast.instances, deployment.instances),
        None if slow is None else max(slow.instances, deployment.instances),
    )
    usd = (
        now if fast is None else min(fast.usd_per_month, now),
        None if slow is None else max(slow.usd_per_month, now),
    )
    return AnswerInterval(quantity, count, low, high, machines, usd, basis)


def _of_deep_learning(scenario: DeepLearningScenario, catalog: Catalog, deployment: Deployment) -> AnswerInterval:

    def at(end: Retime) -> Outcome | None:
        return next(iter(deep_learning_moved.resized(scenario, catalog, end, instance=deployment.instance)), None)

    # One worker is the least, however fast it is.
    is_least = deployment.replicas - scenario.spare_replicas == 1 == deployment.instances
    fast, slow = None if is_least else at(deep_learning_moved.fast_end), at(deep_learning_moved.slow_end)
    low, high = _ends(deployment.latency_ms["model"])
    on_gpu = deployment.accelerator is not None
    basis = (
        f"of ten times of a batch, eight lie between {low:.2f} and {high:.2f} of the prediction "
        f"({deployment.verdicts[0].source})" + ("; the CPU part of a request stays as it is" if on_gpu else "")
    )
    return _between("GPUs" if on_gpu else "sessions", deployment.replicas, deployment, fast, slow, basis)


def _of_statistical(scenario: StatisticalScenario, catalog: Catalog, deployment: Deployment) -> AnswerInterval:
    fast, slow = (
        next(iter(statistical_moved.resized(scenario, catalog, end, instance=deployment.instance)), None)
        for end in (statistical_moved.fast_end, statistical_moved.slow_end)
    )
    low, high = _ends(deployment.latency_ms["service"])
    basis = (
        f"of ten service times, eight lie between {low:.2f} and {high:.2f} of the prediction: error of the model's constants and "
        "of the CPU's speed together"
    )
    return _between("instances", deployment.instances, deployment, fast, slow, basis)


def _ends(latency: LatencyMs) -> tuple[float, float]:
    """Ends of the 80 % interval of a time over its middle [1]."""
    middle = getattr(latency, latency.interval_of)
    return (latency.low or middle) / middle, (latency.high or middle) / middle


@dataclass(frozen=True, slots=True)
class OtherEnds:
    """The cheapest machine if every machine were at the fast end of our error, and at the slow end; None: none serves."""

    fast: Outcome | None
    slow: Outcome | None


@lru_cache(maxsize=4)
def cheapest_at_ends(scenario: AnyScenario, catalog: Catalog) -> OtherEnds:
    """The cheapest machine of all allowed, with the times of all of them at the fast, and at the slow end of our error."""
    if isinstance(scenario, LlmScenario):
        _, slow_rates, fast_rates = engine_rates(scenario.runtime, scenario.engine_version)
        found = [llm_moved.resized(scenario, catalog, use) for use in (fast_rates, slow_rates)]
    elif isinstance(scenario, DeepLearningScenario):
        ends = (deep_learning_moved.fast_end, deep_learning_moved.slow_end)
        found = [deep_learning_moved.resized(scenario, catalog, end) for end in ends]
    else:
        factors = (statistical_moved.fast_end, statistical_moved.slow_end)
        found = [statistical_moved.resized(scenario, catalog, factor) for factor in factors]
    fast, slow = (next(iter(outcomes), None) for outcomes in found)
    return OtherEnds(fast, slow)
