"""What must hold in every world, by name: the promises of the design, as assertions.

Some are looked at while a world runs (:class:`Watch`), the others at its end, beside the fold
(:mod:`headrace.streams.simulation.check`).
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from headrace.streams.records import TopicPartition

if TYPE_CHECKING:
    from headrace.streams.protocol.ports import TaskId
    from headrace.streams.simulation.worker import Owned, Worker
    from headrace.streams.simulation.world import World


class Invariant(StrEnum):
    """An invariant's name: what is so in each world."""

    LOG_FIRST = "no state is ahead of the committed offsets"
    FORWARD = "committed offsets never go back"
    COVERED = "no checkpoint is ahead of the committed offset"
    REFUSALS = "only what was lost is refused"
    REST = "it comes to rest after the last fault"
    CODE = "what the code asserts holds"
    EVENTS = "each event has one prediction or dead letter"
    EXAMPLES = "each example has a label that was given for its event in time, once"
    OUTPUTS = "what was emitted is what the fold emits, each record once"
    COUNTS = "counts are the fold's"
    STATES = "states are the fold's"
    SERVED = "each prediction names a model that was announced"
    MODELS = "announced models are the fold's"
    REFERENCES = "a checkpoint that is announced is there"
    CHAIN = "checkpoints are one chain"
    CHECKPOINTS = "checkpoints are the fold's"


ZOMBIES = ("before the claim", "after the claim", "after the restore", "after the first commit")
"""How far a task's new owner may be when its old one wakes."""


class Watch:
    """Looks at a world after each step of a process.

    Parameters
    ----------
    world
        The world.

    Attributes
    ----------
    zombies
        How far the new owners were, each time that a process woke whose tasks had moved.
    """

    def __init__(self, world: World) -> None:
        self.zombies: Counter[str] = Counter()
        self._world = world
        self._newest: dict[tuple[str, TopicPartition], int] = {}

    def look(self, role: str) -> None:
        """Look at what a role's tasks have committed and written."""
        world = self._world
        if world.lost:
            return
        for decl in world.flow.roles[role]:
            for number in range(decl.tasks):
                offsets = {t: self._committed(role, (t, number)) for t in decl.inputs}
                if decl.stored:
                    self._look_at_state(world.task_id(decl, number), offsets)

    def _committed(self, role: str, tp: TopicPartition) -> int:
        decided = self._world.broker.decided(role, tp)
        offset, before = -1 if decided is None else decided.offset, self._newest.get((role, tp), -1)
        if offset < before:
            self._world.violation(Invariant.FORWARD, f"{tp} from {before} to {offset}")
        self._newest[role, tp] = offset
        return offset

    def _look_at_state(self, task: TaskId, offsets: dict[str, int]) -> None:
        cut, _ = self._world.store.peek(task)
        for topic, offset in () if cut is None else cut.offsets:
            if offset > offsets[topic]:
                said = f"{task}: at {offset} of {topic}, committed is {offsets[topic]}"
                self._world.violation(Invariant.LOG_FIRST, said)

    def wakes(self, worker: Worker) -> None:
        """See whether a process that has stood still is a zombie now."""
        for owned in worker.owned.values():
            if owned.decl.stored:
                moved = self._moved(worker, owned)
                if moved is not None:
                    self.zombies[moved] += 1

    def _moved(self, worker: Worker, owned: Owned) -> str | None:
        """Return how far a task's new owner is, None if it has none."""
        world, task = self._world, owned.task
        key = task.spec.id
        if world.store.owner(key) == task.token:
            group = world.broker.groups[worker.role]
            return None if group.generation == worker.log.generation else ZOMBIES[0]
        if not any(key in other.owned for other in world.workers if other is not worker):
            return ZOMBIES[1]
        for topic, known in task.acked.offsets:
            decided = world.broker.decided(worker.role, (topic, key.partition))
            if decided is not None and decided.offset > known:
                return ZOMBIES[3]
        return ZOMBIES[2]
