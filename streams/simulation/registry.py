"""The registry of a world: the one in memory, which also asserts what no registry could know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from headrace.registry.memory import MemoryRegistry
from headrace.streams.protocol.ports import Checkpoint, TaskId
from headrace.streams.simulation.invariants import Invariant
from headrace.streams.twins.registry import UnreliableRegistry

if TYPE_CHECKING:
    from headrace.streams.simulation.flow import CheckpointAt
    from headrace.streams.simulation.world import World

VERSION = 1
SNAPSHOT_RECORDS = 12
"""After so many records a state is kept, where states are kept."""

_BEGUN = datetime(2024, 5, 1, tzinfo=UTC)


class SimulatedRegistry(UnreliableRegistry):
    """A registry that no checkpoint may enter before what it covers is committed."""

    def __init__(self, world: World) -> None:
        flow = world.flow.parts[0]

        def digest_of(state: bytes) -> str:
            return flow.comparable(flow.learned_from(state))

        super().__init__(digest_of, clock=lambda: self.now)
        self._dropped: dict[tuple[str, int], bytes] = {}
        self.world = world
        for part in world.flow.parts:
            self.register_version(part.name, "", "", {})

    def reader(self, pipeline: str) -> CheckpointAt:
        """Return what reads the states of a pipeline's checkpoints."""
        return partial(self.checkpoint_state, pipeline, VERSION)

    def reader_of_all(self, pipeline: str) -> CheckpointAt:
        """Return what reads states that were dropped, too: for whoever checks the world."""

        def read(offset: int) -> bytes | None:
            state = self.checkpoint_state(pipeline, VERSION, offset)
            return self._dropped.get((pipeline, offset)) if state is None else state

        return read

    def chain(self, pipeline: str) -> list[tuple[int, Checkpoint]]:
        """Return all checkpoints, oldest first, each behind the offset of the one it builds on."""
        read, infos = self.reader_of_all(pipeline), self.checkpoints(pipeline, VERSION)
        return [(i.previous, Checkpoint(i.offset, read(i.offset) or b"")) for i in infos]

    def knows(self, task: TaskId) -> bool:
        """Return whether a task was ever started: for the world, whatever fails."""
        return task in self._tasks

    @property
    def now(self) -> datetime:
        """The world's time, in which a tick is a minute: states grow old while a world lasts."""
        return _BEGUN + timedelta(minutes=self.world.broker.now_ms)

    def drop_states(self, pipeline: str, version: int, offsets: Sequence[int]) -> int:
        """Drop the states of checkpoints, and keep a copy for whoever checks the world."""
        for offset in offsets:
            # Not its own: that one falls silent in an outage.
            state = MemoryRegistry.checkpoint_state(self, pipeline, version, offset)
            if state is not None:
                self._dropped[pipeline, offset] = state
        return super().drop_states(pipeline, version, offsets)

    def insert_checkpoint(
        self, pipeline: str, version: int, previous: int, checkpoint: Checkpoint
    ) -> bool:
        """Append a checkpoint to the chain if ``previous`` is still its head; say whether."""
        appended = super().insert_checkpoint(pipeline, version, previous, checkpoint)
        world = self.world
        learners = [d for d in world.flow.roles["learn"] if world.flow.part(d).name == pipeline]
        for topic in (decl.inputs[0] for decl in learners):
            known = world.broker.decided("learn", (topic, 0))
            behind = known is None or checkpoint.offset > known.offset
            if appended and behind and not world.lost:
                world.violation(Invariant.COVERED, f"{checkpoint.offset} of {topic}, {known}")
        return appended
