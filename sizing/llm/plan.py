"""Plan of a language model scenario: search, cost, ranking, and the answer in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from sizing import fleet
from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.cost import cost_of
from sizing.llm.candidates import PORTED_VENDORS, RUNTIME_WORDS, check_context, check_formats, check_parallelism
from sizing.llm.constants import UNMEASURED_WIDTH, checked, factors_of, family_of, generation_of
from sizing.llm.engines.runtime_memory import CHECKED_MEMORY
from sizing.llm.formats import scheme_of
from sizing.llm.kv import CONV_BYTES, STATE_BYTES
from sizing.llm.levers import history_demand_tokens, prompt_work, tokens_per_pass
from sizing.llm.models import draft_of, model_of
from sizing.llm.own_runs import basis_of, said_of
from sizing.llm.recalibration import check_serving
from sizing.llm.rows import architecture_of
from sizing.llm.search import PERCENTILE_COLUMN, Choice, Floats, search
from sizing.llm.working import model_steps, working
from sizing.plan import (
    Basis,
    Deployment,
    LatencyMs,
    Parallelism,
    Plan,
    Rate,
    Rejection,
    Search,
    Throughput,
    Verdict,
    nearest_miss,
    rank,
    verdict,
)
from sizing.scenario import LlmScenario
from sizing.units import GIB, format_ms, format_usd

TTFT, TPOT = "Time to first token (TTFT)", "Time per output token (TPOT)"
RULE_CONSTRAINTS = ("providers", "instances", "accelerators", "price", "runtime")
CALIBRATED: tuple[Basis, str] = ("calibrated", "fitted, this model too")
ESTIMATED: tuple[Basis, str] = ("estimated", "fitted on other runs")
"""Basis of a verdict and its source in words, where runs of this model and family of parts were fitted, and elsewhere."""


def plan(scenario: LlmScenario, catalog: Catalog) -> Plan:
    """Plan of a scenario: one ranked deployment for each kind of instance that serves it, one rejection for each other.

    Raises InputError for an unknown id, a model whose parameters or KV cache are not known, a degree of parallelism
    that does
    not divide the model, or a request longer than its context.

    >>> from sizing.catalog import load
    >>> found = plan(LlmScenario(), load())
    >>> found.recommended is not None and found.search.candidates == len(found.ranked) + len(found.rejected)
    True
    """
    model, draft = model_of(scenario, catalog), draft_of(scenario, catalog)
    architecture_of(model)
    check_formats(scenario, model)
    scheme_of(model, scenario.weight_format)
    check_context(scenario, model)
    check_parallelism(scenario, model)
    prompt_work(scenario)
    check_serving(scenario, model, catalog)
    offers, dropped = fleet.offers(scenario, catalog, category="gpu")
    found = search(scenario, model, offers, draft)
    deployments: list[Deployment] = []
    choices: dict[str, Choice] = {}
    rejected = [*dropped, *found.rejected]
    for choice in found.choices:
        deployment = _deployment(scenario, catalog, model, choice)
        budget = scenario.max_usd_per_month
        if budget is not None and deployment.cost.usd_per_month > budget:
            rejected.append(_over_budget(choice, deployment.cost.usd_per_month, budget))
            continue
        deployments.append(deployment)
        choices[deployment.instance] = choice
    ranked = rank(deployments)
    best = ranked[0] if ranked else None
    return Plan(
        kind=scenario.kind,
        catalog=catalog.version,
        scenario=scenario,
        headline=_headline(scenario, model, best, rejected),
        recommended=best,
        alternatives=tuple(ranked[1:]),
        rejected=tuple(rejected),
        binding_constraint=best.binding_constraint if best else _binding_of(rejected),
        working=working(scenario, model, choices[best.instance], best) if best else model_steps(scenario, model),
        caveats=_caveats(scenario, model, catalog),
        search=Search(candidates=len(ranked) + len(rejected), configurations=found.evaluated, seconds=0.0),
    )


def _over_budget(choice: Choice, usd: float, budget: float) -> Rejection:
    return fleet.rejection(
        choice.offer.instance,
        constraint="budget",
        because=f"it costs {format_usd(usd)} a month, {format_usd(usd - budget)} over the budget of {format_usd(budget)}",
        remedy=f"raise the budget to {format_usd(usd)} a month",
        miss_ratio=usd / budget,
    )


def _latency(choice: Choice, name: str, percentile: int) -> LatencyMs:
    """Percentiles of one latency of a choice [ms], with the interval at the scenario's percentile."""

    def row(load: object) -> Floats:
        table: Floats = getattr(load, f"{name}_ms")
        return table[choice.index]

    column = PERCENTILE_COLUMN[percentile]
    p50, p95, p99 = (float(v) for v in row(choice.centre))
    centre = (p50, p95, p99)[column]
    names: tuple[Literal["p50", "p95", "p99"], ...] = ("p50", "p95", "p99")
    return LatencyMs(
        p50=p50,
        p95=p95,
        p99=p99,
        low=min(centre, float(row(choice.fast)[column])),
        high=max(centre, float(row(choice.slow)[column])),
        interval_of=names[column],
    )


