"""Autoscaling targets by hand, and texts to paste that parse and name only fields that the platforms publish."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sizing import catalog
from sizing.scenario import StatisticalScenario
from sizing.statistical import plan, queues
from sizing.statistical.autoscaling import (
    azure_autoscale,
    kubernetes_hpa,
    sagemaker_commands,
    sagemaker_policy,
    snippets,
    targets,
    vertex_resources,
)

CATALOG = catalog.load()
SCENARIO = StatisticalScenario(requests_per_s=3000.0, p99_target_ms=8.0)


def made(scenario: StatisticalScenario = SCENARIO, provider: str | None = None):
    ranked = plan(scenario, CATALOG).ranked
    return targets(scenario, CATALOG, next(d for d in ranked if provider in (None, d.provider)))


def test_targets_by_hand_without_a_limit_on_latency() -> None:
    scenario = SCENARIO.model_copy(update={"p99_target_ms": None, "peak_requests_per_s": 9000.0, "spare_replicas": 1})
    t = made(scenario)
    extra = t.deployment.extra
    workers = t.deployment.replicas // t.deployment.instances
    one = workers * 1000.0 / extra["service_ms"]
    # Nothing ends it before 98 %: target = 0.98 x 0.5 of the most that one instance can do; AWS starts at half of that most.
    assert t.target_per_s == pytest.approx(0.49 * one)
    assert t.aws_invocations_per_minute == pytest.approx(30 * one)
    assert t.cpu_target_percent == pytest.approx(49 * workers / t.deployment.vcpus_per_instance)
    assert t.growth == pytest.approx(2.0)
    assert t.max_instances == -(-9000 // t.target_per_s) + 1
    assert t.min_instances == -(-3000 // t.target_per_s) + 1


def test_the_limit_on_latency_ends_what_one_instance_can_take() -> None:
    t = made()
    d = t.deployment
    workers = d.replicas // d.instances
    service_ms = d.extra["service_ms"]
    times = queues.unit_times(
        utilizations=[t.at_limits_per_s / t.most_per_s * k for k in (0.999, 1.001)], workers=workers, cv=0.3
    )
    assert times[0, 2] * service_ms <= 8.0 <= times[1, 2] * service_ms
    assert t.target_per_s == pytest.approx(t.at_limits_per_s * 0.5)
    assert t.target_per_s < t.aws_invocations_per_minute / 60


def test_the_cap_holds_the_target() -> None:
    t = made(SCENARIO.model_copy(update={"safety_factor": 0.95, "utilization_cap": 0.5}))
    assert t.held_by_cap
    assert t.target_per_s == pytest.approx(0.5 * t.most_per_s)


def test_cooldowns_cover_the_time_to_serve() -> None:
    t = made()
    for platform in ("sagemaker", "kubernetes", "vertex", "azure_ml"):
        assert t.scale_out_cooldown_s(platform) % 30 == 0
        assert t.start_s(platform) <= t.scale_out_cooldown_s(platform) <= t.start_s(platform) + 30
        assert t.scale_in_cooldown_s(platform) >= max(300, t.scale_out_cooldown_s(platform))
    slow = made(StatisticalScenario(family="random-forest", trees=3000, depth=14, p99_target_ms=None))
    assert slow.own_start_s > t.own_start_s


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    factor=st.floats(0.05, 1.0),
    cap=st.floats(0.1, 0.95),
    load=st.floats(0.01, 50_000.0),
    peak=st.none() | st.floats(0.01, 100_000.0),
    limit=st.none() | st.floats(4.0, 200.0),
    spare=st.integers(0, 2),
)
def test_targets_keep_cap_limits_and_order(factor, cap, load, peak, limit, spare):
    scenario = StatisticalScenario(
        safety_factor=factor,
        utilization_cap=cap,
        requests_per_s=load,
        peak_requests_per_s=peak,
        p99_target_ms=limit,
        spare_replicas=spare,
        providers=("aws",),
    )
    best = plan(scenario, CATALOG).recommended
    if best is None:
        return
    t = targets(scenario, CATALOG, best)
    assert 0 < t.target_per_s <= t.most_per_s * cap * (1 + 1e-9)
    assert t.growth >= 1.0 - 1e-9
    assert 1 + spare <= t.min_instances <= t.max_instances
    assert (t.max_instances - spare) * t.target_per_s >= t.peak_per_s * (1 - 1e-6)
    assert t.cpu_target_percent <= 100.0
    policy = json.loads(json.dumps(sagemaker_policy(t)))
    assert policy["TargetValue"] == pytest.approx(t.invocations_per_minute, rel=1e-5)


def test_sagemaker_policy_has_the_published_fields() -> None:
    t = made(provider="aws")
    policy = json.loads(snippets(t)[0].text)
    assert policy == {
        "TargetValue": pytest.approx(t.target_per_s * 60, rel=1e-5),
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        "ScaleOutCooldown": 270,
        "ScaleInCooldown": 300,
    }
    register, put = sagemaker_commands(t).splitlines()
    words = shlex.split(register)
    assert words[:3] == ["aws", "application-autoscaling", "register-scalable-target"]
    assert words[words.index("--min-capacity") + 1] == str(t.min_instances)
    assert words[words.index("--max-capacity") + 1] == str(t.max_instances)
    assert "--policy-type TargetTrackingScaling" in put
    assert f"file://{snippets(t)[0].file_name}" in put


METRIC_KEYS = {"Resource": "resource", "Pods": "pods"}
QUANTITY = re.compile(r"^[0-9]+m?$")


def test_kubernetes_text_follows_the_schema_of_autoscaling_v2() -> None:
    for scenario in (
        SCENARIO,
        SCENARIO.model_copy(update={"family": "random-forest", "trees": 800, "p99_target_ms": None}),
    ):
        t = made(scenario)
        text = next(s.text for s in snippets(t) if s.platform == "kubernetes")
        hpa = yaml.safe_load(text)
        assert hpa == kubernetes_hpa(t)
        assert (hpa["apiVersion"], hpa["kind"]) == ("autoscaling/v2", "HorizontalPodAutoscaler")
        spec = hpa["spec"]
        assert set(spec) == {"scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "behavior"}
        assert set(spec["scaleTargetRef"]) == {"apiVersion", "kind", "name"}
        assert 1 <= spec["minReplicas"] <= spec["maxReplicas"]
        for metric in spec["metrics"]:
            assert set(metric) == {"type", METRIC_KEYS[metric["type"]]}
            source = metric[METRIC_KEYS[metric["type"]]]
            if metric["type"] == "Resource":
                assert set(source) == {"name", "target"}
                assert set(source["target"]) == {"type", "averageUtilization"}
                assert 1 <= source["target"]["averageUtilization"] <= 100
                assert isinstance(source["target"]["averageUtilization"], int)
            else:
                assert set(source) == {"metric", "target"}
                assert QUANTITY.match(source["target"]["averageValue"])
        up, down = spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"]
        assert up["policies"] == [
            {"type": "Percent", "value": 100, "periodSeconds": t.scale_out_cooldown_s("kubernetes")}
        ]
        assert up["policies"][0]["periodSeconds"] <= 1800
        assert down["stabilizationWindowSeconds"] <= 3600


def test_a_slow_rate_is_said_in_thousandths() -> None:
    t = made(StatisticalScenario(family="random-forest", trees=2000, depth=12, requests_per_s=1.0, p99_target_ms=None))
    value = kubernetes_hpa(t)["spec"]["metrics"][1]["pods"]["target"]["averageValue"]
    assert value.endswith("m")
    assert int(value[:-1]) == pytest.approx(t.target_per_s * 1000, abs=1)


def test_vertex_and_azure_texts_name_published_fields() -> None:
    t = made(provider="gcp")
    vertex = json.loads(snippets(t)[0].text)
    assert vertex == vertex_resources(t)
    assert set(vertex) == {"machineSpec", "minReplicaCount", "maxReplicaCount", "autoscalingMetricSpecs"}
    assert vertex["machineSpec"] == {"machineType": t.deployment.instance_type}
    assert (
        vertex["autoscalingMetricSpecs"][0]["metricName"]
        == "aiplatform.googleapis.com/prediction/online/cpu/utilization"
    )
    t = made(provider="azure")
    azure = json.loads(snippets(t)[0].text)
    assert azure == azure_autoscale(t)
    (profile,) = azure["profiles"]
    assert set(profile) == {"name", "capacity", "rules"}
    assert set(profile["capacity"]) == {"minimum", "maximum", "default"}
    more, fewer = profile["rules"]
    assert (more["scaleAction"]["direction"], fewer["scaleAction"]["direction"]) == ("Increase", "Decrease")
    # One instance fewer at the lower threshold stays under the upper one: no flapping.
    n = t.min_instances + 1
    assert fewer["metricTrigger"]["threshold"] * n / (n - 1) < more["metricTrigger"]["threshold"]
    assert all(re.fullmatch(r"PT\d+M", rule["scaleAction"]["cooldown"]) for rule in profile["rules"])


def test_texts_are_those_of_the_deployments_cloud() -> None:
    for provider, first in (("aws", "sagemaker"), ("gcp", "vertex"), ("azure", "azure_ml"), ("oci", "kubernetes")):
        platforms = [s.platform for s in snippets(made(provider=provider))]
        assert platforms[0] == first
        assert platforms[-1] == "kubernetes"
