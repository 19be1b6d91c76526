"""The four ports that the protocol stands on, and the errors by which they answer.

    ProtocolError
    ├── Lost          the store says: this task is not yours, or its cut is not the one you know
    ├── Unstable      committed offsets are pending in somebody's open transaction: ask again
    └── Dead          this process must end; its supervisor restarts it in its slot
        ├── Fenced          a newer process has taken the slot: do not restart
        └── UnknownOutcome  a commit may or may not have happened: committed offsets will tell

Whoever implements a port translates its client's errors into these, at one place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from headrace.registry.kept import Checkpoint, Snapshot, TaskId, Witness
from headrace.streams.records import Emit, Record, TopicPartition

__all__ = [
    "Checkpoint",
    "Committed",
    "Cut",
    "Dead",
    "Fenced",
    "Log",
    "Lost",
    "ProtocolError",
    "Registry",
    "Snapshot",
    "Store",
    "TaskId",
    "UnknownOutcome",
    "Unstable",
    "Witness",
]


class ProtocolError(Exception):
    """The root of what ports answer other than a value."""


class Lost(ProtocolError):
    """The task belongs to somebody else, or the store lost writes: drop all that is in flight."""


class Unstable(ProtocolError):
    """A transaction with offsets of these partitions is still open."""


class Dead(ProtocolError):
    """This process must end, hard; committed offsets decide at the restart."""


class Fenced(Dead):
    """A newer process holds this slot."""


class UnknownOutcome(Dead):
    """A transaction's end was asked for and no answer came."""


class Cut(NamedTuple):
    """How far a task's state has come: the next offset of each of its inputs.

    Attributes
    ----------
    offsets
        ``(topic, next offset)`` for each input topic, in the task's own order.
    meta
        What else the state depends on; travels as metadata of the committed offsets.
    """

    offsets: tuple[tuple[str, int], ...]
    meta: str = ""

    def next_of(self, topic: str) -> int:
        """Return the next offset of one input topic."""
        return dict(self.offsets)[topic]

    def moved(self, ends: Mapping[str, int], meta: str | None = None) -> Cut:
        """Return this cut with some inputs further on."""
        moved = tuple((topic, ends.get(topic, offset)) for topic, offset in self.offsets)
        return Cut(moved, self.meta if meta is None else meta)

    def encode(self) -> str:
        """Return the cut as one canonical line of JSON, comparable by equality."""
        return json.dumps([self.offsets, self.meta], separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Cut:
        """Read what :meth:`encode` wrote."""
        offsets, meta = json.loads(text)
        return cls(tuple((str(topic), int(offset)) for topic, offset in offsets), str(meta))


class Committed(NamedTuple):
    """A committed offset of the consumer group, with its metadata."""

    offset: int
    meta: str = ""


class Log(Protocol):
    """Kafka as one worker process sees it: a transactional producer and a group's offsets."""

    def topic_id(self, topic: str) -> str:
        """Return the broker's id of a topic."""

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has."""

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Return the first offset that is kept, and the end offset, at ``read_committed``."""

    def committed(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed | None]:
        """Return the group's *stable* committed offsets; raise :class:`Unstable` otherwise."""

    def wait(self, why: str) -> None:
        """Wait for a moment, since an answer cannot be true yet; log why."""

    def read(self, tp: TopicPartition, start: int, stop: int) -> Sequence[Record]:
        """Return records of ``start .. stop - 1`` at ``read_committed``, some or all of them.

        At least one record is returned unless none is left before ``stop``; a caller goes on
        behind the last one. Of a range without any record, an empty sequence.
        """

    def begin(self) -> None:
        """Begin a transaction."""

    def produce(self, emits: Sequence[Emit]) -> None:
        """Add records to the open transaction."""

    def send_offsets(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Add consumed offsets with the group's own metadata; an unfenced commit is refused."""

    def end(self) -> None:
        """Commit the open transaction; raise :class:`Dead` on any doubt."""


class Store(Protocol):
    """Task state beside its cut, fenced by an owner token. Redis in production."""

    def claim(self, task: TaskId, token: str) -> Cut | None:
        """Make ``token`` the task's owner, and return the cut of its state, None if it has none."""

    def read(
        self, task: TaskId, token: str, keys: Sequence[str]
    ) -> tuple[Cut | None, Mapping[str, bytes | None]]:
        """Return the cut and the states of some keys; raise :class:`Lost` on another token."""

    def read_all(self, task: TaskId, token: str) -> tuple[Cut | None, Mapping[str, bytes]]:
        """Return the cut and all states of a task; raise :class:`Lost` on another token."""

    def write(
        self,
        task: TaskId,
        token: str,
        expected: Cut | None,
        new: Cut,
        puts: Mapping[str, bytes | None],
    ) -> None:
        """Write states, deletions (None) and the new cut in one atomic step.

        A store that holds ``token`` and already ``new`` was asked twice: success. Another token,
        or another cut than ``expected``: :class:`Lost`, and nothing is written.
        """


class Registry(Protocol):
    """What SQL remembers for the protocol: witnesses, snapshots, and the chain of checkpoints."""

    def witness(self, task: TaskId) -> Witness | None:
        """Return what is remembered of a task, None if it was never started."""

    def put_witness(self, task: TaskId, witness: Witness) -> None:
        """Remember a task, or remember it again."""

    def newest_snapshot(self, task: TaskId, upto: int) -> Snapshot | None:
        """Return the newest snapshot whose offset is at most ``upto``."""

    def put_snapshot(self, task: TaskId, snapshot: Snapshot) -> None:
        """Keep a snapshot unless there is one at its offset, and of the task's only the newest."""

    def checkpoint_head(self, pipeline: str, version: int) -> int:
        """Return the offset of the newest checkpoint, 0 if there is none."""

    def newest_checkpoint(self, pipeline: str, version: int, upto: int) -> Checkpoint | None:
        """Return the newest checkpoint whose offset is at most ``upto``."""

    def insert_checkpoint(
        self, pipeline: str, version: int, previous: int, checkpoint: Checkpoint
    ) -> bool:
        """Append a checkpoint to the chain if ``previous`` is still its head; say whether."""
