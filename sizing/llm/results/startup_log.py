"""What a start-up log of vLLM says of memory and of the server's settings.

Sources of the lines, read 2026-11-25: public logs of vLLM 0.4 to 0.31 and their places in its code: model_runner.py and
gpu_model_runner.py ("Model loading took", "Graph capturing finished"), worker.py ("the rest of the memory reserved for KV Cache is", 0.6 to
0.9), gpu_worker.py ("Available KV cache memory"), kv_cache_utils.py ("GPU KV cache size", "Maximum concurrency"), executor_base.py
("# GPU blocks", also cuda), core.py and llm_engine.py ("Initializing ... LLM engine (v...) with config"), api_server.py ("non-default args").
Every line may stand behind a rank, a process id, a time and colours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sizing.errors import InputError
from sizing.llm.results.records import StartupLog

MAX_LINE = 20_000
"""Characters of a line that are read [1]; the line of the configuration has about 4,000."""
MAX_GIB, MAX_TOKENS = 1e5, 10**11
BLOCK_TOKENS = 16
"""Tokens of a block where the log does not say [1]: vLLM's default."""

_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]")
_HINT = re.compile("KV|took|takes|engine|args|max_|model len|Maximum|blocks|version|utilization")
_RANK = re.compile(r"Worker[A-Za-z0-9_]{0,24} (?:rank=\d{1,4} )?pid=(\d{1,7})")
_SIZE = r"(-?\d{1,6}(?:\.\d{1,18})?) ?(GiB|GB)"
_COUNT = r"(\d[\d,]{0,15})"
_NUMBER = r"(\d{1,7}(?:\.\d{1,6})?)"

_WEIGHTS = re.compile(rf"(?:Model loading took|Loading model weights took|model weights take) {_SIZE}")
_KV = re.compile(rf"(?:Available KV cache memory: |reserved for KV Cache is ){_SIZE}")
_TOKENS = re.compile(rf"KV cache size: {_COUNT} tokens")
_BLOCKS = re.compile(rf"# (?:GPU|gpu|CUDA|cuda|rocm) blocks: {_COUNT}")
_CONCURRENCY = re.compile(rf"Maximum concurrency for {_COUNT} tokens per request: {_NUMBER}x")
_GRAPHS = re.compile(rf"Graph capturing finished in {_NUMBER} secs?, took {_SIZE}")
_ACTIVATION = re.compile(rf"activation peak memory takes {_SIZE}")
_NON_TORCH = re.compile(rf"non_torch_memory takes {_SIZE}")
_UTILIZATION = re.compile(r"gpu_memory_utilization['\"]?(?: \(|[=:] ?)(0\.\d{1,6}|1\.0|1)")
_TOOK = re.compile(rf"init engine \([^)]{{0,80}}\) took {_NUMBER} s")
_VERSION = re.compile(r"(?:LLM engine \(v|API server version:? v?)(\d{1,3}\.\d{1,3}(?:\.\d{1,4})?)")
_START = re.compile(r"API server version|non-default args: |LLM engine \(v")
_CONFIG = re.compile(r"with config: |non-default args: ")
_BATCHED = re.compile(r"max_num_batched_tokens['\"]?[=:] ?(\d{1,7})")
_SEQUENCES = re.compile(r"max_num_seqs['\"]?[=:] ?(\d{1,6})")
_CONTEXT = re.compile(r"(?:max_seq_len|max_model_len)['\"]?[=:] ?(\d{1,8})|Using max model len (\d{1,8})")
_BLOCK = re.compile(r"block_size['\"]?[=:] ?(\d{1,5})")
_DEGREES = {
    "tensor_parallel": re.compile(r"tensor_parallel_size['\"]?[=:] ?(\d{1,4})"),
    "pipeline_parallel": re.compile(r"pipeline_parallel_size['\"]?[=:] ?(\d{1,4})"),
    "data_parallel": re.compile(r"data_parallel_size['\"]?[=:] ?(\d{1,4})"),
}
_EXPERTS = re.compile(r"enable_expert_parallel['\"]?[=:] ?(True|False)")
_NAMES = {
    "model": re.compile(r"(?<![a-z_])model(?:_tag)?['\"]?[=:] ?['\"]([^'\"]{1,200})['\"]"),
    "quantization": re.compile(r"(?<![a-z_])quantization['\"]?[=:] ?['\"]?([A-Za-z0-9_.-]{1,40})"),
    "dtype": re.compile(r"(?<![a-z_])dtype['\"]?[=:] ?['\"]?(?:torch\.)?([a-z0-9]{1,20})"),
    "kv_format": re.compile(r"kv_cache_dtype['\"]?[=:] ?['\"]?(?:torch\.)?([a-z0-9_]{1,20})"),
}
MARKS = (
    "Model loading took",
    "model weights take",
    "Loading model weights took",
    "KV cache",
    " blocks: ",
    "LLM engine (v",
)
"""What a log of vLLM has at least one of."""


def is_log(text: str) -> bool:
    """Whether a text looks like a start-up log of vLLM."""
    return any(mark in text for mark in MARKS)


def _lines(text: str) -> Iterator[str]:
    """Lines that may say something, without colours."""
    for line in text.splitlines():
        if _HINT.search(line, 0, MAX_LINE):
            yield _COLOUR.sub("", line[:MAX_LINE])


