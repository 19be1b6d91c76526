"""A worker's place, and the process in it: started, told of faults while it runs, signalled."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from headrace.app.supervision import FENCED
from headrace.app.supervisor import FENCED_S
from tests.faults.nursery import Forked


class Fault(NamedTuple):
    """What befalls a worker: at the ``times``-th time that it reaches a point."""

    kind: str
    point: str
    times: int = 1


NONE = Fault("none", "-")

Worker = Callable[[], Forked]
"""Returns a process that has imported everything and waits to be told what to be."""


def wait_until(holds: Callable[[], bool], limit_s: float, what: str) -> float:
    """Wait; return the seconds that it took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < limit_s, f"not within {limit_s} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - begun


@dataclass
class Slot:
    """A worker's place.

    Attributes
    ----------
    port
        Of its health endpoint; 0: any.
    environment
        Variables of its own: by which way it reaches the services.
    told
        File in which the last fault says that it struck.
    following
        What befalls the next process that is started here.
    disk_full
        Whether SQLite's file may not grow, as this worker sees it.
    due_s
        Not before then the next process is started, as a supervisor does it.
    left_empty
        Whether no other process is started at all for now.
    """

    role: str
    number: int
    file: Path
    worker: Worker
    port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    process: Forked | None = None
    starts: int = 0
    codes: list[int] = field(default_factory=list)
    fault: Fault = NONE
    told: Path = Path("nowhere")
    following: Fault = NONE
    disk_full: bool = False
    due_s: float = 0.0
    left_empty: bool = False

    def __str__(self) -> str:
        return f"{self.role}-{self.number}"

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self, fault: Fault = NONE) -> None:
        self.starts += 1
        self.fault, self.following = fault, NONE
        self.process = self.worker()
        self.told = self.file.with_name(f"{self}-{self.process.pid}.fault")
        arguments = ["--role", self.role, "--slot", str(self.number), "--http-port", str(self.port)]
        self._tell(
            {
                "fault": fault,
                "full": self.disk_full,
                "told": str(self.told),
                "environment": dict(self.environment),
                "arguments": [str(self.file), *arguments],
            }
        )

    def arm(self, fault: Fault) -> None:
        """Let a fault befall the process that runs; one without a point disarms it."""
        self.fault = fault
        self.told.unlink(missing_ok=True)
        self._tell({"fault": fault})

    def set_disk(self, *, full: bool) -> None:
        """Let SQLite's file grow no more for this worker and whoever follows, or again."""
        self.disk_full = full
        self._tell({"full": full})

    def _tell(self, order: Mapping[str, object]) -> None:
        if self.process is None:
            return  # whoever is started next is told then
        with suppress(BrokenPipeError):  # it has ended: whoever looks after it will see
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()

    def ended(self) -> bool:
        """Whether its process has ended; notes the exit code."""
        if self.process is None:
            return True
        code = self.process.poll()
        if code is None:
            return False
        self.codes.append(code)
        self.due_s = time.monotonic() + FENCED_S if code == FENCED else 0.0
        self._forget()
        return True

    def struck(self) -> bool:
        """Whether its fault has struck."""
        return self.told.exists()

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
            self._forget()

    def ask_to_stop(self) -> None:
        """Tell it to stop in good order; once, since a second signal may end it half-way."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)

    def wait(self, limit_s: float = 15) -> int | None:
        """Wait until it has ended; return its exit code, None if nobody is there."""
        if self.process is None:
            return None
        code = self.process.wait(limit_s)
        self._forget()
        return code

    def stop(self) -> int | None:
        """Stop it in good order; return its exit code."""
        self.ask_to_stop()
        return self.wait()

    def _forget(self) -> None:
        assert self.process is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process = None
