"""The `quantization_config` of a Hugging Face checkpoint: which matrices it stores in fewer bits, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sizing.errors import InputError
from sizing.llm.architecture import Group
from sizing.llm.scheme import Scheme
from sizing.llm.storage import (
    BF16,
    FP8_BLOCK,
    FP8_CHANNEL,
    FP8_TENSOR,
    FP16,
    FP32,
    MXFP4,
    MXFP8,
    NF4,
    NVFP4,
    Storage,
    grouped_int,
)

Stated = Mapping[str, Any]
PLAIN: dict[str, Storage] = {
    "bf16": BF16,
    "bfloat16": BF16,
    "fp16": FP16,
    "float16": FP16,
    "fp32": FP32,
    "float32": FP32,
}
MOST_IGNORED = 20_000
"""Names that a config may list as not quantised (count); published ones list up to some thousands."""


def scheme_of_config(stated: Stated, *, dtype: str = "bf16") -> Scheme:
    """How a checkpoint with this `quantization_config` stores its tensors; `dtype` is that of the tensors left alone.

    Raises InputError for a method or a value that is not understood.

    >>> awq = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}
    >>> scheme_of_config(awq).linear.bytes_per_parameter()
    0.51953125
    """
    method = stated.get("quant_method")
    if method is None and "quant_algo" in stated:
        method = "modelopt"
    if not isinstance(method, str) or method not in METHODS:
        raise InputError("quantization_config.quant_method", method, f"one of {', '.join(METHODS)}")
    scheme = METHODS[method](stated)
    rest = PLAIN.get(dtype, BF16)
    return Scheme(scheme.words, scheme.linear, rest, scheme.groups, scheme.names, scheme.ignored)


def _ignored(stated: Stated, *keys: str) -> tuple[str, ...]:
    for key in keys:
        found = stated.get(key)
        if found:
            if not isinstance(found, list | tuple) or len(found) > MOST_IGNORED:
                raise InputError(
                    f"quantization_config.{key}", found, f"a list of at most {MOST_IGNORED:,} module names"
                )
            for entry in found:
                _check_pattern(key, entry)
            return tuple(str(entry) for entry in found)
    return ()


def _check_pattern(key: str, entry: object) -> None:
    if not isinstance(entry, str) or len(entry) > 500:
        raise InputError(f"quantization_config.{key}", entry, "module names")
    if entry.startswith("re:"):
        try:
            re.compile(entry[3:])
        except re.error:
            raise InputError(f"quantization_config.{key}", entry, "a regular expression after re:") from None


def _whole(stated: Stated, key: str, default: int | None, allowed: tuple[int, ...] | None = None) -> int:
    value = stated.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or (allowed is not None and value not in allowed):
        words = f"one of {', '.join(map(str, allowed))}" if allowed else "a whole number"
        raise InputError(f"quantization_config.{key}", value, words)
    return value


def _fp8(stated: Stated) -> Scheme:
    block = stated.get("weight_block_size")
    ignored = _ignored(stated, "modules_to_not_convert", "ignored_layers")
    if block is None:
        return Scheme(FP8_TENSOR.words, FP8_TENSOR, ignored=ignored)
    if block != [128, 128] and not (isinstance(block, list | tuple) and len(block) == 2 and block[0] == block[1]):
        raise InputError("quantization_config.weight_block_size", block, "two equal whole numbers such as [128, 128]")
    if block[0] == 128:
        return Scheme(FP8_BLOCK.words, FP8_BLOCK, ignored=ignored)
    if not isinstance(block[0], int) or not 1 <= block[0] <= 4096:
        raise InputError("quantization_config.weight_block_size", block, "two whole numbers from 1 to 4096")
    storage = Storage(f"fp8 in blocks of {block[0]} x {block[0]}", 8, block=block[0], block_bytes=4)
    return Scheme(storage.words, storage, ignored=ignored)


def _bits_and_group(stated: Stated) -> tuple[int, int | None]:
    group = _whole(stated, "group_size", 128)
    return _whole(stated, "bits", 4, (2, 3, 4, 8)), None if group <= 0 else group


def _awq(stated: Stated) -> Scheme:
    storage = grouped_int(*_bits_and_group(stated), zero_point=bool(stated.get("zero_point", True)))
    return Scheme(f"AWQ {storage.words}", storage, ignored=_ignored(stated, "modules_to_not_convert"))


def _gptq(stated: Stated) -> Scheme:
    """GPTQ files hold zero points for symmetric weights too; rules of `dynamic` that begin with -: exclude modules."""
    storage = grouped_int(*_bits_and_group(stated), zero_point=True)
    rules = stated.get("dynamic") or {}
    if not isinstance(rules, Mapping):
        raise InputError("quantization_config.dynamic", rules, "a mapping of module patterns")
    excluded = tuple(f"re:{name[2:]}" for name in map(str, rules) if name.startswith("-:"))
    for entry in excluded:
        _check_pattern("dynamic", entry)
    return Scheme(f"GPTQ {storage.words}", storage, ignored=excluded)


def _bitsandbytes(stated: Stated) -> Scheme:
    ignored = _ignored(stated, "llm_int8_skip_modules")
    if stated.get("load_in_4bit"):
        return Scheme("nf4 (bitsandbytes)", NF4, ignored=ignored)
    if stated.get("load_in_8bit"):
        return Scheme("int8 (bitsandbytes)", Storage("int8", 8, row_bytes=4), ignored=ignored)
    raise InputError("quantization_config.load_in_4bit", stated.get("load_in_4bit"), "true, or load_in_8bit true")


def _mxfp4(stated: Stated) -> Scheme:
    ignored = _ignored(stated, "modules_to_not_convert")
    return Scheme("bf16, experts in mxfp4 (4.25 bit)", BF16, groups=(("experts", MXFP4),), ignored=ignored)


def _modelopt(stated: Stated) -> Scheme:
    inner = stated.get("quantization", stated)
    if not isinstance(inner, Mapping):
        raise InputError("quantization_config.quantization", inner, "a mapping")
    algorithm = inner.get("quant_algo")
    storages = {
        "FP8": FP8_TENSOR, "NVFP4": NVFP4, "NVFP4_AWQ": NVFP4, "W4A16_AWQ": grouped_int(4, 128, zero_point=False),
        "MXFP8": MXFP8, "FP8_PB_WO": FP8_BLOCK, "FP8_PER_CHANNEL_PER_TOKEN": FP8_CHANNEL, "W8A16": grouped_int(8, None, zero_point=False),
    }  # fmt: skip
    if algorithm not in storages:
        raise InputError("quantization_config.quant_algo", algorithm, f"one of {', '.join(storages)}")
    storage = storages[algorithm]
    return Scheme(storage.words, storage, ignored=_ignored(inner, "exclude_modules", "ignore"))


def _fbgemm(stated: Stated) -> Scheme:
    return Scheme("fp8", FP8_CHANNEL, ignored=_ignored(stated, "modules_to_not_convert"))


def _compressed_tensors(stated: Stated) -> Scheme:
    groups = stated.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        raise InputError("quantization_config.config_groups", groups, "a mapping of groups with weights and targets")
    ignored = _ignored(stated, "ignore")
    linear: Storage | None = None
    special: list[tuple[Group, Storage]] = []
    for name, group in groups.items():
        storage = _group_storage(str(name), group)
        targets = group.get("targets", ["Linear"])
        if not isinstance(targets, list):
            raise InputError(f"quantization_config.config_groups.{name}.targets", targets, "a list of names")
        if "Linear" in targets or (linear is None and not any("expert" in str(t) for t in targets)):
            linear = storage
        elif any("expert" in str(target) for target in targets):
            special.append(("experts", storage))
        else:
            raise InputError(
                f"quantization_config.config_groups.{name}.targets",
                ", ".join(map(str, targets))[:80],
                "Linear, or experts",
            )
    whole = linear or BF16
    words = whole.words if not special else f"{whole.words}, experts in {special[0][1].words}"
    return Scheme(words, whole, groups=tuple(special), ignored=ignored)


def _group_storage(name: str, group: object) -> Storage:
    weights = group.get("weights") if isinstance(group, Mapping) else None
    field = f"quantization_config.config_groups.{name}.weights"
    if not isinstance(weights, Mapping):
        raise InputError(field, weights, "a mapping with num_bits, type and strategy")
    bits, kind, strategy = weights.get("num_bits"), weights.get("type", "int"), weights.get("strategy")
    size = weights.get("group_size")
    if kind == "float" and bits == 8:
        if strategy == "block":
            return FP8_BLOCK
        if size == 32:
            return MXFP8
        return FP8_TENSOR if strategy == "tensor" else FP8_CHANNEL
    if kind == "float" and bits == 4:
        return MXFP4 if size == 32 else NVFP4
    if kind == "int" and bits in (2, 3, 4, 8):
        if strategy in ("channel", "tensor", None) and not size:
            return Storage(f"int{bits}", bits, row_bytes=4)
        if not isinstance(size, int):
            raise InputError(f"{field}.group_size", size, "a whole number")
        return grouped_int(bits, size, zero_point=weights.get("symmetric") is False)
    raise InputError(field, f"{bits} bit {kind}", "2, 3, 4 or 8 bit int, or 4 or 8 bit float")


METHODS: dict[str, Callable[[Stated], Scheme]] = {
    "fp8": _fp8,
    "awq": _awq,
    "gptq": _gptq,
    "compressed-tensors": _compressed_tensors,
    "bitsandbytes": _bitsandbytes,
    "mxfp4": _mxfp4,
    "modelopt": _modelopt,
    "modelopt_fp4": _modelopt,
    "fbgemm_fp8": _fbgemm,
}
"""Methods read here. Source: quantization configs of transformers, compressed-tensors and ModelOpt (2025-2026)."""
