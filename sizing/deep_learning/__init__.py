"""Deep learning models: memory, time of a batch, dynamic batching, and the smallest deployment that meets the scenario."""

from sizing.deep_learning.charts import batch_curve, load_curve, measured_chart, memory_by_batch
from sizing.deep_learning.plan import plan

__all__ = ["batch_curve", "load_curve", "measured_chart", "memory_by_batch", "plan"]
