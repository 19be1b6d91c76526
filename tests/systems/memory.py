"""The real stages in one process, over logs in memory: no Kafka, no store, no clock."""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any, cast

from headrace.schemas.ids import Registered
from headrace.streams.engine.ids import codecs_for
from headrace.streams.flow import StageDecl, StageParts, make_stage, stage_decls
from headrace.streams.model import announced, fresh_served
from headrace.streams.partitioner import partition_of
from headrace.streams.plan import Plan
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.ports import Cut, TaskId
from headrace.streams.protocol.stage import Context
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.task import Spec, Task, process
from headrace.streams.records import BARRIER, Emit, Record
from headrace.streams.subjects import schemas_by_subject
from headrace.streams.topics import Partitions, topic_specs
from tests.oracle.logs import SCHEMAS_TOPIC, LogRecord, Logs, topic_names
from tests.systems import Message

NOW_MS = 1_800_000_000_000
BATCH = 500


class MemorySystem:
    """A pipeline's stages over logs in memory.

    Each transaction leaves a gap behind in the offsets that it wrote to, as commit markers do.

    Parameters
    ----------
    plan
        The pipeline.
    partitions
        How many partitions the topics have.
    seed
        Lets batches be of any size and come in any order, so that models lag; None processes
        everything as soon as it can be.
    """

    def __init__(self, plan: Plan, partitions: Partitions, seed: int | None = None) -> None:
        self.plan = plan
        self._partitions = partitions
        self._random = None if seed is None else Random(seed)
        self._records: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        self._ends: defaultdict[tuple[str, int], int] = defaultdict(int)
        registered = Registered()
        for registration in registered.allocate(schemas_by_subject(plan)):
            registered.add(registration)
            key, value = registration.encode()
            self._append(SCHEMAS_TOPIC, 0, key, value)
        self.codecs = codecs_for(plan, registered)
        self._served = fresh_served(plan, 1)
        self._followed = 0
        self._barriers = 0
        self._positions: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self._tasks = [
            self._task(decl, number)
            for decl in stage_decls(plan, partitions)
            for number in range(decl.tasks)
        ]

    def _task(self, decl: StageDecl, number: int) -> Task:
        parts = StageParts(self.plan, self.codecs, self._partitions, 1, pickle.dumps, pickle.loads)
        stage = make_stage(decl.name, number, parts)
        task = TaskId(self.plan.name, 1, decl.name, number)
        cache, cut = Cache(1_000_000, whole=True), Cut(())
        stage.load(cache)
        return Task(Spec(task, decl.inputs, decl.stored), stage, "", cut, cut, cut, cache)

    # -- the system

    def publish(self, what: str, messages: Sequence[Message]) -> None:
        topic, count = getattr(self.plan.topics, what), getattr(self._partitions, what)
        for message in messages:
            number = partition_of(message.key or b"", count)
            self._append(topic, number, *message)

    def settle(self) -> None:
        """Process until nothing is left, a barrier behind it.

        SCORE uses the models of before until it is done.
        """
        self._barriers += 1
        inputs = [(self.plan.topics.events, self._partitions.events)]
        if self.plan.labels == "topic":
            inputs.append((self.plan.topics.labels, self._partitions.labels))
        for topic, count in inputs:
            for number in range(count):
                self._append(topic, number, None, None, ((BARRIER, f"b{self._barriers}".encode()),))
        while any(self._step(task) for task in self._ordered()):
            pass
        self._follow()

    def logs(self) -> Logs:
        topics = topic_names(
            self.plan.name, events=self.plan.topics.events, labels=self.plan.topics.labels
        )
        specs = topic_specs(self.plan.topics, self._partitions, joined=True)
        logs = Logs(topics, {spec.name: spec.partitions for spec in specs})
        for place, records in self._records.items():
            logs.records[place] = [
                LogRecord(r.offset, r.timestamp_ms, r.key, r.value, r.headers) for r in records
            ]
        return logs

    # -- inside

    def _ordered(self) -> list[Task]:
        if self._random is None:
            return self._tasks
        return self._random.sample(self._tasks, len(self._tasks))

    def _step(self, task: Task) -> bool:
        """Process a batch of a task, if there is one; all of its input in step."""
        went = False
        for topic in task.spec.inputs:
            number = task.spec.id.partition
            place = (task.spec.id.stage, topic, number)
            records = self._records[topic, number]
            size = self._random.choice((1, 7, 200)) if self._random else BATCH
            while self._positions[place] < len(records):
                start = self._positions[place]
                batch = records[start : start + size]
                self._positions[place] += len(batch)
                self._process(task, batch)
                went = True
                if self._random is not None:
                    self._follow()
                    break
        return went

    def _process(self, task: Task, records: Sequence[Record]) -> None:
        context = Context(model=self._served)
        done = drive(process(task, records, cast(Any, None), context))
        for emit in done.effects.emits:
            self._emit(emit)
        for place in {(emit.topic, emit.partition) for emit in done.effects.emits}:
            self._ends[place] += 1

    def _emit(self, emit: Emit) -> None:
        self._append(emit.topic, emit.partition, emit.key, emit.value, emit.headers)

    def _append(
        self, topic: str, number: int, key: bytes | None, value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (), timestamp_ms: int | None = None,
    ) -> None:  # fmt: skip
        offset = self._ends[topic, number]
        self._ends[topic, number] += 1
        time_ms = NOW_MS if timestamp_ms is None else timestamp_ms
        record = Record(topic, number, offset, time_ms, key, value, headers)
        self._records[topic, number].append(record)

    def _follow(self) -> None:
        """Serve the newest model that was announced."""
        records = self._records[self.plan.topics.models, 0]
        if len(records) > self._followed:
            for record in reversed(records[self._followed :]):
                said = self.codecs.model.decode(record.value)
                assert isinstance(said, dict)
                served = announced(self.plan, 1, said, pickle.loads, lambda _: None)
                if served is not None:
                    self._served = served
                    break
            self._followed = len(records)
