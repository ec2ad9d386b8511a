"""The words of the field for a newcomer, each in a few sentences with this scenario's own numbers put in."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

from sizing.catalog import Catalog
from sizing.llm.charts import batch_curve
from sizing.llm.models import model_of
from sizing.plan import Deployment, Plan, Step
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario
from sizing.units import MS_PER_S, format_bytes, format_ms
from sizing.why.sizer import latency_ms
from sizing.why.words_statistical import statistical_words

NEARLY_FULL = 0.95
"""Utilization at which a queue is shown beside the present one [1]."""


class Word(NamedTuple):
    """A term with its explanation, numbers put in."""

    term: str
    text: str


def words(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> tuple[Word, ...]:
    """The terms behind an answer, at most ten, each explained with the answer's own figures; none without an answer."""
    best = plan.recommended
    if best is None:
        return ()
    steps = {step.quantity: step for step in plan.working}
    if isinstance(scenario, LlmScenario):
        found = list(_llm(scenario, catalog, best, steps))
    elif isinstance(scenario, DeepLearningScenario):
        found = list(_deep_learning(scenario, best, steps))
    else:
        found = [Word(*pair) for pair in statistical_words(scenario, best, steps)]
    return (*found, _percentile(best), _utilization(scenario, catalog, best), _interval(best))


def _percentile(best: Deployment) -> Word:
    first = best.verdicts[0]
    name = next(name for name in ("ttft", "latency", "time_in_system") if name in best.latency_ms)
    times = best.latency_ms[name]
    return Word(
        f"Percentile (p{first.percentile})",
        f"The time that {first.percentile} of 100 requests keep; the others wait longer. A mean hides them, so limits are set on a "
        f"percentile. Here half the requests see at most {format_ms(times.p50)}, 95 of 100 at most {format_ms(times.p95)} and 99 of "
        f"100 at most {format_ms(times.p99)}.",
    )


def _utilization(scenario: AnyScenario, catalog: Catalog, best: Deployment) -> Word:
    """Why a queue explodes near 1, with the latency of the same machines when nearly full."""
    used, cap, first = best.utilization, scenario.utilization_cap, best.verdicts[0]
    said = (
        "Utilization is the share of their time that machines are busy. Requests come at random, so they meet in bunches; the less "
        "idle time is left, the longer a bunch takes to clear, and at 100 % it never does. That is why the cap here is "
        f"{cap:.0%}. "
    )
    if scenario.requests_per_s is None:
        return Word(
            "Utilization and its cap",
            f"{said}Here the machines are {used:.0%} busy; users wait for their replies, so the load slows down by itself.",
        )
    here = f"Here they are {used:.0%} busy and the p{first.percentile} is {format_ms(first.predicted_ms)}"
    if 0 < used < NEARLY_FULL:
        fuller = scenario.model_copy(update={"requests_per_s": scenario.requests_per_s * NEARLY_FULL / used})
        time_ms = latency_ms(fuller, catalog, best)
        if time_ms is not None and time_ms != inf:
            here += f"; with so much load that they are {NEARLY_FULL:.0%} busy it would be {format_ms(time_ms)}"
    return Word("Utilization and its cap", f"{said}{here}.")


def _interval(best: Deployment) -> Word:
    first = best.verdicts[0]
    return Word(
        "80 % interval",
        "A prediction is off by something. Of ten cases like yours, about eight come out inside the interval, one below and one "
        f"above; it is taken from how far predictions lay from measured runs. Here {format_ms(first.low_ms)} to "
        f"{format_ms(first.high_ms)} around {format_ms(first.predicted_ms)}.",
    )


