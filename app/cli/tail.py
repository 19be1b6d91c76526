"""``headrace tail``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.app.cli.arguments import AsJson, Name

if TYPE_CHECKING:
    from headrace.streams.engine.reader import Skipped

EXAMPLE = "headrace tail flights predictions --last 5"


def tail(
    pipeline: Name,
    what: Annotated[
        str,
        typer.Argument(
            help="predictions, examples, metrics, dead-letters, or another of its topics.",
            metavar="WHAT",
            show_default=False,
        ),
    ],
    last: Annotated[
        int | None,
        typer.Option(
            "--last",
            min=0,
            help="Begin with so many of the newest records.",
            show_default="from the beginning",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Wait for more at the end.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Show the records of one of a pipeline's topics, decoded, as they are committed."""
    from headrace.app.notes import note_of
    from headrace.app.services import find_kafka
    from headrace.app.settings import settings_from
    from headrace.app.showing import json_line, plain_line
    from headrace.app.tailing import Tail
    from headrace.app.targets import known_topics
    from headrace.schemas.counts import readable

    kafka = find_kafka(settings_from(os.environ))
    topics = known_topics(pipeline, kafka)
    try:
        reading = Tail(kafka, topics, what, follow=follow, last=last)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="WHAT") from error
    line = json_line if as_json else plain_line
    for record, found in reading:
        fields = readable(found) if what == "counts" and not as_json else found
        if what == "metrics" and not as_json and (note := note_of(found)):
            fields = {**fields, "note": note}
        sys.stdout.write(line(record, fields) + "\n")
        if follow:
            sys.stdout.flush()
    sys.stdout.flush()
    _report_skipped(reading.skipped)


def _report_skipped(skipped: Sequence[Skipped]) -> None:
    if skipped:
        first = skipped[0]
        sys.stderr.write(
            f"headrace: {len(skipped)} records did not decode, the first one in partition"
            f" {first.partition} at offset {first.offset}: {first.detail}\n"
        )
