"""CSV files of Locust (`_stats.csv`, `_stats_history.csv`) and of the generated Locust file (`_open_loop.csv`) as records."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from itertools import groupby

from sizing.errors import InputError
from sizing.statistical.load_records import MAX_COUNT, MAX_RATE_PER_S, MAX_TIME_MS, LoadRecord, LoadResults, number

MAX_ROWS = 20_000
"""Most rows of a file [1]: Locust's history has one a second and name."""

WINDOW_S = 10.0
"""Window of Locust's current percentiles [s], CURRENT_RESPONSE_TIME_PERCENTILE_WINDOW."""

STATS = ("Type", "Name", "Request Count", "Failure Count", "Average Response Time", "50%", "95%", "99%")
HISTORY = (
    "Timestamp",
    "User Count",
    "Name",
    "Total Request Count",
    "Total Failure Count",
    "Total Average Response Time",
)
OPEN_LOOP = ("Load", "Offered Requests/s", "Seconds", "Sent", "Answered", "Failed", "Mean (ms)", "50% (ms)", "99% (ms)")
AGGREGATED = "Aggregated"
OURS = re.compile(r"load \d+: (\d+(?:\.\d+)?(?:e[+-]?\d{1,2})?)/s")
"""Name that the generated Locust file gives to the requests of a load; the rate is in it."""

Row = tuple[int, dict[str, str]]


def read_csv(text: str) -> LoadResults:
    """Records of one of the three CSV files, told apart by their columns. Raises InputError with line, column and value."""
    header, rows = _table(text)
    if all(name in header for name in OPEN_LOOP):
        return LoadResults("open_loop", tuple(_open_loop(row) for row in rows))
    if all(name in header for name in HISTORY):
        return _history(rows)
    if all(name in header for name in STATS):
        return _stats(rows)
    raise InputError(
        "header",
        ",".join(header),
        "that of load_test_open_loop.csv, or of Locust's _stats.csv or _stats_history.csv (Locust 2)",
    )


