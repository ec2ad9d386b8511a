"""Statistical models: from sizes to service time, memory, queues, instances and cost."""

from sizing.statistical.curves import InstancesCurve, PercentileCurve, instances_curve, percentile_curve
from sizing.statistical.plan import plan

__all__ = ["InstancesCurve", "PercentileCurve", "instances_curve", "percentile_curve", "plan"]
