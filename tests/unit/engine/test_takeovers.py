"""Take-overs are driven a call at a time, between the other tasks' commits."""

from __future__ import annotations

from collections.abc import Callable
from time import sleep
from typing import Any

import pytest

from headrace.streams.engine import takeovers
from headrace.streams.engine.roles import RoleSpec, StageSpec
from headrace.streams.engine.takeovers import TakeOvers
from headrace.streams.engine.waits import Waits
from headrace.streams.protocol.commit import commit
from headrace.streams.protocol.ports import Lost, Unstable
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
    slow = TakeOvers(role, ports, Waits(), lambda _: sleep(0.001))  # so each turn makes one call
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


def _raises(error: Exception) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        raise error

    return call


def waiting(world: World, port: str, call: str, error: Exception) -> tuple[TakeOvers, Any, Any]:
    """Return take-overs of which one gets no answer, their waits, and the port's true call."""
    ports, now = world.ports(), [100.0]
    owner = getattr(ports, port)
    true = getattr(owner, call)
    setattr(owner, call, _raises(error))
    role = RoleSpec("p", 1, "join", (StageSpec("other", (IN,), 1, True, lambda _: Adds()),), 0)
    waits = Waits(lambda: now[0])
    found = TakeOvers(role, ports, waits)
    found.want([role.spec(role.stages[0], 0)])
    for _ in range(6):
        assert found.advance() is None
        now[0] += 1
    return found, waits, lambda: setattr(owner, call, true)


def test_a_take_over_says_for_what_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's transaction is open with its offsets: no answer to them can be believed."""
    monkeypatch.setattr(takeovers, "SLICE_S", 0.0005)
    world = World(IN)
    found, waits, mend = waiting(world, "log", "committed", Unstable("pending"))
    (wait,) = waits.standing()
    assert (wait["who"], wait["holds_up"]) == ("take-over", True)
    assert wait["what"] == "Kafka (log.committed), for p/v1/other/0"
    mend()
    while found.advance() is None:
        pass
    assert waits.standing() == []


def test_two_that_claim_the_same_task_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(IN)
    found, waits, mend = waiting(world, "store", "claim", Lost("another owner"))
    assert [each["what"] for each in waits.standing()] == [
        "another worker, which claims p/v1/other/0 as well"
    ]
    found.clear()
    assert waits.standing() == []
    mend()
