"""Small result files in the formats of the tools, written here; the figures are made up."""

from __future__ import annotations

import json
from typing import Any

VLLM: dict[str, Any] = {
    "date": "20260617-164242", "endpoint_type": "openai", "backend": "openai", "label": None,
    "model_id": "meta-llama/Llama-3.1-8B-Instruct", "tokenizer_id": "meta-llama/Llama-3.1-8B-Instruct",
    "num_prompts": 160, "request_rate": "inf", "burstiness": 1.0, "max_concurrency": 16, "duration": 29.9,
    "completed": 160, "failed": 0, "total_input_tokens": 160000, "total_output_tokens": 40000,
    "request_throughput": 5.35, "request_goodput": None, "output_throughput": 1337.8, "total_token_throughput": 6689.0,
    "mean_ttft_ms": 131.2, "median_ttft_ms": 118.4, "std_ttft_ms": 60.1, "p99_ttft_ms": 320.0,
    "mean_tpot_ms": 11.4, "median_tpot_ms": 11.2, "std_tpot_ms": 0.4, "p99_tpot_ms": 12.1,
    "mean_itl_ms": 11.4, "median_itl_ms": 10.6, "std_itl_ms": 5.0, "p99_itl_ms": 30.2,
}  # fmt: skip
"""As `vllm bench serve --save-result` of vLLM 0.11 writes it (vllm/benchmarks/serve.py)."""

VLLM_OLD: dict[str, Any] = {
    "date": "20240802-101010", "backend": "vllm", "model_id": "meta-llama/Meta-Llama-3.1-8B", "tokenizer_id": "x",
    "best_of": 1, "use_beam_search": False, "num_prompts": 200, "request_rate": 4.0, "duration": 52.0, "completed": 200,
    "total_input_tokens": 43000, "total_output_tokens": 39000, "request_throughput": 3.85, "input_throughput": 827.0,
    "output_throughput": 750.0, "mean_ttft_ms": 45.0, "median_ttft_ms": 40.0, "p99_ttft_ms": 99.0,
    "mean_tpot_ms": 9.9, "median_tpot_ms": 9.5, "p99_tpot_ms": 13.0, "input_lens": [1, 2], "ttfts": [0.1],
}  # fmt: skip
"""As benchmark_serving.py of vLLM 0.5 wrote it, with its lists cut short."""

SGLANG: dict[str, Any] = {
    "tag": None, "backend": "sglang", "dataset_name": "random", "request_rate": 2.0, "max_concurrency": None,
    "sharegpt_output_len": None, "random_input_len": 1024, "random_output_len": 1024, "random_range_ratio": 1.0,
    "duration": 310.0, "completed": 600, "total_input_tokens": 614400, "total_output_tokens": 614400,
    "total_output_tokens_retokenized": 613900, "request_throughput": 1.94, "input_throughput": 1982.0,
    "output_throughput": 1982.0, "mean_e2e_latency_ms": 12000.0, "median_e2e_latency_ms": 11900.0,
    "mean_ttft_ms": 80.0, "median_ttft_ms": 71.0, "std_ttft_ms": 30.0, "p99_ttft_ms": 200.0, "mean_tpot_ms": 11.7,
    "median_tpot_ms": 11.5, "p99_tpot_ms": 13.0, "mean_itl_ms": 11.7, "median_itl_ms": 11.0, "p95_itl_ms": 15.0,
    "p99_itl_ms": 40.0, "concurrency": 23.3, "accept_length": None,
}  # fmt: skip
"""As SGLang 0.4 appends it to its JSONL (python/sglang/bench_serving.py)."""


def _distribution(mean: float, median: float, p99: float) -> dict[str, Any]:
    return {"successful": {"mean": mean, "median": median, "count": 80, "percentiles": {"p50": median, "p99": p99}}}