def _llm(scenario: LlmScenario, catalog: Catalog, best: Deployment, steps: dict[str, Step]) -> Iterator[Word]:
    prompt, reply = scenario.prompt_tokens, scenario.output_tokens
    ttft, tpot = best.latency_ms["ttft"], best.latency_ms["tpot"]
    yield Word(
        "Prefill and decode",
        f"A request has two phases. Prefill reads the whole prompt at once, which keeps the arithmetic units busy: here "
        f"{prompt:,} tokens in {format_ms(steps['Prompt alone'].value)}. Decode then writes one token after the other, each step "
        f"reading all weights again, so memory bandwidth decides: here {reply:,} steps of about {format_ms(tpot.p50)}.",
    )
    yield Word(
        "TTFT and TPOT",
        f"Time to first token (TTFT) is how long a reader looks at an empty screen: prefill and waiting, here {format_ms(ttft.p50)} "
        f"in the middle. Time per output token (TPOT) is the pace at which text then appears: here {format_ms(tpot.p50)}, "
        f"{MS_PER_S / (tpot.p50 or 1.0):,.0f} tokens a second for each reader. A whole reply takes {format_ms(best.latency_ms['e2e'].p50)}.",
    )
    yield _kv_cache(scenario, best, steps)
    yield _batch(scenario, catalog, best)
    memory = best.memory_per_accelerator
    assert memory is not None  # a language model runs on accelerators
    weights, working_space = memory.parts.get("weights", 0), memory.parts.get("activations", 0)
    yield Word(
        "Weights and activations",
        f"Weights are what the model has learned; they stay in memory: {format_bytes(steps['Weights of one copy'].value)} a copy, "
        f"{format_bytes(weights)} of it on each accelerator of {format_bytes(memory.capacity_bytes)}. Activations are intermediate "
        f"results that live for one step: {format_bytes(working_space)} are set aside. What is left goes to the KV cache.",
    )
    yield _tensor_parallel(best, steps)
    model = model_of(scenario, catalog)
    if model.experts and model.experts_per_token:
        yield Word(
            "Mixture of experts (MoE)",
            f"A layer has many small networks, the experts, and each token uses a few: here {model.experts_per_token} of "
            f"{model.experts:,}. All must be in memory, but a token is computed by those few only, so the model is large to hold and "
            "cheap to compute. A batch of many tokens touches nearly all experts, and then all their weights are read.",
        )


def _kv_cache(scenario: LlmScenario, best: Deployment, steps: dict[str, Step]) -> Word:
    token, each = steps["KV cache of one token"].value, steps["KV cache of one request on one accelerator"].value
    context = scenario.prompt_tokens + scenario.output_tokens
    flight = float(best.extra["batch_in_flight"] or 0.0)
    return Word(
        "KV cache",
        "For every token it has read or written the model keeps two vectors in each layer, a key and a value, so as not to compute "
        f"them again at each step. Here each further token takes {format_bytes(token)}, so a request of {context:,} tokens takes "
        f"{format_bytes(each)} on an accelerator, and the {flight:,.1f} requests at once on average {format_bytes(each * flight)}; "
        f"there is room for {float(best.extra['max_sequences'] or 0):,.0f}.",
    )


def _batch(scenario: LlmScenario, catalog: Catalog, best: Deployment) -> Word:
    """Why a larger batch trades latency for throughput, by the batch curve of the answer's own chart."""
    curve = batch_curve(scenario, catalog, best)
    at = int(curve.batch.searchsorted(curve.chosen_batch))
    said = (
        "The weights are read once for a step, however many requests share it. So a step for many costs little more than a step for "
        "one, and the machine writes more tokens a second; but each reader waits for the longer step. "
    )
    if at == 0:
        return Word(
            "Batch size", f"{said}Here one request at a time is run, at {format_ms(float(curve.tpot_ms[0]))} a token."
        )
    return Word(
        "Batch size",
        f"{said}With the prompts of the others read in between, here one request alone gets a token every {format_ms(float(curve.tpot_ms[0]))} "
        f"({curve.output_tokens_per_s[0]:,.0f} tokens/s in all); {curve.batch[at]:,} at once, the most allowed, get one every "
        f"{format_ms(float(curve.tpot_ms[at]))} ({curve.output_tokens_per_s[at]:,.0f} tokens/s in all).",
    )


