"""Pareto fronts: nothing on them is beaten, nothing beats them, and a better part never moves them inwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sizing import catalog as catalogs
from sizing import fleet
from sizing.errors import InputError
from sizing.fleet import Offer
from sizing.llm.constants import engine_rates
from sizing.llm.frontier import Space, cheapest, frontier, non_dominated, space_of
from sizing.llm.serving import closed_batch
from sizing.llm.work import stack
from sizing.planner import plan
from sizing.scenario import LlmScenario

CATALOG = catalogs.load()
Floats = NDArray[np.float64]
VALUES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=40)


def offers_of(scenario: LlmScenario) -> list[Offer]:
    return fleet.offers(scenario, CATALOG, category="gpu")[0]


def space(scenario: LlmScenario, offers: list[Offer] | None = None) -> Space:
    return space_of(scenario, CATALOG.llm_model(scenario.model), offers_of(scenario) if offers is None else offers)


def axes(found: Space) -> tuple[tuple[Floats, Floats], ...]:
    user = found.tokens_per_s_per_user.ravel()
    return (user, found.tokens_per_s_per_accelerator.ravel()), (user, found.tokens_per_usd.ravel())


def covered(x: Floats, y: Floats, front_x: Floats, front_y: Floats, slack: float = 0.0) -> NDArray[np.bool_]:
    """Which points some point of a front equals or beats in both values."""
    as_fast = front_x[None, :] >= x[:, None] * (1.0 - slack)
    as_much = front_y[None, :] >= y[:, None] * (1.0 - slack)
    return np.asarray((as_fast & as_much).any(axis=1))


@given(points=VALUES)
def test_front_of_any_points_with_ties(points: list[tuple[int, int]]) -> None:
    x, y = (np.array([p[i] for p in points], dtype=float) for i in (0, 1))
    front = non_dominated(x, y)
    beaten = [any(a >= p and b >= q and (a, b) != (p, q) for a, b in points) for p, q in points]
    assert {points[i] for i in front} == {p for p, is_beaten in zip(points, beaten, strict=True) if not is_beaten}
    assert len({points[i] for i in front}) == len(front)
    assert (np.diff(x[front]) < 0).all()
    assert (np.diff(y[front]) > 0).all()


@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-2-70b-hf", "deepseek-v3"])
def test_every_candidate_is_on_the_fronts_or_beaten_by_them(model: str) -> None:
    found = space(LlmScenario(model=model))
    assert len(found.items) > 50
    for x, y in axes(found):
        front = non_dominated(x, y)
        assert 5 < len(front) < len(x)
        assert covered(x, y, x[front], y[front]).all()
        for i in front:
            assert not ((x >= x[i]) & (y >= y[i]) & ((x > x[i]) | (y > y[i]))).any()


def test_only_batches_that_memory_holds() -> None:
    found = space(LlmScenario())
    held = np.array([item.max_sequences for item in found.items])
    assert (found.batch <= held[:, None]).all()
    assert (found.batch[:, -1] == np.minimum(held, 512)).all()
    assert (np.diff(found.batch, axis=1) >= 0).all()
    assert space(LlmScenario(batch=30)).batch.max() == 30
    different = sum(len(set(row)) for row in found.batch.tolist())
    assert frontier(LlmScenario(), CATALOG).estimates == different


def test_figures_of_a_point_by_hand() -> None:
    """A replica of 1 and one of 4 x H100 at batch 16: 16 x 250 tokens in each request's stay, on a machine of 8."""
    scenario = LlmScenario()
    h100 = next(
        offer
        for offer in offers_of(scenario)
        if (offer.instance.accelerator_id, offer.instance.accelerator_count) == ("h100-sxm-80gb", 8)
    )
    found = space(scenario, [h100])
    for row, count in ((0, 1), (next(i for i, item in enumerate(found.items) if item.split.tensor == 4), 4)):
        point = found.point(row, found.batch[row].tolist().index(16))
        done = closed_batch(stack([found.items[row].work]), np.array([[16.0]]), 250.0, engine_rates("vllm", None)[0])
        per_s = 16 * 250 / (done.e2e_ms[0, 0] / 1000)
        price = h100.price.usd_per_hour / 8 * count
        assert (point.batch, point.split.accelerators) == (16, count)
        assert point.tokens_per_s_per_user == pytest.approx(1000 / done.tpot_ms[0, 0])
        assert point.tokens_per_s_per_accelerator == pytest.approx(per_s / count)
        assert point.usd_per_hour == pytest.approx(price)
        assert point.usd_per_million_tokens == pytest.approx(price / (per_s * 3600) * 1e6)
        assert point.meets == (done.ttft_ms[0, 0] <= 1000 and done.tpot_ms[0, 0] <= 50)


def test_limits_mark_points_and_do_not_move_them() -> None:
    tight = LlmScenario(tpot_target_ms=8.0, ttft_target_ms=40.0)
    found, free = space(tight), space(LlmScenario(tpot_target_ms=None, ttft_target_ms=None))
    assert (found.tokens_per_s_per_user == free.tokens_per_s_per_user).all()
    assert free.meets.all()
    expected = (found.tokens_per_s_per_user >= 125.0) & (found.ttft_ms <= 40.0)
    assert (found.meets == expected).all()
    assert expected.any()
    assert not expected.all()


