"""JOIN around its law: records, examples, counts, barriers, the bound on what waits."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.schemas.errors import Refused
from headrace.schemas.records import codecs_of
from headrace.streams.protocol.stage import Context
from headrace.streams.records import Emit, Record
from headrace.streams.stages.join import JoinStage
from headrace.streams.stages.score import ScoreStage
from headrace.streams.topics import Partitions
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
    decoded,
    feed,
    reading,
    totals,
)

PREDICTIONS, ROUTED = PLAN.topics.predictions, PLAN.topics.labels_routed
ONE = Partitions(1, 1, 1)
MINUTE = 60_000


def join(limit: int = 100, partitions: Partitions = ONE, codecs: Any = CODECS) -> Runner:
    return Runner(JoinStage(PLAN, codecs, 0, partitions, limit))


def prediction(number: int, minutes: float, offset: int = 0, mark: float | None = None) -> Record:
    """Return the prediction of an event, as SCORE emits it, with any watermark."""
    scored = Runner(ScoreStage(PLAN, CODECS, 0, ONE))
    emits = scored.run(feed("", [reading(number, minutes)]))
    fields = CODECS.prediction.decode(emits[0].value)
    assert isinstance(fields, dict)
    fields["watermark"] = None if mark is None else START_MS + int(mark * MINUTE)
    value = CODECS.prediction.encode(fields)
    return Record(PREDICTIONS, 0, offset, NOW_MS, None, value)


def label(
    number: int, minutes: float, offset: int = 0, mark: float | None = None, **fields: Any
) -> Record:
    record = {
        "event_id": f"e{number}",
        "label": True,
        "label_time": START_MS + int(minutes * MINUTE),
        "source_partition": 0,
        "source_offset": offset,
        "watermark": None if mark is None else START_MS + int(mark * MINUTE),
        **fields,
    }
    return Record(ROUTED, 0, offset, NOW_MS, None, CODECS.routed_label.encode(record))


def examples(emits: list[Emit]) -> list[dict[str, Any]]:
    return decoded(emits, PLAN.topics.examples, CODECS.example)


@pytest.mark.parametrize("label_first", [False, True])
def test_whichever_comes_second_finds_the_first(label_first: bool) -> None:
    records = [prediction(1, 0, 7), label(1, 30, 9)]
    emits = join().run(*[[record] for record in (records[::-1] if label_first else records)])
    whole = CODECS.prediction.decode(records[0].value)
    assert isinstance(whole, dict)
    (example,) = examples(emits)
    assert example == {
        **whole,
        "label": True,
        "label_time": START_MS + 30 * MINUTE,
        "label_partition": 0,
        "label_offset": 9,
    }
    assert [(e.partition, e.key) for e in emits if e.topic == PLAN.topics.examples] == [(0, b"e1")]
    assert counted(emits) == {"first_event": 1, "matched": 1}


def test_counts_lie_in_the_tile_of_the_event() -> None:
    emits = join().run([prediction(1, 0), label(1, 59)])
    assert {tile for tile, _, _ in totals(emits)} == {START_MS}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        pytest.param([prediction(1, 0), prediction(1, 5, 1)],
                     {"first_event": 1, "duplicate_event": 1}, id="event twice"),
        pytest.param([prediction(1, 0), label(1, 5), label(1, 6, 1)],
                     {"first_event": 1, "matched": 1, "duplicate_label": 1}, id="label twice"),
        pytest.param([prediction(1, 0), label(1, 5), label(1, 6, 1, label=False)],
                     {"first_event": 1, "matched": 1, "contradicting_label": 1}, id="contradicts"),
        pytest.param([prediction(1, 10), label(1, 5)],
                     {"first_event": 1}, id="before its event: waits"),
        pytest.param([prediction(1, 10), label(1, 5), prediction(2, 60, 1, mark=60)],
                     {"first_event": 2, "unmatched_label": 1}, id="before its event"),
        pytest.param([label(9, 5), prediction(2, 60, 1, mark=60)],
                     {"first_event": 1, "unmatched_label": 1}, id="for nobody"),
        pytest.param([prediction(1, 0), label(1, 61), prediction(2, 90, 1, mark=90)],
                     {"first_event": 2, "unmatched_label": 1}, id="after the wait"),
        pytest.param([label(1, 0, mark=11)], {"late_label": 1}, id="late label"),
        pytest.param([prediction(1, 0, mark=11)], {"late_event": 1}, id="late event"),
        pytest.param([prediction(1, 0), label(2, 100, mark=80)],
                     {"first_event": 1, "expired": 1}, id="expired"),
    ],
)  # fmt: skip
def test_each_fate_has_its_name(records: list[Record], expected: dict[str, int]) -> None:
    together, apart = join(), join()
    assert counted(together.run(records)) == expected
    assert counted(apart.run(*[[record] for record in records])) == expected
    assert together.states() == apart.states()


def test_nothing_stays_of_what_can_decide_nothing_any_more() -> None:
    runner = join()
    runner.run([prediction(1, 0), label(1, 5), label(9, 6, 1)])
    assert {"i:e1", "i:e9"} < set(runner.states())
    runner.run([prediction(2, 200, 1, mark=200), label(2, 210, 2, mark=210)])
    assert list(runner.states()) == ["i:e2", "w"]
    assert runner.states()["i:e2"] == [[[1, START_MS + 200 * MINUTE, None, 1, True]], []]


def test_a_count_says_what_is_settled() -> None:
    runner = join()
    runner.run([prediction(1, 0)])
    emits = runner.run([prediction(2, 200, 1, mark=200), label(2, 201, 2, mark=180)])
    (count,) = decoded(emits, PLAN.topics.counts, CODECS.count)
    assert count["settled"] == START_MS + (180 - 10 - 60) * MINUTE
    assert (count["stage"], count["partition"], count["watermark"]) == ("join", 0, None)


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        (PREDICTIONS, None, "tombstone"),
        (PREDICTIONS, b"{}", "not_avro"),
        (PREDICTIONS, CODECS.prediction.header + b"\x04a", "truncated"),
        (PREDICTIONS, b"\x00\x00\x00\x00\x63", "unknown_schema"),
        (ROUTED, b"{}", "not_avro"),
        (ROUTED, label(1, 0, source_partition=1).value, "out_of_range"),
        (ROUTED, label(1, 0, source_partition=-1).value, "out_of_range"),
    ],
)
def test_what_is_no_prediction_and_no_label_becomes_a_dead_letter(
    topic: str, value: bytes | None, reason: str
) -> None:
    emits = join().run([Record(topic, 0, 0, NOW_MS, None, value)])
    (letter,) = decoded(emits, PLAN.topics.dead_letters, CODECS.dead_letter)
    assert (letter["reason"], letter["stage"]) == (reason, "join")


def test_predictions_of_an_older_writer_become_examples_too() -> None:
    """A reader's schema that has grown, with the older one among its writers."""
    old = PLAN.schemas["prediction"]
    grown = {name: _grown(PLAN.schemas[name]) for name in ("prediction", "example")}
    ids = {name: number for number, name in enumerate(PLAN.schemas, 50)}
    older = CODECS.prediction.schema_id
    new = codecs_of({**PLAN.schemas, **grown}, ids, {"prediction": {older: old}})
    known = label(1, 5)
    known = known._replace(value=_as(new, known))
    emits = join(codecs=new).run([prediction(1, 0), known])
    (example,) = decoded(emits, PLAN.topics.examples, new.example)
    assert (example["event_id"], example["label"]) == ("e1", True)
    assert example["features"]["added"] is None


