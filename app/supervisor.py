"""The supervisor: one worker process in each slot, restarted when it ends, stopped with care.

A worker ends hard on any doubt (``headrace.streams.engine.guard``); committed offsets decide at its
restart, in the same slot. So restarting is no repair but a part of the protocol.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import structlog

from headrace.app.board import SILENT_S
from headrace.app.ending import Ending
from headrace.app.stack import child
from headrace.app.supervision import FENCED, REFUSED, Backoff, fate_of

STOP_S = 10.0
"""How long workers may take to stop before they are killed."""

FENCED_S = SILENT_S + 1.0
"""So long after a worker was fenced it is asked whether somebody has its slot."""

_TURN_S = 0.1
_QUIET_S = 5.0
"""A spare is made when no worker has been started for so long: starting takes a core."""

_log = structlog.get_logger("headrace.supervisor")

State = Literal["due", "running", "fenced", "ended"]
Command = Callable[["Slot"], Sequence[str]]
Process = subprocess.Popen[str]
Said = Callable[["Slot", str], None]
Taken = Callable[["Slot"], bool | None]


class Slot(NamedTuple):
    """A worker's place."""

    role: str
    number: int

    def __str__(self) -> str:
        return f"{self.role}-{self.number}"


@dataclass(slots=True)
class Post:
    """A slot, and the process that holds it.

    Attributes
    ----------
    state
        ``due`` to start at ``due_s``, ``running``, ``fenced`` by a newer process (``due_s``: when
        it is asked whether there is one; infinite once that is known), or ``ended``.
    code, reason
        The exit code of the process before, and why it ended by its own word.
    """

    slot: Slot
    state: State = "due"
    due_s: float = 0.0
    started_s: float = 0.0
    code: int | None = None
    reason: str = ""
    process: Process | None = None
    backoff: Backoff = field(default_factory=Backoff)


class Spare(NamedTuple):
    """A worker that has imported everything and waits to be told its slot.

    Attributes
    ----------
    command
        Its command line.
    line
        Returns what a slot's worker is told on its standard input.
    """

    command: Sequence[str]
    line: Callable[[Slot], str]


