"""Recipes: the recommended deployment as texts that start it, for the tools people deploy with."""

from __future__ import annotations

from dataclasses import replace

from sizing.catalog import Catalog
from sizing.plan import Deployment, Plan
from sizing.recipes.engines import PORT, engine_arguments, engine_recipes, vllm_options
from sizing.recipes.kubernetes import SLOW_LOAD_GIB_PER_S, Metric, PodSpec, kubernetes_recipes
from sizing.recipes.llm_point import llm_point
from sizing.recipes.recipe import FILL_IN, Recipe, as_yaml, plain_name
from sizing.recipes.sagemaker import has_endpoint, sagemaker_recipe, vllm_environment
from sizing.scenario import AnyScenario, DeepLearningScenario, LlmScenario, StatisticalScenario
from sizing.statistical.autoscaling import kubernetes_hpa, targets
from sizing.statistical.own import resolved

__all__ = ["Recipe", "recipes"]

START_S = 300.0
"""Time that any container gets to start beside its weights [s]: a bound for a health check, not a prediction."""

IMAGES = {"vllm": "vllm/vllm-openai", "sglang": "lmsysorg/sglang"}
RUNNING = {"vllm": "vllm:num_requests_running", "sglang": "sglang:num_running_reqs"}
"""Gauge of requests at work, by the engines' documents of their metrics."""

TRITON_PORT = 8000
SERVER_PORT = 8080


def recipes(scenario: AnyScenario, catalog: Catalog, plan: Plan) -> tuple[Recipe, ...]:
    """The recipes of the recommended deployment; none where nothing is recommended."""
    best = plan.recommended
    if best is None:
        return ()
    if isinstance(scenario, LlmScenario):
        return _llm(scenario, catalog, best)
    if isinstance(scenario, DeepLearningScenario):
        return _deep_learning(scenario, catalog, best)
    return _statistical(scenario, catalog, best)


def _llm(scenario: LlmScenario, catalog: Catalog, best: Deployment) -> tuple[Recipe, ...]:
    point = llm_point(scenario, catalog, best)
    engine = engine_recipes(point)
    arguments = engine_arguments(point)
    files = (engine[1].file_name, engine[1].text) if len(engine) > 1 else None
    in_flight = float(best.extra["batch_in_flight"] or 0.0)
    gauge = RUNNING.get(scenario.runtime)
    metric = None
    if gauge is not None and in_flight > 0:
        busiest = in_flight * scenario.utilization_cap / max(best.utilization, 1e-9)
        per_pod = min(max(busiest, 1.0), float(point.requests))
        metric = Metric(f"sum({gauge})", gauge.replace(":", "_"), per_pod, "requests at work")
    image = f"{IMAGES.get(scenario.runtime, FILL_IN + '_IMAGE')}:{_tag(scenario)}"
    name = plain_name(scenario.name or point.published.rsplit("/", 1)[-1])
    pod = PodSpec(
        name, image, arguments, PORT, "/health", point.weights_gib, best.accelerator is not None, files, gated=True
    )
    made = [*engine, *kubernetes_recipes(pod, best, catalog, metric)]
    if has_endpoint(best) and (best.accelerators_per_replica or 1) <= (best.accelerators_per_instance or 1):
        environment = vllm_environment(point.model, vllm_options(point)) if scenario.runtime == "vllm" else {}
        copies = (best.accelerators_per_instance or 1) // (best.accelerators_per_replica or 1)
        start = START_S + point.weights_gib / SLOW_LOAD_GIB_PER_S
        made.append(
            sagemaker_recipe(
                name=name, best=best, environment=environment, start_s=start, copies=min(copies, best.replicas)
            )
        )
    return tuple(made)


def _tag(scenario: LlmScenario) -> str:
    """Tag of the engine's image: the scenario's version, as its images are tagged, else one to fill in."""
    if scenario.engine_version is None:
        return f"{FILL_IN}_VERSION"
    numbers = [*scenario.engine_version.split("."), "0", "0"][:3]
    return "v" + ".".join(numbers)


def _deep_learning(scenario: DeepLearningScenario, catalog: Catalog, best: Deployment) -> tuple[Recipe, ...]:
    name = plain_name(scenario.name or scenario.model)
    arguments = ["tritonserver", "--model-repository=/models"]
    pod = PodSpec(
        name,
        f"{FILL_IN}_TRITON_IMAGE_WITH_YOUR_MODEL",
        arguments,
        TRITON_PORT,
        "/v2/health/ready",
        0.0,
        best.accelerator is not None,
    )
    rate = best.throughput.requests_per_s
    pods = best.replicas if best.accelerator is not None else best.instances
    metric = Metric(
        "sum(rate(nv_inference_request_success[1m]))",
        "nv_inference_requests_per_second",
        rate.capacity / pods,
        "requests/s",
    )
    made = list(kubernetes_recipes(pod, best, catalog, metric))
    if scenario.gpu_share != "whole":
        share = f"A pod of this plan has a part of a GPU ({scenario.gpu_share}): your cluster has to offer such parts."
        made = [replace(made[0], notes=(*made[0].notes, share)), *made[1:]]
    if has_endpoint(best):
        environment = {"SAGEMAKER_TRITON_DEFAULT_MODEL_NAME": plain_name(scenario.model).replace("-", "_")}
        made.append(sagemaker_recipe(name=name, best=best, environment=environment, start_s=START_S, copies=1))
    return tuple(made)


def _by_cpu(scenario: StatisticalScenario, catalog: Catalog, best: Deployment, name: str) -> Recipe:
    """The autoscaler of a statistical model's pods, by the targets its page gives."""
    content = kubernetes_hpa(targets(resolved(scenario), catalog, best))
    content["metadata"]["name"] = content["spec"]["scaleTargetRef"]["name"] = name
    return Recipe(
        "hpa",
        "Autoscaling",
        "autoscaler.yaml",
        "yaml",
        as_yaml(content),
        "Targets and counts are those of the section on autoscaling.",
        ("Requests/s need a metrics adapter: leave that metric out if there is none.",),
    )


def _statistical(scenario: StatisticalScenario, catalog: Catalog, best: Deployment) -> tuple[Recipe, ...]:
    name = plain_name(scenario.name or scenario.family)
    pod = PodSpec(name, f"{FILL_IN}_IMAGE_OF_YOUR_SERVER", (), SERVER_PORT, "/ping", 0.0, gpu=False)
    made = [*kubernetes_recipes(pod, best, catalog, None), _by_cpu(scenario, catalog, best, name)]
    if has_endpoint(best):
        made.append(sagemaker_recipe(name=name, best=best, environment={}, start_s=START_S, copies=1))
    return tuple(made)
