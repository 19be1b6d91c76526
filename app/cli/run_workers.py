"""``headrace run``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from headrace.app.cli.arguments import File, Which
from headrace.app.cli.hashing import fix_hash_seed

EXAMPLE = "headrace run examples/flights/pipeline.py --score 2"

Count = Annotated[int, typer.Option(min=1, max=1_000, help="How many workers of this role.")]


def run(
    file: File,
    score: Count = 1,
    join: Count = 1,
    http_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Port of /health and /metrics; workers take the following ones, 0: any.",
            show_default="HEADRACE_HTTP_PORT",
        ),
    ] = None,
    pipeline: Which = None,
) -> None:
    """Run a pipeline: its workers, supervised, until Ctrl-C or SIGTERM."""
    fix_hash_seed()
    from headrace.app.running import run_pipeline
    from headrace.app.settings import settings_from

    changes = {} if http_port is None else {"http_port": http_port}
    settings = settings_from(os.environ, changes)
    raise typer.Exit(run_pipeline(file, settings, score=score, join=join, pipeline=pipeline))
