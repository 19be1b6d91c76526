"""A worker process of a world: the protocol's own steps, taken one call at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from headrace.streams.flow import StageDecl
from headrace.streams.protocol import commit as committing
from headrace.streams.protocol import takeover
from headrace.streams.protocol import task as processing
from headrace.streams.protocol.inputs import Inputs
from headrace.streams.protocol.ports import Cut, Lost, TaskId
from headrace.streams.protocol.stage import Context
from headrace.streams.protocol.steps import UNBROKEN, Steps, ask
from headrace.streams.protocol.takeover import Ports
from headrace.streams.protocol.task import Batch, Spec, Task
from headrace.streams.records import Record, TopicPartition
from headrace.streams.simulation.activity import Activity
from headrace.streams.twins.consumer import MemoryConsumer
from headrace.streams.twins.log import MemoryLog

if TYPE_CHECKING:
    from headrace.streams.simulation.flow import Flow
    from headrace.streams.simulation.world import World

IDLE_MS = (1, 5, 20)
"""How long a process that has nothing to do waits for something to arrive."""

Wanted = Sequence[tuple[StageDecl, Spec]]
"""The tasks that a process has been given."""


class Owned:
    """A task of this process with what it has in flight."""

    def __init__(self, decl: StageDecl, task: Task) -> None:
        self.decl = decl
        self.task = task
        self.positions = dict(task.position.offsets)
        self.queue: list[list[Record]] = []
        self.finished: list[Batch] = []
        self.agent: Activity | None = None
        self.paused = False

    def places(self) -> list[TopicPartition]:
        """Return its inputs' partitions."""
        return [(topic, self.task.spec.id.partition) for topic in self.decl.inputs]

    def unfinished(self) -> int:
        """Return how many batches wait or are being processed."""
        return len(self.queue) + (self.agent is not None)


class TakeOver:
    """A task that is being taken over, between two calls."""

    def __init__(self, decl: StageDecl, spec: Spec, steps: Steps[Task]) -> None:
        self.decl = decl
        self.spec = spec
        self.steps = steps
        self.call = next(steps)

    @property
    def in_transaction(self) -> bool:
        """Whether the next call belongs to an open transaction."""
        return self.call.point in UNBROKEN

    def advance(self) -> Steps[Task | None]:
        """Make one call; return the task if it was the last."""
        try:
            answer = yield self.call
        except Exception as error:  # noqa: BLE001 - handed to the asker
            go_on = partial(self.steps.throw, error)
        else:
            go_on = partial(self.steps.send, answer)
        try:
            self.call = go_on()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        return None


