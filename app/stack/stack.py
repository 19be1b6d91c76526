"""The stack as a whole: started together, watched, stopped in order, its addresses in one file."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from headrace.app.services import STACK_FILE, default_registry
from headrace.app.stack.jars import Progress, fetch_jars, jars_folder, locked
from headrace.app.stack.kafka import Kafka
from headrace.app.stack.owner import take_ownership
from headrace.app.stack.part import Part
from headrace.app.stack.postgres import Postgres, postgres_folder
from headrace.app.stack.process import write_atomically
from headrace.app.stack.valkey import Valkey
from headrace.schemas.errors import ServiceError

_PORTS_FILE = "run/ports.json"
_OWN = ("kafka", "valkey", "postgres", "jars", "logs", "run")
"""Folders in a data folder that are ours; others in it are none of our concern."""


class Ports(NamedTuple):
    """Ports that are demanded; None for any that is free."""

    kafka: int | None = None
    redis: int | None = None
    postgres: int | None = None


def quietly(what: str, part: float | None) -> None:
    """Show no progress."""


class Stack:
    """The embedded stack in this process: it ends with it.

    Start it from the main thread: Linux ends the parts with the thread that started them.

    Parameters
    ----------
    data
        Folder that keeps everything; what is in it survives a stop and a start.
    postgres
        Whether the registry is kept in PostgreSQL rather than in SQLite. A folder that has a
        PostgreSQL goes on with it.
    maven_url
        Repository of Kafka's jars, if not Maven Central.
    ports
        Ports that are demanded.
    progress
        Told what is being done.

    Examples
    --------
    >>> with Stack(Path("somewhere")) as stack:  # doctest: +SKIP
    ...     print(stack.addresses["kafka"])
    127.0.0.1:40121
    """

    def __init__(
        self,
        data: Path,
        *,
        postgres: bool = False,
        maven_url: str | None = None,
        ports: Ports | None = None,
        progress: Progress = quietly,
    ) -> None:
        self.data = data.absolute()
        self.postgres = postgres or postgres_folder(self.data).exists()
        self._maven_url = maven_url
        self._demanded = ports or Ports()
        self._progress = progress
        self._parts: dict[str, Part] = {}
        self._lock: int | None = None

    @property
    def addresses(self) -> dict[str, str | int]:
        """What ``stack.json`` holds: kafka, redis, registry, and the pid of this process."""
        found: dict[str, str | int] = {name: part.address for name, part in self._parts.items()}
        found.setdefault("registry", default_registry(self.data))
        return {**found, "pid": os.getpid()}

    def start(self) -> Self:
        """Start all parts and wait until each answers.

        Raises
        ------
        ServiceError
            Another stack runs on this folder, jars cannot be fetched, or a part does not start.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        assert self._lock is None, "this stack is started already"
        self._lock = take_ownership(self.data)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        (self.data / STACK_FILE).unlink(missing_ok=True)  # of a stack that was killed
        self._make_parts(fetch_stack_jars(self.data, self._maven_url, self._progress))
        before = _ports_before(self.data)
        for name, part in self._parts.items():
            self._progress(f"starting {part.name}", None)
            part.start(before.get(name))
        for part in self._parts.values():
            self._progress(f"waiting for {part.name}", None)
            part.ready()
        self._say_where()

    def repair(self) -> list[str]:
        """Start parts again that have ended; return their names.

        Each is tried, whatever becomes of the others.

        Raises
        ------
        ServiceError
            One cannot be started again; says of each why.
        """
        dead = [part for part in self._parts.values() if not part.process.alive()]
        failures = [error for part in dead if (error := _failure(part.start, part.port))]
        up = [part for part in dead if part.process.alive()]
        failures += [error for part in up if (error := _failure(part.ready))]
        if dead:
            self._say_where()
        if failures:
            raise ServiceError("\n".join(map(str, failures)))
        return [part.name for part in dead]

    def answers(self) -> bool:
        """Return whether all parts answer now."""
        return bool(self._parts) and all(part.answers() for part in self._parts.values())

    def stop(self) -> None:
        """Stop all parts in good order; what they keep stays in the data folder."""
        if self._lock is None:
            return
        (self.data / STACK_FILE).unlink(missing_ok=True)
        for part in reversed(self._parts.values()):
            part.stop()
        self._parts = {}
        os.close(self._lock)
        self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _make_parts(self, jars: Path) -> None:
        self._parts = {
            "kafka": Kafka(self.data, jars, self._demanded.kafka),
            "redis": Valkey(self.data, self._demanded.redis),
        }
        if self.postgres:
            self._parts["registry"] = Postgres(self.data, self._demanded.postgres)

    def _say_where(self) -> None:
        ports = {name: part.port for name, part in self._parts.items()}
        write_atomically(self.data / _PORTS_FILE, json.dumps(ports))
        write_atomically(self.data / STACK_FILE, json.dumps(self.addresses, indent=2) + "\n")


def fetch_stack_jars(data: Path, maven_url: str | None, progress: Progress) -> Path:
    """See that Kafka's jars are there; return their folder."""
    jars = locked()
    folder = jars_folder(data, jars)
    fetch_jars(folder, jars, maven_url=maven_url, progress=progress)
    return folder


def wipe(data: Path) -> None:
    """Delete what a stack keeps: logs of events, feature state, registry; not the signing key."""
    for name in _OWN:
        shutil.rmtree(data / name, ignore_errors=True)
    for path in (*data.glob("registry.db*"), data / STACK_FILE):
        path.unlink(missing_ok=True)


def wait_for(what: Callable[[], bool], limit_s: float) -> bool:
    """Wait until something is so; return whether it is."""
    until = time.monotonic() + limit_s
    for pause in _pauses():
        if what():
            return True
        if time.monotonic() > until:
            return False
        time.sleep(pause)
    return False


def _pauses() -> Iterator[float]:
    while True:
        yield 0.05


def _failure(do: Callable[..., None], *given: int | None) -> ServiceError | OSError | None:
    """Do something; return how it failed, None if it did not."""
    try:
        do(*given)
    except (ServiceError, OSError) as error:
        return error
    return None


def _ports_before(data: Path) -> dict[str, int]:
    with suppress(OSError, ValueError):
        found = json.loads((data / _PORTS_FILE).read_text("utf-8"))
        return {name: int(port) for name, port in found.items() if port}
    return {}
