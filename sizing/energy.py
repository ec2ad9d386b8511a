"""Energy and CO2 of a deployment: power of its boards and hosts by `sizing.power`, the building by its PUE, the grid.

P = (boards + around the boards + CPUs + memory) x PUE; energy of a month = mean P of the week x 730 h; of a request = mean P /
mean requests per second; CO2 = energy x g per kWh. Intervals add up those of the parts, which is wider than 80 % where they are independent.
Making the machines is left out, and so is what a provider buys of clean power: this is by the place's mix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator, Instance
from sizing.cost_over_time.curve import WEEK
from sizing.cost_over_time.fleet_size import fleet_week
from sizing.grid import Grid, grid_of, own_grid
from sizing.plan import Deployment
from sizing.power import CPU_FACTORS, board_extra, board_shares, cpu_watts, memory_watts
from sizing.scenario import AnyScenario
from sizing.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

DEFAULT_PUE, PUE_LOW, PUE_HIGH = 1.15, 1.08, 1.30
"""Energy of the building / energy of its machines [1]. Amazon reports 1.14 for 2025 and 1.15 for 2024
(sustainability.aboutamazon.com, the cloud), Microsoft 1.17 for 2025 and Google 1.09; the ends are recalled, 2026-11."""

HOST_BUSY = 0.2
"""Share of time that the CPUs beside accelerators work where the plan does not say [1]: recalled, 2026-11."""


@dataclass(frozen=True, slots=True)
class Part:
    """Power of one part of the deployment [W] with its 80 % interval, and how it comes about."""

    name: str
    watts: float
    low: float
    high: float
    formula: str
    with_numbers: str
    source: str


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with the ends of its interval, in the unit that its name says."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Range:
        """The same figure in another unit."""
        return Range(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Energy:
    """What a deployment draws at the demanded load (`parts`, `watts`), and what the week makes of it: a month, a request."""

    parts: tuple[Part, ...]
    pue: float
    grid: Grid
    watts: Range
    mean_watts: Range
    kwh_per_month: Range
    wh_per_request: Range
    wh_per_1k_output_tokens: Range | None
    kg_co2_per_month: Range
    g_co2_per_request: Range


def energy(scenario: AnyScenario, catalog: Catalog, deployment: Deployment) -> Energy | None:
    """Energy and CO2 of a deployment over the week of its load; None where the rated power of its accelerator is not known.

    A month = mean power of the 168 hours x 730 h, a request = mean power / mean rate; each hour has its own machines, and what is
    in flight on each goes with its load (Little's law with the time of the busiest hour: at most a little too much).
    """
    instance = catalog.instance(deployment.instance)
    part = None if deployment.accelerator is None else catalog.accelerator(deployment.accelerator)
    if part is not None and part.tdp_w is None:
        return None
    own = own_pue(scenario)
    pue = (DEFAULT_PUE, PUE_LOW, PUE_HIGH) if own is None else (own, own, own)

    def drawn(parts: Sequence[Part]) -> Range:
        return Range(
            sum(p.watts for p in parts) * pue[0],
            sum(p.low for p in parts) * pue[1],
            sum(p.high for p in parts) * pue[2],
        )

    def parts_of(d: Deployment) -> tuple[Part, ...]:
        return (*_boards(scenario, d, part), *_host(scenario, d, instance))

    parts = parts_of(deployment)
    watts, rate = drawn(parts), deployment.throughput.requests_per_s.demanded
    mean, mean_rate = watts, rate
    if scenario.load_shape != "constant":
        week = fleet_week(scenario, catalog, deployment)
        hours = Counter(zip(week.loads_per_s.tolist(), week.instances.tolist(), strict=True))
        each = [
            (drawn(parts_of(at_hour(deployment, load, machines))), times) for (load, machines), times in hours.items()
        ]
        mean = Range(*(sum(getattr(r, end) * n for r, n in each) / WEEK for end in ("value", "low", "high")))
        mean_rate = float(week.loads_per_s.mean())
    given = scenario.grid_g_co2_per_kwh
    grid = grid_of(deployment.region, scenario.region) if given is None else own_grid(given)
    kwh = mean.times(HOURS_PER_MONTH / 1000.0)
    wh = mean.times(1.0 / (mean_rate * SECONDS_PER_HOUR))
    tokens = deployment.throughput.output_tokens_per_s
    return Energy(
        parts=parts,
        pue=pue[0],
        grid=grid,
        watts=watts,
        mean_watts=mean,
        kwh_per_month=kwh,
        wh_per_request=wh,
        wh_per_1k_output_tokens=None if tokens is None else wh.times(1000.0 * rate / tokens.demanded),
        kg_co2_per_month=_co2(kwh, grid),
        g_co2_per_request=_co2(wh, grid),
    )


def at_hour(deployment: Deployment, load_per_s: float, machines: int) -> Deployment:
    """The deployment as it is in one hour: other machines, and of the load of each what the hour brings."""
    d = deployment
    rate = d.throughput.requests_per_s
    share = (
        (load_per_s / rate.demanded) * (d.instances / machines) if machines else 0.0
    )  # load of a machine over the plan's
    extra = dict(d.extra)
    for name, whole in (("batch_in_flight", False), ("vcpus_needed", True)):
        if extra.get(name) is not None:
            extra[name] = float(extra[name] or 0.0) * (load_per_s / rate.demanded if whole else share)
    return replace(
        d,
        instances=machines,
        replicas=max(1, round(d.replicas * machines / d.instances)) if machines else 0,
        utilization=d.utilization * share,
        extra=extra,
    )


def own_pue(scenario: AnyScenario) -> float | None:
    """PUE that the user entered [1], or None where the field has its usual value: that one is of a rented room for servers
    of one's own, these machines stand in a cloud's building.

    >>> from sizing.scenario import LlmScenario
    >>> own_pue(LlmScenario()), own_pue(LlmScenario(pue=1.1))
    (None, 1.1)
    """
    return None if scenario.pue == type(scenario).model_fields["pue"].get_default() else scenario.pue


def _co2(used: Range, grid: Grid) -> Range:
    """CO2 of an energy: g where it is in Wh, kg where it is in kWh (both / 1,000 from g per kWh)."""
    ends = ((used.value, grid.g_per_kwh), (used.low, grid.low), (used.high, grid.high))
    value, low, high = (amount * grams / 1000.0 for amount, grams in ends)
    return Range(value, low, high)


def _boards(scenario: AnyScenario, d: Deployment, part: Accelerator | None) -> tuple[Part, ...]:
    """Boards that serve, boards that wait (spares, and those of a machine that no replica uses), and what is around them."""
    if part is None or part.tdp_w is None:
        return ()
    tdp, held = part.tdp_w, d.accelerators or 0
    share = int(d.extra.get("workers_per_device") or 1)
    working = max(1, d.replicas - scenario.spare_replicas)
    serving = min(held, ceil(working * (d.accelerators_per_replica or 1) / share))
    in_flight = float(d.extra.get("batch_in_flight") or 1.0)
    given = scenario.power_share_of_tdp
    busy = None if scenario.kind == "llm" else d.utilization
    low, centre, high = board_shares(in_flight, busy)
    source = "fit to 66 public runs, benchmarks/board_power.csv"
    if given is not None:
        low = centre = high = given
        source = "the share of the rated power as you entered it"
    found = [
        Part(
            "Accelerators that serve",
            serving * tdp * centre,
            serving * tdp * low,
            serving * tdp * high,
            "boards x rated power x share of it",
            f"{serving} x {tdp:g} W x {centre:.2f}"
            + ("" if given else f", at {in_flight:.3g} requests in flight on each"),
            source,
        )
    ]
    if held > serving:
        idle = board_shares(0.0, 0.0)
        found.append(
            Part(
                "Accelerators that wait",
                (held - serving) * tdp * idle[1],
                (held - serving) * tdp * idle[0],
                (held - serving) * tdp * idle[2],
                "boards x rated power x idle share",
                f"{held - serving} x {tdp:g} W x {idle[1]:.2f}",
                "arXiv 2605.23918 for the context, the rest recalled",
            )
        )
    extra = board_extra(part)
    found.append(
        Part(
            "Fans, switches and losses",
            held * tdp * extra[1],
            held * tdp * extra[0],
            held * tdp * extra[2],
            "boards x rated power x share around them",
            f"{held} x {tdp:g} W x {extra[1]:.2f}",
            "arXiv 2506.14551 for eight H100, else recalled",
        )
    )
    return tuple(found)


def _host(scenario: AnyScenario, d: Deployment, instance: Instance) -> tuple[Part, ...]:
    """Hardware threads and memory of the machines."""
    threads = instance.vcpus
    if threads is None:
        return ()
    idle, full = cpu_watts(instance)
    busy = _cpu_busy(d, threads)
    each = idle + busy * (full - idle)
    memory = memory_watts(instance)
    found = []
    if full > 0.0:
        watts = d.instances * threads * each
        found.append(
            Part(
                "CPUs",
                watts,
                watts * CPU_FACTORS[0],
                watts * CPU_FACTORS[1],
                "machines x vCPUs x (idle + busy x (full - idle))",
                f"{d.instances} x {threads} x ({idle:g} + {busy:.2f} x ({full:g} - {idle:g})) W",
                "Cloud Carbon Footprint after SPECpower, 2026-03",
            )
        )
    if memory > 0.0:
        watts = d.instances * memory
        found.append(
            Part(
                "Memory",
                watts,
                watts * 0.5,
                watts * 1.5,
                "machines x GB beyond 1.5 a vCPU x 0.392 W",
                f"{d.instances} x {memory / 0.392:,.0f} GB x 0.392 W",
                "Cloud Carbon Footprint, methodology",
            )
        )
    return tuple(found)


def _cpu_busy(d: Deployment, threads: int) -> float:
    """Share of time that a vCPU of the machines works [1]."""
    if d.accelerator is None:
        return min(1.0, d.utilization)
    need = d.extra.get("vcpus_needed")
    return HOST_BUSY if need is None else min(1.0, float(need) / (threads * d.instances))
