"""Processes of the stack: started so that they end with their owner, known again by pid and start.

A part's process gets a session of its own, so that Ctrl-C reaches the workers and not the broker
that they are about to commit to, and the parent-death signal. Linux fires that signal when the
*thread* ends that started the process: start parts from the main thread.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.schemas.errors import ServiceError

LOOPBACK = "127.0.0.1"
"""The only address that anything here listens on."""

TAIL_LINES = 12
_CHILD = Path(__file__).with_name("child.py")
_STOP_S = 20.0
_LOOK_S = 0.05
_LOG_BYTES_MAX = 8 * 1024 * 1024
_PORT_TAKEN = ("already in use", "Address in use")
_PORT_FIRST, _PORT_LAST = 15_000, 32_768
_PORT_DRAWS = 50
_SHELL_SIGNALS = 128
_GIVEN_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True, slots=True)
class User:
    """Another user than ours, to run as."""

    uid: int
    gid: int


class Process:
    """One process of a part, with a log file, and a note of it that outlives us.

    Parameters
    ----------
    name
        The part's name, for sentences.
    log
        What it says is added to this file.
    notes
        Folder of the note of pid and start time, by which a left-over is known again.
    stop_signal
        Asks it to end in good order.
    """

    def __init__(
        self, name: str, log: Path, notes: Path, stop_signal: signal.Signals = signal.SIGTERM
    ) -> None:
        self.name = name
        self.log = log
        self._note = notes / f"{name.lower()}.json"
        self._stop_signal = stop_signal
        self._running: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(
        self, command: Sequence[str], *, cwd: Path, env: dict[str, str], user: User | None = None
    ) -> None:
        """Start it; first end what a killed owner may have left of it."""
        self.stop_left_over()
        who = (str(user.uid), str(user.gid)) if user else ("-", "-")
        head = [sys.executable, "-I", "-S", str(_CHILD), str(os.getpid())]
        self._open_log()
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603 - our own command
                [*head, str(int(self._stop_signal)), *who, *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=cwd, env=env, start_new_session=True,
            )  # fmt: skip
        pid = self._running.pid
        write_atomically(self._note, json.dumps({"pid": pid, "start": start_time(pid)}))

    @property
    def pid(self) -> int | None:
        """Its process id, None unless it runs."""
        return self._running.pid if self._running and self.alive() else None

    def alive(self) -> bool:
        """Return whether it runs."""
        return self._running is not None and self._running.poll() is None

    def wait_until(self, answers: Callable[[], bool], limit_s: float) -> None:
        """Wait until it answers.

        Raises
        ------
        PortTaken
            It ended since somebody else has its port.
        KilledError
            A signal ended it: to start it again may help.
        ServiceError
            It ended, or does not answer; quotes its log.
        """
        until = time.monotonic() + limit_s
        while not answers():
            if not self.alive():
                code = self._running.returncode if self._running else None
                said = self.tail()
                raise _kind_of(code, said)(
                    self._sentence(f"ended with code {code} while it started", said)
                )
            if time.monotonic() > until:
                raise ServiceError(
                    self._sentence(f"has not answered within {limit_s:g} s", self.tail())
                )
            time.sleep(_LOOK_S)

    def tail(self) -> str:
        """Return the last lines that it has logged since it was started."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(self._log_start, self.log.stat().st_size - 8192))
                lines = file.read().decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            return ""
        return "\n".join(lines[-TAIL_LINES:])

    def stop(self) -> None:
        """End it in good order, or by force after a while."""
        running = self._running
        if running is None:
            return
        if running.poll() is None:
            running.send_signal(self._stop_signal)
            try:
                running.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                running.kill()
        running.wait()
        self._running = None
        self._note.unlink(missing_ok=True)

    def stop_left_over(self) -> None:
        """End a process that an owner started who was killed; no other, whatever its pid."""
        self.stop()
        pid, start = _noted(self._note)
        if pid is None or start is None or start_time(pid) != start:
            return
        os.kill(pid, self._stop_signal)
        until = time.monotonic() + _STOP_S
        while start_time(pid) == start:
            if time.monotonic() > until:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_LOOK_S)
        self._note.unlink(missing_ok=True)

    def _open_log(self) -> None:
        """Make room in the log file, keeping the one before, and note where we begin."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        size = self.log.stat().st_size if self.log.exists() else 0
        if size > _LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
            size = 0
        self._log_start = size

    def _sentence(self, what: str, tail: str) -> str:
        return f"{self.name} {what}. The last lines of {self.log}:\n{tail or '(nothing)'}"


class PortTaken(ServiceError):
    """Somebody else listens on the port."""


class KilledError(ServiceError):
    """A signal has ended a process of the stack while it started."""


def _kind_of(code: int | None, said: str) -> type[ServiceError]:
    if any(mark in said for mark in _PORT_TAKEN):
        return PortTaken
    return KilledError if code is not None and was_killed(code) else ServiceError


def was_killed(code: int) -> bool:
    """Return whether an exit code says that a signal ended the process.

    Java answers SIGTERM and the like with 128 and the signal's number.

    Examples
    --------
    >>> [was_killed(code) for code in (-9, 0, 1, 143)]
    [True, False, False, True]
    """
    return code < 0 or code > _SHELL_SIGNALS


def free_port() -> int:
    """Return a port on which nobody listens, and which the system gives to no connection.

    A client that asks again and again for a port above can be given that very port, and then talks
    to itself: whoever should listen there again finds it taken.
    """
    for _ in range(_PORT_DRAWS):
        port = _PORT_FIRST + secrets.randbelow(_first_given() - _PORT_FIRST)
        if port_is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _first_given() -> int:
    """Return the first port that the system gives to connections."""
    try:
        first = int(_GIVEN_PORTS.read_text("utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        first = _PORT_LAST
    return max(first, _PORT_FIRST + 1)


def port_is_free(port: int) -> bool:
    """Return whether one could listen on a port."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def start_time(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None if it does not run any more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file so that readers see the old one or the new one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
    new.replace(path)


def _noted(note: Path) -> tuple[int | None, int | None]:
    try:
        found = json.loads(note.read_text("utf-8"))
        return int(found["pid"]), int(found["start"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
