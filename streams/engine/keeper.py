"""Keeps snapshots in a thread of its own: a registry that is slow, or away, delays no commit."""

from __future__ import annotations

import threading

import structlog

from headrace.registry.kept import Snapshot, TaskId
from headrace.streams.protocol.task import Keep

_log = structlog.get_logger("headrace.engine")


class Keeper:
    """Hands snapshots on, the newest of each task.

    Called by the Kafka thread. What was handed over and is not kept yet when the process ends is
    lost: the state is in the store, and the next snapshot will do.

    Parameters
    ----------
    put
        Keeps one; may raise.
    """

    def __init__(self, put: Keep) -> None:
        self._put = put
        self._waiting: dict[TaskId, Snapshot] = {}
        self._handed = threading.Condition()
        self._thread: threading.Thread | None = None

    def __call__(self, task: TaskId, snapshot: Snapshot) -> None:
        """Take a snapshot; return at once."""
        with self._handed:
            self._waiting[task] = snapshot
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
                self._thread.start()
            self._handed.notify()

    def _run(self) -> None:
        while True:
            with self._handed:
                while not self._waiting:
                    self._handed.wait()
                task, snapshot = self._waiting.popitem()
            try:
                self._put(task, snapshot)
            except Exception as error:  # noqa: BLE001 - the next one will do
                _log.warning("snapshot is not kept", task=str(task), reason=str(error))
