"""What a source has sent before is passed over: it is counted, and moves and says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import Context, Stage
from headrace.streams.records import SOURCE, WATERMARK, Emit, Record
from headrace.streams.stages import repetitions
from headrace.streams.stages.repetitions import SOURCES, Origin, origin_of, source_header
from headrace.streams.stages.route import RouteStage
from headrace.streams.stages.score import ScoreStage
from tests.unit.stages.flow import (
    CODECS,
    NOW_MS,
    PARTITIONS,
    PLAN,
    START_MS,
    Runner,
    barrier,
    barriers,
    counted,
    feed,
    reading,
    verdict,
    without_counts,
)

MINUTE = 60_000


def score() -> Runner:
    return Runner(ScoreStage(PLAN, CODECS, 0, PARTITIONS))


def route() -> Runner:
    return Runner(RouteStage(PLAN, CODECS, 0, PARTITIONS))


class Of:
    """SCORE or ROUTE, and values that it takes."""

    def __init__(self, name: str) -> None:
        self.runner = {"score": score, "route": route}[name]()
        self.make: Any = {"score": reading, "route": verdict}[name]
        self.topic = {"score": PLAN.topics.events, "route": PLAN.topics.labels}[name]
        self.counted = {"score": "repeated_event", "route": "repeated_label"}[name]

    def row(self, place: int, source: str = "a", **changes: Any) -> Record:
        value = changes.pop("value", self.make(place, place))
        made = Record("", 0, 0, NOW_MS, None, value, (source_header(Origin(source, place)),))
        return made._replace(**changes)

    def run(self, *records: Any, restoring: bool = False) -> list[Emit]:
        if restoring:
            return self.runner.run(feed(self.topic, records), context=Context(restoring=True))
        return self.runner.run(feed(self.topic, records))

    def again(self) -> Stage:
        return type(self.runner.stage)(PLAN, CODECS, 0, PARTITIONS)  # type: ignore[call-arg]


@pytest.fixture(params=["score", "route"])
def of(request: pytest.FixtureRequest) -> Of:
    return Of(request.param)


def headed(*headers: tuple[str, Any]) -> Record:
    return Record("t", 0, 0, 0, None, b"{}", headers)


@pytest.mark.parametrize(
    "said",
    [b"", b"a", b"a@", b"@1", b"a@-1", b"a@1.5", b"a@1@2", b"a b@1", b"a#1", b"a@" + b"1" * 19,
     None, b"a" * 65 + b"@1", "é@1".encode()],
)  # fmt: skip
def test_a_header_that_names_no_place_is_none(said: bytes | None) -> None:
    assert origin_of(headed((SOURCE, said))) is None


def test_the_header_is_read_as_it_is_written() -> None:
    origin = Origin("9f:events-2.x", 10**17)
    assert origin_of(headed(("other", b"a@1"), source_header(origin))) == origin
    assert origin_of(headed(("other", b"a@1"))) is None


def test_a_repetition_says_nothing_and_moves_nothing(of: Of) -> None:
    rows = [of.row(place) for place in range(1, 8)]
    of.run(*rows)
    before = of.runner.states()
    for again in (rows, rows[:3], rows[6:]):
        emits = of.run(*again)
        assert without_counts(emits) == []
        assert counted(emits) == {of.counted: len(again)}
    assert of.runner.states() == before


def test_within_a_batch_too_and_in_a_restore(of: Of) -> None:
    rows = [of.row(place) for place in range(1, 8)]
    emits = of.run(*rows, *rows[2:], of.row(8))
    once = Of(of.runner.stage.name)
    assert counted(emits)[of.counted] == 5
    restored = Of(of.runner.stage.name)
    assert restored.run(*rows, *rows[2:], of.row(8), restoring=True) == []
    once.run(*rows, of.row(8))
    assert of.runner.states() == restored.runner.states() == once.runner.states()


def test_a_new_owner_of_the_state_passes_over_what_the_old_one_has_seen(of: Of) -> None:
    rows = [of.row(place) for place in range(1, 5)]
    of.run(*rows)
    of.runner = of.runner.restarted(of.again())
    assert counted(of.run(*rows)) == {of.counted: 4}


def test_a_state_from_before_there_were_sources_goes_on(of: Of) -> None:
    of.run(*(of.make(place, place) for place in range(1, 5)))
    assert SOURCES not in of.runner.states()
    of.runner = of.runner.restarted(of.again())
    rows = [of.row(5), of.row(6)]
    assert counted(of.run(*rows))[of.counted] == 0
    assert counted(of.run(*rows)) == {of.counted: 2}


def test_sources_are_told_apart_and_others_are_never_passed_over(of: Of) -> None:
    of.run(of.row(5), of.row(1, "b"))
    plain = of.row(1)._replace(headers=(("trace", b"1"),))
    emits = of.run(of.row(5), of.row(2, "b"), of.row(1, "c"), plain, plain, of.make(9, 9))
    assert counted(emits)[of.counted] == 1
    assert {name: place for name, (place, _) in of.runner.states()[SOURCES].items()} == {
        "a": 5, "b": 2, "c": 1
    }  # fmt: skip


def test_a_dead_letter_is_not_doubled(of: Of) -> None:
    bad = [of.row(1, value=b"{"), of.row(2, value=None)]
    letters = {"dead_letter.not_json": 1, "dead_letter.tombstone": 1}
    assert counted(of.run(*bad)) == letters
    assert counted(of.run(*bad)) == {of.counted: 2}


def test_a_record_that_is_poison_is_none_the_second_time(
    of: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Plan, value: bytes | None, timestamp_ms: int) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Plan, "decode_event", fails)
    monkeypatch.setattr(Plan, "decode_label", fails)
    assert counted(of.run(of.row(1), of.row(2))) == {"dead_letter.poison": 2}
    assert counted(of.run(of.row(1), of.row(2))) == {of.counted: 2}


def test_a_batch_that_fails_takes_nothing_in(of: Of, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records are tried again one by one: the first of them is no repetition then."""
    original = repetitions.Places.keep
    failing = iter([True])

    def fails(self: repetitions.Places) -> None:
        if next(failing, False):
            raise ZeroDivisionError
        original(self)

    monkeypatch.setattr(repetitions.Places, "keep", fails)
    emits = of.run(*(of.row(place) for place in range(1, 5)))
    assert counted(emits)[of.counted] == 0
    assert counted(emits)["dead_letter.poison"] == 0
    assert of.runner.states()[SOURCES] == {"a": [4, NOW_MS]}


