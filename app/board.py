"""The board on which each worker writes, about once a second, how it stands."""

from __future__ import annotations

import json
import time
from typing import Any, Protocol

BEAT_S = 1.0
"""How often a worker writes, at least."""

SILENT_S = 5.0
"""After how long without a word a worker is taken for dead."""

Board = dict[str, dict[str, Any]]
"""What each worker said last, by ``<role>-<slot>`` (``headrace.streams.engine.report``)."""


class _Store(Protocol):
    def workers(self, pipeline: str) -> dict[str, str]:
        """Return what each worker has said of itself."""


def board_of(store: _Store, pipeline: str) -> Board:
    """Return the board of a pipeline, in order of roles and slots."""
    return {name: json.loads(text) for name, text in sorted(store.workers(pipeline).items())}


def alive(store: _Store, pipeline: str, watch_s: float = 2.5 * BEAT_S) -> list[str]:
    """Return the workers that are alive: those whose entry changes while it is watched.

    Clocks are not compared, since a worker's may differ from ours. A worker that stops in good
    order takes its entry away, so usually there is nothing to watch.

    Parameters
    ----------
    watch_s
        How long to watch those that have an entry.
    """
    before = board_of(store, pipeline)
    found: set[str] = set()
    until = time.monotonic() + watch_s
    while len(found) < len(before) and time.monotonic() < until:
        time.sleep(min(0.1, watch_s))
        now = board_of(store, pipeline)
        found |= {name for name in now if now[name] != before.get(name)}
    return sorted(found)


def lag_of(report: dict[str, Any]) -> int | None:
    """Return how many offsets behind the ends of its inputs a worker is, None if unknown."""
    lags = [task.get("lag") for task in report.get("tasks", {}).values()]
    known = [lag for lag in lags if lag is not None]
    return sum(known) if known else None
