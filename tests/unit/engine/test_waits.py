"""For what a process waits: noted, said after five seconds, on the health endpoint, and bounded."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from headrace.streams.engine.guard import RESTART, Guard
from headrace.streams.engine.waits import Waits, in_words, noting
from tests.unit.engine.test_guard import Left, leave


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return [100.0]


@pytest.fixture
def waits(clock: list[float]) -> Waits:
    return Waits(lambda: clock[0])


def said(waits: Waits) -> list[Any]:
    with capture_logs() as logs:
        waits.look()
    return [(each["log_level"], each["who"], each["what"], each["seconds"]) for each in logs]


def test_a_short_wait_is_not_said(waits: Waits, clock: list[float]) -> None:
    waits.begin("a", "Redis")
    clock[0] += 4.9
    assert said(waits) == []
    assert waits.standing() == []


def test_a_long_one_is_said_once_and_again_after_a_minute(waits: Waits, clock: list[float]) -> None:
    waits.begin("a", "Redis")
    clock[0] += 5
    assert said(waits) == [("warning", "a", "Redis", 5.0)]
    assert said(waits) == []
    clock[0] += 61
    assert said(waits) == [("warning", "a", "Redis", 66.0)]
    assert in_words(waits.standing()) == "Redis (a, 66 s)"


def test_its_end_is_said_if_it_was_said(waits: Waits, clock: list[float]) -> None:
    waits.begin("a", "Redis")
    waits.begin("b", "Kafka")
    clock[0] += 5
    assert len(said(waits)) == 2
    with capture_logs() as logs:
        waits.end("a")
        waits.begin("b", "Redis")  # something else now
        waits.end("b")
        waits.end("c")
    assert [(each["event"], each["what"]) for each in logs] == [
        ("waits no more", "Redis"),
        ("waits no more", "Kafka"),
    ]
    assert waits.standing() == []


def test_the_same_wait_goes_on_and_another_begins_anew(waits: Waits, clock: list[float]) -> None:
    waits.begin("a", "Redis")
    clock[0] += 4
    waits.begin("a", "Redis")
    clock[0] += 1
    assert len(waits.standing()) == 1
    waits.begin("a", "Kafka")
    assert waits.standing() == []


def test_what_holds_nothing_up_is_no_reason_to_be_unwell(waits: Waits, clock: list[float]) -> None:
    waits.begin("the model", "a state to be loaded", holds_up=False)
    clock[0] += 9
    assert [each["what"] for each in waits.standing()] == ["a state to be loaded"]
    assert in_words(waits.standing()) == ""


def test_a_call_that_hangs_is_a_wait_for_its_service(waits: Waits, clock: list[float]) -> None:
    points: list[str] = []
    hook = noting(waits, "the Kafka thread", points.append)
    hook("before:store.write")
    clock[0] += 6
    assert in_words(waits.standing()) == "Redis (store.write) (the Kafka thread, 6 s)"
    hook("after:store.write")
    assert waits.standing() == []
    assert points == ["before:store.write", "after:store.write"]


def test_the_guard_says_it_and_ends_what_only_a_restart_can_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("headrace.streams.engine.guard.time.monotonic", lambda: now[0])
    told: list[str] = []
    guard = Guard(stall_s=10, leave=leave, tell=told.append)
    guard.waits = Waits(lambda: now[0])
    guard.waits.begin("p/v1/join/0", "records of labels")
    guard.waits.begin("p/v1/score/0", "records that are not fetched", limited=True)
    now[0] += 10
    with capture_logs() as logs:
        guard.look()
    assert {each["who"] for each in logs} == {"p/v1/join/0", "p/v1/score/0"}
    now[0] += 1
    with pytest.raises(Left, match=str(RESTART)):
        guard.look()
    assert told == ["p/v1/score/0 has waited 11 s for records that are not fetched"]
