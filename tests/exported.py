"""What a real run exports to Prometheus, and Debian's Prometheus itself.

The run is of two days of flights, on the twins; its figures are MONITOR's, and how its tasks stand
is said by what the workers say it with.
"""

from __future__ import annotations

import os
import shutil
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from headrace.app.alerting.channels import Channel
from headrace.app.alerting.sender import DeliveryCollector, Sender
from headrace.app.prometheus import SupervisorCollector, WorkerCollector
from headrace.app.supervisor import Supervisor, WorkerCommand, slots_of
from headrace.streams.alarms import active
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.holding import Holding
from headrace.streams.engine.report import Tallies, report_of
from headrace.streams.load import load_pipeline
from headrace.streams.outgoing import Outgoing, outgoing_event, outgoing_label
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan, plan_of
from headrace.streams.replay import parts_in_memory
from headrace.streams.rows import read_rows
from headrace.streams.stages.monitor import MonitorStage
from headrace.streams.twins.flow import MemoryFlow

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "examples" / "flights" / "pipeline.py"
WEEK = ROOT / "data" / "flights_nyc13_week.csv.gz"
EVENTS = 2_000
"""More than two days: the first one is the reference of drift."""

HOOK = "json://127.0.0.1:1/"

_TURNS = count(1)

WITHOUT = "WITHOUT_PROMETHEUS"
"""Set where Debian's package could not be had (``.ci/run`` does): its tests are skipped there."""


def debian(program: str) -> str:
    """Return where a program of Debian's package ``prometheus`` is.

    A developer without it skips what needs it. CI does so only where it is known not to be had.
    """
    found = shutil.which(program)
    if found is None:
        said = f"{program} is not here: apt-get install prometheus"
        if os.environ.get("CI") and not os.environ.get(WITHOUT):
            pytest.fail(said)
        pytest.skip(said)
    return found


@cache
def run() -> MemoryFlow:
    """Return a flow that has run."""
    pipeline = load_pipeline(PIPELINE)
    plan = plan_of(pipeline)
    assert isinstance(pipeline.labels, Labels)
    events = list(islice(read_rows(WEEK, pipeline.events.event), EVENTS))
    ids = {each.event_id for each in events}  # type: ignore[attr-defined]
    arrivals = read_rows(WEEK, pipeline.labels.label, unless_blank="label")
    labels = [each for each in arrivals if each.event_id in ids]  # type: ignore[attr-defined]
    records = [outgoing_event(plan, each) for each in events]
    records += [outgoing_label(plan, each) for each in labels[: 9 * len(labels) // 10]]
    last = records[-1].time_ms
    records.append(Outgoing(last, False, b"JFK", b"no JSON"))
    records.append(Outgoing(last, False, b"JFK", b'{"event_id": 1}'))
    flow = MemoryFlow(parts_in_memory(plan, 2))
    publish(flow, plan, sorted(records, key=lambda each: each.time_ms))
    return flow


def publish(flow: MemoryFlow, plan: Plan, records: list[Outgoing]) -> None:
    for at, record in enumerate(records):
        flow.publish(
            is_label=record.is_label, key=record.key, value=record.value, time_ms=record.time_ms
        )
        if at % 200 == 0:
            flow.turn()
    flow.finish()


def snapshot() -> dict[str, Any]:
    """Return how a worker stands that has all tasks of the run, and goes on working."""
    flow = run()
    lines = [*flow._stages, flow._learn, flow._monitor]
    holdings = {task.spec.id: Holding(task) for line in lines for task in line.tasks}
    turns = next(_TURNS)
    tallies = Tallies(
        records=100 * turns, emitted=90 * turns, transactions=turns, commit_seconds=0.25 * turns
    )
    learned_to = flow.served.learned_to
    report = report_of(
        "score-0", 1, "running", learned_to, tallies, holdings, lambda place, at: 3
    )  # fmt: skip
    (monitor,) = [task.stage for task in flow._monitor.tasks]
    assert isinstance(monitor, MonitorStage)
    return {**report, "figures": monitor.latest(), "alerts": {**active([]), "input": 1}}


@cache
def sender() -> Sender:
    """Return what sends alerts; it is not started."""
    found = Sender(Connection("127.0.0.1:1"), "flights.alerts", "flights", Channel(HOOK))
    found.courier.delivered, found.courier.failed = 3, 1
    return found


def collectors() -> list[Collector]:
    """Return what a worker and a supervisor export."""
    supervisor = Supervisor(slots_of(1, 1), WorkerCommand(PIPELINE, 0))
    return [
        WorkerCollector("flights", snapshot),
        SupervisorCollector("flights", supervisor.snapshot),
        DeliveryCollector("flights", [sender()]),
    ]


def exported() -> dict[str, set[tuple[tuple[str, str], ...]]]:
    """Return the series of each metric, by their labels."""
    found: dict[str, set[tuple[tuple[str, str], ...]]] = {}
    for collector in collectors():
        registry = CollectorRegistry()
        registry.register(collector)
        for family in registry.collect():
            for sample in family.samples:
                found.setdefault(sample.name, set()).add(tuple(sorted(sample.labels.items())))
    return found