def _tensor_parallel(best: Deployment, steps: dict[str, Step]) -> Word:
    degree = best.parallelism
    width, stages = (degree.tp, degree.pp) if degree is not None else (1, 1)
    copy, each = steps["Weights of one copy"].value, steps["Weights on one accelerator"].value
    said = (
        "Tensor parallel cuts every layer into slices, one for each accelerator; all work on the same token and exchange results "
        "twice in each layer. It divides weights and time, and needs fast links. "
    )
    if width > 1:
        return Word(
            "Tensor parallel",
            f"{said}Here {width} accelerators share a copy: {format_bytes(copy)} of weights become {format_bytes(each)} on each. "
            f"Such a group is one replica; {best.replicas:,} of them serve the load.",
        )
    if stages > 1:
        return Word(
            "Tensor and pipeline parallel",
            f"{said}Here a copy is cut the other way, as a pipeline: {stages} accelerators hold some layers each, "
            f"{format_bytes(each)} of weights, and pass every token on. That needs no fast link, but a token visits one after the other.",
        )
    replicas = "1 replica is" if best.replicas == 1 else f"{best.replicas:,} replicas are"
    return Word(
        "Tensor parallel and replicas",
        f"{said}Here it is not needed: {format_bytes(each)} of weights fit on one accelerator. More load is met by replicas, whole "
        f"copies side by side: {replicas} enough.",
    )


def _deep_learning(scenario: DeepLearningScenario, best: Deployment, steps: dict[str, Step]) -> Iterator[Word]:
    on_gpu = best.accelerator is not None
    worker = "GPU" if on_gpu else "session"
    memory = best.memory_per_accelerator or best.memory_per_instance
    weights, live = steps["Weights"].value, steps["Peak live activations of a sample"].value
    total = steps["Sum of activations of a sample"].value
    batch, used = best.batch or 1, 0 if memory is None else memory.used_bytes
    yield Word(
        "Weights and activations",
        f"Weights are what the network has learned and stay in memory: {format_bytes(weights)}. Activations are what it computes on "
        f"the way, and grow with the batch. Most die early: of {format_bytes(total)} written for one sample, at most "
        f"{format_bytes(live)} are alive at once, and that peak is what memory must hold. With the runtime's own part a {worker} "
        f"needs {format_bytes(used)} at a batch of {batch:,}.",
    )
    t0, k = float(best.extra["t0_ms"] or 0.0), float(best.extra["k_ms"] or 0.0)
    alone, full = t0 + k, t0 + k * batch
    together = (
        f"; {batch:,} together take {format_ms(full)}, {batch / full * MS_PER_S:,.0f} a second"
        if batch > 1
        else "; more together would hardly be faster, so each runs by itself"
    )
    yield Word(
        "Batch size",
        f"A {worker} takes about {format_ms(t0)} for any batch and {format_ms(k)} more for each sample in it. One sample alone takes "
        f"{format_ms(alone)}, {MS_PER_S / alone:,.0f} a second{together}. A larger batch serves more, and everyone in it waits for all of it.",
    )
    flight = float(best.extra["batch_in_flight"] or 0.0)
    delay = (
        f"Here a request waits at most {format_ms(scenario.queue_delay_ms)} for others."
        if on_gpu and scenario.queue_delay_ms > 0
        else "Here nobody is made to wait: a batch takes what has come meanwhile."
    )
    yield Word(
        "Dynamic batching",
        f"Requests come one by one, and the server puts those that wait into one batch. {delay} At this load a batch holds "
        f"{flight:,.2g} on average, at most {batch:,}."
        + (f" When more arrives, batches grow and the {worker} gets more efficient by itself." if batch > 1 else ""),
    )
    yield Word(
        "Launch overhead",
        "A network is hundreds of small operations; starting each costs some microseconds, whatever its size, and weights are read "
        f"once for a batch. That is the fixed part, here {format_ms(t0)}: {t0 / alone:.0%} of the time of one sample alone"
        + (f", {t0 / full:.0%} of that of a full batch." if batch > 1 else "."),
    )
    work, vcpus = float(best.extra["cpu_ms_per_request"] or 0.0), float(best.extra["vcpus_needed"] or 0.0)
    yield Word(
        "CPU work (pre- and post-processing)",
        "Decoding an image or splitting a text into tokens is done by CPU cores before the network runs. Here it takes "
        f"{format_ms(work)} of a core for each request, {vcpus:,.3g} vCPUs in all: where they are short, more machines are rented "
        "though GPUs stand idle.",
    )
    yield Word(
        "Precision",
        f"Numbers may be stored in 4 bytes (fp32), 2 (fp16, bf16) or 1 (int8, fp8). Fewer bytes mean less memory, less to read and "
        f"faster arithmetic units, at some cost in accuracy that you have to measure. This answer runs in {best.weight_format}.",
    )
