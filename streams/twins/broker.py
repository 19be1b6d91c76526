"""Kafka in memory: partitions, transactions, committed offsets; as far as exactly-once needs it.

What it models, since each of these has broken an earlier form of the protocol:

- the end of a transaction writes a control record into each of its partitions: offsets have gaps,
  and "lag 0" is never reached by counting;
- readers at ``read_committed`` see up to the last stable offset: an open transaction holds back
  everything behind its first record;
- offsets in an open transaction are *pending*: a plain fetch answers the old ones, a stable fetch
  says :class:`Unstable`;
- a transaction is decided before its control records are written, and each partition gets its own
  when it may: until then records of a committed transaction are not seen, its offsets are pending;
- generation and member are checked when offsets are sent, never when the transaction ends: a
  zombie whose offsets were accepted can still commit;
- a transactional id has an epoch; its next owner ends what the one before left open;
- a broker that comes back may have forgotten which control records it had to write: what they would
  have ended is decided by the next one of the same producer (see ``engine.forgotten``);
- a transaction that is open for too long is aborted, and its producer may go no further;
- a topic that is created anew under its name takes nothing along: no record, no offset, no marker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from headrace.schemas.errors import Refused
from headrace.streams.protocol.ports import Committed, Dead, Fenced, Unstable
from headrace.streams.records import Emit, Headers, Record, TopicPartition
from headrace.streams.twins.group import Group
from headrace.streams.twins.transactions import (
    GONE,
    Entry,
    Partition,
    Producer,
    State,
    Transaction,
)


class _Topic(NamedTuple):
    id: str
    partitions: tuple[Partition, ...]
    append_time: bool


class Broker:
    """The cluster. Its clock is moved from outside, by :meth:`advance`.

    Parameters
    ----------
    transaction_timeout_ms
        For how long a transaction may be open.
    session_timeout_ms
        For how long a member of a group may be silent.
    marker_delay_ms
        Says, for each control record anew, how long after the decision it is written.
    """

    def __init__(
        self,
        *,
        transaction_timeout_ms: int = 60_000,
        session_timeout_ms: int = 45_000,
        marker_delay_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self.now_ms = 0
        self.groups: dict[str, Group] = {}
        self._transaction_timeout_ms = transaction_timeout_ms
        self._session_timeout_ms = session_timeout_ms
        self._marker_delay_ms = marker_delay_ms
        self._topics: dict[str, _Topic] = {}
        self._topics_made = 0
        self._producers: dict[str, Producer] = {}
        self._unmarked: dict[Transaction, None] = {}
        self._offsets: dict[tuple[str, TopicPartition], Committed] = {}

    # topics

    def create(self, topic: str, partitions: int, *, append_time: bool = False) -> None:
        """Create a topic, or create it anew under its name: empty, with another id.

        Parameters
        ----------
        append_time
            Whether records carry the broker's time rather than their producer's.
        """
        self._topics_made += 1
        for offsets in (self._offsets, *(each.offsets for each in self._unmarked)):
            for group, tp in [at for at in offsets if at[1][0] == topic]:
                del offsets[group, tp]
        for transaction in self._unmarked:
            for tp in [tp for tp in transaction.first if tp[0] == topic]:
                del transaction.first[tp]
        parts = tuple(Partition() for _ in range(partitions))
        self._topics[topic] = _Topic(f"id-{self._topics_made}", parts, append_time)

    def topic_id(self, topic: str) -> str:
        """Return a topic's id."""
        return self._topics[topic].id

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len(self._topics[topic].partitions)

    def partitions(self) -> list[TopicPartition]:
        """Return all partitions of all topics."""
        return [(name, p) for name, t in self._topics.items() for p in range(len(t.partitions))]

    def cut_head(self, tp: TopicPartition, offset: int, *, forget: bool = False) -> None:
        """Drop the records before an offset, as retention does; checkers still see them.

        Parameters
        ----------
        forget
            Whether to free their memory too: then nobody sees them again.
        """
        partition = self._partition(tp)
        old, partition.head = (
            partition.head,
            max(partition.head, min(offset, len(partition.entries))),
        )
        if forget:
            partition.entries[old : partition.head] = [GONE] * (partition.head - old)

    # time

    def advance(self, now_ms: int) -> None:
        """Move the clock: mark what is due, abort what is open for too long, expire the silent."""
        self.now_ms = now_ms
        if self._unmarked:
            for producer in self._producers.values():
                self._abort_overdue(producer)
            for transaction in list(self._unmarked):
                self._mark(transaction)
        for group in self.groups.values():
            group.expire(now_ms, self._session_timeout_ms)

    def restart(self, forgets: Callable[[str], bool]) -> list[str]:
        """Come back after a kill, having forgotten control records that were to be written.

        ``forgets`` says it for each of them, by its transactional id. Returns :meth:`unended`.
        """
        for name, producer in self._producers.items():
            self._abort_overdue(producer)
            decided = producer.decided
            lost = [place for place in decided.due_ms if forgets(name)] if decided else []
            if decided and lost:
                producer.forgotten.append(decided)
                for place in lost:
                    del decided.due_ms[place]
        return self.unended()

    def unended(self) -> list[str]:
        """Return the transactional ids with a transaction that has not been ended everywhere."""
        return [name for name, producer in self._producers.items() if producer.forgotten]

    # writing

    def append(
        self,
        tp: TopicPartition,
        key: bytes | None,
        value: bytes | None,
        *,
        headers: Headers = (),
        timestamp_ms: int | None = None,
    ) -> int:
        """Write one record outside of any transaction, as publishers do; return its offset."""
        return self._write(tp, key, value, headers, timestamp_ms, None)

    def init_producer(self, transactional_id: str) -> int:
        """Take a transactional id: abort what its last owner left open, and fence that owner."""
        producer = self._producers.setdefault(transactional_id, Producer())
        if producer.open is not None:
            self._decide(producer, State.ABORTED)
        self._await_markers(producer)
        producer.epoch += 1
        return producer.epoch

    def end_forgotten(self, transactional_id: str, tps: Sequence[TopicPartition]) -> None:
        """Take a transactional id, and write everywhere what its last transaction decided."""
        producer = self._producers.get(transactional_id)
        if producer is not None:
            state = State.ABORTED if producer.open is not None else producer.last
            epoch = self.init_producer(transactional_id)
            transaction = self._transaction(transactional_id, epoch)
            for tp in tps:
                transaction.first[tp] = len(self._partition(tp).entries)
            self._decide(producer, state)
            self._await_markers(producer)

    def produce(self, transactional_id: str, epoch: int, emits: Sequence[Emit]) -> None:
        """Write records in the producer's transaction, opening it if none is open."""
        transaction = self._transaction(transactional_id, epoch)
        for emit in emits:
            tp = (emit.topic, emit.partition)
            offset = self._write(tp, emit.key, emit.value, emit.headers, None, transaction)
            transaction.first.setdefault(tp, offset)

    def send_offsets(
        self,
        transactional_id: str,
        epoch: int,
        group: str,
        offsets: Mapping[TopicPartition, Committed],
    ) -> None:
        """Add consumed offsets to the producer's transaction; the caller checks membership."""
        transaction = self._transaction(transactional_id, epoch)
        for tp, committed in offsets.items():
            transaction.offsets[group, tp] = committed

    def end(self, transactional_id: str, epoch: int) -> None:
        """Commit the producer's transaction. Only the epoch is checked: generations are not."""
        producer = self._producer(transactional_id, epoch)
        if producer.open is not None:
            self._decide(producer, State.COMMITTED)

    # reading

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Return the first offset that is kept, and the last stable offset."""
        partition = self._partition(tp)
        firsts = [t.first[tp] for t in self._unmarked if tp in t.first]
        return partition.head, min(firsts, default=len(partition.entries))

    def fetch(
        self, tp: TopicPartition, start: int, *, stop: int | None = None, limit: int | None = None
    ) -> tuple[list[Record], int]:
        """Return committed records from ``start`` on, and the position behind them.

        Parameters
        ----------
        stop
            Read only what lies before this offset.
        limit
            Return at most this many records.

        Raises
        ------
        Refused
            Retention has cut the log behind ``start``.
        """
        partition = self._partition(tp)
        head, end = self.bounds(tp)
        if start < head:
            raise Refused(
                f"{tp[0]}-{tp[1]}: offset {start} is out of range, the log begins at {head}.",
                "Rebuild the state, accepting the loss.",
            )
        end = end if stop is None else min(end, stop)
        found: list[Record] = []
        for offset in range(start, end):
            if len(found) == limit:
                return found, offset
            record, transaction = partition.entries[offset]
            if record is not None and (transaction is None or transaction.state is State.COMMITTED):
                found.append(record)
        return found, max(start, end)

    def history(self, tp: TopicPartition) -> list[Record]:
        """Return all records ever committed, those too that retention has cut: for checkers."""
        partition = self._partition(tp)
        head, partition.head = partition.head, 0
        records, _ = self.fetch(tp, 0)
        partition.head = head
        return records

    # offsets

    def committed(
        self, group: str, tps: Sequence[TopicPartition], *, stable: bool = True
    ) -> dict[TopicPartition, Committed | None]:
        """Return a group's committed offsets.

        Raises
        ------
        Unstable
            A transaction without all its control records holds newer ones (unless ``stable`` is
            false).
        """
        if stable:
            for transaction in self._unmarked:
                pending = [tp for tp in tps if (group, tp) in transaction.offsets]
                if pending:
                    raise Unstable(f"{group}: offsets of {pending} are pending")
        return {tp: self._offsets.get((group, tp)) for tp in tps}

    def expire_offsets(self, group: str, tps: Sequence[TopicPartition]) -> None:
        """Forget committed offsets, as brokers do when a group is idle for long."""
        for tp in tps:
            self._offsets.pop((group, tp), None)

    def decided(self, group: str, tp: TopicPartition) -> Committed | None:
        """Return a committed offset, whether its control record is written or not: for checkers."""
        found = self._offsets.get((group, tp))
        for transaction in self._unmarked:
            if transaction.state is State.COMMITTED:
                found = transaction.offsets.get((group, tp), found)
        return found

    def busy(self) -> bool:
        """Return whether any transaction is open, or has still to be marked."""
        return bool(self._unmarked)

    def _partition(self, tp: TopicPartition) -> Partition:
        return self._topics[tp[0]].partitions[tp[1]]

    def _abort_overdue(self, producer: Producer) -> None:
        transaction = producer.open
        if transaction and self.now_ms - transaction.started_ms > self._transaction_timeout_ms:
            self._decide(producer, State.ABORTED)
            producer.overdue = producer.epoch
            producer.epoch += 1

    def _producer(self, transactional_id: str, epoch: int) -> Producer:
        producer = self._producers[transactional_id]
        if producer.overdue == epoch:
            raise Dead(f"{transactional_id}: its transaction was open for too long")
        if producer.epoch != epoch:
            raise Fenced(f"{transactional_id}: epoch {epoch} has ended, it is {producer.epoch}")
        return producer

    def _transaction(self, transactional_id: str, epoch: int) -> Transaction:
        producer = self._producer(transactional_id, epoch)
        if producer.open is None:
            self._await_markers(producer)
            producer.open = Transaction(producer, self.now_ms)
            self._unmarked[producer.open] = None
        return producer.open

    def _decide(self, producer: Producer, state: State) -> None:
        transaction, producer.open = producer.open, None
        assert transaction is not None
        transaction.state = producer.last = state
        producer.decided = transaction
        for place in (*transaction.first, None):
            transaction.due_ms[place] = self.now_ms + self._marker_delay_ms()
        self._mark(transaction)

    def _await_markers(self, producer: Producer) -> None:
        """Write what is due of the last transaction: the next one's first call waits for it."""
        if producer.decided is not None:
            self._mark(producer.decided, all_of_them=True)
            producer.decided = None

    def _mark(self, transaction: Transaction, *, all_of_them: bool = False) -> None:
        for place, due_ms in list(transaction.due_ms.items()):
            if due_ms > self.now_ms and not all_of_them:
                continue
            del transaction.due_ms[place]
            for each in (*transaction.by.forgotten, transaction):
                self._end_at(each, place, transaction)
            if place is not None and transaction.first.pop(place, None) is not None:
                self._partition(place).entries.append(Entry(None, transaction))
        self._forget_ended(transaction)

    def _end_at(self, each: Transaction, place: TopicPartition | None, marked: Transaction) -> None:
        """Let a control record end a transaction in its place: its own, or a forgotten one."""
        if place is None:
            if marked.state is State.COMMITTED:
                self._offsets.update(each.offsets)
            each.offsets = {}  # its records keep it, for long: be small
        elif each is not marked and place in each.first:
            entries = self._partition(place).entries
            for offset in range(each.first.pop(place), len(entries)):
                if entries[offset].transaction is each:
                    entries[offset] = entries[offset]._replace(transaction=marked)

    def _forget_ended(self, transaction: Transaction) -> None:
        """Keep no longer what has ended everywhere."""
        forgotten = transaction.by.forgotten
        for each in (*forgotten, transaction):
            if each.state is not State.OPEN and not (each.due_ms or each.first or each.offsets):
                self._unmarked.pop(each, None)
                if each in forgotten:
                    forgotten.remove(each)

    def _write(
        self,
        tp: TopicPartition,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        timestamp_ms: int | None,
        transaction: Transaction | None,
    ) -> int:
        topic = self._topics[tp[0]]
        entries = topic.partitions[tp[1]].entries
        offset = len(entries)
        stamp = self.now_ms if timestamp_ms is None or topic.append_time else timestamp_ms
        record = Record(tp[0], tp[1], offset, stamp, key, value, headers)
        entries.append(Entry(record, transaction))
        return offset
