"""Files as ordered sources: which rows are in the log already, and where publishing goes on.

A file is known again by its first rows, wherever it lies and however much it has grown. What the
registry has of it is a mirror; it only saves sending again what SCORE and ROUTE would pass over
(docs/adr/0014).

Rows in the file's order are one source, whose places are the numbers of its rows. Rows that are
sorted by their times, such as labels, are a source for each stretch by which the file has grown:
the order within a stretch is fixed, and a later one may lie before it in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from heapq import heappush, heappushpop
from itertools import chain, islice
from operator import attrgetter
from typing import NamedTuple

from headrace.registry.kept import DONE, LEFT, OPEN, Source
from headrace.schemas.errors import Refused
from headrace.streams.outgoing import Outgoing
from headrace.streams.stages.repetitions import Origin

HEAD_ROWS = 1_000
"""By so many first rows a file is known again."""

SAMPLE_ROWS = 32

Read = Callable[[], Iterator[Outgoing]]
"""Goes through a file's rows, from the first, in their order."""


Sort = Callable[[Iterable[Outgoing]], Iterable[Outgoing]]


class Where(NamedTuple):
    """Where a file's rows go to.

    Attributes
    ----------
    topic, topic_id
        The topic.
    name
        The file, for people.
    """

    topic: str
    topic_id: str
    name: str


class RollingDigest:
    """A digest of the rows so far, and a sample of them that does not depend on their order.

    Attributes
    ----------
    rows
        How many there were.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._hash = blake2b(digest_size=16)
        self._least: list[int] = []  # a heap of negated numbers: the greatest that is kept first

    def take(self, record: Outgoing) -> None:
        """Take in a row."""
        row = _row_digest(record)
        self._hash.update(row)
        self.rows += 1
        number = -int.from_bytes(row[:6])
        if len(self._least) < SAMPLE_ROWS:
            heappush(self._least, number)
        elif number > self._least[0]:
            heappushpop(self._least, number)

    def hexdigest(self) -> str:
        """Return the digest of the rows so far."""
        return self._hash.hexdigest()

    def sample(self) -> tuple[int, ...]:
        """Return the sample: the least digests of single rows."""
        return tuple(sorted(-number for number in self._least))


def _row_digest(record: Outgoing) -> bytes:
    """Return a row's digest; without the id of its Avro schema, which may be another one day."""
    value = record.value[5:] if record.value[:1] == b"\0" else record.value
    head = len(record.key).to_bytes(4, "big") + record.key
    return blake2b(head + value, digest_size=16).digest()


def _digest_of(records: Iterable[Outgoing]) -> RollingDigest:
    rolling = RollingDigest()
    for record in records:
        rolling.take(record)
    return rolling


