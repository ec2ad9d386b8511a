"""Controls of what stands around the model's call: payload, worker model, threads, CPU limit and micro-batching."""

from __future__ import annotations

from ui.inputs import Inputs, words

TITLE = "From request to reply"


def from_request_to_reply(inputs: Inputs) -> None:
    """A closed section, its controls drawn once it is open; its title carries what counts."""
    scenario = inputs.scenario
    limit, rows = scenario.cpu_limit_vcpus, scenario.micro_batch_rows
    threads = scenario.threads_per_worker
    shown = {
        "payload_format": words(scenario.payload_format),
        "worker_model": words(scenario.worker_model).lower(),
        "threads_per_worker": f"{threads} threads a worker" if threads > 1 else "",
        "cpu_limit_vcpus": f"limit {limit:g} vCPU" if limit is not None else "",
        "micro_batch_rows": f"up to {rows:,} rows a call" if rows > 1 else "no micro-batching",
    }

    def draw() -> None:
        inputs.choice("payload_format")
        inputs.number("request_kib", placeholder="rows × features")
        inputs.number("reply_kib", placeholder="rows × outputs")
        inputs.choice("worker_model")
        inputs.number("threads_per_worker")
        inputs.number("cpu_limit_vcpus", step=0.5, placeholder="whole machine")
        inputs.number("micro_batch_rows")
        inputs.number("micro_batch_delay_ms", step=0.5)

    inputs.section(TITLE, shown, draw)
