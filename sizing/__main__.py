"""Command line of the sizing core. Exit 0 found, 1 nothing meets the scenario, 2 bad input (one line)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from sizing import accuracy_points, score, snapshot_command
from sizing import catalog as catalogs
from sizing import link as links
from sizing.advisor import advise, best_path
from sizing.advisor import text as advice_words
from sizing.catalog import Catalog
from sizing.comparison_slots import Slot, read_comparison, slot_of
from sizing.comparison_text import compare, comparison_json, comparison_text
from sizing.comparison_view import Comparison
from sizing.cost_over_time.text import as_json as cost_json
from sizing.cost_over_time.text import cost_text
from sizing.cost_over_time.total import cost_over_time
from sizing.errors import InputError
from sizing.inspect import READ_HERE, inspect_file, inspection_text, parse_dims, summary_text
from sizing.llm import parameters
from sizing.llm.results import command as own_results
from sizing.measure import command as measuring
from sizing.planner import plan_with_remedies
from sizing.recipes import recipes
from sizing.refresh import command as refreshing
from sizing.scenario import (
    SCENARIO_TYPES,
    AnyScenario,
    LlmScenario,
    StatisticalScenario,
    scenario_from_yaml,
    scenario_to_yaml,
)
from sizing.scenario_base import ScenarioBase
from sizing.text import catalog_text, plan_text
from sizing.why import answer_interval

FOUND, NONE_MEETS, BAD_INPUT = 0, 1, 2
MAX_SCENARIO_BYTES = 1_000_000


def read_scenario(source: str) -> tuple[AnyScenario, Catalog]:
    """Scenario and catalog of a YAML or JSON file, `-` (standard input), a link or its query string.

    Raises InputError for the first thing that cannot be used: on the command line nothing is replaced by a default.
    """
    if source == "-":
        return scenario_from_yaml(_limited(sys.stdin.read(MAX_SCENARIO_BYTES + 1))), catalogs.load()
    if links.is_link(source) and not Path(source[:255]).is_file():
        decoded = links.from_link(source)
        if decoded.ignored:
            raise decoded.ignored[0]
        if not isinstance(decoded.scenario, ScenarioBase):
            raise InputError("kind", decoded.scenario.kind, f"one of {', '.join(SCENARIO_TYPES)}")
        return decoded.scenario, _catalog_of(decoded.catalog)
    try:
        with Path(source).open(encoding="utf-8") as file:
            text = file.read(MAX_SCENARIO_BYTES + 1)
    except UnicodeDecodeError:
        raise InputError("scenario", source, "a text file (YAML or JSON)") from None
    except (OSError, ValueError):
        raise InputError("scenario", source, "a file that can be read, `-`, or a link") from None
    return scenario_from_yaml(_limited(text)), catalogs.load()


def _limited(text: str) -> str:
    if len(text) > MAX_SCENARIO_BYTES:
        raise InputError(
            "scenario", f"over {MAX_SCENARIO_BYTES:,} characters", f"at most {MAX_SCENARIO_BYTES:,} characters"
        )
    return text


def _catalog_of(version: str | None) -> Catalog:
    """The catalog that a link names, so that its figures are those it was made with."""
    if version is None or version == catalogs.load().version:
        return catalogs.load()
    return catalogs.load(version)


def _plan(arguments: argparse.Namespace) -> int:
    scenario, catalog = read_scenario(arguments.scenario)
    found = plan_with_remedies(scenario, catalog)
    if arguments.json:
        print(json.dumps(found.as_json(), indent=2, allow_nan=False))
    else:
        print(plan_text(found, answer_interval(scenario, catalog, found)), end="")
    return FOUND if found.recommended is not None else NONE_MEETS


def _advise(arguments: argparse.Namespace) -> int:
    scenario, catalog = read_scenario(arguments.scenario)
    found = advise(scenario, catalog)
    if found is None:
        print(plan_text(plan_with_remedies(scenario, catalog)), end="")
        return NONE_MEETS
    path = best_path(scenario, catalog) if arguments.path else ()
    if arguments.json:
        print(json.dumps(advice_words.as_json(found, path), indent=2, allow_nan=False))
    else:
        print(advice_words.advice_text(found, path), end="")
    return FOUND


def _link(arguments: argparse.Namespace) -> int:
    scenario, catalog = read_scenario(arguments.scenario)
    print(links.to_link(scenario, catalog_version=catalog.version, base=arguments.base, view=arguments.view))
    return FOUND


def _scenario(arguments: argparse.Namespace) -> int:
    scenario, catalog = read_scenario(arguments.link)
    print(f"# catalog: {catalog.version}")
    print(scenario_to_yaml(scenario), end="")
    return FOUND


def _slots(source: str) -> tuple[Slot, ...]:
    """The scenario of a file or link, or all those of a comparison's link. Raises InputError as `read_scenario`."""
    if links.is_link(source) and not Path(source[:255]).is_file():
        decoded = links.from_link(source)
        if isinstance(decoded.scenario, Comparison):
            if decoded.ignored:
                raise decoded.ignored[0]
            found = read_comparison(decoded.scenario)
            for said in (said for slot in found for said in (slot.unread, *slot.said) if said is not None):
                raise InputError("link", source, f"a comparison that can be read as it stands ({said.rstrip('.')})")
            return found
    scenario, catalog = read_scenario(source)
    return (slot_of(scenario, catalog_version=catalog.version),)


