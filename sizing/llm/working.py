"""The working: each figure of the recommended deployment as formula, numbers put in, value, unit, source and trust."""

from __future__ import annotations

import numpy as np

from sizing.catalog_rows import LlmModel
from sizing.llm.candidates import RUNTIME_WORDS
from sizing.llm.constants import CHECKED, rates
from sizing.llm.formats import compute_peak
from sizing.llm.memory import KV_BYTES, kv_bytes_per_token, weights_bytes_per_rank, weights_of
from sizing.llm.parameters import active_matmul_parameters, has_formula, parameter_groups
from sizing.llm.search import PERCENTILE_COLUMN, Choice
from sizing.llm.speed import decode, prefill, select, stack
from sizing.plan import Deployment, Step
from sizing.scenario import LlmScenario
from sizing.units import HOURS_PER_MONTH, format_bytes

STATED = f"sizing/llm/constants.py: {CHECKED}"


def model_steps(scenario: LlmScenario, model: LlmModel) -> tuple[Step, ...]:
    """What can be computed from the model alone: parameters, weights and KV cache."""
    groups = parameter_groups(model)
    weights = weights_of(model, scenario.weight_format)
    total = weights_bytes_per_rank(model, weight_format=scenario.weight_format)
    parts = " + ".join(f"{name} {count:,}" for name, count in groups.named().items() if count)
    formula = "embedding + layers x (attention + feed-forward + norms) + final norm + head"
    per_token = kv_bytes_per_token(model, scenario.kv_format)
    elements = per_token // KV_BYTES[scenario.kv_format]
    return (
        Step(
            quantity="Parameters",
            formula=formula if has_formula(model) else "from the catalog, no formula",
            with_numbers=parts,
            value=groups.total,
            unit="parameters",
            source=model.source,
            trust=model.trust,
        ),
        Step(
            quantity="Weights of one copy",
            formula="parameters of each group x bytes a parameter",
            with_numbers=f"{groups.total:,} parameters, {weights.words}: {weights.linear:.4g} bytes in layers, "
            f"{weights.experts:.4g} in experts, {weights.unquantised:.4g} in embedding, head and norms",
            value=total,
            unit="bytes",
            source="sizing/llm/formats.py",
            trust=model.trust,
        ),
        Step(
            quantity="KV cache of one token",
            formula="KV elements a token over all layers x bytes an element",
            with_numbers=f"{elements:,} x {KV_BYTES[scenario.kv_format]}",
            value=per_token,
            unit="bytes",
            source=model.source,
            trust=model.trust,
        ),
    )


def working(scenario: LlmScenario, model: LlmModel, choice: Choice, best: Deployment) -> tuple[Step, ...]:
    """The whole chain of the recommended deployment, from parameters to dollars."""
    return (
        *model_steps(scenario, model),
        *_memory_steps(scenario, choice),
        *_speed_steps(scenario, model, choice),
        *_fleet_steps(scenario, choice, best),
    )


def _memory_steps(scenario: LlmScenario, choice: Choice) -> tuple[Step, ...]:
    item, part = choice.configuration, choice.configuration.accelerator
    rank, context = item.rank, scenario.prompt_tokens + scenario.output_tokens
    each = rank.kv.bytes_per_sequence(context_tokens=context, kv_format=scenario.kv_format)
    share = scenario.gpu_memory_utilization
    budget = rank.kv_budget_bytes(capacity_bytes=part.capacity_bytes, gpu_memory_utilization=share)
    window = min(context, rank.kv.sliding_window)
    return (
        Step(
            quantity="Weights on one accelerator",
            formula="sharded matrices / tp + replicated tensors, layers of the heaviest stage",
            with_numbers=f"tp {item.tensor_parallel}, pp {item.pipeline_parallel}",
            value=rank.weights_bytes,
            unit="bytes",
            source="Megatron-LM (2019), section 3; vLLM layers (2025)",
            trust="derived",
        ),
        Step(
            quantity="KV cache of one request on one accelerator",
            formula="(full x context + sliding x min(context, window)) x bytes, in blocks of 16 tokens, + state",
            with_numbers=f"({rank.kv.full_elements_per_token:,} x {context:,} + "
            f"{rank.kv.sliding_elements_per_token:,} x {window:,}) "
            f"x {KV_BYTES[scenario.kv_format]} + {rank.kv.state_elements:,} x 4",
            value=each,
            unit="bytes",
            source="layer kinds of the catalog row",
            trust="derived",
        ),
        Step(
            quantity="KV budget of one accelerator",
            formula="utilization x capacity - weights - activations - runtime",
            with_numbers=f"{share:g} x {format_bytes(part.capacity_bytes)} - {format_bytes(rank.weights_bytes)} - "
            f"{format_bytes(rank.activation_bytes)} - {format_bytes(rank.runtime_bytes)}",
            value=budget,
            unit="bytes",
            source=f"the memory rule of vLLM; {part.capacity_basis}",
            trust=part.trust,
        ),
        Step(
            quantity="Requests held at once",
            formula="KV budget / KV cache of one request",
            with_numbers=f"{format_bytes(budget)} / {format_bytes(each)}" if each else "no KV cache",
            value=item.max_sequences,
            unit="requests",
            source="the two lines above",
            trust="derived",
        ),
    )


