"""What of the broker in memory no real broker does on demand: when its control records come.

The rest is held to Kafka's behaviour by ``tests/integration/test_log.py``.
"""

from __future__ import annotations

import pytest

from headrace.streams.protocol.ports import Committed, Dead, Unstable
from headrace.streams.records import Emit, Record, TopicPartition
from headrace.streams.twins.broker import Broker

SOURCE: TopicPartition = ("in", 0)
OUT: tuple[TopicPartition, TopicPartition] = (("out", 0), ("out", 1))


def broker_with_delays(*delays_ms: int) -> Broker:
    """Return a broker whose control records come so much after the decision, one by one."""
    left = iter(delays_ms)
    broker = Broker(marker_delay_ms=lambda: next(left))
    broker.create("in", 1)
    broker.create("out", 2)
    return broker


def transact(broker: Broker, value: bytes, offset: int) -> None:
    epoch = broker.init_producer("p")
    broker.produce("p", epoch, [Emit(*tp, None, value) for tp in OUT])
    broker.send_offsets("p", epoch, "g", {SOURCE: Committed(offset)})
    broker.end("p", epoch)


def seen(broker: Broker, tp: TopicPartition) -> list[bytes | None]:
    records: list[Record]
    records, _ = broker.fetch(tp, 0)
    return [record.value for record in records]


def test_each_partition_is_marked_by_itself() -> None:
    broker = broker_with_delays(5, 20, 10)
    transact(broker, b"a", 7)
    assert [broker.bounds(tp) for tp in OUT] == [(0, 0), (0, 0)]
    assert broker.decided("g", SOURCE) == Committed(7)
    with pytest.raises(Unstable):
        broker.committed("g", [SOURCE])
    assert broker.committed("g", [SOURCE], stable=False) == {SOURCE: None}
    broker.advance(5)
    assert [seen(broker, tp) for tp in OUT] == [[b"a"], []]
    with pytest.raises(Unstable):
        broker.committed("g", [SOURCE])
    broker.advance(10)
    assert broker.committed("g", [SOURCE]) == {SOURCE: Committed(7)}
    assert seen(broker, OUT[1]) == []
    assert broker.busy()
    broker.advance(20)
    assert [broker.bounds(tp) for tp in OUT] == [(0, 2), (0, 2)]
    assert [seen(broker, tp) for tp in OUT] == [[b"a"], [b"a"]]
    assert not broker.busy()


def test_the_next_transaction_waits_for_the_marks_of_the_one_before() -> None:
    broker = broker_with_delays(*[1_000] * 6)
    transact(broker, b"a", 7)
    epoch = broker.init_producer("p")
    assert [seen(broker, tp) for tp in OUT] == [[b"a"], [b"a"]]
    broker.produce("p", epoch, [Emit(*OUT[0], None, b"b")])
    broker.end("p", epoch)
    assert seen(broker, OUT[0]) == [b"a"]
    broker.produce("p", epoch, [Emit(*OUT[0], None, b"c")])
    assert seen(broker, OUT[0]) == [b"a", b"b"]


def test_a_topic_that_is_created_anew_takes_no_open_transaction_along() -> None:
    broker = broker_with_delays(0, 0)
    epoch = broker.init_producer("p")
    broker.append(OUT[0], None, b"old")
    broker.produce("p", epoch, [Emit(*OUT[0], None, b"old")])
    broker.send_offsets("p", epoch, "g", {OUT[1]: Committed(3), SOURCE: Committed(4)})
    broker.create("out", 2)
    assert broker.bounds(OUT[0]) == (0, 0)
    assert broker.committed("g", [OUT[1]]) == {OUT[1]: None}
    broker.append(OUT[0], None, b"new")
    broker.end("p", epoch)
    assert seen(broker, OUT[0]) == [b"new"]
    assert broker.bounds(OUT[0]) == (0, 1)
    assert broker.committed("g", [OUT[1], SOURCE]) == {OUT[1]: None, SOURCE: Committed(4)}


def forgetful(*delays_ms: int) -> Broker:
    """Return a broker that has decided to commit a record in each output, and forgotten it."""
    broker = broker_with_delays(1_000, 1_000, 1_000, *delays_ms)
    transact(broker, b"a", 7)
    assert broker.restart(lambda name: name == "p") == broker.unended() == ["p"]
    return broker


def test_what_was_forgotten_stays_open() -> None:
    broker = forgetful()
    broker.advance(100_000)
    assert [broker.bounds(tp) for tp in OUT] == [(0, 0), (0, 0)]
    assert broker.busy()
    with pytest.raises(Unstable):
        broker.committed("g", [SOURCE])
    assert broker.decided("g", SOURCE) == Committed(7)


def test_what_was_forgotten_is_ended_as_it_was_decided() -> None:
    broker = forgetful(0, 0, 0)
    broker.end_forgotten("p", OUT)
    assert [seen(broker, tp) for tp in OUT] == [[b"a"], [b"a"]]
    assert broker.committed("g", [SOURCE]) == {SOURCE: Committed(7)}
    assert (broker.unended(), broker.busy()) == ([], False)


def test_the_next_transaction_decides_about_what_was_forgotten_where_it_writes() -> None:
    broker = forgetful(0, 0)
    epoch = broker.init_producer("p")
    broker.produce("p", epoch, [Emit(*OUT[0], None, b"b")])
    assert broker.init_producer("p") == epoch + 1  # which aborts it
    assert seen(broker, OUT[0]) == []
    assert broker.bounds(OUT[0]) == (0, 3)
    assert broker.bounds(OUT[1]) == (0, 0)
    assert broker.committed("g", [SOURCE]) == {SOURCE: None}


def test_a_part_may_be_forgotten_and_what_is_overdue_is_aborted() -> None:
    broker = broker_with_delays(5, 5, 5)
    epoch = broker.init_producer("p")
    broker.produce("p", epoch, [Emit(*tp, None, b"a") for tp in OUT])
    broker.now_ms = 60_001
    forgets = iter([True, False, True])
    broker.restart(lambda name: next(forgets))
    broker.advance(60_006)
    assert [broker.bounds(tp) for tp in OUT] == [(0, 0), (0, 2)]
    with pytest.raises(Dead, match="open for too long"):
        broker.end("p", epoch)


def test_a_slot_without_a_past_has_nothing_to_end() -> None:
    broker = broker_with_delays()
    broker.end_forgotten("p", OUT)
    assert [broker.bounds(tp) for tp in OUT] == [(0, 0), (0, 0)]
