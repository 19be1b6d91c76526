"""Publishers that are stopped and begin again: what they are not sure of, they publish once more.

Some of a world's events and labels are rows of ordered sources (docs/adr/0014). Now and then their
publisher ends before it knows what has arrived, and its successor goes on at the last row that was
acknowledged: at once, or while the one before still writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from random import Random

from headrace.streams.records import WATERMARK
from headrace.streams.simulation.flow import Publication
from headrace.streams.stages.repetitions import Origin, source_header

UNSURE_MAX = 25
"""So many rows at most are sent and not known to have arrived."""


def forked(rng: Random) -> Random:
    """Return another source of chance that leaves the first as it is."""
    copy = Random()
    copy.setstate(rng.getstate())
    return Random(copy.random())


def repeated(
    made: Sequence[Publication], inputs: Collection[str], rng: Random
) -> list[Publication]:
    """Return publications as publishers write them that are stopped now and then.

    Parameters
    ----------
    made
        What is published without any stop.
    inputs
        The topics of events and labels.
    """
    if rng.random() < 0.3:
        return list(made)
    return _Repeating(inputs, rng).run(made)


class _Repeating:
    """Goes through publications, and writes some of them again."""

    def __init__(self, inputs: Collection[str], rng: Random) -> None:
        self._rng = rng
        self._inputs = inputs
        self._sent: dict[str, list[Publication]] = {}
        self._behind: deque[Publication] = deque()
        self._written: list[Publication] = []

    def run(self, made: Sequence[Publication]) -> list[Publication]:
        rng = self._rng
        for publication in made:
            self._written.append(self._as_row(publication))
            while self._behind and rng.random() < 0.5:
                self._written.append(self._behind.popleft())
            if self._sent and not self._behind and rng.random() < 0.02:
                self._stop(rng.choice(sorted(self._sent)))
        return [*self._written, *self._behind]

    def _as_row(self, publication: Publication) -> Publication:
        """Return a publication with its place in a source, if it is given one."""
        rng, topic = self._rng, publication.tp[0]
        if topic not in self._inputs or publication.headers or rng.random() < 0.2:
            return publication
        source = f"{topic}:{rng.choice('ab')}"
        rows = self._sent.setdefault(source, [])
        headers = [source_header(Origin(source, len(rows) + 1))]
        if (
            publication.value is not None and rng.random() < 0.1
        ):  # what comes after the last event does not move the labels' clock
            headers.append((WATERMARK, str(publication.timestamp_ms).encode()))
        rows.append(publication._replace(headers=tuple(headers)))
        return rows[-1]

    def _stop(self, source: str) -> None:
        """Have a source's publisher end, and its successor write again what is not sure."""
        rows, rng = self._sent[source], self._rng
        unsure = rows[len(rows) - rng.randint(0, min(len(rows), UNSURE_MAX)) :]
        if rng.random() < 0.5:
            self._written += unsure
        else:  # the one before is a zombie: its rows go on to come while these are written
            self._behind += unsure
