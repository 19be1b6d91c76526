"""What a worker is made of, and what it asks of its store besides the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

import structlog

from headrace.schemas.errors import ServiceError
from headrace.streams.engine.checkpoints import Cadence
from headrace.streams.engine.guard import Guard
from headrace.streams.engine.log import KafkaLog
from headrace.streams.engine.models import Follower
from headrace.streams.engine.quiet import Quiet
from headrace.streams.protocol.ports import Lost, Registry, Store
from headrace.streams.protocol.task import Task

_ASK_AGAIN_S = 1.0

_log = structlog.get_logger("headrace.engine")


class Board(Store, Protocol):
    """The store, with the board on which each worker says how it stands."""

    def check(self) -> None:
        """Raise unless the store answers and keeps what it is given."""

    def put_worker(self, pipeline: str, worker: str, state: str) -> None:
        """Write what a worker says of itself."""

    def drop_worker(self, pipeline: str, worker: str) -> None:
        """Take a worker off the board."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of.

    Attributes
    ----------
    cadence
        LEARN: when checkpoints are due. MONITOR's role: when counts have stopped. Else None.
    follower
        SCORE: the model that is served; None in other roles.
    folder
        Where Faust may keep files.
    """

    log: KafkaLog
    store: Board
    registry: Registry
    guard: Guard
    folder: Path
    follower: Follower | None = None
    cadence: Cadence | Quiet | None = None


def store_answers(store: Board, stopping: Event) -> bool:
    """Return whether the store answers; if not, say why, and let a moment pass."""
    try:
        store.check()
    except ServiceError as error:
        _log.warning("waiting for Redis", reason=str(error))
        stopping.wait(_ASK_AGAIN_S)
        return False
    return True


def is_ours(task: Task, store: Store) -> bool:
    """Return whether the store still holds a task's state as we left it, and for us."""
    try:
        cut, _ = store.read(task.spec.id, task.token, ())
    except Lost:
        return False
    return cut == task.acked
