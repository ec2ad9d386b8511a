"""What a GGUF file's metadata say of the model: layers, heads, windows, experts, and so what it caches of each token."""

from __future__ import annotations

from dataclasses import dataclass

from sizing.errors import InputError
from sizing.llm.headers.gguf_header import GgufHeader, Value
from sizing.llm.headers.gguf_types import FILE_TYPES

MOST_LAYERS = 10_000
MOST_WIDTH = 100_000_000
WINDOW_PERIODS = {
    "gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "olmo2": 4, "exaone4": 4, "llama4": 4,
}  # fmt: skip
"""Layers from one that sees all tokens to the next, by architecture, where the file does not say: the others slide. Source:
model classes of llama.cpp (2026)."""
CHUNK_TOKENS = {"llama4": 8192}
"""Tokens that a sliding layer sees, by architecture, where the file does not say. Source: as above."""
RECURRENT = (".ssm_", ".time_mix_", ".shortconv.")
ATTENDING = (".attn_k.", ".attn_kv_a_mqa.", ".attn_qkv.")


@dataclass(frozen=True)
class GgufFacts:
    """A model as its GGUF metadata describe it; None is unknown or not stated."""

    architecture: str
    name: str | None
    file_type: str | None
    layers: int | None
    hidden: int | None
    heads: tuple[int, ...] | None
    """Query heads of each layer."""
    kv_heads: tuple[int, ...] | None
    """Key and value heads of each layer; 0 in a layer without attention."""
    key_length: int | None
    value_length: int | None
    context_length: int | None
    vocabulary: int | None
    experts: int | None
    experts_per_token: int | None
    sliding_window: int | None
    """Tokens that a sliding layer sees."""
    sliding_layers: tuple[bool, ...] | None
    """Whether each layer slides; None if the file and the table of architectures do not say."""
    kv_elements_per_layer: tuple[int, ...] | None
    """Elements that each layer caches of a token: kv_heads x (key + value), or latent + rope."""
    part: int
    parts: int

    @property
    def kv_elements_per_token(self) -> int | None:
        """Cached elements of a token while all layers see it [count]."""
        return None if self.kv_elements_per_layer is None else sum(self.kv_elements_per_layer)

    def kv_elements(self, context_tokens: int) -> int | None:
        """Cached elements of a sequence of so many tokens [count]: sum over layers of elements x min(context, window)."""
        if self.kv_elements_per_layer is None or self.sliding_layers is None:
            return None
        window = context_tokens if self.sliding_window is None else min(context_tokens, self.sliding_window)
        pairs = zip(self.kv_elements_per_layer, self.sliding_layers, strict=True)
        return sum(elements * (window if slides else context_tokens) for elements, slides in pairs)


def gguf_facts(header: GgufHeader) -> GgufFacts:
    """Facts of the model in a GGUF file: from its metadata, and from its tensors which layers attend at all.

    Source: ggml, docs/gguf.md (2025), and the keys that llama.cpp reads (2026).

    >>> from sizing.llm.headers.gguf_header import GgufHeader
    >>> facts = {"block_count": 2, "attention.head_count": 4, "attention.head_count_kv": 2, "embedding_length": 64}
    >>> stated = {"general.architecture": "llama", **{f"llama.{key}": value for key, value in facts.items()}}
    >>> gguf_facts(GgufHeader(3, stated, {}, (), 0, 0, 0)).kv_elements_per_token
    128
    """
    keys = _Keys(header)
    layers = keys.whole("block_count", most=MOST_LAYERS)
    heads, kv_heads = keys.per_layer("attention.head_count", layers), keys.per_layer("attention.head_count_kv", layers)
    hidden = keys.whole("embedding_length")
    widest = max(heads, default=0) if heads else 0
    each = hidden // widest if hidden and widest else None
    key_length, value_length = keys.whole("attention.key_length") or each, keys.whole("attention.value_length") or each
    window, slides = _sliding(keys, layers)
    return GgufFacts(
        architecture=keys.architecture,
        name=keys.text("general.name"),
        file_type=_file_type(header.metadata.get("general.file_type")),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads if kv_heads is not None else heads,
        key_length=key_length,
        value_length=value_length,
        context_length=keys.whole("context_length", most=2**40),
        vocabulary=keys.whole("vocab_size") or header.lengths.get("tokenizer.ggml.tokens"),
        experts=keys.whole("expert_count") or None,
        experts_per_token=keys.whole("expert_used_count") or None,
        sliding_window=window,
        sliding_layers=slides,
        kv_elements_per_layer=_cached(keys, layers, kv_heads or heads, key_length, value_length, slides),
        part=keys.plain("split.no", 0) + 1,
        parts=max(keys.plain("split.count", 1), 1),
    )


