"""Each part of the embedded stack is killed at each stage of its start: does the stack come back?

``python -m tests.faults.stack_kills --times 10`` does it with Kafka, Valkey and PostgreSQL, while
``headrace up`` waits for the stack and while its keeper mends it, and kills all of them at once.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import redis
from sqlalchemy import make_url

from headrace.app.stack.detached import down, up
from headrace.app.stack.owner import owner_of
from headrace.app.stack.process import start_time
from headrace.app.stack.stack import wait_for
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ready import is_ready

PARTS = ("kafka", "valkey", "postgresql")
DELAYS_S = (0.0, 0.02, 0.1, 0.5, 1.0, 2.0, 3.0)
"""So long after a part was started it is killed: before it is itself, while it reads what it has
written, once it listens, and when it is ready."""

BACK_S = 90.0


def pid_of(data: Path, part: str) -> int | None:
    """Return the process that a part's note names, None while there is none."""
    try:
        note = json.loads((data / "run" / f"{part}.json").read_text())
    except (OSError, ValueError):
        return None
    return int(note["pid"]) if start_time(int(note["pid"])) == note["start"] else None


def kill(data: Path, part: str, but: int | None = None) -> int:
    """Kill a part's process, once there is one other than ``but``; return its id."""
    until = time.monotonic() + BACK_S
    while (pid := pid_of(data, part)) is None or pid == but:
        assert time.monotonic() < until, f"{part} is not started"
        time.sleep(0.002)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return pid


def kill_while_mended(data: Path, part: str, delay_s: float) -> None:
    """Kill a part, and its successor a while after that was started."""
    first = kill(data, part)
    until = time.monotonic() + BACK_S
    while (second := pid_of(data, part)) in (None, first):
        assert time.monotonic() < until, f"{part} is not started again"
        time.sleep(0.002)
    time.sleep(delay_s)
    with suppress(ProcessLookupError):
        os.kill(second or 0, signal.SIGKILL)


@contextmanager
def killing(data: Path, part: str, delay_s: float) -> Iterator[None]:
    """Kill a part once, a while after it is started, whoever waits for it meanwhile."""

    def run() -> None:
        pid = None
        until = time.monotonic() + BACK_S
        while pid is None and time.monotonic() < until:
            pid = pid_of(data, part)
            time.sleep(0.002)
        time.sleep(delay_s)
        with suppress(ProcessLookupError):
            os.kill(pid or 0, signal.SIGKILL)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(BACK_S)


def answers(data: Path) -> bool:
    """Return whether all parts answer, at the addresses that the stack's file has."""
    try:
        found = json.loads((data / "stack.json").read_text())
        with redis.Redis.from_url(str(found["redis"]), socket_timeout=2) as client:
            client.ping()
        url = make_url(str(found["registry"]))
        if url.get_backend_name() == "postgresql":
            address = url.set(drivername="postgresql").render_as_string(hide_password=False)
            psycopg.connect(address, connect_timeout=2).close()
    except (OSError, ValueError, redis.RedisError, psycopg.Error):
        return False
    return is_ready(Connection(str(found["kafka"])))


def assert_back(data: Path, keeper: int | None) -> float:
    """Wait until the stack answers again under the same keeper; return the seconds."""
    begun_s = time.monotonic()
    assert wait_for(lambda: answers(data), BACK_S), (data / "logs" / "stack.log").read_text()
    assert owner_of(data) == keeper, "the keeper has ended"
    return time.monotonic() - begun_s


def main() -> int:
    """Kill each part at each stage; return 1 if the stack did not come back once."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.stack_kills", description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="headrace-kills-"))
    try:
        for time_ in range(given.times):
            for part in PARTS:
                _tried(data, part, time_)
    finally:
        down(data)
        shutil.rmtree(data, ignore_errors=True)
    return 0


def _tried(data: Path, part: str, time_: int) -> None:
    for delay_s in DELAYS_S:
        down(data, wiping=time_ % 2 == 0)
        with killing(data, part, delay_s):
            up(data, postgres=True)
        keeper = owner_of(data)
        began_s = assert_back(data, keeper)
        kill_while_mended(data, part, delay_s)
        mended_s = assert_back(data, keeper)
        for other in PARTS:
            kill(data, other)
        all_s = assert_back(data, keeper)
        print(
            f"{time_ + 1}: {part} {delay_s:g} s after its start: back {began_s:.1f} s after up,"
            f" {mended_s:.1f} s while mended, {all_s:.1f} s with all parts killed",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
