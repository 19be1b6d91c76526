"""``headrace top``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from headrace.app.cli.arguments import Name

EXAMPLE = "headrace top flights --window 1h"


def top(
    pipeline: Name,
    window: Annotated[
        str | None,
        typer.Option(help="Length of the windows to show.", show_default="the longest"),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Show one frame, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one frame as JSON, for programs.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(help="Write one frame here, as SVG.", show_default=False),
    ] = None,
) -> None:
    """Watch a pipeline live: rates, lag, metrics beside baselines, drift, alerts. q quits."""
    from rich.console import Console

    from headrace.app.settings import settings_from
    from headrace.app.top.show import show_live, show_once

    settings, console = settings_from(os.environ), Console()
    if once or as_json or picture is not None or not console.is_terminal:
        show_once(pipeline, settings, console, window, as_json=as_json, picture=picture)
    else:
        show_live(pipeline, settings, console, window)
