"""Where the demo is shown: a live picture in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live

from headrace.app.demo.view import Picture, View, plain_line
from headrace.app.drawing import save_svg

_SHOW_S = 0.25
_PLAIN_S = 2.0

PICTURE_COLUMNS = 96
"""Width of a picture that is kept as a file."""


class Screen(Protocol):
    """Takes views, as often as anybody likes."""

    def show(self, view: View, *, now: bool = False) -> None:
        """Show a view; ``now``: even if one was shown just before."""

    def wants(self) -> bool:
        """Return whether it is time for another view: making one costs something."""


class _Terminal:
    def __init__(self, live: Live) -> None:
        self._live = live
        self._shown_s = 0.0

    def wants(self) -> bool:
        return time.monotonic() - self._shown_s > _SHOW_S

    def show(self, view: View, *, now: bool = False) -> None:
        if now or self.wants():
            self._shown_s = time.monotonic()
            self._live.update(Picture(view), refresh=True)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_s = 0.0
        self._said = ""

    def wants(self) -> bool:
        return time.monotonic() - self._said_s > _PLAIN_S

    def show(self, view: View, *, now: bool = False) -> None:
        line = plain_line(view)
        if now or (self.wants() and line != self._said):
            self._said_s, self._said = time.monotonic(), line
            self._console.out(line, highlight=False)


@contextmanager
def screen(console: Console) -> Iterator[Screen]:
    """Lend what shows views on a console; the last one stays."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, auto_refresh=False, redirect_stderr=False) as live:
        yield _Terminal(live)


def save_picture(view: View, file: Path, title: str) -> None:
    """Keep a picture as SVG, as a terminal of :data:`PICTURE_COLUMNS` columns shows it."""
    save_svg(Picture(view), file, title, PICTURE_COLUMNS, 40)
