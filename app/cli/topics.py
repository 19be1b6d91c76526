"""``headrace topics``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from headrace.app.cli.arguments import File, Which

EXAMPLE = "headrace topics examples/flights/pipeline.py"


def topics(
    file: File,
    pipeline: Which = None,
    set_retention: Annotated[
        bool,
        typer.Option(
            "--set-retention", help="Let the pipeline's own topics keep what it declares."
        ),
    ] = False,
) -> None:
    """Create the topics and schemas that a pipeline needs; say what differs of those there are."""
    from rich.console import Console
    from rich.table import Table

    from headrace.app import retention
    from headrace.app.services import find_services
    from headrace.app.settings import settings_from
    from headrace.app.wiring import prepare
    from headrace.streams.load import load_pipeline
    from headrace.streams.plan import plan_of

    plan = plan_of(load_pipeline(file, pipeline))
    settings = settings_from(os.environ)
    services = find_services(settings)
    prepared = prepare(plan, settings, services)
    changed: list[str] = []
    if set_retention:
        changed = retention.set_retention(plan, prepared.topic_states, services.kafka)
        prepared = prepare(plan, settings, services)
    table = Table(box=None)
    for column in ("topic", "partitions", "", "differs"):
        table.add_column(column, overflow="fold")
    for state in prepared.topic_states:
        said = "created" if state.created else "there"
        table.add_row(state.name, str(state.partitions), said, "; ".join(state.differs))
    console = Console()
    console.print(table)
    created = sum(state.created for state in prepared.topic_states)
    differ = sum(bool(state.differs) for state in prepared.topic_states)
    console.print(
        f"{plan.name}: version {prepared.version}; {created} topics created,"
        f" {differ} differ from what would be created"
        f" ({f'retention set of {len(changed)}' if changed else 'nothing was changed'})."
    )
    for sentence in retention.shortfalls(plan, prepared.topic_states, services.kafka.brokers):
        console.print(sentence)
    if prepared.edit:
        console.print(prepared.edit)
