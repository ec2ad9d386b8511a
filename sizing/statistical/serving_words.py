"""The arithmetic of serving in steps, and what is to be known of it: payload, worker model, batches, network, warm-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sizing.plan import Step
from sizing.scenario import StatisticalScenario
from sizing.statistical import micro_batching, payload, workers
from sizing.statistical.serving import Serving
from sizing.statistical.warm_up import WarmUp
from sizing.units import format_ms

if TYPE_CHECKING:
    from sizing.statistical.candidate import Candidate

PAYLOAD_SOURCE = "own timings, benchmarks/PAYLOAD.md"
BATCH_SOURCE = "queue of batches, sizing/batch_queue.py; p99 within 10 % of an event simulation, benchmarks/QUEUES.md"

NETWORK_WARNING_SHARE = 0.05
"""Share of the p99 time in system [1] from which the time on the network is worth a warning."""

MODELS = {
    "processes": "single-threaded processes that take the next connection from one socket",
    "async": "event loops, each with the requests it has accepted: a queue of its own",
    "thread_pool": "thread pools, each serving its requests by turns on one core",
}


def service_numbers(candidate: Candidate) -> str:
    """The terms that payload and threads add to the service time, with numbers; empty where there are none."""
    service = candidate.service
    text = f" + {service.payload_ms:.3g} ms" if service.payload_ms else ""
    return text + (f" + {service.threads_ms:.3g} ms (threads, switching or CPU limit)" if service.threads_ms else "")


def payload_steps(scenario: StatisticalScenario, candidate: Candidate) -> list[Step]:
    """Bytes of a request and a reply, and the time to parse and to write them."""
    load = candidate.serving.payload
    form, rows = load.format, scenario.rows_per_request
    asked = (
        f"{rows:,} x {scenario.features:,} x {form.bytes_a_value:g} B"
        if scenario.request_kib is None
        else f"{scenario.request_kib:g} KiB"
    )
    given = (
        f"{rows:,} x {scenario.outputs:,} x {form.bytes_a_value:g} B"
        if scenario.reply_kib is None
        else f"{scenario.reply_kib:g} KiB"
    )
    return [
        Step(
            quantity="Request and reply",
            formula="headers + values x bytes a value, each way",
            with_numbers=f"{payload.HEADER_BYTES} B + {asked}; {payload.HEADER_BYTES} B + {given}, {form.name}",
            value=load.request_bytes + load.reply_bytes,
            unit="bytes",
            source=f"bytes a value: {PAYLOAD_SOURCE}; headers recalled",
            trust="derived",
        ),
        Step(
            quantity="Parsing and writing",
            formula="bytes x time of a byte x CPU factor",
            with_numbers=f"({load.parse_ms:.3g} ms + {load.write_ms:.3g} ms) x {candidate.speed.factor:g}",
            value=candidate.service.payload_ms,
            unit="ms",
            source=f"{PAYLOAD_SOURCE}, beyond the fixed part, which is in the web server's time; "
            f"range x {form.low:g} to x {form.high:g}",
            trust="derived",
        ),
    ]


def serving_steps(scenario: StatisticalScenario, candidate: Candidate, utilization: float) -> list[Step]:
    """The worker model where it is not the usual one, and the law of a batch where requests are gathered."""
    serving, steps = candidate.serving, []
    if scenario.worker_model != "processes":
        factor = f", time x {workers.SWITCHING_FACTOR:g}" if serving.layout.shared else ""
        steps.append(
            Step(
                quantity="Queues on an instance",
                formula=f"{scenario.worker_model.replace('_', ' ')}: {MODELS[scenario.worker_model]}",
                with_numbers=f"{serving.layout.queues} x {serving.layout.servers} server{factor}",
                value=serving.layout.queues,
                unit="queues",
                source="own measurement of uvicorn, sizing/statistical/workers.py",
                trust="derived",
            )
        )
    law = serving.batch
    if law is not None:
        steps.append(
            Step(
                quantity="Time of a request in full batches",
                formula="fixed time of a call / largest batch + time of each request",
                with_numbers=f"{law.call_ms:.3g} ms / {law.largest} + {law.each_ms:.3g} ms; at this load "
                f"{micro_batching.mean_batch(law, utilization):.2f} requests a batch on average",
                value=micro_batching.service_ms(law),
                unit="ms",
                source=BATCH_SOURCE,
                trust="derived",
            )
        )
    return steps


def network_step(candidate: Candidate, requests_per_s: float) -> Step:
    """Network that one instance needs at its share of the load."""
    load = candidate.serving.payload
    baseline = candidate.offer.instance.network_gbps_baseline
    known = f"baseline {baseline:g} Gbit/s" if baseline else "its baseline is not in the catalog"
    return Step(
        quantity="Network of an instance",
        formula="requests/s x bytes of the larger of request and reply x 8",
        with_numbers=f"{requests_per_s:,.4g} /s x {max(load.request_bytes, load.reply_bytes):,.0f} B x 8; {known}",
        value=payload.gbit_per_s(load, requests_per_s),
        unit="Gbit/s",
        source="catalog row of the instance",
        trust=candidate.offer.instance.trust,
    )


def warm_up_step(found: WarmUp) -> Step:
    """Time until a new instance serves."""
    return Step(
        quantity="Time until a new instance serves",
        formula=" + ".join(found.parts),
        with_numbers=" + ".join(f"{part[1]:.3g} s" for part in found.parts.values()),
        value=found.usual_s,
        unit="s",
        source=f"boot, image and checks recalled; imports and load own; {found.low_s:.0f} to {found.high_s:.0f} s",
        trust="recalled",
    )


def warnings(serving: Serving, *, p99_ms: float, requests_per_s: float, baseline_gbps: float | None) -> tuple[str, ...]:
    """What is to be known of the network at an instance's share of the load, or nothing."""
    found = []
    needed = payload.gbit_per_s(serving.payload, requests_per_s)
    if baseline_gbps is not None and needed > 0.5 * payload.NETWORK_SHARE * baseline_gbps:
        found.append(
            f"Each instance moves {needed:.2g} Gbit/s of its baseline of {baseline_gbps:g}: a binary format or smaller requests would "
            "leave room."
        )
    if serving.transfer_ms is not None and serving.transfer_ms > NETWORK_WARNING_SHARE * p99_ms:
        found.append(
            f"Request and reply take {format_ms(serving.transfer_ms)} on the instance's line at its baseline; "
            "this is not in the time in system, which is the server's."
        )
    return tuple(found)


def caveats(scenario: StatisticalScenario) -> tuple[str, ...]:
    """Short sentences on how far the way of serving can be trusted."""
    found = []
    if workers.batches(scenario):
        found.append(
            "Batches: service times are taken as constant, and each worker gathers alone; adaptive servers change delay and size as they go."
        )
    if scenario.threads_per_worker > 1:
        found.append(
            "No call is taken as faster for its threads: at 512 rows on 2 cores we measured 0.5 to 1.0 times, on one row no gain."
        )
    return tuple(found)
