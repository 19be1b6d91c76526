"""Bugs to plant in the protocol, one at a time: a simulator that misses one proves nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from headrace.streams.flow import StageDecl
from headrace.streams.protocol import commit as committing
from headrace.streams.protocol import snapshots, takeover
from headrace.streams.protocol import task as processing
from headrace.streams.protocol.cache import Cache
from headrace.streams.protocol.inputs import Inputs
from headrace.streams.protocol.ports import Checkpoint, Committed, Cut, Lost, Snapshot, TaskId
from headrace.streams.protocol.stage import Context, Effects, View
from headrace.streams.protocol.steps import Steps, ask
from headrace.streams.protocol.takeover import Ports
from headrace.streams.protocol.task import Batch, Task
from headrace.streams.records import Emit, Record, TopicPartition
from headrace.streams.simulation.registry import SimulatedRegistry
from headrace.streams.simulation.worker import Owned, TakeOver, Worker
from headrace.streams.simulation.world import Plan
from headrace.streams.stages import matching
from headrace.streams.stages.matching import Clocks, Matching
from headrace.streams.twins.log import MemoryLog
from headrace.streams.twins.store import MemoryStore
from tests.simulation import bugs_of_waits as waits
from tests.simulation import pacing, repeating, toy

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Bug:
    """A fault in the code, and the odds and the flow by which its world is found soon."""

    name: str
    plant: Callable[[Patch], None]
    plan: Plan = field(default_factory=Plan)
    flow: str = "toy"


def store_before_log(patch: Patch) -> None:
    def commit(
        finished: committing.Finished, ports: Ports, *, checkpoint: bool = False
    ) -> Steps[None]:
        for task, batches in finished:
            if task.spec.stored:
                yield from committing._write_state(task, batches, ports)
        yield from committing._transact(finished, ports)

    patch.setattr(committing, "commit", commit)


def _unguarded_read(
    self: MemoryStore, task: TaskId, token: str, keys: Sequence[str]
) -> tuple[Cut | None, Mapping[str, bytes | None]]:
    cut, states = self.peek(task)
    return cut, {key: states.get(key) for key in keys}


_read_missing = processing._read_missing


def _token_only(task: Task, keys: Any, store: Any, *, restoring: bool) -> Steps[None]:
    yield from _read_missing(task, keys, store, restoring=True)


def reads_unguarded(patch: Patch) -> None:
    patch.setattr(MemoryStore, "read", _unguarded_read)
    patch.setattr(processing, "_read_missing", _token_only)


def reads_with_token_only(patch: Patch) -> None:
    patch.setattr(processing, "_read_missing", _token_only)


def writes_unguarded(patch: Patch) -> None:
    def write(
        self: MemoryStore, task: TaskId, token: str, expected: Any, new: Cut, puts: Any
    ) -> None:
        if task in self._held:
            self._change(task, new, puts)

    patch.setattr(MemoryStore, "write", write)


def unstable_offsets(patch: Patch) -> None:
    def committed(
        self: MemoryLog, tps: Sequence[TopicPartition]
    ) -> Mapping[TopicPartition, Committed | None]:
        return self.broker.committed(self.group, tps, stable=False)

    patch.setattr(MemoryLog, "committed", committed)


def offsets_before_claim(patch: Patch) -> None:
    def take_over(spec: Any, stage: Any, ports: Ports, token: str) -> Steps[Task]:
        offsets = yield from stable(spec, ports.log, takeover._Evidence(None, None, 0, None))

        def known(*_: Any) -> Steps[Any]:
            yield from ()
            return offsets

        patch.setattr(takeover, "_stable_offsets", known)
        steps = original(spec, stage, ports, token)
        # The patched name is looked up while the steps run: set it anew before each of them.
        answer: Any = None
        while True:
            patch.setattr(takeover, "_stable_offsets", known)
            try:
                call = steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            answer = yield call

    original, stable = takeover.take_over, takeover._stable_offsets
    patch.setattr(takeover, "take_over", take_over)


def commit_by_partition(patch: Patch) -> None:
    """JOIN's inputs are committed one by one: a batch overtakes one of the other."""
    original = Worker._commit

    def commit(self: Worker) -> Steps[None]:
        for owned in self.owned.values():
            if len(owned.decl.inputs) > 1 and len(owned.finished) > 1:
                first, second, *rest = owned.finished
                if _moved(first.end, second.end) != _moved(owned.task.acked, first.end):
                    owned.finished = [second, first, *rest]
        yield from original(self)

    patch.setattr(Worker, "_commit", commit)


def _moved(before: Cut, after: Cut) -> list[str]:
    return [topic for topic, offset in after.offsets if offset != before.next_of(topic)]


