"""Pareto fronts over the whole search space: speed for a user against throughput of an accelerator, and for the money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sizing import fleet
from sizing.catalog import Catalog
from sizing.catalog_rows import LlmModel
from sizing.errors import InputError
from sizing.fleet import Offer
from sizing.llm.candidates import Configuration, configurations, placeable, split_of, unsupported
from sizing.llm.constants import engine_rates
from sizing.llm.models import draft_of, model_of
from sizing.llm.search import MAX_SEARCH_BATCH, batch_grid
from sizing.llm.serving import closed_batch
from sizing.llm.sharding import Split
from sizing.llm.work import stack
from sizing.plan import Deployment
from sizing.scenario import LlmScenario
from sizing.units import MS_PER_S, SECONDS_PER_HOUR

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

TOKENS_PRICED = 1_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """One configuration at one batch, kept full by a closed loop: who it is, what a user gets, what it serves."""

    accelerator: str
    accelerator_name: str
    split: Split
    batch: int
    instance_type: str
    provider: str
    usd_per_hour: float  # of a replica: its share of the instance it is rented on
    tokens_per_s_per_user: float
    tokens_per_s_per_accelerator: float
    usd_per_million_tokens: float
    ttft_ms: float  # mean
    meets: bool  # both limits, at the mean


@dataclass(frozen=True)
class Space:
    """Every configuration that memory holds with its cheapest offer, and its figures by batch (rows x columns)."""

    items: tuple[Configuration, ...]
    offers: tuple[Offer, ...]
    usd_per_hour: Floats  # of a replica, by row
    batch: Ints
    tokens_per_s_per_user: Floats
    tokens_per_s_per_accelerator: Floats
    tokens_per_usd: Floats
    ttft_ms: Floats
    meets: NDArray[np.bool_]

    def point(self, row: int, column: int) -> Point:
        """One cell of the space."""
        item, offer = self.items[row], self.offers[row]
        return Point(
            accelerator=item.accelerator.id,
            accelerator_name=item.accelerator.name,
            split=item.split,
            batch=int(self.batch[row, column]),
            instance_type=offer.instance.instance_type,
            provider=offer.instance.provider,
            usd_per_hour=float(self.usd_per_hour[row]),
            tokens_per_s_per_user=float(self.tokens_per_s_per_user[row, column]),
            tokens_per_s_per_accelerator=float(self.tokens_per_s_per_accelerator[row, column]),
            usd_per_million_tokens=TOKENS_PRICED / float(self.tokens_per_usd[row, column]),
            ttft_ms=float(self.ttft_ms[row, column]),
            meets=bool(self.meets[row, column]),
        )


@dataclass(frozen=True, slots=True)
class Frontier:
    """The two fronts, fastest for a user first; the chosen configuration by batch, and which of its points is chosen."""

    per_accelerator: tuple[Point, ...]
    per_dollar: tuple[Point, ...]
    chosen: tuple[Point, ...]
    chosen_batch: int | None
    configurations: int
    estimates: int  # of them at different batches


def non_dominated(x: Floats, y: Floats) -> Ints:
    """Positions of the points that no other beats in one value without losing in the other, larger is better; by falling
    x, one of several that are equal.

    >>> non_dominated(np.array([1.0, 3.0, 2.0, 2.0]), np.array([5.0, 1.0, 4.0, 3.0])).tolist()
    [1, 2, 0]
    """
    order = np.lexsort((-y, -x))
    best = np.maximum.accumulate(np.concatenate([[-np.inf], y[order]]))[:-1]
    return order[y[order] > best]


def frontier(scenario: LlmScenario, catalog: Catalog, chosen: Deployment | None = None) -> Frontier:
    """Pareto fronts of output tokens/s for a user against output tokens/s of an accelerator, and against tokens for a
    dollar [tokens/s, USD per million tokens], over every allowed accelerator, split and batch that memory holds.

    The configuration of `chosen` is given by batch too, at the price of its own instance.

    Raises InputError for a single output token, which leaves no time between tokens.
    """
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    space = space_of(scenario, model, fleet.offers(scenario, catalog, category="gpu")[0], draft)
    user = space.tokens_per_s_per_user.ravel()
    fronts = [
        non_dominated(user, other.ravel()) for other in (space.tokens_per_s_per_accelerator, space.tokens_per_usd)
    ]
    columns = space.batch.shape[1]
    per_accelerator, per_dollar = (tuple(space.point(*divmod(int(i), columns)) for i in front) for front in fronts)
    return Frontier(
        per_accelerator=per_accelerator,
        per_dollar=per_dollar,
        chosen=_chosen(scenario, space, chosen) if chosen is not None else (),
        chosen_batch=chosen.batch if chosen is not None else None,
        configurations=len(space.items),
        estimates=len(space.items) + int((np.diff(space.batch, axis=1) > 0).sum()),
    )


def space_of(scenario: LlmScenario, model: LlmModel, offers: Sequence[Offer], draft: LlmModel | None = None) -> Space:
    """Every configuration of the offered accelerators and its figures by batch, all at once.

    Tokens/s for a user = 1000 / TPOT; of an accelerator = batch x output / (E2E x accelerators), in a closed loop that
    keeps the batch full; tokens for a dollar = output tokens in an hour / price of a replica in an hour.
    """
    if scenario.output_tokens < 2:
        raise InputError("output_tokens", scenario.output_tokens, "at least 2 for a time between tokens")
    rented = cheapest(scenario, model, offers, draft)
    items = tuple(item for item, _, _ in rented)
    if not items:
        none = np.zeros((0, 1))
        return Space((), (), np.zeros(0), none.astype(np.intp), none, none, none, none, none.astype(bool))
    most = np.array([item.max_sequences for item in items], dtype=np.intp)
    most = np.minimum(most, scenario.batch if scenario.batch is not None else MAX_SEARCH_BATCH)
    # Each row ends at its own largest batch and repeats it where others go on, so that no cell needs to be left out.
    grid = np.union1d(batch_grid(int(most.max())), [most.max()])
    batch = np.minimum(grid[None, :], most[:, None])
    work = stack([item.work for item in items])
    centre = engine_rates(scenario.runtime, scenario.engine_version)[0]
    done = closed_batch(work, batch.astype(float), float(scenario.output_tokens), centre)
    usd = np.array([price for _, _, price in rented])
    tokens_per_s = done.requests_per_s * scenario.output_tokens
    accelerators = np.array([float(item.accelerators) for item in items])
    ttft, tpot = (np.inf if limit is None else limit for limit in (scenario.ttft_target_ms, scenario.tpot_target_ms))
    return Space(
        items=items,
        offers=tuple(offer for _, offer, _ in rented),
        usd_per_hour=usd,
        batch=batch,
        tokens_per_s_per_user=MS_PER_S / done.tpot_ms,
        tokens_per_s_per_accelerator=tokens_per_s / accelerators[:, None],
        tokens_per_usd=tokens_per_s * SECONDS_PER_HOUR / usd[:, None],
        ttft_ms=done.ttft_ms,
        meets=(done.ttft_ms <= ttft) & (done.tpot_ms <= tpot),
    )


def cheapest(
    scenario: LlmScenario, model: LlmModel, offers: Sequence[Offer], draft: LlmModel | None = None
) -> list[tuple[Configuration, Offer, float]]:
    """Every configuration that memory holds, with the offer on which a replica costs least an hour [USD] and that cost."""
    by_part: dict[str, list[Offer]] = {}
    for offer in offers:
        if offer.accelerator is not None and offer.instance.accelerator_count is not None:
            by_part.setdefault(offer.accelerator.id, []).append(offer)
    found = []
    for rented in by_part.values():
        part = rented[0].accelerator
        if part is None or unsupported(scenario, model, part) is not None:
            continue
        largest = max(offer.instance.accelerator_count or 1 for offer in rented)
        for item in configurations(scenario, model, draft, part, largest):
            fitting = [offer for offer in rented if placeable(item, offer.instance.accelerator_count or 1)]
            if item.max_sequences > 0 and fitting:
                prices = [
                    replica_usd(offer.price.usd_per_hour, offer.instance.accelerator_count or 1, item.accelerators)
                    for offer in fitting
                ]
                least = min(range(len(fitting)), key=prices.__getitem__)
                found.append((item, fitting[least], prices[least]))
    return found


def replica_usd(usd_per_instance_hour: float, accelerators_per_instance: int, accelerators: int) -> float:
    """Cost of a replica in an hour [USD]: its share of an instance filled with such replicas, or all it is spread over.

    >>> replica_usd(8.0, 8, 3), replica_usd(8.0, 8, 16)
    (4.0, 16.0)
    """
    if accelerators <= accelerators_per_instance:
        return usd_per_instance_hour / (accelerators_per_instance // accelerators)
    return usd_per_instance_hour * ceil(accelerators / accelerators_per_instance)


def _chosen(scenario: LlmScenario, space: Space, deployment: Deployment) -> tuple[Point, ...]:
    """Points of a deployment's configuration by rising batch, at the price of its own instance."""
    degree = deployment.parallelism
    if degree is None:
        raise InputError("deployment", deployment.instance, "a deployment of a language model")
    split = split_of(scenario, degree.tp, degree.pp)
    usd = replica_usd(
        deployment.cost.usd_per_instance_hour, deployment.accelerators_per_instance or 1, split.accelerators
    )
    for row, item in enumerate(space.items):
        if item.accelerator.id == deployment.accelerator and item.split == split:
            points = {int(batch): space.point(row, column) for column, batch in enumerate(space.batch[row])}
            return tuple(
                replace(
                    point,
                    instance_type=deployment.instance_type,
                    provider=deployment.provider,
                    usd_per_hour=usd,
                    usd_per_million_tokens=point.usd_per_million_tokens * usd / point.usd_per_hour,
                )
                for point in points.values()
            )
    return ()
