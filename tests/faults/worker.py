"""A product's worker with faults: ``python -m tests.faults.worker``, told on standard input which.

It imports everything, then waits for a line of JSON: ``{"fault": [kind, "when:point", times],
"told": file, "environment": {...}, "arguments": [...]}``. At that time that the point is reached
the process kills, stops or hangs itself. Each further line, ``{"fault": [...]}``, puts another
fault in its place. The hook is a parameter of the worker's main function; nothing in a shipped
process can set it.

Besides the points of take-over and commit there is one more: ``agent``, where an agent begins with
a batch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.app.worker import main
from headrace.streams.engine.holding import Work
from headrace.streams.engine.worker import Worker

READY = "ready"
"""What the process says when it has imported everything."""

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Faults:
    """Counts how often a point is reached, and strikes once."""

    def __init__(self, told: Path) -> None:
        self.told = told
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
        if self._kind == "hang":
            time.sleep(3_600)
        else:
            os.kill(os.getpid(), SIGNALS[self._kind])


def reach_agents(faults: Faults) -> None:
    """Let the agents' processing be a point as well."""
    genuine = Worker._process

    def process(self: Worker, work: Work) -> None:
        faults("agent")
        genuine(self, work)

    Worker._process = process  # type: ignore[method-assign]  # in this process alone


def listen(faults: Faults) -> None:
    """Take further orders for as long as somebody may give them; end with whoever did."""
    for line in sys.stdin:
        faults.arm(json.loads(line)["fault"])
    os.kill(os.getpid(), signal.SIGKILL)


def run() -> int:
    """Wait for the first order, and be that worker."""
    print(READY, flush=True)
    line = sys.stdin.readline()
    if not line:
        return 0
    order = json.loads(line)
    os.environ.update(order["environment"])
    faults = Faults(Path(order["told"]))
    faults.arm(order["fault"])
    reach_agents(faults)
    threading.Thread(target=listen, args=(faults,), daemon=True).start()
    return main(order["arguments"], faults)


if __name__ == "__main__":
    sys.exit(run())
