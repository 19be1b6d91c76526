"""Events and labels as they are published, interleaved by their own times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeVar

from headrace.schemas.errors import InputError
from headrace.streams.decoding import VALUE_BYTES_MAX, Decode, name_fault, time_fault
from headrace.streams.event import Event
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan
from headrace.streams.roundtrip import reread_fault
from headrace.streams.rows import Row
from headrace.streams.stages.repetitions import Origin
from headrace.streams.wire import Encode, unwritable

E = TypeVar("E", bound=Event)


class Outgoing(NamedTuple):
    """One event or label, ready to be published.

    Attributes
    ----------
    time_ms
        Its own time. Among several in order: the latest so far.
    is_label
        Whether it is a label.
    key, value
        The record.
    row
        The number of its row in its file, from 1; None if it comes from no file.
    origin
        Its source and its place there; None if it may be written once only.
    after_events
        Whether it is a label behind the last event: then it does not move the labels' clock.
    """

    time_ms: int
    is_label: bool
    key: bytes
    value: bytes
    row: int | None = None
    origin: Origin | None = None
    after_events: bool = False


def outgoing_event(plan: Plan, event: Event, value: bytes | None = None) -> Outgoing:
    """Return an event's record; its key is the entity key.

    Parameters
    ----------
    value
        What the event was read from, if that is to be published as it is.

    Raises
    ------
    TypeError
        It is of another class than the pipeline declares.
    InputError
        SCORE would refuse it, whoever published it.
    """
    source = plan.pipeline.events
    _check_class(plan, event, source.event, "events")
    key = plan.event_key(event)
    _check_name(plan, plan.event_id(event), source.id, "empty_id")
    _check_name(plan, key, source.key, "empty_key")
    value = value or _written(plan, event, plan.encode_event, plan.reread_event)
    return Outgoing(_time_ms(plan, plan.event_time_ms(event)), False, key.encode(), value)


def outgoing_label(plan: Plan, label: Event, value: bytes | None = None) -> Outgoing:
    """Return a label's record; its key is the id of its event.

    Parameters
    ----------
    value
        What the label was read from, if that is to be published as it is.

    Raises
    ------
    TypeError
        It is of another class than the pipeline declares.
    InputError
        The pipeline takes no labels, or ROUTE would refuse this one.
    """
    labels = plan.pipeline.labels
    if not isinstance(labels, Labels):
        raise InputError(
            f"{plan.name}: this pipeline takes no labels from a topic. Declare labels=Labels(...)."
        )
    _check_class(plan, label, labels.label, "labels")
    name = plan.label_id(label)
    _check_name(plan, name, labels.id, "empty_id")
    value = value or _written(plan, label, plan.encode_label, plan.reread_label)
    return Outgoing(_time_ms(plan, plan.label_time_ms(label)), True, name.encode(), value)


def _check_class(plan: Plan, row: Event, wanted: type[Event], what: str) -> None:
    if not isinstance(row, wanted):
        raise TypeError(
            f"{plan.name}: {what} are of the class {wanted.__name__}, not {type(row).__name__}."
        )


def _check_name(plan: Plan, name: str, field: str, code: str) -> None:
    fault = name_fault(name, field, code)
    if fault is not None:
        raise InputError(f"{plan.name}: {fault.detail}")


def _time_ms(plan: Plan, time_ms: int) -> int:
    fault = time_fault(time_ms, time_ms, 0)
    if fault is not None:
        raise InputError(f"{plan.name}: {fault.detail}")
    return time_ms


def _written(plan: Plan, row: Event, encode: Encode, reread: Decode | None) -> bytes:
    """Return an event as bytes that will be read as the same event."""
    try:
        value = encode(row)
    except Exception as error:
        raise InputError(f"{plan.name}: {unwritable(row, error)}") from error
    fault = reread_fault(row, value, reread) if reread is not None else None
    if fault is not None:
        raise InputError(f"{plan.name}: {fault}")
    if len(value) > VALUE_BYTES_MAX:
        raise InputError(
            f"{plan.name}: a record of {len(value)} bytes; at most {VALUE_BYTES_MAX} are read."
        )
    return value


def outgoing_rows(
    plan: Plan, rows: Iterable[Row[E]], make: Callable[[Plan, Event], Outgoing]
) -> Iterator[Outgoing]:
    """Go through a file's rows as records that know their rows.

    Parameters
    ----------
    make
        :func:`outgoing_event` or :func:`outgoing_label`.

    Raises
    ------
    InputError
        A stage would refuse a row; with its file and line.
    """
    for row in rows:
        try:
            record = make(plan, row.value)
        except InputError as error:
            raise InputError(f"{row.path}, line {row.line}: {error}") from error
        yield record._replace(row=row.number)


def interleaved(
    plan: Plan, events: Iterable[Event], labels: Iterable[Event] = ()
) -> Iterator[Outgoing]:
    """Go through events and labels in the order in which they would have come.

    Events come as they stand: one that is behind others came late. Labels are sorted by their
    times, so all of them are held in memory, encoded. At one time, events come before labels:
    what became known then cannot have been used then.
    """
    ready = (outgoing_event(plan, event) for event in events)
    return in_order(ready, (outgoing_label(plan, label) for label in labels))


def in_order(events: Iterable[Outgoing], labels: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """Do what :func:`interleaved` does, with records that are ready to be published."""
    known = sorted(labels, key=attrgetter("time_ms"))
    return merge(rising(events), known, key=attrgetter("time_ms"))


def rising(records: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """Go through records as they stand; each has the latest time so far."""
    latest = None
    for record in records:
        latest = record.time_ms if latest is None else max(latest, record.time_ms)
        yield record._replace(time_ms=latest)


def slices(records: Iterable[Outgoing], step_ms: int) -> Iterator[tuple[int, Iterator[Outgoing]]]:
    """Cut records in order into slices of time; empty ones are left out.

    Yields
    ------
    (int, iterator)
        The end of a slice, a multiple of ``step_ms`` since the epoch, and its records, to be gone
        through before the next slice is asked for.
    """
    for number, part in groupby(records, lambda record: record.time_ms // step_ms):
        yield (number + 1) * step_ms, part
