"""Ranges of the log, read apart from the group: what a restore replays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from headrace.streams.engine.messages import records_of
from headrace.streams.engine.translation import translated
from headrace.streams.protocol.ports import Dead
from headrace.streams.records import Record, TopicPartition

CHUNK_RECORDS = 5_000
_REQUEST_S = 10.0
_SILENCE_S = 30.0

_SETTINGS = {
    "group.id": "headrace-restore",  # asked for by the client, never joined
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 20,
    "queued.max.messages.kbytes": 8192,
}


class RangeReader:
    """A consumer without a group, at ``read_committed``.

    Parameters
    ----------
    settings
        Where Kafka is, and how to get in.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._consumer = Consumer({**settings, **_SETTINGS})
        self._at: tuple[TopicPartition, int] | None = None

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Return the first offset that is kept, and the last stable offset."""
        try:
            first, end = self._consumer.get_watermark_offsets(Place(*tp), _REQUEST_S)
        except KafkaException as error:
            raise translated(error, f"bounds of {tp[0]}-{tp[1]}") from error
        return int(first), int(end)

    def read(self, tp: TopicPartition, start: int, stop: int) -> Sequence[Record]:
        """Return some or all records of ``start .. stop - 1``; empty if none is left."""
        if start >= stop:
            return ()
        if self._at != (tp, start):  # else the range goes on where the last one ended
            self._consumer.assign([Place(*tp, start)])
        self._at = None
        messages, ended = self._wait(tp, stop)
        records = [r for r in records_of(*tp, messages) if start <= r.offset < stop]
        if records and len(records) == len(messages) and not ended:
            self._at = (tp, records[-1].offset + 1)
        return records

    def _wait(self, tp: TopicPartition, stop: int) -> tuple[list[Any], bool]:
        """Wait for records, or for the log's end at or behind ``stop``."""
        give_up_s = time.monotonic() + _SILENCE_S
        while time.monotonic() < give_up_s:
            messages, end = [], -1
            for message in self._consumer.consume(CHUNK_RECORDS, 0.02):
                error = message.error()
                if error is None:
                    messages.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public code
                    end = int(message.offset() or 0)
                elif error.fatal() or not error.retriable():
                    raise translated(error, f"read of {tp[0]}-{tp[1]}")
            if messages or end >= stop:
                return messages, end >= 0
        raise Dead(f"{tp[0]}-{tp[1]}: no record before {stop} came within {_SILENCE_S:g} s")

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()
