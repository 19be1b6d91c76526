"""``headrace reset`` and ``headrace rebuild``: the remedies that refusals name."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from headrace.app.cli.arguments import Name

RESET_EXAMPLE = "headrace reset flights"
REBUILD_EXAMPLE = "headrace rebuild flights score"

_STAGES = "score, route, join, monitor or learn."


def reset(
    pipeline: Name,
    stage: Annotated[
        str | None,
        typer.Argument(help=f"One stage alone: {_STAGES}", metavar="[STAGE]", show_default="all"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget where a pipeline, or one stage, has come to, and let it begin anew."""
    from headrace.app import remedies
    from headrace.app.cli.progress import steps
    from headrace.app.settings import settings_from

    with remedies.site_of(pipeline, settings_from(os.environ)) as site:
        if stage is None:
            gone = ", ".join(remedies.outputs_of(site.target))
            said = f"{site.name}: forget all state, models and versions, and delete {gone}?"
        else:
            site.stage(stage)
            said = f"{site.name}: let {stage} begin anew? What it has emitted is emitted again."
        if not yes:
            typer.confirm(said, abort=True, err=True)
        with steps() as progress:
            done = (
                remedies.reset(site, progress)
                if stage is None
                else remedies.reset_stage(site, stage, progress)
            )
    typer.echo(done)


def rebuild(
    pipeline: Name,
    stage: Annotated[str, typer.Argument(help=_STAGES, metavar="STAGE", show_default=False)],
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Begin where the log begins now, if some of it is gone."
        ),
    ] = False,
) -> None:
    """Make a stage's state anew from the log at its next start; nothing is emitted again."""
    from headrace.app import remedies
    from headrace.app.cli.progress import steps
    from headrace.app.settings import settings_from

    with (
        remedies.site_of(pipeline, settings_from(os.environ)) as site,
        steps() as progress,
    ):
        done = remedies.rebuild(site, stage, progress, accept_loss=accept_loss)
    typer.echo(done)
