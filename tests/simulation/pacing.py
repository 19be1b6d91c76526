"""Bugs to plant in when MONITOR emits what."""

from __future__ import annotations

from weakref import WeakSet

import pytest

from headrace.streams.protocol.stage import View
from headrace.streams.stages.emission import Emission
from headrace.streams.stages.monitor import MonitorStage
from headrace.streams.stages.turn import META

Patch = pytest.MonkeyPatch


def emission_by_batch(patch: Patch) -> None:
    """Whatever changed is emitted once in each batch."""
    begun: WeakSet[Emission] = WeakSet()

    def is_due(self: Emission, source: str, timestamp_ms: int) -> bool:
        first = self not in begun
        begun.add(self)
        return first

    patch.setattr(Emission, "is_due", is_due)


def pace_by_memory(patch: Patch) -> None:
    """When something was emitted last is forgotten at a restart."""

    def load(self: MonitorStage, view: View) -> None:
        original(self, view)
        meta = view.get(META)
        if meta is not None:
            meta["said_at"] = None

    original = MonitorStage.load
    patch.setattr(MonitorStage, "load", load)
