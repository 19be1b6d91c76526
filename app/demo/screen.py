"""Where the demo is shown: a live picture in a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live

from headrace.app.demo.view import Picture, View, plain_line

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
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(
            record=True, width=PICTURE_COLUMNS, height=40, file=nowhere, force_terminal=True,
            color_system="truecolor",
        )  # fmt: skip
        console.print(Picture(view))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(self_contained(console.export_svg(title=title)), "utf-8")


def self_contained(svg: str) -> str:
    """Return rich's SVG without the fonts that it would fetch: any of one width will do."""
    bare = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return bare.replace("font-family: Fira Code", "font-family: Menlo, Consolas, DejaVu Sans Mono")