def test_of_too_many_sources_the_one_heard_of_longest_ago_is_dropped(
    of: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repetitions, "SOURCES_MAX", 2)
    rows = [
        of.row(1, "a", timestamp_ms=NOW_MS + 2),
        of.row(1, "b", timestamp_ms=NOW_MS + 1),
        of.row(1, "c", timestamp_ms=NOW_MS + 3),
    ]
    of.run(*rows)
    assert of.runner.states()[SOURCES] == {"a": [1, NOW_MS + 2], "c": [1, NOW_MS + 3]}
    heard = of.row(1, "a", timestamp_ms=NOW_MS + 9)
    assert counted(of.run(heard, rows[1]))[of.counted] == 1  # b is not known any more
    assert list(of.runner.states()[SOURCES]) == ["a", "c"]  # b is the oldest, and goes at once


def test_barriers_and_marks_pass_whatever_was_repeated(of: Of) -> None:
    rows = [of.row(place) for place in range(1, 5)]
    of.run(*rows)
    assert barriers(of.run(*rows, barrier("end")))


# -- labels after the last event


def after_the_last(number: int, minutes: float, promised: bytes) -> Record:
    record = Record("", 0, 0, NOW_MS, None, verdict(number, minutes), ((WATERMARK, promised),))
    return record


def test_a_label_that_carries_a_promise_moves_the_clock_by_this_alone() -> None:
    runner = route()
    runner.run(feed(PLAN.topics.labels, [verdict(n, n) for n in range(5)]))
    assert runner.states()["w"][0] == START_MS + 2 * MINUTE
    promise = str(START_MS + 3 * MINUTE).encode()
    late = [after_the_last(n, 50 + n, promise) for n in range(5, 12)]
    emits = runner.run(feed(PLAN.topics.labels, late))
    assert counted(emits)["routed"] == 7
    assert runner.states()["w"] == [
        START_MS + 3 * MINUTE,
        [START_MS + n * MINUTE for n in range(5)],
    ]


def test_a_promise_that_is_none_leaves_the_clock_to_the_labels_time() -> None:
    for said in (b"soon", str(NOW_MS + 365 * 86_400_000).encode()):
        runner = route()
        runner.run(feed(PLAN.topics.labels, [after_the_last(n, n, said) for n in range(5)]))
        assert runner.states()["w"][0] == START_MS + 2 * MINUTE
