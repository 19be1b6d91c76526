"""When MONITOR's counts have stopped: it is told to write a record that lets it emit the rest.

What MONITOR emits, and when, is a function of the counts' log: of the timestamps that its records
have. When no more come, what changed since the last emission would never be said. So after as long
a silence as its pace, MONITOR writes a record of its own to the counts, in a transaction like any
other; reading that, it emits the rest. The clock decides when such a record is written, and what is
emitted because of it the log alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from headrace.streams.engine.holding import Notices, Work
from headrace.streams.protocol.stage import Stage
from headrace.streams.protocol.task import Task


class Quiet:
    """Says when MONITOR is to write its record, as ``Cadence`` does of LEARN's checkpoints.

    Parameters
    ----------
    pace_s
        After so long without counts, in seconds.
    clock
        Seconds, rising.

    Attributes
    ----------
    unsaved
        Always False: all that MONITOR knows is in its state.
    """

    unsaved = False

    def __init__(self, pace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace_s = pace_s
        self._clock = clock
        self._due_s = clock() + pace_s

    def notices(self, task: Task) -> Notices | None:
        """Return what MONITOR must hear before its next batch, None if there is nothing."""
        waits = getattr(task.stage, "unemitted", False) and self._clock() >= self._due_s
        return Notices(quiet=True) if waits else None

    def handed(self, notices: Notices) -> None:
        """Hear that a batch takes these notices along; should it be lost, another will."""
        self._due_s = self._clock() + self._pace_s

    @staticmethod
    def tell(stage: Stage, notices: Notices) -> None:
        """Tell MONITOR, in its own thread, before it has its batch."""
        if notices.quiet:
            stage.flush_due = True  # type: ignore[attr-defined]  # MONITOR's

    def committed(self, works: Sequence[Work], saving_s: float) -> None:
        """Hear which batches were committed: while counts come, nothing has stopped."""
        if any(work.records and hasattr(work.holding.task.stage, "flush_due") for work in works):
            self._due_s = self._clock() + self._pace_s
