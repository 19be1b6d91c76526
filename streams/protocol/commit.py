"""How finished batches become durable.

The effects, in their order, and what a crash after each one costs:

1. **One Kafka transaction**: all records that the batches emit, and the consumed offsets with the
   cut's metadata, under the group's own fencing. A crash before its end: it is aborted, nothing
   happened. A crash after it, or an end whose outcome is unknown: the committed offsets decide,
   and the state is restored from the log.
2. **One atomic script for each task**: changed states and the new cut together, if the token and
   the cut are the ones that we know. A crash before it: restored from the log. An answer that got
   lost: asked again, found done.
3. **A snapshot** of a state that is kept whole, when one is due. A crash before it: a store that
   loses all is restored from an older one, or from the log.
4. **LEARN's checkpoint**, when one is due: appended to the chain if the chain's head is still the
   one that we know. A crash before it: more examples are learned again at the next start.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from headrace.streams.protocol.ports import Checkpoint, Committed, Lost
from headrace.streams.protocol.snapshots import is_due, take
from headrace.streams.protocol.steps import Steps, ask
from headrace.streams.protocol.takeover import Ports
from headrace.streams.protocol.task import Batch, Task
from headrace.streams.records import Emit, TopicPartition

Finished = Sequence[tuple[Task, Sequence[Batch]]]
"""For each task the finished prefix of its batches, in order; none is empty."""


def commit(finished: Finished, ports: Ports, *, checkpoint: bool = False) -> Steps[None]:
    """Make finished batches durable; a task whose store has another owner is marked as lost.

    Tasks that are already lost are left out: what they have in flight is dropped.

    Parameters
    ----------
    checkpoint
        Whether a checkpoint of LEARN's newest snapshot is due.
    """
    finished = [(task, batches) for task, batches in finished if not task.lost]
    if not finished:
        return
    yield from _transact(finished, ports)
    for task, batches in finished:
        if task.spec.stored:
            yield from _write_state(task, batches, ports)
            if is_due(task):
                yield from take(task, ports.store, ports.keep or ports.registry.put_snapshot)
    if checkpoint:
        for task, batches in finished:
            if not task.spec.stored:
                yield from _checkpoint(task, batches, ports)


def _transact(finished: Finished, ports: Ports) -> Steps[None]:
    emits: list[Emit] = []
    offsets: dict[TopicPartition, Committed] = {}
    for task, batches in finished:
        for batch in batches:
            emits.extend(batch.effects.emits)
        end = batches[-1].end
        for topic, offset in end.offsets:
            offsets[topic, task.spec.id.partition] = Committed(offset, end.meta)
    log = ports.log
    yield from ask("log.begin", log.begin)
    if emits:
        yield from ask("log.produce", partial(log.produce, emits))
    yield from ask("log.send_offsets", partial(log.send_offsets, offsets))
    yield from ask("log.end", log.end)


def _write_state(task: Task, batches: Sequence[Batch], ports: Ports) -> Steps[None]:
    puts: dict[str, bytes | None] = {}
    for batch in batches:
        puts.update(batch.puts)
    new = batches[-1].end
    task.target = new
    write = partial(ports.store.write, task.spec.id, task.token, task.acked, new, puts)
    try:
        yield from ask("store.write", write)
    except Lost:
        task.lost = True
        return
    task.acked = new
    task.cache.written = batches[-1].sequence


def _checkpoint(task: Task, batches: Sequence[Batch], ports: Ports) -> Steps[None]:
    snapshots = [(batch.end, batch.effects.snapshot) for batch in batches]
    found = [(end, state) for end, state in snapshots if state is not None]
    if not found:
        return
    end, state = found[-1]
    if end.offsets[0][1] <= task.checkpointed:
        return  # another learner is ahead; the next checkpoint builds on its
    pipeline, version = task.spec.id.pipeline, task.spec.id.version
    new = Checkpoint(end.offsets[0][1], state)
    insert = partial(ports.registry.insert_checkpoint, pipeline, version, task.checkpointed, new)
    if (yield from ask("registry.insert_checkpoint", insert)):
        task.checkpointed = new.offset
        return
    head = partial(ports.registry.checkpoint_head, pipeline, version)
    task.checkpointed = yield from ask("registry.checkpoint_head", head)
