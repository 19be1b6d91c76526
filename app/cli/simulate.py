"""``headrace simulate``."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from headrace.app.cli import failures
from headrace.app.cli.arguments import File, Which
from headrace.app.cli.hashing import fix_hash_seed

EXAMPLE = "headrace simulate examples/flights/pipeline.py --worlds 20"


def simulate(
    file: File,
    worlds: Annotated[int, typer.Option(min=1, help="How many worlds.")] = 100,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="The first world's seed.", show_default="a new one"),
    ] = None,
    events: Annotated[int, typer.Option(min=1, help="How many events in each.")] = 200,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write what came of it there too.", show_default=False),
    ] = None,
    pipeline: Which = None,
) -> None:
    """Run a pipeline in worlds of seeded faults, in memory; show the first that goes wrong."""
    fix_hash_seed()
    from headrace.app.cli.progress import steps
    from headrace.app.simulating import sentences
    from headrace.app.simulating import simulate as run_worlds
    from headrace.streams.load import load_pipeline
    from headrace.streams.plan import plan_of

    plan = plan_of(load_pipeline(file, pipeline))
    first = time.time_ns() % 10**9 if seed is None else seed
    with steps() as progress:
        report = run_worlds(plan, seed=first, worlds=worlds, events=events, progress=progress)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(report), indent=2) + "\n", "utf-8")
    typer.echo("\n".join(sentences(report)))
    if report.violation is not None:
        wrong = f"{plan.name}: what comes out depends on the faults that strike, or on chance"
        seen = f"--seed {report.violation.seed} --worlds 1 --events {events}"
        failures.stop(f"{wrong}. See it again with {seen}.", failures.FAILED)
