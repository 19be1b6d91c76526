"""Worlds in which alerts begin and end all the time: they too are as the fold has them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import pytest

from headrace.streams.detectors.verdicts import Stream, Terms, Verdict
from headrace.streams.simulation.world import Plan
from headrace.streams.stages import lookout
from tests.simulation.run import run_world, told

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]

WORLDS = 8
FIRST = int(os.environ.get("HEADRACE_FIRST_SEED", time.time_ns() % 10**9))


class Eager:
    """A watch that alarms as soon as a tile has an odd number of counts, and ends it at an even."""

    def __init__(self, terms: Terms, kinds: tuple[str, ...]) -> None:
        self._tile_ms, self._kinds = terms.tile_ms, kinds

    def fresh(self) -> dict[str, Any]:
        return {"since": {}, "seen": 0}

    def observe(
        self, state: dict[str, Any], tile_start_ms: int, totals: Mapping[str, Mapping[str, int]]
    ) -> list[Verdict]:
        found = []
        state["seen"] += 1
        for segment in sorted(totals):
            odd = sum(totals[segment].values()) % 2 == 1
            since = state["since"].pop(segment, None)
            if not odd and since is None:
                continue
            said = "over" if not odd else "begun" if since is None else "ongoing"
            begun = tile_start_ms if since is None else since
            if odd:
                state["since"][segment] = begun
            stream = Stream(self._kinds[0], "count", segment)
            shares = (("mean", float(state["seen"])),)
            until = tile_start_ms + self._tile_ms
            found.append(Verdict(stream, said, begun, until, 1.5, 0.5, shares, shares))
        return found


@pytest.mark.parametrize("flow", ["product", "together"])
def test_alerts_are_as_the_fold_has_them(flow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "Watch", Eager)
    # Worlds last for minutes: their cohorts are looked at after a tile, and after two.
    monkeypatch.setattr(lookout, "label_ages", lambda _, __, tile_ms: (tile_ms, 2 * tile_ms))
    print(f"{flow}: seeds {FIRST} to {FIRST + WORLDS - 1}")
    said = 0
    sides: set[str] = set()
    for seed in range(FIRST, FIRST + WORLDS):
        world = run_world(seed, flow, Plan(events=150))
        if world.wrong:
            pytest.fail(told(world))
        topics = [topic.name for topic in world.flow.topics if topic.name.endswith(".alerts")]
        for record in (each for topic in topics for each in world.broker.history((topic, 0))):
            said += 1
            key = (record.key or b"").decode()
            sides.update(side for side in lookout.SIDES if f"-{side}-" in key)
    assert said > WORLDS
    assert sides == set(lookout.SIDES)
