"""Alerts are those of the counts, each once: distances in kilometres raise some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.streams.outgoing import Outgoing, interleaved
from headrace.streams.pipeline import Alarms
from headrace.streams.plan import Plan, plan_of
from headrace.streams.rows import read_rows
from headrace.streams.stages.monitor import MonitorStage
from headrace.streams.topics import Partitions
from tests.oracle import wire
from tests.oracle.alerts import Said, check_alerts
from tests.oracle.logs import Logs
from tests.oracle.report import Report
from tests.oracle.scoring import Truth
from tests.oracle.test_truth import changed, with_records
from tests.oracle.truth import check
from tests.systems.flights import WEEK, flights_plan, publish_in_step
from tests.systems.folded import alerts_of_counts
from tests.systems.memory import MemorySystem

THURSDAY = datetime(2013, 2, 7, tzinfo=UTC)
HOUR_MS = 3_600_000


def in_kilometres(plan: Plan) -> Iterator[Outgoing]:
    """Go through the week to Friday's end; from Thursday on distances have another unit."""
    labels: Any = plan.pipeline.labels
    events = []
    for row in read_rows(WEEK, plan.pipeline.events.event):
        event: Any = row
        if event.event_time >= THURSDAY + timedelta(days=2):
            break
        if event.event_time >= THURSDAY:
            event = event.model_copy(update={"distance_mi": 1.609 * event.distance_mi})
        events.append(event)
    return interleaved(plan, events, read_rows(WEEK, labels.label, unless_blank="label"))


@pytest.fixture(scope="module")
def run() -> tuple[Logs, list[Said]]:
    """The logs of a run, and the alerts that its counts amount to."""
    pipeline = replace(flights_plan().pipeline, alarms=Alarms(reference="3d"))
    plan = plan_of(pipeline)
    system = MemorySystem(plan, Partitions(events=2, labels=1, predictions=3), seed=1)
    publish_in_step(system, in_kilometres(plan), 2 * HOUR_MS)
    logs = system.logs()
    return logs, alerts_of_counts(MonitorStage(plan, system.codecs), plan.topics, logs)


def judged(logs: Logs, wanted: Sequence[Said] | None = None) -> Report:
    """Judge the alerts alone."""
    report = Report()
    check_alerts(logs, Truth(wire.Schemas(logs.schemas()), avro=False), report, wanted)
    return report


def test_alerts_are_those_of_the_counts(run: tuple[Logs, list[Said]]) -> None:
    logs, wanted = run
    report = check(logs, alerts=wanted)
    assert report.is_truth, report.text()
    assert report.compared["alerts"] == 1 + len(wanted) >= 3
    assert report.compared["alert laws"] > 20


Tamper = Callable[[dict[str, Any]], None]


def changing(name: str, by: Callable[[Any], Any]) -> Tamper:
    def tamper(fields: dict[str, Any]) -> None:
        fields[name] = by(fields[name])

    return tamper


@pytest.mark.parametrize(
    ("tamper", "law"),
    [
        (changing("strength", lambda strength: strength * 1.01), "strongest"),
        (changing("since", lambda since: since - 1), "whole"),
        (changing("until", lambda until: until - 48 * HOUR_MS), "goes on"),
        (changing("state", lambda _: "over"), "over when all"),
        (changing("state", lambda _: "begun"), "begins once"),
        (changing("id", lambda name: name + "0"), "named"),
        (changing("members", lambda members: members * 2), "there once"),
        (changing("effect", lambda effect: -effect), "means"),
        (changing("revision", lambda _: 1 << 40), "in order"),
        (changing("advice", lambda _: "Buy."), ""),
    ],
)
def test_an_alert_that_was_tampered_with_is_named(
    run: tuple[Logs, list[Said]], tamper: Tamper, law: str
) -> None:
    logs, wanted = run
    forged = changed(logs, "alerts", tamper)
    report = judged(forged, wanted)
    assert report.differing["alerts"] == 1, report.text()
    if law:
        assert any(law in said for said in judged(forged).differences), judged(forged).text()


@pytest.mark.parametrize("copies", [0, 2])
def test_an_alert_that_is_missing_or_doubled_is_named(
    run: tuple[Logs, list[Said]], copies: int
) -> None:
    logs, wanted = run
    place = logs.topics["alerts"], 0
    first, *others = logs.records[place]
    report = judged(with_records(logs, place, [first] * copies + others), wanted)
    assert report.differing["alerts"] >= 1
    assert "how many there are" in report.text()
    assert judged(with_records(logs, place, [first] * copies + others)).differing["alert laws"]
