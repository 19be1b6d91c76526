"""Processes forked from one that has imported everything: each is one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from headrace.app.stack.process import start_time
from tests.faults.nursery import Nursery
from tests.faults.slots import wait_until

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timed


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    found = Nursery("tests.faults.worker", ROOT, os.environ)
    yield found
    found.close()


def _leads(pid: int) -> bool:
    return os.getsid(pid) == pid


def test_each_has_its_session_its_log_and_its_end(nursery: Nursery, tmp_path: Path) -> None:
    killed, told, left = (nursery.fork(tmp_path / name) for name in ("killed", "told", "left"))
    for each in (killed, told, left):
        wait_until(partial(_leads, each.pid), 10, "it leads a session of its own")
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.wait(10) == -signal.SIGKILL
    told.stdin.write(b"nonsense\n")
    told.stdin.close()
    assert told.wait(10) == 1
    assert "JSONDecodeError" in (tmp_path / "told").read_text()
    assert left.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        left.wait(0.1)
    left.stdin.close()  # nobody gives orders any more
    assert left.wait(10) == 0
    assert [each.poll() for each in (killed, told, left)] == [-signal.SIGKILL, 1, 0]
    assert (tmp_path / "left").read_text() == ""
    killed.stdin.close()


def test_one_that_is_stopped_is_alive(nursery: Nursery, tmp_path: Path) -> None:
    one = nursery.fork(tmp_path / "log")
    os.kill(one.pid, signal.SIGSTOP)
    one.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        one.wait(0.3)
    os.kill(one.pid, signal.SIGCONT)
    assert one.wait(10) == 0


def test_closed_it_is_gone(tmp_path: Path) -> None:
    nursery = Nursery("tests.faults.worker", ROOT, os.environ)
    one = nursery.fork(tmp_path / "log")
    one.stdin.close()
    nursery.close()
    assert start_time(nursery._process.pid) is None
