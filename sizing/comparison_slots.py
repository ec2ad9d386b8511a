"""The scenarios of a comparison one by one: read from their query strings, written back, changed in one field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import ValidationError

from sizing import catalog as catalogs
from sizing import link as links
from sizing.catalog import Catalog
from sizing.comparison_view import LETTERS, MAX_LABEL_CHARACTERS, MAX_SCENARIO_CHARACTERS, Comparison
from sizing.errors import InputError
from sizing.scenario import SCENARIO_TYPES, AnyScenario, problems
from sizing.scenario_base import ScenarioBase

OWN_MODEL_FIELDS = ("custom_config", "custom_network", "checkpoint_bytes")
"""Fields that describe the model in use; another model from the catalog does without them."""


@dataclass(frozen=True)
class Slot:
    """One scenario of a comparison: `scenario` is None where it could not be read, and `unread` says why.

    `catalog` is the version it is answered from; `said` has a sentence for each thing that was not taken as it stands.
    """

    text: str
    scenario: AnyScenario | None = None
    catalog: str = ""
    label: str = ""
    said: tuple[str, ...] = ()
    unread: str | None = None

    @property
    def loaded(self) -> Catalog:
        """The catalog the scenario is answered from."""
        return catalogs.load(self.catalog)


def slot_of(scenario: AnyScenario, *, catalog_version: str, label: str = "") -> Slot:
    """Slot of a scenario. Raises InputError if the scenario or the label is too long for a link."""
    if len(label) > MAX_LABEL_CHARACTERS:
        raise InputError("label", label, f"text of at most {MAX_LABEL_CHARACTERS} characters")
    text = links.to_query(scenario, catalog_version=catalog_version)
    if label:
        text += "&" + urlencode({"label": label})
    return Slot(text=text, scenario=scenario, catalog=catalog_version, label=label)


def read_slot(text: str) -> Slot:
    """Slot of a query string or a link of a single page; never raises: what cannot be read says why.

    >>> read_slot("/llm?prompt_tokens=500").scenario.prompt_tokens
    500
    >>> read_slot("chat").unread
    'Its text in the link is cut off or was changed on the way.'
    """
    if "=" not in text:
        return Slot(text=text, unread="Its text in the link is cut off or was changed on the way.")
    try:
        kind, query = _parts(text)
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=links.MAX_FIELDS)
        stated = next((value for name, value in pairs if name == "kind"), kind)
        if stated not in SCENARIO_TYPES:
            raise InputError("kind", stated, f"one of {', '.join(SCENARIO_TYPES)}")
        decoded = links.from_params([pair for pair in pairs if pair[0] != "label"], kind=kind)
    except InputError as error:
        return Slot(text=text, unread=str(error))
    except ValueError:
        return Slot(text=text, unread=str(InputError("link", text, "a link of this dashboard")))
    assert isinstance(decoded.scenario, ScenarioBase)
    said = list(decoded.messages)
    label = next((value for name, value in pairs if name == "label"), "")
    if len(label) > MAX_LABEL_CHARACTERS:
        said.append(str(InputError("label", label, f"text of at most {MAX_LABEL_CHARACTERS} characters")))
        label = ""
    version, unknown = _known_catalog(decoded.catalog)
    return Slot(text, decoded.scenario, version, label, said=(*said, *unknown))


def _parts(text: str) -> tuple[str | None, str]:
    """Kind that the path names, if it names one, and the query string."""
    if len(text) > MAX_SCENARIO_CHARACTERS:
        allowed = f"a link of at most {links.MAX_LINK_CHARACTERS:,} characters"
        raise InputError("link", f"{len(text):,} characters", allowed)
    parts = urlsplit(text)
    if not (parts.query or "://" in text or text.startswith("?")):
        return None, text
    kind = parts.path.rstrip("/").rsplit("/", 1)[-1]
    return (kind if kind in links.LINK_TYPES else None), parts.query


def _known_catalog(version: str | None) -> tuple[str, tuple[str, ...]]:
    """The version to answer from, and what is said where the one asked for is not kept."""
    present = catalogs.load().version
    if version is None:
        return present, ()
    try:
        return catalogs.load(version).version, ()
    except InputError as error:
        return present, (f"{error} Its figures are of {present}.",)


def read_comparison(comparison: Comparison) -> tuple[Slot, ...]:
    """Every scenario of a comparison, A first."""
    return tuple(read_slot(text) for text in comparison.queries)


def slots_of_link(text: str) -> tuple[Slot, ...]:
    """Slots of a pasted link: one of a single page, or all those of a comparison.

    Raises InputError for what is neither.
    """
    text = text.strip()
    if not links.is_link(text):
        raise InputError("link", text, "the whole link of a page, from its address bar")
    if "=" not in text:
        raise InputError("link", text, "the whole link of a sizing page, with all that stands behind its question mark")
    if urlsplit(text.split("?", 1)[0]).path.rstrip("/").endswith("/compare") or "kind=compare" in text:
        compared = links.from_link(text).scenario
        found = read_comparison(compared) if isinstance(compared, Comparison) else ()
    else:
        found = (read_slot(text),)
    if not found:
        raise InputError("link", text, "a link with a scenario in it")
    for slot in found:
        if slot.unread is not None:
            raise InputError("link", text, "a link of a sizing page: " + slot.unread.split("; allowed is ")[-1])
    return found


def comparison_of(slots: Iterable[Slot]) -> Comparison:
    """Comparison of up to four slots. Raises InputError where they are more, or more than a link holds."""
    texts = [slot.text for slot in slots]
    if len(texts) > len(LETTERS):
        raise InputError("scenarios", len(texts), f"at most {len(LETTERS)} in a comparison")
    comparison = Comparison(**dict(zip(LETTERS, texts, strict=False)))
    try:
        links.to_query(comparison, catalog_version="")
    except InputError as error:
        raise InputError(
            "link", error.value, f"at most {links.MAX_LINK_CHARACTERS:,} characters for all scenarios together"
        ) from None
    return comparison


def changed(scenario: AnyScenario, field: str, value: Any) -> AnyScenario:
    """The scenario with one field changed, and what goes with it: a rate replaces the users, a model one of your own.

    Raises InputError for a value that the field does not accept, and for the value that it has.

    >>> from sizing.scenario import LlmScenario
    >>> changed(LlmScenario(), "concurrency", 64).requests_per_s is None
    True
    """
    fields = type(scenario).model_fields
    if field not in fields or field == "kind":
        raise InputError("field", field, "a field of this kind of scenario")
    changes = {field: value}
    other = {"concurrency": "requests_per_s", "requests_per_s": "concurrency"}.get(field)
    if other is not None and value is not None:
        changes[other] = None
    if field == "model":
        changes |= {name: None for name in OWN_MODEL_FIELDS if name in fields}
    try:
        made = type(scenario).model_validate({**scenario.model_dump(), **changes})
    except ValidationError as error:
        raise problems(error)[0] from None
    if getattr(made, field) == getattr(scenario, field):
        raise InputError(field, value, "another value than the one it has")
    return made


def renamed(slot: Slot, label: str) -> Slot:
    """The slot under another label. Raises InputError for a label that is too long."""
    assert slot.scenario is not None
    return replace(slot_of(slot.scenario, catalog_version=slot.catalog, label=label.strip()), said=slot.said)
