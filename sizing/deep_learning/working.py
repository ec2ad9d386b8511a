"""The working: each figure of the recommended deployment as formula, numbers put in, value, unit, source and trust."""

from __future__ import annotations

from sizing.deep_learning import processor
from sizing.deep_learning.graph import Graph
from sizing.deep_learning.latency import BatchLaw
from sizing.deep_learning.measured import measured_steps
from sizing.deep_learning.memory import batch_at_bytes, sample_bytes, stage_bytes, weights_bytes
from sizing.deep_learning.own import CUSTOM
from sizing.deep_learning.pipeline import shares
from sizing.deep_learning.runtime_memory import memory_rule
from sizing.deep_learning.runtimes import element_bytes
from sizing.deep_learning.search import Choice
from sizing.money import price_source
from sizing.plan import Deployment, Step
from sizing.scenario import DeepLearningScenario
from sizing.units import GIB, HOURS_PER_MONTH

STATED = "stated constant of the runtime profile"
COMPARED_BYTES = 10 * GIB
"""Size against which the batch by sum and by peak is shown [bytes]: the "about 10 GiB" that circulates for ResNet-50."""

SPEED = "speed model fitted to public runs (catalogs/deep_learning_speed.yaml)"


def model_steps(scenario: DeepLearningScenario, graph: Graph) -> tuple[Step, ...]:
    """What follows from the model alone: parameters, weights, operations, and both activation figures of one sample."""
    runtime, precision = scenario.runtime, scenario.precision
    weight, element = element_bytes(runtime, precision)
    total = sample_bytes(graph, runtime=runtime, precision=precision, activations="sum")[1]
    held, live = sample_bytes(graph, runtime=runtime, precision=precision, activations="peak")
    at = f"at {graph.size:,} {graph.size_unit}"
    where = f", the peak at {graph.peak_at}" if graph.peak_at else ""
    by_sum = batch_at_bytes(graph, bytes_=COMPARED_BYTES, activations="sum")
    by_peak = batch_at_bytes(graph, bytes_=COMPARED_BYTES, activations="peak")
    model, source, trust = graph.model, graph.source, graph.trust
    weights = weights_bytes(graph, runtime=runtime, precision=precision)
    weights_text = f"{graph.parameters:,} x {weight}"
    if graph.stages:
        sizes = stage_bytes(graph, runtime=runtime, precision=precision)
        weights_text = " + ".join(f"{s.weights:,} ({s.name})" for s in sizes)
    where_from = "from the file's summary" if model.id == CUSTOM else "from the catalog"

    def step(quantity: str, formula: str, numbers: str, value: float, unit: str, source: str, trust: str) -> Step:
        return Step(
            quantity=quantity, formula=formula, with_numbers=numbers, value=value, unit=unit, source=source, trust=trust
        )

    return (
        step("Parameters", where_from, f"{graph.parameters:,}", graph.parameters, "parameters", model.source, model.trust),
        step("Weights", "parameters x bytes each", weights_text, weights, "bytes", model.source, model.trust),
        step("Multiply-adds of a sample", "one forward pass", at, graph.macs, "multiply-adds", source, trust),
        step("Sum of activations of a sample", "everything a forward pass writes (fp32) x element / 4",
             f"{graph.sum_activation_bytes_fp32:,} x {element} / 4, {at}", total, "bytes", source, trust),
        step("Peak live activations of a sample", "most alive at one moment (fp32) x element / 4",
             f"{graph.peak_live_bytes_fp32:,} x {element} / 4, {at}{where}", live, "bytes", source, trust),
        step("Input of a sample", "input bytes (fp32) x element / 4; token ids keep 8 bytes",
             f"{graph.input_bytes_fp32:,}, {at}", held, "bytes", source, trust),
        step("Batch at 10 GiB by the sum (fp32)", "(10 GiB - weights) / (input + sum)",
             f"({COMPARED_BYTES:,} - {graph.weights_bytes_fp32:,}) / ({graph.input_bytes_fp32:,} + {graph.sum_activation_bytes_fp32:,})",
             by_sum, "samples", source, trust),
        step("Batch at 10 GiB by the peak (fp32)", "(10 GiB - weights) / (input + peak live)",
             f"({COMPARED_BYTES:,} - {graph.weights_bytes_fp32:,}) / ({graph.input_bytes_fp32:,} + {graph.peak_live_bytes_fp32:,})",
             by_peak, "samples", source, trust),
    )  # fmt: skip


