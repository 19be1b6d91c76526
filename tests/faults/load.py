"""Events and labels without end, at a steady rate, whatever befalls the broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count, islice
from typing import Any

from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.publisher import Publisher
from headrace.streams.outgoing import Outgoing, interleaved
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan
from headrace.streams.rows import read_rows
from tests.systems.flights import WEEK

_TICK_S = 0.05
_APART = timedelta(days=8)
"""A week, and a day in which the last labels come: so none of them is late."""


def endless(plan: Plan) -> Iterator[Outgoing]:
    """Go through the week again and again, each time later, under ids of its own."""
    labels = plan.pipeline.labels
    assert isinstance(labels, Labels)
    events = list(read_rows(WEEK, plan.pipeline.events.event))
    known = list(read_rows(WEEK, labels.label, unless_blank="label"))
    for number in count():
        yield from interleaved(
            plan,
            (_copy(row, "event_time", number) for row in events),
            (_copy(row, "label_time", number) for row in known),
        )


def _copy(row: Any, time_field: str, number: int) -> Any:
    moved = {
        "event_id": f"{number}-{row.event_id}",
        time_field: getattr(row, time_field) + number * _APART,
    }
    return row.model_copy(update=moved)


class Load(threading.Thread):
    """Publishes at a steady rate until it is told to stop.

    What may not have been delivered is published again, as the publisher's error says: so an event
    can be there twice, and counts as a duplicate; none may be missing.

    Parameters
    ----------
    rate
        Events and labels in a second.

    Attributes
    ----------
    events
        How many different events are acknowledged.
    failure
        What ended it, other than being told.
    """

    def __init__(self, plan: Plan, kafka: Connection, rate: float) -> None:
        super().__init__(name="load", daemon=True)
        self.events = 0
        self.failure: BaseException | None = None
        self._plan, self._kafka = plan, kafka
        self._publisher: Publisher | None = None
        self._records = endless(plan)
        self._portion = max(1, round(rate * _TICK_S))
        self._pause_s = self._portion / rate
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                due = time.monotonic() + self._pause_s
                self._deliver(list(islice(self._records, self._portion)))
                self._stopping.wait(max(0.0, due - time.monotonic()))
        except BaseException as error:  # noqa: BLE001 - told by stop()
            self.failure = error

    def stop(self) -> None:
        """Deliver what is under way, and end."""
        self._stopping.set()
        self.join(120)
        if self.failure is not None:
            raise self.failure
        assert not self.is_alive(), "the last records could not be delivered"

    def quit(self) -> None:
        """End soon, delivered or not."""
        self._stopping.set()

    def _deliver(self, records: Sequence[Outgoing]) -> None:
        while True:
            try:
                self._publish(records)
            except ServiceError:
                self._publisher = None  # a client that has failed is not asked again
                time.sleep(0.5)
            else:
                self.events += sum(not record.is_label for record in records)
                return

    def _publish(self, records: Sequence[Outgoing]) -> None:
        if self._publisher is None:
            self._publisher = Publisher(self._plan, self._kafka)
        for record in records:
            self._publisher.send(record)
        self._publisher.flush()
