"""What measurements of one's own do, in words and lines of the working: where they count, by how much they move it, and why not."""

from __future__ import annotations

from sizing.catalog import Catalog
from sizing.catalog_rows import Accelerator, LlmModel
from sizing.llm.measured import MeasuredServing, in_use, parse_serving, reason_unused
from sizing.llm.models import CUSTOM
from sizing.llm.recalibration import Posterior, recalibration
from sizing.llm.sharding import Split
from sizing.plan import Basis, Step
from sizing.scenario import LlmScenario
from sizing.units import GIB, format_bytes

ENGINE_WORDS = {"vllm": "vLLM", "sglang": "SGLang", "tensorrt_llm": "TensorRT-LLM", "llama_cpp": "llama.cpp"}
SOURCE = "your measurements, sizing/llm/recalibration.py"


def counted(count: int) -> str:
    """So many runs of one's own, in words.

    >>> counted(1), counted(4)
    ('1 of your runs', '4 of your runs')
    """
    return f"{count} of your runs"


def factors_at(
    scenario: LlmScenario, model: LlmModel, part: Accelerator, split: Split
) -> tuple[Posterior, Posterior, bool] | None:
    """What measurements make of a step and of a first token on one accelerator and split, and whether it is the measured split;
    None where they do not count."""
    measured = in_use(scenario, model, part.id)
    if measured is None or not measured.runs:
        return None
    found = recalibration(measured, model, part)
    return (*found.of(split, measured.split), split == measured.split)


def basis_of(
    scenario: LlmScenario, model: LlmModel, part: Accelerator, split: Split, otherwise: tuple[Basis, str]
) -> tuple[tuple[Basis, str], tuple[Basis, str]]:
    """Basis of TTFT and of TPOT and its source in words: measured where runs of one's own on this split moved it."""
    found = factors_at(scenario, model, part, split)
    if found is None:
        return otherwise, otherwise
    step, first, is_same = found

    def made(moved: Posterior) -> tuple[Basis, str]:
        if not moved.runs or (moved.width >= 1.0 and not is_same):
            return otherwise
        if moved.width >= 1.0:
            return otherwise[0], f"{otherwise[1]}; your runs scatter widely"
        if is_same:
            return "measured", f"with {counted(moved.runs)}"
        return otherwise[0], f"{otherwise[1]}, and {counted(moved.runs)} at another split"

    return made(first), made(step)


def percent_words(factor: float, more: str, less: str) -> str:
    """How far a factor is from 1, in words.

    >>> percent_words(1.08, "slower", "faster"), percent_words(0.9, "slower", "faster"), percent_words(1.001, "slower", "faster")
    ('8 % slower', '10 % faster', 'as fast')
    """
    change = round((factor - 1.0) * 100)
    if change == 0:
        return "as fast"
    return f"{change} % {more}" if change > 0 else f"{-change} % {less}"


def measured_words(measured: MeasuredServing, model: LlmModel, catalog: Catalog) -> str:
    """What was measured, in words: model, formats, engine, accelerator and how many of them."""
    part = catalog.accelerators.get(measured.accelerator)
    name = part.name if part else measured.accelerator
    row = catalog.llm_models.get(measured.model)
    called = row.name if row else model.name if measured.model.startswith(f"{CUSTOM}-") else measured.model
    split = measured.split
    engine = ENGINE_WORDS[measured.runtime] + (f" {measured.version}" if measured.version else "")
    many = f"{split.accelerators} x " if split.accelerators > 1 else ""
    return f"{called} in {measured.weight_format}, KV cache in {measured.kv_format}, {engine}, {many}{name}"


def said_of(scenario: LlmScenario, model: LlmModel, catalog: Catalog) -> str | None:
    """One or two sentences on where the scenario's measurements count and what they change; None where it has none."""
    if scenario.measured_serving is None:
        return None
    measured = parse_serving(scenario.measured_serving)
    reason = reason_unused(scenario, model)
    if reason is not None:
        what = measured_words(measured, model, catalog)
        return f"Your measurements are of {what}; this scenario has {reason}, so they do not count."
    part = catalog.accelerator(measured.accelerator)
    found = recalibration(measured, model, part)
    engine = ENGINE_WORDS[measured.runtime]
    parts = []
    if found.step.runs:
        parts.append(f"steps {percent_words(found.step.factor, 'slower', 'faster')} than predicted before")
    if found.first.runs:
        parts.append(f"first tokens {percent_words(found.first.factor, 'later', 'sooner')}")
    if measured.memory is not None:
        parts.append("memory as its start-up log says")
    with_runs = f" with {counted(found.runs)}" if found.runs else ""
    effect = ", ".join(parts) or "nothing of them could be used"
    return (
        f"Recalibrated{with_runs} on {part.name}, {engine}: {effect}. Other accelerators stay as predicted; other splits of this one "
        "move less."
    )


def own_steps(scenario: LlmScenario, model: LlmModel, part: Accelerator, split: Split) -> tuple[Step, ...]:
    """Lines of the working for a deployment that measurements move; none where they do not."""
    measured, found = in_use(scenario, model, part.id), factors_at(scenario, model, part, split)
    if measured is None:
        return ()
    steps = []
    if found is not None:
        where = "this split" if found[2] else "another split than measured"
        for name, moved in (("Own factor of a step", found[0]), ("Own factor of a first token", found[1])):
            if moved.runs:
                steps.append(
                    Step(
                        quantity=name,
                        formula="exp(k x mean of ln(measured / predicted)), k = n c / (r + n c): common and remaining shares of our error",
                        with_numbers=f"{counted(moved.runs)}, {where}; the 80 % interval is {moved.width:.2f} as wide as before, in logs",
                        value=moved.factor,
                        unit="1",
                        source=SOURCE,
                        trust="measured",
                    )
                )
    if measured.memory is not None and measured.split == split:
        log = measured.memory
        weights = "not stated" if log.weights_gib is None else format_bytes(log.weights_gib * GIB)
        steps.append(
            Step(
                quantity="KV budget in your start-up log",
                formula="as logged; what it differs from our prediction under the log's settings moves the KV budget below",
                with_numbers=f"weights {weights}, utilization {log.utilization:g}",
                value=log.kv_gib * GIB,
                unit="bytes",
                source=SOURCE,
                trust="measured",
            )
        )
    return tuple(steps)