class _Keys:
    """Metadata of the architecture's own prefix, checked for kind and range."""

    def __init__(self, header: GgufHeader) -> None:
        self.header = header
        architecture = header.metadata.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise InputError("GGUF general.architecture", None, "the name of an architecture")
        self.architecture = architecture

    def stated(self, key: str) -> Value | None:
        return self.header.metadata.get(f"{self.architecture}.{key}")

    def whole(self, key: str, most: int = MOST_WIDTH) -> int | None:
        value = self.stated(key)
        return None if value is None else self._checked(key, value, most)

    def _checked(self, key: str, value: object, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise InputError(f"GGUF {self.architecture}.{key}", value, f"a whole number from 0 to {most}")
        return value

    def per_layer(self, key: str, layers: int | None) -> tuple[int, ...] | None:
        value = self.stated(key)
        if value is None or layers is None:
            return None
        if not isinstance(value, tuple):
            return (self._checked(key, value, MOST_WIDTH),) * layers
        if len(value) < layers:
            raise InputError(
                f"GGUF {self.architecture}.{key}", f"{len(value)} values", f"one for each of {layers} layers"
            )
        return tuple(self._checked(key, each, MOST_WIDTH) for each in value[:layers])

    def text(self, key: str) -> str | None:
        value = self.header.metadata.get(key)
        return value if isinstance(value, str) and value else None

    def plain(self, key: str, default: int) -> int:
        value = self.header.metadata.get(key, default)
        return value if isinstance(value, int) and 0 <= value <= 65_535 else default


def _file_type(value: Value | None) -> str | None:
    return FILE_TYPES.get(value) if isinstance(value, int) else None


def _sliding(keys: _Keys, layers: int | None) -> tuple[int | None, tuple[bool, ...] | None]:
    """Window [tokens] and which layers slide; without a window no layer does."""
    window = keys.whole("attention.sliding_window", most=2**40) or CHUNK_TOKENS.get(keys.architecture)
    if layers is None:
        return window, None
    context = keys.whole("context_length", most=2**40)
    if not window or (context is not None and window >= context):
        return None, (False,) * layers
    pattern = keys.stated("attention.sliding_window_pattern")
    if isinstance(pattern, tuple) and pattern:
        return window, tuple(bool(pattern[i % len(pattern)]) for i in range(layers))
    stated = keys.whole("attention.sliding_window_pattern") if pattern is not None else None
    period = stated if stated is not None else WINDOW_PERIODS.get(keys.architecture)
    if period is None:
        return window, None
    return window, tuple(period == 0 or i % period < period - 1 for i in range(layers))


def _cached(
    keys: _Keys,
    layers: int | None,
    kv_heads: tuple[int, ...] | None,
    key_length: int | None,
    value_length: int | None,
    slides: tuple[bool, ...] | None,
) -> tuple[int, ...] | None:
    """Elements of a token in each layer's cache, or None if the file does not say."""
    if layers is None:
        return None
    attends = _attends(keys, layers)
    if attends is None:
        return None
    latent, rope = keys.whole("attention.kv_lora_rank"), keys.whole("rope.dimension_count")
    if latent and rope and keys.stated("attention.key_length_mla") is not None:
        return tuple(latent + rope if attend else 0 for attend in attends)
    if not any(attends):
        return (0,) * layers
    if kv_heads is None or key_length is None or value_length is None:
        return None
    wide = key_length + value_length
    narrow = keys.whole("attention.key_length_swa"), keys.whole("attention.value_length_swa")
    sliding = (narrow[0] or key_length) + (narrow[1] or value_length)
    shared = keys.whole("attention.shared_kv_layers") or 0
    return tuple(
        kv_heads[i] * (sliding if slides and slides[i] else wide) if attends[i] and i < layers - shared else 0
        for i in range(layers)
    )


def _attends(keys: _Keys, layers: int) -> tuple[bool, ...] | None:
    """Which layers have keys, by their tensors: a recurrent layer has a state instead. None in a part of a split file."""
    tensors = keys.header.tensors
    names: dict[int, list[str]] = {}
    for tensor in tensors:
        prefix, _, rest = tensor.name.partition(".")
        number, _, rest = rest.partition(".")
        if prefix == "blk" and number.isdecimal() and len(number) < 6:
            names.setdefault(int(number), []).append(f".{rest}")
    recurrent = {i for i, found in names.items() if any(n.startswith(RECURRENT) for n in found)}
    if not recurrent:
        return (True,) * layers
    if len(names) < layers:
        return None
    keyed = {i for i, found in names.items() if any(n.startswith(ATTENDING[:2]) for n in found)}
    return tuple(i not in recurrent or i in keyed for i in range(layers))
