"""Lines that say the same again and again: the first, then how many more, until they have ended.

A client of Kafka or Redis that cannot reach its server says so several times a second, and each of
its threads for itself: one crash of a broker was worth 1,347 lines.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

AGAIN_S = 60.0
"""While a line goes on coming it stands in the log once in so long, with how many there were."""

QUIET_S = 10.0
"""A line that has not come for so long has ended: how often it came is said then."""

_KEPT_MAX = 200
_PARTS = re.compile(r"\[(?:thrd|rdkafka)[^\]]*\]:?\s*|\s*\(after [^)]*\)|/bootstrap\b")
_NUMBERS = re.compile(r"\d+(?:[.:]\d+)*(?:/\d+)?")


@dataclass(slots=True)
class _Line:
    """A line that was written, and what came of the same meanwhile."""

    record: logging.LogRecord
    written_s: float
    last_s: float
    more: int = 0


class Repeats(logging.Filter):
    """Holds back lines at warning level or above that differ in numbers alone.

    Parameters
    ----------
    write
        Writes a summary; the handler's own way to write.
    clock
        Seconds that only rise.
    """

    def __init__(
        self,
        write: Callable[[logging.LogRecord], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._write = write
        self._clock = clock
        self._lines: dict[tuple[str, str], _Line] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is written now."""
        if not logging.WARNING <= record.levelno < logging.CRITICAL or record.exc_info:
            return True
        now = self._clock()
        with self._lock:
            key = (record.name, alike(record))
            line = self._lines.get(key)
            if line is None:
                if len(self._lines) < _KEPT_MAX:
                    self._lines[key] = _Line(record, now, now)
                return True
            line.last_s = now
            if now - line.written_s < AGAIN_S:
                line.more += 1
                self._wake_later()
                return False
            more, line.more, line.written_s = line.more, 0, now
        _count(record, more)
        return True

    def look(self) -> None:
        """Say how often each line came that has ended."""
        now = self._clock()
        with self._lock:
            self._timer = None
            ended = [key for key, line in self._lines.items() if now - line.last_s >= QUIET_S]
            lines = [self._lines.pop(key) for key in ended]
            if any(line.more for line in self._lines.values()):
                self._wake_later()
        for line in lines:
            if line.more:
                self._write(_summary(line))

    def _wake_later(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(QUIET_S, self.look)
            self._timer.daemon = True
            self._timer.start()


def alike(record: logging.LogRecord) -> str:
    """Return what a line has in common with its like: all but numbers, threads and clients."""
    fields = record.msg
    if isinstance(fields, dict):
        text = " ".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "timestamp")
    else:
        text = record.getMessage()
    return _NUMBERS.sub("#", _PARTS.sub("", text))


def _count(record: logging.LogRecord, more: int) -> None:
    """Add to a line how many of its like were held back before it."""
    if not more:
        return
    if isinstance(record.msg, dict):
        record.msg = {**record.msg, "repeated": more}
    else:
        record.msg, record.args = f"{record.getMessage()} (and {more} more like it)", ()


def _summary(line: _Line) -> logging.LogRecord:
    """Return a line that says how often another came, and that it comes no more."""
    before = line.record
    seconds = round(line.last_s - line.written_s, 1)
    said: Any = before.msg
    event = said.get("event", "") if isinstance(said, dict) else before.getMessage()
    msg: Any = f"{event} (over; {line.more} more like it within {seconds:g} s)"
    if isinstance(said, dict):
        msg = {**said, "event": msg}
    made = logging.LogRecord(
        before.name, before.levelno, before.pathname, before.lineno, msg, (), None, before.funcName
    )
    made.__dict__.update({k: v for k, v in before.__dict__.items() if k not in made.__dict__})
    return made
