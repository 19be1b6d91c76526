"""A task that this process holds: what has arrived for it, and what is under way.

What waits stays here, on the engine's side, where a revoke drops it at once: batches that were
left in an agent's queue after rebalances starved the new ones for 100 s (measured).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from headrace.streams.protocol.task import Batch, Task
from headrace.streams.records import Record, TopicPartition

UNDER_WAY_MAX = 2
"""How many unfinished batches of a task the agents have at most."""

WAITING_MAX = 20_000
"""Of an input of which so many records wait, no more are fetched; at half of it they are again."""

PINNED_MAX = 200_000
"""While so many changed states of a task wait to be written, no further batch is handed out."""


FIRST_RECORDS = 64
"""How many records the first batch of a task has; while that goes well each next one has more."""

EMITS_MAX = 20_000
"""Of a task whose batches emit more, the next ones are smaller.

A batch is committed in one transaction. Where event time runs fast, as in a backlog, 500 counts
led MONITOR to 120,000 metrics, which took longer than a transaction may (measured): the process
ended, was restarted, and came to the same batch again.
"""


class Notices(NamedTuple):
    """What a learner, or MONITOR, is told before a batch.

    Attributes
    ----------
    saved
        The offset of a checkpoint that is in the registry since the last batch.
    snapshot
        Whether the batch's end is to be dumped.
    quiet
        MONITOR's: whether its counts have stopped (:mod:`headrace.streams.engine.quiet`).
    """

    saved: int | None = None
    snapshot: bool = False
    quiet: bool = False


class Work:
    """One batch on its way through an agent and back.

    Attributes
    ----------
    batch
        What it amounts to; None until it is processed.
    error
        What processing raised: nothing that a record can be blamed for.
    done
        Whether the agent has finished with it.
    """

    __slots__ = ("batch", "done", "error", "holding", "notices", "records", "seconds")

    def __init__(self, holding: Holding, records: Sequence[Record], notices: Notices) -> None:
        self.holding = holding
        self.records = records
        self.notices = notices
        self.batch: Batch | None = None
        self.error: BaseException | None = None
        self.done = False
        self.seconds = 0.0


class Holding:
    """A task with its queue.

    Parameters
    ----------
    task
        The task, taken over.

    Attributes
    ----------
    gone
        Whether the task has been taken away: what agents still have of it is passed over.
    positions
        The next offset to be received, by input topic.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.gone = False
        self.positions = dict(task.position.offsets)
        self._waiting: dict[str, deque[Record]] = {topic: deque() for topic in task.spec.inputs}
        self._paused: set[str] = set()
        self._under_way: deque[Work] = deque()
        self._size = FIRST_RECORDS
        self._only: str | None = None

    @property
    def number(self) -> int:
        """The task's partition number."""
        return self.task.spec.id.partition

    @property
    def busy(self) -> bool:
        """Whether anything waits or is under way."""
        return bool(self._under_way) or any(self._waiting.values())

    @property
    def can_work(self) -> bool:
        """Whether anything is under way, or waits of an input that may be read."""
        waiting = self._waiting.values() if self._only is None else [self._waiting[self._only]]
        return bool(self._under_way) or any(waiting)

    @property
    def under_way(self) -> bool:
        """Whether an agent has a batch, or one is not yet committed."""
        return bool(self._under_way)

    @property
    def waiting(self) -> int:
        """How many records wait to be handed out."""
        return sum(map(len, self._waiting.values()))

    def progress(self) -> object:
        """Return what changes whenever the task moves: fetches, processes or commits."""
        return self.task.sequence, self.task.acked, tuple(self.positions.items())

    @property
    def held(self) -> bool:
        """Whether all that waits is of another input than the one to be read: work comes to it."""
        return self.busy and not self.can_work

    @property
    def waits_for(self) -> str:
        """What a task that has work and does not move waits for, in words."""
        unfinished = [work for work in self._under_way if not work.done]
        if unfinished:
            return f"its agent, which has {sum(len(work.records) for work in unfinished)} records"
        if self._under_way or self.task.cache.pinned() >= PINNED_MAX:
            return "a commit"
        if self.held:
            return f"records of {self._only}: that input is behind, and too much of the other waits"
        return "its records to be handed out"

    def fetch_positions(self) -> dict[TopicPartition, int]:
        """Return from where on each input is to be fetched."""
        return {(topic, self.number): at for topic, at in self.positions.items()}

    def receive(self, topic: str, records: Sequence[Record]) -> None:
        """Take records that arrived; such as came before are passed over."""
        at = self.positions[topic]
        if records[0].offset < at:
            records = [record for record in records if record.offset >= at]
            if not records:
                return
        self.positions[topic] = records[-1].offset + 1
        self._waiting[topic].extend(records)

    def to_pause(self) -> list[TopicPartition]:
        """Return inputs of which too many records wait by now."""
        full = [
            topic
            for topic, waiting in self._waiting.items()
            if len(waiting) >= WAITING_MAX and topic not in self._paused
        ]
        self._paused.update(full)
        return [(topic, self.number) for topic in full]

    def to_resume(self) -> list[TopicPartition]:
        """Return paused inputs of which few enough records wait by now."""
        free = [topic for topic in self._paused if len(self._waiting[topic]) <= WAITING_MAX // 2]
        self._paused.difference_update(free)
        return [(topic, self.number) for topic in sorted(free)]

    def paused(self) -> Iterable[TopicPartition]:
        """Return the inputs that are paused."""
        return [(topic, self.number) for topic in sorted(self._paused)]

    def hand_out(self, limit: int, only: str | None, notices: Notices | None) -> Work | None:
        """Return the next batch for an agent, None if there is none or it has enough.

        Parameters
        ----------
        limit
            How many records it may have; fewer, if few emit much.
        only
            The one input to be read, if the other must wait.
        notices
            What to tell the stage; a batch without records is made for them alone.
        """
        self._only = only
        unfinished = sum([not work.done for work in self._under_way])
        if unfinished >= UNDER_WAY_MAX or self.task.cache.pinned() >= PINNED_MAX:
            return None
        records: list[Record] = []
        limit = min(limit, self._size)
        for topic, waiting in self._waiting.items():
            if only is None or topic == only:
                while waiting and len(records) < limit:
                    records.append(waiting.popleft())
        if not records and notices is None:
            return None
        work = Work(self, records, notices or Notices())
        self._under_way.append(work)
        return work

    def finished(self) -> list[Work]:
        """Take out the batches that are finished, in order, up to the first that is not.

        Raises
        ------
        BaseException
            What processing one of them raised.
        """
        found = []
        while self._under_way and self._under_way[0].done:
            work = self._under_way.popleft()
            if work.error is not None:
                raise work.error
            if work.batch is None:  # the task was lost in it: nothing behind it counts
                self._under_way.clear()
                break
            self._fit(len(work.records), len(work.batch.effects.emits))
            found.append(work)
        return found

    def _fit(self, records: int, emits: int) -> None:
        """Let the next batches be such that they emit no more than is good."""
        if emits > EMITS_MAX:
            self._size = max(1, records * EMITS_MAX // emits)
        else:
            self._size = max(self._size, 2 * records)

    def drop(self) -> None:
        """Forget all of it: the task is somebody else's now."""
        self.gone = True
        self._under_way.clear()
        for waiting in self._waiting.values():
            waiting.clear()
