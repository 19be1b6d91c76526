"""When a learner's checkpoints are due: seldom enough that saving costs little beside learning."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from headrace.streams.engine.holding import Notices, Work
from headrace.streams.protocol.stage import Stage
from headrace.streams.protocol.task import Task

LEAST_S = 10.0
"""Pause between two checkpoints of a model that is quick to dump."""

DUMPS = 20
"""So many times what a dump takes is the least pause: saving costs at most a twentieth."""


class Cadence:
    """Says when the next batch's end is to be dumped, and tells the learner what was saved.

    Parameters
    ----------
    dump_s
        Returns how long the last dump took, in seconds.
    least_s
        Least pause between checkpoints.
    clock
        Seconds, rising.

    Attributes
    ----------
    unsaved
        Whether something has been learned that no checkpoint holds.
    """

    def __init__(
        self,
        dump_s: Callable[[], float],
        least_s: float = LEAST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unsaved = False
        self._dump_s = dump_s
        self._least_s = least_s
        self._clock = clock
        self._due_s = clock() + least_s
        self._told: int | None = None
        self._asked = False

    def notices(self, task: Task) -> Notices | None:
        """Return what the learner must hear before its next batch, None if there is nothing."""
        if self._told is None:
            self._told = task.checkpointed
        saved = task.checkpointed if task.checkpointed != self._told else None
        wanted = self.unsaved and self._clock() >= self._due_s
        snapshot = not self._asked and (wanted or bool(getattr(task.stage, "wants_checkpoint", 0)))
        return Notices(saved, snapshot) if snapshot or saved is not None else None

    def handed(self, notices: Notices) -> None:
        """Hear that a batch takes these notices along."""
        self._asked = self._asked or notices.snapshot
        self._told = self._told if notices.saved is None else notices.saved

    @staticmethod
    def tell(stage: Stage, notices: Notices) -> None:
        """Tell the learner, in its own thread, before it has its batch."""
        if notices.saved is not None:
            stage.saved(notices.saved)  # type: ignore[attr-defined]  # a learner's, as is the next
        if notices.snapshot:
            stage.snapshot_due = True  # type: ignore[attr-defined]

    def committed(self, works: Sequence[Work], saving_s: float) -> None:
        """Hear which batches were committed, and how long that took, checkpoints included."""
        for work in works:
            self.unsaved = self.unsaved or bool(work.records)
            if work.batch is not None and work.batch.effects.snapshot is not None:
                self.unsaved, self._asked = False, False
                pause_s = DUMPS * (self._dump_s() + saving_s)
                self._due_s = self._clock() + max(self._least_s, pause_s)
