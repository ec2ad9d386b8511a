"""Candidate moves of a statistical model scenario."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sizing.advisor import quality
from sizing.advisor.moves import Move, Note, place_moves, purchase_moves, relaxing_moves
from sizing.advisor.quality import Quality
from sizing.catalog import Catalog
from sizing.plan import Deployment
from sizing.scenario import StatisticalScenario
from sizing.scenario_statistical import WorkerModel
from sizing.statistical.candidate import model_of
from sizing.statistical.serverless import options
from sizing.units import format_ms

WORKER_TITLES: dict[WorkerModel, str] = {
    "processes": "Serve with single-threaded worker processes",
    "async": "Serve with event loops (async workers)",
    "thread_pool": "Serve with a thread pool in each worker",
}
THREADS = (1, 2, 4)
MICRO_BATCHES = ((16, 0.0), (64, 2.0))
"""Micro-batches tried: most rows of a call and longest wait [ms]."""
ROWS_TOGETHER = 8
"""Rows that a client is taken to send together in the what-if of fewer, larger requests [1]."""
LIMITS = {"p50_target_ms": "the median", "p95_target_ms": "p95", "p99_target_ms": "p99"}
TREES = ("trees", "oblivious_trees")


def moves(scenario: StatisticalScenario, catalog: Catalog, best: Deployment) -> Iterator[Move]:
    """Every move worth a plan for this scenario, under 45 of them."""
    yield from _runtimes(scenario, catalog)
    yield from _serving(scenario)
    yield from _smaller(scenario, catalog)
    yield from _machines(scenario, catalog, best)
    yield from purchase_moves(scenario)
    yield from place_moves(scenario)
    yield from relaxing_moves(scenario, LIMITS)


def notes(scenario: StatisticalScenario, catalog: Catalog, best: Deployment) -> tuple[Note, ...]:
    """Ways beyond the fields: serverless, at its cost, and a smaller model where the scenario carries a file."""
    found = []
    cheapest = next(iter(options(scenario, catalog, requests_per_s=best.throughput.requests_per_s.demanded)), None)
    if cheapest is not None:
        stands = "" if cheapest.because is None else f", but {cheapest.because}"
        words = f"p99 {format_ms(cheapest.latency_ms[99])}, {cheapest.cold_share:.2%} of requests meet a start{stands}"
        found.append(Note(f"Serverless ({cheapest.service.name})", words, cheapest.usd_per_month))
    if scenario.custom_model is not None:
        found.append(
            Note(
                "A smaller model",
                "train it with fewer or shallower trees and upload that file; compare its score first",
            )
        )
    return tuple(found)


def _unmeasured(scenario: StatisticalScenario, catalog: Catalog) -> dict[str, Any]:
    """Changes that drop measurements of the present call, keeping the web server that they found; empty without any."""
    if scenario.measured_service is None:
        return {}
    calibration = model_of(scenario, catalog).calibration
    web = 1.0 if calibration is None else calibration.web_factor
    return {"measured_service": None, "http_overhead_ms": scenario.http_overhead_ms * web}


def _runtimes(scenario: StatisticalScenario, catalog: Catalog) -> Iterator[Move]:
    family = model_of(scenario, catalog).family
    notes_of: dict[str, Quality] = {
        "booster": quality.BOOSTER,
        "compiled": quality.COMPILED,
        "onnxruntime": quality.FLOAT32_TREES if family.shape in TREES else quality.FLOAT32,
    }
    for row in family.runtimes:
        if row.id != scenario.runtime:
            changes = {"runtime": row.id, **_unmeasured(scenario, catalog)}
            note = notes_of.get(row.id, quality.ENGINE)
            yield Move(f"runtime:{row.id}", "runtime", f"Predict with {row.name}", changes, note)


def _serving(scenario: StatisticalScenario) -> Iterator[Move]:
    if scenario.payload_format != "binary":
        title = "Send numbers as binary float32 instead of text"
        yield Move("payload:binary", "payload", title, {"payload_format": "binary"}, quality.BINARY)
    for rows, delay in MICRO_BATCHES:
        if scenario.micro_batch_rows != rows:
            wait = f", waiting up to {delay:g} ms" if delay else ""
            title = f"Gather up to {rows} rows into one call{wait}"
            changes: dict[str, Any] = {"micro_batch_rows": rows, "micro_batch_delay_ms": delay}
            yield Move(f"batching:{rows}", "batching", title, changes, quality.BATCHING)
    if scenario.micro_batch_rows > 1:
        changes = {"micro_batch_rows": 1, "micro_batch_delay_ms": 0.0}
        yield Move("batching:none", "batching", "Call the model for each request", changes, quality.BATCHING)
    if scenario.requests_per_s is not None:
        rows = scenario.rows_per_request * ROWS_TOGETHER
        changes = {"rows_per_request": rows, "requests_per_s": scenario.requests_per_s / ROWS_TOGETHER}
        yield Move(
            "batching:clients", "batching", f"Let clients send {rows} rows in a request", changes, quality.BATCHING,
            condition=f"if a client has {ROWS_TOGETHER} requests' rows at once",
        )  # fmt: skip
    for model, title in WORKER_TITLES.items():
        if model != scenario.worker_model:
            yield Move(f"workers:{model}", "workers", title, {"worker_model": model}, quality.BATCHING)
    for threads in THREADS:
        if threads != scenario.threads_per_worker:
            title = f"Give each call {threads} thread{'s' if threads > 1 else ''}"
            yield Move(f"workers:threads{threads}", "workers", title, {"threads_per_worker": threads}, quality.SPLIT)
    if scenario.workers_per_instance is not None:
        title = "Run one worker for each physical core"
        yield Move("workers:open", "workers", title, {"workers_per_instance": None}, quality.BATCHING)


def _smaller(scenario: StatisticalScenario, catalog: Catalog) -> Iterator[Move]:
    """Half the trees and shallower ones, where the sizes are typed in and not those of a file."""
    family = model_of(scenario, catalog).family
    if scenario.custom_model is not None or family.shape not in TREES:
        return
    dropped = _unmeasured(scenario, catalog)
    if "trees" in family.size_fields and scenario.trees > 1:
        fewer = scenario.trees // 2
        title = f"Prune to {fewer:,} of {scenario.trees:,} trees"
        yield Move("model:trees", "model", title, {"trees": fewer, **dropped}, quality.FEWER_TREES)
    if "depth" in family.size_fields and scenario.depth > 2:
        depth = scenario.depth - 2
        changes: dict[str, Any] = {"depth": depth, **dropped}
        if scenario.leaves is not None:
            changes["leaves"] = min(scenario.leaves, 2**depth)
        title = f"Train trees of depth {depth} instead of {scenario.depth}"
        yield Move("model:depth", "model", title, changes, quality.FEWER_TREES)


def _machines(scenario: StatisticalScenario, catalog: Catalog, best: Deployment) -> Iterator[Move]:
    """Arm machines alone, where the recommended one has x86 cores."""
    if catalog.instance(best.instance).cpu_arch == "arm64" or scenario.instances:
        return
    arm = tuple(i.id for i in catalog.instances.values() if i.category == "cpu" and i.cpu_arch == "arm64")
    if arm:
        yield Move("compute:arm", "compute", "Serve from Arm machines only", {"instances": arm}, quality.ARM)
