"""What the broker in memory holds: logs, transactions, and who has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from headrace.streams.protocol.ports import Committed
from headrace.streams.records import Record, TopicPartition


class State(Enum):
    """How a transaction stands."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(slots=True, eq=False)
class Transaction:
    """A transaction, as long as one of its control records is still to be written.

    Attributes
    ----------
    by
        Whose it is.
    first
        Its first record in each partition that waits for its control record.
    offsets
        Consumed offsets that are pending.
    due_ms
        Once it is decided: when each control record is written; None's makes the offsets known.
    """

    by: Producer
    started_ms: int
    state: State = State.OPEN
    first: dict[TopicPartition, int] = field(default_factory=dict)
    offsets: dict[tuple[str, TopicPartition], Committed] = field(default_factory=dict)
    due_ms: dict[TopicPartition | None, int] = field(default_factory=dict)


@dataclass(slots=True)
class Producer:
    """A transactional id.

    Attributes
    ----------
    overdue
        The epoch that ended because its transaction was open for too long.
    last
        What was decided last.
    forgotten
        Decided transactions some of whose control records will never be written by themselves.
    """

    epoch: int = 0
    overdue: int = 0
    open: Transaction | None = None
    decided: Transaction | None = None
    last: State = State.ABORTED
    forgotten: list[Transaction] = field(default_factory=list)


class Entry(NamedTuple):
    """What is at an offset."""

    record: Record | None  # None: a control record
    transaction: Transaction | None


GONE = Entry(None, None)
"""What is freed."""


@dataclass(slots=True)
class Partition:
    """The log of a partition, and from where on it is kept."""

    entries: list[Entry] = field(default_factory=list)
    head: int = 0
