"""A history as it is published: events and labels of files, in the order in which they came."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from operator import attrgetter

from headrace.registry.kept import Source
from headrace.streams.outgoing import Outgoing, rising
from headrace.streams.sources import Opened, Run


@dataclass(slots=True)
class Passed:
    """What was not published, and why.

    Attributes
    ----------
    events, labels
        Acknowledged before.
    left
        Labels after the last event that are left for the file that goes on.
    """

    events: int = 0
    labels: int = 0
    left: int = 0


class History:
    """Goes through the events and labels of files, by their own times.

    What was published before is passed over. Events come as they stand in their file, or sorted;
    labels by their times, those of several files interleaved.

    Parameters
    ----------
    events
        The file of events.
    labels
        Files of labels, or parts of them.
    more
        Whether another file goes on behind these: labels after the last event are left for it.

    Attributes
    ----------
    passed
        What has been passed over so far.
    after_events, last_ms
        How many labels were published behind the last event, and that event's time.
    """

    def __init__(
        self, events: Sequence[Opened], labels: Sequence[Opened], *, more: bool = False
    ) -> None:
        self.passed = Passed()
        self.after_events = 0
        self.last_ms: int | None = None
        self._events = events
        self._labels = labels
        self._more = more
        self._ended = False
        opened = (*events, *labels)
        self._runs = {each.run.source.source: each.run for each in opened if each.run is not None}

    def records(self, on_passed: Callable[[Outgoing], None]) -> Iterator[Outgoing]:
        """Go through what is to be published.

        Parameters
        ----------
        on_passed
            Told of each record that was acknowledged before, in its place.

        Raises
        ------
        Refused
            A file has been edited since rows of it were published.
        """
        labels = (each.records for each in self._labels)
        for record in merge(self._rising(), *labels, key=attrgetter("time_ms")):
            run, after = self._run_of(record), record.is_label and self._ended
            if run is not None and run.passes(record):
                self._count(record)
                on_passed(record._replace(after_events=after))
            elif not after:
                yield record
            elif self._more:
                self.passed.left += 1
            else:
                self.after_events += 1
                yield record._replace(after_events=True)

    def sent(self, record: Outgoing) -> None:
        """Note that a record was sent."""
        run = self._run_of(record)
        if run is not None:
            run.sent(record)

    def acknowledged(self) -> list[Source]:
        """Return the sources as they are once all that was sent is acknowledged."""
        return [run.acknowledged() for run in self._runs.values()]

    def finished(self) -> list[Source]:
        """Return the sources as they are when everything was sent and acknowledged."""
        return [run.finished(more=self._more) for run in self._runs.values()]

    @property
    def runs(self) -> Sequence[Run]:
        """The sources of which records are gone through."""
        return list(self._runs.values())

    def _run_of(self, record: Outgoing) -> Run | None:
        return None if record.origin is None else self._runs[record.origin.source]

    def _rising(self) -> Iterator[Outgoing]:
        """Go through the events; each has the latest time so far."""
        parts = [each.records for each in self._events]
        one = parts[0] if len(parts) == 1 else merge(*parts, key=attrgetter("time_ms"))
        for record in rising(one):
            self.last_ms = record.time_ms
            yield record
        for each in self._events:
            if each.run is not None:
                each.run.ended()
        self._ended = True

    def _count(self, record: Outgoing) -> None:
        if record.is_label:
            self.passed.labels += 1
        else:
            self.passed.events += 1
