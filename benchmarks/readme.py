"""Writes the tables of figures in README.md from the code; a test checks that they are true.

python -m benchmarks.readme
"""

from __future__ import annotations

from pathlib import Path

from sizing import catalog as catalogs
from sizing.accuracy import quantity_of
from sizing.accuracy_points import book
from sizing.planner import plan
from sizing.scenario import SCENARIO_TYPES, scenario_from_yaml

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
LEAST_FIGURES = 70
"""Fewest figures of a row of the accuracy table [count]."""
QUEUES = ("mean_wait", "p95_sojourn")
KINDS = {
    "llm": "LLM", "llm_memory": "LLM memory", "deep_learning": "deep learning", "deep_learning_memory": "deep learning",
    "statistical": "statistical", "queues": "queues",
}  # fmt: skip


def examples_table() -> str:
    """Worked examples with the present answer of each."""
    found = {path: scenario_from_yaml(path.read_text(encoding="utf-8")) for path in (ROOT / "examples").glob("*.yaml")}
    catalog = catalogs.load()
    lines = [f"Catalog {catalog.version}.", "", "| scenario | answer |", "|---|---|"]
    for path, scenario in sorted(found.items(), key=lambda f: (list(SCENARIO_TYPES).index(f[1].kind), f[0].name)):
        headline = plan(scenario, catalog).headline.replace("|", "\\|")
        lines.append(f"| [{scenario.name}](examples/{path.name}) | {headline} |")
    return "\n".join(lines)


def catalogs_table() -> str:
    """Rows of each catalog by how far they can be trusted."""
    trusts = ("cross_checked", "single_source", "recalled", "derived")
    lines = [f"| catalog | rows | {' | '.join(t.replace('_', ' ') for t in trusts)} |", "|---|---|---|---|---|---|"]
    for name, rows in catalogs.load().tables().items():
        counts = [sum(row.trust == trust for row in rows.values()) for trust in trusts]
        lines.append(f"| {name.replace('_', ' ')} | {len(rows)} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def speed_table() -> str:
    """The head of benchmarks/LLM_SPEED.md: error of speed on what was held back."""
    lines = (ROOT / "benchmarks" / "LLM_SPEED.md").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("| quantity"))
    last = next(i for i in range(first, len(lines)) if not lines[i])
    note = "Absolute error, % of the measured value: median / P90, share inside the stated 80 % interval."
    return "\n".join(["", note, "", *lines[first:last], ""])


def networks_table() -> str:
    """The head of benchmarks/DEEP_LEARNING_SPEED.md: error of the time of a batch on what was held back."""
    lines = (ROOT / "benchmarks" / "DEEP_LEARNING_SPEED.md").read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("| | runs"))
    last = next(i for i in range(first, len(lines)) if not lines[i])
    note = "Absolute error of throughput (timm tables: one batch a network) and of latency (batch curves)."
    return "\n".join(["", note, "", *lines[first:last], ""])


def accuracy_table() -> str:
    """The error of each quantity of the accuracy page on figures that the fit had not seen."""
    lines = [
        "",
        "| predicted | left out of the fit | figures | median error | 9 of 10 within | in the 80 % interval |",
        "|---|---|--:|--:|--:|--:|",
    ]
    places = list(KINDS)
    for row in sorted(book().head.stated, key=lambda row: places.index(row.kind)):
        if row.of_points and row.count >= LEAST_FIGURES and (row.kind != "queues" or row.quantity in QUEUES):
            inside = "" if row.inside_percent is None else f"{row.inside_percent:.0f} %"
            words = f"{KINDS[row.kind]}: {quantity_of(row.quantity).words}"
            left_out = row.left_out.replace(
                "the network, GPU, runtime and precision together", "network, GPU and runtime together"
            )
            lines.append(
                f"| {words} | {left_out} | {row.count:,} | {row.median_percent:.1f} % | {row.p90_percent:.1f} % | {inside} |"
            )
    return "\n".join([*lines, ""])


def rendered(text: str) -> str:
    """README text with each generated table in its place, between its two markers."""
    tables = {
        "examples": examples_table(),
        "catalogs": catalogs_table(),
        "speed": speed_table(),
        "networks": networks_table(),
        "accuracy": accuracy_table(),
    }
    for name, table in tables.items():
        start, end = f"<!-- {name}: written by python -m benchmarks.readme -->", f"<!-- end of {name} -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n{table}\n{end}{rest.split(end)[1]}"
    return text


def main() -> None:
    """Write the tables into README.md."""
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