def _deployment(scenario: LlmScenario, catalog: Catalog, model: LlmModel, choice: Choice) -> Deployment:
    offer, item = choice.offer, choice.configuration
    instance, part = offer.instance, item.accelerator
    latency = {name: _latency(choice, name, scenario.slo_percentile) for name in ("ttft", "tpot", "e2e")}
    served = float(choice.centre.requests_per_s[choice.index]) * choice.replicas
    demanded = scenario.requests_per_s if scenario.requests_per_s is not None else served
    capacity = max(demanded, choice.allowed_per_s * choice.replicas)
    tokens = scenario.output_tokens
    context = scenario.prompt_tokens + tokens
    memory = item.memory.parts(sequences=choice.batch, context_tokens=context)
    fewest, most = item.memory.held_interval(context)
    prompt_rate = float(demanded * scenario.prompt_tokens)
    budget = item.memory.budget_bytes(item.memory.binding_stage(context))
    return Deployment(
        instance=instance.id,
        instance_type=instance.instance_type,
        provider=instance.provider,
        service=instance.service,
        region=offer.price.region,
        accelerator=part.id,
        accelerator_name=part.name,
        accelerators_per_instance=instance.accelerator_count,
        accelerators_per_replica=item.accelerators,
        vcpus_per_instance=instance.vcpus,
        replicas=choice.replicas + scenario.spare_replicas,
        instances=choice.instances,
        parallelism=Parallelism(
            tp=item.split.tensor,
            pp=item.split.pipeline,
            ep=item.split.width if item.split.expert_parallel else 1,
            attention_dp=item.split.attention_data,
        ),
        runtime=scenario.runtime,
        weight_format=scheme_of(model, scenario.weight_format).words,
        kv_format=scenario.kv_format,
        batch=choice.batch,
        memory_per_accelerator=memory,
        latency_ms=latency,
        throughput=Throughput(
            requests_per_s=Rate(demanded=demanded, capacity=capacity),
            output_tokens_per_s=Rate(demanded=demanded * tokens, capacity=capacity * tokens),
        ),
        utilization=float(choice.centre.utilization[choice.index]),
        cost=cost_of(
            instances=choice.instances,
            price=offer.price,
            on=catalog.as_of,
            demanded_requests_per_s=demanded,
            capacity_requests_per_s=capacity,
            output_tokens_per_request=float(tokens),
        ),
        verdicts=_verdicts(scenario, latency, _basis(scenario, model, choice)),
        binding_constraint=choice.binding,
        warnings=_warnings(scenario, choice),
        extra={
            "max_sequences": item.max_sequences,
            "max_sequences_low": fewest,
            "max_sequences_high": most,
            "kv_budget_bytes": budget,
            "kv_tokens_capacity": item.memory.kv_tokens(),
            "utilization_needed": item.memory.needed_utilization(choice.batch, context),
            "batch_in_flight": float(choice.centre.in_flight[choice.index]),
            "replica_capacity_requests_per_s": choice.replica_capacity_per_s,
            "prefill_tokens_per_s": prompt_rate,
            "decode_tokens_per_s_per_user": 1000.0 / latency["tpot"].p50 if latency["tpot"].p50 else None,
            "spare_replicas": scenario.spare_replicas,
        },
    )


