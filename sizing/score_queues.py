"""Predictions beside simulated or measured queues: waits and times in system of M/G/c in units of the mean service time.

The law of the service time is that which the file names; where it names none, or one that is not known here, it is gamma up to CV 1
and lognormal above, with a wider interval. An interval joins the error of the form with the case's own noise, where the file gives
the half-width of its 95 % interval in the column `ci`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from statistics import median

import numpy as np

from sizing.catalog import Catalog
from sizing.queueing import MAX_SERVERS
from sizing.queueing_law import MAX_GAMMA_CV, MAX_SERVICE_CV, Law, ServiceLaw, service_law
from sizing.queueing_open import delay_and_mean_wait, open_quantiles, wait_quantiles
from sizing.score_table import Case, Scored, percentile

COLUMNS = ("id", "c", "rho", "service_cv", "metric", "value")

LAWS: dict[str, tuple[ServiceLaw, float | None]] = {
    "det": ("gamma", 0.0),
    "deterministic": ("gamma", 0.0),
    "constant": ("gamma", 0.0),
    "exp": ("gamma", 1.0),
    "exponential": ("gamma", 1.0),
    "gamma": ("gamma", None),
    "erlang": ("gamma", None),
    "lognormal": ("lognormal", None),
    "hyperexp": ("hyperexponential", None),
    "hyperexponential": ("hyperexponential", None),
    "h2": ("hyperexponential", None),
}
"""The law a file names, and the CV it implies where it does."""

CV_UP_TO_1 = "CV up to 1"
CV_ABOVE_1 = "CV above 1"

ERROR_SHARES = {
    ("mean wait", CV_UP_TO_1): 0.010,
    ("mean wait", CV_ABOVE_1): 0.07,
    ("wait", CV_UP_TO_1): 0.022,
    ("wait", CV_ABOVE_1): 0.10,
    ("chance", CV_UP_TO_1): 0.008,
    ("chance", CV_ABOVE_1): 0.010,
    ("sojourn", CV_UP_TO_1): 0.006,
    ("sojourn", CV_ABOVE_1): 0.025,
}
"""Half-width of an 80 % interval [1] of the form alone, law given, by quantity and CV. Source: benchmarks/QUEUES.md, own settings
and seeds, 2026-11-25; exact cases (one server, exponential) are better."""

LAW_UNKNOWN_SHARES = {CV_UP_TO_1: 0.045, CV_ABOVE_1: 0.16}
"""The same where the law is a guess. Source: P99_ERROR_SHARE in sizing/queueing.py, from P90 to P80."""

P95_TO_P80 = 1.282 / 1.960
"""From the half-width of a 95 % interval to that of an 80 % one [1], normal noise."""

NOISY = 0.05
"""Rows whose own 95 % half-width is a larger share of the value [1] are told apart in the note."""

_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,2})?)_(sojourn|wait)")


@lru_cache(maxsize=4096)
def predicted(metric: str, servers: int, load: float, name: ServiceLaw, cv: float) -> float | None:
    """Mean, quantile [mean service times] or chance [1] of one queue; None for a metric that is not known.

    Metrics: mean_wait, p_wait, mean_sojourn, p50_sojourn, p99_wait and other percentiles. Source: sizing/queueing.py.

    >>> round(predicted("mean_wait", 1, 0.8, "gamma", 0.0), 6), round(predicted("p_wait", 2, 0.5, "gamma", 1.0), 6)
    (2.0, 0.333333)
    """
    service, loads = service_law(name, cv), np.array([load])
    if metric in ("mean_wait", "p_wait", "mean_sojourn"):
        delay, wait = delay_and_mean_wait(loads, servers, service)
        return {"p_wait": float(delay[0]), "mean_wait": float(wait[0]), "mean_sojourn": 1.0 + float(wait[0])}[metric]
    found = _QUANTILE.fullmatch(metric)
    if found is None or not 0.0 < float(found[1]) < 100.0:
        return None
    return _quantile(servers, load, service, float(found[1]) / 100.0, found[2])


def _quantile(servers: int, load: float, service: Law, share: float, kind: str) -> float:
    of = open_quantiles if kind == "sojourn" else wait_quantiles
    return float(of(np.array([load]), servers, service, np.array([share]))[0, 0])


def score_queue(case: Case, _: Catalog) -> list[Scored]:
    """One metric of one queue [mean service times, or a chance] beside the case's value, named with its class of CV.

    A case that cannot be predicted becomes one row with the reason. Raises InputError for cells that are not numbers.
    """
    id_, metric = case.text("id"), case.text("metric")
    servers, load = case.whole("c", most=MAX_SERVERS), case.number("rho", most=1e6)
    given = case.number("service_cv", most=MAX_SERVICE_CV)
    known = LAWS.get(case.text("service_law").lower())
    cv = known[1] if known is not None and known[1] is not None else given
    if servers is None or load is None or cv is None:
        return [Scored(id_, "", skipped_because="c, rho or service_cv is blank")]
    if load >= 1.0:
        return [Scored(id_, "", skipped_because="rho is 1 or more: no stable queue")]
    name: ServiceLaw = ("gamma" if cv <= 1.0 else "lognormal") if known is None else known[0]
    if name == "hyperexponential" and cv <= 1.0:
        name = "gamma"
    if name == "gamma" and cv > MAX_GAMMA_CV:
        return [Scored(id_, "", skipped_because=f"a gamma law of a CV above {MAX_GAMMA_CV:g} is not tabulated")]
    value = predicted(metric, servers, load, name, cv)
    if value is None:
        return [Scored(id_, "", skipped_because=f"metric {metric} is not known")]
    size = CV_UP_TO_1 if cv <= 1.0 else CV_ABOVE_1
    kind = {"p_wait": "chance", "mean_wait": "mean wait"}.get(metric, "wait" if metric.endswith("_wait") else "sojourn")
    exact = servers == 1 or (cv == 1.0 and name == "gamma")
    share = 0.001 if exact else ERROR_SHARES[kind, size]
    share = share if known is not None else math.hypot(share, LAW_UNKNOWN_SHARES[size])
    half = math.hypot(share * value, P95_TO_P80 * (case.number("ci") or 0.0))
    return [Scored(id_, f"{metric}, {size}", case.number("value"), value, max(value - half, 0.0), value + half)]


def note(cases: Sequence[Case], scored: Sequence[Scored], _: Catalog) -> str:
    """Lines on the cases' own noise: how many errors lie within it, and the errors of the rows that are not noisy."""
    total = inside = 0
    quiet: dict[str, list[float]] = {}
    for case, row in zip(cases, scored, strict=True):  # a case is one metric, so one row
        own = case.number("ci")
        if row.error_percent is None or row.measured is None or row.predicted is None or own is None:
            continue
        total += 1
        inside += abs(row.predicted - row.measured) <= own
        if own <= NOISY * row.measured:
            quiet.setdefault(row.quantity, []).append(row.error_percent)
    if not total:
        return ""
    lines = [
        f"{inside} of {total} rows miss by no more than their own 95 % half-width (column ci): noise of the case may explain them.",
        f"Without the rows whose half-width is above {NOISY:.0%} of the value:",
    ]
    for name, errors in quiet.items():
        lines.append(f"{name:<36}{len(errors):>6}{median(errors):>13.2f} %{percentile(errors, 0.9):>10.2f} %")
    return "\n".join(lines) + "\n"
