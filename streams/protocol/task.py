"""A task in memory, and how a batch of its records is processed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.ports import Cut, Lost, Snapshot, Store, TaskId
from headrace.streams.protocol.stage import Context, Effects, Stage, indexed
from headrace.streams.protocol.steps import Steps, ask
from headrace.streams.records import Record


@dataclass(frozen=True, slots=True)
class Spec:
    """What a task is, before anybody owns it.

    Attributes
    ----------
    id
        Its name.
    inputs
        Its input topics; all are read at partition ``id.partition``.
    stored
        Whether its state lives in the store (LEARN's lives in checkpoints).
    cache_limit
        How many entries its cache keeps.
    snapshot_records
        After so many records of its first input its state is kept in the registry too; 0: never.
    """

    id: TaskId
    inputs: tuple[str, ...]
    stored: bool = True
    cache_limit: int = 100_000
    snapshot_records: int = 0


READ_KEYS_MAX = 5_000
"""So many states are read at once: the store answers others in between."""

Keep = Callable[[TaskId, Snapshot], None]
"""Keeps a snapshot, now or some day: :meth:`Registry.put_snapshot`, or what calls it."""


@dataclass(slots=True)
class Batch:
    """A processed run of records: effects, and where they lead.

    Attributes
    ----------
    end
        The cut behind the batch.
    puts
        Changed states as bytes.
    """

    sequence: int
    count: int
    end: Cut
    effects: Effects
    puts: dict[str, bytes | None]


@dataclass(slots=True)
class Task:
    """A task that this process owns.

    Attributes
    ----------
    token
        The owner token under which the store was claimed.
    acked
        The cut that the store is known to hold.
    target
        The cut that is being written to the store; equals ``acked`` at rest.
    position
        The cut behind the last processed batch.
    checkpointed
        LEARN: the head of the checkpoint chain, as last seen.
    snapshot_at, snapshot_bytes
        Offset and size of the newest snapshot, as last seen.
    """

    spec: Spec
    stage: Stage
    token: str
    acked: Cut
    target: Cut
    position: Cut
    cache: Cache
    sequence: int = 0
    checkpointed: int = 0
    snapshot_at: int = 0
    snapshot_bytes: int = 0
    lost: bool = field(default=False)


def process(task: Task, records: Sequence[Record], store: Store, context: Context) -> Steps[Batch]:
    """Process records in order and return their batch; the task moves on in memory only.

    Raises
    ------
    Lost
        The store answered for another owner or another cut.
    """
    ends = {record.topic: record.offset + 1 for record in records}
    effects = yield from apply_records(task, records, store, context)
    task.sequence += 1
    puts = task.cache.seal(task.sequence)
    task.position = task.position.moved(ends, effects.meta)
    return Batch(task.sequence, len(records), task.position, effects, puts)


def apply_records(
    task: Task, records: Sequence[Record], store: Store, context: Context
) -> Steps[Effects]:
    """Apply records; should the stage fail, halve them until the one that fails stands alone.

    A restore comes through here too: what was a poison record then is one now, and leaves the
    state as it did. LEARN's model cannot be rolled back, so LEARN answers for each example
    itself, and what its ``apply`` raises is no record's fault.
    """
    stage, cache = task.stage, task.cache
    try:
        prepared = stage.prepare(records)
        keys = stage.keys(prepared)
    except Exception as error:  # noqa: BLE001 - a user's function may raise anything
        failure = error
    else:
        yield from _read_missing(task, keys, store, restoring=context.restoring)
        yield from _read_more(task, prepared, store, restoring=context.restoring)
        try:
            effects = stage.apply(prepared, cache, context)
            cache.settle()
        except Exception as error:  # noqa: BLE001 - same
            failure = error
            _roll_back(task, error)
        else:
            return effects
    if not records or isinstance(failure, MemoryError):
        raise failure
    if len(records) > 1:
        return (yield from _apply_halves(task, records, store, context))
    yield from _read_missing(task, stage.poison_keys, store, restoring=context.restoring)
    effects = stage.poison(records[0], failure, cache, context)
    cache.settle()
    return effects


def _roll_back(task: Task, error: Exception) -> None:
    if not task.spec.stored:
        raise error
    task.cache.rollback()
    if task.stage.whole:
        task.stage.load(task.cache)


def _apply_halves(
    task: Task, records: Sequence[Record], store: Store, context: Context
) -> Steps[Effects]:
    total = Effects()
    middle = len(records) // 2
    for half in (records[:middle], records[middle:]):
        effects = yield from apply_records(task, half, store, context)
        total.emits.extend(effects.emits)
        total.meta = total.meta if effects.meta is None else effects.meta
        total.snapshot = effects.snapshot or total.snapshot
    return total


def _read_missing(
    task: Task, keys: Collection[str], store: Store, *, restoring: bool
) -> Steps[None]:
    """Read states that are not in memory, and check that they are of a cut that we know.

    The answer's cut must be the acknowledged one or the one whose write is under way, as seen
    before or after the read: a key that is not in memory is not part of that write. In a restore
    the token is enough: nobody else has written since the claim, and each chunk's own write
    expects the cut before it.
    """
    missing = task.cache.missing(keys)
    for start in range(0, len(missing), READ_KEYS_MAX):
        some = missing[start : start + READ_KEYS_MAX]
        known = {task.acked, task.target}
        read = partial(store.read, task.spec.id, task.token, some)
        cut, values = yield from ask("store.read", read)
        if not restoring and cut not in known | {task.acked, task.target}:
            known_now = f"known are {task.acked}, {task.target}"
            raise Lost(f"{task.spec.id}: the store holds {cut}, {known_now}")
        task.cache.fill(values)


def _read_more(task: Task, prepared: Any, store: Store, *, restoring: bool) -> Steps[None]:
    """Read what states say that is needed besides, until all of it is there."""
    stage = indexed(task.stage)
    while stage is not None and task.cache.missing(keys := stage.more(prepared, task.cache)):
        yield from _read_missing(task, keys, store, restoring=restoring)


def look_around(task: Task, store: Store) -> Steps[None]:
    """Let a stage that reads by key know how much there is, before any record comes."""
    stage = indexed(task.stage)
    if stage is not None:
        yield from _read_missing(task, stage.keys(stage.prepare(())), store, restoring=True)
        stage.load(task.cache)
