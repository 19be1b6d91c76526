"""Seeded worlds of faults: whatever happened, everything is as the sequential fold has it.

Fresh seeds on each run, printed; a world that ever failed is kept and run for ever. Repeat one by
``python -m tests.simulation 1 SEED FLOW``.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence

import pytest

from headrace.streams.flow import ROLES, outputs_of
from headrace.streams.plan import plan_of
from headrace.streams.records import Emit
from headrace.streams.simulation.world import Plan
from headrace.streams.twins.log import MemoryLog
from tests.simulation.kept import KEPT, Kept
from tests.simulation.product import machines
from tests.simulation.run import run_world, told

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]

FRESH = {"product": 100, "long waits": 50, "by reference": 50, "together": 25, "toy": 75}
"""Worlds of each flow, 300 in all: three in four run the product's own stages."""

GROUP = 25
GROUPS = [(flow, first) for flow, worlds in FRESH.items() for first in range(0, worlds, GROUP)]
FIRST = int(os.environ.get("HEADRACE_FIRST_SEED", time.time_ns() % 10**9))


@pytest.mark.parametrize(("flow", "after"), GROUPS)
def test_fresh_worlds(flow: str, after: int) -> None:
    first = FIRST + after
    print(f"{flow}: seeds {first} to {first + GROUP - 1}")
    for seed in range(first, first + GROUP):
        world = run_world(seed, flow)
        if world.wrong:
            pytest.fail(told(world))


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.why)
def test_kept_worlds(kept: Kept) -> None:
    world = run_world(kept.seed, kept.flow, kept.plan)
    assert not world.wrong, told(world)


def test_a_world_of_many_events_comes_to_rest() -> None:
    world = run_world(3, "product", Plan(events=2_000))
    assert not world.wrong, told(world)
    assert len(world.published) > 2_000


def test_roles_write_where_they_are_said_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a broker has forgotten is looked for there, and nowhere else."""
    written: dict[str, set[str]] = defaultdict(set)
    produce = MemoryLog.produce

    def told_where(self: MemoryLog, emits: Sequence[Emit]) -> None:
        written[self.group] |= {emit.topic for emit in emits}
        produce(self, emits)

    monkeypatch.setattr(MemoryLog, "produce", told_where)
    for seed in range(5):
        run_world(seed, "product")
    plan = plan_of(machines)
    assert set(written) == set(ROLES)
    for role, topics in written.items():
        assert topics <= set(outputs_of(plan, role))
    assert set().union(*written.values()) == set(plan.topics) - {
        plan.topics.events,
        plan.topics.labels,
        plan.topics.alerts,
    }


@pytest.mark.parametrize("flow", FRESH)
def test_a_world_is_its_seed_alone(flow: str) -> None:
    first, second = (run_world(7, flow, traced=True) for _ in range(2))
    assert first.trace == second.trace
    assert first.faults.struck == second.faults.struck
