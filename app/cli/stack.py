"""``headrace up`` and ``headrace down``: the embedded stack."""

from __future__ import annotations

import os
from typing import Annotated

import typer

UP_EXAMPLE = "headrace up --postgres"
DOWN_EXAMPLE = "headrace down --wipe"

Port = Annotated[
    int | None, typer.Option(min=1, max=65_535, help="The port it must have.", show_default="any")
]


def up(
    postgres: Annotated[
        bool, typer.Option("--postgres", help="Keep the registry in PostgreSQL, not in SQLite.")
    ] = False,
    kafka_port: Port = None,
    redis_port: Port = None,
    postgres_port: Port = None,
) -> None:
    """Start Kafka, Valkey and the registry on this machine, and write down where they are."""
    from headrace.app.cli.progress import steps
    from headrace.app.settings import settings_from
    from headrace.app.stack.detached import up as start
    from headrace.app.stack.stack import Ports

    settings = settings_from(os.environ)
    ports = Ports(kafka_port, redis_port, postgres_port)
    with steps() as progress:
        found = start(
            settings.data,
            postgres=postgres,
            maven_url=settings.maven_url,
            ports=ports,
            progress=progress,
        )
    typer.echo("The stack is up." if found.started else "The stack was up already.")
    for name in ("kafka", "redis", "registry"):
        typer.echo(f"  {name:<9}{found.addresses[name]}")
    typer.echo("Stop it with `headrace down`; what it keeps stays.")


def down(
    wipe: Annotated[
        bool, typer.Option("--wipe", help="Delete all that it keeps: logs, state, registry.")
    ] = False,
) -> None:
    """Stop the stack of `headrace up`; what it keeps stays, unless it is wiped."""
    from headrace.app.settings import settings_from
    from headrace.app.stack.detached import down as stop

    data = settings_from(os.environ).data
    stopped = stop(data, wiping=wipe)
    typer.echo("The stack is down." if stopped else f"No stack was up in {data}.")
    if wipe:
        typer.echo(f"What it kept in {data} is deleted; the signing key is not.")
