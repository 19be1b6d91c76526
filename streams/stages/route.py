"""ROUTE: puts each label on the partition of its event id, with its origin and the watermark.

State keys: ``w``, the labels partition's clock; ``s``, how far each source has come.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from headrace.schemas.records import Codecs
from headrace.streams.buckets import number_bucket
from headrace.streams.decoding import Rejected
from headrace.streams.partitioner import partition_of
from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import Context, Effects, View
from headrace.streams.records import Emit, Record
from headrace.streams.stages.marks import Control, control_of, crossed, promise_of, raised
from headrace.streams.stages.output import Output
from headrace.streams.stages.repetitions import SOURCES, Places
from headrace.streams.topics import Partitions
from headrace.streams.watermark import Clock, advance, fresh_clock

CLOCK = "w"

_Item = tuple[Record, Any]  # a label, Rejected, or Control


class RouteStage:
    """ROUTE of one labels partition.

    Parameters
    ----------
    plan, codecs
        The pipeline's.
    partition
        The labels partition.
    partitions
        How many partitions the topics have.
    """

    name = "route"
    whole = True
    poison_keys: tuple[str, ...] = (SOURCES,)

    def __init__(self, plan: Plan, codecs: Codecs, partition: int, partitions: Partitions) -> None:
        self._plan = plan
        self._codecs = codecs
        self._partition = partition
        self._partitions = partitions

    def load(self, view: View) -> None:
        """Do nothing: nothing is derived from clock and sources."""

    def prepare(self, records: Sequence[Record]) -> list[_Item]:
        """Decode and validate."""
        return [(record, self._read(record)) for record in records]

    def keys(self, prepared: Sequence[_Item]) -> Collection[str]:
        """Return the keys of clock and sources."""
        return (CLOCK, SOURCES)

    def apply(self, prepared: Sequence[_Item], view: View, context: Context) -> Effects:
        """Take labels into the clock, and send each to its event's partition."""
        output = self._output()
        clock, places = view.get(CLOCK) or fresh_clock(), Places(view)
        for record, item in prepared:
            if record.headers and places.passes(record):
                output.tally.count("repeated_label")
            elif type(item) is Rejected:
                output.reject(record, item)
            elif type(item) is Control:
                self._control(item, clock, output)
            else:
                time_ms = self._plan.label_time_ms(item)
                watermark = self._advance(record, time_ms, clock)
                output.emits.append(self._routed(record, item, time_ms, watermark))
                cell, delay_ms = output.tally.cell(time_ms), max(0, record.timestamp_ms - time_ms)
                cell.values["routed"] += 1
                cell.buckets["label_record_delay"][number_bucket(delay_ms)] += 1
                self._mark(watermark, clock, output)
        places.keep()
        view.put(CLOCK, clock)
        return output.effects(restoring=context.restoring, watermark=clock[0])

    def poison(self, record: Record, error: Exception, view: View, context: Context) -> Effects:
        """Make a dead letter of a record that no rule foresaw, unless it came before."""
        output, places = self._output(), Places(view)
        if places.passes(record):
            output.tally.count("repeated_label")
        else:
            output.poison(record, error)
        places.keep()
        return output.effects(restoring=context.restoring)

    def _output(self) -> Output:
        return Output(self.name, self._partition, self._plan, self._codecs)

    def _read(self, record: Record) -> Any:
        control = control_of(record, self._plan.skew_ms)
        if control is not None:
            return control
        return self._plan.decode_label(record.value, record.timestamp_ms)

    def _control(self, control: Control, clock: Clock, output: Output) -> None:
        if control.watermark is not None:
            self._mark(raised(clock, control.watermark), clock, output)
        if control.barrier is not None:
            topic, count = self._plan.topics.labels_routed, self._partitions.predictions
            output.pass_barrier(control.barrier, topic, count)

    def _advance(self, record: Record, time_ms: int, clock: Clock) -> int | None:
        """Take a label into the clock, or its publisher's promise; return the watermark before."""
        promised = promise_of(record, self._plan.skew_ms) if record.headers else None
        return advance(clock, time_ms) if promised is None else raised(clock, promised)

    def _mark(self, before: int | None, clock: Clock, output: Output) -> None:
        """Say the clock to all partitions, if it has crossed a step."""
        if crossed(before, clock[0], self._plan.mark_step_ms):
            topic, count = self._plan.topics.labels_routed, self._partitions.predictions
            output.mark(clock[0], topic, count)

    def _routed(self, record: Record, label: Any, time_ms: int, watermark: int | None) -> Emit:
        event_id = self._plan.label_id(label)
        routed = {
            "event_id": event_id,
            "label": self._plan.label_value(label),
            "label_time": time_ms,
            "source_partition": self._partition,
            "source_offset": record.offset,
            "watermark": watermark,
        }
        key = event_id.encode()
        place = partition_of(key, self._partitions.predictions)
        value = self._codecs.routed_label.encode(routed)
        return Emit(self._plan.topics.labels_routed, place, key, value)
