"""How the web server of a worker takes requests, what library threads do to its calls, and what a container's CPU limit hides.

Three worker models. `processes`: single-threaded workers that take the next connection from one socket, so that an instance is one
queue with as many servers (M/G/c). `async`: an event loop in each process; the model's call blocks it, and requests that it has
accepted wait for it alone, so that each process is a queue of its own (M/G/1). `thread_pool`: handlers in threads of one process under
Python's lock; the core serves all of them by turns (processor sharing) and pays for switching.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from sizing.catalog_rows import Instance
from sizing.scenario import StatisticalScenario

SWITCHING_FACTOR = 1.25
SWITCHING_LOW, SWITCHING_HIGH = 1.0, 1.5
"""Time factor of a request whose core switches between threads under Python's lock [1], with a range.

Source: own, FastAPI/uvicorn, one worker, forest of 18 ms, 2026-11: the thread pool kept the CPU 0.66 busy at 28 requests/s, 23.6 ms a
request against 18.8 ms (model and web server) in an async handler. With this factor processor sharing gives a mean of 69 ms and p99 of
294 ms (measured 65.9 and 301), and no stable queue from 42 requests/s on (measured: overload at 43.6, where async still held 46). One
server, one model; calls shorter than the 5 ms after which Python may switch are disturbed less, so the figures err on the high side."""

THREAD_MS = 0.010 / 0.44
"""Time that a call loses for each thread of its pool beyond its cores [ms on the catalog's host].

Source: own, benchmarks/THREADS.md, 2026-11-25: LightGBM, one row, 1 or 2 cores: 16 us with one thread, 92 with 8, 613 to 686 with 64,
9.5 to 11 us a thread. XGBoost's booster and ONNX Runtime lose nearly nothing on one row."""

SLICE_MS = 4.0
"""Time that a call of many rows can lose for each thread beyond its cores [ms]: the others wait for one that has no core.

Source: as above: ONNX Runtime, 512 rows, 1.6 ms with one thread, 254 to 346 ms with 64 on 1 or 2 cores: 4 to 5.5 ms a thread, but 1.1
times only with 8. Used as the high end alone."""

SETTINGS = {
    "onnxruntime": "SessionOptions.intra_op_num_threads = {threads} and inter_op_num_threads = 1",
    "native": "OMP_NUM_THREADS={threads}, OPENBLAS_NUM_THREADS={threads} and n_jobs={threads} of the model",
    "booster": "OMP_NUM_THREADS={threads} and nthread (XGBoost) or num_threads (LightGBM) = {threads}",
    "compiled": "the predictor's nthread = {threads} and OMP_NUM_THREADS={threads}",
}
"""What keeps a library's pool to its share, by runtime. Source: the libraries' own documentation, recalled 2026-11."""

TRAP_MEASURED = (
    "With 64 threads on 1 or 2 cores we measured LightGBM on one row 38 to 42 times slower and ONNX Runtime on 512 rows 164 to 215 times; "
    "with 16 on 1 core a user measured XGBoost 90 times slower (dmlc/xgboost#7653)"
)
"""Own: benchmarks/THREADS.md. Alike: kserve#548 and #1031 (40 cores seen, limit 4: each thread runs 10 of 100 ms), onnxruntime#29510."""


@dataclass(frozen=True)
class Layout:
    """Queues on an instance, servers of each, and whether a server takes all its requests by turns."""

    queues: int
    servers: int
    shared: bool


def layout(scenario: StatisticalScenario, workers: int) -> Layout:
    """How the workers of an instance stand to each other. Source: the module.

    >>> layout(StatisticalScenario(), 4)
    Layout(queues=1, servers=4, shared=False)
    >>> layout(StatisticalScenario(worker_model="thread_pool"), 4)
    Layout(queues=4, servers=1, shared=True)
    """
    # A batch is gathered in the process that took its requests, so that each is a queue of its own.
    if scenario.worker_model == "processes" and not batches(scenario):
        return Layout(queues=1, servers=workers, shared=False)
    return Layout(queues=workers, servers=1, shared=scenario.worker_model == "thread_pool" and not batches(scenario))


def batches(scenario: StatisticalScenario) -> bool:
    """Whether requests are served together: more than one of them fits into the largest batch."""
    return scenario.micro_batch_rows >= 2 * scenario.rows_per_request


def usable_cores(scenario: StatisticalScenario, cores: int) -> int:
    """Physical cores that the container may keep busy (count): those of the machine or its limit, rounded down, at least 1.

    >>> usable_cores(StatisticalScenario(cpu_limit_vcpus=4), 32), usable_cores(StatisticalScenario(cpu_limit_vcpus=0.5), 32)
    (4, 1)
    """
    return cores if scenario.cpu_limit_vcpus is None else max(1, min(cores, int(scenario.cpu_limit_vcpus)))


def usable_threads(scenario: StatisticalScenario, vcpus: int) -> int:
    """Most workers that do not wait for each other (count): vCPUs of the machine or the limit, rounded up."""
    return vcpus if scenario.cpu_limit_vcpus is None else min(vcpus, ceil(scenario.cpu_limit_vcpus))


def default_workers(scenario: StatisticalScenario, cores: int) -> int:
    """Workers of an instance where the scenario names none (count): one for each set of cores that its threads take."""
    return max(1, cores // scenario.threads_per_worker)


def quota_factor(scenario: StatisticalScenario) -> float:
    """Time factor of a call under a limit below one vCPU [1]: 1 / limit, as the container is stopped for the rest of each period.

    >>> quota_factor(StatisticalScenario(cpu_limit_vcpus=0.5))
    2.0
    """
    return 1.0 if scenario.cpu_limit_vcpus is None else 1.0 / min(1.0, scenario.cpu_limit_vcpus)


def surplus_threads(scenario: StatisticalScenario, *, workers: int, cores: int) -> float:
    """Threads of one worker's pool beyond its share of the cores [1].

    >>> surplus_threads(StatisticalScenario(threads_per_worker=8), workers=2, cores=4)
    6.0
    """
    if scenario.threads_per_worker == 1:
        return 0.0  # no pool: two such workers on a core are in the factor of shared cores
    return max(0.0, scenario.threads_per_worker - cores / workers)


def warnings(scenario: StatisticalScenario, instance: Instance, *, workers: int, cores: int) -> tuple[str, ...]:
    """What is to be known of threads, limit and worker model on this instance, with the settings that avoid the trap."""
    found = []
    threads, seen = scenario.threads_per_worker, instance.vcpus or cores
    settings = SETTINGS[scenario.runtime].format(threads=threads)
    limit = scenario.cpu_limit_vcpus
    if limit is not None and limit < seen:
        found.append(
            f"The container may use {limit:g} vCPU, but libraries count the {seen} of the machine and start as many threads: "
            f"{TRAP_MEASURED}. This plan counts on {threads} a worker: set {settings}."
        )
        if limit < 1:
            found.append(
                f"A limit of {limit:g} vCPU stops the container for up to {100 * (1 - limit):.0f} ms of each 100 ms once its share is used: "
                "times are stretched on average here, single requests lose a whole pause."
            )
    if surplus_threads(scenario, workers=workers, cores=cores) > 0:
        found.append(
            f"{workers} workers x {threads} threads = {workers * threads} on {cores} physical cores: calls wait for threads that have no "
            f"core. {TRAP_MEASURED}. Better {max(1, cores // workers)} a worker."
        )
    if scenario.worker_model == "thread_pool" and not batches(scenario):
        found.append(
            "Handlers in a thread pool share one core under Python's lock: measured mean 2.0 and p99 2.6 times those of an async handler at "
            "a CPU 0.66 busy, and overload where async still held. One server measured: wide interval."
        )
    return tuple(found)
