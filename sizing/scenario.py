"""What the user knows: the model, the traffic, the latency target and the budget rules, one frozen model a family.

Every field has a default, so that a page has a useful answer before anything is touched; every field carries its unit
in its name and its meaning in `description` (the pages show it). A scenario file is YAML of one of these models with
`kind` in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from sizing.errors import InputError
from sizing.scenario_deep_learning import DeepLearningScenario
from sizing.scenario_llm import LlmScenario
from sizing.scenario_statistical import StatisticalScenario
from sizing.scenario_words import allowed_words

__all__ = [
    "SCENARIO_TYPES",
    "SCHEMA_VERSION",
    "AnyScenario",
    "DeepLearningScenario",
    "LlmScenario",
    "Scenario",
    "StatisticalScenario",
    "choices",
    "parse_scenario",
    "problems",
    "scenario_from_yaml",
    "scenario_to_yaml",
]

SCHEMA_VERSION = 1

Scenario = Annotated[LlmScenario | DeepLearningScenario | StatisticalScenario, Field(discriminator="kind")]
AnyScenario = LlmScenario | DeepLearningScenario | StatisticalScenario
SCENARIO_TYPES: dict[str, type[AnyScenario]] = {
    "statistical": StatisticalScenario,
    "deep_learning": DeepLearningScenario,
    "llm": LlmScenario,
}
_ADAPTER: TypeAdapter[AnyScenario] = TypeAdapter(Scenario)


def problems(error: ValidationError) -> list[InputError]:
    """One InputError for each field that pydantic refused, in the words of this product."""
    found: dict[str, InputError] = {}
    for item in error.errors():
        context = item.get("ctx", {})
        location = [str(part) for part in item["loc"] if part not in SCENARIO_TYPES]
        field = str(context.get("field") or (location[0] if location else "scenario"))
        value = context.get("value", item["input"]) if item["type"] == "field" else item["input"]
        found.setdefault(field, InputError(field, value, allowed_words(item["type"], context, item["msg"])))
    return list(found.values())


def parse_scenario(data: object) -> AnyScenario:
    """Scenario from plain data (the parsed YAML or JSON).

    Raises InputError naming the first field that cannot be used.

    >>> parse_scenario({"kind": "llm", "model": "llama-2-7b-hf"}).model
    'llama-2-7b-hf'
    """
    if not isinstance(data, dict):
        raise InputError("scenario", data, "a mapping of fields with `kind` among them")
    if data.get("kind") not in SCENARIO_TYPES:
        raise InputError("kind", data.get("kind"), f"one of {', '.join(SCENARIO_TYPES)}")
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise problems(error)[0] from None


def scenario_from_yaml(text: str) -> AnyScenario:
    """Scenario from YAML or JSON text. Raises InputError if it is neither or a field cannot be used."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        raise InputError(
            "scenario", f"line {where.line + 1}" if where else "the file", "YAML or JSON that parses"
        ) from None
    except (RecursionError, ValueError):
        raise InputError("scenario", "the file", "YAML or JSON that parses") from None
    return parse_scenario(data)


def scenario_to_yaml(scenario: AnyScenario) -> str:
    """YAML text of a scenario, all fields, defaults included; `scenario_from_yaml` reads it back exactly."""
    return yaml.safe_dump(scenario.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)


def choices(scenario_type: type[BaseModel], field: str) -> tuple[Any, ...]:
    """The values a Literal field (or a tuple of Literals) may take, in their order.

    >>> choices(LlmScenario, "slo_percentile")
    (50, 95, 99)
    """

    def literals(annotation: Any) -> Iterable[Any]:
        arguments = get_args(annotation)
        if getattr(annotation, "__origin__", None) is Literal:
            return arguments
        return tuple(value for part in arguments for value in literals(part))

    return tuple(literals(scenario_type.model_fields[field].annotation))
