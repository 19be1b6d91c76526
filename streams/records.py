"""What goes in and out of a stage: records of the log, and what is to be emitted to it."""

from __future__ import annotations

from typing import NamedTuple

TopicPartition = tuple[str, int]
"""A topic's name and a partition number."""

Headers = tuple[tuple[str, bytes], ...]

BARRIER = "headrace-barrier"
"""Header of a barrier record: its value is the barrier's name; the record has no value.

A publisher writes one to every partition of the input topics; each stage passes it on once all
of its sources have sent it, LEARN announces it with the model. What was published before a
barrier has been learned when the barrier is announced (docs/adr/0003).
"""

BARRIER_SOURCE = "headrace-barrier-source"
"""Header of a passed-on barrier: which partition of which stage sent it, as ``score-3``."""


WATERMARK = "headrace-watermark"
"""Header of a mark: how far a source has come in event time; a mark has no value.

On an input: milliseconds, a publisher's promise that nothing older comes to this partition from
here on, less the lateness; a label that has a value may carry it too, and then moves the clock by
this alone. On predictions and routed labels: ``<source partition>:<milliseconds>``,
the watermark of SCORE or ROUTE (docs/adr/0009).
"""

SOURCE = "headrace-source"
"""Header of an event or label: which source it is of, and where it stands there.

``<source>@<place>``: of a source whose records come in a fixed order, such as the rows of a file;
places rise. ``<source>#<key>`` is kept free for sources without an order, whose records have keys
(docs/adr/0014). A reader of the topic skips what it has seen by it.
"""


class Record(NamedTuple):
    """One record of an input log.

    Attributes
    ----------
    topic, partition, offset
        Its coordinates.
    timestamp_ms
        The record's own timestamp, in milliseconds since the epoch.
    key, value, headers
        Its content, as bytes.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def barrier(self) -> str | None:
        """Return the name of the barrier that this record is, or None."""
        for name, value in self.headers:
            if name == BARRIER:
                return value.decode("utf-8", "replace")
        return None


class Emit(NamedTuple):
    """One record to be written in the transaction that commits its batch."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
