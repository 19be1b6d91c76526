"""Where a pipeline is looked at: a live picture in a terminal, one frame elsewhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live

from headrace.app.drawing import save_svg
from headrace.app.remedies import Site, site_of
from headrace.app.settings import Settings
from headrace.app.top.keys import keys
from headrace.app.top.looking import Looking
from headrace.app.top.view import Picture
from headrace.schemas.errors import InputError

PICTURE_COLUMNS, PICTURE_LINES = 96, 40
"""Size of a picture that is kept as a file."""

_SHOW_S = 0.5
_QUIT = "q"


def show_live(text: str, settings: Settings, console: Console, length: str | None) -> None:
    """Show a pipeline in the terminal until ``q`` is pressed."""
    with (
        _looking(text, settings, length) as looking,
        keys() as pressed,
        Live(console=console, screen=True, auto_refresh=False) as live,
    ):
        while _QUIT not in pressed(_SHOW_S).lower():
            live.update(Picture(looking.frame(), console.height, "q quits"), refresh=True)


def show_once(
    text: str,
    settings: Settings,
    console: Console,
    length: str | None,
    *,
    as_json: bool = False,
    picture: Path | None = None,
) -> None:
    """Show a pipeline as it is now: in words, as JSON, or in a file as SVG."""
    with _looking(text, settings, length) as looking:
        looking.wait()
        if looking.fault():
            raise InputError(looking.fault())
        frame = looking.frame()
    if picture is not None:
        shown = Picture(frame, PICTURE_LINES, "q quits")
        save_svg(shown, picture, f"headrace top {frame.pipeline}", PICTURE_COLUMNS, PICTURE_LINES)
    elif as_json:
        console.out(json.dumps(frame.as_json(), indent=2, ensure_ascii=False), highlight=False)
    else:
        console.print(Picture(frame))


@contextmanager
def _looking(text: str, settings: Settings, length: str | None) -> Iterator[Looking]:
    # What Kafka's client has to say is said by the frame's trouble, in a place of its own.
    logging.getLogger("headrace").addHandler(logging.NullHandler())
    with site_of(text, settings) as site:
        _check_started(site)
        looking = Looking(site, length)
        looking.start()
        try:
            yield looking
        finally:
            looking.stop()


def _check_started(site: Site) -> None:
    if site.target.topics.metrics not in site.kafka.partition_counts():
        raise InputError(
            f"{site.name} has no topic {site.target.topics.metrics} yet: nothing is counted."
            " `headrace run FILE` makes it."
        )
