"""Snapshots: whole states in the registry, so that an emptied store costs little replay.

A task's state is a function of the log up to its cut. So any snapshot whose cut does not go beyond
the committed offsets is right, whoever wrote it and whenever: it needs no guard and no order, and
one that could not be kept is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgpack

from headrace.schemas.errors import ServiceError
from headrace.streams.protocol.ports import Cut, Lost, Snapshot, Store
from headrace.streams.protocol.stage import indexed
from headrace.streams.protocol.steps import Steps, ask
from headrace.streams.protocol.task import Keep, Spec, Task

SNAPSHOT_RECORDS = 5_000
"""After so many records of its first input a task's state is kept again."""

BYTES_PER_RECORD = 400
"""A big state is kept more seldom: that costs at most so much for each record."""

SNAPSHOT_BYTES_MAX = 16 * 1024 * 1024
"""A bigger state is not kept: SQL is no place for it, and the log has it all."""


SNAPSHOT_ENTRIES_MAX = 50_000
"""Nor is one of more entries read from the store, if it is read by key: not even to be measured."""


def is_due(task: Task) -> bool:
    """Return whether so much has been processed since the last snapshot that one is due."""
    least = task.spec.snapshot_records
    if not least or task.lost:
        return False
    reader = indexed(task.stage)
    if reader is not None and reader.entries > SNAPSHOT_ENTRIES_MAX:
        return False
    records = task.acked.offsets[0][1] - task.snapshot_at
    return records >= max(least, task.snapshot_bytes // BYTES_PER_RECORD)


def take(task: Task, store: Store, keep: Keep) -> Steps[None]:
    """Read a task's state from the store, where it stands beside its cut, and have it kept."""
    try:
        read = partial(store.read_all, task.spec.id, task.token)
        cut, states = yield from ask("store.read_all", read)
    except Lost:
        task.lost = True
        return
    if cut is None:
        return
    snapshot = Snapshot(cut.offsets[0][1], cut.encode(), msgpack.packb(dict(states)))
    task.snapshot_at, task.snapshot_bytes = snapshot.offset, len(snapshot.state)
    if task.snapshot_bytes > SNAPSHOT_BYTES_MAX:
        return
    try:
        yield from ask("registry.put_snapshot", partial(keep, task.spec.id, snapshot))
    except ServiceError:
        return  # the next one will do: until then a restore has more to replay


def restored(
    spec: Spec,
    store: Store,
    token: str,
    snapshot: Snapshot,
    starts: Mapping[str, int],
    present: Cut,
) -> Steps[Cut | None]:
    """Write a snapshot into a store that knows nothing of a task.

    Parameters
    ----------
    starts, present
        Between these it must lie: where the task's history begins, and what is committed.

    Returns
    -------
    Cut or None
        What the store now holds; None if the snapshot cannot be believed.
    """
    try:
        cut, states = Cut.decode(snapshot.cut), msgpack.unpackb(snapshot.state)
    except ValueError:  # damaged: the log has it all
        return None
    if not _lies_between(starts, cut, present):
        return None
    write = partial(store.write, spec.id, token, None, cut, states)
    yield from ask("store.write", write)
    return cut


def _lies_between(starts: Mapping[str, int], cut: Cut, present: Cut) -> bool:
    ends = dict(present.offsets)
    topics = [topic for topic, _ in cut.offsets]
    return topics == list(ends) and all(
        starts.get(topic, 0) <= at <= ends[topic] for topic, at in cut.offsets
    )
