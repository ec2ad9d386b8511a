"""The manifests of the recipes are valid by the schemas of Kubernetes, KEDA and SageMaker, and say what the plan says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import kubernetes_validate
import pytest
import yaml
from botocore.validate import ParamValidator

from sizing import catalog as catalogs
from sizing.__main__ import main
from sizing.plan import Deployment
from sizing.planner import plan
from sizing.recipes import Recipe, recipes
from sizing.recipes.recipe import FILL_IN, plain_name
from sizing.recipes.sagemaker import FAMILIES, has_endpoint
from sizing.scenario import AnyScenario, parse_scenario, scenario_from_yaml, scenario_to_yaml

CATALOG = catalogs.load()
EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))
KUBERNETES = "1.35"
WHOLE = {"type": "integer", "minimum": 0}
KEDA = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "kind": {"const": "ScaledObject"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "required": ["scaleTargetRef", "triggers"],
            "additionalProperties": False,
            "properties": {
                "scaleTargetRef": {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": False,
                    "properties": {n: {"type": "string"} for n in ("apiVersion", "kind", "name", "containerName")},
                },
                **dict.fromkeys(("minReplicaCount", "maxReplicaCount", "cooldownPeriod", "pollingInterval"), WHOLE),
                "advanced": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "restoreToOriginalReplicaCount": {"type": "boolean"},
                        "horizontalPodAutoscalerConfig": {"type": "object"},
                    },
                },
                "triggers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["type", "metadata"],
                        "properties": {
                            "type": {"type": "string"},
                            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                        },
                    },
                },
            },
        },
    },
}
"""The part of KEDA's definition of a ScaledObject that concerns what may be written here."""
SAGEMAKER = botocore.session.get_session().get_service_model("sagemaker")


def recipes_of(scenario: AnyScenario) -> tuple[Deployment, dict[str, Recipe]]:
    found = plan(scenario, CATALOG)
    assert found.recommended is not None
    return found.recommended, {r.key: r for r in recipes(scenario, CATALOG, found)}


def parts(recipe: Recipe) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(recipe.text))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_manifests_of_every_example_are_valid(path: Path) -> None:
    best, found = recipes_of(scenario_from_yaml(path.read_text(encoding="utf-8")))
    for key in ("kubernetes", "hpa"):
        if key in found:
            for part in parts(found[key]):
                if part["apiVersion"].startswith("leaderworkerset"):
                    _check_pod(part["spec"]["leaderWorkerTemplate"]["leaderTemplate"])
                else:
                    kubernetes_validate.validate(part, KUBERNETES, strict=True)
    if "keda" in found:
        jsonschema.validate(parts(found["keda"])[0], KEDA)
    if "sagemaker" in found:
        assert best.provider == "aws"
        _check_sagemaker(found["sagemaker"], best)


def _check_pod(template: dict[str, Any]) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", **template["metadata"]},
        "spec": template["spec"],
    }
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def _check_sagemaker(recipe: Recipe, best: Deployment) -> None:
    for call, request in json.loads(recipe.text).items():
        shape = SAGEMAKER.operation_model(call).input_shape
        assert ParamValidator().validate(request, shape).generate_report() == ""
    variant = json.loads(recipe.text)["CreateEndpointConfig"]["ProductionVariants"][0]
    kinds = SAGEMAKER.operation_model("CreateEndpointConfig").input_shape.members["ProductionVariants"].member.members
    assert variant["InstanceType"] in kinds["InstanceType"].enum
    assert variant["InitialInstanceCount"] == best.instances