def _table(text: str) -> tuple[tuple[str, ...], list[Row]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: tuple[str, ...] = ()
    rows: list[Row] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = tuple(cell.strip() for cell in cells)
                if len(set(header)) < len(header):
                    raise InputError("header", ",".join(header), "each column once")
                continue
            if len(rows) == MAX_ROWS:
                raise InputError(f"line {reader.line_num}", "one more row", f"at most {MAX_ROWS:,} rows")
            if len(cells) != len(header):
                raise InputError(
                    f"line {reader.line_num}", f"{len(cells)} values", f"{len(header)} values, as the header has"
                )
            rows.append((reader.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}", str(error), "comma-separated values") from None
    if not rows:
        raise InputError("file", "no row", "a header and at least one row under it")
    return header, rows


def _value(row: Row, column: str, high: float, low: float = 0.0) -> float | None:
    """A number of a row, None where it is not there or said to be not available."""
    line, cells = row
    text = cells.get(column, "")
    return None if text in ("", "N/A") else number(f"line {line}, {column}", text, low=low, high=high)


def _needed(row: Row, column: str, high: float, low: float = 0.0) -> float:
    found = _value(row, column, high, low)
    if found is None:
        raise InputError(f"line {row[0]}, {column}", None, f"a number from {low:g} to {high:g}")
    return found


def _whole(row: Row, column: str) -> int | None:
    found = _value(row, column, 1e6, 1.0)
    return None if found is None else int(found)


def _open_loop(row: Row) -> LoadRecord:
    offered = _needed(row, "Offered Requests/s", MAX_RATE_PER_S)
    seconds = _needed(row, "Seconds", 1e8, 1e-3)
    answered = int(_needed(row, "Answered", MAX_COUNT))
    sent = _needed(row, "Sent", MAX_COUNT)
    instance = row[1].get("Instance", "")
    return LoadRecord(
        label=f"{offered:g} requests/s",
        tool="open_loop",
        loop="open",
        requests=answered,
        failures=int(_needed(row, "Failed", MAX_COUNT)),
        # What arrived counts: of a random number of arrivals the rate is the count over the time, not the rate asked for.
        requests_per_s=sent / seconds,
        offered_per_s=offered,
        mean_ms=_value(row, "Mean (ms)", MAX_TIME_MS),
        p50_ms=_value(row, "50% (ms)", MAX_TIME_MS),
        p95_ms=_value(row, "95% (ms)", MAX_TIME_MS),
        p99_ms=_value(row, "99% (ms)", MAX_TIME_MS),
        late_p99_ms=_value(row, "Late 99% (ms)", MAX_TIME_MS),
        dropped=int(_value(row, "Unanswered", MAX_COUNT) or 0),
        rows=_whole(row, "Rows"),
        instance=instance[:100] or None,
        instances=_whole(row, "Instances"),
        workers=_whole(row, "Workers"),
    )


def _stats(rows: Sequence[Row]) -> LoadResults:
    named = [row for row in rows if row[1]["Name"] not in (AGGREGATED, "Total", "warm-up")]
    kept = named or [row for row in rows if row[1]["Name"] == AGGREGATED]
    if not kept:
        raise InputError("Name", rows[0][1]["Name"], f"a row of requests, or the row {AGGREGATED}")
    records, left_out = [], []
    for row in kept:
        name = row[1]["Name"][:60]
        count = int(_needed(row, "Request Count", MAX_COUNT))
        failures = int(_needed(row, "Failure Count", MAX_COUNT))
        if count == 0:
            left_out.append(f"line {row[0]}: no request")
            continue
        ours = OURS.fullmatch(name)
        # Locust spreads the count of a name over the whole run; a load of ours says its own rate.
        rate = float(ours[1]) if ours else _value(row, "Requests/s", MAX_RATE_PER_S)
        records.append(
            LoadRecord(
                label=name,
                tool="locust",
                loop="open" if ours else "unknown",
                requests=count,
                failures=failures,
                requests_per_s=rate,
                offered_per_s=rate if ours else None,
                mean_ms=_needed(row, "Average Response Time", MAX_TIME_MS),
                p50_ms=_value(row, "50%", MAX_TIME_MS),
                p95_ms=_value(row, "95%", MAX_TIME_MS),
                p99_ms=_value(row, "99%", MAX_TIME_MS),
                rounded=True,
            )
        )
    return LoadResults("locust", tuple(records), tuple(left_out))


def _history(rows: Sequence[Row]) -> LoadResults:
    """A record for each number of users held for longer than Locust's window; means from the differences of its totals."""
    full = any(row[1]["Name"] != AGGREGATED for row in rows)
    total = [row for row in rows if row[1]["Name"] == AGGREGATED]
    if not total:
        raise InputError("Name", rows[0][1]["Name"], f"rows of {AGGREGATED}")
    records, left_out = [], []
    busy = sum(row[1]["User Count"] != "0" for row in total)
    for users, group in groupby(total, key=lambda row: _needed(row, "User Count", 1e7)):
        members = list(group)
        if users == 0:
            continue
        start = _needed(members[0], "Timestamp", 1e12)
        settled = [row for row in members if _needed(row, "Timestamp", 1e12) >= start + WINDOW_S]
        record = _held(int(users), settled, full, alone=len(members) == busy)
        if record is None:
            left_out.append(f"{users:g} users: held for less than {2 * WINDOW_S:g} s, or no request")
        else:
            records.append(record)
    return LoadResults("locust_history", tuple(records), tuple(left_out))


def _held(users: int, settled: Sequence[Row], full: bool, *, alone: bool) -> LoadRecord | None:
    """The record of one number of users, from the rows after the first window; None if they are too few."""
    if len(settled) < 2:
        return None
    first, last = settled[0], settled[-1]
    seconds = _needed(last, "Timestamp", 1e12) - _needed(first, "Timestamp", 1e12)
    before, after = (_needed(row, "Total Request Count", MAX_COUNT) for row in (first, last))
    if seconds < WINDOW_S or after <= before:
        return None
    sums = [
        _needed(row, "Total Average Response Time", MAX_TIME_MS) * count
        for row, count in ((first, before), (last, after))
    ]
    failed = _needed(last, "Total Failure Count", MAX_COUNT) - _needed(first, "Total Failure Count", MAX_COUNT)

    def percentile(column: str) -> float | None:
        """Mean of the windows' percentiles; without them Locust's are of all requests so far, right for one load only."""
        if not full:
            return _value(last, column, MAX_TIME_MS) if alone else None
        found = [value for row in settled if (value := _value(row, column, MAX_TIME_MS)) is not None]
        return sum(found) / len(found) if found else None

    return LoadRecord(
        label=f"{users:,} users",
        tool="locust_history",
        loop="closed",
        requests=int(after - before),
        failures=max(0, int(failed)),
        requests_per_s=(after - before) / seconds,
        users=users,
        mean_ms=max(0.0, (sums[1] - sums[0]) / (after - before)),
        p50_ms=percentile("50%"),
        p95_ms=percentile("95%"),
        p99_ms=percentile("99%"),
        rounded=True,
        note="percentiles are the mean of windows of 10 s" if full else None,
    )