METRICS: dict[str, Any] = {
    "request_totals": {"successful": 80, "errored": 2, "incomplete": 0, "total": 82},
    "requests_per_second": _distribution(0.75, 0.7, 1.0),
    "prompt_token_count": _distribution(1000.0, 1000.0, 1010.0),
    "output_token_count": _distribution(500.0, 500.0, 500.0),
    "output_tokens_per_second": _distribution(375.0, 370.0, 400.0),
    "time_to_first_token_ms": _distribution(70.0, 66.0, 140.0),
    "time_per_output_token_ms": _distribution(21.3, 21.0, 23.0),
    "inter_token_latency_ms": _distribution(21.2, 20.9, 22.5),
    "request_latency": _distribution(10.6, 10.5, 11.0),
}
GUIDELLM_NEW: dict[str, Any] = {
    "metadata": {"version": 1, "guidellm_version": "0.5.3"},
    "args": {"backend_kwargs": {"model": "deepseek-ai/DeepSeek-R1"}, "data": ["prompt_tokens=1000,output_tokens=500"]},
    "benchmarks": [
        {
            "type_": "generative_benchmark", "duration": 107.0, "metrics": METRICS,
            "config": {"strategy": {"type_": "concurrent", "worker_count": 8, "max_concurrency": 8, "streams": 8}},
        },
        {"type_": "generative_benchmark", "metrics": METRICS, "config": {"strategy": {"type_": "constant", "rate": 0.75}}},
        {"type_": "generative_benchmark", "metrics": {}, "config": {"strategy": {"type_": "concurrent", "streams": 4}}},
    ],
}  # fmt: skip
"""Layout of GuideLLM 0.4 to 0.7: the strategy below `config`."""
GUIDELLM_OLD: dict[str, Any] = {
    "benchmarks": [
        {
            "type_": "generative_benchmark", "duration": 60.0, "metrics": METRICS,
            "args": {"profile": {"type_": "sweep"}, "strategy": {"type_": "synchronous"}},
            "worker": {"backend_model": "Qwen/Qwen3-32B"},
        }
    ]
}  # fmt: skip
"""Layout of GuideLLM 0.2 and 0.3: the strategy below `args`."""

AIPERF: dict[str, Any] = {
    "schema_version": "1.0", "aiperf_version": "0.5.0", "start_time": "2026-06-17T16:08:57",
    "input_config": {"endpoint": {"type": "chat", "model_names": ["Qwen/Qwen3-32B"]}, "loadgen": {"concurrency": 32}},
    "request_count": {"avg": 256, "unit": "requests"}, "error_request_count": None,
    "input_sequence_length": {"avg": 2048.0, "unit": "tokens"}, "output_sequence_length": {"avg": 126.5, "unit": "tokens"},
    "time_to_first_token": {"avg": 540.0, "p50": 386.0, "p99": 2093.6, "unit": "ms"},
    "inter_token_latency": {"avg": 29.8, "p50": 29.1, "unit": "ms"},
    "output_token_throughput": {"avg": 928.5, "unit": "tokens/sec"}, "request_throughput": {"avg": 7.3, "unit": "requests/sec"},
}  # fmt: skip
"""Summary of AIPerf 0.5 (profile_export_aiperf.json)."""
GENAI_PERF: dict[str, Any] = {
    "input_config": {"model": ["gpt2"], "concurrency": [16]}, "request_count": {"avg": 64},
    "input_sequence_length": {"avg": 200.0}, "output_sequence_length": {"avg": 128.0},
    "time_to_first_token": {"avg": 300.0}, "inter_token_latency": {"avg": 3.0}, "request_throughput": {"avg": 2.5},
    "output_token_throughput": {"avg": 500.0},
}  # fmt: skip

