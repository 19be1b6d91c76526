"""What a replay takes, what it refuses, and what it gives back."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest

from headrace.schemas.errors import DeclarationError, InputError
from headrace.streams.pipeline import Pipeline
from headrace.streams.replay import Progress, replay
from tests.unit.replay.kinds import START, at, electricity, flights, rides

module = sys.modules[replay.__module__]  # the module's name is the function's in the facade


def test_instances_and_mappings_give_the_same() -> None:
    case = rides()
    pipeline: Pipeline = case.pipeline
    labels: Any = pipeline.labels
    events = [pipeline.events.event(**row) for row in case.events]
    known = [labels.label(**row) for row in case.labels or ()]
    one, two = replay(pipeline, events, known), replay(pipeline, case.events, case.labels)
    assert list(one.predictions) == list(two.predictions)
    assert one.summary == two.summary


def test_labels_come_in_any_order() -> None:
    case = rides()
    backwards = list(reversed(case.labels or ()))
    one, two = (replay(case.pipeline, case.events, each) for each in (case.labels, backwards))
    assert list(one.examples) == list(two.examples)


def test_partitions_change_no_feature() -> None:
    case = flights()
    one, two = (replay(case.pipeline, case.events, case.labels, partitions=n) for n in (1, 3))
    by_id = [{e["event_id"]: e["features"] for e in r.predictions} for r in (one, two)]
    assert by_id[0] == by_id[1]
    assert len({record.partition for record in two.predictions.records}) == 3


def test_what_a_mapping_has_wrong_becomes_a_dead_letter() -> None:
    case = rides()
    good = list(case.events)
    bad = [
        {**good[0], "distance_km": -1.0},
        {**good[0], "distance_km": float("nan")},
        {**good[0], "at": "yesterday"},
        {**good[0], "at": datetime(2024, 5, 1)},  # noqa: DTZ001 - on purpose without an offset
        {**good[0], "ride": ""},
        {name: value for name, value in good[0].items() if name != "zone"},
    ]
    label = (case.labels or ())[0]
    labels = [*(case.labels or ()), {**label, "minutes": "ten"}, {"ride": "r1"}]
    mixed = [*good[:5], *bad, *good[5:]]
    result = replay(case.pipeline, mixed, labels)
    reasons = [(each["stage"], each["reason"]) for each in result.dead_letters]
    assert sorted(reasons) == [
        ("route", "missing_field"),
        ("route", "wrong_type"),
        ("score", "empty_id"),
        ("score", "missing_field"),
        ("score", "not_finite"),
        ("score", "out_of_range"),
        ("score", "wrong_type"),
        ("score", "wrong_type"),
    ]
    clean = replay(case.pipeline, case.events, case.labels)
    without_place = [
        [{k: v for k, v in each.items() if k not in ("id", "source_offset", "learned_to")}
         for each in r.predictions]
        for r in (result, clean)
    ]  # fmt: skip
    assert without_place[0] == without_place[1]


def test_progress_is_told_after_each_step() -> None:
    case = rides()
    told: list[Progress] = []
    result = replay(case.pipeline, case.events, case.labels, step="1h", progress=told.append)
    assert (told[-1].events, told[-1].labels) == (len(case.events), len(case.labels or ()))
    assert [each.time_ms for each in told] == sorted(each.time_ms for each in told)
    assert len(result.predictions) == len(case.events)


def test_records_are_sequences_and_data_frames() -> None:
    result = replay(*electricity()[:2])
    predictions = result.predictions
    assert predictions[0]["event_time"] == START
    assert predictions[-1] == list(predictions)[-1]
    assert [each["key"] for each in predictions[:2]] == ["r0", "r1"]
    assert repr(predictions) == "<120 records of Prediction>"
    frame = predictions.to_polars()
    assert frame.height == 120
    assert frame.schema["event_time"] == pl.Datetime("ms", "UTC")
    assert result.examples.to_polars()["label"].dtype == pl.Boolean
    assert result.metrics.to_polars().height == len(result.metrics) > 0
    empty = result.dead_letters.to_polars()
    assert empty.height == 0
    assert empty.schema["timestamp"] == pl.Datetime("ms", "UTC")


def test_the_summary_judges_what_was_served() -> None:
    result = replay(*electricity()[:2])
    examples = list(result.examples)
    right = sum(each["prediction"] == each["label"] for each in examples)
    assert result.summary["accuracy"] == pytest.approx(right / len(examples))
    majority = sum(each["baselines"]["majority"] == each["label"] for each in examples)
    said = sum(each["baselines"]["majority"] is not None for each in examples)
    assert result.summary["baseline.majority.accuracy"] == pytest.approx(majority / said)


def test_no_rows_are_no_fault() -> None:
    result = replay(electricity().pipeline, [])
    assert len(result.predictions) == len(result.metrics) == 0
    assert result.summary == {}
    assert result.checkpoints[0].offset > 0  # the barrier's


def test_a_label_beyond_the_wait_is_counted_not_learned() -> None:
    case = rides()
    first = case.events[0]
    later = [{**first, "ride": f"later{n}", "at": at(60 * (60 + n))} for n in range(8)]
    labels = [{"ride": first["ride"], "at": at(60 * 30), "minutes": 3.0}]
    labels += [{"ride": each["ride"], "at": each["at"], "minutes": 3.0} for each in later]
    result = replay(case.pipeline, [*case.events, *later], labels)
    assert {each["event_id"] for each in result.examples} == {each["ride"] for each in later}
    assert result.summary["expired"] == len(case.events)
    assert result.summary["unmatched_label"] == 1


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"labels": []}, InputError, "takes no labels"),
        ({"partitions": 0}, ValueError, "at least 1"),
        ({"step": "soon"}, ValueError, "is not a duration"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, Any], error: Any, said: str) -> None:
    case = electricity()
    with pytest.raises(error, match=said):
        replay(case.pipeline, case.events, **changes)


def test_another_class_is_refused() -> None:
    case, other = electricity(), rides()
    ride = other.pipeline.events.event(**other.events[0])
    with pytest.raises(TypeError, match="HalfHour"):
        replay(case.pipeline, [ride])


def test_an_impossible_pipeline_says_all_its_faults() -> None:
    with pytest.raises(DeclarationError):
        replay(electricity(features=[]).pipeline, [])


def test_times_are_aware() -> None:
    metrics = replay(*electricity()[:2]).metrics
    assert metrics[0]["window_start"].tzinfo is UTC


def test_values_that_json_does_not_know_become_what_rows_of_frames_mean() -> None:
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    assert module._plain(moment) == moment.isoformat()
    assert module._plain(np.float64(0.5)) == 0.5
    assert module._plain(Decimal("1.5")) == "1.5"


def test_nothing_published_makes_no_step() -> None:
    assert list(module._until_known([])) == []


def test_a_summary_has_each_metric_however_long_ago_it_was_said() -> None:
    """MONITOR says again what changed alone: the newest record of each metric is its value."""
    case = rides()
    result = replay(case.pipeline, case.events[:2], [])
    assert (result.summary["events"], result.summary["waiting"]) == (2, 2)
