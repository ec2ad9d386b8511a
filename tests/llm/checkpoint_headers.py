"""Headers of well-known checkpoints, written from their published shapes: names, types and sizes of every tensor, no data."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from sizing.errors import InputError
from sizing.llm.headers.gguf_types import GGML_TYPES
from sizing.llm.headers.safetensors_header import DTYPE_BITS

Listed = tuple[str, str, tuple[int, ...]]
"""A tensor: name, type, shape."""


Read = TypeVar("Read")


def outcome(read: Callable[[bytes], Read], raw: bytes) -> tuple[Read | None, str]:
    """What a reader gives for these bytes, or None and the sentence that refuses them; any other error goes through."""
    try:
        return read(raw), ""
    except InputError as error:
        return None, str(error)


def is_sentence(text: str) -> bool:
    """Whether a refusal is one line of readable length that ends as a sentence."""
    return text.endswith(".") and text.isprintable() and len(text) < 500


def safetensors_head(tensors: Iterable[Listed], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file up to its data."""
    entries: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    at = 0
    for name, dtype, shape in tensors:
        size = DTYPE_BITS[dtype]
        for each in shape:
            size *= each
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size // 8]}
        at += size // 8
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


def gguf_text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf_value(value: object) -> bytes:
    """Type and value: whole numbers as uint32, lists by their first element."""
    kinds = {bool: (7, "<B"), int: (4, "<I"), float: (6, "<f")}
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_text(value)
    if isinstance(value, list):
        if isinstance(value[0], str):
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(gguf_text, value))
        number, code = kinds[type(value[0])]
        return struct.pack("<IIQ", 9, number, len(value)) + b"".join(struct.pack(code, each) for each in value)
    number, code = kinds[type(value)]
    return struct.pack("<I", number) + struct.pack(code, value)


def gguf_head(
    metadata: Mapping[str, object], tensors: Iterable[Listed], *, version: int = 3, alignment: int = 32
) -> bytes:
    """A GGUF file up to its data."""
    numbers = {kind.name: number for number, kind in GGML_TYPES.items()}
    keys = b"".join(gguf_text(key) + gguf_value(value) for key, value in metadata.items())
    records, at, count = b"", 0, 0
    for name, dtype, shape in tensors:
        kind = GGML_TYPES[numbers[dtype]]
        elements = 1
        for each in shape:
            elements *= each
        records += gguf_text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        records += struct.pack("<IQ", numbers[dtype], at)
        at += elements // kind.block_elements * kind.block_bytes
        at += -at % alignment
        count += 1
    head = b"GGUF" + struct.pack("<IQQ", version, count, len(metadata)) + keys + records
    return head + bytes(-len(head) % alignment)


def _llama_layer(prefix: str, hidden: int, heads: int, kv_heads: int, head_dim: int) -> Iterator[Listed]:
    yield f"{prefix}.input_layernorm.weight", "BF16", (hidden,)
    yield f"{prefix}.post_attention_layernorm.weight", "BF16", (hidden,)
    for name, out in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
        yield f"{prefix}.self_attn.{name}_proj.weight", "BF16", (out * head_dim, hidden)
    yield f"{prefix}.self_attn.o_proj.weight", "BF16", (hidden, heads * head_dim)


def _mlp(prefix: str, hidden: int, width: int, names: tuple[str, str, str], dtype: str = "BF16") -> Iterator[Listed]:
    gate, up, down = names
    yield f"{prefix}.{gate}.weight", dtype, (width, hidden)
    yield f"{prefix}.{up}.weight", dtype, (width, hidden)
    yield f"{prefix}.{down}.weight", dtype, (hidden, width)


HF_MLP = ("gate_proj", "up_proj", "down_proj")


def _outer(vocab: int, hidden: int, dtype: str = "BF16") -> Iterator[Listed]:
    yield "model.embed_tokens.weight", dtype, (vocab, hidden)
    yield "lm_head.weight", dtype, (vocab, hidden)
    yield "model.norm.weight", dtype, (hidden,)


