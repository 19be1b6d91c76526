"""A history in several files is as good as in one.

The product's own publisher, stages and protocol, in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from headrace.app.sourcing import Files
from headrace.schemas.errors import Refused
from tests.systems.histories import ROWS, STEP_MS, Row, fresh, history, whole, writer
from tests.systems.published import KilledError


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., Files]:
    return writer(tmp_path)


def by_event(rows: list[Row], at: int) -> list[tuple[list[Row], list[Row]]]:
    """Cut a history where rows stand: labels stand with their events."""
    return [(rows[:at], rows[:at]), (rows[at:], rows[at:])]


def by_moment(rows: list[Row], at: int) -> list[tuple[list[Row], list[Row]]]:
    """Cut a history at a moment: labels stand in the file of the time when they became known."""
    moment = rows[at]["at"]
    early = [row for row in rows if row["known"] < moment]
    return [(rows[:at], early), (rows[at:], [row for row in rows if row["known"] >= moment])]


@pytest.mark.parametrize("cut", [by_event, by_moment])
@pytest.mark.parametrize("at", [2, 100, 101, ROWS - 1])
@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("step_ms", [None, STEP_MS])
def test_a_history_in_two_files_is_as_good_as_in_one(
    files: Callable[..., Files], cut: Any, at: int, more: bool, step_ms: int | None
) -> None:
    run, rows = fresh(), history()
    for number, (events, labels) in enumerate(cut(rows, at)):
        goes_on = more and number == 0
        run.publish(files(f"part{number}", events, labels, more=goes_on), step_ms=step_ms)
    one = whole(files, step_ms=step_ms)
    assert run.outcome() == one.outcome()


@pytest.mark.parametrize("cut", [by_event, by_moment])
@pytest.mark.parametrize("number", [1, 5, 9])
def test_labels_that_are_left_are_learned_neither_sooner_nor_later(
    files: Callable[..., Files], cut: Any, number: int
) -> None:
    """In step the models of two files are those of one, if each slice is in one file.

    Of one partition: of several, examples of a slice have no order among them.
    """
    run, rows = fresh(1), history()
    (first, second) = cut(rows, firsts_of_slices(rows)[number])
    run.publish(files("jan", *first, more=True), step_ms=STEP_MS)
    run.publish(files("feb", *second), step_ms=STEP_MS)
    one = whole(files, 1, step_ms=STEP_MS)
    assert run.predictions() == one.predictions()
    assert run.outcome() == one.outcome()


def firsts_of_slices(rows: list[Row]) -> list[int]:
    numbers = [int(datetime.fromisoformat(r["at"]).timestamp() * 1000) // STEP_MS for r in rows]
    return [at for at in range(1, len(rows)) if numbers[at] != numbers[at - 1]]


@pytest.mark.parametrize("more", [False, True])
def test_a_history_in_many_files(files: Callable[..., Files], more: bool) -> None:
    run, rows = fresh(1), history()
    cuts = [each for number, each in enumerate(firsts_of_slices(rows)) if number % 3 == 0]
    for start, end in pairwise([0, *cuts, ROWS]):
        goes_on = more and end < ROWS
        run.publish(
            files(f"from{start}", rows[start:end], rows[start:end], more=goes_on), step_ms=STEP_MS
        )
    one = whole(files, 1, step_ms=STEP_MS)
    assert run.outcome() == one.outcome()
    assert not more or run.predictions() == one.predictions()


def test_labels_that_are_left_wait_for_their_turn_through_kills(
    files: Callable[..., Files],
) -> None:
    run, rows = fresh(), history()
    (first, second) = by_event(rows, 100)
    said = run.publish(files("jan", *first, more=True)).said()[1]
    assert "labels after the last event (2024-05-01" in said
    feb = files("feb", *second)
    for life in (1, 30, 130):
        with pytest.raises(KilledError):
            run.publish(feb, life=life, rng=Random(life))
    run.publish(feb)
    outcome = run.outcome()
    for what in ("event", "label"):
        outcome["counts"].pop(f"repeated_{what}", None)
    assert outcome == whole(files).outcome()


def test_labels_that_are_left_and_not_there_any_more_are_missed(
    files: Callable[..., Files],
) -> None:
    run, rows = fresh(), history()
    (first, second) = by_event(rows, 100)
    jan = files("jan", *first, more=True)
    run.publish(jan)
    assert jan.labels is not None
    jan.labels.rename(jan.labels.with_name("moved.csv"))
    feb = files("feb", *second)
    with pytest.raises(Refused, match=r"jan-labels.csv is not there any more, of which \d+ labels"):
        run.publish(feb)
    run.publish(jan._replace(labels=jan.labels.with_name("moved.csv"), more=False))
    run.publish(feb)
    assert run.outcome() == whole(files).outcome()


def test_labels_that_are_left_come_with_the_end_of_their_own_file(
    files: Callable[..., Files],
) -> None:
    run, rows = fresh(), history()
    given = files("whole", rows, rows, more=True)
    run.publish(given)
    run.publish(given)
    run.publish(given._replace(more=False))
    assert run.outcome() == whole(files).outcome()