def _gib(match: re.Match[str], first: int = 1) -> float:
    """Size [GiB]; older versions wrote GB and meant 2^30 bytes."""
    size = float(match[first])
    if abs(size) > MAX_GIB:
        raise InputError("log", match[0], f"at most {MAX_GIB:,.0f} GiB")
    return size


def _whole(text: str) -> int:
    value = int(text.replace(",", ""))
    if value > MAX_TOKENS:
        raise InputError("log", text, f"at most {MAX_TOKENS:,} tokens")
    return value


def read_log(text: str) -> StartupLog:
    """What a log says: of several ranks the fullest counts (most weights, least KV cache), of several starts the last.

    Raises InputError for a log that says nothing of memory, or says that nothing is left for KV cache.

    >>> found = read_log("INFO gpu_worker.py: Available KV cache memory: 50.1 GiB" + chr(10) + "GPU KV cache size: 410,000 tokens")
    >>> found.kv_gib, found.kv_tokens
    (50.1, 410000)
    """
    sizes: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    facts: dict[str, str] = {}
    ranks: set[str] = set()
    notes: list[str] = []

    def saw(name: str, value: float) -> None:
        sizes.setdefault(name, []).append(value)

    for line in _lines(text):
        if sizes and _START.search(line):
            notes.append("the log has several starts; the last one counts")
            sizes, counts, facts, ranks = {}, {}, {}, set()
        for name, pattern in (("activation", _ACTIVATION), ("non_torch", _NON_TORCH)):
            if found := pattern.search(line):
                saw(name, _gib(found))
        if found := _WEIGHTS.search(line):
            saw("weights", _gib(found))
            if rank := _RANK.search(line):
                ranks.add(rank[1])
        if found := _KV.search(line):
            saw("kv", _gib(found))
        if found := _GRAPHS.search(line):
            saw("graphs", _gib(found, 2))
        if found := _TOKENS.search(line):
            saw("tokens", float(_whole(found[1])))
        if found := _BLOCKS.search(line):
            counts["blocks"] = _whole(found[1])
        if found := _CONCURRENCY.search(line):
            counts["context"] = _whole(found[1])
            facts["concurrency"] = found[2]
        if found := _UTILIZATION.search(line):
            facts["utilization"] = found[1]
        if found := _TOOK.search(line):
            facts["startup"] = found[1]
        if found := _VERSION.search(line):
            facts["version"] = found[1]
        _settings(line, counts, facts)
    kv = min(sizes["kv"]) if "kv" in sizes else None
    if kv is not None and kv <= 0.0:
        raise InputError(
            "log", f"{kv:g} GiB for KV cache", "a log of a server that started: this one had no memory left"
        )
    tokens = int(min(sizes["tokens"])) if "tokens" in sizes else None
    if tokens is None and "blocks" in counts:
        tokens = counts["blocks"] * counts.get("block", BLOCK_TOKENS)
        if "block" not in counts:
            notes.append(f"KV tokens are blocks x {BLOCK_TOKENS}, the usual block size, which the log does not state")
    log = StartupLog(
        version=facts.get("version"),
        model=facts.get("model"),
        weights_gib=max(sizes["weights"]) if "weights" in sizes else None,
        kv_gib=kv,
        kv_tokens=tokens or None,
        activation_gib=max(sizes["activation"]) if "activation" in sizes else None,
        non_torch_gib=max(sizes["non_torch"]) if "non_torch" in sizes else None,
        graphs_gib=max(sizes["graphs"]) if "graphs" in sizes else None,
        utilization=float(facts["utilization"]) if "utilization" in facts else None,
        context_tokens=counts.get("context"),
        batched_tokens=counts.get("batched"),
        sequences=counts.get("sequences"),
        max_concurrency=float(facts["concurrency"]) if "concurrency" in facts else None,
        tensor_parallel=counts.get("tensor_parallel"),
        pipeline_parallel=counts.get("pipeline_parallel"),
        data_parallel=counts.get("data_parallel"),
        expert_parallel=facts["experts"] == "True" if "experts" in facts else None,
        quantization=None if facts.get("quantization") in (None, "None") else facts["quantization"],
        dtype=facts.get("dtype"),
        kv_format=facts.get("kv_format"),
        startup_s=float(facts["startup"]) if "startup" in facts else None,
        ranks=max(1, len(ranks)),
        notes=tuple(dict.fromkeys(notes)),
    )
    if not log.is_usable:
        raise InputError(
            "log", "no memory in it", 'lines such as "Model loading took ..." and "Available KV cache memory: ..."'
        )
    return log


def _settings(line: str, counts: dict[str, int], facts: dict[str, str]) -> None:
    """Settings that a line states; those of the engine's own configuration replace what was typed."""
    for name, pattern in (("batched", _BATCHED), ("sequences", _SEQUENCES), ("block", _BLOCK)):
        if (found := pattern.search(line)) and int(found[1]) > 0:
            counts[name] = int(found[1])
    if (found := _CONTEXT.search(line)) and int(found[1] or found[2]) > 0:
        counts.setdefault("context", int(found[1] or found[2]))
    if not _CONFIG.search(line):
        return
    for name, pattern in _DEGREES.items():
        if (found := pattern.search(line)) and int(found[1]) > 0:
            counts[name] = int(found[1])
    for name, pattern in _NAMES.items():
        if found := pattern.search(line):
            facts[name] = found[1]
    if found := _EXPERTS.search(line):
        facts["experts"] = found[1]
