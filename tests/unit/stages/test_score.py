"""SCORE: what it says of an event, what it refuses, and what it remembers."""

from __future__ import annotations

from typing import Any

import pytest
from river import anomaly, linear_model
from river.base import Classifier

from headrace.schemas.records import Codecs
from headrace.streams.features.program import FeatureProgram
from headrace.streams.model import Bundle, Served, fresh_served
from headrace.streams.observe import Tally
from headrace.streams.pipeline import Monitor, count, value
from headrace.streams.plan import Plan, plan_of
from headrace.streams.protocol.stage import Context
from headrace.streams.records import Emit, Record
from headrace.streams.stages.score import ScoreStage
from headrace.streams.topics import Partitions
from tests.unit.stages.flow import (
    CODECS,
    IN_EVENT,
    NOW_MS,
    PARTITIONS,
    PLAN,
    START_MS,
    Runner,
    barrier,
    barriers,
    codecs_for,
    counted,
    decoded,
    feed,
    pipeline,
    reading,
    totals,
)


def score(plan: Plan = PLAN, partition: int = 0, partitions: Partitions = PARTITIONS) -> Runner:
    codecs: Codecs = CODECS if plan is PLAN else codecs_for(plan)
    return Runner(ScoreStage(plan, codecs, partition, partitions))


def scored(*values: bytes | Record | None, plan: Plan = PLAN) -> list[Emit]:
    context = Context(model=fresh_served(plan, 1))
    return score(plan).run(feed(plan.topics.events, values), context=context)


def predictions(emits: list[Emit], plan: Plan = PLAN) -> list[dict[str, Any]]:
    return decoded(emits, plan.topics.predictions, codecs_for(plan).prediction)


def letters(emits: list[Emit]) -> list[dict[str, Any]]:
    return decoded(emits, PLAN.topics.dead_letters, CODECS.dead_letter)


def test_a_prediction_is_a_full_record_of_how_it_came_to_be() -> None:
    emits = scored(reading(0, 0, heat=20.0), reading(1, 5, heat=60.0))
    second = predictions(emits)[1]
    assert second == {
        "id": "machines.events-0-1",
        "event_id": "e1",
        "key": "m1",
        "event_time": START_MS + 300_000,
        "source_partition": 0,
        "source_offset": 1,
        "watermark": None,
        "late": False,
        "prediction": True,
        "score": 0.5,
        "probabilities": {"false": 0.5, "true": 0.5},
        "model": "machines",
        "version": 1,
        "learned_to": 0,
        "features": {
            "load": 2.0,
            "heat": 60.0,
            "kind": "new",
            "headroom": 998.0,
            "count_1h": 2,
            "mean_load_1h": 1.5,
            "since_last_s": 300.0,
        },
        "baselines": {"majority": None, "last_value": None, "hot": True},
        "segments": {"kind": "new"},
    }
    assert [(e.partition, e.key) for e in emits[:2]] == [(1, b"e0"), (1, b"e1")]
    assert emits[2].topic == PLAN.topics.counts


def test_a_prediction_carries_the_watermark_before_its_event() -> None:
    emits = scored(*(reading(number, number) for number in range(6)))
    marks = [p["watermark"] for p in predictions(emits)]
    minute = 60_000
    assert marks == [None, None, None, *(START_MS + n * minute for n in (1, 1, 2))]


def test_an_event_too_late_for_its_windows_is_predicted_and_counted() -> None:
    runner = score()
    first = runner.run(feed(PLAN.topics.events, [reading(0, 30), reading(1, 0)]))
    late = predictions(first)[1]
    assert late["late"] is True
    assert late["features"]["count_1h"] is None
    assert counted(first)["late_for_features"] == 1
    third = runner.run([Record(PLAN.topics.events, 0, 2, NOW_MS, None, reading(2, 31))])
    assert predictions(third)[0]["features"]["count_1h"] == 2


def test_an_entity_on_a_wrong_partition_is_refused_and_moves_nothing() -> None:
    runner = score()
    emits = runner.run(feed(PLAN.topics.events, [reading(0, 0, "m0"), reading(1, 0)]))
    (letter,) = letters(emits)
    assert letter["reason"] == "wrong_partition"
    assert "partition 1" in letter["detail"]
    assert len(predictions(emits)) == 1
    assert list(runner.states()) == ["e:m1", "w"]
    assert runner.states()["w"] == [None, [START_MS]]


def test_one_partition_takes_every_entity() -> None:
    runner = score(partitions=Partitions(1, 1, 1))
    emits = runner.run(feed(PLAN.topics.events, [reading(0, 0, "m0"), reading(1, 0)]))
    assert len(predictions(emits)) == 2