def working(scenario: DeepLearningScenario, graph: Graph, choice: Choice, best: Deployment) -> tuple[Step, ...]:
    """The whole chain of the recommended deployment: model, memory, time of a batch, count, instances and dollars."""
    return (
        *model_steps(scenario, graph),
        *_memory_steps(scenario, choice),
        *(
            (
                measured_steps(scenario, graph, choice.law, choice.worker.id, choice.batch)
                if isinstance(choice.law, BatchLaw)
                else ()
            )
            or _latency_steps(scenario, graph, choice)
        ),
        *_count_steps(scenario, choice, best),
    )


def _memory_steps(scenario: DeepLearningScenario, choice: Choice) -> tuple[Step, ...]:
    rule, parts = memory_rule(scenario.runtime), choice.memory.parts
    floor = rule.floor
    return (
        Step(
            quantity="Runtime floor",
            formula="context, libraries and allocator",
            with_numbers=f"{rule.name}, 80 % range {floor.low:,.0f} to {floor.high:,.0f}",
            value=floor.value,
            unit="bytes",
            source=f"{floor.source}, {floor.as_of}",
            trust="derived",
        ),
        Step(
            quantity="Memory of one GPU" if choice.worker.accelerator is not None else "Memory of one session",
            formula=" + ".join(parts),
            with_numbers=f"at batch {choice.batch}: " + " + ".join(f"{size:,}" for size in parts.values()),
            value=choice.memory.used_bytes,
            unit="bytes",
            source=f"traces and {STATED}",
            trust="derived",
        ),
    )


def _latency_steps(scenario: DeepLearningScenario, graph: Graph, choice: Choice) -> tuple[Step, ...]:
    part = choice.worker.accelerator
    if part is None or not isinstance(choice.law, BatchLaw):
        return _processor_steps(graph, choice)
    if graph.stages:
        return _pipeline_steps(scenario, graph, choice)
    law = choice.law
    said = f"{SPEED}; {law.network}; {part.source}"
    return (
        Step(
            quantity="t0 of a batch",
            formula="line through predicted times of batches 1 to 512; at batch 1: base, launches on the host, weights read once",
            with_numbers=f"base {law.base_ms:.3g} ms, launches {law.launch_ms:.3g} ms, {graph.parameters:,} weights x "
            f"{law.format.weight_bytes} bytes / {part.memory_bandwidth_gb_per_s:g} GB/s = {law.weights_ms:.3g} ms",
            value=law.t0_ms,
            unit="ms",
            source=said,
            trust="derived",
        ),
        Step(
            quantity="k of a sample",
            formula="the same line; in large batches: operations at the rate each operator reaches, and bytes it moves, which overlap",
            with_numbers=f"operations {law.compute_ms:.3g} ms ({law.compute_bound_ms:.3g} ms at the dense {law.format.compute} peak of "
            f"{law.format.peak_flops_per_s / 1e12:g} TFLOPS), bytes {law.traffic_ms:.3g} ms",
            value=law.k_ms,
            unit="ms",
            source=said,
            trust="derived",
        ),
        Step(
            quantity="Time of a full batch",
            formula="t0 + k x batch",
            with_numbers=f"{law.t0_ms:.4g} + {law.k_ms:.4g} x {choice.batch}",
            value=law.latency_ms(choice.batch),
            unit="ms",
            source=f"80 % interval x{law.fast:.2f} to x{law.slow:.2f}; held-out errors in benchmarks/DEEP_LEARNING_SPEED.md",
            trust="derived",
        ),
    )


def _processor_steps(graph: Graph, choice: Choice) -> tuple[Step, ...]:
    """Time of a batch on the cores of a CPU machine."""
    session, law = choice.worker.session, choice.law
    if session is None:
        return ()
    core = session.core
    return (
        Step(
            quantity="k of a sample",
            formula="2 x multiply-adds / (cores^0.9 x clock x FLOPs a cycle x share) + 2 x sum of activations x passes / bandwidth + CPU part / vCPUs",
            with_numbers=f"2 x {graph.macs:,.0f} / ({session.cores:.3g}^{processor.CORE_POWER:g} x {core.ghz:g} GHz x {core.flops_per_cycle} x "
            f"{processor.COMPUTE_SHARE:g}) + 2 x {graph.sum_activation_bytes_fp32:,} x {processor.TRAFFIC_PASSES:g} / "
            f"({session.cores:.3g} x {core.gb_per_s:g} GB/s) + {choice.cpu_ms:.3g} ms / {session.vcpus:.3g}",
            value=law.k_ms,
            unit="ms",
            source=f"{processor.CHECKED}; {processor.CORE_SOURCE}",
            trust="derived",
        ),
        Step(
            quantity="Time of a full batch",
            formula="t0 + k x batch",
            with_numbers=f"{law.t0_ms:.4g} + {law.k_ms:.4g} x {choice.batch}",
            value=law.latency_ms(choice.batch),
            unit="ms",
            source=processor.CHECKED,
            trust="derived",
        ),
    )


