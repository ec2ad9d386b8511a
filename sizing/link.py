"""A scenario as a query string and back, losslessly: every field, defaults included, with schema and catalog version.

    /llm?v=1&catalog=2026-11-22.0a1b2c3d&kind=llm&model=llama-2-70b-hf&requests_per_s=10.0&...

An empty value is None (or an empty list or text); lists are joined by commas. A field that cannot be used is reported
by name and its usual value is used instead; nothing is dropped in silence. `view=summary` beside the fields of a scenario
opens its page without controls, for a reader who decides rather than explores.
"""

from __future__ import annotations

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import ValidationError

from sizing.accuracy_view import AccuracyView
from sizing.catalog_view import CatalogView
from sizing.comparison_view import LETTERS, Comparison
from sizing.errors import InputError
from sizing.errors import shown as quoted
from sizing.link_dictionary import QUERY_DICTIONARY
from sizing.scenario import SCENARIO_TYPES, SCHEMA_VERSION, AnyScenario, choices, problems
from sizing.scenario_fleet import FleetFields
from sizing.scenario_money import MoneyFields, TokenPriceFields

AnyView = AnyScenario | CatalogView | Comparison | AccuracyView
LINK_TYPES: dict[str, type[AnyView]] = {
    **SCENARIO_TYPES,
    "catalogs": CatalogView,
    "compare": Comparison,
    "accuracy": AccuracyView,
}
"""What a link can open, by kind, which is also the name of the page."""

MAX_LINK_CHARACTERS = 7_000
"""Hard limit: a web server with common settings refuses request lines of 8 KiB."""

MAX_FIELDS = 200
SHOWN_MISSING = 4
LATER_FIELDS = frozenset(
    (*MoneyFields.model_fields, *FleetFields.model_fields, *TokenPriceFields.model_fields, "measured_serving")
)
"""Fields that scenarios did not have at first; a link that lacks no other is not cut off but older. Their usual values are
those that were taken for granted before."""
COMPRESSED = frozenset({"custom_config", "custom_network", "custom_model"})
"""Fields whose text travels compressed (deflate, base64 for addresses): a pasted config.json, the summary of a model."""
MAX_COMPRESSED_TEXT = 20_000
DICTIONARY = (
    b'"layer_types":["sliding_attention","full_attention","linear_attention"],"quantization_config":{"quant_method":"'
    b'compressed-tensors","modules_to_not_convert":["lm_head"],"weight_block_size":[128,128]},"torch_dtype":"bfloat16",'
    b'"model_type":"qwen3_moe","architectures":["LlamaForCausalLM"],"num_hidden_layers":32,"num_attention_heads":32,'
    b'"num_key_value_heads":8,"max_position_embeddings":131072,"intermediate_size":14336,"hidden_size":4096,'
    b'"head_dim":128,"vocab_size":128256,"tie_word_embeddings":false,"attention_bias":false,"num_experts_per_tok":8,'
    b'"moe_intermediate_size":1536,"n_routed_experts":256,"sliding_window":null,"text_config":{"dtype":"bfloat16"'
)
"""What such texts have in common; part of schema version 1, so it never changes."""
DEFAULT_BASE = "http://localhost:8501"
RESERVED = frozenset({"embed", "embed_options"})
"""Parameters that belong to the dashboard's frame, not to a scenario."""
VIEW = "view"
"""Parameter that says in which form the page of a scenario opens; without it, with all its controls."""
SUMMARY = "summary"
"""The one other form: the answer in plain words, without controls."""


@dataclass(frozen=True)
class Decoded:
    """A link read: its scenario, the catalog version it names, the fields not used and those it lacked."""

    scenario: AnyView
    catalog: str | None
    ignored: tuple[InputError, ...]
    missing: tuple[str, ...]

    @property
    def messages(self) -> tuple[str, ...]:
        """One sentence for each thing in the link that was not taken as it stands."""
        said = [str(problem) for problem in self.ignored]
        if self.missing:
            shown = ", ".join(self.missing[:SHOWN_MISSING])
            more = f" and {len(self.missing) - SHOWN_MISSING} more fields" if len(self.missing) > SHOWN_MISSING else ""
            if LATER_FIELDS.issuperset(self.missing):
                said.append(f"The link is older than {shown}{more}: their usual values leave its answer as it was.")
            else:
                said.append(f"The link lacks {shown}{more}: the usual values are used.")
        return tuple(said)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(_text(part) for part in value)
    return str(value)


