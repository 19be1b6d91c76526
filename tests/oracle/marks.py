"""Marks: each source says its watermark to every partition, each time it crosses a step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tests.oracle import facts
from tests.oracle.features import Clock
from tests.oracle.logs import LogRecord, Logs
from tests.oracle.report import Report


class Marks:
    """What the sources of an input should say, in order.

    Parameters
    ----------
    sources
        How many partitions the input has.
    """

    def __init__(self, sources: int) -> None:
        self.clocks = [Clock() for _ in range(sources)]
        self._wanted: defaultdict[int, list[int]] = defaultdict(list)

    def promised(self, source: int, record: LogRecord) -> int | None:
        """Take in what a barrier, mark or label promises; return the watermark before it."""
        clock = self.clocks[source]
        before = clock.watermark
        clock.promise(record.promise)
        self._wanted[source] += clock.steps(before, facts.MARK_STEP_MS)
        return before

    def advance(self, source: int, time_ms: int) -> int | None:
        """Take in the time of an event or label; return its source's watermark before it."""
        clock = self.clocks[source]
        before = clock.advance(time_ms)
        self._wanted[source] += clock.steps(before, facts.MARK_STEP_MS)
        return before

    def check(self, logs: Logs, what: str, report: Report) -> None:
        """Compare with what stands in each partition of an output."""
        for number in range(logs.count(what)):
            found: defaultdict[int, list[int]] = defaultdict(list)
            for source, watermark in marks_of(logs, what, number):
                found[source].append(watermark)
            report.same("marks", f"{what}-{number}", dict(found), dict(self._wanted_now()))

    def _wanted_now(self) -> Iterable[tuple[int, list[int]]]:
        return ((source, said) for source, said in self._wanted.items() if said)


def marks_of(logs: Logs, what: str, number: int) -> list[tuple[int, int]]:
    """Return the marks in a partition of predictions or routed labels, in order."""
    found = []
    for record in logs.records.get((logs.topics[what], number), ()):
        if record.watermark is not None and not record.is_barrier:
            source, _, watermark = record.watermark.partition(b":")
            found.append((int(source), int(watermark)))
    return found
