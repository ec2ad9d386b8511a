"""Large language models: memory, speed, serving, and the smallest deployment that meets the scenario."""

from sizing.llm.charts import batch_curve, holding_limits, load_curve, memory_parts_by_count
from sizing.llm.plan import plan

__all__ = ["batch_curve", "holding_limits", "load_curve", "memory_parts_by_count", "plan"]
