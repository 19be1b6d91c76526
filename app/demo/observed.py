"""What the demo sees: metrics as MONITOR says them, and when predictions became visible.

Everything is read at ``read_committed`` by one consumer in one thread. Latency is measured here,
and only here: from an event's timestamp, which its publisher set on this machine, to the moment in
which this process had its prediction in hand.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, NamedTuple

from headrace.app.values import Values, quantile, value_in, window_of_all
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.watch import Seen, Wanted, every, watch
from headrace.streams.records import Record
from headrace.streams.stages.bulletin import WHOLE_RUN
from headrace.streams.topics import Topics

DAY = "1d"

_DAY_MS = 86_400_000
_DAYS_KEPT = 400
_RECENT = 2_000
_UNMATCHED_MAX = 100_000


class Latency(NamedTuple):
    """From produce to visible, in milliseconds; None while nothing was seen."""

    p50_ms: float | None
    p99_ms: float | None
    support: int


class Observed:
    """What was seen so far; written by one thread, read by others.

    Parameters
    ----------
    topics
        The pipeline's topics.
    """

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._lock = Lock()
        self._counts = {topics.predictions: 0, topics.examples: 0}
        self._whole: Values = {}
        self._days: dict[int, Values] = {}
        self._barriers: deque[str] = deque(maxlen=1_000)
        self._produced: dict[tuple[int, int], int] = {}
        self._visible: dict[tuple[int, int], float] = {}
        self._latencies = array("d")
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def follow(self, kafka: Connection, go_on: Callable[[], bool]) -> None:
        """Read until ``go_on`` returns False: what the thread runs."""
        topics: dict[str, Wanted | None] = {
            self._topics.metrics: _is_of_all,
            self._topics.predictions: every,
            self._topics.events: None,
            self._topics.examples: None,
        }
        for batch in watch(kafka, topics, go_on):
            self.take(batch, time.time() * 1000)

    def take(self, batch: Sequence[Seen], now_ms: float) -> None:
        """Take in what has just become visible."""
        with self._lock:
            for record, fields in batch:
                if record.value is None:
                    self._on_barrier(record)
                elif record.topic == self._topics.metrics:
                    if fields is not None:
                        self._on_metric(fields)
                elif record.topic == self._topics.events:
                    self._on_event(record)
                else:
                    self._counts[record.topic] += 1
                    if fields is not None:
                        self._on_prediction(fields, now_ms)

    # -- for whoever asks

    def whole(self) -> Values:
        """Return the newest metrics of the whole run."""
        with self._lock:
            return dict(self._whole)

    def last_day(self) -> Values:
        """Return the metrics of the newest day-long window in which anything was answered yet."""
        with self._lock:
            for end in sorted(self._days, reverse=True):
                if "auc" in self._days[end]:
                    return dict(self._days[end])
            return {}

    def auc_by_day(self) -> list[float]:
        """Return the AUC of each whole day of event time (UTC), oldest first."""
        with self._lock:
            ends = [end for end in sorted(self._days) if end % _DAY_MS == 0]
            found = [self._days[end].get("auc") for end in ends]
        return [each.value for each in found if each is not None and each.value is not None]

    def has_passed(self, barrier: str) -> bool:
        """Return whether a barrier has come out at the end of all stages."""
        with self._lock:
            return barrier in self._barriers

    def seen(self) -> dict[str, int]:
        """Return how many predictions and examples are visible."""
        with self._lock:
            return {
                "predictions": self._counts[self._topics.predictions],
                "examples": self._counts[self._topics.examples],
            }

    def latency(self, *, recent: bool = False) -> Latency:
        """Return the latency of all predictions, or of the last few thousand."""
        with self._lock:
            found = sorted(self._recent if recent else self._latencies)
        return Latency(quantile(found, 0.5), quantile(found, 0.99), len(found))

    # -- records

    def _on_barrier(self, record: Record) -> None:
        name = record.barrier() if record.topic == self._topics.metrics else None
        if name is not None:
            self._barriers.append(name)

    def _on_metric(self, fields: dict[str, Any]) -> None:
        found = value_in(fields)
        if fields["window"] == WHOLE_RUN:
            self._whole[fields["metric"]] = found
            return
        end = fields["window_end"]
        if end not in self._days and len(self._days) > _DAYS_KEPT:
            del self._days[min(self._days)]
        self._days.setdefault(end, {})[fields["metric"]] = found

    def _on_event(self, record: Record) -> None:
        place = (record.partition, record.offset)
        visible_ms = self._visible.pop(place, None)
        if visible_ms is not None:  # its prediction was fetched before it
            self._add(visible_ms - record.timestamp_ms)
        elif len(self._produced) < _UNMATCHED_MAX:
            self._produced[place] = record.timestamp_ms

    def _on_prediction(self, fields: dict[str, Any], now_ms: float) -> None:
        place = (fields["source_partition"], fields["source_offset"])
        produced_ms = self._produced.pop(place, None)
        if produced_ms is not None:
            self._add(now_ms - produced_ms)
        elif len(self._visible) < _UNMATCHED_MAX:
            self._visible[place] = now_ms

    def _add(self, latency_ms: float) -> None:
        self._latencies.append(latency_ms)
        self._recent.append(latency_ms)


def _is_of_all(record: Record) -> bool:
    """Whether a metric speaks of everything, not of a segment, in a window that is shown."""
    return window_of_all(record) in {WHOLE_RUN, DAY}
