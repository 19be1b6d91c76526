"""The registry in memory with SQL's ways to fail: it falls silent, or is read as it was."""

from __future__ import annotations

import sys

from headrace.registry.memory import MemoryRegistry, newest_of
from headrace.schemas.errors import ServiceError
from headrace.streams.protocol.ports import Checkpoint, Snapshot, TaskId, Witness


class UnreliableRegistry(MemoryRegistry):
    """The protocol's ``Registry``, of which all but the port is always there.

    Attributes
    ----------
    answers
        Whether it is there; else whoever asks hears a ``ServiceError``, and nothing is done.
    """

    answers: bool = True
    _heads: dict[tuple[str, int], int] | None = None
    _witnesses: dict[TaskId, Witness]
    _snapshots_then: dict[TaskId, tuple[Snapshot, ...]]

    def freeze(self) -> None:
        """Read as it is now from here on, as a replica does that does not follow; writes go on."""
        self._heads = {
            (pipeline, version): found.head
            for pipeline, model in self._models.items()
            for version, found in model.versions.items()
        }
        self._witnesses = dict(self._tasks)
        self._snapshots_then = dict(self._snapshots)

    def thaw(self) -> None:
        """Read as it is again."""
        self._heads = None

    def witness(self, task: TaskId) -> Witness | None:
        """Return what is remembered of a task, None if it was never started."""
        self._see_that_it_answers()
        return super().witness(task) if self._heads is None else self._witnesses.get(task)

    def put_witness(self, task: TaskId, witness: Witness) -> None:
        """Remember a task, or remember it again."""
        self._see_that_it_answers()
        super().put_witness(task, witness)

    def newest_snapshot(self, task: TaskId, upto: int) -> Snapshot | None:
        """Return the newest snapshot whose offset is at most ``upto``."""
        self._see_that_it_answers()
        if self._heads is None:
            return super().newest_snapshot(task, upto)
        return newest_of(self._snapshots_then.get(task, ()), upto)

    def put_snapshot(self, task: TaskId, snapshot: Snapshot) -> None:
        """Keep a snapshot unless there is one at its offset, and of the task's only the newest."""
        self._see_that_it_answers()
        super().put_snapshot(task, snapshot)

    def checkpoint_head(self, pipeline: str, version: int) -> int:
        """Return the offset of the newest checkpoint, 0 if there is none."""
        return min(super().checkpoint_head(pipeline, version), self._seen(pipeline, version))

    def newest_checkpoint(self, pipeline: str, version: int, upto: int) -> Checkpoint | None:
        """Return the newest checkpoint whose offset is at most ``upto``."""
        upto = min(upto, self._seen(pipeline, version))
        return super().newest_checkpoint(pipeline, version, upto)

    def insert_checkpoint(
        self, pipeline: str, version: int, previous: int, checkpoint: Checkpoint
    ) -> bool:
        """Append a checkpoint to the chain if ``previous`` is still its head; say whether."""
        self._see_that_it_answers()
        return super().insert_checkpoint(pipeline, version, previous, checkpoint)

    def checkpoint_state(self, pipeline: str, version: int, offset: int) -> bytes | None:
        """Return the state of the checkpoint at an offset, None if there is none."""
        if offset > self._seen(pipeline, version):
            return None
        return super().checkpoint_state(pipeline, version, offset)

    def _seen(self, pipeline: str, version: int) -> int:
        """Return up to which offset checkpoints are seen."""
        self._see_that_it_answers()
        return sys.maxsize if self._heads is None else self._heads.get((pipeline, version), 0)

    def _see_that_it_answers(self) -> None:
        if not self.answers:
            raise ServiceError("The registry in memory does not answer.")
