"""``headrace status``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from headrace.app.cli import failures
from headrace.app.cli.arguments import AsJson

EXAMPLE = "headrace status flights --json"


def status(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            help="A pipeline's name, or its file.", metavar="[NAME|FILE]", show_default="all"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how pipelines stand: workers, lag, versions, checkpoints."""
    import json

    from rich.console import Console

    from headrace.app.services import find_kafka
    from headrace.app.settings import settings_from
    from headrace.app.standing import rendered, standing
    from headrace.app.targets import pipelines
    from headrace.schemas.errors import InputError

    settings = settings_from(os.environ)
    found = []
    for name in [pipeline] if pipeline else pipelines(find_kafka(settings)):
        try:
            found.append(standing(name, settings))
        except InputError as error:
            if pipeline:
                raise
            # Another registry's, which shares this Kafka: no reason to hide all others.
            failures.say(f"{name} has topics here; this registry does not know it. {error}")
    if as_json:
        typer.echo(json.dumps(found if pipeline is None else found[0], indent=2))
        return
    console = Console()
    for each in found:
        console.print(rendered(each))
    if not found:
        console.print("No pipeline has topics here yet: `headrace run FILE`.")
