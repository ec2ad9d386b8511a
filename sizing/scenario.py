"""What the user knows: the model, the traffic, the latency target and the budget rules, one frozen model a family.

Every field has a default, so that a page has a useful answer before anything is touched; every field carries its unit
in its name and its meaning in `description` (the pages show it). A scenario file is YAML of one of these models with
`kind` in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from sizing.errors import InputError
from sizing.scenario_words import CATALOG_ID, MEASURED_CURVE, VERSION, allowed_words

SCHEMA_VERSION = 1

Kind = Literal["statistical", "deep_learning", "llm"]
RegionGroup = Literal["us", "eu", "apac"]
PriceBasis = Literal["on_demand", "spot", "committed_1y", "committed_3y"]
Percentile = Literal[50, 95, 99]
Provider = Literal["aws", "gcp", "azure", "oci", "lambda", "coreweave", "nebius", "runpod"]
WeightFormat = Literal[
    "native", "fp32", "bf16", "fp16", "fp8", "fp8_block", "int8", "int4", "nvfp4", "mxfp4",
    "gguf_q8_0", "gguf_q6_k", "gguf_q5_k_m", "gguf_q4_k_m", "gguf_q4_0", "gguf_iq4_xs", "gguf_q3_k_m", "gguf_q2_k",
]  # fmt: skip
KvFormat = Literal["bf16", "fp16", "fp8", "int8", "fp4"]
LlmRuntime = Literal["vllm", "sglang", "tensorrt_llm", "llama_cpp"]
DeepLearningPrecision = Literal["fp32", "tf32", "fp16", "bf16", "fp8", "int8"]
DeepLearningRuntime = Literal[
    "pytorch_eager", "torch_compile", "onnxruntime", "onnxruntime_tensorrt", "tensorrt", "onnxruntime_cpu"
]
Compute = Literal["gpu", "cpu", "either"]
GpuShare = Literal["whole", "mig_1g", "mig_2g", "mig_3g", "time_slice_2", "time_slice_4"]
Attention = Literal["fused", "math"]
OrtArena = Literal["power_of_two", "same_as_requested"]
StatisticalRuntime = Literal["native", "booster", "onnxruntime", "compiled"]

CatalogId = Annotated[str, Field(pattern=CATALOG_ID, max_length=100)]


def field_error(field: str, value: object, allowed: str) -> PydanticCustomError:
    """Error of one field raised inside a model validator, kept addressable by its field name."""
    return PydanticCustomError(
        "field", "{allowed}", {"field": field, "value": value, "allowed": allowed.replace("{", "(").replace("}", ")")}
    )


class ScenarioBase(BaseModel):
    """Fields that every family shares: what it is called, and the rules of the budget."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field("", max_length=120, description="A title for this scenario; shown on the page and in the report.")
    notes: str = Field("", max_length=600, description="Free text for whoever opens the link.")
    requests_per_s: float | None = Field(
        None, gt=0, le=1e7, description="Mean rate of requests [1/s], arriving at random (Poisson)."
    )
    concurrency: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Users that each wait for their reply before they ask again (closed loop).",
    )
    think_time_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Pause of a user between reply and next request [s]; counts with concurrency only.",
    )
    providers: tuple[Provider, ...] = Field((), description="Clouds to choose from; none named means all.")
    accelerators: tuple[CatalogId, ...] = Field((), description="Accelerators to choose from; none named means all.")
    instances: tuple[CatalogId, ...] = Field((), description="Instance ids to choose from; none named means all.")
    region: RegionGroup = Field("us", description="Part of the world whose price list counts.")
    price_basis: PriceBasis = Field("on_demand", description="On demand, spot, or a commitment of one or three years.")
    max_usd_per_month: float | None = Field(
        None, gt=0, le=1e12, description="Budget [USD a month of 730 h]; empty means no limit."
    )
    utilization_cap: float = Field(
        0.7, ge=0.05, le=0.98, description="Share of capacity that the demanded load may use."
    )
    spare_replicas: int = Field(0, ge=0, le=1000, description="Replicas or instances kept beyond the need (1 = N+1).")

    @model_validator(mode="before")
    @classmethod
    def _concurrency_replaces_rate(cls, data: Any) -> Any:
        """Naming a concurrency and no rate means a closed loop: the default rate steps aside."""
        if isinstance(data, dict) and data.get("concurrency") is not None and "requests_per_s" not in data:
            return {**data, "requests_per_s": None}
        return data

    @model_validator(mode="after")
    def _one_traffic(self) -> ScenarioBase:
        if (self.requests_per_s is None) == (self.concurrency is None):
            both = self.requests_per_s is not None
            raise field_error(
                "requests_per_s",
                f"{self.requests_per_s} with concurrency {self.concurrency}" if both else None,
                "exactly one of requests_per_s and concurrency, the other left empty",
            )
        return self


