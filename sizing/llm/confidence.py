"""Chance that the limits hold at each replica count of a deployment, from what is known of our own error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, log
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.fleet import instances_for
from sizing.llm.candidates import configurations, split_of
from sizing.llm.constants import engine_rates
from sizing.llm.models import draft_of, model_of
from sizing.llm.search import PERCENTILE_COLUMN, Group, load
from sizing.llm.serving import uniform_tpot_ms
from sizing.llm.work import Work, select, stack
from sizing.plan import Deployment
from sizing.scenario import LlmScenario

Floats = NDArray[np.float64]

STRATA = 100
"""Equally likely values of the step factor that stand for its law (count): a chance is known to one part in so many. An
even number, so that the centre itself is a border between two of them."""
GRID = 9
"""Counts spread from half to twice the recommended one; with that one and the two of LEVELS at most 12 are shown."""
LEVELS = (0.8, 0.95)
"""Chances for which the fewest replicas are looked for [1]."""
DIGITS = 6
"""Decimals kept of a chance: what a tail of the law takes away below them does not decide whether a level is met."""
_NORMAL = NormalDist()
_TENTH = _NORMAL.inv_cdf(0.9)


@dataclass(frozen=True, slots=True)
class ErrorLaw:
    """Law of a time over its prediction [1]: lognormal on either side of 1 with a spread of its own, half of the mass on
    each side, 10 % below `low` and 10 % above `high`.

    The median is 1 because the constants are fitted so: over 1,611 public server runs the median of measured / predicted
    is 0.998 for TPOT and 0.991 for TTFT.

    >>> law = ErrorLaw(0.8, 1.5)
    >>> [round(float(v), 3) for v in law.quantile(np.array([0.1, 0.5, 0.9]))]
    [0.8, 1.0, 1.5]
    >>> [round(float(v), 3) for v in law.below(np.array([0.8, 1.0, 1.5]))]
    [0.1, 0.5, 0.9]
    """

    low: float
    high: float

    def widened(self, width: float) -> ErrorLaw:
        """The law of a part whose interval is so many times as wide on a log scale."""
        return ErrorLaw(self.low**width, self.high**width)

    def _spread(self, is_low: NDArray[np.bool_]) -> Floats:
        return np.where(is_low, -log(self.low), log(self.high)) / _TENTH

    def quantile(self, share: Floats) -> Floats:
        """Factor [1] below which a share of the law lies: exp(spread of its side x normal quantile)."""
        normal = np.array([_NORMAL.inv_cdf(u) for u in share.tolist()])
        return np.asarray(np.exp(self._spread(normal < 0) * normal))

    def below(self, factor: Floats) -> Floats:
        """Chance [1] that the factor is at most this one: Phi(ln factor / spread of its side)."""
        logs = np.log(np.maximum(factor, 1e-300))
        normal = logs / self._spread(logs < 0)
        return np.array([_NORMAL.cdf(z) for z in normal.ravel().tolist()]).reshape(normal.shape)


class Chances(NamedTuple):
    """Chance [1] at each replica count that TTFT holds, that TPOT holds, that less arrives than is served, and all."""

    ttft: Floats
    tpot: Floats
    steady: Floats
    all: Floats


@dataclass(frozen=True, slots=True)
class CountChance:
    """One replica count, spares included: what it costs, and the chance [1] that each limit holds."""

    replicas: int
    instances: int
    usd_per_hour: float
    ttft: float
    tpot: float
    steady: float
    all: float

    @property
    def weakest(self) -> str:
        """What is most likely to break: TTFT, TPOT or load."""
        return min((self.ttft, "TTFT"), (self.tpot, "TPOT"), (self.steady, "load"))[1]


@dataclass(frozen=True, slots=True)
class Confidence:
    """Chances by replica count, and the fewest replicas at which all hold with a chance of each of LEVELS; None where
    none up to the largest shown does. The factors are the 80 % interval of a time over its prediction [1]."""

    rows: tuple[CountChance, ...]
    recommended: CountChance
    fewest: tuple[CountChance | None, ...]
    step_factors: tuple[float, float]
    first_token_factors: tuple[float, float]


def confidence(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> Confidence:
    """Chance [1] that the limits hold by replica count, from half to twice that of a deployment, its batch limit fixed.

    The fewest for each of LEVELS is found by halving, as the chance rises with the count.

    Raises InputError for a deployment that is not one of a language model under this scenario.
    """
    work, batch = _replica(scenario, catalog, deployment)
    spare, usd = scenario.spare_replicas, deployment.cost.usd_per_instance_hour
    known: dict[int, CountChance] = {}

    def learn(counts: list[int]) -> None:
        new = sorted(set(counts) - known.keys())
        if not new:
            return
        for count, *chance in zip(new, *chances(scenario, work, batch, np.array(new, dtype=float)), strict=True):
            machines = instances_for(
                replicas=count + spare,
                accelerators_per_replica=deployment.accelerators_per_replica or 1,
                accelerators_per_instance=deployment.accelerators_per_instance or 1,
            )
            known[count] = CountChance(
                count + spare, machines, machines * usd, *(round(float(c), DIGITS) for c in chance)
            )

    chosen = deployment.replicas - spare
    grid = counts_around(chosen, scenario.concurrency)
    learn(grid)
    brackets = [_bracket(grid, known, level) for level in LEVELS]
    while any(high - low > 1 for low, high in brackets):
        middles = [(low + high) // 2 for low, high in brackets]
        learn([middle for middle in middles if middle])
        brackets = [
            (low, high) if high - low <= 1 else (low, middle) if known[middle].all >= level else (middle, high)
            for (low, high), middle, level in zip(brackets, middles, LEVELS, strict=True)
        ]
    fewest = [high for _, high in brackets]
    shown = sorted({*grid, *(count for count in fewest if count)})
    laws = error_laws(scenario)
    step = laws[0].widened(float(np.ravel(work.width)[0]))
    first = laws[1].widened(float(np.ravel(work.first_width)[0]))
    return Confidence(
        rows=tuple(known[count] for count in shown),
        recommended=known[chosen],
        fewest=tuple(known[count] if count else None for count in fewest),
        step_factors=(step.low, step.high),
        first_token_factors=(first.low, first.high),
    )


def counts_around(chosen: int, most: int | None = None) -> list[int]:
    """Replica counts from half to twice the chosen one, and at least two more (count); at most `most` clients' worth.

    >>> counts_around(1), counts_around(3), counts_around(20)
    ([1, 2, 3], [2, 3, 4, 5, 6], [10, 14, 18, 20, 21, 25, 29, 32, 36, 40])
    """
    low, high = ceil(chosen / 2), max(2 * chosen, chosen + 2)
    if most is not None:
        high = max(chosen, min(high, most))
    grid = np.linspace(low, high, min(GRID, high - low + 1))
    return sorted({chosen, *(round(float(n)) for n in grid)})


def _bracket(grid: list[int], known: dict[int, CountChance], level: float) -> tuple[int, int]:
    """The largest count of the grid that misses a level and the next that meets it; (0, 0) where none does."""
    met = next((count for count in grid if known[count].all >= level), 0)
    return max((count for count in grid if count < met), default=0), met


def error_laws(scenario: LlmScenario) -> tuple[ErrorLaw, ErrorLaw]:
    """Laws of the engine's error on a step and on a first token: the ends of its 80 % intervals."""
    _, slow, fast = engine_rates(scenario.runtime, scenario.engine_version)
    return (
        ErrorLaw(float(fast.scale), float(slow.scale)),
        ErrorLaw(float(fast.scale * fast.first_scale), float(slow.scale * slow.first_scale)),
    )


