"""How a process takes a task over: evidence first, offsets after.

The order is binding; PROTOCOL's scenarios break every other one:

1. the producer has been initialised (once per process): the slot's predecessor cannot commit;
2. claim the store: from here on nobody else can write the task's state;
3. read the witness and the newest snapshot (for LEARN, the head of the checkpoint chain);
4. only then the *stable* committed offsets: they are at or beyond the claimed cut, since Kafka
   always precedes the store; an answer that is not is asked for again for a while, since a
   coordinator that has just come back may give an old one;
5. restore: replay cut .. committed without emitting, and write the result; where the store has
   nothing, from the newest snapshot on;
6. remember the task; only then may records be fetched and emitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from headrace.schemas.errors import Refused
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.layout import upgraded
from headrace.streams.protocol.ports import (
    Committed,
    Cut,
    Log,
    Registry,
    Snapshot,
    Store,
    Unstable,
    Witness,
)
from headrace.streams.protocol.refusals import check_identity, check_not_ahead
from headrace.streams.protocol.snapshots import restored
from headrace.streams.protocol.stage import Context, Learner, Stage
from headrace.streams.protocol.steps import Steps, ask
from headrace.streams.protocol.task import Keep, Spec, Task, apply_records, look_around
from headrace.streams.records import Record, TopicPartition

PINNED = "pinned"
"""Metadata of offsets that were pinned at a first start: nothing has been processed yet."""

LAST_OFFSET = 2**63 - 1
"""Greater than any offset."""

DOUBTS_MAX = 20
"""So often offsets that contradict the evidence are asked for again before they are believed."""

PENDING_SAID = 10
"""After so many answers, and so many again, it is said what a take-over waits for."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one worker process.

    Attributes
    ----------
    keep
        Where snapshots go; None: into the registry, at once.
    """

    log: Log
    store: Store
    registry: Registry
    keep: Keep | None = None


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What is known of a task before its offsets are asked for."""

    cut: Cut | None
    witness: Witness | None
    head: int
    snapshot: Snapshot | None

    @property
    def any(self) -> bool:
        known = (self.cut, self.witness, self.snapshot)
        return any(each is not None for each in known) or self.head > 0

    def contradicts(self, spec: Spec, committed: Mapping[TopicPartition, Committed | None]) -> bool:
        """Return whether these cannot be the committed offsets, if nothing was reset or lost."""
        present = _present(committed)
        if len(present) < len(committed):
            return self.any or bool(present)
        reached = [*self.cut.offsets] if self.cut else [(spec.inputs[0], self.head)]
        if self.snapshot is not None:
            reached.append((spec.inputs[0], self.snapshot.offset))
        return any(present[topic, spec.id.partition].offset < offset for topic, offset in reached)


def take_over(
    spec: Spec, stage: Stage, ports: Ports, token: str, *, start_at_end: bool = False
) -> Steps[Task]:
    """Become the owner of a task, with its state as of the committed offsets.

    Parameters
    ----------
    token
        A new random owner token.
    start_at_end
        Whether a first start begins at the end of the inputs rather than at their beginning.

    Raises
    ------
    Refused
        Going on could lose or double something; the sentence names the remedy.
    Lost
        Somebody else claimed the task meanwhile: poll the group, then try again.
    """
    evidence = yield from _evidence(spec, ports, token)
    committed = yield from _stable_offsets(spec, ports.log, evidence)
    ids = yield from _identity(spec, ports.log)
    check_identity(spec, evidence.witness, ids)
    if None in committed.values():
        committed = yield from _first_start(spec, ports.log, evidence, committed, start_at_end)
    present = _as_cut(spec, committed)
    starts = yield from _starts(spec, ports.log, evidence, present)
    if present.meta == PINNED:
        present = present._replace(meta="")
    if spec.stored:
        task = yield from _restore_stored(spec, stage, ports, token, evidence, present, starts)
    else:
        task = yield from _restore_learner(spec, stage, ports, present, evidence.head, starts)
    witness = Witness(ids.topic_ids, ids.partitions, tuple(starts.items()))
    if witness != evidence.witness:
        yield from ask(
            "registry.put_witness", partial(ports.registry.put_witness, spec.id, witness)
        )
    return task


def _evidence(spec: Spec, ports: Ports, token: str) -> Steps[_Evidence]:
    cut, head = None, 0
    if spec.stored:
        cut = yield from ask("store.claim", partial(ports.store.claim, spec.id, token))
    else:
        head = yield from ask(
            "registry.checkpoint_head",
            partial(ports.registry.checkpoint_head, spec.id.pipeline, spec.id.version),
        )
    witness = yield from ask("registry.witness", partial(ports.registry.witness, spec.id))
    snapshot = None
    if spec.snapshot_records:
        newest = partial(ports.registry.newest_snapshot, spec.id, LAST_OFFSET)
        snapshot = yield from ask("registry.newest_snapshot", newest)
    return _Evidence(cut, witness, head, snapshot)