def _grown(schema: dict[str, Any]) -> dict[str, Any]:
    fields = [dict(field) for field in schema["fields"]]
    features = next(field for field in fields if field["name"] == "features")
    added = {"name": "added", "type": ["null", "double"], "default": None}
    features["type"] = {**features["type"], "fields": [*features["type"]["fields"], added]}
    return {**schema, "fields": fields}


def _as(codecs: Any, record: Record) -> bytes:
    found = CODECS.routed_label.decode(record.value)
    encoded: bytes = codecs.routed_label.encode(found)
    return encoded


def test_a_restore_comes_to_the_same_state_and_emits_nothing() -> None:
    records = [prediction(1, 0), label(1, 5), label(3, 6, 1), prediction(4, 7, 1)]
    live, restored = join(), join()
    live.run(*[[record] for record in records])
    assert restored.run(records, context=Context(restoring=True)) == []
    assert restored.states() == live.states()
    later = [prediction(3, 1, 2), label(2, 200, 2, mark=200), prediction(5, 201, 3, mark=201)]
    owner = live.restarted(JoinStage(PLAN, CODECS, 0, ONE, 100))
    emits = owner.run(later, [])
    assert emits == live.run(later, [])
    assert owner.states() == live.states()
    assert counted(emits)["expired"] == 1
    assert len(examples(emits)) == 1


