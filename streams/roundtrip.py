"""Whether what is written of an event is read as the same event: tried, since classes hold code.

A validator of the user's own is applied to what came in, and once more to what was written of the
result; a serializer may write what validation does not read. So each record of such a class is read
again before it is published, and ``headrace check`` tries every class with made-up events.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

from headrace.schemas.errors import InputError
from headrace.schemas.names import name_faults
from headrace.streams.decoding import Decode, Rejected, decoder_of, encoder_of
from headrace.streams.event import Event, is_time
from headrace.streams.pipeline import Labels, Pipeline
from headrace.streams.simulation.madeup import MadeUp
from headrace.streams.wire import Encode, unwritable

TRIALS = 40
"""So many events of a class are made up, written and read."""

GRID = 7_919
"""Made-up numbers lie on so many steps: enough digits to notice what rounds."""

_NEAR = datetime(2024, 5, 1, 12, 30, 15, 123_456, tzinfo=UTC)
_SKIPPED = frozenset({"metadata", "default", "expected", "cls", "config"})

_SERIALIZER = "Let the serializer write what validation reads back, or leave it."
_VALIDATOR = (
    "Validators are applied to what is written, too: let one leave alone what it has already"
    " changed, or put its result into a field of another name."
)
_EXCLUDED = "Leave exclude=True; repr=False hides a field where events are shown."


def has_own_code(model: type[Event]) -> bool:
    """Return whether what a class writes can differ from what it reads: it holds functions."""
    return bool(model.__pydantic_decorators__.model_serializers) or _holds_code(
        model.__pydantic_core_schema__
    )


def _holds_code(node: Any) -> bool:
    if isinstance(node, list | tuple):
        return any(_holds_code(child) for child in node)
    if not isinstance(node, dict) or is_time(node):
        return False
    if str(node.get("type")).startswith("function-") or node.keys() & {
        "serialization",
        "serialization_exclude",
        "serialization_exclude_if",
    }:
        return True
    return any(_holds_code(child) for key, child in node.items() if key not in _SKIPPED)


def reread_fault(event: Event, value: bytes, decode: Decode) -> str | None:
    """Return how what was written of an event differs from it, as a sentence; None if it does not.

    Parameters
    ----------
    value
        What was written.
    decode
        What reads it.
    """
    model = type(event)
    again = decode(value)
    if isinstance(again, Rejected):
        place = f"{model.__name__}.{again.field}" if again.field else model.__name__
        return (
            f"{place} is refused when it is read again: {again.detail}"
            f" {_remedy(model, again.field)}"
        )
    for name in type(again).model_fields:
        before, after = event.__dict__[name], again.__dict__[name]
        if not _same(before, after):
            return (
                f"{model.__name__}.{name} is {before!r:.80} when it is written, and {after!r:.80}"
                f" when it is read again. {_remedy(model, name)}"
            )
    return None


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and (type(one) is bool) == (type(other) is bool)


def _remedy(model: type[Event], name: str | None) -> str:
    field = model.model_fields.get(name or "")
    if field is not None and (field.exclude or field.exclude_if):
        return _EXCLUDED
    serializers = model.__pydantic_decorators__.field_serializers.values()
    if any(name in each.info.fields for each in serializers):
        return _SERIALIZER
    return _SERIALIZER if model.__pydantic_decorators__.model_serializers else _VALIDATOR


class Trial(NamedTuple):
    """What came of trying a class.

    Attributes
    ----------
    tried
        How many events were written and read again.
    fault
        How one of them differed; None if none did.
    untried
        Why none could be made up, if so.
    """

    tried: int = 0
    fault: str | None = None
    untried: str | None = None


def round_trip(model: type[Event], encode: Encode, decode: Decode) -> Trial:
    """Write and read made-up events of a class; always the same ones."""
    declared = next(_declared_faults(model), None)
    if declared is not None:
        return Trial(fault=declared)
    maker = MadeUp(model, Random(model.__name__), GRID)  # noqa: S311 - values, not secrets
    for number in range(TRIALS):
        try:
            event = maker.make(_NEAR, {})
        except InputError as error:
            return Trial(number, untried=str(error))
        if fault := trial_fault(event, encode, decode):
            return Trial(number, fault)
    return Trial(TRIALS)


def trial_fault(event: Event, encode: Encode, decode: Decode) -> str | None:
    """Write an event, read it, and return how it differs, or cannot be written."""
    try:
        value = encode(event)
    except Exception as error:  # noqa: BLE001 - a class' own serializer may raise anything
        return unwritable(event, error)
    return reread_fault(event, value, decode)


def _declared_faults(model: type[Event]) -> Iterator[str]:
    for name, why in name_faults(model):
        yield (
            f"{model.__name__}.{name} {why}: both cannot be written. Give each field a place of"
            " its own in what is read."
        )
    for name, field in model.model_fields.items():
        if field.exclude:
            yield f"{model.__name__}.{name} has exclude=True, so it is never written. {_EXCLUDED}"


def round_trips(pipeline: Pipeline) -> dict[str, Trial]:
    """Try the classes of a pipeline in the formats in which they travel, by class and format."""
    source, labels = pipeline.events, pipeline.labels
    classes = [(source.event, source.format)]
    if isinstance(labels, Labels):
        classes.append((labels.label, labels.format))
    return {
        f"{model.__name__} in {form}": round_trip(
            model, encoder_of(model, form), decoder_of(model, form)
        )
        for model, form in classes
    }
