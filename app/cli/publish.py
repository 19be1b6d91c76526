"""``headrace publish``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from headrace.app.cli.arguments import File, Which
from headrace.app.cli.reading import (
    AsIs,
    Delimiter,
    Encoding,
    Multiline,
    NoQuotes,
    Sort,
    order_of,
    reading_of,
)

EXAMPLE = "headrace publish pipeline.py --events departures.csv --labels arrivals.csv --in-step 30m"

_ENDINGS = ".csv, .tsv, .jsonl or .ndjson, with .gz behind it if compressed"

InStep = Annotated[
    str | None,
    typer.Option(
        help="Publish slices of so much event time (30m), each when the one before is learned"
        " and served: an honest replay faster than time.",
        show_default=False,
    ),
]

Again = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Publish a file that was published whole once more: all rows are new events.",
    ),
]

More = Annotated[
    bool,
    typer.Option(
        "--more",
        help="Another file goes on behind this one: leave it the labels after the last event.",
    ),
]


def publish(
    file: File,
    events: Annotated[Path, typer.Option(help=f"File of events: {_ENDINGS}.", show_default=False)],
    labels: Annotated[Path | None, typer.Option(help="File of labels.", show_default=False)] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            min=1e-6, help="Seconds of event time in a second; 1 is as it was.", show_default=False
        ),
    ] = None,
    flat_out: Annotated[
        bool, typer.Option("--flat-out", help="As fast as Kafka takes it (the default).")
    ] = False,
    in_step: InStep = None,
    sort: Sort = False,
    as_is: AsIs = False,
    encoding: Encoding = "utf-8",
    delimiter: Delimiter = None,
    no_quotes: NoQuotes = False,
    multiline: Multiline = False,
    again: Again = False,
    more: More = False,
    pipeline: Which = None,
) -> None:
    """Publish events and labels from files, interleaved by their own times.

    If it is stopped, the same command goes on where it stopped.
    """
    if sum([speed is not None, flat_out, in_step is not None]) > 1:
        raise typer.BadParameter("--speed, --flat-out and --in-step exclude each other")
    from headrace.app.ordering import Order
    from headrace.app.publishing import Pace, publish_files
    from headrace.app.settings import settings_from
    from headrace.app.sorting import sorted_by_time
    from headrace.app.sourcing import Files
    from headrace.streams.load import load_pipeline
    from headrace.streams.plan import plan_of

    reading = reading_of(encoding, delimiter, no_quotes=no_quotes, multiline=multiline)
    plan = plan_of(load_pipeline(file, pipeline))
    pace = Pace(speed, in_step)
    order = order_of(sort=sort, as_is=as_is)
    by_time = sorted_by_time if order is Order.SORTED else None
    files = Files(events, labels, reading, by_time, again=again, more=more)
    checked = order is Order.CHECKED
    typer.echo(publish_files(plan, settings_from(os.environ), files, pace, checked=checked))
