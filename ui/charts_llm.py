"""The charts of a language model's answer: latency against throughput by batch size, and memory by accelerator count."""

from __future__ import annotations

from collections.abc import Sequence

from sizing.catalog import Catalog
from sizing.llm import batch_curve
from sizing.llm.charts import MemoryByCount
from sizing.plan import Deployment, Plan
from sizing.scenario import LlmScenario
from sizing.units import GIB, format_ms
from ui import memory, speed
from ui.answer_chart import AnswerChart
from ui.charts import MemoryBar, memory_chart, trade_off_chart
from ui.memory_map import spread
from ui.sketch import Curve


def trade_off(scenario: LlmScenario, catalog: Catalog, best: Deployment) -> AnswerChart:
    """Time per output token against tokens per second of one replica by batch size."""
    curve = batch_curve(scenario, catalog, best)
    at = list(curve.batch).index(curve.chosen_batch)
    limit, first = scenario.tpot_target_ms, scenario.ttft_target_ms
    holds_to = curve.ttft_holds_to(first) if limit is not None or first is not None else None
    shaded = "; shaded: limits hold in the mean, batch kept full" if holds_to is not None else ""
    line = Curve(
        "one replica, by batch size",
        curve.output_tokens_per_s.tolist(),
        curve.tpot_ms.tolist(),
        low=curve.tpot_low_ms.tolist(),
        high=curve.tpot_high_ms.tolist(),
        labels=[str(b) if b & (b - 1) == 0 else "" for b in curve.batch.tolist()],
    )
    chosen = (float(curve.output_tokens_per_s[at]), float(curve.tpot_ms[at]))
    figure = trade_off_chart(
        line,
        x_title="throughput of one replica (output tokens/s)",
        y_title="time per output token (ms)",
        limit=limit,
        limit_name=f"TPOT limit {format_ms(limit)}",
        chosen=chosen,
        chosen_name=f"batch limit: {curve.chosen_batch}",
        shaded_to=holds_to,
    )
    return AnswerChart(
        "trade-off",
        f"Latency against throughput by batch size (numbers are batch sizes{shaded})",
        "Time per output token against output tokens per second of one replica by batch size, with the limit and the chosen batch",
        figure,
        speed.full_batch_words(curve, best, scenario),
        overlay=line,
        chosen=chosen,
        limit=None if limit is None else (limit, f"TPOT limit {format_ms(limit)}"),
    )


def memory_by_parts(scenario: LlmScenario, catalog: Catalog, plan: Plan) -> AnswerChart | None:
    """Memory per accelerator by how many share a copy; None where the model fits nowhere."""
    at = memory.hardware_of(scenario, catalog, plan)
    return None if at is None else parts_chart(at, memory.by_count(scenario, catalog, at))


def parts_chart(at: memory.Hardware, counts: Sequence[MemoryByCount]) -> AnswerChart:
    """Parts per accelerator against capacity, by how many share one copy, with the 80 % interval of their sum."""
    bars = []
    for row in counts:
        low, high = row.max_sequences_interval
        need = f"does not fit: needs {row.memory.used_bytes / GIB:,.0f} GiB"
        held = f"holds {row.max_sequences:,} ({low:,} to {high:,})" if row.max_sequences else need
        bars.append(
            MemoryBar(
                f"{row.accelerators} × ({spread(row.split)})<br>{held}",
                memory.grouped(row.memory.parts),
                row.memory.capacity_bytes,
                chosen=row.accelerators == at.split.accelerators,
                low_bytes=row.memory.used_low_bytes,
                high_bytes=row.memory.used_high_bytes,
            )
        )
    return AnswerChart(
        "memory",
        f"Memory per {at.name} when so many share one copy, filled with the requests that fit",
        "Memory parts per accelerator in GiB against its capacity for one, two, four and eight accelerators, with the "
        "80 percent interval of the sum",
        memory_chart(bars, per="accelerator", order=memory.ORDER, cut=True),
    )
