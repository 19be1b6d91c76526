"""Ctrl-C, SIGTERM and SIGHUP: whatever comes, everything is stopped in order, once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _raise() -> None:
    raise KeyboardInterrupt


def _nothing() -> None:
    """Go on with what is under way: it is stopping already."""


class Interrupts:
    """What a signal does: first it raises :class:`KeyboardInterrupt`, until told otherwise."""

    def __init__(self) -> None:
        self._react: Callable[[], None] = _raise
        self._before: dict[signal.Signals, Any] = {}

    def lead_to(self, react: Callable[[], None]) -> None:
        """Have signals call a function from now on."""
        self._react = react

    def ignore(self) -> None:
        """Have signals do nothing from now on: what stops is not to be stopped half-way."""
        self._react = _nothing

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._react()