def test_a_wrong_manifest_is_refused_by_the_same_schemas() -> None:
    best, found = recipes_of(parse_scenario({"kind": "llm", "providers": ["aws"]}))
    deployment = next(part for part in parts(found["kubernetes"]) if part["kind"] == "Deployment")
    deployment["spec"]["replicas"] = "two"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)
    scaled = parts(found["keda"])[0]
    scaled["spec"]["triggers"][0]["metadata"]["threshold"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(scaled, KEDA)
    request = json.loads(found["sagemaker"].text)["CreateEndpointConfig"]
    request["ProductionVariants"][0]["InitialInstanceCount"] = "one"
    shape = SAGEMAKER.operation_model("CreateEndpointConfig").input_shape
    assert "InitialInstanceCount" in ParamValidator().validate(request, shape).generate_report()
    _check_sagemaker(found["sagemaker"], best)


def test_every_instance_of_aws_with_a_recipe_is_one_that_endpoints_have() -> None:
    kinds = SAGEMAKER.operation_model("CreateEndpointConfig").input_shape.members["ProductionVariants"].member.members
    listed = set(kinds["InstanceType"].enum)
    assert {kind.split(".")[1] for kind in listed} == FAMILIES
    best, _ = recipes_of(parse_scenario({"kind": "statistical", "instances": ["aws-t3-medium"]}))
    assert not has_endpoint(best)


def test_pods_have_the_counts_and_the_accelerators_of_the_plan() -> None:
    scenario = parse_scenario(
        {"kind": "llm", "model": "llama-2-70b-hf", "requests_per_s": 12, "accelerators": ["h100-sxm-80gb"]}
    )
    best, found = recipes_of(scenario)
    deployment = next(part for part in parts(found["kubernetes"]) if part["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert deployment["spec"]["replicas"] == best.replicas > 1
    assert container["resources"]["limits"]["nvidia.com/gpu"] == str(best.accelerators_per_replica)
    assert "--tensor-parallel-size" in container["command"]
    scaled = parts(found["keda"])[0]["spec"]
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (best.replicas, 2 * best.replicas)
    # At the cap, a replica has as many requests at work as now, times cap / utilization (Little: in proportion to load).
    in_flight = float(best.extra["batch_in_flight"] or 0) * scenario.utilization_cap / best.utilization
    assert float(scaled["triggers"][0]["metadata"]["threshold"]) == pytest.approx(
        min(max(in_flight, 1), best.batch or 1), rel=1e-3
    )


def test_pods_that_share_a_machine_fit_into_it_together() -> None:
    scenario = parse_scenario({"kind": "llm", "instances": ["aws-g6e-48xlarge"], "requests_per_s": 30})
    best, found = recipes_of(scenario)
    instance = CATALOG.instance(best.instance)
    deployment = next(part for part in parts(found["kubernetes"]) if part["kind"] == "Deployment")
    asked = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    a_machine = (best.accelerators_per_instance or 1) // (best.accelerators_per_replica or 1)
    assert a_machine > 1
    assert instance.vcpus is not None
    assert instance.memory_gib is not None
    assert 0.8 * instance.vcpus <= int(asked["cpu"].removesuffix("m")) / 1000 * a_machine <= instance.vcpus
    assert int(asked["memory"].removesuffix("Mi")) / 1024 * a_machine <= instance.memory_gib


def test_a_replica_over_several_machines_is_no_deployment() -> None:
    scenario = parse_scenario({
        "kind": "llm", "model": "deepseek-v3", "weight_format": "bf16", "accelerators": ["h100-sxm-80gb"],
        "max_accelerators_per_replica": 32, "requests_per_s": 0.2, "ttft_target_ms": None, "tpot_target_ms": None,
    })  # fmt: skip
    best, found = recipes_of(scenario)
    assert (best.accelerators_per_replica or 0) > (best.accelerators_per_instance or 0)
    content = parts(found["kubernetes"])[0]
    assert content["kind"] == "LeaderWorkerSet"
    assert content["spec"]["leaderWorkerTemplate"]["size"] * (best.accelerators_per_instance or 0) >= (
        best.accelerators_per_replica or 0
    )
    assert "keda" not in found


def test_the_file_an_engine_reads_is_mounted_where_its_command_looks() -> None:
    _, found = recipes_of(parse_scenario({"kind": "llm", "runtime": "tensorrt_llm", "kv_format": "fp8"}))
    shown = {part["kind"]: part for part in parts(found["kubernetes"])}
    container = shown["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    mount = next(m for m in container["volumeMounts"] if m["name"] == "files")
    assert container["command"][container["command"].index("--config") + 1] == f"{mount['mountPath']}/trtllm.yaml"
    assert yaml.safe_load(shown["ConfigMap"]["data"]["trtllm.yaml"])["kv_cache_config"]["dtype"] == "fp8"


def test_the_options_of_an_endpoint_are_those_of_the_command() -> None:
    _, found = recipes_of(parse_scenario({"kind": "llm", "providers": ["aws"], "kv_format": "fp8"}))
    environment = json.loads(found["sagemaker"].text)["CreateModel"]["PrimaryContainer"]["Environment"]
    assert environment["SM_VLLM_KV_CACHE_DTYPE"] == "fp8"
    assert environment["SM_VLLM_MODEL"] in found["vllm"].text


@pytest.mark.parametrize("text", ["Llama 3.1 8B: chat & more", "7b", "--", "Ünï", "a" * 90])
def test_names_are_taken_by_kubernetes(text: str) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": plain_name(text)},
        "spec": {"ports": [{"port": 80}]},
    }
    kubernetes_validate.validate(service, KUBERNETES, strict=True)
    assert 0 < len(plain_name(text)) <= 63
    assert plain_name(text)[0].isalpha()


def test_the_command_line_writes_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = parse_scenario({"kind": "llm"})
    source = tmp_path / "scenario.yaml"
    source.write_text(scenario_to_yaml(scenario), encoding="utf-8")
    assert main(["recipe", str(source), "--out", str(tmp_path / "made")]) == 0
    _, found = recipes_of(scenario)
    for recipe in found.values():
        assert (tmp_path / "made" / recipe.file_name).read_text(encoding="utf-8") == recipe.text
    assert main(["recipe", str(source)]) == 0
    assert "vllm serve meta-llama/Llama-3.1-8B" in capsys.readouterr().out
    assert main(["recipe", str(source), "--out", str(source)]) == 2
    assert FILL_IN in found["kubernetes"].text
