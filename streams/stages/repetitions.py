"""Repetitions: what a source has sent before is passed over (docs/adr/0014).

A publisher that was stopped cannot know which of its last records arrived. So each record of an
ordered source carries its source and its place there, in the header ``headrace-source``; the
publisher sends again whatever it is not sure of; and SCORE and ROUTE keep how far each source has
come in their partition. A record at or before that place came before: it is counted, and moves
nothing. A publisher writes a source's records to a partition in rising order and without gaps, so
no record that is new is ever taken for a repetition.

State key: ``s``, of each source by name ``[place of its last record, newest record timestamp]``.
Which sources are remembered is a function of the log: of too many, the one heard of longest ago
by record timestamp is dropped.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from headrace.streams.protocol.stage import View
from headrace.streams.records import SOURCE, Record

SOURCES = "s"

SOURCES_MAX = 128
"""Of so many sources the place is kept in each partition."""

_ORDERED = re.compile(rb"([\w.:-]{1,64})@(\d{1,18})")


class Origin(NamedTuple):
    """Where a record stands in its source."""

    source: str
    place: int


def origin_of(record: Record) -> Origin | None:
    """Return where a record stands in its ordered source, None if it does not say.

    Examples
    --------
    >>> origin_of(Record("t", 0, 0, 0, None, b"{}", (("headrace-source", b"a1@12"),)))
    Origin(source='a1', place=12)
    """
    for name, value in record.headers:
        if name == SOURCE and value is not None:
            found = _ORDERED.fullmatch(value)
            return None if found is None else Origin(found[1].decode(), int(found[2]))
    return None


def source_header(origin: Origin) -> tuple[str, bytes]:
    """Return the header by which a record says where it stands in its source."""
    return SOURCE, f"{origin.source}@{origin.place}".encode()


class Places:
    """How far each source has come, while a batch is being processed.

    Nothing is read or written unless a record names its source.

    Parameters
    ----------
    view
        The task's states; ``s`` of them has been read.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._places: dict[str, list[int]] | None = None

    def passes(self, record: Record) -> bool:
        """Take in where a record stands; say whether its source has sent it before."""
        origin = origin_of(record)
        if origin is None:
            return False
        places = self._places
        if places is None:
            places = self._places = self._view.get(SOURCES) or {}
        place, heard_ms = places.get(origin.source, (-1, record.timestamp_ms))
        newest = max(place, origin.place), max(heard_ms, record.timestamp_ms)
        places[origin.source] = list(newest)
        if len(places) > SOURCES_MAX:
            del places[min(places, key=lambda name: (places[name][1], name))]
        return origin.place <= place

    def keep(self) -> None:
        """Make what was taken in part of the batch."""
        if self._places is not None:
            ordered = {name: self._places[name] for name in sorted(self._places)}
            self._view.put(SOURCES, ordered)