class Supervisor:
    """Keeps a process running in each slot.

    Parameters
    ----------
    slots
        The places.
    command
        Returns the command line of a slot's worker; its first word is an absolute path.
    said
        Takes each line that a worker writes, in some thread; None lets workers write where we
        write. An attribute of the same name may be set before :meth:`run`.
    environment
        Variables of the workers besides our own.
    spare
        How a worker is kept ready for the next empty slot; None keeps none.

    Attributes
    ----------
    taken
        Says whether a process that is not ours has a slot whose worker was fenced, None if that
        cannot be told just now; may be set before :meth:`run`. Without it each is believed to be.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        command: Command,
        *,
        said: Said | None = None,
        environment: Mapping[str, str] | None = None,
        spare: Spare | None = None,
    ) -> None:
        self.posts = [Post(slot) for slot in slots]
        self._command = command
        self.said = said
        self.taken: Taken | None = None
        self._environment = {**os.environ, **(environment or {})}
        self._spare = spare
        self._ready: Process | None = None
        self._endings: dict[int, Ending] = {}
        self._spare_due_s = 0.0
        self._asked = 0
        self._verdict: int | None = None

    def ask_to_stop(self, *_: object) -> None:
        """Stop all workers with care; asked a second time, at once. Fit for a signal handler."""
        self._asked += 1

    def run(self, turn: Callable[[], None] = lambda: None) -> int:
        """Run until asked to stop, or until a worker is refused; return the exit code.

        In the main thread: workers die with the thread that started them.

        Parameters
        ----------
        turn
            Called ten times a second.
        """
        try:
            while not self._asked and self._verdict is None:
                for post in self.posts:
                    self._look_after(post)
                self._keep_spare()
                turn()
                time.sleep(_TURN_S)
        finally:
            _dismiss(self._ready)
            self._stop_all(turn)
        return self._verdict or 0

    def snapshot(self) -> dict[str, Any]:
        """Return how the slots stand, as the health endpoint shows it."""
        away = [str(post.slot) for post in self.posts if post.state != "running"]
        return {
            "state": "stopping" if self._asked else "starting" if away else "running",
            "waits_for": ", ".join(away),
            "workers": {
                str(post.slot): {
                    "state": post.state,
                    "pid": post.process.pid if post.process else None,
                    "restarts": post.backoff.restarts,
                    "exit_code": post.code,
                    "reason": post.reason,
                }
                for post in self.posts
            },
        }

    # -- one slot

    def _look_after(self, post: Post) -> None:
        now = time.monotonic()
        if post.state == "due" and now >= post.due_s:
            self._start(post, now)
        elif post.state == "running" and post.process is not None:
            code = post.process.poll()
            if code is not None:
                self._on_end(post, code, now)
        elif post.state == "fenced" and now >= post.due_s:
            self._look_again(post, now)

    def _start(self, post: Post, now: float) -> None:
        process = self._called(post.slot)
        if process is None:
            process = self._process(self._command(post.slot), subprocess.DEVNULL)
        post.process = process
        post.state, post.started_s = "running", now
        if self.said is not None:
            threading.Thread(target=self._listen, args=(post, process), daemon=True).start()
        _log.info("worker started", slot=str(post.slot), worker_pid=process.pid)

    def _process(self, command: Sequence[str], stdin: int) -> Process:
        captured, ending = self.said is not None, Ending()
        # A session of its own: Ctrl-C must not reach it before we stop it with care.
        process = subprocess.Popen(  # noqa: S603 - our own worker
            dying_with_us(command),
            env={**self._environment, **ending.variables},
            stdin=stdin,
            stdout=subprocess.PIPE if captured else None,
            stderr=subprocess.STDOUT if captured else None,
            start_new_session=True,
            pass_fds=[ending.writes],
            text=True,
            errors="replace",
        )
        ending.started()
        self._endings[process.pid] = ending
        return process

    def _reason(self, process: Process) -> str:
        """Return why a process ended by its own word, empty if it said nothing."""
        ending = self._endings.pop(process.pid, None)
        return "" if ending is None else ending.reason()

    def _listen(self, post: Post, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        assert self.said is not None
        with process.stdout as lines:
            for line in lines:
                self.said(post.slot, line.rstrip("\n"))

    def _on_end(self, post: Post, code: int, now: float) -> None:
        post.reason = self._reason(post.process) if post.process else ""
        post.code, post.process = code, None
        fate = fate_of(code)
        if fate == "refused":
            post.state, self._verdict = "ended", REFUSED
            _log.critical(
                "worker refused to start; all are stopped", slot=str(post.slot), reason=post.reason
            )
        elif fate == "fenced":
            post.state, post.due_s = "fenced", now + (FENCED_S if self.taken else 0.0)
        else:
            pause_s = post.backoff.pause_s(now - post.started_s)
            post.state, post.due_s = "due", now + pause_s
            how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
            why = {"reason": post.reason} if post.reason else {}
            _log.warning("worker ended", slot=str(post.slot), how=how, restart_in_s=pause_s, **why)

    def _look_again(self, post: Post, now: float) -> None:
        """Start a fenced worker again if nobody has its slot, else leave it.

        A broker that stood still for longer than a session can answer a worker's request to come
        back twice, and fences it by itself (seen): nobody else would ever fill the slot.
        """
        taken = self.taken(post.slot) if self.taken else True
        if taken is None:
            return
        if not taken:
            post.state, post.due_s = "due", now
            _log.warning("fenced, and nobody has the slot: started again", slot=str(post.slot))
            return
        post.due_s = math.inf
        _log.error("a newer process has the slot; not restarted", slot=str(post.slot))
        if all(other.state == "fenced" and other.due_s == math.inf for other in self.posts):
            self._verdict = FENCED

    # -- the spare

    def _keep_spare(self) -> None:
        """Make a worker ready for the next empty slot, once the others have had time to start."""
        now = time.monotonic()
        if self._spare is None or self._ready is not None or now < self._spare_due_s:
            return
        latest = max(post.started_s for post in self.posts)
        if now - latest > _QUIET_S and all(post.state == "running" for post in self.posts):
            self._ready = self._process(self._spare.command, subprocess.PIPE)
            self._spare_due_s = now + _QUIET_S  # one that dies at once is not made all the time

    def _called(self, slot: Slot) -> Process | None:
        """Tell the spare its slot; return it, None if there is none."""
        ready, self._ready = self._ready, None
        if self._spare is None or ready is None or ready.stdin is None:
            return None
        try:
            ready.stdin.write(self._spare.line(slot) + "\n")
            ready.stdin.flush()
        except BrokenPipeError:  # it has ended meanwhile
            _dismiss(ready)
            self._reason(ready)
            return None
        ready.stdin.close()
        return ready

    # -- the end

    def _stop_all(self, turn: Callable[[], None]) -> None:
        """Ask all workers to stop; kill those that do not in time, or when asked again."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + STOP_S
        while self._running() and time.monotonic() < until and self._asked < 2:
            turn()
            time.sleep(_TURN_S / 2)
        for post in self._running():
            _log.error("worker did not stop in time; killed", slot=str(post.slot))
        self._signal(signal.SIGKILL)
        for post in self.posts:
            if post.process is not None:
                post.code = post.process.wait()
                post.reason = self._reason(post.process)
                post.process = None
            post.state = "ended"

    def _running(self) -> list[Post]:
        held = [post for post in self.posts if post.process is not None]
        return [post for post in held if post.process and post.process.poll() is None]

    def _signal(self, number: signal.Signals) -> None:
        for post in self._running():
            assert post.process is not None
            post.process.send_signal(number)


