"""Marks: how far a source has come, said to everybody who waits for it (docs/adr/0009).

JOIN lets go of what no event or label can match any more, by the lowest watermark of all source
partitions. Records carry their source's watermark, but a source may send this task no record for
long, or never: labels keyed like predictions reach one partition each. So SCORE and ROUTE say
their watermark to every partition of what they write to, whenever it crosses a multiple of a
sixteenth of the wait: a function of the log alone, as all that they say.

A publisher may promise in the same way, on every partition of an input, that nothing older comes
from here on. That moves the clocks of partitions to which no entity belongs. A label may carry such
a promise too: then this moves the clock, and the label's own time does not. So the last labels of
a history, which became known after its last event, do not make the labels of later events late
(docs/adr/0014).
"""

from __future__ import annotations

from typing import NamedTuple

from headrace.streams.decoding import time_fault
from headrace.streams.records import WATERMARK, Emit, Record
from headrace.streams.stages.barriers import barrier_of
from headrace.streams.watermark import Clock


class Control(NamedTuple):
    """What a record of an input says besides events and labels.

    Attributes
    ----------
    barrier
        A barrier's name, None if it is none.
    watermark
        What its publisher promises, in ms of event time, None if nothing.
    """

    barrier: str | None
    watermark: int | None


class Mark(NamedTuple):
    """A source partition and its watermark in ms of event time."""

    source: int
    watermark: int


def control_of(record: Record, skew_ms: int) -> Control | None:
    """Return what a record of an input says besides events and labels, None if nothing.

    Parameters
    ----------
    skew_ms
        How far ahead of the record's timestamp a promise may be: one beyond it is ignored.
    """
    if record.value is not None or not record.headers:
        return None
    watermark = promise_of(record, skew_ms)
    barrier = barrier_of(record)
    return None if barrier is None and watermark is None else Control(barrier, watermark)


def promise_of(record: Record, skew_ms: int) -> int | None:
    """Return the watermark that the publisher of an input's record promises, None if none.

    Parameters
    ----------
    skew_ms
        As in :func:`control_of`.
    """
    watermark = _number(dict(record.headers).get(WATERMARK))
    if watermark is not None and time_fault(watermark, record.timestamp_ms, skew_ms):
        return None
    return watermark


def mark_of(record: Record) -> Mark | None:
    """Return the mark that a record of predictions or routed labels is, None if it is none."""
    if record.value is not None or not record.headers:
        return None
    source, colon, watermark = dict(record.headers).get(WATERMARK, b"").partition(b":")
    numbers = _number(source), _number(watermark)
    if not colon or numbers[0] is None or numbers[1] is None:
        return None
    return Mark(numbers[0], numbers[1])


def mark_record(mark: Mark, topic: str, partition: int) -> Emit:
    """Return a mark as it is written to one partition."""
    said = f"{mark.source}:{mark.watermark}".encode()
    return Emit(topic, partition, None, None, ((WATERMARK, said),))


def raised(clock: Clock, watermark: int) -> int | None:
    """Raise a clock to what its publisher promises; return the watermark before."""
    before: int | None = clock[0]
    if before is None or watermark > before:
        clock[0] = watermark
    return before


def crossed(before: int | None, now: int | None, step_ms: int) -> bool:
    """Return whether a watermark has crossed a multiple of a step, or is the first one.

    Examples
    --------
    >>> [crossed(None, 5, 10), crossed(5, 9, 10), crossed(9, 10, 10), crossed(9, 9, 10)]
    [True, False, True, False]
    """
    if now is None or now == before:
        return False
    return before is None or before // step_ms != now // step_ms


def _number(text: bytes | None) -> int | None:
    """Return a number of at most 18 digits, as ASCII."""
    return int(text) if text and len(text) <= 18 and text.isdigit() else None
