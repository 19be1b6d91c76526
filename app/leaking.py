"""What ``headrace check`` says of features that may be known only with the label."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.app.values import leak_text
from headrace.schemas.avro import field_types
from headrace.schemas.errors import InputError
from headrace.streams.leaks import LEAST, area_of
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan
from headrace.streams.replay import replay
from headrace.streams.rows import Reading, read_rows

EVENTS_MAX = 5_000
"""So many of a file's events are looked at."""

_TELLING = 4
"""A label's name of fewer letters stands in too many others."""

_OF_NO_MEANING = frozenset({"label", "value", "target", "class", "outcome", "result", "truth"})


def leak_hints(plan: Plan) -> list[str]:
    """Return a sentence for each feature that reads what the label's side seems to know first."""
    labels: Any = plan.pipeline.labels
    if labels is None:
        return []
    name = str(labels.value)
    theirs = set(field_types(labels.label)) - _coordinates(plan) if plan.labels == "topic" else ()
    return [
        f"feature {feature.name} reads {field!r}, {why}: is it known when the event happens?"
        for feature in plan.pipeline.flat_features()
        for field in feature.fields
        if (why := _why(field, name, theirs))
    ]


def _coordinates(plan: Plan) -> set[str]:
    """Return the fields by which a label finds its event, which both have to have."""
    source, labels = plan.pipeline.events, plan.pipeline.labels
    assert isinstance(labels, Labels)
    return {source.id, source.key, source.time, labels.id, labels.time}


def _why(field: str, label: str, theirs: Any) -> str:
    if field in theirs:
        return "which the label has too"
    plain = label.lower()
    telling = len(plain) >= _TELLING and plain not in _OF_NO_MEANING
    named = telling and plain in field.lower()
    return f"whose name has the label's in it ({label!r})" if named else ""


def leaks_in_files(plan: Plan, events: Path, labels: Path | None, reading: Reading) -> str:
    """Return in a sentence which features alone order the labels of some files.

    Raises
    ------
    InputError
        A file or a row cannot be used.
    """
    if plan.task == "regression":
        return f"{plan.name}: a label that is a number is not looked at for leaks."
    rows_of_events = read_rows(events, plan.pipeline.events.event, reading=reading)
    sample = list(islice(rows_of_events, EVENTS_MAX))
    ids = {plan.event_id(event) for event in sample}
    known = list(_labels_of(plan, ids, labels, reading))
    sample.sort(key=plan.event_time_ms)
    result = replay(plan.pipeline, sample, known or None, step="1d")
    rows = [example for example in result.examples if example["label"] is not None]
    truths = [row["label"] for row in rows]
    areas = {
        name: area_of([row["features"][name] for row in rows], truths, category=kind == "category")
        for name, kind in plan.feature_fields
    }
    if all(area is None for area in areas.values()):
        return f"{plan.name}: {len(rows):,} labels are too few, or of one class, to look for leaks."
    found = {name: area for name, area in areas.items() if area is not None and area >= LEAST}
    if found:
        return f"{plan.name}: {leak_text(found)}"
    return f"{plan.name}: no feature alone orders the labels of {len(rows):,} events."


def _labels_of(plan: Plan, ids: set[str], labels: Path | None, reading: Reading) -> Iterator[Any]:
    declared = plan.pipeline.labels
    if not isinstance(declared, Labels):
        return
    if labels is None:
        raise InputError(f"{plan.name}: its labels are on a topic of their own. Give --labels.")
    for label in read_rows(labels, declared.label, unless_blank=declared.value, reading=reading):
        if plan.label_id(label) in ids:
            yield label
