"""What a field of a scenario accepts, in the words of this product, from pydantic's error."""

from __future__ import annotations

from typing import Any, Literal

RegionGroup = Literal["us", "eu", "apac"]
PriceBasis = Literal["on_demand", "spot", "committed_1y", "committed_3y"]

CATALOG_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
VERSION = r"^\d{1,4}(\.\d{1,4}){0,3}$"
_NUMBER = r"\d{1,7}(\.\d{1,6})?"
MEASURED_CURVE = (
    rf"^[A-Za-z0-9][A-Za-z0-9._-]*~[A-Za-z0-9][A-Za-z0-9._-]*~\d{{1,8}}~[a-z0-9_]+~[a-z0-9]+~(fused|math)"
    rf"~{_NUMBER}={_NUMBER}(,{_NUMBER}={_NUMBER})*$"
)
_TIMED = r"\d{1,7}=\d{1,7}(\.\d{1,8})?(:0\.\d{1,3})?"
MEASURED_SERVICE = (
    r"^(host-\d{1,2}(\.\d{1,4})?|[A-Za-z0-9][A-Za-z0-9._-]*)~[0-9a-f]{8}~(model|request)"
    rf"~{_TIMED}(,{_TIMED})*$"
)
_MS = r"\d{1,8}(\.\d{1,6})?"
_RUN = rf"[cr]{_NUMBER}x\d{{1,8}}x\d{{1,7}}=({_MS})?:({_MS})?"
MEASURED_SERVING = (
    r"^[A-Za-z0-9][A-Za-z0-9._-]*~[A-Za-z0-9][A-Za-z0-9._-]*~(vllm|sglang|tensorrt_llm|llama_cpp)(-\d{1,4}(\.\d{1,4}){0,3})?"
    rf"~[a-z0-9_]{{1,20}}~[a-z0-9]{{1,10}}~\d{{1,3}}\.\d{{1,3}}\.\d{{1,3}}e?~(-|{_RUN}(,{_RUN})*)"
    rf"~(-|m({_NUMBER})?:{_NUMBER}:{_NUMBER}:(\d{{1,8}})?:(\d{{1,7}})?:(\d{{1,6}})?)$"
)
OWN_PRICE = r"^[A-Za-z0-9][A-Za-z0-9._-]*~((on_demand|spot|committed_1y|committed_3y)~)?\d{1,7}(\.\d{1,20})?$"
CURRENCY = r"^[A-Z]{3}$"
PATTERN_WORDS = {
    CURRENCY: "three capital letters such as EUR",
    OWN_PRICE: "an instance id, ~, the terms (on_demand, spot, committed_1y or committed_3y), ~ and USD per hour",
    CATALOG_ID: "a catalog id (letters, digits, dot, dash, underscore)",
    VERSION: "a version such as 0.18, at most four numbers with dots",
    MEASURED_SERVICE: "instance or host-factor~fingerprint~model or request~rows=ms,rows=ms (an error may follow a time: ms:0.05)",
    MEASURED_SERVING: "accelerator~model~engine~weight format~KV format~tp.pp.dp~runs (c16x1000x250=TTFT:TPOT in ms)~memory",
    MEASURED_CURVE: "accelerator~model~size~runtime~precision~attention~batch=ms,batch=ms",
}
"""What a text that follows a pattern is, for whoever typed another."""


def allowed_words(kind: str, context: dict[str, Any], message: str) -> str:
    """What a field accepts, from pydantic's error type and context."""
    comparisons = {
        "greater_than": ("gt", "a number above {}"),
        "greater_than_equal": ("ge", "a number from {} up"),
        "less_than_equal": ("le", "a number up to {}"),
        "less_than": ("lt", "a number below {}"),
        "string_too_long": ("max_length", "text of at most {} characters"),
        "too_long": ("max_length", "at most {} entries"),
        "literal_error": ("expected", "one of {}"),
    }
    if kind in comparisons:
        key, text = comparisons[kind]
        bound = context.get(key)
        return text.format(int(bound) if isinstance(bound, float) and bound.is_integer() else bound)
    return {
        "field": str(context.get("allowed")),
        "extra_forbidden": "only the fields that this kind of scenario has",
        "int_parsing": "a whole number",
        "int_type": "a whole number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "float_type": "a number",
        "finite_number": "a finite number",
        "string_type": "text",
        "string_pattern_mismatch": PATTERN_WORDS.get(str(context.get("pattern")), message),
        "bool_parsing": "True or False",
        "tuple_type": "a list",
        "model_attributes_type": "a mapping of fields",
    }.get(kind, message)
