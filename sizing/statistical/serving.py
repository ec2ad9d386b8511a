"""From the model's call to a reply: payload, threads, worker model and batches around the service time of one kind of instance."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sizing.catalog_rows import Instance
from sizing.cpu import CpuSpeed
from sizing.errors import InputError
from sizing.plan import Deployment
from sizing.scenario import StatisticalScenario
from sizing.statistical import micro_batching, payload, workers
from sizing.statistical.payload import Payload
from sizing.statistical.queues import BatchLaw, Group
from sizing.statistical.service_time import ServiceTime
from sizing.statistical.workers import Layout
from sizing.statistical_rows import RuntimeCost

OPENMP = ("native", "booster")
"""Runtimes whose calls start an OpenMP pool even for one row; the others lose nothing on one row (benchmarks/THREADS.md)."""


MOST_BATCH_CV = 0.5
"""Largest service CV [1] with which requests are gathered: batches are taken to last as long each time, which at CV 0.5 leaves p99
of a call alone a factor of 2.5 low, and more above. A stated choice."""


@dataclass(frozen=True)
class Serving:
    """What stands around the call on one kind of instance: payload, queues, the law of a batch, what the network carries [1/s],
    and the time factor of a CPU limit below one vCPU [1]."""

    payload: Payload
    layout: Layout
    batch: BatchLaw | None
    network_per_s: float | None
    transfer_ms: float | None
    quota: float

    def group(self, service: ServiceTime) -> Group:
        """What the queue sees: with batches the time of a request is that in full batches [ms]."""
        service_ms = service.mean_ms if self.batch is None else micro_batching.service_ms(self.batch)
        servers = self.layout.queues * self.layout.servers
        cap = 1.0 if self.network_per_s is None else min(1.0, self.network_per_s * service_ms / 1000.0 / servers)
        return Group(service_ms, self.layout.servers, self.layout.queues, self.layout.shared, self.batch, cap)


def check(scenario: StatisticalScenario) -> None:
    """Raises InputError for micro-batching of users, or of calls whose times spread widely: neither is modelled."""
    if workers.batches(scenario) and scenario.concurrency is not None:
        raise InputError(
            "micro_batch_rows", scenario.micro_batch_rows, "1 with concurrent users, or a load in requests/s"
        )
    if workers.batches(scenario) and scenario.service_cv is not None and scenario.service_cv > MOST_BATCH_CV:
        raise InputError(
            "micro_batch_rows",
            scenario.micro_batch_rows,
            f"1 with a service CV above {MOST_BATCH_CV:g}: times of batches are modelled without a spread of their own",
        )


def served(
    *,
    scenario: StatisticalScenario,
    cost: RuntimeCost,
    instance: Instance,
    speed: CpuSpeed,
    sharing: float,
    service: ServiceTime,
    workers_per_instance: int,
    cores: int,
) -> tuple[ServiceTime, Serving]:
    """The service time [ms] with payload and what threads cost, and how the instance serves.

    mean = (model + web server + payload) x quota x switching + threads beyond the cores; the parts sum to it.
    """
    load = payload.payload_of(scenario)
    mean, low, high = load.times_ms(speed, sharing)
    layout = workers.layout(scenario, workers_per_instance)
    quota = workers.quota_factor(scenario)
    switching = (
        (workers.SWITCHING_LOW, workers.SWITCHING_FACTOR, workers.SWITCHING_HIGH) if layout.shared else (1.0, 1.0, 1.0)
    )
    surplus = workers.surplus_threads(scenario, workers=workers_per_instance, cores=cores)
    lost = surplus * workers.THREAD_MS * speed.factor if cost.id in OPENMP else 0.0
    worst = lost + (surplus * workers.SLICE_MS if scenario.rows_per_request > 1 else 0.0)
    bare = service.mean_ms + mean
    whole = replace(
        service,
        payload_ms=mean,
        threads_ms=bare * (quota * switching[1] - 1.0) + lost,
        low_ms=(service.low_ms + low) * quota * switching[0],
        high_ms=(service.high_ms + high) * quota * switching[2] + worst,
    )
    law = None
    if workers.batches(scenario):
        call = service.model_ms * service.call_share * quota + lost
        law = micro_batching.batch_law(
            call_ms=call,
            each_ms=whole.mean_ms - call,
            rows=scenario.micro_batch_rows,
            rows_per_request=scenario.rows_per_request,
            delay_ms=scenario.micro_batch_delay_ms,
        )
    return whole, Serving(
        payload=load,
        layout=layout,
        batch=law,
        network_per_s=payload.network_requests_per_s(load, instance),
        transfer_ms=payload.transfer_ms(load, instance),
        quota=quota,
    )


def extras(serving: Serving, group: Group) -> dict[str, float | int | None]:
    """Figures of a deployment from which `group_of` makes the group again, and the payload's."""
    law = serving.batch
    return {
        "service_ms": group.service_ms,
        "queues_per_instance": group.queues,
        "servers_per_queue": group.workers,
        "served_by_turns": int(group.shared),
        "network_cap": group.cap,
        "network_requests_per_s_per_instance": serving.network_per_s,
        "transfer_ms": serving.transfer_ms,
        "request_bytes": serving.payload.request_bytes,
        "reply_bytes": serving.payload.reply_bytes,
        "batch_call_ms": None if law is None else law.call_ms,
        "batch_each_ms": None if law is None else law.each_ms,
        "largest_batch_requests": None if law is None else law.largest,
        "batch_delay_ms": None if law is None else law.delay_ms,
    }


def group_of(deployment: Deployment) -> Group:
    """What the queue sees of a deployment's instances."""
    figure = {name: float(value) for name, value in deployment.extra.items() if isinstance(value, (int, float))}
    law = None
    if "largest_batch_requests" in figure:
        law = BatchLaw(
            call_ms=figure["batch_call_ms"],
            each_ms=figure["batch_each_ms"],
            largest=int(figure["largest_batch_requests"]),
            delay_ms=figure["batch_delay_ms"],
        )
    return Group(
        service_ms=figure["service_ms"],
        workers=int(figure["servers_per_queue"]),
        queues=int(figure["queues_per_instance"]),
        shared=bool(figure["served_by_turns"]),
        batch=law,
        cap=figure["network_cap"],
    )