def chances(scenario: LlmScenario, work: Work, batch: int, counts: Floats) -> Chances:
    """Chance [1] that each limit holds at each replica count of one configuration, its batch limit [sequences] fixed.

    Chance = mean over equally likely step factors S of [utilization < 1] x [TPOT(S) <= limit] x
    P(F <= (TTFT limit / TTFT(S))^(1 / width)). S moves steps, waits and load; F is the factor on a whole first token, and
    TTFT(S) has that of an idle replica as predicted. The two are independent: over 1,611 public server runs the rank
    correlation of the errors on TPOT and TTFT is 0.001.

    Source: intervals of catalogs/llm_speed.yaml; own.
    """
    centre = engine_rates(scenario.runtime, scenario.engine_version)[0]
    step, first = error_laws(scenario)
    factors = np.tile(step.quantile((np.arange(STRATA) + 0.5) / STRATA), len(counts))[:, None]
    rows = len(factors)
    group = Group((), select(work, np.zeros(rows, dtype=np.intp)), np.full(rows, batch, dtype=np.intp), np.zeros(rows))
    use = replace(centre, scale=factors)
    # What the step factor does to a first token alone on the replica is taken back, so that F is all that moves it there.
    alone, predicted = (
        uniform_tpot_ms(group.work, np.ones((1, 1)), scenario.output_tokens, rates)[1] for rates in (use, centre)
    )
    step_width, first_width = group.work.width, group.work.first_width
    taken_back = predicted / alone * use.scale ** (step_width - first_width)
    use = replace(use, first_scale=taken_back ** (1.0 / first_width))
    done = load(scenario, group, np.repeat(counts, STRATA), use)
    column = PERCENTILE_COLUMN[scenario.slo_percentile]
    steady = np.where(done.full, 0.0, 1.0)
    tpot = ttft = np.ones(rows)
    if scenario.tpot_target_ms is not None:
        tpot = np.where(done.tpot_ms[:, column] <= scenario.tpot_target_ms, 1.0, 0.0)
    if scenario.ttft_target_ms is not None:
        room = (scenario.ttft_target_ms / done.ttft_ms[:, column]) ** (1.0 / np.ravel(first_width))
        ttft = first.below(room)

    def mean(holds: Floats) -> Floats:
        return np.asarray(holds.reshape(len(counts), STRATA).mean(axis=1))

    return Chances(mean(ttft), mean(tpot), mean(steady), mean(steady * tpot * ttft))


def _replica(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> tuple[Work, int]:
    """Work of the configuration that a deployment runs, as a stack of one, and its batch limit [sequences]."""
    degree, batch = deployment.parallelism, deployment.batch
    if degree is None or batch is None:
        raise InputError("deployment", deployment.instance, "a deployment of a language model")
    part, wanted = catalog.accelerator(deployment.accelerator or ""), split_of(scenario, degree.tp, degree.pp)
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    for item in configurations(scenario, model, draft, part, wanted.accelerators):
        if item.split == wanted:
            return stack([item.work]), batch
    raise InputError("deployment", deployment.instance, "a deployment of this scenario")
