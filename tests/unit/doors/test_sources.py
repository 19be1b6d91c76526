"""Which rows of a file are in the log already, and what makes a file the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

import pytest

from headrace.registry.kept import DONE, OPEN, Source
from headrace.schemas.errors import Refused
from headrace.streams.history import History
from headrace.streams.outgoing import Outgoing
from headrace.streams.sources import (
    HEAD_ROWS,
    SAMPLE_ROWS,
    Opened,
    RollingDigest,
    Where,
    by_time,
    in_file_order,
    left_behind,
)

WHERE = Where("t", "id", "/data/jan.csv")

Rows = Sequence[Outgoing]


def rows(count: int, *, first: int = 0, is_label: bool = False) -> list[Outgoing]:
    rng = Random(count)
    return [
        Outgoing(rng.randrange(10**6), is_label, b"k%d" % n, b'{"n": %d}' % n)
        for n in range(first, first + count)
    ]


def reading(found: Rows) -> Callable[[], Iterator[Outgoing]]:
    return lambda: iter(found)


def published(opened: Opened, upto: int | None = None) -> Source:
    """Send what an opened file has, up to some place; return what the registry is told."""
    assert opened.run is not None
    for record in opened.records:
        assert record.origin is not None
        if not opened.run.passes(record) and (upto is None or record.origin.place <= upto):
            opened.run.sent(record)
    opened.run.ended()
    return opened.run.finished(more=False) if upto is None else opened.run.acknowledged()


def sent(opened: Opened) -> list[int]:
    """Return the places that are to be sent."""
    assert opened.run is not None
    return [
        record.origin.place
        for record in opened.records
        if record.origin is not None and not opened.run.passes(record)
    ]


def test_a_source_has_the_name_that_its_first_rows_give_it() -> None:
    many = rows(HEAD_ROWS + 50)
    one, same, cut, other = (
        in_file_order(where, reading(each), ())
        for where, each in (
            (WHERE, many),
            (WHERE._replace(name="elsewhere.csv"), many),
            (WHERE, many[:-1]),
            (WHERE, many[1:]),
        )
    )
    names = [each.run.source.source for each in (one, same, cut, other) if each.run]
    assert names[0] == names[1] == names[2] != names[3]
    elsewhere = in_file_order(WHERE._replace(topic="u"), reading(many), ())
    assert elsewhere.run is not None
    assert elsewhere.run.source.source != names[0]


@pytest.mark.parametrize("upto", [0, 1, 10, HEAD_ROWS, HEAD_ROWS + 5])
def test_it_goes_on_behind_what_was_acknowledged(upto: int) -> None:
    many = rows(HEAD_ROWS + 10)
    source = published(in_file_order(WHERE, reading(many), ()), upto)
    assert (source.acknowledged, source.state) == (upto, OPEN)
    assert sent(in_file_order(WHERE, reading(many), [source])) == [*range(upto + 1, len(many) + 1)]
    grown = [*many, *rows(3, first=9_000)]
    assert sent(in_file_order(WHERE, reading(grown), [source]))[-1] == len(grown)


def test_rows_that_are_edited_beyond_the_first_are_found_on_the_way() -> None:
    many = rows(HEAD_ROWS + 100)
    source = published(in_file_order(WHERE, reading(many), ()))
    edited = [*many[:-2], many[-1], many[-2]]
    with pytest.raises(Refused, match=r"jan.csv: rows 1 to 1,100 are not those .*--again"):
        sent(in_file_order(WHERE, reading(edited), [source]))
    opened = in_file_order(WHERE, reading(many[:-2]), [source])
    with pytest.raises(Refused, match=r"has 1,098 rows, of which 1,100 were published before"):
        published(opened)


def test_labels_are_not_sent_before_it_is_known_that_events_are_missing() -> None:
    many, labels = rows(HEAD_ROWS + 20), rows(9, is_label=True)
    source = published(in_file_order(WHERE, reading(many), ()))
    events = in_file_order(WHERE, reading(many[:-5]), [source])
    late = [label._replace(time_ms=10**7) for label in labels]
    history = History([events], by_time(WHERE, reading(late), ()))
    with pytest.raises(Refused, match="rows were taken out"):
        list(history.records(lambda _: None))


def test_rows_by_time_are_a_source_for_each_stretch() -> None:
    many = rows(40)
    (first,) = by_time(WHERE, reading(many[:25]), ())
    assert first.run is not None
    order = [row.time_ms for row in first.records]
    assert order == sorted(order)
    source = published(by_time(WHERE, reading(many[:25]), ())[0], 10)
    old, new = by_time(WHERE, reading(many), [source])
    assert sent(old) == [*range(11, 26)]
    assert sent(new) == [*range(1, 16)]
    assert old.run is not None
    assert new.run is not None
    assert (old.run.source.first_row, new.run.source.first_row) == (0, 25)
    assert by_time(WHERE, reading([]), ()) == []


def test_a_sorter_of_ones_own() -> None:
    many = rows(9)

    def backwards(found: object) -> list[Outgoing]:
        return sorted(many, key=lambda row: -row.time_ms)

    (opened,) = by_time(WHERE, reading(many), (), sort=backwards)
    assert [row.value for row in opened.records] == [row.value for row in backwards(None)]


def test_rows_by_time_that_were_edited_are_refused_and_again_is_another_source() -> None:
    many = rows(HEAD_ROWS + 30)
    source = published(by_time(WHERE, reading(many), ())[0])
    edited = [*many[:-1], many[-1]._replace(value=b"{}")]
    with pytest.raises(Refused, match=r"rows 1 to 1,030"):
        by_time(WHERE, reading(edited), [source])
    (again,) = by_time(WHERE, reading(edited), [source._replace(state=OPEN)], "x")
    assert again.run is not None
    assert again.run.begin == 0
    with pytest.raises(Refused, match=r"rows 1 to 1,030"):
        left_behind(source, reading(edited))
    assert sent(left_behind(source._replace(acknowledged=1_000), reading(many)))[0] == 1_001


def test_another_order_is_another_source_and_not_meant() -> None:
    many = rows(30)
    as_it_stands = published(in_file_order(WHERE, reading(many), ()))
    with pytest.raises(Refused, match=r"in its own order before \(30 rows\).*without --sort"):
        by_time(WHERE, reading(many), [as_it_stands])
    by_times = published(by_time(WHERE, reading(many), ())[0])
    with pytest.raises(Refused, match=r"sorted by time before \(30 rows\).*with --sort"):
        in_file_order(WHERE, reading(many), [by_times])
    assert sent(in_file_order(WHERE, reading(many), [by_times], "x"))[0] == 1


def test_again_goes_on_with_what_was_stopped_and_begins_what_was_whole_or_edited() -> None:
    many = rows(HEAD_ROWS + 60)
    stopped = published(in_file_order(WHERE, reading(many), (), "x"), HEAD_ROWS + 7)
    assert sent(in_file_order(WHERE, reading(many), [stopped], "y"))[0] == HEAD_ROWS + 8
    edited = [*many[: HEAD_ROWS + 1], *many[HEAD_ROWS + 2 :]]
    for found, source in ((edited, stopped), (many, stopped._replace(state=DONE))):
        opened = in_file_order(WHERE, reading(found), [source], "y")
        assert sent(opened)[0] == 1
        assert opened.run is not None
        assert opened.run.source.source != source.source


def test_the_id_of_a_schema_makes_no_row_another() -> None:
    digests = []
    for head in (b"\0\0\0\0\1", b"\0\0\0\0\7"):
        rolling = RollingDigest()
        for row in rows(3):
            rolling.take(row._replace(value=head + row.value))
        digests.append(rolling.hexdigest())
    assert digests[0] == digests[1]


def test_a_sample_does_not_depend_on_the_order() -> None:
    many, samples = rows(500), []
    for order in (many, many[::-1]):
        rolling = RollingDigest()
        for row in order:
            rolling.take(row)
        samples.append(rolling.sample())
    assert samples[0] == samples[1]
    assert len(samples[0]) == SAMPLE_ROWS
    assert list(samples[0]) == sorted(samples[0])
