"""SageMaker: the model, the endpoint configuration and the scaling policy of a planned deployment on AWS.

Source: SageMaker API reference (CreateModel, CreateEndpointConfig); AWS's vLLM image reads SM_VLLM_* as options of
`vllm serve` (its configuration page, 2026-04).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from sizing.plan import Deployment
from sizing.recipes.recipe import FILL_IN, Recipe, as_json

PROVIDER = "aws"
FAMILIES = frozenset(
    [
        "c4",
        "c5",
        "c5d",
        "c6g",
        "c6gd",
        "c6gn",
        "c6i",
        "c6in",
        "c7g",
        "c7i",
        "c8g",
        "dl1",
        "g4dn",
        "g5",
        "g6",
        "g6e",
        "g7",
        "g7e",
        "inf1",
        "inf2",
        "m4",
        "m5",
        "m5d",
        "m6g",
        "m6gd",
        "m6i",
        "m7i",
        "m8g",
        "p2",
        "p3",
        "p4d",
        "p4de",
        "p5",
        "p5e",
        "p5en",
        "p6-b200",
        "p6-b300",
        "p6e-gb200",
        "r5",
        "r5d",
        "r6g",
        "r6gd",
        "r6i",
        "r7gd",
        "r7i",
        "r8g",
        "t2",
        "trn1",
        "trn1n",
        "trn2",
    ]
)
"""Families of machines that an endpoint can have. Source: ProductionVariantInstanceType, SageMaker API, botocore 1.44.8."""

MOST_START_S = 3600
"""Longest time SageMaker waits for a container to be healthy [s]."""


def has_endpoint(best: Deployment) -> bool:
    """Whether the deployment is of AWS's machines that SageMaker also rents."""
    return best.provider == PROVIDER and best.instance_type.removeprefix("ml.").split(".")[0] in FAMILIES


def sagemaker_recipe(
    *, name: str, best: Deployment, environment: dict[str, str], start_s: float, copies: int
) -> Recipe:
    """One JSON with the requests of the two calls; `copies` is the number of replicas on a machine."""
    kind = f"ml.{best.instance_type.removeprefix('ml.')}"
    content: dict[str, Any] = {
        "CreateModel": {
            "ModelName": name,
            "ExecutionRoleArn": f"arn:aws:iam::000000000000:role/{FILL_IN}",
            "PrimaryContainer": {"Image": f"{FILL_IN}_IMAGE", "Environment": environment},
        },
        "CreateEndpointConfig": {
            "EndpointConfigName": name,
            "ProductionVariants": [
                {
                    "VariantName": "AllTraffic",
                    "ModelName": name,
                    "InstanceType": kind,
                    "InitialInstanceCount": best.instances,
                    "InitialVariantWeight": 1.0,
                    "ContainerStartupHealthCheckTimeoutInSeconds": int(min(MOST_START_S, max(60, ceil(start_s)))),
                }
            ],
        },
    }
    notes = [
        f"SageMaker's own price of {kind} is higher than the machine's: choose an instance named ml.… for a plan with it."
        if best.service == "ec2"
        else "Priced as the endpoint it is.",
        "Put in the image of your region and the role that may pull it.",
    ]
    if copies > 1:
        notes.append(
            f"The plan has {copies} replicas on a machine; an endpoint of this kind starts one: use an image that starts more."
        )
    return Recipe(
        "sagemaker",
        "SageMaker endpoint",
        "sagemaker.json",
        "json",
        as_json(content),
        "The two requests: aws sagemaker create-model and create-endpoint-config take them with --cli-input-json.",
        tuple(notes),
    )


def vllm_environment(model: str, options: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """Options of `vllm serve` as AWS's image reads them.

    >>> vllm_environment("m", [("--port", "8000"), ("--max-num-seqs", "8"), ("--enable-lora",)])
    {'SM_VLLM_MODEL': 'm', 'SM_VLLM_MAX_NUM_SEQS': '8', 'SM_VLLM_ENABLE_LORA': 'true'}
    """
    found = {"SM_VLLM_MODEL": model}
    for option in options:
        if option[0] != "--port":  # the image has its own
            found["SM_VLLM_" + option[0].removeprefix("--").replace("-", "_").upper()] = (
                option[1] if len(option) > 1 else "true"
            )
    return found