class Followed:
    """The model of a pipeline that a process serves, and how far it has followed."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.model = flow.context_model(flow.fresh())
        self.at = 0


class Worker:
    """One process: a main loop like the Kafka thread's, and an agent for each task."""

    def __init__(self, world: World, role: str, slot: int) -> None:
        self.world = world
        self.role = role
        self.slot = slot
        self.name = f"{role}-{slot}"
        self.incarnation = world.number()
        self.paused_until = 0
        self.stages = world.flow.roles[role]
        topics = [topic for decl in self.stages for topic in decl.inputs]
        chunk = world.rng.choice([3, 10, 1000])
        self.log = MemoryLog(world.broker, role, self.name, topics, chunk=chunk)
        self.ports = Ports(self.log, world.store, world.registry)
        self.consumer = MemoryConsumer(world.broker)
        self.inputs = Inputs(self.consumer)
        self.owned: dict[TaskId, Owned] = {}
        self.served = {part.name: Followed(part) for part in world.flow.parts}
        self.follows = world.rng.choice([0.6, 0.6, 0.05, 0])  # else far behind the learner
        self.generation = 0
        self.taking: TakeOver | None = None
        self.main = Activity(world, self.title(), self._main())

    def title(self) -> str:
        """Return the process' name, which no other one has."""
        return f"{self.name}#{self.incarnation}"

    def standing(self) -> str:
        """Return between which calls the main loop stands."""
        return self.main.standing()

    def activities(self) -> list[Activity]:
        """Return what can go on: the main loop, and agents that have work."""
        agents = []
        for owned in self.owned.values():
            if owned.agent is None and owned.queue:
                owned.agent = self._agent(owned, owned.queue.pop(0))
            if owned.agent is not None:
                agents.append(owned.agent)
        now = self.world.broker.now_ms
        return [each for each in (self.main, *agents) if each.waits_until <= now]

    def ready(self, now_ms: int) -> bool:
        """Return whether anything can go on."""
        if self.main.waits_until <= now_ms:
            return True
        return any(owned.queue or owned.agent is not None for owned in self.owned.values())

    def step(self, activity: Activity) -> None:
        """Take a step of one activity; an error that ends the process comes out of here."""
        try:
            activity.step()
        except StopIteration:
            for owned in self.owned.values():
                if owned.agent is activity:
                    owned.agent = None

    # the main loop

    def _main(self) -> Steps[None]:
        world, log = self.world, self.log
        yield from ask("log.end_forgotten", log.end_forgotten)
        yield from ask("log.init", log.init)
        yield from ask("log.join", log.join)
        while True:
            wanted = yield from self._poll()
            yield from self._take_overs(wanted)
            owned = list(self.owned.values())
            for each in world.rng.sample(owned, len(owned)):
                if world.rng.random() < 0.7:
                    yield from self._feed(each)
            if world.rng.random() < 0.6:
                yield from self._commit()
            if self._is_idle(wanted):
                self.main.waits_until = world.broker.now_ms + world.rng.choice(IDLE_MS)

    def _take_overs(self, wanted: Wanted) -> Steps[None]:
        """Take over what is wanted, or some of it: the group is polled in between too."""
        for decl, spec in wanted:
            if spec.id not in self.owned:
                yield from self._take_over(decl, spec)
                if self.taking is not None or self.world.rng.random() < 0.3:
                    return

    def _is_idle(self, wanted: Wanted) -> bool:
        """Return whether nothing is to be done before something arrives."""
        if self.taking is not None or any(spec.id not in self.owned for _, spec in wanted):
            return False
        return not any(each.finished or each.unfinished() for each in self.owned.values())

    def _poll(self) -> Steps[Wanted]:
        assigned = yield from ask("log.poll", self.log.poll)
        if self.log.generation != self.generation:
            self.generation = self.log.generation
            self.revoke()
        for key in [key for key, owned in self.owned.items() if owned.task.lost]:
            self.drop(key)
        return [
            (decl, self.world.spec(decl, number))
            for decl in self.stages
            for number in range(decl.tasks)
            if all((topic, number) in assigned for topic in decl.inputs)
        ]

    def revoke(self) -> None:
        """Let go of all tasks, as a rebalance asks."""
        self.taking = None
        for key in list(self.owned):
            self.drop(key)

    def drop(self, key: TaskId) -> None:
        """Forget a task with everything that it has in flight."""
        self.world.note(self.title(), f"drops {named(key)}", key)
        del self.owned[key]

    def _take_over(self, decl: StageDecl, spec: Spec) -> Steps[None]:
        """Go on with a take-over for some calls: other tasks are fed and committed meanwhile."""
        world, taking = self.world, self.taking
        if taking is None:
            stage = world.flow.part(decl).stage(decl.name, spec.id.partition)
            token = f"token-{world.number()}"
            steps = takeover.take_over(spec, stage, self.ports, token)
            taking = self.taking = TakeOver(decl, spec, steps)
        calls = world.rng.choice([1, 4, 1_000])
        while calls > 0 or taking.in_transaction:
            calls -= 1
            try:
                task = yield from taking.advance()
            except Lost:
                self.taking = None
                return
            if task is not None:
                key = taking.spec.id
                self.owned[key] = self.own(taking.decl, task)
                self.taking = None
                self._assign()
                world.note(self.title(), f"took over {named(key)} at {placed(task.position)}", key)
                return

    def own(self, decl: StageDecl, task: Task) -> Owned:
        """Begin to work on a task that was taken over."""
        return Owned(decl, task)

    def _assign(self) -> None:
        """Fetch what is owned, each input from its own position on."""
        owned = self.owned.values()
        positions = {
            (topic, each.task.spec.id.partition): at
            for each in owned
            for topic, at in each.positions.items()
        }
        self.inputs.assign(positions, [tp for each in owned if each.paused for tp in each.places()])

    def _feed(self, owned: Owned) -> Steps[None]:
        world, task = self.world, owned.task
        full = owned.unfinished() >= 2 or len(owned.finished) >= 3
        if full and not owned.paused:
            self.inputs.pause(owned.places())
        elif owned.paused and not full:
            self.inputs.resume(owned.places())
        owned.paused = full
        if full or task.lost:
            return
        lists: list[Sequence[Record]] = []
        topics = list(owned.decl.inputs)
        if world.rng.random() < 0.5:
            topics = [world.rng.choice(topics)]
        for topic in topics:
            limit = world.rng.choice([1, 2, 5, 20, 100])
            tp = (topic, task.spec.id.partition)
            fetch = partial(self.consumer.consume, tp, limit)
            records, owned.positions[topic] = yield from ask("consume", fetch)
            lists.append(records)
        batch = list(interleaved(world, lists))
        wanted = world.flow.part(owned.decl).remind(task, world.rng)
        if batch or wanted:
            owned.queue.append(batch)

    def _commit(self) -> Steps[None]:
        world = self.world
        chosen: list[tuple[Owned, list[Batch]]] = []
        for owned in self.owned.values():
            count = world.rng.randint(0, len(owned.finished))
            if count:
                chosen.append((owned, owned.finished[:count]))
        if not chosen:
            return
        due = world.rng.random() < 0.5
        finished = [(owned.task, batches) for owned, batches in chosen]
        yield from committing.commit(finished, self.ports, checkpoint=due)
        for owned, batches in chosen:
            del owned.finished[: len(batches)]
            if not any(batch.count for batch in batches):
                continue  # a reminder of LEARN's: nothing of it is to be told
            key, end = owned.task.spec.id, batches[-1].end
            lost = ", and lost it" if owned.task.lost else ""
            world.note(self.title(), f"committed {named(key)} to {placed(end)}{lost}", key)

    # agents

    def _agent(self, owned: Owned, records: list[Record]) -> Activity:
        return Activity(self.world, f"{self.title()} agent", self._process(owned, records))

    def _process(self, owned: Owned, records: list[Record]) -> Steps[None]:
        world, task = self.world, owned.task
        key = task.spec.id
        if self.role == "score" and world.rng.random() < self.follows:
            yield from self._follow(self.served[key.pipeline])
        context = Context(model=self.served[key.pipeline].model if self.role == "score" else None)
        try:
            batch = yield from processing.process(task, records, self.ports.store, context)
        except Lost as error:
            task.lost = True
            world.note(self.title(), f"lost {named(key)}: {error}", key)
            return
        owned.finished.append(batch)
        if world.traced and records:
            world.note(self.title(), f"processed {spans(records)}", key)

    def _follow(self, followed: Followed) -> Steps[None]:
        """Serve the newest announced model."""
        world, flow = self.world, followed.flow
        fetch = partial(world.broker.fetch, flow.models, followed.at)
        announcements, followed.at = yield from ask("follow", fetch)
        for record in reversed(announcements):
            served = flow.announced(record, world.registry.reader(flow.name))
            if served is not None:
                followed.model = flow.context_model(served)
                break


def named(task: TaskId) -> str:
    """Return a task's name in a trace."""
    return f"{task.stage}-{task.partition}"


def spans(records: Sequence[Record]) -> str:
    """Return the places of records as a trace says them."""
    offsets: dict[str, list[int]] = {}
    for record in records:
        offsets.setdefault(f"{record.topic}-{record.partition}", []).append(record.offset)
    return ", ".join(
        f"{name} @{found[0]}" + (f"..{found[-1]}" if len(found) > 1 else "")
        for name, found in offsets.items()
    )


def placed(cut: Cut) -> str:
    """Return a cut as a trace says it."""
    return ", ".join(f"{topic} @{offset}" for topic, offset in cut.offsets)


def interleaved(world: World, lists: Sequence[Sequence[Record]]) -> Iterator[Record]:
    """Merge lists, each in its order, as a seed has it."""
    left = [list(reversed(each)) for each in lists if each]
    while left:
        chosen = world.rng.choice(left)
        yield chosen.pop()
        left = [each for each in left if each]