def _basis(scenario: LlmScenario, model: LlmModel, choice: Choice) -> tuple[tuple[Basis, str], tuple[Basis, str]]:
    """Basis of TTFT and of TPOT, each with its source in words."""
    item, part = choice.configuration, choice.configuration.accelerator
    otherwise = CALIBRATED if _is_known(scenario, model, part) else ESTIMATED
    return basis_of(scenario, model, part, item.split, otherwise)


def _is_known(scenario: LlmScenario, model: LlmModel, part: Accelerator) -> bool:
    """Whether runs of this model and family of parts are among those fitted."""
    family = family_of(part.architecture, part.memory_type)
    return factors_of(generation_of(scenario.runtime, scenario.engine_version), family, "", "", model.id).width < 1.0


def _verdicts(
    scenario: LlmScenario, latency: dict[str, LatencyMs], made: tuple[tuple[Basis, str], tuple[Basis, str]]
) -> tuple[Verdict, ...]:
    limits = ((TTFT, scenario.ttft_target_ms, "ttft", made[0]), (TPOT, scenario.tpot_target_ms, "tpot", made[1]))
    return tuple(
        verdict(
            quantity=quantity,
            percentile=scenario.slo_percentile,
            limit_ms=limit,
            latency=latency[name],
            basis=basis[0],
            source=basis[1],
        )
        for quantity, limit, name, basis in limits
    )


