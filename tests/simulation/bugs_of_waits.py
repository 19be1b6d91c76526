"""Bugs to plant in JOIN's state that is read by key, and in its index."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.streams.protocol import task as processing
from headrace.streams.protocol.ports import Cut, TaskId
from headrace.streams.protocol.stage import View
from headrace.streams.protocol.steps import Steps
from headrace.streams.protocol.task import Task
from headrace.streams.simulation.world import Plan
from headrace.streams.stages import due
from headrace.streams.stages.matching import Matching
from headrace.streams.twins.store import MemoryStore

Patch = pytest.MonkeyPatch


def waiting_dropped(patch: Patch) -> None:
    """The store drops what has waited longest when much waits."""
    change = MemoryStore._change

    def dropping(self: MemoryStore, task: TaskId, new: Cut | None, puts: Any) -> None:
        change(self, task, new, puts)
        waiting = [key for key in self._held[task].states if key.startswith("i:")]
        if len(waiting) > 30:
            del self._held[task].states[waiting[0]]

    patch.setattr(MemoryStore, "_change", dropping)


def index_unrestored(patch: Patch) -> None:
    """What of the index was due when a task was lost is not looked for by its next owner."""

    def begin(self: Matching, view: View) -> None:
        known = self.__dict__.setdefault("begun", False)
        self.__dict__["begun"] = True
        if not known and view.get(due.NUMBERS) is not None:
            numbers = [*view.get(due.NUMBERS)[:3], 1 << 60]
            view.put(due.NUMBERS, numbers)
        original(self, view)

    original = Matching.begin
    patch.setattr(Matching, "begin", begin)


def index_misplaced(patch: Patch) -> None:
    """A leaf is read at another offset than the one that it is written at."""
    keys = due.Tree.keys
    patch.setattr(due.Tree, "keys", lambda self, offset: keys(self, offset + 1))


def due_in_one_round(patch: Patch) -> None:
    """What is due is read as far as the first answer says."""

    def once(task: Task, prepared: Any, store: Any, *, restoring: bool) -> Steps[None]:
        if not task.stage.whole and hasattr(task.stage, "more"):
            keys = task.stage.more(prepared, task.cache)
            yield from processing._read_missing(task, keys, store, restoring=restoring)

    patch.setattr(processing, "_read_more", once)


def overdue_forgotten(patch: Patch) -> None:
    """A prediction that comes when its labels are all there already never expires."""
    patch.setattr(due.Pages, "add_first", lambda self, view, entry: self._firsts.add(view, entry))


def matched_labels_indexed(patch: Patch) -> None:
    """The index keeps labels that have found their event."""
    patch.setattr(due.Pages, "drop_labels", lambda *_: None)


BUGS = (
    ("what waits dropped by the store", waiting_dropped, Plan(loss="")),
    ("the index not restored", index_unrestored, Plan(faults=40, rates={"crash": 5}, loss="")),
    ("a leaf read at another offset", index_misplaced, Plan(loss="")),
    ("what is due read in one round", due_in_one_round, Plan(loss="", cache_limit=2)),
    ("overdue predictions forgotten", overdue_forgotten, Plan(loss="")),
    ("matched labels kept in the index", matched_labels_indexed, Plan(loss="")),
)
