"""A product's worker with faults, told on standard input which.

``python -m tests.faults.worker HANDLE`` imports everything; workers are forked from it (see
``nursery.py``). Each waits for a line of JSON: ``{"fault": [kind, "when:point", times],
"told": file, "environment": {...}, "arguments": [...]}``. At that time that the point is reached
the process kills, stops or hangs itself. Each further line, ``{"fault": [...]}``, puts another
fault in its place; ``{"full": true}`` lets SQLite's file grow no more. The hook is a parameter of
the worker's main function; nothing in a shipped process can set it.

Besides the points of take-over and commit there is one more: ``agent``, where an agent begins with
a batch. There an agent can also raise, be cancelled, leave its loop, or stop the event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from headrace.app.worker import main
from headrace.streams.engine import agents, holding
from headrace.streams.engine.holding import Work
from headrace.streams.engine.worker import Worker
from tests.faults.nursery import nurse

_PAGES_MAX = 4_294_967_294

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Faults:
    """Counts how often a point is reached, and strikes once.

    Attributes
    ----------
    leaves
        Whether an agent's loop shall come to its end.
    """

    def __init__(self, told: Path) -> None:
        self.told = told
        self.leaves = False
        self._kind = self._point = ""
        self._left = 0

    def arm(self, fault: Sequence[Any]) -> None:
        self._point = ""  # so that no point is counted half-way
        self._kind, point, self._left = fault
        self._point = point

    def __call__(self, point: str) -> None:
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            self._strike()

    def _strike(self) -> None:
        self.told.write_text(f"{os.getpid()} {self._point}\n")
        if self._kind in SIGNALS:
            os.kill(os.getpid(), SIGNALS[self._kind])
        elif self._kind == "hang":
            time.sleep(3_600)
        elif self._kind == "raise":
            raise RuntimeError("an agent fails")
        elif self._kind == "cancel":
            raise asyncio.CancelledError
        elif self._kind == "leave":
            self.leaves = True
        else:
            asyncio.get_running_loop().stop()


def reach_agents(faults: Faults) -> None:
    """Let the agents' processing be a point as well, and let their loops end."""
    processed, made = Worker._process, agents._App.agent

    def process(self: Worker, work: Work) -> None:
        faults("agent")
        processed(self, work)

    async def until_left(stream: Any) -> AsyncIterator[Any]:
        async for item in stream:
            yield item
            if faults.leaves:
                return

    def agent(self: Any, *given: Any, **named: Any) -> Callable[..., Any]:
        def with_loop(work: Callable[[Any], Awaitable[None]]) -> Any:
            async def loop(stream: Any) -> None:
                await work(until_left(stream))

            return made(self, *given, **named)(loop)

        return with_loop

    Worker._process = process  # type: ignore[method-assign]  # in this process alone
    agents._App.agent = agent  # type: ignore[method-assign]  # same


class Disk:
    """How much room SQLite's file has: any, or no page more than it has."""

    def __init__(self, *, full: bool) -> None:
        self.full = full
        event.listen(Engine, "begin", self._begun)

    def _begun(self, connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            pages = 1 if self.full else _PAGES_MAX  # never fewer than there are
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")


def listen(faults: Faults, disk: Disk) -> None:
    """Take further orders for as long as somebody may give them; end with whoever did."""
    for line in sys.stdin:
        order = json.loads(line)
        if "full" in order:
            disk.full = order["full"]
        else:
            faults.arm(order["fault"])
    os.kill(os.getpid(), signal.SIGKILL)


def run() -> int:
    """Wait for the first order, and be that worker."""
    line = sys.stdin.readline()
    if not line:
        return 0
    order = json.loads(line)
    os.environ.update(order["environment"])
    holding.WAITING_MAX = int(os.environ.get("TESTS_WAITING_MAX", holding.WAITING_MAX))
    faults = Faults(Path(order["told"]))
    faults.arm(order["fault"])
    reach_agents(faults)
    disk = Disk(full=order["full"])
    threading.Thread(target=listen, args=(faults, disk), daemon=True).start()
    return main(order["arguments"], faults)


if __name__ == "__main__":
    sys.exit(run() if nurse(int(sys.argv[1])) else 0)
