"""One world: a broker, a store, a registry, workers, publishers, faults; all from one seed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple
from zlib import crc32

from headrace.schemas.errors import Refused, ServiceError
from headrace.streams.flow import StageDecl
from headrace.streams.protocol.ports import Dead, TaskId
from headrace.streams.protocol.task import Spec
from headrace.streams.simulation.check import check
from headrace.streams.simulation.faults import Fault, Faults
from headrace.streams.simulation.flow import Publication, Workload
from headrace.streams.simulation.invariants import Invariant, Watch
from headrace.streams.simulation.registry import SNAPSHOT_RECORDS, VERSION, SimulatedRegistry
from headrace.streams.simulation.strikes import FAULTS, LOSSES, STRIKES, YOUNGER, lose
from headrace.streams.simulation.worker import Worker
from headrace.streams.twins.broker import Broker
from headrace.streams.twins.store import MemoryStore

TRACE_MAX = 5_000
"""So many of a world's last steps are kept."""


@dataclass(frozen=True)
class Plan:
    """What a seed is run with; the defaults are drawn from the seed.

    Attributes
    ----------
    events
        How many are made up.
    faults
        How many strike at most.
    rates
        How often faults of a kind strike; see :class:`Faults`.
    loss
        What is lost that cannot be healed: some of :data:`LOSSES`, or nothing.
    ticks
        For how long faults strike.
    cache_limit
        How many entries a task's cache keeps.
    workers
        How many processes each role has.
    only
        The faults that strike, and no others.
    kept
        The numbers of the publications that are published, and no others.
    order
        Another number, another interleaving of the same things.
    """

    events: int = 200
    faults: int | None = None
    rates: Mapping[str, int] = field(default_factory=dict)
    loss: str | None = None
    ticks: int | None = None
    cache_limit: int | None = None
    workers: int | None = None
    only: Sequence[Fault] | None = None
    kept: Sequence[int] | None = None
    order: int = 0


SETTLE_TICKS = 20_000
"""So long a world of up to a thousand events may take to come to rest."""

MARKER_DELAYS_MS = ((0,), (0, 0, 0, 3, 30))
"""How long after a transaction's end its control records are written: at once, or some day."""


class Step(NamedTuple):
    """A line of a world's trace.

    Attributes
    ----------
    task
        The task that it is about, if it is about one.
    call
        Whether it is a single remote call: of interest to whoever looks for a bug in the protocol.
    """

    now_ms: int
    who: str
    what: str
    task: TaskId | None = None
    call: bool = False


