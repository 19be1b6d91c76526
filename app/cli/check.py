"""``headrace check``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from headrace.app.cli.arguments import File
from headrace.app.cli.reading import Delimiter, Encoding, Multiline, NoQuotes, reading_of

EXAMPLE = "headrace check examples/flights/pipeline.py"


def check(
    file: File,
    events: Annotated[
        Path | None,
        typer.Option(
            help="File of events: say which features alone order the labels.", show_default=False
        ),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Their labels.", show_default=False)] = None,
    encoding: Encoding = "utf-8",
    delimiter: Delimiter = None,
    no_quotes: NoQuotes = False,
    multiline: Multiline = False,
) -> None:
    """Say what a pipeline file amounts to, or all that is wrong with it; run nothing."""
    from rich.console import Console

    from headrace.app.checking import check_file, described
    from headrace.app.leaking import leaks_in_files
    from headrace.app.retention import compared
    from headrace.app.settings import settings_from

    reading = reading_of(encoding, delimiter, no_quotes=no_quotes, multiline=multiline)
    settings = settings_from(os.environ)
    console = Console()
    for plan in check_file(file, settings):
        console.print(described(plan, settings.partitions))
        for sentence in compared(plan, settings):
            console.print(sentence)
        if events is not None:
            console.print(leaks_in_files(plan, events, labels, reading))
