"""Controls for the fields of a scenario, each with its error beside it. The sizing core judges the values, not the widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import streamlit as st

from sizing.errors import shown as quoted
from sizing.scenario import choices
from sizing.units import format_usd
from ui.frame import folding, plain
from ui.state import PageState, typed, whole_numbers, widget_key

LABELS = {
    "model": "Model",
    "family": "Model family",
    "weight_format": "Weight format",
    "kv_format": "KV cache format",
    "requests_per_s": "Requests per second",
    "concurrency": "Concurrent users",
    "think_time_s": "Think time of a user (s)",
    "prompt_tokens": "Prompt tokens",
    "output_tokens": "Output tokens",
    "ttft_target_ms": "TTFT limit (ms)",
    "tpot_target_ms": "TPOT limit (ms)",
    "latency_target_ms": "Latency limit (ms)",
    "p50_target_ms": "p50 limit (ms)",
    "p95_target_ms": "p95 limit (ms)",
    "p99_target_ms": "p99 limit (ms)",
    "slo_percentile": "Limits hold at percentile",
    "providers": "Clouds",
    "accelerators": "Accelerators",
    "instances": "Instances",
    "region": "Region",
    "price_basis": "Price basis",
    "load_shape": "Load over the week",
    "load_table": "Load of each hour (%)",
    "scale_with_load": "Machines follow the load",
    "min_replicas": "Least replicas at any hour",
    "headroom_percent": "Headroom over each hour's load (%)",
    "start_minutes": "Start of a replica (min)",
    "terms": "Terms for the best mix",
    "three_year_most_percent": "Most machines committed for 3 years (%)",
    "spot_most_percent": "Most spot machines (%)",
    "spot_interruptions_per_month": "Interruptions of a spot machine a month",
    "owned_usd_per_server": "Price of a server of your own (USD)",
    "owned_years": "Years of use of a server",
    "owned_watts_per_server": "Power of a server (W)",
    "colocation_usd_per_server_month": "Space and network of a server (USD/month)",
    "people_usd_per_year": "People who run them (USD/year)",
    "usd_per_kwh": "Electricity (USD/kWh)",
    "pue": "Power of the building over its servers (PUE)",
    "discount_percent": "Discount on machine prices (%)",
    "own_prices": "Prices of your own",
    "currency": "Currency shown beside USD",
    "currency_per_usd": "Your currency for 1 USD",
    "api_usd_per_1k_requests": "API: USD per 1,000 requests",
    "api_usd_per_million_input_tokens": "API: USD per million prompt tokens",
    "api_usd_per_million_output_tokens": "API: USD per million reply tokens",
    "api_usd_per_million_cached_tokens": "API: USD per million cached tokens",
    "power_share_of_tdp": "Power of a board (share of its TDP)",
    "grid_g_co2_per_kwh": "CO2 of your electricity (g per kWh)",
    "max_usd_per_month": "Budget (USD per month)",
    "utilization_cap": "Utilization cap (share)",
    "spare_replicas": "Spare replicas",
    "tensor_parallel": "Tensor parallel",
    "pipeline_parallel": "Pipeline parallel",
    "attention_data_parallel": "Attention data parallel",
    "expert_parallel": "Expert parallel",
    "max_accelerators_per_replica": "Most accelerators per replica",
    "runtime": "Runtime",
    "engine_version": "Engine version",
    "batch": "Largest batch",
    "gpu_memory_utilization": "Memory the engine may use (share)",
    "max_batched_tokens": "Token budget of a step",
    "max_sequences": "Most sequences of the engine",
    "prefix_cache_tokens": "Tokens of shared prefixes kept",
    "lora_adapters": "LoRA adapters",
    "lora_rank": "Rank of the adapters",
    "draft_model": "Draft model",
    "drafted_tokens": "Drafted tokens a pass",
    "draft_acceptance": "Acceptance of a drafted token (share)",
    "shared_prefix_tokens": "Shared prefix of all prompts (tokens)",
    "turns_per_conversation": "Turns of a conversation",
    "seconds_between_turns": "Time between turns (s)",
    "history_kept_share": "Earlier turns still cached (share)",
    "kv_offload_gib": "Host memory for KV cache (GiB)",
    "prompt_cv": "Spread of prompt lengths (CV)",
    "output_cv": "Spread of reply lengths (CV)",
    "arrival_squared_cv": "Burstiness (squared CV of gaps)",
    "custom_config": "config.json of your model",
    "custom_network": "Summary of your network",
    "checkpoint_bytes": "Weights by the checkpoint's header (bytes)",
    "input_size": "Input size",
    "precision": "Precision",
    "attention": "Attention",
    "ort_arena": "Arena of ONNX Runtime",
    "steps": "Denoising steps",
    "cpu_ms_per_request": "CPU time per request (ms)",
    "custom_model": "Summary of your model",
    "measured_curve": "Measured times of batches",
    "measured_service": "Measured times of calls",
    "measured_serving": "Measured runs of a server",
    "request_kib": "Size of a request (KiB)",
    "queue_delay_ms": "Queue delay to fill a batch (ms)",
    "model_instances_per_gpu": "Model instances per GPU",
    "gpu_share": "Share of a GPU",
    "reserved_gib": "GPU memory of other models (GiB)",
    "reserved_share": "GPU time of other models (share)",
    "compute": "Machines",
    "features": "Features",
    "rows_per_request": "Rows per request",
    "outputs": "Classes or targets",
    "trees": "Trees",
    "depth": "Depth of a tree",
    "leaves": "Leaves of a tree",
    "support_vectors": "Support vectors",
    "training_rows": "Stored rows",
    "clusters": "Clusters",
    "hidden_layers": "Hidden layers (widths)",
    "service_cv": "Spread of service time (CV)",
    "http_overhead_ms": "Web server time (ms)",
    "workers_per_instance": "Workers per instance",
    "safety_factor": "Safety factor of autoscaling (share)",
    "peak_requests_per_s": "Peak load for autoscaling (requests/s)",
    "payload_format": "Format of requests and replies",
    "reply_kib": "Size of a reply (KiB)",
    "worker_model": "Worker model",
    "threads_per_worker": "Library threads per worker",
    "cpu_limit_vcpus": "CPU limit of the container (vCPU)",
    "micro_batch_rows": "Most rows gathered into one call",
    "micro_batch_delay_ms": "Longest wait to gather them (ms)",
    "name": "Title",
    "notes": "Notes",
}
WORDS = {
    "llm": "Language model",
    "deep_learning": "Deep learning model",
    "statistical": "Statistical model",
    "constant": "The same at every hour",
    "office_hours": "Office hours of one country",
    "consumer_day": "Consumers of one country",
    "two_regions": "Two regions, half a day apart",
    "night_batch": "Batches at night",
    "custom": "A table of your own",
    "us": "US",
    "eu": "Europe",
    "apac": "Asia Pacific",
    "on_demand": "On demand",
    "spot": "Spot",
    "committed_1y": "1-year commitment",
    "committed_3y": "3-year commitment",
    "requests_per_s": "Requests/s",
    "concurrency": "Users",
    "vllm": "vLLM",
    "sglang": "SGLang",
    "tensorrt_llm": "TensorRT-LLM",
    "llama_cpp": "llama.cpp",
    "mtp": "its own block for more tokens",
    "fp8_block": "fp8, 128 x 128 blocks",
    "gguf_q8_0": "GGUF Q8_0",
    "gguf_q6_k": "GGUF Q6_K",
    "gguf_q5_k_m": "GGUF Q5_K_M",
    "gguf_q4_k_m": "GGUF Q4_K_M",
    "gguf_q4_0": "GGUF Q4_0",
    "gguf_iq4_xs": "GGUF IQ4_XS",
    "gguf_q3_k_m": "GGUF Q3_K_M",
    "gguf_q2_k": "GGUF Q2_K",
    "pytorch_eager": "PyTorch eager",
    "torch_compile": "torch.compile",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime_tensorrt": "ONNX Runtime + TensorRT",
    "tensorrt": "TensorRT",
    "onnxruntime_cpu": "ONNX Runtime, CPU",
    "gpu": "With GPUs only",
    "cpu": "Without GPUs only",
    "either": "With or without GPUs",
    "whole": "Whole GPU",
    "mig_1g": "MIG slice 1g",
    "mig_2g": "MIG slice 2g",
    "mig_3g": "MIG slice 3g",
    "time_slice_2": "Half of the time",
    "time_slice_4": "Quarter of the time",
    "power_of_two": "grows by powers of two",
    "same_as_requested": "as requested",
    "json": "JSON",
    "csv": "CSV",
    "binary": "Binary (float32)",
    "processes": "Single-threaded processes",
    "async": "Event loops (async)",
    "thread_pool": "Thread pools",
    "native": "Native",
    "booster": "Booster call",
    "compiled": "Compiled",
    "aws": "AWS",
    "gcp": "Google Cloud",
    "azure": "Azure",
    "oci": "Oracle",
    "lambda": "Lambda",
    "coreweave": "CoreWeave",
    "nebius": "Nebius",
    "runpod": "RunPod",
}


def words(value: Any) -> str:
    """A choice as people read it.

    >>> words("tensorrt_llm"), words(95)
    ('TensorRT-LLM', '95')
    """
    return WORDS.get(str(value), str(value))


def _values(shown: Mapping[str, str]) -> str:
    return plain(", ".join(filter(None, shown.values())))


class Inputs:
    """Collects the controls' values of one page, and says each error beside its control once they were judged."""

    def __init__(self, state: PageState) -> None:
        self.state = state
        self.values: dict[str, Any] = {}
        self._places: dict[str, Any] = {}
        self._type = type(state.scenario)
        self._traffic = "requests_per_s"
        self.scenario = typed(state)

    def _open(self, name: str) -> tuple[Any, str, str, str | None]:
        """The place of a control and of its error, its key, label and hint."""
        place = st.container(gap="xxsmall")
        self._places[name] = place
        return place, widget_key(self.state.kind, name), LABELS[name], self._type.model_fields[name].description

    def number(
        self, name: str, *, step: float | None = None, label: str | None = None, placeholder: str = "none"
    ) -> None:
        """Number of a field; left empty it is None where the field may be."""
        place, key, text, hint = self._open(name)
        whole = "int" in str(self._type.model_fields[name].annotation)
        present = st.session_state.get(key)
        if present is not None:
            number = int(present) if whole and float(present).is_integer() else float(present)
            if type(present) is not type(number):  # to set what is there already would undo what is typed meanwhile
                st.session_state[key] = number
        value = place.number_input(
            label or text,
            key=key,
            value=None,
            step=step if step is not None else (1 if whole else 1.0),
            format=None if whole else "%g",
            help=hint,
            placeholder=placeholder,
        )
        self.values[name] = value

    def choice(
        self,
        name: str,
        options: Iterable[Any] | None = None,
        *,
        names: Callable[[Any], str] = words,
        placeholder: str | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        """One of a field's choices; with a placeholder it may be left empty."""
        place, key, text, hint = self._open(name)
        listed = list(options) if options is not None else list(choices(self._type, name))
        present = st.session_state.get(key)
        if present not in listed and not (present is None and placeholder is not None):
            listed.append(present)
        more: dict[str, Any] = {} if placeholder is None else {"index": None, "placeholder": placeholder}
        self.values[name] = place.selectbox(
            text, listed, key=key, format_func=names, help=hint, on_change=on_change, **more
        )

    def flag(self, name: str) -> None:
        """A field that is on or off."""
        place, key, text, hint = self._open(name)
        self.values[name] = place.checkbox(text, key=key, help=hint)

    def several(
        self,
        name: str,
        options: Iterable[Any] | None = None,
        *,
        names: Callable[[Any], str] = words,
        placeholder: str = "any",
    ) -> None:
        """Any number of a field's choices; none means all, or what the placeholder says."""
        place, key, text, hint = self._open(name)
        listed = list(options) if options is not None else list(choices(self._type, name))
        listed += [value for value in st.session_state.get(key, []) if value not in listed]
        picked = place.multiselect(text, listed, key=key, format_func=names, help=hint, placeholder=placeholder)
        self.values[name] = tuple(picked)

    def text(self, name: str, *, area: bool = False, placeholder: str | None = None) -> None:
        """Free text of a field; left empty it is None where the field may be."""
        place, key, label, hint = self._open(name)
        draw = place.text_area if area else place.text_input
        typed_text = draw(label, key=key, help=hint, placeholder=placeholder)
        self.values[name] = typed_text or self._type.model_fields[name].get_default()

    def numbers(self, name: str) -> None:
        """A list of whole numbers, typed with commas."""
        place, key, label, hint = self._open(name)
        text = place.text_input(label, key=key, help=hint)
        self.values[name] = whole_numbers(text)

    def traffic(self) -> None:
        """Open loop (a rate) or closed loop (users): one switch, one number."""
        mode = st.segmented_control(
            "Traffic",
            ["requests_per_s", "concurrency"],
            key=widget_key(self.state.kind, "traffic"),
            format_func=words,
            required=True,
            help="Requests arriving at random at a mean rate, or users that each wait for their reply before they ask again.",
        )
        used, idle = (mode, "concurrency" if mode == "requests_per_s" else "requests_per_s")
        key = widget_key(self.state.kind, used)
        if st.session_state.get(key) is None and self.state.scenario.model_dump()[used] is None:
            default = self._type.model_fields["requests_per_s"].get_default()
            st.session_state[key] = default if used == "requests_per_s" else 32
        self._traffic = used
        self.number(used, placeholder="required")
        self.values[idle] = None

    def advanced(self, title: str, shown: Mapping[str, str]) -> Any:
        """A closed section whose title carries its present values, so that nothing that counts is out of sight."""
        return st.expander(f"{title}: {_values(shown)}", key=widget_key(self.state.kind, title))

    def section(self, title: str, shown: Mapping[str, str], draw: Callable[[], None]) -> None:
        """As `advanced`, with the controls drawn only once it is open: each costs a redraw about a millisecond. Fields
        not drawn keep the scenario's values."""
        with folding(title, widget_key(self.state.kind, title), shown=_values(shown)) as at:
            if at.open:
                draw()

    def show_errors(self) -> None:
        """Say each error beside its control."""
        for name, error in self.state.errors.items():
            allowed = error.allowed
            if name == "requests_per_s" and error.value is None:
                name, allowed = self._traffic, "a number above 0 is required"
            beside = name if name in self._places else self._traffic
            said = f"{LABELS.get(name, name)}: {allowed} (not {quoted(error.value)})"
            self._places[beside].markdown(f":red[{plain(said)}]")


def hardware_and_price(inputs: Inputs, *, category: str) -> None:
    """The section every family shares: which machines of a category (cpu, gpu or either) may be used, where, at what price."""
    scenario, catalog = inputs.scenario, inputs.state.catalog
    machines = {
        i.id: f"{i.instance_type} ({words(i.provider)})"
        for i in catalog.instances.values()
        if category in (i.category, "either")
    }
    parts = {a.id: a.name for a in catalog.accelerators.values()}
    with_parts = category != "cpu"
    limit = scenario.max_usd_per_month
    shown = {
        "accelerators": ", ".join(scenario.accelerators) or ("any accelerator" if with_parts else ""),
        "instances": ", ".join(scenario.instances) or "any instance",
        "providers": ", ".join(words(p) for p in scenario.providers) or "any cloud",
        "region": words(scenario.region),
        "price_basis": words(scenario.price_basis).lower(),
        "budget": f"at most {format_usd(limit)} a month" if limit else "no budget limit",
    }

    def draw() -> None:
        if category == "either":
            inputs.choice("compute")
        if with_parts:
            inputs.several("accelerators", parts, names=lambda i: parts.get(i, i))
        inputs.several("providers")
        inputs.several("instances", machines, names=lambda i: machines.get(i, i))
        inputs.choice("region")
        inputs.choice("price_basis")
        inputs.number("max_usd_per_month", step=100.0, placeholder="no limit")

    inputs.section("Hardware and price", shown, draw)


def title_and_notes(inputs: Inputs) -> None:
    """What the scenario is called and what its reader should know; both travel in the link."""

    def draw() -> None:
        inputs.text("name")
        inputs.text("notes", area=True)

    inputs.section("Title and notes", {"name": inputs.scenario.name or "none"}, draw)
