"""Sorting a history by time without holding it in memory: SQLite sorts, in a temporary file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice

from headrace.schemas.errors import ServiceError
from headrace.streams.outgoing import Outgoing

_BATCH = 10_000
_CACHE_KIB = 32_768


def sorted_by_time(records: Iterable[Outgoing]) -> Iterator[Outgoing]:
    """Go through records by their times; those of one time stay in their order.

    Memory stays at some 64 MiB. The records lie in a temporary file, which takes about three times
    their size while they are sorted, in the folder that TMPDIR names; nothing is left of it.

    Raises
    ------
    ServiceError
        There is no room for them.
    """
    with closing(sqlite3.connect("")) as base:  # without a name: a temporary file of its own
        try:
            base.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            base.execute("PRAGMA journal_mode = OFF")
            base.execute(
                "CREATE TABLE record (at INTEGER, label INTEGER, k BLOB, v BLOB, n INTEGER)"
            )
            rest = iter(records)
            while batch := list(islice(rest, _BATCH)):
                base.executemany(
                    "INSERT INTO record VALUES (?, ?, ?, ?, ?)",
                    ((r.time_ms, r.is_label, r.key, r.value, r.row) for r in batch),
                )
            ordered = base.execute("SELECT at, label, k, v, n FROM record ORDER BY at, rowid")
            for at, label, key, value, row in ordered:
                yield Outgoing(at, bool(label), key, value, row)
        except sqlite3.Error as error:
            raise ServiceError(
                f"The history could not be sorted: {error}. It takes about three times its size in"
                " the folder for temporary files: set TMPDIR to one that has room."
            ) from error
