"""A pipeline's whole flow in this process, on the twins: the product's own stages and protocol.

Publish, then :meth:`MemoryFlow.turn`: what was published is scored, routed, joined and learned,
each stage in transactions of its own, and the scorer serves the new model. So a turn is what a
barrier is on Kafka: nothing of it is left for the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from headrace.registry.digest import canonical_digest
from headrace.registry.kept import Checkpoint
from headrace.registry.memory import MemoryRegistry
from headrace.schemas.codec import Undecodable
from headrace.streams.flow import StageDecl, StageParts, make_stage, stage_decls
from headrace.streams.model import announced, fresh_served
from headrace.streams.partitioner import partition_of
from headrace.streams.protocol.commit import commit
from headrace.streams.protocol.ports import TaskId
from headrace.streams.protocol.stage import Context
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.takeover import Ports, take_over
from headrace.streams.protocol.task import Batch, Spec, Task, process
from headrace.streams.records import BARRIER, Headers, Record, TopicPartition
from headrace.streams.stages.learn import LearnStage
from headrace.streams.topics import topic_specs
from headrace.streams.twins.broker import Broker
from headrace.streams.twins.log import MemoryLog
from headrace.streams.twins.store import MemoryStore

BATCH_RECORDS = 500
_FOREVER_MS = 1 << 62
_MONITOR_EVERY = 500
"""Turns between two of MONITOR's: what it sums up does not depend on where its batches end."""


class _Line:
    """A stage with its tasks, all of them this process'."""

    def __init__(self, decl: StageDecl, ports: Ports, tasks: Sequence[Task]) -> None:
        self.decl = decl
        self.ports = ports
        self.tasks = tasks
        self.positions: dict[TopicPartition, int] = {
            (topic, task.spec.id.partition): at
            for task in tasks
            for topic, at in task.position.offsets
        }


