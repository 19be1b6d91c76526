"""What a world runs: topics, stages by role, what is published, and what must come out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

from headrace.streams.flow import StageDecl
from headrace.streams.protocol.stage import Stage
from headrace.streams.protocol.task import Task
from headrace.streams.records import Headers, Record, TopicPartition
from headrace.streams.simulation.invariants import Invariant
from headrace.streams.topics import TopicSpec


class Publication(NamedTuple):
    """A record as a publisher writes it."""

    tp: TopicPartition
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Headers = ()


class Served(NamedTuple):
    """A model, as an announcement or a checkpoint gives it, with how far it has learned."""

    learned_to: int
    model: Any


CheckpointAt = Callable[[int], bytes | None]
"""Returns the state of the checkpoint at an offset."""

Read = Callable[[TopicPartition], Sequence[Record]]
"""Returns all committed records of a partition."""


class Workload(Protocol):
    """What the processes of a world run: a pipeline, or several in the same ones.

    Attributes
    ----------
    roles
        The stages that each kind of process runs.
    """

    name: str
    topics: Sequence[TopicSpec]
    roles: Mapping[str, Sequence[StageDecl]]

    @property
    def parts(self) -> Sequence[Flow]:
        """The pipelines."""

    def part(self, decl: StageDecl) -> Flow:
        """Return the pipeline that a stage is of."""

    def published(self, rng: Random, events: int) -> list[Publication]:
        """Return what publishers write, in their order."""


class Flow(Workload, Protocol):
    """A pipeline, as far as worlds need to know it.

    Attributes
    ----------
    models
        Where models are announced.
    predictions, counts
        The topics of these records.
    unfolded
        Topics that are not compared record by record: inputs, and whatever depends on where batches
        end.
    """

    models: TopicPartition
    predictions: str
    counts: str
    unfolded: Sequence[str]

    @property
    def parts(self) -> Sequence[Flow]:
        """Itself."""
        return (self,)

    def part(self, decl: StageDecl) -> Flow:
        """Return itself."""
        return self

    def stage(self, name: str, partition: int) -> Stage:
        """Return a fresh stage."""

    def fresh(self) -> Served:
        """Return what a scorer works with before any announcement."""

    def context_model(self, served: Served) -> Any:
        """Return what SCORE is told of the model that is served."""

    def remind(self, task: Task, rng: Random) -> bool:
        """Tell a stage what an engine tells it; say whether an empty batch would do something."""

    def announced(self, record: Record, checkpoint_at: CheckpointAt) -> Served | None:
        """Return the model that an announcement carries or refers to, if it does."""

    def learned_from(self, state: bytes) -> Any:
        """Return the model of a checkpoint."""

    def comparable(self, model: Any) -> str:
        """Return a model in a form that compares by equality."""

    def origin(self, record: Record) -> tuple[TopicPartition, int, int] | None:
        """Return a prediction's source, its offset, and what its model had learned up to."""

    def counted(self, value: bytes | None) -> Mapping[Any, int]:
        """Return the cells of a count record."""

    def oracle(self, read: Read) -> Iterator[tuple[Invariant, str]]:
        """Go through what is wrong by a rule that is independent of the stages."""
