"""Measured times move the service time: onto the measurement where it was made, by the ratio of CPU factors elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sizing import catalog, cpu, fleet
from sizing.errors import InputError
from sizing.scenario import StatisticalScenario
from sizing.statistical import plan
from sizing.statistical.candidate import candidate_on, model_of
from sizing.statistical.measured import MeasuredService, fingerprint, parse_measured
from sizing.statistical.service_time import ServiceTime, service_time

CATALOG = catalog.load()
BASE = StatisticalScenario()
PRINT = fingerprint(BASE)
C6I, M6I, M7I, C7G, N2 = "aws-c6i-xlarge", "aws-m6i-xlarge", "aws-m7i-xlarge", "aws-c7g-xlarge", "gcp-n2-standard-4"


def service(scenario: StatisticalScenario, instance: str) -> ServiceTime:
    offered, _ = fleet.offers(scenario, CATALOG, category="cpu")
    offer = next(o for o in offered if o.instance.id == instance)
    return candidate_on(scenario, model_of(scenario, CATALOG), offer).service


def measured(text: str, **changes: object) -> StatisticalScenario:
    return StatisticalScenario(measured_service=text, **changes)


def width(found: ServiceTime) -> float:
    return found.high_ms / found.low_ms


def test_the_instances_of_these_tests_are_in_the_catalog_with_the_cores_they_stand_for() -> None:
    assert cpu.cpu_speed(CATALOG.instances[C6I]).core == cpu.cpu_speed(CATALOG.instances[M6I]).core == "Ice Lake"
    assert cpu.cpu_speed(CATALOG.instances[M7I]).core == "Sapphire Rapids"
    assert cpu.cpu_speed(CATALOG.instances[N2]).core == "Cascade Lake or Ice Lake"


def test_a_name_of_two_cores_does_not_say_that_two_machines_are_alike() -> None:
    text = f"{N2}~{PRINT}~request~1={1.5 * service(BASE, N2).mean_ms:.6f}"
    there, larger = service(measured(text), N2), service(measured(text), "gcp-n2-standard-8")
    assert larger.mean_ms < there.mean_ms
    assert width(larger) > width(there)


@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.0, 1.5, 3.0])
def test_a_measurement_moves_the_prediction_of_its_own_instance_onto_it(ratio: float) -> None:
    before = service(BASE, C6I).mean_ms
    asked = before * ratio
    after = service(measured(f"{C6I}~{PRINT}~request~1={asked:.6f}"), C6I)
    # The prior pulls back by its weight: noise^2 / (noise^2 + prior^2), 0.05 against 0.4 or so.
    assert after.mean_ms == pytest.approx(asked, rel=0.04)
    assert after.basis == "measured"
    assert after.low_ms < asked < after.high_ms
    assert width(after) < width(service(BASE, M7I))


def test_a_measurement_of_the_prediction_itself_changes_nothing_but_the_interval() -> None:
    before = service(BASE, C6I)
    after = service(measured(f"{C6I}~{PRINT}~request~1={before.mean_ms:.8f}"), C6I)
    assert after.mean_ms == pytest.approx(before.mean_ms, rel=1e-6)
    assert width(after) < width(before)


def test_more_measurements_narrow_the_interval_and_their_noise_widens_it() -> None:
    one, two = service(BASE, C6I).mean_ms, service(StatisticalScenario(rows_per_request=100), C6I).mean_ms
    three = service(StatisticalScenario(rows_per_request=1000), C6I).mean_ms
    points = [f"1={one:.6f}", f"100={two:.6f}", f"1000={three:.6f}"]
    widths = [
        width(service(measured(f"{C6I}~{PRINT}~request~{','.join(points[:n])}", rows_per_request=400), C6I))
        for n in (1, 2, 3)
    ]
    assert widths[0] > widths[1] > widths[2]
    noisy = measured(f"{C6I}~{PRINT}~request~1={one:.6f}:0.3")
    assert width(service(noisy, C6I)) > width(service(measured(f"{C6I}~{PRINT}~request~1={one:.6f}"), C6I))


def test_a_noisy_measurement_moves_the_prediction_less() -> None:
    before = service(BASE, C6I).mean_ms
    sure = service(measured(f"{C6I}~{PRINT}~request~1={2 * before:.6f}"), C6I).mean_ms
    noisy = service(measured(f"{C6I}~{PRINT}~request~1={2 * before:.6f}:0.5"), C6I).mean_ms
    assert before < noisy < sure


def test_the_same_core_counts_as_measured_and_another_one_through_the_ratio_of_factors() -> None:
    before = service(BASE, C6I)
    text = f"{C6I}~{PRINT}~model~1={1.5 * before.model_ms:.6f}"
    there, same, other = (service(measured(text), i) for i in (C6I, M6I, M7I))
    assert same.model_ms == pytest.approx(there.model_ms)
    assert (same.basis, other.basis) == ("calibrated", "calibrated")
    # On another core only what is not put down to the core of the machine measured counts: less than on the machine itself.
    moved = other.model_ms / service(BASE, M7I).model_ms
    assert 1.0 < moved < there.model_ms / before.model_ms
    assert width(there) < width(same) < width(other) <= width(service(BASE, M7I))


def test_a_machine_timed_with_its_factor_moves_every_instance_by_one_ratio() -> None:
    model = model_of(BASE, CATALOG)
    half = cpu.CpuSpeed(0.5, 0.5, 0.5, "")
    there = service_time(scenario=BASE, cost=model.cost, size=model.size, speed=half, sharing=1.0).model_ms
    text = f"host-0.5~{PRINT}~model~1={there * 1.4:.6f}"
    ratios = [service(measured(text), i).model_ms / service(BASE, i).model_ms for i in (C6I, M7I, C7G)]
    # Shares of call and row differ a little from core to core.
    assert ratios == pytest.approx([ratios[0]] * 3, rel=0.01)
    assert 1.25 < ratios[0] < 1.4
    assert service(measured(text), C6I).http_ms == BASE.http_overhead_ms


def test_calls_of_the_model_leave_the_web_server_alone_and_requests_do_not() -> None:
    before = service(BASE, C6I)
    model = service(measured(f"{C6I}~{PRINT}~model~1={2 * before.model_ms:.6f}"), C6I)
    request = service(measured(f"{C6I}~{PRINT}~request~1={2 * before.mean_ms:.6f}"), C6I)
    assert model.http_ms == before.http_ms
    assert model.model_ms == pytest.approx(2 * before.model_ms, rel=0.05)
    assert request.http_ms > before.http_ms


def test_two_row_counts_tell_the_call_from_the_row() -> None:
    """Model time doubled at 1,000 rows and right at 1: the row is slower, the call is not."""
    small = service(BASE, C6I).mean_ms
    large = service(StatisticalScenario(rows_per_request=1000), C6I)
    doubled = large.mean_ms + large.model_ms
    text = f"{C6I}~{PRINT}~request~1={small:.6f},1000={doubled:.6f}"
    assert service(measured(text), C6I).mean_ms == pytest.approx(small, rel=0.06)
    assert service(measured(text, rows_per_request=1000), C6I).mean_ms == pytest.approx(doubled, rel=0.06)


@pytest.mark.parametrize("change", [{"trees": 99}, {"runtime": "onnxruntime"}, {"features": 7}])
def test_measurements_of_another_model_have_no_effect_and_that_is_said(change: dict[str, object]) -> None:
    text = f"{C6I}~{PRINT}~request~1=50"
    with_it, without = plan(measured(text, **change), CATALOG), plan(StatisticalScenario(**change), CATALOG)
    assert with_it.recommended == without.recommended
    assert with_it.ranked == without.ranked
    assert "do not count" in with_it.caveats[-1]


def test_a_plan_with_a_slower_measurement_needs_more_and_says_on_what_it_rests() -> None:
    loaded = {"requests_per_s": 3000.0, "instances": (C6I,)}
    before = plan(StatisticalScenario(**loaded), CATALOG).recommended
    after = plan(measured(f"{C6I}~{PRINT}~request~1=4", **loaded), CATALOG)
    assert before is not None
    assert after.recommended is not None
    assert after.recommended.instances > 2 * before.instances
    assert after.recommended.verdicts[0].basis == "measured"
    assert before.verdicts[0].basis == "estimated"
    step = next(s for s in after.working if s.quantity == "Service time")
    assert step.trust == "measured"
    assert "your measurements" in step.with_numbers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"aws-no-such~{PRINT}~request~1=4", "CPU instance of the catalog"),
        (f"host-0~{PRINT}~request~1=4", "time factor above 0"),
        (f"host-nan~{PRINT}~request~1=4", "time factor"),
        (f"host-x~{PRINT}~request~1=4", "time factor"),
        (f"host-1e9~{PRINT}~request~1=4", "time factor"),
        (f"{C6I}~{PRINT}~request~1=0", "above 0"),
        (f"{C6I}~{PRINT}~request~1=4,1=5", "once"),
    ],
)
def test_a_measurement_that_cannot_be_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        plan(measured(text), CATALOG)
    assert caught.value.field == "measured_service"


def test_the_error_of_a_time_travels_in_the_text() -> None:
    found = MeasuredService(C6I, PRINT, "request", (1, 64), (1.9, 4.2), (0.08, 0.0))
    assert found.text() == f"{C6I}~{PRINT}~request~1=1.9:0.080,64=4.2"
    assert parse_measured(found.text()) == found
    assert parse_measured(replace(found, errors=()).text()).errors == ()


@pytest.mark.parametrize("ms", [1e-6, 1e6])
def test_absurd_times_still_give_a_plan_or_a_reason(ms: float) -> None:
    found = plan(measured(f"{C6I}~{PRINT}~request~1={ms:.6f}"), CATALOG)
    assert found.search.candidates == len(found.ranked) + len(found.rejected)


@pytest.mark.parametrize(
    "changes",
    [
        {"worker_model": "thread_pool"},
        {"cpu_limit_vcpus": 0.5},
        {"cpu_limit_vcpus": 2.0, "workers_per_instance": 2},
        {"worker_model": "thread_pool", "cpu_limit_vcpus": 0.5, "rows_per_request": 50},
    ],
)
def test_a_request_measured_under_a_limit_or_in_a_thread_pool_is_not_stretched_twice(
    changes: dict[str, object],
) -> None:
    asked = StatisticalScenario(**changes)
    before = service(asked, C6I).mean_ms
    text = f"{C6I}~{PRINT}~request~{asked.rows_per_request}={before:.8f}"
    assert service(measured(text, **changes), C6I).mean_ms == pytest.approx(before, rel=1e-6)
