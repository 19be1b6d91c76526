"""What workers and supervisor log while the demo shows its picture: in a file, out of the way."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TextIO

from headrace.app.logs import configure_logs
from headrace.app.settings import Settings
from headrace.app.supervisor import Slot

_LINES_KEPT = 12


class Log:
    """A log file, and its last lines for sentences about what went wrong.

    Attributes
    ----------
    path
        The file.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self._file = file
        self._last: deque[str] = deque(maxlen=_LINES_KEPT)
        self._lock = Lock()

    def said(self, slot: Slot, line: str) -> None:
        """Take a line of a worker; from any thread."""
        self.write(f"{slot}  {line}\n")

    def write(self, text: str) -> None:
        """Take text, as a stream does."""
        with self._lock:
            self._last.extend(text.splitlines())
            self._file.write(text)

    def flush(self) -> None:
        """Write out what was taken."""
        with self._lock:
            self._file.flush()

    def tail(self) -> str:
        """Return the last lines."""
        with self._lock:
            return "\n".join(self._last) or "(nothing)"


@contextmanager
def logging_to(path: Path, settings: Settings) -> Iterator[Log]:
    """Lend a log, and send what this process logs there too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as file:
        log = Log(path, file)
        configure_logs(settings)
        root = logging.getLogger()
        before = root.handlers[:]
        handler = logging.StreamHandler(log)
        handler.setFormatter(before[0].formatter)
        root.handlers[:] = [handler]
        try:
            yield log
        finally:
            root.handlers[:] = before
