"""The working: each figure of the recommended deployment as formula, numbers put in, value, unit, source and trust."""

from __future__ import annotations

import numpy as np

from sizing.catalog_rows import LlmModel
from sizing.llm.constants import engine_rates
from sizing.llm.formats import compute_peak, scheme_of
from sizing.llm.kv import KV_BITS, kv_bytes_per_token
from sizing.llm.own_runs import own_steps
from sizing.llm.parameters import active_matmul_parameters
from sizing.llm.rows import architecture_of
from sizing.llm.search import PERCENTILE_COLUMN, Choice
from sizing.llm.sharding import weights_bytes_per_rank
from sizing.llm.speed import decode, prefill
from sizing.llm.work import select, stack
from sizing.money import price_source
from sizing.plan import Deployment, Step
from sizing.scenario import LlmScenario
from sizing.units import HOURS_PER_MONTH, format_bytes

STATED = "constants fitted on public runs (catalogs/llm_speed.yaml)"


def model_steps(scenario: LlmScenario, model: LlmModel) -> tuple[Step, ...]:
    """What can be computed from the model alone: parameters, weights and KV cache."""
    shape, scheme = architecture_of(model), scheme_of(model, scenario.weight_format)
    total = weights_bytes_per_rank(model, weight_format=scenario.weight_format)
    parts = " + ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in shape.by_group().items() if count)
    per_token, bits = kv_bytes_per_token(model, scenario.kv_format), KV_BITS[scenario.kv_format]
    stored = ", ".join(
        f"{scheme.bytes_of(group):.4g} in {group.replace('_', ' ')}"
        for group, count in shape.by_group().items()
        if count and group in ("attention", "mixer", "dense_ffn", "experts", "shared_experts")
    )
    return (
        Step(
            quantity="Parameters",
            formula="sum over tensors of rows x columns: embedding + layers + final norm + head",
            with_numbers=parts,
            value=shape.parameters,
            unit="parameters",
            source=model.source,
            trust=model.trust,
        ),
        Step(
            quantity="Weights of one copy",
            formula="sum over tensors of parameters x bytes of the tensor's format, scales included",
            with_numbers=f"{shape.parameters:,} parameters in {scheme.words}: bytes a parameter {stored}; "
            f"{scheme.rest.bits / 8:g} in norms and what the format leaves alone",
            value=total,
            unit="bytes",
            source="formats in sizing/llm/storage.py",
            trust=model.trust,
        ),
        Step(
            quantity="KV cache of one token",
            formula="KV elements a token over all layers x bytes an element",
            with_numbers=f"{per_token * 8 / bits:,.0f} x {bits / 8:g}",
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
        *own_steps(scenario, model, choice.configuration.accelerator, choice.configuration.split),
        *_memory_steps(scenario, choice),
        *_speed_steps(scenario, model, choice),
        *_fleet_steps(scenario, choice, best),
    )


def _memory_steps(scenario: LlmScenario, choice: Choice) -> tuple[Step, ...]:
    item, part = choice.configuration, choice.configuration.accelerator
    memory, context = item.memory, scenario.prompt_tokens + scenario.output_tokens
    stage = memory.binding_stage(context)
    each = stage.sequence_bytes(context, scenario.kv_format)
    budget = memory.budget_bytes(stage)
    kv, split = stage.kv, item.split
    spread = f"tp {split.tensor}, pp {split.pipeline}, attention data parallel {split.attention_data}"
    kept = [f"{kv.full_elements_per_token:,} x {context:,}"] if kv.full_elements_per_token else []
    kept += [f"{width:,} x {min(context, window):,}" for window, width in kv.windows]
    kept += [f"{width:,} x {context:,} / {stride}" for stride, width in kv.compressed]
    beside = [f" + {kv.index_bytes_per_token:,} x {context:,} index keys"] if kv.index_bytes_per_token else []
    beside += [f" + {format_bytes(kv.state_bytes)} state"] if kv.state_bytes else []
    return (
        Step(
            quantity="Weights on one accelerator",
            formula="even share of the stage + what is copied to several ranks or padded, + extra parts",
            with_numbers=f"{spread}: {format_bytes(stage.weights.share_bytes)} + "
            f"{format_bytes(stage.weights.copied_bytes)}"
            + "".join(f" + {format_bytes(size)} {name.replace('_', ' ')}" for name, size in stage.extras),
            value=stage.fixed_bytes,
            unit="bytes",
            source="Megatron-LM (2019), section 3; vLLM layers (2025)",
            trust="derived",
        ),
        Step(
            quantity="KV cache of one request on one accelerator",
            formula="(full x context + sliding x min(context, window)) x bytes, in blocks of 16 tokens, + state",
            with_numbers=f"({' + '.join(kept) or '0'}) x {KV_BITS[scenario.kv_format] / 8:g}{''.join(beside)}",
            value=each,
            unit="bytes",
            source="layer kinds of the catalog row",
            trust="derived",
        ),
        Step(
            quantity="KV budget of one accelerator",
            formula="utilization x memory the engine sees - weights - runtime (activations, logits, context, ...)",
            with_numbers=f"{scenario.gpu_memory_utilization:g} x {format_bytes(memory.total_bytes)} - "
            f"{format_bytes(stage.fixed_bytes)} - {format_bytes(memory.runtime.total_bytes)} "
            f"(80 % interval {format_bytes(memory.runtime.low_bytes)} to {format_bytes(memory.runtime.high_bytes)})",
            value=budget,
            unit="bytes",
            source=f"the memory rule of vLLM; {part.capacity_basis}",
            trust=part.trust,
        ),
        Step(
            quantity="Requests held at once",
            formula="KV budget / KV cache of one request",
            with_numbers=(f"{format_bytes(budget)} / {format_bytes(each)}" if each else "no KV cache")
            + (f" x {split.attention_data} copies of attention" if split.attention_data > 1 else ""),
            value=item.max_sequences,
            unit="requests",
            source="the two lines above",
            trust="derived",
        ),
    )


def _speed_steps(scenario: LlmScenario, model: LlmModel, choice: Choice) -> tuple[Step, ...]:
    item, part = choice.configuration, choice.configuration.accelerator
    centre = engine_rates(scenario.runtime, scenario.engine_version)[0]
    work = select(stack([item.work]), np.array([0]))
    step = decode(work, np.array([[float(choice.batch)]]), centre)
    prompt = prefill(work, centre)
    peak = compute_peak(part, scheme_of(model, scenario.weight_format))
    unit = f"{peak[0] / 1e12:g} TFLOPS dense {peak[1]}" if peak else "unknown"
    active, _ = active_matmul_parameters(model)
    weights, products = float(step.weights_ms[0, 0]), float(step.products_ms[0, 0])
    cache, attention = float(step.kv_ms[0, 0]), float(step.attention_ms[0, 0])
    collective, overhead = float(step.collective_ms[0, 0]), float(step.overhead_ms[0, 0])
    in_flight, busy = float(choice.centre.in_flight[choice.index]), float(choice.centre.utilization[choice.index])
    column = PERCENTILE_COLUMN[scenario.slo_percentile]
    ttft = float(choice.centre.ttft_ms[choice.index, column])
    tpot = float(choice.centre.tpot_ms[choice.index, column])
    alone, occupied = float(prompt.alone_ms[0, 0]), float(prompt.occupied_ms[0, 0])
    return (
        Step(
            quantity=f"Decode step at batch {choice.batch}",
            formula="max(W, P) + u x min(W, P) + max(K, A) + collectives + overhead: W weights, P products, K KV cache, "
            "A attention",
            with_numbers=f"max({weights:.3g}, {products:.3g}) + {centre.not_hidden:.3g} x {min(weights, products):.3g} + "
            f"max({cache:.3g}, {attention:.3g}) + {collective:.3g} + {overhead:.3g}; weights at {centre.memory:.3g} x "
            f"{item.work.memory_factor:.3g} of {part.memory_bandwidth_gb_per_s:g} GB/s, products at {centre.products:.3g} x "
            f"{item.work.products_factor:.3g} of {unit}",
            value=float(step.step_ms[0, 0]),
            unit="ms",
            source=STATED,
            trust="estimated",
        ),
        Step(
            quantity="Prompt alone",
            formula="max(W, P) + u x min(W, P) + attention + collectives + overhead of each chunk + outside the engine",
            with_numbers=f"2 x {active:,.4g} parameters x {scenario.prompt_tokens:,} tokens + head of one token, "
            f"/ tp {item.split.tensor}, at {centre.products:.3g} x {item.work.products_factor:.3g} of {unit}; of it {occupied:.3g} ms of the replica's time",
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


def _capacity_numbers(scenario: LlmScenario, choice: Choice) -> str:
    """What the capacity is made of: times [ms] at the batch limit."""
    centre = engine_rates(scenario.runtime, scenario.engine_version)[0]
    work = stack([choice.configuration.work])
    step, prompt = decode(work, np.array([[float(choice.batch)]]), centre), prefill(work, centre)
    before = float(centre.poll_steps) if choice.batch > 1 else 0.0
    return (
        f"{choice.batch} / ({float(prompt.alone_ms[0, 0]):.5g} + ({scenario.output_tokens} + {before:.4g}) x "
        f"{float(step.step_ms[0, 0]):.5g} + {choice.batch - 1} x {float(prompt.occupied_ms[0, 0]):.5g}) ms"
    )


def _fleet_steps(scenario: LlmScenario, choice: Choice, best: Deployment) -> tuple[Step, ...]:
    demanded = best.throughput.requests_per_s.demanded
    price = best.cost
    return (
        Step(
            quantity="Capacity of one replica",
            formula="batch / (prompt + (output + steps before it begins) x step + (batch - 1) x prompt share)",
            with_numbers=_capacity_numbers(scenario, choice),
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
            source=price_source(price),
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
