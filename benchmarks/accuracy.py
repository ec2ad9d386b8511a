"""The points of the accuracy page: measured figures beside what constants say that never saw them.

`python -m benchmarks.accuracy [--measured FOLDER]` writes catalogs/accuracy.csv.gz and catalogs/accuracy.yaml. Language models: a
fold of models held back; networks: the network, and for batch curves network, GPU, runtime and precision together; statistical
models: the model. GPU memory of networks is scored as it ships; queues have nothing fitted. About six minutes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import time
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from datetime import date
from math import ceil
from pathlib import Path
from typing import Any

import yaml

from benchmarks.accuracy_points import Collected, collect
from sizing import catalog as catalogs
from sizing.accuracy import worst
from sizing.accuracy_points import COLUMNS, FILE, HEAD, Point
from sizing.deep_learning.graph import graph
from sizing.deep_learning.latency import network_of

MEASURED = Path("../shared/measured")
MOST = 6_500
"""About as many figures are kept [count]."""
BADLY = 0.12
"""Share of each quantity's figures, the worst predicted, that is kept whole [1]: P90 is that of all."""
WORST = 0.03
"""The same by ratio, either way [1]: a prediction half as large is 50 % off, one twice as large 100 %."""
SMALL = 700
"""Quantities of so few figures are kept whole, simulations apart [count]."""


def thinned(points: Sequence[Point], most: int = MOST, always: Collection[str] = ()) -> list[Point]:
    """A sample: quantities of few figures, the worst predicted eighth of each other one and networks named in `always` whole; of the
    rest of each group (model, part, engine) evenly spaced ones in the order of their errors, at least one. Each kept one of the rest stands
    for its neighbours, so that counts are those of all and medians nearly."""
    whole, rest = set[int](), dict[tuple[str, ...], list[Point]]()
    for mine in _by(points, lambda p: (p.kind, p.quantity)).values():
        if len(mine) <= SMALL and mine[0].kind != "queues":
            whole |= {id(p) for p in mine}
            continue
        bad = sorted(mine, key=lambda p: -abs(p.error))[: ceil(BADLY * len(mine))]
        whole |= {id(p) for p in (*bad, *worst(mine, ceil(WORST * len(mine))))} | {
            id(p) for p in mine if p.model in always
        }
        rest |= _by([p for p in mine if id(p) not in whole], _group)
    share = 1.0
    while len(whole) + sum(ceil(share * len(mine)) for mine in rest.values()) > most and share > 0.05:
        share -= 0.01
    kept = {}
    for mine in rest.values():
        count = ceil(share * len(mine))
        each = len(mine) / count
        ordered = sorted(mine, key=lambda p: (p.error, _hash(p)))
        kept |= {id(ordered[int((k + 0.5) * each)]): each for k in range(count)}
    return [replace(p, stands_for=kept.get(id(p), 1.0)) for p in points if id(p) in whole or id(p) in kept]


def _group(p: Point) -> tuple[str, ...]:
    # A table of throughputs has one row of a network on a GPU, simulations few of one count of servers: there the families, or all of a law,
    # are a group.
    alike = {"deep_learning": p.family, "queues": ""}.get(p.kind, p.model)
    return p.kind, p.quantity, alike, p.hardware, p.engine


def networks_of_pages() -> frozenset[str]:
    """Measured names of the networks that the deep learning page offers."""
    catalog = catalogs.load()
    return frozenset(network_of(graph(catalog, id)).name for id in catalog.deep_learning_models) - {""}


def _by(points: Iterable[Point], key: Any) -> dict[Any, list[Point]]:
    found: dict[Any, list[Point]] = {}
    for point in points:
        found.setdefault(key(point), []).append(point)
    return found


def _hash(point: Point) -> int:
    return zlib.crc32(f"{point.setting}|{point.batch:g}|{point.format}|{point.measured:.6g}".encode())


def table(points: Iterable[Point]) -> str:
    """Points as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for point in points:
        writer.writerow(["" if v is None else int(v) if isinstance(v, bool) else f"{v:.5g}" if isinstance(v, float) else v
                         for v in astuple(point)])  # fmt: skip
    return out.getvalue()


def head(text: str, ids: Mapping[str, str], all_of: Collected) -> dict[str, Any]:
    """The content of catalogs/accuracy.yaml; `ids` are those of the sources."""
    return {
        "catalog": "accuracy",
        "as_of": date.today().isoformat(),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "sources": {id: source for source, id in ids.items()},
        "names": dict(sorted(all_of.names.items())),
        "stated": [row.model_dump(exclude_none=True) for row in all_of.stated],
        "skipped": [{"kind": k, "because": why, "count": n} for (k, why), n in all_of.skipped.items() if n],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect all points and write them."""
    parser = argparse.ArgumentParser(description="Write the points of the accuracy page.")
    parser.add_argument("--measured", type=Path, default=MEASURED, help="folder of the measured CSV files")
    folder, all_of = parser.parse_args(arguments).measured, Collected()
    for name, found in collect(folder):
        all_of.points += found.points
        all_of.stated += found.stated
        all_of.skipped += found.skipped
        all_of.names |= found.names
        print(f"{time.process_time():6.0f} s  {name}: {len(found.points):,} figures", flush=True)
    kept = thinned(all_of.points, always=networks_of_pages())
    ids = {s: f"s{i}" for i, s in enumerate(dict.fromkeys(p.source for p in kept), start=1)}
    text = table(replace(p, source=ids[p.source]) for p in kept)
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))
    HEAD.write_text(yaml.safe_dump(head(text, ids, all_of), sort_keys=False, width=118), encoding="utf-8")
    counts = Counter(p.kind for p in kept)
    print(f"{len(kept):,} of {len(all_of.points):,} figures kept: {dict(counts)}; {FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
