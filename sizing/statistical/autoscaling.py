"""Targets for autoscalers: invocations and CPU of an instance, least and most instances, cooldowns, and texts to paste.

A target has to leave room for what comes while a new instance starts. With safety factor f the load may grow 1 / f times
before the limits break.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from typing import Any

import yaml

from sizing.catalog import Catalog
from sizing.plan import Deployment
from sizing.scenario import StatisticalScenario
from sizing.statistical import queues, sizes
from sizing.statistical.candidate import limits_ms, model_of
from sizing.statistical.cold_start import own_start_ms
from sizing.statistical.recommendations import cpu_percent
from sizing.statistical.serving import group_of

MOST_UTILIZATION = 0.98
"""Utilization [1] taken as the end of what one instance can do where no limit on latency ends it before."""

AWS_SAFETY_FACTOR = 0.5
"""Start of AWS for InvocationsPerInstance = MAX_RPS x SAFETY_FACTOR x 60 [1].
Source: SageMaker developer guide, endpoint-scaling-loadtest."""

MACHINE_START_S = {"sagemaker": 240.0, "azure_ml": 300.0, "vertex": 240.0, "kubernetes": 90.0}
"""From the decision to a machine that has the container [s]; with a free node Kubernetes needs about 10 s.
Recalled, 0.5 to 2 times, 2026-11-25."""

METRIC_DELAY_S = {"sagemaker": 180.0, "azure_ml": 120.0, "vertex": 60.0, "kubernetes": 60.0}
"""From more load to the decision [s]: target tracking waits for three minutes above the target, Azure as set below.
Recalled, 2026-11-25."""

LEAST_SCALE_IN_S = 300
"""Least cooldown before an instance is taken away [s]: the default of AWS and of Kubernetes."""

MOST_PERIOD_S = 1800
"""Longest period of a policy that Kubernetes accepts [s]; taken for all."""

PEAK_OVER_DEMANDED = 2.0
"""Highest load over the demanded one where the scenario names none [1]: an assumption, said as such."""


@dataclass(frozen=True)
class Targets:
    """What an autoscaler is told about one kind of instance; rates in requests/s unless named per minute."""

    deployment: Deployment
    safety_factor: float
    at_limits_per_s: float
    most_per_s: float
    target_per_s: float
    held_by_cap: bool
    cpu_target_percent: float | None
    demanded_per_s: float
    peak_per_s: float
    peak_given: bool
    min_instances: int
    max_instances: int
    own_start_s: float

    @property
    def invocations_per_minute(self) -> float:
        """Target of invocations of one instance [1/min]."""
        return self.target_per_s * 60.0

    @property
    def aws_invocations_per_minute(self) -> float:
        """What AWS's rule starts with [1/min]: most requests/s of one instance x 0.5 x 60."""
        return self.most_per_s * AWS_SAFETY_FACTOR * 60.0

    @property
    def growth(self) -> float:
        """How many times the load may grow before the limits break [1]."""
        return self.at_limits_per_s / self.target_per_s

    def start_s(self, platform: str) -> float:
        """From the decision to an instance that serves [s]: machine, imports, model load."""
        return MACHINE_START_S[platform] + self.own_start_s

    def scale_out_cooldown_s(self, platform: str) -> int:
        """Pause before the next instance is added [s]: until the last one serves, in whole half minutes."""
        return min(30 * ceil(self.start_s(platform) / 30.0), MOST_PERIOD_S)

    def scale_in_cooldown_s(self, platform: str) -> int:
        """Pause before an instance is taken away [s]: no shorter than it takes to get one back."""
        return max(LEAST_SCALE_IN_S, self.scale_out_cooldown_s(platform))


