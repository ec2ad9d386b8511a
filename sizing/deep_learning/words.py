"""What a deep learning plan says in words: the headline, what binds, warnings of a deployment, caveats of the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sizing.deep_learning.graph import Graph
from sizing.deep_learning.measured import parse_curve, said_of
from sizing.deep_learning.rates import constants
from sizing.deep_learning.runtime_memory import memory_rule
from sizing.deep_learning.search import Choice
from sizing.fleet import Offer
from sizing.plan import Deployment, Rejection
from sizing.scenario import DeepLearningScenario
from sizing.units import format_ms, format_usd

RULE_CONSTRAINTS = ("providers", "instances", "accelerators", "price", "runtime", "precision")


def warnings_of(offer: Offer, choice: Choice) -> tuple[str, ...]:
    """What a reader should know of one deployment, a sentence each."""
    said = list(choice.law.format.notes)
    if offer.instance.network_gbps_baseline is None:
        said.append("The catalog does not know this instance's network, so it was not checked.")
    if offer.instance.vcpus is None:
        said.append("The catalog does not know this instance's vCPUs, so the CPU time of requests was not checked.")
    if choice.utilization * choice.law.slow >= 1.0:
        said.append(
            "At the slow end of the interval these GPUs would be overloaded; measure before relying on this count."
        )
    if choice.worker.accelerator is not None and choice.worker.accelerator.vendor == "AMD":
        said.append("The constants of PyTorch were compared on NVIDIA GPUs only.")
    return tuple(said)


def caveats_of(scenario: DeepLearningScenario, facts: Graph) -> tuple[str, ...]:
    """What the whole answer rests on, and what it leaves out, a sentence each."""
    said = [
        f"Speed is a roofline over the network's operators with constants fitted to public runs: {constants().checked}. Waits are "
        "scaled with its 80 % interval, not recomputed.",
        "CPU work of GPU machines is added without a queue of its own; copies of inputs and the server's own time are not counted.",
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
            "Users wait for replies, so the utilization cap does not set the count here; p95 is a rough mean-value estimate, more often too high than too low."
        )
    rule = memory_rule(scenario.runtime)
    if rule.arena is not None and scenario.ort_arena == "power_of_two":
        said.append("The arena is taken to double as it grows; the option kSameAsRequested needs less.")
    if rule.planned_for_largest_batch:
        said.append("The engine plans its buffers for the largest batch, so smaller batches use as much memory.")
    if scenario.model_instances_per_gpu > 1:
        said.append(
            "Instances on one GPU: a third of t0 overlaps (Triton's guide, one model, 80 % range 0.1 to 0.8), the rest is done in turn."
        )
    if scenario.spare_replicas:
        said.append("Latency and utilization are those of the GPUs without the spares.")
    return tuple(said)


def binding_of(closest: Rejection | None, rejected: Sequence[Rejection]) -> str:
    """Constraint of the nearest miss; with none, the most frequent beyond the rules, else the most frequent."""
    if closest is not None:
        return closest.constraint
    names = [r.constraint for r in rejected if r.constraint not in RULE_CONSTRAINTS] or [r.constraint for r in rejected]
    return Counter(names).most_common(1)[0][0] if names else "instances"


def headline_of(
    scenario: DeepLearningScenario,
    facts: Graph,
    best: Deployment | None,
    closest: Rejection | None,
    rejected: Sequence[Rejection],
) -> str:
    """One sentence: what it needs, what it costs and how fast it replies; or what binds, and by how much."""
    traffic = (
        f"{scenario.requests_per_s:,g} requests/s"
        if scenario.requests_per_s is not None
        else f"{scenario.concurrency:,} concurrent users"
    )
    precision = scenario.precision if best is None or best.accelerator is not None else best.weight_format
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