LOG_V1 = """\
(APIServer pid=41428) INFO 10-06 15:56:26 [api_server.py:1839] vLLM API server version 0.11.0
(APIServer pid=41428) INFO 10-06 15:56:26 [utils.py:233] non-default args: {'model_tag': '/models/Llama', 'max_num_seqs': 256, 'gpu_memory_utilization': 0.85, 'tensor_parallel_size': 2}
(APIServer pid=41428) INFO 10-06 15:56:27 [scheduler.py:205] Chunked prefill is enabled with max_num_batched_tokens=2048.
(EngineCore_DP0 pid=41565) INFO 10-06 15:56:35 [core.py:77] Initializing a V1 LLM engine (v0.11.0) with config: model='meta-llama/Llama-3.1-8B-Instruct', speculative_config=None, tokenizer='t', dtype=torch.bfloat16, max_seq_len=65536, tensor_parallel_size=2, pipeline_parallel_size=1, data_parallel_size=1, quantization=None, enforce_eager=False, kv_cache_dtype=fp8_e4m3, seed=0
\x1b[36m(Worker_TP0 pid=514)\x1b[0;0m INFO 10-06 15:56:45 [gpu_model_runner.py:2653] Model loading took 7.5123 GiB and 3.210000 seconds
\x1b[36m(Worker_TP1 pid=515)\x1b[0;0m INFO 10-06 15:56:45 [gpu_model_runner.py:2653] Model loading took 7.5125 GiB and 3.310000 seconds
(Worker_TP0 pid=514) INFO 10-06 15:57:05 [gpu_worker.py:298] Available KV cache memory: 58.20 GiB
(Worker_TP1 pid=515) INFO 10-06 15:57:05 [gpu_worker.py:298] Available KV cache memory: 58.10 GiB
(EngineCore_DP0 pid=41565) INFO 10-06 15:57:05 [kv_cache_utils.py:1087] GPU KV cache size: 1,903,000 tokens
(EngineCore_DP0 pid=41565) INFO 10-06 15:57:05 [kv_cache_utils.py:1091] Maximum concurrency for 65,536 tokens per request: 29.04x
(Worker_TP0 pid=514) INFO 10-06 15:57:15 [gpu_model_runner.py:3480] Graph capturing finished in 5 secs, took 0.56 GiB
(EngineCore_DP0 pid=41565) INFO 10-06 15:57:15 [core.py:210] init engine (profile, create kv cache, warmup model) took 30.21 seconds
"""
"""Lines of vLLM 0.11 with two ranks, colours on some."""

LOG_V0 = """\
INFO 03-01 10:30:42 llm_engine.py:234] Initializing a V0 LLM engine (v0.7.3) with config: model='Qwen/Qwen2.5-Math-1.5B', dtype=torch.bfloat16, max_seq_len=4096, tensor_parallel_size=1, pipeline_parallel_size=1, quantization=None, kv_cache_dtype=auto
INFO 03-01 10:30:55 model_runner.py:1115] Loading model weights took 2.8797 GB
INFO 03-01 10:30:57 worker.py:267] Memory profiling takes 1.48 seconds
INFO 03-01 10:30:57 worker.py:267] the current vLLM instance can use total_gpu_memory (22.06GiB) x gpu_memory_utilization (0.90) = 19.85GiB
INFO 03-01 10:30:57 worker.py:267] model weights take 2.88GiB; non_torch_memory takes 0.05GiB; PyTorch activation peak memory takes 1.40GiB; the rest of the memory reserved for KV Cache is 15.52GiB.
INFO 03-01 10:30:57 executor_base.py:110] # CUDA blocks: 36332, # CPU blocks: 9362
INFO 03-01 10:30:57 executor_base.py:115] Maximum concurrency for 4096 tokens per request: 141.92x
INFO 03-01 10:31:18 model_runner.py:1562] Graph capturing finished in 19 secs, took 0.18 GiB
"""
"""Lines of vLLM 0.7 with its V0 engine."""


def content(*values: Any) -> bytes:
    """One file: an object, or lines of them."""
    return "\n".join(json.dumps(value) for value in values).encode()