def _warnings(scenario: LlmScenario, choice: Choice) -> tuple[str, ...]:
    item, part = choice.configuration, choice.configuration.accelerator
    said = []
    count = choice.offer.instance.accelerator_count or 1
    if item.accelerators > count:
        machines = -(-item.accelerators // count)
        said.append(
            f"A replica spans {machines} machines as a pipeline; the network between them is assumed to be 100 Gbit/s."
        )
    inherited = factors_of(
        generation_of(scenario.runtime, scenario.engine_version),
        family_of(part.architecture, part.memory_type),
        "bf16",
        "bf16",
    ).inherited_from
    if inherited:
        said.append(
            f"Nobody measured {part.architecture} here: its speed takes the constants of {inherited}, "
            f"with an interval {UNMEASURED_WIDTH:g} times as wide."
        )
    if part.vendor in PORTED_VENDORS:
        said.append(
            f"{RUNTIME_WORDS[scenario.runtime]} reaches {part.name} through a port that nothing here was compared with."
        )
    if (kept := _kept_history(scenario, choice)) is not None:
        said.append(kept)
    if choice.slow_overload:
        said.append(
            "At the slow end of the interval these replicas would be overloaded; its waits are those at 97 % load."
        )
    return tuple(said)


def _kept_history(scenario: LlmScenario, choice: Choice) -> str | None:
    """Sentence on memory that conversations need between their turns, where it is short of what the scenario assumes."""
    if scenario.turns_per_conversation <= 1.0 or not scenario.history_kept_share:
        return None
    item, row = choice.configuration, choice.index
    rate = float(choice.centre.requests_per_s[row])
    needed = history_demand_tokens(scenario, rate)
    context = scenario.prompt_tokens + scenario.output_tokens
    free = max(0.0, item.memory.kv_tokens() - float(choice.centre.in_flight[row]) * context)
    each = item.memory.binding_stage(context).sequence_bytes(context, scenario.kv_format) / context
    offloaded = scenario.kv_offload_gib * GIB / (each * item.split.width) if each else 0.0
    share = min(1.0, (free + offloaded) / needed) if needed else 1.0
    if share >= scenario.history_kept_share - 0.005:
        return None
    short = (needed * scenario.history_kept_share - free - offloaded) * each * item.split.width / GIB
    return (
        f"Conversations between turns need {needed:,.0f} tokens of KV cache in each replica; {free:,.0f} are free and "
        f"{offloaded:,.0f} fit in host memory: {share:.0%} of earlier turns stay, not {scenario.history_kept_share:.0%}. "
        f"Set the share to {share:.2f}, or give each replica {short:,.0f} GiB of host memory more."
    )


def _caveats(scenario: LlmScenario, model: LlmModel, catalog: Catalog) -> tuple[str, ...]:
    shape = architecture_of(model)
    own = said_of(scenario, model, catalog)
    said = [own] if own else []
    said += [f"Speed is a roofline with constants fitted on public runs: {checked()}.", CHECKED_MEMORY]
    said += shape.caveats
    if any(kind.cache.state_elements for kind in shape.kinds):
        said.append(
            f"State of linear layers is counted at {STATE_BYTES} bytes an element (fp32), its convolution at {CONV_BYTES}."
        )
    if scenario.runtime == "llama_cpp":
        said.append(
            "llama.cpp was compared at batch 1 only: what it does with many requests at once is not known here."
        )
    if scenario.attention_data_parallel > 1 or scenario.expert_parallel:
        said.append("Traffic between experts is counted as if it were an all-reduce.")
    if scenario.draft_model is not None:
        gained = tokens_per_pass(scenario.drafted_tokens, scenario.draft_acceptance)
        said.append(
            f"Drafting yields {gained:.2f} tokens a pass if {scenario.draft_acceptance:.0%} of drafted tokens are accepted: "
            "measure that share on your own traffic. No run with drafting was compared here."
        )
    if not scenario.prompt_cv and not scenario.output_cv:
        said.append("Prompts and replies are taken at their mean length; longer ones wait longer.")
    return tuple(said)


def _binding_of(rejected: Sequence[Rejection]) -> str:
    """The most frequent constraint among machines that passed the rules, else among all."""
    names = [r.constraint for r in rejected if r.constraint not in RULE_CONSTRAINTS] or [r.constraint for r in rejected]
    return Counter(names).most_common(1)[0][0] if names else "instances"


def traffic_words(scenario: LlmScenario) -> str:
    """The load in words: a rate or a number of users."""
    if scenario.requests_per_s is not None:
        return f"{scenario.requests_per_s:g} requests/s"
    return f"{scenario.concurrency:,} concurrent users"


def _headline(scenario: LlmScenario, model: LlmModel, best: Deployment | None, rejected: Sequence[Rejection]) -> str:
    """One sentence: what it needs, what it costs and how fast it answers; or what binds, and by how much."""
    subject = f"{model.name} in {scheme_of(model, scenario.weight_format).words} at {traffic_words(scenario)}"
    if best is None:
        name = _binding_of(rejected)
        example = nearest_miss(rejected, name)
        detail = f"; on {example.instance_type}, {example.because}" if example else ""
        return f"{subject} has no deployment under these rules: {name} binds{detail}."
    count = "1 replica" if best.replicas == 1 else f"{best.replicas} replicas"
    each = f"{best.accelerators_per_replica} x {best.accelerator_name}"
    percentile = scenario.slo_percentile
    ttft = format_ms(getattr(best.latency_ms["ttft"], f"p{percentile}"))
    machines = "1 machine" if best.instances == 1 else f"{best.instances} machines"
    return (
        f"{subject} needs {count} of {each} ({machines} {best.instance_type}, {best.provider}): "
        f"{format_usd(best.cost.usd_per_hour)} per hour, p{percentile} time to first token {ttft}."
    )
