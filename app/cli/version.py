"""``headrace version``."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLE = "headrace version --all"

PARTS = (
    "confluent-kafka",
    "faust-streaming",
    "river",
    "numpy",
    "pydantic",
    "fastavro",
    "redis",
    "sqlalchemy",
)


def version(
    everything: Annotated[
        bool, typer.Option("--all", help="Also of Python and of the parts that results rest on.")
    ] = False,
) -> None:
    """Say which Headrace this is."""
    import platform
    from importlib.metadata import version as version_of

    typer.echo(f"headrace {version_of('headrace')}")
    if everything:
        from confluent_kafka import libversion

        typer.echo(f"python {platform.python_version()}")
        typer.echo(f"librdkafka {libversion()[0]}")
        for part in PARTS:
            typer.echo(f"{part} {version_of(part)}")
