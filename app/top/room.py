"""How much of each part a terminal has room for."""

from __future__ import annotations

from typing import NamedTuple

from headrace.app.drawing import SPARKS_MAX
from headrace.app.top.frame import Frame

_LEAST = 24
"""Lines of the smallest picture."""

_METRICS_LEAST = 4
_DRIFT_LEAST = 2
_SPARKS_LEAST = 12
_WORKERS_HEAD = 1


class Room(NamedTuple):
    """Rows of each part; ``workers``: whether each has a row, rather than all one line."""

    alerts: int
    metrics: int
    drift: int
    workers: bool
    sparks: int


def room_for(frame: Frame, height: int | None, columns: int) -> Room:
    """Return what a picture of so many lines shows of a frame; None: everything.

    Parameters
    ----------
    columns
        How many features stand in one row.
    """
    drift = -(-len(frame.drift) // columns)
    if height is None:
        return Room(len(frame.alerts), len(frame.metrics), drift, True, SPARKS_MAX)
    free = max(0, height - _LEAST)
    alerts, free = _take(len(frame.alerts), 1, free)
    metrics, free = _take(len(frame.metrics), _METRICS_LEAST, free)
    drift, free = _take(drift, _DRIFT_LEAST, free)
    more = len(frame.workers) + _WORKERS_HEAD - 1  # they have one line at any rate
    workers = bool(frame.workers) and more <= free
    sparks = SPARKS_MAX if columns > 1 else _SPARKS_LEAST
    return Room(alerts, metrics, drift, workers, sparks)


def _take(wanted: int, least: int, free: int) -> tuple[int, int]:
    """Return how many rows a part gets, and how many lines are free then."""
    more = max(0, min(wanted - least, free))
    return min(wanted, least + more), free - more