def _pipeline_steps(scenario: DeepLearningScenario, graph: Graph, choice: Choice) -> tuple[Step, ...]:
    """Time of each stage of a pipeline, and their sum."""
    part = choice.worker.accelerator
    stages = shares(graph, part, runtime=scenario.runtime, precision=scenario.precision, batch=choice.batch)
    source = f"{SPEED}; {part.source if part is not None else ''}"
    each = tuple(
        Step(
            quantity=f"Time of the {stage.name}",
            formula="runs x (t0 + k x batch of the stage)",
            with_numbers=f"{stage.runs} runs in {stage.precision}, batch {choice.batch} x {own.batch_factor}",
            value=stage.time_ms or 0.0,
            unit="ms",
            source=source,
            trust="derived",
        )
        for stage, own in zip(stages, graph.stages, strict=True)
    )
    total = Step(
        quantity="Time of a full batch",
        formula="sum of the stages",
        with_numbers=" + ".join(f"{stage.time_ms or 0.0:.4g}" for stage in stages),
        value=choice.law.latency_ms(choice.batch),
        unit="ms",
        source=SPEED,
        trust="derived",
    )
    return (*each, total)


def _count_steps(scenario: DeepLearningScenario, choice: Choice, best: Deployment) -> tuple[Step, ...]:
    full_per_s = choice.batch / choice.law.latency_ms(choice.batch) * 1000.0
    allowed = choice.capacity_per_s
    spare = scenario.spare_replicas
    counted = (
        f"{choice.demanded_per_s:,.4g} / {allowed:,.4g}, rounded up, + {spare}"
        if scenario.requests_per_s is not None
        else f"{scenario.concurrency:,} clients, + {spare}"
    )
    percentile = scenario.slo_percentile
    need = best.extra["vcpus_needed"]
    worker = "GPU" if choice.worker.accelerator is not None else "session"
    each = (best.accelerators_per_instance or 1) * int(best.extra["workers_per_device"] or 1)
    counts = [(f"{worker}s / {worker}s each", f"{best.replicas} / {each}")]
    if choice.worker.accelerator is not None:
        counts.append(("vCPUs / vCPUs each", f"{float(need or 0.0):.3g} / {best.vcpus_per_instance or 'unknown'}"))
    return (
        Step(
            quantity=f"Throughput of a {worker} at full batches",
            formula="batch / time of a full batch",
            with_numbers=f"{choice.batch} / {choice.law.latency_ms(choice.batch):.4g} ms",
            value=full_per_s,
            unit="requests/s",
            source="sizing/deep_learning/latency.py",
            trust="derived",
        ),
        Step(
            quantity=f"Latency p{percentile}",
            formula="rest of the running batch + full batches before + own batch + CPU part",
            with_numbers=f"at a load of {choice.utilization:.0%}, batches of {choice.batch_in_flight:.3g} on average, "
            f"CPU {choice.cpu_ms:.3g} ms",
            value=choice.percentiles_ms[{50: 0, 95: 1, 99: 2}[percentile]],
            unit="ms",
            source="batch-service queue, sizing/batch_queue.py",
            trust="derived",
        ),
        Step(
            quantity="GPUs" if worker == "GPU" else "Sessions",
            formula="fewest within utilization cap and limit, + spares",
            with_numbers=f"{counted}; binding: {choice.binding}",
            value=best.replicas,
            unit=f"{worker}s",
            source="sizing/deep_learning/search.py",
            trust="derived",
        ),
        Step(
            quantity="vCPUs",
            formula="rate x CPU time / utilization cap",
            with_numbers=f"{choice.demanded_per_s:,.4g} x {choice.cpu_ms:.3g} ms / {scenario.utilization_cap:g}",
            value=float(need or 0.0),
            unit="vCPUs",
            source=str(best.extra["host_source"]),
            trust="derived",
        ),
        Step(
            quantity="Instances",
            formula=("greatest of " if len(counts) > 1 else "")
            + " and ".join(name for name, _ in counts)
            + ", rounded up",
            with_numbers="; ".join(numbers for _, numbers in counts),
            value=best.instances,
            unit="instances",
            source=best.cost.price_source,
            trust="derived",
        ),
        Step(
            quantity="Cost a month",
            formula="instances x price x 730 h",
            with_numbers=f"{best.instances} x {best.cost.usd_per_instance_hour:g} x {HOURS_PER_MONTH}",
            value=best.cost.usd_per_month,
            unit="USD",
            source=price_source(best.cost),
            trust=", ".join(best.cost.price_marks) or "as listed",
        ),
    )