def _compare(arguments: argparse.Namespace) -> int:
    entries = compare([slot for source in arguments.scenarios for slot in _slots(source)])
    if arguments.json:
        print(json.dumps(comparison_json(entries), indent=2, allow_nan=False))
    else:
        print(comparison_text(entries), end="")
    return FOUND if all(entry.best is not None for entry in entries) else NONE_MEETS


def _cost(arguments: argparse.Namespace) -> int:
    scenario, catalog = read_scenario(arguments.scenario)
    found = plan_with_remedies(scenario, catalog)
    cost, best = cost_over_time(scenario, catalog, found), found.recommended
    if cost is None or best is None:
        print(plan_text(found), end="")
        return NONE_MEETS
    if arguments.json:
        print(json.dumps(cost_json(cost, best), indent=2, allow_nan=False))
    else:
        print(cost_text(scenario, cost, best), end="")
    return FOUND


def _recipe(arguments: argparse.Namespace) -> int:
    scenario, catalog = read_scenario(arguments.scenario)
    made = recipes(scenario, catalog, plan_with_remedies(scenario, catalog))
    if arguments.out is None:
        for recipe in made:
            print(f"# {recipe.title}: {recipe.file_name}. {recipe.how}")
            print(recipe.text)
        return FOUND if made else NONE_MEETS
    directory = Path(arguments.out)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for recipe in made:
            (directory / recipe.file_name).write_text(recipe.text, encoding="utf-8")
    except OSError:
        raise InputError("out", arguments.out, "a directory that can be written") from None
    return FOUND if made else NONE_MEETS


def _snapshot(arguments: argparse.Namespace) -> int:
    if arguments.check is not None:
        if arguments.scenario is not None:
            raise InputError("scenario", arguments.scenario, "left out with --check, as the file to check has its own")
        return snapshot_command.check(arguments.check)
    if arguments.scenario is None:
        raise InputError("scenario", None, "a scenario to freeze, or --check with a snapshot")
    scenario, catalog = read_scenario(arguments.scenario)
    found = snapshot_command.write(scenario, catalog, arguments.out, on=date.today())
    return FOUND if found.recommended is not None else NONE_MEETS


def _inspect(arguments: argparse.Namespace) -> int:
    found = inspect_file(arguments.file, name=Path(arguments.file).name, dims=parse_dims(arguments.dim))
    if arguments.summary:
        print(summary_text(found))
    elif arguments.json:
        print(json.dumps(found.as_json(), indent=2, allow_nan=False))
    else:
        print(inspection_text(found), end="")
    return FOUND


def _measure(arguments: argparse.Namespace) -> int:
    batches, dims = measuring.parse_batches(arguments.batches), parse_dims(arguments.dim)
    scenario: StatisticalScenario | None = None
    catalog = catalogs.load()
    if arguments.scenario is not None:
        given, catalog = read_scenario(arguments.scenario)
        if not isinstance(given, StatisticalScenario):
            raise InputError("kind", given.kind, "statistical, to be compared with")
        scenario = given
    return measuring.run(arguments.file, batches=batches, dims=dims, scenario=scenario, catalog=catalog)


def _results(arguments: argparse.Namespace) -> int:
    scenario, catalog = read_scenario(arguments.scenario)
    if not isinstance(scenario, LlmScenario):
        raise InputError("kind", scenario.kind, "llm, to be compared with results of a language model server")
    return own_results.run(arguments, scenario, catalog)


def _score(arguments: argparse.Namespace) -> int:
    return score.run(arguments.kind, arguments.cases, arguments.out)