def _speed_steps(scenario: LlmScenario, model: LlmModel, choice: Choice) -> tuple[Step, ...]:
    item, part = choice.configuration, choice.configuration.accelerator
    centre = rates(scenario.runtime)[0]
    work = select(stack([item.work]), np.array([0]))
    step = decode(work, np.array([[float(choice.batch)]]), centre)
    prompt = prefill(work, centre)
    weights = weights_of(model, scenario.weight_format)
    peak = compute_peak(part, weights)
    unit = f"{peak[0] / 1e12:g} TFLOPS dense {peak[1]}" if peak else "unknown"
    active, _ = active_matmul_parameters(model)
    memory, compute = float(step.memory_ms[0, 0]), float(step.compute_ms[0, 0])
    collective, overhead = float(step.collective_ms[0, 0]), float(step.overhead_ms[0, 0])
    in_flight, busy = float(choice.centre.in_flight[choice.index]), float(choice.centre.utilization[choice.index])
    column = PERCENTILE_COLUMN[scenario.slo_percentile]
    ttft = float(choice.centre.ttft_ms[choice.index, column])
    tpot = float(choice.centre.tpot_ms[choice.index, column])
    alone, occupied = float(prompt.alone_ms[0, 0]), float(prompt.occupied_ms[0, 0])
    return (
        Step(
            quantity=f"Decode step at batch {choice.batch}",
            formula="max(bytes / (e_m x bandwidth), operations / (e_c x peak)) + collectives + overhead",
            with_numbers=f"max({memory:.3g}, {compute:.3g}) + {collective:.3g} + {overhead:.3g}; "
            f"e_m {centre.memory:g} of {part.memory_bandwidth_gb_per_s:g} GB/s, e_c {centre.matmul_decode:g} of {unit}",
            value=float(step.step_ms[0, 0]),
            unit="ms",
            source=STATED,
            trust="estimated",
        ),
        Step(
            quantity="Prompt alone",
            formula="max(products / (e_p x peak) + attention, weights / (e_m x bandwidth)) + collectives + overhead",
            with_numbers=f"2 x {active:,.4g} parameters x {scenario.prompt_tokens:,} tokens + head of one token, "
            f"/ tp {item.tensor_parallel}, at e_p {centre.matmul_prefill:g} of {unit}; of it {occupied:.3g} ms of the replica's time",
            value=alone,
            unit="ms",
            source=STATED,
            trust="estimated",
        ),
        Step(
            quantity=f"TPOT p{scenario.slo_percentile}",
            formula="decode step at the batch found + other prompts processed meanwhile, per token",
            with_numbers=f"{in_flight:.3g} requests in flight on average, at most {choice.batch}",
            value=tpot,
            unit="ms",
            source="birth-death chain of requests in flight (sizing/llm/serving.py)",
            trust="estimated",
        ),
        Step(
            quantity=f"TTFT p{scenario.slo_percentile}",
            formula="prompt + one step + wait for other prompts + wait for a slot",
            with_numbers=f"{alone:.3g} + a step + waits at utilization {busy:.2f}",
            value=ttft,
            unit="ms",
            source="M/D/1 mean with exponential tail; chain above (sizing/llm/serving.py)",
            trust="estimated",
        ),
    )


def _fleet_steps(scenario: LlmScenario, choice: Choice, best: Deployment) -> tuple[Step, ...]:
    demanded = best.throughput.requests_per_s.demanded
    price = best.cost
    return (
        Step(
            quantity="Capacity of one replica",
            formula="batch / (prompt + output x step + (batch - 1) x prompt share)",
            with_numbers=f"batch {choice.batch}, output {scenario.output_tokens}, {RUNTIME_WORDS[scenario.runtime]}",
            value=choice.replica_capacity_per_s,
            unit="requests/s",
            source="Little's law",
            trust="estimated",
        ),
        Step(
            quantity="Replicas",
            formula="fewest that keep the utilization cap and both limits, + spares",
            with_numbers=f"at least {demanded:.4g} / ({scenario.utilization_cap:g} x {choice.replica_capacity_per_s:.4g}), "
            f"+ {scenario.spare_replicas}; binding: {choice.binding}",
            value=best.replicas,
            unit="replicas",
            source="search",
            trust="estimated",
        ),
        Step(
            quantity="Machines",
            formula="replicas / whole replicas a machine holds, or replicas x machines each spans",
            with_numbers=f"{best.replicas} of {best.accelerators_per_replica} accelerators on machines of "
            f"{best.accelerators_per_instance}",
            value=best.instances,
            unit="machines",
            source="catalog of instances",
            trust=choice.offer.instance.trust,
        ),
        Step(
            quantity="Cost per hour",
            formula="machines x price",
            with_numbers=f"{best.instances} x {price.usd_per_instance_hour:g} USD",
            value=price.usd_per_hour,
            unit="USD/h",
            source=f"{price.price_source} ({price.price_date})",
            trust=", ".join(price.price_marks) or choice.offer.price.kind,
        ),
        Step(
            quantity="Cost per month",
            formula="cost per hour x 730 h",
            with_numbers=f"{price.usd_per_hour:g} x {HOURS_PER_MONTH}",
            value=price.usd_per_month,
            unit="USD/month",
            source="month of 730 h",
            trust="derived",
        ),
    )
