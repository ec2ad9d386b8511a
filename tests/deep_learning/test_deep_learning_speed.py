"""The law of the time of networks: worked by hand, its limits, and what more of anything does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sizing.catalog import load
from sizing.deep_learning.networks import known
from sizing.deep_learning.rates import LEFT, RUNTIMES, constants, interval, prior, sustained_flops, terms, use_of
from sizing.deep_learning.speed import AT, CLASSES, Network, Rates, Runs, batch_times, join

CATALOG = load()
PARTS = [p for p in CATALOG.accelerators.values() if p.vendor == "NVIDIA" and p.fp32_tflops and p.fp16_tflops]
ONE = np.array([1.0])


def rates(**changed: float) -> Rates:
    """Round constants: half the rate, all the bandwidth, no effect of shape, a corner of power 1, nothing launched."""
    table = np.ones((1, len(CLASSES)))
    one = {
        "kernel_us": 0.0, "tile": 0.0, "power": 1.0, "kernel_area": 0.0, "host_us": 0.0, "base_ms": 0.0, "work": 1.0, **changed,
    }  # fmt: skip
    return Rates(
        efficiency=0.5 * table, share=table, width=0.0 * table, depth=0.0 * table, launched=table,
        **{name: np.array([value]) for name, value in one.items()},
    )  # fmt: skip


def runs(network: Network, *, batch: float = 1.0, wide: float = 0.0) -> Runs:
    """On a GPU of 100 TFLOPS (10 on vectors) and 1 TB/s, two bytes an element."""
    joined, run, start = join([network])
    return Runs(joined, run, start, batch * ONE, 1e14 * ONE, 1e13 * ONE, 1e12 * ONE, 2.0 * ONE, 2.0 * ONE, wide * ONE)


def network(name: str, launches: float, macs: float, moved: float, weights: float = 0.0, wide: float = 0.0) -> Network:
    """One group of operators, 64 wide and 9 deep."""
    row = [np.array([x]) for x in (launches, macs, moved, wide, weights, 64.0, 9.0)]
    return Network(np.array([AT[name]], dtype=np.intp), *row)


def test_a_product_by_hand() -> None:
    # 2 x 1e9 x 8 / (1e14 x 0.5) = 0.32 ms; (1e6 x 8 + 5e6) x 2 / 1e12 = 0.026 ms; three of them.
    found = batch_times(runs(network("matmul", 3, 1e9, 1e6, 5e6), batch=8), rates())
    assert found.compute[0] == pytest.approx(3 * 0.32)
    assert found.memory[0] == pytest.approx(3 * 0.026)
    assert found.total[0] == pytest.approx(3 * 0.346)


def test_depthwise_runs_on_vectors_and_gains_with_its_kernel() -> None:
    # 2 x 1e9 / (1e13 x 0.5) = 0.4 ms at 3 x 3; depth 36 at power 0.5 halves it.
    one = network("depthwise", 1, 1e9, 0.0)
    assert batch_times(runs(one), rates()).total[0] == pytest.approx(0.4)
    larger = replace(one, depth=np.array([36.0]))
    assert batch_times(runs(larger), rates(kernel_area=0.5)).total[0] == pytest.approx(0.2)


def test_host_binds_where_launches_are_many() -> None:
    # 1,000 launches of 10 us on the host; the GPU needs 1 ms: (10^4 + 1^4)^(1/4).
    found = batch_times(runs(network("activation", 1000, 0.0, 0.0)), rates(host_us=10.0, kernel_us=1.0, base_ms=2.0))
    assert found.host[0] == pytest.approx(10.0)
    assert found.total[0] == pytest.approx(2.0 + (1e4 + 1.0) ** 0.25)


def test_casts_and_wide_elements_count_under_autocast_only() -> None:
    cast = network("cast", 1, 0.0, 1e9, wide=5e8)
    assert batch_times(runs(cast), rates()).total[0] == 0.0
    assert batch_times(runs(cast, wide=2.0), rates()).total[0] == pytest.approx(3.0)  # 2 GB and 1 GB more


def test_each_run_has_its_own_constants_and_batch() -> None:
    one = network("matmul", 1, 1e9, 1e6)
    joined, run, start = join([one, one])
    both = Runs(
        joined,
        run,
        start,
        *(np.repeat(x, 2) for x in (ONE, 1e14 * ONE, 1e13 * ONE, 1e12 * ONE, 2 * ONE, 2 * ONE, 0 * ONE)),
    )
    both = replace(both, batch=np.array([1.0, 4.0]))
    table = Rates(**{name: np.repeat(getattr(rates(), name), 2, axis=0) for name in Rates.__dataclass_fields__})
    assert batch_times(both, table).total == pytest.approx([0.042, 0.168])


@given(
    st.sampled_from(["resnet50", "convnext_tiny", "vit_base_patch16_224", "mobilenetv3_large_100", "bert-base"]),
    st.sampled_from(PARTS), st.sampled_from(list(RUNTIMES)), st.sampled_from(["fp16", "fp32"]), st.integers(1, 2048),
    st.floats(1.01, 8.0),
)  # fmt: skip
def test_more_of_anything(name: str, part: object, runtime: str, precision: str, batch: int, factor: float) -> None:
    found = known(name)
    assert found is not None
    use = use_of(part, runtime, precision).rates  # type: ignore[arg-type]
    base = replace(
        runs(found.network, batch=batch), peak_flops_per_s=sustained_flops(part, precision) * ONE,  # type: ignore[arg-type]
        bandwidth_bytes_per_s=part.memory_bandwidth_bytes_per_s * ONE,  # type: ignore[attr-defined]
    )  # fmt: skip
    time = batch_times(base, use).total[0]
    faster = replace(base, peak_flops_per_s=base.peak_flops_per_s * factor)
    wider = replace(base, bandwidth_bytes_per_s=base.bandwidth_bytes_per_s * factor)
    assert np.isfinite(time)
    assert time > 0.0
    assert batch_times(faster, use).total[0] <= time * (1 + 1e-9)
    assert batch_times(wider, use).total[0] <= time * (1 + 1e-9)
    assert batch_times(replace(base, batch=base.batch + 1), use).total[0] >= time


def test_every_constant_is_in_its_range_and_known_to_the_law() -> None:
    known_constants = constants()
    names = {term for part in PARTS for runtime in RUNTIMES for precision in ("fp16", "fp32", "tf32", "int8")
             for many in terms(part, runtime, precision).values() for term in many}  # fmt: skip
    fitted = {term for term in known_constants.logs if "network:" not in term[1] and term[0] != "work"}
    assert fitted <= names
    assert all(np.isfinite(value) for value in known_constants.logs.values())
    assert all(np.isfinite(prior(term)).all() for term in names)
    assert set(LEFT) <= set(CLASSES)


def test_intervals_widen_for_what_was_not_measured() -> None:
    measured, h100 = CATALOG.accelerator("rtx-4090"), CATALOG.accelerator("h100-sxm-80gb")
    fast, slow = interval(measured, "eager")
    assert 0.5 < fast < 1.0 < slow < 2.0
    for other in (
        interval(h100, "eager"),
        interval(measured, "eager", further=0.3),
        interval(measured, "eager", network="new"),
    ):
        assert other[0] < fast
        assert other[1] > slow


def test_boards_with_a_doubled_tensor_rate_hold_that_of_the_games_boards() -> None:
    assert sustained_flops(CATALOG.accelerator("rtx-pro-6000-blackwell-ws"), "amp") == pytest.approx(250e12)
    assert sustained_flops(CATALOG.accelerator("a100-sxm-80gb"), "amp") == pytest.approx(312e12)
    assert sustained_flops(CATALOG.accelerator("v100-sxm2-16gb"), "tf32") == pytest.approx(15.7e12)