def _stable_offsets(
    spec: Spec, log: Log, evidence: _Evidence
) -> Steps[Mapping[TopicPartition, Committed | None]]:
    """Ask until no transaction is pending on them, and the answer can be true.

    Each answer may take a second, and so does each pause. After many that cannot be true the last
    one is returned: what contradicts the evidence for so long is refused, by whoever looks at it.
    For a transaction there is no end of waiting, since no other answer would be safe; but it is
    said.
    """
    tps = [(topic, spec.id.partition) for topic in spec.inputs]
    doubts = pending = 0
    while True:
        try:
            committed = yield from ask("log.committed", partial(log.committed, tps))
        except Unstable as unstable:
            pending += 1
            if pending % PENDING_SAID == 0:
                said = f"{spec.id}: its offsets are not to be had yet: {unstable}"
                yield from ask("log.wait", partial(log.wait, said))
            continue
        if doubts == DOUBTS_MAX or not evidence.contradicts(spec, committed):
            return committed
        doubts += 1
        why = f"{spec.id}: the committed offsets are behind its state"
        yield from ask("log.wait", partial(log.wait, why))


def _identity(spec: Spec, log: Log) -> Steps[Witness]:
    topic_ids, partitions = [], []
    for topic in spec.inputs:
        topic_ids.append((topic, (yield from ask("log.topic_id", partial(log.topic_id, topic)))))
        count = yield from ask("log.partition_count", partial(log.partition_count, topic))
        partitions.append((topic, count))
    return Witness(tuple(topic_ids), tuple(partitions), ())


def _first_start(
    spec: Spec,
    log: Log,
    evidence: _Evidence,
    committed: Mapping[TopicPartition, Committed | None],
    start_at_end: bool,
) -> Steps[Mapping[TopicPartition, Committed | None]]:
    """Choose where a task's history begins, and pin the choice in a transaction of its own."""
    if evidence.any or any(found is not None for found in committed.values()):
        missing = [f"{topic}-{p}" for (topic, p), found in committed.items() if found is None]
        raise Refused(
            f"{spec.id}: no committed offset for {', '.join(missing)}, although the task has been"
            " started before (offsets expire when a group is idle for long).",
            f"`headrace rebuild {spec.id.pipeline} {spec.id.stage}` replays the log without"
            " emitting twice; `headrace reset` begins anew.",
        )
    pins: dict[TopicPartition, Committed | None] = {}
    for tp in committed:
        first, end = yield from ask("log.bounds", partial(log.bounds, tp))
        pins[tp] = Committed(end if start_at_end else first, PINNED)
    yield from ask("log.begin", log.begin)
    yield from ask("log.send_offsets", partial(log.send_offsets, _present(pins)))
    yield from ask("log.end", log.end)
    return pins


def _present(
    offsets: Mapping[TopicPartition, Committed | None],
) -> dict[TopicPartition, Committed]:
    return {tp: found for tp, found in offsets.items() if found is not None}


def _as_cut(spec: Spec, committed: Mapping[TopicPartition, Committed | None]) -> Cut:
    present = _present(committed)
    offsets = tuple((topic, present[topic, spec.id.partition].offset) for topic in spec.inputs)
    return Cut(offsets, present[spec.inputs[0], spec.id.partition].meta)


def _starts(spec: Spec, log: Log, evidence: _Evidence, present: Cut) -> Steps[dict[str, int]]:
    """Where the task's history begins: as witnessed, else the pin, else the head of the log."""
    if evidence.witness is not None:
        return dict(evidence.witness.starts)
    if present.meta == PINNED:
        return dict(present.offsets)
    return (yield from _starts_unwitnessed(spec, log, evidence))


def _starts_unwitnessed(spec: Spec, log: Log, evidence: _Evidence) -> Steps[dict[str, int]]:
    """The registry has forgotten the task: its history is all of the log, if that is all there."""
    starts = {}
    for topic in spec.inputs:
        tp = (topic, spec.id.partition)
        starts[topic], _ = yield from ask("log.bounds", partial(log.bounds, tp))
    if evidence.cut is None and evidence.head == 0 and any(starts.values()):
        raise Refused(
            f"{spec.id}: offsets are committed, but neither the store nor the registry knows the"
            f" task, and the log begins at {starts}: what came before may be part of its state.",
            f"`headrace rebuild {spec.id.pipeline} {spec.id.stage} --accept-loss` begins there.",
        )
    return starts


