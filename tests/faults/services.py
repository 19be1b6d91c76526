"""The embedded stack with handles: its parts killed, stopped, emptied, and full; wires to cut."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from headrace.app.stack.kafka import Kafka
from headrace.app.stack.part import Part
from headrace.app.stack.process import LOOPBACK, port_is_free
from headrace.app.stack.stack import Ports, Stack
from tests.faults.proxy import Net, Wire
from tests.faults.replica import Replica
from tests.faults.slots import wait_until

LOW_PORTS = filter(port_is_free, range(20_000 + os.getpid() % 500 * 20, 32_768))
"""Ports below those that the system gives to connections.

A client that asks again and again for a port above can be given that very port, and then talks to
itself: whoever should listen there finds it taken.
"""


class Wires(NamedTuple):
    """The ways of one worker to the services."""

    kafka: Wire
    redis: Wire
    registry: Wire


class ManyDoors(Kafka):
    """A Kafka that some clients reach by wires: each wire has a listener that is known by it."""

    def __init__(self, data: Path, jars: Path, port: int | None, wires: Mapping[str, Wire]) -> None:
        super().__init__(data, jars, port)
        self._wires = wires
        for wire in wires.values():
            wire.target = next(LOW_PORTS)

    def _command(self, *what: str) -> list[str]:
        if what[0] == "kafka.Kafka":
            self._open_doors()
        return super()._command(*what)

    def _open_doors(self) -> None:
        names = {name.replace("-", "_").upper(): wire for name, wire in self._wires.items()}
        more = {
            "listeners=": [f"{name}://{LOOPBACK}:{at.target}" for name, at in names.items()],
            "advertised.listeners=": [
                f"{name}://{LOOPBACK}:{at.port}" for name, at in names.items()
            ],
            "listener.security.protocol.map=": [f"{name}:PLAINTEXT" for name in names],
        }
        lines = self._properties.read_text("utf-8").splitlines()
        for at, line in enumerate(lines):
            key = line[: line.find("=") + 1]
            lines[at] = ",".join([line, *more.get(key, ())])
        self._properties.write_text("\n".join(lines) + "\n", "utf-8")


class FaultStack(Stack):
    """The embedded stack, and what may befall it.

    Parameters
    ----------
    wired
        Names of the slots whose workers reach the services by wires.
    """

    def __init__(self, data: Path, net: Net, wired: tuple[str, ...], *, postgres: bool) -> None:
        ports = Ports(next(LOW_PORTS), next(LOW_PORTS), next(LOW_PORTS))
        super().__init__(data, postgres=postgres, ports=ports)
        self.wires = {name: Wires(net.wire(), net.wire(), net.wire()) for name in wired}
        self._replication = net.wire()

    def _make_parts(self, jars: Path) -> None:
        super()._make_parts(jars)
        doors = {name: wires.kafka for name, wires in self.wires.items()}
        self._parts["kafka"] = ManyDoors(self.data, jars, self._demanded.kafka, doors)

    def _start(self) -> None:
        super()._start()
        for wires in self.wires.values():
            for name in ("redis", "registry"):
                if name in self._parts:
                    getattr(wires, name).target = self.part(name).port

    def part(self, name: str) -> Part:
        return self._parts[name]

    def ways(self) -> dict[str, dict[str, str]]:
        """Return the addresses by which the wired slots reach the services."""
        return {name: self._addresses(wires) for name, wires in self.wires.items()}

    def _addresses(self, wires: Wires) -> dict[str, str]:
        found = {"HEADRACE_KAFKA_BROKERS": f"{LOOPBACK}:{wires.kafka.port}"}
        for name, wire, variable in (
            ("redis", wires.redis, "HEADRACE_REDIS_URL"),
            ("registry", wires.registry, "HEADRACE_REGISTRY_URL"),
        ):
            if name in self._parts:
                direct = str(self.addresses[name])
                found[variable] = direct.replace(f":{self.part(name).port}/", f":{wire.port}/")
        return found

    # -- what befalls a part

    def pid(self, name: str) -> int:
        found = self.part(name).process.pid
        assert found is not None, f"{name} does not run"
        return found

    def signal(self, name: str, number: int) -> None:
        """Signal a part's process and its children: PostgreSQL has one for each connection."""
        pid = self.pid(name)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
        for each in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(each, number)

    def kill(self, name: str) -> None:
        self.signal(name, signal.SIGKILL)
        wait_until(lambda: not self.part(name).process.alive(), 10, f"{name} is dead")

    def begin_again(self, name: str) -> None:
        """Start a part on its port, without waiting for it."""
        part = self.part(name)
        part.start(part.port)

    @property
    def state_folder(self) -> Path:
        """Where Valkey keeps its data."""
        return self.data / "valkey"

    def replica(self) -> Replica:
        """Return a replica of Valkey, to be started."""
        port = self.part("redis").port
        assert port is not None
        self._replication.target = port
        return Replica(self.data, self._replication, port)

    def mend(self) -> None:
        """Let all go on that is held or stopped, and start what is dead."""
        for wire in (self._replication, *(each for wires in self.wires.values() for each in wires)):
            wire.heal()
        for name, part in self._parts.items():
            if part.process.alive():
                self.limit_files(name, resource.RLIM_INFINITY)
                self.signal(name, signal.SIGCONT)
        self.repair()

    def empty_valkey(self) -> None:
        """Delete what Valkey has written; it does not run."""
        shutil.rmtree(self.state_folder)

    def limit_files(self, name: str, size: int) -> None:
        """Let no file of a part grow beyond a size, as if the disk were full."""
        limit_files(self.pid(name), size)


def limit_files(pid: int, size: int = resource.RLIM_INFINITY) -> None:
    """Let no file of a process grow beyond a size, in bytes."""
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))
