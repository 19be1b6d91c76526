"""What the demo takes from the logs that it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from headrace.app.demo.observed import Observed, _is_of_all
from headrace.streams.engine.watch import Seen
from headrace.streams.records import BARRIER, Record
from headrace.streams.topics import topics_of

TOPICS = topics_of("flights")
DAY_MS = 86_400_000


def record(topic: str, offset: int = 0, time_ms: int = 0, **rest: Any) -> Record:
    fields = {"key": b"k", "value": b"v", "headers": (), "partition": 0, **rest}
    return Record(topic=topic, offset=offset, timestamp_ms=time_ms, **fields)


def metric(name: str, value: float | None, window: str = "all", end_ms: int = 0) -> Seen:
    fields = {
        "metric": name, "segment": "all", "window": window, "window_end": end_ms,
        "value": value, "support": 7, "coverage": 0.5, "detail": {}, "final": False,
    }  # fmt: skip
    return Seen(record(TOPICS.metrics), fields)


def event(partition: int, offset: int, time_ms: int) -> Seen:
    return Seen(record(TOPICS.events, offset, time_ms, partition=partition), None)


def prediction(partition: int, offset: int) -> Seen:
    fields = {"source_partition": partition, "source_offset": offset}
    return Seen(record(TOPICS.predictions), fields)


def test_the_newest_metric_of_the_whole_run_counts() -> None:
    observed = Observed(TOPICS)
    observed.take([metric("auc", 0.7), metric("auc", 0.8), metric("waiting", 3.0)], 0.0)
    found = {name: value.value for name, value in observed.whole().items()}
    assert found == {"auc": 0.8, "waiting": 3.0}


def test_the_last_day_is_the_newest_window_that_has_answers() -> None:
    observed = Observed(TOPICS)
    old, new = 20 * DAY_MS, 20 * DAY_MS + 3_600_000
    observed.take([metric("auc", 0.7, "1d", old), metric("events", 5.0, "1d", new)], 0.0)
    assert observed.last_day()["auc"].value == 0.7
    observed.take([metric("auc", 0.9, "1d", new)], 0.0)
    assert observed.last_day()["auc"].value == 0.9
    assert observed.last_day()["events"].value == 5.0


def test_auc_by_day_takes_whole_days_in_order() -> None:
    observed = Observed(TOPICS)
    ends = [22 * DAY_MS, 21 * DAY_MS, 21 * DAY_MS + 3_600_000, 23 * DAY_MS]
    values = [0.8, 0.7, 0.1, None]
    observed.take([metric("auc", v, "1d", end) for v, end in zip(values, ends, strict=True)], 0.0)
    assert observed.auc_by_day() == [0.7, 0.8]


@pytest.mark.parametrize("prediction_first", [False, True])
def test_latency_is_from_the_events_timestamp_to_having_the_prediction(
    prediction_first: bool,
) -> None:
    observed = Observed(TOPICS)
    came: Mapping[bool, Seen] = {False: event(2, 5, 1_000), True: prediction(2, 5)}
    observed.take([event(1, 5, 0), came[prediction_first]], 1_040.0)
    assert observed.latency().p50_ms is None
    observed.take([came[not prediction_first]], 1_040.0)
    assert observed.latency() == (40.0, 40.0, 1)


def test_latency_of_many() -> None:
    observed = Observed(TOPICS)
    for number in range(1, 201):
        observed.take([event(0, number, 1_000)], 0.0)
        observed.take([prediction(0, number)], 1_000.0 + number)
    assert observed.latency() == (100.0, 198.0, 200)
    assert observed.seen()["predictions"] == 200


def test_a_barrier_has_passed_when_it_is_among_the_metrics_and_is_no_record() -> None:
    observed = Observed(TOPICS)
    headers = ((BARRIER, b"last"),)
    observed.take([Seen(record(TOPICS.predictions, value=None, headers=headers), None)], 0.0)
    assert not observed.has_passed("last")
    observed.take([Seen(record(TOPICS.metrics, value=None, headers=headers), None)], 0.0)
    assert observed.has_passed("last")
    assert observed.seen() == {"predictions": 0, "examples": 0}


def test_metrics_of_segments_and_of_other_windows_are_not_decoded() -> None:
    keys = {
        json.dumps([name, segment, window, 0]): segment == "all" and window in {"all", "1d"}
        for name in ("auc", "all")
        for segment in ("all", "origin=EWR", 'carrier="all"')
        for window in ("1h", "1d", "all")
    }
    found = {key: _is_of_all(record(TOPICS.metrics, key=key.encode())) for key in keys}
    assert found == keys
    assert not _is_of_all(record(TOPICS.metrics, key=None))
