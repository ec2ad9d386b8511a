"""The differences of a comparison are those made by hand, its answers those of each plan alone."""

from __future__ import annotations

from dataclasses import replace

from test_comparison import PRESENT, THREE, VERSIONS

from sizing import catalog as catalogs
from sizing.comparison_answers import Answer, Cell, Compared, against, answer_rows, compared, input_differences
from sizing.comparison_slots import Slot, slot_of
from sizing.comparison_text import headline
from sizing.plan import Cost, Deployment, LatencyMs, Memory, Rate, Throughput, verdict
from sizing.planner import plan
from sizing.scenario import LlmScenario


def _deployment(usd_per_month: float, ttft: tuple[float, float, float], tpot: tuple[float, float, float]) -> Deployment:
    """A deployment with the figures that a comparison shows, each chosen by hand."""

    def latency(low: float, p95: float, high: float) -> LatencyMs:
        return LatencyMs(p50=p95 / 2, p95=p95, p99=p95 * 2, low=low, high=high, interval_of="p95")

    times = {"ttft": latency(*ttft), "tpot": latency(*tpot)}
    per_hour = usd_per_month / 730
    return Deployment(
        **{"instance": "x", "instance_type": "x.large", "provider": "aws", "service": "ec2", "region": "us-east-1"},
        **{"accelerator": "h100", "accelerator_name": "H100", "accelerators_per_instance": 8},
        **{"accelerators_per_replica": 4, "vcpus_per_instance": 96, "replicas": 2, "instances": 1, "parallelism": None},
        **{"runtime": "vllm", "weight_format": "bf16", "kv_format": "bf16", "batch": 8},
        memory_per_accelerator=Memory(parts={"weights": 50}, used_bytes=50, capacity_bytes=80),
        latency_ms=times,
        throughput=Throughput(requests_per_s=Rate(demanded=5.0, capacity=10.0)),
        utilization=0.5,
        cost=Cost(
            **{"usd_per_hour": per_hour, "usd_per_month": usd_per_month, "usd_per_1k_requests": usd_per_month / 1000},
            **{"usd_per_1k_requests_at_capacity": 0.1, "usd_per_million_output_tokens": usd_per_month / 500},
            **{"usd_per_million_output_tokens_at_capacity": 1.0, "usd_per_instance_hour": per_hour},
            **{"price_basis": "on_demand", "price_date": "2026-11-01", "price_region": "us", "price_source": "list"},
            price_marks=(),
        ),
        verdicts=(
            verdict(
                quantity="Time to first token (TTFT)",
                percentile=95,
                limit_ms=200.0,
                latency=times["ttft"],
                basis="estimated",
                source="s",
            ),
            verdict(
                quantity="Time per output token (TPOT)",
                percentile=95,
                limit_ms=None,
                latency=times["tpot"],
                basis="estimated",
                source="s",
            ),
        ),
        binding_constraint="memory",
    )


def _entry(letter: str, label: str, best: Deployment | None, scenario: LlmScenario | None = None) -> Compared:
    slot = slot_of(scenario or LlmScenario(), catalog_version=PRESENT, label=label)
    return Compared(letter, slot, Answer("A model needs a machine.", best, "memory"))


BASE = _entry("A", "base", _deployment(1000.0, (80.0, 100.0, 120.0), (8.0, 10.0, 12.0)))
CHEAP = _entry("B", "fp8", _deployment(770.0, (125.0, 130.0, 150.0), (9.0, 11.0, 13.0)))
NONE = _entry("C", "tight", None)


def test_differences_are_those_made_by_hand() -> None:
    rows = {row.quantity: row for row in answer_rows((BASE, CHEAP, NONE))}
    assert [row.cells[2].value for row in rows.values() if row.unit] == [None] * (len(rows) - 2)
    month = rows["Cost per month"].cells
    assert (month[0].value, month[1].value, month[0].change, month[1].change) == (1000.0, 770.0, None, -0.23)
    assert month[1].decided is None  # a price has no interval
    first = rows["Time to first token (TTFT) p95"].cells
    assert first[1] == Cell(130.0, 125.0, 150.0, 200.0, True, 0.3, decided=True)
    each = rows["Time per output token (TPOT) p95"].cells
    assert each[1] == Cell(11.0, 9.0, 13.0, None, True, 0.1, decided=False)
    assert rows["Cost per 1M requests"].cells[0].value == 1000.0
    assert rows["Cost per 1M output tokens"].cells[1].value == 1.54
    assert rows["Accelerators"].cells[0].value == 8
    assert rows["Memory used of an accelerator or instance"].cells[0] == Cell(50, None, None, 80)
    assert [cell.value for cell in rows["Binding constraint"].cells] == ["memory"] * 3


