"""What a batch of a stage will emit, and what it counts, while it is being processed."""

from __future__ import annotations

from headrace.schemas.records import Codecs
from headrace.streams.decoding import Rejected
from headrace.streams.observe import ALL, NO_TILE, Tally, tile_ms_of
from headrace.streams.plan import Plan
from headrace.streams.protocol.stage import Effects
from headrace.streams.records import Emit, Record
from headrace.streams.stages.barriers import pass_on, source_name
from headrace.streams.stages.dead_letter import bury
from headrace.streams.stages.marks import Mark, mark_record


class Output:
    """Collects a batch's emits and counts, in order.

    Parameters
    ----------
    stage, partition
        The task.
    plan, codecs
        The pipeline's.

    Attributes
    ----------
    emits
        What the batch emits so far.
    tally
        What it has counted so far.
    """

    def __init__(self, stage: str, partition: int, plan: Plan, codecs: Codecs) -> None:
        self.emits: list[Emit] = []
        self.tally = Tally(tile_ms_of(plan))
        self._stage = stage
        self._partition = partition
        self._topics = plan.topics
        self._codecs = codecs

    def reject(self, record: Record, rejected: Rejected) -> None:
        """Make a dead letter of a record, and count it by its reason."""
        topic, codec = self._topics.dead_letters, self._codecs.dead_letter
        self.emits.append(bury(record, self._stage, rejected, topic, codec))
        self.tally.count(f"dead_letter.{rejected.code}")

    def poison(self, record: Record, error: Exception) -> None:
        """Make a dead letter of a record on which the stage itself failed."""
        self.reject(record, Rejected("poison", f"{type(error).__name__}: {error}"))

    def pass_barrier(self, name: str, topic: str, partitions: int = 1) -> None:
        """Pass a barrier on, at this place in the order, to each partition of a topic."""
        source = source_name(self._stage, self._partition)
        self.emits += [pass_on(name, source, topic, number) for number in range(partitions)]

    def mark(self, watermark: int, topic: str, partitions: int) -> None:
        """Say this task's watermark, at this place in the order, to each partition of a topic."""
        mark = Mark(self._partition, watermark)
        self.emits += [mark_record(mark, topic, number) for number in range(partitions)]

    def effects(
        self,
        *,
        restoring: bool,
        watermark: int | None = None,
        settled: int | None = None,
    ) -> Effects:
        """End the batch: its emits, and behind them one record of what it counted.

        Parameters
        ----------
        restoring
            Whether this is a replay: then nothing is emitted.
        watermark, settled
            How far event time has come (see the ``count`` record).
        """
        if restoring:
            return Effects()
        value = self._counted(watermark, settled)
        if value is not None:
            self.emits.append(Emit(self._topics.counts, 0, None, value))
        return Effects(self.emits)

    def _counted(self, watermark: int | None, settled: int | None) -> bytes | None:
        """Return what was counted as a record; should counting fail, that is what is counted.

        A restore counts nothing: so a failure here must not make poison of a record.
        """
        place = (self._stage, self._partition, watermark, settled)
        try:
            record = self.tally.record(*place)
            return None if record is None else self._codecs.count.encode(record)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, events go on
            failed = {"tile": NO_TILE, "segment": ALL, "values": {"count_failed": 1}}
            names = ("stage", "partition", "watermark", "settled")
            return self._codecs.count.encode(
                {**dict(zip(names, place, strict=True)), "cells": [failed]}
            )
