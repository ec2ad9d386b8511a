"""The advice in words: its first sentence, the parts of each row, and the whole of it for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sizing.advisor.evaluate import Advice, Figures, LatencyChange, Outcome
from sizing.advisor.moves import Note
from sizing.advisor.path import OTHER_PRODUCT, PathStep
from sizing.advisor.quality import Effect, Quality
from sizing.money import format_money
from sizing.units import format_bytes, format_ms

EFFECT_WORDS: dict[Effect, str] = {
    "same": "answers stay the same",
    "rounding": "answers stay the same but for rounding",
    "slight": "answers can change slightly",
    "may_change": "answers can change",
    "unknown": "answers can change",
}
STATUS_WORDS = {
    "saves": "saves",
    "leaner": "costs the same",
    "relaxes": "saves, but gives something up",
    "nothing": "makes no difference",
    "costs": "costs more",
    "fails": "does not serve",
}


def sentence(advice: Advice) -> str:
    """What saves most without another model, other terms of rent or an assumption; then what other terms would save.

    Where nothing does, it says so.
    """
    technical = next((o for o in advice.suggested if o.status == "saves" and _plain(o)), None)
    bought = next((o for o in advice.suggested if o.status == "saves" and o.move.group == "purchase"), None)
    said = []
    if technical is not None:
        quality = technical.move.quality
        said.append(
            f"{technical.move.title}: {saved_words(advice, technical)} a month{_fewer(advice, technical)}, and every limit holds."
        )
        said.append(quality.words if quality.effect == "same" else f"Quality: {quality_words(quality)}.")
    if bought is not None:
        begin = f"{bought.move.title[0].lower()}{bought.move.title[1:]}"
        also = "" if technical is not None else "Only other terms of rent were found to cost less: "
        said.append(
            f"{also}{'To' if technical else 'to'} {begin} would save {format_money(bought.saves_usd_per_month, advice.scenario)} a month ({_percent(bought)})."
        )
    if not said and any(o.status == "saves" for o in advice.suggested):
        said.append("What costs less is another model, another region, or rests on an assumption.")
    if technical is None and (leaner := sum(o.status == "leaner" for o in advice.suggested)):
        changes = "1 change needs" if leaner == 1 else f"{leaner} changes need"
        said.append(f"{changes} less memory or time for the same money.")
    return " ".join(said) or "No change tried here costs less or needs less memory or time."


def _plain(outcome: Outcome) -> bool:
    move = outcome.move
    return move.condition is None and move.group not in (*OTHER_PRODUCT, "purchase", "region")


def _fewer(advice: Advice, outcome: Outcome) -> str:
    assert outcome.figures is not None
    return f" with {machines_words(outcome.figures)} instead of {machines_words(advice.present)}"


def _percent(outcome: Outcome) -> str:
    return f"{abs(outcome.saves_share or 0.0):.0%}".replace("%", " %")


def machines_words(figures: Figures) -> str:
    """Machines and their kind, such as 2 × g4dn.xlarge (aws)."""
    return f"{figures.instances:,} × {figures.instance_type} ({figures.provider})"


def saved_words(advice: Advice, outcome: Outcome) -> str:
    """Money saved or spent a month, with its share, or that there is no difference."""
    saved = outcome.saves_usd_per_month
    if saved is None:
        return "–"
    if outcome.status in ("leaner", "nothing") and abs(saved) < 0.01:
        return "no difference"
    return f"{format_money(abs(saved), advice.scenario)} {'less' if saved > 0 else 'more'} ({_percent(outcome)})"


def latency_words(change: LatencyChange) -> str:
    """One limit: before and after, the limit, and what is not certain of it."""
    name = change.quantity.split("(")[-1].rstrip(")")
    limit = "no limit" if change.limit_ms is None else f"limit {format_ms(change.limit_ms)}"
    before, after = format_ms(change.before_ms), format_ms(change.after_ms)
    times, sure = (f"{after} as before", "") if before == after else (f"{before} → {after}", "")
    if before != after and not change.decided:
        sure = ", difference not decided"
    if not change.met:
        sure = ", limit broken"
    elif not change.secure:
        sure += ", slow end over the limit"
    return f"{name} p{change.percentile} {times} ({limit}{sure})"


def memory_words(advice: Advice, outcome: Outcome) -> str:
    """Memory in use of one accelerator or instance, before and after where it is of the same kind."""
    after = outcome.figures
    if after is None:
        return "–"
    each = "accelerator" if after.accelerator_name is not None else "instance"
    now, before = format_bytes(after.memory_bytes), format_bytes(advice.present.memory_bytes)
    used = f"{now} of {format_bytes(after.memory_capacity_bytes)} per {each}"
    if outcome.memory_saved_bytes is None:
        return used
    return f"{used}, as before" if now == before else f"{before} → {used}"


def quality_words(quality: Quality) -> str:
    """What is known of the answers, with its source and date."""
    return f"{quality.words} ({quality.source}; {quality.as_of})"


def note_words(note: Note, advice: Advice) -> str:
    """A way beyond the fields of the scenario, with what it costs against the present plan."""
    if note.usd_per_month is None:
        return f"{note.title}: {note.words}."
    gap = note.usd_per_month - advice.present.usd_per_month
    against = f"{format_money(abs(gap), advice.scenario)} {'more' if gap > 0 else 'less'} than now"
    return f"{note.title}: {format_money(note.usd_per_month, advice.scenario)} a month, {against}; {note.words}."


def advice_text(advice: Advice, path: Sequence[PathStep] = ()) -> str:
    """Text of the advice, as `python -m sizing advise` prints it."""
    return "\n".join(_lines(advice, path)) + "\n"


def _lines(advice: Advice, path: Sequence[PathStep]) -> Iterator[str]:
    yield sentence(advice)
    yield ""
    yield f"Now: {machines_words(advice.present)}, {format_money(advice.present.usd_per_month, advice.scenario)} a month."
    for outcome in advice.suggested:
        yield ""
        yield from _suggested(advice, outcome)
    if path:
        yield ""
        yield "One after the other:"
        for number, step in enumerate(path, start=1):
            yield (
                f"  {number}. {step.outcome.move.title}: {format_money(step.figures.usd_per_month, advice.scenario)} a month, "
                f"{format_money(step.saved_usd_per_month, advice.scenario)} saved in all"
            )
    yield ""
    yield "Tried too:"
    for outcome in advice.outcomes:
        if outcome.status not in ("saves", "leaner"):
            detail = outcome.because or saved_words(advice, outcome)
            yield f"  {outcome.move.title}: {STATUS_WORDS[outcome.status]} ({detail})"
    for note in advice.notes:
        yield f"Note: {note_words(note, advice)}"
    yield f"{len(advice.outcomes)} changes tried, each with a plan of its own. Catalog {advice.catalog}."


def _suggested(advice: Advice, outcome: Outcome) -> Iterator[str]:
    move = outcome.move
    assert outcome.figures is not None
    given = "" if move.condition is None else f" ({move.condition})"
    yield f"{move.title}{given}: {saved_words(advice, outcome)}"
    yield f"  {machines_words(outcome.figures)}, {format_money(outcome.figures.usd_per_month, advice.scenario)} a month; {EFFECT_WORDS[move.quality.effect]}"
    for change in outcome.latency:
        yield f"  {latency_words(change)}"
    yield f"  memory {memory_words(advice, outcome)}"
    yield f"  quality: {quality_words(move.quality)}"
    yield f"  set {', '.join(f'{name}={value}' for name, value in move.changes.items())}"


def as_json(advice: Advice, path: Sequence[PathStep] = ()) -> dict[str, Any]:
    """Plain data of the advice, as `python -m sizing advise --json` prints it."""
    return {
        "kind": advice.scenario.kind,
        "catalog": advice.catalog,
        "scenario": advice.scenario.model_dump(mode="json"),
        "sentence": sentence(advice),
        "present": asdict(advice.present),
        "moves": [_outcome(outcome) for outcome in advice.outcomes],
        "path": [
            {
                "id": step.outcome.move.id,
                "title": step.outcome.move.title,
                "changes": _values(step.changes),
                "usd_per_month": step.figures.usd_per_month,
                "saved_usd_per_month": step.saved_usd_per_month,
                "saved_share": step.saved_share,
            }
            for step in path
        ],
        "notes": [asdict(note) for note in advice.notes],
        "plans": advice.plans,
    }


def _values(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    move = outcome.move
    return {
        "id": move.id,
        "group": move.group,
        "title": move.title,
        "changes": _values(move.changes),
        "condition": move.condition,
        "relaxes": move.relaxes,
        "status": outcome.status,
        "holds": outcome.holds,
        "saves_usd_per_month": outcome.saves_usd_per_month,
        "saves_share": outcome.saves_share,
        "figures": None if outcome.figures is None else asdict(outcome.figures),
        "latency": [{**asdict(change), "secure": change.secure} for change in outcome.latency],
        "memory_saved_bytes": outcome.memory_saved_bytes,
        "quality": {**asdict(move.quality), "lossless": move.quality.lossless},
        "because": outcome.because,
    }