# -- barriers


def sent(topic: str, name: str, *sources: str) -> list[Record]:
    return [barrier(name, source)._replace(topic=topic) for source in sources]


def test_a_barrier_is_passed_on_once_all_sources_have_sent_it() -> None:
    runner = join(partitions=PARTITIONS)
    early = [*sent(PREDICTIONS, "b", "score-0"), *sent(ROUTED, "b", "route-1", "route-0")]
    assert runner.run(early) == []
    assert runner.states()["b"] == {
        "b": {name: [1, NOW_MS] for name in ("route-0", "route-1", "score-0")}
    }
    emits = runner.run(sent(PREDICTIONS, "b", "score-1"))
    assert barriers(emits) == [(PLAN.topics.examples, 0, "b", "join-0")]
    assert "b" not in runner.states()


def test_a_name_that_is_used_again_begins_another_round() -> None:
    one, two = join(), join()
    events, labels = sent(PREDICTIONS, "b", "score-0"), sent(ROUTED, "b", "route-0")
    first = [(PLAN.topics.examples, 0, "b", "join-0")]
    assert barriers(one.run(events + events + labels)) == first
    assert barriers(two.run(events + labels + events)) == first
    assert one.states()["b"] == two.states()["b"] == {"b": {"score-0": [1, NOW_MS]}}
    assert barriers(one.run(labels)) == first
    assert "b" not in one.states()


def test_a_stranger_s_barrier_is_ignored() -> None:
    runner = join()
    assert runner.run(sent(PREDICTIONS, "b", "score-7", ""), [barrier("b")]) == []
    assert "b" not in runner.states()


def test_barriers_under_way_are_sorted_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.streams.stages.barriers.OPEN_MAX", 2)
    one, two = join(), join()
    b, a, c = (
        [record._replace(timestamp_ms=time_ms) for record in sent(PREDICTIONS, name, "score-0")]
        for name, time_ms in (("b", 1), ("a", 2), ("c", 3))
    )
    one.run(b, a)
    two.run(a, b)
    assert one.states() == two.states()
    assert list(one.states()["b"]) == ["a", "b"]
    one.run(c)
    assert list(one.states()["b"]) == ["a", "c"]  # the one heard of longest ago is forgotten


# -- the bound


def test_when_too_many_wait_the_input_behind_in_event_time_is_read() -> None:
    runner = join(limit=2)
    stage = runner.stage
    assert isinstance(stage, JoinStage)
    assert stage.prefer() is None
    runner.run([prediction(1, 0), prediction(2, 1, 1)])
    assert stage.waiting == 2
    assert stage.prefer() is None
    runner.run([prediction(3, 2, 2)])
    assert stage.prefer() == ROUTED  # neither has said a time: labels free what waits
    runner.run([label(9, 20, 0, mark=20)])
    assert stage.prefer() == PREDICTIONS
    runner.restarted(stage)
    assert stage.waiting == 4
    runner.run([label(8, 21, 1, mark=21)])
    with pytest.raises(Refused, match="3 predictions and 2 labels wait"):
        stage.prefer()


def test_of_equal_times_predictions_are_read() -> None:
    runner = join(limit=1)
    stage = runner.stage
    assert isinstance(stage, JoinStage)
    runner.run([prediction(1, 0, 0, mark=0), label(9, 20, 0, mark=0)])
    assert stage.prefer() == PREDICTIONS
    runner.run([prediction(1, 0, 1, mark=1)])
    assert stage.prefer() == ROUTED


def test_poison_leaves_the_state_and_the_index_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrive = JoinStage._arrive

    def fails(self: JoinStage, record: Record, item: Any, clocks: Any, view: Any) -> Any:
        outcome = arrive(self, record, item, clocks, view)
        if item["event_id"] == "e2":
            raise ZeroDivisionError
        return outcome

    monkeypatch.setattr(JoinStage, "_arrive", fails)
    runner, expected = join(), join()
    good = [prediction(1, 0, 0), prediction(3, 2, 2)]
    emits = runner.run([good[0], prediction(2, 1, 1), good[1]])
    expected.run(good)
    assert counted(emits) == {"first_event": 2, "dead_letter.poison": 1}
    assert runner.states() == expected.states()
    assert isinstance(runner.stage, JoinStage)
    assert runner.stage.waiting == 2
