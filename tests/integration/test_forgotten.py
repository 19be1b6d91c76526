"""A transaction whose end the broker forgot, on real Kafka: how it hangs, and how it is ended.

Such a hang is made as a broker makes it that takes what comes late: it is told not to look whether
a transaction is open, and then takes a record and an offset of one that is complete.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from headrace.app.scaling import scale_in
from headrace.app.supervisor import Slot as Place
from headrace.streams.engine import forgotten
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.forgotten import Slot, end_forgotten
from headrace.streams.engine.roles import group_of
from headrace.streams.engine.wire import connected, text
from headrace.streams.plan import plan_of
from headrace.streams.protocol.ports import Committed, Unstable
from headrace.streams.records import TopicPartition
from tests.integration.logs import KafkaCluster, Worker, all_of, stable
from tests.services import fresh_name
from tests.systems.flights import flights_plan

pytestmark = pytest.mark.integration

PRODUCE, TXN_OFFSET_COMMIT = 0, 28
TIMEOUT_MS = 10_000
META = "late"
"""In the log it ends with a zero, by which librdkafka knows its end."""


@pytest.fixture
def credulous(kafka: Connection) -> Iterator[None]:
    """Have the broker not look whether what it is given belongs to an open transaction."""
    admin = AdminClient({"bootstrap.servers": kafka.brokers})
    name = "transaction.partition.verification.enable"
    (broker,) = admin.list_topics(timeout=10).brokers

    def let(value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(
            ConfigResource.Type.BROKER, str(broker), incremental_configs=[entry]
        )
        for done in admin.incremental_alter_configs([resource]).values():
            done.result(10)

    let("false")
    yield
    let("true")


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def batch(producer: tuple[int, int], value: bytes) -> bytes:
    """Return one record in a transaction, as Kafka stores it (magic 2)."""
    body = b"\0\0\0\1" + bytes([2 * len(value)]) + value + b"\0"
    record = bytes([2 * len(body)]) + body
    counted = struct.pack(">hiqqqhii", 16, 0, 0, 0, *producer, 0, 1) + record
    head = struct.pack(">ibI", -1, 2, crc32c(counted))
    return struct.pack(">qi", 0, len(head) + len(counted)) + head + counted


def of_one(topic: str, rest: bytes) -> bytes:
    """Return a list of one topic with a list of its partition 0."""
    return struct.pack(">i", 1) + text(topic) + struct.pack(">ii", 1, 0) + rest


class Hung:
    """A transaction that is complete, and a record and an offset of it that nobody has ended."""

    def __init__(self, kafka: Connection, group: str, source: str, out: str) -> None:
        self._kafka = kafka
        self._source = source
        self.slot = Slot(f"{group}-0", group, TIMEOUT_MS, lambda: {out: 1})
        self._name = text(self.slot.transactional_id)

    def make(self, *, committed: bool, offset: int, value: bytes) -> None:
        address = forgotten._coordinator(self._kafka, self.slot.transactional_id)
        with connected(address, {}) as wire:
            producer = forgotten._producer(wire, self.slot)
            forgotten._pass_through(wire, self.slot, producer, committed=committed)
            (out,) = self.slot.partitions()
            records = batch(producer, value)
            kept = struct.pack(">i", len(records)) + records
            body = self._name + struct.pack(">hi", -1, TIMEOUT_MS) + of_one(out, kept)
            answer = wire.ask(PRODUCE, 3, body)
            answer.number("i")
            answer.text()
            assert answer.read("iih")[2] == 0
            body = self._name + text(self.slot.group) + struct.pack(">qh", *producer)
            body += of_one(self._source, struct.pack(">q", offset) + text(META + "\0"))
            answer = wire.ask(TXN_OFFSET_COMMIT, 1, body)
            answer.read("ii")
            answer.text()
            assert answer.read("iih")[2] == 0


def seen(worker: Worker, out: str, source: str) -> tuple[list[bytes | None], Mapping[Any, Any]]:
    """Return what readers see of the output, and the source's committed offset."""
    end = worker.log.bounds((out, 0))[1]
    values = [record.value for record in all_of(worker.log, (out, 0), 0, end)]
    tps: list[TopicPartition] = [(source, 0)]
    return values, stable(worker.log, tps)


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "aborted"])
@pytest.mark.usefixtures("credulous")
def test_what_was_forgotten_is_ended_as_it_was_decided(
    kafka: Connection, cluster: KafkaCluster, group: str, committed: bool
) -> None:
    source, out = cluster.make(), cluster.make()
    reader = cluster.joined(group, "1", source)
    cluster.append((out, 0), [b"before"])
    hung = Hung(kafka, group, source, out)
    hung.make(committed=committed, offset=7, value=b"late")
    cluster.append((out, 0), [b"behind"])
    with pytest.raises(Unstable):
        reader.log.committed([(source, 0)])
    stands = reader.log.bounds((out, 0))[1]
    values = [record.value for record in all_of(reader.log, (out, 0), 0, stands)]
    assert values == [b"before"]
    end_forgotten(kafka, hung.slot)
    between = [b"late"] if committed else []
    offset = Committed(7, META) if committed else None
    assert seen(reader, out, source) == ([b"before", *between, b"behind"], {(source, 0): offset})
    end_forgotten(kafka, hung.slot)
    assert seen(reader, out, source) == ([b"before", *between, b"behind"], {(source, 0): offset})


@pytest.mark.usefixtures("credulous")
def test_left_alone_the_next_one_decides(
    kafka: Connection, cluster: KafkaCluster, group: str
) -> None:
    """Why it must be ended before anything else: what was aborted would be committed after all."""
    source, out = cluster.make(), cluster.make()
    reader = cluster.joined(group, "1", source)
    hung = Hung(kafka, group, source, out)
    hung.make(committed=False, offset=7, value=b"aborted")
    address = forgotten._coordinator(kafka, hung.slot.transactional_id)
    with connected(address, {}) as wire:
        producer = forgotten._producer(wire, hung.slot)
        forgotten._pass_through(wire, hung.slot, producer, committed=True)
    assert seen(reader, out, source) == ([b"aborted"], {(source, 0): Committed(7, META)})


@pytest.mark.usefixtures("credulous")
def test_a_slot_that_is_scaled_in_leaves_nothing_open(
    kafka: Connection, cluster: KafkaCluster
) -> None:
    """No worker of it starts any more that would end what a broker forgot."""
    plan = flights_plan()
    plan = plan_of(replace(plan.pipeline, name=fresh_name("flights")))
    group = group_of(plan.name, "score")
    source, out = cluster.make(), cluster.make(name=plan.topics.predictions)
    reader = cluster.joined(group, "0", source)
    cluster.started(group, "1", source)  # a slot with a past, and nothing to be ended
    hung = Hung(kafka, group, source, out)
    hung.slot = hung.slot.__class__(f"{group}-2", group, TIMEOUT_MS, lambda: {out: 1})
    hung._name = text(hung.slot.transactional_id)
    hung.make(committed=True, offset=7, value=b"late")
    with pytest.raises(Unstable):
        reader.log.committed([(source, 0)])
    scale_in(kafka, plan, [Place("score", 0)], TIMEOUT_MS)
    assert seen(reader, out, source) == ([b"late"], {(source, 0): Committed(7, META)})


def test_a_slot_without_a_past_is_left_alone(kafka: Connection, group: str) -> None:
    def never() -> Mapping[str, int]:
        raise AssertionError("nothing has been written")

    end_forgotten(kafka, Slot(f"{group}-0", group, TIMEOUT_MS, never))
