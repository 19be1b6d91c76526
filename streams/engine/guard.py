"""The one that watches the process from outside: deadlines, a watchdog, and the hard end.

librdkafka's ``send_offsets_to_transaction`` can ignore its time-out and hang (measured), an agent
can wait for ever, a stopped process can wake up long after its session: none of them can be left
to the code that hangs. A thread of its own ends the process; committed offsets decide at restart.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

import structlog

from headrace.schemas.errors import HeadraceError, ServiceError
from headrace.streams.engine.waits import Waits
from headrace.streams.protocol.ports import Dead, Fenced

STOPPED = 0
"""Exit code: stopped as asked."""
RESTART = 1
"""Exit code: restart me in my slot."""
REFUSED = 3
"""Exit code: going on could lose or double something; the sentence is on standard error."""
FENCED = 4
"""Exit code: a newer process has the slot; do not restart."""

_LOOK_S = 0.25

_log = structlog.get_logger("headrace.engine")


class Guard:
    """Deadlines of one process.

    Parameters
    ----------
    stall_s
        For how long work may be there without any progress.
    leave
        Ends the process at once; tests give another.
    tell
        Tells the supervisor why the process ends.

    Attributes
    ----------
    waits
        What the process waits for: said by the guard's thread, which does not wait itself.
    """

    def __init__(
        self,
        stall_s: float = 60.0,
        leave: Callable[[int], NoReturn] = os._exit,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._stall_s = stall_s
        self._leave = leave
        self._tell = tell
        self.waits = Waits()
        self._deadlines: dict[str, float] = {}
        self._working = False
        self._progress_s = time.monotonic()
        self._beat_s: float | None = None

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._watch, name="headrace-guard", daemon=True).start()

    def arm(self, what: str, limit_s: float) -> None:
        """Let the process end unless :meth:`disarm` comes within a time."""
        self._deadlines[what] = time.monotonic() + limit_s

    def disarm(self, what: str) -> None:
        """Say that it came to its end in time."""
        self._deadlines.pop(what, None)

    def beat(self, *, working: bool, progress: bool) -> None:
        """Say whether there is work, and whether some of it was done since the last time."""
        self._beat_s = time.monotonic()
        if progress or not working:
            self._progress_s = self._beat_s
        self._working = working

    def look(self) -> None:
        """Look once; end the process if something took too long."""
        now = time.monotonic()
        for what, deadline in list(self._deadlines.items()):
            if now > deadline:
                self.end(Dead(f"{what} did not come to its end in time"))
        self.waits.look()
        overdue = self.waits.overdue(self._stall_s)
        if overdue:
            self.end(Dead(overdue))
        if self._working and now - self._progress_s > self._stall_s:
            self.end(Dead(f"no progress for {self._stall_s:g} s although there is work"))
        if self._beat_s is not None and now - self._beat_s > self._stall_s:
            self.end(Dead(f"the main loop stands still for {self._stall_s:g} s"))

    def end(self, error: BaseException) -> None:
        """End the process at once, with the exit code that the error calls for."""
        code = exit_code(error)
        if code == REFUSED:
            sys.stderr.write(f"headrace: {error}\n")
        elif isinstance(error, Dead | HeadraceError):
            _log.critical("worker ends", reason=str(error), kind=type(error).__name__, code=code)
        else:
            _log.critical("worker ends", code=code, exc_info=error)
        sys.stdout.flush()
        sys.stderr.flush()
        self._tell(str(error) or type(error).__name__)
        self._leave(code)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            self.look()


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error calls for."""
    if isinstance(error, Fenced):
        return FENCED
    restart_helps = isinstance(error, ServiceError) or not isinstance(error, HeadraceError)
    return RESTART if restart_helps else REFUSED
