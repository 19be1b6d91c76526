"""Processes forked from one that has imported everything: none of them takes seconds of a core.

Each is a process like any other by what befalls it: a session, a pid, an exit code and a standard
input of its own. Only the import has been done once for all, before any thread or client was there.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_BYTES_MAX = 64
_TURN_S = 0.01


class Forked:
    """A process that the nursery has forked, asked and waited for as ``subprocess`` does it."""

    def __init__(self, nursery: Nursery, pid: int, orders: int) -> None:
        self.pid = pid
        self.stdin = os.fdopen(orders, "wb")
        self._nursery = nursery

    def poll(self) -> int | None:
        """Return its exit code, or minus the signal that ended it; None if it is alive."""
        return self._nursery.code_of(self.pid)

    def wait(self, limit_s: float) -> int:
        """Wait until it has ended; return its exit code."""
        until = time.monotonic() + limit_s
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", limit_s)
            time.sleep(_TURN_S)
        return code


class Nursery:
    """The process from which others are forked, as the one who needs them sees it.

    Parameters
    ----------
    module
        What it runs: imports all that is needed, then calls :func:`nurse`.
    environment
        Of it, and so of all that are forked.
    """

    def __init__(self, module: str, cwd: Path, environment: Mapping[str, str]) -> None:
        self._codes: dict[int, int | None] = {}
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno())],
                cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip

    def fork(self, log: Path) -> Forked:
        """Fork a process that writes to a log; the first time it is waited for the imports."""
        orders, ours = os.pipe()
        with log.open("ab") as out:
            socket.send_fds(self._link, [b"fork"], [orders, out.fileno()])
        os.close(orders)
        while (pid := self._hear()) is None:
            pass
        return Forked(self, pid, ours)

    def code_of(self, pid: int) -> int | None:
        """Return a process's exit code; None if it is alive."""
        while select.select([self._link], [], [], 0)[0]:
            self._hear()
        return self._codes[pid]

    def _hear(self) -> int | None:
        """Hear of one that was forked, and return its pid, or of one that has ended."""
        pid, _, code = self._link.recv(_BYTES_MAX).decode().partition(" ")
        assert pid, "the nursery has ended"
        self._codes[int(pid)] = int(code) if code else None
        return None if code else int(pid)

    def close(self) -> None:
        """End the nursery; whoever is alive yet sees that nobody gives orders any more."""
        self._link.close()
        self._process.wait(30)


def nurse(handle: int) -> bool:
    """Fork a process whenever one is asked for; say who was forked, and who ended how.

    Returns
    -------
    bool
        Whether this is one that was forked. Otherwise nobody is there any more who could ask.
    """
    told, tells = socket.socketpair()
    told.setblocking(False)
    tells.setblocking(False)
    signal.set_wakeup_fd(tells.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it wakes us
    with socket.socket(fileno=handle) as link, told, tells:
        while True:
            ready, _, _ = select.select([link, told], [], [])
            if told in ready:
                told.recv(_BYTES_MAX)
                _say_who_ended(link)
            if link in ready:
                asked, handles, _, _ = socket.recv_fds(link, _BYTES_MAX, 2)
                if not asked:
                    return False
                pid = os.fork()
                if pid == 0:
                    _begin(handles)
                    return True
                for each in handles:
                    os.close(each)
                link.send(f"{pid}".encode())


def _say_who_ended(link: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        link.send(f"{pid} {os.waitstatus_to_exitcode(status)}".encode())


def _begin(handles: list[int]) -> None:
    """Become a process like any other."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    orders, log = handles
    for given, wanted in ((orders, 0), (log, 1), (log, 2)):
        os.dup2(given, wanted)
    for each in handles:
        os.close(each)
