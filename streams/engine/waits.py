"""What a process waits for: noted where it waits, said by a thread that does not wait itself.

Whoever may wait notes for what, and takes the note back. A wait of five seconds is said at warning
level and stands on the health endpoint; one that only a restart can end, and that lasts for longer
than a limit, ends the process (``guard``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from headrace.streams.protocol.steps import Hook

SAID_S = 5.0
"""After so long a wait is said."""

_SAID_AGAIN_S = 60.0

_log = structlog.get_logger("headrace.engine")


@dataclass(slots=True)
class Wait:
    """One wait.

    Attributes
    ----------
    what
        What is waited for, in words.
    since_s
        When it began, by the clock that does not jump.
    limited
        Whether it ends the process when it lasts for too long: nothing outside can end it.
    holds_up
        Whether work stands still meanwhile.
    """

    what: str
    since_s: float
    limited: bool
    holds_up: bool
    said_s: float = 0.0


class Waits:
    """The waits of a process, by who waits; from any thread.

    Parameters
    ----------
    clock
        Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waits: dict[str, Wait] = {}
        self._lock = threading.Lock()

    def begin(self, who: str, what: str, *, limited: bool = False, holds_up: bool = True) -> None:
        """Note that somebody waits; the same wait as before goes on."""
        with self._lock:
            before = self._waits.get(who)
            if before is None or before.what != what:
                self._waits[who] = Wait(what, self._clock(), limited, holds_up)
        if before is not None and before.what != what:
            _say_end(who, before, self._clock())

    def end(self, who: str) -> None:
        """Note that somebody waits no more."""
        with self._lock:
            before = self._waits.pop(who, None)
        if before is not None:
            _say_end(who, before, self._clock())

    def look(self) -> None:
        """Say what has been waited for for long, and again after a while."""
        now = self._clock()
        for who, wait in self._long():
            if not wait.said_s or now - wait.said_s > _SAID_AGAIN_S:
                wait.said_s = now
                seconds = round(now - wait.since_s, 1)
                _log.warning("waits", who=who, what=wait.what, seconds=seconds)

    def standing(self) -> list[dict[str, Any]]:
        """Return what has been waited for for long, as plain data."""
        now = self._clock()
        return [
            {
                "who": who,
                "what": wait.what,
                "seconds": round(now - wait.since_s, 1),
                "holds_up": wait.holds_up,
            }
            for who, wait in self._long()
        ]

    def overdue(self, limit_s: float) -> str:
        """Return a wait that only a restart can end, and that has lasted for too long, in words."""
        now = self._clock()
        for who, wait in self._long():
            if wait.limited and now - wait.since_s > limit_s:
                return f"{who} has waited {now - wait.since_s:.0f} s for {wait.what}"
        return ""

    def _long(self) -> list[tuple[str, Wait]]:
        now = self._clock()
        with self._lock:
            return [(who, w) for who, w in self._waits.items() if now - w.since_s >= SAID_S]


def in_words(standing: list[dict[str, Any]]) -> str:
    """Return what holds work up, as the health endpoint says it; empty if nothing does.

    Examples
    --------
    >>> in_words([{"who": "p/v1/score/0", "what": "its agent", "seconds": 7, "holds_up": True}])
    'its agent (p/v1/score/0, 7 s)'
    """
    return ", ".join(
        f"{each['what']} ({each['who']}, {each['seconds']:g} s)"
        for each in standing
        if each["holds_up"]
    )


def _say_end(who: str, wait: Wait, now: float) -> None:
    if wait.said_s:
        seconds = round(now - wait.since_s, 1)
        _log.info("waits no more", who=who, what=wait.what, seconds=seconds)


def noting(waits: Waits, who: str, hook: Hook | None = None) -> Hook:
    """Return a hook that notes each remote call as a wait of somebody's.

    A call that raises is no wait any more once the next is made, or ``who`` ends it.

    Parameters
    ----------
    hook
        Called as well; tests alone set one.
    """

    def noted(point: str) -> None:
        when, _, call = point.partition(":")
        if when == "before":
            waits.begin(who, call_in_words(call))
        if hook is not None:
            hook(point)
        if when == "after":
            waits.end(who)

    return noted


_SERVICES = {"log": "Kafka", "store": "Redis", "registry": "the registry"}


def call_in_words(point: str) -> str:
    """Return what a remote call waits for, by its point.

    Examples
    --------
    >>> call_in_words("store.claim")
    'Redis (store.claim)'
    """
    service, _, _ = point.partition(".")
    return f"{_SERVICES.get(service, service)} ({point})"
