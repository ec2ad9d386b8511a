"""`python -m sizing results`: files of one's own beside the prediction, as text, and the scenario recalibrated with them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.llm.measured import FIELD
from sizing.llm.models import model_of
from sizing.llm.own_runs import said_of
from sizing.llm.plan import plan
from sizing.llm.results.compare import QUANTITIES, Cell, Comparison, RunRow, compare, measured_text
from sizing.llm.results.read import MAX_BYTES, read_all
from sizing.llm.results.setup import guess
from sizing.llm.sharding import Split
from sizing.scenario import LlmScenario, scenario_to_yaml

FOUND, NOTHING_COUNTS = 0, 1
UNIT_OF = {"TTFT": "ms", "TPOT": "ms", "Output": "tokens/s"}


def add_arguments(parser: argparse.ArgumentParser, source: str) -> None:
    """Arguments of the command; `source` says what a scenario may be."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="JSON of vllm bench serve, SGLang, GuideLLM, AIPerf; vLLM logs"
    )
    parser.add_argument("--scenario", required=True, help=source)
    parser.add_argument("--accelerator", help="catalog id of what it ran on; empty means the recommended one")
    parser.add_argument(
        "--tp", type=int, help="tensor parallel degree it ran with; empty means as the log says or as recommended"
    )
    parser.add_argument(
        "--recalibrate", action="store_true", help="print the scenario (YAML) recalibrated with the results"
    )


def run(arguments: argparse.Namespace, scenario: LlmScenario, catalog: Catalog) -> int:
    """Print the comparison, or the recalibrated scenario alone. Exit 0, or 1 where no run counts. Raises InputError."""
    results = read_all((Path(name).name, _content(name)) for name in arguments.files)
    plain = scenario.model_copy(update={FIELD: None})
    best = plan(plain, catalog).recommended
    setup = guess(scenario, best, results, catalog)
    if arguments.accelerator is not None:
        setup = replace(setup, accelerator=catalog.accelerator(arguments.accelerator).id)
    if arguments.tp is not None:
        if not 1 <= arguments.tp <= 128:
            raise InputError("tp", arguments.tp, "a whole number from 1 to 128")
        setup = replace(setup, split=Split(arguments.tp, 1))
    found = compare(scenario, catalog, setup, results)
    if arguments.recalibrate:
        print(scenario_to_yaml(recalibrated(scenario, catalog, found)), end="")
        return FOUND
    where = f"{setup.split.accelerators} x {catalog.accelerator(setup.accelerator).name}"
    print(
        f"Compared as {model_of(scenario, catalog).name}, {setup.weight_format}, KV {setup.kv_format}, {setup.runtime}, on {where}."
    )
    print(comparison_text(found), end="")
    for said in results.left_out:
        print(f"Left out: {said}")
    if found.measured is None:
        return NOTHING_COUNTS
    print(said_of(recalibrated(scenario, catalog, found), model_of(scenario, catalog), catalog))
    return FOUND


def recalibrated(scenario: LlmScenario, catalog: Catalog, found: Comparison) -> LlmScenario:
    """The scenario with what counts of a comparison. Raises InputError where nothing does."""
    return LlmScenario.model_validate({**scenario.model_dump(), FIELD: measured_text(found)})


def _content(name: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError):
        raise InputError("file", name, "a file that can be read") from None


def comparison_text(found: Comparison) -> str:
    """The table as text: a line a figure, then the notes."""
    lines = [f"{'':40s}{'measured':>10}{'predicted':>11}{'80 % interval':>20}{'error':>8}{'recalibrated':>14}"]
    for row in found.rows:
        lines += _run_lines(row)
    lines += [_line(f"{row.part} ({row.unit})", row.cell) for row in found.memory]
    for name in QUANTITIES:
        if (errors := found.median_errors(name)) is not None:
            lines.append(
                f"{name}: median error {errors[0]:.0%}, recalibrated {errors[1]:.0%}, over {len(found.cells(name))} runs."
            )
    lines += [f"Note: {note}." for note in found.notes]
    return "\n".join(lines) + "\n"


def _run_lines(row: RunRow) -> list[str]:
    lines = [f"{row.load}" + (f" ({row.why})" if row.why else "")]
    return lines + [_line(f"  {name} ({UNIT_OF[name]})", cell) for name, cell in row.cells.items()]


def _line(name: str, cell: Cell) -> str:
    interval = f"{cell.low:,.4g} to {cell.high:,.4g}"
    after = "" if cell.after is None else f"{cell.after:,.4g}"
    return f"{name:40s}{cell.measured:>10,.4g}{cell.predicted:>11,.4g}{interval:>20}{cell.error:>+8.0%}{after:>14}"
