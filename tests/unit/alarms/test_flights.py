"""The week of flights, with distances in kilometres from Thursday on: one alert says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from headrace.app.alerting.message import message_of
from headrace.streams.load import load_pipeline
from headrace.streams.pipeline import Alarms
from headrace.streams.replay import replay
from headrace.streams.rows import read_rows

ROOT = Path(__file__).parents[3]
WEEK = ROOT / "data" / "flights_nyc13_week.csv.gz"
THURSDAY = datetime(2013, 2, 7, tzinfo=UTC)
FLIGHTS = replace(
    load_pipeline(ROOT / "examples" / "flights" / "pipeline.py"), alarms=Alarms(reference="3d")
)


def events() -> Iterator[Any]:
    for event in read_rows(WEEK, FLIGHTS.events.event):
        departure: Any = event
        if departure.event_time >= THURSDAY + timedelta(days=1):
            return
        if departure.event_time >= THURSDAY:
            changed = {"distance_mi": 1.609 * departure.distance_mi}
            departure = departure.model_copy(update=changed)
        yield departure


def test_a_feature_in_another_unit_is_one_alert_that_names_it() -> None:
    result = replay(FLIGHTS, events(), step="1h")
    assert "watch_failed" not in result.summary
    naming = [
        alert
        for alert in result.alerts
        if any(each["what"] == "feature.distance_mi" for each in alert["members"])
    ]
    assert len({alert["id"] for alert in naming}) == 1
    first = naming[0]
    assert (first["state"], first["kind"], first["what"]) == (
        "begun", "input", "feature.distance_mi",
    )  # fmt: skip
    # What is computed of it has changed too, and is of the same alert.
    assert "feature.planned_speed_mph" in {each["what"] for each in naming[-1]["members"]}
    assert abs(first["since"] - THURSDAY) <= timedelta(hours=6)
    assert first["noticed"] - THURSDAY <= timedelta(hours=12)
    assert "feature.distance_mi" in message_of("flights", first).title
