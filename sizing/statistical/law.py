"""The law of the time of a model call: a constant of the catalog for each way in which calls cost time, and its multiplier."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log2, sqrt

from sizing.cpu import CpuSpeed
from sizing.statistical.structure import Structure
from sizing.statistical_rows import RuntimeCost

NODE_BYTES = 40
"""Bytes of a node in the memory of a tree runtime [bytes]: ONNX Runtime's node; by its layout, others are near it."""

CACHE_BYTES = 2**19
"""Second-level cache of a core of the measured host [bytes]."""

FIRST_ROWS = 8
"""Rows of a call that meet a model which earlier work has driven out of the caches [1]. Chosen among 4, 8, 12, 16 and 32 on models
held back, own, 2026-11."""

NEAR_NODES = 200
"""Nodes of a tree that stay in the first-level cache while rows pass through it [1]. Chosen among 100 to 600 on models held back."""

WORK_SCALE = 500.0
"""Nodes visited a row [1] from which LightGBM, which takes one row after the other through all trees, leaves the first cache."""

TIME_CONSTANTS = (
    "call_us", "tree_us", "call_vector_ns", "call_unit_ns", "first_rows_ns", "row_ns", "value_ns", "output_ns", "hidden_ns",
    "vector_ns", "unit_ns", "level_ns",
)  # fmt: skip
"""Constants of `RuntimeCost` that add up to the time of a call."""

CALL_CONSTANTS = ("call_us", "tree_us", "call_vector_ns", "call_unit_ns")
"""Those of them that a call pays whatever the number of its rows."""


def multipliers(
    size: Structure,
    rows: int,
    *,
    first_rows_exponent: float = 0.0,
    work_exponent: float = 0.0,
    cache_exponent: float = 0.0,
) -> dict[str, float]:
    """What each constant is multiplied with to give microseconds [us per unit of the constant], for a call of so many rows.

        t = call + tree T + (call_vector V + call_unit W) / 1000 + min(B, 8) first_rows W far / 1000
            + B (row + value F + output O + hidden H + vector V + unit W growth + level T levels) / 1000

    B rows, T trees, V stored rows, W units of work a row, F features, O outputs, H units of hidden layers;
    far = max(1, 40 B x nodes / 512 KiB) ^ first_rows_exponent; growth = max(1, W / 500) ^ work_exponent;
    levels = log2(nodes of a tree / 200) above 0, times the share of the model beyond the second-level cache.
    `cache_exponent`, of catalogs before 2026-11-25, multiplies the work of a row by (file bytes / 512 KiB) ^ exponent.
    """
    beyond = NODE_BYTES * size.nodes / CACHE_BYTES
    growth = max(1.0, size.work_units / WORK_SCALE) ** work_exponent if work_exponent else 1.0
    if cache_exponent:
        growth *= max(1.0, size.file_bytes / CACHE_BYTES) ** cache_exponent
    first = min(rows, FIRST_ROWS) * size.work_units * max(1.0, beyond) ** first_rows_exponent
    return {
        "call_us": 1.0,
        "tree_us": size.trees,
        "call_vector_ns": size.vectors / 1000.0,
        "call_unit_ns": size.work_units / 1000.0,
        "first_rows_ns": first / 1000.0,
        "row_ns": rows / 1000.0,
        "value_ns": rows * size.features / 1000.0,
        "output_ns": rows * size.outputs / 1000.0,
        "hidden_ns": rows * size.hidden_units / 1000.0,
        "vector_ns": rows * size.vectors / 1000.0,
        "unit_ns": rows * size.work_units * growth / 1000.0,
        "level_ns": rows * size.trees * levels_beyond(size) / 1000.0,
    }


def levels_beyond(size: Structure) -> float:
    """Levels of a tree whose nodes come from beyond the first-level cache [1]; 0 where the whole model stays in the second."""
    if size.trees == 0 or size.nodes <= NEAR_NODES * size.trees:
        return 0.0
    share = max(0.0, 1.0 - CACHE_BYTES / (NODE_BYTES * size.nodes))
    return log2(size.nodes / size.trees / NEAR_NODES) * share


def parts_us(*, cost: RuntimeCost, size: Structure, rows: int) -> dict[str, float]:
    """Time of one model call on the measured host by constant [us]; the values add up to the time.

    Source: robust fits of own timings, errors in the catalog row (`RuntimeCost`) and in benchmarks/STATISTICAL_SPEED.md.
    """
    by = multipliers(
        size,
        rows,
        first_rows_exponent=cost.first_rows_exponent,
        work_exponent=cost.work_exponent,
        cache_exponent=cost.cache_exponent,
    )
    return {name: getattr(cost, name) * by[name] for name in TIME_CONSTANTS}


def model_time_us(*, cost: RuntimeCost, size: Structure, rows: int) -> float:
    """Time of one model call on the measured host [us]: the parts of `parts_us` together."""
    return sum(parts_us(cost=cost, size=size, rows=rows).values())


@dataclass(frozen=True)
class CallTime:
    """Time of a model call on some CPU [us], with the half-widths of its 80 % interval downwards and upwards [log].

    `call_share` is what the call pays whatever its rows, as a share of the time [1].
    """

    us: float
    below: float
    above: float
    call_share: float


SCALING_ERROR = 0.30
"""Half-width of the 80 % interval that the two scalings leave, for each unit of the log of the CPU's factor [1]: what models held
back were off by on the one other CPU measured (Zen 5, benchmarks/STATISTICAL_SPEED.md)."""


def on_cpu(
    *, cost: RuntimeCost, call_us: float, loop_us: float, speed: CpuSpeed, constants_error: float = 0.0
) -> CallTime:
    """Time of a call that costs so much by itself and so much for its rows on the measured host [us], on another CPU.

        call x factor ^ call_scaling + loop x factor ^ loop_scaling

    The factor of a CPU is by clock and work per clock; what calls cost (Python, allocation, cold code) and what loops of a library
    cost shrink by powers of it, measured on one other CPU. The interval joins the errors of the constants, of the factor and of
    the powers as independent errors of the log.
    """
    calls, loops = call_us * speed.factor**cost.call_scaling, loop_us * speed.factor**cost.loop_scaling
    power = (calls * cost.call_scaling + loops * cost.loop_scaling) / (calls + loops)
    own = constants_error**2 + (SCALING_ERROR * log(speed.factor)) ** 2
    if cost.call_scaling == cost.loop_scaling == 1.0:  # catalogs before 2026-11-25 do not know of powers
        own = constants_error**2
    return CallTime(
        us=calls + loops,
        below=sqrt(own + (power * log(speed.factor / speed.low)) ** 2),
        above=sqrt(own + (power * log(speed.high / speed.factor)) ** 2),
        call_share=calls / (calls + loops),
    )


def call_and_loop_us(*, cost: RuntimeCost, size: Structure, rows: int) -> tuple[float, float]:
    """What a call costs by itself and what its rows cost, on the measured host [us]."""
    parts = parts_us(cost=cost, size=size, rows=rows)
    call = sum(parts[name] for name in CALL_CONSTANTS)
    return call, sum(parts.values()) - call
