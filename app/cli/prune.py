"""``headrace prune``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from headrace.app.cli.arguments import Name

EXAMPLE = "headrace prune flights --dry-run"


def prune(
    pipeline: Name,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be dropped, and drop nothing.")
    ] = False,
) -> None:
    """Drop states that nobody needs any more, as `headrace run` does every ten minutes."""
    from headrace.app import pruning
    from headrace.app.remedies import site_of
    from headrace.app.settings import settings_from

    with site_of(pipeline, settings_from(os.environ)) as site:
        pruned = pruning.prune(site, dry_run=dry_run)
    verb = "would be dropped" if dry_run else "dropped"
    typer.echo(f"{site.name}: {verb}: {pruned}.")
