"""The plainest way to run a flow: each stage over its whole log, one record after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from headrace.streams.flow import StageDecl
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.ports import Cut, TaskId
from headrace.streams.protocol.stage import Context, Effects, Learner, Stage
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.task import Spec, Task, apply_records
from headrace.streams.records import Emit, Record, TopicPartition
from headrace.streams.simulation.flow import Flow, Served

if TYPE_CHECKING:
    from headrace.streams.simulation.world import World


class Fold:
    """What a world must have come to.

    Attributes
    ----------
    emitted
        What each stage emits.
    states
        What each task that has a state in the store remembers.
    named
        How far the models that predictions name had learned.
    """

    def __init__(self, world: World, flow: Flow) -> None:
        self.world = world
        self.flow = flow
        self.emitted: dict[str, list[Emit]] = {}
        self.states: dict[TaskId, dict[str, Any]] = {}
        self.named: set[int] = set()
        self._models: dict[int, Any] = {}
        self._contexts: dict[int, Context] = {}

    def read(self, tp: TopicPartition) -> Sequence[Record]:
        """Return all committed records of a partition, those too that retention has cut."""
        return self.world.broker.history(tp)

    def run(self) -> None:
        """Run all stages over what the world has in its logs."""
        found = self.world.tasks()
        tasks = [(decl, key) for _, decl, key in found if key.pipeline == self.flow.name]
        origins = dict(self._origins())
        self.named = set(origins.values())
        named = self.named | self._announced()
        for decl, key in tasks:
            if not decl.stored:
                self._learn(decl, key, named)
        for decl, key in tasks:
            if decl.stored:
                self._stored(decl, key, origins)

    def model_at(self, offset: int) -> Any:
        """Return the model that has learned the examples before an offset."""
        return self._models[offset]

    def _origins(self) -> Iterator[tuple[tuple[TopicPartition, int], int]]:
        """Go through where predictions come from, and how far the model has learned they name."""
        count = self.world.broker.partition_count(self.flow.predictions)
        for number in range(count):
            for record in self.read((self.flow.predictions, number)):
                origin = self.flow.origin(record)
                if origin is not None:
                    tp, offset, learned_to = origin
                    yield (tp, offset), learned_to

    def _announced(self) -> set[int]:
        registry, flow = self.world.registry, self.flow
        read = registry.reader_of_all(flow.name)
        said = (flow.announced(record, read) for record in self.read(flow.models))
        checkpoints = (checkpoint.offset for _, checkpoint in registry.chain(flow.name))
        return {each.learned_to for each in said if each is not None}.union(checkpoints)

    def _learn(self, decl: StageDecl, key: TaskId, named: set[int]) -> None:
        """Learn all examples; keep the models that anything names."""
        stage: Learner = self.flow.stage(decl.name, key.partition)  # type: ignore[assignment]
        stage.reset(None)
        self._models = {0: self.flow.fresh().model}
        task = self._task(decl, key, stage)
        emits = self.emitted.setdefault(decl.name, [])
        ahead = sorted(named - {0}, reverse=True)
        for record in self.read((decl.inputs[0], key.partition)):
            while ahead and ahead[-1] <= record.offset:
                self._models[ahead.pop()] = self.flow.learned_from(stage.dump())
            emits.extend(self._apply(task, record, Context()).emits)
        for offset in ahead:
            self._models[offset] = self.flow.learned_from(stage.dump())

    def _stored(
        self, decl: StageDecl, key: TaskId, origins: dict[tuple[TopicPartition, int], int]
    ) -> None:
        stage = self.flow.stage(decl.name, key.partition)
        task = self._task(decl, key, stage)
        stage.load(task.cache)
        emits = self.emitted.setdefault(decl.name, [])
        drive(apply_records(task, (), self.world.store, self._context(0)))  # as each restore does
        for topic in decl.inputs:
            tp = (topic, key.partition)
            for record in self.read(tp):
                context = self._context(origins.get((tp, record.offset), 0))
                emits.extend(self._apply(task, record, context).emits)
        self.states[key] = dict(task.cache.items())

    def _context(self, learned_to: int) -> Context:
        """Return what a prediction was told of its model; whether it was that is then seen."""
        if learned_to not in self._contexts:
            served = Served(learned_to, self.model_at(learned_to))
            self._contexts[learned_to] = Context(model=self.flow.context_model(served))
        return self._contexts[learned_to]

    def _task(self, decl: StageDecl, key: TaskId, stage: Stage) -> Task:
        cut = Cut(tuple((topic, 0) for topic in decl.inputs))
        spec = Spec(key, decl.inputs, decl.stored)
        return Task(spec, stage, "", cut, cut, cut, Cache(0, whole=True))

    def _apply(self, task: Task, record: Record, context: Context) -> Effects:
        return drive(apply_records(task, [record], self.world.store, context))
