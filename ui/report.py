"""The report of an answer: one HTML file that opens offline and prints.

    python -m ui.report SCENARIO -o FILE.html [--base URL]

SCENARIO is a YAML or JSON file, `-`, a link or its query string, as for `python -m sizing plan`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from sizing import link as links
from sizing.catalog import Catalog
from sizing.errors import InputError
from sizing.plan import Plan
from sizing.planner import plan_with_remedies
from ui import plain_words, report_decisions, report_parts
from ui.report_html import page
from ui.report_sections import Link, Paragraph, Part, SectionMaker

SECTIONS: tuple[SectionMaker, ...] = (
    report_parts.answer,
    report_decisions.needed,
    report_parts.cost,
    report_decisions.over_a_year,
    report_decisions.api,
    report_decisions.power,
    report_parts.assumed,
    report_parts.certainty,
    report_parts.charts,
    report_parts.ranking,
    report_parts.working,
    report_parts.sources,
    report_parts.inputs,
)
"""What the report says, in this order."""


def report_html(
    plan: Plan, catalog: Catalog, *, base: str, created: date, sections: Sequence[SectionMaker] = SECTIONS
) -> str:
    """The report of a plan as one HTML page; `base` is the address of the dashboard for the link back to it."""
    made = [section for make in sections if (section := make(plan.scenario, catalog, plan)) is not None]
    title = plain_words.title(plan)
    dated = f"Report of {created.isoformat()} · facts and prices of catalog {plan.catalog}"
    return page(title, [Paragraph(dated, "note"), *_links(plan, base)], made, head=f"{title} · {dated}")


def _links(plan: Plan, base: str) -> list[Part]:
    try:
        return [
            Link(
                "Open the live page: every input, with these figures",
                links.to_link(plan.scenario, catalog_version=plan.catalog, base=base),
            )
        ]
    except InputError:
        return [Paragraph("This scenario does not fit into a link; the file at the end of this report brings it back.")]


def main(argv: Sequence[str] | None = None) -> int:
    """Write the report of a scenario; exit codes as `python -m sizing plan`."""
    # Here, as the pages make reports too and have no use for the commands and all that these load.
    from sizing.__main__ import BAD_INPUT, FOUND, NONE_MEETS, read_scenario

    parser = argparse.ArgumentParser(prog="python -m ui.report", description="Write the report of a scenario as HTML.")
    parser.add_argument("scenario", help="a YAML or JSON file, - for standard input, a link or its query string")
    parser.add_argument("-o", "--out", metavar="FILE", required=True, help="the HTML file to write")
    parser.add_argument("--base", default=links.DEFAULT_BASE, help="address of the dashboard, for the link back to it")
    arguments = parser.parse_args(argv)
    try:
        scenario, catalog = read_scenario(arguments.scenario)
        found = plan_with_remedies(scenario, catalog)
        text = report_html(found, catalog, base=arguments.base, created=date.today())
        try:
            Path(arguments.out).write_text(text, encoding="utf-8")
        except OSError:
            raise InputError("out", arguments.out, "a file that can be written") from None
    except InputError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    return FOUND if found.recommended is not None else NONE_MEETS


if __name__ == "__main__":
    sys.exit(main())