class World:
    """A world that runs until it is healed, restarted and checked, or until it is wrong.

    Attributes
    ----------
    wrong
        A sentence for each invariant that does not hold.
    refused
        Why a worker refused to start, if something was lost that cannot be healed.
    rng
        Decides whatever happens in a tick: seeded anew for each, lest a change in one moves all.
    made
        All publications, as made up of the seed.
    published
        The tick of each, of those too that are left out.
    """

    worker_class = Worker

    def __init__(
        self,
        seed: int,
        flow: Workload,
        plan: Plan | None = None,
        *,
        traced: bool = False,
        made: Sequence[Publication] | None = None,
    ) -> None:
        self.seed = seed
        self.flow = flow
        self.plan = plan = plan or Plan()
        rng = self.rng = Random(seed)
        self.trace: deque[Step] = deque(maxlen=TRACE_MAX)
        self.traced = traced
        self.wrong: list[str] = []
        self.refused = ""
        self.healing = False
        self.restarted = False
        self.lost = False
        rates = {kind: rng.choice([0, 1, 1, 3]) for kind in FAULTS if kind not in YOUNGER}
        # Drawn by themselves: the kept seeds are the worlds that they were before these.
        rates |= {k: Random(f"{seed} rate of {k}").choice([0, 1, 1, 3]) for k in YOUNGER}
        rates |= plan.rates
        most = rng.randint(0, 40)
        self.faults = Faults(seed, rates, most if plan.faults is None else plan.faults, plan.only)
        loss = rng.choice([""] * 21 + list(LOSSES))
        self.loss = loss if plan.loss is None else plan.loss
        self._lost_at = rng.expovariate(0.004)
        self.cache_limit = plan.cache_limit or rng.choice([2, 4, 1000])
        self.ticks = plan.ticks or rng.choice([300, 800, 1500])
        self._numbers = 0
        self._agenda: list[tuple[int, Callable[[], None]]] = []
        delays = rng.choice(MARKER_DELAYS_MS)
        self.broker = Broker(
            transaction_timeout_ms=rng.choice([60, 150]),
            session_timeout_ms=rng.choice([60, 150]),
            marker_delay_ms=lambda: rng.choice(delays),
        )
        for topic in flow.topics:
            self.broker.create(topic.name, topic.partitions, append_time=topic.append_time)
        self.store = self.make_store()
        self.registry = SimulatedRegistry(self)
        drawn = {role: rng.randint(1, 3) for role in flow.roles}
        self.slots = drawn if plan.workers is None else dict.fromkeys(drawn, plan.workers)
        self.watch = Watch(self)
        self.workers: list[Worker] = []
        self.restarts: list[tuple[int, str, int]] = []
        self.made = made or flow.published(Random(f"{seed} events"), plan.events)
        self._unpublished = self._to_publish()

    def _to_publish(self) -> deque[tuple[int, Publication]]:
        """Return what is to be published, with its tick, whatever else may happen."""
        kept = set(range(len(self.made)) if self.plan.kept is None else self.plan.kept)
        self.published: list[int] = []
        rng, tick, many = Random(f"{self.seed} pace"), 0, 0
        found: deque[tuple[int, Publication]] = deque()
        for number, publication in enumerate(self.made):
            while not many:
                tick += 1
                many = rng.choice([1, 3, 10]) if rng.random() < 0.4 else 0
            many -= 1
            self.published.append(tick)
            if number in kept:
                found.append((tick, publication))
        return found

    # what workers ask of the world

    def make_store(self) -> MemoryStore:
        """Return the world's store."""
        return MemoryStore(undo_limit=30)

    def number(self) -> int:
        """Return a number that was not there before."""
        self._numbers += 1
        return self._numbers

    def task_id(self, decl: StageDecl, number: int) -> TaskId:
        """Return the name of a stage's task."""
        return TaskId(self.flow.part(decl).name, VERSION, decl.name, number)

    def spec(self, decl: StageDecl, number: int) -> Spec:
        """Return a stage's task."""
        kept = min(decl.snapshot_records, SNAPSHOT_RECORDS)
        return Spec(self.task_id(decl, number), decl.inputs, decl.stored, self.cache_limit, kept)

    def hit(self, kind: str) -> Random | None:
        """Return what decides a fault's details if one of a kind strikes this call."""
        return self.faults.strike_call(kind)

    def pick(self, workers: Sequence[Worker], rng: Random) -> Worker:
        """Return one of some processes; if others are there or are not, it is mostly the same."""
        salt = rng.random()
        sign = rng.choice([1, -1])  # of two in one slot, the older one or the younger
        return min(
            workers, key=lambda w: (crc32(f"{salt} {w.name}".encode()), sign * w.incarnation)
        )

    def note(self, who: str, what: str, task: TaskId | None = None, *, call: bool = False) -> None:
        """Add a line to the trace, if one is kept."""
        if self.traced:
            self.trace.append(Step(self.broker.now_ms, who, what, task, call))

    def later(self, after_ms: int, do: Callable[[], None]) -> None:
        """Do something in a while, whoever lives then."""
        self._agenda.append((self.broker.now_ms + after_ms, do))

    def violation(self, invariant: Invariant, sentence: str) -> None:
        """Say what does not hold, and where."""
        self.wrong.append(f"not so: {invariant}: {sentence}")

    # the run

    def run(self) -> list[str]:
        """Run to the end; return what is wrong."""
        try:
            self._run_all()
        except (AssertionError, RuntimeError) as error:
            # An invariant that is asserted where it must hold, or a generator that broke.
            self.violation(Invariant.CODE, repr(error))
        return self.wrong

    def _run_all(self) -> None:
        self._start_all()
        for _ in range(self.ticks):
            if not self._tick():
                return
        self.healing = True
        if not self._settle():
            return
        # Restart everything once more: what a restore leads to must agree with the fold too.
        self.workers.clear()
        self.restarts.clear()
        self.note("world", "everything is restarted")
        if Random(f"{self.seed} restart").random() < 0.4:
            self.note("world", "the store loses everything before the restart")
            self.store.wipe()
        self.restarted = True
        self._start_all()
        if self._settle():
            for invariant, sentence in check(self):
                self.violation(invariant, sentence)

    def _settle(self) -> bool:
        most = SETTLE_TICKS * (1 + self.plan.events // 1_000)
        for number in range(most):
            if not self._tick():
                return False
            if number % 20 == 0 and self._settled():
                return True
        self.violation(Invariant.REST, f"not within {most} ticks")
        return False

    def _start_all(self) -> None:
        for role, count in self.slots.items():
            for slot in range(count):
                self.start(role, slot)

    def start(self, role: str, slot: int) -> None:
        """Start a process in a slot."""
        worker = self.worker_class(self, role, slot)
        self.workers.append(worker)
        self.note(worker.title(), "starts")

    def _tick(self) -> bool:
        """Let some time pass; return whether the world goes on."""
        now = self.broker.now_ms + 1
        self.rng.seed(f"{self.seed} {self.plan.order} {now}")
        self.faults.go_on(now, healing=self.healing)
        self.broker.advance(now)
        self._do_due(now)
        awake = [worker for worker in self.workers if worker.paused_until <= now]
        for worker in awake:
            worker.log.heartbeat()
            if worker.paused_until == now:
                self.watch.wakes(worker)
        self._restart_due(now)
        self._publish(now)
        ready = [worker for worker in awake if worker.ready(now)]
        if ready:
            worker = self.pick(ready, self.rng)
            self._run(worker)
            self.watch.look(worker.role)
        if not self.healing:
            self._strike(now)
        return not (self.wrong or self.refused)

    def _run(self, worker: Worker) -> None:
        for _ in range(self.rng.choice([1, 3, 8, 20])):
            activities = worker.activities()
            if not activities:
                return
            try:
                worker.step(self.rng.choice(activities))
            except (Dead, ServiceError) as error:
                self.note(worker.title(), f"ends itself: {type(error).__name__}: {error}")
                self.remove(worker)
                return
            except Refused as error:
                self.note(worker.title(), f"refuses: {error}")
                if self.lost:
                    self.refused = error.reason
                else:
                    self.violation(Invariant.REFUSALS, error.reason)
                return

    def _do_due(self, now: int) -> None:
        for due in [due for due in self._agenda if due[0] <= now]:
            self._agenda.remove(due)
            due[1]()

    def remove(self, worker: Worker) -> None:
        """Take away a process that has ended; its slot is started again in a while."""
        self.workers.remove(worker)
        if not any(other.name == worker.name for other in self.workers):
            after = self.rng.choice([1, 20, 100, 250])
            self.restarts.append((self.broker.now_ms + after, worker.role, worker.slot))

    def _restart_due(self, now: int) -> None:
        for due in [due for due in self.restarts if due[0] <= now]:
            self.restarts.remove(due)
            if due[2] < self.slots[due[1]] and not any(
                w.role == due[1] and w.slot == due[2] for w in self.workers
            ):
                self.start(due[1], due[2])

    def _publish(self, now: int) -> None:
        while self._unpublished and self._unpublished[0][0] <= now:
            _, (tp, key, value, timestamp_ms, headers) = self._unpublished.popleft()
            at = self.broker.append(tp, key, value, headers=headers, timestamp_ms=timestamp_ms)
            if self.traced:
                said = dict(headers) if value is None else str(value)[1:].strip("'")
                self.note("publisher", f"writes {tp[0]}-{tp[1]} @{at}: {said}")

    def _strike(self, now: int) -> None:
        for kind, strike in STRIKES.items():
            rng = self.faults.strike(kind)
            if rng is not None:
                strike(self, rng)
        if self.loss and not self.lost and now >= self._lost_at and self._all_known():
            self.lost = True
            lose(self, Random(f"{self.seed} loss"))

    def _all_known(self) -> bool:
        """Whether all tasks were started: what was lost before that, nobody can know."""
        return all(self.registry.knows(key) for _, _, key in self.tasks())

    # rest

    def tasks(self) -> list[tuple[str, StageDecl, TaskId]]:
        """Return all tasks with their role and stage."""
        return [
            (role, decl, self.task_id(decl, number))
            for role, stages in self.flow.roles.items()
            for decl in stages
            for number in range(decl.tasks)
        ]

    def _settled(self) -> bool:
        if self._unpublished or self._agenda or self.broker.busy():
            return False
        if self.restarted:  # each task must have been restored once more
            owned = {key for worker in self.workers for key in worker.owned}
            if any(key not in owned for _, _, key in self.tasks()):
                return False
        return all(self._task_settled(*each) for each in self.tasks())

    def _task_settled(self, role: str, decl: StageDecl, key: TaskId) -> bool:
        tps = [(topic, key.partition) for topic in decl.inputs]
        offsets = self.broker.committed(role, tps, stable=False)
        for tp, committed in offsets.items():
            if committed is None:
                if self.lost and not self.restarted:
                    continue  # an idle owner does not notice; the restart does
                return False
            if self.broker.fetch(tp, committed.offset, limit=1)[0]:
                return False
        if decl.stored and self.restarted:
            cut, _ = self.store.peek(key)
            return cut is not None and all(
                committed is not None and cut.next_of(tp[0]) == committed.offset
                for tp, committed in offsets.items()
            )
        return True
