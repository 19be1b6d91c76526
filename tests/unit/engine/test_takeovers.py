"""Take-overs are driven a call at a time, between the other tasks' commits."""

from __future__ import annotations

from time import sleep

import pytest

from headrace.streams.engine import takeovers
from headrace.streams.engine.roles import RoleSpec, StageSpec
from headrace.streams.engine.takeovers import TakeOvers
from headrace.streams.protocol.commit import commit
from headrace.streams.protocol.steps import drive
from tests.unit.protocol.parts import BESIDE, IN, Adds, World


def test_a_transaction_of_a_take_over_is_brought_to_its_end_before_others_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that was given two tasks, of which the first one is busy already."""
    monkeypatch.setattr(takeovers, "SLICE_S", 0.0005)
    world = World(IN, BESIDE)
    ports = world.ports()
    busy = world.taken(ports)
    role = RoleSpec("p", 1, "join", (StageSpec("other", (BESIDE,), 1, True, lambda _: Adds()),), 0)
    slow = TakeOvers(role, ports, lambda _: sleep(0.001))  # so each turn makes one call
    slow.want([role.spec(role.stages[0], 0)])
    points = 0
    for _ in range(1_000):
        other = slow.advance()
        points += 1
        world.publish(1)
        drive(commit([(busy, [world.batch(busy, ports)])], ports))
        if other is not None:
            break
    assert other is not None
    assert points > 5  # it was interrupted again and again
    assert len(world.out()) == points
