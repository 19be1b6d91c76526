"""Options of commands that read files of events and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from headrace.app.ordering import Order
    from headrace.streams.rows import Reading

_NAMES = {"tab": "\t", "\\t": "\t"}

Encoding = Annotated[
    str, typer.Option(help="Encoding of the files, as Python calls it: cp1252, utf-16.")
]

Delimiter = Annotated[
    str | None,
    typer.Option(
        help="What stands between the cells of a table: ';', '|' or tab.",
        show_default="a comma; a tab in .tsv",
    ),
]

NoQuotes = Annotated[
    bool, typer.Option("--no-quotes", help="In tables, a quote is a character like any other.")
]

Multiline = Annotated[
    bool,
    typer.Option(
        "--multiline", help="Quoted cells may hold lines that read as rows: they are text."
    ),
]

Sort = Annotated[bool, typer.Option("--sort", help="Events come in the order of their times.")]

AsIs = Annotated[
    bool, typer.Option("--as-is", help="Events come in the order of the file, however late.")
]


def order_of(*, sort: bool, as_is: bool) -> Order:
    """Return in which order events come, as the options say it."""
    from headrace.app.ordering import Order

    if sort and as_is:
        raise typer.BadParameter("--sort and --as-is exclude each other")
    return Order.SORTED if sort else Order.AS_IS if as_is else Order.CHECKED


def reading_of(
    encoding: str, delimiter: str | None, *, no_quotes: bool, multiline: bool
) -> Reading:
    """Return how files are read, as the options say it."""
    from headrace.streams.rows import Reading

    character = None if delimiter is None else _NAMES.get(delimiter, delimiter)
    return Reading(encoding, character, quotes=not no_quotes, multiline=multiline)
