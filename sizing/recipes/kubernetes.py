"""Kubernetes manifests of a planned deployment: the servers, the service before them, and what scales them.

Source: Kubernetes API reference (apps/v1, v1, autoscaling/v2) and KEDA's ScaledObject (keda.sh/v1alpha1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from sizing.catalog import Catalog
from sizing.fleet import instances_for
from sizing.plan import Deployment
from sizing.recipes.recipe import FILL_IN, Recipe, as_yaml

CPU_SHARE = 0.9
MEMORY_SHARE = 0.85
"""Shares of a machine's vCPUs and memory that its pods may ask for [1]; the rest is for the system and its agents. An
assumption: reserved amounts differ by provider."""

PROBE_PERIOD_S = 10
SLOW_LOAD_GIB_PER_S = 0.2
"""Slowest rate at which weights are taken to come to the machine [GiB/s]: a bound for the probe, not a prediction."""

LEAST_START_S = 300
MOST_OVER_PLAN = 2
"""Most replicas over those of the plan [1]: room for a load the plan does not know."""

SCALE_IN_S = 600
"""How long fewer are needed before one is taken away [s]: a start takes minutes."""


@dataclass(frozen=True)
class PodSpec:
    """What one pod runs: its image and arguments, the port and path it answers on, and the size of what it loads."""

    name: str
    image: str
    arguments: Sequence[str]
    port: int
    health_path: str
    weights_gib: float
    gpu: bool
    files: tuple[str, str] | None = None  # file name and text, mounted beside
    gated: bool = False  # loads a model that may need a token


@dataclass(frozen=True)
class Metric:
    """What the autoscaler follows: a Prometheus query over all pods and its target for one of them."""

    query: str
    pod_metric: str
    per_pod: float
    words: str


def kubernetes_recipes(pod: PodSpec, best: Deployment, catalog: Catalog, metric: Metric | None) -> tuple[Recipe, ...]:
    """Deployment with its service, and, where a metric is known, autoscaling by KEDA or by the built-in autoscaler."""
    per_replica = best.accelerators_per_replica or 0
    per_instance = best.accelerators_per_instance or 0
    if per_replica > per_instance > 0:
        machines = instances_for(
            replicas=1, accelerators_per_replica=per_replica, accelerators_per_instance=per_instance
        )
        return (
            Recipe(
                "kubernetes",
                "Kubernetes",
                "pods.yaml",
                "yaml",
                as_yaml(_leader_workers(pod, best, catalog, machines)),
                f"One replica spans {machines} machines, which a Deployment cannot tie together: this is a LeaderWorkerSet, which "
                "your cluster must have. Its pods wait until their engine finds the leader.",
                ("How the engine's processes find each other is left to the engine's own guide for several machines.",),
            ),
        )
    pods = best.replicas if pod.gpu else best.instances
    parts = [_deployment(pod, best, catalog, pods), _service(pod)]
    if pod.files is not None:
        parts.insert(0, _config_map(pod))
    machine = f"{best.instances} × {best.instance_type}" if best.provider not in ("runpod",) else "your machines"
    made = [
        Recipe(
            "kubernetes",
            "Kubernetes",
            "pods.yaml",
            "yaml",
            as_yaml(*parts),
            f"{pods} pod{'s' if pods > 1 else ''} on {machine}. Apply with: kubectl apply -f pods.yaml.",
            (
                "The node label with the machine's type is the provider's own: remove the selector where your nodes lack it.",
                *(("Gated models need the secret hf-token with the key token.",) if pod.gated else ()),
            ),
        )
    ]
    if metric is not None:
        made += [_keda(pod, pods, metric), _autoscaler(pod, pods, metric)]
    return tuple(made)


def _labels(pod: PodSpec) -> dict[str, str]:
    return {"app": pod.name}


def _config_map(pod: PodSpec) -> dict[str, Any]:
    assert pod.files is not None
    name, text = pod.files
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": pod.name}, "data": {name: text}}


def _pod(pod: PodSpec, best: Deployment, catalog: Catalog, accelerators: int) -> dict[str, Any]:
    """Template of one pod: a GPU pod takes the accelerators of one replica, another takes its whole machine."""
    instance = catalog.instance(best.instance)
    share = 1.0
    if pod.gpu and best.accelerators_per_instance:
        share = accelerators / best.accelerators_per_instance
    requests: dict[str, str] = {}
    if instance.vcpus:
        requests["cpu"] = f"{max(1, floor(1000 * CPU_SHARE * instance.vcpus * share))}m"
    if instance.memory_gib:
        requests["memory"] = f"{max(1, floor(1024 * MEMORY_SHARE * instance.memory_gib * share))}Mi"
    limits = {"memory": requests["memory"]} if "memory" in requests else {}
    if pod.gpu:
        limits[_device(best)] = str(accelerators)
    container: dict[str, Any] = {
        "name": "server",
        "image": pod.image,
        "ports": [{"name": "http", "containerPort": pod.port}],
        "resources": {"requests": requests, "limits": limits},
        "startupProbe": {
            "httpGet": {"path": pod.health_path, "port": "http"},
            "periodSeconds": PROBE_PERIOD_S,
            "failureThreshold": ceil((LEAST_START_S + pod.weights_gib / SLOW_LOAD_GIB_PER_S) / PROBE_PERIOD_S),
        },
        "readinessProbe": {"httpGet": {"path": pod.health_path, "port": "http"}, "periodSeconds": PROBE_PERIOD_S},
    }
    if pod.gated:
        secret = {"name": "hf-token", "key": "token", "optional": True}
        container["env"] = [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": secret}}]
    if pod.arguments:
        container["command"] = list(pod.arguments)
    spec: dict[str, Any] = {"nodeSelector": {"node.kubernetes.io/instance-type": best.instance_type}}
    if pod.gpu:
        container["volumeMounts"] = [{"name": "shared-memory", "mountPath": "/dev/shm"}]
        spec["volumes"] = [{"name": "shared-memory", "emptyDir": {"medium": "Memory"}}]
    if pod.files is not None:
        name = pod.files[0]
        container.setdefault("volumeMounts", []).append({"name": "files", "mountPath": "/etc/server"})
        container["command"] = [f"/etc/server/{name}" if part == name else part for part in container["command"]]
        spec.setdefault("volumes", []).append({"name": "files", "configMap": {"name": pod.name}})
    spec["containers"] = [container]
    return {"metadata": {"labels": _labels(pod)}, "spec": spec}


def _device(best: Deployment) -> str:
    """Resource name of the accelerators of a deployment, as their device plugins register it."""
    name = (best.accelerator or "").lower()
    if name.startswith("mi"):
        return "amd.com/gpu"
    if name.startswith("gaudi"):
        return "habana.ai/gaudi"
    if name.startswith(("inferentia", "trainium", "inf", "trn")):
        return "aws.amazon.com/neuron"
    if name.startswith("tpu"):
        return "google.com/tpu"
    return "nvidia.com/gpu"


def _deployment(pod: PodSpec, best: Deployment, catalog: Catalog, pods: int) -> dict[str, Any]:
    template = _pod(pod, best, catalog, best.accelerators_per_replica or 1)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": pod.name, "labels": _labels(pod)},
        "spec": {"replicas": pods, "selector": {"matchLabels": _labels(pod)}, "template": template},
    }


def _leader_workers(pod: PodSpec, best: Deployment, catalog: Catalog, machines: int) -> dict[str, Any]:
    template = _pod(pod, best, catalog, best.accelerators_per_instance or 1)
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": pod.name, "labels": _labels(pod)},
        "spec": {
            "replicas": best.replicas,
            "leaderWorkerTemplate": {"size": machines, "leaderTemplate": template, "workerTemplate": template},
        },
    }


def _service(pod: PodSpec) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": pod.name, "labels": _labels(pod)},
        "spec": {"selector": _labels(pod), "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    }


def _limits(pods: int) -> tuple[int, int]:
    return pods, MOST_OVER_PLAN * pods


def _behavior() -> dict[str, Any]:
    return {"scaleDown": {"stabilizationWindowSeconds": SCALE_IN_S}}


def _keda(pod: PodSpec, pods: int, metric: Metric) -> Recipe:
    least, most = _limits(pods)
    content = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": pod.name},
        "spec": {
            "scaleTargetRef": {"name": pod.name},
            "minReplicaCount": least,
            "maxReplicaCount": most,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior()}},
            "triggers": [
                {
                    "type": "prometheus",
                    "metadata": {
                        "serverAddress": f"{FILL_IN}_ADDRESS_OF_PROMETHEUS",
                        "query": metric.query,
                        "threshold": f"{metric.per_pod:.4g}",
                    },
                }
            ],
        },
    }
    how = f"Adds a pod when there are more than {metric.per_pod:.4g} {metric.words} a pod on average."
    return Recipe("keda", "Autoscaling with KEDA", "scaled-object.yaml", "yaml", as_yaml(content), how, _FLOOR)


def _autoscaler(pod: PodSpec, pods: int, metric: Metric) -> Recipe:
    least, most = _limits(pods)
    target = {"type": "AverageValue", "averageValue": f"{max(1, round(1000 * metric.per_pod))}m"}
    content = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": pod.name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": pod.name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Pods", "pods": {"metric": {"name": metric.pod_metric}, "target": target}}],
            "behavior": _behavior(),
        },
    }
    how = "The same without KEDA; needs an adapter that serves this metric of the pods."
    return Recipe("hpa", "Autoscaling without KEDA", "autoscaler.yaml", "yaml", as_yaml(content), how, _FLOOR)


_FLOOR = (
    "It never goes below the plan's count. Where the load falls at night, lower the least count to what the section on cost "
    "over a day says.",
)