def compressed(text: str) -> str:
    """Text as letters, digits, - and _ only, compressed.

    >>> decompressed(compressed('{"model_type": "llama"}'))
    '{"model_type": "llama"}'
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=DICTIONARY)
    return urlsafe_b64encode(packer.compress(text.encode()) + packer.flush()).decode().rstrip("=")


def decompressed(text: str) -> str | None:
    """The text behind `compressed`, or None if it is not such a text or longer than 20,000 characters."""
    try:
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        unpacker = zlib.decompressobj(-15, zdict=DICTIONARY)
        plain = unpacker.decompress(packed, 4 * MAX_COMPRESSED_TEXT)
        whole = unpacker.eof and not unpacker.unused_data
        return plain.decode() if whole and len(plain.decode()) <= MAX_COMPRESSED_TEXT else None
    except (binascii.Error, zlib.error, ValueError):
        return None


def packed(query: str) -> str:
    """A scenario's query string as it travels in a comparison: letters, digits, - and _ only, with a checksum.

    >>> unpacked(packed("v=1&kind=llm&prompt_tokens=777"))
    'v=1&kind=llm&prompt_tokens=777'
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS, zdict=QUERY_DICTIONARY)
    return urlsafe_b64encode(packer.compress(query.encode()) + packer.flush()).decode().rstrip("=")


def unpacked(text: str) -> str:
    """The query string behind `packed`; any other text as it stands, for its reader to judge."""
    try:
        unpacker = zlib.decompressobj(zlib.MAX_WBITS, zdict=QUERY_DICTIONARY)
        plain = unpacker.decompress(urlsafe_b64decode(text + "=" * (-len(text) % 4)), MAX_COMPRESSED_TEXT)
        return plain.decode() if unpacker.eof and not unpacker.unused_data else text
    except (binascii.Error, zlib.error, ValueError):
        return text


def to_params(scenario: AnyView, *, catalog_version: str, view: str | None = None) -> dict[str, str]:
    """All fields of a scenario as query parameters, with `v` and `catalog` first and the view, if any, last. Those of a
    comparison are its scenarios, each with its own catalog."""
    if isinstance(scenario, Comparison):
        texts = dict(zip(LETTERS, map(packed, scenario.queries), strict=False))
        return {"v": str(SCHEMA_VERSION), "kind": scenario.kind, **texts}
    fields = {name: _text(getattr(scenario, name)) for name in type(scenario).model_fields}
    for name in COMPRESSED & set(fields):
        fields[name] = compressed(fields[name]) if fields[name] else ""
    shown_as = {VIEW: view} if view is not None else {}
    return {"v": str(SCHEMA_VERSION), "catalog": catalog_version, **fields, **shown_as}


def to_query(scenario: AnyView, *, catalog_version: str, view: str | None = None) -> str:
    """Query string of a scenario, without the question mark.

    Raises InputError when it would pass 7,000 characters (long lists of instances or long notes).
    """
    query = urlencode(to_params(scenario, catalog_version=catalog_version, view=view), safe=",")
    if len(query) > MAX_LINK_CHARACTERS:
        raise InputError(
            "link",
            f"{len(query)} characters",
            f"at most {MAX_LINK_CHARACTERS}: shorten the notes, the lists or what was pasted of your own model",
        )
    return query


def to_link(scenario: AnyView, *, catalog_version: str, base: str = DEFAULT_BASE, view: str | None = None) -> str:
    """Link that opens the page of the scenario's kind with every field set; `view="summary"` opens it without controls."""
    return f"{base.rstrip('/')}/{scenario.kind}?{to_query(scenario, catalog_version=catalog_version, view=view)}"


def is_link(text: str) -> bool:
    """Whether text is meant as a link or query string rather than as a file name.

    >>> is_link("http://localhost:8501/llm?v=1"), is_link("kind=llm&v=1"), is_link("examples/a.yaml")
    (True, True, False)
    """
    return "://" in text or "=" in text or text.startswith("?")


def from_link(link: str) -> Decoded:
    """Scenario of a link or query string.

    Raises InputError when the link as a whole cannot be read: too long, no known kind, another schema version.
    """
    if len(link) > MAX_LINK_CHARACTERS + 200:
        raise InputError("link", f"{len(link):,} characters", f"a link of at most {MAX_LINK_CHARACTERS:,} characters")
    try:
        parts = urlsplit(link)
    except ValueError:
        raise InputError("link", link, "a link of this dashboard") from None
    has_query = bool(parts.query) or "://" in link or link.startswith("?")
    query = parts.query if has_query else link.lstrip("?")
    kind = parts.path.rstrip("/").rsplit("/", 1)[-1] if has_query else None
    return from_query(query, kind=kind if kind in LINK_TYPES else None)


