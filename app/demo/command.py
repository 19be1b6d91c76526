"""``headrace demo``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "headrace demo --until 2013-02-07 --json summary.json"


def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of Kafka's logs and all else; it stays.", show_default="a temporary one"
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Stay up after the summary, for a second terminal.")
    ] = False,
    json: Annotated[
        Path | None,
        typer.Option("--json", help="Write the summary here, for programs.", show_default=False),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Write the last picture here, as SVG.", show_default=False),
    ] = None,
    year: Annotated[
        bool, typer.Option("--year", help="All of 2013 rather than a week of it.")
    ] = False,
    in_step: Annotated[
        str | None,
        typer.Option(
            help="Publish slices of so much event time, each when the one before is learned and"
            " served.",
            show_default="30m, of the year 1h",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
            help="Stop at this event time (UTC).",
            show_default=False,
        ),
    ] = None,
    score: Annotated[int, typer.Option(min=1, max=16, help="How many scorers.")] = 1,
) -> None:
    """Run a week of flights through the whole system, live: predict, learn, watch.

    Real Kafka, Valkey and SQLite start for it, and stop with it.
    """
    # Loaded here, so that `headrace --help` is quick, and behind progress what takes seconds.
    from rich.console import Console  # noqa: PLC0415

    from headrace.app.cli.progress import steps  # noqa: PLC0415

    with steps() as step:
        step("loading", None)
        from headrace.app.demo.show import Options, demonstrate  # noqa: PLC0415
    options = Options(data, keep, json, picture, year, in_step, until, score)
    demonstrate(options, Console())