def test_the_headline_is_the_one_made_by_hand() -> None:
    assert headline((BASE, CHEAP)) == (
        "B (fp8) costs $230.00 less a month than A (base) (-23 %), and both meet their limits; B is slower at TTFT p95 by "
        "30 ms (+30 %); TPOT p95 not decided (the 80 % intervals overlap)."
    )
    assert headline((replace(CHEAP, letter="A"), replace(BASE, letter="B"))).startswith(
        "B (base) costs $230.00 more a month than A (fp8) (+30 %), and both meet their limits; B is faster at TTFT p95 by"
    )
    assert headline((BASE, CHEAP, replace(BASE, letter="C"), replace(NONE, letter="D"))) == (
        "B (fp8) is the cheapest at $770.00 a month, A costs $230.00 more (+30 %), C costs $230.00 more (+30 %), and all "
        "meet their limits; B is slower at TTFT p95 by 30 ms (+30 %); D has no deployment, memory binds."
    )
    same = headline((BASE, replace(BASE, letter="B")))
    assert same.startswith("B (base) costs the same as A (base), $1,000 a month, and both meet their limits.")
    assert headline((BASE, NONE)) == (
        "Only A (base) has a deployment: $1,000 a month. C has no deployment, memory binds."
    )
    assert headline((NONE, replace(NONE, letter="D"))).startswith("No scenario has a deployment under its rules")
    lost = Compared("B", Slot(text="?", unread="gone"), None)
    assert headline((BASE, lost)).endswith("Nothing to compare it with yet. B could not be read.")
    assert headline((lost,)) == "Nothing to compare yet. B could not be read."


def test_change_and_decision_do_not_apply_where_a_figure_is_missing_or_zero() -> None:
    assert against(Cell(5.0), Cell(None)).change is None
    assert against(Cell(5.0), Cell(0.0)).change is None
    assert against(Cell(None), Cell(5.0)) == Cell(None)
    assert against(Cell("m"), Cell("n")) == Cell("m")
    assert against(Cell(5.0, 4.0, 6.0), Cell(5.0)).decided is None
    assert against(Cell(8.0, 6.0, 9.0), Cell(5.0, 4.0, 6.0)).decided is False  # they touch


def test_inputs_that_differ_are_listed_once_and_only_those() -> None:
    llm = [slot_of(LlmScenario(prompt_tokens=n, name=f"{n}"), catalog_version=PRESENT) for n in (1000, 500)]
    rows = input_differences(compared(llm))
    assert [(row.field, row.values) for row in rows] == [("prompt_tokens", (1000, 500))]
    mixed = {row.field: row for row in input_differences(compared(THREE))}
    assert mixed["kind"].values == ("llm", "deep_learning", "statistical")
    assert mixed["requests_per_s"].values == (5.0, 500.0, 200.0)
    assert mixed["weight_format"].held == (True, False, False)
    assert mixed["trees"].values[2] == 300
    assert not {"utilization_cap", "depth", "queue_delay_ms", "lora_rank"} & set(mixed)
    versions = [slot_of(LlmScenario(), catalog_version=version) for version in (PRESENT, VERSIONS[0])]
    (row,) = input_differences((*compared(versions)[:1], Compared("B", versions[1], None)))
    assert row.field == "catalog"


def test_answers_are_those_of_each_plan_alone() -> None:
    entries = compared(THREE)
    rows = {row.quantity: row for row in answer_rows(entries)}
    for position, slot in enumerate(THREE):
        assert slot.scenario is not None
        best = plan(slot.scenario, catalogs.load()).recommended
        assert best is not None
        assert rows["Cost per month"].cells[position].value == best.cost.usd_per_month
        assert rows["Machines"].cells[position].value == best.instances
        for v in best.verdicts:
            cell = rows[f"{v.quantity} p{v.percentile}"].cells[position]
            assert (cell.value, cell.low, cell.high, cell.limit) == (v.predicted_ms, v.low_ms, v.high_ms, v.limit_ms)
    assert rows["Cost per 1M output tokens"].cells[1].value is None