def _restore_stored(
    spec: Spec,
    stage: Stage,
    ports: Ports,
    token: str,
    evidence: _Evidence,
    present: Cut,
    starts: Mapping[str, int],
) -> Steps[Task]:
    """Bring the state from its cut to the committed offsets, writing as it goes."""
    cut, snapshot = evidence.cut, evidence.snapshot
    if snapshot is not None:
        check_not_ahead(spec, "snapshot", ((spec.inputs[0], snapshot.offset),), present)
    if cut is None and snapshot is not None:
        cut = yield from restored(spec, ports.store, token, snapshot, starts, present)
    cut = yield from upgraded(spec, stage, ports.store, token, cut)
    origin = cut or Cut(tuple((topic, starts[topic]) for topic in spec.inputs))
    check_not_ahead(spec, "state", origin.offsets, present)
    cache = Cache(spec.cache_limit, whole=stage.whole)
    task = Task(spec, stage, token, origin, origin, origin, cache)
    if snapshot is not None:
        task.snapshot_at, task.snapshot_bytes = snapshot.offset, len(snapshot.state)
    if stage.whole:
        _, states = yield from ask("store.read_all", partial(ports.store.read_all, spec.id, token))
        cache.fill(states)
        stage.load(cache)
    expected = cut
    waiting: dict[str, Sequence[Record]] = {}
    while chunk := (yield from _next_chunk(task, ports.log, present, waiting)):
        reached = task.position.moved({chunk[0].topic: chunk[-1].offset + 1})
        yield from _replay(task, chunk, ports, expected, reached)
        expected = reached
    if expected != present:  # behind the last record there may be control records, and metadata
        yield from _replay(task, (), ports, expected, present)
    if stage.whole and cut != present:
        stage.load(cache)
    yield from look_around(task, ports.store)
    return task


def _next_chunk(
    task: Task, log: Log, present: Cut, waiting: dict[str, Sequence[Record]]
) -> Steps[Sequence[Record]]:
    """Read on in the input that is behind, in append time, so that few records wait for others.

    Any interleaving of JOIN's inputs leads to the same state (PROTOCOL, a), and a state at any
    cut is a function of that cut: so a restore goes in chunks, each written with its own cut,
    and its memory is bounded by what waits, not by how far back it begins.
    """
    for topic in task.spec.inputs:
        if not waiting.get(topic):
            at, stop = task.position.next_of(topic), present.next_of(topic)
            waiting[topic] = yield from _read(task, log, topic, at, stop)
    chunks = [chunk for chunk in waiting.values() if chunk]
    if not chunks:
        return ()
    behind = min(chunks, key=lambda chunk: chunk[0].timestamp_ms)
    waiting[behind[0].topic] = ()
    return behind


def _read(task: Task, log: Log, topic: str, at: int, stop: int) -> Steps[Sequence[Record]]:
    """Read the next records of one input that lie before ``stop``."""
    tp = (topic, task.spec.id.partition)
    if at >= stop:
        return ()
    first, _ = yield from ask("log.bounds", partial(log.bounds, tp))
    if first > at:
        raise Refused(
            f"{task.spec.id}: the state has come to offset {at} of {topic}, and retention has cut"
            f" the log at {first}: {min(first, stop) - at} records that it needs are gone.",
            "Restore the store from a snapshot, or accept the loss: `headrace rebuild"
            f" {task.spec.id.pipeline} {task.spec.id.stage} --accept-loss`.",
        )
    return (yield from ask("log.read", partial(log.read, tp, at, stop)))


def _replay(
    task: Task,
    records: Sequence[Record],
    ports: Ports,
    expected: Cut | None,
    reached: Cut,
) -> Steps[None]:
    """Apply committed records without emitting, and write the state that they lead to."""
    context = Context(restoring=True, meta=reached.meta)
    yield from apply_records(task, records, ports.store, context)
    task.sequence += 1
    puts = task.cache.seal(task.sequence)
    write = partial(ports.store.write, task.spec.id, task.token, expected, reached, puts)
    yield from ask("store.write", write)
    task.cache.written = task.sequence
    task.acked = task.target = task.position = reached


def _restore_learner(
    spec: Spec, stage: Stage, ports: Ports, present: Cut, head: int, starts: Mapping[str, int]
) -> Steps[Task]:
    """Take up the newest checkpoint at or before the committed offset, and learn the rest."""
    learner = cast(Learner, stage)
    (topic,) = spec.inputs
    stop = present.next_of(topic)
    check_not_ahead(spec, "model", ((topic, head),), present)
    newest = partial(ports.registry.newest_checkpoint, spec.id.pipeline, spec.id.version, stop)
    checkpoint = yield from ask("registry.newest_checkpoint", newest)
    learner.reset(None if checkpoint is None else checkpoint.state)
    at = starts[topic] if checkpoint is None else checkpoint.offset
    cache = Cache(0, whole=True)
    task = Task(spec, stage, "", present, present, present, cache, checkpointed=head)
    while chunk := (yield from _read(task, ports.log, topic, at, stop)):
        yield from apply_records(task, chunk, ports.store, Context(restoring=True))
        at = chunk[-1].offset + 1
    return task
