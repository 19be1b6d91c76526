"""JOIN at its limit: which input is still read, and that it is said."""

from __future__ import annotations

from typing import Any

import structlog

from headrace.registry.kept import TaskId

_log = structlog.get_logger("headrace.engine")


class Bounds:
    """Remembers which tasks read one input only, to say when that begins and ends."""

    def __init__(self) -> None:
        self._only: dict[TaskId, str] = {}

    def only(self, task: TaskId, stage: Any) -> str | None:
        """Return the one input that a task may read, None if it may read all.

        Raises
        ------
        Refused
            Its state has come to twice the limit.
        """
        prefer = getattr(stage, "prefer", None)
        only: str | None = None if prefer is None else prefer()
        if only == self._only.get(task):
            return only
        if only is None:
            del self._only[task]
            _log.info("below its limit again: all inputs are read", task=str(task))
            return None
        if task not in self._only:
            _log.warning(
                "at its limit: the other input pauses until what waits has gone",
                task=str(task),
                read=only,
                held=stage.held,
                limit=stage.limit,
                setting="HEADRACE_WAITING_LIMIT",
            )
        self._only[task] = only
        return only