def states_and_cut_apart(patch: Patch) -> None:
    def write_state(task: Task, batches: Sequence[Batch], ports: Ports) -> Steps[None]:
        puts = {key: value for batch in batches for key, value in batch.puts.items()}
        new = batches[-1].end
        task.target = new
        store: MemoryStore = ports.store  # type: ignore[assignment]

        def states() -> None:
            held = store._owned(task.spec.id, task.token)
            if held.cut != task.acked:
                raise Lost("cut")
            store._change(task.spec.id, held.cut, puts)

        try:
            yield from ask("store.write", states)
            write = partial(store.write, task.spec.id, task.token, task.acked, new, {})
            yield from ask("store.write", write)
        except Lost:
            task.lost = True
            return
        task.acked = new
        task.cache.written = batches[-1].sequence

    patch.setattr(committing, "_write_state", write_state)


def dirty_evicted(patch: Patch) -> None:
    def evict(self: Cache) -> None:
        if not self._whole:
            self._packed.clear()
            self._live.clear()

    patch.setattr(Cache, "_evict", evict)


def cache_kept(patch: Patch) -> None:
    def drop(self: Worker, key: TaskId) -> None:
        kept = self.__dict__.setdefault("kept", {})
        kept[key] = self.owned.pop(key).task.cache

    def own(self: Worker, decl: StageDecl, task: Task) -> Owned:
        old = self.__dict__.get("kept", {}).get(task.spec.id)
        if old is not None:
            task.cache = old
        return Owned(decl, task)

    patch.setattr(Worker, "drop", drop)
    patch.setattr(Worker, "own", own)


def restore_emits(patch: Patch) -> None:
    apply_records = processing.apply_records
    emitted: dict[str, list[Emit]] = {}

    def replaying(task: Task, records: Any, store: Any, context: Context) -> Steps[Any]:
        context = Context(model=toy.ToyFlow().fresh())
        acked, task.acked = task.acked, store.peek(task.spec.id)[0]
        effects = yield from apply_records(task, records, store, context)
        task.acked = acked
        if task.token:
            emitted.setdefault(task.token, []).extend(effects.emits)
        return effects

    def own(self: Worker, decl: StageDecl, task: Task) -> Owned:
        owned = Owned(decl, task)
        if emitted.get(task.token):
            effects = Effects(emitted.pop(task.token))
            owned.finished.append(Batch(0, 0, task.position, effects, {}))
        return owned

    patch.setattr(takeover, "apply_records", replaying)
    patch.setattr(Worker, "own", own)


def earliest(patch: Patch) -> None:
    def first_start(
        spec: Any, log: Any, evidence: Any, committed: Any, start_at_end: bool
    ) -> Steps[Any]:
        nothing = takeover._Evidence(None, None, 0, None)
        return (yield from original(spec, log, nothing, dict.fromkeys(committed), start_at_end))

    original = takeover._first_start
    patch.setattr(takeover, "_first_start", first_start)
    patch.setattr(takeover, "check_not_ahead", lambda *_: None)


def no_witness(patch: Patch) -> None:
    patch.setattr(SimulatedRegistry, "witness", lambda *_: None)


def checkpoint_before_commit(patch: Patch) -> None:
    def commit(
        finished: committing.Finished, ports: Ports, *, checkpoint: bool = False
    ) -> Steps[None]:
        for task, batches in finished:
            if checkpoint and not task.spec.stored:
                yield from committing._checkpoint(task, batches, ports)
        yield from original(finished, ports)

    original = committing.commit
    patch.setattr(committing, "commit", commit)


def checkpoint_without_offset(patch: Patch) -> None:
    def newest(self: SimulatedRegistry, pipeline: str, version: int, upto: int) -> Any:
        found = original(self, pipeline, version, upto)
        return None if found is None else Checkpoint(upto, found.state)

    original = SimulatedRegistry.newest_checkpoint
    patch.setattr(SimulatedRegistry, "newest_checkpoint", newest)


def first_offset_committed(patch: Patch) -> None:
    def process(task: Task, records: Any, store: Any, context: Context) -> Steps[Batch]:
        batch = yield from original(task, records, store, context)
        offsets = {r.topic: r.offset for r in reversed(records)}
        batch.end = batch.end.moved(offsets)
        return batch

    original = processing.process
    patch.setattr(processing, "process", process)


def early_labels_dropped(patch: Patch) -> None:
    one = toy.ToyJoin.one

    def dropping(self: toy.ToyJoin, record: Record, value: Any, view: View, *rest: Any) -> None:
        unknown = view.get(f"i{value['id']}") is None
        if record.topic == "routed" and unknown and sum(1 for _ in view.items()) > 20:
            return
        one(self, record, value, view, *rest)

    patch.setattr(toy.ToyJoin, "one", dropping)


def collection_by_timer(patch: Patch) -> None:
    """JOIN lets go of what is decided now and then, and not at each batch's end."""
    collect = Matching.collect
    batches: Counter[Matching] = Counter()

    def now_and_then(self: Matching, view: View, clocks: Clocks) -> Iterator[tuple[str, int]]:
        batches[self] += 1
        return collect(self, view, clocks) if batches[self] % 3 == 0 else iter(())

    patch.setattr(Matching, "collect", now_and_then)


