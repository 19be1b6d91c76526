"""``headrace check``."""

from __future__ import annotations

import os

from headrace.app.cli.arguments import File

EXAMPLE = "headrace check examples/flights/pipeline.py"


def check(file: File) -> None:
    """Say what a pipeline file amounts to, or all that is wrong with it; run nothing."""
    from rich.console import Console

    from headrace.app.checking import check_file, described
    from headrace.app.retention import compared
    from headrace.app.settings import settings_from

    settings = settings_from(os.environ)
    console = Console()
    for plan in check_file(file, settings):
        console.print(described(plan, settings.partitions))
        for sentence in compared(plan, settings):
            console.print(sentence)
