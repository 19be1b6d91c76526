"""What of JOIN's state may leave next, by time: two indices with one meaning.

:class:`Heaps` is rebuilt in memory from a state that is read whole. :class:`Pages` is a part of the
state: it is read where something is due, so that neither memory nor a take-over grows with what
waits (docs/adr/0015). Both hold *firsts* (predictions that wait for a label, or remember that they
had one) and *labels* that wait.

Pages are three levels over the offsets of one input: a leaf has the entries of ``span`` offsets in
their order, a page says the earliest and the latest time of each of ``span`` leaves, and the root
says it of each page. Logs are nearly in the order of event time, so what is due lies in a leaf or
two. A leaf has what is there and nothing else: the state is a function of how far the logs were
read. Keys: ``x`` the root of the firsts, ``x:<page>``, ``xl:<leaf>``; ``y`` the same of the labels;
``n``, the numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import NamedTuple, Protocol

from headrace.streams.protocol.stage import View

NUMBERS = "n"
SPAN = 256
"""So many offsets are in a leaf, and so many leaves in a page."""


class Entry(NamedTuple):
    """A first or a label: its time, the key of its id, and its offset."""

    time_ms: int
    key: str
    offset: int


class Index(Protocol):
    """What may leave next.

    Attributes
    ----------
    whole
        Whether it is made anew from the whole state, and no part of it.
    """

    whole: bool

    def load(self, firsts: Iterable[tuple[Entry, bool]], labels: Iterable[Entry]) -> None:
        """Take up what there is; of each first whether no label is awaited any more."""

    def add_first(self, view: View, entry: Entry) -> None:
        """Take in a first."""

    def add_label(self, view: View, entry: Entry) -> None:
        """Take in a label that waits."""

    def drop_labels(self, view: View, entries: Collection[Entry]) -> None:
        """Take out labels that wait no more."""

    def expiring(self, view: View, upto_ms: int | None) -> Iterable[Entry]:
        """Return the firsts before a time of which that was not returned yet, each once.

        Here and below None is no time: nothing is due.
        """

    def leaving(self, view: View, upto_ms: int | None) -> Iterable[Entry]:
        """Take out the firsts before a time; all of them were expiring once."""

    def unmatched(self, view: View, upto_ms: int | None) -> Iterable[Entry]:
        """Take out the labels before a time."""


class Heaps:
    """The index of a state that is in memory, whole."""

    whole = True

    def __init__(self) -> None:
        self._unsettled: list[Entry] = []  # firsts for which a label may come
        self._marks: list[Entry] = []  # the others, of which duplicates may come
        self._labels: list[Entry] = []

    def load(self, firsts: Iterable[tuple[Entry, bool]], labels: Iterable[Entry]) -> None:
        """Make the index anew."""
        self._unsettled, self._marks, self._labels = [], [], list(labels)
        for entry, settled in firsts:
            (self._marks if settled else self._unsettled).append(entry)
        for heap in (self._unsettled, self._marks, self._labels):
            heapify(heap)

    def add_first(self, view: View, entry: Entry) -> None:
        """Take in a first."""
        heappush(self._unsettled, entry)

    def add_label(self, view: View, entry: Entry) -> None:
        """Take in a label that waits."""
        heappush(self._labels, entry)

    def drop_labels(self, view: View, entries: Collection[Entry]) -> None:
        """Do nothing: they are gone from the state, which is looked at when their time comes."""

    def expiring(self, view: View, upto_ms: int | None) -> Iterator[Entry]:
        """Return the firsts before a time of which that was not returned yet."""
        for entry in _before(self._unsettled, upto_ms):
            heappush(self._marks, entry)
            yield entry

    def leaving(self, view: View, upto_ms: int | None) -> Iterator[Entry]:
        """Take out the firsts before a time."""
        return _before(self._marks, upto_ms)

    def unmatched(self, view: View, upto_ms: int | None) -> Iterator[Entry]:
        """Take out the labels before a time."""
        return _before(self._labels, upto_ms)


def _before(heap: list[Entry], upto_ms: int | None) -> Iterator[Entry]:
    while heap and upto_ms is not None and heap[0].time_ms < upto_ms:
        yield heappop(heap)


class Pages:
    """The index as part of the state.

    Parameters
    ----------
    span
        So many offsets are in a leaf, and so many leaves in a page.

    Attributes
    ----------
    expired_to
        Firsts before this time have been expiring; None if none has.
    """

    whole = False

    def __init__(self, span: int = SPAN) -> None:
        self.expired_to: int | None = None
        self._firsts, self._labels = Tree("x", span), Tree("y", span)
        self._overdue: list[Entry] = []

    def begin(self, expired_to: int | None) -> None:
        """Begin a batch: of what an earlier one left behind in memory nothing is believed."""
        self.expired_to = expired_to
        self._overdue = []

    def load(self, firsts: Iterable[tuple[Entry, bool]], labels: Iterable[Entry]) -> None:
        """Do nothing: it is part of the state."""

    def add_first(self, view: View, entry: Entry) -> None:
        """Take in a first."""
        self._firsts.add(view, entry)
        if self.expired_to is not None and entry.time_ms < self.expired_to:
            self._overdue.append(entry)

    def add_label(self, view: View, entry: Entry) -> None:
        """Take in a label that waits."""
        self._labels.add(view, entry)

    def drop_labels(self, view: View, entries: Collection[Entry]) -> None:
        """Take out labels that wait no more."""
        self._labels.remove(view, entries)

    def expiring(self, view: View, upto_ms: int | None) -> list[Entry]:
        """Return the firsts before a time of which that was not returned yet."""
        if upto_ms is None:
            return []
        _, found = self._firsts.find(view, self.expired_to, upto_ms)
        found += self._overdue
        self.begin(upto_ms)
        return found

    def leaving(self, view: View, upto_ms: int | None) -> list[Entry]:
        """Take out the firsts before a time."""
        return self._taken(self._firsts, view, upto_ms)

    def unmatched(self, view: View, upto_ms: int | None) -> list[Entry]:
        """Take out the labels before a time."""
        return self._taken(self._labels, view, upto_ms)

    def _taken(self, tree: Tree, view: View, upto_ms: int | None) -> list[Entry]:
        _, found = tree.find(view, None, upto_ms)
        tree.remove(view, found)
        return found

    # -- what is to be read first

    def roots(self) -> list[str]:
        """Return the keys that every batch needs."""
        return [NUMBERS, self._firsts.root, self._labels.root]

    def first_keys(self, offset: int) -> list[str]:
        """Return where a first of an offset is."""
        return self._firsts.keys(offset)

    def label_keys(self, offset: int) -> list[str]:
        """Return where a label of an offset is."""
        return self._labels.keys(offset)

    def due_keys(
        self, view: View, expired: int | None, expiring: int | None, leaving: int | None,
        unmatched: int | None,
    ) -> list[str]:  # fmt: skip
        """Return the keys of what will be due, as far as what was read says it.

        Parameters
        ----------
        expired, expiring, leaving, unmatched
            What :attr:`expired_to` is, and up to which time which of them will be asked for; None
            if none will.
        """
        searches = [
            (self._firsts, expired, expiring),
            (self._firsts, None, leaving),
            (self._labels, None, unmatched),
        ]
        needed = []
        for tree, start_ms, upto_ms in searches:
            keys, entries = tree.find(view, start_ms, upto_ms)
            needed += keys + [entry.key for entry in entries]
        return needed


Bounds = list[int]
"""The earliest and the latest time."""


class Tree:
    """Entries of one input, by offset, with the times of each level below.

    Parameters
    ----------
    root
        The root's key, and the prefix of the others.
    """

    def __init__(self, root: str, span: int) -> None:
        self.root = root
        self._span = span

    def keys(self, offset: int) -> list[str]:
        """Return the keys of page and leaf of an offset."""
        leaf = offset // self._span
        return [self._page(leaf // self._span), self._leaf(leaf)]

    def _page(self, number: int) -> str:
        return f"{self.root}:{number}"

    def _leaf(self, number: int) -> str:
        return f"{self.root}l:{number}"

    def find(
        self, view: View, start_ms: int | None, upto_ms: int | None
    ) -> tuple[list[str], list[Entry]]:
        """Return the entries of a stretch of time, and all keys where they are or may be.

        None is no bound below, and above it is no time at all.

        What was not read yet is passed over: the caller has the keys read, and asks again.
        """
        needed: list[str] = []
        entries: list[Entry] = []
        if upto_ms is None:
            return needed, entries
        for page in _overlapping(view.get(self.root), start_ms, upto_ms):
            needed.append(self._page(page))
            for leaf in _overlapping(view.get(needed[-1]), start_ms, upto_ms):
                key = self._leaf(leaf)
                needed.append(key)
                for time_ms, offset, event_id in view.get(key) or ():
                    if time_ms < upto_ms and (start_ms is None or time_ms >= start_ms):
                        entries.append(Entry(time_ms, f"i:{event_id}", offset))
        return needed, entries

    def add(self, view: View, entry: Entry) -> None:
        """Put an entry in."""
        time_ms, key, offset = entry
        number = offset // self._span
        leaf = view.get(self._leaf(number)) or []
        leaf.append([time_ms, offset, key[2:]])
        view.put(self._leaf(number), leaf)
        page_number = number // self._span
        for name, child in ((self._page(page_number), number), (self.root, page_number)):
            level = view.get(name) or {}
            bounds: Bounds = level.get(child, [time_ms, time_ms])
            level[child] = [min(bounds[0], time_ms), max(bounds[1], time_ms)]
            view.put(name, level)

    def remove(self, view: View, entries: Collection[Entry]) -> None:
        """Take entries out, and whatever is empty then."""
        offsets: dict[int, set[int]] = {}
        for entry in entries:
            offsets.setdefault(entry.offset // self._span, set()).add(entry.offset)
        pages: dict[int, dict[int, Bounds | None]] = {}
        for number, gone in offsets.items():
            leaf = [each for each in view.get(self._leaf(number)) if each[1] not in gone]
            view.put(self._leaf(number), leaf or None)
            times = [each[0] for each in leaf]
            bounds = [min(times), max(times)] if times else None
            pages.setdefault(number // self._span, {})[number] = bounds
        roots = {
            number: self._changed(view, self._page(number), changes)
            for number, changes in pages.items()
        }
        if roots:
            self._changed(view, self.root, roots)

    def _changed(self, view: View, name: str, changes: dict[int, Bounds | None]) -> Bounds | None:
        """Change the times of a level's children; return what its own are now."""
        level: dict[int, Bounds] = view.get(name)
        for child, bounds in changes.items():
            if bounds is None:
                del level[child]
            else:
                level[child] = bounds
        view.put(name, level or None)
        if not level:
            return None
        return [min(low for low, _ in level.values()), max(high for _, high in level.values())]


def _overlapping(level: dict[int, Bounds] | None, start_ms: int | None, upto_ms: int) -> list[int]:
    """Return the children of a level that may have something in a stretch of time."""
    return [
        child
        for child, (low, high) in (level or {}).items()
        if low < upto_ms and (start_ms is None or high >= start_ms)
    ]
