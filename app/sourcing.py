"""Files that are published as sources: opened beside what the registry has of them, and mirrored.

The registry only saves sending again what SCORE and ROUTE would pass over (docs/adr/0014). So it
is written now and then, behind what Kafka has acknowledged, and a registry that does not answer
meanwhile stops nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import NamedTuple
from uuid import uuid4

from headrace.registry.kept import LEFT, OPEN, Source
from headrace.registry.memory import MemoryRegistry
from headrace.registry.sql import SqlRegistry
from headrace.schemas.errors import InputError, Refused, ServiceError
from headrace.streams.engine.publisher import Publisher
from headrace.streams.history import History
from headrace.streams.outgoing import Outgoing, outgoing_event, outgoing_label, outgoing_rows
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan
from headrace.streams.rows import Reading, Tally, numbered_rows
from headrace.streams.sources import Opened, Sort, Where, by_time, in_file_order, left_behind

MIRROR_S = 2.0
"""So long after the last time what is acknowledged is mirrored again; it waits for Kafka."""


class Files(NamedTuple):
    """What is to be published.

    Attributes
    ----------
    events, labels
        The files.
    reading
        How they are read.
    sort
        Sorts events by their times; None publishes them as they stand in their file.
    again
        Whether rows of a file that was published whole are meant as new ones.
    more
        Whether another file goes on behind these.
    """

    events: Path
    labels: Path | None = None
    reading: Reading = Reading()
    sort: Sort | None = None
    again: bool = False
    more: bool = False


def open_registry(url: str) -> SqlRegistry:
    """Return the registry, its tables up to date; no checkpoint is written through it."""
    registry = SqlRegistry(url, lambda _: "")
    registry.migrate()
    return registry


class Sources:
    """The sources of a publication, and their mirror in the registry.

    Parameters
    ----------
    plan, files
        What is published.
    registry
        Where it is mirrored.
    topic_ids
        Kafka's ids of the topics that are published to.

    Attributes
    ----------
    history
        What is to be published, in order.
    """

    def __init__(
        self,
        plan: Plan,
        files: Files,
        registry: SqlRegistry | MemoryRegistry,
        topic_ids: dict[str, str],
    ) -> None:
        self._plan = plan
        self._files = files
        self._registry = registry
        self._ids = topic_ids
        self._again = uuid4().hex if files.again else ""
        topics = plan.topics
        self._known = {
            name: [info.source for info in registry.sources(name, topic_ids[name])]
            for name in (topics.events, topics.labels)
            if name in topic_ids
        }
        self._tallies: list[Tally] = []  # of each time that the file of events is read
        self._label_tallies: dict[Path, Tally] = {}
        labels = self._labels()
        self.history = History(self._events(), labels, more=files.more)
        self._mirrored_s = monotonic()
        self._warned = False
        begun = [run.acknowledged() for run in self.history.runs if not run.begin]
        registry.put_sources(begun)

    # -- what there is

    def _where(self, topic: str, path: Path) -> Where:
        return Where(topic, self._ids[topic], str(path.absolute()))

    def _read_events(self) -> Iterator[Outgoing]:
        plan, files = self._plan, self._files
        self._tallies.append(Tally())
        event = plan.pipeline.events.event
        rows = numbered_rows(files.events, event, reading=files.reading, tally=self._tallies[-1])
        return outgoing_rows(plan, rows, outgoing_event)

    def _read_labels(self, path: Path) -> list[Outgoing]:
        """Return a file's labels; rows without one are passed over.

        Raises
        ------
        InputError
            The pipeline takes no labels.
        """
        declared = self._plan.pipeline.labels
        if not isinstance(declared, Labels):
            raise InputError(
                f"{self._plan.name} takes no labels from a topic, so --labels {path} has no place."
            )
        rows = numbered_rows(
            path,
            declared.label,
            unless_blank=declared.value,
            reading=self._files.reading,
            tally=self._label_tallies.setdefault(path, Tally()),
        )
        return list(outgoing_rows(self._plan, rows, outgoing_label))

    def _events(self) -> list[Opened]:
        path, sort, topic = self._files.events, self._files.sort, self._plan.topics.events
        known = self._known[topic]
        if not _can_be_read_again(path):
            return [Opened(None, sort(self._read_events()) if sort else self._read_events())]
        where = self._where(topic, path)
        if sort is None:
            opened = [in_file_order(where, self._read_events, known, self._again)]
        else:
            opened = by_time(where, self._read_events, known, self._again, sort)
        before = _before(opened)
        if before:
            _say(f"{path}: {before:,} events are published already; going on behind them")
        mine = {each.run.source.source for each in opened if each.run is not None}
        for each in known:
            if each.state == OPEN and each.acknowledged and each.source not in mine:
                _say(
                    f"{each.name} was not published to its end ({each.acknowledged:,} rows are"
                    " there); its own command goes on there"
                )
        return opened

    def _labels(self) -> list[Opened]:
        path, topic = self._files.labels, self._plan.topics.labels
        opened: list[Opened] = []
        if path is not None:
            rows = self._read_labels(path)
            if not _can_be_read_again(path):
                return [Opened(None, sorted(rows, key=lambda row: row.time_ms))]
            where = self._where(topic, path)
            opened = by_time(where, lambda: iter(rows), self._known[topic], self._again)
            before = _before(opened)
            if before:
                _say(f"{path}: {before:,} of {len(rows):,} labels are published already")
        mine = {each.run.source.source for each in opened if each.run is not None}
        left = [each for each in self._known.get(topic, ()) if each.state == LEFT]
        return opened + [self._left(each) for each in left if each.source not in mine]

    def _left(self, source: Source) -> Opened:
        """Return the labels that another file has left for this one."""
        path, count = Path(source.name), source.rows - source.acknowledged
        if not path.is_file():
            raise Refused(
                f"{path} is not there any more, of which {count:,} labels were left to be"
                " published now.",
                "Put it back, or publish it from where it is now first.",
            )
        rows = self._read_labels(path)
        opened = left_behind(source, lambda: iter(rows))
        _say(f"{path}: {count:,} labels that were left are published in their turn")
        return opened

    # -- while it is published

    def records(self, publisher: Publisher) -> Iterator[Outgoing]:
        """Go through what is to be published; say if it begins before what is there ends."""
        begun = False
        for record in self.history.records(publisher.pass_over):
            if not begun and not record.is_label:
                self._warn_of_overlap(record)
                begun = True
            yield record

    def _warn_of_overlap(self, first: Outgoing) -> None:
        topic, mine = self._plan.topics.events, {run.source.source for run in self.history.runs}
        others = [each for each in self._known[topic] if each.source not in mine]
        newest = max((each.time_ms or 0, each.name) for each in others) if others else (0, "")
        if first.time_ms < newest[0] - self._plan.lateness_ms:
            _say(
                f"{self._files.events} begins at {_moment(first.time_ms)}, and {newest[1]} came to"
                f" {_moment(newest[0])}: what lies before that is late. Publish histories in the"
                " order of their times, or as one file"
            )

    def mirror(self, publisher: Publisher) -> None:
        """Tell the registry what is acknowledged, if that is due."""
        if monotonic() - self._mirrored_s < MIRROR_S:
            return
        publisher.flush()
        try:
            self._registry.put_sources(self.history.acknowledged())
        except ServiceError as error:
            if not self._warned:
                _say(f"{error} Publishing goes on; the same command would begin further back")
            self._warned = True
        self._mirrored_s = monotonic()

    def stopped(self, publisher: Publisher) -> None:
        """Keep how far it came, as well as that can be known now."""
        if not publisher.settle():
            return
        with suppress(ServiceError):
            self._registry.put_sources(self.history.acknowledged())
        if self.history.runs:
            _say("stopped; the same command goes on there")

    def finished(self) -> None:
        """Keep that all is published."""
        changed = [
            (run.source, source)
            for run, source in zip(self.history.runs, self.history.finished(), strict=True)
        ]
        self._registry.put_sources([after for before, after in changed if after != before])

    def said(self) -> list[str]:
        """Return what is to be said at the end: of what was read, and of what was not sent."""
        history, passed = self.history, self.history.passed
        events = self._files.events, max(self._tallies, key=lambda tally: tally.rows)
        tallies = [events, *self._label_tallies.items()]
        told = ["Read " + "; ".join(f"{path}: {tally}" for path, tally in tallies) + "."]
        if passed.events or passed.labels:
            told.append(
                f"{passed.events:,} events and {passed.labels:,} labels were published before"
                " (--again would publish a whole file once more, as new events)."
            )
        if passed.left:
            told.append(
                f"{passed.left:,} labels after the last event ({_moment(history.last_ms)}) are left"
                " for the file that goes on."
            )
        if history.after_events:
            told.append(
                f"{history.after_events:,} labels lie after the last event"
                f" ({_moment(history.last_ms)}). If another file goes on from there, publish this"
                " one with --more: then they wait for their turn, and no event is scored by a"
                " model that has learned them too early."
            )
        if not history.runs:
            path = self._files.events
            told.append(f"{path} cannot be read twice: its publication cannot go on if it stops.")
        return told


def _before(opened: Sequence[Opened]) -> int:
    """Return how many rows were acknowledged before."""
    return sum(each.run.begin for each in opened if each.run is not None)


def _can_be_read_again(path: Path) -> bool:
    """Whether a path is no pipe; one that is not there is found out by its reader."""
    return path.is_file() or not path.exists()


def _moment(time_ms: int | None) -> str:
    return "none" if time_ms is None else f"{datetime.fromtimestamp(time_ms / 1000, UTC):%F %T}Z"


def _say(sentence: str) -> None:
    sys.stderr.write(f"headrace: {sentence}.\n")
    sys.stderr.flush()
