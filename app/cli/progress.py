"""Progress on standard error: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PLAIN_S = 2.0

Step = Callable[[str, float | None], None]


@contextmanager
def steps() -> Iterator[Step]:
    """Lend a function that is told what is being done, and which part of it is done (0 to 1)."""
    if not sys.stderr.isatty():
        yield _Plain()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        shown = progress.add_task("starting", total=None)

        def step(what: str, part: float | None) -> None:
            progress.update(
                shown, description=what, total=None if part is None else 1.0, completed=part or 0.0
            )

        yield step


class _Plain:
    """Says what is new at once, and how far it is every few seconds."""

    def __init__(self) -> None:
        self._what = ""
        self._said_s = 0.0

    def __call__(self, what: str, part: float | None) -> None:
        now = time.monotonic()
        if what == self._what and (part is None or now - self._said_s < _PLAIN_S):
            return
        self._what, self._said_s = what, now
        sys.stderr.write(f"{what}{'' if part is None else f' ({part:.0%})'}\n")
        sys.stderr.flush()
