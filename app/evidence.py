"""How far a stage had come, as its own outputs say: for committed offsets that are gone.

Outputs and offsets were committed in one transaction, so the outputs alone tell where to go on
without emitting twice:

=======  ===============================================================================
SCORE    predictions and dead letters carry their event's place
ROUTE    routed labels and dead letters carry their label's place
LEARN    announcements carry the offset learned to; a big model's checkpoint does
MONITOR  the revision of a metric, or of an alert, is the next offset of the counts
JOIN     nothing: what it emits does not say how far it had read; the state's cut does
=======  ===============================================================================

A record that leads to no output at all (a control record, a barrier) may be read again: again it
leads to none. A state's cut is written right behind each commit, so it is the answer as well,
unless a worker was killed between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from headrace.app.targets import Target
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.reader import read

Place = tuple[str, int]
Reached = dict[Place, int]
"""The next offset of each input partition, as far as outputs say."""


def reached_by(stage: str, target: Target, version: int, kafka: Connection) -> Reached:
    """Return how far a stage's outputs reach.

    Parameters
    ----------
    stage
        ``score``, ``route``, ``join``, ``learn`` or ``monitor``.
    version
        Of the pipeline; of another version's model nothing follows for this one.
    """
    topics, found = target.topics, _Furthest()
    have = kafka.partition_counts()

    def records(what: str) -> Iterable[Mapping[str, Any]]:
        topic = getattr(topics, what.replace("-", "_"))
        return read(kafka, topics, what) if topic in have else ()

    if stage == "score":
        _note_sources(found, topics.events, records("predictions"))
    elif stage == "route":
        _note_sources(found, topics.labels, records("labels-routed"))
    elif stage == "learn":
        found.note_all((topics.examples, 0), _learned(records("models"), version))
    elif stage == "monitor":
        both = chain(records("metrics"), records("alerts"))
        found.note_all((topics.counts, 0), (said["revision"] for said in both))
    for letter in records("dead-letters"):
        if letter["stage"] == stage:
            found.note((letter["topic"], letter["partition"]), letter["offset"] + 1)
    return found


class _Furthest(Reached):
    """The furthest offset of each place."""

    def note(self, place: Place, offset: int) -> None:
        """Keep an offset if it is the furthest of its place."""
        self[place] = max(self.get(place, 0), offset)

    def note_all(self, place: Place, offsets: Iterable[int]) -> None:
        """Keep the furthest of several offsets of a place, if there are any."""
        for offset in offsets:
            self.note(place, offset)


def _learned(records: Iterable[Mapping[str, Any]], version: int) -> Iterator[int]:
    return (said["learned_to"] for said in records if said["version"] == version)


def _note_sources(found: _Furthest, topic: str, records: Iterable[Mapping[str, Any]]) -> None:
    for record in records:
        found.note((topic, record["source_partition"]), record["source_offset"] + 1)