class LlmScenario(ScenarioBase):
    """A large language model under load."""

    kind: Literal["llm"] = "llm"
    model: CatalogId = Field(
        "llama-3.1-8b", description="Catalog id of the language model; custom with a config.json of your own."
    )
    custom_config: str | None = Field(
        None, max_length=20_000, description="config.json of a model of your own (Hugging Face), as text."
    )
    checkpoint_bytes: int | None = Field(
        None,
        ge=1,
        le=10**14,
        description="Bytes of the weights as a checkpoint's header states them; empty means computed from the shape.",
    )
    weight_format: WeightFormat = Field("native", description="Format of the weights; native is the published one.")
    kv_format: KvFormat = Field("bf16", description="Format of the KV cache.")
    requests_per_s: float | None = Field(
        5.0, gt=0, le=1e7, description="Mean rate of requests [1/s], arriving at random (Poisson)."
    )
    prompt_tokens: int = Field(1000, ge=1, le=10_000_000, description="Mean tokens of a prompt.")
    output_tokens: int = Field(250, ge=1, le=1_000_000, description="Mean tokens of a reply.")
    ttft_target_ms: float | None = Field(
        1000.0, gt=0, le=1e7, description="Limit for time to first token [ms]; empty means none."
    )
    tpot_target_ms: float | None = Field(
        50.0, gt=0, le=1e6, description="Limit for time per output token [ms]; empty means none."
    )
    slo_percentile: Percentile = Field(95, description="Percentile at which the limits must hold.")
    tensor_parallel: int | None = Field(
        None, ge=1, le=128, description="Accelerators that share each layer; empty means search."
    )
    pipeline_parallel: int | None = Field(
        None, ge=1, le=64, description="Groups that share the layers in sequence; empty means search."
    )
    attention_data_parallel: int = Field(
        1, ge=1, le=128, description="Copies of the attention layers, each with its own requests and KV cache."
    )
    expert_parallel: bool = Field(False, description="Whole experts on each accelerator instead of slices of all.")
    max_accelerators_per_replica: int = Field(
        16, ge=1, le=128, description="Largest product of the degrees of parallelism searched."
    )
    runtime: LlmRuntime = Field("vllm", description="Serving engine.")
    engine_version: str | None = Field(
        None,
        pattern=VERSION,
        description="Version of the engine, such as 0.18; empty means the newest known here.",
    )
    batch: int | None = Field(
        None, ge=1, le=4096, description="Most sequences decoded together in a replica; empty means search."
    )
    gpu_memory_utilization: float = Field(
        0.9, ge=0.1, le=0.99, description="Share of accelerator memory the engine may use."
    )
    max_batched_tokens: int = Field(8192, ge=128, le=1_000_000, description="Token budget of one engine step.")
    max_sequences: int | None = Field(
        None, ge=1, le=65_536, description="Most sequences the engine sets room aside for; empty means its default."
    )
    prefix_cache_tokens: int = Field(
        0, ge=0, le=1_000_000_000, description="Tokens of shared prefixes kept in the KV cache of a replica."
    )
    lora_adapters: int = Field(0, ge=0, le=1000, description="LoRA adapters kept on the accelerator beside the base.")
    lora_rank: int = Field(16, ge=1, le=512, description="Rank of the adapters.")
    draft_model: CatalogId | None = Field(
        None, description="Catalog id of a draft model for speculative decoding; mtp means the model's own block."
    )
    drafted_tokens: int = Field(3, ge=1, le=64, description="Tokens drafted before each pass, with a draft model.")
    draft_acceptance: float = Field(
        0.7, ge=0, le=1, description="Chance that a drafted token is accepted, those before it being accepted."
    )
    shared_prefix_tokens: int = Field(
        0, ge=0, le=10_000_000, description="Tokens at the start of every prompt that all share: instructions, tools."
    )
    turns_per_conversation: float = Field(
        1.0, ge=1, le=1000, description="Requests of a conversation, each with the earlier turns in its prompt."
    )
    seconds_between_turns: float = Field(
        30.0, ge=0, le=86_400, description="Time from a reply to the next turn of its conversation [s]."
    )
    history_kept_share: float = Field(
        1.0, ge=0, le=1, description="Share of earlier turns still in the prefix cache when the next turn comes."
    )
    kv_offload_gib: float = Field(
        0.0,
        ge=0,
        le=100_000,
        description="Host memory of a replica that keeps KV cache of waiting conversations [GiB].",
    )
    prompt_cv: float = Field(0.0, ge=0, le=5, description="Spread of prompt lengths (std / mean).")
    output_cv: float = Field(0.0, ge=0, le=5, description="Spread of reply lengths (std / mean).")
    arrival_squared_cv: float = Field(
        1.0, ge=0.1, le=100, description="Burstiness: squared CV of the gaps between requests; 1 is Poisson."
    )