def dying_with_us(command: Sequence[str]) -> list[str]:
    """Return a command line that runs a command, and stops it when this process ends."""
    runner = [sys.executable, "-I", "-S", str(Path(child.__file__))]
    return [*runner, str(os.getpid()), str(int(signal.SIGTERM)), "-", "-", *command]


def slots_of(score: int, join: int) -> list[Slot]:
    """Return the slots of a pipeline: so many of score and join, and one of learn.

    Examples
    --------
    >>> [str(slot) for slot in slots_of(2, 1)]
    ['score-0', 'score-1', 'join-0', 'learn-0']
    """
    scorers = [Slot("score", number) for number in range(score)]
    return [*scorers, *(Slot("join", number) for number in range(join)), Slot("learn", 0)]


def _dismiss(process: Process | None) -> None:
    """End a process that has no task."""
    if process is None:
        return
    process.kill()
    process.wait()
    for stream in filter(None, (process.stdin, process.stdout)):
        with suppress(BrokenPipeError):
            stream.close()


class WorkerCommand:
    """Makes the command lines of a pipeline's workers.

    Parameters
    ----------
    file
        The pipeline's file.
    pipeline
        Which of the file's pipelines.
    http_port
        The supervisor's port, behind which the workers' follow in order; 0: any.
    """

    def __init__(self, file: Path, http_port: int, pipeline: str | None = None) -> None:
        # -P: no file beside where we were started may stand before a module of Python's.
        self._words = [sys.executable, "-P", "-m", "headrace.app.worker", str(file.resolve())]
        self._words += [] if pipeline is None else ["--pipeline", pipeline]
        self._ports = iter(range(http_port + 1, http_port + 10_000)) if http_port else None
        self._known: dict[Slot, int] = {}

    def __call__(self, slot: Slot) -> list[str]:
        """Return the command line of a slot's worker."""
        options = ["--role", slot.role, "--slot", str(slot.number)]
        return [*self._words, *options, "--http-port", str(self._port(slot))]

    @property
    def spare(self) -> Spare:
        """How a worker is kept ready."""
        return Spare([*self._words, "--spare"], self._line)

    def _line(self, slot: Slot) -> str:
        told = {"role": slot.role, "slot": slot.number, "http_port": self._port(slot)}
        return json.dumps(told)

    def _port(self, slot: Slot) -> int:
        if self._ports is None:
            return 0
        return self._known.get(slot) or self._known.setdefault(slot, next(self._ports))