def targets(scenario: StatisticalScenario, catalog: Catalog, deployment: Deployment) -> Targets:
    """Targets of one deployment's kind of instance.

    target = highest load that keeps the limits on latency x safety factor, at most what the utilization cap allows;
    instances = load / target, rounded up, plus spares. Raises InputError as `model_of` does.
    """
    d = deployment
    group = group_of(d)
    most = group.queues * group.workers / group.service_ms * 1000.0
    reach = sizes.highest_utilization(group, limits_ms(scenario), float(d.extra["service_cv"] or 0.0), MOST_UTILIZATION)
    at_limits = min(max(reach, 0.0), MOST_UTILIZATION) * most
    wanted, capped = at_limits * scenario.safety_factor, scenario.utilization_cap * most
    target = min(wanted, capped) or capped * scenario.safety_factor
    demanded = d.throughput.requests_per_s.demanded
    peak = demanded * PEAK_OVER_DEMANDED if scenario.peak_requests_per_s is None else scenario.peak_requests_per_s
    peak = max(peak, demanded)

    def instances(load_per_s: float) -> int:
        return max(1, ceil(load_per_s / target - queues.ROUNDING)) + scenario.spare_replicas

    return Targets(
        deployment=d,
        safety_factor=scenario.safety_factor,
        at_limits_per_s=max(at_limits, target),
        most_per_s=most,
        target_per_s=target,
        held_by_cap=capped < wanted,
        cpu_target_percent=cpu_percent(d, target / most),
        demanded_per_s=demanded,
        peak_per_s=peak,
        peak_given=scenario.peak_requests_per_s is not None,
        min_instances=instances(demanded),
        max_instances=instances(peak),
        own_start_s=own_start_ms(model_of(scenario, catalog), cpu_factor=float(d.extra["cpu_factor"] or 1.0)) / 1000.0,
    )


@dataclass(frozen=True)
class Snippet:
    """A text to paste: for which platform, its file name and language, and what to do with it."""

    platform: str
    title: str
    file_name: str
    language: str
    text: str
    how: str


def sagemaker_policy(t: Targets) -> dict[str, Any]:
    """TargetTrackingScalingPolicyConfiguration of Application Auto Scaling for a SageMaker variant.

    Source: field names of the Application Auto Scaling API, API_TargetTrackingScalingPolicyConfiguration.
    """
    return {
        "TargetValue": float(f"{t.invocations_per_minute:.6g}"),
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleOutCooldown": t.scale_out_cooldown_s("sagemaker"),
        "ScaleInCooldown": t.scale_in_cooldown_s("sagemaker"),
    }


def sagemaker_commands(t: Targets) -> str:
    """Shell commands that register a variant and put the policy on it."""
    place = (
        "--service-namespace sagemaker --resource-id endpoint/my-endpoint/variant/AllTraffic "
        "--scalable-dimension sagemaker:variant:DesiredInstanceCount"
    )
    return (
        f"aws application-autoscaling register-scalable-target {place} "
        f"--min-capacity {t.min_instances} --max-capacity {t.max_instances}\n"
        f"aws application-autoscaling put-scaling-policy {place} --policy-name invocations-per-instance "
        "--policy-type TargetTrackingScaling --target-tracking-scaling-policy-configuration file://policy.json\n"
    )


def kubernetes_hpa(t: Targets) -> dict[str, Any]:
    """HorizontalPodAutoscaler (autoscaling/v2): CPU of pods that take a whole instance, and requests/s a pod beside it.

    Source: Kubernetes API reference, HorizontalPodAutoscaler v2.
    """
    rate = f"{round(t.target_per_s)}" if t.target_per_s >= 100 else f"{max(1, round(t.target_per_s * 1000))}m"
    metrics: list[dict[str, Any]] = [
        {
            "type": "Pods",
            "pods": {
                "metric": {"name": "http_requests_per_second"},
                "target": {"type": "AverageValue", "averageValue": rate},
            },
        }
    ]
    if t.cpu_target_percent is not None:
        target = {"type": "Utilization", "averageUtilization": max(1, round(t.cpu_target_percent))}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "model-server"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "model-server"},
            "minReplicas": t.min_instances,
            "maxReplicas": t.max_instances,
            "metrics": metrics,
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "policies": [
                        {"type": "Percent", "value": 100, "periodSeconds": t.scale_out_cooldown_s("kubernetes")}
                    ],
                },
                "scaleDown": {"stabilizationWindowSeconds": t.scale_in_cooldown_s("kubernetes")},
            },
        },
    }