def test_what_is_refused_is_counted_where_the_watermark_stands() -> None:
    hour_later = [reading(n, 60) for n in range(5)]
    values = [b"{", *hour_later, b"{", reading(9, 60, machine="m0"), reading(10, 60, machine=7)]
    found = totals(scored(*values, reading(11, 60, machine="")))
    refused = {key: n for key, n in found.items() if key[2].startswith(("rejected:", "violation"))}
    tile = START_MS + 3_600_000
    assert refused == {
        (tile, "all", "rejected:not_json"): 1,
        (tile, "all", "rejected:wrong_partition"): 1,
        (tile, "all", "rejected:wrong_type"): 1,
        (tile, "all", "rejected:empty_key"): 1,
        (tile, "all", "violation:machine"): 2,
    }


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"{", "not_json"),
        (reading(0, 0, load=13.0), "feature_failed"),
    ],
)
def test_what_is_no_event_becomes_a_dead_letter_and_moves_nothing(
    value: bytes | None, reason: str
) -> None:
    runner = score()
    emits = runner.run(feed(PLAN.topics.events, [value]))
    (letter,) = letters(emits)
    assert (letter["reason"], letter["value"]) == (reason, value)
    assert counted(emits) == {f"dead_letter.{reason}": 1}
    assert runner.states() == {"w": [None, []]}


