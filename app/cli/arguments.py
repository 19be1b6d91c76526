"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

File = Annotated[
    Path, typer.Argument(help="The pipeline's file.", metavar="FILE", show_default=False)
]

Name = Annotated[
    str,
    typer.Argument(help="A pipeline's name, or its file.", metavar="NAME|FILE", show_default=False),
]

Which = Annotated[
    str | None,
    typer.Option(
        "--pipeline", help="Which of the file's pipelines, by its name.", show_default=False
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
