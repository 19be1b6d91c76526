"""Tasks that stand still: seen from outside, whatever the cause, and said for what they wait.

A task that moves is never looked at closely. One that has work and does not move waits for whoever
has the work. One that has none, although its log goes on, is not fetched: a client that has lost a
partition, or keeps it paused, says nothing of it. That there is something to be fetched is seen by
reading it, since the end of a log that is written in transactions lies behind control records.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from headrace.schemas.errors import HeadraceError
from headrace.streams.engine.holding import Holding
from headrace.streams.engine.waits import Waits
from headrace.streams.protocol.ports import Dead, ProtocolError, TaskId
from headrace.streams.records import Record, TopicPartition

_LOOK_S = 1.0
_UNMOVED_S = 4.0
"""A task that has moved within so long is not asked about."""

_ASKED_MAX = 4
"""So many partitions whose last seen end says nothing are asked about in one look: each costs the
Kafka thread some milliseconds."""


class Ends(Protocol):
    """What is asked of Kafka; the worker's log has it."""

    def lag(self, tp: TopicPartition, position: int) -> int | None:
        """Return how far a position is behind the end that was last seen, None if none was."""

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Return the first offset that is kept, and the last stable offset."""

    def read(self, tp: TopicPartition, start: int, stop: int) -> Iterable[Record]:
        """Return records of a range, some or all of them; empty if none is there."""


class Standstill:
    """Looks at the tasks of a process, in its Kafka thread.

    Parameters
    ----------
    log
        Asked for what is not fetched.
    waits
        Where waits are noted.
    clock
        Seconds that only rise.
    """

    def __init__(
        self, log: Ends, waits: Waits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._waits = waits
        self._clock = clock
        self._due_s = 0.0
        self._moved: dict[str, tuple[Any, float]] = {}
        self._empty_to: dict[TopicPartition, int] = {}
        self._asked: list[TopicPartition] = []

    def look(
        self, holdings: Mapping[TaskId, Holding], beside: Mapping[TopicPartition, int]
    ) -> None:
        """Look at all tasks, if it is time; note what each waits for.

        Parameters
        ----------
        beside
            What is fetched besides, by position: the announced models.
        """
        now = self._clock()
        if now < self._due_s:
            return
        self._due_s = now + _LOOK_S
        gone = self._moved.keys() - {*map(str, holdings), *map(_named, beside)}
        for who in gone:
            del self._moved[who]
            self._waits.end(who)
        idle: dict[TopicPartition, tuple[str, int]] = {}
        for key, holding in holdings.items():
            still = self._stands(str(key), holding.progress(), now)
            if still and holding.busy:
                self._waits.begin(str(key), holding.waits_for, limited=not holding.held)
            elif still:
                places = holding.fetch_positions().items()
                idle.update({tp: (str(key), at) for tp, at in places})
        for tp, at in beside.items():
            if self._stands(_named(tp), at, now):
                idle[tp] = (_named(tp), at)
        self._ask(idle)

    def _stands(self, who: str, progress: object, now: float) -> bool:
        """Return whether somebody has not moved for a while; else nothing is waited for."""
        before, since_s = self._moved.get(who, (None, now))
        if before != progress:
            self._moved[who] = progress, now
            self._waits.end(who)
            return False
        return now - since_s >= _UNMOVED_S

    def _ask(self, idle: Mapping[TopicPartition, tuple[str, int]]) -> None:
        """Look whether there is something that is not fetched."""
        told: dict[str, str] = {}
        try:
            for tp, end in self._suspects(idle):
                who, at = idle[tp]
                if any(True for _ in self._log.read(tp, at, end)):
                    told[who] = f"records of {tp[0]}-{tp[1]} from {at} on, which are not fetched"
                else:
                    self._empty_to[tp] = end
        except (Dead, ProtocolError, HeadraceError) as error:
            self._waits.begin("idle tasks", f"Kafka ({error})")
            return
        self._waits.end("idle tasks")
        for who in {who for who, _ in idle.values()}:
            if who in told:
                self._waits.begin(who, told[who], limited=True)

    def _suspects(
        self, idle: Mapping[TopicPartition, tuple[str, int]]
    ) -> list[tuple[TopicPartition, int]]:
        """Return partitions whose end lies behind what was fetched, and behind what is known."""
        found, unknown = [], []
        for tp, (_, at) in idle.items():
            lag = self._log.lag(tp, at)
            if lag and at + lag > self._empty_to.get(tp, -1):
                found.append((tp, at + lag))
            else:
                unknown.append(tp)
        self._asked = [tp for tp in self._asked if tp in unknown]
        new = [tp for tp in unknown if tp not in self._asked]
        chosen = (new or self._asked)[:_ASKED_MAX]
        self._asked = [tp for tp in self._asked if tp not in chosen] + chosen
        for tp in chosen:
            _, end = self._log.bounds(tp)
            if end > max(idle[tp][1], self._empty_to.get(tp, -1)):
                found.append((tp, end))
        return found


def _named(tp: TopicPartition) -> str:
    return f"{tp[0]}-{tp[1]}"
