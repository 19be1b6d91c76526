"""What MONITOR says of a run's counts: one fresh stage, one record after the other."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.ports import Cut, TaskId
from headrace.streams.protocol.stage import Context, Stage
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.task import Spec, Task, apply_records
from headrace.streams.records import Record
from headrace.streams.topics import Topics
from headrace.streams.twins.store import MemoryStore
from tests.oracle.logs import LogRecord, Logs

Said = tuple[bytes | None, bytes | None]


def alerts_of_counts(monitor: Stage, topics: Topics, logs: Logs) -> list[Said]:
    """Return key and value of each alert that a run's counts amount to.

    Parameters
    ----------
    monitor
        MONITOR of the run's pipeline, fresh.
    """
    inputs = (topics.counts,)
    spec, nowhere = Spec(TaskId("fold", 1, "monitor", 0), inputs), Cut(((topics.counts, 0),))
    cache, store = Cache(10_000_000, whole=True), MemoryStore()
    monitor.load(cache)
    task = Task(spec, monitor, "", nowhere, nowhere, nowhere, cache)
    found: list[Said] = []
    for record in records_of(logs, topics.counts, 0):
        effects = drive(apply_records(task, [record], store, Context()))
        found += [(each.key, each.value) for each in effects.emits if each.topic == topics.alerts]
    return found


def records_of(logs: Logs, topic: str, number: int) -> Iterable[Record]:
    """Go through the records of a partition as stages are given them."""
    for each in logs.records.get((topic, number), ()):
        yield as_record(topic, number, each)


def as_record(topic: str, number: int, each: LogRecord) -> Record:
    """Return a record of a log as stages are given it."""
    headers = tuple((name, value or b"") for name, value in each.headers)
    return Record(topic, number, each.offset, each.timestamp_ms, each.key, each.value, headers)
