"""Bugs to plant where repetitions are passed over, and in publishers that are stopped."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import pytest

from headrace.streams.protocol.stage import View
from headrace.streams.records import Record
from headrace.streams.simulation.repeats import _Repeating
from headrace.streams.stages.repetitions import SOURCES, Places, origin_of

Patch = pytest.MonkeyPatch


def places_beside_state(patch: Patch) -> None:
    """How far sources have come is kept by the process, and not in the task's state."""
    kept: WeakKeyDictionary[View, dict[str, list[int]]] = WeakKeyDictionary()

    def start(self: Places, view: View) -> None:
        self._view, self._places = view, kept.setdefault(view, {})

    patch.setattr(Places, "__init__", start)
    patch.setattr(Places, "keep", lambda self: None)


def places_by_batch(patch: Patch) -> None:
    """A record is compared with how far its source had come before the batch."""

    def passes(self: Places, record: Record) -> bool:
        before = dict(self._view.get(SOURCES) or {})
        self._places = dict(before) if self._places is None else self._places
        origin = origin_of(record)
        original(self, record)
        return origin is not None and origin.place <= before.get(origin.source, [-1])[0]

    original = Places.passes
    patch.setattr(Places, "passes", passes)


def gap_in_a_source(patch: Patch) -> None:
    """A publisher goes on although one of its rows did not arrive; its successor sends it again."""

    def stop(self: _Repeating, source: str) -> None:
        if len(self._sent[source]) > 1 and self._sent[source][-2] in self._written:
            self._written.remove(self._sent[source][-2])
            self._written += self._sent[source][-2:]

    patch.setattr(_Repeating, "_stop", stop)
