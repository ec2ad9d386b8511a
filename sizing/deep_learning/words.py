"""What a deep learning plan says in words: the headline, what binds, warnings of a deployment, caveats of the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sizing.deep_learning.graph import Graph
from sizing.deep_learning.measured import parse_curve, said_of
from sizing.deep_learning.processor import CHECKED
from sizing.deep_learning.rates import constants
from sizing.deep_learning.runtime_memory import memory_rule
from sizing.deep_learning.search import Choice
from sizing.fleet import Offer
from sizing.plan import Deployment, Rejection
from sizing.scenario import DeepLearningScenario
from sizing.units import format_ms, format_usd

FILTERS = ("providers", "instances", "accelerators", "price")
"""What leaves machines out before they are tried: it is named only where nothing that was tried says why."""
RULE_CONSTRAINTS = (*FILTERS, "runtime", "precision")


def as_run(scenario: DeepLearningScenario, *, on_gpu: bool) -> DeepLearningScenario:
    """The scenario as a machine runs it: without a GPU by ONNX Runtime in fp32, one instance a session."""
    if on_gpu:
        return scenario
    return scenario.model_copy(update={"runtime": "onnxruntime_cpu", "precision": "fp32", "model_instances_per_gpu": 1})


def warnings_of(offer: Offer, choice: Choice, *, closed: bool = False) -> tuple[str, ...]:
    """What a reader should know of one deployment, a sentence each; `closed`: users wait for replies, and cannot overload it."""
    said = list(choice.law.format.notes)
    if offer.instance.network_gbps_baseline is None:
        said.append("The catalog does not know this instance's network, so it was not checked.")
    if offer.instance.vcpus is None:
        said.append("The catalog does not know this instance's vCPUs, so the CPU time of requests was not checked.")
    if not closed and choice.utilization * choice.law.slow >= 1.0:
        those = "GPUs" if choice.worker.accelerator is not None else "machines"
        said.append(
            f"At the slow end of the interval these {those} would be overloaded; measure before relying on this count."
        )
    if choice.worker.accelerator is not None and choice.worker.accelerator.vendor == "AMD":
        said.append("The constants of PyTorch were compared on NVIDIA GPUs only.")
    return tuple(said)


def caveats_of(scenario: DeepLearningScenario, facts: Graph, *, on_gpu: bool = True) -> tuple[str, ...]:
    """What the whole answer rests on, and what it leaves out, a sentence each; `on_gpu`: GPU machines are recommended."""
    run = as_run(scenario, on_gpu=on_gpu)
    said = [
        f"Speed on a GPU is a roofline over the network's operators with constants fitted to public runs: {constants().checked}. Waits "
        "are scaled with its 80 % interval, not recomputed."
        if on_gpu
        else f"Speed on a CPU is a roofline of its cores, compared with {CHECKED}. Waits are scaled with its 80 % interval, not "
        "recomputed.",
        ("CPU work is added without a queue of its own; c" if on_gpu else "C")
        + "opies of inputs and the server's own time are not counted.",
        "Ranges are for models unlike those compared; measure yours before buying.",
    ]
    if scenario.measured_curve is not None:
        said.append(said_of(scenario, parse_curve(scenario.measured_curve), facts))
    if facts.error_share > 0.0:
        said.append(
            f"The activations at {facts.size:,} {facts.size_unit} are derived ({facts.source}); 80 % error up to {facts.error_share:.0%}."
        )
    if facts.model.input_note:
        said.append(f"Model: {facts.model.input_note}.")
    if scenario.concurrency is not None:
        said.append(
            "Users wait for replies, so the utilization cap does not set the count here; their pauses are taken as exponential."
        )
    rule = memory_rule(run.runtime)
    if rule.arena is not None and scenario.ort_arena == "power_of_two":
        said.append("The arena is taken to double as it grows; the option kSameAsRequested needs less.")
    if rule.planned_for_largest_batch:
        said.append("The engine plans its buffers for the largest batch, so smaller batches use as much memory.")
    if run.model_instances_per_gpu > 1:
        said.append(
            "Instances on one GPU: a third of t0 overlaps (Triton's guide, one model, 80 % range 0.1 to 0.8), the rest is done in turn."
        )
    if scenario.spare_replicas:
        said.append("Latency and utilization are those without the spares.")
    return tuple(said)


def binding_of(closest: Rejection | None, rejected: Sequence[Rejection]) -> str:
    """Constraint of the nearest miss; with none, the most frequent beyond the rules, else beyond the filters, else of all."""
    if closest is not None:
        return closest.constraint
    every = [r.constraint for r in rejected]
    for left_out in (RULE_CONSTRAINTS, FILTERS, ()):
        names = [name for name in every if name not in left_out]
        if names:
            return Counter(names).most_common(1)[0][0]
    return "instances"


def headline_of(
    scenario: DeepLearningScenario,
    facts: Graph,
    best: Deployment | None,
    closest: Rejection | None,
    rejected: Sequence[Rejection],
) -> str:
    """One sentence: what it needs, what it costs and how fast it replies; or what binds, and by how much."""
    traffic = (
        f"{scenario.requests_per_s:,.10g} {'request' if scenario.requests_per_s == 1 else 'requests'}/s"
        if scenario.requests_per_s is not None
        else f"{scenario.concurrency:,} concurrent user{'' if scenario.concurrency == 1 else 's'}"
    )
    # Where nothing meets the scenario, CPU machines alone were tried if it asks for them, by machine or by runtime.
    tried_cpu = scenario.compute == "cpu" or (scenario.compute == "either" and scenario.runtime == "onnxruntime_cpu")
    precision = as_run(scenario, on_gpu=not tried_cpu if best is None else best.accelerator is not None).precision
    subject = f"{facts.model.name} in {precision} at {traffic}"
    if best is None:
        name = binding_of(closest, rejected)
        example = closest or next((r for r in rejected if r.constraint == name), None)
        detail = f"; on {example.instance_type}, {example.because}" if example else ""
        return f"{subject} has no deployment under these rules: {name} binds{detail}."
    cost = f"{format_usd(best.cost.usd_per_hour)} per hour"
    reply = format_ms(getattr(best.latency_ms["latency"], f"p{scenario.slo_percentile}"))
    machines = "1 machine" if best.instances == 1 else f"{best.instances} machines"
    latency = f"p{scenario.slo_percentile} latency {reply}."
    if best.accelerator is None:
        return f"{subject} needs no GPU: {machines} of {best.instance_type}, {cost}, {latency}"
    gpus = f"{best.replicas} x {best.accelerator_name}"
    return f"{subject} needs {gpus} ({machines}, {best.instance_type}): {cost}, {latency}"
