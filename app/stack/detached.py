"""The stack of ``headrace up``: a keeper that survives the command, and ``down``.

``up`` starts the keeper (``python -m headrace.app.stack.detached DATA``) in a session of its own
and listens on a pipe until it says that everything answers, or why not. The keeper holds the
stack's lock, starts parts again that end, and stops all in order when it is asked to (SIGTERM).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import IO, Any, NamedTuple

from headrace.app.services import STACK_FILE
from headrace.app.stack.jars import Progress
from headrace.app.stack.owner import owner_of
from headrace.app.stack.postgres import postgres_folder
from headrace.app.stack.process import start_time
from headrace.app.stack.stack import (
    Ports,
    Stack,
    fetch_stack_jars,
    quietly,
    wait_for,
    wipe,
)
from headrace.app.supervision import Backoff
from headrace.schemas.errors import HeadraceError, ServiceError

KEEPER_LOG = "logs/stack.log"
_UP_S = 120.0
_DOWN_S = 90.0
_LOOK_S = 1.0


class Up(NamedTuple):
    """What ``up`` found or did.

    Attributes
    ----------
    addresses
        What ``stack.json`` holds.
    started
        Whether the stack was started just now; else it was up already.
    """

    addresses: dict[str, str | int]
    started: bool


def up(
    data: Path,
    *,
    postgres: bool = False,
    maven_url: str | None = None,
    ports: Ports | None = None,
    progress: Progress = quietly,
) -> Up:
    """Start the stack, to go on when this process has ended; or see that it is up and answers.

    Raises
    ------
    ServiceError
        Something does not start; the sentence quotes its log.
    """
    data = data.absolute()
    data.mkdir(parents=True, exist_ok=True)
    while owner_of(data) is None:
        fetch_stack_jars(data, maven_url, progress)  # here, where its progress is seen
        if _start_keeper(data, postgres, maven_url, ports or Ports(), progress):
            return Up(_addresses(data), started=True)
    if postgres and not postgres_folder(data).exists():
        raise ServiceError(
            f"The stack on {data} is up without PostgreSQL. Stop it first: `headrace down`."
        )
    progress("waiting for the stack that is up", None)
    if not wait_for(lambda: owner_of(data) is None or _answer(data), _UP_S):
        raise ServiceError(
            f"The stack on {data} is up and does not answer. Stop it with `headrace down`, and see"
            f" {data / 'logs'}."
        )
    if owner_of(data) is None:  # it was just ending
        return up(data, postgres=postgres, maven_url=maven_url, ports=ports, progress=progress)
    return Up(_addresses(data), started=False)


def down(data: Path, *, wiping: bool = False) -> bool:
    """Stop the stack that runs on a data folder; return whether one did.

    Parameters
    ----------
    wiping
        Whether to delete all that it keeps, too.

    Raises
    ------
    ServiceError
        It does not end, or it is no detached one.
    """
    data = data.absolute()
    pid = owner_of(data)
    if pid is not None:
        # The lock is held, so this pid is its holder's and nobody else's.
        os.kill(pid, signal.SIGTERM)
        begun = start_time(pid)
        if not wait_for(lambda: start_time(pid) != begun or owner_of(data) != pid, _DOWN_S):
            raise ServiceError(
                f"The stack on {data} (process {pid}) has not ended within {_DOWN_S:g} s."
            )
    (data / STACK_FILE).unlink(missing_ok=True)  # of one that was killed
    if wiping:
        wipe(data)
    return pid is not None


def _start_keeper(
    data: Path, postgres: bool, maven_url: str | None, ports: Ports, progress: Progress
) -> bool:
    """Start the keeper and hear from it; return False if another one was faster."""
    order = {"postgres": postgres, "maven_url": maven_url, "ports": ports}
    log = data / KEEPER_LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-P", "-m", "headrace.app.stack.detached"]
    with log.open("ab") as file:
        keeper = subprocess.Popen(  # noqa: S603 - our own command
            [*program, str(data), json.dumps(order)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=file,
            cwd=data, start_new_session=True,
        )  # fmt: skip
    assert keeper.stdout is not None
    with keeper.stdout as said:
        for line in said:
            news: dict[str, Any] = json.loads(line)
            if "error" in news:
                keeper.wait()
                if owner_of(data) is not None:
                    return False
                raise ServiceError(news["error"])
            if "ready" in news:
                keeper.returncode = 0  # it goes on, and is nobody's child when we have ended
                return True
            progress(news["progress"], news["part"])
    raise ServiceError(f"The stack's keeper ended with code {keeper.wait()}. See {log}.")


def _addresses(data: Path) -> dict[str, str | int]:
    found: dict[str, str | int] = json.loads((data / STACK_FILE).read_text("utf-8"))
    return found


def _answer(data: Path) -> bool:
    """Return whether what the stack says it has answers."""
    from headrace.streams.engine.connection import Connection  # noqa: PLC0415 - slow to load
    from headrace.streams.engine.ready import is_ready  # noqa: PLC0415 - same
    from headrace.streams.store.redis import RedisStore  # noqa: PLC0415 - same

    try:
        found = _addresses(data)
        store = RedisStore(str(found["redis"]), retries=0)
        try:
            store.check()
        finally:
            store.close()
    except (OSError, ValueError, HeadraceError):
        return False
    return is_ready(Connection(str(found["kafka"])))


class _Keeper:
    """The process that holds a stack.

    Parameters
    ----------
    news
        The pipe to whoever started us, who may be gone at any time.
    """

    def __init__(self, data: Path, order: dict[str, Any], news: IO[str]) -> None:
        self._news: IO[str] | None = news
        self._stopping = threading.Event()
        self._stack = Stack(
            data,
            postgres=order["postgres"],
            maven_url=order["maven_url"],
            ports=Ports(*order["ports"]),
            progress=lambda what, part: self._say(progress=what, part=part),
        )

    def run(self) -> int:
        """Keep the stack until we are asked to end; return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            with self._stack:
                self._say(ready=True)
                self._hang_up()
                self._watch()
        except HeadraceError as error:
            sys.stderr.write(f"headrace: {error}\n")
            self._say(error=str(error))
            return 1
        return 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping.set()
        if self._news is not None:  # still starting: nothing looks at the flag
            raise SystemExit(1)

    def _watch(self) -> None:
        """Start parts again that have ended, until we are asked to end: others wait for them.

        A part that cannot be started stops nobody: it is tried again, each time after a longer
        while, and the other parts go on.
        """
        backoff, begun_s, pause_s = Backoff(), time.monotonic(), _LOOK_S
        while not self._stopping.wait(pause_s):
            pause_s = _LOOK_S
            try:
                repaired = self._stack.repair()
            except (HeadraceError, OSError) as error:
                pause_s = max(_LOOK_S, backoff.pause_s(time.monotonic() - begun_s))
                begun_s = time.monotonic()
                sys.stderr.write(f"headrace: {error}\nheadrace: tried again in {pause_s:g} s\n")
            else:
                for name in repaired:
                    sys.stderr.write(f"headrace: {name} had ended; it was started again\n")

    def _say(self, **what: object) -> None:
        if self._news is None:
            return
        try:
            self._news.write(json.dumps(what) + "\n")
            self._news.flush()
        except BrokenPipeError:  # whoever started us was stopped; the stack comes up all the same
            self._news = None

    def _hang_up(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            os.dup2(sys.stderr.fileno(), news.fileno())


if __name__ == "__main__":
    sys.exit(_Keeper(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.stdout).run())
