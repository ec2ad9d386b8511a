"""`score queues`: textbook queues, simulated settings of our own, and cells that cannot be used."""

from __future__ import annotations

import math

import pytest

from sizing.__main__ import main
from sizing.errors import InputError
from sizing.score import score_text
from sizing.score_queues import LAWS, predicted
from sizing.score_table import Scored

HEADER = "c,rho,service_cv,metric,value,n_customers,ci,service_law,id\n"


def scored(row: str) -> Scored:
    (found,) = score_text("queues", HEADER + row + "\n")
    return found


# Formulas of any textbook, mean service time 1: M/M/1 and M/M/2 (Erlang), M/D/1 and M/G/1 (Pollaczek and Khinchine).
@pytest.mark.parametrize(
    ("row", "value"),
    [
        ("1,0.5,1,p99_sojourn,9,1,,exp,a", 2 * math.log(100)),
        ("1,0.5,1,p99_wait,9,1,,exp,a", 2 * math.log(50)),
        ("1,0.5,1,p50_wait,9,1,,exp,a", 0.0),
        ("2,0.5,1,p_wait,9,1,,exp,a", 1 / 3),
        ("2,0.5,1,mean_wait,9,1,,exp,a", 1 / 3),
        ("1,0.8,0,mean_sojourn,9,1,,det,a", 3.0),
        ("1,0.8,0,p_wait,9,1,,det,a", 0.8),
        ("1,0.8,2,mean_wait,9,1,,hyperexp,a", 10.0),
        ("1,0.8,2,mean_wait,9,1,,lognormal,a", 10.0),
        ("4,0.3,0,p50_sojourn,9,1,,det,a", 1.0),
        # No law named, CV 0.5: gamma. Without waiting the quantile is that of the law.
    ],
)
def test_textbook_queues(row: str, value: float) -> None:
    assert scored(row).predicted == pytest.approx(value, rel=2e-3)


# Crommelin's M/D/c by an independent event simulation (benchmarks/queues.py; 8 runs of 2.5 million customers, half-width below 0.3 %).
@pytest.mark.parametrize(("servers", "load", "wait", "delay"), [(2, 0.7, 0.4936, 0.5654), (16, 0.85, 0.0965, 0.4064)])
def test_constant_service_at_several_servers(servers: int, load: float, wait: float, delay: float) -> None:
    assert predicted("mean_wait", servers, load, "gamma", 0.0) == pytest.approx(wait, rel=0.005)
    assert predicted("p_wait", servers, load, "gamma", 0.0) == pytest.approx(delay, rel=0.005)


# Exact matrix-geometric solutions (benchmarks/queue_truth.py): Erlang-4 (CV 0.5) and hyperexponential with balanced means.
@pytest.mark.parametrize(
    ("servers", "load", "law", "cv", "wait", "delay"),
    [
        (2, 0.5, "gamma", 0.5, 0.21678, 0.32842),
        (8, 0.5, "gamma", 0.5, 0.010696, 0.056426),
        (8, 0.85, "gamma", 0.5, 0.30798, 0.5602),
        (4, 0.7, "hyperexponential", 2.0, 0.78065, 0.44272),
        (16, 0.7, "hyperexponential", 2.0, 0.046956, 0.13832),
        (16, 0.85, "hyperexponential", 2.0, 0.38271, 0.4533),
    ],
)
def test_waits_against_exact_solutions(
    servers: int, load: float, law: str, cv: float, wait: float, delay: float
) -> None:
    size = 0.02 if cv <= 1 else 0.05
    assert predicted("mean_wait", servers, load, law, cv) == pytest.approx(wait, rel=size)  # type: ignore[arg-type]
    assert predicted("p_wait", servers, load, law, cv) == pytest.approx(delay, rel=0.02)  # type: ignore[arg-type]


def test_a_law_fixes_its_cv_and_an_unknown_one_widens_the_interval() -> None:
    named, guessed = scored("4,0.8,0.5,p99_sojourn,4,1,,gamma,a"), scored("4,0.8,0.5,p99_sojourn,4,1,,bimodal,a")
    assert named.predicted == guessed.predicted
    assert guessed.high - guessed.low > 3 * (named.high - named.low)
    assert scored("4,0.8,7,mean_wait,4,1,,exponential,a").predicted == scored("4,0.8,,mean_wait,4,1,,exp,a").predicted
    assert {name for name, _ in LAWS.values()} == {"gamma", "lognormal", "hyperexponential"}


def test_the_case_s_own_noise_widens_the_interval() -> None:
    sure, noisy = scored("2,0.8,0.5,mean_wait,1.2,1,0,gamma,a"), scored("2,0.8,0.5,mean_wait,1.2,1,0.6,gamma,a")
    assert noisy.high - noisy.low == pytest.approx(2 * 0.6 * 1.282 / 1.96, rel=0.01)
    assert sure.high - sure.low < 0.05


@pytest.mark.parametrize(
    ("row", "because"),
    [
        ("2,1.0,0.5,mean_wait,1,1,,gamma,a", "no stable queue"),
        ("2,0.5,0.5,longest_wait,1,1,,gamma,a", "longest_wait"),
        (",0.5,0.5,mean_wait,1,1,,gamma,a", "blank"),
        ("2,0.5,4,mean_wait,1,1,,gamma,a", "gamma"),
    ],
)
def test_what_cannot_be_predicted_says_why(row: str, because: str) -> None:
    found = scored(row)
    assert found.predicted is None
    assert because in found.skipped_because


@pytest.mark.parametrize("row", ["two,0.5,0.5,mean_wait,1,1,,gamma,a", "2,0.5,99,mean_wait,1,1,,gamma,a"])
def test_cells_out_of_range_are_named(row: str) -> None:
    with pytest.raises(InputError, match="line 2"):
        scored(row)


def test_the_summary_names_goals_by_cv_and_tells_noise_apart(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cases.csv"
    rows = [
        "1,0.8,0,mean_wait,2.02,1,0.05,det,a",
        "1,0.8,2,mean_wait,12,1,3,hyperexp,b",
        "1,0.8,1,p99_sojourn,23,1,0.2,exp,c",
    ]
    path.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    assert main(["score", "queues", str(path)]) == 0
    said = capsys.readouterr().out
    assert "mean_wait, CV up to 1" in said
    assert "mean_wait, CV above 1" in said
    assert "3 of 3 rows miss by no more than their own" in said
    assert said.split("Without")[1].count("mean_wait") == 1
