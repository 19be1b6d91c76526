"""What a worker process is to run: a role of a pipeline, as data and stage makers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from headrace.registry.kept import TaskId
from headrace.schemas.errors import Refused
from headrace.streams.protocol.stage import Stage
from headrace.streams.protocol.task import Spec
from headrace.streams.records import TopicPartition


@dataclass(frozen=True, slots=True)
class StageSpec:
    """A stage of a role.

    Attributes
    ----------
    inputs
        Its input topics; a task reads the same partition number of each.
    tasks
        How many tasks there are: the partition count of the inputs.
    stored
        Whether its state lives in the store (LEARN's lives in checkpoints).
    make
        Makes the stage of one task, by its partition number.
    snapshot_records
        After so many records its state is kept in the registry too; 0: never.
    cache_max
        How many entries its cache keeps at most; None: as many as the role's.
    """

    name: str
    inputs: tuple[str, ...]
    tasks: int
    stored: bool
    make: Callable[[int], Stage]
    snapshot_records: int = 0
    cache_max: int | None = None


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """A role: one kind of process, one consumer group.

    Attributes
    ----------
    name
        score, join or learn.
    commit_s
        Least pause between two commits.
    outputs
        All topics that its transactions may write to.
    cache_limit
        How many entries a task's cache keeps.
    """

    pipeline: str
    version: int
    name: str
    stages: tuple[StageSpec, ...]
    commit_s: float
    outputs: tuple[str, ...] = ()
    start_at_end: bool = False
    cache_limit: int = 100_000

    @property
    def group(self) -> str:
        """The consumer group of the role."""
        return group_of(self.pipeline, self.name)

    @property
    def topics(self) -> tuple[str, ...]:
        """Everything that the group subscribes to."""
        return tuple(topic for stage in self.stages for topic in stage.inputs)

    def stage(self, name: str) -> StageSpec:
        """Return a stage by its name."""
        return next(stage for stage in self.stages if stage.name == name)

    def spec(self, stage: StageSpec, number: int) -> Spec:
        """Return a task of a stage."""
        key = TaskId(self.pipeline, self.version, stage.name, number)
        limit = min(self.cache_limit, stage.cache_max or self.cache_limit)
        return Spec(key, stage.inputs, stage.stored, limit, stage.snapshot_records)

    def tasks_of(self, assigned: Collection[TopicPartition]) -> Sequence[Spec]:
        """Return the tasks whose inputs a worker has been given, in order.

        Raises
        ------
        Refused
            A task is split over workers: its inputs differ in partition counts, or the group has
            a member with another assignor.
        """
        found = []
        for stage in self.stages:
            for number in sorted({number for topic, number in assigned if topic in stage.inputs}):
                missing = [t for t in stage.inputs if (t, number) not in assigned]
                if missing:
                    raise Refused(
                        f"{self.group}: partition {number} of {', '.join(stage.inputs)} is split"
                        f" over workers: {', '.join(missing)} is elsewhere.",
                        "These topics must have equal partition counts (`headrace topics` says what"
                        " differs), and all members of the group must be Headrace's.",
                    )
                found.append(self.spec(stage, number))
        return found


def group_of(pipeline: str, role: str) -> str:
    """Return the name of a role's consumer group.

    Examples
    --------
    >>> group_of("flights", "score")
    'headrace.flights.score'
    """
    return f"headrace.{pipeline}.{role}"
