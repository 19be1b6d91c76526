"""``headrace replay``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from headrace.app.cli.arguments import AsJson, File, Which
from headrace.app.cli.hashing import fix_hash_seed
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

EXAMPLE = "headrace replay pipeline.py --events departures.csv --labels arrivals.csv --step 30m"

_ENDINGS = ".csv, .tsv, .jsonl or .ndjson, with .gz behind it if compressed"


def replay(
    file: File,
    events: Annotated[Path, typer.Option(help=f"File of events: {_ENDINGS}.", show_default=False)],
    labels: Annotated[Path | None, typer.Option(help="File of labels.", show_default=False)] = None,
    step: Annotated[
        str | None,
        typer.Option(
            help="Score slices of so much event time by the model as of their start: faster, and"
            " what publishing in step does.",
            show_default="each label is learned at its time",
        ),
    ] = None,
    partitions: Annotated[int, typer.Option(min=1, help="How many partitions there are.")] = 1,
    as_json: AsJson = False,
    sort: Sort = False,
    as_is: AsIs = False,
    encoding: Encoding = "utf-8",
    delimiter: Delimiter = None,
    no_quotes: NoQuotes = False,
    multiline: Multiline = False,
    pipeline: Which = None,
) -> None:
    """Run a pipeline over files in memory, without Kafka; say how well it would have done."""
    fix_hash_seed()
    import json
    from dataclasses import asdict

    from rich.console import Console

    from headrace.app.cli.progress import steps
    from headrace.app.ordering import warn
    from headrace.app.replaying import Files, quality_table, replay_files, sentences
    from headrace.streams.load import load_pipeline
    from headrace.streams.plan import plan_of

    reading = reading_of(encoding, delimiter, no_quotes=no_quotes, multiline=multiline)
    files = Files(events, labels, reading, order_of(sort=sort, as_is=as_is))
    plan = plan_of(load_pipeline(file, pipeline))
    with steps() as say:
        report = replay_files(plan, files, step=step, partitions=partitions, say=say)
    warn(report.order)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
        return
    if plan.labels != "none":
        Console().print(quality_table(report))
    typer.echo("\n".join(sentences(report, files)))
