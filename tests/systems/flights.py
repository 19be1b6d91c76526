"""The flights of a week, or of a year, as they are published in step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from headrace.streams.load import load_pipeline
from headrace.streams.outgoing import Outgoing, interleaved
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan, plan_of
from headrace.streams.rows import read_rows
from tests.systems import Message, System

ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "examples" / "flights" / "pipeline.py"
WEEK = ROOT / "data" / "flights_nyc13_week.csv.gz"
HALF_HOUR_MS = 30 * 60_000


def flights_plan(form: Literal["json", "avro"] = "json") -> Plan:
    """Return the shipped pipeline, reading its inputs in a format."""
    pipeline = load_pipeline(PIPELINE)
    labels = pipeline.labels
    assert isinstance(labels, Labels)
    events = replace(pipeline.events, format=form)
    return plan_of(replace(pipeline, events=events, labels=replace(labels, format=form)))


def outgoing(plan: Plan, path: Path = WEEK) -> Iterator[Outgoing]:
    """Go through the rows of a file in the order of their times."""
    labels = plan.pipeline.labels
    assert isinstance(labels, Labels)
    events = read_rows(path, plan.pipeline.events.event)
    return interleaved(plan, events, read_rows(path, labels.label, unless_blank="label"))


def publish_in_step(
    system: System, records: Iterator[Outgoing], step_ms: int = HALF_HOUR_MS
) -> None:
    """Publish slice by slice, each when the one before has been learned and is served."""
    step: int | None = None
    batch: list[Outgoing] = []
    for record in records:
        if step is not None and record.time_ms // step_ms != step:
            publish(system, batch)
            system.settle()
            batch = []
        step = record.time_ms // step_ms
        batch.append(record)
    publish(system, batch)
    system.settle()


def publish(system: System, records: list[Outgoing]) -> None:
    """Publish events and labels in their order."""
    for what, is_label in (("events", False), ("labels", True)):
        found = [Message(each.key, each.value) for each in records if each.is_label is is_label]
        system.publish(what, found)
