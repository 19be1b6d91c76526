"""The newest records of a topic, and whatever comes behind them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from headrace.streams.engine.connection import Connection
from headrace.streams.engine.reader import Skipped, read
from headrace.streams.records import Record
from headrace.streams.topics import Topics

Shown = tuple[Record, dict[str, Any]]

_LOOK_BACK = 300
_MEANWHILE = 10_000


class Tail:
    """A topic's records from near its end on.

    Offsets have gaps (the markers of transactions, barriers), so the newest records are looked for
    from further back, and what was shown is passed over when the topic is followed.

    Parameters
    ----------
    kafka, topics, what
        As for :func:`headrace.streams.engine.reader.read`.
    last
        How many of the newest records to begin with; None: all there are.
    follow
        Whether to wait for more.

    Attributes
    ----------
    skipped
        Records that did not decode.
    """

    def __init__(
        self, kafka: Connection, topics: Topics, what: str, *, last: int | None, follow: bool
    ) -> None:
        self.skipped: list[Skipped] = []
        self._last = last
        back = None if last is None else 3 * last + _LOOK_BACK
        self._there = read(kafka, topics, what, last=back)
        if back is not None:
            back += _MEANWHILE
        self._coming = read(kafka, topics, what, last=back, follow=True) if follow else None

    def __iter__(self) -> Iterator[Shown]:
        if self._last is None:
            reading = self._coming or self._there
            self.skipped = reading.skipped
            yield from reading.records()
            return
        seen: dict[int, int] = {}
        newest: deque[Shown] = deque(maxlen=self._last)
        for record, fields in sorted(self._noted(seen), key=lambda shown: _moment(shown[0])):
            newest.append((record, fields))
        self.skipped = self._there.skipped
        yield from newest
        if self._coming is not None:
            for record, fields in self._coming.records():
                if record.offset > seen.get(record.partition, -1):
                    yield record, fields

    def _noted(self, seen: dict[int, int]) -> Iterator[Shown]:
        for record, fields in self._there.records():
            seen[record.partition] = record.offset
            yield record, fields


_moment = attrgetter("timestamp_ms", "partition", "offset")
