"""The whole loop on real Kafka: events and labels in, predictions, examples and a model out.

*Throughput*: a backlog of events and labels is published, then all workers are started; from when
the first tenth is scored to when the last example has been learned, by the timestamps that the
records carry. CPU is that of our processes (supervisor and workers); Kafka and Valkey and
this process, which publishes and reads, are counted apart.

*Latency*: events at a steady rate, with their labels; from just before produce to just after a
consumer at read_committed has the prediction in hand.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic, perf_counter, sleep, time
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.cpu import Meter
from bench.history import PIPELINE, flights, history
from headrace.app.services import find_services
from headrace.app.settings import settings_from
from headrace.app.stack.stack import Stack
from headrace.app.wiring import prepare
from headrace.streams.engine.publisher import Publisher
from headrace.streams.engine.reader import read
from headrace.streams.partitioner import partition_of
from headrace.streams.plan import Plan

PARTITIONS = 2
SETTLE_S = 240.0
BARRIER = "bench-end"
WARM_S = 5.0
WAKING = 20
GROUPS = ("own", "kafka", "redis", "score", "join", "learn")
"""Whose CPU is measured, in the order of :class:`Whole`."""


class Whole(NamedTuple):
    """What was measured on real Kafka; times in microseconds of CPU per event, or milliseconds."""

    events: int
    events_per_s: float
    scored_per_s: float
    own_us: float
    kafka_us: float
    valkey_us: float
    score_us: float
    join_us: float
    learn_us: float


class Latency(NamedTuple):
    """From produce to visible at read_committed, in milliseconds."""

    rate: int
    events: int
    missing: int
    p50: float
    p90: float
    p99: float
    own_us: float


@contextmanager
def stack_in(folder: Path) -> Iterator[tuple[Stack, dict[str, str]]]:
    """Lend an embedded stack, and the environment in which commands find it."""
    with Stack(folder) as stack:
        given = {name: text for name, text in os.environ.items() if "HEADRACE" not in name}
        yield (
            stack,
            {
                **given,
                "HEADRACE_DATA": str(folder),
                "HEADRACE_PARTITIONS": str(PARTITIONS),
                "HEADRACE_LOG_FORMAT": "json",
                "HEADRACE_LOG_LEVEL": "warning",
                "PYTHONHASHSEED": "0",
            },
        )


def stop(process: subprocess.Popen[bytes], limit_s: float) -> None:
    """Stop a process in good order; kill it if it does not end within a time."""
    process.terminate()
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def workers(environment: Mapping[str, str], log: Path, pipeline: Path = PIPELINE) -> Iterator[int]:
    """Lend the running pipeline; stop it in good order. A restarted worker spoils the bench."""
    command = [sys.executable, "-m", "headrace.app.cli", "run", str(pipeline)]
    with log.open("wb") as file:
        running = subprocess.Popen(command, env=dict(environment), stdout=file, stderr=file)
    try:
        yield running.pid
    finally:
        stop(running, 30)
    if "worker ended" in log.read_text():
        raise RuntimeError(f"a worker was restarted: {log.read_text()}")


def throughput(folder: Path, copies: int, weeks: int = 1) -> Whole:
    """Measure how fast a backlog is scored, joined and learned."""
    plan = flights()
    with stack_in(folder) as (stack, environment):
        settings = settings_from({k: v for k, v in environment.items() if "HEADRACE" in k})
        services = find_services(settings)
        prepared = prepare(plan, settings, services)
        with Publisher(prepared.plan, services.kafka) as publisher:
            for record in history(plan, copies, weeks):
                publisher.send(record)
            publisher.barrier(BARRIER)
        log = folder / "workers.log"
        with workers(environment, log) as pid, Meter(groups_of(pid, stack)) as meter:
            wait_for_end(services.kafka, plan)
        return _measured(services.kafka, plan, publisher.events, meter)


def groups_of(supervisor: int, stack: Stack) -> dict[str, tuple[list[int], str]]:
    """Return what is measured: our processes, each role's, and the stack's parts."""
    parts = stack._parts  # noqa: SLF001 - their processes are measured
    apart = {name: ([parts[name].process.pid or 0], "") for name in ("kafka", "redis")}
    roles = {role: ([supervisor], role) for role in ("score", "join", "learn")}
    return {"own": ([supervisor], ""), **apart, **roles}


def wait_for_end(kafka: Any, plan: Plan) -> None:
    """Wait until LEARN has announced the last barrier."""
    end = monotonic() + SETTLE_S
    while monotonic() < end:
        sleep(1.0)
        said = read(kafka, plan.topics, "models", last=50)
        if any(record["barrier"] == BARRIER for record in said):
            return
    raise TimeoutError(f"not all was learned within {SETTLE_S:.0f} s")


def _measured(kafka: Any, plan: Plan, events: int, meter: Meter) -> Whole:
    scored = sorted(
        record.timestamp_ms for record, _ in read(kafka, plan.topics, "predictions").records()
    )
    learned = [
        record.timestamp_ms
        for record, said in read(kafka, plan.topics, "models").records()
        if said["state"] is not None
    ]
    assert len(scored) == events, f"{len(scored)} predictions of {events} events"
    warm = len(scored) // 10
    begin, last, end = (ms / 1_000 for ms in (scored[warm], scored[-1], max(learned)))
    rest = events - warm
    return Whole(
        events,
        rest / (max(end, last) - begin),
        rest / max(last - begin, 1e-3),
        *(meter.used_s(group, begin, end) * 1e6 / rest for group in GROUPS),
    )


# -- latency


def latency(folder: Path, rate: int, seconds: float) -> Latency:
    """Measure how long a prediction takes at a steady rate of events."""
    plan = flights()
    with stack_in(folder) as (_, environment):
        settings = settings_from({k: v for k, v in environment.items() if "HEADRACE" in k})
        services = find_services(settings)
        prepare(plan, settings, services)
        events = int(rate * (WARM_S + seconds))
        with (
            workers(environment, folder / "workers.log") as pid,
            Meter({"own": ([pid], "")}) as meter,
        ):
            return _paced(services.kafka.brokers, plan, rate, events, meter)


class Seen:
    """Notes when each prediction is seen, in a thread of its own."""

    def __init__(self, brokers: str, plan: Plan) -> None:
        self.at: dict[bytes, float] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": "bench",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 100,
            }
        )
        topic = plan.topics.predictions
        self._consumer.assign([TopicPartition(topic, each, 0) for each in range(PARTITIONS)])
        self.ended = False
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self.ended:
            messages = self._consumer.consume(1_000, 0.002)
            now = perf_counter()
            for message in messages:
                if message.error() is None and message.key() is not None:
                    self.at[message.key()] = now
        self._consumer.close()

    def close(self) -> None:
        """Stop looking."""
        self.ended = True
        self._thread.join()


class Ready(NamedTuple):
    """A record that is only to be produced: making it ready is not what is measured.

    Attributes
    ----------
    name
        The event's id; None of a label.
    """

    topic: str
    place: int
    key: bytes
    value: bytes
    name: bytes | None


def ready(plan: Plan, events: int) -> list[Ready]:
    """Make so many events ready, with the labels that come between them."""
    found, count = [], 0
    for record in history(plan, events // 5_000 + 1):
        name = None if record.is_label else _event_id(plan, record.value)
        topic = plan.topics.labels if record.is_label else plan.topics.events
        place = partition_of(record.key, PARTITIONS)
        found.append(Ready(topic, place, record.key, record.value, name))
        count += not record.is_label
        if count == events:
            return found
    raise ValueError(f"the history has {count} events, {events} are wanted")


def _paced(brokers: str, plan: Plan, rate: int, events: int, meter: Meter) -> Latency:
    """Produce as the product's own publisher does, and see what comes back.

    The cores are shared with what is measured, so whatever can be done before is done before.
    """
    seen = Seen(brokers, plan)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 5, "enable.idempotence": True})
    records = ready(plan, WAKING + events)
    _wake(producer, records[:WAKING], seen)
    sent: dict[bytes, float] = {}
    gc.freeze()
    begun, begun_at = perf_counter(), time()
    for record in records[WAKING:]:
        if record.name is not None:
            due = begun + len(sent) / rate
            while (left := due - perf_counter()) > 0:
                sleep(left)
            sent[record.name] = perf_counter()
        _produce(producer, record)
    producer.flush(30)
    ended_at, deadline = time(), monotonic() + 30
    while len(sent.keys() - seen.at.keys()) and monotonic() < deadline:
        sleep(0.1)
    seen.close()
    gc.unfreeze()
    measured = list(sent)[int(rate * WARM_S) :]
    took = sorted((seen.at[name] - sent[name]) * 1e3 for name in measured if name in seen.at)
    own_us = meter.used_s("own", begun_at, ended_at) * 1e6 / len(sent)
    missing = len(measured) - len(took)
    p50, p90, p99 = (took[int(len(took) * share)] for share in (0.5, 0.9, 0.99))
    return Latency(rate, len(measured), missing, p50, p90, p99, own_us)


def _wake(producer: Producer, records: Sequence[Ready], seen: Seen) -> None:
    """Publish a few records and wait until the workers have answered one."""
    for record in records:
        _produce(producer, record)
    producer.flush(30)
    deadline = monotonic() + 60
    while not seen.at:
        if monotonic() > deadline:
            raise TimeoutError("no prediction within a minute")
        sleep(0.05)


def _event_id(plan: Plan, value: bytes) -> bytes:
    return plan.event_id(plan.decode_event(value, 2**60)).encode()


def _produce(producer: Producer, record: Ready) -> None:
    producer.produce(record.topic, record.value, record.key, record.place)
    producer.poll(0)
