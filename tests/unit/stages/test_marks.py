"""Marks: how far sources have come reaches everybody who waits for it, and lets state go."""

from __future__ import annotations

import pytest

from headrace.streams.records import WATERMARK, Emit, Record
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.marks import Control, Mark, control_of, crossed, mark_of, mark_record
from headrace.streams.stages.route import RouteStage
from headrace.streams.stages.score import ScoreStage
from headrace.streams.topics import Partitions
from tests.unit.stages.flow import (
    CODECS,
    NOW_MS,
    PLAN,
    START_MS,
    Runner,
    barrier,
    barriers,
    counted,
    feed,
    reading,
    verdict,
)

EVENTS, LABELS = PLAN.topics.events, PLAN.topics.labels
PREDICTIONS, ROUTED = PLAN.topics.predictions, PLAN.topics.labels_routed
THREE = Partitions(events=1, labels=2, predictions=3)
MINUTE = 60_000
STEP_MINUTES = PLAN.mark_step_ms // MINUTE


def said(text: bytes, *, timestamp_ms: int = NOW_MS, name: str | None = None) -> Record:
    headers = [(WATERMARK, text)]
    if name is not None:
        headers = [*barrier(name).headers, *headers]
    return Record("", 0, 0, timestamp_ms, None, None, tuple(headers))


def at_minute(minute: float) -> bytes:
    return str(START_MS + int(minute * MINUTE)).encode()


def marks(emits: list[Emit], topic: str) -> list[tuple[int, Mark]]:
    found = [
        (emit.partition, mark_of(Record(topic, emit.partition, 0, 0, *emit[2:])))
        for emit in emits
        if emit.topic == topic
    ]
    return [(partition, mark) for partition, mark in found if mark is not None]


def score() -> Runner:
    return Runner(ScoreStage(PLAN, CODECS, 0, THREE))


def test_a_first_watermark_and_each_step_are_said_to_all_partitions() -> None:
    minutes = [0, 1, 2, 3, STEP_MINUTES + 1, STEP_MINUTES + 2, STEP_MINUTES + 3, STEP_MINUTES + 4]
    emits = score().run(feed(EVENTS, [reading(n, minute) for n, minute in enumerate(minutes)]))
    found = marks(emits, PREDICTIONS)
    assert [partition for partition, _ in found] == [0, 1, 2] * (len(found) // 3)
    times = [mark.watermark for _, mark in found[::3]]
    assert times[0] == START_MS + MINUTE
    assert len({time // PLAN.mark_step_ms for time in times}) == len(times) > 1


def test_what_is_said_does_not_depend_on_batches_and_nothing_is_said_in_a_restore() -> None:
    records = feed(EVENTS, [reading(n, 7 * n) for n in range(60)])
    whole = marks(score().run(records), PREDICTIONS)
    runner, parts = score(), []
    for record in records:
        parts += marks(runner.run([record]), PREDICTIONS)
    assert whole == parts
    assert len(whole) > 3


def test_a_promise_moves_the_clock_of_a_partition_without_events() -> None:
    runner = score()
    emits = runner.run(feed(EVENTS, [said(at_minute(90))]))
    assert marks(emits, PREDICTIONS) == [(n, Mark(0, START_MS + 90 * MINUTE)) for n in range(3)]
    assert not counted(emits)
    assert runner.run(feed(EVENTS, [said(at_minute(30))])) == []


def test_a_promise_on_labels_moves_their_clock() -> None:
    runner = Runner(RouteStage(PLAN, CODECS, 1, THREE))
    emits = runner.run(feed(LABELS, [said(at_minute(90))], 1))
    assert marks(emits, ROUTED) == [(n, Mark(1, START_MS + 90 * MINUTE)) for n in range(3)]
    assert barriers(emits) == []


def test_a_barrier_may_promise_too() -> None:
    emits = score().run(feed(EVENTS, [said(at_minute(90), name="x")]))
    assert len(marks(emits, PREDICTIONS)) == 3
    assert len(barriers(emits)) == 3
    emits = Runner(RouteStage(PLAN, CODECS, 1, THREE)).run(
        feed(LABELS, [said(at_minute(90), name="x")], 1)
    )
    assert marks(emits, ROUTED) == [(n, Mark(1, START_MS + 90 * MINUTE)) for n in range(3)]
    assert len(barriers(emits)) == 3


@pytest.mark.parametrize(
    "text", [b"", b"soon", b"-5", b"1.5", b"9" * 19, "\u0664".encode(), b"1:2"]
)
def test_what_is_no_number_promises_nothing(text: bytes) -> None:
    assert control_of(said(text), 0) is None
    assert control_of(said(text, name="x"), 0) == Control("x", None)
    emits = score().run(feed(EVENTS, [said(text)]))
    assert counted(emits) == {"dead_letter.tombstone": 1}


def test_a_promise_beyond_its_records_time_is_ignored() -> None:
    record = said(b"2000", timestamp_ms=1_000)
    assert control_of(record, 1_000) == Control(None, 2_000)
    assert control_of(record, 999) is None


def test_records_with_values_are_no_marks() -> None:
    record = Record("", 0, 0, 0, None, b"x", ((WATERMARK, b"1:2"),))
    assert control_of(record, 0) is None
    assert mark_of(record) is None
    assert mark_of(Record("", 0, 0, 0, None, None, ())) is None
    for text in (b"1", b":2", b"1:", b"a:2", b"1:b"):
        assert mark_of(record._replace(value=None, headers=((WATERMARK, text),))) is None


def test_steps() -> None:
    assert not crossed(None, None, 10)
    assert not crossed(5, None, 10)


def test_marks_of_all_sources_let_an_event_expire_that_no_label_came_for() -> None:
    scored = score().run(feed(EVENTS, [reading(0, 0)]))
    records = [Record(PREDICTIONS, e.partition, 0, NOW_MS, *e[2:4]) for e in scored if e.key]
    runner = Runner(JoinStage(PLAN, CODECS, 0, Partitions(1, 2, 1), 100))
    runner.run([records[0]._replace(partition=0)])
    far = START_MS + PLAN.wait_ms + PLAN.label_lateness_ms + MINUTE

    def mark(source: int, time_ms: int, topic: str = ROUTED, offset: int = 0) -> Record:
        emit = mark_record(Mark(source, time_ms), topic, 0)
        return Record(topic, 0, offset, NOW_MS, *emit[2:])

    assert not counted(runner.run([mark(0, far)]))
    assert counted(runner.run([mark(1, far, offset=1)])) == {"expired": 1}
    assert [key for key in runner.states() if key.startswith("i:")]
    later = START_MS + PLAN.wait_ms + PLAN.lateness_ms + MINUTE
    runner.run([mark(0, later, PREDICTIONS, 1)])
    assert not [key for key in runner.states() if key.startswith("i:")]


def test_a_mark_of_no_source_is_a_dead_letter() -> None:
    runner = Runner(JoinStage(PLAN, CODECS, 0, Partitions(1, 2, 1), 100))
    emit = mark_record(Mark(2, START_MS), ROUTED, 0)
    found = runner.run([Record(ROUTED, 0, 0, NOW_MS, *emit[2:])])
    assert counted(found) == {"dead_letter.out_of_range": 1}


def test_labels_that_are_routed_say_their_clock() -> None:
    runner = Runner(RouteStage(PLAN, CODECS, 0, THREE))
    emits = runner.run(feed(LABELS, [verdict(n, n) for n in range(4)]))
    assert [mark.source for _, mark in marks(emits, ROUTED)] == [0, 0, 0]
