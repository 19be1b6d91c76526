"""A frame, from what was read and how the pipeline stands."""

from __future__ import annotations

import json

import pytest

from headrace.app.top.frame import Drift, Flow, frame_of
from headrace.app.top.observed import Observed
from headrace.app.top.series import Series
from tests.unit.top.looks import HOUR_MS, NOON_MS, STANDING, TOPICS, metric

LATER_MS = NOON_MS + HOUR_MS


def rises() -> dict[str, Series]:
    found = {"events": Series(), "score-0": Series(), "learn-0": Series()}
    for series in found.values():
        series.add(90.0, 0)
        series.add(100.0, 50)
    return found


@pytest.fixture
def observed() -> Observed:
    found = Observed(TOPICS, TOPICS)
    found.take(
        [
            metric("events", 100.0), metric("routed", 90.0), metric("examples", 80.0),
            metric("waiting", 20.0), metric("expired", 3.0), metric("model_lag.p99", 32.0),
            metric("regret", 0.0125),
            metric("dead_letters", 5.0), metric("dead_letters.score.not_json", 5.0),
            metric("auc", 0.80), metric("cost", 9.0), metric("log_loss", 0.4),
            metric("baseline.majority.auc", 0.5), metric("baseline.left_late.auc", 0.7),
            metric("auc", 0.81, "1d", NOON_MS, detail={"half_width": 0.01}),
            metric("coverage", 0.9, "1d", NOON_MS),
            metric("baseline.left_late.auc", 0.71, "1d", NOON_MS),
            metric("psi.feature.temp_f", 0.3, "1d", NOON_MS, detail={"chance": 0.02}),
            metric("psi.feature.carrier", 0.7, "1d", NOON_MS),
            metric("psi.score", 0.9, "1d", NOON_MS),
            metric("events", 4.0, "1d", LATER_MS), metric("coverage", 0.0, "1d", LATER_MS),
            metric("psi.feature.temp_f", None, "1d", LATER_MS),
            metric("auc", 0.6, "1h", NOON_MS),
            metric("auc", 0.79, "1d", NOON_MS - 2 * HOUR_MS, final=True),
            metric("auc", 0.78, "1d", NOON_MS - 3 * HOUR_MS, final=True),
        ]
    )  # fmt: skip
    return found


def test_features_that_alone_order_the_labels_are_told(observed: Observed) -> None:
    observed.take([metric("leak.arr_delay", 0.99)])
    assert frame_of(STANDING, observed, rises(), 100.0).leaks == {"arr_delay": 0.99}


def test_what_is_withheld_of_newer_windows_or_of_the_run_is_told(observed: Observed) -> None:
    assert frame_of(STANDING, observed, rises(), 100.0).withheld == ""
    observed.take([metric("withheld", 2.0)])
    assert frame_of(STANDING, observed, rises(), 100.0).withheld == "one class alone"
    observed.take([metric("withheld", 1.0, "1d", LATER_MS), metric("auc", None, "1d", LATER_MS)])
    assert frame_of(STANDING, observed, rises(), 100.0).withheld == "label delays differ"


def test_metrics_are_of_the_newest_window_with_answers_and_of_the_run(observed: Observed) -> None:
    frame = frame_of(STANDING, observed, rises(), 100.0)
    assert (frame.window, frame.window_end_ms, frame.coverage) == ("1d", NOON_MS, 0.9)
    assert [each.name for each in frame.metrics] == ["auc", "log_loss", "cost"]
    auc = frame.metrics[0]
    assert (auc.window, auc.settled, auc.whole) == (0.81, 0.79, 0.8)
    assert auc.history == [0.78, 0.79, 0.81]
    assert frame.settled_end_ms == NOON_MS - 2 * HOUR_MS
    assert auc.detail == {"half_width": 0.01}
    assert auc.baselines == {"left_late": 0.71, "majority": None}
    assert frame.event_time_ms == LATER_MS


def test_another_length_of_windows_may_be_asked_for(observed: Observed) -> None:
    frame = frame_of(STANDING, observed, rises(), 100.0, "1h")
    assert (frame.window, frame.metrics[0].window) == ("1h", 0.6)
    assert (frame.drift, frame.drift_end_ms) == ([], None)


def test_drift_is_of_features_the_largest_first(observed: Observed) -> None:
    frame = frame_of(STANDING, observed, rises(), 100.0)
    assert frame.drift == [Drift("carrier", 0.7, None, 7), Drift("temp_f", 0.3, 0.02, 7)]
    assert frame.drift_end_ms == NOON_MS


def test_what_flows(observed: Observed) -> None:
    frame = frame_of(STANDING, observed, rises(), 100.0)
    assert frame.flows[0] == Flow("events", None, 5.0, [5.0, 5.0])
    assert [(each.name, each.total) for each in frame.flows[1:]] == [
        ("predictions", 100), ("labels", 90), ("examples", 80),
    ]  # fmt: skip
    assert (frame.waiting, frame.expired) == (20, 3)
    assert frame.dead_letters == {"score.not_json": 5}


def test_labels_that_lie_in_the_events_are_counted_where_they_are_learned() -> None:
    observed = Observed(TOPICS, TOPICS)
    observed.take([metric("events", 100.0), metric("labelled", 60.0)])
    frame = frame_of(STANDING, observed, {}, 100.0)
    assert frame.flows[2].total == 60
    assert frame.flows[0].rate is None


def test_lag_by_stage_and_task_of_workers_that_are_heard_of(observed: Observed) -> None:
    score, join, learn = frame_of(STANDING, observed, rises(), 100.0).stages
    assert (score.name, score.lag) == ("score", 12)
    assert score.lags == {"flights/v3/score/0": 2, "flights/v3/score/1": 10}
    assert (join.lag, join.lags, join.waiting) == (None, {"flights/v3/join/0": None}, 31)
    assert (learn.lag, learn.lags) == (0, {})


def test_model_and_workers(observed: Observed) -> None:
    frame = frame_of(STANDING, observed, rises(), 100.0)
    assert frame.model == {
        "learned_to": 900, "behind": 4, "lag_p50": None, "lag_p99": 32.0, "commit_ms": 10.0,
        "age_ms_p50": None, "regret": 0.0125,
    }  # fmt: skip
    found = {each.name: (each.silent, each.rate) for each in frame.workers}
    assert found == {"score-0": (False, 5.0), "join-0": (False, None), "learn-0": (True, None)}


def test_before_anything_was_said_there_is_a_frame_too() -> None:
    standing = {**STANDING, "workers": {}, "stages": []}
    frame = frame_of(standing, Observed(TOPICS, TOPICS), {}, 100.0)
    assert (frame.metrics, frame.drift, frame.window, frame.event_time_ms) == ([], [], "", None)
    assert frame.model["commit_ms"] is None


def test_a_frame_is_json(observed: Observed) -> None:
    frame = frame_of(STANDING, observed, rises(), 100.0)
    found = json.loads(json.dumps(frame.as_json(), allow_nan=False))
    assert found["metrics"][0]["baselines"]["left_late"] == 0.71
    assert found["stages"][0]["lags"]["flights/v3/score/1"] == 10
