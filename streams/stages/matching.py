"""JOIN's law: which label belongs to which event, and what may be forgotten when.

Whether an event and a label match is one symmetric predicate over values that the two carry:

- **eligible**: the record was not behind its source's watermark by more than the lateness (nor
  ahead of it by more than ``ahead``, if that is set);
- **first**: walking the predictions in their order, an eligible event is a *duplicate* if a first
  of its id lies within ``wait`` of it in event time; else it is a first;
- **match**: the event is a first, both are eligible, and
  ``event time <= label time <= event time + wait``.

A label matches one first at most, since two firsts of an id are more than ``wait`` apart. Of
several labels that match, the lowest offset wins, irrevocably. So every interleaving of the same
two logs gives the same examples (tests/unit/stages/test_matching.py tries them all).

What is kept in memory decides nothing. An event is *expired* when no label that may still come can
match it, and its mark leaves when no duplicate of it can still come either; a label is *unmatched*
when no event that may still come can match it. :meth:`Matching.collect` is eager and complete: the
state behind it is a function of how far the two logs were read. Watermarks are kept for each
source partition; what "may still come" is said by the lowest of them, and a source that never spoke
has none.

The state of an id is plain data, ``[firsts, labels]``, each in the order of its log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from headrace.streams.protocol.stage import View
from headrace.streams.stages.due import NUMBERS, Entry, Heaps, Index, Pages

# A first: offset in predictions, event time, the prediction's bytes (None once they are not needed
# any more), what became of it, and the label that won.
OFFSET, TIME, VALUE, FATE, LABEL = range(5)
# A label: offset in labels-routed, label time, the label, its source partition and offset.
TRUTH = 2
WAITING, MATCHED, EXPIRED = range(3)

First = list[Any]
WaitingLabel = list[Any]
Clocks = list[list[int | None]]
"""The watermark of each events partition, and of each labels partition, as last carried here."""


class Rules(NamedTuple):
    """What the predicate depends on, in milliseconds; ``ahead_ms`` None is any time ahead."""

    wait_ms: int
    event_lateness_ms: int
    label_lateness_ms: int
    ahead_ms: int | None = None


class Match(NamedTuple):
    """A prediction's bytes and the label that won it.

    Attributes
    ----------
    label
        ``[offset, label time, label, source partition, source offset]``.
    """

    prediction: bytes
    label: WaitingLabel


class Outcome(NamedTuple):
    """What one record amounts to.

    Attributes
    ----------
    counts
        ``(name, event time or label time in ms)``, one for each thing that was decided.
    match
        The example that it completes, if it does.
    """

    counts: list[tuple[str, int]]
    match: Match | None = None


class Arrival(NamedTuple):
    """A prediction or a label, as far as matching looks at it.

    Attributes
    ----------
    source, watermark
        Its source partition, and that partition's watermark before it.
    """

    event_id: str
    offset: int
    time_ms: int
    source: int
    watermark: int | None


def fresh_clocks(events: int, labels: int) -> Clocks:
    """Return clocks of source partitions that have not spoken."""
    return [[None] * events, [None] * labels]


def raise_clock(clock: list[int | None], source: int, watermark: int | None) -> None:
    """Take in the watermark that a record of a source carries."""
    before = clock[source]
    if watermark is not None and (before is None or watermark > before):
        clock[source] = watermark


def _lowest(clock: list[int | None]) -> int | None:
    spoken = [watermark for watermark in clock if watermark is not None]
    return min(spoken) if len(spoken) == len(clock) else None


def newest(clock: list[int | None]) -> int | None:
    """Return how far the farthest source has come."""
    return max((watermark for watermark in clock if watermark is not None), default=None)


class Matching:
    """The law over the states of ids, with an index by time of what may leave next.

    Parameters
    ----------
    index
        The index; in memory alone if None is given, and then :meth:`load` rebuilds it.

    Attributes
    ----------
    events_waiting, labels_waiting
        How many wait.
    firsts_kept
        How many firsts there are: those that wait, and those that had their label and are
        remembered, since a duplicate may come.
    """

    def __init__(self, rules: Rules, index: Index | None = None) -> None:
        self._rules = rules
        self._index = Heaps() if index is None else index
        self.events_waiting = 0
        self.labels_waiting = 0
        self.firsts_kept = 0

    def load(self, view: View) -> None:
        """Rebuild what is in memory."""
        if not self._index.whole:
            self.begin(view)
            return
        self._adopt(view.items())

    def upgrade(self, view: View, states: Iterable[tuple[str, Any]], clocks: Clocks) -> None:
        """Build the index of a state that has none: one that was held whole before."""
        ids = [(key, state) for key, state in states if key.startswith("i:")]
        firsts, labels = self._adopt(ids)
        for entry, _ in sorted(firsts, key=lambda pair: pair[0].offset):
            self._index.add_first(view, entry)
        for entry in sorted(labels, key=lambda each: each.offset):
            self._index.add_label(view, entry)
        expiring, _, _ = self._due(clocks)
        list(self._index.expiring(view, expiring))  # each of them was seen to when its time came
        self.finish(view)

    def _adopt(
        self, states: Iterable[tuple[str, Any]]
    ) -> tuple[list[tuple[Entry, bool]], list[Entry]]:
        """Count what there is, and let the index take it up."""
        self.events_waiting = self.labels_waiting = 0
        firsts: list[tuple[Entry, bool]] = []
        labels: list[Entry] = []
        for key, state in states:
            if not key.startswith("i:"):
                continue
            for first in state[0]:
                firsts.append((Entry(first[TIME], key, first[OFFSET]), first[FATE] == EXPIRED))
                self.events_waiting += first[FATE] == WAITING
            labels += [Entry(label[TIME], key, label[OFFSET]) for label in state[1]]
            self.labels_waiting += len(state[1])
        self.firsts_kept = len(firsts)
        self._index.load(firsts, labels)
        return firsts, labels

    def begin(self, view: View) -> None:
        """Begin a batch: an index that is part of the state has its numbers there, too."""
        if isinstance(self._index, Pages):
            numbers = view.get(NUMBERS) or [0, 0, 0, None]
            self.events_waiting, self.labels_waiting, self.firsts_kept, expired_to = numbers
            self._index.begin(expired_to)

    def finish(self, view: View) -> None:
        """End a batch."""
        if isinstance(self._index, Pages):
            counted = [self.events_waiting, self.labels_waiting, self.firsts_kept]
            view.put(NUMBERS, [*counted, self._index.expired_to])

    def due_keys(self, view: View, clocks: Clocks) -> list[str]:
        """Return which states :meth:`collect` will look at, as far as what was read says it.

        Parameters
        ----------
        clocks
            As they will be then.
        """
        assert isinstance(self._index, Pages)
        expired_to = (view.get(NUMBERS) or [None])[-1]
        return self._index.due_keys(view, expired_to, *self._due(clocks))

    # -- arrivals

    def event(self, view: View, clocks: Clocks, event: Arrival, prediction: bytes) -> Outcome:
        """Take in a prediction."""
        rules, time_ms = self._rules, event.time_ms
        raise_clock(clocks[0], event.source, event.watermark)
        if not self._eligible(event, rules.event_lateness_ms):
            return Outcome([("late_event", time_ms)])
        key = f"i:{event.event_id}"
        firsts, labels = _entries(view, key)
        if any(abs(time_ms - first[TIME]) <= rules.wait_ms for first in firsts):
            return Outcome([("duplicate_event", time_ms)])
        fitting = [label for label in labels if self._fits(time_ms, label[TIME])]
        self._index.add_first(view, Entry(time_ms, key, event.offset))
        self.firsts_kept += 1
        if not fitting:
            self.events_waiting += 1
            firsts.append([event.offset, time_ms, prediction, WAITING, None])
            view.put(key, [firsts, labels])
            return Outcome([("first_event", time_ms)])
        winner, *others = fitting
        self.labels_waiting -= len(fitting)
        gone = [Entry(label[TIME], key, label[OFFSET]) for label in fitting]
        self._index.drop_labels(view, gone)
        firsts.append([event.offset, time_ms, None, MATCHED, winner[TRUTH]])
        view.put(key, [firsts, [label for label in labels if label not in fitting]])
        counts = [("first_event", time_ms), ("matched", time_ms)]
        counts += [_second(winner[TRUTH], label) for label in others]
        return Outcome(counts, Match(prediction, winner))

    def label(self, view: View, clocks: Clocks, label: Arrival, state: WaitingLabel) -> Outcome:
        """Take in a label, given as the state of one that waits."""
        time_ms = label.time_ms
        raise_clock(clocks[1], label.source, label.watermark)
        if not self._eligible(label, self._rules.label_lateness_ms):
            return Outcome([("late_label", time_ms)])
        key = f"i:{label.event_id}"
        firsts, labels = _entries(view, key)
        fitting = [first for first in firsts if self._fits(first[TIME], time_ms)]
        assert len(fitting) <= 1, f"a label matches two firsts: {fitting}"
        if not fitting:
            self.labels_waiting += 1
            self._index.add_label(view, Entry(time_ms, key, label.offset))
            view.put(key, [firsts, [*labels, state]])
            return Outcome([])
        (first,) = fitting
        if first[FATE] == MATCHED:
            return Outcome([_second(first[LABEL], state)])
        if first[FATE] == EXPIRED:  # its source's watermark went back: ROUTE was rebuilt with loss
            return Outcome([("late_label", time_ms)])
        self.events_waiting -= 1
        match = Match(first[VALUE], state)
        first[VALUE], first[FATE], first[LABEL] = None, MATCHED, state[TRUTH]
        view.put(key, [firsts, labels])
        return Outcome([("matched", first[TIME])], match)

    def _eligible(self, arrival: Arrival, lateness_ms: int) -> bool:
        watermark, ahead_ms = arrival.watermark, self._rules.ahead_ms
        if watermark is None:
            return True
        if arrival.time_ms < watermark - lateness_ms:
            return False
        return ahead_ms is None or arrival.time_ms <= watermark + ahead_ms

    def _fits(self, event_ms: int, label_ms: int) -> bool:
        return event_ms <= label_ms <= event_ms + self._rules.wait_ms

    # -- departures

    def settled(self, clocks: Clocks) -> int | None:
        """Return the event time before which all is decided, of what came and of what may come."""
        events, labels = self._horizons(clocks)
        if events is None or labels is None:
            return None
        return min(events, labels - self._rules.wait_ms)

    def collect(self, view: View, clocks: Clocks) -> Iterator[tuple[str, int]]:
        """Let go of all that can decide nothing any more; say what went, and its time."""
        expiring, leaving, unmatched = self._due(clocks)
        for time_ms, key, offset in self._index.expiring(view, expiring):
            if self._expire(view, key, offset):
                yield "expired", time_ms
        for _, key, offset in self._index.leaving(view, leaving):
            self.firsts_kept -= self._forget(view, key, 0, offset)
        for time_ms, key, offset in self._index.unmatched(view, unmatched):
            if self._forget(view, key, 1, offset):
                self.labels_waiting -= 1
                yield "unmatched_label", time_ms

    def _due(self, clocks: Clocks) -> tuple[int | None, int | None, int | None]:
        """Return before which time firsts expire, firsts leave, and labels are unmatched."""
        events, labels = self._horizons(clocks)
        wait_ms = self._rules.wait_ms
        expiring = None if labels is None else labels - wait_ms
        if expiring is None or events is None:
            return expiring, None, events
        return expiring, min(expiring, events - wait_ms), events

    def _horizons(self, clocks: Clocks) -> tuple[int | None, int | None]:
        """Return before which event time no event, and no label, may come and be eligible."""
        events, labels = _lowest(clocks[0]), _lowest(clocks[1])
        return (
            None if events is None else events - self._rules.event_lateness_ms,
            None if labels is None else labels - self._rules.label_lateness_ms,
        )

    def _expire(self, view: View, key: str, offset: int) -> bool:
        state = view.get(key)
        first = next(first for first in state[0] if first[OFFSET] == offset)
        if first[FATE] == MATCHED:
            return False
        self.events_waiting -= 1
        first[VALUE], first[FATE] = None, EXPIRED
        view.put(key, state)
        return True

    def _forget(self, view: View, key: str, side: int, offset: int) -> bool:
        """Drop a first (side 0) or a label (side 1); say whether it was still there."""
        state = view.get(key) or [[], []]
        kept = [entry for entry in state[side] if entry[OFFSET] != offset]
        if len(kept) == len(state[side]):
            return False
        state[side] = kept
        view.put(key, state if state[0] or state[1] else None)
        return True


def _entries(view: View, key: str) -> tuple[list[First], list[WaitingLabel]]:
    """Return the firsts and the waiting labels of an id."""
    state = view.get(key)
    return ([], []) if state is None else (state[0], state[1])


def _second(winner: Any, label: WaitingLabel) -> tuple[str, int]:
    """Return what a label is whose event has one already."""
    name = "duplicate_label" if label[TRUTH] == winner else "contradicting_label"
    return name, label[TIME]
