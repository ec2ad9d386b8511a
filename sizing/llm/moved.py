"""A scenario sized anew with constants of the engine moved, and the latency of a deployment that is left as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np

from sizing import fleet
from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.fleet import Offer, instances_for
from sizing.llm.candidates import Configuration, configurations, memory_of, scenario_work, split_of, unsupported
from sizing.llm.confidence import error_laws
from sizing.llm.constants import Rates, engine_rates
from sizing.llm.models import draft_of, model_of
from sizing.llm.search import PERCENTILE_COLUMN, Floats, Group, fewest_replicas, load, parts_of, sized, with_batch
from sizing.llm.serving import capacity_per_s, uniform_tpot_ms
from sizing.llm.work import stack
from sizing.outcome import Outcome
from sizing.plan import Deployment
from sizing.scenario import LlmScenario
from sizing.units import HOURS_PER_MONTH

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Middles of five equally likely fifths of an error law [1]: two independent errors make 25 equally likely pairs."""
LOWEST = ((1, 0), (0, 1), (2, 0), (0, 2))
HIGHEST = ((3, 4), (4, 3), (2, 4), (4, 2))
"""Pairs (step, first token) of LEVELS, by place, among which the third smallest and the third largest of the 25 counts are."""


def counts_at_ends(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> tuple[int | None, int | None]:
    """Replicas (count, spares included) at the ends of the 80 % interval of our own error; None: no count keeps the limits.

    The count is sized anew for 25 equally likely pairs of the two errors, that of a step and that of a first token, which are
    independent (`confidence.chances`). It grows with either, so that its 10 % and 90 % quantiles, the third smallest and the
    third largest of 25, are among eight of the pairs. Replicas stay spread as they are; batch limit and count follow.

    Raises InputError for a deployment that is not one of this scenario.
    """
    item = configuration_of(scenario, catalog, deployment)
    step, first = error_laws(scenario)
    levels = np.array(LEVELS)
    steps, firsts = step.widened(float(item.work.width)).quantile(levels), first.quantile(levels)
    pairs = [*LOWEST, *HIGHEST]
    found = _counts(scenario, item, np.array([steps[i] for i, _ in pairs]), np.array([firsts[j] for _, j in pairs]))
    fewest, most = found[: len(LOWEST)], found[len(LOWEST) :]
    low = _third(fewest[0], fewest[1], fewest[2], fewest[3], sign=-1)
    high = _third(most[0], most[1], most[2], most[3], sign=1)
    spare = scenario.spare_replicas
    return (None if low == inf else int(low) + spare), (None if high == inf else int(high) + spare)


def _third(a: float, b: float, beside_a: float, beside_b: float, *, sign: int) -> float:
    """The third from the end of 25 counts that grow along both errors.

    Next to the corner are `a` and `b`; the third is the nearer of them, or what comes after the farther one on its side.
    `a` = (3, 4) is followed by (2, 4), `b` = (4, 3) by (4, 2); (3, 3) is beyond neither.
    """
    if sign * a >= sign * b:
        return b if sign * b >= sign * beside_a else beside_a
    return a if sign * a >= sign * beside_b else beside_b


def _counts(scenario: LlmScenario, item: Configuration, steps: Floats, firsts: Floats) -> list[float]:
    """Fewest replicas of one configuration for each pair of a factor on every pass and one on a whole first token [1]; infinite
    where none does. What the first does to a first token alone on the replica is taken back, as in `confidence.chances`."""
    centre = engine_rates(scenario.runtime, scenario.engine_version)[0]
    items = [replace(item, work=replace(item.work, step_factor=item.work.step_factor * float(s))) for s in steps]
    one = np.ones((1, 1))
    alone, predicted = (
        uniform_tpot_ms(stack([each.work for each in those]), one, scenario.output_tokens, centre)[1]
        for those in (items, [item])
    )
    use = replace(centre, first_scale=(predicted / alone) ** (1.0 / float(item.work.first_width)) * firsts[:, None])
    group, failures, _ = with_batch(scenario, items, centre)
    replicas, _ = fewest_replicas(scenario, group, use)
    return [
        float(count) if count > 0 and (missed is None or missed[0] == "TTFT") else inf
        for count, missed in zip(replicas, failures, strict=True)
    ]


def configuration_of(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> Configuration:
    """The configuration that a deployment runs. Raises InputError for a deployment that is none of this scenario."""
    degree = deployment.parallelism
    if degree is None:
        raise InputError("deployment", deployment.instance, "a deployment of a language model")
    part, wanted = catalog.accelerator(deployment.accelerator or ""), split_of(scenario, degree.tp, degree.pp)
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    for item in configurations(scenario, model, draft, part, wanted.accelerators):
        if item.split == wanted:
            return item
    raise InputError("deployment", deployment.instance, "a deployment of this scenario")


def with_step(scenario: LlmScenario, item: Configuration, factor: float) -> Rates:
    """The engine's constants with every pass so many times as long [1], before what is known of a model narrows that. What it
    does to a first token alone on the replica is taken back: the error of that is another one."""
    centre = engine_rates(scenario.runtime, scenario.engine_version)[0]
    moved, work, one = replace(centre, scale=factor), stack([item.work]), np.ones((1, 1))
    alone, predicted = (uniform_tpot_ms(work, one, scenario.output_tokens, use)[1] for use in (moved, centre))
    width, first_width = float(item.work.width), float(item.work.first_width)
    taken_back = float((predicted / alone)[0, 0]) * factor ** (width - first_width)
    return replace(moved, first_scale=taken_back ** (1.0 / first_width))


def resized(
    scenario: LlmScenario, catalog: Catalog, use: Rates | None = None, *, instance: str | None = None
) -> tuple[Outcome, ...]:
    """What serves the scenario, ranked, under other constants of the engine; on one kind of instance, or on all allowed.

    The budget is left aside: it says what may be rented, not what is needed. Raises InputError as `plan` does.
    """
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    offers = _offers(scenario, catalog, model, instance)
    parts, largest = parts_of(offers)
    items = {id: configurations(scenario, model, draft, part, largest[id]) for id, part in parts.items()}
    found = sized(scenario, [(offer, items[offer.instance.accelerator_id or ""]) for offer in offers], use)
    made = []
    for offer, row in zip(offers, found.rows, strict=True):
        if row is not None:
            replicas = int(found.replicas[row]) + scenario.spare_replicas
            machines = instances_for(
                replicas=replicas,
                accelerators_per_replica=found.group.items[row].accelerators,
                accelerators_per_instance=offer.instance.accelerator_count or 1,
            )
            usd = machines * offer.price.usd_per_hour * HOURS_PER_MONTH
            made.append(Outcome(offer.instance.id, offer.instance.instance_type, replicas, machines, usd))
    return tuple(sorted(made, key=lambda outcome: (outcome.usd_per_month, outcome.instances, outcome.instance)))


def _offers(scenario: LlmScenario, catalog: Catalog, model: LlmModel, instance: str | None) -> list[Offer]:
    allowed = scenario if instance is None else scenario.model_copy(update={"instances": (instance,)})
    return [
        offer
        for offer in fleet.offers(allowed, catalog, category="gpu")[0]
        if offer.accelerator is not None
        and offer.instance.accelerator_count is not None
        and unsupported(scenario, model, offer.accelerator) is None
    ]


def latency_ms(
    scenario: LlmScenario, catalog: Catalog, deployment: Deployment, uses: Sequence[Rates | None] = (None,)
) -> list[float | None]:
    """Time to first token [ms] at the scenario's percentile under each set of constants, with replicas, their spread and
    their batch limit left as they are; the limit falls to what memory holds.

    Infinite where more arrives than is served; None where memory no longer holds a request.
    """
    degree, batch = deployment.parallelism, deployment.batch
    if degree is None or batch is None:
        raise InputError("deployment", deployment.instance, "a deployment of a language model")
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    part, split = catalog.accelerator(deployment.accelerator or ""), split_of(scenario, degree.tp, degree.pp)
    held = memory_of(scenario, model, part, split, draft).held(scenario.prompt_tokens + scenario.output_tokens)
    if held < 1:
        return [None] * len(uses)
    work = stack([scenario_work(scenario, model, draft, part, split)])
    limit = np.array([min(batch, held)], dtype=np.intp)
    replicas = np.array([float(max(1, deployment.replicas - scenario.spare_replicas))])
    centre = engine_rates(scenario.runtime, scenario.engine_version)[0]
    found: list[float | None] = []
    for use in uses:
        rates = use or centre
        group = Group((), work, limit, capacity_per_s(work, limit, scenario.output_tokens, rates))
        done = load(scenario, group, replicas, rates)
        column = PERCENTILE_COLUMN[scenario.slo_percentile]
        found.append(inf if done.full[0] else float(done.ttft_ms[0, column]))
    return found
