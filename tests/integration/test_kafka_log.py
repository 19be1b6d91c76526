"""What only Kafka itself can show of the log: clients, members, time-outs."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from headrace.app.stack.process import free_port
from headrace.schemas.errors import Refused
from headrace.streams.engine.clients import consumer_settings
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.guard import Guard
from headrace.streams.engine.log import KafkaLog
from headrace.streams.protocol.inputs import Inputs
from headrace.streams.protocol.ports import Committed, Dead, Fenced, Unstable
from headrace.streams.records import Emit
from tests.integration.logs import (
    TIMING,
    KafkaCluster,
    KafkaWorker,
    Left,
    leave,
    settle,
    stable,
    transact,
    values,
)
from tests.services import fresh_name
from tests.unit.engine.test_standstill import World

pytestmark = pytest.mark.integration


def joined(cluster: KafkaCluster, group: str, slot: str, *topics: str) -> KafkaWorker:
    worker = cluster.joined(group, slot, *topics)
    assert isinstance(worker, KafkaWorker)
    return worker


def poll_until(worker: KafkaWorker, count: int) -> list[Any]:
    give_up = time.monotonic() + 10
    while len(worker.messages) < count and time.monotonic() < give_up:
        worker.poll()
    return [(message.topic(), message.value()) for message in worker.messages]


def test_only_what_was_assigned_is_fetched_from_where_it_was_said(
    cluster: KafkaCluster, group: str
) -> None:
    one, two = cluster.make(), cluster.make()
    worker = joined(cluster, group, "0", one, two)
    for topic in (one, two):
        cluster.append((topic, 0), [b"%d" % at for at in range(5)])
    for _ in range(20):
        worker.poll()
    assert worker.messages == []  # tasks are taken over first
    worker.log.assign({(one, 0): 3})
    assert poll_until(worker, 2) == [(one, b"3"), (one, b"4")]
    assert worker.log.lag((one, 0), 3) == 2
    assert worker.log.lag((one, 0), 9) == 0
    assert worker.log.lag((two, 0), 0) is None  # never seen
    worker.log.assign({(one, 0): 5, (two, 0): 4})
    assert poll_until(worker, 3)[2:] == [(two, b"4")]

    worker.log.pause([(one, 0)])
    cluster.append((one, 0), [b"5"])
    cluster.append((two, 0), [b"5"])
    assert poll_until(worker, 4)[3:] == [(two, b"5")]
    for _ in range(20):
        worker.poll()
    assert len(worker.messages) == 4
    worker.log.resume([(one, 0)])
    assert poll_until(worker, 5)[4:] == [(one, b"5")]


def test_a_pause_outlives_an_assignment_unless_the_inputs_end_it(
    cluster: KafkaCluster, group: str
) -> None:
    """So does librdkafka: a task that was taken away and came back stood still for ever."""
    topic = cluster.make()
    worker = joined(cluster, group, "0", topic)
    cluster.append((topic, 0), [b"0", b"1"])
    inputs = Inputs(worker.log)
    inputs.assign({(topic, 0): 0})
    assert poll_until(worker, 2) == [(topic, b"0"), (topic, b"1")]
    inputs.pause([(topic, 0)])
    worker.log.assign({})
    worker.log.assign({(topic, 0): 1})
    for _ in range(20):
        worker.poll()
    assert len(worker.messages) == 2  # the client has it paused yet
    inputs.assign({(topic, 0): 1})
    assert poll_until(worker, 3)[2:] == [(topic, b"1")]


def test_input_that_is_not_fetched_is_seen_and_control_records_are_none(
    cluster: KafkaCluster, group: str
) -> None:
    topic = cluster.make()
    worker = joined(cluster, group, "0", topic)
    writer = cluster.started(group, "1", topic)
    transact(writer, values("a", topic=topic))
    worker.log.assign({(topic, 0): 0})
    assert poll_until(worker, 1) == [(topic, b"a")]
    ends: Any = worker.log
    world = World(ends, topic, at=1)
    assert world.passes(12) == []  # the end lies behind the transaction's marker
    worker.log.pause([(topic, 0)])  # as a client that has lost the partition would
    transact(writer, values("b", topic=topic))
    assert world.passes(12) == [
        f"p/v1/join/0: records of {topic}-0 from 1 on, which are not fetched"
    ]
    worker.log.resume([(topic, 0)])
    assert poll_until(worker, 2)[1:] == [(topic, b"b")]
    world.receive(topic, 2)
    assert world.passes(1) == []


def test_a_position_that_retention_has_cut_is_refused(cluster: KafkaCluster, group: str) -> None:
    topic = cluster.make()
    worker = joined(cluster, group, "0", topic)
    cluster.append((topic, 0), [b"%d" % at for at in range(6)])
    cluster.cut_head((topic, 0), 4)
    worker.log.assign({(topic, 0): 2})
    with pytest.raises(Refused, match=r"retention has cut the log.*--accept-loss"):
        poll_until(worker, 1)


def test_offsets_that_still_move_are_not_believed(cluster: KafkaCluster, group: str) -> None:
    """They move under a coordinator that still reads its log, as here by a zombie that commits."""
    source = cluster.make(2)
    zombie = joined(cluster, group, "0", source)
    zombie.log.begin()
    zombie.log.send_offsets({(source, 1): Committed(5)})
    other = cluster.started(group, "1", source, timing=replace(TIMING, settled_s=2))
    other.join()
    settle([zombie, other])
    late = threading.Timer(1, zombie.log.end)
    late.start()
    with pytest.raises(Unstable, match="its offsets still move"):
        other.log.committed([(source, 1)])
    late.join()
    assert stable(other.log, [(source, 1)]) == {(source, 1): Committed(5)}
    begun_s = time.monotonic()
    other.log.committed([(source, 1)])
    assert time.monotonic() - begun_s < 1  # asked twice once after each assignment, not each time


def test_the_guard_watches_a_transaction_from_begin_to_end(
    cluster: KafkaCluster, group: str
) -> None:
    topic = cluster.make()
    worker = cluster.started(group, "0", topic)
    assert isinstance(worker, KafkaWorker)
    worker.log.begin()
    assert list(worker.guard._deadlines) == ["a transaction"]
    assert worker.guard._deadlines["a transaction"] - time.monotonic() <= TIMING.guard_s == 13
    worker.log.produce([Emit(topic, 0, None, b"x")])
    worker.log.end()
    assert worker.guard._deadlines == {}


def test_a_record_that_kafka_does_not_take_ends_the_process(
    cluster: KafkaCluster, group: str
) -> None:
    topic = cluster.make()
    worker = cluster.started(group, "0", topic)
    worker.log.begin()
    with pytest.raises(Dead, match="MSG_SIZE_TOO_LARGE"):
        worker.log.produce([Emit(topic, 0, None, b"x" * 17_000_000)])


def test_a_topic_that_is_not_there_is_refused(cluster: KafkaCluster, group: str) -> None:
    worker = cluster.started(group, "0", "nowhere")
    with pytest.raises(Refused, match="headrace topics"):
        worker.log.topic_id(fresh_name("nowhere"))
    with pytest.raises((Refused, Dead)):
        worker.log.bounds((fresh_name("nowhere"), 0))


def test_no_broker_is_waited_for_as_long_as_somebody_wants_to(group: str) -> None:
    nobody = Connection(f"127.0.0.1:{free_port()}")
    log = KafkaLog(nobody, group, "0", Guard(leave=leave), TIMING)
    assert not log.open(lambda: False)


def test_a_fatal_error_outside_of_any_call_ends_the_process(
    cluster: KafkaCluster, group: str
) -> None:
    worker = cluster.started(group, "0", "any")
    assert isinstance(worker, KafkaWorker)
    with pytest.raises(Left, match="1"):
        worker.log._on_error(KafkaError(KafkaError._INVALID_ARG, "broken", True))
    with pytest.raises(Left, match="4"):
        worker.log._on_error(KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced", True))
    worker.log._on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN, "down"))  # passes by itself
    worker.log._on_error(KafkaError(KafkaError.SASL_AUTHENTICATION_FAILED, "who?"))
    with pytest.raises(Refused, match="HEADRACE_KAFKA_SECURITY"):
        worker.log.committed([("any", 0)])


def test_unanswered_questions_for_offsets_are_asked_again(
    cluster: KafkaCluster, group: str
) -> None:
    """While no broker answers, nobody knows whether offsets are stable."""
    worker = cluster.started(group, "0", "any")
    assert isinstance(worker, KafkaWorker)
    nobody = KafkaLog(
        Connection(f"127.0.0.1:{free_port()}"), group, "1", Guard(leave=leave), TIMING
    )
    assert not nobody.open(lambda: False)
    nobody._consumer = Consumer(consumer_settings(nobody._settings, group, "1", TIMING))
    with pytest.raises(Unstable):
        nobody.committed([("any", 0)])
    nobody._consumer.close()


def committing(cluster: KafkaCluster, group: str) -> tuple[KafkaWorker, str, str]:
    source, out = cluster.make(), cluster.make()
    return joined(cluster, group, "0", source), source, out


def test_whoever_waited_long_for_a_commit_begins_anew_since_a_broker_may_have_forgotten(
    cluster: KafkaCluster, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, source, out = committing(cluster, group)
    transact(worker, values("a", topic=out), {(source, 0): Committed(1)})
    monkeypatch.setattr("headrace.streams.engine.log.AWAY_S", 0.0)
    worker.log.begin()
    worker.log.produce(values("b", topic=out))
    monkeypatch.setattr("headrace.streams.engine.log.AWAY_S", 5.0)
    worker.log.send_offsets({(source, 0): Committed(2)})
    monkeypatch.setattr("headrace.streams.engine.log.AWAY_S", 0.0)
    with pytest.raises(Dead, match="Kafka took"):
        worker.log.end()
    assert stable(worker.log, [(source, 0)]) == {(source, 0): Committed(2)}


class Evasive:
    """A producer to whom the broker says no more than that a commit failed, and then why."""

    def __init__(self, producer: Producer, at_abort: KafkaError | None) -> None:
        self._producer = producer
        self._at_abort = at_abort

    def commit_transaction(self, seconds: float) -> None:
        raise KafkaException(KafkaError(KafkaError.UNKNOWN, "unknown", False, False, True))

    def abort_transaction(self, seconds: float) -> None:
        if self._at_abort is not None:
            raise KafkaException(self._at_abort)
        self._producer.abort_transaction(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)


@pytest.mark.parametrize(
    ("at_abort", "kind"),
    [
        (None, Dead),
        (KafkaError(KafkaError.UNKNOWN), Dead),
        (KafkaError(KafkaError._FENCED), Fenced),
    ],
)
def test_what_a_failed_commit_does_not_say_an_abort_does(
    cluster: KafkaCluster, group: str, at_abort: KafkaError | None, kind: type[Exception]
) -> None:
    worker, _, out = committing(cluster, group)
    evasive: Any = Evasive(worker.log._producer, at_abort)
    worker.log._producer = evasive
    with pytest.raises(Dead) as found:
        transact(worker, values("a", topic=out))
    assert type(found.value) is kind


def test_whoever_has_seen_no_broker_begins_nothing(cluster: KafkaCluster, group: str) -> None:
    worker, source, out = committing(cluster, group)
    transact(worker, values("a", topic=out), {(source, 0): Committed(1)})
    worker.log._on_producer_error(KafkaError(KafkaError._TRANSPORT))
    transact(worker, values("b", topic=out), {(source, 0): Committed(2)})
    worker.log._on_producer_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    with pytest.raises(Dead, match="Kafka was away"):
        worker.log.begin()
    assert stable(worker.log, [(source, 0)]) == {(source, 0): Committed(2)}


def test_whoever_is_idle_hears_that_no_broker_was_there(
    cluster: KafkaCluster, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its last transaction decided may be forgotten; without one nothing can be."""
    monkeypatch.setattr("headrace.streams.engine.log._HEAR_S", 0.0)
    worker, source, out = committing(cluster, group)
    worker.log._on_producer_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    worker.poll()
    worker.log._away = False
    transact(worker, values("a", topic=out), {(source, 0): Committed(1)})
    worker.poll()
    worker.log._on_producer_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    with pytest.raises(Dead, match="Kafka was away"):
        worker.poll()


def test_a_process_ends_what_the_broker_forgot_where_its_role_writes(
    kafka: Connection, cluster: KafkaCluster, group: str
) -> None:
    """Each start of a slot with a past marks all partitions of the outputs, and nothing else."""
    out, other = cluster.make(2), cluster.make()
    for marks in (0, 1, 2):
        log = KafkaLog(kafka, group, "0", Guard(leave=leave), TIMING, [out])
        assert log.open(lambda: True)
        ends = [log.bounds(tp)[1] for tp in ((out, 0), (out, 1), (other, 0))]
        assert ends == [marks, marks, 0]
        log.close()