def one_watermark(patch: Patch) -> None:
    """JOIN takes the farthest source's watermark for that of all."""
    patch.setattr(matching, "_lowest", matching.newest)


def unseeded_order(patch: Patch) -> None:
    chance = random.SystemRandom()

    def keys(self: toy.ToyScore, prepared: list[Any]) -> list[str]:
        chance.shuffle(prepared)
        return original(self, prepared)

    original = toy.ToyScore.keys
    patch.setattr(toy.ToyScore, "keys", keys)


def transaction_broken(patch: Patch) -> None:
    """A take-over is left for other work while its transaction is open."""
    patch.setattr(TakeOver, "in_transaction", False)


def snapshot_misnamed(patch: Patch) -> None:
    """A snapshot is of what the store holds, under the cut that the task has come to."""

    def take(task: Task, store: Any, keep: Any) -> Steps[None]:
        def misnamed(name: TaskId, snapshot: Snapshot) -> None:
            at = task.position
            keep(name, Snapshot(at.offsets[0][1], at.encode(), snapshot.state))

        yield from snapshots.take(task, store, misnamed)

    patch.setattr(committing, "take", take)


def forgotten_ends(patch: Patch) -> None:
    patch.setattr(MemoryLog, "end_forgotten", lambda self: None)


def pauses_kept(patch: Patch) -> None:
    """What was paused when a task was taken away is paused when it comes back."""

    def assign(self: Inputs, positions: Any, paused: Any = ()) -> None:
        self._fetcher.assign(positions)
        self._fetcher.pause(paused)

    patch.setattr(Inputs, "assign", assign)


def links_dropped(patch: Patch) -> None:
    """A state is dropped together with its link."""

    def drop_states(
        self: SimulatedRegistry, pipeline: str, version: int, offsets: Sequence[int]
    ) -> int:
        chain = self._models[pipeline].versions[version].chain
        chain[:] = [link for link in chain if link[0].offset not in offsets]
        return len(offsets)

    patch.setattr(SimulatedRegistry, "drop_states", drop_states)


def _odds(**rates: int) -> Plan:
    return Plan(faults=40, rates=rates, loss="")


BUGS = (
    Bug("the store before the log", store_before_log, _odds(crash=5)),
    Bug("reads without token and cut", reads_unguarded, _odds(rebalance=5, pause=5)),
    Bug("reads with the token only", reads_with_token_only, Plan(80, 40, {"failover": 20}, "")),
    Bug("no guard on writes", writes_unguarded, _odds(pause=5, rebalance=5)),
    Bug("unstable start offsets", unstable_offsets, _odds(rebalance=20, pause=5)),
    Bug("offsets read before the claim", offsets_before_claim, _odds(rebalance=20, pause=5)),
    Bug("commit per partition in JOIN", commit_by_partition, _odds(crash=5)),
    Bug("states and cut in two scripts", states_and_cut_apart, _odds(crash=5, failover=5)),
    Bug("a dirty entry evicted", dirty_evicted),
    Bug("the cache kept over a revoke", cache_kept, _odds(rebalance=20)),
    Bug("restore that emits", restore_emits, _odds(crash=5, wipe=5)),
    Bug("earliest when the offset is gone", earliest, Plan(loss="expire")),
    Bug("no witness", no_witness, Plan(loss="expirewipe")),
    Bug(
        "checkpoint before the commit",
        checkpoint_before_commit,
        _odds(timeout=5, unanswered=5, crash=5),
    ),
    Bug("checkpoint without its offset", checkpoint_without_offset, _odds(crash=5)),
    Bug("the first offset committed", first_offset_committed),
    Bug("early labels dropped by memory", early_labels_dropped),
    Bug("collection by a timer", collection_by_timer, _odds(crash=5), "product"),
    Bug("one watermark for all sources", one_watermark, _odds(crash=5, pause=5), "product"),
    Bug("unseeded order", unseeded_order),
    Bug("a transaction broken off", transaction_broken),
    Bug("a snapshot under another cut", snapshot_misnamed, _odds(wipe=20)),
    Bug(
        "places of sources beside the state",
        repeating.places_beside_state,
        _odds(crash=5),
        "product",
    ),
    Bug("repetitions within a batch", repeating.places_by_batch, _odds(), "product"),
    Bug("a gap in a source", repeating.gap_in_a_source, _odds(), "product"),
    Bug("a pause kept over a revoke", pauses_kept, _odds(rebalance=20)),
    *(Bug(*each, flow="long waits") for each in waits.BUGS),
    Bug("forgotten ends left to the next", forgotten_ends, _odds(forget=20, crash=5)),
    Bug("a link dropped with its state", links_dropped, _odds(prune=20)),
    Bug("metrics emitted by the batch", pacing.emission_by_batch, _odds(crash=5), "product"),
    Bug("a pace kept in memory", pacing.pace_by_memory, _odds(crash=5), "product"),
)
