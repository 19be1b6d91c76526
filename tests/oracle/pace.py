"""How often a metric of a window that is not final was written, by the counts' own timestamps."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.oracle import facts
from tests.oracle.logs import BARRIER, BARRIER_SOURCE, LogRecord, Logs
from tests.oracle.report import Report
from tests.oracle.scoring import Truth

STEP = "step", 0
"""Whose the barriers are of the steps of a history: they have nothing written."""


class _Count(NamedTuple):
    """A record of the counts.

    ``source`` says whose counts it has (None: a barrier, which has all written), ``writer`` who
    has written it: whoever passes a barrier on has spoken, too, and waits from then on.
    """

    offset: int
    source: tuple[str, int] | None
    writer: tuple[str, int] | None
    timestamp_ms: int


def check_pace(logs: Logs, truth: Truth, report: Report) -> None:
    """See that nothing was written twice, and nothing again before the pace was over."""
    counts = [_count(record, truth, logs) for _, record in logs.all("counts")]
    offsets = [count.offset for count in counts]
    by_source: defaultdict[Any, list[_Count]] = defaultdict(list)
    for count in counts:
        by_source[count.writer].append(count)
    before: dict[bytes | None, dict[str, Any]] = {}
    for _, record in logs.of("metrics"):
        said = truth.schemas.decode(record.value or b"", logs.topics["metrics"])
        last = before.get(record.key)
        if said["final"]:
            continue
        before[record.key] = said
        if last is None:
            continue
        cause = counts[bisect_left(offsets, said["revision"] - 1)]
        since = [each for each in by_source[cause.source] if each.offset >= last["revision"] - 1]
        waited = cause.source is None or (cause.source != STEP and _waited(since, cause))
        report.same("pace", f"{record.key!r}: the pace was over", waited, True)
        another = {**last, "revision": 0} != {**said, "revision": 0}
        report.same("pace", f"{record.key!r}: it says something else", another, True)


def _count(record: LogRecord, truth: Truth, logs: Logs) -> _Count:
    if record.is_control:
        headers = dict(record.headers)
        source = STEP if (headers.get(BARRIER) or b"").startswith(b"step:") else None
        stage, _, number = (headers.get(BARRIER_SOURCE) or b"").decode().rpartition("-")
        writer = (stage, int(number)) if stage else None
        return _Count(record.offset, source, writer, record.timestamp_ms)
    said: Mapping[str, Any] = truth.schemas.decode(record.value or b"", logs.topics["counts"])
    source = said["stage"], said["partition"]
    return _Count(record.offset, source, source, record.timestamp_ms)


def _waited(since: list[_Count], cause: _Count) -> bool:
    """Return whether a source's first record after an emission is as long ago as the pace."""
    return abs(cause.timestamp_ms - since[0].timestamp_ms) >= facts.PACE_MS