def llama_3_1_8b() -> Iterator[Listed]:
    yield from _outer(128_256, 4096)
    for i in range(32):
        yield from _llama_layer(f"model.layers.{i}", 4096, 32, 8, 128)
        yield from _mlp(f"model.layers.{i}.mlp", 4096, 14_336, HF_MLP)


def qwen3_0_6b() -> Iterator[Listed]:
    """The published file stores the head although the configuration ties it."""
    yield from _outer(151_936, 1024)
    for i in range(28):
        yield from _llama_layer(f"model.layers.{i}", 1024, 16, 8, 128)
        for name in ("q_norm", "k_norm"):
            yield f"model.layers.{i}.self_attn.{name}.weight", "BF16", (128,)
        yield from _mlp(f"model.layers.{i}.mlp", 1024, 3072, HF_MLP)


def mixtral_8x7b() -> Iterator[Listed]:
    yield from _outer(32_000, 4096)
    for i in range(32):
        yield from _llama_layer(f"model.layers.{i}", 4096, 32, 8, 128)
        yield f"model.layers.{i}.block_sparse_moe.gate.weight", "BF16", (8, 4096)
        for expert in range(8):
            yield from _mlp(f"model.layers.{i}.block_sparse_moe.experts.{expert}", 4096, 14_336, ("w1", "w3", "w2"))


