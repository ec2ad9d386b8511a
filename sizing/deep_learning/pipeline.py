"""Pipelines of networks, such as text encoders, a denoiser run step by step, and a decoder: their memory and their time.

memory = weights of all stages (they stay loaded) + the greatest of any stage of input, live activations and kept state
time   = sum over stages of repeats x (t0 + k x batch factor x batch + state x batch / bandwidth), again t0 + k x batch

A model that is no pipeline has no stages and is served by `batch_law` alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator
from sizing.deep_learning.graph import Graph, graph
from sizing.deep_learning.latency import BatchLaw, batch_law
from sizing.deep_learning.memory import stage_bytes
from sizing.deep_learning.own import CUSTOM, own_graph
from sizing.errors import InputError
from sizing.scenario import DeepLearningScenario
from sizing.scenario_deep_learning import DeepLearningPrecision, DeepLearningRuntime
from sizing.units import MS_PER_S

PER_BATCH = ("t0_ms", "base_ms", "launch_ms", "weights_ms", "weights_bound_ms")
"""Parts of a law that do not grow with the batch [ms]; a stage adds them once a run."""

PER_SAMPLE = ("k_ms", "compute_ms", "traffic_ms", "compute_bound_ms")
"""Parts of a law for each sample [ms]; a stage adds them for each of its own samples."""


@dataclass(frozen=True)
class StageShare:
    """One stage beside the others at a batch: memory [bytes], time of all its runs [ms], and what decides."""

    name: str
    model: str
    runs: int
    precision: str
    weights_bytes: int
    input_bytes: int
    activation_bytes: int
    state_bytes: int
    time_ms: float | None  # None where the law was not asked for
    sets_peak: bool


def facts_of(scenario: DeepLearningScenario, catalog: Catalog) -> Graph:
    """Facts of the scenario's model or pipeline, per sample in fp32: multiply-adds [count] and activations [bytes].

    Raises InputError for an unknown model or a size that cannot be sized, or for a summary of a network of one's own that is
    missing, not wanted or not understood.
    """
    if scenario.custom_network is not None or scenario.model == CUSTOM:
        return _own(scenario)
    return graph(
        catalog,
        scenario.model,
        input_size=scenario.input_size,
        attention=scenario.attention,
        steps=scenario.steps,
        output_tokens=scenario.output_tokens,
    )


def _own(scenario: DeepLearningScenario) -> Graph:
    if scenario.custom_network is None:
        raise InputError("custom_network", None, "the summary of the network, as the model is custom")
    if scenario.model != CUSTOM:
        raise InputError("model", scenario.model, f"{CUSTOM}, as the scenario carries a network of its own")
    found = own_graph(scenario.custom_network)
    if scenario.input_size not in (None, found.size):
        raise InputError("input_size", scenario.input_size, f"{found.size}, the size that the summary was made for")
    return found


def law_of(
    facts: Graph, accelerator: Accelerator, *, runtime: DeepLearningRuntime, precision: DeepLearningPrecision
) -> BatchLaw:
    """Time of a batch [ms] of a model or of all runs of a pipeline: t0 = sum of repeats x t0, k = sum of repeats x factor x k.

    What a stage keeps (keys and values) is read in each of its runs. The interval is the widest of any stage. Raises `Unsupported` where runtime or precision do not run.
    """
    if not facts.stages:
        return batch_law(facts, accelerator, runtime=runtime, precision=precision)
    laws = [
        batch_law(stage.graph, accelerator, runtime=runtime, precision=stage.precision or precision)
        for stage in facts.stages
    ]
    paired = list(zip(facts.stages, laws, strict=True))
    sums = {name: sum(s.repeats * getattr(law, name) for s, law in paired) for name in PER_BATCH}
    sums |= {name: sum(s.repeats * s.batch_factor * getattr(law, name) for s, law in paired) for name in PER_SAMPLE}
    kept_ms = sum(
        stage.repeats * size.state / accelerator.memory_bandwidth_bytes_per_s * MS_PER_S
        for stage, size in zip(facts.stages, stage_bytes(facts, runtime=runtime, precision=precision), strict=True)
    )
    sums["k_ms"] += kept_ms
    sums["traffic_ms"] += kept_ms
    longest = max(paired, key=lambda pair: pair[0].repeats * pair[1].latency_ms(pair[0].batch_factor))[1]
    return replace(longest, fast=min(law.fast for law in laws), slow=max(law.slow for law in laws), **sums)


def shares(
    facts: Graph,
    accelerator: Accelerator | None,
    *,
    runtime: DeepLearningRuntime,
    precision: DeepLearningPrecision,
    batch: int,
) -> tuple[StageShare, ...]:
    """Memory [bytes] and time [ms] of each stage at a batch, and which stage sets the peak; () for a model that is no pipeline.

    >>> from sizing.catalog import load
    >>> sdxl = graph(load(), "stable-diffusion-xl")
    >>> [s.name for s in shares(sdxl, None, runtime="pytorch_eager", precision="fp16", batch=4) if s.sets_peak]
    ['VAE decoder']
    """
    sizes = stage_bytes(facts, runtime=runtime, precision=precision)
    top = max(sizes, key=lambda one: one.sample)
    found = []
    for stage, size in zip(facts.stages, sizes, strict=False):
        used = stage.precision or precision
        time = None
        if accelerator is not None:
            law = batch_law(stage.graph, accelerator, runtime=runtime, precision=used)
            kept_ms = size.state * batch / accelerator.memory_bandwidth_bytes_per_s * MS_PER_S
            time = stage.repeats * (law.latency_ms(stage.batch_factor * batch) + kept_ms)
        found.append(
            StageShare(
                name=stage.name,
                model=stage.graph.model.id,
                runs=stage.repeats,
                precision=used,
                weights_bytes=size.weights,
                input_bytes=size.input * batch,
                activation_bytes=size.activations * batch,
                state_bytes=size.state * batch,
                time_ms=time,
                sets_peak=size is top,
            )
        )
    return tuple(found)