def vertex_resources(t: Targets) -> dict[str, Any]:
    """`dedicatedResources` of a model deployed on Vertex AI.

    Source: field names of DedicatedResources and AutoscalingMetricSpec, Vertex AI API v1; default target 60 %.
    """
    found: dict[str, Any] = {
        "machineSpec": {"machineType": t.deployment.instance_type},
        "minReplicaCount": t.min_instances,
        "maxReplicaCount": t.max_instances,
    }
    if t.cpu_target_percent is not None:
        metric = "aiplatform.googleapis.com/prediction/online/cpu/utilization"
        found["autoscalingMetricSpecs"] = [{"metricName": metric, "target": max(1, round(t.cpu_target_percent))}]
    return found


def azure_autoscale(t: Targets) -> dict[str, Any]:
    """`properties` of an Azure Monitor autoscale setting for an Azure ML deployment, by CPU.

    One instance fewer must not be above the target again, so the lower threshold is 0.9 x target x n / (n + 1) at the least
    count n. Source: field names of Microsoft.Insights/autoscaleSettings; the guide's example scales out at 70 %.
    """
    cpu = t.cpu_target_percent or 50.0
    resource = "the resource id of the deployment"

    def rule(direction: str, operator: str, threshold: float, cooldown_s: int) -> dict[str, Any]:
        return {
            "metricTrigger": {
                "metricName": "CpuUtilizationPercentage",
                "metricResourceUri": resource,
                "timeGrain": "PT1M",
                "statistic": "Average",
                "timeWindow": "PT2M",
                "timeAggregation": "Average",
                "operator": operator,
                "threshold": float(f"{threshold:.3g}"),
            },
            "scaleAction": {
                "direction": direction,
                "type": "ChangeCount",
                "value": "1",
                "cooldown": f"PT{ceil(cooldown_s / 60)}M",
            },
        }

    lower = 0.9 * cpu * t.min_instances / (t.min_instances + 1)
    return {
        "enabled": True,
        "targetResourceUri": resource,
        "profiles": [
            {
                "name": "by-cpu",
                "capacity": {
                    "minimum": str(t.min_instances),
                    "maximum": str(t.max_instances),
                    "default": str(t.min_instances),
                },
                "rules": [
                    rule("Increase", "GreaterThan", cpu, t.scale_out_cooldown_s("azure_ml")),
                    rule("Decrease", "LessThan", lower, t.scale_in_cooldown_s("azure_ml")),
                ],
            }
        ],
    }


_OF_PROVIDER = {"aws": "sagemaker", "gcp": "vertex", "azure": "azure_ml"}


def snippets(t: Targets) -> tuple[Snippet, ...]:
    """The texts to paste: that of the serving platform of the deployment's cloud, where it has one here, then Kubernetes."""
    made = (
        Snippet(
            "sagemaker",
            "SageMaker",
            "policy.json",
            "json",
            json.dumps(sagemaker_policy(t), indent=2) + "\n",
            "For an endpoint variant; put in place by the two commands below it, with your endpoint's name. One variant takes "
            f"ml.{t.deployment.instance_type.removeprefix('ml.')} if SageMaker has it, else the nearest type.",
        ),
        Snippet(
            "vertex",
            "Vertex AI",
            "dedicated_resources.json",
            "json",
            json.dumps(vertex_resources(t), indent=2) + "\n",
            "The part dedicatedResources of the deployed model. Without the target Vertex AI scales at 60 %.",
        ),
        Snippet(
            "azure_ml",
            "Azure ML",
            "autoscale.json",
            "json",
            json.dumps(azure_autoscale(t), indent=2) + "\n",
            "The properties of an autoscale setting of Azure Monitor. Put the resource id of your deployment in.",
        ),
        Snippet(
            "kubernetes",
            "Kubernetes",
            "hpa.yaml",
            "yaml",
            yaml.safe_dump(kubernetes_hpa(t), sort_keys=False),
            f"For pods that take a whole {t.deployment.instance_type} each (CPU request: nearly all its vCPUs). Requests/s need "
            "a metrics adapter; leave that metric out if there is none.",
        ),
    )
    return tuple(s for s in made if s.platform in (_OF_PROVIDER.get(t.deployment.provider), "kubernetes"))
