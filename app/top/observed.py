"""What ``headrace top`` takes from the logs: metrics of everything together, and alerts.

Read at ``read_committed``, from near the end of each log: a record of a segment is passed over by
its key, without being decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Any

from headrace.app.top.series import Series
from headrace.app.values import Value, Values, value_in, window_of_all
from headrace.streams.duration import duration_ms
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.watch import Seen, every, watch
from headrace.streams.records import Record
from headrace.streams.stages.bulletin import WHOLE_RUN
from headrace.streams.topics import Topics

LOOK_BACK = 200_000
"""How many records before the end of ``<p>.metrics`` reading begins: a second or two of work."""

WINDOWS_KEPT = 40
"""Windows of each length, and alerts, that are remembered."""

COUNTED = ("events", "routed", "labelled", "examples")
"""Counts whose rise is followed."""


class Observed:
    """What was read so far; written by one thread, read by others.

    Parameters
    ----------
    topics
        The pipeline's topics.
    have
        Topics that exist.
    """

    def __init__(self, topics: Topics, have: Iterable[str]) -> None:
        self._topics = topics
        self._read = {topics.metrics, topics.alerts} & set(have)
        self._lock = Lock()
        self._ended: set[str] = set()
        self._whole: Values = {}
        self._windows: dict[str, dict[int, Values]] = {}
        self._counted = {name: Series() for name in COUNTED}
        self._alerts: dict[str, dict[str, Any]] = {}
        self._newest_ms: int | None = None

    def follow(self, kafka: Connection, go_on: Callable[[], bool]) -> None:
        """Read until ``go_on`` returns False: what the thread runs."""
        known = {self._topics.metrics: _speaks_of_all, self._topics.alerts: every}
        wanted = {topic: what for topic, what in known.items() if topic in self._read}
        ended = self._ended
        for batch in watch(
            kafka, wanted, go_on, last=LOOK_BACK, at_end=lambda place: ended.add(place[0])
        ):
            self.take(batch)

    def caught_up(self) -> bool:
        """Return whether everything that was there at the beginning has been read."""
        return self._ended >= self._read

    def take(self, batch: Sequence[Seen]) -> None:
        """Take in what has just become visible."""
        with self._lock:
            for record, fields in batch:
                if fields is None:
                    continue
                if record.topic == self._topics.alerts:
                    self._on_alert(fields)
                else:
                    self._on_metric(record, fields)

    # -- for whoever asks

    def whole(self) -> Values:
        """Return the newest metrics of the whole run."""
        with self._lock:
            return dict(self._whole)

    def lengths(self) -> list[str]:
        """Return the lengths of windows that were read of, shortest first."""
        with self._lock:
            return sorted(self._windows, key=duration_ms)

    def windows(self, length: str) -> list[tuple[int, Values]]:
        """Return the last windows of a length with their ends, oldest first."""
        with self._lock:
            found = self._windows.get(length, {})
            return [(end, dict(found[end])) for end in sorted(found)]

    def event_time_ms(self) -> int | None:
        """Return the event time that has been counted to: the end of the newest window."""
        with self._lock:
            return self._newest_ms

    def counted(self, name: str, now_s: float) -> tuple[int | None, float | None, list[float]]:
        """Return a count of the whole run, how fast it rises, and how fast it rose."""
        with self._lock:
            series = self._counted[name]
            total = None if series.total is None else round(series.total)
            return total, series.rate(now_s), series.rates(now_s)

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are not over, the newest first."""
        with self._lock:
            found = [each for each in self._alerts.values() if each["state"] != "over"]
            return sorted(found, key=lambda each: each["since"] or 0, reverse=True)

    # -- records

    def _on_metric(self, record: Record, fields: dict[str, Any]) -> None:
        name, window, end = fields["metric"], fields["window"], fields["window_end"]
        self._newest_ms = max(self._newest_ms or 0, end)
        if window == WHOLE_RUN:
            self._whole[name] = value_in(fields)
            if name in self._counted and fields["value"] is not None:
                self._counted[name].add(record.timestamp_ms / 1000, fields["value"])
            return
        kept = self._windows.setdefault(window, {})
        kept.setdefault(end, {})[name] = value_in(fields)
        if len(kept) > WINDOWS_KEPT:
            del kept[min(kept)]

    def _on_alert(self, fields: dict[str, Any]) -> None:
        self._alerts.pop(fields["id"], None)
        self._alerts[fields["id"]] = fields
        over = [key for key, each in self._alerts.items() if each["state"] == "over"]
        for key in over[:-WINDOWS_KEPT]:
            del self._alerts[key]


def newest_with(windows: Sequence[tuple[int, Values]], name: str) -> tuple[int | None, Values]:
    """Return the newest window in which a metric has a value, with its end."""
    for end, values in reversed(windows):
        if values.get(name, _NOTHING).value is not None:
            return end, values
    return None, {}


_NOTHING = Value(None, 0, None)


def _speaks_of_all(record: Record) -> bool:
    return window_of_all(record) is not None
