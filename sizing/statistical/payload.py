"""What a request and its reply weigh, the CPU time to parse the one and write the other, and the network they need.

    bytes = headers + rows x features x bytes a value (request), headers + rows x outputs x bytes a value (reply)
    CPU   = body bytes x time of a byte, by format

Only what grows with the number of values is here: the fixed part of a call is in the web server's time, measured with a tiny request.

Source: benchmarks/PAYLOAD.md, own, 2026-11-25: json.loads / json.dumps, csv and numpy.frombuffer, float32 values, on a Zen 5 core;
brought to the catalog's host by its time factor of 0.44 (0.30 to 0.62; sizing/cpu.py, recalled).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt

from sizing.catalog_rows import Instance
from sizing.cpu import CpuSpeed
from sizing.scenario import StatisticalScenario
from sizing.units import KIB, format_bytes

MEASURED_FACTOR = 0.44
"""Time factor of the core that the times of a byte were measured on [1]: Zen 5 in sizing/cpu.py."""

HEADER_BYTES = 400
"""HTTP headers of a request or of a reply, with TCP's and IP's [bytes]. Recalled, range 200 to 1,500, 2026-11-25."""

NETWORK_SHARE = 0.8
"""Share of an instance's baseline network that payload may use [1]; bursts and other traffic take the rest. Ours, 2026-11."""


@dataclass(frozen=True)
class Format:
    """One format: bytes of a value, and time to parse and to write a byte on the measured core [ns], with the range of both [1]."""

    name: str
    bytes_a_value: float
    parse_ns: float
    write_ns: float
    low: float
    high: float


FORMATS = {
    "json": Format("JSON", 11.2, 6.6, 22.5, 0.4, 1.8),
    "csv": Format("CSV", 10.2, 13.0, 31.8, 0.6, 1.8),
    "binary": Format("binary float32", 4.0, 0.05, 0.05, 0.5, 5.0),
}
"""`low` is pydantic's own parser (a factor 0.4 of json.loads and numpy), `high` float64 values written in full, 20 bytes each;
for binary, protobuf or msgpack instead of a raw array (not measured, hence the width)."""


@dataclass(frozen=True)
class Payload:
    """Bytes of a request and of its reply, headers included, and the CPU time of both on the catalog's host [ms]."""

    format: Format
    request_bytes: float
    reply_bytes: float
    parse_ms: float
    write_ms: float

    @property
    def host_ms(self) -> float:
        """Parsing and writing together on the catalog's host [ms]."""
        return self.parse_ms + self.write_ms

    def times_ms(self, speed: CpuSpeed, sharing: float) -> tuple[float, float, float]:
        """CPU time on an instance [ms]: mean, low and high end of an 80 % interval; the errors of constants and CPU join."""
        mean = self.host_ms * speed.factor * sharing
        low = exp(-sqrt(log(self.format.low) ** 2 + log(speed.low / speed.factor) ** 2))
        high = exp(sqrt(log(self.format.high) ** 2 + log(speed.high / speed.factor) ** 2))
        return mean, mean * low, mean * high


def payload_of(scenario: StatisticalScenario) -> Payload:
    """Payload of a scenario's requests [bytes, ms]. Equation and source: the module.

    >>> p = payload_of(StatisticalScenario(features=100, rows_per_request=1, outputs=1))
    >>> p.request_bytes, round(p.parse_ms * 1000, 1)  # 400 + 100 x 11.2; 1,120 B x 6.6 ns / 0.44
    (1520.0, 16.8)
    """
    form = FORMATS[scenario.payload_format]
    rows = scenario.rows_per_request
    asked = (
        rows * scenario.features * form.bytes_a_value if scenario.request_kib is None else scenario.request_kib * KIB
    )
    given = rows * scenario.outputs * form.bytes_a_value if scenario.reply_kib is None else scenario.reply_kib * KIB
    return Payload(
        format=form,
        request_bytes=asked + HEADER_BYTES,
        reply_bytes=given + HEADER_BYTES,
        parse_ms=asked * form.parse_ns / MEASURED_FACTOR / 1e6,
        write_ms=given * form.write_ns / MEASURED_FACTOR / 1e6,
    )


def gbit_per_s(payload: Payload, requests_per_s: float) -> float:
    """Network that a load needs in its busier direction [Gbit/s]: requests/s x bytes x 8.

    >>> gbit_per_s(payload_of(StatisticalScenario(features=100)), 1e6)
    12.16
    """
    return round(requests_per_s * max(payload.request_bytes, payload.reply_bytes) * 8.0 / 1e9, 9)


def network_requests_per_s(payload: Payload, instance: Instance) -> float | None:
    """Requests the network of one instance carries [1/s]: baseline x share / bytes; None where the catalog has no baseline."""
    if instance.network_gbps_baseline is None:
        return None
    return instance.network_gbps_baseline * NETWORK_SHARE / gbit_per_s(payload, 1.0)


def transfer_ms(payload: Payload, instance: Instance) -> float | None:
    """Time of a request and its reply on the instance's own line at its baseline [ms]; None where the catalog has no baseline."""
    if instance.network_gbps_baseline is None:
        return None
    return (payload.request_bytes + payload.reply_bytes) * 8.0 / (instance.network_gbps_baseline * 1e9) * 1000.0


def payload_words(payload: Payload) -> str:
    """Request and reply in words.

    >>> payload_words(payload_of(StatisticalScenario(features=100)))
    'request 1.48 KiB, reply 411 B, JSON'
    """
    return f"request {format_bytes(payload.request_bytes)}, reply {format_bytes(payload.reply_bytes)}, {payload.format.name}"
