"""The flow of a declared pipeline: the product's own stages, and events made up for it."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

from headrace.registry.digest import canonical_digest
from headrace.schemas.codec import Codec, Undecodable
from headrace.schemas.counts import counted
from headrace.schemas.records import numbered_codecs
from headrace.streams.decoding import Rejected
from headrace.streams.flow import ROLES, StageDecl, StageParts, make_stage, stage_decls
from headrace.streams.model import Bundle, fresh_served, served_from
from headrace.streams.model import Served as ServedBundle
from headrace.streams.observe import LIMB_BITS
from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import Stage
from headrace.streams.protocol.task import Task
from headrace.streams.records import SOURCE, Record, TopicPartition
from headrace.streams.simulation.flow import CheckpointAt, Flow, Publication, Read, Served
from headrace.streams.simulation.invariants import Invariant
from headrace.streams.simulation.publishers import publications
from headrace.streams.simulation.registry import VERSION
from headrace.streams.stages.learn import INLINE_BYTES_MAX, LearnStage
from headrace.streams.stages.monitor import MonitorStage
from headrace.streams.topics import Partitions, TopicSpec, topic_specs

COUNT = 2
"""Partitions of each topic that can have several."""


@lru_cache(maxsize=20_000)
def _digest(state: bytes) -> str:
    return canonical_digest(pickle.loads(state))


class DeclaredFlow(Flow):
    """A pipeline as worlds run it.

    Parameters
    ----------
    plan
        The pipeline's plan.
    inline_bytes_max
        A bigger state is announced by reference to a checkpoint.
    index_span
        So many offsets are in a leaf of JOIN's index: few, so that few events fill several.
    """

    def __init__(
        self, plan: Plan, inline_bytes_max: int = INLINE_BYTES_MAX, index_span: int = 3
    ) -> None:
        topics, partitions = plan.topics, Partitions(COUNT, COUNT, COUNT)
        self.name = plan.name
        self.models: TopicPartition = (topics.models, 0)
        self.predictions, self.counts = topics.predictions, topics.counts
        self.unfolded: Sequence[str] = (topics.events, topics.labels)
        self.topics: Sequence[TopicSpec] = topic_specs(
            topics, partitions, joined=plan.labels == "topic"
        )
        decls = stage_decls(plan, partitions)
        self.roles: Mapping[str, Sequence[StageDecl]] = {
            role: [decl for decl in decls if decl.role == role] for role in ROLES
        }
        self._plan = plan
        self._parts = StageParts(
            plan,
            numbered_codecs(plan.schemas),
            partitions,
            version=VERSION,
            dumps=pickle.dumps,
            loads=pickle.loads,  # of what this process dumped a moment ago
            inline_bytes_max=inline_bytes_max,
            index_span=index_span,
        )

    def stage(self, name: str, partition: int) -> Stage:
        """Return a fresh stage."""
        return make_stage(name, partition, self._parts)

    def remind(self, task: Task, rng: Random) -> bool:
        """Tell a stage what an engine tells it.

        LEARN: that a dump is due, that a checkpoint is there. MONITOR: that counts have stopped.
        """
        stage = task.stage
        if isinstance(stage, MonitorStage):
            stage.flush_due = stage.unemitted and rng.random() < 0.3
            return stage.flush_due
        if not isinstance(stage, LearnStage):
            return False
        told = stage.__dict__.setdefault("told", task.checkpointed)
        if rng.random() < 0.1 or stage.wants_checkpoint:
            stage.snapshot_due = True
        if task.checkpointed != told:
            stage.__dict__["told"] = task.checkpointed
            stage.saved(task.checkpointed)
        return stage.has_news or stage.snapshot_due

    # -- models: as the bytes of their bundles' states

    def fresh(self) -> Served:
        """Return the model that has learned nothing."""
        return Served(0, pickle.dumps(fresh_served(self._plan, VERSION).bundle.state()))

    def context_model(self, served: Served) -> ServedBundle:
        """Return a model, unpacked."""
        return served_from(self._plan, VERSION, served.learned_to, served.model, pickle.loads)

    def announced(self, record: Record, checkpoint_at: CheckpointAt) -> Served | None:
        """Return the model that an announcement carries or refers to, if it does."""
        said: Any = self._parts.codecs.model.decode(record.value)
        if isinstance(said, Undecodable):
            return None
        if said["state"] is not None:
            return Served(said["learned_to"], said["state"])
        if said["checkpoint"] is None:
            return None
        state = checkpoint_at(said["checkpoint"])
        return None if state is None else Served(said["learned_to"], self.learned_from(state))

    def learned_from(self, state: bytes) -> bytes:
        """Return the model of a checkpoint."""
        return pickle.dumps(Bundle(self._plan, pickle.loads(state)).state())

    def comparable(self, model: bytes) -> str:
        """Return the canonical digest of a model."""
        return _digest(model)

    # -- records

    def origin(self, record: Record) -> tuple[TopicPartition, int, int] | None:
        """Return a prediction's source, its offset, and what its model had learned up to."""
        said: Any = self._parts.codecs.prediction.decode(record.value)
        if isinstance(said, Undecodable):
            return None
        source = (self._plan.topics.events, said["source_partition"])
        return source, said["source_offset"], said["learned_to"]

    def counted(self, value: bytes | None) -> Mapping[Any, int]:
        """Return the cells of a count record."""
        said: Any = self._parts.codecs.count.decode(value)
        if isinstance(said, Undecodable):
            return {}
        found = Counter[Any]()
        for tile, segment, name, n in counted(said):
            count, bits = _limb(name)
            found[said["stage"], tile, segment, count] += n << bits
        return found

    def published(self, rng: Random, events: int) -> list[Publication]:
        """Return what publishers write, in their order."""
        return publications(self._plan, COUNT, rng, events)

    # -- rules that no stage has a part in

    def oracle(self, read: Read) -> Iterator[tuple[Invariant, str]]:
        """Each event is predicted or buried, once; each example has a label that was given.

        However often its publisher wrote it: of a source's row the first record counts.
        """
        predicted = self._predicted(read)
        yield from self._wrong_events(read, predicted)
        for sentence in self._wrong_examples(read, predicted):
            yield Invariant.EXAMPLES, sentence

    def _predicted(self, read: Read) -> Counter[tuple[int, int]]:
        """Return from which events predictions come, by partition and offset."""
        topic = self._plan.topics.predictions
        origins = [self.origin(r) for p in range(COUNT) for r in read((topic, p))]
        return Counter((o[0][1], o[1]) for o in origins if o is not None)

    def _wrong_events(
        self, read: Read, predicted: Counter[tuple[int, int]]
    ) -> Iterator[tuple[Invariant, str]]:
        topics, codecs = self._plan.topics, self._parts.codecs
        answered = predicted.copy()
        for said in _decoded(read((topics.dead_letters, 0)), codecs.dead_letter):
            if said["topic"] == topics.events:
                answered[said["partition"], said["offset"]] += 1
        events = [r for p in range(COUNT) for r in _rows(read((topics.events, p)))]
        wanted = Counter((r.partition, r.offset) for r in events)
        if answered != wanted:
            lost, doubled = wanted - answered, answered - wanted
            what = f"{lost.total()} have none, {doubled.total()} more than one"
            yield Invariant.EVENTS, what

    def _wrong_examples(self, read: Read, predicted: Counter[tuple[int, int]]) -> Iterator[str]:
        plan, topics = self._plan, self._plan.topics
        examples = _decoded(read((topics.examples, 0)), self._parts.codecs.example)
        if plan.labels != "topic":
            if predicted != Counter((e["source_partition"], e["source_offset"]) for e in examples):
                yield "there is not one for each prediction"
            return
        labels = [r for p in range(COUNT) for r in _rows(read((topics.labels, p)))]
        found: list[Any] = [plan.decode_label(r.value, r.timestamp_ms) for r in labels]
        given = {
            (plan.label_id(each), plan.label_time_ms(each), plan.label_value(each))
            for each in found
            if not isinstance(each, Rejected)
        }
        if len({each["event_id"] for each in examples}) != len(examples):
            yield "an event has two"
        for each in examples:
            if (each["event_id"], each["label_time"], each["label"]) not in given:
                yield f"nobody gave the label of {each['event_id']}"
            if not 0 <= each["label_time"] - each["event_time"] <= plan.wait_ms:
                yield f"the label of {each['event_id']} came out of time"


def _limb(name: str) -> tuple[str, int]:
    """Return the count that a name is a limb of, and how far its digits stand to the left."""
    count, caret, place = name.rpartition("^")
    return (count, LIMB_BITS * int(place)) if caret and place.isdigit() else (name, 0)


def _rows(records: Sequence[Record]) -> Iterator[Record]:
    """Go through the events or labels of a partition: of a source's row what came first alone."""
    seen: set[bytes] = set()
    for record in records:
        headers = dict(record.headers)
        if headers and SOURCE not in headers:
            continue
        row = headers.get(SOURCE)
        if row not in seen:
            seen.update(() if row is None else (row,))
            yield record


def _decoded(records: Sequence[Record], codec: Codec) -> list[dict[str, Any]]:
    found = [codec.decode(record.value) for record in records]
    return [each for each in found if isinstance(each, dict)]
