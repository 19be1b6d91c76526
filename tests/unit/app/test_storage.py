"""How much a pipeline keeps, as people read it; and the answer that says how big topics are."""

from __future__ import annotations

import struct
from contextlib import suppress
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from headrace.app.storage import storage_table
from headrace.streams.engine.sizes import _NotPermittedError, _sizes
from headrace.streams.engine.wire import Answer, text

STORAGE: dict[str, Any] = {
    "topics": {
        "flights.events": {
            "size_bytes": 1_250_000, "records": 9, "records_per_day": 3, "bytes_per_day": 416_667,
        },
        "flights.counts": {
            "size_bytes": None, "records": 0, "records_per_day": 0, "bytes_per_day": None,
        },
    },
    "checkpoints": {
        "links": 8_640, "states": 363, "size_bytes": 18_150_000, "bytes_per_day": 432_000_000,
    },
    "snapshots": {"snapshots": 4, "size_bytes": 999},
    "redis": {"size_bytes": 25_000, "versions": {"1": 5_000, "2": 20_000}},
}  # fmt: skip


def test_what_is_kept_is_a_table() -> None:
    out = StringIO()
    Console(file=out, width=90).print(storage_table(STORAGE))
    rows = [line.split("  ") for line in out.getvalue().splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["kept", "size", "in 24 h"],
        ["flights.events", "1.2 MB", "416.7 kB"],
        ["flights.counts", "unknown", "unknown"],
        ["checkpoints: 363 states of 8,640", "18.1 MB", "432.0 MB"],
        ["snapshots: 4", "999 B"],
        ["Redis: version 1, version 2", "25.0 kB"],
    ]


def test_sizes_are_read_of_an_answer_folder_by_folder() -> None:
    def folder(name: str, topic: str, *logs: tuple[int, int, bool]) -> bytes:
        rows = b"".join(struct.pack(">iqq?", n, size, 0, moved) for n, size, moved in logs)
        head = struct.pack(">h", 0) + text(name) + struct.pack(">i", 1) + text(topic)
        return head + struct.pack(">i", len(logs)) + rows

    body = struct.pack(">ii", 0, 2)
    body += folder("/a", "events", (0, 100, False), (1, 50, False))
    body += folder("/b", "events", (0, 7, True), (2, 30, False))
    sizes = {("events", 0): 100, ("events", 1): 50, ("events", 2): 30}
    assert dict(_sizes(Answer(body))) == sizes


def test_a_folder_that_is_out_of_order_is_no_size() -> None:
    body = struct.pack(">ii", 0, 1) + struct.pack(">h", 56) + text("/a")
    with pytest.raises(ValueError, match="error code 56"):
        list(_sizes(Answer(body)))


def test_an_answer_without_any_folder_means_that_nothing_is_permitted() -> None:
    with pytest.raises(_NotPermittedError, match="grant Describe on the cluster"):
        list(_sizes(Answer(struct.pack(">ii", 0, 0))))


@given(st.binary(max_size=80))
def test_any_answer_about_sizes_ends(body: bytes) -> None:
    with suppress(struct.error, ValueError, _NotPermittedError):
        list(_sizes(Answer(body)))
