"""A pipeline as it may be looked at: records as they lie in the logs, a standing, a frame."""

from __future__ import annotations

import json
from typing import Any

from headrace.app.top.frame import Drift, Flow, Frame, Metric, Stage, Worker
from headrace.streams.engine.watch import Seen
from headrace.streams.records import Record
from headrace.streams.topics import topics_of

TOPICS = topics_of("flights")
HOUR_MS = 3_600_000
NOON_MS = 1_360_238_400_000  # Thu 07 Feb 2013 12:00 UTC


def metric(
    name: str, value: float | None, window: str = "all", end_ms: int = NOON_MS, *,
    segment: str = "all", at_ms: int = 0, **rest: Any,
) -> Seen:  # fmt: skip
    key = json.dumps([name, segment, window, 0]).encode()
    fields = {
        "metric": name, "segment": segment, "window": window, "window_end": end_ms,
        "value": value, "support": 7, "coverage": 0.5, "detail": {}, "final": False, **rest,
    }  # fmt: skip
    return Seen(Record(TOPICS.metrics, 0, 0, at_ms, key, b"v", ()), fields)


def alert(name: str, state: str, since: int = NOON_MS) -> Seen:
    fields = {
        "id": name, "state": state, "kind": "input", "what": "feature.temp_f", "segment": "all",
        "since": since, "strength": 1.7,
    }  # fmt: skip
    return Seen(Record(TOPICS.alerts, 0, 0, 0, b"k", b"v", ()), fields)


def task(lag: int | None, waiting: int = 0) -> dict[str, Any]:
    return {"lag": lag, "waiting": waiting, "entries": 3}


def worker(role: str, tasks: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {
        "role": role, "state": "running", "silent": False, "age_s": 0.4, "tasks": tasks, "lag": 12,
        "records": 1_000, "transactions": 50, "commit_seconds": 0.5, "time": 100.0, **rest,
    }  # fmt: skip


STANDING: dict[str, Any] = {
    "pipeline": "flights",
    "serving_version": 3,
    "model": {"learned_to": 900, "behind": 4},
    "stages": [
        {"stage": "score", "lag": 12},
        {"stage": "join", "lag": None},
        {"stage": "learn", "lag": 0},
    ],
    "workers": {
        "score-0": worker("score", {"flights/v3/score/0": task(2), "flights/v3/score/1": task(10)}),
        "join-0": worker("join", {"flights/v3/join/0": task(None, 31)}),
        "learn-0": worker("learn", {"flights/v3/learn/0": task(7)}, silent=True, age_s=33.0),
    },
}

FRAME = Frame(
    pipeline="flights",
    version=3,
    event_time_ms=NOON_MS,
    flows=[
        Flow("events", None, 180.4, [100.0, 150.0, 180.0]),
        Flow("predictions", 302_311, 179.6, [100.0, 150.0, 180.0]),
        Flow("labels", 302_210, 171.0, [0.0]),
        Flow("examples", 302_209, None),
    ],
    stages=[
        Stage("score", 120, {"flights/v3/score/0": 20, "flights/v3/score/1": 100}),
        Stage("route", 0),
        Stage("join", 9, {"flights/v3/join/0": 9}, 31),
        Stage("monitor", None),
        Stage("learn", 1),
    ],
    model={
        "learned_to": 302_212, "behind": 3, "lag_p50": 9, "lag_p99": 32, "commit_ms": 14.2,
        "regret": 0.0021,
    },
    latency_ms={"p50": 43.0, "p99": 1_073.0, "support": 300},
    window="1d",
    window_end_ms=NOON_MS,
    coverage=0.93,
    settled_end_ms=NOON_MS - 3 * HOUR_MS,
    metrics=[
        Metric(
            name, value, value - 0.02, value - 0.01, {}, [0.7, 0.8, 0.85],
            {"left_late": 0.82, "majority": 0.5, "third": 0.1},
        )
        for name, value in (
            ("auc", 0.861), ("log_loss", 0.362), ("accuracy", 0.809), ("precision", 0.9),
            ("recall", 0.531), ("cost", 12.3),
        )
    ],
    drift_end_ms=NOON_MS,
    drift=[Drift(f"feature_{n}", 10 / 3**n, 0.02, 900) for n in range(12)],
    waiting=1_102,
    expired=17,
    dead_letters={"score.not_json": 2, "join.label_not_wanted": 41},
    workers=[
        Worker("join-0", "running", False, 0.3, 9, 9, 34_599, 312.0),
        Worker("learn-0", "running", True, 33.0, 1, 1, 6_423, None),
        Worker("score-0", "waiting for Redis", False, 0.2, 4, None, 6_439, 180.0),
    ],
)  # fmt: skip
