"""Two commands at once: ``python -m tests.beside COMMAND OTHER``.

The first writes as it goes. The other runs at a low priority; what it says is printed whole once it
has ended. It is for what only computes, and takes what the first one leaves of the cores while that
one waits. Ctrl-C ends both, since both are in the terminal's foreground. Exit code 0 needs both.
"""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from types import FrameType
from typing import IO

NICENESS = 10
"""Of the other command. At more, what is promised within seconds would not be kept."""

_TURN_S = 0.1


class Command:
    """A command that runs.

    Parameters
    ----------
    log
        Takes what it says; none: it is said at once.
    """

    def __init__(self, words: str, log: IO[bytes] | None = None) -> None:
        self.words = words
        self.log = log
        self.took_s = 0.0
        self._begun_s = time.monotonic()
        nice = [] if log is None else ["nice", "-n", str(NICENESS)]
        self.process = subprocess.Popen(
            [*nice, *shlex.split(words)],
            stdout=log, stderr=None if log is None else subprocess.STDOUT,
        )  # fmt: skip

    def ended(self) -> bool:
        """Whether it has ended; the first time its log is printed."""
        if self.took_s or self.process.poll() is None:
            return bool(self.took_s)
        self.took_s = time.monotonic() - self._begun_s
        if self.log is not None:
            print(f"\n===== {self.words}\n", flush=True)
            self.log.seek(0)
            shutil.copyfileobj(self.log, sys.stdout.buffer)
            print(f"===== end of {self.words}", flush=True)
        return True

    def said(self) -> str:
        code = self.process.returncode
        return f"{'passed' if code == 0 else f'FAILED with {code}'} after {self.took_s:.0f} s"


def run(first: str, other: str) -> int:
    """Run both to their ends, whatever befalls either; return 0 if both returned 0."""
    with ExitStack() as ends:
        log = ends.enter_context(tempfile.TemporaryFile())
        commands = [Command(first), Command(other, log)]

        def end(number: int, _: FrameType | None) -> None:
            if number == signal.SIGTERM:  # a terminal's Ctrl-C has reached them already
                for command in commands:
                    command.process.terminate()

        for number in (signal.SIGINT, signal.SIGTERM):
            ends.callback(signal.signal, number, signal.signal(number, end))
        while not all([command.ended() for command in commands]):
            time.sleep(_TURN_S)
    for command in commands:
        print(f"===== {command.words}: {command.said()}", flush=True)
    return int(any(command.process.returncode for command in commands))


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