class Run:
    """A source while it is published.

    Parameters
    ----------
    source
        As the registry has it, or as it is to be.

    Attributes
    ----------
    begin
        So many records were acknowledged before: they are passed over.
    place, time_ms
        Place of the last record that was sent, and the latest time.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.begin = self.place = source.acknowledged
        self.time_ms = source.time_ms
        self._rolling = None if source.by_time else RollingDigest()

    def passes(self, record: Outgoing) -> bool:
        """Say whether a record was acknowledged before.

        Raises
        ------
        Refused
            The rows so far are not those that were.
        """
        assert record.origin is not None
        if record.origin.place > self.begin:
            return False
        rolling = self._rolling
        if rolling is not None:
            rolling.take(record)
            if rolling.rows == self.begin and rolling.hexdigest() != self.source.digest:
                raise _edited(self.source)
        return True

    def sent(self, record: Outgoing) -> None:
        """Note that a record was sent."""
        assert record.origin is not None
        self.place = record.origin.place
        self.time_ms = max(record.time_ms, self.time_ms or 0)
        if self._rolling is not None:
            self._rolling.take(record)

    def ended(self) -> None:
        """See that a file in its own order has all rows that were acknowledged.

        Raises
        ------
        Refused
            It has fewer.
        """
        rows = self._rolling.rows if self._rolling is not None else self.begin
        if rows < self.begin:
            raise Refused(
                f"{self.source.name} has {rows:,} rows, of which {self.begin:,} were published"
                " before: rows were taken out since.",
                _REMEDY,
            )

    def acknowledged(self) -> Source:
        """Return the source as it is once all that was sent is acknowledged."""
        if self.place == self.begin:
            return self.source
        state = LEFT if self.source.state == LEFT else OPEN
        said = self.source._replace(acknowledged=self.place, time_ms=self.time_ms, state=state)
        rolling = self._rolling
        if rolling is None:
            return said
        return said._replace(rows=rolling.rows, digest=rolling.hexdigest(), sample=rolling.sample())

    def finished(self, *, more: bool) -> Source:
        """Return the source as it is at the end of its file.

        Parameters
        ----------
        more
            Whether what was not sent is left for the file that goes on.
        """
        rest = self.source.by_time and self.place < self.source.rows
        return self.acknowledged()._replace(state=LEFT if rest and more else OPEN if rest else DONE)


class Opened(NamedTuple):
    """Rows with their places, those that were acknowledged before too, and their source.

    Attributes
    ----------
    run
        None of rows that can be read once only, as from a pipe: they have no places.
    """

    run: Run | None
    records: Iterable[Outgoing]


_REMEDY = (
    "Put the rows back to go on where it stopped, or publish what is new as a file of its own. To"
    " publish all rows as new, also those that are in the topic already, add --again."
)


def _edited(source: Source) -> Refused:
    first, last = source.first_row + 1, source.first_row + source.rows
    return Refused(
        f"{source.name}: rows {first:,} to {last:,} are not those that were published before: some"
        " were changed, added or taken out since.",
        _REMEDY,
    )


def in_file_order(where: Where, read: Read, known: Sequence[Source], again: str = "") -> Opened:
    """Return a file's rows in their order, as one source.

    Parameters
    ----------
    known
        The sources that were published to the topic, the newest first.
    again
        A text that is used once: the rows are meant as new ones, if the file was published whole.

    Raises
    ------
    Refused
        The file was published before and has been edited since. What lies beyond its first rows is
        found out while it is gone through.
    """
    rows = read()
    head = list(islice(rows, HEAD_ROWS))
    source = _known_by_head(head, known, by_time=False, first_row=0)
    if again and source is not None and not _goes_on(source, read):
        source = None
    elif not again:
        _refuse_others(where, head, known, read, by_time=False, same=source)
    if source is None:
        digest = _digest_of(head)
        source = _fresh(where, digest, digest, again, by_time=False, first_row=0)
    source = source._replace(name=where.name)
    name = source.source
    numbered = enumerate(chain(head, rows), 1)
    return Opened(
        Run(source), (row._replace(origin=Origin(name, place)) for place, row in numbered)
    )


def by_time(
    where: Where, read: Read, known: Sequence[Source], again: str = "", sort: Sort | None = None
) -> list[Opened]:
    """Return a file's rows by their times, as a source for each stretch by which it has grown.

    Parameters
    ----------
    known, again
        As in :func:`in_file_order`.
    sort
        Sorts rows by their times and leaves those of one time in their order; in memory by default.

    Raises
    ------
    Refused
        The file was published before and has been edited since.
    """
    opened: list[Opened] = []
    at = 0
    while True:
        head = list(islice(read(), at, at + HEAD_ROWS))
        source = _known_by_head(head, known, by_time=True, first_row=at)
        if source is None or (again and source.state == DONE):
            break
        if _digest_of(_stretch(source, read)).hexdigest() != source.digest:
            if again:
                break
            raise _edited(source)
        opened.append(_placed(source._replace(name=where.name), read, sort))
        at += source.rows
    if not again and at == 0:
        _refuse_others(where, head, known, read, by_time=True, same=None)
    if head:
        whole = _digest_of(islice(read(), at, None))
        fresh = _fresh(where, whole, _digest_of(head), again, by_time=True, first_row=at)
        opened.append(_placed(fresh, read, sort))
    return opened


def left_behind(source: Source, read: Read) -> Opened:
    """Return the labels of another file that were left for the one that goes on.

    Parameters
    ----------
    read
        Goes through that file.

    Raises
    ------
    Refused
        It has been edited since.
    """
    if _digest_of(_stretch(source, read)).hexdigest() != source.digest:
        raise _edited(source)
    return _placed(source, read, None)


def _stretch(source: Source, read: Read) -> Iterator[Outgoing]:
    """Go through the rows of a source, in the order of their file."""
    return islice(read(), source.first_row, source.first_row + source.rows)


def _placed(source: Source, read: Read, sort: Sort | None) -> Opened:
    """Return the rows of a source in the order of their times, each with its place."""
    rows = _stretch(source, read)
    ordered = sorted(rows, key=attrgetter("time_ms")) if sort is None else sort(rows)
    name = source.source
    placed = (row._replace(origin=Origin(name, place)) for place, row in enumerate(ordered, 1))
    return Opened(Run(source), placed)


def _fresh(
    where: Where,
    digest: RollingDigest,
    head: RollingDigest,
    again: str,
    *,
    by_time: bool,
    first_row: int,
) -> Source:
    """Return a source that nothing was published of."""
    named = f"{where.topic}\0{by_time}\0{first_row}\0{digest.hexdigest()}\0{again}"
    return Source(
        where.topic,
        where.topic_id,
        blake2b(named.encode(), digest_size=8).hexdigest(),
        where.name,
        by_time,
        first_row,
        rows=digest.rows if by_time else 0,
        digest=digest.hexdigest() if by_time else "",
        head_rows=head.rows,
        head_digest=head.hexdigest(),
        sample=digest.sample(),
    )


def _known_by_head(
    rows: Sequence[Outgoing], known: Sequence[Source], *, by_time: bool, first_row: int
) -> Source | None:
    """Return the newest source that begins as these rows do, None if none does."""
    of = [each for each in known if (each.by_time, each.first_row) == (by_time, first_row)]
    wanted = {each.head_rows for each in of if each.head_rows}
    digests: dict[int, str] = {}
    rolling = RollingDigest()
    for row in rows[:HEAD_ROWS]:
        rolling.take(row)
        if rolling.rows in wanted:
            digests[rolling.rows] = rolling.hexdigest()
    begins = (each for each in of if digests.get(each.head_rows) == each.head_digest)
    return next(begins, None)


def _goes_on(source: Source, read: Read) -> bool:
    """Whether a file holds what was published of it, and was not published whole."""
    rolling = _digest_of(islice(read(), source.acknowledged))
    return source.state != DONE and rolling.hexdigest() == (source.digest or rolling.hexdigest())


def _refuse_others(
    where: Where,
    head: Sequence[Outgoing],
    known: Sequence[Source],
    read: Read,
    *,
    by_time: bool,
    same: Source | None,
) -> None:
    """Refuse a file that was published in another order, or has been edited at its beginning.

    Raises
    ------
    Refused
        Its rows would be in the topic twice.
    """
    other = _known_by_head(head, known, by_time=not by_time, first_row=0)
    if other is not None and other.acknowledged and (same is None or not same.acknowledged):
        was, now = ("sorted by time", "with") if other.by_time else ("in its own order", "without")
        raise Refused(
            f"{where.name} was published {was} before ({other.acknowledged:,} rows).",
            f"Publish it {now} --sort to go on; to publish all its rows once more, add --again.",
        )
    namesakes = [each for each in known if each.name == where.name and each.acknowledged]
    if same is not None or not namesakes:
        return
    sampled = {number: each for each in namesakes for number in each.sample}
    for row in read():
        source = sampled.get(int.from_bytes(_row_digest(row)[:6]))
        if source is not None:
            raise _edited(source)