def _fp8(name: str, rows: int, columns: int) -> Iterator[Listed]:
    yield f"{name}.weight", "F8_E4M3", (rows, columns)
    yield f"{name}.weight_scale_inv", "F32", (-(-rows // 128), -(-columns // 128))


def deepseek_v3() -> Iterator[Listed]:
    """All 61 layers and the block that predicts a second token, which is layer 61 of the files."""
    yield from _outer(129_280, 7168)
    for i in range(62):
        at = f"model.layers.{i}"
        for name, width in (("input_layernorm", 7168), ("post_attention_layernorm", 7168)):
            yield f"{at}.{name}.weight", "BF16", (width,)
        yield f"{at}.self_attn.q_a_layernorm.weight", "BF16", (1536,)
        yield f"{at}.self_attn.kv_a_layernorm.weight", "BF16", (512,)
        yield from _fp8(f"{at}.self_attn.q_a_proj", 1536, 7168)
        yield from _fp8(f"{at}.self_attn.q_b_proj", 128 * 192, 1536)
        yield from _fp8(f"{at}.self_attn.kv_a_proj_with_mqa", 576, 7168)
        yield from _fp8(f"{at}.self_attn.kv_b_proj", 128 * 256, 512)
        yield from _fp8(f"{at}.self_attn.o_proj", 7168, 128 * 128)
        if i < 3:
            blocks = [(f"{at}.mlp", 18_432)]
        else:
            yield f"{at}.mlp.gate.weight", "BF16", (256, 7168)
            yield f"{at}.mlp.gate.e_score_correction_bias", "F32", (256,)
            blocks = [(f"{at}.mlp.shared_experts", 2048), *((f"{at}.mlp.experts.{e}", 2048) for e in range(256))]
        for prefix, width in blocks:
            yield from _fp8(f"{prefix}.gate_proj", width, 7168)
            yield from _fp8(f"{prefix}.up_proj", width, 7168)
            yield from _fp8(f"{prefix}.down_proj", 7168, width)
    for name in ("enorm", "hnorm", "shared_head.norm"):
        yield f"model.layers.61.{name}.weight", "BF16", (7168,)
    yield "model.layers.61.embed_tokens.weight", "BF16", (129_280, 7168)
    yield "model.layers.61.shared_head.head.weight", "BF16", (129_280, 7168)
    yield "model.layers.61.eh_proj.weight", "BF16", (7168, 2 * 7168)


def _awq(name: str, columns: int, rows: int, group: int = 128) -> Iterator[Listed]:
    yield f"{name}.qweight", "I32", (columns, rows // 8)
    yield f"{name}.qzeros", "I32", (columns // group, rows // 8)
    yield f"{name}.scales", "F16", (columns // group, rows)


def qwen2_5_7b_awq() -> Iterator[Listed]:
    yield from _outer(152_064, 3584, "F16")
    for i in range(28):
        at = f"model.layers.{i}"
        yield f"{at}.input_layernorm.weight", "F16", (3584,)
        yield f"{at}.post_attention_layernorm.weight", "F16", (3584,)
        for name, out in (("q", 3584), ("k", 512), ("v", 512)):
            yield from _awq(f"{at}.self_attn.{name}_proj", 3584, out)
            yield f"{at}.self_attn.{name}_proj.bias", "F16", (out,)
        yield from _awq(f"{at}.self_attn.o_proj", 3584, 3584)
        yield from _awq(f"{at}.mlp.gate_proj", 3584, 18_944)
        yield from _awq(f"{at}.mlp.up_proj", 3584, 18_944)
        yield from _awq(f"{at}.mlp.down_proj", 18_944, 3584)


def gpt_oss_20b() -> Iterator[Listed]:
    yield from _outer(201_088, 2880)
    for i in range(24):
        at = f"model.layers.{i}"
        yield f"{at}.input_layernorm.weight", "BF16", (2880,)
        yield f"{at}.post_attention_layernorm.weight", "BF16", (2880,)
        for name, out in (("q", 4096), ("k", 512), ("v", 512)):
            yield f"{at}.self_attn.{name}_proj.weight", "BF16", (out, 2880)
            yield f"{at}.self_attn.{name}_proj.bias", "BF16", (out,)
        yield f"{at}.self_attn.o_proj.weight", "BF16", (2880, 4096)
        yield f"{at}.self_attn.o_proj.bias", "BF16", (2880,)
        yield f"{at}.self_attn.sinks", "BF16", (64,)
        yield f"{at}.mlp.router.weight", "BF16", (32, 2880)
        yield f"{at}.mlp.router.bias", "BF16", (32,)
        for name, out in (("gate_up_proj", 5760), ("down_proj", 2880)):
            yield f"{at}.mlp.experts.{name}_blocks", "U8", (32, out, 90, 16)
            yield f"{at}.mlp.experts.{name}_scales", "U8", (32, out, 90)
            yield f"{at}.mlp.experts.{name}_bias", "BF16", (32, out)


LLAMA_8B_KEYS: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "Llama 3.1 8B",
    "general.file_type": 15,
    "llama.block_count": 32,
    "llama.context_length": 131_072,
    "llama.embedding_length": 4096,
    "llama.feed_forward_length": 14_336,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.rope.dimension_count": 128,
    "llama.vocab_size": 128_256,
}


def llama_3_1_8b_gguf(mix: str) -> Iterator[Listed]:
    """Q8_0 stores every matrix so; Q4_K_M stores the head, and the value and down projections of half the layers, in Q6_K."""
    plain = "Q4_K" if mix == "Q4_K_M" else mix
    better = "Q6_K" if mix == "Q4_K_M" else mix
    yield "token_embd.weight", plain, (128_256, 4096)
    yield "rope_freqs.weight", "F32", (64,)
    for i in range(32):
        more = better if i < 4 or i >= 28 or (i - 4) % 3 == 2 else plain
        yield f"blk.{i}.attn_norm.weight", "F32", (4096,)
        yield f"blk.{i}.ffn_norm.weight", "F32", (4096,)
        yield f"blk.{i}.attn_q.weight", plain, (4096, 4096)
        yield f"blk.{i}.attn_k.weight", plain, (1024, 4096)
        yield f"blk.{i}.attn_v.weight", more, (1024, 4096)
        yield f"blk.{i}.attn_output.weight", plain, (4096, 4096)
        yield f"blk.{i}.ffn_gate.weight", plain, (14_336, 4096)
        yield f"blk.{i}.ffn_up.weight", plain, (14_336, 4096)
        yield f"blk.{i}.ffn_down.weight", more, (4096, 14_336)
    yield "output_norm.weight", "F32", (4096,)
    yield "output.weight", better, (128_256, 4096)