class DeepLearningScenario(ScenarioBase):
    """A deep learning model (vision, speech, text encoder, diffusion step) under load."""

    kind: Literal["deep_learning"] = "deep_learning"
    model: CatalogId = Field(
        "torchvision-resnet50", description="Catalog id of the model; custom with a network of your own."
    )
    custom_network: str | None = Field(
        None, max_length=6_000, description="Summary of a network of your own, as inspect --summary prints it."
    )
    input_size: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Side in pixels, tokens, frames or samples, as the model counts; empty means its usual size.",
    )
    batch: int | None = Field(
        None, ge=1, le=65_536, description="Samples run together; empty means the best under the target."
    )
    precision: DeepLearningPrecision = Field("fp16", description="Number format of weights and activations.")
    runtime: DeepLearningRuntime = Field("onnxruntime", description="Runtime that executes the model.")
    attention: Attention = Field(
        "fused", description="Attention as one fused kernel, or with its score matrix written out."
    )
    ort_arena: OrtArena = Field(
        "power_of_two",
        description="How ONNX Runtime's arena grows: by powers of two (its default), or as requested (kSameAsRequested).",
    )
    steps: int | None = Field(
        None, ge=1, le=1000, description="Denoising steps of an image; empty means the pipeline's usual number."
    )
    output_tokens: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Tokens a decoder writes for one sample; empty means the pipeline's usual number.",
    )
    requests_per_s: float | None = Field(
        500.0, gt=0, le=1e7, description="Mean rate of requests [1/s], one sample each, arriving at random (Poisson)."
    )
    latency_target_ms: float | None = Field(
        100.0, gt=0, le=1e7, description="Limit for the time from request to reply [ms]; empty means none."
    )
    slo_percentile: Percentile = Field(95, description="Percentile at which the limit must hold.")
    queue_delay_ms: float = Field(
        0.0,
        ge=0,
        le=10_000,
        description="Longest wait of a request for others to fill its batch [ms]; 0 takes what is there.",
    )
    model_instances_per_gpu: int = Field(
        1, ge=1, le=4, description="Instances of the model on one GPU (or share of one), each with its own batch."
    )
    gpu_share: GpuShare = Field(
        "whole", description="What the model gets of a GPU: all of it, a MIG slice, or an equal time slice."
    )
    reserved_gib: float = Field(0.0, ge=0, le=1000, description="Memory of each GPU that other models hold [GiB].")
    reserved_share: float = Field(
        0.0, ge=0, le=0.95, description="Share of the time of each GPU that other models take."
    )
    compute: Compute = Field("either", description="Machines to choose from: with GPUs, without, or either.")
    cpu_ms_per_request: float | None = Field(
        None,
        ge=0,
        le=60_000,
        description="CPU time of one request outside the model [ms]: decode, resize or tokenise, and post-process; "
        "empty means by the kind of input.",
    )
    request_kib: float | None = Field(
        None, gt=0, le=1e6, description="Size of one request on the network [KiB]; empty means by the kind of input."
    )
    measured_curve: str | None = Field(
        None,
        pattern=MEASURED_CURVE,
        max_length=800,
        description="Times of batches measured on one accelerator [ms], with what they were measured on; they recalibrate it.",
    )


class StatisticalScenario(ScenarioBase):
    """A statistical model (linear, trees, SVM, neighbours, small networks) under load."""

    kind: Literal["statistical"] = "statistical"
    family: CatalogId = Field("gradient-boosting-xgboost", description="Catalog id of the model family.")
    runtime: StatisticalRuntime = Field(
        "native", description="Library call, booster call, ONNX Runtime or compiled trees."
    )
    features: int = Field(100, ge=1, le=1_000_000, description="Numbers in one row of input.")
    rows_per_request: int = Field(1, ge=1, le=1_000_000, description="Rows sent in one request.")
    outputs: int = Field(1, ge=1, le=100_000, description="Classes or targets predicted.")
    trees: int = Field(100, ge=1, le=1_000_000, description="Trees, for tree ensembles.")
    depth: int = Field(6, ge=1, le=64, description="Levels of splits in a tree.")
    leaves: int | None = Field(
        None, ge=2, le=10_000_000, description="Leaves of a tree; empty means full trees of the depth, 2^depth."
    )
    support_vectors: int = Field(1000, ge=1, le=100_000_000, description="Support vectors, for SVM.")
    training_rows: int = Field(10_000, ge=1, le=1_000_000_000, description="Stored rows, for nearest neighbours.")
    clusters: int = Field(8, ge=1, le=1_000_000, description="Centres, for k-means.")
    hidden_layers: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = Field(
        (64, 64), max_length=16, description="Widths of the hidden layers, for a multilayer perceptron."
    )
    requests_per_s: float | None = Field(
        200.0, gt=0, le=1e7, description="Mean rate of requests [1/s], arriving at random (Poisson)."
    )
    p50_target_ms: float | None = Field(
        None, gt=0, le=1e7, description="Limit for the median time in system [ms]; empty means none."
    )
    p95_target_ms: float | None = Field(
        None, gt=0, le=1e7, description="Limit for the 95th percentile [ms]; empty means none."
    )
    p99_target_ms: float | None = Field(
        20.0, gt=0, le=1e7, description="Limit for the 99th percentile [ms]; empty means none."
    )
    service_cv: float | None = Field(
        None, ge=0, le=5, description="Spread of service time (std / mean); empty means the measured 0.3."
    )
    http_overhead_ms: float = Field(0.8, ge=0, le=1000, description="Web server time of one request [ms].")
    workers_per_instance: int | None = Field(
        None, ge=1, le=1024, description="Processes on one instance; empty means one a physical core."
    )


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
