"""What each fault does to a world; those of single calls are the worker's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, cast

from headrace.registry.pruning import StateRetention, unneeded_states
from headrace.streams.protocol.ports import Committed
from headrace.streams.records import TopicPartition
from headrace.streams.simulation.registry import VERSION

if TYPE_CHECKING:
    from headrace.streams.simulation.registry import SimulatedRegistry
    from headrace.streams.simulation.world import World
    from headrace.streams.twins.store import MemoryStore

Offsets = Mapping[TopicPartition, Committed | None]

LOSSES = ("expire", "headcut", "recreate")
"""What no protocol can heal: the right answer is to refuse."""

FORGET = "forget"
"""The broker is killed, and comes back without knowing what it still had to mark."""

PRUNE = "prune"
"""States of checkpoints that nobody needs any more are dropped."""

WORKERS = (1, 4, 2)
"""To so many processes a role is scaled."""


def _crash(world: World, rng: Random) -> None:
    if world.workers:
        worker = world.pick(world.workers, rng)
        world.note(worker.title(), f"crashes, {worker.standing()}")
        world.remove(worker)


def _pause(world: World, rng: Random) -> None:
    """Let a process stand still, to wake as a zombie; at times another is started in its slot."""
    if not world.workers:
        return
    worker = world.pick(world.workers, rng)
    worker.paused_until = world.broker.now_ms + rng.choice([20, 100, 250, 400])
    world.note(worker.title(), f"stands still until {worker.paused_until}, {worker.standing()}")
    if rng.random() < 0.3:
        world.start(worker.role, worker.slot)


def _second(world: World, rng: Random) -> None:
    """Start a process in a slot whose process runs: for a while both believe that it is theirs."""
    if world.workers:
        worker = world.pick(world.workers, rng)
        world.note(worker.title(), "is not the only one in its slot any more")
        world.start(worker.role, worker.slot)


def _scale(world: World, rng: Random) -> None:
    """Give a role more slots, or fewer: then some leave for good, now and then without a word."""
    role, count = rng.choice(sorted(world.slots)), rng.choice(WORKERS)
    before = world.slots[role]
    if any(f"{role}-{slot}" in world.broker.unended() for slot in range(count, before)):
        return  # nobody else could end what the broker has forgotten
    world.note("world", f"scales {role} from {before} to {count}")
    world.slots[role] = count
    for slot in range(before, count):
        world.start(role, slot)
    for worker in [w for w in world.workers if w.role == role and w.slot >= count]:
        world.remove(worker)
        if rng.random() < 0.7:
            worker.log.leave()


def _wipe(world: World, rng: Random) -> None:
    world.note("world", "the store loses everything")
    world.store.wipe()


def _evict(world: World, rng: Random) -> None:
    """Let the store drop all of one task."""
    _, _, task = rng.choice(world.tasks())
    world.note("world", f"the store evicts {task.stage}-{task.partition}", task)
    world.store.evict(task)


def _outage(world: World, rng: Random) -> None:
    """Let the store or the registry answer nobody for a while."""
    service = cast("MemoryStore | SimulatedRegistry", rng.choice([world.store, world.registry]))
    for_ms = rng.choice([5, 50, 200])
    world.note("world", f"{type(service).__name__} does not answer for {for_ms} ms")
    service.answers = False

    def come_back() -> None:
        service.answers = True

    world.later(for_ms, come_back)


def _stale(world: World, rng: Random) -> None:
    """Let the registry be read for a while as it was.

    Not where more is lost than can be healed: there a witness is needed as it is.
    """
    if world.loss:
        return
    for_ms = rng.choice([20, 100])
    world.note("world", f"the registry is read as it is now, for {for_ms} ms")
    world.registry.freeze()
    world.later(for_ms, world.registry.thaw)


def _failover(world: World, rng: Random) -> None:
    """Let the store go back to what a replica had."""
    steps = rng.choice([1, 2, 5, 12, 30])
    world.note("world", f"the store fails over to a replica that is {steps} steps behind")
    world.store.fail_over(steps)


def _rebalance(world: World, rng: Random) -> None:
    if not world.broker.groups:
        return
    name = rng.choice(sorted(world.broker.groups))
    group = world.broker.groups[name]
    order = group.instances()
    rng.shuffle(order)
    world.note("world", f"group {name} rebalances, in the order {', '.join(order)}")
    group.reshuffle(order)


def _forget(world: World, rng: Random) -> None:
    """Kill the broker, and let it come back without knowing what it still had to mark.

    For so long no call is answered, and whoever has committed just before ends. Of a slot that has
    been scaled in nothing is forgotten: nobody would be there to end it.
    """
    slots = {f"{role}-{slot}" for role, count in world.slots.items() for slot in range(count)}
    names = world.broker.restart(lambda name: name in slots and rng.random() < 0.5)
    world.note("world", f"the broker restarts; without their ends: {', '.join(names) or 'none'}")
    for worker in [worker for worker in world.workers if worker.name in names]:
        world.note(worker.title(), "ends: the broker was away")
        world.remove(worker)


def _prune(world: World, rng: Random) -> None:
    """Drop the states of checkpoints that nobody needs, in a world where a tick is a minute."""
    every, daily = (timedelta(minutes=rng.choice([0, 30, 300])) for _ in range(2))
    retention = StateRetention(every, daily, timedelta(0), newest=1)
    for flow in world.flow.parts:
        examples = next(d for d in world.flow.roles["learn"] if world.flow.part(d) is flow)
        oldest, _ = world.broker.bounds((examples.inputs[0], 0))
        chain = world.registry.checkpoints(flow.name, VERSION)
        offsets = unneeded_states(chain, retention, world.registry.now, oldest)
        world.note("world", f"states of checkpoints of {flow.name} are dropped: {offsets}")
        world.registry.drop_states(flow.name, VERSION, offsets)


STRIKES: Mapping[str, Callable[[World, Random], None]] = {
    "crash": _crash,
    "pause": _pause,
    "second": _second,
    "scale": _scale,
    "wipe": _wipe,
    "evict": _evict,
    "outage": _outage,
    "stale": _stale,
    "failover": _failover,
    "rebalance": _rebalance,
    FORGET: _forget,
    PRUNE: _prune,
}
"""Faults of a whole world, with what they do."""

CALL_FAULTS = (
    "timeout",  # a call to the log or the registry gives no answer, and was not made
    "unanswered",  # the same, and it was made
    "lostreply",  # the store's answer is lost, and the call is made again
    "late",  # the same, and the first request arrives when it is long forgotten
    "slow",  # a call takes long, before it is made or after
)
"""Faults of a single call."""

OLD_OFFSETS = "oldoffsets"
"""A coordinator answers offsets of before, as one that has just come back was seen to do."""

FAULTS = (*CALL_FAULTS, *STRIKES, OLD_OFFSETS)

YOUNGER = (OLD_OFFSETS, FORGET, PRUNE)
"""Faults that are younger than kept seeds; how often they strike is drawn by itself."""


def older(world: World, committed: Offsets, rng: Random) -> Offsets:
    """Return committed offsets as they were before their task's state was written.

    Older than the truth, and not than the state: nobody could tell that from the truth. And a
    learner's state is a checkpoint, of which it may have read before the newest was there.
    """
    found = dict(committed)
    for _, decl, key in world.tasks():
        cut = world.store.peek(key)[0] if decl.stored else None
        for topic in decl.inputs if cut else ():
            tp = (topic, key.partition)
            known, reached = committed.get(tp), cut.next_of(topic) if cut else 0
            if known is not None and reached:
                at = rng.randrange(-1, reached)
                found[tp] = None if at < 0 else known._replace(offset=at)
    return found


def lose(world: World, rng: Random) -> None:
    """Lose what cannot be healed: committed offsets, heads of logs, a topic."""
    loss = world.loss
    world.note("world", f"what cannot be healed: {loss}")
    inputs = [
        (role, (topic, number))
        for role, stages in world.flow.roles.items()
        for decl in stages
        for topic in decl.inputs
        for number in range(decl.tasks)
    ]
    for role, tp in inputs:
        if "expire" in loss and (role == "learn" or rng.random() < 0.5):
            world.broker.expire_offsets(role, [tp])
        if "headcut" in loss and rng.random() < 0.5:
            found = world.broker.committed(role, [tp], stable=False)[tp]
            if found is not None:
                world.broker.cut_head(tp, found.offset)
    if "recreate" in loss:
        topic = rng.choice([t for t in world.flow.topics if t.partitions > 1])
        world.broker.create(topic.name, topic.partitions, append_time=topic.append_time)
    if "wipe" in loss:
        world.store.wipe()
