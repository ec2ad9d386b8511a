"""What is varied to see what moves an answer: inputs by a stated step, and our own constants over their 80 % range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import exp
from typing import Any

from sizing.catalog import Catalog
from sizing.deep_learning import moved as deep_learning_moved
from sizing.deep_learning.host import host_work
from sizing.deep_learning.law import Law
from sizing.deep_learning.pipeline import facts_of
from sizing.deep_learning.workers import Retime
from sizing.llm.confidence import error_laws
from sizing.llm.constants import Rates, engine_rates, generation_of, stated
from sizing.llm.moved import configuration_of, with_step
from sizing.plan import Deployment
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario
from sizing.statistical import moved as statistical_moved
from sizing.statistical.candidate import model_of
from sizing.statistical.own import resolved
from sizing.statistical.service_time import constants_error

LIMIT_SHARE = 0.2
"""Step of a latency limit and of a price either way [1]."""
SHARE_STEP = 0.1
"""Step of a share, such as the utilization cap, either way [1]."""

Fields = dict[str, Any]
Own = Rates | Retime | statistical_moved.Factor
"""A change of our own constants, as the family takes it."""


@dataclass(frozen=True)
class End:
    """One end of a change: in words, and what it sets: fields of the scenario, our constants, or a factor on the price [1]."""

    words: str
    fields: Fields | None = None
    own: Own | None = None
    price: float = 1.0


@dataclass(frozen=True)
class Change:
    """What is varied, its low and high end (None: no such end), whether it is ours, and where its range is from."""

    name: str
    low: End | None
    high: End | None
    is_own: bool
    range_from: str


def changes(scenario: AnyScenario, catalog: Catalog, deployment: Deployment) -> tuple[Change, ...]:
    """What is varied for a scenario: traffic and lengths halved and doubled, limits by 20 %, shares by 0.1, the price by 20 %,
    and our own constants over their 80 % range.

    >>> from sizing.catalog import load
    >>> from sizing.planner import plan
    >>> found = changes(LlmScenario(), load(), plan(LlmScenario(), load()).recommended)
    >>> [c.name for c in found if not c.is_own][:3]
    ['requests per second', 'prompt tokens', 'output tokens']
    """
    if isinstance(scenario, LlmScenario):
        special, own = _llm_inputs(scenario), _llm_own(scenario, catalog, deployment)
    elif isinstance(scenario, DeepLearningScenario):
        special, own = _deep_learning_inputs(scenario, catalog), _deep_learning_own(scenario, catalog, deployment)
    else:
        plain = resolved(scenario)
        special, own = _statistical_inputs(plain, catalog), _statistical_own(plain, catalog, deployment)
    return (*_traffic(scenario), *special, *_limits(scenario), _cap(scenario), _price(deployment), *own)


def _doubled(
    scenario: AnyScenario, field: str, name: str, unit: str, *, least: float = 0.0, now: float | None = None
) -> Change:
    """Half and twice a field; whole numbers stay whole and at least `least`."""
    value = getattr(scenario, field) if now is None else now
    ends: list[End | None] = []
    for factor in (0.5, 2.0):
        moved = value * factor
        if isinstance(value, int):
            moved = int(max(least, round(moved)))
        ends.append(None if moved == value else End(_with_unit(moved, unit), {field: moved}))
    return Change(name, ends[0], ends[1], False, "half and twice")


def _with_unit(value: float, unit: str) -> str:
    """A number as people write it, with its unit.

    >>> _with_unit(25000.0, "/s"), _with_unit(2.5, "/s"), _with_unit(0.15, "")
    ('25,000/s', '2.5/s', '0.15')
    """
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{text}{'' if unit.startswith('/') else ' '}{unit}".strip()


def _by_share(scenario: AnyScenario, field: str, name: str, unit: str) -> Change:
    value = getattr(scenario, field)
    low, high = (End(_with_unit(value * f, unit), {field: value * f}) for f in (1 - LIMIT_SHARE, 1 + LIMIT_SHARE))
    return Change(name, low, high, False, "20 % either way")


def _share(scenario: AnyScenario, field: str, name: str, least: float, most: float) -> Change:
    value = getattr(scenario, field)
    ends: list[End | None] = []
    for step in (-SHARE_STEP, SHARE_STEP):
        moved = round(min(max(value + step, least), most), 6)
        ends.append(None if moved == value else End(f"{moved:g}", {field: moved}))
    return Change(name, ends[0], ends[1], False, "0.1 either way, within what is allowed")


def _traffic(scenario: AnyScenario) -> Iterator[Change]:
    if scenario.requests_per_s is not None:
        yield _doubled(scenario, "requests_per_s", "requests per second", "/s")
        return
    yield _doubled(scenario, "concurrency", "users at once", "", least=1)
    if scenario.think_time_s > 0:
        yield _doubled(scenario, "think_time_s", "think time", "s")


def _limits(scenario: AnyScenario) -> Iterator[Change]:
    names = {
        "ttft_target_ms": "TTFT limit",
        "tpot_target_ms": "TPOT limit",
        "latency_target_ms": "latency limit",
        "p50_target_ms": "p50 limit",
        "p95_target_ms": "p95 limit",
        "p99_target_ms": "p99 limit",
    }
    for field, name in names.items():
        if getattr(scenario, field, None) is not None:
            yield _by_share(scenario, field, name, "ms")


def _cap(scenario: AnyScenario) -> Change:
    return _share(scenario, "utilization_cap", "utilization cap", 0.05, 0.98)


def _price(deployment: Deployment) -> Change:
    usd = deployment.cost.usd_per_instance_hour
    low, high = (End(f"${usd * f:,.4g}/h", price=f) for f in (1 - LIMIT_SHARE, 1 + LIMIT_SHARE))
    return Change("price of the machine", low, high, False, "20 % either way")


def _llm_inputs(scenario: LlmScenario) -> Iterator[Change]:
    yield _doubled(scenario, "prompt_tokens", "prompt tokens", "tokens", least=1)
    yield _doubled(scenario, "output_tokens", "output tokens", "tokens", least=1)
    yield _share(scenario, "gpu_memory_utilization", "share of memory", 0.1, 0.99)
    if scenario.shared_prefix_tokens:
        yield _doubled(scenario, "shared_prefix_tokens", "shared prefix", "tokens")
    if scenario.draft_model is not None:
        yield _share(scenario, "draft_acceptance", "draft acceptance", 0.0, 1.0)


LLM_CONSTANTS = {
    "memory": ("bandwidth, weights", "of peak"),
    "kv": ("bandwidth, KV cache", "of peak"),
    "products": ("compute reached", "of peak"),
    "layer_us": ("gaps of a layer", "µs"),
    "sequence_us": ("time of a sequence", "µs a step"),
}
"""Constants of an engine that are varied one by one, with what they are called and their unit."""


def _llm_own(scenario: LlmScenario, catalog: Catalog, deployment: Deployment) -> Iterator[Change]:
    centre = engine_rates(scenario.runtime, scenario.engine_version)[0]
    item = configuration_of(scenario, catalog, deployment)
    made = (lambda factor: with_step(scenario, item, factor), lambda factor: replace(centre, first_scale=factor))
    names, widths = ("our error, a step", "our error, a first token"), (item.work.width, item.work.first_width)
    for name, law, width, of in zip(names, error_laws(scenario), widths, made, strict=True):
        # The interval of a model and part that were measured is narrower: the power of the engine's that their work carries.
        shown = law.widened(float(width))
        low, high = (
            End(f"x{seen:.2f}", own=of(factor)) for seen, factor in ((shown.low, law.low), (shown.high, law.high))
        )
        yield Change(name, low, high, True, "80 % interval on public runs, catalogs/llm_speed.yaml")
    engine = stated()["engines"][generation_of(scenario.runtime, scenario.engine_version)]["constants"]
    for field, (name, unit) in LLM_CONSTANTS.items():
        values = [float(engine[field][end]) for end in ("low", "high")]
        low, high = (End(f"{value:.3g} {unit}", own=replace(centre, **{field: value})) for value in values)
        yield Change(name, low, high, True, "80 % range of the fit, catalogs/llm_speed.yaml")


def _deep_learning_inputs(scenario: DeepLearningScenario, catalog: Catalog) -> Iterator[Change]:
    facts = facts_of(scenario, catalog)
    if not facts.stages and scenario.model != "custom":
        unit = facts.size_unit.split(" (")[0]
        yield _doubled(scenario, "input_size", "input size", unit, least=1, now=facts.size)
    if scenario.cpu_ms_per_request:
        yield _doubled(scenario, "cpu_ms_per_request", "CPU work of a request", "ms")
    if scenario.queue_delay_ms > 0:
        yield _doubled(scenario, "queue_delay_ms", "batching delay", "ms")


CPU_WORK_RANGE = {"image": (0.6, 1.8), "video": (0.6, 1.8), "tokens": (0.5, 2.5)}
CPU_WORK_OTHER = (0.25, 5.0)
"""80 % range of the CPU time of a request by kind of input [1], from the ranges of the constants in sizing/deep_learning/host.py."""


def _deep_learning_own(scenario: DeepLearningScenario, catalog: Catalog, deployment: Deployment) -> Iterator[Change]:
    model = deployment.latency_ms["model"]
    middle = model.p50 or 1.0
    fast, slow = (model.low or middle) / middle, (model.high or middle) / middle

    def part(name: str) -> tuple[End, End]:
        def at(factor: float) -> End:
            def retime(law: Law) -> Law:
                return law.moved(**{name: factor})

            return End(f"x{factor:.2f}", own=retime)

        return at(fast), at(slow)

    whole = (
        End(f"x{fast:.2f}", own=deep_learning_moved.fast_end),
        End(f"x{slow:.2f}", own=deep_learning_moved.slow_end),
    )
    said = "80 % interval of the time of a batch"
    yield Change("our error, a batch", *whole, True, said)
    yield Change("of it, the fixed time", *part("fixed"), True, f"{said}, on t0 alone")
    yield Change("of it, time per sample", *part("each"), True, f"{said}, on k alone")
    if scenario.cpu_ms_per_request is None:
        facts = facts_of(scenario, catalog)
        now = host_work(scenario, facts).cpu_ms
        factors = CPU_WORK_RANGE.get(facts.model.input_kind, CPU_WORK_OTHER)
        low, high = (End(f"{now * f:.3g} ms", {"cpu_ms_per_request": now * f}) for f in factors)
        yield Change(
            "CPU work of a request", low, high, True, "ranges in sizing/deep_learning/host.py, partly recalled"
        )


def _statistical_inputs(scenario: StatisticalScenario, catalog: Catalog) -> Iterator[Change]:
    yield _doubled(scenario, "rows_per_request", "rows of a request", "rows", least=1)
    if scenario.custom_model is None:
        sizes = {
            "trees": ("trees", "trees"),
            "support_vectors": ("support vectors", ""),
            "training_rows": ("stored rows", ""),
            "features": ("features", ""),
        }
        for field, (name, unit) in sizes.items():
            if field == "features" or field in catalog.statistical_family(scenario.family).size_fields:
                yield _doubled(scenario, field, name, unit, least=1)
    if scenario.http_overhead_ms > 0:
        yield _doubled(scenario, "http_overhead_ms", "web server time", "ms")
    yield _doubled(scenario, "service_cv", "spread of service time", "", now=scenario.service_cv or 0.3)


def _statistical_own(scenario: StatisticalScenario, catalog: Catalog, deployment: Deployment) -> Iterator[Change]:
    service = deployment.latency_ms["service"]
    middle = getattr(service, service.interval_of)
    low, high = (service.low or middle) / middle, (service.high or middle) / middle
    whole = (End(f"x{low:.2f}", own=statistical_moved.fast_end), End(f"x{high:.2f}", own=statistical_moved.slow_end))
    yield Change("our error, service time", *whole, True, "80 % interval of the service time")
    error = constants_error(model_of(scenario, catalog).cost)
    fast, slow = (
        End(f"x{exp(sign * error):.2f} of the model's time", own=statistical_moved.model_time(sign))
        for sign in (-1.0, 1.0)
    )
    yield Change("of it, model's constants", fast, slow, True, "error on models held back, catalog of families")
    fastest, slowest = (float(deployment.extra[f"cpu_factor_{end}"] or 1.0) for end in ("low", "high"))
    speeds = (
        End(f"factor {fastest:g}", own=statistical_moved.cpu_factor(lambda speed: speed.low)),
        End(f"factor {slowest:g}", own=statistical_moved.cpu_factor(lambda speed: speed.high)),
    )
    yield Change("of it, speed of the CPU", *speeds, True, "range of the CPU's factor, recalled")
