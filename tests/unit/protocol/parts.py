"""A broker, a store and a registry in memory, and a stage that adds numbers up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from headrace.registry.memory import MemoryRegistry
from headrace.streams.protocol.ports import TaskId
from headrace.streams.protocol.stage import Context, Effects, Stage, View
from headrace.streams.protocol.steps import drive
from headrace.streams.protocol.takeover import Ports, take_over
from headrace.streams.protocol.task import Batch, Spec, Task, process
from headrace.streams.records import Emit, Record
from headrace.streams.twins.broker import Broker
from headrace.streams.twins.log import MemoryLog
from headrace.streams.twins.store import MemoryStore

UNLUCKY = 13
IN, BESIDE, OUT = "in", "beside", "out"
TASK = TaskId("p", 1, "adds", 0)
SPEC = Spec(TASK, (IN,))
BOTH = Spec(TASK, (IN, BESIDE))
LEARN = Spec(TaskId("p", 1, "learns", 0), (IN,), stored=False)


class Adds:
    """Keeps the sum of all numbers, by key, and emits each sum."""

    name = "adds"

    def __init__(self, *, whole: bool = False) -> None:
        self.whole = whole
        self.poison_keys: tuple[str, ...] = ()
        self.loads = 0

    def load(self, view: View) -> None:
        self.loads += 1

    def prepare(self, records: Sequence[Record]) -> Any:
        return [(str(record.key), int(record.value or b"0")) for record in records]

    def keys(self, prepared: Any) -> Collection[str]:
        return list(dict.fromkeys(key for key, _ in prepared))

    def apply(self, prepared: Any, view: View, context: Context) -> Effects:
        emits = []
        for key, number in prepared:
            if number == UNLUCKY:
                raise ValueError(number)
            total = (view.get(key) or 0) + number
            view.put(key, total)
            emits.append(Emit(OUT, 0, None, str(total).encode()))
        return Effects([] if context.restoring else emits)

    def poison(self, record: Record, error: Exception, view: View, context: Context) -> Effects:
        return Effects([Emit(OUT, 0, None, b"poison")])


class Learns(Adds):
    """Keeps the sum in itself."""

    total = 0

    def reset(self, state: bytes | None) -> None:
        self.total = int(state or b"0")

    def dump(self) -> bytes:
        return str(self.total).encode()

    def apply(self, prepared: Any, view: View, context: Context) -> Effects:
        self.total += sum(number for _, number in prepared)
        return Effects(snapshot=None if context.restoring else self.dump())


class World:
    """Everything outside of a worker; workers come and go."""

    def __init__(self, *topics: str) -> None:
        self.broker = Broker()
        for topic in (*(topics or (IN,)), OUT):
            self.broker.create(topic, 1)
        self.store = MemoryStore(undo_limit=100)
        self.registry = MemoryRegistry(lambda state: state.decode())
        self.registry.register_version("p", "{}", "d", {"code": "c"})
        self.inputs = topics or (IN,)
        self.incarnation = 0

    def ports(self, slot: str = "slot") -> Ports:
        """Return the ports of a new process in a slot, which joins the group."""
        log = MemoryLog(self.broker, "group", slot, self.inputs)
        log.init()
        log.join()
        log.poll()
        return Ports(log, self.store, self.registry)

    def publish(self, *numbers: int, topic: str = IN) -> None:
        for number in numbers:
            self.broker.append((topic, 0), b"k", str(number).encode())

    def taken(
        self, ports: Ports, stage: Stage | None = None, spec: Spec = SPEC, **how: Any
    ) -> Task:
        self.incarnation += 1
        made = stage if stage is not None else Adds()
        return drive(take_over(spec, made, ports, f"token-{self.incarnation}", **how))

    def batch(self, task: Task, ports: Ports, topic: str = IN) -> Batch:
        at = task.position.next_of(topic)
        records, _ = self.broker.fetch((topic, 0), at)
        return drive(process(task, records, ports.store, Context()))

    def out(self) -> list[bytes | None]:
        return [record.value for record in self.broker.history((OUT, 0))]


def failing(at: int, error: Exception) -> Callable[[str], None]:
    """Return a hook that raises before the so-manieth call."""
    seen = 0

    def hook(point: str) -> None:
        nonlocal seen
        seen += point.startswith("before:")
        if seen == at:
            raise error

    return hook