def _catalog(arguments: argparse.Namespace) -> int:
    if arguments.action == "refresh":
        return refreshing.run(
            providers=arguments.provider,
            prices=arguments.prices,
            save=arguments.write,
            accept_large=arguments.accept_large,
            on=date.today(),
        )
    catalog = catalogs.load()
    if arguments.action == "show":
        print(catalog_text(catalog, arguments.name), end="")
        return FOUND
    problems = [*catalogs.check(catalog), *parameters.check(catalog), *accuracy_points.check()]
    for problem in problems:
        print(problem)
    sizes = ", ".join(f"{len(rows)} {name.replace('_', ' ')}" for name, rows in catalog.tables().items())
    print(f"Catalog {catalog.version}: {sizes}.")
    print(
        f"Parameter counts computed from the architecture equal the catalog's in {parameters.checked_count(catalog)} rows."
    )
    print("Every row is valid." if not problems else f"{len(problems)} problems.")
    return FOUND if not problems else NONE_MEETS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sizing", description="What hardware, how many, how fast, at what cost."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    source = "a YAML or JSON file, - for standard input, a link or its query string"
    plan = commands.add_parser("plan", help="print the plan of a scenario")
    plan.add_argument("scenario", help=source)
    plan.add_argument("--json", action="store_true", help="print the whole plan as JSON")
    plan.set_defaults(run=_plan)
    advised = commands.add_parser("advise", help="print what would make the plan of a scenario cheaper or faster")
    advised.add_argument("scenario", help=source)
    advised.add_argument("--json", action="store_true", help="print all moves tried as JSON")
    advised.add_argument("--path", action="store_true", help="also take the best moves one after the other")
    advised.set_defaults(run=_advise)
    link = commands.add_parser("link", help="print the link of a scenario")
    link.add_argument("scenario", help=source)
    link.add_argument("--base", default=links.DEFAULT_BASE, help="address of the dashboard")
    link.add_argument("--view", choices=(links.SUMMARY,), help="open it without controls, for those who decide")
    link.set_defaults(run=_link)
    scenario = commands.add_parser("scenario", help="print the scenario of a link as YAML")
    scenario.add_argument("link", help=source)
    scenario.set_defaults(run=_scenario)
    compare = commands.add_parser("compare", help="print scenarios side by side: what differs in inputs and answers")
    compare.add_argument("scenarios", nargs="+", help=source)
    compare.add_argument("--json", action="store_true", help="print the comparison as JSON")
    compare.set_defaults(run=_compare)
    cost = commands.add_parser("cost", help="print what a scenario costs over a week, a month and a year")
    cost.add_argument("scenario", help=source)
    cost.add_argument("--json", action="store_true", help="print it as JSON")
    cost.set_defaults(run=_cost)
    recipe = commands.add_parser("recipe", help="print the commands and manifests of the recommended deployment")
    recipe.add_argument("scenario", help=source)
    recipe.add_argument("--out", metavar="DIR", help="write them as files of this directory")
    recipe.set_defaults(run=_recipe)
    frozen = commands.add_parser("snapshot", help="freeze the answer to a scenario, or check a frozen one")
    frozen.add_argument("scenario", nargs="?", help=source)
    frozen.add_argument("-o", "--out", metavar="FILE", help="write it to this file instead of standard output")
    frozen.add_argument("--check", metavar="FILE", help="verify a snapshot, and compare it with today's computation")
    frozen.set_defaults(run=_snapshot)
    inspect = commands.add_parser("inspect", help="print the facts of a model file")
    inspect.add_argument("file", help=READ_HERE)
    inspect.add_argument(
        "--dim", action="append", default=[], metavar="NAME=N", help="value of a symbolic dimension, such as batch=8"
    )
    inspect.add_argument("--json", action="store_true", help="print all facts as JSON")
    inspect.add_argument(
        "--summary", action="store_true", help="print the summary of a model file that a scenario can carry"
    )
    inspect.set_defaults(run=_inspect)
    measure = commands.add_parser("measure", help="time an ONNX model on this machine")
    measure.add_argument("file", help="an ONNX file with all its data inside")
    measure.add_argument(
        "--dim", action="append", default=[], metavar="NAME=N", help="value of an open dimension that is not the batch"
    )
    measure.add_argument("--batches", default="1,8,64,512", help="rows of a call, with commas")
    measure.add_argument("--scenario", help=f"predict it too, and print the times for the scenario: {source}")
    measure.set_defaults(run=_measure)
    results = commands.add_parser(
        "results", help="compare your own benchmark results of an LLM server with its prediction"
    )
    own_results.add_arguments(results, source)
    results.set_defaults(run=_results)
    scored = commands.add_parser("score", help="predict measured cases and compare")
    scored.add_argument("kind", help=f"one of {', '.join(score.KINDS)}")
    scored.add_argument("cases", help="a CSV file of measured cases")
    scored.add_argument("--out", help="write a row a case and quantity to this CSV file")
    scored.set_defaults(run=_score)
    catalog = commands.add_parser("catalog", help="check the catalogs, show one row or table, or look for new prices")
    catalog.add_argument("action", choices=("check", "show", "refresh"))
    catalog.add_argument("name", nargs="?", default="", help="a table or the id of a row, for show")
    refreshing.add_arguments(catalog.add_argument_group("refresh"))
    catalog.set_defaults(run=_catalog)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        sys.stderr.close()
        return FOUND


if __name__ == "__main__":
    sys.exit(main())
