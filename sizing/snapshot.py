"""A frozen answer: scenario, catalog version and every figure in one readable file, with a checksum over its content.

It opens without computing anything, on any version of the catalogs and however the formulas have changed since. The
checksum shows that nothing was changed by accident or by hand; it is no signature, as whoever can write a file can write
a checksum too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from math import isclose
from typing import Any

from pydantic import ValidationError

from sizing.errors import InputError, shown
from sizing.plan import Plan

FORMAT = "inference-sizing snapshot"
SCHEMA = 1
"""Version of the file's shape. Fields of scenarios and plans are only added, with a usual value, so that old files open."""
KEYS = frozenset({"format", "schema", "created", "catalog", "scenario", "plan", "checksum"})
MAX_CHARACTERS = 10_000_000
"""Longest file read [characters]; the longest plan of the worked examples is under a tenth of it."""
SAME_RELATIVE = 1e-9
"""Figures closer than this [1, relative] are the same: what another processor's last digits may differ by."""
_EXACT_WHOLE = 2**53


class SnapshotError(InputError):
    """A file that cannot be opened as a snapshot; `str()` is one sentence that says why."""

    def __init__(self, sentence: str) -> None:
        super().__init__("snapshot", None, sentence)
        self.args = (f"snapshot: {sentence.rstrip('.')}.",)


@dataclass(frozen=True)
class Snapshot:
    """A plan as it was on a day, with the checksum of the file that holds it."""

    created: date
    plan: Plan
    checksum: str


def canonical(value: object) -> str:
    """JSON text of plain data that does not depend on order, white space or whether 1 is written 1.0.

    Keys sorted, no white space, whole numbers below 2^53 without a fraction. Raises ValueError for NaN and infinities.

    >>> canonical({"b": 1.0, "a": [True, 0.5, None]})
    '{"a":[true,0.5,null],"b":1}'
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_WHOLE:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON of plain data, in hexadecimal.

    >>> digest({"a": 1})[:16]
    '015abd7f5cc57a2d'
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def plan_digest(plan: Plan) -> str:
    """SHA-256 of a plan's JSON without the seconds its search took: the same wherever it is computed."""
    content = plan.as_json()
    del content["search"]["seconds"]
    return digest(content)


def to_json(plan: Plan, *, created: date) -> str:
    """Text of the snapshot of a plan: readable JSON, its checksum last."""
    content = plan.as_json()
    document: dict[str, Any] = {
        "format": FORMAT,
        "schema": SCHEMA,
        "created": created.isoformat(),
        "catalog": plan.catalog,
        "scenario": content["scenario"],
        "plan": content,
    }
    document["checksum"] = f"sha256:{digest(document)}"
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Snapshot:
    """Snapshot of a file's text, its checksum verified. Raises SnapshotError with one sentence for any other file."""
    if len(text) > MAX_CHARACTERS:
        raise SnapshotError(f"the file has over {MAX_CHARACTERS:,} characters, more than any snapshot")
    document = parsed(text)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise SnapshotError("this is not a file that was saved with Snapshot (JSON)")
    if document.get("schema") != SCHEMA:
        raise SnapshotError(f"it has schema {shown(document.get('schema'))}, and this dashboard reads schema {SCHEMA}")
    stated = document.get("checksum")
    content = {name: value for name, value in document.items() if name != "checksum"}
    if set(document) != KEYS or stated != f"sha256:{digest(content)}":
        raise SnapshotError(
            "the file was changed after it was saved (its checksum does not match its content), so its figures are not shown"
        )
    try:
        plan = Plan.model_validate(document["plan"])
        created = date.fromisoformat(document["created"])
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise SnapshotError(f"another version of this dashboard made it: {shown(place)} cannot be read here") from None
    except (TypeError, ValueError):
        raise SnapshotError("its day cannot be read") from None
    if plan.catalog != document["catalog"] or document["plan"].get("scenario") != document["scenario"]:
        raise SnapshotError("its scenario is not the one that its plan answers")
    return Snapshot(created=created, plan=plan, checksum=str(stated))


def parsed(text: str) -> object:
    """Plain data of JSON text; None where it is no JSON, gives a key twice, or holds NaN or infinities."""

    def refused(name: str) -> None:
        raise ValueError(name)

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key given twice")
        return found

    try:
        return json.loads(text, parse_constant=refused, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return None


def differences(old: object, new: object, path: str = "") -> Iterator[str]:
    """Sentences on what differs between two plans as plain data, figure by figure; the time of the search does not count.

    >>> list(differences({"cost": {"usd": 2.0}, "n": 1}, {"cost": {"usd": 3.0}, "n": 1}))
    ['cost.usd: was 2.0, is 3.0']
    """
    if path == "search.seconds" or old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            where = f"{path}.{name}" if path else str(name)
            if name in old and name in new:
                yield from differences(old[name], new[name], where)
            else:
                yield f"{where}: only in the {'snapshot' if name in old else 'new one'}"
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{path}: were {len(old)}, are {len(new)}"
        for position, (was, now) in enumerate(zip(old, new, strict=False), start=1):
            yield from differences(was, now, f"{path}[{position}]")
    elif not _same_number(old, new):
        yield f"{path}: was {shown(old)}, is {shown(new)}"


def _same_number(old: object, new: object) -> bool:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (old, new))
    return numbers and isclose(old, new, rel_tol=SAME_RELATIVE)  # type: ignore[arg-type]
