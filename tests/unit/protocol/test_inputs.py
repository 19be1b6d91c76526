"""What is fetched after an assignment: all that it does not name as paused."""

from __future__ import annotations

from headrace.streams.protocol.inputs import Inputs
from headrace.streams.twins.broker import Broker
from headrace.streams.twins.consumer import MemoryConsumer


def consumer(*values: bytes) -> MemoryConsumer:
    broker = Broker(transaction_timeout_ms=1_000, session_timeout_ms=1_000)
    broker.create("in", 2)
    for value in values:
        for number in range(2):
            broker.append(("in", number), b"key", value)
    return MemoryConsumer(broker)


def test_a_partition_that_comes_back_is_fetched_although_it_was_paused() -> None:
    """The queue of the task that was taken away was full; the one that comes back is empty."""
    fetcher = consumer(b"a", b"b")
    inputs = Inputs(fetcher)
    inputs.assign({("in", 0): 0, ("in", 1): 0})
    inputs.pause([("in", 0)])
    inputs.assign({("in", 1): 0})  # a rebalance takes it away
    inputs.assign({("in", 0): 1, ("in", 1): 0})  # and another gives it back
    records, behind = fetcher.consume(("in", 0), 10)
    assert ([record.value for record in records], behind) == ([b"b"], 2)


def test_what_is_paused_stays_so_while_another_task_is_taken_over() -> None:
    fetcher = consumer(b"a")
    inputs = Inputs(fetcher)
    inputs.assign({("in", 0): 0})
    inputs.pause([("in", 0)])
    inputs.assign({("in", 0): 0, ("in", 1): 0}, [("in", 0)])
    assert fetcher.consume(("in", 0), 10) == ((), 0)
    assert len(fetcher.consume(("in", 1), 10)[0]) == 1
    inputs.resume([("in", 0)])
    assert len(fetcher.consume(("in", 0), 10)[0]) == 1


def test_a_client_keeps_a_pause_over_an_assignment() -> None:
    """The twin does as librdkafka does (tests/integration/test_kafka_log.py)."""
    fetcher = consumer(b"a")
    fetcher.pause([("in", 0)])
    fetcher.assign({("in", 0): 0})
    assert fetcher.consume(("in", 0), 10) == ((), 0)
