"""How many candidate estimates a second the search behind the Pareto fronts makes, on one core.

python -m benchmarks.frontier
"""

from __future__ import annotations

import time

from sizing import catalog, fleet
from sizing.llm.confidence import confidence
from sizing.llm.frontier import frontier, space_of
from sizing.llm.models import model_of
from sizing.planner import plan
from sizing.scenario import LlmScenario

REPEATS = 20
CASES = {
    "Llama-3.1-8B, default page": LlmScenario(),
    "Llama-2-70B": LlmScenario(model="llama-2-70b-hf"),
    "DeepSeek-V3": LlmScenario(model="deepseek-v3"),
    "Llama-3.1-8B, 300 requests/s": LlmScenario(requests_per_s=300.0, utilization_cap=0.95),
}


def main() -> None:
    """Measure and print a table: least wall time of some runs, configurations already kept."""
    known = catalog.load()
    print("| case | configurations | estimates | space (ms) | estimates/s | fronts in all (ms) | chances (ms) |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, scenario in CASES.items():
        best, model = plan(scenario, known).recommended, model_of(scenario, known)
        offers = fleet.offers(scenario, known, category="gpu")[0]
        found = frontier(scenario, known, best)
        times: dict[str, list[float]] = {"space": [], "fronts": [], "chances": []}
        for _ in range(REPEATS):
            start = time.perf_counter()
            space_of(scenario, model, offers)
            middle = time.perf_counter()
            frontier(scenario, known, best)
            late = time.perf_counter()
            if best is not None:
                confidence(scenario, known, best)
            times["space"].append(middle - start)
            times["fronts"].append(late - middle)
            times["chances"].append(time.perf_counter() - late)
        space, fronts, chances = (min(times[part]) * 1000 for part in ("space", "fronts", "chances"))
        print(
            f"| {name} | {found.configurations:,} | {found.estimates:,} | {space:.1f} "
            f"| {found.estimates / space * 1000:,.0f} | {fronts:.1f} | {chances:.1f} |"
        )


if __name__ == "__main__":
    main()