def test_a_replica_is_rented_where_its_share_costs_least() -> None:
    """Eight at 20 USD an hour beside one at 3: alone 2.5 on the large machine; three of them 20 / 2 = 10, not 9, so the
    large machine loses them to three small ones as a pipeline."""
    scenario = LlmScenario()
    base = next(o for o in offers_of(scenario) if o.instance.accelerator_id == "h100-sxm-80gb")

    def offer(name: str, count: int, usd: float) -> Offer:
        instance = base.instance.model_copy(update={"id": name, "instance_type": name, "accelerator_count": count})
        return replace(base, instance=instance, price=base.price.model_copy(update={"usd_per_hour": usd}))

    rented = cheapest(scenario, CATALOG.llm_model(scenario.model), [offer("eight", 8, 20.0), offer("one", 1, 3.0)])
    by_split = {(item.split.tensor, item.split.pipeline): (o.instance.id, usd) for item, o, usd in rented}
    assert by_split[1, 1] == ("eight", 2.5)
    assert by_split[1, 3] == ("one", 9.0)
    assert by_split[2, 1] == ("eight", 5.0)
    assert by_split[8, 2] == ("eight", 40.0)


@pytest.mark.parametrize("gain", [1.1, 2.0, 8.0])
@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b-v0.1"])
def test_more_bandwidth_never_moves_a_front_inwards(model: str, gain: float) -> None:
    scenario = LlmScenario(model=model)
    kept = ("h100-sxm-80gb", "a100-sxm-80gb", "l40s", "mi300x")
    offers = [o for o in offers_of(scenario) if o.instance.accelerator_id in kept]
    wider = []
    for offer in offers:
        part = offer.accelerator
        assert part is not None
        changed = {"memory_bandwidth_gb_per_s": part.memory_bandwidth_gb_per_s * gain}
        wider.append(replace(offer, accelerator=part.model_copy(update=changed)))
    before, after = axes(space(scenario, offers)), axes(space(scenario, wider))
    for (x, y), (new_x, new_y) in zip(before, after, strict=True):
        front, new = non_dominated(x, y), non_dominated(new_x, new_y)
        assert covered(x[front], y[front], new_x[new], new_y[new], slack=1e-9).all()
        assert new_x[new].max() > x[front].max()


@pytest.mark.parametrize(
    "scenario",
    [LlmScenario(), LlmScenario(model="llama-2-70b-hf"), LlmScenario(batch=32), LlmScenario(requests_per_s=300)],
    ids=["default", "70B", "batch 32", "many"],
)
def test_the_recommended_deployment_lies_on_or_inside_the_fronts(scenario: LlmScenario) -> None:
    best = plan(scenario, CATALOG).recommended
    assert best is not None
    found = frontier(scenario, CATALOG, best)
    (star,) = [point for point in found.chosen if point.batch == best.batch]
    assert star.accelerator == best.accelerator
    assert star.instance_type == best.instance_type
    assert star.usd_per_hour <= best.cost.usd_per_hour / best.replicas + 1e-9
    assert [point.batch for point in found.chosen] == sorted({point.batch for point in found.chosen})
    for point in found.chosen:
        speed = point.tokens_per_s_per_user
        assert any(
            p.tokens_per_s_per_user >= speed and p.tokens_per_s_per_accelerator >= point.tokens_per_s_per_accelerator
            for p in found.per_accelerator
        )
        assert any(
            p.tokens_per_s_per_user >= speed and p.usd_per_million_tokens <= point.usd_per_million_tokens * (1 + 1e-9)
            for p in found.per_dollar
        )


def test_a_deployment_is_shown_at_the_price_of_its_own_machine() -> None:
    """Every kind of machine with an H100 has a deployment, and most cost more than the cheapest."""
    scenario = LlmScenario(accelerators=("h100-sxm-80gb",))
    for deployment in plan(scenario, CATALOG).ranked:
        found = frontier(scenario, CATALOG, deployment)
        (star,) = [point for point in found.chosen if point.batch == deployment.batch]
        tokens_per_hour = star.tokens_per_s_per_accelerator * star.split.accelerators * 3600
        assert star.usd_per_million_tokens == pytest.approx(star.usd_per_hour / tokens_per_hour * 1e6)
        in_one = (deployment.accelerators_per_instance or 1) // star.split.accelerators
        assert star.usd_per_hour == pytest.approx(deployment.cost.usd_per_instance_hour / in_one)


def test_a_single_output_token_has_no_speed() -> None:
    with pytest.raises(InputError, match="output_tokens"):
        space(LlmScenario(output_tokens=1))


def test_without_hardware_that_holds_it_the_fronts_are_empty() -> None:
    found = frontier(LlmScenario(model="deepseek-v3", accelerators=("t4",)), CATALOG)
    assert (found.per_accelerator, found.per_dollar, found.chosen, found.configurations) == ((), (), (), 0)
