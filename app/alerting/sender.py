"""Sends a pipeline's alerts: a courier for each channel, so that none waits for another."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from headrace.app.alerting.channels import Channel
from headrace.app.alerting.message import message_of
from headrace.app.prometheus import OnDemand
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.courier import Courier
from headrace.streams.engine.roles import group_of
from headrace.streams.records import Record

_STOP_S = 3.0

_log = structlog.get_logger("headrace.alerts")


def group_prefix(pipeline: str) -> str:
    """Return what the names of the senders' consumer groups begin with."""
    return group_of(pipeline, "alerts.")


def still_open(records: Iterable[tuple[Record, dict[str, Any]]]) -> set[int]:
    """Return the offsets of the newest records of alerts that are not over.

    They alone are sent by a channel that is new: not a history of what has passed.
    """
    newest = {fields["id"]: (record.offset, fields["state"]) for record, fields in records}
    return {offset for offset, state in newest.values() if state != "over"}


class Sender:
    """Sends through one channel, in a thread of its own.

    Parameters
    ----------
    kafka, topic
        Where alerts are.
    pipeline
        Whose they are.
    channel
        Where they go.
    """

    def __init__(self, kafka: Connection, topic: str, pipeline: str, channel: Channel) -> None:
        self.channel = channel
        self._pipeline = pipeline
        self._stopping = threading.Event()
        group = group_prefix(pipeline) + channel.name
        self.courier = Courier(kafka, topic, group, self._deliver, still_open)
        self._thread = threading.Thread(
            target=self.courier.run, args=(self._stopping,), name=f"headrace-{channel.name}",
            daemon=True,
        )  # fmt: skip

    def start(self) -> None:
        """Begin to send."""
        _log.info("alerts are sent", to=self.channel.shown, channel=self.channel.name)
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Stop when what is under way is done."""
        self._stopping.set()

    def join(self) -> None:
        """Wait for the end, for seconds; what is not committed by then is sent once more."""
        self._thread.join(_STOP_S)

    def _deliver(self, alert: dict[str, Any]) -> str | None:
        return self.channel.send(message_of(self._pipeline, alert))


@contextmanager
def sending(
    kafka: Connection, topic: str, pipeline: str, channels: Sequence[Channel]
) -> Iterator[list[Sender]]:
    """Send a pipeline's alerts through channels meanwhile."""
    senders = [Sender(kafka, topic, pipeline, channel) for channel in channels]
    for sender in senders:
        sender.start()
    try:
        yield senders
    finally:
        for sender in senders:
            sender.ask_to_stop()
        for sender in senders:
            sender.join()


class DeliveryCollector(OnDemand):
    """Collects how deliveries go, for Prometheus.

    Parameters
    ----------
    pipeline
        Whose alerts are sent.
    senders
        Who sends them.
    """

    def __init__(self, pipeline: str, senders: Sequence[Sender]) -> None:
        self._pipeline = pipeline
        self._senders = senders

    def collect(self) -> Iterator[Metric]:
        """Return all metrics of the present."""
        labels = ("pipeline", "channel")
        done = CounterMetricFamily(
            "headrace_alert_deliveries", "Alerts that a channel has taken.", labels=labels
        )
        failed = CounterMetricFamily(
            "headrace_alert_deliveries_failed",
            "Attempts to send an alert that failed; it is sent again.",
            labels=labels,
        )
        held_up = GaugeMetricFamily(
            "headrace_alert_delivery_held_up",
            "1 while an alert waits because a channel does not take it.",
            labels=labels,
        )
        for sender in self._senders:
            where = (self._pipeline, sender.channel.name)
            done.add_metric(where, float(sender.courier.delivered))
            failed.add_metric(where, float(sender.courier.failed))
            held_up.add_metric(where, float(sender.courier.hindrance is not None))
        yield from (done, failed, held_up)
