"""Scenario of a statistical model: its family and sizes, its runtime, the requests and the workers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sizing.scenario_base import CatalogId, ScenarioBase
from sizing.scenario_words import MEASURED_SERVICE

StatisticalRuntime = Literal["native", "booster", "onnxruntime", "compiled"]
PayloadFormat = Literal["json", "csv", "binary"]
WorkerModel = Literal["processes", "async", "thread_pool"]


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
    safety_factor: float = Field(
        0.5, ge=0.05, le=1, description="Autoscaling: share of the load that one instance can take that is aimed at."
    )
    peak_requests_per_s: float | None = Field(
        None,
        gt=0,
        le=1e7,
        description="Autoscaling: highest rate to be ready for [1/s]; empty means twice the demanded load.",
    )
    payload_format: PayloadFormat = Field(
        "json", description="How numbers travel: JSON or CSV text, or binary float32 (raw array, msgpack, protobuf)."
    )
    request_kib: float | None = Field(
        None, ge=0, le=1e6, description="Body of a request [KiB]; empty means rows x features in the format."
    )
    reply_kib: float | None = Field(
        None, ge=0, le=1e6, description="Body of a reply [KiB]; empty means rows x outputs in the format."
    )
    worker_model: WorkerModel = Field(
        "processes",
        description="How a worker takes requests: single-threaded processes on one socket, event loops, or thread pools.",
    )
    threads_per_worker: int = Field(
        1,
        ge=1,
        le=1024,
        description="Threads that the library may use for one call (OMP_NUM_THREADS, intra-op threads).",
    )
    cpu_limit_vcpus: float | None = Field(
        None, ge=0.1, le=1024, description="CPU limit of the container [vCPU]; empty means the whole machine."
    )
    micro_batch_rows: int = Field(
        1, ge=1, le=100_000, description="Most rows the server gathers into one call of the model; 1 means none."
    )
    micro_batch_delay_ms: float = Field(
        0.0,
        ge=0,
        le=10_000,
        description="Longest wait to gather a batch [ms]; 0 takes what waits when a worker is free.",
    )
    custom_model: str | None = Field(
        None,
        min_length=1,
        max_length=3_000,
        description="Summary of your own model file (JSON); family and sizes are then those of the file.",
    )
    measured_service: str | None = Field(
        None,
        pattern=MEASURED_SERVICE,
        max_length=600,
        description="Times of calls measured with your model [ms], with where they were taken; they recalibrate it.",
    )
