"""A pipeline under load on services of its own, to which faults are done one after another."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from headrace.app.stack.process import LOOPBACK
from headrace.app.wiring import role_spec
from headrace.streams.engine.roles import group_of
from headrace.streams.flow import ROLES
from tests.faults.load import Load
from tests.faults.proxy import Net
from tests.faults.services import FaultStack
from tests.faults.slots import NONE, Slot, wait_until
from tests.faults.system import System
from tests.faults.watch import Watch
from tests.services import fetch_or_skip

WIRED = ("score-0", "join-0", "learn-0")
"""Workers that reach the services by wires."""

RECOVERY_S = 30.0
"""Within this time after a fault everything must go on, on a machine that has a core to spare."""

PATIENCE_S = 120.0
"""So long it is waited for what is late; then nothing goes on any more."""

WARM_S = 6.0
_START_S = 120.0
SESSION_MS = 4_000

_SETTINGS = {
    "HEADRACE_PARTITIONS": "4",
    "HEADRACE_SESSION_MS": str(SESSION_MS),
    "HEADRACE_TRANSACTION_MS": "4000",
    "HEADRACE_STALL_S": "10",
}


class Stuck(Exception):
    """A pipeline does not go on any more."""


class Size(NamedTuple):
    """How many workers of each role there are, and how fast records come."""

    score: int = 2
    join: int = 2
    learn: int = 2
    rate: float = 60.0


SMALL = Size()


class Trial:
    """What a fault is done to.

    Attributes
    ----------
    limit_s
        Within this time after a fault everything that was live must go on.
    evidence
        How everything stood when that time was over, the last time that it was not enough.
    """

    def __init__(
        self, stack: FaultStack, system: System, load: Load, watch: Watch, limit_s: float
    ) -> None:
        self.limit_s = limit_s
        self.evidence = ""
        self.stack = stack
        self.system = system
        self.load = load
        self.watch = watch

    def wait(self, seconds: float) -> None:
        """Let time pass, looking after the workers."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.system.look_after()
            time.sleep(0.02)

    def wait_for(self, holds: Callable[[], bool], limit_s: float, what: str) -> float:
        """Wait until something is so, looking after the workers; return the seconds."""

        def looked() -> bool:
            self.system.look_after()
            return holds()

        return wait_until(looked, limit_s, what)

    def comes(self, holds: Callable[[], bool], limit_s: float) -> bool:
        """Wait until something is so, looking after the workers; return whether it came."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            self.system.look_after()
            if holds():
                return True
            time.sleep(0.02)
        return holds()

    def busy(self) -> list[Slot]:
        """Return the places of workers that say of themselves that they hold tasks."""
        board = self.system.workers()
        return [
            slot
            for name, slot in self.system.slots.items()
            if (said := board.get(name)) and said["pid"] == slot.pid and said["tasks"]
        ]

    def recovered_s(self, since_s: float) -> tuple[float, float]:
        """Wait until everything goes on after a time.

        Returns
        -------
        tuple
            How long that took from there, and how long it took until all tasks had committed.

        Raises
        ------
        Stuck
            Something does not, although it had far more time than it may take.
        """
        end = time.time()
        if not self.comes(lambda: not self.watch.silent(end), self.limit_s):
            self.evidence = self._evidence(self.watch.silent(end))
        if not self.comes(lambda: not self.watch.silent(end), PATIENCE_S):
            raise Stuck(f"silent for {PATIENCE_S:g} s: {self.evidence}")
        found = self.watch.recovered_s(since_s)
        committed = self.watch.recovered_s(since_s, commits=True)
        assert found is not None
        assert committed is not None
        return found, committed

    def _evidence(self, silent: Sequence[str]) -> str:
        """Return what is silent, what the broker has of it, and how the workers stand."""
        found = [*silent, *self.watch.ends(silent)]
        found += [f"{name}: {json.dumps(said)}" for name, said in self.system.workers().items()]
        return "\n".join(found)

    def mend(self) -> None:
        """Bring everything back that a fault may have left behind which failed half-way."""
        self.stack.mend()
        self.system.set_disk(full=False)
        for slot in self.system.slots.values():
            slot.following, slot.left_empty = NONE, False
            slot.signal(signal.SIGCONT)

    def restarts(self) -> dict[str, int]:
        """Return how often each slot's worker has ended so far."""
        return {name: len(slot.codes) for name, slot in self.system.slots.items()}

    def revive(self, name: str) -> float:
        """Start a part that is dead; return when it answered."""
        self.stack.begin_again(name)
        part = self.stack.part(name)
        self.wait_for(part.answers, 60, f"{part.name} answers")
        return time.time()

    def health(self, slot: Slot) -> str:
        """Return what a worker says that it waits for; ``?`` if it does not answer."""
        connection = http.client.HTTPConnection(LOOPBACK, slot.port, timeout=2)
        try:
            connection.request("GET", "/health")
            found = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return "?"
        finally:
            connection.close()
        return str(found["waits_for"])


def watch_of(system: System) -> Watch:
    """Return a watch over a system's outputs, and over what its roles commit."""
    topics = system.plan.topics
    inputs = {
        group_of(system.name, role): role_spec(system.prepared, role)[0].topics for role in ROLES
    }
    outputs = [topics.predictions, topics.examples, topics.models]
    return Watch(system.services.kafka, outputs, inputs)


@contextmanager
def trial(
    size: Size = SMALL,
    *,
    postgres: bool = False,
    limit_s: float = RECOVERY_S,
    stack_type: type[FaultStack] = FaultStack,
) -> Iterator[Trial]:
    """Lend a trial whose pipeline runs under load; all of it is gone afterwards."""
    data = Path(tempfile.mkdtemp(prefix="headrace-faults-"))
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, data, ignore_errors=True)
        fetch_or_skip(data)
        net = Net()
        ends.callback(net.close)
        stack = ends.enter_context(stack_type(data, net, WIRED, postgres=postgres))
        names = {"kafka": "KAFKA_BROKERS", "redis": "REDIS_URL", "registry": "REGISTRY_URL"}
        places = {
            f"HEADRACE_{names[n]}": str(at) for n, at in stack.addresses.items() if n in names
        }
        system = System(data / "workers", "flights", {**_SETTINGS, **places}, ways=stack.ways())
        ends.callback(system.close)
        watch = watch_of(system)
        load = Load(system.plan, system.services.kafka, size.rate)
        system.start(score=size.score, join=size.join, learn=size.learn)
        system.wait_running(_START_S)
        watch.start()
        ends.callback(watch.stop)
        load.start()
        ends.callback(load.quit)
        made = Trial(stack, system, load, watch, limit_s)
        made.wait(WARM_S)
        watch.settle()
        yield made