class MemoryFlow:
    """A pipeline's flow on a broker, a store and a registry in memory.

    Parameters
    ----------
    parts
        What its stages are made of.

    Attributes
    ----------
    served
        The model that SCORE predicts with.
    broker, store, registry
        The twins, to be looked at.
    """

    def __init__(self, parts: StageParts) -> None:
        self.parts = parts
        self.plan = plan = parts.plan
        self.broker = Broker(transaction_timeout_ms=_FOREVER_MS, session_timeout_ms=_FOREVER_MS)
        self.store = MemoryStore()
        self.registry = MemoryRegistry(lambda state: canonical_digest(parts.loads(state)))
        version = self.registry.register_version(plan.name, plan.canonical, plan.digest, {})
        assert version == parts.version, "a flow in memory is its pipeline's first version"
        self.served = fresh_served(plan, parts.version)
        self._joined = plan.labels == "topic"
        for spec in topic_specs(plan.topics, parts.partitions, joined=self._joined):
            self.broker.create(spec.name, spec.partitions, append_time=spec.append_time)
        lines = {decl.name: self._start(decl) for decl in stage_decls(plan, parts.partitions)}
        self._learn, self._monitor = lines.pop("learn"), lines.pop("monitor")
        self._stages = list(lines.values())  # in the order in which records flow
        self._turns = 0
        self._models_at = 0

    @property
    def learner(self) -> LearnStage:
        """LEARN, with the newest model."""
        stage = self._learn.tasks[0].stage
        assert isinstance(stage, LearnStage)
        return stage

    def publish(
        self,
        *,
        is_label: bool,
        key: bytes,
        value: bytes | None,
        time_ms: int,
        headers: Headers = (),
    ) -> None:
        """Write an event or a label to the partition of its key, as its publisher does."""
        topics, partitions = self.plan.topics, self.parts.partitions
        topic = topics.labels if is_label else topics.events
        count = partitions.labels if is_label else partitions.events
        tp = (topic, partition_of(key, count))
        self.broker.append(tp, key, value, headers=headers, timestamp_ms=time_ms)

    def turn(self) -> None:
        """Take all that was published through all stages."""
        self._turns += 1
        for line in self._stages:
            self._run(line)
        if self._run(self._learn):
            self._follow()
            if self.learner.by_reference:
                self._refer()
        if self._turns % _MONITOR_EVERY == 0:
            self._run(self._monitor)

    def finish(self) -> None:
        """End: a checkpoint of the newest model, and MONITOR's word on all that there was."""
        self.learner.snapshot_due = True
        topics = self.plan.topics
        for topic in (topics.events, topics.labels) if self._joined else (topics.events,):
            for number in range(self.broker.partition_count(topic)):
                headers = ((BARRIER, b"end"),)
                self.broker.append((topic, number), None, None, headers=headers, timestamp_ms=0)
        self._turns = -1  # MONITOR's turn comes with this one
        self.turn()

    def history(self, topic: str) -> list[Record]:
        """Return all records of a topic, partition by partition; barriers left out."""
        count = self.broker.partition_count(topic)
        found = [self.broker.history((topic, number)) for number in range(count)]
        return [record for each in found for record in each if record.value is not None]

    # -- a stage's turn

    def _start(self, decl: StageDecl) -> _Line:
        log = MemoryLog(self.broker, decl.name, f"{decl.name}-0", decl.inputs)
        log.init()
        log.join()
        log.poll()
        ports = Ports(log, self.store, self.registry)
        tasks = []
        for number in range(decl.tasks):
            key = TaskId(self.plan.name, self.parts.version, decl.name, number)
            # Nothing is evicted: the store is in this process' memory too.
            spec = Spec(key, decl.inputs, decl.stored, cache_limit=1 << 62)
            stage = make_stage(decl.name, number, self.parts)
            tasks.append(drive(take_over(spec, stage, ports, f"owner-of-{key}")))
        return _Line(decl, ports, tasks)

    def _run(self, line: _Line) -> bool:
        """Process what has come for a stage, and commit it; say whether anything had."""
        finished = []
        for task in line.tasks:
            records = [r for tp in self._inputs(line, task) for r in self._fetch(line, tp)]
            if records:
                finished.append((task, list(self._batches(line, task, records))))
        if finished:
            drive(commit(finished, line.ports, checkpoint=True))
        return bool(finished)

    def _inputs(self, line: _Line, task: Task) -> list[TopicPartition]:
        return [(topic, task.spec.id.partition) for topic in line.decl.inputs]

    def _fetch(self, line: _Line, tp: TopicPartition) -> list[Record]:
        at = line.positions[tp]
        records, line.positions[tp] = self.broker.fetch(tp, at)
        if tp[0] != self.plan.topics.predictions and tp[0] != self.plan.topics.examples:
            self.broker.cut_head(tp, at, forget=True)  # read and committed before: nobody asks
        return records

    def _batches(self, line: _Line, task: Task, records: Sequence[Record]) -> Iterator[Batch]:
        context = Context(model=self.served)
        # LEARN announces at each batch's end, which nobody would hear before the turn's.
        size = len(records) if line is self._learn else BATCH_RECORDS
        for start in range(0, len(records), size):
            yield drive(process(task, records[start : start + size], self.store, context))

    # -- the model

    def _follow(self) -> None:
        """Serve the newest announced model."""
        tp, parts = (self.plan.topics.models, 0), self.parts
        records, end = self.broker.fetch(tp, self._models_at)
        for record in reversed(records):
            said = parts.codecs.model.decode(record.value)
            assert not isinstance(said, Undecodable)
            served = announced(self.plan, parts.version, said, parts.loads, self._checkpoint_at)
            if served is not None:
                self.served = served
                break
        self.broker.cut_head(tp, end, forget=True)
        self._models_at = end

    def _checkpoint_at(self, offset: int) -> bytes | None:
        name, version = self.plan.name, self.parts.version
        found = self.registry.newest_checkpoint(name, version, offset)
        return None if found is None else found.state

    def _refer(self) -> None:
        """Have a state that is too big for an announcement saved, and announced by reference."""
        learner, (task,) = self.learner, self._learn.tasks
        learner.snapshot_due = True
        self._process_none(self._learn)
        learner.saved(task.checkpointed)
        self._process_none(self._learn)
        self._follow()

    def _process_none(self, line: _Line) -> None:
        (task,) = line.tasks
        batch = drive(process(task, (), self.store, Context()))
        drive(commit([(task, [batch])], line.ports, checkpoint=True))


def checkpoints_of(flow: MemoryFlow) -> list[Checkpoint]:
    """Return the checkpoints of a flow's model, oldest first."""
    name, version, registry = flow.plan.name, flow.parts.version, flow.registry
    found = []
    for info in registry.checkpoints(name, version):
        state = registry.checkpoint_state(name, version, info.offset)
        assert state is not None, "nobody prunes a registry in memory"
        found.append(Checkpoint(info.offset, state))
    return found