def test_memory_that_runs_out_is_no_events_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(event: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(PLAN.features, "derive", exhausted)
    with pytest.raises(MemoryError):
        scored(reading(0, 0))


def test_a_rule_that_fails_predicts_nothing_and_is_counted() -> None:
    emits = scored(reading(0, 0, load=14.0), reading(1, 0))
    assert [p["baselines"]["hot"] for p in predictions(emits)] == [None, None]
    assert counted(emits)["baseline_failed"] == 1


def endless(event: Any) -> float:
    return float("inf")


def test_a_rule_of_numbers_must_be_finite() -> None:
    plan = plan_of(
        pipeline(
            labels=IN_EVENT["labels"].__class__("load"),
            features=[value("heat"), count(over="1h")],
            model=linear_model.LinearRegression(),
            monitor=Monitor(baselines=[endless]),
        )
    )
    emits = scored(reading(0, 0), plan=plan)
    assert predictions(emits, plan)[0]["baselines"] == {"endless": None}
    assert counted(emits, plan)["baseline_failed"] == 1


class Broken(Classifier):
    def learn_one(self, x: Any, y: Any) -> None: ...

    def predict_proba_one(self, x: Any, **kwargs: Any) -> Any:
        raise ArithmeticError


def test_a_model_that_fails_makes_a_null_prediction_and_is_counted() -> None:
    plan = plan_of(pipeline(model=Broken()))
    emits = scored(reading(0, 0), plan=plan)
    (prediction,) = predictions(emits, plan)
    assert (prediction["prediction"], prediction["score"]) == (None, None)
    assert counted(emits, plan)["model_failed"] == 1
    assert counted(emits, plan)["unscored"] == 1


def test_a_prediction_names_the_model_that_made_it() -> None:
    bundle = Bundle(PLAN)
    bundle.learn({"load": 1.0}, True)
    runner = score()
    context = Context(model=Served(4, 17, bundle))
    (prediction,) = predictions(
        runner.run(feed(PLAN.topics.events, [reading(0, 0)]), context=context)
    )
    assert (prediction["version"], prediction["learned_to"]) == (4, 17)
    assert prediction["baselines"]["majority"] is True


def test_a_restore_needs_no_model_and_emits_nothing() -> None:
    records = feed(PLAN.topics.events, [reading(0, 0), None, barrier("b"), reading(1, 3)])
    live, restored = score(), score()
    live.run(records)
    assert restored.run(records, context=Context(restoring=True)) == []
    assert restored.states() == live.states()


# -- labels that need no JOIN


def examples(emits: list[Emit], plan: Plan) -> list[dict[str, Any]]:
    return decoded(emits, plan.topics.examples, codecs_for(plan).example)


def test_a_label_in_the_event_makes_an_example_and_reaches_no_prediction() -> None:
    plan = plan_of(pipeline(**IN_EVENT))
    true, false = (scored(reading(0, 0, broken=b), plan=plan) for b in (True, False))
    assert predictions(true, plan) == predictions(false, plan)
    (example,) = examples(true, plan)
    label = {"label": True, "label_time": START_MS, "label_partition": 0, "label_offset": 0}
    assert example == {**predictions(true, plan)[0], **label}
    assert examples(false, plan)[0]["label"] is False


def test_without_labels_every_event_is_an_example() -> None:
    model = anomaly.HalfSpaceTrees(seed=1, n_trees=3, height=3)
    plan = plan_of(pipeline(labels=None, model=model, monitor=Monitor()))
    emits = scored(reading(0, 0), plan=plan)
    (example,) = examples(emits, plan)
    nothing = dict.fromkeys(("label", "label_time", "label_partition", "label_offset"))
    assert example == {**predictions(emits, plan)[0], **nothing}


def test_features_without_a_past_leave_no_state() -> None:
    plan = plan_of(pipeline(features=[value("load")]))
    runner = score(plan)
    context = Context(model=fresh_served(plan, 1))
    records = feed(plan.topics.events, [reading(0, 0), reading(1, 0, "m0"), reading(2, 0, "m0")])
    emits = runner.run(records, context=context)
    assert [each["reason"] for each in letters(emits)] == ["wrong_partition"] * 2
    assert list(runner.states()) == ["w"]


# -- barriers and poison


def test_a_barrier_is_passed_on_at_its_place_to_every_partition_of_predictions() -> None:
    emits = scored(reading(0, 0), barrier("b1"), reading(1, 0))
    topic = PLAN.topics.predictions
    assert barriers(emits) == [(topic, 0, "b1", "score-0"), (topic, 1, "b1", "score-0")]
    assert [emit.value is None for emit in emits] == [False, True, True, False, False]
    assert counted(emits)["events"] == 2


def test_without_join_a_barrier_goes_to_the_examples() -> None:
    plan = plan_of(pipeline(**IN_EVENT))
    emits = scored(barrier("b1"), plan=plan)
    assert barriers(emits) == [(plan.topics.examples, 0, "b1", "score-0")]
    assert len(emits) == 1


def test_a_header_on_a_real_event_makes_no_barrier() -> None:
    record = barrier("b1")._replace(value=reading(0, 0))
    emits = scored(record, barrier("x" * 257), barrier(""))
    assert barriers(emits) == []
    assert [letter["reason"] for letter in letters(emits)] == ["tombstone"] * 2
    assert len(predictions(emits)) == 1


def test_one_record_that_no_rule_foresaw_is_poison_and_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = FeatureProgram.step

    def fails_once(self: FeatureProgram, state: Any, row: Any, inputs: Any, time_ms: int) -> Any:
        found = step(self, state, row, inputs, time_ms)
        if time_ms == START_MS + 120_000:
            raise ZeroDivisionError("by nothing")
        return found

    monkeypatch.setattr(FeatureProgram, "step", fails_once)
    records = feed(PLAN.topics.events, [reading(n, n) for n in range(5)])
    live, restored = score(), score()
    emits = live.run(records)
    (letter,) = letters(emits)
    assert (letter["reason"], letter["offset"]) == ("poison", 2)
    assert letter["detail"] == "ZeroDivisionError: by nothing"
    assert [p["event_id"] for p in predictions(emits)] == ["e0", "e1", "e3", "e4"]
    assert [p["features"]["count_1h"] for p in predictions(emits)] == [1, 2, 3, 4]
    assert counted(emits)["dead_letter.poison"] == 1
    restored.run(records, context=Context(restoring=True))
    assert restored.states() == live.states()


def test_an_event_that_cannot_be_predicted_is_buried_and_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A restore does not predict, so the windows must not know that predicting failed."""
    segments = Plan.segments

    def fails_once(self: Plan, event: Any) -> dict[str, str]:
        if event.id == "e1":
            raise ZeroDivisionError
        return segments(self, event)

    monkeypatch.setattr(Plan, "segments", fails_once)
    records = feed(PLAN.topics.events, [reading(n, n) for n in range(3)])
    live, restored = score(), score()
    emits = live.run(records)
    assert [(each["reason"], each["offset"]) for each in letters(emits)] == [("poison", 1)]
    assert [p["features"]["count_1h"] for p in predictions(emits)] == [1, 3]
    restored.run(records, context=Context(restoring=True))
    assert restored.states() == live.states()


@pytest.mark.parametrize(("place", "name"), [(Plan, "segments"), (Tally, "record")])
def test_memory_that_runs_out_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, place: type, name: str
) -> None:
    def exhausted(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(place, name, exhausted)
    with pytest.raises(MemoryError):
        scored(reading(0, 0))


def test_counting_that_fails_is_counted_and_events_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Tally, "record", fails)
    emits = scored(reading(0, 0))
    assert len(predictions(emits)) == 1
    assert counted(emits) == {"count_failed": 1}
