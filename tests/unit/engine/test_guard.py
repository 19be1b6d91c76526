import subprocess
import sys
from typing import NoReturn

import pytest

from headrace.schemas.errors import DeclarationError, Refused, ServiceError
from headrace.streams.engine.guard import FENCED, REFUSED, RESTART, Guard, exit_code
from headrace.streams.protocol.ports import Dead, Fenced, Lost, UnknownOutcome


class Left(BaseException):
    """The process would have ended."""


def leave(code: int) -> NoReturn:
    raise Left(code)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("headrace.streams.engine.guard.time.monotonic", lambda: now[0])
    return now


def ended(guard: Guard) -> int | None:
    try:
        guard.look()
    except Left as left:
        return int(left.args[0])
    return None


def test_a_guard_that_was_told_nothing_ends_nothing(clock: list[float]) -> None:
    guard = Guard(stall_s=10, leave=leave)
    clock[0] += 1e6
    assert ended(guard) is None


def test_a_deadline_ends_the_process_unless_it_is_met(clock: list[float]) -> None:
    guard = Guard(leave=leave)
    guard.arm("a transaction", 13)
    guard.arm("a stop", 5)
    clock[0] += 5
    assert ended(guard) is None
    guard.disarm("a stop")
    guard.disarm("what was never armed")
    clock[0] += 8
    assert ended(guard) is None
    clock[0] += 0.1
    assert ended(guard) == RESTART


def test_a_deadline_can_be_set_anew(clock: list[float]) -> None:
    guard = Guard(leave=leave)
    guard.arm("a transaction", 5)
    clock[0] += 4
    guard.arm("a transaction", 5)
    clock[0] += 4
    assert ended(guard) is None
    clock[0] += 2
    assert ended(guard) == RESTART


def test_work_without_progress_ends_the_process(clock: list[float]) -> None:
    guard = Guard(stall_s=10, leave=leave)
    for _ in range(9):
        guard.beat(working=True, progress=False)
        clock[0] += 1
    guard.beat(working=True, progress=True)
    for _ in range(10):
        clock[0] += 1
        guard.beat(working=True, progress=False)
        assert ended(guard) is None
    clock[0] += 1
    guard.beat(working=True, progress=False)
    assert ended(guard) == RESTART


def test_an_idle_process_makes_no_progress_and_lives(clock: list[float]) -> None:
    guard = Guard(stall_s=10, leave=leave)
    for _ in range(100):
        guard.beat(working=False, progress=False)
        clock[0] += 1
        assert ended(guard) is None


def test_a_loop_that_stands_still_ends_the_process(clock: list[float]) -> None:
    guard = Guard(stall_s=10, leave=leave)
    guard.beat(working=False, progress=False)
    clock[0] += 10.1
    assert ended(guard) == RESTART


HANGS = """
import time
from headrace.streams.engine.guard import Guard
guard = Guard()
guard.start()
guard.arm("something", 0.05)
time.sleep(60)
"""


@pytest.mark.timed
def test_a_process_that_hangs_is_ended_from_outside() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == RESTART
    assert "something did not come to its end in time" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Fenced("x"), FENCED),
        (Dead("x"), RESTART),
        (UnknownOutcome("x"), RESTART),
        (Lost("x"), RESTART),
        (ServiceError("x"), RESTART),
        (ValueError("a bug"), RESTART),
        (Refused("x", "y"), REFUSED),
        (DeclarationError(["x"]), REFUSED),
    ],
)
def test_the_exit_code_says_what_the_supervisor_does(error: Exception, code: int) -> None:
    assert exit_code(error) == code
    with pytest.raises(Left, match=str(code)):
        Guard(leave=leave).end(error)


def test_a_refusal_is_one_sentence_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Left):
        Guard(leave=leave).end(Refused("The state is ahead.", "Do this."))
    assert capsys.readouterr().err == "headrace: The state is ahead. Do this.\n"