def from_query(query: str, *, kind: str | None = None) -> Decoded:
    """Scenario of a query string; `kind` is that of the page when the query does not say. Raises as `from_link`."""
    if len(query) > MAX_LINK_CHARACTERS:
        raise InputError("link", f"{len(query):,} characters", f"a link of at most {MAX_LINK_CHARACTERS:,} characters")
    try:
        pairs = parse_qsl(query.lstrip("?"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InputError("link", query, f"a link of this dashboard, at most {MAX_FIELDS} fields") from None
    return from_params(pairs, kind=kind)


def from_params(pairs: Iterable[tuple[str, str]] | Mapping[str, str], *, kind: str | None = None) -> Decoded:
    """Scenario of query parameters, as `from_query`."""
    if isinstance(pairs, Mapping):
        pairs = pairs.items()
    params: dict[str, str] = {}
    ignored: list[InputError] = []
    for name, value in pairs:
        if name in RESERVED:
            continue
        if name in params:
            ignored.append(InputError(name, value, "one value only, so the first one in the link is used"))
        else:
            params[name] = value
    version = params.pop("v", None)
    if version is not None and version != str(SCHEMA_VERSION):
        raise InputError("v", version, f"schema version {SCHEMA_VERSION}, the one this dashboard reads")
    catalog = params.pop("catalog", None) or None
    view = params.pop(VIEW, None)
    stated = params.pop("kind", None)
    if kind is not None and stated not in (None, kind):
        raise InputError("kind", stated, f"{kind} on this page")
    chosen = stated or kind
    if chosen not in LINK_TYPES:
        raise InputError("kind", chosen, f"one of {', '.join(LINK_TYPES)}")
    if view is not None and (view != SUMMARY or chosen not in SCENARIO_TYPES):
        only = f"{SUMMARY}, or no view at all" if chosen in SCENARIO_TYPES else "no view on this page"
        ignored.append(InputError(VIEW, view, only))
    decoded = _decode(LINK_TYPES[chosen], params, ignored)
    lacking = set(LINK_TYPES[chosen].model_fields) - set(params) - {"kind"}
    whole = not version or chosen == "compare"  # fewer than four scenarios are no lack
    missing = () if whole else tuple(name for name in LINK_TYPES[chosen].model_fields if name in lacking)
    return replace(decoded, catalog=catalog, missing=missing)


def _decode(scenario_type: type[AnyView], params: Mapping[str, str], ignored: list[InputError]) -> Decoded:
    """Scenario of the usable fields; each that is not usable is added to `ignored`, and its usual value stands in."""
    values: dict[str, Any] = {}
    for name, text in params.items():
        if name in scenario_type.model_fields:
            whole = decompressed(text) if name in COMPRESSED and text else text
            if scenario_type is Comparison:
                whole = unpacked(text)
            if whole is None:
                ignored.append(InputError(name, text, "a text as this dashboard compresses it for a link"))
                continue
            values[name] = _value(scenario_type, name, whole)
        else:
            ignored.append(InputError(quoted(name).strip("'"), text, _named(scenario_type, name)))
    while True:
        try:
            scenario = scenario_type.model_validate(values)
            return Decoded(scenario=scenario, catalog=None, ignored=tuple(ignored), missing=())
        except ValidationError as error:
            found = problems(error)
            ignored.extend(found)
            for problem in found:
                values.pop(problem.field, None)
                if problem.field == "requests_per_s":
                    values.pop("concurrency", None)


def _named(scenario_type: type[AnyView], name: str) -> str:
    """What a field can be named in place of a name that is none.

    >>> from sizing.scenario import LlmScenario
    >>> _named(LlmScenario, "request_per_s")
    'a field of this page, nearest in name: requests_per_s'
    """
    if scenario_type is Comparison:
        return "a to d, one scenario each"
    nearest = get_close_matches(name, scenario_type.model_fields, n=1)
    return "a field of this page" + (f", nearest in name: {nearest[0]}" if nearest else "")


def _value(scenario_type: type[AnyView], name: str, text: str) -> Any:
    """Python value of a field's text in a link; what cannot be converted stays text, for pydantic to refuse."""
    annotation = scenario_type.model_fields[name].annotation
    if get_origin(annotation) is tuple:
        return tuple(text.split(",")) if text else ()
    if text == "" and type(None) in get_args(annotation):
        return None
    return {str(choice): choice for choice in choices(scenario_type, name)}.get(text, text)
