"""Groups on a real broker: static members leave by name, offsets are set with their metadata."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer
from structlog.testing import capture_logs

from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.groups import Groups
from headrace.streams.protocol.ports import Committed
from tests.services import MakeTopic, fresh_name

pytestmark = pytest.mark.integration


class Members:
    """Static members of one group on one topic."""

    def __init__(self, kafka: Connection, topic: str) -> None:
        self.group = fresh_name("group")
        self._kafka = kafka
        self._topic = topic
        self.consumers: dict[str, Consumer] = {}

    def join(self, *names: str) -> None:
        for name in names:
            consumer = Consumer(
                {
                    "bootstrap.servers": self._kafka.brokers,
                    "group.id": self.group,
                    "group.instance.id": name,
                    "session.timeout.ms": 60_000,
                    "partition.assignment.strategy": "range",
                }
            )
            consumer.subscribe([self._topic])
            self.consumers[name] = consumer

    def settle(self, limit_s: float, **counts: int) -> float:
        """Poll until each member has so many partitions; return how long that took."""
        begun = time.monotonic()
        while any(len(self.consumers[name].assignment()) != n for name, n in counts.items()):
            assert time.monotonic() - begun < limit_s
            for name in counts:
                self.consumers[name].poll(0.05)
        return time.monotonic() - begun


@pytest.fixture
def members(kafka: Connection, make_topic: MakeTopic) -> Iterator[Members]:
    found = Members(kafka, make_topic(partitions=2))
    yield found
    for consumer in found.consumers.values():
        consumer.close()


def test_a_member_that_is_gone_for_good_leaves_by_name(kafka: Connection, members: Members) -> None:
    groups = Groups(kafka)
    assert groups.members(members.group) == []
    members.join("a", "b")
    members.settle(40, a=1, b=1)
    assert groups.members(members.group) == ["a", "b"]
    members.consumers.pop("b").close()
    assert groups.members(members.group) == ["a", "b"]  # static: closing says nothing
    assert groups.let_leave(members.group, ["b", "never-there"])
    assert groups.members(members.group) == ["a"]
    members.settle(40, a=2)  # its session would have lasted for 60 s


def test_offsets_are_set_once_nobody_is_there(kafka: Connection, members: Members) -> None:
    groups = Groups(kafka)
    topic = members._topic
    wanted = {(topic, 0): Committed(5, "pinned"), (topic, 1): Committed(0, '{"a": 1}')}
    assert groups.committed(members.group) == {}
    members.join("a")
    members.settle(40, a=2)
    with pytest.raises(ServiceError, match="could not be set"):
        groups.commit(members.group, wanted)
    members.consumers.pop("a").close()
    groups.let_leave(members.group, ["a"])
    groups.commit(members.group, wanted)
    assert groups.committed(members.group) == wanted
    assert groups.bounds(list(wanted)) == {(topic, 0): (0, 0), (topic, 1): (0, 0)}


def test_by_a_mechanism_that_is_not_spoken_nothing_is_asked(kafka: Connection) -> None:
    groups = Groups(kafka)
    groups._kafka = Connection(kafka.brokers, {"security.protocol": "SASL_SSL"})
    with capture_logs() as logs:
        assert not groups.let_leave("g", ["a"])
        assert groups.let_leave("g", [])
    (line,) = logs
    assert line["event"] == "members leave the group when their session ends"
    assert (line["log_level"], line["members"]) == ("warning", ["a"])
    assert line["reason"].startswith("sasl.mechanisms=GSSAPI is none of")
