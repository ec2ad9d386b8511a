"""How long until a new instance serves: it boots, gets its image, imports its libraries, loads its model, and is found healthy.

Every part has a low, a usual and a high figure. Boot, image and health checks are recalled: measure them where scaling depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sizing.statistical.structure import Structure, load_ms
from sizing.statistical_rows import RuntimeCost

MEASURED_FACTOR = 0.44
"""Time factor of the core that the imports were timed on [1]: Zen 5 in sizing/cpu.py."""

BOOT_S = (15.0, 40.0, 90.0)
"""From the call for a machine until its services start [s]. Recalled for Linux images of the large clouds, 2026-11-25."""

IMAGE_S = (0.0, 10.0, 60.0)
"""Pulling and starting a container of 0.5 to 1 GB [s]; 0 where it is baked into the machine's image. Recalled, 2026-11-25."""

HEALTH_S = (10.0, 30.0, 150.0)
"""Until the load balancer sends requests [s]: 2 checks 5 s apart, 3 checks 10 s apart, or 5 checks 30 s apart (an AWS default).
Recalled, 2026-11-25."""

IMPORT_S = {"onnxruntime": 0.36, "native": 1.35, "booster": 1.35, "compiled": 0.4}
"""CPU time to import the web server and the libraries [s] on the measured core: FastAPI and uvicorn with ONNX Runtime, or with
scikit-learn and XGBoost or LightGBM. Own, benchmarks/IMPORTS.md, 2026-11-25; compiled trees: that of NumPy and the web server, the library's own guessed."""

IMPORT_RANGE = (0.7, 1.5, 4.0)
"""Wall time over CPU time of an import [1]: files in the cache, a new disk, a slow network disk. Own: 1.3 to 2.0; the end recalled."""

LOAD_BYTES_PER_S = (300e6, 50e6, 15e6)
"""Bytes of a model file read and built into the library's form in a second on the catalog's host. Own, quiet timings of 35 models,
2026-11: scikit-learn pickles 40 to 310 MB/s, XGBoost 37 to 92, LightGBM 13 to 71, ONNX 13 to 34."""

LOAD_FIXED_S = 0.01
"""Least time to load a model [s]: the session of ONNX Runtime. Own, as above."""


@dataclass(frozen=True)
class WarmUp:
    """Seconds until a new instance serves, by part: low, usual, high."""

    parts: dict[str, tuple[float, float, float]]

    @property
    def low_s(self) -> float:
        """All parts at their low end [s]."""
        return sum(part[0] for part in self.parts.values())

    @property
    def usual_s(self) -> float:
        """Sum of the usual figures [s]."""
        return sum(part[1] for part in self.parts.values())

    @property
    def high_s(self) -> float:
        """All parts at their high end [s]."""
        return sum(part[2] for part in self.parts.values())


def seconds_to_serve(
    *, cost: RuntimeCost, file_bytes: float, cpu_factor: float, load_ms: float | None = None
) -> WarmUp:
    """Seconds until a new instance serves: boot + image + imports + load of the model + health checks.

    `cpu_factor` is the time factor of the instance's core (sizing/cpu.py); `load_ms` the time to load the model on the catalog's host
    where it is known, else file bytes over a rate with a wide range. Workers import and load side by side, each on its core.

    >>> from sizing import catalog
    >>> cost = catalog.load().statistical_family("gradient-boosting-xgboost").runtime("onnxruntime")
    >>> found = seconds_to_serve(cost=cost, file_bytes=5e6, cpu_factor=0.5)
    >>> round(found.usual_s, 2)  # 40 + 10 + 0.36 / 0.44 x 0.5 x 1.5 + 0.5 x (0.01 + 5 / 50) + 30
    80.67
    """
    imports = IMPORT_S[cost.id] / MEASURED_FACTOR * cpu_factor
    if load_ms is None:
        low, usual, high = (cpu_factor * (LOAD_FIXED_S + file_bytes / rate) for rate in LOAD_BYTES_PER_S)
    else:
        low, usual, high = (cpu_factor * load_ms / 1000.0 * share for share in (0.5, 1.0, 2.0))
    return WarmUp(
        {
            "boot": BOOT_S,
            "image": IMAGE_S,
            "imports": (imports * IMPORT_RANGE[0], imports * IMPORT_RANGE[1], imports * IMPORT_RANGE[2]),
            "model": (low, usual, high),
            "health checks": HEALTH_S,
        }
    )


def of_model(cost: RuntimeCost, size: Structure, cpu_factor: float) -> WarmUp:
    """Seconds until a new instance serves this model; its load time by the catalog's rule where that has one."""
    return seconds_to_serve(cost=cost, file_bytes=size.file_bytes, cpu_factor=cpu_factor, load_ms=load_ms(cost, size))


def model_load_ms(cost: RuntimeCost, size: Structure) -> float:
    """Time to load the model on the catalog's host [ms]: the catalog's rule, or file bytes over the usual rate without one."""
    known = load_ms(cost, size)
    return 1000.0 * (LOAD_FIXED_S + size.file_bytes / LOAD_BYTES_PER_S[1]) if known is None else known
